/*
 * jinja_builtins.c - the filters, tests, methods and functions of templates.
 *
 * One table has a row for each: the function, what it makes, its parameters, and a mode for functions that serve
 * several names. A call is bound to the parameters before the function runs: `$` stands before a parameter that is a
 * string, `#` a whole number, `!` a truth value, `.` anything; `?` or a default behind it: it may be absent. Two signs
 * in front are about self: `$$`, a string is made of it, `@@`, its items are wanted. `*`: the function looks at the
 * call itself.
 *
 * A row that makes a VALUE sets it. What a function of a STRING writes is cut off for it, what one of ITEMS pushes is
 * gathered to a list, unless it sets the value.
 */
#include <string.h>

#include "jinja.h"
#include "unicode.h"

#define MOST_PARAMETERS 4
#define MOST_NESTED 3 /* map('map', ...) */
#define NO_STR "is no str, which an argument has to be"

typedef struct arguments {
    const ink_jinja_call *call;
    ink_jinja_value self;
    const ink_jinja_string *text;               /* of `$$` */
    ink_jinja_list items;                       /* of `@@` */
    ink_jinja_value v[MOST_PARAMETERS];         /* MISSING: not given */
    const ink_jinja_string *s[MOST_PARAMETERS]; /* of `$`; NULL: not given */
    int64_t n[MOST_PARAMETERS];                 /* of `#` */
    unsigned mode;
    ink_jinja_value value; /* what the function makes */
} arguments;

/* Where a row counts: a set of these. */
enum { FUNCTION = 1, FILTER = 2, TEST = 4, OF_TEXT = 8, OF_LIST = 16, OF_DICT = 32, OF_LOOP = 64 };

typedef enum builtin_result { VALUE, STRING, ITEMS } builtin_result;

typedef struct builtin_row {
    const char *names; /* with spaces between them */
    ink_result (*function)(ink_jinja *run, arguments *a);
    const char *parameters;
    uint16_t mode;
    uint8_t roles, makes;
} builtin_row;

/* ---- arguments -------------------------------------------------------------------------------------------------- */

static size_t word_size(const char *words)
{
    size_t size = 0;
    while (words[size] != '\0' && words[size] != ' ' && words[size] != '=' && words[size] != '?')
        size++;
    return size;
}

static ink_result bind_arguments(ink_jinja *run, const builtin_row *row, const ink_jinja_call *call, arguments *a)
{
    const char *word = row->parameters;
    ink_jinja_value text;
    size_t n = 0, bound = 0;
    *a = (arguments){.call = call, .self = call->self, .mode = row->mode};
    if (word[0] == '*')
        return INK_OK;
    if (word[0] == '$' && word[1] == '$') {
        INK_TRY(ink_jinja_to_text(run, call->self, &text));
        a->text = text.text;
    }
    if (word[0] == '@')
        INK_TRY(ink_jinja_items(run, call->self, &a->items));
    word += word[0] != '\0' && word[1] == word[0] ? 2 + (word[2] == ' ') : 0;
    for (; *word != '\0'; n++) {
        const size_t size = word_size(word + 1);
        const char kind = *word, *end = word + 1 + size;
        ink_jinja_value *v = &a->v[n];
        if (n < call->n_args)
            *v = call->args[n];
        for (size_t i = 0; i < call->n_keywords; i++)
            if (n >= call->n_args && call->keywords[2 * i].text->size == size &&
                memcmp(call->keywords[2 * i].text->at, word + 1, size) == 0) {
                *v = call->keywords[2 * i + 1];
                bound++;
            }
        const bool absent =
            v->kind == INK_JINJA_MISSING || (kind != '.' && v->kind == INK_JINJA_NONE && *end != ' ' && *end != '\0');
        uint64_t number = 0;
        if (*end == '=') {
            const bool negative = end[1] == '-';
            end += 1 + negative;
            end += ink_digits(end, strlen(end), &number);
            a->n[n] = negative ? -(int64_t)number : (int64_t)number;
        } else if (*end == '?') {
            end++;
        } else if (absent) {
            break;
        }
        if (kind == '$' && !absent) {
            if (v->kind != INK_JINJA_TEXT)
                return ink_jinja_wrong(run, *v, NO_STR);
            a->s[n] = v->text;
        }
        if (kind == '#' && !absent && !ink_jinja_integer(*v, &a->n[n]))
            return ink_jinja_wrong(run, *v, "is no whole number, which an argument has to be");
        word = end + (*end == ' ');
    }
    if (*word != '\0' || call->n_args > n || bound < call->n_keywords)
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "these arguments of '%s' are not supported", row->names);
    return INK_OK;
}

/* ---- strings ---------------------------------------------------------------------------------------------------- */

enum { UPPER, LOWER, TITLE, CAPITALIZE, TITLE_FILTER };

static ink_result write_case(ink_jinja *run, const ink_jinja_string *text, unsigned mode)
{
    size_t length;
    bool inside = false; /* a word has begun */
    for (size_t at = 0; at < text->size; at += length) {
        uint32_t code;
        char bytes[4];
        length = ink_utf8_next(text->at + at, text->size - at, &code);
        const uint32_t upper = ink_unicode_upper(code), lower = ink_unicode_lower(code);
        const bool up = mode == UPPER || (mode != LOWER && !inside), sharp_s = up && code == 0xDF;
        const uint32_t changed = up ? upper : lower;
        size_t n = changed < INK_UTF8_INVALID ? ink_utf8_put(bytes, changed) : 0;
        if (sharp_s) { /* the upper case of this letter is two */
            bytes[0] = 'S';
            bytes[1] = mode == UPPER ? 'S' : 's';
        }
        if (changed == code && !sharp_s)
            INK_TRY(ink_jinja_write_part(run, text, at, at + length));
        else
            INK_TRY(ink_jinja_write(run, bytes, n, text->data != NULL ? text->data[at] != 0 : text->is_data));
        inside = mode == TITLE ? upper != code || lower != code
                 : mode == TITLE_FILTER
                     ? !(code < 0x80 && code != 0 && strchr("-({[<", (int)code) != NULL) && !ink_jinja_is_space(code)
                     : true;
    }
    return INK_OK;
}

static ink_result builtin_case(ink_jinja *run, arguments *a) { return write_case(run, a->text, a->mode); }

/* Whether a character is to be stripped: white space, or one of `characters`. */
static bool is_stripped(const ink_jinja_string *characters, const char *at, size_t size, uint32_t code)
{
    if (characters == NULL)
        return ink_jinja_is_space(code);
    for (size_t i = 0; i + size <= characters->size; i++)
        if (memcmp(characters->at + i, at, size) == 0)
            return true;
    return false;
}

enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };

static ink_result builtin_strip(ink_jinja *run, arguments *a)
{
    const ink_jinja_string *text = a->text, *characters = a->s[0];
    const size_t steps = 1 + (characters != NULL ? characters->size / 4 : 0);
    size_t start = 0, stop = text->size, length;
    uint32_t code;
    for (; (a->mode & STRIP_LEFT) != 0 && start < stop; start += length) {
        INK_TRY(ink_jinja_spend(run, steps));
        length = ink_utf8_next(text->at + start, stop - start, &code);
        if (!is_stripped(characters, text->at + start, length, code))
            break;
    }
    for (; (a->mode & STRIP_RIGHT) != 0 && stop > start; stop -= length) {
        INK_TRY(ink_jinja_spend(run, steps));
        length = ink_utf8_last(text->at + start, stop - start, &code);
        if (!is_stripped(characters, text->at + stop - length, length, code))
            break;
    }
    return ink_jinja_part(run, text, start, stop, &a->value);
}

static ink_result push_part(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop)
{
    ink_jinja_value part;
    INK_TRY(ink_jinja_part(run, text, start, stop, &part));
    return ink_jinja_push(run, part);
}

/* Pushes the words between white space, and what is left behind `most` of them. */
static ink_result push_words(ink_jinja *run, const ink_jinja_string *text, int64_t most)
{
    uint32_t code;
    for (size_t at = ink_jinja_skip_spaces(text->at, text->size, 0); at < text->size;) {
        const size_t start = at;
        for (size_t length; at < text->size; at += length) {
            length = ink_utf8_next(text->at + at, text->size - at, &code);
            if (most != 0 && ink_jinja_is_space(code))
                break;
        }
        INK_TRY(push_part(run, text, start, at));
        most -= most > 0;
        at = ink_jinja_skip_spaces(text->at, text->size, at);
    }
    return INK_OK;
}

static ink_result builtin_split(ink_jinja *run, arguments *a)
{
    const ink_jinja_string *text = a->text, *by = a->s[0];
    size_t start = 0, at;
    if (by == NULL)
        return push_words(run, text, a->n[1]);
    if (by->size == 0)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "split by an empty str");
    for (int64_t most = a->n[1]; most != 0; most -= most > 0) {
        INK_TRY(ink_jinja_place(run, text, start, by, &at));
        if (at == SIZE_MAX)
            break;
        INK_TRY(push_part(run, text, start, at));
        start = at + by->size;
    }
    return push_part(run, text, start, text->size);
}

/* Pushes lines without their ends. */
static ink_result push_lines(ink_jinja *run, const ink_jinja_string *text)
{
    uint32_t code;
    size_t start = 0, length;
    for (size_t at = 0; at < text->size; at += length) {
        length = ink_utf8_next(text->at + at, text->size - at, &code);
        if (!((code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 ||
              code == 0x2029))
            continue;
        INK_TRY(push_part(run, text, start, at));
        length += code == '\r' && at + 1 < text->size && text->at[at + 1] == '\n';
        start = at + length;
    }
    return start < text->size ? push_part(run, text, start, text->size) : INK_OK;
}

static ink_result builtin_splitlines(ink_jinja *run, arguments *a) { return push_lines(run, a->text); }

/* startswith, and endswith as mode 1 */
static ink_result builtin_affix(ink_jinja *run, arguments *a)
{
    const ink_jinja_list one = {a->v, 1}, *many = a->v[0].kind == INK_JINJA_TUPLE ? a->v[0].list : &one;
    bool found = false;
    for (size_t i = 0; i < many->n && !found; i++) {
        if (many->items[i].kind != INK_JINJA_TEXT)
            return ink_jinja_wrong(run, many->items[i], NO_STR);
        const ink_jinja_string *affix = many->items[i].text;
        const size_t more = a->text->size - affix->size;
        INK_TRY(ink_jinja_spend(run, 1 + affix->size / 16));
        found = affix->size <= a->text->size &&
                memcmp(a->text->at + (a->mode == 1 ? more : 0), affix->at, affix->size) == 0;
    }
    a->value = ink_jinja_bool(found);
    return INK_OK;
}

/* The method wants strings; the filter, mode 1, takes anything. */
static ink_result builtin_replace(ink_jinja *run, arguments *a)
{
    size_t start = 0, at = 0;
    ink_jinja_value old, new;
    uint32_t code;
    for (size_t i = 0; i < 2 && a->mode == 0; i++)
        if (a->v[i].kind != INK_JINJA_TEXT)
            return ink_jinja_wrong(run, a->v[i], NO_STR);
    INK_TRY(ink_jinja_to_text(run, a->v[0], &old));
    INK_TRY(ink_jinja_to_text(run, a->v[1], &new));
    for (int64_t most = a->n[2]; most != 0; most -= most > 0) {
        INK_TRY(ink_jinja_place(run, a->text, at, old.text, &at));
        if (at == SIZE_MAX)
            break;
        INK_TRY(ink_jinja_write_part(run, a->text, start, at));
        INK_TRY(ink_jinja_print(run, new));
        start = at += old.text->size;
        if (old.text->size == 0) { /* before every character and at the end */
            if (at == a->text->size)
                break;
            at += ink_utf8_next(a->text->at + at, a->text->size - at, &code);
        }
    }
    return ink_jinja_write_part(run, a->text, start, a->text->size);
}

static ink_result builtin_find(ink_jinja *run, arguments *a)
{
    size_t at;
    ink_jinja_value head;
    INK_TRY(ink_jinja_place(run, a->text, 0, a->s[0], &at));
    a->value = ink_jinja_int(-1);
    if (at == SIZE_MAX)
        return INK_OK;
    INK_TRY(ink_jinja_part(run, a->text, 0, at, &head));
    a->value = ink_jinja_int(head.text->n_chars);
    return INK_OK;
}

static ink_result builtin_format(ink_jinja *run, arguments *a) { return ink_jinja_format(run, a->self.text, a->call); }

/* A number becomes that many spaces, a str stays. */
static ink_result make_indent(ink_jinja *run, ink_jinja_value *indent)
{
    const size_t from = run->n_out;
    int64_t width;
    if (indent->kind == INK_JINJA_TEXT)
        return INK_OK;
    if (!ink_jinja_integer(*indent, &width))
        return ink_jinja_wrong(run, *indent, "is no width");
    for (; width > 0; width--)
        INK_TRY(ink_jinja_write(run, " ", 1, false));
    return ink_jinja_cut(run, from, indent);
}

static ink_result builtin_indent(ink_jinja *run, arguments *a)
{
    const size_t out = run->n_out, stack = run->n_stack;
    ink_jinja_value whole, lines, indent = a->v[0].kind != INK_JINJA_MISSING ? a->v[0] : ink_jinja_int(4);
    const bool first = ink_jinja_truth(a->v[1]), blank = ink_jinja_truth(a->v[2]);
    INK_TRY(make_indent(run, &indent));
    INK_TRY(ink_jinja_write_part(run, a->text, 0, a->text->size));
    INK_TRY(ink_jinja_write(run, "\n", 1, false)); /* as in Jinja2, the last line has an end, too */
    INK_TRY(ink_jinja_cut(run, out, &whole));
    INK_TRY(push_lines(run, whole.text));
    INK_TRY(ink_jinja_gather(run, INK_JINJA_LIST, stack, &lines));
    for (size_t i = 0; i < lines.list->n; i++) {
        if (i > 0)
            INK_TRY(ink_jinja_write(run, "\n", 1, false));
        if (i == 0 ? first : blank || ink_jinja_truth(lines.list->items[i]))
            INK_TRY(ink_jinja_print(run, indent));
        INK_TRY(ink_jinja_print(run, lines.list->items[i]));
    }
    return INK_OK;
}

/* With killwords, and to a length with three dots; up to 5 characters more are no reason to cut. */
static ink_result builtin_truncate(ink_jinja *run, arguments *a)
{
    const ink_jinja_string *text = a->text;
    size_t at = 0;
    uint32_t code;
    if (!ink_jinja_truth(a->v[1]) || a->n[0] < 3)
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "truncate is supported with killwords and from 3 on");
    if (text->n_chars <= a->n[0] || text->n_chars - a->n[0] <= 5)
        return ink_jinja_write_part(run, text, 0, text->size);
    for (int64_t n = a->n[0] - 3; n > 0; n--)
        at += ink_utf8_next(text->at + at, text->size - at, &code);
    INK_TRY(ink_jinja_write_part(run, text, 0, at));
    return ink_jinja_write(run, "...", 3, false);
}

