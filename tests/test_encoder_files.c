/*
 * test_encoder_files.c - folders of encoders that are not what they should be: each is refused with a sentence, before
 * memory is taken on the word of a file, and with nothing left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "fixture.h"

#define PATH_SIZE 1024
#define MAX_FILES 12

static ink_context *counted_context(counting *memory)
{
    counting_init(memory);
    ink_context_options options = test_options(1);
    options.allocator = memory->allocator;
    ink_context *ctx = ink_context_create(&options);
    assert_non_null(ctx);
    return ctx;
}

static void refuse(ink_context *ctx, counting *memory, const ink_memory_files *files, ink_result result,
                   const char *words)
{
    ink_model *model = (ink_model *)(uintptr_t)1;
    const ink_source source = ink_source_memory(files);
    const ink_model_options options = {.source = &source};
    size_t peak = memory->peak_bytes = memory->live_bytes;
    assert_fails(ctx, ink_model_open(ctx, "broken", &options, &model), result, words);
    assert_null(model);
    assert_true(memory->peak_bytes - peak < 1 << 20);
}

/* ---- config.json ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *fixture, *key, *value;
    ink_result result;
    const char *words;
} settings[] = {
    {"bert", "hidden_size", "0", INK_ERROR_MISMATCH, "hidden_size: expected an integer from 1"},
    {"bert", "hidden_size", "-20", INK_ERROR_MISMATCH, "hidden_size: expected an integer"},
    {"bert", "hidden_size", "20.5", INK_ERROR_MISMATCH, "hidden_size: expected an integer"},
    {"bert", "hidden_size", "\"20\"", INK_ERROR_MISMATCH, "hidden_size: expected an integer"},
    {"bert", "hidden_size", "4611686018427387904", INK_ERROR_MISMATCH, "hidden_size: expected an integer"},
    {"bert", "hidden_size", "21", INK_ERROR_MISMATCH, "hidden_size is 21, which 2 heads (num_attention_heads)"},
    {"bert", "hidden_size", "22", INK_ERROR_MISMATCH,
     "'embeddings.word_embeddings.weight' is [66, 20], config.json asks"},
    {"bert", "num_attention_heads", "0", INK_ERROR_MISMATCH, "num_attention_heads: expected"},
    {"bert", "num_attention_heads", "3", INK_ERROR_MISMATCH, "which 3 heads (num_attention_heads) do not divide"},
    {"distilbert", "n_heads", "3", INK_ERROR_MISMATCH, "dim is 20, which 3 heads (n_heads) do not divide"},
    {"bert", "num_hidden_layers", "3", INK_ERROR_NOT_FOUND,
     "there is no tensor 'encoder.layer.2.attention.self.query.b"},
    {"bert", "num_hidden_layers", "1", INK_ERROR_MISMATCH, "there is a tensor 'encoder.layer.1.attention.self.query.w"},
    {"distilbert", "n_layers", "1", INK_ERROR_MISMATCH, "config.json asks for 1 blocks (n_layers)"},
    {"bert", "vocab_size", "67", INK_ERROR_MISMATCH, "'embeddings.word_embeddings.weight' is [66, 20]"},
    {"bert", "vocab_size", "2147483648", INK_ERROR_MISMATCH, "vocab_size: expected"},
    {"bert", "type_vocab_size", "2", INK_ERROR_MISMATCH, "'embeddings.token_type_embeddings.weight' is [3, 20]"},
    {"bert", "max_position_embeddings", "151", INK_ERROR_MISMATCH, "position_embeddings.weight' is [150, 20]"},
    {"bert", "intermediate_size", "29", INK_ERROR_MISMATCH, "intermediate.dense.weight' is [28, 20]"},
    {"bert", "hidden_act", "\"gelu_10\"", INK_ERROR_UNSUPPORTED, "hidden_act: there is no activation 'gelu_10' here"},
    {"distilbert", "activation", "\"maxout\"", INK_ERROR_UNSUPPORTED, "activation: there is no activation 'maxout'"},
    {"bert", "position_embedding_type", "\"relative_key\"", INK_ERROR_UNSUPPORTED,
     "position_embedding_type is 'relative_key', of which only 'absolute' runs here"},
    {"bert", "is_decoder", "true", INK_ERROR_UNSUPPORTED, "is_decoder"},
    {"bert", "add_cross_attention", "true", INK_ERROR_UNSUPPORTED, "add_cross_attention"},
    {"bert", "layer_norm_eps", "0", INK_ERROR_MISMATCH, "layer_norm_eps: expected a number above 0"},
    {"bert", "pad_token_id", "66", INK_ERROR_MISMATCH, "pad_token_id"},
    {"bert", "architectures", "[\"BertForQuestionAnswering\"]", INK_ERROR_UNSUPPORTED,
     "architectures: 'BertForQuestionAnswering' does not run here: besides BertModel there are"},
    {"bert", "architectures", "[7]", INK_ERROR_MISMATCH, "architectures[0]: expected a string"},
    {"bert", "architectures", "[\"BertForTokenClassification\"]", INK_ERROR_NOT_FOUND, "'classifier.bias' is missing"},
    {"bert", "architectures", "[\"BertForMaskedLM\"]", INK_ERROR_NOT_FOUND, "'cls.predictions.transform.dense.bias'"},
    {"bert_fill", "architectures", "[\"BertForSequenceClassification\"]", INK_ERROR_NOT_FOUND, "'bert.pooler.dense.b"},
    {"bert_fill", "tie_word_embeddings", "false", INK_ERROR_NOT_FOUND, "'cls.predictions.decoder.weight' is missing"},
    {"roberta", "pad_token_id", "23", INK_ERROR_MISMATCH, "is 24, but positions begin behind pad_token_id 23"},
    {"roberta_text", "id2label", "{}", INK_ERROR_MISMATCH, "id2label is empty"},
    {"roberta_text", "id2label", "[1]", INK_ERROR_MISMATCH, "id2label: expected an object"},
    {"roberta_text", "id2label", "{\"0\": \"a\", \"2\": \"b\"}", INK_ERROR_MISMATCH,
     "id2label: found '2', expected the n"},
    {"roberta_text", "id2label", "{\"0\": \"a\", \"01\": \"b\"}", INK_ERROR_MISMATCH, "id2label: found '01'"},
    {"roberta_text", "id2label", "{\"0\": \"a\", \"x\": \"b\"}", INK_ERROR_MISMATCH, "id2label: found 'x'"},
    {"roberta_text", "id2label", "{\"0\": \"a\", \"1\": 2}", INK_ERROR_MISMATCH, "id2label.1: expected a string"},
    {"roberta_text", "num_labels", "3", INK_ERROR_MISMATCH,
     "'classifier.out_proj.bias' is [2], config.json asks for [3]"},
    {"roberta_text", "num_labels", "0", INK_ERROR_MISMATCH, "num_labels: expected"},
    {"roberta_text", "problem_type", "\"ranking\"", INK_ERROR_UNSUPPORTED,
     "problem_type is 'ranking', expected 'single_label_classification'"},
};

static void test_settings(void **unused)
{
    counting memory;
    (void)unused;
    ink_context *ctx = counted_context(&memory);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        char name[64];
        fixture_files files;
        snprintf(name, sizeof name, "../encoders/%s", settings[i].fixture);
        fixture_files_read(&files, name);
        fixture_files_set(&files, settings[i].key, settings[i].value);
        refuse(ctx, &memory, &files.list, settings[i].result, settings[i].words);
        fixture_files_free(&files);
    }
    counting_end(&memory, ctx);
}

/* What config.json may leave out, or say in another way. */
static void test_accepted_settings(void **unused)
{
    static const char *const accepted[][3] = {
        {"bert", "layer_norm_eps", NULL},
        {"bert", "position_embedding_type", "\"absolute\""},
        {"bert", "hidden_act", NULL},
        {"bert", "architectures", "null"},
        {"bert", "architectures", "[]"},
        {"bert", "pad_token_id", "null"},
        {"roberta", "pad_token_id", "null"},
        {"roberta_text", "problem_type", "null"},
        {"roberta_text", "id2label", "null"},
        {"distilbert", "sinusoidal_pos_embds", "true"},
        {"bert_fill", "tie_word_embeddings", NULL},
    };
    (void)unused;
    ink_context *ctx = test_context(1);
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        char name[64];
        fixture_files files;
        ink_model *model;
        snprintf(name, sizeof name, "../encoders/%s", accepted[i][0]);
        fixture_files_read(&files, name);
        fixture_files_set(&files, accepted[i][1], accepted[i][2]);
        const ink_source source = ink_source_memory(&files.list);
        const ink_model_options options = {.source = &source};
        assert_ok(ctx, ink_model_open(ctx, NULL, &options, &model));
        ink_model_free(model);
        fixture_files_free(&files);
    }
    ink_context_free(ctx);
}

