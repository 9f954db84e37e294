/*
 * tokenizer_config.c - reads tokenizer_config.json and special_tokens_map.json.
 */
#include "tokenizer_config.h"

#define TOKENIZER_CONFIG_MAX_BYTES ((size_t)64 << 20)

static ink_result tokenizer_config_read(ink_context *ctx, ink_arena *arena, const ink_source *source, const char *name,
                                        ink_json_document *document)
{
    ink_result result = ink_json_open(ctx, arena, source, name, TOKENIZER_CONFIG_MAX_BYTES, document);
    if (ink_is_missing(ctx, result))
        return INK_OK;
    return result != INK_OK ? result : ink_json_expect(ctx, document, 0, INK_JSON_OBJECT);
}

ink_result ink_tokenizer_config_open(ink_context *ctx, ink_arena *arena, const ink_source *source,
                                     ink_tokenizer_config *config)
{
    *config = (ink_tokenizer_config){.ctx = ctx};
    return tokenizer_config_read(ctx, arena, source, INK_TOKENIZER_CONFIG_FILE, &config->settings);
}

ink_result ink_tokenizer_config_open_map(ink_arena *arena, const ink_source *source, ink_tokenizer_config *config)
{
    return tokenizer_config_read(config->ctx, arena, source, "special_tokens_map.json", &config->map);
}

ink_json ink_tokenizer_config_member(const ink_tokenizer_config *config, const char *key)
{
    return config->settings.n_nodes != 0 ? ink_json_member(&config->settings, 0, key) : INK_JSON_NONE;
}

ink_result ink_tokenizer_config_bool(const ink_tokenizer_config *config, const char *key, bool *value)
{
    return config->settings.n_nodes != 0 ? ink_json_read_bool(config->ctx, &config->settings, 0, key, value) : INK_OK;
}

ink_result ink_tokenizer_config_max_length(const ink_tokenizer_config *config, size_t *max_length)
{
    double length = -1.0; /* transformers writes 1e30 for no limit */
    if (config->settings.n_nodes != 0)
        INK_TRY(ink_json_read_float(config->ctx, &config->settings, 0, "model_max_length", &length));
    *max_length = length >= 0.0 && length < 9007199254740992.0 ? (size_t)length : SIZE_MAX;
    return INK_OK;
}

const char *ink_tokenizer_config_key(ink_control which)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
    return keys[which];
}

ink_result ink_tokenizer_config_control(const ink_tokenizer_config *config, ink_control which, const char **text,
                                        size_t *size, const ink_json_document **document, ink_json *object)
{
    const ink_json_document *const documents[] = {&config->settings, &config->map};
    ink_json node = INK_JSON_NONE;
    *text = NULL;
    *size = 0;
    *object = INK_JSON_NONE;
    for (size_t i = 0; i < 2 && node == INK_JSON_NONE; i++) {
        *document = documents[i];
        if (documents[i]->n_nodes != 0)
            node = ink_json_member(documents[i], 0, ink_tokenizer_config_key(which));
    }
    if (node == INK_JSON_NONE)
        return INK_OK;
    if ((*document)->nodes[node].kind != INK_JSON_STRING) {
        INK_TRY(ink_json_expect(config->ctx, *document, node, INK_JSON_OBJECT));
        *object = node;
        INK_TRY(ink_json_require(config->ctx, *document, node, "content", &node));
    }
    return ink_json_get_string(config->ctx, *document, node, text, size);
}
