/*
 * test_tasks.c - what encoders are used for: answers as transformers' pipeline finds them, texts ranked by a
 * cross-encoder, tags at the edges. (test_programs_encoders has the tags of transformers' pipeline.)
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "encoders.h"
#include "fixture.h"

/* ---- questions with their answers ------------------------------------------------------------------------------- */

#define ANSWERS FIXTURES "/answers"
/* The one in the box is sure of its answers: its logits are large, and so are the differences of float32. */
static const struct {
    const char *name, *folder;
    float within;
} answer_models[] = {
    {"bert", ANSWERS "/bert", 1e-6f},       {"distilbert", ANSWERS "/distilbert", 1e-6f},
    {"roberta", ANSWERS "/roberta", 1e-6f}, {"xlm_roberta", ANSWERS "/xlm_roberta", 1e-6f},
    {"mpnet", ANSWERS "/mpnet", 1e-6f},     {"modernbert", ANSWERS "/modernbert", 1e-6f},
    {"bundled", MODELS "/answer", 1e-5f},
};
enum { N_ANSWER_MODELS = sizeof answer_models / sizeof *answer_models, MOST_ANSWERS = 32, MOST_QUESTIONS = 64 };

/* A question of a fixture (make_answers.py), encoded, with its settings and the reference's answers. */
typedef struct asked {
    ink_passage passage;
    ink_answer_options options;
    const char *question;
    size_t n_expected;
    ink_answer expected[MOST_ANSWERS];
} asked;

typedef struct answer_fixture {
    ink_context *ctx;
    ink_model *model;
    ink_tokenizer *tokenizer;
    char *file;
    asked *all; /* [n] */
    size_t n;
} answer_fixture;

/* Encodes a text (with `text` NULL), or a pair; release_passage() frees it. */
static ink_passage encode_passage(const answer_fixture *f, const char *question, const char *text)
{
    const ink_encode_input input = {.text = question,
                                    .size = strlen(question),
                                    .pair = text,
                                    .pair_size = text != NULL ? strlen(text) : 0,
                                    .flags = INK_ENCODE_DEFAULT};
    size_t room = input.size + input.pair_size + 8, n;
    ink_token *tokens = calloc(room, sizeof *tokens), *types = calloc(room, sizeof *types);
    ink_place *places = calloc(room, sizeof *places);
    assert_true(tokens != NULL && types != NULL && places != NULL);
    assert_ok(f->ctx, ink_tokenizer_encode_input(f->ctx, f->tokenizer, &input, tokens, types, places, room, &n));
    if (ink_model_get_encoder(f->model)->n_types < 2)
        memset(types, 0, n * sizeof *types);
    return (ink_passage){.tokens = tokens,
                         .types = types,
                         .places = places,
                         .n_tokens = n,
                         .text = text != NULL ? text : question,
                         .size = text != NULL ? input.pair_size : input.size};
}

static void release_passage(const ink_passage *p)
{
    free((void *)(uintptr_t)p->tokens);
    free((void *)(uintptr_t)p->types);
    free((void *)(uintptr_t)p->places);
}

static char *next_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    assert_non_null(end);
    *end = '\0';
    *at = end + 1;
    return line;
}

