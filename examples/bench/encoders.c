/*
 * bench_encoders.c - encoders of well-known shapes with random weights: one text of 128 tokens through MiniLM
 * (6 layers of 384) and BERT base (12 of 768), as shares of the multiply-adds of their layers and of attention to all
 * tokens. The vocabulary is a small one, since nothing is multiplied with it.
 */
#include <stdio.h>

#include "bench_file.h"
#include "bench_run.h"
#include "console.h"

enum { N_TOKENS = 128, MOST_HIDDEN = 768 };

typedef struct encoder_shape {
    const char *name, *config;
    size_t n_layers, hidden;
} encoder_shape;

static void add_layer(bench_file *file, size_t layer, size_t hidden)
{
    const struct {
        const char *name;
        size_t rows, columns;
    } modules[] = {{"attention.self.query", hidden, hidden},  {"attention.self.key", hidden, hidden},
                   {"attention.self.value", hidden, hidden},  {"attention.output.dense", hidden, hidden},
                   {"attention.output.LayerNorm", hidden, 0}, {"intermediate.dense", 4 * hidden, hidden},
                   {"output.dense", hidden, 4 * hidden},      {"output.LayerNorm", hidden, 0}};
    char name[96];
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        snprintf(name, sizeof name, "encoder.layer.%zu.%s.weight", layer, modules[i].name);
        bench_file_add(file, name, modules[i].rows, modules[i].columns);
        snprintf(name, sizeof name, "encoder.layer.%zu.%s.bias", layer, modules[i].name);
        bench_file_add(file, name, modules[i].rows, 0);
    }
}

static bool make_file(bench_file *file, const encoder_shape *shape)
{
    bench_file_begin(file, shape->config);
    bench_file_add(file, "embeddings.word_embeddings.weight", N_TOKENS, shape->hidden);
    bench_file_add(file, "embeddings.position_embeddings.weight", N_TOKENS, shape->hidden);
    bench_file_add(file, "embeddings.token_type_embeddings.weight", 2, shape->hidden);
    bench_file_add(file, "embeddings.LayerNorm.weight", shape->hidden, 0);
    bench_file_add(file, "embeddings.LayerNorm.bias", shape->hidden, 0);
    for (size_t layer = 0; layer < shape->n_layers; layer++)
        add_layer(file, layer, shape->hidden);
    return bench_file_finish(file);
}

typedef struct encoder_job {
    ink_context *ctx;
    const ink_model *model;
    ink_text text;
} encoder_job;

static void encode(void *job)
{
    const encoder_job *j = job;
    (void)ink_model_encode(j->ctx, j->model, INK_HIDDEN_STATES, &j->text, 1);
}

static void measure(const bench *b, encoder_job *job, const encoder_shape *shape)
{
    double hidden = (double)shape->hidden;
    double flops = (double)shape->n_layers * N_TOKENS * (2.0 * 12 * hidden * hidden + 4.0 * hidden * N_TOKENS);
    bench_times times = bench_measure(b, &(bench_work){.run = encode, .job = job});
    bench_report(b, &(bench_line){.name = shape->name,
                                  .kernel = b->kernel,
                                  .type = "F32",
                                  .m = N_TOKENS,
                                  .threads = b->n_threads,
                                  .seconds = times.seconds,
                                  .spread = times.spread,
                                  .rate = N_TOKENS / times.seconds,
                                  .unit = "tokens/s",
                                  .share = flops / times.seconds / times.multiply_adds / b->n_threads,
                                  .ceiling = "fma"});
}

static bool open_and_measure(const bench *b, const bench_file *file, const encoder_shape *shape)
{
    static ink_token tokens[N_TOKENS];
    static float output[N_TOKENS * MOST_HIDDEN];
    for (size_t i = 0; i < N_TOKENS; i++)
        tokens[i] = (ink_token)i;
    ink_model *model = NULL;
    const ink_model_options options = {.source = &file->source};
    encoder_job job = {.ctx = console_context(b->n_threads, b->kernel),
                       .text = {.tokens = tokens, .n_tokens = N_TOKENS, .output = output}};
    bool fine = job.ctx != NULL;
    if (fine && ink_model_open(job.ctx, shape->name, &options, &model) != INK_OK) {
        console_complain("%s", ink_context_error(job.ctx));
        fine = false;
    }
    job.model = model;
    if (fine)
        measure(b, &job, shape);
    ink_model_free(model);
    ink_context_free(job.ctx);
    return fine;
}

bool bench_encoders(bench *b)
{
    static const encoder_shape shapes[] = {
        {.name = "minilm encoder",
         .n_layers = 6,
         .hidden = 384,
         .config = "{\"model_type\":\"bert\",\"vocab_size\":128,\"max_position_embeddings\":128,\"hidden_size\":384,"
                   "\"num_hidden_layers\":6,\"num_attention_heads\":12,\"intermediate_size\":1536}"},
        {.name = "bert encoder",
         .n_layers = 12,
         .hidden = 768,
         .config = "{\"model_type\":\"bert\",\"vocab_size\":128,\"max_position_embeddings\":128,\"hidden_size\":768,"
                   "\"num_hidden_layers\":12,\"num_attention_heads\":12,\"intermediate_size\":3072}"}};
    bench_file file;
    bool fine = true;
    for (size_t i = 0; fine && i < sizeof shapes / sizeof *shapes; i++) {
        if (!bench_wants(b, "shape", shapes[i].name))
            continue;
        fine = make_file(&file, &shapes[i]) && open_and_measure(b, &file, &shapes[i]);
        bench_file_free(&file);
    }
    return fine;
}
