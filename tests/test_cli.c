/*
 * test_cli.c - what the example programs share: strict numbers and the command line.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "cli.h"

static void whole_numbers(void **state)
{
    static const char *const bad[] = {
        "",    " 1",   "1 ", "+1", "-1", "1.0", "0x10", "1e3", "18446744073709551616", "99999999999999999999",
        "one", "1,000"};
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (number_whole(bad[i], &value))
            fail_msg("'%s' was taken for a whole number", bad[i]);
    assert_int_equal(value, 7);
    assert_true(number_whole("0", &value) && value == 0);
    assert_true(number_whole("007", &value) && value == 7);
    assert_true(number_whole("18446744073709551615", &value) && value == UINT64_MAX);
}

static void real_numbers(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "-",
        "+",
        "e5",
        ".e5",
        "1e",
        "1e+",
        "1.2.3",
        " 1",
        "1 ",
        "nan",
        "inf",
        "0x1p3",
        "1,5",
        "--1",
        "1e23",
        "1e99",
        "1e-99",
        "1e9999999999",
        "1234567890123456",
        "0.00000000000000000000001",
    };
    static const char *const good[] = {
        "0",
        "-0.5",
        "+2",
        ".5",
        "5.",
        "0.8",
        "1e3",
        "1E-3",
        "1.5e+2",
        "0.1",
        "0.3",
        "123456789012345",
        "1e-22",
        "100",
        "0.000000000000001",
        "9.99999999999999e22",
        "00000000000000001",
        "3.14159265358979",
    };
    double value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (number_real(bad[i], &value))
            fail_msg("'%s' was taken for a number", bad[i]);
    assert_true(value == 7);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!number_real(good[i], &value))
            fail_msg("'%s' was not taken for a number", good[i]);
        if (value != strtod(good[i], NULL)) /* exactly rounded */
            fail_msg("'%s' became %.17g", good[i], value);
    }
}

/* Runs cli_read() over some options with stderr going to a file, and returns what was said. */
typedef struct values {
    bool flag;
    const char *text;
    uint64_t count, seed;
    double real;
    const char *first, *second;
    size_t n_arguments;
} values;

static cli_outcome read_line(values *v, char said[512], int argc, const char *const *argv)
{
    const cli_option list[] = {
        CLI_FLAG("--ids", &v->flag, "a flag"),
        CLI_TEXT("--stop", "TEXT", &v->text, "a text"),
        CLI_COUNT("-n", "COUNT", &v->count, 1, 50, "a count"),
        CLI_COUNT("--seed", "S", &v->seed, 0, 0, "a count without bound"),
        CLI_REAL("-t", "T", &v->real, 2, "a number"),
    };
    cli prog = {.name = "prog",
                .usage = "",
                .about = "",
                .samples = "",
                CLI_OPTIONS(list),
                .names = {"FOLDER", "TEXT"},
                .n_least = 1,
                .n_most = 2};
    FILE *file = tmpfile();
    char *words[16];
    int saved = dup(2);
    cli_outcome outcome;

    assert_true(file != NULL && saved >= 0 && argc < 16);
    for (int i = 0; i < argc; i++)
        words[i] = (char *)argv[i]; /* nobody writes to it */
    fflush(stderr);
    dup2(fileno(file), 2);
    outcome = cli_read(&prog, argc, words);
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    rewind(file);
    said[fread(said, 1, 511, file)] = '\0';
    fclose(file);
    v->n_arguments = prog.n_arguments;
    v->first = prog.arguments[0];
    v->second = prog.arguments[1];
    return outcome;
}

static void reads_lines(void **state)
{
    values v = {.count = 9};
    char said[512];
    static const char *const a[] = {"prog", "-n", "50", "FIRST", "--stop", "-x", "-t=0.5", "--ids", "second"};
    static const char *const b[] = {"prog", "FIRST", "--", "--ids"};
    static const char *const c[] = {"prog", "FIRST", "-", "--seed=18446744073709551615"};
    static const char *const d[] = {"prog", "FIRST", "-n", "2", "-n", "3", "--stop="};

    (void)state;
    assert_int_equal(read_line(&v, said, 9, a), CLI_RUN);
    assert_string_equal(said, "");
    assert_int_equal(v.count, 50);     /* bounds are allowed */
    assert_string_equal(v.text, "-x"); /* whatever follows an option is its value */
    assert_true(v.real == 0.5 && v.flag);
    assert_int_equal(v.n_arguments, 2);
    assert_string_equal(v.first, "FIRST");
    assert_string_equal(v.second, "second");

    v = (values){0};
    assert_int_equal(read_line(&v, said, 4, b), CLI_RUN);
    assert_false(v.flag);
    assert_string_equal(v.second, "--ids");

    v = (values){0};
    assert_int_equal(read_line(&v, said, 4, c), CLI_RUN);
    assert_string_equal(v.second, "-");
    assert_true(v.seed == UINT64_MAX);

    v = (values){0};
    assert_int_equal(read_line(&v, said, 7, d), CLI_RUN);
    assert_int_equal(v.count, 3);
    assert_string_equal(v.text, "");
}

