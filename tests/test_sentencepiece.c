/*
 * test_sentencepiece.c - model files of SentencePiece that are wrong in one place, and the folders they are in. What
 * good ones make is in test_tokenizer.c (legacy_xlmr, legacy_t5, ...).
 */
#include "counting.h"
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bytes {
    char at[4096];
    size_t size;
} bytes;

static void put(bytes *b, const char *text, size_t size)
{
    memcpy(b->at + b->size, text, size);
    b->size += size;
}

/* A field of wire type 2, of at most 127 bytes. */
static void put_field(bytes *b, int number, const char *text, size_t size)
{
    put(b, (const char[]){(char)(number << 3 | 2), (char)size}, 2);
    put(b, text, size);
}

static void put_piece(bytes *b, const char *text, size_t size, float score, int type)
{
    bytes piece = {.size = 0};
    char number[4];
    memcpy(number, &score, sizeof score); /* the machines of the tests are little-endian, as are the files */
    put_field(&piece, 1, text, size);
    put(&piece, "\x15", 1);
    put(&piece, number, 4);
    if (type != 1)
        put(&piece, (const char[]){0x18, (char)type}, 2);
    put_field(b, 1, piece.at, piece.size);
}

/* <unk>, a and b; 36 bytes. */
static void put_pieces(bytes *b)
{
    put_piece(b, "<unk>", 5, 0, 2);
    put_piece(b, "a", 1, -1, 1);
    put_piece(b, "b", 1, -2, 1);
}

static ink_result open_model(ink_context *ctx, const bytes *model, const char *settings, ink_tokenizer **tokenizer)
{
    char *copy = malloc(model->size + 1); /* a block of its own, so that reading on is seen by the sanitizers */
    memcpy(copy, model->at, model->size);
    ink_memory_file files[] = {{"spiece.model", copy, model->size},
                               {"tokenizer_config.json", settings, strlen(settings)}};
    ink_memory_files all = {files, 2};
    ink_source source = ink_source_memory(&all);
    ink_result result = ink_tokenizer_open_source(ctx, &source, tokenizer);
    free(copy);
    return result;
}

