/*
 * test_quantised.c - folders with quantization_config: the numbers of their dequantised weights, settings and tensors
 * that do not fit, and memory that fails.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"
#include "settings.h"
#include "support/layers.h"

#include "../src/models/networks.h"

static const char *const names[] = {"int4",       "int4_zeros",    "int4_channel", "int4_narrow", "int8",
                                    "int8_zeros", "w8a8",          "w8a8_zeros",   "mixed",       "whole",
                                    "float8",     "float8_tensor", "float8_block", "w8a8_bert",   "int4_bart",
                                    "fp8",        "fp8_bf16",      "fp8_e8m0",     "fp8_tensor",  "fp8_older"};
#define N_NAMES (sizeof names / sizeof *names)

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

typedef struct expected {
    ink_token tokens[64], source[64];
    size_t n, n_source, n_rows;
    float *rows; /* logits of the last tokens, or of an encoder its last layer */
} expected;

static size_t read_ids(ink_context *ctx, const ink_weights *file, const char *name, ink_token *ids)
{
    size_t n = 0;
    if (ink_weights_find(file, name) == NULL)
        return 0;
    float *values = test_tensor(ctx, file, name, &n);
    for (size_t i = 0; i < n; i++)
        ids[i] = (ink_token)values[i];
    free(values);
    return n;
}

static void read_expected(ink_context *ctx, const char *name, expected *e)
{
    char path[256];
    snprintf(path, sizeof path, FIXTURES "/quantised/%s/reference.safetensors", name);
    ink_weights *file = test_fixture(ctx, path);
    e->n = read_ids(ctx, file, "tokens", e->tokens);
    e->n_source = read_ids(ctx, file, "source", e->source);
    e->rows = test_tensor(ctx, file, ink_weights_find(file, "text") != NULL ? "text" : "logits", &e->n_rows);
    ink_weights_free(file);
}

/* The same rows of the model. */
static float *run(ink_context *ctx, const ink_model *model, const expected *e)
{
    const ink_model_info *info = ink_model_get_info(model);
    bool is_encoder = ink_model_get_encoder(model) != NULL;
    size_t width = is_encoder ? info->hidden_size : info->vocab_size, n = e->n_rows / width;
    float *rows = test_floats(e->n_rows);
    ink_state *state;
    ink_encoded *encoded = NULL;
    if (is_encoder) {
        const ink_text text = {.tokens = e->tokens, .n_tokens = e->n, .output = rows};
        assert_ok(ctx, ink_model_encode(ctx, model, INK_HIDDEN_STATES, &text, 1));
        return rows;
    }
    assert_ok(ctx, ink_state_create(ctx, model, 0, &state));
    if (e->n_source != 0) {
        assert_ok(ctx, ink_encoded_create(ctx, model, e->n_source, &encoded));
        const ink_source_item source = {.encoded = encoded, .tokens = e->source, .n_tokens = e->n_source};
        assert_ok(ctx, ink_model_encode_sources(ctx, model, &source, 1));
        assert_ok(ctx, ink_state_begin(ctx, state, encoded));
    }
    const ink_item item = test_item(state, e->tokens, e->n, rows, n);
    assert_ok(ctx, ink_model_forward_list(ctx, model, &item, 1));
    ink_state_free(state);
    ink_encoded_free(encoded);
    return rows;
}

/* As f32 they are those of the dequantised weights; as stored, what the type of the weights costs. Every thread and
   kernel reads the same. */
static void folders_give_the_numbers_of_the_reference(ink_context *ctx)
{
    for (size_t i = 0; i < N_NAMES; i++) {
        static const ink_type types[] = {INK_F32, INK_TYPE_NONE, INK_BF16};
        char folder[256];
        expected e;
        snprintf(folder, sizeof folder, FIXTURES "/quantised/%s", names[i]);
        read_expected(ctx, names[i], &e);
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            const ink_model_options options = {.type = types[t]};
            ink_model *model;
            double largest;
            assert_ok(ctx, ink_model_open(ctx, folder, &options, &model));
            float *rows = run(ctx, model, &e);
            double worst = largest_difference(rows, e.rows, e.n_rows, &largest);
            if (t == 0)
                printf("%-14s largest number %7.3f, largest difference %.1e\n", names[i], largest, worst);
            if (!(worst <= largest * (types[t] == INK_F32 ? 3e-6 : 0.05)))
                fail_msg("%s as %s: %g of %g", names[i], ink_type_name(types[t]), worst, largest);
            bool inputs = strcmp(names[i], "float8_tensor") == 0 || strcmp(names[i], "fp8_older") == 0;
            assert_int_equal(ink_model_get_info(model)->n_unused, inputs ? 7 : 0); /* scales of activations */

            ink_model *again;
            ink_context *other = test_context(3);
            assert_ok(other, ink_model_open(other, folder, &options, &again));
            float *same = run(other, again, &e);
            assert_same_bits(names[i], "with three threads", same, rows, e.n_rows);
            free(same), free(rows);
            ink_model_free(model), ink_model_free(again);
            ink_context_free(other);
        }
        free(e.rows);
    }
}

