/* bench_products.c - the machine's ceilings, and the product y = x W^T as a share of them. */
#include <stdlib.h>

#include "bench_run.h"
#include "console.h"

/* ---- the machine ------------------------------------------------------------------------------------------------- */

static void nothing(void *job)
{
    (void)job;
}

bool bench_machine(bench *b)
{
    static const struct {
        const char *name;
        size_t size;
    } reads[] = {{"read 16 KiB", (size_t)16 << 10},
                 {"read 512 KiB", (size_t)512 << 10},
                 {"read 8 MiB", (size_t)8 << 20},
                 {"read 64 MiB", BENCH_MEMORY}};
    if (bench_wants(b, "machine", "fma")) {
        bench_times times = bench_measure(b, nothing, NULL, 0);
        bench_report(b, &(bench_line){.name = "fma", .kernel = b->kernel, .type = "F32", .threads = 1,
                                      .rate = times.multiply_adds / 1e9, .unit = "GFLOP/s"});
    }
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        if (!bench_wants(b, "machine", reads[i].name))
            continue;
        bench_times times = bench_measure(b, nothing, NULL, reads[i].size);
        bench_report(b, &(bench_line){.name = reads[i].name, .kernel = b->kernel, .threads = 1,
                                      .rate = times.reads / 1e9, .unit = "GB/s"});
    }
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

enum { MOST_ROWS = 128, MOST_OUTPUTS = 3072, MOST_INPUTS = 768 };

/* Seconds of one product. A single row is bound by reading the weights, more by arithmetic. */
static double measure_product(const bench *b, product_job *job)
{
    const ink_matrix *w = job->matrix;
    double flops = 2.0 * (double)job->m * (double)w->n * (double)w->k;
    size_t bytes = w->n * w->k * ink_type_bits(w->type) / 8;
    bool by_reading = job->m == 1;
    bench_times times = bench_measure(b, multiply, job, by_reading ? bytes : 0);
    double rate = (by_reading ? (double)bytes : flops) / times.seconds;
    double ceiling = by_reading ? times.reads : times.multiply_adds * b->n_threads;
    bench_report(b, &(bench_line){.name = "product", .kernel = b->kernel, .type = ink_type_name(w->type), .m = job->m,
                                  .n = w->n, .k = w->k, .threads = b->n_threads, .seconds = times.seconds,
                                  .rate = rate / 1e9, .unit = by_reading ? "GB/s" : "GFLOP/s",
                                  .share = rate / ceiling, .ceiling = by_reading ? "read" : "fma"});
    return times.seconds;
}

static bool measure_shape(const bench *b, product_job *job, const float *w, size_t k, size_t n, ink_type type)
{
    static const size_t rows[] = {1, 4, 16, 64, 128};
    const ink_tensor tensor = ink_tensor_2d(w, n, k);
    ink_matrix *matrix;
    if (ink_matrix_create(job->ctx, &tensor, type, &matrix) != INK_OK) {
        console_complain("%s", ink_context_error(job->ctx));
        return false;
    }
    job->matrix = matrix;
    double row_seconds = 0;
    /* What a slow kernel would spend seconds on is left out. */
    for (size_t i = 0; i < sizeof rows / sizeof *rows && row_seconds * (double)rows[i] < 2 * b->seconds; i++) {
        job->m = rows[i];
        row_seconds = measure_product(b, job) / (double)rows[i];
    }
    ink_matrix_free(matrix);
    return true;
}

bool bench_products(bench *b)
{
    static const size_t shapes[][2] = {{64, 64}, {128, 512}, {256, 1024}, {768, 768}, {768, 3072}};
    static float x[MOST_ROWS * MOST_INPUTS], y[MOST_ROWS * MOST_OUTPUTS], bias[MOST_OUTPUTS];
    static float w[MOST_OUTPUTS * MOST_INPUTS];
    if (!bench_wants(b, "product", "product"))
        return true;
    for (size_t i = 0; i < sizeof w / sizeof *w; i++)
        w[i] = (float)(i % 17) / 17 - 0.5f;
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)(i % 13) / 13 - 0.5f;
    product_job job = {.ctx = console_context(b->n_threads, b->kernel), .x = x, .bias = bias, .y = y};
    bool fine = job.ctx != NULL;
    for (size_t i = 0; fine && i < sizeof shapes / sizeof *shapes; i++) {
        fine = measure_shape(b, &job, w, shapes[i][0], shapes[i][1], INK_F32);
        fine = fine && measure_shape(b, &job, w, shapes[i][0], shapes[i][1], INK_BF16);
    }
    ink_context_free(job.ctx);
    return fine;
}
