/*
 * added.h - added tokens: strings such as <|endoftext|> that are cut out of a text before anything else sees it.
 *
 * There are two sets of them. Those that are not "normalized" are cut out of the raw text first, the others out of
 * what is left between them. In each set the longest token at the leftmost place wins.
 */
#ifndef INK_TEXT_ADDED_H
#define INK_TEXT_ADDED_H

#include <inkling/embedding.h>

#include "../base/internal.h"

#define INK_ADDED_LONGEST 1024 /* bytes of a content; keeps the time for a text in bounds, whatever the file says */
#define INK_ADDED_NONE UINT32_MAX

typedef enum ink_added_set { INK_ADDED_RAW, INK_ADDED_NORMALIZED } ink_added_set;

typedef struct ink_added_token {
    ink_token id;
    bool left_strip;  /* takes the white space before it along */
    bool right_strip; /* and after it */
    bool single_word; /* only where no word character is beside it */
} ink_added_token;

/* A trie: the children of a node are a list. Node 0 stands for none. */
typedef struct ink_added_node {
    uint32_t child, sibling;
    uint32_t token; /* the added token that ends here, or INK_ADDED_NONE */
    char byte;
} ink_added_node;

typedef struct ink_added {
    ink_added_token *tokens; /* [n_tokens] */
    size_t n_tokens;
    ink_added_node *nodes; /* [n_nodes] */
    size_t n_nodes;
    uint32_t first[2][256]; /* per set: the node of a first byte */
} ink_added;

/* No tokens yet, and room for n_tokens of content_bytes in all. */
ink_result ink_added_start(ink_context *ctx, ink_arena *arena, size_t n_tokens, size_t content_bytes,
                           ink_added *added);

/* Adds a token with this content [size], 1 <= size <= INK_ADDED_LONGEST. False if there is one with that content. */
bool ink_added_put(ink_added *added, ink_added_set set, const char *content, size_t size, ink_added_token token);

/* The id of the added token with exactly this content, of either set, or -1. */
ink_token ink_added_find(const ink_added *added, const char *content, size_t size);

/* One match: text[start .. stop) is the token and the white space it takes along. Zero-initialise to begin. */
typedef struct ink_added_match {
    size_t start, stop;
    size_t scanned; /* the search goes on from here */
    ink_token id;
} ink_added_match;

/* Goes to the next match in text [size]; false if there is none. */
bool ink_added_next(const ink_added *added, ink_added_set set, const char *text, size_t size, ink_added_match *match);

#endif
