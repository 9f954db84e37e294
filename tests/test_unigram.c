/*
 * test_unigram.c - Unigram at its edges: the cuts of Hugging Face's library where sums are equal, where there is no
 * unknown token, and where pieces are there twice; files and charsmaps that are refused; what hostile vocabularies may
 * cost.
 */
#include "counting.h"
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MB ((size_t)1 << 20)

/* Opens a tokenizer.json whose model has these members; ' stands for ". */
static ink_result open_model(ink_context *ctx, const char *members, ink_tokenizer **tokenizer)
{
    size_t room = strlen(members) + 64;
    char *text = malloc(room);
    snprintf(text, room, "{'model':{'type':'Unigram',%s}}", members);
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    ink_result result = test_open_text(ctx, text, strlen(text), tokenizer);
    free(text);
    return result;
}

static void cuts_are_the_references(ink_context *ctx)
{
    static const char letters[] = "'unk_id':0,'vocab':[['<unk>',0],['a',0],['b',0],['c',0],['d',0],['cd',1],['ab',2],"
                                  "['abc',5],['abcd',10]]";
    static const char ties[] = "'unk_id':0,'vocab':[['<unk>',0],['a',-1],['aa',-2],['aaa',-3]]";
    static const char twice[] = "'unk_id':0,'vocab':[['<unk>',0],['a',-1],['b',-2],['a',-3],['ab',-5]]";
    static const char likely[] = "'unk_id':0,'vocab':[['<unk>',40],['a',40],['xy',41]]";
    /* a + b is ab, but not as the reference reads these numbers */
    static const char rough[] = "'unk_id':0,'vocab':[['<unk>',0],['a',-8.261595726013184],['b',-7.204071044921875],"
                                "['ab',-15.465666770935059]]";
    static const char exact[] = "'unk_id':0,'vocab':[['<unk>',0],['a',-8.25],['b',-7.125],['ab',-15.375]]";
    static const char bytes[] =
        "'byte_fallback':true,'unk_id':3,'vocab':[['a',-1],['<0x78>',-1],['<0x79>',-2],['<unk>',0]]";
    static const char no_unknown[] = "'unk_id':null,'vocab':[['ab',-1],['b',-1],['cc',-9]]";
    static const struct {
        const char *model, *text;
        ink_token ids[5]; /* -1 ends them; -2: the reference fails, too */
    } rows[] = {
        {letters, "abcdacdxx", {8, 1, 5, 0, -1}},
        {letters, "xyz", {0, -1}},
        {letters, "a<unk>xx<unk>b", {1, 0, 2, -1}},
        {ties, "aaaa", {1, 3, -1}},
        {ties, "aaaaa", {2, 3, -1}},
        {twice, "ab", {4, -1}},
        {twice, "a", {3, -1}},
        {likely, "xy", {2, -1}}, /* the unknown characters x and y are fused, and then they are a piece */
        {likely, "xxy", {0, -1}},
        {rough, "ab", {1, 2, -1}},
        {exact, "ab", {3, -1}},
        {bytes, "xay", {1, 0, 2, -1}},
        {bytes, "xyz", {3, -1}},
        {bytes, "xy", {1, 2, -1}},
        {no_unknown, "bb", {1, 1, -1}},
        {no_unknown, "ab", {-2}}, /* the a alone is unknown, although no cut needs it */
        {no_unknown, "", {-1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ink_tokenizer *tokenizer = NULL;
        ink_token ids[8];
        size_t n = 0;
        assert_ok(ctx, open_model(ctx, rows[i].model, &tokenizer));
        ink_result result = ink_tokenizer_encode(ctx, tokenizer, rows[i].text, strlen(rows[i].text), 0, ids, 8, &n);
        if (rows[i].ids[0] == -2) {
            assert_fails(ctx, result, INK_ERROR_MISMATCH,
                         "'a' is not in the vocabulary, and the model names no unknown");
        } else {
            assert_ok(ctx, result);
            assert_int_equal(rows[i].ids[n], -1);
            assert_memory_equal(ids, rows[i].ids, n * sizeof *ids);
        }
        ink_tokenizer_free(tokenizer);
    }
}

/* A piece that is there twice has two ids. The reference asks its content whether it is special. */
static void equal_pieces_are_special_together(ink_context *ctx)
{
    static const char file[] =
        "{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true,\"normalized\":true,\"lstrip\":false,"
        "\"rstrip\":false,\"single_word\":false}],%s\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":"
        "[[\"<unk>\",0],[\"<s>\",0],[\"a\",-1],[\"<s>\",0]]}}";
    static const struct {
        const char *normalizer, *decoded;
    } rows[] = {{"", "a"}, {"\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"_\"},", "a _<s>"}};
    for (size_t i = 0; i < 2; i++) {
        static const ink_token ids[] = {1, 2, 3};
        char text[512], out[32];
        size_t size = 0;
        ink_tokenizer *tokenizer = NULL;
        snprintf(text, sizeof text, file, rows[i].normalizer);
        assert_ok(ctx, test_open_text(ctx, text, strlen(text), &tokenizer));
        assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, 3, out, sizeof out, &size));
        assert_int_equal(size, strlen(rows[i].decoded));
        assert_memory_equal(out, rows[i].decoded, size);
        ink_tokenizer_free(tokenizer);
    }
}

