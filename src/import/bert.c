/*
 * bert.c - BERT (Devlin et al. 2018): the names of its settings and tensors, as Hugging Face's Bert classes save them.
 */
#include "../models/encoder.h"

static const ink_head_names heads[] = {
    {.architectures = {"BertModel"}, .in_body = true, .transform = "pooler.dense", .activation = INK_TANH},
    {.architectures = {"BertForMaskedLM", "BertForPreTraining"},
     .task = INK_TASK_FILL,
     .transform = "cls.predictions.transform.dense",
     .activation = INK_ACTIVATION_OF_MODEL,
     .norm = "cls.predictions.transform.LayerNorm",
     .out = "cls.predictions.decoder",
     .bias = "cls.predictions.bias"},
    {.architectures = {"BertForSequenceClassification"},
     .task = INK_TASK_CLASSIFY_TEXT,
     .in_body = true,
     .transform = "pooler.dense",
     .activation = INK_TANH,
     .out = "classifier"},
    {.architectures = {"BertForTokenClassification"}, .task = INK_TASK_CLASSIFY_TOKENS, .out = "classifier"},
};

const ink_body_names ink_bert_names = {
    .hidden_size = "hidden_size",
    .n_layers = "num_hidden_layers",
    .n_heads = "num_attention_heads",
    .inner_size = "intermediate_size",
    .activation = "hidden_act",
    .epsilon = "layer_norm_eps",
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .type = "embeddings.token_type_embeddings",
    .norm = "embeddings.LayerNorm",
    .block = "encoder.layer.%zu.",
    .query = "attention.self.query",
    .key = "attention.self.key",
    .value = "attention.self.value",
    .out = "attention.output.dense",
    .norm_1 = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .norm_2 = "output.LayerNorm",
};

static const ink_encoder_page page = {
    .names = &ink_bert_names,
    .prefix = "bert",
    .default_layers = 12,
    .default_vocab_size = 30522,
    .heads = heads,
    .n_heads = sizeof heads / sizeof heads[0],
};

static ink_result read(ink_loader *loader, ink_config *config, ink_model *model)
{
    return ink_encoder_read(loader, config, &page, model);
}

const ink_model_kind ink_kind_bert = {.name = "bert", .read = read, .ignored = ink_encoder_ignored};
