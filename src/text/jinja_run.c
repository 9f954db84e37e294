/*
 * jinja_run.c - running a template: memory, strings, operators, variables, and the loop over the operations.
 *
 * What is written goes to one array, with a mark for every byte that comes from the data. A captured block, a macro,
 * a sum of strings, a filter: all of them write to its end, and what they wrote is cut off as a string. Lists are made
 * the same way: their items are pushed to the stack of values, and what was pushed is gathered.
 */
#include <string.h>

#include "jinja.h"

#define BLOCK ((size_t)16 * 1024)

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

/* A call of a macro, or a captured block. */
typedef struct ink_jinja_frame {
    uint32_t back; /* the operation behind the call; 0: none, RETURN goes on */
    ink_jinja_scope *scope;
    ink_jinja_loop *loop;
    size_t from; /* what is written from here on belongs to it */
} ink_jinja_frame;

/* ---- memory, strings, lists ------------------------------------------------------------------------------------- */

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
    return ink_fail(run->ctx, INK_ERROR_LIMIT,
                    "the template needs more than %llu bytes of memory (template_bytes of ink_limits)",
                    (unsigned long long)run->ctx->limits.template_bytes);
}

ink_result ink_jinja_new_values(ink_jinja *run, size_t n, ink_jinja_value **values)
{
    *values = ink_jinja_alloc(run, n, sizeof **values);
    return *values != NULL ? INK_OK : ink_jinja_failed(run);
}

ink_result ink_jinja_spend(ink_jinja *run, size_t steps)
{
    if (steps >= run->steps)
        return ink_fail(run->ctx, INK_ERROR_LIMIT, "the template takes more steps than its limit");
    run->steps -= steps;
    return INK_OK;
}

ink_result ink_jinja_new_text(ink_jinja *run, const char *at, size_t size, bool is_data, ink_jinja_value *value)
{
    return ink_jinja_part(run, &(ink_jinja_string){.at = at, .size = (uint32_t)size, .is_data = is_data}, 0,
                          size <= INT32_MAX ? size : SIZE_MAX, value);
}

ink_result ink_jinja_part(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop,
                          ink_jinja_value *part)
{
    ink_jinja_string *made = stop <= INT32_MAX ? ink_jinja_alloc(run, 1, sizeof *made) : NULL;
    uint32_t code;
    if (made == NULL)
        return ink_jinja_failed(run);
    INK_TRY(ink_jinja_spend(run, 1 + (stop - start) / 16));
    *made = (ink_jinja_string){.at = text->at + start, .size = (uint32_t)(stop - start), .is_data = text->is_data};
    made->data = text->data != NULL ? text->data + start : NULL;
    for (size_t i = 0; i < made->size; made->n_chars++)
        i += ink_utf8_next(made->at + i, made->size - i, &code);
    *part = (ink_jinja_value){.kind = INK_JINJA_TEXT, .text = made};
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
    return ink_jinja_write_part(run, &(ink_jinja_string){.at = at, .is_data = is_data}, 0, size);
}

ink_result ink_jinja_write_part(ink_jinja *run, const ink_jinja_string *text, size_t start, size_t stop)
{
    const size_t size = stop - start;
    INK_TRY(out_reserve(run, size));
    if (size == 0)
        return INK_OK;
    memcpy(run->out + run->n_out, text->at + start, size);
    if (text->data != NULL)
        memcpy(run->out_data + run->n_out, text->data + start, size);
    else
        memset(run->out_data + run->n_out, text->is_data, size);
    run->n_out += size;
    return INK_OK;
}

ink_result ink_jinja_cut(ink_jinja *run, size_t from, ink_jinja_value *value)
{
    const size_t size = run->n_out - from;
    const uint8_t *data = run->out_data + from;
    bool is_data = size > 0 && data[0] != 0, mixed = size > 0 && memchr(data, !is_data, size) != NULL;
    char *bytes = ink_jinja_alloc(run, size, mixed ? 2 : 1);
    if (bytes == NULL)
        return ink_jinja_failed(run);
    run->n_out = from;
    if (size > 0)
        memcpy(bytes, run->out + from, size);
    if (mixed)
        memcpy(bytes + size, data, size);
    INK_TRY(ink_jinja_new_text(run, bytes, size, is_data, value));
    if (mixed)
        ((ink_jinja_string *)(uintptr_t)value->text)->data = (const uint8_t *)bytes + size;
    return INK_OK;
}

ink_result ink_jinja_push(ink_jinja *run, ink_jinja_value value)
{
    if (run->n_stack == run->stack_room) {
        ink_jinja_value *stack;
        run->stack_room = ink_size_max(64, 2 * run->stack_room);
        INK_TRY(ink_jinja_new_values(run, run->stack_room, &stack));
        if (run->n_stack > 0)
            memcpy(stack, run->stack, run->n_stack * sizeof *stack);
        run->stack = stack;
    }
    run->stack[run->n_stack++] = value;
    return INK_OK;
}

