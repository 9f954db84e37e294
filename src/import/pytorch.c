/*
 * pytorch.c - loads PyTorch's modules from their state_dict (pytorch.h): a plan for each module lists its tensors.
 */
#include <inkling/pytorch.h>

#include <string.h>

#include "../base/bytes.h"
#include "modules.h"
#include "plan.h"

/* Ends the plan of a module. If there is no such module, the sentence says which there are. */
static ink_result finish_module(ink_plan *plan, ink_result planned, ink_loader loader, const char *name)
{
    ink_context *ctx = plan->ctx;
    const ink_weights *weights = plan->weights;
    ink_result result = ink_plan_finish(plan, planned, 0);
    return planned == INK_ERROR_NOT_FOUND ? ink_modules_explain(ctx, weights, loader, name) : result;
}

/* ---- nn.Linear, nn.Embedding, nn.LayerNorm, nn.RNN, nn.GRU, nn.LSTM --------------------------------------------- */

static ink_result load_dense(ink_context *ctx, const ink_weights *weights, const char *name, bool transposed,
                             ink_activation activation, ink_dense **dense)
{
    ink_plan plan;
    void *made;
    INK_TRY(ink_activation_check(ctx, "ink_dense_load", activation));
    INK_TRY(ink_plan_begin(&plan, ctx, weights, "the dense layer", sizeof **dense, &made));
    plan.pointwise = !transposed;
    ink_result planned = transposed ? ink_plan_dense_transposed(&plan, name, 0, 0, INK_BIAS_IF_THERE, activation, made)
                                    : ink_plan_dense(&plan, name, 0, 0, INK_BIAS_IF_THERE, activation, made);
    INK_TRY(finish_module(&plan, planned, INK_LOAD_DENSE, name));
    *dense = made;
    return INK_OK;
}

ink_result ink_dense_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_activation activation,
                          ink_dense **dense)
{
    INK_REQUIRE(ctx, dense);
    *dense = NULL;
    INK_REQUIRE(ctx, weights, name);
    return load_dense(ctx, weights, name, false, activation, dense);
}

ink_result ink_dense_load_transposed(ink_context *ctx, const ink_weights *weights, const char *name,
                                     ink_activation activation, ink_dense **dense)
{
    INK_REQUIRE(ctx, dense);
    *dense = NULL;
    INK_REQUIRE(ctx, weights, name);
    return load_dense(ctx, weights, name, true, activation, dense);
}

ink_result ink_conv1d_load(ink_context *ctx, const ink_weights *weights, const char *name,
                           const ink_conv1d_options *options, ink_conv1d **conv)
{
    ink_plan plan;
    void *made;
    INK_REQUIRE(ctx, conv);
    *conv = NULL;
    INK_REQUIRE(ctx, weights, name);
    INK_TRY(ink_plan_begin(&plan, ctx, weights, "the convolution", sizeof **conv, &made));
    INK_TRY(finish_module(&plan, ink_plan_conv1d(&plan, name, 0, options, made), INK_LOAD_CONV1D, name));
    *conv = made;
    return INK_OK;
}

ink_result ink_embedding_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_embedding **embedding)
{
    ink_plan plan;
    void *made;
    INK_REQUIRE(ctx, embedding);
    *embedding = NULL;
    INK_REQUIRE(ctx, weights, name);
    INK_TRY(ink_plan_begin(&plan, ctx, weights, "the embedding", sizeof **embedding, &made));
    INK_TRY(finish_module(&plan, ink_plan_embedding(&plan, name, 0, 0, made), INK_LOAD_EMBEDDING, name));
    *embedding = made;
    return INK_OK;
}

