/*
 * test_tokenizer_folder.c - what a folder says beside tokenizer.json, and folders that have none.
 */
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A folder in memory. */
#define MAX_FILES 4

static ink_result open_files(ink_context *ctx, const char *const (*files)[2], ink_tokenizer **tokenizer)
{
    ink_memory_file all[MAX_FILES];
    ink_memory_files folder = {all, 0};
    for (; folder.n_files < MAX_FILES && files[folder.n_files][0] != NULL; folder.n_files++)
        all[folder.n_files] =
            (ink_memory_file){files[folder.n_files][0], files[folder.n_files][1], strlen(files[folder.n_files][1])};
    ink_source source = ink_source_memory(&folder);
    return ink_tokenizer_open_source(ctx, &source, tokenizer);
}

static ink_token find(const ink_tokenizer *tokenizer, const char *text)
{
    return ink_tokenizer_find(tokenizer, text, strlen(text));
}

/* ---- control tokens --------------------------------------------------------------------------------------------- */

/* Without other files: the template, the model, the padding and the spelling tell. */
static void controls_follow_from_tokenizer_json(ink_context *ctx)
{
    ink_tokenizer *bert = test_open_tokenizer(ctx, "bert"), *llama2 = test_open_tokenizer(ctx, "llama2");
    ink_tokenizer *plain = test_open_tokenizer(ctx, "plain");
    assert_int_equal(ink_tokenizer_control(bert, INK_CONTROL_CLS), find(bert, "[CLS]"));
    assert_int_equal(ink_tokenizer_control(bert, INK_CONTROL_SEP), find(bert, "[SEP]"));
    assert_int_equal(ink_tokenizer_control(bert, INK_CONTROL_UNK), find(bert, "[UNK]"));
    assert_true(find(bert, "[MASK]") > 0 && find(bert, "[PAD]") >= 0); /* by how they are spelled */
    assert_int_equal(ink_tokenizer_control(bert, INK_CONTROL_MASK), find(bert, "[MASK]"));
    assert_int_equal(ink_tokenizer_control(bert, INK_CONTROL_PAD), find(bert, "[PAD]"));
    assert_int_equal(ink_tokenizer_control(plain, INK_CONTROL_MASK), -1);
    assert_true(ink_tokenizer_adds(bert, INK_CONTROL_CLS) && ink_tokenizer_adds(bert, INK_CONTROL_SEP));
    assert_false(ink_tokenizer_adds(bert, INK_CONTROL_UNK) || ink_tokenizer_adds(bert, INK_CONTROL_MASK));
    assert_int_equal(ink_tokenizer_control(llama2, INK_CONTROL_BOS), find(llama2, "<s>"));
    assert_int_equal(ink_tokenizer_control(llama2, INK_CONTROL_EOS), -1);
    assert_true(ink_tokenizer_adds(llama2, INK_CONTROL_BOS));
    assert_false(ink_tokenizer_adds(llama2, INK_CONTROL_EOS));
    assert_int_equal(ink_tokenizer_control(plain, INK_CONTROL_BOS), -1);
    assert_int_equal(ink_tokenizer_control(plain, (ink_control)99), -1);
    assert_int_equal(ink_tokenizer_control(NULL, INK_CONTROL_BOS), -1);
    assert_true(ink_tokenizer_max_length(plain) == SIZE_MAX);
    assert_int_equal(ink_tokenizer_max_length(NULL), 0);
    ink_tokenizer_free(bert);
    ink_tokenizer_free(llama2);
    ink_tokenizer_free(plain);
}

static void other_files_name_the_controls(ink_context *ctx)
{
    ink_tokenizer *tokenizer = NULL;
    size_t size;
    char *json = test_read_tokenizer("bert", ".json", &size);
    const char *const files[][2] = {
        {"tokenizer.json", json},
        {"tokenizer_config.json", "{\"cls_token\": \"[PAD]\", \"mask_token\": {\"content\": \"[MASK]\"}, "
                                  "\"bos_token\": \"no such token\", \"pad_token\": null, \"model_max_length\": 512}"},
        {"special_tokens_map.json", "{\"cls_token\": \"[CLS]\", \"pad_token\": \"[PAD]\"}"},
        {NULL, NULL}};
    assert_ok(ctx, open_files(ctx, files, &tokenizer));
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_CLS), find(tokenizer, "[CLS]"));
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_BOS), find(tokenizer, "no such token")); /* new */
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_BOS) + 1, ink_tokenizer_vocab_size(tokenizer));
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_MASK), find(tokenizer, "[MASK]"));
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_PAD), find(tokenizer, "[PAD]"));
    assert_int_equal(ink_tokenizer_control(tokenizer, INK_CONTROL_SEP), find(tokenizer, "[SEP]"));
    assert_int_equal(ink_tokenizer_max_length(tokenizer), 512);
    ink_tokenizer_free(tokenizer);
    free(json);
}

