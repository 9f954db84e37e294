/*
 * test_encoder_decoders.c - Transformers that read a source and write a text: encoder's rows and logits of transformers
 * for every family, the same bits however the decoder runs, what a folder says about its source, settings and files
 * that are refused.
 *
 *     build/tests/test_encoder_decoders FOLDER ...     compares these folders, which make_seq2seq.py --draw made
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers.h"
#include "settings.h"

static const char *const names[] = {
    "bart",    "bart.scaled", "bart.old",       "bart_bare",  "marian", "marian_two", "m2m_100",
    "nllb",    "mbart",       "pegasus",        "blenderbot", "t5",     "t5.buckets", "t5.plain",
    "flan_t5", "flan_t5.old", "flan_t5.scaled", "mt5",        "umt5",   "whisper",
};
#define N_NAMES (sizeof names / sizeof names[0])

/* ---- the reference ---------------------------------------------------------------------------------------------- */

typedef struct pair {
    ink_token *source, *decoder;
    float *rows, *encoded, *logits;
    size_t n_source, n_decoder, n_rows, n_encoded, n_logits; /* floats */
} pair;

static float *read_values(ink_context *ctx, const ink_weights *file, const char *kind, size_t i, size_t *n)
{
    char name[32];
    snprintf(name, sizeof name, "%s.%zu", kind, i);
    *n = 0;
    return ink_weights_find(file, name) != NULL ? test_tensor(ctx, file, name, n) : NULL;
}

static ink_token *read_ids(ink_context *ctx, const ink_weights *file, const char *kind, size_t i, size_t *n)
{
    float *values = read_values(ctx, file, kind, i, n);
    ink_token *ids = calloc(*n + 1, sizeof *ids);
    assert_non_null(ids);
    for (size_t t = 0; t < *n; t++)
        ids[t] = (ink_token)values[t];
    free(values);
    return ids;
}

static bool read_pair(ink_context *ctx, const ink_weights *file, size_t i, pair *p)
{
    memset(p, 0, sizeof *p);
    p->logits = read_values(ctx, file, "logits", i, &p->n_logits);
    if (p->logits == NULL)
        return false;
    p->source = read_ids(ctx, file, "source", i, &p->n_source);
    p->decoder = read_ids(ctx, file, "decoder", i, &p->n_decoder);
    p->rows = read_values(ctx, file, "rows", i, &p->n_rows);
    p->encoded = read_values(ctx, file, "encoded", i, &p->n_encoded);
    return true;
}

static void free_pair(pair *p)
{
    free(p->source);
    free(p->decoder);
    free(p->rows);
    free(p->encoded);
    free(p->logits);
}

/* The largest difference of the last values of x, relative to the largest value. */
static double compare(const float *x, size_t n_x, const float *expected, size_t n)
{
    double worst = 0, largest = 1e-30;
    assert_true(n_x >= n);
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)x[n_x - n + i] - (double)expected[i]);
        worst = difference <= worst ? worst : difference; /* also a NaN */
    }
    return worst / largest;
}

static ink_encoded *encode(ink_context *ctx, const ink_model *model, const pair *p, float *hidden)
{
    const ink_encoder_decoder_info *info = ink_model_get_encoder_decoder(model);
    ink_encoded *encoded;
    ink_source_item item = {.tokens = p->source, .n_tokens = p->n_source, .hidden = hidden};
    if (p->rows != NULL)
        item = (ink_source_item){.rows = p->rows, .n_tokens = p->n_rows / info->source_size};
    assert_ok(ctx, ink_encoded_create(ctx, model, item.n_tokens, &encoded));
    item.encoded = encoded;
    assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
    return encoded;
}

/* The worst differences of the encoder's rows and of the logits, for all sources of a reference. With `chunks` the
   decoder also runs token by token and must give the same bits. */
