/*
 * vec_avx512.h - the primitives for AVX-512 (F, BW, DQ, VL): one register. vec_portable.h defines each.
 */
#ifndef INK_TENSOR_VEC_AVX512_H
#define INK_TENSOR_VEC_AVX512_H

#include "vec.h"

#define VEC_LANES 16
#define FORMULA INLINE

typedef struct vec {
    __m512 v;
} vec;

typedef struct ivec {
    __m512i v;
} ivec;

typedef struct mask {
    __mmask16 v;
} mask;

/* ---- memory --------------------------------------------------------------------------------------------------- */

INLINE __mmask16 first_lanes(size_t n) { return (__mmask16)((1u << n) - 1); }

INLINE vec vec_load(const float *p) { return (vec){_mm512_loadu_ps(p)}; }
INLINE vec vec_splat(float x) { return (vec){_mm512_set1_ps(x)}; }
INLINE ivec ivec_splat(uint32_t x) { return (ivec){_mm512_set1_epi32((int)x)}; }
INLINE void vec_store(float *p, vec a) { _mm512_storeu_ps(p, a.v); }
INLINE vec vec_load_part(const float *p, size_t n) { return (vec){_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
INLINE void vec_store_part(float *p, size_t n, vec a) { _mm512_mask_storeu_ps(p, first_lanes(n), a.v); }

INLINE vec vec_load_f64(const double *p)
{
    __m256 low = _mm512_cvtpd_ps(_mm512_loadu_pd(p)), high = _mm512_cvtpd_ps(_mm512_loadu_pd(p + 8));
    return (vec){_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1)};
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------- */

INLINE vec vec_fma(vec a, vec b, vec c) { return (vec){_mm512_fmadd_ps(a.v, b.v, c.v)}; }
INLINE vec vec_add(vec a, vec b) { return (vec){_mm512_add_ps(a.v, b.v)}; }
INLINE vec vec_sub(vec a, vec b) { return (vec){_mm512_sub_ps(a.v, b.v)}; }
INLINE vec vec_mul(vec a, vec b) { return (vec){_mm512_mul_ps(a.v, b.v)}; }
INLINE vec vec_div(vec a, vec b) { return (vec){_mm512_div_ps(a.v, b.v)}; }
INLINE float float_sqrt(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

/* One instruction, which rounds once, as the two multiplications of kernel_math.h do. */
#define VEC_SCALE
INLINE vec vec_scale(vec a, vec n, ivec integer_n)
{
    (void)integer_n;
    return (vec){_mm512_scalef_ps(a.v, n.v)};
}

/* ---- integers ------------------------------------------------------------------------------------------------- */

INLINE ivec vec_bits(vec a) { return (ivec){_mm512_castps_si512(a.v)}; }
INLINE vec ivec_floats(ivec a) { return (vec){_mm512_castsi512_ps(a.v)}; }
INLINE vec vec_from_ivec(ivec a) { return (vec){_mm512_cvtepi32_ps(a.v)}; }
INLINE ivec ivec_add(ivec a, ivec b) { return (ivec){_mm512_add_epi32(a.v, b.v)}; }
INLINE ivec ivec_sub(ivec a, ivec b) { return (ivec){_mm512_sub_epi32(a.v, b.v)}; }
INLINE ivec ivec_and(ivec a, ivec b) { return (ivec){_mm512_and_si512(a.v, b.v)}; }
INLINE ivec ivec_or(ivec a, ivec b) { return (ivec){_mm512_or_si512(a.v, b.v)}; }
INLINE ivec ivec_xor(ivec a, ivec b) { return (ivec){_mm512_xor_si512(a.v, b.v)}; }
INLINE ivec ivec_shift_left(ivec a, int n) { return (ivec){_mm512_sll_epi32(a.v, _mm_cvtsi32_si128(n))}; }
INLINE ivec ivec_shift_right(ivec a, int n) { return (ivec){_mm512_srl_epi32(a.v, _mm_cvtsi32_si128(n))}; }
INLINE ivec ivec_shift_signed(ivec a, int n) { return (ivec){_mm512_sra_epi32(a.v, _mm_cvtsi32_si128(n))}; }

/* ---- choosing ------------------------------------------------------------------------------------------------- */

INLINE mask vec_less(vec a, vec b) { return (mask){_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
INLINE mask ivec_equal(ivec a, ivec b) { return (mask){_mm512_cmpeq_epi32_mask(a.v, b.v)}; }
INLINE vec vec_select(mask m, vec a, vec b) { return (vec){_mm512_mask_blend_ps(m.v, b.v, a.v)}; }
INLINE vec vec_max(vec a, vec b) { return (vec){_mm512_max_ps(a.v, b.v)}; }
INLINE vec vec_min(vec a, vec b) { return (vec){_mm512_min_ps(a.v, b.v)}; }
INLINE bool mask_all(mask m) { return m.v == 0xffff; }

/* ---- stored types --------------------------------------------------------------------------------------------- */

INLINE __m256i load_16_halves(const uint16_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }

/* Each half becomes the upper half of a word, in one instruction. */
INLINE vec vec_load_bf16(const uint16_t *p)
{
    __m512i from = _mm512_set_epi16(15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0, 7, 0, 6, 0, 5, 0, 4, 0, 3, 0,
                                    2, 0, 1, 0, 0, 0);
#if defined(__clang__)
    __asm__("" : "+v"(from)); /* or clang sees the meaning of the permutation, and takes two instructions for it */
#endif
    __m512i halves = _mm512_castsi256_si512(load_16_halves(p));
    return (vec){_mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, from, halves))};
}

INLINE vec vec_load_f16(const uint16_t *p) { return (vec){_mm512_cvtph_ps(load_16_halves(p))}; }

INLINE vec vec_load_i8(const int8_t *p)
{
    return (vec){_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)))};
}

INLINE void ivec_store_low(uint16_t *p, ivec a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(a.v));
}

/* ---- across lanes: 8 apart, 4 apart, 2 apart, 1 apart ----------------------------------------------------------- */

INLINE float vec_sum(vec a)
{
    __m256 by8 = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
}

INLINE float vec_largest(vec a)
{
    __m256 by8 = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    __m128 by4 = _mm_max_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    __m128 by2 = _mm_max_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_max_ss(by2, _mm_movehdup_ps(by2)));
}

#include "vec_whole.h"

#endif
