/*
 * own_models.c - the project's own language models, from the state_dict of plain PyTorch modules.
 *
 *     rnn, gru, lstm    h_t = cell(e(w_t), h_{t-1}),  logits = lm_head h_t + b                (Mikolov et al. 2010)
 *     mlp               h = s(W_L ... s(W_1 x_t + b_1) ... + b_L),  logits = lm_head h + b    (Bengio et al. 2003)
 *                       x_t = (e(w_{t-W+1}), ..., e(w_t)): the embeddings of the last W tokens, oldest first
 *     seq2seq           two recurrent networks, the second of which continues from the first, with or without attention
 *                       (Sutskever et al. 2014; Cho et al. 2014; Bahdanau et al. 2014)
 *
 * Settings and tensors are listed in inkling/model.h. The modules may have any names, because these are chosen by
 * whoever wrote the model: those that do not have the usual ones are found by the shapes of their weights.
 */
#include <string.h>

#include "../formats/safetensors.h"
#include "architectures.h"

/* ---- modules ---------------------------------------------------------------------------------------------------- */

#define MAX_FOUND 64 /* modules of a model that are found by shape, and candidates for one of them */

/* A module that the model needs, or may have. */
typedef enum wanted_kind {
    WANTED_ONE,       /* the only one with its shape */
    WANTED_EMBEDDING, /* has no bias; the encoder's may share the tensor of the decoder's */
    WANTED_LAYER,     /* layers with one shape are in the order of the numbers in their names */
    WANTED_BY_NAME    /* may be missing, and is not looked for by its shape */
} wanted_kind;

typedef struct wanted_module {
    wanted_kind kind;
    const char *usual;         /* its usual name, "embedding" */
    const char *parameters[2]; /* a tensor by which it is known: "weight"; perhaps another name of it */
    size_t rows, columns;      /* the shape of that tensor; 0: any */
    const char *side;          /* of several that fit, those with this in their names count: "enc"; NULL: all */
    const char *name;          /* the result: the name in the file; NULL: it has none */
    const ink_weight *tensor;  /* of a module that was found */
} wanted_module;

typedef struct candidates {
    const char *names[MAX_FOUND];
    const ink_weight *tensors[MAX_FOUND];
    size_t n;
} candidates;

/* Finds the modules with such a tensor that are none of `taken` [n_taken]. The first of these is the embedding: only
   the last of them, the output, may share its tensor. */
static ink_result find_candidates(ink_import *in, const wanted_module *wanted, const char *parameter,
                                  const wanted_module *taken, size_t n_taken, candidates *found)
{
    const ink_weights *weights = in->plan.weights;
    size_t end = strlen(parameter);
    found->n = 0;
    for (size_t i = 0; i < ink_weights_count(weights) && found->n < MAX_FOUND; i++) {
        const ink_weight *weight = ink_weights_at(weights, i), *stored = ink_weights_stored(weights, weight);
        const size_t *dim = weight->shape.dim;
        size_t length = strlen(weight->name), before = length - ink_size_min(length, end);
        bool fits = weight->shape.rank == 2 && (wanted->rows == 0 || dim[0] == wanted->rows) &&
                    (wanted->columns == 0 || dim[1] == wanted->columns);
        if (!fits || strcmp(weight->name + before, parameter) != 0 || (before > 0 && weight->name[before - 1] != '.'))
            continue;
        const char *name = ink_arena_string(in->config.arena, weight->name, before - (before > 0));
        if (name == NULL)
            return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: finding the modules of the model");
        bool is_taken = stored == taken[0].tensor && wanted != &taken[n_taken - 1] && wanted->kind != WANTED_EMBEDDING;
        for (size_t j = 0; j < n_taken; j++)
            is_taken |= taken[j].name != NULL && strcmp(taken[j].name, name) == 0;
        if (is_taken)
            continue;
        found->names[found->n] = name;
        found->tensors[found->n++] = stored;
    }
    return INK_OK;
}

/* Of an encoder-decoder: keeps the candidates with `side` in their names, if there are any. */
static void keep_side(candidates *found, const char *side)
{
    size_t n = 0;
    for (size_t i = 0; i < found->n; i++)
        if (strstr(found->names[i], side) != NULL) {
            found->names[n] = found->names[i];
            found->tensors[n++] = found->tensors[i];
        }
    found->n = n > 0 ? n : found->n;
}

