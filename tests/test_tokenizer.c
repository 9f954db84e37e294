/*
 * test_tokenizer.c - the tokenizer against Hugging Face's (fixtures/make_tokenizer.py), on bytes that are no text, on
 * very long words, and on tokenizer.json files that are wrong in one place.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/text/split.h"
#include "../src/text/unicode.h"
#include "counting.h"

#define LINE_SIZE (1 << 16)

/* "bundled" is the tokenizer of the models in the box. */
static const char *const names[] = {"plain", "template", "shuffled", "bundled"};
#define N_NAMES (sizeof names / sizeof names[0])

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* A file of fixtures/tokenizer/, NUL-terminated; the caller frees it. */
static char *read_file(const char *name, const char *ending, size_t *size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/tokenizer/%s%s", FIXTURES, name, ending);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s is missing", path);
    char *text = malloc(1 << 20);
    *size = fread(text, 1, (1 << 20) - 1, file);
    text[*size] = '\0';
    fclose(file);
    return text;
}

static ink_result open_text(ink_context *ctx, const char *text, size_t size, ink_tokenizer **tokenizer)
{
    ink_memory_file file = {"tokenizer.json", text, size};
    ink_memory_files files = {&file, 1};
    ink_source source = ink_source_memory(&files);
    return ink_tokenizer_open_source(ctx, &source, tokenizer);
}

static ink_tokenizer *open_fixture(ink_context *ctx, const char *name)
{
    size_t size;
    ink_tokenizer *tokenizer = NULL;
    if (strcmp(name, "bundled") == 0) {
        assert_ok(ctx, ink_tokenizer_open(ctx, MODELS "/gpt", &tokenizer));
        return tokenizer;
    }
    char *text = read_file(name, ".json", &size);
    assert_ok(ctx, open_text(ctx, text, size, &tokenizer));
    free(text);
    return tokenizer;
}

/* ---- cases ------------------------------------------------------------------------------------------------------ */

typedef struct test_case {
    bool has_text;
    char text[LINE_SIZE];
    size_t size;
    ink_token ids[LINE_SIZE];
    size_t n;
    char decoded[LINE_SIZE];
    size_t decoded_size;
} test_case;

static size_t parse_hexadecimal(const char *hexadecimal, char *out)
{
    size_t n = 0;
    unsigned byte;
    for (; sscanf(hexadecimal, "%2x", &byte) == 1 && hexadecimal[0] != '-'; hexadecimal += 2)
        out[n++] = (char)byte;
    return n;
}

static void parse_case(char *line, test_case *c)
{
    const char *text = strtok(line, " "), *ids = strtok(NULL, " "), *decoded = strtok(NULL, " ");
    assert_non_null(decoded);
    c->has_text = text[0] != '?';
    c->size = c->has_text ? parse_hexadecimal(text, c->text) : 0;
    c->decoded_size = parse_hexadecimal(decoded, c->decoded);
    c->n = 0;
    for (char *end = NULL; ids[0] != '-' && *ids != '\0'; ids = *end == ',' ? end + 1 : end)
        c->ids[c->n++] = (ink_token)strtol(ids, &end, 10);
}

/* Calls `check` with every case of a fixture, and returns how many there were. */
static size_t each_case(const char *name, void (*check)(ink_context *, const ink_tokenizer *, const test_case *))
{
    static test_case c;
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = open_fixture(ctx, name);
    size_t size, n = 0;
    char *lines = read_file(name, ".txt", &size);
    for (char *line = lines, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, n++) {
        *end = '\0';
        parse_case(line, &c);
        check(ctx, tokenizer, &c);
    }
    free(lines);
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
    return n;
}

static void each_fixture(void (*check)(ink_context *, const ink_tokenizer *, const test_case *))
{
    for (size_t i = 0; i < N_NAMES; i++)
        assert_true(each_case(names[i], check) >= 250);
}

/* ---- parity ----------------------------------------------------------------------------------------------------- */

static void check_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const test_case *c)
{
    static ink_token ids[LINE_SIZE];
    size_t n = 0;
    if (!c->has_text)
        return;
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, c->text, c->size, INK_ENCODE_DEFAULT, ids, LINE_SIZE, &n));
    assert_int_equal(n, c->n);
    assert_memory_equal(ids, c->ids, n * sizeof *ids);
}

static void test_encode_parity(void **unused)
{
    (void)unused;
    each_fixture(check_encode);
}

