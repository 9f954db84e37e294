/*
 * vocab.c - all bytes in one pool, ids as an array of places in it, and a hash index over the ids.
 */
#include "vocab.h"

#include "byte_level.h"

ink_result ink_vocab_start(ink_context *ctx, ink_arena *arena, size_t n_ids, size_t pool_size, ink_vocab *vocab)
{
    vocab->n_ids = n_ids;
    vocab->pool = ink_arena_alloc(arena, pool_size, 1);
    vocab->tokens = ink_arena_alloc(arena, n_ids, sizeof *vocab->tokens);
    if (ink_arena_failed(arena))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a vocabulary of %zu tokens", n_ids);
    memset(vocab->tokens, 0, n_ids * sizeof *vocab->tokens);
    return INK_OK;
}

void ink_vocab_put(ink_vocab *vocab, ink_token id, const char *spelling, size_t size)
{
    ink_vocab_token *token = &vocab->tokens[id];
    token->offset = (uint32_t)vocab->pool_size;
    token->size = (uint32_t)size;
    if (vocab->byte_level)
        token->size = (uint32_t)ink_byte_level_read(spelling, size, vocab->pool + vocab->pool_size, &token->verbatim);
    else
        memcpy(vocab->pool + vocab->pool_size, spelling, size);
    vocab->pool_size += token->size;
    vocab->longest = ink_size_max(vocab->longest, token->size);
}

static uint64_t hash_of(const char *bytes, size_t size, bool verbatim, uint64_t seed)
{
    return ink_hash(verbatim ? ~seed : seed, bytes, size);
}

static bool hash_token(const void *items, uint32_t i, uint64_t seed, uint64_t *hash)
{
    const ink_vocab *vocab = items;
    const ink_vocab_token *token = &vocab->tokens[i];
    *hash = hash_of(vocab->pool + token->offset, token->size, token->verbatim, seed);
    return token->size != 0;
}

ink_result ink_vocab_index(ink_context *ctx, ink_arena *arena, const char *file, ink_vocab *vocab)
{
    return ink_index_build(ctx, arena, file, "tokens", hash_token, vocab, vocab->n_ids, &vocab->index);
}

ink_token ink_vocab_find(const ink_vocab *vocab, const char *bytes, size_t size, bool verbatim)
{
    uint64_t hash = hash_of(bytes, size, verbatim, vocab->index.seed);
    for (size_t probe = 0; probe < INK_INDEX_PROBES; probe++) {
        uint32_t id = ink_index_slot(&vocab->index, hash, probe);
        if (id == INK_INDEX_EMPTY)
            break;
        const ink_vocab_token *token = &vocab->tokens[id];
        if (token->size == size && token->verbatim == verbatim && memcmp(vocab->pool + token->offset, bytes, size) == 0)
            return (ink_token)id;
    }
    return -1;
}
