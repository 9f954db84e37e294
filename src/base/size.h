/* size.h - size arithmetic that notices when it does not fit. Every size that comes from a file goes through it. */
#ifndef INK_BASE_SIZE_H
#define INK_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a * b; false, with *out untouched, if it does not fit. */
static inline bool ink_size_mul(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *out = a * b;
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

#endif
