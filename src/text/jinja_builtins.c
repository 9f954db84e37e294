/*
 * jinja_builtins.c - the filters, tests, methods and functions of templates.
 *
 * Each table has a row for a name: the function, the names of its parameters in order, and a mode for functions that
 * serve several names. A call is bound to the parameters before the function runs. "*": the function looks at the call
 * itself.
 */
#include <string.h>

#include "jinja.h"
#include "unicode.h"

#define MOST_PARAMETERS 6
#define MOST_NESTED 3 /* map('map', ...) */

typedef struct arguments {
    const ink_jinja_call *call;
    ink_jinja_value self;
    ink_jinja_value v[MOST_PARAMETERS]; /* MISSING: not given */
    int mode;
} arguments;

typedef ink_result (*builtin_fn)(ink_jinja *run, const arguments *a, ink_jinja_value *value);

typedef struct builtin_row {
    const char *name;
    builtin_fn function;
    const char *parameters;
    int mode;
} builtin_row;

/* ---- arguments -------------------------------------------------------------------------------------------------- */

/* The next word of a list; its size is 0 at the end. */
static size_t next_parameter(const char **words)
{
    size_t size = 0;
    while (**words == ' ')
        ++*words;
    while ((*words)[size] != ' ' && (*words)[size] != '\0')
        size++;
    return size;
}

static ink_result bind_arguments(ink_jinja *run, const builtin_row *row, const ink_jinja_call *call, arguments *a)
{
    *a = (arguments){.call = call, .self = call->self, .mode = row->mode};
    if (row->parameters[0] == '*')
        return INK_OK;
    size_t n = 0, bound = 0, size;
    for (const char *word = row->parameters; (size = next_parameter(&word)) > 0; word += size, n++) {
        if (n < call->n_args)
            a->v[n] = call->args[n];
        for (size_t i = 0; i < call->n_keywords; i++)
            if (call->keywords[2 * i].text->size == size && memcmp(call->keywords[2 * i].text->at, word, size) == 0) {
                a->v[n] = call->keywords[2 * i + 1];
                bound += n >= call->n_args;
            }
    }
    if (call->n_args > n || bound < call->n_keywords)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "%s has the parameters (%s), and gets others", row->name,
                        row->parameters);
    return INK_OK;
}

static bool given(const arguments *a, size_t i)
{
    return a->v[i].kind != INK_JINJA_MISSING && a->v[i].kind != INK_JINJA_NONE;
}

static ink_result need_integer(ink_jinja *run, const arguments *a, size_t i, int64_t otherwise, int64_t *integer)
{
    *integer = a->v[i].kind == INK_JINJA_BOOL ? a->v[i].truth : a->v[i].integer;
    if (a->v[i].kind == INK_JINJA_INT || a->v[i].kind == INK_JINJA_BOOL)
        return INK_OK;
    *integer = otherwise;
    if (!given(a, i))
        return INK_OK;
    if (a->v[i].kind == INK_JINJA_UNDEFINED)
        return ink_jinja_undefined(run, a->v[i]);
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "an argument is to be a number, found a value of type %s",
                    ink_jinja_kind_name(a->v[i]));
}

static ink_result need_text(ink_jinja *run, ink_jinja_value value, const ink_jinja_string **text)
{
    *text = value.text;
    if (value.kind == INK_JINJA_TEXT)
        return INK_OK;
    if (value.kind == INK_JINJA_UNDEFINED)
        return ink_jinja_undefined(run, value);
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "an argument is to be a str, found a value of type %s",
                    ink_jinja_kind_name(value));
}

static ink_result wrong_kind(ink_jinja *run, ink_jinja_value value, const char *what)
{
    if (value.kind == INK_JINJA_UNDEFINED)
        return ink_jinja_undefined(run, value);
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a value of type %s has no %s", ink_jinja_kind_name(value), what);
}

/* self as a string, as soft_str of Jinja2 makes it. */
static ink_result self_text(ink_jinja *run, const arguments *a, const ink_jinja_string **text)
{
    ink_jinja_value value;
    INK_TRY(ink_jinja_to_text(run, a->self, &value));
    *text = value.text;
    return INK_OK;
}

/* ---- lists in the making ---------------------------------------------------------------------------------------- */

typedef struct vector {
    ink_jinja_value *items;
    size_t n, room;
} vector;

static ink_result vector_add(ink_jinja *run, vector *list, ink_jinja_value value)
{
    if (value.kind == INK_JINJA_MISSING)
        return ink_jinja_failed(run);
    INK_TRY(ink_jinja_spend(run, 1));
    if (list->n == list->room) {
        size_t room = ink_size_max(8, 2 * list->room);
        ink_jinja_value *items = ink_jinja_alloc(run, room, sizeof *items);
        if (items == NULL)
            return ink_jinja_failed(run);
        if (list->n > 0)
            memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        list->room = room;
    }
    list->items[list->n++] = value;
    return INK_OK;
}

static ink_result finish_list(ink_jinja *run, ink_jinja_kind kind, const ink_jinja_value *items, size_t n,
                              ink_jinja_value *value)
{
    *value = ink_jinja_new_list(run, kind, items, n);
    return value->kind != INK_JINJA_MISSING ? INK_OK : ink_jinja_failed(run);
}

static ink_result make_pair(ink_jinja *run, ink_jinja_value first, ink_jinja_value second, ink_jinja_value *pair)
{
    ink_jinja_value *items = ink_jinja_alloc(run, 2, sizeof *items);
    if (items == NULL)
        return ink_jinja_failed(run);
    items[0] = first;
    items[1] = second;
    return finish_list(run, INK_JINJA_TUPLE, items, 2, pair);
}

/* ---- strings: case, ends, parts ---------------------------------------------------------------------------------- */

enum { UPPER, LOWER, TITLE, CAPITALIZE, TITLE_FILTER, SWAP };

static ink_result change_case(ink_jinja *run, const ink_jinja_string *text, int mode, ink_jinja_value *value)
{
    size_t from = run->n_out, length;
    bool inside = false; /* a word has begun */
    for (size_t at = 0; at < text->size; at += length) {
        uint32_t code, changed;
        char bytes[8];
        length = ink_utf8_next(text->at + at, text->size - at, &code);
        bool is_lower = ink_unicode_upper(code) != code, cased = is_lower || ink_unicode_lower(code) != code;
        bool up = mode == UPPER || (mode == SWAP ? is_lower : mode != LOWER && !inside);
        changed = up ? ink_unicode_upper(code) : ink_unicode_lower(code);
        size_t n = changed < INK_UTF8_INVALID ? ink_utf8_put(bytes, changed) : 0;
        if (up && code == 0xDF) { /* the upper case of this letter is two */
            bytes[0] = 'S';
            bytes[1] = mode == UPPER || mode == SWAP ? 'S' : 's';
        }
        if (changed == code && !(up && code == 0xDF))
            INK_TRY(ink_jinja_write_string(run, text, at, at + length));
        else
            INK_TRY(ink_jinja_write(run, bytes, n, text->data != NULL ? text->data[at] != 0 : text->is_data));
        inside = mode == TITLE ? cased
                 : mode == TITLE_FILTER
                     ? !(code < 0x80 && code != 0 && strchr("-({[<", (int)code) != NULL) && !ink_jinja_is_space(code)
                     : true;
    }
    return ink_jinja_cut(run, from, value);
}

static ink_result builtin_case(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text;
    INK_TRY(self_text(run, a, &text));
    return change_case(run, text, a->mode, value);
}

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

static ink_result builtin_strip(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text, *characters = NULL;
    size_t start = 0, stop, length, steps = 1;
    uint32_t code;
    INK_TRY(self_text(run, a, &text));
    if (given(a, 0))
        INK_TRY(need_text(run, a->v[0], &characters));
    if (characters != NULL)
        steps += characters->size / 4;
    for (stop = text->size; (a->mode & 1) != 0 && start < stop; start += length) {
        INK_TRY(ink_jinja_spend(run, steps));
        length = ink_utf8_next(text->at + start, stop - start, &code);
        if (!is_stripped(characters, text->at + start, length, code))
            break;
    }
    for (; (a->mode & 2) != 0 && stop > start; stop -= length) {
        INK_TRY(ink_jinja_spend(run, steps));
        length = ink_utf8_last(text->at + start, stop - start, &code);
        if (!is_stripped(characters, text->at + stop - length, length, code))
            break;
    }
    return ink_jinja_part(run, text, start, stop, value);
}

