/*
 * test_dense.c - dense layers, MLPs and embeddings: PyTorch's numbers, the double-precision oracle, the same bits
 * everywhere, and files that do not fit.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "layers.h"
#include "oracle_layers.h"

#define ABSOLUTE 1e-5
#define RELATIVE 1.3e-6

static double *widen(const float *x, size_t n)
{
    double *wide = malloc((n + 1) * sizeof *wide);
    assert_non_null(wide);
    for (size_t i = 0; i < n; i++)
        wide[i] = x[i];
    return wide;
}

/* ---- against PyTorch ------------------------------------------------------------------------------------------ */

static void check_dense_case(ink_context *ctx, const ink_weights *fixture, const char *name, bool transposed)
{
    size_t n_x, n_y;
    ink_dense *dense;
    float *x = test_case_tensor(ctx, fixture, name, "x", &n_x);
    float *expected = test_case_tensor(ctx, fixture, name, "y", &n_y);
    if (transposed)
        assert_ok(ctx, ink_dense_load_transposed(ctx, fixture, name, INK_IDENTITY, &dense));
    else
        assert_ok(ctx, ink_dense_load(ctx, fixture, name, INK_IDENTITY, &dense));
    size_t n = n_x / ink_dense_in(dense);
    assert_int_equal(n * ink_dense_out(dense), n_y);
    float *y = test_floats(n_y);
    assert_ok(ctx, ink_dense_forward(ctx, dense, x, n, y));
    test_assert_close(y, expected, n_y, ABSOLUTE, RELATIVE, name);
    ink_dense_free(dense);
    free(x);
    free(expected);
    free(y);
}

static void dense_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/dense.safetensors");
    const char *const names[] = {"plain", "no_bias", "wide", "bf16", "f16", "f64"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_dense_case(ctx, fixture, names[i], false);
    check_dense_case(ctx, fixture, "conv1d", true);
    ink_weights_free(fixture);
}

/* Every activation has its own name, and its numbers are PyTorch's and the oracle's, alone and behind a product. */
static void activations_give_the_numbers_of_pytorch(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/dense.safetensors");
    size_t n;
    float *x = test_tensor(ctx, fixture, "case.activation.x", &n);
    float *y = test_floats(n), *z = test_floats(n);
    double *oracle = malloc(n * sizeof *oracle);
    const float one = 1;
    for (int a = 0; a < INK_N_ACTIVATIONS; a++) {
        char name[64];
        ink_dense *dense;
        snprintf(name, sizeof name, "case.activation.%s", ink_activation_name((ink_activation)a));
        float *expected = test_tensor(ctx, fixture, name, NULL);
        assert_ok(ctx, ink_activate(ctx, (ink_activation)a, x, n, y));
        test_assert_close(y, expected, n, ABSOLUTE, RELATIVE, name);
        for (size_t i = 0; i < n; i++)
            oracle[i] = oracle_activation((ink_activation)a, x[i]);
        test_assert_close_to_double(y, oracle, n, 1e-6, RELATIVE, name);
        assert_ok(ctx, ink_dense_create(ctx, &one, NULL, 1, 1, (ink_activation)a, &dense));
        assert_ok(ctx, ink_dense_forward(ctx, dense, x, n, z));
        test_assert_same_bits(z, y, n, name);
        ink_dense_free(dense);
        free(expected);
    }
    assert_string_equal(ink_activation_name(INK_N_ACTIVATIONS), "unknown");
    free(x);
    free(y);
    free(z);
    free(oracle);
    ink_weights_free(fixture);
}

