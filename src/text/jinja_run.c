/*
 * jinja_run.c - running a template: memory, strings, operators, variables, and the loop over the operations.
 *
 * What is written goes to one array, with a mark for every byte that comes from the data. A captured block, a macro,
 * a sum of strings, a filter: all of them write to its end, and what they wrote is cut off as a string.
 */
#include <string.h>

#include "jinja.h"

#define BLOCK ((size_t)16 * 1024)
#define MOST_STACK 65536

typedef struct binding {
    uint32_t name;
    struct binding *next;
    ink_jinja_value value;
} binding;

struct ink_jinja_scope {
    ink_jinja_scope *parent;
    binding *bindings;
    bool kept; /* a macro that was defined in it still sees it */
};

typedef struct ink_jinja_frame {
    uint32_t back; /* the operation behind the call */
    ink_jinja_scope *scope;
    ink_jinja_loop *loop;
    size_t from; /* what is written from here on belongs to it */
} ink_jinja_frame;

/* ---- memory and strings ----------------------------------------------------------------------------------------- */

void *ink_jinja_alloc(ink_jinja *run, size_t count, size_t size)
{
    size_t bytes;
    if (!ink_size_mul(count, size, &bytes) || bytes > run->left) {
        run->left = 0;
        return NULL;
    }
    bytes = (bytes + 15) / 16 * 16;
    if (bytes > BLOCK / 4) {
        run->left -= ink_size_min(bytes, run->left);
        return ink_arena_alloc(&run->ctx->scratch, bytes, 1);
    }
    if (bytes > run->block_left) {
        run->block = run->left >= BLOCK ? ink_arena_alloc(&run->ctx->scratch, BLOCK, 1) : NULL;
        run->block_left = run->block != NULL ? BLOCK : 0;
        run->left -= ink_size_min(BLOCK, run->left);
        if (run->block == NULL)
            return NULL;
    }
    char *at = run->block;
    run->block += bytes;
    run->block_left -= bytes;
    return at;
}

ink_result ink_jinja_failed(const ink_jinja *run)
{
    if (ink_arena_failed(&run->ctx->scratch))
        return ink_fail(run->ctx, INK_ERROR_MEMORY, "out of memory: running the template");
    return ink_fail(run->ctx, INK_ERROR_LIMIT, "the template needs more memory than template_bytes of ink_limits");
}

ink_result ink_jinja_spend(ink_jinja *run, size_t steps)
{
    if (steps >= run->steps)
        return ink_fail(run->ctx, INK_ERROR_LIMIT, "the template takes more steps than its limit");
    run->steps -= steps;
    return INK_OK;
}

ink_jinja_value ink_jinja_text(ink_jinja *run, const char *at, size_t size, bool is_data)
{
    ink_jinja_string *text = size <= INT32_MAX ? ink_jinja_alloc(run, 1, sizeof *text) : NULL;
    uint32_t n_chars = 0, code;
    if (text == NULL)
        return (ink_jinja_value){.kind = INK_JINJA_MISSING};
    for (size_t i = 0; i < size; n_chars++)
        i += ink_utf8_next(at + i, size - i, &code);
    *text = (ink_jinja_string){.at = at, .size = (uint32_t)size, .n_chars = n_chars, .is_data = is_data};
    return (ink_jinja_value){.kind = INK_JINJA_TEXT, .text = text};
}

ink_result ink_jinja_part(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop,
                          ink_jinja_value *part)
{
    start = ink_size_min(start, text->size);
    stop = ink_size_max(start, ink_size_min(stop, text->size));
    INK_TRY(ink_jinja_spend(run, 1 + (stop - start) / 16));
    *part = ink_jinja_text(run, text->at + start, stop - start, text->is_data);
    if (part->kind == INK_JINJA_MISSING)
        return ink_jinja_failed(run);
    ink_jinja_string *made = (ink_jinja_string *)(uintptr_t)part->text;
    made->data = text->data != NULL ? text->data + start : NULL;
    made->is_safe = text->is_safe;
    return INK_OK;
}

/* Room for `more` bytes behind what is written. */
static ink_result out_reserve(ink_jinja *run, size_t more)
{
    INK_TRY(ink_jinja_spend(run, 1 + more / 16));
    if (more <= run->out_room - run->n_out)
        return INK_OK;
    size_t room = ink_size_max(2 * run->out_room, ink_size_max(run->n_out + more, 4096));
    char *out = ink_jinja_alloc(run, room, 1);
    uint8_t *data = out != NULL ? ink_jinja_alloc(run, room, 1) : NULL;
    if (data == NULL)
        return ink_jinja_failed(run);
    if (run->n_out > 0) {
        memcpy(out, run->out, run->n_out);
        memcpy(data, run->out_data, run->n_out);
    }
    run->out = out;
    run->out_data = data;
    run->out_room = room;
    return INK_OK;
}

ink_result ink_jinja_write(ink_jinja *run, const char *at, size_t size, bool is_data)
{
    INK_TRY(out_reserve(run, size));
    if (size > 0)
        memcpy(run->out + run->n_out, at, size);
    memset(run->out_data + run->n_out, is_data, size);
    run->n_out += size;
    return INK_OK;
}

ink_result ink_jinja_write_string(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop)
{
    size_t from = run->n_out;
    INK_TRY(ink_jinja_write(run, text->at + start, stop - start, text->is_data));
    if (text->data != NULL)
        memcpy(run->out_data + from, text->data + start, stop - start);
    return INK_OK;
}

ink_result ink_jinja_cut(ink_jinja *run, size_t from, ink_jinja_value *value)
{
    size_t size = run->n_out - from;
    const uint8_t *data = run->out_data + from;
    bool is_data = size > 0 && data[0] != 0, mixed = size > 0 && memchr(data, !is_data, size) != NULL;
    char *bytes = ink_jinja_alloc(run, size, mixed ? 2 : 1);
    if (bytes == NULL)
        return ink_jinja_failed(run);
    run->n_out = from;
    if (size > 0)
        memcpy(bytes, run->out + from, size);
    *value = ink_jinja_text(run, bytes, size, is_data);
    if (value->kind == INK_JINJA_MISSING)
        return ink_jinja_failed(run);
    if (mixed) {
        memcpy(bytes + size, data, size);
        ((ink_jinja_string *)(uintptr_t)value->text)->data = (const uint8_t *)bytes + size;
    }
    return INK_OK;
}

/* ---- containers ------------------------------------------------------------------------------------------------- */

ink_jinja_value ink_jinja_new_list(ink_jinja *run, ink_jinja_kind kind, const ink_jinja_value *items, size_t n)
{
    ink_jinja_list *list = ink_jinja_alloc(run, 1, sizeof *list);
    if (list == NULL)
        return (ink_jinja_value){.kind = INK_JINJA_MISSING};
    *list = (ink_jinja_list){items, n};
    return (ink_jinja_value){.kind = kind, .list = list};
}

ink_jinja_value ink_jinja_new_dict(ink_jinja *run, ink_jinja_kind kind, size_t capacity)
{
    ink_jinja_dict *dict = ink_jinja_alloc(run, 1, sizeof *dict);
    if (dict == NULL)
        return (ink_jinja_value){.kind = INK_JINJA_MISSING};
    *dict = (ink_jinja_dict){.capacity = capacity};
    dict->pairs = capacity > 0 ? ink_jinja_alloc(run, capacity, 2 * sizeof *dict->pairs) : NULL;
    if (capacity > 0 && dict->pairs == NULL)
        return (ink_jinja_value){.kind = INK_JINJA_MISSING};
    return (ink_jinja_value){.kind = kind, .dict = dict};
}

