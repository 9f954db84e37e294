/*
 * classify.c - labels for texts, with their probabilities, from a classifier (BERT, DistilBERT, RoBERTa, GPT-2, Llama
 * ...).
 *
 * Prints a line for each text, likeliest label first:
 *
 *     positive 0.9871  neutral 0.0102  negative 0.0027<TAB>the text
 *
 * With --pair the model sees two texts together (does the second follow from the first?), and both are printed.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

static uint64_t n_best = UINT64_MAX;
static batch_form form;

static const cli_option options[] = {
    CLI_COUNT("-n", "COUNT", &n_best, 1, 1e9, "labels to print for a text (default: all)"),
    CLI_FLAG("--pair", &form.pairs, "labels pairs of texts: the arguments in twos, or lines with a tab"),
    LM_IDS_IN(&form.as_ids),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "classify",
    .usage = "FOLDER [text ...] [options]",
    .about = "Prints the labels of each text with their probabilities, likeliest first: a line for each text.\n"
             "With --pair a line has two texts with a tab between them. With --ids-in a text lists all of its ids,\n"
             "those of [CLS] and [SEP] too. FOLDER may be a .gguf file.",
    .samples = "  classify examples/models/mood \"Anna was happy.\" \"They had some bad news.\"\n"
               "  stories -n 3 | grep . | classify examples/models/kind -n 2\n"
               "  printf 'Tom sang.\\nsang Tom.\\n' | classify examples/models/grammar -n 1\n"
               "  classify tests/fixtures/encoders/bert_text --pair \"the cat\" \"the dog is bad\"\n"
               "  classify tests/fixtures/encoders/bert_text --ids-in \"2 5 7 9 3\"\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, SIZE_MAX, "FOLDER"),
    .from_stdin = "a text",
    .by_line = true,
};

typedef struct labels {
    const ink_encoder_info *info;
    float *row; /* [n_labels]; a printed label becomes -infinity: a CrossEncoder has scores of any size */
} labels;

static bool print_labels(void *user, const batch_input *in, const float *row)
{
    labels *l = user;
    char name[256];
    memcpy(l->row, row, l->info->n_labels * sizeof *row);
    for (size_t i = 0; i < n_best && i < l->info->n_labels; i++) {
        size_t best = ink_argmax(l->row, l->info->n_labels);
        l->row[best] = -INFINITY;
        console_harmless(name, sizeof name, l->info->labels[best]);
        if (!console_print("%s%s %.4f", i > 0 ? "  " : "", name, (double)row[best]))
            return false;
    }
    return console_write("\t", 1) && console_say(in->text, in->size) &&
           (in->pair == NULL || (console_write("\t", 1) && console_say(in->pair, in->pair_size))) &&
           console_write("\n", 1);
}

static bool classify(ink_context *ctx)
{
    labels l = {0};
    batch b;
    bool done = batch_open(&b, ctx, line.arguments[0], form, INK_POOLING_NONE, INK_PROBABILITIES, print_labels, &l);
    l.info = b.info;
    done = done && (l.row = console_memory(l.info->n_labels, sizeof *l.row)) != NULL && batch_run(&b, &line);
    if (done)
        batch_summarise(&b);
    free(l.row);
    batch_close(&b);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, classify); }
