/*
 * chat_template.c - the chat template of a model: where it is kept, and the standard templates for models without one.
 *
 *     chat_template.jinja, and additional_chat_templates/tool_use.jinja beside it; or
 *     chat_template in tokenizer_config.json: a text, or a list of texts with names; or
 *     tokenizer.chat_template and tokenizer.chat_template.tool_use of a GGUF file
 */
#include <string.h>

#include "../formats/gguf.h"
#include "../text/chat_object.h"
#include "folder.h"
#include "tokenizer_config.h"

#define CHAT_JINJA "chat_template.jinja"
#define CHAT_TOOLS_JINJA "additional_chat_templates/tool_use.jinja"
#define CHAT_GGUF "tokenizer.chat_template"

/* ---- standard templates ----------------------------------------------------------------------------------------- */

#define ASKS(text) "{% if add_generation_prompt %}{{ '" text "' }}{% endif %}"
#define JOINED_SYSTEM                                                                                                  \
    "{% if messages[0].role == 'system' %}{% set first = messages[0].content %}{% set messages = messages[1:] %}"      \
    "{% endif %}{% for m in messages %}"                                                                               \
    "{% if (m.role == 'user') != (loop.index0 is even) or m.role not in ['user', 'assistant'] %}"                      \
    "{{ raise_exception('after a system text, user and assistant take turns') }}{% endif %}"
#define MISTRAL(before, after, answer)                                                                                 \
    "{{ bos_token }}" JOINED_SYSTEM "{% if m.role == 'user' %}{{ '" before                                             \
    "' + (first + '\\n\\n' if loop.first and first is defined else '') + m.content + '" after                          \
    "' }}{% else %}{{ '" answer "' + m.content + eos_token }}{% endif %}{% endfor %}"

/* The templates of models that were published without one, and for --template. A system text stands where the models
   were trained to see it. */
