/*
 * kernel_avx2.c - the kernel for AVX2 with FMA and F16C.
 *
 * The instructions are switched on for this file's functions only, after the system's headers: any compiler flags will
 * do, and nothing here is inlined into code that other processors run.
 */
#include "kernel.h"

#ifdef INK_KERNEL_X86

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

#include "vec_avx2.h"

#define KERNEL ink_kernel_avx2
#define KERNEL_NAME "avx2"
#define KERNEL_SUPPORTED ink_cpu_has_avx2

/* 16 registers of 8 floats: 6 x 1 panel keeps 12 of them for sums, two for the panel's row and one for x. Up to four
   rows take three panels in two halves of three registers, 12 sums again. */
#define TILE_ROWS 6
#define TILE_PANELS 1
#define FEW_PANELS 3
#define FEW_WIDTH 3
#define ONE_PANELS 4

#include "kernel_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