static void check_decode(ink_context *ctx, const ink_tokenizer *tokenizer, const test_case *c)
{
    static char text[LINE_SIZE];
    size_t size = 0;
    assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, c->ids, c->n, text, LINE_SIZE, &size));
    assert_int_equal(size, c->decoded_size);
    assert_memory_equal(text, c->decoded, size);
}

static void test_decode_parity(void **unused)
{
    (void)unused;
    each_fixture(check_decode);
}

/* ---- splitting and classes -------------------------------------------------------------------------------------- */

static void check_split_line(char *line)
{
    static char text[LINE_SIZE];
    char *space = strchr(line, ' ');
    assert_non_null(space);
    *space = '\0';
    const char *sizes = space + 1;
    size_t size = parse_hexadecimal(line, text), done = 0;
    for (char *end = NULL; done < size; sizes = *end == ',' ? end + 1 : end) {
        size_t expected = strtoul(sizes, &end, 10);
        assert_int_equal(ink_split_gpt2(text + done, size - done), expected);
        done += expected;
    }
    assert_int_equal(*sizes, '\0');
}

/* The words themselves: ids alone do not show a cut where nothing could have been merged. */
static void test_split_parity(void **unused)
{
    (void)unused;
    size_t size, n = 0;
    char *lines = read_file("splits", ".txt", &size);
    for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n"), n++)
        check_split_line(line);
    assert_true(n >= 500);
    free(lines);
}

/* Bytes that are not UTF-8 are of the class of punctuation. */
static void test_split_malformed(void **unused)
{
    (void)unused;
    assert_int_equal(ink_split_gpt2("!\xFF\xC3!x", 5), 4);
    assert_int_equal(ink_split_gpt2(" \xE2\x82 x", 5), 3);
    assert_int_equal(ink_split_gpt2("x\x80", 2), 1);
    assert_int_equal(ink_split_gpt2("\xF0\x9F\x98", 3), 3);
}

/* Unicode 16: 141,028 letters, 1,911 numbers, 25 code points of white space. */
static void test_classes(void **unused)
{
    (void)unused;
    static const uint32_t spaces[] = {0x9,    0xA,    0xB,    0xC,    0xD,    0x20,   0x85,   0xA0,   0x1680,
                                      0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
                                      0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    size_t count[4] = {0}, n_spaces = 0;
    for (uint32_t code = 0; code < 0x110000; code++) {
        ink_unicode_class class = ink_unicode_class_of(code);
        count[class]++;
        if (class == INK_UNICODE_SPACE)
            assert_int_equal(code, spaces[n_spaces++]);
    }
    assert_int_equal(count[INK_UNICODE_LETTER], 141028);
    assert_int_equal(count[INK_UNICODE_NUMBER], 1911);
    assert_int_equal(count[INK_UNICODE_SPACE], 25);
    assert_true(ink_unicode_is_word('_') && ink_unicode_is_word('7') && ink_unicode_is_word(0x301));
    assert_false(ink_unicode_is_word(' ') || ink_unicode_is_word('-') || ink_unicode_is_word(0x1F600));
    assert_int_equal(ink_unicode_class_of(UINT32_MAX), INK_UNICODE_OTHER);
}

/* ---- streaming -------------------------------------------------------------------------------------------------- */

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
    static char text[LINE_SIZE];
    ink_text_stream stream = {.n_held = 0};
    size_t capacity = ink_tokenizer_stream_capacity(tokenizer), total = 0;
    for (size_t i = 0; i <= c->n; i++) {
        size_t size = 0;
        ink_token id = i < c->n ? c->ids[i] : -1;
        assert_true(total + capacity < LINE_SIZE);
        assert_ok(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, id, text + total, capacity, &size));
        assert_true(is_text(text + total, size));
        assert_true(stream.n_held <= 3);
        total += size;
    }
    assert_int_equal(stream.n_held, 0);
    assert_int_equal(total, c->decoded_size);
    assert_memory_equal(text, c->decoded, total);
}

static void test_stream_equals_decode(void **unused)
{
    (void)unused;
    each_fixture(check_stream);
}

static void test_stream_without_room(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = open_fixture(ctx, "plain");
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
    ink_context_free(ctx);
}

/* ---- bytes that are no text ------------------------------------------------------------------------------------- */

/* After Kuhn's UTF-8 stress test: stray continuations, cut sequences, impossible bytes, overlong forms, surrogates,
   beyond 10FFFF; and NUL, which is text. */
