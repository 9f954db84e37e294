/*
 * test_shared_model.c - one model, many threads: each with a context and a state of its own, all at once, and each gets
 * what a thread alone gets, also from one encoded source; and a child of fork() that uses what its parent had. Meant to
 * be run under the thread sanitizer as well.
 */
#define _DEFAULT_SOURCE /* usleep */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#if defined(__unix__) || defined(__APPLE__)
#define HAVE_FORK
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#if defined(HAVE_FORK) || defined(__MINGW32__)
#include <pthread.h>

#define N_THREADS 4
#define N_ROUNDS 5

typedef struct user {
    pthread_t thread;
    const fixture *f;
    const ink_encoded *encoded; /* the source of all threads; NULL: the model wants none */
    const float *expected;      /* [n_tokens, vocab_size] */
    size_t first_chunk;
    unsigned n_threads; /* workers of this thread's own */
    size_t n_wrong;
} user;

/* Runs the tokens in two chunks and counts the rounds that went wrong; cmocka's checks belong to the main thread. */
static void *use_model(void *argument)
{
    user *u = argument;
    const fixture *f = u->f;
    size_t vocab_size = f->info->vocab_size, rest = f->n_tokens - u->first_chunk;
    float *logits = malloc(rest * vocab_size * sizeof *logits);
    const ink_context_options options = test_options(u->n_threads);
    ink_context *ctx = ink_context_create(&options);
    ink_state *state = NULL;
    u->n_wrong = N_ROUNDS;
    if (logits == NULL || ctx == NULL || ink_state_create(ctx, f->model, f->n_tokens, &state) != INK_OK)
        return NULL;
    if (u->encoded != NULL && ink_state_begin(ctx, state, u->encoded) != INK_OK)
        return NULL;
    for (size_t round = 0; round < N_ROUNDS; round++) {
        const ink_item item = test_item(state, f->tokens + u->first_chunk, rest, logits, rest);
        ink_state_reset(state);
        if (ink_model_forward(ctx, f->model, state, f->tokens, u->first_chunk, NULL) == INK_OK &&
            ink_model_forward_list(ctx, f->model, &item, 1) == INK_OK &&
            memcmp(logits, u->expected + u->first_chunk * vocab_size, rest * vocab_size * sizeof *logits) == 0)
            u->n_wrong--;
    }
    ink_state_free(state);
    ink_context_free(ctx);
    free(logits);
    return NULL;
}

static void run_threads(const fixture *f, const ink_encoded *encoded, const float *expected)
{
    user users[N_THREADS];
    for (size_t t = 0; t < N_THREADS; t++) {
        users[t] =
            (user){.f = f, .encoded = encoded, .expected = expected, .first_chunk = 1 + 5 * t, .n_threads = 1 + t % 2};
        assert_int_equal(pthread_create(&users[t].thread, NULL, use_model, &users[t]), 0);
    }
    for (size_t t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_join(users[t].thread, NULL), 0);
        assert_int_equal(users[t].n_wrong, 0);
    }
}

static void threads_that_share_a_model_get_what_one_gets(void **unused)
{
    (void)unused;
    for (size_t i = 0; fixture_names[i] != NULL; i++) {
        fixture f;
        fixture_open(&f, fixture_names[i]);
        float *expected = fixture_run(f.ctx, f.model, f.tokens, f.n_tokens);
        run_threads(&f, NULL, expected);
        free(expected);
        fixture_close(&f);
    }
}

static void threads_that_share_a_source_get_what_one_gets(void **unused)
{
    ink_token tokens[40];
    fixture f = {.name = "marian", .ctx = test_context(1), .tokens = tokens, .n_tokens = 40};
    ink_encoded *encoded;
    ink_state *state;
    (void)unused;
    for (size_t i = 0; i < 40; i++)
        tokens[i] = (ink_token)(i * i * 3 % 50);
    assert_ok(f.ctx, ink_model_open(f.ctx, FIXTURES "/models/marian", NULL, &f.model));
    f.info = ink_model_get_info(f.model);
    float *expected = malloc(40 * f.info->vocab_size * sizeof *expected);
    assert_non_null(expected);
    assert_ok(f.ctx, ink_encoded_create(f.ctx, f.model, 40, &encoded));
    assert_ok(f.ctx, ink_state_create(f.ctx, f.model, 40, &state));
    const ink_source_item source = {.encoded = encoded, .tokens = tokens, .n_tokens = 40};
    assert_ok(f.ctx, ink_model_encode_sources(f.ctx, f.model, &source, 1));
    assert_ok(f.ctx, ink_state_begin(f.ctx, state, encoded));
    const ink_item item = test_item(state, tokens, 40, expected, 40);
    assert_ok(f.ctx, ink_model_forward_list(f.ctx, f.model, &item, 1));
    run_threads(&f, encoded, expected);
    free(expected);
    ink_state_free(state);
    ink_encoded_free(encoded);
    ink_model_free(f.model);
    ink_context_free(f.ctx);
}

#else
static void threads_that_share_a_model_get_what_one_gets(void **unused)
{
    (void)unused;
    skip();
}

static void threads_that_share_a_source_get_what_one_gets(void **unused)
{
    (void)unused;
    skip();
}
#endif

/* The child of a process with worker threads: it runs a model through its parent's context, frees everything and ends,
   all within a minute (an emulator is slow). The parent goes on with its own. */
static void a_child_of_fork_uses_and_frees_what_its_parent_had(void **unused)
{
    (void)unused;
#if defined(HAVE_FORK)
    enum { N_CHILDREN = 8 };
    fixture f;
#if defined(__SANITIZE_THREAD__)
    skip(); /* the thread sanitizer starts no threads after a fork */
#endif
    fixture_open_bundled(&f, "gpt");
    size_t size = f.n_tokens * f.info->vocab_size * sizeof(float);
    float *expected = fixture_run(f.ctx, f.model, f.tokens, f.n_tokens);
    ink_context *ctx = test_context(3);
    for (int i = 0; i < N_CHILDREN; i++) {
        if (i % 2 == 1)
            free(fixture_run(ctx, f.model, f.tokens, f.n_tokens)); /* the threads still spin; otherwise they sleep */
        else
            usleep(2000);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            alarm(60);
            float *logits = fixture_run(ctx, f.model, f.tokens, f.n_tokens);
            int wrong = memcmp(logits, expected, size) != 0;
            ink_context_free(ctx);
            ink_model_free(f.model);
            _exit(wrong);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_false(WIFSIGNALED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    float *logits = fixture_run(ctx, f.model, f.tokens, f.n_tokens);
    assert_memory_equal(logits, expected, size);
    free(logits);
    free(expected);
    ink_context_free(ctx);
    fixture_close(&f);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_that_share_a_model_get_what_one_gets),
                                       cmocka_unit_test(threads_that_share_a_source_get_what_one_gets),
                                       cmocka_unit_test(a_child_of_fork_uses_and_frees_what_its_parent_had)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
