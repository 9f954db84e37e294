/*
 * bench_products.c - the machine's ceilings, and the product y = x W^T as a share of them: with one thread, and with
 * two beside one.
 */
#include <stdlib.h>

#include "bench_run.h"
#include "console.h"

/* ---- the machine ------------------------------------------------------------------------------------------------- */

static void nothing(void *job)
{
    (void)job;
}

static void report_machine(const bench *b, const char *name, double rate, const char *unit)
{
    bench_report(b, &(bench_line){.name = name, .kernel = b->kernel, .threads = 1, .rate = rate / 1e9, .unit = unit});
}

static void report_copy(const bench *b)
{
    double best = 0, start = console_seconds();
    do {
        double rate = machine_copies(b->memory, b->memory + BENCH_MEMORY / 2, BENCH_MEMORY / 2);
        best = rate > best ? rate : best;
    } while (console_seconds() - start < b->seconds);
    report_machine(b, "copy 64 MiB", best, "GB/s");
}

bool bench_machine(bench *b)
{
    static const struct {
        const char *name;
        size_t size;
    } reads[] = {{"read 16 KiB", (size_t)16 << 10},
                 {"read 512 KiB", (size_t)512 << 10},
                 {"read 8 MiB", (size_t)8 << 20},
                 {"read 128 MiB", BENCH_MEMORY}};
    bench_times times = bench_measure(b, &(bench_work){.run = nothing});
    if (bench_wants(b, "machine", "clock") && times.clock > 0)
        report_machine(b, "clock", times.clock, "GHz");
    if (bench_wants(b, "machine", "fma"))
        report_machine(b, "fma", times.multiply_adds, "GFLOP/s");
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        if (!bench_wants(b, "machine", reads[i].name))
            continue;
        times = bench_measure(b, &(bench_work){.run = nothing, .bytes = reads[i].size});
        report_machine(b, reads[i].name, times.reads, "GB/s");
    }
    if (bench_wants(b, "machine", "copy"))
        report_copy(b);
    return true;
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

typedef struct product_job {
    ink_context *ctx;
    const ink_matrix *matrix;
    const float *x, *bias;
    float *y;
    size_t m;
} product_job;

static void multiply(void *job)
{
    const product_job *p = job;
    (void)ink_matrix_multiply(p->ctx, p->matrix, p->bias, p->x, p->m, p->y);
}

enum { MOST_ROWS = 512, MOST_OUTPUTS = 5632, MOST_INPUTS = 2048, N_SHAPES = 7, N_ROWS = 6 };

static const struct {
    size_t k, n;
} shapes[N_SHAPES] = {{64, 64}, {128, 512}, {256, 1024}, {768, 768}, {768, 3072}, {2048, 2048}, {2048, 5632}};

/* Every second of them for types that are widened. */
static const size_t row_counts[N_ROWS] = {1, 4, 16, 64, 128, 512};

/* What products are made of: a weight large enough for all shapes, rows, outputs. */
typedef struct product_data {
    float *w, *x, *y, *bias;
} product_data;

static float *pattern(size_t n, size_t period)
{
    float *values = malloc(n * sizeof *values);
    for (size_t i = 0; values != NULL && i < n; i++)
        values[i] = (float)(i % period) / (float)period - 0.5f;
    return values;
}

static void free_data(product_data *d)
{
    free(d->w);
    free(d->x);
    free(d->y);
    free(d->bias);
}

static bool make_data(product_data *d)
{
    d->w = pattern((size_t)MOST_OUTPUTS * MOST_INPUTS, 17);
    d->x = pattern((size_t)MOST_ROWS * MOST_INPUTS, 13);
    d->y = pattern((size_t)MOST_ROWS * MOST_OUTPUTS, 11);
    d->bias = pattern(MOST_OUTPUTS, 7);
    if (d->w != NULL && d->x != NULL && d->y != NULL && d->bias != NULL)
        return true;
    free_data(d);
    return bench_out_of_memory();
}

/* Packs the shape's part of the weight; NULL with the sentence said. */
static ink_matrix *make_matrix(ink_context *ctx, const product_data *d, size_t shape, ink_type type)
{
    const ink_tensor tensor = ink_tensor_2d(d->w, shapes[shape].n, shapes[shape].k);
    ink_matrix *matrix = NULL;
    if (ink_matrix_create(ctx, &tensor, type, &matrix) != INK_OK)
        console_complain("%s", ink_context_error(ctx));
    return matrix;
}

