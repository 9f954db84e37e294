/*
 * lookinside.c - what a model does with a text, traced through the library (ink_context_trace; inkling/model.h names
 * all the values).
 *
 * Transformers: for each layer and head a map of how each token (a row) spreads its attention over the tokens
 * (columns). A GPT attends to the tokens so far, a BERT to all of them.
 * GRU and LSTM: for each token the gates of all units, sorted from the most closed to the most open one, in ten steps.
 * They show how much of the memory is kept and how much is written anew.
 * All other models, and these too with --values: a list of all values by name, with shape and size.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "lm.h"

enum { MAX_TOKENS = 64, MAX_VIEWS = 64, MAX_VALUES = 512, MAX_PANELS = 16, N_STEPS = 10, NAME = 48, LABEL = 24 };

static const char *svg_folder;
static uint64_t asked_layer;
static bool values_only;

static const cli_option options[] = {
    CLI_COUNT("--layer", "L", &asked_layer, 1, MAX_VIEWS, "only this layer, counted from 1 (default: all)"),
    CLI_FLAG("--values", &values_only, "list all intermediate values instead: name, shape, size"),
    CLI_TEXT("--svg", "FOLDER", &svg_folder, "also write each map there, as a picture"),
};

static cli line = {
    .name = "lookinside",
    .usage = "FOLDER \"text\" [options]",
    .about = "Shows what a model does with a text: the attention of every head, or the gates over time.",
    .samples = "  lookinside examples/models/gpt \"Anna and Tom had a cat with them. Anna fed the\"\n"
               "  lookinside examples/models/lstm \"It was night. Anna laughed. It was still\"\n"
               "  lookinside examples/models/mlp \"Anna and Tom\" --values\n",
    CLI_OPTIONS(options),
    .names = {"FOLDER", "the text"},
    .n_least = 2,
    .n_most = 2,
};

/* ---- heat maps -------------------------------------------------------------------------------------------------- */

/* Numbers between 0 and 1 as characters of a terminal or as squares of an SVG picture. A map has panels of one size
   (the heads of a layer, the gates of a cell) side by side; they share the labels of their rows. */
typedef struct heat {
    const char *title;
    size_t n_panels, n_rows, n_columns;
    const char *const *panels;  /* [n_panels] titles */
    const char *const *rows;    /* [n_rows] labels, safe for a terminal */
    const char *const *columns; /* [n_columns] labels, shown in the picture only; NULL: none */
    const float *values;        /* [n_panels, n_rows, n_columns] */
} heat;

static float value_at(const heat *h, size_t panel, size_t row, size_t column)
{
    float value = h->values[(panel * h->n_rows + row) * h->n_columns + column];
    return value > 0 ? value < 1 ? value : 1 : 0; /* NaN is 0 */
}

static size_t longest(const char *const *labels, size_t n, size_t most)
{
    size_t size = 0;
    for (size_t i = 0; labels != NULL && i < n; i++)
        size = strlen(labels[i]) > size ? strlen(labels[i]) : size;
    return size < most ? size : most;
}

enum { WIDTH = 80, ROW_LABEL = 13 }; /* "<|endoftext|>" has 13 letters */

/* The panels [first, end) side by side, each value `cell` characters wide. */
static void print_panels(const heat *h, size_t first, size_t end, size_t cell, int label)
{
    static const char ramp[] = " .:-=+*#%@";
    int width = (int)(h->n_columns * cell);
    printf("  %*s", label, "");
    for (size_t p = first; p < end; p++)
        printf(" %-*.*s", p + 1 < end ? width + 1 : 0, width + 1, h->panels[p]);
    putchar('\n');
    for (size_t r = 0; r < h->n_rows; r++) {
        printf("  %*.*s", label, label, h->rows[r]);
        for (size_t p = first; p < end; p++) {
            fputs(" |", stdout);
            for (size_t c = 0; c < h->n_columns * cell; c++)
                putchar(ramp[(size_t)(value_at(h, p, r, c / cell) * 9.0F + 0.5F)]);
        }
        puts("|");
    }
    putchar('\n');
}

