/*
 * config.c - reads settings by key and checks each one as it is read.
 */
#include <string.h>

#include "config.h"

uint64_t ink_fingerprint_number(uint64_t hash, uint64_t number)
{
    return ink_hash_numbers(hash, &number, 1, sizeof number);
}

/* Adds a setting to the fingerprint, also if it has its default value. */
static void add_to_fingerprint(ink_config *config, const char *key, uint64_t value)
{
    config->fingerprint = ink_hash(config->fingerprint, key, strlen(key));
    config->fingerprint = ink_fingerprint_number(config->fingerprint, value);
}

ink_result ink_config_open(const ink_config *folder, const char *file, ink_config *config)
{
    *config =
        (ink_config){.ctx = folder->ctx, .source = folder->source, .arena = folder->arena, .notes = folder->notes};
    INK_TRY(ink_json_open(config->ctx, config->arena, config->source, file, INK_LIMIT(config->ctx, settings_bytes),
                          &config->document));
    if (config->document.nodes[0].kind != INK_JSON_OBJECT)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: expected an object of settings", config->document.file);
    return INK_OK;
}

ink_result ink_config_open_optional(const ink_config *folder, const char *file, ink_config *config, bool *found)
{
    ink_result result = ink_config_open(folder, file, config);
    *found = result == INK_OK;
    return ink_is_missing(config->ctx, result) ? INK_OK : result;
}

/* NULL for a setting that a file with keys of its own lacks. */
static const char *stored_key(const ink_config *config, const char *key)
{
    if (config->names == NULL)
        return key;
    for (size_t i = 0; i < config->n_names; i++)
        if (strcmp(config->names[i].key, key) == 0)
            return config->names[i].stored;
    return NULL;
}

const char *ink_config_name(const ink_config *config, const char *key)
{
    const char *stored = stored_key(config, key);
    return stored != NULL ? stored : key;
}

ink_json ink_config_member(const ink_config *config, const char *key)
{
    key = stored_key(config, key);
    if (key == NULL || config->document.n_nodes == 0)
        return INK_JSON_NONE;
    return key[0] != '\0' ? ink_json_member(&config->document, config->object, key) : config->object;
}

bool ink_config_has(const ink_config *config, const char *key)
{
    return ink_config_member(config, key) != INK_JSON_NONE || ink_config_is_null(config, key);
}

bool ink_config_is_null(const ink_config *config, const char *key)
{
    const ink_json_document *document = &config->document;
    ink_json i = document->n_nodes > 0 ? ink_json_first(document, config->object) : INK_JSON_NONE;
    key = ink_config_name(config, key);
    for (; i != INK_JSON_NONE; i = ink_json_next(document, i))
        if (strcmp(document->nodes[i].key, key) == 0)
            return document->nodes[i].kind == INK_JSON_NULL;
    return false;
}

const char *ink_config_key(const ink_config *config, const char *common, const char *own)
{
    return ink_config_member(config, common) != INK_JSON_NONE ? common : own;
}

ink_result ink_config_element(ink_config *config, ink_json element, size_t max, size_t *value)
{
    INK_TRY(ink_json_get_size(config->ctx, &config->document, element, 1, max, value));
    add_to_fingerprint(config, "", *value);
    return INK_OK;
}

ink_result ink_config_element_string(ink_config *config, ink_json element, const char **value)
{
    INK_TRY(ink_json_get_string(config->ctx, &config->document, element, value, NULL));
    config->fingerprint = ink_hash(config->fingerprint, *value, strlen(*value) + 1);
    return INK_OK;
}

ink_result ink_config_check(const ink_config *config, ink_result checked)
{
    return checked == INK_OK ? INK_OK : ink_fail_in(config->ctx, INK_ERROR_MISMATCH, config->document.file);
}

static ink_result whole_number(ink_config *config, const char *key, size_t min, size_t max, size_t *value)
{
    ink_json node = ink_config_member(config, key);
    if (node != INK_JSON_NONE)
        INK_TRY(ink_json_get_size(config->ctx, &config->document, node, min, max, value));
    add_to_fingerprint(config, key, *value);
    return INK_OK;
}

ink_result ink_config_size(ink_config *config, const char *key, size_t max, size_t *value)
{
    if (ink_config_member(config, key) == INK_JSON_NONE && *value == 0)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: member '%s' is missing", config->document.file,
                        ink_config_name(config, key));
    return whole_number(config, key, 1, max, value);
}

ink_result ink_config_count(ink_config *config, const char *key, size_t max, size_t *value)
{
    return whole_number(config, key, 0, max, value);
}

ink_result ink_config_number(ink_config *config, const char *key, double min, double max, const char *range,
                             double *value)
{
    ink_json node = ink_config_member(config, key);
    double number = *value;
    uint64_t bits;
    if (node != INK_JSON_NONE) {
        INK_TRY(ink_json_get_float(config->ctx, &config->document, node, &number));
        if (!(number >= min) || !(number <= max))
            return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: %s: expected a number %s, found %s",
                            config->document.file, ink_config_name(config, key), range,
                            config->document.nodes[node].string);
    }
    memcpy(&bits, &number, sizeof bits);
    add_to_fingerprint(config, key, bits);
    *value = number;
    return INK_OK;
}

ink_result ink_config_epsilon(ink_config *config, const char *key, float *value)
{
    double number = (double)*value;
    INK_TRY(ink_config_number(config, key, 0, 1, "from 0 to 1", &number));
    *value = (float)number;
    return INK_OK;
}

