/*
 * conv.h - the convolution over time, nn.Conv1d: y_t = s(sum over j of W_j x_{t stride - padding + j dilation} + b).
 *
 * Rows are time steps: x is [n, in] and y [length, out], as everywhere in this library. (PyTorch has the channels
 * first, [in, n]: transpose.) A window is the (kernel_size - 1) dilation + 1 rows from the first to the last that an
 * output row sees; there is one every `stride` rows. Zero rows before the first and behind the last row of x are the
 * padding:
 *
 *     length = floor((padding_left + n + padding_right - window) / stride) + 1, or 0 if no window fits
 *
 * nn.Conv1d(padding=p) pads p on both sides. padding='same' is (kernel_size - 1) dilation / 2 on the left, rounded
 * down, and the rest on the right. A causal convolution has (kernel_size - 1) dilation on the left and none on the
 * right.
 *
 * The weight is one packed matrix [out, kernel_size in], the taps j outside and the channels inside, and y is the
 * product of matrix.h with windows as rows of x. Without dilation the windows lie in x as they are, overlapping, and
 * are not copied. The order of a sum is that of matrix.h over k = kernel_size in. A depthwise convolution, in which
 * every output sees one channel (groups = in), adds w_j x_j to the bias tap by tap, both steps rounded.
 *
 * A sequence may also arrive in chunks, of any lengths. The bits are those of the whole:
 *
 *     ink_conv1d_load(ctx, file, "conv", &(ink_conv1d_options){.stride = 2, .padding_left = 1}, &conv);
 *     float *state = calloc(ink_conv1d_state_size(conv), sizeof *state);        (all zero: the beginning)
 *     size_t length = ink_conv1d_length(conv, state, n, false);                 (the rows that this chunk gives)
 *     ink_conv1d_forward(ctx, conv, state, x, n, false, y);
 *
 * A convolution is immutable once created and may be used through many contexts at once. Only one call at a time may
 * use a state. LeCun et al. 1989; dilation: van den Oord et al. 2016 (WaveNet).
 */
#ifndef INKLING_CONV_H
#define INKLING_CONV_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a state_dict does not hold. {0} is nn.Conv1d(in, out, kernel_size) without any other argument. */
typedef struct ink_conv1d_options {
    size_t stride;        /* rows from one window to the next; 0: 1 */
    size_t dilation;      /* rows from one tap to the next; 0: 1 */
    size_t groups;        /* 0 or 1: every output sees all channels; the number of channels: depthwise */
    size_t padding_left;  /* zero rows before the first row of x */
    size_t padding_right; /* and behind the last */
    ink_activation activation;
} ink_conv1d_options;

typedef struct ink_conv1d ink_conv1d;

/*
 * Creates a convolution from weight [out, in / groups, kernel_size], as PyTorch has it, and bias [out] or NULL; both
 * are copied, as F32. Output o of a depthwise convolution sees channel o / (out / in). `options` may be NULL. Free it
 * with ink_conv1d_free(). INK_ERROR_ARGUMENT if a size is 0, or if out is not a multiple of in in a depthwise
 * convolution; INK_ERROR_UNSUPPORTED for other numbers of groups; INK_ERROR_LIMIT if the stride, the window or a
 * padding is longer than 2^24 rows; INK_ERROR_MEMORY.
 */
ink_result ink_conv1d_create(ink_context *ctx, const float *weight, const float *bias, size_t in, size_t out,
                             size_t kernel_size, const ink_conv1d_options *options, ink_conv1d **conv);
void ink_conv1d_free(ink_conv1d *conv);

size_t ink_conv1d_in(const ink_conv1d *conv);
size_t ink_conv1d_out(const ink_conv1d *conv);
size_t ink_conv1d_kernel_size(const ink_conv1d *conv);

/* The state of one sequence is a plain array of this many floats, which the caller owns and may copy: the rows that
   later windows still see, max((kernel_size - 1) dilation, padding_left) of them at most, and their number. A sequence
   begins with a state of zeros. */
size_t ink_conv1d_state_size(const ink_conv1d *conv);

/* The rows of y that the next n rows of x give; `last` if they end the sequence. A state of NULL is the beginning, so
   (conv, NULL, n, true) is PyTorch's length of a whole sequence. 0 for a state that is not one of `conv`. */
size_t ink_conv1d_length(const ink_conv1d *conv, const float *state, size_t n, bool last);

/*
 * Runs the next n rows of a sequence, x [n, in], to y [ink_conv1d_length(conv, state, n, last), out]. If they are the
 * last, padding_right follows them, and the state becomes zeros, the beginning of another sequence. (NULL, x, n, true,
 * y) runs a whole sequence. n may be 0; y may be NULL if it has no rows. y may not overlap x. INK_ERROR_ARGUMENT if the
 * state is not one of `conv`, and without a state if no window fits into x and its padding, unless n is 0.
 */
ink_result ink_conv1d_forward(ink_context *ctx, const ink_conv1d *conv, float *state, const float *x, size_t n,
                              bool last, float *y);

/* Allocates the scratch memory for calls with up to n rows. Such calls then allocate nothing. The scratch memory does
   not grow beyond 128 windows. */
ink_result ink_conv1d_reserve(ink_context *ctx, const ink_conv1d *conv, size_t n);

#ifdef __cplusplus
}
#endif

#endif
