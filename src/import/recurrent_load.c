/*
 * recurrent_load.c - RNN, GRU and LSTM from a file: finding out from the names how many layers and directions there
 * are, and reading them. Running them is recurrent.c.
 */
#include <string.h>

#include "../layers/layers.h"

const char *ink_cell_name(ink_cell cell)
{
    static const char *const names[INK_N_CELLS] = {"rnn_tanh", "rnn_relu", "gru", "lstm"};
    return (unsigned)cell < INK_N_CELLS ? names[cell] : "unknown";
}

size_t ink_cell_gates(ink_cell cell)
{
    static const size_t gates[INK_N_CELLS] = {[INK_RNN_TANH] = 1, [INK_RNN_RELU] = 1, [INK_GRU] = 3, [INK_LSTM] = 4};
    return gates[cell];
}

/* ---- what the file has ---------------------------------------------------------------------------------------- */

/* The parameters of PyTorch's classes: weight_ih_l0, weight_ih_l0_reverse, weight_ih_l1 ..., or weight_ih of a cell. */
typedef struct inventory {
    size_t n_layers, n_directions;
    bool is_cell, projected;
} inventory;

static const char *after(const char *text, const char *beginning)
{
    size_t length = strlen(beginning);
    return strncmp(text, beginning, length) == 0 ? text + length : NULL;
}

/* Counts one parameter. The highest layer decides, so that a missing one in between is found missing. */
static void count_parameter(const char *name, inventory *found)
{
    static const char *const kinds[] = {"weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l", "weight_hr_l"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *digit = after(name, kinds[i]);
        uint64_t layer = 0;
        size_t digits = digit != NULL ? ink_digits(digit, strlen(digit), &layer) : 0;
        if (digits == 0)
            continue;
        found->n_layers = ink_size_max(found->n_layers, (size_t)(layer < 999999999 ? layer : 999999999) + 1);
        found->projected |= strcmp(kinds[i], "weight_hr_l") == 0;
        if (strcmp(digit + digits, "_reverse") == 0)
            found->n_directions = 2;
    }
}

