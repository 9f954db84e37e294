/*
 * test_blocks.c - blocks of quantised weights: their values are those of gguf-py to the bit, in matrices too; what
 * floats lose that become blocks.
 */
#include "testing.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"

#include "../src/base/bytes.h"
#include "../src/tensor/blocks.h"
#include "../src/tensor/packed.h"

/* The blocks and values of one type in fixtures/blocks.safetensors. */
typedef struct reference {
    const char *name;
    ink_block_size size;
    size_t n_blocks, n_values;
    unsigned char *room, *blocks; /* at an odd address */
    float *values;
} reference;

static void reference_read(ink_context *ctx, const ink_weights *file, ink_type type, reference *r)
{
    char name[64];
    r->name = ink_type_name(type);
    r->size = ink_type_block(type);
    snprintf(name, sizeof name, "%s.blocks", r->name);
    const ink_weight *blocks = ink_weights_find(file, name);
    snprintf(name, sizeof name, "%s.values", r->name);
    const ink_weight *values = ink_weights_find(file, name);
    assert_true(blocks != NULL && values != NULL);
    assert_int_equal(blocks->shape.dim[1], r->size.bytes);
    assert_int_equal(values->shape.dim[1], r->size.elements);
    r->n_blocks = blocks->shape.dim[0];
    r->n_values = r->n_blocks * r->size.elements;
    r->room = malloc((size_t)blocks->size + 1);
    r->blocks = r->room + 1;
    r->values = malloc((size_t)values->size);
    assert_true(r->room != NULL && r->values != NULL);
    assert_ok(ctx, ink_weights_read_bytes(ctx, file, blocks, 0, r->blocks, (size_t)blocks->size));
    assert_ok(ctx, ink_weights_read(ctx, file, values, r->values));
}

static void reference_free(reference *r)
{
    free(r->room);
    free(r->values);
}

/* Runs a check on the reference of every quantised type. */
static void for_every_type(ink_context *ctx, void (*check)(ink_context *ctx, ink_type type, const reference *r))
{
    ink_weights *file;
    assert_ok(ctx, ink_weights_open(ctx, FIXTURES "/blocks.safetensors", &file));
    for (int type = INK_Q8_0; type < INK_N_TYPES; type++) {
        reference r;
        reference_read(ctx, file, (ink_type)type, &r);
        check(ctx, (ink_type)type, &r);
        reference_free(&r);
    }
    ink_weights_free(file);
}

static void same_values(const reference *r, const float *values)
{
    for (size_t i = 0; i < r->n_values; i++)
        if (!same_float(values[i], r->values[i]))
            fail_msg("%s: element %zu of block %zu is %a, the reference has %a", r->name, i % r->size.elements,
                     i / r->size.elements, (double)values[i], (double)r->values[i]);
}

/* All blocks in one call, and through ink_widen(), one by one. */
static void widened(ink_context *ctx, ink_type type, const reference *r)
{
    float *values = guarded_block(r->n_values * sizeof *values);
    ink_blocks_to_f32(type, r->blocks, r->n_values, values);
    same_values(r, values);
    memset(values, 0xff, r->n_values * sizeof *values);
    for (size_t i = 0; i < r->n_blocks; i++)
        ink_widen(ctx->kernel, type, r->blocks + i * r->size.bytes, r->size.elements, values + i * r->size.elements);
    same_values(r, values);
    guarded_free(values, r->n_values * sizeof *values);
}

static void values_are_those_of_gguf(ink_context *ctx) { for_every_type(ctx, widened); }

