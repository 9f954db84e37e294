/*
 * transformer.c - the Transformer block, a stack of blocks, and PyTorch's layers over whole sequences.
 *
 * The norms of a block come before attention and feed-forward network (Radford et al. 2019, section 2.3; Llama) or
 * after the sums (Vaswani et al. 2017; BERT):
 *
 *     x = x + W_o attention(W_qkv norm_1(x))             x = norm_1(x + W_o attention(W_qkv x))
 *     x = x + W_o attention(W_q norm_c(x), source)       x = norm_c(x + W_o attention(W_q x, source))
 *     x = x + ffn(norm_2(x))                             x = norm_2(x + ffn(x))
 *
 * The second line is the cross attention of a decoder, from its rows to all rows of a source (Vaswani et al. 2017,
 * section 3.2.3); other blocks have none. The keys and values of a source are in caches that were filled before.
 *
 *     ffn(x) = W_down s(W_up x)      or, gated (Shazeer 2020),      W_down (s(W_gate x) * W_up x)
 *
 * In either form the outputs of W_o and W_down may also be normalised before they are added (Gemma 3), and a norm may
 * be absent: OLMo 2 has no others than these, and the first block of ModernBERT has no norm_1. Between W_qkv and
 * attention, queries and keys may be normalised head by head (Qwen3) and rotated (rope.h). The scores may get a bias
 * that depends on the distance of the positions.
 */
#include <string.h>

#include "layers.h"

/* The approximate number of float operations for one element between two products. */
#define HEAD_WORK ((size_t)16)
#define GATE_WORK ((size_t)24)

void ink_stack_alloc_scratch(ink_arena *arena, const ink_stack_config *config, size_t capacity, size_t rows,
                             ink_stack_scratch *scratch)
{
    const ink_attention *attention = &config->attention[0];
    size_t q_width = attention->n_heads * attention->head_dim;
    size_t kv_width = attention->n_kv_heads * attention->head_dim;
    size_t cross_width = config->cross.n_heads * config->cross.head_dim;
    ink_attention most_heads = *attention;
    most_heads.n_heads = ink_size_max(attention->n_heads, config->cross.n_heads);
    scratch->normed = ink_alloc_rows(arena, rows, config->hidden_size);
    scratch->qkv = ink_alloc_rows(arena, rows, ink_size_max(q_width + 2 * kv_width, cross_width));
    scratch->attended = ink_alloc_rows(arena, rows, ink_size_max(q_width, cross_width));
    scratch->inner = ink_alloc_rows(arena, rows, config->gated ? 2 * config->inner_size : config->inner_size);
    for (size_t i = 0; i < INK_STACK_ROPES; i++)
        if (config->ropes[i].head_dim != 0)
            ink_angles_alloc(arena, &config->ropes[i], rows, &scratch->angles[i]);
    ink_attention_alloc_scratch(arena, &most_heads, capacity, rows, &scratch->attention);
    if (config->n_buckets != 0) {
        scratch->biases = ink_alloc_rows(arena, 1, attention->n_heads);
        scratch->attention.bias = ink_alloc_rows(arena, 2 * attention->n_heads, capacity);
        scratch->attention.bias_reach = capacity;
    }
}

/* ---- positions -------------------------------------------------------------------------------------------------- */

size_t ink_stack_frequencies(const ink_stack_config *config)
{
    size_t n = 0;
    for (size_t i = 0; i < INK_STACK_ROPES; i++)
        n += config->ropes[i].head_dim / 2;
    return n;
}

void ink_stack_fill_frequencies(const ink_kernel *kernel, const ink_stack_config *config, size_t capacity,
                                float *frequencies, float scales[INK_STACK_ROPES])
{
    for (size_t i = 0; i < INK_STACK_ROPES; i++)
        if (config->ropes[i].head_dim != 0) {
            scales[i] = kernel->rope_frequencies(&config->ropes[i], capacity, frequencies);
            frequencies += config->ropes[i].head_dim / 2;
        }
}

void ink_stack_fill_angles(const ink_kernel *kernel, const ink_stack_config *config, const float *frequencies,
                           const float scales[INK_STACK_ROPES], size_t position, size_t first, size_t count,
                           const ink_stack_scratch *scratch)
{
    for (size_t i = 0; i < INK_STACK_ROPES; i++)
        if (config->ropes[i].head_dim != 0) {
            ink_angles_fill(kernel, frequencies, scales[i], position, first, count, &scratch->angles[i]);
            frequencies += config->ropes[i].head_dim / 2;
        }
}