static ink_result take_inventory(const ink_loader *loader, const char *name, inventory *found)
{
    *found = (inventory){.n_layers = 0, .n_directions = 1};
    size_t n_weights = loader->name_length < INK_NAME_SIZE ? ink_weights_count(loader->weights) : 0;
    for (size_t i = 0; i < n_weights; i++) {
        const char *full = ink_weights_at(loader->weights, i)->name;
        if (strncmp(full, loader->name, loader->name_length) != 0)
            continue;
        count_parameter(full + loader->name_length, found);
    }
    if (found->n_layers > 0)
        return INK_OK;
    if (!ink_loader_has(loader, "weight_ih"))
        return ink_fail(loader->ctx, INK_ERROR_NOT_FOUND, "%s: module '%s' has no tensor weight_ih_l0 or weight_ih",
                        ink_weights_name(loader->weights), name);
    found->n_layers = 1;
    found->is_cell = true;
    return INK_OK;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

typedef struct parameter_names {
    char w_ih[48], w_hh[48], w_hr[48], b_ih[48], b_hh[48];
} parameter_names;

static void name_parameters(const inventory *found, size_t layer, size_t direction, parameter_names *names)
{
    char suffix[32] = "";
    if (!found->is_cell)
        ink_format(suffix, sizeof suffix, "_l%zu%s", layer, direction == 0 ? "" : "_reverse");
    ink_format(names->w_ih, sizeof names->w_ih, "weight_ih%s", suffix);
    ink_format(names->w_hh, sizeof names->w_hh, "weight_hh%s", suffix);
    ink_format(names->w_hr, sizeof names->w_hr, "weight_hr%s", suffix);
    ink_format(names->b_ih, sizeof names->b_ih, "bias_ih%s", suffix);
    ink_format(names->b_hh, sizeof names->b_hh, "bias_hh%s", suffix);
}

/* The recurrent matrix is [G h, h]: it tells the hidden size, and whether the file means this cell. */
static ink_result hidden_size_of(ink_loader *loader, const char *name, ink_recurrent *recurrent)
{
    ink_cell cell = recurrent->cell;
    size_t n, k, n_expected;
    INK_TRY(ink_loader_matrix_shape(loader, name, false, &n, &k));
    if (!ink_size_mul(k, ink_cell_gates(cell), &n_expected) || n != n_expected)
        return ink_fail(
            loader->ctx, INK_ERROR_MISMATCH,
            "%s: tensor '%s' is [%zu, %zu]; for %s with hidden size %zu it would have %zu rows for each unit",
            ink_weights_name(loader->weights), ink_loader_find(loader, name)->name, n, k, ink_cell_name(cell), k,
            ink_cell_gates(cell));
    recurrent->hidden_size = recurrent->h_size = k;
    return INK_OK;
}

/* hidden_size and h_size. The recurrent matrix is [G h, h_size]; the projection of an LSTM, which is there where h_size
   is less than h, is [h_size, h]. */
static ink_result read_sizes(ink_loader *loader, const inventory *found, size_t hidden_size, ink_recurrent *recurrent)
{
    parameter_names first;
    const char *file = ink_weights_name(loader->weights);
    name_parameters(found, 0, 0, &first);
    recurrent->hidden_size = recurrent->h_size = hidden_size;
    if (found->projected && (recurrent->cell != INK_LSTM || hidden_size != 0))
        return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s%s': there is no %s with projections here",
                        file, loader->name, first.w_hr,
                        recurrent->cell != INK_LSTM ? ink_cell_name(recurrent->cell) : "language model");
    if (!found->projected)
        return hidden_size != 0 ? INK_OK : hidden_size_of(loader, first.w_hh, recurrent);
    INK_TRY(ink_loader_matrix_shape(loader, first.w_hr, false, &recurrent->h_size, &recurrent->hidden_size));
    if (recurrent->h_size >= recurrent->hidden_size)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH,
                        "%s: tensor '%s%s' is [%zu, %zu]: a projection makes h smaller", file, loader->name, first.w_hr,
                        recurrent->h_size, recurrent->hidden_size);
    return INK_OK;
}

/* Both biases or neither. */
static ink_result read_biases(ink_loader *loader, const char *b_ih, const char *b_hh, size_t n,
                              ink_recurrent_layer *layer)
{
    layer->b_ih = NULL;
    layer->b_hh = NULL;
    if (!ink_loader_has(loader, b_ih) && !ink_loader_has(loader, b_hh))
        return INK_OK;
    INK_TRY(ink_loader_vector(loader, b_ih, n, &layer->b_ih));
    return ink_loader_vector(loader, b_hh, n, &layer->b_hh);
}

/* One direction of one layer, whose input rows have `in` elements; 0: whatever the file has. */
static ink_result read_layer(ink_loader *loader, const parameter_names *names, const ink_recurrent *recurrent,
                             size_t in, ink_recurrent_layer *layer)
{
    size_t file_in, n;
    size_t rows = ink_cell_gates(recurrent->cell) * recurrent->hidden_size;
    INK_TRY(ink_loader_matrix_shape(loader, names->w_ih, false, &n, &file_in));
    INK_TRY(ink_loader_matrix(loader, names->w_ih, rows, in != 0 ? in : file_in, false, &layer->w_ih));
    INK_TRY(ink_loader_matrix(loader, names->w_hh, rows, recurrent->h_size, false, &layer->w_hh));
    layer->w_hr = (ink_matrix){0};
    if (recurrent->h_size != recurrent->hidden_size)
        INK_TRY(ink_loader_matrix(loader, names->w_hr, recurrent->h_size, recurrent->hidden_size, false, &layer->w_hr));
    return read_biases(loader, names->b_ih, names->b_hh, rows, layer);
}

