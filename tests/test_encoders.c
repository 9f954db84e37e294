/*
 * test_encoders.c - encoders: parity with transformers and sentence-transformers, the same bits however texts are put
 * into lists, what they say about themselves, and what they refuse.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../src/models/networks.h"
#include "counting.h"
#include "encoders.h"
#include "fixture.h"
#include "numbers.h"
#include "oracle_layers.h"

/* ---- parity --------------------------------------------------------------------------------------------------- */

static const struct {
    ink_encoding encoding;
    const char *name;
    double absolute, relative;
} gates[] = {
    {INK_HIDDEN_STATES, "hidden_states", 1e-5, 1e-5}, {INK_POOLED, "pooled", 1e-5, 0},
    {INK_EMBEDDING, "embedding", 1e-5, 1e-5},         {INK_LOGITS, "logits", 2e-5, 2e-5},
    {INK_PROBABILITIES, "probabilities", 1e-5, 0},
};

static void values_are_the_references(encoder_fixture *f)
{
    size_t n, expected_n, n_checked = 0;
    for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++) {
        if (ink_weights_find(f->reference, gates[i].name) == NULL)
            continue;
        float *expected = test_tensor(f->ctx, f->reference, gates[i].name, &expected_n);
        float *out = encoder_run(f->ctx, f, gates[i].encoding, &n);
        assert_int_equal(n, expected_n);
        test_assert_close(out, expected, n, gates[i].absolute, gates[i].relative, f->name);
        free(out);
        free(expected);
        n_checked++;
    }
    assert_true(n_checked >= 1);
}

/* Unit vectors point where the reference's do. */
static void unit_vectors_point_where_the_references_do(void **unused)
{
    static const char *const names[] = {"sentence", "sentence_dense", "sentence_gemma3"};
    (void)unused;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        encoder_fixture f;
        size_t n;
        encoder_open(&f, names[k], INK_POOLING_NONE);
        size_t size = f.encoder->embedding_size;
        float *out = encoder_run(f.ctx, &f, INK_EMBEDDING, &n);
        float *expected = test_tensor(f.ctx, f.reference, "embedding", NULL);
        for (size_t i = 0; i < f.n_texts; i++) {
            double product = 0, length = 0;
            for (size_t j = 0; j < size; j++) {
                product += (double)out[i * size + j] * (double)expected[i * size + j];
                length += (double)out[i * size + j] * (double)out[i * size + j];
            }
            assert_true(product >= 0.99999 && fabs(length - 1) < 1e-6);
        }
        free(out);
        free(expected);
        encoder_close(&f);
    }
}

/* Fillings: the softmax of the logits, in double precision. */
static void filling_probabilities_are_the_softmax(void **unused)
{
    encoder_fixture f;
    size_t n;
    (void)unused;
    encoder_open(&f, "bert_fill", INK_POOLING_NONE);
    float *logits = encoder_run(f.ctx, &f, INK_LOGITS, &n);
    float *out = encoder_run(f.ctx, &f, INK_PROBABILITIES, &n);
    size_t width = f.info->vocab_size;
    assert_int_equal(n, f.n_rows * width);
    for (size_t row = 0; row < f.n_rows; row++) {
        double sum = 0;
        for (size_t j = 0; j < width; j++)
            sum += exp((double)logits[row * width + j]);
        for (size_t j = 0; j < width; j++)
            assert_true(fabs(exp((double)logits[row * width + j]) / sum - (double)out[row * width + j]) < 1e-6);
    }
    free(logits);
    free(out);
    encoder_close(&f);
}

/* The score of a text is that of its last token that is not padding: of the first text the fifth of seven, of the
   second, which is only padding, the first. */
static void padding_has_no_score(void **unused)
{
    static const char *const names[] = {"gpt2_text", "llama_text", "mistral_text", "qwen3_text", "gemma3_text"};
    (void)unused;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        encoder_fixture f;
        size_t n;
        encoder_open(&f, names[k], INK_POOLING_NONE);
        float shorter[4], *out = encoder_run(f.ctx, &f, INK_LOGITS, &n);
        ink_text text = f.texts[0];
        assert_int_equal(text.tokens[6], 9);
        text.n_tokens = 5;
        text.output = shorter;
        assert_ok(f.ctx, ink_model_encode(f.ctx, f.model, INK_LOGITS, &text, 1));
        test_assert_same_bits(shorter, out, f.encoder->n_labels, names[k]);
        free(out);
        encoder_close(&f);
    }
}

/* A text without tokens, and one of more tokens than a pass has rows, in a list whose texts begin in the middle of a
   pass. The sums of 1000 floats of either side differ by their order. */
static void static_embeddings_take_texts_of_any_length(void **unused)
{
    enum { LONG = 1000, N = 8 };
    static const char *const names[] = {"static", "static_folder", "model2vec", "model2vec_quantized"};
    static ink_token tokens[LONG];
    (void)unused;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        encoder_fixture f;
        encoder_open(&f, names[k], INK_POOLING_NONE);
        size_t size = f.encoder->embedding_size;
        float *expected = test_tensor(f.ctx, f.reference, "long.embedding", NULL);
        float *empty = test_tensor(f.ctx, f.reference, "empty.embedding", NULL);
        for (size_t i = 0; i < LONG; i++)
            tokens[i] = (ink_token)(7 * i % f.info->vocab_size);
        const size_t lengths[N] = {0, LONG, 100, LONG, 0, 0, LONG, 0};
        ink_text texts[N];
        float *out = test_floats(N * size);
        for (size_t i = 0; i < N; i++)
            texts[i] =
                (ink_text){.tokens = lengths[i] == 0 ? NULL : tokens, .n_tokens = lengths[i], .output = out + i * size};
        assert_ok(f.ctx, ink_model_encode(f.ctx, f.model, INK_EMBEDDING, texts, N));
        for (size_t i = 0; i < N; i++)
            if (lengths[i] != 100)
                test_assert_close(texts[i].output, lengths[i] == 0 ? empty : expected, size, 1e-6, 1e-6, names[k]);
        test_assert_same_bits(texts[1].output, texts[6].output, size, "begun in the middle of a pass");
        assert_ok(f.ctx, ink_model_encode(f.ctx, f.model, INK_EMBEDDING, texts + 4, 1)); /* nothing but an empty text */
        test_assert_close(texts[4].output, empty, size, 1e-6, 0, names[k]);
        assert_fails(f.ctx, ink_model_encode(f.ctx, f.model, INK_HIDDEN_STATES, texts + 4, 1), INK_ERROR_ARGUMENT,
                     "there are no tokens");
        free(out);
        free(expected);
        free(empty);
        encoder_close(&f);
    }
}