/*
 * The bucket of a key at `distance` from its query, of n buckets with `exact` = n / 2 (Raffel et al. 2020,
 * section 2.1):
 *
 *     distance                                                                         if distance < exact
 *     exact + floor(log(distance / exact) / log(max_distance / exact) (n - exact))     else, at most n - 1
 *
 * The floor is the largest k with (max_distance / exact)^k <= (distance / exact)^(n - exact). Products are exact where
 * the two are equal, so the bucket does not depend on a logarithm's last bit.
 */
static size_t distance_bucket(size_t distance, size_t n, size_t max_distance)
{
    size_t exact = n / 2, bucket = exact;
    double power = 1, ratio = (double)distance / (double)exact, step = (double)max_distance / (double)exact;
    if (distance < exact)
        return distance;
    for (size_t i = exact; i < n; i++)
        power *= ratio;
    for (double next = step; bucket + 1 < n && next <= power; next *= step)
        bucket++;
    return bucket;
}

/* The biases of all heads for the distances below `longest`. Bidirectional attention has half of the buckets for keys
   behind the query; causal attention does not see them. */
static void fill_position_bias(const ink_stack_config *config, const ink_embedding *position_bias, size_t longest,
                               const ink_stack_scratch *scratch)
{
    bool both = config->attention[0].bidirectional;
    size_t n = both ? config->n_buckets / 2 : config->n_buckets, reach = scratch->attention.bias_reach;
    for (size_t distance = 0; distance < longest; distance++) {
        size_t bucket = distance_bucket(distance, n, config->max_distance);
        for (size_t behind = 0; behind < 1 + (size_t)both; behind++) {
            ink_token row = (ink_token)(distance != 0 ? bucket + behind * n : bucket);
            float *to = scratch->attention.bias + (behind ? reach + distance : reach - distance);
            ink_embedding_run(position_bias, &row, 1, scratch->biases);
            for (size_t head = 0; head < config->attention[0].n_heads; head++)
                to[2 * head * reach] = scratch->biases[head];
        }
    }
}

/* ---- attention -------------------------------------------------------------------------------------------------- */

typedef struct head_job {
    const ink_kernel *kernel;
    const ink_block *block;
    const ink_attention *attention;
    const ink_angles *angles; /* NULL: no rope */
    float *qkv;
} head_job;

/* Normalises and then rotates the queries and keys of one row. */
static void prepare_heads(void *data, size_t row)
{
    const head_job *job = data;
    const ink_block *block = job->block;
    size_t n_heads = job->attention->n_heads, n_kv_heads = job->attention->n_kv_heads;
    float *queries = job->qkv + row * block->qkv.weight.n;
    float *keys = queries + n_heads * job->attention->head_dim;
    if (block->q_norm.size != 0)
        ink_norm_rows(job->kernel, &block->q_norm, queries, n_heads, queries);
    if (block->k_norm.size != 0)
        ink_norm_rows(job->kernel, &block->k_norm, keys, n_kv_heads, keys);
    if (job->angles != NULL)
        ink_angles_rotate(job->kernel, job->angles, row, n_heads + n_kv_heads, queries);
}

void ink_block_attend(ink_context *ctx, const ink_stack *stack, size_t i, const ink_stack_scratch *scratch,
                      const ink_span *spans, size_t n_spans, const float *x, size_t rows, float *y)
{
    const ink_block *block = &stack->blocks[i];
    const ink_attention *attention = &stack->config.attention[i];
    size_t qkv_width = block->qkv.weight.n, q_width = block->out.weight.k;
    const ink_angles *angles = stack->config.ropes[block->rope].head_dim != 0 ? &scratch->angles[block->rope] : NULL;
    float *qkv = scratch->qkv, *attended = scratch->attended;

    ink_dense_run(ctx, &block->qkv, x, block->qkv.weight.k, rows, qkv);
    INK_TRACE(ctx, "attn.qkv", ink_tensor_2d(qkv, rows, qkv_width));
    if (angles != NULL || block->q_norm.size != 0 || block->k_norm.size != 0) {
        head_job job = {ctx->kernel, block, attention, angles, qkv};
        ink_parallel_for(ctx, prepare_heads, &job, rows, rows * qkv_width * HEAD_WORK);
        INK_TRACE(ctx, "attn.prepared", ink_tensor_2d(qkv, rows, qkv_width));
    }
    for (const ink_span *span = spans; span < spans + n_spans; span++) {
        ink_kv_cache cache =
            ink_kv_cache_over(attention, span->capacity, span->type, (char *)span->kv + i * span->kv_stride);
        cache.length = span->before;
        ink_attention_run(ctx, attention, &scratch->attention, &cache, qkv + span->first * qkv_width, span->count,
                          attended + span->first * q_width);
    }
    INK_TRACE(ctx, "attn.heads", ink_tensor_2d(attended, rows, q_width));
    ink_dense_run(ctx, &block->out, attended, q_width, rows, y);
    INK_TRACE(ctx, "attn.out", ink_tensor_2d(y, rows, block->out.weight.n));
}