static bool same_text(const ink_jinja_string *a, const ink_jinja_string *b)
{
    return a->size == b->size && memcmp(a->at, b->at, a->size) == 0;
}

/* The value of a number or a truth value. */
static bool as_number(ink_jinja_value value, double *number)
{
    *number = value.kind == INK_JINJA_INT    ? (double)value.integer
              : value.kind == INK_JINJA_BOOL ? (double)value.truth
                                             : value.number;
    return value.kind == INK_JINJA_INT || value.kind == INK_JINJA_BOOL || value.kind == INK_JINJA_FLOAT;
}

static bool as_integer(ink_jinja_value value, int64_t *integer)
{
    *integer = value.kind == INK_JINJA_BOOL ? value.truth : value.integer;
    return value.kind == INK_JINJA_INT || value.kind == INK_JINJA_BOOL;
}

/* Whether two values that hold no others are equal; containers are if they are the same. */
static bool same_scalar(ink_jinja_value a, ink_jinja_value b)
{
    double x, y;
    int64_t i, k;
    if (as_integer(a, &i) && as_integer(b, &k))
        return i == k;
    if (as_number(a, &x) && as_number(b, &y))
        return x == y;
    if (a.kind != b.kind)
        return false;
    if (a.kind == INK_JINJA_TEXT)
        return same_text(a.text, b.text);
    return a.kind == INK_JINJA_NONE || a.kind == INK_JINJA_UNDEFINED || a.object == b.object;
}

const ink_jinja_value *ink_jinja_find(const ink_jinja_dict *dict, const ink_jinja_string *key)
{
    for (size_t i = 0; i < dict->n; i++)
        if (dict->pairs[2 * i].kind == INK_JINJA_TEXT && same_text(dict->pairs[2 * i].text, key))
            return &dict->pairs[2 * i + 1];
    return NULL;
}

static ink_result find_pair(ink_jinja *run, const ink_jinja_dict *dict, ink_jinja_value key, ink_jinja_value **pair)
{
    *pair = NULL;
    INK_TRY(ink_jinja_spend(run, 1 + dict->n / 4));
    for (size_t i = 0; i < dict->n && *pair == NULL; i++)
        if (same_scalar(dict->pairs[2 * i], key))
            *pair = &dict->pairs[2 * i];
    return INK_OK;
}

ink_result ink_jinja_put_pair(ink_jinja *run, ink_jinja_dict *dict, ink_jinja_value key, ink_jinja_value value)
{
    ink_jinja_value *pair;
    INK_TRY(find_pair(run, dict, key, &pair));
    if (pair == NULL) {
        if (dict->n == dict->capacity) {
            size_t room = ink_size_max(2 * dict->capacity, 4);
            ink_jinja_value *pairs = ink_jinja_alloc(run, room, 2 * sizeof *pairs);
            if (pairs == NULL)
                return ink_jinja_failed(run);
            if (dict->n > 0)
                memcpy(pairs, dict->pairs, 2 * dict->n * sizeof *pairs);
            dict->pairs = pairs;
            dict->capacity = room;
        }
        pair = &dict->pairs[2 * dict->n++];
        pair[0] = key;
    }
    pair[1] = value;
    return INK_OK;
}

/* ---- what values are -------------------------------------------------------------------------------------------- */

const char *ink_jinja_kind_name(ink_jinja_value value)
{
    static const char *const names[] = {"nothing",   "undefined", "None",  "bool",     "int",
                                        "float",     "str",       "list",  "tuple",    "dict",
                                        "namespace", "loop",      "macro", "function", "method"};
    return names[value.kind];
}

ink_result ink_jinja_undefined(ink_jinja *run, ink_jinja_value value)
{
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "'%.*s' is undefined", value.text != NULL ? (int)value.text->size : 1,
                    value.text != NULL ? value.text->at : "?");
}

bool ink_jinja_truth(ink_jinja_value value)
{
    switch (value.kind) {
    case INK_JINJA_BOOL:
        return value.truth;
    case INK_JINJA_INT:
        return value.integer != 0;
    case INK_JINJA_FLOAT:
        return value.number != 0;
    case INK_JINJA_TEXT:
        return value.text->size > 0;
    case INK_JINJA_LIST:
    case INK_JINJA_TUPLE:
        return value.list->n > 0;
    case INK_JINJA_DICT:
        return value.dict->n > 0;
    default:
        return value.kind > INK_JINJA_NONE;
    }
}

static bool is_list(ink_jinja_value value) { return value.kind == INK_JINJA_LIST || value.kind == INK_JINJA_TUPLE; }

ink_result ink_jinja_equal(ink_jinja *run, ink_jinja_value a, ink_jinja_value b, bool *equal)
{
    struct {
        ink_jinja_value a, b;
        size_t i;
    } level[INK_JINJA_DEPTH];
    size_t depth = 0;
    *equal = false;
    for (;;) {
        INK_TRY(ink_jinja_spend(run, 1));
        bool lists = is_list(a) && a.kind == b.kind && a.list != b.list;
        bool dicts = a.kind == INK_JINJA_DICT && b.kind == a.kind && a.dict != b.dict;
        if (lists || dicts) {
            if (lists ? a.list->n != b.list->n : a.dict->n != b.dict->n)
                return INK_OK;
            if (depth == INK_JINJA_DEPTH)
                return ink_fail(run->ctx, INK_ERROR_LIMIT, "values in values deeper than %d", INK_JINJA_DEPTH);
            level[depth].a = a;
            level[depth].b = b;
            level[depth++].i = 0;
        } else if (!same_scalar(a, b)) {
            return INK_OK;
        }
        while (depth > 0 && level[depth - 1].i ==
                                (is_list(level[depth - 1].a) ? level[depth - 1].a.list->n : level[depth - 1].a.dict->n))
            depth--;
        if (depth == 0)
            break;
        size_t i = level[depth - 1].i++;
        if (is_list(level[depth - 1].a)) {
            a = level[depth - 1].a.list->items[i];
            b = level[depth - 1].b.list->items[i];
        } else {
            ink_jinja_value *pair;
            INK_TRY(find_pair(run, level[depth - 1].b.dict, level[depth - 1].a.dict->pairs[2 * i], &pair));
            if (pair == NULL)
                return INK_OK;
            a = level[depth - 1].a.dict->pairs[2 * i + 1];
            b = pair[1];
        }
    }
    *equal = true;
    return INK_OK;
}

