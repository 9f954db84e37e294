/*
 * vec_neon.h - the primitives for NEON on aarch64: four registers. What each does: vec_portable.h.
 *
 * The loops over the four unroll; nothing of them is left in the program.
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

INLINE vec vec_load(const float *p)
{
    vec r;
    UNROLL
    for (int i = 0; i < 4; i++)
        r.v[i] = vld1q_f32(p + 4 * i);
    return r;
}

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

INLINE vec vec_load_bf16(const uint16_t *p)
{
    vec r;
    UNROLL
    for (int i = 0; i < 4; i++)
        r.v[i] = vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16));
    return r;
}

INLINE vec vec_load_f16(const uint16_t *p)
{
    vec r;
    UNROLL
    for (int i = 0; i < 4; i++)
        r.v[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)));
    return r;
}

INLINE vec vec_load_f64(const double *p)
{
    vec r;
    UNROLL
    for (int i = 0; i < 4; i++)
        r.v[i] = vcombine_f32(vcvt_f32_f64(vld1q_f64(p + 4 * i)), vcvt_f32_f64(vld1q_f64(p + 4 * i + 2)));
    return r;
}

INLINE void ivec_store_low(uint16_t *p, ivec a)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        vst1_u16(p + 4 * i, vmovn_u32(a.v[i]));
}

INLINE vec vec_splat(float x)
{
    float32x4_t v = vdupq_n_f32(x);
    return (vec){{v, v, v, v}};
}

INLINE ivec ivec_splat(uint32_t x)
{
    uint32x4_t v = vdupq_n_u32(x);
    return (ivec){{v, v, v, v}};
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------- */

INLINE vec vec_fma(vec a, vec b, vec c)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        c.v[i] = vfmaq_f32(c.v[i], a.v[i], b.v[i]);
    return c;
}

INLINE vec vec_add(vec a, vec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vaddq_f32(a.v[i], b.v[i]);
    return a;
}

INLINE vec vec_sub(vec a, vec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vsubq_f32(a.v[i], b.v[i]);
    return a;
}

INLINE vec vec_mul(vec a, vec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vmulq_f32(a.v[i], b.v[i]);
    return a;
}

INLINE vec vec_div(vec a, vec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vdivq_f32(a.v[i], b.v[i]);
    return a;
}

/* Not vmaxq and vminq, which give NaN if either is NaN, and the positive one of two zeros. */
INLINE vec vec_max(vec a, vec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]);
    return a;
}

INLINE vec vec_min(vec a, vec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]);
    return a;
}

INLINE float float_sqrt(float x) { return vget_lane_f32(vsqrt_f32(vdup_n_f32(x)), 0); }

/* ---- choosing ------------------------------------------------------------------------------------------------- */

INLINE mask vec_less(vec a, vec b)
{
    mask r;
    UNROLL
    for (int i = 0; i < 4; i++)
        r.v[i] = vcltq_f32(a.v[i], b.v[i]);
    return r;
}

INLINE mask ivec_equal(ivec a, ivec b)
{
    mask r;
    UNROLL
    for (int i = 0; i < 4; i++)
        r.v[i] = vceqq_u32(a.v[i], b.v[i]);
    return r;
}

INLINE vec vec_select(mask m, vec a, vec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vbslq_f32(m.v[i], a.v[i], b.v[i]);
    return a;
}

INLINE bool mask_all(mask m)
{
    uint32x4_t all = vandq_u32(vandq_u32(m.v[0], m.v[1]), vandq_u32(m.v[2], m.v[3]));
    return vminvq_u32(all) != 0;
}

/* ---- integers ------------------------------------------------------------------------------------------------- */

INLINE ivec vec_bits(vec a)
{
    ivec r;
    UNROLL
    for (int i = 0; i < 4; i++)
        r.v[i] = vreinterpretq_u32_f32(a.v[i]);
    return r;
}

INLINE vec ivec_floats(ivec a)
{
    vec r;
    UNROLL
    for (int i = 0; i < 4; i++)
        r.v[i] = vreinterpretq_f32_u32(a.v[i]);
    return r;
}

INLINE vec vec_from_ivec(ivec a)
{
    vec r;
    UNROLL
    for (int i = 0; i < 4; i++)
        r.v[i] = vcvtq_f32_s32(vreinterpretq_s32_u32(a.v[i]));
    return r;
}

INLINE ivec ivec_add(ivec a, ivec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vaddq_u32(a.v[i], b.v[i]);
    return a;
}

INLINE ivec ivec_sub(ivec a, ivec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vsubq_u32(a.v[i], b.v[i]);
    return a;
}

INLINE ivec ivec_and(ivec a, ivec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vandq_u32(a.v[i], b.v[i]);
    return a;
}

INLINE ivec ivec_or(ivec a, ivec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vorrq_u32(a.v[i], b.v[i]);
    return a;
}

INLINE ivec ivec_xor(ivec a, ivec b)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = veorq_u32(a.v[i], b.v[i]);
    return a;
}

/* A shift by a negative number goes to the right. */
INLINE ivec ivec_shift_left(ivec a, int n)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vshlq_u32(a.v[i], vdupq_n_s32(n));
    return a;
}

INLINE ivec ivec_shift_right(ivec a, int n) { return ivec_shift_left(a, -n); }

INLINE ivec ivec_shift_right_signed(ivec a, int n)
{
    UNROLL
    for (int i = 0; i < 4; i++)
        a.v[i] = vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(a.v[i]), vdupq_n_s32(-n)));
    return a;
}

/* ---- across lanes: 8 apart, 4 apart, 2 apart, 1 apart ----------------------------------------------------------- */

INLINE float vec_sum(vec a)
{
    float32x4_t by4 = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
    float32x2_t by2 = vadd_f32(vget_low_f32(by4), vget_high_f32(by4));
    return vget_lane_f32(by2, 0) + vget_lane_f32(by2, 1);
}

/* In any order: only the sign of a zero, and NaN, depend on it, and the softmax this is for does not. */
INLINE float vec_largest(vec a) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[2]), vmaxq_f32(a.v[1], a.v[3]))); }

#endif
