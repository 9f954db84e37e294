/*
 * split.c - pre-tokenisation: where a text is cut into words before the model sees it.
 *
 * A step says where it matches (rules.c), and what its matches do: be words, separate words, or join a neighbour. Each
 * step of a row cuts up the words of the step before it. The row is walked without recursion: the first word of a level
 * is cut off and becomes the text of the next level; when that is used up, the walk goes on in this one.
 */
#include "engine.h"

/* The length of the match at the head of text [size], or of the text up to the next match; and whether it counts as a
   match. */
static size_t split_part(const ink_step *step, const char *text, size_t size, bool *is_match)
{
    size_t length = step->match(step, text, size);
    *is_match = (length != 0) != step->invert;
    if (length != 0)
        return length;
    uint32_t code;
    do
        length += ink_utf8_next(text + length, size - length, &code);
    while (length < size && step->match(step, text + length, size - length) == 0);
    return length;
}

/* The length of the word at the head of text [size], size >= 1; *kept is false if it is dropped. */
static size_t split_word(const ink_step *step, const char *text, size_t size, bool *kept)
{
    bool is_match, next_is_match = false;
    size_t end = split_part(step, text, size, &is_match), next = 0;
    *kept = !(is_match && step->behavior == INK_SPLIT_REMOVED);
    if (end == size || step->behavior == INK_SPLIT_ISOLATED || step->behavior == INK_SPLIT_REMOVED)
        return end;
    next = split_part(step, text + end, size - end, &next_is_match);
    switch (step->behavior) {
    case INK_SPLIT_MERGED_WITH_PREVIOUS:
        return !is_match && next_is_match ? end + next : end;
    case INK_SPLIT_MERGED_WITH_NEXT:
        return is_match && !next_is_match ? end + next : end;
    default: /* INK_SPLIT_CONTIGUOUS */
        while (next_is_match == is_match) {
            end += next;
            if (end == size)
                break;
            next = split_part(step, text + end, size - end, &next_is_match);
        }
        return end;
    }
}

/* Makes a text the text of level `i`: each U+0020 in it becomes the step's `to`, if it has one, and the step's prefix
   is put in front as the scheme says. */
static ink_result split_enter(ink_context *ctx, ink_split *split, size_t i, const ink_view *whole, bool at_start)
{
    const ink_step *step = &split->steps->step[i];
    const ink_short_text *space = &step->to, *prefix = &step->prefix;
    const char *text = whole->text;
    const bool begins =
        whole->origin != NULL && whole->size > 0 ? split->begins && whole->origin[0].start == 0 : at_start;
    size_t size = whole->size, n_spaces = 0, room, n = 0;
    for (size_t k = 0; k < size && space->size != 0; k++)
        n_spaces += text[k] == ' ';
    bool starts = ink_text_starts(prefix, text, size) ||
                  (n_spaces != 0 && text[0] == ' ' && ink_text_starts(prefix, space->bytes, space->size));
    bool prefixed = !starts && (step->scheme == INK_PREFIX_ALWAYS || (step->scheme == INK_PREFIX_FIRST && begins));
    split->depth = i;
    split->level[i].rest = *whole;
    split->level[i].mark = ink_arena_mark_here(&ctx->scratch);
    split->level[i].at_start = at_start;
    if (n_spaces == 0 && !prefixed)
        return INK_OK;
    if (!ink_size_mul(n_spaces, space->size, &room) || !ink_size_add(room, size + INK_SHORT_TEXT, &room))
        return ink_fail(ctx, INK_ERROR_LIMIT, "a text of %zu bytes is too long to be split", size);
    char *changed = ink_arena_alloc(&ctx->scratch, room, 1);
    ink_range *origin = NULL;
    if (changed != NULL && whole->origin != NULL)
        origin = ink_arena_alloc(&ctx->scratch, room, sizeof *origin);
    if (changed == NULL || (origin == NULL && whole->origin != NULL))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: a text of %zu bytes", size);
    if (prefixed) {
        memcpy(changed, prefix->bytes, prefix->size);
        n = prefix->size;
    }
    for (size_t k = 0; k < size; k++) {
        bool replaced = n_spaces != 0 && text[k] == ' ';
        memcpy(changed + n, replaced ? space->bytes : text + k, replaced ? space->size : 1);
        n += replaced ? space->size : 1;
    }
    for (size_t k = size, end = n; k-- > 0 && origin != NULL;) /* from the end: the prefix goes with the first byte */
        for (size_t first = k == 0 ? 0 : end - (n_spaces != 0 && text[k] == ' ' ? space->size : 1); end > first;)
            origin[--end] = whole->origin[k];
    split->level[i].rest = (ink_view){.text = changed, .size = n, .origin = origin};
    return INK_OK;
}

ink_result ink_split_start(ink_context *ctx, const ink_steps *steps, const ink_view *text, bool at_start,
                           ink_split *split)
{
    split->steps = steps;
    split->begins = at_start;
    if (steps->n > 0)
        return split_enter(ctx, split, 0, text, at_start);
    split->depth = 0;
    split->level[0].rest = *text;
    split->level[0].at_start = false;
    return INK_OK;
}

ink_result ink_split_next(ink_context *ctx, ink_split *split, ink_view *word)
{
    const size_t n = split->steps->n;
    for (;;) {
        const size_t depth = split->depth;
        const ink_view rest = split->level[depth].rest;
        bool kept = true, at_start = split->level[depth].at_start;
        split->level[depth].at_start = false;
        size_t size =
            rest.size > 0 && n > 0 ? split_word(&split->steps->step[depth], rest.text, rest.size, &kept) : rest.size;
        *word = ink_view_part(&rest, 0, size);
        split->level[depth].rest = ink_view_part(&rest, size, rest.size - size);
        if (rest.size == 0 && depth > 0)
            ink_arena_release(&ctx->scratch, split->level[split->depth--].mark);
        else if (rest.size == 0 || (kept && depth + 1 >= n))
            return INK_OK;
        else if (kept)
            INK_TRY(split_enter(ctx, split, depth + 1, word, at_start));
    }
}
