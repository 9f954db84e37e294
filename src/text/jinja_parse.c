/*
 * jinja_parse.c - the text of a template becomes operations.
 *
 * The lexer cuts tokens off the text when the parser asks for one. Expressions are parsed by precedence, with a stack
 * of what is not complete yet: operators that wait for their right side, and brackets (Dijkstra's shunting yard). Code
 * is appended in the order in which it runs, values before their operator. Only in `a if c else b` the text has another
 * order: the code of c and that of a change places, which they can because jumps are relative. Statements have a stack
 * of their own, of the blocks that are open.
 */
#include <string.h>

#include "jinja.h"

#define MOST_NAMES 4096
#define NAME_SLOTS 16384 /* a power of two */
#define MOST_BLOCKS 128
#define MOST_OPEN 1024 /* operators and brackets that wait */
#define MOST_ITEMS 60000
#define MOST_LISTED 64 /* names that one value is unpacked to, parameters of a macro */

/* ---- the parser's state ----------------------------------------------------------------------------------------- */

typedef enum token_kind { T_END, T_CLOSE, T_NAME, T_TEXT, T_INT, T_FLOAT, T_OPERATOR } token_kind;

typedef struct token {
    token_kind kind;
    const char *at; /* [size] */
    size_t size;
    uint32_t line;
} token;

/* What waits on the stack of an expression, loosest first, and brackets behind the operators. */
enum { W_IF, W_ELSE, W_OR, W_AND, W_NOT, W_COMPARE, W_ADD, W_CONCAT, W_MUL, W_POW, W_SIGN, W_TEST_ARGUMENT, W_BASE };
enum { W_PAREN = W_BASE + 1, W_LIST, W_DICT, W_CALL, W_FILTER, W_TEST, W_ITEM };

typedef struct waiting {
    int kind;
    uint8_t what; /* the operator */
    bool comma;   /* of a bracket: a comma has been seen; of a key of a dict: the colon has been seen */
    bool negated; /* of a test */
    bool keyword; /* of a call: the argument has a name */
    uint32_t n, n_keywords, name, line;
    uint32_t start; /* where the code of the right side begins, or of the element of a bracket */
    int32_t jumps;  /* to the end: of and, or, else, and of comparisons in a chain */
} waiting;

typedef enum block_kind { B_IF, B_FOR, B_SET, B_FILTER, B_MACRO, B_CALL, B_WITH, B_GENERATION } block_kind;

static const char *const tags[] = {"if", "for", "set", "filter", "macro", "call", "with", "generation"};

/* What a value is assigned to: a name, a member of a namespace, or several names. */
typedef struct target {
    uint32_t names[MOST_LISTED], member;
    size_t n;
    bool unpacks, is_member;
} target;

typedef struct open_tag {
    block_kind kind;
    uint32_t line;
    bool otherwise;    /* `else` has been seen */
    int32_t patch;     /* the jump that the next branch or the end of the block takes */
    int32_t ends;      /* jumps to what follows the block */
    uint32_t again;    /* of a loop: the operation NEXT; of a filter: its code */
    uint32_t macro;    /* of a macro and a call */
    ink_jinja_op call; /* of a call: the operation that comes after the macro */
    target to;         /* of set, with, macro: its name */
} open_tag;

typedef struct jinja_parser {
    ink_context *ctx;
    ink_arena *arena; /* of the program */
    const char *file;
    const char *text; /* [size] */
    size_t size, at;
    uint32_t line;
    char close;      /* the character before the last brace of the tag */
    size_t brackets; /* that are open in the tag */
    bool line_start;
    token now;

    ink_jinja_op *ops;
    size_t n_ops, op_room;
    ink_jinja_value *constants;
    size_t n_constants, constant_room;
    ink_jinja_value *names;
    size_t n_names, name_room;
    uint32_t *slots; /* [NAME_SLOTS] */
    ink_jinja_macro *macros;
    size_t n_macros, macro_room;
    waiting *open; /* [MOST_OPEN] */
    size_t n_open;
    open_tag *blocks; /* [MOST_BLOCKS] */
    size_t n_blocks;
} jinja_parser;

static ink_result parse_fail(const jinja_parser *p, uint32_t line, const char *what, const char *at, size_t size)
{
    return ink_fail(p->ctx, INK_ERROR_CORRUPT, "%s: line %zu: %s%s%.*s%s", p->file, (size_t)line, what,
                    size > 0 ? " '" : "", (int)ink_size_min(size, 40), at != NULL ? at : "", size > 0 ? "'" : "");
}

static ink_result parse_unexpected(const jinja_parser *p, const char *expected)
{
    const token *now = &p->now;
    const char *found = now->kind == T_END     ? " the end of the template"
                        : now->kind == T_CLOSE ? " the end of the tag"
                                               : "";
    char what[160];
    ink_format(what, sizeof what, "expected %s, found%s", expected, found);
    return parse_fail(p, now->line, what, now->at, found[0] != '\0' ? 0 : now->size);
}

static ink_result parse_unsupported(const jinja_parser *p, const char *what, const token *name)
{
    return ink_fail(p->ctx, INK_ERROR_UNSUPPORTED, "%s: line %zu: the %s '%.*s' is not supported", p->file,
                    (size_t)name->line, what, (int)ink_size_min(name->size, 40), name->at);
}

static ink_result parse_memory(const jinja_parser *p)
{
    return ink_fail(p->ctx, INK_ERROR_MEMORY, "out of memory: %s", p->file);
}

/* Room for one more item, in scratch memory. */
static void *parse_grow(const jinja_parser *p, void *items, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return items;
    size_t more = *room > 0 ? 2 * *room : 64;
    void *grown = ink_arena_alloc(&p->ctx->scratch, more, size);
    if (grown != NULL && n > 0)
        memcpy(grown, items, n * size);
    *room = grown != NULL ? more : *room;
    return grown;
}

/* ---- the lexer -------------------------------------------------------------------------------------------------- */

bool ink_jinja_is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
           code == 0x205F || code == 0x3000;
}

