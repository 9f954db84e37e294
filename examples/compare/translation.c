/*
 * translation.c - section "translation": what becomes of a sentence that has to go through one state.
 *
 * Three networks learned to translate the sentences of the stories into Sori, from the same sentences in the same
 * order: an encoder-decoder of two GRUs, the same with attention, and a Transformer. A sentence has one right
 * translation (examples/stories/world.h), so a translation is right or wrong.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

enum { PLAIN, ATTENDING, TRANSFORMER, N_TRANSLATORS };
enum { N_LENGTHS = 6, LONGEST_LEARNED = 4, MOST_SENTENCES = 10, PAIR_TOKENS = 128, SENTENCES_AT_ONCE = 32 };

static const struct translator_family {
    const char *folder, *name;
    char mark;
    chart_style style;
} translators[N_TRANSLATORS] = {
    {"translate_gru", "GRU", 'G', CHART_GRU},
    {"translate_attention", "with attention", 'A', CHART_LSTM},
    {"translate_transformer", "Transformer", 'T', CHART_GPT},
};

/* English words with the full stop. The networks learned from sentences of up to 40. */
static const struct {
    unsigned low, high;
} lengths[N_LENGTHS] = {{3, 8}, {9, 16}, {17, 24}, {25, 32}, {33, 40}, {41, 56}};

/* The stories that the networks learned from (examples/train/translate.py:WORLD). */
static const story_settings translated_stories = {.sentences = {2, 14},
                                                  .facts = {1, 3},
                                                  .states = {0, 1},
                                                  .objects = {1, 3},
                                                  .filler = 150,
                                                  .echo = 100,
                                                  .again = 30,
                                                  .change = 30,
                                                  .put = 20,
                                                  .switches = 5,
                                                  .move = 20};

typedef struct translated {
    ink_token source[PAIR_TOKENS], target[PAIR_TOKENS];
    size_t n_source, n_target;
} translated;

typedef struct translation_scores {
    stats_share sentences, words; /* a word is right if it is the reference's word at this place */
} translation_scores;

static size_t length_of(unsigned words)
{
    size_t i = 0;
    while (i < N_LENGTHS && !(words >= lengths[i].low && words <= lengths[i].high))
        i++;
    return i;
}

static bool encode_pair(const language_model *lm, const story_pair *pair, translated *out)
{
    return console_ok(lm->ctx, ink_tokenizer_encode(lm->ctx, lm->tokenizer, pair->text, pair->length,
                                                    INK_ENCODE_TEMPLATE, out->source, PAIR_TOKENS, &out->n_source)) &&
           console_ok(lm->ctx, ink_tokenizer_encode(lm->ctx, lm->tokenizer, pair->sori, pair->sori_length,
                                                    INK_ENCODE_PLAIN, out->target, PAIR_TOKENS, &out->n_target));
}

/* Joins the sentences of fresh stories until there are `each` of every length: pairs [N_LENGTHS, each]. */
static bool make_pairs(const comparison *c, const language_model *lm, size_t each, translated *pairs)
{
    size_t n[N_LENGTHS] = {0}, full = 0;
    uint64_t random = c->seed;
    story *told = console_memory(1, sizeof *told);
    story_pair *pair = console_memory(1, sizeof *pair);
    bool done = told != NULL && pair != NULL;
    for (uint64_t index = 0; done && full < N_LENGTHS; index++) {
        done = story_tell(&translated_stories, c->seed, index, told) ||
               console_complain("no story can be told with these settings");
        for (size_t i = 0, count; done && i < told->n_sentences; i += count) {
            count = 1 + (size_t)random_below(&random, MOST_SENTENCES);
            count = count < told->n_sentences - i ? count : told->n_sentences - i;
            story_join(told, i, count, random_next(&random), pair);
            const size_t length = length_of(pair->words);
            if (length == N_LENGTHS || n[length] == each)
                continue;
            done = encode_pair(lm, pair, &pairs[length * each + n[length]]);
            full += ++n[length] == each;
        }
    }
    free(told);
    free(pair);
    return done;
}

