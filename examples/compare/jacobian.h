/*
 * jacobian.h - the vanishing gradient itself: how a small change of a recurrent network's state travels from step to
 * step.
 *
 * Let s_t be the state after step t: h of every layer, and for an LSTM c of every layer. A change of it is multiplied
 * by
 *
 *     J_t = d s_t / d s_{t-1}         over k steps: P_k = J_t J_{t-1} ... J_{t-k+1} = d s_t / d s_{t-k}
 *
 * (Bengio, Simard, Frasconi 1994; Pascanu et al. 2013). P_k is built from the left, one J at a time. This is
 * backpropagation through time, for many components of s_t at once. The formulae of the cells are in jacobian.c.
 */
#ifndef EXAMPLES_JACOBIAN_H
#define EXAMPLES_JACOBIAN_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JACOBIAN_MAX_LAYERS = 4 };

typedef struct jacobian_layer {
    ink_matrix *across;       /* U, transposed: [size, gates * size], from one step to the next */
    ink_matrix *upward;       /* W, transposed: from the layer below; NULL for the first */
    ink_matrix *candidate;    /* U_n [size, size] and c_n [size] of a GRU; NULL for other cells */
    float *bias;              /* c_n */
    float *h, *c, *gates;     /* [steps, size], [steps, size], [steps, gates * size]: what was followed */
    size_t n_h, n_c, n_gates; /* steps of each so far */
} jacobian_layer;

typedef struct jacobian {
    ink_context *ctx;
    uint64_t random;              /* advanced by every random vector */
    ink_cell cell;                /* INK_RNN_TANH, INK_GRU or INK_LSTM */
    size_t n_layers, size, gates; /* of h in each layer; 1, 3 or 4 */
    size_t width;                 /* of the whole state: h of each layer, then c of each layer */
    size_t max_steps;
    jacobian_layer layers[JACOBIAN_MAX_LAYERS];
    float *p, *passed, *below, *m; /* [width, width], and scratch: [width, gates size], [width, size], [size] */
} jacobian;

/* Reads the recurrent weights of an RNN with tanh, a GRU or an LSTM from a weights file (rnn.weight_hh_l0 ...), whose
   shape says which. False after an error message; call jacobian_close() in any case. */
bool jacobian_open(jacobian *j, ink_context *ctx, const char *file);
void jacobian_close(jacobian *j);

/* Runs the model over the tokens and keeps its states. */
bool jacobian_follow(jacobian *j, const ink_model *model, const ink_token *tokens, size_t n);

/*
 * norms[k - 1] = |P_k| / sqrt(width) with Frobenius' norm, k = 1 .. n: how much of a change of the state k steps before
 * the last step arrives there, as a mean over all directions. n is less than the number of steps followed. With
 * n_random = 0 all rows of P_k are computed. Otherwise it is an estimate in less time: for vectors v of random signs
 * the mean of |v P_k|^2 is |P_k|^2 (Hutchinson 1990), and so many of them are sent back. At most `width`.
 */
bool jacobian_norms(jacobian *j, size_t n_random, double *norms, size_t n);

#endif
