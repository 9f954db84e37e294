/*
 * sort.c - heapsort: in place, no recursion, no bad case. libc's qsort promises none of the three.
 */
#include <string.h>

#include "sort.h"

typedef struct order {
    ink_sort_tie_fn tie;
    const void *user;
} order;

static bool less(const order *by, const ink_sort_item *a, const ink_sort_item *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    if (by->tie == NULL)
        return a->index < b->index;
    return by->tie(by->user, a->index, b->index) < 0;
}

/* Lets `item` sink from `hole` to its place in the heap items [n], where no child is greater than its parent. */
static void sift_down(const order *by, ink_sort_item *items, size_t hole, size_t n, ink_sort_item item)
{
    while (hole < n / 2) {
        size_t child = 2 * hole + 1;
        if (child + 1 < n && less(by, &items[child], &items[child + 1]))
            child++;
        if (!less(by, &item, &items[child]))
            break;
        items[hole] = items[child];
        hole = child;
    }
    items[hole] = item;
}

void ink_sort(ink_sort_item *items, size_t n, ink_sort_tie_fn tie, const void *user)
{
    order by = {.tie = tie, .user = user};

    for (size_t i = n / 2; i-- > 0;)
        sift_down(&by, items, i, n, items[i]);
    for (size_t last = n; last-- > 1;) {
        ink_sort_item item = items[last];
        items[last] = items[0];
        sift_down(&by, items, 0, last, item);
    }
}

uint64_t ink_hash_on(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t ink_hash(const char *bytes, size_t size) { return ink_hash_on(INK_HASH_START, bytes, size); }

int ink_compare_bytes(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t common = ink_size_min(a_size, b_size);
    int first = common > 0 ? memcmp(a, b, common) : 0;

    if (first != 0)
        return first;
    return a_size < b_size ? -1 : a_size > b_size;
}
