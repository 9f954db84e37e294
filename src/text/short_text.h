/*
 * short_text.h - the few bytes that a step of a tokenizer takes from its file: a pattern, a prefix, a replacement.
 */
#ifndef INK_TEXT_SHORT_TEXT_H
#define INK_TEXT_SHORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define INK_SHORT_TEXT 64 /* bytes at most; no published file comes near */

typedef struct ink_short_text {
    char bytes[INK_SHORT_TEXT];
    size_t size;
} ink_short_text;

static inline bool ink_text_starts(const ink_short_text *head, const char *text, size_t size)
{
    return head->size <= size && memcmp(head->bytes, text, head->size) == 0;
}

#endif
