/*
 * test_lookinside.c - the maps of the program lookinside are what the models compute: each token's attention and gates
 * beside those that the callback shows when the text is read token by token.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define main lookinside_main
#include "../examples/tools/lookinside.c"
#undef main
#include "programs.h"

#include <ctype.h>
#include <math.h>
#include <unistd.h>

#define LOOKINSIDE PROGRAMS "/lookinside"

/* More than 32 tokens: attention is shown 32 rows at a time. */
#define TEXT                                                                                                           \
    "Anna and Tom were in the garden. It was night. They had a cat with them. Tom hid the ball behind the tree. Anna " \
    "laughed. Tom fed the"

static const char ramp[] = " .:-=+*#%@";

static char shade(float value) { return ramp[(size_t)(value * 9.0F + 0.5F)]; }

/* The rows of the map behind a title, as lines; the first has this label. */
static const char *map_of(const char *out, const char *title, const char *label)
{
    const char *at = strstr(out, title);

    assert_non_null(at);
    at = strstr(at, label);
    assert_non_null(at);
    while (at[-1] != '\n')
        at--;
    return at;
}

static const char *line_at(const char *text, size_t n)
{
    while (n-- > 0)
        text = strchr(text, '\n') + 1;
    return text;
}

/* ---- attention -------------------------------------------------------------------------------------------------- */

typedef struct seen {
    const char *name;
    float values[8192];
    size_t dim[3], n;
} seen;

static void look(void *user, const char *name, const ink_tensor *value)
{
    seen *s = user;

    if (strcmp(name, s->name) != 0)
        return;
    s->n = 1;
    for (size_t d = 0; d < value->shape.rank; d++)
        s->n *= s->dim[d] = value->shape.dim[d];
    assert_true(s->n <= 8192);
    memcpy(s->values, value->data, s->n * sizeof(float));
}

typedef struct run_of {
    ink_context *ctx;
    language_model lm;
    ink_token *tokens;
    size_t n;
    ink_state *state;
} run_of;

static run_of open_run(const char *folder, const char *text, seen *s)
{
    run_of r = {.ctx = test_context(1)};

    assert_true(lm_open(&r.lm, r.ctx, folder, LM_TOKENIZER));
    assert_true(lm_prompt(&r.lm, text, false, &r.tokens, &r.n));
    assert_ok(r.ctx, ink_state_create(r.ctx, r.lm.model, r.n, &r.state));
    ink_context_trace(r.ctx, look, s);
    return r;
}

static void close_run(run_of *r)
{
    ink_state_free(r->state);
    free(r->tokens);
    lm_close(&r->lm);
    ink_context_free(r->ctx);
}

static void attention_is_the_models(void **state)
{
    char *out = output_of(run(LOOKINSIDE, MODELS "/gpt", TEXT, "--layer", "2"));
    const char *map = map_of(out, "Layer 2: attention", "<|endoftext|> |");
    seen *s = calloc(1, sizeof *s);

    (void)state;
    assert_non_null(s);
    s->name = "h.1.attn.weights";
    run_of r = open_run(MODELS "/gpt", TEXT, s);
    assert_in_range(r.n, 33, 64);
    assert_null(strstr(out, "Layer 1"));
    for (size_t t = 0; t < r.n; t++) {
        assert_ok(r.ctx, ink_model_forward(r.ctx, r.lm.model, r.state, r.tokens + t, 1, NULL));
        assert_int_equal(s->dim[1], 1);
        const char *row = strstr(line_at(map, t), " |") + 2; /* of the first head: the others are below */
        for (size_t i = 0; i < s->dim[2] && i < r.n; i++)
            if (row[i] != shade(i <= t ? s->values[i] : 0))
                fail_msg("token %zu, position %zu: %.*s", t, i, (int)r.n, row);
        assert_int_equal(row[r.n], '|');
    }
    assert_int_equal(count_of(out, "head "), s->dim[0]);
    close_run(&r);
    free(s);
    free(out);
}

/* ---- alignment -------------------------------------------------------------------------------------------------- */