static ink_result builtin_wordcount(ink_jinja *run, arguments *a)
{
    bool inside = false;
    size_t length;
    a->value = ink_jinja_int(0);
    for (size_t at = 0; at < a->text->size; at += length) {
        uint32_t code;
        length = ink_utf8_next(a->text->at + at, a->text->size - at, &code);
        const ink_unicode_class class = ink_unicode_class_of(code);
        const bool word = code == '_' || class == INK_UNICODE_LETTER || class == INK_UNICODE_NUMBER;
        a->value.integer += word && !inside;
        inside = word;
    }
    return ink_jinja_spend(run, 1 + a->text->size / 4);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static ink_result builtin_default(ink_jinja *run, arguments *a)
{
    a->value = a->self;
    if (a->self.kind != INK_JINJA_UNDEFINED && (!ink_jinja_truth(a->v[1]) || ink_jinja_truth(a->self)))
        return INK_OK;
    a->value = a->v[0];
    return a->v[0].kind != INK_JINJA_MISSING ? INK_OK : ink_jinja_new_text(run, "", 0, false, &a->value);
}

/* string, and safe as mode 1 */
static ink_result builtin_string(ink_jinja *run, arguments *a)
{
    INK_TRY(ink_jinja_to_text(run, a->self, &a->value));
    a->value.which = a->mode == 1 ? INK_JINJA_SAFE : a->value.which;
    return INK_OK;
}

/* int, and float as mode 1 */
static ink_result builtin_number(ink_jinja *run, arguments *a)
{
    uint64_t digits;
    int64_t integer;
    a->value = a->self;
    if (a->n[1] != 10)
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "the filter int supports no base but 10");
    if (a->self.kind == INK_JINJA_TEXT) {
        const ink_jinja_string *text = a->self.text;
        const size_t sign = text->size > 0 && text->at[0] == '-', n = text->size - sign;
        if (n == 0 || ink_digits(text->at + sign, n, &digits) < n || digits > INT64_MAX)
            return ink_jinja_unsupported(run, "number in a str", text);
        a->value = ink_jinja_int(sign ? -(int64_t)digits : (int64_t)digits);
    }
    if (ink_jinja_integer(a->value, &integer))
        a->value = a->mode == 1 ? ink_jinja_float((double)integer) : ink_jinja_int(integer);
    else if (a->value.kind == INK_JINJA_UNDEFINED)
        return ink_jinja_wrong(run, a->self, "");
    else if (a->value.kind == INK_JINJA_FLOAT && a->mode == 0 && a->value.number > -9.2e18 && a->value.number < 9.2e18)
        a->value = ink_jinja_int((int64_t)a->value.number);
    else if (a->value.kind != INK_JINJA_FLOAT || a->mode == 0)
        a->value = a->v[0].kind != INK_JINJA_MISSING ? a->v[0] : a->mode == 1 ? ink_jinja_float(0) : ink_jinja_int(0);
    return INK_OK;
}

static ink_result builtin_abs(ink_jinja *run, arguments *a)
{
    int64_t integer;
    a->value = a->self;
    if (ink_jinja_integer(a->self, &integer) && integer != INT64_MIN)
        a->value = ink_jinja_int(integer < 0 ? -integer : integer);
    else if (a->value.kind == INK_JINJA_FLOAT)
        a->value.number = a->value.number < 0 ? -a->value.number : a->value.number + 0.0;
    else
        return ink_jinja_wrong(run, a->self, "has no absolute value");
    return INK_OK;
}

static ink_result builtin_round(ink_jinja *run, arguments *a)
{
    int64_t integer;
    const bool whole = ink_jinja_integer(a->self, &integer);
    if (a->s[1] != NULL && !ink_jinja_named(a->s[1], "common"))
        return ink_jinja_unsupported(run, "way to round", a->s[1]);
    if (!whole && a->self.kind != INK_JINJA_FLOAT)
        return ink_jinja_wrong(run, a->self, "is no number");
    a->value = ink_jinja_int(integer);
    if (whole && a->n[0] >= 0)
        return INK_OK;
    const double x = ink_jinja_round(whole ? (double)integer : a->self.number, a->n[0]);
    if (whole && !(x < 0x1p63))
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a number is beyond 64 bits");
    a->value = whole ? ink_jinja_int((int64_t)x) : ink_jinja_float(x);
    return INK_OK;
}

