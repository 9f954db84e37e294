/*
 * golden.c - the promise that results are the same to the bit, held against checksums written down in golden.txt.
 *
 *     golden ROOT              all subjects in all ways: every kernel, 1 to 7 threads, whole and in pieces, beside
 *                              other sequences, at every alignment
 *     golden ROOT --reduced    in one way: each kernel, one thread, one piece; for what is slow or emulated
 *     golden ROOT --hostile    with one and with two threads, in a host that rounds upwards, flushes subnormal
 *                              numbers where the processor can, and looks whether it finds this as it was
 *     golden ROOT --close      against the references, within 2e-5 of the largest number of a result; for processors
 *                              whose arithmetic is outside the promise
 *     golden ROOT --write      writes the checksums of the best kernel, where the arithmetic itself was changed
 *
 * ROOT is the source tree. The other tests compare runs within one program; these numbers come out of every program:
 * any compiler, any optimisation, any machine. everywhere.sh builds and runs it so.
 *
 * Where INKLING_TEST_ALL is not set, a kernel takes only every 16th subject in all ways, and the others in one; and
 * of what is slow, the kernels without fused multiply-adds and the hostile host, every eighth. With --reduced these
 * kernels take every eighth where there is a better one. The next kernel takes other ones.
 */
#include <fenv.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "subjects.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#define GOLDEN "tests/golden/golden.txt"
#define CLOSE 2e-5f

/* ---- the file of checksums: a name, a space, 16 digits ---------------------------------------------------------- */

typedef struct checksum {
    char name[96];
    uint64_t bits;
    bool seen;
} checksum;

typedef struct golden {
    checksum list[256];
    size_t n;
} golden;

static FILE *open_golden(const char *root, const char *mode)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/" GOLDEN, root);
    FILE *file = fopen(path, mode);
    if (file == NULL)
        give_up(NULL, path);
    return file;
}

static void read_golden(golden *g, const char *root)
{
    FILE *file = open_golden(root, "r");
    for (g->n = 0; g->n < 256; g->n++) {
        checksum *c = &g->list[g->n];
        *c = (checksum){{0}, 0, false};
        if (fscanf(file, " %95[^\n]", c->name) != 1)
            break;
        char *space = strrchr(c->name, ' ');
        if (space == NULL || sscanf(space, " %" SCNx64, &c->bits) != 1)
            give_up(NULL, c->name);
        *space = '\0';
    }
    fclose(file);
}

static void write_golden(const golden *g, const char *root)
{
    FILE *file = open_golden(root, "w");
    for (size_t i = 0; i < g->n; i++)
        fprintf(file, "%s %016" PRIx64 "\n", g->list[i].name, g->list[i].bits);
    if (fclose(file) != 0)
        give_up(NULL, GOLDEN);
}

/* FNV-1a over the bits of the floats, in little-endian order. */
static uint64_t checksum_of(const float *x, size_t n)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        for (unsigned byte = 0; byte < 4; byte++)
            hash = (hash ^ (bits >> 8 * byte & 0xFF)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* ---- a hostile host ---------------------------------------------------------------------------------------------- */

/* Rounding upwards, on x86 and aarch64 flush-to-zero as well. WebAssembly has one mode. */
#ifndef FE_UPWARD
#define FE_UPWARD FE_TONEAREST
#endif

static void be_hostile(void)
{
    fesetround(FE_UPWARD);
#if defined(__SSE2__)
    _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | 1 << 24));
#endif
    feclearexcept(FE_ALL_EXCEPT);
}

/* The mode is the one above, and no flag has been raised since. */
static bool is_hostile(void)
{
    bool flushes = true;
#if defined(__SSE2__)
    flushes = (_mm_getcsr() & 0x8040) == 0x8040;
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    flushes = (control & 1 << 24) != 0;
#endif
    return flushes && fegetround() == FE_UPWARD && fetestexcept(FE_ALL_EXCEPT) == 0;
}

