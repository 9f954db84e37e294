/*
 * test_conv.c - the convolution over time: PyTorch's numbers, the double-precision oracle, the same bits in chunks of
 * any lengths, on any number of threads and in every kernel, and settings and files that do not fit.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "layers.h"
#include "oracle_layers.h"

#define ABSOLUTE 1e-5
#define RELATIVE 1.3e-6

static uint64_t seed;

/* A number below n. */
static size_t pick(size_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(seed >> 33) % n;
}

/* A convolution with random weights, and what it was made of. */
typedef struct made_conv {
    ink_conv1d *conv;
    size_t in, out, kernel;
    ink_conv1d_options options;
    float *w, *b;
} made_conv;

static made_conv make_conv(ink_context *ctx, size_t in, size_t out, size_t kernel, ink_conv1d_options options,
                           bool with_bias)
{
    made_conv m = {.in = in, .out = out, .kernel = kernel, .options = options};
    size_t groups = options.groups > 0 ? options.groups : 1;
    m.w = test_random(out * (in / groups) * kernel, in * 100 + kernel, 0.5f);
    m.b = with_bias ? test_random(out, out, 1) : NULL;
    assert_ok(ctx, ink_conv1d_create(ctx, m.w, m.b, in, out, kernel, &options, &m.conv));
    assert_int_equal(ink_conv1d_in(m.conv), in);
    assert_int_equal(ink_conv1d_out(m.conv), out);
    assert_int_equal(ink_conv1d_kernel_size(m.conv), kernel);
    return m;
}

static void free_conv(made_conv *m)
{
    ink_conv1d_free(m->conv);
    free(m->w);
    free(m->b);
}

/* A setting of every kind: kernel, stride, dilation, paddings, groups, channels, odd ones among them. */
static made_conv random_conv(ink_context *ctx)
{
    size_t in = 1 + pick(pick(4) == 0 ? 70 : 20), kernel = 1 + pick(pick(6) == 0 ? 40 : 6);
    ink_conv1d_options options = {.stride = pick(5), .dilation = pick(4), .activation = INK_TANH};
    if (pick(3) == 0)
        options.groups = in;
    if (pick(2) == 0)
        options.padding_left = pick(12);
    if (pick(2) == 0)
        options.padding_right = pick(12);
    size_t out = options.groups > 1 ? in * (1 + pick(3)) : 1 + pick(40);
    return make_conv(ctx, in, out, kernel, options, pick(4) != 0);
}

static float *forward(ink_context *ctx, const made_conv *m, const float *x, size_t n, size_t *length)
{
    *length = ink_conv1d_length(m->conv, NULL, n, true);
    float *y = test_floats(*length * m->out);
    if (*length == 0 && n > 0)
        assert_fails(ctx, ink_conv1d_forward(ctx, m->conv, NULL, x, n, true, y), INK_ERROR_ARGUMENT,
                     "shorter than a window");
    else
        assert_ok(ctx, ink_conv1d_forward(ctx, m->conv, NULL, x, n, true, y));
    return y;
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

static void it_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    static const struct {
        const char *name;
        ink_conv1d_options options;
    } cases[] = {
        {"plain", {0}},
        {"strided", {.stride = 3, .padding_left = 2, .padding_right = 2}},
        {"dilated", {.dilation = 4, .padding_left = 5, .padding_right = 5}},
        {"same", {.dilation = 2, .padding_left = 3, .padding_right = 3}},
        {"same_odd", {.padding_left = 1, .padding_right = 2}},
        {"no_bias", {.padding_left = 9, .padding_right = 9}},
        {"wide", {.stride = 2}},
        {"skipping", {.stride = 5, .padding_left = 1, .padding_right = 1}},
        {"depthwise", {.groups = 19, .padding_left = 2, .padding_right = 2}},
        {"depthwise_more", {.groups = 6, .stride = 2, .dilation = 2}},
        {"pointwise", {0}},
        {"bf16", {0}},
        {"f16", {0}},
        {"f64", {0}},
    };
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/conv.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n_x, n_y;
        ink_conv1d *conv;
        float *x = test_case_tensor(ctx, fixture, cases[i].name, "x", &n_x);
        float *expected = test_case_tensor(ctx, fixture, cases[i].name, "y", &n_y), *y = test_floats(n_y);
        assert_ok(ctx, ink_conv1d_load(ctx, fixture, cases[i].name, &cases[i].options, &conv));
        size_t n = n_x / ink_conv1d_in(conv);
        assert_int_equal(ink_conv1d_length(conv, NULL, n, true) * ink_conv1d_out(conv), n_y);
        assert_ok(ctx, ink_conv1d_forward(ctx, conv, NULL, x, n, true, y));
        test_assert_close(y, expected, n_y, ABSOLUTE, RELATIVE, cases[i].name);
        ink_conv1d_free(conv);
        free(x);
        free(expected);
        free(y);
    }
    ink_weights_free(fixture);
}

