/*
 * compare_context.c - bits per token late in a story when only the last c tokens before it are given, c = 1 .. 256.
 *
 * A curve falls as long as the model can make use of more context. It has stopped at the first c from which no longer
 * context lowers it by 2 % and by more than chance explains.
 */
#include <math.h>
#include <stdlib.h>

#include "compare.h"
#include "console.h"

enum { N_CONTEXTS = 9, LAST = N_CONTEXTS - 1, FEW = 2 }; /* contexts 2^0 .. 2^8 tokens */
enum { LATE = 160, STRIDE = 16 };                        /* places from token LATE on, every STRIDE-th */

#define GAIN 0.02

enum { LONG = 64 }; /* tokens: a curve that falls beyond them makes use of a long context */

typedef struct place {
    size_t tale, t; /* the token to predict */
} place;

typedef struct contexts {
    place *places;
    size_t n;
    double *bits[N_CONTEXTS]; /* [n] of the model being asked */
    stats_mean mean[N_FAMILIES][N_CONTEXTS];
    size_t stop[N_FAMILIES]; /* the context, in tokens, where the curve stops falling */
    bool fell[N_FAMILIES];   /* all the context there is leaves less than two thirds of what one token leaves */
} contexts;

static bool find_places(const comparison *c, contexts *x)
{
    x->places = calloc(c->n_stories * ((READER_TOKENS - LATE) / STRIDE + 1), sizeof *x->places);
    if (x->places == NULL) {
        console_complain("there is no memory for places in %zu stories", c->n_stories);
        return false;
    }
    for (size_t i = 0; i < c->n_stories; i++)
        for (size_t t = LATE; t <= c->tales[i].n; t += STRIDE)
            x->places[x->n++] = (place){i, t};
    for (size_t k = 0; k < N_CONTEXTS; k++) {
        x->bits[k] = calloc(x->n + 1, sizeof *x->bits[k]);
        if (x->bits[k] == NULL) {
            console_complain("there is no memory for what is expected at %zu places", x->n);
            return false;
        }
    }
    return true;
}

/* The last 2^k tokens before each place, or all there are, and then the one there. */
static bool ask(comparison *c, size_t family, size_t k, contexts *x)
{
    for (size_t i = 0; i < x->n; i += READER_BATCH) {
        question questions[READER_BATCH];
        guess guesses[READER_BATCH];
        size_t n = x->n - i < READER_BATCH ? x->n - i : READER_BATCH;
        for (size_t j = 0; j < n; j++) {
            const place *at = &x->places[i + j];
            size_t given = (size_t)1 << k < at->t ? (size_t)1 << k : at->t;
            questions[j] = (question){c->tales[at->tale].tokens + at->t - given, given + 1, 1, &guesses[j]};
        }
        if (!reader_ask(&c->readers[family], questions, n))
            return false;
        for (size_t j = 0; j < n; j++) {
            x->bits[k][i + j] = guess_bits(guesses[j].p);
            stats_add(&x->mean[family][k], x->bits[k][i + j]);
        }
    }
    return true;
}

/* True if context 2^b serves better than 2^a. The places are the same, so the differences count. */
static bool gains(const contexts *x, size_t a, size_t b)
{
    stats_mean gain = {0}, whole = {0};

    for (size_t i = 0; i < x->n; i++) {
        stats_add(&gain, x->bits[a][i] - x->bits[b][i]);
        stats_add(&whole, x->bits[a][i]);
    }
    return stats_above(&gain, 0) && stats_mean_of(&gain) >= GAIN * stats_mean_of(&whole);
}

static void find_stop(size_t family, contexts *x)
{
    size_t stop = 0;

    for (size_t a = 0; a < N_CONTEXTS; a++)
        for (size_t b = a + 1; b < N_CONTEXTS; b++)
            if (gains(x, a, b))
                stop = a + 1;
    x->stop[family] = (size_t)1 << stop;
    x->fell[family] = stats_mean_of(&x->mean[family][LAST]) < 2.0 / 3 * stats_mean_of(&x->mean[family][0]);
}

/* What the shortest contexts cost would press all the rest together: the picture begins where some tokens are given. */
static void find_scale(const contexts *x, double *low, double *high)
{
    *low = INFINITY;
    *high = 0;
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (size_t k = FEW; k < N_CONTEXTS; k++) {
            *low = fmin(*low, stats_mean_of(&x->mean[i][k]));
            *high = fmax(*high, stats_mean_of(&x->mean[i][k]));
        }
}

static void draw(const contexts *x, finding *f)
{
    chart *c = finding_chart(f, &(chart){.name = "context",
                                         .title = "What more context is worth",
                                         .x_label = "tokens of context given",
                                         .y_label = "bits per token",
                                         .decimals = 2});
    find_scale(x, &c->low, &c->high);
    finding_lines(c);
    chart_powers(c, N_CONTEXTS);
    for (size_t k = 0; k < N_CONTEXTS; k++)
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[k] = stats_mean_of(&x->mean[i][k]);
}

/* By what share all the context there is lowers a curve, beyond what 2^k tokens do. */
static double lowers(const contexts *x, size_t family, size_t k)
{
    return 1 - stats_mean_of(&x->mean[family][LAST]) / stats_mean_of(&x->mean[family][k]);
}

static void judge(const comparison *c, const contexts *x, finding *f)
{
    size_t window = c->models[MLP].info->window_size, k = 0;
    double by[N_FAMILIES];

    while (k < LAST && (size_t)2 << k <= window)
        k++;
    for (size_t i = 0; i < N_FAMILIES; i++)
        by[i] = lowers(x, i, k);
    finding_note(f, x->fell[MLP] && x->stop[MLP] <= window,
                 "the MLP's curve stops falling within its window of %zu tokens: at %zu", window, x->stop[MLP]);
    finding_note(f, x->fell[RNN] && by[RNN] < fmin(by[GRU], by[LSTM]) && fmin(by[GRU], by[LSTM]) >= GAIN,
                 "from %zu tokens on the RNN's falls by %.0f %%, less than the GRU's, %.0f %%, and the LSTM's, "
                 "%.0f %%; they stop at %zu, %zu and %zu",
                 (size_t)1 << k, 100 * fmax(by[RNN], 0), 100 * by[GRU], 100 * by[LSTM], x->stop[RNN], x->stop[GRU],
                 x->stop[LSTM]);
    finding_note(f, x->fell[GPT] && x->stop[GPT] > LONG,
                 "the GPT's falls by %.0f %%, and still falls after %d tokens: it stops at %zu", 100 * by[GPT], LONG,
                 x->stop[GPT]);
}

static bool measure(comparison *c, contexts *x, finding *f)
{
    if (!find_places(c, x))
        return false;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        for (size_t k = 0; k < N_CONTEXTS; k++) {
            console_progress("%s, %zu places, %zu tokens of context", families[i].name, x->n, (size_t)1 << k);
            if (!ask(c, i, k, x))
                return false;
        }
        find_stop(i, x);
    }
    draw(x, f);
    judge(c, x, f);
    return true;
}

bool compare_context(comparison *c, finding *f)
{
    contexts x = {.n = 0};
    bool done = measure(c, &x, f);

    free(x.places);
    for (size_t k = 0; k < N_CONTEXTS; k++)
        free(x.bits[k]);
    return done;
}
