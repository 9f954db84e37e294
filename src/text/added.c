/*
 * added.c - finding added tokens: from each place that starts like one, a walk down a trie.
 */
#include "added.h"

#include "unicode.h"
#include "../base/bytes.h"

ink_token ink_added_find(const ink_added *added, const char *content, size_t size)
{
    uint32_t token = ink_trie_find(&added->trie, INK_ADDED_CONTENT, content, size);
    return token != INK_TRIE_NONE ? added->tokens[token].id : -1;
}

/* Whether neither neighbour of text[start .. stop) is a word character. */
static bool stands_alone(const char *text, size_t size, size_t start, size_t stop)
{
    uint32_t code = 0;
    if (start > 0)
        ink_utf8_last(text, start, &code);
    if (start > 0 && ink_unicode_has(code, INK_UNICODE_WORD))
        return false;
    if (stop < size)
        ink_utf8_next(text + stop, size - stop, &code);
    return stop == size || !ink_unicode_has(code, INK_UNICODE_WORD);
}

/* Where the white space that ends at `start` begins, but not before `floor`. */
static size_t strip_left(const char *text, size_t floor, size_t start)
{
    while (start > floor) {
        uint32_t code;
        size_t length = ink_utf8_last(text, start, &code);
        if (ink_unicode_class_of(code) != INK_UNICODE_SPACE || start - length < floor)
            break;
        start -= length;
    }
    return start;
}

static size_t strip_right(const char *text, size_t size, size_t stop)
{
    while (stop < size) {
        uint32_t code;
        size_t length = ink_utf8_next(text + stop, size - stop, &code);
        if (ink_unicode_class_of(code) != INK_UNICODE_SPACE)
            break;
        stop += length;
    }
    return stop;
}

/* As the reference does it: a single_word match that is refused still uses up its bytes, and white space that a token
   took along on its right is still searched for tokens. */
bool ink_added_next(const ink_added *added, ink_added_set set, const char *text, size_t size, ink_added_match *match)
{
    size_t done = match->stop; /* what comes before belongs to the match before */
    for (size_t i = match->scanned; i < size; i++) {
        size_t length = 0;
        uint32_t found = ink_trie_longest(&added->trie, set, text + i, size - i, &length);
        if (found == INK_TRIE_NONE)
            continue;
        const ink_added_token *token = &added->tokens[found];
        if (token->single_word && !stands_alone(text, size, i, i + length)) {
            i += length - 1;
            continue;
        }
        match->id = token->id;
        match->scanned = i + length;
        match->start = token->left_strip ? strip_left(text, done, i) : i;
        match->stop = token->right_strip ? strip_right(text, size, i + length) : i + length;
        return true;
    }
    return false;
}
