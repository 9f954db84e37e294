/*
 * test_model_files.c - opening model folders that are broken, in every way their settings and tensors can be, and
 * memory and files that fail. The numbers are those of the checklist of bad inputs, part E and I.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faulty.h"
#include "numbers.h"
#include "settings.h"

/* ---- settings ------------------------------------------------------------------------------------------------- */

#define REFUSED INK_ERROR_MISMATCH

static const setting settings[] = {
    /* the kind */
    {"gpt2", "model_type", NULL, REFUSED, "'model_type' is missing"},
    {"gpt2", "model_type", "null", REFUSED, "'model_type' is missing"},
    {"gpt2", "model_type", "7", REFUSED, "model_type"},
    {"gpt2", "model_type", "\"gptj\"", INK_ERROR_UNSUPPORTED, "'gptj'"},
    {"gpt2", "model_type", "\"gru\"", REFUSED, "'embedding_size' is missing"},
    /* 86 to 90: missing, wrong type, zero, negative, huge */
    {"gpt2", "vocab_size", "\"53\"", REFUSED, "vocab_size: expected an integer from 1 to 2147483647, found \"53\""},
    {"gpt2", "vocab_size", "0", REFUSED, "vocab_size"},
    {"gpt2", "vocab_size", "-53", REFUSED, "found -53"},
    {"gpt2", "vocab_size", "53.5", REFUSED, "found 53.5"},
    {"gpt2", "vocab_size", "true", REFUSED, "found true"},
    {"gpt2", "vocab_size", "[53]", REFUSED, "found an array"},
    {"gpt2", "vocab_size", "2147483648", REFUSED, "vocab_size"},
    {"gpt2", "vocab_size", ENORMOUS, REFUSED, "vocab_size"},
    {"gpt2", "vocab_size", "1e400", REFUSED, "vocab_size"},
    {"gpt2", "vocab_size", "2147483647", REFUSED, "is [53, 24], config.json asks for [2147483647, 24]"},
    {"gpt2", "vocab_size", NULL, REFUSED, "asks for [50257, 24]"}, /* what GPT2Config has by default */
    {"gpt2", "vocab_size", "null", REFUSED, "asks for [50257, 24]"},
    {"gpt2", "n_positions", "0", REFUSED, "n_positions"},
    {"gpt2", "n_positions", "-1", REFUSED, "n_positions"},
    {"gpt2", "n_positions", ENORMOUS, REFUSED, "n_positions"},
    {"gpt2", "n_positions", "2147483647", REFUSED, "wpe.weight"},
    {"gpt2", "n_positions", "47", REFUSED, "wpe.weight"},
    {"gpt2", "n_embd", "0", REFUSED, "n_embd"},
    {"gpt2", "n_embd", "-24", REFUSED, "n_embd"},
    {"gpt2", "n_embd", ENORMOUS, REFUSED, "n_embd"},
    {"gpt2", "n_embd", "16777216", REFUSED, "n_embd is 16777216, which is not a multiple of 3 heads"},
    {"gpt2", "n_embd", "12582912", REFUSED, "wte.weight"},
    {"gpt2", "n_embd", "48", REFUSED, "is [53, 24], config.json asks for [53, 48]"},
    {"gpt2", "n_head", "0", REFUSED, "n_head"},
    {"gpt2", "n_head", "-3", REFUSED, "n_head"},
    {"gpt2", "num_attention_heads", "5", REFUSED, "24, which is not a multiple of 5 heads (num_attention_heads)"},
    {"gpt2", "hidden_size", "48", REFUSED, "is [53, 24], config.json asks for [53, 48]"}, /* wins over n_embd */
    {"gpt2", "num_hidden_layers", "1", REFUSED, "config.json asks for 1 blocks (num_hidden_layers)"},
    {"gpt2", "max_position_embeddings", "47", REFUSED, "wpe.weight"},
    {"gpt2", "n_head", "5", REFUSED, "n_embd is 24, which is not a multiple of 5 heads"}, /* 91 */
    {"gpt2", "n_head", "48", REFUSED, "not a multiple of 48 heads"},
    {"gpt2", "n_head", ENORMOUS, REFUSED, "n_head"},
    {"gpt2", "n_head", "\"3\"", REFUSED, "n_head"},
    {"gpt2", "n_layer", "0", REFUSED, "n_layer"},
    {"gpt2", "n_layer", "-2", REFUSED, "n_layer"},
    {"gpt2", "n_layer", ENORMOUS, REFUSED, "n_layer"},
    {"gpt2", "n_layer", "3", INK_ERROR_NOT_FOUND, "transformer.h.2.ln_1"}, /* 100 */
    {"gpt2", "n_layer", "65536", INK_ERROR_NOT_FOUND, "transformer.h.2.ln_1"},
    {"gpt2", "n_layer", "1", REFUSED, "'transformer.h.1.ln_1.weight', config.json asks for 1 blocks"},
    {"gpt2", "n_inner", "0", REFUSED, "n_inner"},
    {"gpt2", "n_inner", "-1", REFUSED, "n_inner"},
    {"gpt2", "n_inner", ENORMOUS, REFUSED, "n_inner"},
    {"gpt2", "n_inner", "95", REFUSED, "mlp.c_fc.weight"},
    {"gpt2", "layer_norm_epsilon", "-1e-5", REFUSED, "layer_norm_epsilon"}, /* 98 */
    {"gpt2", "layer_norm_epsilon", "1e30", REFUSED, "found 1e30"},
    {"gpt2", "layer_norm_epsilon", "\"1e-5\"", REFUSED, "layer_norm_epsilon"},
    {"gpt2", "activation_function", "\"wavelet\"", INK_ERROR_UNSUPPORTED, "wavelet"}, /* 99 */
    {"gpt2", "activation_function", "3", REFUSED, "activation_function"},
    {"gpt2", "scale_attn_weights", "1", REFUSED, "scale_attn_weights"},
    {"gpt2", "scale_attn_by_inverse_layer_idx", "\"no\"", REFUSED, "scale_attn_by_inverse_layer_idx"},
    {"gpt2", "add_cross_attention", "true", INK_ERROR_UNSUPPORTED, "add_cross_attention"},
    {"gpt2", "tie_word_embeddings", "false", INK_ERROR_NOT_FOUND, "lm_head.weight"}, /* 102 */
    {"gpt2", "tie_word_embeddings", "0", REFUSED, "tie_word_embeddings"},
    {"gpt2", "bos_token_id", "\"1\"", REFUSED, "bos_token_id"},
    {"gpt2", "eos_token_id", "\"1\"", REFUSED, "eos_token_id"},
    {"gpt2", "eos_token_id", "[1, true]", REFUSED, "eos_token_id[1]"},
    {"gpt2", "architectures", "[\"GPT2DoubleHeadsModel\"]", INK_ERROR_UNSUPPORTED,
     "architectures: 'GPT2DoubleHeadsModel' is not supported, only GPT2LMHeadModel"},
    {"gpt2", "architectures", "[\"GPT2ForQuestionAnswering\"]", INK_ERROR_UNSUPPORTED, "'GPT2ForQuestionAnswering'"},
    {"gpt2", "architectures", "[\"GPT2ForTokenClassification\"]", INK_ERROR_NOT_FOUND, "'classifier.bias' is missing"},
    {"gpt2", "architectures", "{}", REFUSED, "architectures: expected a string"},
    /* recurrent */
    {"rnn", "vocab_size", NULL, REFUSED, "'vocab_size' is missing"},
    {"rnn", "embedding_size", NULL, REFUSED, "'embedding_size' is missing"},
    {"rnn", "hidden_size", NULL, REFUSED, "'hidden_size' is missing"},
    {"rnn", "vocab_size", "38", REFUSED, "embedding.weight"},
    {"rnn", "embedding_size", "21", REFUSED, "embedding.weight"},
    {"rnn", "embedding_size", "0", REFUSED, "embedding_size"},
    {"rnn", "embedding_size", ENORMOUS, REFUSED, "embedding_size"},
    {"rnn", "hidden_size", "32", REFUSED, "rnn.weight_"},
    {"rnn", "hidden_size", "0", REFUSED, "hidden_size"},
    {"rnn", "hidden_size", "-33", REFUSED, "hidden_size"},
    {"rnn", "hidden_size", ENORMOUS, REFUSED, "hidden_size"},
    {"rnn", "num_layers", "0", REFUSED, "num_layers"},
    /* A family of models that has this library's name */
    {"gpt2", "model_type", "\"inkling\"", INK_ERROR_UNSUPPORTED, "happens to have the name of this library"},
    {"gpt2", "model_type", "\"inkling2\"", INK_ERROR_UNSUPPORTED, "'inkling2'"},
    {"rnn", "num_layers", "1", REFUSED, "has 2 layers, config.json asks for 1"},
    {"rnn", "num_layers", "3", REFUSED, "has 2 layers, config.json asks for 3"},
    {"rnn", "num_layers", ENORMOUS, REFUSED, "num_layers"},
    {"rnn", "nonlinearity", "\"sine\"", INK_ERROR_UNSUPPORTED, "found 'sine'"},
    {"rnn", "nonlinearity", "true", REFUSED, "nonlinearity"},
    {"rnn", "model_type", "\"lstm\"", REFUSED, "rnn.weight_"}, /* 110 */
    {"gru", "model_type", "\"lstm\"", REFUSED, "rnn.weight_"},
    {"lstm", "model_type", "\"gru\"", REFUSED, "rnn.weight_"},
    /* MLP */
    {"mlp", "hidden_sizes", NULL, REFUSED, "'hidden_sizes' is missing"},
    {"mlp", "hidden_sizes", "[]", REFUSED, "hidden_sizes"},
    {"mlp", "hidden_sizes", "34", REFUSED, "hidden_sizes"},
    {"mlp", "hidden_sizes", "[34, 0]", REFUSED, "hidden_sizes[1]"},
    {"mlp", "hidden_sizes", "[34, \"27\"]", REFUSED, "hidden_sizes[1]"},
    {"mlp", "hidden_sizes", "[34, " ENORMOUS "]", REFUSED, "hidden_sizes[1]"},
    {"mlp", "hidden_sizes", "[34]", REFUSED, "there is a layer mlp.2"},
    {"mlp", "hidden_sizes", "[34, 27, 5]", INK_ERROR_NOT_FOUND, "mlp.4"},
    {"mlp", "hidden_sizes", "[33, 27]", REFUSED, "mlp.0.weight"}, /* 111 */
    {"mlp", "hidden_sizes", "[34, 28]", REFUSED, "mlp.2.weight"},
    {"mlp", "window_size", NULL, REFUSED, "'window_size' is missing"},
    {"mlp", "window_size", "0", REFUSED, "window_size"},
    {"mlp", "window_size", "4", REFUSED, "mlp.0.weight"},
    {"mlp", "window_size", "1290556", REFUSED, "window_size"}, /* times 13 is beyond 2^24 */
    {"mlp", "window_size", ENORMOUS, REFUSED, "window_size"},
    {"mlp", "hidden_act", "\"elu\"", INK_ERROR_UNSUPPORTED, "'elu'"},
    {"mlp", "hidden_act", "\"leaky_relu\", \"negative_slope\": 1e9", REFUSED, "negative_slope: expected a number from"},
    {"mlp", "bos_token_id", NULL, REFUSED, "'bos_token_id' is missing"},
    {"mlp", "bos_token_id", "37", REFUSED, "'bos_token_id' is missing from the vocabulary: it fills the window"},
    {"mlp_tied", "tie_word_embeddings", "false", INK_ERROR_NOT_FOUND, "lm_head.weight"},
};

