/*
 * chat_template.c - the chat template of a folder: where it is kept, and which chat format it writes.
 *
 *     chat_template.jinja, or chat_template in tokenizer_config.json: a text, or a list of texts with names
 *
 * A template is a program in Jinja. It is not run here, it is recognised: a template is brought into a form in which
 * differences of spelling are gone, and the fingerprint of this form is looked up in a table of published templates.
 * The whole template counts. One that differs anywhere else may write something else, so it is refused.
 *
 * One part may vary: the system text that a ChatML template has for conversations without one. It is cut out before the
 * fingerprint is taken, and read, so a model is told nothing that its own template would not say.
 *
 * To add a template: open a folder with it, take the fingerprint from the sentence that refuses it, add a row, and
 * compare its ids with those of transformers (make_chat.py --check in tests/fixtures).
 */
#include <string.h>

#include "../text/chat_format.h"
#include "tokenizer_config.h"

#define CHAT_JINJA "chat_template.jinja"
#define CHAT_OLD_DATE "26 Jul 2024" /* the date that templates themselves have if nobody tells them */

/* How templates of one format differ, besides their system text. */
enum {
    BOS = 1,    /* the conversation begins with BOS, which is not part of the format */
    DATED = 2,  /* the system text begins with a date */
    TODAY = 4,  /* the date is today's, if the template is told */
    THINKS = 8, /* thoughts are taken out of earlier answers, and the model may be told not to think */
    ALWAYS_THINKS = 16
};

static const struct {
    uint64_t fingerprint;
    const char *format;
    unsigned flags;
} templates[] = {
    {UINT64_C(10396748486624460687), "chatml", 0},    /* ChatML as transformers had it for models without a template */
    {UINT64_C(13096133084681799613), "chatml", 0},    /* Dolphin: the same, with a default for add_generation_prompt */
    {UINT64_C(14972141463608053282), "chatml", 0},    /* Qwen2, SmolLM2 */
    {UINT64_C(12659379707917987890), "chatml", 0},    /* the same with that default */
    {UINT64_C(4427687093305029277), "chatml", BOS},   /* BOS before the first */
    {UINT64_C(15797341315848733587), "chatml", BOS},  /* before the second */
    {UINT64_C(18056656276827940781), "chatml", BOS},  /* before the third */
    {UINT64_C(15168795771309686559), "chatml", 0},    /* Qwen2.5 without its tools */
    {UINT64_C(15871244629508530995), "chatml", 0},    /* Qwen2.5 */
    {UINT64_C(358038127345445995), "chatml", THINKS}, /* Qwen3 without its tools */
    {UINT64_C(12827299951533367291), "chatml", THINKS},       /* Qwen3 */
    {UINT64_C(1855007058492121131), "chatml", ALWAYS_THINKS}, /* QwQ */
    {UINT64_C(6685844159172459955), "llama-3", 0},            /* Llama 3 */
    {UINT64_C(18329518402164286229), "llama-3", 0},     /* Llama 3 as first published: it always asks for an answer */
    {UINT64_C(9939274311971746725), "llama-3", 0},      /* Llama 3 as published later */
    {UINT64_C(15913202298864450600), "llama-3", DATED}, /* Llama 3.1 without its tools */
    {UINT64_C(4875665280681263145), "llama-3", DATED},  /* Llama 3.1, 3.3 */
    {UINT64_C(75284136476597364), "llama-3", DATED | TODAY},   /* Llama 3.2 without its tools */
    {UINT64_C(4778721497884331027), "llama-3", DATED | TODAY}, /* Llama 3.2 */
    {UINT64_C(17515022688348841218), "llama-2", 0},            /* Llama 2 without its check of the order */
    {UINT64_C(7488319169412687677), "llama-2", 0},             /* Llama 2 */
    {UINT64_C(7494619544520488465), "llama-2", 0},             /* Llama 2 with trim */
    {UINT64_C(13245778125008353975), "llama-2", 0},            /* CodeLlama */
    {UINT64_C(16594802049044906597), "mistral-v0", 0},         /* Mistral 0.1 without its check of the order */
    {UINT64_C(10209822587560402269), "mistral-v0", 0},         /* Mistral 0.1, 0.2, Mixtral */
    {UINT64_C(3903361936719943207), "mistral-v1", 0},          /* Mistral 0.2 without its check of the order */
    {UINT64_C(17506331565627857717), "mistral-v1", 0},         /* Mistral 0.2 as published later */
    {UINT64_C(11778915435201908649), "mistral-v3", 0},         /* Mistral 0.3 without its tools */
    {UINT64_C(15922692518492619121), "mistral-v3", 0},         /* Mistral 0.3, Large 2407 */
    {UINT64_C(12302192584520944689), "gemma", 0},              /* Gemma 3 without its pictures and checks */
    {UINT64_C(6974082447019282898), "gemma", 0},               /* Gemma 3 */
    {UINT64_C(13469825341784692421), "zephyr", 0},             /* Zephyr, TinyLlama */
};