/* Each row of the first head's map is what the decoder shows when it writes the answer token by token. */
static void alignment_is_of(const char *folder, const char *title, const char *name)
{
    static const char text[] = "Tom put the ball behind the fence because it was night.";
    char *out = output_of(run(LOOKINSIDE, folder, text));
    const char *map = map_of(out, title, " bam |");
    seen *s = calloc(1, sizeof *s);
    input in = {0};
    ink_state *state;
    language_model lm;
    ink_context *ctx = test_context(1);

    assert_non_null(s);
    s->name = name;
    assert_true(lm_open_any(&lm, ctx, folder));
    assert_true(lm_encode(&lm, text, sizeof text - 1, INK_ENCODE_DEFAULT, &in.tokens, &in.n));
    assert_true(write_answer(&lm, &in));
    assert_in_range(in.n_written, 8, MAX_TOKENS);
    assert_ok(ctx, ink_state_create(ctx, lm.model, in.n_written, &state));
    assert_ok(ctx, ink_state_begin(ctx, state, in.encoded));
    ink_context_trace(ctx, look, s);
    for (size_t t = 0; t < in.n_written; t++) {
        s->n = 0;
        assert_ok(ctx, ink_model_forward(ctx, lm.model, state, in.written + t, 1, NULL));
        assert_int_equal(s->n, s->dim[0] * in.n);
        const char *row = strstr(line_at(map, t), " |") + 2;
        size_t cell = (size_t)(strchr(row, '|') - row) / in.n;
        float sum = 0;
        for (size_t i = 0; i < in.n; i++) {
            sum += s->values[i];
            assert_int_equal(row[i * cell], shade(s->values[i]));
        }
        assert_true(sum > 0.999F && sum < 1.001F);
    }
    assert_non_null(strstr(out, "source: tom put the ball behind the fence because it was night . </s>\n"));
    assert_non_null(strstr(out, "answer: bam ieotgi ttaemune tom i ultari dwi e gong eul dueotda . </s>\n"));
    ink_state_free(state);
    ink_encoded_free(in.encoded);
    free(in.tokens);
    lm_close(&lm);
    ink_context_free(ctx);
    free(s);
    free(out);
}

static void alignments_are_the_models(void **state)
{
    (void)state;
    alignment_is_of(MODELS "/translate_attention", "Layer 1: attention of each word written", "attn.weights");
    alignment_is_of(MODELS "/translate_transformer", "Layer 1: attention of each word written", "h.0.cross.weights");

    /* The pictures of the page, to the last digit. */
    char *folder = fresh_folder();
    static const char *const shown[][2] = {{"translate_attention", "attn.weights.svg"},
                                           {"translate_transformer", "h.1.cross.weights.svg"}};
    for (size_t i = 0; i < 2; i++) {
        size_t size;
        char *model = join_path(MODELS, shown[i][0]);
        free(output_of(
            run(LOOKINSIDE, model, "Tom put the ball behind the fence because it was night.", "--svg", folder)));
        char *made = read_file(folder, shown[i][1], &size);
        char *committed = read_file(SOURCE_DIR "/examples/plots", shown[i][1], &size);
        assert_string_equal(made, committed);
        free(made);
        free(committed);
        free(model);
    }
    forget(folder);

    char *out = output_of(run(LOOKINSIDE, MODELS "/translate_transformer", "Tom laughed.", "--values"));
    assert_non_null(strstr(out, "\nencoder.h.1.attn.weights     4, 4, 4               1 "));
    assert_non_null(strstr(out, "\nh.1.cross.weights            4, 5, 4               1 "));
    free(out);

    /* A context shorter than the widest map, and a tokenizer of its own for the answer. */
    out = output_of(run(LOOKINSIDE, FIXTURES "/programs/translate_marian", "a good dog."));
    assert_non_null(strstr(out, "\n\nLayer 1: attention of each word written"));
    free(out);

    /* Without attention there is nothing to align: the decoder's gates and states at the words of the answer. */
    out = output_of(run(LOOKINSIDE, MODELS "/translate_gru", "Tom laughed.", "--units", "3"));
    assert_non_null(strstr(out, "answer: tom eun useotda . </s>\n"));
    assert_non_null(strstr(out, "Layer 1: gates and state of 3 of 208 units at each word\n"));
    free(out);
}

/* ---- units ------------------------------------------------------------------------------------------------------ */

static char sign(float value)
{
    return value < -0.6F ? 'O' : value < -0.2F ? 'o' : value < 0.2F ? ' ' : value < 0.6F ? '+' : '#';
}

