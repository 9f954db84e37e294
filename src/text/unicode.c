/*
 * unicode.c - properties of code points by binary search in one table of runs. ASCII, most of most texts, is a table
 * of its own.
 */
#include <stddef.h>

#include "unicode.h"
#include "unicode_tables.h"

#define N_RUNS (sizeof unicode_runs / sizeof unicode_runs[0])

static unsigned properties(uint32_t code)
{
    if (code < 128)
        return unicode_ascii[code];
    if (code > 0x10FFFF)
        return INK_UNICODE_OTHER;
    size_t low = 0, high = N_RUNS; /* run `low` starts at or before code, run `high` after it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_runs[middle] >> 3 <= code)
            low = middle;
        else
            high = middle;
    }
    return unicode_runs[low] & 7;
}

ink_unicode_class ink_unicode_class_of(uint32_t code)
{
    return (ink_unicode_class)(properties(code) & 3);
}

bool ink_unicode_is_word(uint32_t code)
{
    return (properties(code) & 4) != 0;
}
