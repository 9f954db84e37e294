/*
 * lookinside.c - what a model does with a text, traced through the library (ink_context_trace; inkling/model.h names
 * all the values).
 *
 * Transformers: for each layer and head a map of how each token (a row) spreads its attention over the tokens
 * (columns). A GPT attends to the tokens so far, a BERT to all of them.
 * Encoder-decoders: the text is a source. The model writes its likeliest answer, and a map shows how each word of it (a
 * row) attends to the words of the source (columns). This is their alignment.
 * RNN, GRU, LSTM and MLP: for some units (rows) their gates and their state at each token (columns). A unit keeps its
 * row in all panels, so it can be followed from word to word.
 * All other models, and these too with --values: a list of all values by name, with shape and size.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "heat.h"
#include "lm.h"
#include "step.h"
#include "step_lines.h"

enum {
    MAX_TOKENS = 64, /* of a map, and of an answer */
    MAX_AT = 1 << 20,
    MAX_VIEWS = 256,
    MAX_VALUES = 512,
    MAX_PANELS = 16,
    MAX_UNITS = 64,
    USUAL_UNITS = 16,
    LABEL = 32
};

static const char *svg_folder, *asked_units;
static uint64_t asked_layer, asked_token, n_units = USUAL_UNITS;
static bool values_only, step_only;

static const cli_option options[] = {
    CLI_COUNT("--layer", "L", &asked_layer, 1, MAX_VIEWS, "only this layer, counted from 1 (default: all)"),
    CLI_COUNT("--units", "N", &n_units, 1, MAX_UNITS,
              "of RNN, GRU, LSTM, MLP: show so many units, those that hold something for longest (default 16)"),
    CLI_TEXT("--only", "LIST", &asked_units, "show these units instead, counted from 1: 3,17,40"),
    CLI_FLAG("--step", &step_only,
             "one token through the network: each value with its formula and its place in the code"),
    CLI_COUNT("--at", "N", &asked_token, 1, MAX_AT,
              "of --step: token N of the text, or word N of an answer (default: the last, a gap, the first word)"),
    CLI_FLAG("--values", &values_only, "list all intermediate values instead: name, shape, size"),
    CLI_TEXT("--svg", "FOLDER", &svg_folder, "also write each map there, as a picture"),
    LM_TYPE,
};

static cli line = {
    .name = "lookinside",
    .usage = "FOLDER \"text\" [\"second text\"] [options]",
    .about = "Shows what a model does with a text: the attention of every head, or gates and states over the words;\n"
             "with --step, one token through the network, value by value. FOLDER may be a .gguf file; the text -\n"
             "is what stdin holds. A second text is for encoders that read a question and a text.",
    .samples = "  lookinside examples/models/gpt \"Anna and Tom had a cat. Anna fed the\"\n"
               "  lookinside examples/models/lstm \"It was night. Anna laughed. It was still\"\n"
               "  lookinside examples/models/rnn \"It was night. Anna laughed.\" --only 3,17,40\n"
               "  lookinside examples/models/mlp \"Anna and Tom\" --units 8\n"
               "  lookinside examples/models/translate_attention \"Tom put the ball in the box.\"\n"
               "  lookinside examples/models/gpt \"Anna and Tom had a cat. Anna fed the\" --step\n"
               "  lookinside examples/models/lstm \"It was night. Anna laughed.\" --step --at 5\n"
               "  lookinside examples/models/bert \"Anna fed the [MASK].\" --step\n"
               "  lookinside examples/models/answer \"Where is Tom?\" \"Tom was in a barn.\" --step\n"
               "  lookinside examples/models/translate_transformer \"The door was open.\" --at 3\n"
               "  lookinside examples/models/gpt \"Anna and Tom\" --values\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(2, 3, "FOLDER", "the text", "the second text"),
    .text = 1,
};

/* ---- tracing ---------------------------------------------------------------------------------------------------- */

/* The attention weights, the gates or the state of one layer, collected row by row. */
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

/* The view of this name, with the number of a layer in it; NULL if there is none. */
static const view *find_view(const traces *s, const char *format, size_t layer)
{
    char name[NAME];
    snprintf(name, sizeof name, format, layer);
    for (size_t i = 0; i < s->n_views; i++)
        if (strcmp(s->views[i].name, name) == 0)
            return &s->views[i];
    return NULL;
}

/* Adds rows to the view of that name: attention [heads, rows, positions], where each row has room for all tokens of the
   text or the source, or gates and states [rows, width]. False if there is no room. */
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

/* Called by the library with every intermediate value. A list of values needs no rows, so a text may be of any length.
 */
