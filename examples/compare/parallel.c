/*
 * compare_parallel.c - parallel or step by step: how many steps of a prompt have to wait for one another, and how fast
 * the prompt is read.
 *
 * In a Transformer all tokens of a prompt go through a layer together: its products have n rows, the weights are read
 * once for all of them, and threads can share the rows. In a recurrent network each state waits for the one before;
 * what the library can do for all steps at once is the input side, W x_t (src/layers/recurrent.c).
 */
#include <stdio.h>
#include <string.h>

#include "compare.h"
#include "console.h"
#include "stopwatch.h"

enum { N_LENGTHS = 9, LAST = N_LENGTHS - 1 }; /* prompts of 2^0 .. 2^8 tokens */

typedef struct rates {
    double of[N_FAMILIES][N_LENGTHS]; /* tokens per second */
} rates;

static bool time_prompts(const comparison *c, ink_context *ctx, rates *r)
{
    ink_token prompt[READER_TOKENS];
    bool done = true;

    comparison_prompt(c, prompt);
    for (size_t i = 0; done && i < N_FAMILIES; i++) {
        stopwatch w;
        done = stopwatch_open(&w, &c->models[i], ctx, prompt, READER_TOKENS);
        for (size_t k = 0; done && k < N_LENGTHS; k++) {
            console_progress("%s reads a prompt of %zu tokens with %u threads", families[i].name, (size_t)1 << k,
                             ink_context_threads(ctx));
            double seconds = stopwatch_prompt(&w, (size_t)1 << k);
            r->of[i][k] = (double)((size_t)1 << k) / seconds;
            done = seconds > 0;
        }
        stopwatch_close(&w);
    }
    return done;
}

/* ---- steps ----------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

/* A recurrent layer shows its state, "rnn.l0.h", at every step; a block of the GPT its output, "h.0.out", and a layer
   of the MLP, "mlp.layers.0.out", once for all rows of a pass, of which there are up to 128. */
static void look(void *user, const char *name, const ink_tensor *value)
{
    double *steps = user;

    (void)value;
    *steps += ends_with(name, ".h") || (ends_with(name, ".out") && !ends_with(name, ".attn.out"));
}

static bool count_steps(const comparison *c, size_t family, size_t n, double *steps)
{
    ink_token prompt[READER_TOKENS];
    ink_state *state;

    comparison_prompt(c, prompt);
    *steps = 0;
    ink_result result = ink_state_create(c->ctx, c->models[family].model, n, &state);
    if (result == INK_OK) {
        ink_context_trace(c->ctx, look, steps);
        result = ink_model_forward(c->ctx, c->models[family].model, state, prompt, n, NULL);
        ink_context_trace(c->ctx, NULL, NULL);
    }
    ink_state_free(state);
    if (result != INK_OK)
        console_complain("%s", ink_context_error(c->ctx));
    return result == INK_OK;
}

static bool measure_steps(const comparison *c, finding *f)
{
    chart *steps = finding_chart(f, &(chart){.name = "steps",
                                             .title = "Steps of a prompt that have to wait for one another",
                                             .x_label = "tokens of the prompt",
                                             .y_label = "steps",
                                             .log_y = true});
    double most, least;

    finding_lines(steps);
    chart_powers(steps, N_LENGTHS);
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (size_t k = 0; k < N_LENGTHS; k++)
            if (!count_steps(c, i, (size_t)1 << k, &steps->lines[i].y[k]))
                return false;
    most = steps->lines[GPT].y[LAST];
    least = steps->lines[RNN].y[LAST];
    for (size_t i = GRU; i <= LSTM; i++)
        least = steps->lines[i].y[LAST] < least ? steps->lines[i].y[LAST] : least;
    finding_note(f, most < least / 10,
                 "of a prompt of %d tokens, %.0f steps of the GPT wait for one another; RNN %.0f, GRU %.0f, LSTM %.0f",
                 1 << LAST, most, steps->lines[RNN].y[LAST], steps->lines[GRU].y[LAST], steps->lines[LSTM].y[LAST]);
    return true;
}

/* ---- drawing and judging --------------------------------------------------------------------------------------- */

static void draw(const rates *r, finding *f, const char *name, const char *title)
{
    chart *c = finding_chart(f, &(chart){.name = name,
                                         .title = title,
                                         .x_label = "tokens of the prompt",
                                         .y_label = "thousand tokens per second",
                                         .decimals = 1});
    finding_lines(c);
    chart_powers(c, N_LENGTHS);
    for (size_t k = 0; k < N_LENGTHS; k++)
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[k] = r->of[i][k] / 1000;
}

/* The largest of the recurrent families' factors. */
static double most_recurrent(const double by[N_FAMILIES])
{
    double most = by[RNN];

    for (size_t i = GRU; i <= LSTM; i++)
        most = by[i] > most ? by[i] : most;
    return most;
}

static void judge(const rates *one, finding *f)
{
    double by[N_FAMILIES]; /* how much faster a token of the longest prompt is than one alone */

    for (size_t i = 0; i < N_FAMILIES; i++)
        by[i] = one->of[i][LAST] / one->of[i][0];
    finding_note(f, by[GPT] > 1.25, "the GPT reads a token of a long prompt %.1f times as fast as a token alone",
                 by[GPT]);
    finding_note(f, by[GPT] > 1.1 * most_recurrent(by),
                 "no recurrent network gains nearly as much: RNN %.1f, GRU %.1f, LSTM %.1f times", by[RNN], by[GRU],
                 by[LSTM]);
}

static void judge_threads(const rates *one, const rates *all, unsigned n_threads, finding *f)
{
    double by[N_FAMILIES]; /* how much faster the longest prompt is with all threads */

    for (size_t i = 0; i < N_FAMILIES; i++)
        by[i] = all->of[i][LAST] / one->of[i][LAST];
    finding_note(f, by[GPT] > 1.1 * most_recurrent(by),
                 "%u threads help the GPT the most: %.2f times as fast; RNN %.2f, GRU %.2f, LSTM %.2f", n_threads,
                 by[GPT], by[RNN], by[GRU], by[LSTM]);
}

bool compare_parallel(comparison *c, finding *f)
{
    rates one, all;

    if (!measure_steps(c, f) || !time_prompts(c, c->ctx, &one))
        return false;
    draw(&one, f, "parallel", "Reading a prompt at once, one thread");
    judge(&one, f);
    if (c->n_threads == 1)
        return true;
    ink_context *ctx = console_context(c->n_threads, c->kernel);
    bool done = ctx != NULL && time_prompts(c, ctx, &all);
    ink_context_free(ctx);
    if (!done)
        return false;
    draw(&all, f, "parallel-threads", "Reading a prompt at once, all threads");
    judge_threads(&one, &all, c->n_threads, f);
    return true;
}
