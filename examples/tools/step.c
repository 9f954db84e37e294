/*
 * step.c - one token on its way through a network.
 *
 * The library calls keep_row() with every value that it computes, by name (inkling/model.h). Afterwards one function
 * for each kind of network walks through them in the order of the computation and says what each of them is:
 * walk_window() for an MLP, walk_layer() for RNN, GRU and LSTM, walk_block() for Transformers. They read like the
 * pages:
 *
 *     x = E w + P t                                        [128]     the formula, and the shape
 *         -0.230 -0.019 -0.165 ... from -0.697 to 0.793              the first numbers
 *         pages/transformer.c:forward  models/run.c:run_transformer  where to read on
 */
#include "step.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "pooling.h"
#include "step_lines.h"
#include "system.h"

/* Where to read on: a page, then the library. */
#define CELL(step) "pages/plain.c:" step " layers/recurrent.c:recurrent_cell"
#define BLOCK "pages/plain.c:block_step layers/transformer.c:"
#define ATTENTION "pages/plain.c:attention layers/attention.c:"

enum { MAX_VALUES = 4096, N_BEST = 5, N_LOOKS = 3, MAX_HEADS = 8, FEW_LAYERS = 4 };

/* What the library computed under one name. */
typedef struct value {
    char name[NAME];
    size_t n_heads, width; /* width of a row; attention has a row for each head */
    size_t n_rows;         /* of the last run */
    float *row;            /* [n_heads, width] that of the token */
    float *before;         /* the same of the token before; NULL: none */
    size_t turn;           /* the number of the run it is from */
} value;

typedef struct step {
    const language_model *lm;
    const step_text *text;
    size_t at, layer;
    size_t row;     /* of the token in this run */
    bool last_rows; /* a source is encoded: the last rows count */
    bool in_source; /* the walk is in the encoder of an encoder-decoder */
    size_t turn;
    value *values; /* [n_values], MAX_VALUES of them at most */
    size_t n_values;
    bool full;
    char scope[NAME]; /* names begin with it: "h.2." in block 2 */
    char *settings;   /* config.json; NULL: there is none */
    float *rows;      /* [n, hidden_size] that leave an encoder which makes one result of a text; NULL: it does not */
} step;

/* ---- what the library computes ---------------------------------------------------------------------------------- */

/* The value of this name in the scope, NULL if the network has none. */
static value *find(const step *s, const char *name)
{
    const size_t size = strlen(s->scope);
    for (size_t i = 0; i < s->n_values; i++)
        if (strncmp(s->values[i].name, s->scope, size) == 0 && strcmp(s->values[i].name + size, name) == 0)
            return &s->values[i];
    return NULL;
}

static void enter(step *s, const char *format, size_t i) { snprintf(s->scope, sizeof s->scope, format, i); }
static void leave(step *s) { *s->scope = '\0'; }
static void enter_block(step *s, size_t i) { enter(s, s->in_source ? "encoder.h.%zu." : "h.%zu.", i); }

/* The blocks of a Transformer, or of the encoder in front of it. */
static size_t count_blocks(step *s)
{
    size_t n = 0;
    for (enter_block(s, n); find(s, "out") != NULL; enter_block(s, n))
        n++;
    leave(s);
    return n;
}

/* Keeps the row of the token: of [rows, width], and of attention [heads, rows, positions]. Many rows come in several
   calls. A head that reads one row of a text has no others. */
static void keep_row(void *user, const char *name, const ink_tensor *traced)
{
    step *s = user;
    const size_t *dim = traced->shape.dim;
    const bool is_attention = traced->shape.rank == 3;
    const size_t n_heads = is_attention ? dim[0] : 1, rows = dim[is_attention], width = dim[is_attention + 1];
    value *v = find(s, name);
    if (v == NULL && (s->n_values == MAX_VALUES || strlen(name) >= NAME)) {
        s->full = true;
        return;
    }
    if (v == NULL) {
        v = &s->values[s->n_values++];
        memcpy(v->name, name, strlen(name) + 1);
    }
    if (v->turn != s->turn || s->last_rows) { /* the first call of this run, or each for a word of a source */
        free(v->before);
        v->before = v->row;
        v->row = NULL;
    }
    if (v->turn != s->turn)
        v->n_rows = 0;
    v->turn = s->turn;
    const bool alone = rows == 1 && v->n_rows == 0;
    const size_t first = v->n_rows, row = s->last_rows ? rows - 1 : alone ? 0 : s->row - first;
    v->n_rows += rows;
    if (!s->last_rows && !alone && (s->row < first || row >= rows))
        return;
    free(v->row);
    v->n_heads = n_heads;
    v->width = width;
    v->row = malloc(n_heads * width * sizeof *v->row);
    s->full |= v->row == NULL;
    for (size_t head = 0; v->row != NULL && head < n_heads; head++)
        memcpy(v->row + head * width, (const float *)traced->data + (head * rows + row) * width,
               width * sizeof *v->row);
}

/* What config.json says of a key, if it is a word, a number, true or false; else `missing`. A GGUF file has none. This
   takes the first place in the file where the key stands in quotes, also one inside of another object, and knows no
   escapes. It is good enough for what is printed beside a number; the numbers are the library's. */
static const char *setting(const step *s, const char *key, const char *missing, char room[NAME])
{
    char quoted[NAME];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *at = s->settings != NULL ? strstr(s->settings, quoted) : NULL;
    if (at == NULL)
        return missing;
    at += strlen(quoted);
    at += strspn(at, " \n\t:\"");
    snprintf(room, NAME, "%.*s", (int)strcspn(at, "\",}\n "), at);
    return *room != '\0' && *room != '[' && *room != '{' && strcmp(room, "null") != 0 ? room : missing;
}