static void every_setting_agrees_with_the_oracle(ink_context *ctx)
{
    seed = 1;
    for (size_t i = 0; i < 400; i++) {
        made_conv m = random_conv(ctx);
        size_t n = pick(40), length;
        float *x = test_random(n * m.in, i + 1, 1), *y = forward(ctx, &m, x, n, &length);
        double *wide = malloc((n * m.in + 1) * sizeof *wide), *expected = malloc((length * m.out + 1) * sizeof *wide);
        for (size_t j = 0; j < n * m.in; j++)
            wide[j] = x[j];
        assert_int_equal(length, oracle_conv1d(m.w, m.b, m.in, m.out, m.kernel, &m.options, wide, n, NULL));
        oracle_conv1d(m.w, m.b, m.in, m.out, m.kernel, &m.options, wide, n, expected);
        test_assert_close_to_double(y, expected, length * m.out, ABSOLUTE, RELATIVE, "convolution");
        free_conv(&m);
        free(x);
        free(y);
        free(wide);
        free(expected);
    }
}

/* The order of sums: a convolution with one window is the dense layer whose input is the window. */
static void a_window_is_a_row_of_a_product(ink_context *ctx)
{
    const size_t in = 31, out = 20, kernel = 19;
    made_conv m = make_conv(ctx, in, out, kernel, (ink_conv1d_options){.dilation = 2}, true);
    float *x = test_random(37 * in, 1, 1), *row = test_floats(kernel * in), *w = test_floats(out * kernel * in);
    float y[20], expected[20];
    ink_dense *dense;
    for (size_t o = 0; o < out; o++)
        for (size_t c = 0; c < in; c++)
            for (size_t j = 0; j < kernel; j++)
                w[(o * kernel + j) * in + c] = m.w[(o * in + c) * kernel + j];
    for (size_t j = 0; j < kernel; j++)
        memcpy(row + j * in, x + 2 * j * in, in * sizeof *x);
    assert_ok(ctx, ink_dense_create(ctx, w, m.b, kernel * in, out, INK_IDENTITY, &dense));
    assert_ok(ctx, ink_dense_forward(ctx, dense, row, 1, expected));
    assert_ok(ctx, ink_conv1d_forward(ctx, m.conv, NULL, x, 37, true, y));
    test_assert_same_bits(y, expected, out, "one window");
    ink_dense_free(dense);
    free_conv(&m);
    free(x);
    free(row);
    free(w);
}

/* ---- the same bits ---------------------------------------------------------------------------------------------- */

/* Runs x in chunks of random lengths, empty ones among them, the state in exactly the memory it asks for. */
static size_t run_chunks(ink_context *ctx, const made_conv *m, float *state, const float *x, size_t n, float *y)
{
    size_t given = 0;
    for (size_t done = 0, count; done <= n; done += count + (done + count == n)) {
        count = pick(3) == 0 ? n - done : pick(n - done + 1);
        bool last = done + count == n;
        size_t rows = ink_conv1d_length(m->conv, state, count, last);
        assert_ok(ctx, ink_conv1d_forward(ctx, m->conv, state, count > 0 ? x + done * m->in : NULL, count, last,
                                          rows > 0 ? y + given * m->out : NULL));
        given += rows;
    }
    return given;
}

static void chunks_of_any_lengths_have_the_bits_of_the_whole(ink_context *ctx)
{
    seed = 2;
    for (size_t i = 0; i < 300; i++) {
        made_conv m = random_conv(ctx);
        size_t n = i % 10 == 0 ? 300 : pick(60), length;
        float *x = test_random(n * m.in, i + 1, 1), *y = forward(ctx, &m, x, n, &length);
        float *chunks = test_floats(length * m.out), *state = calloc(ink_conv1d_state_size(m.conv), sizeof *state);
        assert_non_null(state);
        for (int again = 0; again < 2; again++) { /* the end of a sequence is the beginning of another */
            assert_int_equal(run_chunks(ctx, &m, state, x, n, chunks), length);
            test_assert_same_bits(chunks, y, length * m.out, "chunks");
        }
        free_conv(&m);
        free(x);
        free(y);
        free(chunks);
        free(state);
    }
}

