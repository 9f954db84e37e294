/*
 * tokenizer_read.h - what the readers of the parts of tokenizer.json share.
 */
#ifndef INK_TEXT_TOKENIZER_READ_H
#define INK_TEXT_TOKENIZER_READ_H

#include "../files/json.h"
#include "tokenizer.h"

#define INK_TOKENIZER_FILE "tokenizer.json"

typedef struct ink_tokenizer_reader {
    ink_context *ctx;
    ink_arena *arena;
    ink_json_document json;
    ink_json added_tokens; /* an array, or INK_JSON_NONE */
    ink_tokenizer *tokenizer; /* what is being made */
    size_t longest;           /* bytes of the longest spelling in the vocabulary */
    char *spelling, *bytes;   /* [longest], room to look one up */
} ink_tokenizer_reader;

static inline const ink_json_node *ink_read_node(const ink_tokenizer_reader *r, ink_json node)
{
    return &r->json.nodes[node];
}

/* Fails with the file, the path of the node, and the reason: "tokenizer.json: model.vocab: there are no tokens". */
ink_result ink_read_refuse(ink_tokenizer_reader *r, ink_result result, ink_json node, const char *reason);

ink_result ink_read_id(ink_tokenizer_reader *r, ink_json node, ink_token *id);

/* A string with at least one byte. */
ink_result ink_read_text(ink_tokenizer_reader *r, ink_json node, const char **text, size_t *size);

/* read_vocab.c: the vocabulary of a model, with room for the ids of the added tokens. */
ink_result ink_read_vocab(ink_tokenizer_reader *r, ink_json model);

/* The token of the vocabulary that is spelled so, or -1. */
ink_token ink_read_find(ink_tokenizer_reader *r, const char *spelling, size_t size);

/* read_bpe.c: the model of type BPE with its vocabulary. */
ink_result ink_read_bpe(ink_tokenizer_reader *r, ink_json model);

/* read_added.c: the members of "added_tokens"; the vocabulary is there. */
ink_result ink_read_added(ink_tokenizer_reader *r);

/* read_template.c: the post-processor of type TemplateProcessing; vocabulary and added tokens are there. */
ink_result ink_read_template(ink_tokenizer_reader *r, ink_json processor);

#endif
