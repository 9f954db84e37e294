/*
 * test_bundled.c - the models of examples/models: what transformers and PyTorch compute with them, and the promises at
 * a size where work is spread over threads and passes are full.
 *
 * The references belong to the weights: tests/fixtures/make_models.py --bundled makes them again.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "fixture.h"

#define N_GREEDY 200

static const char *const names[] = {"mlp", "rnn", "gru", "lstm", "gpt", NULL};

static void each_model(void (*test)(const fixture *))
{
    for (size_t i = 0; names[i] != NULL; i++) {
        fixture f;
        fixture_open_bundled(&f, names[i]);
        test(&f);
        fixture_close(&f);
    }
}

/* ---- parity --------------------------------------------------------------------------------------------------- */

static void check_parity(const fixture *f)
{
    size_t vocab_size = f->info->vocab_size;
    float *logits = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    const float *last = logits + (f->n_tokens - f->n_logits) * vocab_size;
    double largest = 0, difference = 0;
    assert_string_equal(ink_context_error(f->ctx), ""); /* of files that need not be there, too */
    for (size_t i = 0; i < f->n_logits * vocab_size; i++) {
        assert_true(isfinite(last[i]));
        largest = fmax(largest, fabs((double)f->logits[i]));
        difference = fmax(difference, fabs((double)last[i] - (double)f->logits[i]));
    }
    printf("%-5s largest logit %8.4f, largest difference %.1e, gate %.1e\n", f->name, largest, difference,
           2e-5 * largest);
    assert_true(difference <= 2e-5 * largest);
    free(logits);
}

static void test_parity(void **unused)
{
    (void)unused;
    each_model(check_parity);
}

/* The 200 tokens that transformers chose greedily, chosen here token by token. */
static void test_greedy(void **unused)
{
    fixture f;
    (void)unused;
    fixture_open_bundled(&f, "gpt");
    size_t vocab_size = f.info->vocab_size, n_prompt = f.n_tokens - N_GREEDY;
    float *logits = malloc(vocab_size * sizeof *logits);
    ink_state *state = fixture_state(f.ctx, f.model);
    assert_true(f.n_tokens > N_GREEDY);
    assert_ok(f.ctx, ink_model_forward(f.ctx, f.model, state, f.tokens, n_prompt, logits));
    for (size_t i = 0; i < N_GREEDY; i++) {
        ink_token best = 0;
        for (size_t v = 1; v < vocab_size; v++)
            if (logits[v] > logits[best])
                best = (ink_token)v;
        if (best != f.tokens[n_prompt + i])
            fail_msg("greedy token %zu is %d, transformers has %d", i, (int)best, (int)f.tokens[n_prompt + i]);
        assert_ok(f.ctx, ink_model_forward(f.ctx, f.model, state, &best, 1, logits));
    }
    ink_state_free(state);
    free(logits);
    fixture_close(&f);
}

/* ---- the same bits -------------------------------------------------------------------------------------------- */

static void check_threads(const fixture *f)
{
    size_t count = f->n_tokens * f->info->vocab_size;
    float *expected = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    for (size_t k = 0; ink_kernel_name(k) != NULL; k++)
        for (unsigned threads = 1; threads <= 3; threads++) {
            ink_context_options options = test_options(threads);
            options.kernel = ink_kernel_name(k);
            ink_context *ctx = ink_context_create(&options);
            assert_non_null(ctx);
            float *logits = fixture_run(ctx, f->model, f->tokens, f->n_tokens);
            assert_same_bits(f->name, ink_kernel_name(k), logits, expected, count);
            free(logits);
            ink_context_free(ctx);
        }
    free(expected);
}

static void test_threads(void **unused)
{
    (void)unused;
    each_model(check_threads);
}

/* One token at a time, and 20 sequences of different lengths at once on two threads. */
static void check_list(const fixture *f)
{
    enum { N = 20 };
    size_t vocab_size = f->info->vocab_size;
    ink_context *ctx = test_context(2);
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    float *logits = malloc((N + 1) * vocab_size * sizeof *logits);
    ink_item items[N];
    for (size_t i = 0; i < N; i++)
        items[i] = test_item(fixture_state(ctx, f->model), f->tokens, 1 + i * (f->n_tokens - 1) / (N - 1),
                             logits + i * vocab_size, 1);
    assert_ok(ctx, ink_model_forward_list(ctx, f->model, items, N));
    for (size_t i = 0; i < N; i++) {
        assert_same_bits(f->name, "in a list", items[i].logits, whole + (items[i].n_tokens - 1) * vocab_size,
                         vocab_size);
        ink_state_free(items[i].state);
    }
    ink_state *state = fixture_state(ctx, f->model);
    for (size_t i = 0; i < f->n_tokens; i++) {
        assert_ok(ctx, ink_model_forward(ctx, f->model, state, f->tokens + i, 1, logits));
        assert_same_bits(f->name, "token by token", logits, whole + i * vocab_size, vocab_size);
    }
    ink_state_free(state);
    free(logits);
    free(whole);
    ink_context_free(ctx);
}

static void test_list(void **unused)
{
    (void)unused;
    each_model(check_list);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* What reserve takes is what full passes need: not a byte is taken afterwards, and nothing is far too large. */
static void check_reserve(const fixture *f)
{
    enum { N = 3 };
    size_t n = 80, vocab_size = f->info->vocab_size;
    counting memory;
    ink_context *ctx = counting_begin(&memory, 2);
    float *logits = malloc(N * n * vocab_size * sizeof *logits);
    ink_item items[N];
    for (size_t i = 0; i < N; i++)
        items[i] = test_item(fixture_state(ctx, f->model), f->tokens, n, logits + (N - 1 - i) * n * vocab_size, n);
    size_t before = memory.live_bytes;
    assert_ok(ctx, ink_context_reserve(ctx, f->model, N, N * n, 0));
    printf("%-5s %8zu bytes of scratch\n", f->name, memory.live_bytes - before);
    size_t takes = memory.takes;
    assert_ok(ctx, ink_model_forward_list(ctx, f->model, items, N));
    assert_ok(ctx, ink_model_forward_list(ctx, f->model, items + 1, 1));
    assert_int_equal(memory.takes, takes);
    for (size_t i = 0; i < N; i++)
        ink_state_free(items[i].state);
    free(logits);
    counting_end(&memory, ctx);
}

static void test_reserve(void **unused)
{
    (void)unused;
    each_model(check_reserve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parity), cmocka_unit_test(test_greedy),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_list),   cmocka_unit_test(test_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
