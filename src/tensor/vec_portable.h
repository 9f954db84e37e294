/*
 * vec_portable.h - the primitives in plain C, for any processor; the definition of what the other variants do.
 *
 * A vec has four lanes here: compilers make one vector of them where the processor has vectors, and the code stays
 * small where it has none.
 */
#ifndef INK_TENSOR_VEC_PORTABLE_H
#define INK_TENSOR_VEC_PORTABLE_H

#include "vec.h"

#define VEC_LANES 4

/* Four lanes are many instructions without vectors: formulae are called, not inlined. */
#define FORMULA static NOINLINE

/* The compiler's own vectors, where it passes them in registers; OP(T, a, op, b) is an operator on every lane. */
#if defined(__GNUC__) && defined(__SSE2__)
typedef float floats __attribute__((vector_size(16)));
typedef uint32_t words __attribute__((vector_size(16)));
#define OP(T, a, op, b) ((T){(a).v op(b).v})
#define LESS(a, b) ((mask){(words)((a).v < (b).v)})
#define EQUAL(a, b) ((mask){(words)((a).v == (b).v)})
#else
typedef float floats[4];
typedef uint32_t words[4];
#define OP(T, a, op, b) ((T){{(a).v[0] op(b).v[0], (a).v[1] op(b).v[1], (a).v[2] op(b).v[2], (a).v[3] op(b).v[3]}})
#define LESS(a, b) EACH2(mask, float_less, a, b)
#define EQUAL(a, b) EACH2(mask, word_equal, a, b)
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

/* ---- one lane ------------------------------------------------------------------------------------------------- */

INLINE uint32_t float_less(float a, float b) { return a < b ? UINT32_MAX : 0; }
INLINE uint32_t word_equal(uint32_t a, uint32_t b) { return a == b ? UINT32_MAX : 0; }
INLINE float word_to_float(uint32_t a) { return (float)(int32_t)a; }

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

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF)
#define HARDWARE_FMA
#define FMA_CALL INLINE
#else
#define FMA_CALL static NOINLINE
#include "float_fma.h"

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

#endif

/* ---- memory --------------------------------------------------------------------------------------------------- */

INLINE vec vec_load(const float *p) { return (vec){{p[0], p[1], p[2], p[3]}}; }
INLINE vec vec_load_f64(const double *p) { return (vec){{(float)p[0], (float)p[1], (float)p[2], (float)p[3]}}; }
INLINE vec vec_splat(float x) { return EACH_SAME(vec, x); }
INLINE ivec ivec_splat(uint32_t x) { return EACH_SAME(ivec, x); }
INLINE void vec_store(float *p, vec a) { memcpy(p, &a.v, sizeof a.v); }
INLINE void vec_store_part(float *p, size_t n, vec a) { memcpy(p, &a.v, n * sizeof *p); }

