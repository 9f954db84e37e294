/*
 * mlp.c - the multi-layer perceptron: dense layers in a row,
 *
 *     h_0 = x,   h_i = s(W_i h_{i-1} + b_i),   y = h_L
 *
 * as PyTorch stores an nn.Sequential: `name`.0.weight, `name`.2.weight, ..., numbered by position. What stands between
 * two Linear layers, an activation or dropout, has a number and no parameters; a BatchNorm1d becomes part of its
 * neighbour (batch_norm.c).
 */
#include <string.h>

#include "../base/bytes.h"
#include "layers.h"

/* Rows that go through all layers before the next ones do; bounds the scratch memory. */
#define CHUNK_ROWS ((size_t)128)

/* The longest number of a layer that is read as one. */
#define MAX_DIGITS 9

/* ---- which layers the file has -------------------------------------------------------------------------------- */

/* Reads "12.rest": the number, and a pointer behind the dot; NULL if this is something else. */
static const char *parse_index(const char *text, size_t *index)
{
    uint64_t number;
    size_t digits = ink_digits(text, strlen(text), &number);
    bool leading_zero = digits > 1 && text[0] == '0';
    *index = (size_t)number;
    return digits > 0 && digits <= MAX_DIGITS && !leading_zero && text[digits] == '.' ? text + digits + 1 : NULL;
}

static bool starts_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* Whether a tensor of an nn.Sequential belongs to a Linear layer or a BatchNorm1d. Factors of a weight ("weight_g")
   do: the loader says what to do about them. */
static bool is_known(const char *parameter)
{
    return starts_with(parameter, "weight") || strcmp(parameter, "bias") == 0 ||
           starts_with(parameter, "parametrizations.") || strcmp(parameter, "running_mean") == 0 ||
           strcmp(parameter, "running_var") == 0 || strcmp(parameter, "num_batches_tracked") == 0;
}

/* The numbers of the modules, ascending, into items [ink_weights_count]. Whatever else is stored within the module
   would change its result, so it is refused; beside a module without a name other things may stand. */
static ink_result find_modules(const ink_loader *loader, uint64_t *items, size_t *n_modules)
{
    size_t n = 0;
    *n_modules = 0;
    if (loader->name_length == INK_NAME_SIZE)
        return INK_OK;
    for (size_t i = 0; i < ink_weights_count(loader->weights); i++) {
        const char *name = ink_weights_at(loader->weights, i)->name;
        if (strncmp(name, loader->name, loader->name_length) != 0)
            continue;
        const char *rest = name + loader->name_length;
        if (loader->name_length == 0 && !(rest[0] >= '0' && rest[0] <= '9'))
            continue;
        size_t index;
        const char *parameter = parse_index(rest, &index);
        if (parameter == NULL || !is_known(parameter))
            return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: tensor '%s' belongs to no Linear layer and no BatchNorm1d",
                            ink_weights_name(loader->weights), name);
        items[n++] = index;
    }
    ink_sort(items, n, NULL);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || items[i] != items[i - 1])
            items[(*n_modules)++] = items[i];
    return INK_OK;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* The scope of the module with number `index`. */
static bool is_norm(ink_loader *loader, size_t index)
{
    size_t scope = ink_loader_enter(loader, "%zu.", index);
    bool norm = ink_batch_norm_is(loader);
    ink_loader_leave(loader, scope);
    return norm;
}

/* The modules of an nn.Sequential that have parameters, in order. */
typedef struct modules {
    uint64_t *items; /* [n] their numbers, ascending */
    size_t n;
} modules;

/* Whether module i is a norm right behind a Linear layer; or else right in front of one. Further away there may be an
   activation in between, which a file does not show. */
static bool is_behind(ink_loader *loader, const modules *m, size_t i)
{
    return i > 0 && i < m->n && m->items[i - 1] + 1 == m->items[i] && is_norm(loader, (size_t)m->items[i]) &&
           !is_norm(loader, (size_t)m->items[i - 1]);
}

static bool is_in_front(ink_loader *loader, const modules *m, size_t i)
{
    return i + 1 < m->n && m->items[i] + 1 == m->items[i + 1] && is_norm(loader, (size_t)m->items[i]) &&
           !is_norm(loader, (size_t)m->items[i + 1]) && !is_behind(loader, m, i);
}

