/*
 * machine.c - the ceilings of the machine.
 *
 * A multiply-add takes about four cycles and two can start in every cycle, so twelve independent sums keep the units
 * busy. The sums start with different numbers, or a compiler would compute only one of them, and none starts with 1,
 * which stays 1 and would be left out too. Reading uses eight independent registers for the same reason.
 */
#if defined(__linux__)
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#endif

#include "bench.h"

#include <stdlib.h>
#include <string.h>

/* gcc for Windows needs its assembler's help (src/tensor/kernel.h). */
#if defined(__x86_64__) && defined(__GNUC__) && (!defined(_WIN32) || defined(__clang__) || defined(INK_UNALIGNED_MOVES))
#include <immintrin.h>
#define HAVE_X86
#if defined(__clang__) ? __clang_major__ >= 14 : __GNUC__ >= 11
#define HAVE_VNNI
#endif
#endif

enum { STEPS = 20000, SUMS = 12, ADDITIONS = 40000 };

#define LARGE_PAGE ((size_t)2 << 20)

/* The results of the loops go here, so that no compiler leaves a loop out. */
static volatile float sink;

machine_isa machine_isa_of(const char *kernel)
{
    (void)kernel;
#ifdef HAVE_X86
    static const struct {
        const char *name;
        machine_isa isa;
    } isas[] = {{"avx2", MACHINE_AVX2},
                {"avx2_vnni", MACHINE_AVX2_VNNI},
                {"avx512", MACHINE_AVX512},
                {"avx512_vnni", MACHINE_AVX512_VNNI}};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        if (strcmp(kernel, isas[i].name) == 0)
            return isas[i].isa;
#endif
    return MACHINE_PLAIN;
}

/* ---- loops ------------------------------------------------------------------------------------------------------ */

/* A loop over registers that must be unrolled, or they would live in memory. */
#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLLED _Pragma("GCC unroll 12")
#else
#define UNROLLED
#endif

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

/* Four bytes by four bytes into 32 bits; compilers make of it what they can. */
static void dot_plain(void)
{
    static const signed char x[4] = {1, 2, 3, 4};
    static volatile unsigned char first_byte = 1;
    unsigned char w[64];
    int a[16] = {0};
    memset(w, first_byte, sizeof w);
    for (size_t i = 0; i < STEPS / 16; i++) {
        for (size_t j = 0; j < 16; j++)
            a[j] += w[4 * j] * x[0] + w[4 * j + 1] * x[1] + w[4 * j + 2] * x[2] + w[4 * j + 3] * x[3];
        w[i % 64] ^= 1;
    }
    for (size_t j = 1; j < 16; j++)
        a[0] += a[j];
    sink = (float)a[0];
}

#ifdef HAVE_X86
#define AVX2 __attribute__((target("avx2,fma"), noinline)) static
#define AVX512 __attribute__((target("avx512f"), noinline)) static
#define AVX2_INLINE __attribute__((target("avx2,fma"), always_inline)) static inline
#define AVX512_INLINE __attribute__((target("avx512f"), always_inline)) static inline