ink_result ink_jinja_order(ink_jinja *run, ink_jinja_value a, ink_jinja_value b, int *order)
{
    double x, y;
    int64_t i, k;
    while (is_list(a) && a.kind == b.kind) { /* the first items that differ decide */
        size_t n = ink_size_min(a.list->n, b.list->n), at = 0;
        bool equal = true;
        for (; at < n; at++) {
            INK_TRY(ink_jinja_equal(run, a.list->items[at], b.list->items[at], &equal));
            if (!equal)
                break;
        }
        if (equal) {
            *order = (a.list->n > b.list->n) - (a.list->n < b.list->n);
            return INK_OK;
        }
        ink_jinja_value first = a.list->items[at];
        b = b.list->items[at];
        a = first;
    }
    if (as_integer(a, &i) && as_integer(b, &k)) {
        *order = (i > k) - (i < k);
    } else if (as_number(a, &x) && as_number(b, &y)) {
        *order = x > y ? 1 : x < y ? -1 : x == y ? 0 : 2; /* 2: not a number */
    } else if (a.kind == INK_JINJA_TEXT && b.kind == INK_JINJA_TEXT) {
        size_t n = ink_size_min(a.text->size, b.text->size);
        INK_TRY(ink_jinja_spend(run, 1 + n / 16));
        *order = n > 0 ? memcmp(a.text->at, b.text->at, n) : 0;
        if (*order == 0)
            *order = (a.text->size > b.text->size) - (a.text->size < b.text->size);
        *order = (*order > 0) - (*order < 0);
    } else if (a.kind == INK_JINJA_UNDEFINED || b.kind == INK_JINJA_UNDEFINED) {
        return ink_jinja_undefined(run, a.kind == INK_JINJA_UNDEFINED ? a : b);
    } else {
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a value of type %s has no order with one of type %s",
                        ink_jinja_kind_name(a), ink_jinja_kind_name(b));
    }
    return INK_OK;
}

ink_result ink_jinja_place(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop,
                           const ink_jinja_string *what, bool last, size_t *at)
{
    size_t i = 0;
    *at = SIZE_MAX;
    for (const size_t n = stop - start; i + what->size <= n; i++) {
        size_t here = last ? stop - what->size - i : start + i;
        if (what->size > 0 && text->at[here] != what->at[0])
            continue;
        INK_TRY(ink_jinja_spend(run, 1 + what->size / 16));
        if (what->size == 0 || memcmp(text->at + here, what->at, what->size) == 0) {
            *at = here;
            break;
        }
    }
    return ink_jinja_spend(run, 1 + i / 16);
}

ink_result ink_jinja_contains(ink_jinja *run, ink_jinja_value container, ink_jinja_value item, bool *found)
{
    *found = false;
    if (container.kind == INK_JINJA_TEXT && item.kind == INK_JINJA_TEXT) {
        size_t at;
        INK_TRY(ink_jinja_place(run, container.text, 0, container.text->size, item.text, false, &at));
        *found = at != SIZE_MAX;
        return INK_OK;
    }
    if (container.kind == INK_JINJA_DICT) {
        ink_jinja_value *pair;
        INK_TRY(find_pair(run, container.dict, item, &pair));
        *found = pair != NULL;
        return INK_OK;
    }
    if (container.kind == INK_JINJA_TEXT)
        return item.kind == INK_JINJA_UNDEFINED
                   ? ink_jinja_undefined(run, item)
                   : ink_fail(run->ctx, INK_ERROR_MISMATCH, "a value of type %s is looked for in a str",
                              ink_jinja_kind_name(item));
    ink_jinja_list items;
    INK_TRY(ink_jinja_items(run, container, &items));
    for (size_t i = 0; i < items.n && !*found; i++)
        INK_TRY(ink_jinja_equal(run, items.items[i], item, found));
    return INK_OK;
}

ink_result ink_jinja_compare(ink_jinja *run, ink_jinja_operator op, ink_jinja_value a, ink_jinja_value b, bool *truth)
{
    int order;
    if (op == INK_JINJA_EQ || op == INK_JINJA_NE) {
        INK_TRY(ink_jinja_equal(run, a, b, truth));
        *truth = *truth == (op == INK_JINJA_EQ);
        return INK_OK;
    }
    if (op == INK_JINJA_IN || op == INK_JINJA_NOT_IN) {
        INK_TRY(ink_jinja_contains(run, b, a, truth));
        *truth = *truth == (op == INK_JINJA_IN);
        return INK_OK;
    }
    INK_TRY(ink_jinja_order(run, a, b, &order));
    *truth = order != 2 && (op == INK_JINJA_LT   ? order < 0
                            : op == INK_JINJA_LE ? order <= 0
                            : op == INK_JINJA_GT ? order > 0
                                                 : order >= 0);
    return INK_OK;
}

/* ---- operators -------------------------------------------------------------------------------------------------- */

static ink_result operator_fails(ink_jinja *run, const char *what, ink_jinja_value a, ink_jinja_value b)
{
    if (a.kind == INK_JINJA_UNDEFINED || b.kind == INK_JINJA_UNDEFINED)
        return ink_jinja_undefined(run, a.kind == INK_JINJA_UNDEFINED ? a : b);
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "%s is not possible for values of type %s and %s", what,
                    ink_jinja_kind_name(a), ink_jinja_kind_name(b));
}

static ink_result too_large(const ink_jinja *run)
{
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a number is beyond 64 bits");
}

/* x^n by products, 1 / x^-n for n < 0. */
static double power_of(double x, int64_t n)
{
    double power = 1;
    for (uint64_t k = n < 0 ? 0 - (uint64_t)n : (uint64_t)n; k > 0; k /= 2, x *= x)
        power *= k % 2 == 1 ? x : 1;
    return n < 0 ? 1 / power : power;
}

/* What is left of x >= 0 when y > 0 has been taken off as often as possible, exactly. */
static double remainder_of(double x, double y)
{
    double step = y;
    if (!(x - x == 0) || !(y - y == 0)) /* an infinity */
        return x - x == 0 ? x : x - x;
    while (step <= x / 2)
        step *= 2;
    for (; step >= y; step /= 2)
        x -= x >= step ? step : 0;
    return x;
}

double ink_jinja_floor(double x)
{
    if (!(x > -9e15 && x < 9e15))
        return x;
    double whole = (double)(int64_t)x;
    return whole - (whole > x);
}

static ink_result integer_operator(ink_jinja *run, ink_jinja_operator op, int64_t a, int64_t b, ink_jinja_value *value)
{
    int64_t r = 0, power = 1;
    bool fits = true;
    if ((op == INK_JINJA_DIV || op == INK_JINJA_FLOOR_DIV || op == INK_JINJA_MOD) && b == 0)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "division by zero");
    switch (op) {
    case INK_JINJA_ADD:
        fits = b >= 0 ? a <= INT64_MAX - b : a >= INT64_MIN - b;
        r = fits ? a + b : 0;
        break;
    case INK_JINJA_SUB:
        fits = b >= 0 ? a >= INT64_MIN + b : a <= INT64_MAX + b;
        r = fits ? a - b : 0;
        break;
    case INK_JINJA_POW:
        if (b < 0) {
            *value = ink_jinja_float(power_of((double)a, b));
            return a != 0 ? INK_OK : ink_fail(run->ctx, INK_ERROR_MISMATCH, "division by zero");
        }
        if (b > 64 && (a > 1 || a < -1))
            return too_large(run);
        for (b = a == 0 || a == 1 ? (b > 0) : a == -1 ? b % 2 : b; b > 0; b--) {
            INK_TRY(integer_operator(run, INK_JINJA_MUL, power, a, value));
            power = value->integer;
        }
        r = power;
        break;
    case INK_JINJA_MUL:
        if (a != 0 && b != 0) {
            const uint64_t most = (a < 0) == (b < 0) ? (uint64_t)INT64_MAX : (uint64_t)INT64_MAX + 1;
            const uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
            fits = x <= most / y;
            r = fits ? (int64_t)((uint64_t)a * (uint64_t)b) : 0;
        }
        break;
    case INK_JINJA_DIV:
        *value = ink_jinja_float((double)a / (double)b);
        return INK_OK;
    default: /* rounded down, as in Python */
        fits = !(a == INT64_MIN && b == -1);
        if (fits) {
            int64_t rest = a % b, quotient = a / b;
            bool down = rest != 0 && (rest < 0) != (b < 0);
            r = op == INK_JINJA_MOD ? rest + (down ? b : 0) : quotient - down;
        }
        break;
    }
    *value = ink_jinja_int(r);
    return fits ? INK_OK : too_large(run);
}