static bool is_set(const step *s, const char *key, bool usual)
{
    char room[NAME];
    return strcmp(setting(s, key, usual ? "true" : "false", room), "true") == 0;
}

/* True if the model's kind is one of the words in the list. */
static bool is_kind(const step *s, const char *list)
{
    const char *kind = s->lm->info->kind, *at = list;
    const size_t size = strlen(kind);
    while ((at = strstr(at, kind)) != NULL && ((at > list && at[-1] != ' ') || (at[size] != ' ' && at[size] != '\0')))
        at += size;
    return at != NULL;
}

#define LLAMAS "llama mistral qwen2 qwen3 smollm3 gemma3_text"
#define T5S "t5 mt5 umt5"

/* ---- showing ---------------------------------------------------------------------------------------------------- */

const char *step_word(const ink_tokenizer *tokenizer, ink_token token, char room[STEP_WORD])
{
    char text[STEP_WORD];
    size_t size = 0;
    if (tokenizer == NULL) {
        snprintf(room, STEP_WORD, "%d", (int)token);
        return room;
    }
    const char *bytes = ink_tokenizer_token(tokenizer, token, &size);
    bool space = size > 1 && bytes[0] == ' ';
    snprintf(text, sizeof text, "%.*s", (int)(size - space), bytes != NULL ? bytes + space : "?");
    return console_harmless(room, STEP_WORD, text);
}

/* Numbers first .. first + n - 1 of a value, with the formula that gave them; nothing if the network has no such value.
   An n of 0 means all of them. */
static void show_part(step *s, const char *name, size_t first, size_t n, const char *shape, const char *places,
                      const char *format, ...) CONSOLE_FORMAT(7, 8);
static void show_part(step *s, const char *name, size_t first, size_t n, const char *shape, const char *places,
                      const char *format, ...)
{
    char formula[FORMULA];
    const value *v = find(s, name);
    va_list list;
    if (v == NULL || v->row == NULL || first + n > v->n_heads * v->width)
        return;
    va_start(list, format);
    vsnprintf(formula, sizeof formula, format, list);
    va_end(list);
    step_row(formula, shape, v->row + first, n > 0 ? n : v->n_heads * v->width, places);
}

static size_t width_of(const step *s, const char *name)
{
    const value *v = find(s, name);
    return v != NULL ? v->n_heads * v->width : 0;
}

/* All of a value. */
static void show(step *s, const char *name, const char *formula, const char *places)
{
    show_part(s, name, 0, 0, "", places, "%s", formula);
}

/* x + u, computed here of two values that were shown, to sum [size]. */
static void show_sum(const float *x, const value *u, float *sum, const char *places)
{
    for (size_t i = 0; i < u->width; i++)
        sum[i] = x[i] + u->row[i];
    step_row("x = x + u", "", sum, u->width, places);
}

/* Which words get most of the attention: three for each head. */
static void show_looks(step *s, const char *name, const char *formula, const char *places, bool at_source)
{
    char shape[NAME], room[STEP_WORD];
    value *v = find(s, name);
    if (v == NULL || v->row == NULL)
        return;
    snprintf(shape, sizeof shape, "heads %zu, words %zu", v->n_heads, v->width);
    step_formula(formula, shape);
    const ink_token *tokens = at_source ? s->text->source : s->text->tokens;
    const size_t n_words = at_source ? s->text->n_source : s->text->n;
    const ink_tokenizer *tokenizer = at_source || s->text->target == NULL ? s->lm->tokenizer : s->text->target;
    for (size_t head = 0; head < v->n_heads && head < MAX_HEADS; head++) {
        const float *a = v->row + head * v->width;
        size_t best[N_LOOKS], n_looks = 0, column = (size_t)printf("%6shead %zu:", "", head + 1);
        while (n_looks < N_LOOKS) {
            const size_t last = n_looks > 0 ? best[n_looks - 1] : SIZE_MAX;
            size_t next = SIZE_MAX; /* the largest below the last one */
            for (size_t i = 0; i < v->width; i++) {
                bool below = last == SIZE_MAX || a[i] < a[last] || (a[i] == a[last] && i > last);
                if (below && (next == SIZE_MAX || a[i] > a[next]))
                    next = i;
            }
            if (next == SIZE_MAX || next >= n_words)
                break;
            best[n_looks++] = next;
        }
        for (size_t k = 0; k < n_looks; k++) {
            char look[STEP_WORD + NAME];
            snprintf(look, sizeof look, " \"%s\" (word %zu) %.2f%s", step_word(tokenizer, tokens[best[k]], room),
                     best[k] + 1, (double)a[best[k]], k + 1 < n_looks ? "," : "");
            column = step_piece(look, column);
        }
        putchar('\n');
    }
    if (v->n_heads > MAX_HEADS)
        printf("%6s... and %zu heads more\n", "", v->n_heads - MAX_HEADS);
    step_places(places);
}

/* True if layer i of n is to be shown: the one asked for, or else all of a few, or the first and the last of many. */
static bool shows_layer(const step *s, size_t i, size_t n)
{
    if (s->layer == 0 && n > FEW_LAYERS && i == 1)
        step_heading("The layers 2 to %zu do the same with weights of their own; --layer N shows one.", n - 1);
    return s->layer == 0 ? n <= FEW_LAYERS || i == 0 || i + 1 == n : s->layer == i + 1;
}

/* ---- the MLP ---------------------------------------------------------------------------------------------------- */

