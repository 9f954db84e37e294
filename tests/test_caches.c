/*
 * test_caches.c - keys and values as f16 and as 8-bit codes: what attention computes with them, and that states of
 * every type keep all promises.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "fixture.h"
#include "numbers.h"
#include "support/layers.h"

#include "../src/base/bytes.h"
#include "../src/layers/layers.h"
#include "../src/models/networks.h"

static const ink_type types[] = {INK_F32, INK_F16, INK_I8};
#define N_TYPES (sizeof types / sizeof *types)

/* ---- attention --------------------------------------------------------------------------------------------------- */

static size_t qkv_width(const ink_attention *a) { return (a->n_heads + 2 * a->n_kv_heads) * a->head_dim; }

static float *attend(ink_context *ctx, const ink_attention *a, ink_type type, const float *qkv, size_t n, size_t piece)
{
    ink_kv_cache *cache;
    float *y = test_floats(n * a->n_heads * a->head_dim);
    assert_ok(ctx, ink_kv_cache_create_as(ctx, a, n + piece, type, &cache));
    for (size_t done = 0; done < n; done += piece) {
        size_t count = piece < n - done ? piece : n - done;
        assert_ok(ctx, ink_attention_forward(ctx, a, cache, qkv + done * qkv_width(a), count,
                                             y + done * a->n_heads * a->head_dim));
    }
    ink_kv_cache_free(cache);
    return y;
}

/* The same rows with keys and values rounded as the cache rounds them, worked out here. */
static float *rounded(const ink_attention *a, ink_type type, const float *qkv, size_t n)
{
    float *copy = test_floats(n * qkv_width(a));
    memcpy(copy, qkv, n * qkv_width(a) * sizeof *copy);
    for (size_t head = 0; head < n * 2 * a->n_kv_heads; head++) {
        float largest = 0, *x = copy + head / (2 * a->n_kv_heads) * qkv_width(a) +
                                (a->n_heads + head % (2 * a->n_kv_heads)) * a->head_dim;
        for (size_t i = 0; i < a->head_dim; i++)
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
        for (size_t i = 0; i < a->head_dim; i++) {
            int exponent;
            frexpf(x[i], &exponent);
            if (type == INK_I8)
                x[i] = (float)nearbyint((double)(x[i] / (largest / 127))) * (largest / 127);
            else if (type == INK_F16) /* 11 bits, the last of them worth at least 2^-24 */
                x[i] = ldexpf((float)nearbyint(ldexp((double)x[i], exponent < -13 ? 24 : 11 - exponent)),
                              exponent < -13 ? -24 : exponent - 11);
        }
    }
    return copy;
}

static const ink_attention attentions[] = {
    {.n_heads = 4, .n_kv_heads = 2, .head_dim = 24},
    {.n_heads = 3, .n_kv_heads = 1, .head_dim = 7},
    {.n_heads = 2, .n_kv_heads = 2, .head_dim = 1},
    {.n_heads = 6, .n_kv_heads = 3, .head_dim = 64},
    {.n_heads = 3, .n_kv_heads = 1, .head_dim = 7, .window = 5},
    {.n_heads = 4, .n_kv_heads = 2, .head_dim = 24, .window = 260},
    {.n_heads = 2, .n_kv_heads = 1, .head_dim = 33, .bidirectional = true},
};
#define N_ATTENTIONS (sizeof attentions / sizeof *attentions)

/* f16 gives the bits of f32 with rounded keys and values. Codes give the same numbers, only their scales are multiplied
   elsewhere. */
static void attention_is_that_of_rounded_keys_and_values(ink_context *ctx)
{
    const size_t n = 300;
    for (size_t i = 0; i < N_ATTENTIONS; i++)
        for (size_t t = 1; t < N_TYPES; t++) {
            const ink_attention *a = &attentions[i];
            float *qkv = test_random(n * qkv_width(a), i, 1), *held = rounded(a, types[t], qkv, n);
            float *y = attend(ctx, a, types[t], qkv, n, n), *expected = attend(ctx, a, INK_F32, held, n, n);
            float *exact = attend(ctx, a, INK_F32, qkv, n, n);
            if (types[t] == INK_F16)
                test_assert_same_bits(y, expected, n * a->n_heads * a->head_dim, "f16");
            else
                test_assert_close(y, expected, n * a->n_heads * a->head_dim, 2e-6, 2e-6, "codes");
            const double difference = largest_difference(y, exact, n * a->n_heads * a->head_dim, NULL);
            assert_true(difference > 0);
            if (difference > (types[t] == INK_F16 ? 4e-3 : 5e-2))
                fail_msg("%s: the results of attention %zu differ by %g from those of f32", ink_type_name(types[t]), i,
                         difference);
            free(qkv), free(held), free(y), free(expected), free(exact);
        }
}

