/*
 * lookinside.c - what a model does with a text, traced through the library (ink_context_trace; inkling/model.h names
 * all the values).
 *
 * Transformers: for each layer and head a map of how each token (a row) spreads its attention over the tokens
 * (columns). A GPT attends to the tokens so far, a BERT to all of them.
 * Encoder-decoders: the text is a source. The model writes its likeliest answer, and a map shows how each word of it (a
 * row) attends to the words of the source (columns). This is their alignment.
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
    LM_TYPE,
};

static cli line = {
    .name = "lookinside",
    .usage = "FOLDER \"text\" [options]",
    .about = "Shows what a model does with a text: the attention of every head, or the gates over time.\n"
             "FOLDER may be a .gguf file; the text - is what stdin holds.",
    .samples = "  lookinside examples/models/gpt \"Anna and Tom had a cat with them. Anna fed the\"\n"
               "  lookinside examples/models/lstm \"It was night. Anna laughed. It was still\"\n"
               "  lookinside examples/models/translate_attention \"Tom put the ball in the box.\"\n"
               "  lookinside examples/models/mlp \"Anna and Tom\" --values\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(2, 2, "FOLDER", "the text"),
    .text = 1,
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

/* Prints to stdout in 80 columns, as many panels side by side as fit. From ' ', 0, to '@', 1. */
static void heat_print(const heat *h)
{
    enum { WIDTH = 80, ROW_LABEL = 13 }; /* "<|endoftext|>" has 13 letters */
    static const char ramp[] = " .:-=+*#%@";
    int label = (int)longest(h->rows, h->n_rows, ROW_LABEL);
    size_t room = (size_t)(WIDTH - 2 - label - 1);
    size_t cell = h->n_panels * (2 * h->n_columns + 2) > room ? 1 : 2; /* characters of a value */
    size_t at_once = room / (h->n_columns * cell + 2), end;
    int width = (int)(h->n_columns * cell);
    printf("%s\n\n", h->title);
    for (size_t first = 0; first < h->n_panels; first = end) {
        end = first + (at_once > 0 ? at_once : 1);
        end = end < h->n_panels ? end : h->n_panels;
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
}

enum { CELL = 14, GAP = 28, TOP = 56, LETTER = 7, ACROSS = 4, SCALE = 10 };

/* From white over light blue to dark blue: the brightness alone tells the value. */
static void write_cell(float value, size_t x, size_t y, FILE *file)
{
    float dark = 1 - value;
    if (value >= 0.005F)
        fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\"/>\n", x, y, CELL,
                CELL, (unsigned)(255 * dark * dark), (unsigned)(255 * dark), (unsigned)(160 + 95 * dark));
}

static void write_frame(size_t x, size_t y, size_t width, size_t height, FILE *file)
{
    fprintf(file, "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%zu\" fill=\"none\" stroke=\"#222222\"/>\n", x, y,
            width, height);
}

static void write_label(size_t x, size_t y, const char *more, const char *text, FILE *file)
{
    fprintf(file, "<text x=\"%zu\" y=\"%zu\" %s>", x, y, more);
    chart_write_escaped(text, file);
    fputs("</text>\n", file);
}

