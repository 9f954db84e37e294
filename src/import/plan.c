/*
 * plan.c - the tensors of a plan: finds them by name, checks their shapes and types, and adds a row for each matrix and
 * vector (plan.h). plan_layers.c plans layers of them, fill.c reads them.
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

ink_result ink_plan_no_memory(ink_plan *plan)
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
        return ink_plan_no_memory(plan);
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

/* If `name` is that of this module or of something in it, writes the file's name for it into `stored`
   [INK_NAME_SIZE]. False if it is not, or does not fit. */
static bool stored_name(const ink_plan_name *module, const char *name, char *stored)
{
    const char *at = module->module, *digits = "";
    size_t n_digits = 0, used = 0;
    for (; *at != '\0'; at++) {
        if (*at == '#') {
            uint64_t number;
            digits = name;
            n_digits = ink_digits(name, strlen(name), &number);
            name += n_digits;
        } else if (*at != *name++) {
            return false;
        }
    }
    if (*name != '\0' && *name != '.')
        return false;
    for (at = module->stored; *at != '\0'; at++)
        used += ink_format(stored + used, INK_NAME_SIZE - used, "%.*s", *at == '#' ? (int)n_digits : 1,
                           *at == '#' ? digits : at);
    used += ink_format(stored + used, INK_NAME_SIZE - used, "%.300s", name);
    return used + 1 < INK_NAME_SIZE;
}

/* Replaces a name in full [INK_NAME_SIZE] by that of the file; false if the file cannot have it. */
static bool to_stored_name(const ink_plan *plan, char *full)
{
    char stored[INK_NAME_SIZE];
    const ink_plan_name *module = plan->names;
    while (module != NULL && module->module != NULL && !stored_name(module, full, stored))
        module++;
    if (module != NULL && module->module != NULL)
        memcpy(full, stored, strlen(stored) + 1);
    return module == NULL || module->module != NULL;
}

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
    {INK_PLAN_PARAMETRIZATIONS, ".original1", {".original0"}, NULL, INK_FOLD_WEIGHT_NORM},
    {"", "_orig", {"_u", "_v"}, NULL, INK_FOLD_SPECTRAL_NORM},
    {INK_PLAN_PARAMETRIZATIONS, ".original", {".0._u", ".0._v"}, NULL, INK_FOLD_SPECTRAL_NORM},
    {"", "_orig", {"_mask"}, "a pruned weight: make it permanent before saving (torch.nn.utils.prune.remove)", 0},
    {INK_PLAN_PARAMETRIZATIONS, ".original", {NULL}, PARAMETRIZED, 0},
    {INK_PLAN_PARAMETRIZATIONS, ".original0", {NULL}, PARAMETRIZED, 0},
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
    if (!to_stored_name(plan, full))
        return NULL;
    const ink_weight *coded = plan->weights == plan->files[0] ? ink_coded_find(&plan->coded, full) : NULL;
    return coded != NULL ? coded : ink_weights_find(plan->weights, full);
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
    if (strncmp(name, INK_PLAN_PARAMETRIZATIONS, strlen(INK_PLAN_PARAMETRIZATIONS)) == 0 ||
        strncmp(name, "base_layer.", 11) == 0 || strncmp(name, "lora_", 5) == 0)
        return true;
    if (strncmp(name, parameter, size) != 0)
        return false;
    bool found = name[size] == '\0';
    for (size_t f = 0; f < N_FORMS; f++)
        if (forms[f].before[0] == '\0')
            found |= strcmp(name + size, forms[f].end) == 0 || strcmp(name + size, forms[f].factors[0]) == 0;
    return found;
}

const char *ink_plan_full_name(const ink_plan *plan, const char *name, char *full)
{
    if (!full_name(plan, name, "", full))
        ink_format(full, INK_NAME_SIZE, "%s", name);
    to_stored_name(plan, full);
    return full;
}

bool ink_plan_has_in(ink_plan *plan, const char *module, const char *name)
{
    size_t scope = ink_plan_enter_module(plan, module);
    bool there = ink_plan_has(plan, name);
    ink_plan_leave(plan, scope);
    return there;
}

/* ---- checks ----------------------------------------------------------------------------------------------------- */

