/*
 * kernel_avx512.c - the kernel for AVX-512 (F, BW, DQ, VL).
 *
 * This file switches the instructions on for its own functions, after the system's headers. So it compiles with any
 * flags, and nothing here is inlined into code that other processors run.
 */
#include "kernel.h"

#ifdef INK_KERNEL_AVX512

#include <immintrin.h>
#include <string.h>

#include "cpu.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))),              \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#include "vec_avx512.h"

#define KERNEL ink_kernel_avx512
#define KERNEL_NAME "avx512"
#define KERNEL_SUPPORTED ink_cpu_has_avx512

/* 32 registers. 8 rows x 3 panels keep 24 for sums, up to four rows x 4 panels 16. A panel of 16-bit weights is two
   registers, so 6 rows x 2 panels are 24 sums again. A single row has registers left to load all 16-bit weights of a
   step before it multiplies. Of f32 it takes 12 panels where the weights are near. */
#define TILE_ROWS(type) ((type) == INK_F32 ? 8 : 6)
#define TILE_PANELS(type) ((type) == INK_F32 ? 3 : 2)
#define TILE_WIDTH(type) ((type) == INK_F32 ? 3 : 4)
#define FEW_PANELS(type) ((type) == INK_F32 ? 4 : 0)
#define FEW_WIDTH 4
#define ONE_PANELS(type) 4
#define ONE_MOST 12
#define ONE_LOADS_FIRST(type) ((type) != INK_F32)
#define LOADS_STAY_FIRST
#define LAST_WIDTH(type) ((type) == INK_BF16 || (type) == INK_F16 ? 2 : 1)
#define I8_ROWS 2
#define I8_PANELS 4

/* Without dot products of bytes, wider vectors gain little: what AVX2 has will do. */
#ifndef INK_NO_QUANTISED
#ifdef INK_KERNEL_AVX2
#define KERNEL_QUANTISED &ink_quantised_avx2
#else
#define KERNEL_QUANTISED &ink_quantised_portable
#endif
#endif
#define DOT_KERNEL ink_kernel_avx512_vnni
#define DOT_NAME "avx512_vnni"
#define DOT_SUPPORTED ink_cpu_has_avx512_vnni
#define DOT_QUANTISED ink_quantised_avx512_vnni

#include "kernel_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
