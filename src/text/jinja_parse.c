/*
 * jinja_parse.c - the text of a template becomes operations.
 *
 * The lexer cuts tokens off the text when the parser asks for one. Expressions are parsed by precedence, with a stack
 * of what is not complete yet: operators that wait for their right side, and brackets (Dijkstra's shunting yard). Each
 * complete part is a chain of operations, and parts are joined by linking the end of one to the beginning of the next.
 * That is all `a if c else b` needs to compute c before a. Statements have a stack of their own: the blocks that are
 * open.
 */
#include <string.h>

#include "jinja.h"

#define MOST_NAMES 4096
#define NAME_SLOTS 16384 /* a power of two */
#define MOST_BLOCKS 128
#define MOST_OPEN 1024 /* operators and brackets that wait */
#define MOST_ITEMS 60000
#define NONE INK_JINJA_NONE_NEXT

/* ---- the parser's state ----------------------------------------------------------------------------------------- */

typedef enum token_kind {
    T_END,
    T_DATA,
    T_PRINT,
    T_BLOCK,
    T_CLOSE,
    T_NAME,
    T_TEXT,
    T_INT,
    T_FLOAT,
    T_OPERATOR
} token_kind;

typedef struct token {
    token_kind kind;
    const char *at; /* [size] as it stands; of data without what is stripped */
    size_t size;
    uint32_t line;
} token;

/* A chain of operations; `first` is NONE if it is empty. */
typedef struct chain {
    uint32_t first, last;
} chain;

/* What waits on the stack of an expression, loosest first. Brackets stand behind the operators. */
typedef enum wait_kind {
    W_IF,
    W_ELSE,
    W_OR,
    W_AND,
    W_NOT,
    W_COMPARE,
    W_ADD,
    W_CONCAT,
    W_MUL,
    W_POW,
    W_SIGN,
    W_TEST_ARGUMENT,
    W_BASE,
    W_PAREN,
    W_LIST,
    W_DICT,
    W_CALL,
    W_FILTER,
    W_TEST,
    W_ITEM
} wait_kind;

typedef struct waiting {
    wait_kind kind;
    uint8_t what;    /* the operator; of a bracket INK_JINJA_STAR and the like */
    bool comma;      /* of a bracket: a comma has been seen; of a key of a dict: the colon has been seen */
    bool negated;    /* of a test */
    uint8_t special; /* of a call: the argument is a keyword's, or *x */
    uint32_t n, n_keywords, name, line;
    uint32_t join;    /* of a chain of comparisons */
    chain left, more; /* the left side or what the bracket has so far; of ELSE the condition */
} waiting;

typedef enum block_kind { B_IF, B_FOR, B_FOR_ELSE, B_SET, B_FILTER, B_MACRO, B_CALL, B_WITH, B_GENERATION } block_kind;

typedef struct open_tag {
    block_kind kind;
    uint32_t line;
    uint32_t patch, join; /* the jump of the last condition; what follows the block */
    uint32_t again;       /* of a loop: the operation NEXT */
    chain after;          /* of set, filter, call: what is done with the text; of a macro: its store */
    chain outer;          /* of a macro and a call: the code around it */
    size_t macro;
} open_tag;

typedef struct jinja_parser {
    ink_context *ctx;
    ink_arena *arena; /* of the program */
    const char *file;
    const char *text; /* [size] */
    size_t size, at;
    uint32_t line;
    char close;      /* inside a tag the character before its last brace; 0: outside */
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
    chain code; /* of the statements so far */
} jinja_parser;

static ink_result parse_fail(const jinja_parser *p, uint32_t line, const char *what, const char *at, size_t size)
{
    return ink_fail(p->ctx, INK_ERROR_CORRUPT, "%s: line %zu: %s%s%.*s%s", p->file, (size_t)line, what,
                    size > 0 ? " '" : "", (int)ink_size_min(size, 40), at != NULL ? at : "", size > 0 ? "'" : "");
}

static ink_result parse_unexpected(const jinja_parser *p, const char *expected)
{
    const token *now = &p->now;
    const char *found = now->kind == T_END     ? "the end of the template"
                        : now->kind == T_CLOSE ? "the end of the tag"
                        : now->kind == T_DATA  ? "text"
                                               : NULL;
    char what[160];
    ink_format(what, sizeof what, "expected %s, found%s%s", expected, found != NULL ? " " : "",
               found != NULL ? found : "");
    return parse_fail(p, now->line, what, now->at, found != NULL ? 0 : now->size);
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

static size_t skip_spaces(const char *text, size_t size, size_t at)
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

static size_t strip_end(const char *text, size_t start, size_t stop)
{
    uint32_t code;
    while (stop > start) {
        size_t length = ink_utf8_last(text + start, stop - start, &code);
        if (!ink_jinja_is_space(code))
            break;
        stop -= length;
    }
    return stop;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Goes on behind a tag or comment that ends at `at`: -%} drops white space, %} the newline. */
static void lex_leave(jinja_parser *p, size_t at, char sign, bool trims)
{
    size_t from = p->at;
    if (sign == '-')
        at = skip_spaces(p->text, p->size, at);
    else if (trims && sign != '+' && at < p->size && p->text[at] == '\n')
        at++;
    for (size_t i = from; i < at; i++)
        p->line += p->text[i] == '\n';
    p->line_start = at > from && p->text[at - 1] == '\n';
    p->at = at;
    p->close = '\0';
}

static bool lex_has(const jinja_parser *p, size_t at, const char *word)
{
    size_t size = strlen(word);
    return p->size - at >= size && memcmp(p->text + at, word, size) == 0;
}

/* Where the text before a tag ends. `sign`: what follows the {%; `lstrips`: white space between the beginning of the
   line and the tag goes. */
static size_t lex_text_end(const jinja_parser *p, size_t start, size_t tag, char sign, bool lstrips)
{
    if (sign == '-')
        return strip_end(p->text, start, tag);
    if (sign == '+' || !lstrips)
        return tag;
    size_t line = tag;
    while (line > start && p->text[line - 1] != '\n')
        line--;
    if (line == start && !p->line_start)
        return tag;
    return skip_spaces(p->text, tag, line) == tag ? line : tag;
}

/* If a tag {% WORD %} begins at `at`: the place behind its %}, and both signs. */
static size_t lex_word_tag(const jinja_parser *p, size_t at, const char *word, char *sign, char *end_sign)
{
    if (!lex_has(p, at, "{%"))
        return 0;
    at += 2;
    *sign = at < p->size && (p->text[at] == '-' || p->text[at] == '+') ? p->text[at] : '\0';
    at = skip_spaces(p->text, p->size, at + (*sign != '\0'));
    if (!lex_has(p, at, word))
        return 0;
    at = skip_spaces(p->text, p->size, at + strlen(word));
    *end_sign = at < p->size && (p->text[at] == '-' || p->text[at] == '+') ? p->text[at] : '\0';
    at += *end_sign != '\0';
    return lex_has(p, at, "%}") ? at + 2 : 0;
}