static const char *const malformed[] = {
    "\x80", "\xBF\x80\x80", "a\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xE2\x82 x\xF0\x9F", "\xFE", "\xFF\xFF", "\xC0\xAF",
    "\xE0\x80\xAF", "\xF0\x80\x80\xAF", "\xF8\x88\x80\x80\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF",
    "\xED\xA0\x80", "\xED\xBF\xBF", "\xED\xA0\xBD\xED\xB8\x80", "\xF4\x90\x80\x80", "\xFB\xBF\xBF\xBF\xBF",
    " \xC3\xC3\xA9 'll\xA9", "\xEF\xBF\xBE\xEF\xBF\xBF", "<|endoftext|>\xE2<|endoftext|>\x82"};

/* All bytes are kept: the tokens' bytes in a row are the text's. */
static void test_malformed_is_kept(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = open_fixture(ctx, "shuffled");
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
    ink_context_free(ctx);
}

/* One U+FFFD for each maximal subpart (Unicode 16, table 3-11 and what stands around it). */
static void test_decode_replaces(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t n_replacements;
    } cases[] = {{"\xC0\xAF", 2},           {"\xE0\x80\xAF", 3}, {"\xF0\x9F\x98", 1},     {"\xF0\x9F\x98\xE2\x82", 2},
                 {"\xED\xA0\x80", 3},       {"\xF4\x91", 2},     {"\xE1\x80\xE2\xF0\x91", 3}, {"\xFF", 1},
                 {"\xF1\x80\x80\xC2\xC3", 3}};
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = open_fixture(ctx, "shuffled");
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
    ink_context_free(ctx);
}

/* ---- long words ------------------------------------------------------------------------------------------------- */

/* FNV-1a over whole ids. */
static uint32_t sum_of_ids(const ink_token *ids, size_t n)
{
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ (uint32_t)ids[i]) * 16777619u;
    return sum;
}

static void check_long_line(ink_context *ctx, const ink_tokenizer *tokenizer, const char *name, const char *line)
{
    size_t repeats = 0, expected = 0, n = 0;
    unsigned sum = 0;
    char spelled[64], one[32];
    assert_int_equal(sscanf(line, "%63s %zu %zu %x", spelled, &repeats, &expected, &sum), 4);
    size_t length = parse_hexadecimal(spelled, one), size = repeats * length;
    char *text = malloc(size);
    ink_token *ids = malloc(expected * sizeof *ids);
    for (size_t i = 0; i < size; i += length)
        memcpy(text + i, one, length);
    clock_t start = clock();
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, size, INK_ENCODE_DEFAULT, ids, expected, &n));
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    print_message("%s: %zu bytes (%s ...) in %.2f s\n", name, size, spelled, seconds);
    assert_int_equal(n, expected);
    assert_int_equal(sum_of_ids(ids, n), sum);
    free(ids);
    free(text);
}

static void test_long_words(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    for (size_t i = 0; i < N_NAMES; i++) {
        size_t size, n = 0;
        char *lines = read_file(names[i], "_long.txt", &size);
        ink_tokenizer *tokenizer = open_fixture(ctx, names[i]);
        for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n"), n++)
            check_long_line(ctx, tokenizer, names[i], line);
        assert_int_equal(n, 8);
        ink_tokenizer_free(tokenizer);
        free(lines);
    }
    ink_context_free(ctx);
}

/* ---- the interface ---------------------------------------------------------------------------------------------- */

static void test_flags(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = open_fixture(ctx, "template");
    ink_token begin = ink_tokenizer_find(tokenizer, "<s>", 3), end = ink_tokenizer_find(tokenizer, "</s>", 4), ids[16];
    size_t n = 0;
    assert_true(begin >= 0 && end >= 0);
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, "<s>", 3, INK_ENCODE_ADDED, ids, 16, &n));
    assert_int_equal(n, 1);
    assert_int_equal(ids[0], begin);
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, "<s>", 3, INK_ENCODE_PLAIN, ids, 16, &n));
    assert_true(n > 1);
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(ids[i], begin);
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, NULL, 0, INK_ENCODE_TEMPLATE, ids, 16, &n));
    assert_int_equal(n, 3);
    assert_int_equal(ids[0], begin);
    assert_int_equal(ids[1], end);
    assert_int_equal(ids[2], end);
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, NULL, 0, INK_ENCODE_ADDED, NULL, 0, &n));
    assert_int_equal(n, 0);
    assert_fails(ctx, ink_tokenizer_encode(ctx, tokenizer, "a", 1, 4, ids, 16, &n), INK_ERROR_ARGUMENT, "flags");
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
}

