/*
 * norm.h - normalisation of rows.
 *
 *   LayerNorm   y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias        (Ba, Kiros, Hinton 2016)
 *   RMSNorm     y = x / sqrt(mean(x^2) + eps) * weight                        (Zhang, Sennrich 2019)
 *
 * var is the biased mean of squared deviations. The sums over a row use 16 fixed lanes and one fixed tree, so the
 * result does not depend on the vector width.
 */
#ifndef INKLING_NORM_H
#define INKLING_NORM_H

#include <inkling/types.h>
#include <inkling/weights.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_norm ink_norm;

/* Loads nn.LayerNorm: `name`.weight [size] and, if the file has it, `name`.bias [size]; or nn.RMSNorm: `name`.weight.
   Files that were once TensorFlow's call them gamma and beta, and have both. eps must be finite and >= 0; the files do
   not hold it. */
ink_result ink_norm_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_norm_kind kind, float eps,
                         ink_norm **norm);
void ink_norm_free(ink_norm *norm);

size_t ink_norm_size(const ink_norm *norm);

/* y [n, size] from x [n, size]; y may be x. */
ink_result ink_norm_forward(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y);

#ifdef __cplusplus
}
#endif

#endif
