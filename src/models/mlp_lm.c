/*
 * mlp_lm.c - the neural probabilistic language model (Bengio et al. 2003): an MLP over a window of words.
 *
 *     x_t = (e(w_{t-W+1}), ..., e(w_t))          the embeddings of the last W tokens side by side, oldest first
 *     h   = s(W_L ... s(W_1 x_t + b_1) ... + b_L)
 *     logits = lm_head h + b
 *
 * Before the first token the window holds bos_token_id. The result depends on W tokens and nothing else.
 */
#include <string.h>

#include "kind.h"

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* The hidden layers mlp.0, mlp.2, ...: one for each element of hidden_sizes, the activation after each. */
static ink_result read_layers(ink_loader *loader, ink_config *config, size_t in, ink_mlp *mlp, size_t *out)
{
    ink_activation activation = INK_TANH;
    ink_dense spare;
    ink_json sizes;
    size_t scope = ink_loader_enter(loader, "mlp.", 0);
    INK_TRY(ink_config_activation(config, "hidden_act", &activation));
    INK_TRY(ink_config_array(config, "hidden_sizes", &sizes, &mlp->n_layers));
    mlp->layers = ink_arena_alloc(loader->arena, mlp->n_layers, sizeof *mlp->layers);
    mlp->widest = 0;
    ink_json element = ink_json_first(&config->document, sizes);
    for (size_t i = 0; i < mlp->n_layers; i++) {
        char name[32];
        INK_TRY(ink_config_element(config, element, INK_MAX_WIDTH, out));
        ink_format(name, sizeof name, "%zu", 2 * i);
        INK_TRY(
            ink_dense_read(loader, name, *out, in, false, activation, mlp->layers != NULL ? &mlp->layers[i] : &spare));
        if (i + 1 < mlp->n_layers)
            mlp->widest = ink_size_max(mlp->widest, *out);
        in = *out;
        element = ink_json_next(&config->document, element);
    }
    ink_loader_leave(loader, scope);
    return INK_OK;
}

/* Layers the file has beyond those of config.json would be left out silently. */
static ink_result refuse_more_layers(ink_loader *loader, size_t n_layers)
{
    size_t scope = ink_loader_enter(loader, "mlp.%zu.", 2 * n_layers);
    bool more = ink_loader_has(loader, "weight");
    ink_loader_leave(loader, scope);
    if (more)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%s: there is a layer mlp.%zu, %s asks for %zu (hidden_sizes)",
                        ink_weights_name(loader->weights), 2 * n_layers, loader->expected, n_layers);
    return INK_OK;
}

static ink_result read_tokens(ink_config *config, ink_model_info *info)
{
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));
    if (info->bos_token < 0)
        return ink_fail(config->ctx, INK_ERROR_MISMATCH,
                        "%s: member 'bos_token_id' is missing: it fills the window before the first token",
                        config->document.file);
    return INK_OK;
}

static ink_result read(ink_loader *loader, ink_config *config, ink_model *model)
{
    ink_model_info *info = &model->info;
    ink_mlp spare;
    ink_mlp *mlp = ink_arena_alloc(loader->arena, 1, sizeof *mlp);
    size_t embedding_size = 0;
    if (mlp == NULL)
        mlp = &spare;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "embedding_size", INK_MAX_WIDTH, &embedding_size));
    INK_TRY(ink_config_size(config, "window_size", INK_MAX_WIDTH / embedding_size, &info->window_size));
    INK_TRY(read_tokens(config, info));
    INK_TRY(ink_embedding_read(loader, "embedding", info->vocab_size, embedding_size, &model->embedding));
    INK_TRY(read_layers(loader, config, info->window_size * embedding_size, mlp, &info->hidden_size));
    INK_TRY(refuse_more_layers(loader, mlp->n_layers));
    info->n_layers = mlp->n_layers;
    model->body = mlp;
    return ink_head_read(loader, config, true, model);
}

/* ---- state: the last W - 1 tokens, oldest first --------------------------------------------------------------- */

static void *take_state(ink_context *ctx, ink_arena *arena, const ink_model *model, size_t capacity)
{
    (void)ctx, (void)capacity;
    return ink_arena_alloc(arena, model->info.window_size - 1, sizeof(ink_token));
}

static void set_length(ink_state *state, size_t length)
{
    ink_token *window = state->body;
    for (size_t i = 0; length == 0 && i + 1 < state->model->info.window_size; i++)
        window[i] = state->model->info.bos_token;
}

static bool words(const ink_state *state, size_t i, ink_words *words)
{
    *words = (ink_words){.first = state->body, .count = state->model->info.window_size - 1};
    return i == 0;
}

/* ---- running -------------------------------------------------------------------------------------------------- */

typedef struct mlp_lm_scratch {
    ink_token *line; /* [W - 1 + rows]: the window, and behind it the tokens of a part */
    float *x;        /* [rows, W * embedding size] */
    ink_mlp_scratch mlp;
} mlp_lm_scratch;

static void *alloc_scratch(ink_arena *arena, const ink_model *model, const ink_pass_size *size)
{
    size_t window_size = model->info.window_size;
    mlp_lm_scratch spare;
    mlp_lm_scratch *taken = ink_arena_alloc(arena, 1, sizeof *taken);
    mlp_lm_scratch *scratch = taken != NULL ? taken : &spare;
    scratch->line = ink_arena_alloc(arena, window_size - 1 + size->rows, sizeof *scratch->line);
    scratch->x = ink_alloc_rows(arena, size->rows, window_size * model->embedding.table.k);
    ink_mlp_alloc_scratch(arena, model->body, size->rows, &scratch->mlp);
    return taken;
}

/* Token i of a part sees line[i] .. line[i + W - 1]; the last W - 1 of the line are the window of the next part. */
static void gather(const ink_model *model, const mlp_lm_scratch *scratch, const ink_part *part, float *x)
{
    size_t window_size = model->info.window_size;
    size_t past = (window_size - 1) * sizeof(ink_token);
    size_t width = window_size * model->embedding.table.k;
    memcpy(scratch->line, part->state->body, past);
    memcpy(scratch->line + window_size - 1, part->tokens, part->count * sizeof(ink_token));
    for (size_t i = 0; i < part->count; i++)
        ink_embedding_run(&model->embedding, scratch->line + i, window_size, x + i * width);
    memcpy(part->state->body, scratch->line + part->count, past);
}

static void run(ink_context *ctx, const ink_model *model, void *scratch, const ink_part *parts, size_t n_parts,
                size_t rows, float *x)
{
    const mlp_lm_scratch *s = scratch;
    size_t width = model->info.window_size * model->embedding.table.k;
    for (size_t p = 0; p < n_parts; p++)
        gather(model, s, &parts[p], s->x + parts[p].first * width);
    INK_TRACE(ctx, "embedding", ink_tensor_2d(s->x, rows, width));
    size_t scope = ink_trace_enter(ctx, "mlp.", 0);
    ink_mlp_run(ctx, model->body, &s->mlp, s->x, rows, x);
    ink_trace_leave(ctx, scope);
}

static const ink_network network = {
    .take_state = take_state,
    .set_length = set_length,
    .words = words,
    .alloc_scratch = alloc_scratch,
    .run = run,
    .holds_tokens = true,
};

const ink_model_kind ink_kind_mlp = {.name = "mlp", .read = read, .network = &network};