static ink_result builtin_tojson(ink_jinja *run, arguments *a)
{
    ink_jinja_style style = {.json = true, .ascii = ink_jinja_truth(a->v[0])};
    ink_jinja_value indent = a->v[1];
    ink_jinja_list pair;
    if (ink_jinja_truth(a->v[3]))
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "tojson with sort_keys is not supported");
    if (indent.kind > INK_JINJA_NONE) {
        INK_TRY(make_indent(run, &indent));
        style.indent = indent.text;
    }
    if (a->v[2].kind > INK_JINJA_NONE) {
        INK_TRY(ink_jinja_items(run, a->v[2], &pair));
        if (pair.n != 2 || pair.items[0].kind != INK_JINJA_TEXT || pair.items[1].kind != INK_JINJA_TEXT)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "tojson: separators are two str");
        style.item = pair.items[0].text;
        style.key = pair.items[1].text;
    }
    return ink_jinja_write_value(run, a->self, &style);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* The member of an item that a path names: "function.name", "0". */
static ink_result get_path(ink_jinja *run, ink_jinja_value item, ink_jinja_value path, ink_jinja_value otherwise,
                           ink_jinja_value *member)
{
    *member = item;
    if (path.kind != INK_JINJA_TEXT)
        return path.kind == INK_JINJA_INT ? ink_jinja_item(run, item, path, member) : INK_OK;
    for (size_t start = 0, stop; start <= path.text->size; start = stop + 1) {
        ink_jinja_value key;
        uint64_t index;
        const char *at = path.text->at + start, *dot = memchr(at, '.', path.text->size - start);
        stop = dot != NULL ? (size_t)(dot - path.text->at) : path.text->size;
        INK_TRY(ink_jinja_part(run, path.text, start, stop, &key));
        if (stop > start && ink_digits(at, stop - start, &index) == stop - start)
            key = ink_jinja_int((int64_t)(index & INT64_MAX));
        INK_TRY(ink_jinja_item(run, *member, key, member));
        if (member->kind == INK_JINJA_UNDEFINED && otherwise.kind != INK_JINJA_MISSING)
            *member = otherwise;
    }
    return INK_OK;
}

/* What items are compared by: a member, strings in lower case. */
static ink_result make_keys(ink_jinja *run, const ink_jinja_list *items, ink_jinja_value path, bool with_case,
                            ink_jinja_value **keys)
{
    INK_TRY(ink_jinja_new_values(run, items->n, keys));
    for (size_t i = 0; i < items->n; i++) {
        ink_jinja_value *key = &(*keys)[i];
        INK_TRY(get_path(run, items->items[i], path, (ink_jinja_value){0}, key));
        if (with_case || key->kind != INK_JINJA_TEXT)
            continue;
        const size_t from = run->n_out;
        INK_TRY(write_case(run, key->text, LOWER));
        INK_TRY(ink_jinja_cut(run, from, key));
    }
    return INK_OK;
}

/* The order of keys [n], smallest first or last; equal ones stay in their order. By insertion, within the bound of
   steps, because templates sort a few names. */
static ink_result sort_keys(ink_jinja *run, const ink_jinja_value *keys, size_t n, bool reverse, size_t **order)
{
    *order = ink_jinja_alloc(run, n, sizeof **order);
    if (*order == NULL)
        return ink_jinja_failed(run);
    for (size_t i = 0, k; i < n; i++) {
        for (k = i; k > 0; k--) {
            int sign;
            INK_TRY(ink_jinja_spend(run, 1));
            INK_TRY(ink_jinja_order(run, keys[(*order)[k - 1]], keys[i], &sign));
            if (sign != (reverse ? -1 : 1))
                break;
            (*order)[k] = (*order)[k - 1];
        }
        (*order)[k] = i;
    }
    return INK_OK;
}

enum { SORT, MIN, MAX };

static ink_result builtin_sort(ink_jinja *run, arguments *a)
{
    const size_t shift = a->mode == SORT, n = a->items.n; /* the parameters of sort begin with reverse */
    const bool reverse = a->mode == MAX || (a->mode == SORT && ink_jinja_truth(a->v[0]));
    ink_jinja_value *keys;
    size_t *order;
    INK_TRY(make_keys(run, &a->items, a->v[1 + shift], ink_jinja_truth(a->v[shift]), &keys));
    INK_TRY(sort_keys(run, keys, n, reverse, &order));
    if (a->mode != SORT)
        a->value = n > 0 ? a->items.items[order[0]] : (ink_jinja_value){.kind = INK_JINJA_UNDEFINED};
    for (size_t i = 0; i < n && a->mode == SORT; i++)
        INK_TRY(ink_jinja_push(run, a->items.items[order[i]]));
    return INK_OK;
}

static ink_result builtin_unique(ink_jinja *run, arguments *a)
{
    ink_jinja_value *keys;
    size_t n = 0; /* the keys that are kept come first */
    INK_TRY(make_keys(run, &a->items, a->v[1], ink_jinja_truth(a->v[0]), &keys));
    for (size_t i = 0; i < a->items.n; i++) {
        bool found = false;
        if (keys[i].kind == INK_JINJA_LIST || keys[i].kind == INK_JINJA_DICT)
            return ink_jinja_wrong(run, keys[i], "has no hash");
        for (size_t k = 0; k < n && !found; k++)
            INK_TRY(ink_jinja_equal(run, keys[k], keys[i], &found));
        if (found)
            continue;
        keys[n++] = keys[i];
        INK_TRY(ink_jinja_push(run, a->items.items[i]));
    }
    return INK_OK;
}

static ink_result push_pair(ink_jinja *run, ink_jinja_value first, ink_jinja_value second)
{
    const size_t from = run->n_stack;
    ink_jinja_value pair;
    INK_TRY(ink_jinja_push(run, first));
    INK_TRY(ink_jinja_push(run, second));
    INK_TRY(ink_jinja_gather(run, INK_JINJA_TUPLE, from, &pair));
    return ink_jinja_push(run, pair);
}