/* Rows of blocks in a matrix are the values, rounded to its type; in pieces too. */
static void matrices(ink_context *ctx, ink_type type, const reference *r)
{
    size_t n = r->n_blocks / 2, k = 2 * r->size.elements;
    for (int held = INK_F32; held <= INK_F16; held++) {
        ink_arena arena;
        ink_matrix by_blocks, by_values;
        ink_arena_grow(&arena, &ctx->allocator);
        ink_matrix_alloc(&arena, &by_blocks, n, k, (ink_type)held);
        ink_matrix_alloc(&arena, &by_values, n, k, (ink_type)held);
        assert_false(ink_arena_failed(&arena));
        size_t size = ink_matrix_bytes(n, k, (ink_type)held);
        memset(by_blocks.panels, 0xff, size);
        memset(by_values.panels, 0xff, size);
        ink_matrix_fill_rows(ctx->kernel, &by_blocks, 0, 1, type, r->blocks);
        ink_matrix_fill_rows(ctx->kernel, &by_blocks, 1, n - 1, type, r->blocks + 2 * r->size.bytes);
        ink_matrix_fill_rows(ctx->kernel, &by_values, 0, n, INK_F32, r->values);
        for (size_t i = 0; i < n; i++) {
            float a[2 * INK_MOST_ELEMENTS], b[2 * INK_MOST_ELEMENTS];
            ink_matrix_read_row(&by_blocks, i, 0, k, a);
            ink_matrix_read_row(&by_values, i, 0, k, b);
            for (size_t t = 0; t < k; t++)
                assert_true(same_float(a[t], b[t]));
        }
        ink_arena_free(&arena);
    }
}

static void matrices_take_blocks(ink_context *ctx) { for_every_type(ctx, matrices); }

/* ---- quantising ------------------------------------------------------------------------------------------------- */

/* The types that floats can be quantised to. Errors are of normally distributed weights, as a share of their size, with
   what ggml's quantiser does to such weights (make_blocks.py --check prints both). */
static const struct quantiser {
    ink_type type;
    double error, ggml;
    double nan_above;
} quantisers[] = {{INK_Q8_0, 0.00530, 0.00536, 127 * 65504.0},
                  {INK_Q5_0, 0.0404, 0.0427, 16 * 65504.0},
                  {INK_Q4_0, 0.0812, 0.0859, 8 * 65504.0},
                  {INK_Q4_K, 0.0702, 0.0712, 63 * 65504.0},
                  {INK_Q6_K, 0.0170, 0.0177, 128 * 32 * 65504.0}};
#define N_QUANTISERS (sizeof quantisers / sizeof *quantisers)
#define N_WEIGHTS ((size_t)64 * INK_MOST_ELEMENTS)

static void quantise(ink_type type, const float *x, size_t n, float *back)
{
    unsigned char blocks[1 + N_WEIGHTS * 34 / 32];
    memset(blocks, 0xff, sizeof blocks);
    ink_blocks_from_f32(type, x, n, blocks + 1);
    ink_blocks_to_f32(type, blocks + 1, n, back);
}

static void errors_are_small(void **unused)
{
    static float x[N_WEIGHTS], back[N_WEIGHTS];
    uint64_t seed = 15;
    (void)unused;
    for (size_t i = 0; i < N_WEIGHTS; i++) {
        float parts[12], sum = 0;
        random_floats(&seed, 12, parts);
        for (size_t j = 0; j < 12; j++)
            sum += parts[j];
        x[i] = 0.01f * sum;
    }
    for (const struct quantiser *q = quantisers; q < quantisers + N_QUANTISERS; q++) {
        double error = 0, size = 0;
        quantise(q->type, x, N_WEIGHTS, back);
        for (size_t i = 0; i < N_WEIGHTS; i++) {
            error += ((double)back[i] - (double)x[i]) * ((double)back[i] - (double)x[i]);
            size += (double)x[i] * (double)x[i];
        }
        print_message("%s: error %.4f %%\n", ink_type_name(q->type), 100 * sqrt(error / size));
        assert_true(sqrt(error / size) < q->error && q->error < q->ggml);
    }
}