static ink_result split_spaces(ink_jinja *run, const ink_jinja_string *text, int64_t most, bool last, vector *parts)
{
    size_t start = 0, stop = text->size, at, length;
    uint32_t code;
    ink_jinja_value part;
    for (;;) { /* one part from the left, or from the right */
        while (!last && start < stop) {
            length = ink_utf8_next(text->at + start, stop - start, &code);
            if (!ink_jinja_is_space(code))
                break;
            start += length;
        }
        while (last && start < stop) {
            length = ink_utf8_last(text->at + start, stop - start, &code);
            if (!ink_jinja_is_space(code))
                break;
            stop -= length;
        }
        if (start == stop)
            return INK_OK;
        at = last ? stop : start;
        while (most != 0 && (last ? at > start : at < stop)) {
            length = last ? ink_utf8_last(text->at + start, at - start, &code)
                          : ink_utf8_next(text->at + at, stop - at, &code);
            if (ink_jinja_is_space(code))
                break;
            at = last ? at - length : at + length;
        }
        if (most == 0) { /* the rest, without the spaces at its end */
            INK_TRY(ink_jinja_part(run, text, start, stop, &part));
            return vector_add(run, parts, part);
        }
        INK_TRY(ink_jinja_part(run, text, last ? at : start, last ? stop : at, &part));
        INK_TRY(vector_add(run, parts, part));
        start = last ? start : at;
        stop = last ? at : stop;
        most -= most > 0;
    }
}

static void reverse_items(ink_jinja_value *items, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        ink_jinja_value item = items[i];
        items[i] = items[n - 1 - i];
        items[n - 1 - i] = item;
    }
}

static ink_result builtin_split(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text = a->self.text, *by = NULL;
    const bool last = a->mode != 0;
    size_t start = 0, stop = text->size, at;
    int64_t most;
    vector parts = {0};
    ink_jinja_value part;
    INK_TRY(need_integer(run, a, 1, -1, &most));
    INK_TRY(ink_jinja_spend(run, 1 + text->size / 4));
    if (!given(a, 0)) {
        INK_TRY(split_spaces(run, text, most, last, &parts));
    } else {
        INK_TRY(need_text(run, a->v[0], &by));
        if (by->size == 0)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "split by an empty str");
        for (; most != 0; most -= most > 0) {
            INK_TRY(ink_jinja_place(run, text, start, stop, by, last, &at));
            if (at == SIZE_MAX)
                break;
            INK_TRY(ink_jinja_part(run, text, last ? at + by->size : start, last ? stop : at, &part));
            INK_TRY(vector_add(run, &parts, part));
            start = last ? start : at + by->size;
            stop = last ? at : stop;
        }
        INK_TRY(ink_jinja_part(run, text, start, stop, &part));
        INK_TRY(vector_add(run, &parts, part));
    }
    if (last)
        reverse_items(parts.items, parts.n);
    return finish_list(run, INK_JINJA_LIST, parts.items, parts.n, value);
}

static bool ends_line(uint32_t code)
{
    return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 || code == 0x2028 ||
           code == 0x2029;
}

static ink_result split_lines(ink_jinja *run, const ink_jinja_string *text, bool keep, vector *lines)
{
    ink_jinja_value line;
    uint32_t code;
    for (size_t start = 0, at = 0; at < text->size;) {
        size_t end = at, length = ink_utf8_next(text->at + at, text->size - at, &code);
        at += length;
        if (at < text->size && !ends_line(code))
            continue;
        if (code == '\r' && at < text->size && text->at[at] == '\n')
            at++;
        end = ends_line(code) && !keep ? end : at;
        INK_TRY(ink_jinja_part(run, text, start, end, &line));
        INK_TRY(vector_add(run, lines, line));
        start = at;
    }
    return INK_OK;
}

static ink_result builtin_splitlines(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    vector lines = {0};
    INK_TRY(split_lines(run, a->self.text, ink_jinja_truth(a->v[0]), &lines));
    return finish_list(run, INK_JINJA_LIST, lines.items, lines.n, value);
}

static ink_result builtin_partition(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text = a->self.text, *by;
    ink_jinja_value *parts = ink_jinja_alloc(run, 3, sizeof *parts);
    if (parts == NULL)
        return ink_jinja_failed(run);
    INK_TRY(need_text(run, a->v[0], &by));
    size_t at;
    INK_TRY(ink_jinja_place(run, text, 0, text->size, by, a->mode != 0, &at));
    size_t cut = at != SIZE_MAX ? at : a->mode != 0 ? 0 : text->size, behind = at != SIZE_MAX ? at + by->size : cut;
    INK_TRY(ink_jinja_part(run, text, 0, cut, &parts[0]));
    INK_TRY(ink_jinja_part(run, text, cut, behind, &parts[1]));
    INK_TRY(ink_jinja_part(run, text, behind, text->size, &parts[2]));
    return finish_list(run, INK_JINJA_TUPLE, parts, 3, value);
}

static bool has_affix(const ink_jinja_string *text, const ink_jinja_string *affix, bool at_end)
{
    return affix->size <= text->size &&
           memcmp(text->at + (at_end ? text->size - affix->size : 0), affix->at, affix->size) == 0;
}

/* startswith, endswith: mode 0 and 1; removeprefix, removesuffix: 2 and 3. */
static ink_result builtin_affix(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text = a->self.text, *affix;
    const bool at_end = (a->mode & 1) != 0, many = a->v[0].kind == INK_JINJA_TUPLE && a->mode < 2;
    bool found = false;
    for (size_t i = 0; i < (many ? a->v[0].list->n : 1) && !found; i++) {
        INK_TRY(need_text(run, many ? a->v[0].list->items[i] : a->v[0], &affix));
        INK_TRY(ink_jinja_spend(run, 1 + affix->size / 16));
        found = has_affix(text, affix, at_end);
    }
    *value = ink_jinja_bool(found);
    if (a->mode < 2)
        return INK_OK;
    size_t cut = found ? affix->size : 0;
    return ink_jinja_part(run, text, at_end ? 0 : cut, text->size - (at_end ? cut : 0), value);
}

static ink_result builtin_replace(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text, *old, *new;
    ink_jinja_value from_text = a->v[0], to_text = a->v[1];
    size_t from = run->n_out, start = 0, at = 0;
    int64_t most;
    uint32_t code;
    INK_TRY(self_text(run, a, &text));
    if (a->mode != 0) { /* the filter takes anything */
        INK_TRY(ink_jinja_to_text(run, from_text, &from_text));
        INK_TRY(ink_jinja_to_text(run, to_text, &to_text));
    }
    INK_TRY(need_text(run, from_text, &old));
    INK_TRY(need_text(run, to_text, &new));
    INK_TRY(need_integer(run, a, 2, -1, &most));
    for (; most != 0; most -= most > 0) {
        INK_TRY(ink_jinja_place(run, text, at, text->size, old, false, &at));
        if (at == SIZE_MAX)
            break;
        INK_TRY(ink_jinja_write_string(run, text, start, at));
        INK_TRY(ink_jinja_write_string(run, new, 0, new->size));
        start = at += old->size;
        if (old->size == 0) { /* before every character and at the end */
            if (at == text->size)
                break;
            at += ink_utf8_next(text->at + at, text->size - at, &code);
        }
    }
    INK_TRY(ink_jinja_write_string(run, text, ink_size_min(start, text->size), text->size));
    return ink_jinja_cut(run, from, value);
}

enum { FIND, RFIND, INDEX, RINDEX, COUNT_OF };

static ink_result builtin_find(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text = a->self.text, *what;
    INK_TRY(need_text(run, a->v[0], &what));
    INK_TRY(ink_jinja_spend(run, 1 + text->size / 4));
    size_t at;
    INK_TRY(ink_jinja_place(run, text, 0, text->size, what, a->mode == RFIND || a->mode == RINDEX, &at));
    if (a->mode == COUNT_OF) {
        int64_t n = 0;
        for (at = what->size > 0 ? 0 : SIZE_MAX; at != SIZE_MAX; n += at != SIZE_MAX) {
            INK_TRY(ink_jinja_place(run, text, at, text->size, what, false, &at));
            at = at == SIZE_MAX ? at : at + what->size;
        }
        *value = ink_jinja_int(what->size > 0 ? n : (int64_t)text->n_chars + 1);
        return INK_OK;
    }
    if (at == SIZE_MAX && a->mode >= INDEX)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a str that is looked for is not there");
    int64_t n = 0;
    for (size_t i = 0; i < at && at != SIZE_MAX; i++)
        n += ((unsigned char)text->at[i] & 0xC0) != 0x80;
    *value = ink_jinja_int(at != SIZE_MAX ? n : -1);
    return INK_OK;
}

enum { IS_DIGIT, IS_ALPHA, IS_ALNUM, IS_SPACE, IS_UPPER, IS_LOWER };

