/*
 * stopwatch.h - how long a model takes for a prompt and for a token. Times are the best of many tries: the speed of a
 * core drifts, and other programs take turns on it.
 */
#ifndef EXAMPLES_STOPWATCH_H
#define EXAMPLES_STOPWATCH_H

#include "lm.h"

typedef struct stopwatch {
    const language_model *lm;
    ink_context *ctx;        /* whose threads are timed; not necessarily the one the model was opened with */
    const ink_token *tokens; /* [n], as the model knows them */
    size_t n;
    ink_state *state, *before; /* the one that runs, and one to come back to */
    float *logits;             /* [vocab_size] */
} stopwatch;

/* stopwatch_close() is due also after a failure, which is said. */
bool stopwatch_open(stopwatch *w, const language_model *lm, ink_context *ctx, const ink_token *tokens, size_t n);
void stopwatch_close(stopwatch *w);

/* Seconds of reading the first n tokens as one prompt. Below 0, with the sentence said, if it fails; so are the others.
   No logits: reading is what recurrence and attention do in different ways. */
double stopwatch_prompt(stopwatch *w, size_t n);

/* Seconds of one more token, with its logits, after n - 1 others. n is at least 1. */
double stopwatch_token(stopwatch *w, size_t n);

#endif
