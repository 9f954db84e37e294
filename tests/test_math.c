/*
 * test_math.c - the elementary functions and the functions over rows, in every variant this machine can run.
 *
 * Sweeps go over the bit patterns of floats: every 1009th of all 2^32 (a prime, so that all fractions are met; in the
 * suite, every third of these), and all patterns within 40 of the start of every exponent, of both signs. Each value is
 * compared with libm's in double precision, and each variant with the first bit for bit. An argument sets another step:
 * with 1 all floats are swept, which takes hours.
 */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"

#include "../src/tensor/vec.h"

/* Sanitizers make the kernels some fifty times slower. */
#ifdef INK_SANITIZED
static uint32_t sweep_step = 262147;
#else
static uint32_t sweep_step = 1009;
#endif

#define CHUNK 4096

/* The variants this machine can run, best first, then NULL. Found once: asking the processor is slow in a virtual
   machine. */
static const ink_kernel *variants[8];

static const ink_kernel *variant(size_t i) { return variants[i]; }

/* ---- sweeps ------------------------------------------------------------------------------------------------------ */

typedef struct function {
    const char *name;
    void (*run)(const ink_kernel *kernel, const float *x, size_t n, float *y);
    double (*exact)(double x);
    double max_ulps; /* 0: the bound is absolute instead, max_error max(1, |x|) + max_relative |exact| */
    double max_error, max_relative;
    double domain; /* |x| <= domain is held to the bound */
} function;

typedef struct worst_case {
    double error;
    float at;
} worst_case;

static double allowed(const function *f, float x, double exact)
{
    return f->max_error * fmax(1, fabs((double)x)) + f->max_relative * fabs(exact);
}

/* How far off y is, as a multiple of what is allowed. */
static double excess(const function *f, float x, float y)
{
    double exact = f->exact((double)x);
    if (isnan(exact))
        return isnan(y) ? 0 : INFINITY;
    if (isnan(y))
        return INFINITY;
    if (f->max_ulps > 0)
        return ulps_between(y, exact) / f->max_ulps;
    return fabs((double)y - exact) <= 0 ? 0 : fabs((double)y - exact) / allowed(f, x, exact);
}

static void check_chunk(const function *f, const float *x, size_t n, worst_case *worst)
{
    static float first[CHUNK], other[CHUNK];
    f->run(variant(0), x, n, first);
    for (size_t i = 0; i < n; i++) {
        if (!(fabs((double)x[i]) <= f->domain))
            continue;
        double e = excess(f, x[i], first[i]);
        if (e > worst->error)
            *worst = (worst_case){e, x[i]};
        if (e > 1)
            fail_msg("%s(%a) = %a, expected %a: %g of what is allowed", f->name, (double)x[i], (double)first[i],
                     f->exact((double)x[i]), e);
    }
    for (size_t v = 1; variant(v) != NULL; v++) {
        f->run(variant(v), x, n, other);
        for (size_t i = 0; i < n; i++)
            if (!same_float(first[i], other[i]))
                fail_msg("%s(%a) is %a with %s, %a with %s", f->name, (double)x[i], (double)first[i], variant(0)->name,
                         (double)other[i], variant(v)->name);
    }
}

static void sweep(const function *f)
{
    static float x[CHUNK];
    worst_case worst = {0, 0};
    size_t n = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += sweep_step) {
        x[n++] = float_of_bits((uint32_t)bits);
        if (n == CHUNK || bits + sweep_step > UINT32_MAX) {
            check_chunk(f, x, n, &worst);
            n = 0;
        }
    }
    for (uint32_t exponent = 0; exponent < 512; exponent++) {
        for (uint32_t i = 0; i < 81; i++)
            x[i] = float_of_bits((exponent << 23) + i - 40);
        check_chunk(f, x, 81, &worst);
    }
    print_message("%-14s at worst %.3f %s, at %a\n", f->name, worst.error * (f->max_ulps > 0 ? f->max_ulps : 1),
                  f->max_ulps > 0 ? "ulp" : "of the bound", (double)worst.at);
}