/* A list or string several times. */
static ink_result repeat(ink_jinja *run, ink_jinja_value what, int64_t times, ink_jinja_value *value)
{
    size_t n = times > 0 ? (size_t)times : 0, from = run->n_out, total;
    if (what.kind == INK_JINJA_TEXT) {
        n = what.text->size > 0 ? n : 0;
        for (size_t i = 0; i < n; i++)
            INK_TRY(ink_jinja_write_string(run, what.text, 0, what.text->size));
        return ink_jinja_cut(run, from, value);
    }
    if (!ink_size_mul(n, what.list->n, &total))
        total = SIZE_MAX;
    INK_TRY(ink_jinja_spend(run, total));
    ink_jinja_value *items = ink_jinja_alloc(run, total, sizeof *items);
    if (items == NULL)
        return ink_jinja_failed(run);
    for (size_t i = 0; i < total; i++)
        items[i] = what.list->items[i % what.list->n];
    *value = ink_jinja_new_list(run, what.kind, items, total);
    return value->kind != INK_JINJA_MISSING ? INK_OK : ink_jinja_failed(run);
}

/* a + b and a ~ b for strings. What + adds to a safe string is escaped. */
static ink_result join_two(ink_jinja *run, bool adds, ink_jinja_value a, ink_jinja_value b, ink_jinja_value *value)
{
    size_t from = run->n_out;
    const ink_jinja_string escape = {.at = "escape", .size = 6, .n_chars = 6};
    bool safe = adds && (a.text->is_safe || b.text->is_safe);
    if (safe) {
        INK_TRY(ink_jinja_filter(run, &escape, &(ink_jinja_call){.self = a}, &a));
        INK_TRY(ink_jinja_filter(run, &escape, &(ink_jinja_call){.self = b}, &b));
    }
    INK_TRY(ink_jinja_print(run, a));
    INK_TRY(ink_jinja_print(run, b));
    INK_TRY(ink_jinja_cut(run, from, value));
    ((ink_jinja_string *)(uintptr_t)value->text)->is_safe = safe;
    return INK_OK;
}

ink_result ink_jinja_binary(ink_jinja *run, ink_jinja_operator op, ink_jinja_value a, ink_jinja_value b,
                            ink_jinja_value *value)
{
    static const char *const names[] = {"+", "-", "~", "*", "/", "//", "%", "**"};
    int64_t i, k;
    double x, y, r = 0;
    if (op == INK_JINJA_JOIN || (op == INK_JINJA_ADD && a.kind == INK_JINJA_TEXT && b.kind == INK_JINJA_TEXT))
        return join_two(run, op == INK_JINJA_ADD, a, b, value);
    if (op == INK_JINJA_ADD && is_list(a) && a.kind == b.kind) {
        size_t n = a.list->n + b.list->n;
        INK_TRY(ink_jinja_spend(run, 1 + n / 4));
        ink_jinja_value *items = ink_jinja_alloc(run, n, sizeof *items);
        if (items == NULL)
            return ink_jinja_failed(run);
        if (a.list->n > 0)
            memcpy(items, a.list->items, a.list->n * sizeof *items);
        if (b.list->n > 0)
            memcpy(items + a.list->n, b.list->items, b.list->n * sizeof *items);
        *value = ink_jinja_new_list(run, a.kind, items, n);
        return value->kind != INK_JINJA_MISSING ? INK_OK : ink_jinja_failed(run);
    }
    if (op == INK_JINJA_MOD && a.kind == INK_JINJA_TEXT)
        return ink_jinja_percent(run, a.text, b, value);
    if (op == INK_JINJA_MUL && (a.kind == INK_JINJA_TEXT || is_list(a)) && as_integer(b, &k))
        return repeat(run, a, k, value);
    if (op == INK_JINJA_MUL && (b.kind == INK_JINJA_TEXT || is_list(b)) && as_integer(a, &i))
        return repeat(run, b, i, value);
    if (as_integer(a, &i) && as_integer(b, &k))
        return integer_operator(run, op, i, k, value);
    if (!as_number(a, &x) || !as_number(b, &y))
        return operator_fails(run, names[op], a, b);
    if (y == 0 && (op == INK_JINJA_DIV || op == INK_JINJA_FLOOR_DIV || op == INK_JINJA_MOD))
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "division by zero");
    switch (op) {
    case INK_JINJA_ADD:
        r = x + y;
        break;
    case INK_JINJA_SUB:
        r = x - y;
        break;
    case INK_JINJA_MUL:
        r = x * y;
        break;
    case INK_JINJA_DIV:
        r = x / y;
        break;
    case INK_JINJA_POW:
        if (y != ink_jinja_floor(y) || !(y > -9e15 && y < 9e15))
            return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "a power whose exponent is no whole number");
        r = power_of(x, (int64_t)y);
        break;
    default: { /* as float_divmod of Python */
        double rest = remainder_of(x < 0 ? -x : x, y < 0 ? -y : y);
        rest = x < 0 ? -rest : rest;
        double quotient = (x - rest) / y;
        if (rest != 0 && (y < 0) != (rest < 0)) {
            rest += y;
            quotient -= 1;
        } else if (rest == 0) {
            rest = y < 0 ? -0.0 : 0.0;
        }
        double whole = ink_jinja_floor(quotient);
        whole += quotient - whole > 0.5 ? 1 : 0;
        r = op == INK_JINJA_MOD ? rest : quotient != 0 ? whole : 0.0 * (x / y);
        break;
    }
    }
    *value = ink_jinja_float(r);
    return INK_OK;
}

static ink_result negate(ink_jinja *run, ink_jinja_value *value, bool plus)
{
    int64_t i;
    if (as_integer(*value, &i)) {
        if (i == INT64_MIN && !plus)
            return too_large(run);
        *value = ink_jinja_int(plus ? i : -i);
    } else if (value->kind == INK_JINJA_FLOAT) {
        value->number = plus ? value->number : -value->number;
    } else {
        return operator_fails(run, plus ? "+" : "-", *value, *value);
    }
    return INK_OK;
}

/* ---- items and members ------------------------------------------------------------------------------------------ */

ink_result ink_jinja_items(ink_jinja *run, ink_jinja_value value, ink_jinja_list *items)
{
    ink_jinja_value *made;
    size_t n = value.kind == INK_JINJA_DICT ? value.dict->n : value.kind == INK_JINJA_TEXT ? value.text->n_chars : 0;
    *items = (ink_jinja_list){NULL, 0};
    INK_TRY(ink_jinja_spend(run, 1 + n));
    switch (value.kind) {
    case INK_JINJA_LIST:
    case INK_JINJA_TUPLE:
        *items = *value.list;
        return INK_OK;
    case INK_JINJA_UNDEFINED:
        return INK_OK;
    case INK_JINJA_DICT:
    case INK_JINJA_TEXT:
        made = ink_jinja_alloc(run, n, sizeof *made);
        if (made == NULL)
            return ink_jinja_failed(run);
        for (size_t i = 0, at = 0; i < n; i++) {
            uint32_t code;
            if (value.kind == INK_JINJA_DICT) {
                made[i] = value.dict->pairs[2 * i];
                continue;
            }
            size_t length = ink_utf8_next(value.text->at + at, value.text->size - at, &code);
            INK_TRY(ink_jinja_part(run, value.text, at, at + length, &made[i]));
            ((ink_jinja_string *)(uintptr_t)made[i].text)->is_safe = false;
            at += length;
        }
        *items = (ink_jinja_list){made, n};
        return INK_OK;
    default:
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a value of type %s has no items to go over",
                        ink_jinja_kind_name(value));
    }
}