/* y [rows, hidden_size] = W_o attention(W_q x) of block i, over the keys and values of the sources: no mask, no
   positions. y may be x. */
static void attend_to_sources(ink_context *ctx, const ink_stack *stack, size_t i, const ink_stack_scratch *scratch,
                              const ink_span *spans, size_t n_spans, const float *x, size_t rows, float *y)
{
    const ink_block *block = &stack->blocks[i];
    ink_attention attention = stack->config.cross;
    ink_attention_scratch unbiased = scratch->attention;
    size_t width = block->cross_q.weight.n;
    float *queries = scratch->qkv, *attended = scratch->attended;
    attention.bidirectional = true;
    unbiased.bias = NULL;

    ink_dense_run(ctx, &block->cross_q, x, block->cross_q.weight.k, rows, queries);
    INK_TRACE(ctx, "cross.q", ink_tensor_2d(queries, rows, width));
    for (const ink_span *span = spans, *end = spans + n_spans, *next; span < end; span = next) {
        size_t first = span->first, count = 0;
        for (next = span; next < end && next->cross == span->cross; next++)
            count += next->count;
        ink_kv_cache cache =
            ink_kv_cache_over(&attention, span->cross_capacity, INK_F32, (char *)span->cross + i * span->cross_stride);
        cache.length = span->cross_length;
        ink_attention_attend(ctx, &attention, &unbiased, &cache, 0, "cross", queries + first * width, width, count,
                             attended + first * width);
    }
    INK_TRACE(ctx, "cross.heads", ink_tensor_2d(attended, rows, width));
    ink_dense_run(ctx, &block->cross_out, attended, width, rows, y);
    INK_TRACE(ctx, "cross.out", ink_tensor_2d(y, rows, block->cross_out.weight.n));
}

/* ---- the feed-forward network ----------------------------------------------------------------------------------- */

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

/* y [rows, hidden_size] = ffn(x) */
static void feed_forward(ink_context *ctx, const ink_stack *stack, size_t i, const ink_stack_scratch *scratch,
                         const float *x, size_t rows, float *y)
{
    const ink_block *block = &stack->blocks[i];
    size_t width = block->up.weight.n;
    float *inner = scratch->inner;
    ink_dense_run(ctx, &block->up, x, block->up.weight.k, rows, inner);
    if (stack->config.gated) {
        gate_job job = {ctx->kernel, stack->config.gate_activation, inner, width / 2};
        ink_parallel_for(ctx, gate_row, &job, rows, rows * width * GATE_WORK);
    }
    INK_TRACE(ctx, "mlp.up", ink_tensor_2d(inner, rows, width));
    ink_dense_run(ctx, &block->down, inner, width, rows, y);
    INK_TRACE(ctx, "mlp.down", ink_tensor_2d(y, rows, block->down.weight.n));
}

/* ---- the stack -------------------------------------------------------------------------------------------------- */

/* Returns y = norm(x), or x if there is no such norm. */
static const float *norm_and_trace(ink_context *ctx, const ink_norm *norm, const char *name, const float *x,
                                   size_t rows, float *y)
{
    if (norm->size == 0)
        return x;
    ink_norm_run(ctx, norm, x, rows, y);
    INK_TRACE(ctx, name, ink_tensor_2d(y, rows, norm->size));
    return y;
}

