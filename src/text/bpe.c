/*
 * bpe.c - merges by rank, with a heap: a word of a million letters costs a million small steps, not a million scans.
 *
 * The symbols are a doubly linked list over the bytes of the word. The heap holds (rank, position of the left symbol)
 * of every pair that can be merged. A merge changes the pairs on its left and right; they are pushed anew, and what
 * the heap still holds about the old ones is recognised when it comes up, because the pair that now stands there has
 * another rank.
 */
#include "bpe.h"

#include "heap.h"

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
    symbol *symbols; /* [size] */
    uint64_t *heap;  /* [2 size] rank << 32 | position */
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
            return ink_fail(ctx, INK_ERROR_CORRUPT, "%q: model.merges[%z] is the same as model.merges[%z]", file, i,
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
        ink_heap_push(w->heap, w->n_heap++, (uint64_t)rank << 32 | position);
}

static void start(word *w, const char *bytes, size_t size)
{
    for (uint32_t i = 0; i < size; i++)
        w->symbols[i] = (symbol){.id = w->bpe->byte_id[(unsigned char)bytes[i]],
                                 .previous = i > 0 ? i - 1 : NOWHERE,
                                 .next = i + 1 < size ? i + 1 : NOWHERE};
    for (uint32_t i = 0; i + 1 < size; i++) {
        uint32_t rank = rank_at(w, i);
        if (rank != NO_RANK)
            w->heap[w->n_heap++] = (uint64_t)rank << 32 | i;
    }
    ink_heap_make(w->heap, w->n_heap);
}

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
        uint64_t key = ink_heap_pop(w->heap, w->n_heap--);
        uint32_t rank = (uint32_t)(key >> 32), position = (uint32_t)key;
        if (rank_at(w, position) == rank)
            merge(w, position, w->bpe->merges[rank].merged);
    }
}

ink_result ink_bpe_encode(ink_context *ctx, const ink_bpe *bpe, const ink_vocab *vocab, const char *bytes, size_t size,
                          ink_ids *out)
{
    if (size > LONGEST_WORD)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a word of %z bytes; the longest that is encoded has %z", size,
                        LONGEST_WORD);
    if (bpe->ignore_merges) {
        ink_token id = ink_vocab_find(vocab, bytes, size, false);
        if (id >= 0) {
            ink_ids_add(out, id);
            return INK_OK;
        }
    }
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    word w = {.bpe = bpe};
    w.symbols = ink_arena_take(&ctx->scratch, size, sizeof *w.symbols);
    w.heap = ink_arena_take(&ctx->scratch, 2 * size, sizeof *w.heap);
    if (ink_arena_failed(&ctx->scratch))
        return ink_scratch_fail(ctx, mark);
    start(&w, bytes, size);
    merge_all(&w);
    for (uint32_t i = 0; i != NOWHERE; i = w.symbols[i].next)
        ink_ids_add(out, w.symbols[i].id);
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}
