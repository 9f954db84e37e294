/*
 * llama.c - the Llama family: llama (Touvron et al. 2023), mistral, qwen2 and qwen3.
 *
 *     x = embed_tokens[token]
 *     for each block:   x = x + o_proj(attention(q_proj, k_proj, v_proj of input_layernorm(x)))
 *                       x = x + down_proj(silu(gate_proj(y)) * up_proj(y))         y = post_attention_layernorm(x)
 *     logits = norm(x) lm_head^T
 *
 * Norms are RMS norms, positions come by rope (rope_config.c). The folder is what Hugging Face's LlamaForCausalLM,
 * MistralForCausalLM, Qwen2ForCausalLM or Qwen3ForCausalLM saves. What sets the four apart is the table of families.
 */
#include <string.h>

#include "../models/decoder.h"
#include "rope_config.h"

typedef struct family {
    size_t vocab_size, hidden_size, inner_size, n_positions; /* defaults of the four config classes */
    size_t n_kv_heads;                                       /* 0: as many as heads */
    size_t head_dim;                                         /* 0: hidden_size / heads */
    ink_token bos_token, eos_token;
    bool qkv_bias;                  /* q, k and v have a bias, o has none: no setting says so */
    bool attention_bias, mlp_bias;  /* settings: all four have one; all three of the MLP */
    bool head_norms;                /* of queries and keys */
    bool windows, windows_by_layer; /* sliding_window; use_sliding_window, max_window_layers, layer_types */
} family;

static const family llama = {.vocab_size = 32000,
                             .hidden_size = 4096,
                             .inner_size = 11008,
                             .n_positions = 2048,
                             .bos_token = 1,
                             .eos_token = 2,
                             .attention_bias = true,
                             .mlp_bias = true};
static const family mistral = {.vocab_size = 32000,
                               .hidden_size = 4096,
                               .inner_size = 14336,
                               .n_positions = 131072,
                               .n_kv_heads = 8,
                               .bos_token = 1,
                               .eos_token = 2,
                               .windows = true};
static const family qwen2 = {.vocab_size = 151936,
                             .hidden_size = 4096,
                             .inner_size = 22016,
                             .n_positions = 32768,
                             .n_kv_heads = 32,
                             .bos_token = -1,
                             .eos_token = -1,
                             .qkv_bias = true,
                             .windows_by_layer = true};
static const family qwen3 = {.vocab_size = 151936,
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

/* ---- settings ------------------------------------------------------------------------------------------------- */

typedef struct settings {
    const family *family;
    ink_config *config;
    size_t hidden_size, inner_size;
    ink_attention attention;
    float epsilon;
    ink_activation activation;
    bool qkv_bias, out_bias, mlp_bias;
    size_t window;        /* of the blocks that have one; 0: none has */
    size_t first_window;  /* these are the blocks from here on, unless layer_types says otherwise */
    ink_json layer_types; /* an array, or INK_JSON_NONE */
    ink_json layer_type;  /* of the next block */
} settings;

static ink_result read_widths(ink_config *config, settings *s)
{
    ink_attention *attention = &s->attention;
    s->hidden_size = s->family->hidden_size;
    s->inner_size = s->family->inner_size;
    attention->n_heads = 32;
    INK_TRY(ink_config_size(config, "hidden_size", INK_MAX_WIDTH, &s->hidden_size));
    INK_TRY(ink_config_size(config, "intermediate_size", INK_MAX_WIDTH, &s->inner_size));
    INK_TRY(ink_config_size(config, "num_attention_heads", INK_MAX_WIDTH, &attention->n_heads));
    bool as_heads = s->family->n_kv_heads == 0 || ink_config_is_null(config, "num_key_value_heads");
    attention->n_kv_heads = as_heads ? attention->n_heads : s->family->n_kv_heads;
    attention->head_dim = s->family->head_dim;
    INK_TRY(ink_config_size(config, "num_key_value_heads", INK_MAX_WIDTH, &attention->n_kv_heads));
    if (attention->head_dim == 0 && s->hidden_size % attention->n_heads == 0)
        attention->head_dim = s->hidden_size / attention->n_heads;
    else if (attention->head_dim == 0 && ink_config_member(config, "head_dim") == INK_JSON_NONE)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                        "%s: hidden_size is %zu, which %zu heads (num_attention_heads) do not divide, and there is no "
                        "head_dim",
                        config->document.file, s->hidden_size, attention->n_heads);
    INK_TRY(ink_config_size(config, "head_dim", INK_MAX_WIDTH, &attention->head_dim));
    return ink_config_check(config, ink_attention_check(config->ctx, attention));
}

