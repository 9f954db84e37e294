/*
 * transformer.c - PyTorch's attention and encoder layers (transformer.h): names of tensors for the block of block.c,
 * and whole sequences through a stack of blocks.
 *
 * Rows of several sequences go through together, as many whole sequences as fit into PASS_ROWS rows, or into as many
 * as the longest one has; dense layers then have many rows, and scratch memory does not grow with their number.
 */
#include <string.h>

#include "layers.h"

#define PASS_ROWS ((size_t)128)

/* A block of which only the attention is there. */
struct ink_mha {
    ink_block block;
};

struct ink_transformer {
    size_t n_blocks;
    ink_block *blocks; /* [n_blocks] */
    ink_norm norm;     /* behind them; size 0: none */
};

/* ---- reading -------------------------------------------------------------------------------------------------- */

static ink_result read_in_proj(ink_loader *loader, size_t size, ink_dense *qkv)
{
    const ink_loader_part parts[] = {
        {"", "q_proj_weight", size}, {"", "k_proj_weight", size}, {"", "v_proj_weight", size}};
    if (ink_loader_has(loader, parts[0].tensor))
        INK_TRY(ink_loader_matrix_parts(loader, parts, 3, size, &qkv->weight));
    else
        INK_TRY(ink_loader_matrix(loader, "in_proj_weight", 3 * size, size, false, &qkv->weight));
    qkv->activation = INK_IDENTITY;
    return ink_loader_optional_vector(loader, "in_proj_bias", 3 * size, &qkv->bias);
}

/* nn.MultiheadAttention `name` into the attention of a block; size 0: whatever the file has. */
static ink_result read_attention(ink_loader *loader, const char *name, const ink_transformer_options *options,
                                 size_t size, ink_block *block)
{
    size_t file_size, columns, scope = ink_loader_enter_module(loader, name);
    const char *file = ink_weights_name(loader->weights);
    INK_TRY(ink_loader_matrix_shape(loader, "out_proj.weight", false, &file_size, &columns));
    if (size == 0)
        size = file_size;
    if (options->n_heads == 0 || size % options->n_heads != 0)
        return ink_fail(loader->ctx, INK_ERROR_ARGUMENT,
                        "%s: attention '%s' has size %zu, which %zu heads (n_heads) do not divide", file, loader->name,
                        size, options->n_heads);
    if (size > SIZE_MAX / 3)
        return ink_fail(loader->ctx, INK_ERROR_LIMIT, "%s: attention '%s' has size %zu", file, loader->name, size);
    if (ink_loader_has(loader, "bias_k"))
        return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%sbias_k': attention with add_bias_kv does not run here", file, loader->name);
    block->attention = (ink_attention){.n_heads = options->n_heads,
                                       .n_kv_heads = options->n_heads,
                                       .head_dim = size / options->n_heads,
                                       .bidirectional = !options->causal};
    INK_TRY(read_in_proj(loader, size, &block->qkv));
    INK_TRY(ink_dense_read(loader, "out_proj", size, size, false, INK_IDENTITY, &block->out));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

static float eps_of(const ink_transformer_options *options) { return options->eps != 0 ? options->eps : 1e-5F; }

/* nn.TransformerEncoderLayer, in its scope, of the sizes of the one before it: all share their scratch. */
static ink_result read_layer(ink_loader *loader, const ink_transformer_options *options, const ink_block *before,
                             ink_block *block)
{
    size_t inner = before != NULL ? before->up.weight.n : 0;
    size_t size = before != NULL ? before->out.weight.n : 0;
    *block = (ink_block){.post_norm = !options->norm_first};
    if (ink_loader_has(loader, "multihead_attn.out_proj.weight"))
        return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%smultihead_attn.out_proj.weight': decoder layers, which attend to a memory, do "
                        "not run here",
                        ink_weights_name(loader->weights), loader->name);
    INK_TRY(read_attention(loader, "self_attn", options, size, block));
    size = block->out.weight.n;
    INK_TRY(ink_norm_read(loader, "norm1", INK_LAYER_NORM, size, eps_of(options), &block->norm_1));
    INK_TRY(ink_dense_read(loader, "linear1", inner, size, false, options->activation, &block->up));
    INK_TRY(ink_dense_read(loader, "linear2", size, block->up.weight.n, false, INK_IDENTITY, &block->down));
    return ink_norm_read(loader, "norm2", INK_LAYER_NORM, size, eps_of(options), &block->norm_2);
}

static bool has_layer(ink_loader *loader, size_t i)
{
    size_t scope = ink_loader_enter(loader, "layers.%zu.", i);
    bool there = ink_loader_has(loader, "self_attn.out_proj.weight");
    ink_loader_leave(loader, scope);
    return there;
}

/* In the scope of the stack: layers 0 to n - 1, or, with n = 0, one layer that stands there by itself. *size is that
   of all of them. */