ink_result ink_norm_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_norm_kind kind, float eps,
                         ink_norm **norm)
{
    ink_plan plan;
    void *made;
    INK_REQUIRE(ctx, norm);
    *norm = NULL;
    INK_REQUIRE(ctx, weights, name);
    if ((unsigned)kind >= INK_N_NORMS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: there is no kind of norm %d", __func__, (int)kind);
    if (!(eps >= 0) || !ctx->kernel->all_finite(&eps, 1))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: eps must be finite and not negative", __func__);
    INK_TRY(ink_plan_begin(&plan, ctx, weights, "the norm", sizeof **norm, &made));
    INK_TRY(
        finish_module(&plan, ink_plan_norm(&plan, name, kind, 0, eps, INK_BIAS_IF_THERE, made), INK_LOAD_NORM, name));
    *norm = made;
    return INK_OK;
}

ink_result ink_recurrent_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_cell cell,
                              ink_recurrent **recurrent)
{
    ink_plan plan;
    void *made;
    INK_REQUIRE(ctx, recurrent);
    *recurrent = NULL;
    INK_REQUIRE(ctx, weights, name);
    if ((unsigned)cell >= INK_N_CELLS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: there is no cell %d", __func__, (int)cell);
    INK_TRY(ink_plan_begin(&plan, ctx, weights, "the recurrent network", sizeof **recurrent, &made));
    INK_TRY(finish_module(&plan, ink_plan_recurrent(&plan, name, cell, 0, 0, 0, made), INK_LOAD_RECURRENT, name));
    *recurrent = made;
    return INK_OK;
}

/* ---- nn.Sequential ---------------------------------------------------------------------------------------------- */

/* A module of an nn.Sequential with parameters: a BatchNorm1d (is_norm) or a Linear. */
typedef struct sequential_module {
    size_t number;
    bool is_norm;
} sequential_module;

/* Whether a tensor of an nn.Sequential belongs to a Linear layer or a BatchNorm1d. */
static bool is_module_parameter(const char *name)
{
    static const char *const buffers[] = {"running_mean", "running_var", "num_batches_tracked"};
    bool found = ink_plan_is_parameter(name, "weight") || ink_plan_is_parameter(name, "bias");
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        found |= strcmp(name, buffers[i]) == 0;
    return found;
}

/* Lists the modules of the nn.Sequential in the current scope, in the order of their numbers. Refuses other tensors in
   it, because they would change the result. If `name` is "", the file may also hold tensors of other modules. Without
   any number, `name` is another module and not an nn.Sequential. */
static ink_result find_modules(ink_plan *plan, const char *name, sequential_module **modules, size_t *n_modules)
{
    size_t n = 0, n_tensors = plan->name_length < INK_NAME_SIZE ? ink_weights_count(plan->weights) : 0;
    uint64_t *numbers = ink_arena_alloc(&plan->work, n_tensors, sizeof *numbers);
    sequential_module *m = *modules = ink_arena_alloc(&plan->work, n_tensors, sizeof *m);
    const char *other = NULL;
    bool numbered = false;
    if (ink_arena_failed(&plan->work))
        return ink_fail(plan->ctx, INK_ERROR_MEMORY, "out of memory: opening %s", plan->what);
    for (size_t i = 0; i < n_tensors; i++) {
        const char *tensor = ink_weights_at(plan->weights, i)->name;
        uint64_t number;
        if (strncmp(tensor, plan->name, plan->name_length) != 0)
            continue;
        const char *rest = tensor + plan->name_length;
        size_t digits = ink_digits(rest, strlen(rest), &number);
        if (plan->name_length == 0 && digits == 0)
            continue;
        bool is_number = digits > 0 && digits <= 9 && !(digits > 1 && rest[0] == '0');
        numbered |= digits > 0;
        if (is_number && rest[digits] == '.' && is_module_parameter(rest + digits + 1))
            numbers[n++] = number;
        else if (other == NULL)
            other = tensor;
    }
    if (!numbered)
        return ink_fail(plan->ctx, INK_ERROR_NOT_FOUND, "%s: module '%s' has no tensor NUMBER.weight",
                        ink_weights_name(plan->weights), name);
    if (other != NULL)
        return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' belongs neither to a Linear layer nor to a BatchNorm1d",
                        ink_weights_name(plan->weights), other);
    ink_sort(numbers, n, NULL);
    *n_modules = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && numbers[i] == numbers[i - 1])
            continue;
        size_t scope = ink_plan_enter(plan, "", (size_t)numbers[i]);
        m[(*n_modules)++] = (sequential_module){(size_t)numbers[i], ink_plan_has(plan, "running_mean")};
        ink_plan_leave(plan, scope);
    }
    return INK_OK;
}

/* Whether module i is a norm directly after a Linear layer, or else directly before one. With a gap in the numbers
   there may be an activation in between, which the file does not show. */