static void trace_value(void *user, const char *name, const ink_tensor *traced)
{
    traces *s = user;
    bool is_attention = ends_with(name, s->attention),
         is_units = strncmp(name, "rnn.l", 5) == 0 || strncmp(name, "mlp.", 4) == 0;
    if (!add_value(s, name, traced) ||
        (!values_only && (is_attention || is_units) && !add_rows(s, name, traced, is_attention)))
        s->full = true;
}

/* What the model gets, and of an encoder-decoder what it writes: its start token and all of the answer but the end. */
typedef struct input {
    ink_token *tokens, *types;
    size_t n;
    ink_encoded *encoded;              /* NULL: the model wants no source */
    ink_tokenizer *target;             /* of the answer; NULL: there is none */
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
    const char **labels; /* [n_tokens] the tokens as text */
    char (*label_room)[STEP_WORD];
    size_t n_tokens;
} page;

static bool make_labels(page *p, const ink_tokenizer *tokenizer, const ink_token *tokens, size_t n)
{
    p->labels = console_memory(n, sizeof *p->labels);
    p->label_room = console_memory(n, sizeof *p->label_room);
    if (p->labels == NULL || p->label_room == NULL)
        return false;
    p->n_tokens = n;
    for (size_t i = 0; i < n; i++)
        p->labels[i] = step_word(tokenizer, tokens[i], p->label_room[i]);
    return true;
}

static void free_labels(page *p)
{
    free(p->labels);
    free(p->label_room);
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
    const size_t n = v->n_heads < MAX_PANELS ? v->n_heads : MAX_PANELS;
    char title[NAME + 64];
    const heat map = {title, n, rows->n_tokens, columns->n_tokens, names, rows->labels, columns->labels, v->values, n};
    snprintf(title, sizeof title, "Layer %zu: attention of each %s (columns)", layer,
             rows == columns ? "token (row) to the others" : "word written (row) to the source");
    return show_map(&map, v->name);
}

/* The units that are shown get true in picked [h->width]: those of --only, or those whose state varies most over the
   text without changing at every word: they hold something. Returns their number, 0 after an error message. */
static size_t pick_units(const view *h, size_t n_words, bool *picked)
{
    size_t n = 0;
    for (const char *at = asked_units; at != NULL;) {
        char number[16];
        size_t size = strcspn(at, ",");
        uint64_t unit = 0;
        snprintf(number, sizeof number, "%.*s", (int)(size < 15 ? size : 15), at);
        if (!number_whole(number, &unit) || unit == 0 || unit > h->width) {
            console_complain("--only lists units from 1 to %zu with commas between them, found '%s'", h->width, number);
            return 0;
        }
        n += !picked[unit - 1];
        picked[unit - 1] = true;
        at = at[size] == ',' ? at + size + 1 : NULL;
    }
    while (asked_units == NULL && n < n_units && n < h->width) {
        double most = -1;
        size_t best = 0;
        for (size_t i = 0; i < h->width; i++) {
            double mean = 0, varies = 0, jumps = 0;
            for (size_t t = 0; t < n_words; t++)
                mean += (double)h->values[t * h->width + i] / (double)n_words;
            for (size_t t = 0; t < n_words; t++) {
                const float *x = h->values + t * h->width + i;
                varies += ((double)*x - mean) * ((double)*x - mean);
                jumps += t > 0 ? ((double)*x - (double)x[-(ptrdiff_t)h->width]) *
                                     ((double)*x - (double)x[-(ptrdiff_t)h->width])
                               : 0;
            }
            varies -= jumps / 2; /* which leaves nothing of a unit that jumps at random */
            if (!picked[i] && varies > most) {
                most = varies;
                best = i;
            }
        }
        picked[best] = true;
        n++;
    }
    return n;
}

/* Part `block` of the rows of a view, for each unit. */
typedef struct unit_panel {
    const view *from;
    size_t block;
    const char *title;
} unit_panel;

/* What there is to show of a recurrent layer or a layer of an MLP; the state h is the last. *n_gates come first. */
static size_t panels_of(const view *h, const view *c, const view *gates, unit_panel panels[5], size_t *n_gates)
{
    const unit_panel lstm[] = {{gates, 1, "f: kept"},
                               {gates, 0, "i: taken in"},
                               {gates, 3, "o: shown"},
                               {c, 0, "tanh(c): memory"},
                               {h, 0, "h: state"}},
                     gru[] = {{gates, 1, "z: kept"},
                              {gates, 0, "r: looked at"},
                              {gates, 2, "n: new"},
                              {h, 0, "h: state"}},
                     alone[] = {{h, 0, "h"}};
    const unit_panel *from = c != NULL ? lstm : gates != NULL ? gru : alone;
    const size_t n = c != NULL ? 5 : gates != NULL ? 4 : 1;
    *n_gates = c != NULL ? 3 : gates != NULL ? 2 : 0;
    memcpy(panels, from, n * sizeof *panels);
    return n;
}

