/*
 * prediction.c - sections "learned" and "context": how well the models predict unseen stories, and how much of the text
 * before a token they use for it.
 */
#include <math.h>
#include <stdlib.h>

#include "compare.h"

/* ---- learned ---------------------------------------------------------------------------------------------------- */

/*
 * The generator knows the probability of every story it tells, so -log2 of it, the entropy, is the number of bits that
 * a perfect reader needs. A model needs more: the sum of -log2 p over the tokens that came. At the other end is a
 * reader who knows how often each word occurs and nothing else.
 */
typedef struct losses {
    size_t n_tokens, n_bytes;
    double entropy, frequencies, bits[N_FAMILIES]; /* bits of all stories */
    stats_mean better[N_FAMILIES][N_FAMILIES];     /* by how many bits a story row needs less than column */
} losses;

/* -sum of n_w log2(n_w / n) over the words w: the bits of a reader who knows how often each word occurs. */
static bool count_words(const comparison *c, losses *l)
{
    size_t vocab_size = c->models[0].info->vocab_size;
    size_t *n = console_memory(vocab_size, sizeof *n);
    if (n == NULL)
        return false;
    for (size_t i = 0; i < c->n_stories; i++)
        for (size_t t = 1; t <= c->tales[i].n; t++)
            n[c->tales[i].tokens[t]]++;
    for (size_t w = 0; w < vocab_size; w++)
        if (n[w] > 0)
            l->frequencies -= (double)n[w] * stats_log2((double)n[w] / (double)l->n_tokens);
    free(n);
    return true;
}

static void add_tale(const comparison *c, size_t i, losses *l)
{
    double bits[N_FAMILIES] = {0};
    l->n_tokens += c->tales[i].n;
    l->n_bytes += c->tales[i].story.length;
    l->entropy += c->tales[i].story.bits;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        for (size_t t = 1; t <= c->tales[i].n; t++)
            bits[f] += guess_bits(comparison_guess(c, f, i, t).p);
        l->bits[f] += bits[f];
    }
    for (size_t a = 0; a < N_FAMILIES; a++)
        for (size_t b = 0; b < N_FAMILIES; b++)
            stats_add(&l->better[a][b], bits[b] - bits[a]);
}

/* Family a predicts better than b by more than chance explains, and better than the frequencies of words alone. */
static void check_better(const losses *l, finding *f, size_t a, size_t b)
{
    bool learned = l->bits[a] < l->frequencies;
    finding_note(f, learned && stats_above(&l->better[a][b], 0),
                 "the %s predicts better than the %s: %.3f and %.3f bits per token%s", families[a].name,
                 families[b].name, l->bits[a] / (double)l->n_tokens, l->bits[b] / (double)l->n_tokens,
                 learned ? "" : "; it knows no more than how often words occur");
}

bool compare_learned(comparison *c, finding *f)
{
    losses l = {0};
    if (!comparison_read(c))
        return false;
    for (size_t i = 0; i < c->n_stories; i++)
        add_tale(c, i, &l);
    if (!count_words(c, &l))
        return false;
    double n = (double)l.n_tokens, of[N_FAMILIES][N_TRAININGS];
    chart *picture =
        finding_chart(f, "learned", "How well each family predicts fresh stories", "family", "bits per token", 3);
    picture->apart = true;
    chart *table = finding_chart(f, "learned-numbers", "The same in numbers", "", "", 3);
    table->table = true;
    double *model = chart_line(picture, "in the box", '#', CHART_GPT);
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (size_t k = 0; k < N_TRAININGS; k++)
            of[i][k] = l.entropy / n * (1 + trainings[i][k].above / 100);
    trainings_lines(picture, of);
    double *entropy = chart_line(picture, "entropy", '-', CHART_REFERENCE);
    double *per_byte = chart_line(table, "bits per byte", ' ', CHART_GPT);
    double *exact = chart_line(table, "entropy, bits per byte", ' ', CHART_GPT);
    double *above = chart_line(table, "% above the entropy", ' ', CHART_GPT);
    double *words = chart_line(table, "word frequencies, bits per token", ' ', CHART_GPT);
    double *parameters = chart_line(table, "parameters", ' ', CHART_GPT);
    double *bytes = chart_line(table, "bytes of weights", ' ', CHART_GPT);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        chart_x(picture, families[i].name);
        chart_x(table, families[i].name);
        model[i] = l.bits[i] / n;
        entropy[i] = l.entropy / n;
        words[i] = l.frequencies / n;
        per_byte[i] = l.bits[i] / (double)l.n_bytes;
        exact[i] = l.entropy / (double)l.n_bytes;
        above[i] = 100 * (l.bits[i] / l.entropy - 1);
        parameters[i] = (double)c->models[i].info->n_parameters;
        bytes[i] = (double)c->models[i].info->n_bytes;
    }
    check_better(&l, f, RNN, MLP);
    check_better(&l, f, GRU, RNN);
    check_better(&l, f, LSTM, RNN);
    check_better(&l, f, GPT, GRU);
    check_better(&l, f, GPT, LSTM);
    return true;
}

/* ---- context ---------------------------------------------------------------------------------------------------- */

/*
 * Bits per token late in a story when only the last c tokens before it are given, c = 1 .. 256. A curve falls as long
 * as the model can use more context. It stops at the first c from which no longer context lowers it by 2 % and by more
 * than chance explains.
 */
