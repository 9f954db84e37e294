/*
 * bpe.h - byte-pair encoding of one word (Sennrich, Haddow, Birch 2016, section 3.2).
 *
 *     A word starts as one symbol per character, or per byte. As long as some neighbours can be merged, the pair whose
 *     merge was learned first is replaced by the merged token; of equal pairs the leftmost.
 */
#ifndef INK_TEXT_BPE_H
#define INK_TEXT_BPE_H

#include "ids.h"
#include "vocab.h"

/* The rank of a merge is its place in the list. */
typedef struct ink_bpe_merge {
    ink_token left, right, merged;
} ink_bpe_merge;

typedef struct ink_bpe {
    ink_bpe_merge *merges; /* [n_merges] */
    size_t n_merges;
    ink_index index;
    bool byte_level;        /* a word starts as bytes; else as characters */
    bool byte_fallback;     /* a character that is no token becomes the tokens <0x00> to <0xFF> of its bytes; */
    bool fuse_unk;          /* where these are missing it becomes unk, neighbours together only one of them, */
    ink_token unk;          /* or nothing if this is -1 */
    ink_token byte_id[256]; /* the tokens of bytes, -1 for those that are not there */
    bool ignore_merges;     /* a word that is a token as a whole is that token, whatever the merges make of it */
} ink_bpe;

/* Makes the merges findable. INK_ERROR_CORRUPT if one is there twice. */
ink_result ink_bpe_index(ink_context *ctx, ink_arena *arena, const char *file, ink_bpe *bpe);

/* Encodes a word of any bytes in O(size log size), with scratch memory of the context. */
ink_result ink_bpe_encode(ink_context *ctx, const ink_bpe *bpe, const ink_vocab *vocab, const char *word, size_t size,
                          ink_ids *out);

#endif