static void answers_mistakes(void **state)
{
    static const struct {
        const char *words[6];
        const char *said;
    } cases[] = {
        {{"prog"}, "prog: FOLDER is missing (--help shows how prog is called)\n"},
        {{"prog", "a", "b", "c"}, "prog: one argument too many: 'c' (--help shows how prog is called)\n"},
        {{"prog", "a", "-n"}, "prog: -n needs a value: COUNT, a count\n"},
        {{"prog", "a", "-n", "many"}, "prog: -n expects a whole number from 1 to 50, found 'many'\n"},
        {{"prog", "a", "-n", "0"}, "prog: -n expects a whole number from 1 to 50, found '0'\n"},
        {{"prog", "a", "-n", "51"}, "prog: -n expects a whole number from 1 to 50, found '51'\n"},
        {{"prog", "a", "-t", "2.5"}, "prog: -t expects a number from 0 to 2, found '2.5'\n"},
        {{"prog", "a", "-t", "hot"}, "prog: -t expects a number from 0 to 2, found 'hot'\n"},
        {{"prog", "a", "--seed", "-1"}, "prog: --seed expects a whole number of at least 0, found '-1'\n"},
        {{"prog", "a", "--ids=3"}, "prog: --ids takes no value, found '3'\n"},
        {{"prog", "a", "--sed", "3"}, "prog: unknown option '--sed'; the nearest is '--seed', and --help shows all\n"},
        {{"prog", "a", "--stpo"}, "prog: unknown option '--stpo'; the nearest is '--stop', and --help shows all\n"},
        {{"prog", "a", "--quantize"}, "prog: unknown option '--quantize'; --help shows all\n"},
        {{"prog", "a", "-N", "3"}, "prog: unknown option '-N'; the nearest is '-n', and --help shows all\n"},
        {{"prog", "a", "--sede=7"}, "prog: unknown option '--sede=7'; the nearest is '--seed', and --help shows all\n"},
        {{"prog", "a", "-x"}, "prog: unknown option '-x'; --help shows all\n"}, /* not every letter is near -n */
        {{"prog", "a", "--kids"}, "prog: unknown option '--kids'; the nearest is '--ids', and --help shows all\n"},
        {{"prog", "a", "--add"}, "prog: unknown option '--add'; --help shows all\n"},
        {{"prog", "a", "--temperature", "1"},
         "prog: unknown option '--temperature'; here it is '-t', and --help shows all\n"},
        {{"prog", "a", "--Random_Seed=1"},
         "prog: unknown option '--Random_Seed=1'; here it is '--seed', and --help shows all\n"},
        {{"prog", "a", "--count", "3"}, "prog: unknown option '--count'; here it is '-n', and --help shows all\n"},
        {{"prog", "a", "--max-tokens", "3"},
         "prog: unknown option '--max-tokens'; --help shows all\n"},                           /* -n counts others */
        {{"prog", "a", "--top-k", "3"}, "prog: unknown option '--top-k'; --help shows all\n"}, /* there is none */
        {{"prog", "--model", "a"},
         "prog: unknown option '--model'; here FOLDER needs no option, and --help shows all\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        values v = {0};
        char said[512];
        int argc = 0;
        while (argc < 6 && cases[i].words[argc] != NULL)
            argc++;
        assert_int_equal(read_line(&v, said, argc, cases[i].words), CLI_ERROR);
        assert_string_equal(said, cases[i].said);
        assert_true(v.count == 0 && v.real == 0 && !v.flag); /* values that are refused are not stored */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(real_numbers),
        cmocka_unit_test(reads_lines),
        cmocka_unit_test(answers_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
