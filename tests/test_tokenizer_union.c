/*
 * test_tokenizer_union.c - small tokenizer folders that are odd in one way, next to what the reference makes of them
 * (fixtures/make_tokenizer_folders.py): ids and decoded text, and the texts that it refuses.
 */
#include "testing.h"

#include <string.h>

#include "../src/formats/json.h"

#define MAX_FILES 8
#define MAX_IDS 512

typedef struct fixture {
    ink_context *ctx;
    ink_json_document json;
} fixture;

static ink_json member(const fixture *f, ink_json object, const char *key)
{
    return ink_json_member(&f->json, object, key);
}

static void check_case(const fixture *f, const ink_tokenizer *tokenizer, ink_json node)
{
    ink_token ids[MAX_IDS], expected[MAX_IDS];
    char text[MAX_IDS];
    size_t n = 0, n_expected = 0, size = 0;
    const ink_json_node *input = &f->json.nodes[member(f, node, "text")];
    ink_json list = member(f, node, "ids"), decoded = member(f, node, "decoded");
    ink_result result = ink_tokenizer_encode(f->ctx, tokenizer, input->string, input->string_size, INK_ENCODE_DEFAULT,
                                             ids, MAX_IDS, &n);
    if (list == INK_JSON_NONE) { /* the reference refuses the text */
        assert_fails(f->ctx, result, INK_ERROR_MISMATCH, "which the model names as its unknown token");
        return;
    }
    assert_ok(f->ctx, result);
    for (ink_json i = ink_json_first(&f->json, list); i != INK_JSON_NONE; i = ink_json_next(&f->json, i)) {
        int64_t id = -1;
        assert_ok(f->ctx, ink_json_get_int(f->ctx, &f->json, i, 0, INT32_MAX, &id));
        expected[n_expected++] = (ink_token)id;
    }
    assert_int_equal(n, n_expected);
    assert_memory_equal(ids, expected, n * sizeof *ids);
    if (decoded == INK_JSON_NONE)
        return;
    assert_ok(f->ctx, ink_tokenizer_decode(f->ctx, tokenizer, ids, n, text, sizeof text, &size));
    assert_int_equal(size, f->json.nodes[decoded].string_size);
    assert_memory_equal(text, f->json.nodes[decoded].string, size);
}

static void check_folder(const fixture *f, ink_json node)
{
    ink_memory_file all[MAX_FILES];
    ink_memory_files folder = {all, 0};
    ink_tokenizer *tokenizer = NULL;
    ink_json files = member(f, node, "files"), cases = member(f, node, "cases");
    print_message("%s\n", f->json.nodes[member(f, node, "name")].string);
    for (ink_json i = ink_json_first(&f->json, files); i != INK_JSON_NONE; i = ink_json_next(&f->json, i)) {
        const ink_json_node *file = &f->json.nodes[i];
        assert_true(folder.n_files < MAX_FILES);
        all[folder.n_files++] = (ink_memory_file){file->key, file->string, file->string_size};
    }
    ink_source source = ink_source_memory(&folder);
    assert_ok(f->ctx, ink_tokenizer_open_source(f->ctx, &source, &tokenizer));
    for (ink_json i = ink_json_first(&f->json, cases); i != INK_JSON_NONE; i = ink_json_next(&f->json, i))
        check_case(f, tokenizer, i);
    ink_tokenizer_free(tokenizer);
}

/* Calls check_folder() for all folders of a file, of which there are `least` at least. */
static void check_folders(ink_context *ctx, const char *name, size_t least)
{
    fixture f = {.ctx = ctx};
    ink_arena arena;
    ink_source source = ink_source_folder(FIXTURES "/tokenizer");
    ink_arena_grow(&arena, &ctx->allocator);
    assert_ok(ctx, ink_json_open(ctx, &arena, &source, name, (ink_limit){"most", 1 << 26}, &f.json));
    assert_true(f.json.nodes[0].n_children >= least);
    for (ink_json i = ink_json_first(&f.json, 0); i != INK_JSON_NONE; i = ink_json_next(&f.json, i))
        check_folder(&f, i);
    ink_arena_free(&arena);
}

static void odd_files_are_read_as_by_the_library(ink_context *ctx) { check_folders(ctx, "library.json", 50); }

/* In all of them several files name tokens, or settings that override tokenizer.json. */
static void folders_are_read_as_by_transformers(ink_context *ctx) { check_folders(ctx, "folders.json", 200); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(odd_files_are_read_as_by_the_library),
        context_test(folders_are_read_as_by_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