/* The units that the program says it shows, "3,17,40", copied to list; their number. */
static size_t units_in(const char *out, char list[200])
{
    const char *at = strstr(out, "\n  --only ");
    size_t n = 1;

    assert_non_null(at);
    snprintf(list, 200, "%.*s", (int)strcspn(at + 10, "\n"), at + 10);
    for (const char *c = list; *c != '\0'; c++)
        n += *c == ',';
    return n;
}

/* Each row of a panel is one unit, in the order of the list: `value` of the trace `name` [blocks size], block `block`,
   when the text is read token by token. */
static void panel_is_of(const char *folder, const char *text, const char *out, const char *title, const char *list,
                        const char *name, size_t block, size_t size, bool is_signed)
{
    seen *s = calloc(1, sizeof *s);
    const char *panel = strstr(out, title);
    char label[32];

    assert_non_null(s);
    assert_non_null(panel);
    s->name = name;
    const char *line_start = panel;
    while (line_start > out && line_start[-1] != '\n')
        line_start--;
    const size_t column = (size_t)(panel - line_start);
    snprintf(label, sizeof label, " unit %.*s |", (int)strcspn(list, ","), list);
    const char *map = map_of(panel, title, label);
    run_of r = open_run(folder, text, s);
    for (size_t t = 0; t < r.n; t++) {
        const char *unit = list;
        assert_ok(r.ctx, ink_model_forward(r.ctx, r.lm.model, r.state, r.tokens + t, 1, NULL));
        assert_true(s->n >= (block + 1) * size);
        for (size_t row = 0; unit != NULL; row++) {
            const char *at = line_at(map, row);
            snprintf(label, sizeof label, "unit %.*s |", (int)strcspn(unit, ","), unit);
            assert_non_null(strstr(at, label));
            assert_true(strstr(at, label) < strchr(at, '\n'));
            at += column;
            assert_int_equal(at[-1], '|');
            const size_t cell = (size_t)(strchr(at, '|') - at) / r.n;
            const float value = s->values[block * size + strtoul(unit, NULL, 10) - 1];
            assert_int_equal(at[t * cell], is_signed ? sign(value) : shade(value));
            unit = strchr(unit, ',');
            unit = unit != NULL ? unit + 1 : NULL;
        }
    }
    close_run(&r);
    free(s);
}

/* A unit has the same row in all panels and for every text; rows and columns have their labels. */
static void units_keep_their_rows(void **state)
{
    static const char *const texts[] = {"It was night. Anna laughed.", "It was day. They had a cat with them. It"};
    char list[200], again[200];

    (void)state;
    char *out = output_of(run(LOOKINSIDE, MODELS "/lstm", texts[0]));
    assert_int_equal(units_in(out, list), 16);
    assert_non_null(strstr(out, "Layer 1: gates and state of 16 of 224 units at each word\n"));
    assert_non_null(strstr(out, "  f, i, o from 0 (blank) to 1: "));
    assert_non_null(strstr(out, "  tanh(c), h from -1 to 1: O below -0.6"));
    free(out);
    for (size_t i = 0; i < 2; i++) {
        out = output_of(run(LOOKINSIDE, MODELS "/lstm", texts[i], "--only", list));
        panel_is_of(MODELS "/lstm", texts[i], out, "f: kept", list, "rnn.l0.gates", 1, 224, false);
        panel_is_of(MODELS "/lstm", texts[i], out, "i: taken in", list, "rnn.l0.gates", 0, 224, false);
        panel_is_of(MODELS "/lstm", texts[i], out, "o: shown", list, "rnn.l0.gates", 3, 224, false);
        panel_is_of(MODELS "/lstm", texts[i], out, "h: state", list, "rnn.l0.h", 0, 224, true);
        free(out);
    }

    out = output_of(run(LOOKINSIDE, MODELS "/gru", texts[0], "--units", "5"));
    assert_int_equal(units_in(out, list), 5);
    panel_is_of(MODELS "/gru", texts[0], out, "z: kept", list, "rnn.l0.gates", 1, 256, false);
    panel_is_of(MODELS "/gru", texts[0], out, "r: looked at", list, "rnn.l0.gates", 0, 256, false);
    panel_is_of(MODELS "/gru", texts[0], out, "n: new", list, "rnn.l0.gates", 2, 256, true);
    panel_is_of(MODELS "/gru", texts[0], out, "h: state", list, "rnn.l0.h", 0, 256, true);
    free(out);

    /* Without gates the state alone; each layer has its own units. */
    out = output_of(run(LOOKINSIDE, MODELS "/rnn", texts[0], "--layer", "2"));
    assert_null(strstr(out, "Layer 1"));
    units_in(out, list);
    panel_is_of(MODELS "/rnn", texts[0], out, "h\n", list, "rnn.l1.h", 0, 288, true);
    free(out);
    out = output_of(run(LOOKINSIDE, MODELS "/mlp", texts[1], "--units", "4"));
    assert_non_null(strstr(out, "Layer 1: the output of 4 of 256 units at each word\n"));
    units_in(out, again);
    panel_is_of(MODELS "/mlp", texts[1], out, "h\n", again, "mlp.layers.0.out", 0, 256, true);
    free(out);

    /* The picture of the page, to the last digit. */
    char *folder = fresh_folder();
    size_t size;
    free(output_of(
        run(LOOKINSIDE, MODELS "/lstm", "It was night. Anna laughed. It was still", "--units", "8", "--svg", folder)));
    char *made = read_file(folder, "rnn.l0.svg", &size);
    char *committed = read_file(SOURCE_DIR "/examples/plots", "rnn.l0.svg", &size);
    assert_string_equal(made, committed);
    assert_int_equal(count_of(made, ">laughed</text>"), 5);
    free(made);
    free(committed);
    forget(folder);
}

