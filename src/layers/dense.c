/*
 * dense.c - the dense layer h = s(W x + b), and several of them in a row, the multi-layer perceptron:
 *
 *     h_0 = x,   h_i = s(W_i h_{i-1} + b_i),   y = h_L
 */
#include <string.h>

#include "layers.h"

/* ---- the dense layer -------------------------------------------------------------------------------------------- */

/* y = s(x W^T + b) */
void ink_dense_run(ink_context *ctx, const ink_dense *dense, const float *x, size_t x_stride, size_t n, float *y)
{
    size_t out = dense->weight.n, n_parts = dense->n_parts;
    const ink_matrix *w = n_parts != 0 ? dense->parts : &dense->weight, *end = w + (n_parts != 0 ? n_parts : 1);
    for (size_t first = 0; w < end; first += w++->n)
        ink_multiply(ctx, &(ink_product){.x = x,
                                         .x_stride = x_stride,
                                         .m = n,
                                         .w = w,
                                         .bias = dense->bias != NULL ? dense->bias + first : NULL,
                                         .y = y + first,
                                         .y_stride = out});
    if (dense->activation != INK_IDENTITY)
        ink_activate_run(ctx, dense->activation, y, n * out, y);
}

static ink_dense *dense_layout(ink_arena *arena, size_t in, size_t out, bool has_bias, ink_dense *shape)
{
    ink_dense *dense = ink_arena_alloc(arena, 1, sizeof *dense);
    ink_matrix_alloc(arena, &shape->weight, out, in, INK_F32);
    shape->bias = has_bias ? ink_alloc_rows(arena, 1, out) : NULL;
    return dense;
}

ink_result ink_dense_create(ink_context *ctx, const float *weight, const float *bias, size_t in, size_t out,
                            ink_activation activation, ink_dense **dense)
{
    ink_arena measure, arena;
    ink_dense made = {.activation = activation};
    INK_REQUIRE(ctx, dense);
    *dense = NULL;
    INK_REQUIRE(ctx, weight);
    if (in == 0 || out == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "%s: a layer of %zu inputs and %zu outputs, expected at least 1 of each", __func__, in, out);
    INK_TRY(ink_activation_check(ctx, __func__, activation));
    ink_arena_measure(&measure);
    dense_layout(&measure, in, out, bias != NULL, &made);
    INK_TRY(ink_object_new(ctx, "the dense layer", &measure, NULL, 0, &arena));
    *dense = dense_layout(&arena, in, out, bias != NULL, &made);
    ink_matrix_fill_rows(ctx->kernel, &made.weight, 0, out, INK_F32, weight);
    if (bias != NULL)
        memcpy(made.bias, bias, out * sizeof *bias);
    **dense = made;
    return INK_OK;
}

void ink_dense_free(ink_dense *dense) { ink_object_free(dense); }
size_t ink_dense_in(const ink_dense *dense) { return dense->weight.k; }
size_t ink_dense_out(const ink_dense *dense) { return dense->weight.n; }

ink_result ink_dense_forward(ink_context *ctx, const ink_dense *dense, const float *x, size_t n, float *y)
{
    INK_REQUIRE(ctx, dense);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x, y);
    ink_float_mode host = ink_float_mode_enter();
    ink_dense_run(ctx, dense, x, dense->weight.k, n, y);
    ink_float_mode_leave(host);
    return INK_OK;
}

/* ---- the multi-layer perceptron --------------------------------------------------------------------------------- */

void ink_mlp_alloc_scratch(ink_arena *arena, const ink_mlp *mlp, size_t rows, ink_mlp_scratch *scratch)
{
    size_t widest = 0;
    for (size_t i = 0; i + 1 < mlp->n_layers; i++)
        widest = ink_size_max(widest, mlp->layers[i].weight.n);
    scratch->hidden[0] = ink_alloc_rows(arena, rows, widest);
    scratch->hidden[1] = ink_alloc_rows(arena, rows, widest);
}

/* h_i = s(W_i h_{i-1} + b_i) */
void ink_mlp_run(ink_context *ctx, const ink_mlp *mlp, const ink_mlp_scratch *scratch, const float *x, size_t n,
                 float *y)
{
    const float *h = x;
    for (size_t i = 0; i < mlp->n_layers; i++) {
        const ink_dense *layer = &mlp->layers[i];
        float *next = i + 1 == mlp->n_layers ? y : scratch->hidden[i % 2];
        ink_dense_run(ctx, layer, h, layer->weight.k, n, next);
        size_t scope = ink_trace_enter(ctx, "layers.%zu.", i);
        INK_TRACE(ctx, "out", ink_tensor_2d(next, n, layer->weight.n));
        ink_trace_leave(ctx, scope);
        h = next;
    }
}

void ink_mlp_free(ink_mlp *mlp) { ink_object_free(mlp); }
size_t ink_mlp_in(const ink_mlp *mlp) { return mlp->layers[0].weight.k; }
size_t ink_mlp_out(const ink_mlp *mlp) { return mlp->layers[mlp->n_layers - 1].weight.n; }
size_t ink_mlp_layers(const ink_mlp *mlp) { return mlp->n_layers; }

static ink_result mlp_call(ink_context *ctx, const ink_mlp *mlp, const float *x, size_t n, float *y, bool reserve)
{
    ink_mlp_scratch scratch;
    ink_call call;
    ink_call_begin(&call, ctx, reserve);
    ink_mlp_alloc_scratch(call.arena, mlp, ink_size_min(n, INK_PASS_ROWS), &scratch);
    if (ink_call_ready(&call))
        for (size_t first = 0; first < n; first += INK_PASS_ROWS)
            ink_mlp_run(ctx, mlp, &scratch, x + first * ink_mlp_in(mlp), ink_size_min(INK_PASS_ROWS, n - first),
                        y + first * ink_mlp_out(mlp));
    return ink_call_end(&call);
}

ink_result ink_mlp_forward(ink_context *ctx, const ink_mlp *mlp, const float *x, size_t n, float *y)
{
    INK_REQUIRE(ctx, mlp);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x, y);
    return mlp_call(ctx, mlp, x, n, y, false);
}

ink_result ink_mlp_reserve(ink_context *ctx, const ink_mlp *mlp, size_t n)
{
    INK_REQUIRE(ctx, mlp);
    return mlp_call(ctx, mlp, NULL, n, NULL, true);
}
