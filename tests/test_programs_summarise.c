/*
 * test_programs_summarise.c - summarise from end to end: what transformers writes with encoder-decoders, the bundled
 * assistant's summaries of stories, texts that are too long, and mistakes.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"
#include "talk.h"

#define SUMMARISE PROGRAMS "/summarise"
#define SUMMARIES FIXTURES "/summaries"
#define ASSISTANT MODELS "/assistant"

/* The text of a file of a case. */
static char *case_file(const char *name, const char *suffix)
{
    char file[64];
    size_t size;
    snprintf(file, sizeof file, "%s.%s", name, suffix);
    return read_file(SUMMARIES, file, &size);
}

/* Beams, lengths, forced tokens, what stands in front of a text and where it is cut: all as the folder says. */
static void encoder_decoders_write_what_transformers_does(void **state)
{
    static const char *const names[] = {"bart_short", "bart_long", "bart_greedy", "bart_beams",
                                        "t5_short",   "t5_long",   "t5_greedy",   "t5_beams"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *text = case_file(names[i], "txt"), *said = case_file(names[i], "said");
        char *options = case_file(names[i], "options"), *rest, folder[512];
        const char *arguments[16] = {SUMMARISE, folder};
        size_t n = 2;
        snprintf(folder, sizeof folder, SUMMARIES "/%s", strtok_r(options, " \n", &rest));
        while (n < 15 && (arguments[n] = strtok_r(NULL, " \n", &rest)) != NULL)
            n++;
        process p = process_run(NULL, arguments, text);
        if (strcmp(p.out, said) != 0)
            fail_msg("%s: '%s', expected '%s'\n%s", names[i], p.out, said, p.err);
        if (strcmp(names[i], "bart_long") == 0)
            assert_non_null(strstr(p.err, "(stdin: the text has 62 tokens, and the model reads the first 24)"));
        if (strcmp(names[i], "t5_long") == 0)
            assert_non_null(strstr(p.err, "(stdin: the text has 63 tokens, and the model reads the first 30)"));
        if (strstr(names[i], "short") != NULL)
            assert_null(strstr(p.err, "the text has"));
        free(output_of(p));
        free(options);
        free(said);
        free(text);
    }
}

/* What the library says of a folder with settings for tasks, and what of damaged ones. */
static void tasks_have_settings_of_their_own(void **state)
{
    static const struct {
        const char *tasks, *error; /* NULL: it opens, and knows no task; "": it opens, and beams are ignored */
    } damaged[] = {
        {"null", NULL},
        {"[1]", NULL},
        {"{\"summarization\": 3}", NULL},
        {"{\"summarization\": {\"num_beams\": 5000, \"num_return_sequences\": 3}}", ""},
        {"{\"summarization\": {\"prefix\": 3}}", "task_specific_params.summarization.prefix"},
        {"{\"summarization\": {\"num_beams\": \"x\"}}", "task_specific_params.summarization.num_beams"},
        {"{\"summarization\": {\"length_penalty\": []}}", "task_specific_params.summarization.length_penalty"},
    };
    ink_context *ctx = test_context(1);
    ink_model *model = NULL;
    ink_generate_options options;
    const char *prefix;
    size_t size;

    (void)state;
    assert_ok(ctx, ink_model_open(ctx, SUMMARIES "/t5", NULL, &model));
    assert_false(ink_model_generation(model, &options));
    assert_int_equal(options.n_beams, 0);
    assert_true(ink_model_task(model, "summarization", &options, &prefix));
    assert_string_equal(prefix, "summarize: ");
    assert_int_equal(options.n_beams, 3);
    assert_int_equal(options.max_length, 14);
    assert_int_equal(options.min_length, 5);
    assert_int_equal(options.no_repeat_ngram_size, 2);
    assert_int_equal(options.early_stopping, INK_STOP_EARLY);
    assert_true(options.length_penalty == 2);
    assert_false(ink_model_task(model, "translation_en_to_de", &options, &prefix));
    assert_string_equal(prefix, "");
    assert_int_equal(options.n_beams, 0);
    ink_model_free(model);

    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        char *folder = copy_of_model(SUMMARIES "/t5"), *config = read_file(folder, "config.json", &size), other[4096];
        char *at = strstr(config, "\"task_specific_params\"");
        assert_non_null(at);
        model = NULL;
        size_t n = (size_t)snprintf(other, sizeof other, "%.*s\"task_specific_params\": %s}", (int)(at - config),
                                    config, damaged[i].tasks);
        write_file(folder, "config.json", other, n);
        ink_result result = ink_model_open(ctx, folder, NULL, &model);
        if (damaged[i].error == NULL) {
            assert_ok(ctx, result);
            assert_false(ink_model_task(model, "summarization", &options, &prefix));
        } else if (damaged[i].error[0] == '\0') {
            assert_ok(ctx, result);
            assert_true(ink_model_task(model, "summarization", &options, &prefix));
            assert_int_equal(options.n_beams, 0);
            assert_int_equal(options.n_results, 1);
        } else {
            assert_int_equal(result, INK_ERROR_MISMATCH);
            assert_non_null(strstr(ink_context_error(ctx), damaged[i].error));
        }
        ink_model_free(model);
        free(config);
        forget(folder);
    }
    ink_context_free(ctx);
}