static void walk_window(step *s)
{
    char room[STEP_WORD], act[NAME], name[NAME], piece[2 * NAME];
    const size_t window = s->lm->info->window_size, n = width_of(s, "embedding");
    const char *bends = setting(s, "hidden_act", "tanh", act);
    step_heading("The window");
    const size_t missing = s->at + 1 < window ? window - s->at - 1 : 0;
    size_t column = (size_t)printf("  the last %zu words:", window);
    snprintf(piece, sizeof piece, " (%zu times %s)", missing,
             step_word(s->lm->tokenizer, s->lm->info->bos_token, room));
    if (missing > 0)
        column = step_piece(piece, column);
    for (size_t i = s->at + 1 + missing - window; i <= s->at; i++) {
        snprintf(piece, sizeof piece, " %s", step_word(s->lm->tokenizer, s->text->tokens[i], room));
        column = step_piece(piece, column);
    }
    putchar('\n');
    snprintf(name, sizeof name, "words %zu, %zu", window, n / window);
    show_part(s, "embedding", 0, n, name, "pages/mlp.c:forward models/run.c:run_window",
              "x = [E w_1, E w_2, ..., E w_%zu]", window);
    for (size_t i = 0; i < s->lm->info->n_layers; i++) {
        snprintf(name, sizeof name, "mlp.layers.%zu.out", i);
        if (shows_layer(s, i, s->lm->info->n_layers))
            show_part(s, name, 0, 0, "",
                      strcmp(bends, "tanh") == 0
                          ? "pages/plain.c:tanh_layer pages/mlp.c:forward layers/dense.c:ink_mlp_run"
                          : "pages/plain.c:dense pages/mlp.c:forward layers/dense.c:ink_mlp_run",
                      i == 0 ? "h = %s(H x + d)" : "h = %s(H h + d)", bends);
    }
}

/* ---- recurrent networks ----------------------------------------------------------------------------------------- */

/* What the cell in the scope makes of x, and of h and c of the step before, which are 0 if h is NULL. */
static void walk_cell(step *s, const float *h, const float *c, const char *h_formula, const char *c_formula)
{
    char word[NAME];
    const size_t size = width_of(s, "h"), n_gates = width_of(s, "gates") / size;
    const bool is_lstm = find(s, "c") != NULL;
    if (h != NULL)
        step_row(h_formula, "", h, size, "");
    else
        puts(is_lstm ? "  h and c, before the first word, are 0" : "  h, before the first word, is 0");
    if (is_lstm) {
        if (h != NULL)
            step_row(c_formula, "", c, size, "");
        show_part(s, "gates", 0, size, "", CELL("lstm_step"), "i = sigma(W_i x + U_i h + b_i)");
        show_part(s, "gates", size, size, "", CELL("lstm_step"), "f = sigma(W_f x + U_f h + b_f)");
        show_part(s, "gates", 2 * size, size, "", CELL("lstm_step"), "g = tanh(W_g x + U_g h + b_g)");
        show_part(s, "gates", 3 * size, size, "", CELL("lstm_step"), "o = sigma(W_o x + U_o h + b_o)");
        show(s, "c", "c' = f * c + i * g", CELL("lstm_step"));
        show(s, "h", "h' = o * tanh(c')", CELL("lstm_step"));
    } else if (n_gates == 3) {
        const bool after = strcmp(setting(s, "reset_after", "true", word), "true") == 0;
        show_part(s, "gates", 0, size, "", CELL("gru_step"), "r = sigma(W_r x + b_r + U_r h + c_r)");
        show_part(s, "gates", size, size, "", CELL("gru_step"), "z = sigma(W_z x + b_z + U_z h + c_z)");
        show_part(s, "gates", 2 * size, size, "", CELL("gru_step"),
                  after ? "n = tanh(W_n x + b_n + r * (U_n h + c_n))" : "n = tanh(W_n x + b_n + U_n (r * h) + c_n)");
        show(s, "h", "h' = (1 - z) * n + z * h", CELL("gru_step"));
    } else {
        show_part(s, "h", 0, size, "", CELL("rnn_step"), "h' = %s(W x + b + U h + c)",
                  setting(s, "nonlinearity", "tanh", word));
    }
}

/* A step of layer i, behind the word before, behind what the source left, or behind nothing. */
static void walk_layer(step *s, size_t i, const char *input)
{
    static const char h_so_far[] = "h, the state so far", c_so_far[] = "c, the memory so far";
    const value *first = find(s, "first_state");
    step_heading("Layer %zu%s", i + 1, input);
    enter(s, "rnn.l%zu.", i);
    const value *state = find(s, "h"), *memory = find(s, "c");
    if (s->at > 0)
        walk_cell(s, state->before, memory != NULL ? memory->before : NULL, h_so_far, c_so_far);
    else if (first != NULL)
        walk_cell(s, first->row + i * state->width, first->row + (s->lm->info->n_layers + i) * state->width, "h = d_0",
                  "c = c_0");
    else
        walk_cell(s, NULL, NULL, "", "");
    leave(s);
}

/* The last step of each layer and direction of a recurrent encoder. */
static void walk_recurrent_source(step *s)
{
    char shape[NAME];
    snprintf(shape, sizeof shape, "words %zu, %zu", s->text->n_source, width_of(s, "encoder.embedding"));
    step_heading("The source, read by the encoder");
    show_part(s, "encoder.embedding", 0, 0, shape, "pages/rnn.c:forward layers/embedding.c:ink_embedding_run",
              "x_s = E w_s, here of the last word");
    size_t n = 0;
    for (enter(s, "encoder.rnn.l%zu.", n); find(s, "h") != NULL; enter(s, "encoder.rnn.l%zu.", n))
        n++;
    for (size_t i = 0; i < n; i++) {
        if (!shows_layer(s, i, n))
            continue;
        for (int backwards = 0; backwards < 2; backwards++) {
            enter(s, backwards ? "encoder.rnn.l%zu_reverse." : "encoder.rnn.l%zu.", i);
            const value *h = find(s, "h"), *c = find(s, "c");
            if (h == NULL)
                continue;
            step_heading("Layer %zu of the encoder, %s: x is %s", i + 1,
                         backwards ? "backwards, here at the first word" : "here at the last word",
                         i == 0 ? "x_s" : "the states below");
            walk_cell(s, h->before, c != NULL ? c->before : NULL, "h, the state so far", "c, the memory so far");
        }
    }
    leave(s);
    puts("  h_s: the state h' of word s, in each direction");
}

