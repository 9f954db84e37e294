/*
 * plan_layers.c - plans layers: modules whose weights are several tensors, by the names that PyTorch gives them
 * (plan.h).
 */
#include <string.h>

#include "../base/bytes.h"
#include "plan.h"

/* ---- layers ----------------------------------------------------------------------------------------------------- */

ink_result ink_plan_check_bias(ink_plan *plan, const char *module, ink_bias_rule rule)
{
    char full[INK_NAME_SIZE];
    size_t scope = ink_plan_enter_module(plan, module);
    bool there = ink_plan_has(plan, "bias");
    if (rule == INK_BIAS_REQUIRED && !there)
        return ink_fail(plan->ctx, INK_ERROR_NOT_FOUND, "%s: there is no tensor '%.300s'",
                        ink_weights_name(plan->weights), ink_plan_full_name(plan, "bias", full));
    if (rule == INK_BIAS_REFUSED && there)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: there is a tensor '%.300s', %s asks for none",
                        ink_weights_name(plan->weights), ink_plan_full_name(plan, "bias", full), plan->expected);
    ink_plan_leave(plan, scope);
    return INK_OK;
}

static ink_result plan_dense(ink_plan *plan, const char *module, size_t out, size_t in, bool transposed,
                             ink_bias_rule bias, ink_activation activation, ink_dense *dense)
{
    size_t file_out, file_in;
    INK_TRY(ink_plan_check_bias(plan, module, bias));
    size_t scope = ink_plan_enter_module(plan, module);
    INK_TRY(ink_plan_matrix_shape(plan, "weight", transposed, &file_out, &file_in));
    out = out != 0 ? out : file_out;
    INK_TRY(ink_plan_matrix(plan, "weight", out, in != 0 ? in : file_in, transposed, &dense->weight));
    INK_TRY(ink_plan_optional_vector(plan, "bias", out, &dense->bias));
    dense->activation = activation;
    ink_plan_leave(plan, scope);
    return INK_OK;
}

ink_result ink_plan_dense(ink_plan *plan, const char *module, size_t out, size_t in, ink_bias_rule bias,
                          ink_activation activation, ink_dense *dense)
{
    return plan_dense(plan, module, out, in, false, bias, activation, dense);
}

ink_result ink_plan_dense_transposed(ink_plan *plan, const char *module, size_t out, size_t in, ink_bias_rule bias,
                                     ink_activation activation, ink_dense *dense)
{
    return plan_dense(plan, module, out, in, true, bias, activation, dense);
}

ink_result ink_plan_conv1d(ink_plan *plan, const char *module, size_t in, const ink_conv1d_options *options,
                           ink_conv1d *conv)
{
    size_t scope = ink_plan_enter_module(plan, module), groups = options != NULL ? options->groups : 0;
    const ink_weight *weight = ink_plan_find(plan, "weight");
    groups = ink_size_max(groups, 1);
    if (weight == NULL)
        return ink_plan_fail_missing(plan, "weight");
    const size_t *dim = weight->shape.dim;
    if (weight->shape.rank != 3)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH,
                        "%s: tensor '%s' is %s, expected the weight [out, in / groups, kernel_size] of an nn.Conv1d",
                        weight->file, weight->name, INK_SHAPE(&weight->shape));
    ink_shape shape = {.rank = 3, .dim = {dim[0], in != 0 ? in / groups : dim[1], dim[2]}};
    INK_TRY(ink_plan_look_up(plan, "weight", &shape, &weight));
    if (in == 0 && !ink_size_mul(dim[1], groups, &in))
        in = dim[1];
    ink_result described = ink_conv1d_describe(plan->ctx, in, dim[0], dim[2], options, conv);
    if (described != INK_OK)
        return ink_fail_in(plan->ctx, described, weight->name);
    if (conv->groups != 1) {
        INK_TRY(ink_plan_add_row(plan, (ink_plan_row){.source = weight,
                                                      .vector = &conv->taps,
                                                      .n = dim[0] * dim[2],
                                                      .n_total = dim[0] * dim[2],
                                                      .taps = dim[2],
                                                      .begins = true}));
        if (!ink_plan_has(plan, "bias"))
            INK_TRY(ink_plan_zeros(plan, dim[0], &conv->dense.bias));
    } else {
        ink_type type;
        INK_TRY(ink_plan_type(plan, weight->type, dim[0], dim[1] * dim[2], &type));
        conv->dense.weight = ink_matrix_over(NULL, dim[0], dim[1] * dim[2], dim[1] * dim[2], type);
        INK_TRY(ink_plan_add_row(
            plan, (ink_plan_row){.source = weight, .matrix = &conv->dense.weight, .taps = dim[2], .begins = true}));
    }
    INK_TRY(ink_plan_optional_vector(plan, "bias", dim[0], &conv->dense.bias));
    ink_plan_leave(plan, scope);
    return INK_OK;
}

