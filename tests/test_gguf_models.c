/*
 * test_gguf_models.c - models in GGUF files: logits of every architecture against transformers with the dequantised
 * weights, what a path may be, the settings of a file, stop tokens, and files with a wrong key or tensor.
 *
 * The files are those of make_gguf_models.py; a test changes a copy in memory (gguf_edit.h).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/models/networks.h"
#include "counting.h"
#include "faulty.h"
#include "fixture.h"
#include "gguf_edit.h"
#include "layers.h"
#include "numbers.h"

#define FOLDER FIXTURES "/gguf_models"

static const char *const language_models[] = {"llama",        "llama_bias", "llama_k", "llama_yarn", "qwen2",
                                              "qwen2_joined", "qwen3",      "smollm3", "gemma3",     "gpt2"};
static const char *const encoders[] = {"qwen3_embed", "qwen3_rank", "bert", "bert_rank", "roberta_rank", "distilbert"};
#define N_LANGUAGE_MODELS (sizeof language_models / sizeof *language_models)
#define N_ENCODERS (sizeof encoders / sizeof *encoders)

/* Opens the file "m.gguf" of a source in memory. */
static ink_result open_edited(ink_context *ctx, const gguf_edit *file, ink_model **model)
{
    const ink_memory_files files = {&file->memory, 1};
    const ink_source source = ink_source_memory(&files);
    return ink_model_open(ctx, "m.gguf", &(ink_model_options){.source = &source}, model);
}

static ink_weights *open_reference(ink_context *ctx, const char *name)
{
    char path[FIXTURE_PATH];
    snprintf(path, sizeof path, FOLDER "/%s.safetensors", name);
    return test_fixture(ctx, path);
}

static ink_model *open_file(ink_context *ctx, const char *name, ink_type type)
{
    char path[FIXTURE_PATH];
    ink_model *model;
    snprintf(path, sizeof path, FOLDER "/%s.gguf", name);
    assert_ok(ctx, ink_model_open(ctx, path, &(ink_model_options){.type = type}, &model));
    return model;
}