static ink_result read_layers(ink_loader *loader, const ink_transformer_options *options, size_t n, ink_block *blocks,
                              size_t *size)
{
    ink_block spare[2]; /* while measuring: this one and the one before it */
    for (size_t i = 0; i < ink_size_max(n, 1); i++) {
        ink_block *block = blocks != NULL ? &blocks[i] : &spare[i % 2];
        const ink_block *before = blocks != NULL ? block - 1 : &spare[(i + 1) % 2];
        size_t scope = ink_loader_enter(loader, n > 0 ? "layers.%zu." : "", i);
        INK_TRY(read_layer(loader, options, i > 0 ? before : NULL, block));
        ink_loader_leave(loader, scope);
        loader->expected = "the layer before it";
        *size = block->out.weight.n;
    }
    loader->expected = NULL;
    return INK_OK;
}

typedef struct build_args {
    ink_context *ctx;
    const ink_weights *weights;
    const char *name;
    const ink_transformer_options *options;
} build_args;

static ink_result build_mha(void *data, ink_arena *arena, void **object)
{
    const build_args *args = data;
    ink_mha measured, *mha = *object = ink_arena_alloc(arena, 1, sizeof *mha);
    ink_loader loader;
    if (mha == NULL)
        mha = &measured;
    ink_loader_begin(&loader, args->ctx, args->weights, arena);
    mha->block = (ink_block){0};
    return read_attention(&loader, args->name, args->options, 0, &mha->block);
}

static ink_result build_transformer(void *data, ink_arena *arena, void **object)
{
    const build_args *args = data;
    ink_transformer measured, *net = *object = ink_arena_alloc(arena, 1, sizeof *net);
    ink_loader loader;
    size_t n = 0, size;
    if (net == NULL)
        net = &measured;
    ink_loader_begin(&loader, args->ctx, args->weights, arena);
    ink_loader_enter_module(&loader, args->name);
    while (has_layer(&loader, n))
        n++;
    net->n_blocks = ink_size_max(n, 1);
    net->blocks = ink_arena_alloc(arena, net->n_blocks, sizeof *net->blocks);
    INK_TRY(read_layers(&loader, args->options, n, net->blocks, &size));
    net->norm = (ink_norm){0};
    if (n > 0 && ink_loader_has(&loader, "norm.weight"))
        return ink_norm_read(&loader, "norm", INK_LAYER_NORM, size, eps_of(args->options), &net->norm);
    return INK_OK;
}

static ink_result check_options(ink_context *ctx, const ink_transformer_options *options)
{
    INK_TRY(ink_activation_check(ctx, "ink_transformer_options", options->activation));
    if (!(options->eps >= 0) || !ctx->kernel->all_finite(&options->eps, 1))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_transformer_options: eps must be finite and not negative");
    return INK_OK;
}

ink_result ink_mha_load(ink_context *ctx, const ink_weights *weights, const char *name,
                        const ink_transformer_options *options, ink_mha **mha)
{
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, mha);
    *mha = NULL;
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, name);
    INK_REQUIRE(ctx, options);
    INK_TRY(check_options(ctx, options));
    build_args args = {.ctx = ctx, .weights = weights, .name = name, .options = options};
    INK_TRY(ink_object_create(ctx, "the attention", build_mha, &args, 0, &object));
    *mha = object;
    return INK_OK;
}

ink_result ink_transformer_load(ink_context *ctx, const ink_weights *weights, const char *name,
                                const ink_transformer_options *options, ink_transformer **transformer)
{
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, transformer);
    *transformer = NULL;
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, name);
    INK_REQUIRE(ctx, options);
    INK_TRY(check_options(ctx, options));
    build_args args = {.ctx = ctx, .weights = weights, .name = name, .options = options};
    INK_TRY(ink_object_create(ctx, "the Transformer", build_transformer, &args, 0, &object));
    *transformer = object;
    return INK_OK;
}

void ink_mha_free(ink_mha *mha) { ink_object_free(mha); }

void ink_transformer_free(ink_transformer *transformer) { ink_object_free(transformer); }

size_t ink_mha_size(const ink_mha *mha) { return mha->block.out.weight.n; }

size_t ink_transformer_size(const ink_transformer *transformer) { return transformer->blocks[0].out.weight.n; }

size_t ink_transformer_layers(const ink_transformer *transformer) { return transformer->n_blocks; }

/* ---- running -------------------------------------------------------------------------------------------------- */

/* What runs over whole sequences: a stack of blocks and a norm, or the attention of one block. */
typedef struct network {
    const ink_block *blocks;
    size_t n_blocks; /* 0: the attention of blocks[0] */
    const ink_norm *norm;
} network;

typedef struct pass_scratch {
    size_t max_rows;
    ink_span *spans; /* [sequences of a pass] */
    ink_kv_cache cache;
    ink_block_scratch block;
} pass_scratch;

