/*
 * test_mend.c - the program mend: what it changes in a text and what it leaves alone, and how often it is right.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"

#define MEND PROGRAMS "/mend"
#define OPENING "Anna and Tom were in the garden. "

/* Every kind of mistake in turn, then several in one text. */
static void mistakes_are_mended(void **state)
{
    static const struct {
        const char *written, *mended, *changes[3];
    } cases[] = {
        {"They saw that the was door open.", "They saw that the door was open.", {"bits: was door -> door was\n"}},
        {OPENING "Anna was happy happy.", OPENING "Anna was happy.", {"bits: happy happy -> happy\n"}},
        {OPENING "Anna were happy.", OPENING "Anna was happy.", {"bits: were -> was\n"}},
        {OPENING "The children made fire.", OPENING "The children made a fire.", {"bits: made -> made a\n"}},
        {OPENING "Anna put the ball under a bench. Tom found ball the under the bench bench.",
         OPENING "Anna put the ball under the bench. Tom found the ball under the bench.",
         {"bits: a -> the\n", "bits: ball the -> the ball\n", "bits: bench bench -> bench\n"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char mended[256];
        size_t n = 0;
        process p = run(MEND, cases[i].written);
        assert_int_equal(p.code, 0);
        snprintf(mended, sizeof mended, "%s\n", cases[i].mended);
        assert_string_equal(p.out, mended);
        for (; n < 3 && cases[i].changes[n] != NULL; n++)
            if (strstr(p.err, cases[i].changes[n]) == NULL)
                fail_msg("expected '%s', found '%s'", cases[i].changes[n], p.err);
        assert_int_equal(count_of(p.err, "\n"), n);
        process_free(&p);
    }
}

/* Right sentences, names that nobody mentioned before, words that the vocabulary lacks; blanks and lines are kept, but
   for those in a sentence that was changed. */
static void the_rest_stays_as_it_is(void **state)
{
    static const char *const right[] = {
        OPENING "They had a cat with them.  Anna fed the\ncat.\n\n Paul was happy!",
        "Ruby laughed.",
        "Tom sang.", /* another word is likelier, and no form of this one */
        "Anna fed the car.",
        "They met the internationalizations the dog.",
        "Anna gave Tom, Tom laughed.", /* a mark stands between */
        "The dog run.",                /* "run" is not in the vocabulary */
        OPENING "Tom hid the door under the bench.",
        "It was night. They looked up at the moon. They looked up at the sun.",
        "It was night. They looked up at the moon.\n\nThey looked up at the sun.", /* another text */
        "Tom met a quiet zebra.",
        "They looked up at the sun",
        " \n",
        "",
    };
    char *mended =
        output_of(run(MEND, "The garden\n\nAnna and Tom\nwere in the garden.\r\n\r\nIt\nnight was.\nAnna\tlaughed."));

    (void)state;
    assert_string_equal(mended,
                        "The garden\n\nAnna and Tom\nwere in the garden.\r\n\r\nIt was night.\nAnna\tlaughed.\n");
    free(mended);
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        char expected[256];
        snprintf(expected, sizeof expected, "%s\n", right[i]);
        mended = output_of(run(MEND, right[i]));
        assert_string_equal(mended, expected);
        free(mended);
    }
}

/* Whole stories, of which each sentence is right, and the next story has other names. */
static void stories_stay_as_they_are(void **state)
{
    char *told = output_of(run(PROGRAMS "/stories", "-n", "3", "--seed", "5"));
    process p = run_with(told, MEND);

    (void)state;
    assert_int_equal(p.code, 0);
    assert_string_equal(p.out, told);
    assert_int_equal(p.err_size, 0);
    process_free(&p);
    free(told);
}

/* A change must gain more than it costs. */
static void changes_have_a_price(void **state)
{
    static const char written[] = OPENING "Anna were happy.", unlikely[] = OPENING "Tom put the ball on the box.";
    process p = run(MEND, written);
    const double gain = number_after(p.err, "  ");
    char below[32], above[32];

    (void)state;
    assert_true(gain > 12 && gain < 60);
    snprintf(below, sizeof below, "%.1f", gain - 0.1);
    snprintf(above, sizeof above, "%.1f", gain + 0.1);
    char *changed = output_of(run(MEND, written, "--cost", below)),
         *left = output_of(run(MEND, written, "--cost", above));
    assert_string_equal(changed, p.out);
    assert_string_equal(left, OPENING "Anna were happy.\n");
    /* What is right and unlikely enough becomes something else. */
    char *other = output_of(run(MEND, unlikely));
    assert_string_equal(other, OPENING "Tom put the ball in the box.\n");
    free(other);
    free(left);
    free(changed);
    process_free(&p);
}

/* A sentence longer than the window is left alone, and said to be; the next one is mended all the same. */
static void long_sentences_are_left_alone(void **state)
{
    enum { N = 130 };
    char text[N * 5 + 64] = "Anna", expected[sizeof text];
    size_t size = 4;
    (void)state;
    for (size_t i = 0; i < N; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, " Tom");
    snprintf(text + size, sizeof text - size, ". It night was.");
    snprintf(expected, sizeof expected, "%.*s. It was night.\n", (int)size, text);
    process p = run(MEND, text);
    assert_int_equal(p.code, 0);
    assert_string_equal(p.out, expected);
    assert_non_null(strstr(p.err, "(a sentence of more than 120 tokens stays as it is)\n"));
    process_free(&p);
}

/* The figures of the rows, and the same with plain C. */
static void most_mistakes_are_mended(void **state)
{
    static const struct {
        const char *row;
        double least;
    } rows[] = {{"two neighbouring words exchanged ", 90},
                {"a word twice ", 90},
                {"a wrong form or small word ", 80},
                {"a word left out ", 50},
                {"no mistake: left as it is ", 90}};
    char *out = output_of(run(MEND, "--stories", "5", "--threads", "2"));
    process here = run(MEND, "It night was."), everywhere = run(MEND, "It night was.", "--kernel", "portable");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double right, guess;
        char *row = strstr(out, rows[i].row);
        assert_non_null(row);
        assert_int_equal(sscanf(row + strlen(rows[i].row), "%lf %% %lf", &right, &guess), 2);
        if (right < rows[i].least || guess > 10)
            fail_msg("%s%.1f %%, by chance %.1f %%", rows[i].row, right, guess);
    }
    fits_80_columns(out);
    assert_string_equal(everywhere.out, here.out);
    assert_string_equal(everywhere.err, here.err);
    process_free(&everywhere);
    process_free(&here);
    free(out);
}