/* A text longer than the last bucket of distances, and longer than a pass has rows. */
static void long_texts_are_the_references(void **unused)
{
    enum { LONG = 150 };
    static const char *const names[] = {"mpnet", "modernbert"};
    ink_token tokens[LONG];
    (void)unused;
    for (size_t i = 0; i < LONG; i++)
        tokens[i] = (ink_token)(5 + 7 * i % 60);
    for (size_t k = 0; k < 2; k++) {
        encoder_fixture f;
        size_t n;
        encoder_open(&f, names[k], INK_POOLING_NONE);
        float *expected = test_tensor(f.ctx, f.reference, "long.hidden_states", &n);
        float *rows = test_floats(n);
        const ink_text text = {.tokens = tokens, .n_tokens = LONG, .output = rows};
        assert_int_equal(n, LONG * f.info->hidden_size);
        assert_ok(f.ctx, ink_model_encode(f.ctx, f.model, INK_HIDDEN_STATES, &text, 1));
        double largest = 0;
        for (size_t i = 0; i < n; i++)
            largest = fmax(largest, fabs((double)expected[i]));
        test_assert_close(rows, expected, n, 7e-6 * largest, 0, names[k]);
        free(expected);
        free(rows);
        encoder_close(&f);
    }
}

/* Without pad_token_id it is that of the family: none for Llama, 0 for Gemma 3, whatever ends the text. */
static void padding_has_the_default_of_the_family(ink_context *ctx)
{
    static const struct {
        const char *name, *value;
        bool pads; /* a 0 at the end is padding */
    } cases[] = {{"gemma3_text", NULL, true},
                 {"gemma3_text", "null", false},
                 {"gemma3_text", "7", false},
                 {"llama_text", NULL, false},
                 {"llama_text", "0", true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static const ink_token tokens[] = {5, 6, 0};
        fixture_files files;
        ink_model *model;
        float longer[8], shorter[8];
        fixture_files_read(&files, cases[i].name);
        fixture_files_set(&files, "pad_token_id", cases[i].value);
        assert_ok(ctx, fixture_open_files(ctx, cases[i].name, &files.list, &model));
        const ink_text texts[] = {{.tokens = tokens, .n_tokens = 3, .output = longer},
                                  {.tokens = tokens, .n_tokens = 2, .output = shorter}};
        assert_ok(ctx, ink_model_encode(ctx, model, INK_LOGITS, texts, 2));
        size_t size = ink_model_encoding_size(model, INK_LOGITS) * sizeof *longer;
        assert_int_equal(memcmp(longer, shorter, size) == 0, cases[i].pads);
        ink_model_free(model);
        fixture_files_free(&files);
    }
}

static void poolings_are_computed_from_the_rows(void **unused)
{
    static const char *const names[INK_N_POOLINGS] = {
        [INK_POOLING_CLS] = "pooling.cls",
        [INK_POOLING_MAX] = "pooling.max",
        [INK_POOLING_MEAN] = "pooling.mean",
        [INK_POOLING_MEAN_SQRT] = "pooling.mean_sqrt_len_tokens",
        [INK_POOLING_WEIGHTED_MEAN] = "pooling.weightedmean",
        [INK_POOLING_LAST] = "pooling.lasttoken",
    };
    (void)unused;
    for (ink_pooling pooling = INK_POOLING_CLS; pooling < INK_N_POOLINGS; pooling++) {
        encoder_fixture f;
        size_t n, expected_n;
        encoder_open(&f, "bert", pooling);
        assert_int_equal(f.encoder->embedding_size, f.info->hidden_size);
        float *expected = test_tensor(f.ctx, f.reference, names[pooling], &expected_n);
        float *out = encoder_run(f.ctx, &f, INK_EMBEDDING, &n);
        assert_int_equal(n, expected_n);
        test_assert_close(out, expected, n, 1e-5, 0, names[pooling]);
        free(out);
        free(expected);
        encoder_close(&f);
    }
}

/* A classifier of texts may score the first row, the last, or what the rows have in common. */
static void a_classifier_scores_the_pooled_rows(void **unused)
{
    static const ink_pooling poolings[] = {INK_POOLING_NONE, INK_POOLING_CLS, INK_POOLING_LAST, INK_POOLING_MEAN,
                                           INK_POOLING_MAX};
    (void)unused;
    for (size_t p = 0; p < sizeof poolings / sizeof poolings[0]; p++) {
        encoder_fixture f;
        size_t n, n_rows;
        encoder_open(&f, "llama_text", INK_POOLING_NONE);
        size_t hidden = f.info->hidden_size, labels = f.encoder->n_labels, row = 0;
        ink_weights *file;
        assert_ok(f.ctx, ink_weights_open(f.ctx, FIXTURES "/encoders/llama_text/model.safetensors", &file));
        float *score = test_tensor(f.ctx, file, "score.weight", NULL);
        float *rows = encoder_run(f.ctx, &f, INK_HIDDEN_STATES, &n_rows);
        f.model->head.pooling = poolings[p];
        f.model->head.padding = -1; /* the last token counts, whatever it is */
        float *out = encoder_run(f.ctx, &f, INK_LOGITS, &n);
        assert_int_equal(n, f.n_texts * labels);
        for (size_t i = 0; i < f.n_texts; row += f.texts[i++].n_tokens) {
            double pooled[64], expected[8];
            size_t count = f.texts[i].n_tokens;
            for (size_t j = 0; j < hidden; j++) {
                const float *column = rows + row * hidden + j;
                pooled[j] = poolings[p] == INK_POOLING_LAST ? column[(count - 1) * hidden] : column[0];
                for (size_t t = 1; t < count && poolings[p] == INK_POOLING_MAX; t++)
                    pooled[j] = fmax(pooled[j], column[t * hidden]);
                for (size_t t = 1; t < count && poolings[p] == INK_POOLING_MEAN; t++)
                    pooled[j] += column[t * hidden];
                pooled[j] /= poolings[p] == INK_POOLING_MEAN ? (double)count : 1;
            }
            oracle_dense(score, NULL, hidden, labels, INK_IDENTITY, pooled, 1, expected);
            test_assert_close_to_double(out + i * labels, expected, labels, 1e-5, 1e-5, "logits");
        }
        free(out);
        free(rows);
        free(score);
        ink_weights_free(file);
        encoder_close(&f);
    }
}

/* ---- looking inside ------------------------------------------------------------------------------------------- */

typedef struct inside {
    encoder_fixture *f;
    size_t n_seen;
} inside;

static void look(void *user, const char *name, const ink_tensor *value)
{
    inside *in = user;
    const char *kind = in->f->info->kind;
    bool has_norm = strstr(kind, "bert") == NULL && strcmp(kind, "mpnet") != 0; /* after the last block */
    const char *const pairs[][2] = {
        {"embedding", "embedding_rows"},
        {"h.0.out", "h.0"},
        {has_norm || strcmp(kind, "modernbert") == 0 ? "norm_f" : "h.1.out", "hidden_states"}};
    for (size_t i = 0; i < 3; i++)
        if (strcmp(name, pairs[i][0]) == 0) {
            size_t n;
            float *expected = test_tensor(in->f->ctx, in->f->reference, pairs[i][1], &n);
            assert_int_equal(value->shape.dim[0] * value->shape.dim[1], n);
            test_assert_close(value->data, expected, n, 2e-5, 1e-5, name);
            free(expected);
            in->n_seen++;
        }
}

static void every_value_inside_is_the_references(encoder_fixture *f)
{
    size_t n;
    inside in = {.f = f};
    if (f->info->n_layers == 0)
        return; /* static embeddings */
    ink_context *ctx = test_context(1);
    ink_context_trace(ctx, look, &in);
    free(encoder_run(ctx, f, INK_HIDDEN_STATES, &n));
    assert_int_equal(in.n_seen, 3);
    ink_context_free(ctx);
}

/* ---- the same bits -------------------------------------------------------------------------------------------- */

/* Each text alone against all of them together. */
static void texts_alone_give_the_bits_of_the_list(encoder_fixture *f)
{
    for (ink_encoding encoding = 0; encoding < INK_N_ENCODINGS; encoding++) {
        size_t n;
        if (ink_model_encoding_size(f->model, encoding) == 0)
            continue;
        float *together = encoder_run(f->ctx, f, encoding, &n);
        float *alone = test_floats(n);
        for (size_t i = 0, first = 0; i < f->n_texts; i++) {
            ink_text text = f->texts[i];
            text.output = alone + first;
            assert_ok(f->ctx, ink_model_encode(f->ctx, f->model, encoding, &text, 1));
            first += encoder_output_size(f, encoding, &text);
        }
        test_assert_same_bits(alone, together, n, f->name);
        free(alone);
        free(together);
    }
}

static void every_variant_gives_the_same_bits(encoder_fixture *f)
{
    ink_encoding encoding = ink_model_encoding_size(f->model, INK_PROBABILITIES) != 0 ? INK_PROBABILITIES
                            : f->encoder->embedding_size != 0                         ? INK_EMBEDDING
                                                                                      : INK_HIDDEN_STATES;
    size_t n;
    ink_context *ctx = NULL;
    float *expected = encoder_run(f->ctx, f, encoding, &n);
    for (size_t i = 0; (ctx = test_variant(ctx, i)) != NULL; i++) {
        float *out = encoder_run(ctx, f, encoding, &n);
        test_assert_same_bits(out, expected, n, f->name);
        free(out);
    }
    free(expected);
}

/* More texts, and longer ones, than a pass has rows: 150 texts of 1 to 150 tokens. */
static void more_texts_than_a_pass_has_rows_give_the_same_bits(void **unused)
{
    enum { N = 150 };
    static ink_text texts[N];
    static ink_token tokens[2 * N];
    encoder_fixture f;
    size_t total = 0;
    (void)unused;
    encoder_open(&f, "bert", INK_POOLING_MEAN);
    size_t hidden = f.info->hidden_size;
    for (size_t i = 0; i < 2 * N; i++)
        tokens[i] = (ink_token)(i * 37 % f.info->vocab_size);
    for (size_t i = 0; i < N; i++) {
        texts[i] = (ink_text){.tokens = tokens + i, .n_tokens = 1 + i * 41 % N};
        total += texts[i].n_tokens;
    }
    float *out = test_floats(total * hidden);
    for (size_t i = 0, first = 0; i < N; first += texts[i++].n_tokens * hidden)
        texts[i].output = out + first;
    assert_ok(f.ctx, ink_model_encode(f.ctx, f.model, INK_HIDDEN_STATES, texts, N));
    for (size_t i = 0; i < N; i++) {
        float *alone = test_floats(texts[i].n_tokens * hidden);
        ink_text text = texts[i];
        text.output = alone;
        assert_ok(f.ctx, ink_model_encode(f.ctx, f.model, INK_HIDDEN_STATES, &text, 1));
        test_assert_same_bits(texts[i].output, alone, text.n_tokens * hidden, "one of 150");
        free(alone);
    }
    free(out);
    encoder_close(&f);
}

/* Only the rows that are wanted, in any order, at any address. */
static void only_the_wanted_rows_are_written(encoder_fixture *f)
{
    static const size_t positions[] = {18, 0, 7, 7};
    ink_encoding encoding = ink_model_encoding_size(f->model, INK_LOGITS) != 0 ? INK_LOGITS : INK_HIDDEN_STATES;
    size_t width = ink_model_encoding_size(f->model, encoding), longest = 0, first = 0, n;
    float *all = encoder_run(f->ctx, f, encoding, &n);
    for (size_t i = 0; i < f->n_texts; i++)
        longest = f->texts[i].n_tokens > f->texts[longest].n_tokens ? i : longest;
    for (size_t i = 0; i < longest; i++)
        first += encoder_output_size(f, encoding, &f->texts[i]);
    if (encoder_output_size(f, encoding, &f->texts[longest]) == width) {
        free(all);
        return; /* a classifier of whole texts */
    }
    float *room = test_floats(4 * width + 2);
    ink_text text = f->texts[longest];
    text.positions = positions;
    text.n_positions = 4;
    text.output = room + 1;
    room[0] = room[4 * width + 1] = 12345.0F;
    assert_ok(f->ctx, ink_model_encode(f->ctx, f->model, encoding, &text, 1));
    for (size_t p = 0; p < 4; p++)
        test_assert_same_bits(room + 1 + p * width, all + first + positions[p] * width, width, f->name);
    assert_true(room[0] == 12345.0F && room[4 * width + 1] == 12345.0F);
    text.n_positions = 0; /* none at all */
    text.output = room;
    assert_ok(f->ctx, ink_model_encode(f->ctx, f->model, encoding, &text, 1));
    assert_true(room[0] == 12345.0F);
    free(room);
    free(all);
}

/* Types NULL is type 0; another type is another result. */
static void types_make_a_difference(void **unused)
{
    encoder_fixture f;
    ink_token zeros[7] = {0}, ones[7] = {1, 1, 1, 1, 1, 1, 1};
    float out[3][7 * 20];
    (void)unused;
    encoder_open(&f, "bert", INK_POOLING_NONE);
    assert_int_equal(f.encoder->n_types, 3);
    const ink_token *types[] = {NULL, zeros, ones};
    for (size_t i = 0; i < 3; i++) {
        const ink_text text = {.tokens = f.ids, .n_tokens = 7, .types = types[i], .output = out[i]};
        assert_ok(f.ctx, ink_model_encode(f.ctx, f.model, INK_HIDDEN_STATES, &text, 1));
    }
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    assert_memory_not_equal(out[0], out[2], sizeof out[0]);
    encoder_close(&f);
}

/* The padding token of RoBERTa and MPNet has a position of its own and does not count. */
static void the_padding_token_has_a_position_of_its_own(void **unused)
{
    static const char *const names[] = {"roberta", "mpnet"};
    (void)unused;
    for (size_t k = 0; k < 2; k++) {
        encoder_fixture f;
        size_t n, n_rows;
        ink_token tokens[16];
        encoder_open(&f, names[k], INK_POOLING_NONE);
        assert_int_equal(f.info->context_length, k == 0 ? 22 : 158); /* the first two positions are no token's */
        float *ids = test_tensor(f.ctx, f.reference, "padded.tokens", &n);
        float *expected = test_tensor(f.ctx, f.reference, "padded.hidden_states", &n_rows);
        float *rows = test_floats(n_rows);
        for (size_t i = 0; i < n; i++)
            tokens[i] = (ink_token)ids[i];
        const ink_text text = {.tokens = tokens, .n_tokens = n, .output = rows};
        assert_ok(f.ctx, ink_model_encode(f.ctx, f.model, INK_HIDDEN_STATES, &text, 1));
        test_assert_close(rows, expected, n_rows, 1e-5, 1e-5, "a text with padding tokens");
        free(ids);
        free(expected);
        free(rows);
        encoder_close(&f);
    }
}

/* ---- what a model says of itself ------------------------------------------------------------------------------ */

static void an_encoder_says_what_it_is(void **unused)
{
    encoder_fixture f;
    (void)unused;
    encoder_open(&f, "bert_text", INK_POOLING_NONE);
    assert_string_equal(f.info->kind, "bert");
    assert_int_equal(f.info->context_length, 24);
    assert_int_equal(f.encoder->task, INK_TASK_CLASSIFY_TEXT);
    assert_int_equal(f.encoder->problem, INK_SINGLE_LABEL);
    assert_int_equal(f.encoder->n_labels, 3);
    assert_string_equal(f.encoder->labels[0], "negative");
    assert_string_equal(f.encoder->labels[2], "positive \xe2\x9c\x93");
    assert_int_equal(f.encoder->embedding_size, 0);
    assert_false(f.encoder->has_pooled);
    assert_int_equal(f.info->n_unused, 0);
    encoder_close(&f);

    encoder_open(&f, "roberta_text", INK_POOLING_NONE); /* transformers does not write two labels down */
    assert_int_equal(f.encoder->n_labels, 2);
    assert_string_equal(f.encoder->labels[1], "LABEL_1");
    encoder_close(&f);
    encoder_open(&f, "bert_multi", INK_POOLING_NONE);
    assert_int_equal(f.encoder->problem, INK_MULTI_LABEL);
    assert_int_equal(f.encoder->n_labels, 17);
    encoder_close(&f);
    encoder_open(&f, "bert_score", INK_POOLING_NONE); /* one label, and no problem_type */
    assert_int_equal(f.encoder->problem, INK_MULTI_LABEL);
    encoder_close(&f);
    encoder_open(&f, "mistral_text", INK_POOLING_NONE);
    assert_string_equal(f.info->kind, "mistral");
    assert_int_equal(f.encoder->task, INK_TASK_CLASSIFY_TEXT);
    assert_int_equal(f.encoder->problem, INK_MULTI_LABEL);
    assert_int_equal(f.encoder->n_labels, 4);
    assert_int_equal(f.encoder->max_tokens, 24);
    assert_int_equal(f.encoder->n_types, 0);
    assert_int_equal(f.info->n_unused + f.info->n_notes, 0);
    encoder_close(&f);
    encoder_open(&f, "llama_tokens", INK_POOLING_NONE);
    assert_int_equal(f.encoder->task, INK_TASK_CLASSIFY_TOKENS);
    assert_int_equal(f.info->context_length, 32); /* stretched */
    encoder_close(&f);
    encoder_open(&f, "cross", INK_POOLING_NONE); /* CrossEncoder.predict() gives the logits of several labels, */
    assert_int_equal(f.encoder->task, INK_TASK_CLASSIFY_TEXT);
    assert_int_equal(f.encoder->problem, INK_REGRESSION);
    assert_int_equal(f.encoder->embedding_size, 0);
    encoder_close(&f);
    encoder_open(&f, "cross_score", INK_POOLING_NONE); /* and the sigmoid of one */
    assert_int_equal(f.encoder->problem, INK_MULTI_LABEL);
    encoder_close(&f);
    encoder_open(&f, "bert_answer", INK_POOLING_NONE);
    assert_int_equal(f.encoder->task, INK_TASK_ANSWER);
    assert_int_equal(f.encoder->n_labels, 0);
    assert_int_equal(ink_model_encoding_size(f.model, INK_LOGITS), 2);
    assert_int_equal(ink_model_encoding_size(f.model, INK_PROBABILITIES), 0);
    encoder_close(&f);
    encoder_open(&f, "bert_old", INK_POOLING_NONE);
    assert_int_equal(f.encoder->task, INK_TASK_FILL);
    assert_int_equal(f.info->n_unused, 4); /* the pooler and the second head of pre-training */
    encoder_close(&f);
}

static void a_sentence_encoder_says_what_it_is(void **unused)
{
    encoder_fixture f;
    (void)unused;
    encoder_open(&f, "sentence", INK_POOLING_NONE);
    assert_int_equal(f.encoder->embedding_size, 20);
    assert_int_equal(f.encoder->max_tokens, 16);
    assert_int_equal(f.info->context_length, 24);
    assert_false(f.encoder->lower_case);
    assert_string_equal(f.encoder->prompt, "");
    encoder_close(&f);
    encoder_open(&f, "sentence_dense", INK_POOLING_CLS); /* what modules.json says counts */
    assert_int_equal(f.encoder->embedding_size, 18);
    assert_int_equal(f.encoder->max_tokens, 24);
    assert_string_equal(f.encoder->prompt, "the good ");
    encoder_close(&f);
    encoder_open(&f, "sentence_qwen3", INK_POOLING_NONE); /* a decoder */
    assert_int_equal(f.encoder->task, INK_TASK_NONE);
    assert_int_equal(f.encoder->embedding_size, 20);
    assert_int_equal(f.encoder->max_tokens, 24);
    encoder_close(&f);
    encoder_open(&f, "sentence_flags", INK_POOLING_NONE);
    assert_int_equal(f.encoder->embedding_size, 120);
    encoder_close(&f);
    encoder_open(&f, "static_folder", INK_POOLING_CLS);
    assert_string_equal(f.info->kind, "static");
    assert_int_equal(f.info->n_layers, 0);
    assert_int_equal(f.info->context_length, 0);
    assert_int_equal(f.encoder->embedding_size, 16);
    assert_int_equal(f.encoder->max_tokens, 12); /* where tokenizer.json cuts */
    assert_true(f.encoder->without_template);
    assert_string_equal(f.encoder->prompt, "the ");
    encoder_close(&f);
    encoder_open(&f, "model2vec", INK_POOLING_CLS); /* is the mean, whatever the options say */
    assert_int_equal(f.encoder->embedding_size, f.info->hidden_size);
    assert_true(ink_model_encoding_size(f.model, INK_EMBEDDING) == f.info->hidden_size);
    values_are_the_references(&f);
    encoder_close(&f);
    encoder_open(&f, "model2vec_quantized", INK_POOLING_NONE);
    assert_string_equal(f.info->kind, "model2vec");
    assert_int_equal(f.info->vocab_size, 66);
    assert_int_equal(f.info->n_unused, 0);
    assert_true(f.encoder->max_tokens == SIZE_MAX);
    encoder_close(&f);
    encoder_open(&f, "sentence_gemma3", INK_POOLING_NONE); /* bidirectional */
    assert_int_equal(f.encoder->embedding_size, 20);
    assert_int_equal(f.encoder->max_tokens, 16);
    encoder_close(&f);
}

/* Without modules.json a bidirectional model is an encoder all the same, with the pooling of the options, but no
   language model; and one that is not bidirectional is one. */
static void a_bidirectional_model_reads_whole_texts(void **unused)
{
    encoder_fixture f;
    fixture_files files;
    ink_model *model;
    size_t n;
    (void)unused;
    encoder_open(&f, "sentence_gemma3", INK_POOLING_NONE);
    fixture_files_read(&files, "sentence_gemma3"); /* the settings and the weights alone */
    const ink_source source = ink_source_memory(&files.list);
    const ink_model_options options = {.source = &source, .pooling = INK_POOLING_MEAN};
    float *rows = encoder_run(f.ctx, &f, INK_HIDDEN_STATES, &n), mean[20], row[20 * 19];
    assert_ok(f.ctx, ink_model_open(f.ctx, NULL, &options, &model));
    assert_int_equal(ink_model_get_encoder(model)->embedding_size, 20);
    ink_text text = f.texts[0];
    text.output = row;
    assert_ok(f.ctx, ink_model_encode(f.ctx, model, INK_HIDDEN_STATES, &text, 1));
    test_assert_same_bits(row, rows, text.n_tokens * 20, "the rows of the same network");
    text.output = mean;
    assert_ok(f.ctx, ink_model_encode(f.ctx, model, INK_EMBEDDING, &text, 1));
    for (size_t j = 0; j < 20; j++) {
        double sum = 0;
        for (size_t t = 0; t < text.n_tokens; t++)
            sum += (double)row[t * 20 + j] / (double)text.n_tokens;
        assert_true(fabs(sum - (double)mean[j]) < 1e-5);
    }
    ink_model_free(model);
    fixture_files_set(&files, "architectures", "[\"Gemma3ForCausalLM\"]");
    assert_int_equal(fixture_open_files(f.ctx, "sentence_gemma3", &files.list, &model), INK_ERROR_UNSUPPORTED);
    assert_non_null(strstr(ink_context_error(f.ctx), "use_bidirectional_attention"));
    fixture_files_set(&files, "use_bidirectional_attention", "false");
    assert_ok(f.ctx, fixture_open_files(f.ctx, "sentence_gemma3", &files.list, &model));
    assert_null(ink_model_get_encoder(model));
    ink_model_free(model);
    fixture_files_free(&files);
    free(rows);
    encoder_close(&f);
}

/* Folders of sentence-transformers are quantised while they open: products of at least 16 outputs and 32 inputs. In
   `sentence_dense` these are the layers behind the pooling; with modules.json and a pooling the bundled BERT is such a
   folder, too, and has nothing else. The vectors stay close. */
static void sentence_encoders_may_be_quantised(void **unused)
{
    static const char modules[] = "[{\"idx\": 0, \"name\": \"0\", \"path\": \"\", \"type\": "
                                  "\"sentence_transformers.models.Transformer\"}, {\"idx\": 1, \"name\": \"1\", "
                                  "\"path\": \"1_Pooling\", \"type\": \"sentence_transformers.models.Pooling\"}]";
    static const char pooling[] = "{\"word_embedding_dimension\": 128, \"pooling_mode_mean_tokens\": true}";
    static const ink_type types[] = {INK_TYPE_NONE, INK_Q8_0, INK_Q4_0};
    size_t config_size, weights_size;
    char *config = test_read_file(MODELS "/bert", "config.json", &config_size);
    char *weights = test_read_file(MODELS "/bert", "model.safetensors", &weights_size);
    const ink_memory_file files[] = {{"config.json", config, config_size},
                                     {"model.safetensors", weights, weights_size},
                                     {"modules.json", modules, sizeof modules - 1},
                                     {"1_Pooling/config.json", pooling, sizeof pooling - 1}};
    const ink_memory_files list = {files, sizeof files / sizeof *files};
    const ink_source bundled = ink_source_memory(&list);
    encoder_fixture f;
    (void)unused;
    assert_true(config != NULL && weights != NULL);
    encoder_open(&f, "sentence_dense", INK_POOLING_NONE);
    for (int dense = 0; dense < 2; dense++) {
        float *stored = NULL;
        uint64_t n_bytes = 0;
        for (size_t t = 0; t < 3; t++) {
            const ink_model_options options = {.type = types[t], .source = dense ? NULL : &bundled};
            encoder_fixture g = f;
            size_t n;
            assert_ok(f.ctx,
                      ink_model_open(f.ctx, dense ? FIXTURES "/encoders/sentence_dense" : NULL, &options, &g.model));
            g.encoder = ink_model_get_encoder(g.model);
            float *vectors = encoder_run(f.ctx, &g, INK_EMBEDDING, &n);
            assert_int_equal(n, f.n_texts * (dense ? 18 : 128));
            if (t > 0) {
                double largest;
                const double worst = largest_difference(vectors, stored, n, &largest);
                const ink_block *block = g.model->transformer.stack.blocks;
                print_message("%s %s: largest difference %.2f %% of the largest number\n",
                              dense ? "sentence_dense" : "the bundled BERT", ink_type_name(types[t]),
                              100 * worst / largest);
                assert_true(worst > 0 && worst <= (t == 1 ? 0.06 : 0.3) * largest);
                assert_true(ink_model_get_info(g.model)->n_bytes < n_bytes);
                assert_int_equal(block->qkv.weight.type, dense ? INK_BF16 : types[t]);
                assert_int_equal(block->down.weight.type, dense ? INK_BF16 : types[t]);
                assert_int_equal(g.model->sentence.n_steps, dense ? 3 : 0);
                for (size_t i = 0; dense && i < 2; i++)
                    assert_int_equal(g.model->sentence.steps[i].dense.weight.type, types[t]);
            }
            n_bytes = ink_model_get_info(g.model)->n_bytes;
            ink_model_free(g.model);
            if (t > 0)
                free(vectors);
            else
                stored = vectors;
        }
        free(stored);
    }
    encoder_close(&f);
    free(config);
    free(weights);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* Memory that ends anywhere is a clean error, after which the same call works. */
static void the_same_call_works_after_memory_ran_out(ink_context *ctx, counting *memory)
{
    enum { N = 150 };
    encoder_fixture f;
    ink_token tokens[N] = {0};
    float out[20];
    const ink_text text = {.tokens = tokens, .n_tokens = N, .output = out};
    encoder_open(&f, "bert", INK_POOLING_LAST);
    size_t k = 1;
    while (runs_out_of_memory(ctx, memory, k, ink_model_encode(ctx, f.model, INK_EMBEDDING, &text, 1), NULL))
        k++;
    assert_true(k > 1);
    assert_ok(ctx, ink_model_encode(ctx, f.model, INK_EMBEDDING, &text, 1));
    encoder_close(&f);
}

/* After a reservation no list within it allocates. */
static void what_is_reserved_is_enough(ink_context *ctx, counting *memory)
{
    static const char *const names[] = {"sentence", "sentence_mpnet", "sentence_modernbert", "static"};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        encoder_fixture f;
        encoder_open(&f, names[k], INK_POOLING_NONE);
        assert_ok(ctx, ink_model_encode_reserve(ctx, f.model, f.n_texts, f.n_rows, 0));
        size_t takes = memory->takes;
        for (size_t n = 1; n <= f.n_texts; n++)
            for (ink_encoding encoding = 0; encoding < INK_N_ENCODINGS; encoding++) {
                size_t rows = n * 19 * 20;
                float *big = test_floats(rows);
                for (size_t i = 0; i < n; i++)
                    f.texts[i].output = big + i * 19 * 20;
                if (ink_model_encoding_size(f.model, encoding) != 0)
                    assert_ok(ctx, ink_model_encode(ctx, f.model, encoding, f.texts, n));
                free(big);
            }
        assert_int_equal(memory->takes, takes);
        encoder_close(&f);
    }
}

/* ---- values that are not finite ------------------------------------------------------------------------------- */

/* Opens a fixture in which element `i` of a tensor of F32 or BF16 has these bits. */
static ink_model *open_damaged(ink_context *ctx, const char *name, const char *tensor, size_t i, uint32_t bits)
{
    fixture_files files;
    ink_weights *weights;
    ink_model *model;
    fixture_files_read(&files, name);
    const ink_source source = ink_source_memory(&files.list);
    assert_ok(ctx, ink_weights_open_folder(ctx, &source, &weights));
    const ink_weight *weight = ink_weights_find(weights, tensor);
    assert_non_null(weight);
    assert_true(weight->type == INK_F32 || weight->type == INK_BF16);
    size_t size = weight->type == INK_F32 ? 4 : 2;
    put_number(fixture_files_bytes(&files, "model.safetensors") + weight->offset + size * i, bits >> 8 * (4 - size),
               size);
    ink_weights_free(weights);
    assert_ok(ctx, fixture_open_files(ctx, "damaged", &files.list, &model));
    fixture_files_free(&files);
    return model;
}

/* Damaged weights never come out as a vector, a label or a probability, in whatever place they are. A text that does
   not meet them is not hurt. */
static void values_that_are_not_finite_are_reported(ink_context *ctx)
{
    enum { NOT_A_NUMBER = 0x7FC00000, INFINITE = 0x7F800000, HUGE_NUMBER = 0x7F61B1E6 /* 3e38 */ };
    static const struct {
        const char *fixture, *tensor;
        size_t i;
        uint32_t bits;
        bool both; /* texts meet it */
    } cases[] = {
        {"bert_text", "bert.embeddings.word_embeddings.weight", 7 * 20, NOT_A_NUMBER, false},
        {"bert_text", "bert.embeddings.word_embeddings.weight", 7 * 20, INFINITE, false},
        {"bert_text", "bert.encoder.layer.1.output.LayerNorm.weight", 3, NOT_A_NUMBER, true},
        {"bert_text", "bert.encoder.layer.0.attention.self.query.bias", 0, NOT_A_NUMBER, true},
        {"bert_text", "bert.embeddings.LayerNorm.weight", 5, HUGE_NUMBER, true},
        {"bert_text", "classifier.bias", 2, NOT_A_NUMBER, true},
        {"bert_text", "classifier.bias", 2, INFINITE, true},
        {"bert", "encoder.layer.0.intermediate.dense.bias", 1, INFINITE, true},
        {"sentence", "embeddings.LayerNorm.bias", 4, NOT_A_NUMBER, true},
        {"bert", "encoder.layer.1.output.LayerNorm.bias", 3, INFINITE, true}, /* the pooler makes 1 and -1 of it */
        {"bert_multi", "classifier.bias", 3, INFINITE, true},                 /* its sigmoid is 1 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_model *model = open_damaged(ctx, cases[i].fixture, cases[i].tensor, cases[i].i, cases[i].bits);
        const ink_token good[] = {5, 6, 8}, bad[] = {5, 7, 8};
        for (ink_encoding encoding = 0; encoding < INK_N_ENCODINGS; encoding++) {
            float out[2][3 * 66];
            const ink_text texts[] = {{.tokens = good, .n_tokens = 3, .output = out[0]},
                                      {.tokens = bad, .n_tokens = 3, .output = out[1]}};
            bool hidden =
                encoding == INK_HIDDEN_STATES && strncmp(cases[i].tensor, "classifier", 10) == 0; /* before it */
            if (ink_model_encoding_size(model, encoding) == 0 || hidden)
                continue;
            ink_result result = ink_model_encode(ctx, model, encoding, texts, 2);
            assert_fails(ctx, result, INK_ERROR_NONFINITE,
                         cases[i].both ? "text 0: " : "text 1: the model computes a NaN");
            assert_int_equal(ink_model_encode(ctx, model, encoding, texts, 1),
                             cases[i].both ? INK_ERROR_NONFINITE : INK_OK);
        }
        ink_model_free(model);
    }
}

