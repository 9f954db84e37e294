/*
 * kernel_128.c - the kernel for vectors of 128 bits without a fused multiply-add: SSE2, which every x86-64 processor
 * has, and the fixed-width vectors of WebAssembly, which have no detection: what is built with -msimd128 uses them.
 */
#include "kernel.h"

#if defined(INK_KERNEL_SSE2) || defined(INK_KERNEL_SIMD128)

#ifdef INK_KERNEL_SSE2
#include <emmintrin.h>
#define KERNEL ink_kernel_sse2
#define KERNEL_NAME "sse2"
#else
#include <wasm_simd128.h>
#define KERNEL ink_kernel_simd128
#define KERNEL_NAME "simd128"
#endif

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#include "vec_128.h"

static bool always(void) { return true; }

#define KERNEL_SUPPORTED always

/* kernel_wide.h has tiles of one row by sixteen lanes. */
#define TILE_ROWS(type) 1
#define TILE_PANELS(type) 1
#define TILE_WIDTH(type) 1
#define FEW_PANELS(type) 0
#define FEW_WIDTH 1
#define ONE_PANELS(type) 1
#define LAST_WIDTH(type) 1
#define I8_ROWS 1
#define I8_PANELS 1
#ifndef INK_NO_QUANTISED
#define KERNEL_QUANTISED &ink_quantised_portable
#endif

#include "kernel_body.h"

#endif
