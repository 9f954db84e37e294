/*
 * chat_template.c - the chat template of a folder: where it is kept, and which chat format it writes.
 *
 *     chat_template.jinja, or chat_template in tokenizer_config.json: a text, or a list of texts with names
 *
 * A template is a program in Jinja. Two programs that write the same text differ in spaces, quotes and the spelling of
 * members, and in what they do about tools; the expression that writes a user's message is what they have in common. It
 * is looked for in a squeezed copy of the template. A template that writes messages otherwise is refused by name.
 *
 * Templates of one format also differ in a system text of their own, the date, an empty thought. These are read from
 * the template too, so a model is told nothing that its own template would not say.
 */
#include <string.h>

#include "../text/chat_format.h"
#include "tokenizer_config.h"

#define CHAT_JINJA "chat_template.jinja"
#define CHAT_OLD_DATE "26 Jul 2024" /* the date that templates themselves have if nobody tells them */

/* How the templates of a format are recognised. */
static const struct {
    const char *format;
    const char *model_types;    /* that speak so, for folders without a template; NULL: none */
    const char *also;           /* a squeezed template has this; NULL: no matter */
    const char *expressions[3]; /* and one of these */
} recognised[] = {
    {"chatml",
     "qwen2 qwen3 llama",
     NULL,
     {"'<|im_start|>'+message.role+'\\n'+message.content+'<|im_end|>\\n'",
      "'<|im_start|>'+message.role+'\\n'+content+'<|im_end|>\\n'",
      "'<|im_start|>'+message.role+'\\n'+message.content}}"}},
    {"llama-3",
     "llama",
     NULL,
     {"'<|start_header_id|>'+message.role+'<|end_header_id|>\\n\\n'+message.content|trim+'<|eot_id|>'"}},
    {"llama-2",
     NULL,
     "'<<SYS>>\\n'+system_message+'\\n<</SYS>>\\n\\n'",
     {"bos_token+'[INST] '+content.strip()+' [/INST]'", "bos_token+'[INST] '+content|trim+' [/INST]'"}},
    {"mistral-v0", NULL, "{{message.content+eos_token}}", {"'[INST] '+message.content+' [/INST]'"}},
    {"mistral-v1", NULL, NULL, {"' [INST] '+message.content+' [/INST]'"}},
    {"mistral-v3", "mistral", NULL, {"'[INST] '+message.content+'[/INST]'"}},
    {"zephyr", NULL, NULL, {"'<|user|>\\n'+message.content+eos_token"}},
};

#define N_RECOGNISED (sizeof recognised / sizeof recognised[0])

/* ---- squeezing -------------------------------------------------------------------------------------------------- */

/* Whether the text ends so. */
static bool ends_with(const char *begin, const char *end, const char *what)
{
    size_t size = strlen(what);
    return (size_t)(end - begin) >= size && memcmp(end - size, what, size) == 0;
}