static ink_result builtin_is(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text;
    bool all = true, cased = false;
    size_t length;
    INK_TRY(self_text(run, a, &text));
    INK_TRY(ink_jinja_spend(run, 1 + text->size / 4));
    for (size_t at = 0; at < text->size; at += length) {
        uint32_t code;
        length = ink_utf8_next(text->at + at, text->size - at, &code);
        const ink_unicode_class class = ink_unicode_class_of(code);
        const bool is_upper = ink_unicode_lower(code) != code, is_lower = ink_unicode_upper(code) != code;
        const bool number = class == INK_UNICODE_NUMBER, letter = class == INK_UNICODE_LETTER;
        cased = cased || (a->mode == IS_UPPER ? is_upper : is_lower);
        all = all && (a->mode == IS_DIGIT   ? number
                      : a->mode == IS_ALPHA ? letter
                      : a->mode == IS_ALNUM ? number || letter
                      : a->mode == IS_SPACE ? ink_jinja_is_space(code)
                      : a->mode == IS_UPPER ? !is_lower
                                            : !is_upper);
    }
    *value = ink_jinja_bool(all && (a->mode >= IS_UPPER ? cased : text->size > 0));
    return INK_OK;
}

enum { LJUST, RJUST, CENTER, ZFILL, CENTER_FILTER };

static ink_result builtin_pad(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text, *fill = &(const ink_jinja_string){.at = a->mode == ZFILL ? "0" : " ", .size = 1};
    int64_t width;
    INK_TRY(self_text(run, a, &text));
    INK_TRY(need_integer(run, a, 0, 80, &width));
    if (given(a, 1))
        INK_TRY(need_text(run, a->v[1], &fill));
    size_t from = run->n_out, more = width > (int64_t)text->n_chars ? (size_t)width - text->n_chars : 0;
    size_t odd = more % 2 != 0 && (width % 2 != 0) ? 1 : 0; /* as CPython does it */
    size_t before = a->mode == LJUST ? 0 : a->mode == CENTER || a->mode == CENTER_FILTER ? more / 2 + odd : more;
    size_t sign = a->mode == ZFILL && text->size > 0 && strchr("+-", text->at[0]) != NULL && text->at[0] != '\0';
    INK_TRY(ink_jinja_write_string(run, text, 0, sign));
    for (size_t i = 0; i < before; i++)
        INK_TRY(ink_jinja_write_string(run, fill, 0, fill->size));
    INK_TRY(ink_jinja_write_string(run, text, sign, text->size));
    for (size_t i = before; i < more; i++)
        INK_TRY(ink_jinja_write_string(run, fill, 0, fill->size));
    return ink_jinja_cut(run, from, value);
}

static ink_result builtin_format(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text;
    if (a->mode == 0)
        return ink_jinja_format(run, a->self.text, a->call, value);
    ink_jinja_value args = ink_jinja_new_list(run, INK_JINJA_TUPLE, a->call->args, a->call->n_args);
    if (a->call->n_keywords > 0)
        args = ink_jinja_new_dict(run, INK_JINJA_DICT, a->call->n_keywords);
    if (args.kind == INK_JINJA_MISSING)
        return ink_jinja_failed(run);
    for (size_t i = 0; i < a->call->n_keywords; i++)
        INK_TRY(ink_jinja_put_pair(run, args.dict, a->call->keywords[2 * i], a->call->keywords[2 * i + 1]));
    INK_TRY(self_text(run, a, &text));
    return ink_jinja_percent(run, text, args, value);
}

static ink_result builtin_indent(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text, *indent = NULL;
    size_t from = run->n_out;
    int64_t width = 4;
    vector lines = {0};
    INK_TRY(self_text(run, a, &text));
    if (a->v[0].kind == INK_JINJA_TEXT)
        indent = a->v[0].text;
    else
        INK_TRY(need_integer(run, a, 0, 4, &width));
    const bool first = ink_jinja_truth(a->v[1]), blank = ink_jinja_truth(a->v[2]);
    ink_jinja_value whole;
    INK_TRY(ink_jinja_write_string(run, text, 0, text->size));
    INK_TRY(ink_jinja_write(run, "\n", 1, false)); /* as in Jinja2, the last line has an end, too */
    INK_TRY(ink_jinja_cut(run, from, &whole));
    INK_TRY(split_lines(run, whole.text, false, &lines));
    for (size_t i = 0; i < lines.n; i++) {
        if (i > 0)
            INK_TRY(ink_jinja_write(run, "\n", 1, false));
        bool indented = i == 0 ? first : blank || lines.items[i].text->size > 0;
        if (indented && indent != NULL)
            INK_TRY(ink_jinja_write_string(run, indent, 0, indent->size));
        for (int64_t k = 0; indented && indent == NULL && k < width; k++)
            INK_TRY(ink_jinja_write(run, " ", 1, false));
        INK_TRY(ink_jinja_print(run, lines.items[i]));
    }
    return ink_jinja_cut(run, from, value);
}

static ink_result builtin_truncate(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text, *end = &(const ink_jinja_string){.at = "...", .size = 3, .n_chars = 3};
    int64_t length, leeway;
    size_t from = run->n_out, at = 0;
    uint32_t code;
    INK_TRY(self_text(run, a, &text));
    INK_TRY(need_integer(run, a, 0, 255, &length));
    INK_TRY(need_integer(run, a, 3, 5, &leeway));
    if (given(a, 2))
        INK_TRY(need_text(run, a->v[2], &end));
    if (length < end->n_chars)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "truncate: expected a length of at least %zu",
                        (size_t)end->n_chars);
    if (text->n_chars <= length || text->n_chars - length <= leeway)
        return ink_jinja_part(run, text, 0, text->size, value);
    for (int64_t n = length - end->n_chars; n > 0 && at < text->size; n--)
        at += ink_utf8_next(text->at + at, text->size - at, &code);
    if (!ink_jinja_truth(a->v[1])) {
        size_t space;
        INK_TRY(ink_jinja_place(run, text, 0, at, &(const ink_jinja_string){.at = " ", .size = 1}, true, &space));
        at = space != SIZE_MAX ? space : at;
    }
    INK_TRY(ink_jinja_write_string(run, text, 0, at));
    INK_TRY(ink_jinja_write_string(run, end, 0, end->size));
    return ink_jinja_cut(run, from, value);
}

static ink_result builtin_wordcount(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *text;
    int64_t n = 0;
    bool inside = false;
    size_t length;
    INK_TRY(self_text(run, a, &text));
    INK_TRY(ink_jinja_spend(run, 1 + text->size / 4));
    for (size_t at = 0; at < text->size; at += length) {
        uint32_t code;
        length = ink_utf8_next(text->at + at, text->size - at, &code);
        const bool word = code == '_' || ink_unicode_class_of(code) == INK_UNICODE_LETTER ||
                          ink_unicode_class_of(code) == INK_UNICODE_NUMBER;
        n += word && !inside;
        inside = word;
    }
    *value = ink_jinja_int(n);
    return INK_OK;
}

/* escape, forceescape: mode 0; safe: 1; urlencode: 2. */
static ink_result builtin_escape(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
    static const char signs[] = "&<>\"'";
    const ink_jinja_string *text;
    size_t from = run->n_out;
    INK_TRY(self_text(run, a, &text));
    if (text->is_safe && a->mode < 2) {
        *value = (ink_jinja_value){.kind = INK_JINJA_TEXT, .text = text};
        return INK_OK;
    }
    for (size_t i = 0; i < text->size; i++) {
        const unsigned char c = (unsigned char)text->at[i];
        const char *sign = c != 0 && a->mode == 0 ? strchr(signs, c) : NULL;
        const bool is_data = text->data != NULL ? text->data[i] != 0 : text->is_data;
        const bool bare = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                          (c != 0 && strchr("_.-~/", c) != NULL);
        const char hex[3] = {'%', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15]};
        if (sign != NULL)
            INK_TRY(ink_jinja_write(run, names[sign - signs], strlen(names[sign - signs]), is_data));
        else if (a->mode == 2 && !bare)
            INK_TRY(ink_jinja_write(run, hex, 3, is_data));
        else
            INK_TRY(ink_jinja_write_string(run, text, i, i + 1));
    }
    INK_TRY(ink_jinja_cut(run, from, value));
    ((ink_jinja_string *)(uintptr_t)value->text)->is_safe = a->mode < 2;
    return INK_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static ink_result builtin_default(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const bool absent = a->self.kind == INK_JINJA_UNDEFINED || (ink_jinja_truth(a->v[1]) && !ink_jinja_truth(a->self));
    *value = absent ? a->v[0] : a->self;
    if (value->kind == INK_JINJA_MISSING)
        *value = ink_jinja_text(run, "", 0, false);
    return INK_OK;
}

static ink_result builtin_string(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    return ink_jinja_to_text(run, a->self, value);
}