/* Step by step and without an end: a causal convolution gives a row for each row. */
static void a_causal_convolution_runs_step_by_step(ink_context *ctx)
{
    made_conv m = make_conv(ctx, 9, 12, 4, (ink_conv1d_options){.dilation = 3, .padding_left = 9}, true);
    size_t n = 40, length;
    float *x = test_random(n * m.in, 1, 1), *y = forward(ctx, &m, x, n, &length), row[12];
    float *state = calloc(ink_conv1d_state_size(m.conv), sizeof *state), *copy = test_floats(1 + 9 * 9);
    assert_int_equal(ink_conv1d_state_size(m.conv), 1 + 9 * 9);
    assert_int_equal(length, n);
    for (size_t t = 0; t < n; t++) {
        memcpy(copy, state, (1 + 9 * 9) * sizeof *copy);
        for (float *s = copy; s != NULL; s = s == copy ? state : NULL) { /* a copy goes on as its original does */
            assert_int_equal(ink_conv1d_length(m.conv, s, 1, false), 1);
            assert_ok(ctx, ink_conv1d_forward(ctx, m.conv, s, x + t * m.in, 1, false, row));
            test_assert_same_bits(row, y + t * m.out, m.out, "step");
        }
    }
    free_conv(&m);
    free(x);
    free(y);
    free(state);
    free(copy);
}

/* Every kernel, 1 to 3 threads, every alignment; large enough for the workers. */
static void every_kernel_and_thread_gives_the_same_bits(ink_context *ctx)
{
    static const ink_conv1d_options settings[] = {
        {.padding_left = 4, .padding_right = 4, .stride = 2},
        {.padding_left = 8, .dilation = 2},
        {.groups = 45, .padding_left = 4, .padding_right = 4},
    };
    const size_t in = 45, out = 90, kernel = 9, n = 400;
    float *x = test_random(n * in, 5, 1);
    for (size_t s = 0; s < 3; s++) {
        made_conv m = make_conv(ctx, in, out, kernel, settings[s], true);
        ink_context *other = NULL;
        size_t length;
        float *expected = forward(ctx, &m, x, n, &length);
        for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
            void *x_block, *y_block;
            float *x_here = test_unaligned(x, n * in, i % 15 + 1, &x_block);
            float *y_here = test_unaligned(expected, length * out, (i + 7) % 15 + 1, &y_block);
            memset(y_here, 0, length * out * sizeof *y_here);
            assert_ok(other, ink_conv1d_forward(other, m.conv, NULL, x_here, n, true, y_here));
            test_assert_same_bits(y_here, expected, length * out, ink_context_kernel(other));
            free(x_block);
            free(y_block);
        }
        free(expected);
        free_conv(&m);
    }
    free(x);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static void nothing_is_allocated_after_reserve(ink_context *ctx)
{
    seed = 3;
    for (size_t i = 0; i < 60; i++) {
        counting memory;
        made_conv m = random_conv(ctx);
        size_t n = i % 5 == 0 ? 500 : 1 + pick(50), length;
        float *x = test_random(n * m.in, 1, 1), *state = calloc(ink_conv1d_state_size(m.conv), sizeof *state);
        ink_context *counted = counting_begin(&memory, 1);
        assert_ok(counted, ink_conv1d_reserve(counted, m.conv, n));
        size_t takes = memory.takes;
        float *y = forward(counted, &m, x, n, &length), *chunks = test_floats(length * m.out);
        run_chunks(counted, &m, state, x, n, chunks);
        assert_int_equal(memory.takes, takes);
        ink_context_free(counted);

        counted = counting_context(&memory, 1);
        float before = state[0];
        if (length > 0 &&
            runs_out_of_memory(counted, &memory, 1, ink_conv1d_forward(counted, m.conv, state, x, n, true, y), NULL))
            assert_true(state[0] == before); /* a failed call leaves its state as it was */
        counting_end(&memory, counted);
        free_conv(&m);
        free(x);
        free(y);
        free(chunks);
        free(state);
    }
}

