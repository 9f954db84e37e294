/*
 * cost.c - sections "parallel" and "cost": how many steps wait for one another, and what a longer text costs.
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"

enum { N_LENGTHS = 9, LONGEST = N_LENGTHS - 1 }; /* texts of 2^0 .. 2^8 tokens */

/* A value for each family and length. */
typedef double lengths[N_FAMILIES][N_LENGTHS];

static void draw_lengths(chart *c, lengths values, double unit)
{
    finding_lines(c);
    chart_powers(c, N_LENGTHS);
    for (size_t k = 0; k < N_LENGTHS; k++)
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[k] = values[i][k] / unit;
}

/* ---- the stopwatch ---------------------------------------------------------------------------------------------- */

/* Measures how long a model takes for tokens. The best of many tries counts, because the speed of a core drifts and
   other programs share it. */
typedef struct stopwatch {
    const language_model *lm;
    ink_context *ctx;        /* whose threads are timed; not necessarily the one the model was opened with */
    const ink_token *tokens; /* [n], as the model knows them */
    size_t n;
    ink_state *state, *before; /* the one that runs, and one to come back to */
    float *logits;             /* [vocab_size] */
} stopwatch;

enum { MIN_TRIES = 3 };

#define SECONDS 0.04 /* to spend on one figure */

/* Call stopwatch_close() even after a failure. */
static bool stopwatch_open(stopwatch *w, const language_model *lm, ink_context *ctx, const ink_token *tokens, size_t n)
{
    *w = (stopwatch){.lm = lm, .ctx = ctx, .tokens = tokens, .n = n};
    w->logits = console_memory(lm->info->vocab_size, sizeof *w->logits);
    return w->logits != NULL && console_ok(ctx, ink_state_create(ctx, lm->model, n, &w->state)) &&
           console_ok(ctx, ink_state_create(ctx, lm->model, n, &w->before)) &&
           console_ok(ctx, ink_context_reserve(ctx, lm->model, 1, n, n));
}

static void stopwatch_close(stopwatch *w)
{
    ink_state_free(w->state);
    ink_state_free(w->before);
    free(w->logits);
    *w = (stopwatch){0};
}

/* Seconds for the tokens [first, first + n) with a state that holds the tokens before them; negative after an error
   message. */
static double best_of(stopwatch *w, size_t first, size_t n, float *logits)
{
    double begin = console_seconds(), best = -1;
    ink_state_reset(w->before);
    if ((first > 0 &&
         !console_ok(w->ctx, ink_model_forward(w->ctx, w->lm->model, w->before, w->tokens, first, NULL))) ||
        !console_ok(w->ctx, ink_state_copy(w->ctx, w->before, w->state)))
        return -1;
    for (int i = 0; i < MIN_TRIES || console_seconds() - begin < SECONDS; i++) {
        double start = console_seconds();
        if (!console_ok(w->ctx, ink_model_forward(w->ctx, w->lm->model, w->state, w->tokens + first, n, logits)))
            return -1;
        double seconds = console_seconds() - start;
        /* The state goes back: it is rewound where that is possible, or else copied. */
        if (ink_state_rewind(w->ctx, w->state, first) != INK_OK &&
            !console_ok(w->ctx, ink_state_copy(w->ctx, w->before, w->state)))
            return -1;
        best = best < 0 || seconds < best ? seconds : best;
    }
    return best;
}

/* ---- parallel --------------------------------------------------------------------------------------------------- */

/*
 * In a Transformer all tokens of a prompt go through a layer together: its products have n rows, the weights are read
 * once for all of them, and threads can share the rows. In a recurrent network each state waits for the one before. The
 * library can compute only the input side, W x_t, for all steps at once (src/layers/recurrent.c).
 */
/* Tokens per second. */
static bool time_prompts(const comparison *c, ink_context *ctx, lengths rates)
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
            double seconds = best_of(&w, 0, (size_t)1 << k, NULL);
            rates[i][k] = (double)((size_t)1 << k) / seconds;
            done = seconds > 0;
        }
        stopwatch_close(&w);
    }
    return done;
}

/* Called with every intermediate value. A recurrent layer has a state, "rnn.l0.h", at every step. A block of the GPT
   has one output, "h.0.out", for all rows of a pass (up to 128), and so has a layer of the MLP, "mlp.layers.0.out". */
