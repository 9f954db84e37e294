/*
 * test_panels.c - products with quantised weights in every kernel of this machine, to the bit those of the oracle;
 * the panels they are packed into; and how the rows of x are rounded.
 */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"
#include "oracle_quantised.h"

#include "../src/base/platform.h"
#include "../src/tensor/blocks.h"
#include "../src/tensor/packed.h"

static const ink_kernel *variants[10];

static void *get_memory(size_t size)
{
    void *p = malloc(size + 64);
    assert_non_null(p);
    memset(p, 0xff, size + 64);
    return p;
}

/* A matrix filled from random blocks, and x. */
typedef struct quantised_operands {
    ink_arena arena;
    ink_matrix matrix;
    uint8_t *blocks;
    float *x, *bias, *y, *exact;
} quantised_operands;

static quantised_operands operands_make(ink_type type, size_t m, size_t n, size_t k)
{
    static const ink_allocator allocator = {ink_platform_resize, NULL};
    const ink_block_size block = ink_type_block(type);
    quantised_operands o;
    uint64_t seed = 1 + m + 100 * n + 10000 * k;
    o.blocks = get_memory(n * (k / block.elements) * block.bytes);
    o.x = get_memory(m * k * sizeof(float));
    o.bias = get_memory(n * sizeof(float));
    o.y = get_memory(m * n * sizeof(float));
    o.exact = get_memory(m * n * sizeof(float));
    random_blocks(&seed, type, n * (k / block.elements), o.blocks);
    random_floats(&seed, m * k, o.x);
    random_floats(&seed, n, o.bias);
    ink_arena_grow(&o.arena, &allocator);
    void *panels = ink_arena_alloc(&o.arena, ink_matrix_bytes(n, k, type), 1);
    assert_false(ink_arena_failed(&o.arena));
    memset(panels, 0xff, ink_matrix_bytes(n, k, type));
    o.matrix = ink_matrix_over(panels, n, k, k, type);
    for (size_t row = 0; row < n; row += 5) /* pieces that end inside a panel */
        ink_matrix_fill_rows(ink_kernel_find(NULL), &o.matrix, row, n - row < 5 ? n - row : 5, type,
                             o.blocks + row * (k / block.elements) * block.bytes);
    return o;
}

static void operands_free(quantised_operands *o)
{
    free(o->blocks), free(o->x), free(o->bias), free(o->y), free(o->exact);
    ink_arena_free(&o->arena);
}

static void check_all_variants(const quantised_operands *o, size_t m, bool with_bias)
{
    const size_t n = o->matrix.n, k = o->matrix.k;
    const ink_type type = o->matrix.type;
    const ink_panel_format *format = ink_panel_format_of(type);
    const float *bias = with_bias ? o->bias : NULL;
    const size_t row_bytes = ink_row_bytes(format, k);
    uint8_t *rows = get_memory(m * row_bytes);
    oracle_quantised_product(&(oracle_quantised){type, m, n, k, o->x, o->blocks, bias}, o->exact);
    for (size_t v = 0; variants[v] != NULL; v++) {
        ink_product p = {.x = o->x, .x_stride = k, .m = m, .w = &o->matrix, .bias = bias, .y = o->y, .y_stride = n};
        p.rows = rows;
        for (size_t i = 0; i < m; i++)
            variants[v]->quantised->quantise_row(format, o->x + i * k, k, rows + i * row_bytes);
        memset(o->y, 0xff, m * n * sizeof *o->y);
        variants[v]->quantised->multiply(&p, 0, m, 0, ink_panel_count(n, type));
        for (size_t i = 0; i < m * n; i++)
            if (!same_float(o->y[i], o->exact[i]))
                fail_msg("%s, %s, m %zu n %zu k %zu: y[%zu][%zu] is %a, expected %a", variants[v]->name,
                         ink_type_name(type), m, n, k, i / n, i % n, (double)o->y[i], (double)o->exact[i]);
        assert_true(isnan(o->y[m * n])); /* nothing behind it is written */
    }
    free(rows);
}

