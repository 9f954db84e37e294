/*
 * bpe.c - byte-pair encoding of one word (Sennrich, Haddow, Birch 2016, section 3.2).
 *
 *     A word starts as one symbol per character, or per byte. As long as two neighbours can be merged, the pair whose
 *     merge was learned first is replaced by the merged token; among equal pairs the leftmost.
 *
 * The symbols are a doubly linked list over the characters of the word. A heap holds (rank, position of the left
 * symbol) of every pair that can be merged, so a word of a million letters costs a million small steps, not a million
 * scans. A merge changes the pairs on its left and right, and both are pushed anew. The heap still holds their old
 * entries; when one comes up, the pair at its position makes another token, and the entry is ignored.
 *
 * Merges are pairs of tokens, or, in SentencePiece's own encoder at the end of this file, whatever makes a piece.
 */
#include "engine.h"

#define BPE_NOWHERE UINT32_MAX

/* Positions are 32 bits, and every pair is in the heap at most twice. */
#define BPE_LONGEST_WORD ((size_t)1 << 30)

typedef struct bpe_symbol {
    ink_token id;            /* -1: merged into the symbol on its left */
    uint32_t previous, next; /* BPE_NOWHERE at the ends */
} bpe_symbol;

/* ---- the ranks of merges ---------------------------------------------------------------------------------------- */

static uint64_t bpe_hash(ink_token left, ink_token right, uint64_t seed)
{
    return ink_hash_mix(seed ^ ((uint64_t)(uint32_t)left << 32 | (uint32_t)right));
}

static bool bpe_hash_merge(const void *items, uint32_t i, uint64_t seed, uint64_t *hash)
{
    const ink_bpe_merge *merge = (const ink_bpe_merge *)items + i;
    *hash = bpe_hash(merge->left, merge->right, seed);
    return true;
}

static bool bpe_equal_merges(const void *items, uint32_t i, uint32_t k)
{
    const ink_bpe_merge *merge = items;
    return merge[i].left == merge[k].left && merge[i].right == merge[k].right;
}

ink_result ink_builder_merges(ink_tokenizer_builder *b, ink_bpe_merge *merges, size_t n)
{
    b->draft.bpe.merges = merges;
    b->draft.bpe.n_merges = n;
    return ink_index_build(b->ctx, b->arena, b->file, "merges", bpe_hash_merge, bpe_equal_merges, merges, n,
                           &b->draft.bpe.index);
}

uint32_t ink_bpe_rank(const ink_bpe *bpe, ink_token left, ink_token right)
{
    uint64_t hash = bpe_hash(left, right, bpe->index.seed);
    for (size_t probe = 0; probe < INK_INDEX_PROBES; probe++) {
        uint32_t rank = ink_index_slot(&bpe->index, hash, probe);
        if (rank == INK_INDEX_EMPTY)
            break;
        if (bpe->merges[rank].left == left && bpe->merges[rank].right == right)
            return rank;
    }
    return INK_NO_RANK;
}

/* ---- the first symbols of a word -------------------------------------------------------------------------------- */

/* Appends a symbol. If ends is not NULL, ends[n] is where it ends, in bytes of all symbols. */
static size_t bpe_add_symbol(bpe_symbol *symbols, uint32_t *ends, size_t n, ink_token id, size_t size)
{
    symbols[n].id = id;
    if (ends != NULL)
        ends[n] = (uint32_t)size + (n > 0 ? ends[n - 1] : 0);
    return n + 1;
}

/* Appends the tokens of the bytes of a character to symbols [n] and returns their new number; n if one is missing. */
static size_t bpe_add_bytes(const ink_bytes *tokens, const char *bytes, size_t size, bpe_symbol *symbols,
                            uint32_t *ends, size_t n)
{
    for (size_t i = 0; i < size; i++) {
        ink_token id = tokens->id[(unsigned char)bytes[i]];
        if (id < 0)
            return n;
        bpe_add_symbol(symbols, ends, n + i, id, 1);
    }
    return n + size;
}

/* Writes the symbols of the characters of a word, or of its bytes, and returns their number; SIZE_MAX: one is unknown,
   and so is the unknown token. As in the reference an unknown character waits for a known one, or for the end, because
   another unknown may follow that it is fused with; characters that become bytes pass it by. A character that becomes
   nothing has no place there: the symbols after it move up. */
