/*
 * bench_shapes.c - whole models of well-known shapes with random weights: a decoder like GPT-2 small.
 *
 *     open         from a folder in the page cache, as a share of copying memory
 *     prompt       the multiply-adds of the blocks and of the attention to what each position sees, at peak; and the
 *                  weights of the last position's logits read once from memory
 *     token        all weights and the cache of keys and values read once from memory
 *     8 tokens     one for each of eight sequences in a list, as a share of the time of one alone
 */
#if defined(__unix__)
#define _XOPEN_SOURCE 700
#include <unistd.h>
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_file.h"
#include "bench_run.h"
#include "console.h"

enum {
    HIDDEN = 768,
    N_BLOCKS = 12,
    VOCAB_SIZE = 50257,
    N_POSITIONS = 4096,
    PROMPT = 128,
    BEFORE = 64, /* tokens in front of the one that is timed */
    N_LIST = 8
};

static const char config[] = "{\"model_type\":\"gpt2\",\"n_positions\":4096}"; /* the rest is the default */

static void add_block(bench_file *file, size_t block)
{
    static const struct {
        const char *name;
        size_t rows, columns;
    } tensors[] = {{"ln_1.weight", HIDDEN, 0},
                   {"ln_1.bias", HIDDEN, 0},
                   {"attn.c_attn.weight", HIDDEN, 3 * HIDDEN},
                   {"attn.c_attn.bias", 3 * HIDDEN, 0},
                   {"attn.c_proj.weight", HIDDEN, HIDDEN},
                   {"attn.c_proj.bias", HIDDEN, 0},
                   {"ln_2.weight", HIDDEN, 0},
                   {"ln_2.bias", HIDDEN, 0},
                   {"mlp.c_fc.weight", HIDDEN, 4 * HIDDEN},
                   {"mlp.c_fc.bias", 4 * HIDDEN, 0},
                   {"mlp.c_proj.weight", 4 * HIDDEN, HIDDEN},
                   {"mlp.c_proj.bias", HIDDEN, 0}};
    char name[64];
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        snprintf(name, sizeof name, "h.%zu.%s", block, tensors[i].name);
        bench_file_add(file, name, tensors[i].rows, tensors[i].columns);
    }
}

static bool make_file(bench_file *file)
{
    bench_file_begin(file, config);
    bench_file_add(file, "wte.weight", VOCAB_SIZE, HIDDEN);
    bench_file_add(file, "wpe.weight", N_POSITIONS, HIDDEN);
    for (size_t block = 0; block < N_BLOCKS; block++)
        add_block(file, block);
    bench_file_add(file, "ln_f.weight", HIDDEN, 0);
    bench_file_add(file, "ln_f.bias", HIDDEN, 0);
    return bench_file_finish(file);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

typedef struct open_job {
    ink_context *ctx;
    const char *folder;
} open_job;

static void open_and_free(void *job)
{
    const open_job *j = job;
    ink_model *model = NULL;
    (void)ink_model_open(j->ctx, j->folder, NULL, &model);
    ink_model_free(model);
}

#if defined(__unix__)
static double best_copy(const bench *b)
{
    double best = 0;
    for (size_t i = 0; i < 10; i++) {
        double rate = machine_copies(b->memory, b->memory + BENCH_MEMORY / 2, BENCH_MEMORY / 2);
        best = rate > best ? rate : best;
    }
    return best;
}

/* The folder is written first, so its bytes are in the page cache. */
static bool measure_open(const bench *b, const bench_file *file)
{
    char folder[] = "/tmp/inkling-bench-XXXXXX", path[64];
    open_job job = {.folder = folder};
    if (mkdtemp(folder) == NULL) {
        console_complain("%s: cannot be made", folder);
        return false;
    }
    bool fine = bench_file_write(file, folder) && (job.ctx = console_context(2, b->kernel)) != NULL;
    if (fine) {
        bench_times times = bench_measure(b, &(bench_work){.run = open_and_free, .job = &job});
        double rate = (double)file->size / times.seconds;
        bench_report(b, &(bench_line){.name = "gpt2 open",
                                      .kernel = b->kernel,
                                      .type = "F32",
                                      .threads = 2,
                                      .seconds = times.seconds,
                                      .spread = times.spread,
                                      .rate = rate / 1e9,
                                      .unit = "GB/s",
                                      .share = rate / best_copy(b),
                                      .ceiling = "copy"});
    }
    ink_context_free(job.ctx);
    for (size_t i = 0; i < file->files.n_files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, file->entries[i].name);
        unlink(path);
    }
    rmdir(folder);
    return fine;
}
#else
static bool measure_open(const bench *b, const bench_file *file)
{
    (void)b, (void)file;
    return true; /* there is no standard way to make a folder */
}
#endif

