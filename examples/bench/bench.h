/*
 * bench.h - timing a piece of work beside the ceilings of the machine, and reporting it.
 *
 * The speed of a core drifts, and other programs share it. Therefore a measurement alternates many short repetitions of
 * the work with the loops that measure the ceilings, and the best of each counts. The spread is how much longer the
 * median repetition took than the best one.
 */
#ifndef EXAMPLES_BENCH_H
#define EXAMPLES_BENCH_H

#include <inkling.h>

#include "console.h"

/* ---- the ceilings of the machine -------------------------------------------------------------------------------- */

/* The instructions that measure a ceiling: those of a kernel ("avx2", "avx512_vnni"), or plain C for any other name. */
typedef enum machine_isa {
    MACHINE_PLAIN,
    MACHINE_AVX2,
    MACHINE_AVX2_VNNI,
    MACHINE_AVX512,
    MACHINE_AVX512_VNNI
} machine_isa;

machine_isa machine_isa_of(const char *kernel);

/* Floating-point operations a second of one short run (some 40 us) of independent fused multiply-adds in registers. */
double machine_multiply_adds(machine_isa isa);

/* The same for multiplications and additions of bytes: dot products of four, or where the instructions have none, of
   pairs, added in 16 bits first and then in 32. */
double machine_dots(machine_isa isa);

/* Bytes a second of reading `size` bytes at `data` from beginning to end, `times` times. `data` is aligned to 64 bytes,
   `size` a multiple of 1024. */
double machine_reads(machine_isa isa, const void *data, size_t size, size_t times);

/* The same, once, in the order in which a product of one row reads a packed matrix: four panels of `panel` bytes side
   by side, then the next four. */
double machine_reads_panels(machine_isa isa, const void *data, size_t size, size_t panel);

/* Bytes a second of copying `size` bytes; each counts once. */
double machine_copies(const void *from, void *to, size_t size);

/* Cycles a second, from a short run (some 10 us) of additions that wait for each other; 0 if the compiler offers no way
   to keep them apart. */
double machine_clock(void);

/* `size` bytes, aligned to 2 MiB, on pages as large as the system gives, all of them written to. NULL without memory.
 */
void *machine_memory(size_t size);
void machine_free(void *memory);

/* ---- measuring -------------------------------------------------------------------------------------------------- */

typedef struct bench {
    bool json, quick;
    double seconds;     /* to spend on one measurement */
    size_t n_lines;     /* lines reported so far */
    const char *only;   /* a part of the group or name of the wanted lines; NULL: all */
    const char *kernel; /* the one in use */
    machine_isa isa;    /* the instructions that ceilings are measured with */
    bool floats;        /* its floats are not those of a kernel that was measured before */
    unsigned n_threads;
    unsigned char *memory; /* BENCH_MEMORY bytes to read from */
} bench;

/* More than any cache: reading all of it removes everything else from them. */
#define BENCH_MEMORY ((size_t)128 << 20)

/* Work on more bytes than this counts as reading from memory: half of a large cache, which neighbours share. */
#define BENCH_CACHE ((size_t)16 << 20)

/* The work to time. `bytes` is how much it reads, for the ceiling of reading; 0: that ceiling is not measured. */
typedef struct bench_work {
    void (*run)(void *job);
    void *job;
    void *rival; /* another job for the same work, timed in turn with the first; NULL: none */
    size_t bytes;
    bool dots; /* measure the ceiling of dot products of bytes */
} bench_work;

typedef struct bench_times {
    double seconds;       /* of one run */
    double rival;         /* of one run with the other job */
    double spread;        /* of `seconds`: 0.05 is a median 5 % above the best */
    double multiply_adds; /* flop/s at the same time, one thread */
    double dots;          /* op/s of bytes at the same time, one thread */
    double reads;         /* bytes/s at the same time, from a block of `bytes` bytes, one thread */
    double clock;         /* cycles/s at the same time, or 0 */
} bench_times;

bench_times bench_measure(const bench *b, const bench_work *work);

/* Bytes a second of copying memory: the best of ten. */
double bench_copies(const bench *b);

/* A line of the report. Numbers that are 0 and strings that are NULL do not apply. */
typedef struct bench_line {
    const char *name, *type;
    size_t m, n, k;
    unsigned threads;
    double seconds, spread; /* of one run */
    double rate;
    const char *unit;
    double share;        /* of the ceiling, 1 is all of it */
    const char *ceiling; /* "fma", "dot", "read", "fma+read" if one follows the other, or another measurement */
} bench_line;

/* True if a line of this group ("cell") and name ("gru step") is wanted. */
bool bench_wants(const bench *b, const char *group, const char *name);
void bench_report(bench *b, const bench_line *line);

/* The parts of the bench. False after an error message. */
bool bench_machine(bench *b);
bool bench_products(bench *b);
bool bench_math(bench *b);
bool bench_threads(bench *b);
bool bench_networks(bench *b);

/* Opens the model at a path with so many threads: bytes of weights a second, as a share of copying memory. */
bool bench_open(bench *b, const char *name, const char *type, const char *path, unsigned threads);

/* Only the model at a path, a folder or a .gguf file. */
bool bench_own_model(bench *b, const char *path);

#endif