static const struct {
    const char *name;
    const char *tokens[3]; /* the tokenizer must have these */
    bool needs_bos, needs_eos;
    const char *model_types; /* models of which it is the template, if they have none: model_type of a folder,
                                general.architecture of a GGUF file */
    const char *text;
} standards[] = {
    {"chatml",
     {"<|im_start|>", "<|im_end|>"},
     false,
     false,
     "qwen2 qwen3 llama",
     "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}" ASKS(
         "<|im_start|>assistant\\n")},
    {"llama-3",
     {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
     true,
     false,
     "llama",
     "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + "
     "m.content | trim + '<|eot_id|>' }}{% endfor %}" ASKS("<|start_header_id|>assistant<|end_header_id|>\\n\\n")},
    {"llama-2",
     {NULL},
     true,
     true,
     "",
     JOINED_SYSTEM
     "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + ('<<SYS>>\\n' + first + '\\n<</SYS>>\\n\\n' if loop.first "
     "and first is defined else '') + m.content | trim + ' [/INST]' }}{% else %}{{ ' ' + m.content | trim + ' ' + "
     "eos_token }}{% endif %}{% endfor %}"},
    {"mistral-v0",
     {NULL},
     true,
     true,
     "",
     "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('mistral-v0 has no system "
     "text') }}{% endif %}{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else m.content + eos_token }}"
     "{% endfor %}"},
    {"mistral-v1", {NULL}, true, true, "", MISTRAL(" [INST] ", " [/INST]", " ")},
    {"mistral-v3", {"[INST]", "[/INST]"}, true, true, "mistral", MISTRAL("[INST] ", "[/INST]", " ")},
    {"gemma",
     {"<start_of_turn>", "<end_of_turn>"},
     true,
     false,
     "gemma3_text gemma3",
     "{{ bos_token }}" JOINED_SYSTEM
     "{{ '<start_of_turn>' + ('user' if m.role == 'user' else 'model') + '\\n' + (first + '\\n\\n' if loop.first and "
     "first is defined else '') + m.content | trim + '<end_of_turn>\\n' }}{% endfor %}" ASKS(
         "<start_of_turn>model\\n")},
    {"zephyr",
     {NULL},
     false,
     true,
     "",
     "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' }}{% endfor %}" ASKS(
         "<|assistant|>\\n")},
};

#define N_STANDARDS (sizeof standards / sizeof *standards)

const char *ink_chat_standard(size_t i) { return i < N_STANDARDS ? standards[i].name : NULL; }

/* ---- the template of a folder ----------------------------------------------------------------------------------- */

typedef struct chat_reader {
    ink_context *ctx;
    ink_arena *arena; /* growing */
    const ink_source *source;
    const ink_gguf *gguf; /* NULL: the model is a folder */
    const ink_chat_options *options;
    ink_tokenizer_config config; /* of a folder */
    ink_chat_draft draft;
} chat_reader;

ink_result ink_chat_template_read(const ink_tokenizer_config *config, ink_arena *arena, const ink_source *source,
                                  ink_chat_draft *draft)
{
    ink_context *ctx = config->ctx;
    const ink_json_document *json = &config->settings;
    const ink_json node = ink_tokenizer_config_member(config, "chat_template");
    const ink_limit limit = INK_LIMIT(ctx, settings_bytes);
    ink_result result = ink_file_read_all(ctx, source, CHAT_JINJA, limit, arena, &draft->text, &draft->size);
    if (!ink_is_missing(ctx, result)) {
        INK_TRY(result);
        draft->name = CHAT_JINJA;
        result =
            ink_file_read_all(ctx, source, CHAT_TOOLS_JINJA, limit, arena, &draft->with_tools, &draft->with_tools_size);
        return ink_is_missing(ctx, result) ? INK_OK : result;
    }
    if (node == INK_JSON_NONE)
        return INK_OK;
    draft->name = INK_TOKENIZER_CONFIG_FILE;
    if (json->nodes[node].kind != INK_JSON_ARRAY)
        return ink_json_get_string(ctx, json, node, &draft->text, &draft->size);
    for (ink_json i = ink_json_first(json, node); i != INK_JSON_NONE; i = ink_json_next(json, i)) {
        const char *name = "";
        ink_json text;
        INK_TRY(ink_json_expect(ctx, json, i, INK_JSON_OBJECT));
        INK_TRY(ink_json_read_string(ctx, json, i, "name", &name));
        bool tools = strcmp(name, "tool_use") == 0;
        if (!tools && strcmp(name, "default") != 0)
            continue;
        INK_TRY(ink_json_require(ctx, json, i, "template", &text));
        INK_TRY(ink_json_get_string(ctx, json, text, tools ? &draft->with_tools : &draft->text,
                                    tools ? &draft->with_tools_size : &draft->size));
    }
    return INK_OK;
}

static ink_result read_gguf_template(chat_reader *r)
{
    ink_chat_draft *draft = &r->draft;
    const ink_gguf_value *text = ink_gguf_find(r->gguf, CHAT_GGUF),
                         *tools = ink_gguf_find(r->gguf, CHAT_GGUF ".tool_use");
    if (text == NULL)
        return INK_OK;
    draft->name = CHAT_GGUF;
    INK_TRY(ink_gguf_get_string(r->ctx, r->gguf, tools, &draft->with_tools, &draft->with_tools_size));
    return ink_gguf_get_string(r->ctx, r->gguf, text, &draft->text, &draft->size);
}

/* ---- which standard template ------------------------------------------------------------------------------------ */

/* Whether the tokenizer has the control tokens of a standard template as added tokens. */
static ink_result check_standard(chat_reader *r, size_t i, bool *has)
{
    const ink_tokenizer *tokenizer = r->draft.tokenizer;
    *has = true;
    for (size_t k = 0; k < 3 && standards[i].tokens[k] != NULL; k++) {
        const char *token = standards[i].tokens[k];
        const size_t size = strlen(token);
        ink_token *ids;
        size_t n;
        uint8_t marks[32] = {0};
        ink_arena_mark mark = ink_arena_mark_here(&r->ctx->gathered);
        INK_TRY(ink_encode_marked(r->ctx, tokenizer, token, size, marks, &ids, &n));
        const bool added = n == 1 && ids[0] < 0;
        ink_arena_release(&r->ctx->gathered, mark);
        *has = *has && added;
        if (!added && r->options->standard != NULL)
            return ink_fail(r->ctx, INK_ERROR_MISMATCH,
                            "the chat template %s needs the added token %s, and in this tokenizer %s",
                            standards[i].name, token,
                            ink_tokenizer_find(tokenizer, token, size) < 0 ? "there is none" : "it is an ordinary one");
    }
    return INK_OK;
}

/* The standard template that the options name; or that models of this type speak, if the tokenizer has the tokens for
   it. */
static ink_result choose_standard(chat_reader *r, size_t *standard)
{
    const char *asked = r->options->standard, *model_type = "";
    char list[128] = "";
    size_t used = 0, chosen = N_STANDARDS;
    for (size_t i = 0; i < N_STANDARDS; i++)
        used += ink_format(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", standards[i].name);
    if (asked == NULL && r->gguf != NULL)
        INK_TRY(
            ink_gguf_get_string(r->ctx, r->gguf, ink_gguf_find(r->gguf, "general.architecture"), &model_type, NULL));
    if (asked == NULL && r->gguf == NULL) {
        ink_json_document config = {0};
        ink_result result =
            ink_json_open(r->ctx, r->arena, r->source, "config.json", INK_LIMIT(r->ctx, settings_bytes), &config);
        if (result == INK_OK)
            result = ink_json_read_string(r->ctx, &config, 0, "model_type", &model_type);
        if (!ink_is_missing(r->ctx, result))
            INK_TRY(result);
    }
    for (size_t i = 0; i < N_STANDARDS && chosen == N_STANDARDS; i++) {
        bool has = asked != NULL ? strcmp(asked, standards[i].name) == 0
                                 : ink_is_listed(standards[i].model_types, model_type, strlen(model_type));
        if (has)
            INK_TRY(check_standard(r, i, &has));
        chosen = has ? i : chosen;
    }
    if (chosen == N_STANDARDS && asked != NULL)
        return ink_fail(r->ctx, INK_ERROR_ARGUMENT, "the chat template '%s' is none of the standard ones: %s", asked,
                        list);
    if (chosen == N_STANDARDS && r->gguf != NULL)
        return ink_fail(r->ctx, INK_ERROR_NOT_FOUND,
                        "%s has no chat template (key '" CHAT_GGUF
                        "'), and general.architecture '%s' does not say which of these it speaks: %s",
                        r->gguf->file, model_type, list);
    if (chosen == N_STANDARDS)
        return ink_fail(r->ctx, INK_ERROR_NOT_FOUND,
                        "%s has no chat template (" CHAT_JINJA ", or chat_template in " INK_TOKENIZER_CONFIG_FILE
                        "), and model_type '%s' does not say which of these it speaks: %s",
                        r->source->name != NULL ? r->source->name : "the folder", model_type, list);
    *standard = chosen;
    r->draft.name = standards[chosen].name;
    r->draft.text = standards[chosen].text;
    r->draft.size = strlen(standards[chosen].text);
    return INK_OK;
}

/* ---- JSON as values of a template ------------------------------------------------------------------------------- */

static ink_result json_number(ink_context *ctx, const ink_json_document *json, const ink_json_node *node,
                              ink_jinja_value *value)
{
    bool negative = node->string[0] == '-';
    uint64_t digits;
    if (strpbrk(node->string, ".eE") != NULL) {
        *value = ink_jinja_float(ink_decimal(node->string, node->string_size));
        return INK_OK;
    }
    ink_digits(node->string + negative, node->string_size - negative, &digits);
    if (digits > INT64_MAX)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: the number %.*s is beyond 64 bits", json->file,
                        (int)ink_size_min(node->string_size, 40), node->string);
    *value = ink_jinja_int(negative ? -(int64_t)digits : (int64_t)digits);
    return INK_OK;
}

/* An ink_chat_read_json. Nodes are in the order of the text, so from the last to the first the children of a node are
   there before the node. */
static ink_result read_json_values(ink_jinja *run, ink_arena *arena, const char *what, const char *text, bool array,
                                   ink_jinja_value *value)
{
    ink_context *ctx = run->ctx;
    ink_json_document json = {0};
    INK_TRY(ink_json_parse(ctx, arena, what, text, strlen(text), 0, INK_LIMIT(ctx, settings_bytes), &json));
    if (json.nodes[0].kind != (array ? INK_JSON_ARRAY : INK_JSON_OBJECT))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: expected a JSON %s", what, array ? "array" : "object");
    ink_jinja_value *values, *items;
    INK_TRY(ink_jinja_new_values(run, json.n_nodes, &values));
    for (size_t i = json.n_nodes; i-- > 0;) {
        const ink_json_node *node = &json.nodes[i];
        size_t n = 0;
        switch (node->kind) {
        case INK_JSON_NULL:
            values[i] = ink_jinja_none();
            break;
        case INK_JSON_FALSE:
        case INK_JSON_TRUE:
            values[i] = ink_jinja_bool(node->kind == INK_JSON_TRUE);
            break;
        case INK_JSON_NUMBER:
            INK_TRY(json_number(ctx, &json, node, &values[i]));
            break;
        case INK_JSON_STRING:
            INK_TRY(ink_jinja_new_text(run, node->string, node->string_size, true, &values[i]));
            break;
        case INK_JSON_ARRAY:
            INK_TRY(ink_jinja_new_values(run, node->n_children, &items));
            for (ink_json k = ink_json_first(&json, (ink_json)i); k != INK_JSON_NONE; k = ink_json_next(&json, k))
                items[n++] = values[k];
            INK_TRY(ink_jinja_new_list(run, INK_JINJA_LIST, items, n, &values[i]));
            break;
        case INK_JSON_OBJECT: /* no key is there twice */
            INK_TRY(ink_jinja_new_dict(run, INK_JINJA_DICT, node->n_children, &values[i]));
            items = values[i].dict->pairs;
            for (ink_json k = ink_json_first(&json, (ink_json)i); k != INK_JSON_NONE; k = ink_json_next(&json, k)) {
                INK_TRY(ink_jinja_new_text(run, json.nodes[k].key, json.nodes[k].key_size, true, &items[2 * n]));
                items[2 * n++ + 1] = values[k];
            }
            values[i].dict->n = n;
            break;
        }
    }
    *value = values[0];
    return INK_OK;
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* The variables for control tokens: those that the files of a folder name. Those that the tokenizer itself has are
   taken from a GGUF file, and where a standard template needs BOS and EOS. */
static ink_result name_tokens(chat_reader *r, size_t standard)
{
    static const char *const names[INK_N_CONTROLS] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                      "pad_token", "cls_token", "mask_token"};
    ink_chat_draft *draft = &r->draft;
    draft->eos = ink_tokenizer_control(draft->tokenizer, INK_CONTROL_EOS);
    if (r->gguf == NULL)
        INK_TRY(ink_tokenizer_config_class(&r->config, r->arena, r->source));
    for (int i = 0; i < INK_N_CONTROLS; i++) {
        ink_named_token named = {0};
        if (r->gguf == NULL)
            INK_TRY(ink_tokenizer_config_token(&r->config, (ink_control)i, &named));
        ink_chat_token token = {names[i], named.text, named.size};
        ink_token id = ink_tokenizer_control(draft->tokenizer, (ink_control)i);
        if (token.size == 0 && (r->gguf != NULL || standard < N_STANDARDS) && id >= 0)
            token.text = ink_tokenizer_token(draft->tokenizer, id, &token.size);
        if (token.text != NULL && token.size > 0)
            draft->tokens[draft->n_tokens++] = token;
        else if (standard < N_STANDARDS && i <= INK_CONTROL_EOS &&
                 (i == INK_CONTROL_BOS ? standards[standard].needs_bos : standards[standard].needs_eos))
            return ink_fail(r->ctx, INK_ERROR_MISMATCH,
                            "the chat template %s needs the token %s, and the tokenizer has none",
                            standards[standard].name, i == INK_CONTROL_BOS ? "BOS" : "EOS");
        if (i == INK_CONTROL_EOS && draft->eos < 0 && token.size > 0)
            draft->eos = ink_tokenizer_find(draft->tokenizer, token.text, token.size);
    }
    return INK_OK;
}

static ink_result read_chat(chat_reader *r)
{
    const ink_chat_options *options = r->options;
    size_t standard = N_STANDARDS;
    if (r->gguf == NULL)
        INK_TRY(ink_tokenizer_config_open(r->ctx, r->arena, r->source, &r->config));
    if (options->template_text != NULL) {
        r->draft.name = options->template_name != NULL ? options->template_name : "template_text";
        r->draft.text = options->template_text;
        r->draft.size = options->template_size;
    } else if (options->standard == NULL) {
        INK_TRY(r->gguf != NULL ? read_gguf_template(r)
                                : ink_chat_template_read(&r->config, r->arena, r->source, &r->draft));
        if (r->draft.name != NULL && r->draft.text == NULL)
            return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "%s: none of the chat templates is named 'default'",
                            r->draft.name);
    }
    if (r->draft.name == NULL)
        INK_TRY(choose_standard(r, &standard));
    return name_tokens(r, standard);
}

