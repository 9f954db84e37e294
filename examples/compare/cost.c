/*
 * cost.c - sections "parallel" and "cost": how many steps wait for one another, and what a longer text costs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "model_file.h"

enum { N_LENGTHS = 9, LONGEST = N_LENGTHS - 1 }; /* texts of 2^0 .. 2^8 tokens */

/* A value for each family and length. */
typedef double lengths[N_FAMILIES][N_LENGTHS];

static void draw_lengths(chart *c, lengths values, double unit)
{
    finding_lines(c);
    chart_powers(c, N_LENGTHS);
    for (size_t k = 0; k < N_LENGTHS; k++)
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[k] = values[i][k] / unit;
}

/* ---- the stopwatch ---------------------------------------------------------------------------------------------- */

/* Measures how long a model takes for tokens. The best of many tries counts, because the speed of a core drifts and
   other programs share it. */
typedef struct stopwatch {
    const language_model *lm;
    ink_context *ctx;        /* whose threads are timed; not necessarily the one the model was opened with */
    const ink_token *tokens; /* [n], as the model knows them */
    size_t n;
    ink_state *state, *before; /* the one that runs, and one to come back to */
    float *logits;             /* [vocab_size] */
} stopwatch;

/* Call stopwatch_close() even after a failure. */
static bool stopwatch_open(stopwatch *w, const language_model *lm, ink_context *ctx, const ink_token *tokens, size_t n)
{
    *w = (stopwatch){.lm = lm, .ctx = ctx, .tokens = tokens, .n = n};
    w->logits = console_memory(lm->info->vocab_size, sizeof *w->logits);
    return w->logits != NULL && console_ok(ctx, ink_state_create(ctx, lm->model, n, &w->state)) &&
           console_ok(ctx, ink_state_create(ctx, lm->model, n, &w->before)) &&
           console_ok(ctx, ink_context_reserve(ctx, lm->model, 1, n, n));
}

static void stopwatch_close(stopwatch *w)
{
    ink_state_free(w->state);
    ink_state_free(w->before);
    free(w->logits);
    *w = (stopwatch){0};
}

/* Seconds for the tokens [first, first + n) with a state that holds the tokens before them: the best of all tries that
   begin within so many seconds, of a single token three at least; negative after an error message. */
static double best_of(stopwatch *w, double seconds, size_t first, size_t n, float *logits)
{
    const int fewest = n > 1 ? 1 : 3; /* a prompt takes a second, in which a short disturbance counts little */
    double best = -1;
    int n_tries = 0;
    ink_state_reset(w->before);
    if ((first > 0 &&
         !console_ok(w->ctx, ink_model_forward(w->ctx, w->lm->model, w->before, w->tokens, first, NULL))) ||
        !console_ok(w->ctx, ink_state_copy(w->ctx, w->before, w->state)))
        return -1;
    const double begin = console_seconds();
    for (double start = begin; n_tries < fewest || start - begin < seconds; start = console_seconds(), n_tries++) {
        if (!console_ok(w->ctx, ink_model_forward(w->ctx, w->lm->model, w->state, w->tokens + first, n, logits)))
            return -1;
        const double took = console_seconds() - start;
        /* The state goes back: it is rewound where that is possible, or else copied. */
        if (ink_state_rewind(w->ctx, w->state, first) != INK_OK &&
            !console_ok(w->ctx, ink_state_copy(w->ctx, w->before, w->state)))
            return -1;
        best = best < 0 || took < best ? took : best;
    }
    return best;
}

/* ---- parallel --------------------------------------------------------------------------------------------------- */

/*
 * In a Transformer all tokens of a prompt go through a layer together: its products have n rows, the weights are read
 * once for all of them, and threads can share the rows. In a recurrent network each state waits for the one before. The
 * library can compute only the input side, W x_t, for all steps at once (src/layers/recurrent.c).
 */
/* Called with every intermediate value. A recurrent layer has a state, "rnn.l0.h", at every step. A block of the GPT
   has one output, "h.0.out", for all rows of a pass (up to 128), and so has a layer of the MLP, "mlp.layers.0.out". */
static void count_step(void *user, const char *name, const ink_tensor *value)
{
    double *steps = user;
    const char *last = strrchr(name, '.');
    (void)value;
    *steps +=
        last != NULL && (strcmp(last, ".h") == 0 || (strcmp(last, ".out") == 0 && strstr(name, ".attn.out") == NULL));
}