static void run_exp(const ink_kernel *kernel, const float *x, size_t n, float *y) { kernel->exp(x, n, y); }

static void run_log(const ink_kernel *kernel, const float *x, size_t n, float *y) { kernel->log(x, n, y); }

static void run_erf(const ink_kernel *kernel, const float *x, size_t n, float *y) { kernel->erf(x, n, y); }

static void run_sin(const ink_kernel *kernel, const float *x, size_t n, float *y) { kernel->sin(x, n, y); }

static void run_cos(const ink_kernel *kernel, const float *x, size_t n, float *y) { kernel->cos(x, n, y); }

static void run_relu(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_RELU, x, n, y);
}

static void run_leaky_relu(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_LEAKY_RELU, x, n, y);
}

static void run_elu(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_ELU, x, n, y);
}

static void run_tanh(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_TANH, x, n, y);
}

static void run_sigmoid(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_SIGMOID, x, n, y);
}

static void run_softplus(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_SOFTPLUS, x, n, y);
}

static void run_gelu(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_GELU, x, n, y);
}

static void run_gelu_tanh(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_GELU_TANH, x, n, y);
}

static void run_quick_gelu(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_QUICK_GELU, x, n, y);
}

static void run_silu(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_SILU, x, n, y);
}

static void run_mish(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_MISH, x, n, y);
}

static void run_hard_sigmoid(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_HARD_SIGMOID, x, n, y);
}

static void run_hard_swish(const ink_kernel *kernel, const float *x, size_t n, float *y)
{
    kernel->activate(INK_HARD_SWISH, x, n, y);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double relu(double x) { return x > 0 ? x : isnan(x) ? x : 0; }

/* 0.01 as a float, as the library and PyTorch have it. */
static double leaky_relu(double x) { return x > 0 ? x : (double)0.01f * x; }

static double elu(double x) { return x > 0 ? x : expm1(x); }

static double softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }

static double gelu(double x) { return x / 2 * erfc(-x / sqrt(2)); }

static double gelu_tanh(double x)
{
    const double pi = 3.14159265358979323846;
    return x * sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x * x * x));
}

static double quick_gelu(double x) { return x * sigmoid(1.702 * x); }

static double silu(double x) { return x * sigmoid(x); }

static double mish(double x) { return x * tanh(softplus(x)); }

static double hard_sigmoid(double x) { return fmin(fmax(x / 6 + 0.5, 0), 1); }

static double hard_swish(double x) { return x * hard_sigmoid(x); }

/* The bounds are those of kernel.h. FLT_MAX as domain: every finite float. */
static const function functions[] = {
    {"exp", run_exp, exp, 2, 0, 0, 3.4028234664e38},
    {"log", run_log, log, 2, 0, 0, 3.4028234664e38},
    {"erf", run_erf, erf, 2, 0, 0, 3.4028234664e38},
    {"tanh", run_tanh, tanh, 2, 0, 0, 3.4028234664e38},
    {"sigmoid", run_sigmoid, sigmoid, 2, 0, 0, 3.4028234664e38},
    {"sin", run_sin, sin, 2, 0, 0, 131072},
    {"cos", run_cos, cos, 2, 0, 0, 131072},
    {"gelu", run_gelu, gelu, 0, 1e-7, 0, 3.4028234664e38},
    {"gelu_tanh", run_gelu_tanh, gelu_tanh, 0, 1e-7, 0, 3.4028234664e38},
    {"silu", run_silu, silu, 0, 1e-7, 0, 3.4028234664e38},
    {"relu", run_relu, relu, 0, 0, 1e-300, 3.4028234664e38},
    {"leaky_relu", run_leaky_relu, leaky_relu, 0.6, 0, 0, 3.4028234664e38},
    {"elu", run_elu, elu, 0, 0, 1e-6, 3.4028234664e38},
    {"softplus", run_softplus, softplus, 0, 1e-42, 1e-6, 3.4028234664e38},
    {"quick_gelu", run_quick_gelu, quick_gelu, 0, 1e-6, 0, 3.4028234664e38},
    {"mish", run_mish, mish, 0, 1e-6, 0, 3.4028234664e38},
    {"hard_sigmoid", run_hard_sigmoid, hard_sigmoid, 0, 1e-6, 0, 3.4028234664e38},
    {"hard_swish", run_hard_swish, hard_swish, 0, 1e-6, 0, 3.4028234664e38},
};

