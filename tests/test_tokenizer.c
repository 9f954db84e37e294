/*
 * test_tokenizer.c - every family of tokenizers against Hugging Face's library (fixtures/make_tokenizer.py): ids,
 * decoded text, pairs within a length with the places of their tokens, and very long words, in the suite to every
 * twelfth tokenizer.
 */
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void check_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const test_case *c)
{
    static ink_token ids[TEST_TEXT_MAX];
    size_t n = 0;
    if (!c->has_text)
        return;
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, c->text, c->size, INK_ENCODE_DEFAULT, ids, TEST_TEXT_MAX, &n));
    assert_int_equal(n, c->n);
    assert_memory_equal(ids, c->ids, n * sizeof *ids);
}

static void ids_are_the_references(void **unused)
{
    (void)unused;
    test_each_case(check_encode);
}

static void check_decode(ink_context *ctx, const ink_tokenizer *tokenizer, const test_case *c)
{
    static char text[TEST_TEXT_MAX];
    size_t size = 0;
    assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, c->ids, c->n, text, TEST_TEXT_MAX, &size));
    assert_int_equal(size, c->decoded_size);
    assert_memory_equal(text, c->decoded, size);
}

static void decoded_text_is_the_references(void **unused)
{
    (void)unused;
    test_each_case(check_decode);
}

/* Places as the fixtures spell them: text:start:stop:word, "~" behind one that continues a word, "-" of the template.
 */
static const char *spell_places(const ink_place *places, size_t n)
{
    static char spelled[1 << 18];
    size_t used = (size_t)snprintf(spelled, sizeof spelled, n == 0 ? "-" : "");
    for (size_t i = 0; i < n; i++) {
        const ink_place *p = &places[i];
        const char *comma = i > 0 ? "," : "";
        used += (size_t)(p->text < 0 ? snprintf(spelled + used, sizeof spelled - used, "%s-", comma)
                                     : snprintf(spelled + used, sizeof spelled - used, "%s%d:%zu:%zu:%zu%s", comma,
                                                p->text, p->start, p->stop, p->word, p->continues ? "~" : ""));
        assert_true(used < sizeof spelled);
        if (p->text < 0)
            assert_true(p->start == 0 && p->stop == 0 && p->word == SIZE_MAX && !p->continues);
    }
    return spelled;
}

/* A pair of texts, or "=" for the second, within a length: ids, token types and places. */
static void check_pair(ink_context *ctx, const ink_tokenizer *tokenizer, char *line)
{
    static char text[TEST_TEXT_MAX], pair[TEST_TEXT_MAX];
    static ink_token ids[TEST_TEXT_MAX], types[TEST_TEXT_MAX], expected[TEST_TEXT_MAX], expected_types[TEST_TEXT_MAX];
    const char *first = strtok(line, " "), *second = strtok(NULL, " "), *length = strtok(NULL, " ");
    const char *id_list = strtok(NULL, " "), *type_list = strtok(NULL, " "), *place_list = strtok(NULL, " ");
    static ink_place places[TEST_TEXT_MAX];
    assert_non_null(place_list);
    size_t n = 0, n_expected = test_parse_ids(id_list, expected);
    assert_int_equal(test_parse_ids(type_list, expected_types), n_expected);
    ink_encode_input input = {.text = text, .size = test_parse_bytes(first, text), .flags = INK_ENCODE_DEFAULT};
    input.max_length = strtoul(length, NULL, 10);
    if (second[0] != '=') {
        input.pair = pair;
        input.pair_size = test_parse_bytes(second, pair);
    }
    assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, types, places, n_expected, &n));
    assert_int_equal(n, n_expected);
    assert_memory_equal(ids, expected, n * sizeof *ids);
    assert_memory_equal(types, expected_types, n * sizeof *types);
    assert_string_equal(spell_places(places, n), place_list);
}

static void pairs_are_the_references(void **unused)
{
    (void)unused;
    for (size_t i = 0; test_tokenizers[i] != NULL; i++)
        assert_int_equal(test_each_line(test_tokenizers[i], "_pairs.txt", check_pair), 60);
}

/* FNV-1a over whole ids. */
static uint32_t sum_of_ids(const ink_token *ids, size_t n)
{
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ (uint32_t)ids[i]) * 16777619u;
    return sum;
}

static void check_long_line(ink_context *ctx, const ink_tokenizer *tokenizer, char *line)
{
    size_t repeats = 0, expected = 0, n = 0;
    unsigned sum = 0;
    char spelled[64], one[32];
    assert_int_equal(sscanf(line, "%63s %zu %zu %x", spelled, &repeats, &expected, &sum), 4);
    size_t length = test_parse_bytes(spelled, one), size = repeats * length;
    char *text = malloc(size);
    ink_token *ids = malloc(expected * sizeof *ids);
    for (size_t i = 0; i < size; i += length)
        memcpy(text + i, one, length);
    clock_t start = clock();
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, size, INK_ENCODE_DEFAULT, ids, expected, &n));
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    print_message("%zu bytes (%s ...): %zu ids in %.2f s\n", size, spelled, n, seconds);
    assert_true(seconds < 10.0); /* a second at most on a quiet machine; quadratic time would be hours */
    assert_int_equal(n, expected);
    assert_int_equal(sum_of_ids(ids, n), sum);
    free(ids);
    free(text);
}

static void very_long_words_are_encoded(void **unused)
{
    (void)unused;
    for (size_t i = 0; test_tokenizers[i] != NULL; i++) {
        if (i % test_stride(12) != 0)
            continue;
        print_message("%s\n", test_tokenizers[i]);
        assert_int_equal(test_each_line(test_tokenizers[i], "_long.txt", check_long_line), 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_the_references),
        cmocka_unit_test(decoded_text_is_the_references),
        cmocka_unit_test(pairs_are_the_references),
        cmocka_unit_test(very_long_words_are_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
