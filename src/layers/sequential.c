/*
 * sequential.c - modules one after the other (sequential.h). The rows run in passes through all layers. Each
 * convolution keeps the rows that its later windows see in the state, so a pass is a chunk of the sequence to every
 * layer.
 */
#include <string.h>

#include "layers.h"

/* ---- layers that work on rows ----------------------------------------------------------------------------------- */

/* PReLU: y = max(x, 0) - a * max(-x, 0), with one a for each channel. `below` is a row of scratch. */
static void prelu_rows(const ink_kernel *kernel, const ink_norm *slopes, const float *x, size_t n, float *below,
                       float *y)
{
    size_t size = slopes->size;
    for (size_t row = 0; row < n; row++, x += size, y += size) {
        memset(below, 0, size * sizeof *below);
        kernel->add_share(x, size, -1, 1, below);
        kernel->activate(INK_RELU, below, size, below);
        kernel->multiply_elements(slopes->weight, size, below);
        kernel->activate(INK_RELU, x, size, y);
        kernel->add_share(below, size, -1, 1, y);
    }
}

/* nn.BatchNorm1d after training: y = scale * x + shift */
static void scale_rows(const ink_kernel *kernel, const ink_norm *norm, const float *x, size_t n, float *y)
{
    if (n != 0)
        memcpy(y, x, n * norm->size * sizeof *y);
    for (size_t row = 0; row < n; row++, y += norm->size) {
        kernel->multiply_elements(norm->weight, norm->size, y);
        kernel->add(norm->bias, norm->size, y);
    }
}

/* ---- all layers ------------------------------------------------------------------------------------------------- */

typedef struct sequential_scratch {
    float *hidden[2]; /* the output of a layer, the input of the next */
    float *conv;      /* of the convolution that runs */
    float *row;       /* [widest] */
    float *state;     /* [state_size], if the caller has none */
} sequential_scratch;

static void sequential_alloc_scratch(ink_arena *arena, const ink_sequential *net, size_t n, bool with_state,
                                     sequential_scratch *scratch)
{
    size_t rows = ink_size_min(n, INK_PASS_ROWS), most = 0, conv = 0, widest = 0;
    for (size_t i = 0; i < net->n_layers; i++) {
        const ink_layer *layer = &net->layers[i];
        size_t size = SIZE_MAX;
        if (layer->kind == INK_MODULE_CONV1D) {
            conv = ink_size_max(conv, ink_conv1d_scratch(&layer->conv, rows));
            rows = ink_conv1d_most_rows(&layer->conv, rows);
        }
        ink_size_mul(rows, layer->out, &size);
        most = ink_size_max(most, size);
        widest = ink_size_max(widest, layer->out);
    }
    scratch->hidden[0] = ink_alloc_rows(arena, 1, most);
    scratch->hidden[1] = ink_alloc_rows(arena, 1, most);
    scratch->conv = ink_alloc_rows(arena, 1, conv);
    scratch->row = ink_alloc_rows(arena, 1, widest);
    scratch->state = with_state ? ink_alloc_rows(arena, 1, ink_sequential_state_size(net)) : NULL;
}

/* Runs a pass; returns the number of rows of y. */
static size_t run_pass(ink_context *ctx, const ink_sequential *net, const sequential_scratch *scratch, float *state,
                       const float *x, size_t n, bool last, float *y)
{
    const ink_kernel *kernel = ctx->kernel;
    for (size_t i = 0; i < net->n_layers; i++) {
        const ink_layer *layer = &net->layers[i];
        float *next = i + 1 == net->n_layers ? y : scratch->hidden[i % 2];
        size_t rows = n;
        switch (layer->kind) {
        case INK_MODULE_LINEAR:
            ink_dense_run(ctx, &layer->conv.dense, x, layer->conv.in, n, next);
            break;
        case INK_MODULE_CONV1D:
            rows = ink_conv1d_length(&layer->conv, state, n, last);
            ink_conv1d_run(ctx, &layer->conv, scratch->conv, state, x, n, last, next);
            state += ink_conv1d_state_size(&layer->conv);
            break;
        case INK_MODULE_LAYER_NORM:
        case INK_MODULE_RMS_NORM:
            ink_norm_run(ctx, &layer->norm, x, n, next);
            break;
        case INK_MODULE_BATCH_NORM:
            scale_rows(kernel, &layer->norm, x, n, next);
            break;
        case INK_MODULE_PRELU:
            if (layer->norm.size == 1)
                ink_activate_run(ctx, ink_activation_with(INK_LEAKY_RELU, layer->norm.weight[0]), x, n * layer->out,
                                 next);
            else
                prelu_rows(kernel, &layer->norm, x, n, scratch->row, next);
            break;
        case INK_MODULE_ACTIVATION:
            ink_activate_run(ctx, layer->activation, x, n * layer->out, next);
            break;
        case INK_MODULE_NONE:
        case INK_N_MODULES:
            break;
        }
        size_t scope = ink_trace_enter(ctx, "%zu.", layer->number);
        INK_TRACE(ctx, "out", ink_tensor_2d(next, rows, layer->out));
        ink_trace_leave(ctx, scope);
        x = next;
        n = rows;
    }
    return n;
}

