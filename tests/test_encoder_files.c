/*
 * test_encoder_files.c - folders of encoders that are not what they should be: each is refused with a sentence, before
 * memory is taken on the word of a file, and with nothing left behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers.h"
#include "settings.h"

#define MAX_FILES 13

/* ---- config.json ---------------------------------------------------------------------------------------------- */

static const setting settings[] = {
    {"bert", "hidden_size", "0", INK_ERROR_MISMATCH, "hidden_size: expected an integer from 1"},
    {"bert", "hidden_size", "-20", INK_ERROR_MISMATCH, "hidden_size: expected an integer"},
    {"bert", "hidden_size", "20.5", INK_ERROR_MISMATCH, "hidden_size: expected an integer"},
    {"bert", "hidden_size", "\"20\"", INK_ERROR_MISMATCH, "hidden_size: expected an integer"},
    {"bert", "hidden_size", "4611686018427387904", INK_ERROR_MISMATCH, "hidden_size: expected an integer"},
    {"bert", "hidden_size", "21", INK_ERROR_MISMATCH, "21, which is not a multiple of 2 heads (num_attention_heads)"},
    {"bert", "hidden_size", "22", INK_ERROR_MISMATCH,
     "'embeddings.word_embeddings.weight' is [66, 20], config.json asks"},
    {"bert", "num_attention_heads", "0", INK_ERROR_MISMATCH, "num_attention_heads: expected"},
    {"bert", "num_attention_heads", "3", INK_ERROR_MISMATCH, "not a multiple of 3 heads (num_attention_heads)"},
    {"distilbert", "n_heads", "3", INK_ERROR_MISMATCH, "dim is 20, which is not a multiple of 3 heads (n_heads)"},
    {"bert", "num_hidden_layers", "3", INK_ERROR_NOT_FOUND,
     "there is no tensor 'encoder.layer.2.attention.self.query.b"},
    {"bert", "num_hidden_layers", "1", INK_ERROR_MISMATCH, "there is a tensor 'encoder.layer.1.attention.self.query.w"},
    {"distilbert", "n_layers", "1", INK_ERROR_MISMATCH, "config.json asks for 1 blocks (n_layers)"},
    {"bert", "vocab_size", "67", INK_ERROR_MISMATCH, "'embeddings.word_embeddings.weight' is [66, 20]"},
    {"bert", "vocab_size", "2147483648", INK_ERROR_MISMATCH, "vocab_size: expected"},
    {"bert", "type_vocab_size", "2", INK_ERROR_MISMATCH, "'embeddings.token_type_embeddings.weight' is [3, 20]"},
    {"bert", "max_position_embeddings", "151", INK_ERROR_MISMATCH, "position_embeddings.weight' is [150, 20]"},
    {"bert", "intermediate_size", "29", INK_ERROR_MISMATCH, "intermediate.dense.weight' is [28, 20]"},
    {"bert", "hidden_act", "\"gelu_10\"", INK_ERROR_UNSUPPORTED, "hidden_act: activation 'gelu_10' is not supported"},
    {"distilbert", "activation", "\"maxout\"", INK_ERROR_UNSUPPORTED, "activation: activation 'maxout' is not"},
    {"bert", "position_embedding_type", "\"relative_key\"", INK_ERROR_UNSUPPORTED,
     "position_embedding_type is 'relative_key', but only 'absolute' is supported"},
    {"bert", "is_decoder", "true", INK_ERROR_UNSUPPORTED, "is_decoder"},
    {"bert", "add_cross_attention", "true", INK_ERROR_UNSUPPORTED, "add_cross_attention"},
    {"bert", "layer_norm_eps", "-1e-12", INK_ERROR_MISMATCH, "layer_norm_eps: expected a number from 0 to 1"},
    {"distilbert", "hidden_size", "24", INK_ERROR_MISMATCH, "is [66, 20], config.json asks for [66, 24]"},
    {"distilbert", "num_attention_heads", "3", INK_ERROR_MISMATCH, "a multiple of 3 heads (num_attention_heads)"},
    {"distilbert", "num_hidden_layers", "1", INK_ERROR_MISMATCH, "asks for 1 blocks (num_hidden_layers)"},
    {"bert", "pad_token_id", "66", INK_ERROR_MISMATCH, "pad_token_id"},
    {"bert", "architectures", "[\"BertForMultipleChoice\"]", INK_ERROR_UNSUPPORTED,
     "architectures: 'BertForMultipleChoice' is not supported, only BertModel and the classes"},
    {"bert", "architectures", "[\"BertForQuestionAnswering\"]", INK_ERROR_NOT_FOUND, "'qa_outputs.bias' is missing"},
    {"bert_tokens", "architectures", "[\"BertForQuestionAnswering\"]", INK_ERROR_NOT_FOUND, "'qa_outputs.bias'"},
    {"distilbert", "architectures", "[\"DistilBertForPreTraining\"]", INK_ERROR_UNSUPPORTED,
     "'DistilBertForPreTraining' is not supported, only DistilBertModel"},
    {"gpt2_text", "architectures", "null", INK_ERROR_MISMATCH,
     "'score.weight' belongs to the head of a classifier, but architectures in config.json names no class"},
    {"gpt2_tokens", "architectures", "[]", INK_ERROR_MISMATCH, "'classifier.weight' belongs to the head"},
    {"llama_tokens", "architectures", "null", INK_ERROR_MISMATCH, "'score.weight' belongs to the head"},
    {"bert", "architectures", "[7]", INK_ERROR_MISMATCH, "architectures[0]: expected a string"},
    {"bert", "architectures", "[\"BertForTokenClassification\"]", INK_ERROR_NOT_FOUND, "'classifier.bias' is missing"},
    {"bert", "architectures", "[\"BertForMaskedLM\"]", INK_ERROR_NOT_FOUND, "'cls.predictions.transform.dense.bias'"},
    {"bert_fill", "architectures", "[\"BertForSequenceClassification\"]", INK_ERROR_NOT_FOUND, "'bert.pooler.dense.b"},
    {"bert_fill", "tie_word_embeddings", "false", INK_ERROR_NOT_FOUND, "'cls.predictions.decoder.weight' is missing"},
    {"roberta", "pad_token_id", "23", INK_ERROR_MISMATCH, "is 24, but positions begin after pad_token_id 23"},
    {"roberta_text", "id2label", "{}", INK_ERROR_MISMATCH, "id2label is empty"},
    {"roberta_text", "id2label", "[1]", INK_ERROR_MISMATCH, "id2label: expected an object"},
    {"roberta_text", "id2label", "{\"0\": \"a\", \"2\": \"b\"}", INK_ERROR_MISMATCH,
     "id2label: found '2', expected the n"},
    {"roberta_text", "id2label", "{\"0\": \"a\", \"01\": \"b\"}", INK_ERROR_MISMATCH, "id2label: found '01'"},
    {"roberta_text", "id2label", "{\"0\": \"a\", \"x\": \"b\"}", INK_ERROR_MISMATCH, "id2label: found 'x'"},
    {"roberta_text", "id2label", "{\"0\": \"a\", \"1\": [2]}", INK_ERROR_MISMATCH, "id2label.1: expected a string"},
    {"llama_text", "id2label", "{\"0\": \"a\"}", INK_ERROR_MISMATCH,
     "'score.weight' is [2, 20], config.json asks for [1"},
    {"llama_text", "pad_token_id", "\"9\"", INK_ERROR_MISMATCH, "pad_token_id: expected an integer"},
    {"qwen2_tokens", "token_classification_bias", "true", INK_ERROR_NOT_FOUND, "'score.bias' is missing"},
    {"llama_tokens", "token_classification_bias", "false", INK_ERROR_MISMATCH,
     "'score.bias', config.json asks for none"},
    {"llama_tokens", "architectures", "[\"LlamaForSequenceClassification\"]", INK_ERROR_MISMATCH,
     "'score.bias', config.json asks for none"},
    {"roberta_text", "num_labels", "3", INK_ERROR_MISMATCH,
     "'classifier.out_proj.bias' is [2], config.json asks for [3]"},
    {"roberta_text", "num_labels", "1048576", INK_ERROR_MISMATCH,
     "'classifier.out_proj.bias' is [2], config.json asks for [1048576]"},
    {"roberta_text", "id2label", "{\"0\": \"a\", \"1\\u0000x\": \"b\"}", INK_ERROR_MISMATCH, "id2label: found '1"},
    {"roberta_text", "num_labels", "0", INK_ERROR_MISMATCH, "num_labels: expected"},
    {"bert_score", "sentence_transformers", "{\"activation_fn\": \"torch.nn.modules.activation.Tanh\"}",
     INK_ERROR_UNSUPPORTED, "activation_fn: 'torch.nn.modules.activation.Tanh' is not supported"},
    {"bert_score", "sentence_transformers", "{\"activation_fn\": 3}", INK_ERROR_MISMATCH,
     "activation_fn: expected a string"},
    {"mpnet", "relative_attention_num_buckets", "31", INK_ERROR_MISMATCH,
     "relative_attention_num_buckets is 31, expected at least 32"},
    {"mpnet", "relative_attention_num_buckets", "32", INK_ERROR_MISMATCH,
     "'encoder.relative_attention_bias.weight' is [34, 4], config.json asks for [32, 4]"},
    {"mpnet", "max_position_embeddings", "2", INK_ERROR_MISMATCH, "positions begin after pad_token_id 1"},
    {"modernbert", "local_attention", "-1", INK_ERROR_MISMATCH, "local_attention: expected"},
    {"modernbert", "global_attn_every_n_layers", "0", INK_ERROR_MISMATCH, "global_attn_every_n_layers: expected"},
    {"modernbert", "attention_bias", "true", INK_ERROR_NOT_FOUND, "there is no tensor 'layers.0.attn.Wqkv.bias'"},
    {"modernbert", "attention_bias", "1", INK_ERROR_MISMATCH, "attention_bias: expected"},
    {"modernbert_fill", "attention_bias", "false", INK_ERROR_MISMATCH,
     "there is a tensor 'model.layers.0.attn.Wqkv.bias', config.json asks for none"},
    {"modernbert_fill", "norm_bias", "false", INK_ERROR_MISMATCH, "'model.embeddings.norm.bias', config.json asks for"},
    {"modernbert_fill", "mlp_bias", "false", INK_ERROR_MISMATCH, "'model.layers.0.mlp.Wi.bias', config.json asks for"},
    {"modernbert_fill", "classifier_bias", "false", INK_ERROR_MISMATCH, "'head.dense.bias', config.json asks for none"},
    {"modernbert_fill", "decoder_bias", "true", INK_ERROR_NOT_FOUND, "there is no tensor 'decoder.bias'"},
    {"modernbert_fill_untied", "decoder_bias", "false", INK_ERROR_MISMATCH,
     "'decoder.bias', config.json asks for none"},
    {"modernbert", "layer_types", "[\"full_attention\"]", INK_ERROR_MISMATCH, "layer_types has 1 elements"},
    {"modernbert", "pad_token_id", "66", INK_ERROR_MISMATCH, "pad_token_id"},
    {"modernbert_answer", "rope_parameters", "{\"global\": {}}", INK_ERROR_UNSUPPORTED, "rope_parameters.global: only"},
    {"modernbert", "intermediate_size", "27", INK_ERROR_MISMATCH, "'layers.0.mlp.Wi.weight' is [56, 20], config.json"},
    {"modernbert", "num_attention_heads", "4", INK_ERROR_MISMATCH, "head_dim"},
    {"modernbert_text", "classifier_activation", "\"glu\"", INK_ERROR_UNSUPPORTED, "activation 'glu' is not supported"},
    {"roberta_text", "problem_type", "\"ranking\"", INK_ERROR_UNSUPPORTED,
     "problem_type is 'ranking', expected 'single_label_classification'"},
};