static ink_result builtin_dictsort(ink_jinja *run, arguments *a)
{
    const bool by_value = a->s[1] != NULL && ink_jinja_named(a->s[1], "value");
    ink_jinja_list compared;
    ink_jinja_value *items, *keys;
    size_t *order;
    if (a->self.kind != INK_JINJA_DICT)
        return ink_jinja_wrong(run, a->self, "has no keys");
    const ink_jinja_dict *dict = a->self.dict;
    INK_TRY(ink_jinja_new_values(run, dict->n, &items));
    for (size_t i = 0; i < dict->n; i++)
        items[i] = dict->pairs[2 * i + by_value];
    compared = (ink_jinja_list){items, dict->n};
    INK_TRY(make_keys(run, &compared, ink_jinja_none(), ink_jinja_truth(a->v[0]), &keys));
    INK_TRY(sort_keys(run, keys, dict->n, ink_jinja_truth(a->v[2]), &order));
    for (size_t i = 0; i < dict->n; i++)
        INK_TRY(push_pair(run, dict->pairs[2 * order[i]], dict->pairs[2 * order[i] + 1]));
    return INK_OK;
}

static ink_result builtin_groupby(ink_jinja *run, arguments *a)
{
    const ink_jinja_list *items = &a->items;
    ink_jinja_value *keys, name, group;
    size_t *order;
    INK_TRY(make_keys(run, items, a->v[0], false, &keys));
    INK_TRY(sort_keys(run, keys, items->n, false, &order));
    for (size_t i = 0; i < items->n;) {
        const size_t first = order[i], stack = run->n_stack;
        for (bool equal = true; equal && i < items->n; i += equal) {
            INK_TRY(ink_jinja_equal(run, keys[first], keys[order[i]], &equal));
            if (equal)
                INK_TRY(ink_jinja_push(run, items->items[order[i]]));
        }
        INK_TRY(ink_jinja_gather(run, INK_JINJA_LIST, stack, &group));
        INK_TRY(get_path(run, items->items[first], a->v[0], (ink_jinja_value){0}, &name));
        INK_TRY(push_pair(run, name, group));
    }
    return INK_OK;
}

enum { REJECTS = 1, BY_MEMBER = 2, MAPS = 4 };

/* select(test, ...), selectattr(attribute, test, ...), map(filter, ...), map(attribute=..., default=...) */
static ink_result builtin_select(ink_jinja *run, arguments *a)
{
    const size_t by_member = (a->mode & BY_MEMBER) != 0;
    const bool maps = a->mode == MAPS;
    ink_jinja_call inner = *a->call;
    ink_jinja_value path = {.kind = INK_JINJA_NONE}, otherwise = {.kind = INK_JINJA_MISSING};
    ink_jinja_list items;
    const ink_jinja_string *name = NULL;
    INK_TRY(ink_jinja_items(run, a->self, &items));
    if (by_member && inner.n_args > 0)
        path = inner.args[0];
    for (size_t i = 0; maps && inner.n_args == 0 && i < inner.n_keywords; i++)
        *(ink_jinja_named(inner.keywords[2 * i].text, "attribute") ? &path : &otherwise) = inner.keywords[2 * i + 1];
    if (inner.n_args > by_member) {
        if (inner.args[by_member].kind != INK_JINJA_TEXT)
            return ink_jinja_wrong(run, inner.args[by_member], NO_STR);
        name = inner.args[by_member].text;
        inner.args += by_member + 1;
        inner.n_args -= by_member + 1;
    }
    if (name == NULL && (maps || by_member) && path.kind == INK_JINJA_NONE)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "the name of a member or filter is missing");
    if (++run->nested > MOST_NESTED)
        return ink_fail(run->ctx, INK_ERROR_LIMIT, "filters in filters deeper than %d", MOST_NESTED);
    for (size_t i = 0; i < items.n; i++) {
        INK_TRY(get_path(run, items.items[i], path, otherwise, &inner.self));
        bool truth = ink_jinja_truth(inner.self);
        ink_jinja_value made = maps ? inner.self : items.items[i];
        if (name != NULL)
            INK_TRY(maps ? ink_jinja_filter(run, name, &inner, &made) : ink_jinja_test(run, name, &inner, &truth));
        if (maps || truth == ((a->mode & REJECTS) == 0))
            INK_TRY(ink_jinja_push(run, made));
    }
    run->nested--;
    return INK_OK;
}

enum { FIRST, LAST, LIST, LENGTH };

static ink_result builtin_sequence(ink_jinja *run, arguments *a)
{
    const size_t n = a->items.n;
    if (a->mode == LIST)
        return ink_jinja_new_list(run, INK_JINJA_LIST, a->items.items, n, &a->value);
    a->value = a->mode == LENGTH ? ink_jinja_int((int64_t)n)
               : n == 0          ? (ink_jinja_value){.kind = INK_JINJA_UNDEFINED}
                                 : a->items.items[a->mode == FIRST ? 0 : n - 1];
    return INK_OK;
}

static ink_result builtin_reverse(ink_jinja *run, arguments *a)
{
    const bool text = a->self.kind == INK_JINJA_TEXT;
    const size_t from = run->n_out;
    for (size_t i = a->items.n; i-- > 0;)
        INK_TRY(text ? ink_jinja_print(run, a->items.items[i]) : ink_jinja_push(run, a->items.items[i]));
    return text ? ink_jinja_cut(run, from, &a->value) : INK_OK;
}

/* The filter joins its items; as a method (mode 1) the string joins its argument. */
static ink_result builtin_join(ink_jinja *run, arguments *a)
{
    const bool method = a->mode == 1;
    ink_jinja_list items;
    INK_TRY(ink_jinja_items(run, method ? a->v[0] : a->self, &items));
    for (size_t i = 0; i < items.n; i++) {
        ink_jinja_value item = items.items[i];
        if (i > 0 && (method || a->v[0].kind != INK_JINJA_MISSING))
            INK_TRY(ink_jinja_print(run, method ? a->self : a->v[0]));
        if (method && item.kind != INK_JINJA_TEXT)
            return ink_jinja_wrong(run, item, NO_STR);
        if (!method)
            INK_TRY(get_path(run, item, a->v[1], (ink_jinja_value){0}, &item));
        INK_TRY(ink_jinja_print(run, item));
    }
    return INK_OK;
}

static ink_result builtin_sum(ink_jinja *run, arguments *a)
{
    ink_jinja_value item;
    a->value = a->v[1].kind != INK_JINJA_MISSING ? a->v[1] : ink_jinja_int(0);
    for (size_t i = 0; i < a->items.n; i++) {
        INK_TRY(get_path(run, a->items.items[i], a->v[0], (ink_jinja_value){0}, &item));
        INK_TRY(ink_jinja_binary(run, INK_JINJA_ADD, a->value, item, &a->value));
    }
    return INK_OK;
}