static bool count_steps(const comparison *c, size_t family, size_t n, double *steps)
{
    ink_token prompt[READER_TOKENS];
    ink_state *state;
    comparison_prompt(c, prompt);
    *steps = 0;
    ink_result result = ink_state_create(c->ctx, c->models[family].model, n, &state);
    if (result == INK_OK) {
        ink_context_trace(c->ctx, count_step, steps);
        result = ink_model_forward(c->ctx, c->models[family].model, state, prompt, n, NULL);
        ink_context_trace(c->ctx, NULL, NULL);
    }
    ink_state_free(state);
    return console_ok(c->ctx, result);
}

static bool measure_steps(const comparison *c, finding *f)
{
    chart *steps = finding_chart(f, "steps", "Steps of a prompt that have to wait for one another",
                                 "tokens of the prompt", "steps", 0);
    steps->log_y = true;
    finding_lines(steps);
    chart_powers(steps, N_LENGTHS);
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (size_t k = 0; k < N_LENGTHS; k++)
            if (!count_steps(c, i, (size_t)1 << k, &steps->lines[i].y[k]))
                return false;
    const double gpt = steps->lines[GPT].y[LONGEST];
    for (size_t i = RNN; i <= LSTM; i++)
        finding_note(f, gpt < steps->lines[i].y[LONGEST] / 10,
                     "of a prompt of %d tokens, %.0f steps of the GPT wait for one another, less than a tenth of the "
                     "%s's, %.0f",
                     1 << LONGEST, gpt, families[i].name, steps->lines[i].y[LONGEST]);
    return true;
}

/*
 * What that saves in time shows with weights that do not fit into the caches of a processor. Reading them is then what
 * takes the time, and in a pass over many tokens they are read once. So networks of 40 million parameters are made in
 * memory, with random weights, which take as long as learned ones.
 */
enum { VOCAB = 1024, PROMPT = 198, EARLIER = 16, WINDOW = 16, MLP_INNER = 2240, GPT_BLOCKS = 12, CONFIG_ROOM = 320 };

/* The layers are those of the bundled models, but for the GPT's. */
static const struct {
    size_t width, n_layers, gates;
} large[N_FAMILIES] = {[MLP] = {1024, 1, 0},
                       [RNN] = {3008, 2, 1},
                       [GRU] = {2496, 1, 3},
                       [LSTM] = {2176, 1, 4},
                       [GPT] = {512, GPT_BLOCKS, 0}};

/* Adds the tensors of a network, and writes its config.json. */
static void add_network(model_file *file, size_t family, char config[CONFIG_ROOM])
{
    const size_t width = large[family].width, gated = large[family].gates * width;
    char name[64];
    if (family == GPT) {
        model_file_add_gpt2(file, width, GPT_BLOCKS, VOCAB, READER_TOKENS);
        snprintf(config, CONFIG_ROOM,
                 "{\"model_type\":\"gpt2\",\"vocab_size\":%d,\"n_positions\":%d,\"n_embd\":%zu,\"n_layer\":%d,"
                 "\"n_head\":8,\"bos_token_id\":0,\"eos_token_id\":0}",
                 VOCAB, READER_TOKENS, width, GPT_BLOCKS);
        return;
    }
    model_file_add(file, "embedding.weight", VOCAB, width);
    for (size_t layer = 0; layer < large[family].n_layers && family != MLP; layer++) {
        static const char *const names[] = {"rnn.weight_ih_l%zu", "rnn.weight_hh_l%zu", "rnn.bias_ih_l%zu",
                                            "rnn.bias_hh_l%zu"};
        for (size_t i = 0; i < 4; i++) {
            snprintf(name, sizeof name, names[i], layer);
            model_file_add(file, name, gated, i < 2 ? width : 0);
        }
    }
    if (family == MLP) {
        model_file_add_all(file, &(module_shape){"mlp.0", MLP_INNER, WINDOW * width, MLP_INNER}, 1, 0);
        model_file_add(file, "lm_head.weight", VOCAB, MLP_INNER);
    }
    snprintf(config, CONFIG_ROOM,
             "{\"model_type\":\"%s\",\"vocab_size\":%d,\"embedding_size\":%zu,\"hidden_size\":%zu,\"num_layers\":%zu,"
             "\"window_size\":%d,\"hidden_sizes\":[%d],\"hidden_act\":\"tanh\",\"tie_word_embeddings\":%s,"
             "\"bos_token_id\":0,\"eos_token_id\":0}",
             families[family].folder, VOCAB, width, width, large[family].n_layers, WINDOW, MLP_INNER,
             family == MLP ? "false" : "true");
}