/* Shows gates and state of some units of a layer. */
static bool show_units(const page *words, const traces *s, size_t layer)
{
    const view *h = find_view(s, "rnn.l%zu.h", layer), *c = find_view(s, "rnn.l%zu.c", layer),
               *gates = find_view(s, "rnn.l%zu.gates", layer);
    const bool is_mlp = h == NULL;
    h = is_mlp ? find_view(s, "mlp.layers.%zu.out", layer) : h;
    unit_panel panels[5];
    size_t n_gates, n_panels = panels_of(h, c, gates, panels, &n_gates), n_words = words->n_tokens;
    char title[NAME + 64], name[NAME], labels[MAX_UNITS][LABEL];
    const char *titles[5], *rows[MAX_UNITS];
    bool *picked = console_memory(h->width, sizeof *picked);
    const size_t n = picked != NULL ? pick_units(h, n_words, picked) : 0;
    float *values = n > 0 ? console_memory(n_panels * n * n_words, sizeof *values) : NULL, *value = values, largest = 1;
    for (size_t i = 0; i < n_words * h->width; i++)
        largest = fabsf(h->values[i]) > largest ? fabsf(h->values[i]) : largest;
    for (size_t p = 0; values != NULL && p < n_panels; p++) {
        titles[p] = panels[p].title;
        for (size_t unit = 0, row = 0; unit < h->width; unit++) {
            if (!picked[unit])
                continue;
            rows[row] = labels[row];
            snprintf(labels[row++], LABEL, "unit %zu", unit + 1);
            for (size_t t = 0; t < n_words; t++) {
                float x = panels[p].from->values[t * panels[p].from->width + panels[p].block * h->width + unit];
                *value++ = panels[p].from == c ? tanhf(x) : panels[p].from == h ? x / largest : x;
            }
        }
    }
    const heat map = {title, n_panels, n, n_words, titles, rows, words->labels, values, n_gates};
    snprintf(title, sizeof title, "Layer %zu: %s of %zu of %zu units at each word", layer + 1,
             is_mlp        ? "the output"
             : n_gates > 0 ? "gates and state"
                           : "the state",
             n, h->width);
    snprintf(name, sizeof name, is_mlp ? "mlp.%zu" : "rnn.l%zu", layer);
    bool done = values != NULL && show_map(&map, name);
    if (done && largest > 1)
        printf("  h is shown as a share of %.3g, the largest there is\n", (double)largest);
    if (done && asked_units == NULL && n < h->width) {
        fputs("  ", stdout);
        console_wrap("These units hold something for longest. To see the same ones over another text:", 2);
        fputs("  --only ", stdout);
        for (size_t unit = 0, row = 0; unit < h->width; unit++)
            if (picked[unit])
                printf("%s%zu", row++ > 0 ? "," : "", unit + 1);
        puts("\n");
    }
    free(values);
    free(picked);
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
    char piece[STEP_WORD + 1];
    size_t column = (size_t)printf("%s", what);
    for (size_t i = 0; i < p->n_tokens; i++) {
        snprintf(piece, sizeof piece, " %s", p->labels[i]);
        column = step_piece(piece, column);
    }
    putchar('\n');
}

/* Shows the attention of all layers, or where there is none their units. */
static bool show_all(const page *rows, const page *columns, const traces *s)
{
    size_t n = 0, n_layers = 0;
    bool done = true;
    for (size_t i = 0; i < s->n_views; i++)
        n_layers += ends_with(s->views[i].name, s->attention);
    const bool attends = n_layers > 0;
    while (!attends &&
           (find_view(s, "rnn.l%zu.h", n_layers) != NULL || find_view(s, "mlp.layers.%zu.out", n_layers) != NULL))
        n_layers++;
    if (asked_layer > n_layers)
        return console_complain("there are %zu layers to show, not %llu", n_layers, (unsigned long long)asked_layer);
    if (attends && (asked_units != NULL || n_units != USUAL_UNITS))
        console_note("(attention has heads and no units, so --units and --only have no effect)");
    for (size_t i = 0; done && attends && i < s->n_views; i++)
        if (ends_with(s->views[i].name, s->attention) && (++n == asked_layer || asked_layer == 0))
            done = show_attention(rows, columns, &s->views[i], n);
    for (size_t i = 0; done && !attends && i < n_layers; i++)
        if (asked_layer == 0 || asked_layer == i + 1)
            done = show_units(rows, s, i);
    return done;
}

