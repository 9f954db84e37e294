/*
 * test_chat.c - conversations as ids: what transformers' apply_chat_template makes of them with 79 templates, turn by
 * turn; no control token out of what people type; where a template is kept; how an answer ends.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/formats/json.h"
#include "counting.h"
#include "gguf_edit.h"

enum { MAX_MESSAGES = 8, MAX_IDS = 8192, MAX_TEXT = 1 << 16, N_KINDS = 6 };

static const char *const kinds[N_KINDS] = {"wide", "pieces", "controls", "first", "turns", "phi"};

/* chat/expected.json and the tokenizers, open. */
typedef struct stage {
    ink_context *ctx;
    ink_arena arena;
    ink_json_document json;
    ink_json conversations, templates;
    ink_tokenizer *tokenizers[N_KINDS];
} stage;

/* A template of the fixtures, open. */
typedef struct subject {
    const char *name;
    const ink_tokenizer *tokenizer;
    ink_json cases;
    char *text;
    size_t size;
    ink_chat *chat;
} subject;

static ink_json member(const stage *s, ink_json object, const char *key)
{
    ink_json found = ink_json_member(&s->json, object, key);

    assert_true(found != INK_JSON_NONE);
    return found;
}

/* A string, or NULL where there is null. */
static const char *string_or_null(const stage *s, ink_json object, const char *key)
{
    ink_json found = ink_json_member(&s->json, object, key);

    return found != INK_JSON_NONE ? s->json.nodes[found].string : NULL;
}

static void stage_open(stage *s)
{
    ink_source source = ink_source_folder(FIXTURES "/chat");

    memset(s, 0, sizeof *s);
    s->ctx = test_context(1);
    ink_arena_grow(&s->arena, &s->ctx->allocator);
    assert_ok(s->ctx,
              ink_json_open(s->ctx, &s->arena, &source, "expected.json", INK_LIMIT(s->ctx, settings_bytes), &s->json));
    s->conversations = member(s, 0, "conversations");
    s->templates = member(s, 0, "templates");
    for (size_t i = 0; i < N_KINDS; i++) {
        char path[256];
        snprintf(path, sizeof path, FIXTURES "/chat/%s", kinds[i]);
        assert_ok(s->ctx, ink_tokenizer_open(s->ctx, path, &s->tokenizers[i]));
    }
}

static void stage_close(stage *s)
{
    for (size_t i = 0; i < N_KINDS; i++)
        ink_tokenizer_free(s->tokenizers[i]);
    ink_arena_free(&s->arena);
    ink_context_free(s->ctx);
}

/* The settings beside a template that name BOS and EOS. */
static const char *settings_of(char *room, size_t size, const char *bos, const char *eos)
{
    int n = snprintf(room, size, "{");

    if (bos != NULL)
        n += snprintf(room + n, size - (size_t)n, "\"bos_token\": \"%s\", ", bos);
    snprintf(room + n, size - (size_t)n, "\"eos_token\": {\"content\": \"%s\"}}", eos);
    return room;
}

static char *read_template(const char *name, size_t *size)
{
    char path[256];

    snprintf(path, sizeof path, FIXTURES "/../fuzz/corpus/chat/%s.jinja", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = malloc(1 << 16);
    *size = fread(text, 1, 1 << 16, file);
    fclose(file);
    return text;
}

static void subject_open(const stage *s, ink_json node, subject *t)
{
    char settings[256];
    const char *kind = string_or_null(s, node, "tokenizer");
    size_t i = 0;

    memset(t, 0, sizeof *t);
    t->name = string_or_null(s, node, "name");
    t->cases = member(s, node, "cases");
    while (strcmp(kinds[i], kind) != 0)
        i++;
    t->tokenizer = s->tokenizers[i];
    t->text = read_template(t->name, &t->size);
    settings_of(settings, sizeof settings, string_or_null(s, node, "bos"), string_or_null(s, node, "eos"));
    ink_memory_file files[] = {{"tokenizer_config.json", settings, strlen(settings)},
                               {"chat_template.jinja", t->text, t->size}};
    ink_source source = ink_source_memory(&(ink_memory_files){files, 2});
    test_assert_ok(s->ctx, ink_chat_open(s->ctx, NULL, t->tokenizer, &(ink_chat_options){.source = &source}, &t->chat),
                   t->name, __FILE__, __LINE__);
    assert_string_equal(ink_context_error(s->ctx), ""); /* files that need not be there leave no sentence */
    assert_string_equal(ink_chat_name(t->chat), "chat_template.jinja");
}

static void subject_named(const stage *s, const char *name, subject *t)
{
    ink_json i = ink_json_first(&s->json, s->templates);

    while (strcmp(string_or_null(s, i, "name"), name) != 0)
        i = ink_json_next(&s->json, i);
    subject_open(s, i, t);
}

static void subject_close(subject *t)
{
    ink_chat_free(t->chat);
    free(t->text);
}

/* A conversation of the fixtures. */
typedef struct conversation {
    ink_message messages[MAX_MESSAGES];
    ink_chat_input input;
} conversation;

static void read_conversation(const stage *s, ink_json node, conversation *c)
{
    ink_json messages = member(s, node, "messages");

    memset(c, 0, sizeof *c);
    c->input = (ink_chat_input){.messages = c->messages,
                                .answer = s->json.nodes[member(s, node, "answer")].kind == INK_JSON_TRUE,
                                .tools = string_or_null(s, node, "tools"),
                                .documents = string_or_null(s, node, "documents"),
                                .arguments = string_or_null(s, node, "arguments")};
    for (ink_json i = ink_json_first(&s->json, messages); i != INK_JSON_NONE; i = ink_json_next(&s->json, i)) {
        const char *text = string_or_null(s, i, "text");
        assert_true(c->input.n_messages < MAX_MESSAGES);
        c->messages[c->input.n_messages++] = (ink_message){.role = string_or_null(s, i, "role"),
                                                           .text = text,
                                                           .size = text != NULL ? strlen(text) : 0,
                                                           .members = string_or_null(s, i, "members")};
    }
}

/* FNV-1a, as make_chat.py has it. */
static uint64_t sum_of(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < size; i++)
        h = (h ^ at[i]) * 0x100000001b3u;
    return h;
}

