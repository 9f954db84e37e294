/*
 * testing.h - what a test program includes: cmocka, the library, and a context made the way the run asks for.
 *
 * The suite is run once per kernel variant by setting INKLING_TEST_KERNEL ("portable", "avx2", "avx512_vnni", ...). The
 * library does not read the environment, so the tests do, here.
 */
#ifndef INK_TESTS_TESTING_H
#define INK_TESTS_TESTING_H

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inkling.h>

/* Options for `n_threads` threads (one in a build without threads) and the kernel this run is about (NULL, the best, if
   it does not say); for tests that set an allocator of their own. */
ink_context_options test_options(unsigned n_threads);

/* A long sweep takes every n-th of its cases, so that the suite needs two minutes of processor time at most; and all of
   them where INKLING_TEST_ALL is set, as the gate does once. Returns n or 1. */
size_t test_stride(size_t n);

/* A context with these options. Fails the test if it cannot be made. Free with ink_context_free(). */
ink_context *test_context(unsigned n_threads);

/* A test that gets a context of one thread, which is freed behind it: a row of the list of tests. */
#define context_test(check)                                                                                            \
    {                                                                                                                  \
        .name = #check, .test_func = context_test_run, .initial_state = &(context_check) { (check) }                   \
    }

typedef struct context_check {
    void (*check)(ink_context *ctx);
} context_check;

void context_test_run(void **state);

/* A sequence of a list whose logits are wanted. */
ink_item test_item(ink_state *state, const ink_token *tokens, size_t n_tokens, float *logits, size_t n_logits);

/* The bytes of a file, NUL-terminated, to be freed, or NULL if it cannot be opened. */
char *test_read_file(const char *folder, const char *name, size_t *size);

/* The call succeeded and left no sentence; if not, the test fails with the context's own sentence. */
#define assert_ok(ctx, call) test_assert_ok((ctx), (call), #call, __FILE__, __LINE__)

/* The call failed with this result, and its sentence contains `words` (NULL: any sentence, but there is one). */
#define assert_fails(ctx, call, expected, words)                                                                       \
    test_assert_fails((ctx), (call), (expected), (words), #call, __FILE__, __LINE__)

void test_assert_ok(const ink_context *ctx, ink_result result, const char *call, const char *file, int line);
void test_assert_fails(const ink_context *ctx, ink_result result, ink_result expected, const char *words,
                       const char *call, const char *file, int line);

#endif