ink_result ink_jinja_new_list(ink_jinja *run, ink_jinja_kind kind, const ink_jinja_value *items, size_t n,
                              ink_jinja_value *value)
{
    ink_jinja_list *list = ink_jinja_alloc(run, 1, sizeof *list);
    if (list == NULL)
        return ink_jinja_failed(run);
    *list = (ink_jinja_list){items, n};
    *value = (ink_jinja_value){.kind = kind, .list = list};
    return INK_OK;
}

ink_result ink_jinja_gather(ink_jinja *run, ink_jinja_kind kind, size_t from, ink_jinja_value *list)
{
    ink_jinja_value *items;
    const size_t n = run->n_stack - from;
    INK_TRY(ink_jinja_spend(run, 1 + n));
    INK_TRY(ink_jinja_new_values(run, n, &items));
    if (n > 0)
        memcpy(items, run->stack + from, n * sizeof *items);
    run->n_stack = from;
    return ink_jinja_new_list(run, kind, items, n, list);
}

ink_result ink_jinja_new_dict(ink_jinja *run, ink_jinja_kind kind, size_t capacity, ink_jinja_value *value)
{
    ink_jinja_dict *dict = ink_jinja_alloc(run, 1, sizeof *dict);
    ink_jinja_value *pairs = dict != NULL ? ink_jinja_alloc(run, capacity, 2 * sizeof *pairs) : NULL;
    if (pairs == NULL)
        return ink_jinja_failed(run);
    *dict = (ink_jinja_dict){.pairs = pairs, .capacity = capacity};
    *value = (ink_jinja_value){.kind = kind, .dict = dict};
    return INK_OK;
}

/* ---- what values are -------------------------------------------------------------------------------------------- */

const char *ink_jinja_kind_name(ink_jinja_value value)
{
    static const char *const names[] = {"nothing", "undefined", "None", "bool",      "int",  "float", "str",
                                        "list",    "tuple",     "dict", "namespace", "loop", "macro", "function"};
    return names[value.kind];
}

ink_result ink_jinja_wrong(ink_jinja *run, ink_jinja_value value, const char *what)
{
    if (value.kind == INK_JINJA_UNDEFINED && value.text == NULL)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH,
                        "an item is used that is not there, such as one past the end of a list");
    if (value.kind == INK_JINJA_UNDEFINED)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "'%.*s' is undefined", (int)value.text->size, value.text->at);
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a value of type %s %s", ink_jinja_kind_name(value), what);
}

ink_result ink_jinja_unsupported(ink_jinja *run, const char *what, const ink_jinja_string *name)
{
    return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "the %s '%.*s' is not supported", what,
                    (int)ink_size_min(name->size, 40), name->at);
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

bool ink_jinja_integer(ink_jinja_value value, int64_t *integer)
{
    *integer = value.kind == INK_JINJA_BOOL ? value.truth : value.integer;
    return value.kind == INK_JINJA_INT || value.kind == INK_JINJA_BOOL;
}

static bool as_number(ink_jinja_value value, double *number)
{
    int64_t integer;
    bool whole = ink_jinja_integer(value, &integer);
    *number = whole ? (double)integer : value.number;
    return whole || value.kind == INK_JINJA_FLOAT;
}

static bool same_text(const ink_jinja_string *a, const ink_jinja_string *b)
{
    return a->size == b->size && memcmp(a->at, b->at, a->size) == 0;
}

/* Whether two values that hold no others are equal; containers are if they are the same. */
static bool same_scalar(ink_jinja_value a, ink_jinja_value b)
{
    double x, y;
    int64_t i, k;
    if (ink_jinja_integer(a, &i) && ink_jinja_integer(b, &k))
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
            dict->capacity = ink_size_max(2 * dict->capacity, 4);
            INK_TRY(ink_jinja_new_values(run, 2 * dict->capacity, &pair));
            memcpy(pair, dict->pairs, 2 * dict->n * sizeof *pair);
            dict->pairs = pair;
        }
        pair = &dict->pairs[2 * dict->n++];
        pair[0] = key;
    }
    pair[1] = value;
    return INK_OK;
}

ink_result ink_jinja_equal(ink_jinja *run, ink_jinja_value a, ink_jinja_value b, bool *equal)
{
    struct {
        ink_jinja_value a, b;
        size_t i, n;
    } level[INK_JINJA_DEPTH], *top;
    size_t depth = 0;
    *equal = false;
    for (;;) {
        INK_TRY(ink_jinja_spend(run, 1));
        bool holds = a.kind == b.kind && a.object != b.object && (is_list(a) || a.kind == INK_JINJA_DICT);
        if (holds) {
            if (depth == INK_JINJA_DEPTH)
                return ink_fail(run->ctx, INK_ERROR_LIMIT, "values in values deeper than %d", INK_JINJA_DEPTH);
            top = &level[depth++];
            top->a = a;
            top->b = b;
            top->i = 0;
            top->n = is_list(a) ? a.list->n : a.dict->n;
            if (top->n != (is_list(b) ? b.list->n : b.dict->n))
                return INK_OK;
        } else if (!same_scalar(a, b)) {
            return INK_OK;
        }
        while (depth > 0 && level[depth - 1].i == level[depth - 1].n)
            depth--;
        if (depth == 0)
            break;
        top = &level[depth - 1];
        const size_t i = top->i++;
        if (is_list(top->a)) {
            a = top->a.list->items[i];
            b = top->b.list->items[i];
        } else {
            ink_jinja_value *pair;
            INK_TRY(find_pair(run, top->b.dict, top->a.dict->pairs[2 * i], &pair));
            if (pair == NULL)
                return INK_OK;
            a = top->a.dict->pairs[2 * i + 1];
            b = pair[1];
        }
    }
    *equal = true;
    return INK_OK;
}

