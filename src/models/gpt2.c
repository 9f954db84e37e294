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
#include <string.h>

#include "kind.h"

typedef struct ink_gpt2 {
    size_t n_blocks;
    ink_embedding positions; /* wpe [n_positions, hidden_size] */
    ink_block *blocks;       /* [n_blocks] */
    ink_norm norm;           /* ln_f */
} ink_gpt2;

/* ---- reading -------------------------------------------------------------------------------------------------- */

typedef struct settings {
    size_t hidden_size, n_heads, inner_size;
    float epsilon;
    ink_activation activation;
    bool scale_scores, scale_by_layer;
} settings;

static ink_result refuse_flag(ink_config *config, const char *key)
{
    bool set = false;
    INK_TRY(ink_config_bool(config, key, &set));
    if (set)
        return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED, "%q: %s: models with this setting do not run here",
                        config->document.file, key);
    return INK_OK;
}

/* Defaults are those of GPT2Config. */
static ink_result read_settings(ink_config *config, ink_model *model, settings *s)
{
    ink_model_info *info = &model->info;
    *s = (settings){.hidden_size = 768, .n_heads = 12, .epsilon = 1e-5F, .activation = INK_GELU_TANH,
                    .scale_scores = true};
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
    INK_TRY(refuse_flag(config, "add_cross_attention"));
    if (s->hidden_size % s->n_heads != 0)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH, "%q: n_embd is %z, which %z heads (n_head) do not divide",
                        config->document.file, s->hidden_size, s->n_heads);
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));
    return ink_config_token(config, "eos_token_id", info->vocab_size, &info->eos_token);
}

/* GPT-2's linear layers and norms have a bias, all of them: a file without one is not whole. */
static ink_result require_bias(ink_loader *loader, const char *name)
{
    size_t scope = ink_loader_enter_module(loader, name);
    bool there = ink_loader_has(loader, "bias");
    if (!there)
        return ink_fail(loader->ctx, INK_ERROR_NOT_FOUND, "%q: there is no tensor '%qbias'",
                        ink_weights_name(loader->weights), loader->name);
    ink_loader_leave(loader, scope);
    return INK_OK;
}

static ink_result read_linear(ink_loader *loader, const char *name, size_t out, size_t in, ink_activation activation,
                              ink_dense *dense)
{
    INK_TRY(require_bias(loader, name));
    return ink_dense_read(loader, name, out, in, true, activation, dense);
}