/* The next token outside of tags: text, or what opens a tag. */
static ink_result lex_outside(jinja_parser *p)
{
    const char *text = p->text;
    char sign, end_sign;
    for (;;) {
        size_t start = p->at, tag = start, end, after;
        const char *brace;
        while ((brace = tag < p->size ? memchr(text + tag, '{', p->size - tag) : NULL) != NULL) {
            tag = (size_t)(brace - text);
            if (tag + 1 < p->size && strchr("{%#", text[tag + 1]) != NULL && text[tag + 1] != '\0')
                break;
            tag++;
        }
        if (brace == NULL)
            tag = p->size;
        sign = tag + 2 < p->size && (text[tag + 2] == '-' || text[tag + 2] == '+') ? text[tag + 2] : '\0';
        end = tag < p->size ? lex_text_end(p, start, tag, sign, text[tag + 1] != '{') : tag;
        if (tag > start) { /* the text; the tag is looked at again by the next call */
            p->now = (token){T_DATA, text + start, end - start, p->line};
            for (size_t i = start; i < tag; i++)
                p->line += text[i] == '\n';
            p->line_start = false;
            p->at = tag;
            if (end > start)
                return INK_OK;
        }
        if (tag == p->size) {
            p->now = (token){T_END, text + tag, 0, p->line};
            return INK_OK;
        }
        after = tag + 2 + (sign != '\0');
        if (text[tag + 1] == '#') {
            size_t close = after;
            while (close + 1 < p->size && !(text[close] == '#' && text[close + 1] == '}'))
                close++;
            if (close + 1 >= p->size)
                return parse_fail(p, p->line, "a comment has no end", NULL, 0);
            sign = close > after && (text[close - 1] == '-' || text[close - 1] == '+') ? text[close - 1] : '\0';
            lex_leave(p, close + 2, sign, true);
            continue;
        }
        if ((after = lex_word_tag(p, tag, "raw", &sign, &end_sign)) != 0 && end_sign != '+') {
            uint32_t line = p->line;
            lex_leave(p, after, end_sign, false);
            for (start = tag = p->at;; tag++) {
                if (tag >= p->size)
                    return parse_fail(p, line, "{% raw %} has no {% endraw %}", NULL, 0);
                if (text[tag] == '{' && (after = lex_word_tag(p, tag, "endraw", &sign, &end_sign)) != 0)
                    break;
            }
            p->now = (token){T_DATA, text + start, lex_text_end(p, start, tag, sign, true) - start, p->line};
            lex_leave(p, after, end_sign, true);
            if (p->now.size == 0)
                continue;
            return INK_OK;
        }
        bool prints = text[tag + 1] == '{';
        p->now = (token){prints ? T_PRINT : T_BLOCK, text + tag, 2, p->line};
        sign = tag + 2 < p->size && (text[tag + 2] == '-' || text[tag + 2] == '+') ? text[tag + 2] : '\0';
        p->at = tag + 2 + (sign != '\0');
        p->close = prints ? '}' : '%';
        p->brackets = 0;
        return INK_OK;
    }
}

static ink_result lex_number(jinja_parser *p)
{
    const char *text = p->text;
    size_t start = p->at, at = start;
    bool is_float = false;
    char base = at + 1 < p->size && text[at] == '0' ? (char)(text[at + 1] | 0x20) : '\0';
    if (base == 'x' || base == 'o' || base == 'b') {
        for (at += 2; at < p->size && is_word_byte(text[at]);)
            at++;
    } else {
        bool member = start > 0 && text[start - 1] == '.'; /* x.0.1 */
        while (at < p->size && (is_digit(text[at]) || (text[at] == '_' && at + 1 < p->size && is_digit(text[at + 1]))))
            at++;
        if (!member && at + 1 < p->size && text[at] == '.' && is_digit(text[at + 1])) {
            is_float = true;
            for (at++; at < p->size && (is_digit(text[at]) || text[at] == '_');)
                at++;
        }
        size_t digits = at + 1;
        if (!member && at < p->size && (text[at] | 0x20) == 'e') {
            digits += digits < p->size && (text[digits] == '+' || text[digits] == '-');
            if (digits < p->size && is_digit(text[digits])) {
                is_float = true;
                for (at = digits; at < p->size && (is_digit(text[at]) || text[at] == '_');)
                    at++;
            }
        }
    }
    p->now = (token){is_float ? T_FLOAT : T_INT, text + start, at - start, p->line};
    p->at = at;
    return INK_OK;
}

/* The next token. */
static ink_result lex(jinja_parser *p)
{
    if (p->close == '\0')
        return lex_outside(p);
    const char *text = p->text;
    size_t at = skip_spaces(text, p->size, p->at);
    for (size_t i = p->at; i < at; i++)
        p->line += text[i] == '\n';
    p->at = at;
    if (at == p->size) {
        p->now = (token){T_END, text + at, 0, p->line};
        return INK_OK;
    }
    char c = text[at];
    bool block = p->close == '%', sign = c == '-' || (c == '+' && block);
    if (p->brackets == 0 && p->size - at >= (sign ? 3U : 2U) && text[at + sign] == p->close &&
        text[at + sign + 1] == '}') {
        p->now = (token){T_CLOSE, text + at, (size_t)sign + 2, p->line};
        lex_leave(p, at + sign + 2, sign ? c : '\0', block);
        return INK_OK;
    }
    if (is_digit(c))
        return lex_number(p);
    p->now = (token){T_OPERATOR, text + at, 1, p->line};
    if (is_word_byte(c)) {
        p->now.kind = T_NAME;
        while (at + p->now.size < p->size && is_word_byte(text[at + p->now.size]))
            p->now.size++;
    } else if (c == '\'' || c == '"') {
        p->now.kind = T_TEXT;
        size_t end = at + 1;
        while (end < p->size && text[end] != c)
            end += text[end] == '\\' && end + 1 < p->size ? 2 : 1;
        if (end >= p->size)
            return parse_fail(p, p->line, "a string has no end", NULL, 0);
        p->now.size = end + 1 - at;
        for (size_t i = at; i < end; i++)
            p->line += text[i] == '\n';
    } else if (strchr("+-*/~[](){}=!<>.:|,;%%", c) == NULL || c == '\0') {
        return parse_fail(p, p->line, "unexpected", text + at, 1);
    } else {
        static const char *const pairs[] = {"//", "**", "==", "!=", ">=", "<="};
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            if (lex_has(p, at, pairs[i]))
                p->now.size = 2;
        if (strchr("([{", c) != NULL)
            p->brackets++;
        else if (strchr(")]}", c) != NULL && p->brackets > 0)
            p->brackets--;
    }
    p->at += p->now.size;
    return INK_OK;
}

static bool now_is(const jinja_parser *p, const char *word)
{
    return (p->now.kind == T_NAME || p->now.kind == T_OPERATOR) && p->now.size == strlen(word) &&
           memcmp(p->now.at, word, p->now.size) == 0;
}

static bool name_is(const jinja_parser *p, const char *word) { return p->now.kind == T_NAME && now_is(p, word); }

/* Goes over an operator or name that has to be there. */
static ink_result lex_expect(jinja_parser *p, const char *word)
{
    char expected[32];
    ink_format(expected, sizeof expected, "'%s'", word);
    return now_is(p, word) ? lex(p) : parse_unexpected(p, expected);
}

static ink_result lex_close(jinja_parser *p)
{
    return p->now.kind == T_CLOSE ? lex(p) : parse_unexpected(p, "the end of the tag");
}

/* ---- operations, constants, names ------------------------------------------------------------------------------- */

static const chain empty = {NONE, NONE};

static void link_chain(jinja_parser *p, chain *to, chain more)
{
    if (more.first == NONE)
        return;
    if (to->first == NONE)
        *to = more;
    else
        p->ops[to->last].next = more.first;
    to->last = more.last;
}

