/*
 * functions.c - functions of arrays (functions.h). The kernel computes them; the threads of the context share an array.
 */
#include <string.h>

#include "layers.h"

/* The elements of one task, and the approximate number of float operations for one element. */
#define ACTIVATION_ELEMENTS ((size_t)4096)
#define ACTIVATION_WORK ((size_t)24)

/* ---- activations ------------------------------------------------------------------------------------------------ */

const char *ink_activation_name(ink_activation activation)
{
    static const char *const names[INK_N_ACTIVATIONS] = {
        "identity", "relu",      "leaky_relu", "elu",  "tanh", "sigmoid",      "softplus",
        "gelu",     "gelu_tanh", "quick_gelu", "silu", "mish", "hard_sigmoid", "hard_swish",
    };
    uint32_t function = ink_activation_function(activation);
    return function < INK_N_ACTIVATIONS ? names[function] : "unknown";
}

ink_activation ink_activation_with(ink_activation activation, float a)
{
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return ink_activation_function(activation) | INK_OWN_PARAMETER | (ink_activation)bits << 32;
}

ink_result ink_activation_check(ink_context *ctx, const char *function, ink_activation activation)
{
    uint32_t number = ink_activation_function(activation);
    if (number >= INK_N_ACTIVATIONS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: there is no activation %u", function, (unsigned)number);
    if (activation == number)
        return INK_OK;
    float a = ink_activation_parameter(activation);
    bool above_0 = number == INK_SOFTPLUS || number == INK_HARD_SIGMOID;
    if (ink_activation_parameter(number) == 0 || (activation & INK_OWN_PARAMETER) == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the activation %s has no parameter", function,
                        ink_activation_name(number));
    if (!ctx->kernel->all_finite(&a, 1) || (above_0 && !(a > 0)))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the parameter of the activation %s must be finite%s", function,
                        ink_activation_name(number), above_0 ? " and above 0" : "");
    return INK_OK;
}

typedef struct activation_job {
    const ink_kernel *kernel;
    ink_activation activation;
    const float *x;
    size_t n;
    float *y;
} activation_job;

static void activate_elements(void *data, size_t task)
{
    const activation_job *job = data;
    size_t first = task * ACTIVATION_ELEMENTS;
    size_t count = ink_size_min(ACTIVATION_ELEMENTS, job->n - first);
    job->kernel->activate(job->activation, job->x + first, count, job->y + first);
}

void ink_activate_run(ink_context *ctx, ink_activation activation, const float *x, size_t n, float *y)
{
    activation_job job = {.kernel = ctx->kernel, .activation = activation, .x = x, .n = n, .y = y};
    size_t n_tasks = n / ACTIVATION_ELEMENTS + (n % ACTIVATION_ELEMENTS != 0);
    ink_parallel_for(ctx, activate_elements, &job, n_tasks, n * ACTIVATION_WORK);
}

/* As INK_REQUIRE(ctx, x, y), but the arrays may be NULL if n is 0. */
static ink_result check_arrays(ink_context *ctx, const char *function, size_t n, const float *x, const float *y)
{
    if (ctx == NULL)
        return INK_ERROR_ARGUMENT;
    ink_error_clear(ctx);
    return n == 0 || (x != NULL && y != NULL) ? INK_OK : ink_fail_null(ctx, function, "x, y", x == NULL ? 1 : 2);
}

ink_result ink_activate(ink_context *ctx, ink_activation activation, const float *x, size_t n, float *y)
{
    INK_TRY(check_arrays(ctx, __func__, n, x, y));
    INK_TRY(ink_activation_check(ctx, __func__, activation));
    ink_float_mode host = ink_float_mode_enter();
    ink_activate_run(ctx, activation, x, n, y);
    ink_float_mode_leave(host);
    return INK_OK;
}

/* ---- sums and products ------------------------------------------------------------------------------------------ */

ink_result ink_add(ink_context *ctx, const float *x, size_t n, float *y)
{
    INK_TRY(check_arrays(ctx, __func__, n, x, y));
    ink_float_mode host = ink_float_mode_enter();
    ctx->kernel->add(x, n, y);
    ink_float_mode_leave(host);
    return INK_OK;
}

ink_result ink_add_scaled(ink_context *ctx, const float *x, float a, size_t n, float *y)
{
    INK_TRY(check_arrays(ctx, __func__, n, x, y));
    ink_float_mode host = ink_float_mode_enter();
    ctx->kernel->add_share(x, n, a, 1, y);
    ink_float_mode_leave(host);
    return INK_OK;
}

ink_result ink_multiply_elements(ink_context *ctx, const float *x, size_t n, float *y)
{
    INK_TRY(check_arrays(ctx, __func__, n, x, y));
    ink_float_mode host = ink_float_mode_enter();
    ctx->kernel->multiply_elements(x, n, y);
    ink_float_mode_leave(host);
    return INK_OK;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

typedef struct softmax_job {
    const ink_kernel *kernel;
    bool logarithm;
    const float *x;
    size_t size;
    float *y;
} softmax_job;

static void softmax_row(void *data, size_t row)
{
    const softmax_job *job = data;
    float *y = job->y + row * job->size;
    if (job->y != job->x)
        memcpy(y, job->x + row * job->size, job->size * sizeof *y);
    job->kernel->softmax(y, job->size, 1, job->logarithm);
}

static ink_result softmax_rows(ink_context *ctx, const char *function, bool logarithm, const float *x, size_t n,
                               size_t size, float *y)
{
    softmax_job job = {.logarithm = logarithm, .x = x, .size = size, .y = y};
    n = size == 0 ? 0 : n;
    INK_TRY(check_arrays(ctx, function, n, x, y));
    job.kernel = ctx->kernel;
    ink_float_mode host = ink_float_mode_enter();
    ink_parallel_for(ctx, softmax_row, &job, n, n * size * ACTIVATION_WORK);
    ink_float_mode_leave(host);
    return INK_OK;
}

ink_result ink_softmax(ink_context *ctx, const float *x, size_t n, size_t size, float *y)
{
    return softmax_rows(ctx, __func__, false, x, n, size, y);
}

ink_result ink_log_softmax(ink_context *ctx, const float *x, size_t n, size_t size, float *y)
{
    return softmax_rows(ctx, __func__, true, x, n, size, y);
}

size_t ink_argmax(const float *x, size_t n)
{
    size_t largest = 0;
    ink_float_mode host = ink_float_mode_enter(); /* tells subnormal numbers from 0 */
    for (size_t i = 1; i < n && x[largest] == x[largest]; i++)
        if (!(x[i] <= x[largest]))
            largest = i;
    ink_float_mode_leave(host);
    return largest;
}