static ink_result read_norm(ink_loader *loader, const char *name, const settings *s, ink_norm *norm)
{
    INK_TRY(require_bias(loader, name));
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

static ink_result read_block(ink_loader *loader, const settings *s, size_t layer, ink_block *block)
{
    size_t hidden = s->hidden_size;
    size_t scope = ink_loader_enter(loader, "h.%z.", layer);
    *block = (ink_block){.attention = attention_of(loader->ctx, s, layer)};
    INK_TRY(read_norm(loader, "ln_1", s, &block->norm_1));
    INK_TRY(read_linear(loader, "attn.c_attn", 3 * hidden, hidden, INK_IDENTITY, &block->qkv));
    INK_TRY(read_linear(loader, "attn.c_proj", hidden, hidden, INK_IDENTITY, &block->out));
    INK_TRY(read_norm(loader, "ln_2", s, &block->norm_2));
    INK_TRY(read_linear(loader, "mlp.c_fc", s->inner_size, hidden, s->activation, &block->up));
    INK_TRY(read_linear(loader, "mlp.c_proj", hidden, s->inner_size, INK_IDENTITY, &block->down));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

/* Blocks the file has beyond those of config.json would be left out silently. */
static ink_result refuse_more_blocks(ink_loader *loader, size_t n_blocks)
{
    size_t scope = ink_loader_enter(loader, "h.%z.", n_blocks);
    bool more = ink_loader_has(loader, "ln_1.weight");
    ink_loader_leave(loader, scope);
    if (more)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%q: there is a block h.%z, %s asks for %z (n_layer)",
                        ink_weights_name(loader->weights), n_blocks, loader->expected, n_blocks);
    return INK_OK;
}

/* Everything below the prefix "transformer.", which files of the bare model lack. */
static ink_result read_body(ink_loader *loader, const settings *s, ink_model *model, ink_gpt2 *gpt)
{
    size_t hidden = s->hidden_size;
    size_t scope = ink_loader_enter(loader, ink_loader_has(loader, "transformer.wte.weight") ? "transformer." : "", 0);
    ink_block spare;
    INK_TRY(ink_embedding_read(loader, "wte", model->info.vocab_size, hidden, &model->embedding));
    INK_TRY(ink_embedding_read(loader, "wpe", model->info.context_length, hidden, &gpt->positions));
    gpt->n_blocks = model->info.n_layers;
    gpt->blocks = ink_arena_take(loader->arena, gpt->n_blocks, sizeof *gpt->blocks);
    for (size_t i = 0; i < gpt->n_blocks; i++)
        INK_TRY(read_block(loader, s, i, gpt->blocks != NULL ? &gpt->blocks[i] : &spare));
    INK_TRY(refuse_more_blocks(loader, gpt->n_blocks));
    INK_TRY(read_norm(loader, "ln_f", s, &gpt->norm));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

static ink_result read(ink_loader *loader, ink_config *config, ink_model *model)
{
    settings s;
    ink_gpt2 spare;
    ink_gpt2 *gpt = ink_arena_take(loader->arena, 1, sizeof *gpt);
    if (gpt == NULL)
        gpt = &spare;
    INK_TRY(read_settings(config, model, &s));
    INK_TRY(read_body(loader, &s, model, gpt));
    model->body = gpt;
    model->head.norm = &gpt->norm;
    return ink_head_read(loader, config, model);
}

/* Old files hold the causal mask as if it were a weight: h.0.attn.bias [1, 1, n, n] and masked_bias []. */
static bool ignores(const char *tensor)
{
    static const char *const endings[] = {".attn.bias", ".attn.masked_bias"};
    size_t length = strlen(tensor);
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(endings[i]);
        if (length >= n && strcmp(tensor + length - n, endings[i]) == 0)
            return true;
    }
    return false;
}

/* ---- state: a key/value cache per block ----------------------------------------------------------------------- */

static void *take_state(ink_arena *arena, const ink_model *model, size_t capacity)
{
    const ink_gpt2 *gpt = model->body;
    ink_kv_cache spare;
    ink_kv_cache *caches = ink_arena_take(arena, gpt->n_blocks, sizeof *caches);
    for (size_t i = 0; i < gpt->n_blocks; i++)
        ink_kv_cache_take(arena, &gpt->blocks[i].attention, capacity, caches != NULL ? &caches[i] : &spare);
    return caches;
}

static void clear_columns(ink_matrix *matrix, size_t n_rows, size_t n_columns)
{
    float *panel = matrix->panels;
    for (size_t row = 0; row < n_rows; row += INK_PANEL, panel += matrix->panel_stride)
        memset(panel, 0, n_columns * INK_PANEL * sizeof *panel);
}

/* A cache that gets longer this way is about to be filled word by word; the lanes between those words must hold numbers
   too, though no result depends on them. */
static void set_length(ink_state *state, size_t length)
{
    const ink_gpt2 *gpt = state->model->body;
    ink_kv_cache *caches = state->body;
    for (size_t i = 0; i < gpt->n_blocks; i++) {
        for (size_t j = 0; length > caches[i].length && j < caches[i].n_kv_heads; j++) {
            clear_columns(&caches[i].keys[j], length, caches[i].head_dim);
            clear_columns(&caches[i].values[j], caches[i].head_dim, length);
        }
        caches[i].length = length;
    }
}

/* Row r of a packed matrix: its words stand a panel's width apart. */
static ink_words packed_row(const ink_matrix *matrix, size_t row, size_t count)
{
    float *panel = (float *)matrix->panels + row / INK_PANEL * matrix->panel_stride;
    return (ink_words){panel + row % INK_PANEL, count, INK_PANEL};
}

/* Per block and head: the keys, a row for each position, then the values, a row for each dimension of the head. */
static bool words(const ink_state *state, size_t i, ink_words *words)
{
    const ink_gpt2 *gpt = state->model->body;
    const ink_kv_cache *caches = state->body;
    size_t n_heads = caches[0].n_kv_heads;
    size_t head_dim = caches[0].head_dim;
    size_t rows = state->length + head_dim;
    size_t head = i / rows % n_heads;
    size_t block = i / rows / n_heads;
    size_t row = i % rows;
    if (block >= gpt->n_blocks)
        return false;
    if (row < state->length)
        *words = packed_row(&caches[block].keys[head], row, head_dim);
    else
        *words = packed_row(&caches[block].values[head], row - state->length, state->length);
    return true;
}

/* ---- running -------------------------------------------------------------------------------------------------- */

typedef struct gpt2_scratch {
    ink_span *spans;      /* [parts]: the parts, each with its cache of the block that runs */
    ink_token *positions; /* [rows] */
    float *encoded;       /* [rows, hidden_size]: wpe[position] */
    ink_block_scratch block;
} gpt2_scratch;

static void *take_scratch(ink_arena *arena, const ink_model *model, const ink_pass_size *size)
{
    const ink_gpt2 *gpt = model->body;
    gpt2_scratch spare;
    gpt2_scratch *taken = ink_arena_take(arena, 1, sizeof *taken);
    gpt2_scratch *scratch = taken != NULL ? taken : &spare;
    scratch->spans = ink_arena_take(arena, ink_size_min(size->rows, size->n_items), sizeof *scratch->spans);
    scratch->positions = ink_arena_take(arena, size->rows, sizeof *scratch->positions);
    scratch->encoded = ink_take_rows(arena, size->rows, model->info.hidden_size);
    ink_block_take_scratch(arena, &gpt->blocks[0], size->capacity, size->rows, &scratch->block);
    return taken;
}

/* x = wte[token] + wpe[position] */
static void embed(ink_context *ctx, const ink_model *model, const gpt2_scratch *scratch, const ink_part *parts,
                  size_t n_parts, size_t rows, float *x)
{
    const ink_gpt2 *gpt = model->body;
    size_t hidden = model->info.hidden_size;
    for (size_t p = 0; p < n_parts; p++) {
        const ink_part *part = &parts[p];
        ink_embedding_run(&model->embedding, part->tokens, part->count, x + part->first * hidden);
        for (size_t i = 0; i < part->count; i++)
            scratch->positions[part->first + i] = (ink_token)(part->state->length + i);
    }
    ink_embedding_run(&gpt->positions, scratch->positions, rows, scratch->encoded);
    ctx->kernel->add(scratch->encoded, rows * hidden, x);
    INK_LOOK(ctx, "embedding", ink_tensor_2d(x, rows, hidden));
}

static void run(ink_context *ctx, const ink_model *model, void *scratch, const ink_part *parts, size_t n_parts,
                size_t rows, float *x)
{
    const ink_gpt2 *gpt = model->body;
    const gpt2_scratch *s = scratch;
    embed(ctx, model, s, parts, n_parts, rows, x);
    for (size_t block = 0; block < gpt->n_blocks; block++) {
        size_t scope = ink_look_enter(ctx, "h.%z.", block);
        for (size_t p = 0; p < n_parts; p++) {
            ink_kv_cache *caches = parts[p].state->body;
            s->spans[p] = (ink_span){&caches[block], parts[p].first, parts[p].count};
        }
        ink_block_run(ctx, &gpt->blocks[block], &s->block, s->spans, n_parts, x, rows);
        ink_look_leave(ctx, scope);
    }
}

const ink_model_kind ink_kind_gpt2 = {
    .name = "gpt2",
    .read = read,
    .ignores = ignores,
    .take_state = take_state,
    .set_length = set_length,
    .words = words,
    .take_scratch = take_scratch,
    .run = run,
    .can_rewind = true,
};
