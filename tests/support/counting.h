/*
 * counting.h - an allocator that keeps the books, and fails on request.
 *
 *     counting memory;
 *     counting_init(&memory);
 *     ink_context *ctx = ink_context_create(&(ink_context_options){.allocator = memory.allocator});
 *     ...
 *     ink_context_free(ctx);
 *     assert_int_equal(memory.live_bytes, 0);
 *
 * Every allocation failing once:
 *
 *     for (size_t k = 1;; k++) {
 *         size_t before = memory.live_bytes;
 *         counting_fail_at(&memory, k);
 *         ink_result result = ink_thing_create(ctx, &thing);
 *         bool failed = counting_failed(&memory);           (also switches the failing off)
 *         if (!failed) { assert_int_equal(result, INK_OK); ... break; }
 *         assert_int_equal(result, INK_ERROR_MEMORY);
 *         assert_int_equal(memory.live_bytes, before);      (scratch a context keeps is the exception)
 *     }
 *
 * It is as unkind as the contract of ink_allocator allows: blocks lie at odd addresses and are filled with 0xA5,
 * blocks given back are filled with 0x5A, and a block given back with another size than it was taken with, a
 * request to resize, or a byte written beside a block ends the program. May be used from several threads.
 */
#ifndef INK_TESTS_COUNTING_H
#define INK_TESTS_COUNTING_H

#include <inkling/context.h>

typedef struct counting {
    ink_allocator allocator; /* hand this to the library; it points to this structure, which must stay where it is */
    size_t live_bytes;
    size_t live_blocks;
    size_t peak_bytes; /* the most live_bytes ever was; set it to live_bytes to measure from here */
    size_t takes;      /* successful and failed requests for memory so far */
    size_t fail_from;  /* requests from this number of `takes` on fail; 0: none */
    size_t fail_to;
    size_t failures; /* requests that were failed on purpose */
    size_t limit;    /* requests that would bring live_bytes beyond this fail; 0: none */
    int lock;        /* of the books; by atomic operations */
} counting;

void counting_init(counting *memory);

/* The k-th request from now on (k >= 1) fails, once. 0: none fails. */
void counting_fail_at(counting *memory, size_t k);

/* All requests from the k-th from now on fail. */
void counting_fail_from(counting *memory, size_t k);

/* Whether a request was failed since counting_fail_at() or _from(); from now on none fails. */
bool counting_failed(counting *memory);

#endif