static void compare_model(ink_context *ctx, const ink_model *model, const char *reference, bool chunks, double worst[2])
{
    const ink_encoder_decoder_info *source = ink_model_get_encoder_decoder(model);
    const ink_model_info *info = ink_model_get_info(model);
    ink_weights *file = test_fixture(ctx, reference);
    size_t n_pairs = 0;
    assert_non_null(source);
    worst[0] = worst[1] = 0;
    for (pair p; read_pair(ctx, file, n_pairs, &p); free_pair(&p), n_pairs++) {
        size_t n = p.n_decoder;
        float *hidden = calloc(p.n_source * source->source_size + 1, sizeof *hidden);
        float *logits = calloc(n * info->vocab_size, sizeof *logits);
        float *again = calloc(info->vocab_size, sizeof *again);
        ink_state *state;
        assert_true(hidden != NULL && logits != NULL && again != NULL);
        ink_encoded *encoded = encode(ctx, model, &p, p.rows == NULL ? hidden : NULL);
        if (p.rows == NULL)
            worst[0] = fmax(worst[0], compare(hidden, p.n_source * source->source_size, p.encoded, p.n_encoded));
        assert_ok(ctx, ink_state_create(ctx, model, n, &state));
        assert_ok(ctx, ink_state_begin(ctx, state, encoded));
        const ink_item item = test_item(state, p.decoder, n, logits, n);
        assert_ok(ctx, ink_model_forward_list(ctx, model, &item, 1));
        worst[1] = fmax(worst[1], compare(logits, n * info->vocab_size, p.logits, p.n_logits));
        ink_state_reset(state);
        for (size_t t = 0; t < n && chunks; t++) {
            assert_ok(ctx, ink_model_forward(ctx, model, state, &p.decoder[t], 1, again));
            assert_memory_equal(again, logits + t * info->vocab_size, info->vocab_size * sizeof *again);
        }
        ink_state_free(state);
        ink_encoded_free(encoded);
        free(hidden);
        free(logits);
        free(again);
    }
    assert_true(n_pairs >= 1);
    ink_weights_free(file);
}

static ink_model *open_fixture(ink_context *ctx, const char *name)
{
    fixture_files files;
    ink_model *model;
    fixture_files_read(&files, name);
    assert_ok(ctx, fixture_open_files(ctx, name, &files.list, &model));
    fixture_files_free(&files);
    return model;
}

static void every_family_gives_the_numbers_of_transformers(ink_context *ctx)
{
    double all[2] = {0, 0};
    for (size_t i = 0; i < N_NAMES; i++) {
        char reference[FIXTURE_PATH];
        double worst[2];
        ink_model *model = open_fixture(ctx, names[i]);
        fixture_reference(names[i], reference);
        compare_model(ctx, model, reference, true, worst);
        for (size_t k = 0; k < 2; k++) {
            all[k] = fmax(all[k], worst[k]);
            if (!(worst[k] <= 2e-5))
                fail_msg("%s: %s differ by %.2g of the largest", names[i], k == 0 ? "rows" : "logits", worst[k]);
        }
        ink_model_free(model);
    }
    print_message("encoder's rows differ by %.2g of the largest, logits by %.2g\n", all[0], all[1]);
}

int main(int n_arguments, char **arguments)
{
    const struct CMUnitTest tests[] = {
        context_test(every_family_gives_the_numbers_of_transformers),
    };
    if (n_arguments == 1)
        return cmocka_run_group_tests(tests, NULL, NULL);

    ink_context *ctx = ink_context_create(NULL);
    for (int i = 1; i < n_arguments; i++) {
        char reference[FIXTURE_PATH];
        double worst[2];
        ink_model *model;
        snprintf(reference, sizeof reference, "%s/reference.safetensors", arguments[i]);
        if (ink_model_open(ctx, arguments[i], NULL, &model) != INK_OK) {
            printf("%s: %s\n", arguments[i], ink_context_error(ctx));
            continue;
        }
        compare_model(ctx, model, reference, false, worst);
        printf("%s: rows %.3g logits %.3g\n", arguments[i], worst[0], worst[1]);
        ink_model_free(model);
    }
    ink_context_free(ctx);
    return 0;
}
