/*
 * test_unicode.c - properties and normal forms of code points, and where the splitting rules cut.
 */
#include "tokenizers.h"

#include <stdlib.h>
#include <string.h>

#include "../src/import/tokenizer_import.h"
#include "../src/text/engine.h"
#include "../src/text/unicode.h"

/* The words themselves: ids alone do not show a cut where nothing could have been merged. A line has the bytes of a
   text and the lengths of its words for each pattern, or "=" if they are those of the pattern before. */
static void words_are_cut_as_the_reference_cuts(void **unused)
{
    (void)unused;
    static char text[TEST_TEXT_MAX];
    size_t size, n = 0;
    char *lines = test_read_tokenizer("splits", ".txt", &size), *next = lines, *column = NULL;
    char *line = strtok_r(lines, "\n", &next);
    assert_string_equal(strtok_r(line, " ", &column), "patterns");
    for (int i = 0; i <= INK_PATTERN_NO_LINES; i++) {
        size = test_parse_bytes(strtok_r(NULL, " ", &column), text);
        assert_int_equal(strlen(ink_patterns[i].regex), size);
        assert_memory_equal(ink_patterns[i].regex, text, size);
    }
    while ((line = strtok_r(NULL, "\n", &next)) != NULL) {
        n++;
        const char *word = strtok_r(line, " ", &column), *sizes = NULL;
        const size_t length = test_parse_bytes(word, text);
        for (int i = 0; i <= INK_PATTERN_NO_LINES; i++) {
            ink_step step = {.match = NULL};
            ink_import_pattern((ink_pattern_name)i, &step);
            word = strtok_r(NULL, " ", &column);
            assert_non_null(word);
            sizes = *word == '=' ? sizes : word;
            const char *at = sizes;
            char *end = NULL;
            for (size_t done = 0; done < length; at = *end == ',' ? end + 1 : end) {
                const size_t expected = strtoul(at, &end, 10);
                if (step.match(&step, text + done, length - done) != expected)
                    fail_msg("pattern %d, line %zu: at byte %zu expected a word of %zu bytes, got %zu", i, n + 1, done,
                             expected, step.match(&step, text + done, length - done));
                done += expected;
            }
            assert_true(*at == '\0');
        }
    }
    assert_true(n >= 1100);
    free(lines);
}

/* Bytes that are not UTF-8 are of the class of punctuation. */
static void bytes_that_are_not_utf8_count_as_punctuation(void **unused)
{
    (void)unused;
    assert_int_equal(ink_match_gpt2(NULL, "!\xFF\xC3!x", 5), 4);
    assert_int_equal(ink_match_gpt2(NULL, " \xE2\x82 x", 5), 3);
    assert_int_equal(ink_match_gpt2(NULL, "x\x80", 2), 1);
    assert_int_equal(ink_match_gpt2(NULL, "\xF0\x9F\x98", 3), 3);
}

/* Unicode 16: 141,028 letters, 1,911 numbers, 25 code points of white space; 1,889 Lu and Lt, 2,258 Ll; 136,881 letters
   without case and 2,501 marks. */