/* The number that a string spells; false if it spells none. */
static bool spelled_number(const ink_jinja_string *text, bool *integer, int64_t *whole, double *number)
{
    char digits[64];
    size_t n = 0, at = 0, stop = text->size;
    while (at < stop && ink_jinja_is_space((unsigned char)text->at[at]))
        at++;
    while (stop > at && ink_jinja_is_space((unsigned char)text->at[stop - 1]))
        stop--;
    bool negative = at < stop && text->at[at] == '-';
    at += at < stop && (text->at[at] == '-' || text->at[at] == '+');
    uint64_t value = 0, rest;
    size_t whole_digits = ink_digits(text->at + at, stop - at, &value), fraction = 0, exponent = 0;
    size_t end = at + whole_digits;
    *integer = whole_digits > 0 && end == stop && value <= INT64_MAX;
    *whole = negative ? -(int64_t)(value & INT64_MAX) : (int64_t)(value & INT64_MAX);
    if (end < stop && text->at[end] == '.') {
        fraction = ink_digits(text->at + end + 1, stop - end - 1, &rest);
        end += 1 + fraction;
    }
    if (end < stop && (text->at[end] | 0x20) == 'e') {
        size_t sign = end + 1 < stop && (text->at[end + 1] == '-' || text->at[end + 1] == '+');
        exponent = ink_digits(text->at + end + 1 + sign, stop - end - 1 - sign, &rest);
        end += exponent > 0 ? 1 + sign + exponent : 0;
    }
    if (end != stop || whole_digits + fraction == 0 || stop - at > sizeof digits - 4)
        return false;
    if (negative)
        digits[n++] = '-';
    if (whole_digits == 0)
        digits[n++] = '0';
    for (; at < stop; at++)
        if (!(text->at[at] == '.' && fraction == 0))
            digits[n++] = text->at[at];
    *number = ink_decimal(digits, n);
    return true;
}

/* int: mode 0; float: mode 1. */
static ink_result builtin_number(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    bool integer = false, known = true;
    int64_t whole = 0;
    double number = 0;
    switch (a->self.kind) {
    case INK_JINJA_BOOL:
    case INK_JINJA_INT:
        integer = true;
        whole = a->self.kind == INK_JINJA_BOOL ? a->self.truth : a->self.integer;
        number = (double)whole;
        break;
    case INK_JINJA_FLOAT:
        number = a->self.number;
        break;
    case INK_JINJA_TEXT:
        known = spelled_number(a->self.text, &integer, &whole, &number);
        break;
    case INK_JINJA_UNDEFINED:
        return ink_jinja_undefined(run, a->self);
    default:
        known = false;
        break;
    }
    if (known && a->mode == 0 && !integer)
        known = number > -9.2e18 && number < 9.2e18;
    if (known && a->mode == 0)
        *value = ink_jinja_int(integer ? whole : (int64_t)number);
    else if (known)
        *value = ink_jinja_float(number);
    else
        *value = a->v[0].kind != INK_JINJA_MISSING ? a->v[0] : a->mode == 0 ? ink_jinja_int(0) : ink_jinja_float(0);
    return INK_OK;
}

static ink_result builtin_abs(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    *value = a->self.kind == INK_JINJA_BOOL ? ink_jinja_int(a->self.truth) : a->self;
    if (value->kind == INK_JINJA_FLOAT)
        value->number = value->number < 0 ? -value->number : value->number + 0.0;
    else if (value->kind == INK_JINJA_INT && value->integer != INT64_MIN)
        value->integer = value->integer < 0 ? -value->integer : value->integer;
    else
        return wrong_kind(run, a->self, "absolute value");
    return INK_OK;
}

static ink_result builtin_round(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *method = NULL;
    int64_t digits;
    const ink_jinja_value self = a->self.kind == INK_JINJA_BOOL ? ink_jinja_int(a->self.truth) : a->self;
    double x = self.kind == INK_JINJA_INT ? (double)self.integer : self.number;
    if (self.kind != INK_JINJA_INT && self.kind != INK_JINJA_FLOAT)
        return wrong_kind(run, self, "rounded value");
    INK_TRY(need_integer(run, a, 0, 0, &digits));
    if (given(a, 1))
        INK_TRY(need_text(run, a->v[1], &method));
    *value = self;
    if (method == NULL || ink_jinja_named(method, "common")) {
        if (self.kind == INK_JINJA_INT && digits >= 0)
            return INK_OK;
        x = ink_jinja_round(x, digits);
        if (self.kind == INK_JINJA_INT && !(x < 0x1p63))
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a number is beyond 64 bits");
        *value = self.kind == INK_JINJA_INT ? ink_jinja_int((int64_t)x) : ink_jinja_float(x);
        return INK_OK;
    }
    const bool up = ink_jinja_named(method, "ceil");
    double scale = 1;
    if (!up && !ink_jinja_named(method, "floor"))
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "round: the method is common, ceil or floor");
    if (digits < -300 || digits > 300)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "round: so many digits have no meaning");
    for (int64_t i = digits < 0 ? -digits : digits; i > 0; i--)
        scale *= 10;
    x = digits < 0 ? x / scale : x * scale;
    x = up ? -ink_jinja_floor(-x) : ink_jinja_floor(x);
    *value = ink_jinja_float(digits < 0 ? x * scale : x / scale);
    return INK_OK;
}

static ink_result builtin_tojson(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_style style = {.json = true, .ascii = ink_jinja_truth(a->v[0]), .sorted = ink_jinja_truth(a->v[3])};
    size_t from = run->n_out;
    if (a->v[1].kind == INK_JINJA_TEXT) {
        style.indent = a->v[1].text;
    } else if (given(a, 1)) {
        int64_t width;
        ink_jinja_value indent;
        INK_TRY(need_integer(run, a, 1, 0, &width));
        for (int64_t i = 0; i < width; i++)
            INK_TRY(ink_jinja_write(run, " ", 1, false));
        INK_TRY(ink_jinja_cut(run, from, &indent));
        style.indent = indent.text;
    }
    if (given(a, 2)) {
        ink_jinja_list pair;
        INK_TRY(ink_jinja_items(run, a->v[2], &pair));
        if (pair.n != 2)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "tojson: separators are two");
        INK_TRY(need_text(run, pair.items[0], &style.item));
        INK_TRY(need_text(run, pair.items[1], &style.key));
    }
    INK_TRY(ink_jinja_write_value(run, a->self, &style));
    return ink_jinja_cut(run, from, value);
}

static ink_result builtin_attr(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *name;
    INK_TRY(need_text(run, a->v[0], &name));
    if (a->self.kind == INK_JINJA_DICT) { /* its keys are no attributes */
        *value = ink_jinja_method(a->self, name);
        return INK_OK;
    }
    return ink_jinja_member(run, a->self, &a->v[0], value);
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
        const char *dot = memchr(path.text->at + start, '.', path.text->size - start);
        stop = dot != NULL ? (size_t)(dot - path.text->at) : path.text->size;
        if (stop > start && ink_digits(path.text->at + start, stop - start, &index) == stop - start)
            key = ink_jinja_int((int64_t)(index & INT64_MAX));
        else
            INK_TRY(ink_jinja_part(run, path.text, start, stop, &key));
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
    *keys = ink_jinja_alloc(run, items->n, sizeof **keys);
    if (*keys == NULL)
        return ink_jinja_failed(run);
    for (size_t i = 0; i < items->n; i++) {
        ink_jinja_value *key = &(*keys)[i];
        INK_TRY(get_path(run, items->items[i], path, (ink_jinja_value){.kind = INK_JINJA_MISSING}, key));
        if (!with_case && key->kind == INK_JINJA_TEXT)
            INK_TRY(change_case(run, key->text, LOWER, key));
    }
    return INK_OK;
}

typedef struct sorter {
    ink_jinja *run;
    const ink_jinja_value *keys;
    bool reverse;
    ink_result result;
} sorter;

static int compare_sorted(const void *user, size_t a, size_t b)
{
    sorter *s = (sorter *)(uintptr_t)user;
    int order = 0;
    if (s->result == INK_OK)
        s->result = ink_jinja_order(s->run, s->keys[a], s->keys[b], &order);
    if (s->result == INK_OK)
        s->result = ink_jinja_spend(s->run, 1);
    order = order == 2 ? 0 : s->reverse ? -order : order;
    return order != 0 ? order : (a > b) - (a < b);
}

ink_result ink_jinja_sort(ink_jinja *run, const ink_jinja_value *keys, size_t n, bool reverse, uint32_t **order)
{
    sorter s = {run, keys, reverse, INK_OK};
    uint64_t *numbers = ink_jinja_alloc(run, n, sizeof *numbers);
    *order = ink_jinja_alloc(run, n, sizeof **order);
    if (numbers == NULL || *order == NULL)
        return ink_jinja_failed(run);
    for (size_t i = 0; i < n; i++)
        numbers[i] = INK_KEY(0, i);
    ink_sort(numbers, n, &(ink_ties){compare_sorted, &s});
    for (size_t i = 0; i < n; i++)
        (*order)[i] = (uint32_t)ink_key_index(numbers[i]);
    return s.result;
}

