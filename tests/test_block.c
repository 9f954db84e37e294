/*
 * test_block.c - the Transformer block with all that Llama, Mistral and Qwen3 do to it: RMS norms, grouped heads that
 * are normalised and rotated, a window, a gated feed-forward layer, biases on some of the stacked tensors only.
 *
 * The block with norms that GPT-2 has is in test_attention.c; whole models of all of them in test_decoders.c.
 */
#include <stdlib.h>
#include <string.h>

#include "../src/import/plan.h"
#include "support/layers.h"

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
                                       .rope = rope};
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
    float *frequencies = ink_alloc_rows(&ctx->scratch, 1, DIM / 2);
    assert_false(ink_arena_failed(&ctx->scratch));
    float scale = ctx->kernel->rope_frequencies(&rope, N, frequencies);
    ink_angles_fill(ctx->kernel, frequencies, scale, done[0], 0, count[0], &scratch.angles);
    ink_angles_fill(ctx->kernel, frequencies, scale, done[1], count[0], count[1], &scratch.angles);
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
        caches[i] = test_aligned(ink_kv_cache_bytes(&attention, N));
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
        free(caches[i]);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(block_gives_the_numbers_of_pytorch),
        context_test(block_has_the_same_bits_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
