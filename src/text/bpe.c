/*
 * bpe.c - merges by rank, with a heap: a word of a million letters costs a million small steps, not a million scans.
 *
 * The symbols are a doubly linked list over the characters of the word. The heap holds (rank, position of the left
 * symbol) of every pair that can be merged. A merge changes the pairs on its left and right; they are pushed anew, and
 * what the heap still holds about the old ones is recognised when it comes up, because the pair that now stands there
 * has another rank.
 */
#include "bpe.h"

#include "../base/bytes.h"

#define NO_RANK UINT32_MAX
#define NOWHERE UINT32_MAX

/* Positions are 32 bits, and every pair is in the heap at most twice. */
#define LONGEST_WORD ((size_t)1 << 30)

typedef struct symbol {
    ink_token id;            /* -1: merged into the symbol on its left */
    uint32_t previous, next; /* NOWHERE at the ends */
} symbol;

typedef struct word {
    const ink_bpe *bpe;
    const ink_vocab *vocab;
    symbol *symbols; /* [n], at most one per byte */
    size_t n;
    uint64_t *heap; /* [2 n] rank << 32 | position */
    size_t n_heap;
} word;

static uint64_t hash_pair(ink_token left, ink_token right, uint64_t seed)
{
    return ink_hash_mix(seed ^ ((uint64_t)(uint32_t)left << 32 | (uint32_t)right));
}

static bool hash_merge(const void *items, uint32_t i, uint64_t seed, uint64_t *hash)
{
    const ink_bpe_merge *merge = (const ink_bpe_merge *)items + i;
    *hash = hash_pair(merge->left, merge->right, seed);
    return true;
}

static uint32_t find_rank(const ink_bpe *bpe, ink_token left, ink_token right)
{
    uint64_t hash = hash_pair(left, right, bpe->index.seed);
    for (size_t probe = 0; probe < INK_INDEX_PROBES; probe++) {
        uint32_t rank = ink_index_slot(&bpe->index, hash, probe);
        if (rank == INK_INDEX_EMPTY)
            break;
        if (bpe->merges[rank].left == left && bpe->merges[rank].right == right)
            return rank;
    }
    return NO_RANK;
}

ink_result ink_bpe_index(ink_context *ctx, ink_arena *arena, const char *file, ink_bpe *bpe)
{
    INK_TRY(ink_index_build(ctx, arena, file, "merges", hash_merge, bpe->merges, bpe->n_merges, &bpe->index));
    for (size_t i = 0; i < bpe->n_merges; i++) {
        uint32_t first = find_rank(bpe, bpe->merges[i].left, bpe->merges[i].right);
        if (first != i)
            return ink_fail(ctx, INK_ERROR_CORRUPT, "%s: model.merges[%zu] is the same as model.merges[%zu]", file, i,
                            (size_t)first);
    }
    return INK_OK;
}

/* The rank of the pair whose left symbol is at `position`. */
static uint32_t rank_at(const word *w, uint32_t position)
{
    const symbol *left = &w->symbols[position];
    if (left->id < 0 || left->next == NOWHERE)
        return NO_RANK;
    return find_rank(w->bpe, left->id, w->symbols[left->next].id);
}

static void push(word *w, uint32_t position)
{
    uint32_t rank = rank_at(w, position);
    if (rank != NO_RANK)
        ink_heap_push(w->heap, w->n_heap++, INK_KEY(rank, position), NULL);
}

/* ---- a word's first symbols ------------------------------------------------------------------------------------- */

static void add_symbol(word *w, ink_token id) { w->symbols[w->n++].id = id; }

/* The tokens of the bytes of a character; false, and nothing added, if one of them is missing. */
static bool add_bytes(word *w, const char *bytes, size_t size)
{
    size_t n = w->n;
    for (size_t i = 0; i < size; i++) {
        ink_token id = w->bpe->byte_id[(unsigned char)bytes[i]];
        if (id < 0) {
            w->n = n;
            return false;
        }
        add_symbol(w, id);
    }
    return true;
}

/* As the reference does it: an unknown character waits for a known one or for the end, to see whether another unknown
   follows that it is fused with; characters that become bytes pass it by. */
static void add_characters(word *w, const char *bytes, size_t size)
{
    const ink_bpe *bpe = w->bpe;
    bool waiting = false;
    for (size_t i = 0, length; i < size; i += length) {
        uint32_t code;
        length = ink_utf8_next(bytes + i, size - i, &code);
        ink_token id = ink_vocab_find(w->vocab, bytes + i, length, false);
        if (id < 0 && ((bpe->byte_fallback && add_bytes(w, bytes + i, length)) || bpe->unk < 0))
            continue;
        if (waiting && !(id < 0 && bpe->fuse_unk))
            add_symbol(w, bpe->unk);
        waiting = id < 0;
        if (id >= 0)
            add_symbol(w, id);
    }
    if (waiting)
        add_symbol(w, bpe->unk);
}

static void start(word *w, const char *bytes, size_t size)
{
    if (w->bpe->byte_level)
        add_bytes(w, bytes, size);
    else
        add_characters(w, bytes, size);
    for (uint32_t i = 0; i < w->n; i++) {
        w->symbols[i].previous = i > 0 ? i - 1 : NOWHERE;
        w->symbols[i].next = i + 1 < w->n ? i + 1 : NOWHERE;
    }
    for (uint32_t i = 0; i + 1 < w->n; i++) {
        uint32_t rank = rank_at(w, i);
        if (rank != NO_RANK)
            w->heap[w->n_heap++] = (uint64_t)rank << 32 | i;
    }
    ink_heap_make(w->heap, w->n_heap, NULL);
}

/* ---- merging ---------------------------------------------------------------------------------------------------- */

/* The symbol at `position` takes in the one on its right. */
static void merge(word *w, uint32_t position, ink_token merged)
{
    symbol *left = &w->symbols[position];
    symbol *right = &w->symbols[left->next];
    right->id = -1;
    left->id = merged;
    left->next = right->next;
    if (left->next != NOWHERE)
        w->symbols[left->next].previous = position;
    if (left->previous != NOWHERE)
        push(w, left->previous);
    push(w, position);
}

static void merge_all(word *w)
{
    while (w->n_heap > 0) {
        uint64_t key = ink_heap_pop(w->heap, w->n_heap--, NULL);
        uint32_t rank = (uint32_t)(key >> 32), position = (uint32_t)key;
        if (rank_at(w, position) == rank)
            merge(w, position, w->bpe->merges[rank].merged);
    }
}

ink_result ink_bpe_encode(ink_context *ctx, const ink_bpe *bpe, const ink_vocab *vocab, const char *bytes, size_t size,
                          ink_ids *out)
{
    if (size > LONGEST_WORD)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a word of %zu bytes; the longest that is encoded has %zu", size,
                        LONGEST_WORD);
    if (bpe->ignore_merges) {
        ink_token id = ink_vocab_find(vocab, bytes, size, false);
        if (id >= 0) {
            ink_ids_add(out, id);
            return INK_OK;
        }
    }
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    word w = {.bpe = bpe, .vocab = vocab};
    w.symbols = ink_arena_alloc(&ctx->scratch, size, sizeof *w.symbols);
    w.heap = ink_arena_alloc(&ctx->scratch, 2 * size, sizeof *w.heap);
    if (ink_arena_failed(&ctx->scratch))
        return ink_scratch_fail(ctx, mark);
    start(&w, bytes, size);
    merge_all(&w);
    for (uint32_t i = w.n > 0 ? 0 : NOWHERE; i != NOWHERE; i = w.symbols[i].next)
        ink_ids_add(out, w.symbols[i].id);
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}