/* Adds an operation to a chain. */
static ink_result emit(jinja_parser *p, chain *to, ink_jinja_code code, uint32_t arg, size_t n)
{
    if (n > MOST_ITEMS || p->n_ops >= NONE / 2)
        return parse_fail(p, p->now.line, "too many values in one expression", NULL, 0);
    ink_jinja_op *ops = parse_grow(p, p->ops, p->n_ops, &p->op_room, sizeof *ops);
    if (ops == NULL)
        return parse_memory(p);
    p->ops = ops;
    ops[p->n_ops] = (ink_jinja_op){
        .code = (uint8_t)code, .n = (uint16_t)n, .arg = arg, .next = NONE, .other = NONE, .line = p->now.line};
    const uint32_t at = (uint32_t)p->n_ops++;
    link_chain(p, to, (chain){at, at});
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

static ink_result emit_constant(jinja_parser *p, chain *to, ink_jinja_code code, ink_jinja_value value)
{
    ink_jinja_value *constants = parse_grow(p, p->constants, p->n_constants, &p->constant_room, sizeof *constants);
    if (constants == NULL)
        return parse_memory(p);
    p->constants = constants;
    constants[p->n_constants++] = value;
    return emit(p, to, code, (uint32_t)(p->n_constants - 1), 0);
}

static ink_result intern(jinja_parser *p, const char *at, size_t size, uint32_t *name)
{
    size_t slot = (size_t)ink_hash(0, at, size) % NAME_SLOTS;
    for (; p->slots[slot] != 0; slot = (slot + 1) % NAME_SLOTS) {
        const ink_jinja_string *text = p->names[p->slots[slot] - 1].text;
        if (text->size == size && memcmp(text->at, at, size) == 0) {
            *name = p->slots[slot] - 1;
            return INK_OK;
        }
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
    if (p->now.kind != T_NAME || is_digit(p->now.at[0]))
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
    static const char letters[] = "ntr\\'\"abfv", values[] = "\n\t\r\\'\"\a\b\f\v";
    while (at < stop) {
        if (*at != '\\' || at + 1 == stop) {
            out[(*n)++] = *at++;
            continue;
        }
        const char *letter = at[1] != '\0' ? strchr(letters, at[1]) : NULL;
        size_t digits = at[1] == 'x' ? 2 : at[1] == 'u' ? 4 : at[1] == 'U' ? 8 : 0;
        uint32_t code = 0;
        if (letter != NULL) {
            out[(*n)++] = values[letter - letters];
            at += 2;
        } else if (at[1] == '\n') {
            at += 2;
        } else if (at[1] >= '0' && at[1] <= '7') {
            size_t most = 3;
            for (at++; most > 0 && at < stop && *at >= '0' && *at <= '7'; most--)
                code = 8 * code + (uint32_t)(*at++ - '0');
            *n += ink_utf8_put(out + *n, code);
        } else if (digits > 0) {
            size_t i = 0;
            while (i < digits && at + 2 + i < stop && hex_value(at[2 + i]) < 16)
                code = 16 * code + hex_value(at[2 + i++]);
            if (i < digits || code > 0x10FFFF)
                return parse_fail(p, p->now.line, "an escape without a character:", at,
                                  ink_size_min(2 + i, (size_t)(stop - at)));
            at += 2 + digits;
            if (code >= 0xD800 && code < 0xDC00 && stop - at >= 6 && at[0] == '\\' && at[1] == 'u') {
                uint32_t low = 0; /* half of a pair, as in JSON */
                for (i = 2; i < 6 && hex_value(at[i]) < 16; i++)
                    low = 16 * low + hex_value(at[i]);
                if (i == 6 && low >= 0xDC00 && low < 0xE000) {
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    at += 6;
                }
            }
            *n += ink_utf8_put(out + *n, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
        } else {
            out[(*n)++] = *at++; /* a backslash like any other character */
        }
    }
    return INK_OK;
}

/* One string or several in a row. */
static ink_result take_text(jinja_parser *p, ink_jinja_value *value)
{
    ink_arena_mark mark = ink_arena_mark_here(&p->ctx->scratch);
    size_t n = 0;
    char *out = ink_arena_alloc(&p->ctx->scratch, p->size - (size_t)(p->now.at - p->text), 1);
    if (out == NULL)
        return parse_memory(p);
    while (p->now.kind == T_TEXT) {
        INK_TRY(unescape(p, p->now.at + 1, p->now.at + p->now.size - 1, out, &n));
        INK_TRY(lex(p));
    }
    INK_TRY(make_text(p, out, n, value));
    ink_arena_release(&p->ctx->scratch, mark);
    return INK_OK;
}

static ink_result take_number(jinja_parser *p, ink_jinja_value *value)
{
    char digits[64];
    const char *at = p->now.at;
    size_t size = p->now.size, n = 0;
    for (size_t i = 0; i < size; i++)
        if (at[i] != '_' && n < sizeof digits)
            digits[n++] = at[i];
    if (n == sizeof digits)
        return parse_fail(p, p->now.line, "a number with too many digits:", at, size);
    unsigned base = n > 1 && digits[0] == '0' ? (unsigned)(digits[1] | 0x20) : 0;
    base = base == 'x' ? 16 : base == 'o' ? 8 : base == 'b' ? 2 : 10;
    if (p->now.kind == T_FLOAT) {
        *value = ink_jinja_float(ink_decimal(digits, n));
        return lex(p);
    }
    uint64_t number = 0;
    for (size_t i = base == 10 ? 0 : 2; i < n; i++) {
        unsigned digit = hex_value(digits[i]);
        if (digit >= base || number > ((uint64_t)INT64_MAX - digit) / base)
            return parse_fail(p, p->now.line, digit >= base ? "no number:" : "a number beyond 64 bits:", at, size);
        number = number * base + digit;
    }
    *value = ink_jinja_int((int64_t)number);
    return lex(p);
}

/* ---- expressions ------------------------------------------------------------------------------------------------ */

enum { KEYWORD = 1, STARRED = 2 };

static ink_result push_waiting(jinja_parser *p, wait_kind kind, uint8_t what, chain left)
{
    if (p->n_open == MOST_OPEN)
        return ink_fail(p->ctx, INK_ERROR_LIMIT, "%s: line %zu: an expression is nested too deep", p->file,
                        (size_t)p->now.line);
    p->open[p->n_open++] =
        (waiting){.kind = kind, .what = what, .line = p->now.line, .left = left, .more = empty, .join = NONE};
    return INK_OK;
}

static ink_result emit_call(jinja_parser *p, const waiting *w, chain *code)
{
    ink_jinja_code op = w->kind == W_CALL ? INK_OP_CALL : w->kind == W_FILTER ? INK_OP_FILTER : INK_OP_TEST;
    INK_TRY(emit(p, code, op, w->name, w->n));
    if (w->n_keywords > MOST_ITEMS)
        return parse_fail(p, w->line, "too many values in one expression", NULL, 0);
    p->ops[code->last].other = w->n_keywords;
    p->ops[code->last].flags = w->what;
    p->ops[code->last].line = w->line;
    if (w->kind == W_TEST && w->negated)
        return emit(p, code, INK_OP_NOT, 0, 1);
    return INK_OK;
}

/* Completes the topmost operator, whose right side is *right. */
static ink_result reduce(jinja_parser *p, chain *right)
{
    waiting w = p->open[--p->n_open];
    chain code = w.left;
    uint32_t jump;
    switch (w.kind) {
    case W_IF: /* left: the value, right: the condition; without else */
    case W_ELSE: {
        chain otherwise = empty, value = w.left;
        code = w.kind == W_IF ? *right : w.more;
        if (w.kind == W_IF)
            INK_TRY(emit(p, &otherwise, INK_OP_UNDEFINED, 0, 0));
        else
            otherwise = *right;
        INK_TRY(emit(p, &code, INK_OP_UNLESS, 0, 1));
        p->ops[code.last].other = otherwise.first;
        link_chain(p, &code, value);
        INK_TRY(emit(p, &code, INK_OP_NOTHING, 0, 0));
        p->ops[otherwise.last].next = code.last;
        break;
    }
    case W_OR:
    case W_AND:
        INK_TRY(emit(p, &code, w.kind == W_OR ? INK_OP_OR : INK_OP_AND, 0, 1));
        jump = code.last;
        link_chain(p, &code, *right);
        INK_TRY(emit(p, &code, INK_OP_NOTHING, 0, 0));
        p->ops[jump].other = code.last;
        break;
    case W_NOT:
    case W_SIGN:
        code = *right;
        INK_TRY(emit(p, &code, w.kind == W_NOT ? INK_OP_NOT : INK_OP_NEGATE, 0, 1));
        p->ops[code.last].flags = w.what;
        break;
    case W_COMPARE:
        link_chain(p, &code, *right);
        INK_TRY(emit(p, &code, INK_OP_COMPARE, w.what, 2));
        if (w.join != NONE)
            link_chain(p, &code, (chain){w.join, w.join});
        break;
    case W_TEST_ARGUMENT:
        w.kind = W_TEST;
        w.n = 1;
        link_chain(p, &code, *right);
        INK_TRY(emit_call(p, &w, &code));
        break;
    default:
        link_chain(p, &code, *right);
        INK_TRY(emit(p, &code, INK_OP_BINARY, w.what, 2));
        break;
    }
    p->ops[code.last].line = w.line;
    *right = code;
    return INK_OK;
}

/* Completes the operators that bind at least as tightly as `kind`. */
static ink_result reduce_to(jinja_parser *p, wait_kind kind, chain *right)
{
    while (p->open[p->n_open - 1].kind < W_BASE && p->open[p->n_open - 1].kind >= kind)
        INK_TRY(reduce(p, right));
    return INK_OK;
}

/* Adds a complete element to the bracket on top. */
static ink_result bracket_add(jinja_parser *p, const chain *element)
{
    waiting *w = &p->open[p->n_open - 1];
    if (w->special == 0 && (w->n_keywords > 0 || w->what != 0)) /* f(a=1, 2) */
        return parse_fail(p, w->line, "a value behind a keyword", NULL, 0);
    link_chain(p, &w->left, *element);
    w->n_keywords += w->special == KEYWORD;
    w->n += w->special == 0;
    w->special = 0;
    if (w->n > MOST_ITEMS)
        return parse_fail(p, w->line, "too many values in one expression", NULL, 0);
    return INK_OK;
}

/* Behind `[`: a value or a part of a slice that is not there. */
static ink_result slice_part(jinja_parser *p, bool there, chain *element)
{
    waiting *w = &p->open[p->n_open - 1];
    if (!there) {
        *element = empty;
        INK_TRY(emit_constant(p, element, INK_OP_CONSTANT, ink_jinja_none()));
    }
    link_chain(p, &w->left, *element);
    w->n++;
    return INK_OK;
}

/* Closes the bracket on top; `there`: *operand is its last element. The value of the bracket is in *operand then. */
static ink_result bracket_close(jinja_parser *p, bool there, chain *operand)
{
    if (there)
        INK_TRY(reduce_to(p, W_IF, operand));
    waiting *w = &p->open[p->n_open - 1];
    const char *close = w->kind == W_LIST || w->kind == W_ITEM ? "]" : w->kind == W_DICT ? "}" : ")";
    if (w->kind == W_BASE || !now_is(p, close))
        return parse_unexpected(p, w->kind == W_BASE ? "an expression" : "another bracket");
    if (w->kind == W_DICT ? there != w->comma : !there && w->special != 0)
        return parse_unexpected(p, "a value");
    if (w->kind == W_ITEM && w->n > 0) { /* a slice */
        INK_TRY(slice_part(p, there, operand));
        while (p->open[p->n_open - 1].n < 3)
            INK_TRY(slice_part(p, false, operand));
    } else if (there) {
        INK_TRY(bracket_add(p, operand));
    }
    waiting done = p->open[--p->n_open];
    chain code = done.left;
    switch (done.kind) {
    case W_PAREN:
        if (done.comma || done.n == 0) {
            INK_TRY(emit(p, &code, INK_OP_LIST, 0, done.n));
            p->ops[code.last].flags = 1;
        }
        break;
    case W_LIST:
        INK_TRY(emit(p, &code, INK_OP_LIST, 0, done.n));
        break;
    case W_DICT:
        INK_TRY(emit(p, &code, INK_OP_DICT, 0, done.n / 2));
        break;
    case W_ITEM:
        if (done.n == 0)
            return parse_unexpected(p, "an index");
        INK_TRY(emit(p, &code, done.n == 3 ? INK_OP_SLICE : INK_OP_ITEM, 0, done.n + 1));
        break;
    default:
        INK_TRY(emit_call(p, &done, &code));
        break;
    }
    p->ops[code.last].line = done.line;
    *operand = code;
    return lex(p);
}

/* Where a value is expected. *there: it is complete. */
static ink_result parse_operand(jinja_parser *p, chain *operand, bool *there)
{
    static const struct {
        const char *word;
        ink_jinja_kind kind;
        bool truth;
    } words[] = {{"true", INK_JINJA_BOOL, true},   {"True", INK_JINJA_BOOL, true},  {"false", INK_JINJA_BOOL, false},
                 {"False", INK_JINJA_BOOL, false}, {"none", INK_JINJA_NONE, false}, {"None", INK_JINJA_NONE, false}};
    waiting *w = &p->open[p->n_open - 1];
    bool call = w->kind == W_CALL || w->kind == W_FILTER || w->kind == W_TEST;
    ink_jinja_value value;
    uint32_t name;
    *operand = empty;
    *there = true;
    if (p->now.kind == T_TEXT) {
        INK_TRY(take_text(p, &value));
        return emit_constant(p, operand, INK_OP_CONSTANT, value);
    }
    if (p->now.kind == T_INT || p->now.kind == T_FLOAT) {
        INK_TRY(take_number(p, &value));
        return emit_constant(p, operand, INK_OP_CONSTANT, value);
    }
    if (p->now.kind == T_NAME) {
        size_t after = skip_spaces(p->text, p->size, p->at);
        if (call && w->special == 0 && p->brackets > 0 && lex_has(p, after, "=") && !lex_has(p, after, "==")) {
            INK_TRY(take_name(p, &name)); /* its value is the operand that comes next */
            INK_TRY(emit_constant(p, &w->left, INK_OP_CONSTANT, p->names[name]));
            w->special = KEYWORD;
            *there = false;
            return lex(p);
        }
        if (name_is(p, "not")) {
            if (w->kind > W_NOT && w->kind < W_BASE)
                return parse_unexpected(p, "a value"); /* a == not b */
            *there = false;
            INK_TRY(push_waiting(p, W_NOT, 0, empty));
            return lex(p);
        }
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (name_is(p, words[i].word)) {
                value = words[i].kind == INK_JINJA_BOOL ? ink_jinja_bool(words[i].truth) : ink_jinja_none();
                INK_TRY(emit_constant(p, operand, INK_OP_CONSTANT, value));
                return lex(p);
            }
        INK_TRY(take_name(p, &name));
        for (size_t i = p->n_blocks; i-- > 0 && (name == INK_JINJA_VARARGS || name == INK_JINJA_KWARGS);)
            if (p->blocks[i].kind == B_MACRO || p->blocks[i].kind == B_CALL) {
                ink_jinja_macro *macro = &p->macros[p->blocks[i].macro];
                macro->takes_more = macro->takes_more || name == INK_JINJA_VARARGS;
                macro->takes_keywords = macro->takes_keywords || name == INK_JINJA_KWARGS;
                break;
            }
        return emit(p, operand, INK_OP_LOAD, name, 0);
    }
    *there = false;
    if (p->now.kind != T_OPERATOR)
        return parse_unexpected(p, "a value");
    if (call && w->special == 0 && (now_is(p, "**") || (now_is(p, "*") && w->n_keywords == 0 && w->what == 0))) {
        w->what |= p->now.size == 1 ? INK_JINJA_STAR : INK_JINJA_STAR_STAR;
        w->special = STARRED;
        return lex(p);
    }
    if (now_is(p, "-") || now_is(p, "+")) {
        INK_TRY(push_waiting(p, W_SIGN, now_is(p, "+"), empty));
        return lex(p);
    }
    if (now_is(p, "(") || now_is(p, "[") || now_is(p, "{")) {
        INK_TRY(push_waiting(p, now_is(p, "(") ? W_PAREN : now_is(p, "[") ? W_LIST : W_DICT, 0, empty));
        return lex(p);
    }
    if (now_is(p, ":") && w->kind == W_ITEM && w->n < 2) { /* the part before the colon is not there */
        INK_TRY(slice_part(p, false, operand));
        return lex(p);
    }
    if (w->kind > W_BASE && (now_is(p, ")") || now_is(p, "]") || now_is(p, "}"))) {
        *there = true;
        return bracket_close(p, false, operand);
    }
    return parse_unexpected(p, "a value");
}

/* Whether a name can be the argument of a test without brackets: `x is divisibleby 3`. */
static bool is_test_argument(const jinja_parser *p)
{
    static const char *const not_these[] = {"else", "or", "and", "if", "is", "recursive"};
    for (size_t i = 0; i < sizeof not_these / sizeof *not_these; i++)
        if (name_is(p, not_these[i]))
            return false;
    return p->now.kind == T_NAME || p->now.kind == T_TEXT || p->now.kind == T_INT || p->now.kind == T_FLOAT ||
           now_is(p, "[") || now_is(p, "{");
}

/* Behind `|` or `is`: the name of a filter or a test, and what follows it. *there: it is complete. */
static ink_result parse_filter_or_test(jinja_parser *p, bool test, chain *operand, bool *there)
{
    bool negated = test && name_is(p, "not");
    uint32_t name, line = p->now.line;
    if (negated)
        INK_TRY(lex(p));
    INK_TRY(take_name(p, &name));
    bool brackets = now_is(p, "(");
    waiting w = {.kind = test ? W_TEST : W_FILTER, .name = name, .negated = negated, .line = line, .more = empty};
    if (!brackets && !(test && is_test_argument(p)))
        return emit_call(p, &w, operand);
    INK_TRY(push_waiting(p, brackets ? w.kind : W_TEST_ARGUMENT, 0, *operand));
    p->open[p->n_open - 1].name = name;
    p->open[p->n_open - 1].negated = negated;
    p->open[p->n_open - 1].line = line;
    *there = false;
    return brackets ? lex(p) : INK_OK;
}

/* What may follow a value without being an operator: .name, [index], (arguments). *taken: it did. */
static ink_result parse_postfix(jinja_parser *p, chain *operand, bool *there, bool *taken)
{
    *taken = true;
    if (now_is(p, ".")) {
        uint32_t line = p->now.line, name;
        ink_jinja_value value;
        INK_TRY(lex(p));
        if (p->now.kind == T_INT) {
            INK_TRY(take_number(p, &value));
            INK_TRY(emit_constant(p, operand, INK_OP_CONSTANT, value));
            return emit(p, operand, INK_OP_ITEM, 0, 2);
        }
        INK_TRY(take_name(p, &name));
        INK_TRY(emit(p, operand, INK_OP_MEMBER, name, 1));
        p->ops[operand->last].line = line;
        return INK_OK;
    }
    if (now_is(p, "(") || now_is(p, "[")) {
        INK_TRY(push_waiting(p, now_is(p, "(") ? W_CALL : W_ITEM, 0, *operand));
        *there = false;
        return lex(p);
    }
    *taken = false;
    return INK_OK;
}

typedef struct operator_row {
    const char *word;
    uint8_t kind, what;
} operator_row;

static const operator_row operators[] = {
    {"or", W_OR, 0},
    {"and", W_AND, 0},
    {"==", W_COMPARE, INK_JINJA_EQ},
    {"!=", W_COMPARE, INK_JINJA_NE},
    {"<", W_COMPARE, INK_JINJA_LT},
    {"<=", W_COMPARE, INK_JINJA_LE},
    {">", W_COMPARE, INK_JINJA_GT},
    {">=", W_COMPARE, INK_JINJA_GE},
    {"in", W_COMPARE, INK_JINJA_IN},
    {"not", W_COMPARE, INK_JINJA_NOT_IN},
    {"+", W_ADD, INK_JINJA_ADD},
    {"-", W_ADD, INK_JINJA_SUB},
    {"~", W_CONCAT, INK_JINJA_JOIN},
    {"*", W_MUL, INK_JINJA_MUL},
    {"/", W_MUL, INK_JINJA_DIV},
    {"//", W_MUL, INK_JINJA_FLOOR_DIV},
    {"%", W_MUL, INK_JINJA_MOD},
    {"**", W_POW, INK_JINJA_POW},
};

/* An operator behind a value. *there becomes false; *taken: it was one. */
static ink_result parse_operator(jinja_parser *p, chain *operand, bool *there, bool *taken)
{
    size_t i = 0;
    while (i < sizeof operators / sizeof *operators && !now_is(p, operators[i].word))
        i++;
    *taken = i < sizeof operators / sizeof *operators;
    if (!*taken)
        return INK_OK;
    const operator_row *row = &operators[i];
    INK_TRY(reduce_to(p, (wait_kind)(row->kind + (row->kind == W_COMPARE)), operand));
    *there = false;
    waiting *top = &p->open[p->n_open - 1];
    if (row->kind == W_COMPARE && top->kind == W_COMPARE) { /* a < b < c */
        chain code = top->left;
        uint32_t join = top->join;
        if (join == NONE) {
            chain nothing = empty;
            INK_TRY(emit(p, &nothing, INK_OP_NOTHING, 0, 0));
            join = nothing.last;
        }
        link_chain(p, &code, *operand);
        INK_TRY(emit(p, &code, INK_OP_CHAIN, top->what, 2));
        p->ops[code.last].other = join;
        top->left = code;
        top->what = row->what;
        top->join = join;
    } else {
        INK_TRY(push_waiting(p, (wait_kind)row->kind, row->what, *operand));
    }
    bool not_in = row->what == INK_JINJA_NOT_IN;
    INK_TRY(lex(p));
    return not_in ? lex_expect(p, "in") : INK_OK;
}

enum { WITH_TUPLE = 1, WITH_IF = 2, BEHIND_VALUE = 4, BEHIND_PIPE = 8 };

/* An expression; with WITH_TUPLE also several with commas, with WITH_IF also x if y else z outside of brackets. With
   BEHIND_VALUE a value is on the stack already, and only filters may follow it; with BEHIND_PIPE the first of them is
   the next token. */
static ink_result parse_expression(jinja_parser *p, unsigned how, chain *code)
{
    const size_t base = p->n_open;
    chain operand = empty;
    bool there = false, taken, filters = (how & (BEHIND_VALUE | BEHIND_PIPE)) != 0;
    INK_TRY(push_waiting(p, W_BASE, 0, empty));
    if ((how & BEHIND_VALUE) != 0)
        there = true;
    if ((how & BEHIND_PIPE) != 0) {
        there = true;
        INK_TRY(parse_filter_or_test(p, false, &operand, &there));
    }
    for (;;) {
        bool outside = p->open[p->n_open - 1].kind == W_BASE;
        if (!there) {
            bool tuple_ends = outside && p->open[base].comma && (p->now.kind == T_CLOSE || name_is(p, "if"));
            if (tuple_ends)
                break;
            INK_TRY(parse_operand(p, &operand, &there));
            continue;
        }
        if (!(filters && outside)) {
            INK_TRY(parse_postfix(p, &operand, &there, &taken));
            if (taken)
                continue;
        }
        INK_TRY(reduce_to(p, W_TEST_ARGUMENT, &operand));
        if (now_is(p, "|") || (name_is(p, "is") && !(filters && outside))) {
            bool test = name_is(p, "is");
            INK_TRY(lex(p));
            INK_TRY(reduce_to(p, W_SIGN, &operand));
            INK_TRY(parse_filter_or_test(p, test, &operand, &there));
            continue;
        }
        if (filters && outside)
            break;
        INK_TRY(parse_operator(p, &operand, &there, &taken));
        if (taken)
            continue;
        size_t bracket = p->n_open - 1;
        while (p->open[bracket].kind < W_BASE)
            bracket--;
        waiting *w = &p->open[bracket];
        if (name_is(p, "if") && (bracket > base || (how & WITH_IF) != 0)) {
            INK_TRY(reduce_to(p, W_OR, &operand));
            while (p->open[p->n_open - 1].kind == W_IF)
                INK_TRY(reduce(p, &operand));
            INK_TRY(push_waiting(p, W_IF, 0, operand));
        } else if (name_is(p, "else") && (bracket > base || (how & WITH_IF) != 0)) {
            INK_TRY(reduce_to(p, W_OR, &operand));
            waiting *top = &p->open[p->n_open - 1];
            if (top->kind != W_IF)
                return parse_unexpected(p, "an expression");
            top->kind = W_ELSE;
            top->more = operand;
        } else if (now_is(p, ",") && (bracket > base || (how & WITH_TUPLE) != 0)) {
            INK_TRY(reduce_to(p, W_IF, &operand));
            if ((w->kind == W_DICT && !w->comma) || w->kind == W_ITEM)
                return parse_unexpected(p, "a value");
            INK_TRY(bracket_add(p, &operand));
            w->comma = w->kind != W_DICT;
        } else if (now_is(p, ":") && ((w->kind == W_DICT && !w->comma) || (w->kind == W_ITEM && w->n < 2))) {
            INK_TRY(reduce_to(p, W_IF, &operand));
            if (w->kind == W_ITEM) {
                INK_TRY(slice_part(p, true, &operand));
            } else {
                INK_TRY(bracket_add(p, &operand));
                w->comma = true;
            }
        } else if (bracket > base) {
            INK_TRY(bracket_close(p, true, &operand));
            continue;
        } else {
            break;
        }
        there = false;
        INK_TRY(lex(p));
    }
    if (there)
        INK_TRY(reduce_to(p, W_IF, &operand));
    if (there && p->open[base].comma)
        INK_TRY(bracket_add(p, &operand));
    waiting done = p->open[base];
    p->n_open = base;
    *code = operand;
    if (done.comma) {
        *code = done.left;
        INK_TRY(emit(p, code, INK_OP_LIST, 0, done.n));
        p->ops[code->last].flags = 1;
    }
    return INK_OK;
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

/* What a value is assigned to: a name, ns.member, a, b or (a, b). The code takes the value from the stack. */
static ink_result parse_target(jinja_parser *p, bool members, chain *code)
{
    struct {
        uint32_t unpack;
        size_t n;
        bool brackets;
    } level[8];
    size_t depth = 0;
    uint32_t name, member;
    *code = empty;
    INK_TRY(emit(p, code, INK_OP_NOTHING, 0, 1)); /* becomes UNPACK if there is a comma */
    level[0].unpack = code->last;
    level[0].n = 0;
    level[0].brackets = false;
    for (;;) {
        while (now_is(p, "(")) {
            if (++depth == sizeof level / sizeof *level)
                return parse_unexpected(p, "a name");
            INK_TRY(emit(p, code, INK_OP_NOTHING, 0, 1));
            level[depth].unpack = code->last;
            level[depth].n = 0;
            level[depth].brackets = true;
            INK_TRY(lex(p));
        }
        INK_TRY(take_name(p, &name));
        if (members && now_is(p, ".")) {
            INK_TRY(lex(p));
            INK_TRY(take_name(p, &member));
            INK_TRY(emit(p, code, INK_OP_STORE_MEMBER, name, 1));
            p->ops[code->last].other = member;
        } else {
            INK_TRY(emit(p, code, INK_OP_STORE, name, 1));
        }
        level[depth].n++;
        for (;;) {
            ink_jinja_op *unpack = &p->ops[level[depth].unpack];
            if (now_is(p, ",")) {
                unpack->code = INK_OP_UNPACK;
                INK_TRY(lex(p));
                bool ends = depth > 0 ? now_is(p, ")") : now_is(p, "=") || name_is(p, "in");
                if (!ends)
                    break;
            }
            if (level[depth].n > MOST_ITEMS)
                return parse_unexpected(p, "fewer names");
            p->ops[level[depth].unpack].n = (uint16_t)level[depth].n;
            if (depth == 0)
                return INK_OK;
            INK_TRY(lex_expect(p, ")"));
            level[--depth].n++;
        }
    }
}

static ink_result open_block(jinja_parser *p, block_kind kind, open_tag **opened)
{
    if (p->n_blocks == MOST_BLOCKS)
        return ink_fail(p->ctx, INK_ERROR_LIMIT, "%s: line %zu: tags are nested deeper than %d", p->file,
                        (size_t)p->now.line, MOST_BLOCKS);
    *opened = &p->blocks[p->n_blocks++];
    **opened =
        (open_tag){.kind = kind, .line = p->now.line, .patch = NONE, .join = NONE, .after = empty, .outer = empty};
    return INK_OK;
}

/* An operation that stands alone, to be linked later. */
static ink_result emit_alone(jinja_parser *p, uint32_t *at)
{
    chain alone = empty;
    INK_TRY(emit(p, &alone, INK_OP_NOTHING, 0, 0));
    *at = alone.last;
    return INK_OK;
}

static ink_result parse_condition(jinja_parser *p, open_tag *b)
{
    chain condition;
    INK_TRY(parse_expression(p, WITH_TUPLE, &condition));
    link_chain(p, &p->code, condition);
    INK_TRY(emit(p, &p->code, INK_OP_UNLESS, 0, 1));
    b->patch = p->code.last;
    return INK_OK;
}

static ink_result parse_for(jinja_parser *p)
{
    chain target, again, items;
    open_tag *b;
    uint32_t join;
    INK_TRY(open_block(p, B_FOR, &b));
    INK_TRY(parse_target(p, false, &target));
    if (!name_is(p, "in"))
        return parse_unexpected(p, "'in'");
    INK_TRY(lex(p));
    INK_TRY(parse_expression(p, WITH_TUPLE, &items));
    link_chain(p, &p->code, items);
    if (name_is(p, "if")) { /* a loop before the loop collects the items that pass */
        chain condition, again_target = empty;
        INK_TRY(lex(p));
        INK_TRY(emit(p, &p->code, INK_OP_FOR, 0, 1));
        p->ops[p->code.last].flags = 1;
        chain filter = empty;
        INK_TRY(emit(p, &filter, INK_OP_NEXT, 0, 0));
        uint32_t next = filter.first;
        for (uint32_t i = target.first;; i = p->ops[i].next) { /* the target is needed twice */
            const ink_jinja_op op = p->ops[i];
            INK_TRY(emit(p, &again_target, (ink_jinja_code)op.code, op.arg, op.n));
            p->ops[again_target.last].other = op.other;
            if (i == target.last)
                break;
        }
        link_chain(p, &filter, again_target);
        INK_TRY(parse_expression(p, WITH_IF, &condition));
        link_chain(p, &filter, condition);
        INK_TRY(emit(p, &filter, INK_OP_KEEP, 0, 1));
        p->ops[filter.last].next = next;
        link_chain(p, &p->code, (chain){next, next});
        chain kept = empty;
        INK_TRY(emit(p, &kept, INK_OP_KEPT, 0, 0));
        p->ops[next].other = kept.first;
        p->code.last = kept.last;
    }
    if (name_is(p, "recursive"))
        return ink_fail(p->ctx, INK_ERROR_UNSUPPORTED, "%s: line %zu: recursive loops are not supported", p->file,
                        (size_t)p->now.line);
    INK_TRY(emit(p, &p->code, INK_OP_FOR, 0, 1));
    again = empty;
    INK_TRY(emit(p, &again, INK_OP_NEXT, 0, 0));
    b->again = again.first;
    link_chain(p, &p->code, again);
    link_chain(p, &p->code, target);
    INK_TRY(emit_alone(p, &join));
    b->join = join;
    chain done = empty;
    INK_TRY(emit(p, &done, INK_OP_DONE, 0, 0));
    p->ops[b->again].other = done.first;
    p->ops[done.first].other = p->ops[done.first].next = join; /* `else` changes the jump */
    b->patch = done.first;
    return INK_OK;
}

/* `(a, b=1)`: parameters, and the code that fills in defaults. */
static ink_result parse_parameters(jinja_parser *p, size_t macro, chain *defaults)
{
    uint32_t *parameters = NULL;
    size_t n = 0, room = 0;
    *defaults = empty;
    INK_TRY(lex_expect(p, "("));
    while (!now_is(p, ")")) {
        if (n > 0)
            INK_TRY(lex_expect(p, ","));
        parameters = parse_grow(p, parameters, n, &room, sizeof *parameters);
        if (parameters == NULL)
            return parse_memory(p);
        INK_TRY(take_name(p, &parameters[n]));
        if (now_is(p, "=")) {
            chain value;
            uint32_t join;
            INK_TRY(lex(p));
            INK_TRY(emit(p, defaults, INK_OP_DEFAULT, parameters[n], 0));
            uint32_t jump = defaults->last;
            INK_TRY(parse_expression(p, WITH_IF, &value));
            link_chain(p, defaults, value);
            INK_TRY(emit(p, defaults, INK_OP_STORE, parameters[n], 1));
            INK_TRY(emit_alone(p, &join));
            link_chain(p, defaults, (chain){join, join});
            p->ops[jump].other = join;
        }
        n++;
    }
    INK_TRY(lex(p));
    uint32_t *copy = ink_arena_alloc(p->arena, n, sizeof *copy);
    if (copy == NULL)
        return parse_memory(p);
    if (n > 0)
        memcpy(copy, parameters, n * sizeof *copy);
    p->macros[macro].parameters = copy;
    p->macros[macro].n_parameters = (uint32_t)n;
    return INK_OK;
}

/* Begins the body of a macro or of a call block: what follows is code of its own. */
static ink_result begin_body(jinja_parser *p, open_tag *b, uint32_t name, bool signature)
{
    chain defaults = empty;
    ink_jinja_macro *macros = parse_grow(p, p->macros, p->n_macros, &p->macro_room, sizeof *macros);
    if (macros == NULL)
        return parse_memory(p);
    p->macros = macros;
    b->macro = p->n_macros++;
    macros[b->macro] = (ink_jinja_macro){.name = name};
    if (signature)
        INK_TRY(parse_parameters(p, b->macro, &defaults));
    b->outer = p->code;
    p->code = empty;
    INK_TRY(emit(p, &p->code, INK_OP_NOTHING, 0, 0));
    link_chain(p, &p->code, defaults);
    p->macros[b->macro].start = p->code.first;
    return INK_OK;
}

static ink_result end_body(jinja_parser *p, const open_tag *b)
{
    INK_TRY(emit(p, &p->code, INK_OP_RETURN, 0, 0));
    p->code = b->outer;
    if (b->kind == B_CALL) {
        /* The call is the last operation of `after`. The macro has to come before it. */
        chain code = b->after;
        ink_jinja_op call = p->ops[code.last];
        p->ops[code.last] = (ink_jinja_op){
            .code = INK_OP_MACRO, .arg = (uint32_t)b->macro, .next = NONE, .other = NONE, .line = call.line};
        INK_TRY(emit(p, &code, INK_OP_CALL, call.arg, call.n));
        p->ops[code.last].other = call.other;
        p->ops[code.last].flags = (uint8_t)(call.flags | INK_JINJA_CALLER);
        p->ops[code.last].line = call.line;
        INK_TRY(emit(p, &code, INK_OP_PRINT, 0, 1));
        link_chain(p, &p->code, code);
        return INK_OK;
    }
    INK_TRY(emit(p, &p->code, INK_OP_MACRO, (uint32_t)b->macro, 0));
    link_chain(p, &p->code, b->after);
    return INK_OK;
}

static ink_result emit_two(jinja_parser *p, ink_jinja_code first, ink_jinja_code second)
{
    INK_TRY(emit(p, &p->code, first, 0, 0));
    return emit(p, &p->code, second, 0, 0);
}

/* {% set %}: of a value, or of the block up to endset. */
static ink_result parse_set(jinja_parser *p)
{
    chain target, value;
    open_tag *b;
    INK_TRY(parse_target(p, true, &target));
    if (now_is(p, "=")) {
        INK_TRY(lex(p));
        INK_TRY(parse_expression(p, WITH_TUPLE | WITH_IF, &value));
        link_chain(p, &p->code, value);
        link_chain(p, &p->code, target);
        return INK_OK;
    }
    INK_TRY(open_block(p, B_SET, &b));
    value = empty;
    if (now_is(p, "|"))
        INK_TRY(parse_expression(p, BEHIND_VALUE, &value));
    b->after = empty;
    link_chain(p, &b->after, value);
    link_chain(p, &b->after, target);
    return emit_two(p, INK_OP_SCOPE, INK_OP_CAPTURE);
}

static ink_result parse_with(jinja_parser *p)
{
    open_tag *b;
    chain target, value, targets = empty, n_first = empty;
    INK_TRY(open_block(p, B_WITH, &b));
    for (size_t n = 0; p->now.kind != T_CLOSE; n++) {
        if (n > 0)
            INK_TRY(lex_expect(p, ","));
        INK_TRY(parse_target(p, false, &target));
        INK_TRY(lex_expect(p, "="));
        INK_TRY(parse_expression(p, WITH_IF, &value));
        link_chain(p, &p->code, value);
        n_first = target; /* the last value is on top of the stack */
        link_chain(p, &n_first, targets);
        targets = n_first;
    }
    INK_TRY(emit(p, &p->code, INK_OP_SCOPE, 0, 0));
    link_chain(p, &p->code, targets);
    return INK_OK;
}

/* {% break %} and {% continue %}. */
static ink_result parse_jump(jinja_parser *p, bool breaks)
{
    size_t i = p->n_blocks;
    while (i-- > 0 && p->blocks[i].kind != B_FOR) {
        const block_kind kind = p->blocks[i].kind; /* the loop restores the scope */
        if (kind == B_SET || kind == B_FILTER || kind == B_MACRO || kind == B_CALL)
            i = 0;
    }
    if (i == SIZE_MAX || p->blocks[i].kind != B_FOR)
        return parse_fail(p, p->now.line, breaks ? "break outside of a loop" : "continue outside of a loop", NULL, 0);
    INK_TRY(emit(p, &p->code, breaks ? INK_OP_BREAK : INK_OP_NOTHING, 0, 0));
    p->ops[p->code.last].next = breaks ? p->blocks[i].join : p->blocks[i].again;
    /* What follows in the block is never run. */
    uint32_t rest;
    INK_TRY(emit_alone(p, &rest));
    p->code.last = rest;
    return INK_OK;
}

/* A tag that opens a block or stands alone; its name has been read. *known: it is one. */
static ink_result parse_opening(jinja_parser *p, const token *tag, bool *known)
{
    static const char *const tags[] = {"if",   "for",    "set",        "macro", "call",
                                       "with", "filter", "generation", "break", "continue"};
    size_t which = 0;
    open_tag *b;
    chain code;
    uint32_t name;
    while (which < sizeof tags / sizeof *tags &&
           !(strlen(tags[which]) == tag->size && memcmp(tags[which], tag->at, tag->size) == 0))
        which++;
    *known = true;
    switch (which) {
    case 0:
        INK_TRY(open_block(p, B_IF, &b));
        INK_TRY(emit_alone(p, &b->join));
        return parse_condition(p, b);
    case 1:
        return parse_for(p);
    case 2:
        return parse_set(p);
    case 3:
        INK_TRY(open_block(p, B_MACRO, &b));
        INK_TRY(take_name(p, &name));
        INK_TRY(emit(p, &b->after, INK_OP_STORE, name, 1));
        return begin_body(p, b, name, true);
    case 4: {
        INK_TRY(open_block(p, B_CALL, &b));
        chain call;
        const bool signature = now_is(p, "(");
        INK_TRY(begin_body(p, b, INK_JINJA_CALLER_NAME, signature));
        INK_TRY(parse_expression(p, WITH_IF, &call));
        if (p->ops[call.last].code != INK_OP_CALL)
            return parse_fail(p, b->line, "a call block without a call", NULL, 0);
        b->after = call;
        return INK_OK;
    }
    case 5:
        return parse_with(p);
    case 6:
        INK_TRY(open_block(p, B_FILTER, &b));
        INK_TRY(parse_expression(p, BEHIND_PIPE, &code));
        b->after = code;
        INK_TRY(emit(p, &b->after, INK_OP_PRINT, 0, 1));
        return emit_two(p, INK_OP_SCOPE, INK_OP_CAPTURE);
    case 7:
        INK_TRY(open_block(p, B_GENERATION, &b));
        return emit(p, &p->code, INK_OP_SCOPE, 0, 0);
    case 8:
    case 9:
        return parse_jump(p, which == 8);
    default:
        *known = false;
        return INK_OK;
    }
}

/* elif and else. */
static ink_result parse_middle(jinja_parser *p, open_tag *b, bool elif)
{
    if (b->kind == B_IF && b->patch != NONE) {
        p->ops[p->code.last].next = b->join;
        uint32_t branch;
        INK_TRY(emit_alone(p, &branch));
        p->ops[b->patch].other = branch;
        b->patch = NONE;
        p->code.last = branch;
        return elif ? parse_condition(p, b) : INK_OK;
    }
    if (b->kind != B_FOR || elif)
        return parse_unexpected(p, "another tag");
    p->ops[p->code.last].next = b->again;
    b->kind = B_FOR_ELSE;
    uint32_t branch;
    INK_TRY(emit_alone(p, &branch));
    p->ops[b->patch].other = branch;
    p->code.last = branch;
    return emit(p, &p->code, INK_OP_SCOPE, 0, 0);
}

/* The end of the innermost block. */
static ink_result parse_ending(jinja_parser *p, const open_tag *b)
{
    switch (b->kind) {
    case B_IF:
        p->ops[p->code.last].next = b->join;
        if (b->patch != NONE)
            p->ops[b->patch].other = b->join;
        p->code.last = b->join;
        return INK_OK;
    case B_FOR:
        p->ops[p->code.last].next = b->again;
        p->code.last = b->join;
        return INK_OK;
    case B_FOR_ELSE:
        INK_TRY(emit(p, &p->code, INK_OP_UNSCOPE, 0, 0));
        p->ops[p->code.last].next = b->join;
        p->code.last = b->join;
        return INK_OK;
    case B_SET:
    case B_FILTER:
        INK_TRY(emit_two(p, INK_OP_CAPTURED, INK_OP_UNSCOPE));
        link_chain(p, &p->code, b->after);
        return INK_OK;
    case B_MACRO:
    case B_CALL:
        return end_body(p, b);
    default:
        return emit(p, &p->code, INK_OP_UNSCOPE, 0, 0);
    }
}

/* A tag {% ... %}. */
static ink_result parse_tag(jinja_parser *p)
{
    static const char *const ends[] = {"endif",    "endfor",  "endfor",  "endset",       "endfilter",
                                       "endmacro", "endcall", "endwith", "endgeneration"};
    bool known;
    INK_TRY(lex(p));
    const token tag = p->now;
    if (tag.kind != T_NAME)
        return parse_unexpected(p, "the name of a tag");
    open_tag *b = p->n_blocks > 0 ? &p->blocks[p->n_blocks - 1] : NULL;
    if (b != NULL && (name_is(p, "else") || name_is(p, "elif"))) {
        bool elif = name_is(p, "elif");
        INK_TRY(lex(p));
        INK_TRY(parse_middle(p, b, elif));
    } else if (b != NULL && name_is(p, ends[b->kind])) {
        INK_TRY(lex(p));
        p->n_blocks--;
        INK_TRY(parse_ending(p, b));
    } else {
        INK_TRY(lex(p));
        INK_TRY(parse_opening(p, &tag, &known));
        if (!known && tag.size > 3 && memcmp(tag.at, "end", 3) == 0)
            return parse_fail(p, tag.line, "a tag that ends nothing:", tag.at, tag.size);
        if (!known)
            return ink_fail(p->ctx, INK_ERROR_UNSUPPORTED, "%s: line %zu: the tag '%.*s' is not supported", p->file,
                            (size_t)tag.line, (int)ink_size_min(tag.size, 40), tag.at);
    }
    if (now_is(p, ":")) /* as in Python */
        INK_TRY(lex(p));
    return lex_close(p);
}

static ink_result parse_template(jinja_parser *p)
{
    static const char *const known[] = {"loop", "caller", "varargs", "kwargs"};
    ink_jinja_value text;
    chain code;
    uint32_t name;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        INK_TRY(intern(p, known[i], strlen(known[i]), &name));
    INK_TRY(emit(p, &p->code, INK_OP_NOTHING, 0, 0));
    INK_TRY(lex(p));
    while (p->now.kind != T_END) {
        if (p->now.kind == T_DATA) {
            INK_TRY(make_text(p, p->now.at, p->now.size, &text));
            INK_TRY(emit_constant(p, &p->code, INK_OP_WRITE, text));
            INK_TRY(lex(p));
        } else if (p->now.kind == T_PRINT) {
            INK_TRY(lex(p));
            INK_TRY(parse_expression(p, WITH_TUPLE | WITH_IF, &code));
            link_chain(p, &p->code, code);
            INK_TRY(emit(p, &p->code, INK_OP_PRINT, 0, 1));
            INK_TRY(lex_close(p));
        } else {
            INK_TRY(parse_tag(p));
        }
    }
    if (p->close != '\0')
        return parse_fail(p, p->now.line, "a tag has no end", NULL, 0);
    if (p->n_blocks > 0)
        return parse_fail(p, p->blocks[p->n_blocks - 1].line, "the tag that begins here has no end", NULL, 0);
    return emit(p, &p->code, INK_OP_END, 0, 0);
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
    if (size > UINT32_MAX / 2)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: the template has %zu bytes", file, size);
    jinja_parser p = {.ctx = ctx, .arena = arena, .file = file, .line = 1, .line_start = true, .code = empty};
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
        *program = (ink_jinja_program){.file = file, .n_ops = p.n_ops, .n_names = p.n_names, .start = p.code.first};
        program->ops = keep(&p, p.ops, p.n_ops, sizeof *p.ops);
        program->constants = keep(&p, p.constants, p.n_constants, sizeof *p.constants);
        program->names = keep(&p, p.names, p.n_names, sizeof *p.names);
        program->macros = keep(&p, p.macros, p.n_macros, sizeof *p.macros);
        if (ink_arena_failed(arena))
            result = parse_memory(&p);
    }
    return ink_scratch_end(ctx, mark, result);
}
