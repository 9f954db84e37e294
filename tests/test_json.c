/* test_json.c - the JSON reader: what it accepts, what it refuses and in which words, exact numbers, bounded memory.
   Numbers in square brackets are those of the list of bad inputs the library is tested against. */
#include "testing.h"

#include "counting.h"
#include "faulty.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/formats/json.h"
#include "../src/base/bytes.h"

/* These call functions inside the library, which leave the sentence of an earlier failure: only the result counts. */
#undef assert_ok
#define assert_ok(ctx, call) assert_int_equal((call), INK_OK)

/* What every test works with: a context and an arena whose memory is counted. */
typedef struct bench {
    counting memory;
    ink_context *ctx;
    ink_arena arena;
} bench;

static int set_up(void **state)
{
    bench *b = *state = calloc(1, sizeof *b);
    b->ctx = counting_begin(&b->memory, 1);
    ink_arena_grow(&b->arena, &b->ctx->allocator);
    return 0;
}

static int tear_down(void **state)
{
    bench *b = *state;
    ink_arena_free(&b->arena);
    assert_int_equal(b->memory.live_bytes, b->memory.at_rest);
    counting_end(&b->memory, b->ctx);
    free(b);
    return 0;
}

/* Parses a copy of exactly `size` bytes, which is gone afterwards: a read past its end or a string that points into it
   is an error for the sanitizers. */
static ink_result parse_bytes(bench *b, const char *text, size_t size, ink_json_document *document)
{
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, text, size);
    ink_arena_free(&b->arena);
    ink_result result =
        ink_json_parse(b->ctx, &b->arena, "t.json", copy, size, 0, INK_LIMIT(b->ctx, table_bytes), document);
    memset(copy, '#', size);
    free(copy);
    return result;
}

static ink_result parse(bench *b, const char *text, ink_json_document *document)
{
    return parse_bytes(b, text, strlen(text), document);
}

/* The array of nodes must hang together: whatever walks it ends, and finds as many children as promised. */
static void check_document(const ink_json_document *document)
{
    assert_true(document->n_nodes >= 1);
    assert_int_equal(document->nodes[0].parent, INK_JSON_NONE);
    assert_int_equal(document->nodes[0].next, document->n_nodes);
    for (ink_json i = 0; i < document->n_nodes; i++) {
        const ink_json_node *node = &document->nodes[i];
        size_t n = 0;
        assert_true(node->next > i && node->next <= document->n_nodes);
        for (ink_json c = ink_json_first(document, i); c != INK_JSON_NONE; c = ink_json_next(document, c), n++) {
            assert_int_equal(document->nodes[c].parent, i);
            assert_true(document->nodes[c].next <= node->next);
            assert_int_equal(document->nodes[c].key != NULL, node->kind == INK_JSON_OBJECT);
        }
        assert_int_equal(n, node->n_children);
        if (node->key != NULL)
            assert_int_equal(node->key[node->key_size], 0);
        if (node->string != NULL)
            assert_int_equal(node->string[node->string_size], 0);
    }
}

/* ---- what is accepted -------------------------------------------------------------------------------------------- */

static const char *const accepted[] = {
    "0",
    "-0",
    "-1",
    "10",
    "123456789012345678901234567890",
    "0.5",
    "-0.0",
    "1.0",
    "0e0",
    "1e5",
    "1E5",
    "1e+5",
    "1E-05",
    "1.25e-5",
    "0.0e00",
    "1e999999",
    "1e-999999",
    "null",
    "true",
    "false",
    "\"\"",
    "\"a\"",
    "[]",
    "{}",
    "[[]]",
    "[{}]",
    "{\"a\":[]}",
    " [ ] ",
    "\t\r\n {\t\"a\"\r:\n1 } \n",
    "[1,2,3]",
    "[null,true,false,0,\"\",[],{}]",
    "{\"\":0}",
    "{\"a\":1,\"b\":2}",
    "{\"a\":{\"a\":{\"a\":1}}}",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
    "\"\\u0000\"",
    "\"\\u00e9\"",
    "\"\\uD83D\\uDE00\"",
    "\"\\ud83d\\ude00\"",
    "\"\\uDBFF\\uDFFF\"",
    "\"\\uffff\"",
    "\"\x7f\"",
    "\"\xc3\xa9\"",
    "\"\xe2\x82\xac\"",
    "\"\xf0\x9f\x98\x80\"",
    "\"\xf4\x8f\xbf\xbf\"",
    "\"\xed\x9f\xbf\"",
    "\"\xee\x80\x80\"",
    "\"/\"",
    "\"[1,2\"",
    "{\"a,b\":\"c:d\"}",
    "[\"\\\\\"]",
    "[\"\\\\\\\"\"]",
    "{\"a\":null}",
    "[1 , 2]",
    "{\"a\":1,\"A\":2,\"a \":3}",
};

static void accepts_what_the_rfc_allows(void **state)
{
    bench *b = *state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        ink_json_document document;
        assert_ok(b->ctx, parse(b, accepted[i], &document));
        check_document(&document);
    }
}

/* ---- what is refused [72 .. 82, 85] ------------------------------------------------------------------------------ */

typedef struct refusal {
    const char *text;
    const char *words; /* of the sentence */
} refusal;

