/*
 * test_tokenizer_calls.c - the tokenizer's functions at their edges: flags, room, wrong arguments, memory.
 */
#include "tokenizers.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "counting.h"

#include "../src/text/engine.h"

/* The engine without any file: a BPE of four tokens, words between spaces. */
static void an_engine_built_by_calls_encodes_and_decodes(ink_context *ctx)
{
    static const ink_step spaces = {.match = ink_match_space, .behavior = INK_SPLIT_REMOVED};
    static const char *const spelled[] = {"a", "b", "ab", "<e>"};
    static const ink_token expected[] = {2, 0, 3, 1};
    ink_template_slot slots[] = {{INK_TEMPLATE_A, 0}, {INK_TEMPLATE_A, 0}, {INK_TEMPLATE_B, 1}};
    ink_bpe_merge merges[] = {{0, 1, 2}};
    ink_added_pattern end = {"<e>", "<e>", 3, 3, INK_ADDED_RAW, {.id = 3}, true};
    ink_tokenizer_builder b;
    ink_tokenizer *tokenizer = NULL;
    ink_token ids[8];
    char text[8];
    size_t n = 0;
    ink_arena arena;
    ink_allocator allocator = ctx->allocator;
    ink_arena_grow(&arena, &allocator);
    assert_ok(ctx, ink_builder_start(&b, ctx, &arena, "no file"));
    assert_true(ink_builder_step(&b.draft.splitter, INK_SPLIT_STEPS, &spaces));
    assert_ok(ctx, ink_builder_vocab(&b, 4, 7));
    for (ink_token id = 0; id < 3; id++)
        assert_non_null(ink_builder_token(&b, id, spelled[id], strlen(spelled[id])));
    assert_ok(ctx, ink_builder_index(&b));
    assert_ok(ctx, ink_builder_merges(&b, merges, 1));
    assert_non_null(ink_builder_token(&b, 3, spelled[3], 3));
    assert_ok(ctx, ink_builder_added(&b, &end, 1));
    b.draft.template = (ink_template){slots, {1, 2}};
    b.draft.decoder.room = b.draft.vocab.longest;
    assert_ok(ctx, ink_builder_finish(&b, &tokenizer));
    ink_arena_free(&arena);
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, "ab a<e>b", 8, INK_ENCODE_DEFAULT, ids, 8, &n));
    assert_int_equal(n, 4);
    assert_memory_equal(ids, expected, sizeof expected);
    assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, n, text, sizeof text, &n));
    assert_int_equal(n, 4);
    assert_memory_equal(text, "abab", 4);
    ink_tokenizer_free(tokenizer);
}

static void flags_choose_template_and_added_tokens(ink_context *ctx)
{
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "template");
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
    assert_fails(ctx, ink_tokenizer_encode(ctx, tokenizer, "a", 1, 16, ids, 16, &n), INK_ERROR_ARGUMENT, "flags");
    ink_tokenizer_free(tokenizer);
}

/* Lower case comes behind raw added tokens and before everything else, and bytes that are no text stay. */
static void lower_case_comes_behind_added_tokens(ink_context *ctx)
{
    static const char upper[] = "The\xC3\x89\xCE\xA9 <a>\xC4\xB0\xFFZ";
    static const char lower[] = "the\xC3\xA9\xCF\x89 <a>i\xCC\x87\xFFz";
    ink_token ids[32], expected[32];
    size_t n, n_expected;
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "plain");
    for (unsigned flags = 0; flags <= INK_ENCODE_ADDED; flags += INK_ENCODE_ADDED) {
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, lower, sizeof lower - 1, flags, expected, 32, &n_expected));
        assert_ok(ctx,
                  ink_tokenizer_encode(ctx, tokenizer, upper, sizeof upper - 1, flags | INK_ENCODE_LOWER, ids, 32, &n));
        assert_int_equal(n, n_expected);
        assert_memory_equal(ids, expected, n * sizeof *ids);
    }
    ink_tokenizer_free(tokenizer);
}