static void walk_recurrent(step *s)
{
    const bool reads = s->text->encoded != NULL;
    if (reads)
        walk_recurrent_source(s);
    step_heading(reads ? "The decoder" : "The word");
    show(s, "first_state", "d_0 = s(B h' + b), h': the last states of the encoder",
         "models/encoder_decoder.c:cross_bridge");
    show(s, "embedding", reads ? "y = E w" : "x = E w", "pages/rnn.c:forward layers/embedding.c:ink_embedding_run");
    show_looks(s, "attn.weights", "a = softmax(v . tanh(W h + U h_s)), h: the state so far",
               "layers/additive.c:additive_task", true);
    const bool attends = find(s, "attn.weights") != NULL, has_context = find(s, "context") != NULL;
    show(s, "context", attends ? "c_t = sum over s of a_s h_s" : "c_t = h', the last states of the encoder",
         attends ? "layers/additive.c:additive_task" : "models/run.c:run_recurrent");
    for (size_t i = 0; i < s->lm->info->n_layers; i++)
        if (shows_layer(s, i, s->lm->info->n_layers))
            walk_layer(s, i,
                       i > 0         ? ": x is the state below"
                       : has_context ? ": x is y with c_t beside it"
                       : reads       ? ": x is y"
                                     : "");
}

/* ---- Transformers ----------------------------------------------------------------------------------------------- */

/* E w of each word, and what says where it stands. */
static void show_embedding(step *s)
{
    const bool is_root = is_kind(s, "gemma3_text") || (is_kind(s, "bart mbart blenderbot marian m2m_100 pegasus") &&
                                                       is_set(s, "scale_embedding", is_kind(s, "m2m_100")));
    const char *root = is_root ? "sqrt(d) " : "";
    const char *format = is_kind(s, "gpt2 blenderbot whisper")              ? "x = %sE w + P t"
                         : is_kind(s, "distilbert mpnet bart mbart")        ? "x = norm(%sE w + P t)"
                         : is_kind(s, "bert roberta xlm-roberta camembert") ? "x = norm(%sE w + P t + T), T: first or "
                                                                              "second text"
                         : is_kind(s, "modernbert")                         ? "x = norm(%sE w)"
                         : is_kind(s, "marian m2m_100 pegasus")             ? "x = %sE w + (sines and cosines of t)"
                                                                            : "x = %sE w";
    char formula[FORMULA];
    snprintf(formula, sizeof formula, format, root);
    show(s, "embedding", formula, "pages/transformer.c:forward models/run.c:run_transformer");
}

static const char *norm_formula(const step *s)
{
    return is_kind(s, LLAMAS " " T5S) ? "x / sqrt(mean of x^2 + eps) * weight"
                                      : "(x - mean) / sqrt(variance + eps) * weight + bias";
}

static void show_norm(step *s, const char *norm, const char *result, const char *of)
{
    show_part(s, norm, 0, 0, "",
              is_kind(s, LLAMAS " " T5S) ? "layers/norm.c:ink_norm_run"
                                         : "pages/plain.c:layer_norm layers/norm.c:ink_norm_run",
              "%s = norm(%s) = %s", result, of, norm_formula(s));
}

/* What the decoder's own words give: queries, keys and values of `in`, head by head. */
static void walk_projections(step *s, const char *in, size_t width, size_t n_heads)
{
    static const char places[] = BLOCK "ink_block_attend",
                      rotate[] = "layers/transformer.c:prepare_heads layers/rope.c:ink_angles_rotate";
    const size_t kv_width = (width_of(s, "attn.qkv") - width) / 2, size = width / n_heads;
    const char *kept = ink_model_get_encoder(s->lm->model) == NULL && !s->in_source ? ", kept for later words" : "";
    const char *turned =
        is_kind(s, "qwen3 gemma3_text") ? "norm of each head, turned by the position" : "turned by the position";
    char shape[NAME], kv_shape[NAME];
    snprintf(shape, sizeof shape, "heads %zu, %zu", n_heads, size);
    snprintf(kv_shape, sizeof kv_shape, "heads %zu, %zu", kv_width / size, size);
    show_part(s, "attn.qkv", 0, width, shape, places, "q = W_q %s + b_q", in);
    show_part(s, "attn.qkv", width, kv_width, kv_shape, places, "k = W_k %s + b_k%s", in, kept);
    show_part(s, "attn.qkv", width + kv_width, kv_width, kv_shape, places, "v = W_v %s + b_v%s", in, kept);
    show_part(s, "attn.prepared", 0, width, shape, rotate, "q: %s", turned);
    show_part(s, "attn.prepared", width, kv_width, kv_shape, rotate, "k: %s", turned);
}