ink_result ink_config_bool(ink_config *config, const char *key, bool *value)
{
    ink_json node = ink_config_member(config, key);
    if (node != INK_JSON_NONE)
        INK_TRY(ink_json_get_bool(config->ctx, &config->document, node, value));
    add_to_fingerprint(config, key, *value);
    return INK_OK;
}

ink_result ink_config_refuse(ink_config *config, const char *key)
{
    bool set = false;
    INK_TRY(ink_config_bool(config, key, &set));
    if (set)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED, "%s: %s: models with this setting are not supported",
                        config->document.file, key);
    return INK_OK;
}

ink_result ink_config_string(ink_config *config, const char *key, const char **value)
{
    ink_json node = ink_config_member(config, key);
    *value = "";
    if (node != INK_JSON_NONE)
        return ink_config_element_string(config, node, value);
    config->fingerprint = ink_hash(config->fingerprint, "", 1);
    return INK_OK;
}

/* Hugging Face's names (transformers/activations.py). Several names mean the same function. */
static const struct {
    const char *name;
    ink_activation activation;
} activations[] = {
    {"gelu", INK_GELU},
    {"gelu_python", INK_GELU},
    {"gelu_new", INK_GELU_TANH},
    {"gelu_fast", INK_GELU_TANH},
    {"gelu_pytorch_tanh", INK_GELU_TANH},
    {"gelu_python_tanh", INK_GELU_TANH},
    {"gelu_accurate", INK_GELU_TANH},
    {"quick_gelu", INK_QUICK_GELU},
    {"relu", INK_RELU},
    {"leaky_relu", INK_LEAKY_RELU},
    {"silu", INK_SILU},
    {"swish", INK_SILU},
    {"mish", INK_MISH},
    {"hardswish", INK_HARD_SWISH},
    {"sigmoid", INK_SIGMOID},
    {"tanh", INK_TANH},
    {"linear", INK_IDENTITY},
};

ink_result ink_config_activation(ink_config *config, const char *key, ink_activation *value)
{
    const char *name;
    INK_TRY(ink_config_string(config, key, &name));
    return name[0] != '\0' ? ink_config_activation_named(config, key, name, value) : INK_OK;
}

ink_result ink_config_activation_named(const ink_config *config, const char *key, const char *name,
                                       ink_activation *value)
{
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (strcmp(name, activations[i].name) == 0) {
            *value = activations[i].activation;
            return INK_OK;
        }
    return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED, "%s: %s: activation '%s' is not supported",
                    config->document.file, key, name);
}

/* The token of a node; -1, and a note, if the vocabulary lacks it. */
static ink_result read_token(const ink_config *config, ink_json node, size_t vocab_size, ink_token *token)
{
    char path[160] = "";
    int64_t id;
    *token = -1;
    INK_TRY(ink_json_get_int(config->ctx, &config->document, node, INT64_MIN, INT64_MAX, &id));
    if (id >= 0 && (uint64_t)id < vocab_size) {
        *token = (ink_token)id;
        return INK_OK;
    }
    if (config->notes != NULL && config->notes->n < INK_MAX_NOTES) /* a place is found by counting */
        ink_json_path(&config->document, node, path, sizeof path);
    ink_note(config->notes, "%s: %s is %lld, but the vocabulary has %zu tokens: ignored", config->document.file, path,
             (long long)id, vocab_size);
    return INK_OK;
}

ink_result ink_config_tokens(const ink_config *config, const char *key, size_t vocab_size, ink_arena *arena,
                             const ink_token **values, size_t *n)
{
    return ink_config_token_list(config, ink_config_member(config, key), vocab_size, arena, values, n);
}

ink_result ink_config_token_list(const ink_config *config, ink_json node, size_t vocab_size, ink_arena *arena,
                                 const ink_token **values, size_t *n)
{
    const ink_json_document *document = &config->document;
    *n = 0;
    if (node == INK_JSON_NONE)
        return INK_OK;
    bool list = document->nodes[node].kind == INK_JSON_ARRAY;
    ink_token *tokens = ink_arena_alloc(arena, list ? document->nodes[node].n_children : 1, sizeof *tokens);
    if (tokens == NULL)
        return ink_fail(config->ctx, INK_ERROR_MEMORY, "out of memory: the tokens in %s", document->file);
    *values = tokens;
    for (ink_json id = list ? ink_json_first(document, node) : node; id != INK_JSON_NONE;
         id = list ? ink_json_next(document, id) : INK_JSON_NONE) {
        INK_TRY(read_token(config, id, vocab_size, &tokens[*n]));
        *n += tokens[*n] >= 0;
    }
    return INK_OK;
}

ink_result ink_config_token(const ink_config *config, const char *key, size_t vocab_size, ink_token *value)
{
    const ink_token *tokens;
    size_t n;
    if (*value < 0 || (size_t)*value >= vocab_size || ink_config_has(config, key))
        *value = -1;
    INK_TRY(ink_config_tokens(config, key, vocab_size, config->arena, &tokens, &n));
    if (n > 0)
        *value = tokens[0];
    return INK_OK;
}

ink_result ink_config_array(ink_config *config, const char *key, ink_json *array, size_t *n)
{
    *array = ink_config_member(config, key);
    if (*array == INK_JSON_NONE)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: member '%s' is missing", config->document.file,
                        ink_config_name(config, key));
    const ink_json_node *node = &config->document.nodes[*array];
    if (node->kind != INK_JSON_ARRAY || node->n_children == 0)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: %s: expected an array with at least one element",
                        config->document.file, key);
    *n = node->n_children;
    add_to_fingerprint(config, key, *n);
    return INK_OK;
}
