/*
 * added.c - finding added tokens: from each place that starts like one, a walk down a trie.
 */
#include "added.h"

#include <string.h>

#include "unicode.h"
#include "utf8.h"

ink_result ink_added_start(ink_context *ctx, ink_arena *arena, size_t n_tokens, size_t content_bytes,
                           ink_added *added)
{
    memset(added, 0, sizeof *added);
    added->tokens = ink_arena_take(arena, n_tokens, sizeof *added->tokens);
    added->nodes = ink_arena_take(arena, content_bytes + 1, sizeof *added->nodes);
    if (ink_arena_failed(arena))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %z added tokens", n_tokens);
    added->nodes[0] = (ink_added_node){.token = INK_ADDED_NONE};
    added->n_nodes = 1;
    return INK_OK;
}

/* The node of `byte` in a list of siblings, or 0. */
static uint32_t find_sibling(const ink_added *added, uint32_t node, char byte)
{
    while (node != 0 && added->nodes[node].byte != byte)
        node = added->nodes[node].sibling;
    return node;
}

/* The same; a node that is not there is put in front of the list. */
static uint32_t make_sibling(ink_added *added, uint32_t *list, char byte)
{
    uint32_t node = find_sibling(added, *list, byte);
    if (node != 0)
        return node;
    node = (uint32_t)added->n_nodes++;
    added->nodes[node] = (ink_added_node){.sibling = *list, .token = INK_ADDED_NONE, .byte = byte};
    *list = node;
    return node;
}

/* The node at the end of the content, or 0. */
static uint32_t find_node(const ink_added *added, ink_added_set set, const char *content, size_t size)
{
    uint32_t node = size > 0 ? added->first[set][(unsigned char)content[0]] : 0;
    for (size_t i = 1; i < size && node != 0; i++)
        node = find_sibling(added, added->nodes[node].child, content[i]);
    return node;
}

/* The added token with this content in a set, or INK_ADDED_NONE; node 0 has no token. */
static uint32_t find_token(const ink_added *added, ink_added_set set, const char *content, size_t size)
{
    return added->nodes[find_node(added, set, content, size)].token;
}

bool ink_added_put(ink_added *added, ink_added_set set, const char *content, size_t size, ink_added_token token)
{
    if (ink_added_find(added, content, size) >= 0)
        return false;
    uint32_t node = make_sibling(added, &added->first[set][(unsigned char)content[0]], content[0]);
    for (size_t i = 1; i < size; i++)
        node = make_sibling(added, &added->nodes[node].child, content[i]);
    added->nodes[node].token = (uint32_t)added->n_tokens;
    added->tokens[added->n_tokens++] = token;
    return true;
}

ink_token ink_added_find(const ink_added *added, const char *content, size_t size)
{
    for (int set = INK_ADDED_RAW; set <= INK_ADDED_NORMALIZED; set++) {
        uint32_t token = find_token(added, (ink_added_set)set, content, size);
        if (token != INK_ADDED_NONE)
            return added->tokens[token].id;
    }
    return -1;
}

/* The longest token at the head of the text and its length, or INK_ADDED_NONE. */
static uint32_t longest_at(const ink_added *added, ink_added_set set, const char *text, size_t size, size_t *length)
{
    uint32_t longest = INK_ADDED_NONE;
    uint32_t node = added->first[set][(unsigned char)text[0]];
    for (size_t i = 1; node != 0; i++) {
        if (added->nodes[node].token != INK_ADDED_NONE) {
            longest = added->nodes[node].token;
            *length = i;
        }
        node = i < size ? find_sibling(added, added->nodes[node].child, text[i]) : 0;
    }
    return longest;
}

/* Whether neither neighbour of text[start .. stop) is a word character. */
static bool stands_alone(const char *text, size_t size, size_t start, size_t stop)
{
    uint32_t code = 0;
    if (start > 0)
        ink_utf8_last(text, start, &code);
    if (start > 0 && ink_unicode_is_word(code))
        return false;
    if (stop < size)
        ink_utf8_next(text + stop, size - stop, &code);
    return stop == size || !ink_unicode_is_word(code);
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
        uint32_t found = longest_at(added, set, text + i, size - i, &length);
        if (found == INK_ADDED_NONE)
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
