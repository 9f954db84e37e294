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

#include <math.h>

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

typedef struct run_of {
    ink_context *ctx;
    language_model lm;
    ink_token *tokens;
    size_t n;
    ink_state *state;
} run_of;

/* Above the columns of a map stand its words, letter by letter: those lines are between the titles of the panels, of
   which one begins at `title`, and the first row. A word that is too long ends with a dot. */
static void words_stand_above(const char *title, const char *map, size_t column, size_t cell, const run_of *r)
{
    size_t height = 0;

    for (const char *c = strchr(title, '\n') + 1; c < map; c++)
        height += *c == '\n';
    for (size_t t = 0; t < r->n; t++) {
        char room[STEP_WORD];
        const char *word = step_word(r->lm.tokenizer, r->tokens[t], room);
        const size_t n = strlen(word), above = n < height ? height - n : 0;
        for (size_t k = 0; k < height; k++) {
            const char *row = line_at(title, 1 + k), expected = k < above ? ' ' : word[k - above];
            assert_in_range(column + t * cell, 0, strcspn(row, "\n") - 1);
            if (row[column + t * cell] != (n > height && k + 1 == height ? '.' : expected))
                fail_msg("not '%s' above column %zu: %.400s", word, t, title);
        }
    }
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
    words_stand_above(strstr(out, "head 1"), map, (size_t)(strstr(map, " |") + 2 - map), 1, &r);
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
    char *longer =
        output_of(run(LOOKINSIDE, MODELS "/translate_attention",
                      "Tom put the ball behind the fence and Anna put the cup on the wall because it was night."));
    assert_non_null(strstr(longer, "\nanswer: bam ieotgi ttaemune "));
    for (const char *at = strstr(longer, "answer:"); *at != '\n' || at[1] == ' '; at += strcspn(at + 1, "\n") + 1)
        assert_true(strcspn(at + 1, "\n") <= 80);
    free(longer);
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
    words_stand_above(panel, map, column, (size_t)(strchr(map + column, '|') - (map + column)) / r.n, &r);
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
    refused(run(LOOKINSIDE, MODELS "/gpt", text), "up to 64 can be shown in a map, any number with --step");
    refused(run(LOOKINSIDE, MODELS "/answer", "Where is Tom?"),
            "the second text is missing: this bert reads a question");
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
        cmocka_unit_test(attention_is_the_models), cmocka_unit_test(alignments_are_the_models),
        cmocka_unit_test(units_keep_their_rows),   cmocka_unit_test(values_are_listed),
        cmocka_unit_test(maps_are_pictures),       cmocka_unit_test(pictures_are_written),
        cmocka_unit_test(terminals_are_respected), cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
