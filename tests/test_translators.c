/*
 * test_translators.c - the tokenizers of translators against transformers (fixtures/make_translators.py): SentencePiece
 * itself with a vocab.json (Marian, M2M100), NLLB and mBART; languages by the names that a user types; what is wrong
 * with a folder.
 */
#include "counting.h"
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const folders[] = {"legacy_marian",       "legacy_marian_codes", "legacy_marian_separate",
                                      "legacy_marian_plain", "legacy_m2m100",       "legacy_m2m100_bytes",
                                      "legacy_nllb",         "legacy_nllb_behind",  "legacy_mbart",
                                      "legacy_mbart50",      "legacy_nllb_saved",   "legacy_mbart50_saved"};

#define N_FOLDERS (sizeof folders / sizeof folders[0])

static ink_tokenizer *target; /* of the folder that is tested */

static void open_target(ink_context *ctx, const char *name)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/tokenizer/%s", FIXTURES, name);
    assert_ok(ctx, ink_tokenizer_open_target(ctx, folder, &target));
}

/* A text, or "?", its ids, and their text. */
static void check_case(ink_context *ctx, const ink_tokenizer *tokenizer, char *line)
{
    static char text[TEST_TEXT_MAX], decoded[TEST_TEXT_MAX], streamed[TEST_TEXT_MAX];
    static ink_token ids[TEST_TEXT_MAX], expected[TEST_TEXT_MAX];
    const char *const spelled = strtok(line, " "), *const list = strtok(NULL, " "), *const back = strtok(NULL, " ");
    size_t n = 0, size = 0, done = 0;
    const size_t n_expected = test_parse_ids(list, expected);
    if (spelled[0] != '?') {
        const size_t length = test_parse_bytes(spelled, text);
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, length, INK_ENCODE_DEFAULT, ids, TEST_TEXT_MAX, &n));
        assert_int_equal(n, n_expected);
        assert_memory_equal(ids, expected, n * sizeof *ids);
    }
    const size_t length = test_parse_bytes(back, text);
    assert_ok(ctx, ink_tokenizer_decode(ctx, target, expected, n_expected, decoded, TEST_TEXT_MAX, &size));
    assert_int_equal(size, length);
    assert_memory_equal(decoded, text, size);
    ink_text_stream stream = {0};
    for (size_t i = 0; i <= n_expected; i++) {
        assert_ok(ctx, ink_tokenizer_stream(ctx, target, &stream, i < n_expected ? expected[i] : -1, streamed + done,
                                            TEST_TEXT_MAX - done, &size));
        assert_true(size <= ink_tokenizer_stream_capacity(target));
        done += size;
    }
    assert_int_equal(done, length);
    assert_memory_equal(streamed, text, done);
}

static void ids_and_texts_are_the_references(ink_context *ctx)
{
    for (size_t i = 0; i < N_FOLDERS; i++) {
        open_target(ctx, folders[i]);
        assert_true(test_each_line(folders[i], ".txt", check_case) > 250);
        ink_tokenizer_free(target);
    }
}

/* Names of languages, a text, its ids, and what the translation begins with. */
static void check_language(ink_context *ctx, const ink_tokenizer *tokenizer, char *line)
{
    static char text[TEST_TEXT_MAX];
    static ink_token ids[TEST_TEXT_MAX], expected[TEST_TEXT_MAX];
    ink_direction direction;
    const char *const from = strtok(line, " "), *const to = strtok(NULL, " "), *const spelled = strtok(NULL, " ");
    const char *const list = strtok(NULL, " "), *const first = strtok(NULL, " ");
    size_t n = 0, n_expected = test_parse_ids(list, expected);
    assert_ok(ctx, ink_tokenizer_direction(ctx, tokenizer, from[0] != '?' ? from : NULL, to[0] != '?' ? to : NULL,
                                           &direction));
    assert_int_equal(direction.first, strtol(first, NULL, 10));
    ink_encode_input input = {
        .text = text, .size = test_parse_bytes(spelled, text), .flags = INK_ENCODE_DEFAULT, .direction = &direction};
    assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, NULL, TEST_TEXT_MAX, &n));
    assert_int_equal(n, n_expected);
    assert_memory_equal(ids, expected, n * sizeof *ids);
    input.max_length = 4;
    assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, NULL, TEST_TEXT_MAX, &n));
    assert_true(n <= 4 && ids[n - 1] == expected[n_expected - 1]);
}

