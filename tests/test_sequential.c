/*
 * test_sequential.c - nn.Sequential by a list of its modules: PyTorch's numbers, the same bits whole and in chunks, on
 * any number of threads and in every kernel, and lists that do not fit their file.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "layers.h"

#define ABSOLUTE 1e-5
#define RELATIVE 1.3e-6
#define MAX_MODULES 10

/* The networks of the fixture: what make_sequential() of make_layers.py writes down in Python. */
static const struct net {
    const char *name;
    size_t n_modules, out;
    bool over_time;
    ink_module modules[MAX_MODULES];
} nets[] = {
    {"norms",
     10,
     5,
     false,
     {{.kind = INK_MODULE_LINEAR},
      {.kind = INK_MODULE_LAYER_NORM},
      {.kind = INK_MODULE_ACTIVATION, .activation = INK_RELU},
      {.kind = INK_MODULE_NONE},
      {.kind = INK_MODULE_LINEAR},
      {.kind = INK_MODULE_RMS_NORM},
      {.kind = INK_MODULE_PRELU},
      {.kind = INK_MODULE_LINEAR},
      {.kind = INK_MODULE_PRELU},
      {.kind = INK_MODULE_BATCH_NORM}}},
    {"first",
     9,
     4,
     false,
     {{.kind = INK_MODULE_ACTIVATION, .activation = INK_TANH},
      {.kind = INK_MODULE_PRELU},
      {.kind = INK_MODULE_LAYER_NORM, .eps = 1e-2f},
      {.kind = INK_MODULE_NONE},
      {.kind = INK_MODULE_LINEAR},
      {.kind = INK_MODULE_ACTIVATION, .activation = INK_SILU},
      {.kind = INK_MODULE_BATCH_NORM, .eps = 1e-2f},
      {.kind = INK_MODULE_RMS_NORM, .eps = 1e-3f},
      {.kind = INK_MODULE_ACTIVATION, .activation = INK_GELU}}},
    {"conv",
     8,
     4,
     true,
     {{.kind = INK_MODULE_CONV1D, .conv = {.stride = 2, .padding_left = 1, .padding_right = 1}},
      {.kind = INK_MODULE_BATCH_NORM},
      {.kind = INK_MODULE_ACTIVATION, .activation = INK_RELU},
      {.kind = INK_MODULE_CONV1D, .conv = {.groups = 8, .dilation = 2, .padding_left = 3, .padding_right = 3}},
      {.kind = INK_MODULE_PRELU},
      {.kind = INK_MODULE_NONE},
      {.kind = INK_MODULE_CONV1D},
      {.kind = INK_MODULE_ACTIVATION, .activation = INK_TANH}}},
    {"before",
     4,
     6,
     true,
     {{.kind = INK_MODULE_BATCH_NORM},
      {.kind = INK_MODULE_CONV1D, .conv = {.padding_left = 4, .padding_right = 4}},
      {.kind = INK_MODULE_PRELU},
      {.kind = INK_MODULE_CONV1D, .conv = {.stride = 3}}}},
    {"weight_norm",
     3,
     3,
     true,
     {{.kind = INK_MODULE_CONV1D, .conv = {.dilation = 2}},
      {.kind = INK_MODULE_ACTIVATION, .activation = INK_RELU},
      {.kind = INK_MODULE_CONV1D}}},
    {"pointwise",
     3,
     5,
     true,
     {{.kind = INK_MODULE_CONV1D},
      {.kind = INK_MODULE_ACTIVATION, .activation = INK_GELU},
      {.kind = INK_MODULE_CONV1D}}},
};
#define N_NETS (sizeof nets / sizeof nets[0])
#define IN 7

static ink_sequential *load(ink_context *ctx, const struct net *net)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/sequential.safetensors");
    ink_sequential *made;
    assert_ok(ctx, ink_sequential_load(ctx, fixture, net->name, net->modules, net->n_modules, &made));
    assert_int_equal(ink_sequential_in(made), IN);
    assert_int_equal(ink_sequential_out(made), net->out);
    ink_weights_free(fixture);
    return made;
}

static void every_module_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/sequential.safetensors");
    for (size_t i = 0; i < N_NETS; i++) {
        ink_sequential *net = load(ctx, &nets[i]);
        size_t n_x, n_y;
        float *x = test_case_tensor(ctx, fixture, nets[i].name, "x", &n_x);
        float *expected = test_case_tensor(ctx, fixture, nets[i].name, "y", &n_y), *y = test_floats(n_y);
        assert_int_equal(ink_sequential_length(net, NULL, n_x / IN, true) * nets[i].out, n_y);
        assert_ok(ctx, ink_sequential_forward(ctx, net, NULL, x, n_x / IN, true, y));
        test_assert_close(y, expected, n_y, ABSOLUTE, RELATIVE, nets[i].name);
        ink_sequential_free(net);
        free(x);
        free(expected);
        free(y);
    }
    ink_weights_free(fixture);
}

