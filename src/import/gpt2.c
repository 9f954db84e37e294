/*
 * gpt2.c - GPT-2, the pre-norm Transformer with learned positions (Radford et al. 2019).
 *
 *     x = wte[token] + wpe[position]
 *     for each block:   x = x + c_proj(attention(c_attn(ln_1(x))))
 *                       x = x + c_proj(gelu(c_fc(ln_2(x))))
 *     logits = ln_f(x) lm_head^T                        lm_head is wte, unless the file has one
 *
 * The folder is what Hugging Face's GPT2LMHeadModel saves. Its matrices in blocks are stored [in, out] (Conv1D).
 */
#include "../models/decoder.h"

/* ---- settings ------------------------------------------------------------------------------------------------- */

typedef struct settings {
    size_t hidden_size, n_heads, inner_size;
    float epsilon;
    ink_activation activation;
    bool scale_scores, scale_by_layer;
} settings;

/* Defaults are those of GPT2Config. */
static ink_result read_settings(ink_config *config, ink_model *model, settings *s)
{
    ink_model_info *info = &model->info;
    *s = (settings){
        .hidden_size = 768, .n_heads = 12, .epsilon = 1e-5F, .activation = INK_GELU_TANH, .scale_scores = true};
    info->vocab_size = 50257;
    info->context_length = 1024;
    info->n_layers = 12;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "n_positions", INK_MAX_IDS, &info->context_length));
    INK_TRY(ink_config_size(config, "n_layer", INK_MAX_LAYERS, &info->n_layers));
    INK_TRY(ink_config_size(config, "n_embd", INK_MAX_WIDTH, &s->hidden_size));
    INK_TRY(ink_config_size(config, "n_head", INK_MAX_WIDTH, &s->n_heads));
    info->hidden_size = s->hidden_size;
    s->inner_size = 4 * s->hidden_size;
    INK_TRY(ink_config_size(config, "n_inner", INK_MAX_WIDTH, &s->inner_size));
    INK_TRY(ink_config_epsilon(config, "layer_norm_epsilon", &s->epsilon));
    INK_TRY(ink_config_activation(config, "activation_function", &s->activation));
    INK_TRY(ink_config_bool(config, "scale_attn_weights", &s->scale_scores));
    INK_TRY(ink_config_bool(config, "scale_attn_by_inverse_layer_idx", &s->scale_by_layer));
    INK_TRY(ink_config_refuse(config, "add_cross_attention"));
    if (s->hidden_size % s->n_heads != 0)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%s: n_embd is %zu, which %zu heads (n_head) do not divide",
                        config->document.file, s->hidden_size, s->n_heads);
    info->bos_token = info->eos_token = 50256;
    return ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token);
}

/* ---- tensors -------------------------------------------------------------------------------------------------- */

/* GPT-2's linear layers and norms have a bias, all of them: a file without one is not whole. */
static ink_result read_linear(ink_loader *loader, const char *name, size_t out, size_t in, ink_activation activation,
                              ink_dense *dense)
{
    INK_TRY(ink_model_check_bias(loader, name, true));
    return ink_dense_read(loader, name, out, in, true, activation, dense);
}

static ink_result read_norm(ink_loader *loader, const char *name, const settings *s, ink_norm *norm)
{
    INK_TRY(ink_model_check_bias(loader, name, true));
    return ink_norm_read(loader, name, INK_LAYER_NORM, s->hidden_size, s->epsilon, norm);
}

/* Scores are divided by sqrt(head_dim), unless config.json says otherwise, and by the number i of the block if it does:
   1 / (sqrt(head_dim) i) = 1 / sqrt(head_dim i^2). */
static ink_attention attention_of(const ink_context *ctx, const settings *s, size_t layer)
{
    size_t head_dim = s->hidden_size / s->n_heads;
    uint64_t number = s->scale_by_layer ? layer + 1 : 1;
    uint64_t square = (s->scale_scores ? head_dim : 1) * number * number;
    return (ink_attention){.n_heads = s->n_heads,
                           .n_kv_heads = s->n_heads,
                           .head_dim = head_dim,
                           .scale = ctx->kernel->inverse_sqrt((float)square)};
}

static ink_result read_block(ink_loader *loader, void *settings_of_all, size_t layer, ink_block *block)
{
    const settings *s = settings_of_all;
    size_t hidden = s->hidden_size;
    *block = (ink_block){.attention = attention_of(loader->ctx, s, layer)};
    INK_TRY(read_norm(loader, "ln_1", s, &block->norm_1));
    INK_TRY(read_linear(loader, "attn.c_attn", 3 * hidden, hidden, INK_IDENTITY, &block->qkv));
    INK_TRY(read_linear(loader, "attn.c_proj", hidden, hidden, INK_IDENTITY, &block->out));
    INK_TRY(read_norm(loader, "ln_2", s, &block->norm_2));
    INK_TRY(read_linear(loader, "mlp.c_fc", s->inner_size, hidden, s->activation, &block->up));
    return read_linear(loader, "mlp.c_proj", hidden, s->inner_size, INK_IDENTITY, &block->down);
}

/* Everything below the prefix "transformer.", which files of the bare model lack. */
static ink_result read_body(ink_loader *loader, settings *s, ink_model *model, ink_decoder *decoder)
{
    const ink_blocks_page blocks = {"h.%zu.", "ln_1", "n_layer", read_block, s};
    size_t scope = ink_loader_enter(loader, ink_loader_has(loader, "transformer.wte.weight") ? "transformer." : "", 0);
    INK_TRY(ink_embedding_read(loader, "wte", model->info.vocab_size, s->hidden_size, &model->embedding));
    INK_TRY(ink_embedding_read(loader, "wpe", model->info.context_length, s->hidden_size, &decoder->positions));
    decoder->n_blocks = model->info.n_layers;
    INK_TRY(ink_blocks_read(loader, &blocks, decoder->n_blocks, &decoder->blocks));
    INK_TRY(read_norm(loader, "ln_f", s, &decoder->norm));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

static ink_result read(ink_loader *loader, ink_config *config, ink_model *model)
{
    settings s;
    ink_decoder spare, *decoder = ink_decoder_take(loader->arena, model, &spare);
    INK_TRY(read_settings(config, model, &s));
    INK_TRY(read_body(loader, &s, model, decoder));
    return ink_head_read(loader, config, true, model);
}

/* Old files hold the causal mask as if it were a weight: h.0.attn.bias [1, 1, n, n] and masked_bias []. */
static const char *const ignored[] = {".attn.bias", ".attn.masked_bias", NULL};

const ink_model_kind ink_kind_gpt2 = {
    .name = "gpt2",
    .read = read,
    .ignored = ignored,
    .network = &ink_decoder_network,
};
