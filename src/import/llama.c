/*
 * llama.c - the Llama family: llama (Touvron et al. 2023), mistral, qwen2 and qwen3, as saved by Hugging Face's
 * LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM, and by their classes
 * ...ForSequenceClassification and ...ForTokenClassification, which have score in place of lm_head (heads.c).
 *
 *     x = embed_tokens[token]
 *     for each block:   x = x + o_proj(attention(q_proj, k_proj, v_proj of input_layernorm(x)))
 *                       x = x + down_proj(silu(gate_proj(y)) * up_proj(y))         y = post_attention_layernorm(x)
 *     logits = norm(x) lm_head^T
 *
 * Norms are RMS norms, and positions are encoded by rope. The table of families holds the differences.
 */
#include <string.h>

#include "architectures.h"

typedef struct llama_family {
    size_t vocab_size, hidden_size, inner_size, n_positions; /* the defaults of the config class, as all below */
    size_t n_kv_heads;                                       /* 0: n_heads */
    size_t head_dim;                                         /* 0: hidden_size / heads */
    ink_token bos_token, eos_token;
    bool qkv_bias;                  /* q, k and v always have a bias, o never */
    bool attention_bias, mlp_bias;  /* there is such a setting: q, k, v and o have a bias; the MLP has biases */
    bool head_norms;                /* queries and keys are normalised */
    bool windows, windows_by_layer; /* sliding_window; use_sliding_window, max_window_layers, layer_types */
} llama_family;

static const llama_family llama = {.vocab_size = 32000,
                                   .hidden_size = 4096,
                                   .inner_size = 11008,
                                   .n_positions = 2048,
                                   .bos_token = 1,
                                   .eos_token = 2,
                                   .attention_bias = true,
                                   .mlp_bias = true};
static const llama_family mistral = {.vocab_size = 32000,
                                     .hidden_size = 4096,
                                     .inner_size = 14336,
                                     .n_positions = 131072,
                                     .n_kv_heads = 8,
                                     .bos_token = 1,
                                     .eos_token = 2,
                                     .windows = true};
static const llama_family qwen2 = {.vocab_size = 151936,
                                   .hidden_size = 4096,
                                   .inner_size = 22016,
                                   .n_positions = 32768,
                                   .n_kv_heads = 32,
                                   .bos_token = -1,
                                   .eos_token = -1,
                                   .qkv_bias = true,
                                   .windows_by_layer = true};
static const llama_family qwen3 = {.vocab_size = 151936,
                                   .hidden_size = 4096,
                                   .inner_size = 22016,
                                   .n_positions = 32768,
                                   .n_kv_heads = 32,
                                   .head_dim = 128,
                                   .bos_token = -1,
                                   .eos_token = -1,
                                   .attention_bias = true,
                                   .head_norms = true,
                                   .windows_by_layer = true};

typedef struct llama_settings {
    const llama_family *family;
    size_t hidden, inner;
    ink_attention attention;
    float epsilon;
    ink_bias_rule qkv_bias, out_bias, mlp_bias;
} llama_settings;

/* ---- rope ------------------------------------------------------------------------------------------------------- */

/*
 * The settings of rope have two forms:
 *
 *     "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 32.0, ...}       until transformers 4
 *     "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", "factor": 32.0, ...}    from transformers 5
 *
 * An older name of rope_type is "type". Every member can change the result, so an unknown one is refused.
 */
static ink_result rope_check_members(const ink_config *inner)
{
    static const char *const known[] = {
        "rope_type",
        "type",
        "rope_theta",
        "factor",
        "original_max_position_embeddings",
        "low_freq_factor",
        "high_freq_factor", /* llama3 */
        "beta_fast",
        "beta_slow",
        "attention_factor",
        "truncate", /* yarn */
        "partial_rotary_factor",
        "finetuned", /* whether the weights were trained with this rope; changes nothing */
    };
    const ink_json_document *document = &inner->document;
    for (ink_json i = ink_json_first(document, inner->object); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        const ink_json_node *node = &document->nodes[i];
        size_t k = 0;
        while (k < sizeof known / sizeof known[0] && strcmp(node->key, known[k]) != 0)
            k++;
        if (k == sizeof known / sizeof known[0] && node->kind != INK_JSON_NULL)
            return ink_fail(inner->ctx, INK_ERROR_UNSUPPORTED, "%s: %s.%s: rope with this setting is not supported",
                            document->file, document->nodes[inner->object].key, node->key);
    }
    return INK_OK;
}

