/*
 * test_measuring.c - what the measuring programs compute with: logarithms, confidence, charts, stories in tokens, and
 * the Jacobians of recurrent cells beside finite differences.
 */
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "jacobian.h"
#include "stats.h"

/* ---- numbers --------------------------------------------------------------------------------------------------- */

static void logarithms_are_the_c_librarys(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (int e = -1022; e < 1024; e++)
        assert_true(stats_log2(ldexp(1, e)) == e);
    for (int i = 0; i < 100000; i++) {
        double x = ldexp(1 + (double)(random_next(&random) >> 11) * 0x1p-53, (int)random_below(&random, 200) - 100);
        double expected = log2(x);
        assert_true(fabs(stats_log2(x) - expected) <= 2 * 0x1p-52 * fmax(fabs(expected), 0x1p-52));
    }
}

static void random_numbers_are_even(void **state)
{
    size_t n[7] = {0};
    uint64_t random = 5;

    (void)state;
    assert_true(random_next(&(uint64_t){1234567}) == UINT64_C(6457827717110365317)); /* of the paper's own code */
    for (int i = 0; i < 70000; i++)
        n[random_below(&random, 7)]++;
    for (size_t i = 0; i < 7; i++)
        assert_in_range(n[i], 9700, 10300);
}

static void means_and_shares_say_how_sure_they_are(void **state)
{
    stats_mean m = {0};
    stats_share s = {8, 10}, none = {0, 0};
    double values[] = {5, 1, 4, 2, 3, 9};

    (void)state;
    for (int i = 1; i <= 4; i++)
        stats_add(&m, i);
    assert_true(stats_mean_of(&m) == 2.5);
    assert_true(fabs(stats_error_of(&m) - 0.6454972243679028) < 1e-12); /* sqrt(5/3) / 2 */
    assert_true(stats_above(&m, 1.2) && !stats_above(&m, 1.3));
    assert_true(fabs(stats_range_of(&s).low - 0.4902) < 1e-4); /* Wilson's interval of 8 in 10 */
    assert_true(fabs(stats_range_of(&s).high - 0.9433) < 1e-4);
    assert_true(stats_range_of(&none).low == 0 && stats_range_of(&none).high == 1 && isnan(stats_share_of(&none)));
    assert_true(stats_median(values, 5) == 3 && stats_median(values, 6) == 3 && isnan(stats_median(values, 0)));
}

static void what_is_kept_is_counted_from_chance(void **state)
{
    const stats_share all = {1000, 1000}, guessed = {260, 1000}, few = {4, 5}, none = {0, 0};
    kept k = kept_of(&all, 0.25);

    (void)state;
    assert_true(k.at == 1 && k.percent == 100 && kept_well(&k) && !kept_little(&k));
    k = kept_of(&guessed, 0.25);
    assert_true(fabs(k.at - 0.01 / 0.75) < 1e-12 && !kept_well(&k) && kept_little(&k));
    k = kept_of(&few, 0.25); /* much, but who knows */
    assert_true(!kept_well(&k) && !kept_little(&k));
    k = kept_of(&none, 0.25);
    assert_true(!kept_well(&k) && !kept_little(&k));
}

/* ---- verdicts -------------------------------------------------------------------------------------------------- */

static void verdicts_follow_from_the_checks(void **state)
{
    finding f = {.n_charts = 0};

    (void)state;
    assert_int_equal(finding_verdict(&f), NOT_BORNE_OUT);
    finding_note(&f, true, "%d is %s", 1, "true");
    assert_string_equal(f.checks[0].text, "1 is true");
    assert_int_equal(finding_verdict(&f), BORNE_OUT);
    finding_note(&f, false, "not so");
    assert_int_equal(finding_verdict(&f), PARTLY_BORNE_OUT);
    f.checks[0].holds = false;
    assert_int_equal(finding_verdict(&f), NOT_BORNE_OUT);
}

/* ---- charts ---------------------------------------------------------------------------------------------------- */

static chart some_chart(bool log_y)
{
    chart c = {.name = "some", .title = "a < b & \"c\"", .x_label = "x", .y_label = "y", .log_y = log_y, .decimals = 2};
    const double values[] = {0.001, 0.02, NAN, 3, 0};

    chart_powers(&c, 5);
    double *y = chart_line(&c, "GPT", 'T', CHART_GPT);
    memcpy(y, values, sizeof values);
    return c;
}

