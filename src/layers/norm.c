/*
 * norm.c - normalisation (norm.h), row by row.
 */
#include "layers.h"

/* About the operations on floats that one element takes. */
#define NORM_WORK ((size_t)8)

/* Rows of one task. */
#define ROWS_AT_ONCE ((size_t)16)

ink_result ink_norm_read(ink_loader *loader, const char *name, ink_norm_kind kind, size_t size, float eps,
                         ink_norm *norm)
{
    size_t scope = ink_loader_enter_module(loader, name);
    bool old = !ink_loader_has(loader, "weight") && ink_loader_has(loader, "gamma");
    const char *weight = old ? "gamma" : "weight";
    if (size == 0)
        INK_TRY(ink_loader_vector_size(loader, weight, &size));
    norm->kind = kind;
    norm->size = size;
    norm->eps = eps;
    INK_TRY(ink_loader_vector(loader, weight, size, &norm->weight));
    norm->bias = NULL;
    if (kind == INK_LAYER_NORM && old)
        INK_TRY(ink_loader_vector(loader, "beta", size, &norm->bias));
    else if (kind == INK_LAYER_NORM)
        INK_TRY(ink_loader_optional_vector(loader, "bias", size, &norm->bias));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

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

static void run_rows(void *data, size_t task)
{
    const norm_job *job = data;
    size_t first = task * ROWS_AT_ONCE;
    size_t count = ink_size_min(ROWS_AT_ONCE, job->n - first);
    ink_norm_rows(job->kernel, job->norm, job->x + first * job->norm->size, count, job->y + first * job->norm->size);
}

void ink_norm_run(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y)
{
    norm_job job = {.kernel = ctx->kernel, .norm = norm, .x = x, .n = n, .y = y};
    size_t n_tasks = n / ROWS_AT_ONCE + (n % ROWS_AT_ONCE != 0);
    ink_parallel_for(ctx, run_rows, &job, n_tasks, n * norm->size * NORM_WORK);
}

typedef struct build_args {
    ink_context *ctx;
    const ink_weights *weights;
    const char *name;
    ink_norm_kind kind;
    float eps;
} build_args;

static ink_result build(void *data, ink_arena *arena, void **object)
{
    const build_args *args = data;
    ink_norm measured, *norm = *object = ink_arena_alloc(arena, 1, sizeof *norm);
    ink_loader loader;
    ink_loader_begin(&loader, args->ctx, args->weights, arena);
    return ink_norm_read(&loader, args->name, args->kind, 0, args->eps, norm != NULL ? norm : &measured);
}

ink_result ink_norm_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_norm_kind kind, float eps,
                         ink_norm **norm)
{
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, norm);
    *norm = NULL;
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, name);
    if ((unsigned)kind >= INK_N_NORMS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: there is no kind of norm %lld", __func__, (long long)kind);
    if (!(eps >= 0) || !ctx->kernel->all_finite(&eps, 1))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: eps must be finite and not negative", __func__);
    build_args args = {.ctx = ctx, .weights = weights, .name = name, .kind = kind, .eps = eps};
    INK_TRY(ink_object_create(ctx, "the norm", build, &args, 0, &object));
    *norm = object;
    return INK_OK;
}

void ink_norm_free(ink_norm *norm) { ink_object_free(norm); }

size_t ink_norm_size(const ink_norm *norm) { return norm->size; }

ink_result ink_norm_forward(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, norm);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, y);
    ink_float_mode host = ink_float_mode_enter();
    ink_norm_run(ctx, norm, x, n, y);
    ink_float_mode_leave(host);
    return INK_OK;
}
