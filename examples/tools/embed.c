/*
 * embed.c - texts as vectors, and lines ranked by meaning.
 *
 * A sentence encoder puts texts with similar meanings close together. The cosine of their vectors says how close:
 *
 *     cos(a, b) = a . b / (|a| |b|)
 *
 * Without a query each text becomes a line of numbers on stdout. With one, the lines of stdin are printed in the order
 * of their cosine with it, like a grep that looks for meaning. A cross-encoder reads the query and a text together. It
 * judges better, but has to read every pair; so it gets the closest texts only, and ranks these again (--rerank).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

static const char *query, *pooling_name, *rerank_folder;
static uint64_t n_best = UINT64_MAX, n_hits;
static batch_form form;

static const cli_option options[] = {
    CLI_TEXT("--query", "TEXT", &query, "print the texts closest in meaning to this one, with their cosines"),
    CLI_COUNT("-n", "COUNT", &n_best, 0, 1e9, "with --query: how many to print (default: all)"),
    CLI_TEXT("--rerank", "FOLDER", &rerank_folder,
             "with --query: rank the closest texts again with this cross-encoder"),
    CLI_COUNT("--hits", "COUNT", &n_hits, 1, 1e9, "with --rerank: how many of the closest texts (default 100)"),
    CLI_TEXT("--pooling", "NAME", &pooling_name,
             "cls, max, mean, mean_sqrt, weighted_mean or last, for folders that do not say how"),
    LM_IDS_IN(&form.as_ids),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "embed",
    .usage = "FOLDER [text ...] [options]",
    .about = "Prints texts as vectors, from a sentence-transformers folder or another encoder: a line of numbers\n"
             "for each text. White space around a text belongs\n"
             "to it, as in sentence-transformers. With --ids-in a text, the query too, lists all of its ids. With\n"
             "--rerank the score in front of a text is that of the cross-encoder. A FOLDER may be a .gguf file.",
    .samples = "  stories -n 9 | embed examples/models/bert --pooling mean --query night -n 5\n"
               "  embed tests/fixtures/encoders/sentence \"the cat is good\" \"the dog is bad\"\n"
               "  embed tests/fixtures/encoders/sentence --query \"a dog\" --rerank tests/fixtures/programs/marco \"a "
               "cat\" \"the dog\"\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, SIZE_MAX, "FOLDER"),
    .from_stdin = "a text",
    .by_line = true,
};

static bool read_pooling(ink_pooling *pooling)
{
    static const char *const names[INK_N_POOLINGS] = {NULL, "cls", "max", "mean", "mean_sqrt", "weighted_mean", "last"};
    *pooling = INK_POOLING_NONE;
    for (int i = 1; pooling_name != NULL && i < INK_N_POOLINGS; i++)
        if (strcmp(pooling_name, names[i]) == 0)
            *pooling = (ink_pooling)i;
    return pooling_name == NULL || *pooling != INK_POOLING_NONE ||
           console_complain("--pooling expects cls, max, mean, mean_sqrt, weighted_mean or last, found '%s'",
                            pooling_name);
}

/* A text and its score: the cosine with the query, or what the cross-encoder says. */
typedef struct ranked {
    char *text; /* [size] */
    size_t size;
    double score;
    size_t place; /* of texts with equal scores the earlier one comes first */
} ranked;

typedef struct ranking {
    size_t width;
    float *query; /* [width]; NULL until it is known */
    ranked *all;  /* [n] */
    size_t n, room;
    size_t n_again; /* texts that the cross-encoder has scored */
} ranking;

