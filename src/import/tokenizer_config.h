/*
 * tokenizer_config.h - the settings beside a tokenizer: tokenizer_config.json and special_tokens_map.json.
 *
 * Neither file has to exist. Tokenizers, chat templates and encoders all ask here.
 */
#ifndef INK_IMPORT_TOKENIZER_CONFIG_H
#define INK_IMPORT_TOKENIZER_CONFIG_H

#include "../formats/json.h"
#include "../text/engine.h"
#include "notes.h"

#define INK_TOKENIZER_CONFIG_FILE "tokenizer_config.json"

/* The classes of transformers that bring control tokens of their own, whatever the files say. They make their tokenizer
   anew of the vocabulary that they find; the others take tokenizer.json as it is. */
typedef enum ink_tokenizer_class {
    INK_CLASS_NONE,
    INK_CLASS_BERT,
    INK_CLASS_GPT2,
    INK_CLASS_ROBERTA,
    INK_CLASS_QWEN2,
    INK_CLASS_LLAMA,
    INK_CLASS_XLM_ROBERTA,
    INK_CLASS_CAMEMBERT,
    INK_CLASS_T5,
    INK_CLASS_GEMMA,
    INK_CLASS_NLLB,
    INK_CLASS_MBART,
    INK_CLASS_MBART50,
    INK_CLASS_MARIAN,
    INK_CLASS_M2M100
} ink_tokenizer_class;

/* Classes that are written in Python run SentencePiece itself, and cut all added tokens out of the raw text. */
static inline bool ink_tokenizer_class_is_python(ink_tokenizer_class class)
{
    return class == INK_CLASS_MARIAN || class == INK_CLASS_M2M100;
}

typedef struct ink_tokenizer_config {
    ink_context *ctx;
    ink_json_document settings; /* tokenizer_config.json; without nodes if there is none */
    ink_json_document map;      /* special_tokens_map.json; likewise */
    ink_json_document model;    /* config.json; likewise, after ink_tokenizer_config_class() */
    ink_tokenizer_class class;
    const char *class_name;               /* as a file names it; NULL: none does, or it does not count */
    const char *model_type;               /* of config.json; NULL: it does not say */
    const char *defaults[INK_N_CONTROLS]; /* control tokens that a model file names, where there is no class */
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

/* Finds the class of the tokenizer: tokenizer_config.json names it, or config.json does, or its model_type tells. */
ink_result ink_tokenizer_config_class(ink_tokenizer_config *config, ink_arena *arena, const ink_source *source);

/* Whether special_tokens_map.json counts. It is from a time before added_tokens_decoder. */
bool ink_tokenizer_config_has_map(const ink_tokenizer_config *config);

/* A control token as special_tokens_map.json names it, if that counts, or else tokenizer_config.json, or else the
   class. It may be a text, or an object with flags, {"content": "<mask>", "lstrip": true}. */
typedef struct ink_named_token {
    const char *key;  /* "mask_token" */
    const char *text; /* [size]; NULL: nobody names it */
    size_t size;
    const ink_json_document *document; /* of the node */
    ink_json node;                     /* INK_JSON_NONE: the class names it, or nobody does */
} ink_named_token;

ink_result ink_tokenizer_config_token(const ink_tokenizer_config *config, ink_control which, ink_named_token *token);

struct ink_chat_draft;

/* The chat templates of a folder: draft->name, text, with_tools (chat_object.h). name stays NULL if there is none, text
   if no template of a list is named "default". */
ink_result ink_chat_template_read(const ink_tokenizer_config *config, ink_arena *arena, const ink_source *source,
                                  struct ink_chat_draft *draft);

/* Whether a word [size] is one of `words`, a list with spaces between them, or NULL. */
bool ink_is_listed(const char *words, const char *word, size_t size);

#endif