static void values_are_listed(void **state)
{
    char *out = output_of(run(LOOKINSIDE, MODELS "/gpt", "Anna and Tom", "--values"));

    (void)state;
    assert_non_null(strstr(out, "\nembedding                    4, 128                1 "));
    assert_non_null(strstr(out, "\nh.1.attn.weights             4, 4, 4               1 "));
    assert_non_null(strstr(out, "\nlogits "));
    free(out);
    out = output_of(run(LOOKINSIDE, MODELS "/bert", "Anna and Tom", "--values")); /* with [CLS] and [SEP] */
    assert_non_null(strstr(out, "\nh.1.attn.weights             4, 5, 5               1 "));
    free(out);
    out = output_of(run(LOOKINSIDE, MODELS "/rnn", "Anna and Tom", "--values"));
    assert_non_null(strstr(out, "\nrnn.l1.h                     1, 288                4 "));
    free(out);
}

/* ---- one step --------------------------------------------------------------------------------------------------- */

/* True if a definition of `function` begins in the first column of the file. */
static bool defines(const char *path, const char *function)
{
    size_t size;
    char *text = read_file(SOURCE_DIR, path, &size), call[80];
    bool found = false;

    snprintf(call, sizeof call, "%s(", function);
    for (const char *row = text; !found && row != NULL;
         row = strchr(row, '\n') != NULL ? strchr(row, '\n') + 1 : NULL) {
        const char *end = row + strcspn(row, "\n"), *at = strstr(row, call);
        found = (isalpha((unsigned char)*row) || *row == '_') && at != NULL && at < end && at > row &&
                (at[-1] == ' ' || at[-1] == '*') && end[-1] != ';';
    }
    free(text);
    return found;
}

/* Every place that is named is there: "pages/plain.c:dense". Returns how many. */
static size_t places_exist(const char *out)
{
    size_t n = 0;

    for (const char *at = out; (at = strstr(at, ".c:")) != NULL; at++, n++) {
        char path[100], function[60];
        const char *start = at;
        while (start[-1] != ' ')
            start--;
        const bool of_page = strncmp(start, "pages/", 6) == 0;
        snprintf(path, sizeof path, "%s/%.*s.c", of_page ? "examples" : "src", (int)(at - start), start);
        snprintf(function, sizeof function, "%.*s", (int)strcspn(at + 3, " \n"), at + 3);
        if (!defines(path, function))
            fail_msg("%s does not define %s()", path, function);
    }
    return n;
}

/* The numbers below the n-th value with this formula. */
static void numbers_of(const char *out, const char *formula, size_t n, float numbers[6])
{
    char expected[100];

    snprintf(expected, sizeof expected, "\n  %s  ", formula);
    for (const char *at = out;; at++) {
        at = strstr(at, expected);
        assert_non_null(at);
        if (n-- > 0)
            continue;
        at = strchr(at + 1, '\n') + 1;
        for (size_t i = 0; i < 6; i++) {
            char *end;
            numbers[i] = strtof(at, &end);
            assert_ptr_not_equal(at, end);
            at = end;
        }
        return;
    }
}

