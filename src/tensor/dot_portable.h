/*
 * dot_portable.h - the primitives of quantised products in plain C, for any processor; the definition of what the other
 * dot_*.h do.
 *
 * A `codes` is 64 unsigned bytes: four columns of sixteen lanes. An `isum` is a 32-bit sum in every lane. The product
 * of codes and of four codes of x adds to lane l the sum over i of code[4 l + i] x[i], exactly.
 */
#ifndef INK_TENSOR_DOT_PORTABLE_H
#define INK_TENSOR_DOT_PORTABLE_H

#include "vec.h"

/* Without vectors for them these are many instructions: they are called, not inlined. */
#define DOT_CALL static NOINLINE

typedef struct codes {
    uint8_t v[64];
} codes;

typedef struct isum {
    int32_t v[16];
} isum;

/* W and x, ready for products with many others. */
typedef codes dot_w;
typedef struct dot_x {
    int32_t v[4];
} dot_x;

DOT_CALL codes codes_load(const uint8_t *p)
{
    codes r;
    memcpy(r.v, p, sizeof r.v);
    return r;
}

INLINE void codes_store(uint8_t *p, codes a) { memcpy(p, a.v, sizeof a.v); }

/* Every byte shifted to the left by n, or to the right by -n, and cut to the bits of `bits`. */
DOT_CALL codes codes_shift(codes a, int n, uint8_t bits)
{
    for (int i = 0; i < 64; i++)
        a.v[i] = (uint8_t)((n >= 0 ? a.v[i] << n : a.v[i] >> -n) & bits);
    return a;
}

DOT_CALL codes codes_or(codes a, codes b)
{
    for (int i = 0; i < 64; i++)
        a.v[i] |= b.v[i];
    return a;
}

/* table[code] for codes below 16; the table is at p. */
DOT_CALL codes codes_look_up(const uint8_t *p, codes a)
{
    for (int i = 0; i < 64; i++)
        a.v[i] = p[a.v[i]];
    return a;
}

DOT_CALL isum isum_splat(int32_t x)
{
    isum r;
    for (int i = 0; i < 16; i++)
        r.v[i] = x;
    return r;
}

DOT_CALL isum isum_add(isum a, isum b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] += b.v[i];
    return a;
}

DOT_CALL void isum_floats(isum a, float *p)
{
    for (int i = 0; i < 16; i++)
        p[i] = (float)a.v[i];
}

INLINE dot_w dot_codes(codes a) { return a; }
INLINE dot_x dot_splat(const int8_t *x) { return (dot_x){{x[0], x[1], x[2], x[3]}}; }

DOT_CALL isum isum_dot(isum a, dot_w w, dot_x x)
{
    for (int i = 0; i < 16; i++)
        a.v[i] += w.v[4 * i] * x.v[0] + w.v[4 * i + 1] * x.v[1] + w.v[4 * i + 2] * x.v[2] + w.v[4 * i + 3] * x.v[3];
    return a;
}

#endif