/* Where the i-th character of a string begins, from its end if i is negative. */
static size_t char_place(const ink_jinja_string *text, size_t i)
{
    uint32_t code;
    size_t at = 0;
    if (text->n_chars == text->size)
        return ink_size_min(i, text->size);
    while (i-- > 0 && at < text->size)
        at += ink_utf8_next(text->at + at, text->size - at, &code);
    return at;
}

static ink_result undefined_member(ink_jinja_value name, ink_jinja_value *member)
{
    *member = (ink_jinja_value){.kind = INK_JINJA_UNDEFINED, .text = name.kind == INK_JINJA_TEXT ? name.text : NULL};
    return INK_OK;
}

static ink_result loop_member(const ink_jinja_loop *loop, ink_jinja_value name, ink_jinja_value *member)
{
    static const char *const names[] = {"index",  "index0", "revindex", "revindex0", "first",    "last",
                                        "length", "depth",  "depth0",   "previtem",  "nextitem", NULL};
    const int64_t n = (int64_t)loop->n, at = (int64_t)loop->index - 1;
    size_t i = 0;
    while (names[i] != NULL && !ink_jinja_named(name.text, names[i]))
        i++;
    switch (i) {
    case 0:
    case 1:
        *member = ink_jinja_int(at + (i == 0));
        return INK_OK;
    case 2:
    case 3:
        *member = ink_jinja_int(n - at - (i == 3));
        return INK_OK;
    case 4:
    case 5:
        *member = ink_jinja_bool(i == 4 ? at == 0 : at + 1 == n);
        return INK_OK;
    case 6:
        *member = ink_jinja_int(n);
        return INK_OK;
    case 7:
    case 8:
        *member = ink_jinja_int(i == 7);
        return INK_OK;
    case 9:
    case 10:
        if (i == 9 ? at == 0 : at + 1 == n)
            return undefined_member(name, member);
        *member = loop->items[i == 9 ? at - 1 : at + 1];
        return INK_OK;
    default:
        *member = ink_jinja_method((ink_jinja_value){.kind = INK_JINJA_LOOP, .object = loop}, name.text);
        return INK_OK;
    }
}

/* x.name: a method, or a member; of a dict methods come first, as in Jinja2. */
ink_result ink_jinja_member(ink_jinja *run, ink_jinja_value of, const ink_jinja_value *name, ink_jinja_value *member)
{
    const ink_jinja_value *found = NULL;
    switch (of.kind) {
    case INK_JINJA_UNDEFINED:
        return ink_jinja_undefined(run, of);
    case INK_JINJA_LOOP:
        return loop_member(of.loop, *name, member);
    case INK_JINJA_NAMESPACE:
        found = ink_jinja_find(of.dict, name->text);
        *member = found != NULL ? *found : (ink_jinja_value){.kind = INK_JINJA_UNDEFINED, .text = name->text};
        return INK_OK;
    case INK_JINJA_MACRO:
        if (ink_jinja_named(name->text, "name")) {
            *member = run->program->names[of.closure->macro->name];
            return INK_OK;
        }
        return undefined_member(*name, member);
    case INK_JINJA_TUPLE: /* what groupby makes */
        if (of.list->n == 2 && (ink_jinja_named(name->text, "grouper") || ink_jinja_named(name->text, "list"))) {
            *member = of.list->items[ink_jinja_named(name->text, "list")];
            return INK_OK;
        }
        break;
    default:
        break;
    }
    *member = ink_jinja_method(of, name->text);
    if (member->kind != INK_JINJA_UNDEFINED || of.kind != INK_JINJA_DICT)
        return INK_OK;
    INK_TRY(ink_jinja_spend(run, 1 + of.dict->n / 4));
    found = ink_jinja_find(of.dict, name->text);
    if (found != NULL)
        *member = *found;
    return INK_OK;
}

/* x[key]. */
ink_result ink_jinja_item(ink_jinja *run, ink_jinja_value of, ink_jinja_value key, ink_jinja_value *item)
{
    int64_t i;
    ink_jinja_value *pair;
    if (of.kind == INK_JINJA_UNDEFINED)
        return ink_jinja_undefined(run, of);
    if (of.kind == INK_JINJA_DICT) {
        INK_TRY(find_pair(run, of.dict, key, &pair));
        if (pair != NULL) {
            *item = pair[1];
            return INK_OK;
        }
    }
    bool texts = of.kind == INK_JINJA_TEXT;
    if ((is_list(of) || texts) && as_integer(key, &i)) {
        const int64_t n = texts ? of.text->n_chars : (int64_t)of.list->n;
        i += i < 0 ? n : 0;
        if (i < 0 || i >= n)
            return undefined_member(key, item);
        if (!texts) {
            *item = of.list->items[i];
            return INK_OK;
        }
        size_t at = char_place(of.text, (size_t)i);
        uint32_t code;
        INK_TRY(ink_jinja_spend(run, 1 + at / 16));
        return ink_jinja_part(run, of.text, at, at + ink_utf8_next(of.text->at + at, of.text->size - at, &code), item);
    }
    if (key.kind == INK_JINJA_TEXT)
        return ink_jinja_member(run, of, &key, item);
    return undefined_member(key, item);
}

/* A bound of a slice, within the n items there are. */
static ink_result slice_bound(ink_jinja *run, ink_jinja_value value, int64_t n, bool backward, int64_t otherwise,
                              int64_t *bound)
{
    *bound = otherwise;
    if (value.kind == INK_JINJA_NONE)
        return INK_OK;
    if (!as_integer(value, bound))
        return value.kind == INK_JINJA_UNDEFINED
                   ? ink_jinja_undefined(run, value)
                   : ink_fail(run->ctx, INK_ERROR_MISMATCH, "the bound of a slice is a value of type %s",
                              ink_jinja_kind_name(value));
    *bound += *bound < 0 ? n : 0;
    const int64_t low = backward ? -1 : 0, high = backward ? n - 1 : n;
    *bound = *bound < low ? low : *bound > high ? high : *bound;
    return INK_OK;
}