/* The words come from the BERT, and a broken one has none; exchanges need no BERT. */
static void another_bert_proposes_nothing(void **state)
{
    char *folder = broken_bert(), variable[128];

    (void)state;
    snprintf(variable, sizeof variable, "INKLING_MODELS=%s", folder);
    char *out = output_of(run("env", variable, MEND, OPENING "It night was. The children made fire."));
    assert_string_equal(out, OPENING "It was night. The children made fire.\n");
    free(out);
    forget(folder);
}

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{MEND, "a", "b"}, "one argument too many: 'b'"},
        {{MEND, "a", "--stories", "2"}, "--stories takes no text, found 'a'"},
        {{MEND, "--stories", "0"}, "--stories expects a whole number from 1"},
        {{MEND, "a", "--cost", "-1"}, "--cost expects a number from 0 to 1000, found '-1'"},
        {{"env", "INKLING_MODELS=/none", MEND, "a"}, "/none/gpt"},
    };

    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_mended),           cmocka_unit_test(the_rest_stays_as_it_is),
        cmocka_unit_test(stories_stay_as_they_are),      cmocka_unit_test(changes_have_a_price),
        cmocka_unit_test(long_sentences_are_left_alone), cmocka_unit_test(most_mistakes_are_mended),
        cmocka_unit_test(another_bert_proposes_nothing), cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