/* ---- public functions ------------------------------------------------------------------------------------------- */

void ink_sequential_free(ink_sequential *net) { ink_object_free(net); }
size_t ink_sequential_in(const ink_sequential *net) { return net->in; }
size_t ink_sequential_out(const ink_sequential *net) { return net->layers[net->n_layers - 1].out; }

size_t ink_sequential_state_size(const ink_sequential *net)
{
    size_t size = 0;
    for (size_t i = 0; i < net->n_layers; i++)
        size += net->layers[i].kind == INK_MODULE_CONV1D ? ink_conv1d_state_size(&net->layers[i].conv) : 0;
    return size;
}

/* The rows of y, and whether the state is one of the network. Without a state, no layer may be left without a row. */
static bool sequential_length(const ink_sequential *net, const float *state, size_t n, bool last, size_t *length)
{
    bool fits = true, empty = n == 0;
    for (size_t i = 0; i < net->n_layers; i++) {
        const ink_conv1d *conv = &net->layers[i].conv;
        if (net->layers[i].kind != INK_MODULE_CONV1D)
            continue;
        fits = fits && ink_conv1d_rows(conv, state, n, last, &n);
        empty = empty || n == 0;
        if (state != NULL)
            state += ink_conv1d_state_size(conv);
    }
    *length = fits && !(state == NULL && empty) ? n : 0;
    return fits;
}

size_t ink_sequential_length(const ink_sequential *net, const float *state, size_t n, bool last)
{
    size_t length;
    sequential_length(net, state, n, last, &length);
    return length;
}

static ink_result sequential_call(ink_context *ctx, const ink_sequential *net, float *state, const float *x, size_t n,
                                  bool last, float *y, bool reserve)
{
    sequential_scratch scratch;
    ink_call call;
    size_t first = 0, given = 0, rows;
    ink_call_begin(&call, ctx, reserve);
    sequential_alloc_scratch(call.arena, net, n, state == NULL, &scratch);
    if (ink_call_ready(&call)) {
        if (state == NULL)
            state = memset(scratch.state, 0, ink_sequential_state_size(net) * sizeof *state);
        do { /* also without rows: the end of a sequence may give some */
            rows = ink_size_min(INK_PASS_ROWS, n - first);
            bool end = last && first + rows == n;
            given += run_pass(ctx, net, &scratch, state, rows != 0 ? x + first * net->in : NULL, rows, end,
                              given != 0 ? y + given * ink_sequential_out(net) : y);
            first += rows;
        } while (first < n);
    }
    return ink_call_end(&call);
}

ink_result ink_sequential_forward(ink_context *ctx, const ink_sequential *net, float *state, const float *x, size_t n,
                                  bool last, float *y)
{
    size_t length;
    INK_REQUIRE(ctx, net);
    if (n > SIZE_MAX / 8 / net->in)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu rows are more than memory can hold", __func__, n);
    if (!sequential_length(net, state, n, last, &length))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the state is not one of this network", __func__);
    if (state == NULL && n == 0)
        return INK_OK;
    if (state == NULL && length == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu rows are too few for the convolutions of the network",
                        __func__, n);
    if (n != 0)
        INK_REQUIRE(ctx, x);
    if (length != 0)
        INK_REQUIRE(ctx, y);
    return sequential_call(ctx, net, state, x, n, last, y, false);
}

ink_result ink_sequential_reserve(ink_context *ctx, const ink_sequential *net, size_t n)
{
    INK_REQUIRE(ctx, net);
    return sequential_call(ctx, net, NULL, NULL, n, true, NULL, true);
}