static void heights_are_shares_of_the_axis(void **state)
{
    chart c = some_chart(true);
    chart_axis axis = chart_y_axis(&c);

    (void)state;
    assert_true(fabs(axis.low / 0.001 - 1) < 1e-12 && axis.high == 10);
    assert_true(fabs(chart_height(&axis, 0.1) - 0.5) < 1e-12);
    assert_true(chart_height(&axis, 0) < 0 && chart_height(&axis, NAN) < 0 && chart_height(&axis, 11) < 0);
    c = some_chart(false);
    axis = chart_y_axis(&c);
    assert_true(axis.low == 0 && axis.high == 3 && chart_height(&axis, 1.5) == 0.5 && axis.ticks[1] == 1);
}

static void numbers_are_short(void **state)
{
    static const struct {
        double y;
        int decimals;
        const char *text;
    } cases[] = {{NAN, 2, "-"},       {0, 2, "0.00"},      {0.5, 2, "0.50"},   {0.004, 2, "4e-03"}, {1234, 0, "1234"},
                 {12345, 0, "12.3k"}, {536892, 3, "537k"}, {1.2e6, 0, "1.2M"}, {999600, 0, "1.0M"}, {-1.25, 1, "-1.2"}};
    char room[CHART_LABEL_ROOM];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chart_number(room, cases[i].y, cases[i].decimals);
        assert_string_equal(room, cases[i].text);
    }
}

static char *written(void (*write)(const chart *c, FILE *file), const chart *c)
{
    FILE *file = tmpfile();
    char *text = calloc(20000, 1);

    assert_non_null(file);
    assert_non_null(text);
    write(c, file);
    rewind(file);
    assert_in_range(fread(text, 1, 19999, file), 1, 19998);
    fclose(file);
    return text;
}

static void pictures_are_well_formed(void **state)
{
    (void)state;
    for (int log_y = 0; log_y < 2; log_y++) {
        const chart c = some_chart(log_y);
        char *svg = written(chart_write_svg, &c), *json = written(chart_write_json, &c);
        size_t depth = 0;
        for (const char *at = strchr(svg, '<'); at != NULL; at = strchr(at + 1, '<')) {
            const char *end = strchr(at, '>');
            assert_non_null(end);
            if (at[1] == '/')
                depth--;
            else if (end[-1] != '/')
                depth++;
            assert_true(depth < 10);
        }
        assert_int_equal(depth, 0);
        assert_non_null(strstr(svg, "a &lt; b &amp; &quot;c&quot;</text>"));
        assert_null(strstr(svg, "nan"));
        assert_null(strstr(svg, "inf"));
        assert_non_null(strstr(json, "\"title\": \"a < b & \\\"c\\\"\""));
        assert_non_null(strstr(json, "\"lines\": {\"GPT\": [0.001, 0.02, null, 3, 0]}"));
        free(svg);
        free(json);
    }
}

/* ---- stories in tokens ------------------------------------------------------------------------------------------ */

static language_model open_model(ink_context *ctx, const char *name)
{
    char folder[PATH_ROOM];
    language_model lm;

    assert_true(bundled_folder(folder, name));
    assert_true(lm_open(&lm, ctx, folder, LM_TOKENIZER));
    return lm;
}

static void answers_are_found_in_the_tokens(void **state)
{
    const story_settings settings = story_settings_default();
    ink_context *ctx = test_context(1);
    language_model lm = open_model(ctx, "gpt");
    tale t;
    size_t n_answers = 0;

    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        assert_true(tale_tell(&t, &lm, &settings, 3, i));
        for (size_t r = 0; r < t.story.n_recalls; r++, n_answers++) {
            const story_recall *recall = &t.story.recalls[r];
            tale_answer answer = tale_find(&t, recall);
            char text[64] = " ";
            size_t size;
            memcpy(text + 1, t.story.text + recall->at, recall->length);
            text[1 + recall->length] = '\0';
            char found[64] = "";
            for (size_t k = 0; k < answer.n; k++) {
                const char *piece = ink_tokenizer_token(lm.tokenizer, t.tokens[answer.first + k], &size);
                strncat(found, piece, size);
            }
            assert_string_equal(found, text);
            assert_true(answer.distance > 0 && answer.distance < answer.first);
        }
    }
    assert_true(n_answers > 100);
    lm_close(&lm);
    ink_context_free(ctx);
}