/* An embedding and the layer behind the last one may have the same shape. Keeps the candidates for the embedding: those
   without a bias; if these are several, those with "emb" in their names; of two names of one tensor the first. */
static void keep_embeddings(ink_import *in, candidates *found)
{
    for (int rule = 0; rule < 3 && found->n > 1; rule++) {
        size_t n = 0;
        for (size_t i = 0; i < found->n; i++) {
            bool keeps = rule == 0   ? !ink_plan_has_in(&in->plan, found->names[i], "bias")
                         : rule == 1 ? strstr(found->names[i], "emb") != NULL
                                     : n == 0 || found->tensors[i] != found->tensors[0];
            if (!keeps)
                continue;
            found->names[n] = found->names[i];
            found->tensors[n++] = found->tensors[i];
        }
        found->n = n > 0 ? n : found->n;
    }
}

/* Keeps the candidates for the output that share the tensor of the embedding, if there are any; if the settings say
   that the output is tied, no others. */
static void keep_tied(candidates *found, const ink_weight *embedding, bool tied)
{
    size_t n = 0;
    for (size_t i = 0; i < found->n; i++)
        if (found->tensors[i] == embedding) {
            found->tensors[n] = embedding;
            found->names[n++] = found->names[i];
        }
    found->n = n > 0 || tied ? n : found->n;
}

/* The candidate with the smallest number in its name, if the names differ in nothing but their last number ("fc1",
   "fc2", or "net.0", "net.2"); otherwise found->n. */
static size_t first_by_number(const candidates *found)
{
    size_t first = 0, prefix = 0, suffix = 0;
    uint64_t smallest = UINT64_MAX;
    for (size_t i = 0; i < found->n; i++) {
        const char *name = found->names[i];
        uint64_t number;
        size_t end = strlen(name), begin, rest = 0;
        for (; end > 0 && (name[end - 1] < '0' || name[end - 1] > '9'); end--)
            rest++;
        for (begin = end; begin > 0 && name[begin - 1] >= '0' && name[begin - 1] <= '9';)
            begin--;
        if (ink_digits(name + begin, end - begin, &number) == 0)
            return found->n;
        if (i > 0 && (begin != prefix || rest != suffix || memcmp(name, found->names[0], prefix) != 0 ||
                      strcmp(name + end, found->names[0] + strlen(found->names[0]) - suffix) != 0))
            return found->n;
        prefix = begin;
        suffix = rest;
        if (number < smallest) {
            smallest = number;
            first = i;
        }
    }
    return first;
}

/* Finds the names of the modules [n], of which the first is the embedding and the last the output: those that `modules`
   of config.json gives ({"rnn": "encoder.lstm"}), then the usual names, then by shape. Modules of one shape, which are
   layers of an MLP, are in the order of the numbers in their names. A module that is not found keeps its usual name,
   and planning says what is missing. */