/* Parameters that are not the default: PyTorch's numbers and the oracle's, at all lengths that do not fill a vector. */
static void activations_take_their_parameter(ink_context *ctx)
{
    static const struct {
        ink_activation activation;
        float a;
        const char *name;
    } cases[] = {
        {INK_LEAKY_RELU, 0.2f, "leaky_relu_0.2"},
        {INK_LEAKY_RELU, 0, "leaky_relu_0"},
        {INK_ELU, 0.5f, "elu_0.5"},
        {INK_ELU, -2, "elu_-2"},
        {INK_SOFTPLUS, 3, "softplus_3"},
        {INK_HARD_SIGMOID, 0.2f, "hard_sigmoid_0.2"},
    };
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/activations.safetensors");
    size_t n;
    float *x = test_case_tensor(ctx, fixture, "activation", "x", &n);
    float *y = test_floats(n), *z = test_floats(n);
    double *oracle = malloc(n * sizeof *oracle);
    assert_non_null(oracle);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const ink_activation activation = ink_activation_with(cases[c].activation, cases[c].a);
        float *expected = test_case_tensor(ctx, fixture, "activation", cases[c].name, NULL);
        ink_context *other = NULL;
        assert_string_equal(ink_activation_name(activation), ink_activation_name(cases[c].activation));
        assert_ok(ctx, ink_activate(ctx, activation, x, n, y));
        test_assert_close(y, expected, n, ABSOLUTE, RELATIVE, cases[c].name);
        for (size_t i = 0; i < n; i++)
            oracle[i] = oracle_activation_with(cases[c].activation, (double)cases[c].a, x[i]);
        test_assert_close_to_double(y, oracle, n, 1e-6, RELATIVE, cases[c].name);
        for (size_t v = 0; (other = test_variant(other, v)) != NULL; v++)
            for (size_t length = n - 33; length <= n; length++) {
                memset(z, 0, n * sizeof *z);
                assert_ok(other, ink_activate(other, activation, x, length, z));
                test_assert_same_bits(z, y, length, cases[c].name);
                assert_true(length == n || z[length] == 0);
            }
        free(expected);
    }
    free(x);
    free(y);
    free(z);
    free(oracle);
    ink_weights_free(fixture);
}

/* The default given as a parameter has the bits of the default. */
static void a_default_parameter_may_be_given(ink_context *ctx)
{
    static const struct {
        ink_activation activation;
        float a;
    } defaults[] = {{INK_LEAKY_RELU, 0.01f}, {INK_ELU, 1}, {INK_SOFTPLUS, 1}, {INK_HARD_SIGMOID, 1.0f / 6}};
    float *x = test_random(500, 1, 4), y[500], z[500];
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        assert_ok(ctx, ink_activate(ctx, defaults[i].activation, x, 500, y));
        assert_ok(ctx, ink_activate(ctx, ink_activation_with(defaults[i].activation, defaults[i].a), x, 500, z));
        test_assert_same_bits(z, y, 500, ink_activation_name(defaults[i].activation));
    }
    free(x);
}

/* A value that is no activation with a parameter is refused by every function that takes one. */
static void wrong_parameters_are_refused(ink_context *ctx)
{
    static const struct {
        ink_activation activation;
        float a;
        const char *words;
    } cases[] = {
        {INK_RELU, 0.2f, "the activation relu has no parameter"},
        {INK_IDENTITY, 0, "the activation identity has no parameter"},
        {INK_LEAKY_RELU, NAN, "the parameter of the activation leaky_relu must be finite"},
        {INK_ELU, INFINITY, "the parameter of the activation elu must be finite"},
        {INK_SOFTPLUS, 0, "the parameter of the activation softplus must be finite and above 0"},
        {INK_HARD_SIGMOID, -0.2f, "the parameter of the activation hard_sigmoid must be finite and above 0"},
        {99, 1, "there is no activation 99"},
    };
    const float x[2] = {1, 2};
    float y[2] = {0};
    ink_dense *dense;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_activation activation = ink_activation_with(cases[i].activation, cases[i].a);
        assert_fails(ctx, ink_activate(ctx, activation, x, 2, y), INK_ERROR_ARGUMENT, cases[i].words);
        assert_fails(ctx, ink_dense_create(ctx, x, NULL, 2, 1, activation, &dense), INK_ERROR_ARGUMENT, cases[i].words);
    }
    assert_fails(ctx, ink_activate(ctx, (ink_activation)1 << 32, x, 2, y), INK_ERROR_ARGUMENT, "no parameter");
    assert_fails(ctx, ink_activate(ctx, ~(ink_activation)0, x, 2, y), INK_ERROR_ARGUMENT, "no activation");
    assert_true(y[0] == 0 && y[1] == 0);
}