/* Asking many questions at once is asking each alone, and the probabilities are the model's. */
static void guesses_are_the_models(void **state)
{
    const story_settings settings = story_settings_default();
    ink_context *ctx = test_context(1);
    language_model lm = open_model(ctx, "gru");
    reader r;
    tale tales[3];
    guess together[3][READER_TOKENS], alone;
    question questions[3];
    float *logits = calloc(lm.info->vocab_size, sizeof *logits);
    ink_state *run;

    (void)state;
    assert_true(reader_open(&r, &lm));
    for (size_t i = 0; i < 3; i++) {
        assert_true(tale_tell(&tales[i], &lm, &settings, 9, i));
        questions[i] = (question){tales[i].tokens, tales[i].n + 1, tales[i].n, together[i]};
    }
    assert_true(reader_ask(&r, questions, 3));
    for (size_t t = 1; t <= tales[1].n; t += 13) {
        double sum = 0;
        assert_true(reader_ask(&r, &(question){tales[1].tokens, t + 1, 1, &alone}, 1));
        assert_memory_equal(&alone.p, &together[1][t - 1].p, sizeof alone.p);
        assert_true(alone.top == together[1][t - 1].top);
        assert_ok(ctx, ink_state_create(ctx, lm.model, 0, &run));
        assert_ok(ctx, ink_model_forward(ctx, lm.model, run, tales[1].tokens, t, logits));
        for (size_t i = 0; i < lm.info->vocab_size; i++)
            sum += exp((double)logits[i]);
        assert_true(fabs(exp((double)logits[tales[1].tokens[t]]) / sum - (double)alone.p) < 1e-5);
        ink_state_free(run);
    }
    free(logits);
    reader_close(&r);
    lm_close(&lm);
    ink_context_free(ctx);
}

/* ---- Jacobians -------------------------------------------------------------------------------------------------- */

/* The recurrent layers alone, and the vectors of some tokens. */
typedef struct rnn_run {
    ink_context *ctx;
    ink_recurrent *cell;
    float *x; /* [n, in] */
    size_t n;
} rnn_run;

static void open_run(rnn_run *r, ink_context *ctx, ink_cell cell, const char *file, const ink_token *tokens, size_t n)
{
    ink_weights *weights;
    ink_embedding *embedding;

    assert_ok(ctx, ink_weights_open(ctx, file, &weights));
    assert_ok(ctx, ink_embedding_load(ctx, weights, "embedding", &embedding));
    *r = (rnn_run){.ctx = ctx, .n = n};
    assert_ok(ctx, ink_recurrent_load(ctx, weights, "rnn", cell, &r->cell));
    r->x = calloc(n * ink_recurrent_in(r->cell), sizeof *r->x);
    assert_ok(ctx, ink_embedding_forward(ctx, embedding, tokens, n, r->x));
    ink_embedding_free(embedding);
    ink_weights_free(weights);
}

static void step(const rnn_run *r, size_t first, size_t n, float *state)
{
    const ink_sequence sequence = {.x = r->x + first * ink_recurrent_in(r->cell), .n_steps = n, .state = state};

    assert_ok(r->ctx, ink_recurrent_forward(r->ctx, r->cell, &sequence, 1));
}

/* |d s_n / d s_{n-k}| / sqrt(size) from central differences in every direction. */
static double differences(const rnn_run *r, size_t k)
{
    const float epsilon = 0.01F;
    size_t size = ink_recurrent_state_size(r->cell);
    float *at = calloc(size, sizeof *at), *up = calloc(size, sizeof *up), *down = calloc(size, sizeof *down);
    double sum = 0;

    step(r, 0, r->n - k, at);
    for (size_t i = 0; i < size; i++) {
        memcpy(up, at, size * sizeof *at);
        memcpy(down, at, size * sizeof *at);
        up[i] += epsilon;
        down[i] -= epsilon;
        step(r, r->n - k, k, up);
        step(r, r->n - k, k, down);
        for (size_t j = 0; j < size; j++) {
            double slope = ((double)up[j] - (double)down[j]) / (2 * (double)epsilon);
            sum += slope * slope;
        }
    }
    free(at);
    free(up);
    free(down);
    return sqrt(sum / (double)size);
}

