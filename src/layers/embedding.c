/*
 * embedding.c - token ids to vectors, and vectors to logits, both over one packed table E (embedding.h).
 */
#include "layers.h"

void ink_embedding_run(const ink_embedding *embedding, const ink_token *tokens, size_t n, float *y)
{
    const ink_matrix *table = &embedding->table;
    size_t size = embedding->columns ? table->n : table->k;
    for (size_t i = 0; i < n; i++)
        if (embedding->columns)
            ink_matrix_read_column(table, (size_t)tokens[i], y + i * size);
        else
            ink_matrix_read_row(table, (size_t)tokens[i], 0, size, y + i * size);
}

void ink_embedding_free(ink_embedding *embedding) { ink_object_free(embedding); }
size_t ink_embedding_vocab_size(const ink_embedding *embedding) { return embedding->table.n; }
size_t ink_embedding_size(const ink_embedding *embedding) { return embedding->table.k; }

ink_result ink_embedding_forward(ink_context *ctx, const ink_embedding *embedding, const ink_token *tokens, size_t n,
                                 float *y)
{
    INK_REQUIRE(ctx, embedding);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, tokens, y);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (size_t)tokens[i] >= embedding->table.n)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: tokens[%zu] is %d, expected 0 to %zu", __func__, i,
                            (int)tokens[i], embedding->table.n - 1);
    ink_embedding_run(embedding, tokens, n, y);
    return INK_OK;
}

/* logits = h E^T + b */
ink_result ink_embedding_logits(ink_context *ctx, const ink_embedding *embedding, const float *bias, const float *h,
                                size_t n, float *logits)
{
    INK_REQUIRE(ctx, embedding);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, h, logits);
    const ink_matrix *table = &embedding->table;
    ink_float_mode host = ink_float_mode_enter();
    ink_multiply(
        ctx, &(ink_product){
                 .x = h, .x_stride = table->k, .m = n, .w = table, .bias = bias, .y = logits, .y_stride = table->n});
    ink_float_mode_leave(host);
    return INK_OK;
}