static const float first[SUMS] = {0, 12, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

AVX2 void multiply_add_avx2(void)
{
    const __m256 m = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(0.001f);
    __m256 a[SUMS];
    UNROLLED for (size_t j = 0; j < SUMS; j++) a[j] = _mm256_set1_ps(first[j]);
    for (size_t i = 0; i < STEPS; i++)
        UNROLLED for (size_t j = 0; j < SUMS; j++) a[j] = _mm256_fmadd_ps(a[j], m, c);
    UNROLLED for (size_t j = 1; j < SUMS; j++) a[0] = _mm256_add_ps(a[0], a[j]);
    sink = _mm256_cvtss_f32(a[0]);
}

AVX512 void multiply_add_avx512(void)
{
    const __m512 m = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(0.001f);
    __m512 a[SUMS];
    UNROLLED for (size_t j = 0; j < SUMS; j++) a[j] = _mm512_set1_ps(first[j]);
    for (size_t i = 0; i < STEPS; i++)
        UNROLLED for (size_t j = 0; j < SUMS; j++) a[j] = _mm512_fmadd_ps(a[j], m, c);
    UNROLLED for (size_t j = 1; j < SUMS; j++) a[0] = _mm512_add_ps(a[0], a[j]);
    sink = _mm512_cvtss_f32(a[0]);
}

/* Ten sums are enough, and leave registers for the products. KEEP: the compiler must not see that x stays the same. */
enum { DOT_SUMS = 10 };
#define KEEP(x) __asm__ volatile("" : "+x"(x))

AVX2 void dot_avx2(void)
{
    const __m256i w = _mm256_set1_epi8(5), ones = _mm256_set1_epi16(1);
    __m256i a[DOT_SUMS], x = _mm256_set1_epi8(3);
    UNROLLED for (size_t j = 0; j < DOT_SUMS; j++) a[j] = _mm256_set1_epi32((int)j);
    for (size_t i = 0; i < STEPS; i++) {
        UNROLLED for (size_t j = 0; j < DOT_SUMS; j++)
        {
            KEEP(x);
            a[j] = _mm256_add_epi32(a[j], _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), ones));
        }
    }
    UNROLLED for (size_t j = 1; j < DOT_SUMS; j++) a[0] = _mm256_add_epi32(a[0], a[j]);
    sink = (float)_mm256_extract_epi32(a[0], 0);
}

#define AVX512BW __attribute__((target("avx512f,avx512bw"), noinline)) static

AVX512BW void dot_avx512(void)
{
    const __m512i w = _mm512_set1_epi8(5), ones = _mm512_set1_epi16(1);
    __m512i a[DOT_SUMS], x = _mm512_set1_epi8(3);
    UNROLLED for (size_t j = 0; j < DOT_SUMS; j++) a[j] = _mm512_set1_epi32((int)j);
    for (size_t i = 0; i < STEPS; i++) {
        UNROLLED for (size_t j = 0; j < DOT_SUMS; j++)
        {
            KEEP(x);
            a[j] = _mm512_add_epi32(a[j], _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), ones));
        }
    }
    UNROLLED for (size_t j = 1; j < DOT_SUMS; j++) a[0] = _mm512_add_epi32(a[0], a[j]);
    sink = (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(a[0]));
}

#ifdef HAVE_VNNI
__attribute__((target("avxvnni,avx2"), noinline)) static void dot_avx2_vnni(void)
{
    const __m256i w = _mm256_set1_epi8(5), x = _mm256_set1_epi8(3);
    __m256i a[DOT_SUMS];
    UNROLLED for (size_t j = 0; j < DOT_SUMS; j++) a[j] = _mm256_set1_epi32((int)j);
    for (size_t i = 0; i < STEPS; i++)
        UNROLLED for (size_t j = 0; j < DOT_SUMS; j++) a[j] = _mm256_dpbusd_avx_epi32(a[j], w, x);
    UNROLLED for (size_t j = 1; j < DOT_SUMS; j++) a[0] = _mm256_add_epi32(a[0], a[j]);
    sink = (float)_mm256_extract_epi32(a[0], 0);
}

__attribute__((target("avx512f,avx512vnni"), noinline)) static void dot_avx512_vnni(void)
{
    const __m512i w = _mm512_set1_epi8(5), x = _mm512_set1_epi8(3);
    __m512i a[DOT_SUMS];
    UNROLLED for (size_t j = 0; j < DOT_SUMS; j++) a[j] = _mm512_set1_epi32((int)j);
    for (size_t i = 0; i < STEPS; i++)
        UNROLLED for (size_t j = 0; j < DOT_SUMS; j++) a[j] = _mm512_dpbusd_epi32(a[j], w, x);
    UNROLLED for (size_t j = 1; j < DOT_SUMS; j++) a[0] = _mm512_add_epi32(a[0], a[j]);
    sink = (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(a[0]));
}
#else
#define dot_avx2_vnni dot_avx2
#define dot_avx512_vnni dot_avx512
#endif