static void wrong_settings_are_refused(void **unused)
{
    (void)unused;
    settings_are_refused(settings, sizeof settings / sizeof settings[0]);
}

/* What config.json may leave out, or say in another way. */
static void settings_may_be_left_out_or_said_in_another_way(ink_context *ctx)
{
    static const setting accepted[] = {
        {"bert", "layer_norm_eps", NULL, INK_OK, NULL},
        {"bert", "layer_norm_eps", "0", INK_OK, NULL},
        {"distilbert", "hidden_size", "20", INK_OK, NULL},
        {"bert", "position_embedding_type", "\"absolute\"", INK_OK, NULL},
        {"bert", "hidden_act", NULL, INK_OK, NULL},
        {"bert", "architectures", "null", INK_OK, NULL},
        {"bert", "architectures", "[]", INK_OK, NULL},
        {"bert", "architectures", "[\"RobertaModel\"]", INK_OK, NULL},
        {"xlm_roberta_text", "architectures", "[\"RobertaForSequenceClassification\"]", INK_OK, NULL},
        {"xlm_roberta_text", "model_type", "\"roberta\"", INK_OK, NULL},
        {"roberta_tokens", "model_type", "\"camembert\"", INK_OK, NULL},
        {"bert_answer", "architectures", "\"DistilBertForQuestionAnswering\"", INK_OK, NULL},
        {"bert_answer", "id2label", "{\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}", INK_OK, NULL},
        {"bert", "pad_token_id", "null", INK_OK, NULL},
        {"roberta", "pad_token_id", "null", INK_OK, NULL},
        {"roberta_text", "problem_type", "null", INK_OK, NULL},
        {"roberta_text", "id2label", "null", INK_OK, NULL},
        {"distilbert", "sinusoidal_pos_embds", "true", INK_OK, NULL},
        {"bert_fill", "tie_word_embeddings", NULL, INK_OK, NULL},
    };
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        ink_model *model;
        assert_ok(ctx, setting_open(ctx, &accepted[i], &model));
        ink_model_free(model);
    }
}

