/*
 * test_chat.c - conversations as ids: what transformers' apply_chat_template makes of them, turn by turn the same, no
 * control token out of what people type, and templates that are not known.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/files/json.h"
#include "counting.h"

enum { MAX_MESSAGES = 8, MAX_IDS = 1024 };

static const char *const folders[] = {
    "chatml",    "qwen2",     "qwen2.5",       "qwen3",            "smollm2",      "llama-3",
    "llama-3.1", "llama-3.2", "bytes-llama-2", "bytes-mistral-v1", "bytes-zephyr",
};
enum { N_FOLDERS = sizeof folders / sizeof *folders };

/* A folder of fixtures/chat, opened: tokenizer, template and what is expected. */
typedef struct folder {
    ink_context *ctx;
    ink_arena arena;
    ink_json_document json;
    char path[256];
    ink_tokenizer *tokenizer;
    ink_chat *chat;
    ink_json cases; /* the array */
} folder;

static ink_json member(const folder *f, ink_json object, const char *key)
{
    ink_json found = ink_json_member(&f->json, object, key);

    assert_true(found != INK_JSON_NONE);
    return found;
}

static void folder_open(folder *f, const char *name, const ink_chat_options *options)
{
    static const ink_allocator nothing;
    ink_source source;
    char path[256];

    memset(f, 0, sizeof *f);
    (void)nothing;
    f->ctx = test_context(1);
    ink_arena_grow(&f->arena, &f->ctx->allocator);
    snprintf(f->path, sizeof f->path, FIXTURES "/chat/%s", name);
    source = ink_source_folder(f->path);
    assert_ok(f->ctx, ink_json_open(f->ctx, &f->arena, &source, "cases.json", 1 << 20, &f->json));
    snprintf(path, sizeof path, FIXTURES "/chat/%s", f->json.nodes[member(f, 0, "tokenizer")].string);
    f->cases = member(f, 0, "cases");
    assert_ok(f->ctx, ink_tokenizer_open(f->ctx, path, &f->tokenizer));
    assert_ok(f->ctx, ink_chat_open(f->ctx, f->path, f->tokenizer, options, &f->chat));
}

static void folder_close(folder *f)
{
    ink_chat_free(f->chat);
    ink_tokenizer_free(f->tokenizer);
    ink_arena_free(&f->arena);
    ink_context_free(f->ctx);
}

/* One case: messages, and the ids that are expected. */
typedef struct chat_case {
    ink_message messages[MAX_MESSAGES];
    size_t n_messages;
    bool answer;
    const char *variant;
    ink_token ids[MAX_IDS];
    size_t n_ids;
} chat_case;

static ink_role role_of(const char *name)
{
    return strcmp(name, "system") == 0 ? INK_ROLE_SYSTEM
           : strcmp(name, "user") == 0 ? INK_ROLE_USER
                                       : INK_ROLE_ASSISTANT;
}

static void read_case(const folder *f, ink_json node, chat_case *c)
{
    const ink_json_document *json = &f->json;
    ink_json messages = member(f, node, "messages"), ids = member(f, node, "ids");

    memset(c, 0, sizeof *c);
    for (ink_json i = ink_json_first(json, messages); i != INK_JSON_NONE; i = ink_json_next(json, i)) {
        ink_json role = ink_json_first(json, i), text = ink_json_next(json, role);
        assert_true(c->n_messages < MAX_MESSAGES);
        c->messages[c->n_messages++] =
            (ink_message){role_of(json->nodes[role].string), json->nodes[text].string, json->nodes[text].string_size};
    }
    c->answer = json->nodes[member(f, node, "answer")].kind == INK_JSON_TRUE;
    c->variant = json->nodes[member(f, node, "variant")].string;
    for (ink_json i = ink_json_first(json, ids); i != INK_JSON_NONE; i = ink_json_next(json, i)) {
        int64_t id = 0;
        assert_true(c->n_ids < MAX_IDS);
        assert_ok(f->ctx, ink_json_get_int(f->ctx, json, i, 0, INT32_MAX, &id));
        c->ids[c->n_ids++] = (ink_token)id;
    }
}

static void print_ids(const char *title, const ink_token *ids, size_t n)
{
    print_error("%s:", title);
    for (size_t i = 0; i < n; i++)
        print_error(" %d", (int)ids[i]);
    print_error("\n");
}

static void same_ids(const folder *f, size_t index, const ink_token *found, size_t n_found, const ink_token *expected,
                     size_t n_expected)
{
    if (n_found == n_expected && memcmp(found, expected, n_found * sizeof *found) == 0)
        return;
    print_ids("expected", expected, n_expected);
    print_ids("found   ", found, n_found);
    fail_msg("%s, case %zu", f->path, index);
}

/* All cases of a variant in one call each, as apply_chat_template does it. */
static void check_variant(const char *name, const char *variant, const ink_chat_options *options)
{
    folder f;
    size_t index = 0, n_checked = 0;

    folder_open(&f, name, options);
    for (ink_json i = ink_json_first(&f.json, f.cases); i != INK_JSON_NONE; i = ink_json_next(&f.json, i), index++) {
        chat_case c;
        ink_conversation at = {0};
        ink_token ids[MAX_IDS];
        size_t n, needed;
        read_case(&f, i, &c);
        if (strcmp(c.variant, variant) != 0)
            continue;
        assert_int_equal(ink_chat_encode(f.ctx, f.chat, &at, c.messages, c.n_messages, c.answer, NULL, 0, &needed),
                         INK_ERROR_LIMIT);
        assert_int_equal(at.n_messages, 0);
        assert_ok(f.ctx, ink_chat_encode(f.ctx, f.chat, &at, c.messages, c.n_messages, c.answer, ids, MAX_IDS, &n));
        same_ids(&f, index, ids, n, c.ids, c.n_ids);
        assert_int_equal(needed, n);
        assert_int_equal(at.n_messages, c.n_messages + c.answer);
        assert_int_equal(at.answering, c.answer);
        n_checked++;
    }
    assert_true(n_checked >= 5);
    folder_close(&f);
}

static void ids_are_those_of_the_reference(void **state)
{
    static const ink_chat_options think = {.think = true}, dated = {.date = "05 Nov 2026"};

    (void)state;
    for (size_t i = 0; i < N_FOLDERS; i++)
        check_variant(folders[i], "", NULL);
    check_variant("qwen3", "think", &think);
    check_variant("llama-3.2", "date", &dated);
    check_variant("llama-3.1", "", &dated); /* a template that does not ask what day it is */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