/* What blocks hold exactly comes back as it was: constants, powers of two, and what was quantised before. */
static void exact_values_stay(void **unused)
{
    (void)unused;
    for (const struct quantiser *q = quantisers; q < quantisers + N_QUANTISERS; q++) {
        float x[INK_MOST_ELEMENTS], back[INK_MOST_ELEMENTS], again[INK_MOST_ELEMENTS];
        static const float constants[] = {0, 1, -1, 0.5f, -0.25f};
        for (size_t c = 0; c < sizeof constants / sizeof *constants; c++) {
            for (size_t i = 0; i < INK_MOST_ELEMENTS; i++)
                x[i] = constants[c];
            quantise(q->type, x, INK_MOST_ELEMENTS, back);
            for (size_t i = 0; i < INK_MOST_ELEMENTS; i++)
                assert_true(fabs((double)back[i] - (double)x[i]) <= 0.001 * fabs((double)x[i]));
        }
        uint64_t seed = 4;
        random_floats(&seed, INK_MOST_ELEMENTS, x);
        quantise(q->type, x, INK_MOST_ELEMENTS, back);
        quantise(q->type, back, INK_MOST_ELEMENTS, again);
        for (size_t i = 0; i < INK_MOST_ELEMENTS; i++)
            assert_true(fabs((double)again[i] - (double)back[i]) < 0.002);
    }
}

/* A number that does not fit makes all of its block NaN, and no other block. */
static void impossible_values_are_loud(void **unused)
{
    (void)unused;
    for (const struct quantiser *q = quantisers; q < quantisers + N_QUANTISERS; q++) {
        const float bad[] = {
            NAN, INFINITY, -INFINITY, 3e38f, (float)(1.2 * q->nan_above), (float)(-1.2 * q->nan_above)};
        size_t elements = ink_type_block(q->type).elements, n = 3 * elements;
        float x[3 * INK_MOST_ELEMENTS], back[3 * INK_MOST_ELEMENTS];
        for (size_t b = 0; b < sizeof bad / sizeof *bad; b++) {
            for (size_t i = 0; i < n; i++)
                x[i] = (float)(i % 7) - 3;
            x[elements + elements / 2] = bad[b];
            /* Minima reach less far than scales. */
            if (q->type == INK_Q4_K && b == 4)
                x[elements + elements / 2] = -bad[b];
            quantise(q->type, x, n, back);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(isnan(back[i]) != 0, i / elements == 1);
        }
        for (size_t i = 0; i < n; i++)
            x[i] = (i & 1) == 0 ? 2e-8f : -2e-8f;
        quantise(q->type, x, n, back);
        for (size_t i = 0; i < n; i++)
            assert_true(back[i] == 0);
    }
}

/* The bytes are the same on every machine that rounds floats to floats (x87 does not). */
static void bytes_are_the_same_everywhere(void **unused)
{
    static const uint64_t sums[N_QUANTISERS] = {0x257caedb062be0bf, 0x331d92d98f1f2dce, 0xad943e10166cca2b,
                                                0xf14f0d5f798f834d, 0xcc88fc322242c11c};
    static float x[N_WEIGHTS];
    static unsigned char blocks[N_WEIGHTS * 34 / 32];
    uint64_t seed = 3;
    (void)unused;
    if (FLT_EVAL_METHOD != 0)
        skip();
    random_floats(&seed, N_WEIGHTS, x);
    for (size_t i = 0; i < N_QUANTISERS; i++) {
        const ink_block_size block = ink_type_block(quantisers[i].type);
        ink_blocks_from_f32(quantisers[i].type, x, N_WEIGHTS, blocks);
        uint64_t sum = ink_hash(0, blocks, N_WEIGHTS / block.elements * block.bytes);
        if (sum != sums[i])
            fail_msg("%s: the bytes have the checksum %#llx", ink_type_name(quantisers[i].type),
                     (unsigned long long)sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(values_are_those_of_gguf),       context_test(matrices_take_blocks),
        cmocka_unit_test(errors_are_small),           cmocka_unit_test(exact_values_stay),
        cmocka_unit_test(impossible_values_are_loud), cmocka_unit_test(bytes_are_the_same_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
