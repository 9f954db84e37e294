/*
 * test_understand.c - the program understand: gaps filled from both sides, and what a shuffled BERT makes of them.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"

#define UNDERSTAND PROGRAMS "/understand"

/* The same stories, the same figures; and they are those that make the verdict. */
static void stories_are_understood(void **state)
{
    char *out = output_of(run(UNDERSTAND, "--stories", "40")), *again = output_of(run(UNDERSTAND, "--stories", "40"));

    (void)state;
    assert_string_equal(out, again);
    assert_non_null(strstr(out, "=> borne out: 8 of 8 hold."));
    fits_80_columns(out);
    free(again);
    free(out);
}

/* With a broken BERT nothing is understood. */
static void another_bert_understands_nothing(void **state)
{
    char *folder = broken_bert(), variable[128];

    (void)state;
    snprintf(variable, sizeof variable, "INKLING_MODELS=%s", folder);
    char *out = output_of(run("env", variable, UNDERSTAND, "--stories", "40"));
    assert_null(strstr(out, "=> borne out"));
    free(out);
    forget(folder);
}

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{UNDERSTAND, "a"}, "one argument too many: 'a'"},
        {{UNDERSTAND, "--stories", "0"}, "--stories expects a whole number from 1"},
        {{"env", "INKLING_MODELS=/none", UNDERSTAND}, "/none/bert"},
    };

    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories_are_understood),
        cmocka_unit_test(another_bert_understands_nothing),
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