/* Every kernel and number of threads, whole and in pieces. */
static void attention_has_the_same_bits_everywhere(void **unused)
{
    const size_t n = 280;
    (void)unused;
    for (size_t i = 0; i < N_ATTENTIONS; i++)
        for (size_t t = 1; t < N_TYPES; t++) {
            const ink_attention *a = &attentions[i];
            ink_context *ctx = test_context(1), *other = NULL;
            float *qkv = test_random(n * qkv_width(a), 50 + i, 1), *expected = attend(ctx, a, types[t], qkv, n, n);
            for (size_t v = 0; (other = test_variant(other, v)) != NULL; v++)
                for (size_t piece = v % 2 != 0 ? 1 : 33; piece <= n; piece = piece == n ? n + 1 : n) {
                    float *y = attend(other, a, types[t], qkv, n, a->bidirectional ? n : piece);
                    test_assert_same_bits(y, expected, n * a->n_heads * a->head_dim, ink_context_kernel(other));
                    free(y);
                }
            free(qkv), free(expected);
            ink_context_free(ctx);
        }
}

/* What a type cannot hold shows in every row that sees it, and in no other. */
static void what_cannot_be_held_is_not_quiet(ink_context *ctx)
{
    const ink_attention a = {.n_heads = 2, .n_kv_heads = 1, .head_dim = 8};
    const size_t n = 40, width = qkv_width(&a), at = 20;
    static const struct {
        ink_type type;
        float value;
        bool held;
    } cases[] = {{INK_F16, 65519, true},      {INK_F16, 65520, false}, {INK_F16, -1e30f, false},  {INK_F16, NAN, false},
                 {INK_F16, -INFINITY, false}, {INK_I8, 1e38f, true},   {INK_I8, INFINITY, false}, {INK_I8, NAN, false},
                 {INK_I8, 0, true},           {INK_I8, 1e-40f, true}};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        float *qkv = test_random(n * width, 3, 1), *before = attend(ctx, &a, cases[i / 2].type, qkv, n, n);
        float *hit = qkv + at * width + a.n_heads * a.head_dim + (i % 2) * a.head_dim; /* its key, its value */
        for (size_t j = 0; j < a.head_dim; j++)
            hit[j] = j == 3 || cases[i / 2].held ? cases[i / 2].value * (j == 3 ? 1 : 0.001f) : hit[j];
        for (size_t piece = 1; piece <= n; piece += n - 1) {
            float *y = attend(ctx, &a, cases[i / 2].type, qkv, n, piece);
            test_assert_same_bits(y, before, at * 16, "rows before");
            for (size_t j = at * 16; j < n * 16; j++)
                if (isfinite(y[j]) != cases[i / 2].held && !(cases[i / 2].held && cases[i / 2].value > 1e37f))
                    fail_msg("%s, %g: y[%zu] is %g", ink_type_name(cases[i / 2].type), (double)cases[i / 2].value, j,
                             (double)y[j]);
            free(y);
        }
        free(qkv), free(before);
    }
}

static void other_types_are_refused(ink_context *ctx)
{
    ink_kv_cache *cache;
    for (unsigned type = 0; type < INK_N_TYPES + 2; type++) {
        bool good = type == INK_TYPE_NONE || type == INK_F32 || type == INK_F16 || type == INK_I8;
        if (good)
            assert_ok(ctx, ink_kv_cache_create_as(ctx, &attentions[0], 20, (ink_type)type, &cache));
        else
            assert_fails(ctx, ink_kv_cache_create_as(ctx, &attentions[0], 20, (ink_type)type, &cache),
                         INK_ERROR_ARGUMENT, "only as F32, F16 or I8");
        assert_true((cache != NULL) == good);
        ink_kv_cache_free(cache);
        cache = NULL;
    }
    assert_fails(ctx, ink_kv_cache_create_as(ctx, &attentions[0], SIZE_MAX / 40, INK_I8, &cache), INK_ERROR_LIMIT,
                 NULL);
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

static ink_state *new_state(const fixture *f, size_t capacity, ink_type type)
{
    ink_state *state;
    const ink_state_options options = {.capacity = capacity, .cache = type};
    assert_ok(f->ctx, ink_state_create_with(f->ctx, f->model, &options, &state));
    return state;
}

/* Logits of tokens first .. end - 1 [end - first, vocab_size]. */
static float *run(const fixture *f, ink_state *state, size_t first, size_t end)
{
    float *logits = test_floats((end - first) * f->info->vocab_size);
    const ink_item item = test_item(state, f->tokens + first, end - first, logits, end - first);
    assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, &item, 1));
    return logits;
}

