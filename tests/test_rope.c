/*
 * test_rope.c - rotary positions: transformers' numbers for every type, the double-precision oracle at all positions,
 * the same bits however the rows come in, and the contract of the call.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/layers/layers.h"
#include "counting.h"
#include "numbers.h"
#include "oracle_layers.h"
#include "support/layers.h"

/* ---- numbers -------------------------------------------------------------------------------------------------- */

/* What make_layers.py writes beside the same names. */
static const struct {
    const char *name;
    ink_rope rope;
} cases[] = {
    {"plain", {.head_dim = 64, .theta = 10000}},
    {"linear", {.type = INK_ROPE_LINEAR, .head_dim = 64, .theta = 10000, .factor = 4}},
    {"dynamic", {.type = INK_ROPE_DYNAMIC, .head_dim = 64, .theta = 10000, .factor = 3, .original_length = 16}},
    {"llama3",
     {.type = INK_ROPE_LLAMA3,
      .head_dim = 64,
      .theta = 500000,
      .factor = 32,
      .original_length = 8192,
      .low_freq_factor = 1,
      .high_freq_factor = 4}},
    {"yarn",
     {.type = INK_ROPE_YARN,
      .head_dim = 64,
      .theta = 1e6,
      .factor = 4,
      .original_length = 32768,
      .beta_fast = 32,
      .beta_slow = 1}},
    {"yarn_set",
     {.type = INK_ROPE_YARN,
      .head_dim = 64,
      .theta = 10000,
      .factor = 2,
      .original_length = 64,
      .beta_fast = 8,
      .beta_slow = 2,
      .attention_factor = 0.75}},
};
#define N_CASES (sizeof cases / sizeof cases[0])

static void rope_gives_the_numbers_of_transformers(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/llama.safetensors");
    for (size_t i = 0; i < N_CASES; i++) {
        size_t n;
        float *x = test_case_tensor(ctx, fixture, cases[i].name, "x", &n);
        float *expected = test_case_tensor(ctx, fixture, cases[i].name, "y", NULL);
        assert_int_equal(n, 24 * 64);
        assert_ok(ctx, ink_rope_forward(ctx, &cases[i].rope, 0, 24, 1, 64, 24, x));
        test_assert_close(x, expected, n, 1e-5, 1.3e-6, cases[i].name);
        free(x);
        free(expected);
    }
    ink_weights_free(fixture);
}

/* Computed from the formula in double, for theta 500000, factor 32, 1 and 4 turns over 8192 positions. */
static void llama3_frequencies_are_the_known_ones(ink_context *ctx)
{
    static const struct {
        size_t m;
        double w;
    } known[] = {{0, 1.000000e+00},  {14, 3.211446e-03}, {15, 1.290548e-03}, {16, 4.295568e-04},
                 {17, 9.708288e-05}, {18, 1.946164e-05}, {31, 9.418307e-08}};
    float w[32];
    assert_true(ctx->kernel->rope_frequencies(&cases[3].rope, 100, w) == 1.0F);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_true(fabs((double)w[known[i].m] - known[i].w) <= 6e-7 * known[i].w);
}

/* A rope of some type for heads of any size, with settings that put frequencies into every band. */
static ink_rope any_rope(ink_rope_type type, size_t head_dim, double theta)
{
    return (ink_rope){.type = type,
                      .head_dim = head_dim,
                      .theta = theta,
                      .factor = 2.5,
                      .original_length = 300,
                      .low_freq_factor = 0.5,
                      .high_freq_factor = 12,
                      .beta_fast = 20,
                      .beta_slow = 0.25};
}

/* One row at a position, against the oracle: each float is right to 2e-6 of the size of the head's numbers. */
static void check_row(ink_context *ctx, const ink_rope *rope, size_t position, size_t capacity)
{
    size_t d = rope->head_dim;
    float *x = test_random(d, d + position, 1);
    double *expected = malloc(d * sizeof *expected);
    for (size_t i = 0; i < d; i++)
        expected[i] = x[i];
    oracle_rope(rope, position, capacity, expected, NULL);
    assert_ok(ctx, ink_rope_forward(ctx, rope, position, capacity, 1, d, 1, x));
    test_assert_close_to_double(x, expected, d, 3e-6, 0, ink_rope_type_name(rope->type));
    free(x);
    free(expected);
}

