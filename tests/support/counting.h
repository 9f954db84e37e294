/*
 * counting.h - an allocator that keeps the books, and fails on request.
 *
 *     counting memory;
 *     ink_context *ctx = counting_begin(&memory, 1);
 *     ...
 *     counting_end(&memory, ctx);                           (not a byte may be left)
 *
 * A call that runs out of memory at each of its requests in turn:
 *
 *     for (size_t k = 1; runs_out_of_memory(ctx, &memory, k, ink_thing_create(ctx, &thing), "thing"); k++)
 *         assert_null(thing);
 *
 * It is as unkind as the contract of ink_allocator allows: blocks lie at odd addresses and are filled with 0xA5,
 * blocks given back are filled with 0x5A, and a block given back with another size than it was taken with, a
 * request to resize, or a byte written beside a block ends the program. May be used from several threads.
 */
#ifndef INK_TESTS_COUNTING_H
#define INK_TESTS_COUNTING_H

#include "testing.h"

typedef struct counting {
    ink_allocator allocator; /* hand this to the library; it points to this structure, which must stay where it is */
    size_t live_bytes;
    size_t live_blocks;
    size_t at_rest;    /* live_bytes when counting_begin() had made the context */
    size_t peak_bytes; /* the most live_bytes ever was; set it to live_bytes to measure from here */
    size_t takes;      /* successful and failed requests for memory so far */
    size_t fail_from;  /* requests from this number of `takes` on fail; 0: none */
    size_t fail_to;
    size_t failures; /* requests that were failed on purpose */
    size_t limit;    /* requests that would bring live_bytes beyond this fail; 0: none */
    int lock;        /* of the books; by atomic operations */
} counting;

void counting_init(counting *memory);

/* Opens the books and makes a context of `n_threads` threads on them, as test_context() does. */
ink_context *counting_begin(counting *memory, unsigned n_threads);

/* A further context on the same books, or NULL if that fails. Free it with ink_context_free(). */
ink_context *counting_context(counting *memory, unsigned n_threads);

/* Frees the context; fails the test if anything else was not given back. */
void counting_end(counting *memory, ink_context *ctx);

/* A test that gets such a context of one thread and its books, and leaves nothing: a row of the list of tests. */
#define counted_test(check)                                                                                            \
    {                                                                                                                  \
        .name = #check, .test_func = counted_test_run, .initial_state = &(counted_check) { (check) }                   \
    }

typedef struct counted_check {
    void (*check)(ink_context *ctx, counting *memory);
} counted_check;

void counted_test_run(void **state);

/* The k-th request from now on (k >= 1) fails, once. 0: none fails. */
void counting_fail_at(counting *memory, size_t k);

/* All requests from the k-th from now on fail. */
void counting_fail_from(counting *memory, size_t k);

/* Whether a request was failed since counting_fail_at() or _from(); from now on none fails. */
bool counting_failed(counting *memory);

/* Makes the call while its k-th request for memory and all later ones fail. True if it came to that request: then it
   gave INK_ERROR_MEMORY and a sentence with `words` (NULL: any sentence). False if it did not: then it succeeded. Fails
   the test where neither holds. */
#define runs_out_of_memory(ctx, memory, k, call, words)                                                                \
    (counting_fail_from((memory), (k)), counting_ran_out((ctx), (memory), (call), (words), #call, __FILE__, __LINE__))

bool counting_ran_out(const ink_context *ctx, counting *memory, ink_result result, const char *words, const char *call,
                      const char *file, int line);

#endif
