/*
 * test_block.c - the Transformer block with all that Llama, Mistral and Qwen3 do to it: RMS norms, grouped heads that
 * are normalised and rotated, a window, a gated feed-forward layer, biases on some of the stacked tensors only.
 *
 * Then stacks of blocks with what other models do: norms of outputs, absent norms, two ropes, windows, a position bias,
 * cross attention to a source.
 *
 * The block with norms that GPT-2 has is in test_attention.c; whole models of all of them in test_decoders.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/import/plan.h"
#include "support/layers.h"
#include "support/oracle_layers.h"

enum { HIDDEN = 40, HEADS = 6, KV_HEADS = 2, DIM = 10, INNER = 52, WINDOW = 7, N = 45 };
enum { QKV = (HEADS + 2 * KV_HEADS) * DIM };

static ink_attention attention = {.n_heads = HEADS, .n_kv_heads = KV_HEADS, .head_dim = DIM, .window = WINDOW};
static const ink_rope rope = {.head_dim = DIM, .theta = 100};

static ink_result plan_block(ink_plan *plan, ink_stack *stack)
{
    static const ink_plan_part qkv[] = {{.module = "q", .out = HEADS * DIM},
                                        {.module = "k", .out = KV_HEADS * DIM},
                                        {.module = "v", .out = KV_HEADS * DIM}};
    static const ink_plan_part up[] = {{.module = "gate", .out = INNER}, {.module = "up", .out = INNER}};
    const ink_bias_rule any = INK_BIAS_IF_THERE;
    ink_block *block = stack->blocks = ink_plan_array(plan, 1, sizeof *block);
    stack->config = (ink_stack_config){.n_blocks = 1,
                                       .hidden_size = HIDDEN,
                                       .inner_size = INNER,
                                       .attention = &attention,
                                       .gate_activation = INK_SILU,
                                       .gated = true,
                                       .ropes = {rope}};
    ink_plan_enter_module(plan, "block");
    INK_TRY(ink_plan_norm(plan, "norm_1", INK_RMS_NORM, HIDDEN, 1e-6f, any, &block->norm_1));
    INK_TRY(ink_plan_norm(plan, "norm_2", INK_RMS_NORM, HIDDEN, 1e-6f, any, &block->norm_2));
    INK_TRY(ink_plan_norm(plan, "q_norm", INK_RMS_NORM, DIM, 1e-6f, any, &block->q_norm));
    INK_TRY(ink_plan_norm(plan, "k_norm", INK_RMS_NORM, DIM, 1e-6f, any, &block->k_norm));
    INK_TRY(ink_plan_dense_parts(plan, qkv, 3, HIDDEN, &block->qkv));
    INK_TRY(ink_plan_dense(plan, "o", HIDDEN, HEADS * DIM, any, INK_IDENTITY, &block->out));
    INK_TRY(ink_plan_dense_parts(plan, up, 2, HIDDEN, &block->up));
    return ink_plan_dense(plan, "down", HIDDEN, INNER, any, INK_IDENTITY, &block->down);
}

static ink_stack *load(ink_context *ctx, const ink_weights *weights)
{
    ink_plan plan;
    void *object;
    assert_ok(ctx, ink_plan_begin(&plan, ctx, weights, "the block", sizeof(ink_stack), &object));
    assert_ok(ctx, ink_plan_finish(&plan, plan_block(&plan, object), 0));
    return object;
}

/* Rows of two sequences side by side: `done[i]` of each are in its cache, `count[i]` come. */
static void run(ink_context *ctx, const ink_stack *stack, void *const *caches, const size_t *done, const size_t *count,
                float *x)
{
    ink_stack_scratch scratch;
    size_t rows = count[0] + count[1];
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_stack_alloc_scratch(&ctx->scratch, &stack->config, N, rows, &scratch);
    float scales[INK_STACK_ROPES];
    float *frequencies = ink_alloc_rows(&ctx->scratch, 1, ink_stack_frequencies(&stack->config));
    assert_false(ink_arena_failed(&ctx->scratch));
    ink_stack_fill_frequencies(ctx->kernel, &stack->config, N, frequencies, scales);
    ink_stack_fill_angles(ctx->kernel, &stack->config, frequencies, scales, done[0], 0, count[0], &scratch);
    ink_stack_fill_angles(ctx->kernel, &stack->config, frequencies, scales, done[1], count[0], count[1], &scratch);
    const ink_span spans[] = {
        {.kv = caches[0], .capacity = N, .before = done[0], .first = 0, .count = count[0]},
        {.kv = caches[1], .capacity = N, .before = done[1], .first = count[0], .count = count[1]}};
    ink_stack_run(ctx, stack, "h", &scratch, spans, 2, x, rows);
    ink_arena_release(&ctx->scratch, mark);
}

