/*
 * test_jinja.c - the interpreter of templates: what Jinja2 writes for some 570 small ones, what is refused by its name,
 * sentences with the line, and bounds on steps, memory and depth.
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

/* The sentences of templates in jinja.json that Jinja2 runs and the library refuses. */
static const char *const refused[] = {
    "the operator of numbers with a fraction '**'",
    "the operator of numbers with a fraction '//'",
    "an order of lists",
    "the number '0x1f'",
    "the number in a str '3.7'",
    "the escape '\\1'",
    "the format '.'",
    "the format '{0}{1}{0}'",
    "the way to round 'ceil'",
    "the filter 'e'",
    "the filter 'slice'",
    "the filter 'urlencode'",
    "the filter behind the filter safe 'reverse'",
    "the test 'lower'",
    "the test 'filter'",
    "the method of a str 'count'",
    "the method of a str 'isdigit'",
    "the method of a str 'ljust'",
    "the method of a str 'partition'",
    "the method of a str 'removeprefix'",
    "the method of a str 'rfind'",
    "the method of a str 'rsplit'",
    "the method of a str 'swapcase'",
    "the method of a list 'grouper'",
    "the method of a list 'index'",
    "the member of a loop 'cycle'",
    "the member of a loop 'depth'",
    "the member of a macro 'name'",
    "the variable 'varargs'",
    "the argument '*'",
    "the tag 'raw'",
    "the filter of a set block '|'",
    "the place for names in names '('",
    "the method of text behind the filter safe 'split'",
    "text behind the filter safe in a list",
    "these arguments of 'splitlines'",
    "tojson with sort_keys",
    "truncate is supported with killwords",
    "strftime_now: %e",
    "dict and namespace",
};