static bool norm_is_behind(const sequential_module *m, size_t n, size_t i)
{
    return i > 0 && i < n && m[i].is_norm && !m[i - 1].is_norm && m[i - 1].number + 1 == m[i].number;
}

static bool norm_is_in_front(const sequential_module *m, size_t n, size_t i)
{
    return i + 1 < n && m[i].is_norm && !m[i + 1].is_norm && m[i].number + 1 == m[i + 1].number &&
           !norm_is_behind(m, n, i);
}

static ink_result plan_fold(ink_plan *plan, const sequential_module *module, bool behind, ink_dense *layer)
{
    size_t scope = ink_plan_enter(plan, "", module->number);
    INK_TRY(ink_plan_batch_norm(plan, behind ? layer->weight.n : layer->weight.k, behind, layer));
    ink_plan_leave(plan, scope);
    return INK_OK;
}

/* Refuses a module that is not an nn.Linear or a convolution with kernel size 1, in the current scope. `rank` is that
   of the first weight, or 0: PyTorch applies nn.Linear and nn.Conv1d along different dimensions. */
static ink_result check_is_dense(ink_plan *plan, size_t *rank)
{
    const ink_weight *weight = ink_plan_find(plan, "weight");
    const char *problem = NULL;
    if (weight == NULL)
        return INK_OK;
    const ink_shape *shape = &weight->shape;
    if (shape->rank == 1 && ink_plan_has(plan, "bias"))
        problem =
            "expected a matrix; it is of an nn.LayerNorm, nn.GroupNorm or nn.InstanceNorm1d, and the file does not "
            "say which (only the first is supported)";
    else if (shape->rank == 1)
        problem =
            "expected a matrix; it is of an nn.PReLU, nn.RMSNorm or nn.LayerNorm, and the file does not say which";
    else if (shape->rank == 3 && shape->dim[2] > 1)
        problem =
            "expected a matrix; it is of an nn.Conv1d or nn.ConvTranspose1d, and the file does not say which, nor the "
            "stride, padding and dilation";
    else if (*rank != 0 && shape->rank != *rank)
        problem = "and nn.Linear and nn.Conv1d in one nn.Sequential work along different dimensions";
    if (problem != NULL)
        return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' is %s, %s: list the modules for ink_sequential_load()", weight->file,
                        weight->name, INK_SHAPE(shape), problem);
    *rank = shape->rank;
    return INK_OK;
}

static ink_result plan_sequential(ink_plan *plan, const char *name, ink_activation hidden, ink_activation output,
                                  ink_mlp *mlp)
{
    sequential_module *m;
    size_t n = 0, in = 0, rank = 0;
    ink_plan_enter_module(plan, name);
    INK_TRY(find_modules(plan, name, &m, &n));
    for (size_t i = 0; i < n; i++)
        if (!m[i].is_norm)
            mlp->n_layers++;
        else if (!norm_is_behind(m, n, i) && !norm_is_in_front(m, n, i))
            return ink_fail(
                plan->ctx, INK_ERROR_UNSUPPORTED,
                "%s: the BatchNorm1d '%s%zu' is neither directly after a Linear layer nor directly before one, "
                "so it cannot be folded into it",
                ink_weights_name(plan->weights), plan->name, m[i].number);
    ink_dense *layer = mlp->layers = ink_plan_array(plan, mlp->n_layers, sizeof *mlp->layers);
    if (layer == NULL)
        return ink_fail(plan->ctx, INK_ERROR_MEMORY, "out of memory: opening %s", plan->what);

    for (size_t i = 0; i < n; i++) {
        bool in_front = i > 0 && norm_is_in_front(m, n, i - 1), behind = norm_is_behind(m, n, i + 1);
        bool last = layer + 1 == mlp->layers + mlp->n_layers;
        if (m[i].is_norm)
            continue;
        size_t scope = ink_plan_enter(plan, "", m[i].number);
        plan->folds_next = in_front || behind;
        if (plan->folds_next)
            plan->type = INK_F32;
        INK_TRY(check_is_dense(plan, &rank));
        INK_TRY(ink_plan_dense(plan, "", 0, in, INK_BIAS_IF_THERE, last ? output : hidden, layer));
        if ((in_front || behind) && !ink_plan_has(plan, "bias"))
            INK_TRY(ink_plan_zeros(plan, layer->weight.n, &layer->bias));
        plan->type = INK_TYPE_NONE;
        plan->folds_next = false;
        ink_plan_leave(plan, scope);
        if (in_front)
            INK_TRY(plan_fold(plan, &m[i - 1], false, layer));
        if (behind)
            INK_TRY(plan_fold(plan, &m[i + 1], true, layer));
        in = layer->weight.n;
        plan->expected = "the layer before it";
        layer++;
    }
    return INK_OK;
}

