/*
 * bench_math.c - elementary functions over 4096 floats in the first-level cache, in cycles for an element.
 *
 * Neither exp nor softmax is a public function of its own, so this file reaches for the kernel's table.
 */
#include "../../src/tensor/kernel.h"
#include "bench_run.h"

enum { N = 4096 };

typedef struct math_job {
    const ink_kernel *kernel;
    float *x, *y; /* [N] */
} math_job;

static void run_exp(void *job)
{
    const math_job *j = job;
    j->kernel->exp(j->x, N, j->y);
}

static void run_tanh(void *job)
{
    const math_job *j = job;
    j->kernel->activate(INK_TANH, j->x, N, j->y);
}

static void run_gelu_tanh(void *job)
{
    const math_job *j = job;
    j->kernel->activate(INK_GELU_TANH, j->x, N, j->y);
}

static void run_silu(void *job)
{
    const math_job *j = job;
    j->kernel->activate(INK_SILU, j->x, N, j->y);
}

/* In place, so what it works on are the shares it left. */
static void run_softmax(void *job)
{
    const math_job *j = job;
    j->kernel->softmax(j->y, N, 1);
}

bool bench_math(bench *b)
{
    static const struct {
        const char *name;
        void (*run)(void *job);
    } functions[] = {{"exp", run_exp},
                     {"tanh", run_tanh},
                     {"gelu_tanh", run_gelu_tanh},
                     {"silu", run_silu},
                     {"softmax", run_softmax}};
    static float x[N], y[N];
    math_job job = {.kernel = ink_kernel_find(b->kernel), .x = x, .y = y};
    for (size_t i = 0; i < N; i++)
        x[i] = ((float)(i * 2654435761 % 65536) - 32768) / 4096; /* all of -8 .. 8, in no order */
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!bench_wants(b, "math", functions[i].name))
            continue;
        bench_times times = bench_measure(b, &(bench_work){.run = functions[i].run, .job = &job});
        bench_report(b, &(bench_line){.name = functions[i].name,
                                      .kernel = b->kernel,
                                      .n = N,
                                      .threads = 1,
                                      .seconds = times.seconds,
                                      .spread = times.spread,
                                      .rate = times.clock * times.seconds / N,
                                      .unit = "cycles"});
    }
    return true;
}