static ink_result find_wanted(ink_import *in, wanted_module *modules, size_t n, bool *searched)
{
    const ink_json_document *document = &in->config.document;
    ink_json given = ink_config_member(&in->config, "modules");
    candidates found;
    bool tied = false;
    *searched = false;
    INK_TRY(ink_json_read_bool(in->ctx, document, 0, "tie_word_embeddings", &tied));
    if (given != INK_JSON_NONE)
        INK_TRY(ink_json_expect(in->ctx, document, given, INK_JSON_OBJECT));
    ink_json key = given != INK_JSON_NONE ? ink_json_first(document, given) : INK_JSON_NONE;
    for (; key != INK_JSON_NONE && n <= MAX_FOUND; key = ink_json_next(document, key)) {
        size_t i = 0;
        while (i < n && strcmp(document->nodes[key].key, modules[i].usual) != 0)
            i++;
        if (i == n)
            return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: modules: there is no module '%s', only %s, %s, ..., %s",
                            document->file, document->nodes[key].key, modules[0].usual, modules[1].usual,
                            modules[n - 1].usual);
    }
    for (size_t i = 0; i < n; i++) {
        wanted_module *m = &modules[i];
        if (given != INK_JSON_NONE)
            INK_TRY(ink_json_read_string(in->ctx, document, given, m->usual, &m->name));
        for (size_t j = 0; j < 2 && m->name == NULL && m->parameters[j] != NULL; j++)
            if (ink_plan_has_in(&in->plan, m->usual, m->parameters[j]))
                m->name = m->usual;
    }
    if (modules[0].name != NULL) {
        size_t scope = ink_plan_enter_module(&in->plan, modules[0].name);
        const ink_weight *table = ink_plan_find(&in->plan, "weight");
        modules[0].tensor = table != NULL ? ink_weights_stored(in->plan.weights, table) : NULL;
        ink_plan_leave(&in->plan, scope);
    }
    for (size_t i = 0; i < n; i++) {
        wanted_module *m = &modules[i];
        size_t same = 0;
        if (m->name != NULL || m->kind == WANTED_BY_NAME)
            continue;
        m->name = m->usual;
        if (n > MAX_FOUND)
            continue;
        for (size_t j = i; j < n; j++) /* the module itself, and those like a layer that are not found yet */
            same +=
                j == i || (m->kind == WANTED_LAYER && modules[j].name == NULL && modules[j].rows == m->rows &&
                           modules[j].columns == m->columns && strcmp(modules[j].parameters[0], m->parameters[0]) == 0);
        INK_TRY(find_candidates(in, m, m->parameters[0], modules, n, &found));
        if (found.n == 0 && m->parameters[1] != NULL)
            INK_TRY(find_candidates(in, m, m->parameters[1], modules, n, &found));
        if (m->side != NULL)
            keep_side(&found, m->side);
        if (m->kind == WANTED_EMBEDDING)
            keep_embeddings(in, &found);
        if (i == n - 1)
            keep_tied(&found, modules[0].tensor, tied);
        if (found.n == 0)
            continue;
        size_t first = found.n == 1 ? 0 : found.n == same ? first_by_number(&found) : found.n;
        if (first == found.n) {
            char list[300];
            size_t used = 0;
            for (size_t j = 0; j < found.n; j++)
                used += ink_format(list + used, sizeof list - used, "%s'%s'", j == 0 ? "" : ", ", found.names[j]);
            return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                            "%s: which module is '%s': %.300s? Say it in %s: \"modules\": {\"%s\": ...}",
                            ink_weights_name(in->plan.weights), m->usual, list, document->file, m->usual);
        }
        m->name = found.names[first];
        m->tensor = found.tensors[first];
        *searched = true;
    }
    return INK_OK;
}

/* A model whose modules were found by shape, or may be there or not, must use all tensors of its file, because others
   may be parts of the network that would be left out silently. */
static ink_result require_all_used(ink_import *in)
{
    const ink_weights *weights = in->plan.weights;
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *weight = ink_weights_at(weights, i);
        if (!in->plan.used[ink_weights_stored(weights, weight) - ink_weights_at(weights, 0)])
            return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: tensor '%s' is no part of a model of kind %s: its modules are found by their shapes "
                            "or by `modules` "
                            "in %s, so all tensors must belong to it",
                            ink_weights_name(weights), weight->name, in->model->info.kind, in->config.document.file);
    }
    return INK_OK;
}

/* ---- models ----------------------------------------------------------------------------------------------------- */

/* The number of `name`, the value of a setting, among `names` [n]. */
static ink_result find_choice(const ink_config *config, const char *key, const char *name, const char *const *names,
                              size_t n, size_t *choice)
{
    char list[200];
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, names[i]) == 0) {
            *choice = i;
            return INK_OK;
        }
        used += ink_format(list + used, sizeof list - used, "%s'%s'",
                           i == 0      ? ""
                           : i + 1 < n ? ", "
                                       : " or ",
                           names[i]);
    }
    return ink_fail(config->ctx, INK_ERROR_UNSUPPORTED, "%s: %s: expected %s, found '%s'", config->document.file, key,
                    list, name);
}

/* The settings of an RNN or a GRU make one of its kinds of it. */
static ink_result read_cell(ink_config *config, ink_cell *cell)
{
    static const char *const nonlinearities[] = {"tanh", "relu"};
    const char *name = "";
    size_t choice = 0;
    bool reset_after = true;
    if (*cell == INK_RNN_TANH) {
        INK_TRY(ink_config_string(config, "nonlinearity", &name));
        if (name[0] != '\0')
            INK_TRY(find_choice(config, "nonlinearity", name, nonlinearities, 2, &choice));
        *cell = choice == 0 ? INK_RNN_TANH : INK_RNN_RELU;
    }
    if (*cell == INK_GRU) {
        INK_TRY(ink_config_bool(config, "reset_after", &reset_after));
        *cell = reset_after ? INK_GRU : INK_GRU_RESET_BEFORE;
    }
    return INK_OK;
}