static ink_result take_slice(ink_jinja *run, const ink_jinja_value *x, ink_jinja_value *slice)
{
    ink_jinja_value of = x[0];
    int64_t step = 1, start, stop;
    bool texts = of.kind == INK_JINJA_TEXT;
    if (of.kind == INK_JINJA_UNDEFINED)
        return ink_jinja_undefined(run, of);
    if (!texts && !is_list(of))
        return undefined_member(of, slice); /* as Jinja2: it has no such item */
    if (x[3].kind != INK_JINJA_NONE && (!as_integer(x[3], &step) || step == 0))
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "the step of a slice is no number or 0");
    const int64_t n = texts ? of.text->n_chars : (int64_t)of.list->n;
    INK_TRY(slice_bound(run, x[1], n, step < 0, step < 0 ? n - 1 : 0, &start));
    INK_TRY(slice_bound(run, x[2], n, step < 0, step < 0 ? -1 : n, &stop));
    if (step == 1) { /* a part of what is there */
        stop = stop > start ? stop : start;
        if (texts)
            return ink_jinja_part(run, of.text, char_place(of.text, (size_t)start), char_place(of.text, (size_t)stop),
                                  slice);
        *slice = ink_jinja_new_list(run, of.kind, of.list->items + start, (size_t)(stop - start));
        return slice->kind != INK_JINJA_MISSING ? INK_OK : ink_jinja_failed(run);
    }
    ink_jinja_list items;
    size_t count = 0, from = run->n_out;
    INK_TRY(ink_jinja_items(run, of, &items));
    ink_jinja_value *made = ink_jinja_alloc(run, items.n, sizeof *made);
    if (made == NULL)
        return ink_jinja_failed(run);
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
        made[count++] = items.items[i];
        if (step > 0 ? step >= stop - i : step <= stop - i)
            break;
        i += step;
    }
    INK_TRY(ink_jinja_spend(run, count));
    if (texts) {
        for (size_t i = 0; i < count; i++)
            INK_TRY(ink_jinja_print(run, made[i]));
        return ink_jinja_cut(run, from, slice);
    }
    *slice = ink_jinja_new_list(run, of.kind, made, count);
    return slice->kind != INK_JINJA_MISSING ? INK_OK : ink_jinja_failed(run);
}

/* ---- variables -------------------------------------------------------------------------------------------------- */

static binding *find_binding(const ink_jinja_scope *scope, uint32_t name)
{
    binding *b = scope->bindings;
    while (b != NULL && b->name != name)
        b = b->next;
    return b;
}

static ink_result store(ink_jinja *run, uint32_t name, ink_jinja_value value)
{
    binding *b = find_binding(run->scope, name);
    if (b == NULL) {
        b = ink_jinja_alloc(run, 1, sizeof *b);
        if (b == NULL)
            return ink_jinja_failed(run);
        *b = (binding){.name = name, .next = run->scope->bindings};
        run->scope->bindings = b;
    }
    b->value = value;
    return INK_OK;
}

static ink_jinja_value load(const ink_jinja *run, uint32_t name)
{
    for (const ink_jinja_scope *scope = run->scope; scope != NULL; scope = scope->parent) {
        const binding *b = find_binding(scope, name);
        if (b != NULL && b->value.kind != INK_JINJA_MISSING)
            return b->value;
    }
    const ink_jinja_string *text = run->program->names[name].text;
    ink_jinja_value value = ink_jinja_global(text);
    if (value.kind == INK_JINJA_UNDEFINED)
        value.text = text;
    return value;
}

static ink_result enter_scope(ink_jinja *run, ink_jinja_scope *parent)
{
    ink_jinja_scope *scope = ink_jinja_alloc(run, 1, sizeof *scope);
    if (scope == NULL)
        return ink_jinja_failed(run);
    *scope = (ink_jinja_scope){.parent = parent};
    run->scope = scope;
    return INK_OK;
}

static ink_result store_member(ink_jinja *run, const ink_jinja_op *op, ink_jinja_value value)
{
    ink_jinja_value space = load(run, op->arg), name = run->program->names[op->other];
    if (space.kind != INK_JINJA_NAMESPACE)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a member of '%.*s' is set, which is no namespace",
                        (int)run->program->names[op->arg].text->size, run->program->names[op->arg].text->at);
    return ink_jinja_put_pair(run, space.dict, name, value);
}

/* ---- the stack -------------------------------------------------------------------------------------------------- */

static ink_result push(ink_jinja *run, ink_jinja_value value)
{
    if (value.kind == INK_JINJA_MISSING)
        return ink_jinja_failed(run);
    if (run->n_stack == run->stack_room) {
        size_t room = ink_size_max(64, 2 * run->stack_room);
        ink_jinja_value *stack = room <= MOST_STACK ? ink_jinja_alloc(run, room, sizeof *stack) : NULL;
        if (stack == NULL)
            return ink_jinja_failed(run);
        if (run->n_stack > 0)
            memcpy(stack, run->stack, run->n_stack * sizeof *stack);
        run->stack = stack;
        run->stack_room = room;
    }
    run->stack[run->n_stack++] = value;
    return INK_OK;
}

static ink_jinja_value pop(ink_jinja *run) { return run->stack[--run->n_stack]; }

static ink_jinja_value *top(ink_jinja *run) { return &run->stack[run->n_stack - 1]; }

/* The n values on top become a list, tuple or dict. */
static ink_result gather(ink_jinja *run, const ink_jinja_op *op)
{
    size_t n = op->n;
    if (op->code == INK_OP_DICT) {
        ink_jinja_value dict = ink_jinja_new_dict(run, INK_JINJA_DICT, n);
        if (dict.kind == INK_JINJA_MISSING)
            return ink_jinja_failed(run);
        run->n_stack -= 2 * n;
        for (size_t i = 0; i < n; i++)
            INK_TRY(ink_jinja_put_pair(run, dict.dict, run->stack[run->n_stack + 2 * i],
                                       run->stack[run->n_stack + 2 * i + 1]));
        return push(run, dict);
    }
    ink_jinja_value *items = ink_jinja_alloc(run, n, sizeof *items);
    if (items == NULL)
        return ink_jinja_failed(run);
    run->n_stack -= n;
    if (n > 0)
        memcpy(items, run->stack + run->n_stack, n * sizeof *items);
    return push(run, ink_jinja_new_list(run, op->flags ? INK_JINJA_TUPLE : INK_JINJA_LIST, items, n));
}

static ink_result unpack(ink_jinja *run, size_t n)
{
    ink_jinja_list items;
    INK_TRY(ink_jinja_items(run, pop(run), &items));
    if (items.n != n)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "%zu names are set to %zu values", n, items.n);
    while (n-- > 0)
        INK_TRY(push(run, items.items[n]));
    return INK_OK;
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

/* Takes the arguments of a call from the stack. Those of *x and **x are put beside the others. */
static ink_result take_arguments(ink_jinja *run, const ink_jinja_op *op, ink_jinja_call *call, ink_jinja_value *caller)
{
    const bool star = (op->flags & INK_JINJA_STAR) != 0, stars = (op->flags & INK_JINJA_STAR_STAR) != 0;
    *caller = (ink_jinja_value){.kind = INK_JINJA_UNDEFINED, .text = run->program->names[INK_JINJA_CALLER_NAME].text};
    if ((op->flags & INK_JINJA_CALLER) != 0)
        *caller = pop(run);
    ink_jinja_value more = stars ? pop(run) : (ink_jinja_value){.kind = INK_JINJA_NONE};
    const size_t n_keywords = op->other == INK_JINJA_NONE_NEXT ? 0 : op->other;
    run->n_stack -= 2 * n_keywords + star + op->n;
    const ink_jinja_value *at = run->stack + run->n_stack;
    *call = (ink_jinja_call){.args = at, .n_args = op->n, .keywords = at + op->n + star, .n_keywords = n_keywords};
    if (star) {
        ink_jinja_list list;
        INK_TRY(ink_jinja_items(run, at[op->n], &list));
        ink_jinja_value *args = ink_jinja_alloc(run, op->n + list.n, sizeof *args);
        if (args == NULL)
            return ink_jinja_failed(run);
        if (op->n > 0)
            memcpy(args, at, op->n * sizeof *args);
        if (list.n > 0)
            memcpy(args + op->n, list.items, list.n * sizeof *args);
        call->args = args;
        call->n_args += list.n;
    }
    if (stars) {
        if (more.kind != INK_JINJA_DICT)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "**x of a value of type %s", ink_jinja_kind_name(more));
        ink_jinja_value *pairs = ink_jinja_alloc(run, n_keywords + more.dict->n, 2 * sizeof *pairs);
        if (pairs == NULL)
            return ink_jinja_failed(run);
        if (n_keywords > 0)
            memcpy(pairs, call->keywords, 2 * n_keywords * sizeof *pairs);
        if (more.dict->n > 0)
            memcpy(pairs + 2 * n_keywords, more.dict->pairs, 2 * more.dict->n * sizeof *pairs);
        call->keywords = pairs;
        call->n_keywords += more.dict->n;
    }
    for (size_t i = 0; i < call->n_keywords; i++)
        if (call->keywords[2 * i].kind != INK_JINJA_TEXT)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a keyword is a value of type %s",
                            ink_jinja_kind_name(call->keywords[2 * i]));
    return INK_OK;
}