/* Both sequences are the fixture's rows; each call takes up to `piece` of the first, and one more of the second. */
static void run_in_pieces(ink_context *ctx, const ink_stack *block, size_t piece, const float *x, float *y)
{
    void *caches[2];
    size_t done[2] = {0, 0};
    float *both = test_floats((size_t)2 * N * HIDDEN);
    for (size_t i = 0; i < 2; i++)
        caches[i] = test_aligned(ink_kv_cache_bytes(&attention, N, INK_F32));
    while (done[0] < N || done[1] < N) {
        size_t count[2];
        for (size_t i = 0; i < 2; i++)
            count[i] = piece + i < N - done[i] ? piece + i : N - done[i];
        float *second = both + count[0] * HIDDEN;
        memcpy(both, x + done[0] * HIDDEN, count[0] * HIDDEN * sizeof *x);
        memcpy(second, x + done[1] * HIDDEN, count[1] * HIDDEN * sizeof *x);
        run(ctx, block, caches, done, count, both);
        memcpy(y + done[0] * HIDDEN, both, count[0] * HIDDEN * sizeof *x);
        memcpy(y + (N + done[1]) * HIDDEN, second, count[1] * HIDDEN * sizeof *x);
        done[0] += count[0];
        done[1] += count[1];
    }
    for (size_t i = 0; i < 2; i++)
        test_aligned_free(caches[i]);
    free(both);
}

/* ---- numbers -------------------------------------------------------------------------------------------------- */

/* The queries and keys on their way into attention: normalised, then rotated. */
typedef struct prepared {
    const float *expected; /* [N, QKV] */
    size_t n_seen;
} prepared;

static void look(void *user, const char *name, const ink_tensor *value)
{
    prepared *p = user;
    if (strcmp(name, "h.0.attn.prepared") != 0)
        return;
    assert_int_equal(value->shape.dim[1], QKV);
    test_assert_close(value->data, p->expected, (size_t)N * QKV, 1e-5, 1e-5, name);
    p->n_seen++;
}

static void block_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/llama.safetensors");
    ink_stack *block = load(ctx, fixture);
    float *x = test_tensor(ctx, fixture, "case.block.x", NULL), *y = test_floats((size_t)2 * N * HIDDEN);
    float *expected = test_tensor(ctx, fixture, "case.block.y", NULL);
    float *heads = test_tensor(ctx, fixture, "case.block.prepared", NULL);
    prepared seen = {.expected = heads};
    ink_context_trace(ctx, look, &seen);
    run_in_pieces(ctx, block, N, x, y);
    assert_int_equal(seen.n_seen, 1);
    ink_context_trace(ctx, NULL, NULL);
    test_assert_close(y, expected, (size_t)N * HIDDEN, 1e-5, 1e-5, "block");
    test_assert_same_bits(y + N * HIDDEN, y, (size_t)N * HIDDEN, "the second sequence");
    free(x);
    free(y);
    free(expected);
    free(heads);
    ink_object_free(block);
    ink_weights_free(fixture);
}

/* ---- the same bits -------------------------------------------------------------------------------------------- */

static void block_has_the_same_bits_everywhere(ink_context *ctx)
{
    ink_context *other = NULL;
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/llama.safetensors");
    ink_stack *block = load(ctx, fixture);
    float *x = test_tensor(ctx, fixture, "case.block.x", NULL);
    float *expected = test_floats((size_t)2 * N * HIDDEN), *y = test_floats((size_t)2 * N * HIDDEN);
    run_in_pieces(ctx, block, N, x, expected);
    for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
        static const size_t pieces[] = {1, 2, 7, 16, 31, N};
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            run_in_pieces(other, block, pieces[p], x, y);
            test_assert_same_bits(y, expected, (size_t)2 * N * HIDDEN, ink_context_kernel(other));
        }
    }
    free(x);
    free(y);
    free(expected);
    ink_object_free(block);
    ink_weights_free(fixture);
}

