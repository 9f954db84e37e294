/*
 * contradiction.c - section "contradiction": does a model contradict itself? Every model writes stories, and the reader
 * of the world (world.h) reads them. It stops at the first word that no story could have there: somebody acts who is
 * not in the story, the news was bad and is good, the ball was put under the bench and is found on the roof. What a
 * model has forgotten it can only invent. (A few are no contradictions but against the habits of the world: a third
 * object.) A text that the limit of tokens cuts off is read as far as it goes.
 */
#include <math.h>
#include <string.h>

#include "compare.h"

enum { MOST_STORIES = 60, N_BATCH = 20, N_TOKENS = 254, N_LENGTHS = 6 };

/* Words and full stops. The last length is that of the whole text. */
static const size_t lengths[N_LENGTHS] = {8, 16, 32, 64, 128, N_TOKENS};

/* Texts whose first lengths[i] words have no contradiction. */
typedef struct consistent {
    stats_share upto[N_LENGTHS];
} consistent;

static void read_text(const char *text, consistent *x)
{
    const story_settings settings = story_settings_default();
    const size_t size = strlen(text);
    story read;
    const int found = story_read(&settings, STORY_ENGLISH, text, &read);
    size_t words = 0;
    for (size_t i = 0; found == 0 && i < read.length && i < size; i++)
        words += text[i] == ' ' || text[i] == '.';
    for (size_t i = 0; i < N_LENGTHS; i++)
        stats_count(&x->upto[i], found > 0 || read.length == size || (words >= lengths[i] && i + 1 < N_LENGTHS));
}

/* Stories are drawn as the program generate draws them, each with a seed of its own. */
static bool write_stories(comparison *c, size_t family, size_t n, consistent *x)
{
    const language_model *lm = &c->models[family];
    const ink_token begin = lm->info->bos_token;
    const ink_generate_options options = {.n_requests = N_BATCH,
                                          .max_tokens = N_TOKENS,
                                          .capacity = N_TOKENS + 1,
                                          .sampler = {.temperature = 0.8F, .seed = (c->seed - 1) * MOST_STORIES + 1}};
    ink_request requests[N_BATCH];
    ink_generator *generator;
    bool done = console_ok(c->ctx, ink_generator_create(c->ctx, lm->model, &options, &generator));
    for (size_t i = 0; done && i < n; i += N_BATCH) {
        const size_t n_now = n - i < N_BATCH ? n - i : N_BATCH;
        console_progress("%s writes story %zu of %zu", families[family].name, i, n);
        for (size_t k = 0; k < n_now; k++)
            requests[k] = (ink_request){.tokens = &begin, .n_tokens = 1, .seed = i + k};
        done = console_ok(c->ctx, ink_generate(c->ctx, generator, requests, n_now));
        for (size_t k = 0; done && k < n_now; k++) {
            const ink_generated *made = &requests[k].results[0];
            char text[STORY_TEXT_SIZE];
            size_t size;
            done = console_ok(c->ctx, ink_tokenizer_decode(c->ctx, lm->tokenizer, made->tokens, made->n_tokens, text,
                                                           sizeof text - 1, &size));
            if (done) {
                text[size] = '\0';
                read_text(text, x);
            }
        }
    }
    ink_generator_free(generator);
    return done;
}

bool compare_contradiction(comparison *c, finding *f)
{
    const size_t n = c->n_stories < MOST_STORIES ? c->n_stories : MOST_STORIES;
    consistent written[N_FAMILIES] = {{{{0}}}}, told = {{{0}}};
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (!write_stories(c, i, n, &written[i]))
            return false;
    for (size_t i = 0; i < n; i++)
        read_text(c->tales[i].story.text, &told);
    chart *picture =
        finding_chart(f, "contradiction", "Stories that the models write: how many have no contradiction yet",
                      "words and full stops", "share of the stories", 2);
    picture->high = 1;
    finding_lines(picture);
    double *stories = chart_line(picture, "the world's", '=', CHART_REFERENCE);
    for (size_t k = 0; k < N_LENGTHS; k++) {
        chart_x_number(picture, lengths[k]);
        stories[k] = stats_share_of(&told.upto[k]);
        for (size_t i = 0; i < N_FAMILIES; i++)
            picture->lines[i].y[k] = stats_share_of(&written[i].upto[k]);
    }
    const stats_share *mlp = &written[MLP].upto[N_LENGTHS - 1], *rnn = &written[RNN].upto[N_LENGTHS - 1];
    const stats_share *gru = &written[GRU].upto[N_LENGTHS - 1], *lstm = &written[LSTM].upto[N_LENGTHS - 1];
    const stats_share *gpt = &written[GPT].upto[N_LENGTHS - 1];
    const stats_share gated = {gru->right + lstm->right, 2 * n}, others = {mlp->right + rnn->right, 2 * n};
    finding_note(f, stats_range_of(&gated).low > stats_range_of(&others).high,
                 "with gates more stories have no contradiction than without: of %zu by each, %zu of the GRU and %zu "
                 "of the LSTM, %zu of the RNN and %zu of the MLP",
                 n, gru->right, lstm->right, rnn->right, mlp->right);
    finding_note(f, stats_range_of(gpt).low > fmax(stats_range_of(gru).high, stats_range_of(lstm).high),
                 "with attention more have none than with gates: %zu of the GPT's", gpt->right);
    finding_note(f, mostly(gpt), "most stories of the GPT have no contradiction: %.0f %%", 100 * stats_share_of(gpt));
    return true;
}
