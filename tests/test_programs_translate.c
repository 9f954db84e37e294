/*
 * test_programs_translate.c - translate from end to end: the tokens, texts and scores of transformers' generate() for
 * folders of each kind (fixtures/make_translators.py), sentences that are kept apart, mistakes.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"

#define TRANSLATE PROGRAMS "/translate"
#define FOLDERS FIXTURES "/programs/translate_"

static const struct {
    const char *name, *from, *to;
    bool beams;
} folders[] = {{"marian", "en", "fra", true},
               {"m2m100", "en", "fr", true},
               {"nllb", "ko", "zh-Hant", false},
               {"t5", "en", "fr", true}};

enum { N_FOLDERS = sizeof folders / sizeof *folders, N_TEXTS = 5, FIELDS = 5 };
enum { TEXT, SOURCE, SCORE, TOKENS, WRITTEN }; /* the fields of a line */

/* What transformers makes of five sentences. */
typedef struct said {
    char *file, *field[N_TEXTS][FIELDS];
} said;

static said read_said(const char *name)
{
    said s;
    char file[64];
    size_t size, n = 0;
    snprintf(file, sizeof file, "translate_%s.said", name);
    s.file = read_file(FIXTURES "/programs", file, &size);
    for (char *at = s.file, *end; n < N_TEXTS && (end = strchr(at, '\n')) != NULL; at = end + 1, n++) {
        *end = '\0';
        for (size_t k = 0; k < FIELDS; k++) {
            s.field[n][k] = at;
            at += strcspn(at, "\t");
            assert_true(k + 1 == FIELDS || *at == '\t');
            if (*at == '\t')
                *at++ = '\0';
        }
    }
    assert_int_equal(n, N_TEXTS);
    return s;
}

/* One field of all lines, over and over. */
static void lines_of(const said *s, int field, size_t n, char *out)
{
    *out = '\0';
    for (size_t i = 0; i < n; i++)
        sprintf(out + strlen(out), "%s\n", s->field[i % N_TEXTS][field]);
}

static void translations_are_the_references(void **state)
{
    static char input[1 << 16], expected[1 << 16];
    (void)state;
    for (size_t i = 0; i < N_FOLDERS; i++) {
        char folder[512];
        snprintf(folder, sizeof folder, FOLDERS "%s", folders[i].name);
        said s = read_said(folders[i].name);
        lines_of(&s, TEXT, 23, input); /* more than run side by side */
        lines_of(&s, WRITTEN, 23, expected);
        const char *const from = folders[i].from, *const to = folders[i].to;
        char *text = output_of(run_with(input, TRANSLATE, folder, "--from", from, "--to", to));
        assert_string_equal(text, expected);
        free(text);
        lines_of(&s, TOKENS, 23, expected);
        text = output_of(run_with(input, TRANSLATE, "--ids", folder, "--from", from, "--to", to));
        assert_string_equal(text, expected);
        free(text);
        lines_of(&s, SOURCE, 23, input);
        text = output_of(run_with(input, TRANSLATE, "--ids", "--ids-in", folder, "--to", to));
        assert_string_equal(text, expected);
        free(text);
        lines_of(&s, TOKENS, 2, expected);
        text =
            output_of(run(TRANSLATE, "--ids", folder, s.field[0][TEXT], s.field[1][TEXT], "--from", from, "--to", to));
        assert_string_equal(text, expected);
        free(text);
        for (size_t k = 0; k < N_TEXTS && folders[i].beams; k++) {
            text = output_of(run(TRANSLATE, folder, s.field[k][TEXT], "--from", from, "--to", to, "--scores"));
            assert_true(fabs(atof(text) - atof(s.field[k][SCORE])) <= 1e-4);
            assert_int_equal(text[strlen(text) - 1], '\n');
            text[strlen(text) - 1] = '\0';
            assert_string_equal(strchr(text, '\t') + 1, s.field[k][WRITTEN]);
            free(text);
        }
        free(s.file);
    }
}

