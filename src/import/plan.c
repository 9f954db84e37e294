/*
 * plan.c - adds rows to a plan: finds tensors by name and checks their shapes (plan.h). fill.c reads them.
 */
#include <string.h>

#include "../base/bytes.h"
#include "../formats/safetensors.h"
#include "plan.h"

/* ---- beginning and ending --------------------------------------------------------------------------------------- */

ink_result ink_plan_begin(ink_plan *plan, ink_context *ctx, const ink_weights *weights, const char *what, size_t size,
                          void **object)
{
    memset(plan, 0, sizeof *plan);
    plan->ctx = ctx;
    plan->what = what;
    plan->weights = plan->files[plan->n_files++] = weights;
    plan->type = INK_TYPE_NONE;
    plan->last_row = &plan->rows;
    plan->last_fold = &plan->folds;
    INK_TRY(ink_object_begin(ctx, what, size, &plan->object, &plan->own));
    ink_arena_grow(&plan->work, &ctx->allocator);
    plan->work.smallest = 4096; /* most plans are small */
    *object = plan->object;
    return INK_OK;
}

ink_result ink_plan_use(ink_plan *plan, ink_weights *weights)
{
    if (plan->n_files == INK_PLAN_FILES) {
        ink_weights_free(weights);
        return ink_fail(plan->ctx, INK_ERROR_LIMIT, "%s: more than %d files of weights", plan->what, INK_PLAN_FILES);
    }
    plan->owned[plan->n_owned++] = weights;
    plan->weights = plan->files[plan->n_files++] = weights;
    return INK_OK;
}

void *ink_plan_array(ink_plan *plan, size_t n, size_t size)
{
    n = ink_size_min(n, ink_weights_count(plan->weights) + 1);
    void *array = ink_arena_alloc(plan->own, n, size);
    return array != NULL ? memset(array, 0, n * size) : NULL;
}

static ink_result plan_no_memory(ink_plan *plan)
{
    return ink_fail(plan->ctx, INK_ERROR_MEMORY, "out of memory: opening %s", plan->what);
}