static uint64_t sum_of_ids(const ink_token *ids, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < 4 * n; i++)
        h = (h ^ ((uint32_t)ids[i / 4] >> 8 * (i % 4) & 255)) * 0x100000001b3u;
    return h;
}

static ink_token ids[MAX_IDS];
static char text[MAX_TEXT];

static void check_case(const stage *s, const subject *t, const conversation *c, ink_json expected, size_t index)
{
    size_t size, n, needed;
    ink_result result = ink_chat_render(s->ctx, t->chat, &c->input, text, MAX_TEXT, &size);

    if (s->json.nodes[expected].kind == INK_JSON_NULL) {
        if (result == INK_OK || ink_context_error(s->ctx)[0] == '\0')
            fail_msg("%s: conversation %zu is to be refused", t->name, index);
        assert_int_equal(ink_chat_encode(s->ctx, t->chat, &c->input, ids, MAX_IDS, &n), result);
        assert_int_equal(n, 0);
        return;
    }
    test_assert_ok(s->ctx, result, t->name, __FILE__, __LINE__);
    ink_json at = ink_json_first(&s->json, expected);
    uint64_t wanted[4];
    for (size_t i = 0; i < 4; i++, at = ink_json_next(&s->json, at))
        wanted[i] = s->json.nodes[at].kind == INK_JSON_STRING ? strtoull(s->json.nodes[at].string, NULL, 16)
                                                              : (uint64_t)strtoll(s->json.nodes[at].string, NULL, 10);
    if (size != wanted[0] || sum_of(text, size) != wanted[1])
        fail_msg("%s, conversation %zu: another text of %zu bytes, expected %llu:\n%.*s", t->name, index, size,
                 (unsigned long long)wanted[0], (int)size, text);
    assert_int_equal(ink_chat_encode(s->ctx, t->chat, &c->input, NULL, 0, &needed), INK_ERROR_LIMIT);
    assert_ok(s->ctx, ink_chat_encode(s->ctx, t->chat, &c->input, ids, MAX_IDS, &n));
    assert_int_equal(n, needed);
    if (wanted[2] != UINT64_MAX && (n != wanted[2] || sum_of_ids(ids, n) != wanted[3]))
        fail_msg("%s, conversation %zu: other ids, %zu of them, expected %llu", t->name, index, n,
                 (unsigned long long)wanted[2]);
}

static void text_and_ids_are_those_of_the_reference(void **state)
{
    stage s;
    size_t n_templates = 0, n_cases = 0, n_refused = 0;

    (void)state;
    stage_open(&s);
    for (ink_json i = ink_json_first(&s.json, s.templates); i != INK_JSON_NONE; i = ink_json_next(&s.json, i)) {
        subject t;
        size_t index = 0;
        subject_open(&s, i, &t);
        ink_json expected = ink_json_first(&s.json, t.cases);
        for (ink_json k = ink_json_first(&s.json, s.conversations); k != INK_JSON_NONE; k = ink_json_next(&s.json, k)) {
            conversation c;
            read_conversation(&s, k, &c);
            check_case(&s, &t, &c, expected, index++);
            n_refused += s.json.nodes[expected].kind == INK_JSON_NULL;
            expected = ink_json_next(&s.json, expected);
        }
        n_cases += index;
        n_templates++;
        subject_close(&t);
    }
    printf("%zu templates, %zu conversations, %zu of them refused as by the reference\n", n_templates, n_cases,
           n_refused);
    assert_true(n_templates >= 70);
    assert_true(n_cases >= 1600);
    stage_close(&s);
}

/* ---- turn by turn ----------------------------------------------------------------------------------------------- */

/* Where a template only adds, each turn's ids begin with those of the turn before and of its answer. */
static void only_what_is_new(void **state)
{
    static const char *const names[] = {"chatml",     "qwen2",     "qwen2.5",     "smollm2",     "llama-3",
                                        "llama-4",    "llama-3.1", "llama-3.2",   "zephyr-wide", "phi-4",
                                        "gemma-wide", "command-r", "granite-3.0", "lfm2"};
    const ink_message messages[] = {{.role = "user", .text = "Where?", .size = 6},
                                    {.role = "assistant", .text = "There, \xc3\xa9l\xc3\xa8ve!", .size = 15},
                                    {.role = "user", .text = "and then", .size = 8},
                                    {.role = "assistant", .text = "no", .size = 2},
                                    {.role = "user", .text = "Hm.", .size = 3}};
    stage s;

    (void)state;
    stage_open(&s);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        static ink_token heard[MAX_IDS];
        subject t;
        size_t n_heard = 0, n;
        subject_named(&s, names[k], &t);
        for (size_t i = 1; i <= 5; i += 2) {
            const ink_chat_input input = {.messages = messages, .n_messages = i, .answer = true};
            assert_ok(s.ctx, ink_chat_encode(s.ctx, t.chat, &input, ids, MAX_IDS, &n));
            if (n <= n_heard || memcmp(ids, heard, n_heard * sizeof *ids) != 0)
                fail_msg("%s: turn %zu begins otherwise", names[k], i);
            assert_true(i == 1 || ink_chat_ends(t.chat, ids[n_heard]));
            memcpy(heard, ids, n * sizeof *ids);
            if (i < 5)
                assert_ok(s.ctx, ink_tokenizer_encode(s.ctx, t.tokenizer, messages[i].text, messages[i].size,
                                                      INK_ENCODE_PLAIN, heard + n, MAX_IDS - n, &n_heard));
            n_heard += n;
        }
        subject_close(&t);
    }
    stage_close(&s);
}