static void wrong_files_are_refused(ink_context *ctx, counting *memory)
{
    static const struct {
        const char *model;
        ink_result result;
        const char *words;
    } rows[] = {
        {"'unk_id':0", INK_ERROR_MISMATCH, "member 'vocab' is missing"},
        {"'vocab':{'a':0}", INK_ERROR_MISMATCH, "model.vocab: expected an array"},
        {"'vocab':[]", INK_ERROR_CORRUPT, "model.vocab: there are no pieces"},
        {"'vocab':['a']", INK_ERROR_MISMATCH, "model.vocab[0]: expected an array"},
        {"'vocab':[['a',-1],['b']]", INK_ERROR_CORRUPT, "model.vocab[1]: expected a piece and its score"},
        {"'vocab':[['a',-1],['b',1,2]]", INK_ERROR_CORRUPT, "model.vocab[1]: expected a piece and its score"},
        {"'vocab':[[7,-1]]", INK_ERROR_MISMATCH, "model.vocab[0][0]: expected a string"},
        {"'vocab':[['a','-1']]", INK_ERROR_MISMATCH, "model.vocab[0][1]: expected a number"},
        {"'vocab':[['a',NaN]]", INK_ERROR_CORRUPT, "NaN and Infinity are not JSON"},
        {"'vocab':[['a',-Infinity]]", INK_ERROR_CORRUPT, "byte 41: NaN and Infinity are not JSON"},
        {"'vocab':[['a',0],['b',1e999]]", INK_ERROR_CORRUPT, "model.vocab[1][1]: a score that is too large"},
        {"'vocab':[['a',-2e308]]", INK_ERROR_CORRUPT, "model.vocab[0][1]: a score that is too large"},
        {"'unk_id':1,'vocab':[['a',-1]]", INK_ERROR_MISMATCH, "model.unk_id: expected 0, found 1"},
        {"'unk_id':'a','vocab':[['a',-1]]", INK_ERROR_MISMATCH, "model.unk_id"},
        {"'byte_fallback':1,'vocab':[['a',-1]]", INK_ERROR_MISMATCH, "model.byte_fallback"},
        {"'alpha':0.1,'vocab':[['a',-1]]", INK_ERROR_UNSUPPORTED, "model.alpha: this member is not known here"},
    };
    size_t live = memory->live_bytes;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ink_tokenizer *tokenizer = (ink_tokenizer *)(void *)ctx;
        assert_fails(ctx, open_model(ctx, rows[i].model, &tokenizer), rows[i].result, rows[i].words);
        assert_null(tokenizer);
        assert_int_equal(memory->live_bytes, live);
    }
}

/* A charsmap in which a becomes bc. The root's children are at 0x100, the end of a at 0x180. */
#define N_UNITS 512
#define TEXTS "\xC3\xA9\0bc" /* of 6 bytes with its NUL; bc is at 3 */

static void put_number(unsigned char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(number >> 8 * i);
}

static size_t make_charsmap(unsigned char *map)
{
    memset(map, 0, 4 + 4 * N_UNITS);
    put_number(map, 4 * N_UNITS);
    put_number(map + 4, 0x100 << 10);
    put_number(map + 4 + 4 * 0x161, (0x161 ^ 0x180) << 10 | 1 << 8 | 'a');
    put_number(map + 4 + 4 * 0x180, 1u << 31 | 3);
    memcpy(map + 4 + 4 * N_UNITS, TEXTS, 6);
    return 4 + 4 * N_UNITS + 6;
}

static ink_result open_charsmap(ink_context *ctx, const unsigned char *map, size_t size, ink_tokenizer **tokenizer)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static char text[4096];
    int n = sprintf(text, "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
    for (size_t i = 0; i < size; i += 3) {
        uint32_t bits = (uint32_t)map[i] << 16;
        bits |= i + 1 < size ? (uint32_t)map[i + 1] << 8 : 0;
        bits |= i + 2 < size ? map[i + 2] : 0u;
        for (size_t k = 0; k < 4; k++)
            text[n++] = i + k <= size ? base64[bits >> (18 - 6 * k) & 63] : '=';
    }
    sprintf(text + n, "\"},\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",-1],[\"b\",-1],[\"c\",-1]]}}");
    return test_open_text(ctx, text, strlen(text), tokenizer);
}