void ink_stack_run(ink_context *ctx, const ink_stack *stack, const char *name, const ink_stack_scratch *scratch,
                   const ink_span *spans, size_t n_spans, float *x, size_t rows)
{
    size_t size = rows * stack->config.hidden_size;
    float *normed = scratch->normed;
    float *update = normed; /* added to x, when the normed rows are no longer needed */
    bool before = stack->config.norm_place == INK_NORM_BEFORE;
    size_t longest = 0;
    for (const ink_span *span = spans; span < spans + n_spans; span++)
        longest = ink_size_max(longest, span->before + span->count);
    if (stack->position_bias.table.n != 0)
        fill_position_bias(&stack->config, &stack->position_bias, longest, scratch);
    for (size_t i = 0; i < stack->config.n_blocks; i++) {
        const ink_block *block = &stack->blocks[i];
        size_t scope = ink_trace_enter(ctx, "%s.%zu.", name, i);
        if (block->own_bias.table.n != 0)
            fill_position_bias(&stack->config, &block->own_bias, longest, scratch);
        const float *in = before ? norm_and_trace(ctx, &block->norm_1, "norm_1", x, rows, normed) : x;
        ink_block_attend(ctx, stack, i, scratch, spans, n_spans, in, rows, update);
        norm_and_trace(ctx, &block->out_norm_1, "out_norm_1", update, rows, update);
        ctx->kernel->add(update, size, x);
        if (!before)
            norm_and_trace(ctx, &block->norm_1, "norm_1", x, rows, x);
        if (stack->config.cross.n_heads != 0) {
            in = before ? norm_and_trace(ctx, &block->norm_cross, "norm_cross", x, rows, normed) : x;
            attend_to_sources(ctx, stack, i, scratch, spans, n_spans, in, rows, update);
            ctx->kernel->add(update, size, x);
            if (!before)
                norm_and_trace(ctx, &block->norm_cross, "norm_cross", x, rows, x);
        }
        in = before ? norm_and_trace(ctx, &block->norm_2, "norm_2", x, rows, normed) : x;
        feed_forward(ctx, stack, i, scratch, in, rows, update);
        norm_and_trace(ctx, &block->out_norm_2, "out_norm_2", update, rows, update);
        ctx->kernel->add(update, size, x);
        if (!before)
            norm_and_trace(ctx, &block->norm_2, "norm_2", x, rows, x);
        INK_TRACE(ctx, "out", ink_tensor_2d(x, rows, stack->config.hidden_size));
        ink_trace_leave(ctx, scope);
    }
}

void ink_stack_append_sources(ink_context *ctx, const ink_stack *stack, const char *name, float *projected,
                              const ink_span *spans, size_t n_spans, const float *s, size_t rows)
{
    const ink_attention *cross = &stack->config.cross;
    size_t width = cross->n_kv_heads * cross->head_dim;
    for (size_t i = 0; i < stack->config.n_blocks; i++) {
        const ink_dense *kv = &stack->blocks[i].cross_kv;
        size_t scope = ink_trace_enter(ctx, "%s.%zu.", name, i);
        ink_dense_run(ctx, kv, s, kv->weight.k, rows, projected);
        INK_TRACE(ctx, "cross.kv", ink_tensor_2d(projected, rows, 2 * width));
        ink_trace_leave(ctx, scope);
        for (const ink_span *span = spans; span < spans + n_spans; span++) {
            const float *keys = projected + span->first * 2 * width;
            ink_kv_cache cache =
                ink_kv_cache_over(cross, span->cross_capacity, INK_F32, (char *)span->cross + i * span->cross_stride);
            cache.length = span->cross_length;
            ink_kv_cache_append(ctx->kernel, &cache, keys, keys + width, 2 * width, span->count);
        }
    }
}

/* ---- PyTorch's layers: whole sequences -------------------------------------------------------------------------- */

void ink_mha_free(ink_mha *mha) { ink_object_free(mha); }
void ink_transformer_free(ink_transformer *transformer) { ink_object_free(transformer); }
size_t ink_mha_size(const ink_mha *mha) { return mha->stack.config.hidden_size; }
size_t ink_transformer_size(const ink_transformer *transformer) { return transformer->stack.config.hidden_size; }
size_t ink_transformer_layers(const ink_transformer *transformer) { return transformer->stack.config.n_blocks; }
size_t ink_transformer_memory_size(const ink_transformer *transformer) { return transformer->stack.config.source_size; }

