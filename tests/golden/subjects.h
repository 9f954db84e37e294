/*
 * subjects.h - what the golden test runs: every layer and every model, behind one face. No cmocka here, so that it
 * runs wherever a compiler and an emulator are.
 *
 * A subject turns n rows of x into n rows of y, in pieces of any size, and remembers between pieces what its kind has
 * to remember: a hidden state, a cache. To add a layer or a model, add a line to a table of subjects.c.
 */
#ifndef INK_TESTS_SUBJECTS_H
#define INK_TESTS_SUBJECTS_H

#include <inkling.h>

typedef struct family family;

typedef struct subject {
    char name[96];
    size_t n, in, out; /* rows; elements of a row, each of 4 bytes */
    void *x;           /* [n, in] floats, or token ids [n] */
    float *expected;   /* what PyTorch or transformers computed for the last n_expected rows, or NULL */
    size_t n_expected;
    bool whole; /* runs in one piece only: it looks ahead */

    const family *family;
    ink_attention attention; /* settings and objects, for whichever family uses them */
    ink_rope rope;
    ink_transformer_options transformer;
    ink_conv1d_options conv;
    size_t lengths[8]; /* of the texts or sequences that the rows are made of */
    size_t n_texts;
    int setting;
    void *object;
    float *start;      /* of the state, or NULL: zeros; the memories of a decoder */
    ink_token *source; /* [n_source]: what an encoder-decoder reads, or NULL */
    size_t n_source;
    ink_encoded *encoded;
    void *state;
    size_t done; /* rows since the beginning */
} subject;

/* Opens the i-th subject with files under `root`, the source tree; false from the end on. What fails ends the program
   with a sentence. */
bool subject_open(subject *s, ink_context *ctx, const char *root, size_t i);
void subject_close(subject *s);

/* Starts over, then takes the next `count` rows. */
void subject_begin(subject *s, ink_context *ctx);
void subject_run(subject *s, ink_context *ctx, const void *x, size_t count, float *y);

/* All rows in one call that runs n_others other sequences, of other lengths, as well. False if this kind of subject
   has no such call. */
bool subject_run_beside(subject *s, ink_context *ctx, size_t n_others, const void *x, float *y);

/* Ends the program with the sentence of the context, or NULL: with `what` alone. */
void give_up(const ink_context *ctx, const char *what);

/* malloc for `n` elements of 4 bytes that does not fail. */
void *take(size_t n);

#endif