static void run_and_compare(const fixture *f, ink_state *state, size_t first, size_t end, const float *whole,
                            const char *what)
{
    float *logits = run(f, state, first, end);
    assert_same_bits(f->name, what, logits, whole + first * f->info->vocab_size, (end - first) * f->info->vocab_size);
    free(logits);
}

/* Whole, token by token, in pieces, beside others of other types, after going back, copied, saved and loaded. */
static void states_of_every_type_go_on_alike(const fixture *f)
{
    size_t vocab_size = f->info->vocab_size, n = f->n_tokens;
    ink_state *plain = new_state(f, n, INK_F32);
    float *exact = run(f, plain, 0, n);
    for (size_t t = 0; t < N_TYPES; t++) {
        ink_state *state = new_state(f, n, types[t]), *other = new_state(f, n + 3 <= 40 ? n + 3 : n, types[t]);
        float *whole = run(f, state, 0, n);
        ink_state_reset(state);
        for (size_t i = 0; i < n; i++)
            run_and_compare(f, state, i, i + 1, whole, "token by token");
        ink_state_reset(state);
        run_and_compare(f, state, 0, 17, whole, "a piece");
        assert_ok(f->ctx, ink_state_copy(f->ctx, state, other));
        run_and_compare(f, other, 17, 20, whole, "a copy");

        size_t size, again;
        assert_int_equal(ink_state_save(f->ctx, other, NULL, 0, &size), INK_ERROR_LIMIT);
        unsigned char *bytes = (void *)test_floats(size / 4 + 1), *copy = (void *)test_floats(size / 4 + 1);
        assert_ok(f->ctx, ink_state_save(f->ctx, other, bytes, size, &size));
        ink_state_reset(state);
        assert_ok(f->ctx, ink_state_load(f->ctx, state, bytes, size));
        assert_int_equal(ink_state_length(state), 20);
        assert_ok(f->ctx, ink_state_save(f->ctx, state, copy, size, &again));
        assert_int_equal(again, size);
        assert_memory_equal(copy, bytes, size);
        run_and_compare(f, state, 20, 23, whole, "loaded");
        if (f->model->network == INK_NETWORK_TRANSFORMER) {
            assert_ok(f->ctx, ink_state_rewind(f->ctx, state, 15));
            run_and_compare(f, state, 15, 22, whole, "after going back");
            /* A copy of what is new alone, as beams make it. */
            assert_ok(f->ctx, ink_state_rewind(f->ctx, other, 18));
            assert_ok(f->ctx, ink_state_copy_from(f->ctx, state, other, 18));
            run_and_compare(f, other, 22, n, whole, "a copy from token 18 on");
        }
        for (size_t u = 0; u < N_TYPES && f->model->network == INK_NETWORK_TRANSFORMER; u++) {
            ink_state *foreign = new_state(f, n, types[u]);
            if (u != t) {
                assert_fails(f->ctx, ink_state_copy(f->ctx, state, foreign), INK_ERROR_MISMATCH, "keys and values as");
                assert_fails(f->ctx, ink_state_load(f->ctx, foreign, bytes, size), INK_ERROR_MISMATCH,
                             ink_type_name(types[t]));
            }
            ink_state_free(foreign);
        }

        ink_state *lone = new_state(f, n, types[t]), *beside = new_state(f, n, types[(t + 1) % N_TYPES]);
        float *first = test_floats(n * vocab_size), *second = test_floats(5 * vocab_size);
        const ink_item items[] = {test_item(beside, f->tokens + 2, 5, second, 5),
                                  test_item(lone, f->tokens, n, first, n)};
        assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, items, 2));
        assert_same_bits(f->name, "beside another", first, whole, n * vocab_size);

        double largest;
        const double difference = largest_difference(whole, exact, n * vocab_size, &largest);
        print_message("%-10s %-4s logits differ by %.1e of the largest\n", f->name, ink_type_name(types[t]),
                      difference / largest);
        bool rounds = types[t] != INK_F32 && f->model->network == INK_NETWORK_TRANSFORMER;
        assert_true(rounds ? difference > 0 : difference == 0);
        assert_true(difference <= (types[t] == INK_F16 ? 1e-2 : 1e-1) * largest);
        ink_state_free(lone), ink_state_free(beside), ink_state_free(state), ink_state_free(other);
        free(first), free(second), free(whole), free(bytes), free(copy);
    }
    ink_state_free(plain);
    free(exact);
}