/* sort(reverse, case_sensitive, attribute): mode 0; min and max: 1 and 2; unique: 3. */
static ink_result builtin_sort(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const bool sorts = a->mode == 0;
    ink_jinja_list items;
    ink_jinja_value *keys, path = a->v[sorts ? 2 : 1];
    uint32_t *order;
    vector made = {0};
    INK_TRY(ink_jinja_items(run, a->self, &items));
    INK_TRY(make_keys(run, &items, path, ink_jinja_truth(a->v[sorts ? 1 : 0]), &keys));
    if (a->mode == 3) {
        vector seen = {0};
        for (size_t i = 0; i < items.n; i++) {
            bool found;
            ink_jinja_value list;
            if (keys[i].kind == INK_JINJA_LIST || keys[i].kind == INK_JINJA_DICT)
                return wrong_kind(run, keys[i], "hash");
            INK_TRY(finish_list(run, INK_JINJA_LIST, seen.items, seen.n, &list));
            INK_TRY(ink_jinja_contains(run, list, keys[i], &found));
            if (!found) {
                INK_TRY(vector_add(run, &seen, keys[i]));
                INK_TRY(vector_add(run, &made, items.items[i]));
            }
        }
        return finish_list(run, INK_JINJA_LIST, made.items, made.n, value);
    }
    INK_TRY(ink_jinja_sort(run, keys, items.n, sorts ? ink_jinja_truth(a->v[0]) : a->mode == 2, &order));
    if (!sorts) {
        *value = items.n > 0 ? items.items[order[0]] : (ink_jinja_value){.kind = INK_JINJA_UNDEFINED};
        return INK_OK;
    }
    for (size_t i = 0; i < items.n; i++)
        INK_TRY(vector_add(run, &made, items.items[order[i]]));
    return finish_list(run, INK_JINJA_LIST, made.items, made.n, value);
}

/* dictsort(case_sensitive, by, reverse) */
static ink_result builtin_dictsort(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    if (a->self.kind != INK_JINJA_DICT)
        return wrong_kind(run, a->self, "keys");
    const ink_jinja_dict *dict = a->self.dict;
    const bool by_value = a->v[1].kind == INK_JINJA_TEXT && ink_jinja_named(a->v[1].text, "value");
    ink_jinja_value *keys = ink_jinja_alloc(run, dict->n, sizeof *keys), *folded, pair;
    uint32_t *order;
    vector made = {0};
    if (keys == NULL)
        return ink_jinja_failed(run);
    for (size_t i = 0; i < dict->n; i++)
        keys[i] = dict->pairs[2 * i + by_value];
    INK_TRY(make_keys(run, &(ink_jinja_list){keys, dict->n}, ink_jinja_none(), ink_jinja_truth(a->v[0]), &folded));
    INK_TRY(ink_jinja_sort(run, folded, dict->n, ink_jinja_truth(a->v[2]), &order));
    for (size_t i = 0; i < dict->n; i++) {
        INK_TRY(make_pair(run, dict->pairs[2 * order[i]], dict->pairs[2 * order[i] + 1], &pair));
        INK_TRY(vector_add(run, &made, pair));
    }
    return finish_list(run, INK_JINJA_LIST, made.items, made.n, value);
}

/* groupby(attribute, default, case_sensitive) */
static ink_result builtin_groupby(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_list items;
    ink_jinja_value *keys, pair;
    uint32_t *order;
    vector groups = {0};
    const bool with_case = ink_jinja_truth(a->v[2]);
    INK_TRY(ink_jinja_items(run, a->self, &items));
    keys = ink_jinja_alloc(run, items.n, sizeof *keys);
    if (keys == NULL)
        return ink_jinja_failed(run);
    for (size_t i = 0; i < items.n; i++) {
        INK_TRY(get_path(run, items.items[i], a->v[0], a->v[1], &keys[i]));
        if (!with_case && keys[i].kind == INK_JINJA_TEXT)
            INK_TRY(change_case(run, keys[i].text, LOWER, &keys[i]));
    }
    INK_TRY(ink_jinja_sort(run, keys, items.n, false, &order));
    for (size_t i = 0; i < items.n;) {
        vector group = {0};
        bool equal = true;
        size_t first = order[i];
        ink_jinja_value list, name;
        for (; i < items.n && equal; i += equal) {
            INK_TRY(ink_jinja_equal(run, keys[first], keys[order[i]], &equal));
            if (equal)
                INK_TRY(vector_add(run, &group, items.items[order[i]]));
        }
        INK_TRY(get_path(run, items.items[first], a->v[0], a->v[1], &name));
        INK_TRY(finish_list(run, INK_JINJA_LIST, group.items, group.n, &list));
        INK_TRY(make_pair(run, name, list, &pair));
        INK_TRY(vector_add(run, &groups, pair));
    }
    return finish_list(run, INK_JINJA_LIST, groups.items, groups.n, value);
}

enum { SELECT = 0, REJECT = 1, SELECTATTR = 2, REJECTATTR = 3, MAP = 4 };

/* select(test, ...), selectattr(attribute, test, ...), map(filter, ...), map(attribute=..., default=...) */
static ink_result builtin_select(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_call *call = a->call;
    const bool by_member = a->mode == SELECTATTR || a->mode == REJECTATTR, maps = a->mode == MAP;
    const ink_jinja_string *name = NULL;
    ink_jinja_value path = {.kind = INK_JINJA_NONE}, otherwise = {.kind = INK_JINJA_MISSING};
    ink_jinja_list items;
    vector made = {0};
    INK_TRY(ink_jinja_items(run, a->self, &items));
    if (by_member && call->n_args == 0)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "selectattr and rejectattr want the name of a member");
    if (by_member)
        path = call->args[0];
    for (size_t i = 0; maps && call->n_args == 0 && i < call->n_keywords; i++) {
        if (ink_jinja_named(call->keywords[2 * i].text, "attribute"))
            path = call->keywords[2 * i + 1];
        else if (ink_jinja_named(call->keywords[2 * i].text, "default"))
            otherwise = call->keywords[2 * i + 1];
    }
    if (call->n_args > by_member)
        INK_TRY(need_text(run, call->args[by_member], &name));
    if (maps && name == NULL && path.kind == INK_JINJA_NONE)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "map wants a filter, or attribute=");
    const size_t used = name != NULL ? by_member + 1U : by_member;
    if (++run->nested > MOST_NESTED)
        return ink_fail(run->ctx, INK_ERROR_LIMIT, "filters in filters deeper than %d", MOST_NESTED);
    for (size_t i = 0; i < items.n; i++) {
        ink_jinja_value member;
        bool truth;
        INK_TRY(get_path(run, items.items[i], path, otherwise, &member));
        const ink_jinja_call inner = {.self = member,
                                      .args = call->args + used,
                                      .n_args = call->n_args - used,
                                      .keywords = call->keywords,
                                      .n_keywords = name != NULL ? call->n_keywords : 0};
        if (maps && name != NULL)
            INK_TRY(ink_jinja_filter(run, name, &inner, &member));
        truth = ink_jinja_truth(member);
        if (!maps && name != NULL)
            INK_TRY(ink_jinja_test(run, name, &inner, &truth));
        if (maps)
            INK_TRY(vector_add(run, &made, member));
        else if (truth == (a->mode == SELECT || a->mode == SELECTATTR))
            INK_TRY(vector_add(run, &made, items.items[i]));
    }
    run->nested--;
    return finish_list(run, INK_JINJA_LIST, made.items, made.n, value);
}

/* first, last, list, reverse: mode 0 to 3; length: 4. */
static ink_result builtin_sequence(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_list items;
    if (a->mode == 4 && (a->self.kind == INK_JINJA_TEXT || a->self.kind == INK_JINJA_DICT)) {
        *value = ink_jinja_int(a->self.kind == INK_JINJA_TEXT ? a->self.text->n_chars : (int64_t)a->self.dict->n);
        return INK_OK;
    }
    if (a->mode == 4 && a->self.kind == INK_JINJA_LOOP)
        items.n = a->self.loop->n;
    else
        INK_TRY(ink_jinja_items(run, a->self, &items));
    if (a->mode == 4) {
        *value = ink_jinja_int((int64_t)items.n);
        return INK_OK;
    }
    if (a->mode < 2) {
        *value =
            items.n == 0 ? (ink_jinja_value){.kind = INK_JINJA_UNDEFINED} : items.items[a->mode == 0 ? 0 : items.n - 1];
        return INK_OK;
    }
    INK_TRY(ink_jinja_spend(run, items.n));
    ink_jinja_value *copy = ink_jinja_alloc(run, items.n, sizeof *copy);
    if (copy == NULL)
        return ink_jinja_failed(run);
    if (items.n > 0)
        memcpy(copy, items.items, items.n * sizeof *copy);
    if (a->mode == 3)
        reverse_items(copy, items.n);
    if (a->mode == 3 && a->self.kind == INK_JINJA_TEXT) {
        size_t from = run->n_out;
        for (size_t i = 0; i < items.n; i++)
            INK_TRY(ink_jinja_print(run, copy[i]));
        return ink_jinja_cut(run, from, value);
    }
    return finish_list(run, INK_JINJA_LIST, copy, items.n, value);
}