static ink_result builtin_batch(ink_jinja *run, arguments *a)
{
    ink_jinja_value row;
    for (size_t i = 0; i < a->items.n;) {
        const size_t from = run->n_stack;
        int64_t n = 0;
        for (; i < a->items.n && (n < a->n[0] || n == 0); n++)
            INK_TRY(ink_jinja_push(run, a->items.items[i++]));
        for (; n < a->n[0] && a->v[1].kind > INK_JINJA_NONE; n++)
            INK_TRY(ink_jinja_push(run, a->v[1]));
        INK_TRY(ink_jinja_gather(run, INK_JINJA_LIST, from, &row));
        INK_TRY(ink_jinja_push(run, row));
    }
    return INK_OK;
}

/* ---- dicts and loops --------------------------------------------------------------------------------------------- */

enum { KEYS, VALUES, PAIRS };

static ink_result builtin_pairs(ink_jinja *run, arguments *a)
{
    if (a->self.kind != INK_JINJA_DICT && a->self.kind != INK_JINJA_UNDEFINED)
        return ink_jinja_wrong(run, a->self, "has no items");
    for (size_t i = 0; a->self.kind == INK_JINJA_DICT && i < a->self.dict->n; i++) {
        const ink_jinja_value *pair = &a->self.dict->pairs[2 * i];
        INK_TRY(a->mode == PAIRS ? push_pair(run, pair[0], pair[1]) : ink_jinja_push(run, pair[a->mode == VALUES]));
    }
    return INK_OK;
}

static ink_result builtin_get(ink_jinja *run, arguments *a)
{
    ink_jinja_value found;
    INK_TRY(ink_jinja_binary(run, INK_JINJA_IN, a->v[0], a->self, &found));
    if (found.truth)
        return ink_jinja_item(run, a->self, a->v[0], &a->value);
    a->value = a->v[1].kind != INK_JINJA_MISSING ? a->v[1] : ink_jinja_none();
    return INK_OK;
}

static ink_result builtin_changed(ink_jinja *run, arguments *a)
{
    const size_t from = run->n_stack;
    ink_jinja_value now, *before = &a->self.loop->changed;
    bool equal;
    for (size_t i = 0; i < a->call->n_args; i++)
        INK_TRY(ink_jinja_push(run, a->call->args[i]));
    INK_TRY(ink_jinja_gather(run, INK_JINJA_TUPLE, from, &now));
    INK_TRY(ink_jinja_equal(run, *before, now, &equal));
    *before = now;
    a->value = ink_jinja_bool(!equal);
    return INK_OK;
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

static ink_result builtin_raise(ink_jinja *run, arguments *a)
{
    INK_TRY(ink_jinja_to_text(run, a->v[0], &a->value));
    return ink_fail(run->ctx, INK_ERROR_ARGUMENT, "the template refuses the messages: %.*s",
                    (int)ink_size_min(a->value.text->size, 200), a->value.text->at);
}

static ink_result builtin_strftime(ink_jinja *run, arguments *a) { return ink_jinja_strftime(run, a->s[0]); }

static ink_result builtin_range(ink_jinja *run, arguments *a)
{
    const bool both = a->v[1].kind != INK_JINJA_MISSING;
    const int64_t stop = a->n[both], step = a->n[2];
    if (step == 0)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "the step of a range is 0");
    for (int64_t i = both ? a->n[0] : 0; step > 0 ? i < stop : i > stop; i += step) {
        INK_TRY(ink_jinja_spend(run, 1));
        INK_TRY(ink_jinja_push(run, ink_jinja_int(i)));
        if (step > 0 ? i > INT64_MAX - step : i < INT64_MIN - step)
            break;
    }
    return INK_OK;
}

/* dict and namespace: from a dict and keywords. */
static ink_result builtin_dict(ink_jinja *run, arguments *a)
{
    const ink_jinja_call *call = a->call;
    INK_TRY(ink_jinja_new_dict(run, (ink_jinja_kind)a->mode, 0, &a->value));
    if (call->n_args > 1 || (call->n_args == 1 && call->args[0].kind != INK_JINJA_DICT))
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "dict and namespace support a dict and keywords alone");
    const ink_jinja_dict *first = call->n_args == 1 ? call->args[0].dict : NULL;
    for (size_t i = 0; first != NULL && i < first->n; i++)
        INK_TRY(ink_jinja_put_pair(run, a->value.dict, first->pairs[2 * i], first->pairs[2 * i + 1]));
    for (size_t i = 0; i < call->n_keywords; i++)
        INK_TRY(ink_jinja_put_pair(run, a->value.dict, call->keywords[2 * i], call->keywords[2 * i + 1]));
    return INK_OK;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* The mode has a bit for each kind that passes. */
static ink_result test_kind(ink_jinja *run, arguments *a)
{
    (void)run;
    a->value = ink_jinja_bool((a->mode >> a->self.kind & 1) != 0);
    return INK_OK;
}

/* true and false */
static ink_result test_truth(ink_jinja *run, arguments *a)
{
    (void)run;
    a->value = ink_jinja_bool(a->self.kind == INK_JINJA_BOOL && a->self.truth == (a->mode == 1));
    return INK_OK;
}

/* even, odd, and divisibleby as mode 2 */
static ink_result test_remainder(ink_jinja *run, arguments *a)
{
    const ink_jinja_value by = a->mode == 2 ? a->v[0] : ink_jinja_int(2);
    INK_TRY(ink_jinja_binary(run, INK_JINJA_MOD, a->self, by, &a->value));
    return ink_jinja_binary(run, INK_JINJA_EQ, a->value, ink_jinja_int(a->mode == 1), &a->value);
}