static void test_room(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = open_fixture(ctx, "shuffled");
    const char *text = "zq zq zq";
    ink_token ids[16];
    char back[16];
    size_t needed = 0, n = 0, size = 0;
    assert_fails(ctx, ink_tokenizer_encode(ctx, tokenizer, text, 8, 0, NULL, 0, &needed), INK_ERROR_LIMIT,
                 "room for 0");
    assert_true(needed >= 5);
    memset(ids, 0x55, sizeof ids);
    assert_fails(ctx, ink_tokenizer_encode(ctx, tokenizer, text, 8, 0, ids, needed - 1, &n), INK_ERROR_LIMIT, "tokens");
    assert_int_equal(n, needed);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(ids[i], 0x55555555);
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, 8, 0, ids, needed, &n));
    assert_int_equal(n, needed);
    assert_int_equal(ids[needed], 0x55555555);

    memset(back, 'U', sizeof back);
    assert_fails(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, n, back, 7, &size), INK_ERROR_LIMIT, "room for 7");
    assert_int_equal(size, 8);
    assert_int_equal(back[0], 'U');
    assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, n, back, 8, &size));
    assert_memory_equal(back, "zq zq zqU", 9);
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
}

static void test_tokens(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = open_fixture(ctx, "plain");
    size_t size = 1, n_ids = ink_tokenizer_vocab_size(tokenizer);
    ink_token pad = ink_tokenizer_find(tokenizer, "<pad>", 5), added = ink_tokenizer_find(tokenizer, "<a>", 3);
    assert_true(pad >= 0 && (size_t)pad < n_ids);
    assert_true(ink_tokenizer_is_special(tokenizer, pad));
    assert_false(ink_tokenizer_is_special(tokenizer, added));
    assert_false(ink_tokenizer_is_special(tokenizer, -1));
    assert_memory_equal(ink_tokenizer_token(tokenizer, pad, &size), "<pad>", 5);
    assert_int_equal(size, 5);
    assert_null(ink_tokenizer_token(tokenizer, (ink_token)n_ids, &size));
    assert_int_equal(size, 0);
    assert_null(ink_tokenizer_token(tokenizer, -1, NULL));
    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        ink_token id = ink_tokenizer_find(tokenizer, &c, 1);
        assert_memory_equal(ink_tokenizer_token(tokenizer, id, &size), &c, 1);
        assert_int_equal(size, 1);
    }
    assert_int_equal(ink_tokenizer_find(tokenizer, "no such token", 13), -1);
    assert_int_equal(ink_tokenizer_find(tokenizer, "", 0), -1);

    ink_token wrong[] = {pad, -1};
    char text[8];
    assert_fails(ctx, ink_tokenizer_decode(ctx, tokenizer, wrong, 2, text, 8, &size), INK_ERROR_ARGUMENT, "-1");
    wrong[1] = (ink_token)n_ids;
    assert_fails(ctx, ink_tokenizer_decode(ctx, tokenizer, wrong, 2, text, 8, &size), INK_ERROR_ARGUMENT, "no token");
    wrong[1] = INT32_MAX;
    assert_fails(ctx, ink_tokenizer_decode(ctx, tokenizer, wrong, 2, text, 8, &size), INK_ERROR_ARGUMENT, "2147483647");
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
}