static void check_mlp_case(ink_context *ctx, const ink_weights *fixture, const char *name, ink_activation hidden,
                           ink_activation output, size_t n_layers)
{
    size_t n_x, n_y;
    ink_mlp *mlp;
    float *x = test_case_tensor(ctx, fixture, name, "x", &n_x);
    float *expected = test_case_tensor(ctx, fixture, name, "y", &n_y);
    float *y = test_floats(n_y);
    assert_ok(ctx, ink_mlp_load(ctx, fixture, name, hidden, output, &mlp));
    assert_int_equal(ink_mlp_layers(mlp), n_layers);
    size_t n = n_x / ink_mlp_in(mlp);
    assert_int_equal(n * ink_mlp_out(mlp), n_y);
    assert_ok(ctx, ink_mlp_forward(ctx, mlp, x, n, y));
    test_assert_close(y, expected, n_y, ABSOLUTE, RELATIVE, name);

    /* Row by row, which are other chunks: the same bits. */
    float *row = test_floats(ink_mlp_out(mlp));
    for (size_t i = 0; i < n; i++) {
        assert_ok(ctx, ink_mlp_forward(ctx, mlp, x + i * ink_mlp_in(mlp), 1, row));
        test_assert_same_bits(row, y + i * ink_mlp_out(mlp), ink_mlp_out(mlp), name);
    }
    ink_mlp_free(mlp);
    free(row);
    free(x);
    free(expected);
    free(y);
}

/* Layers 0, 3, 6, 8, 10, 12: gaps of any width, and 10 comes after 8, not after 1. */
static void mlp_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/mlp.safetensors");
    check_mlp_case(ctx, fixture, "deep", INK_GELU, INK_SOFTPLUS, 6);
    check_mlp_case(ctx, fixture, "single", INK_GELU, INK_IDENTITY, 1);
    ink_weights_free(fixture);
    fixture = test_fixture(ctx, FIXTURES "/layers/activations.safetensors");
    check_mlp_case(ctx, fixture, "net", ink_activation_with(INK_LEAKY_RELU, 0.2f), ink_activation_with(INK_ELU, 0.5f),
                   3);
    ink_weights_free(fixture);
}

static void embedding_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/norm.safetensors");
    ink_embedding *table;
    size_t n, n_h;
    assert_ok(ctx, ink_embedding_load(ctx, fixture, "table", &table));
    assert_int_equal(ink_embedding_vocab_size(table), 50);
    assert_int_equal(ink_embedding_size(table), 12);
    float *ids = test_tensor(ctx, fixture, "case.table.tokens", &n);
    float *expected = test_tensor(ctx, fixture, "case.table.y", NULL);
    float *h = test_tensor(ctx, fixture, "case.table.h", &n_h);
    float *logits = test_tensor(ctx, fixture, "case.table.logits", NULL);
    float *y = test_floats(n * 12), *found = test_floats(n_h / 12 * 50);
    ink_token tokens[16];
    for (size_t i = 0; i < n; i++)
        tokens[i] = (ink_token)ids[i];
    assert_ok(ctx, ink_embedding_forward(ctx, table, tokens, n, y));
    test_assert_same_bits(y, expected, n * 12, "embedding");
    assert_ok(ctx, ink_embedding_logits(ctx, table, NULL, h, n_h / 12, found));
    test_assert_close(found, logits, n_h / 12 * 50, ABSOLUTE, RELATIVE, "logits");

    /* With a bias. */
    float *bias = test_random(50, 3, 1);
    assert_ok(ctx, ink_embedding_logits(ctx, table, bias, h, n_h / 12, found));
    for (size_t i = 0; i < n_h / 12 * 50; i++)
        logits[i] += bias[i % 50];
    test_assert_close(found, logits, n_h / 12 * 50, ABSOLUTE, RELATIVE, "logits with bias");

    /* An id outside the vocabulary is refused before anything is written. */
    const ink_token bad[] = {-1, 50, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < 4; i++) {
        const ink_token list[] = {3, bad[i]};
        y[0] = 123;
        assert_fails(ctx, ink_embedding_forward(ctx, table, list, 2, y), INK_ERROR_ARGUMENT, "tokens[1]");
        assert_true(y[0] == 123);
    }
    ink_embedding_free(table);
    free(ids);
    free(expected);
    free(h);
    free(logits);
    free(y);
    free(found);
    free(bias);
    ink_weights_free(fixture);
}

/* ---- against the oracle --------------------------------------------------------------------------------------- */