/* sliding_window of ModernBERT is half of local_attention, which is 7 here, and wins. */
static void a_window_has_two_names(ink_context *ctx)
{
    static const setting cases[] = {{"modernbert", "local_attention", "3", INK_OK, NULL},
                                    {"modernbert", "sliding_window", "1", INK_OK, NULL},
                                    {"modernbert", "sliding_window", "3", INK_OK, NULL},
                                    {"modernbert", "use_cache", "true", INK_OK, NULL}};
    static const ink_token tokens[] = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    float rows[4][12 * 64] = {{0}};
    for (size_t i = 0; i < 4; i++) {
        ink_model *model;
        assert_ok(ctx, setting_open(ctx, &cases[i], &model));
        assert_true(ink_model_encoding_size(model, INK_HIDDEN_STATES) <= 64);
        const ink_text text = {.tokens = tokens, .n_tokens = 12, .output = rows[i]};
        assert_ok(ctx, ink_model_encode(ctx, model, INK_HIDDEN_STATES, &text, 1));
        ink_model_free(model);
    }
    assert_memory_equal(rows[0], rows[1], sizeof rows[0]);
    assert_memory_equal(rows[2], rows[3], sizeof rows[2]);
    assert_memory_not_equal(rows[1], rows[2], sizeof rows[1]);
}

/* Labels that are no strings are shown as Python shows them. */
static void labels_may_be_plain_values(ink_context *ctx)
{
    static const struct {
        const char *map, *labels[2];
    } cases[] = {
        {"{\"0\": 0, \"1\": 1}", {"0", "1"}},
        {"{\"1\": -7, \"0\": 0.5}", {"0.5", "-7"}},
        {"{\"0\": false, \"1\": true}", {"False", "True"}},
        {"{\"0\": \"no\", \"1\": null}", {"no", "None"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const setting s = {"roberta_text", "id2label", cases[i].map, INK_OK, NULL};
        ink_model *model;
        assert_ok(ctx, setting_open(ctx, &s, &model));
        for (size_t j = 0; j < 2; j++)
            assert_string_equal(ink_model_get_encoder(model)->labels[j], cases[i].labels[j]);
        ink_model_free(model);
    }
}

/* ---- tensors -------------------------------------------------------------------------------------------------- */

/* The last letter of one name becomes another: that tensor is missing, wherever it stands. */
static void missing_tensors_are_named(ink_context *ctx, counting *memory)
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
        {"distilbert_answer", "qa_outputs.weight"},
        {"mpnet", "encoder.relative_attention_bias.weight"},
        {"mpnet", "encoder.layer.1.attention.attn.q.bias"},
        {"modernbert", "layers.1.attn_norm.weight"},
        {"modernbert", "final_norm.weight"},
        {"modernbert_text", "head.dense.weight"},
        {"modernbert_answer", "classifier.bias"},
        {"roberta_answer", "qa_outputs.bias"},
    };
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        fixture_files files;
        fixture_files_read(&files, missing[i][0]);
        fixture_files_tensor(&files, "model.safetensors", missing[i][1])[strlen(missing[i][1])] = '_';
        refuse_folder(ctx, memory, missing[i][1], &files.list, INK_ERROR_NOT_FOUND, NULL);
        assert_true(strstr(ink_context_error(ctx), "missing") != NULL ||
                    strstr(ink_context_error(ctx), "there is no tensor") != NULL);
        fixture_files_free(&files);
    }
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