/* Seconds for a token after some others, and for a whole prompt. */
static bool time_large(const comparison *c, size_t family, double *parameters, double *token, double *prompt)
{
    ink_token tokens[READER_TOKENS];
    char config[CONFIG_ROOM];
    model_file file = {.size = 0};
    language_model lm = {.ctx = c->ctx};
    stopwatch w = {.lm = NULL};
    comparison_prompt(c, tokens);
    console_progress("%s of 40 million parameters", families[family].name);
    add_network(&file, family, config);
    bool done = model_file_finish(&file, config) &&
                console_ok(c->ctx, ink_model_open(c->ctx, families[family].name,
                                                  &(ink_model_options){.source = &file.source}, &lm.model));
    free(file.bytes);
    if (done) {
        lm.info = ink_model_get_info(lm.model);
        *parameters = (double)lm.info->n_parameters;
        done = stopwatch_open(&w, &lm, c->ctx, tokens, PROMPT) &&
               (*token = best_of(&w, 0.2, EARLIER, 1, w.logits)) > 0 &&
               (*prompt = best_of(&w, 0.5, 0, PROMPT, w.logits)) > 0;
    }
    stopwatch_close(&w);
    lm_close(&lm);
    return done;
}

static bool measure_large(const comparison *c, finding *f)
{
    chart *table = finding_chart(f, "parallel", "Networks of about 40 million parameters, one thread", "", "", 1);
    table->table = true;
    double *parameters = chart_line(table, "million parameters", ' ', CHART_GPT);
    double *alone = chart_line(table, "tokens/s, one by one", ' ', CHART_GPT);
    double *together = chart_line(table, "tokens/s of a prompt", ' ', CHART_GPT);
    double *gain = chart_line(table, "times as fast", ' ', CHART_GPT);
    for (size_t i = 0; i < N_FAMILIES; i++) {
        double n, token, prompt;
        if (!time_large(c, i, &n, &token, &prompt))
            return false;
        chart_x(table, families[i].name);
        parameters[i] = n / 1e6;
        alone[i] = 1 / token;
        together[i] = PROMPT / prompt;
        gain[i] = together[i] / alone[i];
    }
    for (size_t i = RNN; i <= LSTM; i++)
        finding_note(f, gain[GPT] > LONGER * gain[i],
                     "with 40 million parameters the GPT gains more than the %s from reading a prompt of %d tokens at "
                     "once: %.1f times as fast as one by one, the %s %.1f times",
                     families[i].name, PROMPT, gain[GPT], families[i].name, gain[i])
            ->timed = true;
    return true;
}

bool compare_parallel(comparison *c, finding *f) { return measure_steps(c, f) && measure_large(c, f); }

/* ---- cost ------------------------------------------------------------------------------------------------------- */

/*
 * A recurrent network keeps a state of fixed size. Attention keeps the keys and values of all tokens and goes through
 * all of them for each new one. Operations are counted: one multiply-add for each weight of a layer and each token,
 * from the shapes in the model's file, and those of attention from the sizes of its scores.
 */
typedef struct costs {
    lengths bytes;      /* of the state */
    lengths operations; /* multiply-adds per token of a prompt */
    lengths seconds;    /* of one more token */
} costs;

/* Embedding tables are read by row, and the matrix of the logits once for a prompt, not for every token. */
static bool is_table(const char *name)
{
    return strstr(name, "embedding") != NULL || strstr(name, "wte") != NULL || strstr(name, "wpe") != NULL ||
           strstr(name, "lm_head") != NULL;
}

static bool count_weights(const comparison *c, size_t family, double *n)
{
    char file[PATH_ROOM];
    ink_weights *weights;
    *n = 0;
    if (!path_join(file, c->folders[family], "model.safetensors") ||
        !console_ok(c->ctx, ink_weights_open(c->ctx, file, &weights)))
        return false;
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *w = ink_weights_at(weights, i);
        if (w->shape.rank == 2 && !is_table(w->name))
            *n += (double)w->shape.dim[0] * (double)w->shape.dim[1];
    }
    ink_weights_free(weights);
    return true;
}