/* tokenizers 0.23.3 gives the same where the text is UTF-8, with Lowercase() for INK_ENCODE_LOWER. */
static void places_are_bytes_of_the_input(ink_context *ctx)
{
    static const struct {
        const char *tokenizer, *text;
        unsigned flags;
        ink_place places[10];
        size_t n;
    } cases[] = {
        {"llama3",
         "X\xC4\xB0 <|end|>Y", /* a capital I with a dot becomes two characters */
         INK_ENCODE_DEFAULT | INK_ENCODE_LOWER,
         {{-1, false, 0, 0, SIZE_MAX},
          {0, false, 0, 1, 0},
          {0, true, 1, 3, 0},
          {0, true, 1, 3, 1},
          {0, true, 1, 3, 1},
          {0, false, 3, 4, 2},
          {0, false, 4, 11, 3},
          {0, true, 11, 12, 4}},
         8},
        {"bert",
         "me\xCC\x81ro \xE4\xBD\xA0\xEF\xBF\xBD\x01na", /* an accent, an ideograph, and what is dropped */
         INK_ENCODE_DEFAULT,
         {{-1, false, 0, 0, SIZE_MAX},
          {0, false, 0, 2, 0},
          {0, true, 4, 5, 0},
          {0, true, 5, 6, 0},
          {0, true, 7, 10, 1}, /* [UNK], which this file alone does not name as the tokenizer's */
          {0, false, 14, 15, 2},
          {0, true, 15, 16, 2},
          {-1, false, 0, 0, SIZE_MAX}},
         8},
        {"llama3",
         "a\xFF\xE2\x82",
         0,
         {{0, false, 0, 1, 0}, {0, true, 1, 2, 1}, {0, true, 2, 3, 1}, {0, true, 3, 4, 1}},
         4},
        {"bert", "\xFF \xE2\x82 a", 0, {{0, true, 0, 1, 0}, {0, true, 2, 4, 1}, {0, false, 5, 6, 2}}, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ink_tokenizer *tokenizer = test_open_tokenizer(ctx, cases[i].tokenizer);
        const ink_encode_input input = {.text = cases[i].text, .size = strlen(cases[i].text), .flags = cases[i].flags};
        ink_token ids[16];
        ink_place places[16];
        size_t n = 0;
        assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, places, 16, &n));
        assert_int_equal(n, cases[i].n);
        for (size_t k = 0; k < n; k++) {
            const ink_place *place = &places[k], *expected = &cases[i].places[k];
            print_message("%s %zu: %zu to %zu\n", cases[i].tokenizer, k, place->start, place->stop);
            assert_true(place->text == expected->text && place->continues == expected->continues);
            assert_true(place->start == expected->start && place->stop == expected->stop);
            assert_true(place->word == expected->word);
        }
        ink_tokenizer_free(tokenizer);
    }
}

/* Added tokens, and what Unigram does not know, are spelled as they are in the normalised text, whose white space is
   taken off the place: a character of the input for each (tokenizers 0.23.3). */
static void places_lose_their_white_space(ink_context *ctx)
{
    static const char json[] =
        "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":3,\"content\":\"<m>\",\"special\":false,\"normalized\":true,"
        "\"lstrip\":true,\"rstrip\":true,\"single_word\":false}],\"normalizer\":{\"type\":\"Replace\","
        "\"pattern\":{\"String\":\"_\"},\"content\":\"  \"},\"post_processor\":{\"type\":\"ByteLevel\","
        "\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},\"model\":{\"type\":\"Unigram\",\"unk_"
        "id\":0,"
        "\"vocab\":[[\"<unk>\",0],[\"a\",-1],[\" a\",-2]],\"byte_fallback\":false}}";
    static const struct {
        const char *text;
        ink_token ids[3];
        size_t places[3][2], n;
    } cases[] = {
        {" a \tb_ca", {2, 0, 1}, {{1, 2}, {4, 7}, {7, 8}}, 3},
        {"_<m>  a <m>_", {3, 1, 3}, {{2, 4}, {6, 7}, {8, 10}}, 3},
        {"\xC3\xA9_a", {0, 2}, {{0, 2}, {3, 4}}, 2},
    };
    ink_tokenizer *tokenizer = NULL;
    assert_ok(ctx, test_open_text(ctx, json, sizeof json - 1, &tokenizer));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const ink_encode_input input = {
            .text = cases[i].text, .size = strlen(cases[i].text), .flags = INK_ENCODE_DEFAULT};
        ink_token ids[8];
        ink_place places[8];
        size_t n;
        assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, places, 8, &n));
        assert_int_equal(n, cases[i].n);
        assert_memory_equal(ids, cases[i].ids, n * sizeof *ids);
        for (size_t k = 0; k < n; k++)
            assert_true(places[k].start == cases[i].places[k][0] && places[k].stop == cases[i].places[k][1]);
    }
    ink_tokenizer_free(tokenizer);
}

