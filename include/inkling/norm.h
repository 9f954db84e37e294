/*
 * norm.h - normalisation of rows.
 *
 *   LayerNorm   y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias        (Ba, Kiros, Hinton 2016)
 *   RMSNorm     y = x / sqrt(mean(x^2) + eps) * weight                        (Zhang, Sennrich 2019)
 *
 * var is the mean of the squared deviations, without Bessel's correction. The sums over a row use 16 fixed lanes and
 * one fixed tree, so the result does not depend on the vector width. A norm is immutable and may be used through many
 * contexts at once.
 */
#ifndef INKLING_NORM_H
#define INKLING_NORM_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_norm ink_norm; /* ink_norm_load() in pytorch.h makes one */

void ink_norm_free(ink_norm *norm);

size_t ink_norm_size(const ink_norm *norm);

/* y [n, size] from x [n, size]; y may be x. n may be 0. */
ink_result ink_norm_forward(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y);

#ifdef __cplusplus
}
#endif

#endif
