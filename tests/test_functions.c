/*
 * test_functions.c - softmax, its logarithm, argmax, sums and products of arrays: PyTorch's numbers, the same bits on
 * every kernel and number of threads, in place and unaligned.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers.h"

typedef ink_result row_function(ink_context *ctx, const float *x, size_t n, size_t size, float *y);

/* Equal to the bit, or both NaN; with a tolerance, near it, or the same infinity. */
static void check_element(const char *what, size_t i, float actual, float expected, double absolute, double relative)
{
    bool same = memcmp(&actual, &expected, sizeof actual) == 0 || (isnan(actual) && isnan(expected));
    double allowed = absolute + relative * fabs((double)expected);
    if (!same && !(allowed > 0 && fabs((double)actual - (double)expected) <= allowed && isfinite(expected)))
        fail_msg("%s: element %zu is %.9g, expected %.9g", what, i, (double)actual, (double)expected);
}

static const size_t sizes[] = {1, 7, 16, 17, 300};

static void check_rows(const ink_weights *fixture, const char *name, row_function *function, double absolute)
{
    enum { N = 8 };
    ink_context *ctx = test_context(1), *other = NULL;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        char module[32];
        size_t size = sizes[s], n;
        void *block;
        snprintf(module, sizeof module, "rows.%zu", size);
        float *x = test_case_tensor(ctx, fixture, module, "x", &n), *y = test_floats(n), *z = test_floats(n);
        float *expected = test_case_tensor(ctx, fixture, module, name, NULL), *apart = test_unaligned(x, n, 3, &block);
        assert_int_equal(n, N * size);
        assert_ok(ctx, function(ctx, x, N, size, y));
        for (size_t i = 0; i < n; i++)
            check_element(module, i, y[i], expected[i], absolute, 1e-6);
        for (size_t v = 0; (other = test_variant(other, v)) != NULL; v++) {
            assert_ok(other, function(other, x, N, size, z));
            for (size_t i = 0; i < n; i++)
                check_element(ink_context_kernel(other), i, z[i], y[i], 0, 0);
        }
        assert_ok(ctx, function(ctx, apart, N, size, apart)); /* in place */
        for (size_t i = 0; i < n; i++)
            check_element("in place", i, apart[i], y[i], 0, 0);
        free(x);
        free(y);
        free(z);
        free(expected);
        free(block);
    }
    ink_context_free(ctx);
}

static void rows_have_the_softmax_of_pytorch(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/rows.safetensors");
    check_rows(fixture, "softmax", ink_softmax, 1e-9);
    check_rows(fixture, "log_softmax", ink_log_softmax, 1e-6);
    ink_weights_free(fixture);
}

/* Nothing is likelier than infinity, and nothing is likely at all where everything is impossible. */
static void rows_with_infinities_become_nan(void **unused)
{
    (void)unused;
    ink_context *ctx = NULL;
    row_function *const functions[] = {ink_softmax, ink_log_softmax};
    for (size_t v = 0; (ctx = test_variant(ctx, v)) != NULL; v++)
        for (size_t f = 0; f < 2; f++)
            for (size_t size = 1; size < 40; size++) {
                float x[2 * 40], y[2 * 40];
                for (size_t i = 0; i < size; i++) {
                    x[i] = i == size / 2 ? INFINITY : (float)i;
                    x[size + i] = -INFINITY;
                }
                assert_ok(ctx, functions[f](ctx, x, 2, size, y));
                for (size_t i = 0; i < 2 * size; i++)
                    assert_true(isnan(y[i]));
            }
}

/* Wide enough that the workers share the rows. */
static void many_rows_have_the_bits_of_one(void **unused)
{
    (void)unused;
    enum { N = 90, SIZE = 1111 };
    ink_context *ctx = test_context(3);
    float *x = test_random((size_t)N * SIZE, 1, 9), *y = test_floats((size_t)N * SIZE), row[SIZE];
    row_function *const functions[] = {ink_softmax, ink_log_softmax};
    for (size_t f = 0; f < 2; f++) {
        assert_ok(ctx, functions[f](ctx, x, N, SIZE, y));
        for (size_t i = 0; i < N; i++) {
            assert_ok(ctx, functions[f](ctx, x + i * SIZE, 1, SIZE, row));
            test_assert_same_bits(y + i * SIZE, row, SIZE, "a row alone");
        }
    }
    free(x);
    free(y);
    ink_context_free(ctx);
}