static void languages_are_the_references(void **unused)
{
    static const char *const named[] = {"legacy_marian_codes", "legacy_m2m100",      "legacy_m2m100_bytes",
                                        "legacy_nllb",         "legacy_nllb_behind", "legacy_nllb_saved",
                                        "legacy_mbart",        "legacy_mbart50",     "legacy_mbart50_saved"};
    (void)unused;
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        assert_true(test_each_line(named[i], "_languages.txt", check_language) >= 3);
}

static void languages_are_listed(ink_context *ctx)
{
    static const struct {
        const char *folder;
        size_t n;
        const char *first, *last;
    } lists[] = {{"legacy_marian", 0, "", ""},
                 {"legacy_marian_codes", 3, ">>fra<<", ">>zho_Hans<<"},
                 {"legacy_m2m100", 100, "__af__", "__zu__"},
                 {"legacy_m2m100_bytes", 8, "__en__", "__de__"},
                 {"legacy_nllb", 5, "eng_Latn", "zho_Hant"},
                 {"legacy_mbart", 25, "ar_AR", "zh_CN"},
                 {"legacy_mbart50", 52, "ar_AR", "sl_SI"}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        ink_tokenizer *tokenizer = test_open_tokenizer(ctx, lists[i].folder);
        size_t n = 0, size;
        while (ink_tokenizer_language(tokenizer, n) >= 0)
            n++;
        assert_int_equal(n, lists[i].n);
        for (size_t k = 0; k < 2 && n > 0; k++) {
            const char *const name = k == 0 ? lists[i].first : lists[i].last;
            const ink_token id = ink_tokenizer_language(tokenizer, k == 0 ? 0 : n - 1);
            const char *const token = ink_tokenizer_token(tokenizer, id, &size);
            assert_int_equal(size, strlen(name));
            assert_memory_equal(token, name, size);
        }
        ink_tokenizer_free(tokenizer);
    }
    assert_int_equal(ink_tokenizer_language(NULL, 0), -1);
}

static void unknown_languages_are_refused(ink_context *ctx)
{
    static const struct {
        const char *folder, *from, *to, *words;
    } cases[] = {
        {"legacy_m2m100", "en", "tlh", "does not know the language 'tlh'; it knows 100: af, am, ar, ast, az"},
        {"legacy_m2m100", "xx", NULL, "the language 'xx'"},
        {"legacy_m2m100", "", "en", "the language ''"},
        {"legacy_nllb", "en", "de", "it knows 5: eng_Latn, fra_Latn, kor_Hang, zho_Hans, zho_Hant"},
        {"legacy_nllb", "en", "zho_Latn", "the language 'zho_Latn'"},
        {"legacy_mbart50", "en", "fr_FR", "the language 'fr_FR'; it knows 52: ar_AR"},
        {"legacy_marian_codes", "fr", "ko", "does not translate from fr to any language; it translates from en"},
        {"legacy_marian", "en", "fr", "does not translate from en to fr; it translates from eng to kor"},
        {"legacy_marian", "fr", NULL, "does not translate from fr to any language; it translates from eng to kor"},
        {"legacy_marian_plain", NULL, "fr", "the folder names no languages, so 'fr' means nothing"},
        {"legacy_t5", "en", "fr", "the folder names no languages"},
        {"plain", "en", NULL, "the folder names no languages, so 'en' means nothing"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_tokenizer *tokenizer = test_open_tokenizer(ctx, cases[i].folder);
        ink_direction direction = {1, 2, 3, "x", 1, "x"};
        assert_fails(ctx, ink_tokenizer_direction(ctx, tokenizer, cases[i].from, cases[i].to, &direction),
                     INK_ERROR_ARGUMENT, cases[i].words);
        assert_true(direction.from == -1 && direction.to == -1 && direction.first == -1);
        assert_true(direction.prefix == NULL && direction.task == NULL);
        ink_tokenizer_free(tokenizer);
    }
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "legacy_marian");
    ink_direction direction;
    assert_ok(ctx, ink_tokenizer_direction(ctx, tokenizer, "en", "ko", &direction));
    assert_ok(ctx, ink_tokenizer_direction(ctx, tokenizer, NULL, NULL, &direction));
    assert_true(direction.from == -1 && direction.to == -1 && direction.first == -1 && direction.prefix_size == 0);
    ink_tokenizer_free(tokenizer);
}

