/*
 * encoders.c - BERT (Devlin et al. 2018), DistilBERT (Sanh et al. 2019), RoBERTa (Liu et al. 2019), XLM-RoBERTa
 * (Conneau et al. 2019), CamemBERT (Martin et al. 2019), MPNet (Song et al. 2020) and ModernBERT (Warner et al. 2024),
 * as saved by Hugging Face's classes. All but the last are one network:
 *
 *     x = norm(word[token] + position[p] + type[s])
 *     for each block:   x = norm_1(x + W_o attention(W_qkv x))        every row sees all rows of its text
 *                       x = norm_2(x + W_down s(W_up x))
 *     head:             y = W norm(s(W_t x + b_t)) + b                for the first row, or for each row
 *
 * They differ in the names of settings, tensors and classes (the tables of encoder_names.c). MPNet adds a bias to the
 * scores of attention. ModernBERT has the same heads over another body:
 *
 *     x = norm(word[token])
 *     for each block:   x = x + W_o attention(W_qkv norm_1(x))        queries and keys rotated; two of three blocks see
 *                                                                     a window, and the first has no norm_1
 *                       h = norm_2(x);  x = x + W_down (s(W_gate h) * W_up h)
 *     x = norm(x)
 */
#include <string.h>

#include "encoder_names.h"

/* ---- settings --------------------------------------------------------------------------------------------------- */

typedef struct encoder_settings {
    const ink_body_names *names;
    const char *n_layers; /* the key */
    const char *prefix;   /* of the body in this file, or "" */
    size_t hidden, inner;
    size_t n_biases; /* rows of the bias of attention */
    ink_activation activation, head_activation;
    float epsilon;
    ink_bias_rule norm_bias, attention_bias, mlp_bias, head_bias, output_bias;
} encoder_settings;

/* *padding stays without the setting. */
static ink_result encoder_read_padding(ink_import *in, int64_t *padding)
{
    return ink_json_read_int(in->ctx, &in->config.document, 0, "pad_token_id", -1,
                             (int64_t)in->model->info.vocab_size - 1, padding);
}

/* Positions begin at 0, or in RoBERTa after the id of the padding token. */
static ink_result encoder_describe_positions(ink_import *in, const ink_encoder_variant *variant)
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
    INK_TRY(encoder_read_padding(in, &padding));
    if (variant->padding != 0)
        padding = variant->padding;
    net->padding = variant->skips_padding ? (ink_token)padding : -1;
    net->first_position = net->padding >= 0 ? (size_t)padding + 1 : 0;
    if (net->first_position >= net->max_positions)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                        "%s: max_position_embeddings is %zu, but positions begin after pad_token_id %d",
                        config->document.file, net->max_positions, (int)padding);
    in->model->info.context_length = net->max_positions - net->first_position;
    return INK_OK;
}

/* MPNet has 32 buckets, whatever the setting for the rows of their table says. */
static ink_result encoder_describe_bias(ink_import *in, encoder_settings *s)
{
    ink_stack_config *stack = &in->model->transformer.stack.config;
    stack->n_buckets = s->n_biases = 32;
    stack->max_distance = 128;
    INK_TRY(ink_config_size(&in->config, "relative_attention_num_buckets", INK_MAX_WIDTH, &s->n_biases));
    if (s->n_biases < stack->n_buckets)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: relative_attention_num_buckets is %zu, expected at least %zu",
                        in->config.document.file, s->n_biases, stack->n_buckets);
    return INK_OK;
}

/* A bias that the reference has only if the setting is true. */
static ink_result describe_flag(ink_config *config, const char *key, bool has, ink_bias_rule *rule)
{
    INK_TRY(ink_config_bool(config, key, &has));
    *rule = has ? INK_BIAS_REQUIRED : INK_BIAS_REFUSED;
    return INK_OK;
}

/* What ModernBERT alone has: flags for its biases, windows and ropes by layer, and the pooling of its classifier. Every
   global_attn_every_n_layers-th block sees the whole text, the others local_attention / 2 tokens on each side, or
   sliding_window, the reference's other name for this half, which wins. */
