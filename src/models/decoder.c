/*
 * decoder.c - causal Transformers: their state, and the one forward pass of them all.
 *
 *     x = embedding[token]  (+ positions[position])
 *     for each block:   x = block(x)                    block.c; under rope, queries and keys turned by the position
 *     hidden = norm(x)                                  head.c
 *
 * A state is a key/value cache for each block and, under rope, the frequencies of its sequence: one type of rope makes
 * them depend on how long the sequence may get.
 */
#include <string.h>

#include "decoder.h"

/* ---- reading -------------------------------------------------------------------------------------------------- */

ink_decoder *ink_decoder_take(ink_arena *arena, ink_model *model, ink_decoder *spare)
{
    ink_decoder *taken = ink_arena_alloc(arena, 1, sizeof *taken);
    ink_decoder *decoder = taken != NULL ? taken : spare;
    memset(decoder, 0, sizeof *decoder);
    model->body = decoder;
    model->head.norm = &decoder->norm;
    return decoder;
}

/* ---- state ---------------------------------------------------------------------------------------------------- */

typedef struct decoder_state {
    ink_frequencies frequencies; /* under rope */
    ink_kv_cache *caches;        /* [n_blocks] */
} decoder_state;

static bool has_rope(const ink_decoder *decoder) { return decoder->rope.head_dim != 0; }

static void *take_state(ink_context *ctx, ink_arena *arena, const ink_model *model, size_t capacity)
{
    const ink_decoder *decoder = model->body;
    decoder_state spare;
    decoder_state *taken = ink_arena_alloc(arena, 1, sizeof *taken);
    decoder_state *state = taken != NULL ? taken : &spare;
    ink_kv_cache cache;
    if (has_rope(decoder))
        ink_frequencies_alloc(arena, &decoder->rope, &state->frequencies);
    state->caches = ink_arena_alloc(arena, decoder->n_blocks, sizeof *state->caches);
    for (size_t i = 0; i < decoder->n_blocks; i++)
        ink_kv_cache_alloc(arena, &decoder->blocks[i].attention, capacity,
                           state->caches != NULL ? &state->caches[i] : &cache);
    if (has_rope(decoder) && !arena->measuring && !ink_arena_failed(arena))
        ink_frequencies_fill(ctx->kernel, &decoder->rope, capacity, &state->frequencies);
    return taken;
}

/* A cache that gets longer this way is about to be filled word by word; the lanes between those words must hold numbers
   too, though no result depends on them. */
static void set_length(ink_state *state, size_t length)
{
    const ink_decoder *decoder = state->model->body;
    ink_kv_cache *caches = ((decoder_state *)state->body)->caches;
    for (size_t i = 0; i < decoder->n_blocks; i++) {
        for (size_t j = 0; length > caches[i].length && j < caches[i].n_kv_heads; j++) {
            ink_matrix_clear(&caches[i].keys[j], length, caches[i].head_dim);
            ink_matrix_clear(&caches[i].values[j], caches[i].head_dim, length);
        }
        caches[i].length = length;
    }
}

/* Per block and head: the keys, a row for each position, then the values, a row for each dimension of the head. */
static bool words(const ink_state *state, size_t i, ink_words *words)
{
    const ink_decoder *decoder = state->model->body;
    const ink_kv_cache *caches = ((const decoder_state *)state->body)->caches;
    size_t n_heads = caches[0].n_kv_heads;
    size_t head_dim = caches[0].head_dim;
    size_t rows = state->length + head_dim;
    size_t head = i / rows % n_heads;
    size_t block = i / rows / n_heads;
    size_t row = i % rows;
    if (block >= decoder->n_blocks)
        return false;
    if (row < state->length)
        *words = (ink_words){.count = head_dim, .matrix = &caches[block].keys[head], .row = row};
    else
        *words = (ink_words){.count = state->length, .matrix = &caches[block].values[head], .row = row - state->length};
    return true;
}

/* ---- running -------------------------------------------------------------------------------------------------- */