static void alloc_scratch(ink_arena *arena, const network *net, size_t n_sequences, size_t n_rows, size_t longest,
                          pass_scratch *scratch)
{
    scratch->max_rows = ink_size_min(n_rows, ink_size_max(longest, PASS_ROWS));
    scratch->spans = ink_arena_alloc(arena, ink_size_min(n_sequences, scratch->max_rows), sizeof *scratch->spans);
    ink_kv_cache_alloc(arena, &net->blocks[0].attention, longest, &scratch->cache);
    ink_block_alloc_scratch(arena, &net->blocks[0], longest, scratch->max_rows, &scratch->block);
    scratch->block.whole = true;
}

/* One pass, from x to y [rows, size]. */
static void run_pass(ink_context *ctx, const network *net, const pass_scratch *scratch, size_t n_spans, const float *x,
                     size_t rows, float *y)
{
    size_t size = net->blocks[0].out.weight.n;
    if (net->n_blocks == 0) {
        ink_block_attend(ctx, &net->blocks[0], &scratch->block, scratch->spans, n_spans, x, rows, y);
        return;
    }
    if (y != x)
        memcpy(y, x, rows * size * sizeof *x);
    for (size_t i = 0; i < net->n_blocks; i++) {
        size_t scope = ink_trace_enter(ctx, "layers.%zu.", i);
        ink_block_run(ctx, &net->blocks[i], &scratch->block, scratch->spans, n_spans, y, rows);
        ink_trace_leave(ctx, scope);
    }
    if (net->norm->size != 0) {
        ink_norm_run(ctx, net->norm, y, rows, y);
        INK_TRACE(ctx, "norm", ink_tensor_2d(y, rows, size));
    }
}

/* The public edge, for the function of that name. */
static ink_result forward(ink_context *ctx, const char *function, const network *net, const float *x,
                          const size_t *lengths, size_t n_sequences, float *y)
{
    pass_scratch scratch;
    size_t n_rows = 0, longest = 0, size = net->blocks[0].out.weight.n;
    for (size_t i = 0; i < n_sequences; i++) {
        if (lengths[i] == 0 || !ink_size_add(n_rows, lengths[i], &n_rows))
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: sequence %zu has %zu rows", function, i, lengths[i]);
        longest = ink_size_max(longest, lengths[i]);
    }
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    alloc_scratch(&ctx->scratch, net, n_sequences, n_rows, longest, &scratch);
    if (ink_arena_failed(&ctx->scratch))
        return ink_scratch_fail(ctx, mark);
    ink_float_mode host = ink_float_mode_enter();
    for (size_t first = 0, rows; first < n_sequences; x += rows * size, y += rows * size) {
        size_t n = ink_spans_fill(lengths + first, n_sequences - first, scratch.max_rows, &scratch.cache, scratch.spans,
                                  &rows);
        run_pass(ctx, net, &scratch, n, x, rows, y);
        first += n;
    }
    ink_float_mode_leave(host);
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}

static ink_result reserve(ink_context *ctx, const char *function, const network *net, size_t n_sequences, size_t n_rows,
                          size_t longest)
{
    ink_arena measure;
    pass_scratch scratch;
    ink_arena_measure(&measure);
    alloc_scratch(&measure, net, n_sequences, n_rows, ink_size_min(longest, n_rows), &scratch);
    if (ink_arena_failed(&measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: more memory than this machine can address", function);
    return ink_scratch_reserve(ctx, measure.used);
}

ink_result ink_mha_forward(ink_context *ctx, const ink_mha *mha, const float *x, const size_t *lengths,
                           size_t n_sequences, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, mha);
    if (n_sequences == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, lengths);
    INK_REQUIRE(ctx, y);
    const network net = {.blocks = &mha->block};
    return forward(ctx, __func__, &net, x, lengths, n_sequences, y);
}

ink_result ink_transformer_forward(ink_context *ctx, const ink_transformer *transformer, const float *x,
                                   const size_t *lengths, size_t n_sequences, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, transformer);
    if (n_sequences == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, lengths);
    INK_REQUIRE(ctx, y);
    const network net = {transformer->blocks, transformer->n_blocks, &transformer->norm};
    return forward(ctx, __func__, &net, x, lengths, n_sequences, y);
}

ink_result ink_mha_reserve(ink_context *ctx, const ink_mha *mha, size_t n_sequences, size_t n_rows, size_t longest)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, mha);
    const network net = {.blocks = &mha->block};
    return reserve(ctx, __func__, &net, n_sequences, n_rows, longest);
}

ink_result ink_transformer_reserve(ink_context *ctx, const ink_transformer *transformer, size_t n_sequences,
                                   size_t n_rows, size_t longest)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, transformer);
    const network net = {transformer->blocks, transformer->n_blocks, &transformer->norm};
    return reserve(ctx, __func__, &net, n_sequences, n_rows, longest);
}