/* ---- stacks ----------------------------------------------------------------------------------------------------- */

enum { BLOCKS = 4, SIZE = 12, S_HEADS = 4, S_KV = 2, S_DIM = 6, S_INNER = 20, ROWS = 300 };
enum { S_QKV = (S_HEADS + 2 * S_KV) * S_DIM, BUCKETS = 32, MAX_DISTANCE = 128 };
enum { SOURCE_ROWS = 290, SOURCE_SIZE = 9, CROSS = 40 }; /* CROSS: n_heads head_dim, and 2 n_kv_heads head_dim */

enum { PRE = 1, POST = 2, OUT = 4, NOT_FIRST = 8 }; /* which norms there are; NOT_FIRST: block 0 has no norm_1 */

typedef struct stack_case {
    const char *name;
    int norms;
    ink_norm_kind kind;
    bool gated, bidirectional;
    size_t n_buckets;
    ink_rope ropes[INK_STACK_ROPES];
    size_t windows[BLOCKS], rope[BLOCKS];
    float scale;
    ink_attention cross;
} stack_case;

#define ROPE(base)                                                                                                     \
    {                                                                                                                  \
        .head_dim = S_DIM, .theta = (base)                                                                             \
    }

static const stack_case stack_cases[] = {
    {"gemma 3", PRE | OUT, INK_RMS_NORM, true, false, 0, {ROPE(1e4), ROPE(10)}, {7, 20, 0, 7}, {1, 1, 0, 1}, 0.3f, {0}},
    {"embeddinggemma",
     PRE | OUT,
     INK_RMS_NORM,
     true,
     true,
     0,
     {ROPE(1e4), ROPE(10)},
     {7, 20, 0, 7},
     {1, 1, 0, 1},
     0,
     {0}},
    {"smollm3", PRE, INK_RMS_NORM, true, false, 0, {ROPE(1e3)}, {0, 0, 40, 0}, {0, 0, 1, 0}, 0, {0}},
    {"olmo 2", OUT, INK_RMS_NORM, true, false, 0, {ROPE(1e3)}, {0}, {0}, 0, {0}},
    {"modernbert",
     PRE | NOT_FIRST,
     INK_LAYER_NORM,
     true,
     true,
     0,
     {ROPE(1e4), ROPE(10)},
     {0, 9, 9, 0},
     {0, 1, 1, 0},
     0,
     {0}},
    {"mpnet", POST, INK_LAYER_NORM, false, true, BUCKETS, {{0}}, {0}, {0}, 0, {0}},
    {"t5 decoder", PRE, INK_RMS_NORM, false, false, BUCKETS, {{0}}, {0}, {0}, 1, {4, 2, 10, 0.2f, 0, false}},
    {"bart decoder", POST, INK_LAYER_NORM, false, false, 0, {{0}}, {0}, {0}, 0, {2, 1, 20, 0, 0, false}},
    {"m2m100 decoder", PRE, INK_LAYER_NORM, false, false, 0, {{0}}, {0}, {0}, 0, {8, 4, 5, 0, 0, false}},
    {"everything",
     POST | OUT,
     INK_LAYER_NORM,
     true,
     true,
     BUCKETS,
     {{0}, ROPE(50)},
     {30, 0, 1, 300},
     {1, 0, 1, 0},
     2,
     {0}},
};

static const char *norm_of(const stack_case *c, size_t i, size_t which)
{
    static const char *const names[] = {"norm_1", "norm_2", "out_1", "out_2", "norm_cross"};
    bool there = which == 2 || which == 3 ? c->norms & OUT
                                          : c->norms & (PRE | POST) && !(c->norms & NOT_FIRST && i + which == 0);
    return there ? names[which] : NULL;
}