/* Seconds of one product. A single row is bound by reading the weights, more by arithmetic. */
static double measure_product(const bench *b, product_job *job)
{
    const ink_matrix *w = job->matrix;
    double flops = 2.0 * (double)job->m * (double)w->n * (double)w->k;
    size_t bytes = w->n * w->k * ink_type_bits(w->type) / 8;
    bool by_reading = job->m == 1;
    bench_times times = bench_measure(b, &(bench_work){multiply, job, NULL, by_reading ? bytes : 0});
    double rate = (by_reading ? (double)bytes : flops) / times.seconds;
    double ceiling = by_reading ? times.reads : times.multiply_adds * b->n_threads;
    bench_report(b, &(bench_line){.name = "product", .kernel = b->kernel, .type = ink_type_name(w->type), .m = job->m,
                                  .n = w->n, .k = w->k, .threads = b->n_threads, .seconds = times.seconds,
                                  .spread = times.spread, .rate = rate / 1e9,
                                  .unit = by_reading ? "GB/s" : "GFLOP/s", .share = rate / ceiling,
                                  .ceiling = by_reading ? "read" : "fma"});
    return times.seconds;
}

static bool measure_shape(const bench *b, product_job *job, const product_data *d, size_t shape, ink_type type)
{
    ink_matrix *matrix = make_matrix(job->ctx, d, shape, type);
    job->matrix = matrix;
    double row_seconds = 0;
    /* What a slow kernel would spend seconds on is left out. */
    for (size_t i = 0; matrix != NULL && i < N_ROWS && row_seconds * (double)row_counts[i] < 3 * b->seconds;
         i += type == INK_F32 ? 1 : 2) {
        job->m = row_counts[i];
        row_seconds = measure_product(b, job) / (double)row_counts[i];
    }
    ink_matrix_free(matrix);
    return matrix != NULL;
}

static bool measure_shapes(const bench *b, const product_data *d)
{
    static const ink_type types[] = {INK_F32, INK_BF16, INK_F16};
    product_job job = {.ctx = console_context(b->n_threads, b->kernel), .x = d->x, .bias = d->bias, .y = d->y};
    bool fine = job.ctx != NULL;
    for (size_t shape = 0; fine && shape < N_SHAPES; shape++)
        for (size_t i = 0; fine && i < sizeof types / sizeof *types; i++)
            fine = measure_shape(b, &job, d, shape, types[i]);
    ink_context_free(job.ctx);
    return fine;
}

/* ---- two threads ------------------------------------------------------------------------------------------------- */

static void measure_pair(const bench *b, product_job *two, product_job *one)
{
    const ink_matrix *w = two->matrix;
    bench_times times = bench_measure(b, &(bench_work){multiply, two, one, 0});
    double flops = 2.0 * (double)two->m * (double)w->n * (double)w->k;
    bench_report(b, &(bench_line){.name = "threads", .kernel = b->kernel, .type = "F32", .m = two->m, .n = w->n,
                                  .k = w->k, .threads = 2, .seconds = times.seconds, .spread = times.spread,
                                  .rate = flops / times.seconds / 1e9, .unit = "GFLOP/s",
                                  .share = times.rival / times.seconds / 2, .ceiling = "2 x one thread"});
}

/* The same work with two threads and with one: half is what two must not fall below, however small the work. */
static bool measure_threads(const bench *b, const product_data *d)
{
    product_job one = {.ctx = console_context(1, b->kernel), .x = d->x, .bias = d->bias, .y = d->y}, two = one;
    two.ctx = console_context(2, b->kernel);
    bool fine = one.ctx != NULL && two.ctx != NULL;
    for (size_t shape = 0; fine && shape < N_SHAPES; shape++) {
        ink_matrix *matrix = make_matrix(one.ctx, d, shape, INK_F32);
        fine = matrix != NULL;
        one.matrix = two.matrix = matrix;
        for (size_t i = 0; fine && i < N_ROWS; i += 2) {
            one.m = two.m = row_counts[i];
            measure_pair(b, &two, &one);
        }
        ink_matrix_free(matrix);
    }
    ink_context_free(one.ctx);
    ink_context_free(two.ctx);
    return fine;
}

bool bench_products(bench *b)
{
    product_data d;
    if (!bench_wants(b, "product", "product"))
        return true;
    if (!make_data(&d))
        return false;
    bool fine = measure_shapes(b, &d);
    free_data(&d);
    return fine;
}

bool bench_threads(bench *b)
{
    product_data d;
    if (!bench_wants(b, "threads", "threads"))
        return true;
    if (!make_data(&d))
        return false;
    bool fine = measure_threads(b, &d);
    free_data(&d);
    return fine;
}
