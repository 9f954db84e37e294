/*
 * chat.h - chat formats, the inside: a format is a row of texts in which control tokens are spelled out.
 */
#ifndef INK_TEXT_CHAT_H
#define INK_TEXT_CHAT_H

#include <inkling/chat.h>

#include "../base/internal.h"

/* Texts of a format are the library's own: control tokens in them are recognised, and {bos} and {eos} stand for those
   of the folder. */
typedef struct ink_chat_format_row {
    const char *name;
    const char *expressions[3]; /* a squeezed template that has one of these is of this format */
    const char *also;           /* if it has this, too; NULL: no matter */
    const char *model_types;    /* those that speak so, for folders without a template; NULL: none */
    const char *tokens[3];      /* must be tokens of the tokenizer */
    const char *before[3];      /* a message, by role: before its text */
    const char *after[3];       /* and after it */
    const char *ask;            /* what comes before an answer of the model's */
    const char *end;            /* what closes it */
    bool begins;                /* the conversation begins with {bos}; others do if their template says so */
    bool trims;                 /* white space around a text is left out */
    bool joins;                 /* a system text is part of the user's first message, and speakers take turns */
} ink_chat_format_row;

struct ink_chat {
    const ink_chat_format_row *format;
    const ink_tokenizer *tokenizer;
    ink_token bos, eos; /* -1: none */
    ink_token stop;     /* the first of what closes an answer */
    bool begins;
    bool thinks;        /* what an earlier answer thought is left out of its text */
    bool dated;         /* the system text begins with a date */
    const char *date;   /* of a system text that begins with one */
    const char *system; /* [system_size], when the conversation has no system text of its own; NULL: none */
    size_t system_size;
    const char *ask_more; /* after the format's `ask` */
};

/* The format with that name, or NULL. */
const ink_chat_format_row *ink_chat_format_named(const char *name);

/* "chatml, llama-3, ...": what there is, for messages. */
void ink_chat_format_list(char *list, size_t size);

/* The format for a folder without a template, or NULL. */
const ink_chat_format_row *ink_chat_format_of(const char *model_type, const ink_tokenizer *tokenizer);

/*
 * A template without its differences in spelling: in its tags no spaces, 'single' quotes, message.content for
 * message["content"], and one string for two that are joined. Writes at most 2 size + 1 bytes to `squeezed`.
 */
void ink_chat_squeeze(const char *text, size_t size, char *squeezed);

/* The format of a squeezed template, or NULL. */
const ink_chat_format_row *ink_chat_recognise(const char *squeezed);

/* The system text that a squeezed template itself has, unescaped into `text` [strlen(squeezed)]: its length, 0 if it
   has none. */
size_t ink_chat_own_system(const ink_chat_format_row *format, const char *squeezed, char *text);

#endif
