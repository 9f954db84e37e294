/*
 * trie.h - strings to be found at a place in a text, the longest first.
 *
 * A trie of bytes: the children of a node are a list, node 0 stands for none. There are several tries in one, called
 * sets, each of which begins with a table of first bytes.
 */
#ifndef INK_TEXT_TRIE_H
#define INK_TEXT_TRIE_H

#include "../base/internal.h"

#define INK_TRIE_SETS 3
#define INK_TRIE_NONE UINT32_MAX

typedef struct ink_trie_node {
    uint32_t child, sibling;
    uint32_t value; /* of the string that ends here, or INK_TRIE_NONE */
    char byte;
} ink_trie_node;

typedef struct ink_trie {
    ink_trie_node *nodes; /* [n_nodes] */
    size_t n_nodes;
    uint32_t first[INK_TRIE_SETS][256]; /* the node of a first byte */
} ink_trie;

/* An empty trie with room for strings of `bytes` bytes in all. INK_ERROR_LIMIT, INK_ERROR_MEMORY. */
ink_result ink_trie_start(ink_context *ctx, ink_arena *arena, size_t bytes, ink_trie *trie);

/* Adds a string [size], size >= 1. If the set has it, it keeps the value it has and the result is false. */
bool ink_trie_put(ink_trie *trie, unsigned set, const char *string, size_t size, uint32_t value);

/* The value of exactly this string, or INK_TRIE_NONE. */
uint32_t ink_trie_find(const ink_trie *trie, unsigned set, const char *string, size_t size);

/* The value of the longest string of the set that text [size] begins with, and its length; or INK_TRIE_NONE. */
uint32_t ink_trie_longest(const ink_trie *trie, unsigned set, const char *text, size_t size, size_t *length);

#endif