static ink_result not_possible(ink_jinja *run, const char *what, ink_jinja_value a, ink_jinja_value b)
{
    if (a.kind == INK_JINJA_UNDEFINED || b.kind == INK_JINJA_UNDEFINED)
        return ink_jinja_wrong(run, a.kind == INK_JINJA_UNDEFINED ? a : b, "");
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "%s is not possible for values of type %s and %s", what,
                    ink_jinja_kind_name(a), ink_jinja_kind_name(b));
}

ink_result ink_jinja_order(ink_jinja *run, ink_jinja_value a, ink_jinja_value b, int *order)
{
    double x, y;
    int64_t i, k;
    if (is_list(a) && a.kind == b.kind)
        return ink_fail(run->ctx, INK_ERROR_UNSUPPORTED, "an order of lists is not supported");
    if (ink_jinja_integer(a, &i) && ink_jinja_integer(b, &k)) {
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
    } else {
        return not_possible(run, "an order", a, b);
    }
    return INK_OK;
}

ink_result ink_jinja_place(ink_jinja *run, const ink_jinja_string *text, size_t start, const ink_jinja_string *what,
                           size_t *at)
{
    size_t i = start;
    *at = SIZE_MAX;
    for (; i + what->size <= text->size; i++) {
        if (what->size > 0 && text->at[i] != what->at[0])
            continue;
        INK_TRY(ink_jinja_spend(run, 1 + what->size / 16));
        if (what->size == 0 || memcmp(text->at + i, what->at, what->size) == 0) {
            *at = i;
            break;
        }
    }
    return ink_jinja_spend(run, 1 + (i - start) / 16);
}

static ink_result contains(ink_jinja *run, ink_jinja_value container, ink_jinja_value item, bool *found)
{
    *found = false;
    if (container.kind == INK_JINJA_TEXT && item.kind == INK_JINJA_TEXT) {
        size_t at;
        INK_TRY(ink_jinja_place(run, container.text, 0, item.text, &at));
        *found = at != SIZE_MAX;
        return INK_OK;
    }
    if (container.kind == INK_JINJA_TEXT)
        return not_possible(run, "in", item, container);
    if (container.kind == INK_JINJA_DICT) {
        ink_jinja_value *pair;
        INK_TRY(find_pair(run, container.dict, item, &pair));
        *found = pair != NULL;
        return INK_OK;
    }
    ink_jinja_list items;
    INK_TRY(ink_jinja_items(run, container, &items));
    for (size_t i = 0; i < items.n && !*found; i++)
        INK_TRY(ink_jinja_equal(run, items.items[i], item, found));
    return INK_OK;
}

/* ---- operators -------------------------------------------------------------------------------------------------- */

/* A list or string several times, or two of them. */
static ink_result repeat(ink_jinja *run, ink_jinja_value a, ink_jinja_value b, int64_t times, ink_jinja_value *value)
{
    const size_t out = run->n_out, stack = run->n_stack;
    const bool texts = a.kind == INK_JINJA_TEXT;
    for (int64_t k = 0; k < times && ink_jinja_truth(a); k++) {
        if (texts)
            INK_TRY(ink_jinja_print(run, a));
        for (size_t i = 0; !texts && i < a.list->n; i++)
            INK_TRY(ink_jinja_push(run, a.list->items[i]));
        INK_TRY(ink_jinja_spend(run, 1 + (run->n_stack - stack) / 64));
    }
    if (texts)
        INK_TRY(ink_jinja_print(run, b));
    for (size_t i = 0; is_list(b) && i < b.list->n; i++)
        INK_TRY(ink_jinja_push(run, b.list->items[i]));
    return texts ? ink_jinja_cut(run, out, value) : ink_jinja_gather(run, a.kind, stack, value);
}