static const ink_cell cells[] = {INK_RNN_TANH, INK_GRU, INK_LSTM};

static ink_result import_recurrent(ink_import *in)
{
    ink_config *config = &in->config;
    ink_model *model = in->model;
    ink_model_info *info = &model->info;
    ink_cell cell = *(const ink_cell *)in->variant;
    size_t embedding_size = 0;
    INK_TRY(read_cell(config, &cell));
    info->n_layers = 1;
    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "embedding_size", INK_MAX_WIDTH, &embedding_size));
    INK_TRY(ink_config_size(config, "hidden_size", INK_MAX_WIDTH, &info->hidden_size));
    INK_TRY(ink_config_size(config, "num_layers", INK_MAX_LAYERS, &info->n_layers));
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));

    ink_recurrent *net = &model->recurrent;
    model->network = INK_NETWORK_RECURRENT;
    wanted_module modules[] = {
        {.kind = WANTED_EMBEDDING,
         .usual = "embedding",
         .parameters = {"weight"},
         .rows = info->vocab_size,
         .columns = embedding_size},
        {.usual = "rnn", .parameters = {"weight_hh_l0", "weight_hh"}},
        {.usual = "lm_head", .parameters = {"weight"}, .rows = info->vocab_size, .columns = info->hidden_size}};
    bool searched;
    INK_TRY(find_wanted(in, modules, 3, &searched));
    INK_TRY(ink_plan_embedding(&in->plan, modules[0].name, info->vocab_size, embedding_size, &model->embedding));
    INK_TRY(
        ink_plan_recurrent(&in->plan, modules[1].name, cell, embedding_size, info->hidden_size, info->n_layers, net));
    if (net->n_directions != 1)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: the network is bidirectional, so it cannot predict the next token",
                        ink_weights_name(in->plan.weights));
    INK_TRY(ink_import_lm_head(in, modules[2].name, true));
    return searched ? require_all_used(in) : INK_OK;
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
    mlp->layers = ink_plan_array(plan, mlp->n_layers, sizeof *mlp->layers);
    /* With more layers than tensors, planning ends at a missing tensor. */
    size_t n = ink_size_min(mlp->n_layers, ink_weights_count(plan->weights) + 1);
    wanted_module *modules = ink_arena_alloc(config->arena, n + 2, sizeof *modules);
    if (mlp->layers == NULL || modules == NULL)
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: a model of %zu layers", mlp->n_layers);
    memset(modules, 0, (n + 2) * sizeof *modules);
    modules[0] = (wanted_module){.kind = WANTED_EMBEDDING,
                                 .usual = "embedding",
                                 .parameters = {"weight"},
                                 .rows = info->vocab_size,
                                 .columns = embedding_size};
    ink_json element = ink_json_first(&config->document, sizes);
    for (size_t i = 0; i < mlp->n_layers; i++, element = ink_json_next(&config->document, element)) {
        char usual[32];
        INK_TRY(ink_config_element(config, element, INK_MAX_WIDTH, &info->hidden_size));
        size_t length = ink_format(usual, sizeof usual, "mlp.%zu", 2 * i);
        if (i < n)
            modules[1 + i] = (wanted_module){.kind = WANTED_LAYER,
                                             .usual = ink_arena_string(config->arena, usual, length),
                                             .parameters = {"weight"},
                                             .rows = info->hidden_size,
                                             .columns = width};
        width = info->hidden_size;
    }
    modules[1 + n] =
        (wanted_module){.usual = "lm_head", .parameters = {"weight"}, .rows = info->vocab_size, .columns = width};
    if (ink_arena_failed(config->arena))
        return ink_fail(in->ctx, INK_ERROR_MEMORY, "out of memory: a model of %zu layers", mlp->n_layers);

    bool searched;
    INK_TRY(find_wanted(in, modules, n + 2, &searched));
    INK_TRY(ink_plan_embedding(plan, modules[0].name, info->vocab_size, embedding_size, &model->embedding));
    for (size_t i = 0; i < n; i++) {
        const wanted_module *m = &modules[1 + i];
        INK_TRY(ink_plan_dense(plan, m->name, m->rows, m->columns, INK_BIAS_IF_THERE, activation, &mlp->layers[i]));
    }
    /* Refuses a file with more layers than config.json, because these would be ignored silently. */
    size_t scope = ink_plan_enter(plan, "mlp", 2 * mlp->n_layers);
    if (ink_plan_has(plan, "weight"))
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: there is a layer mlp.%zu, %s asks for %zu (hidden_sizes)",
                        ink_weights_name(plan->weights), 2 * mlp->n_layers, plan->expected, mlp->n_layers);
    ink_plan_leave(plan, scope);
    INK_TRY(ink_import_lm_head(in, modules[1 + n].name, true));
    return searched ? require_all_used(in) : INK_OK;
}

