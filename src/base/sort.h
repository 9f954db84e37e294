/*
 * sort.h - sorting and hashing for tables of names from files.
 *
 * A name table here is an array sorted by (hash, name). The hash decides nearly every comparison without touching the
 * names; the names decide the rest. Nobody gains by choosing names whose hashes collide: the sort then compares names
 * and still takes n log n steps, and there are no chains that could grow.
 */
#ifndef INK_BASE_SORT_H
#define INK_BASE_SORT_H

#include "internal.h"

typedef struct ink_sort_item {
    uint64_t key;
    size_t index; /* of what is sorted, in an array of the caller's */
} ink_sort_item;

/* Less than, equal to or greater than zero, as memcmp: how the things at two indices compare whose keys are equal. */
typedef int (*ink_sort_tie_fn)(const void *user, size_t a, size_t b);

/* Sorts items [n] by key, then by `tie` (NULL: by index), in place, in n log n steps whatever order they come in. */
void ink_sort(ink_sort_item *items, size_t n, ink_sort_tie_fn tie, const void *user);

/* FNV-1a, 64 bits: of some bytes; and continued from a hash, to go over several pieces (begin with INK_HASH_START). */
#define INK_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t ink_hash(const char *bytes, size_t size);
uint64_t ink_hash_on(uint64_t hash, const void *bytes, size_t size);

/* As memcmp: the shorter string is less where it is the beginning of the longer one. */
int ink_compare_bytes(const char *a, size_t a_size, const char *b, size_t b_size);

#endif