/* A string of the template, up to its quote, with 'single' quotes around it. */
static const char *squeeze_string(const char *at, const char *stop, const char *begin, char **out)
{
    char quote = *at++;
    if (ends_with(begin, *out, "'+"))
        *out -= 2; /* 'a'+'b' is 'ab' */
    else
        *(*out)++ = '\'';
    for (; at < stop && *at != quote; at++) {
        if (*at == '\'' || *at == '\n') /* in "double" quotes, and a newline as it is */
            *(*out)++ = '\\';
        *(*out)++ = *at == '\n' ? 'n' : *at;
        if (*at == '\\' && at + 1 < stop)
            *(*out)++ = *++at;
    }
    *(*out)++ = '\'';
    return at < stop ? at + 1 : stop;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* ['name'] at the end of the output becomes .name. */
static void squeeze_member(const char *begin, char **out)
{
    char *end = *out, *name = end;
    if (!ends_with(begin, end, "']"))
        return;
    for (name = end - 2; name > begin && is_name(name[-1]);)
        name--;
    if (!ends_with(begin, name, "['") || name - 2 == begin || !is_name(name[-3]))
        return;
    size_t size = (size_t)(end - 2 - name);
    memmove(name - 1, name, size);
    name[-2] = '.';
    *out = name - 1 + size;
}

/* A template without its differences in spelling: in its tags no spaces, 'single' quotes, message.content for
   message["content"], and one string for two that are joined. Writes at most 2 size + 1 bytes to `squeezed`. */
static void squeeze(const char *text, size_t size, char *squeezed)
{
    const char *at = text, *stop = text + size;
    char *out = squeezed;
    bool tag = false; /* inside of {{ }} or {% %} */
    while (at < stop) {
        bool pair = at + 1 < stop;
        if (!tag) {
            tag = pair && at[0] == '{' && (at[1] == '{' || at[1] == '%');
            if (tag)
                *out++ = *at++;
            *out++ = *at++;
        } else if (*at == '\'' || *at == '"') {
            at = squeeze_string(at, stop, squeezed, &out);
        } else if (pair && at[1] == '}' && (*at == '}' || *at == '%')) {
            *out++ = *at++;
            *out++ = *at++;
            tag = false;
        } else if (*at == ' ' || (*at >= '\t' && *at <= '\r') ||
                   (*at == '-' && (at[-1] == '{' || at[-1] == '%' || (pair && (at[1] == '}' || at[1] == '%'))))) {
            at++; /* {{- and -}} only drop the white space beside them */
        } else {
            *out++ = *at++;
            squeeze_member(squeezed, &out);
        }
    }
    *out = '\0';
}

/* ---- the template ----------------------------------------------------------------------------------------------- */

typedef struct chat_reader {
    ink_context *ctx;
    ink_arena *arena; /* growing */
    const ink_source *source;
    const ink_chat_options *options;
    const char *file; /* where the template is; NULL: there is none */
    char *squeezed;   /* the template; "" if there is none */
    ink_chat draft;
} chat_reader;

static char *chat_alloc(chat_reader *r, size_t size)
{
    char *text = ink_arena_alloc(r->arena, size, 1);
    if (text == NULL)
        ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: the chat template");
    return text;
}

/* The member chat_template of the settings; of a list of templates the one named "default". */
static ink_result find_template(chat_reader *r, const ink_json_document *json, ink_json node, const char **text,
                                size_t *size)
{
    if (json->nodes[node].kind != INK_JSON_ARRAY)
        return ink_json_get_string(r->ctx, json, node, text, size);
    for (ink_json i = ink_json_first(json, node); i != INK_JSON_NONE; i = ink_json_next(json, i)) {
        const char *name = "";
        INK_TRY(ink_json_expect(r->ctx, json, i, INK_JSON_OBJECT));
        INK_TRY(ink_json_read_string(r->ctx, json, i, "name", &name));
        if (strcmp(name, "default") != 0)
            continue;
        INK_TRY(ink_json_require(r->ctx, json, i, "template", &node));
        return ink_json_get_string(r->ctx, json, node, text, size);
    }
    return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                    INK_TOKENIZER_CONFIG_FILE ": none of the chat templates is named 'default'");
}

static ink_result chat_read_template(chat_reader *r)
{
    ink_tokenizer_config config;
    const char *text = "";
    size_t size = 0, room;
    INK_TRY(ink_tokenizer_config_open(r->ctx, r->arena, r->source, &config));
    ink_result result =
        ink_file_read_all(r->ctx, r->source, CHAT_JINJA, INK_LIMIT(r->ctx, settings_bytes), r->arena, &text, &size);
    ink_json node = ink_tokenizer_config_member(&config, "chat_template");
    if (!ink_is_missing(r->ctx, result)) {
        INK_TRY(result);
        r->file = CHAT_JINJA;
    } else if (node != INK_JSON_NONE) {
        INK_TRY(find_template(r, &config.settings, node, &text, &size));
        r->file = INK_TOKENIZER_CONFIG_FILE;
    }
    r->squeezed = ink_size_mul(size, 2, &room) && ink_size_add(room, 1, &room) ? chat_alloc(r, room) : NULL;
    if (r->squeezed == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: the chat template");
    squeeze(text, size, r->squeezed);
    return INK_OK;
}

/* ---- the format ------------------------------------------------------------------------------------------------- */

static bool has_tokens(const ink_chat_format_row *format, const ink_tokenizer *tokenizer)
{
    for (size_t i = 0; i < 3 && format->tokens[i] != NULL; i++)
        if (ink_tokenizer_find(tokenizer, format->tokens[i], strlen(format->tokens[i])) < 0)
            return false;
    return true;
}

/* The format that the options name; or that the template writes; or that models of this type speak, if the tokenizer
   has the tokens for it. */
static ink_result choose_format(chat_reader *r)
{
    const char *asked = r->options->format, *model_type = "";
    const ink_chat_format_row *format = NULL;
    char list[128] = "";
    size_t used = 0;
    for (size_t i = 0; ink_chat_format_name(i) != NULL; i++)
        used += ink_format(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", ink_chat_format_name(i));
    if (asked == NULL && r->file == NULL) {
        ink_json_document config = {0};
        ink_result result =
            ink_json_open(r->ctx, r->arena, r->source, "config.json", INK_LIMIT(r->ctx, settings_bytes), &config);
        if (result == INK_OK)
            result = ink_json_read_string(r->ctx, &config, 0, "model_type", &model_type);
        if (!ink_is_missing(r->ctx, result))
            INK_TRY(result);
    }
    if (asked != NULL)
        format = ink_chat_format_named(asked);
    for (size_t i = 0; i < N_RECOGNISED && asked == NULL && format == NULL; i++) {
        const ink_chat_format_row *candidate = ink_chat_format_named(recognised[i].format);
        if (r->file == NULL && ink_is_listed(recognised[i].model_types, model_type, strlen(model_type)) &&
            has_tokens(candidate, r->draft.tokenizer))
            format = candidate;
        for (size_t k = 0; k < 3 && r->file != NULL && recognised[i].expressions[k] != NULL; k++)
            if (strstr(r->squeezed, recognised[i].expressions[k]) != NULL &&
                (recognised[i].also == NULL || strstr(r->squeezed, recognised[i].also) != NULL))
                format = candidate;
    }
    r->draft.format = format;
    if (format != NULL)
        return INK_OK;
    if (asked != NULL)
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "chat format '%s' is none of those there are: %s", asked, list);
    if (r->file != NULL)
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: the chat template writes messages in none of the formats that are known here: %s", r->file,
                        list);
    return ink_fail(r->ctx, INK_ERROR_NOT_FOUND,
                    "%s has no chat template (" CHAT_JINJA ", or chat_template in " INK_TOKENIZER_CONFIG_FILE
                    "), and model_type '%s' does not say which of these it speaks: %s",
                    r->source->name != NULL ? r->source->name : "", model_type, list);
}

