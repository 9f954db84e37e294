/*
 * dot_neon.h - the primitives of quantised products for NEON on aarch64: four registers; with DOT_PRODUCTS, for its dot
 * products of bytes. dot_portable.h defines each.
 */
#ifndef INK_TENSOR_DOT_NEON_H
#define INK_TENSOR_DOT_NEON_H

#include "vec_neon.h"

typedef struct codes {
    uint8x16_t v[4];
} codes;

typedef struct isum {
    int32x4_t v[4];
} isum;

typedef struct dot_x {
    int8x16_t v;
} dot_x;

/* Products of a byte without a sign and one with a sign are an extension of an extension. So codes have a sign here. */
#define DOT_SIGNED
typedef codes dot_w;

INLINE codes codes_load(const uint8_t *p)
{
    return (codes){{vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32), vld1q_u8(p + 48)}};
}

INLINE void codes_store(uint8_t *p, codes a)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        vst1q_u8(p + 16 * i, a.v[i]);
}

INLINE codes codes_shift(codes a, int n, uint8_t bits)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vandq_u8(n == 0 ? a.v[i] : vshlq_u8(a.v[i], vdupq_n_s8((int8_t)n)), vdupq_n_u8(bits));
    return a;
}

INLINE codes codes_or(codes a, codes b) { return EACH2(codes, vorrq_u8, a, b); }

INLINE codes codes_look_up(const uint8_t *p, codes a)
{
    const uint8x16_t table = vld1q_u8(p);
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vqtbl1q_u8(table, a.v[i]);
    return a;
}

INLINE isum isum_splat(int32_t x) { return EACH_SAME(isum, vdupq_n_s32(x)); }
INLINE isum isum_add(isum a, isum b) { return EACH2(isum, vaddq_s32, a, b); }

/* The sixteen integers of a sum as one vec. */
#define ISUM_VEC
INLINE vec isum_vec(isum a) { return EACH1(vec, vcvtq_f32_s32, a); }

INLINE codes codes_flip(codes a, uint8_t bits)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = veorq_u8(a.v[i], vdupq_n_u8(bits));
    return a;
}

INLINE dot_w dot_codes(codes a) { return a; }

INLINE dot_x dot_splat(const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return (dot_x){vreinterpretq_s8_s32(vdupq_n_s32(four))};
}

#ifndef DOT_PRODUCTS
/* Two products of at most 128 * 127 fit 16 bits. */
INLINE int32x4_t add_four(int32x4_t sum, int8x16_t w, int8x16_t x)
{
    return vpadalq_s16(sum, vpaddq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(x)), vmull_high_s8(w, x)));
}
#elif defined(__clang__) && __clang_major__ < 16 && !defined(__ARM_FEATURE_DOTPROD)
/* Older ones declare vdotq_s32() only if the whole file may use it. 34 is the type int32x4_t. */
INLINE int32x4_t add_four(int32x4_t sum, int8x16_t w, int8x16_t x)
{
    return (int32x4_t)__builtin_neon_vdotq_v((int8x16_t)sum, w, x, 34);
}
#else
INLINE int32x4_t add_four(int32x4_t sum, int8x16_t w, int8x16_t x) { return vdotq_s32(sum, w, x); }
#endif

INLINE isum isum_dot(isum a, dot_w w, dot_x x)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = add_four(a.v[i], vreinterpretq_s8_u8(w.v[i]), x.v);
    return a;
}

#endif