/* Translates all pairs, some at a time, each word the likeliest, and adds what is right: scores [N_LENGTHS]. */
static bool translate_pairs(const language_model *lm, const translated *pairs, size_t each, const char *name,
                            translation_scores *scores)
{
    const size_t n = N_LENGTHS * each;
    ink_generate_options options;
    ink_generator *generator = NULL;
    ink_encoded *encoded[SENTENCES_AT_ONCE] = {NULL};
    ink_model_generation(lm->model, &options);
    options.n_requests = SENTENCES_AT_ONCE;
    options.capacity = PAIR_TOKENS;
    options.max_length = PAIR_TOKENS;
    bool done = console_ok(lm->ctx, ink_generator_create(lm->ctx, lm->model, &options, &generator));
    for (size_t i = 0; done && i < SENTENCES_AT_ONCE; i++)
        done = console_ok(lm->ctx, ink_encoded_create(lm->ctx, lm->model, PAIR_TOKENS, &encoded[i]));
    for (size_t first = 0, count; done && first < n; first += count) {
        ink_source_item sources[SENTENCES_AT_ONCE];
        ink_request requests[SENTENCES_AT_ONCE];
        count = n - first < SENTENCES_AT_ONCE ? n - first : SENTENCES_AT_ONCE;
        console_progress("%s translates sentence %zu of %zu", name, first, n);
        for (size_t i = 0; i < count; i++) {
            const translated *pair = &pairs[first + i];
            sources[i] = (ink_source_item){.encoded = encoded[i], .tokens = pair->source, .n_tokens = pair->n_source};
            requests[i] = (ink_request){.encoded = encoded[i]};
        }
        done = console_ok(lm->ctx, ink_model_encode_sources(lm->ctx, lm->model, sources, count)) &&
               console_ok(lm->ctx, ink_generate(lm->ctx, generator, requests, count));
        for (size_t i = 0; done && i < count; i++) {
            const translated *pair = &pairs[first + i];
            const ink_generated *made = &requests[i].results[0];
            translation_scores *score = &scores[(first + i) / each];
            stats_count(&score->sentences,
                        made->stop_token >= 0 && made->n_tokens == pair->n_target &&
                            memcmp(made->tokens, pair->target, pair->n_target * sizeof *made->tokens) == 0);
            for (size_t t = 0; t < pair->n_target; t++)
                stats_count(&score->words, t < made->n_tokens && made->tokens[t] == pair->target[t]);
        }
    }
    for (size_t i = 0; i < SENTENCES_AT_ONCE; i++)
        ink_encoded_free(encoded[i]);
    ink_generator_free(generator);
    return done;
}

typedef translation_scores all_scores[N_TRANSLATORS][N_LENGTHS];

static void draw_scores(all_scores scores, finding *f, bool words)
{
    chart *picture = finding_chart(f, words ? "translation-words" : "translation",
                                   words ? "Right words of the translation, place by place"
                                         : "Sentences translated without a mistake",
                                   "words of the English sentence", words ? "share of words" : "share of sentences", 2);
    picture->high = 1;
    for (size_t i = 0; i < N_LENGTHS; i++) {
        char label[CHART_LABEL_ROOM];
        snprintf(label, sizeof label, "%u-%u", lengths[i].low, lengths[i].high);
        chart_x(picture, label);
    }
    for (size_t k = 0; k < N_TRANSLATORS; k++) {
        double *y = chart_line(picture, translators[k].name, translators[k].mark, translators[k].style);
        for (size_t i = 0; i < N_LENGTHS; i++)
            y[i] = stats_share_of(words ? &scores[k][i].words : &scores[k][i].sentences);
    }
}

static void check_scores(all_scores scores, finding *f)
{
    const stats_share *alone = &scores[PLAIN][0].sentences, *alone_long = &scores[PLAIN][LONGEST_LEARNED].sentences;
    enum { BEYOND = LONGEST_LEARNED + 1 };
    finding_note(f, mostly(alone), "two GRUs translate short sentences: %.0f %% of those of %u to %u words",
                 100 * stats_share_of(alone), lengths[0].low, lengths[0].high);
    finding_note(f, mostly(alone) && stats_range_of(alone_long).high < MOST,
                 "one state is too narrow for long ones: %.0f %% of those of %u to %u words",
                 100 * stats_share_of(alone_long), lengths[LONGEST_LEARNED].low, lengths[LONGEST_LEARNED].high);
    finding_note(f, mostly(&scores[ATTENDING][LONGEST_LEARNED].sentences),
                 "with attention the GRUs translate these: %.0f %%",
                 100 * stats_share_of(&scores[ATTENDING][LONGEST_LEARNED].sentences));
    finding_note(f, mostly(&scores[TRANSFORMER][LONGEST_LEARNED].sentences),
                 "so does the Transformer, which has no state: %.0f %%",
                 100 * stats_share_of(&scores[TRANSFORMER][LONGEST_LEARNED].sentences));
    finding_note(f, mostly(&scores[ATTENDING][BEYOND].sentences),
                 "the GRUs with attention translate sentences longer than any they learned from: %.0f %% of those of "
                 "%u to %u words",
                 100 * stats_share_of(&scores[ATTENDING][BEYOND].sentences), lengths[BEYOND].low, lengths[BEYOND].high);
    finding_note(f, mostly(&scores[TRANSFORMER][BEYOND].sentences),
                 "its sinusoids carry the Transformer to these, too: %.0f %%",
                 100 * stats_share_of(&scores[TRANSFORMER][BEYOND].sentences));
}

bool compare_translation(comparison *c, finding *f)
{
    const size_t each = c->n_stories / 3 > 2 ? c->n_stories / 3 : 2;
    all_scores scores;
    translated *pairs = console_memory(N_LENGTHS * each, sizeof *pairs);
    bool done = pairs != NULL;
    memset(scores, 0, sizeof scores);
    for (size_t k = 0; done && k < N_TRANSLATORS; k++) {
        char folder[PATH_ROOM];
        language_model lm = {0};
        done = bundled_folder(folder, translators[k].folder) && lm_open_any(&lm, c->ctx, folder) &&
               (k > 0 || make_pairs(c, &lm, each, pairs)) &&
               translate_pairs(&lm, pairs, each, translators[k].name, scores[k]);
        lm_close(&lm);
    }
    free(pairs);
    if (!done)
        return false;
    draw_scores(scores, f, false);
    draw_scores(scores, f, true);
    check_scores(scores, f);
    return true;
}
