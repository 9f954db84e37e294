/*
 * json_values.c - walking a parsed document and taking values out of it.
 */
#include <string.h>

#include "decimal.h"
#include "json.h"

/* ---- walking -------------------------------------------------------------------------------------------------- */

ink_json ink_json_first(const ink_json_document *document, ink_json container)
{
    if (container == INK_JSON_NONE || document->nodes[container].n_children == 0)
        return INK_JSON_NONE;
    return container + 1;
}

ink_json ink_json_next(const ink_json_document *document, ink_json child)
{
    if (child == INK_JSON_NONE || document->nodes[child].parent == INK_JSON_NONE)
        return INK_JSON_NONE;
    ink_json next = document->nodes[child].next;
    ink_json end = document->nodes[document->nodes[child].parent].next;
    return next < end ? next : INK_JSON_NONE;
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

/* ---- sentences ------------------------------------------------------------------------------------------------ */

/* Which child of its array a node is. Only for messages: it counts. */
static size_t index_in_parent(const ink_json_document *document, ink_json node)
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
            used += ink_format(buffer + used, size - used, "[%zu]", index_in_parent(document, way[n]));
        else
            used += ink_format(buffer + used, size - used, "%s%.*s", used > 0 ? "." : "", (int)((size_t)step->key_size),
                               step->key);
    }
}

/* What a value is, for "found ...". */
static void describe(const ink_json_node *node, char *buffer, size_t size)
{
    static const char *const words[] = {
        [INK_JSON_NULL] = "null",      [INK_JSON_FALSE] = "false",      [INK_JSON_TRUE] = "true",
        [INK_JSON_ARRAY] = "an array", [INK_JSON_OBJECT] = "an object",
    };

    if (node->kind == INK_JSON_NUMBER)
        ink_format(buffer, size, "%.*s", (int)((size_t)node->string_size), node->string);
    else if (node->kind == INK_JSON_STRING)
        ink_format(buffer, size, "\"%.*s\"", (int)((size_t)node->string_size), node->string);
    else
        ink_format(buffer, size, "%s", words[node->kind]);
}

static ink_result fail_value(ink_context *ctx, const ink_json_document *document, ink_json node, const char *expected)
{
    char path[160], found[80]; /* so that the sentence fits with the longest file name */

    ink_json_path(document, node, path, sizeof path);
    describe(&document->nodes[node], found, sizeof found);
    return ink_fail(ctx, INK_ERROR_MISMATCH, "%s: %s%sexpected %s, found %s", document->file, path,
                    path[0] != '\0' ? ": " : "", expected, found);
}

/* ---- values --------------------------------------------------------------------------------------------------- */

typedef struct integer {
    bool negative;
    uint64_t magnitude; /* UINT64_MAX: that or more */
} integer;

static bool read_integer(const ink_json_node *node, integer *value)
{
    const char *digit = node->string;

    if (node->kind != INK_JSON_NUMBER)
        return false;
    *value = (integer){.negative = *digit == '-'};
    digit += value->negative;
    digit += ink_digits(digit, node->string_size - value->negative, &value->magnitude);
    return *digit == '\0' && !(value->negative && value->magnitude == 0);
}

static int64_t to_int64(const integer *value)
{
    if (!value->negative)
        return value->magnitude <= INT64_MAX ? (int64_t)value->magnitude : INT64_MAX;
    return value->magnitude <= INT64_MAX ? -(int64_t)value->magnitude : INT64_MIN;
}

ink_result ink_json_get_size(ink_context *ctx, const ink_json_document *document, ink_json node, size_t min, size_t max,
                             size_t *value)
{
    char expected[80];
    integer found;

    if (read_integer(&document->nodes[node], &found) && !found.negative) {
        size_t size = found.magnitude <= SIZE_MAX ? (size_t)found.magnitude : SIZE_MAX;
        if (size >= min && size <= max) {
            *value = size;
            return INK_OK;
        }
    }
    ink_format(expected, sizeof expected, "an integer from %zu to %zu", min, max);
    return fail_value(ctx, document, node, expected);
}

ink_result ink_json_get_int(ink_context *ctx, const ink_json_document *document, ink_json node, int64_t min,
                            int64_t max, int64_t *value)
{
    char expected[80];
    integer found;

    if (read_integer(&document->nodes[node], &found)) {
        int64_t whole = to_int64(&found);
        if (whole >= min && whole <= max) {
            *value = whole;
            return INK_OK;
        }
    }
    ink_format(expected, sizeof expected, "an integer from %lld to %lld", (long long)min, (long long)max);
    return fail_value(ctx, document, node, expected);
}

ink_result ink_json_get_float(ink_context *ctx, const ink_json_document *document, ink_json node, double *value)
{
    const ink_json_node *found = &document->nodes[node];

    if (found->kind != INK_JSON_NUMBER)
        return fail_value(ctx, document, node, "a number");
    *value = ink_decimal(found->string, found->string_size);
    return INK_OK;
}

ink_result ink_json_get_bool(ink_context *ctx, const ink_json_document *document, ink_json node, bool *value)
{
    ink_json_kind kind = document->nodes[node].kind;

    if (kind != INK_JSON_TRUE && kind != INK_JSON_FALSE)
        return fail_value(ctx, document, node, "true or false");
    *value = kind == INK_JSON_TRUE;
    return INK_OK;
}

ink_result ink_json_get_string(ink_context *ctx, const ink_json_document *document, ink_json node, const char **value,
                               size_t *size)
{
    const ink_json_node *found = &document->nodes[node];

    if (found->kind != INK_JSON_STRING)
        return fail_value(ctx, document, node, "a string");
    if (size == NULL && memchr(found->string, '\0', found->string_size) != NULL)
        return fail_value(ctx, document, node, "a string without NUL characters");
    *value = found->string;
    if (size != NULL)
        *size = found->string_size;
    return INK_OK;
}

ink_result ink_json_expect(ink_context *ctx, const ink_json_document *document, ink_json node, ink_json_kind kind)
{
    if (document->nodes[node].kind == kind)
        return INK_OK;
    return fail_value(ctx, document, node, kind == INK_JSON_ARRAY ? "an array" : "an object");
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