/* The formats of models whose folder has no template, if the tokenizer has the format's tokens. */
static const struct {
    const char *format, *model_types;
} usual[] = {
    {"chatml", "qwen2 qwen3 llama"}, {"llama-3", "llama"}, {"mistral-v3", "mistral"}, {"gemma", "gemma3_text"}};

/* ---- the form without differences of spelling ------------------------------------------------------------------- */

/* A template in the making: text outside of tags is a string in {{ }}, what is written one after the other is one sum,
   strings have 'single' quotes and are one where they are joined, members are message.content, and spaces are only
   between names. What the lexer of Jinja drops is dropped, with trim_blocks and lstrip_blocks as transformers sets
   them. */
typedef struct canonical {
    char *begin, *out;
    bool sum; /* the last {{ }} is a sum, to which another may be added */
} canonical;

static void canon_put(canonical *c, const char *text)
{
    while (*text != '\0')
        *c->out++ = *text++;
}

static bool canon_ends(const canonical *c, const char *what)
{
    size_t size = strlen(what);
    return (size_t)(c->out - c->begin) >= size && memcmp(c->out - size, what, size) == 0;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The text of a string or, without a quote, text outside of tags; returns its end. `joins`: it may be one string with
   the one before it. */
static const char *canon_string(canonical *c, const char *at, const char *stop, char quote, bool joins)
{
    if (joins && canon_ends(c, "'+"))
        c->out -= 2; /* 'a'+'b' is 'ab' */
    else
        *c->out++ = '\'';
    for (; at < stop && (quote == '\0' || *at != quote); at++) {
        bool escaped = quote != '\0' && *at == '\\' && at + 1 < stop;
        char is = escaped ? *++at : *at;
        if (escaped ? is != '"' : is == '\\' || is == '\n' || is == '\'')
            *c->out++ = '\\';
        *c->out++ = is == '\n' && !escaped ? 'n' : is;
    }
    *c->out++ = '\'';
    return at < stop ? at + 1 : stop;
}

/* ['name'] at the end of the output becomes .name. */
static void canon_member(canonical *c)
{
    if (!canon_ends(c, "']"))
        return;
    char *end = c->out, *name = end - 2;
    while (name > c->begin && is_name(name[-1]))
        name--;
    if (name - c->begin < 3 || name[-1] != '\'' || name[-2] != '[' || !(is_name(name[-3]) || name[-3] == ']'))
        return;
    size_t size = (size_t)(end - 2 - name);
    memmove(name - 1, name, size);
    name[-2] = '.';
    c->out = name - 1 + size;
}

/* Whether the expression at the head of a text is a sum of strings, members, calls and filters. */
static bool is_sum(const char *at, const char *stop)
{
    for (char quote = '\0'; at < stop; at++) {
        if (quote != '\0') {
            if (*at == '\\')
                at++;
            else if (*at == quote)
                quote = '\0';
        } else if (*at == '\'' || *at == '"') {
            quote = *at;
        } else if (*at == '%' || strchr("<>=~*/!,", *at) != NULL) {
            return false;
        } else if (*at == '}') {
            return true;
        } else if (is_blank(*at) && is_name(at[-1])) {
            while (at + 1 < stop && is_blank(at[1]))
                at++;
            if (at + 1 < stop && is_name(at[1]))
                return false; /* x if y */
        }
    }
    return false;
}

/* The inside of a tag behind its {{ or {%; returns where the text goes on. *cuts: white space after the tag is dropped.
 */
static const char *canon_tag(canonical *c, const char *at, const char *stop, bool *cuts)
{
    const char close = at[-1] == '{' ? '}' : '%';
    bool sum = close == '}' && is_sum(at, stop), blank = false;
    at += at < stop && *at == '-';
    if (sum && c->sum && canon_ends(c, "}}")) {
        c->out -= 2;
        *c->out++ = '+';
    } else {
        canon_put(c, close == '}' ? "{{" : "{%");
    }
    c->sum = sum;
    for (*cuts = false; at < stop;) {
        const bool minus = *at == '-' && stop - at > 2;
        if (stop - at >= (minus ? 3 : 2) && at[minus] == close && at[minus + 1] == '}') {
            canon_put(c, close == '}' ? "}}" : "%}");
            *cuts = minus;
            return at + (minus ? 3 : 2);
        }
        if (is_blank(*at)) {
            blank = true;
            at++;
            continue;
        }
        /* Without the blank they would be one name, one operator or the end of the tag. */
        if (blank && (is_name(*at) ? is_name(c->out[-1]) : strchr("=}", *at) != NULL && strchr("=!<>%}", c->out[-1])))
            *c->out++ = ' ';
        blank = false;
        if (*at == '\'' || *at == '"') {
            const char *end = at + 1;
            while (end < stop && *end != *at)
                end += *end == '\\' ? 2 : 1;
            for (end++; end < stop && is_blank(*end);)
                end++;
            at = canon_string(c, at + 1, stop, *at, end >= stop || strchr(".|[(*/~", *end) == NULL);
        } else {
            *c->out++ = *at++;
            canon_member(c);
        }
    }
    return stop;
}

/* Brings a template into the form. Writes at most 4 size + 16 bytes to `begin`, with a NUL. */
static void canonicalise(const char *at, size_t size, char *begin)
{
    canonical c = {begin, begin, false};
    const char *stop = at + size;
    bool cuts = false, line_start = true;
    if (size > 0 && stop[-1] == '\n')
        stop--; /* Jinja drops the last one */
    while (at < stop) {
        const char *tag = at, *end, *line;
        while (tag < stop && !(*tag == '{' && stop - tag > 1 && strchr("{%#", tag[1]) != NULL))
            tag++;
        bool opens = tag < stop, block = opens && tag[1] != '{', minus = opens && stop - tag > 2 && tag[2] == '-';
        for (end = tag; (minus && end > at && is_blank(end[-1]));)
            end--;
        for (; cuts && at < end && is_blank(*at); at++)
            line_start = *at == '\n';
        for (line = end; block && line > at && (line[-1] == ' ' || line[-1] == '\t');)
            line--;
        if (block && (line > at ? line[-1] == '\n' : line_start))
            end = line;
        if (at < end) {
            bool add = c.sum && canon_ends(&c, "}}");
            c.out -= add ? 2 : 0;
            canon_put(&c, add ? "+" : "{{");
            canon_string(&c, at, end, '\0', true);
            canon_put(&c, "}}");
            c.sum = true;
        }
        if (!opens)
            break;
        at = tag + 2;
        if (tag[1] == '#') {
            const char *comment = at += at < stop && (*at == '-' || *at == '+');
            while (at < stop && !(*at == '#' && stop - at > 1 && at[1] == '}'))
                at++;
            cuts = at > comment && at[-1] == '-';
            if (at == stop || comment[-1] == '+' || (at > comment && at[-1] == '+'))
                canon_put(&c, "{#"); /* without an end; or + keeps the white space around it */
            at = at < stop ? at + 2 : stop;
        } else {
            at = canon_tag(&c, at, stop, &cuts);
        }
        line_start = block && at < stop && *at == '\n';
        at += line_start;
    }
    *c.out = '\0';
}

/* ---- the system text of a template ------------------------------------------------------------------------------ */

#define SYSTEM_BEFORE "<|im_start|>system\\n" /* as it stands in the form */
#define SYSTEM_AFTER "<|im_end|>\\n"
#define SYSTEM_CUT '\1'

/* The first text between the two in one string; NULL: there is none, or it has an escape that is not read here. Looks
   at every byte once. */
static const char *find_system(const char *form, size_t *size)
{
    for (const char *at = strstr(form, SYSTEM_BEFORE), *end; at != NULL; at = strstr(end, SYSTEM_BEFORE)) {
        at += sizeof SYSTEM_BEFORE - 1;
        for (end = at; *end != '\0' && *end != '\''; end += end[0] == '\\' && end[1] != '\0' ? 2 : 1) {
            if (end > at && strncmp(end, SYSTEM_AFTER, sizeof SYSTEM_AFTER - 1) == 0) {
                *size = (size_t)(end - at);
                return at;
            }
            if (*end == '\\' && (end[1] == '\0' || strchr("nt\\'", end[1]) == NULL))
                return NULL; /* \u2019, \r */
        }
    }
    return NULL;
}

/* Reads the system text of a form into `text` [its length], cuts it out wherever it is a system message or a string of
   its own, and returns its size. */
static size_t cut_system(char *form, char *text)
{
    size_t size = 0, n = 0;
    const char *found = find_system(form, &size);
    if (found == NULL)
        return 0;
    canonical c = {form, form, false};
    memcpy(text, found, size);
    for (const char *at = form; *at != '\0';) {
        bool message = canon_ends(&c, SYSTEM_BEFORE), string = canon_ends(&c, "'");
        if ((message || string) && strncmp(at, text, size) == 0 &&
            ((message && strncmp(at + size, SYSTEM_AFTER, sizeof SYSTEM_AFTER - 1) == 0) ||
             (string && at[size] == '\''))) {
            *c.out++ = SYSTEM_CUT;
            at += size;
        } else {
            *c.out++ = *at++;
        }
    }
    *c.out = '\0';
    for (size_t i = 0; i < size; i++) {
        bool escaped = text[i] == '\\';
        i += escaped;
        text[n++] = escaped && text[i] == 'n' ? '\n' : escaped && text[i] == 't' ? '\t' : text[i];
    }
    return n;
}

/* ---- the template ----------------------------------------------------------------------------------------------- */

typedef struct chat_reader {
    ink_context *ctx;
    ink_arena *arena; /* growing */
    const ink_source *source;
    const ink_chat_options *options;
    const char *file;     /* where the template is; NULL: there is none */
    uint64_t fingerprint; /* of the template; 0: there is none */
    unsigned flags;       /* of the template */
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
    if (r->file == NULL)
        return INK_OK;
    if (r->options->format == NULL) {
        ink_named_token bos, eos;
        INK_TRY(ink_tokenizer_config_class(&config, r->arena, r->source));
        INK_TRY(ink_tokenizer_config_token(&config, INK_CONTROL_BOS, &bos));
        INK_TRY(ink_tokenizer_config_token(&config, INK_CONTROL_EOS, &eos));
        r->draft.no_bos = bos.size == 0;
        r->draft.no_eos = eos.size == 0;
    }
    char *form = ink_size_mul(size, 4, &room) && ink_size_add(room, 16, &room) ? chat_alloc(r, room) : NULL;
    char *system = form != NULL ? chat_alloc(r, room) : NULL;
    if (system == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: the chat template");
    /* Jinja reads \r\n and \r as \n. */
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\0' || text[i] == SYSTEM_CUT)
            size = n = 0; /* no template that is known */
        else if (text[i] != '\n' || i == 0 || text[i - 1] != '\r')
            system[n++] = text[i] == '\r' ? '\n' : text[i];
    }
    canonicalise(system, n, form);
    r->draft.system = system;
    r->draft.system_size = cut_system(form, system);
    r->fingerprint = ink_hash(0, form, strlen(form));
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
    for (size_t i = 0; i < sizeof templates / sizeof templates[0] && r->file != NULL; i++)
        if (templates[i].fingerprint == r->fingerprint && (asked == NULL || strcmp(asked, templates[i].format) == 0)) {
            format = ink_chat_format_named(templates[i].format);
            r->flags = templates[i].flags;
        }
    for (size_t i = 0; i < sizeof usual / sizeof usual[0] && asked == NULL && r->file == NULL && format == NULL; i++) {
        const ink_chat_format_row *candidate = ink_chat_format_named(usual[i].format);
        if (ink_is_listed(usual[i].model_types, model_type, strlen(model_type)) &&
            has_tokens(candidate, r->draft.tokenizer))
            format = candidate;
    }
    r->draft.format = format;
    if (format != NULL)
        return INK_OK;
    if (asked != NULL)
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "chat format '%s' is none of those there are: %s", asked, list);
    if (r->file != NULL)
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: the chat template writes messages in none of the formats that are known here: %s (its "
                        "fingerprint is %llu)",
                        r->file, list, (unsigned long long)r->fingerprint);
    return ink_fail(r->ctx, INK_ERROR_NOT_FOUND,
                    "%s has no chat template (" CHAT_JINJA ", or chat_template in " INK_TOKENIZER_CONFIG_FILE
                    "), and model_type '%s' does not say which of these it speaks: %s",
                    r->source->name != NULL ? r->source->name : "the folder", model_type, list);
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static ink_result read_chat(chat_reader *r)
{
    ink_chat *draft = &r->draft;
    INK_TRY(chat_read_template(r));
    INK_TRY(choose_format(r));
    if (strcmp(draft->format->name, "chatml") != 0)
        draft->system_size = 0; /* another format was asked for */
    draft->begins = draft->format->begins || (r->flags & BOS) != 0;
    draft->dated = (r->flags & DATED) != 0;
    draft->date = (r->flags & TODAY) != 0 && r->options->date != NULL ? r->options->date : CHAT_OLD_DATE;
    draft->thinks = (r->flags & (THINKS | ALWAYS_THINKS)) != 0;
    draft->ask_more = (r->flags & ALWAYS_THINKS) != 0                  ? "<think>\n"
                      : (r->flags & THINKS) != 0 && !r->options->think ? "<think>\n\n</think>\n\n"
                                                                       : "";
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
