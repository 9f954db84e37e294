/*
 * oracle_layers.h - every layer again, as its formula says, in double precision with plain loops and libm.
 *
 * What the library computes is compared with this. Matrices are row-major [out, in] as PyTorch has them.
 */
#ifndef INK_TESTS_ORACLE_LAYERS_H
#define INK_TESTS_ORACLE_LAYERS_H

#include <inkling.h>

double oracle_activation(ink_activation activation, double x);

/* INK_LEAKY_RELU, INK_ELU, INK_SOFTPLUS or INK_HARD_SIGMOID with the parameter a. */
double oracle_activation_with(ink_activation activation, double a, double x);

/* y [n, out] = s(x [n, in] W^T + b); b may be NULL. */
void oracle_dense(const float *w, const float *b, size_t in, size_t out, ink_activation activation, const double *x,
                  size_t n, double *y);

/* y [length, out] from x [n, in], w [out, in / groups, kernel_size]; b may be NULL. Returns the length. With y NULL it
   does nothing else. */
size_t oracle_conv1d(const float *w, const float *b, size_t in, size_t out, size_t kernel,
                     const ink_conv1d_options *options, const double *x, size_t n, double *y);

/* y [size] from x [size]; bias may be NULL. */
void oracle_norm(const float *weight, const float *bias, size_t size, double eps, const double *x, double *y);

/* The same for the RMS norm. */
void oracle_rms_norm(const float *weight, size_t size, double eps, const double *x, double *y);

/* Turns one head in place. The steps to a frequency, 1 / theta^(2m / d), and angles are rounded to float, as in the
   library; all else is double. `frequencies` [head_dim / 2] gets the frequencies before the last rounding, or is NULL.
 */
void oracle_rope(const ink_rope *rope, size_t position, size_t capacity, double *head, double *frequencies);

/* One step: h [h] and, for the LSTM, c [h] from x [in]. Biases may be NULL. */
typedef struct oracle_cell {
    ink_cell cell;
    size_t in, h;
    const float *w_ih, *w_hh, *b_ih, *b_hh;
} oracle_cell;
void oracle_step(const oracle_cell *cell, const double *x, double *h, double *c);

/* Additive attention of a query h [in] to n rows k [n, row_size]: weights [n] and the context [row_size]. w_a [size,
   in], u_a [size, row_size], v [size]; the biases b_a [size] and b_u [size] may be NULL. */
typedef struct oracle_additive {
    size_t size, in, row_size;
    const float *w_a, *b_a, *u_a, *b_u, *v;
} oracle_additive;
void oracle_attend_additively(const oracle_additive *additive, const double *h, const double *k, size_t n,
                              double *weights, double *context);

/* The bucket of a position bias for a key `relative` positions behind its query. */
size_t oracle_bucket(long relative, size_t n_buckets, size_t max_distance, bool bidirectional);

/* Attention of n rows of queries, keys and values to y [n, n_heads head_dim]: causal or to all, perhaps within a
   window. bias [n_heads, n, n] is added to the scaled scores of a row; NULL: none. */
void oracle_attention(const ink_attention *attention, const double *bias, const double *qkv, size_t n, double *y);

/* Attention of n rows of queries [n, n_heads head_dim] to all n_source rows of keys and values [n_source, 2 n_kv_heads
   head_dim]. */
void oracle_cross_attention(const ink_attention *attention, const double *q, size_t n, const double *kv,
                            size_t n_source, double *y);

#endif