/* ---- what a folder says ------------------------------------------------------------------------------------------ */

static bool has_note(const ink_model *model, const char *words)
{
    for (size_t i = 0; i < ink_model_get_info(model)->n_notes; i++)
        if (strstr(ink_model_note(model, i), words) != NULL)
            return true;
    return false;
}

static void what_is_ignored_is_noted(ink_context *ctx)
{
    static const struct {
        const char *name, *words;
        bool noted;
    } cases[] = {
        {"int4", "take more memory", false},
        {"int4", "activations", false},
        {"int4_zeros", "take more memory", false},
        {"int8_zeros", "7 of 7 quantised weights take more memory", true},
        {"int4_channel", "7 of 7 quantised weights take more memory", true},
        {"mixed", "take more memory", false},
        {"w8a8", "activations are not quantised as it says, they stay f32", true},
        {"fp8", "activations are not quantised", true},
        {"fp8_older", "activations are not quantised", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const setting plain = {cases[i].name, NULL, NULL, INK_OK, NULL};
        ink_model *model;
        assert_ok(ctx, setting_open(ctx, &plain, &model));
        if (has_note(model, cases[i].words) != cases[i].noted)
            fail_msg("%s: a note on '%s' is %sexpected; %s", cases[i].name, cases[i].words,
                     cases[i].noted ? "" : "not ",
                     ink_model_get_info(model)->n_notes != 0 ? ink_model_note(model, 0) : "there is none");
        ink_model_free(model);
    }
    const setting cache = {"int4", "kv_cache_scheme", "{\"num_bits\": 8}", INK_OK, NULL};
    ink_model *model;
    assert_ok(ctx, setting_open(ctx, &cache, &model));
    assert_true(has_note(model, "not as kv_cache_scheme says"));
    ink_model_free(model);
}

#define Q "quantization_config"
#define GROUPS(list)                                                                                                   \
    "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", \"config_groups\": {" list "}}"
#define WEIGHTS(members) GROUPS("\"g\": {\"targets\": [\"Linear\"], \"weights\": {" members "}}")
#define METHOD(name) "{\"quant_method\": \"" name "\"}"

/* Spelled otherwise, they say the same. */
static const setting same[] = {
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"group_size\": 32"), INK_OK, NULL},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"group_size\": 32, \"strategy\": \"group\", \"actorder\": \"weight\""),
     INK_OK, NULL},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"group_size\": 32, \"actorder\": false, \"observer\": \"mse\""), INK_OK,
     NULL},
    {"int4", Q,
     GROUPS("\"a\": {\"weights\": null}, \"b\": {\"weights\": {\"num_bits\": 8, \"strategy\": \"channel\"}},"
            "\"c\": {\"weights\": {\"num_bits\": 4, \"group_size\": 32}, \"targets\": [\"re:.*\"]}"),
     INK_OK, NULL},
    {"int4_channel", Q,
     GROUPS("\"a\": {\"weights\": {\"num_bits\": 4, \"strategy\": \"channel\"}},"
            "\"b\": {\"weights\": {\"num_bits\": 4, \"group_size\": 128, \"symmetric\": true}}"),
     INK_OK, NULL},
    {"int4_zeros", Q, WEIGHTS("\"num_bits\": 4, \"group_size\": 32, \"symmetric\": false"), INK_OK, NULL},
    {"int4", "ignore", "null", INK_OK, NULL},
    {"int4", "format", "\"mixed-precision\"", INK_OK, NULL},
    {"int4", "global_compression_ratio", "1.5, \"sparsity_config\": {\"format\": \"dense\", \"ignore\": []}", INK_OK,
     NULL},
    {"int4", "global_compression_ratio", "null, \"sparsity_config\": {}, \"transform_config\": {\"config_groups\": {}}",
     INK_OK, NULL},
    {"float8_block", Q, WEIGHTS("\"type\": \"float\", \"strategy\": \"block\", \"block_structure\": \"16x32\""), INK_OK,
     NULL},
    {"fp8", "fmt", "null", INK_OK, NULL},
    {"fp8", "modules_to_not_convert", "null, \"ignored_layers\": [\"lm_head\"]", INK_OK, NULL},
    {"fp8_bf16", Q, METHOD("fp8"), INK_OK, NULL},
};