ink_result ink_plan_stack(ink_plan *plan, size_t n, const ink_attention *attention, ink_stack *stack)
{
    n = ink_size_min(n, ink_weights_count(plan->weights) + 1);
    stack->config.n_blocks = n;
    stack->config.attention = ink_plan_array(plan, n, sizeof *attention);
    stack->blocks = ink_plan_array(plan, n, sizeof *stack->blocks);
    if (stack->config.attention == NULL || stack->blocks == NULL)
        return plan_no_memory(plan);
    for (size_t i = 0; i < n; i++)
        stack->config.attention[i] = *attention;
    return INK_OK;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static size_t set_scope(ink_plan *plan, size_t length)
{
    size_t former = plan->name_length;
    plan->name_length = ink_size_min(length, INK_NAME_SIZE);
    if (length < INK_NAME_SIZE)
        plan->name[length] = '\0';
    return former;
}

size_t ink_plan_enter_module(ink_plan *plan, const char *name)
{
    size_t former = plan->name_length, length = strlen(name);
    if (length == 0)
        return former;
    if (length + 1 >= INK_NAME_SIZE - former)
        return set_scope(plan, INK_NAME_SIZE);
    memcpy(plan->name + former, name, length);
    memcpy(plan->name + former + length, ".", 2);
    const char *scope = former == 0 ? ink_weights_module(plan->weights, plan->name) : plan->name;
    size_t skipped = (size_t)(scope - plan->name);
    memmove(plan->name, scope, former + length + 2 - skipped);
    return set_scope(plan, former + length + 1 - skipped);
}

size_t ink_plan_enter(ink_plan *plan, const char *name, size_t i)
{
    size_t former = ink_plan_enter_module(plan, name), at = plan->name_length, room = INK_NAME_SIZE - at;
    size_t length = ink_format(plan->name + at, room, "%zu.", i);
    set_scope(plan, length + 1 >= room ? INK_NAME_SIZE : at + length); /* the number may have been cut off */
    return former;
}

void ink_plan_leave(ink_plan *plan, size_t length) { set_scope(plan, length); }

/* scope + name + suffix into full [INK_NAME_SIZE]; false if it does not fit. */
static bool full_name(const ink_plan *plan, const char *name, const char *suffix, char *full)
{
    size_t used = plan->name_length, a = strlen(name), b = strlen(suffix);
    if (used == INK_NAME_SIZE || a + b >= INK_NAME_SIZE - used)
        return false;
    memcpy(full, plan->name, used);
    memcpy(full + used, name, a);
    memcpy(full + used + a, suffix, b + 1);
    return true;
}

#define PARAMETRIZATIONS "parametrizations."
#define PARAMETRIZED                                                                                                   \
    "a parametrization that is not supported: fold it into the weight before saving "                                  \
    "(torch.nn.utils.parametrize.remove_parametrizations)"
#define ADAPTED "a layer with a LoRA adapter: merge it into the weight before saving (merge_and_unload() of PEFT)"

/* What torch.nn.utils and others store instead of a weight. `before` stands before the last component of its name. The
   tensor of its shape has `end` behind the name; it is used only if all factors are there. */
static const struct weight_form {
    const char *before, *end, *factors[2];
    const char *refusal; /* NULL: it is folded */
    ink_plan_fold_kind fold;
} forms[] = {
    {"", "_v", {"_g"}, NULL, INK_FOLD_WEIGHT_NORM},
    {PARAMETRIZATIONS, ".original1", {".original0"}, NULL, INK_FOLD_WEIGHT_NORM},
    {"", "_orig", {"_u", "_v"}, NULL, INK_FOLD_SPECTRAL_NORM},
    {PARAMETRIZATIONS, ".original", {".0._u", ".0._v"}, NULL, INK_FOLD_SPECTRAL_NORM},
    {"", "_orig", {"_mask"}, "a pruned weight: make it permanent before saving (torch.nn.utils.prune.remove)", 0},
    {PARAMETRIZATIONS, ".original", {NULL}, PARAMETRIZED, 0},
    {PARAMETRIZATIONS, ".original0", {NULL}, PARAMETRIZED, 0},
    {"base_layer.", "", {NULL}, ADAPTED, 0},
    {"lora_A.", "", {NULL}, ADAPTED, 0},
    {"lora_A.default.", "", {NULL}, ADAPTED, 0},
};
#define N_FORMS (sizeof forms / sizeof forms[0])

/* scope + name with `before` before its last component and `end` behind it, or NULL. */
static const ink_weight *find_form(const ink_plan *plan, const char *name, const char *before, const char *end)
{
    char full[INK_NAME_SIZE];
    size_t head = strlen(name), size = strlen(before);
    while (head > 0 && name[head - 1] != '.')
        head--;
    head += plan->name_length;
    if (!full_name(plan, name, end, full) || strlen(full) + size >= INK_NAME_SIZE)
        return NULL;
    memmove(full + head + size, full + head, strlen(full + head) + 1);
    memcpy(full + head, before, size);
    return ink_weights_find(plan->weights, full);
}

/* The tensor scope + name, or else the one that is stored for it in *form. */
static const ink_weight *find_weight(const ink_plan *plan, const char *name, const struct weight_form **form)
{
    const ink_weight *weight = find_form(plan, name, "", "");
    *form = NULL;
    for (const struct weight_form *f = forms; weight == NULL && f < forms + N_FORMS; f++) {
        const ink_weight *found = find_form(plan, name, f->before, f->end);
        for (size_t i = 0; i < 2 && f->factors[i] != NULL && found != NULL; i++)
            if (find_form(plan, name, f->before, f->factors[i]) == NULL)
                found = NULL;
        weight = found;
        *form = f;
    }
    return weight;
}

const ink_weight *ink_plan_find(const ink_plan *plan, const char *name)
{
    const struct weight_form *form;
    return find_weight(plan, name, &form);
}

bool ink_plan_has(const ink_plan *plan, const char *name) { return ink_plan_find(plan, name) != NULL; }

bool ink_plan_is_parameter(const char *name, const char *parameter)
{
    size_t size = strlen(parameter);
    if (strncmp(name, PARAMETRIZATIONS, strlen(PARAMETRIZATIONS)) == 0 || strncmp(name, "base_layer.", 11) == 0 ||
        strncmp(name, "lora_", 5) == 0)
        return true;
    if (strncmp(name, parameter, size) != 0)
        return false;
    bool found = name[size] == '\0';
    for (size_t f = 0; f < N_FORMS; f++)
        if (forms[f].before[0] == '\0')
            found |= strcmp(name + size, forms[f].end) == 0 || strcmp(name + size, forms[f].factors[0]) == 0;
    return found;
}

bool ink_plan_has_in(ink_plan *plan, const char *module, const char *name)
{
    size_t scope = ink_plan_enter_module(plan, module);
    bool there = ink_plan_has(plan, name);
    ink_plan_leave(plan, scope);
    return there;
}

/* ---- checks ----------------------------------------------------------------------------------------------------- */

static ink_result fail_missing(const ink_plan *plan, const char *name)
{
    const char *file = ink_weights_name(plan->weights);
    char full[INK_NAME_SIZE];
    if (!full_name(plan, name, "", full))
        return ink_fail(plan->ctx, INK_ERROR_NOT_FOUND, "%s: the name of a requested tensor is longer than %d bytes",
                        file, INK_NAME_SIZE - 1);
    for (const struct weight_form *f = forms; f < forms + N_FORMS; f++) {
        const ink_weight *part = find_form(plan, name, f->before, f->end);
        if (part == NULL && f->factors[0] != NULL)
            part = find_form(plan, name, f->before, f->factors[0]);
        if (part != NULL)
            return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: instead of tensor '%s' there is '%s', but not all that belongs to it: fold the "
                            "normalisation of the weight into it before saving (torch.nn.utils.remove_weight_norm, "
                            "remove_spectral_norm, parametrize.remove_parametrizations)",
                            file, full, part->name);
    }
    /* Perhaps the module only has another prefix. */
    const char *similar = NULL;
    for (size_t i = 0; i < ink_weights_count(plan->weights) && strchr(full, '.') != NULL && similar == NULL; i++) {
        const char *other = ink_weights_at(plan->weights, i)->name;
        size_t size = strlen(full), n = strlen(other);
        if (n > size && other[n - size - 1] == '.' && strcmp(other + n - size, full) == 0)
            similar = other;
    }
    return ink_fail(plan->ctx, INK_ERROR_NOT_FOUND, "%s: tensor '%s' is missing%s%s%s", file, full,
                    similar != NULL ? ", but there is '" : "", similar != NULL ? similar : "",
                    similar != NULL ? "'" : "");
}