size_t ink_jinja_skip_spaces(const char *text, size_t size, size_t at)
{
    uint32_t code;
    while (at < size) {
        size_t length = ink_utf8_next(text + at, size - at, &code);
        if (!ink_jinja_is_space(code))
            break;
        at += length;
    }
    return at;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_word_byte(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || is_digit(c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool lex_has(const jinja_parser *p, size_t at, const char *word)
{
    size_t size = strlen(word);
    return p->size - at >= size && memcmp(p->text + at, word, size) == 0;
}

/* The - or + that stands at a place, or 0. */
static char lex_sign(const jinja_parser *p, size_t at)
{
    return at < p->size && (p->text[at] == '-' || p->text[at] == '+') ? p->text[at] : '\0';
}

static void lex_go(jinja_parser *p, size_t at)
{
    for (; p->at < at; p->at++)
        p->line += p->text[p->at] == '\n';
}

/* Goes on behind a tag or comment that ends at `at`: -%} drops white space, %} the newline. */
static void lex_leave(jinja_parser *p, size_t at, char sign, bool trims)
{
    if (sign == '-')
        at = ink_jinja_skip_spaces(p->text, p->size, at);
    else if (trims && sign != '+' && at < p->size && p->text[at] == '\n')
        at++;
    lex_go(p, at);
    p->line_start = p->text[at - 1] == '\n';
}

/* Where the text before a tag ends. `sign`: what follows the {%; `lstrips`: white space between the beginning of the
   line and the tag goes. */
static size_t lex_text_end(const jinja_parser *p, size_t start, size_t tag, char sign, bool lstrips)
{
    size_t line = tag;
    uint32_t code;
    if (sign == '-') {
        while (tag > start) {
            size_t length = ink_utf8_last(p->text + start, tag - start, &code);
            if (!ink_jinja_is_space(code))
                break;
            tag -= length;
        }
        return tag;
    }
    while (line > start && p->text[line - 1] != '\n')
        line--;
    if (sign == '+' || !lstrips || (line == start && !p->line_start))
        return tag;
    return ink_jinja_skip_spaces(p->text, tag, line) == tag ? line : tag;
}

/* The next token of a tag. */
static ink_result lex(jinja_parser *p)
{
    static const char *const pairs[] = {"//", "**", "==", "!=", ">=", "<="};
    const char *text = p->text;
    lex_go(p, ink_jinja_skip_spaces(text, p->size, p->at));
    size_t at = p->at, end = at + 1;
    p->now = (token){T_END, text + at, 0, p->line};
    if (at == p->size)
        return INK_OK;
    const char c = text[at];
    bool block = p->close == '%', sign = c == '-' || (c == '+' && block);
    const char close[3] = {p->close, '}', '\0'};
    if (p->brackets == 0 && lex_has(p, at + sign, close)) {
        p->now.kind = T_CLOSE;
        lex_leave(p, at + sign + 2, sign ? c : '\0', block);
        return INK_OK;
    }
    p->now.kind = T_OPERATOR;
    if (is_digit(c)) {
        p->now.kind = T_INT;
        while (end < p->size && is_digit(text[end]))
            end++;
        if (end + 1 < p->size && text[end] == '.' && is_digit(text[end + 1])) {
            p->now.kind = T_FLOAT;
            for (end += 2; end < p->size && is_digit(text[end]);)
                end++;
        }
        size_t digits = end + 1 + (lex_sign(p, end + 1) != '\0');
        if (digits < p->size && (text[end] | 0x20) == 'e' && is_digit(text[digits])) {
            p->now.kind = T_FLOAT;
            for (end = digits; end < p->size && is_digit(text[end]);)
                end++;
        }
        bool odd = end < p->size && is_word_byte(text[end]); /* 0x1f, 1_000 */
        while (end < p->size && is_word_byte(text[end]))
            end++;
        p->now.size = end - at;
        if (odd)
            return parse_unsupported(p, "number", &p->now);
    } else if (is_word_byte(c)) {
        p->now.kind = T_NAME;
        while (end < p->size && is_word_byte(text[end]))
            end++;
    } else if (c == '\'' || c == '"') {
        p->now.kind = T_TEXT;
        while (end < p->size && text[end] != c)
            end += text[end] == '\\' && end + 1 < p->size ? 2 : 1;
        if (end++ >= p->size)
            return parse_fail(p, p->line, "a string has no end", NULL, 0);
    } else if (strchr("+-*/~[](){}=!<>.:|,;%%", c) == NULL || c == '\0') {
        return parse_fail(p, p->line, "unexpected", text + at, 1);
    } else {
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            end = lex_has(p, at, pairs[i]) ? at + 2 : end;
        if (strchr("([{", c) != NULL)
            p->brackets++;
        else if (strchr(")]}", c) != NULL && p->brackets > 0)
            p->brackets--;
    }
    p->now.size = end - at;
    lex_go(p, end);
    return INK_OK;
}

static bool token_is(const token *t, const char *word)
{
    return (t->kind == T_NAME || t->kind == T_OPERATOR) && t->size == strlen(word) && memcmp(t->at, word, t->size) == 0;
}

static bool now_is(const jinja_parser *p, const char *word) { return token_is(&p->now, word); }

/* Goes over an operator or name that has to be there. */
static ink_result lex_expect(jinja_parser *p, const char *word)
{
    char expected[32];
    ink_format(expected, sizeof expected, "'%s'", word);
    return now_is(p, word) ? lex(p) : parse_unexpected(p, expected);
}

/* ---- operations, constants, names ------------------------------------------------------------------------------- */

static ink_result emit(jinja_parser *p, ink_jinja_code code, uint32_t arg, size_t n)
{
    if (n > MOST_ITEMS || p->n_ops >= INT32_MAX)
        return parse_fail(p, p->now.line, "too many values in one expression", NULL, 0);
    ink_jinja_op *ops = parse_grow(p, p->ops, p->n_ops, &p->op_room, sizeof *ops);
    if (ops == NULL)
        return parse_memory(p);
    p->ops = ops;
    ops[p->n_ops++] = (ink_jinja_op){.code = (uint8_t)code, .n = (uint16_t)n, .arg = arg, .line = p->now.line};
    return INK_OK;
}

/* Emits a jump whose end is not known. Until it is, these jumps are a list: each has the place of the one before. */
static ink_result emit_jump(jinja_parser *p, ink_jinja_code code, uint32_t arg, int32_t *jumps)
{
    INK_TRY(emit(p, code, arg, 0));
    p->ops[p->n_ops - 1].jump = *jumps;
    *jumps = (int32_t)p->n_ops - 1;
    return INK_OK;
}

/* Their end is here. */
static void end_jumps(jinja_parser *p, int32_t *jumps)
{
    while (*jumps >= 0) {
        ink_jinja_op *op = &p->ops[*jumps];
        int32_t before = op->jump;
        op->jump = (int32_t)p->n_ops - *jumps;
        *jumps = before;
    }
}

static ink_result emit_jump_back(jinja_parser *p, ink_jinja_code code, uint32_t to)
{
    INK_TRY(emit(p, code, 0, 0));
    p->ops[p->n_ops - 1].jump = (int32_t)to - (int32_t)(p->n_ops - 1);
    return INK_OK;
}

/* A string in the program's memory. */
static ink_result make_text(const jinja_parser *p, const char *at, size_t size, ink_jinja_value *value)
{
    ink_jinja_string *text = ink_arena_alloc(p->arena, 1, sizeof *text);
    char *copy = ink_arena_alloc(p->arena, size + 1, 1);
    if (text == NULL || copy == NULL)
        return parse_memory(p);
    uint32_t n_chars = 0, code;
    for (size_t i = 0; i < size; n_chars++)
        i += ink_utf8_next(at + i, size - i, &code);
    if (size > 0)
        memcpy(copy, at, size);
    *text = (ink_jinja_string){.at = copy, .size = (uint32_t)size, .n_chars = n_chars};
    *value = (ink_jinja_value){.kind = INK_JINJA_TEXT, .text = text};
    return INK_OK;
}

static ink_result emit_constant(jinja_parser *p, ink_jinja_value value)
{
    ink_jinja_value *constants = parse_grow(p, p->constants, p->n_constants, &p->constant_room, sizeof *constants);
    if (constants == NULL)
        return parse_memory(p);
    p->constants = constants;
    constants[p->n_constants++] = value;
    return emit(p, INK_OP_CONSTANT, (uint32_t)(p->n_constants - 1), 0);
}

static ink_result intern(jinja_parser *p, const char *at, size_t size, uint32_t *name)
{
    size_t slot = (size_t)ink_hash(0, at, size) % NAME_SLOTS;
    for (; p->slots[slot] != 0; slot = (slot + 1) % NAME_SLOTS) {
        const ink_jinja_string *text = p->names[p->slots[slot] - 1].text;
        *name = p->slots[slot] - 1;
        if (text->size == size && memcmp(text->at, at, size) == 0)
            return INK_OK;
    }
    if (p->n_names == MOST_NAMES)
        return ink_fail(p->ctx, INK_ERROR_LIMIT, "%s: the template has more than %d names", p->file, MOST_NAMES);
    ink_jinja_value *names = parse_grow(p, p->names, p->n_names, &p->name_room, sizeof *names);
    if (names == NULL)
        return parse_memory(p);
    p->names = names;
    INK_TRY(make_text(p, at, size, &names[p->n_names]));
    *name = (uint32_t)p->n_names++;
    p->slots[slot] = *name + 1;
    return INK_OK;
}

/* The name that has to be the next token. */
static ink_result take_name(jinja_parser *p, uint32_t *name)
{
    if (p->now.kind != T_NAME)
        return parse_unexpected(p, "a name");
    INK_TRY(intern(p, p->now.at, p->now.size, name));
    return lex(p);
}

/* ---- literals --------------------------------------------------------------------------------------------------- */

static unsigned hex_value(char c)
{
    return is_digit(c)                              ? (unsigned)(c - '0')
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (unsigned)((c | 0x20) - 'a' + 10)
                                                    : 99;
}

/* The escapes of Python's strings, written to `out`, which has room for as many bytes as there are. */
static ink_result unescape(const jinja_parser *p, const char *at, const char *stop, char *out, size_t *n)
{
    static const char letters[] = "ntr\\'\"", values[] = "\n\t\r\\'\"", refused[] = "01234567abfvN\n";
    while (at < stop) {
        if (*at != '\\' || at + 1 == stop) {
            out[(*n)++] = *at++;
            continue;
        }
        const char *letter = at[1] != '\0' ? strchr(letters, at[1]) : NULL;
        size_t digits = at[1] == 'x' ? 2 : at[1] == 'u' ? 4 : at[1] == 'U' ? 8 : 0, i = 0;
        uint32_t code = 0;
        if (letter != NULL) {
            out[(*n)++] = values[letter - letters];
            at += 2;
        } else if (digits > 0) {
            while (i < digits && at + 2 + i < stop && hex_value(at[2 + i]) < 16)
                code = 16 * code + hex_value(at[2 + i++]);
            if (i < digits || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
                return parse_fail(p, p->now.line, "an escape without a character:", at,
                                  ink_size_min(2 + i, (size_t)(stop - at)));
            at += 2 + digits;
            *n += ink_utf8_put(out + *n, code);
        } else if (at[1] != '\0' && strchr(refused, at[1]) != NULL) {
            return parse_unsupported(p, "escape", &(token){T_TEXT, at, 2, p->now.line});
        } else {
            out[(*n)++] = *at++; /* a backslash like any other character */
        }
    }
    return INK_OK;
}

/* A number, or one string or several in a row. */
static ink_result take_literal(jinja_parser *p)
{
    const token first = p->now;
    ink_jinja_value value;
    if (first.kind == T_TEXT) {
        size_t n = 0;
        ink_arena_mark mark = ink_arena_mark_here(&p->ctx->scratch);
        char *out = ink_arena_alloc(&p->ctx->scratch, p->size - (size_t)(first.at - p->text), 1);
        if (out == NULL)
            return parse_memory(p);
        while (p->now.kind == T_TEXT) {
            INK_TRY(unescape(p, p->now.at + 1, p->now.at + p->now.size - 1, out, &n));
            INK_TRY(lex(p));
        }
        INK_TRY(make_text(p, out, n, &value));
        ink_arena_release(&p->ctx->scratch, mark);
        return emit_constant(p, value);
    }
    uint64_t number;
    ink_digits(first.at, first.size, &number);
    if (first.kind == T_FLOAT)
        value = ink_jinja_float(ink_decimal(first.at, first.size));
    else if (number > INT64_MAX)
        return parse_fail(p, first.line, "a number beyond 64 bits:", first.at, first.size);
    else
        value = ink_jinja_int((int64_t)number);
    INK_TRY(emit_constant(p, value));
    return lex(p);
}

/* ---- expressions ------------------------------------------------------------------------------------------------ */

static ink_result push_waiting(jinja_parser *p, int kind, uint8_t what)
{
    if (p->n_open == MOST_OPEN)
        return ink_fail(p->ctx, INK_ERROR_LIMIT, "%s: line %zu: an expression is nested too deep", p->file,
                        (size_t)p->now.line);
    p->open[p->n_open++] =
        (waiting){.kind = kind, .what = what, .line = p->now.line, .start = (uint32_t)p->n_ops, .jumps = -1};
    return INK_OK;
}

static waiting *top_waiting(const jinja_parser *p) { return &p->open[p->n_open - 1]; }

static ink_result emit_call(jinja_parser *p, const waiting *w)
{
    ink_jinja_code code = w->kind == W_CALL ? INK_OP_CALL : w->kind == W_FILTER ? INK_OP_FILTER : INK_OP_TEST;
    INK_TRY(emit(p, code, w->name, w->n));
    p->ops[p->n_ops - 1].n_keywords = (uint16_t)w->n_keywords;
    p->ops[p->n_ops - 1].line = w->line;
    return w->negated ? emit(p, INK_OP_NOT, 0, 0) : INK_OK;
}

static void reverse_ops(ink_jinja_op *ops, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        ink_jinja_op op = ops[i];
        ops[i] = ops[n - 1 - i];
        ops[n - 1 - i] = op;
    }
}

/* Behind the condition of `a if c`, which is on top: UNLESS follows it, both go before a, and what comes next is the
   branch for `else`. */
static ink_result turn_condition(jinja_parser *p)
{
    waiting *w = top_waiting(p);
    const uint32_t start = w[-1].start, middle = w->start;
    int32_t unless = -1;
    INK_TRY(emit_jump(p, INK_OP_UNLESS, 0, &unless));
    reverse_ops(p->ops + start, middle - start);
    reverse_ops(p->ops + middle, p->n_ops - middle);
    reverse_ops(p->ops + start, p->n_ops - start);
    unless -= (int32_t)(middle - start);
    INK_TRY(emit_jump(p, INK_OP_JUMP, 0, &w->jumps));
    end_jumps(p, &unless);
    w->kind = W_ELSE;
    w->start = (uint32_t)p->n_ops;
    return INK_OK;
}

/* Completes the operators that bind at least as tightly as `kind`. */
static ink_result reduce_to(jinja_parser *p, int kind)
{
    for (waiting *w; (w = top_waiting(p))->kind < W_BASE && w->kind >= kind; p->n_open--) {
        const size_t n = p->n_ops;
        switch (w->kind) {
        case W_IF:
            INK_TRY(turn_condition(p));
            INK_TRY(emit_constant(p, (ink_jinja_value){.kind = INK_JINJA_UNDEFINED}));
            break;
        case W_ELSE:
        case W_OR:
        case W_AND:
            break;
        case W_NOT:
            INK_TRY(emit(p, INK_OP_NOT, 0, 0));
            break;
        case W_SIGN:
            INK_TRY(emit(p, INK_OP_NEGATE, 0, 0));
            break;
        case W_TEST_ARGUMENT:
            w->n = 1;
            INK_TRY(emit_call(p, w));
            break;
        default:
            INK_TRY(emit(p, INK_OP_BINARY, w->what, 0));
            break;
        }
        if (p->n_ops > n)
            p->ops[p->n_ops - 1].line = w->line;
        end_jumps(p, &w->jumps);
    }
    return INK_OK;
}

/* The element of the bracket on top is complete. */
static ink_result end_element(jinja_parser *p)
{
    waiting *w = top_waiting(p);
    if (w->n_keywords > 0 && !w->keyword) /* f(a=1, 2) */
        return parse_fail(p, w->line, "a value behind a keyword", NULL, 0);
    w->n_keywords += w->keyword;
    w->n += !w->keyword;
    w->keyword = false;
    w->start = (uint32_t)p->n_ops;
    if (w->n + w->n_keywords > MOST_ITEMS)
        return parse_fail(p, w->line, "too many values in one expression", NULL, 0);
    return INK_OK;
}

/* A part of a slice that is not there. */
static ink_result empty_part(jinja_parser *p)
{
    INK_TRY(emit_constant(p, ink_jinja_none()));
    return end_element(p);
}

/* Closes the bracket on top; `there`: behind its last element. */
static ink_result close_bracket(jinja_parser *p, bool there)
{
    if (there)
        INK_TRY(reduce_to(p, W_IF));
    waiting *w = top_waiting(p);
    const char *close = w->kind == W_LIST || w->kind == W_ITEM ? "]" : w->kind == W_DICT ? "}" : ")";
    if (w->kind == W_BASE || !now_is(p, close))
        return parse_unexpected(p, w->kind == W_BASE ? "an expression" : "another bracket");
    if (w->kind == W_DICT ? there != w->comma : !there && w->keyword)
        return parse_unexpected(p, "a value");
    if (there)
        INK_TRY(end_element(p));
    bool slice = w->kind == W_ITEM && w->comma;
    while (slice && w->n < 3)
        INK_TRY(empty_part(p));
    p->n_open--;
    const size_t n = p->n_ops;
    switch (w->kind) {
    case W_PAREN:
    case W_LIST:
        if (w->kind == W_LIST || w->comma || w->n == 0) {
            INK_TRY(emit(p, INK_OP_LIST, 0, w->n));
            p->ops[n].flags = w->kind == W_PAREN;
        }
        break;
    case W_DICT:
        INK_TRY(emit(p, INK_OP_DICT, 0, w->n));
        break;
    case W_ITEM:
        if (w->n == 0)
            return parse_unexpected(p, "an index");
        INK_TRY(emit(p, slice ? INK_OP_SLICE : INK_OP_ITEM, 0, 0));
        break;
    default:
        INK_TRY(emit_call(p, w));
        break;
    }
    if (p->n_ops > n)
        p->ops[n].line = w->line;
    return lex(p);
}

/* Where a value is expected. *there: it is complete. */
static ink_result parse_operand(jinja_parser *p, bool *there)
{
    static const char words[][6] = {"none", "None", "false", "False", "true", "True"};
    waiting *w = top_waiting(p);
    bool call = w->kind == W_CALL || w->kind == W_FILTER || w->kind == W_TEST;
    uint32_t name;
    *there = p->now.kind == T_TEXT || p->now.kind == T_INT || p->now.kind == T_FLOAT;
    if (*there)
        return take_literal(p);
    if (now_is(p, "not")) {
        if (w->kind > W_NOT && w->kind < W_BASE)
            return parse_unexpected(p, "a value"); /* a == not b */
        INK_TRY(push_waiting(p, W_NOT, 0));
        return lex(p);
    }
    if (p->now.kind == T_NAME) {
        size_t after = ink_jinja_skip_spaces(p->text, p->size, p->at);
        if (call && !w->keyword && lex_has(p, after, "=") && !lex_has(p, after, "==")) {
            INK_TRY(take_name(p, &name)); /* its value comes next */
            INK_TRY(emit_constant(p, p->names[name]));
            w->keyword = true;
            w->start = (uint32_t)p->n_ops;
            return lex(p);
        }
        *there = true;
        if (now_is(p, "varargs") || now_is(p, "kwargs"))
            return parse_unsupported(p, "variable", &p->now);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (now_is(p, words[i])) {
                INK_TRY(emit_constant(p, i < 2 ? ink_jinja_none() : ink_jinja_bool(i > 3)));
                return lex(p);
            }
        INK_TRY(take_name(p, &name));
        return emit(p, INK_OP_LOAD, name, 0);
    }
    if (call && (now_is(p, "*") || now_is(p, "**")))
        return parse_unsupported(p, "argument", &p->now);
    if (now_is(p, "-")) {
        INK_TRY(push_waiting(p, W_SIGN, 0));
        return lex(p);
    }
    if (now_is(p, "(") || now_is(p, "[") || now_is(p, "{")) {
        INK_TRY(push_waiting(p, now_is(p, "(") ? W_PAREN : now_is(p, "[") ? W_LIST : W_DICT, 0));
        return lex(p);
    }
    if (now_is(p, ":") && w->kind == W_ITEM && w->n < 2) { /* the part before the colon is not there */
        w->comma = true;
        INK_TRY(empty_part(p));
        return lex(p);
    }
    if (w->kind > W_BASE && (now_is(p, ")") || now_is(p, "]") || now_is(p, "}"))) {
        *there = true;
        return close_bracket(p, false);
    }
    return parse_unexpected(p, "a value");
}

/* Behind `|` or `is`: the name of a filter or a test, and its arguments; that of a test may stand without brackets.
 *there: it is complete. */
static ink_result parse_filter_or_test(jinja_parser *p, bool test, bool *there)
{
    static const char *const no_arguments[] = {"else", "or", "and", "if", "is", "recursive"};
    waiting w = {.kind = test ? W_TEST : W_FILTER, .negated = test && now_is(p, "not"), .line = p->now.line};
    if (w.negated)
        INK_TRY(lex(p));
    INK_TRY(take_name(p, &w.name));
    bool brackets = now_is(p, "("), argument = test && (p->now.kind >= T_NAME && p->now.kind <= T_FLOAT);
    for (size_t i = 0; i < sizeof no_arguments / sizeof *no_arguments; i++)
        argument = argument && !now_is(p, no_arguments[i]);
    argument = argument || (test && (now_is(p, "[") || now_is(p, "{")));
    *there = !brackets && !argument;
    if (*there)
        return emit_call(p, &w);
    INK_TRY(push_waiting(p, brackets ? w.kind : W_TEST_ARGUMENT, 0));
    top_waiting(p)->name = w.name;
    top_waiting(p)->negated = w.negated;
    top_waiting(p)->line = w.line;
    return brackets ? lex(p) : INK_OK;
}

static const struct {
    char word[4];
    uint8_t kind, what;
} operators[] = {
    {"or", W_OR, INK_OP_OR},         {"and", W_AND, INK_OP_AND},
    {"==", W_COMPARE, INK_JINJA_EQ}, {"!=", W_COMPARE, INK_JINJA_NE},
    {"<", W_COMPARE, INK_JINJA_LT},  {"<=", W_COMPARE, INK_JINJA_LE},
    {">", W_COMPARE, INK_JINJA_GT},  {">=", W_COMPARE, INK_JINJA_GE},
    {"in", W_COMPARE, INK_JINJA_IN}, {"not", W_COMPARE, INK_JINJA_NOT_IN},
    {"+", W_ADD, INK_JINJA_ADD},     {"-", W_ADD, INK_JINJA_SUB},
    {"~", W_CONCAT, INK_JINJA_JOIN}, {"*", W_MUL, INK_JINJA_MUL},
    {"/", W_MUL, INK_JINJA_DIV},     {"//", W_MUL, INK_JINJA_FLOOR_DIV},
    {"%", W_MUL, INK_JINJA_MOD},     {"**", W_POW, INK_JINJA_POW},
};

/* What may follow a value: .name, [index], (arguments), a filter, a test, an operator. *taken: it did. */
static ink_result parse_behind_value(jinja_parser *p, bool *there, bool *taken)
{
    uint32_t name;
    *taken = true;
    if (now_is(p, ".")) {
        const uint32_t line = p->now.line;
        INK_TRY(lex(p));
        INK_TRY(take_name(p, &name));
        INK_TRY(emit(p, INK_OP_MEMBER, name, 0));
        p->ops[p->n_ops - 1].line = line;
        return INK_OK;
    }
    *there = false;
    if (now_is(p, "(") || now_is(p, "[")) {
        INK_TRY(push_waiting(p, now_is(p, "(") ? W_CALL : W_ITEM, 0));
        return lex(p);
    }
    INK_TRY(reduce_to(p, W_TEST_ARGUMENT));
    if (now_is(p, "|") || now_is(p, "is")) {
        bool test = now_is(p, "is");
        INK_TRY(lex(p));
        INK_TRY(reduce_to(p, W_SIGN));
        return parse_filter_or_test(p, test, there);
    }
    size_t i = 0;
    while (i < sizeof operators / sizeof *operators && !now_is(p, operators[i].word))
        i++;
    if (i == sizeof operators / sizeof *operators) {
        *taken = false;
        *there = true;
        return INK_OK;
    }
    const int kind = operators[i].kind;
    const uint8_t what = operators[i].what;
    INK_TRY(reduce_to(p, kind == W_COMPARE ? W_ADD : kind));
    if (kind == W_COMPARE && top_waiting(p)->kind == W_COMPARE) { /* a < b < c */
        INK_TRY(emit_jump(p, INK_OP_CHAIN, top_waiting(p)->what, &top_waiting(p)->jumps));
        top_waiting(p)->what = what;
    } else {
        INK_TRY(push_waiting(p, kind, what));
        if (kind == W_OR || kind == W_AND)
            INK_TRY(emit_jump(p, (ink_jinja_code)what, 0, &top_waiting(p)->jumps));
        top_waiting(p)->start = (uint32_t)p->n_ops;
    }
    INK_TRY(lex(p));
    return what == INK_JINJA_NOT_IN && kind == W_COMPARE ? lex_expect(p, "in") : INK_OK;
}

enum { WITH_TUPLE = 1, WITH_IF = 2, BEHIND_PIPE = 4 };

/* An expression; with WITH_TUPLE also several with commas, with WITH_IF also x if y else z outside of brackets. With
   BEHIND_PIPE a value is on the stack already, and the name of a filter is the next token. */
static ink_result parse_expression(jinja_parser *p, unsigned how)
{
    const size_t base = p->n_open;
    bool there = false, taken;
    INK_TRY(push_waiting(p, W_BASE, 0));
    if ((how & BEHIND_PIPE) != 0)
        INK_TRY(parse_filter_or_test(p, false, &there));
    for (;;) {
        if (!there) {
            if (top_waiting(p)->kind == W_BASE && p->open[base].comma && (p->now.kind == T_CLOSE || now_is(p, "if")))
                break; /* a tuple ends behind its comma */
            INK_TRY(parse_operand(p, &there));
            continue;
        }
        INK_TRY(parse_behind_value(p, &there, &taken));
        if (taken)
            continue;
        size_t bracket = p->n_open - 1;
        while (p->open[bracket].kind < W_BASE)
            bracket--;
        waiting *w = &p->open[bracket];
        bool conditional = bracket > base || (how & WITH_IF) != 0;
        bool key = w->kind == W_DICT && !w->comma, part = w->kind == W_ITEM && w->n < 2;
        if (now_is(p, "if") && conditional) {
            INK_TRY(reduce_to(p, W_OR));
            if (top_waiting(p)->kind == W_IF)
                return parse_unexpected(p, "'else'");
            INK_TRY(push_waiting(p, W_IF, 0));
        } else if (now_is(p, "else") && conditional) {
            INK_TRY(reduce_to(p, W_OR));
            if (top_waiting(p)->kind != W_IF)
                return parse_unexpected(p, "an expression");
            INK_TRY(turn_condition(p));
        } else if (now_is(p, ",") && (bracket > base || (how & WITH_TUPLE) != 0)) {
            INK_TRY(reduce_to(p, W_IF));
            if (key || w->kind == W_ITEM)
                return parse_unexpected(p, "a value");
            INK_TRY(end_element(p));
            w->comma = w->kind != W_DICT;
        } else if (now_is(p, ":") && (key || part)) {
            INK_TRY(reduce_to(p, W_IF));
            INK_TRY(end_element(p));
            w->comma = true;
        } else if (bracket > base) {
            INK_TRY(close_bracket(p, true));
            continue;
        } else {
            break;
        }
        there = false;
        INK_TRY(lex(p));
    }
    waiting *w = &p->open[base];
    if (there) {
        INK_TRY(reduce_to(p, W_IF));
        INK_TRY(end_element(p));
    }
    p->n_open = base;
    if (w->comma) {
        INK_TRY(emit(p, INK_OP_LIST, 0, w->n));
        p->ops[p->n_ops - 1].flags = 1;
    }
    return INK_OK;
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

/* a; ns.member; a, b; (a, b) */
static ink_result parse_target(jinja_parser *p, bool members, target *to)
{
    bool bracket = now_is(p, "(");
    to->n = 0;
    to->unpacks = to->is_member = false;
    if (bracket)
        INK_TRY(lex(p));
    for (;;) {
        if (to->n == MOST_LISTED)
            return parse_unexpected(p, "fewer names");
        if (now_is(p, "("))
            return parse_unsupported(p, "place for names in names", &p->now);
        INK_TRY(take_name(p, &to->names[to->n++]));
        if (members && to->n == 1 && !bracket && now_is(p, ".")) {
            to->is_member = true;
            INK_TRY(lex(p));
            return take_name(p, &to->member);
        }
        if (!now_is(p, ","))
            break;
        to->unpacks = true;
        INK_TRY(lex(p));
        if (now_is(p, bracket ? ")" : members ? "=" : "in"))
            break;
    }
    return bracket ? lex_expect(p, ")") : INK_OK;
}

/* Takes the value from the stack. */
static ink_result emit_store(jinja_parser *p, const target *to)
{
    if (to->is_member)
        return emit(p, INK_OP_STORE_MEMBER, to->names[0], to->member);
    if (to->unpacks)
        INK_TRY(emit(p, INK_OP_UNPACK, 0, to->n));
    for (size_t i = 0; i < to->n; i++)
        INK_TRY(emit(p, INK_OP_STORE, to->names[i], 0));
    return INK_OK;
}

static ink_result parse_condition(jinja_parser *p, open_tag *b)
{
    INK_TRY(parse_expression(p, WITH_TUPLE));
    return emit_jump(p, INK_OP_UNLESS, 0, &b->patch);
}

static ink_result parse_for(jinja_parser *p, open_tag *b)
{
    INK_TRY(parse_target(p, false, &b->to));
    INK_TRY(lex_expect(p, "in"));
    INK_TRY(parse_expression(p, WITH_TUPLE));
    if (now_is(p, "if")) { /* a loop before the loop collects the items that pass */
        int32_t done = -1;
        INK_TRY(lex(p));
        INK_TRY(emit(p, INK_OP_FOR, 0, 0));
        p->ops[p->n_ops - 1].flags = 1;
        const uint32_t next = (uint32_t)p->n_ops;
        INK_TRY(emit_jump(p, INK_OP_NEXT, 0, &done));
        INK_TRY(emit_store(p, &b->to));
        INK_TRY(parse_expression(p, WITH_IF));
        INK_TRY(emit_jump_back(p, INK_OP_KEEP, next));
        end_jumps(p, &done);
        INK_TRY(emit(p, INK_OP_KEPT, 0, 0));
    }
    if (now_is(p, "recursive"))
        return parse_unsupported(p, "kind of loop", &p->now);
    INK_TRY(emit(p, INK_OP_FOR, 0, 0));
    b->again = (uint32_t)p->n_ops;
    INK_TRY(emit_jump(p, INK_OP_NEXT, 0, &b->patch));
    return emit_store(p, &b->to);
}

/* {% set %}: of a value, or of the block up to endset. */
static ink_result parse_set(jinja_parser *p, open_tag *b)
{
    INK_TRY(parse_target(p, true, &b->to));
    if (now_is(p, "=")) {
        p->n_blocks--;
        INK_TRY(lex(p));
        INK_TRY(parse_expression(p, WITH_TUPLE | WITH_IF));
        return emit_store(p, &b->to);
    }
    if (now_is(p, "|"))
        return parse_unsupported(p, "filter of a set block", &p->now);
    return emit(p, INK_OP_CAPTURE, 0, 0);
}

static ink_result parse_with(jinja_parser *p)
{
    uint32_t names[MOST_LISTED];
    size_t n = 0;
    while (p->now.kind != T_CLOSE) {
        if (n > 0)
            INK_TRY(lex_expect(p, ","));
        if (n == MOST_LISTED)
            return parse_unexpected(p, "fewer names");
        INK_TRY(take_name(p, &names[n++]));
        INK_TRY(lex_expect(p, "="));
        INK_TRY(parse_expression(p, WITH_IF));
    }
    INK_TRY(emit(p, INK_OP_SCOPE, 0, 0));
    while (n-- > 0)
        INK_TRY(emit(p, INK_OP_STORE, names[n], 0));
    return INK_OK;
}

/* Begins a macro: name(a, b=1), or that of a call block: call(a) f(), of which f() is called in the end. */
static ink_result parse_macro(jinja_parser *p, open_tag *b)
{
    uint32_t names[MOST_LISTED];
    size_t n = 0;
    const bool call = b->kind == B_CALL;
    b->to = (target){.names = {INK_JINJA_CALLER_NAME}, .n = 1};
    if (!call) {
        INK_TRY(take_name(p, &b->to.names[0]));
        INK_TRY(emit_jump(p, INK_OP_JUMP, 0, &b->patch));
    }
    uint32_t start = (uint32_t)p->n_ops;
    if (!call || now_is(p, "(")) {
        INK_TRY(lex_expect(p, "("));
        for (; !now_is(p, ")"); n++) {
            int32_t given = -1;
            if (n > 0)
                INK_TRY(lex_expect(p, ","));
            if (n == MOST_LISTED)
                return parse_unexpected(p, "fewer names");
            INK_TRY(take_name(p, &names[n]));
            if (!now_is(p, "="))
                continue;
            if (call)
                return parse_unsupported(p, "default of a call block", &p->now);
            INK_TRY(lex(p));
            INK_TRY(emit_jump(p, INK_OP_DEFAULT, names[n], &given));
            INK_TRY(parse_expression(p, WITH_IF));
            INK_TRY(emit(p, INK_OP_STORE, names[n], 0));
            end_jumps(p, &given);
        }
        INK_TRY(lex(p));
    }
    if (call) { /* the operation CALL, the last one, has to wait for the macro */
        const size_t first = p->n_ops;
        INK_TRY(parse_expression(p, 0));
        bool calls = p->ops[p->n_ops - 1].code == INK_OP_CALL;
        for (size_t i = first; i < p->n_ops; i++)
            calls = calls && i + (size_t)p->ops[i].jump != p->n_ops;
        if (!calls)
            return parse_fail(p, b->line, "a call block without a call", NULL, 0);
        b->call = p->ops[--p->n_ops];
        INK_TRY(emit_jump(p, INK_OP_JUMP, 0, &b->patch));
        start = (uint32_t)p->n_ops;
    }
    ink_jinja_macro *macros = parse_grow(p, p->macros, p->n_macros, &p->macro_room, sizeof *macros);
    uint32_t *parameters = ink_arena_alloc(p->arena, n + 1, sizeof *parameters);
    if (macros == NULL || parameters == NULL)
        return parse_memory(p);
    memcpy(parameters, names, n * sizeof *names);
    p->macros = macros;
    b->macro = (uint32_t)p->n_macros;
    macros[p->n_macros++] = (ink_jinja_macro){b->to.names[0], start, parameters, (uint32_t)n};
    return INK_OK;
}

/* {% break %} and {% continue %}. */
static ink_result parse_jump(jinja_parser *p, bool breaks)
{
    open_tag *b = p->blocks + p->n_blocks;
    while (b > p->blocks) {
        b--;
        if (b->kind == B_FOR && !b->otherwise)
            return breaks ? emit_jump(p, INK_OP_DONE, 0, &b->ends) : emit_jump_back(p, INK_OP_JUMP, b->again);
        if (b->kind == B_SET || b->kind == B_FILTER || b->kind == B_MACRO || b->kind == B_CALL)
            break; /* the loop restores the scope, but what is captured would not end */
    }
    return parse_fail(p, p->now.line, breaks ? "break outside of a loop" : "continue outside of a loop", NULL, 0);
}

/* A tag that opens a block or stands alone; its name has been read. */
static ink_result parse_opening(jinja_parser *p, const token *tag)
{
    size_t kind = 0;
    if (token_is(tag, "break") || token_is(tag, "continue"))
        return parse_jump(p, token_is(tag, "break"));
    while (kind < sizeof tags / sizeof *tags && !token_is(tag, tags[kind]))
        kind++;
    if (kind == sizeof tags / sizeof *tags)
        return parse_unsupported(p, "tag", tag);
    if (p->n_blocks == MOST_BLOCKS)
        return ink_fail(p->ctx, INK_ERROR_LIMIT, "%s: line %zu: tags are nested deeper than %d", p->file,
                        (size_t)tag->line, MOST_BLOCKS);
    open_tag *b = &p->blocks[p->n_blocks++];
    *b = (open_tag){.kind = (block_kind)kind, .line = tag->line, .patch = -1, .ends = -1};
    switch (b->kind) {
    case B_IF:
        return parse_condition(p, b);
    case B_FOR:
        return parse_for(p, b);
    case B_SET:
        return parse_set(p, b);
    case B_FILTER: /* its code comes first, and is jumped to in the end */
        INK_TRY(emit_jump(p, INK_OP_JUMP, 0, &b->patch));
        b->again = (uint32_t)p->n_ops;
        INK_TRY(parse_expression(p, BEHIND_PIPE));
        INK_TRY(emit(p, INK_OP_PRINT, 0, 0));
        INK_TRY(emit_jump(p, INK_OP_JUMP, 0, &b->ends));
        end_jumps(p, &b->patch);
        return emit(p, INK_OP_CAPTURE, 0, 0);
    case B_MACRO:
    case B_CALL:
        return parse_macro(p, b);
    case B_WITH:
        return parse_with(p);
    default:
        return emit(p, INK_OP_SCOPE, 0, 0);
    }
}

/* The code of a loop comes to its end: back, or on. */
static ink_result end_loop_body(jinja_parser *p, open_tag *b)
{
    INK_TRY(emit_jump_back(p, INK_OP_JUMP, b->again));
    end_jumps(p, &b->patch);
    return emit_jump(p, INK_OP_DONE, 0, &b->ends);
}

/* elif and else. */
static ink_result parse_middle(jinja_parser *p, open_tag *b, bool elif)
{
    if (b->otherwise || (b->kind != B_IF && (b->kind != B_FOR || elif)))
        return parse_unexpected(p, "another tag");
    b->otherwise = !elif;
    if (b->kind == B_FOR) {
        INK_TRY(end_loop_body(p, b));
        return emit(p, INK_OP_SCOPE, 0, 0);
    }
    INK_TRY(emit_jump(p, INK_OP_JUMP, 0, &b->ends));
    end_jumps(p, &b->patch);
    return elif ? parse_condition(p, b) : INK_OK;
}

/* The end of the innermost block. */
static ink_result parse_ending(jinja_parser *p, open_tag *b)
{
    switch (b->kind) {
    case B_IF:
        end_jumps(p, &b->patch);
        break;
    case B_FOR:
        INK_TRY(b->otherwise ? emit(p, INK_OP_UNSCOPE, 0, 0) : end_loop_body(p, b));
        break;
    case B_SET:
        INK_TRY(emit(p, INK_OP_RETURN, 0, 0));
        return emit_store(p, &b->to);
    case B_FILTER:
        INK_TRY(emit(p, INK_OP_RETURN, 0, 0));
        INK_TRY(emit_jump_back(p, INK_OP_JUMP, b->again));
        break;
    case B_MACRO:
    case B_CALL:
        INK_TRY(emit(p, INK_OP_RETURN, 0, 0));
        end_jumps(p, &b->patch);
        INK_TRY(emit(p, INK_OP_MACRO, b->macro, 0));
        if (b->kind == B_MACRO)
            return emit_store(p, &b->to);
        INK_TRY(emit(p, INK_OP_CALL, 0, 0));
        b->call.flags = 1;
        p->ops[p->n_ops - 1] = b->call;
        return emit(p, INK_OP_PRINT, 0, 0);
    default:
        return emit(p, INK_OP_UNSCOPE, 0, 0);
    }
    end_jumps(p, &b->ends);
    return INK_OK;
}

/* A tag {% ... %}. */
static ink_result parse_tag(jinja_parser *p)
{
    const token tag = p->now;
    if (tag.kind != T_NAME)
        return parse_unexpected(p, "the name of a tag");
    open_tag *b = p->n_blocks > 0 ? &p->blocks[p->n_blocks - 1] : NULL;
    INK_TRY(lex(p));
    if (b != NULL && (token_is(&tag, "else") || token_is(&tag, "elif"))) {
        INK_TRY(parse_middle(p, b, token_is(&tag, "elif")));
    } else if (tag.size > 3 && memcmp(tag.at, "end", 3) == 0) {
        if (b == NULL || !token_is(&(token){T_NAME, tag.at + 3, tag.size - 3, 0}, tags[b->kind]))
            return parse_fail(p, tag.line, "a tag that ends nothing:", tag.at, tag.size);
        p->n_blocks--;
        INK_TRY(parse_ending(p, b));
    } else {
        INK_TRY(parse_opening(p, &tag));
    }
    return now_is(p, ":") ? lex(p) : INK_OK; /* as in Python */
}

/* The text before the next tag, and the tag. *more: there was one. */
static ink_result parse_piece(jinja_parser *p, bool *more)
{
    const char *text = p->text, *brace;
    const size_t start = p->at;
    size_t tag = start, close;
    while (tag < p->size && !lex_has(p, tag, "{{") && !lex_has(p, tag, "{%") && !lex_has(p, tag, "{#")) {
        brace = memchr(text + tag + 1, '{', p->size - tag - 1);
        tag = brace != NULL ? (size_t)(brace - text) : p->size;
    }
    *more = tag < p->size;
    const char kind = *more ? text[tag + 1] : '\0', sign = lex_sign(p, tag + 2);
    const size_t end = *more ? lex_text_end(p, start, tag, sign, kind != '{') : tag, after = tag + 2 + (sign != '\0');
    if (end > start) {
        ink_jinja_value value;
        INK_TRY(make_text(p, text + start, end - start, &value));
        INK_TRY(emit_constant(p, value));
        INK_TRY(emit(p, INK_OP_PRINT, 0, 0));
    }
    lex_go(p, ink_size_min(after, p->size));
    if (kind == '#') {
        for (close = after; close < p->size && !lex_has(p, close, "#}");)
            close++;
        if (close == p->size)
            return parse_fail(p, p->line, "a comment has no end", NULL, 0);
        lex_leave(p, close + 2, close > after ? lex_sign(p, close - 1) : '\0', true);
    } else if (*more) {
        p->brackets = 0;
        p->close = kind == '{' ? '}' : '%';
        INK_TRY(lex(p));
        INK_TRY(kind == '{' ? parse_expression(p, WITH_TUPLE | WITH_IF) : parse_tag(p));
        if (kind == '{')
            INK_TRY(emit(p, INK_OP_PRINT, 0, 0));
        if (p->now.kind != T_CLOSE)
            return parse_unexpected(p, "the end of the tag");
    }
    return INK_OK;
}

static ink_result parse_template(jinja_parser *p)
{
    uint32_t name;
    bool more = true;
    INK_TRY(intern(p, "loop", 4, &name));
    INK_TRY(intern(p, "caller", 6, &name));
    while (more)
        INK_TRY(parse_piece(p, &more));
    if (p->n_blocks > 0)
        return parse_fail(p, p->blocks[p->n_blocks - 1].line, "the tag that begins here has no end", NULL, 0);
    return emit(p, INK_OP_END, 0, 0);
}

/* Copies what the parser gathered into the program's memory. */
static const void *keep(const jinja_parser *p, const void *items, size_t n, size_t size)
{
    void *kept = ink_arena_alloc(p->arena, n, size);
    if (kept != NULL && n > 0)
        memcpy(kept, items, n * size);
    return kept;
}

ink_result ink_jinja_parse(ink_context *ctx, ink_arena *arena, const char *file, const char *text, size_t size,
                           ink_jinja_program *program)
{
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    if (size > INT32_MAX / 2)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: the template has %zu bytes", file, size);
    jinja_parser p = {.ctx = ctx, .arena = arena, .file = file, .line = 1, .line_start = true};
    char *lines = ink_arena_alloc(&ctx->scratch, size + 1, 1);
    p.slots = ink_arena_alloc(&ctx->scratch, NAME_SLOTS, sizeof *p.slots);
    p.open = ink_arena_alloc(&ctx->scratch, MOST_OPEN, sizeof *p.open);
    p.blocks = ink_arena_alloc(&ctx->scratch, MOST_BLOCKS, sizeof *p.blocks);
    if (lines == NULL || p.slots == NULL || p.open == NULL || p.blocks == NULL)
        return ink_scratch_end(ctx, mark, parse_memory(&p));
    memset(p.slots, 0, NAME_SLOTS * sizeof *p.slots);
    for (size_t i = 0; i < size; i++) /* \r\n and \r are newlines */
        if (text[i] != '\n' || i == 0 || text[i - 1] != '\r')
            lines[p.size++] = text[i] == '\r' ? '\n' : text[i];
    if (p.size > 0 && lines[p.size - 1] == '\n')
        p.size--; /* the last one is dropped */
    p.text = lines;
    ink_result result = parse_template(&p);
    if (result == INK_OK) {
        *program = (ink_jinja_program){.file = file, .n_names = p.n_names};
        program->ops = keep(&p, p.ops, p.n_ops, sizeof *p.ops);
        program->constants = keep(&p, p.constants, p.n_constants, sizeof *p.constants);
        program->names = keep(&p, p.names, p.n_names, sizeof *p.names);
        program->macros = keep(&p, p.macros, p.n_macros, sizeof *p.macros);
        if (ink_arena_failed(arena))
            result = parse_memory(&p);
    }
    return ink_scratch_end(ctx, mark, result);
}