static void test_null(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_tokenizer *t = open_fixture(ctx, "shuffled"), *none = NULL;
    ink_text_stream stream = {.n_held = 0};
    ink_token id = 5;
    char c = 'a';
    size_t n;
    const ink_result wrong = INK_ERROR_ARGUMENT;
    assert_fails(ctx, ink_tokenizer_open(ctx, NULL, &none), wrong, "folder");
    assert_fails(ctx, ink_tokenizer_open(ctx, "x", NULL), wrong, "tokenizer");
    assert_fails(ctx, ink_tokenizer_open_source(ctx, NULL, &none), wrong, "source");
    assert_fails(ctx, ink_tokenizer_encode(ctx, NULL, &c, 1, 0, &id, 1, &n), wrong, "tokenizer");
    assert_fails(ctx, ink_tokenizer_encode(ctx, t, NULL, 1, 0, &id, 1, &n), wrong, "text");
    assert_fails(ctx, ink_tokenizer_encode(ctx, t, &c, 1, 0, NULL, 1, &n), wrong, "ids");
    assert_fails(ctx, ink_tokenizer_encode(ctx, t, &c, 1, 0, &id, 1, NULL), wrong, "'n'");
    assert_fails(ctx, ink_tokenizer_decode(ctx, NULL, &id, 1, &c, 1, &n), wrong, "tokenizer");
    assert_fails(ctx, ink_tokenizer_decode(ctx, t, NULL, 1, &c, 1, &n), wrong, "ids");
    assert_fails(ctx, ink_tokenizer_decode(ctx, t, &id, 1, NULL, 1, &n), wrong, "text");
    assert_fails(ctx, ink_tokenizer_decode(ctx, t, &id, 1, &c, 1, NULL), wrong, "size");
    assert_fails(ctx, ink_tokenizer_stream(ctx, NULL, &stream, 1, &c, 1, &n), wrong, "tokenizer");
    assert_fails(ctx, ink_tokenizer_stream(ctx, t, NULL, 1, &c, 1, &n), wrong, "stream");
    assert_fails(ctx, ink_tokenizer_stream(ctx, t, &stream, 1, NULL, 1, &n), wrong, "text");
    assert_fails(ctx, ink_tokenizer_stream(ctx, t, &stream, 1, &c, 1, NULL), wrong, "size");
    assert_fails(ctx, ink_tokenizer_stream(ctx, t, &stream, -2, &c, 1, &n), wrong, "-2");
    assert_int_equal(ink_tokenizer_encode(NULL, t, &c, 1, 0, &id, 1, &n), wrong);
    assert_int_equal(ink_tokenizer_vocab_size(NULL), 0);
    assert_int_equal(ink_tokenizer_find(NULL, "a", 1), -1);
    ink_tokenizer_free(NULL);
    ink_tokenizer_free(t);
    ink_context_free(ctx);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static void test_second_call_allocates_nothing(void **unused)
{
    (void)unused;
    counting memory;
    counting_init(&memory);
    ink_context_options options = test_options(1);
    options.allocator = memory.allocator;
    ink_context *ctx = ink_context_create(&options);
    ink_tokenizer *tokenizer = open_fixture(ctx, "template");
    static char text[20000], back[30000];
    static ink_token ids[40000];
    size_t n = 0, size = 0, takes = 0;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i < 8000 ? 'm' : "ab cd, don't  1234\n<s>"[i % 22];
    for (int run = 0; run < 2; run++) {
        takes = memory.takes;
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, sizeof text, INK_ENCODE_DEFAULT, ids, 40000, &n));
        assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, n, back, sizeof back, &size));
    }
    assert_int_equal(memory.takes, takes);
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
    assert_int_equal(memory.live_bytes, 0);
}

/* Opens and encodes a long word while the k-th request for memory fails, alone or with all after it. Nothing may leak,
   and what was opened stays usable. Returns whether a request was failed. */
static bool try_with_failure(const char *text, size_t size, size_t k, bool all_after)
{
    static char word[300000];
    counting memory;
    counting_init(&memory);
    ink_context_options options = test_options(1);
    options.allocator = memory.allocator;
    ink_context *ctx = ink_context_create(&options);
    ink_tokenizer *tokenizer = NULL;
    size_t n = 0;
    memset(word, 'b', sizeof word);
    (all_after ? counting_fail_from : counting_fail_at)(&memory, k);
    ink_result opened = open_text(ctx, text, size, &tokenizer);
    ink_result encoded = opened;
    if (opened == INK_OK)
        encoded = ink_tokenizer_encode(ctx, tokenizer, word, sizeof word, 0, NULL, 0, &n);
    bool failed = counting_failed(&memory);
    assert_true(encoded == INK_ERROR_MEMORY || encoded == INK_ERROR_LIMIT); /* LIMIT: no room for ids, as asked */
    if (all_after)
        assert_int_equal(encoded, failed ? INK_ERROR_MEMORY : INK_ERROR_LIMIT);
    if (opened == INK_OK)
        assert_fails(ctx, ink_tokenizer_encode(ctx, tokenizer, word, 9, 0, NULL, 0, &n), INK_ERROR_LIMIT, "room");
    else
        assert_null(tokenizer);
    ink_tokenizer_free(tokenizer);
    ink_context_free(ctx);
    assert_int_equal(memory.live_bytes, 0);
    return failed;
}

static void test_every_allocation_fails_once(void **unused)
{
    (void)unused;
    size_t size;
    char *text = read_file("template", ".json", &size);
    for (int all_after = 0; all_after < 2; all_after++) {
        size_t k = 1;
        while (try_with_failure(text, size, k, all_after != 0))
            k++;
        assert_true(k > 3);
    }
    free(text);
}

/* ---- bad files -------------------------------------------------------------------------------------------------- */

/* plain.json with the first `from` replaced by `to`, in both of which ' stands for ". */
typedef struct bad_file {
    const char *from, *to;
    ink_result result;
    const char *words;
} bad_file;