/* How a text is cut: the sentences one after the other give the same ids. */
static void sentences_are_kept_apart(void **state)
{
    static const struct {
        const char *text, *sentences[5];
    } cases[] = {{"mi bogela taco. lilage cuga!", {"mi bogela taco.", "lilage cuga!"}},
                 {"  lu mu?  mi.\t", {"lu mu?", "mi."}},
                 {"Mr. lu J. mu. Mi?! (taco.) \"lu.\" a", {"Mr. lu J. mu.", "Mi?!", "(taco.)", "\"lu.\"", "a"}},
                 {"at 5 p.m. on 3.14 etc. Mi.", {"at 5 p.m. on 3.14 etc. Mi."}},
                 {"lu... mu. Mi\xE2\x80\xA6 a", {"lu...", "mu.", "Mi\xE2\x80\xA6", "a"}},
                 {"\xE4\xB8\x8A\xE3\x80\x82\xE4\xBA\xBA\xEF\xBC\x9F\xE3\x80\x8D\xE4\xBA\xBA",
                  {"\xE4\xB8\x8A\xE3\x80\x82", "\xE4\xBA\xBA\xEF\xBC\x9F\xE3\x80\x8D", "\xE4\xBA\xBA"}},
                 {"www.x.y", {"www.x.y"}}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static char input[1024];
        size_t n = 0;
        input[0] = '\0';
        for (; n < 5 && cases[i].sentences[n] != NULL; n++)
            sprintf(input + strlen(input), "%s\n", cases[i].sentences[n]);
        char *expected = output_of(run_with(input, TRANSLATE, FOLDERS "marian", "--whole", "--ids", "-n", "4"));
        char *text = output_of(run(TRANSLATE, FOLDERS "marian", cases[i].text, "--ids", "-n", "4"));
        assert_int_equal(count_of(expected, "\n"), n);
        assert_string_equal(text, expected);
        free(expected);
        free(text);
    }
}

