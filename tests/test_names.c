/*
 * test_names.c - tensors whose names in the file are not those of their modules: names that exist only in the notes of
 * a file because modules share a tensor, and prefixes of wrappers. Fixtures: make_names.py.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "layers.h"
#include "numbers.h"

#define NAMES FIXTURES "/names/"

/* ---- files made on the spot ------------------------------------------------------------------------------------- */

#define TENSOR(name, begin, end) "\"" name "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[" #begin "," #end "]}"

typedef struct text_file {
    unsigned char bytes[1024];
    ink_memory_file entries[4];
    ink_memory_files files;
} text_file;

/* A file of this header and bytes 0, 1, 2 ... */
static ink_memory_file file_of(const char *name, unsigned char *bytes, const char *header, size_t n_data)
{
    size_t length = strlen(header);
    put_number(bytes, length, 8);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < n_data; i++)
        bytes[8 + length + i] = (unsigned char)i;
    return (ink_memory_file){name, bytes, 8 + length + n_data};
}

static ink_weights *open_header(ink_context *ctx, text_file *f, const char *header, size_t n_data)
{
    ink_weights *weights;
    f->entries[0] = file_of("m.safetensors", f->bytes, header, n_data);
    f->files = (ink_memory_files){f->entries, 1};
    ink_source source = ink_source_memory(&f->files);
    assert_ok(ctx, ink_weights_open_source(ctx, &source, "m.safetensors", &weights));
    return weights;
}

static void assert_entry(ink_context *ctx, const ink_weights *weights, const char *name, const char *alias_of, int byte)
{
    unsigned char bytes[2];
    const ink_weight *w = ink_weights_find(weights, name);
    if (w == NULL)
        fail_msg("%s is missing", name);
    else if (alias_of == NULL)
        assert_null(w->alias_of);
    else
        assert_string_equal(w->alias_of, alias_of);
    assert_ok(ctx, ink_weights_read_bytes(ctx, weights, w, 0, bytes, 2));
    assert_int_equal(bytes[0], byte);
}

/* ---- modules ---------------------------------------------------------------------------------------------------- */

/* Opens a file of the fixtures, and what PyTorch computed with it. */
typedef struct named_case {
    ink_weights *file, *reference;
    float *x, *y, *out;
    size_t n_x, n_y;
} named_case;

static void case_open(ink_context *ctx, const char *name, named_case *c)
{
    char path[256];
    snprintf(path, sizeof path, NAMES "%s.safetensors", name);
    c->file = test_fixture(ctx, path);
    c->reference = test_fixture(ctx, NAMES "reference.safetensors");
    c->x = test_case_tensor(ctx, c->reference, name, "x", &c->n_x);
    c->y = test_case_tensor(ctx, c->reference, name, "y", &c->n_y);
    c->out = test_floats(c->n_y);
}

static void case_close(named_case *c, const char *name)
{
    test_assert_close(c->out, c->y, c->n_y, 2e-6, 2e-5, name);
    ink_weights_free(c->file);
    ink_weights_free(c->reference);
    free(c->x);
    free(c->y);
    free(c->out);
}

static void check_mlp(ink_context *ctx, const char *name, const char *module, ink_activation hidden, size_t n_layers)
{
    named_case c;
    ink_mlp *mlp;
    case_open(ctx, name, &c);
    assert_ok(ctx, ink_mlp_load(ctx, c.file, module, hidden, INK_IDENTITY, &mlp));
    assert_int_equal(ink_mlp_layers(mlp), n_layers);
    assert_ok(ctx, ink_mlp_forward(ctx, mlp, c.x, c.n_x / ink_mlp_in(mlp), c.out));
    ink_mlp_free(mlp);
    case_close(&c, name);
}

static void shared_linear_layers_are_all_there(ink_context *ctx)
{
    check_mlp(ctx, "shared_sequential", "net", INK_TANH, 5);
}

/* The same Linear layer, folded with two norms. */
static void a_shared_layer_is_folded_twice(ink_context *ctx) { check_mlp(ctx, "shared_norm", "net", INK_RELU, 2); }

static void check_encoder(ink_context *ctx, const char *name, size_t n_layers)
{
    named_case c;
    ink_transformer *encoder;
    const ink_transformer_options options = {.n_heads = 2, .activation = INK_RELU};
    case_open(ctx, name, &c);
    assert_ok(ctx, ink_transformer_load(ctx, c.file, "net", &options, &encoder));
    assert_int_equal(ink_transformer_layers(encoder), n_layers);
    size_t length = c.n_x / ink_transformer_size(encoder);
    assert_ok(ctx, ink_transformer_forward(ctx, encoder, c.x, &length, 1, c.out));
    ink_transformer_free(encoder);
    case_close(&c, name);
}

