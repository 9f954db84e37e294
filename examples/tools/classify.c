/*
 * classify.c - labels for texts, with their probabilities, from a classifier (BERT, DistilBERT, RoBERTa).
 *
 * For each text a line on stdout, likeliest label first:
 *
 *     positive 0.9871  neutral 0.0102  negative 0.0027<TAB>the text
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "cli.h"
#include "console.h"

typedef struct settings {
    const char *folder, *kernel;
    uint64_t n_best, n_threads;
    char *const *texts;
    size_t n_texts;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "-n",
         .value = "COUNT",
         .count = &s->n_best,
         .least = 1,
         .most = 1e9,
         .help = "labels to print for a text (default: all)"},
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
        .name = "classify",
        .usage = "FOLDER [text ...] [options]",
        .about = "Labels for texts with their probabilities, likeliest first: a line for each text, or for each line\n"
                 "of stdin if there are no texts.",
        .samples = "  classify tests/fixtures/encoders/bert_text \"the cat is good\" \"the dog is bad\"\n"
                   "  printf 'good\\nbad\\n' | classify tests/fixtures/encoders/bert_text -n 1\n",
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

typedef struct printer {
    const ink_encoder_info *info;
    size_t n_best;
    bool *printed; /* [n_labels] */
} printer;

/* The label with the largest number of those not printed yet, the first of equals. */
static size_t best(const printer *p, const float *row)
{
    size_t at = p->info->n_labels;

    for (size_t i = 0; i < p->info->n_labels; i++)
        if (!p->printed[i] && (at == p->info->n_labels || row[i] > row[at]))
            at = i;
    return at;
}

static bool print(void *user, const char *text, size_t size, const float *row)
{
    printer *p = user;
    char number[32];

    memset(p->printed, 0, p->info->n_labels * sizeof *p->printed);
    for (size_t i = 0; i < p->n_best; i++) {
        size_t label = best(p, row);
        char name[256];
        p->printed[label] = true;
        console_harmless(name, sizeof name, p->info->labels[label]);
        if (!console_write("  ", i > 0 ? 2 : 0) || !console_write(name, strlen(name)) ||
            !console_write(number, (size_t)snprintf(number, sizeof number, " %.4f", (double)row[label])))
            return false;
    }
    return console_write("\t", 1) && console_write(text, size) && console_write("\n", 1);
}

static bool run(const settings *s, ink_context *ctx, language_model *lm)
{
    printer p = {0};
    batch b;
    bool done = batch_open(&b, lm, ctx, s->folder, INK_POOLING_NONE, INK_PROBABILITIES, print, &p);

    if (done) {
        p.info = b.info;
        p.n_best = s->n_best < b.info->n_labels ? (size_t)s->n_best : b.info->n_labels;
        p.printed = malloc(b.info->n_labels * sizeof *p.printed);
        if (p.printed == NULL)
            console_complain("there is no memory for %zu labels", b.info->n_labels);
        done = p.printed != NULL && batch_run(&b, s->n_texts, s->texts);
    }
    if (done)
        batch_summarise(&b);
    free(p.printed);
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