/* In a decoder that attends to a source: a query of `in`, the keys and values of all rows s of the source. */
static void walk_source_projections(step *s, const char *in, size_t n_heads)
{
    static const char places[] = "layers/transformer.c:ink_stack_append_sources";
    const value *kv = find(s, "cross.kv");
    const size_t width = width_of(s, "cross.q");
    char shape[NAME];
    snprintf(shape, sizeof shape, "heads %zu, %zu", n_heads, width / n_heads);
    show_part(s, "cross.q", 0, width, shape, BLOCK "attend_to_sources", "q = W_q %s + b_q", in);
    snprintf(shape, sizeof shape, "words %zu, %zu", kv != NULL ? kv->n_rows : 0, width_of(s, "cross.kv") / 2);
    show_part(s, "cross.kv", 0, width_of(s, "cross.kv") / 2, shape, places, "k = W_k s + b_k, here of the last word");
    show_part(s, "cross.kv", width_of(s, "cross.kv") / 2, width_of(s, "cross.kv") / 2, shape, places,
              "v = W_v s + b_v, here of the last word");
}

/* Attention to the words so far, or to a source. It ends in u, which is to be added to x. */
static void walk_attention(step *s, const char *in, bool cross)
{
    const value *scores = find(s, cross ? "cross.scores" : "attn.scores");
    const char *heads = cross ? "cross.heads" : "attn.heads";
    const size_t width = width_of(s, heads), n_heads = scores->n_heads;
    char shape[NAME];
    if (cross)
        walk_source_projections(s, in, n_heads);
    else
        walk_projections(s, in, width, n_heads);
    snprintf(shape, sizeof shape, "heads %zu, words %zu", n_heads, scores->width);
    show_part(s, cross ? "cross.scores" : "attn.scores", 0, n_heads * scores->width, shape,
              ATTENTION "attention_scores", "e_t = q . k_t for each word t that it sees");
    show_looks(s, cross ? "cross.weights" : "attn.weights",
               is_kind(s, T5S " mpnet") && !cross ? "a = softmax(scale e + bias of the distance)"
               : is_kind(s, T5S)                  ? "a = softmax(e)"
               : is_kind(s, "gemma3_text")        ? "a = softmax(scale e)"
                                                  : "a = softmax(e / sqrt(d)), d: the size of a head",
               ATTENTION "attention_weights", cross || s->in_source);
    snprintf(shape, sizeof shape, "heads %zu, %zu", n_heads, width / n_heads);
    show_part(s, heads, 0, width, shape, ATTENTION "attention_sums", "u = sum over t of a_t v_t, head beside head");
    show(s, cross ? "cross.out" : "attn.out", "u = W_o u + b_o",
         cross ? BLOCK "attend_to_sources" : BLOCK "ink_block_attend");
}

/* The function of an MLP by the name that config.json has for it. T5 has "relu" or "gated-gelu", which means gelu_new,
   and newer files name the function beside it. A GGUF file does not name it: it is that of its kind. "s" if nobody
   says. */
static const char *bend_of(const step *s, bool *gated, char room[NAME])
{
    static const char *const keys[] = {"activation_function", "hidden_activation", "hidden_act", "activation"};
    const char *name = "s";
    *gated = is_kind(s, LLAMAS " modernbert");
    if (is_kind(s, T5S)) {
        name = setting(s, "feed_forward_proj", is_kind(s, "t5") ? "relu" : "gated-gelu", room);
        *gated = is_set(s, "is_gated_act", strncmp(name, "gated-", 6) == 0);
        name = strcmp(name, "gated-gelu") == 0 ? "gelu_new" : name + (strncmp(name, "gated-", 6) == 0 ? 6 : 0);
        return setting(s, "dense_act_fn", NULL, room) != NULL ? room : name;
    }
    for (size_t k = 0; k < sizeof keys / sizeof *keys && strcmp(name, "s") == 0; k++)
        name = setting(s, keys[k], "s", room);
    if (s->settings == NULL)
        name = is_kind(s, "gpt2 gemma3_text") ? "gelu_new" : is_kind(s, LLAMAS) ? "silu" : "gelu";
    return name;
}

/* Block i of n, which x [size] goes into; sum [size] is room. A GPT has its norms in front of attention and MLP, a BERT
   behind the sums: the order in which the library computed them tells. Returns what comes out. */
static const float *walk_block(step *s, size_t i, size_t n, const float *x, float *sum)
{
    char room[NAME];
    bool gated;
    enter_block(s, i);
    const char *block = s->in_source ? "Encoder block" : "Block", *bend = bend_of(s, &gated, room);
    const bool before = find(s, "norm_2") < find(s, "mlp.up");
    step_heading("%s %zu of %zu: attention", block, i + 1, n);
    if (before)
        show_norm(s, "norm_1", "y", "x");
    walk_attention(s, before && find(s, "norm_1") != NULL ? "y" : "x", false);
    show_norm(s, "out_norm_1", "u", "u");
    if (before)
        show_sum(x, find(s, find(s, "out_norm_1") != NULL ? "out_norm_1" : "attn.out"), sum, BLOCK "ink_stack_run");
    else
        show_norm(s, "norm_1", "x", "x + u");

    if (find(s, "cross.out") != NULL) {
        step_heading("%s %zu of %zu: attention to the source", block, i + 1, n);
        if (before)
            show_norm(s, "norm_cross", "y", "x");
        walk_attention(s, before ? "y" : "x", true);
        if (before)
            show_sum(sum, find(s, "cross.out"), sum, BLOCK "ink_stack_run");
        else
            show_norm(s, "norm_cross", "x", "x + u");
    }

    step_heading("%s %zu of %zu: MLP", block, i + 1, n);
    if (before)
        show_norm(s, "norm_2", "y", "x");
    show_part(s, "mlp.up", 0, width_of(s, "mlp.up") / (gated ? 2 : 1), "", BLOCK "feed_forward",
              gated ? "m = %s(W_gate %s) * (W_up %s)" : "m = %s(W_1 %s + b_1)", bend, before ? "y" : "x", "y");
    show(s, "mlp.down", gated ? "u = W_down m" : "u = W_2 m + b_2", BLOCK "feed_forward");
    show_norm(s, "out_norm_2", "u", "u");
    if (before)
        show(s, "out", "x = x + u", BLOCK "ink_stack_run");
    else
        show_norm(s, "norm_2", "x", "x + u");
    const float *out = find(s, "out")->row;
    leave(s);
    return out;
}