static ink_result push_frame(ink_jinja *run, uint32_t back)
{
    if (run->n_frames == INK_JINJA_CALLS)
        return ink_fail(run->ctx, INK_ERROR_LIMIT, "calls in calls deeper than %d", INK_JINJA_CALLS);
    run->frames[run->n_frames++] =
        (ink_jinja_frame){.back = back, .scope = run->scope, .loop = run->loop, .from = run->n_out};
    return INK_OK;
}

/* Binds the arguments, and goes to the code of the macro. */
static ink_result call_macro(ink_jinja *run, const ink_jinja_closure *closure, const ink_jinja_call *call,
                             ink_jinja_value caller, uint32_t *pc)
{
    const ink_jinja_macro *macro = closure->macro;
    const ink_jinja_value *names = run->program->names;
    const ink_jinja_string *name = names[macro->name].text;
    const size_t n = macro->n_parameters, more = call->n_args > n ? call->n_args - n : 0;
    INK_TRY(push_frame(run, *pc));
    INK_TRY(enter_scope(run, closure->scope));
    for (size_t i = 0; i < n; i++) { /* one that is not given hides a variable of its name around the macro */
        ink_jinja_value value = {.kind = INK_JINJA_UNDEFINED, .which = 1, .text = names[macro->parameters[i]].text};
        if (i < call->n_args)
            value = call->args[i];
        if (i < call->n_args && value.kind == INK_JINJA_UNDEFINED)
            value.which = 0; /* it is given */
        INK_TRY(store(run, macro->parameters[i], value));
    }
    if (more > 0 && !macro->takes_more)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "macro '%.*s' takes %zu arguments, and gets %zu", (int)name->size,
                        name->at, n, call->n_args);
    if (macro->takes_more) {
        ink_jinja_value *rest = ink_jinja_alloc(run, more, sizeof *rest); /* the stack does not keep them */
        if (rest == NULL)
            return ink_jinja_failed(run);
        if (more > 0)
            memcpy(rest, call->args + n, more * sizeof *rest);
        ink_jinja_value tuple = ink_jinja_new_list(run, INK_JINJA_TUPLE, rest, more);
        INK_TRY(tuple.kind != INK_JINJA_MISSING ? store(run, INK_JINJA_VARARGS, tuple) : ink_jinja_failed(run));
    }
    ink_jinja_value rest = {.kind = INK_JINJA_NONE};
    if (macro->takes_keywords) {
        rest = ink_jinja_new_dict(run, INK_JINJA_DICT, 0);
        INK_TRY(rest.kind != INK_JINJA_MISSING ? store(run, INK_JINJA_KWARGS, rest) : ink_jinja_failed(run));
    }
    for (size_t i = 0; i < call->n_keywords; i++) {
        const ink_jinja_value *pair = &call->keywords[2 * i];
        size_t k = 0;
        while (k < n && !same_text(names[macro->parameters[k]].text, pair->text))
            k++;
        if (k < n && k >= call->n_args)
            INK_TRY(store(run, macro->parameters[k], pair[1]));
        else if (k < n || rest.kind != INK_JINJA_DICT)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "macro '%.*s' %s the argument '%.*s'", (int)name->size,
                            name->at, k < n ? "gets twice" : "has no place for", (int)pair->text->size, pair->text->at);
        else
            INK_TRY(ink_jinja_put_pair(run, rest.dict, pair[0], pair[1]));
    }
    INK_TRY(store(run, INK_JINJA_CALLER_NAME, caller));
    *pc = macro->start;
    return INK_OK;
}

static ink_result call_value(ink_jinja *run, const ink_jinja_op *op, uint32_t *pc)
{
    ink_jinja_call call;
    ink_jinja_value caller, value;
    INK_TRY(take_arguments(run, op, &call, &caller));
    ink_jinja_value function = pop(run);
    if (function.kind == INK_JINJA_MACRO)
        return call_macro(run, function.closure, &call, caller, pc);
    if (function.kind == INK_JINJA_UNDEFINED)
        return ink_jinja_undefined(run, function);
    if (function.kind != INK_JINJA_FUNCTION && function.kind != INK_JINJA_METHOD)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a value of type %s is called", ink_jinja_kind_name(function));
    INK_TRY(ink_jinja_apply(run, function, &call, &value));
    return push(run, value);
}

static ink_result apply_filter(ink_jinja *run, const ink_jinja_op *op)
{
    ink_jinja_call call;
    ink_jinja_value caller, value;
    const ink_jinja_string *name = run->program->names[op->arg].text;
    bool truth;
    INK_TRY(take_arguments(run, op, &call, &caller));
    call.self = pop(run);
    if (op->code == INK_OP_FILTER) {
        INK_TRY(ink_jinja_filter(run, name, &call, &value));
        return push(run, value);
    }
    INK_TRY(ink_jinja_test(run, name, &call, &truth));
    return push(run, ink_jinja_bool(truth));
}

/* ---- loops ------------------------------------------------------------------------------------------------------ */

static ink_result begin_loop(ink_jinja *run, bool filters)
{
    ink_jinja_list items;
    INK_TRY(ink_jinja_items(run, pop(run), &items));
    ink_jinja_loop *loop = ink_jinja_alloc(run, 1, sizeof *loop);
    if (loop == NULL)
        return ink_jinja_failed(run);
    *loop = (ink_jinja_loop){.items = items.items, .n = items.n, .outer = run->loop, .scope = run->scope};
    if (filters) {
        loop->kept = ink_jinja_alloc(run, items.n, sizeof *loop->kept);
        if (loop->kept == NULL)
            return ink_jinja_failed(run);
    }
    run->loop = loop;
    return INK_OK;
}

/* The next item, in a scope of its own; false at the end. The scope of the item before is used again if no macro sees
   it. */
static ink_result next_item(ink_jinja *run, bool *there)
{
    ink_jinja_loop *loop = run->loop;
    *there = loop->index < loop->n;
    if (!*there)
        return INK_OK;
    if (loop->inner != NULL && !loop->inner->kept) {
        for (binding *b = loop->inner->bindings; b != NULL; b = b->next)
            b->value.kind = INK_JINJA_MISSING;
        run->scope = loop->inner;
    } else {
        INK_TRY(enter_scope(run, loop->scope));
        loop->inner = run->scope;
    }
    if (loop->kept == NULL) /* a loop that filters has no name */
        INK_TRY(store(run, INK_JINJA_LOOP_NAME, (ink_jinja_value){.kind = INK_JINJA_LOOP, .loop = loop}));
    return push(run, loop->items[loop->index++]);
}