static ink_result encoder_describe_modern(ink_import *in, encoder_settings *s)
{
    static const ink_rope_names ropes[] = {
        {.layers = "full_attention", .theta = "global_rope_theta", .default_theta = 160000, .scaled = true},
        {.layers = "sliding_attention", .theta = "local_rope_theta", .default_theta = 10000, .scaled = true}};
    ink_config *config = &in->config;
    ink_stack *stack = &in->model->transformer.stack;
    size_t local = 128, side, every = 3, n_layers = in->model->info.n_layers;
    const char *pooling;
    INK_TRY(describe_flag(config, "norm_bias", false, &s->norm_bias));
    INK_TRY(describe_flag(config, "attention_bias", false, &s->attention_bias));
    INK_TRY(describe_flag(config, "mlp_bias", false, &s->mlp_bias));
    INK_TRY(describe_flag(config, "classifier_bias", false, &s->head_bias));
    INK_TRY(describe_flag(config, "decoder_bias", true, &s->output_bias));
    INK_TRY(ink_config_activation(config, "classifier_activation", &s->head_activation));
    INK_TRY(ink_config_string(config, "classifier_pooling", &pooling));
    if (pooling[0] != '\0' && strcmp(pooling, "cls") != 0 && strcmp(pooling, "mean") != 0)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED, "%s: classifier_pooling is '%s', expected 'cls' or 'mean'",
                        config->document.file, pooling);
    in->model->head.pooling = strcmp(pooling, "mean") == 0 ? INK_POOLING_MEAN : INK_POOLING_NONE;
    INK_TRY(ink_config_count(config, "local_attention", INK_MAX_IDS, &local));
    side = local / 2;
    INK_TRY(ink_config_count(config, "sliding_window", INK_MAX_IDS, &side));
    INK_TRY(ink_config_size(config, "global_attn_every_n_layers", INK_MAX_LAYERS, &every));
    stack->config.gated = true;
    stack->config.gate_activation = s->activation;
    stack->config.norm_place = INK_NORM_BEFORE;
    for (size_t i = 0; i < stack->config.n_blocks; i++)
        stack->config.attention[i].window = i % every != 0 ? side + 1 : 0;
    INK_TRY(ink_import_layer_types(config, n_layers, side + 1, false, &stack->config));
    for (size_t i = 0; i < stack->config.n_blocks; i++)
        stack->blocks[i].rope = stack->config.attention[i].window != 0;
    INK_TRY(ink_import_ropes(in, ropes, 2, stack->config.attention[0].head_dim));
    return INK_OK;
}

static ink_result encoder_describe(ink_import *in, encoder_settings *s)
{
    const ink_encoder_variant *variant = in->variant;
    const ink_body_names *names = variant->names;
    ink_config *config = &in->config;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    const char *hidden_key = ink_config_key(config, "hidden_size", names->hidden_size);
    const char *heads_key = ink_config_key(config, "num_attention_heads", names->n_heads);
    size_t n_heads = 12;
    *s = (encoder_settings){.names = names,
                            .hidden = 768,
                            .inner = variant->modern ? 1152 : 3072,
                            .activation = INK_GELU,
                            .head_activation = INK_GELU,
                            .epsilon = variant->modern ? 1e-5f : 1e-12f,
                            .norm_bias = INK_BIAS_REQUIRED,
                            .attention_bias = INK_BIAS_REQUIRED,
                            .mlp_bias = INK_BIAS_REQUIRED,
                            .head_bias = INK_BIAS_REQUIRED,
                            .output_bias = INK_BIAS_REQUIRED};
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
    if (in->gguf != NULL && !ink_plan_has_in(&in->plan, names->type, "weight"))
        model->encoder.n_types = 0; /* DistilBERT */
    if (names->position != NULL) {
        INK_TRY(encoder_describe_positions(in, variant));
    } else {
        int64_t unneeded = -1;
        INK_TRY(encoder_read_padding(in, &unneeded));
        model->transformer.padding = -1;
        info->context_length = 8192;
        INK_TRY(ink_config_size(config, "max_position_embeddings", INK_MAX_IDS, &info->context_length));
    }
    if (s->hidden % n_heads != 0)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: %s is %zu, which is not a multiple of %zu heads (%s)",
                        config->document.file, ink_config_name(config, hidden_key), s->hidden, n_heads,
                        ink_config_name(config, heads_key));
    info->hidden_size = s->hidden;
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));

    model->transformer.n_types = model->encoder.n_types;
    model->transformer.stack.config =
        (ink_stack_config){.hidden_size = s->hidden, .inner_size = s->inner, .norm_place = INK_NORM_AFTER};
    const ink_attention attention = {
        .n_heads = n_heads, .n_kv_heads = n_heads, .head_dim = s->hidden / n_heads, .bidirectional = true};
    INK_TRY(ink_plan_stack(&in->plan, info->n_layers, &attention, &model->transformer.stack));
    if (names->bias != NULL)
        INK_TRY(encoder_describe_bias(in, s));
    if (variant->modern)
        INK_TRY(encoder_describe_modern(in, s));
    return ink_import_texts(in);
}

