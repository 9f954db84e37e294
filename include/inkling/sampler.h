/*
 * sampler.h - from logits to the next token, in the order Hugging Face applies the steps:
 * repetition penalty, then (when sampling) temperature, top-k, top-p, min-p, then one draw.
 *
 * A sampler belongs to one sequence. The same options, logits and seed give the same tokens on every machine.
 */
#ifndef INKLING_SAMPLER_H
#define INKLING_SAMPLER_H

#include <inkling/embedding.h>

#ifdef __cplusplus
extern "C" {
#endif

/* {0} is greedy. */
typedef struct ink_sampler_options {
    float temperature;    /* logits / temperature; 0: greedy, the largest logit, the first on ties */
    size_t top_k;         /* keep the k largest logits, and all ties with the k-th; 0: all */
    float top_p;          /* keep a token iff the probability ranked above it is < p; at least one; 0 and 1: all */
    float min_p;          /* drop tokens with probability < min_p * the largest; 0: none */
    float repeat_penalty; /* for each token seen so far: z < 0 ? z * r : z / r; 0 and 1: none */
    uint64_t seed;
} ink_sampler_options;

typedef struct ink_sampler ink_sampler;

/* INK_ERROR_ARGUMENT for NaN or values outside: temperature >= 0, top_p and min_p in [0, 1], repeat_penalty >= 0. */
ink_result ink_sampler_create(ink_context *ctx, const ink_sampler_options *options, size_t vocab_size,
                              ink_sampler **sampler);
void ink_sampler_free(ink_sampler *sampler);

/* Tells the sampler of tokens that are in the text (the prompt), for the repetition penalty. */
ink_result ink_sampler_accept(ink_context *ctx, ink_sampler *sampler, const ink_token *tokens, size_t n);

/* Draws the next token from logits [vocab_size], which are left as they are, and accepts it. NaN or +infinity among
   the logits, or nothing but -infinity, is INK_ERROR_NONFINITE; -infinity means "never this one". Allocates nothing. */
ink_result ink_sampler_pick(ink_context *ctx, ink_sampler *sampler, const float *logits, ink_token *token);

/* The same with the caller's uniform number u in [0, 1) in place of the sampler's own. */
ink_result ink_sampler_pick_with(ink_context *ctx, ink_sampler *sampler, const float *logits, double u,
                                 ink_token *token);

#ifdef __cplusplus
}
#endif

#endif
