/*
 * sampler.h - from logits to the next token, in the order Hugging Face applies the steps:
 * repetition penalty, then (when sampling) temperature, top-k, top-p, min-p, then one draw.
 *
 *     p = softmax(z / temperature) over the tokens that are left
 *     the draw with u in [0, 1): the first token, in the order of ids, at which the running sum of p exceeds u
 *
 * A sampler belongs to one sequence and one thread at a time. The same options, logits and seed give the same tokens on
 * every machine: exponentials come from the library's own kernel, sums are doubles added in a fixed order.
 */
#ifndef INKLING_SAMPLER_H
#define INKLING_SAMPLER_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* {0} is greedy. */
typedef struct ink_sampler_options {
    float temperature;    /* logits / temperature; 0: greedy, the largest logit, the first on ties */
    size_t top_k;         /* keep the k largest logits, and all ties with the k-th; 0: all */
    float top_p;          /* keep a token iff the probability ranked above it is < p; at least one; 0 and 1: all. Of
                             equal logits the earlier token ranks above */
    float min_p;          /* drop tokens with probability < min_p * the largest; 0: none */
    float repeat_penalty; /* for each token seen so far: z < 0 ? z * r : z / r; 0 and 1: none */
    uint64_t seed;
} ink_sampler_options;

typedef struct ink_sampler ink_sampler;

/* Takes all memory a sampler will ever need. INK_ERROR_ARGUMENT for vocab_size 0, for NaN or infinity, and for values
   outside: temperature 0 or at least 1.18e-38, top_p and min_p in [0, 1], repeat_penalty >= 0. INK_ERROR_MEMORY. */
ink_result ink_sampler_create(ink_context *ctx, const ink_sampler_options *options, size_t vocab_size,
                              ink_sampler **sampler);
void ink_sampler_free(ink_sampler *sampler);

/* Tells the sampler of tokens that are in the text (the prompt), for the repetition penalty. INK_ERROR_ARGUMENT, with
   none of them noted, for an id outside the vocabulary. */
ink_result ink_sampler_accept(ink_context *ctx, ink_sampler *sampler, const ink_token *tokens, size_t n);

/* Draws the next token from logits [vocab_size], which are left as they are, and accepts it. NaN or +infinity among
   the logits, also after the penalty, or nothing but -infinity, is INK_ERROR_NONFINITE; -infinity means "never this
   one". *token is -1 after a failure, and the sampler as before. Allocates nothing. */
ink_result ink_sampler_pick(ink_context *ctx, ink_sampler *sampler, const float *logits, ink_token *token);

/* The same with the caller's uniform number u in [0, 1) in place of the sampler's own. */
ink_result ink_sampler_pick_with(ink_context *ctx, ink_sampler *sampler, const float *logits, double u,
                                 ink_token *token);

/* What a pick would draw from: probabilities [vocab_size], exactly 0 for tokens that were left out; greedy: 1 for one
   token. May be the logits' memory. Accepts nothing, and allocates nothing. */
ink_result ink_sampler_probabilities(ink_context *ctx, ink_sampler *sampler, const float *logits, float *probabilities);

#ifdef __cplusplus
}
#endif

#endif
