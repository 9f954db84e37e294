/*
 * own_models.c - the project's own language models, from the state_dict of plain PyTorch modules.
 *
 *     rnn, gru, lstm    h_t = cell(e(w_t), h_{t-1}),  logits = lm_head h_t + b                (Mikolov et al. 2010)
 *     mlp               h = s(W_L ... s(W_1 x_t + b_1) ... + b_L),  logits = lm_head h + b    (Bengio et al. 2003)
 *                       x_t = (e(w_{t-W+1}), ..., e(w_t)): the embeddings of the last W tokens, oldest first
 *
 * Settings and tensors are listed in inkling/model.h.
 */
#include <string.h>

#include "architectures.h"

static ink_result import_recurrent(ink_import *in)
{
    ink_config *config = &in->config;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    ink_cell cell = *(const ink_cell *)in->variant;
    const char *name = "";
    size_t embedding_size = 0;
    bool reset_after = true;
    if (cell == INK_RNN_TANH)
        INK_TRY(ink_config_string(config, "nonlinearity", &name));
    if (name[0] != '\0' && strcmp(name, "tanh") != 0 && strcmp(name, "relu") != 0)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED, "%s: nonlinearity: expected 'tanh' or 'relu', found '%s'",
                        config->document.file, name);
    if (strcmp(name, "relu") == 0)
        cell = INK_RNN_RELU;
    if (cell == INK_GRU) {
        INK_TRY(ink_config_bool(config, "reset_after", &reset_after));
        cell = reset_after ? INK_GRU : INK_GRU_RESET_BEFORE;
    }
    info->n_layers = 1;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "embedding_size", INK_MAX_WIDTH, &embedding_size));
    INK_TRY(ink_config_size(config, "hidden_size", INK_MAX_WIDTH, &info->hidden_size));
    INK_TRY(ink_config_size(config, "num_layers", INK_MAX_LAYERS, &info->n_layers));
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));

    ink_recurrent *net = &model->recurrent;
    model->network = INK_NETWORK_RECURRENT;
    INK_TRY(ink_plan_embedding(&in->plan, "embedding", info->vocab_size, embedding_size, &model->embedding));
    INK_TRY(ink_plan_recurrent(&in->plan, "rnn", cell, embedding_size, info->hidden_size, info->n_layers, net));
    if (net->n_directions != 1)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: the network is bidirectional, so it cannot predict the next token",
                        ink_weights_name(in->plan.weights));
    return ink_import_lm_head(in, true);
}

/* Layers mlp.0, mlp.2, ...: one for each element of hidden_sizes, each followed by the activation. */
static ink_result import_window(ink_import *in)
{
    ink_config *config = &in->config;
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    ink_mlp *mlp = &model->window.mlp;
    ink_activation activation = INK_TANH;
    double slope = 0.01;
    size_t embedding_size = 0, width;
    ink_json sizes;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "embedding_size", INK_MAX_WIDTH, &embedding_size));
    INK_TRY(ink_config_size(config, "window_size", INK_MAX_WIDTH / embedding_size, &info->window_size));
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));
    if (info->bos_token < 0)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                        "%s: member 'bos_token_id' is missing%s: it fills the window before the first token",
                        config->document.file,
                        ink_config_member(config, "bos_token_id") != INK_JSON_NONE ? " from the vocabulary" : "");
    INK_TRY(ink_config_activation(config, "hidden_act", &activation));
    if (activation == INK_LEAKY_RELU) {
        INK_TRY(ink_config_number(config, "negative_slope", -1e6, 1e6, "from -1e6 to 1e6", &slope));
        activation = ink_activation_with(activation, (float)slope);
    }
    INK_TRY(ink_config_array(config, "hidden_sizes", &sizes, &mlp->n_layers));

    model->network = INK_NETWORK_WINDOW;
    model->window.window_size = info->window_size;
    info->n_layers = mlp->n_layers;
    width = info->window_size * embedding_size;
    INK_TRY(ink_plan_embedding(plan, "embedding", info->vocab_size, embedding_size, &model->embedding));
    mlp->layers = ink_plan_array(plan, mlp->n_layers, sizeof *mlp->layers);
    if (mlp->layers == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: a model of %zu layers", mlp->n_layers);
    ink_json element = ink_json_first(&config->document, sizes);
    for (size_t i = 0; i < mlp->n_layers; i++, element = ink_json_next(&config->document, element)) {
        size_t scope = ink_plan_enter(plan, "mlp", 2 * i);
        INK_TRY(ink_config_element(config, element, INK_MAX_WIDTH, &info->hidden_size));
        INK_TRY(ink_plan_dense(plan, "", info->hidden_size, width, INK_BIAS_IF_THERE, activation, &mlp->layers[i]));
        width = info->hidden_size;
        ink_plan_leave(plan, scope);
    }
    /* Refuses a file with more layers than config.json, because these would be ignored silently. */
    size_t scope = ink_plan_enter(plan, "mlp", 2 * mlp->n_layers);
    if (ink_plan_has(plan, "weight"))
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: there is a layer mlp.%zu, %s asks for %zu (hidden_sizes)",
                        ink_weights_name(plan->weights), 2 * mlp->n_layers, plan->expected, mlp->n_layers);
    ink_plan_leave(plan, scope);
    return ink_import_lm_head(in, true);
}

static const ink_cell cells[] = {INK_RNN_TANH, INK_GRU, INK_LSTM};

const ink_architecture ink_own_architectures[] = {
    {.name = "rnn", .import = import_recurrent, .variant = &cells[0]},
    {.name = "gru", .import = import_recurrent, .variant = &cells[1]},
    {.name = "lstm", .import = import_recurrent, .variant = &cells[2]},
    {.name = "mlp", .import = import_window},
    {.name = NULL},
};