/* What is left of these templates without what is refused, and what Jinja2 writes. */
static const struct {
    const char *template, *expected;
} allowed[] = {
    {"{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}",
     "5.0 3 -4 -2 64 4"},
    {"{{ 1e3 }} {{ 1e16 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 1.7976931348623157e308 }} {{ 5e-324 }} {{ "
     "100000000000000000.0 }}",
     "1000.0 1e+16 1e-05 0.30000000000000004 1.7976931348623157e+308 5e-324 1e+17"},
    {"{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 == 1.0 == true }} {{ 'a' < 'b' }} {{ none == none }} {{ 'a' != 1 }}",
     "True False True True True True"},
    {"{{ 'a' 'b' \"c\" }}", "abc"},
    {"{{ x.upper() }} {{ x.lower() }} {{ x.title() }} {{ x.capitalize() }} {{ 'they\\'re bill\\'s' .title() }} {{ 'ab "
     "cd-ef' | title }} {{ x | capitalize }}",
     "AB CÉ你 <B> ab cé你 <b> Ab Cé你 <B> Ab cé你 <b> They'Re Bill'S Ab Cd-Ef Ab cé你 <b>"},
    {"{{ 'a,b,,c'.split(',') }} {{ ' a  b c '.split() }} {{ 'a b c'.split(' ', 1) }} {{ ' a b  c '.split(none, 1) }} "
     "{{ ''.split() }} {{ ''.split(',') }}",
     "['a', 'b', '', 'c'] ['a', 'b', 'c'] ['a', 'b c'] ['a', 'b  c '] [] ['']"},
    {"{{ 'a\\nb\\r\\nc\\n'.splitlines() }}", "['a', 'b', 'c']"},
    {"{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ ''.startswith('') }}", "True True True"},
    {"{{ 'hello'.find('l') }} {{ 'hello'.find('z') }}", "2 -1"},
    {"{{ '{}-{}'.format(1, 'b') }}", "1-b"},
    {"{{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 'x') | list }}",
     "[[1, 2], [3, 4], [5]] [[1, 2], [3, 'x']]"},
    {"{{ '3' | int }} {{ 3.9 | int }} {{ 3 | float }} {{ true | int }} {{ none | int }}", "3 3 3.0 1 0"},
    {"{{ 3.14159 | round(2) }} {{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 42 | round }} {{ 1234.5 | "
     "round(-2) }} {{ -3 | abs }} {{ -2.5 | abs }}",
     "3.14 2.0 4.0 2.67 42 1200.0 3 2.5"},
    {"{{ x | trim }} {{ ' a ' | trim }} {{ 'xax' | trim('x') }} {{ x | safe }} {{ '<' ~ (x | safe) }}",
     "aB cé你 <b> a a aB cé你 <b> <aB cé你 <b>"},
    {"{{ 'hello big world' | truncate(9, true) }} {{ 'a b, c_d' | wordcount }}", "hello ... 3"},
    {"{{ d | tojson(separators=(',', ':')) }} {{ {1: 2, none: 3, true: 4} | tojson }} {{ (1, 2) | tojson }}",
     "{\"k\":1,\"b\":\"v\",\"items\":7} {\"1\": 4, \"null\": 3} [1, 2]"},
    {"{{ 4 is even }} {{ 4 is odd }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is eq 1 }} {{ 1 is ne(2) "
     "}} {{ 2 is gt 1 }} {{ 'a' is in 'abc' }} {{ 1 is in [1] }} {{ 1 is not string }} {{ not 1 is string }}",
     "True False True False True True True True True True True"},
    {"{{ range is callable }}", "True"},
    {"{{ strftime_now('%d %b %Y %B %A %a %j %H:%M:%S %y %m %I %p %% %Y-%m-%d') }}",
     "26 Jul 2024 July Friday Fri 208 00:00:00 24 07 12 AM % 2024-07-26"},
    {"{{ rows | groupby('a') | list }} {% for g, l in rows | groupby('a') %}{{ g }}:{{ l | length }};{% endfor %}",
     "[(1, [{'a': 1, 'b': 'X'}]), (2, [{'a': 2, 'b': 'y'}, {'a': 2}])] 1:1;2:2;"},
    {"{% for (a, b) in [[1, 2]] %}{{ a + b }}{% endfor %}", "3"},
    {"{% for i in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first "
     "}}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}",
     "1032TrueFalse32 2121FalseFalse313 3210FalseTrue32 "},
    {"{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %} {% set a %}x{{ 1 }}y{% endset %}{{ a }}{{ a | length "
     "}}",
     "TrueFalseTrue x1y3"},
    {"{% macro m(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c=5) }} {{ m() "
     "}} {{ m(b=1, a=4) }}",
     "1-2-1 1-3-1 1-2-5 -2- 4-1-4"},
    {"{% macro f(x) %}{{ x }}{{ caller('z') if caller else 'no' }}{% endmacro %}{{ f(1) }} {% call(y) f(2) %}[{{ y "
     "}}]{% endcall %}",
     "1no 2[z]"},
    {"{# a comment #}b{#- stripped -#} c {#- -#} {#-#} {##}d {{ namespace(a=1).a }} {{ dict(a=1) }}",
     "bc d 1 {'a': 1}"},
    {"{{ [1 if t else 2 if z else 3, (4 if z else 5) if t else 6] }} {{ {'a': n if n > 2 and t or z else f}['a' if t "
     "else 'b'] }} {{ -n if not t else -1 | abs if 0 else 1 < n < 5 < 4 }}",
     "[1, 5] 3 False"},
    {"{{ x[1:4 if t else 2] }} {{ dict(a=1 if z else 2, b=3 if t else 4) }} {% for i in [1, 2, 3, 4] if ((i is odd) if "
     "t else (i is even)) %}{{ i }}{% endfor %}",
     "B c {'a': 2, 'b': 3} 13"},
    {"{% filter replace('a', 'b' if t else 'c') | upper %}banana{% endfilter %} {% for i in [] %}{% else %}{% for k in "
     "[1, 2] %}{% if k == 2 %}{% break %}{% endif %}{{ k }}{% else %}x{% endfor %}{% endfor %}",
     "BBNBNB 1"},
};

