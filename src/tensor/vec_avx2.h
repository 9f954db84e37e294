/*
 * vec_avx2.h - the primitives for AVX2 with FMA and F16C: two registers. vec_portable.h defines each.
 */
#ifndef INK_TENSOR_VEC_AVX2_H
#define INK_TENSOR_VEC_AVX2_H

#include "vec.h"

#define VEC_LANES 16
#define FORMULA INLINE

typedef struct vec {
    __m256 lo, hi;
} vec;

typedef struct ivec {
    __m256i lo, hi;
} ivec;

typedef struct mask {
    __m256 lo, hi;
} mask;

/* A vec, ivec or mask from an intrinsic of both halves. */
#define HALVES1(T, f, a) ((T){f((a).lo), f((a).hi)})
#define HALVES2(T, f, a, b) ((T){f((a).lo, (b).lo), f((a).hi, (b).hi)})
#define HALVES3(T, f, a, b, c) ((T){f((a).lo, (b).lo, (c).lo), f((a).hi, (b).hi, (c).hi)})

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* All ones in the lanes below n of the eight that begin with lane `first`. */
INLINE __m256i first_lanes(size_t n, int first)
{
    const __m256i lanes = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes);
}

INLINE __m256 load_8_f64(const double *p)
{
    __m128 low = _mm256_cvtpd_ps(_mm256_loadu_pd(p)), high = _mm256_cvtpd_ps(_mm256_loadu_pd(p + 4));
    return _mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
}

