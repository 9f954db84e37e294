/*
 * fill.c - what fits into the gaps of a text, from a masked language model (BERT, DistilBERT, RoBERTa).
 *
 * A gap is [MASK] or whatever the folder's own mask token is called. The model sees the words on both sides of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "console.h"
#include "lm.h"

#define GAP "[MASK]"

typedef struct settings {
    const char *folder, *text, *kernel;
    uint64_t n_best, n_threads;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "-n",
         .value = "COUNT",
         .count = &s->n_best,
         .least = 1,
         .most = 1e9,
         .help = "fillings to print for a gap (default 5)"},
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
        .name = "fill",
        .usage = "FOLDER \"text with [MASK]\" [options]",
        .about = "Prints what fits best into each gap of a text, with its probability.\n"
                 "A gap is [MASK], or the folder's own mask token.",
        .samples = "  fill examples/models/bert \"Anna put the [MASK] behind the fence. Tom found the ball behind the "
                   "[MASK].\"\n"
                   "  fill examples/models/bert \"Anna [MASK] the door. The door was open.\" -n 3\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .names = {"FOLDER", "the text"},
        .n_least = 2,
        .n_most = 2,
    };
    cli_outcome outcome = cli_read(&line, argc, argv);

    s->folder = line.arguments[0];
    s->text = line.arguments[1];
    return outcome;
}

static bool ok(const language_model *lm, ink_result result)
{
    if (result != INK_OK)
        console_complain("%s", ink_context_error(lm->ctx));
    return result == INK_OK;
}

/* A text with gaps on its way through a model. */
typedef struct gaps {
    const language_model *lm;
    ink_token mask;
    char *text;        /* with the folder's mask token in the gaps */
    ink_token *tokens; /* [n_tokens] */
    size_t n_tokens;
    size_t *positions; /* [n_gaps] of the gaps among the tokens */
    size_t n_gaps;
    float *rows; /* [n_gaps, vocab_size] probabilities */
} gaps;

static bool find_mask(gaps *g)
{
    const ink_encoder_info *info = ink_model_get_encoder(g->lm->model);

    if (info->task != INK_TASK_FILL) {
        console_complain("%s: this %s fills no gaps: it needs a head for masked language modelling", g->lm->folder,
                         g->lm->info->kind);
        return false;
    }
    g->mask = ink_tokenizer_control(g->lm->tokenizer, INK_CONTROL_MASK);
    if (g->mask < 0)
        console_complain("%s: the tokenizer has no mask token", g->lm->folder);
    return g->mask >= 0;
}