/* A copy for the caller to free, with ' written as ". */
static char *with_quotes(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    strcpy(copy, text);
    for (char *c = copy; (c = strchr(c, '\'')) != NULL;)
        *c = '"';
    return copy;
}

static char *replace(const char *text, const char *from, const char *to)
{
    char *quoted_from = with_quotes(from), *quoted_to = with_quotes(to);
    const char *at = strstr(text, quoted_from);
    if (at == NULL)
        fail_msg("the fixture has no %s", quoted_from);
    char *changed = malloc(strlen(text) + strlen(quoted_to) + 1);
    sprintf(changed, "%.*s%s%s", (int)(at - text), text, quoted_to, at + strlen(quoted_from));
    free(quoted_from);
    free(quoted_to);
    return changed;
}

#define FLAGS ",'special':false,'normalized':false,'lstrip':false,'rstrip':false,'single_word':false},"
#define CORRUPT INK_ERROR_CORRUPT
#define UNSUPPORTED INK_ERROR_UNSUPPORTED

static const bad_file bad_files[] = {
    {"'version':'1.0'", "'version':'2.0'", UNSUPPORTED, "2.0"},
    {"'normalizer':null", "'normalizer':{'type':'NFC'}", UNSUPPORTED, "normalizer: type 'NFC'"},
    {"'normalizer':null", "'normalizer':[]", INK_ERROR_MISMATCH, "normalizer"},
    {"'pre_tokenizer':{'type':'ByteLevel'", "'pre_tokenizer':{'type':'Metaspace'", UNSUPPORTED,
     "'Metaspace' is not supported; supported: ByteLevel"},
    {"'pre_tokenizer':{'type':'ByteLevel'", "'pre_tokenizer':null,'x':{'type':'ByteLevel'", UNSUPPORTED,
     "pre_tokenizer"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'Sequence','pretokenizers':[]},'x':{", UNSUPPORTED,
     "Sequence"},
    {"'pre_tokenizer':{",
     "'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'ByteLevel'},{'type':'ByteLevel'}]},"
     "'x':{", UNSUPPORTED, "twice"},
    {"'pre_tokenizer':{", "'pre_tokenizer':{'type':'Sequence','pretokenizers':[{'type':'Digits'}]},'x':{",
     UNSUPPORTED, "'Digits'"},
    {"'add_prefix_space':false", "'add_prefix_space':0", INK_ERROR_MISMATCH, "add_prefix_space"},
    {"'post_processor':{'type':'ByteLevel'", "'post_processor':{'type':'BertProcessing'", UNSUPPORTED,
     "'BertProcessing' is not supported; supported: ByteLevel, TemplateProcessing"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'B'}}],'special_tokens':{}",
     UNSUPPORTED, "post_processor.single[0].Sequence.id"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[],'special_tokens':{}", UNSUPPORTED, "template"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'Q'}}],"
     "'special_tokens':{}", INK_ERROR_MISMATCH, "'Q' is missing"},
    {"'post_processor':{'type':'ByteLevel'",
     "'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'Q'}}],"
     "'special_tokens':{'Q':{'ids':[99999]}}", CORRUPT, "no token has this id"},
    {"'decoder':{'type':'ByteLevel'", "'decoder':{'type':'WordPiece'", UNSUPPORTED, "'WordPiece'"},
    {"'decoder':{", "'decoder':null,'x':{", UNSUPPORTED, "decoder"},
    {"'type':'BPE'", "'type':'Unigram'", UNSUPPORTED, "model: type 'Unigram' is not supported; supported: BPE"},
    {"'type':'BPE'", "'type':7", INK_ERROR_MISMATCH, "model.type"},
    {"'model':{", "'x':{", UNSUPPORTED, "model"},
    {"'continuing_subword_prefix':null", "'continuing_subword_prefix':'##'", UNSUPPORTED,
     "model.continuing_subword_prefix"},
    {"'end_of_word_suffix':null", "'end_of_word_suffix':'</w>'", UNSUPPORTED, "model.end_of_word_suffix"},
    {"'vocab':{", "'words':{", INK_ERROR_MISMATCH, "vocab"},
    {"'vocab':{", "'vocab':{},'x':{", UNSUPPORTED, "byte 0"},
    {"'vocab':{", "'vocab':[],'x':{", INK_ERROR_MISMATCH, "model.vocab"},
    {"'!':1,", "", UNSUPPORTED, "byte 33"},
    {"'!':1,", "'!':-1,", INK_ERROR_MISMATCH, "model.vocab.!"},
    {"'!':1,", "'!':1.5,", INK_ERROR_MISMATCH, "model.vocab.!"},
    {"'!':1,", "'!':'1',", INK_ERROR_MISMATCH, "model.vocab.!"},
    {"'!':1,", "'!':2147483648,", INK_ERROR_MISMATCH, "model.vocab.!"},
    {"'!':1,", "'!':2147483646,", INK_ERROR_LIMIT, "2147483646"},
    {"'!':1,", "'!':2,", CORRUPT, "another token has this id"},
    {"'!':1,", "'!':1,'':1000,", CORRUPT, "no bytes"},
    {"'!':1,", "'!':1,'!':1000,", CORRUPT, "tokenizer.json"},
    {"'merges':[", "'merges':['! ;',", CORRUPT, "model.merges[0]: the merged token"},
    {"'merges':[", "'merges':['!',", CORRUPT, "model.merges[0]: expected two tokens"},
    {"'merges':[", "'merges':['! ! !',", CORRUPT, "two spaces"},
    {"'merges':[", "'merges':['nowhere !',", CORRUPT, "left token"},
    {"'merges':[", "'merges':['! nowhere',", CORRUPT, "right token"},
    {"'merges':[", "'merges':['! ',", CORRUPT, "right token"},
    {"'merges':[", "'merges':[['!'],", CORRUPT, "array of two"},
    {"'merges':[", "'merges':[['!','!','!'],", CORRUPT, "array of two"},
    {"'merges':[", "'merges':[['!',1],", INK_ERROR_MISMATCH, "model.merges[0][1]"},
    {"'merges':[", "'merges':[7,", INK_ERROR_MISMATCH, "model.merges[0]"},
    {"'merges':[", "'merges':{},'x':[", INK_ERROR_MISMATCH, "model.merges"},
    {"'added_tokens':[", "'added_tokens':{},'x':[", INK_ERROR_MISMATCH, "added_tokens"},
    {"'added_tokens':[", "'added_tokens':[7,", INK_ERROR_MISMATCH, "added_tokens[0]"},
    {"'added_tokens':[", "'added_tokens':[{'content':'<x>'},", INK_ERROR_MISMATCH, "'id' is missing"},
    {"'added_tokens':[", "'added_tokens':[{'id':900},", INK_ERROR_MISMATCH, "'content' is missing"},
    {"'added_tokens':[", "'added_tokens':[{'id':900,'content':'<x>'},", INK_ERROR_MISMATCH, "'special' is missing"},
    {"'added_tokens':[", "'added_tokens':[{'id':900,'content':''},", CORRUPT, "no bytes"},
    {"'added_tokens':[", "'added_tokens':[{'id':900,'content':7},", INK_ERROR_MISMATCH, "content"},
    {"'added_tokens':[", "'added_tokens':[{'id':1,'content':'<x>'" FLAGS, CORRUPT, "another token has this id"},
    {"'added_tokens':[", "'added_tokens':[{'id':900,'content':'<a>'" FLAGS, CORRUPT, "this content"},
    {"'added_tokens':[", "'added_tokens':[{'id':900,'content':'<x>','special':false,'normalized':false,'lstrip':1},",
     INK_ERROR_MISMATCH, "lstrip"},
};