/* ---- encoder-decoders ------------------------------------------------------------------------------------------- */

/* The most tokens of a source that attention sees, if a folder says nothing else. */
#define USUAL_SOURCE ((size_t)1024)

/* The parts of the row that the decoder's cell or the output sees, in the order of the columns of its weight. Without
   the setting *row stays. `first` is the first part that it may have. */
static ink_result read_step_row(ink_import *in, const char *key, ink_step_part first, size_t most, ink_step_row *row)
{
    static const char *const names[] = {"hidden", "embedding", "context"};
    ink_config *config = &in->config;
    size_t n_names = in->model->decoder.context != INK_CONTEXT_NONE ? 3 : 2, choice = 0;
    const char *name;
    ink_json parts;
    if (ink_config_member(config, key) == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_config_array(config, key, &parts, &row->n));
    if (row->n > most)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: %s: %zu parts, expected at most %zu", config->document.file,
                        key, row->n, most);
    ink_json part = ink_json_first(&config->document, parts);
    for (size_t i = 0; i < row->n; i++, part = ink_json_next(&config->document, part)) {
        INK_TRY(ink_config_element_string(config, part, &name));
        INK_TRY(find_choice(config, key, name, names + first, n_names - first, &choice));
        row->parts[i] = (ink_step_part)(first + choice);
    }
    return INK_OK;
}

/* Without the setting lm_head_input, the number of columns of the output says what it sees: h, [h; c] or [h; c; e]. */
static ink_result describe_output(ink_import *in, const char *module, ink_step_row *row)
{
    static const ink_step_row usual[] = {
        {.n = 1, .parts = {INK_STEP_HIDDEN}},
        {.n = 2, .parts = {INK_STEP_HIDDEN, INK_STEP_CONTEXT}},
        {.n = 3, .parts = {INK_STEP_HIDDEN, INK_STEP_CONTEXT, INK_STEP_EMBEDDING}},
    };
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    size_t n, width = model->embedding.table.k; /* of a tied output */
    size_t scope = ink_plan_enter_module(plan, module);
    if (ink_plan_has(plan, "weight"))
        INK_TRY(ink_plan_matrix_shape(plan, "weight", false, &n, &width));
    ink_plan_leave(plan, scope);
    size_t n_usual = model->decoder.context != INK_CONTEXT_NONE ? 3 : 1, h = model->recurrent.h_size;
    for (size_t i = 0; i < n_usual && row->n == 0; i++)
        if (ink_step_row_size(model, &usual[i]) == width)
            *row = usual[i];
    if (row->n == 0)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                        "%s: the output '%s' has %zu columns, expected %zu for the hidden state%s (lm_head_input in %s "
                        "can name other parts)",
                        ink_weights_name(plan->weights), module, width, h,
                        n_usual == 1 ? "" : ", or as many more as the context has, or also the embedding",
                        plan->expected);
    model->info.hidden_size = ink_step_row_size(model, row);
    return INK_OK;
}

/* A bridge sees [h; h_reverse] of a layer of the encoder, or only h_reverse (Bahdanau et al. 2014). */
static ink_result plan_bridge(ink_import *in, const char *module, ink_activation activation, ink_dense *bridge)
{
    ink_plan *plan = &in->plan;
    const ink_recurrent *encoder = &in->model->source.recurrent;
    size_t n, k, width = encoder->n_directions * encoder->h_size;
    if (module == NULL)
        return INK_OK;
    size_t scope = ink_plan_enter_module(plan, module);
    INK_TRY(ink_plan_matrix_shape(plan, "weight", false, &n, &k));
    ink_plan_leave(plan, scope);
    return ink_plan_dense(plan, module, in->model->recurrent.h_size, k == encoder->h_size ? k : width,
                          INK_BIAS_IF_THERE, activation, bridge);
}