INLINE vec vec_load(const float *p) { return (vec){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
INLINE vec vec_load_f64(const double *p) { return (vec){load_8_f64(p), load_8_f64(p + 8)}; }
INLINE vec vec_splat(float x) { return (vec){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
INLINE ivec ivec_splat(uint32_t x) { return (ivec){_mm256_set1_epi32((int)x), _mm256_set1_epi32((int)x)}; }

INLINE void vec_store(float *p, vec a)
{
    _mm256_storeu_ps(p, a.lo);
    _mm256_storeu_ps(p + 8, a.hi);
}

INLINE vec vec_load_part(const float *p, size_t n)
{
    return (vec){_mm256_maskload_ps(p, first_lanes(n, 0)), _mm256_maskload_ps(p + 8, first_lanes(n, 8))};
}

INLINE void vec_store_part(float *p, size_t n, vec a)
{
    _mm256_maskstore_ps(p, first_lanes(n, 0), a.lo);
    _mm256_maskstore_ps(p + 8, first_lanes(n, 8), a.hi);
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------- */

INLINE vec vec_fma(vec a, vec b, vec c) { return HALVES3(vec, _mm256_fmadd_ps, a, b, c); }
INLINE vec vec_add(vec a, vec b) { return HALVES2(vec, _mm256_add_ps, a, b); }
INLINE vec vec_sub(vec a, vec b) { return HALVES2(vec, _mm256_sub_ps, a, b); }
INLINE vec vec_mul(vec a, vec b) { return HALVES2(vec, _mm256_mul_ps, a, b); }
INLINE vec vec_div(vec a, vec b) { return HALVES2(vec, _mm256_div_ps, a, b); }
INLINE float float_sqrt(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

/* ---- integers ------------------------------------------------------------------------------------------------- */

#define SHIFT_LEFT(a) _mm256_sll_epi32(a, _mm_cvtsi32_si128(n))
#define SHIFT_RIGHT(a) _mm256_srl_epi32(a, _mm_cvtsi32_si128(n))
#define SHIFT_SIGNED(a) _mm256_sra_epi32(a, _mm_cvtsi32_si128(n))

INLINE ivec vec_bits(vec a) { return HALVES1(ivec, _mm256_castps_si256, a); }
INLINE vec ivec_floats(ivec a) { return HALVES1(vec, _mm256_castsi256_ps, a); }
INLINE vec vec_from_ivec(ivec a) { return HALVES1(vec, _mm256_cvtepi32_ps, a); }
INLINE ivec ivec_add(ivec a, ivec b) { return HALVES2(ivec, _mm256_add_epi32, a, b); }
INLINE ivec ivec_sub(ivec a, ivec b) { return HALVES2(ivec, _mm256_sub_epi32, a, b); }
INLINE ivec ivec_and(ivec a, ivec b) { return HALVES2(ivec, _mm256_and_si256, a, b); }
INLINE ivec ivec_or(ivec a, ivec b) { return HALVES2(ivec, _mm256_or_si256, a, b); }
INLINE ivec ivec_xor(ivec a, ivec b) { return HALVES2(ivec, _mm256_xor_si256, a, b); }
INLINE ivec ivec_shift_left(ivec a, int n) { return HALVES1(ivec, SHIFT_LEFT, a); }
INLINE ivec ivec_shift_right(ivec a, int n) { return HALVES1(ivec, SHIFT_RIGHT, a); }
INLINE ivec ivec_shift_signed(ivec a, int n) { return HALVES1(ivec, SHIFT_SIGNED, a); }

/* ---- choosing ------------------------------------------------------------------------------------------------- */

#define LESS(a, b) _mm256_cmp_ps(a, b, _CMP_LT_OQ)
#define EQUAL(a, b) _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b))

INLINE mask vec_less(vec a, vec b) { return HALVES2(mask, LESS, a, b); }
INLINE mask ivec_equal(ivec a, ivec b) { return HALVES2(mask, EQUAL, a, b); }
INLINE vec vec_select(mask m, vec a, vec b) { return HALVES3(vec, _mm256_blendv_ps, b, a, m); }
INLINE vec vec_max(vec a, vec b) { return HALVES2(vec, _mm256_max_ps, a, b); }
INLINE vec vec_min(vec a, vec b) { return HALVES2(vec, _mm256_min_ps, a, b); }
INLINE bool mask_all(mask m) { return _mm256_movemask_ps(_mm256_and_ps(m.lo, m.hi)) == 0xff; }

/* ---- stored types --------------------------------------------------------------------------------------------- */

INLINE __m128i load_8_halves(const uint16_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
INLINE __m256i load_8_words(const uint16_t *p) { return _mm256_cvtepu16_epi32(load_8_halves(p)); }
INLINE __m256 load_8_bf16(const uint16_t *p) { return _mm256_castsi256_ps(_mm256_slli_epi32(load_8_words(p), 16)); }
INLINE __m256 load_8_f16(const uint16_t *p) { return _mm256_cvtph_ps(load_8_halves(p)); }
INLINE vec vec_load_bf16(const uint16_t *p) { return (vec){load_8_bf16(p), load_8_bf16(p + 8)}; }
INLINE vec vec_load_f16(const uint16_t *p) { return (vec){load_8_f16(p), load_8_f16(p + 8)}; }

INLINE __m256 load_8_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
INLINE vec vec_load_i8(const int8_t *p) { return (vec){load_8_i8(p), load_8_i8(p + 8)}; }

INLINE void ivec_store_low(uint16_t *p, ivec a)
{
    const __m256i low = _mm256_set1_epi32(0xffff);
    /* Packing works within 128-bit halves; the permutation puts them in order again. */
    __m256i packed = _mm256_packus_epi32(_mm256_and_si256(a.lo, low), _mm256_and_si256(a.hi, low));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(packed, 0xd8));
}

/* ---- across lanes: 8 apart, 4 apart, 2 apart, 1 apart ----------------------------------------------------------- */

INLINE float vec_sum(vec a)
{
    __m256 by8 = _mm256_add_ps(a.lo, a.hi);
    __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
}

INLINE float vec_largest(vec a)
{
    __m256 by8 = _mm256_max_ps(a.lo, a.hi);
    __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
}

/* ---- registers of the product: one each ------------------------------------------------------------------------- */

#define REG_LANES 8

typedef struct reg {
    __m256 v;
} reg;

INLINE reg reg_load(const float *p) { return (reg){_mm256_loadu_ps(p)}; }
INLINE void reg_store(float *p, reg a) { _mm256_storeu_ps(p, a.v); }
INLINE reg reg_load_part(const float *p, size_t n) { return (reg){_mm256_maskload_ps(p, first_lanes(n, 0))}; }
INLINE void reg_store_part(float *p, size_t n, reg a) { _mm256_maskstore_ps(p, first_lanes(n, 0), a.v); }
INLINE reg reg_load_bf16(const uint16_t *p) { return (reg){load_8_bf16(p)}; }
INLINE reg reg_load_f16(const uint16_t *p) { return (reg){load_8_f16(p)}; }
INLINE reg reg_load_i8(const int8_t *p) { return (reg){load_8_i8(p)}; }
INLINE reg reg_splat(float x) { return (reg){_mm256_set1_ps(x)}; }
INLINE reg reg_fma(reg a, reg b, reg c) { return (reg){_mm256_fmadd_ps(a.v, b.v, c.v)}; }
INLINE reg reg_add(reg a, reg b) { return (reg){_mm256_add_ps(a.v, b.v)}; }

#endif