/* The text with the folder's mask token for each [MASK]. */
static bool write_text(gaps *g, const char *text)
{
    size_t size, n = 0;
    const char *mask = ink_tokenizer_token(g->lm->tokenizer, g->mask, &size), *next;

    for (const char *at = text; (at = strstr(at, GAP)) != NULL; at++)
        n++;
    g->text = malloc(strlen(text) + n * size + 1);
    if (g->text == NULL) {
        console_complain("there is no memory for the text");
        return false;
    }
    char *out = g->text;
    for (; (next = strstr(text, GAP)) != NULL; text = next + strlen(GAP)) {
        memcpy(out, text, (size_t)(next - text));
        out += next - text;
        memcpy(out, mask, size);
        out += size;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool find_gaps(gaps *g)
{
    size_t most = ink_model_get_encoder(g->lm->model)->max_tokens;

    if (!lm_encode(g->lm, g->text, strlen(g->text), INK_ENCODE_DEFAULT, &g->tokens, &g->n_tokens))
        return false;
    if (g->n_tokens > most) {
        console_complain("the text has %zu tokens, and this model was made for %zu", g->n_tokens, most);
        return false;
    }
    g->positions = calloc(g->n_tokens + 1, sizeof *g->positions);
    for (size_t i = 0; g->positions != NULL && i < g->n_tokens; i++)
        if (g->tokens[i] == g->mask)
            g->positions[g->n_gaps++] = i;
    if (g->positions != NULL && g->n_gaps == 0)
        console_complain("there is no gap in the text: it is written " GAP);
    g->rows = calloc(g->n_gaps + 1, g->lm->info->vocab_size * sizeof *g->rows);
    if (g->positions == NULL || g->rows == NULL)
        console_complain("there is no memory for %zu gaps", g->n_gaps);
    return g->n_gaps > 0 && g->rows != NULL;
}

/* A token as text, without the space that a word begins with. */
static bool print_token(const language_model *lm, ink_token token, float probability)
{
    char text[512], shown[512], number[32];
    size_t size = 0;

    if (ink_tokenizer_decode(lm->ctx, lm->tokenizer, &token, 1, text, sizeof text - 1, &size) != INK_OK || size == 0) {
        const char *name = ink_tokenizer_token(lm->tokenizer, token, &size); /* a control token has no other text */
        size = name == NULL ? 0 : size < sizeof text ? size : sizeof text - 1;
        memcpy(text, name != NULL ? name : "", size);
    }
    text[size] = '\0';
    console_harmless(shown, sizeof shown, text + strspn(text, " "));
    return console_write(number, (size_t)snprintf(number, sizeof number, "%.4f  ", (double)probability)) &&
           console_write(shown, strlen(shown)) && console_write("\n", 1);
}

/* The likeliest tokens of one gap; the row is used up. */
static bool print_gap(const language_model *lm, float *row, uint64_t n_best)
{
    size_t n = lm->info->vocab_size;

    for (size_t i = 0; i < n_best && i < n; i++) {
        size_t best = 0;
        for (size_t j = 1; j < n; j++)
            if (row[j] > row[best])
                best = j;
        if (!print_token(lm, (ink_token)best, row[best]))
            return false;
        row[best] = -1;
    }
    return true;
}

static bool fill(const settings *s, gaps *g)
{
    const language_model *lm = g->lm;
    char line[64], bytes[CONSOLE_ROOM], rate[CONSOLE_ROOM];

    if (!find_mask(g) || !write_text(g, s->text) || !find_gaps(g))
        return false;
    ink_text text = {.tokens = g->tokens,
                     .n_tokens = g->n_tokens,
                     .positions = g->positions,
                     .n_positions = g->n_gaps,
                     .output = g->rows};
    double begin = console_seconds();
    if (!ok(lm, ink_model_encode(lm->ctx, lm->model, INK_PROBABILITIES, &text, 1)))
        return false;
    double seconds = console_seconds() - begin;
    for (size_t i = 0; i < g->n_gaps; i++) {
        if (g->n_gaps > 1 &&
            !console_write(line, (size_t)snprintf(line, sizeof line, "%sgap %zu:\n", i > 0 ? "\n" : "", i + 1)))
            return false;
        if (!print_gap(lm, g->rows + i * lm->info->vocab_size, s->n_best))
            return false;
    }
    console_note("%s: %zu tokens, %s tokens/s; memory: %s of weights", lm->info->kind, g->n_tokens,
                 seconds > 0 ? console_count(rate, (uint64_t)((double)g->n_tokens / seconds)) : "-",
                 console_bytes(bytes, lm->info->n_bytes));
    return true;
}

int main(int argc, char **argv)
{
    settings s = {.n_best = 5, .n_threads = 1};
    cli_outcome outcome = read_settings(&s, argc, argv);
    language_model lm = {0};
    gaps g = {.lm = &lm};
    ink_context *ctx;
    bool done;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ctx = console_context(s.n_threads, s.kernel);
    done = ctx != NULL && lm_open_encoder(&lm, ctx, s.folder, INK_POOLING_NONE) && fill(&s, &g);
    free(g.text);
    free(g.tokens);
    free(g.positions);
    free(g.rows);
    lm_close(&lm);
    ink_context_free(ctx);
    return !(console_finish() && done);
}
