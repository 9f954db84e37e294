/*
 * own.c - the model of a folder or GGUF file of the user's: prompts of 128 and 512 tokens, one token behind 64, which
 * is as many as there are on average while 128 tokens are generated, and opening it.
 *
 * A token needs all weights once from memory, so its ceiling is reading as many bytes. The work of a prompt depends on
 * the types of the weights, so a prompt is reported without a ceiling; `product` has the ceilings of products.
 */
#include <stdlib.h>

#include "bench.h"
#include "lm.h"

enum { BEFORE = 56, N_TOKENS = 16, LONGEST = 512 };

typedef struct own_job {
    language_model lm;
    ink_state *state;
    size_t capacity; /* of the state: prompts that do not fit are left out */
    size_t n_tokens; /* of the prompt */
    ink_token tokens[LONGEST];
    float *logits; /* [vocab_size] */
} own_job;

static void run_prompt(void *job)
{
    const own_job *j = job;
    ink_state_reset(j->state);
    (void)ink_model_forward(j->lm.ctx, j->lm.model, j->state, j->tokens, j->n_tokens, j->logits);
}

static void run_tokens(void *job)
{
    const own_job *j = job;
    (void)ink_state_rewind(j->lm.ctx, j->state, BEFORE);
    for (size_t i = 0; i < N_TOKENS; i++)
        (void)ink_model_forward(j->lm.ctx, j->lm.model, j->state, &j->tokens[i], 1, j->logits);
}

static void measure_own(bench *b, own_job *job)
{
    static const size_t lengths[] = {128, LONGEST};
    double bytes = (double)job->lm.info->n_bytes;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        if (lengths[i] > job->capacity)
            continue;
        job->n_tokens = lengths[i];
        bench_times times = bench_measure(b, &(bench_work){.run = run_prompt, .job = job});
        bench_report(b, &(bench_line){.name = "prompt",
                                      .m = job->n_tokens,
                                      .threads = b->n_threads,
                                      .seconds = times.seconds,
                                      .spread = times.spread,
                                      .rate = (double)job->n_tokens / times.seconds,
                                      .unit = "tokens/s"});
    }
    job->n_tokens = BEFORE;
    run_prompt(job);
    bench_times times = bench_measure(b, &(bench_work){.run = run_tokens, .job = job, .bytes = (size_t)bytes});
    double token = times.seconds / N_TOKENS;
    bench_report(b, &(bench_line){.name = "token",
                                  .m = 1,
                                  .threads = b->n_threads,
                                  .seconds = token,
                                  .spread = times.spread,
                                  .rate = 1 / token,
                                  .unit = "tokens/s",
                                  .share = bytes / times.reads / token,
                                  .ceiling = "read"});
}

typedef struct open_job {
    ink_context *ctx;
    const char *path;
} open_job;

static void run_open(void *job)
{
    const open_job *j = job;
    ink_model *model = NULL;
    (void)ink_model_open(j->ctx, j->path, NULL, &model);
    ink_model_free(model);
}

bool bench_open(bench *b, const char *name, const char *type, const char *path, unsigned threads)
{
    open_job job = {.ctx = console_context(threads, b->kernel), .path = path};
    ink_model *model = NULL;
    const bool fine = job.ctx != NULL && console_ok(job.ctx, ink_model_open(job.ctx, path, NULL, &model));
    if (fine) {
        const double bytes = (double)ink_model_get_info(model)->n_bytes;
        ink_model_free(model);
        bench_times times = bench_measure(b, &(bench_work){.run = run_open, .job = &job});
        const double rate = bytes / times.seconds;
        bench_report(b, &(bench_line){name, type, 0, 0, 0, threads, times.seconds, times.spread, rate / 1e9, "GB/s",
                                      rate / bench_copies(b), "copy"});
    }
    ink_context_free(job.ctx);
    return fine;
}

bool bench_own_model(bench *b, const char *path)
{
    own_job job = {.capacity = LONGEST};
    ink_context *ctx = console_context(b->n_threads, b->kernel);
    bool fine = ctx != NULL && lm_open(&job.lm, ctx, path, LM_NO_TOKENIZER);
    if (fine) {
        const ink_model_info *info = job.lm.info;
        if (info->context_length != 0 && info->context_length < LONGEST)
            job.capacity = info->context_length;
        if (job.capacity < BEFORE + N_TOKENS)
            fine = console_complain("%s: %d tokens are measured, and %zu are all it takes", path, BEFORE + N_TOKENS,
                                    job.capacity);
        fine = fine && console_ok(ctx, ink_state_create(ctx, job.lm.model, job.capacity, &job.state));
        for (size_t i = 0; i < LONGEST; i++)
            job.tokens[i] = (ink_token)(i * 7919 % info->vocab_size);
        job.logits = console_memory(info->vocab_size, sizeof *job.logits);
        fine = fine && job.logits != NULL;
    }
    if (fine)
        measure_own(b, &job);
    free(job.logits);
    ink_state_free(job.state);
    lm_close(&job.lm);
    ink_context_free(ctx);
    return fine && bench_open(b, "open", NULL, path, b->n_threads);
}