static void functions_are_within_their_bounds(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        sweep(&functions[i]);
}

/* f(inf), f(-inf), f(NaN), f(0), f(-0) where they are exact. */
static void special_values(void **unused)
{
    const float x[5] = {INFINITY, -INFINITY, NAN, 0.0f, -0.0f};
    static const struct {
        void (*run)(const ink_kernel *kernel, const float *x, size_t n, float *y);
        float y[5];
    } cases[] = {
        {run_exp, {INFINITY, 0, NAN, 1, 1}},
        {run_log, {INFINITY, NAN, NAN, -INFINITY, -INFINITY}},
        {run_erf, {1, -1, NAN, 0, -0.0f}},
        {run_tanh, {1, -1, NAN, 0, -0.0f}},
        {run_sigmoid, {1, 0, NAN, 0.5f, 0.5f}},
        {run_sin, {NAN, NAN, NAN, 0, 0}},
        {run_cos, {NAN, NAN, NAN, 1, 1}},
        {run_relu, {INFINITY, 0, NAN, 0, -0.0f}},
        {run_elu, {INFINITY, -1, NAN, 0, 0}},
        {run_softplus, {INFINITY, 0, NAN, 0.693147182f, 0.693147182f}},
        {run_hard_sigmoid, {1, 0, NAN, 0.5f, 0.5f}},
        {run_hard_swish, {INFINITY, -0.0f, NAN, 0, -0.0f}},
        {run_gelu, {INFINITY, 0, NAN, 0, 0}},
        {run_gelu_tanh, {INFINITY, 0, NAN, 0, -0.0f}},
        {run_silu, {INFINITY, 0, NAN, 0, -0.0f}},
        {run_quick_gelu, {INFINITY, 0, NAN, 0, -0.0f}},
        {run_mish, {INFINITY, -0.0f, NAN, 0, -0.0f}},
        {run_leaky_relu, {INFINITY, -INFINITY, NAN, 0, -0.0f}},
    };
    (void)unused;
    for (size_t v = 0; variant(v) != NULL; v++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            float y[5];
            cases[i].run(variant(v), x, 5, y);
            for (size_t j = 0; j < 5; j++)
                if (!same_float(y[j], cases[i].y[j]))
                    fail_msg("%s, case %zu: f(%g) = %a, expected %a", variant(v)->name, i, (double)x[j], (double)y[j],
                             (double)cases[i].y[j]);
        }
}

/* Beyond 2^17 sin and cos are NaN, as kernel.h says; up to there they are numbers. */
static void large_angles_are_refused(void **unused)
{
    const float x[4] = {131072.0f, -131072.0f, 131072.015625f, -3e38f};
    float y[4];
    (void)unused;
    for (size_t v = 0; variant(v) != NULL; v++) {
        variant(v)->sin(x, 4, y);
        assert_true(isfinite(y[0]) && isfinite(y[1]) && isnan(y[2]) && isnan(y[3]));
        variant(v)->cos(x, 4, y);
        assert_true(isfinite(y[0]) && isfinite(y[1]) && isnan(y[2]) && isnan(y[3]));
    }
}

/* Every length and alignment gives what single elements give; x may be y; nothing beyond the end is touched. */
static void lengths_and_alignments(void **unused)
{
    uint64_t seed = 3;
    float x[100], y[100], expected[100];
    (void)unused;
    random_floats(&seed, 100, x);
    for (size_t v = 0; variant(v) != NULL; v++)
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
            for (size_t j = 0; j < 100; j++)
                functions[i].run(variant(v), x + j, 1, expected + j);
            for (size_t start = 0; start < 17; start++)
                for (size_t n = 0; n < 50; n++) {
                    memcpy(y, x, sizeof y);
                    functions[i].run(variant(v), y + start, n, y + start);
                    for (size_t j = 0; j < 100; j++)
                        assert_true(same_float(y[j], j >= start && j < start + n ? expected[j] : x[j]));
                }
        }
}

