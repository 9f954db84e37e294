/*
 * unicode.c - binary search in tables of runs and of pairs. ASCII, most of most texts, is a table of its own; Hangul
 * syllables are arithmetic (Unicode 16, section 3.12).
 */
#include "unicode.h"
#include "unicode_tables.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* The value of the run that `code` is in; runs are (first code point << shift | value), the first starts at 0. */
static unsigned value_in(const uint32_t *runs, size_t n, unsigned shift, uint32_t code)
{
    size_t low = 0, high = n; /* run `low` starts at or before code, run `high` after it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (runs[middle] >> shift <= code)
            low = middle;
        else
            high = middle;
    }
    return runs[low] & ((1u << shift) - 1);
}

static unsigned properties(uint32_t code)
{
    if (code < 128)
        return unicode_ascii[code];
    return code > 0x10FFFF ? INK_UNICODE_OTHER : value_in(unicode_runs, COUNT(unicode_runs), 11, code) & 0xFF;
}

ink_unicode_class ink_unicode_class_of(uint32_t code) { return (ink_unicode_class)(properties(code) & 3); }

bool ink_unicode_has(uint32_t code, unsigned wanted) { return (properties(code) & wanted) != 0; }

/* Whether a code point is in one of the runs, in which every one or every second one is. */
static bool in_strides(const uint32_t *runs, size_t n, uint32_t code)
{
    size_t low = 0, high = n; /* as in value_in() */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (runs[middle] >> 11 <= code)
            low = middle;
        else
            high = middle;
    }
    const uint32_t distance = code - (runs[low] >> 11), stride = 1 + (runs[low] >> 10 & 1); /* wraps before the first */
    return distance % stride == 0 && distance / stride <= (runs[low] & 1023);
}

unsigned ink_unicode_case_of(uint32_t code)
{
    const ink_unicode_class class = ink_unicode_class_of(code);
    if (class == INK_UNICODE_LETTER && in_strides(unicode_capitals, COUNT(unicode_capitals), code))
        return INK_UNICODE_CAPITAL;
    if (class == INK_UNICODE_LETTER && in_strides(unicode_small, COUNT(unicode_small), code))
        return INK_UNICODE_SMALL;
    if (class == INK_UNICODE_LETTER ||
        (class == INK_UNICODE_OTHER && in_strides(unicode_marks, COUNT(unicode_marks), code)))
        return INK_UNICODE_CAPITAL | INK_UNICODE_SMALL;
    return 0;
}

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

/* The table leads from upper to lower case. Of several letters with the same lower case the first is the usual one; a
   few letters are the lower case of none. */
uint32_t ink_unicode_upper(uint32_t code)
{
    static const uint16_t others[][2] = {{0xB5, 0x39C}, {0x131, 'I'}, {0x17F, 'S'}, {0x3C2, 0x3A3}, {0xDF, 0xDF}};
    if (code < 128)
        return code >= 'a' && code <= 'z' ? code - 32 : code;
    for (size_t i = 0; i < COUNT(others); i++)
        if (others[i][0] == code)
            return others[i][1];
    for (size_t i = 0; i < COUNT(unicode_lower); i++) {
        const unicode_case *run = &unicode_lower[i];
        const uint32_t upper = (uint32_t)((int32_t)code - run->delta);
        if (upper >= run->first && upper <= run->last && (upper - run->first) % run->stride == 0)
            return upper;
    }
    return code;
}

unsigned ink_unicode_combining(uint32_t code)
{
    return code < 0x300 || code > 0x10FFFF ? 0 : value_in(unicode_classes, COUNT(unicode_classes), 8, code);
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

size_t ink_unicode_compatible(uint32_t code, const uint16_t **to)
{
    size_t low = 0, high = COUNT(unicode_compatible_runs);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_compatible_runs[middle] >> 30 <= code)
            low = middle;
        else
            high = middle;
    }
    const uint64_t run = unicode_compatible_runs[low];
    const uint32_t i = code - (uint32_t)(run >> 30); /* huge if it is before the first run */
    const uint32_t number = (uint32_t)(run >> 18) & 0xFFF, length = (uint32_t)(run >> 13) & 31;
    if (i >= number)
        return 0;
    *to = unicode_compatible + (run & 0x1FFF) + i * length;
    return length;
}

/* ---- grapheme clusters (UAX 29, section 3.1.1) ------------------------------------------------------------------- */

/* The values that unicode_tables.py gives, then those that are arithmetic. */
typedef enum unicode_break {
    BREAK_OTHER,
    BREAK_CONTROL,
    BREAK_EXTEND, /* and the joiner U+200D */
    BREAK_SPACING,
    BREAK_PREPEND,
    BREAK_PICTOGRAPH,
    BREAK_CONSONANT, /* of the scripts whose consonants are linked, */
    BREAK_LINKER,    /* and the marks that link them, which also extend */
    BREAK_L,         /* Hangul: leading consonants, vowels, trailing consonants, */
    BREAK_V,
    BREAK_T,
    BREAK_LV, /* and syllables */
    BREAK_LVT
} unicode_break;

#define JOINER 0x200D
#define NON_JOINER 0x200C

static unicode_break break_of(uint32_t code)
{
    if (code - HANGUL < N_HANGUL)
        return (code - HANGUL) % N_TRAILING == 0 ? BREAK_LV : BREAK_LVT;
    if (code >= LEADING && code < 0x1200)
        return code < 0x1160 ? BREAK_L : code <= TRAILING ? BREAK_V : BREAK_T;
    if (code >= 0xA960 && code < 0xA97D)
        return BREAK_L;
    if (code >= 0xD7B0 && code < 0xD7FC)
        return code < 0xD7C7 ? BREAK_V : code >= 0xD7CB ? BREAK_T : BREAK_OTHER;
    return code > 0x10FFFF ? BREAK_OTHER : (unicode_break)(value_in(unicode_runs, COUNT(unicode_runs), 11, code) >> 8);
}

size_t ink_unicode_cluster(const uint32_t *codes, size_t n)
{
    unicode_break last = BREAK_OTHER;
    bool pictograph = false, joined = false, consonant = false, linked = false; /* rules 11 and 9c */
    for (size_t i = 0; i < n; i++) {
        const uint32_t code = codes[i];
        const unicode_break next = break_of(code);
        const bool extends = next == BREAK_EXTEND || next == BREAK_LINKER;
        if (i > 0) {
            bool whole = last != BREAK_CONTROL && next != BREAK_CONTROL &&
                         (extends || next == BREAK_SPACING || last == BREAK_PREPEND ||
                          (last == BREAK_L && (next == BREAK_L || next == BREAK_V || next >= BREAK_LV)) ||
                          ((last == BREAK_V || last == BREAK_LV) && (next == BREAK_V || next == BREAK_T)) ||
                          ((last == BREAK_T || last == BREAK_LVT) && next == BREAK_T) ||
                          (joined && next == BREAK_PICTOGRAPH) || (linked && next == BREAK_CONSONANT));
            if (!whole && !(codes[i - 1] == '\r' && code == '\n'))
                return i;
        }
        joined = pictograph && code == JOINER;
        pictograph = next == BREAK_PICTOGRAPH || (pictograph && extends && code != JOINER);
        linked = consonant && (next == BREAK_LINKER || (linked && extends && code != NON_JOINER));
        consonant = next == BREAK_CONSONANT || (consonant && extends && code != NON_JOINER);
        last = next;
    }
    return n;
}