static void the_same_may_be_spelled_otherwise(ink_context *ctx)
{
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const setting plain = {same[i].fixture, NULL, NULL, INK_OK, NULL};
        ink_model *model, *spelled;
        expected e;
        read_expected(ctx, same[i].fixture, &e);
        assert_ok(ctx, setting_open(ctx, &plain, &model));
        assert_ok(ctx, setting_open(ctx, &same[i], &spelled));
        float *a = run(ctx, model, &e), *b = run(ctx, spelled, &e);
        assert_same_bits(same[i].fixture, same[i].value, b, a, e.n_rows);
        ink_model_free(model), ink_model_free(spelled);
        free(a), free(b), free(e.rows);
    }
}

#define U INK_ERROR_UNSUPPORTED
#define M INK_ERROR_MISMATCH

static const setting refused[] = {
    /* the method */
    {"llama", Q, "7", M, "quantization_config: expected an object, found 7"},
    {"llama", Q, "{}", M, "quantization_config: member 'quant_method' is missing"},
    {"llama", Q, METHOD("gptq"), U, "quant_method is 'gptq', only 'compressed-tensors' and 'fp8' are supported"},
    {"llama", Q, METHOD("awq"), U, "'awq', only"},
    {"llama", Q, METHOD("bitsandbytes"), U, "or a GGUF file of it"},
    {"llama", Q, METHOD("mxfp4"), U, "'mxfp4'"},
    {"llama", Q, METHOD("modelopt"), U, "'modelopt'"},
    {"llama", Q, METHOD("fbgemm_fp8"), U, "'fbgemm_fp8'"},
    {"llama", Q, "{\"quant_method\": 3}", M, "quant_method: expected a string"},
    {"llama", Q, METHOD("compressed-tensors"), M, "quantization_config: member 'config_groups' is missing"},
    /* compressed-tensors */
    {"int4", "format", "\"nvfp4-pack-quantized\"", U, "quantization_config.format is 'nvfp4-pack-quantized', expected"},
    {"int4", "format", "\"pack-quantized|int-quantized\"", U, "expected 'pack-quantized'"},
    {"int4", "format", "\"marlin-24\"", U, "'marlin-24'"},
    {"int4", "format", "{}", M, "format"},
    {"int4", "quantization_status", "\"frozen\"", U, "quantization_status is 'frozen', expected 'compressed'"},
    {"int4", "kv_cache_scheme", "null, \"sparsity_config\": {\"format\": \"sparse-24-bitmask\"}", U, "sparsity_config"},
    {"int4", "kv_cache_scheme", "null, \"transform_config\": {\"config_groups\": {\"u\": {\"type\": \"hadamard\"}}}", U,
     "transform_config is not supported"},
    {"int4", Q, GROUPS("\"W4A16\": [\"Linear\"]"), M, "config_groups.W4A16: expected an object, found an array"},
    {"int4", Q, GROUPS("\"g\": {\"weights\": 4}"), M, "config_groups.g.weights: expected an object"},
    {"int4", Q, GROUPS("\"g\": {\"format\": \"mxfp8-quantized\"}"), U, "'mxfp8-quantized'"},
    {"int4", Q, GROUPS(""), M, "config.json has no group of quantised weights"},
    {"int4", Q, WEIGHTS("\"num_bits\": 9, \"group_size\": 32"), M, "num_bits: expected an integer from 1 to 8"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"type\": \"float\", \"group_size\": 32"), M,
     "num_bits: expected 8, found 4"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"type\": \"nf4\""), U, "type is 'nf4', expected 'int' or 'float'"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"strategy\": \"tensor_group\", \"group_size\": 32"), U, "'tensor_group'"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"strategy\": \"group\""), U, "a group needs a group_size"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"group_size\": -2"), M, "group_size: expected an integer from -1"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"group_size\": 32, \"actorder\": \"group\""), U,
     "actorder is 'group', columns"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"group_size\": 32, \"actorder\": true"), U, "actorder"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"strategy\": \"block\""), M, "member 'block_structure' is missing"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"strategy\": \"block\", \"block_structure\": [16]"), U, "rows and columns"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"strategy\": \"block\", \"block_structure\": [16, 0]"), M,
     "block_structure[1]"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"strategy\": \"block\", \"block_structure\": \"16x\""), M,
     "block_structure"},
    /* tensors that are not what the groups say */
    {"int4", Q, WEIGHTS("\"num_bits\": 5, \"group_size\": 32"), M, "] for 96 columns of 5 bits"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"group_size\": 16"), M, "config.json asks for [64, 6]"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"strategy\": \"channel\""), M, "config.json asks for [64, 1]"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4"), M, "config.json asks for [1, 1]"},
    {"int4", Q, WEIGHTS("\"type\": \"float\""), M, "is of type I32, config.json asks for F8_E4M3"},
    {"int4", Q, WEIGHTS("\"num_bits\": 4, \"group_size\": 32, \"symmetric\": false"), INK_ERROR_NOT_FOUND,
     "weight_zero_point' is missing beside"},
    /* both give as many scales */
    {"int4", Q,
     GROUPS("\"a\": {\"weights\": {\"num_bits\": 4, \"group_size\": 32}},"
            "\"b\": {\"weights\": {\"num_bits\": 4, \"group_size\": 40}}"),
     M, "may have a scale for each [1, 32] or for each [1, 40]: two groups of config.json fit"},
    {"float8_block", Q,
     GROUPS("\"a\": {\"weights\": {\"type\": \"float\", \"strategy\": \"block\", \"block_structure\": \"16x32\"}},"
            "\"b\": {\"weights\": {\"type\": \"float\", \"strategy\": \"block\", \"block_structure\": \"17x32\"}}"),
     M, "for each [16, 32] or for each [17, 32]: two groups"},
    {"float8", Q, WEIGHTS("\"num_bits\": 8, \"strategy\": \"channel\""), M, "F8_E4M3, config.json asks for integers"},
    /* fp8 */
    {"fp8", "fmt", "\"e5m2\"", U, "fmt is 'e5m2', expected 'e4m3'"},
    {"fp8", "scale_fmt", "\"bf16\"", U, "scale_fmt"},
    {"fp8", "activation_scheme", "\"none\"", U, "activation_scheme"},
    {"fp8", "weight_block_size", "[32]", U, "weight_block_size is not supported: expected the rows and columns"},
    {"fp8", "weight_block_size", "[32, -16]", M, "weight_block_size[1]"},
    {"fp8", "weight_block_size", "16", M, "weight_block_size: expected an array"},
    {"fp8", "weight_block_size", "[32, 32]", M, "config.json asks for [2, 3]"},
    {"fp8", "weight_block_size", "null", M, "config.json asks for [1, 1]"},
    {"int4", Q, METHOD("fp8"), INK_ERROR_NOT_FOUND, "weight_scale_inv' is missing beside"},
};