ink_result ink_plan_dense_parts(ink_plan *plan, const ink_plan_part *parts, size_t n_parts, size_t in, ink_dense *dense)
{
    const ink_weight *weights[INK_PLAN_PARTS], *biases[INK_PLAN_PARTS] = {NULL};
    ink_type stored = INK_TYPE_NONE; /* the type of all parts if they have the same, else F32 */
    ink_matrix *apart = NULL;        /* a matrix for each part: quantised ones stay what they are */
    size_t out = 0, n_biases = 0;
    bool quantised = false;
    for (size_t i = 0; i < n_parts; i++) {
        size_t scope = ink_plan_enter_module(plan, parts[i].module);
        const char *weight = parts[i].weight != NULL ? parts[i].weight : "weight";
        INK_TRY(ink_plan_look_up(plan, weight, &(ink_shape){.rank = 2, .dim = {parts[i].out, in}}, &weights[i]));
        if (parts[i].weight == NULL && ink_plan_has(plan, "bias"))
            INK_TRY(ink_plan_look_up(plan, "bias", &(ink_shape){.rank = 1, .dim = {parts[i].out}}, &biases[i]));
        ink_plan_leave(plan, scope);
        stored = i == 0 || stored == weights[i]->type ? weights[i]->type : INK_F32;
        quantised |= ink_type_is_quantised(weights[i]->type);
        out += parts[i].out;
        n_biases += biases[i] != NULL;
    }
    dense->activation = INK_IDENTITY;
    if (plan->type == INK_TYPE_NONE && quantised && stored == INK_F32) {
        dense->parts = apart = ink_arena_alloc(plan->own, n_parts, sizeof *apart);
        dense->n_parts = n_parts;
        if (apart == NULL)
            return ink_plan_no_memory(plan);
    }
    for (size_t i = 0; apart != NULL && i < n_parts; i++) {
        ink_type type;
        INK_TRY(ink_plan_type(plan, weights[i]->type, parts[i].out, in, &type));
        apart[i] = ink_matrix_over(NULL, parts[i].out, in, in, type);
    }
    INK_TRY(ink_plan_type(plan, stored, out, in, &stored));
    dense->weight = ink_matrix_over(NULL, out, in, in, stored);
    for (size_t i = 0, first = 0; i < n_parts; first += parts[i++].out)
        INK_TRY(ink_plan_add_row(plan, (ink_plan_row){.source = weights[i],
                                                      .matrix = apart != NULL ? &apart[i] : &dense->weight,
                                                      .first = apart != NULL ? 0 : first,
                                                      .begins = apart != NULL || i == 0,
                                                      .pairs = parts[i].pairs,
                                                      .n_paired = parts[i].n_paired}));
    if (n_biases == 0)
        return INK_OK;
    for (size_t i = 0, first = 0; i < n_parts; first += parts[i++].out)
        INK_TRY(ink_plan_add_row(plan, (ink_plan_row){.source = biases[i],
                                                      .vector = &dense->bias,
                                                      .first = first,
                                                      .n = parts[i].out,
                                                      .n_total = out,
                                                      .pairs = parts[i].pairs,
                                                      .n_paired = parts[i].n_paired,
                                                      .begins = i == 0}));
    return INK_OK;
}

ink_result ink_plan_embedding(ink_plan *plan, const char *module, size_t vocab_size, size_t size,
                              ink_embedding *embedding)
{
    size_t file_vocab_size, file_size, scope = ink_plan_enter_module(plan, module);
    const ink_matrix_use before = plan->use;
    plan->use = before == INK_USE_PRODUCT ? INK_USE_WORDS : before;
    INK_TRY(ink_plan_matrix_shape(plan, "weight", false, &file_vocab_size, &file_size));
    INK_TRY(ink_plan_matrix(plan, "weight", vocab_size != 0 ? vocab_size : file_vocab_size,
                            size != 0 ? size : file_size, false, &embedding->table));
    plan->use = before;
    ink_plan_leave(plan, scope);
    return INK_OK;
}