static const refusal refused[] = {
    {"", "byte 0: expected a value, found the end of the text"},
    {" \n\t", "byte 3: expected a value, found the end"},
    /* two values, something after the value [79] */
    {"1 2", "byte 2: expected the end of the text, found '2'"},
    {"{} {}", "byte 3: expected the end"},
    {"[]]", "byte 2: expected the end"},
    {"{}x", "byte 2: expected the end"},
    {"\"a\" \"b\"", "byte 4: expected the end"},
    /* commas, colons, brackets [73] */
    {"[1,]", "byte 3: expected a value, found ']'"},
    {"[,1]", "byte 1: expected a value, found ','"},
    {"[,]", "byte 1: expected a value, found ','"},
    {"[1,,2]", "byte 3: expected a value, found ','"},
    {"[1 2]", "byte 3: expected ',' or ']', found '2'"},
    {"[1:2]", "byte 2: expected ',' or ']', found ':'"},
    {"[1}", "byte 2: expected ',' or ']', found '}'"},
    {"{\"a\":1]", "byte 6: expected ',' or '}', found ']'"},
    {"{\"a\":1,}", "byte 7: expected a key in double quotes, found '}'"},
    {"{,}", "byte 1: expected a key in double quotes, found ','"},
    {"{\"a\"}", "byte 4: expected ':', found '}'"},
    {"{\"a\",1}", "byte 4: expected ':', found ','"},
    {"{\"a\":}", "byte 5: expected a value, found '}'"},
    {"{\"a\" 1}", "byte 5: expected ':', found '1'"},
    {"{\"a\"::1}", "byte 5: expected a value, found ':'"},
    {"{a:1}", "byte 1: expected a key in double quotes, found 'a'"},
    {"{1:1}", "byte 1: expected a key in double quotes, found '1'"},
    {"{'a':1}", "byte 1: expected a key in double quotes, found '''"},
    {"{\"a\":1 \"b\":2}", "byte 7: expected ',' or '}', found '\"'"},
    {"]", "byte 0: expected a value, found ']'"},
    {"}", "byte 0: expected a value, found '}'"},
    {"[\"a\" \"b\"]", "byte 5: expected ',' or ']'"},
    {"['a']", "byte 1: expected a value, found '''"},
    /* comments and words [73] */
    {"[1]//", "byte 3: expected the end of the text, found '/'"},
    {"/**/1", "byte 0: expected a value, found '/'"},
    {"[1,/* */2]", "byte 3: expected a value"},
    {"#1", "byte 0: expected a value, found '#'"},
    {"nul", "byte 0: expected a value, found 'n'"},
    {"True", "byte 0: expected a value, found 'T'"},
    {"tru", "byte 0: expected a value"},
    {"nullx", "byte 4: expected the end of the text, found 'x'"},
    {"[truefalse]", "byte 5: expected ',' or ']', found 'f'"},
    {"NaN", "NaN and Infinity are not JSON"},
    {"[Infinity]", "byte 1: NaN and Infinity are not JSON"},
    {"{\"rope_theta\": -Infinity}", "byte 15: NaN and Infinity are not JSON"},
    {"undefined", "byte 0: expected a value"},
    /* numbers [73] */
    {"+1", "byte 0: expected a value, found '+'"},
    {"01", "byte 1: expected the end of the text, found '1'"},
    {"[01]", "byte 2: expected ',' or ']', found '1'"},
    {"-01", "byte 2: expected the end"},
    {".5", "byte 0: expected a value, found '.'"},
    {"1.", "byte 2: expected a digit, found the end"},
    {"[1.]", "byte 3: expected a digit, found ']'"},
    {"1.e5", "byte 2: expected a digit, found 'e'"},
    {"1e", "byte 2: expected a digit, found the end"},
    {"1e+", "byte 3: expected a digit, found the end"},
    {"1ee5", "byte 2: expected a digit, found 'e'"},
    {"1e5.5", "byte 3: expected the end"},
    {"-", "byte 1: expected a digit, found the end"},
    {"[-]", "byte 2: expected a digit, found ']'"},
    {"--1", "byte 1: expected a digit, found '-'"},
    {"0x10", "byte 1: expected the end of the text, found 'x'"},
    {"1_000", "byte 1: expected the end"},
    {"1,5", "byte 1: expected the end of the text, found ','"},
    {"-a", "byte 1: expected a digit, found 'a'"},
    {"\xef\xbc\x91", "byte 0: expected a value"}, /* a full-width digit */
    /* strings [74, 75] */
    {"\"", "byte 0: the string that begins here has no end"},
    {"[\"a", "byte 1: the string that begins here has no end"},
    {"\"a\\\"", "byte 0: the string that begins here has no end"},
    {"\"\\", "a backslash in a string must be followed by"},
    {"\"a\nb\"", "byte 2: a control character in a string must be escaped"},
    {"\"\t\"", "byte 1: a control character"},
    {"\"\x1f\"", "byte 1: a control character"},
    {"\"\\x41\"", "byte 1: a backslash"},
    {"\"\\a\"", "byte 1: a backslash"},
    {"\"\\'\"", "byte 1: a backslash"},
    {"\"\\U0041\"", "byte 1: a backslash"},
    {"\"\\\xc3\xa9\"", "byte 1: a backslash"},
    {"\"\\u\"", "byte 1: expected \\u and four hexadecimal digits"},
    {"\"\\u12\"", "byte 1: expected \\u and four"},
    {"\"\\u12g4\"", "byte 1: expected \\u and four"},
    {"\"\\u-123\"", "byte 1: expected \\u and four"},
    {"\"\\ud83d\"", "byte 1: the first half of a surrogate pair stands without the second"},
    {"\"\\ud83dx\"", "byte 1: the first half"},
    {"\"\\ud83d\\n\"", "byte 1: the first half"},
    {"\"\\ud83d\\u0041\"", "byte 1: the first half"},
    {"\"\\ud83d\\ud83d\"", "byte 1: the first half"},
    {"\"\\ud83d\\u12\"", "byte 7: expected \\u and four"},
    {"\"\\ude00\"", "byte 1: the second half of a surrogate pair stands without the first"},
    {"\"\\ude00\\ud83d\"", "byte 1: the second half"},
    /* UTF-8 [76] */
    {"\"\x80\"", "byte 1: a string must be valid UTF-8"},
    {"\"\xbf\"", "byte 1: a string must be valid"},
    {"\"\xc0\x80\"", "byte 1: a string must be valid"},
    {"\"\xc1\xbf\"", "byte 1: a string must be valid"},
    {"\"\xc3\"", "byte 1: a string must be valid"},
    {"\"\xc3", "byte 1: a string must be valid"},
    {"\"\xe0\x9f\xbf\"", "byte 1: a string must be valid"},
    {"\"\xe2\x82\"", "byte 1: a string must be valid"},
    {"\"\xe2\x28\xa1\"", "byte 1: a string must be valid"},
    {"\"\xed\xa0\x80\"", "byte 1: a string must be valid"},
    {"\"\xed\xa0\xbd\xed\xb8\x80\"", "byte 1: a string must be valid"},
    {"\"\xf0\x8f\xbf\xbf\"", "byte 1: a string must be valid"},
    {"\"\xf0\x9f\x98\"", "byte 1: a string must be valid"},
    {"\"\xf4\x90\x80\x80\"", "byte 1: a string must be valid"},
    {"\"\xf5\x80\x80\x80\"", "byte 1: a string must be valid"},
    {"\"\xf8\x88\x80\x80\x80\"", "byte 1: a string must be valid"},
    {"\"\xfe\"", "byte 1: a string must be valid"},
    {"{\"\xff\":1}", "byte 2: a string must be valid"},
    /* other encodings [81] */
    {"\xef\xbb\xbf{}", "byte 0: JSON does not begin with a byte order mark"},
    {"\xff\xfe{", "byte 0: expected a value, found '\\xff'"},
    {"\xc2\xa0[]", "byte 0: expected a value"}, /* a no-break space is no JSON space */
    {"[\f]", "byte 1: expected a value, found '\\x0c'"},
    /* duplicate keys [107] */
    {"{\"a\":1,\"a\":1}", "byte 11: the key 'a' was there already, at byte 5"},
    {"{\"a\":1,\"b\":2,\"\\u0061\":3}", "the key 'a' was there already, at byte 5"},
    {"[{\"x\":{\"\":1,\"\":2}}]", "the key '' was there already"},
    {"{\"\\u0000\":1,\"\\u0000\":2}", "the key '\\x00' was there already"},
};

