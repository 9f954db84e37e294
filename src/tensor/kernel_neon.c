/*
 * kernel_neon.c - the kernel for NEON on aarch64, where every processor has it.
 */
#include "kernel.h"

#ifdef INK_KERNEL_NEON

#include <arm_neon.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
/* Scheduling before register allocation loads all of x first, and then 6 x 1 does not fit the registers. */
#pragma GCC optimize("fp-contract=off", "no-schedule-insns")
#endif

#include "../base/platform.h"
#include "dot_neon.h"

static bool neon_supported(void) { return true; }

#define KERNEL ink_kernel_neon
#define KERNEL_NAME "neon"
#define KERNEL_SUPPORTED neon_supported

/* 32 registers: 6 rows x 16 outputs keeps 24 of them for sums, four for a row of the panel and one for x. */
#define TILE_ROWS(type) 6
#define TILE_PANELS(type) 1
#define TILE_WIDTH(type) 1
#define FEW_PANELS(type) 0
#define FEW_WIDTH 1
#define ONE_PANELS(type) ((type) == INK_F32 ? 4 : 2)
#define ONE_MOST ONE_PANELS(INK_F32)
#define ONE_LOADS_FIRST(type) false
#define LAST_WIDTH(type) 1
#define I8_ROWS 2
#define I8_PANELS 1

/* 4 rows x 1 panel keep 16 sums. */
#define QUANTISED ink_quantised_neon
#define QUANTISED_ROWS 4
#define chunk_scales ink_chunk_scales_neon
#define chunk_codes ink_chunk_codes_neon
#define CHUNKS_ARE_SHARED
#define QUANTISED_STEPS 1
#define QUANTISED_PANELS 1
#define QUANTISED_FEW 1
#define QUANTISED_FEW_BYTES 1
#define DOT_KERNEL ink_kernel_neon_dotprod
#define DOT_NAME "neon_dotprod"
#define DOT_SUPPORTED ink_platform_has_dotprod
#define DOT_QUANTISED ink_quantised_neon_dotprod

#include "kernel_body.h"

#endif