ink_result ink_jinja_binary(ink_jinja *run, ink_jinja_operator op, ink_jinja_value a, ink_jinja_value b,
                            ink_jinja_value *value)
{
    static const char *const names[] = {"+", "-", "~", "*", "/", "//", "%", "**"};
    const ink_jinja_value nothing = {.kind = INK_JINJA_UNDEFINED};
    const bool texts = a.kind == INK_JINJA_TEXT && b.kind == INK_JINJA_TEXT;
    const size_t from = run->n_out;
    bool truth = false;
    int order = 0;
    int64_t i = 0, k = 0;
    double x = 0, y = 0;
    switch (op) {
    case INK_JINJA_EQ:
    case INK_JINJA_NE:
        INK_TRY(ink_jinja_equal(run, a, b, &truth));
        *value = ink_jinja_bool(truth == (op == INK_JINJA_EQ));
        return INK_OK;
    case INK_JINJA_IN:
    case INK_JINJA_NOT_IN:
        INK_TRY(contains(run, b, a, &truth));
        *value = ink_jinja_bool(truth == (op == INK_JINJA_IN));
        return INK_OK;
    case INK_JINJA_LT:
    case INK_JINJA_LE:
    case INK_JINJA_GT:
    case INK_JINJA_GE:
        INK_TRY(ink_jinja_order(run, a, b, &order));
        truth = op == INK_JINJA_LT   ? order < 0
                : op == INK_JINJA_LE ? order <= 0
                : op == INK_JINJA_GT ? order > 0
                                     : order >= 0;
        *value = ink_jinja_bool(truth && order != 2);
        return INK_OK;
    case INK_JINJA_JOIN:
        INK_TRY(ink_jinja_print(run, a));
        INK_TRY(ink_jinja_print(run, b));
        return ink_jinja_cut(run, from, value);
    default:
        break;
    }
    const ink_jinja_string name = {.at = names[op], .size = (uint32_t)strlen(names[op])};
    if ((a.kind == INK_JINJA_TEXT && a.which == INK_JINJA_SAFE) ||
        (b.kind == INK_JINJA_TEXT && b.which == INK_JINJA_SAFE))
        return ink_jinja_unsupported(run, "operator of text behind the filter safe", &name);
    if (op == INK_JINJA_ADD && (texts || (is_list(a) && a.kind == b.kind)))
        return repeat(run, a, b, 1, value);
    if (op == INK_JINJA_MOD && a.kind == INK_JINJA_TEXT) {
        INK_TRY(ink_jinja_percent(run, a.text, b));
        return ink_jinja_cut(run, from, value);
    }
    if (op == INK_JINJA_MUL && (a.kind == INK_JINJA_TEXT || is_list(a)) && ink_jinja_integer(b, &k))
        return repeat(run, a, nothing, k, value);
    if (op == INK_JINJA_MUL && (b.kind == INK_JINJA_TEXT || is_list(b)) && ink_jinja_integer(a, &i))
        return repeat(run, b, nothing, i, value);
    if (!as_number(a, &x) || !as_number(b, &y))
        return not_possible(run, names[op], a, b);
    const bool whole = ink_jinja_integer(a, &i) && ink_jinja_integer(b, &k),
               divides = op == INK_JINJA_FLOOR_DIV || op == INK_JINJA_MOD;
    if (y == 0 && (op == INK_JINJA_DIV || divides))
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "division by zero");
    if ((divides || op == INK_JINJA_POW) && (!whole || (op == INK_JINJA_POW && k < 0)))
        return ink_jinja_unsupported(run, "operator of numbers with a fraction", &name);
    *value = ink_jinja_float(op == INK_JINJA_ADD   ? x + y
                             : op == INK_JINJA_SUB ? x - y
                             : op == INK_JINJA_DIV ? x / y
                                                   : x * y);
    if (!whole || op == INK_JINJA_DIV)
        return INK_OK;
    /* The bits of the result are right if the result as a double is within 64 bits, with some distance. */
    uint64_t bits = op == INK_JINJA_ADD   ? (uint64_t)i + (uint64_t)k
                    : op == INK_JINJA_SUB ? (uint64_t)i - (uint64_t)k
                                          : (uint64_t)i * (uint64_t)k;
    double result = value->number;
    if (divides) { /* rounded down, as in Python */
        const int64_t quotient = k == -1 ? 0 : i / k, rest = k == -1 ? 0 : i % k,
                      down = rest != 0 && (rest < 0) != (k < 0);
        result = k == -1 ? -x : 0;
        bits = op == INK_JINJA_MOD ? (uint64_t)(rest + (down ? k : 0))
               : k == -1           ? 0 - (uint64_t)i
                                   : (uint64_t)(quotient - down);
    } else if (op == INK_JINJA_POW) {
        bits = 1;
        result = 1;
        for (k = k > 64 ? 64 + k % 2 : k; k > 0; k--) { /* more than 64 change nothing for -1, 0 and 1 */
            bits *= (uint64_t)i;
            result *= x;
        }
    }
    *value = ink_jinja_int((int64_t)bits);
    return result > -9.2e18 && result < 9.2e18 ? INK_OK
                                               : ink_fail(run->ctx, INK_ERROR_MISMATCH, "a number is beyond 64 bits");
}

static ink_result negate(ink_jinja *run, ink_jinja_value *value)
{
    int64_t i;
    if (ink_jinja_integer(*value, &i))
        return ink_jinja_binary(run, INK_JINJA_SUB, ink_jinja_int(0), ink_jinja_int(i), value);
    if (value->kind != INK_JINJA_FLOAT)
        return ink_jinja_wrong(run, *value, "is no number");
    value->number = -value->number;
    return INK_OK;
}

/* ---- items and members ------------------------------------------------------------------------------------------ */

