/*
 * bench.c - how fast the library is on this machine, as shares of what the machine can do.
 *
 * A figure in seconds says little: machines differ, and one machine differs from hour to hour. So the ceilings (how
 * fast a core multiplies and adds, and how fast it reads) are measured beside every piece of work, and each line ends
 * with the share that was reached. The bench reports; it never decides.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

static bool json, quick;
static const char *only, *kernel, *model;
static uint64_t n_threads = 1;

static const cli_option options[] = {
    CLI_FLAG("--json", &json, "one object a line instead of a table"),
    CLI_FLAG("--quick", &quick, "a quarter of the time, for a first look"),
    CLI_TEXT("--only", "NAME", &only,
             "a group: machine, product, math, pack, threads, mlp, cell, model, shape; or a part of a line's name"),
    CLI_TEXT(
        "--kernel", "NAME", &kernel,
        "portable, sse2, avx2, avx2_vnni, avx512, avx512_vnni (default: all for products and functions, the best for "
        "the rest)"),
    CLI_TEXT("--model", "FOLDER", &model, "only this model, a folder or a .gguf file: prompts and tokens"),
    CLI_COUNT("--threads", "N", &n_threads, 1, INK_MAX_THREADS, "threads to use (default 1)"),
};

static cli line = {
    .name = "bench",
    .usage = "[options]",
    .about = "Measures products, functions, recurrent cells and models as shares of the machine's ceilings.",
    .samples = "  bench --quick\n"
               "  bench --only product --kernel avx2\n"
               "  bench --json --threads 2\n"
               "  bench --model examples/models/gpt\n",
    CLI_OPTIONS(options),
};

/* The ceilings for the portable kernel are those of the machine's best instructions. A kernel NAME_vnni has the floats
   of NAME. */
static void use_kernel(bench *b, const char *name)
{
    b->kernel = name;
    b->isa = machine_isa_of(name);
    b->floats = kernel != NULL || strstr(name, "_") == NULL;
    if (b->isa == MACHINE_PLAIN)
        b->isa = machine_isa_of(ink_kernel_name(0));
}

/* Runs the machine, products and functions with every kernel, unless one was named, and the rest with the best one. */
static bool measure(bench *b)
{
    bool fine = true;
    if (model != NULL) {
        use_kernel(b, kernel != NULL ? kernel : ink_kernel_name(0));
        return bench_own_model(b, model);
    }
    for (size_t i = 0; fine && ink_kernel_name(i) != NULL; i++) {
        if (kernel != NULL && strcmp(kernel, ink_kernel_name(i)) != 0)
            continue;
        use_kernel(b, ink_kernel_name(i));
        fine = bench_machine(b) && bench_products(b) && (!b->floats || bench_math(b));
    }
    use_kernel(b, kernel != NULL ? kernel : ink_kernel_name(0));
    return fine && bench_threads(b) && bench_networks(b);
}

static bool run(void)
{
    ink_context *ctx = console_context(n_threads, kernel); /* checks the name of the kernel */
    bench b = {.json = json,
               .quick = quick,
               .seconds = quick ? 0.04 : 0.15,
               .only = only,
               .n_threads = (unsigned)n_threads,
               .memory = ctx != NULL ? machine_memory(BENCH_MEMORY) : NULL};
    bool fine = ctx != NULL && (b.memory != NULL || console_complain("there is no memory to read from"));
    ink_context_free(ctx);
    fine = fine && measure(&b);
    machine_free(b.memory);
    return fine && (b.n_lines > 0 || console_complain("--only expects a group (see --help) or a part of a line's name, "
                                                      "found '%s'",
                                                      only));
}

int main(int argc, char **argv)
{
    cli_outcome outcome = cli_read(&line, argc, argv);
    bool done = outcome == CLI_RUN ? run() : outcome == CLI_HELP;
    return !(console_finish() && done);
}