/* ---- folders in memory ------------------------------------------------------------------------------------------ */

typedef struct folder_in_memory {
    ink_memory_file files[8];
    char *owned[8];
    size_t n;
    ink_memory_files all;
    ink_source source;
} folder_in_memory;

/* The files of a fixture, of which `changed` has another text, or is left out if that is NULL, or is a further one. */
static void read_folder(folder_in_memory *f, const char *name, const char *changed, const char *text)
{
    static const char *const names[] = {"source.spm",        "target.spm",           "vocab.json",
                                        "target_vocab.json", "spiece.model",         "sentencepiece.bpe.model",
                                        "config.json",       "tokenizer_config.json"};
    char folder[512];
    snprintf(folder, sizeof folder, "%s/tokenizer/%s", FIXTURES, name);
    f->n = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size;
        f->owned[i] = NULL;
        if (changed != NULL && strcmp(changed, names[i]) == 0) {
            if (text != NULL)
                f->files[f->n++] = (ink_memory_file){names[i], text, strlen(text)};
        } else if ((f->owned[i] = test_read_file(folder, names[i], &size)) != NULL) {
            f->files[f->n++] = (ink_memory_file){names[i], f->owned[i], size};
        }
    }
    f->all = (ink_memory_files){f->files, f->n};
    f->source = ink_source_memory(&f->all);
}

static void free_folder(folder_in_memory *f)
{
    for (size_t i = 0; i < 8; i++)
        free(f->owned[i]);
}

static void the_tasks_of_t5_are_pairs(ink_context *ctx)
{
    static const char tasks[] =
        "{\"task_specific_params\": {\"summarization\": {\"prefix\": \"summarize: \"}, \"translation_en_to_de\": "
        "{\"prefix\": \"translate English to German: \"}, \"translation_en_to_fr\": {\"prefix\": \"to French: \"}}}";
    static const char plain[] = "to French: na ri", text[] = "na ri";
    folder_in_memory folder;
    ink_tokenizer *tokenizer = NULL;
    ink_direction direction;
    ink_token ids[64], expected[64];
    ink_place places[64];
    size_t n = 0, n_expected = 0;
    read_folder(&folder, "legacy_t5", "config.json", tasks);
    assert_ok(ctx, ink_tokenizer_open_source(ctx, &folder.source, &tokenizer));
    assert_ok(ctx, ink_tokenizer_direction(ctx, tokenizer, "eng", "de", &direction));
    assert_int_equal(direction.prefix_size, 29);
    assert_string_equal(direction.task, "translation_en_to_de");
    assert_ok(ctx, ink_tokenizer_direction(ctx, tokenizer, NULL, "fra", &direction));
    ink_encode_input input = {
        .text = text, .size = sizeof text - 1, .flags = INK_ENCODE_DEFAULT, .direction = &direction};
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, plain, sizeof plain - 1, INK_ENCODE_DEFAULT, expected, 64,
                                        &n_expected));
    assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, places, 64, &n));
    assert_int_equal(n, n_expected);
    assert_memory_equal(ids, expected, n * sizeof *ids);
    assert_int_equal(places[n - 2].stop, sizeof text - 1);
    assert_int_equal(places[0].stop, 0);
    assert_fails(ctx, ink_tokenizer_direction(ctx, tokenizer, "de", "en", &direction), INK_ERROR_ARGUMENT,
                 "does not translate from de to en; it translates from en to de, from en to fr");
    ink_tokenizer_free(tokenizer);
    free_folder(&folder);
}

