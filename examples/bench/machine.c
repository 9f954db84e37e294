/*
 * bench_machine.c - see bench_machine.h.
 *
 * A multiply-add waits some four cycles for its own result and two can begin in every cycle, so twelve independent sums
 * keep the units busy. They begin with different numbers, or compilers see that one of them is enough; and none with 1,
 * which stays 1, as compilers see too. Reading goes through eight independent registers for the same reason.
 */
#if defined(__linux__)
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#endif

#include "bench_machine.h"

#include <stdlib.h>
#include <string.h>

#include "console.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_X86
#endif

enum { STEPS = 20000, SUMS = 12, ADDITIONS = 40000 };

#define LARGE_PAGE ((size_t)2 << 20)

/* What a loop computed goes here, so that no compiler leaves the loop out. */
static volatile float sink;

machine_isa machine_isa_of(const char *kernel)
{
    (void)kernel;
#ifdef HAVE_X86
    if (strcmp(kernel, "avx512") == 0)
        return MACHINE_AVX512;
    if (strcmp(kernel, "avx2") == 0)
        return MACHINE_AVX2;
#endif
    return MACHINE_PLAIN;
}

/* ---- plain C ----------------------------------------------------------------------------------------------------- */

static void multiply_add_plain(void)
{
    float a[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t i = 0; i < STEPS; i++)
        for (size_t j = 0; j < 8; j++)
            a[j] = a[j] * 0.999f + 0.001f;
    sink = a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
}

static void read_plain(const float *p, size_t n)
{
    float a[8] = {0};
    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < 8; j++)
            a[j] += p[i + j];
    sink = a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
}

static void read_panels_plain(const float *p, size_t panel)
{
    float a[4] = {0};
    for (size_t i = 0; i < panel; i++)
        for (size_t j = 0; j < 4; j++)
            a[j] += p[j * panel + i];
    sink = a[0] + a[1] + a[2] + a[3];
}

/* ---- AVX2 and AVX-512 -------------------------------------------------------------------------------------------- */

#ifdef HAVE_X86
__attribute__((target("avx2,fma"), noinline)) static void multiply_add_avx2(void)
{
    const __m256 m = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(0.001f);
    __m256 a0 = _mm256_set1_ps(0), a1 = _mm256_set1_ps(12), a2 = _mm256_set1_ps(2);
    __m256 a3 = _mm256_set1_ps(3), a4 = _mm256_set1_ps(4), a5 = _mm256_set1_ps(5);
    __m256 a6 = _mm256_set1_ps(6), a7 = _mm256_set1_ps(7), a8 = _mm256_set1_ps(8);
    __m256 a9 = _mm256_set1_ps(9), a10 = _mm256_set1_ps(10), a11 = _mm256_set1_ps(11);
    for (size_t i = 0; i < STEPS; i++) {
        a0 = _mm256_fmadd_ps(a0, m, c);
        a1 = _mm256_fmadd_ps(a1, m, c);
        a2 = _mm256_fmadd_ps(a2, m, c);
        a3 = _mm256_fmadd_ps(a3, m, c);
        a4 = _mm256_fmadd_ps(a4, m, c);
        a5 = _mm256_fmadd_ps(a5, m, c);
        a6 = _mm256_fmadd_ps(a6, m, c);
        a7 = _mm256_fmadd_ps(a7, m, c);
        a8 = _mm256_fmadd_ps(a8, m, c);
        a9 = _mm256_fmadd_ps(a9, m, c);
        a10 = _mm256_fmadd_ps(a10, m, c);
        a11 = _mm256_fmadd_ps(a11, m, c);
    }
    __m256 low = _mm256_add_ps(_mm256_add_ps(a0, a1), _mm256_add_ps(a2, a3));
    __m256 middle = _mm256_add_ps(_mm256_add_ps(a4, a5), _mm256_add_ps(a6, a7));
    __m256 high = _mm256_add_ps(_mm256_add_ps(a8, a9), _mm256_add_ps(a10, a11));
    sink = _mm256_cvtss_f32(_mm256_add_ps(_mm256_add_ps(low, middle), high));
}

