/*
 * block.c - the pre-norm Transformer block (Radford et al. 2019, section 2.3), for tokens of any number of sequences:
 *
 *     x += W_o attention(W_qkv norm_1(x))
 *     x += W_down s(W_up norm_2(x))
 */
#include "layers.h"

void ink_block_take_scratch(ink_arena *arena, const ink_block *block, size_t capacity, size_t rows,
                            ink_block_scratch *scratch)
{
    scratch->normed = ink_take_rows(arena, rows, block->norm_1.size);
    scratch->qkv = ink_take_rows(arena, rows, block->qkv.weight.n);
    scratch->attended = ink_take_rows(arena, rows, block->out.weight.k);
    scratch->inner = ink_take_rows(arena, rows, block->up.weight.n);
    ink_attention_take_scratch(arena, &block->attention, capacity, rows, &scratch->attention);
}

void ink_block_run(ink_context *ctx, const ink_block *block, const ink_block_scratch *scratch, const ink_span *spans,
                   size_t n_spans, float *x, size_t rows)
{
    size_t hidden = block->norm_1.size;
    size_t qkv_width = block->qkv.weight.n;
    size_t q_width = block->out.weight.k;
    float *normed = scratch->normed, *qkv = scratch->qkv, *attended = scratch->attended, *inner = scratch->inner;
    float *update = normed; /* what is added to x; the normed rows are used up by then */

    ink_norm_run(ctx, &block->norm_1, x, rows, normed);
    INK_LOOK(ctx, "norm_1", ink_tensor_2d(normed, rows, hidden));
    ink_dense_run(ctx, &block->qkv, normed, rows, qkv);
    INK_LOOK(ctx, "attn.qkv", ink_tensor_2d(qkv, rows, qkv_width));
    for (size_t i = 0; i < n_spans; i++)
        ink_attention_run(ctx, &block->attention, &scratch->attention, spans[i].cache,
                          qkv + spans[i].first * qkv_width, spans[i].count, attended + spans[i].first * q_width);
    INK_LOOK(ctx, "attn.heads", ink_tensor_2d(attended, rows, q_width));
    ink_dense_run(ctx, &block->out, attended, rows, update);
    INK_LOOK(ctx, "attn.out", ink_tensor_2d(update, rows, hidden));
    ctx->kernel->add(update, rows * hidden, x);

    ink_norm_run(ctx, &block->norm_2, x, rows, normed);
    INK_LOOK(ctx, "norm_2", ink_tensor_2d(normed, rows, hidden));
    ink_dense_run(ctx, &block->up, normed, rows, inner);
    INK_LOOK(ctx, "mlp.up", ink_tensor_2d(inner, rows, block->up.weight.n));
    ink_dense_run(ctx, &block->down, inner, rows, update);
    INK_LOOK(ctx, "mlp.down", ink_tensor_2d(update, rows, hidden));
    ctx->kernel->add(update, rows * hidden, x);
    INK_LOOK(ctx, "out", ink_tensor_2d(x, rows, hidden));
}
