/*
 * split.c - what splitters make of their matches, and a chain of splitters without recursion.
 *
 * A text is a row of pieces, each a match or what lies between two matches; a word is a piece, or several of them as
 * the splitter's behavior says. The chain is walked with one text per splitter: the first word of it is cut off and is
 * the text of the next splitter; when that is used up, the walk goes on in this one.
 */
#include "split.h"
#include "../base/bytes.h"

/* ---- one splitter ----------------------------------------------------------------------------------------------- */

/* The length of the piece at the head of text [size], and whether it counts as a match. */
static size_t piece_at(const ink_splitter *splitter, const char *text, size_t size, bool *is_match)
{
    size_t length = splitter->match(splitter, text, size);
    *is_match = (length != 0) != splitter->invert;
    if (length != 0)
        return length;
    uint32_t code;
    do
        length += ink_utf8_next(text + length, size - length, &code);
    while (length < size && splitter->match(splitter, text + length, size - length) == 0);
    return length;
}

/* The length of the word at the head of text [size], size >= 1; *kept is false if it goes. */
static size_t word_at(const ink_splitter *splitter, const char *text, size_t size, bool *kept)
{
    bool is_match, next_is_match = false;
    size_t end = piece_at(splitter, text, size, &is_match), next = 0;
    *kept = !(is_match && splitter->behavior == INK_SPLIT_REMOVED);
    if (end == size || splitter->behavior == INK_SPLIT_ISOLATED || splitter->behavior == INK_SPLIT_REMOVED)
        return end;
    next = piece_at(splitter, text + end, size - end, &next_is_match);
    switch (splitter->behavior) {
    case INK_SPLIT_MERGED_WITH_PREVIOUS:
        return !is_match && next_is_match ? end + next : end;
    case INK_SPLIT_MERGED_WITH_NEXT:
        return is_match && !next_is_match ? end + next : end;
    default: /* INK_SPLIT_CONTIGUOUS */
        while (next_is_match == is_match) {
            end += next;
            if (end == size)
                break;
            next = piece_at(splitter, text + end, size - end, &next_is_match);
        }
        return end;
    }
}

/* ---- the text before it is split -------------------------------------------------------------------------------- */

static size_t count_spaces(const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += text[i] == ' ';
    return n;
}

/* Puts the splitter's `space` in the place of each U+0020, and its prefix before the text, as far as it asks for it. */
static ink_result prepare(ink_context *ctx, const ink_splitter *splitter, bool at_start, const char **text,
                          size_t *size)
{
    const ink_short_text *space = &splitter->space, *prefix = &splitter->prefix;
    size_t n_spaces = space->size != 0 ? count_spaces(*text, *size) : 0, room, n = 0;
    bool starts = ink_text_starts(prefix, *text, *size) ||
                  (n_spaces != 0 && (*text)[0] == ' ' && ink_text_starts(prefix, space->bytes, space->size));
    bool wanted = splitter->scheme == INK_PREFIX_ALWAYS || (splitter->scheme == INK_PREFIX_FIRST && at_start);
    if (n_spaces == 0 && (!wanted || starts))
        return INK_OK;
    if (!ink_size_mul(n_spaces, space->size, &room) || !ink_size_add(room, *size + INK_SHORT_TEXT, &room))
        return ink_fail(ctx, INK_ERROR_LIMIT, "a text of %zu bytes is too long to be split", *size);
    char *changed = ink_arena_alloc(&ctx->scratch, room, 1);
    if (changed == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a text of %zu bytes", *size);
    if (wanted && !starts) {
        memcpy(changed, prefix->bytes, prefix->size);
        n = prefix->size;
    }
    for (size_t i = 0; i < *size; i++) {
        bool replaced = n_spaces != 0 && (*text)[i] == ' ';
        memcpy(changed + n, replaced ? space->bytes : *text + i, replaced ? space->size : 1);
        n += replaced ? space->size : 1;
    }
    *text = changed;
    *size = n;
    return INK_OK;
}

/* ---- the chain -------------------------------------------------------------------------------------------------- */

/* What is left of the text of one splitter. */
typedef struct level {
    const char *text;
    size_t size;
} level;

ink_result ink_pre_tokenize(ink_context *ctx, const ink_pre_tokenizer *p, const char *text, size_t size, bool at_start,
                            ink_word_fn use, void *user)
{
    level levels[INK_SPLITTERS] = {{text, size}};
    size_t depth = 0; /* of the level that is being cut; the words of the last splitter are used */
    if (p->n_splitters == 0)
        return size != 0 ? use(user, text, size) : INK_OK;
    INK_TRY(prepare(ctx, &p->splitters[0], at_start, &levels[0].text, &levels[0].size));
    for (;;) {
        level *here = &levels[depth];
        if (here->size == 0 && depth == 0)
            return INK_OK;
        if (here->size == 0) {
            depth--;
            continue;
        }
        bool kept;
        level word = {here->text, word_at(&p->splitters[depth], here->text, here->size, &kept)};
        *here = (level){here->text + word.size, here->size - word.size};
        if (!kept)
            continue;
        if (depth + 1 == p->n_splitters) {
            INK_TRY(use(user, word.text, word.size));
            continue;
        }
        levels[++depth] = word;
        INK_TRY(prepare(ctx, &p->splitters[depth], false, &levels[depth].text, &levels[depth].size));
    }
}