static void charsmaps_are_checked(ink_context *ctx, counting *memory)
{
    static const struct {
        size_t place; /* of a number that is changed; SIZE_MAX: none is */
        uint32_t number;
        size_t size; /* 0: as it is */
        const char *words;
    } rows[] = {
        {SIZE_MAX, 0, 3, "normalizer.precompiled_charsmap: a trie of 0 bytes in a charsmap of 3"},
        {0, 4 * N_UNITS + 8, 0, "a trie of 2056 bytes in a charsmap of 2058"},
        {0, 0xFFFFFFFF, 0, "a trie of 4294967295 bytes"},
        {0, 0, 4, "unit 0 of the trie is missing"},
        {0, 4 * 0x180, 0, "not valid UTF-8"},
        {4, 0x200 << 10, 0, "unit 0 of the trie leads outside"},
        {4 + 4 * 0x161, 0x7FFFu << 10 | 1 << 9 | 'a', 0, "unit 353 of the trie leads outside"},
        {4 + 4 * 0x161, 0x61 << 10 | 'a', 0, "unit 353 of the trie leads in a circle"},
        {4 + 4 * 0x180, 1u << 31 | 7, 0, "unit 384 of the trie has a value that is no place in the texts"},
        {4 + 4 * 0x180, 1u << 31 | 1, 0, "unit 384 of the trie has a value that is no place in the texts"},
        {4 + 4 * N_UNITS, 0x80808080, 0, "the texts of the charsmap are not valid UTF-8"},
    };
    unsigned char map[4 + 4 * N_UNITS + 6];
    ink_tokenizer *tokenizer = NULL;
    ink_token ids[4];
    size_t n = 0, size = make_charsmap(map), live = memory->live_bytes;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        make_charsmap(map);
        if (rows[i].place != SIZE_MAX)
            put_number(map + rows[i].place, rows[i].number);
        assert_fails(ctx, open_charsmap(ctx, map, rows[i].size > 0 ? rows[i].size : size, &tokenizer),
                     INK_ERROR_CORRUPT, rows[i].words);
        assert_int_equal(memory->live_bytes, live);
    }
    static const char *const bad[] = {"A",    "AA",   "AAA",  "AA=A",     "=AAA",
                                      "AAB=", "AB==", "AA A", "AA==AAAA", "AAA\xC3\xA9"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"%s\"},\"model\":{\"type\":"
                 "\"Unigram\",\"vocab\":[[\"a\",-1]]}}",
                 bad[i]);
        assert_fails(ctx, test_open_text(ctx, text, strlen(text), &tokenizer), INK_ERROR_CORRUPT,
                     "normalizer.precompiled_charsmap: this is not base64");
    }
    make_charsmap(map);
    assert_ok(ctx, open_charsmap(ctx, map, size, &tokenizer));
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, "ab", 2, 0, ids, 4, &n));
    assert_int_equal(n, 3);
    assert_true(ids[0] == 1 && ids[1] == 2 && ids[2] == 1);
    ink_tokenizer_free(tokenizer);
}

/* A vocabulary of <unk> and runs of a, from `from` to `to` letters, each followed by `end`. */
static char *runs(size_t from, size_t to, const char *end)
{
    char *model = malloc((to - from + 1) * (to + 32) + 64),
         *at = model + sprintf(model, "'unk_id':0,'vocab':[['<unk>',0]");
    for (size_t size = from; size <= to; size++) {
        at += sprintf(at, ",['");
        memset(at, 'a', size);
        at += (size_t)sprintf(at + size, "%s',-%zu.25]", end, size) + size;
    }
    sprintf(at, "]");
    return model;
}

/* All pieces that are ends of each other are looked at in each place of a text, so there is a limit to them; there is
   none to the length of a piece. */
static void a_megabyte_costs_no_more_than_its_length(ink_context *ctx)
{
    static const struct {
        size_t from, to;
        const char *end;
        size_t n; /* ids of a megabyte of a */
        ink_token first, last;
    } rows[] = {
        {1, 128, "", MB / 128, 128, 128}, {1, 1, "", MB, 1, 1}, {20000, 20000, "b", 1, 0, 0}, {500, 560, "b", 1, 0, 0}};
    ink_token *ids = malloc(MB * sizeof *ids);
    char *text = malloc(MB);
    memset(text, 'a', MB);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ink_tokenizer *tokenizer = NULL;
        size_t n = 0;
        char *model = runs(rows[i].from, rows[i].to, rows[i].end);
        assert_ok(ctx, open_model(ctx, model, &tokenizer));
        clock_t start = clock();
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, MB, 0, ids, MB, &n));
        print_message("%zu to %zu: %.2f s\n", rows[i].from, rows[i].to, (double)(clock() - start) / CLOCKS_PER_SEC);
        assert_int_equal(n, rows[i].n);
        assert_int_equal(ids[0], rows[i].first);
        assert_int_equal(ids[n - 1], rows[i].last);
        ink_tokenizer_free(tokenizer);
        free(model);
    }
    ink_tokenizer *none = NULL;
    char *model = runs(1, 129, "");
    assert_fails(ctx, open_model(ctx, model, &none), INK_ERROR_LIMIT,
                 "more than 128 pieces of the vocabulary are ends of each other, as of 'aaa");
    free(model);
    free(text);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(cuts_are_the_references),
        context_test(equal_pieces_are_special_together),
        counted_test(wrong_files_are_refused),
        counted_test(charsmaps_are_checked),
        context_test(a_megabyte_costs_no_more_than_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
