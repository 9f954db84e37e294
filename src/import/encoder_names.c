/*
 * encoder_names.c - the names of BERT, DistilBERT, RoBERTa, XLM-RoBERTa, CamemBERT, MPNet and ModernBERT.
 */
#include "encoder_names.h"

/* ---- bodies ----------------------------------------------------------------------------------------------------- */

static const ink_body_names bert_names = {
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
    .block = "encoder.layer",
    .query = "attention.self.query",
    .key = "attention.self.key",
    .value = "attention.self.value",
    .out = "attention.output.dense",
    .norm_1 = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .norm_2 = "output.LayerNorm",
};

static const ink_body_names distilbert_names = {
    .hidden_size = "dim",
    .n_layers = "n_layers",
    .n_heads = "n_heads",
    .inner_size = "hidden_dim",
    .activation = "activation",
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .norm = "embeddings.LayerNorm",
    .block = "transformer.layer",
    .query = "attention.q_lin",
    .key = "attention.k_lin",
    .value = "attention.v_lin",
    .out = "attention.out_lin",
    .norm_1 = "sa_layer_norm",
    .up = "ffn.lin1",
    .down = "ffn.lin2",
    .norm_2 = "output_layer_norm",
};

static const ink_body_names mpnet_names = {
    .hidden_size = "hidden_size",
    .n_layers = "num_hidden_layers",
    .n_heads = "num_attention_heads",
    .inner_size = "intermediate_size",
    .activation = "hidden_act",
    .epsilon = "layer_norm_eps",
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .norm = "embeddings.LayerNorm",
    .bias = "encoder.relative_attention_bias",
    .block = "encoder.layer",
    .query = "attention.attn.q",
    .key = "attention.attn.k",
    .value = "attention.attn.v",
    .out = "attention.attn.o",
    .norm_1 = "attention.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .norm_2 = "output.LayerNorm",
};

static const ink_body_names modernbert_names = {
    .hidden_size = "hidden_size",
    .n_layers = "num_hidden_layers",
    .n_heads = "num_attention_heads",
    .inner_size = "intermediate_size",
    .activation = "hidden_activation",
    .epsilon = "norm_eps",
    .word = "embeddings.tok_embeddings",
    .norm = "embeddings.norm",
    .block = "layers",
    .qkv = "attn.Wqkv",
    .out = "attn.Wo",
    .norm_1 = "attn_norm",
    .up = "mlp.Wi",
    .down = "mlp.Wo",
    .norm_2 = "mlp_norm",
    .last_norm = "final_norm",
};

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static const ink_head_names bert_heads[INK_N_HEADS] = {
    {INK_TASK_NONE, .classes = {"Model"}, .in_body = true, .transform = "pooler.dense", .activation = INK_TANH},
    {INK_TASK_FILL, .classes = {"ForMaskedLM", "ForPreTraining"}, .transform = "cls.predictions.transform.dense",
     .activation = INK_ACTIVATION_OF_MODEL, .norm = "cls.predictions.transform.LayerNorm",
     .out = "cls.predictions.decoder", .bias = "cls.predictions.bias"},
    {INK_TASK_CLASSIFY_TEXT, .classes = {"ForSequenceClassification"}, .in_body = true, .transform = "pooler.dense",
     .activation = INK_TANH, .out = "classifier"},
    {INK_TASK_CLASSIFY_TOKENS, .classes = {"ForTokenClassification"}, .out = "classifier"},
    {INK_TASK_ANSWER, .classes = {"ForQuestionAnswering"}, .out = "qa_outputs"},
};

static const ink_head_names distilbert_heads[INK_N_HEADS] = {
    {INK_TASK_NONE, .classes = {"Model"}},
    {INK_TASK_FILL, .classes = {"ForMaskedLM"}, .transform = "vocab_transform", .activation = INK_ACTIVATION_OF_MODEL,
     .norm = "vocab_layer_norm", .out = "vocab_projector"},
    {INK_TASK_CLASSIFY_TEXT, .classes = {"ForSequenceClassification"}, .transform = "pre_classifier",
     .activation = INK_RELU, .out = "classifier"},
    {INK_TASK_CLASSIFY_TOKENS, .classes = {"ForTokenClassification"}, .out = "classifier"},
    {INK_TASK_ANSWER, .classes = {"ForQuestionAnswering"}, .out = "qa_outputs"},
};