/* [n, k, 1, ...]: a matrix, where convolutions are accepted. */
static bool is_pointwise(const ink_plan *plan, const ink_shape *shape)
{
    bool pointwise = plan->pointwise && shape->rank > 2;
    for (size_t i = 2; i < shape->rank; i++)
        pointwise = pointwise && shape->dim[i] == 1;
    return pointwise;
}

ink_result ink_plan_matrix_shape(ink_plan *plan, const char *name, bool transposed, size_t *n, size_t *k)
{
    const ink_weight *weight = ink_plan_find(plan, name);
    if (weight == NULL)
        return fail_missing(plan, name);
    const size_t *dim = weight->shape.dim;
    if (weight->shape.rank != 2 && !is_pointwise(plan, &weight->shape))
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected a matrix", weight->file,
                        weight->name, INK_SHAPE(&weight->shape));
    if (dim[0] == 0 || dim[1] == 0)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected at least one element",
                        weight->file, weight->name, INK_SHAPE(&weight->shape));
    *n = dim[transposed ? 1 : 0];
    *k = dim[transposed ? 0 : 1];
    return INK_OK;
}

/* Checks the type of a tensor and counts it as used. */
static ink_result use_weight(ink_plan *plan, const ink_weight *weight)
{
    size_t n_elements;
    if (!ink_type_is_float(weight->type))
        return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' is of type %s, expected F32, BF16, F16 or F64", weight->file, weight->name,
                        ink_type_name(weight->type));
    if (!ink_shape_count(&weight->shape, &n_elements) || n_elements == 0)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected at least one element",
                        weight->file, weight->name, INK_SHAPE(&weight->shape));
    bool *used = plan->used != NULL && plan->weights == plan->files[0]
                     ? &plan->used[ink_weights_stored(plan->weights, weight) - ink_weights_at(plan->weights, 0)]
                     : NULL;
    if (used == NULL || !*used)
        plan->n_parameters += n_elements;
    if (used != NULL)
        *used = true;
    plan->bytes_total += weight->size;
    return INK_OK;
}

