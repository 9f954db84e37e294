/*
 * tokenizer_config.c - reads tokenizer_config.json and special_tokens_map.json, and the class that a tokenizer is of.
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

ink_result ink_tokenizer_config_class(ink_tokenizer_config *config, ink_arena *arena, const ink_source *source)
{
    static const struct {
        const char *name, *model_types;
        ink_tokenizer_class class;
    } classes[] = {{"BertTokenizer", "bert distilbert electra", INK_CLASS_BERT},
                   {"DistilBertTokenizer", NULL, INK_CLASS_BERT},
                   {"ElectraTokenizer", NULL, INK_CLASS_BERT},
                   {"GPT2Tokenizer", "gpt2", INK_CLASS_GPT2},
                   {"RobertaTokenizer", "roberta bart", INK_CLASS_ROBERTA},
                   {"BartTokenizer", NULL, INK_CLASS_ROBERTA},
                   {"Qwen2Tokenizer", "qwen2 qwen3", INK_CLASS_QWEN2},
                   {"LlamaTokenizer", NULL, INK_CLASS_LLAMA},
                   {"XLMRobertaTokenizer", "xlm-roberta", INK_CLASS_XLM_ROBERTA},
                   {"CamembertTokenizer", "camembert", INK_CLASS_CAMEMBERT},
                   {"T5Tokenizer", "t5 mt5", INK_CLASS_T5},
                   {"GemmaTokenizer", "gemma gemma2 gemma3 gemma3_text", INK_CLASS_GEMMA},
                   {"NllbTokenizer", "nllb-moe", INK_CLASS_NLLB},
                   {"MBartTokenizer", "mbart", INK_CLASS_MBART},
                   {"MBart50Tokenizer", NULL, INK_CLASS_MBART50},
                   {"MarianTokenizer", "marian", INK_CLASS_MARIAN},
                   {"M2M100Tokenizer", "m2m_100", INK_CLASS_M2M100}};
    ink_json_document model = {.file = ""};
    const char *name = NULL, *type = "";
    ink_result result =
        ink_json_open(config->ctx, arena, source, "config.json", INK_LIMIT(config->ctx, settings_bytes), &model);
    bool missing = ink_is_missing(config->ctx, result);
    INK_TRY(missing ? INK_OK : result);
    if (config->settings.n_nodes != 0)
        INK_TRY(ink_json_read_string(config->ctx, &config->settings, 0, "tokenizer_class", &name));
    if (!missing && name == NULL)
        INK_TRY(ink_json_read_string(config->ctx, &model, 0, "tokenizer_class", &name));
    if (!missing)
        INK_TRY(ink_json_read_string(config->ctx, &model, 0, "model_type", &type));
    config->model = model;
    /* Folders of these models name any class, and transformers does not ask them. */
    bool by_type = name == NULL || ink_is_listed("qwen2 mistral mixtral modernbert umt5", type, strlen(type));
    config->class_name = by_type ? NULL : name;
    config->model_type = *type != '\0' ? type : NULL;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        size_t length = strlen(classes[i].name); /* "GPT2Tokenizer" or "GPT2TokenizerFast" */
        if (by_type ? ink_is_listed(classes[i].model_types, type, strlen(type))
                    : strncmp(name, classes[i].name, length) == 0 &&
                          (name[length] == '\0' || strcmp(name + length, "Fast") == 0))
            config->class = classes[i].class;
    }
    return INK_OK;
}

bool ink_tokenizer_config_has_map(const ink_tokenizer_config *config)
{
    return config->map.n_nodes != 0 && ink_tokenizer_config_member(config, "added_tokens_decoder") == INK_JSON_NONE;
}

ink_result ink_tokenizer_config_token(const ink_tokenizer_config *config, ink_control which, ink_named_token *token)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
    static const char *const of_class[][INK_N_CONTROLS] = {
        [INK_CLASS_NONE] = {NULL},
        [INK_CLASS_BERT] = {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"},
        [INK_CLASS_GPT2] = {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>"},
        [INK_CLASS_ROBERTA] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
        [INK_CLASS_QWEN2] = {NULL, "<|endoftext|>", "<|endoftext|>", NULL, "<|endoftext|>"},
        [INK_CLASS_LLAMA] = {"<s>", "</s>", "<unk>"},
        [INK_CLASS_XLM_ROBERTA] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
        [INK_CLASS_CAMEMBERT] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
        [INK_CLASS_T5] = {NULL, "</s>", "<unk>", NULL, "<pad>"},
        [INK_CLASS_GEMMA] = {"<bos>", "<eos>", "<unk>", NULL, "<pad>", NULL, "<mask>"},
        [INK_CLASS_NLLB] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
        [INK_CLASS_MBART] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
        [INK_CLASS_MBART50] = {NULL, "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
        [INK_CLASS_MARIAN] = {NULL, "</s>", "<unk>", NULL, "<pad>"},
        [INK_CLASS_M2M100] = {"<s>", "</s>", "<unk>", "</s>", "<pad>"},
    };
    const ink_json_document *const documents[] = {&config->map, &config->settings};
    const char *default_text =
        config->defaults[which] != NULL ? config->defaults[which] : of_class[config->class][which];
    *token = (ink_named_token){.key = keys[which], .node = INK_JSON_NONE};
    for (int i = ink_tokenizer_config_has_map(config) ? 0 : 1; i < 2 && token->node == INK_JSON_NONE; i++) {
        token->document = documents[i];
        ink_json node = documents[i]->n_nodes != 0 ? ink_json_first(documents[i], 0) : INK_JSON_NONE;
        while (node != INK_JSON_NONE && strcmp(documents[i]->nodes[node].key, keys[which]) != 0)
            node = ink_json_next(documents[i], node);
        token->node = node;
    }
    if (token->node == INK_JSON_NONE) {
        token->text = default_text;
        token->size = default_text != NULL ? strlen(default_text) : 0;
        return INK_OK;
    }
    ink_json node = token->node;
    if (token->document->nodes[node].kind == INK_JSON_NULL) { /* there is no such token, whatever the class says */
        token->node = INK_JSON_NONE;
        return INK_OK;
    }
    if (token->document->nodes[node].kind != INK_JSON_STRING) {
        INK_TRY(ink_json_expect(config->ctx, token->document, node, INK_JSON_OBJECT));
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
