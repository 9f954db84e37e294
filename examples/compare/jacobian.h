/*
 * jacobian.h - the vanishing gradient itself: how a small change of an RNN's state travels from step to step.
 *
 * Let h_t^l = tanh(W^l x + U^l h_{t-1}^l + b^l), where x is the token's vector in the first layer and h_t of the layer
 * below in the others. A change of the state s = (h^1, ..., h^L) is multiplied by
 *
 *     J_t = d s_t / d s_{t-1}         over k steps: P_k = J_t J_{t-1} ... J_{t-k+1} = d s_t / d s_{t-k}
 *
 * (Bengio, Simard, Frasconi 1994; Pascanu et al. 2013). P_k is built from the left, one J at a time. This
 * is backpropagation through time, for all components of s_t at once.
 */
#ifndef EXAMPLES_JACOBIAN_H
#define EXAMPLES_JACOBIAN_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>

enum { JACOBIAN_MAX_LAYERS = 4 };

typedef struct jacobian {
    ink_context *ctx;
    size_t n_layers, size;                   /* of h in each layer */
    ink_matrix *across[JACOBIAN_MAX_LAYERS]; /* U^l, transposed: from one step to the next */
    ink_matrix *upward[JACOBIAN_MAX_LAYERS]; /* W^l, transposed: from the layer below; NULL for the first */
    float *h[JACOBIAN_MAX_LAYERS];           /* [steps, size]: the states of the steps followed */
    size_t n_steps[JACOBIAN_MAX_LAYERS], max_steps;
    float *p, *passed, *below; /* [L size, L size], and scratch of [L size, size] */
} jacobian;

/* Reads the recurrent weights of an RNN with tanh from its weights file (rnn.weight_hh_l0 ...). False after an error
   message; call jacobian_close() in any case. */
bool jacobian_open(jacobian *j, ink_context *ctx, const char *file);
void jacobian_close(jacobian *j);

/* Runs the model over the tokens and keeps its states. */
bool jacobian_follow(jacobian *j, const ink_model *model, const ink_token *tokens, size_t n);

/*
 * norms[k - 1] = |P_k| / sqrt(L size) with Frobenius' norm, k = 1 .. n: how much of a change of the state k steps
 * before the last step arrives there, as a mean over all directions. n is less than the number of steps followed.
 */
bool jacobian_norms(jacobian *j, double *norms, size_t n);

#endif
