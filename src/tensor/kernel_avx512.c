/*
 * kernel_avx512.c - the kernel for AVX-512 (F, BW, DQ, VL).
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
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
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

/* 32 registers: 8 x 3 panels keeps 24 of them for sums, up to four rows by 4 panels 16. */
#define TILE_ROWS 8
#define TILE_PANELS 3
#define FEW_PANELS 4
#define FEW_WIDTH 4
#define ONE_PANELS 4

#include "kernel_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