__attribute__((target("avx512f"), noinline)) static void multiply_add_avx512(void)
{
    const __m512 m = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(0.001f);
    __m512 a0 = _mm512_set1_ps(0), a1 = _mm512_set1_ps(12), a2 = _mm512_set1_ps(2);
    __m512 a3 = _mm512_set1_ps(3), a4 = _mm512_set1_ps(4), a5 = _mm512_set1_ps(5);
    __m512 a6 = _mm512_set1_ps(6), a7 = _mm512_set1_ps(7), a8 = _mm512_set1_ps(8);
    __m512 a9 = _mm512_set1_ps(9), a10 = _mm512_set1_ps(10), a11 = _mm512_set1_ps(11);
    for (size_t i = 0; i < STEPS; i++) {
        a0 = _mm512_fmadd_ps(a0, m, c);
        a1 = _mm512_fmadd_ps(a1, m, c);
        a2 = _mm512_fmadd_ps(a2, m, c);
        a3 = _mm512_fmadd_ps(a3, m, c);
        a4 = _mm512_fmadd_ps(a4, m, c);
        a5 = _mm512_fmadd_ps(a5, m, c);
        a6 = _mm512_fmadd_ps(a6, m, c);
        a7 = _mm512_fmadd_ps(a7, m, c);
        a8 = _mm512_fmadd_ps(a8, m, c);
        a9 = _mm512_fmadd_ps(a9, m, c);
        a10 = _mm512_fmadd_ps(a10, m, c);
        a11 = _mm512_fmadd_ps(a11, m, c);
    }
    __m512 low = _mm512_add_ps(_mm512_add_ps(a0, a1), _mm512_add_ps(a2, a3));
    __m512 middle = _mm512_add_ps(_mm512_add_ps(a4, a5), _mm512_add_ps(a6, a7));
    __m512 high = _mm512_add_ps(_mm512_add_ps(a8, a9), _mm512_add_ps(a10, a11));
    sink = _mm512_cvtss_f32(_mm512_add_ps(_mm512_add_ps(low, middle), high));
}

__attribute__((target("avx2"), noinline)) static void read_avx2(const float *p, size_t n)
{
    __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    for (size_t i = 0; i < n; i += 64) {
        a = _mm256_or_ps(a, _mm256_load_ps(p + i));
        b = _mm256_or_ps(b, _mm256_load_ps(p + i + 8));
        c = _mm256_or_ps(c, _mm256_load_ps(p + i + 16));
        d = _mm256_or_ps(d, _mm256_load_ps(p + i + 24));
        e = _mm256_or_ps(e, _mm256_load_ps(p + i + 32));
        f = _mm256_or_ps(f, _mm256_load_ps(p + i + 40));
        g = _mm256_or_ps(g, _mm256_load_ps(p + i + 48));
        h = _mm256_or_ps(h, _mm256_load_ps(p + i + 56));
    }
    a = _mm256_or_ps(_mm256_or_ps(a, b), _mm256_or_ps(c, d));
    e = _mm256_or_ps(_mm256_or_ps(e, f), _mm256_or_ps(g, h));
    sink = _mm256_cvtss_f32(_mm256_or_ps(a, e));
}

__attribute__((target("avx2"), noinline)) static void read_panels_avx2(const float *p, size_t panel)
{
    __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
    for (size_t i = 0; i < panel; i += 8) {
        a = _mm256_or_ps(a, _mm256_load_ps(p + i));
        b = _mm256_or_ps(b, _mm256_load_ps(p + panel + i));
        c = _mm256_or_ps(c, _mm256_load_ps(p + 2 * panel + i));
        d = _mm256_or_ps(d, _mm256_load_ps(p + 3 * panel + i));
    }
    sink = _mm256_cvtss_f32(_mm256_or_ps(_mm256_or_ps(a, b), _mm256_or_ps(c, d)));
}

__attribute__((target("avx512f"), noinline)) static void read_panels_avx512(const float *p, size_t panel)
{
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < panel; i += 16) {
        a = _mm512_or_si512(a, _mm512_load_si512(p + i));
        b = _mm512_or_si512(b, _mm512_load_si512(p + panel + i));
        c = _mm512_or_si512(c, _mm512_load_si512(p + 2 * panel + i));
        d = _mm512_or_si512(d, _mm512_load_si512(p + 3 * panel + i));
    }
    a = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
    sink = _mm512_cvtss_f32(_mm512_castsi512_ps(a));
}