static void nothing_is_written_without_room(ink_context *ctx)
{
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "shuffled");
    const char *text = "zq zq zq";
    ink_token ids[16];
    char back[16];
    size_t needed = 0, n = 0, size = 0;
    assert_fails(ctx, ink_tokenizer_encode(ctx, tokenizer, text, 8, 0, NULL, 0, &needed), INK_ERROR_LIMIT,
                 "room for 0");
    assert_true(needed >= 5);
    memset(ids, 0x55, sizeof ids);
    const ink_encode_input input = {.text = text, .size = 8};
    ink_place place = {.word = 7};
    assert_fails(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, &place, 1, &n), INK_ERROR_LIMIT,
                 "tokens");
    assert_int_equal(place.word, 7);
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
}

static void tokens_are_found_and_spelled(ink_context *ctx)
{
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "plain");
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
    wrong[1] = INT32_MIN;
    assert_fails(ctx, ink_tokenizer_decode(ctx, tokenizer, wrong, 2, text, 8, &size), INK_ERROR_ARGUMENT, "no token");
    ink_tokenizer_free(tokenizer);
}

/* Models often have more ids than their tokenizer: between the bytes of a character, too, they give nothing. */
static void ids_without_a_token_give_nothing(ink_context *ctx)
{
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, "plain");
    const ink_token beyond = (ink_token)ink_tokenizer_vocab_size(tokenizer);
    const ink_token ids[] = {
        beyond,        ink_tokenizer_find(tokenizer, "a", 1),    INT32_MAX, ink_tokenizer_find(tokenizer, "\xC3", 1),
        beyond + 1000, ink_tokenizer_find(tokenizer, "\xA9", 1), beyond};
    ink_text_stream stream = {.n_held = 0};
    char text[256];
    size_t size, n = 0;
    assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, 7, text, 8, &size));
    assert_int_equal(size, 3);
    assert_memory_equal(text, "a\xC3\xA9", 3);
    for (size_t i = 0; i < 7; i++, n += size)
        assert_ok(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, ids[i], text + n, sizeof text - n, &size));
    assert_int_equal(n, 3);
    assert_memory_equal(text, "a\xC3\xA9", 3);
    assert_fails(ctx, ink_tokenizer_stream(ctx, tokenizer, &stream, -2, text, sizeof text, &size), INK_ERROR_ARGUMENT,
                 "-2");
    ink_tokenizer_free(tokenizer);
}

static void missing_arguments_are_refused_by_name(ink_context *ctx)
{
    ink_tokenizer *t = test_open_tokenizer(ctx, "shuffled"), *none = NULL;
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
}

static void expect_no_allocation(const char *name)
{
    counting memory;
    ink_context *ctx = counting_begin(&memory, 1);
    ink_tokenizer *tokenizer = test_open_tokenizer(ctx, name);
    static char text[20000], back[30000];
    static ink_token ids[40000];
    static ink_place places[40000];
    const ink_encode_input input = {.text = text, .size = sizeof text, .flags = INK_ENCODE_DEFAULT};
    size_t n = 0, size = 0, takes = 0, plain = 0;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i < 8000 ? 'm' : "ab cd, don't  1234\n<s>"[i % 22];
    for (int run = 0; run < 2; run++) {
        takes = memory.takes;
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text, sizeof text, INK_ENCODE_DEFAULT, ids, 40000, &n));
        assert_ok(ctx, ink_tokenizer_decode(ctx, tokenizer, ids, n, back, sizeof back, &size));
    }
    assert_int_equal(memory.takes, takes);
    plain = memory.live_bytes;
    for (int run = 0; run < 2; run++) {
        takes = memory.takes;
        assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, places, 40000, &n));
    }
    assert_int_equal(memory.takes, takes);
    assert_true(memory.live_bytes > plain); /* memory for places is taken when they are asked for */
    ink_tokenizer_free(tokenizer);
    counting_end(&memory, ctx);
}

static void the_second_call_allocates_nothing(void **unused)
{
    (void)unused;
    for (size_t i = 0; test_tokenizers[i] != NULL; i++)
        expect_no_allocation(test_tokenizers[i]);
}

