/*
 * lookinside.c - what a model does with a text, seen through the library's callback for intermediate values
 * (ink_context_trace; inkling/model.h names all that is shown).
 *
 * Transformers: for each layer and head, how each token (a row) spreads its attention over the tokens (columns): those
 * so far in a GPT, all of them in a BERT.
 * GRU and LSTM: for each token, the gates of all units, from the most closed to the most open one, in ten steps: which
 * share of the memory is kept, and which is written anew. All others, and these too with --values: every value there
 * is, by name, with its shape and size.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundled.h"
#include "cli.h"
#include "console.h"
#include "heat.h"
#include "lm.h"

enum { MAX_TOKENS = 64, MAX_VIEWS = 64, MAX_VALUES = 512, MAX_PANELS = 16, N_STEPS = 10, NAME = 48, LABEL = 24 };

typedef struct settings {
    const char *folder, *text, *svg;
    uint64_t layer;
    bool values;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "--layer",
         .value = "L",
         .count = &s->layer,
         .least = 1,
         .most = MAX_VIEWS,
         .help = "only this layer, counted from 1 (default: all)"},
        {.name = "--values", .flag = &s->values, .help = "list every intermediate value instead: name, shape, size"},
        {.name = "--svg", .value = "FOLDER", .text = &s->svg, .help = "also write each map there, as a picture"},
    };
    cli line = {
        .name = "lookinside",
        .usage = "FOLDER \"text\" [options]",
        .about = "Shows what a model does with a text: attention of every head, or gates over time.",
        .samples = "  lookinside examples/models/gpt \"Anna and Tom had a cat with them. Anna fed the\"\n"
                   "  lookinside examples/models/lstm \"It was night. Anna laughed. It was still\"\n"
                   "  lookinside examples/models/mlp \"Anna and Tom\" --values\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .names = {"FOLDER", "the text"},
        .n_least = 2,
        .n_most = 2,
    };
    cli_outcome outcome = cli_read(&line, argc, argv);

    s->folder = line.arguments[0];
    s->text = line.arguments[1];
    return outcome;
}

/* ---- what is seen ---------------------------------------------------------------------------------------------- */

/* The weights of attention of one layer, or the gates of one, as they come in, rows after rows. */
typedef struct view {
    char name[NAME];
    size_t n_heads, n_rows; /* rows so far */
    size_t width;           /* of a row */
    float *values;          /* [n_heads, n_tokens, width] */
} view;

/* One name, and what came under it. */
typedef struct value {
    char name[NAME], shape[NAME];
    size_t n_calls;
    double sum, squares, n;
} value;

typedef struct sight {
    size_t n_tokens;
    view views[MAX_VIEWS];
    size_t n_views;
    value values[MAX_VALUES];
    size_t n_values;
    bool full; /* something found no room */
} sight;

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

/* The view of that name; a new one has room for rows as wide as the text is long, or as this one is. */
static view *find_view(sight *s, const char *name, size_t n_heads, size_t width)
{
    for (size_t i = 0; i < s->n_views; i++)
        if (strcmp(s->views[i].name, name) == 0)
            return &s->views[i];
    if (s->n_views == MAX_VIEWS || strlen(name) >= NAME)
        return NULL;
    view *made = &s->views[s->n_views];
    made->values = calloc(n_heads * s->n_tokens * width, sizeof *made->values);
    if (made->values == NULL)
        return NULL;
    memcpy(made->name, name, strlen(name) + 1);
    made->n_heads = n_heads;
    made->width = width;
    s->n_views++;
    return made;
}

/* [heads, rows, positions]: some rows of the text, and the positions that the last of them sees. */
static void see_attention(sight *s, const char *name, const ink_tensor *seen)
{
    const size_t *dim = seen->shape.dim;
    const float *values = seen->data;
    view *v = find_view(s, name, dim[0], s->n_tokens);

    if (v == NULL || v->n_rows + dim[1] > s->n_tokens || dim[2] > v->width) {
        s->full = true;
        return;
    }
    for (size_t head = 0; head < dim[0]; head++)
        for (size_t row = 0; row < dim[1]; row++)
            memcpy(v->values + (head * s->n_tokens + v->n_rows + row) * v->width,
                   values + (head * dim[1] + row) * dim[2], dim[2] * sizeof *values);
    v->n_rows += dim[1];
}

/* [1, gates h]: one step. */
static void see_gates(sight *s, const char *name, const ink_tensor *seen)
{
    size_t width = seen->shape.dim[1];
    view *v = find_view(s, name, 1, width);

    if (v == NULL || v->n_rows == s->n_tokens) {
        s->full = true;
        return;
    }
    memcpy(v->values + v->n_rows++ * width, seen->data, width * sizeof(float));
}

