/*
 * bytes.c - digits, UTF-8, the hash, and heapsort.
 */
#include "bytes.h"

#include <string.h>

size_t ink_digits(const char *text, size_t size, uint64_t *value)
{
    size_t n = 0;
    *value = 0;
    for (; n < size && text[n] >= '0' && text[n] <= '9'; n++) {
        unsigned digit = (unsigned)(text[n] - '0');
        *value = *value <= (UINT64_MAX - digit) / 10 ? *value * 10 + digit : UINT64_MAX;
    }
    return n;
}

/* ---- UTF-8 ---------------------------------------------------------------------------------------------------- */

size_t ink_utf8_long(const char *s, size_t n, uint32_t *code)
{
    unsigned char lead = (unsigned char)s[0];
    size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (length == 0) {
        *code = INK_UTF8_INVALID;
        return 1;
    }
    /* The second byte has a narrower range after these four: no overlong forms, no surrogates, nothing past 10FFFF. */
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    uint32_t value = lead & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (i == n) {
            *code = INK_UTF8_CUT;
            return i;
        }
        unsigned char byte = (unsigned char)s[i];
        if (byte < low || byte > high) {
            *code = INK_UTF8_INVALID;
            return i;
        }
        value = value << 6 | (byte & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    *code = value;
    return length;
}

size_t ink_utf8_last(const char *s, size_t n, uint32_t *code)
{
    for (size_t length = 1; length <= 4 && length <= n; length++)
        if (ink_utf8_next(s + n - length, length, code) == length && *code < INK_UTF8_INVALID)
            return length;
    *code = INK_UTF8_INVALID;
    return 1;
}

/* ---- hash ----------------------------------------------------------------------------------------------------- */

#define ODD UINT64_C(0x9E3779B97F4A7C15) /* 2^64 / the golden ratio */

/* Up to eight bytes as one number, lowest first. On a machine that stores the highest first, `flip` is width - 1 where
   the bytes are numbers of that width. */
static inline uint64_t hash_word(const unsigned char *bytes, size_t n, size_t flip)
{
    uint64_t word = 0;
    if (n == sizeof word && ink_is_little_endian())
        memcpy(&word, bytes, sizeof word);
    else
        for (size_t i = 0; i < n; i++)
            word |= (uint64_t)bytes[i ^ flip] << 8 * i;
    return word;
}

/* The rotation brings the high bits, which the product leaves where they are, to where the next one spreads them. */
static inline uint64_t hash_step(uint64_t lane, uint64_t word)
{
    uint64_t x = (lane ^ word) * ODD;
    return x << 31 | x >> 33;
}

/* Long inputs go through four lanes, because each product waits for the former one of its lane. Short inputs, and what
   is left of long ones, go through the finisher word by word. */
static inline uint64_t hash_bytes(uint64_t seed, const unsigned char *bytes, size_t size, size_t flip)
{
    uint64_t hash = seed ^ ((uint64_t)size + 1) * ODD;
    if (size >= 32) {
        uint64_t a = hash, b = hash + ODD, c = hash + 2 * ODD, d = hash + 3 * ODD;
        for (; size >= 32; size -= 32, bytes += 32) {
            a = hash_step(a, hash_word(bytes, 8, flip));
            b = hash_step(b, hash_word(bytes + 8, 8, flip));
            c = hash_step(c, hash_word(bytes + 16, 8, flip));
            d = hash_step(d, hash_word(bytes + 24, 8, flip));
        }
        hash = ink_hash_mix(ink_hash_mix(ink_hash_mix(ink_hash_mix(a) ^ b) ^ c) ^ d);
    }
    for (; size >= 8; size -= 8, bytes += 8)
        hash = ink_hash_mix(hash ^ hash_word(bytes, 8, flip));
    return ink_hash_mix(hash ^ hash_word(bytes, size, flip));
}

uint64_t ink_hash(uint64_t seed, const void *bytes, size_t size) { return hash_bytes(seed, bytes, size, 0); }

uint64_t ink_hash_numbers(uint64_t seed, const void *numbers, size_t n, size_t width)
{
    return hash_bytes(seed, numbers, n * width, ink_is_little_endian() ? 0 : width - 1);
}

void ink_sort(uint64_t *keys, size_t n, const ink_ties *ties)
{
    ink_heap_make(keys, n, ties);
    for (size_t left = n; left > 1; left--)
        ink_heap_pop(keys, left, ties); /* the smallest of them goes to the end */
    for (size_t i = 0, j = n; i + 1 < j; i++) {
        uint64_t key = keys[i];
        keys[i] = keys[--j];
        keys[j] = key;
    }
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static const char *name_of(const ink_names *names, size_t row)
{
    return *(const char *const *)(const void *)((const char *)names->first + row * names->stride);
}

static int compare_names(const void *names, size_t a, size_t b) { return strcmp(name_of(names, a), name_of(names, b)); }

static uint64_t name_key(const char *name, size_t row) { return INK_KEY(ink_hash(0, name, strlen(name)), row); }

void ink_names_sort(const ink_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        names->sorted[i] = name_key(name_of(names, i), i);
    ink_sort(names->sorted, names->n, &(ink_ties){compare_names, names});
}

size_t ink_names_find(const ink_names *names, const char *name)
{
    const uint64_t hash = name_key(name, 0) >> 32;
    for (size_t low = 0, high = names->n; low < high;) {
        const size_t middle = low + (high - low) / 2, row = ink_key_index(names->sorted[middle]);
        const uint64_t other = names->sorted[middle] >> 32;
        const int order = other != hash ? (other < hash ? -1 : 1) : strcmp(name_of(names, row), name);
        if (order == 0)
            return row;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return names->n;
}

size_t ink_names_find_twice(const ink_names *names, size_t *other)
{
    for (size_t i = 1; i < names->n; i++) {
        const size_t a = ink_key_index(names->sorted[i - 1]), b = ink_key_index(names->sorted[i]);
        *other = a < b ? b : a;
        if (compare_names(names, a, b) == 0)
            return a < b ? a : b;
    }
    return names->n;
}