static void refuses_the_rest_with_a_sentence(void **state)
{
    bench *b = *state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        ink_json_document document = {0};
        assert_fails(b->ctx, parse(b, refused[i].text, &document), INK_ERROR_CORRUPT, refused[i].words);
        assert_null(document.nodes);
        assert_memory_equal(ink_context_error(b->ctx), "t.json: ", 8);
    }
}

static void refuses_nul_bytes(void **state)
{
    bench *b = *state;
    ink_json_document document;
    assert_fails(b->ctx, parse_bytes(b, "[1]\0", 4, &document), INK_ERROR_CORRUPT,
                 "byte 3: expected the end of the text, found '\\x00'");
    assert_fails(b->ctx, parse_bytes(b, "\0", 1, &document), INK_ERROR_CORRUPT, "byte 0: expected a value");
    assert_fails(b->ctx, parse_bytes(b, "\"a\0b\"", 5, &document), INK_ERROR_CORRUPT, "byte 2: a control character");
    assert_fails(b->ctx, parse_bytes(b, "[\0", 2, &document), INK_ERROR_CORRUPT, "byte 1: expected a value");
    assert_fails(b->ctx, parse_bytes(b, "\"\\\0\"", 4, &document), INK_ERROR_CORRUPT, "byte 1: a backslash");
}

/* A document with everything in it. */
static const char sample[] =
    "{\"a\\u0041\\n\": [1, -2.5e-3, {\"k\": null, \"l\": [true, false]}], \"\xc3\xa9\\ud83d\\ude00\": \"\xe2\x82\xac\","
    " \"n\": {\"x\": 0, \"y\": \"\"}}";

static void refuses_every_prefix(void **state)
{
    bench *b = *state;
    ink_json_document document;
    for (size_t size = 0; size < sizeof sample - 1; size++)
        assert_fails(b->ctx, parse_bytes(b, sample, size, &document), INK_ERROR_CORRUPT, NULL);
    assert_ok(b->ctx, parse(b, sample, &document));
    check_document(&document);
}

/* Every byte replaced by every other: accepted or refused, never worse. */
static void survives_every_changed_byte(void **state)
{
    bench *b = *state;
    char text[sizeof sample];
    size_t n_accepted = 0, n_refused = 0;
    memcpy(text, sample, sizeof sample);
    for (size_t i = 0; i < sizeof sample - 1; i++) {
        for (int c = 0; c < 256; c++) {
            ink_json_document document;
            text[i] = (char)c;
            ink_result result = parse_bytes(b, text, sizeof sample - 1, &document);
            if (result == INK_OK) {
                check_document(&document);
                n_accepted++;
            } else {
                assert_int_equal(result, INK_ERROR_CORRUPT);
                n_refused++;
            }
        }
        text[i] = sample[i];
    }
    assert_true(n_accepted > 1000 && n_refused > 10000);
}

/* ---- depth [71] -------------------------------------------------------------------------------------------------- */