typedef struct attention_count {
    size_t hidden_size;
    double n;
} attention_count;

/* Called with every intermediate value. "h.0.attn.scores" is [heads, rows, positions]: each score is a product over
   hidden_size / heads numbers, and the sum of the values takes as many operations again. */
static void count_scores(void *user, const char *name, const ink_tensor *value)
{
    attention_count *count = user;
    const size_t *dim = value->shape.dim;
    if (strstr(name, "attn.scores") != NULL)
        count->n += 2.0 * (double)dim[1] * (double)dim[2] * (double)count->hidden_size;
}

static bool count_attention(const comparison *c, const stopwatch *w, size_t n, double *operations)
{
    attention_count count = {.hidden_size = w->lm->info->hidden_size};
    ink_state_reset(w->state);
    ink_context_trace(c->ctx, count_scores, &count);
    ink_result result = ink_model_forward(c->ctx, w->lm->model, w->state, w->tokens, n, NULL);
    ink_context_trace(c->ctx, NULL, NULL);
    *operations = count.n;
    return console_ok(c->ctx, result);
}

static bool measure_family(const comparison *c, size_t family, costs *x)
{
    ink_token tokens[READER_TOKENS];
    stopwatch w;
    double weights, attention = 0;
    comparison_prompt(c, tokens);
    bool done =
        stopwatch_open(&w, &c->models[family], c->ctx, tokens, READER_TOKENS) && count_weights(c, family, &weights);
    for (size_t k = 0; done && k < N_LENGTHS; k++) {
        size_t n = (size_t)1 << k, bytes = 0;
        console_progress("%s at %zu tokens", families[family].name, n);
        done = console_ok(c->ctx, ink_state_size(c->ctx, w.lm->model, n, &bytes)) &&
               count_attention(c, &w, n, &attention) &&
               (x->seconds[family][k] = best_of(&w, 0.04, n - 1, 1, w.logits)) >= 0;
        x->bytes[family][k] = (double)bytes;
        x->operations[family][k] = weights + attention / (double)n;
    }
    stopwatch_close(&w);
    return done;
}

/* How much more the longest text takes than the first token; and the largest of these ratios except the GPT's. */
static double growth(lengths values, size_t family) { return values[family][LONGEST] / values[family][0]; }

static double most_growth(lengths values)
{
    double most = 0;
    for (size_t i = 0; i < GPT; i++)
        most = growth(values, i) > most ? growth(values, i) : most;
    return most;
}

bool compare_cost(comparison *c, finding *f)
{
    costs x;
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (!measure_family(c, i, &x))
            return false;
    chart *state =
        finding_chart(f, "state", "What the past takes to remember", "tokens of text", "state, thousand bytes", 2);
    state->log_y = true;
    draw_lengths(state, x.bytes, 1e3);
    chart *operations = finding_chart(f, "operations", "Operations for each token of a prompt", "tokens of the prompt",
                                      "million multiply-adds per token", 3);
    draw_lengths(operations, x.operations, 1e6);
    for (size_t i = 0; i < N_FAMILIES; i++) /* from 0, so that a growth by a fifth looks like one */
        operations->high = fmax(operations->high, operations->lines[i].y[LONGEST]);
    draw_lengths(finding_chart(f, "token", "The time of one more token", "tokens of text", "microseconds", 1),
                 x.seconds, 1e-6);
    finding_note(f, growth(x.bytes, GPT) > 1, "the GPT's state grows with the text: %.0f times from 1 to %d tokens",
                 growth(x.bytes, GPT), 1 << LONGEST);
    finding_note(f, most_growth(x.bytes) == 1, "the states of the others keep their size");
    finding_note(f, growth(x.operations, GPT) > 1, "the GPT's operations for a token grow: %.2f times",
                 growth(x.operations, GPT));
    finding_note(f, most_growth(x.operations) == 1, "those of the others stay the same");
    finding_note(f, growth(x.seconds, GPT) > LONGER * most_growth(x.seconds),
                 "the GPT's time for a token grows more than that of any other: %.2f times, the others' at most %.2f "
                 "times",
                 growth(x.seconds, GPT), most_growth(x.seconds))
        ->timed = true;
    return true;
}