/* Prints to stdout in 80 columns, as many panels side by side as fit. From ' ', 0, to '@', 1. */
static void heat_print(const heat *h)
{
    int label = (int)longest(h->rows, h->n_rows, ROW_LABEL);
    size_t room = (size_t)(WIDTH - 2 - label - 1), cell = 2;
    if (h->n_panels * (2 * h->n_columns + 2) > room)
        cell = 1;
    size_t at_once = room / (h->n_columns * cell + 2);
    at_once = at_once > 0 ? at_once : 1;
    printf("%s\n\n", h->title);
    for (size_t p = 0; p < h->n_panels; p += at_once)
        print_panels(h, p, p + at_once < h->n_panels ? p + at_once : h->n_panels, cell, label);
}

enum { CELL = 14, GAP = 28, TOP = 56, LETTER = 7, ACROSS = 4, SCALE = 10 };

typedef struct frame {
    size_t label, head; /* room for the labels of rows and columns */
    size_t across, width, height;
} frame;

/* From white over light blue to dark blue: the brightness alone tells the value. */
static void write_cell(float value, size_t x, size_t y, FILE *file)
{
    float dark = 1 - value;
    if (value >= 0.005F)
        fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\"/>\n", x, y, CELL,
                CELL, (unsigned)(255 * dark * dark), (unsigned)(255 * dark), (unsigned)(160 + 95 * dark));
}

static void write_label(size_t x, size_t y, const char *more, const char *text, FILE *file)
{
    fprintf(file, "<text x=\"%zu\" y=\"%zu\" %s>", x, y, more);
    chart_write_escaped(text, file);
    fputs("</text>\n", file);
}

static void write_panel(const heat *h, const frame *g, size_t p, size_t left, size_t top, FILE *file)
{
    write_label(left, top - g->head - 6, "font-weight=\"bold\"", h->panels[p], file);
    for (size_t c = 0; h->columns != NULL && c < h->n_columns; c++) {
        char turn[80];
        snprintf(turn, sizeof turn, "transform=\"rotate(-90 %zu %zu)\"", left + c * CELL + CELL - 3, top - 3);
        write_label(left + c * CELL + CELL - 3, top - 3, turn, h->columns[c], file);
    }
    for (size_t r = 0; r < h->n_rows; r++) {
        if (p % g->across == 0)
            write_label(left - 6, top + r * CELL + CELL - 3, "text-anchor=\"end\"", h->rows[r], file);
        for (size_t c = 0; c < h->n_columns; c++)
            write_cell(value_at(h, p, r, c), left + c * CELL, top + r * CELL, file);
    }
    fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%zu\" fill=\"none\" stroke=\"#222222\"/>\n", left,
            top, h->n_columns * CELL, h->n_rows * CELL);
}

/* The scale of colours from 0 to 1, at the bottom. */
static void write_scale(const frame *g, FILE *file)
{
    size_t x = g->label, y = g->height - 28;
    write_label(x - 6, y + CELL - 3, "text-anchor=\"end\"", "0", file);
    for (size_t i = 0; i <= SCALE; i++)
        write_cell((float)i / SCALE, x + i * CELL, y, file);
    fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#222222\"/>\n", x, y,
            CELL * (SCALE + 1), CELL);
    write_label(x + (SCALE + 1) * CELL + 6, y + CELL - 3, "", "1", file);
}

/* Writes a self-contained picture: panels in rows of four, a scale, and its own background. */
static void heat_write_svg(const heat *h, FILE *file)
{
    frame g = {.label = 20 + LETTER * longest(h->rows, h->n_rows, 40),
               .head = 8 + LETTER * longest(h->columns, h->n_columns, 40),
               .across = h->n_panels < ACROSS ? h->n_panels : ACROSS};
    size_t panel_width = h->n_columns * CELL + GAP, panel_height = h->n_rows * CELL + GAP + g.head;
    size_t down = (h->n_panels + g.across - 1) / g.across;
    g.width = g.label + g.across * panel_width;
    g.height = TOP + down * panel_height + 40;
    if (g.width < 20 + LETTER * 2 * strlen(h->title))
        g.width = 20 + LETTER * 2 * strlen(h->title);
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %zu %zu\" width=\"%zu\" height=\"%zu\" "
            "font-family=\"sans-serif\" font-size=\"11\" fill=\"#222222\" role=\"img\">\n<title>",
            g.width, g.height, g.width, g.height);
    chart_write_escaped(h->title, file);
    fprintf(file, "</title>\n<rect width=\"%zu\" height=\"%zu\" rx=\"8\" fill=\"#ffffff\"/>\n", g.width, g.height);
    write_label(20, 28, "font-size=\"16\" font-weight=\"bold\"", h->title, file);
    for (size_t p = 0; p < h->n_panels; p++)
        write_panel(h, &g, p, g.label + p % g.across * panel_width, TOP + g.head + p / g.across * panel_height, file);
    write_scale(&g, file);
    fputs("</svg>\n", file);
}

