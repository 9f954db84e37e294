/*
 * utf8.h - code points from bytes that may be anything (Unicode 16, section 3.9, tables 3-6 and 3-7).
 */
#ifndef INK_TEXT_UTF8_H
#define INK_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* What stands in place of a code point when there is none. */
#define INK_UTF8_INVALID 0x110000u /* these bytes cannot be part of a code point, whatever follows */
#define INK_UTF8_CUT 0x110001u     /* the text ends inside a code point */

/*
 * Reads the code point at the head of s [n], n >= 1, and returns its length in bytes. Where there is none, the length
 * is that of the "maximal subpart": what one U+FFFD replaces, as in WHATWG's decoder and Rust's from_utf8_lossy.
 */
static inline size_t ink_utf8_next(const char *s, size_t n, uint32_t *code)
{
    unsigned char lead = (unsigned char)s[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (length < 2) {
        *code = length == 1 ? lead : INK_UTF8_INVALID;
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

/* Writes a code point below 110000 to `out`, which has room for 4 bytes, and returns its length. */
static inline size_t ink_utf8_put(char *out, uint32_t code)
{
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (length == 1) {
        out[0] = (char)code;
        return 1;
    }
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80u | (code & 0x3Fu));
    out[0] = (char)((0xF00u >> length & 0xFFu) | code);
    return length;
}

/* The code point that ends exactly where s [n] ends, n >= 1, and its length; INK_UTF8_INVALID and 1 if none does. */
static inline size_t ink_utf8_last(const char *s, size_t n, uint32_t *code)
{
    for (size_t length = 1; length <= 4 && length <= n; length++)
        if (ink_utf8_next(s + n - length, length, code) == length && *code < INK_UTF8_INVALID)
            return length;
    *code = INK_UTF8_INVALID;
    return 1;
}

#endif
