/*
 * test_programs_inspect_encoders.c - inspect tells what an encoder makes of a text.
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
        {FIXTURES "/encoders/bert", "makes        rows of 20\n"},
        {FIXTURES "/encoders/bert_text", "makes        rows of 20, scores of a text: 3\n"},
        {FIXTURES "/encoders/roberta_tokens", "makes        rows of 20, scores of each token: 4\n"},
        {FIXTURES "/encoders/bert_fill", "makes        rows of 20, fillings of masked tokens: 66\n"},
        {FIXTURES "/encoders/sentence_dense", "makes        rows of 20, embeddings of 18\n"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(inspects)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