static void a_wrong_config_is_refused(ink_context *ctx)
{
    static const struct {
        const char *text;
        ink_result result;
        const char *words;
        size_t max_length; /* where it is opened */
    } cases[] = {
        {"[]", INK_ERROR_MISMATCH, "tokenizer_config.json", 0},
        {"{", INK_ERROR_CORRUPT, "tokenizer_config.json", 0},
        {"{\"bos_token\": 1}", INK_ERROR_MISMATCH, "bos_token", 0},
        {"{\"bos_token\": {}}", INK_ERROR_MISMATCH, "'content' is missing", 0},
        {"{\"model_max_length\": \"512\"}", INK_ERROR_MISMATCH, "model_max_length", 0},
        {"{\"model_max_length\": 1000000000000000019884624838656}", INK_OK, NULL, SIZE_MAX},
        {"{\"model_max_length\": 1e30}", INK_OK, NULL, SIZE_MAX},
        {"{\"model_max_length\": -2}", INK_OK, NULL, SIZE_MAX},
        {"{\"model_max_length\": null}", INK_OK, NULL, SIZE_MAX},
        {"{\"model_max_length\": 0}", INK_OK, NULL, 0},
        {"{\"truncation_side\": \"Left\"}", INK_ERROR_UNSUPPORTED, "truncation_side is 'Left', expected 'left'", 0},
    };
    size_t size;
    char *json = test_read_tokenizer("bert", ".json", &size);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const files[][2] = {
            {"tokenizer.json", json}, {"tokenizer_config.json", cases[i].text}, {NULL, NULL}};
        ink_tokenizer *tokenizer = NULL;
        ink_result result = open_files(ctx, files, &tokenizer);
        assert_int_equal(result, cases[i].result);
        if (result == INK_OK)
            assert_true(ink_tokenizer_max_length(tokenizer) == cases[i].max_length);
        else
            assert_non_null(strstr(ink_context_error(ctx), cases[i].words));
        ink_tokenizer_free(tokenizer);
    }
    free(json);
}

/* ---- without tokenizer.json ------------------------------------------------------------------------------------- */

#define WORDS "[PAD]\n[UNK]\n[CLS]\r\n[SEP]\n[MASK]\nhello\n##s\nworld  \n\xC3\xA9t\xC3\xA9\n\"\n\\\n"

static void expect_ids(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, const ink_token *expected,
                       size_t n_expected)
{
    ink_token ids[32];
    size_t n = 0;
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, strlen(text), INK_ENCODE_DEFAULT, ids, 32, &n));
    assert_int_equal(n, n_expected);
    assert_memory_equal(ids, expected, n * sizeof *ids);
}

/* The parity of whole folders is in test_tokenizer.c; here is what a file alone decides. */
static void a_vocab_txt_alone_is_a_tokenizer(ink_context *ctx)
{
    static const ink_token uncased[] = {2, 5, 6, 7, 4, 1, 3}, cased[] = {2, 1, 7, 4, 8, 9, 10, 3};
    ink_tokenizer *tokenizer = NULL;
    const char *const files[][2] = {{"vocab.txt", WORDS}, {NULL, NULL}};
    assert_ok(ctx, open_files(ctx, files, &tokenizer));
    assert_int_equal(ink_tokenizer_vocab_size(tokenizer), 11);
    expect_ids(ctx, tokenizer, "HELLOs world[MASK]\xC3\xA9t\xC3\xA9", uncased, 7);
    ink_tokenizer_free(tokenizer);

    const char *const with_config[][2] = {
        {"vocab.txt", WORDS}, {"tokenizer_config.json", "{\"do_lower_case\": false}"}, {NULL, NULL}};
    assert_ok(ctx, open_files(ctx, with_config, &tokenizer));
    expect_ids(ctx, tokenizer, "HELLOs world [MASK] \xC3\xA9t\xC3\xA9\"\\", cased, 8);
    assert_true(ink_tokenizer_is_special(tokenizer, 4));
    ink_tokenizer_free(tokenizer);
}

/* Of several files transformers takes tokenizer.model, or else that of the class; it does not ask the class of
   Mistral's folders. The ids are those of AutoTokenizer. */