static void classes_have_the_known_sizes(void **unused)
{
    (void)unused;
    static const uint32_t spaces[] = {0x9,    0xA,    0xB,    0xC,    0xD,    0x20,   0x85,   0xA0,   0x1680,
                                      0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
                                      0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    size_t count[4] = {0}, n_spaces = 0, cases[4] = {0};
    for (uint32_t code = 0; code < 0x110000; code++) {
        ink_unicode_class class = ink_unicode_class_of(code);
        count[class]++;
        cases[ink_unicode_case_of(code)]++;
        if (class == INK_UNICODE_SPACE)
            assert_int_equal(code, spaces[n_spaces++]);
    }
    assert_int_equal(count[INK_UNICODE_LETTER], 141028);
    assert_int_equal(count[INK_UNICODE_NUMBER], 1911);
    assert_int_equal(count[INK_UNICODE_SPACE], 25);
    assert_int_equal(cases[INK_UNICODE_CAPITAL], 1889);
    assert_int_equal(cases[INK_UNICODE_SMALL], 2258);
    assert_int_equal(cases[INK_UNICODE_CAPITAL | INK_UNICODE_SMALL], 136881 + 2501);
    assert_true(ink_unicode_has('_', INK_UNICODE_WORD) && ink_unicode_has('7', INK_UNICODE_WORD));
    assert_true(ink_unicode_has(0x301, INK_UNICODE_WORD) && ink_unicode_has(0x301, INK_UNICODE_MARK));
    assert_false(ink_unicode_has(' ', INK_UNICODE_WORD) || ink_unicode_has('-', INK_UNICODE_WORD));
    assert_false(ink_unicode_has(0x1F600, ~0u) || ink_unicode_has(0x110041, ~0u));
    assert_int_equal(ink_unicode_class_of(UINT32_MAX), INK_UNICODE_OTHER);
}

static size_t count_with(unsigned property)
{
    size_t n = 0;
    for (uint32_t code = 0; code < 0x110000; code++)
        n += ink_unicode_has(code, property);
    return n;
}

static void properties_of_code_points_are_right(void **unused)
{
    (void)unused;
    assert_int_equal(count_with(INK_UNICODE_PUNCTUATION), 726); /* BERT's old table */
    assert_int_equal(count_with(INK_UNICODE_ACCENT), 1567);
    assert_int_equal(count_with(INK_UNICODE_CONTROL), 137681);
    assert_int_equal(count_with(INK_UNICODE_MARK), 2097);
    assert_int_equal(count_with(INK_UNICODE_NUMERIC), 1924);
    assert_true(ink_unicode_has('$', INK_UNICODE_PUNCTUATION) && ink_unicode_has(0x2014, INK_UNICODE_PUNCTUATION));
    assert_false(ink_unicode_has(0x20AC, INK_UNICODE_PUNCTUATION)); /* the euro sign is a symbol */
    assert_true(ink_unicode_has(0x85, INK_UNICODE_CONTROL) && ink_unicode_has(0xFFFD, INK_UNICODE_CONTROL));
    assert_false(ink_unicode_has('\t', INK_UNICODE_CONTROL));
    assert_true(ink_unicode_is_chinese(0x4E00) && ink_unicode_is_chinese(0x2B920));
    assert_false(ink_unicode_is_chinese(0x2B820) || ink_unicode_is_chinese(0x3042));
}

static void lower_case_is_right(void **unused)
{
    (void)unused;
    static const uint32_t pairs[][2] = {{'A', 'a'},         {'z', 'z'},          {0xC9, 0xE9},       {0x130, 'i'},
                                        {0x3A3, 0x3C3},     {0x3C2, 0x3C2},      {0x1E9E, 0xDF},     {0x212B, 0xE5},
                                        {0x100, 0x101},     {0x101, 0x101},      {0x10400, 0x10428}, {0x13A0, 0xAB70},
                                        {0x10D50, 0x10D70}, {0x110041, 0x110041}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(ink_unicode_lower(pairs[i][0]), pairs[i][1]);
}

/* ---- normal forms ----------------------------------------------------------------------------------------------- */

/* Zero-terminated code points: a text, its NFD, its NFC. From the examples of Unicode 16, section 3.11, and UAX 15. */
static const uint32_t forms[][3][8] = {
    {{'a', 'b'}, {'a', 'b'}, {'a', 'b'}},
    {{0xC5}, {'A', 0x30A}, {0xC5}},
    {{0x212B}, {'A', 0x30A}, {0xC5}},
    {{0x1E69}, {'s', 0x323, 0x307}, {0x1E69}},
    {{'s', 0x307, 0x323}, {'s', 0x323, 0x307}, {0x1E69}},
    {{0x1E9B, 0x323}, {0x17F, 0x323, 0x307}, {0x1E9B, 0x323}},
    {{0xD55C}, {0x1112, 0x1161, 0x11AB}, {0xD55C}},
    {{0x1112, 0x1161, 0x11AB}, {0x1112, 0x1161, 0x11AB}, {0xD55C}},
    {{0xD558, 0x11AB}, {0x1112, 0x1161, 0x11AB}, {0xD55C}},
    {{0xD558, 0x11A7}, {0x1112, 0x1161, 0x11A7}, {0xD558, 0x11A7}},
    {{0x958}, {0x915, 0x93C}, {0x915, 0x93C}}, /* a composition exclusion */
    {{0x344}, {0x308, 0x301}, {0x308, 0x301}},
    {{'a', 0x301, 0x300}, {'a', 0x301, 0x300}, {0xE1, 0x300}}, /* of one class: in their order, the second is blocked */
    {{'a', 0x345, 0x301, 0x5B0}, {'a', 0x5B0, 0x301, 0x345}, {0xE1, 0x5B0, 0x345}},
    {{0x1F82}, {0x3B1, 0x313, 0x300, 0x345}, {0x1F82}},
    {{'a', 0x313, 0x301}, {'a', 0x313, 0x301}, {'a', 0x313, 0x301}}, /* blocked by what does not compose */
    {{0x301, 'a'}, {0x301, 'a'}, {0x301, 'a'}},
    {{0xF900}, {0x8C48}, {0x8C48}},
    {{'e', 0x1100FF, 0x301}, {'e', 0x1100FF, 0x301}, {'e', 0x1100FF, 0x301}}, /* a byte FF is between them */
};

static size_t length_of(const uint32_t *codes)
{
    size_t n = 0;
    while (codes[n] != 0)
        n++;
    return n;
}

static void expect_form(ink_context *ctx, ink_normal_fn form, const uint32_t *text, const uint32_t *expected)
{
    uint32_t copy[8];
    ink_codes codes = {.at = copy, .n = length_of(text), .most = 32};
    memcpy(copy, text, sizeof copy);
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    assert_ok(ctx, form(ctx, NULL, &codes));
    assert_int_equal(codes.n, length_of(expected));
    assert_memory_equal(codes.at, expected, codes.n * sizeof *expected);
    ink_arena_release(&ctx->scratch, mark);
}

static void normal_forms_are_right(ink_context *ctx)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        expect_form(ctx, ink_normal_nfd, forms[i][0], forms[i][1]);
        expect_form(ctx, ink_normal_nfc, forms[i][0], forms[i][2]);
        expect_form(ctx, ink_normal_nfc, forms[i][1], forms[i][2]);
    }
}

