/*
 * networks.c - networks as shares of what the machine allows: a perceptron, recurrent cells, the bundled models, and
 * whole models of well-known shapes with random weights.
 */
#if defined(__unix__)
#define _XOPEN_SOURCE 700
#include <unistd.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "lm.h"
#include "model_file.h"

/* ---- model files in memory --------------------------------------------------------------------------------------- */

/* The bytes are released after the weights were opened from them. */
static bool file_open_weights(model_file *file, ink_context *ctx, ink_weights **weights)
{
    return model_file_finish(file, NULL) &&
           console_ok(ctx, ink_weights_open_source(ctx, &file->source, MODEL_FILE_WEIGHTS, weights));
}

/* ---- perceptron ------------------------------------------------------------------------------------------------- */

/*
 * 784-256-128-10. One row is bound by reading the weights from the second-level cache, which holds nearly all of them;
 * a batch is bound by multiply-adds.
 */
enum { N_LAYERS = 3, BATCH = 64 };

static const size_t mlp_sizes[N_LAYERS + 1] = {784, 256, 128, 10};

typedef struct mlp_job {
    ink_context *ctx;
    ink_mlp *mlp;
    const float *x;
    float *y;
    size_t m;
} mlp_job;

static void run_mlp(void *job)
{
    const mlp_job *j = job;
    (void)ink_mlp_forward(j->ctx, j->mlp, j->x, j->m, j->y);
}

static bool load_mlp(ink_context *ctx, ink_mlp **mlp)
{
    model_file file = {.size = 0};
    ink_weights *weights = NULL;
    for (size_t i = 0; i < N_LAYERS; i++)
        model_file_add_all(&file, &(module_shape){"%zu", mlp_sizes[i + 1], mlp_sizes[i], mlp_sizes[i + 1]}, 1, 2 * i);
    bool fine = file_open_weights(&file, ctx, &weights) &&
                console_ok(ctx, ink_mlp_load(ctx, weights, "", INK_RELU, INK_IDENTITY, mlp));
    ink_weights_free(weights);
    free(file.bytes);
    return fine;
}

static bool measure_mlp(bench *b, ink_context *ctx)
{
    static float x[BATCH * 784], y[BATCH * 10];
    if (!bench_wants(b, "mlp", "mlp 784-256-128-10"))
        return true;
    double weights = 0;
    for (size_t i = 0; i < N_LAYERS; i++)
        weights += (double)(mlp_sizes[i] * mlp_sizes[i + 1]);
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = (float)(i % 13) / 13 - 0.5f;
    mlp_job job = {.ctx = ctx, .x = x, .y = y};
    bool fine = load_mlp(ctx, &job.mlp);
    for (job.m = 1; fine && job.m <= BATCH; job.m *= BATCH) {
        bool many = job.m > 1;
        bench_times times = bench_measure(b, &(bench_work){.run = run_mlp, .job = &job, .bytes = (size_t)512 << 10});
        double least = many ? 2 * weights * (double)job.m / times.multiply_adds : weights * sizeof(float) / times.reads;
        bench_report(b, &(bench_line){"mlp 784-256-128-10", "F32", job.m, 0, 0, b->n_threads, times.seconds,
                                      times.spread, 1e-3 * (double)job.m / times.seconds, "k rows/s",
                                      least / times.seconds, many ? "fma" : "read"});
    }
    ink_mlp_free(job.mlp);
    return fine;
}

/* ---- recurrent cells -------------------------------------------------------------------------------------------- */

/*
 *     step        the weights of both sides, G h (in + h), read once
 *     sequence    per step: the input side 2 G h in at the speed of multiply-adds, the recurrent weights read once
 */
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

/* One layer with `gates` gates. */
static bool load_cell(ink_context *ctx, ink_cell cell, size_t gates, size_t in, size_t h, ink_recurrent **recurrent)
{
    model_file file = {.size = 0};
    ink_weights *weights = NULL;
    model_file_add(&file, "weight_ih_l0", gates * h, in);
    model_file_add(&file, "weight_hh_l0", gates * h, h);
    model_file_add(&file, "bias_ih_l0", gates * h, 0);
    model_file_add(&file, "bias_hh_l0", gates * h, 0);
    bool fine = file_open_weights(&file, ctx, &weights) &&
                console_ok(ctx, ink_recurrent_load(ctx, weights, "", cell, recurrent));
    ink_weights_free(weights);
    free(file.bytes);
    return fine;
}