/* Whole sequences side by side: those that run through the layers, and the memories of a decoder. */
typedef struct row_list {
    const float *rows;
    const size_t *lengths; /* [n_sequences] */
    size_t n_rows, longest;
} row_list;

/* A call of one of the modules. */
typedef struct stack_call {
    const ink_stack *stack;
    bool attention_alone; /* the attention of block 0 alone */
    size_t n_sequences;
    row_list x, memory; /* memory: without a row, not there */
    float *y;
} stack_call;

/* The most rows of a pass: as many whole sequences as fit into INK_PASS_ROWS rows, or one longer sequence. */
static size_t most_rows(const row_list *list)
{
    return ink_size_min(list->n_rows, ink_size_max(list->longest, INK_PASS_ROWS));
}

/* Runs, or reserves for, all modules. A pass has as many whole sequences as fit, with their memories. */
static ink_result run_stack_call(ink_context *ctx, const stack_call *c, bool reserve)
{
    const ink_stack *stack = c->stack;
    const ink_stack_config *config = &stack->config;
    const ink_attention *cross = &config->cross;
    size_t size = config->hidden_size, max_rows = most_rows(&c->x), max_memory = most_rows(&c->memory);
    size_t most = ink_size_min(c->n_sequences, max_rows), kept_rows = SIZE_MAX, kept = SIZE_MAX;
    ink_stack_scratch scratch;
    ink_call call;
    ink_call_begin(&call, ctx, reserve);
    ink_span *spans = ink_arena_alloc(call.arena, most, sizeof *spans);
    void *kv = ink_arena_alloc(call.arena, ink_kv_cache_bytes(&config->attention[0], c->x.longest, INK_F32), 1);
    ink_stack_alloc_scratch(call.arena, config, ink_size_max(c->x.longest, c->memory.longest), max_rows, &scratch);
    char *caches = NULL;
    float *projected = NULL;
    if (max_memory != 0) { /* each memory of a pass begins with a panel of its own */
        if (ink_size_mul(most, INK_PANEL, &kept_rows) && ink_size_add(kept_rows, max_memory, &kept_rows))
            kept = ink_kv_cache_bytes(cross, kept_rows, INK_F32);
        caches = ink_arena_alloc(call.arena, config->n_blocks, kept);
        projected = ink_alloc_rows(call.arena, max_memory, 2 * cross->n_kv_heads * cross->head_dim);
    }
    if (!ink_call_ready(&call))
        return ink_call_end(&call);

    const float *x = c->x.rows, *memory = c->memory.rows;
    float *y = c->y;
    for (size_t i = 0; i < c->n_sequences;) {
        size_t n = 0, rows = 0, memory_rows = 0, first = i;
        char *cache = caches;
        for (; i < c->n_sequences && c->x.lengths[i] <= max_rows - rows; rows += c->x.lengths[i++]) {
            size_t length = max_memory != 0 ? c->memory.lengths[i] : 0;
            if (length > max_memory - memory_rows)
                break;
            spans[n] = (ink_span){.kv = kv, .capacity = c->x.longest, .first = memory_rows, .count = length};
            if (length != 0) {
                spans[n].cross = cache;
                spans[n].cross_stride = ink_kv_cache_bytes(cross, length, INK_F32);
                spans[n].cross_capacity = length;
                cache += config->n_blocks * spans[n].cross_stride;
            }
            memory_rows += length;
            n++;
        }
        if (memory_rows != 0) {
            ink_stack_append_sources(ctx, stack, "layers", projected, spans, n, memory, memory_rows);
            memory += memory_rows * config->source_size;
        }
        for (size_t j = 0, at = 0; j < n; at += c->x.lengths[first + j++]) {
            spans[j].cross_length = spans[j].count;
            spans[j].first = at;
            spans[j].count = c->x.lengths[first + j];
        }
        if (c->attention_alone) {
            ink_block_attend(ctx, stack, 0, &scratch, spans, n, x, rows, y);
        } else {
            if (y != x)
                memcpy(y, x, rows * size * sizeof *x);
            ink_stack_run(ctx, stack, "layers", &scratch, spans, n, y, rows);
            norm_and_trace(ctx, &stack->norm, "norm", y, rows, y);
        }
        x += rows * size;
        y += rows * size;
    }
    return ink_call_end(&call);
}