/* ---- what is refused ------------------------------------------------------------------------------------------ */

static void refuse(const encoder_fixture *f, ink_encoding encoding, ink_text text, ink_result result, const char *words)
{
    float out[24 * 66];
    out[0] = 12345.0F;
    ink_text list[2] = {{.tokens = f->ids, .n_tokens = 2, .output = out}, text};
    assert_fails(f->ctx, ink_model_encode(f->ctx, f->model, encoding, list, 2), result, words);
    assert_true(out[0] == 12345.0F);
}

static void impossible_texts_are_refused(void **unused)
{
    encoder_fixture f;
    float out[25 * 66];
    ink_token ids[25] = {5, 6, 7}, bad[3] = {5, 66, 7}, negative[3] = {5, 6, -1}, types[3] = {0, 1, 2};
    size_t positions[4] = {0, 3, 1, 2};
    (void)unused;
    encoder_open(&f, "bert_fill", INK_POOLING_NONE);
    const ink_text good = {.tokens = ids, .n_tokens = 3, .output = out};
    ink_text text = good;
    text.n_tokens = 0;
    refuse(&f, INK_LOGITS, text, INK_ERROR_ARGUMENT, "text 1: there are no tokens");
    text = good, text.tokens = NULL;
    refuse(&f, INK_LOGITS, text, INK_ERROR_ARGUMENT, "text 1: there are no tokens");
    text = good, text.output = NULL;
    refuse(&f, INK_LOGITS, text, INK_ERROR_ARGUMENT, "no place for its output");
    text = good, text.tokens = bad;
    refuse(&f, INK_LOGITS, text, INK_ERROR_ARGUMENT, "text 1: token 1 is 66, expected 0 to 65");
    text = good, text.tokens = negative;
    refuse(&f, INK_LOGITS, text, INK_ERROR_ARGUMENT, "text 1: token 2 is -1");
    text = good, text.types = types;
    refuse(&f, INK_LOGITS, text, INK_ERROR_ARGUMENT, "text 1: type 2 is 2, expected 0 to 1");
    text = good, text.positions = positions, text.n_positions = 2;
    refuse(&f, INK_LOGITS, text, INK_ERROR_ARGUMENT, "text 1: position 3 is requested, but it has 3 tokens");
    text.n_positions = 4;
    refuse(&f, INK_LOGITS, text, INK_ERROR_ARGUMENT, "text 1: 4 positions are requested");
    text = good, text.n_tokens = 25;
    refuse(&f, INK_LOGITS, text, INK_ERROR_LIMIT, "text 1: it has 25 tokens, but this model allows 24");
    refuse(&f, INK_EMBEDDING, good, INK_ERROR_UNSUPPORTED,
           "gives no embedding: its files do not say how (modules.json, or pooling_type");
    refuse(&f, INK_POOLED, good, INK_ERROR_UNSUPPORTED, "has no pooler");
    refuse(&f, (ink_encoding)9, good, INK_ERROR_ARGUMENT, "there is no encoding 9");
    assert_ok(f.ctx, ink_model_encode(f.ctx, f.model, INK_LOGITS, NULL, 0));
    encoder_close(&f);
    encoder_open(&f, "distilbert", INK_POOLING_NONE);
    text = good, text.types = types;
    refuse(&f, INK_HIDDEN_STATES, text, INK_ERROR_ARGUMENT, "text 1: type 1 is 1, expected 0 to 0");
    refuse(&f, INK_LOGITS, good, INK_ERROR_UNSUPPORTED, "this distilbert model has no head for logits");
    refuse(&f, INK_PROBABILITIES, good, INK_ERROR_UNSUPPORTED, "has no head for probabilities");
    encoder_close(&f);
    encoder_open(&f, "bert_answer", INK_POOLING_NONE);
    refuse(&f, INK_PROBABILITIES, good, INK_ERROR_UNSUPPORTED,
           "this bert model gives logits for the start and the end of an answer");
    encoder_close(&f);
}