static ink_result add_row(ink_plan *plan, ink_plan_row row)
{
    ink_plan_row *added = ink_arena_alloc(&plan->work, 1, sizeof *added);
    if (added == NULL)
        return plan_no_memory(plan);
    row.file = plan->weights;
    row.alone = plan->folds_next;
    for (size_t i = 0; i < plan->n_waiting; i++) {
        ink_plan_fold *fold = plan->waiting[i];
        if (fold->source != row.source)
            continue;
        if (row.matrix == NULL || row.transposed)
            return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: tensor '%s': weight_norm and spectral_norm are supported only for matrices [out, in]",
                            row.source->file, row.source->name);
        *row.matrix = ink_matrix_over(NULL, row.matrix->n, row.matrix->k, row.matrix->k, INK_F32);
        fold->matrix = row.matrix;
        fold->first = row.first;
        row.alone = true;
        plan->waiting[i] = plan->waiting[--plan->n_waiting];
        break;
    }
    *added = row;
    *plan->last_row = added;
    plan->last_row = &added->next;
    plan->n_rows++;
    return INK_OK;
}

static ink_result add_fold(ink_plan *plan, ink_plan_fold fold, ink_plan_fold **added)
{
    *added = ink_arena_alloc(&plan->work, 1, sizeof **added);
    if (*added == NULL)
        return plan_no_memory(plan);
    **added = fold;
    *plan->last_fold = *added;
    plan->last_fold = &(*added)->next;
    return INK_OK;
}

/* Plans value i [n] of a fold. */
static ink_result add_fold_row(ink_plan *plan, ink_plan_fold *fold, size_t i, const ink_weight *weight, size_t n,
                               size_t taps)
{
    fold->values[i] = ink_alloc_rows(&plan->work, 1, n);
    if (fold->values[i] == NULL)
        return plan_no_memory(plan);
    return add_row(plan, (ink_plan_row){.source = weight, .vector = &fold->values[i], .n = n, .taps = taps});
}

/* Finds the tensor scope + name, checks its shape and type, and counts it as used. If it is stored in another form,
   plans the fold, which waits for the row of its matrix. */
static ink_result look_up(ink_plan *plan, const char *name, const ink_shape *shape, const ink_weight **out)
{
    const struct weight_form *form;
    const ink_weight *weight = *out = find_weight(plan, name, &form), *other = NULL;
    if (weight == NULL)
        return fail_missing(plan, name);
    if (form != NULL && form->refusal != NULL)
        return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' is %s", weight->file, weight->name,
                        form->refusal);
    if (!ink_shape_equal(&weight->shape, shape))
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, %s%s %s", weight->file, weight->name,
                        INK_SHAPE(&weight->shape), plan->expected != NULL ? plan->expected : "expected",
                        plan->expected != NULL ? " asks for" : "", INK_SHAPE(shape));
    INK_TRY(use_weight(plan, weight));
    if (form == NULL) {
        for (const struct weight_form *f = forms; shape->rank > 1 && f < forms + N_FORMS && other == NULL; f++) {
            other = find_form(plan, name, f->before, f->end);
            if (other == weight || other == NULL)
                other = f->factors[0] != NULL ? find_form(plan, name, f->before, f->factors[0]) : NULL;
        }
        if (other != NULL)
            return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED, "%s: there are both '%s' and '%s', expected one of them",
                            weight->file, weight->name, other->name);
        return INK_OK;
    }

    ink_plan_fold *fold;
    size_t n = weight->shape.dim[0], n_elements = 0;
    ink_shape_count(shape, &n_elements);
    INK_TRY(add_fold(plan, (ink_plan_fold){.kind = form->fold, .source = weight, .n = n}, &fold));
    for (size_t i = 0; i < 2 && form->factors[i] != NULL; i++) {
        const ink_weight *factor = find_form(plan, name, form->before, form->factors[i]);
        size_t expected = i == 0 ? n : n_elements / n, count = 0;
        if (!ink_shape_count(&factor->shape, &count) || count != expected || factor->shape.rank == 0 ||
            factor->shape.dim[0] != expected)
            return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: tensor '%s' is %s, expected %zu elements: weight_norm and spectral_norm are supported "
                            "only along the first dimension (dim=0)",
                            factor->file, factor->name, INK_SHAPE(&factor->shape), expected);
        size_t taps = i == 1 && shape->rank == 3 ? shape->dim[2] : 0; /* v lies like a row of its matrix */
        INK_TRY(use_weight(plan, factor));
        INK_TRY(add_fold_row(plan, fold, i, factor, expected, taps));
    }
    if (plan->n_waiting < INK_PLAN_PARTS)
        plan->waiting[plan->n_waiting++] = fold;
    return INK_OK;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