static const char sentence_folder[] = FIXTURES "/encoders/sentence_dense";

/* The folder of the sentence encoder in memory. */
typedef struct sentence {
    char *bytes[N_SENTENCE_FILES];
    ink_memory_file files[MAX_FILES];
    size_t n;
} sentence;

/* All its files but the one named `without`. */
static void sentence_read(sentence *s, const char *without)
{
    size_t size;
    s->n = 0;
    for (size_t i = 0; i < N_SENTENCE_FILES; i++) {
        s->bytes[i] = test_read_file(sentence_folder, sentence_files[i], &size);
        assert_non_null(s->bytes[i]);
        if (strcmp(sentence_files[i], without) != 0)
            s->files[s->n++] = (ink_memory_file){sentence_files[i], s->bytes[i], size};
    }
}

/* A further file; not if `content` is NULL. */
static void sentence_add(sentence *s, const char *file, const char *content)
{
    if (content != NULL)
        s->files[s->n++] = (ink_memory_file){file, content, strlen(content)};
}

static void sentence_free(sentence *s)
{
    for (size_t i = 0; i < N_SENTENCE_FILES; i++)
        free(s->bytes[i]);
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
    {"modules.json", "[" MODULE("Transformer", "") ", " MODULE("Pooling", "") "]", INK_ERROR_MISMATCH,
     "path '' is not the plain name of a folder"},
    {"modules.json", "[" BEGINNING ", " MODULE("Dense", "") "]", INK_ERROR_MISMATCH, "path '' is not"},
    {"modules.json", "[" MODULE("Transformer", "") ", " MODULE("Pooling", "nowhere") "]", INK_ERROR_NOT_FOUND,
     "nowhere/config.json"},
    {"modules.json", "[" BEGINNING ", " MODULE("LayerNorm", "2_Dense") "]", INK_ERROR_UNSUPPORTED,
     "a module 'LayerNorm' after the pooling: only Dense and Normalize are supported"},
    {"modules.json", "[" BEGINNING ", " MODULE("Dense", "nowhere") "]", INK_ERROR_NOT_FOUND, "nowhere/config.json"},
    {"modules.json", "[" BEGINNING ", " MODULE("Dense", "3_Dense") "]", INK_ERROR_MISMATCH,
     "in_features is 33, but the vector before it has 120"},
    {"sentence_bert_config.json", "{\"transformer_task\": \"fill-mask\"}", INK_ERROR_UNSUPPORTED,
     "transformer_task is 'fill-mask', but only 'feature-extraction' is supported"},
    {"sentence_bert_config.json", "{\"max_seq_length\": 0}", INK_ERROR_MISMATCH, "max_seq_length: expected"},
    {"sentence_bert_config.json", "{\"do_lower_case\": 1}", INK_ERROR_MISMATCH, "do_lower_case: expected"},
    {"config_sentence_transformers.json", "{\"default_prompt_name\": \"a\", \"prompts\": {\"b\": \"x\"}}",
     INK_ERROR_MISMATCH, "default_prompt_name is 'a', but prompts has no such prompt"},
    {"config_sentence_transformers.json", "{\"default_prompt_name\": \"\"}", INK_ERROR_MISMATCH,
     "default_prompt_name is '', but prompts has no such prompt"},
    {"sentence_bert_config.json", "{\"transformer_task\": \"sequence-classification\"}", INK_ERROR_UNSUPPORTED,
     "modules after the Transformer of a classifier"},
    {"config_sentence_transformers.json", "{\"default_prompt_name\": \"a\", \"prompts\": 3}", INK_ERROR_MISMATCH,
     "prompts: expected an object"},
    {"1_Pooling/config.json", "{\"embedding_dimension\": 21}", INK_ERROR_MISMATCH,
     "embedding_dimension is 21, but the rows of the model have 20"},
    {"1_Pooling/config.json", "{\"pooling_mode\": \"attention\"}", INK_ERROR_UNSUPPORTED,
     "pooling_mode 'attention' is not supported, only cls, max"},
    {"1_Pooling/config.json", "{\"pooling_mode\": [\"cls\", 3]}", INK_ERROR_MISMATCH,
     "pooling_mode[1]: expected a string"},
    {"1_Pooling/config.json", "{\"pooling_mode\": [\"cls\",\"cls\",\"cls\",\"cls\",\"cls\",\"cls\",\"cls\"]}",
     INK_ERROR_UNSUPPORTED, "more than 6 modes"},
    {"1_Pooling/config.json", "{\"pooling_mode_attention\": true}", INK_ERROR_UNSUPPORTED, "pooling_mode_attention"},
    {"1_Pooling/config.json", "{\"include_prompt\": false}", INK_ERROR_UNSUPPORTED, "include_prompt is false"},
    {"1_Pooling/config.json", NULL, INK_ERROR_NOT_FOUND, "1_Pooling/config.json"},
    {"2_Dense/config.json", "{\"in_features\": 120}", INK_ERROR_MISMATCH, "'out_features' is missing"},
    {"2_Dense/config.json", "{\"out_features\": 33, \"activation_function\": \"torch.nn.Softsign\"}",
     INK_ERROR_UNSUPPORTED, "activation_function: activation 'torch.nn.Softsign' is not supported"},
    {"2_Dense/config.json", "{\"out_features\": 33, \"use_residual\": true}", INK_ERROR_UNSUPPORTED, "use_residual"},
    {"2_Dense/config.json", "{\"out_features\": 33, \"bias\": false}", INK_ERROR_MISMATCH,
     "there are 2 tensors, expected linear.weight alone"},
    {"3_Dense/config.json", "{\"out_features\": 18}", INK_ERROR_MISMATCH, "expected linear.weight and linear.bias"},
    {"2_Dense/config.json", "{\"out_features\": 34}", INK_ERROR_MISMATCH, "'linear.weight' is [33, 120]"},
    {"2_Dense/config.json", "{\"out_features\": 33, \"module_input_name\": \"token_embeddings\"}",
     INK_ERROR_UNSUPPORTED, "module_input_name is 'token_embeddings', but only 'sentence_embedding' is supported"},
    {"2_Dense/model.safetensors", NULL, INK_ERROR_NOT_FOUND, "2_Dense/model.safetensors"},
    {"2_Dense/model.safetensors", "{}", INK_ERROR_CORRUPT, "2_Dense/model.safetensors"},
    {"4_Normalize/config.json", "{\"module_output_name\": \"token_embeddings\"}", INK_ERROR_UNSUPPORTED,
     "module_output_name is 'token_embeddings'"},
};

