/*
 * compare_cost.c - what a longer text costs: bytes of state, operations of a prompt, and time per token.
 *
 * What a recurrent network knows of the past is a state of fixed size. Attention keeps the keys and values of every
 * token and goes through all of them for each new one.
 *
 * Operations are counted, not assumed: one multiply-add for each weight of a layer and token, from the shapes in the
 * model's file, and for attention what the callback for intermediate values shows of its scores.
 */
#include <string.h>

#include "bundled.h"
#include "compare.h"
#include "console.h"
#include "stopwatch.h"

enum { N_LENGTHS = 9, LAST = N_LENGTHS - 1 }; /* 2^0 .. 2^8 */

typedef struct costs {
    double bytes[N_FAMILIES][N_LENGTHS];      /* of the state */
    double operations[N_FAMILIES][N_LENGTHS]; /* multiply-adds per token of a prompt */
    double seconds[N_FAMILIES][N_LENGTHS];    /* of one token after so many */
} costs;

/* ---- operations ------------------------------------------------------------------------------------------------ */

/* Tables of vectors, and the matrix of the logits: read by row, or once for a prompt and not for every token. */
static bool is_table(const char *name)
{
    return strstr(name, "embedding") != NULL || strstr(name, "wte") != NULL || strstr(name, "wpe") != NULL ||
           strstr(name, "lm_head") != NULL;
}

static bool count_weights(const comparison *c, size_t family, double *n)
{
    char folder[BUNDLED_ROOM], file[BUNDLED_ROOM];
    ink_weights *weights;

    *n = 0;
    if (!bundled_folder(folder, families[family].folder) || !bundled_join(file, folder, "model.safetensors"))
        return false;
    if (ink_weights_open(c->ctx, file, &weights) != INK_OK) {
        console_complain("%s", ink_context_error(c->ctx));
        return false;
    }
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

/* "h.0.attn.scores" [heads, rows, positions]: each score is a product over hidden_size / heads numbers, and as much is
   done again when the values are added up. */
static void look(void *user, const char *name, const ink_tensor *value)
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
    ink_context_trace(c->ctx, look, &count);
    ink_result result = ink_model_forward(c->ctx, w->lm->model, w->state, w->tokens, n, NULL);
    ink_context_trace(c->ctx, NULL, NULL);
    if (result != INK_OK)
        console_complain("%s", ink_context_error(c->ctx));
    *operations = count.n;
    return result == INK_OK;
}

/* ---- measuring ------------------------------------------------------------------------------------------------- */

static bool measure_length(const comparison *c, size_t family, size_t k, double weights, stopwatch *w, costs *x)
{
    size_t n = (size_t)1 << k, bytes;
    double attention;

    console_progress("%s at %zu tokens", families[family].name, n);
    if (ink_state_size(c->ctx, w->lm->model, n, &bytes) != INK_OK) {
        console_complain("%s", ink_context_error(c->ctx));
        return false;
    }
    if (!count_attention(c, w, n, &attention))
        return false;
    x->bytes[family][k] = (double)bytes;
    x->operations[family][k] = weights + attention / (double)n;
    x->seconds[family][k] = stopwatch_token(w, n);
    return x->seconds[family][k] >= 0;
}

static bool measure_family(const comparison *c, size_t family, costs *x)
{
    ink_token tokens[READER_TOKENS];
    stopwatch w;
    double weights;

    comparison_prompt(c, tokens);
    bool done =
        stopwatch_open(&w, &c->models[family], c->ctx, tokens, READER_TOKENS) && count_weights(c, family, &weights);
    for (size_t k = 0; done && k < N_LENGTHS; k++)
        done = measure_length(c, family, k, weights, &w, x);
    stopwatch_close(&w);
    return done;
}

/* ---- drawing and judging --------------------------------------------------------------------------------------- */

static void draw(finding *f, const chart *settings, const double values[N_FAMILIES][N_LENGTHS], double unit)
{
    chart *c = finding_chart(f, settings);

    finding_lines(c);
    chart_powers(c, N_LENGTHS);
    for (size_t k = 0; k < N_LENGTHS; k++)
        for (size_t i = 0; i < N_FAMILIES; i++)
            c->lines[i].y[k] = values[i][k] / unit;
}

/* How much more the longest text takes than the first token, for a family, and the most among those but the GPT. */
static double growth(const double values[N_FAMILIES][N_LENGTHS], size_t family)
{
    return values[family][LAST] / values[family][0];
}

static double most_growth(const double values[N_FAMILIES][N_LENGTHS])
{
    double most = 0;

    for (size_t i = 0; i < GPT; i++)
        most = growth(values, i) > most ? growth(values, i) : most;
    return most;
}

static void judge(const costs *x, finding *f)
{
    finding_note(f, most_growth(x->bytes) == 1 && growth(x->bytes, GPT) > 4,
                 "the GPT's state grows with the text, %.0f times from 1 to %d tokens; the others' have one size",
                 growth(x->bytes, GPT), 1 << LAST);
    finding_note(f, most_growth(x->operations) == 1 && growth(x->operations, GPT) > 1,
                 "so do its operations for a token, %.2f times; the others' are the same for every token",
                 growth(x->operations, GPT));
    finding_note(f, growth(x->seconds, GPT) > 1.1 * most_growth(x->seconds),
                 "and its time for a token, %.2f times; the others' at most %.2f times", growth(x->seconds, GPT),
                 most_growth(x->seconds));
}

static void report(const costs *x, finding *f)
{
    draw(f,
         &(chart){.name = "state",
                  .title = "What the past takes to remember",
                  .x_label = "tokens of text",
                  .y_label = "state, thousand bytes",
                  .log_y = true,
                  .decimals = 2},
         x->bytes, 1e3);
    draw(f,
         &(chart){.name = "operations",
                  .title = "Operations for each token of a prompt",
                  .x_label = "tokens of the prompt",
                  .y_label = "million multiply-adds per token",
                  .decimals = 3},
         x->operations, 1e6);
    draw(f,
         &(chart){.name = "token",
                  .title = "The time of one more token",
                  .x_label = "tokens of text",
                  .y_label = "microseconds",
                  .decimals = 1},
         x->seconds, 1e-6);
    judge(x, f);
}

bool compare_cost(comparison *c, finding *f)
{
    costs x;

    for (size_t i = 0; i < N_FAMILIES; i++)
        if (!measure_family(c, i, &x))
            return false;
    report(&x, f);
    return true;
}
