/*
 * batch_norm.c - nn.BatchNorm1d, folded into the Linear layer beside it (Ioffe, Szegedy 2015).
 *
 * Once trained it is a scale and a shift of each element, and so disappears into a neighbour while that is loaded:
 *
 *     norm(x) = s x + t,      s = weight / sqrt(running_var + eps),   t = bias - s running_mean
 *
 *     behind    s (W x + b) + t  =  (s W) x + (s b + t)               rows of W
 *     in front  W (s x + t) + b  =  (W s) x + (W t + b)               columns of W
 */
#include "../layers/layers.h"

/* PyTorch's default; the files do not hold it. */
#define EPSILON 1e-5F

bool ink_batch_norm_is(const ink_loader *loader) { return ink_loader_has(loader, "running_mean"); }

/* Reads the four vectors and makes two of them. Their memory is scratch of the caller's mark. */
ink_result ink_batch_norm_read(ink_loader *loader, size_t size, ink_batch_norm *norm)
{
    ink_arena measuring, *arena = loader->arena, *scratch = &loader->ctx->scratch;
    float *weight, *bias, *mean, *variance;
    ink_arena_measure(&measuring);
    loader->arena = arena->measuring ? &measuring : scratch;
    INK_TRY(ink_loader_vector(loader, "running_mean", size, &mean));
    INK_TRY(ink_loader_vector(loader, "running_var", size, &variance));
    INK_TRY(ink_loader_optional_vector(loader, "weight", size, &weight));
    INK_TRY(ink_loader_optional_vector(loader, "bias", size, &bias));
    norm->scale = ink_arena_alloc(loader->arena, size, sizeof *norm->scale);
    norm->shift = ink_arena_alloc(loader->arena, size, sizeof *norm->shift);
    loader->arena = arena;
    if (arena->measuring)
        return INK_OK;
    if (ink_arena_failed(scratch))
        return ink_fail(loader->ctx, INK_ERROR_MEMORY, "out of memory for scratch");
    loader->ctx->kernel->batch_norm(mean, variance, weight, bias, size, EPSILON, norm->scale, norm->shift);
    return INK_OK;
}

/* Columns of a row that are scaled at once. */
#define COLUMNS ((size_t)64)

/* Row `row` of an F32 matrix, times one factor, or each column times its own. */
static void scale_row(const ink_kernel *kernel, ink_matrix *w, size_t row, const float *factors, bool one)
{
    for (size_t t = 0; t < w->k; t += COLUMNS) {
        float values[COLUMNS], scale[COLUMNS];
        size_t count = ink_size_min(COLUMNS, w->k - t);
        for (size_t i = 0; i < count; i++)
            scale[i] = one ? *factors : factors[t + i];
        ink_matrix_read_row(w, row, t, count, values);
        kernel->multiply_elements(scale, count, values);
        ink_matrix_write_row(w, row, t, count, values);
    }
}

/* dense is F32 and has a bias. */
void ink_batch_norm_fold_behind(const ink_kernel *kernel, const ink_batch_norm *norm, ink_dense *dense)
{
    for (size_t row = 0; row < dense->weight.n; row++)
        scale_row(kernel, &dense->weight, row, norm->scale + row, true);
    kernel->multiply_elements(norm->scale, dense->weight.n, dense->bias);
    kernel->add(norm->shift, dense->weight.n, dense->bias);
}

/* The same. W t is a product like any other, some rows of W at a time. */
void ink_batch_norm_fold_front(const ink_kernel *kernel, const ink_batch_norm *norm, ink_dense *dense)
{
    for (size_t first = 0; first < dense->weight.n; first += INK_SUM_BLOCK) {
        float sums[INK_SUM_BLOCK];
        const ink_matrix rows =
            ink_matrix_rows_view(&dense->weight, first, ink_size_min(INK_SUM_BLOCK, dense->weight.n - first));
        const ink_product product = {
            .x = norm->shift, .x_stride = rows.k, .m = 1, .w = &rows, .y = sums, .y_stride = rows.n};
        ink_multiply_here(kernel, &product);
        kernel->add(sums, rows.n, dense->bias + first);
    }
    for (size_t row = 0; row < dense->weight.n; row++)
        scale_row(kernel, &dense->weight, row, norm->scale, false);
}
