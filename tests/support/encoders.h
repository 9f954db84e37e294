/*
 * encoders.h - the tiny encoders of tests/fixtures/encoders with what transformers and sentence-transformers
 * computed.
 */
#ifndef INK_TESTS_ENCODERS_H
#define INK_TESTS_ENCODERS_H

#include "layers.h"

typedef struct encoder_fixture {
    const char *name;
    ink_context *ctx; /* one thread */
    ink_model *model;
    const ink_model_info *info;
    const ink_encoder_info *encoder;
    ink_weights *reference;
    size_t n_texts, n_rows;
    ink_text *texts; /* [n_texts], without outputs */
    ink_token *ids;  /* [2, n_rows]: the tokens of all texts, then their types */
} encoder_fixture;

/* All of them; NULL ends the list. */
extern const char *const encoder_names[];

/* Opens a folder and its reference; fails the test if that does not work. `pooling` as in ink_model_options. */
void encoder_open(encoder_fixture *f, const char *name, ink_pooling pooling);
void encoder_open_bundled(encoder_fixture *f, const char *name); /* one of examples/models */
void encoder_close(encoder_fixture *f);

/* A test that runs `check` on every encoder: a row of the list of tests. */
#define encoder_test(check)                                                                                            \
    {                                                                                                                  \
        .name = #check, .test_func = encoder_test_run, .initial_state = &(encoder_check) { (check) }                   \
    }

typedef struct encoder_check {
    void (*check)(encoder_fixture *f);
} encoder_check;

void encoder_test_run(void **state);

/* Floats of an encoding of a text. */
size_t encoder_output_size(const encoder_fixture *f, ink_encoding encoding, const ink_text *text);

/* All texts in one list, their outputs one after the other; free() them. *n: how many floats. */
float *encoder_run(ink_context *ctx, const encoder_fixture *f, ink_encoding encoding, size_t *n);

#endif