/* ---- tensors -------------------------------------------------------------------------------------------------- */

/* The last letter of one name becomes another: that tensor is missing, wherever it stands. */
static void test_missing_tensors(void **unused)
{
    static const char *const missing[][2] = {
        {"bert", "embeddings.word_embeddings.weight"},
        {"bert", "embeddings.position_embeddings.weight"},
        {"bert", "embeddings.token_type_embeddings.weight"},
        {"bert", "embeddings.LayerNorm.bias"},
        {"bert", "encoder.layer.1.attention.self.query.bias"},
        {"bert", "encoder.layer.1.attention.self.value.weight"},
        {"bert", "encoder.layer.1.output.dense.bias"},
        {"bert", "encoder.layer.1.output.LayerNorm.weight"},
        {"bert", "pooler.dense.bias"},
        {"distilbert", "transformer.layer.1.ffn.lin2.bias"},
        {"distilbert", "transformer.layer.0.sa_layer_norm.weight"},
        {"bert_old", "bert.encoder.layer.0.output.LayerNorm.beta"},
        {"bert_old", "bert.encoder.layer.0.output.LayerNorm.gamma"},
        {"bert_fill", "cls.predictions.bias"},
        {"bert_fill", "cls.predictions.transform.LayerNorm.bias"},
        {"bert_text", "bert.pooler.dense.weight"},
        {"bert_tokens", "classifier.bias"},
        {"roberta_fill", "lm_head.layer_norm.weight"},
        {"distilbert_text", "pre_classifier.weight"},
    };
    counting memory;
    (void)unused;
    ink_context *ctx = counted_context(&memory);
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        char name[64], quoted[96];
        fixture_files files;
        snprintf(name, sizeof name, "../encoders/%s", missing[i][0]);
        snprintf(quoted, sizeof quoted, "\"%s\"", missing[i][1]);
        fixture_files_read(&files, name);
        size_t length = strlen(quoted), at = 8;
        while (memcmp(files.weights + at, quoted, length) != 0)
            assert_true(++at + length < files.weights_size);
        files.weights[at + length - 2] = '_';
        refuse(ctx, &memory, &files.list, INK_ERROR_NOT_FOUND, NULL);
        assert_true(strstr(ink_context_error(ctx), "missing") != NULL ||
                    strstr(ink_context_error(ctx), "there is no tensor") != NULL);
        fixture_files_free(&files);
    }
    counting_end(&memory, ctx);
}