static const struct {
    const char *behind; /* what stands behind the pieces */
    size_t size;
    ink_result result;
    const char *words;
} wrong[] = {
    {"\x0A", 1, INK_ERROR_CORRUPT, "spiece.model: byte 37: a number that the message ends in"},
    {"\x0A\x80", 2, INK_ERROR_CORRUPT, "byte 37: a number that the message ends in"},
    {"\x0A\x05"
     "ab",
     4, INK_ERROR_CORRUPT, "byte 36: a field that is longer than its message"},
    {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11, INK_ERROR_CORRUPT, "byte 36: a field that is longer"},
    {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", 11, INK_ERROR_CORRUPT, "byte 37: a number of more than 64 bits"},
    {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 12, INK_ERROR_CORRUPT, "a number of more than 64 bits"},
    {"\x08\x01", 2, INK_ERROR_CORRUPT, "byte 36: a field with another wire type than that of SentencePiece"},
    {"\x0D"
     "abcd",
     5, INK_ERROR_CORRUPT, "byte 36: a field with another wire type"},
    {"\x12\x02\xC5\x02", 4, INK_ERROR_CORRUPT, "byte 38: a field that is longer than its message"},
    {"\x12\x03\xC2\x02\x01", 5, INK_ERROR_CORRUPT, "byte 38: a field that is longer than its message"},
    {"\x12\x05\x1D"
     "abcd",
     7, INK_ERROR_CORRUPT, "byte 38: a field with another wire type"},
    {"\x03", 1, INK_ERROR_CORRUPT, "byte 36: a field of no number"},
    {"\x33", 1, INK_ERROR_CORRUPT, "byte 36: a wire type that is not supported"},
    {"\x36", 1, INK_ERROR_CORRUPT, "byte 36: a wire type that is not supported"},
    {"\x0A\x05\x15\0\0\xC0\x7F", 7, INK_ERROR_CORRUPT, "byte 38: a score that is not finite"},
    {"\x0A\x05\x15\0\0\x80\xFF", 7, INK_ERROR_CORRUPT, "byte 38: a score that is not finite"},
    {"\x0A\x03\x0A\x01\x80", 5, INK_ERROR_CORRUPT, "byte 38: text that is not valid UTF-8"},
    {"\x0A\x02\x18\x00", 4, INK_ERROR_CORRUPT, "byte 36: a piece of an unknown type"},
    {"\x0A\x02\x18\x07", 4, INK_ERROR_CORRUPT, "byte 36: a piece of an unknown type"},
    {"\x12\x03\xC0\x02\x03", 5, INK_ERROR_CORRUPT, "spiece.model: the unknown piece is 3, there are 3"},
    {"\x12\x0C\xC0\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 14, INK_ERROR_CORRUPT, "the unknown piece is -1"},
    {"\x12\x02\x18\x03", 4, INK_ERROR_UNSUPPORTED,
     "spiece.model: model_type 3 is not supported; supported: 1 (Unigram)"},
    {"\x0A\x05\x0A\x01"
     "c\x18\x04",
     7, INK_ERROR_UNSUPPORTED, "spiece.model: piece 3 is user-defined"},
    {"\x1A\x03\x12\x01"
     "x",
     5, INK_ERROR_CORRUPT, "precompiled_charsmap: a trie of 0 bytes in a charsmap of 1"},
    {"\x1A\x07\x12\x05\0\0\0\0x", 9, INK_ERROR_CORRUPT, "precompiled_charsmap: unit 0 of the trie is missing"},
};

static void wrong_files_are_refused(ink_context *ctx, counting *memory)
{
    size_t live = memory->live_bytes;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ink_tokenizer *tokenizer = NULL;
        bytes model = {.size = 0};
        put_pieces(&model);
        assert_int_equal(model.size, 36);
        put(&model, wrong[i].behind, wrong[i].size);
        assert_fails(ctx, open_model(ctx, &model, "{}", &tokenizer), wrong[i].result, wrong[i].words);
        assert_null(tokenizer);
        assert_int_equal(memory->live_bytes, live);
    }
}

static void every_truncation_is_refused_or_shorter(ink_context *ctx)
{
    bytes model = {.size = 0};
    put_pieces(&model);
    for (size_t size = 0; size < 36; size++) {
        ink_tokenizer *tokenizer = NULL;
        bytes cut = model;
        cut.size = size;
        bool whole = size == 16 || size == 26; /* behind a piece */
        ink_result result = open_model(ctx, &cut, "{}", &tokenizer);
        assert_int_equal(result, whole ? INK_OK : INK_ERROR_CORRUPT);
        ink_tokenizer_free(tokenizer);
    }
}

/* Unknown fields are skipped, of a setting that is there twice the last counts, an equal piece is found by its last id.
 */
static void what_does_no_harm_opens(ink_context *ctx)
{
    static const char more[] = "\x22\x02zz"              /* self_test_data */
                               "\x12\x03\xC0\x02\x07"    /* unk_id 7, */
                               "\x12\x03\xC0\x02\x00"    /* and 0 */
                               "\x12\x06\xE2\x12\x03xyz" /* of a newer version */
                               "\xA1\x0C"
                               "12345678"          /* an extension of 8 bytes */
                               "\x1A\x02\x18\x00"; /* add_dummy_prefix: no */
    ink_tokenizer *tokenizer = NULL;
    ink_token ids[8];
    size_t n = 0;
    bytes model = {.size = 0};
    put_pieces(&model);
    put_piece(&model, "a", 1, -3, 1);
    put(&model, more, sizeof more - 1);
    assert_ok(ctx, open_model(ctx, &model, "{}", &tokenizer));
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, "abx", 3, 0, ids, 8, &n));
    assert_int_equal(n, 3);
    assert_true(ids[0] == 3 && ids[1] == 2 && ids[2] == 0);
    ink_tokenizer_free(tokenizer);
}

static void other_classes_are_refused_by_name(ink_context *ctx)
{
    static const char *const names[] = {"AlbertTokenizer",  "XLNetTokenizer",     "PegasusTokenizerFast",
                                        "BigBirdTokenizer", "DebertaV2Tokenizer", "BertTokenizer",
                                        "Qwen2Tokenizer"};
    bytes model = {.size = 0};
    put_pieces(&model);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ink_tokenizer *tokenizer = NULL;
        char settings[64];
        snprintf(settings, sizeof settings, "{\"tokenizer_class\":\"%s\"}", names[i]);
        assert_fails(ctx, open_model(ctx, &model, settings, &tokenizer), INK_ERROR_UNSUPPORTED, names[i]);
    }
}

/* The reference renames the piece, and other ids follow. */
static void a_renamed_piece_is_refused(ink_context *ctx)
{
    bytes model = {.size = 0};
    ink_tokenizer *tokenizer = NULL;
    put_pieces(&model);
    put_field(&model, 2, "\x18\x02", 2); /* BPE */
    const char *same = "{\"added_tokens_decoder\":{\"1\":{\"content\":\"a\"},\"9\":{\"content\":\"x\"}}}";
    assert_ok(ctx, open_model(ctx, &model, same, &tokenizer));
    ink_tokenizer_free(tokenizer);
    tokenizer = NULL;
    const char *other = "{\"added_tokens_decoder\":{\"1\":{\"content\":\"<x>\"}}}";
    assert_fails(ctx, open_model(ctx, &model, other, &tokenizer), INK_ERROR_UNSUPPORTED, "1 is '<x>'");
}

