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
    size_t window = 0, first_window = 0;
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
    for (size_t i = first_window; i < stack->n_blocks; i++)
        stack->attention[i].window = window;
    return ink_import_layer_types(config, n_layers, window, window == 0 || !family->windows_by_layer, stack);
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
    return ink_import_ropes(in, &(ink_rope_names){.theta = "rope_theta", .default_theta = 10000, .scaled = true}, 1,
                            s->attention.head_dim);
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