static void identity_copies(void **unused)
{
    float x[40], y[40];
    uint64_t seed = 4;
    (void)unused;
    random_floats(&seed, 40, x);
    for (size_t v = 0; variant(v) != NULL; v++) {
        memset(y, 0, sizeof y);
        variant(v)->activate(INK_IDENTITY, x, 40, y);
        assert_memory_equal(x, y, sizeof x);
    }
}

/* ---- rows: against double precision, and the variants against each other ----------------------------------------- */

static const size_t row_sizes[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 64, 100, 255, 256, 257, 1000, 4099};
#define N_ROW_SIZES (sizeof row_sizes / sizeof *row_sizes)
#define MAX_ROW 4112

static void assert_same_row(const float *first, const float *y, size_t n, size_t v, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!same_float(first[i], y[i]))
            fail_msg("%s of %zu: element %zu is %a with %s, %a with %s", what, n, i, (double)first[i], variant(0)->name,
                     (double)y[i], variant(v)->name);
}

static void check_softmax(const float *x, size_t n, float scale, double tolerance)
{
    static float first[MAX_ROW], y[MAX_ROW];
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, (double)scale * (double)x[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)scale * (double)x[i] - largest);
    for (size_t v = 0; variant(v) != NULL; v++) {
        float *out = v == 0 ? first : y;
        memcpy(out, x, n * sizeof *x);
        variant(v)->softmax(out, n, scale, false);
        assert_same_row(first, out, n, v, "softmax");
    }
    for (size_t i = 0; i < n; i++) {
        double exact = exp((double)scale * (double)x[i] - largest) / sum;
        if (!(fabs((double)first[i] - exact) <= tolerance * exact + 1e-45))
            fail_msg("softmax of %zu: element %zu is %g, expected %g", n, i, (double)first[i], exact);
    }
}

static void softmax_of_rows(void **unused)
{
    static float x[MAX_ROW];
    uint64_t seed = 6;
    (void)unused;
    for (size_t s = 0; s < N_ROW_SIZES; s++) {
        size_t n = row_sizes[s];
        random_floats(&seed, n, x);
        check_softmax(x, n, 1, 1e-6);
        check_softmax(x, n, 0.125f, 1e-6);
        for (size_t i = 0; i < n; i++)
            x[i] *= 100;
        check_softmax(x, n, 1, 2e-5); /* 200 times a rounding error of the scores' size */
        for (size_t i = 0; i < n; i++)
            x[i] = -3e38f;
        check_softmax(x, n, 1, 1e-6);
        x[n / 2] = -10;
        check_softmax(x, n, 1, 1e-6);
    }
}

/* What pooling is made of: shares added up, the largest, a length of 1; and what a batch norm does. */
static void check_pooling(const float *x, const float *start, size_t n)
{
    static float first[3][MAX_ROW], y[3][MAX_ROW], scale[2][MAX_ROW], shift[2][MAX_ROW];
    double squares = 0;
    for (size_t v = 0; variant(v) != NULL; v++) {
        float(*out)[MAX_ROW] = v == 0 ? first : y;
        for (size_t i = 0; i < 3; i++)
            memcpy(out[i], i < 2 ? start : x, n * sizeof *x);
        variant(v)->add_share(x, n, 3, 7, out[0]);
        variant(v)->keep_largest(x, n, out[1]);
        variant(v)->unit_length(out[2], n);
        for (size_t i = 0; i < 3; i++)
            assert_same_row(first[i], out[i], n, v, "pooling");
        variant(v)->batch_norm(x, first[1], start, x, n, 2, scale[v > 0], shift[v > 0]); /* variances above -1 */
        assert_same_row(scale[0], scale[v > 0], n, v, "batch norm");
        assert_same_row(shift[0], shift[v > 0], n, v, "batch norm");
    }
    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    for (size_t i = 0; i < n; i++) {
        double s = (double)start[i] / sqrt((double)first[1][i] + 2);
        assert_true(fabs((double)first[0][i] - ((double)start[i] + (double)x[i] * 3 / 7)) < 1e-6);
        assert_true(first[1][i] == (x[i] > start[i] ? x[i] : start[i]));
        assert_true(fabs((double)first[2][i] - (double)x[i] / sqrt(squares)) < 1e-6);
        assert_true(fabs((double)scale[0][i] - s) < 1e-6);
        assert_true(fabs((double)shift[0][i] - ((double)x[i] - s * (double)x[i])) < 1e-6);
    }
}