/* Keys and values take what the header says, and all of it is taken from the hook or from the caller's block. */
static void states_are_as_large_as_reported(const fixture *f)
{
    const ink_stack_config *config = &f->model->transformer.stack.config;
    const ink_attention *a = config->attention;
    for (size_t t = 0; t < N_TYPES; t++) {
        counting memory;
        size_t size, empty, capacity = 32;
        ink_context *ctx = counting_begin(&memory, 1);
        ink_state_options options = {.capacity = capacity, .cache = types[t]};
        ink_state *state;
        assert_ok(ctx, ink_state_size_with(ctx, f->model, &options, &size));
        size_t lanes = types[t] == INK_F16 ? 32 : 16, wide = (a->head_dim + lanes - 1) / lanes * lanes;
        size_t bytes = config->n_blocks * a->n_kv_heads *
                       (capacity * (a->head_dim + wide) * ink_type_bits(types[t]) / 8 +
                        (types[t] == INK_I8 ? 2 * capacity * sizeof(float) : 0));
        options.capacity = 1;
        assert_ok(ctx, ink_state_size_with(ctx, f->model, &options, &empty));
        assert_true(size >= bytes && size <= bytes + config->n_blocks * INK_ALIGNMENT + 1024);
        assert_true(empty < size);

        options.capacity = capacity;
        size_t before = memory.live_bytes;
        assert_ok(ctx, ink_state_create_with(ctx, f->model, &options, &state));
        assert_true(memory.live_bytes - before >= size && memory.live_bytes - before < size + INK_ALIGNMENT);
        ink_state_free(state);
        assert_int_equal(memory.live_bytes, before);

        options.block = test_aligned(size + INK_ALIGNMENT);
        options.block_size = size - 1;
        assert_fails(ctx, ink_state_create_with(ctx, f->model, &options, &state), INK_ERROR_MEMORY, "are needed");
        assert_null(state);
        options.block_size = size;
        assert_ok(ctx, ink_state_create_with(ctx, f->model, &options, &state));
        assert_ok(ctx, ink_model_forward(ctx, f->model, state, f->tokens, capacity, NULL));
        for (size_t i = 0; i < INK_ALIGNMENT; i++)
            assert_int_equal(((unsigned char *)options.block)[size + i], 0xff);
        ink_state_free(state);
        test_aligned_free(options.block);
        counting_end(&memory, ctx);
    }
    ink_state *state;
    size_t all, with;
    assert_ok(f->ctx, ink_state_size(f->ctx, f->model, 0, &all));
    assert_ok(f->ctx, ink_state_size_with(f->ctx, f->model, NULL, &with));
    assert_int_equal(all, with);
    const ink_state_options wrong = {.cache = INK_BF16};
    assert_fails(f->ctx, ink_state_size_with(f->ctx, f->model, &wrong, &with), INK_ERROR_ARGUMENT, "BF16");
    assert_int_equal(with, 0);
    assert_fails(f->ctx, ink_state_create_with(f->ctx, f->model, &wrong, &state), INK_ERROR_ARGUMENT, "BF16");
    assert_null(state);
    assert_fails(f->ctx, ink_state_create_with(f->ctx, f->model, NULL, NULL), INK_ERROR_ARGUMENT, "state");
    assert_fails(f->ctx, ink_state_create_with(f->ctx, NULL, NULL, &state), INK_ERROR_ARGUMENT, "model");
}

static void states_without_a_cache_ignore_the_type(const fixture *f)
{
    size_t plain;
    assert_ok(f->ctx, ink_state_size(f->ctx, f->model, 0, &plain));
    for (unsigned type = 0; type < INK_N_TYPES; type++) {
        const ink_state_options options = {.cache = (ink_type)type};
        size_t size;
        assert_ok(f->ctx, ink_state_size_with(f->ctx, f->model, &options, &size));
        assert_int_equal(size, plain);
        ink_state_free(new_state(f, 9, (ink_type)type));
    }
}