/* ---- running ----------------------------------------------------------------------------------------------------- */

typedef struct shape_job {
    ink_context *ctx;
    const ink_model *model;
    ink_state *states[N_LIST];
    size_t n_states;
    size_t before; /* tokens each state has seen when the work begins */
    size_t n_tokens;
    const ink_token *tokens;
    float *logits; /* [N_LIST, vocab_size] */
} shape_job;

static void forward(void *job)
{
    const shape_job *j = job;
    ink_item items[N_LIST];
    for (size_t i = 0; i < j->n_states; i++) {
        (void)ink_state_rewind(j->ctx, j->states[i], j->before);
        items[i] = (ink_item){.state = j->states[i],
                              .tokens = j->tokens,
                              .n_tokens = j->n_tokens,
                              .logits = j->logits + i * VOCAB_SIZE,
                              .n_logits = 1};
    }
    (void)ink_model_forward_list(j->ctx, j->model, items, j->n_states);
}

static void free_states(shape_job *job)
{
    for (size_t i = 0; i < N_LIST; i++) {
        ink_state_free(job->states[i]);
        job->states[i] = NULL;
    }
}

/* States that have seen `before` tokens. */
static bool make_states(shape_job *job, size_t n_states, size_t before, size_t n_tokens)
{
    job->n_states = n_states;
    job->before = 0;
    job->n_tokens = before;
    for (size_t i = 0; i < n_states; i++)
        if (ink_state_create(job->ctx, job->model, before + n_tokens, &job->states[i]) != INK_OK) {
            console_complain("%s", ink_context_error(job->ctx));
            return false;
        }
    if (before > 0)
        forward(job);
    job->before = before;
    job->n_tokens = n_tokens;
    return true;
}

static bool measure_prompt(const bench *b, shape_job *job, const char *name, size_t n)
{
    double tokens = (double)n, pairs = tokens * (tokens + 1) / 2;
    double flops = N_BLOCKS * (2.0 * 12 * HIDDEN * HIDDEN * tokens + 4.0 * HIDDEN * pairs);
    bool fine = make_states(job, 1, 0, n);
    if (fine) {
        bench_times times = bench_measure(b, &(bench_work){forward, job, NULL, BENCH_MEMORY});
        double least =
            flops / (times.multiply_adds * b->n_threads) + (double)HIDDEN * VOCAB_SIZE * sizeof(float) / times.reads;
        bench_report(b, &(bench_line){.name = name,
                                      .kernel = b->kernel,
                                      .type = "F32",
                                      .m = n,
                                      .threads = b->n_threads,
                                      .seconds = times.seconds,
                                      .spread = times.spread,
                                      .rate = tokens / times.seconds,
                                      .unit = "tokens/s",
                                      .share = least / times.seconds,
                                      .ceiling = "fma+read"});
    }
    free_states(job);
    return fine;
}

