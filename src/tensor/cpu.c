/*
 * cpu.c - asks an x86 processor and its operating system (Intel SDM volume 1, section 14.3, "Detection of AVX
 * instructions").
 */
#include "cpu.h"

#if defined(INK_KERNEL_AVX2) || defined(INK_KERNEL_AVX512)

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#else
#include <cpuid.h>
#endif

typedef struct registers {
    uint32_t eax, ebx, ecx, edx;
} registers;

static registers cpuid(uint32_t leaf, uint32_t part)
{
    registers r = {0, 0, 0, 0};
#if defined(_MSC_VER) && !defined(__clang__)
    int out[4], highest[4];
    __cpuid(highest, 0);
    if ((uint32_t)highest[0] < leaf)
        return r;
    __cpuidex(out, (int)leaf, (int)part);
    r = (registers){(uint32_t)out[0], (uint32_t)out[1], (uint32_t)out[2], (uint32_t)out[3]};
#else
    /* A processor without this leaf leaves r at 0. */
    (void)__get_cpuid_count(leaf, part, &r.eax, &r.ebx, &r.ecx, &r.edx);
#endif
    return r;
}

/* The low half of XCR0; valid only if CPUID says that the system uses XSAVE. */
static uint32_t saved_by_system(void)
{
#if defined(_MSC_VER) && !defined(__clang__)
    return (uint32_t)_xgetbv(0);
#else
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
#endif
}

static bool has_all(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

bool ink_cpu_has_avx2(void)
{
    const uint32_t fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29, avx2 = 1u << 5;
    const uint32_t xmm_and_ymm = 0x6;
    if (!has_all(cpuid(1, 0).ecx, fma | osxsave | avx | f16c))
        return false;
    return has_all(saved_by_system(), xmm_and_ymm) && has_all(cpuid(7, 0).ebx, avx2);
}

/* Leaf 7 says in eax how many parts it has behind part 0. */
bool ink_cpu_has_avx2_vnni(void)
{
    return ink_cpu_has_avx2() && cpuid(7, 0).eax >= 1 && has_all(cpuid(7, 1).eax, 1u << 4);
}

bool ink_cpu_has_avx512(void)
{
    const uint32_t f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    const uint32_t masks_and_zmm = 0xe0;
    if (!ink_cpu_has_avx2())
        return false;
    return has_all(saved_by_system(), masks_and_zmm) && has_all(cpuid(7, 0).ebx, f | dq | bw | vl);
}

bool ink_cpu_has_avx512_vnni(void) { return ink_cpu_has_avx512() && has_all(cpuid(7, 0).ecx, 1u << 11); }

#endif