/* How many code points the reference changes, and the FNV-1a sum of what it makes of all of them in order. */
static void normal_forms_are_the_references(ink_context *ctx)
{
    static const struct {
        ink_normal_fn form;
        size_t changed;
        uint32_t sum;
    } rows[] = {{ink_normal_nfd, 13232, 0xC9C3D5C1},
                {ink_normal_nfc, 1120, 0x2EB1933F},
                {ink_normal_nfkd, 16894, 0x1E620C06},
                {ink_normal_nfkc, 4794, 0xEAAF84EB}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t changed = 0;
        uint32_t sum = 2166136261u;
        for (uint32_t code = 0; code < 0x110000; code += code == 0xD7FF ? 0x801 : 1) {
            uint32_t one = code;
            ink_codes codes = {.at = &one, .n = 1, .most = INK_UNICODE_COMPATIBLE};
            ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
            assert_ok(ctx, rows[i].form(ctx, NULL, &codes));
            changed += codes.n != 1 || codes.at[0] != code;
            for (size_t k = 0; k < codes.n; k++)
                sum = (sum ^ codes.at[k]) * 16777619u;
            ink_arena_release(&ctx->scratch, mark);
        }
        assert_int_equal(changed, rows[i].changed);
        assert_int_equal(sum, rows[i].sum);
    }
}

/* Zero-terminated code points and how many of them the first grapheme cluster has: UAX 29, table 1c and its rules. */
static void clusters_are_right(void **unused)
{
    static const struct {
        uint32_t codes[8];
        size_t n;
    } rows[] = {
        {{'a', 'b'}, 1},
        {{'\r', '\n', 'a'}, 2},
        {{'\n', '\r'}, 1},
        {{'a', 0x301, 0x302, 'b'}, 3},
        {{0x301, 0x302, 'b'}, 2},
        {{'\n', 0x301}, 1},
        {{'a', 0x200B, 0x301}, 1},
        {{0x600, 'a', 'b'}, 2}, /* prepended */
        {{0x600, '\n'}, 1},
        {{0x915, 0x903, 0x915}, 2}, /* a spacing mark */
        {{0x1100, 0x1100, 0x1161, 0x11A8, 0x11A8, 0x1161}, 5},
        {{0xAC00, 0x11A8, 0x1161}, 2},
        {{0xAC01, 0x1161}, 1},
        {{0xAC01, 0x11A8, 0xAC00}, 2},
        {{0x915, 0x94D, 0x915, 'a'}, 3}, /* linked consonants */
        {{0x915, 0x94D, 0x200D, 0x915, 'a'}, 4},
        {{0x915, 0x200C, 0x94D, 0x915}, 3},
        {{0x915, 0x915}, 1},
        {{0x1F468, 0x200D, 0x1F469, 0x1F3FD, 0x200D, 0x2764, 0xFE0F}, 7}, /* a family */
        {{0x1F468, 0x200D, 0x200D, 0x1F469}, 3},
        {{'a', 0x200D, 0x1F469}, 2},
        {{0x110041, 0x301}, 2}, /* a byte */
    };
    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(ink_unicode_cluster(rows[i].codes, length_of(rows[i].codes)), rows[i].n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_cut_as_the_reference_cuts),
        cmocka_unit_test(bytes_that_are_not_utf8_count_as_punctuation),
        cmocka_unit_test(classes_have_the_known_sizes),
        cmocka_unit_test(properties_of_code_points_are_right),
        cmocka_unit_test(lower_case_is_right),
        context_test(normal_forms_are_right),
        context_test(normal_forms_are_the_references),
        cmocka_unit_test(clusters_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