static ink_result plan_stack(ink_plan *plan, ink_stack *stack, const stack_case *c)
{
    const ink_attention a = {.n_heads = S_HEADS,
                             .n_kv_heads = S_KV,
                             .head_dim = S_DIM,
                             .bidirectional = c->bidirectional,
                             .scale = c->scale};
    const ink_bias_rule any = INK_BIAS_IF_THERE;
    stack->config = (ink_stack_config){.hidden_size = SIZE,
                                       .inner_size = S_INNER,
                                       .norm_place = c->norms & POST ? INK_NORM_AFTER : INK_NORM_BEFORE,
                                       .gate_activation = INK_GELU_TANH,
                                       .gated = c->gated,
                                       .ropes = {c->ropes[0], c->ropes[1]},
                                       .n_buckets = c->n_buckets,
                                       .max_distance = MAX_DISTANCE,
                                       .cross = c->cross,
                                       .source_size = SOURCE_SIZE};
    INK_TRY(ink_plan_stack(plan, BLOCKS, &a, stack));
    if (c->n_buckets != 0)
        INK_TRY(ink_plan_embedding(plan, "position_bias", BUCKETS, S_HEADS, &stack->position_bias));
    for (size_t i = 0; i < BLOCKS; i++) {
        ink_block *b = &stack->blocks[i];
        ink_norm *const norms[] = {&b->norm_1, &b->norm_2, &b->out_norm_1, &b->out_norm_2};
        size_t scope = ink_plan_enter(plan, "block", i);
        stack->config.attention[i].window = c->windows[i];
        b->rope = c->rope[i];
        for (size_t which = 0; which < 4; which++)
            if (norm_of(c, i, which) != NULL)
                INK_TRY(ink_plan_norm(plan, norm_of(c, i, which), c->kind, SIZE, 1e-5f, any, norms[which]));
        INK_TRY(ink_plan_dense(plan, "qkv", S_QKV, SIZE, any, INK_IDENTITY, &b->qkv));
        INK_TRY(ink_plan_dense(plan, "o", SIZE, S_HEADS * S_DIM, any, INK_IDENTITY, &b->out));
        INK_TRY(c->gated ? ink_plan_dense(plan, "up", 2 * S_INNER, SIZE, any, INK_IDENTITY, &b->up)
                         : ink_plan_dense(plan, "half", S_INNER, SIZE, any, INK_GELU_TANH, &b->up));
        INK_TRY(ink_plan_dense(plan, "down", SIZE, S_INNER, any, INK_IDENTITY, &b->down));
        if (c->cross.n_heads != 0) {
            INK_TRY(ink_plan_norm(plan, "norm_cross", c->kind, SIZE, 1e-5f, any, &b->norm_cross));
            INK_TRY(ink_plan_dense(plan, "cross_q", CROSS, SIZE, any, INK_IDENTITY, &b->cross_q));
            INK_TRY(ink_plan_dense(plan, "cross_kv", CROSS, SOURCE_SIZE, any, INK_IDENTITY, &b->cross_kv));
            INK_TRY(ink_plan_dense(plan, "cross_o", SIZE, CROSS, any, INK_IDENTITY, &b->cross_out));
        }
        ink_plan_leave(plan, scope);
    }
    return INK_OK;
}

static const char *in_block(size_t i, const char *name)
{
    static char text[64];
    snprintf(text, sizeof text, "block.%zu.%s", i, name);
    return text;
}

static void oracle_rows_norm(ink_context *ctx, const ink_weights *w, const stack_case *c, size_t i, size_t which,
                             double *x)
{
    if (norm_of(c, i, which) == NULL)
        return;
    char name[32];
    snprintf(name, sizeof name, "%s.weight", norm_of(c, i, which));
    float *weight = test_tensor(ctx, w, in_block(i, name), NULL);
    for (size_t row = 0; row < ROWS; row++)
        if (c->kind == INK_RMS_NORM)
            oracle_rms_norm(weight, SIZE, 1e-5f, x + row * SIZE, x + row * SIZE);
        else
            oracle_norm(weight, NULL, SIZE, 1e-5f, x + row * SIZE, x + row * SIZE);
    free(weight);
}

static void oracle_linear(ink_context *ctx, const ink_weights *w, size_t i, const char *name, size_t in, size_t out,
                          const double *x, size_t rows, double *y)
{
    float *weight = test_tensor(ctx, w, in_block(i, name), NULL);
    oracle_dense(weight, NULL, in, out, INK_IDENTITY, x, rows, y);
    free(weight);
}