/* The blocks, from the embedding on. */
static bool walk_stack(step *s)
{
    const size_t n = count_blocks(s);
    enter(s, s->in_source ? "encoder." : "", 0);
    const value *embedding = find(s, "embedding");
    const float *x = embedding->row;
    show_embedding(s);
    float *sum = console_memory(embedding->width, sizeof *sum);
    for (size_t i = 0; sum != NULL && i < n; i++) {
        enter_block(s, i);
        x = shows_layer(s, i, n) ? walk_block(s, i, n, x, sum) : find(s, "out")->row;
    }
    leave(s);
    free(sum);
    return sum != NULL;
}

/* What the encoder makes of the last word of the source; its last value is the last that was computed under "encoder.".
 */
static bool walk_source(step *s)
{
    const char *last = NULL;
    char shape[NAME];
    for (size_t i = 0; i < s->n_values; i++)
        last = strncmp(s->values[i].name, "encoder.", 8) == 0 ? s->values[i].name : last;
    step_heading("The source, read by the encoder: its last word");
    s->in_source = true;
    const bool done = walk_stack(s);
    s->in_source = false;
    step_heading("What the decoder sees of the source");
    snprintf(shape, sizeof shape, "words %zu, %zu", s->text->n_source, width_of(s, last));
    show_part(s, last, 0, 0, shape, "layers/transformer.c:ink_stack_run models/encoder_decoder.c:append_rows",
              "s: the rows that leave the encoder, here of the last word");
    return done;
}

static bool walk_transformer(step *s)
{
    if (s->text->encoded != NULL && !walk_source(s))
        return false;
    step_heading(s->text->encoded != NULL ? "The decoder" : "The word");
    return walk_stack(s);
}

/* ---- what it leads to ------------------------------------------------------------------------------------------- */

/* The likeliest of n, by name. */
static void show_best(const step *s, const float *z, size_t n, size_t stride, bool sigmoid, const char *what,
                      const char *(*name)(const step *s, size_t i, char room[STEP_WORD]))
{
    double *p = console_memory(n, sizeof *p), sum = 0, largest = (double)z[0];
    char room[STEP_WORD];
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, (double)z[i * stride]);
    for (size_t i = 0; p != NULL && i < n; i++)
        sum += p[i] = exp((double)z[i * stride] - largest);
    for (size_t i = 0; p != NULL && i < n; i++)
        p[i] = sigmoid ? 1 / (1 + exp(-(double)z[i * stride])) : p[i] / sum;
    for (size_t k = 0; p != NULL && k < N_BEST && k < n; k++) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            best = p[i] > p[best] ? i : best;
        printf("%6s%s%.4f  %s\n", "", what, p[best], name(s, best, room));
        p[best] = -1;
    }
    free(p);
}

static const char *word_named(const step *s, size_t i, char room[STEP_WORD])
{
    return step_word(s->text->target != NULL ? s->text->target : s->lm->tokenizer, (ink_token)i, room);
}

static const char *word_of_text(const step *s, size_t i, char room[STEP_WORD])
{
    return step_word(s->lm->tokenizer, s->text->tokens[i], room);
}

static const char *label_named(const step *s, size_t i, char room[STEP_WORD])
{
    return console_harmless(room, STEP_WORD, ink_model_get_encoder(s->lm->model)->labels[i]);
}

/* The vector of a text: for each mode of pooling its numbers, and the formula that gives them. */
static void show_pooled(step *s)
{
    const value *v = find(s, "pooled");
    const size_t size = s->lm->info->hidden_size;
    for (size_t first = 0; v != NULL && first + size <= v->width; first += size)
        show_part(s, "pooled", first, size, "", "models/head.c:pool_rows", "%s",
                  pooling_formula(s->rows, s->text->n, size, v->row + first));
}

/* A classifier of texts and a pooler read one row: the last of a decoder, else the first, or else the mean of all. */
static void show_row_of_head(step *s, const ink_encoder_info *encoder, bool of_mean)
{
    const size_t row = encoder->has_pooled || !is_kind(s, "gpt2 " LLAMAS) ? 0 : s->text->n - 1;
    const size_t size = s->lm->info->hidden_size;
    float *v = of_mean ? console_memory(size, sizeof *v) : NULL;
    for (size_t t = 0; v != NULL && t < s->text->n; t++)
        for (size_t i = 0; i < size; i++)
            v[i] += s->rows[t * size + i] / (float)s->text->n;
    if (v != NULL)
        step_row(pooling_formula(s->rows, s->text->n, size, v), "", v, size, "models/head.c:pool_rows");
    else if (s->at != row && (encoder->has_pooled || encoder->task == INK_TASK_CLASSIFY_TEXT)) {
        char note[FORMULA];
        snprintf(note, sizeof note, "x is from here on the row of word %zu, which the head reads", row + 1);
        fputs("  ", stdout);
        console_wrap(note, 2);
    }
    free(v);
}