ink_result ink_plan_fail_missing(const ink_plan *plan, const char *name)
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
    to_stored_name(plan, full);
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

/* The shape of a tensor with `rank` dimensions if it may have as many. Writers of GGUF leave out dimensions of 1 in
   front, as ggml_n_dims() does, or add some: a matrix of one row is a vector there. */
static ink_shape with_rank(const ink_plan *plan, const ink_shape *stored, size_t rank)
{
    ink_shape shape = *stored;
    while (plan->names != NULL && shape.rank > rank && shape.dim[0] == 1)
        memmove(shape.dim, shape.dim + 1, --shape.rank * sizeof *shape.dim);
    for (; plan->names != NULL && shape.rank < rank; shape.rank++, shape.dim[0] = 1)
        memmove(shape.dim + 1, shape.dim, shape.rank * sizeof *shape.dim);
    return shape;
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
        return ink_plan_fail_missing(plan, name);
    const ink_shape shape = with_rank(plan, &weight->shape, 2);
    const size_t *dim = shape.dim;
    if (shape.rank != 2 && !is_pointwise(plan, &shape))
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected a matrix", weight->file,
                        weight->name, INK_SHAPE(&weight->shape));
    if (dim[0] == 0 || dim[1] == 0)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected at least one element",
                        weight->file, weight->name, INK_SHAPE(&weight->shape));
    *n = dim[transposed ? 1 : 0];
    *k = dim[transposed ? 0 : 1];
    return INK_OK;
}

/* Where the plan notes that it uses a tensor; NULL if nobody asks. */
static bool *used_flag(const ink_plan *plan, const ink_weight *weight)
{
    return plan->used != NULL && plan->weights == plan->files[0]
               ? &plan->used[ink_weights_stored(plan->weights, weight) - ink_weights_at(plan->weights, 0)]
               : NULL;
}

/* Checks the type of a tensor and counts it as used. */
static ink_result use_weight(ink_plan *plan, const ink_weight *weight)
{
    size_t n_elements;
    if (!ink_type_is_float(weight->type) && !ink_type_is_quantised(weight->type))
        return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' is of type %s, expected F32, BF16, F16, F64 or a quantised type of GGUF",
                        weight->file, weight->name, ink_type_name(weight->type));
    if (!ink_shape_count(&weight->shape, &n_elements) || n_elements == 0)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected at least one element",
                        weight->file, weight->name, INK_SHAPE(&weight->shape));
    const ink_coded *coded = ink_coded_of(&plan->coded, weight);
    const ink_weight *parts[] = {coded != NULL ? coded->codes : weight, coded != NULL ? coded->scales : NULL,
                                 coded != NULL ? coded->zeros : NULL, coded != NULL ? coded->shape : NULL};
    bool *used = used_flag(plan, parts[0]);
    if (used == NULL || !*used)
        plan->n_parameters += n_elements;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && used != NULL; i++)
        if (parts[i] != NULL)
            *used_flag(plan, parts[i]) = true;
    plan->bytes_total += weight->size;
    return INK_OK;
}