static void wrong_modules_are_refused(ink_context *ctx, counting *memory)
{
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        sentence s;
        sentence_read(&s, modules[i].file);
        assert_int_equal(s.n, N_SENTENCE_FILES - 1);
        sentence_add(&s, modules[i].file, modules[i].content);
        const ink_memory_files list = {s.files, s.n};
        refuse_folder(ctx, memory, modules[i].file, &list, modules[i].result, modules[i].words);
        sentence_free(&s);
    }
}

/* Folders of old versions: weights as pickles, the model in a folder of its own. The sentence says what to do. */
static void old_sentence_folders_are_explained(ink_context *ctx, counting *memory)
{
    static const struct {
        const char *without, *file, *content, *words;
    } cases[] = {
        {"2_Dense/model.safetensors", "2_Dense/pytorch_model.bin", "PK\3\4",
         "has no 2_Dense/model.safetensors but 2_Dense/pytorch_model.bin: convert it in Python: import torch, "
         "safetensors.torch as s; d = torch.load('2_Dense/pytorch_model.bin'"},
        {"2_Dense/model.safetensors", "2_Dense/pytorch_model.bin", "version https://git-lfs", "a git-lfs pointer"},
        {"config.json", "0_Transformer/config.json", "{}", "move what is in '0_Transformer' into the folder itself"},
        {"config.json", "0_BERT/config.json", "{}", "move what is in '0_BERT' into the folder itself"},
        {"modules.json", "modules.json",
         "[" MODULE("Transformer", "0_Transformer") ", " MODULE("Pooling", "1_Pooling") "]",
         "then a Pooling; move what is in '0_Transformer' into the folder itself"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sentence s;
        sentence_read(&s, cases[i].without);
        sentence_add(&s, cases[i].file, cases[i].content);
        for (size_t root = 0; root < 2; root++) { /* a config.json of the root may tell only a version */
            const ink_memory_files list = {s.files, s.n};
            refuse_folder(ctx, memory, cases[i].file, &list, INK_ERROR_UNSUPPORTED, cases[i].words);
            if (strcmp(cases[i].without, "config.json") == 0 && root == 0)
                sentence_add(&s, "config.json", "{\"__version__\": \"0.2.0\"}");
        }
        sentence_free(&s);
    }
}

/* ---- static embeddings ---------------------------------------------------------------------------------------- */

static const char static_modules[] = "[" MODULE("StaticEmbedding", "") "]";
static const char model2vec_config[] = "{\"model_type\": \"model2vec\", \"normalize\": true}";

/* A table of 6 rows of 4, under `table`, and perhaps two vectors beside it. */
static const struct {
    const char *file, *content; /* config.json or modules.json */
    const char *table;
    ink_type table_type;
    size_t table_rank;
    ink_type mapping_type; /* INK_TYPE_NONE: there is none */
    size_t n_mapping;
    int64_t mapping;  /* its last element; the others are 5 */
    size_t n_weights; /* 0: there are none */
    ink_result result;
    const char *words;
} statics[] = {
    {"modules.json", static_modules, "embedding.weight", INK_F32, 2, INK_TYPE_NONE, 0, 0, 0, INK_OK, NULL},
    {"modules.json", static_modules, "embeddings", INK_F16, 2, INK_I64, 9, 0, 9, INK_OK, NULL},
    {"config.json", model2vec_config, "embeddings", INK_F64, 2, INK_I64, 3, 5, 0, INK_OK, NULL},
    {"config.json", model2vec_config, "embedding.weight", INK_BF16, 2, INK_TYPE_NONE, 0, 0, 6, INK_OK, NULL},
    {"config.json", model2vec_config, "table", INK_F32, 2, INK_TYPE_NONE, 0, 0, 0, INK_ERROR_NOT_FOUND,
     "tensor 'embedding.weight' is missing"},
    {"config.json", model2vec_config, "embeddings", INK_F32, 1, INK_TYPE_NONE, 0, 0, 0, INK_ERROR_MISMATCH,
     "tensor 'embeddings' is [24], expected a matrix"},
    {"config.json", model2vec_config, "embeddings", INK_I64, 2, INK_TYPE_NONE, 0, 0, 0, INK_ERROR_UNSUPPORTED,
     "tensor 'embeddings' is of type I64, expected F32, BF16, F16, F64 or a quantised type of GGUF"},
    {"config.json", model2vec_config, "embeddings", INK_F32, 2, INK_I64, 9, 6, 0, INK_ERROR_MISMATCH,
     "tensor 'mapping': element 8 is 6, expected 0 to 5"},
    {"config.json", model2vec_config, "embeddings", INK_F32, 2, INK_I64, 9, -1, 0, INK_ERROR_MISMATCH,
     "tensor 'mapping': element 8 is -1, expected 0 to 5"},
    {"config.json", model2vec_config, "embeddings", INK_F32, 2, INK_I64, 9, INT64_MIN, 0, INK_ERROR_MISMATCH,
     "tensor 'mapping': element 8 is -9223372036854775808"},
    {"config.json", model2vec_config, "embeddings", INK_F32, 2, INK_I64, 9, (int64_t)1 << 32, 0, INK_ERROR_MISMATCH,
     "tensor 'mapping': element 8 is 4294967296"},
    {"config.json", model2vec_config, "embeddings", INK_F32, 2, INK_F64, 9, 0, 0, INK_ERROR_MISMATCH,
     "tensor 'mapping' is [9] of type F64, expected a vector of I64"},
    {"config.json", model2vec_config, "embeddings", INK_F32, 2, INK_I64, 9, 0, 6, INK_ERROR_MISMATCH,
     "tensor 'weights' is [6]"},
    {"config.json", model2vec_config, "embeddings", INK_F32, 2, INK_TYPE_NONE, 0, 0, 5, INK_ERROR_MISMATCH,
     "tensor 'weights' is [5]"},
    {"config.json", "{\"model_type\": \"model2vec\", \"normalize\": 3}", "embeddings", INK_F32, 2, INK_TYPE_NONE, 0, 0,
     0, INK_ERROR_MISMATCH, "normalize: expected"},
    {"modules.json", "[" MODULE("StaticEmbedding", "../x") "]", "embedding.weight", INK_F32, 2, INK_TYPE_NONE, 0, 0, 0,
     INK_ERROR_MISMATCH, "\"modules.json\": path '../x' is not the plain name of a folder"},
    {"modules.json", "[" MODULE("StaticEmbedding", "a/b") "]", "embedding.weight", INK_F32, 2, INK_TYPE_NONE, 0, 0, 0,
     INK_ERROR_MISMATCH, "\"modules.json\": path 'a/b' is not the plain name of a folder"},
    {"modules.json", "[" MODULE("StaticEmbedding", "0_StaticEmbedding") "]", "embedding.weight", INK_F32, 2,
     INK_TYPE_NONE, 0, 0, 0, INK_ERROR_MISMATCH, "is '0_StaticEmbedding', but there is model.safetensors"},
    {"modules.json", "[" MODULE("StaticEmbedding", "") ", " MODULE("Pooling", "1_Pooling") "]", "embedding.weight",
     INK_F32, 2, INK_TYPE_NONE, 0, 0, 0, INK_ERROR_UNSUPPORTED, "a module 'Pooling' after the pooling"},
};

static void static_embeddings_are_checked(ink_context *ctx, counting *memory)
{
    for (size_t i = 0; i < sizeof statics / sizeof statics[0]; i++) {
        state_dict dict = {0};
        const double ones[24] = {0};
        int64_t mapping[9] = {5, 5, 5, 5, 5, 5, 5, 5, 5};
        const size_t two[2] = {6, 4}, one[1] = {24};
        if (statics[i].n_mapping != 0)
            mapping[statics[i].n_mapping - 1] = statics[i].mapping;
        state_dict_add(&dict, statics[i].table, statics[i].table_type, statics[i].table_rank,
                       statics[i].table_rank == 2 ? two : one, ones);
        if (statics[i].n_mapping != 0)
            state_dict_add(&dict, "mapping", statics[i].mapping_type, 1, &statics[i].n_mapping, mapping);
        if (statics[i].n_weights != 0)
            state_dict_vector(&dict, "weights", statics[i].n_weights);
        state_dict_write(&dict);
        const ink_memory_file files[] = {dict.entry, {statics[i].file, statics[i].content, strlen(statics[i].content)}};
        const ink_memory_files list = {files, 2};
        if (statics[i].result == INK_OK) {
            ink_model *model;
            const ink_token tokens[] = {0, 1, 2};
            float out[4];
            const ink_text text = {.tokens = tokens, .n_tokens = 3, .output = out};
            assert_ok(ctx, fixture_open_files(ctx, "static", &list, &model));
            assert_int_equal(ink_model_get_info(model)->vocab_size, statics[i].n_mapping ? statics[i].n_mapping : 6);
            assert_ok(ctx, ink_model_encode(ctx, model, INK_EMBEDDING, &text, 1));
            ink_model_free(model);
        } else {
            refuse_folder(ctx, memory, statics[i].words, &list, statics[i].result, statics[i].words);
        }
        state_dict_free(&dict);
    }
}

/* How many ids a text may have, by up to two files beside the model and its modules: 24 positions there are. */
static void files_say_how_long_a_text_may_be(ink_context *ctx)
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
        {"tokenizer_config.json", "{\"model_max_length\": -5}", NULL, NULL, 24},
        {"tokenizer_config.json", "{\"model_max_length\": 5.5}", NULL, NULL, 24},
        {"tokenizer_config.json", "{\"model_max_length\": null}", NULL, NULL, 24},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sentence s;
        ink_model *model;
        sentence_read(&s, "sentence_bert_config.json");
        sentence_add(&s, cases[i].file, cases[i].content);
        sentence_add(&s, cases[i].other, cases[i].other_content);
        const ink_memory_files list = {s.files, s.n};
        assert_ok(ctx, fixture_open_files(ctx, NULL, &list, &model));
        assert_int_equal(ink_model_get_encoder(model)->max_tokens, cases[i].max_tokens);
        bool noted = strstr(cases[i].content, "-5") != NULL || strstr(cases[i].content, "5.5") != NULL;
        assert_int_equal(ink_model_get_info(model)->n_notes, noted);
        if (noted)
            assert_non_null(strstr(ink_model_note(model, 0), "tokenizer_config.json: model_max_length is "));
        ink_model_free(model);
        sentence_free(&s);
    }
}

