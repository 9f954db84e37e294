/*
 * chat_object.h - a chat from the inside: a template that has been parsed, and what it is told about the tokenizer.
 */
#ifndef INK_TEXT_CHAT_OBJECT_H
#define INK_TEXT_CHAT_OBJECT_H

#include <inkling/chat.h>

#include "jinja.h"

#define INK_CHAT_TOKENS 8
#define INK_CHAT_ENDS 2

/* A variable of the template that holds a control token: bos_token. */
typedef struct ink_chat_token {
    const char *name, *text; /* NUL-terminated, [size] */
    size_t size;
} ink_chat_token;

/* Reads a JSON text, an array or else an object, as values of a run: all strings in it are data. The importer brings it
   along, because this folder knows no file formats. `what` is kept, for messages; the strings live in `arena`. */
typedef ink_result (*ink_chat_read_json)(ink_jinja *run, ink_arena *arena, const char *what, const char *text,
                                         bool array, ink_jinja_value *value);

struct ink_chat {
    const ink_tokenizer *tokenizer;
    ink_chat_read_json read_json; /* of tools, documents, arguments and members of messages */
    const char *name;
    ink_jinja_program program, with_tools;
    bool has_with_tools;
    size_t template_size; /* of the larger template */
    ink_jinja_time now;
    ink_chat_token tokens[INK_CHAT_TOKENS]; /* [n_tokens] */
    size_t n_tokens;
    ink_token ends[INK_CHAT_ENDS]; /* [n_ends] tokens that end an answer */
    size_t n_ends;
};

/* What a chat is made of. All strings are copied. */
typedef struct ink_chat_draft {
    const ink_tokenizer *tokenizer;
    ink_chat_read_json read_json;
    const char *name;              /* where the template comes from */
    const char *text, *with_tools; /* [size], [with_tools_size] templates; with_tools may be NULL */
    size_t size, with_tools_size;
    const char *date;                       /* or NULL */
    ink_chat_token tokens[INK_CHAT_TOKENS]; /* [n_tokens] */
    size_t n_tokens;
    ink_token eos; /* the folder's; -1: none */
} ink_chat_draft;

/* Parses the templates and finds out how an answer ends. */
ink_result ink_chat_create(ink_context *ctx, const ink_chat_draft *draft, ink_chat **chat);

#endif
