/* bench_run.c - see bench_run.h. */
#include "bench_run.h"

#include <stdio.h>
#include <string.h>

#include "console.h"

/* A batch this long can be timed, and mostly fits between two interruptions. */
#define BATCH_SECONDS 50e-6

static double time_batch(void (*run)(void *job), void *job, size_t times)
{
    double start = console_seconds();
    for (size_t i = 0; i < times; i++)
        run(job);
    return console_seconds() - start;
}

static void keep_larger(double *best, double value)
{
    if (value > *best)
        *best = value;
}

static double read_once(const bench *b, size_t bytes)
{
    size_t size = (bytes + 1023) / 1024 * 1024;
    if (size > BENCH_MEMORY)
        size = BENCH_MEMORY;
    machine_reads(b->isa, b->memory, size, 1); /* into the cache, if it fits */
    return machine_reads(b->isa, b->memory, size, ((size_t)1 << 20) / size + 1);
}

bench_times bench_measure(const bench *b, void (*run)(void *job), void *job, size_t bytes)
{
    bench_times best = {0};
    double start = console_seconds(), once = time_batch(run, job, 1);
    size_t times = once > 0 && once < BATCH_SECONDS ? (size_t)(BATCH_SECONDS / once) + 1 : 1;
    best.seconds = once;
    do {
        keep_larger(&best.multiply_adds, machine_multiply_adds(b->isa));
        if (bytes != 0) {
            keep_larger(&best.reads, read_once(b, bytes));
            run(job); /* its data are back where they were before the reading */
        }
        double seconds = time_batch(run, job, times) / (double)times;
        if (seconds < best.seconds)
            best.seconds = seconds;
    } while (console_seconds() - start < b->seconds);
    return best;
}

bool bench_wants(const bench *b, const char *group, const char *name)
{
    return b->only == NULL || strstr(group, b->only) != NULL || strstr(name, b->only) != NULL;
}

static void report_json(const bench_line *l)
{
    printf("{\"name\": \"%s\"", l->name);
    if (l->kernel != NULL)
        printf(", \"kernel\": \"%s\"", l->kernel);
    if (l->m != 0)
        printf(", \"m\": %zu", l->m);
    if (l->n != 0)
        printf(", \"n\": %zu", l->n);
    if (l->k != 0)
        printf(", \"k\": %zu", l->k);
    if (l->type != NULL)
        printf(", \"type\": \"%s\"", l->type);
    if (l->threads != 0)
        printf(", \"threads\": %u", l->threads);
    if (l->seconds > 0)
        printf(", \"seconds\": %.6g", l->seconds);
    printf(", \"rate\": %.6g, \"unit\": \"%s\"", l->rate, l->unit);
    if (l->share > 0)
        printf(", \"share\": %.4f, \"ceiling\": \"%s\"", l->share, l->ceiling);
    printf("}\n");
}

static void report_text(const bench_line *l)
{
    static bool begun;
    if (!begun)
        printf("%-14s %-8s %-4s %5s %5s %5s %12s %10s %-8s %s\n", "", "kernel", "type", "m", "n", "k", "us", "rate", "",
               "share of the ceiling");
    begun = true;
    printf("%-14s %-8s %-4s ", l->name, l->kernel != NULL ? l->kernel : "", l->type != NULL ? l->type : "");
    const size_t sizes[3] = {l->m, l->n, l->k};
    for (size_t i = 0; i < 3; i++) {
        if (sizes[i] != 0)
            printf("%5zu ", sizes[i]);
        else
            printf("%5s ", "");
    }
    if (l->seconds > 0)
        printf("%12.2f ", l->seconds * 1e6);
    else
        printf("%12s ", "");
    printf("%10.2f %-8s", l->rate, l->unit);
    if (l->share > 0)
        printf(" %5.1f %% %s", 100 * l->share, l->ceiling);
    printf("\n");
}

void bench_report(const bench *b, const bench_line *line)
{
    ++*b->n_lines;
    if (b->json)
        report_json(line);
    else
        report_text(line);
    fflush(stdout);
}