/* The likeliest five of these logits are printed, in this order, with their probabilities. */
static void ends_in(const char *out, const float *logits, size_t n, const language_model *lm)
{
    const char *at = strstr(out, "\n  p_i = ");
    double sum = 0, least = 2;

    assert_non_null(at);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)logits[ink_argmax(logits, n)]);
    for (size_t k = 0; k < 5; k++) {
        char *end;
        char word[STEP_WORD];
        size_t best = 0;
        double most = -1;
        for (size_t i = 0; i < n; i++) {
            double p = exp((double)logits[i] - (double)logits[ink_argmax(logits, n)]) / sum;
            if (p > most && p < least) {
                most = p;
                best = i;
            }
        }
        least = most;
        at = strchr(at + 1, '\n');
        assert_true(fabs(strtod(at, &end) - most) <= 6e-5);
        assert_int_equal(strncmp(end, "  ", 2), 0);
        step_word(lm->tokenizer, (ink_token)best, word);
        assert_int_equal(strncmp(end + 2, word, strlen(word)), 0);
        assert_int_equal(end[2 + strlen(word)], '\n');
    }
}

/* A model that continues texts: the step of the last token shows the numbers of `name`, which the page calls `formula`,
   and ends in the words that the model expects. */
static void step_is_the_models(const char *folder, const char *text, const char *formula, const char *name, size_t part,
                               size_t n_places)
{
    seen *s = calloc(1, sizeof *s);
    char *out = output_of(run(LOOKINSIDE, folder, text, "--step")), chosen[8];
    float numbers[6];

    assert_non_null(s);
    s->name = name;
    run_of r = open_run(folder, text, s);
    float *logits = calloc(r.lm.info->vocab_size, sizeof *logits);
    assert_non_null(logits);
    assert_ok(r.ctx, ink_model_forward(r.ctx, r.lm.model, r.state, r.tokens, r.n - 1, NULL));
    assert_ok(r.ctx, ink_model_forward(r.ctx, r.lm.model, r.state, r.tokens + r.n - 1, 1, logits));
    numbers_of(out, formula, 0, numbers);
    for (size_t i = 0; i < 6; i++)
        assert_true(fabsf(numbers[i] - s->values[part + i]) <= 6e-4F);
    ends_in(out, logits, r.lm.info->vocab_size, &r.lm);
    assert_in_range(places_exist(out), n_places, 200);
    free(out);

    /* --at names a token before the last. */
    snprintf(chosen, sizeof chosen, "%zu", r.n - 1);
    out = output_of(run(LOOKINSIDE, folder, text, "--at", chosen));
    ink_state_reset(r.state);
    assert_ok(r.ctx, ink_model_forward(r.ctx, r.lm.model, r.state, r.tokens, r.n - 1, logits));
    ends_in(out, logits, r.lm.info->vocab_size, &r.lm);
    free(out);
    free(logits);
    close_run(&r);
    free(s);
}

static void steps_are_the_models(void **state)
{
    static const char text[] = "It was night. Anna laughed. It was still";
    float sum[6], down[6], out_of_block[6];

    (void)state;
    step_is_the_models(MODELS "/mlp", text, "h = tanh(H x + d)", "mlp.layers.0.out", 0, 9);
    step_is_the_models(MODELS "/rnn", text, "h' = tanh(W x + b + U h + c)", "rnn.l0.h", 0, 10);
    step_is_the_models(MODELS "/gru", text, "n = tanh(W_n x + b_n + r * (U_n h + c_n))", "rnn.l0.gates", 512, 14);
    step_is_the_models(MODELS "/lstm", text, "f = sigma(W_f x + U_f h + b_f)", "rnn.l0.gates", 224, 18);
    step_is_the_models(MODELS "/lstm", text, "c' = f * c + i * g", "rnn.l0.c", 0, 18);
    step_is_the_models(MODELS "/gpt", text, "v = W_v y + b_v, kept for later words", "h.0.attn.qkv", 256, 60);
    step_is_the_models(FIXTURES "/gguf_models/llama.gguf", "the and", "m = silu(W_gate y) * (W_up y)", "h.0.mlp.up", 0,
                       50);

    /* The state that a step starts from is that of the word before. */
    char *after = output_of(run(LOOKINSIDE, MODELS "/lstm", text, "--at", "6")),
         *out = output_of(run(LOOKINSIDE, MODELS "/lstm", text, "--at", "7"));
    numbers_of(after, "c' = f * c + i * g", 0, sum);
    numbers_of(out, "c, the memory so far", 0, down);
    assert_memory_equal(sum, down, sizeof sum);
    free(after);
    free(out);

    /* A sum that the program makes leads to what the library has. */
    out = output_of(run(LOOKINSIDE, MODELS "/gpt", text, "--step", "--layer", "2"));
    assert_null(strstr(out, "Block 1"));
    numbers_of(out, "x = x + u", 0, sum);
    numbers_of(out, "u = W_2 m + b_2", 0, down);
    numbers_of(out, "x = x + u", 1, out_of_block);
    for (size_t i = 0; i < 6; i++)
        assert_true(fabsf(sum[i] + down[i] - out_of_block[i]) < 2e-3F);
    free(out);
}