static size_t bpe_add_symbols(const ink_tokenizer *t, const char *word, size_t size, bpe_symbol *symbols,
                              uint32_t *ends)
{
    const bool bytes = t->bpe.byte_level;
    size_t n = 0, waiting = 0; /* bytes of the unknown that waits */
    for (size_t i = 0, length; i < size; i += length) {
        uint32_t code;
        length = bytes ? 1 : ink_utf8_next(word + i, size - i, &code);
        ink_token id = bytes ? t->bytes.id[(unsigned char)word[i]] : ink_vocab_find(&t->vocab, word + i, length, false);
        if (id < 0) {
            size_t before = n;
            if (t->bytes.fallback && !bytes)
                n = bpe_add_bytes(&t->bytes, word + i, length, symbols, ends, n);
            if (n > before || t->unk == INK_UNK_NONE)
                continue;
            if (t->unk == INK_UNK_MISSING)
                return SIZE_MAX;
        }
        if (waiting > 0 && !(id < 0 && t->bpe.fuse_unk)) {
            n = bpe_add_symbol(symbols, ends, n, t->unk, waiting);
            waiting = 0;
        }
        if (id >= 0)
            n = bpe_add_symbol(symbols, ends, n, id, length);
        else
            waiting += length;
    }
    return waiting > 0 ? bpe_add_symbol(symbols, ends, n, t->unk, waiting) : n;
}

/* ---- merging ---------------------------------------------------------------------------------------------------- */

/* The rank of the pair whose left symbol is at `position`. */
static uint32_t bpe_rank_at(const ink_bpe *bpe, const bpe_symbol *symbols, uint32_t position)
{
    const bpe_symbol *left = &symbols[position];
    if (left->id < 0 || left->next == BPE_NOWHERE)
        return INK_NO_RANK;
    return ink_bpe_rank(bpe, left->id, symbols[left->next].id);
}

/* Adds the pair whose left symbol is at `position`, if it can be merged, to a heap; returns the new number of pairs. */
static size_t bpe_push(const ink_bpe *bpe, const bpe_symbol *symbols, uint32_t position, uint64_t *heap, size_t n_heap)
{
    uint32_t rank = bpe_rank_at(bpe, symbols, position);
    if (rank != INK_NO_RANK)
        ink_heap_push(heap, n_heap++, INK_KEY(rank, position), NULL);
    return n_heap;
}

ink_result ink_bpe_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size, ink_ids *out)
{
    const ink_bpe *bpe = &tokenizer->bpe;
    if (size > BPE_LONGEST_WORD)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a word of %zu bytes; the longest that is encoded has %zu", size,
                        BPE_LONGEST_WORD);
    if (bpe->ignore_merges) {
        ink_token id = ink_vocab_find(&tokenizer->vocab, word, size, false);
        if (id >= 0) {
            ink_ids_add(out, id, size);
            return INK_OK;
        }
    }
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    /* [n_heap] INK_KEY(rank, position), and behind it symbols [n], at most one per byte. */
    uint64_t *heap = ink_arena_alloc(&ctx->scratch, size, 2 * sizeof *heap + sizeof(bpe_symbol));
    if (heap == NULL)
        return ink_scratch_fail(ctx, mark);
    bpe_symbol *symbols = (bpe_symbol *)(heap + 2 * size);
    uint32_t *ends = NULL; /* of the symbols as they were at first, if places are asked for */
    size_t n, n_heap = 0;
    if (out->word != NULL && (ends = ink_arena_alloc(&ctx->scratch, size, sizeof *ends)) == NULL)
        return ink_scratch_fail(ctx, mark);

    n = bpe_add_symbols(tokenizer, word, size, symbols, ends);
    if (n == SIZE_MAX) {
        ink_arena_release(&ctx->scratch, mark);
        return ink_unknown_fail(ctx, tokenizer, word, size);
    }
    for (uint32_t i = 0; i < n; i++) {
        symbols[i].previous = i > 0 ? i - 1 : BPE_NOWHERE;
        symbols[i].next = i + 1 < n ? i + 1 : BPE_NOWHERE;
    }
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t rank = ink_bpe_rank(bpe, symbols[i].id, symbols[i + 1].id);
        if (rank != INK_NO_RANK)
            heap[n_heap++] = INK_KEY(rank, i);
    }
    ink_heap_make(heap, n_heap, NULL);

    while (n_heap > 0) {
        uint64_t key = ink_heap_pop(heap, n_heap--, NULL);
        uint32_t rank = (uint32_t)(key >> 32), position = (uint32_t)ink_key_index(key);
        uint32_t now = bpe_rank_at(bpe, symbols, position);
        if (now == INK_NO_RANK || bpe->merges[now].merged != bpe->merges[rank].merged)
            continue;
        bpe_symbol *left = &symbols[position], *right = &symbols[left->next];
        left->id = bpe->merges[rank].merged;
        left->next = right->next;
        right->id = -1;
        if (left->next != BPE_NOWHERE)
            symbols[left->next].previous = position;
        if (left->previous != BPE_NOWHERE)
            n_heap = bpe_push(bpe, symbols, left->previous, heap, n_heap);
        n_heap = bpe_push(bpe, symbols, position, heap, n_heap);
    }

    for (uint32_t i = n > 0 ? 0 : BPE_NOWHERE; i != BPE_NOWHERE; i = symbols[i].next) {
        size_t end = symbols[i].next != BPE_NOWHERE ? symbols[i].next : n;
        ink_ids_add(out, symbols[i].id, ends != NULL ? ends[end - 1] - out->done : 1);
    }
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}