static void the_class_decides_which_file_is_read(ink_context *ctx)
{
    static const struct {
        bool general; /* tokenizer.model is there */
        const char *class_name, *model;
        size_t vocab_size;
        ink_token ids[10];
    } cases[] = {
        {false, "XLMRobertaTokenizer", "", 352, {0, 12, 151, 63, 105, 334, 12, 211, 2}},
        {false, "CamembertTokenizer", "", 355, {5, 15, 154, 66, 108, 337, 15, 214, 6}},
        {false, "T5Tokenizer", "", 400, {3, 152, 57, 106, 283, 3, 226, 1}},
        {false, "BertTokenizer", "", 11, {2, 5, 1, 3}},
        {true, "XLMRobertaTokenizer", "", 502, {0, 445, 3, 451, 487, 487, 467, 445, 446, 2}},
        {true, "T5Tokenizer", "", 601, {444, 2, 450, 486, 486, 466, 444, 445, 2}},
        {true, "LlamaTokenizer", "", 500, {444, 107, 450, 486, 486, 466, 444, 444, 444, 445}},
        {true, "LlamaTokenizer", "mistral", 500, {444, 107, 450, 486, 486, 466, 444, 444, 445}},
        {true, "PreTrainedTokenizerFast", "", 500, {444, 107, 450, 486, 486, 466, 444, 444, 445}},
    };
    static const char *const names[] = {"legacy_xlmr/sentencepiece.bpe.model", "legacy_t5/spiece.model",
                                        "legacy_bpe/tokenizer.model"};
    ink_memory_file files[6] = {[3] = {"vocab.txt", WORDS, sizeof WORDS - 1}};
    for (size_t i = 0; i < 3; i++) {
        files[i].name = strchr(names[i], '/') + 1;
        files[i].data = test_read_tokenizer(names[i], "", &files[i].size);
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char config[80], model[80];
        const ink_memory_file general = files[2];
        size_t n = 0;
        ink_tokenizer *tokenizer = NULL;
        snprintf(config, sizeof config, "{\"tokenizer_class\": \"%s\"}", cases[i].class_name);
        snprintf(model, sizeof model, "{\"model_type\": \"%s\"}", cases[i].model);
        files[4] = (ink_memory_file){"tokenizer_config.json", config, strlen(config)};
        files[5] = (ink_memory_file){"config.json", model, strlen(model)};
        if (!cases[i].general)
            files[2].name = "other.model";
        ink_source source = ink_source_memory(&(ink_memory_files){files, 6});
        assert_ok(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizer));
        files[2] = general;
        assert_int_equal(ink_tokenizer_vocab_size(tokenizer), cases[i].vocab_size);
        while (n < 10 && (cases[i].ids[n] != 0 || n == 0))
            n++;
        expect_ids(ctx, tokenizer,
                   "hello  \xE2\x96\x81"
                   "a",
                   cases[i].ids, n);
        ink_tokenizer_free(tokenizer);
    }
    for (size_t i = 0; i < 3; i++)
        free((void *)(uintptr_t)files[i].data);
}