static answer_fixture open_answers(ink_context *ctx, const char *name)
{
    answer_fixture f = {.ctx = ctx};
    char text[64];
    size_t size, k = 0;
    while (strcmp(answer_models[k].name, name) != 0)
        k++;
    snprintf(text, sizeof text, "%s.txt", name);
    assert_ok(ctx, ink_model_open(ctx, answer_models[k].folder, NULL, &f.model));
    assert_ok(ctx, ink_tokenizer_open(ctx, answer_models[k].folder, &f.tokenizer));
    f.file = test_read_file(ANSWERS, text, &size);
    assert_non_null(f.file);
    f.all = calloc(MOST_QUESTIONS, sizeof *f.all);
    assert_non_null(f.all);
    for (char *at = f.file; *at != '\0'; f.n++) {
        assert_true(f.n < MOST_QUESTIONS);
        asked *q = &f.all[f.n];
        char *line = next_line(&at);
        q->options.n_best = strtoul(line, &line, 10);
        q->options.max_tokens = strtoul(line, &line, 10);
        long stride = strtol(line, &line, 10); /* -1: not given, which 0 means to the library */
        q->options.stride = stride == 0 ? INK_NO_STRIDE : stride > 0 ? (size_t)stride : 0;
        q->options.max_answer_tokens = strtoul(line, &line, 10);
        q->options.may_be_impossible = strtoul(line, &line, 10) != 0;
        q->n_expected = strtoul(line, &line, 10);
        assert_true(q->options.n_best <= MOST_ANSWERS && q->n_expected <= MOST_ANSWERS);
        q->question = next_line(&at);
        q->passage = encode_passage(&f, q->question, next_line(&at));
        for (size_t i = 0; i < q->n_expected; i++) {
            line = next_line(&at);
            q->expected[i].score = strtof(line, &line);
            q->expected[i].start = strtoul(line, &line, 10);
            q->expected[i].stop = strtoul(line, &line, 10);
        }
    }
    return f;
}

static void close_answers(answer_fixture *f)
{
    for (size_t i = 0; i < f->n; i++)
        release_passage(&f->all[i].passage);
    free(f->all);
    free(f->file);
    ink_tokenizer_free(f->tokenizer);
    ink_model_free(f->model);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void answers_are_the_references(ink_context *ctx)
{
    for (size_t k = 0; k < N_ANSWER_MODELS; k++) {
        answer_fixture f = open_answers(ctx, answer_models[k].name);
        size_t n_windows = 0, most = ink_model_get_encoder(f.model)->max_tokens;
        for (size_t i = 0; i < f.n; i++) {
            const asked *q = &f.all[i];
            ink_answer found[MOST_ANSWERS];
            size_t n;
            assert_ok(ctx, ink_model_answer(ctx, f.model, &q->passage, 1, &q->options, found, &n));
            n_windows += q->passage.n_tokens > (q->options.max_tokens != 0 ? q->options.max_tokens : most);
            bool same = n == q->n_expected;
            for (size_t j = 0; j < n && same; j++)
                same = found[j].start == q->expected[j].start && found[j].stop == q->expected[j].stop &&
                       fabsf(found[j].score - q->expected[j].score) <= answer_models[k].within;
            if (!same)
                fail_msg("%s, question %zu: %zu answers, the first %g at %zu to %zu; expected %zu, %g at %zu to %zu",
                         answer_models[k].name, i, n, (double)found[0].score, found[0].start, found[0].stop,
                         q->n_expected, (double)q->expected[0].score, q->expected[0].start, q->expected[0].stop);
        }
        assert_true(f.n >= 24 && n_windows >= 6);
        close_answers(&f);
    }
}

/* Questions asked together get the bits of those asked alone, on any number of threads. */
static void questions_may_be_asked_together(void **unused)
{
    (void)unused;
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        ink_context *ctx = test_context(threads);
        answer_fixture f = open_answers(ctx, "bert");
        const ink_answer_options options = {.n_best = 3, .may_be_impossible = true, .max_tokens = 60, .stride = 5};
        ink_passage passages[MOST_QUESTIONS];
        ink_answer together[MOST_QUESTIONS * 3], alone[3];
        size_t n_together[MOST_QUESTIONS], n;
        for (size_t i = 0; i < f.n; i++)
            passages[i] = f.all[i].passage;
        assert_ok(ctx, ink_model_answer(ctx, f.model, passages, f.n, &options, together, n_together));
        for (size_t i = 0; i < f.n; i++) {
            assert_ok(ctx, ink_model_answer(ctx, f.model, &passages[i], 1, &options, alone, &n));
            assert_int_equal(n, n_together[i]);
            for (size_t j = 0; j < n; j++) {
                assert_memory_equal(&alone[j].score, &together[3 * i + j].score, sizeof alone[j].score);
                assert_int_equal(alone[j].start, together[3 * i + j].start);
                assert_int_equal(alone[j].stop, together[3 * i + j].stop);
            }
        }
        assert_ok(ctx, ink_model_answer(ctx, f.model, NULL, 0, NULL, NULL, NULL));
        close_answers(&f);
        ink_context_free(ctx);
    }
}