static ink_result count_layers(ink_loader *loader, const modules *m, size_t *n_layers)
{
    *n_layers = 0;
    for (size_t i = 0; i < m->n; i++)
        if (!is_norm(loader, (size_t)m->items[i]))
            ++*n_layers;
        else if (!is_behind(loader, m, i) && !is_in_front(loader, m, i))
            return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: the BatchNorm1d '%s%zu' stands neither right behind a Linear layer nor right in "
                            "front of one, so it cannot become part of it",
                            ink_weights_name(loader->weights), loader->name, (size_t)m->items[i]);
    return INK_OK;
}

static ink_result fold(ink_loader *loader, size_t index, bool behind, ink_dense *dense)
{
    const ink_kernel *kernel = loader->ctx->kernel;
    ink_arena_mark mark = ink_arena_mark_here(&loader->ctx->scratch);
    ink_batch_norm norm;
    size_t scope = ink_loader_enter(loader, "%zu.", index);
    INK_TRY(ink_batch_norm_read(loader, behind ? dense->weight.n : dense->weight.k, &norm));
    ink_loader_leave(loader, scope);
    if (!loader->arena->measuring && behind)
        ink_batch_norm_fold_behind(kernel, &norm, dense);
    else if (!loader->arena->measuring)
        ink_batch_norm_fold_front(kernel, &norm, dense);
    ink_arena_release(&loader->ctx->scratch, mark);
    return INK_OK;
}

/* Linear module i and the norms beside it. With a norm the weights are held as F32, and there is a bias. */
static ink_result read_layer(ink_loader *loader, const modules *m, size_t i, size_t in, ink_activation activation,
                             ink_dense *layer)
{
    ink_type type = loader->type;
    bool front = i > 0 && is_in_front(loader, m, i - 1), behind = is_behind(loader, m, i + 1);
    size_t scope = ink_loader_enter(loader, "%zu.", (size_t)m->items[i]);
    bool needs_bias = (front || behind) && !ink_loader_has(loader, "bias");
    if (front || behind)
        loader->type = INK_F32;
    INK_TRY(ink_dense_read(loader, "", 0, in, false, activation, layer));
    loader->type = type;
    ink_loader_leave(loader, scope);
    if (needs_bias)
        layer->bias = ink_alloc_rows(loader->arena, 1, layer->weight.n);
    if (needs_bias && layer->bias != NULL)
        memset(layer->bias, 0, layer->weight.n * sizeof *layer->bias);
    if (front)
        INK_TRY(fold(loader, (size_t)m->items[i - 1], false, layer));
    if (behind)
        INK_TRY(fold(loader, (size_t)m->items[i + 1], true, layer));
    return INK_OK;
}

static ink_result read_layers(ink_loader *loader, const modules *m, size_t in, ink_activation hidden,
                              ink_activation output, ink_mlp *mlp)
{
    const char *asking = loader->expected;
    INK_TRY(count_layers(loader, m, &mlp->n_layers));
    mlp->layers = ink_arena_alloc(loader->arena, mlp->n_layers, sizeof *mlp->layers);
    mlp->widest = 0;
    for (size_t i = 0, n = 0; i < m->n; i++) {
        ink_dense measured, *layer = mlp->layers != NULL ? &mlp->layers[n] : &measured;
        if (is_norm(loader, (size_t)m->items[i]))
            continue;
        bool last = ++n == mlp->n_layers;
        INK_TRY(read_layer(loader, m, i, in, last ? output : hidden, layer));
        in = layer->weight.n;
        loader->expected = "the layer before it";
        if (!last)
            mlp->widest = ink_size_max(mlp->widest, in);
    }
    loader->expected = asking;
    return INK_OK;
}

ink_result ink_mlp_read(ink_loader *loader, const char *name, size_t in, ink_activation hidden, ink_activation output,
                        ink_mlp *mlp)
{
    ink_arena *scratch = &loader->ctx->scratch;
    ink_arena_mark mark = ink_arena_mark_here(scratch);
    size_t scope = ink_loader_enter_module(loader, name);
    modules found = {.items = ink_arena_alloc(scratch, ink_weights_count(loader->weights), sizeof *found.items)};
    if (found.items == NULL)
        return ink_scratch_fail(loader->ctx, mark);

    ink_result result = find_modules(loader, found.items, &found.n);
    if (result == INK_OK && found.n == 0)
        result = ink_fail(loader->ctx, INK_ERROR_NOT_FOUND, "%s: module '%s' has no tensor NUMBER.weight",
                          ink_weights_name(loader->weights), name);
    if (result == INK_OK)
        result = read_layers(loader, &found, in, hidden, output, mlp);
    ink_arena_release(scratch, mark);
    ink_loader_leave(loader, scope);
    return result;
}