/* A line of the end: a probability and what it is of. */
static void says(const char *out, double p, const char *what)
{
    char expected[100];

    snprintf(expected, sizeof expected, "      %.4f  %s\n", p, what);
    if (strstr(out, expected) == NULL)
        fail_msg("no '%s' in: %s", expected, strstr(out, "The end"));
}

/* Encoders: the gap of a text, the label of a text or a word, an answer. The probabilities are those of the library. */
static void steps_of_encoders(void **state)
{
    (void)state;
    struct {
        const char *folder, *text;
        size_t at;
        bool by_token;
    } cases[] = {{MODELS "/bert", "Anna fed the [MASK] again.", 4, true},
                 {MODELS "/mood", "They had some bad news.", 0, false},
                 {MODELS "/tag", "Anna hid the coin under the bench.", 1, true}};
    for (size_t i = 0; i < 3; i++) {
        ink_context *ctx = test_context(1);
        language_model lm;
        assert_true(lm_open_any(&lm, ctx, cases[i].folder));
        const ink_encode_input whole = {
            .text = cases[i].text, .size = strlen(cases[i].text), .flags = INK_ENCODE_DEFAULT};
        ink_token *tokens, *types;
        size_t n;
        assert_true(lm_encode_input(&lm, &whole, &tokens, &types, NULL, &n));
        const size_t width = ink_model_encoding_size(lm.model, INK_PROBABILITIES);
        float *p = calloc(width, sizeof *p);
        const ink_text asked = {.tokens = tokens,
                                .n_tokens = n,
                                .types = types,
                                .positions = cases[i].by_token ? &cases[i].at : NULL,
                                .n_positions = cases[i].by_token,
                                .output = p};
        assert_non_null(p);
        assert_ok(ctx, ink_model_encode(ctx, lm.model, INK_PROBABILITIES, &asked, 1));
        char at[8], word[STEP_WORD];
        snprintf(at, sizeof at, "%zu", cases[i].at + 1);
        char *out = output_of(i < 2 ? run(LOOKINSIDE, cases[i].folder, cases[i].text, "--step")
                                    : run(LOOKINSIDE, cases[i].folder, cases[i].text, "--at", at));
        const size_t best = ink_argmax(p, width);
        says(out, (double)p[best],
             i == 0 ? step_word(lm.tokenizer, (ink_token)best, word) : ink_model_get_encoder(lm.model)->labels[best]);
        assert_in_range(places_exist(out), 50, 200);
        free(out);
        free(p);
        free(tokens);
        free(types);
        lm_close(&lm);
        ink_context_free(ctx);
    }
    char *out =
        output_of(run(LOOKINSIDE, MODELS "/answer", "Where is the ball?", "Tom left the ball on the roof.", "--step"));
    assert_non_null(strstr(out, "      starts at 1.0000  on\n"));
    assert_non_null(strstr(out, "      ends at   1.0000  roof\n"));
    assert_in_range(places_exist(out), 60, 200);
    free(out);
}