static ink_result read_biases(ink_config *config, settings *s)
{
    s->qkv_bias = s->family->qkv_bias;
    if (s->family->attention_bias)
        INK_TRY(ink_config_bool(config, "attention_bias", &s->out_bias));
    if (s->family->mlp_bias)
        INK_TRY(ink_config_bool(config, "mlp_bias", &s->mlp_bias));
    s->qkv_bias |= s->out_bias;
    return INK_OK;
}

/* An explicit null for sliding_window is no window; without the key it is 4096. */
static ink_result read_window(ink_config *config, settings *s)
{
    bool used = s->family->windows;
    if (s->family->windows_by_layer)
        INK_TRY(ink_config_bool(config, "use_sliding_window", &used));
    if (!used || ink_config_is_null(config, "sliding_window"))
        return INK_OK;
    s->window = 4096;
    INK_TRY(ink_config_size(config, "sliding_window", INK_MAX_IDS, &s->window));
    if (!s->family->windows_by_layer)
        return INK_OK;
    s->first_window = 28;
    return ink_config_count(config, "max_window_layers", INK_MAX_LAYERS, &s->first_window);
}

static ink_result read_layer_types(ink_config *config, size_t n_layers, settings *s)
{
    size_t n;
    s->layer_types = s->layer_type = INK_JSON_NONE;
    if (ink_config_member(config, "layer_types") == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_config_array(config, "layer_types", &s->layer_types, &n));
    if (n != n_layers)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: layer_types has %zu elements, num_hidden_layers is %zu",
                        config->document.file, n, n_layers);
    return INK_OK;
}

static ink_result read_settings(ink_config *config, const family *f, ink_model *model, settings *s)
{
    ink_model_info *info = &model->info;
    *s = (settings){.family = f, .config = config, .epsilon = 1e-6F, .activation = INK_SILU};
    info->vocab_size = f->vocab_size;
    info->context_length = f->n_positions;
    info->n_layers = 32;
    info->bos_token = f->bos_token;
    info->eos_token = f->eos_token;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "num_hidden_layers", INK_MAX_LAYERS, &info->n_layers));
    INK_TRY(ink_config_size(config, "max_position_embeddings", INK_MAX_IDS, &info->context_length));
    INK_TRY(read_widths(config, s));
    INK_TRY(ink_config_epsilon(config, "rms_norm_eps", &s->epsilon));
    INK_TRY(ink_config_activation(config, "hidden_act", &s->activation));
    INK_TRY(read_biases(config, s));
    INK_TRY(read_window(config, s));
    INK_TRY(read_layer_types(config, info->n_layers, s));
    info->hidden_size = s->hidden_size;
    return ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token);
}

/* ---- tensors -------------------------------------------------------------------------------------------------- */

/* The window of block i, which is the next one. The families without windows by layer run layer_types only where they
   say what would be done anyway. */
static ink_result next_window(settings *s, size_t i, size_t *window)
{
    static const char *const kinds[] = {"full_attention", "sliding_attention"};
    ink_config *config = s->config;
    const char *name;
    bool slides = s->window != 0 && i >= s->first_window;
    if (s->layer_types != INK_JSON_NONE) {
        s->layer_type = i == 0 ? ink_json_first(&config->document, s->layer_types)
                               : ink_json_next(&config->document, s->layer_type);
        INK_TRY(ink_config_element_string(config, s->layer_type, &name));
        bool wanted = strcmp(name, kinds[1]) == 0;
        if (!wanted && strcmp(name, kinds[0]) != 0)
            return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: layer_types[%zu]: expected '%s' or '%s', found '%s'", config->document.file, i,
                            kinds[0], kinds[1], name);
        if (wanted != slides && (s->window == 0 || !s->family->windows_by_layer))
            return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                            "%s: layer_types[%zu] is '%s', the other settings make it "
                            "'%s'",
                            config->document.file, i, kinds[wanted], kinds[slides]);
        slides = wanted;
    }
    *window = slides ? s->window : 0;
    return INK_OK;
}

static ink_result read_attention(ink_loader *loader, const settings *s, ink_block *block)
{
    const ink_attention *attention = &block->attention;
    size_t q_width = attention->n_heads * attention->head_dim, kv_width = attention->n_kv_heads * attention->head_dim;
    const ink_dense_part qkv[] = {{"q_proj", q_width}, {"k_proj", kv_width}, {"v_proj", kv_width}};
    size_t scope = ink_loader_enter_module(loader, "self_attn");
    for (size_t i = 0; i < 3; i++)
        INK_TRY(ink_model_check_bias(loader, qkv[i].name, s->qkv_bias));
    INK_TRY(ink_model_check_bias(loader, "o_proj", s->out_bias));
    INK_TRY(ink_dense_read_parts(loader, qkv, 3, s->hidden_size, &block->qkv));
    INK_TRY(ink_dense_read(loader, "o_proj", s->hidden_size, q_width, false, INK_IDENTITY, &block->out));
    if (s->family->head_norms) {
        INK_TRY(ink_norm_read(loader, "q_norm", INK_RMS_NORM, attention->head_dim, s->epsilon, &block->q_norm));
        INK_TRY(ink_norm_read(loader, "k_norm", INK_RMS_NORM, attention->head_dim, s->epsilon, &block->k_norm));
    }
    ink_loader_leave(loader, scope);
    return INK_OK;
}

