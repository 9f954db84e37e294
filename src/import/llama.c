/*
 * llama.c - the Llama family: llama (Touvron et al. 2023), mistral, qwen2, qwen3, smollm3 and gemma3_text, as saved by
 * Hugging Face's LlamaForCausalLM, MistralForCausalLM and so on, and by their classes ...ForSequenceClassification and
 * ...ForTokenClassification, which have score in place of lm_head (heads.c).
 *
 *     x = embed_tokens[token]
 *     for each block:   x = x + o_proj(attention(q_proj, k_proj, v_proj of input_layernorm(x)))
 *                       x = x + down_proj(silu(gate_proj(y)) * up_proj(y))         y = post_attention_layernorm(x)
 *     logits = norm(x) lm_head^T
 *
 * Norms are RMS norms, and positions are encoded by rope. The table of families holds the differences. Gemma 3 (Gemma
 * Team 2025) has most of them:
 *
 *     x = sqrt(hidden_size) embed_tokens[token]
 *     for each block:   x = x + post_attention_layernorm(o_proj(attention(... of input_layernorm(x))))
 *                       x = x + post_feedforward_layernorm(mlp(pre_feedforward_layernorm(x)))
 *
 * Its norms multiply by 1 + weight, its blocks with a window have a rope of their own, and it may be bidirectional
 * (EmbeddingGemma).
 */
#include <string.h>

#include "architectures.h"

/* The blocks with a window, if layer_types does not say it. */
typedef enum llama_windows {
    NO_WINDOWS,       /* and there is no such setting */
    ALL_BLOCKS,       /* if sliding_window is not null */
    BLOCKS_FROM,      /* with use_sliding_window: those from max_window_layers on */
    BLOCKS_NO_ROPE,   /* with use_sliding_window: those without rope */
    BLOCKS_BUT_EVERY, /* all but every sliding_window_pattern-th */
} llama_windows;

typedef struct llama_family {
    size_t vocab_size, hidden_size, inner_size, n_positions; /* the defaults of the config class, as all below */
    size_t n_layers, n_heads;
    size_t n_kv_heads; /* 0: n_heads */
    size_t head_dim;   /* 0: hidden_size / heads */
    double theta;
    ink_token bos_token, eos_token, pad_token;
    bool tied;
    bool qkv_bias;                 /* q, k and v always have a bias, o never */
    bool attention_bias, mlp_bias; /* there is such a setting: q, k, v and o have a bias; the MLP has biases */
    bool head_norms;               /* queries and keys are normalised */
    bool gguf_pairs;               /* in GGUF rope turns neighbours, so the rows of heads lie in pairs */
    llama_windows windows;
    bool gemma; /* all that the head of this file says of Gemma 3, and its settings */
} llama_family;

enum { LLAMA, MISTRAL, QWEN2, QWEN3, SMOLLM3, GEMMA3 };

/* The numbers are the sizes of vocabulary, hidden rows, MLP and positions; blocks, heads, those of keys and their size;
   theta; the tokens BOS, EOS and padding. */
static const llama_family llama_families[] = {
    [LLAMA] = {32000, 4096, 11008, 2048, 32, 32, 0, 0, 10000, 1, 2, -1, .attention_bias = true, .mlp_bias = true,
               .gguf_pairs = true},
    [MISTRAL] = {32000, 4096, 14336, 131072, 32, 32, 8, 0, 10000, 1, 2, -1, .windows = ALL_BLOCKS},
    [QWEN2] = {151936, 4096, 22016, 32768, 32, 32, 32, 0, 10000, -1, -1, -1, .qkv_bias = true, .windows = BLOCKS_FROM},
    [QWEN3] = {151936, 4096, 22016, 32768, 32, 32, 32, 128, 10000, -1, -1, -1, .attention_bias = true,
               .head_norms = true, .windows = BLOCKS_FROM},
    [SMOLLM3] = {128256, 2048, 11008, 32768, 36, 16, 4, 0, 2e6, 128000, 128001, 128004, .tied = true,
                 .attention_bias = true, .mlp_bias = true, .gguf_pairs = true, .windows = BLOCKS_NO_ROPE},
    [GEMMA3] = {262208, 2304, 9216, 131072, 26, 8, 4, 256, 1e6, 2, 1, 0, .tied = true, .attention_bias = true,
                .head_norms = true, .windows = BLOCKS_BUT_EVERY, .gemma = true},
};

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
    attention->n_heads = family->n_heads;
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