ink_result ink_mlp_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_activation hidden,
                        ink_activation output, ink_mlp **mlp)
{
    ink_plan plan;
    void *made;
    INK_REQUIRE(ctx, mlp);
    *mlp = NULL;
    INK_REQUIRE(ctx, weights, name);
    INK_TRY(ink_activation_check(ctx, __func__, hidden));
    INK_TRY(ink_activation_check(ctx, __func__, output));
    INK_TRY(ink_plan_begin(&plan, ctx, weights, "the MLP", sizeof **mlp, &made));
    plan.pointwise = true;
    INK_TRY(finish_module(&plan, plan_sequential(&plan, name, hidden, output, made), INK_LOAD_MLP, name));
    *mlp = made;
    return INK_OK;
}

/* ---- nn.Sequential by a list of its modules --------------------------------------------------------------------- */

/* Whether a module has a tensor of this name. */
static bool module_has(ink_module_kind kind, const char *name)
{
    static const char *const of_norm[] = {"running_mean", "running_var", "num_batches_tracked"};
    if (ink_plan_is_parameter(name, "weight"))
        return kind >= INK_MODULE_LINEAR;
    if (strcmp(name, "bias") == 0)
        return kind >= INK_MODULE_LINEAR && kind < INK_MODULE_RMS_NORM;
    for (size_t i = 0; i < 3; i++)
        if (kind == INK_MODULE_BATCH_NORM && strcmp(name, of_norm[i]) == 0)
            return true;
    return false;
}

static ink_result check_modules(ink_plan *plan, const ink_module *modules, size_t n)
{
    bool has_conv = false;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned)modules[i].kind >= INK_N_MODULES)
            return ink_fail(plan->ctx, INK_ERROR_ARGUMENT, "modules[%zu]: there is no kind %d", i,
                            (int)modules[i].kind);
        if (!(modules[i].eps >= 0) || !plan->ctx->kernel->all_finite(&modules[i].eps, 1))
            return ink_fail(plan->ctx, INK_ERROR_ARGUMENT, "modules[%zu]: eps must be finite and not negative", i);
        INK_TRY(ink_activation_check(plan->ctx, "ink_module", modules[i].activation));
        has_conv = has_conv || modules[i].kind == INK_MODULE_CONV1D;
    }
    for (size_t i = 0; has_conv && i < n; i++)
        if (modules[i].kind == INK_MODULE_LINEAR || modules[i].kind == INK_MODULE_LAYER_NORM ||
            modules[i].kind == INK_MODULE_RMS_NORM)
            return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                            "modules[%zu]: beside an nn.Conv1d, whose rows are channels, PyTorch applies nn.Linear and "
                            "norms along time, which is not supported",
                            i);
    for (size_t i = 0; i < ink_weights_count(plan->weights) && plan->name_length < INK_NAME_SIZE; i++) {
        const char *tensor = ink_weights_at(plan->weights, i)->name, *rest = tensor + plan->name_length;
        uint64_t number = 0;
        if (strncmp(tensor, plan->name, plan->name_length) != 0)
            continue;
        size_t digits = ink_digits(rest, strlen(rest), &number);
        if (plan->name_length == 0 && digits == 0) /* of another module of the file */
            continue;
        if (digits == 0 || (digits > 1 && rest[0] == '0') || rest[digits] != '.' || number >= n ||
            !module_has(modules[number].kind, rest + digits + 1))
            return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: tensor '%s' belongs to none of the %zu modules of the list",
                            ink_weights_name(plan->weights), tensor, n);
    }
    return INK_OK;
}