static ink_result count_rows(ink_context *ctx, const char *function, const char *what, size_t n, row_list *list)
{
    for (size_t i = 0; i < n; i++) {
        if (list->lengths[i] == 0 || !ink_size_add(list->n_rows, list->lengths[i], &list->n_rows))
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %s %zu has %zu rows", function, what, i, list->lengths[i]);
        list->longest = ink_size_max(list->longest, list->lengths[i]);
    }
    return INK_OK;
}

ink_result ink_mha_forward(ink_context *ctx, const ink_mha *mha, const float *x, const size_t *lengths,
                           size_t n_sequences, float *y)
{
    INK_REQUIRE(ctx, mha);
    if (n_sequences == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x, lengths, y);
    stack_call c = {&mha->stack, true, n_sequences, {.rows = x, .lengths = lengths}, {0}, y};
    INK_TRY(count_rows(ctx, __func__, "sequence", n_sequences, &c.x));
    return run_stack_call(ctx, &c, false);
}

/* Whether the module takes a memory must fit the call. */
static ink_result check_memory(ink_context *ctx, const char *function, const ink_transformer *transformer, bool given)
{
    if (given == (ink_transformer_memory_size(transformer) != 0))
        return INK_OK;
    return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %s", function,
                    given ? "an encoder attends to no memory: use ink_transformer_forward()"
                          : "a decoder attends to a memory: use ink_transformer_decode()");
}

ink_result ink_transformer_forward(ink_context *ctx, const ink_transformer *transformer, const float *x,
                                   const size_t *lengths, size_t n_sequences, float *y)
{
    INK_REQUIRE(ctx, transformer);
    INK_TRY(check_memory(ctx, __func__, transformer, false));
    if (n_sequences == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x, lengths, y);
    stack_call c = {&transformer->stack, false, n_sequences, {.rows = x, .lengths = lengths}, {0}, y};
    INK_TRY(count_rows(ctx, __func__, "sequence", n_sequences, &c.x));
    return run_stack_call(ctx, &c, false);
}

ink_result ink_transformer_decode(ink_context *ctx, const ink_transformer *transformer, const float *x,
                                  const size_t *lengths, const float *memory, const size_t *memory_lengths,
                                  size_t n_sequences, float *y)
{
    INK_REQUIRE(ctx, transformer);
    INK_TRY(check_memory(ctx, __func__, transformer, true));
    if (n_sequences == 0)
        return INK_OK;
    INK_REQUIRE(ctx, x, lengths, memory, memory_lengths, y);
    stack_call c = {&transformer->stack,
                    false,
                    n_sequences,
                    {.rows = x, .lengths = lengths},
                    {.rows = memory, .lengths = memory_lengths},
                    y};
    INK_TRY(count_rows(ctx, __func__, "sequence", n_sequences, &c.x));
    INK_TRY(count_rows(ctx, __func__, "memory", n_sequences, &c.memory));
    return run_stack_call(ctx, &c, false);
}

ink_result ink_mha_reserve(ink_context *ctx, const ink_mha *mha, size_t n_sequences, size_t n_rows, size_t longest)
{
    INK_REQUIRE(ctx, mha);
    const row_list x = {.n_rows = n_rows, .longest = ink_size_min(longest, n_rows)};
    return run_stack_call(ctx, &(stack_call){&mha->stack, true, n_sequences, x, {0}, NULL}, true);
}

ink_result ink_transformer_reserve(ink_context *ctx, const ink_transformer *transformer, size_t n_sequences,
                                   size_t n_rows, size_t longest)
{
    INK_REQUIRE(ctx, transformer);
    const row_list x = {.n_rows = n_rows, .longest = ink_size_min(longest, n_rows)};
    return run_stack_call(ctx, &(stack_call){&transformer->stack, false, n_sequences, x, {0}, NULL}, true);
}

ink_result ink_transformer_decode_reserve(ink_context *ctx, const ink_transformer *transformer, size_t n_sequences,
                                          size_t n_rows, size_t longest, size_t n_memory_rows, size_t longest_memory)
{
    INK_REQUIRE(ctx, transformer);
    INK_TRY(check_memory(ctx, __func__, transformer, true));
    const row_list x = {.n_rows = n_rows, .longest = ink_size_min(longest, n_rows)};
    const row_list memory = {.n_rows = n_memory_rows, .longest = ink_size_min(longest_memory, n_memory_rows)};
    return run_stack_call(ctx, &(stack_call){&transformer->stack, false, n_sequences, x, memory, NULL}, true);
}