/* Ors n floats into `count` registers: register j reads at j * stride, all of them `step` floats further each time. */
AVX2_INLINE void read_strides_avx2(const float *p, size_t n, size_t count, size_t stride, size_t step)
{
    __m256 a[8];
    UNROLLED for (size_t j = 0; j < count; j++) a[j] = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += step)
        UNROLLED for (size_t j = 0; j < count; j++) a[j] = _mm256_or_ps(a[j], _mm256_load_ps(p + i + j * stride));
    UNROLLED for (size_t j = 1; j < count; j++) a[0] = _mm256_or_ps(a[0], a[j]);
    sink = _mm256_cvtss_f32(a[0]);
}

AVX2 void read_avx2(const float *p, size_t n) { read_strides_avx2(p, n, 8, 8, 64); }
AVX2 void read_panels_avx2(const float *p, size_t panel) { read_strides_avx2(p, panel, 4, panel, 8); }

AVX512_INLINE void read_strides_avx512(const float *p, size_t n, size_t count, size_t stride, size_t step)
{
    __m512i a[8];
    UNROLLED for (size_t j = 0; j < count; j++) a[j] = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += step)
        UNROLLED for (size_t j = 0; j < count; j++) a[j] = _mm512_or_si512(a[j], _mm512_load_si512(p + i + j * stride));
    UNROLLED for (size_t j = 1; j < count; j++) a[0] = _mm512_or_si512(a[0], a[j]);
    sink = _mm512_cvtss_f32(_mm512_castsi512_ps(a[0]));
}

AVX512 void read_avx512(const float *p, size_t n) { read_strides_avx512(p, n, 8, 16, 128); }
AVX512 void read_panels_avx512(const float *p, size_t panel) { read_strides_avx512(p, panel, 4, panel, 16); }
#endif

/* ---- timing ------------------------------------------------------------------------------------------------------ */

typedef struct loops {
    void (*multiply_add)(void);
    void (*read)(const float *p, size_t n);
    void (*read_panels)(const float *p, size_t panel);
    double flops; /* of one multiply_add */
    void (*dot)(void);
    double ops; /* of one dot */
} loops;

static loops loops_of(machine_isa isa)
{
#ifdef HAVE_X86
    if (isa == MACHINE_AVX512 || isa == MACHINE_AVX512_VNNI)
        return (loops){multiply_add_avx512,
                       read_avx512,
                       read_panels_avx512,
                       2.0 * STEPS * SUMS * 16,
                       isa == MACHINE_AVX512 ? dot_avx512 : dot_avx512_vnni,
                       2.0 * STEPS * DOT_SUMS * 64};
    if (isa == MACHINE_AVX2 || isa == MACHINE_AVX2_VNNI)
        return (loops){multiply_add_avx2,
                       read_avx2,
                       read_panels_avx2,
                       2.0 * STEPS * SUMS * 8,
                       isa == MACHINE_AVX2 ? dot_avx2 : dot_avx2_vnni,
                       2.0 * STEPS * DOT_SUMS * 32};
#endif
    (void)isa;
    return (loops){multiply_add_plain, read_plain, read_panels_plain,
                   2.0 * STEPS * 8,    dot_plain,  2.0 * STEPS / 16 * 64};
}

double machine_dots(machine_isa isa)
{
    const loops l = loops_of(isa);
    double start = console_seconds();
    l.dot();
    return l.ops / (console_seconds() - start);
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
            __asm__ volatile("" : "+r"(x)); /* the compiler must not combine the additions */
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
#if defined(_WIN32)
    void *memory = _aligned_malloc(size, LARGE_PAGE);
#else
    void *memory = aligned_alloc(LARGE_PAGE, (size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE);
#endif
    if (memory == NULL)
        return NULL;
#if defined(MADV_HUGEPAGE)
    madvise(memory, size, MADV_HUGEPAGE);
#endif
    memset(memory, 1, size); /* untouched pages might all be the same one */
    return memory;
}

void machine_free(void *memory)
{
#if defined(_WIN32)
    _aligned_free(memory);
#else
    free(memory);
#endif
}