/* ---- modules of sentence encoders ----------------------------------------------------------------------------- */

static const char *const sentence_files[] = {
    "config.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "3_Dense/config.json",
    "3_Dense/model.safetensors",
    "4_Normalize/config.json",
};
#define N_SENTENCE_FILES (sizeof sentence_files / sizeof sentence_files[0])

static void *read_whole(const char *file, size_t *size)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, FIXTURES "/encoders/sentence_dense/%s", file);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    char *bytes = malloc(1 << 16);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 1 << 16, in);
    assert_true(*size > 0 && *size < 1 << 16);
    fclose(in);
    return bytes;
}

#define MODULE(type, path) "{\"type\": \"x." type "\", \"path\": \"" path "\"}"
#define BEGINNING MODULE("Transformer", "") ", " MODULE("Pooling", "1_Pooling")

/* A file with other content; NULL: it is not there. */
static const struct {
    const char *file, *content;
    ink_result result;
    const char *words;
} modules[] = {
    {"modules.json", "{}", INK_ERROR_MISMATCH, "expected an array"},
    {"modules.json", "[", INK_ERROR_CORRUPT, "modules.json"},
    {"modules.json", "[]", INK_ERROR_UNSUPPORTED,
     "expected a Transformer in the folder itself (path \"\"), then a Pooling"},
    {"modules.json", "[3, 4]", INK_ERROR_MISMATCH, "[0]: expected an object"},
    {"modules.json", "[" MODULE("Transformer", "") "]", INK_ERROR_UNSUPPORTED, "then a Pooling"},
    {"modules.json", "[" MODULE("Transformer", "0_Transformer") ", " MODULE("Pooling", "1_Pooling") "]",
     INK_ERROR_UNSUPPORTED, "in the folder itself"},
    {"modules.json", "[" MODULE("WordEmbeddings", "") ", " MODULE("Pooling", "1_Pooling") "]", INK_ERROR_UNSUPPORTED,
     "expected a Transformer"},
    {"modules.json", "[" MODULE("Transformer", "") ", " MODULE("Pooling", "../1_Pooling") "]", INK_ERROR_MISMATCH,
     "path '../1_Pooling' is not the plain name of a folder"},
    {"modules.json", "[" MODULE("Transformer", "") ", " MODULE("Pooling", "/etc") "]", INK_ERROR_MISMATCH,
     "plain name"},
    {"modules.json", "[" MODULE("Transformer", "") ", " MODULE("Pooling", "a\\\\b") "]", INK_ERROR_MISMATCH,
     "plain name"},
    {"modules.json", "[" MODULE("Transformer", "") ", " MODULE("Pooling", "c:") "]", INK_ERROR_MISMATCH, "plain name"},
    {"modules.json", "[" MODULE("Transformer", "") ", " MODULE("Pooling", "nowhere") "]", INK_ERROR_NOT_FOUND,
     "nowhere/config.json"},
    {"modules.json", "[" BEGINNING ", " MODULE("LayerNorm", "2_Dense") "]", INK_ERROR_UNSUPPORTED,
     "a module 'LayerNorm' behind the pooling: only Dense and Normalize run here"},
    {"modules.json", "[" BEGINNING ", " MODULE("Dense", "nowhere") "]", INK_ERROR_NOT_FOUND, "nowhere/config.json"},
    {"modules.json", "[" BEGINNING ", " MODULE("Dense", "3_Dense") "]", INK_ERROR_MISMATCH,
     "in_features is 33, the vector before it has 120"},
    {"sentence_bert_config.json", "{\"transformer_task\": \"fill-mask\"}", INK_ERROR_UNSUPPORTED,
     "transformer_task is 'fill-mask', of which only 'feature-extraction' runs here"},
    {"sentence_bert_config.json", "{\"max_seq_length\": 0}", INK_ERROR_MISMATCH, "max_seq_length: expected"},
    {"sentence_bert_config.json", "{\"do_lower_case\": 1}", INK_ERROR_MISMATCH, "do_lower_case: expected"},
    {"config_sentence_transformers.json", "{\"default_prompt_name\": \"a\", \"prompts\": 3}", INK_ERROR_MISMATCH,
     "prompts: expected an object"},
    {"1_Pooling/config.json", "{\"embedding_dimension\": 21}", INK_ERROR_MISMATCH,
     "embedding_dimension is 21, the rows of the model have 20"},
    {"1_Pooling/config.json", "{\"pooling_mode\": \"attention\"}", INK_ERROR_UNSUPPORTED,
     "pooling_mode 'attention' is none of those that run here: cls, max"},
    {"1_Pooling/config.json", "{\"pooling_mode\": [\"cls\", 3]}", INK_ERROR_MISMATCH,
     "pooling_mode[1]: expected a string"},
    {"1_Pooling/config.json", "{\"pooling_mode\": [\"cls\",\"cls\",\"cls\",\"cls\",\"cls\",\"cls\",\"cls\"]}",
     INK_ERROR_UNSUPPORTED, "more than 6 modes"},
    {"1_Pooling/config.json", "{\"pooling_mode_attention\": true}", INK_ERROR_UNSUPPORTED, "pooling_mode_attention"},
    {"1_Pooling/config.json", "{\"include_prompt\": false}", INK_ERROR_UNSUPPORTED, "include_prompt is false"},
    {"1_Pooling/config.json", NULL, INK_ERROR_NOT_FOUND, "1_Pooling/config.json"},
    {"2_Dense/config.json", "{\"in_features\": 120}", INK_ERROR_MISMATCH, "'out_features' is missing"},
    {"2_Dense/config.json", "{\"out_features\": 33, \"activation_function\": \"torch.nn.Softsign\"}",
     INK_ERROR_UNSUPPORTED, "activation_function: there is no activation 'torch.nn.Softsign' here"},
    {"2_Dense/config.json", "{\"out_features\": 33, \"use_residual\": true}", INK_ERROR_UNSUPPORTED, "use_residual"},
    {"2_Dense/config.json", "{\"out_features\": 33, \"bias\": false}", INK_ERROR_MISMATCH,
     "there are 2 tensors, expected linear.weight alone"},
    {"3_Dense/config.json", "{\"out_features\": 18}", INK_ERROR_MISMATCH, "expected linear.weight and linear.bias"},
    {"2_Dense/config.json", "{\"out_features\": 34}", INK_ERROR_MISMATCH, "'linear.weight' is [33, 120]"},
    {"2_Dense/config.json", "{\"out_features\": 33, \"module_input_name\": \"token_embeddings\"}",
     INK_ERROR_UNSUPPORTED, "module_input_name is 'token_embeddings', of which only 'sentence_embedding' runs here"},
    {"2_Dense/model.safetensors", NULL, INK_ERROR_NOT_FOUND, "2_Dense/model.safetensors"},
    {"2_Dense/model.safetensors", "{}", INK_ERROR_CORRUPT, "2_Dense/model.safetensors"},
    {"4_Normalize/config.json", "{\"module_output_name\": \"token_embeddings\"}", INK_ERROR_UNSUPPORTED,
     "module_output_name is 'token_embeddings'"},
};