static void templates_write_what_jinja2_writes(void **state)
{
    size_t n_refused[sizeof refused / sizeof *refused] = {0};
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
        } else if (result == INK_ERROR_UNSUPPORTED) {
            size_t k = 0;
            while (k < sizeof refused / sizeof *refused && strstr(ink_context_error(s.ctx), refused[k]) == NULL)
                k++;
            if (k == sizeof refused / sizeof *refused)
                fail_msg("%s\nis refused: %s", template->string, ink_context_error(s.ctx));
            n_refused[k]++;
        } else if (result != INK_OK || size != expected->string_size || memcmp(text, expected->string, size) != 0) {
            fail_msg("%s\nis to write\n%s\nand writes\n%s%s", template->string, expected->string, text,
                     ink_context_error(s.ctx));
        }
    }
    printf("%zu templates, %zu of which fail as in the reference\n", n, n_failing);
    assert_true(n > 500);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (n_refused[i] == 0)
            fail_msg("no template is refused with %s", refused[i]);
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        size_t size;
        assert_ok(s.ctx, render(&s, allowed[i].template, strlen(allowed[i].template), said, arguments, &size));
        assert_string_equal(text, allowed[i].expected);
    }
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
        {"{{ 99999999999999999999 }}", INK_ERROR_CORRUPT, "line 1: a number beyond 64 bits: '99999999999999999999'"},
        {"{{ '\\u12' }}", INK_ERROR_CORRUPT, "line 1: an escape without a character: '\\u12'"},
        {"\n{{ a ? b }}", INK_ERROR_CORRUPT, "line 2: unexpected '?'"},
        {"{% break %}", INK_ERROR_CORRUPT, "line 1: break outside of a loop"},
        {"{{ f(a=1, 2) }}", INK_ERROR_CORRUPT, "line 1: a value behind a keyword"},
        {"{% call 5 %}{% endcall %}", INK_ERROR_CORRUPT, "line 1: a call block without a call"},
        {"{%", INK_ERROR_CORRUPT, "line 1: expected the name of a tag, found the end of the template"},
        {"\n{% include 'a' %}", INK_ERROR_UNSUPPORTED, "line 2: the tag 'include' is not supported"},
        {"{% for a in b recursive %}{% endfor %}", INK_ERROR_UNSUPPORTED,
         "line 1: the kind of loop 'recursive' is not supported"},
        {"\n{{ 1 }}\n{{ a.b }}", INK_ERROR_MISMATCH, "template_text: line 3: 'a' is undefined"},
        {"{{ [1][7].b }}", INK_ERROR_MISMATCH, "line 1: an item is used that is not there"},
        {"{{ messages[0].q.r }}", INK_ERROR_MISMATCH, "line 1: 'q' is undefined"},
        {"{{ 1 + 'a' }}", INK_ERROR_MISMATCH, "line 1: + is not possible for values of type int and str"},
        {"{{ [1] < 2 }}", INK_ERROR_MISMATCH, "an order is not possible for values of type list and int"},
        {"{{ 1 | first }}", INK_ERROR_MISMATCH, "a value of type int has no items to go over"},
        {"{{ 1() }}", INK_ERROR_MISMATCH, "a value of type int is called"},
        {"{{ 'a'.strip('a', 2) }}", INK_ERROR_UNSUPPORTED, "these arguments of 'strip' are not supported"},
        {"{{ 'a' | q }}", INK_ERROR_UNSUPPORTED, "line 1: the filter 'q' is not supported"},
        {"{{ 'a' is q }}", INK_ERROR_UNSUPPORTED, "line 1: the test 'q' is not supported"},
        {"\n{{ raise_exception('Say \\x07 something.') }}", INK_ERROR_ARGUMENT,
         "line 2: the template refuses the messages: Say \\x07 something."},
        {"{{ 9223372036854775807 + 1 }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"{{ -9223372036854775807 - 2 }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"{{ 4000000000 * 4000000000 }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"{{ 3 ** 64 }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"{{ 9223372036854775807 | round(-1) }}", INK_ERROR_MISMATCH, "a number is beyond 64 bits"},
        {"\n{{ messages.append(1) }}", INK_ERROR_UNSUPPORTED, "line 2: the method of a list 'append' is not supported"},
        {"{{ messages[0].pop('role') }}", INK_ERROR_UNSUPPORTED, "line 1: the method of a dict 'pop' is not supported"},
        {"{{ cycler(1) }}", INK_ERROR_UNSUPPORTED, "line 1: the function 'cycler' is not supported"},
        {"{{ '%(a)s' % messages[0] }}", INK_ERROR_UNSUPPORTED, "line 1: the format '(' is not supported"},
        {"{{ '%+d' % 1 }}", INK_ERROR_UNSUPPORTED, "line 1: the format '+' is not supported"},
        {"{{ '{:*<5}'.format(1) }}", INK_ERROR_UNSUPPORTED, "line 1: the format '{:*<5}' is not supported"},
        {"{{ '10' | int(0, 2) }}", INK_ERROR_UNSUPPORTED, "line 1: the filter int supports no base but 10"},
        {"{{ '<' + ('a' | safe) }}", INK_ERROR_UNSUPPORTED,
         "line 1: the operator of text behind the filter safe '+' is not supported"},
        {"{{ 'a' | safe | upper }}", INK_ERROR_UNSUPPORTED,
         "line 1: the filter behind the filter safe 'upper' is not supported"},
        {"{{ f(**a) }}", INK_ERROR_UNSUPPORTED, "line 1: the argument '**' is not supported"},
        {"{% call(a=1) f() %}{% endcall %}", INK_ERROR_UNSUPPORTED,
         "line 1: the default of a call block '=' is not supported"},
        {"{{ '{a}'.format(a=1) }}", INK_ERROR_UNSUPPORTED, "line 1: the format '{a}' is not supported"},
        {"{{ 1.5 % 1 }}", INK_ERROR_UNSUPPORTED,
         "line 1: the operator of numbers with a fraction '%' is not supported"},
        {"{{ 1 if 1 if 1 }}", INK_ERROR_CORRUPT, "line 1: expected 'else', found 'if'"},
        {"{% call a or f() %}{% endcall %}", INK_ERROR_CORRUPT, "line 1: a call block without a call"},
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
        "{{ '%9000000000d' % 1 }}",
        "{{ '{:9000000000}'.format(1) }}",
        "{{ 'a' | indent(9000000000000) }}",
        "{{ [] | tojson(indent=9000000000000) }}",
        "{{ [1] | batch(9000000000000, 0) | list }}",
        "{% set ns = namespace(x='a') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{{ range(100000) | list | sort(reverse=true) | length }}",
        "{% set ns = namespace(x=[], y=[]) %}{% for i in range(100) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}"
        "{% endfor %}{{ ns.x == ns.y }}",
        "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
        "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
        "{% for i in range(3000) %}{{ range(3000) | unique | list | length }}{% endfor %}",
        "{{ range(1000000) | map('string') | join | length }}{{ range(100000) | map('string') | unique | list }}",
        "{% for i in range(100000) %}{% set x %}{{ messages }}{% endset %}{% endfor %}",
        "{{ ('ab' * 30000).replace('a', 'a' * 30000) }}",
        "{{ ('a' * 1000000).split('b') | length }}{{ (('a' * 1000) ~ 'b') * 2000 }}",
        "{% set a = 'a' * 400000 %}{% set b = 'a' * 200000 ~ 'b' %}{% for i in range(1000) %}{{ b in a }}{% endfor %}",
        "{% set a = 'a' * 400000 %}{% set b = 'a' * 200000 ~ 'b' %}{{ a.find(b) }}{{ a.find(a[200000:] ~ 'b') }}",
        "{% set a = 'a' * 400000 %}{% set b = 'a' * 200000 ~ 'b' %}{{ a.split(b) }}{{ a.split(b, 3) }}",
        "{% set a = 'a' * 400000 %}{% set b = 'a' * 200000 ~ 'b' %}{{ a.replace(b, '') }}{{ a.startswith(b) }}",
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
    assert_true(n_refused >= 20);
    assert_fails(s.ctx, render(&s, templates[0], strlen(templates[0]), "", NULL, &size), INK_ERROR_LIMIT,
                 "template_text: line 1: the template ");
    stage_close(&s);

    stage_open(&s, &(ink_limits){.template_bytes = 100000});
    static const char large[] = "{% set a = 'x' * 100000 %}";
    assert_fails(s.ctx, render(&s, large, sizeof large - 1, "", NULL, &size), INK_ERROR_LIMIT,
                 "the template needs more than 100000 bytes of memory (template_bytes of ink_limits)");
    stage_close(&s);
}

/* However the host rounds, templates count as everywhere. */
static void numbers_do_not_depend_on_the_host(void **state)
{
    static const char template[] = "{{ 1 / 3 }} {{ 0.1 + 0.2 }} "
                                   "{{ 'a b' | truncate(9223372036854775807, true) }}";
    stage s;
    size_t size;

    (void)state;
    stage_open(&s, NULL);
    fesetround(FE_UPWARD);
    ink_result result = render(&s, template, sizeof template - 1, "a", NULL, &size);
    assert_int_equal(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    assert_ok(s.ctx, result);
    assert_string_equal(text, "0.3333333333333333 0.30000000000000004 a b");
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