/* ---- running a subject in one way ------------------------------------------------------------------------------- */

typedef struct way {
    unsigned n_threads;
    size_t piece;    /* rows of a call */
    size_t n_others; /* sequences beside */
    size_t shift;    /* elements that x and y begin behind an aligned address */
} way;

/* False if this subject cannot be run so. */
static bool run(subject *s, ink_context *ctx, const way *w, float *y)
{
    char *block = take(s->n * s->in + w->shift + 16), *x = block;
    while ((uintptr_t)x % 64 != 0)
        x += 4;
    x += 4 * w->shift;
    memcpy(x, s->x, 4 * s->n * s->in);
    subject_begin(s, ctx);
    bool could = true;
    if (w->n_others != 0)
        could = subject_run_beside(s, ctx, w->n_others, x, y);
    else
        for (size_t i = 0; i < s->n; i += w->piece) {
            size_t count = s->n - i < w->piece ? s->n - i : w->piece;
            subject_run(s, ctx, x + 4 * i * s->in, count, y + i * s->out);
        }
    free(block);
    return could;
}

static size_t n_wrong, n_runs;

static void check(subject *s, ink_context *ctx, const way *w, uint64_t expected)
{
    float *block = take(s->n * s->out + w->shift), *y = block + w->shift;
    if (run(s, ctx, w, y)) {
        uint64_t found = checksum_of(y, s->n * s->out);
        n_runs++;
        n_wrong += found != expected;
        if (found != expected)
            printf("%s: %s, %u threads, pieces of %zu, beside %zu, shifted by %zu: %016" PRIx64 ", expected %016" PRIx64
                   "\n",
                   s->name, ink_context_kernel(ctx), w->n_threads, w->piece, w->n_others, w->shift, found, expected);
    }
    free(block);
}

/* ---- the ways --------------------------------------------------------------------------------------------------- */

#if defined(INK_NO_THREADS)
static const unsigned threads[] = {1};
#else
static const unsigned threads[] = {1, 2, 3, 7};
#endif
#define N_THREADS (sizeof threads / sizeof *threads)

static void check_in_all_ways(subject *s, ink_context *const *contexts, uint64_t expected)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 3, 16, 64}, others[] = {1, 4, 8};
    for (size_t t = 0; t < N_THREADS; t++)
        for (size_t p = 0; p < (s->whole ? 1 : 5); p++)
            if (pieces[p] < s->n || p == 0)
                check(s, contexts[t], &(way){threads[t], p == 0 ? s->n : pieces[p], 0, 0}, expected);
    for (size_t o = 0; o < 3; o++)
        check(s, contexts[N_THREADS > 1], &(way){threads[N_THREADS > 1], s->n, others[o], 0}, expected);
    for (size_t shift = 1; shift < 16; shift++)
        check(s, contexts[0], &(way){1, s->n, 0, shift}, expected);
}

/* Whether the last rows are close to what the reference computed. */
static void check_close(subject *s, ink_context *ctx)
{
    size_t n = s->n_expected * s->out;
    if (n == 0)
        return;
    float *y = take(s->n * s->out), largest = 0, worst = 0;
    run(s, ctx, &(way){1, s->n, 0, 0}, y);
    for (size_t i = 0; i < n; i++) {
        float d = fabsf(y[(s->n - s->n_expected) * s->out + i] - s->expected[i]);
        largest = fmaxf(largest, fabsf(s->expected[i]));
        worst = d <= worst ? worst : d; /* NaN is the worst */
    }
    n_runs++;
    if (!(worst <= CLOSE * largest)) {
        printf("%s: %s: off by %g, the largest number is %g\n", s->name, ink_context_kernel(ctx), (double)worst,
               (double)largest);
        n_wrong++;
    }
    free(y);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

typedef enum script { IN_ALL_WAYS, REDUCED, HOSTILE, CLOSE_TO_REFERENCE, WRITE } script;

static checksum *find(golden *g, const char *name)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->list[i].name, name) == 0)
            return &g->list[i];
    return NULL;
}