static ink_result parse_nested(bench *b, const char *open, const char *inner, const char *close, size_t depth,
                               ink_json_document *document)
{
    char *text = malloc(depth * (strlen(open) + strlen(close)) + strlen(inner) + 1);
    size_t used = 0;
    for (size_t i = 0; i < depth; i++)
        used += (size_t)sprintf(text + used, "%s", open);
    used += (size_t)sprintf(text + used, "%s", inner);
    for (size_t i = 0; i < depth; i++)
        used += (size_t)sprintf(text + used, "%s", close);
    ink_result result = parse_bytes(b, text, used, document);
    free(text);
    return result;
}

static void limits_the_depth(void **state)
{
    bench *b = *state;
    ink_json_document document;
    char path[2000];
    assert_ok(b->ctx, parse_nested(b, "[", "", "]", 64, &document));
    check_document(&document);
    assert_ok(b->ctx, parse_nested(b, "{\"a\":", "1", "}", 64, &document));
    check_document(&document);
    ink_json_path(&document, (ink_json)document.n_nodes - 1, path, sizeof path);
    assert_int_equal(strlen(path), 2 * 64 - 1);
    assert_fails(b->ctx, parse_nested(b, "[", "", "]", 65, &document), INK_ERROR_LIMIT, "byte 64: arrays and objects");
    assert_fails(b->ctx, parse_nested(b, "{\"a\":", "1", "}", 65, &document), INK_ERROR_LIMIT, "deeper than 64");
    assert_fails(b->ctx, parse_nested(b, "[", "", "", 100000, &document), INK_ERROR_LIMIT, "deeper than 64");
    assert_fails(b->ctx, parse_nested(b, "{\"a\":", "", "", 100000, &document), INK_ERROR_LIMIT, "deeper than 64");
    /* Depth is what is open, not what there was. */
    assert_ok(b->ctx, parse_nested(b, "[[],", "[]", "]", 63, &document));
    assert_ok(b->ctx, parse(b, "[[],[],[[]],{\"a\":{}},[[[]]]]", &document));
    check_document(&document);
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

static void unescapes_strings(void **state)
{
    static const struct {
        const char *text, *value;
        size_t size;
    } cases[] = {
        {"\"\"", "", 0},
        {"\"plain\"", "plain", 5},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10},
        {"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 11},
        {"\"\\ud800\\udc00\\udbff\\udfff\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8},
        {"\"a\\u0000b\"", "a\0b", 3},
        {"\"\xc4\xa0the\"", "\xc4\xa0the", 5},
        {"\"\\u0120the\"", "\xc4\xa0the", 5},
    };
    bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_json_document document;
        const char *value;
        size_t size;
        assert_ok(b->ctx, parse(b, cases[i].text, &document));
        assert_ok(b->ctx, ink_json_get_string(b->ctx, &document, 0, &value, &size));
        assert_int_equal(size, cases[i].size);
        assert_memory_equal(value, cases[i].value, size + 1);
    }
}

/* ---- numbers [45, 77, 78, 84] ------------------------------------------------------------------------------------ */

static void integers_are_exact(void **state)
{
    static const struct {
        const char *text;
        bool is_integer;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"7", true, 7},
        {"-7", true, -7},
        {"9007199254740993", true, 9007199254740993},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775807", true, -INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", true, INT64_MAX}, /* from here on saturated */
        {"-9223372036854775809", true, INT64_MIN},
        {"18446744073709551615", true, INT64_MAX},
        {"18446744073709551616", true, INT64_MAX},
        {"184467440737095516150", true, INT64_MAX},
        {"1000000000000000019884624838656", true, INT64_MAX},
        {"-0", false, 0},
        {"1.0", false, 0},
        {"1e2", false, 0},
        {"\"1\"", false, 0},
        {"null", false, 0},
        {"true", false, 0},
        {"[1]", false, 0},
    };
    bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_json_document document;
        int64_t value = 42;
        assert_ok(b->ctx, parse(b, cases[i].text, &document));
        ink_result result = ink_json_get_int(b->ctx, &document, 0, INT64_MIN, INT64_MAX, &value);
        assert_int_equal(result, cases[i].is_integer ? INK_OK : INK_ERROR_MISMATCH);
        assert_true(value == (cases[i].is_integer ? cases[i].value : 42));
    }
}

static void sizes_keep_their_bounds(void **state)
{
    bench *b = *state;
    ink_json_document document;
    size_t value = 42;
    assert_ok(b->ctx, parse(b, "[0, 5, 6, -1, -0, 18446744073709551615, 18446744073709551616]", &document));
    assert_ok(b->ctx, ink_json_get_size(b->ctx, &document, 1, 0, 5, &value));
    assert_int_equal(value, 0);
    assert_ok(b->ctx, ink_json_get_size(b->ctx, &document, 2, 5, 5, &value));
    assert_int_equal(value, 5);
    assert_fails(b->ctx, ink_json_get_size(b->ctx, &document, 1, 1, 5, &value), INK_ERROR_MISMATCH,
                 "t.json: [0]: expected an integer from 1 to 5, found 0");
    assert_fails(b->ctx, ink_json_get_size(b->ctx, &document, 3, 1, 5, &value), INK_ERROR_MISMATCH, "found 6");
    assert_fails(b->ctx, ink_json_get_size(b->ctx, &document, 4, 0, 5, &value), INK_ERROR_MISMATCH, "found -1");
    assert_fails(b->ctx, ink_json_get_size(b->ctx, &document, 5, 0, 5, &value), INK_ERROR_MISMATCH, "found -0");
    assert_int_equal(value, 5);
    assert_ok(b->ctx, ink_json_get_size(b->ctx, &document, 6, 0, SIZE_MAX, &value));
    assert_true(value == SIZE_MAX);
    value = 0;
    assert_ok(b->ctx, ink_json_get_size(b->ctx, &document, 7, 0, SIZE_MAX, &value));
    assert_true(value == SIZE_MAX);
    assert_fails(b->ctx, ink_json_get_size(b->ctx, &document, 7, 0, SIZE_MAX - 1, &value), INK_ERROR_MISMATCH,
                 "found 18446744073709551616");
}

