/*
 * bench_mlp.c - the perceptron 784-256-128-10: one row, bound by reading its weights from the second-level cache, which
 * holds all but a little of them; and a batch, bound by multiply-adds.
 */
#include "bench_file.h"
#include "bench_run.h"
#include "console.h"

enum { N_LAYERS = 3, BATCH = 64 };

static const size_t sizes[N_LAYERS + 1] = {784, 256, 128, 10};

typedef struct mlp_job {
    ink_context *ctx;
    ink_mlp *mlp;
    const float *x;
    float *y;
    size_t m;
} mlp_job;

static void forward(void *job)
{
    const mlp_job *j = job;
    (void)ink_mlp_forward(j->ctx, j->mlp, j->x, j->m, j->y);
}

static bool load(ink_context *ctx, ink_mlp **mlp)
{
    static const char *const names[N_LAYERS][2] = {
        {"0.weight", "0.bias"}, {"2.weight", "2.bias"}, {"4.weight", "4.bias"}};
    bench_file file;
    ink_weights *weights = NULL;
    bench_file_begin(&file, NULL);
    for (size_t i = 0; i < N_LAYERS; i++) {
        bench_file_add(&file, names[i][0], sizes[i + 1], sizes[i]);
        bench_file_add(&file, names[i][1], sizes[i + 1], 0);
    }
    if (!bench_file_finish(&file))
        return false;
    bool fine = ink_weights_open_source(ctx, &file.source, BENCH_FILE_WEIGHTS, &weights) == INK_OK &&
                ink_mlp_load(ctx, weights, "", INK_RELU, INK_IDENTITY, mlp) == INK_OK;
    if (!fine)
        console_complain("%s", ink_context_error(ctx));
    ink_weights_free(weights);
    bench_file_free(&file);
    return fine;
}

static void measure(const bench *b, mlp_job *job)
{
    double weights = 0;
    for (size_t i = 0; i < N_LAYERS; i++)
        weights += (double)(sizes[i] * sizes[i + 1]);
    bench_times times = bench_measure(b, &(bench_work){forward, job, NULL, (size_t)512 << 10});
    double floor = weights * sizeof(float) / times.reads;
    if (job->m > 1)
        floor = 2 * weights * (double)job->m / times.multiply_adds;
    bench_report(b, &(bench_line){.name = "mlp 784-256-128-10",
                                  .kernel = b->kernel,
                                  .type = "F32",
                                  .m = job->m,
                                  .threads = b->n_threads,
                                  .seconds = times.seconds,
                                  .spread = times.spread,
                                  .rate = 1e-3 * (double)job->m / times.seconds,
                                  .unit = "k rows/s",
                                  .share = floor / times.seconds,
                                  .ceiling = job->m > 1 ? "fma" : "read"});
}

bool bench_mlp(bench *b)
{
    static float x[BATCH * 784], y[BATCH * 10];
    if (!bench_wants(b, "mlp", "mlp 784-256-128-10"))
        return true;
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)(i % 13) / 13 - 0.5f;
    mlp_job job = {.ctx = console_context(b->n_threads, b->kernel), .x = x, .y = y};
    bool fine = job.ctx != NULL && load(job.ctx, &job.mlp);
    for (job.m = 1; fine && job.m <= BATCH; job.m *= BATCH)
        measure(b, &job);
    ink_mlp_free(job.mlp);
    ink_context_free(job.ctx);
    return fine;
}
