/*
 * products.c - the ceilings of the machine; the product y = x W^T as a share of them, with one thread, with two, and
 * beside a busy thread; and elementary functions.
 */
#include <stdlib.h>
#include <string.h>
#if defined(__has_include) && !defined(__STDC_NO_THREADS__) && !defined(__STDC_NO_ATOMICS__)
#if __has_include(<threads.h>) /* some systems have no <threads.h> although they should */
#include <stdatomic.h>
#include <threads.h>
#define HAVE_THREADS
#endif
#endif

#include "../../src/base/internal.h"
#include "../../src/tensor/kernel.h"
#include "bench.h"
#include "stats.h"

/* ---- the machine ------------------------------------------------------------------------------------------------- */

static void nothing(void *job) { (void)job; }

static void report_machine(bench *b, const char *name, double rate, const char *unit)
{
    bench_report(b, &(bench_line){.name = name, .threads = 1, .rate = rate / 1e9, .unit = unit});
}

static double copy_once(const bench *b, size_t size, size_t panel)
{
    (void)panel;
    return machine_copies(b->memory, b->memory + size, size);
}

static double read_panels_once(const bench *b, size_t size, size_t panel)
{
    return machine_reads_panels(b->isa, b->memory, size, panel);
}

/* The best of a few times. */
static double best_rate(const bench *b, double (*once)(const bench *b, size_t size, size_t panel), size_t size,
                        size_t panel)
{
    double best = 0, start = console_seconds();
    do {
        double rate = once(b, size, panel);
        best = rate > best ? rate : best;
    } while (console_seconds() - start < b->seconds);
    return best;
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
    bench_times times = bench_measure(b, &(bench_work){.run = nothing, .dots = true});
    if (bench_wants(b, "machine", "clock") && times.clock > 0)
        report_machine(b, "clock", times.clock, "GHz");
    if (bench_wants(b, "machine", "fma"))
        report_machine(b, "fma", times.multiply_adds, "GFLOP/s");
    if (bench_wants(b, "machine", "dot"))
        report_machine(b, "dot", times.dots, "GOP/s");
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        if (!bench_wants(b, "machine", reads[i].name))
            continue;
        times = bench_measure(b, &(bench_work){.run = nothing, .bytes = reads[i].size});
        report_machine(b, reads[i].name, times.reads, "GB/s");
    }
    if (bench_wants(b, "machine", "read panels")) {
        report_machine(b, "read panels 2 MiB", best_rate(b, read_panels_once, (size_t)2 << 20, 16 << 10), "GB/s");
        report_machine(b, "read panels memory", best_rate(b, read_panels_once, BENCH_MEMORY, 24 << 10), "GB/s");
    }
    if (bench_wants(b, "machine", "copy"))
        report_machine(b, "copy 64 MiB", best_rate(b, copy_once, BENCH_MEMORY / 2, 0), "GB/s");
    return true;
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

enum { MOST_COPIES = 32 };

typedef struct product_job {
    ink_context *ctx;
    ink_matrix *copies[MOST_COPIES]; /* of one matrix, multiplied in turn */
    size_t n_copies, next;
    const float *x, *bias;
    float *y;
    size_t m;
} product_job;

static void multiply(void *job)
{
    product_job *p = job;
    (void)ink_matrix_multiply(p->ctx, p->copies[p->next], p->bias, p->x, p->m, p->y);
    p->next = (p->next + 1) % p->n_copies;
}

enum { MOST_ROWS = 512, MOST_OUTPUTS = 5632, MOST_INPUTS = 2048, N_SHAPES = 7, N_ROWS = 6 };

static const struct {
    size_t k, n;
} shapes[N_SHAPES] = {{64, 64}, {128, 512}, {256, 1024}, {768, 768}, {768, 3072}, {2048, 2048}, {2048, 5632}};

/* For types that are widened, every second one. */
static const size_t row_counts[N_ROWS] = {1, 4, 16, 64, 128, 512};

/* A weight large enough for all shapes, the same as blocks of any quantised type, rows, outputs and a bias. */
typedef struct product_data {
    float *w, *blocks, *x, *y, *bias;
} product_data;