static void note_value(sight *s, const char *name, const ink_tensor *seen)
{
    const float *values = seen->data;
    size_t i = 0, n = 1, used = 0;

    while (i < s->n_values && strcmp(s->values[i].name, name) != 0)
        i++;
    if (i == MAX_VALUES || strlen(name) >= NAME) {
        s->full = true;
        return;
    }
    value *v = &s->values[i];
    if (i == s->n_values) {
        memcpy(v->name, name, strlen(name) + 1);
        for (size_t d = 0; d < seen->shape.rank && used < NAME; d++)
            used += (size_t)snprintf(v->shape + used, NAME - used, "%s%zu", d > 0 ? ", " : "", seen->shape.dim[d]);
        s->n_values++;
    }
    for (size_t d = 0; d < seen->shape.rank; d++)
        n *= seen->shape.dim[d];
    for (size_t k = 0; k < n; k++) {
        v->sum += (double)values[k];
        v->squares += (double)values[k] * (double)values[k];
    }
    v->n += (double)n;
    v->n_calls++;
}

static void look(void *user, const char *name, const ink_tensor *seen)
{
    sight *s = user;

    note_value(s, name, seen);
    if (ends_with(name, "attn.weights"))
        see_attention(s, name, seen);
    else if (ends_with(name, ".gates"))
        see_gates(s, name, seen);
}

/* ---- showing --------------------------------------------------------------------------------------------------- */

typedef struct page {
    const settings *asked;
    const char *labels[MAX_TOKENS]; /* the tokens, for people */
    char label_room[MAX_TOKENS][LABEL];
    size_t n_tokens;
} page;

static void make_labels(page *p, const language_model *lm, const ink_token *tokens)
{
    for (size_t i = 0; i < p->n_tokens; i++) {
        char text[LABEL];
        size_t size = 0;
        const char *bytes = ink_tokenizer_token(lm->tokenizer, tokens[i], &size);
        bool space = size > 1 && bytes[0] == ' ';
        snprintf(text, sizeof text, "%.*s", (int)(size - space), bytes != NULL ? bytes + space : "?");
        p->labels[i] = console_harmless(p->label_room[i], LABEL, text);
    }
}

static bool show(const page *p, const heat *map, const char *name)
{
    char file[NAME + 8], path[BUNDLED_ROOM];
    FILE *out;

    heat_print(map);
    if (p->asked->svg == NULL)
        return true;
    snprintf(file, sizeof file, "%s.svg", name);
    if (!bundled_join(path, p->asked->svg, file))
        return false;
    out = fopen(path, "wb");
    if (out != NULL)
        heat_write_svg(map, out);
    if (out == NULL || (ferror(out) | fclose(out)) != 0) {
        console_complain("%s cannot be written", path);
        return false;
    }
    return true;
}