static void test_modules(void **unused)
{
    counting memory;
    void *bytes[N_SENTENCE_FILES];
    size_t sizes[N_SENTENCE_FILES];
    (void)unused;
    ink_context *ctx = counted_context(&memory);
    for (size_t i = 0; i < N_SENTENCE_FILES; i++)
        bytes[i] = read_whole(sentence_files[i], &sizes[i]);
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        ink_memory_file files[MAX_FILES];
        size_t n = 0, changed = 0;
        for (size_t k = 0; k < N_SENTENCE_FILES; k++) {
            const char *content = modules[i].content;
            bool here = strcmp(sentence_files[k], modules[i].file) == 0;
            changed += here;
            if (!here)
                files[n++] = (ink_memory_file){sentence_files[k], bytes[k], sizes[k]};
            else if (content != NULL)
                files[n++] = (ink_memory_file){sentence_files[k], content, strlen(content)};
        }
        assert_int_equal(changed, 1);
        const ink_memory_files list = {files, n};
        refuse(ctx, &memory, &list, modules[i].result, modules[i].words);
    }
    for (size_t i = 0; i < N_SENTENCE_FILES; i++)
        free(bytes[i]);
    counting_end(&memory, ctx);
}

/* How many ids a text may have, by up to two files beside the model and its modules: 24 positions there are. */
static void test_longest_text(void **unused)
{
    static const struct {
        const char *file, *content, *other, *other_content;
        size_t max_tokens;
    } cases[] = {
        {"sentence_bert_config.json", "{\"max_seq_length\": 11}", NULL, NULL, 11},
        {"sentence_roberta_config.json", "{\"max_seq_length\": 11}", NULL, NULL, 11},
        {"sentence_distilbert_config.json", "{\"max_seq_length\": 30}", NULL, NULL, 24},
        {"sentence_distilbert_config.json", "{\"max_seq_length\": 9}", "sentence_bert_config.json", "{}", 24},
        {"tokenizer_config.json", "{\"model_max_length\": 16}", NULL, NULL, 16},
        {"tokenizer_config.json", "{\"model_max_length\": 16}", "sentence_bert_config.json", "{}", 16},
        {"tokenizer_config.json", "{\"model_max_length\": 16}", "sentence_bert_config.json", "{\"max_seq_length\": 20}",
         20},
        {"tokenizer_config.json", "{\"model_max_length\": 1000000000000000019884624838656}", NULL, NULL, 24},
        {"tokenizer_config.json", "{\"model_max_length\": 0}", NULL, NULL, 24},
        {"tokenizer_config.json", "{\"model_max_length\": null}", NULL, NULL, 24},
    };
    (void)unused;
    ink_context *ctx = test_context(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_memory_file files[MAX_FILES + 1];
        void *bytes[N_SENTENCE_FILES];
        size_t n = 0, size;
        for (size_t k = 0; k < N_SENTENCE_FILES; k++) {
            bytes[k] = read_whole(sentence_files[k], &size);
            if (strcmp(sentence_files[k], "sentence_bert_config.json") != 0)
                files[n++] = (ink_memory_file){sentence_files[k], bytes[k], size};
        }
        files[n++] = (ink_memory_file){cases[i].file, cases[i].content, strlen(cases[i].content)};
        if (cases[i].other != NULL)
            files[n++] = (ink_memory_file){cases[i].other, cases[i].other_content, strlen(cases[i].other_content)};
        const ink_memory_files list = {files, n};
        const ink_source source = ink_source_memory(&list);
        const ink_model_options options = {.source = &source};
        ink_model *model;
        assert_ok(ctx, ink_model_open(ctx, NULL, &options, &model));
        assert_int_equal(ink_model_get_encoder(model)->max_tokens, cases[i].max_tokens);
        ink_model_free(model);
        for (size_t k = 0; k < N_SENTENCE_FILES; k++)
            free(bytes[k]);
    }
    ink_context_free(ctx);
}