ink_result ink_chat_open(ink_context *ctx, const char *folder, const ink_tokenizer *tokenizer,
                         const ink_chat_options *options, ink_chat **chat)
{
    static const ink_chat_options defaults;
    INK_REQUIRE(ctx, chat);
    *chat = NULL;
    INK_REQUIRE(ctx, tokenizer);
    if (options == NULL)
        options = &defaults;
    if (options->source == NULL)
        INK_REQUIRE(ctx, folder);
    const ink_model_place place = ink_model_place_find(ctx, folder, options->source);
    ink_source source = place.source;
    if (folder != NULL)
        source.name = folder;

    ink_weights *weights = NULL;
    ink_arena arena;
    ink_arena_grow(&arena, &ctx->allocator);
    chat_reader r = {.ctx = ctx, .arena = &arena, .source = &source, .options = options, .draft.tokenizer = tokenizer};
    ink_result result = INK_OK;
    if (place.gguf != NULL)
        result = ink_weights_open_source(ctx, &place.source, place.gguf, &weights);
    r.gguf = weights != NULL ? ink_weights_gguf(weights) : NULL;
    if (weights != NULL && r.gguf == NULL)
        result = ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s: this is no GGUF file", place.gguf);
    if (result == INK_OK)
        result = read_chat(&r);
    if (result == INK_OK) {
        r.draft.date = options->date;
        r.draft.read_json = read_json_values;
        result = ink_chat_create(ctx, &r.draft, chat);
    }
    ink_weights_free(weights);
    ink_arena_free(&arena);
    return result;
}
