/*
 * compare_learned.c - what the models learned: bits per token on fresh stories, beside the exact entropy of the source.
 *
 * The generator knows the probability of every story it tells, so -log2 of it, the entropy, is what a perfect reader
 * needs. A model needs more: the sum of -log2 p over the tokens that came. At the other end stands a reader that knows
 * how frequent each word is and nothing about what came before.
 */
#include <stdio.h>
#include <stdlib.h>

#include "compare.h"
#include "console.h"

typedef struct losses {
    size_t n_tokens, n_bytes;
    double entropy; /* bits of all stories, as are the others */
    double frequencies;
    double bits[N_FAMILIES];
    stats_mean better[N_FAMILIES][N_FAMILIES]; /* by how many bits a story row needs less than column */
} losses;

static double tale_bits(const comparison *c, size_t f, size_t i)
{
    double bits = 0;

    for (size_t t = 1; t <= c->tales[i].n; t++)
        bits += guess_bits(comparison_guess(c, f, i, t).p);
    return bits;
}

/* -sum of n_w log2(n_w / n) over the words w: the bits of a reader who knows how often each word comes. */
static bool count_words(const comparison *c, losses *l)
{
    size_t vocab_size = c->models[0].info->vocab_size;
    size_t *n = calloc(vocab_size, sizeof *n);

    if (n == NULL) {
        console_complain("there is no memory to count %zu words", vocab_size);
        return false;
    }
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
    double bits[N_FAMILIES];

    l->n_tokens += c->tales[i].n;
    l->n_bytes += c->tales[i].story.length;
    l->entropy += c->tales[i].story.bits;
    for (size_t f = 0; f < N_FAMILIES; f++) {
        bits[f] = tale_bits(c, f, i);
        l->bits[f] += bits[f];
    }
    for (size_t a = 0; a < N_FAMILIES; a++)
        for (size_t b = 0; b < N_FAMILIES; b++)
            stats_add(&l->better[a][b], bits[b] - bits[a]);
}

static void draw(const comparison *c, const losses *l, finding *f)
{
    double n = (double)l->n_tokens;
    chart *picture = finding_chart(f, &(chart){.name = "learned",
                                               .title = "How well each family predicts fresh stories",
                                               .x_label = "family",
                                               .y_label = "bits per token",
                                               .apart = true,
                                               .decimals = 3});
    chart *table = finding_chart(f, &(chart){.name = "learned-numbers",
                                             .title = "The same in numbers",
                                             .x_label = "",
                                             .y_label = "",
                                             .table = true,
                                             .decimals = 3});
    double *model = chart_line(picture, "model", '#', CHART_GPT);
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
        model[i] = l->bits[i] / n;
        entropy[i] = l->entropy / n;
        words[i] = l->frequencies / n;
        per_byte[i] = l->bits[i] / (double)l->n_bytes;
        exact[i] = l->entropy / (double)l->n_bytes;
        above[i] = 100 * (l->bits[i] / l->entropy - 1);
        parameters[i] = (double)c->models[i].info->n_parameters;
        bytes[i] = (double)c->models[i].info->n_bytes;
    }
}

/* a predicts better than b, by more than chance explains, and knows more than how frequent words are. */
static void check_better(const losses *l, finding *f, size_t a, size_t b)
{
    bool learned = l->bits[a] < l->frequencies;

    finding_note(f, learned && stats_above(&l->better[a][b], 0),
                 "the %s predicts better than the %s: %.3f and %.3f bits per token%s", families[a].name,
                 families[b].name, l->bits[a] / (double)l->n_tokens, l->bits[b] / (double)l->n_tokens,
                 learned ? "" : "; it knows no more than how frequent words are");
}

bool compare_learned(comparison *c, finding *f)
{
    losses l = {0};

    for (size_t i = 0; i < c->n_stories; i++)
        add_tale(c, i, &l);
    if (!count_words(c, &l))
        return false;
    draw(c, &l, f);
    check_better(&l, f, RNN, MLP);
    check_better(&l, f, GRU, RNN);
    check_better(&l, f, LSTM, RNN);
    check_better(&l, f, GPT, GRU);
    check_better(&l, f, GPT, LSTM);
    return true;
}