/* truncate_dim of config_sentence_transformers.json leaves the first columns of an embedding. */
static void embeddings_are_cut(ink_context *ctx)
{
    static const struct {
        const char *settings;
        size_t size;
    } cases[] = {
        {"{}", 0}, {"{\"truncate_dim\": null}", 0}, {"{\"truncate_dim\": 900}", 0}, {"{\"truncate_dim\": 5}", 5}};
    static const ink_token tokens[] = {2, 5, 6, 3};
    float rows[2][2 * 64] = {{0}}, (*whole)[2 * 64] = &rows[0];
    size_t size = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sentence s;
        ink_model *model;
        sentence_read(&s, "config_sentence_transformers.json");
        sentence_add(&s, "config_sentence_transformers.json", cases[i].settings);
        const ink_memory_files list = {s.files, s.n};
        assert_ok(ctx, fixture_open_files(ctx, NULL, &list, &model));
        size_t own = ink_model_get_encoder(model)->embedding_size;
        size = i == 0 ? own : size;
        assert_true(size > 5 && size <= 64);
        assert_int_equal(own, cases[i].size != 0 ? cases[i].size : size);
        float *row = rows[i != 0];
        const ink_text texts[] = {{.tokens = tokens, .n_tokens = 4, .output = row},
                                  {.tokens = tokens, .n_tokens = 3, .output = row + own}};
        assert_ok(ctx, ink_model_encode(ctx, model, INK_EMBEDDING, texts, 2));
        for (size_t k = 0; k < 2; k++)
            assert_memory_equal(row + k * own, *whole + k * size, own * sizeof *row);
        ink_model_free(model);
        sentence_free(&s);
    }
}