/* ---- differences between templates of one format ---------------------------------------------------------------- */

/* A text with its newlines written as in a template. */
static void escape(const char *text, char *escaped)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            *escaped++ = '\\';
        *escaped++ = *text == '\n' ? 'n' : *text;
    }
    *escaped = '\0';
}

/* The text of a string up to `end`, or 0 if the string ends before that. */
static size_t unescape(const char *at, const char *end, char *text)
{
    size_t n = 0;
    for (; strncmp(at, end, strlen(end)) != 0; at++) {
        if (*at == '\0' || *at == '\'')
            return 0;
        if (*at == '\\')
            at++;
        if (*at == '\0')
            return 0;
        text[n++] = at[-1] == '\\' && *at == 'n' ? '\n' : *at;
    }
    return n;
}

/* The system text that a squeezed template itself has, in `text` [strlen(squeezed)]: its length, 0 if it has none. */
static size_t own_system(const ink_chat_format_row *format, const char *squeezed, char *text)
{
    char before[64], after[64];
    size_t size = 0;
    if (format->joins)
        return 0;
    escape(format->before[INK_ROLE_SYSTEM], before);
    escape(format->after[INK_ROLE_SYSTEM], after);
    for (const char *at = strstr(squeezed, before); at != NULL && size == 0; at = strstr(at + 1, before))
        size = unescape(at + strlen(before), after, text);
    return size;
}

static ink_result read_chat(chat_reader *r)
{
    ink_chat *draft = &r->draft;
    INK_TRY(chat_read_template(r));
    INK_TRY(choose_format(r));
    char *system = chat_alloc(r, strlen(r->squeezed) + 1);
    if (system == NULL)
        return INK_ERROR_MEMORY;
    bool takes_turns = strstr(draft->format->before[INK_ROLE_USER], "{bos}") != NULL;
    draft->begins = draft->format->begins || (strstr(r->squeezed, "bos_token") != NULL && !takes_turns);
    draft->dated = strstr(r->squeezed, "Cutting Knowledge Date: December 2023\\n") != NULL;
    draft->date = CHAT_OLD_DATE;
    if (strstr(r->squeezed, "strftime_now") != NULL && r->options->date != NULL)
        draft->date = r->options->date;
    draft->thinks = strstr(r->squeezed, "enable_thinking") != NULL;
    draft->ask_more = draft->thinks && !r->options->think ? "<think>\n\n</think>\n\n" : "";
    if (strstr(r->squeezed, "assistant\\n<think>\\n'") != NULL)
        draft->ask_more = "<think>\n";
    draft->system = system;
    draft->system_size = own_system(draft->format, r->squeezed, system);
    return INK_OK;
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
    ink_source source = options->source != NULL ? *options->source : ink_source_folder(folder);
    if (folder != NULL)
        source.name = folder;

    ink_arena arena;
    ink_arena_grow(&arena, &ctx->allocator);
    chat_reader r = {.ctx = ctx, .arena = &arena, .source = &source, .options = options, .draft.tokenizer = tokenizer};
    ink_result result = read_chat(&r);
    if (result == INK_OK)
        result = ink_chat_create(ctx, &r.draft, chat);
    ink_arena_free(&arena);
    return result;
}
