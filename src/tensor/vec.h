/*
 * vec.h - common to the instruction sets. Each vec_*.h defines a `vec` of VEC_LANES floats, an `ivec` of as many 32-bit
 * integers, a `mask` of as many truth values, about thirty inline primitives on them, and the registers `reg` of the
 * product. All five files list the same primitives in the same order; vec_portable.h is the definition to read, and
 * the others give the same bits.
 *
 * Every primitive rounds as IEEE 754 says, to nearest even, with subnormal numbers. Fused multiply-adds are explicit
 * (vec_fma); no compiler may fuse separate operations, and fast-math is refused.
 */
#ifndef INK_TENSOR_VEC_H
#define INK_TENSOR_VEC_H

#include <float.h> /* FLT_EVAL_METHOD */
#include <math.h>  /* NAN */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"

/* Compilers that reorder sums or leave out zeros and NaNs say so by these. */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0) ||                           \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "inkling's results are exact to the bit; it cannot be built with -ffast-math"
#endif

/* Sanitizers check every access. With everything unrolled and inlined, a compiler would then take minutes and gigabytes
   for one kernel, so nothing is inlined. The results are the same. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INK_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer) ||          \
    __has_feature(undefined_behavior_sanitizer)
#define INK_SANITIZED
#endif
#endif

#if defined(__GNUC__)
/* FORGET(value): the compiler no longer knows how the value was computed. STAY_HERE(value): it may not move
   computations that depend on the value to before this place either. */
#define PREFETCH(address) __builtin_prefetch((const void *)(address), 0, 2)
#define FORGET(value) __asm__("" : "+r"(value))
#define STAY_HERE(value) __asm__ volatile("" : "+r"(value))
#define UNLIKELY(condition) __builtin_expect(condition, 0)
#else
#define PREFETCH(address) (void)(address)
#define FORGET(value) (void)(value)
#define STAY_HERE(value) (void)(value)
#endif

/* UNROLL: for loops over a tile, whose lengths are constants. UNROLL_STEPS: for the loop over k, which must not be
   unrolled; clang would, and then run out of registers. */
#if defined(INK_SANITIZED)
#define INLINE static __attribute__((noinline, unused))
#define NOINLINE __attribute__((noinline, unused))
#define UNROLL
#define UNROLL_STEPS
#elif defined(__clang__)
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline, unused))
#define UNROLL _Pragma("clang loop unroll(full)")
#define UNROLL_STEPS _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline, unused))
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
