/*
 * dot_avx512.h - the primitives of quantised products for AVX-512 with dot products of bytes (VNNI). dot_portable.h
 * defines each.
 */
#ifndef INK_TENSOR_DOT_AVX512_H
#define INK_TENSOR_DOT_AVX512_H

#include "vec_avx512.h"

typedef struct codes {
    __m512i v;
} codes;

typedef struct isum {
    __m512i v;
} isum;

INLINE codes codes_load(const uint8_t *p) { return (codes){_mm512_loadu_si512(p)}; }
INLINE void codes_store(uint8_t *p, codes a) { _mm512_storeu_si512(p, a.v); }
INLINE codes codes_or(codes a, codes b) { return (codes){_mm512_or_si512(a.v, b.v)}; }

INLINE codes codes_shift(codes a, int n, uint8_t bits)
{
    __m512i shifted = n == 0  ? a.v
                      : n > 0 ? _mm512_sll_epi16(a.v, _mm_cvtsi32_si128(n))
                              : _mm512_srl_epi16(a.v, _mm_cvtsi32_si128(-n));
    return (codes){_mm512_and_si512(shifted, _mm512_set1_epi8((char)bits))};
}

INLINE codes codes_look_up(const uint8_t *p, codes a)
{
    __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)p));
    return (codes){_mm512_shuffle_epi8(table, a.v)};
}

INLINE isum isum_splat(int32_t x) { return (isum){_mm512_set1_epi32(x)}; }
INLINE isum isum_add(isum a, isum b) { return (isum){_mm512_add_epi32(a.v, b.v)}; }

/* A sum is one vec. */
#define ISUM_VEC
INLINE vec isum_vec(isum a) { return (vec){_mm512_cvtepi32_ps(a.v)}; }
typedef codes dot_w;
typedef codes dot_x;

INLINE dot_w dot_codes(codes a) { return a; }

INLINE dot_x dot_splat(const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return (dot_x){_mm512_set1_epi32(four)};
}

INLINE isum isum_dot(isum a, dot_w w, dot_x x) { return (isum){_mm512_dpbusd_epi32(a.v, w.v, x.v)}; }

/* ---- rounding 32 columns of x ----------------------------------------------------------------------------------- */

#define DOT_ROUNDS

/* The bits of a size are in the order of the sizes, and NaN is above all. */
INLINE float round_largest(const vec *x)
{
    const __m512i size = _mm512_set1_epi32(0x7fffffff);
    const __m512i by16 = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(x[0].v), size),
                                          _mm512_and_si512(_mm512_castps_si512(x[1].v), size));
    const __m256i by8 = _mm256_max_epu32(_mm512_castsi512_si256(by16), _mm512_extracti64x4_epi64(by16, 1));
    const __m128i by4 = _mm_max_epu32(_mm256_castsi256_si128(by8), _mm256_extracti128_si256(by8, 1));
    const __m128i by2 = _mm_max_epu32(by4, _mm_shuffle_epi32(by4, 0x4e));
    const float largest = _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epu32(by2, _mm_shuffle_epi32(by2, 0xb1))));
    return largest + (largest - largest);
}

INLINE void round_codes(const vec *x, float inverse, uint8_t *to, int32_t *sums)
{
    UNROLL
    for (int i = 0; i < 2; i++) {
        const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(x[i].v, _mm512_set1_ps(inverse)));
        const __m128i bytes = _mm512_cvtepi32_epi8(q), positive = _mm_xor_si128(bytes, _mm_set1_epi8(-128));
        const __m128i sum = _mm_sad_epu8(positive, _mm_setzero_si128());
        _mm_storeu_si128((__m128i *)(void *)(to + 16 * i), bytes);
        sums[i] = _mm_cvtsi128_si32(sum) + _mm_extract_epi32(sum, 2) - 16 * 128;
    }
}

#endif
