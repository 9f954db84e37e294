/*
 * test_matrix.c - tensors, packed matrices made from every type and shape, and the public product on any number of
 * threads.
 */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"
#include "oracle_matmul.h"

#include "../src/tensor/packed.h"

/* ---- tensor.h ---------------------------------------------------------------------------------------------------- */

static void types_have_names_and_sizes(void **unused)
{
    (void)unused;
    assert_string_equal(ink_type_name(INK_F32), "F32");
    assert_string_equal(ink_type_name(INK_BF16), "BF16");
    assert_string_equal(ink_type_name(INK_F8_E4M3FNUZ), "F8_E4M3FNUZ");
    assert_string_equal(ink_type_name(INK_TYPE_NONE), "none");
    assert_string_equal(ink_type_name(INK_N_TYPES), "none");
    assert_string_equal(ink_type_name((ink_type)-1), "none");
    assert_int_equal(ink_type_bits(INK_F64), 64);
    assert_int_equal(ink_type_bits(INK_F16), 16);
    assert_int_equal(ink_type_bits(INK_BOOL), 8);
    assert_int_equal(ink_type_bits(INK_F4), 4);
    assert_int_equal(ink_type_bits((ink_type)99), 0);
    for (int type = INK_F32; type < INK_N_TYPES; type++) {
        assert_true((ink_type_bits((ink_type)type) > 0) != ink_type_is_quantised((ink_type)type));
        assert_string_not_equal(ink_type_name((ink_type)type), "none");
    }
}