static void check_dense_size(ink_context *ctx, size_t in, size_t out, size_t n, bool with_bias)
{
    float *w = test_random(in * out, in + 1, 0.3f), *b = with_bias ? test_random(out, out, 1) : NULL;
    float *x = test_random(n * in, n, 1), *y = test_floats(n * out);
    double *wide = widen(x, n * in), *expected = malloc((n * out + 1) * sizeof *expected);
    ink_dense *dense;
    assert_ok(ctx, ink_dense_create(ctx, w, b, in, out, INK_TANH, &dense));
    assert_int_equal(ink_dense_in(dense), in);
    assert_int_equal(ink_dense_out(dense), out);
    assert_ok(ctx, ink_dense_forward(ctx, dense, x, n, y));
    oracle_dense(w, b, in, out, INK_TANH, wide, n, expected);
    test_assert_close_to_double(y, expected, n * out, ABSOLUTE, RELATIVE, "dense");
    ink_dense_free(dense);
    free(w);
    free(b);
    free(x);
    free(y);
    free(wide);
    free(expected);
}

static void dense_of_every_kind_of_size_is_right(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(2);
    const size_t sizes[] = {1, 2, 15, 16, 17, 33, 257};
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < 7; j++)
            check_dense_size(ctx, sizes[i], sizes[j], 1 + (i * 7 + j) % 20, (i + j) % 2 == 0);
    check_dense_size(ctx, 300, 1500, 70, true); /* large enough for the workers */
    ink_context_free(ctx);
}

/* Every kernel, 1 to 3 threads, every alignment: one result. */
static void mlp_has_the_same_bits_everywhere(ink_context *ctx)
{
    ink_context *other = NULL;
    state_dict dict = {0};
    ink_mlp *mlp;
    const size_t n = 130, in = 100, out = 37;
    state_dict_matrix(&dict, "0.weight", 1100, in);
    state_dict_vector(&dict, "0.bias", 1100);
    state_dict_matrix(&dict, "2.weight", out, 1100);
    state_dict_vector(&dict, "2.bias", out);
    ink_weights *weights = state_dict_open(ctx, &dict);
    assert_ok(ctx, ink_mlp_load(ctx, weights, "", INK_GELU_TANH, INK_IDENTITY, &mlp));
    float *x = test_random(n * in, 5, 1), *expected = test_floats(n * out);
    assert_ok(ctx, ink_mlp_forward(ctx, mlp, x, n, expected));
    for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
        void *x_block, *y_block;
        float *x_here = test_unaligned(x, n * in, i % 15 + 1, &x_block);
        float *y_here = test_unaligned(x, n * out, (i + 7) % 15 + 1, &y_block);
        assert_ok(other, ink_mlp_forward(other, mlp, x_here, n, y_here));
        test_assert_same_bits(y_here, expected, n * out, ink_context_kernel(other));
        free(x_block);
        free(y_block);
    }
    ink_mlp_free(mlp);
    state_dict_free(&dict);
    free(x);
    free(expected);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

static void mlp_allocates_nothing_after_reserve(void **unused)
{
    (void)unused;
    counting memory;
    ink_context *ctx = counting_begin(&memory, 1);
    state_dict dict = {0};
    ink_mlp *mlp;
    state_dict_matrix(&dict, "net.0.weight", 300, 20);
    state_dict_matrix(&dict, "net.1.weight", 200, 300);
    state_dict_matrix(&dict, "net.2.weight", 3, 200);
    ink_weights *weights = state_dict_open(ctx, &dict);
    float *x = test_random(400 * 20, 1, 1), *y = test_floats(400 * 3);
    assert_ok(ctx, ink_mlp_load(ctx, weights, "net", INK_RELU, INK_IDENTITY, &mlp));
    state_dict_free(&dict);
    ink_context_free(ctx);

    ctx = counting_context(&memory, 1);
    assert_ok(ctx, ink_mlp_reserve(ctx, mlp, 400));
    size_t takes = memory.takes;
    assert_ok(ctx, ink_mlp_forward(ctx, mlp, x, 400, y));
    assert_ok(ctx, ink_mlp_forward(ctx, mlp, x, 7, y));
    assert_int_equal(memory.takes, takes);
    ink_context_free(ctx);

    /* Without it the first call takes what it needs, and says so where there is nothing. */
    ctx = counting_context(&memory, 1);
    assert_true(runs_out_of_memory(ctx, &memory, 1, ink_mlp_forward(ctx, mlp, x, 400, y), "out of memory"));
    assert_ok(ctx, ink_mlp_forward(ctx, mlp, x, 400, y));
    ink_context_free(ctx);
    ink_mlp_free(mlp);
    assert_int_equal(memory.live_bytes, 0);
    free(x);
    free(y);
}

