/*
 * sampler.h - from logits to the next token, in the order Hugging Face applies the steps:
 * repetition penalty, then (when sampling) temperature, top-k, top-p, min-p, then one draw.
 *
 *     p = softmax(z / temperature) over the tokens that are left
 *     a draw with u in [0, 1) gives the first token, in the order of ids, at which the running sum of p exceeds u
 *
 * A sampler belongs to one sequence and one thread at a time. The same options, logits and seed give the same tokens on
 * every machine: the library computes its own exponentials and adds doubles in a fixed order.
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
    float top_p;          /* keep a token if the tokens ranked above it have less than p together; at least one; 0 and
                             1: all. Of equal logits the smaller id ranks first */
    float min_p;          /* drop tokens with probability < min_p * the largest; 0: none */
    float repeat_penalty; /* for each token seen so far: z < 0 ? z * r : z / r; 0 and 1: none */
    uint64_t seed;
} ink_sampler_options;

typedef struct ink_sampler ink_sampler;

/* Creates a sampler with all the memory it will need; free it with ink_sampler_free(). INK_ERROR_ARGUMENT unless
   vocab_size is at least 1, temperature 0 or at least 1.18e-38, top_p and min_p in [0, 1], repeat_penalty >= 0, and all
   numbers finite; INK_ERROR_MEMORY. */
ink_result ink_sampler_create(ink_context *ctx, const ink_sampler_options *options, size_t vocab_size,
                              ink_sampler **sampler);
void ink_sampler_free(ink_sampler *sampler);

/* Notes tokens of the text (the prompt) for the repetition penalty. INK_ERROR_ARGUMENT for an id outside the
   vocabulary, with none of them noted. */
ink_result ink_sampler_accept(ink_context *ctx, ink_sampler *sampler, const ink_token *tokens, size_t n);

/* Forgets all tokens that were noted, and begins again with the seed. */
void ink_sampler_reset(ink_sampler *sampler);

/* Draws the next token from logits [vocab_size], which are not changed, and notes it. A logit of -infinity excludes its
   token. INK_ERROR_NONFINITE if a logit is NaN or +infinity, also after the penalty, or if all are -infinity. After a
   failure *token is -1 and the sampler is unchanged. Allocates nothing. */
ink_result ink_sampler_pick(ink_context *ctx, ink_sampler *sampler, const float *logits, ink_token *token);

/* The same with the caller's uniform random number u in [0, 1) instead of the sampler's. */
ink_result ink_sampler_pick_with(ink_context *ctx, ink_sampler *sampler, const float *logits, double u,
                                 ink_token *token);

/* Computes the probabilities [vocab_size] of the next pick: exactly 0 for excluded tokens; if greedy, 1 for one token.
   probabilities may be logits. Notes no token and allocates nothing. */
ink_result ink_sampler_probabilities(ink_context *ctx, ink_sampler *sampler, const float *logits, float *probabilities);

#ifdef __cplusplus
}
#endif

#endif