/* Refuses settings that would change the result and are not supported. */
static ink_result rope_refuse(ink_config *config)
{
    double partial = 1;
    bool truncate = true;
    INK_TRY(ink_config_number(config, "partial_rotary_factor", 0, 1, "from 0 to 1", &partial));
    INK_TRY(ink_config_bool(config, "truncate", &truncate));
    if (partial < 1)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: partial_rotary_factor: only whole heads (1) are supported", config->document.file);
    if (!truncate)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: truncate: rope of type yarn is only supported with whole indices (true)",
                        config->document.file);
    return INK_OK;
}

static ink_result rope_describe_type(ink_config *config, ink_config *inner, size_t n_positions, ink_rope *rope)
{
    const char *name;
    int type = INK_ROPE_PLAIN;
    INK_TRY(ink_config_string(inner, ink_config_has(inner, "rope_type") ? "rope_type" : "type", &name));
    if (name[0] != '\0' && strcmp(name, "default") != 0)
        while (++type < INK_ROPE_N_TYPES && strcmp(name, ink_rope_type_name((ink_rope_type)type)) != 0)
            continue;
    if (type == INK_ROPE_N_TYPES)
        return ink_fail(inner->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: rope_type '%s' is not supported, only default, linear, dynamic, llama3, yarn",
                        inner->document.file, name);
    rope->type = (ink_rope_type)type;
    INK_TRY(rope_check_members(inner));
    INK_TRY(rope_refuse(inner));
    INK_TRY(ink_config_number(inner, "rope_theta", 1, 1e30, "above 1 and at most 1e30", &rope->theta));
    config->fingerprint = inner->fingerprint;
    if (rope->type == INK_ROPE_PLAIN)
        return INK_OK;

    const char *range = "from 1e-6 to 1e6";
    bool derived = rope->type == INK_ROPE_YARN && ink_config_is_null(inner, "factor");
    if (!derived && ink_config_member(inner, "factor") == INK_JSON_NONE)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: rope of type %s: member 'factor' is missing",
                        config->document.file, ink_rope_type_name(rope->type));
    INK_TRY(ink_config_number(inner, "factor", 1, 1e6, "from 1 to 1e6", &rope->factor));
    if (rope->type == INK_ROPE_LLAMA3 || rope->type == INK_ROPE_YARN) {
        const char *key = "original_max_position_embeddings"; /* next to the object or in it */
        INK_TRY(
            ink_config_size(ink_config_has(config, key) ? config : inner, key, INK_MAX_IDS, &rope->original_length));
    }
    if (derived) /* null: what takes the original length to that of the model */
        rope->factor = (double)n_positions / (double)rope->original_length;
    if (rope->type == INK_ROPE_LLAMA3) {
        INK_TRY(ink_config_number(inner, "low_freq_factor", 1e-6, 1e6, range, &rope->low_freq_factor));
        INK_TRY(ink_config_number(inner, "high_freq_factor", 1e-6, 1e6, range, &rope->high_freq_factor));
    }
    if (rope->type == INK_ROPE_YARN) {
        rope->beta_fast = 32;
        rope->beta_slow = 1;
        INK_TRY(ink_config_number(inner, "beta_fast", 1e-6, 1e6, range, &rope->beta_fast));
        INK_TRY(ink_config_number(inner, "beta_slow", 1e-6, 1e6, range, &rope->beta_slow));
        if (ink_config_member(inner, "attention_factor") != INK_JSON_NONE)
            INK_TRY(ink_config_number(inner, "attention_factor", 1e-6, 1e6, range, &rope->attention_factor));
    }
    config->fingerprint = ink_fingerprint_number(config->fingerprint, inner->fingerprint);
    return INK_OK;
}

