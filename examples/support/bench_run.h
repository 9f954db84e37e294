/*
 * bench_run.h - timing a piece of work beside the ceilings of the machine, and reporting it.
 *
 * The speed of a core drifts, and other programs take turns on it. Therefore a measurement is many short repetitions
 * of the work and of the loops that measure the ceilings, one after the other; the best of each counts.
 */
#ifndef EXAMPLES_BENCH_RUN_H
#define EXAMPLES_BENCH_RUN_H

#include <inkling.h>

#include "bench_machine.h"

typedef struct bench {
    bool json;
    double seconds;     /* to spend on one measurement */
    size_t *n_lines;    /* how many have been reported */
    const char *only;   /* a part of the group or name of the lines wanted; NULL: all */
    const char *kernel; /* of the kernel that runs now */
    machine_isa isa;    /* ceilings are measured with its instructions */
    unsigned n_threads;
    unsigned char *memory; /* BENCH_MEMORY bytes to read from */
} bench;

#define BENCH_MEMORY ((size_t)64 << 20)

typedef struct bench_times {
    double seconds;       /* of one run */
    double multiply_adds; /* flop/s beside it, one thread */
    double reads;         /* bytes/s beside it, from a block of `bytes` bytes, one thread */
} bench_times;

/* Measures run(job). `bytes` is how much it reads, for the ceiling of reading; 0: not measured. */
bench_times bench_measure(const bench *b, void (*run)(void *job), void *job, size_t bytes);

/* A line of the report. Numbers that are 0 and strings that are NULL do not apply. */
typedef struct bench_line {
    const char *name, *kernel, *type;
    size_t m, n, k;
    unsigned threads;
    double seconds; /* of one run, or 0 */
    double rate;
    const char *unit;
    double share;        /* of the ceiling, 1 is all of it */
    const char *ceiling; /* which: "fma", "read", or "fma+read" where one follows the other */
} bench_line;

/* True if a line of this group ("cell") and name ("gru step") is wanted. */
bool bench_wants(const bench *b, const char *group, const char *name);
void bench_report(const bench *b, const bench_line *line);

/* The parts of the bench. False if something failed; the sentence is said. */
bool bench_machine(bench *b);
bool bench_products(bench *b);
bool bench_cells(bench *b);
bool bench_models(bench *b);

#endif