/* Every allocation failing, from the first that can on: a clean error, and nothing left behind. */
static void test_out_of_memory(void **unused)
{
    counting memory;
    ink_model *model;
    (void)unused;
    ink_context *ctx = counted_context(&memory);
    for (size_t k = 1;; k++) {
        counting_fail_from(&memory, k);
        ink_result result = ink_model_open(ctx, FIXTURES "/encoders/sentence_dense", NULL, &model);
        if (!counting_failed(&memory)) {
            assert_int_equal(result, INK_OK);
            assert_true(k > 3);
            break;
        }
        assert_int_equal(result, INK_ERROR_MEMORY);
        assert_null(model);
    }
    ink_model_free(model);
    counting_end(&memory, ctx);
}

static void test_impossible_options(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_model *model = (ink_model *)(uintptr_t)1;
    ink_model_options options = {.pooling = INK_N_POOLINGS};
    assert_fails(ctx, ink_model_open(ctx, FIXTURES "/encoders/bert", &options, &model), INK_ERROR_ARGUMENT,
                 "there is no pooling 7");
    assert_null(model);
    options = (ink_model_options){.max_bytes = 10000};
    assert_fails(ctx, ink_model_open(ctx, FIXTURES "/encoders/bert", &options, &model), INK_ERROR_LIMIT, "the limit");
    ink_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),           cmocka_unit_test(test_accepted_settings),
        cmocka_unit_test(test_missing_tensors),    cmocka_unit_test(test_modules),
        cmocka_unit_test(test_longest_text),       cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_impossible_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