static void products_of_every_type(void **unused)
{
    static const size_t sizes[][3] = {{1, 16, 256},  {1, 1, 32},    {2, 17, 64},   {3, 40, 288}, {4, 33, 512},
                                      {5, 31, 96},   {6, 32, 256},  {7, 48, 544},  {8, 50, 768}, {9, 16, 32},
                                      {13, 64, 320}, {130, 20, 64}, {16, 47, 1280}};
    (void)unused;
    for (int type = INK_Q8_0; type < INK_N_TYPES; type++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            const size_t elements = ink_type_block((ink_type)type).elements;
            const size_t k = (sizes[i][2] + elements - 1) / elements * elements;
            quantised_operands o = operands_make((ink_type)type, sizes[i][0], sizes[i][1], k);
            check_all_variants(&o, sizes[i][0], i % 2 == 0);
            operands_free(&o);
        }
}

/* A matrix holds the blocks it was filled from: rows read as their values, in as many bytes within 3 %. */
static void panels_hold_the_blocks(void **unused)
{
    (void)unused;
    for (int type = INK_Q8_0; type < INK_N_TYPES; type++) {
        const size_t n = 21, k = 768;
        const ink_block_size block = ink_type_block((ink_type)type);
        quantised_operands o = operands_make((ink_type)type, 1, n, k);
        float row[768], expected[768], column[21];
        for (size_t i = 0; i < n; i++) {
            ink_blocks_to_f32((ink_type)type, o.blocks + i * (k / block.elements) * block.bytes, k, expected);
            ink_matrix_read_row(&o.matrix, i, 0, k, row);
            for (size_t t = 0; t < k; t++)
                assert_true(same_float(row[t], expected[t]));
            ink_matrix_read_row(&o.matrix, i, 37, 531, row);
            ink_matrix_read_column(&o.matrix, 700, column);
            for (size_t t = 0; t < 531; t++)
                assert_true(same_float(row[t], expected[37 + t]));
            assert_true(same_float(column[i], expected[700]));
        }
        assert_true((double)ink_matrix_bytes(16, k, (ink_type)type) <=
                    1.03 * (double)(16 * (k / block.elements) * block.bytes));
        operands_free(&o);
    }
}

/* Floats by rows and by columns, of any type, become the blocks of ink_blocks_from_f32(). */
static void floats_are_quantised(ink_context *ctx)
{
    static const ink_allocator allocator = {ink_platform_resize, NULL};
    enum { N = 37, K = 300, PADDED = 320 };
    static float w[N * K], transposed[K * N], row[K], expected[PADDED];
    uint64_t seed = 3;
    random_floats(&seed, (size_t)N * K, w);
    for (size_t i = 0; i < N; i++)
        for (size_t t = 0; t < K; t++)
            transposed[t * N + i] = w[i * K + t];
    for (int type = INK_Q8_0; type <= INK_Q4_0; type++) {
        ink_arena arena;
        ink_matrix rows, columns;
        ink_arena_grow(&arena, &allocator);
        ink_matrix_alloc(&arena, &rows, N, K, (ink_type)type);
        ink_matrix_alloc(&arena, &columns, N, K, (ink_type)type);
        ink_matrix_fill_rows(ctx->kernel, &rows, 0, 3, INK_F32, w);
        ink_matrix_fill_rows(ctx->kernel, &rows, 3, N - 3, INK_F32, w + 3 * K);
        ink_matrix_fill_columns(ctx->kernel, &columns, 0, 64, INK_F32, transposed);
        ink_matrix_fill_columns(ctx->kernel, &columns, 64, K - 64, INK_F32, transposed + 64 * N);
        for (size_t i = 0; i < N; i++) {
            uint8_t blocks[PADDED / 32 * 34];
            float padded[PADDED] = {0};
            memcpy(padded, w + i * K, K * sizeof *w);
            ink_blocks_from_f32((ink_type)type, padded, PADDED, blocks);
            ink_blocks_to_f32((ink_type)type, blocks, PADDED, expected);
            ink_matrix_read_row(&rows, i, 0, K, row);
            assert_memory_equal(row, expected, sizeof row);
            ink_matrix_read_row(&columns, i, 0, K, row);
            assert_memory_equal(row, expected, sizeof row);
        }
        ink_arena_free(&arena);
    }
}

/* Lets the first `left` allocations through. */
static void *few_blocks(void *user, void *block, size_t old_size, size_t new_size)
{
    size_t *left = user;
    if (new_size > old_size && *left == 0)
        return NULL;
    *left -= new_size > old_size;
    return ink_platform_resize(NULL, block, old_size, new_size);
}

