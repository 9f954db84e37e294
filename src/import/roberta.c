/*
 * roberta.c - RoBERTa (Liu et al. 2019): BERT with positions that start behind the padding id, and heads of its own.
 */
#include "../models/encoder.h"

static const ink_head_names heads[] = {
    {.architectures = {"RobertaModel"}, .in_body = true, .transform = "pooler.dense", .activation = INK_TANH},
    {.architectures = {"RobertaForMaskedLM"},
     .task = INK_TASK_FILL,
     .transform = "lm_head.dense",
     .activation = INK_GELU,
     .norm = "lm_head.layer_norm",
     .out = "lm_head.decoder",
     .bias = "lm_head.bias"},
    {.architectures = {"RobertaForSequenceClassification"},
     .task = INK_TASK_CLASSIFY_TEXT,
     .transform = "classifier.dense",
     .activation = INK_TANH,
     .out = "classifier.out_proj"},
    {.architectures = {"RobertaForTokenClassification"}, .task = INK_TASK_CLASSIFY_TOKENS, .out = "classifier"},
};

static const ink_encoder_page page = {
    .names = &ink_bert_names,
    .prefix = "roberta",
    .default_layers = 12,
    .default_vocab_size = 50265,
    .skips_padding = true,
    .heads = heads,
    .n_heads = sizeof heads / sizeof heads[0],
};

static ink_result read(ink_loader *loader, ink_config *config, ink_model *model)
{
    return ink_encoder_read(loader, config, &page, model);
}

const ink_model_kind ink_kind_roberta = {.name = "roberta", .read = read, .ignored = ink_encoder_ignored};