static ink_result read_layers(ink_loader *loader, const inventory *found, size_t in, ink_recurrent *recurrent)
{
    size_t n_layers = recurrent->n_layers, n_directions = recurrent->n_directions;
    const char *asking = loader->expected;
    recurrent->layers = ink_arena_alloc(loader->arena, n_layers, n_directions * sizeof *recurrent->layers);
    for (size_t layer = 0; layer < n_layers; layer++) {
        for (size_t direction = 0; direction < n_directions; direction++) {
            parameter_names names;
            ink_recurrent_layer measured, *to = &measured;
            if (recurrent->layers != NULL)
                to = &recurrent->layers[layer * n_directions + direction];
            name_parameters(found, layer, direction, &names);
            INK_TRY(read_layer(loader, &names, recurrent, in, to));
            in = layer == 0 ? to->w_ih.k : in;
        }
        if (layer == 0)
            recurrent->in = in;
        in = n_directions * recurrent->h_size;
        loader->expected = "the layer before it";
    }
    loader->expected = asking;
    return INK_OK;
}

ink_result ink_recurrent_read(ink_loader *loader, const char *name, ink_cell cell, size_t in, size_t hidden_size,
                              size_t n_layers, ink_recurrent *recurrent)
{
    inventory found;
    size_t scope = ink_loader_enter_module(loader, name);
    INK_TRY(take_inventory(loader, name, &found));
    if (n_layers != 0 && n_layers != found.n_layers)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%s: module '%s' has %zu layers, %s asks for %zu",
                        ink_weights_name(loader->weights), name, found.n_layers,
                        loader->expected != NULL ? loader->expected : "the caller", n_layers);
    recurrent->cell = cell;
    recurrent->n_layers = found.n_layers;
    recurrent->n_directions = found.n_directions;
    INK_TRY(read_sizes(loader, &found, hidden_size, recurrent));
    INK_TRY(read_layers(loader, &found, in, recurrent));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

/* ---- the object ----------------------------------------------------------------------------------------------- */

typedef struct build_args {
    ink_context *ctx;
    const ink_weights *weights;
    const char *name;
    ink_cell cell;
} build_args;

static ink_result build(void *data, ink_arena *arena, void **object)
{
    const build_args *args = data;
    ink_recurrent measured, *recurrent = *object = ink_arena_alloc(arena, 1, sizeof *recurrent);
    ink_loader loader;
    ink_loader_begin(&loader, args->ctx, args->weights, arena);
    return ink_recurrent_read(&loader, args->name, args->cell, 0, 0, 0, recurrent != NULL ? recurrent : &measured);
}

ink_result ink_recurrent_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_cell cell,
                              ink_recurrent **recurrent)
{
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, recurrent);
    *recurrent = NULL;
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, name);
    if ((unsigned)cell >= INK_N_CELLS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: there is no cell %lld", __func__, (long long)cell);
    build_args args = {.ctx = ctx, .weights = weights, .name = name, .cell = cell};
    INK_TRY(ink_object_create(ctx, "the recurrent network", build, &args, 0, &object));
    *recurrent = object;
    return INK_OK;
}

void ink_recurrent_free(ink_recurrent *recurrent) { ink_object_free(recurrent); }

size_t ink_recurrent_in(const ink_recurrent *recurrent) { return recurrent->in; }

size_t ink_recurrent_out(const ink_recurrent *recurrent) { return recurrent->h_size * recurrent->n_directions; }

size_t ink_recurrent_hidden_size(const ink_recurrent *recurrent) { return recurrent->hidden_size; }

size_t ink_recurrent_layers(const ink_recurrent *recurrent) { return recurrent->n_layers; }

size_t ink_recurrent_directions(const ink_recurrent *recurrent) { return recurrent->n_directions; }

/* h of all layers and directions, and for the LSTM c as well. */
size_t ink_recurrent_state_size(const ink_recurrent *recurrent)
{
    size_t n_rows = recurrent->n_layers * recurrent->n_directions;
    return n_rows * (recurrent->h_size + (recurrent->cell == INK_LSTM ? recurrent->hidden_size : 0));
}