static void wrong_settings_are_refused(void **unused)
{
    (void)unused;
    settings_are_refused(settings, sizeof settings / sizeof settings[0]);
}

/* The table of the page for users: every value in it is refused, in a sentence with the setting's name. */
static void what_the_page_refuses_is_refused(ink_context *ctx)
{
    size_t size, n = 0;
    char *page = test_read_file(SOURCE_DIR "/src/import", "README.md", &size);
    assert_non_null(page);
    const char *line = strstr(page, "### Refused by name");
    assert_non_null(line);
    while ((line = strchr(line, '\n')) != NULL && strncmp(++line, "## ", 3) != 0) {
        char cells[2][64], value[128];
        int at = 0;
        if (sscanf(line, "| `%63[^`]` | `%63[^`]` | %n", cells[0], cells[1], &at) != 2 || at == 0)
            continue;
        for (int length; sscanf(line + at, "`%127[^`]`%n", value, &length) == 1; n++) {
            const setting s = {cells[0], cells[1], value, INK_ERROR_UNSUPPORTED, NULL};
            const char *inner = strcmp(cells[1], "rope_scaling") == 0 ? "" : cells[1];
            ink_model *model;
            test_assert_fails(ctx, setting_open(ctx, &s, &model), s.result, inner, value, __FILE__, __LINE__);
            at += length;
            at += (int)strspn(line + at, ", ");
        }
    }
    assert_true(n >= 30);
    free(page);
}

