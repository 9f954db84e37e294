/*
 * test_block.c - the Transformer block with all that Llama, Mistral and Qwen3 do to it: RMS norms, grouped heads that
 * are normalised and turned, a window, a gated feed-forward layer, biases on some of the stacked tensors only.
 *
 * The block with norms that GPT-2 has is in test_attention.c; whole models of all of them in test_decoders.c.
 */
#include <stdlib.h>
#include <string.h>

#include "../src/layers/layers.h"
#include "support/layers.h"

enum { HIDDEN = 40, HEADS = 6, KV_HEADS = 2, DIM = 10, INNER = 52, WINDOW = 7, N = 45 };
enum { QKV = (HEADS + 2 * KV_HEADS) * DIM };

static const ink_rope rope = {.head_dim = DIM, .theta = 100};

typedef struct build_args {
    ink_context *ctx;
    const ink_weights *weights;
} build_args;

static ink_result read_norms(ink_loader *loader, ink_block *block)
{
    INK_TRY(ink_norm_read(loader, "norm_1", INK_RMS_NORM, HIDDEN, 1e-6f, &block->norm_1));
    INK_TRY(ink_norm_read(loader, "norm_2", INK_RMS_NORM, HIDDEN, 1e-6f, &block->norm_2));
    INK_TRY(ink_norm_read(loader, "q_norm", INK_RMS_NORM, DIM, 1e-6f, &block->q_norm));
    return ink_norm_read(loader, "k_norm", INK_RMS_NORM, DIM, 1e-6f, &block->k_norm);
}

static ink_result build_block(void *data, ink_arena *arena, void **object)
{
    static const ink_dense_part qkv[] = {{"q", HEADS * DIM}, {"k", KV_HEADS * DIM}, {"v", KV_HEADS * DIM}};
    static const ink_dense_part up[] = {{"gate", INNER}, {"up", INNER}};
    const build_args *args = data;
    ink_block measured, *block = *object = ink_arena_alloc(arena, 1, sizeof *block);
    ink_loader loader;
    if (block == NULL)
        block = &measured;
    ink_loader_begin(&loader, args->ctx, args->weights, arena);
    ink_loader_enter_module(&loader, "block");
    *block = (ink_block){.attention = {.n_heads = HEADS, .n_kv_heads = KV_HEADS, .head_dim = DIM, .window = WINDOW},
                         .gated = true,
                         .gate = INK_SILU};
    INK_TRY(read_norms(&loader, block));
    INK_TRY(ink_dense_read_parts(&loader, qkv, 3, HIDDEN, &block->qkv));
    INK_TRY(ink_dense_read(&loader, "o", HIDDEN, HEADS * DIM, false, INK_IDENTITY, &block->out));
    INK_TRY(ink_dense_read_parts(&loader, up, 2, HIDDEN, &block->up));
    return ink_dense_read(&loader, "down", HIDDEN, INNER, false, INK_IDENTITY, &block->down);
}

static ink_block *load(ink_context *ctx, const ink_weights *weights)
{
    build_args args = {ctx, weights};
    void *object;
    assert_ok(ctx, ink_object_create(ctx, "the block", build_block, &args, 0, &object));
    return object;
}

/* Rows of two sequences side by side: `done[i]` of each are in its cache, `count[i]` come. */
static void run(ink_context *ctx, const ink_block *block, ink_kv_cache *const *caches, const size_t *done,
                const size_t *count, float *x)
{
    ink_block_scratch scratch;
    ink_angles angles;
    ink_frequencies frequencies;
    size_t rows = count[0] + count[1];
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_block_alloc_scratch(&ctx->scratch, block, N, rows, &scratch);
    ink_frequencies_alloc(&ctx->scratch, &rope, &frequencies);
    ink_angles_alloc(&ctx->scratch, &rope, rows, &angles);
    assert_false(ink_arena_failed(&ctx->scratch));
    ink_frequencies_fill(ctx->kernel, &rope, N, &frequencies);
    ink_angles_fill(ctx->kernel, &frequencies, done[0], 0, count[0], &angles);
    ink_angles_fill(ctx->kernel, &frequencies, done[1], count[0], count[1], &angles);
    scratch.angles = &angles;
    const ink_span spans[] = {{caches[0], 0, count[0]}, {caches[1], count[0], count[1]}};
    ink_block_run(ctx, block, &scratch, spans, 2, x, rows);
    ink_arena_release(&ctx->scratch, mark);
}

/* Both sequences are the fixture's rows; each call takes up to `piece` of the first, and one more of the second. */
static void run_in_pieces(ink_context *ctx, const ink_block *block, size_t piece, const float *x, float *y)
{
    ink_kv_cache *caches[2];
    size_t done[2] = {0, 0};
    float *both = test_floats((size_t)2 * N * HIDDEN);
    for (size_t i = 0; i < 2; i++)
        assert_ok(ctx, ink_kv_cache_create(ctx, &block->attention, N, &caches[i]));
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
        ink_kv_cache_free(caches[i]);
    free(both);
}

/* ---- numbers -------------------------------------------------------------------------------------------------- */

/* The queries and keys on their way into attention: normalised, then turned. */
typedef struct prepared {
    const float *expected; /* [N, QKV] */
    size_t n_seen;
} prepared;

static void look(void *user, const char *name, const ink_tensor *value)
{
    prepared *p = user;
    if (strcmp(name, "attn.prepared") != 0)
        return;
    assert_int_equal(value->shape.dim[1], QKV);
    test_assert_close(value->data, p->expected, (size_t)N * QKV, 1e-5, 1e-5, name);
    p->n_seen++;
}

static void block_gives_the_numbers_of_pytorch(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/llama.safetensors");
    ink_block *block = load(ctx, fixture);
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
    ink_context_free(ctx);
}

/* ---- the same bits -------------------------------------------------------------------------------------------- */

static void block_has_the_same_bits_everywhere(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1), *other;
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/llama.safetensors");
    ink_block *block = load(ctx, fixture);
    float *x = test_tensor(ctx, fixture, "case.block.x", NULL);
    float *expected = test_floats((size_t)2 * N * HIDDEN), *y = test_floats((size_t)2 * N * HIDDEN);
    run_in_pieces(ctx, block, N, x, expected);
    for (size_t i = 0; (other = test_variant(i)) != NULL; i++) {
        static const size_t pieces[] = {1, 2, 7, 16, 31, N};
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            run_in_pieces(other, block, pieces[p], x, y);
            test_assert_same_bits(y, expected, (size_t)2 * N * HIDDEN, ink_context_kernel(other));
        }
        ink_context_free(other);
    }
    free(x);
    free(y);
    free(expected);
    ink_object_free(block);
    ink_weights_free(fixture);
    ink_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_gives_the_numbers_of_pytorch),
        cmocka_unit_test(block_has_the_same_bits_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
