/*
 * bytes.h - small tools for numbers and text as bytes: sizes that may overflow, little-endian numbers, decimal digits,
 * UTF-8, a hash, random numbers, a heap and a sort.
 */
#ifndef INK_BASE_BYTES_H
#define INK_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- sizes ---------------------------------------------------------------------------------------------------- */

/* Every size that comes from a file is computed by these two. *out = a * b; false, with *out untouched, if it does not
 * fit. */
static inline bool ink_size_mul(size_t a, size_t b, size_t *out)
{
#if defined(__GNUC__)
    size_t product; /* without a division */
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
#else
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
#endif
    return true;
}

/* *out = a + b; false, with *out untouched, if it does not fit. */
static inline bool ink_size_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b)
        return false;
    *out = a + b;
    return true;
}

static inline size_t ink_size_min(size_t a, size_t b) { return a < b ? a : b; }

static inline size_t ink_size_max(size_t a, size_t b) { return a > b ? a : b; }

/* ---- numbers -------------------------------------------------------------------------------------------------- */

/* A number of n <= 8 bytes, lowest byte first, whatever the byte order of the machine. */
static inline uint64_t ink_get_le(const void *bytes, size_t n)
{
    const unsigned char *byte = bytes;
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++)
        number |= (uint64_t)byte[i] << 8 * i;
    return number;
}

static inline void ink_put_le(void *bytes, size_t n, uint64_t number)
{
    unsigned char *byte = bytes;
    for (size_t i = 0; i < n; i++)
        byte[i] = (unsigned char)(number >> 8 * i);
}

/* The byte order of this machine; compilers make it a constant. */
static inline bool ink_is_little_endian(void)
{
    const uint16_t one = 1;
    return *(const unsigned char *)&one == 1;
}

/* The number of decimal digits at the head of text [size], and the number they spell; UINT64_MAX: that or more. */
size_t ink_digits(const char *text, size_t size, uint64_t *value);

/*
 * decimal.c: the double nearest to a number spelled as JSON spells numbers (RFC 8259 section 6; the caller has checked
 * that), ties to even, subnormals included: what a correct strtod gives in the C locale, for a spelling of any length.
 * Beyond the largest double the result is the largest double, never an infinity; below half the smallest it is zero of
 * that sign.
 */
double ink_decimal(const char *text, size_t size);

/* ---- UTF-8 (Unicode 16, section 3.9, tables 3-6 and 3-7) ------------------------------------------------------ */

/* Returned in place of a code point when there is none. */
#define INK_UTF8_INVALID 0x110000u /* these bytes cannot be part of a code point, whatever follows */
#define INK_UTF8_CUT 0x110001u     /* the text ends inside a code point */

/*
 * Reads the code point at the head of s [n], n >= 1, and returns its length in bytes. Where there is none, the length
 * is that of the "maximal subpart": the bytes that one U+FFFD replaces in WHATWG's decoder and in Rust's
 * from_utf8_lossy.
 */
size_t ink_utf8_long(const char *s, size_t n, uint32_t *code); /* for a first byte that is not ASCII */

