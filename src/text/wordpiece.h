/*
 * wordpiece.h - WordPiece (Devlin et al. 2019, after Schuster and Nakajima 2012).
 *
 *     From its head a word is cut into the longest tokens there are; all but the first are written with a prefix, ##.
 *     A word that cannot be cut up to its end is unknown as a whole.
 */
#ifndef INK_TEXT_WORDPIECE_H
#define INK_TEXT_WORDPIECE_H

#include "ids.h"
#include "trie.h"

typedef enum ink_wordpiece_set { INK_WORDPIECE_HEAD, INK_WORDPIECE_REST } ink_wordpiece_set;

typedef struct ink_wordpiece {
    ink_trie trie;  /* of ids: all tokens; and those with the prefix, without it */
    size_t longest; /* characters of a word that is not unknown for its length */
    ink_token unk;
} ink_wordpiece;

/* Encodes a word; takes no memory. */
void ink_wordpiece_encode(const ink_wordpiece *wordpiece, const char *word, size_t size, ink_ids *out);

#endif
