/*
 * test_norm.c - LayerNorm and RMSNorm: PyTorch's numbers, the oracle on awkward rows, the same bits everywhere.
 */
#include <math.h>
#include <stdlib.h>

#include "layers.h"
#include "oracle_layers.h"

#define ABSOLUTE 1e-5
#define RELATIVE 1.3e-6

/* The fixtures have rows of equal numbers, of zeros, with an offset, of small and of large numbers. */
static void norm_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    ink_weights *fixtures[] = {[INK_LAYER_NORM] = test_fixture(ctx, FIXTURES "/layers/norm.safetensors"),
                               [INK_RMS_NORM] = test_fixture(ctx, FIXTURES "/layers/llama.safetensors")};
    static const struct {
        const char *name;
        ink_norm_kind kind;
        float eps;
        size_t size;
    } cases[] = {{"one", INK_LAYER_NORM, 1e-5f, 1},     {"seven", INK_LAYER_NORM, 1e-5f, 7},
                 {"wide", INK_LAYER_NORM, 1e-5f, 300},  {"no_bias", INK_LAYER_NORM, 1e-12f, 64},
                 {"rms.one", INK_RMS_NORM, 1e-6f, 1},   {"rms.seven", INK_RMS_NORM, 1e-5f, 7},
                 {"rms.wide", INK_RMS_NORM, 1e-6f, 300}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n;
        ink_norm *norm;
        ink_weights *fixture = fixtures[cases[i].kind];
        float *x = test_case_tensor(ctx, fixture, cases[i].name, "x", &n);
        float *expected = test_case_tensor(ctx, fixture, cases[i].name, "y", NULL);
        assert_ok(ctx, ink_norm_load(ctx, fixture, cases[i].name, cases[i].kind, cases[i].eps, &norm));
        assert_int_equal(ink_norm_size(norm), cases[i].size);
        assert_ok(ctx, ink_norm_forward(ctx, norm, x, n / cases[i].size, x)); /* in place */
        test_assert_close(x, expected, n, ABSOLUTE, RELATIVE, cases[i].name);
        ink_norm_free(norm);
        free(x);
        free(expected);
    }
    ink_weights_free(fixtures[INK_LAYER_NORM]);
    ink_weights_free(fixtures[INK_RMS_NORM]);
}

/* Loads a norm of this size with random weights; what it was made from goes to *weight and *bias. An RMS norm leaves
   the bias alone. */
static ink_norm *make_norm(ink_context *ctx, ink_norm_kind kind, size_t size, float eps, float **weight, float **bias)
{
    state_dict dict = {0};
    ink_norm *norm;
    *weight = test_random(size, size, 1);
    *bias = test_random(size, size + 1, 1);
    state_dict_add(&dict, "ln.weight", INK_F32, 1, &size, *weight);
    state_dict_add(&dict, "ln.bias", INK_F32, 1, &size, *bias);
    ink_weights *weights = state_dict_open(ctx, &dict);
    assert_ok(ctx, ink_norm_load(ctx, weights, "ln", kind, eps, &norm));
    state_dict_free(&dict);
    return norm;
}

/* Awkward rows of one size, each within the tolerance of the oracle. */
static void check_size(ink_context *ctx, ink_norm_kind kind, size_t size)
{
    float *weight, *bias;
    ink_norm *norm = make_norm(ctx, kind, size, 1e-5f, &weight, &bias);
    size_t n = 40;
    float *x = test_random(n * size, 9, 2), *y = test_floats(n * size);
    double *row = malloc(size * sizeof *row), *expected = malloc(size * sizeof *expected);
    for (size_t i = 0; i < size; i++) {
        x[i] = 7;                            /* no variance: the bias is left */
        x[size + i] = -1e-30f;               /* no variance that float could hold */
        x[2 * size + i] *= 1e15f;            /* a variance near the end of float */
        x[3 * size + i] = i == 0 ? 1e6f : 0; /* one large number */
        x[4 * size + i] = 0;
    }
    assert_ok(ctx, ink_norm_forward(ctx, norm, x, n, y));
    for (size_t r = 0; r < n; r++) {
        for (size_t i = 0; i < size; i++)
            row[i] = x[r * size + i];
        if (kind == INK_RMS_NORM)
            oracle_rms_norm(weight, size, 1e-5f, row, expected);
        else
            oracle_norm(weight, bias, size, 1e-5f, row, expected);
        test_assert_close_to_double(y + r * size, expected, size, ABSOLUTE, RELATIVE, "norm");
    }
    if (kind == INK_LAYER_NORM)
        test_assert_same_bits(y, bias, size, "the bias is left");
    ink_norm_free(norm);
    free(weight);
    free(bias);
    free(x);
    free(y);
    free(row);
    free(expected);
}

static void norm_of_every_kind_of_row_is_right(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(2);
    for (size_t size = 1; size < 70; size += size < 36 ? 1 : 11) {
        check_size(ctx, INK_LAYER_NORM, size);
        check_size(ctx, INK_RMS_NORM, size);
    }
    ink_context_free(ctx);
}

