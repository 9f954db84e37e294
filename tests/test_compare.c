/*
 * test_compare.c - the program compare: the same figures everywhere, pages and pictures. Its verdicts are the subject
 * of test_verdicts.c.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "programs.h"

#define COMPARE PROGRAMS "/compare"

/* ---- figures ---------------------------------------------------------------------------------------------------- */

/* Every kernel on a few stories, and those that take their time on two. The suite leaves out every second kernel, and
   the sections of the influence and of the contradictions, which take long. */
static void figures_do_not_depend_on_the_machine(void **state)
{
    const char *sections = test_stride(2) == 1
                               ? "learned,position,influence,memory,translation,context,contradiction,switch"
                               : "learned,position,memory,translation,context,switch";
    char *best = output_of(run(COMPARE, "--json", "--stories", "6", "--only", sections));
    char *two = output_of(run(COMPARE, "--json", "--stories", "2", "--only", "learned"));

    (void)state;
    for (size_t i = 1; ink_kernel_name(i) != NULL; i += test_stride(2)) { /* the first is the best */
        bool slow = strcmp(ink_kernel_name(i), "portable") == 0 || strcmp(ink_kernel_name(i), "sse2") == 0;
        char *json = output_of(run(COMPARE, "--json", "--stories", slow ? "2" : "6", "--kernel", ink_kernel_name(i),
                                   "--only", slow ? "learned" : sections));
        assert_string_equal(json, slow ? two : best);
        free(json);
    }
    free(two);
    free(best);
}