/* Each kind of model says which calls are for it. */
static void each_kind_names_the_calls_for_it(void **unused)
{
    encoder_fixture f;
    ink_model *gpt;
    ink_state *state = (ink_state *)(uintptr_t)1;
    size_t bytes;
    float out[66];
    ink_token token = 5;
    const ink_text text = {.tokens = &token, .n_tokens = 1, .output = out};
    (void)unused;
    encoder_open(&f, "bert", INK_POOLING_NONE);
    const char *words = "a bert model is an encoder, which reads a whole text and has no state: use ink_model_encode()";
    assert_fails(f.ctx, ink_state_create(f.ctx, f.model, 0, &state), INK_ERROR_UNSUPPORTED, words);
    assert_null(state);
    assert_fails(f.ctx, ink_state_size(f.ctx, f.model, 0, &bytes), INK_ERROR_UNSUPPORTED, words);
    assert_fails(f.ctx, ink_model_forward(f.ctx, f.model, NULL, &token, 1, out), INK_ERROR_UNSUPPORTED, words);
    assert_fails(f.ctx, ink_context_reserve(f.ctx, f.model, 1, 1, 1), INK_ERROR_UNSUPPORTED, words);

    assert_ok(f.ctx, ink_model_open(f.ctx, FIXTURES "/models/gpt2", NULL, &gpt));
    words = "a gpt2 model is not an encoder: use ink_model_forward() with a state";
    assert_null(ink_model_get_encoder(gpt));
    assert_int_equal(ink_model_encoding_size(gpt, INK_HIDDEN_STATES), 0);
    assert_fails(f.ctx, ink_model_encode(f.ctx, gpt, INK_HIDDEN_STATES, &text, 1), INK_ERROR_UNSUPPORTED, words);
    assert_fails(f.ctx, ink_model_encode_reserve(f.ctx, gpt, 1, 1, 1), INK_ERROR_UNSUPPORTED, words);
    ink_model_free(gpt);
    assert_null(ink_model_get_encoder(NULL));
    assert_int_equal(ink_model_encode(NULL, f.model, INK_HIDDEN_STATES, &text, 1), INK_ERROR_ARGUMENT);
    assert_fails(f.ctx, ink_model_encode(f.ctx, NULL, INK_HIDDEN_STATES, &text, 1), INK_ERROR_ARGUMENT, "'model'");
    assert_fails(f.ctx, ink_model_encode(f.ctx, f.model, INK_HIDDEN_STATES, NULL, 1), INK_ERROR_ARGUMENT, "'texts'");
    assert_fails(f.ctx, ink_model_encode_reserve(f.ctx, NULL, 1, 1, 1), INK_ERROR_ARGUMENT, "'model'");
    encoder_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        encoder_test(values_are_the_references),
        cmocka_unit_test(unit_vectors_point_where_the_references_do),
        cmocka_unit_test(filling_probabilities_are_the_softmax),
        cmocka_unit_test(padding_has_no_score),
        cmocka_unit_test(static_embeddings_take_texts_of_any_length),
        cmocka_unit_test(long_texts_are_the_references),
        context_test(padding_has_the_default_of_the_family),
        cmocka_unit_test(poolings_are_computed_from_the_rows),
        cmocka_unit_test(a_classifier_scores_the_pooled_rows),
        encoder_test(every_value_inside_is_the_references),
        encoder_test(texts_alone_give_the_bits_of_the_list),
        encoder_test(every_variant_gives_the_same_bits),
        cmocka_unit_test(more_texts_than_a_pass_has_rows_give_the_same_bits),
        encoder_test(only_the_wanted_rows_are_written),
        cmocka_unit_test(types_make_a_difference),
        cmocka_unit_test(the_padding_token_has_a_position_of_its_own),
        cmocka_unit_test(an_encoder_says_what_it_is),
        cmocka_unit_test(a_sentence_encoder_says_what_it_is),
        cmocka_unit_test(a_bidirectional_model_reads_whole_texts),
        cmocka_unit_test(sentence_encoders_may_be_quantised),
        counted_test(the_same_call_works_after_memory_ran_out),
        counted_test(what_is_reserved_is_enough),
        context_test(values_that_are_not_finite_are_reported),
        cmocka_unit_test(impossible_texts_are_refused),
        cmocka_unit_test(each_kind_names_the_calls_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
