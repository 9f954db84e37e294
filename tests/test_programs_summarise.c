/*
 * test_programs_summarise.c - summarise from end to end: what transformers writes with encoder-decoders, texts that are
 * too long, and mistakes.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"

#define SUMMARISE PROGRAMS "/summarise"
#define SUMMARIES FIXTURES "/summaries"

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
        const char *tasks, *error; /* NULL: it opens, and knows no task */
    } damaged[] = {
        {"null", NULL},
        {"[1]", NULL},
        {"{\"summarization\": 3}", NULL},
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
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
