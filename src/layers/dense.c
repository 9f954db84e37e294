/*
 * dense.c - the dense layer h = s(W x + b). The multi-layer perceptron of the same header is in mlp.c.
 */
#include <string.h>

#include "layers.h"

/* Elements of one task of an element-wise function; about the operations on floats that one of them takes. */
#define ACTIVATION_PIECE ((size_t)4096)
#define ACTIVATION_WORK ((size_t)24)

const char *ink_activation_name(ink_activation activation)
{
    static const char *const names[INK_N_ACTIVATIONS] = {
        "identity", "relu",      "leaky_relu", "elu",  "tanh", "sigmoid",      "softplus",
        "gelu",     "gelu_tanh", "quick_gelu", "silu", "mish", "hard_sigmoid", "hard_swish",
    };
    return (unsigned)activation < INK_N_ACTIVATIONS ? names[activation] : "unknown";
}

/* ---- element-wise functions ----------------------------------------------------------------------------------- */

typedef struct activation_job {
    const ink_kernel *kernel;
    ink_activation activation;
    const float *x;
    size_t n;
    float *y;
} activation_job;

static void activate_piece(void *data, size_t task)
{
    const activation_job *job = data;
    size_t first = task * ACTIVATION_PIECE;
    size_t count = ink_size_min(ACTIVATION_PIECE, job->n - first);
    job->kernel->activate(job->activation, job->x + first, count, job->y + first);
}

static void run_activation(ink_context *ctx, ink_activation activation, const float *x, size_t n, float *y)
{
    activation_job job = {.kernel = ctx->kernel, .activation = activation, .x = x, .n = n, .y = y};
    size_t n_pieces = n / ACTIVATION_PIECE + (n % ACTIVATION_PIECE != 0);
    ink_parallel_for(ctx, activate_piece, &job, n_pieces, n * ACTIVATION_WORK);
}

ink_result ink_activation_check(ink_context *ctx, const char *function, ink_activation activation)
{
    if ((unsigned)activation >= INK_N_ACTIVATIONS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: there is no activation %lld", function, (long long)activation);
    return INK_OK;
}

ink_result ink_activate(ink_context *ctx, ink_activation activation, const float *x, size_t n, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_TRY(ink_activation_check(ctx, __func__, activation));
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, y);
    ink_float_mode host = ink_float_mode_enter();
    run_activation(ctx, activation, x, n, y);
    ink_float_mode_leave(host);
    return INK_OK;
}

ink_result ink_add(ink_context *ctx, const float *x, size_t n, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, y);
    ink_float_mode host = ink_float_mode_enter();
    ctx->kernel->add(x, n, y);
    ink_float_mode_leave(host);
    return INK_OK;
}

/* ---- dense layer ---------------------------------------------------------------------------------------------- */

ink_result ink_dense_read(ink_loader *loader, const char *name, size_t out, size_t in, bool transposed,
                          ink_activation activation, ink_dense *dense)
{
    size_t scope = ink_loader_enter_module(loader, name);
    size_t file_out, file_in;
    INK_TRY(ink_loader_matrix_shape(loader, "weight", transposed, &file_out, &file_in));
    if (out == 0)
        out = file_out;
    if (in == 0)
        in = file_in;
    INK_TRY(ink_loader_matrix(loader, "weight", out, in, transposed, &dense->weight));
    INK_TRY(ink_loader_optional_vector(loader, "bias", out, &dense->bias));
    dense->activation = activation;
    ink_loader_leave(loader, scope);
    return INK_OK;
}

ink_result ink_dense_read_parts(ink_loader *loader, const ink_dense_part *parts, size_t n_parts, size_t in,
                                ink_dense *dense)
{
    ink_loader_part weights[INK_MAX_PARTS], biases[INK_MAX_PARTS];
    for (size_t i = 0; i < n_parts; i++) {
        weights[i] = (ink_loader_part){parts[i].name, "weight", parts[i].out};
        biases[i] = (ink_loader_part){parts[i].name, "bias", parts[i].out};
    }
    INK_TRY(ink_loader_matrix_parts(loader, weights, n_parts, in, &dense->weight));
    INK_TRY(ink_loader_optional_vector_parts(loader, biases, n_parts, &dense->bias));
    dense->activation = INK_IDENTITY;
    return INK_OK;
}

void ink_dense_run(ink_context *ctx, const ink_dense *dense, const float *x, size_t n, float *y)
{
    ink_dense_run_strided(ctx, dense, x, dense->weight.k, n, y);
}