/* What the reference fails for, or does not have. */
static void questions_at_the_edge(ink_context *ctx)
{
    answer_fixture f = open_answers(ctx, "bert");
    const char *const long_question = "the cat the cat the cat the cat the cat the cat the cat the cat the cat";
    ink_answer found[4] = {{0, 0, 0}};
    size_t n;

    /* No words: there is no answer, and that is certain. */
    ink_passage empty = encode_passage(&f, "who", "  ");
    assert_ok(ctx, ink_model_answer(ctx, f.model, &empty, 1, NULL, found, &n));
    assert_int_equal(n, 0);
    assert_ok(ctx,
              ink_model_answer(ctx, f.model, &empty, 1, &(ink_answer_options){.may_be_impossible = true}, found, &n));
    assert_true(n == 1 && found[0].score == 1 && found[0].start == 0 && found[0].stop == 0);
    release_passage(&empty);

    /* A long question leaves little room: by default windows then share half of it. */
    ink_passage p = encode_passage(&f, long_question,
                                   "the cat is in the house by the water and the dog was in the house "
                                   "by the river of Seoul and who was in the water");
    size_t n_question = 0;
    for (size_t t = 0; t < p.n_tokens; t++)
        n_question += p.places[t].text != 1;
    ink_answer_options options = {.n_best = 4, .max_tokens = n_question + 4};
    assert_ok(ctx, ink_model_answer(ctx, f.model, &p, 1, &options, found, &n));
    assert_int_equal(n, 4);
    ink_answer half[4];
    options.stride = 2;
    assert_ok(ctx, ink_model_answer(ctx, f.model, &p, 1, &options, half, &n));
    for (size_t i = 0; i < 4; i++)
        assert_true(found[i].start == half[i].start && found[i].score == half[i].score);
    options.stride = 4;
    assert_fails(ctx, ink_model_answer(ctx, f.model, &p, 1, &options, found, &n), INK_ERROR_LIMIT,
                 "text 0: a window has room for 4 tokens of the passage, and cannot share 4 with the next");
    options.max_tokens = n_question;
    assert_fails(ctx, ink_model_answer(ctx, f.model, &p, 1, &options, found, &n), INK_ERROR_LIMIT,
                 "leaves no room for the passage in a window of");
    release_passage(&p);
    close_answers(&f);
}

