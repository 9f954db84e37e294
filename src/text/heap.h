/*
 * heap.h - a binary heap of 64-bit keys, smallest first (Williams 1964, Floyd 1964).
 *
 * What is to be ordered is packed into the key: the order in its upper half, an index in its lower half, so that ties
 * go to the smaller index.
 */
#ifndef INK_TEXT_HEAP_H
#define INK_TEXT_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Lets key[i] sink to where both its children are larger. */
static inline void ink_heap_sink(uint64_t *key, size_t n, size_t i)
{
    uint64_t sinking = key[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && key[child + 1] < key[child])
            child++;
        if (sinking <= key[child])
            break;
        key[i] = key[child];
    }
    key[i] = sinking;
}

/* Makes a heap of any n keys, in O(n). */
static inline void ink_heap_make(uint64_t *key, size_t n)
{
    for (size_t i = n / 2; i > 0; i--)
        ink_heap_sink(key, n, i - 1);
}

/* Adds a key to a heap of n, in O(log n); there must be room for it. */
static inline void ink_heap_push(uint64_t *key, size_t n, uint64_t added)
{
    size_t i = n;
    for (; i > 0 && added < key[(i - 1) / 2]; i = (i - 1) / 2)
        key[i] = key[(i - 1) / 2];
    key[i] = added;
}

/* Takes the smallest of n >= 1 keys, in O(log n), and leaves it in key[n - 1]: taking k of them leaves these k at the
   end of the array, the first taken last. */
static inline uint64_t ink_heap_pop(uint64_t *key, size_t n)
{
    uint64_t smallest = key[0];
    key[0] = key[n - 1];
    ink_heap_sink(key, n - 1, 0);
    key[n - 1] = smallest;
    return smallest;
}

#endif