static void pooling_of_rows(void **unused)
{
    static float x[MAX_ROW], start[MAX_ROW];
    uint64_t seed = 9;
    (void)unused;
    for (size_t s = 0; s < N_ROW_SIZES; s++) {
        random_floats(&seed, row_sizes[s], x);
        random_floats(&seed, row_sizes[s], start);
        check_pooling(x, start, row_sizes[s]);
    }
    for (size_t v = 0; variant(v) != NULL; v++) { /* nothing has no direction, and stays nothing */
        float zeros[20] = {0}, tiny[1] = {1e-20f};
        variant(v)->unit_length(zeros, 20);
        variant(v)->unit_length(tiny, 1);
        for (size_t i = 0; i < 20; i++)
            assert_true(zeros[i] == 0);
        assert_true(fabs((double)tiny[0] - 1e-8) < 1e-13);
    }
}

static void check_layer_norm(const float *x, size_t n, const float *weight, const float *bias, float eps)
{
    static float first[MAX_ROW], y[MAX_ROW];
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    for (size_t v = 0; variant(v) != NULL; v++) {
        float *out = v == 0 ? first : y;
        memcpy(out, x, n * sizeof *x);
        variant(v)->layer_norm(out, n, weight, bias, eps, out);
        assert_same_row(first, out, n, v, "layer_norm");
    }
    for (size_t i = 0; i < n; i++) {
        double exact = ((double)x[i] - mean) / sqrt(variance + (double)eps) * (double)weight[i];
        exact += bias != NULL ? (double)bias[i] : 0;
        if (!(fabs((double)first[i] - exact) <= 1e-6 * (1 + fabs(exact))))
            fail_msg("layer_norm of %zu: element %zu is %g, expected %g", n, i, (double)first[i], exact);
    }
}

static void layer_norm_of_rows(void **unused)
{
    static float x[MAX_ROW], weight[MAX_ROW], bias[MAX_ROW];
    uint64_t seed = 7;
    (void)unused;
    for (size_t s = 0; s < N_ROW_SIZES; s++) {
        size_t n = row_sizes[s];
        random_floats(&seed, n, x);
        random_floats(&seed, n, weight);
        random_floats(&seed, n, bias);
        check_layer_norm(x, n, weight, bias, 1e-5f);
        check_layer_norm(x, n, weight, NULL, 1e-5f);
        for (size_t i = 0; i < n; i++)
            x[i] = 0.5f;
        check_layer_norm(x, n, weight, bias, 1e-5f); /* no variance: the bias */
    }
}

/* y = a x + b with every variant: sums over rows are compared with sums in 16 lanes and the tree that kernel.h's
   promise of equal bits rests on. */