/* What the template writes behind an answer ends it, and EOS. */
static void answers_end(void **state)
{
    static const struct {
        const char *name, *end, *eos;
    } rows[] = {
        {"chatml", "<|im_end|>", "<|im_end|>"},
        {"llama-3", "<|eot_id|>", "<|eot_id|>"},
        {"llama-4", "<|eot|>", "<|eot|>"},
        {"gemma-wide", "<end_of_turn>", "</s>"},
        {"gemma-3", "<end_of_turn>", "</s>"},
        {"zephyr-wide", "</s>", "</s>"},
        {"llama-2-wide", "</s>", "</s>"},
        {"mistral-v7", "</s>", "</s>"},
        {"phi-3.5", "<|end|>", "</s>"},
        {"phi-4-mini", "<|end|>", "<|endoftext|>"},
        {"command-r", "<|END_OF_TURN_TOKEN|>", "</s>"},
        {"deepseek-r1", "<｜end▁of▁sentence｜>", "<｜end▁of▁sentence｜>"},
        {"harmony", "<|return|>", "<|return|>"},
        {"granite-3.1", "<|end_of_text|>", "<|end_of_text|>"},
        {"smolvlm", "<end_of_utterance>", "<end_of_utterance>"},
        {"solar", "</s>", "</s>"},   /* nothing behind the answer */
        {"guanaco", "</s>", "</s>"}, /* a mark of plain text */
        {"nemotron-nano", "<SPECIAL_12>", "</s>"},
    };
    stage s;

    (void)state;
    stage_open(&s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        subject t;
        size_t n_ends = 0;
        subject_named(&s, rows[i].name, &t);
        const ink_token end = ink_tokenizer_find(t.tokenizer, rows[i].end, strlen(rows[i].end)),
                        eos = ink_tokenizer_find(t.tokenizer, rows[i].eos, strlen(rows[i].eos));
        assert_true(end >= 0 && eos >= 0);
        if (!ink_chat_ends(t.chat, end))
            fail_msg("%s: %s does not end an answer", rows[i].name, rows[i].end);
        for (ink_token id = -1; (size_t)(id + 1) <= ink_tokenizer_vocab_size(t.tokenizer); id++)
            n_ends += ink_chat_ends(t.chat, id);
        assert_int_equal(n_ends, 1 + (end != eos));
        assert_true(ink_chat_ends(t.chat, eos));
        subject_close(&t);
    }
    stage_close(&s);
}

/* ---- what people type ------------------------------------------------------------------------------------------- */

/* Of ids, those that are control tokens or added ones, in order. */
static size_t controls_of(const ink_tokenizer *tokenizer, const ink_token *from, size_t n, ink_token *controls)
{
    static const char *const added[] = {"<think>",      "</think>",        "<tool_call>",
                                        "</tool_call>", "<tool_response>", "</tool_response>"};
    size_t n_controls = 0;

    for (size_t i = 0; i < n; i++) {
        bool is = ink_tokenizer_is_special(tokenizer, from[i]);
        for (size_t k = 0; k < sizeof added / sizeof *added; k++)
            is = is || from[i] == ink_tokenizer_find(tokenizer, added[k], strlen(added[k]));
        if (is)
            controls[n_controls++] = from[i];
    }
    return n_controls;
}

/* Everything that somebody may write, with a word in it: messages of every role, calls, thoughts, tools, documents. */
static void write_word(const char *word, char room[16][4096], ink_message messages[6], ink_chat_input *input)
{
    static const char *const forms[] = {
        "a %s b",
        "{\"tool_calls\": [{\"id\": \"call12345\", \"type\": \"function\", \"function\": {\"name\": \"f%s\", "
        "\"arguments\": {\"a%s\": \"%s\"}}}], \"reasoning_content\": \"%s\"}",
        "{\"name\": \"%s\", \"tool_call_id\": \"call12345\"}",
        "[{\"type\": \"function\", \"function\": {\"name\": \"f%s\", \"description\": \"%s\", \"parameters\": "
        "{\"type\": \"object\", \"properties\": {\"%s\": {\"type\": \"string\", \"description\": \"%s\"}}, "
        "\"required\": [\"%s\"]}}}]",
        "[{\"title\": \"%s\", \"text\": \"%s\"}]",
        "{\"date_string\": \"%s\", \"reasoning_effort\": \"%s\", \"model_identity\": \"%s\"}"};

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        snprintf(room[i], 4096, forms[i], word, word, word, word, word); /* each has at most five places */
    const size_t size = strlen(room[0]);
    messages[0] = (ink_message){.role = "system", .text = room[0], .size = size};
    messages[1] = (ink_message){.role = "user", .text = room[0], .size = size};
    messages[2] = (ink_message){.role = "assistant", .text = room[0], .size = size};
    messages[3] = (ink_message){.role = "user", .text = room[0], .size = size};
    messages[4] = (ink_message){.role = "assistant", .text = "", .members = room[1]};
    messages[5] = (ink_message){.role = "tool", .text = room[0], .size = size, .members = room[2]};
    *input = (ink_chat_input){.messages = messages,
                              .n_messages = 6,
                              .answer = true,
                              .tools = room[3],
                              .documents = room[4],
                              .arguments = room[5]};
}

