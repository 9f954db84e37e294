/*
 * measure.c - timing and reporting.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "stats.h"

/* Long enough to be timed, and short enough to fit between two interruptions. */
#define BATCH_SECONDS 50e-6

enum {
    LEAST_CEILINGS = 16, /* repetitions of every ceiling, even if the work is repeated less often */
    MAX_SAMPLES = 4096   /* repetitions kept for the median; of more, the last ones */
};

/* ---- timing ------------------------------------------------------------------------------------------------------ */

static double time_batch(void (*run)(void *job), void *job, size_t times)
{
    double start = console_seconds();
    for (size_t i = 0; i < times; i++)
        run(job);
    return (console_seconds() - start) / (double)times;
}

static void keep_larger(double *best, double value)
{
    if (value > *best)
        *best = value;
}

static void keep_smaller(double *best, double value)
{
    if (value < *best || *best <= 0)
        *best = value;
}

static double read_once(const bench *b, size_t bytes)
{
    size_t size = (bytes + 1023) / 1024 * 1024;
    if (size > BENCH_CACHE)
        return machine_reads(b->isa, b->memory, BENCH_MEMORY, 1);
    machine_reads(b->isa, b->memory, size, 1); /* into the cache */
    return machine_reads(b->isa, b->memory, size, ((size_t)1 << 20) / size + 1);
}

static void measure_ceilings(const bench *b, const bench_work *work, bench_times *best)
{
    keep_larger(&best->multiply_adds, machine_multiply_adds(b->isa));
    keep_larger(&best->clock, machine_clock());
    if (work->dots)
        keep_larger(&best->dots, machine_dots(b->isa));
    if (work->bytes != 0)
        keep_larger(&best->reads, read_once(b, work->bytes));
}

bench_times bench_measure(const bench *b, const bench_work *work)
{
    static double samples[MAX_SAMPLES];
    bench_times best = {0};
    double start = console_seconds(), once = time_batch(work->run, work->job, 1);
    size_t times = once > 0 && once < BATCH_SECONDS ? (size_t)(BATCH_SECONDS / once) + 1 : 1;
    size_t n_samples = 0;
    bool runs_once =
        once > 10 * b->seconds && work->rival == NULL; /* the work takes much longer than the time for it */
    best.seconds = samples[n_samples++] = once;
    do {
        measure_ceilings(b, work, &best);
        if (runs_once)
            break;
        if (work->bytes != 0 && work->bytes <= BENCH_CACHE)
            work->run(work->job); /* brings back into the cache what the reading removed */
        if (work->rival != NULL)
            keep_smaller(&best.rival, time_batch(work->run, work->rival, times));
        double seconds = time_batch(work->run, work->job, times);
        keep_smaller(&best.seconds, seconds);
        samples[n_samples++ % MAX_SAMPLES] = seconds;
    } while (console_seconds() - start < b->seconds);
    for (size_t i = n_samples; i < LEAST_CEILINGS; i++)
        measure_ceilings(b, work, &best);
    size_t n = n_samples < MAX_SAMPLES ? n_samples : MAX_SAMPLES;
    stats_sort(samples, n);
    best.spread = samples[n / 2] / best.seconds - 1;
    return best;
}

/* ---- reporting --------------------------------------------------------------------------------------------------- */

bool bench_wants(const bench *b, const char *group, const char *name)
{
    return b->only == NULL || strstr(group, b->only) != NULL || strstr(name, b->only) != NULL;
}

static void report_json(const bench *b, const bench_line *l)
{
    static const char names[3] = {'m', 'n', 'k'};
    const size_t sizes[3] = {l->m, l->n, l->k};
    printf("{\"name\": \"%s\", \"kernel\": \"%s\"", l->name, b->kernel);
    for (size_t i = 0; i < 3; i++)
        if (sizes[i] != 0)
            printf(", \"%c\": %zu", names[i], sizes[i]);
    if (l->type != NULL)
        printf(", \"type\": \"%s\"", l->type);
    printf(", \"threads\": %u", l->threads);
    if (l->seconds > 0)
        printf(", \"seconds\": %.6g, \"spread\": %.4f", l->seconds, l->spread);
    printf(", \"rate\": %.6g, \"unit\": \"%s\"", l->rate, l->unit);
    if (l->share > 0)
        printf(", \"share\": %.4f, \"ceiling\": \"%s\"", l->share, l->ceiling);
    printf("}\n");
}

static void report_text(const bench *b, const bench_line *l)
{
    const size_t sizes[3] = {l->m, l->n, l->k};
    if (b->n_lines == 1)
        printf("%-22s %-8s %-4s %5s %5s %5s %12s %8s %10s %-10s %s\n", "", "kernel", "type", "m", "n", "k", "us",
               "spread", "rate", "", "share of the ceiling");
    printf("%-22s %-8s %-4s ", l->name, b->kernel, l->type != NULL ? l->type : "");
    for (size_t i = 0; i < 3; i++) {
        if (sizes[i] != 0)
            printf("%5zu ", sizes[i]);
        else
            printf("%5s ", "");
    }
    if (l->seconds > 0)
        printf("%12.3f %6.1f %% ", l->seconds * 1e6, 100 * l->spread);
    else
        printf("%12s %8s ", "", "");
    printf("%10.2f %-10s", l->rate, l->unit);
    if (l->share > 0)
        printf(" %5.1f %% %s", 100 * l->share, l->ceiling);
    printf("\n");
}

void bench_report(bench *b, const bench_line *line)
{
    b->n_lines++;
    if (b->json)
        report_json(b, line);
    else
        report_text(b, line);
    fflush(stdout);
}

double bench_copies(const bench *b)
{
    double best = 0;
    for (size_t i = 0; i < 10; i++) {
        const double once = machine_copies(b->memory, b->memory + BENCH_MEMORY / 2, BENCH_MEMORY / 2);
        best = once > best ? once : best;
    }
    return best;
}