static void loading_survives_every_failed_allocation(ink_context *ctx, counting *memory)
{
    ink_context *plain = test_context(1);
    state_dict dict = {0};
    state_dict_add(&dict, "conv.weight", INK_F32, 3, (size_t[]){40, 20, 3}, NULL);
    state_dict_vector(&dict, "conv.bias", 40);
    ink_weights *weights = state_dict_open(plain, &dict);
    ink_conv1d *conv = (ink_conv1d *)memory;
    for (size_t k = 1; runs_out_of_memory(ctx, memory, k, ink_conv1d_load(ctx, weights, "conv", NULL, &conv), NULL);
         k++)
        assert_null(conv);
    ink_conv1d_free(conv);
    state_dict_free(&dict);
    ink_context_free(plain);
}

/* ---- what does not fit ------------------------------------------------------------------------------------------ */

static void bad_arguments_are_refused(ink_context *ctx)
{
    static const struct {
        size_t in, out, kernel;
        ink_conv1d_options options;
        ink_result result;
        const char *words;
    } cases[] = {
        {0, 1, 1, {0}, INK_ERROR_ARGUMENT, "of 0 channels to 1 over 1 rows"},
        {1, 0, 1, {0}, INK_ERROR_ARGUMENT, "expected 1 or more"},
        {1, 1, 0, {0}, INK_ERROR_ARGUMENT, "over 0 rows"},
        {4,
         4,
         1,
         {.groups = 2},
         INK_ERROR_UNSUPPORTED,
         "4 channels to 4 in 2 groups, expected 1 group, or a group for each"},
        {2, 3, 1, {.groups = 2}, INK_ERROR_UNSUPPORTED, "2 channels to 3 in 2 groups"},
        {1, 1, 1, {.stride = ((size_t)1 << 23) + 1}, INK_ERROR_LIMIT, "stride 8388609"},
        {1, 1, 3, {.dilation = (size_t)1 << 24}, INK_ERROR_LIMIT, "is too large"},
        {1, 1, 3, {.dilation = SIZE_MAX}, INK_ERROR_LIMIT, "dilation"},
        {1, 1, 1, {.padding_left = SIZE_MAX}, INK_ERROR_LIMIT, "padding"},
        {1, 1, 1, {.padding_right = SIZE_MAX}, INK_ERROR_LIMIT, "padding"},
        {SIZE_MAX, 1, 3, {0}, INK_ERROR_LIMIT, "too large"},
        {1, 1, 1, {.activation = 99}, INK_ERROR_ARGUMENT, "activation 99"},
    };
    const float one[16] = {1};
    float y[16], state[8] = {0};
    ink_conv1d *conv;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        conv = (ink_conv1d *)y;
        assert_fails(
            ctx,
            ink_conv1d_create(ctx, one, NULL, cases[i].in, cases[i].out, cases[i].kernel, &cases[i].options, &conv),
            cases[i].result, cases[i].words);
        assert_null(conv);
    }
    assert_fails(ctx, ink_conv1d_create(ctx, one, NULL, 1, 1, 3, NULL, NULL), INK_ERROR_ARGUMENT, "'conv'");
    assert_fails(ctx, ink_conv1d_create(ctx, NULL, NULL, 1, 1, 3, NULL, &conv), INK_ERROR_ARGUMENT, "'weight'");
    assert_ok(ctx, ink_conv1d_create(ctx, one, NULL, 2, 1, 3, NULL, &conv));
    assert_int_equal(ink_conv1d_state_size(conv), 1 + 2 * 2);
    assert_fails(ctx, ink_conv1d_forward(ctx, NULL, state, one, 3, true, y), INK_ERROR_ARGUMENT, "'conv'");
    assert_fails(ctx, ink_conv1d_forward(ctx, conv, state, NULL, 3, true, y), INK_ERROR_ARGUMENT, "'x'");
    assert_fails(ctx, ink_conv1d_forward(ctx, conv, state, one, 3, true, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_fails(ctx, ink_conv1d_forward(ctx, conv, NULL, one, SIZE_MAX, true, y), INK_ERROR_ARGUMENT, "memory");
    assert_fails(ctx, ink_conv1d_forward(ctx, conv, NULL, one, 2, true, y), INK_ERROR_ARGUMENT,
                 "2 rows and their padding are shorter than a window of 3 rows");
    assert_fails(ctx, ink_conv1d_reserve(ctx, NULL, 1), INK_ERROR_ARGUMENT, "'conv'");
    const float foreign[] = {3, -1, 0.5f, 1e30f, -1e30f, NAN};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        state[0] = foreign[i];
        assert_int_equal(ink_conv1d_length(conv, state, 3, true), 0);
        assert_fails(ctx, ink_conv1d_forward(ctx, conv, state, one, 3, true, y), INK_ERROR_ARGUMENT,
                     "the state is not one of this convolution");
    }
    assert_ok(ctx, ink_conv1d_forward(ctx, conv, NULL, NULL, 0, true, NULL)); /* nothing to do is no mistake */
    state[0] = 0;
    assert_ok(ctx, ink_conv1d_forward(ctx, conv, state, NULL, 0, true, NULL));
    ink_conv1d_free(conv);
    ink_conv1d_free(NULL);
}