ink_result ink_jinja_items(ink_jinja *run, ink_jinja_value value, ink_jinja_list *items)
{
    ink_jinja_value *made;
    uint32_t code;
    size_t n = value.kind == INK_JINJA_DICT ? value.dict->n : value.kind == INK_JINJA_TEXT ? value.text->n_chars : 0;
    *items = (ink_jinja_list){NULL, 0};
    INK_TRY(ink_jinja_spend(run, 1 + n));
    if (value.kind == INK_JINJA_UNDEFINED)
        return INK_OK;
    if (is_list(value)) {
        *items = *value.list;
        return INK_OK;
    }
    if (value.kind != INK_JINJA_DICT && value.kind != INK_JINJA_TEXT)
        return ink_jinja_wrong(run, value, "has no items to go over");
    INK_TRY(ink_jinja_new_values(run, n, &made));
    for (size_t i = 0, at = 0, length; i < n; i++, at += length) {
        length = value.kind == INK_JINJA_TEXT ? ink_utf8_next(value.text->at + at, value.text->size - at, &code) : 0;
        if (value.kind == INK_JINJA_TEXT)
            INK_TRY(ink_jinja_part(run, value.text, at, at + length, &made[i]));
        else
            made[i] = value.dict->pairs[2 * i];
    }
    *items = (ink_jinja_list){made, n};
    return INK_OK;
}

/* Where the i-th character of a string begins. */
static size_t char_place(const ink_jinja_string *text, size_t i)
{
    uint32_t code;
    size_t at = 0;
    if (text->n_chars == text->size)
        return i;
    while (i-- > 0)
        at += ink_utf8_next(text->at + at, text->size - at, &code);
    return at;
}

static ink_jinja_value undefined(const ink_jinja_string *name)
{
    return (ink_jinja_value){.kind = INK_JINJA_UNDEFINED, .text = name};
}

static ink_result loop_member(ink_jinja *run, const ink_jinja_loop *loop, const ink_jinja_string *name,
                              ink_jinja_value *member)
{
    static const char *const names[] = {"index", "index0", "revindex", "revindex0", "length",
                                        "first", "last",   "previtem", "nextitem"};
    const int64_t n = (int64_t)loop->n, at = (int64_t)loop->index - 1;
    const int64_t numbers[] = {at + 1, at, n - at, n - at - 1, n, at == 0, at == n - 1, at > 0, at + 1 < n};
    size_t i = 0;
    while (i < sizeof names / sizeof *names && !ink_jinja_named(name, names[i]))
        i++;
    if (i == sizeof names / sizeof *names)
        return ink_jinja_lookup(run, (ink_jinja_value){.kind = INK_JINJA_LOOP, .object = loop}, name, member);
    if (i < 5)
        *member = ink_jinja_int(numbers[i]);
    else if (i < 7)
        *member = ink_jinja_bool(numbers[i] != 0);
    else
        *member = numbers[i] != 0 ? loop->items[i == 7 ? at - 1 : at + 1] : undefined(name);
    return INK_OK;
}

/* x.name: a method, or a member; of a dict methods come first, as in Jinja2. */
static ink_result get_member(ink_jinja *run, ink_jinja_value of, const ink_jinja_string *name, ink_jinja_value *member)
{
    *member = undefined(name);
    if (of.kind == INK_JINJA_UNDEFINED)
        return ink_jinja_wrong(run, of, "");
    if (of.kind == INK_JINJA_LOOP)
        return loop_member(run, of.loop, name, member);
    if (of.kind == INK_JINJA_MACRO)
        return ink_jinja_unsupported(run, "member of a macro", name);
    if (of.kind != INK_JINJA_NAMESPACE)
        INK_TRY(ink_jinja_lookup(run, of, name, member));
    if (member->kind != INK_JINJA_UNDEFINED || (of.kind != INK_JINJA_DICT && of.kind != INK_JINJA_NAMESPACE))
        return INK_OK;
    INK_TRY(ink_jinja_spend(run, 1 + of.dict->n / 4));
    const ink_jinja_value *found = ink_jinja_find(of.dict, name);
    *member = found != NULL ? *found : *member;
    return INK_OK;
}

/* x[key]. */
ink_result ink_jinja_item(ink_jinja *run, ink_jinja_value of, ink_jinja_value key, ink_jinja_value *item)
{
    const bool text = of.kind == INK_JINJA_TEXT;
    int64_t i;
    if (of.kind == INK_JINJA_DICT) {
        ink_jinja_value *pair;
        INK_TRY(find_pair(run, of.dict, key, &pair));
        if (pair != NULL) {
            *item = pair[1];
            return INK_OK;
        }
    }
    if (key.kind == INK_JINJA_TEXT || of.kind == INK_JINJA_UNDEFINED)
        return get_member(run, of, key.kind == INK_JINJA_TEXT ? key.text : NULL, item);
    *item = undefined(NULL);
    if (!(is_list(of) || text) || !ink_jinja_integer(key, &i))
        return INK_OK;
    const int64_t n = text ? of.text->n_chars : (int64_t)of.list->n;
    i += i < 0 ? n : 0;
    if (i < 0 || i >= n)
        return INK_OK;
    if (!text) {
        *item = of.list->items[i];
        return INK_OK;
    }
    size_t at = char_place(of.text, (size_t)i);
    uint32_t code;
    INK_TRY(ink_jinja_spend(run, 1 + at / 16));
    return ink_jinja_part(run, of.text, at, at + ink_utf8_next(of.text->at + at, of.text->size - at, &code), item);
}