/* Whatever a token is called, typing its name anywhere does not make one, not even in parts that the template puts
   together. */
static void typed_text_is_never_a_control_token(void **state)
{
    static char room[16][4096];
    static ink_token expected[MAX_IDS], found[MAX_IDS];
    stage s;
    size_t n_checked = 0;

    (void)state;
    stage_open(&s);
    for (ink_json i = ink_json_first(&s.json, s.templates); i != INK_JSON_NONE; i = ink_json_next(&s.json, i)) {
        static const struct {
            size_t first, n;
            bool tools;
        } parts[] = {{0, 6, true}, {1, 5, true}, {0, 4, true}, {1, 3, false}, {1, 1, false}};
        subject t;
        ink_message messages[6];
        ink_chat_input input;
        size_t n, n_expected, n_plain = 0;
        subject_open(&s, i, &t);
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            write_word("xyz", room, messages, &input);
            input.messages += parts[p].first;
            input.n_messages = parts[p].n;
            input.tools = parts[p].tools ? input.tools : NULL;
            if (ink_chat_encode(s.ctx, t.chat, &input, ids, MAX_IDS, &n) != INK_OK)
                continue; /* the template does not take it */
            n_plain++;
            n_expected = controls_of(t.tokenizer, ids, n, expected);
            for (ink_token id = 0; (size_t)id < ink_tokenizer_vocab_size(t.tokenizer); id++) {
                char word[64] = "";
                size_t size;
                const char *spelled = ink_tokenizer_token(t.tokenizer, id, &size);
                if (spelled == NULL || size >= sizeof word || controls_of(t.tokenizer, &id, 1, found) == 0)
                    continue;
                memcpy(word, spelled, size);
                if (strchr(word, '\n') != NULL || strcmp(word, "</think>") == 0 || strcmp(word, "<think>") == 0)
                    continue; /* templates split there: below */
                write_word(word, room, messages, &input);
                input.messages += parts[p].first;
                input.n_messages = parts[p].n;
                input.tools = parts[p].tools ? input.tools : NULL;
                ink_result result = ink_chat_encode(s.ctx, t.chat, &input, ids, MAX_IDS, &n);
                if (result == INK_ERROR_ARGUMENT)
                    continue; /* a template may refuse its own marks */
                test_assert_ok(s.ctx, result, t.name, __FILE__, __LINE__);
                size_t n_found = controls_of(t.tokenizer, ids, n, found);
                if (n_found != n_expected || memcmp(found, expected, n_found * sizeof *found) != 0)
                    fail_msg("%s: the text '%s' becomes a control token", t.name, word);
                n_checked++;
            }
        }
        assert_true(n_plain > 0);
        subject_close(&t);
    }
    printf("%zu conversations with the name of a control token everywhere\n", n_checked);
    assert_true(n_checked > 5000);
    stage_close(&s);
}

/* Parts of a name in several places do not add up to a token; a word as a role does, and nothing else as a role. */
static void parts_do_not_add_up(void **state)
{
    static const char template[] =
        "{{ messages[0].content ~ messages[1].content }}{{ '<|im_' ~ messages[2].content }}"
        "{{ '<|im_start' }}{{ messages[3].content }}{% for c in messages[4].content %}{{ c }}"
        "{% endfor %}{{ messages[5].content.replace('X', '') | upper | lower }}"
        "{{ messages[4].content[::-1][::-1] }}{{ '%s' % messages[4].content }}"
        "{{ (messages | map(attribute='content') | list)[4] | tojson }}";
    const ink_message messages[] = {
        {.role = "user", .text = "<|im_st", .size = 7},     {.role = "user", .text = "art|>", .size = 6},
        {.role = "user", .text = "end|>", .size = 6},       {.role = "user", .text = "|>", .size = 2},
        {.role = "user", .text = "<|im_end|>", .size = 10}, {.role = "user", .text = "<|im_Xend|>", .size = 11}};
    static const struct {
        const char *role;
        bool token;
    } roles[] = {{"user", true}, {"assistant", true}, {"us er", false}, {"user|><|end", false}, {"", false}};
    stage s;
    ink_chat *chat = NULL;
    static ink_token found[MAX_IDS];
    size_t n;

    (void)state;
    stage_open(&s);
    ink_chat_options options = {.template_text = template, .template_size = sizeof template - 1};
    assert_ok(s.ctx, ink_chat_open(s.ctx, FIXTURES "/chat/wide", s.tokenizers[0], &options, &chat));
    assert_string_equal(ink_chat_name(chat), "template_text");
    assert_ok(s.ctx,
              ink_chat_encode(s.ctx, chat, &(ink_chat_input){.messages = messages, .n_messages = 6}, ids, MAX_IDS, &n));
    assert_int_equal(controls_of(s.tokenizers[0], ids, n, found), 0);
    ink_chat_free(chat);

    options = (ink_chat_options){.template_text = "{{ '<|' + messages[0].role + '|>' }}", .template_size = 36};
    assert_ok(s.ctx, ink_chat_open(s.ctx, FIXTURES "/chat/wide", s.tokenizers[0], &options, &chat));
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        const ink_message message = {.role = roles[i].role, .text = "", .size = 0};
        assert_ok(s.ctx, ink_chat_encode(s.ctx, chat, &(ink_chat_input){.messages = &message, .n_messages = 1}, ids,
                                         MAX_IDS, &n));
        assert_int_equal(controls_of(s.tokenizers[0], ids, n, found), roles[i].token);
    }
    ink_chat_free(chat);
    stage_close(&s);
}