static void rope_of_every_type_and_size_is_right(ink_context *ctx)
{
    static const size_t dims[] = {2, 4, 6, 30, 32, 34, 64, 80, 128, 256};
    static const double thetas[] = {1.5, 100, 10000, 500000, 1e6, 1e9};
    static const size_t positions[] = {0, 1, 2, 17, 299, 300, 4095, 99999, INK_ROPE_MAX_LENGTH - 1};
    for (int type = INK_ROPE_PLAIN; type < INK_ROPE_N_TYPES; type++)
        for (size_t d = type == INK_ROPE_DYNAMIC; d < sizeof dims / sizeof dims[0]; d++)
            for (size_t t = 0; t < sizeof thetas / sizeof thetas[0]; t++)
                for (size_t p = 0; p < sizeof positions / sizeof positions[0]; p++) {
                    const ink_rope rope = any_rope((ink_rope_type)type, dims[d], thetas[t]);
                    check_row(ctx, &rope, positions[p], p % 2 == 0 ? 200 : INK_ROPE_MAX_LENGTH);
                }
}

/* At a large position the last bit of a frequency shows, so nearly all are the very floats of transformers. */
static void frequencies_are_those_of_transformers(ink_context *ctx)
{
    static const double thetas[] = {100, 1e4, 160000, 5e5, 1e6, 5e6};
    static const size_t dims[] = {6, 10, 32, 64, 80, 96, 128, 256};
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/frequencies.safetensors");
    size_t n = 0, n_same = 0;
    for (size_t t = 0; t < sizeof thetas / sizeof thetas[0]; t++)
        for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
            char name[64];
            float w[128];
            snprintf(name, sizeof name, "%g.%zu", thetas[t], dims[d]);
            float *expected = test_case_tensor(ctx, fixture, "frequencies", name, NULL);
            const ink_rope rope = {.head_dim = dims[d], .theta = thetas[t]};
            ctx->kernel->rope_frequencies(&rope, 1000, w);
            for (size_t m = 0; m < dims[d] / 2; m++, n++) {
                assert_true(ulps_between(w[m], (double)expected[m]) <= 2);
                n_same += w[m] == expected[m];
            }
            free(expected);
        }
    assert_true(n - n_same <= n / 50);
    ink_weights_free(fixture);
}

/* To the last place of a float, of which most are the nearest. */
static void frequencies_are_exact(ink_context *ctx)
{
    double head[256] = {0}, exact[128];
    float w[128];
    size_t n = 0, n_nearest = 0;
    for (int type = INK_ROPE_PLAIN; type < INK_ROPE_N_TYPES; type++)
        for (double theta = 2; theta < 1e9; theta *= 7.3) {
            const ink_rope rope = any_rope((ink_rope_type)type, 256, theta);
            oracle_rope(&rope, 0, 1000, head, exact);
            ctx->kernel->rope_frequencies(&rope, 1000, w);
            for (size_t m = 0; m < 128; m++, n++) {
                assert_true(ulps_between(w[m], exact[m]) <= 1);
                n_nearest += w[m] == (float)exact[m];
            }
        }
    assert_true(n - n_nearest < n / 1000);
}

/* What the turning is for: the product of a query and a key depends on how far apart they are. */
static void scores_depend_on_the_distance(ink_context *ctx)
{
    const ink_rope rope = {.head_dim = 32, .theta = 10000};
    for (size_t distance = 0; distance < 50; distance += 7) {
        double scores[2] = {0};
        for (size_t i = 0; i < 2; i++) {
            float *q = test_random(32, 1, 1), *k = test_random(32, 2, 1);
            assert_ok(ctx, ink_rope_forward(ctx, &rope, 3 + 400 * i + distance, 1000, 1, 32, 1, q));
            assert_ok(ctx, ink_rope_forward(ctx, &rope, 3 + 400 * i, 1000, 1, 32, 1, k));
            for (size_t t = 0; t < 32; t++)
                scores[i] += (double)q[t] * (double)k[t];
            free(q);
            free(k);
        }
        assert_true(fabs(scores[0] - scores[1]) < 1e-3);
    }
}

/* ---- the same bits -------------------------------------------------------------------------------------------- */

