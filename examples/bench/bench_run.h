/*
 * bench_run.h - timing a piece of work beside the ceilings of the machine, and reporting it.
 *
 * The speed of a core drifts, and other programs take turns on it. Therefore a measurement is many short repetitions
 * of the work and of the loops that measure the ceilings, one after the other; the best of each counts. The spread is
 * how much longer the median repetition took than the best.
 */
#ifndef EXAMPLES_BENCH_RUN_H
#define EXAMPLES_BENCH_RUN_H

#include <inkling.h>

#include "bench_machine.h"

typedef struct bench {
    bool json, quick;
    double seconds;     /* to spend on one measurement */
    size_t *n_lines;    /* how many have been reported */
    const char *only;   /* a part of the group or name of the lines wanted; NULL: all */
    const char *kernel; /* of the kernel that runs now */
    machine_isa isa;    /* ceilings are measured with its instructions */
    unsigned n_threads;
    unsigned char *memory; /* BENCH_MEMORY bytes to read from */
} bench;

/* More than any cache: reading all of it empties them of everything else. */
#define BENCH_MEMORY ((size_t)128 << 20)

/* Work on more bytes than this counts as finding them in memory: half of the caches there are, or of what neighbours
   leave of them. */
#define BENCH_CACHE ((size_t)16 << 20)

/* What is timed. `bytes` is how much it reads, for the ceiling of reading; 0: not measured. */
typedef struct bench_work {
    void (*run)(void *job);
    void *job;
    void *rival; /* the same work with another job, timed in turn with the first; NULL: none */
    size_t bytes;
} bench_work;

typedef struct bench_times {
    double seconds;       /* of one run */
    double rival;         /* of one run with the other job */
    double spread;        /* of `seconds`: 0.05 is a median 5 % above the best */
    double multiply_adds; /* flop/s beside it, one thread */
    double reads;         /* bytes/s beside it, from a block of `bytes` bytes, one thread */
    double clock;         /* cycles/s beside it, or 0 */
} bench_times;

bench_times bench_measure(const bench *b, const bench_work *work);

/* A line of the report. Numbers that are 0 and strings that are NULL do not apply. */
typedef struct bench_line {
    const char *name, *kernel, *type;
    size_t m, n, k;
    unsigned threads;
    double seconds; /* of one run, or 0 */
    double spread;
    double rate;
    const char *unit;
    double share;        /* of the ceiling, 1 is all of it */
    const char *ceiling; /* which: "fma", "read", "fma+read" where one follows the other, or another measurement */
} bench_line;

/* True if a line of this group ("cell") and name ("gru step") is wanted. */
bool bench_wants(const bench *b, const char *group, const char *name);
void bench_report(const bench *b, const bench_line *line);

/* Reports that an allocation failed; returns false. */
bool bench_out_of_memory(void);

/* The parts of the bench. False if something failed; the sentence is said. */
bool bench_machine(bench *b);
bool bench_products(bench *b);
bool bench_threads(bench *b);
bool bench_math(bench *b);
bool bench_mlp(bench *b);
bool bench_cells(bench *b);
bool bench_models(bench *b);
bool bench_encoders(bench *b);
bool bench_shapes(bench *b);

#endif
