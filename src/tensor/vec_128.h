/*
 * vec_128.h - the primitives for vectors of 128 bits without a fused multiply-add: SSE2, and the fixed-width vectors of
 * WebAssembly. vec_portable.h defines each.
 *
 * Both sets have the same operations, so most of this file is in the vectors of gcc and clang; the first section names
 * what these lack. A vec has four lanes, and formulae are called, because a fused multiply-add is thirty instructions.
 * The product has a cheaper one (kernel_wide.h).
 */
#ifndef INK_TENSOR_VEC_128_H
#define INK_TENSOR_VEC_128_H

#include "float_fma.h"
#include "vec.h"

#define VEC_LANES 4
#define FORMULA static NOINLINE

typedef float floats __attribute__((vector_size(16)));
typedef double doubles __attribute__((vector_size(16)));
typedef int16_t shorts __attribute__((vector_size(16)));
typedef int32_t ints __attribute__((vector_size(16)));
typedef uint32_t words __attribute__((vector_size(16)));
typedef uint64_t longs __attribute__((vector_size(16)));

typedef struct vec {
    floats v;
} vec;

typedef struct ivec {
    words v;
} ivec;

typedef struct mask {
    words v; /* all ones or all zeros */
} mask;

/* ---- instructions ----------------------------------------------------------------------------------------------- */

#ifdef __SSE2__

#define MOVE_UP(a, b) _mm_movehl_ps((__m128)(a), (__m128)(b))
#define HALVES(p) _mm_loadl_epi64((const __m128i *)(const void *)(p))