/* ---- tracing ---------------------------------------------------------------------------------------------------- */

/* The attention weights or the gates of one layer, collected row by row. */
typedef struct view {
    char name[NAME];
    size_t n_heads, n_rows; /* rows so far */
    size_t width;           /* of a row */
    float *values;          /* [n_heads, n_tokens, width] */
} view;

/* All that was traced under one name. */
typedef struct value_sum {
    char name[NAME], shape[NAME];
    size_t n_calls;
    double sum, squares, n;
} value_sum;

typedef struct traces {
    size_t n_tokens;
    view views[MAX_VIEWS];
    size_t n_views;
    value_sum values[MAX_VALUES];
    size_t n_values;
    bool full; /* there was no room for something */
} traces;

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* The view of that name, or a new one with room for a row of `width` for each token of the text. */
static view *find_view(traces *s, const char *name, size_t n_heads, size_t width)
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

/* [heads, rows, positions]: some rows of the text, and the positions that the last of these rows attends to. */
static void add_attention(traces *s, const char *name, const ink_tensor *traced)
{
    const size_t *dim = traced->shape.dim;
    const float *values = traced->data;
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
static void add_gates(traces *s, const char *name, const ink_tensor *traced)
{
    size_t width = traced->shape.dim[1];
    view *v = find_view(s, name, 1, width);
    if (v == NULL || v->n_rows == s->n_tokens) {
        s->full = true;
        return;
    }
    memcpy(v->values + v->n_rows++ * width, traced->data, width * sizeof(float));
}

static void add_value(traces *s, const char *name, const ink_tensor *traced)
{
    const float *values = traced->data;
    size_t i = 0, n = 1, used = 0;
    while (i < s->n_values && strcmp(s->values[i].name, name) != 0)
        i++;
    if (i == MAX_VALUES || strlen(name) >= NAME) {
        s->full = true;
        return;
    }
    value_sum *v = &s->values[i];
    if (i == s->n_values) {
        memcpy(v->name, name, strlen(name) + 1);
        for (size_t d = 0; d < traced->shape.rank && used < NAME; d++)
            used += (size_t)snprintf(v->shape + used, NAME - used, "%s%zu", d > 0 ? ", " : "", traced->shape.dim[d]);
        s->n_values++;
    }
    for (size_t d = 0; d < traced->shape.rank; d++)
        n *= traced->shape.dim[d];
    for (size_t k = 0; k < n; k++) {
        v->sum += (double)values[k];
        v->squares += (double)values[k] * (double)values[k];
    }
    v->n += (double)n;
    v->n_calls++;
}

static void trace_value(void *user, const char *name, const ink_tensor *traced)
{
    traces *s = user;
    add_value(s, name, traced);
    if (ends_with(name, "attn.weights"))
        add_attention(s, name, traced);
    else if (ends_with(name, ".gates"))
        add_gates(s, name, traced);
}

/* ---- showing --------------------------------------------------------------------------------------------------- */

typedef struct page {
    const char *labels[MAX_TOKENS]; /* the tokens as text */
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

/* Prints a map, and writes its picture if asked. */
static bool show_map(const heat *map, const char *name)
{
    char file[NAME + 8], path[PATH_ROOM];
    heat_print(map);
    if (svg_folder == NULL)
        return true;
    snprintf(file, sizeof file, "%s.svg", name);
    FILE *out = path_join(path, svg_folder, file) ? file_create(path) : NULL;
    if (out == NULL)
        return false;
    heat_write_svg(map, out);
    return file_close(out, path);
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
    return show_map(&map, v->name);
}

static int compare_values(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* One gate of one token, [h], in steps: the units at 5 %, 15 %, ... of all, sorted by their values. */
static void take_steps(const float *gate, size_t h, float *sorted, float *steps)
{
    memcpy(sorted, gate, h * sizeof *gate);
    qsort(sorted, h, sizeof *sorted, compare_values);
    for (size_t i = 0; i < N_STEPS; i++)
        steps[i] = sorted[(2 * i + 1) * h / (2 * N_STEPS)];
}

/* The gates between 0 and 1, and their places among the rows of a cell: r, z, n and i, f, g, o. */
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
    float *steps = console_memory(cell->n_gates * p->n_tokens * N_STEPS, sizeof *steps);
    float *sorted = console_memory(h, sizeof *sorted);
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
    done = done && show_map(&map, v->name);
    free(steps);
    free(sorted);
    return done;
}

static void show_values(const traces *s)
{
    printf("%-28s %-16s %6s %12s %12s\n", "name", "shape", "calls", "mean", "root mean sq");
    for (size_t i = 0; i < s->n_values; i++) {
        const value_sum *v = &s->values[i];
        printf("%-28s %-16s %6zu %12.5f %12.5f\n", v->name, v->shape, v->n_calls, v->sum / v->n,
               sqrt(v->squares / v->n));
    }
}

static bool show_all(const page *p, const traces *s, const char *kind)
{
    const cell_gates *cell = NULL;
    bool done = true;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        if (strcmp(cells[i].kind, kind) == 0)
            cell = &cells[i];
    for (size_t i = 0; done && i < s->n_views; i++) {
        if (asked_layer != 0 && asked_layer != i + 1)
            continue;
        if (ends_with(s->views[i].name, ".gates") && cell != NULL)
            done = show_gates(p, &s->views[i], i + 1, cell);
        else if (!ends_with(s->views[i].name, ".gates"))
            done = show_attention(p, &s->views[i], i + 1);
    }
    return done;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

/* A model that reads from left to right: computes the logits of the last token. */
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

static bool run_traced(const language_model *lm, const ink_token *tokens, size_t n, traces *s)
{
    bool is_encoder = ink_model_get_encoder(lm->model) != NULL;
    ink_context_trace(lm->ctx, trace_value, s);
    ink_result result = is_encoder ? run_encoder(lm, tokens, n) : run_forward(lm, tokens, n);
    ink_context_trace(lm->ctx, NULL, NULL);
    if (console_ok(lm->ctx, result) && s->full)
        console_complain("this model has more values than there is room for: up to %d layers and %d names", MAX_VIEWS,
                         MAX_VALUES);
    return result == INK_OK && !s->full;
}

static bool show_text(const language_model *lm, traces *s)
{
    page p = {0};
    ink_token *tokens;
    bool done;
    if (!lm_prompt(lm, line.arguments[1], &tokens, &p.n_tokens))
        return false;
    done = p.n_tokens <= MAX_TOKENS ||
           console_complain("the text has %zu tokens; up to %d can be shown", p.n_tokens, MAX_TOKENS);
    if (done) {
        s->n_tokens = p.n_tokens;
        make_labels(&p, lm, tokens);
        done = run_traced(lm, tokens, p.n_tokens, s);
    }
    if (done && asked_layer > s->n_views && s->n_views > 0)
        done = console_complain("there are %zu layers to show, not %llu", s->n_views, (unsigned long long)asked_layer);
    if (done && (values_only || s->n_views == 0))
        show_values(s);
    else if (done)
        done = show_all(&p, s, lm->info->kind);
    free(tokens);
    return done;
}

static bool lookinside(ink_context *ctx)
{
    language_model lm = {0};
    traces *s = console_memory(1, sizeof *s);
    bool done = s != NULL && console_takes_pictures(svg_folder) && lm_open_any(&lm, ctx, line.arguments[0]) &&
                show_text(&lm, s);
    for (size_t i = 0; s != NULL && i < s->n_views; i++)
        free(s->views[i].values);
    free(s);
    lm_close(&lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, lookinside); }
