/*
 * bench.c - how fast the library is on this machine, as shares of what the machine can do.
 *
 * A figure in seconds says little: machines differ, and one machine differs from hour to hour. So the ceilings, how
 * fast a core multiplies and adds and how fast it reads, are measured beside every piece of work (bench_run.h), and
 * each line ends with the share that was reached. The bench reports; it never decides.
 */
#include <stdlib.h>
#include <string.h>

#include "bench_run.h"
#include "cli.h"
#include "console.h"

typedef struct settings {
    bool json, quick;
    const char *only, *kernel;
    uint64_t n_threads;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "--json", .flag = &s->json, .help = "one object a line instead of a table"},
        {.name = "--quick", .flag = &s->quick, .help = "a quarter of the time, for a first look"},
        {.name = "--only",
         .value = "NAME",
         .text = &s->only,
         .help = "a group: machine, product, math, threads, mlp, cell, model, shape; or a part of a line's name"},
        {.name = "--kernel",
         .value = "NAME",
         .text = &s->kernel,
         .help = "portable, avx2, avx512 (default: all for products and functions, the best for the rest)"},
        {.name = "--threads",
         .value = "N",
         .count = &s->n_threads,
         .least = 1,
         .most = INK_MAX_THREADS,
         .help = "threads to use (default 1)"},
    };
    cli line = {
        .name = "bench",
        .usage = "[options]",
        .about = "Measures products, functions, recurrent cells and models as shares of the machine's ceilings.",
        .samples = "  bench --quick\n"
                   "  bench --only product --kernel avx2\n"
                   "  bench --json --threads 2\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    return cli_read(&line, argc, argv);
}

/* The ceilings for the portable kernel are those of the machine's best instructions. */
static void use_kernel(bench *b, const char *kernel)
{
    b->kernel = kernel;
    b->isa = machine_isa_of(kernel);
    if (b->isa == MACHINE_PLAIN)
        b->isa = machine_isa_of(ink_kernel_name(0));
}

/* Every kernel for machine, products and functions, unless one was named; the best, or the one named, for the rest. */
static bool run(bench *b, const char *kernel)
{
    bool fine = true;
    for (size_t i = 0; fine && ink_kernel_name(i) != NULL; i++) {
        if (kernel != NULL && strcmp(kernel, ink_kernel_name(i)) != 0)
            continue;
        use_kernel(b, ink_kernel_name(i));
        fine = bench_machine(b) && bench_products(b) && bench_math(b);
    }
    use_kernel(b, kernel != NULL ? kernel : ink_kernel_name(0));
    return fine && bench_threads(b) && bench_mlp(b) && bench_cells(b) && bench_models(b) && bench_encoders(b) &&
           bench_shapes(b);
}

int main(int argc, char **argv)
{
    settings s = {.n_threads = 1};
    console_start("bench");
    switch (read_settings(&s, argc, argv)) {
    case CLI_RUN:
        break;
    case CLI_HELP:
        return EXIT_SUCCESS;
    case CLI_ERROR:
        return EXIT_FAILURE;
    }
    /* Names the kernels there are, if this one is not among them. */
    ink_context *ctx = console_context(s.n_threads, s.kernel);
    if (ctx == NULL)
        return EXIT_FAILURE;
    ink_context_free(ctx);

    size_t n_lines = 0;
    bench b = {.json = s.json,
               .quick = s.quick,
               .seconds = s.quick ? 0.04 : 0.15,
               .only = s.only,
               .n_threads = (unsigned)s.n_threads,
               .n_lines = &n_lines,
               .memory = machine_memory(BENCH_MEMORY)};
    if (b.memory == NULL)
        return bench_out_of_memory() ? EXIT_SUCCESS : EXIT_FAILURE;
    bool fine = run(&b, s.kernel);
    free(b.memory);
    if (fine && n_lines == 0) {
        console_complain("--only expects a group (see --help) or a part of a line's name, found '%s'", s.only);
        fine = false;
    }
    return console_finish() && fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
