/*
 * kernel_avx512_vnni.c - quantised products for AVX-512 with dot products of bytes (VNNI). Floats are those of
 * kernel_avx512.c.
 */
#include "kernel.h"

#if defined(INK_KERNEL_AVX512) && !defined(INK_NO_QUANTISED)

#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c"))),   \
                             apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off")
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#include "dot_avx512.h"

/* 4 rows x 2 panels keep 8 integer and 8 float sums. */
#define QUANTISED ink_quantised_avx512_vnni
#define QUANTISED_ROWS 4
#define QUANTISED_STEPS 4
#define QUANTISED_PANELS 2
#define QUANTISED_FEW 4
#define QUANTISED_FEW_BYTES 1

#include "kernel_lanes.h"
#include "kernel_quantised.h"

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif
