/*
 * encoders.c - BERT (Devlin et al. 2018), DistilBERT (Sanh et al. 2019), RoBERTa (Liu et al. 2019), XLM-RoBERTa
 * (Conneau et al. 2019) and CamemBERT (Martin et al. 2019), as saved by Hugging Face's classes. They are one network:
 *
 *     x = norm(word[token] + position[p] + type[s])
 *     for each block:   x = norm_1(x + W_o attention(W_qkv x))        every row sees all rows of its text
 *                       x = norm_2(x + W_down s(W_up x))
 *     head:             y = W norm(s(W_t x + b_t)) + b                for the first row, or for each row
 *
 * They differ in the names of settings, tensors and classes (the tables below).
 */
#include <string.h>

#include "architectures.h"

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* In the table of a head: the activation of the model. */
#define ACTIVATION_OF_MODEL INK_N_ACTIVATIONS

/* A head, and the classes (`architectures` in config.json) that have it: the ends of their names, behind that of the
   family. NULL: the head lacks this module. */
typedef struct head_names {
    const char *classes[2];
    ink_task task;
    bool in_body;              /* the transform has the prefix of the body, and the bare model may lack it */
    const char *transform;     /* W_t */
    ink_activation activation; /* s */
    const char *norm;
    const char *out;  /* W; in a masked LM tied to the word embedding unless it is stored */
    const char *bias; /* b, if it may also have this name */
} head_names;

/* The keys of the settings, and the module names after the prefix. */
typedef struct body_names {
    const char *hidden_size, *n_layers, *n_heads, *inner_size, *activation;
    const char *epsilon; /* NULL: no such setting; epsilon is 1e-12 */
    const char *word, *position, *norm;
    const char *type; /* NULL: no token types */
    const char *block, *query, *key, *value, *out, *norm_1, *up, *down, *norm_2;
} body_names;

#define N_HEADS 5
typedef struct encoder_variant {
    const body_names *names;
    const char *prefix; /* of the body, in files of models with a head */
    const char *class;  /* the beginning of the names of its classes */
    size_t default_layers, default_vocab_size;
    bool skips_padding;      /* the position of a token is pad_token_id + the number of tokens up to it that are not
                                padding */
    const head_names *heads; /* [N_HEADS]: the first is that of the bare model */
} encoder_variant;

static const body_names bert_names = {
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

static const body_names distilbert_names = {
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

static const head_names bert_heads[N_HEADS] = {
    {.classes = {"Model"}, .in_body = true, .transform = "pooler.dense", .activation = INK_TANH},
    {.classes = {"ForMaskedLM", "ForPreTraining"},
     .task = INK_TASK_FILL,
     .transform = "cls.predictions.transform.dense",
     .activation = ACTIVATION_OF_MODEL,
     .norm = "cls.predictions.transform.LayerNorm",
     .out = "cls.predictions.decoder",
     .bias = "cls.predictions.bias"},
    {.classes = {"ForSequenceClassification"},
     .task = INK_TASK_CLASSIFY_TEXT,
     .in_body = true,
     .transform = "pooler.dense",
     .activation = INK_TANH,
     .out = "classifier"},
    {.classes = {"ForTokenClassification"}, .task = INK_TASK_CLASSIFY_TOKENS, .out = "classifier"},
    {.classes = {"ForQuestionAnswering"}, .task = INK_TASK_ANSWER, .out = "qa_outputs"}};

static const head_names distilbert_heads[N_HEADS] = {
    {.classes = {"Model"}},
    {.classes = {"ForMaskedLM"},
     .task = INK_TASK_FILL,
     .transform = "vocab_transform",
     .activation = ACTIVATION_OF_MODEL,
     .norm = "vocab_layer_norm",
     .out = "vocab_projector"},
    {.classes = {"ForSequenceClassification"},
     .task = INK_TASK_CLASSIFY_TEXT,
     .transform = "pre_classifier",
     .activation = INK_RELU,
     .out = "classifier"},
    {.classes = {"ForTokenClassification"}, .task = INK_TASK_CLASSIFY_TOKENS, .out = "classifier"},
    {.classes = {"ForQuestionAnswering"}, .task = INK_TASK_ANSWER, .out = "qa_outputs"}};

/* Also those of XLM-RoBERTa and CamemBERT. */
static const head_names roberta_heads[N_HEADS] = {
    {.classes = {"Model"}, .in_body = true, .transform = "pooler.dense", .activation = INK_TANH},
    {.classes = {"ForMaskedLM"},
     .task = INK_TASK_FILL,
     .transform = "lm_head.dense",
     .activation = INK_GELU,
     .norm = "lm_head.layer_norm",
     .out = "lm_head.decoder",
     .bias = "lm_head.bias"},
    {.classes = {"ForSequenceClassification"},
     .task = INK_TASK_CLASSIFY_TEXT,
     .transform = "classifier.dense",
     .activation = INK_TANH,
     .out = "classifier.out_proj"},
    {.classes = {"ForTokenClassification"}, .task = INK_TASK_CLASSIFY_TOKENS, .out = "classifier"},
    {.classes = {"ForQuestionAnswering"}, .task = INK_TASK_ANSWER, .out = "qa_outputs"}};

static const encoder_variant bert = {.names = &bert_names,
                                     .prefix = "bert",
                                     .class = "Bert",
                                     .default_layers = 12,
                                     .default_vocab_size = 30522,
                                     .heads = bert_heads};

static const encoder_variant distilbert = {.names = &distilbert_names,
                                           .prefix = "distilbert",
                                           .class = "DistilBert",
                                           .default_layers = 6,
                                           .default_vocab_size = 30522,
                                           .heads = distilbert_heads};

static const encoder_variant roberta = {.names = &bert_names,
                                        .prefix = "roberta",
                                        .class = "Roberta",
                                        .default_layers = 12,
                                        .default_vocab_size = 50265,
                                        .skips_padding = true,
                                        .heads = roberta_heads};

/* RoBERTa with other vocabularies. */
static const encoder_variant xlm_roberta = {.names = &bert_names,
                                            .prefix = "roberta",
                                            .class = "XLMRoberta",
                                            .default_layers = 12,
                                            .default_vocab_size = 30522,
                                            .skips_padding = true,
                                            .heads = roberta_heads};

static const encoder_variant camembert = {.names = &bert_names,
                                          .prefix = "roberta",
                                          .class = "Camembert",
                                          .default_layers = 12,
                                          .default_vocab_size = 30522,
                                          .skips_padding = true,
                                          .heads = roberta_heads};

/* ---- settings --------------------------------------------------------------------------------------------------- */

typedef struct encoder_settings {
    const body_names *names;
    const char *n_layers; /* the key */
    const char *prefix;   /* of the body in this file, or "" */
    size_t hidden, inner;
    ink_activation activation;
    float epsilon;
} encoder_settings;

/* Positions begin at 0, or in RoBERTa after the id of the padding token. */
static ink_result encoder_describe_positions(ink_import *in, const encoder_variant *variant)
{
    ink_config *config = &in->config;
    ink_transformer_net *net = &in->model->transformer;
    int64_t padding = ink_config_is_null(config, "pad_token_id") ? -1 : 1;
    const char *type;
    INK_TRY(ink_config_string(config, "position_embedding_type", &type));
    if (type[0] != '\0' && strcmp(type, "absolute") != 0)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: position_embedding_type is '%s', but only 'absolute' is supported", config->document.file,
                        type);
    INK_TRY(ink_config_refuse(config, "is_decoder"));
    INK_TRY(ink_config_refuse(config, "add_cross_attention"));
    net->max_positions = 512;
    INK_TRY(ink_config_size(config, "max_position_embeddings", INK_MAX_IDS, &net->max_positions));
    INK_TRY(ink_json_read_int(in->ctx, &config->document, 0, "pad_token_id", -1,
                              (int64_t)in->model->info.vocab_size - 1, &padding));
    net->padding = variant->skips_padding ? (ink_token)padding : -1;
    net->first_position = net->padding >= 0 ? (size_t)padding + 1 : 0;
    if (net->first_position >= net->max_positions)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                        "%s: max_position_embeddings is %zu, but positions begin after pad_token_id %d",
                        config->document.file, net->max_positions, (int)padding);
    in->model->info.context_length = net->max_positions - net->first_position;
    return INK_OK;
}