/* What a user would wonder about is said, and only then. */
static void notes_are_given(void **state)
{
    static const struct {
        const char *arguments[6], *note;
        bool given;
    } cases[] = {
        {{FOLDERS "m2m100", "mi."}, "(the model knows several languages; --to says", true},
        {{FOLDERS "m2m100", "mi.", "--to", "fr"}, "(the model knows", false},
        {{FOLDERS "m2m100", "5 9", "--ids-in", "--ids"}, "(the model knows", false},
        {{FOLDERS "marian", "mi."}, "(the model knows several languages; --to says", true},
        {{FOLDERS "t5", "mi."}, "(the model knows", false},
        {{FOLDERS "marian", "5 9", "--ids-in", "--to", "fra"}, "(--to has no effect: this model reads", true},
        {{FOLDERS "m2m100", "5 9", "--ids-in", "--to", "fr"}, "(--to has no effect", false},
        {{FOLDERS "t5", "lu mu. mi.", "-n", "3"}, "(sentence 2: the translation is cut off after 3 tokens)", true},
        {{MODELS "/translate_gru", "It was night."}, "cut off", false},
        {{FOLDERS "nllb", "mi", "--beams", "3", "--scores"}, "cut off", false}, /* has no words */
        {{FOLDERS "t5", "mi.", "-k", "3"}, "(-k, -p and --min-p have no effect at temperature 0)", true},
        {{FOLDERS "t5", "mi.", "-k", "3", "-t", "1"}, "have no effect", false},
        {{MODELS "/translate_gru", "It was night.", "--length-penalty", "2"},
         "(--length-penalty has no effect without --beams)",
         true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *arguments[8] = {TRANSLATE};
        for (size_t k = 0; k < 6 && cases[i].arguments[k] != NULL; k++)
            arguments[k + 1] = cases[i].arguments[k];
        process p = process_run(NULL, arguments, "");
        if (p.code != 0 || (strstr(p.err, cases[i].note) != NULL) != cases[i].given)
            fail_msg("case %zu: code %d, '%s'", i, p.code, p.err);
        process_free(&p);
    }
}

/* White space and empty lines stay. */
static void paragraphs_are_put_together(void **state)
{
    (void)state;
    char *a = output_of(run(TRANSLATE, FOLDERS "t5", "mi.", "-n", "5")), all[1024];
    char *b = output_of(run(TRANSLATE, FOLDERS "t5", "lu mu?", "-n", "5"));
    a[strlen(a) - 1] = b[strlen(b) - 1] = '\0';
    snprintf(all, sizeof all, "\n  %s \t%s\n\n \n%s %s\n", a, b, b, a);
    char *text = output_of(run_with("\n  mi. \tlu mu?\n\n \r\nlu mu? mi.", TRANSLATE, FOLDERS "t5", "-n", "5"));
    assert_string_equal(text, all);
    free(text);
    snprintf(all, sizeof all, "%s\n\n%s %s\n", a, b, a);
    text = output_of(run(TRANSLATE, FOLDERS "t5", "mi.", "", "lu mu? mi.", "-n", "5"));
    assert_string_equal(text, all);
    free(text);
    free(a);
    free(b);
}

static void sampled_translations_follow_the_seed(void **state)
{
    static const char input[] = "mi bogela taco.\nlilage cuga!\nmi bogela taco.\n";
    (void)state;
    char *a = output_of(run_with(input, TRANSLATE, FOLDERS "nllb", "--to", "fr", "-t", "2", "--ids"));
    char *b = output_of(run_with(input, TRANSLATE, FOLDERS "nllb", "--to", "fr", "-t", "2", "--ids", "--seed", "1"));
    char *c = output_of(run_with(input, TRANSLATE, FOLDERS "nllb", "--to", "fr", "-t", "2", "--ids", "--seed", "9"));
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    free(a);
    free(b);
    free(c);
}

static void languages_are_listed(void **state)
{
    (void)state;
    char *text = output_of(run(TRANSLATE, FOLDERS "nllb", "--languages"));
    assert_string_equal(text, "eng_Latn\nfra_Latn\nkor_Hang\nzho_Hans\nzho_Hant\n");
    free(text);
    text = output_of(run(TRANSLATE, FOLDERS "m2m100", "--languages"));
    assert_int_equal(count_of(text, "\n"), 100);
    free(text);
    refused(run(TRANSLATE, FOLDERS "t5", "--languages"), "the tokenizer has no tokens of languages");
}

/* The box: the reference translation is exact (stories), and this sentence is easy. */
static void the_model_in_the_box_translates(void **state)
{
    (void)state;
    char *text = output_of(run(TRANSLATE, MODELS "/translate_transformer", "Anna was in the garden. Tom slept."));
    assert_memory_equal(text, "anna ga jeongwon e isseotda. tom", 32);
    free(text);
}

static void a_long_sentence_is_cut(void **state)
{
    static char text[4096];
    (void)state;
    for (size_t i = 0; i < 60; i++)
        strcat(text, "mi bogela ");
    process p = run(TRANSLATE, FOLDERS "marian", "mi.", text, "--to", "fra", "--ids", "-n", "3");
    assert_int_equal(p.code, 0);
    assert_int_equal(count_of(p.out, "\n"), 2);
    assert_non_null(strstr(p.err, "line 2: a sentence of "));
    assert_non_null(strstr(p.err, "tokens is cut to 40, the most that the model reads"));
    process_free(&p);
}

static void mistakes_are_answered(void **state)
{
    static const mistake mistakes[] = {
        {{TRANSLATE}, "FOLDER is missing"},
        {{TRANSLATE, FOLDERS "m2m100", "a", "--to", "tlh"}, "does not know the language 'tlh'; it knows 100: af, am"},
        {{TRANSLATE, FOLDERS "m2m100", "a", "--from", "xx"}, "does not know the language 'xx'"},
        {{TRANSLATE, FOLDERS "nllb", "a", "--to", "de"}, "it knows 5: eng_Latn, fra_Latn"},
        {{TRANSLATE, FOLDERS "marian", "a", "--from", "ko", "--to", "fra"},
         "it translates from en to several languages"},
        {{TRANSLATE, FOLDERS "t5", "a", "--to", "de"}, "it translates from en to fr"},
        {{TRANSLATE, FOLDERS "nllb", "a", "--scores"}, "--scores are those of beams"},
        {{TRANSLATE, FOLDERS "nllb", "a", "--beams", "0"}, "--beams expects a whole number from 1"},
        {{TRANSLATE, FOLDERS "nllb", "a", "--beams", "2", "-t", "1"},
         "--beams searches for the likeliest text, and -t"},
        {{TRANSLATE, FOLDERS "nllb", "a", "--min", "9", "-n", "8"},
         "--min expects at most the 8 tokens of -n, found 9"},
        {{TRANSLATE, FOLDERS "nllb", "a", "-n", "0"}, "-n expects at least 1 token"},
        {{TRANSLATE, FOLDERS "nllb", "5 x", "--ids-in"}, "--ids-in expects whole numbers"},
        {{TRANSLATE, FOLDERS "nllb", "5", " ", "--ids-in"}, "--ids-in: text 2 lists no ids"},
        {{TRANSLATE, FOLDERS "nllb", "99999", "--ids-in"}, "contains token 99999, but the model has rows for 0 to"},
        {{TRANSLATE, FOLDERS "nllb", "5", "--ids-in", "--from", "ko"}, "--from is in the ids of --ids-in already"},
        {{TRANSLATE, FOLDERS "nllb",
          "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "--ids-in"},
         "text 1 has 41 ids, and the model reads 40 at most"},
        {{TRANSLATE, MODELS "/gpt", "a"}, "a gpt2 does not read one text to write another; generate continues texts"},
        {{TRANSLATE, MODELS "/bert", "a"}, "does not read one text to write another; use embed"},
        {{PROGRAMS "/generate", FOLDERS "nllb", "a"}, "reads one text and writes another; use translate"},
        {{PROGRAMS "/embed", FOLDERS "nllb", "a"}, "is no encoder; translate or summarise write texts with it"},
    };
    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(translations_are_the_references),
        cmocka_unit_test(sentences_are_kept_apart),
        cmocka_unit_test(paragraphs_are_put_together),
        cmocka_unit_test(sampled_translations_follow_the_seed),
        cmocka_unit_test(languages_are_listed),
        cmocka_unit_test(the_model_in_the_box_translates),
        cmocka_unit_test(a_long_sentence_is_cut),
        cmocka_unit_test(mistakes_are_answered),
        cmocka_unit_test(notes_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