/* Control pieces are added tokens, unless the settings list extra tokens. Where no class is named, a space is put
   before the text behind an added token, whatever its flags are. The ids are those of AutoTokenizer. */
static void settings_decide_about_added_tokens(ink_context *ctx)
{
    static const struct {
        const char *settings, *text;
        ink_token ids[6];
        size_t n;
    } rows[] = {
        {"\"tokenizer_class\":\"LlamaTokenizer\"", "a<c>", {5, 1, 3}, 3},
        {"\"tokenizer_class\":\"LlamaTokenizer\",\"extra_special_tokens\":[\"<x>\"]", "a<c>", {5, 1, 4}, 3},
        {"\"tokenizer_class\":\"LlamaTokenizer\",\"extra_special_tokens\":[]", "a<c>", {5, 1, 4}, 3},
        {"\"tokenizer_class\":\"LlamaTokenizer\",\"additional_special_tokens\":[\"<x>\"]", "a<c>", {5, 1, 4}, 3},
        {"\"tokenizer_class\":\"LlamaTokenizer\",\"extra_special_tokens\":{\"x_token\":\"<x>\"}", "a<c>", {5, 1, 3}, 3},
        {"\"added_tokens_decoder\":{\"3\":{\"content\":\"<c>\",\"special\":true,\"normalized\":true}}",
         "a<c>b",
         {5, 1, 3, 5, 2},
         5},
    };
    bytes model = {.size = 0};
    put_pieces(&model);
    put_piece(&model, "<c>", 3, 0, 3);
    put_piece(&model, "c", 1, -3, 1);
    put_piece(&model, "\xE2\x96\x81", 3, -4, 1);
    put_field(&model, 2, "\x18\x02", 2); /* BPE */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ink_tokenizer *tokenizer = NULL;
        ink_token ids[8];
        char settings[256];
        size_t n = 0;
        snprintf(settings, sizeof settings, "{%s,\"add_bos_token\":false}", rows[i].settings);
        assert_ok(ctx, open_model(ctx, &model, settings, &tokenizer));
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, rows[i].text, strlen(rows[i].text), INK_ENCODE_DEFAULT, ids,
                                            8, &n));
        assert_int_equal(n, rows[i].n);
        assert_memory_equal(ids, rows[i].ids, n * sizeof *ids);
        ink_tokenizer_free(tokenizer);
    }
}

/* A piece of n bytes may have n - 1 merges, so a file has more of them than bytes: a, aa, ... up to 60 bytes have
   1,770, which is beyond a small limit. */
static void merges_are_counted_first(ink_context *ctx)
{
    const uint64_t limits[] = {1 << 14, 0};
    char run[60];
    bytes model = {.size = 0};
    memset(run, 'a', sizeof run);
    put_piece(&model, "<unk>", 5, 0, 2);
    for (size_t i = 1; i <= sizeof run; i++)
        put_piece(&model, run, i, -(float)i, 1);
    put_field(&model, 2, "\x18\x02", 2); /* BPE */
    (void)ctx;
    for (int i = 0; i < 2; i++) {
        ink_context *limited = ink_context_create(&(ink_context_options){.limits = {.table_bytes = limits[i]}});
        ink_tokenizer *tokenizer = NULL;
        ink_result result = open_model(limited, &model, "{}", &tokenizer);
        if (i == 0)
            assert_fails(limited, result, INK_ERROR_LIMIT, "(table_bytes of ink_limits)");
        else
            assert_ok(limited, result);
        ink_tokenizer_free(tokenizer);
        ink_context_free(limited);
    }
}

static void memory_may_end_anywhere(ink_context *ctx, counting *memory)
{
    ink_tokenizer *tokenizer = NULL;
    const char *folder = FIXTURES "/tokenizer/legacy_bpe";
    for (size_t k = 1; runs_out_of_memory(ctx, memory, k, ink_tokenizer_open(ctx, folder, &tokenizer), NULL); k++)
        assert_null(tokenizer);
    ink_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(wrong_files_are_refused),    context_test(every_truncation_is_refused_or_shorter),
        context_test(what_does_no_harm_opens),    context_test(other_classes_are_refused_by_name),
        context_test(a_renamed_piece_is_refused), context_test(settings_decide_about_added_tokens),
        context_test(merges_are_counted_first),   counted_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