/* Nine digits tell any two floats apart. */
static bool print_row(const float *row, size_t width)
{
    for (size_t i = 0; i < width; i++)
        printf("%.9g%c", (double)row[i], i + 1 < width ? ' ' : '\n');
    return console_write("", 0);
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static double cosine(const float *a, const float *b, size_t n)
{
    double lengths = sqrt(dot(a, a, n)) * sqrt(dot(b, b, n));
    return lengths > 0 ? dot(a, b, n) / lengths : 0;
}

/* Prints the row, or, with a query, keeps the text and its cosine; the query's own row comes first. */
static bool take_row(void *user, const batch_input *in, const float *row)
{
    ranking *r = user;
    if (query == NULL)
        return print_row(row, r->width);
    if (r->query == NULL) {
        r->query = console_memory(r->width, sizeof *r->query);
        if (r->query != NULL)
            memcpy(r->query, row, r->width * sizeof *row);
        return r->query != NULL;
    }
    if (in->size == 0) /* an empty line is no answer */
        return true;
    ranked *all = console_grow(r->all, &r->room, r->n + 1, sizeof *all);
    char *copy = console_memory(in->size, 1);
    r->all = all != NULL ? all : r->all;
    if (all == NULL || copy == NULL) {
        free(copy);
        return false;
    }
    memcpy(copy, in->text, in->size);
    r->all[r->n] = (ranked){.text = copy, .size = in->size, .score = cosine(r->query, row, r->width), .place = r->n};
    r->n++;
    return true;
}

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static bool take_score(void *user, const batch_input *in, const float *row)
{
    ranking *r = user;
    (void)in; /* the pairs come back in their order */
    r->all[r->n_again].score = (double)row[0];
    r->all[r->n_again].place = r->n_again;
    r->n_again++;
    return true;
}

/* Each of these options has a meaning only beside another one. */
static bool check_options(void)
{
    const char *alone = query != NULL           ? NULL
                        : rerank_folder != NULL ? "--rerank"
                        : n_hits != 0           ? "--hits"
                        : n_best != UINT64_MAX  ? "-n"
                                                : NULL;
    if (alone != NULL)
        return console_complain("%s needs --query", alone);
    return n_hits == 0 || rerank_folder != NULL || console_complain("--hits needs --rerank");
}

/* Opens the cross-encoder, before there is anything to rank. */
static bool open_reranker(batch *b, ink_context *ctx, ranking *r)
{
    const batch_form pairs = {.pairs = true};
    if (form.as_ids)
        return console_complain("--rerank needs texts, not --ids-in");
    return batch_open(b, ctx, rerank_folder, pairs, INK_POOLING_NONE, INK_PROBABILITIES, take_score, r) &&
           (b->width == 1 || console_complain("%s: this %s gives %zu scores, but texts are ranked by one",
                                              rerank_folder, b->lm.info->kind, b->width));
}

/* Keeps the closest texts, which come first, and ranks them by the cross-encoder. */
static bool rerank(batch *b, ranking *r)
{
    size_t most = n_hits != 0 ? (size_t)n_hits : 100, n = r->n < most ? r->n : most;
    bool done = true;
    while (r->n > n)
        free(r->all[--r->n].text);
    for (size_t i = 0; done && i < n; i++)
        done = batch_add(b, &(batch_input){query, strlen(query), r->all[i].text, r->all[i].size});
    done = done && batch_flush(b);
    if (n > 0)
        qsort(r->all, n, sizeof *r->all, compare_ranked);
    return done;
}

static bool embed(ink_context *ctx)
{
    ranking r = {0};
    ink_pooling pooling;
    batch b = {0}, reranker = {0};
    bool done = check_options() && (rerank_folder == NULL || open_reranker(&reranker, ctx, &r)) &&
                read_pooling(&pooling) &&
                batch_open(&b, ctx, line.arguments[0], form, pooling, INK_EMBEDDING, take_row, &r);
    r.width = b.width;
    if (query != NULL)
        done = done && batch_add(&b, &(batch_input){query, strlen(query), NULL, 0}) && batch_flush(&b);
    done = done && batch_run(&b, &line);
    if (r.n > 0)
        qsort(r.all, r.n, sizeof *r.all, compare_ranked);
    done = done && (rerank_folder == NULL || rerank(&reranker, &r));
    for (size_t i = 0; done && i < r.n && i < n_best; i++)
        done = console_print("%7.4f  ", r.all[i].score) && console_say(r.all[i].text, r.all[i].size) &&
               console_write("\n", 1);
    if (done)
        batch_summarise(&b);
    if (done && rerank_folder != NULL)
        batch_summarise(&reranker);
    for (size_t i = 0; i < r.n; i++)
        free(r.all[i].text);
    free(r.all);
    free(r.query);
    batch_close(&reranker);
    batch_close(&b);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, embed); }