/* Plans a module in the current scope; the layer before it has `in` channels, 0: any number. */
static ink_result plan_module(ink_plan *plan, const ink_module *module, size_t in, ink_layer *layer)
{
    ink_norm *norm = &layer->norm;
    const ink_weight *first = ink_plan_find(plan, module->kind == INK_MODULE_BATCH_NORM ? "running_mean" : "weight");
    size_t size = first != NULL && first->shape.rank == 1 ? first->shape.dim[0] : 0;
    bool rms = module->kind == INK_MODULE_RMS_NORM;
    float eps = module->eps != 0 ? module->eps : rms ? 0x1p-23f : 1e-5f;
    layer->out = in;
    switch (module->kind) {
    case INK_MODULE_LINEAR:
        INK_TRY(ink_plan_dense(plan, "", 0, in, INK_BIAS_IF_THERE, INK_IDENTITY, &layer->conv.dense));
        layer->conv.in = layer->conv.dense.weight.k;
        layer->out = layer->conv.dense.weight.n;
        break;
    case INK_MODULE_CONV1D:
        INK_TRY(ink_plan_conv1d(plan, "", in, &module->conv, &layer->conv));
        layer->out = layer->conv.out;
        break;
    case INK_MODULE_LAYER_NORM:
    case INK_MODULE_RMS_NORM:
        INK_TRY(ink_plan_norm(plan, "", rms ? INK_RMS_NORM : INK_LAYER_NORM, in, eps, INK_BIAS_IF_THERE, norm));
        layer->out = norm->size;
        break;
    case INK_MODULE_BATCH_NORM:
        *norm = (ink_norm){.size = in != 0 ? in : size, .eps = eps};
        plan->folds_next = true;
        INK_TRY(ink_plan_vector(plan, "running_mean", norm->size, &norm->bias));
        INK_TRY(ink_plan_vector(plan, "running_var", norm->size, &norm->weight));
        INK_TRY(ink_plan_optional_vector(plan, "weight", norm->size, &layer->affine[0]));
        INK_TRY(ink_plan_optional_vector(plan, "bias", norm->size, &layer->affine[1]));
        plan->folds_next = false;
        layer->out = norm->size;
        break;
    case INK_MODULE_PRELU:
        norm->size = in == 0 || size == 1 ? size : in;
        INK_TRY(ink_plan_vector(plan, "weight", norm->size, &norm->weight));
        if (norm->size > 1)
            layer->out = norm->size;
        break;
    case INK_MODULE_ACTIVATION:
    case INK_MODULE_NONE:
    case INK_N_MODULES:
        break;
    }
    return INK_OK;
}

static ink_result plan_modules(ink_plan *plan, const char *name, const ink_module *modules, size_t n,
                               ink_sequential *net)
{
    ink_plan_enter_module(plan, name);
    INK_TRY(check_modules(plan, modules, n));
    net->layers = ink_arena_alloc(plan->own, ink_size_max(n, 1), sizeof *net->layers);
    if (net->layers == NULL)
        return ink_fail(plan->ctx, INK_ERROR_MEMORY, "out of memory: opening %s", plan->what);
    memset(net->layers, 0, n * sizeof *net->layers);
    for (size_t i = 0, out = 0; i < n; i++) {
        ink_layer *layer = &net->layers[net->n_layers], *before = net->n_layers > 0 ? layer - 1 : NULL;
        *layer = (ink_layer){.kind = modules[i].kind, .number = i, .activation = modules[i].activation};
        if (layer->kind == INK_MODULE_NONE)
            continue;
        if (layer->kind == INK_MODULE_ACTIVATION && before != NULL && before->out != 0 &&
            (before->kind == INK_MODULE_LINEAR || before->kind == INK_MODULE_CONV1D) &&
            before->conv.dense.activation == INK_IDENTITY) {
            before->conv.dense.activation = layer->activation; /* one pass over the rows less */
            continue;
        }
        size_t scope = ink_plan_enter(plan, "", i);
        INK_TRY(plan_module(plan, &modules[i], out, layer));
        ink_plan_leave(plan, scope);
        bool is_dense = layer->kind == INK_MODULE_LINEAR || layer->kind == INK_MODULE_CONV1D;
        if (net->in == 0)
            net->in = is_dense ? layer->conv.in : layer->out;
        out = layer->out;
        if (out != 0)
            plan->expected = "the module before it";
        net->n_layers++;
    }
    if (net->in == 0)
        return ink_fail(plan->ctx, INK_ERROR_ARGUMENT, "%s: none of the %zu modules has a number of channels",
                        ink_weights_name(plan->weights), n);
    for (size_t i = 0; i < net->n_layers && net->layers[i].out == 0; i++)
        net->layers[i].out = net->in;
    return INK_OK;
}

