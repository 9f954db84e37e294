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
#include "numbers.h"
#include "settings.h"

static const char *const folders[] = {
    "bart",    "bart.scaled", "bart.old",       "bart_bare",  "marian", "marian_two", "m2m_100",
    "nllb",    "mbart",       "pegasus",        "blenderbot", "t5",     "t5.buckets", "t5.plain",
    "flan_t5", "flan_t5.old", "flan_t5.scaled", "mt5",        "umt5",   "whisper",
};
#define N_FOLDERS (sizeof folders / sizeof folders[0])

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
    p->decoder = read_ids(ctx, file, "tokens", i, &p->n_decoder);
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
    double largest;
    assert_true(n_x >= n);
    const double worst = largest_difference(x + n_x - n, expected, n, &largest);
    assert_true(isfinite(worst) && largest > 0);
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
    for (size_t i = 0; i < N_FOLDERS; i++) {
        char reference[FIXTURE_PATH];
        double worst[2];
        ink_model *model = open_fixture(ctx, folders[i]);
        fixture_reference(folders[i], reference);
        compare_model(ctx, model, reference, true, worst);
        for (size_t k = 0; k < 2; k++) {
            all[k] = fmax(all[k], worst[k]);
            if (!(worst[k] <= 2e-5))
                fail_msg("%s: %s differ by %.2g of the largest", folders[i], k == 0 ? "rows" : "logits", worst[k]);
        }
        ink_model_free(model);
    }
    print_message("encoder's rows differ by %.2g of the largest, logits by %.2g\n", all[0], all[1]);
}

/* ---- what a folder says ----------------------------------------------------------------------------------------- */