/* What the states of the two halves need to fit together. */
static ink_result check_states(ink_import *in)
{
    const ink_model *model = in->model;
    const ink_recurrent *encoder = &model->source.recurrent, *decoder = &model->recurrent;
    const ink_dense *bridge = model->source.bridge;
    size_t width = encoder->n_directions * encoder->h_size;
    if (decoder->n_directions != 1)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: the decoder is bidirectional, so it cannot predict the next token",
                        ink_weights_name(in->plan.weights));
    if (decoder->n_layers != encoder->n_layers && decoder->n_layers != 1)
        return ink_fail(in->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: num_layers: a decoder of %zu layers cannot continue from an encoder of %zu, only from as "
                        "many or with one layer from the last",
                        in->config.document.file, decoder->n_layers, encoder->n_layers);
    if (bridge[1].weight.n != 0 && decoder->cell != INK_LSTM)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH, "%s: there is a module 'bridge_cell', but only an lstm has a cell",
                        ink_weights_name(in->plan.weights));
    if (bridge[0].weight.n == 0 && width != decoder->h_size)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                        "%s: the last state of the encoder has size %zu, but the decoder begins with one of size %zu: "
                        "which module is 'bridge'? Say it in %s: \"modules\": {\"bridge\": ...}",
                        ink_weights_name(in->plan.weights), width, decoder->h_size, in->config.document.file);
    return INK_OK;
}

/* The settings of an encoder-decoder that are no part of the model. */
typedef struct seq2seq_settings {
    ink_cell cell;
    size_t embedding_size, hidden_size, n_layers;                      /* of the decoder */
    size_t source_embedding_size, source_hidden_size, n_source_layers; /* of the encoder */
    size_t attention_size;
    bool bidirectional; /* the encoder */
    ink_activation bridge_activation;
} seq2seq_settings;

static ink_result describe_seq2seq(ink_import *in, seq2seq_settings *s)
{
    static const char *const cell_names[] = {"rnn", "gru", "lstm"};
    static const char *const contexts[] = {"none", "final", "additive"};
    ink_config *config = &in->config;
    ink_model_info *info = &in->model->info;
    ink_encoder_decoder_info *pair = &in->model->encoder_decoder;
    ink_recurrent_decoder *decoder = &in->model->decoder;
    size_t choice = 0;
    const char *name;
    *s = (seq2seq_settings){.n_layers = 1, .bridge_activation = INK_TANH};
    INK_TRY(ink_config_string(config, "cell", &name));
    INK_TRY(find_choice(config, "cell", name, cell_names, 3, &choice));
    s->cell = cells[choice];
    INK_TRY(read_cell(config, &s->cell));
    INK_TRY(ink_config_string(config, "attention", &name));
    INK_TRY(find_choice(config, "attention", name[0] != '\0' ? name : "none", contexts, 3, &choice));
    decoder->context = (ink_context_vector)choice;

    INK_TRY(ink_config_size(config, "vocab_size", INK_MAX_IDS, &info->vocab_size));
    INK_TRY(ink_config_size(config, "embedding_size", INK_MAX_WIDTH, &s->embedding_size));
    INK_TRY(ink_config_size(config, "hidden_size", INK_MAX_WIDTH, &s->hidden_size));
    INK_TRY(ink_config_size(config, "num_layers", INK_MAX_LAYERS, &s->n_layers));
    pair->source_vocab_size = info->vocab_size;
    s->source_embedding_size = s->embedding_size;
    s->source_hidden_size = s->attention_size = s->hidden_size;
    s->n_source_layers = info->n_layers = s->n_layers;
    INK_TRY(ink_config_size(config, "source_vocab_size", INK_MAX_IDS, &pair->source_vocab_size));
    INK_TRY(ink_config_size(config, "encoder_embedding_size", INK_MAX_WIDTH, &s->source_embedding_size));
    INK_TRY(ink_config_size(config, "encoder_hidden_size", INK_MAX_WIDTH, &s->source_hidden_size));
    INK_TRY(ink_config_size(config, "encoder_num_layers", INK_MAX_LAYERS, &s->n_source_layers));
    INK_TRY(ink_config_size(config, "attention_size", INK_MAX_WIDTH, &s->attention_size));
    INK_TRY(ink_config_bool(config, "bidirectional", &s->bidirectional));
    INK_TRY(ink_config_activation(config, "bridge_act", &s->bridge_activation));
    INK_TRY(ink_config_activation(config, "decoder_embedding_act", &decoder->embedding_activation));
    INK_TRY(ink_config_token(config, "bos_token_id", info->vocab_size, &info->bos_token));
    pair->start_token = info->bos_token;
    INK_TRY(ink_config_token(config, "decoder_start_token_id", info->vocab_size, &pair->start_token));
    pair->source_size = s->source_hidden_size << s->bidirectional;
    if (decoder->context == INK_CONTEXT_ADDITIVE) { /* what is kept of a source grows with it */
        pair->source_length = USUAL_SOURCE;
        INK_TRY(ink_config_size(config, "max_source_length", INK_MAX_IDS, &pair->source_length));
    }
    decoder->input = (ink_step_row){.n = decoder->context != INK_CONTEXT_NONE ? 2 : 1,
                                    .parts = {INK_STEP_EMBEDDING, INK_STEP_CONTEXT}};
    INK_TRY(read_step_row(in, "rnn_input", INK_STEP_EMBEDDING, 2, &decoder->input));
    return read_step_row(in, "lm_head_input", INK_STEP_HIDDEN, 3, &decoder->output);
}

