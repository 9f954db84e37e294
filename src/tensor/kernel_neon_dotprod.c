/*
 * kernel_neon_dotprod.c - quantised products for NEON with dot products of bytes (ARMv8.2 DotProd). Floats are those of
 * kernel_neon.c.
 */
#include "kernel.h"

#if defined(INK_KERNEL_NEON) && !defined(INK_NO_QUANTISED)

#include <arm_neon.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off", "no-schedule-insns")
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#define DOT_PRODUCTS
#include "dot_neon.h"

/* 6 rows x 1 panel keep 24 sums. */
#define QUANTISED ink_quantised_neon_dotprod
#define QUANTISED_ROWS 6
#define chunk_scales ink_chunk_scales_neon
#define chunk_codes ink_chunk_codes_neon
#define CHUNKS_ARE_ELSEWHERE
#define QUANTISED_STEPS 4
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
