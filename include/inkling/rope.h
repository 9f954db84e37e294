/*
 * rope.h - rotary position embedding (Su et al. 2021), in the rotate-half layout of Hugging Face's files.
 *
 *     w_m = theta^(-2m / head_dim)                 m = 0 .. head_dim / 2 - 1; h = head_dim / 2
 *     x'[m]     = x[m] cos(p w_m) - x[m + h] sin(p w_m)
 *     x'[m + h] = x[m + h] cos(p w_m) + x[m] sin(p w_m)
 *
 * for each head of the queries and keys of the token at position p: the score of two tokens then depends on their
 * distance alone. Models that were taught longer texts later stretch the frequencies, with M = original_length:
 *
 *   linear    w / factor                                                              (Chen et al. 2023)
 *   dynamic   theta' = theta (factor n / M - factor + 1)^(head_dim / (head_dim - 2))  for n > M positions
 *   llama3    w where M holds at least high_freq_factor turns, w / factor where it holds at most low_freq_factor, and
 *             in between a mixture, linear in the number of turns                     (Llama 3.1)
 *   yarn      w below the index of beta_fast turns over M, w / factor above that of beta_slow, a linear mixture in
 *             between; cos and sin times attention_factor                             (Peng et al. 2023)
 *
 * The n of `dynamic` is the capacity of the sequence's state, fixed when it is created: by definition this type's
 * result depends on a length, and so it depends on one that does not change while the sequence grows.
 */
#ifndef INKLING_ROPE_H
#define INKLING_ROPE_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Turns the heads of n tokens in place, the first of them at position `position`, in a sequence of at most `capacity`
 * positions (which `dynamic` alone looks at).
 *   x  n rows of `stride` floats, of which the first n_heads * head_dim are heads. In the rows that
 *      ink_attention_forward() takes, the queries come first and the keys next: one call turns both.
 * INK_ERROR_ARGUMENT for settings out of range; INK_ERROR_LIMIT beyond INK_ROPE_MAX_LENGTH. n may be 0.
 */
ink_result ink_rope_forward(ink_context *ctx, const ink_rope *rope, size_t position, size_t capacity, size_t n_heads,
                            size_t stride, size_t n, float *x);

#ifdef __cplusplus
}
#endif

#endif