static void sums_have_the_promised_order(void **unused)
{
    static float x[MAX_ROW], y[MAX_ROW], ones[MAX_ROW];
    uint64_t seed = 8;
    (void)unused;
    for (size_t i = 0; i < MAX_ROW; i++)
        ones[i] = 1;
    for (size_t s = 0; s < N_ROW_SIZES; s++) {
        size_t n = row_sizes[s];
        float lane[16] = {0};
        random_floats(&seed, n, x);
        for (size_t i = 0; i < n; i++)
            lane[i % 16] += x[i];
        for (size_t apart = 8; apart > 0; apart /= 2)
            for (size_t i = 0; i < apart; i++)
                lane[i] += lane[i + apart];
        float mean = lane[0] / (float)n;
        /* With eps this large the scale is exactly 2^-60, and y is x - mean without any other rounding. */
        for (size_t v = 0; variant(v) != NULL; v++) {
            variant(v)->layer_norm(x, n, ones, NULL, 0x1p120f, y);
            for (size_t i = 0; i < n; i++)
                assert_true(y[i] == (x[i] - mean) * 0x1p-60f);
        }
    }
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

typedef struct cell_data {
    size_t h_size;
    float gi[4 * 40 + 16], gh[4 * 40 + 16], h[48 + 1], c[48 + 1]; /* cells read and write whole vecs, and no more */
} cell_data;

static cell_data make_cell(size_t h_size)
{
    cell_data d = {.h_size = h_size};
    uint64_t seed = 9 + h_size;
    random_floats(&seed, 4 * 40, d.gi);
    random_floats(&seed, 4 * 40, d.gh);
    random_floats(&seed, 49, d.h);
    random_floats(&seed, 49, d.c);
    for (size_t i = 0; i < 4 * 40; i++)
        d.gi[i] *= 4;
    return d;
}

static void assert_near(float value, double exact)
{
    if (!(fabs((double)value - exact) <= 4e-7))
        fail_msg("found %.9g, expected %.9g", (double)value, exact);
}

/* What lies behind the whole vecs of h and c is as it was. */
static void assert_stays_in_its_row(const cell_data *d)
{
    const cell_data before = make_cell(d->h_size);
    size_t row = ink_whole_vecs(d->h_size), rest = (49 - row) * sizeof *d->h;
    assert_memory_equal(d->h + row, before.h + row, rest);
    assert_memory_equal(d->c + row, before.c + row, rest);
}

static void rnn_cells(void **unused)
{
    (void)unused;
    for (size_t h_size = 1; h_size <= 40; h_size++)
        for (int relu = 0; relu < 2; relu++) {
            float first[40];
            for (size_t v = 0; variant(v) != NULL; v++) {
                cell_data d = make_cell(h_size);
                variant(v)->rnn_cell(d.gi, d.gh, h_size, relu != 0, d.h);
                for (size_t i = 0; i < h_size; i++) {
                    double sum = (double)d.gi[i] + (double)d.gh[i];
                    assert_near(d.h[i], relu != 0 ? fmax(0, sum) : tanh(sum));
                }
                assert_stays_in_its_row(&d);
                if (v == 0)
                    memcpy(first, d.h, sizeof first);
                assert_memory_equal(first, d.h, h_size * sizeof *first);
            }
        }
}

static void gru_cells(void **unused)
{
    (void)unused;
    for (size_t h_size = 1; h_size <= 40; h_size++) {
        float first[40];
        for (size_t v = 0; variant(v) != NULL; v++) {
            cell_data d = make_cell(h_size), before = d;
            const float *gi = before.gi, *gh = before.gh;
            variant(v)->gru_cell(d.gi, d.gh, h_size, d.h, d.gi); /* the gates may replace gi */
            for (size_t i = 0; i < h_size; i++) {
                size_t n_at = 2 * h_size + i, z_at = h_size + i;
                double r = sigmoid((double)gi[i] + (double)gh[i]);
                double z = sigmoid((double)gi[z_at] + (double)gh[z_at]);
                double n = tanh((double)gi[n_at] + r * (double)gh[n_at]);
                assert_near(d.h[i], (1 - z) * n + z * (double)before.h[i]);
                assert_near(d.gi[i], r);
                assert_near(d.gi[z_at], z);
                assert_near(d.gi[n_at], n);
            }
            assert_stays_in_its_row(&d);
            cell_data silent = before;
            variant(v)->gru_cell(silent.gi, silent.gh, h_size, silent.h, NULL);
            assert_memory_equal(silent.h, d.h, h_size * sizeof *first);
            if (v == 0)
                memcpy(first, d.h, sizeof first);
            assert_memory_equal(first, d.h, h_size * sizeof *first);
        }
    }
}

static void lstm_cells(void **unused)
{
    (void)unused;
    for (size_t h_size = 1; h_size <= 40; h_size++) {
        cell_data first;
        for (size_t v = 0; variant(v) != NULL; v++) {
            cell_data d = make_cell(h_size), before = d;
            float gates[4 * 40 + 16];
            variant(v)->lstm_cell(d.gi, d.gh, h_size, d.h, d.c, gates);
            for (size_t at = 0; at < h_size; at++) {
                double s[4];
                for (size_t gate = 0; gate < 4; gate++)
                    s[gate] = (double)d.gi[gate * h_size + at] + (double)d.gh[gate * h_size + at];
                double i = sigmoid(s[0]), f = sigmoid(s[1]), g = tanh(s[2]), o = sigmoid(s[3]);
                double c = f * (double)before.c[at] + i * g;
                assert_near(d.c[at], c);
                assert_near(d.h[at], o * tanh(c));
                assert_near(gates[at], i);
                assert_near(gates[h_size + at], f);
                assert_near(gates[2 * h_size + at], g);
                assert_near(gates[3 * h_size + at], o);
            }
            assert_stays_in_its_row(&d);
            if (v == 0)
                first = d;
            assert_memory_equal(first.h, d.h, h_size * sizeof *d.h);
            assert_memory_equal(first.c, d.c, h_size * sizeof *d.c);
        }
    }
}

/* ---- small ones -------------------------------------------------------------------------------------------------- */

static void adding_and_multiplying(void **unused)
{
    float x[70], y[70], sum[70], product[70];
    uint64_t seed = 10;
    (void)unused;
    random_floats(&seed, 70, x);
    random_floats(&seed, 70, y);
    for (size_t v = 0; variant(v) != NULL; v++)
        for (size_t n = 0; n < 70; n++) {
            memcpy(sum, y, sizeof y);
            memcpy(product, y, sizeof y);
            variant(v)->add(x, n, sum);
            variant(v)->multiply_elements(x, n, product);
            for (size_t i = 0; i < 70; i++) {
                assert_true(same_float(sum[i], i < n ? x[i] + y[i] : y[i]));
                assert_true(same_float(product[i], i < n ? x[i] * y[i] : y[i]));
            }
        }
}

static void finiteness(void **unused)
{
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    float x[50];
    (void)unused;
    for (size_t v = 0; variant(v) != NULL; v++)
        for (size_t n = 0; n < 50; n++) {
            for (size_t i = 0; i < 50; i++)
                x[i] = i < n ? (i % 2 != 0 ? 3.4e38f : -3.4e38f) : NAN;
            assert_true(variant(v)->all_finite(x, n));
            for (size_t at = 0; at < n; at++) {
                x[at] = bad[at % 3];
                assert_false(variant(v)->all_finite(x, n));
                x[at] = 1;
            }
        }
}

static void conversions_are_exact(void **unused)
{
    static const uint32_t lows[] = {0, 1, 0x1234, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff};
    static uint16_t all[65536], rounded[65536];
    static float y[65536];
    (void)unused;
    for (uint32_t i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    for (size_t v = 0; variant(v) != NULL; v++) {
        variant(v)->from_bf16(all, 65536, y);
        for (uint32_t i = 0; i < 65536; i++)
            assert_true(same_float(y[i], float_of_bits(i << 16)));
        variant(v)->from_f16(all, 65536, y);
        for (uint32_t i = 0; i < 65536; i++)
            assert_true(same_float(y[i], (float)f16_value((uint16_t)i)));
        for (size_t low = 0; low < sizeof lows / sizeof *lows; low++) {
            for (uint32_t i = 0; i < 65536; i++)
                y[i] = float_of_bits(i << 16 | lows[low]);
            variant(v)->to_bf16(y, 65536, rounded);
            for (uint32_t i = 0; i < 65536; i++)
                if (rounded[i] != bf16_of(y[i]))
                    fail_msg("%s: bf16 of %a is %04x, expected %04x", variant(v)->name, (double)y[i],
                             (unsigned)rounded[i], (unsigned)bf16_of(y[i]));
        }
    }
}

static void check_f16(const float *x, size_t n)
{
    uint16_t rounded[16];
    for (size_t v = 0; variant(v) != NULL; v++) {
        variant(v)->to_f16(x, n, rounded);
        for (size_t i = 0; i < n; i++)
            if (rounded[i] != f16_of(x[i]))
                fail_msg("%s: f16 of %a is %04x, expected %04x", variant(v)->name, (double)x[i], (unsigned)rounded[i],
                         (unsigned)f16_of(x[i]));
    }
}

/* Every f16, the middle between it and the next, the floats beside that middle; and floats of every exponent. */
static void rounding_to_f16_is_to_nearest_even(void **unused)
{
    float x[16];
    (void)unused;
    for (uint32_t i = 0; i < 0x7c00; i++) {
        double value = f16_value((uint16_t)i), next = i == 0x7bff ? 65536 : f16_value((uint16_t)(i + 1));
        x[0] = (float)value;
        x[1] = (float)((value + next) / 2);
        x[2] = nextafterf(x[1], 0);
        x[3] = nextafterf(x[1], INFINITY);
        for (size_t j = 0; j < 4; j++)
            x[4 + j] = -x[j];
        check_f16(x, 8);
    }
    for (uint32_t i = 0; i < 65536; i += 16) {
        for (uint32_t j = 0; j < 16; j++)
            x[j] = float_of_bits((i + j) << 16 | (i * 2654435761u & 0xffff));
        check_f16(x, 16);
    }
}

static void conversions_of_every_length(void **unused)
{
    uint16_t x[40], back[40];
    double wide[40];
    float y[40];
    (void)unused;
    for (size_t i = 0; i < 40; i++) {
        x[i] = (uint16_t)(0x3f80 + i);
        wide[i] = 1.0 / (double)(i + 3);
    }
    for (size_t v = 0; variant(v) != NULL; v++)
        for (size_t n = 0; n < 40; n++) {
            for (size_t i = 0; i < 40; i++)
                y[i] = -1, back[i] = 7;
            variant(v)->from_bf16(x, n, y);
            variant(v)->to_bf16(y, n, back);
            for (size_t i = 0; i < 40; i++)
                assert_int_equal(back[i], i < n ? x[i] : 7);
            assert_true(n == 40 || y[n] == -1);
            variant(v)->from_f16(x, n, y);
            variant(v)->to_f16(y, n, back);
            for (size_t i = 0; i < 40; i++)
                assert_int_equal(back[i], i < n ? x[i] : 7);
            assert_true(n == 40 || y[n] == -1);
            variant(v)->from_f64(wide, n, y);
            for (size_t i = 0; i < n; i++)
                assert_true(y[i] == (float)wide[i]);
            assert_true(n == 40 || y[n] == -1);
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_within_their_bounds),
        cmocka_unit_test(special_values),
        cmocka_unit_test(large_angles_are_refused),
        cmocka_unit_test(lengths_and_alignments),
        cmocka_unit_test(identity_copies),
        cmocka_unit_test(softmax_of_rows),
        cmocka_unit_test(pooling_of_rows),
        cmocka_unit_test(layer_norm_of_rows),
        cmocka_unit_test(sums_have_the_promised_order),
        cmocka_unit_test(rnn_cells),
        cmocka_unit_test(gru_cells),
        cmocka_unit_test(lstm_cells),
        cmocka_unit_test(adding_and_multiplying),
        cmocka_unit_test(finiteness),
        cmocka_unit_test(conversions_are_exact),
        cmocka_unit_test(rounding_to_f16_is_to_nearest_even),
        cmocka_unit_test(conversions_of_every_length),
    };
    for (size_t i = 0; i < 7 && ink_kernel_name(i) != NULL; i++)
        variants[i] = ink_kernel_find(ink_kernel_name(i));
    sweep_step = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : sweep_step * (uint32_t)test_stride(3);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