static void check_float(bench *b, const char *text)
{
    ink_json_document document;
    double expected = strtod(text, NULL), value;
    if (isinf(expected))
        expected = expected > 0 ? DBL_MAX : -DBL_MAX;
    assert_ok(b->ctx, parse(b, text, &document));
    assert_ok(b->ctx, ink_json_get_float(b->ctx, &document, 0, &value));
    if (memcmp(&value, &expected, sizeof value) != 0)
        fail_msg("%.60s: %a, strtod says %a", text, value, expected);
}

static uint64_t random_bits(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void floats_are_correctly_rounded(void **state)
{
    static const char *const hard[] = {
        "1e-05",
        "10000.0",
        "500000",
        "0.02",
        "1e-12",
        "-0",
        "-0.0",
        "0e999",
        "1e999999",
        "-1e999999",
        "1e-999999",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.47032822920623272e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e308",
        "1e309",
        "9007199254740993",
        "9007199254740992.99999",
        "9007199254740993.00000000000000000000000000000001",
        "6.631236846766476e-316",
        "3.518437208883201171875e13",
        "8.10109172351e-10",
        "62.5364939768271845828",
    };
    bench *b = *state;
    uint64_t seed = 88172645463325252u;
    char text[2600];
    for (size_t i = 0; i < sizeof hard / sizeof hard[0]; i++)
        check_float(b, hard[i]);
    for (size_t i = 0; i < 20000; i++) {
        uint64_t bits = random_bits(&seed);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        sprintf(text, "%.*e", (int)(random_bits(&seed) % 25), value);
        check_float(b, text);
        sprintf(text, "%.*e", 760, value); /* the value itself in full; a digit more goes away from it */
        check_float(b, text);
    }
    /* Halfway between 1 and the next double, in full; then with a digit far behind it that decides. */
    sprintf(text, "1.%s", "00000000000000011102230246251565404236316680908203125");
    check_float(b, text);
    size_t used = strlen(text);
    memset(text + used, '0', 2000);
    memcpy(text + used + 2000, "1", 2);
    check_float(b, text);
}

static void numbers_of_a_million_digits(void **state)
{
    bench *b = *state;
    size_t n = 1000000;
    char *text = malloc(n + 16);
    memset(text, '9', n);
    text[n] = '\0';
    check_float(b, text);
    text[1] = '.';
    check_float(b, text);
    memcpy(text + n, "e-3", 4);
    check_float(b, text);
    memset(text + 2, '0', n - 2);
    memcpy(text + n, "e2", 3);
    check_float(b, text);
    memset(text, '1', n);
    text[1] = 'e';
    text[n] = '\0';
    check_float(b, text);
    free(text);
}

/* A comma for a decimal point in the locale of the program changes nothing. */
static void the_locale_does_not_matter(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "fr_FR.utf8", "German"};
    bench *b = *state;
    ink_json_document document;
    double value = 0;
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++)
        found = setlocale(LC_ALL, names[i]) != NULL && localeconv()->decimal_point[0] == ',';
    if (!found)
        skip(); /* this system has no such locale */
    ink_result result = parse(b, "2.5", &document);
    if (result == INK_OK)
        result = ink_json_get_float(b->ctx, &document, 0, &value);
    setlocale(LC_ALL, "C");
    assert_ok(b->ctx, result);
    assert_true(value == 2.5);
}

/* ---- duplicate keys, many of them [83] --------------------------------------------------------------------------- */

/* {"k0":0,"k1":1,...}, with the last key like the one numbered `twin` if that is less than n - 1. */
static char *many_keys(size_t n, size_t twin, size_t *size)
{
    char *text = malloc(n * 24 + 8);
    size_t used = 0;
    text[used++] = '{';
    for (size_t i = 0; i < n; i++)
        used += (size_t)sprintf(text + used, "%s\"k%zu\":%zu", i > 0 ? "," : "", i == n - 1 && twin < i ? twin : i, i);
    text[used++] = '}';
    *size = used;
    return text;
}

static void finds_twins_among_many_keys(void **state)
{
    bench *b = *state;
    static const size_t counts[] = {2, 7, 8, 9, 10, 63, 64, 65, 1000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        size_t n = counts[i], size;
        ink_json_document document;
        char *text = many_keys(n, SIZE_MAX, &size);
        assert_ok(b->ctx, parse_bytes(b, text, size, &document));
        check_document(&document);
        free(text);
        for (size_t twin = 0; twin < n - 1; twin += 1 + n / 16) {
            text = many_keys(n, twin, &size);
            assert_fails(b->ctx, parse_bytes(b, text, size, &document), INK_ERROR_CORRUPT, "was there already");
            free(text);
        }
    }
}