typedef struct decoder_scratch {
    ink_span *spans;      /* [parts]: the parts, each with its cache of the block that runs */
    ink_token *positions; /* [rows] */
    float *encoded;       /* [rows, hidden_size]: positions[position] */
    ink_angles angles;    /* of the rows */
    ink_block_scratch block;
} decoder_scratch;

static void *alloc_scratch(ink_arena *arena, const ink_model *model, const ink_pass_size *size)
{
    const ink_decoder *decoder = model->body;
    decoder_scratch spare;
    decoder_scratch *taken = ink_arena_alloc(arena, 1, sizeof *taken);
    decoder_scratch *scratch = taken != NULL ? taken : &spare;
    scratch->spans = ink_arena_alloc(arena, ink_size_min(size->rows, size->n_items), sizeof *scratch->spans);
    ink_block_alloc_scratch(arena, &decoder->blocks[0], size->capacity, size->rows, &scratch->block);
    if (decoder->positions.table.n != 0) {
        scratch->positions = ink_arena_alloc(arena, size->rows, sizeof *scratch->positions);
        scratch->encoded = ink_alloc_rows(arena, size->rows, model->info.hidden_size);
    }
    if (has_rope(decoder)) {
        ink_angles_alloc(arena, &decoder->rope, size->rows, &scratch->angles);
        scratch->block.angles = &scratch->angles;
    }
    return taken;
}

/* x += positions[position] */
static void add_positions(ink_context *ctx, const ink_decoder *decoder, const decoder_scratch *scratch,
                          const ink_part *parts, size_t n_parts, size_t rows, float *x)
{
    for (size_t p = 0; p < n_parts; p++)
        for (size_t i = 0; i < parts[p].count; i++)
            scratch->positions[parts[p].first + i] = (ink_token)(parts[p].state->length + i);
    ink_embedding_run(&decoder->positions, scratch->positions, rows, scratch->encoded);
    ctx->kernel->add(scratch->encoded, rows * decoder->positions.table.k, x);
}

/* x = embedding[token] (+ positions[position]), and the angles of each row. */
static void embed(ink_context *ctx, const ink_model *model, const decoder_scratch *scratch, const ink_part *parts,
                  size_t n_parts, size_t rows, float *x)
{
    const ink_decoder *decoder = model->body;
    size_t hidden = model->info.hidden_size;
    for (size_t p = 0; p < n_parts; p++) {
        const ink_part *part = &parts[p];
        const decoder_state *state = part->state->body;
        ink_embedding_run(&model->embedding, part->tokens, part->count, x + part->first * hidden);
        if (has_rope(decoder))
            ink_angles_fill(ctx->kernel, &state->frequencies, part->state->length, part->first, part->count,
                            &scratch->angles);
    }
    if (decoder->positions.table.n != 0)
        add_positions(ctx, decoder, scratch, parts, n_parts, rows, x);
    INK_TRACE(ctx, "embedding", ink_tensor_2d(x, rows, hidden));
}

static void run(ink_context *ctx, const ink_model *model, void *scratch, const ink_part *parts, size_t n_parts,
                size_t rows, float *x)
{
    const ink_decoder *decoder = model->body;
    const decoder_scratch *s = scratch;
    embed(ctx, model, s, parts, n_parts, rows, x);
    for (size_t block = 0; block < decoder->n_blocks; block++) {
        size_t scope = ink_trace_enter(ctx, "h.%zu.", block);
        for (size_t p = 0; p < n_parts; p++) {
            const decoder_state *state = parts[p].state->body;
            s->spans[p] = (ink_span){&state->caches[block], parts[p].first, parts[p].count};
        }
        ink_block_run(ctx, &decoder->blocks[block], &s->block, s->spans, n_parts, x, rows);
        ink_trace_leave(ctx, scope);
    }
}

const ink_network ink_decoder_network = {
    .take_state = take_state,
    .set_length = set_length,
    .words = words,
    .alloc_scratch = alloc_scratch,
    .run = run,
    .can_rewind = true,
};