/* join(d, attribute) as a filter; as a method (mode 1) the string joins its argument. */
static ink_result builtin_join(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_list items;
    size_t from = run->n_out;
    const ink_jinja_value between = a->mode == 1 ? a->self : a->v[0];
    INK_TRY(ink_jinja_items(run, a->mode == 1 ? a->v[0] : a->self, &items));
    for (size_t i = 0; i < items.n; i++) {
        ink_jinja_value item = items.items[i];
        const ink_jinja_string *text;
        if (i > 0 && between.kind != INK_JINJA_MISSING)
            INK_TRY(ink_jinja_print(run, between));
        if (a->mode == 1)
            INK_TRY(need_text(run, item, &text));
        else if (given(a, 1))
            INK_TRY(get_path(run, item, a->v[1], (ink_jinja_value){.kind = INK_JINJA_MISSING}, &item));
        INK_TRY(ink_jinja_print(run, item));
    }
    return ink_jinja_cut(run, from, value);
}

static ink_result builtin_sum(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_list items;
    INK_TRY(ink_jinja_items(run, a->self, &items));
    *value = a->v[1].kind != INK_JINJA_MISSING ? a->v[1] : ink_jinja_int(0);
    for (size_t i = 0; i < items.n; i++) {
        ink_jinja_value item;
        INK_TRY(get_path(run, items.items[i], a->v[0], (ink_jinja_value){.kind = INK_JINJA_MISSING}, &item));
        INK_TRY(ink_jinja_binary(run, INK_JINJA_ADD, *value, item, value));
    }
    return INK_OK;
}

/* batch(linecount, fill_with): mode 0; slice(slices, fill_with): mode 1. */
static ink_result builtin_batch(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_list items;
    vector rows = {0};
    int64_t n;
    INK_TRY(ink_jinja_items(run, a->self, &items));
    INK_TRY(need_integer(run, a, 0, 0, &n));
    if (n < 1)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "batch and slice want a number from 1 on");
    const size_t count = (size_t)n, each = items.n / count, longer = items.n % count;
    for (size_t at = 0, row = 0; a->mode == 0 ? at < items.n : row < count; row++) {
        const size_t size = a->mode == 0 ? ink_size_min(count, items.n - at) : each + (row < longer);
        const bool fills = given(a, 1) && (a->mode == 0 ? size < count : longer > 0 && row >= longer);
        vector line = {0};
        ink_jinja_value list;
        for (size_t i = 0; i < size; i++)
            INK_TRY(vector_add(run, &line, items.items[at + i]));
        for (size_t i = size; fills && i < (a->mode == 0 ? count : each + 1); i++)
            INK_TRY(vector_add(run, &line, a->v[1]));
        INK_TRY(finish_list(run, INK_JINJA_LIST, line.items, line.n, &list));
        INK_TRY(vector_add(run, &rows, list));
        at += size;
    }
    return finish_list(run, INK_JINJA_LIST, rows.items, rows.n, value);
}

/* list.index(x): mode 0; list.count(x): mode 1. */
static ink_result builtin_position(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    int64_t n = 0;
    for (size_t i = 0; i < a->self.list->n; i++) {
        bool equal;
        INK_TRY(ink_jinja_equal(run, a->self.list->items[i], a->v[0], &equal));
        if (equal && a->mode == 0) {
            *value = ink_jinja_int((int64_t)i);
            return INK_OK;
        }
        n += equal;
    }
    *value = ink_jinja_int(n);
    return a->mode == 1 ? INK_OK : ink_fail(run->ctx, INK_ERROR_MISMATCH, "an item that is looked for is not there");
}

/* ---- dicts ------------------------------------------------------------------------------------------------------- */

enum { KEYS, VALUES, ITEMS, COPY };

static ink_result builtin_pairs(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    vector made = {0};
    if (a->self.kind == INK_JINJA_UNDEFINED && a->mode == ITEMS)
        return finish_list(run, INK_JINJA_LIST, NULL, 0, value);
    if (a->self.kind != INK_JINJA_DICT)
        return wrong_kind(run, a->self, "items");
    *value = a->self;
    for (size_t i = 0; i < a->self.dict->n && a->mode != COPY; i++) {
        const ink_jinja_value *pair = &a->self.dict->pairs[2 * i];
        ink_jinja_value item = a->mode == KEYS ? pair[0] : pair[1];
        if (a->mode == ITEMS)
            INK_TRY(make_pair(run, pair[0], pair[1], &item));
        INK_TRY(vector_add(run, &made, item));
    }
    return a->mode == COPY ? INK_OK : finish_list(run, INK_JINJA_LIST, made.items, made.n, value);
}

static ink_result builtin_get(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    bool found;
    INK_TRY(ink_jinja_contains(run, a->self, a->v[0], &found));
    if (found)
        return ink_jinja_item(run, a->self, a->v[0], value);
    *value = a->v[1].kind != INK_JINJA_MISSING ? a->v[1] : ink_jinja_none();
    return INK_OK;
}

static ink_result builtin_changes(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    (void)a;
    (void)value;
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a method would change a value, which templates may not do");
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

static ink_result builtin_raise(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_value text;
    INK_TRY(ink_jinja_to_text(run, a->v[0], &text));
    (void)value;
    return ink_fail(run->ctx, INK_ERROR_ARGUMENT, "the template refuses the messages: %.*s",
                    (int)ink_size_min(text.text->size, 200), text.text->at);
}

static ink_result builtin_strftime(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_string *format;
    INK_TRY(need_text(run, a->v[0], &format));
    return ink_jinja_strftime(run, format, value);
}

static ink_result builtin_range(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    int64_t first, stop, step;
    vector made = {0};
    INK_TRY(need_integer(run, a, 0, 0, &first));
    INK_TRY(need_integer(run, a, 1, first, &stop));
    INK_TRY(need_integer(run, a, 2, 1, &step));
    if (!given(a, 1))
        first = 0;
    if (step == 0 || !given(a, 0))
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "range wants a number, and a step that is not 0");
    for (int64_t i = first; step > 0 ? i < stop : i > stop;) {
        INK_TRY(vector_add(run, &made, ink_jinja_int(i)));
        if (step > 0 ? i > INT64_MAX - step : i < INT64_MIN - step)
            break;
        i += step;
    }
    return finish_list(run, INK_JINJA_LIST, made.items, made.n, value);
}

/* namespace(...): mode 0; dict(...): mode 1. From a dict, or from pairs, and from keywords. */
static ink_result builtin_dict(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    const ink_jinja_call *call = a->call;
    ink_jinja_value dict = ink_jinja_new_dict(run, a->mode == 0 ? INK_JINJA_NAMESPACE : INK_JINJA_DICT, 0);
    if (dict.kind == INK_JINJA_MISSING)
        return ink_jinja_failed(run);
    if (call->n_args > 1)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "dict and namespace take one value beside keywords");
    if (call->n_args == 1 && call->args[0].kind == INK_JINJA_DICT) {
        const ink_jinja_dict *from = call->args[0].dict;
        for (size_t i = 0; i < from->n; i++)
            INK_TRY(ink_jinja_put_pair(run, dict.dict, from->pairs[2 * i], from->pairs[2 * i + 1]));
    } else if (call->n_args == 1) {
        ink_jinja_list items, pair;
        INK_TRY(ink_jinja_items(run, call->args[0], &items));
        for (size_t i = 0; i < items.n; i++) {
            INK_TRY(ink_jinja_items(run, items.items[i], &pair));
            if (pair.n != 2)
                return ink_fail(run->ctx, INK_ERROR_MISMATCH, "dict is made of pairs");
            INK_TRY(ink_jinja_put_pair(run, dict.dict, pair.items[0], pair.items[1]));
        }
    }
    for (size_t i = 0; i < call->n_keywords; i++)
        INK_TRY(ink_jinja_put_pair(run, dict.dict, call->keywords[2 * i], call->keywords[2 * i + 1]));
    *value = dict;
    return INK_OK;
}

enum { FUNCTION_JOINER = 5 }; /* its row below */

/* joiner(sep): a function that gives nothing the first time. */
static ink_result builtin_joiner(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_value *state = ink_jinja_alloc(run, 2, sizeof *state);
    if (state == NULL)
        return ink_jinja_failed(run);
    state[0] = ink_jinja_bool(false);
    state[1] = a->v[0].kind != INK_JINJA_MISSING ? a->v[0] : ink_jinja_text(run, ", ", 2, false);
    *value = (ink_jinja_value){.kind = INK_JINJA_FUNCTION, .which = FUNCTION_JOINER, .object = state};
    return INK_OK;
}

