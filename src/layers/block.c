/*
 * block.c - the Transformer block, for tokens of any number of sequences. With the norms in front (Radford et al. 2019,
 * section 2.3; Llama) or behind the sums (Vaswani et al. 2017; BERT):
 *
 *     x = x + W_o attention(W_qkv norm_1(x))             x = norm_1(x + W_o attention(W_qkv x))
 *     x = x + ffn(norm_2(x))                             x = norm_2(x + ffn(x))
 *
 *     ffn(x) = W_down s(W_up x)      or, gated (Shazeer 2020),      W_down (s(W_gate x) * W_up x)
 *
 * Between W_qkv and attention the queries and keys of a head may be normalised (Qwen3) and turned (RoPE).
 */
#include "layers.h"

/* About the operations on floats that one element of the work between two products takes. */
#define HEAD_WORK ((size_t)16)
#define GATE_WORK ((size_t)24)

void ink_block_alloc_scratch(ink_arena *arena, const ink_block *block, size_t capacity, size_t rows,
                             ink_block_scratch *scratch)
{
    scratch->normed = ink_alloc_rows(arena, rows, block->norm_1.size);
    scratch->qkv = ink_alloc_rows(arena, rows, block->qkv.weight.n);
    scratch->attended = ink_alloc_rows(arena, rows, block->out.weight.k);
    scratch->inner = ink_alloc_rows(arena, rows, block->up.weight.n);
    scratch->angles = NULL;
    scratch->whole = false;
    ink_attention_alloc_scratch(arena, &block->attention, capacity, rows, &scratch->attention);
}

size_t ink_spans_fill(const size_t *lengths, size_t n, size_t max_rows, ink_kv_cache *cache, ink_span *spans,
                      size_t *rows)
{
    size_t i = 0;
    for (*rows = 0; i < n && lengths[i] <= max_rows - *rows; *rows += lengths[i++])
        spans[i] = (ink_span){.cache = cache, .first = *rows, .count = lengths[i]};
    return i;
}

/* ---- attention ------------------------------------------------------------------------------------------------ */

typedef struct head_job {
    const ink_kernel *kernel;
    const ink_block *block;
    const ink_angles *angles;
    float *qkv;
} head_job;

/* The queries and keys of one token: normalised, then turned. */
static void prepare_heads(void *data, size_t row)
{
    const head_job *job = data;
    const ink_block *block = job->block;
    const ink_attention *attention = &block->attention;
    float *queries = job->qkv + row * block->qkv.weight.n;
    float *keys = queries + attention->n_heads * attention->head_dim;
    if (block->q_norm.size != 0)
        ink_norm_rows(job->kernel, &block->q_norm, queries, attention->n_heads, queries);
    if (block->k_norm.size != 0)
        ink_norm_rows(job->kernel, &block->k_norm, keys, attention->n_kv_heads, keys);
    if (job->angles != NULL)
        ink_angles_rotate(job->kernel, job->angles, row, attention->n_heads + attention->n_kv_heads, queries);
}

void ink_block_attend(ink_context *ctx, const ink_block *block, const ink_block_scratch *scratch, const ink_span *spans,
                      size_t n_spans, const float *x, size_t rows, float *update)
{
    size_t qkv_width = block->qkv.weight.n;
    size_t q_width = block->out.weight.k;
    float *qkv = scratch->qkv, *attended = scratch->attended;

    ink_dense_run(ctx, &block->qkv, x, rows, qkv);
    INK_TRACE(ctx, "attn.qkv", ink_tensor_2d(qkv, rows, qkv_width));
    if (scratch->angles != NULL || block->q_norm.size != 0 || block->k_norm.size != 0) {
        head_job job = {ctx->kernel, block, scratch->angles, qkv};
        ink_parallel_for(ctx, prepare_heads, &job, rows, rows * qkv_width * HEAD_WORK);
        INK_TRACE(ctx, "attn.prepared", ink_tensor_2d(qkv, rows, qkv_width));
    }
    for (size_t i = 0; i < n_spans; i++) {
        if (scratch->whole)
            spans[i].cache->length = 0;
        ink_attention_run(ctx, &block->attention, &scratch->attention, spans[i].cache, qkv + spans[i].first * qkv_width,
                          spans[i].count, attended + spans[i].first * q_width);
    }
    INK_TRACE(ctx, "attn.heads", ink_tensor_2d(attended, rows, q_width));
    ink_dense_run(ctx, &block->out, attended, rows, update);
    INK_TRACE(ctx, "attn.out", ink_tensor_2d(update, rows, block->out.weight.n));
}

/* ---- feed-forward --------------------------------------------------------------------------------------------- */

typedef struct gate_job {
    const ink_kernel *kernel;
    ink_activation activation;
    float *inner; /* [rows, 2 n] */
    size_t n;
} gate_job;

/* One row (g, u) becomes (s(g) * u, u). */
static void gate_row(void *data, size_t row)
{
    const gate_job *job = data;
    float *gate = job->inner + row * 2 * job->n;
    job->kernel->activate(job->activation, gate, job->n, gate);
    job->kernel->multiply_elements(gate + job->n, job->n, gate);
}

/* update [rows, hidden] = ffn(x) */
static void feed_forward(ink_context *ctx, const ink_block *block, const ink_block_scratch *scratch, const float *x,
                         size_t rows, float *update)
{
    size_t width = block->up.weight.n;
    float *inner = scratch->inner;
    ink_dense_run(ctx, &block->up, x, rows, inner);
    if (block->gated) {
        gate_job job = {ctx->kernel, block->gate, inner, width / 2};
        ink_parallel_for(ctx, gate_row, &job, rows, rows * width * GATE_WORK);
    }
    INK_TRACE(ctx, "mlp.up", ink_tensor_2d(inner, rows, width));
    ink_dense_run_strided(ctx, &block->down, inner, width, rows, update);
    INK_TRACE(ctx, "mlp.down", ink_tensor_2d(update, rows, block->down.weight.n));
}

/* ---- the block ------------------------------------------------------------------------------------------------ */

static void normalise(ink_context *ctx, const ink_norm *norm, const char *name, const float *x, size_t rows, float *y)
{
    ink_norm_run(ctx, norm, x, rows, y);
    INK_TRACE(ctx, name, ink_tensor_2d(y, rows, norm->size));
}

void ink_block_run(ink_context *ctx, const ink_block *block, const ink_block_scratch *scratch, const ink_span *spans,
                   size_t n_spans, float *x, size_t rows)
{
    size_t hidden = block->norm_1.size;
    float *normed = scratch->normed;
    float *update = normed; /* what is added to x; the normed rows are used up by then */

    if (block->post_norm) {
        ink_block_attend(ctx, block, scratch, spans, n_spans, x, rows, update);
        ctx->kernel->add(update, rows * hidden, x);
        normalise(ctx, &block->norm_1, "norm_1", x, rows, x);
        feed_forward(ctx, block, scratch, x, rows, update);
        ctx->kernel->add(update, rows * hidden, x);
        normalise(ctx, &block->norm_2, "norm_2", x, rows, x);
    } else {
        normalise(ctx, &block->norm_1, "norm_1", x, rows, normed);
        ink_block_attend(ctx, block, scratch, spans, n_spans, normed, rows, update);
        ctx->kernel->add(update, rows * hidden, x);
        normalise(ctx, &block->norm_2, "norm_2", x, rows, normed);
        feed_forward(ctx, block, scratch, normed, rows, update);
        ctx->kernel->add(update, rows * hidden, x);
    }
    INK_TRACE(ctx, "out", ink_tensor_2d(x, rows, hidden));
}
