/*
 * recurrent.h - recurrent networks: RNN, GRU, LSTM; stacked and bidirectional; whole sequences or step by step.
 *
 * x is the input of a step, h and c the state; * multiplies elements, sigma is the logistic function:
 *
 *   RNN    h' = s(W_ih x + b_ih + W_hh h + b_hh)                      s = tanh, relu or none    (Elman 1990)
 *   GRU    r  = sigma(W_ir x + b_ir + W_hr h + b_hr)                  reset gate                (Cho et al. 2014)
 *          z  = sigma(W_iz x + b_iz + W_hz h + b_hz)                  update gate
 *          n  = tanh(W_in x + b_in + r * (W_hn h + b_hn))             candidate of INK_GRU
 *          n  = tanh(W_in x + b_in + W_hn (r * h) + b_hn)             candidate of INK_GRU_RESET_BEFORE
 *          h' = (1 - z) * n + z * h
 *   LSTM   i, f, o = sigma(W_i. x + b_i. + W_h. h + b_h.)             input, forget, output gates
 *          g  = tanh(W_ig x + b_ig + W_hg h + b_hg)                   (Hochreiter, Schmidhuber 1997; Gers 2000)
 *          c' = f * c + i * g,   h' = o * tanh(c'), or projected (Sak et al. 2014) W_hr (o * tanh(c'))
 *
 * For a whole sequence the input side W_ih x_t of many steps is one product; only W_hh h runs step by step. The result
 * is bit-identical to that of single steps.
 *
 *     ink_recurrent_load(ctx, file, "rnn", INK_GRU, &gru);
 *     float *state = calloc(ink_recurrent_state_size(gru), sizeof *state);      (all zero: the beginning)
 *     ink_sequence prompt = {.x = x, .y = y, .n_steps = 100, .state = state};
 *     ink_recurrent_forward(ctx, gru, &prompt, 1);                              (100 steps at once)
 *     ink_recurrent_step(ctx, gru, next_x, state, next_y);                      (and one more)
 *
 * Other frameworks. A matrix has G blocks of hidden_size rows, one for each gate, in PyTorch's order. This table has
 * the order of others, and the GRU that they write:
 *
 *                                GRU                              LSTM       matrices     biases
 *   PyTorch, cuDNN               INK_GRU                 r z n    i f g o    [G h, in]    two
 *   Paddle 2, 3                  INK_GRU                 r z c    i f c o    [G h, in]    two
 *   Keras from 2.3 on            INK_GRU                 z r h    i f c o    [in, G h]    one; of a GRU [2, 3 h]
 *     reset_after=False          INK_GRU_RESET_BEFORE    z r h               [in, G h]    one
 *   Keras before 2.3 (*)         INK_GRU_RESET_BEFORE    z r h    i f c o    [in, G h]    one
 *   ONNX                         INK_GRU_RESET_BEFORE    z r h    i o f c    [G h, in]    two, side by side
 *     linear_before_reset = 1    INK_GRU                 z r h               [G h, in]    two, side by side
 *
 * To load such weights, write them to a safetensors file under PyTorch's names (pytorch.h): put the blocks in order,
 * transpose [in, G h], and add a second bias of zeros where there is one. No file tells the two GRUs apart, so the
 * caller does. All of the table mix z * h + (1 - z) * n. Chung et al. 2014 and the GRU of Paddle 1 (origin_mode=False)
 * mix (1 - z) * h + z * n: negate the rows of z in both matrices and biases, because sigma(-a) = 1 - sigma(a). An RNN
 * has one block; its s is tanh by default in all of them.
 *
 * Not supported, and not to be seen in a file: gates other than sigma, candidates other than tanh, coupled gates
 * (ONNX's input_forget), clipped cells (clip). (*) The gates of Keras before 2.3 and of tf.keras in TensorFlow 1 are
 * hard sigmoids, clip(0.2 x + 0.5, 0, 1), unless recurrent_activation was set. Peepholes and norms inside a cell are
 * tensors, so ink_recurrent_load() refuses them by name. ONNX's sequence_lens are the n_steps of the sequences of a
 * batch; initial_h and initial_c are their states. As there, the reverse direction begins at the last step of each
 * sequence. The rows of y after it, which ONNX sets to zero, do not exist here.
 *
 * A network is immutable once loaded and may be used through many contexts at once. Only one call at a time may use a
 * state.
 */
#ifndef INKLING_RECURRENT_H
#define INKLING_RECURRENT_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_recurrent ink_recurrent; /* ink_recurrent_load() in pytorch.h makes one */

void ink_recurrent_free(ink_recurrent *recurrent);

size_t ink_recurrent_in(const ink_recurrent *recurrent);  /* size of x_t */
size_t ink_recurrent_out(const ink_recurrent *recurrent); /* size of y_t: directions x size of h */
size_t ink_recurrent_hidden_size(const ink_recurrent *recurrent);
size_t ink_recurrent_layers(const ink_recurrent *recurrent);
size_t ink_recurrent_directions(const ink_recurrent *recurrent); /* 1, or 2 for bidirectional */

/* The state of one sequence is a plain array of this many floats, which the caller owns and may copy:
   h [layers * directions, hidden_size or proj_size], followed for the LSTM by c [layers * directions, hidden_size];
   row = layer * directions + direction. A sequence begins with a state of zeros. */
size_t ink_recurrent_state_size(const ink_recurrent *recurrent);

/* One sequence of a batch. x [n_steps, in]; y [n_steps, out], or NULL for the final state only. `state` is the state
   before the sequence and becomes the state after it. The reverse direction ends at step 0. */
typedef struct ink_sequence {
    const float *x;
    float *y;
    size_t n_steps;
    float *state;
} ink_sequence;

/* Runs sequences of any lengths side by side. Each result is bit-identical to running the sequence alone and, in one
   direction, to running it step by step or in chunks. y may not overlap x. Zero steps leave the state as it is. No two
   sequences may share a state. INK_ERROR_ARGUMENT, INK_ERROR_MEMORY.
   Traces, at every step of layer 0 (and so on), "l0.gates" [running, gates h] (GRUs: r, z, n; LSTM: i, f, g, o), "l0.h"
   [running, h], and for the LSTM "l0.c". The rows are the sequences that still run, longest first. The names in the
   reverse direction are "l0_reverse.gates" and so on. */
ink_result ink_recurrent_forward(ink_context *ctx, const ink_recurrent *recurrent, const ink_sequence *sequences,
                                 size_t n_sequences);

/* Runs one step of one sequence: x [in] to y [out], and `state` to the next state. y may be x; neither may overlap the
   state. INK_ERROR_ARGUMENT if the network is bidirectional; INK_ERROR_MEMORY. */
ink_result ink_recurrent_step(ink_context *ctx, const ink_recurrent *recurrent, const float *x, float *state, float *y);

/* Allocates the scratch memory for calls with up to n_sequences sequences and n_steps steps in all. Such calls then
   allocate nothing. In one direction the scratch memory does not grow beyond 128 steps, or one for each sequence. */
ink_result ink_recurrent_reserve(ink_context *ctx, const ink_recurrent *recurrent, size_t n_sequences, size_t n_steps);

#ifdef __cplusplus
}
#endif

#endif