/* SmolLM3: a block whose element in no_rope_layers is 0 has no rope: it uses the second, which turns nothing. Without
   the list it is every no_rope_layer_interval-th block. */
static ink_result llama_describe_no_rope(ink_config *config, ink_stack *stack)
{
    size_t interval = 4, n = 0;
    ink_json list = INK_JSON_NONE, element = INK_JSON_NONE;
    if (ink_config_member(config, "no_rope_layers") != INK_JSON_NONE) {
        INK_TRY(ink_config_array(config, "no_rope_layers", &list, &n));
        element = ink_json_first(&config->document, list);
    } else {
        INK_TRY(ink_config_size(config, "no_rope_layer_interval", INK_MAX_LAYERS, &interval));
    }
    for (size_t i = 0; i < stack->config.n_blocks; i++) {
        int64_t turns = (i + 1) % interval != 0;
        if (list != INK_JSON_NONE && i >= n)
            return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                            "%s: no_rope_layers has %zu elements, fewer than there are blocks", config->document.file,
                            n);
        if (list != INK_JSON_NONE) {
            INK_TRY(ink_json_get_int(config->ctx, &config->document, element, 0, 1, &turns));
            element = ink_json_next(&config->document, element);
        }
        stack->blocks[i].rope = turns ? 0 : 1;
        config->fingerprint = ink_fingerprint_number(config->fingerprint, (uint64_t)turns);
    }
    return INK_OK;
}

/* Sets the window of each block. Where only sliding_window decides about windows, layer_types must agree with it. */
static ink_result llama_describe_windows(ink_config *config, const llama_family *family, size_t n_layers,
                                         ink_stack *stack)
{
    ink_attention *attention = stack->config.attention;
    llama_windows rule = family->windows;
    size_t window = 0, first = 0, every = 6;
    bool used = rule == ALL_BLOCKS || rule == BLOCKS_BUT_EVERY;
    if (rule == BLOCKS_FROM || rule == BLOCKS_NO_ROPE)
        INK_TRY(ink_config_bool(config, "use_sliding_window", &used));
    if (rule == BLOCKS_NO_ROPE) {
        if (ink_config_member(config, "sliding_window") != INK_JSON_NONE)
            INK_TRY(ink_config_size(config, "sliding_window", INK_MAX_IDS, &window));
    } else if (used && !ink_config_is_null(config, "sliding_window")) {
        window = 4096;
        INK_TRY(ink_config_size(config, "sliding_window", INK_MAX_IDS, &window));
    }
    if (rule == BLOCKS_FROM && window != 0) {
        first = 28;
        INK_TRY(ink_config_count(config, "max_window_layers", INK_MAX_LAYERS, &first));
    }
    if (rule == BLOCKS_BUT_EVERY)
        INK_TRY(ink_config_size(config, "sliding_window_pattern", INK_MAX_LAYERS, &every));
    bool decided = rule == NO_WINDOWS || rule == ALL_BLOCKS;
    if (rule == BLOCKS_BUT_EVERY && window == 0 && ink_config_member(config, "layer_types") == INK_JSON_NONE)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                        "%s: sliding_window is null, and layer_types does not say that all blocks do without",
                        config->document.file);
    if (family->gemma && attention[0].bidirectional && window != 0)
        window = window / 2 + 1; /* half of it on either side, and the row itself */
    for (size_t i = first; i < stack->config.n_blocks; i++) {
        bool slides = rule == BLOCKS_NO_ROPE ? used && stack->blocks[i].rope != 0
                                             : rule != BLOCKS_BUT_EVERY || (i + 1) % every != 0;
        attention[i].window = slides ? window : 0;
    }
    INK_TRY(ink_import_layer_types(config, n_layers, window, window == 0 || decided, &stack->config));
    for (size_t i = 0; family->gemma && i < stack->config.n_blocks; i++)
        stack->blocks[i].rope = attention[i].window != 0;
    return INK_OK;
}