/* Different keys with the same hash are different keys. */
static void keys_with_equal_hashes(void **state)
{
    static const char *const a = "AKNfCJnaAIpVcjtx", *const c = "JD8nxKGTOa9OzW85";
    bench *b = *state;
    char text[400];
    ink_json_document document;
    size_t value;
    assert_true(ink_hash(0, a, strlen(a)) == ink_hash(0, c, strlen(c)));
    sprintf(text, "{\"%s\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"%s\":10}", a, c);
    assert_ok(b->ctx, parse(b, text, &document));
    assert_ok(b->ctx, ink_json_read_size(b->ctx, &document, 0, c, 0, 99, &value));
    assert_int_equal(value, 10);
    sprintf(text, "{\"%s\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"%s\":6,\"g\":7,\"h\":8,\"i\":9,\"%s\":10}", a, c, a);
    assert_fails(b->ctx, parse(b, text, &document), INK_ERROR_CORRUPT, "the key 'AKNfCJnaAIpVcjtx' was there");
}

/* ---- walking and taking values out ------------------------------------------------------------------------------- */

static const char config[] =
    "{\"model_type\": \"gpt2\", \"n_head\": 12, \"n_inner\": null, \"layer_norm_epsilon\": 1e-05, \"tied\": true,"
    " \"eos_token_id\": [1, 2], \"rope\": {\"theta\": 10000.0, \"list\": [{\"deep\": \"x\\ny\"}]},"
    " \"nul\": \"a\\u0000b\"}";

static void members_are_found(void **state)
{
    bench *b = *state;
    ink_json_document d;
    size_t n_head = 1, absent = 3;
    double eps = 0, theta = 0;
    bool tied = false;
    const char *type = "none";
    int64_t integer = 5;
    assert_ok(b->ctx, parse(b, config, &d));
    check_document(&d);
    assert_ok(b->ctx, ink_json_read_size(b->ctx, &d, 0, "n_head", 1, 64, &n_head));
    assert_ok(b->ctx, ink_json_read_size(b->ctx, &d, 0, "n_layer", 1, 64, &absent));
    assert_ok(b->ctx, ink_json_read_size(b->ctx, &d, 0, "n_inner", 1, 64, &absent));
    assert_ok(b->ctx, ink_json_read_int(b->ctx, &d, 0, "n_head", -1, 64, &integer));
    assert_ok(b->ctx, ink_json_read_float(b->ctx, &d, 0, "layer_norm_epsilon", &eps));
    assert_ok(b->ctx, ink_json_read_float(b->ctx, &d, ink_json_member(&d, 0, "rope"), "theta", &theta));
    assert_ok(b->ctx, ink_json_read_bool(b->ctx, &d, 0, "tied", &tied));
    assert_ok(b->ctx, ink_json_read_string(b->ctx, &d, 0, "model_type", &type));
    assert_int_equal(n_head, 12);
    assert_int_equal(integer, 12);
    assert_int_equal(absent, 3);
    assert_true(eps == 1e-05 && theta == 10000.0 && tied);
    assert_string_equal(type, "gpt2");
    assert_int_equal(ink_json_member(&d, 0, "n_inner"), INK_JSON_NONE);
    assert_int_equal(ink_json_member(&d, 0, "n_hea"), INK_JSON_NONE);
    assert_int_equal(ink_json_member(&d, 0, "theta"), INK_JSON_NONE); /* a member of a member is none of ours */
    assert_int_equal(ink_json_member(&d, INK_JSON_NONE, "n_head"), INK_JSON_NONE);
    assert_int_equal(ink_json_member(&d, ink_json_member(&d, 0, "n_head"), "n_head"), INK_JSON_NONE);
    assert_int_equal(ink_json_first(&d, ink_json_member(&d, 0, "n_head")), INK_JSON_NONE);
    assert_int_equal(ink_json_first(&d, INK_JSON_NONE), INK_JSON_NONE);
    assert_int_equal(ink_json_next(&d, INK_JSON_NONE), INK_JSON_NONE);
    assert_int_equal(ink_json_next(&d, 0), INK_JSON_NONE);
}

static void wrong_values_are_named(void **state)
{
    bench *b = *state;
    ink_context *ctx = b->ctx;
    ink_json_document d;
    size_t size = 1;
    int64_t integer = 1;
    double number = 1;
    bool flag = true;
    const char *string = "kept";
    ink_json member;
    assert_ok(ctx, parse(b, config, &d));
    assert_fails(ctx, ink_json_read_size(ctx, &d, 0, "model_type", 1, 2147483647, &size), INK_ERROR_MISMATCH,
                 "t.json: model_type: expected an integer from 1 to 2147483647, found \"gpt2\"");
    assert_fails(ctx, ink_json_read_int(ctx, &d, 0, "n_head", -5, 11, &integer), INK_ERROR_MISMATCH,
                 "t.json: n_head: expected an integer from -5 to 11, found 12");
    assert_fails(ctx, ink_json_read_size(ctx, &d, 0, "layer_norm_epsilon", 0, 9, &size), INK_ERROR_MISMATCH,
                 "found 1e-05");
    assert_fails(ctx, ink_json_read_size(ctx, &d, 0, "eos_token_id", 0, 9, &size), INK_ERROR_MISMATCH,
                 "found an array");
    assert_fails(ctx, ink_json_read_size(ctx, &d, 0, "rope", 0, 9, &size), INK_ERROR_MISMATCH, "found an object");
    assert_fails(ctx, ink_json_read_size(ctx, &d, 0, "tied", 0, 9, &size), INK_ERROR_MISMATCH, "found true");
    assert_fails(ctx, ink_json_read_float(ctx, &d, 0, "tied", &number), INK_ERROR_MISMATCH,
                 "t.json: tied: expected a number, found true");
    assert_fails(ctx, ink_json_read_bool(ctx, &d, 0, "n_head", &flag), INK_ERROR_MISMATCH,
                 "t.json: n_head: expected true or false, found 12");
    assert_fails(ctx, ink_json_read_string(ctx, &d, 0, "n_head", &string), INK_ERROR_MISMATCH,
                 "t.json: n_head: expected a string, found 12");
    assert_fails(ctx, ink_json_read_string(ctx, &d, 0, "nul", &string), INK_ERROR_MISMATCH,
                 "expected a string without NUL characters, found \"a\\x00b\"");
    assert_fails(ctx, ink_json_expect(ctx, &d, 0, INK_JSON_ARRAY), INK_ERROR_MISMATCH,
                 "t.json: expected an array, found an object");
    assert_fails(ctx, ink_json_require(ctx, &d, 0, "n_layer", &member), INK_ERROR_MISMATCH,
                 "t.json: member 'n_layer' is missing");
    assert_fails(ctx, ink_json_require(ctx, &d, 0, "n_inner", &member), INK_ERROR_MISMATCH, "'n_inner' is missing");
    assert_int_equal(member, INK_JSON_NONE);
    assert_ok(ctx, ink_json_require(ctx, &d, 0, "rope", &member));
    assert_fails(ctx, ink_json_require(ctx, &d, member, "factor", &member), INK_ERROR_MISMATCH,
                 "t.json: rope: member 'factor' is missing");
    assert_int_equal(size + (size_t)integer, 2);
    assert_true(number == 1 && flag);
    assert_string_equal(string, "kept");
}