static float *pattern(size_t n, size_t period)
{
    float *values = console_memory(n, sizeof *values);
    for (size_t i = 0; values != NULL && i < n; i++)
        values[i] = (float)(i % period) / (float)period - 0.5f;
    return values;
}

static void free_data(product_data *d)
{
    free(d->w);
    free(d->blocks);
    free(d->x);
    free(d->y);
    free(d->bias);
}

static bool make_data(product_data *d)
{
    d->w = pattern((size_t)MOST_OUTPUTS * MOST_INPUTS, 17);
    /* 34 bytes for 32 weights are the most. As F16 these bytes are 0.08. */
    d->blocks = console_memory((size_t)MOST_OUTPUTS * MOST_INPUTS * 34 / 32 / sizeof(float), sizeof(float));
    if (d->blocks != NULL)
        memset(d->blocks, 0x2d, (size_t)MOST_OUTPUTS * MOST_INPUTS * 34 / 32);
    d->x = pattern((size_t)MOST_ROWS * MOST_INPUTS, 13);
    d->y = pattern((size_t)MOST_ROWS * MOST_OUTPUTS, 11);
    d->bias = pattern(MOST_OUTPUTS, 7);
    if (d->w != NULL && d->blocks != NULL && d->x != NULL && d->y != NULL && d->bias != NULL)
        return true;
    free_data(d);
    return false;
}

/* Packs a part of the weight as this shape, n_copies times; false after an error message. */
static bool make_copies(product_job *job, const product_data *d, size_t shape, ink_type type, size_t n_copies)
{
    ink_tensor tensor = ink_tensor_2d(d->w, shapes[shape].n, shapes[shape].k);
    if (ink_type_is_quantised(type)) {
        tensor.type = type;
        tensor.data = d->blocks;
    }
    job->next = 0;
    for (job->n_copies = 0; job->n_copies < n_copies; job->n_copies++)
        if (!console_ok(job->ctx, ink_matrix_create(job->ctx, &tensor, type, &job->copies[job->n_copies])))
            return false;
    return true;
}

static void free_copies(product_job *job)
{
    while (job->n_copies > 0)
        ink_matrix_free(job->copies[--job->n_copies]);
}

static size_t bytes_of(size_t shape, ink_type type)
{
    const ink_block_size block = ink_type_block(type);
    return shapes[shape].n * shapes[shape].k / block.elements * block.bytes;
}

/* One row of it is measured from memory. Quantised weights are as large once there are many layers of them. */
static bool is_large(size_t shape, ink_type type)
{
    return bytes_of(shape, type) > (ink_type_is_quantised(type) ? BENCH_CACHE / 4 : BENCH_CACHE);
}

/* Seconds of one product. One row is bound by reading the weights, more rows by arithmetic. */
static double measure_product(bench *b, product_job *job, size_t shape, ink_type type)
{
    size_t n = shapes[shape].n, k = shapes[shape].k, bytes = bytes_of(shape, type);
    double flops = 2.0 * (double)job->m * (double)n * (double)k;
    bool by_reading = job->m == 1, quantised = ink_type_is_quantised(type);
    bench_times times = bench_measure(b, &(bench_work){.run = multiply,
                                                       .job = job,
                                                       .bytes = by_reading ? bytes * job->n_copies : 0,
                                                       .dots = quantised && !by_reading});
    double rate = (by_reading ? (double)bytes : flops) / times.seconds;
    double ceiling = by_reading ? times.reads : (quantised ? times.dots : times.multiply_adds) * b->n_threads;
    const char *unit = by_reading ? "GB/s" : quantised ? "GOP/s" : "GFLOP/s";
    bench_report(b, &(bench_line){"product", ink_type_name(type), job->m, n, k, b->n_threads, times.seconds,
                                  times.spread, rate / 1e9, unit, rate / ceiling,
                                  by_reading  ? "read"
                                  : quantised ? "dot"
                                              : "fma"});
    return times.seconds;
}