/* ---- SentencePiece ---------------------------------------------------------------------------------------------- */

/* The rank of the piece that the symbol at `position` makes with the next one, or INK_NO_RANK. */
static uint32_t pieces_rank(const ink_unigram *u, const char *word, size_t size, const bpe_symbol *symbols,
                            uint32_t position)
{
    const uint32_t next = symbols[position].next;
    if (symbols[position].id < 0 || next == BPE_NOWHERE)
        return INK_NO_RANK;
    const size_t length = (symbols[next].next != BPE_NOWHERE ? symbols[next].next : size) - position;
    const uint32_t piece =
        length <= INK_PIECES_LONGEST ? ink_trie_find(&u->trie, 0, word + position, length) : INK_TRIE_NONE;
    return piece != INK_TRIE_NONE ? (uint32_t)u->pieces[piece].score : INK_NO_RANK;
}

/* SentencePiece's own encoder merges two neighbours whenever they make a piece, even if they are none by themselves:
   the piece with the highest score first, and of equal scores the leftmost. The symbol at place i of the array begins
   at byte i of the word. */
ink_result ink_pieces_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *word, size_t size,
                             ink_ids *out)
{
    const ink_unigram *u = &tokenizer->unigram;
    if (size > BPE_LONGEST_WORD)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a word of %zu bytes; the longest that is encoded has %zu", size,
                        BPE_LONGEST_WORD);
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    uint64_t *heap = ink_arena_alloc(&ctx->scratch, size, 2 * sizeof *heap + sizeof(bpe_symbol));
    if (heap == NULL)
        return ink_scratch_fail(ctx, mark);
    bpe_symbol *symbols = (bpe_symbol *)(heap + 2 * size);
    size_t n_heap = 0;
    uint32_t last = BPE_NOWHERE, rank;
    for (uint32_t i = 0, next; i < size; last = i, i = next) {
        uint32_t code;
        next = i + (uint32_t)ink_utf8_next(word + i, size - i, &code);
        symbols[i] = (bpe_symbol){0, last, next < size ? next : BPE_NOWHERE};
    }
    for (uint32_t i = 0; i != BPE_NOWHERE; i = symbols[i].next)
        if ((rank = pieces_rank(u, word, size, symbols, i)) != INK_NO_RANK)
            heap[n_heap++] = INK_KEY(rank, i);
    ink_heap_make(heap, n_heap, NULL);
    while (n_heap > 0) {
        const uint64_t key = ink_heap_pop(heap, n_heap--, NULL);
        const uint32_t position = (uint32_t)ink_key_index(key);
        if (pieces_rank(u, word, size, symbols, position) != (uint32_t)(key >> 32))
            continue; /* the pair has changed since it was pushed */
        bpe_symbol *left = &symbols[position], *right = &symbols[left->next];
        left->next = right->next;
        right->id = -1;
        if (left->next != BPE_NOWHERE)
            symbols[left->next].previous = position;
        const uint32_t changed[] = {left->previous, position};
        for (int i = 0; i < 2; i++)
            if (changed[i] != BPE_NOWHERE && (rank = pieces_rank(u, word, size, symbols, changed[i])) != INK_NO_RANK)
                ink_heap_push(heap, n_heap++, INK_KEY(rank, changed[i]), NULL);
    }
    size_t unknown = 0; /* bytes of the unknown characters before i */
    for (size_t i = 0, next; i < size; i = next) {
        next = symbols[i].next != BPE_NOWHERE ? symbols[i].next : size;
        const uint32_t piece =
            next - i <= INK_PIECES_LONGEST ? ink_trie_find(&u->trie, 0, word + i, next - i) : INK_TRIE_NONE;
        unknown += piece == INK_TRIE_NONE ? next - i : 0;
        if (unknown > 0 && (piece != INK_TRIE_NONE || next == size))
            ink_unigram_put(tokenizer, word + (piece != INK_TRIE_NONE ? i : next) - unknown, unknown, -1, out);
        if (piece != INK_TRIE_NONE) {
            unknown = 0;
            ink_unigram_put(tokenizer, word + i, next - i, piece, out);
        }
    }
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}
