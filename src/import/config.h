/*
 * config.h - the settings in the JSON files of a model folder.
 *
 * The caller names a setting by its key and gives its range and its default, if there is one. null counts as absent. A
 * value out of range is refused; the message names the file, the path, the range and the value. Every setting that is
 * read also goes into `fingerprint`, so models with different settings have different fingerprints. Ids of tokens do
 * not, because most results need none: an id that the vocabulary lacks is noted and ignored.
 */
#ifndef INK_IMPORT_CONFIG_H
#define INK_IMPORT_CONFIG_H

#include <inkling/types.h>

#include "../base/bytes.h"
#include "../formats/json.h"
#include "notes.h"

#define INK_CONFIG_FILE "config.json"

/* The largest counts allowed in a config.json. A width stays far from overflow when it is multiplied by a small number;
   ids and positions are int32_t. */
#define INK_MAX_WIDTH ((size_t)1 << 24)
#define INK_MAX_LAYERS ((size_t)1 << 16)
#define INK_MAX_IDS ((size_t)INT32_MAX)

/* A setting that the file spells otherwise: a key of Hugging Face's, and the file's own; "" is the object itself, where
   Hugging Face has an object in it. */
typedef struct ink_setting_name {
    const char *key, *stored;
} ink_setting_name;

typedef struct ink_config {
    ink_context *ctx;
    const ink_source *source;      /* the folder, for importers that read more of its files */
    ink_arena *arena;              /* growing; also for the importers, until the model is open */
    ink_notes *notes;              /* of the model */
    ink_json_document document;    /* without nodes if the file is missing: then all settings are absent */
    ink_json object;               /* where settings are looked up: 0, the root, or an object in it */
    const ink_setting_name *names; /* [n_names]: all settings there are, of a file with keys of its own; or NULL */
    size_t n_names;
    uint64_t fingerprint;
} ink_config;

/* Reads a file of a folder, which is given by the first four fields; folder may be config. _optional: if the file is
   missing, *found is false and all settings are absent. */
ink_result ink_config_open(const ink_config *folder, const char *file, ink_config *config);
ink_result ink_config_open_optional(const ink_config *folder, const char *file, ink_config *config, bool *found);

/* The key as the file spells it, for messages. */
const char *ink_config_name(const ink_config *config, const char *key);

/* The value of a key; INK_JSON_NONE if it is absent or null. */
ink_json ink_config_member(const ink_config *config, const char *key);

/* _has: whether the key is there, null or not. _is_null: whether it is there and null, because for some settings null
   means "none" and an absent key a default number. */
bool ink_config_has(const ink_config *config, const char *key);
bool ink_config_is_null(const ink_config *config, const char *key);

/* The key to read where a setting has two: a family's own name ("n_embd") and the one that most families have
   ("hidden_size"). The common one wins, as in transformers (attribute_map). */
const char *ink_config_key(const ink_config *config, const char *common, const char *own);

/* _size: a whole number from 1 to max. Without the key *value stays, or INK_ERROR_MISMATCH if it is 0. _count: a whole
   number from 0 to max. Without the key *value stays. */
ink_result ink_config_size(ink_config *config, const char *key, size_t max, size_t *value);
ink_result ink_config_count(ink_config *config, const char *key, size_t max, size_t *value);

/* A number from min to max, which `range` gives in words; a number from 0 to 1; a bool; an activation by
   Hugging Face's name. Without the key *value stays. */
ink_result ink_config_number(ink_config *config, const char *key, double min, double max, const char *range,
                             double *value);
ink_result ink_config_epsilon(ink_config *config, const char *key, float *value);
ink_result ink_config_bool(ink_config *config, const char *key, bool *value);
ink_result ink_config_activation(ink_config *config, const char *key, ink_activation *value);

/* The activation of this name, which stands under `key`, or a part of what stands there. */
ink_result ink_config_activation_named(const ink_config *config, const char *key, const char *name,
                                       ink_activation *value);

/* INK_ERROR_UNSUPPORTED if the setting is true. */
ink_result ink_config_refuse(ink_config *config, const char *key);

/* A string; "" without the key. Lives as long as the document. */
ink_result ink_config_string(ink_config *config, const char *key, const char **value);

/* The ids of an array, or a single id: those in the vocabulary, as *values [*n] in `arena`. The others are noted.
   Without the key *n is 0. */
ink_result ink_config_tokens(const ink_config *config, const char *key, size_t vocab_size, ink_arena *arena,
                             const ink_token **values, size_t *n);

/* The same of a node, INK_JSON_NONE for an absent key. */
ink_result ink_config_token_list(const ink_config *config, ink_json node, size_t vocab_size, ink_arena *arena,
                                 const ink_token **values, size_t *n);

/* The first of them, -1 if there is none or for null. Without the key *value stays if it is in the vocabulary, else it
   becomes -1. */
ink_result ink_config_token(const ink_config *config, const char *key, size_t vocab_size, ink_token *value);

/* A required array with at least one element; and the whole number from 1 to max, or the string, in an element. */
ink_result ink_config_array(ink_config *config, const char *key, ink_json *array, size_t *n);
ink_result ink_config_element(ink_config *config, ink_json element, size_t max, size_t *value);
ink_result ink_config_element_string(ink_config *config, ink_json element, const char **value);

/* Returns INK_OK if `checked` is INK_OK. Otherwise puts the file in front of the message and returns
   INK_ERROR_MISMATCH: for the result of a layer's own check. */
ink_result ink_config_check(const ink_config *config, ink_result checked);

/* ink_hash() of a number, the same in either byte order. */
uint64_t ink_fingerprint_number(uint64_t hash, uint64_t number);

#endif
