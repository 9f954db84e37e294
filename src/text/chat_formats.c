/*
 * chat_formats.c - the chat formats there are, and how the template of a folder is recognised as one of them.
 *
 * A template is a program in Jinja. Two programs that write the same text differ in spaces, quotes and the spelling of
 * members, and in what they do about tools; the expression that writes a user's message is what they have in common.
 * It is looked for in a squeezed copy of the template. A template that writes messages otherwise is not recognised,
 * and so is not run wrongly.
 */
#include <string.h>

#include "chat.h"

static const ink_chat_format_row formats[] = {
    {
        .name = "chatml",
        .expressions = {"'<|im_start|>'+message.role+'\\n'+message.content+'<|im_end|>\\n'",
                        "'<|im_start|>'+message.role+'\\n'+content+'<|im_end|>\\n'",
                        "'<|im_start|>'+message.role+'\\n'+message.content}}"},
        .model_types = "qwen2 qwen3 llama",
        .tokens = {"<|im_start|>", "<|im_end|>"},
        .before = {"<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n"},
        .after = {"<|im_end|>\n", "<|im_end|>\n", "<|im_end|>\n"},
        .ask = "<|im_start|>assistant\n",
        .end = "<|im_end|>\n",
    },
    {
        .name = "llama-3",
        .expressions = {"'<|start_header_id|>'+message.role+'<|end_header_id|>\\n\\n'"
                        "+message.content|trim+'<|eot_id|>'"},
        .model_types = "llama",
        .tokens = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
        .before = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|start_header_id|>user<|end_header_id|>\n\n",
                   "<|start_header_id|>assistant<|end_header_id|>\n\n"},
        .after = {"<|eot_id|>", "<|eot_id|>", "<|eot_id|>"},
        .ask = "<|start_header_id|>assistant<|end_header_id|>\n\n",
        .end = "<|eot_id|>",
        .begins = true,
        .trims = true,
    },
    {
        .name = "llama-2",
        .expressions = {"bos_token+'[INST] '+content.strip()+' [/INST]'",
                        "bos_token+'[INST] '+content|trim+' [/INST]'"},
        .also = "'<<SYS>>\\n'+system_message+'\\n<</SYS>>\\n\\n'",
        .before = {"<<SYS>>\n", "{bos}[INST] ", " "},
        .after = {"\n<</SYS>>\n\n", " [/INST]", " {eos}"},
        .ask = "",
        .end = "{eos}",
        .trims = true,
        .joins = true,
    },
    {
        .name = "mistral-v0",
        .expressions = {"'[INST] '+message.content+' [/INST]'"},
        .also = "{{message.content+eos_token}}",
        .before = {"", "[INST] ", ""},
        .after = {"\n\n", " [/INST]", "{eos}"},
        .ask = "",
        .end = "{eos}",
        .begins = true,
        .joins = true,
    },
    {
        .name = "mistral-v1",
        .expressions = {"' [INST] '+message.content+' [/INST]'"},
        .before = {"", " [INST] ", " "},
        .after = {"\n\n", " [/INST]", "{eos}"},
        .ask = "",
        .end = "{eos}",
        .begins = true,
        .joins = true,
    },
    {
        .name = "mistral-v3",
        .expressions = {"'[INST] '+message.content+'[/INST]'"},
        .model_types = "mistral",
        .tokens = {"[INST]", "[/INST]"},
        .before = {"", "[INST] ", " "},
        .after = {"\n\n", "[/INST]", "{eos}"},
        .ask = "",
        .end = "{eos}",
        .begins = true,
        .joins = true,
    },
    {
        .name = "zephyr",
        .expressions = {"'<|user|>\\n'+message.content+eos_token"},
        .before = {"<|system|>\n", "<|user|>\n", "<|assistant|>\n"},
        .after = {"{eos}\n", "{eos}\n", "{eos}\n"},
        .ask = "<|assistant|>\n",
        .end = "{eos}\n",
    },
};

#define N_FORMATS (sizeof formats / sizeof formats[0])

const char *ink_chat_format_name(size_t i) { return i < N_FORMATS ? formats[i].name : NULL; }

const ink_chat_format_row *ink_chat_format_named(const char *name)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

void ink_chat_format_list(char *list, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < N_FORMATS; i++)
        used += ink_format(list + used, size - used, "%s%s", i > 0 ? ", " : "", formats[i].name);
}

/* ---- without a template ----------------------------------------------------------------------------------------- */

/* Whether a word is one of a list with spaces between them. */
static bool lists(const char *words, const char *word)
{
    size_t size = strlen(word);
    while (words != NULL && size > 0 && *words != '\0') {
        const char *space = strchr(words, ' ');
        size_t length = space != NULL ? (size_t)(space - words) : strlen(words);
        if (length == size && memcmp(words, word, size) == 0)
            return true;
        words += length + (space != NULL);
    }
    return false;
}

static bool has_tokens(const ink_chat_format_row *format, const ink_tokenizer *tokenizer)
{
    for (size_t i = 0; i < 3 && format->tokens[i] != NULL; i++)
        if (ink_tokenizer_find(tokenizer, format->tokens[i], strlen(format->tokens[i])) < 0)
            return false;
    return true;
}

const ink_chat_format_row *ink_chat_format_of(const char *model_type, const ink_tokenizer *tokenizer)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (lists(formats[i].model_types, model_type) && has_tokens(&formats[i], tokenizer))
            return &formats[i];
    return NULL;
}

/* ---- with a template -------------------------------------------------------------------------------------------- */

/* Whether the text ends so. */
static bool ends_with(const char *begin, const char *end, const char *what)
{
    size_t size = strlen(what);
    return (size_t)(end - begin) >= size && memcmp(end - size, what, size) == 0;
}

/* What is inside of a string: up to its quote, with 'single' quotes around it. */
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

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* ['name'] at the end of what was written becomes .name. */
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

void ink_chat_squeeze(const char *text, size_t size, char *squeezed)
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
        } else if (is_space(*at) || (*at == '-' && (at[-1] == '{' || at[-1] == '%')) ||
                   (*at == '-' && pair && (at[1] == '}' || at[1] == '%'))) {
            at++; /* {{- and -}} only take white space along */
        } else {
            *out++ = *at++;
            squeeze_member(squeezed, &out);
        }
    }
    *out = '\0';
}

const ink_chat_format_row *ink_chat_recognise(const char *squeezed)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        for (size_t k = 0; k < 3 && formats[i].expressions[k] != NULL; k++)
            if (strstr(squeezed, formats[i].expressions[k]) != NULL &&
                (formats[i].also == NULL || strstr(squeezed, formats[i].also) != NULL))
                return &formats[i];
    return NULL;
}

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

size_t ink_chat_own_system(const ink_chat_format_row *format, const char *squeezed, char *text)
{
    char before[64], after[64];
    if (format->joins)
        return 0;
    escape(format->before[INK_ROLE_SYSTEM], before);
    escape(format->after[INK_ROLE_SYSTEM], after);
    for (const char *at = strstr(squeezed, before); at != NULL; at = strstr(at + 1, before)) {
        size_t size = unescape(at + strlen(before), after, text);
        if (size > 0)
            return size;
    }
    return 0;
}
