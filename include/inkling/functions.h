/*
 * functions.h - functions of arrays, with the library's own exp, tanh and so on: the same bits on every machine.
 *
 * An array of n floats may be any tensor. If n is 0, nothing is read or written and the arrays may be NULL. y may be x,
 * but may not overlap it otherwise. INK_ERROR_ARGUMENT.
 */
#ifndef INKLING_FUNCTIONS_H
#define INKLING_FUNCTIONS_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* y[i] = s(x[i]) for i < n. */
ink_result ink_activate(ink_context *ctx, ink_activation activation, const float *x, size_t n, float *y);

/* y[i] += x[i] for i < n: the residual connection. */
ink_result ink_add(ink_context *ctx, const float *x, size_t n, float *y);

#ifdef __cplusplus
}
#endif

#endif