/* ---- tokenizers that cannot tell -------------------------------------------------------------------------------- */

/* Bytes as tokens, and <end>, whose merges spell it out: plain text reaches it. Two newlines are a control token. */
static const char treacherous[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":1003,\"content\":\"\\n\\n\",\"special\":true,"
    "\"normalized\":false,\"lstrip\":false,\"rstrip\":false,\"single_word\":false},{\"id\":5,\"content\":\"<end>\","
    "\"special\":%s,"
    "\"normalized\":false,\"lstrip\":false,\"rstrip\":false,\"single_word\":false}],"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false},"
    "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{%s\"<e\":1000,\"<en\":1001,"
    "\"<end\":1002,\"<end>\":5},\"merges\":[\"< e\",\"<e n\",\"<en d\",\"<end >\"]}}";

static void messages_that_reach_a_control_token_are_refused(void **state)
{
    static char file[1 << 14], bytes[8192];
    static const char *const texts[] = {"<end>", "x<end>y", "<<end>>"};
    ink_context *ctx = test_context(1);

    (void)state;
    bytes[0] = '\0';
    for (unsigned byte = 0, id = 10, next = 256; byte < 256; byte++, id++) {
        bool as_it_is = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        unsigned code = as_it_is ? byte : next++;
        snprintf(bytes + strlen(bytes), sizeof bytes - strlen(bytes), "\"\\u%04x\":%u,", code, id);
    }
    for (int is_special = 0; is_special < 2; is_special++) {
        static const char settings[] = "{\"eos_token\": \"<end>\"}";
        ink_tokenizer *tokenizer = NULL;
        ink_chat *chat = NULL;
        size_t n;
        snprintf(file, sizeof file, treacherous, is_special ? "true" : "false", bytes);
        ink_memory_file files[] = {{"tokenizer.json", file, strlen(file)},
                                   {"tokenizer_config.json", settings, sizeof settings - 1}};
        ink_source source = ink_source_memory(&(ink_memory_files){files, 2});
        assert_ok(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizer));
        assert_ok(ctx, ink_chat_open(ctx, NULL, tokenizer, &(ink_chat_options){.source = &source, .standard = "zephyr"},
                                     &chat));
        for (size_t i = 0; i < 3; i++) {
            const ink_message message = {.role = "user", .text = texts[i], .size = strlen(texts[i])};
            assert_fails(
                ctx,
                ink_chat_encode(ctx, chat, &(ink_chat_input){.messages = &message, .n_messages = 1}, ids, MAX_IDS, &n),
                INK_ERROR_MISMATCH, "a message holds the text '<end>', which this tokenizer cannot tell");
        }
        const ink_message pair = {.role = "user", .text = "a\n\nb", .size = 4};
        assert_fails(
            ctx, ink_chat_encode(ctx, chat, &(ink_chat_input){.messages = &pair, .n_messages = 1}, ids, MAX_IDS, &n),
            INK_ERROR_MISMATCH, "which this tokenizer cannot tell from its control token");
        const ink_message message = {.role = "user", .text = "<en d>", .size = 6};
        assert_ok(ctx, ink_chat_encode(ctx, chat, &(ink_chat_input){.messages = &message, .n_messages = 1}, ids,
                                       MAX_IDS, &n));
        ink_chat_free(chat);
        ink_tokenizer_free(tokenizer);
    }
    ink_context_free(ctx);
}

/* ---- where a template is ---------------------------------------------------------------------------------------- */

/* A chat from files in memory and the tokenizer chat/wide. */
static ink_result open_memory(const stage *s, const char *settings, const char *jinja, const char *tools,
                              const char *config, const ink_chat_options *asked, ink_chat **chat)
{
    const char *const names[] = {"tokenizer_config.json", "chat_template.jinja",
                                 "additional_chat_templates/tool_use.jinja", "config.json"};
    const char *const texts[] = {settings, jinja, tools, config};
    ink_memory_file files[4];
    ink_memory_files all = {files, 0};
    ink_chat_options options = {0};

    for (size_t i = 0; i < 4; i++)
        if (texts[i] != NULL)
            files[all.n_files++] = (ink_memory_file){names[i], texts[i], strlen(texts[i])};
    ink_source source = ink_source_memory(&all);
    if (asked != NULL)
        options = *asked;
    options.source = &source;
    return ink_chat_open(s->ctx, "folder", s->tokenizers[0], &options, chat);
}

static void expect_text(const stage *s, const ink_chat *chat, const char *tools, const char *expected)
{
    const ink_message message = {.role = "user", .text = "hi", .size = 2};
    size_t size;

    assert_ok(s->ctx,
              ink_chat_render(s->ctx, chat,
                              &(ink_chat_input){.messages = &message, .n_messages = 1, .answer = true, .tools = tools},
                              text, MAX_TEXT, &size));
    text[size] = '\0';
    assert_string_equal(text, expected);
}