/* W_a, U_a and v of additive attention, which are the modules from `m` on. */
static ink_result plan_additive(ink_import *in, const wanted_module *m, bool joint, ink_additive *attention)
{
    ink_plan *plan = &in->plan;
    attention->row_size = in->model->encoder_decoder.source_size;
    if (!joint) {
        INK_TRY(ink_plan_dense(plan, m->name, m->rows, m->columns, INK_BIAS_IF_THERE, INK_IDENTITY, &attention->query));
        m++;
    }
    INK_TRY(ink_plan_dense(plan, m->name, m->rows, m->columns, INK_BIAS_IF_THERE, INK_IDENTITY, &attention->key));
    m++;
    return ink_plan_dense(plan, m->name, m->rows, m->columns, INK_BIAS_IF_THERE, INK_IDENTITY, &attention->score);
}

/*
 * The modules of both halves, by their usual names:
 *
 *     encoder.embedding, encoder.rnn     decoder.embedding, decoder.rnn, lm_head
 *     bridge, bridge_cell                Linear layers between their states, or none
 *     attention.query, .key, .score      W_a, U_a and v; attention.query_key is [W_a, U_a] in one Linear layer
 *
 * Bridges and attention.query_key are not looked for by their shapes, which say too little.
 */
enum { DECODER_EMBEDDING, ENCODER_EMBEDDING, ENCODER_RNN, DECODER_RNN, BRIDGE, BRIDGE_CELL, ATTENTION };