ink_result ink_plan_table(ink_plan *plan, const char *module, size_t n, size_t size, ink_embedding *table)
{
    plan->use = INK_USE_LOOK_UP;
    INK_TRY(ink_plan_embedding(plan, module, n, size, table));
    plan->use = INK_USE_PRODUCT;
    return INK_OK;
}

/* Files converted from TensorFlow call weight and bias gamma and beta, and always have both. */
ink_result ink_plan_norm(ink_plan *plan, const char *module, ink_norm_kind kind, size_t size, float eps,
                         ink_bias_rule bias, ink_norm *norm)
{
    size_t scope = ink_plan_enter_module(plan, module);
    bool old = !ink_plan_has(plan, "weight") && ink_plan_has(plan, "gamma");
    const char *weight = old ? "gamma" : "weight";
    const ink_weight *found = ink_plan_find(plan, weight);
    if (size == 0 && found == NULL)
        return ink_plan_fail_missing(plan, weight);
    if (size == 0 && found->shape.rank != 1)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected a vector", found->file,
                        found->name, INK_SHAPE(&found->shape));
    if (!old)
        INK_TRY(ink_plan_check_bias(plan, "", bias));
    *norm = (ink_norm){.kind = kind, .size = size != 0 ? size : found->shape.dim[0], .eps = eps};
    INK_TRY(ink_plan_look_up(plan, weight, &(ink_shape){.rank = 1, .dim = {norm->size}}, &found));
    INK_TRY(ink_plan_add_row(plan, (ink_plan_row){.source = found,
                                                  .vector = &norm->weight,
                                                  .n = norm->size,
                                                  .n_total = norm->size,
                                                  .begins = true,
                                                  .offset = plan->norm_offset}));
    if (kind == INK_LAYER_NORM && old)
        INK_TRY(ink_plan_vector(plan, "beta", norm->size, &norm->bias));
    else if (kind == INK_LAYER_NORM)
        INK_TRY(ink_plan_optional_vector(plan, "bias", norm->size, &norm->bias));
    ink_plan_leave(plan, scope);
    return INK_OK;
}

/*
 * nn.BatchNorm1d (Ioffe, Szegedy 2015). After training it scales and shifts each element, so it is folded into the
 * Linear layer next to it (fill.c):
 *
 *     norm(x) = s x + t,      s = weight / sqrt(running_var + eps),   t = bias - s running_mean
 */
ink_result ink_plan_batch_norm(ink_plan *plan, size_t size, bool behind, ink_dense *dense)
{
    static const char *const names[] = {"running_mean", "running_var", "weight", "bias"};
    ink_plan_fold *fold;
    const ink_plan_fold_kind kind = behind ? INK_FOLD_NORM_BEHIND : INK_FOLD_NORM_IN_FRONT;
    INK_TRY(ink_plan_add_fold(plan, (ink_plan_fold){.kind = kind, .dense = dense, .size = size}, &fold));
    for (size_t i = 0; i < 4; i++) {
        const ink_weight *weight = NULL;
        if (i >= 2 && !ink_plan_has(plan, names[i]))
            continue;
        INK_TRY(ink_plan_look_up(plan, names[i], &(ink_shape){.rank = 1, .dim = {size}}, &weight));
        INK_TRY(ink_plan_add_fold_row(plan, fold, i, weight, size, 0));
    }
    return INK_OK;
}

/* ---- recurrent layers ------------------------------------------------------------------------------------------- */

/* The parameters of PyTorch's classes are weight_ih_l0, weight_ih_l0_reverse, weight_ih_l1 ..., or weight_ih in a
   cell. If one layer and direction has biases or a projection, all have. */
typedef struct recurrent_names {
    size_t n_layers, n_directions;
    bool is_cell, projected, has_bias;
} recurrent_names;