typedef struct build_args {
    ink_context *ctx;
    const ink_weights *weights;
    const char *name;
    ink_activation hidden, output;
} build_args;

static ink_result build(void *data, ink_arena *arena, void **object)
{
    const build_args *args = data;
    ink_mlp measured, *mlp = *object = ink_arena_alloc(arena, 1, sizeof *mlp);
    ink_loader loader;
    ink_loader_begin(&loader, args->ctx, args->weights, arena);
    return ink_mlp_read(&loader, args->name, 0, args->hidden, args->output, mlp != NULL ? mlp : &measured);
}

ink_result ink_mlp_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_activation hidden,
                        ink_activation output, ink_mlp **mlp)
{
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, mlp);
    *mlp = NULL;
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, name);
    INK_TRY(ink_activation_check(ctx, __func__, hidden));
    INK_TRY(ink_activation_check(ctx, __func__, output));
    build_args args = {.ctx = ctx, .weights = weights, .name = name, .hidden = hidden, .output = output};
    INK_TRY(ink_object_create(ctx, "the MLP", build, &args, 0, &object));
    *mlp = object;
    return INK_OK;
}

void ink_mlp_free(ink_mlp *mlp) { ink_object_free(mlp); }

size_t ink_mlp_in(const ink_mlp *mlp) { return mlp->layers[0].weight.k; }

size_t ink_mlp_out(const ink_mlp *mlp) { return mlp->layers[mlp->n_layers - 1].weight.n; }

size_t ink_mlp_layers(const ink_mlp *mlp) { return mlp->n_layers; }

/* ---- running -------------------------------------------------------------------------------------------------- */

void ink_mlp_alloc_scratch(ink_arena *arena, const ink_mlp *mlp, size_t rows, ink_mlp_scratch *scratch)
{
    scratch->a = ink_alloc_rows(arena, rows, mlp->widest);
    scratch->b = ink_alloc_rows(arena, rows, mlp->widest);
}

void ink_mlp_run(ink_context *ctx, const ink_mlp *mlp, const ink_mlp_scratch *scratch, const float *x, size_t n,
                 float *y)
{
    const float *in = x;
    for (size_t i = 0; i < mlp->n_layers; i++) {
        const ink_dense *layer = &mlp->layers[i];
        bool last = i + 1 == mlp->n_layers;
        float *out = last ? y : i % 2 == 0 ? scratch->a : scratch->b;
        ink_dense_run(ctx, layer, in, n, out);
        size_t scope = ink_trace_enter(ctx, "layers.%zu.", i);
        INK_TRACE(ctx, "out", ink_tensor_2d(out, n, layer->weight.n));
        ink_trace_leave(ctx, scope);
        in = out;
    }
}

ink_result ink_mlp_forward(ink_context *ctx, const ink_mlp *mlp, const float *x, size_t n, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, mlp);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, y);

    ink_mlp_scratch scratch;
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_mlp_alloc_scratch(&ctx->scratch, mlp, ink_size_min(n, CHUNK_ROWS), &scratch);
    if (ink_arena_failed(&ctx->scratch))
        return ink_scratch_fail(ctx, mark);
    ink_float_mode host = ink_float_mode_enter();
    for (size_t first = 0; first < n; first += CHUNK_ROWS) {
        size_t count = ink_size_min(CHUNK_ROWS, n - first);
        ink_mlp_run(ctx, mlp, &scratch, x + first * ink_mlp_in(mlp), count, y + first * ink_mlp_out(mlp));
    }
    ink_float_mode_leave(host);
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}

ink_result ink_mlp_reserve(ink_context *ctx, const ink_mlp *mlp, size_t n)
{
    ink_arena measure;
    ink_mlp_scratch scratch;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, mlp);
    ink_arena_measure(&measure);
    ink_mlp_alloc_scratch(&measure, mlp, ink_size_min(n, CHUNK_ROWS), &scratch);
    if (ink_arena_failed(&measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: more memory than this machine can address", __func__);
    return ink_scratch_reserve(ctx, measure.used);
}
