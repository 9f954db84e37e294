/*
 * embedding.c - token ids to vectors, and vectors to logits over the same table (embedding.h).
 */
#include "layers.h"

ink_result ink_embedding_read(ink_loader *loader, const char *name, size_t vocab_size, size_t size,
                              ink_embedding *embedding)
{
    size_t scope = ink_loader_enter_module(loader, name);
    size_t file_vocab_size, file_size;
    INK_TRY(ink_loader_matrix_shape(loader, "weight", false, &file_vocab_size, &file_size));
    if (vocab_size == 0)
        vocab_size = file_vocab_size;
    if (size == 0)
        size = file_size;
    INK_TRY(ink_loader_matrix(loader, "weight", vocab_size, size, false, &embedding->table));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

void ink_embedding_run(const ink_embedding *embedding, const ink_token *tokens, size_t n, float *y)
{
    size_t size = embedding->table.k;
    for (size_t i = 0; i < n; i++)
        ink_matrix_read_row(&embedding->table, (size_t)tokens[i], 0, size, y + i * size);
}

typedef struct build_args {
    ink_context *ctx;
    const ink_weights *weights;
    const char *name;
} build_args;

static ink_result build(void *data, ink_arena *arena, void **object)
{
    const build_args *args = data;
    ink_embedding measured, *embedding = *object = ink_arena_alloc(arena, 1, sizeof *embedding);
    ink_loader loader;
    ink_loader_begin(&loader, args->ctx, args->weights, arena);
    return ink_embedding_read(&loader, args->name, 0, 0, embedding != NULL ? embedding : &measured);
}

ink_result ink_embedding_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_embedding **embedding)
{
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, embedding);
    *embedding = NULL;
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, name);
    build_args args = {.ctx = ctx, .weights = weights, .name = name};
    INK_TRY(ink_object_create(ctx, "the embedding", build, &args, 0, &object));
    *embedding = object;
    return INK_OK;
}

void ink_embedding_free(ink_embedding *embedding) { ink_object_free(embedding); }

size_t ink_embedding_vocab_size(const ink_embedding *embedding) { return embedding->table.n; }

size_t ink_embedding_size(const ink_embedding *embedding) { return embedding->table.k; }

ink_result ink_embedding_forward(ink_context *ctx, const ink_embedding *embedding, const ink_token *tokens, size_t n,
                                 float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, embedding);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, tokens);
    INK_REQUIRE(ctx, y);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= embedding->table.n)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: tokens[%zu] is %lld, expected 0 to %zu", __func__, i,
                            (long long)tokens[i], embedding->table.n - 1);
    ink_embedding_run(embedding, tokens, n, y);
    return INK_OK;
}

ink_result ink_embedding_logits(ink_context *ctx, const ink_embedding *embedding, const float *bias, const float *h,
                                size_t n, float *logits)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, embedding);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, h);
    INK_REQUIRE(ctx, logits);
    const ink_product product = {.x = h,
                                 .x_stride = embedding->table.k,
                                 .m = n,
                                 .w = &embedding->table,
                                 .bias = bias,
                                 .y = logits,
                                 .y_stride = embedding->table.n};
    ink_float_mode host = ink_float_mode_enter();
    ink_multiply(ctx, &product);
    ink_float_mode_leave(host);
    return INK_OK;
}
