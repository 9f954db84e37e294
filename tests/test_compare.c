/*
 * test_compare.c - the program compare: the same figures everywhere, pages and pictures. Its verdicts are the subject
 * of test_verdicts.c.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"

#define COMPARE PROGRAMS "/compare"

/* ---- figures ---------------------------------------------------------------------------------------------------- */

/* Every kernel on a few stories, and those that take their time on two. The suite leaves out every second kernel, and
   the sections of the influence and of the contradictions, which take long. */
static void figures_do_not_depend_on_the_machine(void **state)
{
    const char *sections = test_stride(2) == 1
                               ? "learned,context,memory,influence,contradiction,switch,position,translation"
                               : "learned,context,memory,switch,position,translation";
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

/* In a terminal of 80 columns nothing is broken, and nobody who does not look is shown progress. */
static void pages_are_80_columns_wide(void **state)
{
    process p = run(COMPARE, "--stories", "2", "--threads", "1");

    (void)state;
    assert_int_equal(p.code, 0);
    assert_int_equal(p.err_size, 0);
    assert_int_equal(count_of(p.out, "\n  => "), 10);
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

/* The page quotes what compare says in a section: each of its checks, word by word. */
static void page_quotes_checks(const char *page, const char *json, const char *section, size_t n_checks)
{
    char name[64];
    size_t n = 0;

    snprintf(name, sizeof name, "\"name\": \"%s\", \"timed\"", section);
    const char *at = strstr(json, name), *end = at != NULL ? strstr(at, "\"charts\"") : NULL;
    assert_true(at != NULL && end != NULL);
    for (; (at = strstr(at, "{\"holds\": ")) != NULL && at < end; n++) {
        char quoted[400];
        const char *text = strstr(at, "\"text\": \"") + strlen("\"text\": \"");
        snprintf(quoted, sizeof quoted, "\n    %s %.*s\n", strncmp(at, "{\"holds\": true", 14) == 0 ? "yes" : "no ",
                 (int)strcspn(text, "\""), text);
        if (strstr(page, quoted) == NULL)
            fail_msg("examples/README.md does not say:%s", quoted);
        at = text;
    }
    assert_int_equal(n, n_checks);
}

/* What README.md and examples/README.md show was computed on another machine, and is the same to the last digit. The
   suite asks for the section about translation alone. */
static void the_pages_show_what_it_prints(void **state)
{
    static const char *const names[] = {"translation.svg", "learned.svg",  "memory.svg",       "memory-places.svg",
                                        "influence.svg",   "gradient.svg", "contradiction.svg"};
    const bool whole = test_stride(2) == 1;
    char *folder = fresh_folder();
    size_t size;
    char *page = read_file(SOURCE_DIR "/examples", "README.md", &size);
    char *json = output_of(run(COMPARE, "--json", "--svg", folder, "--only",
                               whole ? "learned,memory,influence,contradiction,translation" : "translation"));

    (void)state;
    for (size_t i = 0; i < (whole ? sizeof names / sizeof *names : 1); i++) {
        char *made = read_file(folder, names[i], &size);
        char *shown = read_file(SOURCE_DIR "/examples/plots", names[i], &size);
        if (strcmp(made, shown) != 0)
            fail_msg("examples/plots/%s is not what compare --svg writes", names[i]);
        free(made);
        free(shown);
    }
    page_quotes_checks(page, json, "translation", 5);
    if (whole) {
        page_quotes_checks(page, json, "memory", 10);
        page_quotes_checks(page, json, "influence", 8);
        page_quotes_checks(page, json, "contradiction", 3);
    }
    free(page);
    free(json);
    forget(folder);
}

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{COMPARE, "x"}, "one argument too many"},
        {{COMPARE, "--only", "memories"}, "--only expects names of sections, such as 'learned,context'"},
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
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