static void measure_cell(bench *b, cell_job *job, const char *name, size_t gates, size_t h, bool is_sequence)
{
    size_t bytes = (is_sequence ? 1 : 2) * gates * h * h * sizeof(float), steps = is_sequence ? N_STEPS : 1;
    double flops = is_sequence ? 2.0 * (double)gates * (double)h * (double)h : 0;
    if (!bench_wants(b, "cell", name))
        return;
    bench_times times =
        bench_measure(b, &(bench_work){.run = is_sequence ? run_sequence : run_step, .job = job, .bytes = bytes});
    double step = times.seconds / (double)steps;
    double least = flops / times.multiply_adds + (double)bytes / times.reads;
    bench_report(b, &(bench_line){name, "F32", steps, h, h, b->n_threads, step, times.spread, 1e-3 / step, "k/s",
                                  least / step, is_sequence ? "fma+read" : "read"});
}

static bool measure_cells(bench *b, ink_context *ctx)
{
    static const struct {
        const char *sequence, *step;
        ink_cell cell;
        size_t gates;
    } cells[] = {{"rnn sequence", "rnn step", INK_RNN_TANH, 1},
                 {"gru sequence", "gru step", INK_GRU, 3},
                 {"gru before sequence", "gru before step", INK_GRU_RESET_BEFORE, 3},
                 {"lstm sequence", "lstm step", INK_LSTM, 4}};
    static float x[N_STEPS * 512], y[N_STEPS * 512], state[2 * 512];
    bool fine = true;
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        for (size_t h = 64; fine && h <= 512; h *= 2) {
            cell_job job = {.ctx = ctx, .sequence = {.x = x, .y = y, .n_steps = N_STEPS, .state = state}};
            fine = load_cell(ctx, cells[i].cell, cells[i].gates, h, h, &job.recurrent);
            if (fine) {
                measure_cell(b, &job, cells[i].sequence, cells[i].gates, h, true);
                measure_cell(b, &job, cells[i].step, cells[i].gates, h, false);
            }
            ink_recurrent_free(job.recurrent);
        }
    return fine;
}

/*
 * What audio and sensors run: one input, a small cell, perhaps a dense layer of one output; sample by sample, or in
 * blocks of 64. A step waits for the step before it, so there is no ceiling of arithmetic or reading to compare with.
 */
enum { N_SAMPLES = 64 };

typedef struct small_job {
    cell_job cell;
    ink_dense *dense;
    float *out; /* [N_SAMPLES] of the dense layer, or NULL: without it */
} small_job;

static void run_samples(void *job)
{
    const small_job *s = job;
    const ink_sequence *q = &s->cell.sequence;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        (void)ink_recurrent_step(s->cell.ctx, s->cell.recurrent, q->x + i, q->state, q->y);
        if (s->out != NULL)
            (void)ink_dense_forward(s->cell.ctx, s->dense, q->y, 1, s->out + i);
    }
}

static void run_block(void *job)
{
    small_job *s = job;
    run_sequence(&s->cell);
    if (s->out != NULL)
        (void)ink_dense_forward(s->cell.ctx, s->dense, s->cell.sequence.y, N_SAMPLES, s->out);
}

static bool measure_small_cells(bench *b, ink_context *ctx)
{
    static const struct {
        const char *lines[2][2]; /* step and block, without and with the dense layer */
        ink_cell cell;
        size_t gates;
    } cells[] = {
        {{{"small gru step", "small gru step dense"}, {"small gru block", "small gru block dense"}}, INK_GRU, 3},
        {{{"small lstm step", "small lstm step dense"}, {"small lstm block", "small lstm block dense"}}, INK_LSTM, 4}};
    static const size_t sizes[] = {8, 12, 16, 20, 32, 40, 64};
    static float x[N_SAMPLES], y[N_SAMPLES * 64], out[N_SAMPLES], state[2 * 64], weights[64];
    bool fine = true;
    for (size_t i = 0; i < N_SAMPLES; i++)
        x[i] = weights[i] = (float)(i % 13) / 13 - 0.5f;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        for (size_t k = 0; fine && k < sizeof sizes / sizeof *sizes; k++) {
            const size_t h = sizes[k];
            small_job job = {.cell = {.ctx = ctx, .sequence = {x, y, N_SAMPLES, state}}};
            fine = load_cell(ctx, cells[i].cell, cells[i].gates, 1, h, &job.cell.recurrent) &&
                   console_ok(ctx, ink_dense_create(ctx, weights, weights, h, 1, INK_IDENTITY, &job.dense));
            for (size_t line = 0; fine && line < 4; line++) {
                const char *name = cells[i].lines[line / 2][line % 2];
                job.out = line % 2 != 0 ? out : NULL;
                if (!bench_wants(b, "cell", name))
                    continue;
                bench_times times =
                    bench_measure(b, &(bench_work){.run = line / 2 != 0 ? run_block : run_samples, .job = &job});
                double step = times.seconds / N_SAMPLES;
                bench_report(b, &(bench_line){.name = name,
                                              .type = "F32",
                                              .m = line / 2 != 0 ? N_SAMPLES : 1,
                                              .n = h,
                                              .k = 1,
                                              .threads = b->n_threads,
                                              .seconds = step,
                                              .spread = times.spread,
                                              .rate = 1e-3 / step,
                                              .unit = "k/s"});
            }
            ink_dense_free(job.dense);
            ink_recurrent_free(job.cell.recurrent);
        }
    return fine;
}

