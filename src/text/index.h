/*
 * index.h - a hash index over an array: from a key to the place where it stands.
 *
 * Open addressing with linear probing, at most half full. The items are in a file somebody else wrote, so no lookup
 * may take long whatever is in it: building tries hash seeds until no probe is longer than INK_INDEX_PROBES, and a
 * file that defeats them all is refused.
 */
#ifndef INK_TEXT_INDEX_H
#define INK_TEXT_INDEX_H

#include <string.h>

#include "../base/internal.h"

#define INK_INDEX_PROBES 256
#define INK_INDEX_EMPTY UINT32_MAX

typedef struct ink_index {
    uint32_t *slots; /* [n_slots], the number of an item or INK_INDEX_EMPTY */
    size_t n_slots;  /* a power of two */
    uint64_t seed;
} ink_index;

/* The hash of items[i]; false if that item is not to be found. */
typedef bool (*ink_index_hash_fn)(const void *items, uint32_t i, uint64_t seed, uint64_t *hash);

/* Makes an index of items 0 .. n - 1, with memory from `arena`. Of equal items the first is found first. `what` and
   `file` are for the message. INK_ERROR_MEMORY, INK_ERROR_LIMIT. */
ink_result ink_index_build(ink_context *ctx, ink_arena *arena, const char *file, const char *what,
                           ink_index_hash_fn hash, const void *items, size_t n, ink_index *index);

/* Looking up: compare the items in slot 0, 1, ... of the hash until one is equal or INK_INDEX_EMPTY is met. */
static inline uint32_t ink_index_slot(const ink_index *index, uint64_t hash, size_t probe)
{
    return index->slots[((size_t)hash + probe) & (index->n_slots - 1)];
}

#endif
