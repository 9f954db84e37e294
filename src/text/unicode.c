/*
 * unicode.c - binary search in tables of runs and of pairs. ASCII, most of most texts, is a table of its own; Hangul
 * syllables are arithmetic (Unicode 16, section 3.12).
 */
#include "unicode.h"
#include "unicode_tables.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* The value of the run that `code` is in; runs are (first code point << 8 | value), the first of them starts at 0. */
static unsigned value_in(const uint32_t *runs, size_t n, uint32_t code)
{
    size_t low = 0, high = n; /* run `low` starts at or before code, run `high` after it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (runs[middle] >> 8 <= code)
            low = middle;
        else
            high = middle;
    }
    return runs[low] & 0xFF;
}

static unsigned properties(uint32_t code)
{
    if (code < 128)
        return unicode_ascii[code];
    return code > 0x10FFFF ? INK_UNICODE_OTHER : value_in(unicode_runs, COUNT(unicode_runs), code);
}

ink_unicode_class ink_unicode_class_of(uint32_t code) { return (ink_unicode_class)(properties(code) & 3); }

bool ink_unicode_has(uint32_t code, unsigned wanted) { return (properties(code) & wanted) != 0; }

bool ink_unicode_is_chinese(uint32_t code)
{
    return (code >= 0x3400 && code <= 0x4DBF) || (code >= 0x4E00 && code <= 0x9FFF) ||
           (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x20000 && code <= 0x2A6DF) ||
           (code >= 0x2A700 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
           (code >= 0x2F800 && code <= 0x2FA1F);
}

uint32_t ink_unicode_lower(uint32_t code)
{
    if (code < 128)
        return code >= 'A' && code <= 'Z' ? code + 32 : code;
    if (code == 0x130)
        return 'i';
    size_t low = 0, high = COUNT(unicode_lower);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_lower[middle].first <= code)
            low = middle;
        else
            high = middle;
    }
    const unicode_case *run = &unicode_lower[low];
    if (code > run->last || (code - run->first) % run->stride != 0)
        return code;
    return (uint32_t)((int32_t)code + run->delta);
}

unsigned ink_unicode_combining(uint32_t code)
{
    return code < 0x300 || code > 0x10FFFF ? 0 : value_in(unicode_classes, COUNT(unicode_classes), code);
}

/* ---- canonical decomposition and composition -------------------------------------------------------------------- */

enum {
    HANGUL = 0xAC00,   /* the first syllable */
    LEADING = 0x1100,  /* jamo: 19 leading consonants, */
    VOWEL = 0x1161,    /* 21 vowels, */
    TRAILING = 0x11A7, /* 28 trailing consonants, of which this one stands for none */
    N_LEADING = 19,
    N_VOWEL = 21,
    N_TRAILING = 28,
    N_HANGUL = N_LEADING * N_VOWEL * N_TRAILING
};

#define LOW_21 0x1FFFFFu

/* The pair of entry i of unicode_pairs, comparable: first << 21 | second. */
static uint64_t pair_of(size_t i) { return unicode_pairs[i] & ((UINT64_C(1) << 42) - 1); }

static bool decompose_hangul(uint32_t syllable, uint32_t pair[2])
{
    uint32_t trailing = syllable % N_TRAILING, vowel = syllable / N_TRAILING % N_VOWEL;
    pair[0] = trailing != 0 ? HANGUL + syllable - trailing : LEADING + syllable / (N_VOWEL * N_TRAILING);
    pair[1] = trailing != 0 ? TRAILING + trailing : VOWEL + vowel;
    return true;
}

bool ink_unicode_decompose(uint32_t code, uint32_t pair[2])
{
    if (code < 0xC0)
        return false;
    if (code - HANGUL < N_HANGUL)
        return decompose_hangul(code - HANGUL, pair);
    size_t low = 0, high = COUNT(unicode_pairs);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_pairs[middle] >> 42 <= code)
            low = middle;
        else
            high = middle;
    }
    if (unicode_pairs[low] >> 42 != code)
        return false;
    pair[0] = (uint32_t)(unicode_pairs[low] >> 21) & LOW_21;
    pair[1] = (uint32_t)unicode_pairs[low] & LOW_21;
    return true;
}

uint32_t ink_unicode_compose(uint32_t first, uint32_t second)
{
    if (first - LEADING < N_LEADING && second - VOWEL < N_VOWEL)
        return HANGUL + ((first - LEADING) * N_VOWEL + (second - VOWEL)) * N_TRAILING;
    if (first - HANGUL < N_HANGUL && (first - HANGUL) % N_TRAILING == 0 && second - TRAILING - 1 < N_TRAILING - 1)
        return first + (second - TRAILING);
    uint64_t wanted = (uint64_t)first << 21 | second;
    size_t low = 0, high = COUNT(unicode_composed);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (pair_of(unicode_composed[middle]) <= wanted)
            low = middle;
        else
            high = middle;
    }
    size_t found = unicode_composed[low];
    return first <= LOW_21 && pair_of(found) == wanted ? (uint32_t)(unicode_pairs[found] >> 42) : 0;
}
