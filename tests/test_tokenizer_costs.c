/*
 * test_tokenizer_costs.c - what a small tokenizer file, or a text, may cost: memory before a refusal, memory that
 * stays, and time that grows with the text and not with its square.
 *
 * No test asks a clock. A megabyte takes some hundredths of a second here; with a search that starts again at every
 * byte the same texts take minutes, and the time limit of the test ends them.
 */
#include "counting.h"
#include "tokenizers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MB ((size_t)1 << 20)

/* A text that is put together; the caller frees it. */
typedef struct built {
    char *text; /* [size] */
    size_t size, room;
} built;

static void put(built *b, const char *text, size_t times)
{
    size_t size = strlen(text);
    if (b->room - b->size < size * times + 1)
        b->text = realloc(b->text, b->room = 2 * (b->size + size * times) + 64);
    for (size_t i = 0; i < times; i++, b->size += size)
        memcpy(b->text + b->size, text, size);
    b->text[b->size] = '\0';
}

#define WORD_LEVEL "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},\"unk_token\":\"a\"}"
#define WORD_PIECE                                                                                                     \
    "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"a\","         \
    "\"max_input_chars_per_word\":1024,\"continuing_subword_prefix\":\"##\",\"vocab\":{\"a\":0,\"##a\":1"

static void put_added(built *b, unsigned id, const char *before, size_t n_a, const char *after, const char *flags)
{
    char text[256];
    const char *list = strstr(b->text, "added_tokens") == NULL ? ",\"added_tokens\":[" : ",";
    snprintf(text, sizeof text, "%s{\"id\":%u,\"content\":\"%s", list, id, before);
    put(b, text, 1);
    put(b, "a", n_a);
    snprintf(text, sizeof text,
             "%s\",\"normalized\":%s,\"special\":false,\"lstrip\":%s,\"rstrip\":%s,\"single_word\":false}", after,
             strchr(flags, 'n') != NULL ? "true" : "false", strchr(flags, 'l') != NULL ? "true" : "false",
             strchr(flags, 'r') != NULL ? "true" : "false");
    put(b, text, 1);
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

/* Each makes a tokenizer.json. */
static void one_stripping_token(built *b)
{
    put(b, WORD_LEVEL, 1);
    put_added(b, 1, " ", 0, "", "r");
    put(b, "]}", 1);
}

static void one_token_stripping_left(built *b)
{
    put(b, WORD_LEVEL, 1);
    put_added(b, 1, " ", 0, "", "l");
    put(b, "]}", 1);
}

static void one_long_token(built *b)
{
    put(b, WORD_LEVEL, 1);
    put_added(b, 1, "", 1023, "b", "");
    put(b, "]}", 1);
}

static void many_long_tokens(built *b)
{
    put(b, WORD_LEVEL, 1);
    for (unsigned i = 0; i < 1000; i++) {
        char end[3] = {(char)('0' + i % 40), (char)('0' + i / 40), '\0'};
        end[0] = (char)(end[0] + (end[0] >= '\\')); /* a backslash would have to be escaped */
        end[1] = (char)(end[1] + (end[1] >= '\\'));
        put_added(b, 1 + i, "", 1022 - i, end, i % 2 == 0 ? "" : "n");
    }
    put(b, "]}", 1);
}

static void one_long_piece(built *b)
{
    put(b, WORD_PIECE ",\"##", 1);
    put(b, "a", 1023);
    put(b, "b\":2}}}", 1);
}

static void many_long_pieces(built *b)
{
    put(b, WORD_PIECE, 1);
    for (unsigned i = 0; i < 1000; i++) {
        char end[64];
        put(b, ",\"##", 1);
        put(b, "a", 1000 - i);
        snprintf(end, sizeof end, "%c%c\":%u", 'A' + i % 26, '0' + i / 26, i + 2);
        if (end[1] == '\\')
            end[1] = '~';
        put(b, end, 1);
    }
    put(b, "}}}", 1);
}

static void eight_metaspaces(built *b)
{
    put(b, WORD_LEVEL ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[", 1);
    for (unsigned i = 0; i < 8; i++) {
        char step[128];
        snprintf(step, sizeof step,
                 "%s{\"type\":\"Metaspace\",\"replacement\":\"\\u%04x\",\"prepend_scheme\":\"always\"}",
                 i > 0 ? "," : "", 0x2581 + i);
        put(b, step, 1);
    }
    put(b, "]}}", 1);
}

static void llama_2(built *b)
{
    put(b,
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\\u2581\":1,\"\\u2581a\":2},\"merges\":[\"\\u2581 a\"]},"
        "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]}",
        1);
    put_added(b, 3, "<s>", 0, "", "");
    put(b, "]}", 1);
}

static const struct costly {
    void (*tokenizer)(built *b);
    const char *unit; /* of the text, */
    size_t a_before;  /* behind so many a */
    size_t n;         /* the number of ids of 2^20 bytes, as in the reference */
    ink_token first, last;
    size_t kept; /* bytes of scratch and ids that may stay in the context */
} costs[] = {
    {one_stripping_token, " ", 0, MB, 1, 1, 10 * MB},
    {one_token_stripping_left, " ", 0, MB, 1, 1, 10 * MB},
    {one_long_token, "a", 0, 1, 0, 0, MB},
    {many_long_tokens, "a", 0, 1, 0, 0, MB},
    {one_long_piece, " ", 1023, MB / 1024 * 1023, 0, 1, 20 * MB},
    {many_long_pieces, " ", 1023, MB / 1024 * 1023, 0, 1, 20 * MB},
    {eight_metaspaces, "a", 0, 1, 0, 0, 10 * MB},
    {llama_2, "<s>a", 0, MB / 2, 3, 2, 6 * MB},
};

static void a_megabyte_costs_no_more_than_its_length(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++) {
        const struct costly *c = &costs[i];
        counting memory;
        ink_context *ctx = counting_begin(&memory, 1);
        built file = {0}, text = {0};
        ink_tokenizer *tokenizer = NULL;
        size_t n = 0, most = 2 * MB;
        ink_token *ids = malloc(most * sizeof *ids);
        c->tokenizer(&file);
        while (text.size < MB) {
            put(&text, "a", c->a_before);
            put(&text, c->unit, 1);
        }
        assert_ok(ctx, test_open_text(ctx, file.text, file.size, &tokenizer));
        size_t before = memory.live_bytes;
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, text.text, MB, INK_ENCODE_ADDED, ids, most, &n));
        assert_int_equal(n, c->n);
        assert_int_equal(ids[0], c->first);
        assert_int_equal(ids[n - 1], c->last);
        assert_true(memory.live_bytes - before <= c->kept);
        ink_tokenizer_free(tokenizer);
        free(ids);
        free(text.text);
        free(file.text);
        counting_end(&memory, ctx);
    }
}