/* With several copies (each has left the caches when its turn comes) one row; with one copy all row counts. */
static bool measure_shape(bench *b, product_job *job, const product_data *d, size_t shape, ink_type type,
                          size_t n_copies)
{
    bool fine = make_copies(job, d, shape, type, n_copies);
    double row_seconds = 0;
    size_t end = n_copies > 1 ? 1 : N_ROWS, begin = n_copies == 1 && is_large(shape, type);
    /* A slow kernel leaves out what would take seconds. */
    for (size_t i = begin; fine && i < end && row_seconds * (double)row_counts[i] < 3 * b->seconds; i++) {
        if (type != INK_F32 && i % 2 != 0)
            continue;
        job->m = row_counts[i];
        row_seconds = measure_product(b, job, shape, type) / (double)row_counts[i];
    }
    free_copies(job);
    return fine;
}

/* Floats are measured in all shapes, quantised types in the two large ones that are not square. */
static bool measures_type(size_t shape, ink_type type)
{
    return !ink_type_is_quantised(type) || (shapes[shape].k >= 768 && shapes[shape].n != shapes[shape].k);
}

/* Floats are left out if the kernel shares them with one that was measured. */
static bool measure_shapes(bench *b, const product_data *d)
{
    static const ink_type types[] = {INK_F32,  INK_BF16, INK_F16,  INK_Q8_0, INK_Q4_0,
                                     INK_Q4_1, INK_Q5_0, INK_Q4_K, INK_Q6_K};
    product_job job = {.ctx = console_context(b->n_threads, b->kernel), .x = d->x, .bias = d->bias, .y = d->y};
    bool fine = job.ctx != NULL;
    for (size_t shape = 0; fine && shape < N_SHAPES; shape++)
        for (size_t i = 0; fine && i < sizeof types / sizeof *types; i++) {
            if (!measures_type(shape, types[i]) || (!ink_type_is_quantised(types[i]) && !b->floats))
                continue;
            fine = (!is_large(shape, types[i]) ||
                    measure_shape(b, &job, d, shape, types[i], BENCH_MEMORY / bytes_of(shape, types[i]) + 1)) &&
                   measure_shape(b, &job, d, shape, types[i], 1);
        }
    ink_context_free(job.ctx);
    return fine;
}

/* Packs the blocks of a file of 2048 x 2048 weights into panels, as a share of copying memory. */
enum { PACKED_SHAPE = 5 };

typedef struct pack_job {
    product_job job;
    const product_data *data;
    ink_type type;
} pack_job;

static void pack(void *job)
{
    pack_job *p = job;
    (void)make_copies(&p->job, p->data, PACKED_SHAPE, p->type, 1);
    free_copies(&p->job);
}

static bool measure_packing(bench *b, const product_data *d)
{
    static const ink_type types[] = {INK_Q8_0, INK_Q4_0, INK_Q5_0, INK_Q4_K, INK_Q5_K, INK_Q6_K};
    const size_t n = shapes[PACKED_SHAPE].n, k = shapes[PACKED_SHAPE].k;
    pack_job p = {.job = {.ctx = console_context(1, b->kernel)}, .data = d};
    const bool fine = p.job.ctx != NULL;
    for (size_t i = 0; fine && i < sizeof types / sizeof *types; i++) {
        p.type = types[i];
        bench_times times = bench_measure(b, &(bench_work){.run = pack, .job = &p});
        double rate = (double)bytes_of(PACKED_SHAPE, p.type) / times.seconds;
        bench_report(b, &(bench_line){"pack", ink_type_name(p.type), 0, n, k, 1, times.seconds, times.spread,
                                      rate / 1e9, "GB/s", rate / bench_copies(b), "copy"});
    }
    ink_context_free(p.job.ctx);
    return fine;
}

/* ---- two threads ------------------------------------------------------------------------------------------------- */

/* With two threads and with one, in turn: products that follow each other, as in a model, so that the worker has to
   wake only for the first; and the same for multiply-adds in registers, of which two threads do twice as many. These
   tell whether the machine has two cores to give at the time. The best of each counts, and they need not be of the same
   moment. Two threads must never be slower than one, which is half of the ceiling. */
enum { REGISTER_TASKS = 16, MOST_ROUNDS = 4096 };

typedef struct register_job {
    machine_isa isa;
    bool dots;
} register_job;

