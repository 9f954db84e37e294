/*
 * rnn_lm.c - language models over a recurrent network (Mikolov et al. 2010): rnn, gru and lstm.
 *
 *     h_t = cell(e(w_t), h_{t-1})               one or more layers; formulas in inkling/recurrent.h
 *     logits = lm_head h_t + b
 *
 * One page for the three: they differ in the cell. A state is the hidden (and cell) vectors, the same size however
 * long the text gets.
 */
#include <string.h>

#include "kind.h"

/* ---- reading -------------------------------------------------------------------------------------------------- */

static ink_result read_settings(ink_config *config, ink_model_info *info, size_t *embedding_size)
{
    *embedding_size = 0;
    info->n_layers = 1;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "embedding_size", INK_MAX_WIDTH, embedding_size));
    INK_TRY(ink_config_size(config, "hidden_size", INK_MAX_WIDTH, &info->hidden_size));
    INK_TRY(ink_config_size(config, "num_layers", INK_MAX_LAYERS, &info->n_layers));
    return ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token);
}

static ink_result read(ink_loader *loader, ink_config *config, ink_model *model, ink_cell cell)
{
    ink_model_info *info = &model->info;
    ink_recurrent spare;
    ink_recurrent *recurrent = ink_arena_alloc(loader->arena, 1, sizeof *recurrent);
    size_t embedding_size;
    if (recurrent == NULL)
        recurrent = &spare;
    INK_TRY(read_settings(config, info, &embedding_size));
    INK_TRY(ink_embedding_read(loader, "embedding", info->vocab_size, embedding_size, &model->embedding));
    INK_TRY(ink_recurrent_read(loader, "rnn", cell, embedding_size, info->hidden_size, info->n_layers, recurrent));
    if (recurrent->n_directions != 1)
        return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: the network is bidirectional, which cannot predict a next token",
                        ink_weights_name(loader->weights));
    model->body = recurrent;
    return ink_head_read(loader, config, true, model);
}

static ink_result read_rnn(ink_loader *loader, ink_config *config, ink_model *model)
{
    const char *name;
    INK_TRY(ink_config_string(config, "nonlinearity", &name));
    if (name[0] == '\0' || strcmp(name, "tanh") == 0)
        return read(loader, config, model, INK_RNN_TANH);
    if (strcmp(name, "relu") == 0)
        return read(loader, config, model, INK_RNN_RELU);
    return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED, "%s: nonlinearity: expected 'tanh' or 'relu', found '%s'",
                    config->document.file, name);
}

static ink_result read_gru(ink_loader *loader, ink_config *config, ink_model *model)
{
    return read(loader, config, model, INK_GRU);
}

static ink_result read_lstm(ink_loader *loader, ink_config *config, ink_model *model)
{
    return read(loader, config, model, INK_LSTM);
}

/* ---- state: h of all layers, and c --------------------------------------------------------------------------- */

static void *take_state(ink_context *ctx, ink_arena *arena, const ink_model *model, size_t capacity)
{
    (void)ctx, (void)capacity;
    return ink_arena_alloc(arena, ink_recurrent_state_size(model->body), sizeof(float));
}

static void set_length(ink_state *state, size_t length)
{
    if (length == 0)
        memset(state->body, 0, ink_recurrent_state_size(state->model->body) * sizeof(float));
}

static bool words(const ink_state *state, size_t i, ink_words *words)
{
    *words = (ink_words){.first = state->body, .count = ink_recurrent_state_size(state->model->body)};
    return i == 0;
}

/* ---- running -------------------------------------------------------------------------------------------------- */

typedef struct rnn_lm_scratch {
    ink_sequence *sequences; /* [parts] */
    float *embedded;         /* [rows, embedding size] */
    ink_recurrent_scratch recurrent;
} rnn_lm_scratch;

static void *alloc_scratch(ink_arena *arena, const ink_model *model, const ink_pass_size *size)
{
    size_t n_parts = ink_size_min(size->rows, size->n_items);
    rnn_lm_scratch spare;
    rnn_lm_scratch *taken = ink_arena_alloc(arena, 1, sizeof *taken);
    rnn_lm_scratch *scratch = taken != NULL ? taken : &spare;
    scratch->sequences = ink_arena_alloc(arena, n_parts, sizeof *scratch->sequences);
    scratch->embedded = ink_alloc_rows(arena, size->rows, model->embedding.table.k);
    ink_recurrent_alloc_scratch(arena, model->body, n_parts, size->rows, &scratch->recurrent);
    return taken;
}

static void run(ink_context *ctx, const ink_model *model, void *scratch, const ink_part *parts, size_t n_parts,
                size_t rows, float *x)
{
    const rnn_lm_scratch *s = scratch;
    size_t embedding_size = model->embedding.table.k;
    for (size_t p = 0; p < n_parts; p++) {
        const ink_part *part = &parts[p];
        float *embedded = s->embedded + part->first * embedding_size;
        ink_embedding_run(&model->embedding, part->tokens, part->count, embedded);
        s->sequences[p] = (ink_sequence){.x = embedded,
                                         .y = x + part->first * model->info.hidden_size,
                                         .n_steps = part->count,
                                         .state = part->state->body};
    }
    INK_TRACE(ctx, "embedding", ink_tensor_2d(s->embedded, rows, embedding_size));
    size_t scope = ink_trace_enter(ctx, "rnn.", 0);
    ink_recurrent_run(ctx, model->body, &s->recurrent, s->sequences, n_parts);
    ink_trace_leave(ctx, scope);
}

static const ink_network network = {
    .take_state = take_state,
    .set_length = set_length,
    .words = words,
    .alloc_scratch = alloc_scratch,
    .run = run,
};

const ink_model_kind ink_kind_rnn = {.name = "rnn", .read = read_rnn, .network = &network};
const ink_model_kind ink_kind_gru = {.name = "gru", .read = read_gru, .network = &network};
const ink_model_kind ink_kind_lstm = {.name = "lstm", .read = read_lstm, .network = &network};
