/*
 * json.c - from a text to an array of nodes, and values out of it.
 *
 * The parser keeps no stack: the container it is in is the last open node, and the next one outwards is its parent. A
 * first look over the text counts values and string bytes, so the nodes are one array with the strings behind it, and
 * parsing allocates nothing. Duplicate keys are found at the end, by sorting.
 */
#include <string.h>

#include "json.h"

typedef struct json_parser {
    ink_context *ctx;
    const char *file;
    const char *text;
    size_t size;
    size_t origin; /* of the text in the file */
    size_t at;     /* the next byte */
    ink_json_node *nodes;
    ink_json n_nodes;
    ink_json open; /* the container whose members are being read; INK_JSON_NONE outside of the root */
    size_t depth;  /* of open containers */
    char *strings; /* where the next string goes */
} json_parser;

/* ---- sentences about a text ----------------------------------------------------------------------------------- */

static ink_result json_fail_at(const json_parser *p, size_t at, const char *what)
{
    return ink_fail(p->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: %s", p->file, p->origin + at, what);
}

static ink_result json_fail_expected(const json_parser *p, const char *expected)
{
    if (p->at >= p->size)
        return ink_fail(p->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: expected %s, found the end of the text", p->file,
                        p->origin + p->at, expected);
    return ink_fail(p->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: expected %s, found '%.*s'", p->file, p->origin + p->at,
                    expected, 1, p->text + p->at);
}

/* ---- characters ----------------------------------------------------------------------------------------------- */

/* The next byte; 0, which no rule of the grammar asks for, at the end. */
static char json_peek(const json_parser *p) { return p->at < p->size ? p->text[p->at] : '\0'; }

/* Steps over a word if it comes next. */
static bool json_skip(json_parser *p, const char *word)
{
    size_t length = strlen(word);
    if (p->size - p->at < length || memcmp(p->text + p->at, word, length) != 0)
        return false;
    p->at += length;
    return true;
}

static void json_skip_space(json_parser *p)
{
    while (p->at < p->size) {
        char c = p->text[p->at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return;
        p->at++;
    }
}

/* ---- strings -------------------------------------------------------------------------------------------------- */

/* \uXXXX at the current position. */
static ink_result json_read_unit(json_parser *p, uint32_t *unit)
{
    static const char expected[] = "expected \\u and four hexadecimal digits";
    size_t start = p->at;
    *unit = 0;
    if (!json_skip(p, "\\u") || p->size - p->at < 4)
        return json_fail_at(p, start, expected);
    for (size_t i = 0; i < 4; i++) {
        char c = p->text[p->at++], letter = (char)(c | 0x20);
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(letter >= 'a' && letter <= 'f'))
            return json_fail_at(p, start, expected);
        *unit = *unit << 4 | (uint32_t)(digit ? c - '0' : letter - 'a' + 10);
    }
    return INK_OK;
}

/* A backslash and what follows it: one letter, \uXXXX, or two of these for a character beyond U+FFFF. */
static ink_result json_read_escape(json_parser *p, char **out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t start = p->at;
    char c = p->at + 1 < p->size ? p->text[p->at + 1] : '\0';
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    uint32_t code, low = 0;
    if (found != NULL) {
        *(*out)++ = to[found - from];
        p->at += 2;
        return INK_OK;
    }
    if (c != 'u')
        return json_fail_at(p, start, "a backslash in a string must be followed by one of \" \\ / b f n r t u");
    INK_TRY(json_read_unit(p, &code));
    if (code >= 0xdc00 && code <= 0xdfff)
        return json_fail_at(p, start, "the second half of a surrogate pair stands without the first");
    if (code >= 0xd800 && code <= 0xdbff) {
        if (p->size - p->at >= 2 && memcmp(p->text + p->at, "\\u", 2) == 0)
            INK_TRY(json_read_unit(p, &low));
        if (low < 0xdc00 || low > 0xdfff)
            return json_fail_at(p, start, "the first half of a surrogate pair stands without the second");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out += ink_utf8_put(*out, code);
    return INK_OK;
}

/* A string, unescaped, with a NUL in place of its closing quote: it is never longer than its spelling. */
static ink_result json_read_string(json_parser *p, const char **string, uint32_t *size)
{
    size_t start = p->at++;
    char *out = p->strings;
    for (;;) {
        unsigned char c = 0;
        for (; p->at < p->size; p->at++) {
            c = (unsigned char)p->text[p->at];
            if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
                break;
            *out++ = (char)c;
        }
        if (p->at >= p->size)
            return json_fail_at(p, start, "the string that begins here has no end");
        if (c == '"')
            break;
        if (c == '\\') {
            INK_TRY(json_read_escape(p, &out));
            continue;
        }
        if (c < 0x20)
            return json_fail_at(p, p->at, "a control character in a string must be escaped");
        uint32_t code;
        size_t length = ink_utf8_next(p->text + p->at, p->size - p->at, &code);
        if (code >= INK_UTF8_INVALID)
            return json_fail_at(p, p->at, "a string must be valid UTF-8");
        memcpy(out, p->text + p->at, length);
        out += length;
        p->at += length;
    }
    p->at++;
    *string = p->strings;
    *size = (uint32_t)(out - p->strings);
    *out = '\0';
    p->strings = out + 1;
    return INK_OK;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static ink_result json_skip_digits(json_parser *p)
{
    uint64_t value;
    size_t n = ink_digits(p->text + p->at, p->size - p->at, &value);
    p->at += n;
    return n > 0 ? INK_OK : json_fail_expected(p, "a digit");
}

/* number = [ "-" ] ( "0" / digit1-9 *digit ) [ "." 1*digit ] [ ("e" / "E") [ "-" / "+" ] 1*digit ]  (RFC 8259, 6) */
static ink_result json_read_number(json_parser *p, ink_json_node *node)
{
    size_t start = p->at;
    json_skip(p, "-");
    if (!json_skip(p, "0"))
        INK_TRY(json_skip_digits(p));
    if (json_skip(p, "."))
        INK_TRY(json_skip_digits(p));
    if (json_skip(p, "e") || json_skip(p, "E")) {
        if (!json_skip(p, "-"))
            json_skip(p, "+");
        INK_TRY(json_skip_digits(p));
    }
    size_t size = p->at - start;
    node->kind = INK_JSON_NUMBER;
    node->string = memcpy(p->strings, p->text + start, size);
    node->string_size = (uint32_t)size;
    p->strings[size] = '\0';
    p->strings += size + 1;
    return INK_OK;
}

/* A value; of a container only the opening bracket. */
static ink_result json_read_value(json_parser *p, ink_json_node *node)
{
    size_t start = p->at;
    char c = json_peek(p);
    if (c == '"') {
        node->kind = INK_JSON_STRING;
        return json_read_string(p, &node->string, &node->string_size);
    }
    if (c == '{' || c == '[') {
        if (p->depth == INK_JSON_MAX_DEPTH)
            return ink_fail(p->ctx, INK_ERROR_LIMIT, "%s: byte %zu: arrays and objects are nested deeper than %zu",
                            p->file, p->origin + p->at, (size_t)INK_JSON_MAX_DEPTH);
        node->kind = c == '{' ? INK_JSON_OBJECT : INK_JSON_ARRAY;
        p->open = (ink_json)(node - p->nodes);
        p->depth++;
        p->at++;
        return INK_OK;
    }
    if (json_skip(p, "NaN") || json_skip(p, "Infinity") || json_skip(p, "-Infinity"))
        return json_fail_at(p, start, "NaN and Infinity are not JSON; a number must be finite");
    if (c == '-' || (c >= '0' && c <= '9'))
        return json_read_number(p, node);
    if (json_skip(p, "null"))
        node->kind = INK_JSON_NULL;
    else if (json_skip(p, "true"))
        node->kind = INK_JSON_TRUE;
    else if (json_skip(p, "false"))
        node->kind = INK_JSON_FALSE;
    else
        return json_fail_expected(p, "a value");
    return INK_OK;
}

static ink_result json_read_text(json_parser *p)
{
    if (json_skip(p, "\xef\xbb\xbf"))
        return json_fail_at(p, 0, "JSON does not begin with a byte order mark");
    json_skip_space(p);
    do {
        /* An item: a value, with its key if it is the member of an object. */
        ink_json_node *node = &p->nodes[p->n_nodes];
        *node = (ink_json_node){.parent = p->open, .next = p->n_nodes + 1};
        if (p->open != INK_JSON_NONE)
            p->nodes[p->open].n_children++;
        if (p->open != INK_JSON_NONE && p->nodes[p->open].kind == INK_JSON_OBJECT) {
            if (json_peek(p) != '"')
                return json_fail_expected(p, "a key in double quotes");
            INK_TRY(json_read_string(p, &node->key, &node->key_size));
            json_skip_space(p);
            if (!json_skip(p, ":"))
                return json_fail_expected(p, "':'");
            json_skip_space(p);
        }
        node->offset = (uint32_t)p->at;
        p->n_nodes++;
        INK_TRY(json_read_value(p, node));
        json_skip_space(p);

        /* Between two items: the ends of containers, then a comma, unless a container was just opened. */
        while (p->open != INK_JSON_NONE) {
            ink_json_node *open = &p->nodes[p->open];
            bool is_object = open->kind == INK_JSON_OBJECT;
            if (json_skip(p, is_object ? "}" : "]")) {
                open->next = p->n_nodes;
                p->open = open->parent;
                p->depth--;
                json_skip_space(p);
                continue;
            }
            if (p->n_nodes == p->open + 1)
                break;
            if (!json_skip(p, ","))
                return json_fail_expected(p, is_object ? "',' or '}'" : "',' or ']'");
            json_skip_space(p);
            break;
        }
    } while (p->open != INK_JSON_NONE);
    return p->at == p->size ? INK_OK : json_fail_expected(p, "the end of the text");
}

/* ---- duplicate keys ------------------------------------------------------------------------------------------- */

static bool same_keys(const ink_json_node *a, const ink_json_node *b)
{
    return a->key_size == b->key_size && memcmp(a->key, b->key, a->key_size) == 0;
}

/* Equal keys in the order of the text. */
static int compare_keys(const void *user, size_t a, size_t b)
{
    const ink_json_node *nodes = user;
    size_t a_size = nodes[a].key_size, b_size = nodes[b].key_size;
    int order = memcmp(nodes[a].key, nodes[b].key, ink_size_min(a_size, b_size));
    return order != 0 ? order : a_size != b_size ? (a_size < b_size ? -1 : 1) : a < b ? -1 : a > b;
}

/* Sorts the keys of each object, so that equal ones are neighbours. Then a key that is there twice is refused; or the
   last one stays, and those before it lose their key, which hides them from walking. */
static ink_result json_check_keys(const json_parser *p, bool last_wins, ink_arena *arena)
{
    ink_json_node *nodes = p->nodes;
    const ink_json_document document = {.file = p->file, .nodes = nodes, .n_nodes = p->n_nodes};
    size_t most = 0;
    for (size_t i = 0; i < p->n_nodes; i++)
        if (nodes[i].kind == INK_JSON_OBJECT)
            most = ink_size_max(most, nodes[i].n_children);
    uint64_t *keys = ink_arena_alloc(arena, most, sizeof *keys);
    if (keys == NULL)
        return ink_fail(p->ctx, INK_ERROR_MEMORY, "out of memory: %s has an object with %zu keys", p->file, most);
    for (ink_json object = 0; object < p->n_nodes; object++) {
        if (nodes[object].kind != INK_JSON_OBJECT)
            continue;
        size_t n = 0;
        for (ink_json i = ink_json_first(&document, object); i != INK_JSON_NONE; i = ink_json_next(&document, i))
            keys[n++] = INK_KEY(ink_hash(0, nodes[i].key, nodes[i].key_size), i);
        ink_sort(keys, n, &(ink_ties){compare_keys, nodes});
        for (size_t i = 1; i < n; i++) {
            ink_json_node *first = &nodes[ink_key_index(keys[i - 1])], *second = &nodes[ink_key_index(keys[i])];
            if (!same_keys(first, second))
                continue;
            if (!last_wins)
                return ink_fail(
                    p->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: the key '%.*s' was there already, at byte %zu", p->file,
                    p->origin + second->offset, (int)second->key_size, second->key, p->origin + first->offset);
            first->key = NULL;
            nodes[object].n_children--;
        }
    }
    return INK_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

/*
 * How many nodes and string bytes the parser will need at most. A value is the root, the first in a container, or
 * follows a comma. A string takes its spelling and a NUL in place of the closing quote, a number its spelling and a
 * NUL. Where the text is broken the parser stops; up to there both see the same strings.
 */
static void json_count(const char *text, size_t size, size_t *n_nodes, size_t *n_bytes)
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

static ink_result json_parse(json_parser *p, ink_arena *arena, ink_limit limit, bool last_wins,
                             ink_json_document *document)
{
    size_t n_nodes, n_bytes, n_all;
    p->open = INK_JSON_NONE;
    if (p->size > INK_JSON_MAX_BYTES)
        return ink_fail(p->ctx, INK_ERROR_LIMIT, "%s: the JSON text has %zu bytes, at most %zu are read", p->file,
                        p->size, INK_JSON_MAX_BYTES);
    json_count(p->text, p->size, &n_nodes, &n_bytes);
    INK_TRY(ink_limit_check(p->ctx, p->file,
                            (uint64_t)n_nodes * (sizeof *p->nodes + sizeof(uint64_t)) + n_bytes + p->size, limit));
    if (ink_size_mul(n_nodes, sizeof *p->nodes, &n_all) && ink_size_add(n_all, n_bytes, &n_all))
        p->nodes = ink_arena_alloc(arena, n_all, 1);
    if (p->nodes == NULL)
        return ink_fail(p->ctx, INK_ERROR_MEMORY, "out of memory: %s has %zu values", p->file, n_nodes);
    p->strings = (char *)(p->nodes + n_nodes);
    INK_TRY(json_read_text(p));

    ink_arena work;
    ink_arena_grow(&work, &p->ctx->allocator);
    ink_result result = json_check_keys(p, last_wins, &work);
    ink_arena_free(&work);
    if (result == INK_OK)
        *document = (ink_json_document){.file = p->file, .nodes = p->nodes, .n_nodes = p->n_nodes};
    return result;
}

ink_result ink_json_parse(ink_context *ctx, ink_arena *arena, const char *file, const char *text, size_t size,
                          size_t origin, ink_limit limit, ink_json_document *document)
{
    json_parser p = {.ctx = ctx, .file = file, .text = text, .size = size, .origin = origin};
    return json_parse(&p, arena, limit, false, document);
}

ink_result ink_json_open(ink_context *ctx, ink_arena *arena, const ink_source *source, const char *name,
                         ink_limit limit, ink_json_document *document)
{
    json_parser p = {.ctx = ctx, .file = name};
    ink_arena work;
    ink_arena_grow(&work, &ctx->allocator);
    ink_result result = ink_file_read_all(ctx, source, name, limit, &work, &p.text, &p.size);
    if (result == INK_OK)
        result = json_parse(&p, arena, limit, true, document);
    ink_arena_free(&work);
    return result;
}

/* ---- walking -------------------------------------------------------------------------------------------------- */

/* The child at `i`, or the first one after it that no later key hides. */
static ink_json json_visible(const ink_json_document *document, ink_json container, ink_json i)
{
    const ink_json_node *nodes = document->nodes;
    while (i < nodes[container].next && nodes[container].kind == INK_JSON_OBJECT && nodes[i].key == NULL)
        i = nodes[i].next;
    return i < nodes[container].next ? i : INK_JSON_NONE;
}

ink_json ink_json_first(const ink_json_document *document, ink_json container)
{
    if (container == INK_JSON_NONE || document->nodes[container].n_children == 0)
        return INK_JSON_NONE;
    return json_visible(document, container, container + 1);
}

ink_json ink_json_next(const ink_json_document *document, ink_json child)
{
    if (child == INK_JSON_NONE || document->nodes[child].parent == INK_JSON_NONE)
        return INK_JSON_NONE;
    return json_visible(document, document->nodes[child].parent, document->nodes[child].next);
}

ink_json ink_json_member(const ink_json_document *document, ink_json object, const char *key)
{
    size_t size = strlen(key);
    if (object == INK_JSON_NONE || document->nodes[object].kind != INK_JSON_OBJECT)
        return INK_JSON_NONE;
    for (ink_json i = ink_json_first(document, object); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        const ink_json_node *node = &document->nodes[i];
        if (node->key_size == size && memcmp(node->key, key, size) == 0)
            return node->kind != INK_JSON_NULL ? i : INK_JSON_NONE;
    }
    return INK_JSON_NONE;
}

/* ---- sentences about a value ---------------------------------------------------------------------------------- */

/* Which child of its array a node is. Only for messages: it counts. */
static size_t json_index_in_parent(const ink_json_document *document, ink_json node)
{
    size_t index = 0;
    for (ink_json i = document->nodes[node].parent + 1; i != node; i = document->nodes[i].next)
        index++;
    return index;
}

void ink_json_path(const ink_json_document *document, ink_json node, char *buffer, size_t size)
{
    ink_json way[INK_JSON_MAX_DEPTH + 1]; /* from the node up to the root's child */
    size_t n = 0, used = 0;
    if (size == 0)
        return;
    buffer[0] = '\0';
    for (; document->nodes[node].parent != INK_JSON_NONE; node = document->nodes[node].parent)
        way[n++] = node;
    while (n-- > 0 && size - used > 4) { /* a step that was cut leaves less than a character */
        const ink_json_node *step = &document->nodes[way[n]];
        if (step->key == NULL)
            used += ink_format(buffer + used, size - used, "[%zu]", json_index_in_parent(document, way[n]));
        else
            used +=
                ink_format(buffer + used, size - used, "%s%.*s", used > 0 ? "." : "", (int)step->key_size, step->key);
    }
}

static ink_result json_fail_value(ink_context *ctx, const ink_json_document *document, ink_json node,
                                  const char *expected)
{
    static const char *const words[] = {
        [INK_JSON_NULL] = "null",      [INK_JSON_FALSE] = "false",      [INK_JSON_TRUE] = "true",
        [INK_JSON_ARRAY] = "an array", [INK_JSON_OBJECT] = "an object",
    };
    const ink_json_node *value = &document->nodes[node];
    char path[160], found[80]; /* so that the sentence fits with the longest file name */
    ink_json_path(document, node, path, sizeof path);
    if (value->kind == INK_JSON_NUMBER)
        ink_format(found, sizeof found, "%.*s", (int)value->string_size, value->string);
    else if (value->kind == INK_JSON_STRING)
        ink_format(found, sizeof found, "\"%.*s\"", (int)value->string_size, value->string);
    else
        ink_format(found, sizeof found, "%s", words[value->kind]);
    return ink_fail(ctx, INK_ERROR_MISMATCH, "%s: %s%sexpected %s, found %s", document->file, path,
                    path[0] != '\0' ? ": " : "", expected, found);
}

/* ---- values of nodes ------------------------------------------------------------------------------------------ */

/* An integer, without fraction or exponent; -0 is none. UINT64_MAX: that or more. */
static bool json_read_integer(const ink_json_node *node, bool *negative, uint64_t *magnitude)
{
    if (node->kind != INK_JSON_NUMBER)
        return false;
    *negative = node->string[0] == '-';
    size_t size = node->string_size - *negative;
    return ink_digits(node->string + *negative, size, magnitude) == size && !(*negative && *magnitude == 0);
}

ink_result ink_json_get_size(ink_context *ctx, const ink_json_document *document, ink_json node, size_t min, size_t max,
                             size_t *value)
{
    char expected[80];
    bool negative;
    uint64_t found;
    if (json_read_integer(&document->nodes[node], &negative, &found) && !negative) {
        size_t size = found <= SIZE_MAX ? (size_t)found : SIZE_MAX;
        if (size >= min && size <= max) {
            *value = size;
            return INK_OK;
        }
    }
    if (min == max)
        ink_format(expected, sizeof expected, "%zu", min);
    else
        ink_format(expected, sizeof expected, "an integer from %zu to %zu", min, max);
    return json_fail_value(ctx, document, node, expected);
}

ink_result ink_json_get_int(ink_context *ctx, const ink_json_document *document, ink_json node, int64_t min,
                            int64_t max, int64_t *value)
{
    char expected[80];
    bool negative;
    uint64_t found;
    if (json_read_integer(&document->nodes[node], &negative, &found)) {
        int64_t whole = found <= INT64_MAX ? (int64_t)found : INT64_MAX;
        if (negative)
            whole = found <= INT64_MAX ? -whole : INT64_MIN;
        if (whole >= min && whole <= max) {
            *value = whole;
            return INK_OK;
        }
    }
    if (min == max)
        ink_format(expected, sizeof expected, "%lld", (long long)min);
    else
        ink_format(expected, sizeof expected, "an integer from %lld to %lld", (long long)min, (long long)max);
    return json_fail_value(ctx, document, node, expected);
}

ink_result ink_json_get_float(ink_context *ctx, const ink_json_document *document, ink_json node, double *value)
{
    const ink_json_node *found = &document->nodes[node];
    if (found->kind != INK_JSON_NUMBER)
        return json_fail_value(ctx, document, node, "a number");
    *value = ink_decimal(found->string, found->string_size);
    return INK_OK;
}

ink_result ink_json_get_bool(ink_context *ctx, const ink_json_document *document, ink_json node, bool *value)
{
    ink_json_kind kind = document->nodes[node].kind;
    if (kind != INK_JSON_TRUE && kind != INK_JSON_FALSE)
        return json_fail_value(ctx, document, node, "true or false");
    *value = kind == INK_JSON_TRUE;
    return INK_OK;
}

ink_result ink_json_get_string(ink_context *ctx, const ink_json_document *document, ink_json node, const char **value,
                               size_t *size)
{
    const ink_json_node *found = &document->nodes[node];
    if (found->kind != INK_JSON_STRING)
        return json_fail_value(ctx, document, node, "a string");
    if (size == NULL && memchr(found->string, '\0', found->string_size) != NULL)
        return json_fail_value(ctx, document, node, "a string without NUL characters");
    *value = found->string;
    if (size != NULL)
        *size = found->string_size;
    return INK_OK;
}

ink_result ink_json_expect(ink_context *ctx, const ink_json_document *document, ink_json node, ink_json_kind kind)
{
    if (document->nodes[node].kind == kind)
        return INK_OK;
    return json_fail_value(ctx, document, node, kind == INK_JSON_ARRAY ? "an array" : "an object");
}

/* ---- members -------------------------------------------------------------------------------------------------- */

ink_result ink_json_read_size(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                              size_t min, size_t max, size_t *value)
{
    ink_json member = ink_json_member(document, object, key);
    return member == INK_JSON_NONE ? INK_OK : ink_json_get_size(ctx, document, member, min, max, value);
}

ink_result ink_json_read_int(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                             int64_t min, int64_t max, int64_t *value)
{
    ink_json member = ink_json_member(document, object, key);
    return member == INK_JSON_NONE ? INK_OK : ink_json_get_int(ctx, document, member, min, max, value);
}

ink_result ink_json_read_float(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                               double *value)
{
    ink_json member = ink_json_member(document, object, key);
    return member == INK_JSON_NONE ? INK_OK : ink_json_get_float(ctx, document, member, value);
}

ink_result ink_json_read_bool(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                              bool *value)
{
    ink_json member = ink_json_member(document, object, key);
    return member == INK_JSON_NONE ? INK_OK : ink_json_get_bool(ctx, document, member, value);
}

ink_result ink_json_read_string(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                                const char **value)
{
    ink_json member = ink_json_member(document, object, key);
    return member == INK_JSON_NONE ? INK_OK : ink_json_get_string(ctx, document, member, value, NULL);
}

ink_result ink_json_require(ink_context *ctx, const ink_json_document *document, ink_json object, const char *key,
                            ink_json *member)
{
    char path[160];
    *member = INK_JSON_NONE;
    INK_TRY(ink_json_expect(ctx, document, object, INK_JSON_OBJECT));
    *member = ink_json_member(document, object, key);
    if (*member != INK_JSON_NONE)
        return INK_OK;
    ink_json_path(document, object, path, sizeof path);
    return ink_fail(ctx, INK_ERROR_MISMATCH, "%s: %s%smember '%s' is missing", document->file, path,
                    path[0] != '\0' ? ": " : "", key);
}
