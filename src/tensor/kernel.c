/*
 * kernel.c - the list of kernels of this build, and the choice of one that this machine supports.
 */
#include <string.h>

#include "kernel.h"

/* The fastest first. */
static const ink_kernel *const kernels[] = {
#ifdef INK_KERNEL_AVX512
#ifndef INK_NO_QUANTISED
    &ink_kernel_avx512_vnni,
#endif
    &ink_kernel_avx512,
#endif
#ifdef INK_KERNEL_AVX2_VNNI
    &ink_kernel_avx2_vnni,
#endif
#ifdef INK_KERNEL_AVX2
    &ink_kernel_avx2,
#endif
#ifdef INK_KERNEL_NEON
#ifndef INK_NO_QUANTISED
    &ink_kernel_neon_dotprod,
#endif
    &ink_kernel_neon,
#endif
#ifdef INK_KERNEL_SSE2
    &ink_kernel_sse2,
#endif
#ifdef INK_KERNEL_SIMD128
    &ink_kernel_simd128,
#endif
    &ink_kernel_portable,
};

#define N_KERNELS (sizeof kernels / sizeof *kernels)

const ink_kernel *ink_kernel_find(const char *name)
{
    for (size_t i = 0; i < N_KERNELS; i++)
        if ((name == NULL || strcmp(name, kernels[i]->name) == 0) && kernels[i]->supported())
            return kernels[i];
    return NULL;
}

const char *ink_context_kernel(const ink_context *ctx) { return ctx->kernel->name; }

const char *ink_kernel_name(size_t i)
{
    for (size_t j = 0; j < N_KERNELS; j++)
        if (kernels[j]->supported() && i-- == 0)
            return kernels[j]->name;
    return NULL;
}
