/*
 * batch.h - texts through an encoder, many at a time: from arguments or from the lines of stdin to one row of numbers
 * each. embed and classify are built on it.
 *
 * A function that returns bool answers whether to go on; if not, it has already printed why.
 */
#ifndef EXAMPLES_BATCH_H
#define EXAMPLES_BATCH_H

#include "lm.h"

enum { BATCH_TEXTS = 256, BATCH_TOKENS = 8192 };

/* A text, or two texts that the model sees together, as a question and a passage. */
typedef struct batch_input {
    const char *text; /* [size] */
    size_t size;
    const char *pair; /* [pair_size]; NULL: there is no second text */
    size_t pair_size;
} batch_input;

/* Receives each text with its row [width], in the order of the input. Returning false ends the run. */
typedef bool (*batch_sink)(void *user, const batch_input *input, const float *row);

/* What the texts are. */
typedef struct batch_form {
    bool pairs;  /* a line is two texts with a tab between them; other arguments go in twos */
    bool as_ids; /* a text lists its token ids; those of a second text get the token type 1 */
} batch_form;

/* A text that waits: where its bytes and its ids are. */
typedef struct batch_text {
    size_t text, prompt, size, pair_size; /* the prompt, the text, and the second text behind one another */
    bool is_pair;
    size_t tokens, n_tokens;
} batch_text;

typedef struct batch {
    language_model lm;
    const ink_encoder_info *info;
    ink_encoding encoding;
    batch_form form;
    size_t width; /* floats in a row */
    batch_sink sink;
    void *user;

    batch_text waiting[BATCH_TEXTS];
    size_t n_waiting;
    char *bytes; /* [n_bytes] of the waiting texts */
    size_t n_bytes, bytes_room;
    ink_token *tokens, *types; /* [n_tokens] of the waiting texts */
    size_t n_tokens, tokens_room, types_room;
    float *rows; /* [BATCH_TEXTS, width] */

    size_t n_texts, n_read, n_cut; /* totals: texts, their tokens, texts that were too long */
    double seconds;
} batch;

/* Opens the encoder in a folder for this encoding of whole texts. `pooling` is for folders that do not say how rows
   become one vector. Call batch_close() even after a failure. */
bool batch_open(batch *b, ink_context *ctx, const char *folder, batch_form form, ink_pooling pooling,
                ink_encoding encoding, batch_sink sink, void *user);
void batch_close(batch *b);

/* Adds one text, or one pair. The texts run through the model when there are enough of them, and at a flush. */
bool batch_add(batch *b, const batch_input *input);
bool batch_flush(batch *b);

/* Runs the texts behind the first argument of the command line, or else the lines of stdin; at a terminal each line is
   answered at once. Ends with a line on stderr: how many texts, how fast, how much memory. */
bool batch_run(batch *b, const cli *line);
void batch_summarise(const batch *b);

#endif
