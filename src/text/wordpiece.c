/*
 * wordpiece.c - one walk down the trie per token. Walks may overlap, so a word costs at most its length times that of
 * the longest token; both are bounded by the limit on a word's length.
 */
#include "wordpiece.h"

#include "../base/bytes.h"

/* Whether a word has more than `most` characters. */
static bool is_longer(const char *word, size_t size, size_t most)
{
    uint32_t code;
    size_t n = 0;
    for (size_t i = 0; i < size && n <= most; n++)
        i += ink_utf8_next(word + i, size - i, &code);
    return n > most;
}

void ink_wordpiece_encode(const ink_wordpiece *wordpiece, const char *word, size_t size, ink_ids *out)
{
    size_t before = out->n, length = 0;
    bool unknown = is_longer(word, size, wordpiece->longest);
    for (size_t i = 0; i < size && !unknown; i += length) {
        unsigned set = i == 0 ? INK_WORDPIECE_HEAD : INK_WORDPIECE_REST;
        uint32_t id = ink_trie_longest(&wordpiece->trie, set, word + i, size - i, &length);
        unknown = id == INK_TRIE_NONE;
        ink_ids_add(out, (ink_token)id);
    }
    if (unknown) {
        out->n = before;
        ink_ids_add(out, wordpiece->unk);
    }
}