static void jacobians_are_the_slopes_of_the_states(void **state)
{
    static const size_t back[] = {1, 2, 3, 8};
    static const ink_cell cells[N_FAMILIES] = {[RNN] = INK_RNN_TANH, [GRU] = INK_GRU, [LSTM] = INK_LSTM};
    const char text[] = "Anna and Tom were in the garden. It was night. Anna looked around.";
    ink_context *ctx = test_context(1);
    size_t n;

    (void)state;
    for (size_t family = RNN; family <= LSTM; family++) {
        language_model lm = open_model(ctx, families[family].folder);
        char folder[PATH_ROOM], file[PATH_ROOM];
        double norms[40], estimate[40];
        ink_token *tokens;
        jacobian j;
        rnn_run r;
        assert_true(bundled_folder(folder, families[family].folder) && path_join(file, folder, "model.safetensors"));
        assert_true(lm_encode(&lm, text, sizeof text - 1, INK_ENCODE_PLAIN, &tokens, &n) && n > 12 && n < 40);
        assert_true(jacobian_open(&j, ctx, file) && j.cell == cells[family]);
        assert_true(jacobian_follow(&j, lm.model, tokens, n));
        assert_true(jacobian_norms(&j, 0, norms, n - 1) && jacobian_norms(&j, 128, estimate, n - 1));
        open_run(&r, ctx, cells[family], file, tokens, n);
        for (size_t i = 0; i < sizeof back / sizeof *back; i++) {
            double slopes = differences(&r, back[i]);
            if (fabs(norms[back[i] - 1] / slopes - 1) > 2e-3)
                fail_msg("%s, %zu steps back: %g, by differences %g", families[family].name, back[i],
                         norms[back[i] - 1], slopes);
            if (fabs(estimate[back[i] - 1] / norms[back[i] - 1] - 1) > 0.2)
                fail_msg("%s, %zu steps back: %g, estimated %g", families[family].name, back[i], norms[back[i] - 1],
                         estimate[back[i] - 1]);
        }
        free(r.x);
        ink_recurrent_free(r.cell);
        jacobian_close(&j);
        free(tokens);
        lm_close(&lm);
    }
    ink_context_free(ctx);
}

/* Over very many steps the product is far below what a float can hold; its norm is a double and not 0. */
static void small_jacobians_are_kept(void **state)
{
    ink_context *ctx = test_context(1);
    language_model lm = open_model(ctx, "rnn");
    char folder[PATH_ROOM], file[PATH_ROOM];
    const story_settings settings = story_settings_default();
    double norms[READER_TOKENS];
    jacobian j;
    tale t;

    (void)state;
    assert_true(bundled_folder(folder, "rnn") && path_join(file, folder, "model.safetensors"));
    assert_true(jacobian_open(&j, ctx, file));
    assert_true(tale_tell(&t, &lm, &settings, 1, 0));
    assert_true(jacobian_follow(&j, lm.model, t.tokens, 60));
    assert_true(jacobian_norms(&j, 0, norms, 59));
    for (size_t k = 0; k < 59; k++)
        assert_true(norms[k] > 0 && isfinite(norms[k]));
    jacobian_close(&j);
    lm_close(&lm);
    ink_context_free(ctx);
}

/* A file of a network that is not recurrent is refused in words. */
static void jacobians_want_a_recurrent_network(void **state)
{
    ink_context *ctx = test_context(1);
    char folder[PATH_ROOM], file[PATH_ROOM];
    jacobian j;

    (void)state;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (i >= RNN && i <= LSTM)
            continue;
        assert_true(bundled_folder(folder, families[i].folder) && path_join(file, folder, "model.safetensors"));
        assert_false(jacobian_open(&j, ctx, file));
        jacobian_close(&j);
    }
    ink_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logarithms_are_the_c_librarys),
        cmocka_unit_test(random_numbers_are_even),
        cmocka_unit_test(means_and_shares_say_how_sure_they_are),
        cmocka_unit_test(what_is_kept_is_counted_from_chance),
        cmocka_unit_test(verdicts_follow_from_the_checks),
        cmocka_unit_test(heights_are_shares_of_the_axis),
        cmocka_unit_test(numbers_are_short),
        cmocka_unit_test(pictures_are_well_formed),
        cmocka_unit_test(answers_are_found_in_the_tokens),
        cmocka_unit_test(guesses_are_the_models),
        cmocka_unit_test(jacobians_are_the_slopes_of_the_states),
        cmocka_unit_test(small_jacobians_are_kept),
        cmocka_unit_test(jacobians_want_a_recurrent_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
