/*
 * config.h - the settings in a model folder's config.json and generation_config.json.
 *
 * A setting is named by its key, with the range it must lie in and, where the format has one, its default; null counts
 * as absent. What is out of range is refused with file, path, expected and found. Every setting that is read is also
 * mixed into `fingerprint`, so that models that differ in one of them differ in their fingerprint.
 */
#ifndef INK_IMPORT_CONFIG_H
#define INK_IMPORT_CONFIG_H

#include <inkling/types.h>

#include "../base/bytes.h"
#include "../formats/json.h"

#define INK_CONFIG_FILE "config.json"
#define INK_GENERATION_FILE "generation_config.json"

/* The largest counts a config.json may name. Widths this small can be multiplied by a handful on any machine; ids and
   positions are int32_t. */
#define INK_MAX_WIDTH ((size_t)1 << 24)
#define INK_MAX_LAYERS ((size_t)1 << 16)
#define INK_MAX_IDS ((size_t)INT32_MAX)

typedef struct ink_config {
    ink_context *ctx;
    const ink_source *source;   /* the folder, for kinds that read more of its files */
    ink_arena *arena;           /* growing; theirs too, until the model is open */
    ink_json_document document; /* without nodes: there is no such file, and no setting is there */
    ink_json object;            /* where settings are looked up: 0, the root, or an object in it */
    uint64_t fingerprint;
} ink_config;

/* Reads a file of a source; the document's memory comes from `arena` (growing). */
ink_result ink_config_open(ink_context *ctx, ink_arena *arena, const ink_source *source, const char *file,
                           ink_config *config);

/* Another file of the folder that `config` is from, which need not be there: *found. Without it no setting is there. */
ink_result ink_config_open_beside(const ink_config *config, const char *file, ink_config *settings, bool *found);

/* The value of a key; INK_JSON_NONE without the key, and for null. */
ink_json ink_config_member(const ink_config *config, const char *key);

/* True if the key is there, also if it is null; true if it is there and null, which some formats take for "none" where
   the key's absence stands for a number. */
bool ink_config_has(const ink_config *config, const char *key);
bool ink_config_is_null(const ink_config *config, const char *key);

/* A whole number from 1 to max. Without the key: *value as it is, or INK_ERROR_MISMATCH if it is 0. And one from 0 to
   max, which needs no key. */
ink_result ink_config_size(ink_config *config, const char *key, size_t max, size_t *value);
ink_result ink_config_count(ink_config *config, const char *key, size_t max, size_t *value);

/* A number from min to max; one above 0 and at most 1; true or false; an activation by Hugging Face's name. Without the
   key: *value as it is. `range` says min and max in words. */
ink_result ink_config_number(ink_config *config, const char *key, double min, double max, const char *range,
                             double *value);
ink_result ink_config_epsilon(ink_config *config, const char *key, float *value);
ink_result ink_config_bool(ink_config *config, const char *key, bool *value);
ink_result ink_config_activation(ink_config *config, const char *key, ink_activation *value);

/* INK_ERROR_UNSUPPORTED if this setting is there and true. */
ink_result ink_config_refuse(ink_config *config, const char *key);

/* A string, "" without the key. Lives as long as the document. */
ink_result ink_config_string(ink_config *config, const char *key, const char **value);

/* A token id below vocab_size, or an array of them, of which the first counts; -1 for null. Without the key: *value as
   it is, if it is below vocab_size, else -1. Not part of the fingerprint. */
ink_result ink_config_token(const ink_config *config, const char *key, size_t vocab_size, ink_token *value);

/* All of them: *n is how many there are, 0 without the key; values [*n], NULL to count. */
ink_result ink_config_tokens(const ink_config *config, const char *key, size_t vocab_size, ink_token *values,
                             size_t *n);

/* An array that must be there and not be empty; and the whole number, or the string, at one of its places. */
ink_result ink_config_array(ink_config *config, const char *key, ink_json *array, size_t *n);
ink_result ink_config_element(ink_config *config, ink_json element, size_t max, size_t *value);
ink_result ink_config_element_string(ink_config *config, ink_json element, const char **value);

/* Hands on INK_OK; makes the failure of a layer's own check one of this file, with the same sentence. */
ink_result ink_config_check(const ink_config *config, ink_result checked);

/* ink_hash() over a number, the same on machines of either byte order. */
uint64_t ink_fingerprint_number(uint64_t hash, uint64_t number);

#endif