/* Rows that are too many or too long for the stack go into scratch memory; without any, the result is the same. */
static void products_do_without_scratch(void **unused)
{
    enum { M = 9, N = 33, K = 4704 };
    float *w = get_memory(sizeof(float) * N * K), *x = get_memory(sizeof(float) * M * K);
    float y[2][M * N], bias[N];
    uint64_t seed = 4;
    (void)unused;
    random_floats(&seed, (size_t)N * K, w);
    random_floats(&seed, (size_t)M * K, x);
    random_floats(&seed, N, bias);
    const ink_tensor tensor = ink_tensor_2d(w, N, K);
    for (size_t i = 0; i < 2; i++) {
        size_t left = SIZE_MAX;
        ink_context_options options = test_options(1);
        options.allocator = (ink_allocator){few_blocks, &left};
        ink_context *ctx = ink_context_create(&options);
        ink_matrix *matrix;
        assert_non_null(ctx);
        assert_ok(ctx, ink_matrix_create(ctx, &tensor, INK_Q8_0, &matrix));
        left = i == 0 ? SIZE_MAX : 0;
        assert_ok(ctx, ink_matrix_multiply(ctx, matrix, bias, x, M, y[i]));
        assert_true(i == 0 ? left < SIZE_MAX : left == 0);
        ink_matrix_free(matrix);
        ink_context_free(ctx);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
    free(w), free(x);
}

/* A NaN or an infinity in x makes all outputs of its row NaN, and no others; tiny x are zeros. */
static void strange_rows(void **unused)
{
    static const float strange[] = {NAN, INFINITY, -INFINITY, 0x1p-121f, 0x1p-149f, 3.4e38f, 0x1p-119f};
    (void)unused;
    for (int type = INK_Q8_0; type <= INK_Q4_1; type++)
        for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
            for (size_t at = 0; at < 96; at += 19) {
                const size_t m = 7;
                quantised_operands o = operands_make((ink_type)type, m, 20, 96);
                if (i >= 3)
                    memset(o.x + 2 * 96, 0, 96 * sizeof *o.x);
                o.x[2 * 96 + at] = strange[i];
                check_all_variants(&o, m, true);
                for (size_t j = 0; j < m * 20; j++)
                    assert_true(isnan(o.y[j]) == (i < 3 && j / 20 == 2));
                operands_free(&o);
            }
}

/* What cannot be is refused: types from floats, rows that are no whole blocks. */
static void matrices_are_checked(ink_context *ctx)
{
    static const uint8_t blocks[2 * 144] = {0};
    float w[64] = {1}, row[256];
    ink_matrix *matrix;
    ink_tensor tensor = ink_tensor_2d(w, 2, 32);
    assert_fails(ctx, ink_matrix_create(ctx, &tensor, INK_Q4_1, &matrix), INK_ERROR_ARGUMENT, "Q8_0 or Q4_0");
    assert_fails(ctx, ink_matrix_create(ctx, &tensor, INK_I8, &matrix), INK_ERROR_ARGUMENT, "I8");
    tensor = (ink_tensor){INK_Q4_K, {2, {2, 250}}, blocks};
    assert_fails(ctx, ink_matrix_create(ctx, &tensor, INK_TYPE_NONE, &matrix), INK_ERROR_MISMATCH, "multiple of 256");
    tensor.shape.dim[1] = 256;
    assert_fails(ctx, ink_matrix_create(ctx, &tensor, INK_Q5_K, &matrix), INK_ERROR_ARGUMENT,
                 "weights of type Q4_K cannot be held as Q5_K, only in their own");
    for (int type = INK_TYPE_NONE; type <= INK_F16; type++) {
        assert_ok(ctx, ink_matrix_create(ctx, &tensor, (ink_type)type, &matrix));
        assert_int_equal(matrix->type, type == INK_TYPE_NONE ? INK_Q4_K : (ink_type)type);
        assert_ok(ctx, ink_matrix_row(ctx, matrix, 1, row));
        assert_true(same_float(row[255], 0));
        ink_matrix_free(matrix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_every_type), cmocka_unit_test(panels_hold_the_blocks),
        context_test(floats_are_quantised),       cmocka_unit_test(products_do_without_scratch),
        cmocka_unit_test(strange_rows),           context_test(matrices_are_checked),
    };
    for (size_t i = 0; i < 9 && ink_kernel_name(i) != NULL; i++)
        variants[i] = ink_kernel_find(ink_kernel_name(i));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
