/*
 * encoders.c - opening the encoders that tests run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoders.h"

#define PATH_SIZE 1024

const char *const encoder_names[] = {
    "bert",
    "bert_old",
    "bert_fill",
    "bert_fill_untied",
    "bert_text",
    "bert_multi",
    "bert_score",
    "bert_tokens",
    "distilbert",
    "distilbert_fill",
    "distilbert_text",
    "distilbert_tokens",
    "roberta",
    "roberta_fill",
    "roberta_text",
    "roberta_tokens",
    "sentence",
    "sentence_dense",
    "sentence_flags",
    "gpt2_text",
    "gpt2_tokens",
    "llama_text",
    "llama_tokens",
    "mistral_text",
    "qwen2_tokens",
    "qwen3_text",
    "cross",
    "cross_score",
    "sentence_qwen3",
    "sentence_gemma3",
    "gemma3_text",
    "smollm3_tokens",
    "bert_answer",
    "distilbert_answer",
    "roberta_answer",
    "xlm_roberta",
    "xlm_roberta_fill",
    "xlm_roberta_text",
    "xlm_roberta_tokens",
    "xlm_roberta_answer",
    "camembert",
    "camembert_fill",
    "camembert_text",
    "camembert_tokens",
    "camembert_answer",
    "static",
    "static_folder",
    "model2vec",
    "model2vec_quantized",
    "mpnet",
    "mpnet_fill",
    "mpnet_text",
    "mpnet_tokens",
    "mpnet_answer",
    "modernbert",
    "modernbert_fill",
    "modernbert_fill_untied",
    "modernbert_text",
    "modernbert_mean",
    "modernbert_tokens",
    "modernbert_answer",
    "sentence_mpnet",
    "sentence_modernbert",
    NULL,
};

static void read_texts(encoder_fixture *f)
{
    float *lengths = test_tensor(f->ctx, f->reference, "lengths", &f->n_texts);
    float *tokens = test_tensor(f->ctx, f->reference, "tokens", &f->n_rows);
    float *types = test_tensor(f->ctx, f->reference, "types", NULL);
    f->texts = calloc(f->n_texts, sizeof *f->texts);
    f->ids = malloc(2 * f->n_rows * sizeof *f->ids);
    assert_non_null(f->texts);
    assert_non_null(f->ids);
    for (size_t i = 0; i < f->n_rows; i++) {
        f->ids[i] = (ink_token)tokens[i];
        f->ids[f->n_rows + i] = (ink_token)types[i];
    }
    for (size_t i = 0, first = 0; i < f->n_texts; first += f->texts[i++].n_tokens)
        f->texts[i] =
            (ink_text){.tokens = f->ids + first, .n_tokens = (size_t)lengths[i], .types = f->ids + f->n_rows + first};
    free(lengths);
    free(tokens);
    free(types);
}

static void open_files(encoder_fixture *f, const char *name, const char *folder, const char *reference,
                       ink_pooling pooling)
{
    const ink_model_options options = {.pooling = pooling};
    memset(f, 0, sizeof *f);
    f->name = name;
    f->ctx = test_context(1);
    assert_ok(f->ctx, ink_model_open(f->ctx, folder, &options, &f->model));
    f->info = ink_model_get_info(f->model);
    f->encoder = ink_model_get_encoder(f->model);
    assert_non_null(f->encoder);
    assert_ok(f->ctx, ink_weights_open(f->ctx, reference, &f->reference));
    read_texts(f);
}

void encoder_open(encoder_fixture *f, const char *name, ink_pooling pooling)
{
    char folder[PATH_SIZE], reference[PATH_SIZE];
    snprintf(folder, sizeof folder, FIXTURES "/encoders/%s", name);
    snprintf(reference, sizeof reference, FIXTURES "/encoders/%s/reference.safetensors", name);
    open_files(f, name, folder, reference, pooling);
}

void encoder_open_bundled(encoder_fixture *f, const char *name)
{
    char folder[PATH_SIZE], reference[PATH_SIZE];
    snprintf(folder, sizeof folder, MODELS "/%s", name);
    snprintf(reference, sizeof reference, FIXTURES "/bundled/%s.safetensors", name);
    open_files(f, name, folder, reference, INK_POOLING_NONE);
}

void encoder_close(encoder_fixture *f)
{
    free(f->texts);
    free(f->ids);
    ink_weights_free(f->reference);
    ink_model_free(f->model);
    ink_context_free(f->ctx);
}

void encoder_test_run(void **state)
{
    const encoder_check *test = *state;
    for (size_t i = 0; encoder_names[i] != NULL; i++) {
        encoder_fixture f;
        encoder_open(&f, encoder_names[i], INK_POOLING_NONE);
        test->check(&f);
        encoder_close(&f);
    }
}

size_t encoder_output_size(const encoder_fixture *f, ink_encoding encoding, const ink_text *text)
{
    bool of_text = encoding == INK_POOLED || encoding == INK_EMBEDDING ||
                   (encoding != INK_HIDDEN_STATES && f->encoder->task == INK_TASK_CLASSIFY_TEXT);
    size_t rows = of_text ? 1 : text->positions != NULL ? text->n_positions : text->n_tokens;
    return rows * ink_model_encoding_size(f->model, encoding);
}

float *encoder_run(ink_context *ctx, const encoder_fixture *f, ink_encoding encoding, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < f->n_texts; i++)
        *n += encoder_output_size(f, encoding, &f->texts[i]);
    float *out = test_floats(*n);
    for (size_t i = 0, first = 0; i < f->n_texts; i++) {
        f->texts[i].output = out + first;
        first += encoder_output_size(f, encoding, &f->texts[i]);
    }
    assert_ok(ctx, ink_model_encode(ctx, f->model, encoding, f->texts, f->n_texts));
    return out;
}
