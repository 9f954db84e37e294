/*
 * sequential.h - modules one after the other: nn.Sequential with normalisation, PReLU and convolutions over time.
 *
 *     static const ink_module modules[] = {
 *         {.kind = INK_MODULE_CONV1D, .conv = {.stride = 2, .padding_left = 1, .padding_right = 1}},
 *         {.kind = INK_MODULE_BATCH_NORM},
 *         {.kind = INK_MODULE_ACTIVATION, .activation = INK_RELU},
 *     };
 *     ink_sequential_load(ctx, file, "net", modules, 3, &net);                                    (pytorch.h)
 *
 * is nn.Sequential(nn.Conv1d(1, 16, 3, stride=2, padding=1), nn.BatchNorm1d(16), nn.ReLU()).
 *
 * A state_dict holds tensors and no modules: it does not tell a LayerNorm from a GroupNorm, or ReLU from pooling. So
 * the caller lists the modules, all of them, in PyTorch's order, and nothing is guessed. Modules that work on rows, and
 * convolutions, which see several rows of a sequence, run here; pooling, Flatten, GroupNorm, Softmax and others do not.
 *
 * Rows are time steps, x is [n, in]. A network with a convolution takes one sequence, whole or in chunks of any
 * lengths, with the same bits; state, length and `last` are those of conv.h. In one without, the rows are independent
 * of each other. A network is immutable once loaded and may be used through many contexts at once. Only one call at a
 * time may use a state.
 */
#ifndef INKLING_SEQUENTIAL_H
#define INKLING_SEQUENTIAL_H

#include <inkling/conv.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ink_module_kind {
    INK_MODULE_NONE = 0,   /* nn.Dropout, nn.Identity: nothing to compute */
    INK_MODULE_ACTIVATION, /* `activation` of every element */
    INK_MODULE_LINEAR,     /* nn.Linear */
    INK_MODULE_CONV1D,     /* nn.Conv1d, with the options `conv` */
    INK_MODULE_BATCH_NORM, /* nn.BatchNorm1d, with `eps`; it scales and shifts each channel */
    INK_MODULE_LAYER_NORM, /* nn.LayerNorm of a row, with `eps` */
    INK_MODULE_RMS_NORM,   /* nn.RMSNorm of a row, with `eps` */
    INK_MODULE_PRELU,      /* nn.PReLU: x for x > 0, else a x; one a, or one for each channel (He et al. 2015) */
    INK_N_MODULES
} ink_module_kind;

/* Members that do not belong to the kind stay 0. */
typedef struct ink_module {
    ink_module_kind kind;
    ink_activation activation; /* of INK_MODULE_ACTIVATION */
    float eps;                 /* 0: PyTorch's default, 1e-5; of nn.RMSNorm 2^-23 */
    ink_conv1d_options conv;
} ink_module;

typedef struct ink_sequential ink_sequential; /* ink_sequential_load() in pytorch.h makes one */

void ink_sequential_free(ink_sequential *net);

size_t ink_sequential_in(const ink_sequential *net);
size_t ink_sequential_out(const ink_sequential *net);

/* The floats of a state: those of its convolutions one after the other. 0 without convolutions. */
size_t ink_sequential_state_size(const ink_sequential *net);

/* The rows of y for the next n rows of x, as ink_conv1d_length(). */
size_t ink_sequential_length(const ink_sequential *net, const float *state, size_t n, bool last);

/* Runs the next n rows of a sequence, x [n, in], to y [ink_sequential_length(net, state, n, last), out], as
   ink_conv1d_forward(). (NULL, x, n, true, y) runs a whole sequence, or n independent rows. The rows run in passes of
   at most 128, so the scratch memory does not grow beyond that. Traces "N.out" for module N, chunk by chunk; an
   activation that is computed with the module before it belongs to that module. */
ink_result ink_sequential_forward(ink_context *ctx, const ink_sequential *net, float *state, const float *x, size_t n,
                                  bool last, float *y);

/* Allocates the scratch memory for calls with up to n rows. Such calls then allocate nothing. */
ink_result ink_sequential_reserve(ink_context *ctx, const ink_sequential *net, size_t n);

#ifdef __cplusplus
}
#endif

#endif