static void expect_bad(ink_context *ctx, const char *text, size_t size, const bad_file *bad)
{
    ink_tokenizer *tokenizer = (ink_tokenizer *)(void *)ctx;
    assert_fails(ctx, open_text(ctx, text, size, &tokenizer), bad->result, bad->words);
    assert_null(tokenizer);
}

static void test_bad_files(void **unused)
{
    (void)unused;
    counting memory;
    counting_init(&memory);
    ink_context_options options = test_options(1);
    options.allocator = memory.allocator;
    ink_context *ctx = ink_context_create(&options);
    size_t size;
    char *text = read_file("plain", ".json", &size);
    size_t live = memory.live_bytes;
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        char *bad = replace(text, bad_files[i].from, bad_files[i].to);
        expect_bad(ctx, bad, strlen(bad), &bad_files[i]);
        free(bad);
        assert_int_equal(memory.live_bytes, live);
    }
    free(text);
    ink_context_free(ctx);
}

/* Changes that make no difference are accepted. */
static void test_good_files(void **unused)
{
    (void)unused;
    static const bad_file good[] = {
        {"'type':'BPE',", "", INK_OK, NULL},
        {"'version':'1.0',", "", INK_OK, NULL},
        {"'continuing_subword_prefix':null", "'continuing_subword_prefix':''", INK_OK, NULL},
        {"'unk_token':null", "'unk_token':'<|endoftext|>'", INK_OK, NULL},
        {"'truncation':null", "'truncation':{'max_length':4}", INK_OK, NULL},
        {"'decoder':{", "'decoder':{'type':'Sequence','decoders':[{'type':'ByteLevel'}]},'x':{", INK_OK, NULL},
        {"'added_tokens':[", "'added_tokens':[],'x':[", INK_OK, NULL},
        {"'added_tokens':[", "'x':[", INK_OK, NULL},
        {"'!':1,", "'!':1000,", INK_OK, NULL},
    };
    ink_context *ctx = test_context(1);
    size_t size;
    char *text = read_file("plain", ".json", &size);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char *changed = replace(text, good[i].from, good[i].to);
        ink_tokenizer *tokenizer = NULL;
        assert_ok(ctx, open_text(ctx, changed, strlen(changed), &tokenizer));
        ink_tokenizer_free(tokenizer);
        free(changed);
    }
    free(text);
    ink_context_free(ctx);
}