/* The settings that only Gemma has. */
static ink_result gemma_describe(ink_import *in, llama_settings *s)
{
    static const char *const caps[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    ink_config *config = &in->config;
    double scalar = 256;
    INK_TRY(ink_config_number(config, "query_pre_attn_scalar", 1e-6, 1e12, "from 1e-6 to 1e12", &scalar));
    s->attention.scale = in->ctx->kernel->inverse_sqrt((float)scalar);
    INK_TRY(ink_config_bool(config, "use_bidirectional_attention", &s->attention.bidirectional));
    for (size_t i = 0; i < 2; i++)
        if (ink_config_member(config, caps[i]) != INK_JSON_NONE)
            return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED, "%s: %s: only null is supported, as Gemma 3 has it",
                            config->document.file, caps[i]);
    in->plan.norm_offset = in->gguf == NULL ? 1 : 0; /* there the weights have it */
    return INK_OK;
}

static ink_result llama_describe(ink_import *in, llama_settings *s)
{
    const llama_family *f = in->variant;
    ink_config *config = &in->config;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    ink_activation activation = f->gemma ? INK_GELU_TANH : INK_SILU;
    bool out_bias = false, mlp_bias = false;
    *s = (llama_settings){.family = f, .hidden = f->hidden_size, .inner = f->inner_size, .epsilon = 1e-6f};
    info->vocab_size = f->vocab_size;
    info->context_length = f->n_positions;
    info->n_layers = f->n_layers;
    info->bos_token = f->bos_token;
    info->eos_token = f->eos_token;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "num_hidden_layers", INK_MAX_LAYERS, &info->n_layers));
    INK_TRY(ink_config_size(config, "max_position_embeddings", INK_MAX_IDS, &info->context_length));
    INK_TRY(ink_config_size(config, "hidden_size", INK_MAX_WIDTH, &s->hidden));
    INK_TRY(ink_config_size(config, "intermediate_size", INK_MAX_WIDTH, &s->inner));
    INK_TRY(llama_describe_heads(config, s));
    INK_TRY(ink_config_epsilon(config, "rms_norm_eps", &s->epsilon));
    INK_TRY(ink_config_activation(config, f->gemma ? "hidden_activation" : "hidden_act", &activation));
    if (f->gemma)
        INK_TRY(gemma_describe(in, s));
    if (f->attention_bias)
        INK_TRY(ink_config_bool(config, "attention_bias", &out_bias));
    if (f->mlp_bias)
        INK_TRY(ink_config_bool(config, "mlp_bias", &mlp_bias));
    s->qkv_bias = f->qkv_bias || out_bias ? INK_BIAS_REQUIRED : INK_BIAS_REFUSED;
    s->out_bias = out_bias ? INK_BIAS_REQUIRED : INK_BIAS_REFUSED;
    s->mlp_bias = mlp_bias ? INK_BIAS_REQUIRED : INK_BIAS_REFUSED;
    if (in->gguf != NULL && f == &llama_families[LLAMA]) /* no setting tells, and llama.cpp takes what is there */
        s->qkv_bias = s->out_bias = s->mlp_bias = INK_BIAS_IF_THERE;
    info->hidden_size = s->hidden;

    ink_stack_config *stack = &model->transformer.stack.config;
    model->transformer.padding = -1;
    model->head.padding = f->pad_token;
    *stack = (ink_stack_config){.hidden_size = s->hidden,
                                .inner_size = s->inner,
                                .norm_place = INK_NORM_BEFORE,
                                .gate_activation = activation,
                                .gated = true};
    INK_TRY(ink_plan_stack(&in->plan, info->n_layers, &s->attention, &in->model->transformer.stack));
    if (f->windows == BLOCKS_NO_ROPE)
        INK_TRY(llama_describe_no_rope(config, &model->transformer.stack));
    INK_TRY(llama_describe_windows(config, f, info->n_layers, &model->transformer.stack));
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));
    if (f->gemma) {
        static const ink_rope_names ropes[] = {
            {.layers = "full_attention", .theta = "rope_theta", .default_theta = 1e6, .scaled = true},
            {.layers = "sliding_attention", .theta = "rope_local_base_freq", .default_theta = 10000}};
        return ink_import_ropes(in, ropes, 2, s->attention.head_dim);
    }
    return ink_import_ropes(in, &(ink_rope_names){.theta = "rope_theta", .default_theta = f->theta, .scaled = true}, 1,
                            s->attention.head_dim);
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

