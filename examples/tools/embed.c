/*
 * embed.c - texts as vectors, and lines ranked by what they mean.
 *
 * A sentence encoder puts texts of like meaning close together. How close two of them are is the cosine of their
 * vectors:
 *
 *     cos(a, b) = a . b / (|a| |b|)
 *
 * Without a query each text becomes a line of numbers on stdout. With one, the lines of stdin come out in the order of
 * their cosine with it, a grep that looks for meaning.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "cli.h"
#include "console.h"

typedef struct settings {
    const char *folder, *query, *pooling, *kernel;
    uint64_t n_best, n_threads;
    char *const *texts;
    size_t n_texts;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "--query",
         .value = "TEXT",
         .text = &s->query,
         .help = "print the texts that mean most nearly this, nearest first, with their cosines"},
        {.name = "-n",
         .value = "COUNT",
         .count = &s->n_best,
         .most = 1e9,
         .help = "with --query: so many of them (default: all)"},
        {.name = "--pooling",
         .value = "NAME",
         .text = &s->pooling,
         .help = "cls, max, mean, mean_sqrt, weighted_mean or last, for folders that do not say how"},
        {.name = "--threads",
         .value = "N",
         .count = &s->n_threads,
         .least = 1,
         .most = INK_MAX_THREADS,
         .help = "threads to use (default 1); the numbers do not depend on it"},
        {.name = "--kernel",
         .value = "NAME",
         .text = &s->kernel,
         .help = "portable, avx2, avx512 (default: the best here); the numbers do not depend on it"},
    };
    cli line = {
        .name = "embed",
        .usage = "FOLDER [text ...] [options]",
        .about = "Texts as vectors, from a sentence-transformers folder or another encoder: a line of numbers for\n"
                 "each text, or for each line of stdin if there are no texts.",
        .samples = "  stories -n 9 | sed 's/[.] /.\\n/g' | embed examples/models/bert --pooling mean --query "
                   "\"It was night.\" -n 5\n"
                   "  embed tests/fixtures/encoders/sentence \"the cat is good\" \"the dog is bad\"\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .names = {"FOLDER"},
        .n_least = 1,
        .n_most = SIZE_MAX,
    };
    cli_outcome outcome = cli_read(&line, argc, argv);

    s->folder = line.arguments[0];
    if (outcome == CLI_RUN) {
        s->texts = line.all + 1;
        s->n_texts = line.n_arguments - 1;
    }
    return outcome;
}

static bool read_pooling(const char *name, ink_pooling *pooling)
{
    static const char *const names[INK_N_POOLINGS] = {NULL, "cls", "max", "mean", "mean_sqrt", "weighted_mean", "last"};

    *pooling = INK_POOLING_NONE;
    for (int i = 1; name != NULL && i < INK_N_POOLINGS; i++)
        if (strcmp(name, names[i]) == 0)
            *pooling = (ink_pooling)i;
    if (name == NULL || *pooling != INK_POOLING_NONE)
        return true;
    console_complain("--pooling expects cls, max, mean, mean_sqrt, weighted_mean or last, found '%s'", name);
    return false;
}

enum { NUMBER = 20 }; /* bytes of a number: "-1.23456789e-38 " and some */

/* A text beside the query. */
typedef struct ranked {
    char *text;
    double cosine;
    size_t place; /* where it came in: of equals the earlier one is first */
} ranked;

typedef struct results {
    size_t width;
    char *line;   /* [width] numbers as text */
    float *query; /* [width]; NULL until it is known */
    ranked *all;  /* [n] */
    size_t n, room;
    bool ranks;
} results;

/* ---- without a query -------------------------------------------------------------------------------------------- */

/* Nine digits tell any two floats apart. */
static bool print_row(const results *r, const float *row)
{
    char *at = r->line;

    for (size_t i = 0; i < r->width; i++)
        at += snprintf(at, NUMBER, "%.9g%c", (double)row[i], i + 1 < r->width ? ' ' : '\n');
    return console_write(r->line, (size_t)(at - r->line));
}

/* ---- with one --------------------------------------------------------------------------------------------------- */

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

static bool keep(results *r, const char *text, size_t size, const float *row)
{
    if (r->n == r->room) {
        size_t room = r->room > 0 ? 2 * r->room : 256;
        ranked *all = realloc(r->all, room * sizeof *all);
        if (all == NULL) {
            console_complain("there is no memory for %zu texts", room);
            return false;
        }
        r->all = all;
        r->room = room;
    }
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        console_complain("there is no memory for a text of %zu bytes", size);
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    r->all[r->n] = (ranked){.text = copy, .cosine = cosine(r->query, row, r->width), .place = r->n};
    r->n++;
    return true;
}

/* The first row is the query's. */
static bool keep_query(results *r, const float *row)
{
    r->query = malloc(r->width * sizeof *r->query);
    if (r->query == NULL) {
        console_complain("there is no memory for %zu numbers", r->width);
        return false;
    }
    memcpy(r->query, row, r->width * sizeof *row);
    return true;
}

static bool take(void *user, const char *text, size_t size, const float *row)
{
    results *r = user;

    if (!r->ranks)
        return print_row(r, row);
    if (r->query == NULL)
        return keep_query(r, row);
    return size == 0 || keep(r, text, size, row); /* an empty line is no answer */
}

static int compare(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (x->cosine != y->cosine)
        return x->cosine > y->cosine ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static bool print_ranked(results *r, uint64_t n_best)
{
    char number[32];

    if (r->n > 0)
        qsort(r->all, r->n, sizeof *r->all, compare);
    for (size_t i = 0; i < r->n && i < n_best; i++) {
        const ranked *one = &r->all[i];
        if (!console_write(number, (size_t)snprintf(number, sizeof number, "%7.4f  ", one->cosine)) ||
            !console_write(one->text, strlen(one->text)) || !console_write("\n", 1))
            return false;
    }
    return true;
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static bool run(const settings *s, ink_context *ctx, language_model *lm)
{
    results r = {.ranks = s->query != NULL};
    ink_pooling pooling;
    batch b = {0};
    bool done =
        read_pooling(s->pooling, &pooling) && batch_open(&b, lm, ctx, s->folder, pooling, INK_EMBEDDING, take, &r);

    r.width = b.width;
    r.line = malloc(b.width * NUMBER + 1);
    if (done && r.line == NULL) {
        console_complain("there is no memory for a line of %zu numbers", b.width);
        done = false;
    }
    if (done && s->query != NULL)
        done = batch_add(&b, s->query, strlen(s->query)) && batch_flush(&b);
    done = done && batch_run(&b, s->n_texts, s->texts);
    if (done && s->query != NULL)
        done = print_ranked(&r, s->n_best);
    if (done)
        batch_summarise(&b);
    for (size_t i = 0; i < r.n; i++)
        free(r.all[i].text);
    free(r.all);
    free(r.query);
    free(r.line);
    batch_close(&b);
    return done;
}

int main(int argc, char **argv)
{
    settings s = {.n_best = UINT64_MAX, .n_threads = 1};
    cli_outcome outcome = read_settings(&s, argc, argv);
    language_model lm = {0};
    ink_context *ctx;
    bool done;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ctx = console_context(s.n_threads, s.kernel);
    done = ctx != NULL && run(&s, ctx, &lm);
    lm_close(&lm);
    ink_context_free(ctx);
    return !(console_finish() && done);
}