static void templates_are_found(void **state)
{
    static const struct {
        const char *settings, *jinja, *tools, *name, *text, *with_tools;
    } rows[] = {
        {NULL, "a", NULL, "chat_template.jinja", "a", "a"},
        {"{\"chat_template\": \"b\"}", "a", NULL, "chat_template.jinja", "a", "a"},
        {"{\"chat_template\": \"b\"}", NULL, NULL, "tokenizer_config.json", "b", "b"},
        {NULL, "a", "t", "chat_template.jinja", "a", "t"},
        {"{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"}, {\"name\": \"default\", \"template\": "
         "\"d\"}, {\"name\": \"rag\"}]}",
         NULL, NULL, "tokenizer_config.json", "d", "t"},
        {"{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\"}, \"pad_token\": null}",
         "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token is defined }}", NULL, "chat_template.jinja",
         "<s></s>False", "<s></s>False"},
    };
    stage s;
    ink_chat *chat = NULL;

    (void)state;
    stage_open(&s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(s.ctx, open_memory(&s, rows[i].settings, rows[i].jinja, rows[i].tools, NULL, NULL, &chat));
        assert_string_equal(ink_chat_name(chat), rows[i].name);
        expect_text(&s, chat, NULL, rows[i].text);
        expect_text(&s, chat, "[]", rows[i].with_tools);
        ink_chat_free(chat);
    }
    assert_fails(s.ctx,
                 open_memory(&s, "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"x\"}]}", NULL, NULL, NULL,
                             NULL, &chat),
                 INK_ERROR_UNSUPPORTED, "none of the chat templates is named 'default'");
    assert_fails(s.ctx,
                 open_memory(&s, "{\"chat_template\": [{\"name\": \"default\"}]}", NULL, NULL, NULL, NULL, &chat),
                 INK_ERROR_MISMATCH, "'template' is missing");
    assert_fails(s.ctx, open_memory(&s, "{\"chat_template\": 7}", NULL, NULL, NULL, NULL, &chat), INK_ERROR_MISMATCH,
                 "chat_template: expected a string");
    assert_fails(s.ctx, open_memory(&s, "{\"chat_template\": ", NULL, NULL, NULL, NULL, &chat), INK_ERROR_CORRUPT,
                 "tokenizer_config.json");
    assert_fails(s.ctx, open_memory(&s, NULL, "{{ a", NULL, NULL, NULL, &chat), INK_ERROR_CORRUPT,
                 "chat_template.jinja: line 1: ");
    assert_null(chat);
    stage_close(&s);
}

/* The metadata of a GGUF file have the template and the tokens. */
static void templates_in_gguf_files(void **state)
{
    static const struct {
        const char *key, *value;
        ink_result result;
        const char *words; /* of the text, or of the sentence */
    } rows[] = {
        {"tokenizer.chat_template", "str {{ eos_token }}|{{ messages[0].content }}", INK_OK, "|hi"},
        {"tokenizer.chat_template.tool_use", "str {{ tools }}", INK_OK, "|hi"},
        {"tokenizer.chat_template", "str {{ eos_token", INK_ERROR_CORRUPT, "tokenizer.chat_template: line 1: "},
        {"tokenizer.chat_template", "u32 5", INK_ERROR_MISMATCH, "tokenizer.chat_template"},
        {"tokenizer.chat_template", NULL, INK_ERROR_NOT_FOUND,
         "has no chat template (key 'tokenizer.chat_template'), and general.architecture 'gpt2' does not say"},
    };
    ink_context *ctx = test_context(1);
    gguf_edit file;

    (void)state;
    gguf_edit_read(&file, FIXTURES "/tokenizer", "gguf_qwen2.gguf");
    gguf_edit_set(&file, "general.architecture", "str gpt2");
    gguf_edit_set(&file, "tokenizer.ggml.eos_token_id", "u32 40");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ink_tokenizer *tokenizer = NULL;
        ink_chat *chat = NULL;
        size_t size;
        gguf_edit_set(&file, rows[i].key, rows[i].value);
        ink_source source = ink_source_memory(&(ink_memory_files){&file.memory, 1});
        source.name = "m.gguf";
        assert_ok(ctx, ink_tokenizer_open_source(ctx, &source, &tokenizer));
        ink_result result = ink_chat_open(ctx, "m.gguf", tokenizer, &(ink_chat_options){.source = &source}, &chat);
        if (rows[i].result != INK_OK) {
            test_assert_fails(ctx, result, rows[i].result, rows[i].words, rows[i].words, __FILE__, __LINE__);
            assert_null(chat);
        } else {
            const ink_message message = {.role = "user", .text = "hi", .size = 2};
            ink_chat_input input = {.messages = &message, .n_messages = 1};
            assert_ok(ctx, result);
            assert_string_equal(ink_chat_name(chat), "tokenizer.chat_template");
            assert_ok(ctx, ink_chat_render(ctx, chat, &input, text, MAX_TEXT, &size));
            size_t n_eos;
            const ink_token end = ink_tokenizer_control(tokenizer, INK_CONTROL_EOS);
            const char *eos = ink_tokenizer_token(tokenizer, end, &n_eos);
            assert_int_equal(end, 40);
            assert_true(ink_chat_ends(chat, end));
            assert_true(size > n_eos && memcmp(text, eos, n_eos) == 0);
            text[size] = '\0';
            assert_string_equal(text + n_eos, rows[i].words);
            input.tools = "[]";
            assert_ok(ctx, ink_chat_render(ctx, chat, &input, text, MAX_TEXT, &size));
            text[size] = '\0';
            assert_string_equal(i == 1 ? text : text + n_eos, i == 1 ? "[]" : rows[i].words);
        }
        ink_chat_free(chat);
        ink_tokenizer_free(tokenizer);
    }
    gguf_edit_free(&file);
    ink_context_free(ctx);
}

