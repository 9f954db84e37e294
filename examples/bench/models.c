/*
 * bench_models.c - the bundled models: a prompt of 64 tokens with the logits of all of them, and one token after
 * another, as shares of what the machine allows: two operations per parameter and token for a prompt, all weights read
 * once for a token. (An embedding that is not the output matrix as well, the MLP's, is counted too, some 10 %.)
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench_run.h"
#include "bundled.h"
#include "console.h"

enum { N_PROMPT = 64, N_TOKENS = 16 };

typedef struct model_job {
    ink_context *ctx;
    ink_model *model;
    ink_state *state;
    ink_token tokens[N_PROMPT + N_TOKENS];
    float *logits;
} model_job;

static void run_prompt(void *job)
{
    const model_job *m = job;
    const ink_item item = {
        .state = m->state, .tokens = m->tokens, .n_tokens = N_PROMPT, .logits = m->logits, .n_logits = N_PROMPT};
    ink_state_reset(m->state);
    (void)ink_model_forward_list(m->ctx, m->model, &item, 1);
}

static void run_tokens(void *job)
{
    const model_job *m = job;
    ink_state_reset(m->state);
    for (size_t i = 0; i < N_TOKENS; i++)
        (void)ink_model_forward(m->ctx, m->model, m->state, m->tokens + i, 1, m->logits);
}

static void measure_prompt(const bench *b, model_job *job, const char *name)
{
    double flops = 2.0 * (double)ink_model_get_info(job->model)->n_parameters;
    bench_times times = bench_measure(b, &(bench_work){run_prompt, job, NULL, 0});
    double token = times.seconds / N_PROMPT;
    bench_report(b, &(bench_line){.name = name,
                                  .kernel = b->kernel,
                                  .m = N_PROMPT,
                                  .threads = b->n_threads,
                                  .seconds = token,
                                  .spread = times.spread,
                                  .rate = 1 / token,
                                  .unit = "tokens/s",
                                  .share = flops / (times.multiply_adds * b->n_threads) / token,
                                  .ceiling = "fma"});
}

static void measure_token(const bench *b, model_job *job, const char *name)
{
    size_t bytes = (size_t)ink_model_get_info(job->model)->n_bytes;
    bench_times times = bench_measure(b, &(bench_work){run_tokens, job, NULL, bytes});
    double token = times.seconds / N_TOKENS;
    bench_report(b, &(bench_line){.name = name,
                                  .kernel = b->kernel,
                                  .m = 1,
                                  .threads = b->n_threads,
                                  .seconds = token,
                                  .spread = times.spread,
                                  .rate = 1 / token,
                                  .unit = "tokens/s",
                                  .share = (double)bytes / times.reads / token,
                                  .ceiling = "read"});
}

static void measure_model(const bench *b, model_job *job, const char *model)
{
    char name[32];
    snprintf(name, sizeof name, "%s prompt", model);
    if (bench_wants(b, "model", name))
        measure_prompt(b, job, name);
    snprintf(name, sizeof name, "%s token", model);
    if (bench_wants(b, "model", name))
        measure_token(b, job, name);
}

/*
 * A story as the models know them, over and over. Arbitrary tokens would drive an LSTM's gates to where products are
 * subnormal numbers, which some processors take a hundred times longer for.
 */
static bool read_text(model_job *job, const char *folder)
{
    static const char text[] = "Anna and Tom were in the garden. It was night and they saw the moon. They had a dog "
                               "with them. Anna put the ball under the bench.";
    ink_tokenizer *tokenizer = NULL;
    size_t n = 0;
    ink_result result = ink_tokenizer_open(job->ctx, folder, &tokenizer);
    if (result == INK_OK)
        result = ink_tokenizer_encode(job->ctx, tokenizer, text, sizeof text - 1, INK_ENCODE_DEFAULT, job->tokens,
                                      N_PROMPT + N_TOKENS, &n);
    ink_tokenizer_free(tokenizer);
    if (result != INK_OK) {
        console_complain("%s", ink_context_error(job->ctx));
        return false;
    }
    for (size_t i = n; i < N_PROMPT + N_TOKENS; i++)
        job->tokens[i] = job->tokens[i - n];
    return true;
}

static bool open_model(model_job *job, const char *folder)
{
    if (ink_model_open(job->ctx, folder, NULL, &job->model) != INK_OK ||
        ink_state_create(job->ctx, job->model, N_PROMPT + N_TOKENS, &job->state) != INK_OK) {
        console_complain("%s", ink_context_error(job->ctx));
        return false;
    }
    const ink_model_info *info = ink_model_get_info(job->model);
    job->logits = malloc(N_PROMPT * info->vocab_size * sizeof *job->logits);
    if (job->logits == NULL) {
        console_complain("out of memory");
        return false;
    }
    return read_text(job, folder);
}

bool bench_models(bench *b)
{
    static const char *const names[] = {"mlp", "rnn", "gru", "lstm", "gpt"};
    ink_context *ctx = console_context(b->n_threads, b->kernel);
    bool fine = ctx != NULL;
    for (size_t i = 0; fine && i < sizeof names / sizeof *names; i++) {
        model_job job = {.ctx = ctx};
        char folder[BUNDLED_ROOM];
        fine = bundled_folder(folder, names[i]) && open_model(&job, folder);
        if (fine)
            measure_model(b, &job, names[i]);
        free(job.logits);
        ink_state_free(job.state);
        ink_model_free(job.model);
    }
    ink_context_free(ctx);
    return fine;
}