/* ---- bundled models --------------------------------------------------------------------------------------------- */

/*
 * A prompt of 64 tokens with the logits of all of them: two operations per parameter and token. One token after
 * another: all weights read once for a token. (The embedding of the MLP is counted although it is not an output matrix:
 * 10 %.)
 */
enum { N_PROMPT = 64, N_TOKENS = 16 };

typedef struct model_job {
    language_model lm;
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
    (void)ink_model_forward_list(m->lm.ctx, m->lm.model, &item, 1);
}

static void run_tokens(void *job)
{
    const model_job *m = job;
    ink_state_reset(m->state);
    for (size_t i = 0; i < N_TOKENS; i++)
        (void)ink_model_forward(m->lm.ctx, m->lm.model, m->state, m->tokens + i, 1, m->logits);
}

static void measure_bundled(bench *b, model_job *job, const char *model, bool is_prompt)
{
    const ink_model_info *info = job->lm.info;
    double flops = 2.0 * (double)info->n_parameters, bytes = (double)info->n_bytes;
    char name[32];
    snprintf(name, sizeof name, "%s %s", model, is_prompt ? "prompt" : "token");
    if (!bench_wants(b, "model", name))
        return;
    bench_times times = bench_measure(
        b,
        &(bench_work){.run = is_prompt ? run_prompt : run_tokens, .job = job, .bytes = is_prompt ? 0 : (size_t)bytes});
    double token = times.seconds / (is_prompt ? N_PROMPT : N_TOKENS);
    double least = is_prompt ? flops / (times.multiply_adds * b->n_threads) : bytes / times.reads;
    bench_report(b, &(bench_line){name, NULL, is_prompt ? N_PROMPT : 1, 0, 0, b->n_threads, token, times.spread,
                                  1 / token, "tokens/s", least / token, is_prompt ? "fma" : "read"});
}

/*
 * Opens a model and repeats a story that it knows. Arbitrary tokens would drive the gates of an LSTM to values whose
 * products are subnormal numbers, which are a hundred times slower on some processors.
 */
static bool open_bundled(model_job *job, ink_context *ctx, const char *folder)
{
    static const char text[] = "Anna and Tom were in the garden. It was night and they saw the moon. They had a dog "
                               "with them. Anna put the ball under the bench.";
    size_t n = 0;
    if (!lm_open(&job->lm, ctx, folder, LM_TOKENIZER) ||
        !console_ok(ctx, ink_state_create(ctx, job->lm.model, N_PROMPT + N_TOKENS, &job->state)) ||
        !console_ok(ctx, ink_tokenizer_encode(ctx, job->lm.tokenizer, text, sizeof text - 1, INK_ENCODE_DEFAULT,
                                              job->tokens, N_PROMPT + N_TOKENS, &n)))
        return false;
    for (size_t i = n; i < N_PROMPT + N_TOKENS; i++)
        job->tokens[i] = job->tokens[i - n];
    job->logits = console_memory(N_PROMPT * job->lm.info->vocab_size, sizeof *job->logits);
    return job->logits != NULL;
}

static bool measure_all_bundled(bench *b, ink_context *ctx)
{
    static const char *const names[] = {"mlp", "rnn", "gru", "lstm", "gpt"};
    bool fine = true;
    for (size_t i = 0; fine && i < sizeof names / sizeof *names; i++) {
        model_job job = {.state = NULL};
        char folder[PATH_ROOM];
        fine = bundled_folder(folder, names[i]) && open_bundled(&job, ctx, folder);
        if (fine) {
            measure_bundled(b, &job, names[i], true);
            measure_bundled(b, &job, names[i], false);
        }
        free(job.logits);
        ink_state_free(job.state);
        lm_close(&job.lm);
    }
    return fine;
}

/* ---- encoders --------------------------------------------------------------------------------------------------- */

/*
 * One text of 128 tokens, and 64 short texts in one call, through MiniLM (6 layers of 384), BERT base and MPNet base
 * (12 of 768; MPNet adds a bias to the scores of attention), as shares of the multiply-adds of their layers and of
 * attention to all tokens of a text. The vocabulary is small, because nothing is multiplied by it.
 */
enum { TEXT_TOKENS = 128, N_TEXTS = 64, SHORTEST = 8, LONGEST = 32, MOST_HIDDEN = 768 };

