/*
 * test_blocks.c - blocks of quantised weights: the values are those of gguf-py to the bit, in vectors and in matrices.
 */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"

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

/* A value is the scale times q, plus the minimum, in the blocks with ordinary scales. */
static void codes(ink_context *ctx, ink_type type, const reference *r)
{
    const int8_t *levels = ink_block_levels(type);
    (void)ctx;
    for (size_t b = 0; b < r->n_blocks / 2; b++) {
        uint8_t code[INK_MOST_ELEMENTS];
        const float *value = r->values + b * r->size.elements;
        ink_block_codes(type, r->blocks + b * r->size.bytes, code);
        /* Any three elements of a group lie on one line of q. */
        for (size_t i = 0; i + 2 < 16; i++) {
            double q[3];
            for (size_t j = 0; j < 3; j++)
                q[j] = levels != NULL ? levels[code[i + j]] : (double)code[i + j] - ink_block_zero(type);
            double a = ((double)value[i] - (double)value[i + 1]) * (q[0] - q[2]);
            double c = ((double)value[i] - (double)value[i + 2]) * (q[0] - q[1]);
            double size = (fabs((double)value[i]) + fabs((double)value[i + 1]) + fabs((double)value[i + 2])) * 256;
            assert_true(fabs(a - c) <= 1e-6 * size);
        }
    }
}

static void codes_are_those_of_the_values(ink_context *ctx) { for_every_type(ctx, codes); }

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(values_are_those_of_gguf),
        context_test(codes_are_those_of_the_values),
        context_test(matrices_take_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