/* What config.json may leave out, or say in another way. */
static const char *const common_names[][4] = {
    {"gpt2", "n_embd", "hidden_size", "24"},
    {"gpt2", "n_head", "num_attention_heads", "3"},
    {"gpt2", "n_layer", "num_hidden_layers", "2"},
    {"gpt2", "n_positions", "max_position_embeddings", "48"},
};

/* The folder of these files opens, and gives the bits of the fixture. */
static void assert_same_logits(const fixture *f, const fixture_files *files)
{
    ink_model *model;
    assert_ok(f->ctx, fixture_open_files(f->ctx, "changed", &files->list, &model));
    float *expected = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    float *logits = fixture_run(f->ctx, model, f->tokens, f->n_tokens);
    assert_memory_equal(logits, expected, f->n_tokens * f->info->vocab_size * sizeof *logits);
    free(logits);
    free(expected);
    ink_model_free(model);
}

/* The names that most families have for these settings, in place of GPT-2's own or beside them (attribute_map). */
static void settings_may_have_their_common_names(void **unused)
{
    fixture f;
    fixture_files files;
    (void)unused;
    fixture_open(&f, "gpt2");
    fixture_files_read(&files, "gpt2");
    for (size_t i = 0; i < 4; i++) {
        fixture_files_set(&files, common_names[i][2], common_names[i][3]);
        fixture_files_set(&files, common_names[i][1], i % 2 == 0 ? NULL : "7");
    }
    assert_same_logits(&f, &files);
    fixture_files_free(&files);
    fixture_close(&f);
}

