/*
 * tokenizer_config.c - reads tokenizer_config.json and special_tokens_map.json.
 */
#include "tokenizer_config.h"

#include <string.h>

ink_result ink_tokenizer_config_open(ink_context *ctx, ink_arena *arena, const ink_source *source,
                                     ink_tokenizer_config *config)
{
    static const char *const names[] = {INK_TOKENIZER_CONFIG_FILE, "special_tokens_map.json"};
    ink_json_document *const documents[] = {&config->settings, &config->map};
    *config = (ink_tokenizer_config){.ctx = ctx};
    for (int i = 0; i < 2; i++) {
        ink_result result = ink_json_open(ctx, arena, source, names[i], INK_LIMIT(ctx, settings_bytes), documents[i]);
        if (ink_is_missing(ctx, result))
            continue;
        INK_TRY(result);
        INK_TRY(ink_json_expect(ctx, documents[i], 0, INK_JSON_OBJECT));
    }
    return INK_OK;
}

ink_json ink_tokenizer_config_member(const ink_tokenizer_config *config, const char *key)
{
    return config->settings.n_nodes != 0 ? ink_json_member(&config->settings, 0, key) : INK_JSON_NONE;
}

ink_result ink_tokenizer_config_bool(const ink_tokenizer_config *config, const char *key, bool *value)
{
    return config->settings.n_nodes != 0 ? ink_json_read_bool(config->ctx, &config->settings, 0, key, value) : INK_OK;
}

ink_result ink_tokenizer_config_max_length(const ink_tokenizer_config *config, ink_notes *notes, size_t *max_length)
{
    const char *key = "model_max_length";
    ink_json node = ink_tokenizer_config_member(config, key);
    double length = 1e30; /* what transformers writes for no limit */
    if (node != INK_JSON_NONE)
        INK_TRY(ink_json_get_float(config->ctx, &config->settings, node, &length));
    *max_length = length >= 0.0 && length < 9007199254740992.0 ? (size_t)length : SIZE_MAX;
    if (length < 0.0 || (*max_length != SIZE_MAX && (double)*max_length != length))
        ink_note(notes, "%s: %s is %s: ignored", config->settings.file, key, config->settings.nodes[node].string);
    if (length != (double)*max_length)
        *max_length = SIZE_MAX;
    return INK_OK;
}

ink_result ink_tokenizer_config_token(const ink_tokenizer_config *config, ink_control which, ink_named_token *token)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
    const ink_json_document *const documents[] = {&config->settings, &config->map};
    ink_json node = INK_JSON_NONE;
    *token = (ink_named_token){.key = keys[which], .object = INK_JSON_NONE};
    for (int i = 0; i < 2 && node == INK_JSON_NONE; i++) {
        token->document = documents[i];
        if (documents[i]->n_nodes != 0)
            node = ink_json_member(documents[i], 0, keys[which]);
    }
    if (node == INK_JSON_NONE)
        return INK_OK;
    if (token->document->nodes[node].kind != INK_JSON_STRING) {
        INK_TRY(ink_json_expect(config->ctx, token->document, node, INK_JSON_OBJECT));
        token->object = node;
        INK_TRY(ink_json_require(config->ctx, token->document, node, "content", &node));
    }
    return ink_json_get_string(config->ctx, token->document, node, &token->text, &token->size);
}

bool ink_is_listed(const char *words, const char *word, size_t size)
{
    for (size_t length = 0; size > 0 && words != NULL && *words != '\0'; words += length + (words[length] == ' ')) {
        for (length = 0; words[length] != ' ' && words[length] != '\0';)
            length++;
        if (length == size && memcmp(words, word, size) == 0)
            return true;
    }
    return false;
}
