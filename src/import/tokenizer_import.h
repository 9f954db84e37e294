/*
 * tokenizer_import.h - what tokenizer.json and the older files have in common: how they become calls of the engine's
 * builder.
 */
#ifndef INK_IMPORT_TOKENIZER_IMPORT_H
#define INK_IMPORT_TOKENIZER_IMPORT_H

#include "../text/engine.h"
#include "tokenizer_config.h"

#define INK_TOKENIZER_MAX_BYTES ((size_t)256 << 20)

typedef struct ink_tokenizer_import {
    ink_context *ctx;
    ink_arena *arena; /* growing */
    const ink_source *source;
    ink_tokenizer_config config;
    ink_tokenizer_builder b;
    bool byte_level;          /* tokens are spelled byte by byte (ink_import_find) */
    size_t longest;           /* bytes of the longest spelling in the vocabulary */
    char *spelling, *bytes;   /* [longest], room to look one up */
    ink_added_pattern *added; /* [n_added]; the ids are those of the file until ink_import_added() */
    size_t n_added;
    size_t slot_capacity; /* of the template */
    ink_token pad;        /* the padding token of tokenizer.json; -1: none */
} ink_tokenizer_import;

/* The two kinds of files. Each reads everything but the settings of `config`. */
ink_result ink_import_tokenizer_json(ink_tokenizer_import *im, const ink_json_document *json);
ink_result ink_import_tokenizer_legacy(ink_tokenizer_import *im);

/* Gives each added token (im->added) the text that is looked for; after the normalizer. */
ink_result ink_import_normalize_added(ink_tokenizer_import *im);

/* The vocabulary, in which the added tokens (im->added) get room. `where` begins the messages about a token:
   "tokenizer.json: model.vocab.". The first call makes an array of the members of an object, {"the": 5, ...}. */
typedef struct ink_spelled_token {
    const char *text;
    size_t size;
    ink_token id;
} ink_spelled_token;

ink_result ink_import_spelled(ink_tokenizer_import *im, const ink_json_document *json, ink_json object,
                              ink_spelled_token **tokens, size_t *n);
ink_result ink_import_vocab(ink_tokenizer_import *im, const char *where, const ink_spelled_token *tokens, size_t n);

/* The token of the vocabulary with that spelling, or -1. */
ink_token ink_import_find(ink_tokenizer_import *im, const char *spelling, size_t size);

/* Sets the unknown token of the model; NULL: it has none. INK_ERROR_CORRUPT if the vocabulary does not have it. */
ink_result ink_import_unk(ink_tokenizer_import *im, const char *spelling);

/* BPE, after the vocabulary: the tokens of bytes; merge i, as a pair or as a line "left right"; all merges. */
ink_result ink_import_byte_tokens(ink_tokenizer_import *im);
ink_result ink_import_merge(ink_tokenizer_import *im, size_t i, const char *const text[2], const size_t size[2],
                            ink_bpe_merge *merge);
ink_result ink_import_merge_line(ink_tokenizer_import *im, size_t i, const char *line, size_t size,
                                 ink_bpe_merge *merge);
ink_result ink_import_merges(ink_tokenizer_import *im, ink_bpe_merge *merges, size_t n);

/* The added tokens, after the model. */
ink_result ink_import_added(ink_tokenizer_import *im);

/* Appends a slot to the template; draft.template.n[] is counted up. First all slots for a single text, then for a pair.
 */
ink_result ink_import_slot(ink_tokenizer_import *im, bool pair, ink_token id, ink_token type);

/* The templates of BERT, [CLS] A [SEP] B [SEP], and RoBERTa, <s> A </s></s> B </s>, which has one token type. */
ink_result ink_import_bert_template(ink_tokenizer_import *im, ink_token cls, ink_token sep, bool roberta);

/* BERT's row of steps; false if the rows have no room for them. */
bool ink_import_bert_normalizer(ink_tokenizer_import *im, bool clean_text, bool chinese, bool strip_accents,
                                bool lowercase);
bool ink_import_bert_splitter(ink_tokenizer_import *im);
bool ink_import_wordpiece_decoder(ink_tokenizer_import *im, const ink_short_text *prefix, bool cleanup);

#endif