ink_result ink_sequential_load(ink_context *ctx, const ink_weights *weights, const char *name,
                               const ink_module *modules, size_t n_modules, ink_sequential **net)
{
    ink_plan plan;
    void *object;
    INK_REQUIRE(ctx, net);
    *net = NULL;
    INK_REQUIRE(ctx, weights, name, modules);
    INK_TRY(ink_plan_begin(&plan, ctx, weights, "the network", sizeof **net, &object));
    ink_sequential *made = object;
    INK_TRY(finish_module(&plan, plan_modules(&plan, name, modules, n_modules, made), INK_LOAD_SEQUENTIAL, name));
    ink_float_mode host = ink_float_mode_enter();
    for (size_t i = 0; i < made->n_layers; i++) {
        const ink_norm *norm = &made->layers[i].norm;
        if (made->layers[i].kind == INK_MODULE_BATCH_NORM) /* mean and variance become shift and scale */
            ctx->kernel->batch_norm(norm->bias, norm->weight, made->layers[i].affine[0], made->layers[i].affine[1],
                                    norm->size, norm->eps, norm->weight, norm->bias);
    }
    ink_float_mode_leave(host);
    *net = made;
    return INK_OK;
}

/* ---- nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerDecoder ---------------------------------------- */

static float transformer_eps(const ink_transformer_options *options)
{
    return options->eps != 0 ? options->eps : 1e-5f;
}

/* Begins a stack of n blocks. */
static ink_result begin_stack(ink_plan *plan, const ink_transformer_options *options, size_t n, ink_stack *stack)
{
    const ink_attention attention = {
        .n_heads = options->n_heads, .n_kv_heads = options->n_heads, .bidirectional = !options->causal};
    stack->config.norm_place = options->norm_first ? INK_NORM_BEFORE : INK_NORM_AFTER;
    return ink_plan_stack(plan, n, &attention, stack);
}