static void rope_has_the_same_bits_everywhere(ink_context *ctx)
{
    enum { N = 300, HEADS = 33, DIM = 66, STRIDE = HEADS * DIM + 5 };
    ink_context *other = NULL;
    for (int type = INK_ROPE_PLAIN; type < INK_ROPE_N_TYPES; type++) {
        const ink_rope rope = any_rope((ink_rope_type)type, DIM, 10000);
        float *x = test_random((size_t)N * STRIDE, 3, 1), *expected = test_floats((size_t)N * STRIDE);
        memcpy(expected, x, (size_t)N * STRIDE * sizeof *x);
        assert_ok(ctx, ink_rope_forward(ctx, &rope, 50, 400, HEADS, STRIDE, N, expected));
        for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
            void *block;
            float *here = test_unaligned(x, (size_t)N * STRIDE, i % 15 + 1, &block);
            for (size_t done = 0, count; done < N; done += count) {
                count = done + 1 + 7 * i < N ? 1 + 7 * i : N - done;
                assert_ok(other,
                          ink_rope_forward(other, &rope, 50 + done, 400, HEADS, STRIDE, count, here + done * STRIDE));
            }
            test_assert_same_bits(here, expected, (size_t)N * STRIDE, ink_rope_type_name(rope.type));
            free(block);
        }
        free(x);
        free(expected);
    }
}

/* Heads are turned, what lies behind them in a row is not. */
static void only_heads_are_turned(ink_context *ctx)
{
    const ink_rope rope = {.head_dim = 6, .theta = 100};
    float *x = test_random(5 * 20, 1, 1), *before = test_random(5 * 20, 1, 1);
    assert_ok(ctx, ink_rope_forward(ctx, &rope, 9, 100, 2, 20, 5, x));
    for (size_t row = 0; row < 5; row++) {
        assert_memory_not_equal(x + row * 20, before + row * 20, 12 * sizeof *x);
        test_assert_same_bits(x + row * 20 + 12, before + row * 20 + 12, 8, "behind the heads");
    }
    assert_ok(ctx, ink_rope_forward(ctx, &rope, 9, 100, 0, 20, 5, x));
    memcpy(before, x, sizeof *x);
    assert_ok(ctx, ink_rope_forward(ctx, &rope, 0, 100, 3, 20, 1, x)); /* position 0 turns by nothing */
    test_assert_same_bits(x, before, 1, "position 0");
    free(x);
    free(before);
}

/* The capacity counts for dynamic alone, and there only beyond the trained length. */
static void only_dynamic_looks_at_the_capacity(ink_context *ctx)
{
    for (int type = INK_ROPE_PLAIN; type < INK_ROPE_N_TYPES; type++) {
        const ink_rope rope = any_rope((ink_rope_type)type, 16, 1000);
        float *a = test_random(16, 1, 1), *b = test_random(16, 1, 1), *c = test_random(16, 1, 1);
        assert_ok(ctx, ink_rope_forward(ctx, &rope, 40, 1, 1, 16, 1, a));
        assert_ok(ctx, ink_rope_forward(ctx, &rope, 40, 300, 1, 16, 1, b));
        assert_ok(ctx, ink_rope_forward(ctx, &rope, 40, 301, 1, 16, 1, c));
        test_assert_same_bits(b, a, 16, ink_rope_type_name(rope.type));
        assert_int_equal(memcmp(b, c, 16 * sizeof *b) == 0, type != INK_ROPE_DYNAMIC);
        free(a);
        free(b);
        free(c);
    }
}

/* ---- the contract --------------------------------------------------------------------------------------------- */