static void settings_may_be_left_out_or_said_in_another_way(void **unused)
{
    static const setting accepted[] = {
        {"gpt2", "layer_norm_epsilon", NULL, INK_OK, NULL},
        {"gpt2", "activation_function", "null", INK_OK, NULL},
        {"gpt2", "activation_function", "\"gelu_pytorch_tanh\"", INK_OK, NULL},
        {"gpt2", "tie_word_embeddings", NULL, INK_OK, NULL},
        {"gpt2", "scale_attn_weights", NULL, INK_OK, NULL},
        {"gpt2", "eos_token_id", "[0, 7]", INK_OK, NULL},
        {"gpt2", "n_ctx", "\"whatever\"", INK_OK, NULL},
        {"gpt2", "bos_token_id", "50256", INK_OK, NULL},
        {"gpt2", "architectures", "null", INK_OK, NULL},
        {"gpt2", "architectures", "[]", INK_OK, NULL},
        {"gpt2", "architectures", "[\"GPT2Model\"]", INK_OK, NULL},
        {"gpt2", "architectures", "\"GPT2LMHeadModel\"", INK_OK, NULL},
        {"gpt2", "eos_token_id", "-1", INK_OK, NULL},
        {"rnn", "bos_token_id", "38", INK_OK, NULL},
        {"gpt2_bf16", "tie_word_embeddings", "true", INK_OK, NULL}, /* the stored matrix is used all the same */
        {"gpt2_bf16", "tie_word_embeddings", NULL, INK_OK, NULL},
        {"rnn", "nonlinearity", NULL, INK_OK, NULL},
        {"rnn", "bos_token_id", "null", INK_OK, NULL},
        {"gru", "reset_after", "true", INK_OK, NULL},
        {"mlp_tied", "hidden_act", NULL, INK_OK, NULL},
    };
    (void)unused;
    settings_are_compared(accepted, sizeof accepted / sizeof accepted[0], true);
}

/* Settings that must change what comes out; a setting nobody reads would be the worst of errors. */
static void settings_change_the_result(void **unused)
{
    static const setting changing[] = {
        {"gpt2", "n_head", "4", INK_OK, NULL},
        {"gpt2", "num_attention_heads", "4", INK_OK, NULL},
        {"gpt2", "layer_norm_epsilon", "0", INK_OK, NULL},
        {"gpt2", "layer_norm_epsilon", "0.1", INK_OK, NULL},
        {"gpt2", "activation_function", "\"relu\"", INK_OK, NULL},
        {"gpt2", "scale_attn_weights", "false", INK_OK, NULL},
        {"gpt2", "scale_attn_by_inverse_layer_idx", "true", INK_OK, NULL},
        {"rnn", "nonlinearity", "\"relu\"", INK_OK, NULL},
        {"gru", "reset_after", "false", INK_OK, NULL},
        {"mlp", "hidden_act", "\"relu\"", INK_OK, NULL},
        {"mlp", "bos_token_id", "4", INK_OK, NULL},
    };
    (void)unused;
    settings_are_compared(changing, sizeof changing / sizeof changing[0], false);
}

/* ---- notes ---------------------------------------------------------------------------------------------------- */

/* Ids of tokens that no result depends on. transformers opens these folders too. */
static void ids_that_the_vocabulary_lacks_are_noted(ink_context *ctx)
{
    static const struct {
        setting setting;
        ink_token bos, eos; /* of the model */
        size_t n_stops;
        const char *note; /* NULL: none */
    } cases[] = {
        {{"gpt2", "bos_token_id", "53", INK_OK, NULL}, -1, 0, 1, "bos_token_id is 53, but the vocabulary has 53"},
        {{"gpt2", "bos_token_id", "-1", INK_OK, NULL}, -1, 0, 1, "bos_token_id is -1, but the vocabulary has 53"},
        {{"gpt2", "bos_token_id", "[60, 7]", INK_OK, NULL}, 7, 0, 1, "bos_token_id[0] is 60"},
        {{"gpt2", "bos_token_id", "null", INK_OK, NULL}, -1, 0, 1, NULL},
        {{"gpt2", "bos_token_id", NULL, INK_OK, NULL}, -1, 0, 1, NULL}, /* 50256 of GPT2Config */
        {{"gpt2", "eos_token_id", "50256", INK_OK, NULL}, 0, -1, 0, "eos_token_id is 50256"},
        {{"gpt2", "eos_token_id", "-1", INK_OK, NULL}, 0, -1, 0, "config.json: eos_token_id is -1"},
        {{"gpt2", "eos_token_id", ENORMOUS, INK_OK, NULL}, 0, -1, 0, "eos_token_id is " ENORMOUS},
        {{"gpt2", "eos_token_id", "[1, 53]", INK_OK, NULL}, 0, 1, 1, "eos_token_id[1] is 53"},
        {{"gpt2", "eos_token_id", "[-1, 52, 0]", INK_OK, NULL}, 0, 52, 2, "eos_token_id[0] is -1"},
        {{"gpt2", "eos_token_id", "[]", INK_OK, NULL}, 0, -1, 0, NULL},
        {{"gpt2", "eos_token_id", NULL, INK_OK, NULL}, 0, -1, 0, NULL},
        {{"rnn", "eos_token_id", "38", INK_OK, NULL}, 0, -1, 0, "eos_token_id is 38"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_model *model;
        assert_ok(ctx, setting_open(ctx, &cases[i].setting, &model));
        const ink_model_info *info = ink_model_get_info(model);
        assert_int_equal(info->bos_token, cases[i].bos);
        assert_int_equal(info->eos_token, cases[i].eos);
        assert_int_equal(info->n_stop_tokens, cases[i].n_stops);
        assert_int_equal(info->n_notes, cases[i].note != NULL);
        assert_null(ink_model_note(model, info->n_notes));
        if (cases[i].note != NULL && strstr(ink_model_note(model, 0), cases[i].note) == NULL)
            fail_msg("the note is '%s'", ink_model_note(model, 0));
        ink_model_free(model);
    }
    assert_null(ink_model_note(NULL, 0));
}

/* A long list costs a bounded number of notes; the last one says so. */
static void there_are_at_most_32_notes(ink_context *ctx)
{
    char ids[1200] = "[60";
    ink_model *model;
    for (size_t i = 61; i < 200; i++)
        snprintf(ids + strlen(ids), sizeof ids - strlen(ids), ", %zu", i);
    strcat(ids, "]");
    const setting s = {"gpt2", "eos_token_id", ids, INK_OK, NULL};
    assert_ok(ctx, setting_open(ctx, &s, &model));
    assert_int_equal(ink_model_get_info(model)->n_notes, 32);
    assert_non_null(strstr(ink_model_note(model, 30), "eos_token_id[30] is 90"));
    assert_string_equal(ink_model_note(model, 31), "there are more notes than are kept");
    ink_model_free(model);
}

/* A leaky relu of slope 1 is the identity, one of slope 0 the relu. 0.2 is something else than the default. */
static void the_slope_of_a_leaky_relu_is_read(ink_context *ctx)
{
    static const struct {
        const char *value, *other;
        bool same;
    } pairs[] = {{"\"leaky_relu\", \"negative_slope\": 1", "\"linear\"", true},
                 {"\"leaky_relu\", \"negative_slope\": 0", "\"relu\"", true},
                 {"\"leaky_relu\", \"negative_slope\": 0.01", "\"leaky_relu\"", true},
                 {"\"leaky_relu\", \"negative_slope\": 0.2", "\"leaky_relu\"", false}};
    fixture f;
    fixture_open(&f, "mlp");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const setting pair[] = {{"mlp", "hidden_act", pairs[i].value, INK_OK, NULL},
                                {"mlp", "hidden_act", pairs[i].other, INK_OK, NULL}};
        ink_model *models[2];
        float *logits[2];
        for (size_t m = 0; m < 2; m++) {
            assert_ok(ctx, setting_open(ctx, &pair[m], &models[m]));
            logits[m] = fixture_run(ctx, models[m], f.tokens, f.n_tokens);
        }
        size_t size = f.n_tokens * f.info->vocab_size * sizeof(float);
        assert_int_equal(memcmp(logits[0], logits[1], size) == 0, pairs[i].same);
        for (size_t m = 0; m < 2; m++) {
            free(logits[m]);
            ink_model_free(models[m]);
        }
    }
    fixture_close(&f);
}

