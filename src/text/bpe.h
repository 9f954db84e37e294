/*
 * bpe.h - byte-pair encoding of one word (Sennrich, Haddow, Birch 2016, section 3.2).
 *
 *     A word starts as one symbol per byte. As long as some neighbours can be merged, the pair whose merge was
 *     learned first is replaced by the merged token; of equal pairs the leftmost.
 */
#ifndef INK_TEXT_BPE_H
#define INK_TEXT_BPE_H

#include "vocab.h"

/* The rank of a merge is its place in the list. */
typedef struct ink_bpe_merge {
    ink_token left, right, merged;
} ink_bpe_merge;

typedef struct ink_bpe {
    ink_bpe_merge *merges; /* [n_merges] */
    size_t n_merges;
    ink_index index;
    ink_token byte_id[256]; /* the token of each single byte */
    bool ignore_merges;     /* a word that is a token as a whole is that token, whatever the merges make of it */
} ink_bpe;

/* Where ids go: counts them all, writes as many as there is room for. */
typedef struct ink_ids {
    ink_token *ids; /* [capacity] */
    size_t capacity, n;
} ink_ids;

static inline void ink_ids_add(ink_ids *out, ink_token id)
{
    if (out->n < out->capacity)
        out->ids[out->n] = id;
    out->n++;
}

/* Makes the merges findable. INK_ERROR_CORRUPT if one is there twice. */
ink_result ink_bpe_index(ink_context *ctx, ink_arena *arena, const char *file, ink_bpe *bpe);

/* Encodes a word of any bytes in O(size log size), with scratch memory of the context. */
ink_result ink_bpe_encode(ink_context *ctx, const ink_bpe *bpe, const ink_vocab *vocab, const char *word, size_t size,
                          ink_ids *out);

#endif