/* Each allocation failing once, and all from each on: a sentence, no object, nothing left behind. (One failure alone
   may go unnoticed: scratch asks again for less.) */
static void loading_survives_every_failed_allocation(ink_context *ctx)
{
    state_dict dict = {0};
    state_dict_matrix(&dict, "net.0.weight", 40, 20);
    state_dict_vector(&dict, "net.0.bias", 40);
    ink_weights *weights = state_dict_open(ctx, &dict);
    bool failed = true;
    for (size_t k = 1; failed; k++) {
        counting memory;
        ink_context *counted = counting_begin(&memory, 1);
        ink_mlp *mlp = (ink_mlp *)&memory;
        failed = runs_out_of_memory(counted, &memory, k,
                                    ink_mlp_load(counted, weights, "net", INK_RELU, INK_RELU, &mlp), NULL);
        assert_int_equal(mlp == NULL, failed);
        ink_mlp_free(mlp);
        counting_fail_at(&memory, k);
        ink_result result = ink_mlp_load(counted, weights, "net", INK_RELU, INK_RELU, &mlp);
        counting_failed(&memory);
        assert_int_equal(mlp == NULL, result != INK_OK);
        ink_mlp_free(mlp);
        counting_end(&memory, counted);
        assert_true(k < 100);
    }
    state_dict_free(&dict);
}

/* ---- files that do not fit ------------------------------------------------------------------------------------ */

/* Folded in front and behind, with and without a bias of the layer, weights of the norm, an activation before it. */
static void batch_norms_become_part_of_their_neighbours(ink_context *ctx)
{
    ink_context *other = NULL;
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/batch_norm.safetensors");
    ink_mlp *mlp = NULL;
    size_t n_x;
    check_mlp_case(ctx, fixture, "net", INK_GELU, INK_IDENTITY, 4);
    assert_fails(ctx, ink_mlp_load(ctx, fixture, "apart", INK_RELU, INK_IDENTITY, &mlp), INK_ERROR_UNSUPPORTED,
                 "the BatchNorm1d 'apart.2' is neither");
    assert_null(mlp);

    float *x = test_tensor(ctx, fixture, "case.net.x", &n_x), *y[2] = {test_floats(9 * 5), test_floats(9 * 5)};
    assert_int_equal(n_x, 9 * 7);
    for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) { /* read by each kernel, too */
        assert_ok(other, ink_mlp_load(other, fixture, "net", INK_GELU, INK_IDENTITY, &mlp));
        assert_ok(other, ink_mlp_forward(other, mlp, x, 9, y[i > 0]));
        test_assert_same_bits(y[i > 0], y[0], 9 * 5, "folded norms");
        ink_mlp_free(mlp);
    }
    free(x);
    free(y[0]);
    free(y[1]);
    ink_weights_free(fixture);
}

typedef struct bad_file {
    const char *what;
    const char *name;
    ink_type type;
    size_t rank;
    size_t shape[4];
} bad_file;

