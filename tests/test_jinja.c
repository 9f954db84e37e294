/*
 * test_jinja.c - the interpreter of templates: what Jinja2 writes for some 570 small ones, sentences with the line, and
 * bounds on steps, memory and depth.
 */
#include "testing.h"

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/formats/json.h"
#include "console.h"

enum { MAX_TEXT = 1 << 20 };

static char text[MAX_TEXT];

typedef struct stage {
    ink_context *ctx;
    ink_tokenizer *tokenizer;
} stage;

static void stage_open(stage *s, const ink_limits *limits)
{
    ink_context_options options = test_options(1);

    if (limits != NULL)
        options.limits = *limits;
    s->ctx = ink_context_create(&options);
    assert_non_null(s->ctx);
    s->tokenizer = NULL;
    assert_ok(s->ctx, ink_tokenizer_open(s->ctx, FIXTURES "/chat/pieces", &s->tokenizer));
}

static void stage_close(stage *s)
{
    ink_tokenizer_free(s->tokenizer);
    ink_context_free(s->ctx);
}

/* What a template writes for one message; *size of it. */
static ink_result render(const stage *s, const char *template, size_t length, const char *said, const char *arguments,
                         size_t *size)
{
    const ink_chat_options options = {.template_text = template, .template_size = length};
    const ink_message message = {.role = "user", .text = said, .size = strlen(said)};
    ink_chat *chat = NULL;

    *size = 0;
    ink_result result = ink_chat_open(s->ctx, FIXTURES "/chat/pieces", s->tokenizer, &options, &chat);
    if (result == INK_OK)
        result = ink_chat_render(s->ctx, chat,
                                 &(ink_chat_input){.messages = &message, .n_messages = 1, .arguments = arguments}, text,
                                 MAX_TEXT - 1, size);
    ink_chat_free(chat);
    text[result == INK_OK ? *size : 0] = '\0';
    return result;
}

static void templates_write_what_jinja2_writes(void **state)
{
    ink_source source = ink_source_folder(FIXTURES "/chat");
    ink_arena arena;
    ink_json_document json;
    stage s;
    size_t n = 0, n_failing = 0;

    (void)state;
    stage_open(&s, NULL);
    ink_arena_grow(&arena, &s.ctx->allocator);
    assert_ok(s.ctx, ink_json_open(s.ctx, &arena, &source, "jinja.json", INK_LIMIT(s.ctx, settings_bytes), &json));
    const char *said = json.nodes[ink_json_member(&json, 0, "message")].string,
               *arguments = json.nodes[ink_json_member(&json, 0, "arguments")].string;
    ink_json cases = ink_json_member(&json, 0, "cases");
    for (ink_json i = ink_json_first(&json, cases); i != INK_JSON_NONE; i = ink_json_next(&json, i), n++) {
        const ink_json_node *template = &json.nodes[ink_json_first(&json, i)],
                            *expected = &json.nodes[ink_json_next(&json, ink_json_first(&json, i))];
        size_t size;
        ink_result result = render(&s, template->string, template->string_size, said, arguments, &size);
        if (expected->kind == INK_JSON_NULL) {
            if (result == INK_OK)
                fail_msg("%s\nis to fail, and writes\n%s", template->string, text);
            assert_true(strstr(ink_context_error(s.ctx), "template_text: line ") != NULL);
            n_failing++;
        } else if (result != INK_OK || size != expected->string_size || memcmp(text, expected->string, size) != 0) {
            fail_msg("%s\nis to write\n%s\nand writes\n%s%s", template->string, expected->string, text,
                     ink_context_error(s.ctx));
        }
    }
    printf("%zu templates, %zu of which fail as in the reference\n", n, n_failing);
    assert_true(n > 500);
    ink_arena_free(&arena);
    stage_close(&s);
}