static void wrong_settings_are_refused(void **unused)
{
    (void)unused;
    settings_are_refused(refused, sizeof refused / sizeof *refused);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

#define LAYER "model.layers.0.self_attn.q_proj."

/* The folder with one place of the header changed: the first `from` behind the name of a tensor becomes `to`, padded
   with spaces; NULL: the name itself. Or `value` is written to the tensor's data, at byte `at`. */
typedef struct damage {
    const char *name, *tensor, *from, *to;
    size_t at, size;
    uint64_t value;
    ink_result result;
    const char *words;
} damage;

static const damage damages[] = {
    {"int4", LAYER "weight_scale", NULL, LAYER "weight_scalx", 0, 0, 0, INK_ERROR_NOT_FOUND,
     "'model.layers.0.self_attn.q_proj.weight_scale' is missing beside '" LAYER "weight_packed'"},
    {"int4", LAYER "weight_shape", NULL, LAYER "weight_shapx", 0, 0, 0, INK_ERROR_NOT_FOUND,
     "weight_shape' is missing"},
    {"int4", LAYER "weight_packed", NULL, LAYER "weight_packex", 0, 0, 0, INK_ERROR_NOT_FOUND,
     "q_proj.weight' is missing"},
    {"int4", LAYER "weight_shape", NULL, LAYER "weight_g_idx", 0, 0, 0, U, "columns in another order"},
    {"int4", LAYER "weight_packed", "\"I32\"", "\"F32\"", 0, 0, 0, U, "is of type F32, expected I32"},
    {"int4", LAYER "weight_packed", "\"I32\"", "\"U32\"", 0, 0, 0, U, "is of type U32, expected I32"},
    {"int4", LAYER "weight_scale", "\"BF16\"", "\"I16\" ", 0, 0, 0, U, "is of type I16, expected F32"},
    {"int4", LAYER "weight_scale", "[64,2]", "[2,64]", 0, 0, 0, M, "is [2, 64], config.json asks for [64, 2]"},
    {"int4", LAYER "weight_scale", "[64,2]", "[128] ", 0, 0, 0, M, "is [128], config.json asks for [64, 2]"},
    {"int4", LAYER "weight_packed", "[64,8]", "[32,16]", 0, 0, 0, INK_ERROR_CORRUPT, NULL},
    {"int4", LAYER "weight_packed", "[64,8]", "[8,64]", 0, 0, 0, M, "holds [64, 64], but"},
    {"int4", LAYER "weight_packed", "[64,8]", "[512] ", 0, 0, 0, U, "expected a matrix of codes"},
    {"int4", LAYER "weight_shape", "[2]", "[ ]", 0, 0, 0, INK_ERROR_CORRUPT, NULL},
    {"int4", LAYER "weight_shape", "\"I64\"", "\"U64\"", 0, 0, 0, M, "of type U64, expected [2] of type I64"},
    {"int4", LAYER "weight_shape", NULL, NULL, 8, 8, 63, M,
     "is [64, 63], config.json asks for [64, 64]"}, /* as many words */
    {"int4", LAYER "weight_shape", NULL, NULL, 8, 8, 65, M, "for 65 columns of 4 bits"},
    {"int4", LAYER "weight_shape", NULL, NULL, 8, 8, 0, M, "holds [64, 0]"},
    {"int4", LAYER "weight_shape", NULL, NULL, 8, 8, UINT64_MAX, M, "holds [64, -1]"},
    {"int4", LAYER "weight_shape", NULL, NULL, 0, 8, 63, M, "holds [63, 64]"},
    {"int4", LAYER "weight_scale", NULL, NULL, 6, 2, 0x7fc0, INK_ERROR_CORRUPT, "scale 3 is not finite"},
    {"int4", LAYER "weight_scale", NULL, NULL, 254, 2, 0xff80, INK_ERROR_CORRUPT, "scale 127 is not finite"},
    {"int8_zeros", LAYER "weight_zero_point", "[16,2]", "[2,16]", 0, 0, 0, M, "is [2, 16], expected [16, 2]"},
    {"int8_zeros", LAYER "weight_zero_point", "\"I32\"", "\"F32\"", 0, 0, 0, M, "is of type F32, expected I32 or I8"},
    {"w8a8_zeros", LAYER "weight_zero_point", "\"I8\"", "\"U8\"", 0, 0, 0, M, "is of type U8, expected I8"},
    {"w8a8", LAYER "weight", "\"I8\"", "\"U8\"", 0, 0, 0, U, "is of type U8, expected I8 or F8_E4M3"},
    {"float8", LAYER "weight", "\"F8_E4M3\"", "\"F8_E5M2\"", 0, 0, 0, U, "F8_E5M2, expected I8 or F8_E4M3"},
    {"fp8", LAYER "weight_scale_inv", NULL, LAYER "weight_scale_inx", 0, 0, 0, INK_ERROR_NOT_FOUND, "_inv' is missing"},
    {"fp8_older", LAYER "weight_scale", NULL, LAYER "weight_scalf", 0, 0, 0, INK_ERROR_NOT_FOUND,
     "weight_scale' is missing beside"},
    {"fp8", LAYER "weight_scale_inv", NULL, NULL, 0, 4, 0x7f800000, INK_ERROR_CORRUPT, "scale 0 is not finite"},
    {"fp8_e8m0", LAYER "weight_scale_inv", NULL, NULL, 1, 1, 255, INK_ERROR_CORRUPT, "scale 1 is not finite"},
    {"int4", "lm_head.weight", NULL, NULL, 0, 0, 0, INK_OK, NULL},
};

/* The data of a tensor begins 8 + header bytes into the file, at the first of its data_offsets. */
static unsigned char *data_of(const fixture_files *files, const char *tensor)
{
    unsigned char *bytes = fixture_files_bytes(files, "model.safetensors");
    size_t begin = 0;
    const char *offsets = strstr(fixture_files_tensor(files, "model.safetensors", tensor), "\"data_offsets\":[");
    assert_non_null(offsets);
    assert_int_equal(sscanf(offsets, "\"data_offsets\":[%zu", &begin), 1);
    return bytes + 8 + read_number(bytes, 8) + begin;
}

static void damaged_tensors_are_refused(ink_context *ctx, counting *memory)
{
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const damage *d = &damages[i];
        fixture_files files;
        fixture_files_read(&files, d->name);
        char *at = fixture_files_tensor(&files, "model.safetensors", d->tensor);
        if (d->size != 0)
            put_number(data_of(&files, d->tensor) + d->at, d->value, d->size);
        if (d->from != NULL)
            at = strstr(at, d->from);
        assert_non_null(at);
        if (d->to != NULL)
            memcpy(d->from != NULL ? at : at + 1, d->to, strlen(d->to));
        ink_model *model;
        if (d->result == INK_OK)
            assert_ok(ctx, fixture_open_files(ctx, d->name, &files.list, &model));
        else
            refuse_folder(ctx, memory, d->tensor, &files.list, d->result, d->words);
        if (d->result == INK_OK)
            ink_model_free(model);
        fixture_files_free(&files);
    }
}