static void count_step(void *user, const char *name, const ink_tensor *value)
{
    double *steps = user;
    const char *last = strrchr(name, '.');
    (void)value;
    *steps +=
        last != NULL && (strcmp(last, ".h") == 0 || (strcmp(last, ".out") == 0 && strstr(name, ".attn.out") == NULL));
}

static bool count_steps(const comparison *c, size_t family, size_t n, double *steps)
{
    ink_token prompt[READER_TOKENS];
    ink_state *state;
    comparison_prompt(c, prompt);
    *steps = 0;
    ink_result result = ink_state_create(c->ctx, c->models[family].model, n, &state);
    if (result == INK_OK) {
        ink_context_trace(c->ctx, count_step, steps);
        result = ink_model_forward(c->ctx, c->models[family].model, state, prompt, n, NULL);
        ink_context_trace(c->ctx, NULL, NULL);
    }
    ink_state_free(state);
    return console_ok(c->ctx, result);
}

static bool measure_steps(const comparison *c, finding *f)
{
    chart *steps = finding_chart(f, "steps", "Steps of a prompt that have to wait for one another",
                                 "tokens of the prompt", "steps", 0);
    steps->log_y = true;
    double most, least;
    finding_lines(steps);
    chart_powers(steps, N_LENGTHS);
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (size_t k = 0; k < N_LENGTHS; k++)
            if (!count_steps(c, i, (size_t)1 << k, &steps->lines[i].y[k]))
                return false;
    most = steps->lines[GPT].y[LONGEST];
    least = steps->lines[RNN].y[LONGEST];
    for (size_t i = GRU; i <= LSTM; i++)
        least = steps->lines[i].y[LONGEST] < least ? steps->lines[i].y[LONGEST] : least;
    finding_note(f, most < least / 10,
                 "of a prompt of %d tokens, %.0f steps of the GPT wait for one another; RNN %.0f, GRU %.0f, LSTM %.0f",
                 1 << LONGEST, most, steps->lines[RNN].y[LONGEST], steps->lines[GRU].y[LONGEST],
                 steps->lines[LSTM].y[LONGEST]);
    return true;
}

/* The claim is about steps, and those are counted. The times are shown and not judged: with models of this size they
   are those of this machine and of what else runs on it. */
bool compare_parallel(comparison *c, finding *f)
{
    lengths one, all;
    if (!measure_steps(c, f) || !time_prompts(c, c->ctx, one))
        return false;
    draw_lengths(finding_chart(f, "parallel", "Reading a prompt at once, one thread", "tokens of the prompt",
                               "thousand tokens per second", 1),
                 one, 1000);
    if (c->n_threads == 1)
        return true;
    ink_context *ctx = console_context(c->n_threads, c->kernel);
    bool done = ctx != NULL && time_prompts(c, ctx, all);
    ink_context_free(ctx);
    if (done)
        draw_lengths(finding_chart(f, "parallel-threads", "Reading a prompt at once, all threads",
                                   "tokens of the prompt", "thousand tokens per second", 1),
                     all, 1000);
    return done;
}

/* ---- cost ------------------------------------------------------------------------------------------------------- */

/*
 * A recurrent network keeps a state of fixed size. Attention keeps the keys and values of all tokens and goes through
 * all of them for each new one. Operations are counted: one multiply-add for each weight of a layer and each token,
 * from the shapes in the model's file, and those of attention from the sizes of its scores.
 */
typedef struct costs {
    lengths bytes;      /* of the state */
    lengths operations; /* multiply-adds per token of a prompt */
    lengths seconds;    /* of one more token */
} costs;

/* Embedding tables are read by row, and the matrix of the logits once for a prompt, not for every token. */
static bool is_table(const char *name)
{
    return strstr(name, "embedding") != NULL || strstr(name, "wte") != NULL || strstr(name, "wpe") != NULL ||
           strstr(name, "lm_head") != NULL;
}

