/*
 * rope.h - rotary position embedding (Su et al. 2021), in the rotate-half layout of Hugging Face's files.
 *
 *     w_m = 1 / theta^(2m / head_dim)              m = 0 .. head_dim / 2 - 1; h = head_dim / 2
 *     x'[m]     = x[m] cos(p w_m) - x[m + h] sin(p w_m)
 *     x'[m + h] = x[m + h] cos(p w_m) + x[m] sin(p w_m)
 *
 * for each head of the queries and keys of the token at position p. The score of two tokens then depends only on their
 * distance. Models that were trained on longer texts later stretch the frequencies, with M = original_length:
 *
 *   linear    w / factor                                                              (Chen et al. 2023)
 *   dynamic   theta' = theta (factor n / M - factor + 1)^(head_dim / (head_dim - 2))  for n > M positions
 *   llama3    w if M holds at least high_freq_factor turns, w / factor if it holds at most low_freq_factor; in between
 *             interpolated linearly in the number of turns                            (Llama 3.1)
 *   yarn      w below the index with beta_fast turns over M, w / factor above the index with beta_slow turns; in
 *             between interpolated linearly; cos and sin times attention_factor       (Peng et al. 2023)
 *
 * A file may also give a factor for each frequency, by which it is divided in the end (GGUF).
 *
 * Each step to w_m is rounded to float, as in transformers: at large positions the last bit of a frequency shows.
 *
 * The n of `dynamic` is the capacity of the state, which is fixed when the state is created. If n were the current
 * length, the angles of earlier tokens would change while the sequence grows.
 */
#ifndef INKLING_ROPE_H
#define INKLING_ROPE_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Rotates the heads of n tokens in place. The first token is at position `position` of a sequence with at most
 * `capacity` positions (used only by `dynamic`).
 *   x  n rows of `stride` floats; each begins with n_heads heads of head_dim floats. The rows of
 *      ink_attention_forward() begin with the queries, followed by the keys, so one call rotates both.
 * INK_ERROR_ARGUMENT for settings out of range; INK_ERROR_LIMIT beyond INK_ROPE_MAX_LENGTH. n may be 0.
 */
ink_result ink_rope_forward(ink_context *ctx, const ink_rope *rope, size_t position, size_t capacity, size_t n_heads,
                            size_t stride, size_t n, float *x);

#ifdef __cplusplus
}
#endif

#endif