static void impossible_ropes_are_refused(ink_context *ctx)
{
    const ink_rope llama3 = any_rope(INK_ROPE_LLAMA3, 8, 100), yarn = any_rope(INK_ROPE_YARN, 8, 100);
    struct {
        ink_rope rope;
        const char *words;
    } bad[] = {
        {{.type = (ink_rope_type)9, .head_dim = 8, .theta = 100}, "no rope type 9"},
        {{.type = (ink_rope_type)-1, .head_dim = 8, .theta = 100}, "there is no rope type"},
        {{.head_dim = 0, .theta = 100}, "head_dim is 0"},
        {{.head_dim = 7, .theta = 100}, "head_dim is 7, expected an even number"},
        {{.head_dim = 8, .theta = 1}, "theta"},
        {{.head_dim = 8, .theta = 2e30}, "theta"},
        {{.head_dim = 8, .theta = NAN}, "theta"},
        {{.type = INK_ROPE_LINEAR, .head_dim = 8, .theta = 100}, "rope of type linear: expected a factor"},
        {{.type = INK_ROPE_LINEAR, .head_dim = 8, .theta = 100, .factor = 0.5}, "factor"},
        {{.type = INK_ROPE_LINEAR, .head_dim = 8, .theta = 100, .factor = INFINITY}, "factor"},
        {{.type = INK_ROPE_DYNAMIC, .head_dim = 8, .theta = 100, .factor = 2}, "original length"},
        {{.type = INK_ROPE_DYNAMIC, .head_dim = 2, .theta = 100, .factor = 2, .original_length = 9}, "above 2"},
        {llama3, "low_freq_factor"},
        {llama3, "low_freq_factor"},
        {yarn, "beta_slow"},
        {yarn, "beta_slow"},
        {yarn, "attention_factor"},
        {yarn, "original length"},
    };
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, same[8];
    bad[12].rope.low_freq_factor = 0;
    bad[13].rope.low_freq_factor = 12;
    bad[14].rope.beta_slow = 0;
    bad[15].rope.beta_fast = NAN;
    bad[16].rope.attention_factor = -1;
    bad[17].rope.original_length = (1 << 24) + 1;
    memcpy(same, x, sizeof x);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(ctx, ink_rope_forward(ctx, &bad[i].rope, 0, 1, 1, 8, 1, x), INK_ERROR_ARGUMENT, bad[i].words);

    const ink_rope good = {.head_dim = 4, .theta = 100};
    assert_fails(ctx, ink_rope_forward(ctx, &good, INK_ROPE_MAX_LENGTH, 1, 1, 4, 1, x), INK_ERROR_LIMIT,
                 "1 tokens from position 131072");
    assert_fails(ctx, ink_rope_forward(ctx, &good, INK_ROPE_MAX_LENGTH - 1, 1, 1, 4, 2, x), INK_ERROR_LIMIT, "131071");
    assert_fails(ctx, ink_rope_forward(ctx, &good, 1, 1, 1, 4, SIZE_MAX, x), INK_ERROR_LIMIT, NULL);
    assert_fails(ctx, ink_rope_forward(ctx, &good, SIZE_MAX, 1, 1, 4, 1, x), INK_ERROR_LIMIT, NULL);
    assert_fails(ctx, ink_rope_forward(ctx, &good, 0, 1, 2, 7, 1, x), INK_ERROR_ARGUMENT, "do not fit a row of 7");
    assert_fails(ctx, ink_rope_forward(ctx, &good, 0, 1, SIZE_MAX, 8, 1, x), INK_ERROR_ARGUMENT, "do not fit");
    assert_fails(ctx, ink_rope_forward(ctx, NULL, 0, 1, 1, 4, 1, x), INK_ERROR_ARGUMENT, "'rope'");
    assert_fails(ctx, ink_rope_forward(ctx, &good, 0, 1, 1, 4, 1, NULL), INK_ERROR_ARGUMENT, "'x'");
    assert_int_equal(ink_rope_forward(NULL, &good, 0, 1, 1, 4, 1, x), INK_ERROR_ARGUMENT);
    assert_ok(ctx, ink_rope_forward(ctx, &good, 0, 1, 1, 4, 0, NULL));
    test_assert_same_bits(x, same, 8, "nothing is written");
    assert_string_equal(ink_rope_type_name(INK_ROPE_YARN), "yarn");
    assert_string_equal(ink_rope_type_name(INK_ROPE_N_TYPES), "unknown");
    assert_string_equal(ink_rope_type_name((ink_rope_type)-1), "unknown");
}

/* Scratch does not grow with the rows, and no memory is a sentence. */
static void rope_takes_little_memory(ink_context *ctx, counting *memory)
{
    const ink_rope rope = {.head_dim = 64, .theta = 10000};
    float *x = test_random(5000 * 64, 1, 1);
    assert_true(runs_out_of_memory(ctx, memory, 1, ink_rope_forward(ctx, &rope, 0, 5000, 1, 64, 5000, x), NULL));
    size_t before = memory->peak_bytes = memory->live_bytes;
    assert_ok(ctx, ink_rope_forward(ctx, &rope, 0, 5000, 1, 64, 5000, x));
    assert_true(memory->peak_bytes - before < 128 * 1024);
    size_t takes = memory->takes;
    assert_ok(ctx, ink_rope_forward(ctx, &rope, 0, 5000, 1, 64, 5000, x));
    assert_int_equal(memory->takes, takes);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(rope_gives_the_numbers_of_transformers),
        context_test(llama3_frequencies_are_the_known_ones),
        context_test(rope_of_every_type_and_size_is_right),
        context_test(frequencies_are_those_of_transformers),
        context_test(frequencies_are_exact),
        context_test(scores_depend_on_the_distance),
        context_test(rope_has_the_same_bits_everywhere),
        context_test(only_heads_are_turned),
        context_test(only_dynamic_looks_at_the_capacity),
        context_test(impossible_ropes_are_refused),
        counted_test(rope_takes_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