/* The stack again in double precision, block by block. */
static void oracle_stack(ink_context *ctx, const ink_weights *w, const stack_case *c, const double *source, double *x)
{
    static double queries[ROWS * CROSS], kv[SOURCE_ROWS * CROSS], seen[ROWS * CROSS];
    static double qkv[ROWS * S_QKV], heads[ROWS * S_HEADS * S_DIM], inner[ROWS * 2 * S_INNER], y[ROWS * SIZE];
    static double bias[S_HEADS * ROWS * ROWS];
    float *table = c->n_buckets != 0 ? test_tensor(ctx, w, "position_bias.weight", NULL) : NULL;
    for (size_t head = 0; head < S_HEADS && table != NULL; head++)
        for (long t = 0; t < ROWS; t++)
            for (long s = 0; s < ROWS; s++)
                bias[((long)head * ROWS + t) * ROWS + s] =
                    table[oracle_bucket(s - t, BUCKETS, MAX_DISTANCE, c->bidirectional) * S_HEADS + head];
    for (size_t i = 0; i < BLOCKS; i++) {
        const ink_attention a = {.n_heads = S_HEADS,
                                 .n_kv_heads = S_KV,
                                 .head_dim = S_DIM,
                                 .scale = c->scale,
                                 .window = c->windows[i],
                                 .bidirectional = c->bidirectional};
        static const size_t parts[] = {0, 4, 1};
        for (size_t p = 0; p < 3; p++) {
            size_t part = parts[p];
            if (part == 4 && c->cross.n_heads == 0)
                continue;
            memcpy(y, x, sizeof y);
            if (!(c->norms & POST))
                oracle_rows_norm(ctx, w, c, i, part, y);
            if (part == 4) {
                oracle_linear(ctx, w, i, "cross_q.weight", SIZE, CROSS, y, ROWS, queries);
                oracle_linear(ctx, w, i, "cross_kv.weight", SOURCE_SIZE, CROSS, source, SOURCE_ROWS, kv);
                oracle_cross_attention(&c->cross, queries, ROWS, kv, SOURCE_ROWS, seen);
                oracle_linear(ctx, w, i, "cross_o.weight", CROSS, SIZE, seen, ROWS, y);
            } else if (part == 0) {
                oracle_linear(ctx, w, i, "qkv.weight", SIZE, S_QKV, y, ROWS, qkv);
                for (size_t row = 0; row < ROWS; row++)
                    for (size_t head = 0; head < S_HEADS + S_KV && c->ropes[c->rope[i]].head_dim != 0; head++)
                        oracle_rope(&c->ropes[c->rope[i]], row, ROWS, qkv + row * S_QKV + head * S_DIM, NULL);
                oracle_attention(&a, table != NULL ? bias : NULL, qkv, ROWS, heads);
                oracle_linear(ctx, w, i, "o.weight", S_HEADS * S_DIM, SIZE, heads, ROWS, y);
            } else {
                size_t width = c->gated ? 2 * S_INNER : S_INNER;
                oracle_linear(ctx, w, i, c->gated ? "up.weight" : "half.weight", SIZE, width, y, ROWS, inner);
                for (size_t row = 0; row < ROWS; row++) /* row `row` is read at or behind where it is written */
                    for (size_t j = 0; j < S_INNER; j++)
                        inner[row * S_INNER + j] = oracle_activation(INK_GELU_TANH, inner[row * width + j]) *
                                                   (c->gated ? inner[row * width + S_INNER + j] : 1);
                oracle_linear(ctx, w, i, "down.weight", S_INNER, SIZE, inner, ROWS, y);
            }
            if (part != 4)
                oracle_rows_norm(ctx, w, c, i, 2 + part, y);
            for (size_t j = 0; j < ROWS * SIZE; j++)
                x[j] += y[j];
            if (c->norms & POST)
                oracle_rows_norm(ctx, w, c, i, part, x);
        }
    }
    free(table);
}

/* The caches of cross attention of all blocks, `piece` rows of the source at a time. */
static void *keep_source(ink_context *ctx, const ink_stack *stack, size_t piece, const float *source)
{
    const ink_attention *cross = &stack->config.cross;
    size_t stride = ink_kv_cache_bytes(cross, SOURCE_ROWS, INK_F32);
    char *memory = test_aligned(BLOCKS * stride);
    float *kv = test_floats(SOURCE_ROWS * CROSS);
    for (size_t i = 0; i < BLOCKS && cross->n_heads != 0; i++) {
        ink_kv_cache cache = ink_kv_cache_over(cross, SOURCE_ROWS, INK_F32, memory + i * stride);
        ink_dense_run(ctx, &stack->blocks[i].cross_kv, source, SOURCE_SIZE, SOURCE_ROWS, kv);
        for (size_t done = 0, count; done < SOURCE_ROWS; done += count) {
            count = piece < SOURCE_ROWS - done ? piece : SOURCE_ROWS - done;
            ink_kv_cache_append(ctx->kernel, &cache, kv + done * CROSS, kv + done * CROSS + CROSS / 2, CROSS, count);
        }
    }
    free(kv);
    return memory;
}