static ink_result read_mlp(ink_loader *loader, const settings *s, ink_block *block)
{
    const ink_dense_part up[] = {{"gate_proj", s->inner_size}, {"up_proj", s->inner_size}};
    size_t scope = ink_loader_enter_module(loader, "mlp");
    for (size_t i = 0; i < 2; i++)
        INK_TRY(ink_model_check_bias(loader, up[i].name, s->mlp_bias));
    INK_TRY(ink_model_check_bias(loader, "down_proj", s->mlp_bias));
    INK_TRY(ink_dense_read_parts(loader, up, 2, s->hidden_size, &block->up));
    INK_TRY(ink_dense_read(loader, "down_proj", s->hidden_size, s->inner_size, false, INK_IDENTITY, &block->down));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

static ink_result read_norm(ink_loader *loader, const char *name, const settings *s, ink_norm *norm)
{
    return ink_norm_read(loader, name, INK_RMS_NORM, s->hidden_size, s->epsilon, norm);
}

static ink_result read_block(ink_loader *loader, void *settings_of_all, size_t i, ink_block *block)
{
    settings *s = settings_of_all;
    *block = (ink_block){.attention = s->attention, .gated = true, .gate = s->activation};
    INK_TRY(next_window(s, i, &block->attention.window));
    INK_TRY(read_norm(loader, "input_layernorm", s, &block->norm_1));
    INK_TRY(read_attention(loader, s, block));
    INK_TRY(read_norm(loader, "post_attention_layernorm", s, &block->norm_2));
    return read_mlp(loader, s, block);
}

/* Everything below the prefix "model.", which files of the bare model lack. */
static ink_result read_body(ink_loader *loader, settings *s, ink_model *model, ink_decoder *decoder)
{
    const ink_blocks_page blocks = {"layers.%zu.", "input_layernorm", "num_hidden_layers", read_block, s};
    size_t scope = ink_loader_enter(loader, ink_loader_has(loader, "model.embed_tokens.weight") ? "model." : "", 0);
    INK_TRY(ink_embedding_read(loader, "embed_tokens", model->info.vocab_size, s->hidden_size, &model->embedding));
    decoder->n_blocks = model->info.n_layers;
    INK_TRY(ink_blocks_read(loader, &blocks, decoder->n_blocks, &decoder->blocks));
    INK_TRY(read_norm(loader, "norm", s, &decoder->norm));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

static ink_result read(ink_loader *loader, ink_config *config, const family *f, ink_model *model)
{
    settings s;
    ink_decoder spare, *decoder = ink_decoder_take(loader->arena, model, &spare);
    INK_TRY(read_settings(config, f, model, &s));
    INK_TRY(ink_rope_config_read(config, s.attention.head_dim, model, &decoder->rope));
    INK_TRY(read_body(loader, &s, model, decoder));
    return ink_head_read(loader, config, false, model);
}

static ink_result read_llama(ink_loader *loader, ink_config *config, ink_model *model)
{
    return read(loader, config, &llama, model);
}

static ink_result read_mistral(ink_loader *loader, ink_config *config, ink_model *model)
{
    return read(loader, config, &mistral, model);
}

static ink_result read_qwen2(ink_loader *loader, ink_config *config, ink_model *model)
{
    return read(loader, config, &qwen2, model);
}

static ink_result read_qwen3(ink_loader *loader, ink_config *config, ink_model *model)
{
    return read(loader, config, &qwen3, model);
}

/* Old files hold the frequencies of rope as if they were weights. */
static const char *const ignored[] = {"rotary_emb.inv_freq", NULL};

const ink_model_kind ink_kind_llama = {"llama", read_llama, ignored, &ink_decoder_network};
const ink_model_kind ink_kind_mistral = {"mistral", read_mistral, ignored, &ink_decoder_network};
const ink_model_kind ink_kind_qwen2 = {"qwen2", read_qwen2, ignored, &ink_decoder_network};
const ink_model_kind ink_kind_qwen3 = {"qwen3", read_qwen3, ignored, &ink_decoder_network};
