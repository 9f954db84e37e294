/*
 * embedding.h - token ids to vectors and, if the output matrix is tied to the embedding, vectors to logits.
 *
 * The table E [vocab_size, size] is stored once, as a packed matrix (matrix.h), so the logits h E^T are the library's
 * one product. An embedding is immutable and may be used through many contexts at once.
 */
#ifndef INKLING_EMBEDDING_H
#define INKLING_EMBEDDING_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_embedding ink_embedding; /* ink_embedding_load() in pytorch.h makes one */

void ink_embedding_free(ink_embedding *embedding);

size_t ink_embedding_vocab_size(const ink_embedding *embedding);
size_t ink_embedding_size(const ink_embedding *embedding);

/* y [n, size]: row i is the vector of tokens[i]. INK_ERROR_ARGUMENT for an id outside the vocabulary, with
   nothing written. */
ink_result ink_embedding_forward(ink_context *ctx, const ink_embedding *embedding, const ink_token *tokens, size_t n,
                                 float *y);

/* logits [n, vocab_size] = h [n, size] E^T + bias: the tied output layer. bias is [vocab_size] or NULL. */
ink_result ink_embedding_logits(ink_context *ctx, const ink_embedding *embedding, const float *bias, const float *h,
                                size_t n, float *logits);

#ifdef __cplusplus
}
#endif

#endif