/* The tokens of the text, and of an encoder-decoder those of its answer. */
static bool read_text(const language_model *lm, input *in)
{
    const char *text = line.arguments[1], *pair = line.arguments[2];
    const ink_encode_input encoded = {.text = text,
                                      .size = strlen(text),
                                      .pair = pair,
                                      .pair_size = pair != NULL ? strlen(pair) : 0,
                                      .flags = INK_ENCODE_DEFAULT};
    const ink_encoder_decoder_info *reader = ink_model_get_encoder_decoder(lm->model);
    if (pair != NULL && ink_model_get_encoder(lm->model) == NULL)
        return console_complain("a %s reads one text; only encoders read two", lm->info->kind);
    if (pair == NULL && ink_model_get_encoder(lm->model) != NULL &&
        ink_model_get_encoder(lm->model)->task == INK_TASK_ANSWER)
        return console_complain("the second text is missing: this %s reads a question and the text with its answer",
                                lm->info->kind);
    if (reader != NULL && reader->source_vocab_size == 0)
        return console_complain("a %s reads no text: its source is the output of an encoder", lm->info->kind);
    if (!(lm_has_types(lm) || reader != NULL || pair != NULL
              ? lm_encode_input(lm, &encoded, &in->tokens, lm_has_types(lm) ? &in->types : NULL, NULL, &in->n)
              : lm_prompt(lm, text, false, &in->tokens, &in->n)))
        return false;
    if (in->n > MAX_TOKENS && !values_only && !step_only && asked_token == 0)
        return console_complain("the text has %zu tokens; up to %d can be shown in a map, any number with --step",
                                in->n, MAX_TOKENS);
    return reader == NULL ||
           (console_ok(lm->ctx, ink_tokenizer_open_target(lm->ctx, lm->folder, &in->target)) && write_answer(lm, in));
}

/* All tokens, in maps or as a list of values. `rows` are the words of the rows of attention, `columns` those of the
   columns. */
static bool show_text(const language_model *lm, const input *in, const page *rows, const page *columns, traces *s)
{
    const bool has_source = in->encoded != NULL;
    s->n_tokens = has_source ? in->n_written : in->n;
    s->n_source = has_source ? in->n : 0;
    s->attention = has_source && strcmp(lm->info->kind, "seq2seq") != 0 ? ".cross.weights" : "attn.weights";
    if (!run_traced(lm, in, s))
        return false;
    if (!values_only && s->n_views == 0 && (svg_folder != NULL || asked_layer > 0))
        console_note("(a %s has no map to draw, so --svg and --layer have no effect)", lm->info->kind);
    if (!values_only && s->n_views > 0)
        return show_all(rows, columns, s);
    show_values(s);
    return true;
}

static bool lookinside(ink_context *ctx)
{
    language_model lm = {0};
    input in = {0};
    page columns = {0}, answer = {0};
    traces *s = console_memory(1, sizeof *s);
    bool done = s != NULL && console_takes_pictures(svg_folder) && lm_open_any(&lm, ctx, line.arguments[0]) &&
                read_text(&lm, &in);
    const bool has_source = in.encoded != NULL;
    const step_text text = {.tokens = has_source ? in.written : in.tokens,
                            .types = in.types,
                            .n = has_source ? in.n_written : in.n,
                            .encoded = in.encoded,
                            .source = in.tokens,
                            .n_source = in.n,
                            .target = in.target};
    if (done && asked_token > text.n)
        done = console_complain("--at %llu: there are %zu %s", (unsigned long long)asked_token, text.n,
                                has_source ? "words in the answer" : "tokens in the text");
    done = done && make_labels(&columns, lm.tokenizer, in.tokens, in.n) &&
           (!has_source || make_labels(&answer, in.target, in.written + 1, in.n_written));
    if (done) {
        if (has_source) {
            show_words("source:", &columns);
            show_words("answer:", &answer);
            putchar('\n');
        }
        const bool chooses_units = asked_units != NULL || n_units != USUAL_UNITS, steps = step_only || asked_token > 0;
        if (steps && (values_only || chooses_units || svg_folder != NULL))
            console_note("(--step shows one token, so --values, --units, --only and --svg have no effect)");
        if (steps)
            done = step_show(&lm, &text, asked_token > 0 ? asked_token - 1 : step_usual(&lm, &text), asked_layer);
        else
            done = show_text(&lm, &in, has_source ? &answer : &columns, &columns, s);
    }
    for (size_t i = 0; s != NULL && i < s->n_views; i++)
        free(s->views[i].values);
    free(s);
    free_labels(&columns);
    free_labels(&answer);
    ink_tokenizer_free(in.target);
    ink_encoded_free(in.encoded);
    free(in.tokens);
    free(in.types);
    lm_close(&lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, lookinside); }
