/*
 * test_tokenizer_stream.c - text that comes out piece by piece, and bytes that are no text.
 */
#include "tokenizers.h"

#include <stdio.h>
#include <string.h>

/* Well-formed UTF-8, by another way than the library's: decode without looking, then ask what the code point needs. */
static bool is_text(const char *s, size_t n)
{
    static const unsigned long least[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < n;) {
        unsigned lead = (unsigned char)s[i];
        size_t length = lead < 0x80 ? 1 : lead < 0xC0 ? 5 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        if (length > 4 || i + length > n)
            return false;
        unsigned long code = length == 1 ? lead : lead & (0xFFu >> (length + 1));
        for (size_t k = 1; k < length; k++) {
            if (((unsigned char)s[i + k] & 0xC0) != 0x80)
                return false;
            code = code << 6 | ((unsigned char)s[i + k] & 0x3F);
        }
        if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
            return false;
        i += length;
    }
    return true;
}

static void check_stream(ink_context *ctx, const ink_tokenizer *tokenizer, const test_case *c)
{
    static char text[TEST_TEXT_MAX];
    ink_text_stream stream = {.n_held = 0};
    size_t capacity = ink_tokenizer_stream_capacity(tokenizer), total = 0;
    for (size_t i = 0; i <= c->n; i++) {
        size_t size = 0;
        ink_token id = i < c->n ? c->ids[i] : -1;
        assert_true(total + capacity < TEST_TEXT_MAX);
        assert_ok(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, id, text + total, capacity, &size));
        assert_true(is_text(text + total, size));
        assert_true(stream.n_held <= INK_STREAM_HELD);
        total += size;
    }
    assert_int_equal(stream.n_held, 0);
    assert_int_equal(total, c->decoded_size);
    assert_memory_equal(text, c->decoded, total);
}

static void a_stream_gives_the_decoded_text(void **unused)
{
    (void)unused;
    test_each_case(check_stream);
}

static void a_stream_without_room_changes_nothing(ink_context *ctx)
{
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "plain");
    ink_text_stream stream = {.n_held = 0};
    char text[16] = "untouched";
    size_t size = 0;
    ink_token lead = ink_tokenizer_find(tokenizer, "\xE2", 1), letter = ink_tokenizer_find(tokenizer, "x", 1);
    assert_ok(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, lead, NULL, 0, &size));
    assert_int_equal(size, 0);
    assert_int_equal(stream.n_held, 1);
    assert_fails(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, letter, text, 3, &size), INK_ERROR_LIMIT,
                 "4 bytes");
    assert_int_equal(size, 4);
    assert_int_equal(stream.n_held, 1);
    assert_string_equal(text, "untouched");
    assert_ok(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, letter, text, 4, &size));
    assert_memory_equal(text, "\xEF\xBF\xBDx", 4);
    stream.n_held = 4;
    assert_fails(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, letter, text, 16, &size), INK_ERROR_ARGUMENT, NULL);
    ink_tokenizer_free(tokenizer);
}

/* After Kuhn's UTF-8 stress test: stray continuations, cut sequences, impossible bytes, overlong forms, surrogates,
   beyond 10FFFF; and NUL, which is text. */
static const char *const malformed[] = {"\x80",
                                        "\xBF\x80\x80",
                                        "a\xC3",
                                        "\xE2\x82",
                                        "\xF0\x9F\x98",
                                        "\xE2\x82 x\xF0\x9F",
                                        "\xFE",
                                        "\xFF\xFF",
                                        "\xC0\xAF",
                                        "\xE0\x80\xAF",
                                        "\xF0\x80\x80\xAF",
                                        "\xF8\x88\x80\x80\x80",
                                        "\xC1\xBF",
                                        "\xE0\x9F\xBF",
                                        "\xF0\x8F\xBF\xBF",
                                        "\xED\xA0\x80",
                                        "\xED\xBF\xBF",
                                        "\xED\xA0\xBD\xED\xB8\x80",
                                        "\xF4\x90\x80\x80",
                                        "\xFB\xBF\xBF\xBF\xBF",
                                        " \xC3\xC3\xA9 'll\xA9",
                                        "\xEF\xBF\xBE\xEF\xBF\xBF",
                                        "<|endoftext|>\xE2<|endoftext|>\x82"};