ink_result ink_plan_matrix(ink_plan *plan, const char *name, size_t n, size_t k, bool transposed, ink_matrix *out)
{
    const ink_weight *weight = ink_plan_find(plan, name);
    ink_shape shape = {.rank = 2, .dim = {transposed ? k : n, transposed ? n : k}};
    while (weight != NULL && is_pointwise(plan, &weight->shape) && shape.rank < weight->shape.rank)
        shape.dim[shape.rank++] = 1;
    INK_TRY(look_up(plan, name, &shape, &weight));
    ink_type type = ink_matrix_type(plan->type, weight->type);
    INK_TRY(ink_matrix_check_type(plan->ctx, type));
    *out = ink_matrix_over(NULL, n, k, k, type);
    return add_row(plan, (ink_plan_row){.source = weight, .matrix = out, .transposed = transposed, .begins = true});
}

ink_result ink_plan_vector(ink_plan *plan, const char *name, size_t n, float **out)
{
    const ink_weight *weight = NULL;
    INK_TRY(look_up(plan, name, &(ink_shape){.rank = 1, .dim = {n}}, &weight));
    return add_row(plan, (ink_plan_row){.source = weight, .vector = out, .n = n, .n_total = n, .begins = true});
}

ink_result ink_plan_optional_vector(ink_plan *plan, const char *name, size_t n, float **out)
{
    return ink_plan_has(plan, name) ? ink_plan_vector(plan, name, n, out) : INK_OK;
}

ink_result ink_plan_zeros(ink_plan *plan, size_t n, float **out)
{
    return add_row(plan, (ink_plan_row){.vector = out, .n = n, .n_total = n, .begins = true});
}

/* ---- layers ----------------------------------------------------------------------------------------------------- */