static const char *parameter_name(const recurrent_names *found, const char *kind, size_t i, char *name, size_t size)
{
    if (found->is_cell)
        return kind;
    ink_format(name, size, "%s_l%zu%s", kind, i / found->n_directions, i % found->n_directions != 0 ? "_reverse" : "");
    return name;
}

/* Finds the layers and directions in the current scope. The highest number decides how many layers there are, so a gap
   shows up as a missing tensor. Refuses other tensors in the scope (peepholes, norms, the factors of a weight beside
   it), because they would change the result. In the scope "" other modules may follow. */
static ink_result find_recurrent_layers(const ink_plan *plan, const char *module, recurrent_names *found)
{
    static const char *const kinds[] = {"weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh"};
    size_t n_tensors = ink_weights_count(plan->weights), n_kinds = sizeof kinds / sizeof kinds[0];
    const char *other = NULL, *of_cell = NULL;
    *found = (recurrent_names){.n_directions = 1};
    for (size_t i = 0; i < n_tensors && plan->name_length < INK_NAME_SIZE; i++) {
        const char *tensor = ink_weights_at(plan->weights, i)->name, *name = tensor + plan->name_length;
        char parameter[48];
        uint64_t layer = 0;
        size_t kind = 0;
        if (strncmp(tensor, plan->name, plan->name_length) != 0)
            continue;
        bool parametrized = strncmp(name, INK_PLAN_PARAMETRIZATIONS, strlen(INK_PLAN_PARAMETRIZATIONS)) == 0;
        name += parametrized ? strlen(INK_PLAN_PARAMETRIZATIONS) : 0;
        while (kind < n_kinds && strncmp(name, kinds[kind], strlen(kinds[kind])) != 0)
            kind++;
        if (kind == n_kinds) {
            if (plan->name_length != 0 || strchr(name, '.') == NULL)
                other = tensor;
            continue;
        }
        const char *rest = name + strlen(kinds[kind]);
        size_t digits = strncmp(rest, "_l", 2) == 0 ? ink_digits(rest + 2, strlen(rest + 2), &layer) : 0;
        if (digits == 0) {
            of_cell = tensor;
        } else {
            rest += 2 + digits;
            /* With a number beyond SIZE_MAX / 4, planning ends at a missing tensor long before it. */
            found->n_layers = ink_size_max(found->n_layers, layer < SIZE_MAX / 4 ? (size_t)layer + 1 : SIZE_MAX / 4);
            if (strncmp(rest, "_reverse", 8) == 0) {
                found->n_directions = 2;
                rest += 8;
            }
        }
        found->projected |= kind == 2;
        found->has_bias |= kind > 2;
        ink_format(parameter, sizeof parameter, "%.*s", (int)ink_size_min((size_t)(rest - name), 47), name);
        if (!parametrized && !ink_plan_is_parameter(name, parameter))
            other = tensor;
    }
    if (found->n_layers == 0 && of_cell == NULL)
        return ink_fail(plan->ctx, INK_ERROR_NOT_FOUND, "%s: module '%s' has no tensor weight_ih_l0 or weight_ih",
                        ink_weights_name(plan->weights), module);
    if (found->n_layers > 0 && of_cell != NULL)
        other = of_cell;
    if (other != NULL)
        return ink_fail(
            plan->ctx, INK_ERROR_UNSUPPORTED,
            "%s: tensor '%s' is no parameter of an nn.RNN, nn.GRU or nn.LSTM: other cells are not supported",
            ink_weights_name(plan->weights), other);
    found->is_cell = found->n_layers == 0;
    found->n_layers = ink_size_max(found->n_layers, 1);
    return INK_OK;
}

/* Finds hidden_size and h_size. The recurrent matrix is [G hidden_size, h_size]. A projection of an LSTM is [h_size,
   hidden_size], with h_size below hidden_size. */