/* What is wrong with a folder. */
static void wrong_folders_are_refused(ink_context *ctx, counting *unused)
{
    static const struct {
        const char *folder, *file, *text;
        ink_result result;
        const char *words;
    } cases[] = {
        {"legacy_marian", "vocab.json", "{\"</s>\": 0, \"<unk>\": 1, \"a\": 2}", INK_ERROR_MISMATCH,
         "vocab.json: there is no '<pad>', the pad_token"},
        {"legacy_marian", "vocab.json", "{\"</s>\": 0, \"<pad>\": 1, \"a\": 2}", INK_ERROR_MISMATCH,
         "vocab.json: there is no '<unk>', the unk_token"},
        {"legacy_marian", "vocab.json", "{\"<unk>\": 0, \"<pad>\": 1}", INK_ERROR_MISMATCH, "there is no '</s>'"},
        {"legacy_marian", "vocab.json", "{\"<unk>\": 0, \"<pad>\": 1, \"</s>\": -1}", INK_ERROR_MISMATCH,
         "vocab.json: </s>: expected"},
        {"legacy_marian", "vocab.json", "[]", INK_ERROR_MISMATCH, "vocab.json"},
        {"legacy_marian", "vocab.json", "{\"</s>\": 0, \"<unk>\": 1, \"<pad>\": 2, \"a\": 3}", INK_ERROR_MISMATCH,
         "pieces are not in vocab.json, so it belongs to another model"},
        {"legacy_marian", "vocab.json", NULL, INK_ERROR_NOT_FOUND, "vocab.json"},
        {"legacy_marian", "source.spm", NULL, INK_ERROR_NOT_FOUND, "source.spm"},
        {"legacy_marian", "source.spm", "no model", INK_ERROR_CORRUPT, "source.spm: byte "},
        {"legacy_m2m100", "sentencepiece.bpe.model", NULL, INK_ERROR_NOT_FOUND, "sentencepiece.bpe.model"},
        {"legacy_m2m100", "tokenizer_config.json",
         "{\"tokenizer_class\": \"M2M100Tokenizer\", \"language_codes\": \"m2m200\"}", INK_ERROR_UNSUPPORTED,
         "language_codes is 'm2m200', expected 'm2m100' or 'wmt21'"},
        {"legacy_m2m100", "tokenizer_config.json", "{\"tokenizer_class\": \"M2M100Tokenizer\", \"src_lang\": \"xx\"}",
         INK_ERROR_MISMATCH, "src_lang is 'xx', which is no language of the vocabulary"},
        {"legacy_nllb", "tokenizer_config.json", "{\"tokenizer_class\": \"NllbTokenizer\", \"tgt_lang\": \"fr\"}",
         INK_ERROR_MISMATCH, "tgt_lang is 'fr'"},
        {"legacy_t5", "config.json", "{\"task_specific_params\": {\"translation_en_to_de\": 5}}", INK_ERROR_MISMATCH,
         "config.json: task_specific_params.translation_en_to_de"},
        {"legacy_t5", "config.json", "{\"task_specific_params\": {\"translation_en_to_de\": {\"prefix\": 5}}}",
         INK_ERROR_MISMATCH, "prefix"}};
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        folder_in_memory folder;
        ink_tokenizer *tokenizer = NULL;
        read_folder(&folder, cases[i].folder, cases[i].file, cases[i].text);
        assert_fails(ctx, ink_tokenizer_open_source(ctx, &folder.source, &tokenizer), cases[i].result, cases[i].words);
        assert_null(tokenizer);
        free_folder(&folder);
    }
}

static void failing_memory_leaves_nothing(ink_context *ctx, counting *memory)
{
    static const char *const names[] = {"legacy_marian_codes", "legacy_m2m100"};
    for (size_t i = 0; i < 2; i++) {
        folder_in_memory folder;
        ink_tokenizer *tokenizer = NULL;
        read_folder(&folder, names[i], NULL, NULL);
        for (size_t k = 1;
             runs_out_of_memory(ctx, memory, k, ink_tokenizer_open_source(ctx, &folder.source, &tokenizer), NULL); k++)
            assert_null(tokenizer);
        ink_tokenizer_free(tokenizer);
        free_folder(&folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(ids_and_texts_are_the_references),
        cmocka_unit_test(languages_are_the_references),
        context_test(languages_are_listed),
        context_test(unknown_languages_are_refused),
        context_test(the_tasks_of_t5_are_pairs),
        counted_test(wrong_folders_are_refused),
        counted_test(failing_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