ink_result ink_plan_add_row(ink_plan *plan, ink_plan_row row)
{
    ink_plan_row *added = ink_arena_alloc(&plan->work, 1, sizeof *added);
    if (added == NULL)
        return ink_plan_no_memory(plan);
    if (row.source != NULL && ink_type_is_quantised(row.source->type) && row.matrix != NULL &&
        (row.transposed || row.taps > 1))
        return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' is of type %s, expected F32, BF16, F16 or F64: its rows, which blocks follow, "
                        "are not those of the matrix",
                        row.source->file, row.source->name, ink_type_name(row.source->type));
    row.file = plan->weights;
    row.coded = ink_coded_of(&plan->coded, row.source);
    row.alone = plan->folds_next || row.offset != 0;
    for (size_t i = 0; i < plan->n_waiting; i++) {
        ink_plan_fold *fold = plan->waiting[i];
        if (fold->source != row.source)
            continue;
        if (row.matrix == NULL || row.transposed || row.count != 0)
            return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: tensor '%s': weight_norm and spectral_norm are supported only for matrices [out, in] "
                            "that are used whole",
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

ink_result ink_plan_add_fold(ink_plan *plan, ink_plan_fold fold, ink_plan_fold **added)
{
    *added = ink_arena_alloc(&plan->work, 1, sizeof **added);
    if (*added == NULL)
        return ink_plan_no_memory(plan);
    **added = fold;
    *plan->last_fold = *added;
    plan->last_fold = &(*added)->next;
    return INK_OK;
}

ink_result ink_plan_add_fold_row(ink_plan *plan, ink_plan_fold *fold, size_t i, const ink_weight *weight, size_t n,
                                 size_t taps)
{
    fold->values[i] = ink_alloc_rows(&plan->work, 1, n);
    if (fold->values[i] == NULL)
        return ink_plan_no_memory(plan);
    return ink_plan_add_row(plan, (ink_plan_row){.source = weight, .vector = &fold->values[i], .n = n, .taps = taps});
}

ink_result ink_plan_look_up(ink_plan *plan, const char *name, const ink_shape *shape, const ink_weight **out)
{
    const struct weight_form *form;
    const ink_weight *weight = *out = find_weight(plan, name, &form), *other = NULL;
    if (weight == NULL)
        return ink_plan_fail_missing(plan, name);
    if (form != NULL && form->refusal != NULL)
        return ink_fail(plan->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' is %s", weight->file, weight->name,
                        form->refusal);
    const ink_shape stored = with_rank(plan, &weight->shape, shape->rank);
    if (!ink_shape_equal(&stored, shape))
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
    INK_TRY(ink_plan_add_fold(plan, (ink_plan_fold){.kind = form->fold, .source = weight, .n = n}, &fold));
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
        INK_TRY(ink_plan_add_fold_row(plan, fold, i, factor, expected, taps));
    }
    if (plan->n_waiting < INK_PLAN_PARTS)
        plan->waiting[plan->n_waiting++] = fold;
    return INK_OK;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

ink_result ink_plan_type(ink_plan *plan, ink_type stored, size_t n, size_t k, ink_type *type)
{
    const bool fits = plan->quantises && plan->use != INK_USE_LOOK_UP && !plan->folds_next && n >= 16 && k >= 32;
    *type = ink_matrix_type(plan->type, stored);
    INK_TRY(ink_matrix_check_type(plan->ctx, *type, stored));
    if (!ink_type_is_quantised(*type))
        return INK_OK;
    if (!fits)
        *type = stored == INK_BF16 || stored == INK_F16 ? stored : INK_F32;
    else if (*type == INK_Q4_0 && stored != INK_Q4_0 && plan->use != INK_USE_PRODUCT)
        *type = INK_Q8_0;
    return ink_matrix_check_type(plan->ctx, *type, stored);
}

ink_result ink_plan_matrix(ink_plan *plan, const char *name, size_t n, size_t k, bool transposed, ink_matrix *out)
{
    const ink_weight *weight = ink_plan_find(plan, name);
    ink_shape shape = {.rank = 2, .dim = {transposed ? k : n, transposed ? n : k}};
    while (weight != NULL && is_pointwise(plan, &weight->shape) && shape.rank < weight->shape.rank)
        shape.dim[shape.rank++] = 1;
    INK_TRY(ink_plan_look_up(plan, name, &shape, &weight));
    ink_type type;
    INK_TRY(ink_plan_type(plan, weight->type, n, k, &type));
    *out = ink_matrix_over(NULL, n, k, k, type);
    return ink_plan_add_row(plan,
                            (ink_plan_row){.source = weight, .matrix = out, .transposed = transposed, .begins = true});
}

ink_result ink_plan_vector(ink_plan *plan, const char *name, size_t n, float **out)
{
    const ink_weight *weight = NULL;
    INK_TRY(ink_plan_look_up(plan, name, &(ink_shape){.rank = 1, .dim = {n}}, &weight));
    return ink_plan_add_row(plan,
                            (ink_plan_row){.source = weight, .vector = out, .n = n, .n_total = n, .begins = true});
}

ink_result ink_plan_optional_vector(ink_plan *plan, const char *name, size_t n, float **out)
{
    return ink_plan_has(plan, name) ? ink_plan_vector(plan, name, n, out) : INK_OK;
}

size_t ink_plan_source_rows(const ink_plan_row *row)
{
    size_t count = 0;
    ink_shape_count(&row->source->shape, &count);
    return row->matrix == NULL ? count : count / (row->transposed ? row->matrix->n : row->matrix->k);
}

uint64_t ink_plan_row_bytes(const ink_plan_row *row)
{
    return row->count != 0 ? row->source->size / ink_plan_source_rows(row) * row->count : row->source->size;
}

/* Adds a row for a part of a tensor, which was counted whole. */
static ink_result add_part(ink_plan *plan, ink_plan_row row)
{
    plan->bytes_total -= row.source->size - ink_plan_row_bytes(&row);
    return ink_plan_add_row(plan, row);
}

ink_result ink_plan_matrix_rows(ink_plan *plan, const char *name, size_t total, size_t k, size_t first, size_t n,
                                ink_matrix *out)
{
    const ink_weight *weight;
    INK_TRY(ink_plan_look_up(plan, name, &(ink_shape){.rank = 2, .dim = {total, k}}, &weight));
    ink_type type;
    INK_TRY(ink_plan_type(plan, weight->type, n, k, &type));
    *out = ink_matrix_over(NULL, n, k, k, type);
    return add_part(plan, (ink_plan_row){.source = weight, .matrix = out, .from = first, .count = n, .begins = true});
}

ink_result ink_plan_optional_vector_part(ink_plan *plan, const char *name, size_t total, size_t first, size_t n,
                                         float **out)
{
    const ink_weight *weight;
    if (!ink_plan_has(plan, name))
        return INK_OK;
    INK_TRY(ink_plan_look_up(plan, name, &(ink_shape){.rank = 1, .dim = {total}}, &weight));
    return add_part(
        plan, (ink_plan_row){
                  .source = weight, .vector = out, .n = n, .n_total = n, .from = first, .count = n, .begins = true});
}

ink_result ink_plan_zeros(ink_plan *plan, size_t n, float **out)
{
    return ink_plan_add_row(plan, (ink_plan_row){.vector = out, .n = n, .n_total = n, .begins = true});
}

ink_result ink_plan_computed(ink_plan *plan, size_t n, size_t k, ink_plan_compute_fn compute, const void *settings,
                             ink_matrix *out)
{
    *out = ink_matrix_over(NULL, n, k, k, INK_F32);
    return ink_plan_add_row(plan,
                            (ink_plan_row){.compute = compute, .settings = settings, .matrix = out, .begins = true});
}

ink_result ink_plan_ids(ink_plan *plan, const char *name, size_t end, const ink_token **ids, size_t *n)
{
    const ink_weight *weight = find_form(plan, name, "", "");
    if (weight == NULL)
        return INK_OK;
    if ((weight->type != INK_I32 && weight->type != INK_I64) || weight->shape.rank != 1 || weight->shape.dim[0] == 0)
        return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s of type %s, expected a vector of I64",
                        weight->file, weight->name, INK_SHAPE(&weight->shape), ink_type_name(weight->type));
    size_t count = weight->shape.dim[0];
    const bool is_long = weight->type == INK_I64;
    void *numbers = ink_arena_alloc(&plan->work, count, is_long ? 8 : 4);
    ink_token *to = ink_arena_alloc(plan->own, count, sizeof *to);
    if (numbers == NULL || to == NULL)
        return ink_plan_no_memory(plan);
    INK_TRY(ink_weights_read_bytes(plan->ctx, plan->weights, weight, 0, numbers, (size_t)weight->size));
    for (size_t i = 0; i < count; i++) {
        int64_t id = is_long ? ((const int64_t *)numbers)[i] : ((const int32_t *)numbers)[i];
        if (id < 0 || (uint64_t)id >= end)
            return ink_fail(plan->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s': element %zu is %lld, expected 0 to %zu",
                            weight->file, weight->name, i, (long long)id, end - 1);
        to[i] = (ink_token)id;
    }
    bool *used = used_flag(plan, weight);
    if (used != NULL)
        *used = true;
    *ids = to;
    *n = count;
    return INK_OK;
}