/* Plans the attention of block i, to its own rows or, `cross`, to those of a memory. The first block sets the sizes. */
static ink_result plan_attention(ink_plan *plan, const char *name, const ink_transformer_options *options, bool cross,
                                 size_t i, ink_stack *stack)
{
    ink_block *block = &stack->blocks[i];
    size_t file_size, columns, size = stack->config.hidden_size, scope = ink_plan_enter_module(plan, name);
    const char *file = ink_weights_name(plan->weights);
    INK_TRY(ink_plan_matrix_shape(plan, "out_proj.weight", false, &file_size, &columns));
    if (size == 0)
        size = stack->config.hidden_size = file_size;
    if (options->n_heads == 0 || size % options->n_heads != 0)
        return ink_fail(plan->ctx, INK_ERROR_ARGUMENT,
                        "%s: attention '%s' has size %zu, which is not a multiple of %zu heads (n_heads)", file,
                        plan->name, size, options->n_heads);
    if (size > SIZE_MAX / 3)
        return ink_fail(plan->ctx, INK_ERROR_LIMIT, "%s: attention '%s' of size %zu is too large", file, plan->name,
                        size);
    if (ink_plan_has(plan, "bias_k"))
        return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%sbias_k': attention with add_bias_kv is not supported", file, plan->name);
    ink_attention *attention = cross ? &stack->config.cross : &stack->config.attention[i];
    ink_dense *out = cross ? &block->cross_out : &block->out;
    *attention =
        (ink_attention){options->n_heads, options->n_heads, size / options->n_heads, 0, 0, attention->bidirectional};
    const ink_plan_part parts[] = {{.module = "", .out = size, .weight = "q_proj_weight"},
                                   {.module = "", .out = size, .weight = "k_proj_weight"},
                                   {.module = "", .out = size, .weight = "v_proj_weight"}};
    for (size_t part = 0; part < 3; part++)
        if (ink_plan_has(plan, parts[part].weight) && ink_plan_has(plan, "in_proj_weight"))
            return ink_fail(plan->ctx, INK_ERROR_MISMATCH,
                            "%s: there are both '%sin_proj_weight' and '%s%s', expected one of them", file, plan->name,
                            plan->name, parts[part].weight);
    bool split = ink_plan_has(plan, parts[0].weight);
    size_t source = stack->config.source_size;
    if (cross && source == 0)
        source = size;
    if (cross && split && stack->config.source_size == 0)
        INK_TRY(ink_plan_matrix_shape(plan, parts[1].weight, false, &columns, &source));
    if (cross && split) {
        INK_TRY(ink_plan_matrix(plan, parts[0].weight, size, size, false, &block->cross_q.weight));
        INK_TRY(ink_plan_dense_parts(plan, parts + 1, 2, source, &block->cross_kv));
    } else if (cross) {
        INK_TRY(ink_plan_matrix_rows(plan, "in_proj_weight", 3 * size, source, 0, size, &block->cross_q.weight));
        INK_TRY(
            ink_plan_matrix_rows(plan, "in_proj_weight", 3 * size, source, size, 2 * size, &block->cross_kv.weight));
    } else if (split) {
        INK_TRY(ink_plan_dense_parts(plan, parts, 3, size, &block->qkv));
    } else {
        INK_TRY(ink_plan_matrix(plan, "in_proj_weight", 3 * size, size, false, &block->qkv.weight));
    }
    if (cross) {
        stack->config.source_size = source;
        INK_TRY(ink_plan_optional_vector_part(plan, "in_proj_bias", 3 * size, 0, size, &block->cross_q.bias));
        INK_TRY(ink_plan_optional_vector_part(plan, "in_proj_bias", 3 * size, size, 2 * size, &block->cross_kv.bias));
    } else {
        INK_TRY(ink_plan_optional_vector(plan, "in_proj_bias", 3 * size, &block->qkv.bias));
    }
    INK_TRY(ink_plan_dense(plan, "out_proj", size, size, INK_BIAS_IF_THERE, INK_IDENTITY, out));
    ink_plan_leave(plan, scope);
    return INK_OK;
}

/* Plans an nn.TransformerEncoderLayer, or an nn.TransformerDecoderLayer, in the current scope. */
static ink_result plan_layer(ink_plan *plan, const ink_transformer_options *options, size_t i, ink_stack *stack)
{
    ink_block *block = &stack->blocks[i];
    float eps = transformer_eps(options);
    bool cross = ink_plan_has(plan, "multihead_attn.out_proj.weight");
    if (i > 0 && cross != (stack->config.cross.n_heads != 0))
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: layer '%s' attends to %s, the layer before it to %s",
                        ink_weights_name(plan->weights), plan->name, cross ? "a memory" : "no memory",
                        cross ? "none" : "one");
    INK_TRY(plan_attention(plan, "self_attn", options, false, i, stack));
    if (cross)
        INK_TRY(plan_attention(plan, "multihead_attn", options, true, i, stack));
    size_t size = stack->config.hidden_size, inner = stack->config.inner_size;
    INK_TRY(ink_plan_norm(plan, "norm1", INK_LAYER_NORM, size, eps, INK_BIAS_IF_THERE, &block->norm_1));
    INK_TRY(ink_plan_dense(plan, "linear1", inner, size, INK_BIAS_IF_THERE, options->activation, &block->up));
    stack->config.inner_size = inner = block->up.weight.n;
    INK_TRY(ink_plan_dense(plan, "linear2", size, inner, INK_BIAS_IF_THERE, INK_IDENTITY, &block->down));
    if (cross)
        INK_TRY(ink_plan_norm(plan, "norm2", INK_LAYER_NORM, size, eps, INK_BIAS_IF_THERE, &block->norm_cross));
    return ink_plan_norm(plan, cross ? "norm3" : "norm2", INK_LAYER_NORM, size, eps, INK_BIAS_IF_THERE, &block->norm_2);
}