/* `turn` is the number of the subject plus that of the kernel. */
static void check_subject(subject *s, ink_context *const *contexts, script which, size_t turn, golden *g)
{
    const bool all = getenv("INKLING_TEST_ALL") != NULL;
    if (which == CLOSE_TO_REFERENCE) {
        check_close(s, contexts[0]);
        return;
    }
    if (which == WRITE) {
        float *y = take(s->n * s->out);
        run(s, contexts[0], &(way){1, s->n, 0, 0}, y);
        checksum *c = &g->list[g->n++];
        memcpy(c->name, s->name, sizeof c->name);
        c->bits = checksum_of(y, s->n * s->out);
        free(y);
        return;
    }
    checksum *c = find(g, s->name);
    if (c == NULL)
        give_up(NULL, s->name);
    c->seen = true;
    if (which == HOSTILE) {
        if (!all && turn % 8 != 0)
            return;
        check(s, contexts[0], &(way){1, s->n, 0, 0}, c->bits);
        check(s, contexts[N_THREADS > 1], &(way){threads[N_THREADS > 1], s->n, 0, 0}, c->bits);
        if (!is_hostile()) {
            printf("%s: %s: the host's float mode has changed\n", s->name, ink_context_kernel(contexts[0]));
            n_wrong++;
            be_hostile();
        }
        return;
    }
    /* Without fused multiply-adds everything takes far longer. */
    const char *kernel = ink_context_kernel(contexts[0]);
    bool slow = strcmp(kernel, "portable") == 0 || strcmp(kernel, "sse2") == 0;
    bool best = strcmp(kernel, ink_kernel_name(0)) == 0;
    if (slow && !(which == REDUCED && best) && !all && turn % 8 != 0)
        return;
    if (which == REDUCED || slow || (!all && turn % 16 != 0))
        check(s, contexts[0], &(way){1, s->n, 0, 0}, c->bits);
    else
        check_in_all_ways(s, contexts, c->bits);
}

static void check_kernel(const char *root, size_t number, script which, golden *g)
{
    const char *kernel = ink_kernel_name(number);
    ink_context *contexts[N_THREADS];
    subject s;
    for (size_t t = 0; t < N_THREADS; t++) {
        contexts[t] = ink_context_create(&(ink_context_options){.kernel = kernel, .n_threads = threads[t]});
        if (contexts[t] == NULL)
            give_up(NULL, kernel);
    }
    for (size_t i = 0; subject_open(&s, contexts[0], root, i); i++) {
        check_subject(&s, contexts, which, i + number, g);
        subject_close(&s);
    }
    for (size_t t = 0; t < N_THREADS; t++)
        ink_context_free(contexts[t]);
}

int main(int argc, char **argv)
{
    static const char *const options[] = {"", "--reduced", "--hostile", "--close", "--write"};
    static golden g;
    script which = IN_ALL_WAYS;
    while (argc == 3 && which <= WRITE && strcmp(argv[2], options[which]) != 0)
        which++;
    if (argc < 2 || argc > 3 || which > WRITE) {
        fprintf(stderr, "usage: golden ROOT [--reduced | --hostile | --close | --write]\n");
        return 2;
    }
    if (which != WRITE)
        read_golden(&g, argv[1]);
    if (which == HOSTILE)
        be_hostile();
    for (size_t k = 0; ink_kernel_name(k) != NULL && (which != WRITE || k == 0); k++)
        check_kernel(argv[1], k, which, &g);
    if (which == WRITE)
        write_golden(&g, argv[1]);
    for (size_t i = 0; i < g.n && which <= HOSTILE; i++)
        if (!g.list[i].seen) {
            printf("%s: a checksum without a subject\n", g.list[i].name);
            n_wrong++;
        }
    printf("golden: %zu runs, %zu of them wrong\n", n_runs, n_wrong);
    return n_wrong != 0;
}
