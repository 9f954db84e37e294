/*
 * vec_portable.h - the primitives in plain C, for any processor; the definition of what the other variants do.
 */
#ifndef INK_TENSOR_VEC_PORTABLE_H
#define INK_TENSOR_VEC_PORTABLE_H

#include "vec.h"

/* 16 lanes are many instructions here: formulae are called, not inlined. */
#define FORMULA static NOINLINE

typedef struct vec {
    float v[16];
} vec;

typedef struct ivec {
    uint32_t v[16];
} ivec;

typedef struct mask {
    uint32_t v[16]; /* all ones or all zeros */
} mask;

/* ---- one lane ------------------------------------------------------------------------------------------------- */

INLINE uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

INLINE float bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF)
#define FMA_CALL INLINE
INLINE float float_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
/* Long enough to be called rather than repeated at every use. */
#define FMA_CALL static NOINLINE

/*
 * a b + c with one rounding, without hardware for it (libm's fmaf is wrong on some platforms):
 *
 *     p = a b         exact: 24 + 24 bits fit the 53 of a double
 *     s = p + c, e    the sum and what its rounding lost: s + e = p + c exactly          (TwoSum, Knuth)
 *     s to odd        if e != 0 and the last bit of s is 0, the neighbour of s on e's side: rounding s to 24 bits
 *                     afterwards then gives what rounding p + c would have   (Boldo, Melquiond 2008, theorem 3)
 *
 * An infinite or NaN s makes e NaN, for which neither e > 0 nor e < 0 holds: s stays.
 */
INLINE float float_fma(float a, float b, float c)
{
    double p = (double)a * (double)b, wide_c = (double)c;
    double s = p + wide_c;
    double c_part = s - p;
    double e = (p - (s - c_part)) + (wide_c - c_part);
    uint64_t bits;
    memcpy(&bits, &s, sizeof bits);
    uint64_t inexact = (uint64_t)((e > 0) | (e < 0));
    uint64_t towards_zero = (uint64_t)((e > 0) != (s > 0));
    /* An even s moves by one: up in magnitude, or down, where its even last bit borrows. */
    bits += (inexact & ~bits & 1) * (1 - 2 * towards_zero);
    memcpy(&s, &bits, sizeof s);
    return (float)s;
}
#endif

/*
 * The correctly rounded square root of x > 0: Newton's iteration in double for 1 / sqrt(x). The error, some 2^-51, is
 * below the least distance of the square root of a float from the middle between two floats, 2^-50. 0, infinity and
 * NaN are themselves.
 */
INLINE float float_sqrt(float x)
{
    if (!(x > 0) || !(x < bits_float(0x7f800000)))
        return x < 0 ? bits_float(0x7fc00000) : x;
    double wide = (double)x, r;
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    bits = 0x5fe6eb50c7b537a9 - (bits >> 1);
    memcpy(&r, &bits, sizeof r);
    for (int i = 0; i < 5; i++)
        r = r * (1.5 - 0.5 * wide * r * r);
    double s = wide * r;
    return (float)(s + 0.5 * r * (wide - s * s));
}

/* f16 to f32, exactly: a subnormal number is its fraction times 2^-24. */
INLINE float half_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 0x1f, fraction = h & 0x3ff;
    if (exponent == 0)
        return bits_float(sign | float_bits((float)fraction * 0x1p-24f));
    if (exponent == 31)
        return bits_float(sign | 0x7f800000 | fraction << 13 | (fraction != 0 ? 0x400000 : 0));
    return bits_float(sign | (exponent + 112) << 23 | fraction << 13);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

INLINE vec vec_load(const float *p)
{
    vec r;
    memcpy(r.v, p, sizeof r.v);
    return r;
}

INLINE void vec_store(float *p, vec a) { memcpy(p, a.v, sizeof a.v); }

/* The first n < 16 lanes; the others are 0, and no memory of theirs is touched. */
INLINE vec vec_load_part(const float *p, size_t n)
{
    vec r = {{0}};
    memcpy(r.v, p, n * sizeof *p);
    return r;
}

INLINE void vec_store_part(float *p, size_t n, vec a) { memcpy(p, a.v, n * sizeof *p); }

INLINE vec vec_load_bf16(const uint16_t *p)
{
    vec r;
    for (int i = 0; i < 16; i++)
        r.v[i] = bits_float((uint32_t)p[i] << 16);
    return r;
}

INLINE vec vec_load_f16(const uint16_t *p)
{
    vec r;
    for (int i = 0; i < 16; i++)
        r.v[i] = half_float(p[i]);
    return r;
}

INLINE vec vec_load_f64(const double *p)
{
    vec r;
    for (int i = 0; i < 16; i++)
        r.v[i] = (float)p[i];
    return r;
}