static bool show_attention(const page *p, const view *v, size_t layer)
{
    char title[NAME + 64], names[MAX_PANELS][32];
    const char *panels[MAX_PANELS];
    heat map = {.title = title,
                .n_rows = p->n_tokens,
                .n_columns = p->n_tokens,
                .panels = panels,
                .rows = p->labels,
                .columns = p->labels,
                .values = v->values};

    map.n_panels = v->n_heads < MAX_PANELS ? v->n_heads : MAX_PANELS;
    for (size_t i = 0; i < map.n_panels; i++) {
        snprintf(names[i], sizeof names[i], "head %zu", i + 1);
        panels[i] = names[i];
    }
    snprintf(title, sizeof title, "Layer %zu: attention of each token (row) to the others (columns)", layer);
    return show(p, &map, v->name);
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Gate g of one token, [h], in steps: the unit at 5 %, 15 %, ... of all, when they are in the order of their values. */
static void take_steps(const float *gate, size_t h, float *sorted, float *steps)
{
    memcpy(sorted, gate, h * sizeof *gate);
    qsort(sorted, h, sizeof *sorted, compare_floats);
    for (size_t i = 0; i < N_STEPS; i++)
        steps[i] = sorted[(2 * i + 1) * h / (2 * N_STEPS)];
}

/* Gates between 0 and 1 and where they stand among the blocks of a cell: r, z, n and i, f, g, o. */
typedef struct cell_gates {
    const char *kind;
    size_t n_blocks, n_gates;
    size_t block[3];
    const char *names[3];
} cell_gates;

static const cell_gates cells[] = {
    {"gru", 3, 2, {1, 0}, {"z: kept", "r: looked at"}},
    {"lstm", 4, 3, {1, 0, 3}, {"f: kept", "i: taken in", "o: shown"}},
};

static bool show_gates(const page *p, const view *v, size_t layer, const cell_gates *cell)
{
    size_t h = v->width / cell->n_blocks;
    char title[NAME + 64];
    float *steps = calloc(cell->n_gates * p->n_tokens * N_STEPS, sizeof *steps), *sorted = calloc(h, sizeof *sorted);
    heat map = {.title = title,
                .n_panels = cell->n_gates,
                .n_rows = p->n_tokens,
                .n_columns = N_STEPS,
                .panels = cell->names,
                .rows = p->labels,
                .values = steps};
    bool done = steps != NULL && sorted != NULL;

    snprintf(title, sizeof title, "Layer %zu: gates at each token, from the most closed unit to the most open", layer);
    for (size_t g = 0; done && g < cell->n_gates; g++)
        for (size_t t = 0; t < p->n_tokens; t++)
            take_steps(v->values + t * v->width + cell->block[g] * h, h, sorted,
                       steps + (g * p->n_tokens + t) * N_STEPS);
    if (done)
        done = show(p, &map, v->name);
    else
        console_complain("there is no memory for the gates of %zu tokens", p->n_tokens);
    free(steps);
    free(sorted);
    return done;
}

static void show_values(const sight *s)
{
    printf("%-28s %-16s %6s %12s %12s\n", "name", "shape", "calls", "mean", "root mean sq");
    for (size_t i = 0; i < s->n_values; i++) {
        const value *v = &s->values[i];
        printf("%-28s %-16s %6zu %12.5f %12.5f\n", v->name, v->shape, v->n_calls, v->sum / v->n,
               sqrt(v->squares / v->n));
    }
}

static bool show_all(const page *p, const sight *s, const char *kind)
{
    const cell_gates *cell = NULL;
    bool done = true;

    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        if (strcmp(cells[i].kind, kind) == 0)
            cell = &cells[i];
    for (size_t i = 0; done && i < s->n_views; i++) {
        if (p->asked->layer != 0 && p->asked->layer != i + 1)
            continue;
        if (ends_with(s->views[i].name, ".gates") && cell != NULL)
            done = show_gates(p, &s->views[i], i + 1, cell);
        else if (!ends_with(s->views[i].name, ".gates"))
            done = show_attention(p, &s->views[i], i + 1);
    }
    return done;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

/* A model that goes from left to right, for the logits of the last token. */
static ink_result run_forward(const language_model *lm, const ink_token *tokens, size_t n)
{
    ink_state *state;
    float *logits = malloc(lm->info->vocab_size * sizeof *logits);
    ink_result result = ink_state_create(lm->ctx, lm->model, n, &state);

    if (result == INK_OK)
        result = ink_model_forward(lm->ctx, lm->model, state, tokens, n, logits);
    ink_state_free(state);
    free(logits);
    return result;
}

/* A model that sees the whole text at once. */
static ink_result run_encoder(const language_model *lm, const ink_token *tokens, size_t n)
{
    float *rows = malloc(n * lm->info->hidden_size * sizeof *rows);
    const ink_text text = {.tokens = tokens, .n_tokens = n, .output = rows};
    ink_result result = ink_model_encode(lm->ctx, lm->model, INK_HIDDEN_STATES, &text, 1);

    free(rows);
    return result;
}

static bool watch(const language_model *lm, const ink_token *tokens, size_t n, sight *s)
{
    bool is_encoder = ink_model_get_encoder(lm->model) != NULL;

    ink_context_trace(lm->ctx, look, s);
    ink_result result = is_encoder ? run_encoder(lm, tokens, n) : run_forward(lm, tokens, n);
    ink_context_trace(lm->ctx, NULL, NULL);
    if (result != INK_OK)
        console_complain("%s", ink_context_error(lm->ctx));
    else if (s->full)
        console_complain("this model shows more than there is room for: up to %d layers and %d names", MAX_VIEWS,
                         MAX_VALUES);
    return result == INK_OK && !s->full;
}

static bool look_at(const settings *asked, const language_model *lm, sight *s)
{
    page p = {.asked = asked};
    ink_token *tokens;
    bool done;

    if (!lm_prompt(lm, asked->text, &tokens, &p.n_tokens))
        return false;
    if (p.n_tokens > MAX_TOKENS) {
        console_complain("the text has %zu tokens; up to %d can be shown", p.n_tokens, MAX_TOKENS);
        free(tokens);
        return false;
    }
    s->n_tokens = p.n_tokens;
    make_labels(&p, lm, tokens);
    done = watch(lm, tokens, p.n_tokens, s);
    if (done && asked->layer > s->n_views && s->n_views > 0) {
        console_complain("there are %zu layers to show, not %llu", s->n_views, (unsigned long long)asked->layer);
        done = false;
    }
    if (done && (asked->values || s->n_views == 0))
        show_values(s);
    else if (done)
        done = show_all(&p, s, lm->info->kind);
    free(tokens);
    return done;
}

int main(int argc, char **argv)
{
    settings asked = {.layer = 0};
    cli_outcome outcome = read_settings(&asked, argc, argv);
    language_model lm = {0};
    ink_context *ctx;
    sight *s;
    bool done = false;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    if (!console_takes_pictures(asked.svg))
        return 1;
    ctx = console_context(1, NULL);
    s = calloc(1, sizeof *s);
    if (ctx != NULL && s != NULL)
        done = lm_open_any(&lm, ctx, asked.folder) && look_at(&asked, &lm, s);
    for (size_t i = 0; s != NULL && i < s->n_views; i++)
        free(s->views[i].values);
    free(s);
    lm_close(&lm);
    ink_context_free(ctx);
    return !(done && console_finish());
}