static ink_token *read_ids(ink_context *ctx, const ink_weights *reference, const char *name, size_t *n)
{
    float *numbers = test_tensor(ctx, reference, name, n);
    ink_token *ids = malloc(*n * sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (ink_token)numbers[i];
    free(numbers);
    return ids;
}

/* ---- what a model computes -------------------------------------------------------------------------------------- */

/* The largest difference as a share of the largest value. */
static double difference(const float *found, const float *wanted, size_t n)
{
    double largest;
    const double worst = largest_difference(found, wanted, n, &largest);
    return worst / largest;
}

static double language_model_difference(ink_context *ctx, const char *name, ink_type type)
{
    ink_weights *reference = open_reference(ctx, name);
    ink_model *model = open_file(ctx, name, type);
    size_t n_tokens, n, vocab_size = ink_model_get_info(model)->vocab_size;
    ink_token *tokens = read_ids(ctx, reference, "tokens", &n_tokens);
    float *wanted = test_tensor(ctx, reference, "logits", &n), *found = malloc(n * sizeof *found);
    ink_state *state = fixture_state(ctx, model);
    const ink_item item = test_item(state, tokens, n_tokens, found, n / vocab_size);
    assert_non_null(found);
    assert_ok(ctx, ink_model_forward_list(ctx, model, &item, 1));
    double d = difference(found, wanted, n);
    ink_state_free(state);
    ink_model_free(model);
    ink_weights_free(reference);
    free(tokens);
    free(wanted);
    free(found);
    return d;
}

static double encoder_difference(ink_context *ctx, const char *name, ink_type type)
{
    ink_weights *reference = open_reference(ctx, name);
    ink_model *model = open_file(ctx, name, type);
    bool ranks = ink_weights_find(reference, "logits") != NULL;
    size_t n, n_tokens, n_texts;
    ink_token *lengths = read_ids(ctx, reference, "lengths", &n_texts);
    ink_token *tokens = read_ids(ctx, reference, "tokens", &n_tokens);
    ink_token *types = read_ids(ctx, reference, "types", &n_tokens);
    float *wanted = test_tensor(ctx, reference, ranks ? "logits" : "embedding", &n), *found = malloc(n * sizeof *found);
    assert_non_null(found);
    for (size_t i = 0, first = 0; i < n_texts; first += (size_t)lengths[i++]) {
        const ink_text text = {.tokens = tokens + first,
                               .types = ink_model_get_encoder(model)->n_types != 0 ? types + first : NULL,
                               .n_tokens = (size_t)lengths[i],
                               .output = found + i * (n / n_texts)};
        assert_int_equal(ink_model_encoding_size(model, ranks ? INK_LOGITS : INK_EMBEDDING), n / n_texts);
        assert_ok(ctx, ink_model_encode(ctx, model, ranks ? INK_LOGITS : INK_EMBEDDING, &text, 1));
    }
    double d = difference(found, wanted, n);
    ink_model_free(model);
    ink_weights_free(reference);
    free(lengths);
    free(tokens);
    free(types);
    free(wanted);
    free(found);
    return d;
}

/* Widened to floats, the blocks are what transformers computes with. In their own types the activations are quantised
   as well; random weights amplify what they lose. */
static void transformers_computes_the_same(ink_context *ctx)
{
    for (size_t i = 0; i < N_LANGUAGE_MODELS + N_ENCODERS; i++) {
        bool encoder = i >= N_LANGUAGE_MODELS;
        const char *name = encoder ? encoders[i - N_LANGUAGE_MODELS] : language_models[i];
        double (*of)(ink_context *, const char *, ink_type) = encoder ? encoder_difference : language_model_difference;
        double wide = of(ctx, name, INK_F32), own = of(ctx, name, INK_TYPE_NONE);
        printf("%-13s largest difference %.1e of the largest value as f32, %.1e as stored\n", name, wide, own);
        if (!(wide <= 1e-5) || !(own <= 0.08))
            fail_msg("%s: differences of %g and %g", name, wide, own);
    }
}

/* Dimensions of 1 behind the others are there or not, as the writer likes: the row of a ranker with one label is a
   vector in what llama-quantize writes. The model is the same. */
static void dimensions_of_one_count_for_nothing(ink_context *ctx)
{
    static const char *const names[] = {"roberta_rank", "llama", "gpt2", "llama_bias"};
    for (size_t i = 0; i < 2 * sizeof names / sizeof *names; i++) {
        char name[64];
        gguf_edit file;
        ink_model *plain = open_file(ctx, names[i / 2], INK_TYPE_NONE), *model;
        snprintf(name, sizeof name, "%s.gguf", names[i / 2]);
        gguf_edit_read(&file, FOLDER, name);
        gguf_edit_dims(&file, i % 2 == 0 ? 1 : 4);
        assert_ok(ctx, open_edited(ctx, &file, &model));
        assert_true(model->fingerprint == plain->fingerprint);
        assert_int_equal(ink_model_get_info(model)->n_parameters, ink_model_get_info(plain)->n_parameters);
        ink_model_free(plain);
        ink_model_free(model);
        gguf_edit_free(&file);
    }
}

/* ---- places ----------------------------------------------------------------------------------------------------- */

static void opens(ink_context *ctx, const char *path, const ink_source *source)
{
    ink_model *model;
    assert_ok(ctx, ink_model_open(ctx, path, &(ink_model_options){.source = source}, &model));
    assert_string_equal(ink_model_get_info(model)->kind, "llama");
    ink_model_free(model);
}

static void a_file_stands_where_a_folder_does(ink_context *ctx)
{
    gguf_edit file;
    gguf_edit_read(&file, FOLDER, "llama.gguf");
    ink_memory_file many[] = {file.memory, {"config.json", "{\"model_type\": \"gpt2\"}", 22}};
    ink_memory_files files = {many, 1};
    ink_source memory = ink_source_memory(&files), folder = ink_source_folder(FOLDER);
    ink_model *model;
    opens(ctx, FOLDER "/llama.gguf", NULL);
    opens(ctx, "llama.gguf", &folder); /* a file of the folder */
    folder = ink_source_folder(FOLDER "/llama.gguf");
    opens(ctx, NULL, &folder); /* the path of the source is that of a file */
    opens(ctx, FOLDER "/llama.gguf", &folder);
    opens(ctx, "m.gguf", &memory);
    memory.name = "m.gguf";
    opens(ctx, NULL, &memory);
    many[0].name = "model.gguf"; /* the one thing in a folder */
    memory.name = NULL;
    opens(ctx, "some model", &memory);
    opens(ctx, NULL, &memory);
    files.n_files = 2; /* with config.json it is a folder */
    assert_fails(ctx, ink_model_open(ctx, "some model", &(ink_model_options){.source = &memory}, &model),
                 INK_ERROR_UNSUPPORTED, "some model has no model.safetensors but model.gguf: ");
    assert_fails(ctx, ink_model_open(ctx, "other.gguf", &(ink_model_options){.source = &memory}, &model),
                 INK_ERROR_UNSUPPORTED, "model.gguf");
    assert_fails(ctx, ink_model_open(ctx, FOLDER "/nothing.gguf", NULL, &model), INK_ERROR_NOT_FOUND,
                 "nothing.gguf: no such file");
    files.n_files = 1;
    many[0] = (ink_memory_file){"m.gguf", "\10\0\0\0\0\0\0\0{}      ", 16}; /* safetensors */
    assert_fails(ctx, ink_model_open(ctx, "m.gguf", &(ink_model_options){.source = &memory}, &model), INK_ERROR_CORRUPT,
                 "m.gguf");
    gguf_edit_free(&file);
}

/* ---- files with an error ---------------------------------------------------------------------------------------- */

typedef struct edit {
    const char *fixture, *key, *value; /* value NULL: the key is taken away */
    ink_result result;
    const char *words;
} edit;

static void is_refused(const edit *edits, size_t n)
{
    counting memory;
    ink_context *ctx = counting_begin(&memory, 1);
    for (size_t i = 0; i < n; i++) {
        const edit *e = &edits[i];
        char name[64], what[256];
        gguf_edit file;
        ink_model *model = NULL;
        snprintf(name, sizeof name, "%s.gguf", e->fixture);
        snprintf(what, sizeof what, "%s with %s %s", name, e->key, e->value != NULL ? e->value : "taken away");
        gguf_edit_read(&file, FOLDER, name);
        gguf_edit_set(&file, e->key, e->value);
        size_t before = memory.peak_bytes = memory.live_bytes;
        test_assert_fails(ctx, open_edited(ctx, &file, &model), e->result, e->words, what, __FILE__, __LINE__);
        assert_null(model);
        assert_true(strlen(ink_context_error(ctx)) <= 500);
        assert_true(memory.peak_bytes - before < 1 << 20);
        gguf_edit_free(&file);
    }
    counting_end(&memory, ctx);
}

#define WRONG INK_ERROR_MISMATCH
#define UNSUPPORTED INK_ERROR_UNSUPPORTED

static void a_wrong_key_is_refused(void **state)
{
    static const edit edits[] = {
        {"llama", "general.architecture", NULL, WRONG, "key 'general.architecture' is missing"},
        {"llama", "general.architecture", "str phi3", UNSUPPORTED,
         "general.architecture 'phi3' is not supported, only llama, qwen2, qwen3, smollm3, gemma3, gpt2, bert"},
        {"llama", "general.architecture", "u32 1", WRONG, "general.architecture"},
        {"llama", "general.type", "str adapter", UNSUPPORTED, "m.gguf"},
        /* required */
        {"llama", "llama.block_count", NULL, WRONG, "key 'llama.block_count' is missing"},
        {"llama", "llama.context_length", NULL, WRONG, "key 'llama.context_length' is missing"},
        {"llama", "llama.embedding_length", NULL, WRONG, "key 'llama.embedding_length' is missing"},
        {"llama", "llama.feed_forward_length", NULL, WRONG, "key 'llama.feed_forward_length' is missing"},
        {"llama", "llama.attention.head_count", NULL, WRONG, "key 'llama.attention.head_count' is missing"},
        {"llama", "llama.attention.layer_norm_rms_epsilon", NULL, WRONG, "layer_norm_rms_epsilon' is missing"},
        {"qwen2", "qwen2.block_count", NULL, WRONG, "key 'qwen2.block_count' is missing"},
        {"qwen3", "qwen3.attention.layer_norm_rms_epsilon", NULL, WRONG, "layer_norm_rms_epsilon' is missing"},
        {"smollm3", "smollm3.rope.freq_base", NULL, WRONG, "key 'smollm3.rope.freq_base' is missing"},
        {"gemma3", "gemma3.rope.freq_base", NULL, WRONG, "key 'gemma3.rope.freq_base' is missing"},
        {"gpt2", "gpt2.attention.layer_norm_epsilon", NULL, WRONG, "'gpt2.attention.layer_norm_epsilon' is missing"},
        {"gpt2", "gpt2.context_length", NULL, WRONG, "'gpt2.context_length' is missing"},
        {"bert", "bert.attention.layer_norm_epsilon", NULL, WRONG, "'bert.attention.layer_norm_epsilon' is missing"},
        {"bert", "bert.attention.causal", NULL, WRONG, "'bert.attention.causal' is missing"},
        {"bert", "tokenizer.ggml.token_type_count", NULL, WRONG, "'tokenizer.ggml.token_type_count' is missing"},
        {"qwen2", "qwen2.vocab_size", NULL, WRONG, "'tokenizer.ggml.tokens' and 'qwen2.vocab_size' are missing"},
        /* types and ranges */
        {"llama", "llama.block_count", "str two", WRONG, "'llama.block_count'"},
        {"llama", "llama.block_count", "f32 2", WRONG, "'llama.block_count'"},
        {"llama", "llama.block_count", "[u32] 2", WRONG, "'llama.block_count'"},
        {"llama", "llama.block_count", "u32 0", WRONG, "llama.block_count: expected an integer from 1"},
        {"llama", "llama.block_count", "i32 -2", WRONG, "llama.block_count: expected an integer from 1"},
        {"llama", "llama.block_count", "u64 18446744073709551615", WRONG, "llama.block_count"},
        {"llama", "llama.block_count", "u32 3", INK_ERROR_NOT_FOUND, "tensor 'blk.2.attn_norm.weight' is missing"},
        {"llama", "llama.block_count", "u32 1", WRONG,
         "there is a tensor 'blk.1.attn_norm.weight', its metadata asks for 1 blocks (llama.block_count)"},
        {"llama", "llama.block_count", "u32 70000", WRONG, "llama.block_count"},
        {"qwen2", "qwen2.embedding_length", "u32 64", WRONG,
         "token_embd.weight' is [48, 32], its metadata asks for [48, 64]"},
        {"llama", "llama.embedding_length", "u32 33", WRONG,
         "'llama.embedding_length' is 33, which is not a multiple of 4 heads ('llama.attention.head_count'), and "
         "there"},
        {"llama", "llama.feed_forward_length", "u32 32", WRONG, "'blk.0.ffn_gate.weight' is [64, 32]"},
        {"llama", "llama.feed_forward_length", "[u32] 64 32", UNSUPPORTED, "element 1 is 32, but element 0 is 64"},
        {"llama", "llama.feed_forward_length", "[u32] 64", WRONG, "has 1 elements, but there are 2 blocks"},
        {"llama", "llama.feed_forward_length", "[u32] 64 64 64", WRONG, "has 3 elements, but there are 2 blocks"},
        {"llama", "llama.feed_forward_length", "[str] a b", WRONG, "llama.feed_forward_length"},
        {"llama", "llama.attention.head_count", "u32 0", WRONG, "llama.attention.head_count: expected an integer"},
        {"llama", "llama.attention.head_count", "[u32] 4 2", UNSUPPORTED, "'llama.attention.head_count' (byte "},
        {"llama", "llama.attention.head_count_kv", "u32 3", WRONG,
         "'llama.attention.head_count' is 4, which is not a multiple of 3 ('llama.attention.head_count_kv')"},
        {"llama", "llama.attention.head_count_kv", NULL, WRONG, "'blk.0.attn_k.weight' is [16, 32]"},
        {"llama", "llama.attention.head_count_kv", "u32 0", WRONG, "llama.attention.head_count_kv"},
        {"llama", "llama.attention.key_length", "u32 16", UNSUPPORTED, "llama.rope.dimension_count"},
        {"llama", "llama.attention.key_length", "u32 0", WRONG, "llama.attention.key_length"},
        {"llama", "llama.attention.value_length", "u32 16", UNSUPPORTED, "'llama.attention.value_length'"},
        {"llama", "llama.rope.dimension_count", "u32 4", UNSUPPORTED, "'llama.rope.dimension_count'"},
        {"llama", "llama.attention.layer_norm_rms_epsilon", "f32 2", WRONG,
         "llama.attention.layer_norm_rms_epsilon: expected a number from 0 to 1, found 2e0"},
        {"llama", "llama.attention.layer_norm_rms_epsilon", "str small", WRONG, "layer_norm_rms_epsilon"},
        {"llama", "llama.attention.layer_norm_rms_epsilon", "f32 nan", WRONG, "layer_norm_rms_epsilon"},
        {"llama", "llama.rope.freq_base", "f32 0", WRONG, "llama.rope.freq_base"},
        {"llama", "llama.rope.freq_base", "str x", WRONG, "llama.rope.freq_base"},
        {"llama", "llama.context_length", "u32 0", WRONG, "llama.context_length"},
        {"llama", "tokenizer.ggml.tokens", "[str] a b", WRONG, "'token_embd.weight' is [280, 32], its metadata asks"},
        {"llama", "tokenizer.ggml.eos_token_id", "str x", WRONG, "tokenizer.ggml.eos_token_id"},
        {"qwen2", "qwen2.vocab_size", "u32 47", WRONG, "'token_embd.weight' is [48, 32]"},
        {"gpt2", "gpt2.attention.head_count", "u32 5", WRONG, "gpt2.embedding_length"},
        {"gpt2", "gpt2.attention.head_count_kv", "u32 2", UNSUPPORTED, "'gpt2.attention.head_count_kv'"},
        {"gpt2", "gpt2.attention.key_length", "u32 4", UNSUPPORTED, "gpt2.attention.key_length"},
        {"gpt2", "gpt2.context_length", "u32 65", WRONG, "'position_embd.weight' is [64, 32]"},
        {"bert", "bert.context_length", "u32 25", WRONG, "'position_embd.weight' is [24, 32]"},
        {"bert", "tokenizer.ggml.token_type_count", "u32 1", WRONG, "'token_types.weight' is [2, 32]"},
        {"bert", "bert.attention.causal", "bool 1", UNSUPPORTED, "'bert.attention.causal'"},
        {"bert", "bert.attention.causal", "u32 0", WRONG, "'bert.attention.causal'"},
        {"qwen3", "qwen3.attention.causal", "bool 0", UNSUPPORTED, "'qwen3.attention.causal'"},
        /* rope */
        {"llama", "llama.rope.scaling.type", "str longrope", UNSUPPORTED,
         "llama.rope.scaling.type 'longrope' is not supported, only default, linear"},
        {"llama", "llama.rope.scaling.type", "str linear", WRONG, "member 'llama.rope.scaling.factor' is missing"},
        {"llama", "llama.rope.scaling.type", "str yarn", WRONG, "member 'llama.rope.scaling.factor' is missing"},
        {"llama", "llama.rope.scaling.factor", "f32 0.5", WRONG, "llama.rope.scaling.factor"},
        {"llama", "llama.rope.scaling.factor", "str 2", WRONG, "llama.rope.scaling.factor"},
        {"llama_yarn", "llama.rope.scaling.attn_factor", "f32 1.5", UNSUPPORTED, "'llama.rope.scaling.attn_factor'"},
        {"llama_yarn", "llama.rope.scaling.yarn_ext_factor", "f32 0.5", UNSUPPORTED, "yarn_ext_factor"},
        {"llama_yarn", "llama.rope.scaling.yarn_log_multiplier", "f32 0.1", UNSUPPORTED, "yarn_log_multiplier"},
        {"llama_yarn", "llama.rope.scaling.yarn_beta_fast", "f32 0.5", WRONG, "beta_slow"},
        {"llama", "llama.rope.dimension_sections", "[i32] 1 1 2 0", UNSUPPORTED, "'llama.rope.dimension_sections'"},
        {"llama", "llama.rope.scaling.alpha", "f32 2", UNSUPPORTED, "'llama.rope.scaling.alpha'"},
        /* settings of other networks */
        {"llama", "llama.expert_count", "u32 8", UNSUPPORTED,
         "models of architecture llama with this setting are not supported"},
        {"qwen3", "qwen3.expert_used_count", "u32 2", UNSUPPORTED, "'qwen3.expert_used_count' (byte "},
        {"llama", "llama.attn_logit_softcapping", "f32 50", UNSUPPORTED, "'llama.attn_logit_softcapping'"},
        {"gemma3", "gemma3.final_logit_softcapping", "f32 30", UNSUPPORTED, "'gemma3.final_logit_softcapping'"},
        {"llama", "llama.logit_scale", "f32 0.5", UNSUPPORTED, "'llama.logit_scale'"},
        {"llama", "llama.residual_scale", "f32 0.5", UNSUPPORTED, "'llama.residual_scale'"},
        {"llama", "llama.embedding_scale", "f32 12", UNSUPPORTED, "'llama.embedding_scale'"},
        {"llama", "llama.attention.scale", "f32 0.1", UNSUPPORTED, "'llama.attention.scale'"},
        {"llama", "llama.attention.clamp_kqv", "f32 8", UNSUPPORTED, "'llama.attention.clamp_kqv'"},
        {"gpt2", "gpt2.attention.max_alibi_bias", "f32 8", UNSUPPORTED, "'gpt2.attention.max_alibi_bias'"},
        {"llama", "llama.attention.sliding_window", "u32 8", UNSUPPORTED, "'llama.attention.sliding_window'"},
        {"qwen2", "qwen2.attention.sliding_window", "u32 8", UNSUPPORTED, "'qwen2.attention.sliding_window'"},
        {"llama", "llama.use_parallel_residual", "bool 1", UNSUPPORTED, "'llama.use_parallel_residual'"},
        {"llama", "llama.nextn_predict_layers", "u32 1", UNSUPPORTED, "'llama.nextn_predict_layers'"},
        {"qwen3", "qwen3.full_attention_interval", "u32 4", UNSUPPORTED, "full_attention_interval"},
        {"bert", "bert.hidden_activation", "str relu", UNSUPPORTED, "'bert.hidden_activation'"},
        {"gemma3", "gemma3.embedding_length_per_layer_input", "u32 8", UNSUPPORTED, "per_layer_input"},
        /* windows of gemma3 */
        {"gemma3", "gemma3.attention.sliding_window_pattern", "u32 0", WRONG, "sliding_window_pattern"},
        {"gemma3", "gemma3.attention.sliding_window_pattern", "[bool] 1 0", WRONG, "has 2 elements for 7 blocks"},
        {"gemma3", "gemma3.attention.sliding_window_pattern", "[u32] 1 1 1 2 1 1 1", WRONG, "sliding_window_pattern"},
        {"gemma3", "gemma3.attention.sliding_window", "str x", WRONG, "'gemma3.attention.sliding_window'"},
        {"gemma3", "gemma3.rope.freq_base_swa", "f32 1", WRONG, "theta above 1"},
        /* vectors and labels */
        {"bert", "bert.pooling_type", "u32 5", WRONG, "'bert.pooling_type'"},
        {"bert", "bert.pooling_type", "u32 4", INK_ERROR_NOT_FOUND, "'cls.output.weight' is missing"},
        {"llama", "llama.pooling_type", "u32 4", UNSUPPORTED, "'llama.pooling_type'"},
        {"qwen3_rank", "qwen3.classifier.output_labels", NULL, WRONG, "'cls.output.weight' is [2, 32]"},
        {"qwen3_rank", "qwen3.classifier.output_labels", "[str] yes no perhaps", WRONG, "'cls.output.weight'"},
        {"qwen3_rank", "qwen3.classifier.output_labels", "[u32] 1 2", WRONG, "'qwen3.classifier.output_labels'"},
        {"qwen3_rank", "qwen3.classifier.output_labels", "[str]", WRONG, "qwen3.classifier.output_labels is empty"},
        {"qwen3_rank", "qwen3.pooling_type", "u32 0", UNSUPPORTED, "tensor 'cls.output.weight': models of this"},
    };
    (void)state;
    is_refused(edits, sizeof edits / sizeof *edits);
}

/* Every tensor, one after the other, under another name. */
static void every_tensor_is_needed(ink_context *ctx)
{
    for (size_t f = 0; f < N_LANGUAGE_MODELS + N_ENCODERS; f++) {
        gguf_edit file;
        char name[64];
        snprintf(name, sizeof name, "%s.gguf",
                 f < N_LANGUAGE_MODELS ? language_models[f] : encoders[f - N_LANGUAGE_MODELS]);
        gguf_edit_read(&file, FOLDER, name);
        for (size_t i = 0; i < file.n_tensors; i++) {
            ink_model *model;
            size_t length;
            char *text = gguf_edit_tensor(&file, i, &length), former = text[length / 2];
            text[length / 2] = former == 'x' ? 'y' : 'x';
            assert_true(open_edited(ctx, &file, &model) != INK_OK);
            assert_null(model);
            if (strstr(ink_context_error(ctx), "tensor '") == NULL)
                fail_msg("%s without '%.*s': %s", name, (int)length, text, ink_context_error(ctx));
            text[length / 2] = former;
        }
        gguf_edit_free(&file);
    }
}

/* Where the F16 scale (and the minimum) of a block are, by type; 255: there is none. MXFP4 has no scale of this kind.
 */
static const unsigned char scales[][2] = {
    [INK_Q8_0 - INK_Q8_0] = {0, 255},   [INK_Q4_0 - INK_Q8_0] = {0, 255},   [INK_Q4_1 - INK_Q8_0] = {0, 2},
    [INK_Q5_0 - INK_Q8_0] = {0, 255},   [INK_Q5_1 - INK_Q8_0] = {0, 2},     [INK_Q2_K - INK_Q8_0] = {80, 82},
    [INK_Q3_K - INK_Q8_0] = {108, 255}, [INK_Q4_K - INK_Q8_0] = {0, 2},     [INK_Q5_K - INK_Q8_0] = {0, 2},
    [INK_Q6_K - INK_Q8_0] = {208, 255}, [INK_IQ4_NL - INK_Q8_0] = {0, 255}, [INK_IQ4_XS - INK_Q8_0] = {0, 255},
    [INK_MXFP4 - INK_Q8_0] = {255, 255}};

/* Opens a file and runs a text that meets the first row of every tensor: what the sampler, or the encoder, says. */
static ink_result run_damaged(ink_context *ctx, const gguf_edit *file, ink_type type)
{
    static const ink_token tokens[] = {0, 3, 0};
    const ink_memory_files files = {&file->memory, 1};
    const ink_source source = ink_source_memory(&files);
    ink_model *model;
    float out[3 * 300];
    ink_result result;
    assert_ok(ctx, ink_model_open(ctx, "m.gguf", &(ink_model_options){.source = &source, .type = type}, &model));
    assert_true(3 * 300 >= 3 * ink_model_get_info(model)->vocab_size);
    if (ink_model_get_encoder(model) != NULL) {
        const bool embeds = ink_model_encoding_size(model, INK_EMBEDDING) != 0;
        const ink_text text = {.tokens = tokens, .n_tokens = 3, .output = out};
        result = ink_model_encode(ctx, model, embeds ? INK_EMBEDDING : INK_LOGITS, &text, 1);
    } else {
        ink_state *state = fixture_state(ctx, model);
        ink_sampler *sampler;
        ink_token token;
        assert_ok(ctx,
                  ink_sampler_create(ctx, &(ink_sampler_options){0}, ink_model_get_info(model)->vocab_size, &sampler));
        assert_ok(ctx, ink_model_forward(ctx, model, state, tokens, 3, out));
        result = ink_sampler_pick(ctx, sampler, out, &token);
        ink_sampler_free(sampler);
        ink_state_free(state);
    }
    ink_model_free(model);
    return result;
}

/* Read as floats, the values of the tensor's first block are not finite, and all others are. */
static void first_block_is_not_finite(ink_context *ctx, const ink_source *source, const ink_weight *w)
{
    ink_weights *weights;
    size_t n;
    assert_ok(ctx, ink_weights_open_source(ctx, source, "m.gguf", &weights));
    float *values = test_tensor(ctx, weights, w->name, &n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(isfinite(values[i]) != 0, i >= ink_type_block(w->type).elements);
    free(values);
    ink_weights_free(weights);
}

/* Bits that make a scale NaN or infinite are legal. A file opens with them, no value of the block is finite, and what
   is computed with it is no token and no vector but INK_ERROR_NONFINITE: as floats, and in the blocks of the file,
   where only an infinite sum may have a finite limit behind it (SiLU or GELU of -infinity, tanh, a logit of -infinity).
 */
static void scales_that_are_not_finite_are_reported(ink_context *ctx)
{
    static const unsigned bits[] = {0xFE01, 0x7C00, 0xFC00};
    size_t n_cases = 0, n_quiet = 0;
    for (size_t f = 0; f < N_LANGUAGE_MODELS + N_ENCODERS; f++) {
        gguf_edit file;
        char name[64];
        ink_weights *weights;
        snprintf(name, sizeof name, "%s.gguf",
                 f < N_LANGUAGE_MODELS ? language_models[f] : encoders[f - N_LANGUAGE_MODELS]);
        gguf_edit_read(&file, FOLDER, name);
        const ink_memory_files files = {&file.memory, 1};
        const ink_source source = ink_source_memory(&files);
        assert_ok(ctx, ink_weights_open_source(ctx, &source, "m.gguf", &weights));
        assert_ok(ctx, run_damaged(ctx, &file, INK_TYPE_NONE));
        for (size_t i = 0; i < 2 * ink_weights_count(weights); i++) {
            const ink_weight *w = ink_weights_at(weights, i / 2);
            const size_t at = ink_type_is_quantised(w->type) ? scales[w->type - INK_Q8_0][i % 2] : 255;
            unsigned char *scale = file.bytes + w->offset + at, good[2];
            if (at == 255)
                continue;
            memcpy(good, scale, 2);
            for (size_t b = 0; b < sizeof bits / sizeof *bits; b++) {
                put_number(scale, bits[b], 2);
                first_block_is_not_finite(ctx, &source, w);
                const ink_result own = run_damaged(ctx, &file, INK_TYPE_NONE);
                if (own != INK_ERROR_NONFINITE || run_damaged(ctx, &file, INK_F32) != INK_ERROR_NONFINITE) {
                    const bool has_limit = strstr(w->name, "ffn_gate.") != NULL || strstr(w->name, "ffn_up.") != NULL ||
                                           strcmp(w->name, "cls.weight") == 0 || strcmp(w->name, "output.weight") == 0;
                    if (b == 0 || own != INK_OK || !has_limit)
                        fail_msg("%s: '%s' (%s) with the bits %04x in its first block is not reported", name, w->name,
                                 ink_type_name(w->type), bits[b]);
                    n_quiet++;
                }
                n_cases++;
            }
            memcpy(scale, good, 2);
        }
        ink_weights_free(weights);
        gguf_edit_free(&file);
    }
    print_message("%zu scales that are not finite, %zu of them with a finite limit\n", n_cases, n_quiet);
    assert_true(n_cases > 500 && n_quiet < 40);
}

/* ---- what a file says ------------------------------------------------------------------------------------------- */

/* Keys that change nothing: other widths, defaults spelled out, and what no result depends on. */
static void other_spellings_change_nothing(ink_context *ctx)
{
    static const edit edits[] = {
        {.fixture = "llama", .key = "llama.block_count", .value = "u64 2"},
        {.fixture = "llama", .key = "llama.block_count", .value = "i8 2"},
        {.fixture = "llama", .key = "llama.embedding_length", .value = "u16 32"},
        {.fixture = "llama", .key = "llama.attention.head_count", .value = "[i32] 4 4"},
        {.fixture = "llama", .key = "llama.attention.head_count_kv", .value = "[u64] 2 2"},
        {.fixture = "llama", .key = "llama.feed_forward_length", .value = "[u32] 64 64"},
        {.fixture = "llama", .key = "llama.attention.key_length", .value = "u32 8"},
        {.fixture = "llama", .key = "llama.attention.value_length", .value = "u32 8"},
        {.fixture = "llama", .key = "llama.attention.layer_norm_rms_epsilon", .value = "f64 1e-6"},
        {.fixture = "llama", .key = "llama.rope.freq_base", .value = "f32 10000"},
        {.fixture = "llama", .key = "llama.rope.freq_base", .value = "f64 1e4"},
        {.fixture = "llama", .key = "llama.rope.dimension_count", .value = NULL},
        {.fixture = "llama", .key = "llama.rope.scaling.type", .value = "str none"},
        {.fixture = "llama", .key = "llama.rope.scaling.factor", .value = "f32 1"},
        {.fixture = "llama", .key = "llama.rope.scale_linear", .value = "f32 1"},
        {.fixture = "llama", .key = "llama.rope.scaling.finetuned", .value = "bool 1"},
        {.fixture = "llama", .key = "llama.vocab_size", .value = "u32 500"},
        {.fixture = "llama", .key = "llama.expert_count", .value = "u32 0"},
        {.fixture = "llama", .key = "llama.logit_scale", .value = "f32 1"},
        {.fixture = "llama", .key = "llama.attention.sliding_window", .value = "u32 0"},
        {.fixture = "llama", .key = "llama.attention.causal", .value = "bool 1"},
        {.fixture = "llama", .key = "llama.tensor_data_layout", .value = "str Meta AI original pth"},
        {.fixture = "llama", .key = "llama.vision.block_count", .value = "u32 27"},
        {.fixture = "llama", .key = "llama.pooling_type", .value = "u32 0"},
        {.fixture = "llama", .key = "general.file_type", .value = "u32 7"},
        {.fixture = "llama", .key = "general.file_type", .value = "u32 41"}, /* every tensor says its type */
        {.fixture = "llama", .key = "general.file_type", .value = "u32 4294967295"},
        {.fixture = "llama", .key = "general.file_type", .value = "i32 -1"},
        {.fixture = "gpt2", .key = "gpt2.attention.head_count_kv", .value = "u32 4"},
        {.fixture = "gpt2", .key = "gpt2.rope.dimension_count", .value = "u32 8"},
        {.fixture = "gemma3", .key = "gemma3.attention.sliding_window_pattern", .value = "u32 6"},
        {.fixture = "gemma3", .key = "gemma3.attention.sliding_window_pattern", .value = "[bool] 1 1 1 1 1 0 1"},
        {.fixture = "gemma3", .key = "gemma3.attention.sliding_window_pattern", .value = "[u32] 1 1 1 1 1 0 1"},
        {.fixture = "gemma3", .key = "gemma3.rope.freq_base_swa", .value = "f32 10000"},
    };
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        const edit *e = &edits[i];
        gguf_edit file;
        ink_model *model, *plain;
        char name[64];
        ink_token tokens[20];
        snprintf(name, sizeof name, "%s.gguf", e->fixture);
        gguf_edit_read(&file, FOLDER, name);
        gguf_edit_set(&file, e->key, e->value);
        if (open_edited(ctx, &file, &model) != INK_OK)
            fail_msg("%s %s: %s", e->key, e->value, ink_context_error(ctx));
        plain = open_file(ctx, e->fixture, INK_TYPE_NONE);
        for (size_t t = 0; t < 20; t++)
            tokens[t] = (ink_token)(7 * t % 48);
        float *expected = fixture_run(ctx, plain, tokens, 20), *logits = fixture_run(ctx, model, tokens, 20);
        assert_same_bits(e->key, "logits", expected, logits, 20 * ink_model_get_info(plain)->vocab_size);
        free(expected);
        free(logits);
        ink_model_free(plain);
        ink_model_free(model);
        gguf_edit_free(&file);
    }
}

/* The converter says pooling_type only for models of sentence-transformers, and for Qwen3. */
static void a_file_with_an_output_for_labels_ranks(ink_context *ctx)
{
    static const char *const files[] = {"bert_rank", "roberta_rank", "qwen3_rank"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (int pooled = 0; pooled < 2; pooled++) {
            gguf_edit file;
            ink_model *model;
            char name[64], key[64];
            snprintf(name, sizeof name, "%s.gguf", files[i]);
            snprintf(key, sizeof key, "%s.pooling_type", i < 2 ? "bert" : "qwen3");
            gguf_edit_read(&file, FOLDER, name);
            gguf_edit_set(&file, key, pooled ? "u32 2" : NULL);
            assert_ok(ctx, open_edited(ctx, &file, &model));
            const ink_encoder_info *info = ink_model_get_encoder(model);
            assert_int_equal(info->task, pooled ? INK_TASK_NONE : INK_TASK_CLASSIFY_TEXT);
            assert_int_equal(info->embedding_size, pooled ? 32 : 0);
            if (!pooled)
                assert_string_equal(info->labels[0], i == 0 ? "bad" : i == 1 ? "LABEL_0" : "yes");
            ink_model_free(model);
            gguf_edit_free(&file);
        }
}

static void check_stops(ink_context *ctx, const gguf_edit *file, const ink_token *stops, size_t n)
{
    ink_model *model;
    assert_ok(ctx, open_edited(ctx, file, &model));
    const ink_model_info *info = ink_model_get_info(model);
    assert_int_equal(info->n_stop_tokens, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(info->stop_tokens[i], stops[i]);
    assert_int_equal(info->eos_token, n > 0 ? stops[0] : -1);
    ink_model_free(model);
}

/* llama.cpp's rule: the ids under eos, eot and eom, and tokens that are spelled like an end. */
static void texts_end_where_llama_cpp_ends_them(ink_context *ctx)
{
    gguf_edit file;
    char list[4096] = "[str] <|endoftext|> <|return|> <|call|> <|end|> </s> <|tool_response> <s> [PAD] <|im_end|>";
    gguf_edit_read(&file, FOLDER, "llama.gguf"); /* 0 <|endoftext|>, 1 <|im_start|>, 2 <|im_end|> */
    check_stops(ctx, &file, (const ink_token[]){2, 0}, 2);
    gguf_edit_set(&file, "tokenizer.ggml.eot_token_id", "u32 9");
    gguf_edit_set(&file, "tokenizer.ggml.eom_token_id", "u32 7");
    check_stops(ctx, &file, (const ink_token[]){2, 9, 7, 0}, 4);
    gguf_edit_set(&file, "tokenizer.ggml.eos_token_id", "u32 3000"); /* out of the vocabulary: a note */
    check_stops(ctx, &file, (const ink_token[]){9, 7, 2, 0}, 4);
    for (size_t i = 9; i < 280; i++)
        strcat(list, " t");
    gguf_edit_set(&file, "tokenizer.ggml.tokens", list);
    gguf_edit_set(&file, "tokenizer.ggml.eot_token_id", NULL);
    gguf_edit_set(&file, "tokenizer.ggml.eom_token_id", NULL);
    gguf_edit_set(&file, "tokenizer.ggml.eos_token_id", "u32 8");
    check_stops(ctx, &file, (const ink_token[]){8, 1, 2, 5, 0, 7}, 6); /* no <|end|>, no </s> */
    gguf_edit_set(&file, "tokenizer.ggml.eos_token_id", NULL);
    check_stops(ctx, &file, (const ink_token[]){1, 2, 5, 8, 0, 7}, 6);
    gguf_edit_free(&file);
    gguf_edit_read(&file, FOLDER, "qwen2.gguf");
    check_stops(ctx, &file, NULL, 0);
    gguf_edit_set(&file, "tokenizer.ggml.model", "str llama"); /* whose default is 2 */
    check_stops(ctx, &file, (const ink_token[]){2}, 1);
    gguf_edit_free(&file);
}

static void sampling_is_what_the_file_says(ink_context *ctx)
{
    gguf_edit file;
    ink_model *model;
    ink_generate_options options;
    gguf_edit_read(&file, FOLDER, "llama.gguf");
    assert_ok(ctx, open_edited(ctx, &file, &model));
    assert_false(ink_model_generation(model, &options));
    assert_true(options.sampler.temperature <= 0);
    ink_model_free(model);
    gguf_edit_set(&file, "general.sampling.temp", "f32 0.6");
    gguf_edit_set(&file, "general.sampling.top_k", "i32 20");
    gguf_edit_set(&file, "general.sampling.top_p", "f32 0.95");
    assert_ok(ctx, open_edited(ctx, &file, &model));
    assert_true(ink_model_generation(model, &options));
    assert_true(options.sampler.temperature == 0.6f);
    assert_true(options.sampler.top_p == 0.95f);
    assert_int_equal(options.sampler.top_k, 20);
    ink_model_free(model);
    gguf_edit_free(&file);
}

/* Memory that ends at each request in turn, and every read and open that fails. */
static void failures_leave_nothing_behind(void **unused)
{
    static const char *const files[] = {"llama_bias", "qwen3_rank", "gemma3"};
    (void)unused;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        counting memory;
        faulty reader;
        gguf_edit file;
        ink_model *model = NULL;
        char name[64];
        snprintf(name, sizeof name, "%s.gguf", files[i]);
        gguf_edit_read(&file, FOLDER, name);
        ink_context *ctx = counting_begin(&memory, 1);
        for (size_t k = 1; runs_out_of_memory(ctx, &memory, k, open_edited(ctx, &file, &model), "out of memory"); k++)
            assert_null(model);
        ink_model_free(model);
        for (size_t kind = 0; kind < 2; kind++)
            for (size_t k = 1, failed = 1; failed; k++) {
                faulty_init(&reader, &file.memory, 1);
                *(kind == 0 ? &reader.fail_read : &reader.fail_open) = k;
                const ink_model_options options = {.source = &reader.source};
                ink_result result = ink_model_open(ctx, "m.gguf", &options, &model);
                failed = (kind == 0 ? reader.reads : reader.opens) >= k;
                assert_true((result == INK_OK) == (model != NULL));
                assert_true(kind == 1 || (result == INK_OK) == !failed);
                assert_int_equal(reader.open_files, 0);
                ink_model_free(model);
            }
        counting_end(&memory, ctx);
        gguf_edit_free(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(transformers_computes_the_same),
        context_test(dimensions_of_one_count_for_nothing),
        context_test(a_file_stands_where_a_folder_does),
        cmocka_unit_test(a_wrong_key_is_refused),
        context_test(every_tensor_is_needed),
        context_test(scales_that_are_not_finite_are_reported),
        context_test(other_spellings_change_nothing),
        context_test(a_file_with_an_output_for_labels_ranks),
        context_test(texts_end_where_llama_cpp_ends_them),
        context_test(sampling_is_what_the_file_says),
        cmocka_unit_test(failures_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