/* Under dynamic and yarn the context length is the stretched length. If both objects are there, rope_scaling is used,
   as in transformers. */
static ink_result rope_describe(ink_config *config, size_t head_dim, ink_model *model, ink_rope *rope)
{
    size_t n_positions = model->info.context_length;
    ink_config inner = *config;
    *rope = (ink_rope){.head_dim = head_dim, .theta = 10000, .original_length = n_positions};
    INK_TRY(rope_refuse(config));
    INK_TRY(ink_config_number(config, "rope_theta", 1, 1e30, "above 1 and at most 1e30", &rope->theta));
    inner.fingerprint = config->fingerprint;
    inner.object = ink_config_member(config, "rope_scaling");
    if (inner.object == INK_JSON_NONE)
        inner.object = ink_config_member(config, "rope_parameters");
    if (inner.object != INK_JSON_NONE) {
        INK_TRY(ink_json_expect(config->ctx, &config->document, inner.object, INK_JSON_OBJECT));
        INK_TRY(rope_describe_type(config, &inner, n_positions, rope));
    }
    INK_TRY(ink_config_check(config, ink_rope_check(config->ctx, rope)));

    double length = (double)n_positions;
    if (rope->type == INK_ROPE_DYNAMIC || rope->type == INK_ROPE_YARN) {
        double stretched = rope->factor * (double)rope->original_length;
        length = stretched > length ? stretched : length;
    }
    model->info.context_length = length < (double)INK_ROPE_MAX_LENGTH ? (size_t)length : INK_ROPE_MAX_LENGTH;
    if (rope->type == INK_ROPE_DYNAMIC)
        model->own_capacity_from = n_positions;
    return INK_OK;
}

/* ---- settings --------------------------------------------------------------------------------------------------- */

static ink_result llama_describe_heads(ink_config *config, llama_settings *s)
{
    const llama_family *family = s->family;
    ink_attention *attention = &s->attention;
    attention->n_heads = 32;
    INK_TRY(ink_config_size(config, "num_attention_heads", INK_MAX_WIDTH, &attention->n_heads));
    bool as_heads = family->n_kv_heads == 0 || ink_config_is_null(config, "num_key_value_heads");
    attention->n_kv_heads = as_heads ? attention->n_heads : family->n_kv_heads;
    attention->head_dim = family->head_dim;
    INK_TRY(ink_config_size(config, "num_key_value_heads", INK_MAX_WIDTH, &attention->n_kv_heads));
    if (attention->head_dim == 0 && s->hidden % attention->n_heads == 0)
        attention->head_dim = s->hidden / attention->n_heads;
    else if (attention->head_dim == 0 && ink_config_member(config, "head_dim") == INK_JSON_NONE)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                        "%s: hidden_size is %zu, which is not a multiple of %zu heads (num_attention_heads), and "
                        "there is no head_dim",
                        config->document.file, s->hidden, attention->n_heads);
    INK_TRY(ink_config_size(config, "head_dim", INK_MAX_WIDTH, &attention->head_dim));
    return ink_config_check(config, ink_attention_check(config->ctx, attention));
}

/* Sets the window of each block. If sliding_window is null there is no window; if it is absent the window is 4096. For
   families without windows by layer, layer_types must agree with the other settings. */