typedef struct encoder_shape {
    const char *name, *model_type;
    size_t n_layers, hidden, n_heads;
    const char *attention[5]; /* the modules of queries, keys, values, outputs and the norm */
} encoder_shape;

typedef struct encoder_job {
    ink_context *ctx;
    ink_model *model;
    ink_text texts[N_TEXTS];
    size_t n_texts;
} encoder_job;

static void run_encoder(void *job)
{
    const encoder_job *j = job;
    (void)ink_model_encode(j->ctx, j->model, INK_HIDDEN_STATES, j->texts, j->n_texts);
}

static void make_encoder(model_file *file, const encoder_shape *shape)
{
    const size_t d = shape->hidden, positions = TEXT_TOKENS + 2;
    const module_shape front[] = {{"embeddings.word_embeddings", TEXT_TOKENS, d, 0},
                                  {"embeddings.position_embeddings", positions, d, 0},
                                  {"embeddings.LayerNorm", d, 0, d},
                                  {"embeddings.token_type_embeddings", 2, d, 0},               /* of BERT */
                                  {"encoder.relative_attention_bias", 32, shape->n_heads, 0}}; /* of MPNet */
    const module_shape layer[] = {
        {shape->attention[0], d, d, d},
        {shape->attention[1], d, d, d},
        {shape->attention[2], d, d, d},
        {shape->attention[3], d, d, d},
        {shape->attention[4], d, 0, d},
        {"encoder.layer.%zu.intermediate.dense", 4 * d, d, 4 * d},
        {"encoder.layer.%zu.output.dense", d, 4 * d, d},
        {"encoder.layer.%zu.output.LayerNorm", d, 0, d},
    };
    model_file_add_all(file, front, sizeof front / sizeof *front, 0);
    for (size_t i = 0; i < shape->n_layers; i++)
        model_file_add_all(file, layer, sizeof layer / sizeof *layer, i);
}

/* Sets n texts of the job: one of 128 tokens, or many of 8 to 32 tokens. Returns the float operations for them. */
static double encoder_texts(encoder_job *job, const encoder_shape *shape, size_t n, size_t *n_tokens)
{
    static ink_token tokens[TEXT_TOKENS];
    static float output[N_TEXTS * LONGEST * MOST_HIDDEN];
    const double d = (double)shape->hidden;
    double flops = 0;
    for (size_t i = 0; i < TEXT_TOKENS; i++)
        tokens[i] = (ink_token)i;
    job->n_texts = n;
    *n_tokens = 0;
    for (size_t i = 0; i < n; i++) {
        size_t length = n == 1 ? TEXT_TOKENS : SHORTEST + i * 7 % (LONGEST - SHORTEST + 1);
        job->texts[i] = (ink_text){.tokens = tokens, .n_tokens = length, .output = output + *n_tokens * shape->hidden};
        *n_tokens += length;
        flops += (double)shape->n_layers * (double)length * (2.0 * 12 * d * d + 4.0 * d * (double)length);
    }
    return flops;
}

static bool measure_encoder(bench *b, ink_context *ctx, const encoder_shape *shape)
{
    model_file file = {.size = 0};
    char config[320], names[2][32];
    const ink_model_options options = {.source = &file.source};
    encoder_job job = {.ctx = ctx};
    snprintf(names[0], sizeof names[0], "%s encoder", shape->name);
    snprintf(names[1], sizeof names[1], "%s encoder x64", shape->name);
    if (!bench_wants(b, "shape", names[0]) && !bench_wants(b, "shape", names[1]))
        return true;
    snprintf(config, sizeof config,
             "{\"model_type\":\"%s\",\"vocab_size\":%d,\"max_position_embeddings\":%d,\"hidden_size\":%zu,"
             "\"num_hidden_layers\":%zu,\"num_attention_heads\":%zu,\"intermediate_size\":%zu}",
             shape->model_type, TEXT_TOKENS, TEXT_TOKENS + 2, shape->hidden, shape->n_layers, shape->n_heads,
             4 * shape->hidden);
    make_encoder(&file, shape);
    bool fine =
        model_file_finish(&file, config) && console_ok(ctx, ink_model_open(ctx, shape->name, &options, &job.model));
    for (size_t i = 0; fine && i < 2; i++) {
        size_t n_tokens;
        double flops = encoder_texts(&job, shape, i == 0 ? 1 : N_TEXTS, &n_tokens);
        if (!bench_wants(b, "shape", names[i]))
            continue;
        bench_times times = bench_measure(b, &(bench_work){.run = run_encoder, .job = &job});
        bench_report(b, &(bench_line){names[i], "F32", n_tokens, 0, 0, b->n_threads, times.seconds, times.spread,
                                      (double)n_tokens / times.seconds, "tokens/s",
                                      flops / times.seconds / times.multiply_adds / b->n_threads, "fma"});
    }
    ink_model_free(job.model);
    free(file.bytes);
    return fine;
}