static ink_result builtin_joins(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_value *state = (ink_jinja_value *)(uintptr_t)a->self.object;
    *value = state[0].truth ? state[1] : ink_jinja_text(run, "", 0, false);
    state[0].truth = true;
    return INK_OK;
}

static ink_result builtin_cycle(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    if (a->call->n_args == 0)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "loop.cycle wants values");
    *value = a->call->args[(a->self.loop->index - 1) % a->call->n_args];
    return INK_OK;
}

static ink_result builtin_changed(ink_jinja *run, const arguments *a, ink_jinja_value *value)
{
    ink_jinja_value now, *items = ink_jinja_alloc(run, a->call->n_args, sizeof *items);
    bool equal = false;
    if (items == NULL)
        return ink_jinja_failed(run);
    if (a->call->n_args > 0)
        memcpy(items, a->call->args, a->call->n_args * sizeof *items);
    INK_TRY(finish_list(run, INK_JINJA_TUPLE, items, a->call->n_args, &now));
    if (a->self.loop->changed.kind != INK_JINJA_MISSING)
        INK_TRY(ink_jinja_equal(run, a->self.loop->changed, now, &equal));
    a->self.loop->changed = now;
    *value = ink_jinja_bool(!equal);
    return INK_OK;
}

/* ---- the tables ---------------------------------------------------------------------------------------------------
 */

static const builtin_row functions[] = {
    {"raise_exception", builtin_raise, "message", 0},
    {"strftime_now", builtin_strftime, "format", 0},
    {"range", builtin_range, "start stop step", 0},
    {"namespace", builtin_dict, "*", 0},
    {"dict", builtin_dict, "*", 1},
    {"", builtin_joins, "", 0},
    {"joiner", builtin_joiner, "sep", 0},
};

/* A method of a str, list, dict or loop. */
static const struct {
    ink_jinja_kind of;
    builtin_row row;
} methods[] = {
    {INK_JINJA_TEXT, {"strip", builtin_strip, "chars", 3}},
    {INK_JINJA_TEXT, {"lstrip", builtin_strip, "chars", 1}},
    {INK_JINJA_TEXT, {"rstrip", builtin_strip, "chars", 2}},
    {INK_JINJA_TEXT, {"split", builtin_split, "sep maxsplit", 0}},
    {INK_JINJA_TEXT, {"rsplit", builtin_split, "sep maxsplit", 1}},
    {INK_JINJA_TEXT, {"splitlines", builtin_splitlines, "keepends", 0}},
    {INK_JINJA_TEXT, {"partition", builtin_partition, "sep", 0}},
    {INK_JINJA_TEXT, {"rpartition", builtin_partition, "sep", 1}},
    {INK_JINJA_TEXT, {"startswith", builtin_affix, "prefix", 0}},
    {INK_JINJA_TEXT, {"endswith", builtin_affix, "suffix", 1}},
    {INK_JINJA_TEXT, {"removeprefix", builtin_affix, "prefix", 2}},
    {INK_JINJA_TEXT, {"removesuffix", builtin_affix, "suffix", 3}},
    {INK_JINJA_TEXT, {"replace", builtin_replace, "old new count", 0}},
    {INK_JINJA_TEXT, {"upper", builtin_case, "", UPPER}},
    {INK_JINJA_TEXT, {"lower", builtin_case, "", LOWER}},
    {INK_JINJA_TEXT, {"casefold", builtin_case, "", LOWER}},
    {INK_JINJA_TEXT, {"title", builtin_case, "", TITLE}},
    {INK_JINJA_TEXT, {"capitalize", builtin_case, "", CAPITALIZE}},
    {INK_JINJA_TEXT, {"swapcase", builtin_case, "", SWAP}},
    {INK_JINJA_TEXT, {"find", builtin_find, "sub", FIND}},
    {INK_JINJA_TEXT, {"rfind", builtin_find, "sub", RFIND}},
    {INK_JINJA_TEXT, {"index", builtin_find, "sub", INDEX}},
    {INK_JINJA_TEXT, {"rindex", builtin_find, "sub", RINDEX}},
    {INK_JINJA_TEXT, {"count", builtin_find, "sub", COUNT_OF}},
    {INK_JINJA_TEXT, {"join", builtin_join, "iterable", 1}},
    {INK_JINJA_TEXT, {"isdigit", builtin_is, "", IS_DIGIT}},
    {INK_JINJA_TEXT, {"isnumeric", builtin_is, "", IS_DIGIT}},
    {INK_JINJA_TEXT, {"isdecimal", builtin_is, "", IS_DIGIT}},
    {INK_JINJA_TEXT, {"isalpha", builtin_is, "", IS_ALPHA}},
    {INK_JINJA_TEXT, {"isalnum", builtin_is, "", IS_ALNUM}},
    {INK_JINJA_TEXT, {"isspace", builtin_is, "", IS_SPACE}},
    {INK_JINJA_TEXT, {"isupper", builtin_is, "", IS_UPPER}},
    {INK_JINJA_TEXT, {"islower", builtin_is, "", IS_LOWER}},
    {INK_JINJA_TEXT, {"ljust", builtin_pad, "width fillchar", LJUST}},
    {INK_JINJA_TEXT, {"rjust", builtin_pad, "width fillchar", RJUST}},
    {INK_JINJA_TEXT, {"center", builtin_pad, "width fillchar", CENTER}},
    {INK_JINJA_TEXT, {"zfill", builtin_pad, "width", ZFILL}},
    {INK_JINJA_TEXT, {"format", builtin_format, "*", 0}},
    {INK_JINJA_LIST, {"index", builtin_position, "value", 0}},
    {INK_JINJA_LIST, {"count", builtin_position, "value", 1}},
    {INK_JINJA_LIST, {"append", builtin_changes, "*", 0}},
    {INK_JINJA_LIST, {"extend", builtin_changes, "*", 0}},
    {INK_JINJA_LIST, {"insert", builtin_changes, "*", 0}},
    {INK_JINJA_LIST, {"pop", builtin_changes, "*", 0}},
    {INK_JINJA_LIST, {"remove", builtin_changes, "*", 0}},
    {INK_JINJA_DICT, {"keys", builtin_pairs, "", KEYS}},
    {INK_JINJA_DICT, {"values", builtin_pairs, "", VALUES}},
    {INK_JINJA_DICT, {"items", builtin_pairs, "", ITEMS}},
    {INK_JINJA_DICT, {"copy", builtin_pairs, "", COPY}},
    {INK_JINJA_DICT, {"get", builtin_get, "key default", 0}},
    {INK_JINJA_DICT, {"pop", builtin_changes, "*", 0}},
    {INK_JINJA_DICT, {"update", builtin_changes, "*", 0}},
    {INK_JINJA_DICT, {"setdefault", builtin_changes, "*", 0}},
    {INK_JINJA_DICT, {"clear", builtin_changes, "*", 0}},
    {INK_JINJA_LOOP, {"cycle", builtin_cycle, "*", 0}},
    {INK_JINJA_LOOP, {"changed", builtin_changed, "*", 0}},
};

static const builtin_row filters[] = {
    {"abs", builtin_abs, "", 0},
    {"attr", builtin_attr, "name", 0},
    {"batch", builtin_batch, "linecount fill_with", 0},
    {"capitalize", builtin_case, "", CAPITALIZE},
    {"center", builtin_pad, "width", CENTER_FILTER},
    {"count", builtin_sequence, "", 4},
    {"d", builtin_default, "default_value boolean", 0},
    {"default", builtin_default, "default_value boolean", 0},
    {"dictsort", builtin_dictsort, "case_sensitive by reverse", 0},
    {"e", builtin_escape, "", 0},
    {"escape", builtin_escape, "", 0},
    {"first", builtin_sequence, "", 0},
    {"float", builtin_number, "default", 1},
    {"forceescape", builtin_escape, "", 0},
    {"format", builtin_format, "*", 1},
    {"groupby", builtin_groupby, "attribute default case_sensitive", 0},
    {"indent", builtin_indent, "width first blank", 0},
    {"int", builtin_number, "default base", 0},
    {"items", builtin_pairs, "", ITEMS},
    {"join", builtin_join, "d attribute", 0},
    {"last", builtin_sequence, "", 1},
    {"length", builtin_sequence, "", 4},
    {"list", builtin_sequence, "", 2},
    {"lower", builtin_case, "", LOWER},
    {"map", builtin_select, "*", MAP},
    {"max", builtin_sort, "case_sensitive attribute", 2},
    {"min", builtin_sort, "case_sensitive attribute", 1},
    {"reject", builtin_select, "*", REJECT},
    {"rejectattr", builtin_select, "*", REJECTATTR},
    {"replace", builtin_replace, "old new count", 1},
    {"reverse", builtin_sequence, "", 3},
    {"round", builtin_round, "precision method", 0},
    {"safe", builtin_escape, "", 1},
    {"select", builtin_select, "*", SELECT},
    {"selectattr", builtin_select, "*", SELECTATTR},
    {"slice", builtin_batch, "slices fill_with", 1},
    {"sort", builtin_sort, "reverse case_sensitive attribute", 0},
    {"string", builtin_string, "", 0},
    {"sum", builtin_sum, "attribute start", 0},
    {"title", builtin_case, "", TITLE_FILTER},
    {"tojson", builtin_tojson, "ensure_ascii indent separators sort_keys", 0},
    {"trim", builtin_strip, "chars", 3},
    {"truncate", builtin_truncate, "length killwords end leeway", 0},
    {"unique", builtin_sort, "case_sensitive attribute", 3},
    {"upper", builtin_case, "", UPPER},
    {"urlencode", builtin_escape, "", 2},
    {"wordcount", builtin_wordcount, "", 0},
};

