/*
 * vocab.h - the tokens of a tokenizer: from an id to its bytes and back.
 */
#ifndef INK_TEXT_VOCAB_H
#define INK_TEXT_VOCAB_H

#include <inkling/types.h>

#include "index.h"

typedef struct ink_vocab_token {
    uint32_t offset; /* of its first byte in the pool */
    uint32_t size;   /* in bytes; 0: no token has this id */
    bool verbatim;   /* in a byte-level vocabulary: not spelled byte by byte, so that no text reaches it */
    bool special;    /* a control token, left out when decoding */
    bool added;      /* known from added_tokens only, not to the model */
} ink_vocab_token;

typedef struct ink_vocab {
    char *pool; /* [pool_size], the bytes of all tokens */
    size_t pool_size;
    ink_vocab_token *tokens; /* [n_ids] */
    size_t n_ids;
    size_t longest;  /* bytes of the longest token */
    bool byte_level; /* tokens are spelled byte by byte (byte_level.h) and held as these bytes */
    ink_index index;
} ink_vocab;

/* Makes room for ids below n_ids and for pool_size bytes in a vocabulary without tokens. INK_ERROR_MEMORY. */
ink_result ink_vocab_start(ink_context *ctx, ink_arena *arena, size_t n_ids, size_t pool_size, ink_vocab *vocab);

/* Gives `id` < n_ids, which no token has yet, the token that `spelling` [size], size >= 1, stands for. At most `size`
   bytes of the pool. */
void ink_vocab_put(ink_vocab *vocab, ink_token id, const char *spelling, size_t size);

static inline bool ink_vocab_has(const ink_vocab *vocab, ink_token id)
{
    return id >= 0 && (size_t)id < vocab->n_ids && vocab->tokens[id].size != 0;
}

static inline const char *ink_vocab_bytes(const ink_vocab *vocab, ink_token id)
{
    return vocab->pool + vocab->tokens[id].offset;
}

/* Makes the tokens put so far findable. */
ink_result ink_vocab_index(ink_context *ctx, ink_arena *arena, const char *file, ink_vocab *vocab);

/* The token of the model with exactly these bytes, or -1. */
ink_token ink_vocab_find(const ink_vocab *vocab, const char *bytes, size_t size, bool verbatim);

#endif
