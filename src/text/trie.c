/*
 * trie.c - a walk down a trie, one byte a step.
 */
#include "trie.h"

#include <string.h>

ink_result ink_trie_start(ink_context *ctx, ink_arena *arena, size_t bytes, ink_trie *trie)
{
    memset(trie, 0, sizeof *trie);
    if (bytes >= INK_TRIE_NONE)
        return ink_fail(ctx, INK_ERROR_LIMIT, "tokens of %zu bytes in all are more than are supported", bytes);
    trie->nodes = ink_arena_alloc(arena, bytes + 1, sizeof *trie->nodes);
    if (trie->nodes == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: tokens of %zu bytes", bytes);
    trie->nodes[0] = (ink_trie_node){.value = INK_TRIE_NONE};
    trie->n_nodes = 1;
    return INK_OK;
}

/* The node of `byte` in a list of siblings, or 0. */
static uint32_t find_sibling(const ink_trie *trie, uint32_t node, char byte)
{
    while (node != 0 && trie->nodes[node].byte != byte)
        node = trie->nodes[node].sibling;
    return node;
}

/* The same; a node that is not there is put in front of the list. */
static uint32_t make_sibling(ink_trie *trie, uint32_t *list, char byte)
{
    uint32_t node = find_sibling(trie, *list, byte);
    if (node != 0)
        return node;
    node = (uint32_t)trie->n_nodes++;
    trie->nodes[node] = (ink_trie_node){.sibling = *list, .value = INK_TRIE_NONE, .byte = byte};
    *list = node;
    return node;
}

bool ink_trie_put(ink_trie *trie, unsigned set, const char *string, size_t size, uint32_t value)
{
    uint32_t node = make_sibling(trie, &trie->first[set][(unsigned char)string[0]], string[0]);
    for (size_t i = 1; i < size; i++)
        node = make_sibling(trie, &trie->nodes[node].child, string[i]);
    if (trie->nodes[node].value != INK_TRIE_NONE)
        return false;
    trie->nodes[node].value = value;
    return true;
}

uint32_t ink_trie_find(const ink_trie *trie, unsigned set, const char *string, size_t size)
{
    uint32_t node = size > 0 ? trie->first[set][(unsigned char)string[0]] : 0;
    for (size_t i = 1; i < size && node != 0; i++)
        node = find_sibling(trie, trie->nodes[node].child, string[i]);
    return trie->nodes[node].value; /* node 0 has none */
}

uint32_t ink_trie_longest(const ink_trie *trie, unsigned set, const char *text, size_t size, size_t *length)
{
    uint32_t longest = INK_TRIE_NONE;
    uint32_t node = size > 0 ? trie->first[set][(unsigned char)text[0]] : 0;
    for (size_t i = 1; node != 0; i++) {
        if (trie->nodes[node].value != INK_TRIE_NONE) {
            longest = trie->nodes[node].value;
            *length = i;
        }
        node = i < size ? find_sibling(trie, trie->nodes[node].child, text[i]) : 0;
    }
    return longest;
}