static void folders_say_what_they_read_and_write(ink_context *ctx)
{
    static const struct {
        const char *name;
        size_t source_vocab_size, vocab_size, source_length, context_length, n_unused;
        ink_token start, eos, bos;
    } cases[] = {
        {"bart", 53, 53, 40, 40, 0, 2, 2, 0},         {"marian", 53, 53, 512, 512, 0, 52, 0, -1},
        {"marian_two", 53, 41, 40, 40, 0, 40, 0, -1}, {"m2m_100", 53, 53, 512, 512, 0, 2, 2, 0},
        {"pegasus", 53, 53, 40, 40, 0, 0, 1, 0},      {"t5", 53, 53, 0, 0, 0, 0, 1, -1},
        {"flan_t5", 53, 53, 0, 0, 0, 0, 1, -1},       {"whisper", 0, 53, 31, 24, 22, 50, 2, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_model *model = open_fixture(ctx, cases[i].name);
        const ink_model_info *info = ink_model_get_info(model);
        const ink_encoder_decoder_info *source = ink_model_get_encoder_decoder(model);
        assert_non_null(source);
        assert_int_equal(source->source_vocab_size, cases[i].source_vocab_size);
        assert_int_equal(source->source_length, cases[i].source_length);
        assert_int_equal(source->source_size, 20);
        assert_int_equal(source->start_token, cases[i].start);
        assert_int_equal(info->vocab_size, cases[i].vocab_size);
        assert_int_equal(info->context_length, cases[i].context_length);
        assert_int_equal(info->hidden_size, 20);
        assert_int_equal(info->n_unused, cases[i].n_unused);
        assert_int_equal(info->eos_token, cases[i].eos);
        assert_int_equal(info->bos_token, cases[i].bos);
        assert_true(ink_model_stops_at(model, cases[i].eos));
        ink_model_free(model);
    }
}

/* decoder_start_token_id or bos_token_id of generation_config.json, then of config.json, with the default of the class
   before its bos_token_id. */
static void the_start_token_is_where_transformers_finds_it(ink_context *ctx)
{
    static const struct {
        const char *name, *config, *generation;
        ink_token start;
    } cases[] = {
        {"bart", "5", "{\"decoder_start_token_id\": 7, \"bos_token_id\": 9}", 7},
        {"bart", "5", "{\"decoder_start_token_id\": null, \"bos_token_id\": 9}", 9},
        {"bart", "5", "{}", 5},
        {"bart", NULL, "{}", 2},
        {"bart", "53", "{}", -1},
        {"mbart", NULL, "{}", 0}, /* its bos_token_id */
        {"t5", NULL, "{}", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_files files;
        ink_model *model;
        fixture_files_read(&files, cases[i].name);
        fixture_files_set(&files, "decoder_start_token_id", cases[i].config);
        size_t last = files.list.n_files - 1;
        const void *former = files.files[last].data;
        assert_string_equal(files.files[last].name, "generation_config.json");
        files.files[last].data = cases[i].generation;
        files.files[last].size = strlen(cases[i].generation);
        assert_ok(ctx, fixture_open_files(ctx, "changed", &files.list, &model));
        assert_int_equal(ink_model_get_encoder_decoder(model)->start_token, cases[i].start);
        ink_model_free(model);
        files.files[last].data = former;
        fixture_files_free(&files);
    }
}

/* ---- settings --------------------------------------------------------------------------------------------------- */

#define REFUSED INK_ERROR_MISMATCH

static void wrong_settings_are_refused(void **unused)
{
    static const setting settings[] = {
        {"bart", "vocab_size", "54", REFUSED, "is [53, 20], config.json asks for [54, 20]"},
        {"bart", "vocab_size", "0", REFUSED, "vocab_size"},
        {"bart", "vocab_size", NULL, REFUSED, "asks for [50265, 20]"}, /* what BartConfig has by default */
        {"bart", "d_model", "24", REFUSED, "d_model is 24, which is not a multiple of 5 heads"},
        {"bart", "d_model", "40", REFUSED, "asks for [53, 40]"},
        {"bart", "hidden_size", "40", REFUSED, "asks for [53, 40]"}, /* wins over d_model */
        {"bart", "d_model", ENORMOUS, REFUSED, "d_model"},
        {"bart", "encoder_layers", "3", INK_ERROR_NOT_FOUND, "'model.encoder.layers.2.self_attn.q_proj.bias'"},
        {"bart", "encoder_layers", "65536", INK_ERROR_NOT_FOUND, "model.encoder.layers.2.self_attn"},
        {"bart", "encoder_layers", "1", REFUSED, "config.json asks for 1 blocks (encoder_layers)"},
        {"bart", "num_hidden_layers", "1", REFUSED, "config.json asks for 1 blocks (num_hidden_layers)"},
        {"bart", "decoder_layers", "2", INK_ERROR_NOT_FOUND, "model.decoder.layers.1.self_attn"},
        {"bart", "decoder_layers", NULL, INK_ERROR_NOT_FOUND, "model.decoder.layers.1.self_attn"},
        {"bart", "decoder_layers", "0", REFUSED, "decoder_layers"},
        {"bart", "decoder_attention_heads", "3", REFUSED, "20, which is not a multiple of 3 heads (decoder_att"},
        {"bart", "encoder_attention_heads", "-1", REFUSED, "encoder_attention_heads"},
        {"bart", "encoder_ffn_dim", "27", REFUSED, "encoder.layers.0.fc1.weight"},
        {"bart", "decoder_ffn_dim", "33", REFUSED, "decoder.layers.0.fc1.weight"},
        {"bart", "decoder_ffn_dim", ENORMOUS, REFUSED, "decoder_ffn_dim"},
        {"bart", "max_position_embeddings", "41", REFUSED, "is [42, 20], config.json asks for [43, 20]"},
        {"bart", "max_position_embeddings", "2147483647", REFUSED, "embed_positions.weight"},
        {"bart", "activation_function", "\"wavelet\"", INK_ERROR_UNSUPPORTED, "activation 'wavelet'"},
        {"bart", "scale_embedding", "1", REFUSED, "scale_embedding"},
        {"bart", "tie_word_embeddings", "false", INK_ERROR_NOT_FOUND, "lm_head.weight"},
        {"bart", "architectures", "[\"BartForCausalLM\"]", INK_ERROR_UNSUPPORTED, "'BartForCausalLM' is not supp"},
        {"bart", "is_encoder_decoder", "false", INK_ERROR_UNSUPPORTED, "one half of an encoder-decoder"},
        {"bart", "model_type", "\"marian\"", REFUSED, "embed_positions.weight' is [42, 20], config.json asks for [40"},
        {"bart", "model_type", "\"mbart\"", INK_ERROR_NOT_FOUND, "'model.decoder.layer_norm.bias'"},
        {"mbart", "model_type", "\"t5\"", INK_ERROR_NOT_FOUND, "'shared.weight' is missing"},
        {"marian", "share_encoder_decoder_embeddings", "false", INK_ERROR_NOT_FOUND, "decoder.embed_tokens.weight"},
        {"marian_two", "decoder_vocab_size", "42", REFUSED, "is [41, 20], config.json asks for [42, 20]"},
        {"marian_two", "decoder_vocab_size", "null", REFUSED, "is [41, 20], config.json asks for [53, 20]"},
        {"marian_two", "share_encoder_decoder_embeddings", "true", REFUSED, "is [41, 20], config.json asks for [53"},
        {"marian_two", "share_encoder_decoder_embeddings", NULL, REFUSED, "config.json asks for [53, 20]"},
        {"m2m_100", "pad_token_id", "null", INK_ERROR_UNSUPPORTED, "pad_token_id, which is -1"},
        {"m2m_100", "pad_token_id", "-1", INK_ERROR_UNSUPPORTED, "pad_token_id, which is -1"},
        {"m2m_100", "pad_token_id", "2000000000", REFUSED, "pad_token_id"},
        {"t5", "d_kv", "7", REFUSED, "decoder.block.0.layer.0.SelfAttention.q.weight' is [18, 20]"},
        {"t5", "d_kv", NULL, REFUSED, "asks for [192, 20]"},
        {"t5", "num_heads", "6", REFUSED, "SelfAttention.q.weight' is [18, 20], config.json asks for [36, 20]"},
        {"t5", "num_heads", ENORMOUS, REFUSED, "num_heads"},
        {"t5", "d_ff", "29", REFUSED, "DenseReluDense.wi.weight"},
        {"t5", "num_decoder_layers", NULL, INK_ERROR_NOT_FOUND, "decoder.block.1.layer.0"}, /* num_layers, 2 */
        {"t5", "num_layers", "1", REFUSED, "config.json asks for 1 blocks (num_layers)"},
        {"t5", "is_gated_act", "true", INK_ERROR_NOT_FOUND, "DenseReluDense.wi_0.weight' is missing"},
        {"t5", "feed_forward_proj", "7", REFUSED, "feed_forward_proj"},
        {"t5", "dense_act_fn", "\"wavelet\"", INK_ERROR_UNSUPPORTED, "dense_act_fn: activation 'wavelet'"},
        {"flan_t5.old", "feed_forward_proj", "\"gated-wavelet\"", INK_ERROR_UNSUPPORTED, "feed_forward_proj: activ"},
        {"flan_t5.old", "feed_forward_proj", "\"gelu-wavelet\"", INK_ERROR_UNSUPPORTED, "'gelu-wavelet'"},
        {"t5", "relative_attention_num_buckets", "16", REFUSED, "is [32, 3], config.json asks for [16, 3]"},
        {"t5", "relative_attention_num_buckets", "3", INK_ERROR_UNSUPPORTED, "only 4 to 256"},
        {"t5", "relative_attention_max_distance", "16", INK_ERROR_UNSUPPORTED, "with 32 buckets only 17 to 16384"},
        {"t5", "layer_norm_epsilon", "-1", REFUSED, "layer_norm_epsilon"},
        {"t5", "scale_decoder_outputs", "\"yes\"", REFUSED, "scale_decoder_outputs"},
        {"t5", "architectures", "[\"T5EncoderModel\"]", INK_ERROR_UNSUPPORTED, "'T5EncoderModel'"},
        {"whisper", "max_target_positions", "25", REFUSED, "is [24, 20], config.json asks for [25, 20]"},
        {"whisper", "model_type", "\"blenderbot\"", REFUSED, NULL},
    };
    (void)unused;
    settings_are_refused(settings, sizeof settings / sizeof settings[0]);
}

/* The logits [4, vocab_size] for a short source, or for rows of numbers. */
static float *short_logits(ink_context *ctx, const ink_model *model)
{
    static const ink_token source[] = {5, 9, 1, 30, 31, 7}, decoder[] = {2, 8, 8, 1};
    const ink_encoder_decoder_info *info = ink_model_get_encoder_decoder(model);
    float *logits = calloc(4 * ink_model_get_info(model)->vocab_size, sizeof *logits);
    float *rows = test_random(6 * info->source_size, 1, 1);
    ink_encoded *encoded;
    ink_state *state;
    ink_source_item item = {.tokens = source, .n_tokens = 6};
    if (info->source_vocab_size == 0)
        item = (ink_source_item){.rows = rows, .n_tokens = 6};
    assert_non_null(logits);
    assert_ok(ctx, ink_encoded_create(ctx, model, 6, &encoded));
    item.encoded = encoded;
    assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
    assert_ok(ctx, ink_state_create(ctx, model, 4, &state));
    assert_ok(ctx, ink_state_begin(ctx, state, encoded));
    const ink_item part = test_item(state, decoder, 4, logits, 4);
    assert_ok(ctx, ink_model_forward_list(ctx, model, &part, 1));
    ink_state_free(state);
    ink_encoded_free(encoded);
    free(rows);
    return logits;
}

/* Whether both give the same bits. */
static bool agree(ink_context *ctx, const ink_model *a, const ink_model *b)
{
    float *one = short_logits(ctx, a), *other = short_logits(ctx, b);
    bool same = memcmp(one, other, 4 * ink_model_get_info(a)->vocab_size * sizeof *one) == 0;
    free(one);
    free(other);
    return same;
}

static void settings_count_where_transformers_reads_them(ink_context *ctx)
{
    static const struct {
        setting setting;
        bool same;
    } cases[] = {
        {{"bart", "scale_embedding", "true", INK_OK, NULL}, false},
        {{"bart", "scale_embedding", "null", INK_OK, NULL}, true},
        {{"bart", "encoder_attention_heads", "4", INK_OK, NULL}, false},
        {{"bart", "num_attention_heads", "4", INK_OK, NULL}, false},
        {{"bart", "decoder_attention_heads", "4", INK_OK, NULL}, false},
        {{"bart", "activation_function", NULL, INK_OK, NULL}, true},
        {{"bart", "activation_function", "\"tanh\"", INK_OK, NULL}, false},
        {{"bart", "architectures", "null", INK_OK, NULL}, true},
        {{"bart", "architectures", "[\"BartModel\"]", INK_OK, NULL}, true},
        {{"bart", "architectures", "[\"MBartForConditionalGeneration\"]", INK_OK, NULL}, true},
        {{"bart", "normalize_before", "true", INK_OK, NULL}, true}, /* transformers no longer reads it */
        {{"bart", "eos_token_id", "[2, 7]", INK_OK, NULL}, true},
        {{"bart", "decoder_vocab_size", "7", INK_OK, NULL}, true},
        {{"marian", "decoder_vocab_size", "7", INK_OK, NULL}, true}, /* the tables are shared */
        {{"marian", "max_position_embeddings", "2147483647", INK_OK, NULL}, true},
        {{"marian", "pad_token_id", "1", INK_OK, NULL}, true},
        {{"m2m_100", "scale_embedding", "null", INK_OK, NULL}, false}, /* as in Python; without the key it is true */
        {{"m2m_100", "scale_embedding", NULL, INK_OK, NULL}, true},
        {{"m2m_100", "pad_token_id", NULL, INK_OK, NULL}, true},
        {{"m2m_100", "pad_token_id", "3", INK_OK, NULL}, false},
        {{"m2m_100", "max_position_embeddings", "600", INK_OK, NULL}, true},
        {{"whisper", "scale_embedding", "true", INK_OK, NULL}, true}, /* which it does not use */
        {{"whisper", "encoder_layers", "7", INK_OK, NULL}, true},
        {{"t5", "tie_word_embeddings", "false", INK_OK, NULL}, true}, /* scale_decoder_outputs wins */
        {{"t5", "scale_decoder_outputs", "false", INK_OK, NULL}, false},
        {{"t5", "scale_decoder_outputs", "null", INK_OK, NULL}, false},
        {{"t5", "feed_forward_proj", "\"gelu\"", INK_OK, NULL}, true}, /* dense_act_fn wins */
        {{"t5", "dense_act_fn", "\"gelu\"", INK_OK, NULL}, false},
        {{"t5", "layer_norm_epsilon", "0.1", INK_OK, NULL}, false},
        {{"t5", "relative_attention_max_distance", "20", INK_OK, NULL}, true}, /* the sequences are short */
        {{"t5", "relative_attention_max_distance", NULL, INK_OK, NULL}, true},
        {{"t5", "architectures", "[\"T5WithLMHeadModel\"]", INK_OK, NULL}, true},
        {{"mt5", "tie_word_embeddings", "false", INK_OK, NULL}, true},
        {{"mt5", "scale_decoder_outputs", "true", INK_OK, NULL}, true},
        {{"umt5", "scale_decoder_outputs", "false", INK_OK, NULL}, false},
        {{"flan_t5.old", "tie_word_embeddings", "true", INK_OK, NULL}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const setting *s = &cases[i].setting;
        ink_model *model, *other = open_fixture(ctx, s->fixture);
        assert_ok(ctx, setting_open(ctx, s, &model));
        if (agree(ctx, model, other) != cases[i].same)
            fail_msg("%s: %s %s", s->fixture, s->key, cases[i].same ? "makes a difference" : "makes no difference");
        ink_model_free(model);
        ink_model_free(other);
    }
}

/* No more memory than 16,384 positions take. */
static void sinusoids_are_bounded(ink_context *ctx)
{
    const setting s = {"marian", "max_position_embeddings", "2147483647", INK_OK, NULL};
    ink_model *model;
    assert_ok(ctx, setting_open(ctx, &s, &model));
    const ink_model_info *info = ink_model_get_info(model);
    assert_int_equal(info->context_length, 16384);
    assert_int_equal(ink_model_get_encoder_decoder(model)->source_length, 16384);
    assert_true(info->n_bytes < 16384 * 20 * sizeof(float) + (1 << 19)); /* once, though both halves use it */
    ink_model_free(model);
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

/* Opens the folder with other names: of each {from, to} the tensor `from` is there under `to`, too, or with `to` NULL
   it is gone. `shifted`: what is added to the elements of this tensor; NULL: none is changed. */
static ink_result open_renamed(ink_context *ctx, const char *name, const char *const (*names)[2], size_t n,
                               const char *shifted, ink_model **model)
{
    fixture_files files;
    state_dict dict = {0};
    ink_weights *weights;
    fixture_files_read(&files, name);
    const ink_source source = ink_source_memory(&files.list);
    assert_ok(ctx, ink_weights_open_folder(ctx, &source, &weights));
    for (size_t t = 0; t < ink_weights_count(weights); t++) {
        const ink_weight *weight = ink_weights_at(weights, t);
        size_t size;
        bool gone = false;
        float *values = test_tensor(ctx, weights, weight->name, &size);
        for (size_t i = 0; i < n; i++) {
            gone |= strcmp(weight->name, names[i][0]) == 0 && names[i][1] == NULL;
            if (strcmp(weight->name, names[i][0]) != 0 || names[i][1] == NULL)
                continue;
            bool shifts = shifted != NULL && strcmp(shifted, names[i][1]) == 0;
            for (size_t j = 0; j < size && shifts; j++)
                values[j] += 0.25f;
            state_dict_add(&dict, names[i][1], INK_F32, weight->shape.rank, weight->shape.dim, values);
            for (size_t j = 0; j < size && shifts; j++)
                values[j] -= 0.25f;
        }
        if (!gone)
            state_dict_add(&dict, weight->name, INK_F32, weight->shape.rank, weight->shape.dim, values);
        free(values);
    }
    ink_weights_free(weights);
    state_dict_write(&dict);
    const ink_memory_file with[] = {{"config.json", files.config, strlen(files.config)}, dict.entry};
    const ink_memory_files list = {.files = with, .n_files = 2};
    ink_result result = fixture_open_files(ctx, "renamed", &list, model);
    state_dict_free(&dict);
    fixture_files_free(&files);
    return result;
}

/* The table of words has four names. One is enough, and a file may have several; then each half uses its own. */
static void tables_have_several_names(ink_context *ctx)
{
    static const char *const prefixes[] = {"model.", ""}, *const two_layouts[] = {"bart", "t5"};
    static const char *const tables[] = {"shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                                         "lm_head.weight"};
    for (size_t f = 0; f < 2; f++) {
        char full[4][64];
        ink_model *model, *other = open_fixture(ctx, two_layouts[f]);
        for (size_t i = 0; i < 4; i++)
            snprintf(full[i], sizeof full[i], "%s%s", i == 3 ? "" : prefixes[f], tables[i]);
        for (size_t i = 1; i < 4; i++) {
            const char *const only[][2] = {{full[0], full[i]}, {full[0], NULL}}, *const two[][2] = {{full[0], full[i]}};
            assert_ok(ctx, open_renamed(ctx, two_layouts[f], only, 2, NULL, &model));
            assert_true(agree(ctx, model, other));
            assert_int_equal(ink_model_get_info(model)->n_unused, 0);
            ink_model_free(model);
            assert_ok(ctx, open_renamed(ctx, two_layouts[f], two, 1, NULL, &model));
            assert_true(agree(ctx, model, other));
            ink_model_free(model);
            assert_ok(ctx, open_renamed(ctx, two_layouts[f], two, 1, full[i], &model));
            assert_false(agree(ctx, model, other));
            ink_model_free(model);
        }
        const char *const none[][2] = {{full[0], NULL}};
        assert_fails(ctx, open_renamed(ctx, two_layouts[f], none, 1, NULL, &model), INK_ERROR_NOT_FOUND, full[0]);
        ink_model_free(other);
    }
}

/* Whether the folder opens without this tensor: it has another name, or a default. */
static bool is_optional(const char *folder, const char *name)
{
    static const char *const optional[][2] = {
        {"", "final_logits_bias"},         {"whisper", "model.encoder."},
        {"marian_two", "embed_positions"}, {"pegasus", "embed_positions"},
        {"flan_t5", "lm_head.weight"},     {"flan_t5", "shared.weight"},
        {"mt5", "embed_tokens.weight"},    {"marian_two", "model.decoder.embed_tokens"},
    };
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++)
        if ((optional[i][0][0] == '\0' || strcmp(folder, optional[i][0]) == 0) && strstr(name, optional[i][1]) != NULL)
            return strstr(name, "decoder.embed_tokens") == NULL || strcmp(folder, "marian_two") != 0;
    return false;
}

static void missing_tensors_are_noticed(ink_context *ctx)
{
    for (size_t i = 0; i < N_FOLDERS; i++) {
        fixture_files files;
        if (strchr(folders[i], '.') != NULL)
            continue;
        fixture_files_read(&files, folders[i]);
        const ink_source source = ink_source_memory(&files.list);
        ink_weights *weights;
        ink_model *model;
        assert_ok(ctx, ink_weights_open_folder(ctx, &source, &weights));
        for (size_t t = 0; t < ink_weights_count(weights); t++) {
            const char *name = ink_weights_at(weights, t)->name;
            char *quoted = fixture_files_tensor(&files, ink_weights_at(weights, t)->file, name);
            quoted[1] ^= 0x20; /* another letter: upper case */
            ink_result result = fixture_open_files(ctx, NULL, &files.list, &model);
            quoted[1] ^= 0x20;
            if (is_optional(folders[i], name) != (result == INK_OK))
                fail_msg("%s without '%s': %s", folders[i], name, ink_result_name(result));
            if (result != INK_OK && result != INK_ERROR_NOT_FOUND && result != INK_ERROR_MISMATCH)
                fail_msg("%s without '%s': %s", folders[i], name, ink_context_error(ctx));
            ink_model_free(model);
        }
        ink_weights_free(weights);
        fixture_files_free(&files);
    }
}

/* A bias that the family lacks, and one that is missing. */
static void biases_are_where_they_belong(ink_context *ctx)
{
    static const char *const extra[][2] = {
        {"decoder.block.0.layer.0.layer_norm.weight", "decoder.block.0.layer.0.SelfAttention.k.bias"}};
    static const char *const keys[][2] = {
        {"model.decoder.layer_norm.weight", "model.decoder.layers.0.encoder_attn.k_proj.bias"}};
    static const char *const gone[][2] = {{"model.encoder.layers.1.self_attn.k_proj.bias", NULL}};
    static const char *const flat[][2] = {{"final_logits_bias", NULL},
                                          {"model.decoder.layernorm_embedding.bias", "final_logits_bias"}};
    ink_model *model;
    assert_fails(ctx, open_renamed(ctx, "t5", extra, 1, NULL, &model), INK_ERROR_MISMATCH,
                 "SelfAttention.k.bias', config.json asks for none");
    assert_fails(ctx, open_renamed(ctx, "whisper", keys, 1, NULL, &model), INK_ERROR_MISMATCH, "k_proj.bias'");
    assert_fails(ctx, open_renamed(ctx, "bart", gone, 1, NULL, &model), INK_ERROR_NOT_FOUND, "self_attn.k_proj.bias'");
    assert_fails(ctx, open_renamed(ctx, "bart", flat, 2, NULL, &model), INK_ERROR_MISMATCH,
                 "'final_logits_bias' is [20], config.json asks for [1, 53]");
}

/* Tensors of older files that nothing needs are not listed as unused, others are. */
static void leftovers_are_known(ink_context *ctx)
{
    static const char *const m2m[][2] = {{"model.shared.weight", "model.encoder.embed_positions.weights"}};
    static const char *const t5[][2] = {
        {"shared.weight", "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"}};
    static const char *const bart[][2] = {{"model.shared.weight", "model.decoder.version"},
                                          {"model.shared.weight", "model.decoder.versions"}};
    ink_model *model;
    assert_ok(ctx, open_renamed(ctx, "m2m_100", m2m, 1, NULL, &model));
    assert_int_equal(ink_model_get_info(model)->n_unused, 0);
    ink_model_free(model);
    assert_ok(ctx, open_renamed(ctx, "t5", t5, 1, NULL, &model));
    assert_int_equal(ink_model_get_info(model)->n_unused, 0);
    ink_model_free(model);
    assert_ok(ctx, open_renamed(ctx, "bart", bart, 2, NULL, &model));
    assert_int_equal(ink_model_get_info(model)->n_unused, 1);
    assert_string_equal(ink_model_unused(model, 0), "model.decoder.versions");
    ink_model_free(model);
}

static void memory_may_end_anywhere(ink_context *ctx, counting *memory)
{
    static const char *const some[] = {"marian", "m2m_100", "flan_t5", "whisper"};
    for (size_t i = 0; i < 4; i++) {
        char folder[FIXTURE_PATH];
        ink_model *model;
        snprintf(folder, sizeof folder, FIXTURES "/models/%s", some[i]);
        for (size_t k = 1; runs_out_of_memory(ctx, memory, k, ink_model_open(ctx, folder, NULL, &model), "memory"); k++)
            assert_null(model);
        ink_model_free(model);
    }
}

int main(int n_arguments, char **arguments)
{
    const struct CMUnitTest tests[] = {
        context_test(every_family_gives_the_numbers_of_transformers),
        context_test(folders_say_what_they_read_and_write),
        context_test(the_start_token_is_where_transformers_finds_it),
        cmocka_unit_test(wrong_settings_are_refused),
        context_test(settings_count_where_transformers_reads_them),
        context_test(sinusoids_are_bounded),
        context_test(tables_have_several_names),
        context_test(missing_tensors_are_noticed),
        context_test(biases_are_where_they_belong),
        context_test(leftovers_are_known),
        counted_test(memory_may_end_anywhere),
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