/* ---- the body --------------------------------------------------------------------------------------------------- */

static ink_result encoder_plan_norm(ink_plan *plan, const char *module, const encoder_settings *s, ink_norm *norm)
{
    return ink_plan_norm(plan, module, INK_LAYER_NORM, s->hidden, s->epsilon, s->norm_bias, norm);
}

static ink_result encoder_plan_block(ink_import *in, const void *settings, size_t i, ink_block *block)
{
    const encoder_settings *s = settings;
    const ink_body_names *names = s->names;
    const ink_stack_config *config = &in->model->transformer.stack.config;
    ink_plan *plan = &in->plan;
    size_t hidden = s->hidden;
    const ink_plan_part qkv[] = {{.module = names->query, .out = hidden},
                                 {.module = names->key, .out = hidden},
                                 {.module = names->value, .out = hidden}};
    if (names->qkv != NULL) {
        INK_TRY(ink_plan_dense(plan, names->qkv, 3 * hidden, hidden, s->attention_bias, INK_IDENTITY, &block->qkv));
    } else {
        for (size_t part = 0; part < 3; part++)
            INK_TRY(ink_plan_check_bias(plan, qkv[part].module, s->attention_bias));
        INK_TRY(ink_plan_dense_parts(plan, qkv, 3, hidden, &block->qkv));
    }
    INK_TRY(ink_plan_dense(plan, names->out, hidden, hidden, s->attention_bias, INK_IDENTITY, &block->out));
    if (i != 0 || config->norm_place == INK_NORM_AFTER)
        INK_TRY(encoder_plan_norm(plan, names->norm_1, s, &block->norm_1));
    INK_TRY(ink_plan_dense(plan, names->up, config->gated ? 2 * s->inner : s->inner, hidden, s->mlp_bias,
                           config->gated ? INK_IDENTITY : s->activation, &block->up));
    INK_TRY(ink_plan_dense(plan, names->down, hidden, s->inner, s->mlp_bias, INK_IDENTITY, &block->down));
    return encoder_plan_norm(plan, names->norm_2, s, &block->norm_2);
}

/* Plans all but the head, in the scope of the prefix. */
static ink_result encoder_plan_body(ink_import *in, const encoder_settings *s)
{
    const ink_body_names *names = s->names;
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_transformer_net *net = &model->transformer;
    ink_stack *stack = &net->stack;
    INK_TRY(ink_plan_embedding(plan, names->word, model->info.vocab_size, s->hidden, &model->embedding));
    if (names->position != NULL)
        INK_TRY(ink_plan_table(plan, names->position, net->max_positions, s->hidden, &net->positions));
    if (net->n_types != 0)
        INK_TRY(ink_plan_table(plan, names->type, net->n_types, s->hidden, &net->types));
    INK_TRY(encoder_plan_norm(plan, names->norm, s, &net->embedding_norm));
    if (names->bias != NULL)
        INK_TRY(
            ink_plan_table(plan, names->bias, s->n_biases, stack->config.attention[0].n_heads, &stack->position_bias));
    INK_TRY(ink_import_blocks(in, stack, names->block, names->qkv != NULL ? names->qkv : names->query, s->n_layers,
                              encoder_plan_block, s));
    return names->last_norm != NULL ? encoder_plan_norm(plan, names->last_norm, s, &stack->norm) : INK_OK;
}