/* Convolutions of kernel size 1 are dense layers, alone and as an MLP. */
static void pointwise_convolutions_are_dense(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/sequential.safetensors");
    size_t n_x, n_y;
    ink_mlp *mlp;
    ink_dense *dense;
    float *x = test_case_tensor(ctx, fixture, "pointwise", "x", &n_x), h[9], z[5];
    float *expected = test_case_tensor(ctx, fixture, "pointwise", "y", &n_y), *y = test_floats(n_y);
    assert_ok(ctx, ink_mlp_load(ctx, fixture, "pointwise", INK_GELU, INK_IDENTITY, &mlp));
    assert_ok(ctx, ink_mlp_forward(ctx, mlp, x, n_x / IN, y));
    test_assert_close(y, expected, n_y, ABSOLUTE, RELATIVE, "pointwise");
    assert_ok(ctx, ink_dense_load(ctx, fixture, "pointwise.0", INK_GELU, &dense));
    assert_ok(ctx, ink_dense_forward(ctx, dense, x, 1, h));
    ink_dense_free(dense);
    assert_ok(ctx, ink_dense_load(ctx, fixture, "pointwise.2", INK_IDENTITY, &dense));
    assert_ok(ctx, ink_dense_forward(ctx, dense, h, 1, z));
    test_assert_same_bits(z, y, 5, "two dense layers");
    ink_dense_free(dense);
    assert_fails(ctx, ink_dense_load(ctx, fixture, "conv.0", INK_GELU, &dense), INK_ERROR_MISMATCH, "[8, 7, 3]");
    assert_fails(ctx, ink_dense_load_transposed(ctx, fixture, "pointwise.0", INK_GELU, &dense), INK_ERROR_MISMATCH,
                 "[9, 7, 1], expected a matrix");
    ink_mlp_free(mlp);
    free(x);
    free(expected);
    free(y);
    ink_weights_free(fixture);
}

/* The slope of each channel, at the edges of floats too. */
static void prelu_is_right_at_the_edges(ink_context *ctx)
{
    static const float slopes[] = {0.25f, -2, 0, 1}, values[] = {1, -1, 0, -0.0f, 1e38f, -1e38f, INFINITY, -1e-40f};
    static const ink_module module = {.kind = INK_MODULE_PRELU};
    state_dict dict = {0};
    ink_sequential *net;
    state_dict_add(&dict, "0.weight", INK_F32, 1, (size_t[]){4}, slopes);
    ink_weights *weights = state_dict_open(ctx, &dict);
    assert_ok(ctx, ink_sequential_load(ctx, weights, "", &module, 1, &net));
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        float x[] = {values[i], values[i], values[i], values[i]}, y[4], row[4];
        assert_ok(ctx, ink_sequential_forward(ctx, net, NULL, x, 1, true, y));
        for (size_t c = 0; c < 4; c++)
            row[c] = values[i] > 0 ? values[i] : slopes[c] * values[i];
        for (size_t c = 0; c < 4; c++)
            assert_true(y[c] == row[c]);
    }
    float x[] = {-INFINITY, NAN, NAN, -INFINITY}, y[4];
    assert_ok(ctx, ink_sequential_forward(ctx, net, NULL, x, 1, true, y));
    assert_true(y[0] == -INFINITY && isnan(y[1]) && isnan(y[2]) && y[3] == -INFINITY);
    ink_sequential_free(net);
    state_dict_free(&dict);
}

/* ---- the same bits ---------------------------------------------------------------------------------------------- */

static void chunks_and_variants_have_the_same_bits(ink_context *ctx)
{
    const size_t n = 400;
    float *x = test_random(n * IN, 3, 1);
    for (size_t i = 0; i < N_NETS; i++) {
        ink_sequential *net = load(ctx, &nets[i]);
        ink_context *other = NULL;
        size_t length = ink_sequential_length(net, NULL, n, true), out = nets[i].out;
        float *expected = test_floats(length * out), *y = test_floats(length * out);
        float *state = calloc(ink_sequential_state_size(net) + 1, sizeof *state);
        assert_int_equal(ink_sequential_state_size(net) > 0, nets[i].over_time);
        assert_ok(ctx, ink_sequential_forward(ctx, net, NULL, x, n, true, expected));
        for (size_t v = 0; (other = test_variant(other, v)) != NULL; v++) {
            size_t given = 0;
            for (size_t first = 0, count; first < n; first += count) {
                count = 1 + (first * 7 + v) % 150;
                count = count < n - first ? count : n - first;
                size_t rows = ink_sequential_length(net, state, count, first + count == n);
                assert_ok(other, ink_sequential_forward(other, net, state, x + first * IN, count, first + count == n,
                                                        rows > 0 ? y + given * out : NULL));
                given += rows;
            }
            assert_int_equal(given, length);
            test_assert_same_bits(y, expected, length * out, nets[i].name);
        }
        ink_sequential_free(net);
        free(expected);
        free(y);
        free(state);
    }
    free(x);
}

