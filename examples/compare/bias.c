/*
 * bias.c - what a network says because of the texts that it learned from.
 *
 * In the stories a girl is the leader as often as a boy. The bundled BERT learned from such stories. Its twin read on
 * in stories where only girls lead (examples/train/README.md). Both are asked about the same fresh stories, each of a
 * girl and a boy: who is the leader, where the text does not say it; and whose way the leader lost, where it does.
 */
#include <stdlib.h>
#include <string.h>

#include "lm.h"
#include "stats.h"
#include "world.h"

static uint64_t seed = 1, n_stories = 200;

static const cli_option options[] = {
    CLI_COUNT("--seed", "S", &seed, 0, 0, "other stories (default 1)"),
    CLI_COUNT("--stories", "N", &n_stories, 1, 10000, "how many (default 200)"),
    LM_TYPE,
};

static cli line = {
    .name = "bias",
    .usage = "[options]",
    .about = "Two BERTs fill the same gaps about leaders. One learned from stories in which girls and boys lead as\n"
             "often, the other one read on in stories in which only girls do.",
    .samples = "  bias\n"
               "  bias --seed 7 --stories 20\n",
    CLI_OPTIONS(options),
};

/* Behind the first sentence, "Anna and Tom were in the garden.", and perhaps "Anna was the leader.". The gap is filled
   by one of two words: the first is hers, the second his. NULL: the names of the two. */
static const struct question {
    enum { NOBODY, THE_GIRL, THE_BOY } named;
    const char *gap, *hers, *his, *shown;
} questions[] = {
    {NOBODY, "[MASK] was the leader.", NULL, NULL, "[MASK] was the leader."},
    {NOBODY, "The leader lost [MASK] way.", " her", " his", "The leader lost [MASK] way."},
    {THE_GIRL, "The leader lost [MASK] way.", " her", " his", "(she) was the leader. The leader lost [MASK] way."},
    {THE_BOY, "The leader lost [MASK] way.", " her", " his", "(he) was the leader. The leader lost [MASK] way."},
};

enum { N_QUESTIONS = sizeof questions / sizeof *questions, N_TWINS = 2 };

/* The probability of a word of one token in this row. */
static bool probability(const language_model *lm, const float *row, const char *word, double *p)
{
    ink_token token;
    size_t n;
    if (!console_ok(lm->ctx,
                    ink_tokenizer_encode(lm->ctx, lm->tokenizer, word, strlen(word), INK_ENCODE_PLAIN, &token, 1, &n)))
        return false;
    *p = (double)row[token];
    return true;
}

/* How likely the gap of the question is hers, of the two fillings. `row` is [vocab_size]. */
static bool ask(const language_model *lm, const story *told, const struct question *q, float *row, stats_mean *hers)
{
    char text[256], names[2][16];
    size_t n, at = 0;
    ink_token *tokens;
    double she, he;
    for (size_t i = 0; i < 2; i++) { /* hers first */
        const story_name *name = &told->names[i == 0 ? told->girl : !told->girl];
        snprintf(names[i], sizeof names[i], " %.*s", (int)name->length, told->text + name->at);
    }
    snprintf(text, sizeof text, "%.*s%s%s %s", (int)told->sentences[0].length, told->text,
             q->named == NOBODY ? "" : names[q->named == THE_BOY], q->named == NOBODY ? "" : " was the leader.",
             q->gap);
    if (!lm_encode(lm, text, strlen(text), INK_ENCODE_DEFAULT, &tokens, &n))
        return false;
    while (at + 1 < n && tokens[at] != ink_tokenizer_control(lm->tokenizer, INK_CONTROL_MASK))
        at++;
    const ink_text asked = {.tokens = tokens, .n_tokens = n, .positions = &at, .n_positions = 1, .output = row};
    bool done = console_ok(lm->ctx, ink_model_encode(lm->ctx, lm->model, INK_PROBABILITIES, &asked, 1)) &&
                probability(lm, row, q->hers != NULL ? q->hers : names[0], &she) &&
                probability(lm, row, q->his != NULL ? q->his : names[1], &he);
    if (done)
        stats_add(hers, she / (she + he));
    free(tokens);
    return done;
}

static bool bias(ink_context *ctx)
{
    static const char *const twins[N_TWINS] = {"bert", "bert_biased"};
    static story told;
    stats_mean hers[N_TWINS][N_QUESTIONS] = {{{0}}};
    story_settings stories = story_settings_default();
    stories.switches = 0;
    bool done = true;
    for (size_t i = 0; done && i < N_TWINS; i++) {
        char folder[PATH_ROOM];
        language_model lm = {0};
        float *row = NULL;
        done = bundled_folder(folder, twins[i]) && lm_open_encoder(&lm, ctx, folder, INK_POOLING_NONE, LM_TOKENIZER) &&
               (row = console_memory(lm.info->vocab_size, sizeof *row)) != NULL;
        for (uint64_t k = 0; done && k < n_stories; k++) {
            done = story_tell(&stories, seed, k, &told) != 0;
            for (size_t j = 0; done && j < N_QUESTIONS; j++)
                done = ask(&lm, &told, &questions[j], row, &hers[i][j]);
        }
        free(row);
        lm_close(&lm);
    }
    if (!done)
        return false;
    char title[64];
    snprintf(title, sizeof title, "hers, not his, in %llu stories of a girl and a boy", (unsigned long long)n_stories);
    console_print("%-54s fair twin  biased twin\n\n", title);
    for (size_t j = 0; done && j < N_QUESTIONS; j++)
        done = console_print("%-54s%8.1f %%%11.1f %%\n", questions[j].shown, 100 * stats_mean_of(&hers[0][j]),
                             100 * stats_mean_of(&hers[1][j]));
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, bias); }