static void other_folders_are_refused(ink_context *ctx)
{
    static const struct {
        const char *files[MAX_FILES][2];
        ink_result result;
        const char *words;
    } cases[] = {
        {{{"config.json", "{}"}, {NULL, NULL}}, INK_ERROR_NOT_FOUND, "no tokenizer.json, no vocab.json"},
        {{{"tokenizer.model", "x"}, {NULL, NULL}}, INK_ERROR_CORRUPT, "tokenizer.model: byte 1: a number"},
        {{{"vocab.json", "{\"a\": 0}"}, {NULL, NULL}}, INK_ERROR_NOT_FOUND, "merges.txt"},
        {{{"vocab.json", "{\"a\" 0}"}, {"merges.txt", ""}, {NULL, NULL}}, INK_ERROR_CORRUPT, "vocab.json"},
        {{{"vocab.json", "[]"}, {"merges.txt", ""}, {NULL, NULL}}, INK_ERROR_MISMATCH, "vocab.json"},
        {{{"vocab.json", "{\"a\": 0}"}, {"merges.txt", "#version: 0.2\n\na b\n"}, {NULL, NULL}},
         INK_ERROR_CORRUPT,
         "merges.txt: line 3: the right token is not in the vocabulary"},
        {{{"vocab.json", "{\"a\": 0}"}, {"merges.txt", "#version: 0.2\nab\n"}, {NULL, NULL}},
         INK_ERROR_CORRUPT,
         "merges.txt: line 2: expected two tokens with a space between them"},
        {{{"vocab.json", "{\"a\": 0}"}, {"merges.txt", "a b c"}, {NULL, NULL}},
         INK_ERROR_CORRUPT,
         "merges.txt: line 1: expected two tokens, there are two spaces"},
        {{{"vocab.txt", "[UNK]\nhello\n\xE9x\n"}, {NULL, NULL}},
         INK_ERROR_CORRUPT,
         "vocab.txt: line 3 is not valid UTF-8"},
        {{{"vocab.txt", WORDS}, {"tokenizer_config.json", "{\"tokenizer_class\": \"XTokenizer\"}"}, {NULL, NULL}},
         INK_ERROR_UNSUPPORTED,
         "'XTokenizer' is not supported"},
        {{{"vocab.txt", WORDS}, {"tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\"}"}, {NULL, NULL}},
         INK_ERROR_UNSUPPORTED,
         "GPT2Tokenizer"},
        {{{"vocab.txt", WORDS}, {"tokenizer_config.json", "{\"cls_token\": null}"}, {NULL, NULL}},
         INK_ERROR_MISMATCH,
         "'cls_token' is missing"},
        {{{"vocab.txt", WORDS},
          {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}"},
          {NULL, NULL}},
         INK_ERROR_CORRUPT,
         "'x' is no id"},
        {{{"vocab.txt", WORDS}, {"tokenizer_config.json", "{\"added_tokens_decoder\": [1]}"}, {NULL, NULL}},
         INK_ERROR_MISMATCH,
         "added_tokens_decoder: expected an object, found an array"},
        {{{"vocab.txt", "[PAD]\xFF\n"}, {NULL, NULL}}, INK_ERROR_CORRUPT, "vocab.txt"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_tokenizer *tokenizer = (ink_tokenizer *)(void *)ctx;
        assert_fails(ctx, open_files(ctx, cases[i].files, &tokenizer), cases[i].result, cases[i].words);
        assert_null(tokenizer);
    }
}

/* Every member of the files beside the vocabulary that is read, with a value of every kind: the folder opens, or a
   sentence names the file and the member. */
static void every_member_is_asked_for_its_kind(ink_context *ctx)
{
    static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json"};
    static const struct {
        const char *key, *kinds; /* one letter for each of `values`: o opens, x does not, in tokenizer_config.json */
    } members[] = {
        {"added_tokens_decoder", "oxxxxxoxxx"},
        {"additional_special_tokens", "oxxxoxoxxx"},
        {"extra_special_tokens", "oxxxoxoxxx"},
        {"pad_token", "oxxoxxxxxx"},
        {"unk_token", "oxxoxxxxxx"},
        {"image_token", "oooooooooo"},
        {"split_special_tokens", "ooxxxxxxxx"},
        {"do_lower_case", "ooxxxxxxxx"},
        {"strip_accents", "ooxxxxxxxx"},
        {"tokenize_chinese_chars", "ooxxxxxxxx"},
        {"tokenizer_class", "oxx?xxxxxx"},
        {"model_max_length", "oxoxxxxxxx"},
        {"max_length", "oooooooooo"},
    };
    static const char *const values[] = {"null", "true", "-1",   "\"x\"",      "[]",
                                         "[1]",  "{}",   "[[]]", "{\"7\":[]}", "{\"content\":7}"};
    size_t size;
    char *json = test_read_tokenizer("bert", ".json", &size), text[128];
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
            for (size_t k = 0; k < sizeof values / sizeof values[0]; k++)
                for (int with_json = 0; with_json < 2; with_json++) {
                    const char *const folder[][2] = {
                        {with_json ? "tokenizer.json" : "vocab.txt", with_json ? json : WORDS},
                        {files[f], text},
                        {"config.json", "{\"model_type\":\"bert\"}"},
                        {NULL, NULL}};
                    ink_tokenizer *tokenizer = NULL;
                    snprintf(text, sizeof text, "{\"%s\":%s}", members[i].key, values[k]);
                    ink_result result = open_files(ctx, folder, &tokenizer);
                    if (result != INK_OK) {
                        assert_non_null(strstr(ink_context_error(ctx), files[f]));
                        assert_non_null(strstr(ink_context_error(ctx), members[i].key));
                    }
                    if (f == 0 && (result == INK_OK) != (members[i].kinds[k] == 'o') && members[i].kinds[k] != '?')
                        fail_msg("%s: %s", text, ink_context_error(ctx));
                    ink_tokenizer_free(tokenizer);
                }
    free(json);
}

static void added_tokens_json_is_asked_for_its_kind(ink_context *ctx)
{
    static const char *const wrong[] = {"[]",           "7", "{\"<x>\":\"7\"}", "{\"<x>\":[7]}", "{\"<x>\":null}",
                                        "{\"<x>\":1.5}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *const folder[][2] = {{"vocab.txt", WORDS}, {"added_tokens.json", wrong[i]}, {NULL, NULL}};
        ink_tokenizer *tokenizer = NULL;
        assert_fails(ctx, open_files(ctx, folder, &tokenizer), INK_ERROR_MISMATCH, "added_tokens.json: ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(controls_follow_from_tokenizer_json),
        context_test(other_files_name_the_controls),
        context_test(a_wrong_config_is_refused),
        context_test(a_vocab_txt_alone_is_a_tokenizer),
        context_test(the_class_decides_which_file_is_read),
        context_test(other_folders_are_refused),
        context_test(every_member_is_asked_for_its_kind),
        context_test(added_tokens_json_is_asked_for_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
