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

#define LOOKINSIDE PROGRAMS "/lookinside"

/* More than 32 tokens: attention is shown 32 rows at a time. */
#define TEXT                                                                                                           \
    "Anna and Tom were in the garden. It was night. They had a cat with them. Tom hid the ball behind the tree. Anna " \
    "laughed. Tom fed the"

static const char ramp[] = " .:-=+*#%@";

static char shade(float value) { return ramp[(size_t)(value * 9.0F + 0.5F)]; }

/* The rows of the map behind a title, as lines. */
static const char *map_of(const char *out, const char *title)
{
    const char *at = strstr(out, title);

    assert_non_null(at);
    at = strstr(at, "\n\n");
    assert_non_null(at);
    return strchr(at + 2, '\n') + 1;
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
    float values[4096];
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
    assert_true(s->n <= 4096);
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
    const char *map = map_of(out, "Layer 2: attention");
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
    const char *map = map_of(out, title);
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

    /* Without attention there is nothing to align: the values. */
    process p = run(LOOKINSIDE, MODELS "/translate_gru", "Tom laughed.", "--layer", "1");
    assert_non_null(strstr(p.err, "(a seq2seq has no map to draw, so --svg and --layer have no effect)"));
    out = output_of(p);
    assert_non_null(strstr(out, "answer: tom eun useotda . </s>\n"));
    assert_non_null(strstr(out, "\nrnn.l0.h                     1, 208                5 "));
    free(out);
}

/* ---- gates ------------------------------------------------------------------------------------------------------ */

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* The first panel of each row: the gate that keeps, block 1 of both cells. */
static void gates_are_of(const char *folder, size_t n_blocks)
{
    char *out = output_of(run(LOOKINSIDE, folder, "It was night. Anna laughed."));
    const char *map = map_of(out, "Layer 1: gates");
    seen *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->name = "rnn.l0.gates";
    run_of r = open_run(folder, "It was night. Anna laughed.", s);
    for (size_t t = 0; t < r.n; t++) {
        assert_ok(r.ctx, ink_model_forward(r.ctx, r.lm.model, r.state, r.tokens + t, 1, NULL));
        size_t h = s->n / n_blocks;
        float *gate = s->values + h;
        const char *row = strstr(line_at(map, t), " |") + 2;
        size_t cell = (size_t)(strchr(row, '|') - row) / 10;
        qsort(gate, h, sizeof *gate, compare_floats);
        for (size_t i = 0; i < 10; i++)
            assert_int_equal(row[i * cell], shade(gate[(2 * i + 1) * h / 20]));
    }
    close_run(&r);
    free(s);
    free(out);
}

static void gates_are_the_models(void **state)
{
    (void)state;
    gates_are_of(MODELS "/gru", 3);
    gates_are_of(MODELS "/lstm", 4);
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
    out = output_of(run(LOOKINSIDE, MODELS "/rnn", "Anna and Tom")); /* no gates: the values */
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
                      .values = values};
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_is_the_models), cmocka_unit_test(alignments_are_the_models),
        cmocka_unit_test(gates_are_the_models),    cmocka_unit_test(values_are_listed),
        cmocka_unit_test(maps_are_pictures),       cmocka_unit_test(pictures_are_written),
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