static void nothing_is_allocated_after_reserve(ink_context *ctx)
{
    const size_t n = 300;
    float *x = test_random(n * IN, 3, 1), *y = test_floats(n * 6 * 6);
    for (size_t i = 0; i < N_NETS; i++) {
        counting memory;
        ink_sequential *net = load(ctx, &nets[i]);
        float *state = calloc(ink_sequential_state_size(net) + 1, sizeof *state);
        ink_context *counted = counting_begin(&memory, 1);
        assert_ok(counted, ink_sequential_reserve(counted, net, n));
        size_t takes = memory.takes;
        assert_ok(counted, ink_sequential_forward(counted, net, NULL, x, n, true, y));
        assert_ok(counted, ink_sequential_forward(counted, net, state, x, 40, false, y));
        assert_ok(counted, ink_sequential_forward(counted, net, state, NULL, 0, true, y));
        assert_int_equal(memory.takes, takes);
        counting_end(&memory, counted);
        ink_sequential_free(net);
        free(state);
    }
    free(x);
    free(y);
}

static void loading_survives_every_failed_allocation(ink_context *ctx, counting *memory)
{
    ink_context *plain = test_context(1);
    ink_weights *fixture = test_fixture(plain, FIXTURES "/layers/sequential.safetensors");
    ink_sequential *net = (ink_sequential *)memory;
    for (size_t k = 1; runs_out_of_memory(
             ctx, memory, k, ink_sequential_load(ctx, fixture, "conv", nets[2].modules, nets[2].n_modules, &net), NULL);
         k++)
        assert_null(net);
    ink_sequential_free(net);
    ink_weights_free(fixture);
    ink_context_free(plain);
}

/* ---- lists that do not fit -------------------------------------------------------------------------------------- */

/* The file has 0: Linear(3, 4), 1: a vector of 4 and a bias, 2: Linear(4, 2), and another module beside the network. */
static void lists_that_do_not_fit_are_refused(ink_context *ctx)
{
    static const struct {
        size_t n;
        ink_module modules[5];
        ink_result result;
        const char *words;
    } cases[] = {
        {0, {{.kind = INK_MODULE_NONE}}, INK_ERROR_UNSUPPORTED, "belongs to none of the 0 modules of the list"},
        {2,
         {{.kind = INK_MODULE_LINEAR}, {.kind = INK_MODULE_LAYER_NORM}},
         INK_ERROR_UNSUPPORTED,
         "'net.2.weight' belongs to none of the 2 modules"},
        {3,
         {{.kind = INK_MODULE_LINEAR}, {.kind = INK_MODULE_NONE}, {.kind = INK_MODULE_LINEAR}},
         INK_ERROR_UNSUPPORTED,
         "'net.1."},
        {3,
         {{.kind = INK_MODULE_LINEAR}, {.kind = INK_MODULE_RMS_NORM}, {.kind = INK_MODULE_LINEAR}},
         INK_ERROR_UNSUPPORTED,
         "'net.1.bias' belongs to none"},
        {3,
         {{.kind = INK_MODULE_LINEAR}, {.kind = INK_MODULE_PRELU}, {.kind = INK_MODULE_LINEAR}},
         INK_ERROR_UNSUPPORTED,
         "'net.1.bias' belongs to none"},
        {3,
         {{.kind = INK_MODULE_LINEAR}, {.kind = INK_MODULE_BATCH_NORM}, {.kind = INK_MODULE_LINEAR}},
         INK_ERROR_NOT_FOUND,
         "'net.1.running_mean' is missing"},
        {4,
         {{.kind = INK_MODULE_LINEAR},
          {.kind = INK_MODULE_LAYER_NORM},
          {.kind = INK_MODULE_LINEAR},
          {.kind = INK_MODULE_PRELU}},
         INK_ERROR_NOT_FOUND,
         "'net.3.weight' is missing"},
        {3,
         {{.kind = INK_MODULE_LINEAR}, {.kind = INK_MODULE_LINEAR}, {.kind = INK_MODULE_LINEAR}},
         INK_ERROR_MISMATCH,
         "'net.1.weight' is [4], expected a matrix"},
        {3,
         {{.kind = INK_MODULE_CONV1D}, {.kind = INK_MODULE_BATCH_NORM}, {.kind = INK_MODULE_CONV1D}},
         INK_ERROR_MISMATCH,
         "'net.0.weight' is [4, 3], expected the weight [out, in / groups, kernel_size]"},
        {3,
         {{.kind = INK_MODULE_CONV1D}, {.kind = INK_MODULE_LAYER_NORM}, {.kind = INK_MODULE_LINEAR}},
         INK_ERROR_UNSUPPORTED,
         "modules[1]: beside an nn.Conv1d"},
        {1, {{.kind = INK_N_MODULES}}, INK_ERROR_ARGUMENT, "modules[0]: there is no kind 8"},
        {1, {{.kind = INK_MODULE_ACTIVATION, .activation = 99}}, INK_ERROR_ARGUMENT, "activation 99"},
        {1, {{.kind = INK_MODULE_LAYER_NORM, .eps = -1}}, INK_ERROR_ARGUMENT, "modules[0]: eps must be finite"},
        {1, {{.kind = INK_MODULE_LAYER_NORM, .eps = INFINITY}}, INK_ERROR_ARGUMENT, "modules[0]: eps must be finite"},
    };
    static const ink_module only[] = {{.kind = INK_MODULE_ACTIVATION, .activation = INK_RELU}};
    state_dict dict = {0};
    ink_sequential *net;
    state_dict_matrix(&dict, "net.0.weight", 4, 3);
    state_dict_vector(&dict, "net.1.weight", 4);
    state_dict_vector(&dict, "net.1.bias", 4);
    state_dict_matrix(&dict, "net.2.weight", 2, 4);
    state_dict_matrix(&dict, "other.weight", 2, 4);
    state_dict_vector(&dict, "wide.0.weight", 5);
    ink_weights *weights = state_dict_open(ctx, &dict);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net = (ink_sequential *)&dict;
        assert_fails(ctx, ink_sequential_load(ctx, weights, "net", cases[i].modules, cases[i].n, &net), cases[i].result,
                     cases[i].words);
        assert_null(net);
    }
    assert_fails(ctx, ink_sequential_load(ctx, weights, "none", only, 1, &net), INK_ERROR_ARGUMENT,
                 "none of the 1 modules has a number of channels");
    assert_fails(ctx, ink_sequential_load(ctx, NULL, "net", only, 1, &net), INK_ERROR_ARGUMENT, "'weights'");
    assert_fails(ctx, ink_sequential_load(ctx, weights, NULL, only, 1, &net), INK_ERROR_ARGUMENT, "'name'");
    assert_fails(ctx, ink_sequential_load(ctx, weights, "net", NULL, 1, &net), INK_ERROR_ARGUMENT, "'modules'");
    assert_fails(ctx, ink_sequential_load(ctx, weights, "net", only, 1, NULL), INK_ERROR_ARGUMENT, "'net'");
    state_dict_free(&dict);
}