/* A bound of a slice of n items, from low to high. */
static ink_result slice_bound(ink_jinja *run, ink_jinja_value value, int64_t n, int64_t low, int64_t high,
                              int64_t *bound)
{
    if (value.kind == INK_JINJA_NONE)
        return INK_OK;
    if (!ink_jinja_integer(value, bound))
        return ink_jinja_wrong(run, value, "is no bound of a slice");
    *bound += *bound < 0 ? n : 0;
    *bound = *bound < low ? low : *bound > high ? high : *bound;
    return INK_OK;
}

/* x[0][x[1]:x[2]:x[3]] */
static ink_result take_slice(ink_jinja *run, const ink_jinja_value *x, ink_jinja_value *slice)
{
    const ink_jinja_value of = x[0];
    const bool text = of.kind == INK_JINJA_TEXT;
    const size_t out = run->n_out, stack = run->n_stack;
    ink_jinja_list items;
    int64_t step = 1;
    if (!text && !is_list(of)) {
        *slice = undefined(NULL); /* as Jinja2: it has no such item */
        return of.kind == INK_JINJA_UNDEFINED ? ink_jinja_wrong(run, of, "") : INK_OK;
    }
    if (x[3].kind != INK_JINJA_NONE && (!ink_jinja_integer(x[3], &step) || step == 0))
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "the step of a slice is no number or 0");
    const int64_t n = text ? of.text->n_chars : (int64_t)of.list->n, low = step < 0 ? -1 : 0, high = n + low;
    int64_t start = step < 0 ? high : low, stop = step < 0 ? low : high;
    INK_TRY(slice_bound(run, x[1], n, low, high, &start));
    INK_TRY(slice_bound(run, x[2], n, low, high, &stop));
    if (step == 1 && text)
        return ink_jinja_part(run, of.text, char_place(of.text, (size_t)start),
                              char_place(of.text, (size_t)(stop > start ? stop : start)), slice);
    INK_TRY(ink_jinja_items(run, of, &items));
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
        INK_TRY(text ? ink_jinja_print(run, items.items[i]) : ink_jinja_push(run, items.items[i]));
        if (step > 0 ? step >= stop - i : step <= stop - i)
            break;
        i += step;
    }
    return text ? ink_jinja_cut(run, out, slice) : ink_jinja_gather(run, of.kind, stack, slice);
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

static ink_result load(ink_jinja *run, uint32_t name, ink_jinja_value *value)
{
    for (const ink_jinja_scope *scope = run->scope; scope != NULL; scope = scope->parent) {
        const binding *b = find_binding(scope, name);
        if (b != NULL && b->value.kind != INK_JINJA_MISSING) {
            *value = b->value;
            return INK_OK;
        }
    }
    return ink_jinja_lookup(run, (ink_jinja_value){.kind = INK_JINJA_MISSING}, run->program->names[name].text, value);
}

static ink_result store_member(ink_jinja *run, uint32_t name, ink_jinja_value member, ink_jinja_value value)
{
    ink_jinja_value space;
    INK_TRY(load(run, name, &space));
    if (space.kind == INK_JINJA_NAMESPACE)
        return ink_jinja_put_pair(run, space.dict, member, value);
    return ink_fail(run->ctx, INK_ERROR_MISMATCH, "a member of '%.*s' is set, which is no namespace",
                    (int)run->program->names[name].text->size, run->program->names[name].text->at);
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

/* ---- calls and loops -------------------------------------------------------------------------------------------- */

static ink_result push_frame(ink_jinja *run, uint32_t back)
{
    if (run->n_frames == INK_JINJA_CALLS)
        return ink_fail(run->ctx, INK_ERROR_LIMIT, "calls in calls deeper than %d", INK_JINJA_CALLS);
    run->frames[run->n_frames++] =
        (ink_jinja_frame){.back = back, .scope = run->scope, .loop = run->loop, .from = run->n_out};
    return INK_OK;
}

static ink_result make_closure(ink_jinja *run, uint32_t macro)
{
    ink_jinja_closure *closure = ink_jinja_alloc(run, 1, sizeof *closure);
    if (closure == NULL)
        return ink_jinja_failed(run);
    *closure = (ink_jinja_closure){&run->program->macros[macro], run->scope};
    for (ink_jinja_scope *scope = run->scope; scope != NULL && !scope->kept; scope = scope->parent)
        scope->kept = true;
    return ink_jinja_push(run, (ink_jinja_value){.kind = INK_JINJA_MACRO, .closure = closure});
}

/* Binds the arguments in a new scope. */
static ink_result enter_macro(ink_jinja *run, const ink_jinja_closure *closure, const ink_jinja_call *call,
                              ink_jinja_value caller)
{
    const ink_jinja_macro *macro = closure->macro;
    const ink_jinja_value *names = run->program->names;
    const ink_jinja_string *name = names[macro->name].text;
    const size_t n = macro->n_parameters;
    INK_TRY(enter_scope(run, closure->scope));
    if (call->n_args > n)
        return ink_fail(run->ctx, INK_ERROR_MISMATCH, "macro '%.*s' takes %zu arguments, and gets %zu", (int)name->size,
                        name->at, n, call->n_args);
    for (size_t i = 0; i < n; i++) { /* one that is not given hides a variable of its name around the macro */
        ink_jinja_value value = undefined(names[macro->parameters[i]].text);
        value.which = INK_JINJA_NOT_GIVEN;
        if (i < call->n_args)
            value = call->args[i];
        if (i < call->n_args && value.kind == INK_JINJA_UNDEFINED)
            value.which = 0;
        INK_TRY(store(run, macro->parameters[i], value));
    }
    for (size_t i = 0; i < call->n_keywords; i++) {
        const ink_jinja_value *pair = &call->keywords[2 * i];
        size_t k = 0;
        while (k < n && !same_text(names[macro->parameters[k]].text, pair->text))
            k++;
        if (k == n || k < call->n_args)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "macro '%.*s' %s the argument '%.*s'", (int)name->size,
                            name->at, k < n ? "gets twice" : "has no place for", (int)pair->text->size, pair->text->at);
        INK_TRY(store(run, macro->parameters[k], pair[1]));
    }
    return store(run, INK_JINJA_CALLER_NAME, caller);
}