/* Encoder-decoders: --at N is the step that writes word N of the answer. */
static void steps_of_translators(void **state)
{
    static const char text[] = "Tom put the ball behind the fence because it was night.";
    static const char *const folders[] = {MODELS "/translate_gru", MODELS "/translate_attention",
                                          MODELS "/translate_transformer"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *out = output_of(run(LOOKINSIDE, folders[i], text, "--step"));
        const char *end = strstr(out, "\n  p_i = ");
        assert_non_null(end);
        assert_non_null(strstr(strchr(end + 1, '\n'), "  bam\n"));
        assert_in_range(places_exist(out), 15, 200);
        assert_true(i == 0 || strstr(out, ": \"night\" (word 11)") != NULL);
        free(out);
        out = output_of(run(LOOKINSIDE, folders[i], text, "--at", "4"));
        end = strchr(strstr(out, "\n  p_i = ") + 1, '\n');
        assert_int_equal(strncmp(end + 1 + strcspn(end + 1, "."), ".9", 2), 0);
        assert_int_equal(strncmp(end + 1 + 6 + 8, "tom\n", 4), 0);
        free(out);
    }
}

/* What step_show() prints. */
static char *step_of(const language_model *lm, const step_text *text, size_t at)
{
    FILE *file = tmpfile();
    char *out = calloc(1 << 20, 1);

    assert_non_null(file);
    assert_non_null(out);
    fflush(stdout);
    const int before = dup(1);
    dup2(fileno(file), 1);
    const bool done = step_show(lm, text, at, 0);
    fflush(stdout);
    dup2(before, 1);
    close(before);
    assert_true(done);
    rewind(file);
    assert_in_range(fread(out, 1, (1 << 20) - 1, file), 1, (1 << 20) - 2);
    fclose(file);
    return out;
}

/* Every family of the library has its walk, ending in what the model expects; without a tokenizer words are ids. */
static void every_family_has_its_walk(void **state)
{
    static const char *const families[] = {"gpt2",       "llama", "mistral",  "qwen2",   "qwen3", "smollm3",
                                           "gemma3",     "rnn",   "rnn_relu", "gru",     "lstm",  "mlp",
                                           "mlp_tied",   "bart",  "marian",   "m2m_100", "mbart", "pegasus",
                                           "blenderbot", "t5",    "flan_t5",  "mt5",     "umt5"};
    static const ink_token tokens[] = {1, 2, 3, 2};

    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        ink_context *ctx = test_context(1);
        char *folder = join_path(FIXTURES "/models", families[i]);
        language_model lm = {.ctx = ctx, .folder = folder};
        ink_encoded *encoded = NULL;
        ink_state *sequence;
        assert_ok(ctx, ink_model_open(ctx, folder, NULL, &lm.model));
        lm.info = ink_model_get_info(lm.model);
        step_text text = {.tokens = tokens, .n = 4};
        float *logits = calloc(lm.info->vocab_size, sizeof *logits);
        assert_non_null(logits);
        if (ink_model_get_encoder_decoder(lm.model) != NULL) {
            assert_ok(ctx, ink_encoded_create(ctx, lm.model, 4, &encoded));
            text.encoded = encoded;
            text.source = tokens;
            text.n_source = 4;
        }
        char *out = step_of(&lm, &text, 2);
        assert_ok(ctx, ink_state_create(ctx, lm.model, 4, &sequence));
        if (encoded != NULL)
            assert_ok(ctx, ink_state_begin(ctx, sequence, encoded));
        assert_ok(ctx, ink_model_forward(ctx, lm.model, sequence, tokens, 3, logits));
        ends_in(out, logits, lm.info->vocab_size, &lm);
        assert_in_range(places_exist(out), 8, 300);
        free(out);
        free(logits);
        ink_state_free(sequence);
        ink_encoded_free(encoded);
        ink_model_free(lm.model);
        ink_context_free(ctx);
        free(folder);
    }
}

/* ---- maps ------------------------------------------------------------------------------------------------------- */

static void maps_are_pictures(void **state)
{
    static const char *const panels[] = {"a", "b", "c", "d", "e"}, *const labels[] = {"<x>", "y"};
    const float values[5 * 2 * 2] = {0, 1, 0.5F, 0.25F};
    const heat map = {.title = "t & u",
                      .n_panels = 5,
                      .n_rows = 2,
                      .n_columns = 2,
                      .panels = panels,
                      .rows = labels,
                      .columns = labels,
                      .values = values,
                      .n_unsigned = 5};
    FILE *file = tmpfile();
    char *svg = calloc(20000, 1);

    (void)state;
    assert_non_null(file);
    assert_non_null(svg);
    heat_write_svg(&map, file);
    rewind(file);
    assert_in_range(fread(svg, 1, 19999, file), 1, 19998);
    fclose(file);
    assert_non_null(strstr(svg, "t &amp; u</text>"));
    /* columns, and rows of each line of panels */
    assert_int_equal(count_of(svg, ">&lt;x&gt;</text>"), 5 + 2);
    assert_int_equal(count_of(svg, "<rect"), 1 + 5 + 3 + 1 + 10); /* page, frames, cells, and the scale */
    assert_int_equal(count_of(svg, "<text"), count_of(svg, "</text>"));
    free(svg);
}

