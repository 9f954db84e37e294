/*
 * functions.h - functions of arrays and rows, with the library's own exp, log and tanh: the same bits on every machine.
 *
 *     ink_dense_forward(ctx, layer, x, n, y);                     y = s(W x + b)
 *     ink_add(ctx, x, n * size, y);                               y = x + s(W x + b): a layer with a skip around it
 *     ink_softmax(ctx, logits, n, n_classes, p);                  probabilities of n rows
 *     size_t likeliest = ink_argmax(logits, n_classes);           of the first row
 *
 * An array of n floats may be any tensor; rows [n, size] lie one after the other. If there is no element, nothing is
 * read or written and the arrays may be NULL. y may be x, but may not overlap it otherwise. NaN gives NaN. Nothing is
 * allocated. INK_ERROR_ARGUMENT.
 */
#ifndef INKLING_FUNCTIONS_H
#define INKLING_FUNCTIONS_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* y[i] = s(x[i]) for i < n. */
ink_result ink_activate(ink_context *ctx, ink_activation activation, const float *x, size_t n, float *y);

/* y[i] += x[i] for i < n: the residual connection. Scaled: y[i] += a x[i], rounded once. */
ink_result ink_add(ink_context *ctx, const float *x, size_t n, float *y);
ink_result ink_add_scaled(ink_context *ctx, const float *x, float a, size_t n, float *y);

/* y[i] *= x[i] for i < n: a gate. */
ink_result ink_multiply_elements(ink_context *ctx, const float *x, size_t n, float *y);

/* Of each row of x [n, size] into the same row of y: e^x_i / sum_j e^x_j, and its logarithm x_i - log sum_j e^x_j,
   which stays exact where the probability itself would be 0. Elements of -infinity have the probability 0. A row with
   NaN or +infinity, or of -infinity alone, becomes NaN, as in PyTorch. */
ink_result ink_softmax(ink_context *ctx, const float *x, size_t n, size_t size, float *y);
ink_result ink_log_softmax(ink_context *ctx, const float *x, size_t n, size_t size, float *y);

/* The index of the largest of x[0 .. n - 1]; 0 if n is 0. Of equal ones the first counts; NaN is larger than all
   numbers (torch.argmax does the same), so a caller who tests the element that was found has tested all. */
size_t ink_argmax(const float *x, size_t n);

#ifdef __cplusplus
}
#endif

#endif