static void run_stack(ink_context *ctx, const ink_stack *stack, size_t piece, const float *source, float *x)
{
    void *kept = keep_source(ctx, stack, piece, source);
    ink_stack_scratch scratch;
    float scales[INK_STACK_ROPES];
    size_t stride = ink_kv_cache_bytes(&stack->config.attention[0], ROWS, INK_F32);
    void *kv = test_aligned(BLOCKS * stride);
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_stack_alloc_scratch(&ctx->scratch, &stack->config, ROWS, piece, &scratch);
    float *frequencies = ink_alloc_rows(&ctx->scratch, 1, ink_stack_frequencies(&stack->config));
    assert_false(ink_arena_failed(&ctx->scratch));
    ink_stack_fill_frequencies(ctx->kernel, &stack->config, ROWS, frequencies, scales);
    for (size_t done = 0; done < ROWS; done += piece) {
        size_t count = piece < ROWS - done ? piece : ROWS - done;
        const ink_span span = {.kv = kv,
                               .kv_stride = stride,
                               .capacity = ROWS,
                               .before = done,
                               .count = count,
                               .cross = kept,
                               .cross_stride = ink_kv_cache_bytes(&stack->config.cross, SOURCE_ROWS, INK_F32),
                               .cross_capacity = SOURCE_ROWS,
                               .cross_length = SOURCE_ROWS};
        ink_stack_fill_angles(ctx->kernel, &stack->config, frequencies, scales, done, 0, count, &scratch);
        ink_stack_run(ctx, stack, "h", &scratch, &span, 1, x + done * SIZE, count);
    }
    ink_arena_release(&ctx->scratch, mark);
    test_aligned_free(kept);
    test_aligned_free(kv);
}

/* Each way of putting a stack together gives the numbers of the oracle; causal ones the same bits in pieces, and all
   the same bits with every kernel and any number of threads. */
static void stacks_of_every_kind_are_right(ink_context *ctx)
{
    static double expected[ROWS * SIZE];
    state_dict dict = {0};
    state_dict_matrix(&dict, "position_bias.weight", BUCKETS, S_HEADS);
    for (size_t i = 0; i < BLOCKS; i++) {
        static const char *const norms[] = {"norm_1.weight", "norm_2.weight", "out_1.weight", "out_2.weight"};
        for (size_t which = 0; which < 4; which++)
            state_dict_vector(&dict, in_block(i, norms[which]), SIZE);
        state_dict_matrix(&dict, in_block(i, "qkv.weight"), S_QKV, SIZE);
        state_dict_matrix(&dict, in_block(i, "o.weight"), SIZE, S_HEADS * S_DIM);
        state_dict_matrix(&dict, in_block(i, "up.weight"), 2 * S_INNER, SIZE);
        state_dict_matrix(&dict, in_block(i, "half.weight"), S_INNER, SIZE);
        state_dict_matrix(&dict, in_block(i, "down.weight"), SIZE, S_INNER);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        state_dict_vector(&dict, in_block(i, "norm_cross.weight"), SIZE);
        state_dict_matrix(&dict, in_block(i, "cross_q.weight"), CROSS, SIZE);
        state_dict_matrix(&dict, in_block(i, "cross_kv.weight"), CROSS, SOURCE_SIZE);
        state_dict_matrix(&dict, in_block(i, "cross_o.weight"), SIZE, CROSS);
    }
    ink_weights *weights = state_dict_open(ctx, &dict);
    float *x = test_random((size_t)ROWS * SIZE, 1, 1), *whole = test_floats((size_t)ROWS * SIZE);
    float *y = test_floats((size_t)ROWS * SIZE), *source = test_random((size_t)SOURCE_ROWS * SOURCE_SIZE, 2, 1);
    static double exact_source[SOURCE_ROWS * SOURCE_SIZE];
    for (size_t j = 0; j < (size_t)SOURCE_ROWS * SOURCE_SIZE; j++)
        exact_source[j] = source[j];
    for (size_t n = 0; n < sizeof stack_cases / sizeof stack_cases[0]; n++) {
        const stack_case *c = &stack_cases[n];
        ink_plan plan;
        void *object;
        ink_context *other = NULL;
        assert_ok(ctx, ink_plan_begin(&plan, ctx, weights, "the stack", sizeof(ink_stack), &object));
        assert_ok(ctx, ink_plan_finish(&plan, plan_stack(&plan, object, c), 0));
        for (size_t j = 0; j < (size_t)ROWS * SIZE; j++)
            expected[j] = x[j];
        oracle_stack(ctx, weights, c, exact_source, expected);
        memcpy(whole, x, (size_t)ROWS * SIZE * sizeof *x);
        run_stack(ctx, object, ROWS, source, whole);
        test_assert_close_to_double(whole, expected, (size_t)ROWS * SIZE, 5e-5, 1e-5, c->name);
        for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
            static const size_t pieces[] = {ROWS, 33, 1};
            const char *kernel = ink_context_kernel(other); /* without fused multiply-adds once is enough, in pieces */
            bool slow = strcmp(kernel, "portable") == 0 || strcmp(kernel, "sse2") == 0;
            for (size_t p = slow && !c->bidirectional; p < (c->bidirectional ? 1 : slow ? 2 : 3); p++) {
                memcpy(y, x, (size_t)ROWS * SIZE * sizeof *x);
                run_stack(other, object, pieces[p], source, y);
                test_assert_same_bits(y, whole, (size_t)ROWS * SIZE, c->name);
            }
        }
        ink_object_free(object);
    }
    free(x);
    free(y);
    free(whole);
    free(source);
    state_dict_free(&dict);
}