static bool measure_token(const bench *b, shape_job *job, const char *type)
{
    const ink_model_info *info = ink_model_get_info(job->model);
    double bytes_each = (double)info->n_bytes / (double)info->n_parameters;
    double bytes = (double)info->n_bytes - bytes_each * N_POSITIONS * HIDDEN +
                   2.0 * N_BLOCKS * HIDDEN * (BEFORE + 1) * sizeof(float);
    bool fine = make_states(job, 1, BEFORE, 1);
    if (fine) {
        bench_times times = bench_measure(b, &(bench_work){forward, job, NULL, (size_t)bytes});
        bench_report(b, &(bench_line){.name = "gpt2 token",
                                      .kernel = b->kernel,
                                      .type = type,
                                      .m = 1,
                                      .threads = b->n_threads,
                                      .seconds = times.seconds,
                                      .spread = times.spread,
                                      .rate = 1 / times.seconds,
                                      .unit = "tokens/s",
                                      .share = bytes / times.reads / times.seconds,
                                      .ceiling = "read"});
    }
    free_states(job);
    return fine;
}

static bool measure_list(const bench *b, shape_job *job)
{
    shape_job one = *job;
    bool fine = make_states(&one, 1, BEFORE, 1) && make_states(job, N_LIST, BEFORE, 1);
    if (fine) {
        bench_times times = bench_measure(b, &(bench_work){.run = forward, .job = job, .rival = &one});
        bench_report(b, &(bench_line){.name = "gpt2 8 tokens",
                                      .kernel = b->kernel,
                                      .type = "F32",
                                      .m = N_LIST,
                                      .threads = b->n_threads,
                                      .seconds = times.seconds,
                                      .spread = times.spread,
                                      .rate = N_LIST / times.seconds,
                                      .unit = "tokens/s",
                                      .share = times.rival / times.seconds,
                                      .ceiling = "one token"});
    }
    free_states(&one);
    free_states(job);
    return fine;
}

/* Opens the model with weights of that type and measures whatever is asked of it. */
static bool measure_model(const bench *b, const bench_file *file, ink_type type, const ink_token *tokens, float *logits)
{
    ink_model *model = NULL;
    const ink_model_options options = {.type = type, .source = &file->source};
    shape_job job = {.ctx = console_context(b->n_threads, b->kernel), .tokens = tokens, .logits = logits};
    bool fine = job.ctx != NULL;
    if (fine && ink_model_open(job.ctx, "gpt2", &options, &model) != INK_OK) {
        console_complain("%s", ink_context_error(job.ctx));
        fine = false;
    }
    job.model = model;
    if (fine && bench_wants(b, "shape", "gpt2 token"))
        fine = measure_token(b, &job, ink_type_name(type));
    if (fine && type == INK_F32 && bench_wants(b, "shape", "gpt2 8 tokens"))
        fine = measure_list(b, &job);
    if (fine && type == INK_F32 && bench_wants(b, "shape", "gpt2 prompt"))
        fine = measure_prompt(b, &job, "gpt2 prompt", PROMPT);
    if (fine && type == INK_F32 && !b->quick && bench_wants(b, "shape", "gpt2 long prompt"))
        fine = measure_prompt(b, &job, "gpt2 long prompt", N_POSITIONS);
    ink_model_free(model);
    ink_context_free(job.ctx);
    return fine;
}

static bool measure_all(const bench *b, const bench_file *file)
{
    static const ink_type types[] = {INK_F32, INK_BF16, INK_F16};
    static ink_token tokens[N_POSITIONS];
    float *logits = malloc(N_LIST * VOCAB_SIZE * sizeof *logits);
    if (logits == NULL)
        return bench_out_of_memory();
    for (size_t i = 0; i < N_POSITIONS; i++)
        tokens[i] = (ink_token)(i * 7919 % VOCAB_SIZE);
    bool fine = !bench_wants(b, "shape", "gpt2 open") || measure_open(b, file);
    for (size_t i = 0; fine && i < sizeof types / sizeof *types; i++)
        fine = measure_model(b, file, types[i], tokens, logits);
    free(logits);
    return fine;
}

bool bench_shapes(bench *b)
{
    static const char *const names[] = {"gpt2 open", "gpt2 token", "gpt2 8 tokens", "gpt2 prompt", "gpt2 long prompt"};
    bench_file file;
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        any = any || bench_wants(b, "shape", names[i]);
    if (!any)
        return true;
    bool fine = make_file(&file) && measure_all(b, &file);
    bench_file_free(&file);
    return fine;
}
