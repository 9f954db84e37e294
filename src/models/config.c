/*
 * config.c - settings by key, each checked where it is read.
 */
#include <string.h>

#include "config.h"

#define MAX_CONFIG_BYTES ((size_t)16 << 20)

uint64_t ink_fingerprint_number(uint64_t hash, uint64_t number)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
    return ink_hash_on(hash, bytes, sizeof bytes);
}

/* Key and value of a setting go into the fingerprint, the default as well as what is written out. */
static void mix(ink_config *config, const char *key, uint64_t value)
{
    config->fingerprint = ink_hash_on(config->fingerprint, key, strlen(key));
    config->fingerprint = ink_fingerprint_number(config->fingerprint, value);
}

ink_result ink_config_open(ink_context *ctx, ink_arena *arena, const ink_source *source, ink_config *config)
{
    config->ctx = ctx;
    config->fingerprint = INK_HASH_START;
    INK_TRY(ink_json_open(ctx, arena, source, INK_CONFIG_FILE, MAX_CONFIG_BYTES, &config->document));
    if (config->document.nodes[0].kind != INK_JSON_OBJECT)
        return ink_fail(ctx, INK_ERROR_MISMATCH, "%q: expected an object of settings", config->document.file);
    return INK_OK;
}

static ink_json member(const ink_config *config, const char *key)
{
    return ink_json_member(&config->document, 0, key);
}

ink_result ink_config_element(ink_config *config, ink_json element, size_t max, size_t *value)
{
    INK_TRY(ink_json_get_size(config->ctx, &config->document, element, 1, max, value));
    mix(config, "", *value);
    return INK_OK;
}

ink_result ink_config_size(ink_config *config, const char *key, size_t max, size_t *value)
{
    ink_json node = member(config, key);
    if (node == INK_JSON_NONE && *value == 0)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%q: member '%s' is missing", config->document.file, key);
    if (node != INK_JSON_NONE)
        INK_TRY(ink_json_get_size(config->ctx, &config->document, node, 1, max, value));
    mix(config, key, *value);
    return INK_OK;
}

ink_result ink_config_epsilon(ink_config *config, const char *key, float *value)
{
    ink_json node = member(config, key);
    double number = (double)*value;
    if (node != INK_JSON_NONE)
        INK_TRY(ink_json_get_float(config->ctx, &config->document, node, &number));
    float narrow = (float)number;
    if (!(narrow > 0) || !(narrow <= 1))
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%q: %s: expected a number above 0 and at most 1, found %q",
                        config->document.file, key, config->document.nodes[node].string);
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    mix(config, key, bits);
    *value = narrow;
    return INK_OK;
}

ink_result ink_config_bool(ink_config *config, const char *key, bool *value)
{
    INK_TRY(ink_json_read_bool(config->ctx, &config->document, 0, key, value));
    mix(config, key, *value);
    return INK_OK;
}

ink_result ink_config_string(ink_config *config, const char *key, const char **value)
{
    *value = "";
    INK_TRY(ink_json_read_string(config->ctx, &config->document, 0, key, value));
    config->fingerprint = ink_hash_on(config->fingerprint, *value, strlen(*value) + 1);
    return INK_OK;
}

/* Hugging Face's names (transformers/activations.py); several of them mean the same function. */
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
    if (name[0] == '\0')
        return INK_OK;
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (strcmp(name, activations[i].name) == 0) {
            *value = activations[i].activation;
            return INK_OK;
        }
    return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED, "%q: %s: there is no activation '%q' here",
                    config->document.file, key, name);
}

ink_result ink_config_token(ink_config *config, const char *key, size_t vocab_size, ink_token *value)
{
    const ink_json_document *document = &config->document;
    ink_json node = member(config, key);
    *value = -1;
    if (node == INK_JSON_NONE)
        return INK_OK;
    bool list = document->nodes[node].kind == INK_JSON_ARRAY;
    ink_json id = list ? ink_json_first(document, node) : node;
    while (id != INK_JSON_NONE) {
        int64_t number;
        INK_TRY(ink_json_get_int(config->ctx, document, id, 0, (int64_t)vocab_size - 1, &number));
        if (*value < 0)
            *value = (ink_token)number;
        id = list ? ink_json_next(document, id) : INK_JSON_NONE;
    }
    return INK_OK;
}

ink_result ink_config_array(ink_config *config, const char *key, ink_json *array, size_t *n)
{
    *array = member(config, key);
    if (*array == INK_JSON_NONE)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%q: member '%s' is missing", config->document.file, key);
    const ink_json_node *node = &config->document.nodes[*array];
    if (node->kind != INK_JSON_ARRAY || node->n_children == 0)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%q: %s: expected an array with at least one number",
                        config->document.file, key);
    *n = node->n_children;
    mix(config, key, *n);
    return INK_OK;
}