/* A file after the other, each under its name. */
static void files_are_summarised_one_by_one(void **state)
{
    static const char *const names[] = {"bart_short", "bart_long"};
    char expected[1024] = "", *paths[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char file[64], *said = case_file(names[i], "said");
        snprintf(file, sizeof file, "%s.txt", names[i]);
        paths[i] = join_path(SUMMARIES, file);
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s==> %s <==\n%s", i > 0 ? "\n" : "",
                 paths[i], said);
        free(said);
    }
    char *said = output_of(run(SUMMARISE, SUMMARIES "/bart", paths[0], paths[1]));
    assert_string_equal(said, expected);
    free(said);
    free(paths[0]);
    free(paths[1]);
}

/* The opening facts of fresh stories, as the generator knows them; at most one in ten is wrong. */
static void the_assistant_summarises_stories(void **state)
{
    static talk t;
    const story_settings settings = story_settings_default();
    size_t n = 0, n_right = 0;

    (void)state;
    for (uint64_t i = 0; n < 20; i++) {
        assert_int_equal(talk_tell(&settings, 77, i, &t), 1);
        const char *asked = strstr(t.turns[0].said, "Summarise: ");
        if (asked == NULL)
            continue;
        char *said = output_of(run_with(asked + strlen("Summarise: "), SUMMARISE, ASSISTANT));
        said[strlen(said) - 1] = '\0';
        n_right += strcmp(said, t.turns[0].answer) == 0;
        n++;
        free(said);
    }
    printf("%zu of %zu summaries\n", n_right, n);
    assert_true(n_right >= 18);
}

static const char short_story[] =
    "Anna and Tom were in the garden. It was night. Anna put the ball in the box. Tom laughed. Then they went home.";
static const char facts[] = "Anna and Tom were in the garden at night. The ball was in the box.\n";

/* What has no room is cut at a word, or in it if it is the first, and the rest is summarised. */
static void a_long_text_is_cut(void **state)
{
    char text[8192] = "";
    size_t size = (size_t)snprintf(text, sizeof text, "%.*s",
                                   (int)(strlen(short_story) - strlen(" Then they went home.")), short_story);

    (void)state;
    while (size + 64 < sizeof text)
        size += (size_t)snprintf(text + size, sizeof text - size, " The children danced in a circle. Tom laughed.");
    process p = run_with(text, SUMMARISE, ASSISTANT);
    assert_non_null(strstr(p.err, "(stdin: the text has "));
    assert_non_null(strstr(p.err, " tokens, and the model reads the first "));
    double read = number_after(p.err, "the model reads the first");
    assert_true(read > 250 && read < 384);
    char *said = output_of(p);
    assert_true(strlen(said) > 1);
    free(said);
    p = run_with(short_story, SUMMARISE, ASSISTANT, "-n", "5");
    assert_non_null(strstr(p.err, "(cut off here: -n)"));
    said = output_of(p);
    assert_string_equal(said, "Anna and Tom were in\n");
    free(said);
    refused(run_with(short_story, SUMMARISE, ASSISTANT, "-n", "380"), "no room for a text and its summary");
    memset(text, 'a', 4000);
    text[4000] = '\0';
    p = run_with(text, SUMMARISE, ASSISTANT);
    assert_non_null(strstr(p.err, "(stdin: the text has 4"));
    read = number_after(p.err, "the model reads the first");
    assert_true(read > 250 && read < 384);
    free(output_of(p));
}

/* The same summary from beams and from two threads; other instructions get other answers. */
static void options_count(void **state)
{
    (void)state;
    char *beams = output_of(run_with(short_story, SUMMARISE, ASSISTANT, "-", "--beams", "3"));
    char *asked = output_of(run_with(short_story, SUMMARISE, ASSISTANT, "--instruction", ""));
    assert_string_equal(beams, facts);
    assert_string_not_equal(asked, facts);
    free(beams);
    free(asked);
}

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{SUMMARISE}, "FOLDER is missing"},
        {{SUMMARISE, SUMMARIES "/bart", MODELS "/none.txt"}, "none.txt: cannot be read"},
        {{SUMMARISE, SUMMARIES "/bart", "/dev/null"}, "/dev/null: there is no text to summarise"},
        {{SUMMARISE, MODELS "/gpt", "x"}, "chat"},
        {{SUMMARISE, MODELS "/mood", "x"}, "is an encoder and writes no texts"},
        {{SUMMARISE, SUMMARIES "/t5", "x", "-n", "0"}, "-n expects at least 1"},
        {{SUMMARISE, SUMMARIES "/t5", "x", "--beams", "0"}, "--beams expects"},
    };

    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
    refused(run_with(" \r\n", SUMMARISE, SUMMARIES "/t5"), "stdin: there is no text to summarise");
}

static int set_up(void **state)
{
    (void)state;
    return find_programs(PROGRAMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoder_decoders_write_what_transformers_does),
        cmocka_unit_test(tasks_have_settings_of_their_own),
        cmocka_unit_test(files_are_summarised_one_by_one),
        cmocka_unit_test(the_assistant_summarises_stories),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(options_count),
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
