/*
 * json.c - from a text to an array of nodes.
 *
 * The parser keeps no stack: the container it is in is the last open node, and the one around that is its parent. A
 * quick look over the text first counts values and string bytes, so that the nodes are one array and the strings one
 * block behind them, and nothing is allocated while parsing. Duplicate keys are looked for at the end, by sorting.
 */
#include <string.h>

#include "json.h"
#include "../base/bytes.h"

typedef struct parser {
    ink_context *ctx;
    const char *file;
    const unsigned char *text;
    size_t size;
    size_t origin; /* of the text in the file */
    size_t at;     /* the next byte */
    ink_json_node *nodes;
    ink_json n_nodes;
    ink_json open; /* the container whose members are being read; INK_JSON_NONE outside of the root */
    size_t depth;  /* containers that are open */
    char *strings; /* where the next string goes */
} parser;

/* ---- sentences ------------------------------------------------------------------------------------------------ */

static ink_result fail_at(const parser *p, size_t at, const char *what)
{
    return ink_fail(p->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: %s", p->file, p->origin + at, what);
}

static ink_result fail_expected(const parser *p, const char *expected)
{
    if (p->at >= p->size)
        return ink_fail(p->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: expected %s, found the end of the text", p->file,
                        p->origin + p->at, expected);
    return ink_fail(p->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: expected %s, found '%.*s'", p->file, p->origin + p->at,
                    expected, (int)((size_t)1), (const char *)p->text + p->at);
}

/* ---- bytes ---------------------------------------------------------------------------------------------------- */

/* The next byte; 0, which no rule of the grammar asks for, at the end. */
static unsigned char peek(const parser *p) { return p->at < p->size ? p->text[p->at] : 0; }

static void skip_space(parser *p)
{
    while (p->at < p->size) {
        unsigned char c = p->text[p->at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        p->at++;
    }
}

static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }

/* ---- strings -------------------------------------------------------------------------------------------------- */

/* \uXXXX at the current position. */
static ink_result read_unit(parser *p, uint32_t *unit)
{
    size_t start = p->at;

    if (p->size - p->at < 6 || p->text[p->at] != '\\' || p->text[p->at + 1] != 'u')
        return fail_at(p, start, "expected \\u and four hexadecimal digits");
    *unit = 0;
    for (size_t i = 2; i < 6; i++) {
        unsigned char c = p->text[start + i], letter = c | 0x20;
        bool hex = is_digit(c) || (letter >= 'a' && letter <= 'f');
        if (!hex)
            return fail_at(p, start, "expected \\u and four hexadecimal digits");
        *unit = *unit << 4 | (uint32_t)(is_digit(c) ? c - '0' : letter - 'a' + 10);
    }
    p->at = start + 6;
    return INK_OK;
}

/* \uXXXX, or two of them that make one character beyond U+FFFF. */
static ink_result read_unicode(parser *p, char **out)
{
    size_t start = p->at;
    uint32_t code, low = 0;

    INK_TRY(read_unit(p, &code));
    if (code >= 0xdc00 && code <= 0xdfff)
        return fail_at(p, start, "the second half of a surrogate pair stands without the first");
    if (code >= 0xd800 && code <= 0xdbff) {
        bool followed = p->size - p->at >= 2 && p->text[p->at] == '\\' && p->text[p->at + 1] == 'u';
        if (followed)
            INK_TRY(read_unit(p, &low));
        if (low < 0xdc00 || low > 0xdfff)
            return fail_at(p, start, "the first half of a surrogate pair stands without the second");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out += ink_utf8_put(*out, code);
    return INK_OK;
}

static ink_result read_escape(parser *p, char **out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    unsigned char c = p->at + 1 < p->size ? p->text[p->at + 1] : 0;
    const char *found = c != 0 ? strchr(from, c) : NULL;

    if (c == 'u')
        return read_unicode(p, out);
    if (found == NULL)
        return fail_at(p, p->at, "a backslash in a string must be followed by one of \" \\ / b f n r t u");
    *(*out)++ = to[found - from];
    p->at += 2;
    return INK_OK;
}

/* One character that is not plain: an escape, or more than one byte. */
static ink_result read_special(parser *p, char **out)
{
    unsigned char c = p->text[p->at];

    if (c == '\\')
        return read_escape(p, out);
    if (c < 0x20)
        return fail_at(p, p->at, "a control character in a string must be escaped");
    uint32_t code;
    size_t length = ink_utf8_next((const char *)p->text + p->at, p->size - p->at, &code);
    if (code >= INK_UTF8_INVALID)
        return fail_at(p, p->at, "a string must be valid UTF-8");
    memcpy(*out, p->text + p->at, length);
    *out += length;
    p->at += length;
    return INK_OK;
}

/* A string, unescaped, with a NUL where its closing quote was: it is never longer than its spelling. */
static ink_result read_string(parser *p, const char **string, uint32_t *size)
{
    size_t start = p->at++;
    char *out = p->strings;

    for (;;) {
        unsigned char c = 0;
        for (; p->at < p->size; p->at++) {
            c = p->text[p->at];
            if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
                break;
            *out++ = (char)c;
        }
        if (p->at >= p->size)
            return fail_at(p, start, "the string that begins here has no end");
        if (c == '"')
            break;
        INK_TRY(read_special(p, &out));
    }
    p->at++;
    *string = p->strings;
    *size = (uint32_t)(out - p->strings);
    *out = '\0';
    p->strings = out + 1;
    return INK_OK;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static ink_result read_digits(parser *p)
{
    if (!is_digit(peek(p)))
        return fail_expected(p, "a digit");
    while (is_digit(peek(p)))
        p->at++;
    return INK_OK;
}

/* number = [ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ("e" / "E") [ "-" / "+" ] 1*digit ]  (RFC 8259, 6) */
static ink_result read_number(parser *p, ink_json_node *node)
{
    size_t start = p->at;

    if (peek(p) == '-')
        p->at++;
    if (peek(p) == '0')
        p->at++;
    else
        INK_TRY(read_digits(p));
    if (peek(p) == '.') {
        p->at++;
        INK_TRY(read_digits(p));
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->at++;
        if (peek(p) == '-' || peek(p) == '+')
            p->at++;
        INK_TRY(read_digits(p));
    }
    node->kind = INK_JSON_NUMBER;
    node->string = p->strings;
    node->string_size = (uint32_t)(p->at - start);
    memcpy(p->strings, p->text + start, p->at - start);
    p->strings += p->at - start;
    *p->strings++ = '\0';
    return INK_OK;
}

static bool skip_word(parser *p, const char *word)
{
    size_t length = strlen(word);

    if (p->size - p->at < length || memcmp(p->text + p->at, word, length) != 0)
        return false;
    p->at += length;
    return true;
}

static ink_result read_word(parser *p, ink_json_node *node)
{
    size_t start = p->at;

    if (skip_word(p, "null"))
        node->kind = INK_JSON_NULL;
    else if (skip_word(p, "true"))
        node->kind = INK_JSON_TRUE;
    else if (skip_word(p, "false"))
        node->kind = INK_JSON_FALSE;
    else if (skip_word(p, "NaN") || skip_word(p, "Infinity") || skip_word(p, "-Infinity"))
        return fail_at(p, start, "NaN and Infinity are not JSON; a number must be finite");
    else
        return fail_expected(p, "a value");
    return INK_OK;
}

static ink_result open_container(parser *p, ink_json_node *node, ink_json_kind kind)
{
    if (p->depth == INK_JSON_MAX_DEPTH)
        return ink_fail(p->ctx, INK_ERROR_LIMIT, "%s: byte %zu: arrays and objects are nested deeper than %zu", p->file,
                        p->origin + p->at, (size_t)INK_JSON_MAX_DEPTH);
    p->at++;
    p->depth++;
    p->open = (ink_json)(node - p->nodes);
    node->kind = kind;
    return INK_OK;
}

static ink_result read_value(parser *p, ink_json_node *node)
{
    unsigned char c = peek(p);

    if (c == '"') {
        node->kind = INK_JSON_STRING;
        return read_string(p, &node->string, &node->string_size);
    }
    if (c == '{')
        return open_container(p, node, INK_JSON_OBJECT);
    if (c == '[')
        return open_container(p, node, INK_JSON_ARRAY);
    if (is_digit(c) || (c == '-' && !(p->size - p->at > 1 && p->text[p->at + 1] == 'I')))
        return read_number(p, node);
    return read_word(p, node);
}

/* The key of a member and its colon. */
static ink_result read_key(parser *p, ink_json_node *node)
{
    if (peek(p) != '"')
        return fail_expected(p, "a key in double quotes");
    INK_TRY(read_string(p, &node->key, &node->key_size));
    skip_space(p);
    if (peek(p) != ':')
        return fail_expected(p, "':'");
    p->at++;
    skip_space(p);
    return INK_OK;
}

/* A value, with its key where it is the member of an object; of a container only the opening bracket. */
static ink_result read_item(parser *p)
{
    ink_json_node *node = &p->nodes[p->n_nodes];

    memset(node, 0, sizeof *node);
    node->parent = p->open;
    node->next = p->n_nodes + 1;
    if (p->open != INK_JSON_NONE) {
        p->nodes[p->open].n_children++;
        if (p->nodes[p->open].kind == INK_JSON_OBJECT)
            INK_TRY(read_key(p, node));
    }
    node->offset = (uint32_t)p->at;
    p->n_nodes++;
    return read_value(p, node);
}

static void close_container(parser *p)
{
    p->nodes[p->open].next = p->n_nodes;
    p->open = p->nodes[p->open].parent;
    p->depth--;
    p->at++;
}

/* What stands between two items: the ends of containers, then a comma. On success the parser is before the next item,
   or the root is closed. */
static ink_result read_between(parser *p)
{
    skip_space(p);
    while (p->open != INK_JSON_NONE) {
        const ink_json_node *open = &p->nodes[p->open];
        bool is_object = open->kind == INK_JSON_OBJECT;
        if (peek(p) == (is_object ? '}' : ']')) {
            close_container(p);
            skip_space(p);
            continue;
        }
        bool just_opened = p->n_nodes == p->open + 1;
        if (just_opened)
            return INK_OK;
        if (peek(p) != ',')
            return fail_expected(p, is_object ? "',' or '}'" : "',' or ']'");
        p->at++;
        skip_space(p);
        return INK_OK;
    }
    return INK_OK;
}

static ink_result read_text(parser *p)
{
    if (p->size >= 3 && memcmp(p->text, "\xef\xbb\xbf", 3) == 0)
        return fail_at(p, 0, "JSON does not begin with a byte order mark");
    skip_space(p);
    do {
        INK_TRY(read_item(p));
        INK_TRY(read_between(p));
    } while (p->open != INK_JSON_NONE);
    if (p->at < p->size)
        return fail_expected(p, "the end of the text");
    return INK_OK;
}

/* ---- duplicate keys ------------------------------------------------------------------------------------------- */

static int compare_keys(const void *user, size_t a, size_t b)
{
    const ink_json_node *nodes = user;
    return ink_compare_bytes(nodes[a].key, nodes[a].key_size, nodes[b].key, nodes[b].key_size);
}

static ink_result fail_duplicate(const parser *p, size_t a, size_t b)
{
    const ink_json_node *first = &p->nodes[a < b ? a : b], *second = &p->nodes[a < b ? b : a];

    return ink_fail(p->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: the key '%.*s' was there already, at byte %zu", p->file,
                    p->origin + second->offset, (int)((size_t)second->key_size), second->key,
                    p->origin + first->offset);
}

/* Few keys: each with each. */
static ink_result check_few_keys(const parser *p, const ink_json_document *document, ink_json object)
{
    for (ink_json a = ink_json_first(document, object); a != INK_JSON_NONE; a = ink_json_next(document, a))
        for (ink_json b = ink_json_next(document, a); b != INK_JSON_NONE; b = ink_json_next(document, b))
            if (compare_keys(p->nodes, a, b) == 0)
                return fail_duplicate(p, a, b);
    return INK_OK;
}

/* Many keys: sorted, so that equal ones are neighbours. */
static ink_result check_many_keys(const parser *p, const ink_json_document *document, ink_json object, uint64_t *items)
{
    size_t n = 0;

    for (ink_json a = ink_json_first(document, object); a != INK_JSON_NONE; a = ink_json_next(document, a))
        items[n++] = INK_KEY(ink_hash(0, p->nodes[a].key, p->nodes[a].key_size), a);
    ink_sort(items, n, &(ink_ties){compare_keys, p->nodes});
    for (size_t i = 1; i < n; i++)
        if (compare_keys(p->nodes, ink_key_index(items[i]), ink_key_index(items[i - 1])) == 0)
            return fail_duplicate(p, ink_key_index(items[i]), ink_key_index(items[i - 1]));
    return INK_OK;
}

#define FEW_KEYS 8

static ink_result check_keys(const parser *p, const ink_json_document *document, ink_arena *arena)
{
    size_t most = 0;

    for (size_t i = 0; i < document->n_nodes; i++)
        if (p->nodes[i].kind == INK_JSON_OBJECT)
            most = ink_size_max(most, p->nodes[i].n_children);
    uint64_t *items = ink_arena_alloc(arena, most > FEW_KEYS ? most : 0, sizeof *items);
    if (items == NULL)
        return ink_fail(p->ctx, INK_ERROR_MEMORY, "out of memory: %s has an object with %zu keys", p->file, most);
    for (size_t i = 0; i < document->n_nodes; i++) {
        if (p->nodes[i].kind != INK_JSON_OBJECT)
            continue;
        if (p->nodes[i].n_children <= FEW_KEYS)
            INK_TRY(check_few_keys(p, document, (ink_json)i));
        else
            INK_TRY(check_many_keys(p, document, (ink_json)i, items));
    }
    return INK_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

/*
 * How many nodes and string bytes the parser will need at most. A value is the root, the first in a container, or
 * follows a comma. A string takes its spelling and a NUL in place of the closing quote, a number its spelling and a
 * NUL. Where the text is broken the parser stops; up to there both see the same strings.
 */
static void count(const char *text, size_t size, size_t *n_nodes, size_t *n_bytes)
{
    size_t nodes = 1, bytes = 0;

    for (size_t at = 0; at < size; at++) {
        char c = text[at];
        if (c == '"') {
            size_t start = ++at;
            while (at < size && text[at] != '"')
                at += text[at] == '\\' ? 2 : 1;
            bytes += at - start + 1;
        } else if (c == ',' || c == '[' || c == '{') {
            nodes++;
        } else if (c > ' ') {
            bytes++;
        }
    }
    *n_nodes = nodes;
    *n_bytes = bytes + nodes;
}

ink_result ink_json_parse(ink_context *ctx, ink_arena *arena, const char *file, const char *text, size_t size,
                          size_t origin, ink_json_document *document)
{
    parser p = {.ctx = ctx,
                .file = file,
                .text = (const unsigned char *)text,
                .size = size,
                .origin = origin,
                .open = INK_JSON_NONE};
    size_t n_nodes, n_bytes, n_all;

    if (size > INK_JSON_MAX_BYTES)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: the JSON text has %zu bytes, at most %zu are read", file, size,
                        INK_JSON_MAX_BYTES);
    count(text, size, &n_nodes, &n_bytes);
    if (!ink_size_mul(n_nodes, sizeof *p.nodes, &n_all) || !ink_size_add(n_all, n_bytes, &n_all))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s has %zu values", file, n_nodes);
    p.nodes = ink_arena_alloc(arena, n_all, 1);
    if (p.nodes == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s has %zu values", file, n_nodes);
    p.strings = (char *)(p.nodes + n_nodes);
    INK_TRY(read_text(&p));

    ink_json_document result = {.file = file, .nodes = p.nodes, .n_nodes = p.n_nodes};
    ink_arena work;
    ink_arena_grow(&work, &ctx->allocator);
    ink_result keys = check_keys(&p, &result, &work);
    ink_arena_free(&work);
    INK_TRY(keys);
    *document = result;
    return INK_OK;
}

ink_result ink_json_open(ink_context *ctx, ink_arena *arena, const ink_source *source, const char *name,
                         size_t max_bytes, ink_json_document *document)
{
    ink_arena work;
    const char *text = NULL;
    size_t size = 0;

    ink_arena_grow(&work, &ctx->allocator);
    ink_result result =
        ink_file_read_all(ctx, source, name, ink_size_min(max_bytes, INK_JSON_MAX_BYTES), &work, &text, &size);
    if (result == INK_OK)
        result = ink_json_parse(ctx, arena, name, text, size, 0, document);
    ink_arena_free(&work);
    return result;
}