static inline size_t ink_utf8_next(const char *s, size_t n, uint32_t *code)
{
    *code = (unsigned char)s[0];
    return *code < 0x80 ? 1 : ink_utf8_long(s, n, code);
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
size_t ink_utf8_last(const char *s, size_t n, uint32_t *code);

/* ---- hash ----------------------------------------------------------------------------------------------------- */

/* The finisher of Degski's hash: every bit of the result depends on every bit of x. */
static inline uint64_t ink_hash_mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

/* The hash of some bytes, the same on machines of either byte order. The hash of one piece as the seed of the next
   goes over several pieces. It is no secret: anybody can construct two texts with the same hash. */
uint64_t ink_hash(uint64_t seed, const void *bytes, size_t size);

/* The same over n numbers of `width` bytes (1, 2, 4 or 8) in the byte order of this machine: the hash of the
   little-endian bytes of these numbers. */
uint64_t ink_hash_numbers(uint64_t seed, const void *numbers, size_t n, size_t width);

/* ---- random numbers ------------------------------------------------------------------------------------------- */

/* The next number in [0, 1) of SplitMix64 (Steele, Lea, Flood 2014), which works well from every seed. */
static inline double ink_random(uint64_t *state)
{
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

/* ---- heap and sort -------------------------------------------------------------------------------------------- */

/*
 * A binary heap of 64-bit keys, smallest first (Williams 1964, Floyd 1964). The upper half of a key is its order, the
 * lower half an index, so that of equal orders the smaller index comes first, unless `ties` says otherwise. Without
 * ties any 64-bit numbers will do.
 */
typedef struct ink_ties {
    /* Less than, equal to or greater than zero, as memcmp: compares the things at two indices of the same order. */
    int (*compare)(const void *user, size_t a, size_t b);
    const void *user;
} ink_ties;

#define INK_KEY(order, index) ((uint64_t)(order) << 32 | (uint32_t)(index))

static inline size_t ink_key_index(uint64_t key) { return (uint32_t)key; }

/* A number that is not NaN as an order, the largest first; -0 and 0 are equal. */
static inline uint32_t ink_key_descending(float x)
{
    uint32_t bits;
    x += 0.0f;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 != 0 ? bits : ~bits & 0x7fffffffu;
}

static inline bool ink_key_less(uint64_t a, uint64_t b, const ink_ties *ties)
{
    if (ties == NULL || a >> 32 != b >> 32)
        return a < b;
    return ties->compare(ties->user, ink_key_index(a), ink_key_index(b)) < 0;
}

/* Lets key[i] sink to where both its children are larger. */
static inline void ink_heap_sink(uint64_t *key, size_t n, size_t i, const ink_ties *ties)
{
    uint64_t sinking = key[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && ink_key_less(key[child + 1], key[child], ties))
            child++;
        if (!ink_key_less(key[child], sinking, ties))
            break;
        key[i] = key[child];
    }
    key[i] = sinking;
}

/* Makes a heap of any n keys, in O(n). */
static inline void ink_heap_make(uint64_t *key, size_t n, const ink_ties *ties)
{
    for (size_t i = n / 2; i > 0; i--)
        ink_heap_sink(key, n, i - 1, ties);
}

/* Adds a key to a heap of n, in O(log n); there must be room for it. */
static inline void ink_heap_push(uint64_t *key, size_t n, uint64_t added, const ink_ties *ties)
{
    size_t i = n;
    for (; i > 0 && ink_key_less(added, key[(i - 1) / 2], ties); i = (i - 1) / 2)
        key[i] = key[(i - 1) / 2];
    key[i] = added;
}

/* Takes the smallest of n >= 1 keys, in O(log n), and leaves it in key[n - 1]: taking k of them leaves these k at the
   end of the array, the first taken last. */
static inline uint64_t ink_heap_pop(uint64_t *key, size_t n, const ink_ties *ties)
{
    uint64_t smallest = key[0];
    key[0] = key[n - 1];
    ink_heap_sink(key, n - 1, 0, ties);
    key[n - 1] = smallest;
    return smallest;
}

/* Sorts n keys, smallest first: in place, without recursion, in n log n steps whatever order they come in. (libc's
   qsort promises none of the three.) `ties` NULL: by order, then by index. */
void ink_sort(uint64_t *keys, size_t n, const ink_ties *ties);

/*
 * The names in a table from a file, sorted by (hash, name). The hash decides nearly every comparison without touching
 * the names. Nobody gains by choosing names whose hashes collide: the sort then compares names, still in n log n
 * steps, and no chain of equal hashes is searched one by one.
 */
typedef struct ink_names {
    const char *const *first; /* the name of row 0 */
    size_t stride;            /* bytes from there to the name of row 1 */
    size_t n;                 /* rows */
    uint64_t *sorted;         /* [n] INK_KEY(hash, row) */
} ink_names;

void ink_names_sort(const ink_names *names);

/* A row of this name; n if there is none. */
size_t ink_names_find(const ink_names *names, const char *name);

/* A name that two rows have: the first of them, and the other in *other; n if all names differ. */
size_t ink_names_find_twice(const ink_names *names, size_t *other);

#endif