static void refuses_to_answer(ink_context *ctx)
{
    answer_fixture f = open_answers(ctx, "bert");
    ink_model *model = NULL;
    ink_answer found[2];
    size_t n[2];
    ink_place places[16];
    ink_token tokens[16];
    ink_passage own = encode_passage(&f, "who", "the cat is"), p[2] = {f.all[0].passage, own};
    const ink_answer_options window = {.max_tokens = 73};
    memcpy(places, own.places, own.n_tokens * sizeof *places);
    memcpy(tokens, own.tokens, own.n_tokens * sizeof *tokens);

    assert_fails(ctx, ink_model_answer(ctx, f.model, p, 2, &window, found, n), INK_ERROR_LIMIT,
                 "a window of 73 tokens is too long: this model allows 72");
    assert_fails(ctx, ink_model_answer(ctx, f.model, p, 2, NULL, NULL, n), INK_ERROR_ARGUMENT,
                 "argument 'answers' is NULL");
    const ink_passage bare = {.tokens = tokens, .places = NULL, .n_tokens = 3};
    assert_fails(ctx, ink_model_answer(ctx, f.model, &bare, 1, NULL, found, n), INK_ERROR_ARGUMENT,
                 "text 0: there are no tokens, or no places of tokens");
    p[1].places = places;
    p[1].tokens = tokens;
    size_t first = 0, last = own.n_tokens - 2;
    while (places[first].text != 1)
        first++;
    places[last].stop = 11;
    assert_fails(ctx, ink_model_answer(ctx, f.model, p, 2, NULL, found, n), INK_ERROR_ARGUMENT,
                 "at 8 to 11, but the passage has 10 bytes");
    places[last].stop = 7;
    assert_fails(ctx, ink_model_answer(ctx, f.model, p, 2, NULL, found, n), INK_ERROR_ARGUMENT, "at 8 to 7");
    places[last].stop = 10;
    places[first + 1].text = 0;
    assert_fails(ctx, ink_model_answer(ctx, f.model, p, 2, NULL, found, n), INK_ERROR_ARGUMENT,
                 "does not follow the other tokens of the passage");
    places[first + 1].text = 1;
    tokens[1] = (ink_token)ink_model_get_info(f.model)->vocab_size;
    assert_fails(ctx, ink_model_answer(ctx, f.model, p, 2, NULL, found, n), INK_ERROR_ARGUMENT, "text 1: token 1 is ");
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/encoders/bert_text", NULL, &model));
    assert_fails(ctx, ink_model_answer(ctx, model, p, 2, NULL, found, n), INK_ERROR_UNSUPPORTED,
                 "this bert model answers no questions: it needs a head for question answering");
    ink_model_free(model);
    release_passage(&own);
    close_answers(&f);
}

/* As many answers as there are spans, whatever number is asked for. */
static void all_answers_may_be_asked_for(ink_context *ctx)
{
    answer_fixture f = open_answers(ctx, "distilbert");
    ink_passage p = encode_passage(&f, "who", "the cat is by");
    const ink_answer_options options = {.n_best = 1000, .max_answer_tokens = SIZE_MAX};
    static ink_answer found[1000];
    size_t n;
    assert_ok(ctx, ink_model_answer(ctx, f.model, &p, 1, &options, found, &n));
    assert_int_equal(n, 4 * 5 / 2);
    for (size_t i = 1; i < n; i++)
        assert_true(found[i - 1].score >= found[i].score && found[i].stop <= p.size);
    release_passage(&p);
    close_answers(&f);
}

/* The question is named for which the model computes a NaN, and those before it are answered. */
static void damaged_weights_are_named(ink_context *ctx)
{
    static const char *const texts[] = {"the dog is good", "a dog is not good", "the cat is bad", "a dog"};
    answer_fixture f = {.ctx = ctx};
    fixture_files files;
    ink_weights *weights = NULL;
    ink_passage p[4];
    ink_answer found[4] = {{0, 0, 0}}, alone;
    size_t n[4], n_alone;
    fixture_files_read(&files, "bert_answer");
    const ink_source source = ink_source_memory(&files.list);
    assert_ok(ctx, ink_weights_open_folder(ctx, &source, &weights));
    const ink_weight *words = ink_weights_find(weights, "bert.embeddings.word_embeddings.weight");
    assert_true(words != NULL && words->type == INK_BF16);
    memset(fixture_files_bytes(&files, "model.safetensors") + words->offset + 7 * 20 * 2, 0xFF, 2); /* "cat" */
    ink_weights_free(weights);
    assert_ok(ctx, fixture_open_files(ctx, "damaged", &files.list, &f.model));
    assert_ok(ctx, ink_tokenizer_open(ctx, FIXTURES "/encoders/bert_answer", &f.tokenizer));
    for (size_t i = 0; i < 4; i++)
        p[i] = encode_passage(&f, "good", texts[i]);
    assert_fails(ctx, ink_model_answer(ctx, f.model, p, 4, NULL, found, n), INK_ERROR_NONFINITE,
                 "text 2: the model computes a NaN or an infinity for it");
    for (size_t i = 0; i < 2; i++) {
        assert_ok(ctx, ink_model_answer(ctx, f.model, &p[i], 1, NULL, &alone, &n_alone));
        assert_true(n[i] == 1 && found[i].score == alone.score && found[i].stop == alone.stop);
    }
    for (size_t i = 0; i < 4; i++)
        release_passage(&p[i]);
    fixture_files_free(&files);
    close_answers(&f);
}