static ink_result import_seq2seq(ink_import *in)
{
    ink_config *config = &in->config;
    ink_plan *plan = &in->plan;
    ink_model *model = in->model;
    ink_recurrent_decoder *decoder = &model->decoder;
    ink_source_net *source = &model->source;
    seq2seq_settings s;
    INK_TRY(describe_seq2seq(in, &s));
    size_t vocab_size = model->info.vocab_size, row_size = model->encoder_decoder.source_size;

    ink_json given = ink_config_member(config, "modules");
    const char *both = NULL;
    if (given != INK_JSON_NONE && config->document.nodes[given].kind == INK_JSON_OBJECT)
        INK_TRY(ink_json_read_string(in->ctx, &config->document, given, "attention.query_key", &both));
    bool joint = both != NULL || ink_plan_has_in(plan, "attention.query_key", "weight"), searched;
    wanted_module m[ATTENTION + 4] = {
        [DECODER_EMBEDDING] = {WANTED_EMBEDDING, "decoder.embedding", .rows = vocab_size, .columns = s.embedding_size},
        [ENCODER_EMBEDDING] = {WANTED_EMBEDDING, "encoder.embedding", .rows = model->encoder_decoder.source_vocab_size,
                               .columns = s.source_embedding_size},
        [ENCODER_RNN] = {WANTED_ONE, "encoder.rnn", {"weight_hh_l0", "weight_hh"}, .columns = s.source_hidden_size},
        [DECODER_RNN] = {WANTED_ONE, "decoder.rnn", {"weight_hh_l0", "weight_hh"}, .columns = s.hidden_size},
        [BRIDGE] = {.kind = WANTED_BY_NAME, .usual = "bridge"},
        [BRIDGE_CELL] = {.kind = WANTED_BY_NAME, .usual = "bridge_cell"},
    };
    size_t n = ATTENTION;
    if (decoder->context == INK_CONTEXT_ADDITIVE && joint)
        m[n++] = (wanted_module){
            .usual = "attention.query_key", .rows = s.attention_size, .columns = s.hidden_size + row_size};
    if (decoder->context == INK_CONTEXT_ADDITIVE && !joint) {
        m[n++] = (wanted_module){.usual = "attention.query", .rows = s.attention_size, .columns = s.hidden_size};
        m[n++] = (wanted_module){.usual = "attention.key", .rows = s.attention_size, .columns = row_size};
    }
    if (decoder->context == INK_CONTEXT_ADDITIVE)
        m[n++] = (wanted_module){.usual = "attention.score", .rows = 1, .columns = s.attention_size};
    m[n++] = (wanted_module){.usual = "lm_head", .rows = vocab_size};
    for (size_t i = 0; i < n; i++) { /* the halves and the attention often have their names in those of their modules */
        m[i].side = i == n - 1 || m[i].usual[0] == 'd' ? "dec" : m[i].usual[0] == 'e' ? "enc" : "att";
        if (m[i].parameters[0] == NULL)
            m[i].parameters[0] = "weight";
    }
    INK_TRY(find_wanted(in, m, n, &searched));

    model->is_encoder_decoder = true;
    model->network = source->network = INK_NETWORK_RECURRENT;
    source->embedding = &source->own;
    const wanted_module *embedding = &m[ENCODER_EMBEDDING];
    INK_TRY(ink_plan_embedding(plan, embedding->name, embedding->rows, embedding->columns, &source->own));
    INK_TRY(ink_plan_recurrent(plan, m[ENCODER_RNN].name, s.cell, embedding->columns, s.source_hidden_size,
                               s.n_source_layers, &source->recurrent));
    if (source->recurrent.n_directions != 1u + s.bidirectional)
        return ink_fail(in->ctx, INK_ERROR_MISMATCH,
                        "%s: the encoder '%s' runs in %zu directions, %s asks for %d (bidirectional)",
                        ink_weights_name(plan->weights), m[ENCODER_RNN].name, source->recurrent.n_directions,
                        plan->expected, 1 + s.bidirectional);
    embedding = &m[DECODER_EMBEDDING];
    INK_TRY(ink_plan_embedding(plan, embedding->name, embedding->rows, embedding->columns, &model->embedding));
    INK_TRY(ink_plan_recurrent(plan, m[DECODER_RNN].name, s.cell, ink_step_row_size(model, &decoder->input),
                               s.hidden_size, s.n_layers, &model->recurrent));
    INK_TRY(plan_bridge(in, m[BRIDGE].name, s.bridge_activation, &source->bridge[0]));
    INK_TRY(plan_bridge(in, m[BRIDGE_CELL].name, s.bridge_activation, &source->bridge[1]));
    INK_TRY(check_states(in));
    if (decoder->context == INK_CONTEXT_ADDITIVE)
        INK_TRY(plan_additive(in, &m[ATTENTION], joint, &decoder->attention));
    INK_TRY(describe_output(in, m[n - 1].name, &decoder->output));
    INK_TRY(ink_import_lm_head(in, m[n - 1].name, true));
    return require_all_used(in);
}

const ink_architecture ink_own_architectures[] = {
    {.name = "rnn", .import = import_recurrent, .variant = &cells[0]},
    {.name = "gru", .import = import_recurrent, .variant = &cells[1]},
    {.name = "lstm", .import = import_recurrent, .variant = &cells[2]},
    {.name = "mlp", .import = import_window},
    {.name = "seq2seq", .import = import_seq2seq},
    {.name = NULL},
};
