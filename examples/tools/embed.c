/*
 * embed.c - texts as vectors, and lines ranked by meaning.
 *
 * A sentence encoder puts texts with similar meanings close together. The cosine of their vectors says how close:
 *
 *     cos(a, b) = a . b / (|a| |b|)
 *
 * Without a query each text becomes a line of numbers on stdout. With one, the lines of stdin are printed in the order
 * of their cosine with it, like a grep that looks for meaning.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

static const char *query, *pooling_name;
static uint64_t n_best = UINT64_MAX;
static batch_form form;

static const cli_option options[] = {
    CLI_TEXT("--query", "TEXT", &query, "print the texts closest in meaning to this one, with their cosines"),
    CLI_COUNT("-n", "COUNT", &n_best, 0, 1e9, "with --query: how many to print (default: all)"),
    CLI_TEXT("--pooling", "NAME", &pooling_name,
             "cls, max, mean, mean_sqrt, weighted_mean or last, for folders that do not say how"),
    LM_IDS_IN(&form.as_ids),
    CLI_MACHINE,
};

static cli line = {
    .name = "embed",
    .usage = "FOLDER [text ...] [options]",
    .about = "Prints texts as vectors, from a sentence-transformers folder or another encoder: a line of numbers\n"
             "for each text, or for each line of stdin if there are no texts. White space around a text belongs\n"
             "to it, as in sentence-transformers. With --ids-in a text, the query too, lists all of its ids.",
    .samples = "  stories -n 9 | sed 's/[.] /.\\n/g' | embed examples/models/bert --pooling mean --query "
               "\"It was night.\" -n 5\n"
               "  embed tests/fixtures/encoders/sentence \"the cat is good\" \"the dog is bad\"\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, SIZE_MAX, "FOLDER"),
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

/* A text and its cosine with the query. */
typedef struct ranked {
    char *text; /* [size] */
    size_t size;
    double cosine;
    size_t place; /* in the input: of texts with equal cosines the earlier one comes first */
} ranked;

typedef struct ranking {
    size_t width;
    float *query; /* [width]; NULL until it is known */
    ranked *all;  /* [n] */
    size_t n, room;
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
    r->all[r->n] = (ranked){.text = copy, .size = in->size, .cosine = cosine(r->query, row, r->width), .place = r->n};
    r->n++;
    return true;
}

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->cosine != y->cosine)
        return x->cosine > y->cosine ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static bool embed(ink_context *ctx)
{
    ranking r = {0};
    ink_pooling pooling;
    batch b = {0};
    bool done =
        read_pooling(&pooling) && batch_open(&b, ctx, line.arguments[0], form, pooling, INK_EMBEDDING, take_row, &r);
    r.width = b.width;
    if (query != NULL)
        done = done && batch_add(&b, &(batch_input){query, strlen(query), NULL, 0}) && batch_flush(&b);
    done = done && batch_run(&b, &line);
    if (r.n > 0)
        qsort(r.all, r.n, sizeof *r.all, compare_ranked);
    for (size_t i = 0; done && i < r.n && i < n_best; i++)
        done = console_print("%7.4f  ", r.all[i].cosine) && console_say(r.all[i].text, r.all[i].size) &&
               console_write("\n", 1);
    if (done)
        batch_summarise(&b);
    for (size_t i = 0; i < r.n; i++)
        free(r.all[i].text);
    free(r.all);
    free(r.query);
    batch_close(&b);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, embed); }