/* White space that two tokens could include: the ids of the reference. */
static void white_space_goes_to_the_first_token(ink_context *ctx)
{
    static const struct {
        const char *text;
        ink_token ids[6]; /* -1 ends them */
    } rows[] = {
        {"   ", {1, 1, 1, -1}},
        {"a  a", {0, 1, 1, 0, -1}},
        {"\t\r a", {2, 4, 1, 0, -1}},
        {"\n\na", {3, 0, -1}},
        {"  \ta\r", {1, 1, 2, 0, 4, -1}},
        {"\xE3\x80\x80 \xE3\x80\x80"
         "a",
         {1, 0, -1}},
    };
    built file = {0};
    ink_tokenizer *tokenizer = NULL;
    put(&file, WORD_LEVEL, 1);
    put_added(&file, 1, " ", 0, "", "l");
    put_added(&file, 2, "\\t", 0, "", "r");
    put_added(&file, 3, "\\n", 0, "", "lr");
    put_added(&file, 4, "\\r", 0, "", "");
    put(&file, "]}", 1);
    assert_ok(ctx, test_open_text(ctx, file.text, file.size, &tokenizer));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ink_token ids[8];
        size_t n = 0;
        assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, rows[i].text, strlen(rows[i].text), INK_ENCODE_ADDED, ids,
                                            8, &n));
        assert_int_equal(rows[i].ids[n], -1);
        assert_memory_equal(ids, rows[i].ids, n * sizeof *ids);
    }
    ink_tokenizer_free(tokenizer);
    free(file.text);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* "a" becomes 16^n_steps times as long. */
