/*
 * fill.c - fills the gaps of a text with a masked language model (BERT, DistilBERT, RoBERTa).
 *
 * A gap is written [MASK], or as the folder's own mask token. The model sees the words on both sides of it.
 */
#include <stdlib.h>
#include <string.h>

#include "lm.h"

#define GAP "[MASK]"

static uint64_t n_best = 5, mask_id = UINT64_MAX;
static bool ids_in;

static const cli_option options[] = {
    CLI_COUNT("-n", "COUNT", &n_best, 1, 1e9, "fillings to print for a gap (default 5)"),
    LM_IDS_IN(&ids_in),
    CLI_COUNT("--mask", "ID", &mask_id, 0, INT32_MAX, "with --ids-in: the id of a gap"),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "fill",
    .usage = "FOLDER [\"text with [MASK]\"] [options]",
    .about = "Prints the likeliest fillings of each gap of a text, with their probabilities.\n"
             "A gap is [MASK], or the folder's own mask token. With --ids-in the text lists all of its ids, a gap\n"
             "is the id --mask, and the fillings are ids.",
    .samples = "  fill examples/models/bert \"Anna put the [MASK] behind the [MASK].\"\n"
               "  fill examples/models/bert \"Anna [MASK] the door. The door was open.\" -n 3\n"
               "  fill tests/fixtures/encoders/bert_fill --ids-in \"2 5 7 4 9 3\" --mask 4\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(2, 2, "FOLDER", "the text"),
    .text = 1,
};

/* A text with gaps. */
typedef struct gaps {
    language_model lm;
    ink_token mask;
    char *text;        /* with the folder's mask token in the gaps */
    ink_token *tokens; /* [n_tokens] */
    ink_token *types;  /* [n_tokens], NULL with --ids-in */
    size_t n_tokens;
    size_t *positions; /* [n_gaps] of the gaps among the tokens */
    size_t n_gaps;
    float *rows; /* [n_gaps, vocab_size] probabilities */
} gaps;

static bool find_mask(gaps *g)
{
    if (ink_model_get_encoder(g->lm.model)->task != INK_TASK_FILL)
        return console_complain("%s: this %s fills no gaps: it needs a head for masked language modelling",
                                g->lm.folder, g->lm.info->kind);
    if (ids_in && mask_id == UINT64_MAX)
        return console_complain("--ids-in needs --mask: which id is a gap");
    g->mask = ids_in ? (ink_token)mask_id : ink_tokenizer_control(g->lm.tokenizer, INK_CONTROL_MASK);
    return g->mask >= 0 || console_complain("%s: the tokenizer has no mask token", g->lm.folder);
}

/* Replaces each [MASK] by the folder's mask token. */
static bool write_text(gaps *g, const char *text)
{
    size_t size, n = 0;
    const char *mask = ink_tokenizer_token(g->lm.tokenizer, g->mask, &size), *next;
    for (const char *at = text; (at = strstr(at, GAP)) != NULL; at++)
        n++;
    char *out = g->text = console_memory(strlen(text) + n * size + 1, 1);
    if (out == NULL)
        return false;
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
    size_t most = ink_model_get_encoder(g->lm.model)->max_tokens;
    const ink_encode_input input = {.text = g->text, .size = ids_in ? 0 : strlen(g->text), .flags = INK_ENCODE_DEFAULT};
    if (!(ids_in ? lm_read_ids(&g->lm, line.arguments[1], strlen(line.arguments[1]), &g->tokens, &g->n_tokens)
                 : lm_encode_input(&g->lm, &input, &g->tokens, &g->types, NULL, &g->n_tokens)))
        return false;
    if (g->n_tokens > most)
        return console_complain("the text has %zu tokens, and this model was made for %zu", g->n_tokens, most);
    g->positions = console_memory(g->n_tokens, sizeof *g->positions);
    for (size_t i = 0; g->positions != NULL && i < g->n_tokens; i++)
        if (g->tokens[i] == g->mask)
            g->positions[g->n_gaps++] = i;
    if (g->positions != NULL && g->n_gaps == 0)
        return ids_in ? console_complain("there is no gap in the text: it is written %d", (int)g->mask)
                      : console_complain("there is no gap in the text: it is written " GAP);
    g->rows = g->n_gaps > 0 ? console_memory(g->n_gaps, g->lm.info->vocab_size * sizeof *g->rows) : NULL;
    return g->rows != NULL;
}

/* Prints a token as text, without the space that a word begins with. */
static bool print_token(const language_model *lm, ink_token token, float probability)
{
    char text[512], shown[512];
    size_t size = 0;
    if (lm->tokenizer == NULL)
        return console_print("%.4f  %d\n", (double)probability, (int)token);
    if (ink_tokenizer_decode(lm->ctx, lm->tokenizer, &token, 1, text, sizeof text - 1, &size) != INK_OK || size == 0) {
        const char *name = ink_tokenizer_token(lm->tokenizer, token, &size); /* a control token has no other text */
        size = name == NULL ? 0 : size < sizeof text ? size : sizeof text - 1;
        memcpy(text, name != NULL ? name : "", size);
    }
    text[size] = '\0';
    return console_print("%.4f  %s\n", (double)probability,
                         console_harmless(shown, sizeof shown, text + strspn(text, " ")));
}

/* Prints the likeliest tokens of one gap; overwrites the row. */
static bool print_gap(const language_model *lm, float *row)
{
    for (size_t i = 0; i < n_best && i < lm->info->vocab_size; i++) {
        size_t best = ink_argmax(row, lm->info->vocab_size);
        if (!print_token(lm, (ink_token)best, row[best]))
            return false;
        row[best] = -1;
    }
    return true;
}

static bool fill_gaps(gaps *g)
{
    const language_model *lm = &g->lm;
    char bytes[CONSOLE_ROOM], rate[CONSOLE_ROOM];
    if (!find_mask(g) || (!ids_in && !write_text(g, line.arguments[1])) || !find_gaps(g))
        return false;
    ink_text text = {.tokens = g->tokens,
                     .n_tokens = g->n_tokens,
                     .types = lm_has_types(lm) ? g->types : NULL,
                     .positions = g->positions,
                     .n_positions = g->n_gaps,
                     .output = g->rows};
    double begin = console_seconds();
    if (!console_ok_list(lm->ctx, ink_model_encode(lm->ctx, lm->model, INK_PROBABILITIES, &text, 1), &(size_t){1}))
        return false;
    double seconds = console_seconds() - begin;
    for (size_t i = 0; i < g->n_gaps; i++)
        if ((g->n_gaps > 1 && !console_print("%sgap %zu:\n", i > 0 ? "\n" : "", i + 1)) ||
            !print_gap(lm, g->rows + i * lm->info->vocab_size))
            return false;
    console_note("%s: %zu tokens, %s tokens/s; memory: %s of weights", lm->info->kind, g->n_tokens,
                 console_rate(rate, g->n_tokens, seconds), console_bytes(bytes, lm->info->n_bytes));
    return true;
}

static bool fill(ink_context *ctx)
{
    gaps g = {0};
    bool done =
        lm_open_encoder(&g.lm, ctx, line.arguments[0], INK_POOLING_NONE, ids_in ? LM_NO_TOKENIZER : LM_TOKENIZER) &&
        fill_gaps(&g);
    free(g.text);
    free(g.tokens);
    free(g.types);
    free(g.positions);
    free(g.rows);
    lm_close(&g.lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, fill); }