/* ---- a decoder -------------------------------------------------------------------------------------------------- */

/*
 * GPT-2 small:
 *
 *     open         from a folder in the page cache, as a share of copying memory
 *     prompt       the multiply-adds of the blocks and of the attention to what each position sees, at peak; and the
 *                  weights of the last position's logits read once from memory
 *     token        all weights and the cache of keys and values read once from memory
 *     late token   the same behind 2,000 tokens, weights as bf16, keys and values as each of their types
 *     8 tokens     one for each of eight sequences in a list, as a share of the time of one alone
 */
enum {
    HIDDEN = 768,
    N_BLOCKS = 12,
    VOCAB_SIZE = 50257,
    N_POSITIONS = 4096,
    PROMPT = 128,
    BEFORE = 64, /* tokens before the one that is timed */
    LATE = 2000, /* tokens before a late one */
    N_LIST = 8
};

static bool make_gpt2(model_file *file)
{
    model_file_add_gpt2(file, HIDDEN, N_BLOCKS, VOCAB_SIZE, N_POSITIONS);
    return model_file_finish(file, "{\"model_type\":\"gpt2\",\"n_positions\":4096}"); /* the rest are defaults */
}

#if defined(__unix__)
/* The folder is written first, so its bytes are in the page cache. */
static bool measure_open(bench *b, const model_file *file)
{
    char folder[] = "/tmp/inkling-bench-XXXXXX", path[PATH_ROOM];
    if (!bench_wants(b, "shape", "gpt2 open"))
        return true;
    if (mkdtemp(folder) == NULL)
        return console_complain("%s: cannot be made", folder);
    bool fine = true;
    for (size_t i = 0; fine && i < file->files.n_files; i++) {
        const ink_memory_file *entry = &file->entries[i];
        FILE *stream = path_join(path, folder, entry->name) ? file_create(path) : NULL;
        fine = stream != NULL;
        if (fine) {
            fwrite(entry->data, 1, entry->size, stream);
            fine = file_close(stream, path);
        }
    }
    fine = fine && bench_open(b, "gpt2 open", "F32", folder, 2);
    for (size_t i = 0; i < file->files.n_files; i++)
        if (path_join(path, folder, file->entries[i].name))
            unlink(path);
    rmdir(folder);
    return fine;
}
#else
static bool measure_open(bench *b, const model_file *file)
{
    (void)b, (void)file;
    return true; /* standard C cannot make a folder */
}
#endif

typedef struct gpt2_job {
    ink_context *ctx;
    ink_model *model;
    ink_type type, cache; /* of the weights, of keys and values */
    ink_state *states[N_LIST];
    size_t n_states;
    size_t before; /* tokens that each state has seen when the work begins */
    size_t n_tokens;
    const ink_token *tokens;
    float *logits; /* [N_LIST, vocab_size] */
} gpt2_job;

