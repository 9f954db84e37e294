/*
 * cpu.h - instruction sets that both the processor and the operating system support. CPUID tells what the processor can
 * do, and XCR0 which registers the system saves when it switches threads. Without both, vectors would be lost at times.
 */
#ifndef INK_TENSOR_CPU_H
#define INK_TENSOR_CPU_H

#include "kernel.h"

#if defined(INK_KERNEL_AVX2) || defined(INK_KERNEL_AVX512)
bool ink_cpu_has_avx2(void);      /* AVX2, FMA, F16C */
bool ink_cpu_has_avx2_vnni(void); /* the same and AVX-VNNI */
bool ink_cpu_has_avx512(void);    /* the same and AVX-512 F, BW, DQ, VL */
bool ink_cpu_has_avx512_vnni(void);
#endif

#endif
