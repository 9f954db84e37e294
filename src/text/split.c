/*
 * split.c - the splitting rules, by hand: a look at the class of each code point and never more than one step back.
 *
 * Bytes that are not UTF-8 are of class OTHER, so they stay together with punctuation and emoji.
 */
#include <string.h>

#include "split.h"
#include "unicode.h"
#include "utf8.h"

static ink_unicode_class class_at(const char *text, size_t size, size_t *length)
{
    uint32_t code;
    *length = ink_utf8_next(text, size, &code);
    return ink_unicode_class_of(code);
}

/* Bytes of the code points of class `wanted` at the head of the text; *last is the length of the last of them. */
static size_t run_of(ink_unicode_class wanted, const char *text, size_t size, size_t *last)
{
    size_t end = 0, length;
    *last = 0;
    while (end < size && class_at(text + end, size - end, &length) == wanted) {
        end += length;
        *last = length;
    }
    return end;
}

/*  's|'t|'re|'ve|'m|'ll|'d   The length of an English contraction at the head of the text, or 0. */
static size_t contraction(const char *text, size_t size)
{
    if (size >= 2 && text[0] == '\'' && text[1] != '\0' && strchr("stmd", text[1]) != NULL)
        return 2;
    if (size >= 3 && (memcmp(text, "'re", 3) == 0 || memcmp(text, "'ve", 3) == 0 || memcmp(text, "'ll", 3) == 0))
        return 3;
    return 0;
}

size_t ink_split_gpt2(const char *text, size_t size)
{
    size_t last;
    size_t length = contraction(text, size);
    if (length != 0)
        return length;

    /*  ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+   One class, and one U+0020 before it. */
    size_t start = text[0] == ' ' && size > 1 ? 1 : 0;
    ink_unicode_class first = class_at(text + start, size - start, &length);
    if (first != INK_UNICODE_SPACE)
        return start + run_of(first, text + start, size - start, &last);

    /* \s+(?!\S)|\s+   A run of white space at the end is one word. Before a word, its last code point is left over:
       a U+0020 then goes with the word, anything else is a word of its own. */
    size_t end = run_of(INK_UNICODE_SPACE, text, size, &last);
    if (end == size || end == last)
        return end;
    return end - last;
}

size_t ink_split_none(const char *text, size_t size)
{
    (void)text;
    return size;
}