/* Writes a self-contained picture: panels in rows of four, a scale, and its own background. */
static void heat_write_svg(const heat *h, FILE *file)
{
    size_t label = 20 + LETTER * longest(h->rows, h->n_rows, 40); /* room for the labels of rows, and of columns */
    size_t head = 8 + LETTER * longest(h->columns, h->n_columns, 40);
    size_t across = h->n_panels < ACROSS ? h->n_panels : ACROSS, down = (h->n_panels + across - 1) / across;
    size_t panel_width = h->n_columns * CELL + GAP, panel_height = h->n_rows * CELL + GAP + head;
    size_t width = label + across * panel_width, height = TOP + down * panel_height + 40, y = height - 28;
    if (width < 40 + LETTER * 3 / 2 * strlen(h->title))
        width = 40 + LETTER * 3 / 2 * strlen(h->title);
    chart_begin_svg(file, h->title, width, height, 11);
    write_label(20, 28, "font-size=\"16\" font-weight=\"bold\"", h->title, file);
    for (size_t p = 0; p < h->n_panels; p++) {
        size_t left = label + p % across * panel_width, top = TOP + head + p / across * panel_height;
        write_label(left, top - head - 6, "font-weight=\"bold\"", h->panels[p], file);
        for (size_t c = 0; h->columns != NULL && c < h->n_columns; c++) {
            char turn[80];
            snprintf(turn, sizeof turn, "transform=\"rotate(-90 %zu %zu)\"", left + c * CELL + CELL - 3, top - 3);
            write_label(left + c * CELL + CELL - 3, top - 3, turn, h->columns[c], file);
        }
        for (size_t r = 0; r < h->n_rows; r++) {
            if (p % across == 0)
                write_label(left - 6, top + r * CELL + CELL - 3, "text-anchor=\"end\"", h->rows[r], file);
            for (size_t c = 0; c < h->n_columns; c++)
                write_cell(value_at(h, p, r, c), left + c * CELL, top + r * CELL, file);
        }
        write_frame(left, top, h->n_columns * CELL, h->n_rows * CELL, file);
    }
    write_label(label - 6, y + CELL - 3, "text-anchor=\"end\"", "0", file); /* the scale, from 0 to 1 */
    for (size_t i = 0; i <= SCALE; i++)
        write_cell((float)i / SCALE, label + i * CELL, y, file);
    write_frame(label, y, CELL * (SCALE + 1), CELL, file);
    write_label(label + (SCALE + 1) * CELL + 6, y + CELL - 3, "", "1", file);
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
    size_t n_tokens;       /* rows of a map */
    size_t n_source;       /* columns of attention to a source; 0: there is none */
    const char *attention; /* the end of the names of what is shown: "attn.weights" */
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

/* Adds rows to the view of that name: attention [heads, rows, positions], where each row has room for all tokens of the
   text or the source, or gates [rows, gates h]. False if there is no room. */
static bool add_rows(traces *s, const char *name, const ink_tensor *traced, bool is_attention)
{
    const size_t *dim = traced->shape.dim;
    size_t n_heads = is_attention ? dim[0] : 1, n = dim[is_attention ? 1 : 0], columns = dim[is_attention ? 2 : 1],
           i = 0;
    const float *values = traced->data;
    while (i < s->n_views && strcmp(s->views[i].name, name) != 0)
        i++;
    if (i == MAX_VIEWS || strlen(name) >= NAME)
        return false;
    view *v = &s->views[i];
    if (i == s->n_views) {
        *v = (view){.n_heads = n_heads, .width = is_attention ? s->n_source > 0 ? s->n_source : s->n_tokens : columns};
        memcpy(v->name, name, strlen(name) + 1);
        v->values = calloc(n_heads * s->n_tokens * v->width, sizeof *v->values);
        s->n_views++;
    }
    if (v->values == NULL || v->n_rows + n > s->n_tokens || columns > v->width)
        return false;
    for (size_t head = 0; head < n_heads; head++)
        for (size_t row = 0; row < n; row++)
            memcpy(v->values + (head * s->n_tokens + v->n_rows + row) * v->width, values + (head * n + row) * columns,
                   columns * sizeof *values);
    v->n_rows += n;
    return true;
}

static bool add_value(traces *s, const char *name, const ink_tensor *traced)
{
    const float *values = traced->data;
    size_t i = 0, n = 1, used = 0;
    while (i < s->n_values && strcmp(s->values[i].name, name) != 0)
        i++;
    if (i == MAX_VALUES || strlen(name) >= NAME)
        return false;
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
    return true;
}

/* Called by the library with every intermediate value. */
static void trace_value(void *user, const char *name, const ink_tensor *traced)
{
    traces *s = user;
    bool is_attention = ends_with(name, s->attention), is_gates = s->n_source == 0 && ends_with(name, ".gates");
    if (!add_value(s, name, traced) || ((is_attention || is_gates) && !add_rows(s, name, traced, is_attention)))
        s->full = true;
}

/* What the model gets, and of an encoder-decoder what it writes: its start token and all of the answer but the end. */
typedef struct input {
    ink_token *tokens, *types;
    size_t n;
    ink_encoded *encoded;              /* NULL: the model wants no source */
    ink_token written[MAX_TOKENS + 1]; /* the start token, then the answer */
    size_t n_written;                  /* of the answer, with the token that ends it */
} input;

/* Encodes the source and writes the likeliest answer. */
static bool write_answer(const language_model *lm, input *in)
{
    ink_context *ctx = lm->ctx;
    ink_generate_options how;
    ink_generator *generator = NULL;
    ink_request request = {.encoded = NULL};
    const ink_encoder_decoder_info *info = ink_model_get_encoder_decoder(lm->model);
    ink_model_generation(lm->model, &how);
    how.n_beams = how.n_results = 1;
    how.capacity =
        lm->info->context_length > 0 && lm->info->context_length < MAX_TOKENS ? lm->info->context_length : MAX_TOKENS;
    how.sampler.temperature = 0;
    how.max_length = 0;
    how.max_tokens = MAX_TOKENS;
    bool done = console_ok(ctx, ink_encoded_create(ctx, lm->model, in->n, &in->encoded));
    const ink_source_item source = {.encoded = in->encoded, .tokens = in->tokens, .n_tokens = in->n};
    request.encoded = in->encoded;
    done = done && console_ok(ctx, ink_model_encode_sources(ctx, lm->model, &source, 1)) &&
           console_ok(ctx, ink_generator_create(ctx, lm->model, &how, &generator)) &&
           console_ok(ctx, ink_generate(ctx, generator, &request, 1));
    if (done) {
        const ink_generated *answer = &request.results[0];
        in->written[0] = info->start_token;
        memcpy(in->written + 1, answer->tokens, answer->n_tokens * sizeof *in->written);
        in->n_written = answer->n_tokens;
        if (answer->stop_token >= 0 && in->n_written < MAX_TOKENS)
            in->written[++in->n_written] = answer->stop_token;
    }
    ink_generator_free(generator);
    return done;
}

/* Runs the model once: an encoder for its hidden states, any other model for the logits of the last token. */
static bool run_traced(const language_model *lm, const input *in, traces *s)
{
    ink_context *ctx = lm->ctx;
    bool is_encoder = ink_model_get_encoder(lm->model) != NULL;
    float *output = console_memory(is_encoder ? in->n * lm->info->hidden_size : lm->info->vocab_size, sizeof *output);
    const ink_text text = {.tokens = in->tokens, .n_tokens = in->n, .types = in->types, .output = output};
    const ink_token *tokens = in->encoded != NULL ? in->written : in->tokens;
    size_t n = in->encoded != NULL ? in->n_written : in->n;
    ink_state *state = NULL;
    bool done = output != NULL && (is_encoder || console_ok(ctx, ink_state_create(ctx, lm->model, n, &state)));
    const ink_source_item source = {.encoded = in->encoded, .tokens = in->tokens, .n_tokens = in->n};
    ink_context_trace(ctx, trace_value, s);
    done = done && (in->encoded == NULL || (console_ok(ctx, ink_model_encode_sources(ctx, lm->model, &source, 1)) &&
                                            console_ok(ctx, ink_state_begin(ctx, state, in->encoded))));
    done = done && console_ok(ctx, is_encoder ? ink_model_encode(ctx, lm->model, INK_HIDDEN_STATES, &text, 1)
                                              : ink_model_forward(ctx, lm->model, state, tokens, n, output));
    ink_context_trace(ctx, NULL, NULL);
    ink_state_free(state);
    free(output);
    if (done && s->full)
        return console_complain("this model has more values than there is room for: up to %d layers and %d names",
                                MAX_VIEWS, MAX_VALUES);
    return done;
}

/* ---- showing --------------------------------------------------------------------------------------------------- */

typedef struct page {
    const char *labels[MAX_TOKENS]; /* the tokens as text */
    char label_room[MAX_TOKENS][LABEL];
    size_t n_tokens;
} page;

static void make_labels(page *p, const ink_tokenizer *tokenizer, const ink_token *tokens, size_t n)
{
    p->n_tokens = n;
    for (size_t i = 0; i < p->n_tokens; i++) {
        char text[LABEL];
        size_t size = 0;
        const char *bytes = ink_tokenizer_token(tokenizer, tokens[i], &size);
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

static bool show_attention(const page *rows, const page *columns, const view *v, size_t layer)
{
    static const char *const names[MAX_PANELS] = {"head 1",  "head 2",  "head 3",  "head 4",  "head 5",  "head 6",
                                                  "head 7",  "head 8",  "head 9",  "head 10", "head 11", "head 12",
                                                  "head 13", "head 14", "head 15", "head 16"};
    char title[NAME + 64];
    heat map = {title, 0, rows->n_tokens, columns->n_tokens, names, rows->labels, columns->labels, v->values};
    map.n_panels = v->n_heads < MAX_PANELS ? v->n_heads : MAX_PANELS;
    snprintf(title, sizeof title, "Layer %zu: attention of each %s (columns)", layer,
             rows == columns ? "token (row) to the others" : "word written (row) to the source");
    return show_map(&map, v->name);
}

static int compare_values(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The gates between 0 and 1, and their places among the rows of a cell: r, z, n and i, f, g, o. */
static const struct cell_gates {
    const char *kind;
    size_t n_blocks, n_gates;
    size_t block[3];
    const char *names[3];
} cells[] = {
    {"gru", 3, 2, {1, 0}, {"z: kept", "r: looked at"}},
    {"lstm", 4, 3, {1, 0, 3}, {"f: kept", "i: taken in", "o: shown"}},
};

/* Shows each gate of each token, [h], in steps: the units at 5 %, 15 %, ... of all, sorted by their values. */
static bool show_gates(const page *p, const view *v, size_t layer, const struct cell_gates *cell)
{
    size_t h = v->width / cell->n_blocks;
    char title[NAME + 64];
    float *steps = console_memory(cell->n_gates * p->n_tokens * N_STEPS, sizeof *steps);
    float *sorted = console_memory(h, sizeof *sorted), *step = steps;
    const heat map = {title, cell->n_gates, p->n_tokens, N_STEPS, cell->names, p->labels, NULL, steps};
    bool done = steps != NULL && sorted != NULL;
    snprintf(title, sizeof title, "Layer %zu: gates at each token, from the most closed unit to the most open", layer);
    for (size_t g = 0; done && g < cell->n_gates; g++)
        for (size_t t = 0; t < p->n_tokens; t++) {
            memcpy(sorted, v->values + t * v->width + cell->block[g] * h, h * sizeof *sorted);
            qsort(sorted, h, sizeof *sorted, compare_values);
            for (size_t i = 0; i < N_STEPS; i++)
                *step++ = sorted[(2 * i + 1) * h / (2 * N_STEPS)];
        }
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

static void show_words(const char *what, const page *p)
{
    printf("%s", what);
    for (size_t i = 0; i < p->n_tokens; i++)
        printf(" %s", p->labels[i]);
    putchar('\n');
}

static bool show_all(const page *rows, const page *columns, const traces *s, const char *kind)
{
    bool done = true;
    for (size_t i = 0; done && i < s->n_views; i++) {
        bool is_gates = ends_with(s->views[i].name, ".gates");
        if (asked_layer != 0 && asked_layer != i + 1)
            continue;
        if (!is_gates)
            done = show_attention(rows, columns, &s->views[i], i + 1);
        for (size_t k = 0; is_gates && k < sizeof cells / sizeof *cells; k++)
            if (strcmp(cells[k].kind, kind) == 0)
                done = show_gates(rows, &s->views[i], i + 1, &cells[k]);
    }
    return done;
}

static bool show_text(const language_model *lm, traces *s)
{
    page rows = {0}, columns = {0};
    input in = {0};
    const char *text = line.arguments[1];
    const ink_encode_input encoded = {.text = text, .size = strlen(text), .flags = INK_ENCODE_DEFAULT};
    const bool wants_source = ink_model_get_encoder_decoder(lm->model) != NULL;
    if (!(lm_has_types(lm) || wants_source
              ? lm_encode_input(lm, &encoded, &in.tokens, lm_has_types(lm) ? &in.types : NULL, NULL, &in.n)
              : lm_prompt(lm, text, false, &in.tokens, &in.n)))
        return false;
    bool done =
        in.n <= MAX_TOKENS || console_complain("the text has %zu tokens; up to %d can be shown", in.n, MAX_TOKENS);
    ink_tokenizer *target = NULL; /* of the answer */
    done = done && (!wants_source || (console_ok(lm->ctx, ink_tokenizer_open_target(lm->ctx, lm->folder, &target)) &&
                                      write_answer(lm, &in)));
    s->n_tokens = wants_source ? in.n_written : in.n;
    s->n_source = wants_source ? in.n : 0;
    s->attention = wants_source && strcmp(lm->info->kind, "seq2seq") != 0 ? "cross.weights" : "attn.weights";
    done = done && run_traced(lm, &in, s);
    if (done && asked_layer > s->n_views && s->n_views > 0)
        done = console_complain("there are %zu layers to show, not %llu", s->n_views, (unsigned long long)asked_layer);
    if (done) {
        make_labels(&columns, lm->tokenizer, in.tokens, in.n);
        if (wants_source) {
            make_labels(&rows, target, in.written + 1, in.n_written);
            show_words("source:", &columns);
            show_words("answer:", &rows);
            putchar('\n');
        }
        if (!values_only && s->n_views == 0 && (svg_folder != NULL || asked_layer > 0))
            console_note("(a %s has no map to draw, so --svg and --layer have no effect)", lm->info->kind);
        if (values_only || s->n_views == 0)
            show_values(s);
        else
            done = show_all(wants_source ? &rows : &columns, &columns, s, lm->info->kind);
    }
    ink_tokenizer_free(target);
    ink_encoded_free(in.encoded);
    free(in.tokens);
    free(in.types);
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