static ink_result encoder_describe(ink_import *in, encoder_settings *s)
{
    const encoder_variant *variant = in->variant;
    const body_names *names = variant->names;
    ink_config *config = &in->config;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    const char *hidden_key = ink_config_key(config, "hidden_size", names->hidden_size);
    const char *heads_key = ink_config_key(config, "num_attention_heads", names->n_heads);
    size_t n_heads = 12;
    *s = (encoder_settings){.names = names, .hidden = 768, .inner = 3072, .activation = INK_GELU, .epsilon = 1e-12f};
    info->vocab_size = variant->default_vocab_size;
    info->n_layers = variant->default_layers;
    model->encoder.n_types = names->type != NULL ? 2 : 0;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    s->n_layers = ink_config_key(config, "num_hidden_layers", names->n_layers);
    INK_TRY(ink_config_size(config, s->n_layers, INK_MAX_LAYERS, &info->n_layers));
    INK_TRY(ink_config_size(config, hidden_key, INK_MAX_WIDTH, &s->hidden));
    INK_TRY(ink_config_size(config, heads_key, INK_MAX_WIDTH, &n_heads));
    INK_TRY(ink_config_size(config, names->inner_size, INK_MAX_WIDTH, &s->inner));
    INK_TRY(ink_config_activation(config, names->activation, &s->activation));
    if (names->epsilon != NULL)
        INK_TRY(ink_config_epsilon(config, names->epsilon, &s->epsilon));
    if (names->type != NULL)
        INK_TRY(ink_config_size(config, "type_vocab_size", INK_MAX_WIDTH, &model->encoder.n_types));
    INK_TRY(encoder_describe_positions(in, variant));
    if (s->hidden % n_heads != 0)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: %s is %zu, which is not a multiple of %zu heads (%s)",
                        config->document.file, hidden_key, s->hidden, n_heads, heads_key);
    info->hidden_size = s->hidden;
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));

    INK_TRY(ink_import_texts(in));
    model->transformer.n_types = model->encoder.n_types;
    model->transformer.stack.config =
        (ink_stack_config){.hidden_size = s->hidden, .inner_size = s->inner, .norm_place = INK_NORM_AFTER};
    const ink_attention attention = {
        .n_heads = n_heads, .n_kv_heads = n_heads, .head_dim = s->hidden / n_heads, .bidirectional = true};
    return ink_plan_stack(&in->plan, info->n_layers, &attention, &model->transformer.stack);
}

/* ---- the body --------------------------------------------------------------------------------------------------- */

static ink_result encoder_plan_norm(ink_plan *plan, const char *module, const encoder_settings *s, ink_norm *norm)
{
    return ink_plan_norm(plan, module, INK_LAYER_NORM, s->hidden, s->epsilon, INK_BIAS_REQUIRED, norm);
}

static ink_result encoder_plan_linear(ink_plan *plan, const char *module, size_t out, size_t in,
                                      ink_activation activation, ink_dense *dense)
{
    return ink_plan_dense(plan, module, out, in, INK_BIAS_REQUIRED, activation, dense);
}

static ink_result encoder_plan_block(ink_import *in, const void *settings, size_t i, ink_block *block)
{
    const encoder_settings *s = settings;
    const body_names *names = s->names;
    ink_plan *plan = &in->plan;
    size_t hidden = s->hidden;
    const ink_plan_part qkv[] = {{.module = names->query, .out = hidden},
                                 {.module = names->key, .out = hidden},
                                 {.module = names->value, .out = hidden}};
    (void)i; /* all blocks are alike */
    for (size_t part = 0; part < 3; part++)
        INK_TRY(ink_plan_check_bias(plan, qkv[part].module, INK_BIAS_REQUIRED));
    INK_TRY(ink_plan_dense_parts(plan, qkv, 3, hidden, &block->qkv));
    INK_TRY(encoder_plan_linear(plan, names->out, hidden, hidden, INK_IDENTITY, &block->out));
    INK_TRY(encoder_plan_norm(plan, names->norm_1, s, &block->norm_1));
    INK_TRY(encoder_plan_linear(plan, names->up, s->inner, hidden, s->activation, &block->up));
    INK_TRY(encoder_plan_linear(plan, names->down, hidden, s->inner, INK_IDENTITY, &block->down));
    return encoder_plan_norm(plan, names->norm_2, s, &block->norm_2);
}

/* Plans all but the head, in the scope of the prefix. */
static ink_result encoder_plan_body(ink_import *in, const encoder_settings *s)
{
    const body_names *names = s->names;
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_transformer_net *net = &model->transformer;
    INK_TRY(ink_plan_embedding(plan, names->word, model->info.vocab_size, s->hidden, &model->embedding));
    INK_TRY(ink_plan_embedding(plan, names->position, net->max_positions, s->hidden, &net->positions));
    if (names->type != NULL)
        INK_TRY(ink_plan_embedding(plan, names->type, net->n_types, s->hidden, &net->types));
    INK_TRY(encoder_plan_norm(plan, names->norm, s, &net->embedding_norm));
    return ink_import_blocks(in, names->block, names->query, s->n_layers, encoder_plan_block, s);
}

/* ---- the head --------------------------------------------------------------------------------------------------- */

/* Finds the head of the folder's class; without a class, that of the bare model. transformers goes by model_type, so
   the class of another family is as good as its own. */