static void files_that_do_not_fit_are_refused(ink_context *ctx)
{
    static const struct {
        size_t rank, shape[3], bias;
        ink_type type;
        ink_conv1d_options options;
        ink_result result;
        const char *words;
    } cases[] = {
        {2, {4, 3}, 4, INK_F32, {0}, INK_ERROR_MISMATCH, "'c.weight' is [4, 3], expected the weight [out, in / groups"},
        {3, {4, 3, 5}, 3, INK_F32, {0}, INK_ERROR_MISMATCH, "'c.bias' is [3], expected [4]"},
        {3, {4, 3, 0}, 4, INK_F32, {0}, INK_ERROR_MISMATCH, "[4, 3, 0], expected at least one element"},
        {3, {4, 3, 2}, 4, INK_I64, {0}, INK_ERROR_UNSUPPORTED, "is of type I64"},
        {3,
         {4, 3, 2},
         4,
         INK_F32,
         {.groups = 2},
         INK_ERROR_UNSUPPORTED,
         "c.weight: a convolution of 6 channels to 4 in 2 groups"},
        {3,
         {4, 1, 2},
         4,
         INK_F32,
         {.groups = 3},
         INK_ERROR_UNSUPPORTED,
         "c.weight: a convolution of 3 channels to 4 in 3"},
        {3, {4, 3, 2}, 4, INK_F32, {.groups = SIZE_MAX}, INK_ERROR_UNSUPPORTED, "groups"},
        {3, {4, 3, 2}, 4, INK_F32, {.dilation = SIZE_MAX}, INK_ERROR_LIMIT, "c.weight: "},
    };
    ink_conv1d *conv;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        state_dict dict = {0};
        state_dict_add(&dict, "c.weight", cases[i].type, cases[i].rank, cases[i].shape, NULL);
        state_dict_vector(&dict, "c.bias", cases[i].bias);
        ink_weights *weights = state_dict_open(ctx, &dict);
        conv = (ink_conv1d *)&dict;
        assert_fails(ctx, ink_conv1d_load(ctx, weights, "c", &cases[i].options, &conv), cases[i].result,
                     cases[i].words);
        assert_null(conv);
        assert_fails(ctx, ink_conv1d_load(ctx, weights, "d", NULL, &conv), INK_ERROR_NOT_FOUND, "'d.weight' is miss");
        assert_fails(ctx, ink_conv1d_load(ctx, NULL, "d", NULL, &conv), INK_ERROR_ARGUMENT, "'weights'");
        assert_fails(ctx, ink_conv1d_load(ctx, weights, NULL, NULL, &conv), INK_ERROR_ARGUMENT, "'name'");
        assert_fails(ctx, ink_conv1d_load(ctx, weights, "c", NULL, NULL), INK_ERROR_ARGUMENT, "'conv'");
        state_dict_free(&dict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(it_gives_the_numbers_of_pytorch),
        context_test(every_setting_agrees_with_the_oracle),
        context_test(a_window_is_a_row_of_a_product),
        context_test(chunks_of_any_lengths_have_the_bits_of_the_whole),
        context_test(a_causal_convolution_runs_step_by_step),
        context_test(every_kernel_and_thread_gives_the_same_bits),
        context_test(nothing_is_allocated_after_reserve),
        counted_test(loading_survives_every_failed_allocation),
        context_test(bad_arguments_are_refused),
        context_test(files_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
