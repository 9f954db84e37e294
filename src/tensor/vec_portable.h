/*
 * vec_portable.h - the primitives in plain C, for any processor; the definition of what the other variants do.
 *
 * A vec has four lanes here. Compilers make vectors of them where the processor has some, and the code stays small
 * where it has none.
 */
#ifndef INK_TENSOR_VEC_PORTABLE_H
#define INK_TENSOR_VEC_PORTABLE_H

#include "vec.h"

#define VEC_LANES 4

/* Four lanes are many instructions without vectors: formulae are called, not inlined. */
#define FORMULA static NOINLINE

/* EACH(a, op, b): the same operation in every lane. With vectors of the compiler, a vec is passed in a register. */
#if defined(__GNUC__) && defined(__SSE2__)
typedef float floats __attribute__((vector_size(16)));
typedef uint32_t words __attribute__((vector_size(16)));
#define EACH(a, op, b)                                                                                                 \
    {                                                                                                                  \
        (a).v op(b).v                                                                                                  \
    }
#define EACH_LESS(a, b)                                                                                                \
    {                                                                                                                  \
        (words)((a).v < (b).v)                                                                                         \
    }
#define EACH_EQUAL(a, b)                                                                                               \
    {                                                                                                                  \
        (words)((a).v == (b).v)                                                                                        \
    }
#else
typedef float floats[4];
typedef uint32_t words[4];
#define EACH(a, op, b)                                                                                                 \
    {                                                                                                                  \
        {                                                                                                              \
            (a).v[0] op(b).v[0], (a).v[1] op(b).v[1], (a).v[2] op(b).v[2], (a).v[3] op(b).v[3]                         \
        }                                                                                                              \
    }
#define EACH_LESS(a, b) MAP2(float_less, a, b)
#define EACH_EQUAL(a, b) MAP2(word_equal, a, b)
#endif

typedef struct vec {
    floats v;
} vec;

typedef struct ivec {
    words v;
} ivec;

typedef struct mask {
    words v; /* all ones or all zeros */
} mask;

/* f of every lane */
#define MAP1(f, a)                                                                                                     \
    {                                                                                                                  \
        {                                                                                                              \
            f(a.v[0]), f(a.v[1]), f(a.v[2]), f(a.v[3])                                                                 \
        }                                                                                                              \
    }
#define MAP2(f, a, b)                                                                                                  \
    {                                                                                                                  \
        {                                                                                                              \
            f(a.v[0], b.v[0]), f(a.v[1], b.v[1]), f(a.v[2], b.v[2]), f(a.v[3], b.v[3])                                 \
        }                                                                                                              \
    }
#define MAP3(f, a, b, c)                                                                                               \
    {                                                                                                                  \
        {                                                                                                              \
            f(a.v[0], b.v[0], c.v[0]), f(a.v[1], b.v[1], c.v[1]), f(a.v[2], b.v[2], c.v[2]), f(a.v[3], b.v[3], c.v[3]) \
        }                                                                                                              \
    }

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

INLINE uint32_t float_less(float a, float b) { return a < b ? UINT32_MAX : 0; }
INLINE uint32_t word_equal(uint32_t a, uint32_t b) { return a == b ? UINT32_MAX : 0; }
INLINE float word_to_float(uint32_t a) { return (float)(int32_t)a; }

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

/* ---- a b + c, rounded once ------------------------------------------------------------------------------------ */

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF)
#define FMA_CALL INLINE
INLINE vec vec_fma(vec a, vec b, vec c) { return (vec)MAP3(__builtin_fmaf, a, b, c); }
#else
#define FMA_CALL static NOINLINE

/*
 * Without hardware for it (libm's fmaf is wrong on some platforms):
 *
 *     p = a b         exact: 24 + 24 bits fit the 53 of a double
 *     s = p + c, e    the sum and the error of its rounding: s + e = p + c exactly          (TwoSum, Knuth)
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

/* The top bit is set if (float)s may differ from the float nearest to p + c: where s lies half way between two floats,
   and where floats are subnormal. */