static void growing(built *b, size_t n_steps, bool added)
{
    put(b, WORD_LEVEL ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Lowercase\"}", 1);
    put(b, ",{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaaaaaaaaaa\"}", n_steps);
    put(b, "]}", 1);
    if (added)
        put_added(b, 1, "", 1, "", "n");
    put(b, added ? "]}" : "}", 1);
}

/* What a normalizer makes of a text, or of an added token, is limited before memory is taken, and a refused call leaves
   no scratch memory behind. */
static void growth_is_refused_before_it_costs(ink_context *ctx, counting *memory)
{
    char text[1200];
    memset(text, 'a', sizeof text);
    for (size_t n_steps = 1; n_steps <= 15; n_steps++) {
        built file = {0}, with_token = {0};
        ink_tokenizer *tokenizer = NULL, *none = NULL;
        ink_token ids[4];
        size_t n = 0, live = memory->live_bytes;
        growing(&file, n_steps, false);
        growing(&with_token, n_steps, true);
        memory->peak_bytes = live;
        if (n_steps > 2) { /* 16^3 is beyond the 1024 of an added token */
            assert_fails(ctx, test_open_text(ctx, with_token.text, with_token.size, &none), INK_ERROR_LIMIT,
                         "added token 'a' has 1 bytes, more than 1024 as it is or when it is normalised");
            assert_int_equal(memory->live_bytes, live);
        }
        assert_ok(ctx, test_open_text(ctx, file.text, file.size, &tokenizer));
        live = memory->live_bytes;
        for (size_t size = 1; size <= sizeof text; size += 300) {
            double made = (double)size;
            for (size_t i = 0; i < n_steps; i++)
                made *= 16;
            ink_result result = ink_tokenizer_encode(ctx, tokenizer, text, size, 0, ids, 4, &n);
            if (made <= 8.0 * (double)size + 1024) {
                assert_int_equal(result, INK_OK);
                live = memory->live_bytes;
            } else {
                assert_fails(ctx, result, INK_ERROR_LIMIT, "text_growth of ink_limits");
                assert_true(memory->live_bytes <= live);
            }
        }
        assert_true(memory->peak_bytes - memory->at_rest < MB);
        ink_tokenizer_free(tokenizer);
        free(file.text);
        free(with_token.text);
    }
}