/* ---- tensors -------------------------------------------------------------------------------------------------- */

/* Every tensor a model needs, renamed away, is missed by name (104); every tensor that is not in the file's header the
   way it was is noticed. */
static void missing_tensors_are_noticed(ink_context *ctx)
{
    for (size_t i = 0; fixture_names[i] != NULL; i++) {
        fixture_files files;
        fixture_files_read(&files, fixture_names[i]);
        const ink_source source = ink_source_memory(&files.list);
        ink_weights *weights;
        ink_model *model;
        assert_ok(ctx, ink_weights_open_folder(ctx, &source, &weights));
        for (size_t t = 0; t < ink_weights_count(weights); t++) {
            const char *name = ink_weights_at(weights, t)->name;
            bool optional = strcmp(name, "score.weight") == 0 || strstr(name, "0.attn.bias") != NULL ||
                            strstr(name, "masked_bias") != NULL || strcmp(name, "lm_head.bias") == 0 ||
                            (strncmp(name, "mlp.", 4) == 0 && strstr(name, ".bias") != NULL) ||
                            strcmp(name, "embedding.weight") == 0 || strcmp(name, "encoder.weight") == 0 ||
                            strcmp(name, "C.weight") == 0; /* an embedding may have any name */
            char *quoted = fixture_files_tensor(&files, ink_weights_at(weights, t)->file, name);
            quoted[1] ^= 0x20; /* another letter: upper case */
            ink_result result = fixture_open_files(ctx, NULL, &files.list, &model);
            quoted[1] ^= 0x20;
            if (optional != (result == INK_OK))
                fail_msg("%s without '%s': %s", fixture_names[i], name, ink_result_name(result));
            ink_model_free(model);
        }
        ink_weights_free(weights);
        fixture_files_free(&files);
    }
}

/* ---- names of modules ------------------------------------------------------------------------------------------- */

/* The files with other names: in the header of the weights `from` becomes `to` wherever a name begins so. With `extra`
   a tensor of that name and shape follows. */