static void check_same_bits(ink_norm_kind kind)
{
    ink_context *ctx = test_context(1), *other = NULL;
    const size_t n = 200, size = 773;
    float *weight, *bias;
    ink_norm *norm = make_norm(ctx, kind, size, 1e-5f, &weight, &bias);
    float *x = test_random(n * size, 2, 3), *expected = test_floats(n * size);
    assert_ok(ctx, ink_norm_forward(ctx, norm, x, n, expected));
    for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
        void *block;
        float *here = test_unaligned(x, n * size, i % 15 + 1, &block);
        assert_ok(other, ink_norm_forward(other, norm, here, n, here));
        test_assert_same_bits(here, expected, n * size, ink_context_kernel(other));
        free(block);
    }
    ink_norm_free(norm);
    free(weight);
    free(bias);
    free(x);
    free(expected);
    ink_context_free(ctx);
}

static void norm_has_the_same_bits_everywhere(void **unused)
{
    (void)unused;
    check_same_bits(INK_LAYER_NORM);
    check_same_bits(INK_RMS_NORM);
}

static void norm_refuses_what_does_not_fit(ink_context *ctx)
{
    state_dict dict = {0};
    ink_norm *norm;
    float x[4] = {0};
    state_dict_vector(&dict, "good.weight", 4);
    state_dict_vector(&dict, "short.weight", 4);
    state_dict_vector(&dict, "short.bias", 3);
    state_dict_matrix(&dict, "matrix.weight", 2, 2);
    state_dict_vector(&dict, "empty.weight", 0);
    ink_weights *weights = state_dict_open(ctx, &dict);
    assert_fails(ctx, ink_norm_load(ctx, weights, "none", INK_LAYER_NORM, 1e-5f, &norm), INK_ERROR_NOT_FOUND,
                 "'none.weight'");
    assert_null(norm);
    assert_fails(ctx, ink_norm_load(ctx, weights, "short", INK_LAYER_NORM, 1e-5f, &norm), INK_ERROR_MISMATCH,
                 "'short.bias' is [3], expected [4]");
    assert_fails(ctx, ink_norm_load(ctx, weights, "matrix", INK_LAYER_NORM, 1e-5f, &norm), INK_ERROR_MISMATCH,
                 "expected a vector");
    assert_fails(ctx, ink_norm_load(ctx, weights, "empty", INK_LAYER_NORM, 1e-5f, &norm), INK_ERROR_MISMATCH,
                 "at least one element");
    assert_fails(ctx, ink_norm_load(ctx, weights, "none", INK_RMS_NORM, 1e-5f, &norm), INK_ERROR_NOT_FOUND,
                 "'none.weight'");
    assert_ok(ctx, ink_norm_load(ctx, weights, "short", INK_RMS_NORM, 1e-5f, &norm)); /* whose bias is nothing to it */
    ink_norm_free(norm);
    assert_fails(ctx, ink_norm_load(ctx, weights, "good", INK_N_NORMS, 1e-5f, &norm), INK_ERROR_ARGUMENT,
                 "no kind of norm 2");
    const float bad_eps[] = {-1e-5f, NAN, INFINITY};
    for (size_t i = 0; i < 3; i++)
        assert_fails(ctx, ink_norm_load(ctx, weights, "good", INK_LAYER_NORM, bad_eps[i], &norm), INK_ERROR_ARGUMENT,
                     "eps");
    assert_fails(ctx, ink_norm_load(ctx, NULL, "good", INK_LAYER_NORM, 1e-5f, &norm), INK_ERROR_ARGUMENT, "'weights'");
    assert_fails(ctx, ink_norm_load(ctx, weights, NULL, INK_LAYER_NORM, 1e-5f, &norm), INK_ERROR_ARGUMENT, "'name'");
    assert_fails(ctx, ink_norm_load(ctx, weights, "good", INK_LAYER_NORM, 1e-5f, NULL), INK_ERROR_ARGUMENT, "'norm'");
    assert_int_equal(ink_norm_load(NULL, weights, "good", INK_LAYER_NORM, 1e-5f, &norm), INK_ERROR_ARGUMENT);
    assert_ok(ctx, ink_norm_load(ctx, weights, "good", INK_LAYER_NORM, 0, &norm));
    assert_fails(ctx, ink_norm_forward(ctx, NULL, x, 1, x), INK_ERROR_ARGUMENT, "'norm'");
    assert_fails(ctx, ink_norm_forward(ctx, norm, NULL, 1, x), INK_ERROR_ARGUMENT, "'x'");
    assert_fails(ctx, ink_norm_forward(ctx, norm, x, 1, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_ok(ctx, ink_norm_forward(ctx, norm, NULL, 0, NULL));
    ink_norm_free(norm);
    ink_norm_free(NULL);
    state_dict_free(&dict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(norm_gives_the_numbers_of_pytorch),
        cmocka_unit_test(norm_of_every_kind_of_row_is_right),
        cmocka_unit_test(norm_has_the_same_bits_everywhere),
        context_test(norm_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