/* A file of less than a kilobyte costs less than a megabyte, whatever it asks for. */
static void a_small_file_costs_little(ink_context *ctx, counting *memory)
{
    static const struct {
        const char *text;
        ink_result result;
        const char *words;
    } rows[] = {
        {"{'model':{'type':'WordLevel','vocab':{'a':0,'b':65535},'unk_token':'a'}}", INK_ERROR_LIMIT,
         "the largest id, 65535, is far beyond the number of tokens, 2"},
        {"{'model':{'type':'WordLevel','vocab':{'a':0,'b':8207},'unk_token':'a'}}", INK_OK, NULL},
        {"{'model':{'type':'WordLevel','vocab':{'a':0,'b':8208},'unk_token':'a'}}", INK_ERROR_LIMIT, "8208"},
        {"{'model':{'type':'WordLevel','vocab':{'a':2147483646},'unk_token':'a'}}", INK_ERROR_LIMIT, "2147483646"},
        {"{'model':{'type':'BPE','vocab':{'a':0,'aa':8207},'merges':['a a']}}", INK_OK, NULL},
        {"{'model':{'type':'WordPiece','vocab':{'a':0,'b':8207},'unk_token':'a'}}", INK_OK, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        ink_tokenizer *tokenizer = NULL;
        strcpy(text, rows[i].text);
        for (char *c = text; *c != '\0'; c++)
            *c = *c == '\'' ? '"' : *c;
        memory->peak_bytes = memory->live_bytes;
        ink_result result = test_open_text(ctx, text, strlen(text), &tokenizer);
        if (rows[i].result == INK_OK)
            assert_ok(ctx, result);
        else
            assert_fails(ctx, result, rows[i].result, rows[i].words);
        assert_true(memory->peak_bytes - memory->at_rest < MB);
        ink_tokenizer_free(tokenizer);
    }
}

/* The tries of WordPiece and Unigram have a node for each different beginning of a token and count against table_bytes:
   4,096 tokens that differ in four letters have 4,400 nodes and not 50,000, and one token of 60 kB is refused where 2
   MB are too many. */
static void a_trie_costs_its_nodes(void **unused)
{
    static const char *const kinds[] = {
        WORD_PIECE, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",0],[\"##a\",0]"};
    (void)unused;
    for (size_t kind = 0; kind < 2; kind++)
        for (size_t shape = 0; shape < 2; shape++) {
            counting memory;
            ink_context_options options = test_options(1);
            ink_tokenizer *tokenizer = NULL;
            built file = {0};
            counting_init(&memory);
            options.allocator = memory.allocator;
            options.limits.table_bytes = MB;
            ink_context *ctx = ink_context_create(&options);
            memory.at_rest = memory.peak_bytes = memory.live_bytes;
            put(&file, kinds[kind], 1);
            for (unsigned i = 0; i < (shape == 0 ? 4096 : 1); i++) {
                char end[64];
                put(&file, kind == 0 ? ",\"" : ",[\"", 1);
                put(&file, "x", shape == 0 ? 8 : 60000);
                snprintf(end, sizeof end, kind == 0 ? "%04x\":%u" : "%04x\",-%u]", i, i + 2);
                put(&file, end, 1);
            }
            put(&file, kind == 0 ? "}}}" : "]}}", 1);
            ink_result result = test_open_text(ctx, file.text, file.size, &tokenizer);
            if (shape == 0)
                assert_ok(ctx, result);
            else
                assert_fails(ctx, result, INK_ERROR_LIMIT, "tokenizer.json: this needs 19");
            print_message("%s, %s: %zu kB of text, %zu kB at most\n", kind == 0 ? "WordPiece" : "Unigram",
                          shape == 0 ? "short tokens" : "a long one", file.size / 1000,
                          (memory.peak_bytes - memory.at_rest) / 1000);
            assert_true(2 * (memory.peak_bytes - memory.at_rest) < 5 * MB);
            ink_tokenizer_free(tokenizer);
            ink_context_free(ctx);
            free(file.text);
        }
}

/* A template is short: neither its pieces times the special tokens nor its pieces times their ids can be many. */
static void a_template_is_short(ink_context *ctx, counting *memory)
{
    static const char slot[] = ",{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}}";
    for (size_t pieces = 255; pieces <= 257; pieces++)
        for (size_t n_ids = 0; n_ids <= 2; n_ids++) {
            built file = {0};
            ink_tokenizer *tokenizer = NULL;
            put(&file,
                WORD_LEVEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
                           "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}",
                1);
            put(&file, slot, pieces - 1);
            put(&file,
                "],\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
                "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],"
                "\"special_tokens\":{\"x\":{\"id\":\"x\",\"tokens\":[],\"ids\":[",
                1);
            put(&file, n_ids > 0 ? "0" : "", 1);
            put(&file, n_ids > 1 ? ",0" : "", 1);
            put(&file, "]}}}}", 1);
            ink_result result = test_open_text(ctx, file.text, file.size, &tokenizer);
            if (pieces > 256)
                assert_fails(ctx, result, INK_ERROR_LIMIT, "post_processor.single: a template of more than the 256");
            else if (n_ids > 1)
                assert_fails(ctx, result, INK_ERROR_LIMIT, "the template puts more than 256 tokens around a text");
            else
                assert_ok(ctx, result);
            ink_tokenizer_free(tokenizer);
            free(file.text);
        }
    assert_int_equal(memory->live_bytes, memory->at_rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_megabyte_costs_no_more_than_its_length),
        context_test(white_space_goes_to_the_first_token),
        counted_test(growth_is_refused_before_it_costs),
        counted_test(a_small_file_costs_little),
        cmocka_unit_test(a_trie_costs_its_nodes),
        counted_test(a_template_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