static void rename_tensors(fixture_files *files, const char *const (*names)[2], size_t n, const char *extra,
                           size_t rows, size_t columns)
{
    unsigned char *old = fixture_files_bytes(files, "model.safetensors");
    size_t header = (size_t)read_number(old, 8), more = extra != NULL ? rows * columns * sizeof(float) : 0;
    size_t size = 0, i = 1;
    while (strcmp(files->files[i].name, "model.safetensors") != 0)
        i++;
    size_t data = files->files[i].size - 8 - header;
    char *text = calloc(1, 4 * header + 512);
    assert_non_null(text);
    for (size_t at = 8; at < 8 + header;) {
        size_t k = 0;
        for (; k < n; k++)
            if (old[at] == '"' && strncmp((char *)old + at + 1, names[k][0], strlen(names[k][0])) == 0)
                break;
        if (k < n) {
            size += (size_t)sprintf(text + size, "\"%s", names[k][1]);
            at += 1 + strlen(names[k][0]);
        } else {
            text[size++] = (char)old[at++];
        }
    }
    if (extra != NULL) {
        while (text[size - 1] != '}')
            size--;
        size += (size_t)sprintf(text + size - 1,
                                ",\"%s\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],\"data_offsets\":[%zu,%zu]}}", extra,
                                rows, columns, data, data + more) -
                1;
    }
    while (size % 8 != 0)
        text[size++] = ' ';
    unsigned char *bytes = calloc(1, 8 + size + data + more);
    assert_non_null(bytes);
    put_number(bytes, size, 8);
    memcpy(bytes + 8, text, size);
    memcpy(bytes + 8 + size, old + 8 + header, data);
    free(text);
    free(old);
    files->files[i].data = bytes;
    files->files[i].size = 8 + size + data + more;
    if (files->weights == old)
        files->weights = bytes;
}

static void modules_may_have_any_names(void **unused)
{
    static const struct {
        const char *fixture, *names[4][2], *modules;
    } cases[] = {
        {"rnn", {{"embedding.", "encoder."}, {"lm_head.", "decoder."}}, NULL},
        {"gru", {{"embedding.", "model.tok."}, {"rnn.", "model.core.0."}, {"lm_head.", "out."}}, NULL},
        {"lstm", {{"embedding.", "a."}, {"rnn.", ""}, {"lm_head.", "b."}}, NULL},
        {"rnn_relu", {{"embedding.", "wte."}, {"rnn.", "net."}}, NULL},
        {"mlp", {{"embedding.", "C."}, {"mlp.0.", "fc1."}, {"mlp.2.", "fc2."}, {"lm_head.", "out."}}, NULL},
        {"mlp", {{"embedding.", "C."}, {"mlp.0.", "net.0."}, {"mlp.2.", "net.2."}, {"lm_head.", "net.4."}}, NULL},
        {"mlp", {{"mlp.2.", "last."}}, NULL},
        {"mlp_tied", {{"embedding.", "words."}, {"mlp.0.", "hidden."}}, NULL},
        {"gru", {{"rnn.", "a.b."}}, "{\"rnn\": \"a.b\"}"},
        {"mlp", {{"mlp.0.", "x."}, {"mlp.2.", "y."}}, "{\"mlp.0\": \"x\", \"mlp.2\": \"y\"}"},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f;
        fixture_files files;
        size_t n = 0;
        while (n < 4 && cases[i].names[n][0] != NULL)
            n++;
        fixture_open(&f, cases[i].fixture);
        fixture_files_read(&files, cases[i].fixture);
        rename_tensors(&files, cases[i].names, n, NULL, 0, 0);
        if (cases[i].modules != NULL)
            fixture_files_set(&files, "modules", cases[i].modules);
        assert_same_logits(&f, &files);
        fixture_files_free(&files);
        fixture_close(&f);
    }
}

/* Tied in the settings: another tensor of that shape is not the output. */
static void a_tied_output_is_not_looked_for(const fixture *f)
{
    fixture_files files;
    ink_model *model;
    fixture_files_read(&files, f->name);
    rename_tensors(&files, NULL, 0, "other.weight", 41, 19);
    assert_ok(f->ctx, fixture_open_files(f->ctx, "tied", &files.list, &model));
    assert_int_equal(ink_model_get_info(model)->n_unused, 1);
    float *expected = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    float *logits = fixture_run(f->ctx, model, f->tokens, f->n_tokens);
    assert_memory_equal(logits, expected, f->n_tokens * f->info->vocab_size * sizeof *logits);
    free(logits);
    free(expected);
    ink_model_free(model);
    fixture_files_free(&files);
}