static void run_registers(void *job, size_t task)
{
    const register_job *r = job;
    (void)task;
    (void)(r->dots ? machine_dots(r->isa) : machine_multiply_adds(r->isa));
}

static void measure_pair(bench *b, product_job *jobs, size_t shape, ink_type type)
{
    const bool quantised = ink_type_is_quantised(type);
    const double flops = 2.0 * (double)jobs[1].m * (double)shapes[shape].n * (double)shapes[shape].k;
    const size_t in_a_row = 4 + (size_t)(2e7 / flops); /* some 100 us */
    register_job registers = {b->isa, quantised};
    static double samples[MOST_ROUNDS];
    double products[2] = {0}, loops[2] = {0};
    size_t n_rounds = 0;
    const double begin = console_seconds();
    do
        for (unsigned t = 0; t < 2; t++) {
            const double start = console_seconds();
            for (size_t i = 0; i < in_a_row; i++)
                multiply(&jobs[t]);
            const double middle = console_seconds();
            ink_workers_run(jobs[t].ctx->workers, run_registers, &registers, (t + 1) * REGISTER_TASKS, true);
            const double seconds = (middle - start) / (double)in_a_row, in_registers = console_seconds() - middle;
            products[t] = products[t] > 0 && products[t] < seconds ? products[t] : seconds;
            loops[t] = loops[t] > 0 && loops[t] < in_registers ? loops[t] : in_registers;
            samples[n_rounds] = seconds;
        }
    while (++n_rounds < MOST_ROUNDS && console_seconds() - begin < b->seconds);
    stats_sort(samples, n_rounds);
    bench_line line = {.name = "threads",
                       .type = ink_type_name(type),
                       .m = jobs[1].m,
                       .n = shapes[shape].n,
                       .k = shapes[shape].k,
                       .threads = 2,
                       .seconds = products[1],
                       .spread = samples[n_rounds / 2] / products[1] - 1,
                       .rate = flops / products[1] / 1e9,
                       .unit = quantised ? "GOP/s" : "GFLOP/s",
                       .share = products[0] / products[1] / 2,
                       .ceiling = "2 x one thread"};
    bench_report(b, &line);
    line.name = "threads, registers";
    line.seconds = 0;
    line.rate = 2 * loops[0] / loops[1];
    line.unit = "times";
    line.share = loops[0] / loops[1];
    bench_report(b, &line);
}

static bool measure_threads(bench *b, const product_data *d)
{
    product_job jobs[2]; /* with one thread and with two */
    bool fine = true;
    for (unsigned t = 0; t < 2; t++) {
        jobs[t] = (product_job){.ctx = console_context(t + 1, b->kernel), .x = d->x, .bias = d->bias, .y = d->y};
        fine = fine && jobs[t].ctx != NULL;
    }
    for (size_t j = 0; fine && j < N_SHAPES * 3; j++) {
        const size_t shape = j / 3;
        const ink_type type = (ink_type[]){INK_F32, INK_Q8_0, INK_Q4_0}[j % 3];
        if (!measures_type(shape, type))
            continue;
        fine = make_copies(&jobs[0], d, shape, type, 1);
        jobs[1].copies[0] = jobs[0].copies[0];
        jobs[1].n_copies = 1;
        for (size_t i = 0; fine && i < N_ROWS; i += 2) {
            jobs[0].m = jobs[1].m = row_counts[i];
            measure_pair(b, jobs, shape, type);
        }
        free_copies(&jobs[0]);
    }
    ink_context_free(jobs[0].ctx);
    ink_context_free(jobs[1].ctx);
    return fine;
}

/* ---- beside a busy thread ---------------------------------------------------------------------------------------- */

#ifdef HAVE_THREADS
enum { BUSY_PRODUCTS = 20000, BUSY_SHAPE = 3, BUSY_ROWS = 16 };

static int spin(void *stop)
{
    while (!atomic_load_explicit((atomic_bool *)stop, memory_order_relaxed)) {
    }
    return 0;
}