static void run_gpt2(void *job)
{
    const gpt2_job *j = job;
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

static void free_states(gpt2_job *job)
{
    for (size_t i = 0; i < N_LIST; i++) {
        ink_state_free(job->states[i]);
        job->states[i] = NULL;
    }
}

/* Makes states that have seen `before` tokens. */
static bool make_states(gpt2_job *job, size_t n_states, size_t before, size_t n_tokens)
{
    job->n_states = n_states;
    job->before = 0;
    job->n_tokens = before;
    const ink_state_options options = {.capacity = before + n_tokens, .cache = job->cache};
    for (size_t i = 0; i < n_states; i++)
        if (!console_ok(job->ctx, ink_state_create_with(job->ctx, job->model, &options, &job->states[i])))
            return false;
    if (before > 0)
        run_gpt2(job);
    job->before = before;
    job->n_tokens = n_tokens;
    return true;
}

/* Times n_tokens for each of n_states sequences that have seen `before` tokens. */
static bool measure_work(bench *b, gpt2_job *job, const char *name, size_t n_states, size_t before, size_t n_tokens)
{
    const ink_model_info *info = ink_model_get_info(job->model);
    double n = (double)n_tokens, weights = (double)info->n_bytes;
    double bytes = weights - weights / (double)info->n_parameters * N_POSITIONS * HIDDEN +
                   2.0 * N_BLOCKS * HIDDEN * (double)(before + 1) * (double)ink_type_bits(job->cache) / 8;
    double flops = N_BLOCKS * (2.0 * 12 * HIDDEN * HIDDEN * n + 4.0 * HIDDEN * n * (n + 1) / 2);
    bool is_list = n_states > 1, is_prompt = n_tokens > 1, fine = true;
    gpt2_job one = *job;
    if (!bench_wants(b, "shape", name))
        return true;
    if (is_list)
        fine = make_states(&one, 1, before, n_tokens);
    fine = fine && make_states(job, n_states, before, n_tokens);
    if (fine) {
        size_t reads = is_list ? 0 : is_prompt ? BENCH_MEMORY : (size_t)bytes;
        bench_times times = bench_measure(
            b, &(bench_work){.run = run_gpt2, .job = job, .rival = is_list ? &one : NULL, .bytes = reads});
        double tokens = n * (double)n_states, least = is_list ? times.rival : bytes / times.reads;
        if (is_prompt)
            least = flops / (times.multiply_adds * b->n_threads) +
                    (double)HIDDEN * VOCAB_SIZE * sizeof(float) / times.reads;
        bench_report(b, &(bench_line){name, ink_type_name(before > BEFORE ? job->cache : job->type),
                                      is_list ? n_states : n_tokens, 0, 0, b->n_threads, times.seconds, times.spread,
                                      tokens / times.seconds, "tokens/s", least / times.seconds,
                                      is_list     ? "one token"
                                      : is_prompt ? "fma+read"
                                                  : "read"});
    }
    free_states(&one);
    free_states(job);
    return fine;
}

static bool measure_gpt2(bench *b, ink_context *ctx)
{
    static const char *const names[] = {"gpt2 open",   "gpt2 token",       "gpt2 8 tokens",
                                        "gpt2 prompt", "gpt2 long prompt", "gpt2 late token"};
    static const ink_type caches[] = {INK_F32, INK_F16, INK_I8};
    static const ink_type types[] = {INK_F32, INK_BF16, INK_F16};
    static ink_token tokens[N_POSITIONS];
    model_file file = {.size = 0};
    gpt2_job job = {.ctx = ctx, .tokens = tokens, .cache = INK_F32};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        any = any || bench_wants(b, "shape", names[i]);
    if (!any)
        return true;
    for (size_t i = 0; i < N_POSITIONS; i++)
        tokens[i] = (ink_token)(i * 7919 % VOCAB_SIZE);
    job.logits = console_memory(N_LIST * VOCAB_SIZE, sizeof *job.logits);
    bool fine = job.logits != NULL && make_gpt2(&file) && measure_open(b, &file);
    for (size_t i = 0; fine && i < sizeof types / sizeof *types; i++) {
        const ink_model_options options = {.type = types[i], .source = &file.source};
        job.type = types[i];
        fine = console_ok(ctx, ink_model_open(ctx, "gpt2", &options, &job.model)) &&
               measure_work(b, &job, "gpt2 token", 1, BEFORE, 1);
        if (types[i] == INK_F32)
            fine = fine && measure_work(b, &job, "gpt2 8 tokens", N_LIST, BEFORE, 1) &&
                   measure_work(b, &job, "gpt2 prompt", 1, 0, PROMPT) &&
                   (b->quick || measure_work(b, &job, "gpt2 long prompt", 1, 0, N_POSITIONS));
        for (size_t c = 0; fine && types[i] == INK_BF16 && c < sizeof caches / sizeof *caches; c++) {
            job.cache = caches[c];
            fine = measure_work(b, &job, "gpt2 late token", 1, LATE, 1);
        }
        job.cache = INK_F32;
        ink_model_free(job.model);
        job.model = NULL;
    }
    free(job.logits);
    free(file.bytes);
    return fine;
}

/* ---- an encoder-decoder ------------------------------------------------------------------------------------------ */

/*
 * Marian's base shape with the vocabulary of English to German. Sentences have 30 tokens, and all translations 32:
 *
 *     encode       the multiply-adds of the encoder and of the keys and values that it leaves for the decoder
 *     step         the next token of every sentence, or of each of its 4 beams: the multiply-adds of the decoder, or
 *                  its weights, keys and values read once from memory, whichever takes longer
 *     translate    both
 */
enum {
    D_MODEL = 512,
    D_INNER = 2048,
    D_BLOCKS = 6,
    D_VOCAB = 58101,
    SOURCE = 30,
    TARGET = 32,
    MOST_SENTENCES = 8,
    MOST_BEAMS = 4
};

typedef struct translate_job {
    ink_context *ctx;
    ink_model *model;
    ink_token tokens[MOST_SENTENCES][SOURCE];
    ink_source_item sources[MOST_SENTENCES];
    ink_request requests[MOST_SENTENCES];
    ink_generator *generator;
    size_t n_sentences;
} translate_job;

static void run_encode(void *job)
{
    const translate_job *j = job;
    (void)ink_model_encode_sources(j->ctx, j->model, j->sources, j->n_sentences);
}

static void run_steps(void *job)
{
    translate_job *j = job;
    (void)ink_generate(j->ctx, j->generator, j->requests, j->n_sentences);
}

static void run_translate(void *job)
{
    run_encode(job);
    run_steps(job);
}

#define MARIAN_ENCODER "model.encoder.layers.%zu."
#define MARIAN_DECODER "model.decoder.layers.%zu."

static bool make_marian(model_file *file)
{
    enum { D = D_MODEL, F = D_INNER };
    static const module_shape encoder[] = {
        {MARIAN_ENCODER "self_attn.q_proj", D, D, D},
        {MARIAN_ENCODER "self_attn.k_proj", D, D, D},
        {MARIAN_ENCODER "self_attn.v_proj", D, D, D},
        {MARIAN_ENCODER "self_attn.out_proj", D, D, D},
        {MARIAN_ENCODER "self_attn_layer_norm", D, 0, D},
        {MARIAN_ENCODER "fc1", F, D, F},
        {MARIAN_ENCODER "fc2", D, F, D},
        {MARIAN_ENCODER "final_layer_norm", D, 0, D},
    };
    static const module_shape decoder[] = {
        {MARIAN_DECODER "self_attn.q_proj", D, D, D},
        {MARIAN_DECODER "self_attn.k_proj", D, D, D},
        {MARIAN_DECODER "self_attn.v_proj", D, D, D},
        {MARIAN_DECODER "self_attn.out_proj", D, D, D},
        {MARIAN_DECODER "self_attn_layer_norm", D, 0, D},
        {MARIAN_DECODER "encoder_attn.q_proj", D, D, D},
        {MARIAN_DECODER "encoder_attn.k_proj", D, D, D},
        {MARIAN_DECODER "encoder_attn.v_proj", D, D, D},
        {MARIAN_DECODER "encoder_attn.out_proj", D, D, D},
        {MARIAN_DECODER "encoder_attn_layer_norm", D, 0, D},
        {MARIAN_DECODER "fc1", F, D, F},
        {MARIAN_DECODER "fc2", D, F, D},
        {MARIAN_DECODER "final_layer_norm", D, 0, D},
    };
    model_file_add(file, "model.shared.weight", D_VOCAB, D);
    model_file_add(file, "final_logits_bias", 1, D_VOCAB);
    for (size_t i = 0; i < D_BLOCKS; i++) {
        model_file_add_all(file, encoder, sizeof encoder / sizeof *encoder, i);
        model_file_add_all(file, decoder, sizeof decoder / sizeof *decoder, i);
    }
    return model_file_finish(file,
                             "{\"model_type\":\"marian\",\"vocab_size\":58101,\"d_model\":512,\"encoder_layers\":6,"
                             "\"decoder_layers\":6,\"encoder_attention_heads\":8,\"decoder_attention_heads\":8,"
                             "\"encoder_ffn_dim\":2048,\"decoder_ffn_dim\":2048,\"max_position_embeddings\":512,"
                             "\"activation_function\":\"swish\",\"scale_embedding\":true,\"pad_token_id\":58100,"
                             "\"eos_token_id\":0,\"decoder_start_token_id\":58100}");
}

/* The encoder, its step, and both, for some sentences with some beams. */
static bool measure_translation(bench *b, translate_job *job, size_t n_sentences, size_t n_beams)
{
    const double d = D_MODEL, f = D_INNER, s = (double)n_sentences;
    const double per_source = D_BLOCKS * SOURCE * (2 * (4 * d * d + 2 * d * f) + 4 * SOURCE * d + 2 * 2 * d * d);
    /* At first all beams of a sentence are one row. */
    const double per_row = D_BLOCKS * (2 * (6 * d * d + 2 * d * f) + 4 * d * (SOURCE + TARGET / 2)) + 2 * d * D_VOCAB;
    const double n_rows = s * (1 + (TARGET - 1) * (double)n_beams);
    const double weights = (D_BLOCKS * (6 * d * d + 2 * d * f) + d * D_VOCAB) * sizeof(float);
    const double caches = D_BLOCKS * 2 * d * (s * SOURCE + n_rows / TARGET * TARGET / 2) * sizeof(float);
    const char *const how = n_beams > 1 ? "4 beams" : "greedy";
    char names[2][32];
    snprintf(names[0], sizeof names[0], "marian %s", how);
    snprintf(names[1], sizeof names[1], "translate %s", how);
    bool encodes = n_beams == 1 && bench_wants(b, "shape", "marian encode"), fine = true;
    const ink_generate_options options = {
        .n_requests = n_sentences, .capacity = TARGET, .n_beams = n_beams, .max_tokens = TARGET, .min_tokens = TARGET};
    job->n_sentences = n_sentences;
    run_encode(job);
    if (encodes) {
        bench_times times = bench_measure(b, &(bench_work){.run = run_encode, .job = job});
        bench_report(b, &(bench_line){"marian encode", "F32", n_sentences * SOURCE, 0, 0, b->n_threads, times.seconds,
                                      times.spread, s * SOURCE / times.seconds, "tokens/s",
                                      s * per_source / times.seconds / times.multiply_adds / b->n_threads, "fma"});
    }
    for (size_t whole = 0; fine && whole < 2; whole++) {
        if (!bench_wants(b, "shape", names[whole]))
            continue;
        fine = console_ok(job->ctx, ink_generator_create(job->ctx, job->model, &options, &job->generator));
        if (fine) {
            bench_times times = bench_measure(b, &(bench_work){.run = whole ? run_translate : run_steps,
                                                               .job = job,
                                                               .bytes = (size_t)(weights + caches)});
            double reads = TARGET * (weights + caches) / times.reads;
            double adds = n_rows * per_row / (times.multiply_adds * b->n_threads);
            double least = adds > reads ? adds : reads, parts = whole ? 1 : TARGET;
            if (whole)
                least += s * per_source / (times.multiply_adds * b->n_threads);
            bench_report(b, &(bench_line){names[whole], "F32", n_sentences, 0, 0, b->n_threads, times.seconds / parts,
                                          times.spread, s * TARGET / times.seconds, "tokens/s", least / times.seconds,
                                          adds > reads ? "fma"
                                          : whole      ? "fma+read"
                                                       : "read"});
        }
        ink_generator_free(job->generator);
        job->generator = NULL;
    }
    return fine;
}

static bool measure_encoder_decoder(bench *b, ink_context *ctx)
{
    static const char *const names[] = {"marian encode", "marian greedy", "marian 4 beams", "translate greedy",
                                        "translate 4 beams"};
    model_file file = {.size = 0};
    const ink_model_options options = {.source = &file.source};
    translate_job job = {.ctx = ctx};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        any = any || bench_wants(b, "shape", names[i]);
    if (!any)
        return true;
    bool fine = make_marian(&file) && console_ok(ctx, ink_model_open(ctx, "marian", &options, &job.model));
    for (size_t i = 0; fine && i < MOST_SENTENCES; i++) {
        ink_encoded *encoded = NULL;
        for (size_t t = 0; t < SOURCE; t++)
            job.tokens[i][t] = (ink_token)(2 + (i * SOURCE + t) * 7919 % (D_VOCAB - 3));
        fine = console_ok(ctx, ink_encoded_create(ctx, job.model, SOURCE, &encoded));
        job.sources[i] = (ink_source_item){.encoded = encoded, .tokens = job.tokens[i], .n_tokens = SOURCE};
        job.requests[i] = (ink_request){.encoded = encoded};
    }
    for (size_t n = 1; fine && n <= MOST_SENTENCES; n *= MOST_SENTENCES)
        fine = measure_translation(b, &job, n, 1) && measure_translation(b, &job, n, MOST_BEAMS);
    for (size_t i = 0; i < MOST_SENTENCES; i++)
        ink_encoded_free(job.sources[i].encoded);
    ink_model_free(job.model);
    free(file.bytes);
    return fine;
}

#define BERT_LAYER "encoder.layer.%zu.attention."

static bool measure_encoders(bench *b, ink_context *ctx)
{
    static const encoder_shape shapes[] = {
        {"minilm",
         "bert",
         6,
         384,
         12,
         {BERT_LAYER "self.query", BERT_LAYER "self.key", BERT_LAYER "self.value", BERT_LAYER "output.dense",
          BERT_LAYER "output.LayerNorm"}},
        {"bert",
         "bert",
         12,
         768,
         12,
         {BERT_LAYER "self.query", BERT_LAYER "self.key", BERT_LAYER "self.value", BERT_LAYER "output.dense",
          BERT_LAYER "output.LayerNorm"}},
        {"mpnet",
         "mpnet",
         12,
         768,
         12,
         {BERT_LAYER "attn.q", BERT_LAYER "attn.k", BERT_LAYER "attn.v", BERT_LAYER "attn.o", BERT_LAYER "LayerNorm"}},
    };
    bool fine = true;
    for (size_t i = 0; fine && i < sizeof shapes / sizeof *shapes; i++)
        fine = measure_encoder(b, ctx, &shapes[i]);
    return fine;
}

/* Each part starts with a fresh context. */
bool bench_networks(bench *b)
{
    static bool (*const parts[])(bench * b, ink_context * ctx) = {
        measure_mlp,      measure_cells, measure_small_cells,    measure_all_bundled,
        measure_encoders, measure_gpt2,  measure_encoder_decoder};
    bool fine = true;
    for (size_t i = 0; fine && i < sizeof parts / sizeof *parts; i++) {
        ink_context *ctx = console_context(b->n_threads, b->kernel);
        fine = ctx != NULL && parts[i](b, ctx);
        ink_context_free(ctx);
    }
    return fine;
}
