/*
 * tokenizer.h - the tokenizer, the inside: what tokenizer.json becomes.
 *
 *     text -> added tokens cut out -> split into words -> the model's ids of each word -> the template around them
 */
#ifndef INK_TEXT_TOKENIZER_H
#define INK_TEXT_TOKENIZER_H

#include <inkling/tokenizer.h>

#include "added.h"
#include "bpe.h"
#include "split.h"
#include "vocab.h"

struct ink_tokenizer {
    ink_vocab vocab;
    ink_added added;
    ink_bpe bpe;            /* the model */
    ink_split_fn split;     /* the pre-tokenizer */
    bool add_prefix_space;  /* each piece of text between added tokens starts with a space */
    ink_token *template;    /* [n_before + n_after], the post-processor: what comes before and after the text */
    size_t n_before, n_after;
};

/* Reads tokenizer.json from a source into `draft`, all checked, with memory from `arena` (growing). */
ink_result ink_tokenizer_read(ink_context *ctx, ink_arena *arena, const ink_source *source, ink_tokenizer *draft);

#endif