/* All bytes are kept: the tokens' bytes in a row are the text's. */
static void bytes_that_are_not_text_are_kept(ink_context *ctx)
{
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "shuffled");
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        ink_token ids[64];
        size_t size = strlen(malformed[i]), n = 0, total = 0;
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, malformed[i], size, INK_ENCODE_ADDED, ids, 64, &n));
        for (size_t k = 0; k < n; k++) {
            size_t length = 0;
            const char *bytes = ink_tokenizer_token(tokenizer, ids[k], &length);
            assert_true(total + length <= size);
            assert_memory_equal(bytes, malformed[i] + total, length);
            total += length;
        }
        assert_int_equal(total, size);
    }
    ink_tokenizer_free(tokenizer);
}

/* One U+FFFD for each maximal subpart (Unicode 16, table 3-11 and what stands around it). */
static void decoding_replaces_bytes_that_are_not_text(ink_context *ctx)
{
    static const struct {
        const char *bytes;
        size_t n_replacements;
    } cases[] = {{"\xC0\xAF", 2},
                 {"\xE0\x80\xAF", 3},
                 {"\xF0\x9F\x98", 1},
                 {"\xF0\x9F\x98\xE2\x82", 2},
                 {"\xED\xA0\x80", 3},
                 {"\xF4\x91", 2},
                 {"\xE1\x80\xE2\xF0\x91", 3},
                 {"\xFF", 1},
                 {"\xF1\x80\x80\xC2\xC3", 3}};
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "shuffled");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_token ids[8];
        char text[64];
        size_t n = strlen(cases[i].bytes), size = 0;
        for (size_t k = 0; k < n; k++)
            ids[k] = ink_tokenizer_find(tokenizer, cases[i].bytes + k, 1);
        assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, n, text, sizeof text, &size));
        assert_int_equal(size, 3 * cases[i].n_replacements);
        for (size_t k = 0; k < size; k += 3)
            assert_memory_equal(text + k, "\xEF\xBF\xBD", 3);
    }
    ink_tokenizer_free(tokenizer);
}

/* ---- runs of byte tokens ---------------------------------------------------------------------------------------- */

/* The ids of the tokens <0x00> ... of llama2 for these bytes. */
static size_t byte_tokens(const ink_tokenizer *tokenizer, const char *bytes, ink_token *ids)
{
    size_t n = strlen(bytes);
    for (size_t i = 0; i < n; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)(unsigned char)bytes[i]);
        ids[i] = ink_tokenizer_find(tokenizer, name, 6);
        assert_true(ids[i] >= 0);
    }
    return n;
}

static void expect_decoded(ink_context *ctx, const ink_tokenizer *tokenizer, const char *bytes, const char *expected)
{
    static test_case c;
    static char text[TEST_TEXT_MAX];
    size_t size = 0;
    c.n = byte_tokens(tokenizer, bytes, c.ids);
    c.decoded_size = strlen(expected);
    memcpy(c.decoded, expected, c.decoded_size);
    assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, c.ids, c.n, text, sizeof text, &size));
    assert_int_equal(size, c.decoded_size);
    assert_memory_equal(text, expected, size);
    check_stream(ctx, tokenizer, &c);
}

#define E_ACUTE_8 "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9"
#define E_ACUTE_32 E_ACUTE_8 E_ACUTE_8 E_ACUTE_8 E_ACUTE_8
#define FFFD "\xEF\xBF\xBD"