__attribute__((target("avx512f"), noinline)) static void read_avx512(const float *p, size_t n)
{
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    for (size_t i = 0; i < n; i += 128) {
        a = _mm512_or_si512(a, _mm512_load_si512(p + i));
        b = _mm512_or_si512(b, _mm512_load_si512(p + i + 16));
        c = _mm512_or_si512(c, _mm512_load_si512(p + i + 32));
        d = _mm512_or_si512(d, _mm512_load_si512(p + i + 48));
        e = _mm512_or_si512(e, _mm512_load_si512(p + i + 64));
        f = _mm512_or_si512(f, _mm512_load_si512(p + i + 80));
        g = _mm512_or_si512(g, _mm512_load_si512(p + i + 96));
        h = _mm512_or_si512(h, _mm512_load_si512(p + i + 112));
    }
    a = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
    e = _mm512_or_si512(_mm512_or_si512(e, f), _mm512_or_si512(g, h));
    sink = _mm512_cvtss_f32(_mm512_castsi512_ps(_mm512_or_si512(a, e)));
}
#endif

/* ---- timing ------------------------------------------------------------------------------------------------------ */

typedef struct loops {
    void (*multiply_add)(void);
    void (*read)(const float *p, size_t n);
    void (*read_panels)(const float *p, size_t panel);
    double flops; /* of one multiply_add */
} loops;

static loops loops_of(machine_isa isa)
{
#ifdef HAVE_X86
    if (isa == MACHINE_AVX512)
        return (loops){multiply_add_avx512, read_avx512, read_panels_avx512, 2.0 * STEPS * SUMS * 16};
    if (isa == MACHINE_AVX2)
        return (loops){multiply_add_avx2, read_avx2, read_panels_avx2, 2.0 * STEPS * SUMS * 8};
#endif
    (void)isa;
    return (loops){multiply_add_plain, read_plain, read_panels_plain, 2.0 * STEPS * 8};
}

double machine_multiply_adds(machine_isa isa)
{
    const loops l = loops_of(isa);
    double start = console_seconds();
    l.multiply_add();
    return l.flops / (console_seconds() - start);
}

double machine_reads(machine_isa isa, const void *data, size_t size, size_t times)
{
    const loops l = loops_of(isa);
    double start = console_seconds();
    for (size_t i = 0; i < times; i++)
        l.read(data, size / sizeof(float));
    return (double)size * (double)times / (console_seconds() - start);
}

double machine_reads_panels(machine_isa isa, const void *data, size_t size, size_t panel)
{
    const loops l = loops_of(isa);
    const unsigned char *p = data;
    size_t group = 4 * panel, n_groups = size / group;
    double start = console_seconds();
    for (size_t i = 0; i < n_groups; i++)
        l.read_panels((const float *)(const void *)(p + i * group), panel / sizeof(float));
    return (double)group * (double)n_groups / (console_seconds() - start);
}

double machine_copies(const void *from, void *to, size_t size)
{
    double start = console_seconds();
    memcpy(to, from, size);
    double seconds = console_seconds() - start;
    sink = ((const float *)to)[size / sizeof(float) / 2];
    return (double)size / seconds;
}

double machine_clock(void)
{
#if defined(__GNUC__)
    unsigned x = 1;
    double start = console_seconds();
    for (size_t i = 0; i < ADDITIONS; i += 8) {
        for (size_t j = 0; j < 8; j++) {
            x += 3;
            __asm__ volatile("" : "+r"(x)); /* the compiler must not add them up by itself */
        }
    }
    double seconds = console_seconds() - start;
    sink = (float)x;
    return ADDITIONS / seconds;
#else
    return 0;
#endif
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

void *machine_memory(size_t size)
{
    void *memory = aligned_alloc(LARGE_PAGE, (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE);
    if (memory == NULL)
        return NULL;
#if defined(MADV_HUGEPAGE)
    madvise(memory, size, MADV_HUGEPAGE);
#endif
    memset(memory, 1, size); /* pages of zeros might all be one */
    return memory;
}