/* Long contents would make the time for a text depend on the file. */
static void test_long_added_token(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    size_t size;
    char *text = read_file("plain", ".json", &size);
    static char added[1400];
    for (size_t length = 1024; length <= 1025; length++) {
        ink_tokenizer *tokenizer = NULL;
        int head = sprintf(added, "'added_tokens':[{'id':900,'content':'");
        memset(added + head, 'a', length);
        strcpy(added + head + length, "'" FLAGS);
        char *changed = replace(text, "'added_tokens':[", added);
        ink_result result = open_text(ctx, changed, strlen(changed), &tokenizer);
        assert_int_equal(result, length == 1024 ? INK_OK : INK_ERROR_LIMIT);
        ink_tokenizer_free(tokenizer);
        free(changed);
    }
    free(text);
    ink_context_free(ctx);
}

/* A merge that is there twice, first and last. */
static void test_duplicate_merge(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = NULL;
    size_t size;
    char *text = read_file("shuffled", ".json", &size), again[64];
    const char *first = strstr(text, "\"merges\":[\"") + strlen("\"merges\":[");
    snprintf(again, sizeof again, ",%.*s]}}", (int)(strchr(first, ',') - first), first);
    char *changed = replace(text, "]}}", again);
    assert_fails(ctx, open_text(ctx, changed, strlen(changed), &tokenizer), INK_ERROR_CORRUPT,
                 "same as model.merges[0]");
    free(changed);

    /* So often that no hash seed can help. */
    char *many = malloc(400 * strlen(again)), *end = many;
    for (int i = 0; i < 399; i++)
        end += sprintf(end, "%.*s", (int)strlen(again) - 3, again);
    sprintf(end, "%s", again);
    changed = replace(text, "]}}", many);
    assert_fails(ctx, open_text(ctx, changed, strlen(changed), &tokenizer), INK_ERROR_LIMIT, "same hash or are equal");
    free(many);
    free(changed);
    free(text);
    ink_context_free(ctx);
}

/* Cut anywhere: refused, never believed. */
static void test_truncated_files(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    size_t size;
    char *text = read_file("shuffled", ".json", &size);
    while (text[size - 1] != '}')
        size--;
    for (size_t length = 0; length < size; length += length < 500 ? 1 : 23) {
        ink_tokenizer *tokenizer = NULL;
        char *cut = malloc(length + 1); /* a block of its own, so that reading on is seen by the sanitizers */
        memcpy(cut, text, length);
        assert_int_equal(open_text(ctx, cut, length, &tokenizer), INK_ERROR_CORRUPT);
        assert_null(tokenizer);
        free(cut);
    }
    free(text);
    ink_context_free(ctx);
}

static void test_folder(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(1);
    ink_tokenizer *tokenizer = NULL;
    assert_fails(ctx, ink_tokenizer_open(ctx, FIXTURES "/tokenizer", &tokenizer), INK_ERROR_NOT_FOUND,
                 "tokenizer.json");
    assert_null(tokenizer);
    ink_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_parity),
        cmocka_unit_test(test_decode_parity),
        cmocka_unit_test(test_split_parity),
        cmocka_unit_test(test_split_malformed),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_stream_equals_decode),
        cmocka_unit_test(test_stream_without_room),
        cmocka_unit_test(test_malformed_is_kept),
        cmocka_unit_test(test_decode_replaces),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_second_call_allocates_nothing),
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_good_files),
        cmocka_unit_test(test_long_added_token),
        cmocka_unit_test(test_duplicate_merge),
        cmocka_unit_test(test_truncated_files),
        cmocka_unit_test(test_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
