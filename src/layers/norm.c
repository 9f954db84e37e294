/*
 * norm.c - layer normalisation (norm.h): y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias, row by row.
 */
#include "layers.h"

/* About the operations on floats that one element takes. */
#define NORM_WORK ((size_t)8)

/* Rows of one task. */
#define ROWS_AT_ONCE ((size_t)16)

ink_result ink_norm_read(ink_loader *loader, const char *name, size_t size, float eps, ink_norm *norm)
{
    size_t scope = ink_loader_enter_module(loader, name);
    if (size == 0)
        INK_TRY(ink_loader_vector_size(loader, "weight", &size));
    norm->size = size;
    norm->eps = eps;
    INK_TRY(ink_loader_vector(loader, "weight", size, &norm->weight));
    INK_TRY(ink_loader_optional_vector(loader, "bias", size, &norm->bias));
    ink_loader_leave(loader, scope);
    return INK_OK;
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
    const ink_norm *norm = job->norm;
    size_t end = ink_size_min((task + 1) * ROWS_AT_ONCE, job->n);
    for (size_t row = task * ROWS_AT_ONCE; row < end; row++)
        job->kernel->layer_norm(job->x + row * norm->size, norm->size, norm->weight, norm->bias, norm->eps,
                                job->y + row * norm->size);
}

void ink_norm_run(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y)
{
    norm_job job = {.kernel = ctx->kernel, .norm = norm, .x = x, .n = n, .y = y};
    size_t n_tasks = n / ROWS_AT_ONCE + (n % ROWS_AT_ONCE != 0);
    ink_spread(ctx, run_rows, &job, n_tasks, n * norm->size * NORM_WORK);
}

typedef struct build_args {
    ink_context *ctx;
    const ink_weights *weights;
    const char *name;
    float eps;
} build_args;

static ink_result build(void *data, ink_arena *arena, void **object)
{
    const build_args *args = data;
    ink_norm measured, *norm = *object = ink_arena_take(arena, 1, sizeof *norm);
    ink_loader loader;
    ink_loader_begin(&loader, args->ctx, args->weights, arena);
    return ink_norm_read(&loader, args->name, 0, args->eps, norm != NULL ? norm : &measured);
}

ink_result ink_norm_load(ink_context *ctx, const ink_weights *weights, const char *name, float eps, ink_norm **norm)
{
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, norm);
    *norm = NULL;
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, name);
    if (!(eps >= 0) || !ctx->kernel->all_finite(&eps, 1))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: eps must be finite and not negative", __func__);
    build_args args = {.ctx = ctx, .weights = weights, .name = name, .eps = eps};
    INK_TRY(ink_object_create(ctx, "the norm", build, &args, 0, &object));
    *norm = object;
    return INK_OK;
}

void ink_norm_free(ink_norm *norm)
{
    ink_object_free(norm);
}

size_t ink_norm_size(const ink_norm *norm)
{
    return norm->size;
}

ink_result ink_norm_forward(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, norm);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, y);
    ink_norm_run(ctx, norm, x, n, y);
    return INK_OK;
}
