/*
 * kernel_avx2.c - the kernel for AVX2 with FMA and F16C.
 *
 * This file switches the instructions on for its own functions, after the system's headers. So it compiles with any
 * flags, and nothing here is inlined into code that other processors run.
 */
#include "kernel.h"

#ifdef INK_KERNEL_AVX2

#include <immintrin.h>
#include <string.h>

#include "cpu.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#pragma GCC target("avx2,fma,f16c")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#include "dot_avx2.h"

#define KERNEL ink_kernel_avx2
#define KERNEL_NAME "avx2"
#define KERNEL_SUPPORTED ink_cpu_has_avx2

/* 16 registers of 8 floats. 6 rows x 2 registers, a panel of f32 or half a panel of 16-bit weights, keep 12 for sums,
   two for weights and one for x. Up to four rows take three panels, three registers at a time: 12 sums. A single
   row has as many where the weights are near, and 8 where they are not. */
#define TILE_ROWS(type) 6
#define TILE_PANELS(type) 1
#define TILE_WIDTH(type) 2
#define FEW_PANELS(type) 3
#define FEW_WIDTH 3
#define ONE_PANELS(type) ((type) == INK_F32 ? 4 : 2)
#define ONE_MOST 6
#define ONE_LOADS_FIRST(type) false
#define LAST_WIDTH(type) 2
#define I8_ROWS 2
#define I8_PANELS 2

/* 4 rows x 1 panel keep 8 sums, the sizes and signs of the weights 4 registers. */
#define QUANTISED ink_quantised_avx2
#define QUANTISED_ROWS 4
#define chunk_scales ink_chunk_scales_avx2
#define chunk_codes ink_chunk_codes_avx2
#define CHUNKS_ARE_SHARED
#define QUANTISED_STEPS 1
#define QUANTISED_PANELS 1
#define QUANTISED_FEW 1
#define QUANTISED_FEW_BYTES 1
#ifdef INK_KERNEL_AVX2_VNNI
#define DOT_KERNEL ink_kernel_avx2_vnni
#define DOT_NAME "avx2_vnni"
#define DOT_SUPPORTED ink_cpu_has_avx2_vnni
#define DOT_QUANTISED ink_quantised_avx2_vnni
#endif

#include "kernel_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