/* While another thread keeps a core busy: the median time, and the time that 999 of 1000 products stay below. */
static void measure_busy(bench *b, product_job *job, unsigned n_threads)
{
    static double seconds[BUSY_PRODUCTS];
    atomic_bool stop = false;
    thrd_t busy;
    if (thrd_create(&busy, spin, &stop) != thrd_success)
        return;
    double begin = console_seconds(), start = begin, end;
    size_t n = 0;
    do {
        multiply(job);
        end = console_seconds();
        seconds[n++] = end - start;
        start = end;
    } while (n < BUSY_PRODUCTS && end - begin < 20 * b->seconds);
    stats_sort(seconds, n);
    atomic_store(&stop, true);
    thrd_join(busy, NULL);
    bench_report(b, &(bench_line){n_threads == 1 ? "busy, 1 thread" : "busy, 2 threads", "F32", job->m,
                                  shapes[BUSY_SHAPE].n, shapes[BUSY_SHAPE].k, n_threads, seconds[n / 2], 0,
                                  1e6 * seconds[n * 999 / 1000], "us 99.9 %", 0, NULL});
}

static bool measure_both_busy(bench *b, const product_data *d)
{
    bool fine = true;
    for (unsigned n_threads = 1; fine && n_threads <= 2; n_threads++) {
        product_job job = {
            .ctx = console_context(n_threads, b->kernel), .x = d->x, .bias = d->bias, .y = d->y, .m = BUSY_ROWS};
        fine = job.ctx != NULL && make_copies(&job, d, BUSY_SHAPE, INK_F32, 1);
        if (fine)
            measure_busy(b, &job, n_threads);
        free_copies(&job);
        ink_context_free(job.ctx);
    }
    return fine;
}
#else
static bool measure_both_busy(bench *b, const product_data *d)
{
    (void)b, (void)d;
    return true;
}
#endif

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
    bool pairs = bench_wants(b, "threads", "threads"), busy = bench_wants(b, "threads", "busy, 2 threads");
    bool packing = bench_wants(b, "pack", "pack");
    if (!pairs && !busy && !packing)
        return true;
    if (!make_data(&d))
        return false;
    bool fine = (!packing || measure_packing(b, &d)) && (!pairs || measure_threads(b, &d)) &&
                (!busy || measure_both_busy(b, &d));
    free_data(&d);
    return fine;
}

/* ---- elementary functions --------------------------------------------------------------------------------------- */

/* In cycles for each of 4096 floats in the first-level cache. Neither exp nor softmax is a public function of its own,
   so this reaches for the kernel's table. */
enum { N_FLOATS = 4096 };

typedef struct math_job {
    const ink_kernel *kernel;
    const char *name;
    ink_activation activation; /* INK_IDENTITY: exp or softmax */
    float *x, *y;              /* [N_FLOATS] */
} math_job;

static void run_math(void *job)
{
    const math_job *j = job;
    if (j->activation != INK_IDENTITY)
        j->kernel->activate(j->activation, j->x, N_FLOATS, j->y);
    else if (j->name[0] == 'e')
        j->kernel->exp(j->x, N_FLOATS, j->y);
    else
        j->kernel->softmax(j->y, N_FLOATS, 1, false); /* in place, so it works on the shares that it left */
}

bool bench_math(bench *b)
{
    static float x[N_FLOATS], y[N_FLOATS];
    const ink_kernel *kernel = ink_kernel_find(b->kernel);
    const math_job functions[] = {{kernel, "exp", INK_IDENTITY, x, y},
                                  {kernel, "tanh", INK_TANH, x, y},
                                  {kernel, "gelu_tanh", INK_GELU_TANH, x, y},
                                  {kernel, "silu", INK_SILU, x, y},
                                  {kernel, "softmax", INK_IDENTITY, x, y}};
    for (size_t i = 0; i < N_FLOATS; i++)
        x[i] = ((float)(i * 2654435761 % 65536) - 32768) / 4096; /* all of -8 .. 8, in no order */
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        math_job job = functions[i];
        if (!bench_wants(b, "math", job.name))
            continue;
        bench_times times = bench_measure(b, &(bench_work){.run = run_math, .job = &job});
        bench_report(b, &(bench_line){job.name, NULL, 0, N_FLOATS, 0, 1, times.seconds, times.spread,
                                      times.clock * times.seconds / N_FLOATS, "cycles", 0, NULL});
    }
    return true;
}
