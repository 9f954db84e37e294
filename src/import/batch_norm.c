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
#include <string.h>

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
    size_t padded = ink_size_max(size, INK_PANEL) + INK_PANEL; /* whole panels */
    norm->scale = ink_arena_alloc(loader->arena, padded, sizeof *norm->scale);
    norm->shift = ink_arena_alloc(loader->arena, padded, sizeof *norm->shift);
    loader->arena = arena;
    if (arena->measuring)
        return INK_OK;
    if (ink_arena_failed(scratch))
        return ink_fail(loader->ctx, INK_ERROR_MEMORY, "out of memory for scratch");
    memset(norm->scale, 0, padded * sizeof *norm->scale);
    memset(norm->shift, 0, padded * sizeof *norm->shift);
    loader->ctx->kernel->batch_norm(mean, variance, weight, bias, size, EPSILON, norm->scale, norm->shift);
    return INK_OK;
}

/* dense is F32 and has a bias. */
void ink_batch_norm_fold_behind(const ink_kernel *kernel, const ink_batch_norm *norm, ink_dense *dense)
{
    float *row = dense->weight.panels;
    for (size_t first = 0; first < dense->weight.n; first += INK_PANEL)
        for (size_t t = 0; t < dense->weight.k; t++, row += INK_PANEL)
            kernel->multiply_elements(norm->scale + first, INK_PANEL, row);
    kernel->multiply_elements(norm->scale, dense->weight.n, dense->bias);
    kernel->add(norm->shift, dense->weight.n, dense->bias);
}

/* The same. W t is a product like any other, in steps of a panel. */
void ink_batch_norm_fold_front(const ink_kernel *kernel, const ink_batch_norm *norm, ink_dense *dense)
{
    ink_matrix panel = dense->weight;
    panel.n = INK_PANEL;
    for (size_t first = 0; first < dense->weight.n; first += INK_PANEL) {
        float sums[INK_PANEL], *row = panel.panels;
        size_t count = ink_size_min(INK_PANEL, dense->weight.n - first);
        const ink_product product = {
            .x = norm->shift, .x_stride = panel.k, .m = 1, .w = &panel, .y = sums, .y_stride = INK_PANEL};
        kernel->multiply(&product, 0, 1, 0, 1);
        kernel->add(sums, count, dense->bias + first);
        for (size_t t = 0; t < panel.k; t++, row += INK_PANEL) {
            float lanes[INK_PANEL];
            for (size_t lane = 0; lane < INK_PANEL; lane++)
                lanes[lane] = norm->scale[t];
            kernel->multiply_elements(lanes, INK_PANEL, row);
        }
        panel.panels = row;
    }
}