/* Every request for memory may fail, and a second call makes none. */
static void answers_with_little_memory(ink_context *ctx, counting *memory)
{
    ink_context *other = test_context(1); /* whose scratch the tokenizer has filled */
    answer_fixture f = open_answers(other, "bert");
    const ink_answer_options options = {.max_tokens = 40, .stride = 20};
    ink_answer found[2];
    ink_passage p[2] = {f.all[0].passage, f.all[1].passage};
    size_t n[2], k = 1;
    while (
        runs_out_of_memory(ctx, memory, k, ink_model_answer(ctx, f.model, p, 2, &options, found, n), "out of memory"))
        k++;
    assert_true(k > 2);
    size_t takes = memory->takes;
    assert_ok(ctx, ink_model_answer(ctx, f.model, p, 2, &options, found, n));
    assert_int_equal(memory->takes, takes);
    close_answers(&f);
    ink_context_free(other);
}

/* ---- ranking ---------------------------------------------------------------------------------------------------- */

enum { N_RANKED = 9 };

/* The texts of a fixture, some of them twice. */
static size_t ranked_texts(const encoder_fixture *f, ink_text texts[N_RANKED])
{
    for (size_t i = 0; i < N_RANKED; i++)
        texts[i] = f->texts[i * 2 % f->n_texts];
    return N_RANKED;
}

/* Scores are those of the reference; the order is by score, and equal scores keep theirs. */
static void ranks_by_score(void **unused)
{
    static const char *const names[] = {"bert_score", "cross_score", "qwen3_text"};
    (void)unused;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        encoder_fixture f;
        ink_text texts[N_RANKED];
        size_t order[N_RANKED], n_equal = 0;
        float scores[N_RANKED];
        encoder_open(&f, names[k], INK_POOLING_NONE);
        size_t n = ranked_texts(&f, texts);
        float *expected = test_tensor(f.ctx, f.reference, "probabilities", NULL);
        assert_ok(f.ctx, ink_model_rank(f.ctx, f.model, texts, n, order, scores));
        for (size_t i = 0; i < n; i++)
            assert_true(fabsf(scores[i] - expected[i * 2 % f.n_texts]) <= 1e-5f);
        for (size_t i = 1; i < n; i++) {
            assert_true(scores[order[i - 1]] >= scores[order[i]]);
            if (scores[order[i - 1]] == scores[order[i]]) {
                assert_true(order[i - 1] < order[i]);
                n_equal++;
            }
        }
        assert_true(n_equal >= 4);
        assert_ok(f.ctx, ink_model_rank(f.ctx, f.model, NULL, 0, NULL, NULL));
        free(expected);
        encoder_close(&f);
    }
}