/* The probabilities of a CrossEncoder as older versions wrote it. */
static void old_cross_encoders_have_an_activation(ink_context *ctx)
{
    static const struct {
        setting setting;
        ink_problem problem;
    } cases[] = {
        {{"bert_score", "sentence_transformers", "{\"activation_fn\": \"torch.nn.modules.activation.Sigmoid\"}", INK_OK,
          NULL},
         INK_MULTI_LABEL},
        {{"bert_score", "sentence_transformers", "{\"activation_fn\": \"torch.nn.modules.linear.Identity\"}", INK_OK,
          NULL},
         INK_REGRESSION},
        {{"bert_score", "sentence_transformers", "{\"version\": \"5.0\"}", INK_OK, NULL}, INK_MULTI_LABEL},
        {{"bert_multi", "sentence_transformers", "{\"version\": \"5.0\"}", INK_OK, NULL}, INK_REGRESSION},
        {{"bert_score", "problem_type", "\"regression\"", INK_OK, NULL}, INK_REGRESSION},
        {{"bert_score", "problem_type", "null", INK_OK, NULL}, INK_MULTI_LABEL},
        {{"bert_multi", "sbert_ce_default_activation_function", "\"torch.nn.modules.linear.Identity\"", INK_OK, NULL},
         INK_REGRESSION},
        {{"llama_text", "sentence_transformers", "{\"activation_fn\": \"torch.nn.modules.linear.Identity\"}", INK_OK,
          NULL},
         INK_REGRESSION},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_model *model;
        assert_ok(ctx, setting_open(ctx, &cases[i].setting, &model));
        assert_int_equal(ink_model_get_encoder(model)->problem, cases[i].problem);
        ink_model_free(model);
    }
}