INLINE uint64_t needs_odd(double s)
{
    uint64_t bits, half, size;
    memcpy(&bits, &s, sizeof bits);
    half = (bits & 0x1fffffff) ^ 0x10000000;
    size = bits & INT64_MAX;
    return (half - 1) | ((size - 0x3810000000000001) & (0 - size)); /* half is 0, or 0 < |s| <= 2^-126 */
}

static NOINLINE vec fix_fma(vec a, vec b, vec c) { return (vec)MAP3(float_fma, a, b, c); }

/* (float)s is right for nearly all numbers, and compilers make vectors of it. */
static NOINLINE vec vec_fma(vec a, vec b, vec c)
{
    vec r;
    uint64_t odd = 0;
    for (int i = 0; i < 4; i++) {
        double s = (double)a.v[i] * (double)b.v[i] + (double)c.v[i];
        r.v[i] = (float)s;
        odd |= needs_odd(s);
    }
    return odd >> 63 ? fix_fma(a, b, c) : r;
}
#endif

/* ---- memory --------------------------------------------------------------------------------------------------- */

INLINE vec vec_load(const float *p) { return (vec){{p[0], p[1], p[2], p[3]}}; }
INLINE vec vec_load_f64(const double *p) { return (vec){{(float)p[0], (float)p[1], (float)p[2], (float)p[3]}}; }
INLINE void vec_store(float *p, vec a) { memcpy(p, &a.v, sizeof a.v); }
INLINE void vec_store_part(float *p, size_t n, vec a) { memcpy(p, &a.v, n * sizeof *p); }
INLINE vec vec_splat(float x) { return (vec){{x, x, x, x}}; }
INLINE ivec ivec_splat(uint32_t x) { return (ivec){{x, x, x, x}}; }

/* The first n lanes; the others are 0, and no memory of theirs is touched. */
INLINE vec vec_load_part(const float *p, size_t n)
{
    vec r = {{0}};
    memcpy(&r.v, p, n * sizeof *p);
    return r;
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------- */

INLINE vec vec_add(vec a, vec b) { return (vec)EACH(a, +, b); }
INLINE vec vec_sub(vec a, vec b) { return (vec)EACH(a, -, b); }
INLINE vec vec_mul(vec a, vec b) { return (vec)EACH(a, *, b); }
INLINE vec vec_div(vec a, vec b) { return (vec)EACH(a, /, b); }
/* ---- integers ------------------------------------------------------------------------------------------------- */

INLINE ivec vec_bits(vec a)
{
    ivec r;
    memcpy(&r.v, &a.v, sizeof r.v);
    return r;
}

INLINE vec ivec_floats(ivec a)
{
    vec r;
    memcpy(&r.v, &a.v, sizeof r.v);
    return r;
}

INLINE ivec ivec_add(ivec a, ivec b) { return (ivec)EACH(a, +, b); }
INLINE ivec ivec_sub(ivec a, ivec b) { return (ivec)EACH(a, -, b); }
INLINE ivec ivec_and(ivec a, ivec b) { return (ivec)EACH(a, &, b); }
INLINE ivec ivec_or(ivec a, ivec b) { return (ivec)EACH(a, |, b); }
INLINE vec vec_from_ivec(ivec a) { return (vec)MAP1(word_to_float, a); } /* signed, and below 2^24 */
INLINE ivec ivec_xor(ivec a, ivec b) { return (ivec)EACH(a, ^, b); }
INLINE ivec ivec_shift_left(ivec a, int n) { return (ivec)EACH(a, <<, ivec_splat((uint32_t)n)); }
INLINE ivec ivec_shift_right(ivec a, int n) { return (ivec)EACH(a, >>, ivec_splat((uint32_t)n)); }

/* The sign comes in from the left. */
INLINE ivec ivec_shift_right_signed(ivec a, int n)
{
    ivec sign = ivec_shift_right(a, 31), fill = (ivec)EACH(ivec_splat(0), -, sign);
    return ivec_or(ivec_shift_right(a, n), ivec_shift_left(fill, 32 - n));
}

/* ---- choosing ------------------------------------------------------------------------------------------------- */

INLINE mask vec_less(vec a, vec b) { return (mask)EACH_LESS(a, b); } /* false if either is NaN */
INLINE mask ivec_equal(ivec a, ivec b) { return (mask)EACH_EQUAL(a, b); }
INLINE bool mask_all(mask m) { return (m.v[0] & m.v[1] & m.v[2] & m.v[3]) != 0; }

/* m ? a : b */
INLINE vec vec_select(mask m, vec a, vec b)
{
    ivec all, x = vec_bits(a), y = vec_bits(b);
    memcpy(&all.v, &m.v, sizeof all.v);
    return ivec_floats(ivec_xor(y, ivec_and(all, ivec_xor(x, y))));
}

/* b if either is NaN */
INLINE vec vec_max(vec a, vec b) { return vec_select(vec_less(b, a), a, b); }
INLINE vec vec_min(vec a, vec b) { return vec_select(vec_less(a, b), a, b); }

/* ---- stored types --------------------------------------------------------------------------------------------- */

INLINE ivec ivec_load_low(const uint16_t *p) { return (ivec){{p[0], p[1], p[2], p[3]}}; }
INLINE vec vec_load_bf16(const uint16_t *p) { return ivec_floats(ivec_shift_left(ivec_load_low(p), 16)); }

/* Exactly: a subnormal number is its fraction times 2^-24; otherwise the exponent's bias becomes 127 instead of 15. */
INLINE vec vec_load_f16(const uint16_t *p)
{
    ivec h = ivec_load_low(p), size = ivec_and(h, ivec_splat(0x7fff)), exponent = ivec_and(h, ivec_splat(0x7c00));
    ivec wide = ivec_shift_left(size, 13), sign = ivec_shift_left(ivec_xor(h, size), 16);
    vec normal = ivec_floats(ivec_add(wide, ivec_splat(112u << 23)));
    vec infinite = ivec_floats(ivec_or(wide, ivec_splat(0x7f800000)));
    vec subnormal = vec_mul(vec_from_ivec(size), vec_splat(0x1p-24f));
    vec finite = vec_select(ivec_equal(exponent, ivec_splat(0)), subnormal, normal);
    vec r = vec_select(ivec_equal(exponent, ivec_splat(0x7c00)), infinite, finite);
    return ivec_floats(ivec_or(sign, vec_bits(r)));
}

/* The low halves of the lanes. */
INLINE void ivec_store_low(uint16_t *p, ivec a)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint16_t)a.v[i];
}