static void end_loop(ink_jinja *run)
{
    run->scope = run->loop->scope;
    run->loop = run->loop->outer;
}

/* ---- the loop over the operations ------------------------------------------------------------------------------- */

static ink_result make_closure(ink_jinja *run, uint32_t macro)
{
    ink_jinja_closure *closure = ink_jinja_alloc(run, 1, sizeof *closure);
    if (closure == NULL)
        return ink_jinja_failed(run);
    *closure = (ink_jinja_closure){&run->program->macros[macro], run->scope};
    for (ink_jinja_scope *scope = run->scope; scope != NULL && !scope->kept; scope = scope->parent)
        scope->kept = true;
    return push(run, (ink_jinja_value){.kind = INK_JINJA_MACRO, .closure = closure});
}

/* One operation; *pc is the next one. */
static ink_result run_op(ink_jinja *run, const ink_jinja_op *op, uint32_t *pc)
{
    const ink_jinja_program *program = run->program;
    ink_jinja_value value, a, b;
    ink_jinja_loop *loop = run->loop;
    bool truth;
    switch ((ink_jinja_code)op->code) {
    case INK_OP_WRITE:
        return ink_jinja_write_string(run, program->constants[op->arg].text, 0, program->constants[op->arg].text->size);
    case INK_OP_PRINT:
        return ink_jinja_print(run, pop(run));
    case INK_OP_CONSTANT:
        return push(run, program->constants[op->arg]);
    case INK_OP_UNDEFINED:
        return push(run, (ink_jinja_value){.kind = INK_JINJA_UNDEFINED});
    case INK_OP_LOAD:
        return push(run, load(run, op->arg));
    case INK_OP_STORE:
        return store(run, op->arg, pop(run));
    case INK_OP_STORE_MEMBER:
        return store_member(run, op, pop(run));
    case INK_OP_UNPACK:
        return unpack(run, op->n);
    case INK_OP_LIST:
    case INK_OP_DICT:
        return gather(run, op);
    case INK_OP_MEMBER:
        return ink_jinja_member(run, *top(run), &program->names[op->arg], top(run));
    case INK_OP_ITEM:
        b = pop(run);
        return ink_jinja_item(run, *top(run), b, top(run));
    case INK_OP_SLICE:
        run->n_stack -= 3;
        return take_slice(run, top(run), top(run));
    case INK_OP_CALL:
        return call_value(run, op, pc);
    case INK_OP_FILTER:
    case INK_OP_TEST:
        return apply_filter(run, op);
    case INK_OP_NEGATE:
        return negate(run, top(run), op->flags != 0);
    case INK_OP_NOT:
        *top(run) = ink_jinja_bool(!ink_jinja_truth(*top(run)));
        return INK_OK;
    case INK_OP_BINARY:
        b = pop(run);
        return ink_jinja_binary(run, (ink_jinja_operator)op->arg, *top(run), b, top(run));
    case INK_OP_COMPARE:
    case INK_OP_CHAIN:
        b = pop(run);
        INK_TRY(ink_jinja_compare(run, (ink_jinja_operator)op->arg, *top(run), b, &truth));
        *top(run) = op->code == INK_OP_CHAIN && truth ? b : ink_jinja_bool(truth);
        *pc = op->code == INK_OP_CHAIN && !truth ? op->other : *pc;
        return INK_OK;
    case INK_OP_AND:
    case INK_OP_OR:
        if (ink_jinja_truth(*top(run)) == (op->code == INK_OP_OR))
            *pc = op->other;
        else
            run->n_stack--;
        return INK_OK;
    case INK_OP_UNLESS:
        a = pop(run);
        *pc = ink_jinja_truth(a) ? *pc : op->other;
        return INK_OK;
    case INK_OP_SCOPE:
        return enter_scope(run, run->scope);
    case INK_OP_UNSCOPE:
        run->scope = run->scope->parent;
        return INK_OK;
    case INK_OP_CAPTURE:
        return push_frame(run, *pc);
    case INK_OP_CAPTURED:
        INK_TRY(ink_jinja_cut(run, run->frames[--run->n_frames].from, &value));
        return push(run, value);
    case INK_OP_FOR:
        return begin_loop(run, op->flags != 0);
    case INK_OP_NEXT:
        INK_TRY(next_item(run, &truth));
        *pc = truth ? *pc : op->other;
        return INK_OK;
    case INK_OP_KEEP:
        if (ink_jinja_truth(pop(run)))
            loop->kept[loop->n_kept++] = loop->items[loop->index - 1];
        return INK_OK;
    case INK_OP_KEPT:
        end_loop(run);
        return push(run, ink_jinja_new_list(run, INK_JINJA_LIST, loop->kept, loop->n_kept));
    case INK_OP_DONE:
        *pc = loop->n == 0 ? op->other : *pc;
        end_loop(run);
        return INK_OK;
    case INK_OP_BREAK:
        end_loop(run);
        return INK_OK;
    case INK_OP_MACRO:
        return make_closure(run, op->arg);
    case INK_OP_DEFAULT:
        value = load(run, op->arg);
        *pc = value.kind == INK_JINJA_UNDEFINED && value.which == 1 ? *pc : op->other;
        return INK_OK;
    case INK_OP_RETURN: {
        const ink_jinja_frame frame = run->frames[--run->n_frames];
        run->scope = frame.scope;
        run->loop = frame.loop;
        *pc = frame.back;
        INK_TRY(ink_jinja_cut(run, frame.from, &value));
        return push(run, value);
    }
    default:
        return INK_OK;
    }
}

ink_result ink_jinja_begin(ink_jinja *run, ink_context *ctx, const ink_jinja_program *program, size_t bytes,
                           uint64_t steps)
{
    *run = (ink_jinja){.ctx = ctx, .program = program, .left = bytes, .steps = steps};
    run->mark = ink_arena_mark_here(&ctx->scratch);
    run->frames = ink_jinja_alloc(run, INK_JINJA_CALLS, sizeof *run->frames);
    if (run->frames == NULL)
        return ink_jinja_failed(run);
    INK_TRY(out_reserve(run, 1));
    return enter_scope(run, NULL);
}

ink_result ink_jinja_end(ink_jinja *run, ink_result result) { return ink_scratch_end(run->ctx, run->mark, result); }

ink_result ink_jinja_set(ink_jinja *run, const char *name, size_t size, ink_jinja_value value)
{
    const ink_jinja_string text = {.at = name, .size = (uint32_t)size};
    if (value.kind == INK_JINJA_MISSING)
        return ink_jinja_failed(run);
    for (size_t i = 0; i < run->program->n_names; i++)
        if (same_text(run->program->names[i].text, &text))
            return store(run, (uint32_t)i, value);
    return INK_OK;
}

ink_result ink_jinja_render(ink_jinja *run)
{
    uint32_t pc = run->program->start;
    for (;;) {
        const ink_jinja_op *op = &run->program->ops[pc];
        if (op->code == INK_OP_END)
            return INK_OK;
        pc = op->next;
        ink_result result = run->steps > 1 ? run_op(run, op, &pc) : ink_jinja_spend(run, 1);
        run->steps--;
        if (result != INK_OK) {
            char where[192];
            ink_format(where, sizeof where, "%s: line %zu", run->program->file, (size_t)op->line);
            return ink_fail_in(run->ctx, result, where);
        }
    }
}
