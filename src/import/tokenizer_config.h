/*
 * tokenizer_config.h - the settings beside a tokenizer: tokenizer_config.json and special_tokens_map.json.
 *
 * Neither file has to exist. Tokenizers, chat templates and encoders all ask here.
 */
#ifndef INK_IMPORT_TOKENIZER_CONFIG_H
#define INK_IMPORT_TOKENIZER_CONFIG_H

#include <inkling/tokenizer.h>

#include "../formats/json.h"
#include "notes.h"

#define INK_TOKENIZER_CONFIG_FILE "tokenizer_config.json"

typedef struct ink_tokenizer_config {
    ink_context *ctx;
    ink_json_document settings; /* tokenizer_config.json; without nodes if there is none */
    ink_json_document map;      /* special_tokens_map.json; likewise */
} ink_tokenizer_config;

/* Reads both files, with memory from `arena` (growing). */
ink_result ink_tokenizer_config_open(ink_context *ctx, ink_arena *arena, const ink_source *source,
                                     ink_tokenizer_config *config);

/* A member of tokenizer_config.json; INK_JSON_NONE without the key, and for null. */
ink_json ink_tokenizer_config_member(const ink_tokenizer_config *config, const char *key);

/* A bool of tokenizer_config.json; without the key *value is as it was. */
ink_result ink_tokenizer_config_bool(const ink_tokenizer_config *config, const char *key, bool *value);

/* model_max_length; SIZE_MAX if there is no limit. A number that is no length is noted and is no limit. */
ink_result ink_tokenizer_config_max_length(const ink_tokenizer_config *config, ink_notes *notes, size_t *max_length);

/* A control token as the first of the two files that names it does. It may be a text, or an object with flags,
   {"content": "<mask>", "lstrip": true}. */
typedef struct ink_named_token {
    const char *key;  /* "mask_token" */
    const char *text; /* [size]; NULL: neither file names it */
    size_t size;
    const ink_json_document *document; /* the object with the flags */
    ink_json object;                   /* INK_JSON_NONE: there is none */
} ink_named_token;

ink_result ink_tokenizer_config_token(const ink_tokenizer_config *config, ink_control which, ink_named_token *token);

/* Whether a word [size] is one of `words`, a list with spaces between them, or NULL. */
bool ink_is_listed(const char *words, const char *word, size_t size);

#endif
