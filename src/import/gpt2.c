/*
 * gpt2.c - GPT-2 (Radford et al. 2019), as saved by Hugging Face's GPT2LMHeadModel.
 *
 *     x = wte[token] + wpe[position]
 *     for each block:   x = x + c_proj(attention(c_attn(ln_1(x))))
 *                       x = x + c_proj(gelu(c_fc(ln_2(x))))
 *     logits = ln_f(x) lm_head^T                        lm_head is wte, unless the file has one
 *
 * GPT2ForSequenceClassification and GPT2ForTokenClassification have score or classifier in place of lm_head (heads.c).
 *
 * The matrices of the blocks are stored [in, out] (Conv1D), in GGUF [out, in]. All linear layers and norms have a bias.
 */
#include "architectures.h"

typedef struct gpt2_settings {
    const char *n_layers; /* the key */
    size_t hidden, inner;
    float epsilon;
    ink_activation activation;
    bool is_gguf;
} gpt2_settings;

/* Defaults are those of GPT2Config. */
static ink_result gpt2_describe(ink_import *in, gpt2_settings *s)
{
    ink_config *config = &in->config;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    size_t n_heads = 12;
    bool scale_scores = true, scale_by_layer = false;
    const char *hidden = ink_config_key(config, "hidden_size", "n_embd");
    const char *heads = ink_config_key(config, "num_attention_heads", "n_head");
    *s = (gpt2_settings){.n_layers = ink_config_key(config, "num_hidden_layers", "n_layer"),
                         .hidden = 768,
                         .epsilon = 1e-5f,
                         .activation = INK_GELU_TANH,
                         .is_gguf = in->gguf != NULL};
    info->vocab_size = 50257;
    info->context_length = 1024;
    info->n_layers = 12;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, ink_config_key(config, "max_position_embeddings", "n_positions"), INK_MAX_IDS,
                            &info->context_length));
    INK_TRY(ink_config_size(config, s->n_layers, INK_MAX_LAYERS, &info->n_layers));
    INK_TRY(ink_config_size(config, hidden, INK_MAX_WIDTH, &s->hidden));
    INK_TRY(ink_config_size(config, heads, INK_MAX_WIDTH, &n_heads));
    s->inner = 4 * s->hidden;
    INK_TRY(ink_config_size(config, "n_inner", INK_MAX_WIDTH, &s->inner));
    INK_TRY(ink_config_epsilon(config, "layer_norm_epsilon", &s->epsilon));
    INK_TRY(ink_config_activation(config, "activation_function", &s->activation));
    INK_TRY(ink_config_bool(config, "scale_attn_weights", &scale_scores));
    INK_TRY(ink_config_bool(config, "scale_attn_by_inverse_layer_idx", &scale_by_layer));
    INK_TRY(ink_config_refuse(config, "add_cross_attention"));
    if (s->hidden % n_heads != 0)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: %s is %zu, which is not a multiple of %zu heads (%s)",
                        config->document.file, ink_config_name(config, hidden), s->hidden, n_heads,
                        ink_config_name(config, heads));
    info->hidden_size = s->hidden;
    info->bos_token = info->eos_token = 50256;
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));

    model->transformer.max_positions = info->context_length;
    model->transformer.padding = model->head.padding = -1;
    model->transformer.stack.config =
        (ink_stack_config){.hidden_size = s->hidden, .inner_size = s->inner, .norm_place = INK_NORM_BEFORE};
    size_t head_dim = s->hidden / n_heads;
    INK_TRY(ink_plan_stack(&in->plan, info->n_layers,
                           &(ink_attention){.n_heads = n_heads, .n_kv_heads = n_heads, .head_dim = head_dim},
                           &in->model->transformer.stack));
    /* By default the scores are divided by sqrt(head_dim). With scale_attn_by_inverse_layer_idx they are also divided
       by the number i of the block: 1 / (sqrt(head_dim) i) = 1 / sqrt(head_dim i^2). */
    for (size_t i = 0; i < model->transformer.stack.config.n_blocks; i++) {
        uint64_t number = scale_by_layer ? i + 1 : 1;
        uint64_t square = (scale_scores ? head_dim : 1) * number * number;
        model->transformer.stack.config.attention[i].scale = in->ctx->kernel->inverse_sqrt((float)square);
    }
    return INK_OK;
}

static ink_result gpt2_plan_norm(ink_plan *plan, const char *module, const gpt2_settings *s, ink_norm *norm)
{
    return ink_plan_norm(plan, module, INK_LAYER_NORM, s->hidden, s->epsilon, INK_BIAS_REQUIRED, norm);
}

static ink_result gpt2_plan_linear(ink_plan *plan, const char *module, const gpt2_settings *s, size_t out, size_t in,
                                   ink_activation activation, ink_dense *dense)
{
    return (s->is_gguf ? ink_plan_dense : ink_plan_dense_transposed)(plan, module, out, in, INK_BIAS_REQUIRED,
                                                                     activation, dense);
}

static ink_result gpt2_plan_block(ink_import *in, const void *settings, size_t i, ink_block *block)
{
    const gpt2_settings *s = settings;
    ink_plan *plan = &in->plan;
    size_t hidden = s->hidden;
    (void)i; /* all blocks are alike */
    INK_TRY(gpt2_plan_norm(plan, "ln_1", s, &block->norm_1));
    INK_TRY(gpt2_plan_linear(plan, "attn.c_attn", s, 3 * hidden, hidden, INK_IDENTITY, &block->qkv));
    INK_TRY(gpt2_plan_linear(plan, "attn.c_proj", s, hidden, hidden, INK_IDENTITY, &block->out));
    INK_TRY(gpt2_plan_norm(plan, "ln_2", s, &block->norm_2));
    INK_TRY(gpt2_plan_linear(plan, "mlp.c_fc", s, s->inner, hidden, s->activation, &block->up));
    return gpt2_plan_linear(plan, "mlp.c_proj", s, hidden, s->inner, INK_IDENTITY, &block->down);
}

/* Files of the bare model lack the prefix "transformer.". */
static ink_result import_gpt2(ink_import *in)
{
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_transformer_net *net = &model->transformer;
    gpt2_settings s;
    ink_task task;
    INK_TRY(ink_import_decoder_task(in, &task));
    INK_TRY(gpt2_describe(in, &s));
    size_t scope = ink_plan_enter_module(plan, ink_plan_has(plan, "transformer.wpe.weight") ? "transformer" : "");
    INK_TRY(ink_import_embedding(in, "wte", "lm_head.weight", true, s.hidden));
    INK_TRY(ink_plan_table(plan, "wpe", net->max_positions, s.hidden, &net->positions));
    INK_TRY(ink_import_blocks(in, &net->stack, "h", "ln_1", s.n_layers, gpt2_plan_block, &s));
    INK_TRY(gpt2_plan_norm(plan, "ln_f", &s, &net->stack.norm));
    ink_plan_leave(plan, scope);
    bool of_tokens = task == INK_TASK_CLASSIFY_TOKENS;
    return ink_import_decoder_head(in, task, true, of_tokens ? "classifier" : "score", of_tokens);
}

/* Old files hold the causal mask as if it were a weight: h.0.attn.bias [1, 1, n, n] and masked_bias []. */
static const char *const gpt2_ignored[] = {".attn.bias", ".attn.masked_bias", NULL};

const ink_architecture ink_gpt2_architectures[] = {
    {.name = "gpt2", .import = import_gpt2, .ignored = gpt2_ignored},
    {.name = NULL},
};
