/*
 * chat_open.c - the chat template of a folder: where it is kept, and what this library makes of it.
 *
 *     chat_template.jinja, or chat_template in tokenizer_config.json: a text, or a list of texts with names
 *
 * The parts of a template that differ between models of one format, its own system text, the date, an empty thought,
 * are taken from the template too, so that nothing is said to a model that its own template would not say.
 */
#include <string.h>

#include "../formats/json.h"
#include "../text/chat.h"

#define SETTINGS "tokenizer_config.json"
#define JINJA "chat_template.jinja"
#define MAX_FILE_BYTES ((size_t)64 << 20)
#define OLD_DATE "26 Jul 2024" /* the date that templates themselves have if nobody tells them */

/* What the reading of a folder finds. */
typedef struct reader {
    ink_context *ctx;
    ink_arena *arena; /* growing */
    const ink_source *source;
    const ink_chat_options *options;
    ink_json_document settings; /* of tokenizer_config.json; no nodes: there is none */
    const char *file;           /* where the template is, NULL: there is none */
    char *squeezed;             /* the template; "" if there is none */
    ink_chat chat;
} reader;

static ink_result no_memory(reader *r)
{
    return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: the chat template");
}

/* ---- the template ----------------------------------------------------------------------------------------------- */

static ink_result take_template(reader *r, const char *file, const char *text, size_t size)
{
    size_t room;
    if (!ink_size_mul(size, 2, &room) || !ink_size_add(room, 1, &room))
        return no_memory(r);
    r->squeezed = ink_arena_alloc(r->arena, room, 1);
    if (r->squeezed == NULL)
        return no_memory(r);
    ink_chat_squeeze(text, size, r->squeezed);
    r->file = file;
    return INK_OK;
}

/* Of a list of templates the one named "default". */
static ink_result take_default(reader *r, ink_json list)
{
    const ink_json_document *json = &r->settings;
    for (ink_json i = ink_json_first(json, list); i != INK_JSON_NONE; i = ink_json_next(json, i)) {
        const char *name = "", *text = NULL;
        size_t size = 0;
        ink_json template;
        INK_TRY(ink_json_expect(r->ctx, json, i, INK_JSON_OBJECT));
        INK_TRY(ink_json_read_string(r->ctx, json, i, "name", &name));
        if (strcmp(name, "default") != 0)
            continue;
        INK_TRY(ink_json_require(r->ctx, json, i, "template", &template));
        INK_TRY(ink_json_get_string(r->ctx, json, template, &text, &size));
        return take_template(r, SETTINGS, text, size);
    }
    return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, SETTINGS ": none of the chat templates is named 'default'");
}

static ink_result read_template(reader *r)
{
    const char *text = NULL;
    size_t size = 0;
    ink_result result = ink_file_read_all(r->ctx, r->source, JINJA, MAX_FILE_BYTES, r->arena, &text, &size);
    if (!ink_is_missing(r->ctx, result)) {
        INK_TRY(result);
        return take_template(r, JINJA, text, size);
    }
    ink_json node = r->settings.n_nodes > 0 ? ink_json_member(&r->settings, 0, "chat_template") : INK_JSON_NONE;
    if (node == INK_JSON_NONE)
        return INK_OK;
    if (r->settings.nodes[node].kind == INK_JSON_ARRAY)
        return take_default(r, node);
    INK_TRY(ink_json_get_string(r->ctx, &r->settings, node, &text, &size));
    return take_template(r, SETTINGS, text, size);
}

/* ---- the format ------------------------------------------------------------------------------------------------- */

static ink_result read_model_type(reader *r, const char **model_type)
{
    ink_json_document config = {0};
    ink_result result = ink_json_open(r->ctx, r->arena, r->source, "config.json", MAX_FILE_BYTES, &config);
    *model_type = "";
    if (result == INK_OK)
        result = ink_json_read_string(r->ctx, &config, 0, "model_type", model_type);
    return ink_is_missing(r->ctx, result) ? INK_OK : result;
}

static ink_result choose_format(reader *r)
{
    const char *asked = r->options->format, *model_type, *name = r->source->name != NULL ? r->source->name : "";
    char list[128];
    ink_chat_format_list(list, sizeof list);
    if (asked != NULL) {
        r->chat.format = ink_chat_format_named(asked);
        return r->chat.format != NULL ? INK_OK
                                      : ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                                                 "chat format '%s' is none of those there are: %s", asked, list);
    }
    if (r->file != NULL) {
        r->chat.format = ink_chat_recognise(r->squeezed);
        return r->chat.format != NULL
                   ? INK_OK
                   : ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                              "%s: the chat template writes messages in none of the formats that are known here: %s",
                              r->file, list);
    }
    INK_TRY(read_model_type(r, &model_type));
    r->chat.format = ink_chat_format_of(model_type, r->chat.tokenizer);
    if (r->chat.format != NULL)
        return INK_OK;
    return ink_fail(r->ctx, INK_ERROR_NOT_FOUND,
                    "%s has no chat template (" JINJA ", or chat_template in " SETTINGS
                    "), and model_type '%s' does not say which of these it speaks: %s",
                    name, model_type, list);
}

/* ---- the tokens ------------------------------------------------------------------------------------------------- */

static ink_token find(const reader *r, const char *text)
{
    return ink_tokenizer_find(r->chat.tokenizer, text, strlen(text));
}