/* ---- the head --------------------------------------------------------------------------------------------------- */

/* Finds the head of the folder's class; without a class, that of the bare model. transformers goes by model_type, so
   the class of another family is as good as its own. */
static ink_result encoder_find_head(ink_import *in, const ink_head_names **head)
{
    const ink_encoder_variant *variant = in->variant;
    const char *class;
    *head = &variant->heads[0];
    INK_TRY(ink_import_class(in, &class));
    if (class[0] == '\0')
        return INK_OK;
    for (const ink_architecture *a = ink_encoder_architectures; a->name != NULL; a++) {
        const char *family = ((const ink_encoder_variant *)a->variant)->class;
        size_t length = strlen(family);
        if (strncmp(class, family, length) != 0)
            continue;
        for (size_t i = 0; i < INK_N_HEADS; i++)
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
static ink_result encoder_plan_output(ink_import *in, const encoder_settings *s, const ink_head_names *names)
{
    ink_plan *plan = &in->plan;
    ink_head *head = &in->model->head;
    size_t scope = ink_plan_enter_module(plan, names->out), n = in->model->info.vocab_size;
    bool elsewhere = names->bias != NULL && !ink_plan_has(plan, "bias"), tied = true;
    INK_TRY(ink_config_bool(&in->config, "tie_word_embeddings", &tied));
    if (names->bias == NULL)
        INK_TRY(ink_plan_check_bias(plan, "", s->output_bias));
    if (!elsewhere)
        INK_TRY(ink_plan_optional_vector(plan, "bias", n, &head->bias));
    head->weight = &in->model->embedding.table;
    if (!tied || ink_plan_has(plan, "weight")) {
        INK_TRY(ink_plan_matrix(plan, "weight", n, in->model->info.hidden_size, false, &head->own));
        head->weight = &head->own;
    }
    ink_plan_leave(plan, scope);
    return elsewhere ? ink_plan_vector(plan, names->bias, n, &head->bias) : INK_OK;
}

static ink_result encoder_plan_head(ink_import *in, const encoder_settings *s, const ink_head_names *names)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_head *head = &model->head;
    size_t hidden = s->hidden;
    model->encoder.task = names->task;
    if (names->transform != NULL) {
        ink_activation activation = names->activation == INK_ACTIVATION_OF_MODEL  ? s->activation
                                    : names->activation == INK_ACTIVATION_OF_HEAD ? s->head_activation
                                                                                  : (ink_activation)names->activation;
        size_t scope = ink_plan_enter_module(plan, names->in_body ? s->prefix : "");
        bool may_lack = names->may_lack || names->task == INK_TASK_NONE;
        bool lacks = may_lack && !ink_plan_has_in(plan, names->transform, "weight");
        if (!lacks)
            INK_TRY(ink_plan_dense(plan, names->transform, hidden, hidden, s->head_bias, activation, &head->transform));
        model->encoder.has_pooled = names->task == INK_TASK_NONE && !lacks;
        ink_plan_leave(plan, scope);
    }
    if (names->norm != NULL)
        INK_TRY(encoder_plan_norm(plan, names->norm, s, &head->norm));
    if (names->task == INK_TASK_NONE)
        return INK_OK;
    if (names->task == INK_TASK_FILL)
        return encoder_plan_output(in, s, names);
    return ink_import_classifier(in, names->out, names->task,
                                 in->gguf == NULL || ink_plan_has_in(plan, names->out, "bias"));
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

ink_result ink_import_encoder(ink_import *in)
{
    const ink_encoder_variant *variant = in->variant;
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

    const ink_head_names *head = &variant->heads[0];
    bool is_sentence_encoder;
    INK_TRY(ink_import_sentence(in, &is_sentence_encoder));
    if (!is_sentence_encoder)
        INK_TRY(encoder_find_head(in, &head));
    return encoder_plan_head(in, &s, head);
}