/* config.json and weights of a CrossEncoder with these settings beside them. */
static void cross_encoders_have_an_activation(ink_context *ctx)
{
    static const struct {
        const char *settings;
        ink_result result;
        ink_problem problem;
        const char *words;
    } cases[] = {
        {"{\"model_type\": \"CrossEncoder\", \"activation_fn\": \"torch.nn.modules.linear.Identity\"}", INK_OK,
         INK_REGRESSION, NULL},
        {"{\"model_type\": \"CrossEncoder\", \"activation_fn\": \"torch.nn.modules.activation.Sigmoid\"}", INK_OK,
         INK_MULTI_LABEL, NULL},
        {"{\"model_type\": \"CrossEncoder\"}", INK_OK, INK_REGRESSION, NULL}, /* the default for three labels */
        {"{\"model_type\": \"SentenceTransformer\", \"activation_fn\": 3}", INK_OK, INK_SINGLE_LABEL, NULL},
        {"{\"model_type\": \"CrossEncoder\", \"activation_fn\": \"torch.nn.modules.activation.Tanh\"}",
         INK_ERROR_UNSUPPORTED, 0, "activation_fn: 'torch.nn.modules.activation.Tanh' is not supported, only Identity"},
        {"{\"model_type\": \"CrossEncoder\", \"activation_fn\": 3}", INK_ERROR_MISMATCH, 0, "activation_fn: expected"},
        {"{\"model_type\": \"CrossEncoder\", \"default_prompt_name\": \"query\"}", INK_ERROR_UNSUPPORTED, 0,
         "a CrossEncoder with a prompt"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static const char *const names[] = {"config.json", "model.safetensors", "modules.json",
                                            "sentence_bert_config.json"};
        char *bytes[4];
        ink_memory_file files[5];
        ink_model *model;
        for (size_t j = 0; j < 4; j++) {
            size_t size;
            bytes[j] = test_read_file(FIXTURES "/encoders/cross", names[j], &size);
            files[j] = (ink_memory_file){names[j], bytes[j], size};
        }
        files[4] = (ink_memory_file){"config_sentence_transformers.json", cases[i].settings, strlen(cases[i].settings)};
        ink_result result = fixture_open_files(ctx, NULL, &(ink_memory_files){files, 5}, &model);
        if (cases[i].result == INK_OK) {
            assert_ok(ctx, result);
            assert_int_equal(ink_model_get_encoder(model)->problem, cases[i].problem);
        } else {
            assert_fails(ctx, result, cases[i].result, cases[i].words);
        }
        ink_model_free(model);
        for (size_t j = 0; j < 4; j++)
            free(bytes[j]);
    }
}

/* Every allocation failing, from the first that can on: a clean error, and nothing left behind. */
static void opening_survives_memory_that_runs_out(ink_context *ctx, counting *memory)
{
    ink_model *model;
    size_t k = 1;
    for (; runs_out_of_memory(ctx, memory, k, ink_model_open(ctx, sentence_folder, NULL, &model), NULL); k++)
        assert_null(model);
    assert_true(k > 3);
    ink_model_free(model);
}

/* 200,000 members that nobody asks for, in each file of settings: work that grows with their square takes minutes, and
   ctest ends the test. */
static void many_settings_cost_no_more_than_their_number(ink_context *ctx)
{
    enum { MEMBERS = 200000, ROOM = MEMBERS * 32 };
    for (size_t i = 0; i < N_SENTENCE_FILES; i++) {
        sentence s;
        ink_model *model = NULL;
        sentence_read(&s, "");
        if (strcmp(sentence_files[i], "1_Pooling/config.json") == 0) { /* the old spelling has a member for each mode */
            static const char flags[] =
                "{\"pooling_mode_cls_token\": true, \"pooling_mode_max_tokens\": true,"
                "\"pooling_mode_mean_tokens\": true, \"pooling_mode_mean_sqrt_len_tokens\": true,"
                "\"pooling_mode_weightedmean_tokens\": true, \"pooling_mode_lasttoken\": true}";
            s.bytes[i] = realloc(s.bytes[i], sizeof flags);
            assert_non_null(s.bytes[i]);
            memcpy(s.bytes[i], flags, sizeof flags);
        }
        const char *end = strrchr(s.bytes[i], '}');
        if (s.bytes[i][0] == '{' && end != NULL) {
            size_t size = (size_t)(end - s.bytes[i]);
            char *many = malloc(size + ROOM), *to = many + size;
            bool empty = strchr(s.bytes[i], ':') == NULL;
            assert_non_null(many);
            memcpy(many, s.bytes[i], size);
            for (int k = 0; k < MEMBERS; k++)
                to += sprintf(to, "%s\"pooling_mode_%d\":false", k == 0 && empty ? "" : ",", k);
            *to++ = '}';
            s.files[i] = (ink_memory_file){sentence_files[i], many, (size_t)(to - many)};
            ink_memory_files files = {s.files, s.n};
            ink_source source = ink_source_memory(&files);
            assert_ok(ctx, ink_model_open(ctx, NULL, &(ink_model_options){.source = &source}, &model));
            ink_model_free(model);
            free(many);
        }
        sentence_free(&s);
    }
}

static void impossible_options_are_refused(ink_context *ctx)
{
    ink_model *model = (ink_model *)(uintptr_t)1;
    ink_model_options options = {.pooling = INK_N_POOLINGS};
    assert_fails(ctx, ink_model_open(ctx, FIXTURES "/encoders/bert", &options, &model), INK_ERROR_ARGUMENT,
                 "there is no pooling 7");
    assert_null(model);
    options = (ink_model_options){.max_bytes = 10000};
    assert_fails(ctx, ink_model_open(ctx, FIXTURES "/encoders/bert", &options, &model), INK_ERROR_LIMIT, "the limit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_settings_are_refused),
        context_test(settings_may_be_left_out_or_said_in_another_way),
        context_test(a_window_has_two_names),
        context_test(labels_may_be_plain_values),
        counted_test(missing_tensors_are_named),
        counted_test(wrong_modules_are_refused),
        counted_test(static_embeddings_are_checked),
        context_test(files_say_how_long_a_text_may_be),
        context_test(embeddings_are_cut),
        context_test(cross_encoders_have_an_activation),
        context_test(old_cross_encoders_have_an_activation),
        counted_test(opening_survives_memory_that_runs_out),
        counted_test(old_sentence_folders_are_explained),
        context_test(many_settings_cost_no_more_than_their_number),
        context_test(impossible_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