static ink_result lacks(reader *r, const char *token)
{
    return ink_fail(r->ctx, INK_ERROR_MISMATCH, "chat format %s needs the token %s, and the tokenizer has none",
                    r->chat.format->name, token);
}

static ink_result find_tokens(reader *r)
{
    ink_chat *chat = &r->chat;
    const ink_chat_format_row *format = chat->format;
    chat->bos = ink_tokenizer_control(chat->tokenizer, INK_CONTROL_BOS);
    chat->eos = ink_tokenizer_control(chat->tokenizer, INK_CONTROL_EOS);
    for (size_t i = 0; i < 3 && format->tokens[i] != NULL; i++)
        if (find(r, format->tokens[i]) < 0)
            return lacks(r, format->tokens[i]);
    bool spells_bos = chat->begins || strstr(format->before[INK_ROLE_USER], "{bos}") != NULL;
    if (spells_bos && chat->bos < 0)
        return lacks(r, "BOS");
    bool spells_eos = strncmp(format->end, "{eos}", 5) == 0;
    if (spells_eos && chat->eos < 0)
        return lacks(r, "EOS");
    chat->stop = chat->eos;
    for (size_t i = 0; !spells_eos && i < 3 && format->tokens[i] != NULL; i++)
        if (strncmp(format->end, format->tokens[i], strlen(format->tokens[i])) == 0)
            chat->stop = find(r, format->tokens[i]);
    return INK_OK;
}

/* ---- what the template says beside the format ------------------------------------------------------------------- */

static bool says(const reader *r, const char *what) { return strstr(r->squeezed, what) != NULL; }

static ink_result read_details(reader *r)
{
    ink_chat *chat = &r->chat;
    bool takes_turns = strstr(chat->format->before[INK_ROLE_USER], "{bos}") != NULL;
    chat->begins = chat->format->begins || (says(r, "bos_token") && !takes_turns);
    chat->dated = says(r, "Cutting Knowledge Date: December 2023\\n");
    chat->date = OLD_DATE;
    if (says(r, "strftime_now") && r->options->date != NULL)
        chat->date = r->options->date;
    chat->thinks = says(r, "enable_thinking");
    chat->ask_more = chat->thinks && !r->options->think ? "<think>\n\n</think>\n\n" : "";
    if (says(r, "assistant\\n<think>\\n'"))
        chat->ask_more = "<think>\n";
    char *system = ink_arena_alloc(r->arena, strlen(r->squeezed) + 1, 1);
    if (system == NULL)
        return no_memory(r);
    chat->system = system;
    chat->system_size = ink_chat_own_system(chat->format, r->squeezed, system);
    return INK_OK;
}

static ink_result read_chat(reader *r)
{
    r->squeezed = ink_arena_alloc(r->arena, 1, 1);
    if (r->squeezed == NULL)
        return no_memory(r);
    r->squeezed[0] = '\0';
    ink_result result = ink_json_open(r->ctx, r->arena, r->source, SETTINGS, MAX_FILE_BYTES, &r->settings);
    if (result != INK_OK && !ink_is_missing(r->ctx, result))
        return result;
    INK_TRY(read_template(r));
    INK_TRY(choose_format(r));
    INK_TRY(read_details(r));
    return find_tokens(r);
}

/* ---- the object ------------------------------------------------------------------------------------------------- */

static ink_result build(void *args, ink_arena *arena, void **object)
{
    const ink_chat *draft = args;
    size_t date_size = strlen(draft->date) + 1;
    ink_chat *chat = ink_arena_alloc(arena, 1, sizeof *chat);
    char *date = ink_arena_alloc(arena, date_size, 1);
    char *system = ink_arena_alloc(arena, draft->system_size, 1);
    if (chat == NULL || ink_arena_failed(arena))
        return INK_OK; /* measuring, or the caller sees that the arena failed */
    *chat = *draft;
    chat->date = memcpy(date, draft->date, date_size);
    chat->system = memcpy(system, draft->system, draft->system_size);
    *object = chat;
    return INK_OK;
}

ink_result ink_chat_open(ink_context *ctx, const char *folder, const ink_tokenizer *tokenizer,
                         const ink_chat_options *options, ink_chat **chat)
{
    static const ink_chat_options defaults;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, chat);
    *chat = NULL;
    INK_REQUIRE(ctx, tokenizer);
    if (options == NULL)
        options = &defaults;
    if (options->source == NULL)
        INK_REQUIRE(ctx, folder);
    ink_source source = options->source != NULL ? *options->source : ink_source_folder(folder);
    if (folder != NULL)
        source.name = folder;

    ink_arena arena;
    void *object = NULL;
    ink_arena_grow(&arena, &ctx->allocator);
    reader r = {.ctx = ctx, .arena = &arena, .source = &source, .options = options, .chat.tokenizer = tokenizer};
    ink_result result = read_chat(&r);
    if (result == INK_OK)
        result = ink_object_create(ctx, "the chat template", build, &r.chat, 0, &object);
    ink_arena_free(&arena);
    *chat = object;
    return result;
}

void ink_chat_free(ink_chat *chat) { ink_object_free(chat); }

const char *ink_chat_format(const ink_chat *chat) { return chat != NULL ? chat->format->name : NULL; }

bool ink_chat_ends(const ink_chat *chat, ink_token id) { return id >= 0 && (id == chat->stop || id == chat->eos); }