/* net.0 is [4, 3]; each file adds one tensor to it. */
static void mlp_refuses_what_does_not_fit(ink_context *ctx)
{
    static const struct {
        bad_file file;
        ink_result result;
        const char *words;
    } cases[] = {
        {{"chain", "net.2.weight", INK_F32, 2, {5, 3}},
         INK_ERROR_MISMATCH,
         "'net.2.weight' is [5, 3], the layer before it asks for [5, 4]"},
        {{"bias size", "net.0.bias", INK_F32, 1, {3}}, INK_ERROR_MISMATCH, "'net.0.bias' is [3], expected [4]"},
        {{"bias rank", "net.0.bias", INK_F32, 2, {4, 1}}, INK_ERROR_MISMATCH, "'net.0.bias' is [4, 1], expected [4]"},
        {{"bias alone", "net.7.bias", INK_F32, 1, {4}}, INK_ERROR_NOT_FOUND, "'net.7.weight' is missing"},
        {{"a norm", "net.1.weight", INK_F32, 1, {4}},
         INK_ERROR_UNSUPPORTED,
         "'net.1.weight' is [4], expected a matrix; it is of an nn.PReLU, nn.RMSNorm or nn.LayerNorm, and the file "
         "does "
         "not say which: list the modules for ink_sequential_load()"},
        {{"a slope", "net.1.weight", INK_F32, 1, {1}},
         INK_ERROR_UNSUPPORTED,
         "'net.1.weight' is [1], expected a matrix; it is of an nn.PReLU"},
        {{"a convolution", "net.1.weight", INK_F32, 3, {2, 2, 3}},
         INK_ERROR_UNSUPPORTED,
         "expected a matrix; it is of an nn.Conv1d or nn.ConvTranspose1d, and the file does not say which"},
        {{"a convolution of kernel size 1", "net.1.weight", INK_F32, 3, {2, 4, 1}},
         INK_ERROR_UNSUPPORTED,
         "nn.Linear and nn.Conv1d in one nn.Sequential work along different dimensions"},
        {{"a convolution of images", "net.1.weight", INK_F32, 4, {2, 4, 3, 3}},
         INK_ERROR_UNSUPPORTED,
         "'net.1.weight' is [2, 4, 3, 3], and nn.Linear"},
        {{"half a norm", "net.1.running_mean", INK_F32, 1, {4}}, INK_ERROR_NOT_FOUND, "'net.1.running_var' is miss"},
        {{"a norm of others", "net.1.running_mean", INK_F32, 1, {3}}, INK_ERROR_MISMATCH, "1.running_mean' is [3]"},
        {{"a norm alone", "net.7.running_mean", INK_F32, 1, {4}},
         INK_ERROR_UNSUPPORTED,
         "the BatchNorm1d 'net.7' is neither directly after a Linear layer nor directly before one"},
        {{"nested", "net.1.0.weight", INK_F32, 2, {4, 4}}, INK_ERROR_UNSUPPORTED, "'net.1.0.weight'"},
        {{"named", "net.out.weight", INK_F32, 2, {4, 4}}, INK_ERROR_UNSUPPORTED, "'net.out.weight'"},
        {{"leading zero", "net.01.weight", INK_F32, 2, {4, 4}}, INK_ERROR_UNSUPPORTED, "'net.01.weight'"},
        {{"too far", "net.12345678901.weight", INK_F32, 2, {4, 4}}, INK_ERROR_UNSUPPORTED, "'net.12345678901"},
        {{"a scale beside a weight", "net.0.weight_scale", INK_F32, 1, {4}},
         INK_ERROR_UNSUPPORTED,
         "'net.0.weight_scale' belongs neither"},
        {{"a factor beside a weight", "net.0.weight_g", INK_F32, 2, {4, 1}},
         INK_ERROR_UNSUPPORTED,
         "both 'net.0.weight' and 'net.0.weight_g'"},
        {{"weight norm", "net.2.weight_g", INK_F32, 2, {5, 1}}, INK_ERROR_UNSUPPORTED, "remove_weight_norm"},
        {{"parametrization", "net.2.parametrizations.weight.original0", INK_F32, 2, {5, 1}},
         INK_ERROR_UNSUPPORTED,
         "remove_parametrizations"},
        {{"integers", "net.2.weight", INK_I64, 2, {5, 4}}, INK_ERROR_UNSUPPORTED, "is of type I64"},
        {{"empty", "net.2.weight", INK_F32, 2, {0, 4}}, INK_ERROR_MISMATCH, "[0, 4], expected at least one element"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        state_dict dict = {0};
        ink_mlp *mlp = (ink_mlp *)&dict;
        const bad_file *file = &cases[i].file;
        state_dict_matrix(&dict, "net.0.weight", 4, 3);
        state_dict_add(&dict, file->name, file->type, file->rank, file->shape, NULL);
        ink_weights *weights = state_dict_open(ctx, &dict);
        assert_fails(ctx, ink_mlp_load(ctx, weights, "net", INK_RELU, INK_IDENTITY, &mlp), cases[i].result,
                     cases[i].words);
        assert_null(mlp);
        state_dict_free(&dict);
    }
}

static void loading_names_what_is_missing(ink_context *ctx)
{
    state_dict dict = {0};
    char long_name[400];
    ink_mlp *mlp;
    ink_dense *dense;
    ink_embedding *embedding;
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    state_dict_matrix(&dict, "fc.weight", 4, 3);
    state_dict_vector(&dict, "vector.weight", 4);
    ink_weights *weights = state_dict_open(ctx, &dict);
    assert_fails(ctx, ink_mlp_load(ctx, weights, "net", INK_RELU, INK_RELU, &mlp), INK_ERROR_NOT_FOUND, "'net'");
    assert_fails(ctx, ink_mlp_load(ctx, weights, "", INK_RELU, INK_RELU, &mlp), INK_ERROR_NOT_FOUND, "NUMBER.weight");
    assert_fails(ctx, ink_mlp_load(ctx, weights, long_name, INK_RELU, INK_RELU, &mlp), INK_ERROR_NOT_FOUND, NULL);
    assert_fails(ctx, ink_dense_load(ctx, weights, "fd", INK_RELU, &dense), INK_ERROR_NOT_FOUND,
                 "model.safetensors: tensor 'fd.weight' is missing");
    assert_fails(ctx, ink_dense_load(ctx, weights, long_name, INK_RELU, &dense), INK_ERROR_NOT_FOUND, "255 bytes");
    assert_fails(ctx, ink_dense_load(ctx, weights, "vector", INK_RELU, &dense), INK_ERROR_MISMATCH, "a matrix");
    assert_fails(ctx, ink_embedding_load(ctx, weights, "fd", &embedding), INK_ERROR_NOT_FOUND, "'fd.weight'");
    assert_ok(ctx, ink_dense_load(ctx, weights, "fc", INK_RELU, &dense));
    ink_dense_free(dense);
    state_dict_free(&dict);
}

/* ---- misuse --------------------------------------------------------------------------------------------------- */

static void null_arguments_are_refused_by_name(ink_context *ctx)
{
    state_dict dict = {0};
    ink_mlp *mlp;
    ink_dense *dense;
    ink_embedding *embedding;
    float x[4] = {0}, y[4] = {0};
    const ink_token token = 0;
    const ink_activation nonsense = (ink_activation)99;
    state_dict_matrix(&dict, "0.weight", 1, 1);
    ink_weights *weights = state_dict_open(ctx, &dict);
    assert_int_equal(ink_mlp_load(NULL, weights, "", INK_RELU, INK_RELU, &mlp), INK_ERROR_ARGUMENT);
    assert_fails(ctx, ink_mlp_load(ctx, NULL, "", INK_RELU, INK_RELU, &mlp), INK_ERROR_ARGUMENT, "'weights'");
    assert_fails(ctx, ink_mlp_load(ctx, weights, NULL, INK_RELU, INK_RELU, &mlp), INK_ERROR_ARGUMENT, "'name'");
    assert_fails(ctx, ink_mlp_load(ctx, weights, "", INK_RELU, INK_RELU, NULL), INK_ERROR_ARGUMENT, "'mlp'");
    assert_fails(ctx, ink_mlp_load(ctx, weights, "", nonsense, INK_RELU, &mlp), INK_ERROR_ARGUMENT, "activation 99");
    assert_fails(ctx, ink_mlp_load(ctx, weights, "", INK_RELU, nonsense, &mlp), INK_ERROR_ARGUMENT, "activation 99");
    assert_fails(ctx, ink_dense_load(ctx, NULL, "0", INK_RELU, &dense), INK_ERROR_ARGUMENT, "'weights'");
    assert_fails(ctx, ink_dense_load(ctx, weights, NULL, INK_RELU, &dense), INK_ERROR_ARGUMENT, "'name'");
    assert_fails(ctx, ink_dense_load(ctx, weights, "0", nonsense, &dense), INK_ERROR_ARGUMENT, "activation 99");
    assert_fails(ctx, ink_dense_create(ctx, NULL, NULL, 1, 1, INK_RELU, &dense), INK_ERROR_ARGUMENT, "'weight'");
    assert_fails(ctx, ink_dense_create(ctx, x, NULL, 0, 1, INK_RELU, &dense), INK_ERROR_ARGUMENT, "0 inputs");
    assert_fails(ctx, ink_dense_create(ctx, x, NULL, 1, 0, INK_RELU, &dense), INK_ERROR_ARGUMENT, "0 outputs");
    assert_fails(ctx, ink_activate(ctx, nonsense, x, 1, y), INK_ERROR_ARGUMENT, "activation 99");
    assert_fails(ctx, ink_activate(ctx, INK_RELU, NULL, 1, y), INK_ERROR_ARGUMENT, "'x'");
    assert_fails(ctx, ink_activate(ctx, INK_RELU, x, 1, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_fails(ctx, ink_add(ctx, NULL, 1, y), INK_ERROR_ARGUMENT, "'x'");
    assert_fails(ctx, ink_add(ctx, x, 1, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_fails(ctx, ink_embedding_load(ctx, weights, "0", NULL), INK_ERROR_ARGUMENT, "'embedding'");

    assert_ok(ctx, ink_mlp_load(ctx, weights, "", INK_RELU, INK_RELU, &mlp));
    assert_ok(ctx, ink_dense_load(ctx, weights, "0", INK_RELU, &dense));
    assert_ok(ctx, ink_embedding_load(ctx, weights, "0", &embedding));
    assert_fails(ctx, ink_mlp_forward(ctx, NULL, x, 1, y), INK_ERROR_ARGUMENT, "'mlp'");
    assert_fails(ctx, ink_mlp_forward(ctx, mlp, NULL, 1, y), INK_ERROR_ARGUMENT, "'x'");
    assert_fails(ctx, ink_mlp_forward(ctx, mlp, x, 1, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_fails(ctx, ink_dense_forward(ctx, NULL, x, 1, y), INK_ERROR_ARGUMENT, "'dense'");
    assert_fails(ctx, ink_dense_forward(ctx, dense, NULL, 1, y), INK_ERROR_ARGUMENT, "'x'");
    assert_fails(ctx, ink_dense_forward(ctx, dense, x, 1, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_fails(ctx, ink_embedding_forward(ctx, embedding, NULL, 1, y), INK_ERROR_ARGUMENT, "'tokens'");
    assert_fails(ctx, ink_embedding_forward(ctx, embedding, &token, 1, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_fails(ctx, ink_embedding_logits(ctx, embedding, NULL, NULL, 1, y), INK_ERROR_ARGUMENT, "'h'");
    assert_fails(ctx, ink_embedding_logits(ctx, embedding, NULL, x, 1, NULL), INK_ERROR_ARGUMENT, "'logits'");

    /* Nothing to do is no mistake. */
    assert_ok(ctx, ink_mlp_forward(ctx, mlp, NULL, 0, NULL));
    assert_ok(ctx, ink_dense_forward(ctx, dense, NULL, 0, NULL));
    assert_ok(ctx, ink_embedding_forward(ctx, embedding, NULL, 0, NULL));
    ink_mlp_free(mlp);
    ink_dense_free(dense);
    ink_embedding_free(embedding);
    ink_mlp_free(NULL);
    ink_dense_free(NULL);
    ink_embedding_free(NULL);
    state_dict_free(&dict);
}

/* ---- looking inside ------------------------------------------------------------------------------------------- */

static void note(void *user, const char *name, const ink_tensor *value)
{
    char *list = user;
    size_t length = strlen(list);
    snprintf(list + length, 400 - length, "%s[%zu,%zu] ", name, value->shape.dim[0], value->shape.dim[1]);
}

static void mlp_shows_its_layers(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/mlp.safetensors");
    ink_mlp *mlp;
    char list[400] = "";
    float x[2 * 4] = {0}, y[2 * 3];
    assert_ok(ctx, ink_mlp_load(ctx, fixture, "single", INK_RELU, INK_RELU, &mlp));
    ink_context_trace(ctx, note, list);
    assert_ok(ctx, ink_mlp_forward(ctx, mlp, x, 2, y));
    ink_context_trace(ctx, NULL, NULL);
    assert_string_equal(list, "layers.0.out[2,3] ");
    ink_mlp_free(mlp);
    ink_weights_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(dense_gives_the_numbers_of_pytorch),
        context_test(activations_give_the_numbers_of_pytorch),
        context_test(activations_take_their_parameter),
        context_test(a_default_parameter_may_be_given),
        context_test(wrong_parameters_are_refused),
        context_test(mlp_gives_the_numbers_of_pytorch),
        context_test(embedding_gives_the_numbers_of_pytorch),
        cmocka_unit_test(dense_of_every_kind_of_size_is_right),
        context_test(mlp_has_the_same_bits_everywhere),
        cmocka_unit_test(mlp_allocates_nothing_after_reserve),
        context_test(loading_survives_every_failed_allocation),
        context_test(batch_norms_become_part_of_their_neighbours),
        context_test(mlp_refuses_what_does_not_fit),
        context_test(loading_names_what_is_missing),
        context_test(null_arguments_are_refused_by_name),
        context_test(mlp_shows_its_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