enum { N_CONTEXTS = 9, LAST_CONTEXT = N_CONTEXTS - 1, FEW = 2 }; /* contexts of 2^0 .. 2^8 tokens */
enum { LATE = 160, STRIDE = 16 };                                /* places from token LATE on, every STRIDE-th */
enum { LONG = 64 };                                              /* tokens: more than this is a long context */

typedef struct place {
    size_t tale, t; /* the token to predict */
} place;

typedef struct contexts {
    place *places;
    size_t n;
    question *questions;      /* [n], as are the guesses */
    guess *guesses;           /* of the model being asked */
    double *bits[N_CONTEXTS]; /* [n] */
    stats_mean mean[N_FAMILIES][N_CONTEXTS];
    size_t stop[N_FAMILIES]; /* the context, in tokens, where the curve stops falling */
    bool fell[N_FAMILIES];   /* the longest context leaves less than two thirds of the bits of the shortest one */
} contexts;

static bool find_places(const comparison *c, contexts *x)
{
    size_t most = c->n_stories * ((READER_TOKENS - LATE) / STRIDE + 1);
    x->places = console_memory(most, sizeof *x->places);
    x->questions = console_memory(most, sizeof *x->questions);
    x->guesses = console_memory(most, sizeof *x->guesses);
    bool done = x->places != NULL && x->questions != NULL && x->guesses != NULL;
    for (size_t k = 0; done && k < N_CONTEXTS; k++)
        done = (x->bits[k] = console_memory(most, sizeof *x->bits[k])) != NULL;
    for (size_t i = 0; done && i < c->n_stories; i++)
        for (size_t t = LATE; t <= c->tales[i].n; t += STRIDE)
            x->places[x->n++] = (place){i, t};
    return done;
}

/* Gives the last 2^k tokens before each place, or all there are, and asks for the token there. */
static bool ask_with_context(comparison *c, size_t family, size_t k, contexts *x)
{
    char what[64];
    snprintf(what, sizeof what, "with %zu tokens of context, place", (size_t)1 << k);
    for (size_t i = 0; i < x->n; i++) {
        const place *at = &x->places[i];
        size_t given = (size_t)1 << k < at->t ? (size_t)1 << k : at->t;
        x->questions[i] = (question){c->tales[at->tale].tokens + at->t - given, given + 1, 1, &x->guesses[i]};
    }
    if (!comparison_ask(c, family, x->questions, x->n, what))
        return false;
    for (size_t i = 0; i < x->n; i++) {
        x->bits[k][i] = guess_bits(x->guesses[i].p);
        stats_add(&x->mean[family][k], x->bits[k][i]);
    }
    return true;
}

/* True if a context of 2^b tokens is better than one of 2^a. The places are the same, so the differences count. */
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
    x->fell[family] = stats_mean_of(&x->mean[family][LAST_CONTEXT]) < 2.0 / 3 * stats_mean_of(&x->mean[family][0]);
}

bool compare_context(comparison *c, finding *f)
{
    contexts x = {.n = 0};
    bool done = find_places(c, &x);
    for (size_t i = 0; done && i < N_FAMILIES; i++) {
        for (size_t k = 0; done && k < N_CONTEXTS; k++)
            done = ask_with_context(c, i, k, &x);
        find_stop(i, &x);
    }
    if (done) {
        chart *picture =
            finding_chart(f, "context", "What more context is worth", "tokens of context given", "bits per token", 2);
        picture->low = INFINITY;
        finding_lines(picture);
        chart_powers(picture, N_CONTEXTS);
        for (size_t k = 0; k < N_CONTEXTS; k++)
            for (size_t i = 0; i < N_FAMILIES; i++) {
                double bits = picture->lines[i].y[k] = stats_mean_of(&x.mean[i][k]);
                /* The shortest contexts cost so many bits that they would press the rest together. */
                picture->low = k >= FEW ? fmin(picture->low, bits) : picture->low;
                picture->high = k >= FEW ? fmax(picture->high, bits) : picture->high;
            }
        size_t window = c->models[MLP].info->window_size, k = 0;
        double by[N_FAMILIES]; /* by what share the longest context lowers a curve below its value at 2^k tokens */
        while (k < LAST_CONTEXT && (size_t)2 << k <= window)
            k++;
        for (size_t i = 0; i < N_FAMILIES; i++)
            by[i] = 1 - stats_mean_of(&x.mean[i][LAST_CONTEXT]) / stats_mean_of(&x.mean[i][k]);
        finding_note(f, x.fell[MLP] && x.stop[MLP] <= window,
                     "the MLP's curve stops falling within its window of %zu tokens: at %zu", window, x.stop[MLP]);
        for (size_t i = GRU; i <= LSTM; i++)
            finding_note(f, x.fell[i] && by[i] > by[RNN] + GAIN,
                         "from %zu tokens on the %s's falls further than the RNN's: by %.0f %%, the RNN's by %.0f %%",
                         (size_t)1 << k, families[i].name, 100 * by[i], 100 * fmax(by[RNN], 0));
        finding_note(f, x.fell[GPT] && x.stop[GPT] > LONG, "the GPT's still falls after %d tokens: it stops at %zu",
                     LONG, x.stop[GPT]);
    }
    free(x.places);
    free(x.questions);
    free(x.guesses);
    for (size_t k = 0; k < N_CONTEXTS; k++)
        free(x.bits[k]);
    return done;
}