INLINE doubles widen_low(floats a) { return (doubles)_mm_cvtps_pd((__m128)a); }
INLINE doubles widen_high(floats a) { return (doubles)_mm_cvtps_pd(MOVE_UP(a, a)); }
INLINE floats narrow(doubles low, doubles high)
{
    return (floats)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)low), _mm_cvtpd_ps((__m128d)high));
}
INLINE floats from_ints(ints a) { return (floats)_mm_cvtepi32_ps((__m128i)a); }
INLINE words load_4_halves(const uint16_t *p) { return (words)_mm_unpacklo_epi16(HALVES(p), _mm_setzero_si128()); }
INLINE words even_words(doubles a, doubles b) { return (words)_mm_shuffle_ps((__m128)a, (__m128)b, 0x88); }
INLINE words odd_words(doubles a, doubles b) { return (words)_mm_shuffle_ps((__m128)a, (__m128)b, 0xdd); }
INLINE floats larger(floats a, floats b) { return (floats)_mm_max_ps((__m128)a, (__m128)b); }
INLINE floats smaller(floats a, floats b) { return (floats)_mm_min_ps((__m128)a, (__m128)b); }
INLINE shorts larger_shorts(shorts a, shorts b) { return (shorts)_mm_max_epi16((__m128i)a, (__m128i)b); }
INLINE float float_sqrt(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

/* Is a word of the mask set? Are the low halves of a lane equal, in a and b or in c and d? */
INLINE bool any_word(words m) { return _mm_movemask_epi8((__m128i)m) != 0; }
INLINE bool low_halves_meet(longs a, longs b, longs c, longs d)
{
    words equal = (words)((words)a == (words)b) | (words)((words)c == (words)d);
    return (_mm_movemask_epi8((__m128i)equal) & 0x0f0f) != 0;
}

/* The processor remembers that an operation was inexact. */
#define SEES_INEXACT
INLINE void forget_inexact(void) { _mm_setcsr(_mm_getcsr() & ~(uint32_t)_MM_EXCEPT_INEXACT); }
INLINE bool was_inexact(void) { return (_mm_getcsr() & _MM_EXCEPT_INEXACT) != 0; }

#else

INLINE doubles widen_low(floats a) { return (doubles)wasm_f64x2_promote_low_f32x4((v128_t)a); }
INLINE doubles widen_high(floats a)
{
    return (doubles)wasm_f64x2_promote_low_f32x4(wasm_i32x4_shuffle((v128_t)a, (v128_t)a, 2, 3, 2, 3));
}
INLINE floats narrow(doubles low, doubles high)
{
    return (floats)wasm_i64x2_shuffle(wasm_f32x4_demote_f64x2_zero((v128_t)low),
                                      wasm_f32x4_demote_f64x2_zero((v128_t)high), 0, 2);
}
INLINE floats from_ints(ints a) { return (floats)wasm_f32x4_convert_i32x4((v128_t)a); }
INLINE words load_4_halves(const uint16_t *p) { return (words)wasm_u32x4_load16x4(p); }
INLINE words even_words(doubles a, doubles b) { return (words)wasm_i32x4_shuffle((v128_t)a, (v128_t)b, 0, 2, 4, 6); }
INLINE words odd_words(doubles a, doubles b) { return (words)wasm_i32x4_shuffle((v128_t)a, (v128_t)b, 1, 3, 5, 7); }
INLINE floats larger(floats a, floats b) { return (floats)wasm_f32x4_pmax((v128_t)b, (v128_t)a); }
INLINE floats smaller(floats a, floats b) { return (floats)wasm_f32x4_pmin((v128_t)b, (v128_t)a); }
INLINE shorts larger_shorts(shorts a, shorts b) { return (shorts)wasm_i16x8_max((v128_t)a, (v128_t)b); }
INLINE float float_sqrt(float x) { return __builtin_sqrtf(x); }
INLINE bool any_word(words m) { return wasm_v128_any_true((v128_t)m); }

/* The high halves are equal wherever this is asked. */
INLINE bool low_halves_meet(longs a, longs b, longs c, longs d)
{
    return wasm_v128_any_true((v128_t)((longs)(a == b) | (longs)(c == d)));
}

#endif

/* ---- memory --------------------------------------------------------------------------------------------------- */

INLINE vec vec_load(const float *p)
{
    vec r;
    memcpy(&r.v, p, sizeof r.v);
    return r;
}

INLINE vec vec_load_f64(const double *p)
{
    doubles low, high;
    memcpy(&low, p, sizeof low);
    memcpy(&high, p + 2, sizeof high);
    return (vec){narrow(low, high)};
}

INLINE vec vec_splat(float x) { return (vec){(floats){x, x, x, x}}; }
INLINE ivec ivec_splat(uint32_t x) { return (ivec){(words){x, x, x, x}}; }
INLINE void vec_store(float *p, vec a) { memcpy(p, &a.v, sizeof a.v); }
INLINE void vec_store_part(float *p, size_t n, vec a) { memcpy(p, &a.v, n * sizeof *p); }

INLINE vec vec_load_part(const float *p, size_t n)
{
    vec r = vec_splat(0);
    memcpy(&r.v, p, n * sizeof *p);
    return r;
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------- */

static NOINLINE vec fix_fma(vec a, vec b, vec c)
{
    for (int i = 0; i < 4; i++)
        c.v[i] = float_fma(a.v[i], b.v[i], c.v[i]);
    return c;
}

/* The product in double is exact, so rounding its sum with c to float is right unless the sum lies half way between two
   floats, or where floats are subnormal (0 < |sum| <= 2^-126). */
static NOINLINE vec vec_fma(vec a, vec b, vec c)
{
    const doubles low = widen_low(a.v) * widen_low(b.v) + widen_low(c.v);
    const doubles high = widen_high(a.v) * widen_high(b.v) + widen_high(c.v);
    const words fractions = even_words(low, high) << 3;
    const ints sizes = (ints)(odd_words(low, high) & 0x7fffffff);
    const words half_way = (words)(fractions == 0x80000000);
    const words small = (words)(sizes > 0) & (words)(sizes < 0x38100001);
    return any_word(half_way | small) ? fix_fma(a, b, c) : (vec){narrow(low, high)};
}

INLINE vec vec_add(vec a, vec b) { return (vec){a.v + b.v}; }
INLINE vec vec_sub(vec a, vec b) { return (vec){a.v - b.v}; }
INLINE vec vec_mul(vec a, vec b) { return (vec){a.v * b.v}; }
INLINE vec vec_div(vec a, vec b) { return (vec){a.v / b.v}; }

/* ---- integers ------------------------------------------------------------------------------------------------- */

INLINE ivec vec_bits(vec a) { return (ivec){(words)a.v}; }
INLINE vec ivec_floats(ivec a) { return (vec){(floats)a.v}; }
INLINE vec vec_from_ivec(ivec a) { return (vec){from_ints((ints)a.v)}; }
INLINE ivec ivec_add(ivec a, ivec b) { return (ivec){a.v + b.v}; }
INLINE ivec ivec_sub(ivec a, ivec b) { return (ivec){a.v - b.v}; }
INLINE ivec ivec_and(ivec a, ivec b) { return (ivec){a.v & b.v}; }
INLINE ivec ivec_or(ivec a, ivec b) { return (ivec){a.v | b.v}; }
INLINE ivec ivec_xor(ivec a, ivec b) { return (ivec){a.v ^ b.v}; }
INLINE ivec ivec_shift_left(ivec a, int n) { return (ivec){a.v << (uint32_t)n}; }
INLINE ivec ivec_shift_right(ivec a, int n) { return (ivec){a.v >> (uint32_t)n}; }
INLINE ivec ivec_shift_signed(ivec a, int n) { return (ivec){(words)((ints)a.v >> n)}; }

/* ---- choosing ------------------------------------------------------------------------------------------------- */

INLINE mask vec_less(vec a, vec b) { return (mask){(words)(a.v < b.v)}; }
INLINE mask ivec_equal(ivec a, ivec b) { return (mask){(words)(a.v == b.v)}; }
INLINE vec vec_select(mask m, vec a, vec b) { return (vec){(floats)(((words)a.v & m.v) | ((words)b.v & ~m.v))}; }
INLINE vec vec_max(vec a, vec b) { return (vec){larger(a.v, b.v)}; }
INLINE vec vec_min(vec a, vec b) { return (vec){smaller(a.v, b.v)}; }
INLINE bool mask_all(mask m) { return !any_word(~m.v); }

/* ---- stored types --------------------------------------------------------------------------------------------- */

INLINE vec vec_load_bf16(const uint16_t *p) { return (vec){(floats)(load_4_halves(p) << 16)}; }

/* The bits of the float become those of a number 2^-112 as large, infinity and NaN apart; subnormal ones, too, because
   a multiplication normalises them. */
INLINE vec vec_load_f16(const uint16_t *p)
{
    const words h = load_4_halves(p), size = h & 0x7fff;
    const words finite = (words)((floats)(size << 13) * 0x1p112f);
    const words infinite = (words)((ints)size > 0x7bff) & 0x7f800000;
    return (vec){(floats)(finite | infinite | (h ^ size) << 16)};
}

INLINE vec vec_load_i8(const int8_t *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return (vec){from_ints((ints)((words){four << 24, four << 16, four << 8, four}) >> 24)};
}

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

/* ---- the product ------------------------------------------------------------------------------------------------ */

#define REG_LANES 16
#define WIDE_SUMS

#endif
