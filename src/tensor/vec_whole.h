/*
 * vec_whole.h - registers of the product for variants whose 16 floats are one vec. A variant with several registers in
 * a vec may define smaller ones, and with them tiles that end inside a panel (vec_avx2.h).
 */
#ifndef INK_TENSOR_VEC_WHOLE_H
#define INK_TENSOR_VEC_WHOLE_H

#define REG_LANES 16

typedef vec reg;

INLINE reg reg_load(const float *p) { return vec_load(p); }
INLINE void reg_store(float *p, reg a) { vec_store(p, a); }
INLINE reg reg_load_part(const float *p, size_t n) { return vec_load_part(p, n); }
INLINE void reg_store_part(float *p, size_t n, reg a) { vec_store_part(p, n, a); }
INLINE reg reg_load_bf16(const uint16_t *p) { return vec_load_bf16(p); }
INLINE reg reg_load_f16(const uint16_t *p) { return vec_load_f16(p); }
INLINE reg reg_load_i8(const int8_t *p) { return vec_load_i8(p); }
INLINE reg reg_splat(float x) { return vec_splat(x); }
INLINE reg reg_fma(reg a, reg b, reg c) { return vec_fma(a, b, c); }
INLINE reg reg_add(reg a, reg b) { return vec_add(a, b); }

#endif