static void standard_templates(void **state)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"chatml", "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"},
        {"llama-3", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>"
                    "assistant<|end_header_id|>\n\n"},
        {"llama-2", "<|begin_of_text|>[INST] hi [/INST]"},
        {"mistral-v0", "<|begin_of_text|>[INST] hi [/INST]"},
        {"mistral-v1", "<|begin_of_text|> [INST] hi [/INST]"},
        {"mistral-v3", "<|begin_of_text|>[INST] hi[/INST]"},
        {"gemma", "<|begin_of_text|><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n"},
        {"zephyr", "<|user|>\nhi</s>\n<|assistant|>\n"},
    };
    static const char settings[] = "{\"eos_token\": \"</s>\"}";
    static const ink_message system[] = {{.role = "system", .text = "S", .size = 1},
                                         {.role = "user", .text = "hi", .size = 2},
                                         {.role = "assistant", .text = "yes", .size = 3},
                                         {.role = "user", .text = "go", .size = 2}};
    stage s;
    ink_chat *chat = NULL;
    size_t size, i = 0;

    (void)state;
    stage_open(&s);
    for (; i < sizeof rows / sizeof *rows; i++) {
        const ink_chat_options asked = {.standard = rows[i].name};
        assert_string_equal(ink_chat_standard(i), rows[i].name);
        assert_ok(s.ctx, open_memory(&s, settings, "not this one {{", NULL, NULL, &asked, &chat));
        assert_string_equal(ink_chat_name(chat), rows[i].name);
        expect_text(&s, chat, NULL, rows[i].text);
        ink_result result =
            ink_chat_render(s.ctx, chat, &(ink_chat_input){.messages = system, .n_messages = 4}, text, MAX_TEXT, &size);
        text[size] = '\0';
        if (strcmp(rows[i].name, "mistral-v0") == 0)
            assert_fails(s.ctx, result, INK_ERROR_ARGUMENT, "mistral-v0: line 1: the template refuses the messages: ");
        else
            assert_true(result == INK_OK && strstr(text, "S") != NULL && strstr(text, "yes") != NULL);
        if (strcmp(rows[i].name, "llama-2") == 0)
            assert_string_equal(text, "<|begin_of_text|>[INST] <<SYS>>\nS\n<</SYS>>\n\nhi [/INST] yes </s>"
                                      "<|begin_of_text|>[INST] go [/INST]");
        if (strcmp(rows[i].name, "gemma") == 0)
            assert_string_equal(text,
                                "<|begin_of_text|><start_of_turn>user\nS\n\nhi<end_of_turn>\n<start_of_turn>model\n"
                                "yes<end_of_turn>\n<start_of_turn>user\ngo<end_of_turn>\n");
        if (strcmp(rows[i].name, "llama-2") == 0 || strcmp(rows[i].name, "gemma") == 0)
            assert_fails(s.ctx,
                         ink_chat_render(s.ctx, chat, &(ink_chat_input){.messages = system + 2, .n_messages = 2}, text,
                                         MAX_TEXT, &size),
                         INK_ERROR_ARGUMENT, "user and assistant take turns");
        ink_chat_free(chat);
    }
    assert_null(ink_chat_standard(i));

    /* Without a template the kind of model decides, if the tokenizer has the tokens. */
    assert_ok(s.ctx, open_memory(&s, NULL, NULL, NULL, "{\"model_type\": \"qwen3\"}", NULL, &chat));
    assert_string_equal(ink_chat_name(chat), "chatml");
    ink_chat_free(chat);
    assert_fails(s.ctx, open_memory(&s, NULL, NULL, NULL, NULL, NULL, &chat), INK_ERROR_NOT_FOUND, "no chat template");
    assert_fails(s.ctx, open_memory(&s, "{}", NULL, NULL, "{\"model_type\": \"gpt2\"}", NULL, &chat),
                 INK_ERROR_NOT_FOUND, "model_type 'gpt2' does not say which of these it speaks: chatml, llama-3, ");
    assert_fails(s.ctx, open_memory(&s, "{}", "a", NULL, NULL, &(ink_chat_options){.standard = "alpaca"}, &chat),
                 INK_ERROR_ARGUMENT, "'alpaca' is none of the standard ones: chatml, ");
    assert_fails(
        s.ctx,
        ink_chat_open(s.ctx, FIXTURES "/chat/first", s.tokenizers[3], &(ink_chat_options){.standard = "chatml"}, &chat),
        INK_ERROR_MISMATCH, "chatml needs the added token <|im_start|>, and in this tokenizer there is none");
    stage_close(&s);
}

/* ---- what a call is given ---------------------------------------------------------------------------------------- */