/* CALL, FILTER and TEST. The arguments stay on the stack until the call is done. */
static ink_result call_value(ink_jinja *run, const ink_jinja_op *op, uint32_t *pc)
{
    const ink_jinja_value caller =
        op->flags ? run->stack[run->n_stack - 1] : undefined(run->program->names[INK_JINJA_CALLER_NAME].text);
    const size_t base = run->n_stack - op->n - (size_t)2 * op->n_keywords - (op->flags != 0) - 1;
    const ink_jinja_value *at = run->stack + base, self = at[0];
    const ink_jinja_string *name = run->program->names[op->arg].text;
    ink_jinja_call call = {
        .self = self, .args = at + 1, .n_args = op->n, .keywords = at + 1 + op->n, .n_keywords = op->n_keywords};
    ink_jinja_value value;
    bool truth;
    if (op->code == INK_OP_FILTER) {
        INK_TRY(ink_jinja_filter(run, name, &call, &value));
    } else if (op->code == INK_OP_TEST) {
        INK_TRY(ink_jinja_test(run, name, &call, &truth));
        value = ink_jinja_bool(truth);
    } else if (self.kind == INK_JINJA_FUNCTION) {
        INK_TRY(ink_jinja_apply(run, self, &call, &value));
    } else if (self.kind == INK_JINJA_MACRO) {
        INK_TRY(push_frame(run, *pc));
        INK_TRY(enter_macro(run, self.closure, &call, caller));
        *pc = self.closure->macro->start;
        run->n_stack = base;
        return INK_OK;
    } else {
        return ink_jinja_wrong(run, self, "is called");
    }
    run->n_stack = base;
    return ink_jinja_push(run, value);
}

static ink_result begin_loop(ink_jinja *run, ink_jinja_value value, bool filters)
{
    ink_jinja_list items;
    INK_TRY(ink_jinja_items(run, value, &items));
    ink_jinja_loop *loop = ink_jinja_alloc(run, 1, sizeof *loop);
    if (loop == NULL)
        return ink_jinja_failed(run);
    *loop = (ink_jinja_loop){.items = items.items, .n = items.n, .outer = run->loop, .scope = run->scope};
    if (filters)
        INK_TRY(ink_jinja_new_values(run, items.n, &loop->kept));
    run->loop = loop;
    return INK_OK;
}

/* The next item, in a scope of its own. The scope of the item before is used again if no macro sees it. */
static ink_result next_item(ink_jinja *run, ink_jinja_loop *loop)
{
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
    return ink_jinja_push(run, loop->items[loop->index++]);
}

static void end_loop(ink_jinja *run)
{
    run->scope = run->loop->scope;
    run->loop = run->loop->outer;
}

/* ---- the loop over the operations ------------------------------------------------------------------------------- */

/* A dict of the n keys and values on top. */
static ink_result make_dict(ink_jinja *run, size_t n)
{
    ink_jinja_value dict;
    INK_TRY(ink_jinja_new_dict(run, INK_JINJA_DICT, n / 2, &dict));
    run->n_stack -= n;
    for (size_t i = run->n_stack; i < run->n_stack + n; i += 2)
        INK_TRY(ink_jinja_put_pair(run, dict.dict, run->stack[i], run->stack[i + 1]));
    return ink_jinja_push(run, dict);
}