static void modules_that_are_not_clear_are_named(ink_context *ctx)
{
    static const struct {
        const char *fixture, *names[3][2], *extra;
        size_t rows, columns;
        const char *modules;
        ink_result result;
        const char *words;
    } cases[] = {
        {"rnn",
         {{"embedding.", "a."}},
         "b.weight",
         37,
         20,
         NULL,
         REFUSED,
         "which module is 'embedding': 'a', 'b'? Say it in config.json: \"modules\": {\"embedding\": ...}"},
        {"rnn", {{"lm_head.", "a."}}, "b.weight", 37, 33, NULL, REFUSED, "which module is 'lm_head': 'a', 'b'?"},
        {"rnn", {{"rnn.", "a."}}, "b.weight_hh_l0", 33, 33, NULL, REFUSED, "which module is 'rnn': 'a', 'b'?"},
        {"mlp", {{"mlp.2.", "a."}}, "b.weight", 27, 34, NULL, REFUSED, "which module is 'mlp.2': 'a', 'b'?"},
        {"gru_named",
         {{"decoder.weight", "other.weight"}},
         NULL,
         0,
         0,
         NULL,
         REFUSED,
         "which module is 'embedding': 'other', 'encoder'?"},
        {"mlp_named", {{"net.4.", "fourth."}}, NULL, 0, 0, NULL, REFUSED, "which module is 'mlp.0': "},
        /* a tensor that no module needs */
        {"rnn",
         {{"embedding.", "a."}},
         "norm.weight",
         33,
         1,
         NULL,
         INK_ERROR_UNSUPPORTED,
         "tensor 'norm.weight' is no part of a model of kind rnn"},
        {"mlp", {{"mlp.2.", "a."}}, "mlp.7.weight", 5, 5, NULL, INK_ERROR_UNSUPPORTED, "'mlp.7.weight' is no part"},
        {"rnn", {{"rnn.weight_hh_l1", "x"}}, NULL, 0, 0, NULL, INK_ERROR_NOT_FOUND, "'rnn.weight_hh_l1' is missing"},
        {"gru", {{"rnn.", "x."}, {"x.weight_hh_l0", "y"}}, NULL, 0, 0, "[]", REFUSED, "modules: expected an object"},
        {"gru",
         {{NULL, NULL}},
         NULL,
         0,
         0,
         "{\"gru\": \"x\"}",
         REFUSED,
         "modules: there is no module 'gru', only embedding"},
        {"gru", {{NULL, NULL}}, NULL, 0, 0, "{\"rnn\": 3}", REFUSED, "modules.rnn: expected a string"},
        {"gru", {{NULL, NULL}}, NULL, 0, 0, "{\"rnn\": \"x\"}", INK_ERROR_NOT_FOUND, "module 'x' has no tensor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_files files;
        ink_model *model;
        size_t n = 0;
        while (n < 3 && cases[i].names[n][0] != NULL)
            n++;
        fixture_files_read(&files, cases[i].fixture);
        rename_tensors(&files, cases[i].names, n, cases[i].extra, cases[i].rows, cases[i].columns);
        if (cases[i].modules != NULL)
            fixture_files_set(&files, "modules", cases[i].modules);
        assert_fails(ctx, fixture_open_files(ctx, "named", &files.list, &model), cases[i].result, cases[i].words);
        fixture_files_free(&files);
    }
}

/* ---- folders -------------------------------------------------------------------------------------------------- */

static void folders_without_a_model_are_refused(ink_context *ctx)
{
    static const char config[] = "{\"model_type\": \"gpt2\"}";
    static const char pickle[] = "PK\x03\x04";
    const ink_memory_file files[] = {{"config.json", config, sizeof config - 1},
                                     {"pytorch_model.bin", pickle, sizeof pickle - 1}};
    const ink_memory_files only_config = {files, 1}, with_pickle = {files, 2}, only_pickle = {files + 1, 1};
    const ink_memory_file list_config = {"config.json", "[]", 2}, bad_config = {"config.json", "{\"a\": }", 7};
    const ink_memory_files list = {&list_config, 1}, bad = {&bad_config, 1};
    const struct {
        const ink_memory_files *files;
        ink_result result;
        const char *words;
    } cases[] = {
        {&only_config, INK_ERROR_NOT_FOUND, "model.safetensors"},
        {&with_pickle, INK_ERROR_UNSUPPORTED, "safetensors"},
        {&only_pickle, INK_ERROR_UNSUPPORTED, "save_file"},
        {&list, INK_ERROR_MISMATCH, "config.json"},
        {&bad, INK_ERROR_CORRUPT, "byte 6"},
    };
    ink_model *model;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(ctx, fixture_open_files(ctx, "here", cases[i].files, &model), cases[i].result, cases[i].words);
        assert_null(model);
    }
    assert_fails(ctx, ink_model_open(ctx, "no/such/folder", NULL, &model), INK_ERROR_NOT_FOUND, "no/such/folder");
    assert_null(model);
    assert_fails(ctx, ink_model_open(ctx, NULL, NULL, &model), INK_ERROR_ARGUMENT, "folder");
    assert_fails(ctx, ink_model_open(ctx, "x", NULL, NULL), INK_ERROR_ARGUMENT, "model");
    assert_int_equal(ink_model_open(NULL, "x", NULL, &model), INK_ERROR_ARGUMENT);
}

/* ---- memory and reads that fail ------------------------------------------------------------------------------- */

static void the_limit_is_exact(ink_context *ctx, counting *memory)
{
    fixture f;
    ink_model *model;
    fixture_open(&f, "gpt2");
    ink_model_options exact = {.max_bytes = f.info->n_bytes};
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/models/gpt2", &exact, &model));
    assert_true(ink_model_get_info(model)->n_bytes == f.info->n_bytes);
    ink_model_free(model);
    exact.max_bytes--;
    memory->peak_bytes = memory->live_bytes;
    assert_fails(ctx, ink_model_open(ctx, FIXTURES "/models/gpt2", &exact, &model), INK_ERROR_LIMIT, "the limit is");
    assert_null(model);
    fixture_close(&f);
}