static ink_result llama_plan_norm(ink_plan *plan, const char *module, size_t size, const llama_settings *s,
                                  ink_norm *norm)
{
    return ink_plan_norm(plan, module, INK_RMS_NORM, size, s->epsilon, INK_BIAS_IF_THERE, norm);
}

static ink_result llama_plan_block(ink_import *in, const void *settings, size_t i, ink_block *block)
{
    const llama_settings *s = settings;
    ink_plan *plan = &in->plan;
    bool gemma = s->family->gemma;
    size_t hidden = s->hidden, head_dim = s->attention.head_dim;
    size_t q = s->attention.n_heads * head_dim, kv = s->attention.n_kv_heads * head_dim;
    /* In GGUF the three may be one tensor. */
    bool one = in->gguf != NULL && ink_plan_has_in(plan, "self_attn.qkv_proj", "weight");
    size_t pairs = in->gguf != NULL && s->family->gguf_pairs ? head_dim : 0, n_parts = one ? 1 : 3;
    const ink_plan_part separate[] = {{.module = "self_attn.q_proj", .out = q, .pairs = pairs, .n_paired = q},
                                      {.module = "self_attn.k_proj", .out = kv, .pairs = pairs, .n_paired = kv},
                                      {.module = "self_attn.v_proj", .out = kv}};
    const ink_plan_part joined = {
        .module = "self_attn.qkv_proj", .out = q + 2 * kv, .pairs = pairs, .n_paired = q + kv};
    const ink_plan_part *qkv = one ? &joined : separate;
    const ink_plan_part up[] = {{.module = "mlp.gate_proj", .out = s->inner},
                                {.module = "mlp.up_proj", .out = s->inner}};
    (void)i; /* all blocks are alike */
    INK_TRY(llama_plan_norm(plan, "input_layernorm", hidden, s, &block->norm_1));
    for (size_t part = 0; part < n_parts; part++)
        INK_TRY(ink_plan_check_bias(plan, qkv[part].module, s->qkv_bias));
    INK_TRY(ink_plan_dense_parts(plan, qkv, n_parts, hidden, &block->qkv));
    INK_TRY(ink_plan_dense(plan, "self_attn.o_proj", hidden, q, s->out_bias, INK_IDENTITY, &block->out));
    if (s->family->head_norms) {
        INK_TRY(llama_plan_norm(plan, "self_attn.q_norm", head_dim, s, &block->q_norm));
        INK_TRY(llama_plan_norm(plan, "self_attn.k_norm", head_dim, s, &block->k_norm));
    }
    INK_TRY(llama_plan_norm(plan, "post_attention_layernorm", hidden, s, gemma ? &block->out_norm_1 : &block->norm_2));
    if (gemma) {
        INK_TRY(llama_plan_norm(plan, "pre_feedforward_layernorm", hidden, s, &block->norm_2));
        INK_TRY(llama_plan_norm(plan, "post_feedforward_layernorm", hidden, s, &block->out_norm_2));
    }
    for (size_t part = 0; part < 2; part++)
        INK_TRY(ink_plan_check_bias(plan, up[part].module, s->mlp_bias));
    INK_TRY(ink_plan_dense_parts(plan, up, 2, hidden, &block->up));
    return ink_plan_dense(plan, "mlp.down_proj", hidden, s->inner, s->mlp_bias, INK_IDENTITY, &block->down);
}