/* The low halves of the lanes. */
INLINE void ivec_store_low(uint16_t *p, ivec a)
{
    for (int i = 0; i < 16; i++)
        p[i] = (uint16_t)a.v[i];
}

INLINE vec vec_splat(float x)
{
    vec r;
    for (int i = 0; i < 16; i++)
        r.v[i] = x;
    return r;
}

INLINE ivec ivec_splat(uint32_t x)
{
    ivec r;
    for (int i = 0; i < 16; i++)
        r.v[i] = x;
    return r;
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------- */

/* a b + c, rounded once */
FMA_CALL vec vec_fma(vec a, vec b, vec c)
{
    for (int i = 0; i < 16; i++)
        c.v[i] = float_fma(a.v[i], b.v[i], c.v[i]);
    return c;
}

INLINE vec vec_add(vec a, vec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] += b.v[i];
    return a;
}

INLINE vec vec_sub(vec a, vec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] -= b.v[i];
    return a;
}

INLINE vec vec_mul(vec a, vec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] *= b.v[i];
    return a;
}

INLINE vec vec_div(vec a, vec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] /= b.v[i];
    return a;
}

/* a > b ? a : b and a < b ? a : b: b if either is NaN. */
INLINE vec vec_max(vec a, vec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
    return a;
}

INLINE vec vec_min(vec a, vec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
    return a;
}

/* ---- choosing ------------------------------------------------------------------------------------------------- */

/* a < b; false if either is NaN. */
INLINE mask vec_less(vec a, vec b)
{
    mask r;
    for (int i = 0; i < 16; i++)
        r.v[i] = a.v[i] < b.v[i] ? UINT32_MAX : 0;
    return r;
}

INLINE mask ivec_equal(ivec a, ivec b)
{
    mask r;
    for (int i = 0; i < 16; i++)
        r.v[i] = a.v[i] == b.v[i] ? UINT32_MAX : 0;
    return r;
}

/* m ? a : b */
INLINE vec vec_select(mask m, vec a, vec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] = bits_float((m.v[i] & float_bits(a.v[i])) | (~m.v[i] & float_bits(b.v[i])));
    return a;
}

/* True if all 16 are. */
INLINE bool mask_all(mask m)
{
    uint32_t all = UINT32_MAX;
    for (int i = 0; i < 16; i++)
        all &= m.v[i];
    return all != 0;
}

/* ---- integers ------------------------------------------------------------------------------------------------- */

INLINE ivec vec_bits(vec a)
{
    ivec r;
    memcpy(r.v, a.v, sizeof r.v);
    return r;
}

INLINE vec ivec_floats(ivec a)
{
    vec r;
    memcpy(r.v, a.v, sizeof r.v);
    return r;
}

/* The signed lanes as floats; they are below 2^24. */
INLINE vec vec_from_ivec(ivec a)
{
    vec r;
    for (int i = 0; i < 16; i++)
        r.v[i] = (float)(int32_t)a.v[i];
    return r;
}

INLINE ivec ivec_add(ivec a, ivec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] += b.v[i];
    return a;
}

INLINE ivec ivec_sub(ivec a, ivec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] -= b.v[i];
    return a;
}

INLINE ivec ivec_and(ivec a, ivec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] &= b.v[i];
    return a;
}

INLINE ivec ivec_or(ivec a, ivec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] |= b.v[i];
    return a;
}

INLINE ivec ivec_xor(ivec a, ivec b)
{
    for (int i = 0; i < 16; i++)
        a.v[i] ^= b.v[i];
    return a;
}

INLINE ivec ivec_shift_left(ivec a, int n)
{
    for (int i = 0; i < 16; i++)
        a.v[i] <<= n;
    return a;
}

/* Zeros come in from the left. */
INLINE ivec ivec_shift_right(ivec a, int n)
{
    for (int i = 0; i < 16; i++)
        a.v[i] >>= n;
    return a;
}

/* The sign comes in from the left. */
INLINE ivec ivec_shift_right_signed(ivec a, int n)
{
    for (int i = 0; i < 16; i++)
        a.v[i] = a.v[i] >> n | ((a.v[i] >> 31) ? ~(UINT32_MAX >> n) : 0);
    return a;
}

/* ---- across lanes: one fixed tree, 8 apart, 4 apart, 2 apart, 1 apart ------------------------------------------ */

INLINE float vec_sum(vec a)
{
    for (int apart = 8; apart > 0; apart /= 2)
        for (int i = 0; i < apart; i++)
            a.v[i] += a.v[i + apart];
    return a.v[0];
}

INLINE float vec_largest(vec a)
{
    for (int apart = 8; apart > 0; apart /= 2)
        for (int i = 0; i < apart; i++)
            a.v[i] = a.v[i] > a.v[i + apart] ? a.v[i] : a.v[i + apart];
    return a.v[0];
}

#endif