/* The engine's buckets are those of T5, at every distance and not only where logarithms are exact. */
static void position_biases_have_the_buckets_of_t5(ink_context *ctx)
{
    static const struct {
        const char *name;
        bool bidirectional;
        size_t n_buckets, max_distance;
    } cases[] = {{"both", true, 32, 128}, {"causal", false, 32, 128}, {"other", true, 20, 50}};
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/buckets.safetensors");
    state_dict dict = {0};
    float numbers[32], row[1] = {0};
    for (size_t i = 0; i < 32; i++)
        numbers[i] = (float)i;
    state_dict_add(&dict, "position_bias.weight", INK_F32, 2, (const size_t[]){32, 1}, numbers);
    ink_weights *weights = state_dict_open(ctx, &dict);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        ink_attention a = {.n_heads = 1, .n_kv_heads = 1, .head_dim = 1, .bidirectional = cases[c].bidirectional};
        ink_stack_scratch scratch;
        ink_plan plan;
        void *object;
        assert_ok(ctx, ink_plan_begin(&plan, ctx, weights, "the stack", sizeof(ink_stack), &object));
        ink_stack *stack = object;
        stack->config = (ink_stack_config){
            .hidden_size = 1, .attention = &a, .n_buckets = cases[c].n_buckets, .max_distance = cases[c].max_distance};
        assert_ok(ctx,
                  ink_plan_finish(&plan, ink_plan_embedding(&plan, "position_bias", 32, 1, &stack->position_bias), 0));
        ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
        ink_stack_alloc_scratch(&ctx->scratch, &stack->config, 301, 1, &scratch);
        assert_false(ink_arena_failed(&ctx->scratch));
        const ink_span span = {.capacity = 301, .before = 300, .count = 1};
        ink_stack_run(ctx, stack, "h", &scratch, &span, 1, row, 1); /* no block: only the biases */
        float *expected = test_case_tensor(ctx, fixture, "buckets", cases[c].name, NULL);
        for (long relative = -300; relative <= (cases[c].bidirectional ? 300 : 0); relative++) {
            size_t bucket = (size_t)expected[relative + 300];
            assert_int_equal(scratch.attention.bias[301 + relative], bucket);
            assert_int_equal(oracle_bucket(relative, cases[c].n_buckets, cases[c].max_distance, cases[c].bidirectional),
                             bucket);
        }
        ink_arena_release(&ctx->scratch, mark);
        free(expected);
        ink_object_free(object);
    }
    state_dict_free(&dict);
    ink_weights_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(block_gives_the_numbers_of_pytorch),
        context_test(block_has_the_same_bits_everywhere),
        context_test(stacks_of_every_kind_are_right),
        context_test(position_biases_have_the_buckets_of_t5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