/* The first n lanes; the others are 0, and their memory is not touched. */
INLINE vec vec_load_part(const float *p, size_t n)
{
    vec r = vec_splat(0);
    memcpy(&r.v, p, n * sizeof *p);
    return r;
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------- */

#ifdef HARDWARE_FMA
INLINE vec vec_fma(vec a, vec b, vec c) { return EACH3(vec, __builtin_fmaf, a, b, c); }
#else
static NOINLINE vec fix_fma(vec a, vec b, vec c) { return EACH3(vec, float_fma, a, b, c); }

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
INLINE vec vec_add(vec a, vec b) { return OP(vec, a, +, b); }
INLINE vec vec_sub(vec a, vec b) { return OP(vec, a, -, b); }
INLINE vec vec_mul(vec a, vec b) { return OP(vec, a, *, b); }
INLINE vec vec_div(vec a, vec b) { return OP(vec, a, /, b); }

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

INLINE vec vec_from_ivec(ivec a) { return EACH1(vec, word_to_float, a); } /* signed, and below 2^24 */
INLINE ivec ivec_add(ivec a, ivec b) { return OP(ivec, a, +, b); }
INLINE ivec ivec_sub(ivec a, ivec b) { return OP(ivec, a, -, b); }
INLINE ivec ivec_and(ivec a, ivec b) { return OP(ivec, a, &, b); }
INLINE ivec ivec_or(ivec a, ivec b) { return OP(ivec, a, |, b); }
INLINE ivec ivec_xor(ivec a, ivec b) { return OP(ivec, a, ^, b); }
INLINE ivec ivec_shift_left(ivec a, int n) { return OP(ivec, a, <<, ivec_splat((uint32_t)n)); }
INLINE ivec ivec_shift_right(ivec a, int n) { return OP(ivec, a, >>, ivec_splat((uint32_t)n)); }

/* The sign comes in from the left; 0 < n < 32. */
INLINE ivec ivec_shift_signed(ivec a, int n)
{
    ivec fill = ivec_sub(ivec_splat(0), ivec_shift_right(a, 31));
    return ivec_or(ivec_shift_right(a, n), ivec_shift_left(fill, 32 - n));
}

/* ---- choosing ------------------------------------------------------------------------------------------------- */

INLINE mask vec_less(vec a, vec b) { return LESS(a, b); } /* false if either is NaN */
INLINE mask ivec_equal(ivec a, ivec b) { return EQUAL(a, b); }

/* m ? a : b */
INLINE vec vec_select(mask m, vec a, vec b)
{
    ivec x = vec_bits(a), y = vec_bits(b);
    return ivec_floats(ivec_xor(y, OP(ivec, ivec_xor(x, y), &, m)));
}

INLINE vec vec_max(vec a, vec b) { return vec_select(vec_less(b, a), a, b); } /* b if either is NaN */
INLINE vec vec_min(vec a, vec b) { return vec_select(vec_less(a, b), a, b); } /* b if either is NaN */
INLINE bool mask_all(mask m) { return (m.v[0] & m.v[1] & m.v[2] & m.v[3]) != 0; }

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

INLINE vec vec_load_i8(const int8_t *p) { return (vec){{p[0], p[1], p[2], p[3]}}; }

/* The low halves of the lanes. */
INLINE void ivec_store_low(uint16_t *p, ivec a)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint16_t)a.v[i];
}

/* ---- across lanes: 2 apart, 1 apart --------------------------------------------------------------------------- */

/* Each sum is assigned before it is used: some compilers keep intermediate results in double (FLT_EVAL_METHOD). */
INLINE float vec_sum(vec a)
{
    float even = a.v[0] + a.v[2], odd = a.v[1] + a.v[3], sum = even + odd;
    return sum;
}

INLINE float vec_largest(vec a)
{
    float even = a.v[0] > a.v[2] ? a.v[0] : a.v[2], odd = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
    return even > odd ? even : odd;
}

/* ---- registers of the product: 16 lanes each ------------------------------------------------------------------ */

#define REG_LANES 16

typedef struct reg {
    vec v[4];
} reg;

INLINE reg reg_load(const float *p) { return EACH_FROM(reg, vec_load, p); }
INLINE void reg_store(float *p, reg a) { memcpy(p, a.v, sizeof a.v); }
INLINE void reg_store_part(float *p, size_t n, reg a) { memcpy(p, a.v, n * sizeof *p); }
INLINE reg reg_load_bf16(const uint16_t *p) { return EACH_FROM(reg, vec_load_bf16, p); }
INLINE reg reg_load_f16(const uint16_t *p) { return EACH_FROM(reg, vec_load_f16, p); }
INLINE reg reg_load_i8(const int8_t *p) { return EACH_FROM(reg, vec_load_i8, p); }
INLINE reg reg_splat(float x) { return EACH_SAME(reg, vec_splat(x)); }
FMA_CALL reg reg_fma(reg a, reg b, reg c) { return EACH3(reg, vec_fma, a, b, c); }
INLINE reg reg_add(reg a, reg b) { return EACH2(reg, vec_add, a, b); }

INLINE reg reg_load_part(const float *p, size_t n)
{
    reg r = reg_splat(0);
    memcpy(r.v, p, n * sizeof *p);
    return r;
}

#endif
