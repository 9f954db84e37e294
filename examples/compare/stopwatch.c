/*
 * stopwatch.c - how long a model takes for a prompt and for a token.
 */
#include "stopwatch.h"

#include <stdlib.h>

#include "console.h"

enum { MIN_TRIES = 3 };

#define SECONDS 0.04 /* to spend on one figure */

static bool ok(const stopwatch *w, ink_result result)
{
    if (result != INK_OK)
        console_complain("%s", ink_context_error(w->ctx));
    return result == INK_OK;
}

bool stopwatch_open(stopwatch *w, const language_model *lm, ink_context *ctx, const ink_token *tokens, size_t n)
{
    *w = (stopwatch){.lm = lm, .ctx = ctx, .tokens = tokens, .n = n};
    w->logits = malloc(lm->info->vocab_size * sizeof *w->logits);
    if (w->logits == NULL)
        console_complain("there is no memory for the logits of a token");
    return w->logits != NULL && ok(w, ink_state_create(ctx, lm->model, n, &w->state)) &&
           ok(w, ink_state_create(ctx, lm->model, n, &w->before)) &&
           ok(w, ink_context_reserve(ctx, lm->model, 1, n, n));
}

void stopwatch_close(stopwatch *w)
{
    ink_state_free(w->state);
    ink_state_free(w->before);
    free(w->logits);
    *w = (stopwatch){0};
}

/* Seconds of tokens [done, done + n), for a state that holds those before; below 0 after a failure. */
static double time_once(stopwatch *w, size_t done, size_t n, float *logits)
{
    double begin = console_seconds();

    if (!ok(w, ink_model_forward(w->ctx, w->lm->model, w->state, w->tokens + done, n, logits)))
        return -1;
    return console_seconds() - begin;
}

/* The state holds `length` tokens again: one that can be rewound is, another one is copied. */
static bool go_back(stopwatch *w, size_t length)
{
    return ink_state_rewind(w->ctx, w->state, length) == INK_OK || ok(w, ink_state_copy(w->ctx, w->before, w->state));
}

static double best_of(stopwatch *w, size_t done, size_t n, float *logits)
{
    double begin = console_seconds(), best = -1;

    ink_state_reset(w->before);
    if (done > 0 && !ok(w, ink_model_forward(w->ctx, w->lm->model, w->before, w->tokens, done, NULL)))
        return -1;
    if (!ok(w, ink_state_copy(w->ctx, w->before, w->state)))
        return -1;
    for (int i = 0; i < MIN_TRIES || console_seconds() - begin < SECONDS; i++) {
        double seconds = time_once(w, done, n, logits);
        if (seconds < 0 || !go_back(w, done))
            return -1;
        best = best < 0 || seconds < best ? seconds : best;
    }
    return best;
}

double stopwatch_prompt(stopwatch *w, size_t n) { return best_of(w, 0, n, NULL); }

double stopwatch_token(stopwatch *w, size_t n) { return best_of(w, n - 1, 1, w->logits); }