/* Opens and encodes a long word while the k-th request for memory fails, alone or with all after it. Nothing may leak,
   and what was opened stays usable. Returns whether a request was failed. */
static bool try_with_failure(const char *text, size_t size, size_t k, bool all_after)
{
    static char word[300000];
    counting memory;
    ink_context *ctx = counting_begin(&memory, 1);
    ink_tokenizer *tokenizer = NULL;
    const ink_encode_input input = {.text = word, .size = sizeof word};
    ink_token id;
    ink_place place;
    size_t n = 0;
    for (size_t i = 0; i < sizeof word; i++)
        word[i] = i < 200000 ? 'b' : "b\xC3\x89 "[i % 4]; /* a word, and something to normalise and to split */
    (all_after ? counting_fail_from : counting_fail_at)(&memory, k);
    ink_result opened = test_open_text(ctx, text, size, &tokenizer);
    ink_result encoded = opened;
    if (opened == INK_OK)
        encoded = ink_tokenizer_encode_input(ctx, tokenizer, &input, &id, NULL, &place, 1, &n);
    /* The last request gives the context the scratch it had before; without it the call fails as it would have. */
    bool last = memory.takes == memory.fail_from, failed = counting_failed(&memory);
    assert_true(encoded == INK_ERROR_MEMORY || encoded == INK_ERROR_LIMIT); /* LIMIT: no room for ids, as asked */
    if (all_after && !(last && encoded == INK_ERROR_LIMIT))
        assert_int_equal(encoded, failed ? INK_ERROR_MEMORY : INK_ERROR_LIMIT);
    if (opened == INK_OK)
        assert_fails(ctx, ink_tokenizer_encode(ctx, tokenizer, word, 9, 0, NULL, 0, &n), INK_ERROR_LIMIT, "room");
    else
        assert_null(tokenizer);
    ink_tokenizer_free(tokenizer);
    counting_end(&memory, ctx);
    return failed;
}

static void every_failed_allocation_leaves_it_usable(void **unused)
{
    (void)unused;
    static const char *const names[] = {"template", "qwen2", "llama2", "bert", "splitters"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size;
        char *text = test_read_tokenizer(names[i], ".json", &size);
        for (int all_after = 0; all_after < 2; all_after++) {
            size_t k = 1;
            while (try_with_failure(text, size, k, all_after != 0))
                k++;
            assert_true(k > 3);
        }
        free(text);
    }
}

/* ---- pairs ------------------------------------------------------------------------------------------------------ */

static void two_texts_share_a_template_and_a_length(ink_context *ctx)
{
    ink_tokenizer *bert = test_open_tokenizer(ctx, "bert");
    ink_token cls = ink_tokenizer_control(bert, INK_CONTROL_CLS), sep = ink_tokenizer_control(bert, INK_CONTROL_SEP);
    ink_token ids[16], types[16];
    ink_encode_input input = {.text = "a b c", .size = 5, .pair = "d", .pair_size = 1, .flags = INK_ENCODE_DEFAULT};
    size_t n = 0;
    assert_ok(ctx, ink_tokenizer_encode_input(ctx, bert, &input, ids, types, NULL, 16, &n));
    assert_int_equal(n, 7);
    static const ink_token expected_types[] = {0, 0, 0, 0, 0, 1, 1};
    assert_memory_equal(types, expected_types, sizeof expected_types);
    assert_true(ids[0] == cls && ids[4] == sep && ids[6] == sep);

    input.max_length = 5;
    assert_ok(ctx, ink_tokenizer_encode_input(ctx, bert, &input, ids, NULL, NULL, 5, &n));
    assert_int_equal(n, 5);
    assert_true(ids[0] == cls && ids[2] == sep && ids[4] == sep);
    input.max_length = 3; /* the template alone */
    assert_ok(ctx, ink_tokenizer_encode_input(ctx, bert, &input, ids, NULL, NULL, 3, &n));
    assert_int_equal(n, 3);
    input.max_length = 2;
    assert_fails(ctx, ink_tokenizer_encode_input(ctx, bert, &input, ids, types, NULL, 16, &n), INK_ERROR_LIMIT,
                 "the template alone has 3");
    input.max_length = 6; /* longer than there is room for: nothing is written */
    memset(ids, 0x55, sizeof ids);
    assert_fails(ctx, ink_tokenizer_encode_input(ctx, bert, &input, ids, types, NULL, 5, &n), INK_ERROR_LIMIT,
                 "room for 5");
    assert_int_equal(n, 6);
    assert_int_equal(ids[0], 0x55555555);

    input = (ink_encode_input){.text = "a", .size = 1, .pair = "", .pair_size = 0, .flags = INK_ENCODE_ADDED};
    assert_ok(ctx, ink_tokenizer_encode_input(ctx, bert, &input, ids, types, NULL, 16, &n));
    assert_int_equal(n, 1);
    input.flags = INK_ENCODE_TEMPLATE; /* an empty second text is a text */
    assert_ok(ctx, ink_tokenizer_encode_input(ctx, bert, &input, ids, types, NULL, 16, &n));
    assert_int_equal(n, 4);
    input = (ink_encode_input){.text = "a", .size = 1, .pair_size = 3};
    assert_fails(ctx, ink_tokenizer_encode_input(ctx, bert, &input, ids, types, NULL, 16, &n), INK_ERROR_ARGUMENT,
                 "pair");
    assert_fails(ctx, ink_tokenizer_encode_input(ctx, bert, NULL, ids, types, NULL, 16, &n), INK_ERROR_ARGUMENT,
                 "input");
    ink_tokenizer_free(bert);
}

