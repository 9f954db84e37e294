/*
 * bench_cells.c - recurrent cells, a whole sequence and one step at a time, as shares of what the machine allows:
 *
 *     step        the weights of both sides, G h (in + h), read once
 *     sequence    per step: the input side 2 G h in at the speed of multiply-adds, the recurrent weights read once
 */
#include "bench_file.h"
#include "bench_run.h"
#include "console.h"

enum { N_STEPS = 128 };

typedef struct cell_job {
    ink_context *ctx;
    ink_recurrent *recurrent;
    ink_sequence sequence;
} cell_job;

static void run_sequence(void *job)
{
    const cell_job *c = job;
    (void)ink_recurrent_forward(c->ctx, c->recurrent, &c->sequence, 1);
}

static void run_step(void *job)
{
    const cell_job *c = job;
    (void)ink_recurrent_step(c->ctx, c->recurrent, c->sequence.x, c->sequence.state, c->sequence.y);
}

/* The four parameters of one layer with `gates` gates and in = h. */
static bool load_cell(ink_context *ctx, ink_cell cell, size_t gates, size_t h, ink_recurrent **recurrent)
{
    bench_file file;
    ink_weights *weights = NULL;
    bench_file_begin(&file, NULL);
    bench_file_add(&file, "weight_ih_l0", gates * h, h);
    bench_file_add(&file, "weight_hh_l0", gates * h, h);
    bench_file_add(&file, "bias_ih_l0", gates * h, 0);
    bench_file_add(&file, "bias_hh_l0", gates * h, 0);
    *recurrent = NULL;
    if (!bench_file_finish(&file))
        return false;
    bool fine = ink_weights_open_source(ctx, &file.source, BENCH_FILE_WEIGHTS, &weights) == INK_OK &&
                ink_recurrent_load(ctx, weights, "", cell, recurrent) == INK_OK;
    if (!fine)
        console_complain("%s", ink_context_error(ctx));
    ink_weights_free(weights);
    bench_file_free(&file);
    return fine;
}

static void measure_sequence(const bench *b, cell_job *job, const char *name, size_t gates, size_t h)
{
    size_t bytes = gates * h * h * sizeof(float);
    double flops = 2.0 * (double)gates * (double)h * (double)h;
    bench_times times = bench_measure(b, &(bench_work){run_sequence, job, NULL, bytes});
    double step = times.seconds / N_STEPS;
    double least = flops / times.multiply_adds + (double)bytes / times.reads;
    bench_report(b, &(bench_line){.name = name,
                                  .kernel = b->kernel,
                                  .type = "F32",
                                  .m = N_STEPS,
                                  .n = h,
                                  .k = h,
                                  .threads = b->n_threads,
                                  .seconds = step,
                                  .spread = times.spread,
                                  .rate = 1e-3 / step,
                                  .unit = "k/s",
                                  .share = least / step,
                                  .ceiling = "fma+read"});
}

static void measure_step(const bench *b, cell_job *job, const char *name, size_t gates, size_t h)
{
    size_t bytes = 2 * gates * h * h * sizeof(float);
    bench_times times = bench_measure(b, &(bench_work){run_step, job, NULL, bytes});
    bench_report(b, &(bench_line){.name = name,
                                  .kernel = b->kernel,
                                  .type = "F32",
                                  .m = 1,
                                  .n = h,
                                  .k = h,
                                  .threads = b->n_threads,
                                  .seconds = times.seconds,
                                  .spread = times.spread,
                                  .rate = 1e-3 / times.seconds,
                                  .unit = "k/s",
                                  .share = (double)bytes / times.reads / times.seconds,
                                  .ceiling = "read"});
}

bool bench_cells(bench *b)
{
    static const struct {
        const char *sequence, *step;
        ink_cell cell;
        size_t gates;
    } cells[] = {{"rnn sequence", "rnn step", INK_RNN_TANH, 1},
                 {"gru sequence", "gru step", INK_GRU, 3},
                 {"lstm sequence", "lstm step", INK_LSTM, 4}};
    static float x[N_STEPS * 512], y[N_STEPS * 512], state[2 * 512];
    ink_context *ctx = console_context(b->n_threads, b->kernel);
    bool fine = ctx != NULL;
    for (size_t i = 0; i < 3; i++)
        for (size_t h = 64; fine && h <= 512; h *= 2) {
            cell_job job = {.ctx = ctx, .sequence = {.x = x, .y = y, .n_steps = N_STEPS, .state = state}};
            fine = load_cell(ctx, cells[i].cell, cells[i].gates, h, &job.recurrent);
            if (fine && bench_wants(b, "cell", cells[i].sequence))
                measure_sequence(b, &job, cells[i].sequence, cells[i].gates, h);
            if (fine && bench_wants(b, "cell", cells[i].step))
                measure_step(b, &job, cells[i].step, cells[i].gates, h);
            ink_recurrent_free(job.recurrent);
        }
    ink_context_free(ctx);
    return fine;
}