/* From the last row to the result. `rows` [n, width] are the results of all tokens of an encoder. */
static void walk_end(step *s, const float *rows, size_t width)
{
    static const char softmax[] = "pages/plain.c:softmax models/sampler.c:ink_sampler_pick";
    static const char product[] = "pages/plain.c:dense models/head.c:output_product";
    const ink_encoder_info *encoder = ink_model_get_encoder(s->lm->model);
    const value *logits = find(s, "logits");
    char shape[NAME], room[NAME];
    bool gated;
    step_heading("The end");
    const value *norm = find(s, "norm_f"), *pooled = find(s, "pooled"), *transform = find(s, "head.transform");
    const char *bend = encoder == NULL || encoder->task == INK_TASK_FILL ? bend_of(s, &gated, room)
                       : is_kind(s, "distilbert")                        ? "relu"
                       : is_kind(s, "modernbert")                        ? "gelu"
                                                                         : "tanh";
    if (norm != NULL && (transform == NULL || norm < transform))
        show_norm(s, "norm_f", "x", "x");
    const bool of_mean = encoder != NULL && encoder->task == INK_TASK_CLASSIFY_TEXT && is_kind(s, "modernbert") &&
                         strcmp(setting(s, "classifier_pooling", "cls", room), "mean") == 0;
    if (encoder != NULL && s->rows != NULL)
        show_row_of_head(s, encoder, of_mean);
    show_part(s, "head.transform", 0, 0, "", "pages/plain.c:dense models/head.c:run_head", "x = %s(W_t %s + b_t)", bend,
              of_mean ? "v" : "x");
    if (norm != NULL && transform != NULL && norm > transform)
        show_norm(s, "norm_f", "x", "x");
    show_pooled(s);
    if (logits == NULL) {
        if (rows != NULL && encoder != NULL) {
            const char *formula = encoder->embedding_size > 0 ? vector_formula(pooled->row, pooled->width, rows, width)
                                  : encoder->has_pooled       ? "y = x, the vector of the text"
                                                              : "y = x, the vector of this word";
            step_row(formula, "", rows + (encoder->embedding_size == 0 && !encoder->has_pooled ? s->at * width : 0),
                     width, "models/head.c:run_sentence models/head.c:run_head");
        }
        return;
    }
    const bool cell = s->lm->info->window_size == 0 && find(s, "rnn.l0.h") != NULL;
    show(s, "logits",
         cell && s->lm->info->hidden_size > width_of(s, "rnn.l0.h") ? "z = V [h, c, ...] + b, as wide as V"
         : cell || s->lm->info->window_size > 0                     ? "z = V h + b"
         : is_kind(s, "t5 umt5") && is_set(s, "scale_decoder_outputs", is_set(s, "tie_word_embeddings", true))
             ? "z = V x / sqrt(d), d: the size of x"
             : "z = V x + b",
         product);
    snprintf(shape, sizeof shape, "%zu", logits->width);
    if (encoder != NULL && encoder->task == INK_TASK_ANSWER) {
        snprintf(shape, sizeof shape, "words %zu, 2", s->text->n);
        step_formula("p = softmax over the words of z: the answer starts here, ends here", shape);
        show_best(s, rows, s->text->n, 2, false, "starts at ", word_of_text);
        show_best(s, rows + 1, s->text->n, 2, false, "ends at   ", word_of_text);
        step_places("pages/plain.c:softmax tasks/answer.c:ink_model_answer");
        return;
    }
    const bool labels = encoder != NULL && encoder->n_labels > 0, many = labels && encoder->problem == INK_MULTI_LABEL;
    if (labels && encoder->problem == INK_REGRESSION)
        return;
    step_formula(many ? "p = sigma(z)" : "p_i = e^(z_i) / (e^(z_1) + e^(z_2) + ...)   softmax", shape);
    show_best(s, logits->row, logits->width, 1, many, "", labels ? label_named : word_named);
    step_places(encoder != NULL ? "pages/plain.c:softmax models/head.c:run_head" : softmax);
}

/* ---- running ---------------------------------------------------------------------------------------------------- */

/* Runs the tokens up to `at`: the last two alone and traced, so that the state before the step is known. */
static bool run_sequence(step *s)
{
    const language_model *lm = s->lm;
    const step_text *t = s->text;
    ink_context *ctx = lm->ctx;
    ink_state *state = NULL;
    float *logits = console_memory(lm->info->vocab_size, sizeof *logits);
    const ink_source_item source = {.encoded = t->encoded, .tokens = t->source, .n_tokens = t->n_source};
    bool done = logits != NULL && console_ok(ctx, ink_state_create(ctx, lm->model, s->at + 1, &state));
    s->turn = 1;
    s->last_rows = true;
    ink_context_trace(ctx, keep_row, s);
    done = done && (t->encoded == NULL || (console_ok(ctx, ink_model_encode_sources(ctx, lm->model, &source, 1)) &&
                                           console_ok(ctx, ink_state_begin(ctx, state, t->encoded))));
    s->last_rows = false;
    ink_context_trace(ctx, NULL, NULL);
    if (done && s->at > 1)
        done = console_ok(ctx, ink_model_forward(ctx, lm->model, state, t->tokens, s->at - 1, NULL));
    ink_context_trace(ctx, keep_row, s);
    for (size_t i = s->at > 0 ? s->at - 1 : 0; done && i <= s->at; i++) {
        s->turn++;
        done = console_ok(ctx, ink_model_forward(ctx, lm->model, state, t->tokens + i, 1, logits));
    }
    ink_context_trace(ctx, NULL, NULL);
    ink_state_free(state);
    free(logits);
    return done;
}

/* Of the scores [n, 2] of an answer those count that ink_model_answer() lets count: of the tokens of the second text,
   and of the first token, which stands for no answer. */
