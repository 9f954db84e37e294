/*
 * norm.c - LayerNorm and RMSNorm (formulae: norm.h); every row is normalised by itself.
 */
#include "layers.h"

/* The rows of one task, and the approximate number of float operations for one element. */
#define NORM_ROWS ((size_t)16)
#define NORM_WORK ((size_t)8)

void ink_norm_rows(const ink_kernel *kernel, const ink_norm *norm, const float *x, size_t n, float *y)
{
    size_t size = norm->size;
    for (size_t row = 0; row < n; row++, x += size, y += size)
        if (norm->kind == INK_RMS_NORM)
            kernel->rms_norm(x, size, norm->weight, norm->eps, y);
        else
            kernel->layer_norm(x, size, norm->weight, norm->bias, norm->eps, y);
}

typedef struct norm_job {
    const ink_kernel *kernel;
    const ink_norm *norm;
    const float *x;
    size_t n;
    float *y;
} norm_job;

static void norm_task(void *data, size_t task)
{
    const norm_job *job = data;
    size_t first = task * NORM_ROWS, at = first * job->norm->size;
    ink_norm_rows(job->kernel, job->norm, job->x + at, ink_size_min(NORM_ROWS, job->n - first), job->y + at);
}

void ink_norm_run(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y)
{
    norm_job job = {.kernel = ctx->kernel, .norm = norm, .x = x, .n = n, .y = y};
    ink_parallel_for(ctx, norm_task, &job, n / NORM_ROWS + (n % NORM_ROWS != 0), n * norm->size * NORM_WORK);
}

void ink_norm_free(ink_norm *norm) { ink_object_free(norm); }
size_t ink_norm_size(const ink_norm *norm) { return norm->size; }

ink_result ink_norm_forward(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y)
{
    INK_REQUIRE(ctx, norm);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x, y);
    ink_float_mode host = ink_float_mode_enter();
    ink_norm_run(ctx, norm, x, n, y);
    ink_float_mode_leave(host);
    return INK_OK;
}