static void check_gru(ink_context *ctx, const char *name, size_t n_layers)
{
    named_case c;
    ink_recurrent *gru;
    case_open(ctx, name, &c);
    assert_ok(ctx, ink_recurrent_load(ctx, c.file, "net", INK_GRU, &gru));
    assert_int_equal(ink_recurrent_layers(gru), n_layers);
    float *state = calloc(ink_recurrent_state_size(gru), sizeof *state);
    ink_sequence sequence = {.x = c.x, .y = c.out, .n_steps = c.n_x / ink_recurrent_in(gru), .state = state};
    assert_ok(ctx, ink_recurrent_forward(ctx, gru, &sequence, 1));
    free(state);
    ink_recurrent_free(gru);
    case_close(&c, name);
}

static void shared_encoder_layers_are_all_there(ink_context *ctx) { check_encoder(ctx, "shared_encoder", 3); }
static void shared_recurrent_layers_are_all_there(ink_context *ctx) { check_gru(ctx, "shared_gru", 3); }

/* ---- wrapped modules -------------------------------------------------------------------------------------------- */

static void prefixes_of_wrappers_are_no_part_of_a_name(ink_context *ctx)
{
    static const struct {
        const char *name, *prefix, *module;
    } files[] = {
        {"wrapped_parallel", "module.", "module.net"},
        {"wrapped_compiled", "_orig_mod.", "_orig_mod.net"},
        {"wrapped_both", "module._orig_mod.", "module._orig_mod.net"},
        {"wrapped_both", "module._orig_mod.", "_orig_mod.net"},
        {"wrapped_twice", "_orig_mod.module.", "_orig_mod.module.net"},
        {"wrapped_peft", "base_model.model.", "base_model.model.net"},
        {"wrapped_averaged", "module.", "module.net"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[256], full[256];
        snprintf(path, sizeof path, NAMES "%s.safetensors", files[i].name);
        ink_weights *weights = test_fixture(ctx, path);
        assert_string_equal(ink_weights_prefix(weights), files[i].prefix);
        const ink_weight *w = ink_weights_find(weights, "net.2.bias");
        snprintf(full, sizeof full, "%s.2.bias", files[i].module);
        assert_non_null(w);
        assert_ptr_equal(w, ink_weights_find(weights, full));
        assert_string_equal(w->name, "net.2.bias");
        assert_null(ink_weights_find(weights, "module.module.net.2.bias"));
        ink_weights_free(weights);
        check_mlp(ctx, files[i].name, "net", INK_RELU, 2);
        check_mlp(ctx, files[i].name, files[i].module, INK_RELU, 2);
    }
}

/* A module that is really called so, a name that is all prefix, and names that only some have. */
static void other_names_keep_their_prefix(ink_context *ctx)
{
    text_file f;
    ink_weights *weights =
        open_header(ctx, &f, "{" TENSOR("module.module.a", 0, 2) "," TENSOR("module.b", 2, 4) "}", 4);
    assert_string_equal(ink_weights_prefix(weights), "module.");
    assert_entry(ctx, weights, "module.a", NULL, 0);
    assert_entry(ctx, weights, "module.module.a", NULL, 0);
    assert_entry(ctx, weights, "b", NULL, 2);
    ink_weights_free(weights);
    weights = open_header(ctx, &f, "{" TENSOR("module.a", 0, 2) "," TENSOR("modules.b", 2, 4) "}", 4);
    assert_string_equal(ink_weights_prefix(weights), "");
    assert_entry(ctx, weights, "module.a", NULL, 0);
    ink_weights_free(weights);
    weights = open_header(ctx, &f, "{" TENSOR("module.", 0, 2) "}", 2);
    assert_entry(ctx, weights, "module.", NULL, 0);
    ink_weights_free(weights);
    weights = open_header(ctx, &f, "{\"__metadata__\":{\"module.z\":\"module.a\"}," TENSOR("module.a", 0, 2) "}", 2);
    assert_entry(ctx, weights, "z", "a", 0);
    assert_entry(ctx, weights, "module.z", "a", 0);
    ink_weights_free(weights);
}

/* ---- weights in parts ------------------------------------------------------------------------------------------- */

static void normalised_weights_are_computed(ink_context *ctx)
{
    check_mlp(ctx, "normalised", "net", INK_TANH, 4);
    check_mlp(ctx, "normalised_bf16", "net", INK_TANH, 4);
    check_gru(ctx, "normalised_gru", 2);
    check_encoder(ctx, "normalised_encoder", 1);
    named_case c;
    ink_embedding *embedding;
    ink_token tokens[9];
    case_open(ctx, "normalised_embedding", &c);
    for (size_t i = 0; i < 9; i++)
        tokens[i] = (ink_token)i;
    assert_ok(ctx, ink_embedding_load(ctx, c.file, "net", &embedding));
    assert_ok(ctx, ink_embedding_forward(ctx, embedding, tokens, 9, c.out));
    ink_embedding_free(embedding);
    case_close(&c, "normalised_embedding");
    for (size_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "normalised_conv" : "normalised_conv_spectral";
        ink_conv1d *conv;
        case_open(ctx, name, &c);
        assert_ok(ctx, ink_conv1d_load(ctx, c.file, "net", NULL, &conv));
        assert_ok(ctx, ink_conv1d_forward(ctx, conv, NULL, c.x, c.n_x / 3, true, c.out));
        ink_conv1d_free(conv);
        case_close(&c, name);
    }
}

/* Other forms are refused by name, by whichever loader, and never half used. */
static void other_forms_are_named(ink_context *ctx)
{
    static const struct {
        struct {
            const char *name;
            size_t rows, columns; /* 0: a vector */
        } tensors[4];
        const char *words;
    } forms[] = {
        {{{"0.weight_orig", 4, 3}, {"0.weight_mask", 4, 3}}, "'0.weight_orig' is a pruned weight"},
        {{{"0.parametrizations.weight.original", 4, 3}}, "'0.parametrizations.weight.original' is a parametrization"},
        {{{"0.parametrizations.weight.original0", 4, 3}}, "'0.parametrizations.weight.original0' is a parametrization"},
        {{{"0.base_layer.weight", 4, 3}, {"0.lora_A.default.weight", 2, 3}}, "LoRA"},
        {{{"0.lora_A.weight", 2, 3}, {"0.lora_B.weight", 4, 2}}, "LoRA"},
        {{{"0.weight_g", 4, 1}}, "instead of tensor '0.weight' there is '0.weight_g'"},
        {{{"0.weight_orig", 4, 3}, {"0.weight_u", 4, 0}}, "instead of tensor '0.weight' there is '0.weight_orig'"},
        {{{"0.weight_v", 4, 3}, {"0.weight_g", 1, 3}}, "'0.weight_g' is [1, 3], expected 4 elements"},
        {{{"0.weight_orig", 4, 3}, {"0.weight_u", 3, 0}, {"0.weight_v", 4, 0}}, "'0.weight_u' is [3], expected 4"},
        {{{"0.weight_v", 4, 3}, {"0.weight_g", 4, 1}, {"0.weight", 4, 3}}, "both '0.weight' and '0.weight_v'"},
        {{{"0.weight", 4, 3}, {"0.parametrizations.weight.original0", 4, 1}},
         "both '0.weight' and '0.parametrizations"},
        {{{"0.weight", 4, 3}, {"0.parametrizations.bias.original", 4, 0}}, "'0.parametrizations.bias.original' is a"},
        {{{"0.weight", 4, 3}, {"0.bias_v", 4, 0}, {"0.bias_g", 4, 0}}, "'0.bias_v': weight_norm"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        state_dict dict = {0};
        ink_dense *dense;
        ink_mlp *mlp;
        for (size_t t = 0; t < 4 && forms[i].tensors[t].name != NULL; t++)
            if (forms[i].tensors[t].columns != 0)
                state_dict_matrix(&dict, forms[i].tensors[t].name, forms[i].tensors[t].rows,
                                  forms[i].tensors[t].columns);
            else
                state_dict_vector(&dict, forms[i].tensors[t].name, forms[i].tensors[t].rows);
        ink_weights *weights = state_dict_open(ctx, &dict);
        assert_fails(ctx, ink_dense_load(ctx, weights, "0", INK_RELU, &dense), INK_ERROR_UNSUPPORTED, forms[i].words);
        assert_fails(ctx, ink_mlp_load(ctx, weights, "", INK_RELU, INK_RELU, &mlp), INK_ERROR_UNSUPPORTED,
                     forms[i].words);
        state_dict_free(&dict);
    }
}

/* ---- modules by guess ------------------------------------------------------------------------------------------- */

/* Makes a suggested call, and fails the test unless it succeeds. */
static void make_call(ink_context *ctx, const ink_weights *file, const char *call)
{
    const ink_transformer_options options = {.n_heads = 1};
    char loader[32], name[128] = "", rest[64];
    if (sscanf(call, "ink_%31[a-z0-9_](ctx, file, \"%127[^\"]\", %63[^)])", loader, name, rest) != 3)
        assert_int_equal(sscanf(call, "ink_%31[a-z0-9_](ctx, file, \"\", %63[^)])", loader, rest), 2);
    if (strcmp(loader, "dense_load") == 0) {
        ink_dense *dense;
        assert_ok(ctx, ink_dense_load(ctx, file, name, INK_IDENTITY, &dense));
        ink_dense_free(dense);
    } else if (strcmp(loader, "mlp_load") == 0) {
        ink_mlp *mlp;
        assert_ok(ctx, ink_mlp_load(ctx, file, name, INK_RELU, INK_IDENTITY, &mlp));
        ink_mlp_free(mlp);
    } else if (strcmp(loader, "conv1d_load") == 0) {
        ink_conv1d *conv;
        assert_ok(ctx, ink_conv1d_load(ctx, file, name, NULL, &conv));
        ink_conv1d_free(conv);
    } else if (strcmp(loader, "embedding_load") == 0) {
        ink_embedding *embedding;
        assert_ok(ctx, ink_embedding_load(ctx, file, name, &embedding));
        ink_embedding_free(embedding);
    } else if (strcmp(loader, "norm_load") == 0) {
        ink_norm *norm;
        bool rms = strncmp(rest, "INK_RMS_NORM", 12) == 0;
        assert_ok(ctx, ink_norm_load(ctx, file, name, rms ? INK_RMS_NORM : INK_LAYER_NORM, 1e-5f, &norm));
        ink_norm_free(norm);
    } else if (strcmp(loader, "recurrent_load") == 0) {
        ink_recurrent *net;
        ink_cell cell = strncmp(rest, "INK_GRU", 7) == 0    ? INK_GRU
                        : strncmp(rest, "INK_LSTM", 8) == 0 ? INK_LSTM
                                                            : INK_RNN_TANH;
        assert_ok(ctx, ink_recurrent_load(ctx, file, name, cell, &net));
        ink_recurrent_free(net);
    } else if (strcmp(loader, "mha_load") == 0) {
        ink_mha *mha;
        assert_ok(ctx, ink_mha_load(ctx, file, name, &options, &mha));
        ink_mha_free(mha);
    } else if (strcmp(loader, "transformer_load") == 0) {
        ink_transformer *net;
        assert_ok(ctx, ink_transformer_load(ctx, file, name, &options, &net));
        ink_transformer_free(net);
    } else {
        assert_string_equal(loader, "sequential_load"); /* its list is the caller's */
    }
}

/* Every suggestion loads, and each kind of module is found. */
static void suggested_calls_load(ink_context *ctx)
{
    static const struct {
        const char *path;
        size_t n;
        const char *call; /* one of them */
    } files[] = {
        {"layers/dense", 7, "ink_dense_load(ctx, file, \"plain\", INK_IDENTITY, &dense);"},
        {"layers/mlp", 2, "ink_mlp_load(ctx, file, \"deep\", INK_RELU, INK_IDENTITY, &mlp);"},
        {"layers/norm", 5, "ink_norm_load(ctx, file, \"seven\", INK_LAYER_NORM, 1e-5f, &norm);"},
        {"layers/llama", 14, "ink_norm_load(ctx, file, \"rms.one\", INK_RMS_NORM, 1e-5f, &norm);"},
        {"layers/conv", 14, "ink_conv1d_load(ctx, file, \"wide\", &options, &conv);"},
        {"layers/rnn_tanh", 4, "ink_recurrent_load(ctx, file, \"cell\", INK_RNN_TANH, &net);"},
        {"layers/gru", 4, "ink_recurrent_load(ctx, file, \"both\", INK_GRU, &net);"},
        {"layers/lstm", 5, "ink_recurrent_load(ctx, file, \"projected\", INK_LSTM, &net);"},
        {"layers/transformer", 9, "ink_transformer_load(ctx, file, \"stack\", &options, &encoder);"},
        {"layers/transformer_decoder", 7, "ink_transformer_load(ctx, file, \"whole.decoder\", &options, &decoder);"},
        {"layers/transformer", 9, "ink_mha_load(ctx, file, \"mha_split\", &options, &mha);"},
        {"layers/sequential", 6, "ink_sequential_load(ctx, file, \"norms\", modules, n_modules, &net);"},
        {"layers/batch_norm", 2, "ink_mlp_load(ctx, file, \"net\", INK_RELU, INK_IDENTITY, &mlp);"},
        {"layers/sequential", 6,
         "ink_sequential_load(ctx, file, \"first\", modules, n_modules, &net); /* nn.Sequential */"},
        {"names/shared_encoder", 1, "ink_transformer_load(ctx, file, \"net\", &options, &encoder);"},
        {"names/normalised", 1, "ink_mlp_load(ctx, file, \"net\", INK_RELU, INK_IDENTITY, &mlp);"},
        {"names/normalised_gru", 1, "ink_recurrent_load(ctx, file, \"net\", INK_GRU, &net);"},
        {"names/wrapped_both", 1, "ink_mlp_load(ctx, file, \"net\", INK_RELU, INK_IDENTITY, &mlp);"},
        {"names/reference", 0, NULL},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[256], call[256];
        size_t n = 0, found = 0;
        snprintf(path, sizeof path, FIXTURES "/%s.safetensors", files[i].path);
        ink_weights *weights = test_fixture(ctx, path);
        for (size_t at = 0; ink_weights_suggest(weights, &at, call, sizeof call); n++) {
            make_call(ctx, weights, call);
            found += files[i].call != NULL && strncmp(call, files[i].call, strlen(files[i].call)) == 0;
        }
        assert_string_equal(call, "");
        if (n != files[i].n)
            fail_msg("%s: %zu calls", files[i].path, n);
        assert_int_equal(found, files[i].call != NULL);
        ink_weights_free(weights);
    }
}

/* An nn.Sequential with modules that are no layers is not suggested as one of Linear layers, but module by module. */
static void other_sequentials_are_taken_apart(ink_context *ctx)
{
    static const struct {
        const char *other, *call; /* the call for the module beside 0 */
        size_t rows, columns;
    } cases[] = {
        {"net.1.weight_hh_l0", "ink_recurrent_load(ctx, file, \"net.1\", INK_LSTM, &net); /* nn.LSTM */", 12, 3},
        {"net.2.weight_hh", "ink_recurrent_load(ctx, file, \"net.2\", INK_GRU, &net); /* nn.GRU */", 12, 4},
        {"net.1.0.weight",
         "ink_mlp_load(ctx, file, \"net.1\", INK_RELU, INK_IDENTITY, &mlp); "
         "/* nn.Sequential of Linear layers */",
         3, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        state_dict dict = {0};
        char call[256];
        size_t at = 0;
        state_dict_matrix(&dict, "net.0.weight", 4, 5);
        state_dict_matrix(&dict, cases[i].other, cases[i].rows, cases[i].columns);
        ink_weights *file = state_dict_open(ctx, &dict);
        assert_true(ink_weights_suggest(file, &at, call, sizeof call));
        assert_string_equal(call, "ink_dense_load(ctx, file, \"net.0\", INK_IDENTITY, &dense); /* nn.Linear */");
        assert_true(ink_weights_suggest(file, &at, call, sizeof call));
        assert_string_equal(call, cases[i].call);
        assert_false(ink_weights_suggest(file, &at, call, sizeof call));
        state_dict_free(&dict);
    }
}

/* A module that is not there: which there are. */
static void a_wrong_name_is_answered_with_the_modules(ink_context *ctx)
{
    const ink_transformer_options options = {.n_heads = 1};
    state_dict dict = {0};
    ink_dense *dense;
    ink_mlp *mlp;
    ink_embedding *embedding;
    ink_norm *norm;
    ink_recurrent *net;
    ink_mha *mha;
    ink_transformer *encoder;
    state_dict_matrix(&dict, "emb.weight", 9, 4);
    state_dict_matrix(&dict, "rnn.weight_ih_l0", 15, 4);
    state_dict_matrix(&dict, "rnn.weight_hh_l0", 15, 5);
    state_dict_matrix(&dict, "rnn.weight_ih_l1", 15, 5);
    state_dict_matrix(&dict, "head.0.weight", 6, 5);
    state_dict_matrix(&dict, "head.2.weight", 9, 6);
    state_dict_matrix(&dict, "fc.weight", 3, 3);
    state_dict_vector(&dict, "fc.bias", 3);
    for (size_t i = 0; i < 9; i++) {
        char name[32];
        snprintf(name, sizeof name, "norms.a%zu.weight", i);
        state_dict_vector(&dict, name, 4);
    }
    ink_weights *file = state_dict_open(ctx, &dict);
    assert_fails(ctx, ink_dense_load(ctx, file, "f", INK_RELU, &dense), INK_ERROR_NOT_FOUND,
                 "tensor 'f.weight' is missing; the file has nn.Linear 'head.0', nn.Linear 'head.2', nn.Linear 'fc'");
    assert_fails(ctx, ink_norm_load(ctx, file, "a3", INK_RMS_NORM, 0, &norm), INK_ERROR_NOT_FOUND,
                 "tensor 'a3.weight' is missing, but there is 'norms.a3.weight'; the file has nn.RMSNorm");
    assert_fails(ctx, ink_mlp_load(ctx, file, "net", INK_RELU, INK_RELU, &mlp), INK_ERROR_NOT_FOUND,
                 "; the file has nn.Sequential of Linear layers 'head'");
    /* a module, but no nn.Sequential */
    assert_fails(ctx, ink_mlp_load(ctx, file, "fc", INK_RELU, INK_RELU, &mlp), INK_ERROR_NOT_FOUND,
                 "module 'fc' has no tensor NUMBER.weight; the file has nn.Sequential of Linear layers 'head'");
    assert_fails(ctx, ink_embedding_load(ctx, file, "e", &embedding), INK_ERROR_NOT_FOUND,
                 "; the file has nn.Embedding 'emb', nn.Linear 'head.2', nn.Linear 'fc'");
    assert_fails(ctx, ink_recurrent_load(ctx, file, "gru", INK_GRU, &net), INK_ERROR_NOT_FOUND,
                 "; the file has nn.GRU 'rnn'");
    assert_fails(ctx, ink_norm_load(ctx, file, "norms", INK_RMS_NORM, 0, &norm), INK_ERROR_NOT_FOUND,
                 "nn.RMSNorm 'norms.a0', nn.RMSNorm 'norms.a1', nn.RMSNorm 'norms.a2', nn.RMSNorm 'norms.a3', "
                 "nn.RMSNorm 'norms.a4', nn.RMSNorm 'norms.a5', ...");
    assert_fails(
        ctx, ink_mha_load(ctx, file, "attn", &options, &mha), INK_ERROR_NOT_FOUND, /* no such module */
        "; the file has nn.Embedding 'emb', nn.GRU 'rnn', nn.Sequential of Linear layers 'head', nn.Linear 'fc'");
    assert_fails(ctx, ink_transformer_load(ctx, file, "", &options, &encoder), INK_ERROR_NOT_FOUND, "nn.GRU 'rnn'");

    /* The module is there, and something in it is missing. */
    assert_fails(ctx, ink_recurrent_load(ctx, file, "rnn", INK_GRU, &net), INK_ERROR_NOT_FOUND,
                 "tensor 'rnn.weight_hh_l1' is missing");
    assert_null(strstr(ink_context_error(ctx), "the file has"));
    state_dict_free(&dict);
}

/* ---- tied models ------------------------------------------------------------------------------------------------ */

/* Whichever name is kept, the model is the tied one: its logits, its parameters counted once, no tensor unused, and no
   second matrix in memory. */
static void tied_models_open_by_either_name(ink_context *ctx)
{
    static const struct {
        const char *name;
        uint64_t n_parameters;
        size_t like; /* the row with the same network, which must take the same memory */
    } folders[] = {
        {"gpt2_keeps_lm_head", 40 * 12 + 16 * 12 + 2 * 1884 + 24, 0},
        {"gpt2_keeps_wte", 40 * 12 + 16 * 12 + 2 * 1884 + 24, 0},
        {"gpt2_untold", 40 * 12 + 16 * 12 + 2 * 1884 + 24, 0},
        {"llama_keeps_lm_head", 40 * 12 + 2 * 1320 + 12, 3},
        {"llama_keeps_embed", 40 * 12 + 2 * 1320 + 12, 3},
        {"llama_shards", 40 * 12 + 2 * 1320 + 12, 3},
        {"gpt2_wrapped", 40 * 12 + 16 * 12 + 2 * 1884 + 24, 0},
        {"llama_wrapped", 40 * 12 + 2 * 1320 + 12, 3},
        {"llama_one_block", 40 * 12 + 1320 + 12, 5},
        {"roberta_keeps_decoder", 40 * 12 + 18 * 12 + 12 + 24 + 2 * (4 * 156 + 24 + 260 + 252 + 24) + 156 + 24 + 40, 9},
        {"gru_tied", 40 * 6 + 3 * 6 * 14 + 40, 10},
        {"gru_tied_output", 40 * 6 + 3 * 6 * 14 + 40, 10},
    };
    ink_weights *reference = test_fixture(ctx, NAMES "reference.safetensors");
    uint64_t bytes[12];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const char *name = folders[i].name;
        char path[256];
        ink_model *model;
        ink_token tokens[16];
        size_t n, n_logits;
        snprintf(path, sizeof path, NAMES "%s", name);
        assert_ok(ctx, ink_model_open(ctx, path, NULL, &model));
        const ink_model_info *info = ink_model_get_info(model);
        float *x = test_case_tensor(ctx, reference, name, "x", &n);
        float *y = test_case_tensor(ctx, reference, name, "y", &n_logits), *out = test_floats(n_logits);
        for (size_t t = 0; t < n; t++)
            tokens[t] = (ink_token)x[t];
        if (ink_model_get_encoder(model) != NULL) {
            ink_text text = {.tokens = tokens, .n_tokens = n, .output = out};
            assert_ok(ctx, ink_model_encode(ctx, model, INK_LOGITS, &text, 1));
        } else {
            ink_state *state;
            assert_ok(ctx, ink_state_create(ctx, model, n, &state));
            const ink_item item = test_item(state, tokens, n, out, n);
            assert_ok(ctx, ink_model_forward_list(ctx, model, &item, 1));
            ink_state_free(state);
        }
        test_assert_close(out, y, n_logits, 1e-5, 1e-4, name);
        assert_int_equal(info->n_parameters, folders[i].n_parameters);
        assert_int_equal(info->n_unused, 0);
        bytes[i] = info->n_bytes;
        assert_true(i == 8 ? bytes[i] < bytes[5] : folders[i].like == i || bytes[i] == bytes[folders[i].like]);

        ink_model *again; /* the exact size is enough, and a byte less is not */
        ink_model_options options = {.max_bytes = bytes[i]};
        ink_model_free(model);
        assert_ok(ctx, ink_model_open(ctx, path, &options, &again));
        ink_model_free(again);
        options.max_bytes--;
        assert_fails(ctx, ink_model_open(ctx, path, &options, &again), INK_ERROR_LIMIT, NULL);
        free(x);
        free(y);
        free(out);
    }
    ink_weights_free(reference);
}

/* ---- notes that are aliases, and notes that are none ------------------------------------------------------------ */

static void only_notes_about_tensors_are_aliases(ink_context *ctx)
{
    text_file f;
    ink_weights *weights = open_header(
        ctx, &f,
        "{\"__metadata__\":{\"format\":\"pt\",\"z\":\"y\",\"y\":\"a\",\"c\":\"b\",\"b\":\"a\","
        "\"ring\":\"gnir\",\"gnir\":\"ring\",\"self\":\"self\",\"tail\":\"ring\",\"nothing\":\"void\"}," TENSOR(
            "a", 0, 2) "," TENSOR("b", 2, 4) "}",
        4);
    static const char *const order[] = {"a", "y", "z", "b", "c"};
    assert_entry(ctx, weights, "a", NULL, 0);
    assert_entry(ctx, weights, "b", NULL, 2); /* the file has it, whatever a note says */
    assert_entry(ctx, weights, "c", "b", 2);
    assert_entry(ctx, weights, "y", "a", 0);
    assert_entry(ctx, weights, "z", "a", 0); /* through y */
    assert_int_equal(ink_weights_count(weights), 5);
    for (size_t i = 0; i < 5; i++) { /* an alias comes behind its tensor */
        const char *name = ink_weights_at(weights, i)->name;
        assert_true(i == 1 || i == 2 ? name[0] == 'y' || name[0] == 'z' : strcmp(name, order[i]) == 0);
    }
    assert_null(ink_weights_find(weights, "format"));
    assert_null(ink_weights_find(weights, "ring"));
    assert_null(ink_weights_find(weights, "tail"));
    assert_null(ink_weights_find(weights, "self"));
    assert_null(ink_weights_find(weights, "nothing"));
    assert_string_equal(ink_weights_metadata(weights, "format"), "pt");
    assert_string_equal(ink_weights_metadata(weights, "z"), "y");
    ink_weights_free(weights);
}

/* A note in one file may mean a tensor of another; two files must not disagree. */
static void shards_share_their_notes(ink_context *ctx)
{
    static const char index[] = "{\"weight_map\":{\"a\":\"1\",\"b\":\"2\"}}";
    unsigned char first[256], second[256];
    ink_memory_file entries[] = {
        {"model.safetensors.index.json", index, sizeof index - 1},
        file_of("1", first, "{\"__metadata__\":{\"c\":\"b\"}," TENSOR("a", 0, 2) "}", 2),
        file_of("2", second, "{\"__metadata__\":{\"c\":\"b\",\"d\":\"c\"}," TENSOR("b", 0, 2) "}", 2),
    };
    ink_memory_files files = {entries, 3};
    ink_source source = ink_source_memory(&files);
    ink_weights *weights;
    assert_ok(ctx, ink_weights_open_folder(ctx, &source, &weights));
    assert_int_equal(ink_weights_count(weights), 4);
    assert_entry(ctx, weights, "c", "b", 0);
    assert_entry(ctx, weights, "d", "b", 0);
    assert_string_equal(ink_weights_find(weights, "c")->file, "2");
    ink_weights_free(weights);

    entries[2] = file_of("2", second, "{\"__metadata__\":{\"c\":\"a\"}," TENSOR("b", 0, 2) "}", 2);
    assert_fails(ctx, ink_weights_open_folder(ctx, &source, &weights), INK_ERROR_CORRUPT,
                 "__metadata__ says that tensor 'c' is");
    assert_null(weights);
}

/* Many names for one large tensor do not make a large network. */
static void names_cost_no_weights(ink_context *ctx, counting *memory)
{
    enum { N = 2000, SIZE = 64 };
    char *header = malloc(N * 64 + 200);
    size_t used = (size_t)sprintf(header, "{\"__metadata__\":{\"format\":\"pt\"");
    for (size_t i = 1; i < N; i++)
        used += (size_t)sprintf(header + used, ",\"%zu.weight\":\"0.weight\"", i);
    sprintf(header + used, "},\"0.weight\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[0,%d]}}", SIZE, SIZE,
            4 * SIZE * SIZE);
    unsigned char *bytes = malloc(8 + strlen(header) + 4 * SIZE * SIZE);
    ink_memory_file entry = file_of("m", bytes, header, 4 * SIZE * SIZE);
    ink_memory_files files = {&entry, 1};
    ink_source source = ink_source_memory(&files);
    ink_weights *weights;
    ink_mlp *mlp;
    assert_ok(ctx, ink_weights_open_source(ctx, &source, "m", &weights));
    size_t before = memory->live_bytes;
    assert_ok(ctx, ink_mlp_load(ctx, weights, "", INK_RELU, INK_IDENTITY, &mlp));
    assert_int_equal(ink_mlp_layers(mlp), N);
    assert_true(memory->live_bytes - before < 2 * 4 * SIZE * SIZE + N * 200 + 300000);
    ink_mlp_free(mlp);
    ink_weights_free(weights);
    for (size_t k = 1;
         k < 40 && runs_out_of_memory(ctx, memory, k, ink_weights_open_source(ctx, &source, "m", &weights), "m"); k++)
        assert_null(weights);
    ink_weights_free(weights);
    free(bytes);
    free(header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(shared_linear_layers_are_all_there),
        context_test(a_shared_layer_is_folded_twice),
        context_test(shared_encoder_layers_are_all_there),
        context_test(shared_recurrent_layers_are_all_there),
        context_test(tied_models_open_by_either_name),
        context_test(only_notes_about_tensors_are_aliases),
        context_test(prefixes_of_wrappers_are_no_part_of_a_name),
        context_test(other_names_keep_their_prefix),
        context_test(normalised_weights_are_computed),
        context_test(other_forms_are_named),
        context_test(suggested_calls_load),
        context_test(other_sequentials_are_taken_apart),
        context_test(a_wrong_name_is_answered_with_the_modules),
        context_test(shards_share_their_notes),
        counted_test(names_cost_no_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