static void refuses_to_rank(void **unused)
{
    encoder_fixture f;
    ink_model *model = NULL;
    size_t order[2];
    float scores[2];
    (void)unused;
    encoder_open(&f, "bert_text", INK_POOLING_NONE);
    assert_fails(f.ctx, ink_model_rank(f.ctx, f.model, f.texts, 2, order, scores), INK_ERROR_UNSUPPORTED,
                 "ranks no texts: it needs a head for sequence classification with one label");
    assert_ok(f.ctx, ink_model_open(f.ctx, MODELS "/gpt", NULL, &model));
    assert_fails(f.ctx, ink_model_rank(f.ctx, model, f.texts, 2, order, scores), INK_ERROR_UNSUPPORTED,
                 "a gpt2 model is not an encoder");
    ink_model_free(model);
    encoder_close(&f);

    encoder_open(&f, "bert_score", INK_POOLING_NONE);
    ink_token wrong[] = {2, 66};
    ink_text texts[] = {f.texts[0], {.tokens = wrong, .n_tokens = 2}};
    assert_fails(f.ctx, ink_model_rank(f.ctx, f.model, texts, 2, order, scores), INK_ERROR_ARGUMENT,
                 "text 1: token 1 is 66, expected 0 to 65");
    assert_fails(f.ctx, ink_model_rank(f.ctx, f.model, texts, 2, NULL, scores), INK_ERROR_ARGUMENT,
                 "argument 'order' is NULL");
    encoder_close(&f);
}

/* Every request for memory may fail, and a second call makes none. */
static void ranks_with_little_memory(ink_context *ctx, counting *memory)
{
    encoder_fixture f;
    ink_model *model = NULL;
    ink_text texts[N_RANKED];
    size_t order[N_RANKED];
    float scores[N_RANKED];
    encoder_open(&f, "bert_score", INK_POOLING_NONE);
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/encoders/bert_score", NULL, &model));
    size_t n = ranked_texts(&f, texts), k = 1;
    while (runs_out_of_memory(ctx, memory, k, ink_model_rank(ctx, model, texts, n, order, scores), "out of memory"))
        k++;
    assert_true(k > 1);
    size_t takes = memory->takes;
    assert_ok(ctx, ink_model_rank(ctx, model, texts, n, order, scores));
    assert_int_equal(memory->takes, takes);
    ink_model_free(model);
    encoder_close(&f);
}

/* ---- tags ------------------------------------------------------------------------------------------------------- */

enum { N_TAGGED = 5, MOST_TAGS = 256 };

typedef struct tag_fixture {
    ink_context *ctx;
    answer_fixture of; /* the model and the tokenizer */
    ink_passage texts[N_TAGGED];
    size_t n_tokens;
} tag_fixture;

static tag_fixture open_tagger(ink_context *ctx)
{
    static const char *const texts[N_TAGGED] = {"the cat is good", "", "A doggy: (is) not caf\xC3\xA9 bad",
                                                "the the the dog cat is not good-bad a Cats a dog", "x\xFF y"};
    tag_fixture f = {.ctx = ctx, .of = {.ctx = ctx}};
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/programs/tagger", NULL, &f.of.model));
    assert_ok(ctx, ink_tokenizer_open(ctx, FIXTURES "/programs/tagger", &f.of.tokenizer));
    for (size_t i = 0; i < N_TAGGED; i++) {
        f.texts[i] = encode_passage(&f.of, texts[i], NULL);
        f.n_tokens += f.texts[i].n_tokens;
    }
    return f;
}

static void close_tagger(tag_fixture *f)
{
    for (size_t i = 0; i < N_TAGGED; i++)
        release_passage(&f->texts[i]);
    ink_tokenizer_free(f->of.tokenizer);
    ink_model_free(f->of.model);
}

