/*
 * dense.h - the dense layer h = s(W x + b), and several of them in a row: the multi-layer perceptron.
 *
 * Layers are immutable once created and may be used through many contexts at once. They are created from arrays (below)
 * or from the state_dict of a PyTorch module (pytorch.h).
 */
#ifndef INKLING_DENSE_H
#define INKLING_DENSE_H

#include <inkling/functions.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_dense ink_dense;

/* Creates a layer from weight [out, in] and bias [out] or NULL; both are copied, as F32. Free it with ink_dense_free().
   INK_ERROR_ARGUMENT if a size is 0, INK_ERROR_LIMIT, INK_ERROR_MEMORY. */
ink_result ink_dense_create(ink_context *ctx, const float *weight, const float *bias, size_t in, size_t out,
                            ink_activation activation, ink_dense **dense);
void ink_dense_free(ink_dense *dense);

size_t ink_dense_in(const ink_dense *dense);
size_t ink_dense_out(const ink_dense *dense);

/* y [n, out] = s(x [n, in] W^T + b). y may not overlap x. n may be 0. */
ink_result ink_dense_forward(ink_context *ctx, const ink_dense *dense, const float *x, size_t n, float *y);

typedef struct ink_mlp ink_mlp; /* ink_mlp_load() in pytorch.h makes one */

void ink_mlp_free(ink_mlp *mlp);

size_t ink_mlp_in(const ink_mlp *mlp);
size_t ink_mlp_out(const ink_mlp *mlp);
size_t ink_mlp_layers(const ink_mlp *mlp);

/* y [n, out] from x [n, in]. y may not overlap x. n may be 0. The rows run in passes of at most 128, so the scratch
   memory does not grow beyond that. Traces "layers.0.out", "layers.1.out", ... */
ink_result ink_mlp_forward(ink_context *ctx, const ink_mlp *mlp, const float *x, size_t n, float *y);

/* Allocates the scratch memory for calls with up to n rows. Such calls then allocate nothing. */
ink_result ink_mlp_reserve(ink_context *ctx, const ink_mlp *mlp, size_t n);

#ifdef __cplusplus
}
#endif

#endif