static void leave_out_question(const step *s, float *rows)
{
    const ink_token end = ink_tokenizer_control(s->lm->tokenizer, INK_CONTROL_SEP);
    bool in_question = true;
    for (size_t i = 1; i < s->text->n; i++) {
        const bool is_end = s->text->tokens[i] == end;
        in_question = in_question && !is_end;
        if (in_question || is_end)
            rows[2 * i] = rows[2 * i + 1] = -10000;
    }
}

/* Runs a text through an encoder, to *rows [n, *width]: scores of its head, or a vector of the text, or rows. */
static bool run_text(step *s, float **rows, size_t *width)
{
    const language_model *lm = s->lm;
    const ink_encoder_info *encoder = ink_model_get_encoder(lm->model);
    const ink_encoding encoding = encoder->task != INK_TASK_NONE ? INK_LOGITS
                                  : encoder->embedding_size > 0  ? INK_EMBEDDING
                                  : encoder->has_pooled          ? INK_POOLED
                                                                 : INK_HIDDEN_STATES;
    *width = ink_model_encoding_size(lm->model, encoding);
    *rows = console_memory(s->text->n * *width, sizeof **rows);
    const ink_text text = {.tokens = s->text->tokens, .n_tokens = s->text->n, .types = s->text->types, .output = *rows};
    s->row = s->at;
    s->turn = 1;
    ink_context_trace(lm->ctx, keep_row, s);
    bool done = *rows != NULL && console_ok(lm->ctx, ink_model_encode(lm->ctx, lm->model, encoding, &text, 1));
    ink_context_trace(lm->ctx, NULL, NULL);
    if (done && encoding != INK_HIDDEN_STATES && (encoding != INK_LOGITS || encoder->task == INK_TASK_CLASSIFY_TEXT)) {
        s->rows = console_memory(s->text->n * lm->info->hidden_size, sizeof *s->rows);
        ink_text hidden = text;
        hidden.output = s->rows;
        done =
            s->rows != NULL && console_ok(lm->ctx, ink_model_encode(lm->ctx, lm->model, INK_HIDDEN_STATES, &hidden, 1));
    }
    if (done && encoder->task == INK_TASK_ANSWER)
        leave_out_question(s, *rows);
    return done;
}

size_t step_usual(const language_model *lm, const step_text *text)
{
    const ink_encoder_info *encoder = ink_model_get_encoder(lm->model);
    const step s = {.lm = lm};
    size_t at = text->n - 1;
    if (text->encoded != NULL)
        return 0;
    if (encoder == NULL || lm->tokenizer == NULL)
        return at;
    const ink_token mask = ink_tokenizer_control(lm->tokenizer, INK_CONTROL_MASK),
                    end = ink_tokenizer_control(lm->tokenizer, INK_CONTROL_SEP);
    for (size_t i = 0; encoder->task == INK_TASK_FILL && i < text->n; i++)
        if (text->tokens[i] == mask)
            return i;
    if (encoder->task == INK_TASK_CLASSIFY_TEXT)
        return is_kind(&s, "gpt2 " LLAMAS) ? at : 0;
    while (at > 0 && text->tokens[at] == end)
        at--;
    return at;
}

bool step_show(const language_model *lm, const step_text *text, size_t at, size_t layer)
{
    char path[PATH_ROOM], room[STEP_WORD];
    step s = {.lm = lm, .text = text, .at = at, .layer = layer};
    float *rows = NULL;
    size_t width = 0;
    s.values = console_memory(MAX_VALUES, sizeof *s.values);
    if (s.values != NULL && path_join(path, lm->folder, "config.json") && system_kind_of(path) == SYSTEM_FILE)
        s.settings = file_read(path, &width);
    bool done =
        s.values != NULL && (ink_model_get_encoder(lm->model) != NULL ? run_text(&s, &rows, &width) : run_sequence(&s));
    if (done && s.full)
        done = console_complain("this model has more values than there is room for");
    s.in_source = true;
    const size_t n_blocks = count_blocks(&s), n_layers = lm->info->n_layers > n_blocks ? lm->info->n_layers : n_blocks;
    s.in_source = false;
    if (done && layer > n_layers)
        done = console_complain("there are %zu layers to show, not %zu", n_layers, layer);
    if (done) {
        const ink_tokenizer *tokenizer = text->target != NULL ? text->target : lm->tokenizer;
        char title[FORMULA + 2 * STEP_WORD], next[STEP_WORD];
        if (text->encoded != NULL)
            snprintf(title, sizeof title, "A step of the %s: word %zu of %zu, reads \"%s\", writes \"%s\"",
                     lm->info->kind, at + 1, text->n, step_word(tokenizer, text->tokens[at], room),
                     step_word(tokenizer, text->tokens[at + 1], next));
        else
            snprintf(title, sizeof title, "A step of the %s: token %zu of %zu, \"%s\"", lm->info->kind, at + 1, text->n,
                     step_word(tokenizer, text->tokens[at], room));
        console_wrap(title, 0);
        putchar('\n');
        console_wrap(
            "Each value: its formula and its shape, its first numbers as the library computes them, and "
            "where to read on (pages/ is in examples/; layers/, models/ and tasks/ are in src/). W, U, V, E, P "
            "are weights, and V is often E; b and c_r are biases, 0 if the model has none; * multiplies "
            "element by element.",
            0);
        if (lm->info->window_size > 0)
            walk_window(&s);
        else if (find(&s, "rnn.l0.h") != NULL)
            walk_recurrent(&s);
        else if (find(&s, "embedding") != NULL)
            done = walk_transformer(&s);
        walk_end(&s, rows, width);
    }
    for (size_t i = 0; i < s.n_values; i++) {
        free(s.values[i].row);
        free(s.values[i].before);
    }
    free(s.values);
    free(s.settings);
    free(s.rows);
    free(rows);
    return done;
}
