/*
 * kernel_portable.c - the kernel in plain C, for any processor.
 */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#include "dot_portable.h"
#include "vec_portable.h"

static bool portable_supported(void) { return true; }

#define KERNEL ink_kernel_portable
#define KERNEL_NAME "portable"
#define KERNEL_SUPPORTED portable_supported
#define TILE_ROWS(type) 2
#define TILE_PANELS(type) 1
#define TILE_WIDTH(type) 1
#define FEW_PANELS(type) 0
#define FEW_WIDTH 1
#define ONE_PANELS(type) 1
#define ONE_MOST ONE_PANELS(INK_F32)
#define ONE_LOADS_FIRST(type) false
#define LAST_WIDTH(type) 1
#define I8_ROWS 1
#define I8_PANELS 1
#define QUANTISED ink_quantised_portable
#define QUANTISED_ROWS 1
#define QUANTISED_STEPS 1
#define QUANTISED_PANELS 1
#define QUANTISED_FEW 0
#define QUANTISED_FEW_BYTES 0

#include "kernel_body.h"