static ink_result llama_describe_windows(ink_config *config, const llama_family *family, size_t n_layers,
                                         ink_stack_config *stack)
{
    static const char *const kinds[] = {"full_attention", "sliding_attention"};
    size_t window = 0, first_window = 0, n;
    bool used = family->windows;
    if (family->windows_by_layer)
        INK_TRY(ink_config_bool(config, "use_sliding_window", &used));
    if (used && !ink_config_is_null(config, "sliding_window")) {
        window = 4096;
        INK_TRY(ink_config_size(config, "sliding_window", INK_MAX_IDS, &window));
        if (family->windows_by_layer) {
            first_window = 28;
            INK_TRY(ink_config_count(config, "max_window_layers", INK_MAX_LAYERS, &first_window));
        }
    }
    ink_json types, type = INK_JSON_NONE;
    if (ink_config_member(config, "layer_types") != INK_JSON_NONE) {
        INK_TRY(ink_config_array(config, "layer_types", &types, &n));
        if (n != n_layers)
            return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                            "%s: layer_types has %zu elements, but num_hidden_layers is %zu", config->document.file, n,
                            n_layers);
        type = ink_json_first(&config->document, types);
    }
    for (size_t i = 0; i < stack->n_blocks; i++) {
        bool slides = window != 0 && i >= first_window;
        if (type != INK_JSON_NONE) {
            const char *name;
            INK_TRY(ink_config_element_string(config, type, &name));
            type = ink_json_next(&config->document, type);
            bool wanted = strcmp(name, kinds[1]) == 0;
            if (!wanted && strcmp(name, kinds[0]) != 0)
                return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                                "%s: layer_types[%zu]: expected '%s' or '%s', found '%s'", config->document.file, i,
                                kinds[0], kinds[1], name);
            if (wanted != slides && (window == 0 || !family->windows_by_layer))
                return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                                "%s: layer_types[%zu] is '%s', but the other settings make it '%s'",
                                config->document.file, i, kinds[wanted], kinds[slides]);
            slides = wanted;
        }
        stack->attention[i].window = slides ? window : 0;
    }
    return INK_OK;
}

static ink_result llama_describe(ink_import *in, llama_settings *s)
{
    const llama_family *f = in->variant;
    ink_config *config = &in->config;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    ink_activation activation = INK_SILU;
    bool out_bias = false, mlp_bias = false;
    *s = (llama_settings){.family = f, .hidden = f->hidden_size, .inner = f->inner_size, .epsilon = 1e-6f};
    info->vocab_size = f->vocab_size;
    info->context_length = f->n_positions;
    info->n_layers = 32;
    info->bos_token = f->bos_token;
    info->eos_token = f->eos_token;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "num_hidden_layers", INK_MAX_LAYERS, &info->n_layers));
    INK_TRY(ink_config_size(config, "max_position_embeddings", INK_MAX_IDS, &info->context_length));
    INK_TRY(ink_config_size(config, "hidden_size", INK_MAX_WIDTH, &s->hidden));
    INK_TRY(ink_config_size(config, "intermediate_size", INK_MAX_WIDTH, &s->inner));
    INK_TRY(llama_describe_heads(config, s));
    INK_TRY(ink_config_epsilon(config, "rms_norm_eps", &s->epsilon));
    INK_TRY(ink_config_activation(config, "hidden_act", &activation));
    if (f->attention_bias)
        INK_TRY(ink_config_bool(config, "attention_bias", &out_bias));
    if (f->mlp_bias)
        INK_TRY(ink_config_bool(config, "mlp_bias", &mlp_bias));
    s->qkv_bias = f->qkv_bias || out_bias ? INK_BIAS_REQUIRED : INK_BIAS_REFUSED;
    s->out_bias = out_bias ? INK_BIAS_REQUIRED : INK_BIAS_REFUSED;
    s->mlp_bias = mlp_bias ? INK_BIAS_REQUIRED : INK_BIAS_REFUSED;
    info->hidden_size = s->hidden;

    ink_stack_config *stack = &model->transformer.stack.config;
    model->transformer.padding = -1;
    *stack = (ink_stack_config){.hidden_size = s->hidden,
                                .inner_size = s->inner,
                                .norm_place = INK_NORM_BEFORE,
                                .gate_activation = activation,
                                .gated = true};
    INK_TRY(ink_plan_stack(&in->plan, info->n_layers, &s->attention, &in->model->transformer.stack));
    INK_TRY(llama_describe_windows(config, f, info->n_layers, stack));
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));
    return rope_describe(config, s->attention.head_dim, model, &stack->ropes[0]);
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

