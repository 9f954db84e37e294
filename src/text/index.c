/*
 * index.c - building a hash index.
 */
#include "index.h"

#define SEEDS 16

/* Puts every item into the first free slot of its hash; false if one is further away than a lookup looks. */
static bool fill(ink_index *index, ink_index_hash_fn hash_of, const void *items, size_t n)
{
    memset(index->slots, 0xFF, index->n_slots * sizeof *index->slots);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash;
        if (!hash_of(items, i, index->seed, &hash))
            continue;
        size_t probe = 0;
        while (probe < INK_INDEX_PROBES && ink_index_slot(index, hash, probe) != INK_INDEX_EMPTY)
            probe++;
        if (probe == INK_INDEX_PROBES)
            return false;
        index->slots[((size_t)hash + probe) & (index->n_slots - 1)] = i;
    }
    return true;
}

ink_result ink_index_build(ink_context *ctx, ink_arena *arena, const char *file, const char *what,
                           ink_index_hash_fn hash, const void *items, size_t n, ink_index *index)
{
    if (n > UINT32_MAX / 4)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: %zu %s are more than are supported", file, n, what);
    index->n_slots = 2 * INK_INDEX_PROBES;
    while (index->n_slots < 2 * n)
        index->n_slots *= 2;
    index->slots = ink_arena_alloc(arena, index->n_slots, sizeof *index->slots);
    if (index->slots == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the index of %zu %s", n, what);
    for (uint64_t attempt = 1; attempt <= SEEDS; attempt++) {
        index->seed = ink_hash_mix(attempt);
        if (fill(index, hash, items, n))
            return INK_OK;
    }
    return ink_fail(ctx, INK_ERROR_LIMIT, "%s: too many of the %zu %s have the same hash or are equal", file, n, what);
}