static void inputs_are_checked(void **state)
{
    static const char template[] = "{{ strftime_now('%d %b %Y %H:%M') }}{{ messages | tojson }}{{ more }}";
    static const struct {
        ink_message message;
        const char *tools, *documents, *arguments;
        ink_result result;
        const char *words;
    } rows[] = {
        {{.text = "a", .size = 1}, NULL, NULL, NULL, INK_ERROR_ARGUMENT, "message 0 has no role"},
        {{.role = "user", .size = 1}, NULL, NULL, NULL, INK_ERROR_ARGUMENT, "message 0 has no role or no text"},
        {{.role = "user", .members = "[1]"},
         NULL,
         NULL,
         NULL,
         INK_ERROR_ARGUMENT,
         "members of message 0: expected a JSON object"},
        {{.role = "user", .members = "{"}, NULL, NULL, NULL, INK_ERROR_CORRUPT, "members of message 0: "},
        {{.role = "user"}, "{}", NULL, NULL, INK_ERROR_ARGUMENT, "tools of the chat: expected a JSON array"},
        {{.role = "user"}, "[1", NULL, NULL, INK_ERROR_CORRUPT, "tools of the chat: "},
        {{.role = "user"}, NULL, "1", NULL, INK_ERROR_ARGUMENT, "documents of the chat: expected a JSON array"},
        {{.role = "user"},
         NULL,
         NULL,
         "[]",
         INK_ERROR_ARGUMENT,
         "arguments of the chat template: expected a JSON object"},
        {{.role = "user"}, NULL, NULL, "{\"messages\": []}", INK_ERROR_ARGUMENT, "'messages' has a place of its own"},
        {{.role = "user"}, NULL, NULL, "{\"more\": 99999999999999999999}", INK_ERROR_LIMIT, "beyond 64 bits"},
        {{.role = "user", .members = "{\"a\": null, \"b\": [null], \"reasoning\": \"r\"}"},
         NULL,
         NULL,
         "{\"more\": 1.50}",
         INK_OK,
         "05 Nov 2026 18:30[{\"role\": \"user\", \"b\": [null], \"reasoning\": \"r\", \"thinking\": \"r\", "
         "\"reasoning_content\": \"r\"}]1.5"},
    };
    stage s;
    ink_chat *chat = NULL;
    size_t size;

    (void)state;
    stage_open(&s);
    ink_chat_options options = {
        .template_text = template, .template_size = sizeof template - 1, .date = "2026-11-05T18:30:00"};
    assert_ok(s.ctx, ink_chat_open(s.ctx, FIXTURES "/chat/wide", s.tokenizers[0], &options, &chat));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const ink_chat_input input = {.messages = &rows[i].message,
                                      .n_messages = 1,
                                      .tools = rows[i].tools,
                                      .documents = rows[i].documents,
                                      .arguments = rows[i].arguments};
        ink_result result = ink_chat_render(s.ctx, chat, &input, text, MAX_TEXT, &size);
        if (rows[i].result != INK_OK) {
            test_assert_fails(s.ctx, result, rows[i].result, rows[i].words, rows[i].words, __FILE__, __LINE__);
            continue;
        }
        assert_ok(s.ctx, result);
        text[size] = '\0';
        assert_string_equal(text, rows[i].words);
    }
    assert_fails(s.ctx, ink_chat_render(s.ctx, chat, &(ink_chat_input){.n_messages = 0}, text, MAX_TEXT, &size),
                 INK_ERROR_ARGUMENT, "there is no message");
    assert_fails(s.ctx, ink_chat_render(s.ctx, chat, &(ink_chat_input){.n_messages = 1}, text, MAX_TEXT, &size),
                 INK_ERROR_ARGUMENT, "messages is NULL");
    ink_chat_free(chat);
    static const char *const dates[] = {"",
                                        "2026",
                                        "2026-13-01",
                                        "2026-00-01",
                                        "2026-11-05T",
                                        "2026-11-05T25:00:00",
                                        "2026-11-05T18:30:00Z",
                                        "5 Nov 2026",
                                        "02026-11-05"};
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        options.date = dates[i];
        assert_fails(s.ctx, ink_chat_open(s.ctx, FIXTURES "/chat/wide", s.tokenizers[0], &options, &chat),
                     INK_ERROR_ARGUMENT, "is none like 2026-11-05");
    }
    stage_close(&s);
}

static void memory_may_run_out(ink_context *ctx, counting *memory)
{
    static const char settings[] = "{\"eos_token\": \"<|im_end|>\"}";
    size_t size, n = 0, k;
    char *jinja = read_template("qwen3", &size);
    ink_memory_file files[] = {{"tokenizer_config.json", settings, sizeof settings - 1},
                               {"chat_template.jinja", jinja, size}};
    ink_source source = ink_source_memory(&(ink_memory_files){files, 2});
    const ink_chat_options options = {.source = &source};
    const ink_message messages[] = {
        {.role = "user", .text = "q", .size = 1},
        {.role = "assistant",
         .text = "",
         .members = "{\"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {}}}]}"}};
    const ink_chat_input input = {.messages = messages, .n_messages = 2, .answer = true, .tools = "[{\"a\": 1}]"};
    ink_tokenizer *tokenizer = NULL;
    ink_chat *chat = NULL;

    assert_ok(ctx, ink_tokenizer_open(ctx, FIXTURES "/chat/wide", &tokenizer));
    for (k = 1; runs_out_of_memory(ctx, memory, k, ink_chat_open(ctx, NULL, tokenizer, &options, &chat), NULL); k++)
        assert_null(chat);
    assert_true(k > 3);
    for (k = 1;; k++) { /* with a context that has no scratch memory yet */
        ink_context *other = counting_context(memory, 1);
        bool ran_out =
            runs_out_of_memory(other, memory, k, ink_chat_encode(other, chat, &input, ids, MAX_IDS, &n), NULL);
        assert_int_equal(n == 0, ran_out);
        ink_context_free(other);
        if (!ran_out)
            break;
    }
    assert_true(k > 3);
    ink_chat_free(chat);
    ink_tokenizer_free(tokenizer);
    free(jinja);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_ids_are_those_of_the_reference),
        cmocka_unit_test(only_what_is_new),
        cmocka_unit_test(answers_end),
        cmocka_unit_test(typed_text_is_never_a_control_token),
        cmocka_unit_test(parts_do_not_add_up),
        cmocka_unit_test(messages_that_reach_a_control_token_are_refused),
        cmocka_unit_test(templates_are_found),
        cmocka_unit_test(templates_in_gguf_files),
        cmocka_unit_test(standard_templates),
        cmocka_unit_test(inputs_are_checked),
        counted_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