static bool count_weights(const comparison *c, size_t family, double *n)
{
    char file[PATH_ROOM];
    ink_weights *weights;
    *n = 0;
    if (!path_join(file, c->folders[family], "model.safetensors") ||
        !console_ok(c->ctx, ink_weights_open(c->ctx, file, &weights)))
        return false;
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *w = ink_weights_at(weights, i);
        if (w->shape.rank == 2 && !is_table(w->name))
            *n += (double)w->shape.dim[0] * (double)w->shape.dim[1];
    }
    ink_weights_free(weights);
    return true;
}

typedef struct attention_count {
    size_t hidden_size;
    double n;
} attention_count;

/* Called with every intermediate value. "h.0.attn.scores" is [heads, rows, positions]: each score is a product over
   hidden_size / heads numbers, and the sum of the values takes as many operations again. */
static void count_scores(void *user, const char *name, const ink_tensor *value)
{
    attention_count *count = user;
    const size_t *dim = value->shape.dim;
    if (strstr(name, "attn.scores") != NULL)
        count->n += 2.0 * (double)dim[1] * (double)dim[2] * (double)count->hidden_size;
}

static bool count_attention(const comparison *c, const stopwatch *w, size_t n, double *operations)
{
    attention_count count = {.hidden_size = w->lm->info->hidden_size};
    ink_state_reset(w->state);
    ink_context_trace(c->ctx, count_scores, &count);
    ink_result result = ink_model_forward(c->ctx, w->lm->model, w->state, w->tokens, n, NULL);
    ink_context_trace(c->ctx, NULL, NULL);
    *operations = count.n;
    return console_ok(c->ctx, result);
}

static bool measure_family(const comparison *c, size_t family, costs *x)
{
    ink_token tokens[READER_TOKENS];
    stopwatch w;
    double weights, attention = 0;
    comparison_prompt(c, tokens);
    bool done =
        stopwatch_open(&w, &c->models[family], c->ctx, tokens, READER_TOKENS) && count_weights(c, family, &weights);
    for (size_t k = 0; done && k < N_LENGTHS; k++) {
        size_t n = (size_t)1 << k, bytes = 0;
        console_progress("%s at %zu tokens", families[family].name, n);
        done = console_ok(c->ctx, ink_state_size(c->ctx, w.lm->model, n, &bytes)) &&
               count_attention(c, &w, n, &attention) && (x->seconds[family][k] = best_of(&w, n - 1, 1, w.logits)) >= 0;
        x->bytes[family][k] = (double)bytes;
        x->operations[family][k] = weights + attention / (double)n;
    }
    stopwatch_close(&w);
    return done;
}

/* How much more the longest text takes than the first token; and the largest of these ratios except the GPT's. */
static double growth(lengths values, size_t family) { return values[family][LONGEST] / values[family][0]; }

static double most_growth(lengths values)
{
    double most = 0;
    for (size_t i = 0; i < GPT; i++)
        most = growth(values, i) > most ? growth(values, i) : most;
    return most;
}

bool compare_cost(comparison *c, finding *f)
{
    costs x;
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (!measure_family(c, i, &x))
            return false;
    chart *state =
        finding_chart(f, "state", "What the past takes to remember", "tokens of text", "state, thousand bytes", 2);
    state->log_y = true;
    draw_lengths(state, x.bytes, 1e3);
    draw_lengths(finding_chart(f, "operations", "Operations for each token of a prompt", "tokens of the prompt",
                               "million multiply-adds per token", 3),
                 x.operations, 1e6);
    draw_lengths(finding_chart(f, "token", "The time of one more token", "tokens of text", "microseconds", 1),
                 x.seconds, 1e-6);
    finding_note(f, most_growth(x.bytes) == 1 && growth(x.bytes, GPT) > 4,
                 "the GPT's state grows with the text, %.0f times from 1 to %d tokens; the others' have one size",
                 growth(x.bytes, GPT), 1 << LONGEST);
    finding_note(f, most_growth(x.operations) == 1 && growth(x.operations, GPT) > 1,
                 "so do its operations for a token, %.2f times; the others' are the same for every token",
                 growth(x.operations, GPT));
    finding_note(f, growth(x.seconds, GPT) > 1.1 * most_growth(x.seconds),
                 "and its time for a token, %.2f times; the others' at most %.2f times", growth(x.seconds, GPT),
                 most_growth(x.seconds));
    return true;
}
