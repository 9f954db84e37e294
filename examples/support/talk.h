/*
 * talk.h - a conversation with an instruct model: what was said is kept in the model's state, so that each turn only
 * costs what is new; and in a file, from which it can be continued.
 *
 * What goes wrong is said on stderr; functions answer false if the program cannot go on.
 */
#ifndef EXAMPLES_TALK_H
#define EXAMPLES_TALK_H

#include "lm.h"

typedef struct talk_options {
    const char *format; /* of the chat template; NULL: the folder's */
    const char *system; /* NULL: what the template has */
    bool think;
    size_t n_tokens; /* of an answer, at most */
    size_t context;  /* of a conversation, at most; 0: talk.c's choice */
    ink_sampler_options sampler;
} talk_options;

typedef struct talk {
    language_model *lm; /* the caller's, as is the next */
    const talk_options *options;
    ink_chat *chat;
    ink_state *state;
    size_t capacity; /* of the state in tokens, 0: any number */
    ink_sampler *sampler;
    ink_conversation at;
    ink_token *heard; /* [n_heard] all tokens so far, for the sampler of a conversation that is continued */
    size_t n_heard, heard_room;
    float *logits; /* [vocab_size] */
    char *text;    /* [text_room] of one token */
    size_t text_room;

    size_t n_read, n_written; /* tokens in all, and the seconds they took */
    double read_seconds, write_seconds;
} talk;

/* talk_close() is due also after a failure. */
bool talk_open(talk *t, language_model *lm, const talk_options *options);
void talk_close(talk *t);

/* A turn: the user's text in, the model's answer out to stdout as it is made, and a newline. Ctrl-C ends the answer. A
   turn for which the context has no room is not taken, and said so; the conversation stays as it was. */
bool talk_say(talk *t, const char *text, size_t size);

/* Forgets the conversation. */
bool talk_reset(talk *t);

/* Writes the conversation to a file, and continues one from a file that was written with the same model. If that fails
   it is said, and the conversation stays as it was. */
void talk_save(talk *t, const char *path);
void talk_load(talk *t, const char *path);

#endif