/* Opens, makes a state, runs; a run that found no memory has left the state as it was, and succeeds once there is. */
static ink_result open_and_run(ink_context *ctx, counting *memory, const fixture_files *files)
{
    static float logits[2][67];
    static const ink_token tokens[] = {1, 2, 3, 4, 5};
    ink_model *model = NULL;
    ink_state *state = NULL;
    ink_result result = fixture_open_files(ctx, "", &files->list, &model);
    if (result == INK_OK) {
        result = ink_state_create(ctx, model, 0, &state);
        assert_int_equal(state != NULL, result == INK_OK);
    }
    if (result == INK_OK)
        result = ink_model_forward(ctx, model, state, tokens, 5, logits[0]);
    assert_true(result == INK_OK || strstr(ink_context_error(ctx), "memory") != NULL);
    if (result != INK_OK && state != NULL) {
        assert_int_equal(ink_state_length(state), 0);
        memory->fail_from = 0;
        assert_ok(ctx, ink_model_forward(ctx, model, state, tokens, 5, logits[1]));
    }
    ink_state_free(state);
    ink_model_free(model);
    return result;
}

/* Every allocation fails once, alone (an arena may then do with a smaller block) and with all that follow. */
static void every_allocation_fails_once(void **unused)
{
    (void)unused;
    for (size_t i = 0; fixture_names[i] != NULL; i++) {
        fixture_files files;
        size_t k = 0, refused = 0;
        fixture_files_read(&files, fixture_names[i]);
        for (bool failed = true; failed; k++) {
            bool all = k % 2 == 1;
            counting memory;
            ink_context *ctx = counting_begin(&memory, 1);
            (all ? counting_fail_from : counting_fail_at)(&memory, 1 + k / 2);
            ink_result result = open_and_run(ctx, &memory, &files);
            failed = memory.failures > 0;
            assert_true(result == INK_ERROR_MEMORY || (result == INK_OK && (!failed || !all)));
            refused += result != INK_OK;
            counting_end(&memory, ctx);
        }
        assert_true(refused > 5);
        fixture_files_free(&files);
    }
}

/* Every read fails once, then every open; short reads are read on. */
static void every_read_and_open_fails_once(ink_context *ctx)
{
    fixture_files files;
    faulty reader;
    fixture_files_read(&files, "gpt2_bf16");
    for (size_t kind = 0; kind < 3; kind++) {
        size_t k = 1;
        for (bool failed = true; failed; k++) {
            ink_model *model;
            faulty_init(&reader, files.files, files.list.n_files);
            *(kind == 0 ? &reader.fail_read : kind == 1 ? &reader.lie_read : &reader.fail_open) = k;
            const ink_model_options options = {.source = &reader.source};
            ink_result result = ink_model_open(ctx, NULL, &options, &model);
            failed = (kind == 2 ? reader.opens : reader.reads) >= k;
            bool asks = kind == 2 && k == 1; /* whether it is a folder, which another open then shows */
            assert_int_equal(result == INK_OK, !failed || asks);
            assert_true(!failed || result == INK_ERROR_READ || kind == 2);
            assert_int_equal(model != NULL, result == INK_OK);
            assert_int_equal(reader.open_files, 0);
            ink_model_free(model);
        }
        assert_true(k > 2);
    }
    faulty_init(&reader, files.files, files.list.n_files);
    reader.max_read = 3;
    ink_model *model;
    const ink_model_options options = {.source = &reader.source};
    assert_ok(ctx, ink_model_open(ctx, NULL, &options, &model));
    ink_model_free(model);
    fixture_files_free(&files);
}

/* ---- progress ------------------------------------------------------------------------------------------------- */

typedef struct progress {
    uint64_t last, total;
    size_t calls, stop_at;
} progress;

static bool on_progress(void *user, uint64_t done, uint64_t total)
{
    progress *p = user;
    assert_true(done >= p->last && done <= total);
    assert_true(p->total == 0 || p->total == total);
    p->last = done;
    p->total = total;
    return ++p->calls != p->stop_at;
}

static void progress_is_told_and_can_cancel(ink_context *ctx)
{
    progress p = {0};
    ink_model *model;
    const ink_model_options options = {.progress = on_progress, .progress_user = &p};
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/models/gpt2", &options, &model));
    assert_true(p.calls > 0);
    assert_true(p.last == p.total);
    assert_true(p.total == 4 * ink_model_get_info(model)->n_parameters);
    ink_model_free(model);
    size_t calls = p.calls;
    for (size_t stop = 1; stop <= calls; stop++) {
        p = (progress){.stop_at = stop};
        assert_fails(ctx, ink_model_open(ctx, FIXTURES "/models/gpt2", &options, &model), INK_ERROR_CANCELLED, NULL);
        assert_null(model);
        assert_int_equal(p.calls, stop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_settings_are_refused),
        context_test(what_the_page_refuses_is_refused),
        cmocka_unit_test(settings_may_have_their_common_names),
        cmocka_unit_test(settings_may_be_left_out_or_said_in_another_way),
        cmocka_unit_test(settings_change_the_result),
        context_test(the_slope_of_a_leaky_relu_is_read),
        context_test(ids_that_the_vocabulary_lacks_are_noted),
        context_test(there_are_at_most_32_notes),
        context_test(missing_tensors_are_noticed),
        cmocka_unit_test(modules_may_have_any_names),
        fixture_test_on("rnn_relu", a_tied_output_is_not_looked_for),
        context_test(modules_that_are_not_clear_are_named),
        context_test(folders_without_a_model_are_refused),
        counted_test(the_limit_is_exact),
        cmocka_unit_test(every_allocation_fails_once),
        context_test(every_read_and_open_fails_once),
        context_test(progress_is_told_and_can_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