/* A sentence says what is wrong, and in which line. */
static void mistakes_have_a_line(void **state)
{
    static const struct {
        const char *template;
        ink_result result;
        const char *words;
    } rows[] = {
        {"\n\n{{ 'a", INK_ERROR_CORRUPT, "template_text: line 3: a string has no end"},
        {"{{ a }\n", INK_ERROR_CORRUPT, "line 1: expected the end of the tag, found '}'"},
        {"a\n{{ ) }}", INK_ERROR_CORRUPT, "line 2: expected a value, found ')'"},
        {"\n{% if a %}\n{{ 1 }}\n", INK_ERROR_CORRUPT, "line 2: the tag that begins here has no end"},
        {"{% endif %}", INK_ERROR_CORRUPT, "line 1: a tag that ends nothing: 'endif'"},
        {"\n{% for x in y %}{% endif %}", INK_ERROR_CORRUPT, "line 2: a tag that ends nothing: 'endif'"},
        {"{# a", INK_ERROR_CORRUPT, "line 1: a comment has no end"},
        {"{% raw %} a", INK_ERROR_CORRUPT, "line 1: {% raw %} has no {% endraw %}"},
        {"{{ 99999999999999999999 }}", INK_ERROR_CORRUPT, "line 1: a number beyond 64 bits: '99999999999999999999'"},
        {"{{ '\\u12' }}", INK_ERROR_CORRUPT, "line 1: an escape without a character: '\\u12'"},
        {"\n{{ a ? b }}", INK_ERROR_CORRUPT, "line 2: unexpected '?'"},
        {"{% break %}", INK_ERROR_CORRUPT, "line 1: break outside of a loop"},
        {"{{ f(a=1, 2) }}", INK_ERROR_CORRUPT, "line 1: a value behind a keyword"},
        {"{% call 5 %}{% endcall %}", INK_ERROR_CORRUPT, "line 1: a call block without a call"},
        {"{%", INK_ERROR_CORRUPT, "line 1: expected the name of a tag, found the end of the template"},
        {"\n{% include 'a' %}", INK_ERROR_UNSUPPORTED, "line 2: the tag 'include' is not supported"},
        {"{% for a in b recursive %}{% endfor %}", INK_ERROR_UNSUPPORTED, "line 1: recursive loops are not supported"},
        {"\n{{ 1 }}\n{{ a.b }}", INK_ERROR_MISMATCH, "template_text: line 3: 'a' is undefined"},
        {"{{ messages[0].q.r }}", INK_ERROR_MISMATCH, "line 1: 'q' is undefined"},
        {"{{ 1 + 'a' }}", INK_ERROR_MISMATCH, "line 1: + is not possible for values of type int and str"},
        {"{{ [1] < 2 }}", INK_ERROR_MISMATCH, "a value of type list has no order with one of type int"},
        {"{{ 1 | first }}", INK_ERROR_MISMATCH, "a value of type int has no items to go over"},
        {"{{ 1() }}", INK_ERROR_MISMATCH, "a value of type int is called"},
        {"{{ 'a'.strip(1, 2) }}", INK_ERROR_MISMATCH, "strip has the parameters (chars), and gets others"},
        {"{{ 'a' | q }}", INK_ERROR_UNSUPPORTED, "line 1: there is no filter 'q'"},
        {"{{ 'a' is q }}", INK_ERROR_UNSUPPORTED, "line 1: there is no test 'q'"},
        {"\n{{ raise_exception('Say \\x07 something.') }}", INK_ERROR_ARGUMENT,
         "line 2: the template refuses the messages: Say \\x07 something."},
        {"{{ 9223372036854775807 + 1 }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"{{ -9223372036854775807 - 2 }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"{{ 4000000000 * 4000000000 }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"{{ 3 ** 64 }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"{{ 9223372036854775807 | round(-1) }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"{{ messages.append(1) }}", INK_ERROR_MISMATCH, "a method would change a value"},
        {"{% set x.y = 1 %}", INK_ERROR_MISMATCH, "a member of 'x' is set, which is no namespace"},
        {"{{ strftime_now('%Q') }}", INK_ERROR_UNSUPPORTED, "strftime_now: %Q is not supported"},
        {"{{ [[[[['a']]]]] | map('map', 'map', 'map', 'map', 'upper') | list }}", INK_ERROR_LIMIT,
         "filters in filters"},
    };
    stage s;
    size_t size;

    (void)state;
    stage_open(&s, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *t = rows[i].template;
        test_assert_fails(s.ctx, render(&s, t, strlen(t), "a", NULL, &size), rows[i].result, rows[i].words, t, __FILE__,
                          __LINE__);
    }
    stage_close(&s);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

/* `head`, n times `unit`, `tail`. */
static char *repeated(const char *head, const char *unit, size_t n, const char *tail, size_t *size)
{
    size_t length = strlen(unit);
    char *made = malloc(strlen(head) + n * length + strlen(tail) + 1), *at = made;

    at += sprintf(at, "%s", head);
    for (size_t i = 0; i < n; i++, at += length)
        memcpy(at, unit, length);
    at += sprintf(at, "%s", tail);
    *size = (size_t)(at - made);
    return made;
}

/* Whatever a template asks for, it ends soon, with a sentence. */
static void runs_have_bounds(void **state)
{
    static const char *const templates[] = {
        "{% for i in range(10000000000) %}{% endfor %}",
        "{% for i in range(100000) %}{% for k in range(100000) %}{{ k }}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{% call m(x) %}{{ caller() }}{% endcall %}{% endmacro %}{{ m(1) }}",
        "{{ 'a' * 1000000000000 }}",
        "{{ [1] * 1000000000000 }}",
        "{{ 'a'.ljust(9000000000000000000) }}",
        "{{ '%9000000000d' % 1 }}",
        "{{ '{:9000000000}'.format(1) }}",
        "{{ 'a' | indent(9000000000000) }}",
        "{{ [] | tojson(indent=9000000000000) }}",
        "{{ [1] | batch(9000000000000, 0) | list }}",
        "{{ [1] | slice(9000000000000) | list }}",
        "{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}",
        "{% set ns = namespace(x=[], y=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}"
        "{% endfor %}{{ ns.x == ns.y }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
        "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
        "{% for i in range(3000) %}{{ range(3000) | unique | list | length }}{% endfor %}",
        "{{ range(1000000) | map('string') | join | length }}{{ range(100000) | map('string') | unique | list }}",
        "{% for i in range(100000) %}{% set x %}{{ messages }}{% endset %}{% endfor %}",
        "{{ ('ab' * 30000).replace('a', 'a' * 30000) }}",
        "{{ ('a' * 1000000).split('b') | length }}{{ (('a' * 1000) ~ 'b') * 2000 }}",
        "{% set a = 'a' * 400000 %}{% set b = 'a' * 200000 ~ 'b' %}{% for i in range(1000) %}{{ b in a }}{% endfor %}",
        "{% set a = 'a' * 400000 %}{% set b = 'a' * 200000 ~ 'b' %}{{ a.find(b) }}{{ a.rfind('b' ~ a[200000:]) }}",
        "{% set a = 'a' * 400000 %}{% set b = 'a' * 200000 ~ 'b' %}{{ a.split(b) }}{{ a.partition(b) }}",
        "{% set a = 'a' * 400000 %}{% set b = 'a' * 200000 ~ 'b' %}{{ a.replace(b, '') }}{{ a.count(b) }}",
        "{% set a = 'a' * 400000 %}{% set b = 'b' * 200000 ~ 'a' %}{{ a.strip(b) }}",
        "{% set a = 'a' * 400000 %}{% set b = ('b' ~ a[1:],) * 400000 %}{{ a.endswith(b) }}",
        "{{ ('a ' * 100000).strip('b' * 100000) | length }}{{ (' ' * 100000).strip(' b' * 100000) | length }}",
    };
    stage s;
    size_t size, n_refused = 0;

    (void)state;
    stage_open(&s, NULL);
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        ink_result result = render(&s, templates[i], strlen(templates[i]), "hello", NULL, &size);
        if (result != INK_OK && result != INK_ERROR_LIMIT)
            fail_msg("%s: %s", templates[i], ink_context_error(s.ctx));
        n_refused += result == INK_ERROR_LIMIT;
    }
    assert_true(n_refused >= 24);
    assert_fails(s.ctx, render(&s, templates[0], strlen(templates[0]), "", NULL, &size), INK_ERROR_LIMIT,
                 "template_text: line 1: the template ");
    stage_close(&s);

    stage_open(&s, &(ink_limits){.template_bytes = 100000});
    static const char large[] = "{% set a = 'x' * 100000 %}";
    assert_fails(s.ctx, render(&s, large, sizeof large - 1, "", NULL, &size), INK_ERROR_LIMIT,
                 "the template needs more memory than template_bytes of ink_limits");
    stage_close(&s);
}

/* However the host rounds, templates count as everywhere. */
static void numbers_do_not_depend_on_the_host(void **state)
{
    static const char template[] = "{{ 1 / 3 }} {{ 0.1 + 0.2 }} {{ 1.5 % 5e-324 }} "
                                   "{{ 'a b' | truncate(9223372036854775807, leeway=9223372036854775807) }}";
    stage s;
    size_t size;

    (void)state;
    stage_open(&s, NULL);
    fesetround(FE_UPWARD);
    ink_result result = render(&s, template, sizeof template - 1, "a", NULL, &size);
    assert_int_equal(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    assert_ok(s.ctx, result);
    assert_string_equal(text, "0.3333333333333333 0.30000000000000004 0.0 a b");
    stage_close(&s);
}

/* A megabyte of anything is parsed once, or refused. */
static void long_templates_are_parsed_once(void **state)
{
    static const struct {
        const char *head, *unit, *tail;
    } rows[] = {
        {"", "{{ a }}", ""},
        {"", "{{ 'a' }}", ""},
        {"{{ ", "(", ""},
        {"{{ ", "-", "1 }}"},
        {"{{ ", "not ", "1 }}"},
        {"{{ 1", " + 1", " }}"},
        {"{{ 1", " if 1 else 1", " }}"},
        {"{{ 1", " if 1", " }}"},
        {"{{ 1", " and 1", " }}"},
        {"{{ 1", " < 1", " }}"},
        {"{{ a", ".b", " }}"},
        {"{{ a", "[0]", " }}"},
        {"{{ a", "()", " }}"},
        {"{{ [", "1,", "] }}"},
        {"{{ {", "1:1,", "} }}"},
        {"{{ ", "'a' ", " }}"},
        {"{{ 'a'", "|trim", " }}"},
        {"", "{% if 1 %}", ""},
        {"", "{% if 1 %}{% endif %}", ""},
        {"", "{% for x in y %}", ""},
        {"", "{% macro m() %}", ""},
        {"", "{# a #}", ""},
        {"", "{", ""},
        {"", "{% raw %}", ""},
        {"", " ", "{%- set x = 1 %}"},
        {"{% if 0 %}", "{% elif 0 %}", "{% endif %}"},
        {"{{ ", "[", ""},
        {"{{ ", "{1:", ""},
        {"{% set ", "a, ", "b = 1 %}"},
        {"{% set ", "(", ""},
        {"{{ f(", "a=1,", ") }}"},
    };
    stage s;

    (void)state;
    stage_open(&s, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t size, n = ((size_t)1 << 19) / strlen(rows[i].unit);
        char *template = repeated(rows[i].head, rows[i].unit, n, rows[i].tail, &size);
        ink_result result = render(&s, template, size, "", NULL, &size);
        assert_true(result == INK_OK || ink_context_error(s.ctx)[0] != '\0');
        free(template);
    }
    size_t size, used = 0; /* more names than there may be */
    char *names = malloc(1 << 20);
    for (size_t i = 0; i < 5000; i++)
        used += (size_t)sprintf(names + used, "{{ n%zu }}", i);
    assert_fails(s.ctx, render(&s, names, used, "", NULL, &size), INK_ERROR_LIMIT, "more than 4096 names");
    free(names);
    stage_close(&s);
}

/* A conversation costs what its length is. */
static void long_conversations_are_quick(void **state)
{
    static const char template[] =
        "{% for m in messages %}{% if m.role == 'user' or m.role == 'system' %}{{ '<|im_start|>' + m.role + '\\n' + "
        "m.content + '<|im_end|>\\n' }}{% else %}{% set c = m.content.split('</think>')[-1].lstrip('\\n') %}"
        "{{ '<|im_start|>assistant\\n' + c | trim + '<|im_end|>\\n' }}{% endif %}{% endfor %}";
    static char words[301];
    static ink_message messages[1000];
    const ink_chat_options options = {.template_text = template, .template_size = sizeof template - 1};
    ink_chat *chat = NULL;
    stage s;
    double seconds[2];

    (void)state;
    memset(words, 'a', 300);
    for (size_t i = 0; i < 1000; i++)
        messages[i] = (ink_message){.role = i % 2 == 0 ? "user" : "assistant", .text = words, .size = 300};
    stage_open(&s, NULL);
    assert_ok(s.ctx, ink_chat_open(s.ctx, FIXTURES "/chat/pieces", s.tokenizer, &options, &chat));
    for (int k = 0; k < 2; k++) {
        size_t n = k == 0 ? 100 : 1000, size, rounds = k == 0 ? 20 : 2;
        double begin = console_seconds();
        for (size_t i = 0; i < rounds; i++)
            assert_ok(s.ctx, ink_chat_render(s.ctx, chat, &(ink_chat_input){.messages = messages, .n_messages = n},
                                             text, MAX_TEXT, &size));
        seconds[k] = (console_seconds() - begin) / (double)rounds;
        assert_true(size > 300 * n);
    }
    printf("100 messages: %.2f ms, 1000 messages: %.2f ms\n", 1e3 * seconds[0], 1e3 * seconds[1]);
    ink_chat_free(chat);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_write_what_jinja2_writes),
        cmocka_unit_test(mistakes_have_a_line),
        cmocka_unit_test(runs_have_bounds),
        cmocka_unit_test(numbers_do_not_depend_on_the_host),
        cmocka_unit_test(long_templates_are_parsed_once),
        cmocka_unit_test(long_conversations_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