static ink_result test_compare(ink_jinja *run, arguments *a)
{
    return ink_jinja_binary(run, (ink_jinja_operator)a->mode, a->self, a->v[0], &a->value);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

enum {
    K_UNDEFINED = 1 << INK_JINJA_UNDEFINED,
    K_ALL = (1 << (INK_JINJA_FUNCTION + 1)) - 1,
    K_NUMBER = 1 << INK_JINJA_BOOL | 1 << INK_JINJA_INT | 1 << INK_JINJA_FLOAT,
    K_SEQUENCE = 1 << INK_JINJA_TEXT | 1 << INK_JINJA_LIST | 1 << INK_JINJA_TUPLE | 1 << INK_JINJA_DICT | K_UNDEFINED,
    K_CALLABLE = 1 << INK_JINJA_LOOP | 1 << INK_JINJA_MACRO | 1 << INK_JINJA_FUNCTION | K_UNDEFINED
};

static const builtin_row rows[] = {
    {"dict", builtin_dict, "*", INK_JINJA_DICT, FUNCTION, VALUE},
    {"namespace", builtin_dict, "*", INK_JINJA_NAMESPACE, FUNCTION, VALUE},
    {"raise_exception", builtin_raise, ".message", 0, FUNCTION, VALUE},
    {"range", builtin_range, "#start #stop? #step=1", 0, FUNCTION, ITEMS},
    {"strftime_now", builtin_strftime, "$format", 0, FUNCTION, STRING},
    {"abs", builtin_abs, "", 0, FILTER, VALUE},
    {"batch", builtin_batch, "@@ #linecount .fill_with?", 0, FILTER, ITEMS},
    {"capitalize", builtin_case, "$$", CAPITALIZE, FILTER | OF_TEXT, STRING},
    {"count length", builtin_sequence, "@@", LENGTH, FILTER, VALUE},
    {"d default", builtin_default, ".default_value? !boolean?", 0, FILTER, VALUE},
    {"dictsort", builtin_dictsort, "!case_sensitive? $by? !reverse?", 0, FILTER, ITEMS},
    {"first", builtin_sequence, "@@", FIRST, FILTER, VALUE},
    {"float", builtin_number, ".default? #base=10", 1, FILTER, VALUE},
    {"groupby", builtin_groupby, "@@ .attribute", 0, FILTER, ITEMS},
    {"indent", builtin_indent, "$$ .width? !first? !blank?", 0, FILTER, STRING},
    {"int", builtin_number, ".default? #base=10", 0, FILTER, VALUE},
    {"items", builtin_pairs, "", PAIRS, FILTER | OF_DICT, ITEMS},
    {"join", builtin_join, ".d? .attribute?", 0, FILTER, STRING},
    {"last", builtin_sequence, "@@", LAST, FILTER, VALUE},
    {"list", builtin_sequence, "@@", LIST, FILTER, VALUE},
    {"lower", builtin_case, "$$", LOWER, FILTER | OF_TEXT, STRING},
    {"map", builtin_select, "*", MAPS, FILTER, ITEMS},
    {"max", builtin_sort, "@@ !case_sensitive? .attribute?", MAX, FILTER, ITEMS},
    {"min", builtin_sort, "@@ !case_sensitive? .attribute?", MIN, FILTER, ITEMS},
    {"reject", builtin_select, "*", REJECTS, FILTER, ITEMS},
    {"rejectattr", builtin_select, "*", REJECTS | BY_MEMBER, FILTER, ITEMS},
    {"replace", builtin_replace, "$$ .old .new #count=-1", 1, FILTER, STRING},
    {"reverse", builtin_reverse, "@@", 0, FILTER, ITEMS},
    {"round", builtin_round, "#precision=0 $method?", 0, FILTER, VALUE},
    {"safe", builtin_string, "", 1, FILTER, VALUE},
    {"select", builtin_select, "*", 0, FILTER, ITEMS},
    {"selectattr", builtin_select, "*", BY_MEMBER, FILTER, ITEMS},
    {"sort", builtin_sort, "@@ !reverse? !case_sensitive? .attribute?", SORT, FILTER, ITEMS},
    {"string", builtin_string, "", 0, FILTER, VALUE},
    {"sum", builtin_sum, "@@ .attribute? .start?", 0, FILTER, VALUE},
    {"title", builtin_case, "$$", TITLE_FILTER, FILTER, STRING},
    {"tojson", builtin_tojson, "!ensure_ascii? .indent? .separators? !sort_keys?", 0, FILTER, STRING},
    {"trim", builtin_strip, "$$ $chars?", STRIP_LEFT | STRIP_RIGHT, FILTER, VALUE},
    {"truncate", builtin_truncate, "$$ #length=255 !killwords?", 0, FILTER, STRING},
    {"unique", builtin_unique, "@@ !case_sensitive? .attribute?", 0, FILTER, ITEMS},
    {"upper", builtin_case, "$$", UPPER, FILTER | OF_TEXT, STRING},
    {"wordcount", builtin_wordcount, "$$", 0, FILTER, VALUE},
    {"boolean", test_kind, "", 1 << INK_JINJA_BOOL, TEST, VALUE},
    {"callable", test_kind, "", K_CALLABLE, TEST, VALUE},
    {"defined", test_kind, "", K_ALL - K_UNDEFINED, TEST, VALUE},
    {"divisibleby", test_remainder, ".num", 2, TEST, VALUE},
    {"even", test_remainder, "", 0, TEST, VALUE},
    {"false", test_truth, "", 0, TEST, VALUE},
    {"float", test_kind, "", 1 << INK_JINJA_FLOAT, TEST, VALUE},
    {"integer", test_kind, "", 1 << INK_JINJA_INT, TEST, VALUE},
    {"iterable", test_kind, "", K_SEQUENCE | 1 << INK_JINJA_LOOP, TEST, VALUE},
    {"mapping", test_kind, "", 1 << INK_JINJA_DICT, TEST, VALUE},
    {"none", test_kind, "", 1 << INK_JINJA_NONE, TEST, VALUE},
    {"number", test_kind, "", K_NUMBER, TEST, VALUE},
    {"odd", test_remainder, "", 1, TEST, VALUE},
    {"sequence", test_kind, "", K_SEQUENCE, TEST, VALUE},
    {"string", test_kind, "", 1 << INK_JINJA_TEXT, TEST, VALUE},
    {"true", test_truth, "", 1, TEST, VALUE},
    {"undefined", test_kind, "", K_UNDEFINED, TEST, VALUE},
    {"== eq equalto", test_compare, ".other", INK_JINJA_EQ, TEST, VALUE},
    {"!= ne", test_compare, ".other", INK_JINJA_NE, TEST, VALUE},
    {"< lt", test_compare, ".other", INK_JINJA_LT, TEST, VALUE},
    {"<= le", test_compare, ".other", INK_JINJA_LE, TEST, VALUE},
    {"> gt", test_compare, ".other", INK_JINJA_GT, TEST, VALUE},
    {">= ge", test_compare, ".other", INK_JINJA_GE, TEST, VALUE},
    {"in", test_compare, ".other", INK_JINJA_IN, TEST, VALUE},
    {"endswith", builtin_affix, "$$ .suffix", 1, OF_TEXT, VALUE},
    {"find", builtin_find, "$$ $sub", 0, OF_TEXT, VALUE},
    {"format", builtin_format, "*", 0, OF_TEXT, STRING},
    {"join", builtin_join, ".iterable", 1, OF_TEXT, STRING},
    {"lstrip", builtin_strip, "$$ $chars?", STRIP_LEFT, OF_TEXT, VALUE},
    {"replace", builtin_replace, "$$ .old .new #count=-1", 0, OF_TEXT, STRING},
    {"rstrip", builtin_strip, "$$ $chars?", STRIP_RIGHT, OF_TEXT, VALUE},
    {"split", builtin_split, "$$ $sep? #maxsplit=-1", 0, OF_TEXT, ITEMS},
    {"splitlines", builtin_splitlines, "$$", 0, OF_TEXT, ITEMS},
    {"startswith", builtin_affix, "$$ .prefix", 0, OF_TEXT, VALUE},
    {"strip", builtin_strip, "$$ $chars?", STRIP_LEFT | STRIP_RIGHT, OF_TEXT, VALUE},
    {"title", builtin_case, "$$", TITLE, OF_TEXT, STRING},
    {"get", builtin_get, ".key .default?", 0, OF_DICT, VALUE},
    {"keys", builtin_pairs, "", KEYS, OF_DICT, ITEMS},
    {"values", builtin_pairs, "", VALUES, OF_DICT, ITEMS},
    {"changed", builtin_changed, "*", 0, OF_LOOP, VALUE},
};

/* What Jinja2 or Python knows besides, and what would change a value. Other names of members are undefined. */
static const struct {
    uint8_t role;
    const char *what, *names;
} absent[] = {
    {FUNCTION, "function", "cycler joiner lipsum"},
    {OF_TEXT, "method of a str",
     "casefold center count encode expandtabs format_map index isalnum isalpha isascii isdecimal isdigit isidentifier "
     "islower isnumeric isprintable isspace istitle isupper ljust maketrans partition removeprefix removesuffix rfind "
     "rindex rjust rpartition rsplit swapcase translate zfill"},
    {OF_LIST, "method of a list", "append clear copy count extend grouper index insert list pop remove reverse sort"},
    {OF_DICT, "method of a dict", "clear copy fromkeys pop popitem setdefault update"},
    {OF_LOOP, "member of a loop", "cycle depth depth0"},
};

static bool is_listed(const char *words, const ink_jinja_string *name)
{
    for (;;) {
        const char *space = strchr(words, ' ');
        const size_t size = space != NULL ? (size_t)(space - words) : strlen(words);
        if (size == name->size && memcmp(words, name->at, size) == 0)
            return true;
        if (space == NULL)
            return false;
        words = space + 1;
    }
}

static const builtin_row *find_builtin(unsigned role, const ink_jinja_string *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if ((rows[i].roles & role) != 0 && is_listed(rows[i].names, name))
            return &rows[i];
    return NULL;
}

/* The role of a function, or of methods of this kind of value. */
static const uint8_t roles[INK_JINJA_FUNCTION + 1] = {
    [INK_JINJA_MISSING] = FUNCTION, [INK_JINJA_TEXT] = OF_TEXT, [INK_JINJA_LIST] = OF_LIST,
    [INK_JINJA_TUPLE] = OF_LIST,    [INK_JINJA_DICT] = OF_DICT, [INK_JINJA_LOOP] = OF_LOOP};

ink_result ink_jinja_lookup(ink_jinja *run, ink_jinja_value of, const ink_jinja_string *name, ink_jinja_value *function)
{
    const uint8_t role = roles[of.kind];
    const builtin_row *row = find_builtin(role, name);
    *function = (ink_jinja_value){.kind = INK_JINJA_UNDEFINED, .text = name};
    for (size_t i = 0; row == NULL && i < sizeof absent / sizeof *absent; i++)
        if (absent[i].role == role && is_listed(absent[i].names, name))
            return ink_jinja_unsupported(run, absent[i].what, name);
    if (row == NULL)
        return INK_OK;
    if (role == OF_TEXT && of.which == INK_JINJA_SAFE)
        return ink_jinja_unsupported(run, "method of text behind the filter safe", name);
    *function = (ink_jinja_value){.kind = INK_JINJA_FUNCTION, .which = (uint32_t)(row - rows), .object = of.object};
    return INK_OK;
}

static ink_result call_row(ink_jinja *run, const builtin_row *row, const ink_jinja_call *call, ink_jinja_value *value)
{
    const size_t stack = run->n_stack, out = run->n_out;
    arguments a;
    INK_TRY(bind_arguments(run, row, call, &a));
    INK_TRY(row->function(run, &a));
    *value = a.value;
    if (value->kind != INK_JINJA_MISSING)
        return INK_OK;
    return row->makes == ITEMS ? ink_jinja_gather(run, INK_JINJA_LIST, stack, value) : ink_jinja_cut(run, out, value);
}

ink_result ink_jinja_apply(ink_jinja *run, ink_jinja_value function, ink_jinja_call *call, ink_jinja_value *value)
{
    const builtin_row *row = &rows[function.which];
    const ink_jinja_kind kind = (row->roles & OF_TEXT) != 0   ? INK_JINJA_TEXT
                                : (row->roles & OF_DICT) != 0 ? INK_JINJA_DICT
                                                              : INK_JINJA_LOOP;
    call->self = (ink_jinja_value){.kind = kind, .object = function.object};
    return call_row(run, row, call, value);
}

ink_result ink_jinja_filter(ink_jinja *run, const ink_jinja_string *name, const ink_jinja_call *call,
                            ink_jinja_value *value)
{
    const builtin_row *row = find_builtin(FILTER, name);
    const bool safe = call->self.kind == INK_JINJA_TEXT && call->self.which == INK_JINJA_SAFE;
    if (row == NULL)
        return ink_jinja_unsupported(run, "filter", name);
    if (safe && row->function != builtin_string && row->function != builtin_tojson && row->function != builtin_sequence)
        return ink_jinja_unsupported(run, "filter behind the filter safe", name);
    return call_row(run, row, call, value);
}

ink_result ink_jinja_test(ink_jinja *run, const ink_jinja_string *name, const ink_jinja_call *call, bool *truth)
{
    const builtin_row *row = find_builtin(TEST, name);
    ink_jinja_value value;
    if (row == NULL)
        return ink_jinja_unsupported(run, "test", name);
    INK_TRY(call_row(run, row, call, &value));
    *truth = value.truth;
    return INK_OK;
}