static void bad_calls_are_refused(ink_context *ctx)
{
    ink_sequential *net = load(ctx, &nets[2]);
    float *x = test_random(20 * IN, 1, 1), y[100];
    float *state = calloc(ink_sequential_state_size(net), sizeof *state);
    assert_fails(ctx, ink_sequential_forward(ctx, NULL, NULL, x, 20, true, y), INK_ERROR_ARGUMENT, "'net'");
    assert_fails(ctx, ink_sequential_forward(ctx, net, NULL, NULL, 20, true, y), INK_ERROR_ARGUMENT, "'x'");
    assert_fails(ctx, ink_sequential_forward(ctx, net, NULL, x, 20, true, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_fails(ctx, ink_sequential_forward(ctx, net, NULL, x, SIZE_MAX, true, y), INK_ERROR_ARGUMENT, "memory");
    assert_fails(ctx, ink_sequential_reserve(ctx, NULL, 1), INK_ERROR_ARGUMENT, "'net'");
    state[0] = 0.5f;
    assert_fails(ctx, ink_sequential_forward(ctx, net, state, x, 20, true, y), INK_ERROR_ARGUMENT, "not one of this");
    assert_int_equal(ink_sequential_length(net, state, 20, true), 0);
    assert_ok(ctx, ink_sequential_forward(ctx, net, NULL, NULL, 0, true, NULL));
    ink_sequential_free(net);
    net = load(ctx, &nets[3]); /* the last convolution sees nothing of a single row without padding */
    assert_int_equal(ink_sequential_length(net, NULL, 1, false), 0);
    assert_fails(ctx, ink_sequential_forward(ctx, net, NULL, x, 1, false, y), INK_ERROR_ARGUMENT, "too few");
    ink_sequential_free(net);
    ink_sequential_free(NULL);
    free(x);
    free(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(every_module_gives_the_numbers_of_pytorch),
        context_test(pointwise_convolutions_are_dense),
        context_test(prelu_is_right_at_the_edges),
        context_test(chunks_and_variants_have_the_same_bits),
        context_test(nothing_is_allocated_after_reserve),
        counted_test(loading_survives_every_failed_allocation),
        context_test(lists_that_do_not_fit_are_refused),
        context_test(bad_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