void ink_dense_run_strided(ink_context *ctx, const ink_dense *dense, const float *x, size_t x_stride, size_t n,
                           float *y)
{
    const ink_product product = {.x = x,
                                 .x_stride = x_stride,
                                 .m = n,
                                 .w = &dense->weight,
                                 .bias = dense->bias,
                                 .y = y,
                                 .y_stride = dense->weight.n};
    ink_multiply(ctx, &product);
    if (dense->activation != INK_IDENTITY)
        run_activation(ctx, dense->activation, y, n * dense->weight.n, y);
}

typedef struct load_args {
    ink_context *ctx;
    const ink_weights *weights;
    const char *name;
    bool transposed;
    ink_activation activation;
} load_args;

static ink_result build_loaded(void *data, ink_arena *arena, void **object)
{
    const load_args *args = data;
    ink_dense measured, *dense = *object = ink_arena_alloc(arena, 1, sizeof *dense);
    ink_loader loader;
    ink_loader_begin(&loader, args->ctx, args->weights, arena);
    return ink_dense_read(&loader, args->name, 0, 0, args->transposed, args->activation,
                          dense != NULL ? dense : &measured);
}

static ink_result load_dense(ink_context *ctx, load_args *args, ink_dense **dense)
{
    void *object;
    INK_TRY(ink_object_create(ctx, "the dense layer", build_loaded, args, 0, &object));
    *dense = object;
    return INK_OK;
}

ink_result ink_dense_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_activation activation,
                          ink_dense **dense)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, dense);
    *dense = NULL;
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, name);
    INK_TRY(ink_activation_check(ctx, __func__, activation));
    load_args args = {.ctx = ctx, .weights = weights, .name = name, .activation = activation};
    return load_dense(ctx, &args, dense);
}

ink_result ink_dense_load_transposed(ink_context *ctx, const ink_weights *weights, const char *name,
                                     ink_activation activation, ink_dense **dense)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, dense);
    *dense = NULL;
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, name);
    INK_TRY(ink_activation_check(ctx, __func__, activation));
    load_args args = {.ctx = ctx, .weights = weights, .name = name, .transposed = true, .activation = activation};
    return load_dense(ctx, &args, dense);
}

typedef struct copy_args {
    const ink_kernel *kernel;
    const float *weight, *bias;
    size_t in, out;
    ink_activation activation;
} copy_args;

static ink_result build_copied(void *data, ink_arena *arena, void **object)
{
    const copy_args *args = data;
    ink_dense measured, *dense = *object = ink_arena_alloc(arena, 1, sizeof *dense);
    if (dense == NULL)
        dense = &measured;
    ink_matrix_alloc(arena, &dense->weight, args->out, args->in, args->in, INK_F32);
    dense->bias = args->bias != NULL ? ink_alloc_rows(arena, 1, args->out) : NULL;
    dense->activation = args->activation;
    if (arena->measuring || ink_arena_failed(arena))
        return INK_OK;
    ink_matrix_fill_rows(args->kernel, &dense->weight, 0, args->out, INK_F32, args->weight, NULL);
    if (args->bias != NULL)
        memcpy(dense->bias, args->bias, args->out * sizeof *args->bias);
    return INK_OK;
}

ink_result ink_dense_create(ink_context *ctx, const float *weight, const float *bias, size_t in, size_t out,
                            ink_activation activation, ink_dense **dense)
{
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, dense);
    *dense = NULL;
    INK_REQUIRE(ctx, weight);
    if (in == 0 || out == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "%s: a layer of %zu inputs and %zu outputs, expected at least 1 of each", __func__, in, out);
    INK_TRY(ink_activation_check(ctx, __func__, activation));
    copy_args args = {
        .kernel = ctx->kernel, .weight = weight, .bias = bias, .in = in, .out = out, .activation = activation};
    INK_TRY(ink_object_create(ctx, "the dense layer", build_copied, &args, 0, &object));
    *dense = object;
    return INK_OK;
}

void ink_dense_free(ink_dense *dense) { ink_object_free(dense); }

size_t ink_dense_in(const ink_dense *dense) { return dense->weight.k; }

size_t ink_dense_out(const ink_dense *dense) { return dense->weight.n; }

ink_result ink_dense_forward(ink_context *ctx, const ink_dense *dense, const float *x, size_t n, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, dense);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, y);
    ink_float_mode host = ink_float_mode_enter();
    ink_dense_run(ctx, dense, x, n, y);
    ink_float_mode_leave(host);
    return INK_OK;
}
