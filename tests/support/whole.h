/*
 * whole.h - a bundled model behind the library's one interface, beside which the hand-wired ones are held.
 */
#ifndef INK_TESTS_WHOLE_H
#define INK_TESTS_WHOLE_H

#include "testing.h"

typedef struct whole {
    ink_context *ctx;
    ink_model *model;
    ink_state *state;
    float *logits; /* [vocab_size] after the last token */
    size_t vocab_size;
} whole;

/* Opens a model folder; fails the test if that does not work. */
whole whole_open(const char *folder);
void whole_close(whole *w);

/* Runs one token, and fails the test unless the logits are these, bit for bit. */
void whole_agrees(whole *w, ink_token token, const float *logits);

#endif
