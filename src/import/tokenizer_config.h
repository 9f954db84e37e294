/*
 * tokenizer_config.h - the settings beside a tokenizer: tokenizer_config.json and special_tokens_map.json.
 *
 * Neither file has to exist. Tokenizers, chat templates and encoders all read them here.
 */
#ifndef INK_IMPORT_TOKENIZER_CONFIG_H
#define INK_IMPORT_TOKENIZER_CONFIG_H

#include <inkling/tokenizer.h>

#include "../formats/json.h"

#define INK_TOKENIZER_CONFIG_FILE "tokenizer_config.json"

typedef struct ink_tokenizer_config {
    ink_context *ctx;
    ink_json_document settings; /* tokenizer_config.json; without nodes if there is none */
    ink_json_document map;      /* special_tokens_map.json; likewise */
} ink_tokenizer_config;

/* Reads tokenizer_config.json, with memory from `arena` (growing); and special_tokens_map.json in addition. */
ink_result ink_tokenizer_config_open(ink_context *ctx, ink_arena *arena, const ink_source *source,
                                     ink_tokenizer_config *config);
ink_result ink_tokenizer_config_open_map(ink_arena *arena, const ink_source *source, ink_tokenizer_config *config);

/* A member of tokenizer_config.json; INK_JSON_NONE without the key, and for null. */
ink_json ink_tokenizer_config_member(const ink_tokenizer_config *config, const char *key);

/* A bool of tokenizer_config.json; without the key *value is as it was. */
ink_result ink_tokenizer_config_bool(const ink_tokenizer_config *config, const char *key, bool *value);

/* model_max_length; SIZE_MAX if there is no limit. */
ink_result ink_tokenizer_config_max_length(const ink_tokenizer_config *config, size_t *max_length);

/* The text of a control token in the first of the two files that names it; NULL and 0 if neither does. A token may be
   an object with flags, {"content": "<mask>", "lstrip": true}: then *object is its node in *document, else
   INK_JSON_NONE. */
ink_result ink_tokenizer_config_control(const ink_tokenizer_config *config, ink_control which, const char **text,
                                        size_t *size, const ink_json_document **document, ink_json *object);

/* "bos_token", ... */
const char *ink_tokenizer_config_key(ink_control which);

#endif