/* Tags of texts together are those of each alone, whole and in windows. */
static void texts_may_be_tagged_together(ink_context *ctx)
{
    tag_fixture f = open_tagger(ctx);
    for (int rule = 0; rule < INK_N_AGGREGATIONS; rule++)
        for (size_t window = 0; window < 12; window += 6) {
            ink_tag_options options = {
                .aggregation = (ink_aggregation)rule, .max_tokens = window, .keep_outside = true};
            ink_tag tags[MOST_TAGS], alone[MOST_TAGS];
            size_t n[N_TAGGED], n_alone, done = 0;
            assert_ok(ctx, ink_model_tag(ctx, f.of.model, f.texts, N_TAGGED, &options, tags, f.n_tokens, n));
            for (size_t i = 0; i < N_TAGGED; done += n[i++]) {
                assert_ok(ctx, ink_model_tag(ctx, f.of.model, &f.texts[i], 1, &options, alone, MOST_TAGS, &n_alone));
                assert_int_equal(n_alone, n[i]);
                assert_true(n_alone <= f.texts[i].n_tokens);
                for (size_t k = 0; k < n_alone; k++) {
                    const ink_tag *a = &tags[done + k], *b = &alone[k];
                    assert_true(a->label == b->label && a->score == b->score && a->start == b->start &&
                                a->stop == b->stop && a->name == b->name);
                    assert_true(a->start <= a->stop && a->stop <= f.texts[i].size);
                }
            }
            assert_int_equal(n[1], 0); /* [CLS] and [SEP] are no words */
        }
    close_tagger(&f);
}

/* Without aggregation each token of a text in windows has one tag: the better of those that its windows give it. */
static void tokens_in_windows_have_one_tag(ink_context *ctx)
{
    tag_fixture f = open_tagger(ctx);
    const ink_passage *p = &f.texts[3];
    const ink_tag_options options = {.max_tokens = 8, .stride = 4, .keep_outside = true};
    ink_tag tags[MOST_TAGS], part[MOST_TAGS];
    size_t n, n_part, n_own = p->n_tokens - 2, n_better = 0;
    assert_ok(ctx, ink_model_tag(ctx, f.of.model, p, 1, &options, tags, MOST_TAGS, &n));
    assert_int_equal(n, n_own);
    for (size_t i = 0; i < n; i++)
        assert_true(tags[i].start == p->places[i + 1].start && tags[i].stop == p->places[i + 1].stop);
    ink_token ids[8];
    ink_place places[8];
    for (size_t first = 0; first + 6 <= n_own; first += 2) { /* the windows by hand: 6 tokens each, 2 new ones */
        ids[0] = p->tokens[0];
        ids[7] = p->tokens[p->n_tokens - 1];
        places[0] = p->places[0];
        places[7] = p->places[p->n_tokens - 1];
        memcpy(ids + 1, p->tokens + 1 + first, 6 * sizeof *ids);
        memcpy(places + 1, p->places + 1 + first, 6 * sizeof *places);
        const ink_passage window = {.tokens = ids, .places = places, .n_tokens = 8, .text = p->text, .size = p->size};
        assert_ok(ctx, ink_model_tag(ctx, f.of.model, &window, 1, &options, part, MOST_TAGS, &n_part));
        assert_int_equal(n_part, 6);
        for (size_t i = 0; i < 6; i++) {
            assert_true(tags[first + i].score >= part[i].score);
            n_better += tags[first + i].score > part[i].score;
        }
    }
    assert_true(n_better > 0);
    close_tagger(&f);
}