static void seeds_are_heeded(void **state)
{
    char *one = output_of(run(COMPARE, "--json", "--stories", "4", "--only", "learned"));
    char *two = output_of(run(COMPARE, "--json", "--stories", "4", "--only", "learned", "--seed", "2"));

    (void)state;
    assert_string_not_equal(one + strlen("{\"seed\": 1"), two + strlen("{\"seed\": 1"));
    free(one);
    free(two);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

/* In a terminal of 80 columns nothing is broken, and nobody who does not look is shown progress. A table of the eleven
   claims is the end. What is counted comes out on any machine; what is timed is only there, and left out in the suite,
   because it takes long. */
static void pages_are_80_columns_wide(void **state)
{
    const bool whole = test_stride(2) == 1;
    const int n_sections = whole ? 11 : 9;
    process p = run(COMPARE, "--stories", "2", whole ? NULL : "--only",
                    "learned,position,influence,memory,translation,context,depth,contradiction,switch");

    (void)state;
    assert_int_equal(p.code, 0);
    assert_int_equal(p.err_size, 0);
    assert_int_equal(count_of(p.out, "\n  => "), n_sections);
    const char *total = strstr(p.out, "\nAll claims\n\n");
    assert_non_null(total);
    assert_int_equal(count_of(total, "\n"), 3 + n_sections + 2);
    assert_int_equal(count_of(p.out, "\n  yes of a prompt of 256 tokens, 4 steps of the GPT"), whole ? 3 : 0);
    assert_int_equal(count_of(p.out, "with 40 million parameters the GPT gains more than"), whole ? 3 : 0);
    /* What two stories do not tell. */
    assert_int_equal(count_of(p.out, " nan"), 0);
    assert_int_equal(count_of(p.out, " at every distance: too few stories\n"), 3);
    fits_80_columns(p.out);
    process_free(&p);
}

static void pictures_are_written(void **state)
{
    char *folder = fresh_folder();

    (void)state;
    free(output_of(run(COMPARE, "--stories", "4", "--only", "memory", "--svg", folder)));
    static const char *const names[] = {"memory.svg", "memory-probability.svg", "memory-places.svg"};
    for (size_t i = 0; i < 3; i++) {
        size_t size;
        char *svg = read_file(folder, names[i], &size);
        assert_memory_equal(svg, "<svg ", 5);
        assert_non_null(strstr(svg, ">LSTM</text>"));
        assert_string_equal(svg + size - 7, "</svg>\n");
        /* Chance and a guess among this story's places are told apart, in the picture and in its legend. */
        assert_int_equal(count_of(svg, "stroke-dasharray=\"4 4\""), 2);
        assert_int_equal(count_of(svg, "stroke-dasharray=\"14 4\""), i == 2 ? 2 : 0);
        free(svg);
    }
    forget(folder);
}

/* The page quotes what compare says in a section: each of its checks, word by word, if it has n_checks of them; and in
   any case the row of the section in the table of all claims. */
static void page_quotes(const char *file, const char *json, const char *part, size_t n_checks)
{
    char name[64], brief[64], quoted[400];
    size_t n = 0, n_holds = 0, size;
    char *page = read_file(SOURCE_DIR "/examples", file, &size);

    snprintf(name, sizeof name, "\"name\": \"%s\", \"timed\"", part);
    const char *at = strstr(json, name), *end = at != NULL ? strstr(at, "\"charts\"") : NULL;
    assert_true(at != NULL && end != NULL);
    assert_int_equal(sscanf(strstr(at, "\"brief\": "), "\"brief\": \"%63[^\"]", brief), 1);
    for (; (at = strstr(at, "{\"holds\": ")) != NULL && at < end; n++) {
        const bool holds = strncmp(at, "{\"holds\": true", 14) == 0;
        const char *text = strstr(at, "\"text\": \"") + strlen("\"text\": \"");
        snprintf(quoted, sizeof quoted, "\n    %s %.*s\n", holds ? "yes" : "no ", (int)strcspn(text, "\""), text);
        if (n_checks > 0 && strstr(page, quoted) == NULL)
            fail_msg("examples/%s does not say:%s", file, quoted);
        n_holds += holds;
        at = text;
    }
    if (n_checks > 0)
        assert_int_equal(n, n_checks);
    snprintf(quoted, sizeof quoted, "\n    %-6s %2zu/%-2zu %-13s %s\n",
             n_holds == n   ? "yes"
             : n_holds == 0 ? "no"
                            : "partly",
             n_holds, n, part, brief);
    if (strstr(page, quoted) == NULL)
        fail_msg("examples/%s does not say:%s", file, quoted);
    free(page);
}

/* What README.md and examples/README.md show was computed on another machine, and is the same to the last digit. The
   suite asks for the section about translation alone. */
static void the_pages_show_what_it_prints(void **state)
{
    static const char *const names[] = {"translation.svg", "learned.svg",       "position.svg",        "influence.svg",
                                        "gradient.svg",    "memory.svg",        "memory-places.svg",   "context.svg",
                                        "depth.svg",       "contradiction.svg", "steps.svg",           "state.svg",
                                        "operations.svg",  "switch.svg",        "switch-trainings.svg"};
    static const struct {
        const char *part;
        size_t n_checks;
    } quoted[] = {{"translation", 6}, {"learned", 0}, {"position", 0},      {"influence", 10}, {"memory", 16},
                  {"context", 0},     {"depth", 4},   {"contradiction", 3}, {"switch", 5}};
    const bool whole = test_stride(2) == 1;
    char *folder = fresh_folder();
    size_t size;
    char *json = output_of(run(COMPARE, "--json", "--svg", folder, whole ? NULL : "--only", "translation"));

    (void)state;
    for (size_t i = 0; i < (whole ? sizeof names / sizeof *names : 1); i++) {
        char *made = read_file(folder, names[i], &size);
        char *shown = read_file(SOURCE_DIR "/examples/plots", names[i], &size);
        if (strcmp(made, shown) != 0)
            fail_msg("examples/plots/%s is not what compare --svg writes", names[i]);
        free(made);
        free(shown);
    }
    for (size_t i = 0; i < (whole ? sizeof quoted / sizeof *quoted : 1); i++) {
        page_quotes("README.md", json, quoted[i].part, quoted[i].n_checks);
        page_quotes("README.ko.md", json, quoted[i].part, quoted[i].n_checks);
    }
    free(json);
    forget(folder);
}

/* The marks of other trainings are the figures of the log. */
static void trainings_are_those_of_the_log(void **state)
{
    size_t size;
    char *log = read_file(SOURCE_DIR "/examples/train", "log.md", &size);

    (void)state;
    for (size_t f = 0; f < N_FAMILIES; f++)
        for (size_t k = 0; k < N_TRAININGS; k++) {
            char row[32];
            double above, presses;
            snprintf(row, sizeof row, "\n| %s | %zu | ", families[f].folder, k);
            const char *at = strstr(log, row);
            assert_non_null(at);
            assert_int_equal(sscanf(at + strlen(row), "%lf %% | %*f, %*f | %*f | %*f, %*f, %lf |", &above, &presses),
                             2);
            assert_true(above == trainings[f][k].above && presses == trainings[f][k].presses);
        }
    free(log);
}

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{COMPARE, "x"}, "one argument too many"},
        {{COMPARE, "--only", "memories"}, "--only expects names of sections, such as 'learned,position'"},
        {{COMPARE, "--only", "learned,memories"}, "found 'memories'"},
        {{COMPARE, "--only", ""}, "found nothing"},
        {{COMPARE, "--stories", "1"}, "--stories expects a whole number from 2"},
        {{"env", "INKLING_MODELS=/none", COMPARE}, "/none/mlp"},
        {{COMPARE, "--svg", "/none"}, "--svg expects a folder that is there and can be written to, found '/none'"},
        {{COMPARE, "--svg", COMPARE}, "--svg expects a folder"},
    };

    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_do_not_depend_on_the_machine),
        cmocka_unit_test(seeds_are_heeded),
        cmocka_unit_test(pages_are_80_columns_wide),
        cmocka_unit_test(pictures_are_written),
        cmocka_unit_test(the_pages_show_what_it_prints),
        cmocka_unit_test(trainings_are_those_of_the_log),
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