/* Which side of a text is cut: truncation_side of tokenizer_config.json, or else the direction in tokenizer.json. The
   ids are those of transformers. */
static void a_text_is_cut_at_the_side_that_the_folder_says(ink_context *ctx)
{
    static const struct {
        const char *direction, *config;
        bool left;
    } cases[] = {
        {"Right", "{}", false},
        {"Left", "{}", true},
        {"Left", "{\"truncation_side\": \"right\"}", false},
        {"Right", "{\"truncation_side\": \"left\"}", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[600];
        snprintf(json, sizeof json,
                 "{\"version\":\"1.0\",\"added_tokens\":[],\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},"
                 "\"truncation\":{\"direction\":\"%s\",\"max_length\":3,\"strategy\":\"LongestFirst\",\"stride\":0},"
                 "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4},"
                 "\"unk_token\":\"a\"}}",
                 cases[i].direction);
        ink_memory_file files[] = {{"tokenizer.json", json, strlen(json)},
                                   {"tokenizer_config.json", cases[i].config, strlen(cases[i].config)}};
        ink_memory_files list = {files, 2};
        ink_source source = ink_source_memory(&list);
        ink_tokenizer *tokenizer;
        ink_token ids[8];
        size_t n;
        static const ink_token alone[2][2] = {{1, 2}, {3, 4}}, pairs[2][3] = {{1, 2, 0}, {3, 4, 0}};
        ink_encode_input input = {.text = "b c d e", .size = 7, .flags = INK_ENCODE_DEFAULT, .max_length = 2};
        assert_ok(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizer));
        assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, NULL, 8, &n));
        assert_int_equal(n, 2);
        assert_memory_equal(ids, alone[cases[i].left], sizeof alone[0]);
        input.pair = "a";
        input.pair_size = 1;
        input.max_length = 3;
        assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, NULL, 3, &n));
        assert_int_equal(n, 3);
        assert_memory_equal(ids, pairs[cases[i].left], sizeof pairs[0]);
        input.max_length = 0; /* whole */
        assert_ok(ctx, ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, NULL, 8, &n));
        assert_true(n == 5 && ids[0] == 1 && ids[4] == 0);
        ink_tokenizer_free(tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(an_engine_built_by_calls_encodes_and_decodes),
        context_test(flags_choose_template_and_added_tokens),
        context_test(lower_case_comes_behind_added_tokens),
        context_test(places_are_bytes_of_the_input),
        context_test(places_lose_their_white_space),
        context_test(nothing_is_written_without_room),
        context_test(tokens_are_found_and_spelled),
        context_test(ids_without_a_token_give_nothing),
        context_test(missing_arguments_are_refused_by_name),
        cmocka_unit_test(the_second_call_allocates_nothing),
        cmocka_unit_test(every_failed_allocation_leaves_it_usable),
        context_test(two_texts_share_a_template_and_a_length),
        context_test(a_text_is_cut_at_the_side_that_the_folder_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