/* The rows of the fixture have equal elements (row 1), infinities (2, 6) and a NaN (7). */
static void argmax_is_that_of_pytorch(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/rows.safetensors");
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        char module[32];
        size_t n;
        snprintf(module, sizeof module, "rows.%zu", sizes[s]);
        float *x = test_case_tensor(ctx, fixture, module, "x", NULL);
        float *expected = test_case_tensor(ctx, fixture, module, "argmax", &n);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(ink_argmax(x + i * sizes[s], sizes[s]), (size_t)expected[i]);
        free(x);
        free(expected);
    }
    ink_weights_free(fixture);
    const float small[] = {-0.0f, 0, 1e-45f, 1e-45f}, two[] = {NAN, INFINITY, NAN}, late[] = {INFINITY, 1, NAN};
    assert_int_equal(ink_argmax(small, 4), 2);
    assert_int_equal(ink_argmax(small, 2), 0);
    assert_int_equal(ink_argmax(two, 3), 0);
    assert_int_equal(ink_argmax(late, 3), 2);
    assert_int_equal(ink_argmax(NULL, 0), 0);
}

static void sums_and_products_are_rounded_once(void **unused)
{
    (void)unused;
    enum { N = 77 };
    ink_context *ctx = NULL;
    float *x = test_random(N, 1, 1), *y = test_random(N, 2, 1), z[N];
    for (size_t v = 0; (ctx = test_variant(ctx, v)) != NULL; v++)
        for (size_t n = 0; n <= N; n++) {
            memcpy(z, y, sizeof z);
            assert_ok(ctx, ink_add_scaled(ctx, x, 0.3f, n, z));
            for (size_t i = 0; i < N; i++)
                assert_true(z[i] == (i < n ? fmaf(0.3f, x[i], y[i]) : y[i]));
            memcpy(z, y, sizeof z);
            assert_ok(ctx, ink_multiply_elements(ctx, x, n, z));
            for (size_t i = 0; i < N; i++)
                assert_true(z[i] == (i < n ? x[i] * y[i] : y[i]));
            memcpy(z, y, sizeof z);
            assert_ok(ctx, ink_add(ctx, x, n, z));
            for (size_t i = 0; i < N; i++)
                assert_true(z[i] == (i < n ? x[i] + y[i] : y[i]));
        }
    free(x);
    free(y);
}

static void null_arrays_are_refused_by_name(ink_context *ctx)
{
    const float x[2] = {1, 2};
    float y[2] = {3, 4};
    row_function *const functions[] = {ink_softmax, ink_log_softmax};
    const char *const names[] = {"ink_softmax", "ink_log_softmax"};
    for (size_t f = 0; f < 2; f++) {
        assert_int_equal(functions[f](NULL, x, 1, 2, y), INK_ERROR_ARGUMENT);
        assert_fails(ctx, functions[f](ctx, NULL, 1, 2, y), INK_ERROR_ARGUMENT, "'x'");
        assert_fails(ctx, functions[f](ctx, x, 1, 2, NULL), INK_ERROR_ARGUMENT, "'y'");
        assert_fails(ctx, functions[f](ctx, x, 1, 2, NULL), INK_ERROR_ARGUMENT, names[f]);
        assert_ok(ctx, functions[f](ctx, NULL, 0, 2, NULL));
        assert_ok(ctx, functions[f](ctx, NULL, 2, 0, NULL));
    }
    assert_int_equal(ink_add_scaled(NULL, x, 1, 2, y), INK_ERROR_ARGUMENT);
    assert_fails(ctx, ink_add_scaled(ctx, NULL, 1, 2, y), INK_ERROR_ARGUMENT, "ink_add_scaled");
    assert_fails(ctx, ink_multiply_elements(ctx, x, 2, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_ok(ctx, ink_add_scaled(ctx, NULL, 1, 0, NULL));
    assert_ok(ctx, ink_multiply_elements(ctx, NULL, 0, NULL));
    assert_true(y[0] == 3 && y[1] == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(rows_have_the_softmax_of_pytorch),       cmocka_unit_test(rows_with_infinities_become_nan),
        cmocka_unit_test(many_rows_have_the_bits_of_one),     context_test(argmax_is_that_of_pytorch),
        cmocka_unit_test(sums_and_products_are_rounded_once), context_test(null_arrays_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
