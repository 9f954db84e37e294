/*
 * added.h - added tokens: strings such as <|endoftext|> that are cut out of a text before anything else sees it.
 *
 * There are two sets of them. Those that are not "normalized" are cut out of the raw text first; the others, whose
 * contents are normalised themselves, out of the normalised text between them. In each set the longest token at the
 * leftmost place wins. A third set holds all contents as the file writes them, to find a token by its content.
 */
#ifndef INK_TEXT_ADDED_H
#define INK_TEXT_ADDED_H

#include <inkling/types.h>

#include "trie.h"

#define INK_ADDED_LONGEST 1024 /* bytes of a content; keeps the time for a text in bounds, whatever the file says */

typedef enum ink_added_set { INK_ADDED_RAW, INK_ADDED_NORMALIZED, INK_ADDED_CONTENT } ink_added_set;

typedef struct ink_added_token {
    ink_token id;
    bool left_strip;  /* takes the white space before it along */
    bool right_strip; /* and after it */
    bool single_word; /* only where no word character is beside it */
} ink_added_token;

typedef struct ink_added {
    ink_added_token *tokens; /* [n_tokens] */
    size_t n_tokens;
    ink_trie trie; /* of indices in tokens */
} ink_added;

/* The id of the added token with exactly this content, or -1. */
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