static ink_result find_recurrent_sizes(ink_plan *plan, const recurrent_names *found, size_t hidden_size,
                                       ink_recurrent *net)
{
    const char *file = ink_weights_name(plan->weights);
    char w_hh[48], w_hr[48];
    const char *hh = parameter_name(found, "weight_hh", 0, w_hh, sizeof w_hh);
    const char *hr = parameter_name(found, "weight_hr", 0, w_hr, sizeof w_hr);
    net->hidden_size = net->h_size = hidden_size;
    if (found->projected && (net->cell != INK_LSTM || hidden_size != 0))
        return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s%s': a projection in a %s is not supported",
                        file, plan->name, hr, net->cell != INK_LSTM ? ink_cell_name(net->cell) : "language model");
    if (found->projected) {
        INK_TRY(ink_plan_matrix_shape(plan, hr, false, &net->h_size, &net->hidden_size));
        if (net->h_size >= net->hidden_size)
            return ink_fail(plan->ctx, INK_ERROR_MISMATCH,
                            "%s: tensor '%s%s' is [%zu, %zu]: a projection must make h smaller", file, plan->name, hr,
                            net->h_size, net->hidden_size);
    } else if (hidden_size == 0) {
        size_t n, expected;
        INK_TRY(ink_plan_matrix_shape(plan, hh, false, &n, &net->h_size));
        net->hidden_size = net->h_size;
        if (!ink_size_mul(net->h_size, ink_cell_gates(net->cell), &expected) || n != expected)
            return ink_fail(plan->ctx, INK_ERROR_MISMATCH,
                            "%s: tensor '%s%s' is [%zu, %zu]; for %s with hidden size %zu it must have %zu rows for "
                            "each unit",
                            file, plan->name, hh, n, net->h_size, ink_cell_name(net->cell), net->h_size,
                            ink_cell_gates(net->cell));
    }
    return INK_OK;
}

ink_result ink_plan_recurrent(ink_plan *plan, const char *module, ink_cell cell, size_t in, size_t hidden_size,
                              size_t n_layers, ink_recurrent *net)
{
    recurrent_names found;
    const char *expected = plan->expected;
    size_t scope = ink_plan_enter_module(plan, module);
    INK_TRY(find_recurrent_layers(plan, module, &found));
    if (n_layers != 0 && n_layers != found.n_layers)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: module '%s' has %zu layers, %s asks for %zu",
                        ink_weights_name(plan->weights), module, found.n_layers,
                        expected != NULL ? expected : "the caller", n_layers);
    *net = (ink_recurrent){.cell = cell, .n_layers = found.n_layers, .n_directions = found.n_directions};
    INK_TRY(find_recurrent_sizes(plan, &found, hidden_size, net));
    net->layers = ink_plan_array(plan, net->n_layers * net->n_directions, sizeof *net->layers);
    if (net->layers == NULL)
        return ink_plan_no_memory(plan);

    size_t rows = ink_cell_gates(cell) * net->hidden_size;
    for (size_t i = 0; i < net->n_layers * net->n_directions; i++) {
        ink_recurrent_layer *layer = &net->layers[i];
        char text[5][48];
        const char *w_ih = parameter_name(&found, "weight_ih", i, text[0], sizeof text[0]);
        const char *w_hh = parameter_name(&found, "weight_hh", i, text[1], sizeof text[1]);
        const char *w_hr = parameter_name(&found, "weight_hr", i, text[2], sizeof text[2]);
        const char *b_ih = parameter_name(&found, "bias_ih", i, text[3], sizeof text[3]);
        const char *b_hh = parameter_name(&found, "bias_hh", i, text[4], sizeof text[4]);
        size_t n, file_in;
        if (i >= net->n_directions) {
            in = net->n_directions * net->h_size;
            plan->expected = "the layer before it";
        }
        INK_TRY(ink_plan_matrix_shape(plan, w_ih, false, &n, &file_in));
        in = in != 0 ? in : file_in;
        if (i == 0)
            net->in = in;
        INK_TRY(ink_plan_matrix(plan, w_ih, rows, in, false, &layer->w_ih));
        plan->use = INK_USE_RECURRENT;
        INK_TRY(ink_plan_matrix(plan, w_hh, rows, net->h_size, false, &layer->w_hh));
        plan->use = INK_USE_PRODUCT;
        if (net->h_size != net->hidden_size)
            INK_TRY(ink_plan_matrix(plan, w_hr, net->h_size, net->hidden_size, false, &layer->w_hr));
        if (found.has_bias) { /* all or none */
            INK_TRY(ink_plan_vector(plan, b_ih, rows, &layer->b_ih));
            INK_TRY(ink_plan_vector(plan, b_hh, rows, &layer->b_hh));
        }
    }
    plan->expected = expected;
    ink_plan_leave(plan, scope);
    return INK_OK;
}