/* ---- across lanes: 2 apart, 1 apart --------------------------------------------------------------------------- */

INLINE float vec_sum(vec a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
INLINE float vec_largest(vec a)
{
    float even = a.v[0] > a.v[2] ? a.v[0] : a.v[2], odd = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
    return even > odd ? even : odd;
}

/* ---- registers of the product: a whole row of a panel --------------------------------------------------------- */

#define REG_LANES 16

typedef struct reg {
    vec v[4];
} reg;

#define VECS(f, p)                                                                                                     \
    {                                                                                                                  \
        {                                                                                                              \
            f(p), f(p + 4), f(p + 8), f(p + 12)                                                                        \
        }                                                                                                              \
    }

INLINE reg reg_load(const float *p) { return (reg)VECS(vec_load, p); }
INLINE reg reg_load_bf16(const uint16_t *p) { return (reg)VECS(vec_load_bf16, p); }
INLINE reg reg_load_f16(const uint16_t *p) { return (reg)VECS(vec_load_f16, p); }
INLINE void reg_store(float *p, reg a) { memcpy(p, a.v, sizeof a.v); }
INLINE void reg_store_part(float *p, size_t n, reg a) { memcpy(p, a.v, n * sizeof *p); }
INLINE reg reg_splat(float x) { return (reg){{vec_splat(x), vec_splat(x), vec_splat(x), vec_splat(x)}}; }
INLINE reg reg_add(reg a, reg b) { return (reg)MAP2(vec_add, a, b); }
FMA_CALL reg reg_fma(reg a, reg b, reg c) { return (reg)MAP3(vec_fma, a, b, c); }

INLINE reg reg_load_part(const float *p, size_t n)
{
    reg r = {{vec_splat(0), vec_splat(0), vec_splat(0), vec_splat(0)}};
    memcpy(r.v, p, n * sizeof *p);
    return r;
}

#endif