/* INK_ERROR_MISMATCH if the scope has attention of a layer behind the first n, which would be left out silently. */
static ink_result check_no_later_layer(ink_plan *plan, size_t n)
{
    static const char list[] = "layers.", attention[] = ".self_attn.";
    for (size_t i = 0; i < ink_weights_count(plan->weights) && plan->name_length < INK_NAME_SIZE; i++) {
        const char *name = ink_weights_at(plan->weights, i)->name;
        uint64_t number;
        if (strncmp(name, plan->name, plan->name_length) != 0 ||
            strncmp(name + plan->name_length, list, sizeof list - 1) != 0)
            continue;
        const char *rest = name + plan->name_length + sizeof list - 1;
        size_t digits = ink_digits(rest, strlen(rest), &number);
        if (digits > 0 && strncmp(rest + digits, attention, sizeof attention - 1) == 0 && number >= n)
            return ink_fail(plan->ctx, INK_ERROR_MISMATCH,
                            "%s: there is a tensor '%s', but '%slayers.%zu.self_attn.out_proj.weight' is missing",
                            ink_weights_name(plan->weights), name, plan->name, n);
    }
    return INK_OK;
}

/* Plans an nn.TransformerEncoder or nn.TransformerDecoder: layers.0, layers.1, ..., and perhaps a norm; or a single
 * layer. */
static ink_result plan_transformer(ink_plan *plan, const char *name, const ink_transformer_options *options,
                                   ink_stack *stack)
{
    size_t n = 0;
    ink_plan_enter_module(plan, name);
    for (bool more = true; more; n += more) {
        size_t scope = ink_plan_enter(plan, "layers", n);
        more = ink_plan_has(plan, "self_attn.out_proj.weight");
        ink_plan_leave(plan, scope);
    }
    INK_TRY(check_no_later_layer(plan, n));
    INK_TRY(begin_stack(plan, options, ink_size_max(n, 1), stack));
    for (size_t i = 0; i < stack->config.n_blocks; i++) {
        size_t scope = n > 0 ? ink_plan_enter(plan, "layers", i) : plan->name_length;
        INK_TRY(plan_layer(plan, options, i, stack));
        ink_plan_leave(plan, scope);
        plan->expected = "the layer before it";
    }
    plan->expected = NULL;
    if (n > 0 && ink_plan_has(plan, "norm.weight"))
        return ink_plan_norm(plan, "norm", INK_LAYER_NORM, stack->config.hidden_size, transformer_eps(options),
                             INK_BIAS_IF_THERE, &stack->norm);
    return INK_OK;
}

static ink_result check_transformer_options(ink_context *ctx, const ink_transformer_options *options)
{
    INK_TRY(ink_activation_check(ctx, "ink_transformer_options", options->activation));
    if (!(options->eps >= 0) || !ctx->kernel->all_finite(&options->eps, 1))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_transformer_options: eps must be finite and not negative");
    return INK_OK;
}

ink_result ink_mha_load(ink_context *ctx, const ink_weights *weights, const char *name,
                        const ink_transformer_options *options, ink_mha **mha)
{
    ink_plan plan;
    void *object;
    INK_REQUIRE(ctx, mha);
    *mha = NULL;
    INK_REQUIRE(ctx, weights, name, options);
    INK_TRY(check_transformer_options(ctx, options));
    INK_TRY(ink_plan_begin(&plan, ctx, weights, "the attention", sizeof **mha, &object));
    ink_mha *made = object;
    ink_result planned = begin_stack(&plan, options, 1, &made->stack);
    if (planned == INK_OK)
        planned = plan_attention(&plan, name, options, false, 0, &made->stack);
    INK_TRY(finish_module(&plan, planned, INK_LOAD_MHA, name));
    *mha = made;
    return INK_OK;
}

ink_result ink_transformer_load(ink_context *ctx, const ink_weights *weights, const char *name,
                                const ink_transformer_options *options, ink_transformer **transformer)
{
    ink_plan plan;
    void *object;
    INK_REQUIRE(ctx, transformer);
    *transformer = NULL;
    INK_REQUIRE(ctx, weights, name, options);
    INK_TRY(check_transformer_options(ctx, options));
    INK_TRY(ink_plan_begin(&plan, ctx, weights, "the Transformer", sizeof **transformer, &object));
    ink_transformer *made = object;
    INK_TRY(finish_module(&plan, plan_transformer(&plan, name, options, &made->stack), INK_LOAD_TRANSFORMER, name));
    *transformer = made;
    return INK_OK;
}