/* A run is text as a whole or not at all, as in the reference; but no more than INK_STREAM_HELD bytes of it wait. */
static void runs_of_bytes_are_text_as_a_whole(ink_context *ctx)
{
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "llama2");
    expect_decoded(ctx, tokenizer, "\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80");
    expect_decoded(ctx, tokenizer, "\xC3\xA9\xC3", FFFD FFFD FFFD);
    expect_decoded(ctx, tokenizer, "\xC3\xA9\xFF\xC3\xA9", FFFD FFFD FFFD FFFD FFFD);
    expect_decoded(ctx, tokenizer, E_ACUTE_32 E_ACUTE_32 E_ACUTE_8, E_ACUTE_32 E_ACUTE_32 E_ACUTE_8);
    expect_decoded(ctx, tokenizer, "\xC3\xA9" E_ACUTE_32 "\xE2\x82\xAC" E_ACUTE_32,
                   "\xC3\xA9" E_ACUTE_32 "\xE2\x82\xAC" E_ACUTE_32);
    expect_decoded(ctx, tokenizer, E_ACUTE_32 "\xFF", E_ACUTE_32 FFFD); /* the first 64 bytes are out by then */
    ink_tokenizer_free(tokenizer);
}

/* Nothing is held back longer than it must be: a run comes out with the token that ends it. */
static void a_run_ends_with_its_last_token(ink_context *ctx)
{
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "llama2");
    ink_text_stream stream = {.n_held = 0};
    ink_token ids[8], letter = ink_tokenizer_find(tokenizer, "a", 1);
    char text[1024];
    size_t n = byte_tokens(tokenizer, "\xE2\x82\xAC", ids), size = 0;
    for (size_t i = 0; i < n; i++) {
        assert_ok(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, ids[i], text, sizeof text, &size));
        assert_int_equal(size, 0);
    }
    assert_ok(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, letter, text, sizeof text, &size));
    assert_int_equal(size, 4);
    assert_memory_equal(text,
                        "\xE2\x82\xAC"
                        "a",
                        4);
    stream.n_held = INK_STREAM_HELD + 1;
    assert_fails(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, letter, text, sizeof text, &size),
                 INK_ERROR_ARGUMENT, "zero-initialised");
    ink_tokenizer_free(tokenizer);
}

/* Bytes that are no text, where the model has tokens for bytes: they are kept. Where it has none, they are unknown. */
static void bytes_that_are_not_text_reach_other_models(ink_context *ctx)
{
    ink_tokenizer *llama2 = test_open_tokenizer(ctx, "llama2"), *bert = test_open_tokenizer(ctx, "bert");
    ink_token unk = ink_tokenizer_control(bert, INK_CONTROL_UNK), ids[64], expected[64];
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        size_t size = strlen(malformed[i]), n = 0, n_bytes = 0;
        if (strchr(malformed[i], '<') != NULL || strchr(malformed[i], ' ') != NULL)
            continue;
        assert_ok(ctx, ink_tokenizer_encode(ctx, llama2, malformed[i], size, INK_ENCODE_PLAIN, ids, 64, &n));
        for (size_t k = 0; k < n; k++) { /* behind the prefix, and the letters there are */
            size_t length;
            const char *name = ink_tokenizer_token(llama2, ids[k], &length);
            n_bytes += length == 6 && name[0] == '<';
        }
        assert_int_equal(n_bytes, size - (malformed[i][0] == 'a'));
        assert_ok(ctx, ink_tokenizer_encode(ctx, bert, malformed[i], size, INK_ENCODE_PLAIN, expected, 64, &n));
        assert_int_equal(n, 1);
        assert_int_equal(expected[0], unk);
    }
    ink_tokenizer_free(llama2);
    ink_tokenizer_free(bert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_gives_the_decoded_text),
        context_test(a_stream_without_room_changes_nothing),
        context_test(bytes_that_are_not_text_are_kept),
        context_test(decoding_replaces_bytes_that_are_not_text),
        context_test(runs_of_bytes_are_text_as_a_whole),
        context_test(a_run_ends_with_its_last_token),
        context_test(bytes_that_are_not_text_reach_other_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
