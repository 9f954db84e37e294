/*
 * vec.h - what every variant of the kernel is written over: a `vec` of 16 floats, an `ivec` of 16 32-bit integers, a
 * `mask` of 16 truth values, and some thirty inline primitives that each variant defines (vec_portable.h is the
 * definition to read; the others give the same bits).
 *
 * Every primitive rounds as IEEE 754 says, to nearest even, subnormal numbers included. Fused multiply-adds are
 * written out (vec_fma), and no compiler may make others of separate operations; fast-math may not touch this.
 */
#ifndef INK_TENSOR_VEC_H
#define INK_TENSOR_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"

#ifdef __FAST_MATH__
#error "inkling's results are exact to the bit; it cannot be built with -ffast-math"
#endif

/* Sanitizers put checks around every access; with everything unrolled and inlined, compilers then take minutes and
   gigabytes for one kernel. The results are the same without. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INK_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer) ||          \
    __has_feature(undefined_behavior_sanitizer)
#define INK_SANITIZED
#endif
#endif

#if defined(__GNUC__)
/* FORGET(value): the compiler no longer knows where it came from. STAY_HERE(value): nor may it do what follows from the
   value at any other place. */
#define PREFETCH(address) __builtin_prefetch((const void *)(address), 0, 2)
#define FORGET(value) __asm__("" : "+r"(value))
#define STAY_HERE(value) __asm__ volatile("" : "+r"(value))
#else
#define PREFETCH(address) (void)(address)
#define FORGET(value) (void)(value)
#define STAY_HERE(value) (void)(value)
#endif

/* UNROLL: loops over a tile, whose lengths are constants. UNROLL_STEPS: the loop over k, which stays as it is; clang
   unrolls it otherwise, and then has too few registers. */
#if defined(INK_SANITIZED)
#define INLINE static __attribute__((noinline, unused))
#define NOINLINE __attribute__((noinline))
#define UNROLL
#define UNROLL_STEPS
#elif defined(__clang__)
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_STEPS _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 24")
#define UNROLL_STEPS
#elif defined(_MSC_VER)
#define INLINE static __forceinline
#define NOINLINE __declspec(noinline)
#define UNROLL
#define UNROLL_STEPS
#else
#define INLINE static inline
#define NOINLINE
#define UNROLL
#define UNROLL_STEPS
#endif

/* For a vec of four parts v[0] to v[3]: a vec, ivec or mask T from a function of every part; from f of four addresses
   four elements apart; from the same part four times. */
#define EACH1(T, f, a) ((T){{f((a).v[0]), f((a).v[1]), f((a).v[2]), f((a).v[3])}})
#define EACH2(T, f, a, b)                                                                                              \
    ((T){{f((a).v[0], (b).v[0]), f((a).v[1], (b).v[1]), f((a).v[2], (b).v[2]), f((a).v[3], (b).v[3])}})
#define EACH3(T, f, a, b, c)                                                                                           \
    ((T){{f((a).v[0], (b).v[0], (c).v[0]), f((a).v[1], (b).v[1], (c).v[1]), f((a).v[2], (b).v[2], (c).v[2]),           \
          f((a).v[3], (b).v[3], (c).v[3])}})
#define EACH_FROM(T, f, p) ((T){{f(p), f((p) + 4), f((p) + 8), f((p) + 12)}})
#define EACH_SAME(T, x) ((T){{x, x, x, x}})

#endif