static ink_result llama_plan_block(ink_import *in, const void *settings, size_t i, ink_block *block)
{
    const llama_settings *s = settings;
    ink_plan *plan = &in->plan;
    size_t hidden = s->hidden, head_dim = s->attention.head_dim;
    size_t q = s->attention.n_heads * head_dim, kv = s->attention.n_kv_heads * head_dim;
    const ink_plan_part qkv[] = {{.module = "self_attn.q_proj", .out = q},
                                 {.module = "self_attn.k_proj", .out = kv},
                                 {.module = "self_attn.v_proj", .out = kv}};
    const ink_plan_part up[] = {{.module = "mlp.gate_proj", .out = s->inner},
                                {.module = "mlp.up_proj", .out = s->inner}};
    (void)i; /* all blocks are alike */
    INK_TRY(
        ink_plan_norm(plan, "input_layernorm", INK_RMS_NORM, hidden, s->epsilon, INK_BIAS_IF_THERE, &block->norm_1));
    for (size_t part = 0; part < 3; part++)
        INK_TRY(ink_plan_check_bias(plan, qkv[part].module, s->qkv_bias));
    INK_TRY(ink_plan_dense_parts(plan, qkv, 3, hidden, &block->qkv));
    INK_TRY(ink_plan_dense(plan, "self_attn.o_proj", hidden, q, s->out_bias, INK_IDENTITY, &block->out));
    if (s->family->head_norms) {
        INK_TRY(ink_plan_norm(plan, "self_attn.q_norm", INK_RMS_NORM, head_dim, s->epsilon, INK_BIAS_IF_THERE,
                              &block->q_norm));
        INK_TRY(ink_plan_norm(plan, "self_attn.k_norm", INK_RMS_NORM, head_dim, s->epsilon, INK_BIAS_IF_THERE,
                              &block->k_norm));
    }
    INK_TRY(ink_plan_norm(plan, "post_attention_layernorm", INK_RMS_NORM, hidden, s->epsilon, INK_BIAS_IF_THERE,
                          &block->norm_2));
    for (size_t part = 0; part < 2; part++)
        INK_TRY(ink_plan_check_bias(plan, up[part].module, s->mlp_bias));
    INK_TRY(ink_plan_dense_parts(plan, up, 2, hidden, &block->up));
    return ink_plan_dense(plan, "mlp.down_proj", hidden, s->inner, s->mlp_bias, INK_IDENTITY, &block->down);
}

/* Files of the bare model lack the prefix "model.". */
static ink_result import_llama(ink_import *in)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    llama_settings s;
    ink_task task;
    INK_TRY(ink_import_decoder_task(in, &task));
    INK_TRY(llama_describe(in, &s));
    size_t scope = ink_plan_enter_module(plan, ink_plan_has(plan, "model.norm.weight") ? "model" : "");
    INK_TRY(ink_import_embedding(in, "embed_tokens", "lm_head.weight", false, s.hidden));
    INK_TRY(ink_import_blocks(in, "layers", "input_layernorm", "num_hidden_layers", llama_plan_block, &s));
    INK_TRY(ink_plan_norm(plan, "norm", INK_RMS_NORM, s.hidden, s.epsilon, INK_BIAS_IF_THERE,
                          &model->transformer.stack.norm));
    ink_plan_leave(plan, scope);
    bool has_bias = task == INK_TASK_CLASSIFY_TOKENS;
    if (has_bias)
        INK_TRY(ink_config_bool(&in->config, "token_classification_bias", &has_bias));
    return ink_import_decoder_head(in, task, false, "score", has_bias);
}

/* Old files hold the frequencies of rope like weights. */
static const char *const llama_ignored[] = {"rotary_emb.inv_freq", NULL};

const ink_architecture ink_llama_architectures[] = {
    {.name = "llama", .import = import_llama, .variant = &llama, .ignored = llama_ignored},
    {.name = "mistral", .import = import_llama, .variant = &mistral, .ignored = llama_ignored},
    {.name = "qwen2", .import = import_llama, .variant = &qwen2, .ignored = llama_ignored},
    {.name = "qwen3", .import = import_llama, .variant = &qwen3, .ignored = llama_ignored},
    {.name = NULL},
};
