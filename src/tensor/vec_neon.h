/*
 * vec_neon.h - the primitives for NEON on aarch64: four registers. vec_portable.h defines each.
 */
#ifndef INK_TENSOR_VEC_NEON_H
#define INK_TENSOR_VEC_NEON_H

#include "vec.h"

#define VEC_LANES 16
#define FORMULA INLINE

typedef struct vec {
    float32x4_t v[4];
} vec;

typedef struct ivec {
    uint32x4_t v[4];
} ivec;

typedef struct mask {
    uint32x4_t v[4];
} mask;

/* ---- memory --------------------------------------------------------------------------------------------------- */

INLINE float32x4_t load_4_f64(const double *p)
{
    return vcombine_f32(vcvt_f32_f64(vld1q_f64(p)), vcvt_f32_f64(vld1q_f64(p + 2)));
}

INLINE vec vec_load(const float *p) { return EACH_FROM(vec, vld1q_f32, p); }
INLINE vec vec_load_f64(const double *p) { return EACH_FROM(vec, load_4_f64, p); }
INLINE vec vec_splat(float x) { return EACH_SAME(vec, vdupq_n_f32(x)); }
INLINE ivec ivec_splat(uint32_t x) { return EACH_SAME(ivec, vdupq_n_u32(x)); }

INLINE void vec_store(float *p, vec a)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        vst1q_f32(p + 4 * i, a.v[i]);
}

INLINE vec vec_load_part(const float *p, size_t n)
{
    float lanes[16] = {0};
    memcpy(lanes, p, n * sizeof *p);
    return vec_load(lanes);
}

INLINE void vec_store_part(float *p, size_t n, vec a)
{
    float lanes[16];
    vec_store(lanes, a);
    memcpy(p, lanes, n * sizeof *p);
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------- */

INLINE vec vec_fma(vec a, vec b, vec c) { return EACH3(vec, vfmaq_f32, c, a, b); }
INLINE vec vec_add(vec a, vec b) { return EACH2(vec, vaddq_f32, a, b); }
INLINE vec vec_sub(vec a, vec b) { return EACH2(vec, vsubq_f32, a, b); }
INLINE vec vec_mul(vec a, vec b) { return EACH2(vec, vmulq_f32, a, b); }
INLINE vec vec_div(vec a, vec b) { return EACH2(vec, vdivq_f32, a, b); }
INLINE float float_sqrt(float x) { return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0); }

/* ---- integers ------------------------------------------------------------------------------------------------- */

/* A shift by a negative number goes to the right. */
INLINE uint32x4_t shift(uint32x4_t a, int n) { return vshlq_u32(a, vdupq_n_s32(n)); }
INLINE int32x4_t shift_signed(int32x4_t a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }

#define FROM_WORDS(a) vcvtq_f32_s32(vreinterpretq_s32_u32(a))
#define SHIFT_LEFT(a) shift(a, n)
#define SHIFT_RIGHT(a) shift(a, -n)
#define SHIFT_SIGNED(a) vreinterpretq_u32_s32(shift_signed(vreinterpretq_s32_u32(a), -n))

INLINE ivec vec_bits(vec a) { return EACH1(ivec, vreinterpretq_u32_f32, a); }
INLINE vec ivec_floats(ivec a) { return EACH1(vec, vreinterpretq_f32_u32, a); }
INLINE vec vec_from_ivec(ivec a) { return EACH1(vec, FROM_WORDS, a); }
INLINE ivec ivec_add(ivec a, ivec b) { return EACH2(ivec, vaddq_u32, a, b); }
INLINE ivec ivec_sub(ivec a, ivec b) { return EACH2(ivec, vsubq_u32, a, b); }
INLINE ivec ivec_and(ivec a, ivec b) { return EACH2(ivec, vandq_u32, a, b); }
INLINE ivec ivec_or(ivec a, ivec b) { return EACH2(ivec, vorrq_u32, a, b); }
INLINE ivec ivec_xor(ivec a, ivec b) { return EACH2(ivec, veorq_u32, a, b); }
INLINE ivec ivec_shift_left(ivec a, int n) { return EACH1(ivec, SHIFT_LEFT, a); }
INLINE ivec ivec_shift_right(ivec a, int n) { return EACH1(ivec, SHIFT_RIGHT, a); }
INLINE ivec ivec_shift_signed(ivec a, int n) { return EACH1(ivec, SHIFT_SIGNED, a); }

/* ---- choosing ------------------------------------------------------------------------------------------------- */

/* Not vmaxq and vminq: these return NaN if either is NaN, and the positive one of two zeros. */
#define LARGER(a, b) vbslq_f32(vcgtq_f32(a, b), a, b)
#define SMALLER(a, b) vbslq_f32(vcltq_f32(a, b), a, b)

INLINE mask vec_less(vec a, vec b) { return EACH2(mask, vcltq_f32, a, b); }
INLINE mask ivec_equal(ivec a, ivec b) { return EACH2(mask, vceqq_u32, a, b); }
INLINE vec vec_select(mask m, vec a, vec b) { return EACH3(vec, vbslq_f32, m, a, b); }
INLINE vec vec_max(vec a, vec b) { return EACH2(vec, LARGER, a, b); }
INLINE vec vec_min(vec a, vec b) { return EACH2(vec, SMALLER, a, b); }

INLINE bool mask_all(mask m)
{
    uint32x4_t all = vandq_u32(vandq_u32(m.v[0], m.v[1]), vandq_u32(m.v[2], m.v[3]));
    return vminvq_u32(all) != 0;
}

/* ---- stored types --------------------------------------------------------------------------------------------- */

INLINE float32x4_t load_4_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
INLINE float32x4_t load_4_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
INLINE vec vec_load_bf16(const uint16_t *p) { return EACH_FROM(vec, load_4_bf16, p); }
INLINE vec vec_load_f16(const uint16_t *p) { return EACH_FROM(vec, load_4_f16, p); }

INLINE vec vec_load_i8(const int8_t *p)
{
    int8x16_t q = vld1q_s8(p);
    int16x8_t low = vmovl_s8(vget_low_s8(q)), high = vmovl_s8(vget_high_s8(q));
    return (vec){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                  vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}

INLINE void ivec_store_low(uint16_t *p, ivec a)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        vst1_u16(p + 4 * i, vmovn_u32(a.v[i]));
}

/* ---- across lanes: 8 apart, 4 apart, 2 apart, 1 apart ----------------------------------------------------------- */

INLINE float vec_sum(vec a)
{
    float32x4_t by4 = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
    float32x2_t by2 = vadd_f32(vget_low_f32(by4), vget_high_f32(by4));
    return vget_lane_f32(by2, 0) + vget_lane_f32(by2, 1);
}

/* In any order: only NaN and the sign of a zero depend on it, and the softmax that uses it does not. */
INLINE float vec_largest(vec a) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[2]), vmaxq_f32(a.v[1], a.v[3]))); }

#include "vec_whole.h"

#endif
