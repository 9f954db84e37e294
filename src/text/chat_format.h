/*
 * chat_format.h - chat formats from the inside: a format is a row of texts in which control tokens are spelled out.
 */
#ifndef INK_TEXT_CHAT_FORMAT_H
#define INK_TEXT_CHAT_FORMAT_H

#include <inkling/chat.h>

#include "../base/internal.h"

/* Texts of a format are the library's own: control tokens in them are recognised, and {bos} and {eos} stand for those
   of the tokenizer. */
typedef struct ink_chat_format_row {
    const char *name;
    const char *tokens[3]; /* the tokenizer must have these */
    const char *before[3]; /* a message, by role: before its text; NULL: there is no such message */
    const char *after[3];  /* and after it */
    const char *ask;       /* comes before an answer of the model */
    const char *end;       /* closes it */
    bool begins;           /* the conversation begins with {bos} */
    bool trims;            /* white space around a text is left out */
    bool trims_joined;     /* also between a system text and the user's first message */
    bool joins;            /* a system text is part of the user's first message, and speakers take turns */
} ink_chat_format_row;

/* The format with that name, or NULL. */
const ink_chat_format_row *ink_chat_format_named(const char *name);

struct ink_chat {
    const ink_chat_format_row *format;
    const ink_tokenizer *tokenizer;
    ink_token bos, eos; /* -1: none */
    ink_token stop;     /* the first token after an answer */
    ink_token marks[3]; /* the format's tokens; -1: none */
    bool begins;        /* the conversation begins with BOS */
    bool no_bos;        /* the template is told of no BOS, whatever the tokenizer has; */
    bool no_eos;        /* likewise */
    bool thinks;        /* thoughts in an earlier answer are left out of its text */
    bool dated;         /* the system text begins with a date, */
    const char *date;   /* this one */
    const char *system; /* [system_size], for a conversation that has no system text of its own; NULL: none */
    size_t system_size;
    const char *ask_more; /* after the format's `ask`; a static string */
};

/* Builds a chat from its fields but bos, eos, stop and marks, which are looked up. Strings are copied.
   INK_ERROR_MISMATCH if the tokenizer lacks a control token of the format, or has it but does not recognise it in a
   text; INK_ERROR_MEMORY. */
ink_result ink_chat_create(ink_context *ctx, const ink_chat *draft, ink_chat **chat);

#endif
