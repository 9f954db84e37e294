/*
 * batch.h - texts through an encoder, many at a time: from arguments or lines of stdin to a row of numbers each.
 *
 * What goes wrong is said on stderr; functions answer whether to go on.
 */
#ifndef EXAMPLES_BATCH_H
#define EXAMPLES_BATCH_H

#include "lm.h"

enum { BATCH_TEXTS = 256, BATCH_TOKENS = 8192 };

/* Gets each text with its row [width], in the order they came in. False ends it all. */
typedef bool (*batch_sink)(void *user, const char *text, size_t size, const float *row);

/* A text that waits: where it is, as bytes and as ids. */
typedef struct batch_text {
    size_t text, size, tokens, n_tokens;
} batch_text;

typedef struct batch {
    const language_model *lm; /* the caller's */
    const ink_encoder_info *info;
    ink_encoding encoding;
    size_t width; /* floats of a row */
    bool strips;  /* texts lose the white space around them, as sentence-transformers has it */
    batch_sink sink;
    void *user;

    batch_text waiting[BATCH_TEXTS];
    size_t n_waiting;
    char *bytes; /* [n_bytes] of the texts that wait */
    size_t n_bytes, bytes_room;
    ink_token *tokens; /* [n_tokens] of them */
    size_t n_tokens, tokens_room;
    float *rows; /* [BATCH_TEXTS, width] */

    size_t n_texts, n_read, n_cut; /* in all: texts, their tokens, texts that were too long */
    double seconds;
} batch;

/* Opens the encoder in a folder, which must give this encoding of a whole text. `pooling` is for folders that do not
   say how rows become one vector. batch_close() is due also after a failure. */
bool batch_open(batch *b, language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling,
                ink_encoding encoding, batch_sink sink, void *user);
void batch_close(batch *b);

/* Takes one more text; the texts go through the model when there are enough of them, and at a flush. */
bool batch_add(batch *b, const char *text, size_t size);
bool batch_flush(batch *b);

/* All n texts, or without any the lines of stdin; at a terminal each of them at once. */
bool batch_run(batch *b, size_t n, char *const *texts);

/* How many texts, how fast, how much memory: a line on stderr. */
void batch_summarise(const batch *b);

#endif