/* The sizes are those of gguf-py's GGML_QUANT_SIZES. */
static void blocks_have_sizes(void **unused)
{
    (void)unused;
    static const struct {
        ink_type type;
        const char *name;
        size_t elements, bytes;
    } rows[] = {{INK_Q8_0, "Q8_0", 32, 34},     {INK_Q4_0, "Q4_0", 32, 18},     {INK_Q4_1, "Q4_1", 32, 20},
                {INK_Q5_0, "Q5_0", 32, 22},     {INK_Q5_1, "Q5_1", 32, 24},     {INK_Q2_K, "Q2_K", 256, 84},
                {INK_Q3_K, "Q3_K", 256, 110},   {INK_Q4_K, "Q4_K", 256, 144},   {INK_Q5_K, "Q5_K", 256, 176},
                {INK_Q6_K, "Q6_K", 256, 210},   {INK_IQ4_NL, "IQ4_NL", 32, 18}, {INK_IQ4_XS, "IQ4_XS", 256, 136},
                {INK_MXFP4, "MXFP4", 32, 17},   {INK_F32, "F32", 1, 4},         {INK_F16, "F16", 1, 2},
                {INK_C64, "C64", 1, 8},         {INK_F8_E4M3, "F8_E4M3", 1, 1}, {INK_F4, "F4", 0, 0},
                {INK_F6_E2M3, "F6_E2M3", 0, 0}, {INK_F6_E3M2, "F6_E3M2", 0, 0}, {INK_TYPE_NONE, "none", 0, 0},
                {INK_N_TYPES, "none", 0, 0},    {(ink_type)-1, "none", 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ink_block_size block = ink_type_block(rows[i].type);
        assert_string_equal(ink_type_name(rows[i].type), rows[i].name);
        assert_int_equal(block.elements, rows[i].elements);
        assert_int_equal(block.bytes, rows[i].bytes);
        assert_int_equal(ink_type_is_quantised(rows[i].type), rows[i].type >= INK_Q8_0 && rows[i].type < INK_N_TYPES);
        assert_false(ink_type_is_quantised(rows[i].type) && ink_type_is_float(rows[i].type));
    }
}

static void shapes_are_counted(void **unused)
{
    const ink_shape scalar = {0}, usual = {3, {2, 3, 4}}, empty = {2, {0, 7}};
    const ink_shape huge = {2, {SIZE_MAX / 2, 3}}, hidden = {3, {SIZE_MAX / 2, 0, 3}};
    size_t count = 99;
    (void)unused;
    assert_true(ink_shape_count(&scalar, &count) && count == 1);
    assert_true(ink_shape_count(&usual, &count) && count == 24);
    assert_true(ink_shape_count(&empty, &count) && count == 0);
    assert_false(ink_shape_count(&huge, &count));
    assert_false(ink_shape_count(&hidden, &count));
    assert_true(ink_shape_equal(&usual, &usual));
    assert_false(ink_shape_equal(&usual, &empty));
    assert_false(ink_shape_equal(&huge, &empty));
    const size_t ranks[] = {9, 40, SIZE_MAX}; /* there are 8 dims; what lies behind them is not read */
    for (size_t i = 0; i < 3; i++) {
        const ink_shape none = {ranks[i], {1, 1, 1, 1, 1, 1, 1, 1}};
        assert_false(ink_shape_count(&none, &count));
        assert_false(ink_shape_equal(&none, &none));
    }
}

static void views_describe_arrays(void **unused)
{
    const float x[6] = {0};
    ink_tensor vector = ink_tensor_1d(x, 6), matrix = ink_tensor_2d(x, 2, 3);
    (void)unused;
    assert_true(vector.type == INK_F32 && vector.shape.rank == 1 && vector.shape.dim[0] == 6 && vector.data == x);
    assert_true(matrix.type == INK_F32 && matrix.shape.rank == 2 && matrix.data == x);
    assert_true(matrix.shape.dim[0] == 2 && matrix.shape.dim[1] == 3);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* Values that bf16, f16 and f64 all hold: eighths up to 8. */
static float eighth(size_t i) { return (float)((int)(i * 37 % 129) - 64) / 8; }

/* Elements 0 .. n - 1 of eighth() as `type`, at an odd address of the buffer. */
static ink_tensor stored(char *buffer, ink_type type, size_t rows, size_t columns)
{
    ink_tensor tensor = {.type = type, .shape = {2, {rows, columns}}, .data = buffer + 1};
    for (size_t i = 0; i < rows * columns; i++) {
        float f32 = eighth(i);
        double f64 = (double)f32;
        uint16_t bf16 = bf16_of(f32), f16 = type == INK_F16 ? f16_of(f32) : 0;
        size_t size = ink_type_bits(type) / 8;
        const void *from = type == INK_F32    ? (void *)&f32
                           : type == INK_F64  ? (void *)&f64
                           : type == INK_BF16 ? (void *)&bf16
                                              : (void *)&f16;
        memcpy(buffer + 1 + i * size, from, size);
    }
    return tensor;
}

static const ink_type sources[] = {INK_F32, INK_BF16, INK_F16, INK_F64};

static void matrices_of_every_type(ink_context *ctx)
{
    static char buffer[70 * 150 * 8 + 1];
    for (size_t s = 0; s < 4; s++)
        for (size_t n = 0; n < 70; n += 1 + n / 4)
            for (size_t k = 0; k < 150; k += 1 + k / 2)
                for (int type = INK_TYPE_NONE; type <= INK_F16; type++) {
                    ink_tensor tensor = stored(buffer, sources[s], n, k);
                    ink_matrix *matrix;
                    float row[150];
                    assert_ok(ctx, ink_matrix_create(ctx, &tensor, (ink_type)type, &matrix));
                    ink_type expected = type != INK_TYPE_NONE   ? (ink_type)type
                                        : sources[s] == INK_F64 ? INK_F32
                                                                : sources[s];
                    assert_int_equal(matrix->type, expected);
                    assert_true(matrix->n == n && matrix->k == k);
                    assert_int_equal((uintptr_t)matrix->panels % INK_ALIGNMENT, 0);
                    for (size_t i = 0; i < n; i++) {
                        assert_ok(ctx, ink_matrix_row(ctx, matrix, i, row));
                        for (size_t t = 0; t < k; t++)
                            assert_true(row[t] == eighth(i * k + t));
                    }
                    ink_matrix_free(matrix);
                }
}

/* The layout is part of the contract: lane l of panel p is output 16 p + l, with 16-bit types 32 p + l, and the lanes
   past n are zero. */
static void the_layout_is_the_promised_one(ink_context *ctx)
{
    static char buffer[35 * 5 * 4 + 1];
    ink_tensor tensor = stored(buffer, INK_F32, 35, 5);
    ink_matrix *matrix;
    assert_ok(ctx, ink_matrix_create(ctx, &tensor, INK_F32, &matrix));
    assert_int_equal(matrix->panel_stride, 16 * 5);
    const float *panels = matrix->panels;
    for (size_t p = 0; p < 3; p++)
        for (size_t t = 0; t < 5; t++)
            for (size_t l = 0; l < 16; l++) {
                float expected = 16 * p + l < 35 ? eighth((16 * p + l) * 5 + t) : 0;
                assert_true(same_float(panels[p * matrix->panel_stride + t * 16 + l], expected));
            }
    ink_matrix_free(matrix);

    assert_ok(ctx, ink_matrix_create(ctx, &tensor, INK_BF16, &matrix));
    assert_int_equal(matrix->panel_stride, 32 * 5);
    const uint16_t *halves = matrix->panels;
    for (size_t p = 0; p < 2; p++)
        for (size_t t = 0; t < 5; t++)
            for (size_t l = 0; l < 32; l++) {
                float expected = 32 * p + l < 35 ? eighth((32 * p + l) * 5 + t) : 0;
                uint32_t bits;
                memcpy(&bits, &expected, sizeof bits);
                assert_int_equal(bits & 0xffff, 0);
                assert_int_equal(halves[p * matrix->panel_stride + t * 32 + l], bits >> 16);
            }
    ink_matrix_free(matrix);
}

static void rounding_is_to_nearest_even(ink_context *ctx)
{
    /* 1 + 1/256, 1 + 3/256, just above a middle; the same for f16 with 1/2048, and what f16 cannot hold. */
    static const struct {
        ink_type type;
        float x[4], expected[4];
    } cases[] = {{INK_BF16, {1.00390625f, 1.01171875f, 1.004f, -1.00390625f}, {1.0f, 1.015625f, 1.0078125f, -1.0f}},
                 {INK_F16, {0x1.002p0f, 0x1.006p0f, 0x1.003p0f, -0x1.002p0f}, {1.0f, 0x1.008p0f, 0x1.004p0f, -1.0f}},
                 {INK_F16, {65519.0f, 65520.0f, -1e6f, 0x1.8p-24f}, {65504.0f, INFINITY, -INFINITY, 0x1p-23f}}};
    float row[4];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ink_tensor tensor = ink_tensor_2d(cases[i].x, 1, 4);
        ink_matrix *matrix;
        assert_ok(ctx, ink_matrix_create(ctx, &tensor, cases[i].type, &matrix));
        assert_ok(ctx, ink_matrix_row(ctx, matrix, 0, row));
        assert_memory_equal(row, cases[i].expected, sizeof row);
        ink_matrix_free(matrix);
    }
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

typedef struct grown {
    ink_arena arena;
    ink_matrix matrix;
} grown;

static void grown_make(ink_context *ctx, grown *g, size_t n, size_t k, size_t k_capacity, ink_type type)
{
    ink_arena_grow(&g->arena, &ctx->allocator);
    g->matrix =
        ink_matrix_over(ink_arena_alloc(&g->arena, ink_matrix_bytes(n, k_capacity, type), 1), n, k, k_capacity, type);
    assert_false(ink_arena_failed(&g->arena));
    memset(g->matrix.panels, 0xff, ink_panel_count(n, type) * g->matrix.panel_stride * ink_type_bits(type) / 8);
}

/* The same matrix from its rows and from its columns, in pieces, is the same to the byte, zero lanes included. */
static void columns_and_rows_make_the_same_matrix(ink_context *ctx)
{
    static char by_rows[40 * 70 * 8 + 1], by_columns[40 * 70 * 8 + 1];
    for (size_t n = 1; n < 40; n += 3)
        for (size_t k = 1; k <= 70; k += 23)
            for (size_t s = 0; s < 4; s++)
                for (int type = INK_F32; type <= INK_F16; type++) {
                    grown a, b;
                    size_t size = ink_type_bits(sources[s]) / 8;
                    ink_tensor w = stored(by_rows, sources[s], n, k);
                    for (size_t i = 0; i < n; i++)
                        for (size_t t = 0; t < k; t++)
                            memcpy(by_columns + 1 + (t * n + i) * size, by_rows + 1 + (i * k + t) * size, size);
                    grown_make(ctx, &a, n, k, k, (ink_type)type);
                    grown_make(ctx, &b, n, k, k, (ink_type)type);
                    for (size_t i = 0; i < n; i += 7) {
                        size_t count = n - i < 7 ? n - i : 7;
                        ink_matrix_fill_rows(ctx->kernel, &a.matrix, i, count, w.type,
                                             (const char *)w.data + i * k * size);
                    }
                    ink_matrix_fill_columns(ctx->kernel, &b.matrix, 0, k / 2, w.type, by_columns + 1);
                    ink_matrix_fill_columns(ctx->kernel, &b.matrix, k / 2, k - k / 2, w.type,
                                            by_columns + 1 + k / 2 * n * size);
                    assert_memory_equal(a.matrix.panels, b.matrix.panels,
                                        ink_panel_count(n, (ink_type)type) * a.matrix.panel_stride *
                                            ink_type_bits((ink_type)type) / 8);
                    ink_arena_free(&a.arena);
                    ink_arena_free(&b.arena);
                }
}

/* A matrix that grows by a row or by a column at a time, as the caches of attention do, multiplies at every length as
   a matrix of that size does. */
static void growing_matrices_multiply(ink_context *ctx)
{
    float data[40 * 40], x[40], y[40], expected[40], column[40];
    uint64_t seed = 11;
    grown keys, values;
    random_floats(&seed, 40 * 40, data);
    random_floats(&seed, 40, x);
    grown_make(ctx, &keys, 40, 40, 40, INK_F32);
    grown_make(ctx, &values, 40, 40, 40, INK_F32);
    for (size_t length = 1; length <= 40; length++) {
        keys.matrix.n = length;
        ink_matrix_fill_rows(ctx->kernel, &keys.matrix, length - 1, 1, INK_F32, data + (length - 1) * 40);
        const oracle_product key_product = {1, length, 40, x, data, NULL};
        oracle_matmul_in_order(&key_product, expected);
        assert_ok(ctx, ink_matrix_multiply(ctx, &keys.matrix, NULL, x, 1, y));
        assert_memory_equal(y, expected, length * sizeof *y);

        values.matrix.k = length;
        for (size_t i = 0; i < 40; i++)
            column[i] = data[i * 40 + length - 1];
        ink_matrix_fill_columns(ctx->kernel, &values.matrix, length - 1, 1, INK_F32, column);
        for (size_t i = 0; i < 40; i++) {
            const oracle_product value_product = {1, 1, length, x, data + i * 40, NULL};
            oracle_matmul_in_order(&value_product, expected + i);
        }
        assert_ok(ctx, ink_matrix_multiply(ctx, &values.matrix, NULL, x, 1, y));
        assert_memory_equal(y, expected, sizeof y);
    }
    ink_arena_free(&keys.arena);
    ink_arena_free(&values.arena);
}

static void clearing_makes_zeros(ink_context *ctx)
{
    grown g;
    float row[9];
    grown_make(ctx, &g, 70, 9, 12, INK_BF16);
    ink_matrix_clear(&g.matrix, 20, 5);
    for (size_t i = 0; i < 70; i++) {
        ink_matrix_read_row(&g.matrix, i, 0, 9, row);
        for (size_t t = 0; t < 9; t++)
            if (i < 20 && t < 5)
                assert_true(same_float(row[t], 0));
            else if (i >= 32 || t >= 5)
                assert_true(isnan(row[t])); /* beyond the panels of these rows, and beyond these columns */
    }
    ink_arena_free(&g.arena);
}

/* What is filled or written to a part of a row is read from it, and nothing beside it changes. */
static void rows_are_read_and_written(ink_context *ctx)
{
    static char buffer[40 * 70 * 4 + 1];
    float values[70], out[70];
    for (size_t t = 0; t < 70; t++)
        values[t] = (float)t / 4 - 3;
    for (int type = INK_F32; type <= INK_F16; type++) {
        grown g;
        ink_tensor w = stored(buffer, INK_F32, 40, 70);
        grown_make(ctx, &g, 40, 70, 70, (ink_type)type);
        ink_matrix_fill_rows(ctx->kernel, &g.matrix, 0, 40, w.type, w.data);
        if (type == INK_F32)
            ink_matrix_write_row(&g.matrix, 37, 2, 66, values);
        for (size_t i = 36; i < 39; i++) {
            ink_matrix_read_row(&g.matrix, i, 1, 69, out);
            for (size_t t = 1; t < 70; t++)
                assert_true(same_float(
                    out[t - 1], type == INK_F32 && i == 37 && t >= 2 && t < 68 ? values[t - 2] : eighth(i * 70 + t)));
        }
        ink_arena_free(&g.arena);
    }
}

/* A view multiplies as a matrix of those rows, or of those columns, does. */
static void views_multiply(ink_context *ctx)
{
    enum { SIZE = 2 * INK_SUM_BLOCK + 40 };
    static float w[SIZE * SIZE], x[SIZE], y[SIZE], expected[SIZE], part[SIZE * SIZE];
    uint64_t seed = 13;
    grown g;
    random_floats(&seed, SIZE * SIZE, w);
    random_floats(&seed, SIZE, x);
    grown_make(ctx, &g, SIZE, SIZE, SIZE, INK_F32);
    ink_matrix_fill_rows(ctx->kernel, &g.matrix, 0, SIZE, INK_F32, w);
    for (size_t first = 0; first <= 2 * INK_SUM_BLOCK; first += INK_SUM_BLOCK)
        for (size_t n = 1; first + n <= SIZE; n += 37) {
            const ink_matrix rows = ink_matrix_rows_view(&g.matrix, first, n);
            const ink_matrix columns = ink_matrix_columns_view(&g.matrix, first, n);
            const oracle_product by_rows = {1, n, SIZE, x, w + first * SIZE, NULL};
            oracle_matmul_in_order(&by_rows, expected);
            const ink_product row_product = {.x = x, .x_stride = SIZE, .m = 1, .w = &rows, .y = y, .y_stride = n};
            ink_multiply_here(ctx->kernel, &row_product);
            assert_memory_equal(y, expected, n * sizeof *y);

            for (size_t i = 0; i < SIZE; i++)
                memcpy(part + i * n, w + i * SIZE + first, n * sizeof *w);
            const oracle_product by_columns = {1, SIZE, n, x, part, NULL};
            oracle_matmul_in_order(&by_columns, expected);
            const ink_product product = {.x = x, .x_stride = n, .m = 1, .w = &columns, .y = y, .y_stride = SIZE};
            ink_multiply_here(ctx->kernel, &product);
            assert_memory_equal(y, expected, sizeof y);
        }
    ink_arena_free(&g.arena);
}

/* A size that overflows fails the arena; nothing wraps around. */
static void sizes_that_overflow_fail(void **unused)
{
    static const size_t sizes[][2] = {{1, SIZE_MAX / 16 + 1}, {SIZE_MAX, 16}, {17, SIZE_MAX / 64}};
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        ink_arena arena;
        ink_matrix matrix;
        ink_arena_measure(&arena);
        ink_matrix_alloc(&arena, &matrix, sizes[i][0], sizes[i][1], INK_F32);
        assert_true(ink_arena_failed(&arena));
        assert_true(ink_matrix_bytes(sizes[i][0], sizes[i][1], INK_F32) == SIZE_MAX);
    }
}

/* ---- multiplying ------------------------------------------------------------------------------------------------- */

/* 1, 2, 3 and 5 threads give the bits of the promised order, for shapes that split over panels, rows and both. */
static void any_number_of_threads(void **unused)
{
    static const size_t sizes[][3] = {{1, 1100, 300},  {3, 2048, 257}, {300, 40, 400},
                                      {129, 200, 100}, {700, 16, 128}, {64, 515, 64}};
    static const unsigned threads[] = {1, 2, 3, 5};
    uint64_t seed = 12;
    (void)unused;
    for (size_t s = 0; s < 6; s++) {
        size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
        float *x = malloc(m * k * 4), *w = malloc(n * k * 4), *bias = malloc(n * 4);
        float *y = malloc(m * n * 4), *expected = malloc(m * n * 4);
        random_floats(&seed, m * k, x);
        random_floats(&seed, n * k, w);
        random_floats(&seed, n, bias);
        const oracle_product product = {m, n, k, x, w, bias};
        oracle_matmul_in_order(&product, expected);
        for (size_t t = 0; t < 4; t++) {
            ink_context_options options = test_options(threads[t]);
            ink_context *ctx = ink_context_create(&options);
            if (ctx == NULL) /* a library without threads */
                continue;
            const ink_tensor tensor = ink_tensor_2d(w, n, k);
            ink_matrix *matrix;
            assert_ok(ctx, ink_matrix_create(ctx, &tensor, INK_F32, &matrix));
            for (int again = 0; again < 5; again++) {
                memset(y, 0xff, m * n * 4);
                assert_ok(ctx, ink_matrix_multiply(ctx, matrix, bias, x, m, y));
                assert_memory_equal(y, expected, m * n * 4);
            }
            ink_matrix_free(matrix);
            ink_context_free(ctx);
        }
        free(x), free(w), free(bias), free(y), free(expected);
    }
}

/* Weights held as bf16 or f16 give the bits of the same values held as f32. */
static void halves_are_their_values(ink_context *ctx)
{
    enum { M = 7, N = 83, K = 300 };
    static float w[N * K], x[M * K], y[M * N], expected[M * N], row[K];
    static const ink_type types[] = {INK_BF16, INK_F16};
    uint64_t seed = 14;
    random_floats(&seed, M * K, x);
    for (size_t i = 0; i < 2; i++) {
        const ink_tensor tensor = ink_tensor_2d(w, N, K);
        ink_matrix *narrow, *wide;
        random_floats(&seed, N * K, w);
        w[5] = 1e-6f, w[6] = -3e-8f; /* subnormal as f16 */
        assert_ok(ctx, ink_matrix_create(ctx, &tensor, types[i], &narrow));
        for (size_t r = 0; r < N; r++) {
            assert_ok(ctx, ink_matrix_row(ctx, narrow, r, row));
            memcpy(w + r * K, row, sizeof row);
        }
        assert_ok(ctx, ink_matrix_create(ctx, &tensor, INK_F32, &wide));
        for (size_t m = 1; m <= M; m++) {
            assert_ok(ctx, ink_matrix_multiply(ctx, narrow, NULL, x, m, y));
            assert_ok(ctx, ink_matrix_multiply(ctx, wide, NULL, x, m, expected));
            assert_memory_equal(y, expected, m * N * sizeof *y);
        }
        ink_matrix_free(narrow);
        ink_matrix_free(wide);
    }
}

static void close_to_double_precision(void **unused)
{
    static float x[5 * 3000], w[20 * 3000], bias[20], y[5 * 20];
    static double exact[5 * 20];
    uint64_t seed = 13;
    ink_context *ctx = test_context(2);
    const ink_tensor tensor = ink_tensor_2d(w, 20, 3000);
    ink_matrix *matrix;
    (void)unused;
    random_floats(&seed, 5 * 3000, x);
    random_floats(&seed, 20 * 3000, w);
    random_floats(&seed, 20, bias);
    const oracle_product product = {5, 20, 3000, x, w, bias};
    oracle_matmul(&product, exact);
    assert_ok(ctx, ink_matrix_create(ctx, &tensor, INK_F32, &matrix));
    assert_ok(ctx, ink_matrix_multiply(ctx, matrix, bias, x, 5, y));
    for (size_t i = 0; i < 5 * 20; i++)
        assert_true(fabs((double)y[i] - exact[i]) <= 3e-5 + 1.3e-6 * fabs(exact[i]));
    ink_matrix_free(matrix);
    ink_context_free(ctx);
}

static void bad_arguments_are_refused(ink_context *ctx)
{
    const float data[6] = {0};
    float out[6];
    ink_tensor good = ink_tensor_2d(data, 2, 3), flat = ink_tensor_1d(data, 6), whole = good, nowhere = good;
    ink_matrix *matrix = (ink_matrix *)out;
    whole.type = INK_I32;
    nowhere.data = NULL;
    assert_int_equal(ink_matrix_create(NULL, &good, INK_F32, &matrix), INK_ERROR_ARGUMENT);
    assert_fails(ctx, ink_matrix_create(ctx, &good, INK_F32, NULL), INK_ERROR_ARGUMENT, "matrix");
    assert_fails(ctx, ink_matrix_create(ctx, NULL, INK_F32, &matrix), INK_ERROR_ARGUMENT, "'w'");
    assert_null(matrix);
    assert_fails(ctx, ink_matrix_create(ctx, &flat, INK_F32, &matrix), INK_ERROR_ARGUMENT, "[6]");
    flat.shape.rank = 9;
    assert_fails(ctx, ink_matrix_create(ctx, &flat, INK_F32, &matrix), INK_ERROR_ARGUMENT, "not [9 dimensions]");
    flat.shape.rank = SIZE_MAX;
    assert_fails(ctx, ink_matrix_create(ctx, &flat, INK_F32, &matrix), INK_ERROR_ARGUMENT, "dimensions]");
    assert_fails(ctx, ink_matrix_create(ctx, &whole, INK_F32, &matrix), INK_ERROR_UNSUPPORTED, "I32");
    assert_fails(ctx, ink_matrix_create(ctx, &nowhere, INK_F32, &matrix), INK_ERROR_ARGUMENT, "data");
    assert_fails(ctx, ink_matrix_create(ctx, &good, INK_F64, &matrix), INK_ERROR_ARGUMENT,
                 "cannot be held as F64, only in their own blocks, or as F32, BF16, F16, Q8_0 or Q4_0");
    assert_fails(ctx, ink_matrix_create(ctx, &good, INK_Q4_K, &matrix), INK_ERROR_ARGUMENT,
                 "cannot be held as Q4_K, only in their own blocks, or as F32, BF16, F16, Q8_0 or Q4_0");
    assert_ok(ctx, ink_matrix_create(ctx, &good, INK_F32, &matrix));
    assert_fails(ctx, ink_matrix_row(ctx, matrix, 2, out), INK_ERROR_ARGUMENT, "row 2");
    assert_fails(ctx, ink_matrix_row(ctx, matrix, 0, NULL), INK_ERROR_ARGUMENT, "out");
    assert_fails(ctx, ink_matrix_multiply(ctx, NULL, NULL, data, 1, out), INK_ERROR_ARGUMENT, "'w'");
    assert_fails(ctx, ink_matrix_multiply(ctx, matrix, NULL, NULL, 1, out), INK_ERROR_ARGUMENT, "'x'");
    assert_fails(ctx, ink_matrix_multiply(ctx, matrix, NULL, data, 1, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_ok(ctx, ink_matrix_multiply(ctx, matrix, NULL, NULL, 0, NULL));
    ink_matrix_free(matrix);
    ink_matrix_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_names_and_sizes), cmocka_unit_test(blocks_have_sizes),
        cmocka_unit_test(shapes_are_counted),         cmocka_unit_test(views_describe_arrays),
        context_test(matrices_of_every_type),         context_test(the_layout_is_the_promised_one),
        context_test(rounding_is_to_nearest_even),    context_test(columns_and_rows_make_the_same_matrix),
        context_test(growing_matrices_multiply),      context_test(clearing_makes_zeros),
        context_test(rows_are_read_and_written),      context_test(views_multiply),
        cmocka_unit_test(sizes_that_overflow_fail),   cmocka_unit_test(any_number_of_threads),
        context_test(halves_are_their_values),        cmocka_unit_test(close_to_double_precision),
        context_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
