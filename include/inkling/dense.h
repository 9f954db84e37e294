/*
 * dense.h - the dense layer h = s(W x + b), and layers of it in a row: the multi-layer perceptron.
 *
 * Layers are immutable once loaded, may be used through many contexts at once, and are freed on their own. `name` is
 * the module path in the state_dict ("net.0"); the parameters are `name`.weight and `name`.bias. "" means no prefix.
 */
#ifndef INKLING_DENSE_H
#define INKLING_DENSE_H

#include <inkling/types.h>
#include <inkling/weights.h>

#ifdef __cplusplus
extern "C" {
#endif

/* y[i] = s(x[i]) for i < n. y may be x, but may not overlap it otherwise. Where n is 0, here and below, nothing is
   read or written and the arrays may be NULL. */
ink_result ink_activate(ink_context *ctx, ink_activation activation, const float *x, size_t n, float *y);

/* y[i] += x[i] for i < n: the residual connection. */
ink_result ink_add(ink_context *ctx, const float *x, size_t n, float *y);

typedef struct ink_dense ink_dense;

/*
 * Loads nn.Linear: `name`.weight [out, in], and `name`.bias [out] if the file has it. The packed weights stay F32,
 * BF16 or F16 as they are stored; F64 becomes F32. INK_ERROR_NOT_FOUND without the weight, INK_ERROR_MISMATCH when the
 * shapes do not fit together, INK_ERROR_UNSUPPORTED for integer types.
 * The _transposed form loads Hugging Face's Conv1D (GPT-2), whose weight is [in, out].
 */
ink_result ink_dense_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_activation activation,
                          ink_dense **dense);
ink_result ink_dense_load_transposed(ink_context *ctx, const ink_weights *weights, const char *name,
                                     ink_activation activation, ink_dense **dense);

/* The same from arrays: weight [out, in], bias [out] or NULL; copied, as F32. */
ink_result ink_dense_create(ink_context *ctx, const float *weight, const float *bias, size_t in, size_t out,
                            ink_activation activation, ink_dense **dense);
void ink_dense_free(ink_dense *dense);

size_t ink_dense_in(const ink_dense *dense);
size_t ink_dense_out(const ink_dense *dense);

/* y [n, out] = s(x [n, in] W^T + b). y may not overlap x. n may be 0. */
ink_result ink_dense_forward(ink_context *ctx, const ink_dense *dense, const float *x, size_t n, float *y);

typedef struct ink_mlp ink_mlp;

/*
 * Loads the Linear layers of an nn.Sequential: `name`.0, `name`.2, ... in the order of their numbers; the gaps that
 * activations and dropout leave may have any width. `hidden` follows every layer but the last, `output` the last.
 * nn.BatchNorm1d (its eps being 1e-5) that stands right behind a Linear layer or right in front of one is folded into
 * it, whose weights are F32 then; what is elsewhere may have an activation in between and is INK_ERROR_UNSUPPORTED.
 * INK_ERROR_NOT_FOUND without any layer, INK_ERROR_MISMATCH when a layer's input is not its predecessor's output,
 * INK_ERROR_UNSUPPORTED when the module holds anything else with parameters.
 */
ink_result ink_mlp_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_activation hidden,
                        ink_activation output, ink_mlp **mlp);
void ink_mlp_free(ink_mlp *mlp);

size_t ink_mlp_in(const ink_mlp *mlp);
size_t ink_mlp_out(const ink_mlp *mlp);
size_t ink_mlp_layers(const ink_mlp *mlp);

/* y [n, out] from x [n, in]. y may not overlap x. n may be 0. Any n: rows are worked through in chunks, so scratch does
   not grow with n beyond one of them. Shows "layers.0.out", "layers.1.out", ... to whoever looks inside. */
ink_result ink_mlp_forward(ink_context *ctx, const ink_mlp *mlp, const float *x, size_t n, float *y);

/* Takes the scratch memory for calls with up to n rows ahead of time; they allocate nothing then. */
ink_result ink_mlp_reserve(ink_context *ctx, const ink_mlp *mlp, size_t n);

#ifdef __cplusplus
}
#endif

#endif