static const builtin_row *find_builtin(const builtin_row *rows, size_t n, const ink_jinja_string *name)
{
    for (size_t i = 0; i < n; i++)
        if (ink_jinja_named(name, rows[i].name))
            return &rows[i];
    return NULL;
}

#define FIND_BUILTIN(rows, name) find_builtin(rows, sizeof(rows) / sizeof *(rows), name)

static ink_result call_row(ink_jinja *run, const builtin_row *row, const ink_jinja_call *call, ink_jinja_value *value)
{
    arguments a;
    ink_jinja_value result = {.kind = INK_JINJA_NONE};
    INK_TRY(bind_arguments(run, row, call, &a));
    INK_TRY(row->function(run, &a, &result));
    if (result.kind == INK_JINJA_MISSING)
        return ink_jinja_failed(run);
    *value = result;
    return INK_OK;
}

ink_result ink_jinja_filter(ink_jinja *run, const ink_jinja_string *name, const ink_jinja_call *call,
                            ink_jinja_value *value)
{
    const builtin_row *row = FIND_BUILTIN(filters, name);
    if (row == NULL)
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "there is no filter '%.*s'", (int)ink_size_min(name->size, 40),
                        name->at);
    return call_row(run, row, call, value);
}

ink_jinja_value ink_jinja_global(const ink_jinja_string *name)
{
    const builtin_row *row = name->size > 0 ? FIND_BUILTIN(functions, name) : NULL;
    if (row == NULL)
        return (ink_jinja_value){.kind = INK_JINJA_UNDEFINED};
    return (ink_jinja_value){.kind = INK_JINJA_FUNCTION, .which = (uint32_t)(row - functions)};
}

ink_jinja_value ink_jinja_method(ink_jinja_value of, const ink_jinja_string *name)
{
    ink_jinja_kind kind = of.kind == INK_JINJA_TUPLE ? INK_JINJA_LIST : of.kind;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].of == kind && ink_jinja_named(name, methods[i].row.name))
            return (ink_jinja_value){.kind = INK_JINJA_METHOD, .which = (uint32_t)i, .object = of.object};
    return (ink_jinja_value){.kind = INK_JINJA_UNDEFINED, .text = name};
}

ink_result ink_jinja_apply(ink_jinja *run, ink_jinja_value function, const ink_jinja_call *call, ink_jinja_value *value)
{
    ink_jinja_call with_self = *call;
    const builtin_row *row;
    with_self.self = function;
    if (function.kind == INK_JINJA_METHOD) {
        row = &methods[function.which].row;
        with_self.self = (ink_jinja_value){.kind = methods[function.which].of, .object = function.object};
    } else {
        row = &functions[function.which];
    }
    return call_row(run, row, &with_self, value);
}

/* ---- tests --------------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    int which;
} tests[] = {
    {"defined", 0},   {"undefined", 1}, {"none", 2},    {"string", 3}, {"number", 4},       {"integer", 5},
    {"float", 6},     {"boolean", 7},   {"true", 8},    {"false", 9},  {"mapping", 10},     {"sequence", 11},
    {"iterable", 12}, {"callable", 13}, {"sameas", 14}, {"even", 15},  {"odd", 16},         {"divisibleby", 17},
    {"lower", 18},    {"upper", 19},    {"filter", 20}, {"test", 21},  {"escaped", 22},     {"eq", 30},
    {"equalto", 30},  {"==", 30},       {"ne", 31},     {"!=", 31},    {"lt", 32},          {"lessthan", 32},
    {"<", 32},        {"le", 33},       {"<=", 33},     {"gt", 34},    {"greaterthan", 34}, {">", 34},
    {"ge", 35},       {">=", 35},       {"in", 36},
};

static ink_result decide(ink_jinja *run, int which, const ink_jinja_call *call, bool *truth)
{
    const ink_jinja_value self = call->self, other = call->n_args > 0 ? call->args[0] : ink_jinja_none();
    const ink_jinja_kind kind = self.kind;
    const bool whole = kind == INK_JINJA_INT || kind == INK_JINJA_BOOL;
    ink_jinja_value rest;
    switch (which) {
    case 0:
    case 1:
        *truth = (kind == INK_JINJA_UNDEFINED) == (which == 1);
        return INK_OK;
    case 2:
        *truth = kind == INK_JINJA_NONE;
        return INK_OK;
    case 3:
        *truth = kind == INK_JINJA_TEXT;
        return INK_OK;
    case 4:
        *truth = whole || kind == INK_JINJA_FLOAT;
        return INK_OK;
    case 5:
    case 6:
        *truth = kind == (which == 5 ? INK_JINJA_INT : INK_JINJA_FLOAT);
        return INK_OK;
    case 7:
        *truth = kind == INK_JINJA_BOOL;
        return INK_OK;
    case 8:
    case 9:
        *truth = kind == INK_JINJA_BOOL && self.truth == (which == 8);
        return INK_OK;
    case 10:
        *truth = kind == INK_JINJA_DICT;
        return INK_OK;
    case 11: /* len() and [] work; so they do for what is undefined */
        *truth = (kind >= INK_JINJA_TEXT && kind <= INK_JINJA_DICT) || kind == INK_JINJA_UNDEFINED;
        return INK_OK;
    case 12:
        *truth =
            (kind >= INK_JINJA_TEXT && kind <= INK_JINJA_DICT) || kind == INK_JINJA_UNDEFINED || kind == INK_JINJA_LOOP;
        return INK_OK;
    case 13:
        *truth = kind >= INK_JINJA_LOOP || kind == INK_JINJA_UNDEFINED;
        return INK_OK;
    case 14:
        *truth = kind == other.kind && (whole || kind == INK_JINJA_NONE ? true : self.object == other.object);
        if (*truth && kind != INK_JINJA_NONE)
            INK_TRY(ink_jinja_equal(run, self, other, truth));
        return INK_OK;
    case 15:
    case 16:
    case 17:
        INK_TRY(ink_jinja_binary(run, INK_JINJA_MOD, self, which == 17 ? other : ink_jinja_int(2), &rest));
        INK_TRY(ink_jinja_equal(run, rest, ink_jinja_int(which == 16), truth));
        return INK_OK;
    case 18:
    case 19: {
        arguments a = {.call = call, .self = self, .mode = which == 18 ? IS_LOWER : IS_UPPER};
        INK_TRY(builtin_is(run, &a, &rest));
        *truth = rest.truth;
        return INK_OK;
    }
    case 20:
        *truth = kind == INK_JINJA_TEXT && FIND_BUILTIN(filters, self.text) != NULL;
        return INK_OK;
    case 21:
        *truth = false;
        for (size_t i = 0; kind == INK_JINJA_TEXT && i < sizeof tests / sizeof *tests; i++)
            *truth = *truth || ink_jinja_named(self.text, tests[i].name);
        return INK_OK;
    case 22:
        *truth = kind == INK_JINJA_TEXT && self.text->is_safe;
        return INK_OK;
    case 36:
        return ink_jinja_contains(run, other, self, truth);
    default:
        return ink_jinja_compare(run, (ink_jinja_operator)(INK_JINJA_EQ + which - 30), self, other, truth);
    }
}

ink_result ink_jinja_test(ink_jinja *run, const ink_jinja_string *name, const ink_jinja_call *call, bool *truth)
{
    size_t i = 0;
    while (i < sizeof tests / sizeof *tests && !ink_jinja_named(name, tests[i].name))
        i++;
    if (i == sizeof tests / sizeof *tests)
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "there is no test '%.*s'", (int)ink_size_min(name->size, 40),
                        name->at);
    const bool wants = tests[i].which >= 30 || tests[i].which == 14 || tests[i].which == 17;
    if (call->n_args != wants || call->n_keywords > 0)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "the test %s takes %zu values, and gets %zu", tests[i].name,
                        (size_t)wants, call->n_args + call->n_keywords);
    return decide(run, tests[i].which, call, truth);
}
