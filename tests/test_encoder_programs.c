/*
 * test_encoder_programs.c - encoders met by programs: inspect tells what one makes of a text, generate says that it is
 * none of its kind.
 */
#include <string.h>

#include "process.h"
#include "testing.h"

static process run(const char *program, const char *folder, const char *more)
{
    return process_run(NULL, (const char *const[]){program, folder, more, NULL}, NULL);
}

static void inspects(void **unused)
{
    static const char *const said[][2] = {
        {FIXTURES "/models/encoders/bert", "makes        rows of 20\n"},
        {FIXTURES "/models/encoders/bert_text", "makes        rows of 20, scores of a text: 3\n"},
        {FIXTURES "/models/encoders/roberta_tokens", "makes        rows of 20, scores of each token: 4\n"},
        {FIXTURES "/models/encoders/bert_fill", "makes        rows of 20, fillings of masked tokens: 66\n"},
        {FIXTURES "/models/encoders/sentence_dense", "makes        rows of 20, embeddings of 18\n"},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        process p = run(PROGRAMS "/inspect", said[i][0], NULL);
        assert_int_equal(p.code, 0);
        assert_non_null(strstr(p.out, said[i][1]));
        assert_null(strstr(p.out, "state  "));
        assert_string_equal(p.err, "");
        process_free(&p);
    }
}

static void an_encoder_does_not_generate(void **unused)
{
    (void)unused;
    process p = run(PROGRAMS "/generate", FIXTURES "/models/encoders/bert_fill", "the cat");
    assert_int_equal(p.code, 1);
    assert_non_null(strstr(p.err, "a bert model is an encoder, which sees a text whole and has no state"));
    process_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(inspects), cmocka_unit_test(an_encoder_does_not_generate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
