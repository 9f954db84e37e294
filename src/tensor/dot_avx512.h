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

#endif
