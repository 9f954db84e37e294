/*
 * kernel_avx2_vnni.c - quantised products for AVX2 with dot products of bytes (AVX-VNNI). Floats are those of
 * kernel_avx2.c.
 */
#include "kernel.h"

#ifdef INK_KERNEL_AVX2_VNNI

#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avxvnni,avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#pragma GCC target("avxvnni,avx2,fma,f16c")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#define DOT_VNNI
#include "dot_avx2.h"

/* 4 rows x 1 panel keep 8 sums of integers, and as many of floats are not far. */
#define QUANTISED ink_quantised_avx2_vnni
#define QUANTISED_ROWS 4
#define chunk_scales ink_chunk_scales_avx2
#define chunk_codes ink_chunk_codes_avx2
#define CHUNKS_ARE_ELSEWHERE
#define QUANTISED_STEPS 1
#define QUANTISED_PANELS 1
#define QUANTISED_FEW 1
#define QUANTISED_FEW_BYTES 1

#include "kernel_lanes.h"
#include "kernel_quantised.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