static void paths_lead_to_values(void **state)
{
    bench *b = *state;
    ink_json_document d;
    char path[100], cut[8];
    double number;
    assert_ok(b->ctx, parse(b, config, &d));
    ink_json list = ink_json_member(&d, ink_json_member(&d, 0, "rope"), "list");
    ink_json deep = ink_json_member(&d, ink_json_first(&d, list), "deep");
    ink_json_path(&d, deep, path, sizeof path);
    assert_string_equal(path, "rope.list[0].deep");
    ink_json_path(&d, deep, cut, sizeof cut);
    assert_string_equal(cut, "rope");
    assert_ok(b->ctx, parse(b, "{\"ab\": {\"\u20ac\u20acx\": {\"y\": 1}}}", &d)); /* never half a character */
    ink_json_path(&d, 3, cut, sizeof cut);
    assert_string_equal(cut, "ab.\xe2\x82\xac");
    assert_ok(b->ctx, parse(b, config, &d));
    ink_json_path(&d, ink_json_next(&d, ink_json_first(&d, ink_json_member(&d, 0, "eos_token_id"))), path, sizeof path);
    assert_string_equal(path, "eos_token_id[1]");
    ink_json_path(&d, 0, path, sizeof path);
    assert_string_equal(path, "");
    assert_fails(b->ctx, ink_json_get_float(b->ctx, &d, deep, &number), INK_ERROR_MISMATCH,
                 "t.json: rope.list[0].deep: expected a number, found \"x\\x0ay\"");
}

/* Text from a file reaches a message escaped and shortened, and what was expected is still in it. */
static void long_and_hostile_text_in_messages(void **state)
{
    bench *b = *state;
    ink_json_document d;
    double number;
    static char text[12000];
    size_t used = (size_t)sprintf(text, "{\"");
    for (size_t i = 0; i < 1000; i++)
        used += (size_t)sprintf(text + used, "%s", "\\u001b[31m");
    used += (size_t)sprintf(text + used, "\":\"");
    memset(text + used, 'x', 1000);
    sprintf(text + used + 1000, "\"}");
    assert_ok(b->ctx, parse(b, text, &d));
    assert_fails(b->ctx, ink_json_get_float(b->ctx, &d, 1, &number), INK_ERROR_MISMATCH,
                 "expected a number, found \"xxx");
    assert_null(strchr(ink_context_error(b->ctx), '\x1b'));
}

/* ---- memory and time --------------------------------------------------------------------------------------------- */

static void every_allocation_fails_once(void **state)
{
    bench *b = *state;
    ink_json_document document = {0};
    size_t size, k = 1;
    char *text = many_keys(3000, SIZE_MAX, &size);
    for (;
         runs_out_of_memory(b->ctx, &b->memory, k, parse_bytes(b, text, size, &document), "out of memory: t.json has");
         k++) {
        assert_null(document.nodes);
        ink_error_clear(b->ctx); /* as a public call does at its start */
        ink_arena_free(&b->arena);
        assert_int_equal(b->memory.live_bytes, b->memory.at_rest);
    }
    assert_true(k > 2);
    free(text);
}

/* A node for each value, a byte for each byte of text, a table for the largest object: no more, whatever the text. */
static void memory_is_bounded_by_the_text(void **state)
{
    static const char *const units[] = {"1,", "[],", "{},", "\"\",", "{\"a\":1},", "\"\\u0000\",", "12345678,"};
    bench *b = *state;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t n = 100000, unit = strlen(units[i]), size = n * unit + 3;
        char *text = malloc(size);
        ink_json_document document;
        text[0] = '[';
        for (size_t k = 0; k < n; k++)
            memcpy(text + 1 + k * unit, units[i], unit);
        memcpy(text + size - 2, "0]", 2);
        ink_arena_free(&b->arena);
        b->memory.peak_bytes = b->memory.live_bytes;
        assert_ok(b->ctx, parse_bytes(b, text, size, &document));
        /* An empty container is counted once too often. */
        size_t most = (document.n_nodes + n) * sizeof(ink_json_node) + size + document.n_nodes + n + 1024;
        assert_true(b->memory.peak_bytes - b->memory.at_rest <= most);
        free(text);
    }
}

static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