static void pictures_are_written(void **state)
{
    char *folder = fresh_folder();
    size_t size;

    (void)state;
    free(output_of(run(LOOKINSIDE, MODELS "/gpt", "Anna and Tom", "--svg", folder)));
    char *svg = read_file(folder, "h.1.attn.weights.svg", &size);
    assert_int_equal(count_of(svg, ">Anna</text>"), 4 + 1);
    free(svg);
    forget(folder);
}

/* A terminal gets colours that tell signs apart, unless it is dumb, and no line wider than it is. */
static void terminals_are_respected(void **state)
{
    static const char *const arguments[] = {LOOKINSIDE, MODELS "/gru", "It was night. Anna laughed.",
                                            "--units",  "2",           NULL};

    (void)state;
    for (size_t dumb = 0; dumb < 2; dumb++) {
        assert_int_equal(setenv("TERM", dumb ? "dumb" : "xterm", 1), 0);
        char *out = output_of(process_run_at_columns(arguments, "", 50));
        assert_int_equal(strchr(out, '\033') == NULL, dumb);
        for (const char *row = out; dumb && *row != '\0'; row = strchr(row, '\n') + 1)
            assert_in_range(strcspn(row, "\n"), 0, 50);
        free(out);
    }
    unsetenv("TERM");
}

static void mistakes_are_answered(void **state)
{
    char text[2000] = "Anna";

    (void)state;
    for (size_t i = 0; i < 70; i++)
        strcat(text, " and Tom");
    refused(run(LOOKINSIDE, MODELS "/gpt"), "the text is missing");
    refused(run(LOOKINSIDE, MODELS "/none", "a"), "none");
    refused(run(LOOKINSIDE, MODELS "/gpt", text), "up to 64 can be shown");
    refused(run(LOOKINSIDE, MODELS "/gpt", "Anna", "--layer", "3"), "there are 2 layers to show, not 3");
    refused(run(LOOKINSIDE, MODELS "/rnn", "Anna", "--layer", "3"), "there are 2 layers to show, not 3");
    refused(run(LOOKINSIDE, MODELS "/gpt", "Anna", "--step", "--layer", "3"), "there are 2 layers to show, not 3");
    refused(run(LOOKINSIDE, MODELS "/gpt", "Anna and Tom", "--at", "9"), "--at 9: there are 4 tokens in the text");
    refused(run(LOOKINSIDE, MODELS "/translate_gru", "Tom laughed.", "--at", "9"), "there are 5 words in the answer");
    process p = run(LOOKINSIDE, MODELS "/gpt", "Anna", "--step", "--units", "3");
    assert_non_null(strstr(p.err, "(--step shows one token, so --values, --units, --only and --svg have no effect)"));
    free(output_of(p));
    p = run(LOOKINSIDE, MODELS "/gpt", "Anna", "--only", "3");
    assert_non_null(strstr(p.err, "(attention has heads and no units, so --units and --only have no effect)"));
    free(output_of(p));
    refused(run(LOOKINSIDE, MODELS "/gpt", "Anna", "Tom"), "a gpt2 reads one text; only encoders read two");
    refused(run(LOOKINSIDE, FIXTURES "/gguf", "Anna", "--step"), "config.json");
    refused(run(LOOKINSIDE, MODELS "/rnn", "Anna", "--only", "1,289"), "--only lists units from 1 to 288");
    refused(run(LOOKINSIDE, MODELS "/rnn", "Anna", "--only", "1,,2"), "with commas between them, found ''");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_the_models),   cmocka_unit_test(alignments_are_the_models),
        cmocka_unit_test(units_keep_their_rows),     cmocka_unit_test(steps_are_the_models),
        cmocka_unit_test(steps_of_encoders),         cmocka_unit_test(steps_of_translators),
        cmocka_unit_test(every_family_has_its_walk), cmocka_unit_test(values_are_listed),
        cmocka_unit_test(maps_are_pictures),         cmocka_unit_test(pictures_are_written),
        cmocka_unit_test(terminals_are_respected),   cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