static void refuses_to_tag(ink_context *ctx)
{
    tag_fixture f = open_tagger(ctx);
    ink_model *model = NULL;
    ink_tag tags[MOST_TAGS];
    size_t n[N_TAGGED];
    ink_tag_options all = {.keep_outside = true}, options = {.aggregation = INK_N_AGGREGATIONS};
    assert_fails(ctx, ink_model_tag(ctx, f.of.model, f.texts, 1, &options, tags, MOST_TAGS, n), INK_ERROR_ARGUMENT,
                 "no aggregation 5");
    options = (ink_tag_options){.max_tokens = 65};
    assert_fails(ctx, ink_model_tag(ctx, f.of.model, f.texts, 1, &options, tags, MOST_TAGS, n), INK_ERROR_LIMIT,
                 "a window of 65 tokens is too long: this model allows 64");
    options = (ink_tag_options){.max_tokens = 5, .stride = 3};
    assert_fails(ctx, ink_model_tag(ctx, f.of.model, &f.texts[3], 1, &options, tags, MOST_TAGS, n), INK_ERROR_LIMIT,
                 "text 0: a window has room for 3 tokens of the text, and cannot share 3");
    options = (ink_tag_options){.max_tokens = 2};
    assert_fails(ctx, ink_model_tag(ctx, f.of.model, f.texts, 1, &options, tags, MOST_TAGS, n), INK_ERROR_LIMIT,
                 "leaves no room for the text in a window of 2");
    memset(tags, 0, sizeof tags);
    assert_fails(ctx, ink_model_tag(ctx, f.of.model, f.texts, 3, &all, tags, 3, n), INK_ERROR_LIMIT,
                 "there is room for 3");
    assert_true(n[0] == 4 && n[1] == 0 && n[2] == f.texts[2].n_tokens - 2);
    assert_true(tags[2].stop == 10 && tags[3].name == NULL); /* as many as there is room for */

    ink_place *places = (ink_place *)(uintptr_t)f.texts[0].places;
    places[2].stop = f.texts[0].size + 1;
    assert_fails(ctx, ink_model_tag(ctx, f.of.model, f.texts, 1, &all, tags, MOST_TAGS, n), INK_ERROR_ARGUMENT,
                 "text 0: token 2 is at 4 to 16, but the text has 15 bytes");
    places[2] = (ink_place){.text = -1};
    assert_fails(ctx, ink_model_tag(ctx, f.of.model, f.texts, 1, &all, tags, MOST_TAGS, n), INK_ERROR_ARGUMENT,
                 "text 0: token 3 does not follow the other tokens of the text");
    ink_passage none = {.n_tokens = 0};
    assert_fails(ctx, ink_model_tag(ctx, f.of.model, &none, 1, &all, tags, MOST_TAGS, n), INK_ERROR_ARGUMENT,
                 "no tokens");
    assert_fails(ctx, ink_model_tag(ctx, f.of.model, f.texts, 1, &all, NULL, 1, n), INK_ERROR_ARGUMENT, "'tags'");
    assert_ok(ctx, ink_model_tag(ctx, f.of.model, NULL, 0, NULL, NULL, 0, NULL));
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/encoders/bert_text", NULL, &model));
    assert_fails(ctx, ink_model_tag(ctx, model, f.texts, 1, &all, tags, MOST_TAGS, n), INK_ERROR_UNSUPPORTED,
                 "labels no tokens: it needs a head for token classification");
    ink_model_free(model);
    close_tagger(&f);
}

/* Every request for memory may fail, and a second call makes none. */
static void tags_with_little_memory(ink_context *ctx, counting *memory)
{
    ink_context *other = test_context(1);
    tag_fixture f = open_tagger(other);
    const ink_tag_options options = {.max_tokens = 6};
    ink_tag tags[MOST_TAGS];
    size_t n[N_TAGGED], k = 1;
    while (runs_out_of_memory(ctx, memory, k,
                              ink_model_tag(ctx, f.of.model, f.texts, N_TAGGED, &options, tags, MOST_TAGS, n),
                              "out of memory"))
        k++;
    assert_true(k > 2);
    size_t takes = memory->takes;
    assert_ok(ctx, ink_model_tag(ctx, f.of.model, f.texts, N_TAGGED, &options, tags, MOST_TAGS, n));
    assert_int_equal(memory->takes, takes);
    close_tagger(&f);
    ink_context_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(answers_are_the_references),
        cmocka_unit_test(questions_may_be_asked_together),
        context_test(questions_at_the_edge),
        context_test(refuses_to_answer),
        context_test(all_answers_may_be_asked_for),
        context_test(damaged_weights_are_named),
        counted_test(answers_with_little_memory),
        cmocka_unit_test(ranks_by_score),
        cmocka_unit_test(refuses_to_rank),
        counted_test(ranks_with_little_memory),
        context_test(texts_may_be_tagged_together),
        context_test(tokens_in_windows_have_one_tag),
        context_test(refuses_to_tag),
        counted_test(tags_with_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
