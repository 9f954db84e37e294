/*
 * dot_avx2.h - the primitives of quantised products for AVX2: two registers; with DOT_VNNI, for its dot products of
 * bytes (AVX-VNNI). dot_portable.h defines each.
 */
#ifndef INK_TENSOR_DOT_AVX2_H
#define INK_TENSOR_DOT_AVX2_H

#include "vec_avx2.h"

typedef struct codes {
    __m256i lo, hi;
} codes;

typedef struct isum {
    __m256i lo, hi;
} isum;

typedef struct dot_x {
    __m256i v;
} dot_x;

INLINE __m256i load_32_bytes(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
INLINE codes codes_load(const uint8_t *p) { return (codes){load_32_bytes(p), load_32_bytes(p + 32)}; }
INLINE codes codes_or(codes a, codes b) { return HALVES2(codes, _mm256_or_si256, a, b); }

INLINE void codes_store(uint8_t *p, codes a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, a.lo);
    _mm256_storeu_si256((__m256i *)(void *)(p + 32), a.hi);
}

INLINE __m256i shift_32_bytes(__m256i a, int n, __m256i bits)
{
    const __m128i by = _mm_cvtsi32_si128(n < 0 ? -n : n);
    return _mm256_and_si256(n == 0 ? a : n > 0 ? _mm256_sll_epi16(a, by) : _mm256_srl_epi16(a, by), bits);
}

INLINE codes codes_shift(codes a, int n, uint8_t bits)
{
    const __m256i kept = _mm256_set1_epi8((char)bits);
    return (codes){shift_32_bytes(a.lo, n, kept), shift_32_bytes(a.hi, n, kept)};
}

INLINE codes codes_look_up(const uint8_t *p, codes a)
{
    const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
    return (codes){_mm256_shuffle_epi8(table, a.lo), _mm256_shuffle_epi8(table, a.hi)};
}

INLINE isum isum_splat(int32_t x) { return (isum){_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
INLINE isum isum_add(isum a, isum b) { return HALVES2(isum, _mm256_add_epi32, a, b); }

/* The sixteen integers of a sum as one vec. */
#define ISUM_VEC
INLINE vec isum_vec(isum a) { return HALVES1(vec, _mm256_cvtepi32_ps, a); }

INLINE dot_x dot_splat(const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return (dot_x){_mm256_set1_epi32(four)};
}

#ifdef DOT_VNNI
typedef codes dot_w;

INLINE dot_w dot_codes(codes a) { return a; }

INLINE isum isum_dot(isum a, dot_w w, dot_x x)
{
    return (isum){_mm256_dpbusd_avx_epi32(a.lo, w.lo, x.v), _mm256_dpbusd_avx_epi32(a.hi, w.hi, x.v)};
}
#else
/* Products of bytes are added in pairs of 16 bits, and 2 * 255 * 127 is too large for these. So codes have a sign here,
   and pairs are 2 * 128 * 127 at most: |w| times x, which has taken the sign of w. */
#define DOT_SIGNED
typedef struct dot_w {
    codes size, sign;
} dot_w;

INLINE codes codes_flip(codes a, uint8_t bits)
{
    const __m256i flipped = _mm256_set1_epi8((char)bits);
    return (codes){_mm256_xor_si256(a.lo, flipped), _mm256_xor_si256(a.hi, flipped)};
}

INLINE dot_w dot_codes(codes a) { return (dot_w){HALVES1(codes, _mm256_abs_epi8, a), a}; }

INLINE __m256i add_four(__m256i sum, __m256i w, __m256i x)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)));
}

INLINE isum isum_dot(isum a, dot_w w, dot_x x)
{
    return (isum){add_four(a.lo, w.size.lo, _mm256_sign_epi8(x.v, w.sign.lo)),
                  add_four(a.hi, w.size.hi, _mm256_sign_epi8(x.v, w.sign.hi))};
}

/* Codes of up to 7 bits are their size. */
#define DOT_SMALL
INLINE isum isum_dot_small(isum a, codes w, dot_x x)
{
    return (isum){add_four(a.lo, w.lo, x.v), add_four(a.hi, w.hi, x.v)};
}
#endif

#endif