/* One operation; *pc is the next one, `jump` that to which it may jump. */
static ink_result run_op(ink_jinja *run, const ink_jinja_op *op, uint32_t jump, uint32_t *pc)
{
    ink_jinja_value *top = run->n_stack > 0 ? &run->stack[run->n_stack - 1] : NULL, value;
    ink_jinja_loop *loop = run->loop;
    ink_jinja_list items;
    ink_jinja_frame *frame;
    bool truth = top != NULL && ink_jinja_truth(*top);
    switch ((ink_jinja_code)op->code) {
    case INK_OP_PRINT:
        run->n_stack--;
        return ink_jinja_print(run, *top);
    case INK_OP_CONSTANT:
        return ink_jinja_push(run, run->program->constants[op->arg]);
    case INK_OP_LOAD:
        INK_TRY(load(run, op->arg, &value));
        return ink_jinja_push(run, value);
    case INK_OP_STORE:
        run->n_stack--;
        return store(run, op->arg, *top);
    case INK_OP_STORE_MEMBER:
        run->n_stack--;
        return store_member(run, op->arg, run->program->names[op->n], *top);
    case INK_OP_UNPACK:
        INK_TRY(ink_jinja_items(run, *top, &items));
        if (items.n != op->n)
            return ink_fail(run->ctx, INK_ERROR_MISMATCH, "%zu names are set to %zu values", (size_t)op->n, items.n);
        for (run->n_stack--; items.n > 0; items.n--)
            INK_TRY(ink_jinja_push(run, items.items[items.n - 1]));
        return INK_OK;
    case INK_OP_LIST:
        INK_TRY(ink_jinja_gather(run, op->flags ? INK_JINJA_TUPLE : INK_JINJA_LIST, run->n_stack - op->n, &value));
        return ink_jinja_push(run, value);
    case INK_OP_DICT:
        return make_dict(run, op->n);
    case INK_OP_MEMBER:
        return get_member(run, *top, run->program->names[op->arg].text, top);
    case INK_OP_ITEM:
        run->n_stack--;
        return ink_jinja_item(run, top[-1], top[0], top - 1);
    case INK_OP_SLICE:
        INK_TRY(take_slice(run, top - 3, &value));
        run->n_stack -= 4;
        return ink_jinja_push(run, value);
    case INK_OP_CALL:
    case INK_OP_FILTER:
    case INK_OP_TEST:
        return call_value(run, op, pc);
    case INK_OP_NEGATE:
        return negate(run, top);
    case INK_OP_NOT:
        *top = ink_jinja_bool(!truth);
        return INK_OK;
    case INK_OP_BINARY:
    case INK_OP_CHAIN:
        INK_TRY(ink_jinja_binary(run, (ink_jinja_operator)op->arg, top[-1], top[0], &value));
        truth = op->code == INK_OP_CHAIN && value.truth;
        run->stack[run->n_stack - 2] = truth ? top[0] : value;
        run->n_stack--;
        *pc = op->code == INK_OP_CHAIN && !truth ? jump : *pc;
        return INK_OK;
    case INK_OP_AND:
    case INK_OP_OR:
        *pc = truth == (op->code == INK_OP_OR) ? jump : *pc;
        run->n_stack -= truth != (op->code == INK_OP_OR);
        return INK_OK;
    case INK_OP_JUMP:
        *pc = jump;
        return INK_OK;
    case INK_OP_UNLESS:
        run->n_stack--;
        *pc = truth ? *pc : jump;
        return INK_OK;
    case INK_OP_SCOPE:
        return enter_scope(run, run->scope);
    case INK_OP_UNSCOPE:
        run->scope = run->scope->parent;
        return INK_OK;
    case INK_OP_CAPTURE:
        INK_TRY(push_frame(run, 0));
        return enter_scope(run, run->scope);
    case INK_OP_RETURN:
        frame = &run->frames[--run->n_frames];
        run->scope = frame->scope;
        run->loop = frame->loop;
        *pc = frame->back > 0 ? frame->back : *pc;
        INK_TRY(ink_jinja_cut(run, frame->from, &value));
        return ink_jinja_push(run, value);
    case INK_OP_FOR:
        run->n_stack--;
        return begin_loop(run, *top, op->flags != 0);
    case INK_OP_NEXT:
        if (loop->index < loop->n)
            return next_item(run, loop);
        *pc = jump;
        return INK_OK;
    case INK_OP_KEEP:
        run->n_stack--;
        loop->kept[loop->n_kept] = loop->items[loop->index - 1];
        loop->n_kept += truth;
        *pc = jump;
        return INK_OK;
    case INK_OP_KEPT:
        end_loop(run);
        INK_TRY(ink_jinja_new_list(run, INK_JINJA_LIST, loop->kept, loop->n_kept, &value));
        return ink_jinja_push(run, value);
    case INK_OP_DONE:
        *pc = loop->n > 0 ? jump : *pc;
        end_loop(run);
        return INK_OK;
    case INK_OP_MACRO:
        return make_closure(run, op->arg);
    case INK_OP_DEFAULT:
        INK_TRY(load(run, op->arg, &value));
        *pc = value.kind == INK_JINJA_UNDEFINED && value.which == INK_JINJA_NOT_GIVEN ? *pc : jump;
        return INK_OK;
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
    for (size_t i = 0; i < run->program->n_names; i++)
        if (same_text(run->program->names[i].text, &text))
            return store(run, (uint32_t)i, value);
    return INK_OK;
}

ink_result ink_jinja_render(ink_jinja *run)
{
    for (uint32_t at = 0, pc; run->program->ops[at].code != INK_OP_END; at = pc) {
        const ink_jinja_op *op = &run->program->ops[at];
        pc = at + 1;
        ink_result result = ink_jinja_spend(run, 1);
        if (result == INK_OK)
            result = run_op(run, op, (uint32_t)((int64_t)at + op->jump), &pc);
        if (result != INK_OK) {
            char where[192];
            ink_format(where, sizeof where, "%s: line %zu", run->program->file, (size_t)op->line);
            return ink_fail_in(run->ctx, result, where);
        }
    }
    return INK_OK;
}