static ink_result encoder_find_head(ink_import *in, const head_names **head)
{
    const encoder_variant *variant = in->variant;
    const char *class;
    *head = &variant->heads[0];
    INK_TRY(ink_import_class(in, &class));
    if (class[0] == '\0')
        return INK_OK;
    for (const ink_architecture *a = ink_encoder_architectures; a->name != NULL; a++) {
        const char *family = ((const encoder_variant *)a->variant)->class;
        size_t length = strlen(family);
        if (strncmp(class, family, length) != 0)
            continue;
        for (size_t i = 0; i < N_HEADS; i++)
            for (size_t j = 0; j < 2 && variant->heads[i].classes[j] != NULL; j++)
                if (strcmp(variant->heads[i].classes[j], class + length) == 0) {
                    *head = &variant->heads[i];
                    return INK_OK;
                }
    }
    return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                    "%s: architectures: '%s' is not supported, only %sModel and the classes ...ForMaskedLM, "
                    "...ForSequenceClassification, ...ForTokenClassification and ...ForQuestionAnswering",
                    in->config.document.file, class, variant->class);
}

/* Plans W and b of a masked LM. A file with tied W has b only under its other name. */
static ink_result encoder_plan_output(ink_import *in, const head_names *names)
{
    ink_plan *plan = &in->plan;
    ink_head *head = &in->model->head;
    size_t scope = ink_plan_enter_module(plan, names->out), n = in->model->info.vocab_size;
    bool elsewhere = names->bias != NULL && !ink_plan_has(plan, "bias"), tied = true;
    INK_TRY(ink_config_bool(&in->config, "tie_word_embeddings", &tied));
    if (!elsewhere)
        INK_TRY(ink_plan_vector(plan, "bias", n, &head->bias));
    head->weight = &in->model->embedding.table;
    if (!tied || ink_plan_has(plan, "weight")) {
        INK_TRY(ink_plan_matrix(plan, "weight", n, in->model->info.hidden_size, false, &head->own));
        head->weight = &head->own;
    }
    ink_plan_leave(plan, scope);
    return elsewhere ? ink_plan_vector(plan, names->bias, n, &head->bias) : INK_OK;
}

static ink_result encoder_plan_head(ink_import *in, const encoder_settings *s, const head_names *names)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_head *head = &model->head;
    size_t hidden = s->hidden;
    model->encoder.task = names->task;
    if (names->transform != NULL) {
        ink_activation activation = names->activation == ACTIVATION_OF_MODEL ? s->activation : names->activation;
        size_t scope = ink_plan_enter_module(plan, names->in_body ? s->prefix : "");
        bool may_lack = names->task == INK_TASK_NONE && !ink_plan_has_in(plan, names->transform, "weight");
        if (!may_lack)
            INK_TRY(encoder_plan_linear(plan, names->transform, hidden, hidden, activation, &head->transform));
        model->encoder.has_pooled = names->task == INK_TASK_NONE && !may_lack;
        ink_plan_leave(plan, scope);
    }
    if (names->norm != NULL)
        INK_TRY(encoder_plan_norm(plan, names->norm, s, &head->norm));
    if (names->task == INK_TASK_NONE)
        return INK_OK;
    if (names->task == INK_TASK_FILL)
        return encoder_plan_output(in, names);
    return ink_import_classifier(in, names->out, names->task, true);
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static ink_result import_encoder(ink_import *in)
{
    const encoder_variant *variant = in->variant;
    ink_plan *plan = &in->plan;
    encoder_settings s;
    INK_TRY(encoder_describe(in, &s));

    /* Files of the bare model lack the prefix that files of models with a head have. */
    size_t scope = ink_plan_enter_module(plan, variant->prefix);
    s.prefix = ink_plan_has_in(plan, s.names->word, "weight") ? variant->prefix : "";
    ink_plan_leave(plan, scope);
    scope = ink_plan_enter_module(plan, s.prefix);
    INK_TRY(encoder_plan_body(in, &s));
    ink_plan_leave(plan, scope);

    const head_names *head = &variant->heads[0];
    bool is_sentence_encoder;
    INK_TRY(ink_import_sentence(in, &is_sentence_encoder));
    if (!is_sentence_encoder)
        INK_TRY(encoder_find_head(in, &head));
    return encoder_plan_head(in, &s, head);
}

/* Buffers that older files hold as if they were weights. */
static const char *const encoder_ignored[] = {"embeddings.position_ids", "embeddings.token_type_ids", NULL};

const ink_architecture ink_encoder_architectures[] = {
    {.name = "bert", .import = import_encoder, .variant = &bert, .ignored = encoder_ignored},
    {.name = "distilbert", .import = import_encoder, .variant = &distilbert, .ignored = encoder_ignored},
    {.name = "roberta", .import = import_encoder, .variant = &roberta, .ignored = encoder_ignored},
    {.name = "xlm-roberta", .import = import_encoder, .variant = &xlm_roberta, .ignored = encoder_ignored},
    {.name = "camembert", .import = import_encoder, .variant = &camembert, .ignored = encoder_ignored},
    {.name = NULL},
};