/* [82] Prints times, judges results. */
static void large_texts(void **state)
{
    bench *b = *state;
    size_t size = 100000000;
    char *spaces = malloc(size);
    ink_json_document document;
    memset(spaces, ' ', size);
    double start = seconds();
    ink_arena_free(&b->arena);
    assert_fails(
        b->ctx, ink_json_parse(b->ctx, &b->arena, "t.json", spaces, size, 0, INK_LIMIT(b->ctx, table_bytes), &document),
        INK_ERROR_CORRUPT, "byte 100000000: expected a value");
    print_message("100 MB of spaces: %.2f s\n", seconds() - start);
    free(spaces);

    char *keys = many_keys(200000, SIZE_MAX, &size);
    start = seconds();
    assert_ok(b->ctx,
              ink_json_parse(b->ctx, &b->arena, "t.json", keys, size, 0, INK_LIMIT(b->ctx, table_bytes), &document));
    print_message("200,000 keys, %.1f MB: %.3f s\n", (double)size / 1e6, seconds() - start);
    assert_int_equal(document.n_nodes, 200001);
    free(keys);
}

static void texts_beyond_the_limit(void **state)
{
    bench *b = *state;
    ink_json_document document;
    /* Refused by its length alone: the text is not looked at. */
    assert_fails(b->ctx,
                 ink_json_parse(b->ctx, &b->arena, "t.json", "1", INK_JSON_MAX_BYTES + 1, 0,
                                INK_LIMIT(b->ctx, table_bytes), &document),
                 INK_ERROR_LIMIT, "t.json: the JSON text has 1073741825 bytes, at most 1073741824");
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* In a file the last of equal keys counts; those before it do not exist. */
static void the_last_of_equal_keys_counts_in_files(void **state)
{
    static const char text[] = "{\"a\":{\"x\":1,\"y\":2},\"b\":1,\"a\":[1],\"c\":{\"\":1,\"z\":2,\"\":3},"
                               "\"b\":null,\"\\u0061\":{\"k\":7,\"k\":8,\"k\":9}}";
    static const char *const keys[] = {"c", "b", "a"};
    bench *b = *state;
    ink_memory_file file = {.name = "config.json", .data = text, .size = sizeof text - 1};
    ink_memory_files files = {&file, 1};
    ink_source source = ink_source_memory(&files);
    ink_json_document d;
    size_t value = 0, n = 0;
    ink_arena_free(&b->arena);
    assert_ok(b->ctx, ink_json_open(b->ctx, &b->arena, &source, "config.json", (ink_limit){"most", 10000}, &d));
    assert_int_equal(d.nodes[0].n_children, 3);
    for (ink_json i = ink_json_first(&d, 0); i != INK_JSON_NONE; i = ink_json_next(&d, i), n++)
        assert_string_equal(d.nodes[i].key, keys[n]);
    assert_int_equal(n, 3);
    assert_int_equal(ink_json_member(&d, 0, "b"), INK_JSON_NONE); /* null */
    ink_json a = ink_json_member(&d, 0, "a"), c = ink_json_member(&d, 0, "c");
    assert_int_equal(d.nodes[a].n_children, 1);
    assert_ok(b->ctx, ink_json_read_size(b->ctx, &d, a, "k", 0, 10, &value));
    assert_int_equal(value, 9);
    assert_int_equal(d.nodes[c].n_children, 2);
    assert_ok(b->ctx, ink_json_read_size(b->ctx, &d, c, "", 0, 10, &value));
    assert_int_equal(value, 3);
    assert_int_equal(ink_json_next(&d, ink_json_next(&d, ink_json_first(&d, c))), INK_JSON_NONE);
}

static void opens_files_of_a_source(void **state)
{
    bench *b = *state;
    ink_memory_file file = {.name = "config.json", .data = config, .size = sizeof config - 1};
    faulty files;
    ink_json_document d;
    faulty_init(&files, &file, 1);
    assert_ok(b->ctx, ink_json_open(b->ctx, &b->arena, &files.source, "config.json", (ink_limit){"most", 10000}, &d));
    assert_string_equal(d.file, "config.json");
    assert_fails(
        b->ctx,
        ink_json_open(b->ctx, &b->arena, &files.source, "config.json", (ink_limit){"most", sizeof config - 2}, &d),
        INK_ERROR_LIMIT, "config.json: ");
    assert_fails(b->ctx, ink_json_open(b->ctx, &b->arena, &files.source, "other.json", (ink_limit){"most", 10000}, &d),
                 INK_ERROR_NOT_FOUND, "other.json: no such file");
    files.max_read = 1;
    files.reads = 0;
    assert_ok(b->ctx, ink_json_open(b->ctx, &b->arena, &files.source, "config.json", (ink_limit){"most", 10000}, &d));
    size_t reads = files.reads;
    assert_true(reads >= sizeof config - 1);
    for (size_t k = 1; k <= reads; k += 7) {
        files.reads = 0;
        files.fail_read = k;
        assert_fails(b->ctx,
                     ink_json_open(b->ctx, &b->arena, &files.source, "config.json", (ink_limit){"most", 10000}, &d),
                     INK_ERROR_READ, "config.json: ");
    }
    assert_int_equal(files.open_files, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accepts_what_the_rfc_allows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_the_rest_with_a_sentence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_nul_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_every_prefix, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_every_changed_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_the_depth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unescapes_strings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(integers_are_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sizes_keep_their_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(floats_are_correctly_rounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_of_a_million_digits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_locale_does_not_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_twins_among_many_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_with_equal_hashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(members_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_values_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_lead_to_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_and_hostile_text_in_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_allocation_fails_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_bounded_by_the_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(large_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_beyond_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(opens_files_of_a_source, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_of_equal_keys_counts_in_files, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