/* Every byte changed once: refused, and the state is as it was. */
static void damaged_bytes_are_refused(const fixture *f)
{
    for (size_t t = 1; t < N_TYPES; t++) {
        size_t size;
        unsigned char bytes[20000];
        ink_state *from = new_state(f, 40, types[t]), *to = new_state(f, 40, types[t]);
        free(run(f, from, 0, 9));
        assert_ok(f->ctx, ink_state_save(f->ctx, from, bytes, sizeof bytes, &size));
        for (size_t i = 0; i < size; i++) {
            bytes[i] ^= (unsigned char)(1 + i % 255);
            if (ink_state_load(f->ctx, to, bytes, size) == INK_OK)
                fail_msg("a saved state with byte %zu changed was accepted", i);
            bytes[i] ^= (unsigned char)(1 + i % 255);
            assert_int_equal(ink_state_length(to), 0);
        }
        for (size_t n = 0; n < size; n++)
            assert_int_equal(ink_state_load(f->ctx, to, bytes, n), INK_ERROR_CORRUPT);
        assert_ok(f->ctx, ink_state_load(f->ctx, to, bytes, size));
        ink_state_free(from);
        ink_state_free(to);
    }
}

/* ---- generating -------------------------------------------------------------------------------------------------- */

/* The generator's states have the type that was asked for; those of the caller go on as they are, or are refused where
   they would have to be copied. */
static void generators_use_the_type(const fixture *f)
{
    for (size_t t = 0; t < N_TYPES; t++) {
        const ink_generate_options options = {.max_tokens = 8, .capacity = 30, .cache = types[t]};
        ink_generate_options beams = options;
        ink_generator *generator;
        ink_state *state = new_state(f, 30, types[t]), *foreign = new_state(f, 30, types[(t + 1) % N_TYPES]);
        ink_request request = {.tokens = f->tokens, .n_tokens = 10};
        assert_ok(f->ctx, ink_generator_create(f->ctx, f->model, &options, &generator));
        assert_ok(f->ctx, ink_generate(f->ctx, generator, &request, 1));
        float *logits = test_floats(f->info->vocab_size);
        assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, 10, logits));
        for (size_t i = 0; i < request.results[0].n_tokens; i++) {
            ink_token next = (ink_token)ink_argmax(logits, f->info->vocab_size);
            assert_int_equal(request.results[0].tokens[i], next);
            assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, &next, 1, logits));
        }
        ink_generator_free(generator);

        beams.n_beams = 3;
        assert_ok(f->ctx, ink_generator_create(f->ctx, f->model, &beams, &generator));
        request.state = foreign;
        assert_fails(f->ctx, ink_generate(f->ctx, generator, &request, 1), INK_ERROR_MISMATCH, "keys and values as");
        request.state = NULL;
        assert_ok(f->ctx, ink_generate(f->ctx, generator, &request, 1));
        ink_generator_free(generator);
        ink_state_free(state), ink_state_free(foreign);
        free(logits);
    }
    ink_generator *generator;
    const ink_generate_options wrong = {.max_tokens = 8, .cache = INK_I16};
    assert_fails(f->ctx, ink_generator_create(f->ctx, f->model, &wrong, &generator), INK_ERROR_ARGUMENT, "I16");
    assert_null(generator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(attention_is_that_of_rounded_keys_and_values),
        cmocka_unit_test(attention_has_the_same_bits_everywhere),
        context_test(what_cannot_be_held_is_not_quiet),
        context_test(other_types_are_refused),
        fixture_test(states_of_every_type_go_on_alike),
        fixture_test_of(fixture_variants, fixture_open, states_of_every_type_go_on_alike),
        fixture_test_on("llama", states_are_as_large_as_reported),
        fixture_test_on("gpt2", states_are_as_large_as_reported),
        fixture_test_on("gru", states_without_a_cache_ignore_the_type),
        fixture_test_on("mlp", states_without_a_cache_ignore_the_type),
        fixture_test_on("llama", damaged_bytes_are_refused),
        fixture_test_on("gpt2", generators_use_the_type),
        fixture_test_on("qwen3", generators_use_the_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