ink_result ink_plan_check_bias(ink_plan *plan, const char *module, ink_bias_rule rule)
{
    size_t scope = ink_plan_enter_module(plan, module);
    bool there = ink_plan_has(plan, "bias");
    if (rule == INK_BIAS_REQUIRED && !there)
        return ink_fail(plan->ctx, INK_ERROR_NOT_FOUND, "%s: there is no tensor '%sbias'",
                        ink_weights_name(plan->weights), plan->name);
    if (rule == INK_BIAS_REFUSED && there)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: there is a tensor '%sbias', %s asks for none",
                        ink_weights_name(plan->weights), plan->name, plan->expected);
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
        return fail_missing(plan, "weight");
    const size_t *dim = weight->shape.dim;
    if (weight->shape.rank != 3)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH,
                        "%s: tensor '%s' is %s, expected the weight [out, in / groups, kernel_size] of an nn.Conv1d",
                        weight->file, weight->name, INK_SHAPE(&weight->shape));
    ink_shape shape = {.rank = 3, .dim = {dim[0], in != 0 ? in / groups : dim[1], dim[2]}};
    INK_TRY(look_up(plan, "weight", &shape, &weight));
    if (in == 0 && !ink_size_mul(dim[1], groups, &in))
        in = dim[1];
    ink_result described = ink_conv1d_describe(plan->ctx, in, dim[0], dim[2], options, conv);
    if (described != INK_OK)
        return ink_fail_in(plan->ctx, described, weight->name);
    if (conv->groups != 1) {
        INK_TRY(add_row(plan, (ink_plan_row){.source = weight,
                                             .vector = &conv->taps,
                                             .n = dim[0] * dim[2],
                                             .n_total = dim[0] * dim[2],
                                             .taps = dim[2],
                                             .begins = true}));
        if (!ink_plan_has(plan, "bias"))
            INK_TRY(ink_plan_zeros(plan, dim[0], &conv->dense.bias));
    } else {
        ink_type type = ink_matrix_type(plan->type, weight->type);
        INK_TRY(ink_matrix_check_type(plan->ctx, type));
        conv->dense.weight = ink_matrix_over(NULL, dim[0], dim[1] * dim[2], dim[1] * dim[2], type);
        INK_TRY(add_row(
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
    size_t out = 0, n_biases = 0;
    for (size_t i = 0; i < n_parts; i++) {
        size_t scope = ink_plan_enter_module(plan, parts[i].module);
        const char *weight = parts[i].weight != NULL ? parts[i].weight : "weight";
        INK_TRY(look_up(plan, weight, &(ink_shape){.rank = 2, .dim = {parts[i].out, in}}, &weights[i]));
        if (parts[i].weight == NULL && ink_plan_has(plan, "bias"))
            INK_TRY(look_up(plan, "bias", &(ink_shape){.rank = 1, .dim = {parts[i].out}}, &biases[i]));
        ink_plan_leave(plan, scope);
        stored = i == 0 || stored == weights[i]->type ? weights[i]->type : INK_F32;
        out += parts[i].out;
        n_biases += biases[i] != NULL;
    }
    dense->activation = INK_IDENTITY;
    stored = ink_matrix_type(plan->type, stored);
    INK_TRY(ink_matrix_check_type(plan->ctx, stored));
    dense->weight = ink_matrix_over(NULL, out, in, in, stored);
    for (size_t i = 0, first = 0; i < n_parts; first += parts[i++].out)
        INK_TRY(add_row(
            plan, (ink_plan_row){.source = weights[i], .matrix = &dense->weight, .first = first, .begins = i == 0}));
    if (n_biases == 0)
        return INK_OK;
    for (size_t i = 0, first = 0; i < n_parts; first += parts[i++].out)
        INK_TRY(add_row(plan, (ink_plan_row){.source = biases[i],
                                             .vector = &dense->bias,
                                             .first = first,
                                             .n = parts[i].out,
                                             .n_total = out,
                                             .begins = i == 0}));
    return INK_OK;
}

ink_result ink_plan_embedding(ink_plan *plan, const char *module, size_t vocab_size, size_t size,
                              ink_embedding *embedding)
{
    size_t file_vocab_size, file_size, scope = ink_plan_enter_module(plan, module);
    INK_TRY(ink_plan_matrix_shape(plan, "weight", false, &file_vocab_size, &file_size));
    INK_TRY(ink_plan_matrix(plan, "weight", vocab_size != 0 ? vocab_size : file_vocab_size,
                            size != 0 ? size : file_size, false, &embedding->table));
    ink_plan_leave(plan, scope);
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
        return fail_missing(plan, weight);
    if (size == 0 && found->shape.rank != 1)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected a vector", found->file,
                        found->name, INK_SHAPE(&found->shape));
    if (!old)
        INK_TRY(ink_plan_check_bias(plan, "", bias));
    *norm = (ink_norm){.kind = kind, .size = size != 0 ? size : found->shape.dim[0], .eps = eps};
    INK_TRY(ink_plan_vector(plan, weight, norm->size, &norm->weight));
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
    INK_TRY(add_fold(plan, (ink_plan_fold){.kind = kind, .dense = dense, .size = size}, &fold));
    for (size_t i = 0; i < 4; i++) {
        const ink_weight *weight = NULL;
        if (i >= 2 && !ink_plan_has(plan, names[i]))
            continue;
        INK_TRY(look_up(plan, names[i], &(ink_shape){.rank = 1, .dim = {size}}, &weight));
        INK_TRY(add_fold_row(plan, fold, i, weight, size, 0));
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
        bool parametrized = strncmp(name, PARAMETRIZATIONS, strlen(PARAMETRIZATIONS)) == 0;
        name += parametrized ? strlen(PARAMETRIZATIONS) : 0;
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
        return plan_no_memory(plan);

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
        INK_TRY(ink_plan_matrix(plan, w_hh, rows, net->h_size, false, &layer->w_hh));
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