/* Also those of XLM-RoBERTa, CamemBERT and MPNet. */
static const ink_head_names roberta_heads[INK_N_HEADS] = {
    {INK_TASK_NONE, .classes = {"Model"}, .in_body = true, .transform = "pooler.dense", .activation = INK_TANH},
    {INK_TASK_FILL, .classes = {"ForMaskedLM"}, .transform = "lm_head.dense", .activation = INK_GELU,
     .norm = "lm_head.layer_norm", .out = "lm_head.decoder", .bias = "lm_head.bias"},
    {INK_TASK_CLASSIFY_TEXT, .classes = {"ForSequenceClassification"}, .transform = "classifier.dense",
     .activation = INK_TANH, .out = "classifier.out_proj"},
    {INK_TASK_CLASSIFY_TOKENS, .classes = {"ForTokenClassification"}, .out = "classifier"},
    {INK_TASK_ANSWER, .classes = {"ForQuestionAnswering"}, .out = "qa_outputs"},
};

static const ink_head_names modernbert_heads[INK_N_HEADS] = {
    {INK_TASK_NONE, .classes = {"Model"}},
    {INK_TASK_FILL, .classes = {"ForMaskedLM"}, .transform = "head.dense", .activation = INK_ACTIVATION_OF_HEAD,
     .norm = "head.norm", .out = "decoder"},
    {INK_TASK_CLASSIFY_TEXT, .classes = {"ForSequenceClassification"}, .transform = "head.dense",
     .activation = INK_ACTIVATION_OF_HEAD, .norm = "head.norm", .out = "classifier"},
    {INK_TASK_CLASSIFY_TOKENS, .classes = {"ForTokenClassification"}, .transform = "head.dense",
     .activation = INK_ACTIVATION_OF_HEAD, .norm = "head.norm", .out = "classifier"},
    {INK_TASK_ANSWER, .classes = {"ForQuestionAnswering"}, .transform = "head.dense",
     .activation = INK_ACTIVATION_OF_HEAD, .norm = "head.norm", .out = "classifier"},
};

/* llama.cpp has one head: those that rank texts. */
static const ink_head_names gguf_heads[INK_N_HEADS] = {
    {INK_TASK_NONE, .classes = {"Model"}},
    {INK_TASK_CLASSIFY_TEXT, .classes = {"ForSequenceClassification"}, .may_lack = true,
     .transform = "classifier.dense", .activation = INK_TANH, .out = "classifier.out_proj"},
};

/* ---- families --------------------------------------------------------------------------------------------------- */

enum { BERT, DISTILBERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET, MODERNBERT };

/* XLM-RoBERTa and CamemBERT are RoBERTa with other vocabularies. */
static const ink_encoder_variant encoder_variants[] = {
    [BERT] = {&bert_names, .prefix = "bert", .class = "Bert", .default_layers = 12, .default_vocab_size = 30522,
              .heads = bert_heads},
    [DISTILBERT] = {&distilbert_names, .prefix = "distilbert", .class = "DistilBert", .default_layers = 6,
                    .default_vocab_size = 30522, .heads = distilbert_heads},
    [ROBERTA] = {&bert_names, .prefix = "roberta", .class = "Roberta", .default_layers = 12,
                 .default_vocab_size = 50265, .skips_padding = true, .heads = roberta_heads},
    [XLM_ROBERTA] = {&bert_names, .prefix = "roberta", .class = "XLMRoberta", .default_layers = 12,
                     .default_vocab_size = 30522, .skips_padding = true, .heads = roberta_heads},
    [CAMEMBERT] = {&bert_names, .prefix = "roberta", .class = "Camembert", .default_layers = 12,
                   .default_vocab_size = 30522, .skips_padding = true, .heads = roberta_heads},
    [MPNET] = {&mpnet_names, .prefix = "mpnet", .class = "MPNet", .default_layers = 12, .default_vocab_size = 30527,
               .skips_padding = true, .padding = 1, .heads = roberta_heads},
    [MODERNBERT] = {&modernbert_names, .prefix = "model", .class = "ModernBert", .default_layers = 22,
                    .default_vocab_size = 50368, .modern = true, .heads = modernbert_heads},
};

const ink_encoder_variant ink_gguf_bert = {&bert_names, .prefix = "", .class = "Bert", .heads = gguf_heads};

/* Buffers that older files hold as if they were weights. */
static const char *const encoder_ignored[] = {"embeddings.position_ids", "embeddings.token_type_ids", NULL};

const ink_architecture ink_encoder_architectures[] = {
    {"bert", ink_import_encoder, &encoder_variants[BERT], encoder_ignored},
    {"distilbert", ink_import_encoder, &encoder_variants[DISTILBERT], encoder_ignored},
    {"roberta", ink_import_encoder, &encoder_variants[ROBERTA], encoder_ignored},
    {"xlm-roberta", ink_import_encoder, &encoder_variants[XLM_ROBERTA], encoder_ignored},
    {"camembert", ink_import_encoder, &encoder_variants[CAMEMBERT], encoder_ignored},
    {"mpnet", ink_import_encoder, &encoder_variants[MPNET], encoder_ignored},
    {"modernbert", ink_import_encoder, &encoder_variants[MODERNBERT], NULL},
    {.name = NULL},
};
