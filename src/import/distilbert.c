/*
 * distilbert.c - DistilBERT (Sanh et al. 2019): BERT without token types and without a pooler, and with fewer layers.
 */
#include "../models/encoder.h"

static const ink_head_names heads[] = {
    {.architectures = {"DistilBertModel"}},
    {.architectures = {"DistilBertForMaskedLM"},
     .task = INK_TASK_FILL,
     .transform = "vocab_transform",
     .activation = INK_ACTIVATION_OF_MODEL,
     .norm = "vocab_layer_norm",
     .out = "vocab_projector"},
    {.architectures = {"DistilBertForSequenceClassification"},
     .task = INK_TASK_CLASSIFY_TEXT,
     .transform = "pre_classifier",
     .activation = INK_RELU,
     .out = "classifier"},
    {.architectures = {"DistilBertForTokenClassification"}, .task = INK_TASK_CLASSIFY_TOKENS, .out = "classifier"},
};

static const ink_body_names names = {
    .hidden_size = "dim",
    .n_layers = "n_layers",
    .n_heads = "n_heads",
    .inner_size = "hidden_dim",
    .activation = "activation",
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .norm = "embeddings.LayerNorm",
    .block = "transformer.layer.%zu.",
    .query = "attention.q_lin",
    .key = "attention.k_lin",
    .value = "attention.v_lin",
    .out = "attention.out_lin",
    .norm_1 = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .norm_2 = "output_layer_norm",
};

static const ink_encoder_page page = {
    .names = &names,
    .prefix = "distilbert",
    .default_layers = 6,
    .default_vocab_size = 30522,
    .heads = heads,
    .n_heads = sizeof heads / sizeof heads[0],
};

static ink_result read(ink_loader *loader, ink_config *config, ink_model *model)
{
    return ink_encoder_read(loader, config, &page, model);
}

const ink_model_kind ink_kind_distilbert = {.name = "distilbert", .read = read, .ignored = ink_encoder_ignored};