/* Any byte of the header or the settings changed: a model, or a sentence. */
static void changed_bytes_are_survived(ink_context *ctx)
{
    for (size_t k = 0; k < 3; k++) {
        fixture_files files;
        uint64_t seed = k + 1;
        fixture_files_read(&files, k == 0 ? "mixed" : k == 1 ? "w8a8_zeros" : "fp8");
        unsigned char *bytes = fixture_files_bytes(&files, "model.safetensors");
        size_t header = bytes[0] + 256u * bytes[1], size = strlen(files.config), opened = 0;
        for (size_t i = 0; i < 600; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t where = (size_t)(seed >> 33);
            unsigned char *at = i % 3 == 0 ? (unsigned char *)files.config + where % size
                                           : bytes + 8 + where % (i % 3 == 1 ? header : header + 2000);
            unsigned char former = *at;
            ink_model *model;
            *at = (unsigned char)(i % 2 == 0 ? '0' + (seed >> 20) % 10 : seed >> 24);
            if (fixture_open_files(ctx, "changed", &files.list, &model) == INK_OK)
                opened++;
            else
                assert_true(strlen(ink_context_error(ctx)) > 20);
            ink_model_free(model);
            *at = former;
        }
        assert_true(opened > 5 && opened < 600);
        fixture_files_free(&files);
    }
}

static void memory_that_fails_leaves_nothing(ink_context *ctx, counting *memory)
{
    static const char *const some[] = {"int4_zeros", "mixed", "fp8"};
    for (size_t i = 0; i < 3; i++) {
        const setting plain = {some[i], NULL, NULL, INK_OK, NULL};
        ink_model *model;
        size_t k = 1;
        while (runs_out_of_memory(ctx, memory, k, setting_open(ctx, &plain, &model), NULL)) {
            assert_null(model);
            k++;
        }
        assert_true(k > 10);
        ink_model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(folders_give_the_numbers_of_the_reference),
        context_test(what_is_ignored_is_noted),
        context_test(the_same_may_be_spelled_otherwise),
        cmocka_unit_test(wrong_settings_are_refused),
        counted_test(damaged_tensors_are_refused),
        context_test(changed_bytes_are_survived),
        counted_test(memory_that_fails_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