/* sqrt(hidden_size), rounded to the type in which the embedding is stored: the reference computes in that type. That of
   GGUF, llama.cpp, computes in floats. */
static float gemma_token_scale(const ink_kernel *kernel, size_t hidden, ink_type type)
{
    /* bits that a float has and the type has not */
    unsigned dropped = type == INK_BF16 ? 16 : type == INK_F16 ? 13 : 0;
    float scale = ink_import_root(kernel, hidden);
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    if (dropped != 0)
        bits += (UINT32_C(1) << (dropped - 1)) - 1 + (bits >> dropped & 1);
    bits = bits >> dropped << dropped;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

/* A bidirectional model sees what comes after a token, so it continues no text: it reads texts whole. */
static ink_result gemma_import_encoder(ink_import *in)
{
    const char *class;
    bool found;
    INK_TRY(ink_import_class(in, &class));
    if (strstr(class, "ForCausalLM") != NULL)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: use_bidirectional_attention: a language model with this setting is not supported, only a "
                        "model that reads whole texts",
                        in->config.document.file);
    INK_TRY(ink_import_texts(in));
    return ink_import_sentence(in, &found);
}

/* Files of the bare model lack the prefix "model.". */
static ink_result import_llama(ink_import *in)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_transformer_net *net = &model->transformer;
    llama_settings s;
    ink_task task;
    INK_TRY(ink_import_decoder_task(in, &task));
    INK_TRY(llama_describe(in, &s));
    if (in->gguf != NULL && s.family == &llama_families[LLAMA] && ink_plan_has(plan, "rope_freqs.weight"))
        INK_TRY(ink_gguf_rope_factors(in, "rope_freqs.weight", s.attention.head_dim / 2,
                                      &net->stack.config.ropes[0].factors));
    size_t scope = ink_plan_enter_module(plan, ink_plan_has(plan, "model.norm.weight") ? "model" : "");
    INK_TRY(ink_import_embedding(in, "embed_tokens", "lm_head.weight", s.family->tied, s.hidden));
    if (s.family->gemma) {
        const ink_weight *table = ink_plan_find(plan, "embed_tokens.weight");
        if (table == NULL)
            table = ink_weights_find(plan->weights, "lm_head.weight");
        net->token_scale = gemma_token_scale(in->ctx->kernel, s.hidden, in->gguf != NULL ? INK_F32 : table->type);
    }
    INK_TRY(ink_import_blocks(in, &net->stack, "layers", "input_layernorm", "num_hidden_layers", llama_plan_block, &s));
    INK_TRY(llama_plan_norm(plan, "norm", s.hidden, &s, &net->stack.norm));
    ink_plan_leave(plan, scope);
    if (s.attention.bidirectional && task == INK_TASK_NONE)
        return gemma_import_encoder(in);
    bool has_bias = task == INK_TASK_CLASSIFY_TOKENS;
    if (has_bias)
        INK_TRY(ink_config_bool(&in->config, "token_classification_bias", &has_bias));
    return ink_import_decoder_head(in, task, s.family->tied, "score", has_bias);
}

/* Old files hold the frequencies of rope like weights. */
static const char *const llama_ignored[] = {"rotary_emb.inv_freq", NULL};

const ink_architecture ink_llama_architectures[] = {
    {.name = "llama", .import = import_llama, .variant = &llama_families[LLAMA], .ignored = llama_ignored},
    {.name = "mistral", .import = import_llama, .variant = &llama_families[MISTRAL], .ignored = llama_ignored},
    {.name = "qwen2", .import = import_llama, .variant = &llama_families[QWEN2], .ignored = llama_ignored},
    {.name = "qwen3", .import = import_llama, .variant = &llama_families[QWEN3], .ignored = llama_ignored},
    {.name = "smollm3", .import = import_llama, .variant = &llama_families[SMOLLM3], .ignored = llama_ignored},
    {.name = "gemma3_text", .import = import_llama, .variant = &llama_families[GEMMA3], .ignored = llama_ignored},
    {.name = NULL},
};
