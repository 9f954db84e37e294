/* fuzz_json.c - any bytes as JSON: parsed or refused; what was parsed hangs together; numbers are those of strtod. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/formats/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_number(ink_context *ctx, const ink_json_document *document, ink_json i)
{
    double value = 0, expected = strtod(document->nodes[i].string, NULL);
    expected = isinf(expected) ? copysign(DBL_MAX, expected) : expected;
    check(ink_json_get_float(ctx, document, i, &value) == INK_OK);
    check(memcmp(&value, &expected, sizeof value) == 0);
}

static void check_node(ink_context *ctx, const ink_json_document *document, ink_json i)
{
    const ink_json_node *node = &document->nodes[i];
    char path[64];
    size_t n = 0, found = 0;
    for (ink_json child = ink_json_first(document, i); child != INK_JSON_NONE; child = ink_json_next(document, child))
        n++;
    check(n == node->n_children);
    if (node->kind == INK_JSON_NUMBER)
        check_number(ctx, document, i);
    if (node->key != NULL && memchr(node->key, 0, node->key_size) == NULL && node->kind != INK_JSON_NULL)
        check(ink_json_member(document, node->parent, node->key) == i); /* keys are unique */
    ink_json_path(document, i, path, sizeof path);
    ink_json_get_size(ctx, document, i, 0, 100, &found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ink_context *ctx = ink_context_create(NULL);
    ink_arena arena;
    ink_json_document document;
    ink_arena_grow(&arena, &ctx->allocator);
    if (ink_json_parse(ctx, &arena, "fuzz", (const char *)data, size, 0, INK_LIMIT(ctx, table_bytes), &document) ==
        INK_OK)
        for (ink_json i = 0; i < document.n_nodes && i < 2000; i++)
            check_node(ctx, &document, i);
    else
        check(ink_context_error(ctx)[0] != '\0');
    ink_arena_free(&arena);
    ink_context_free(ctx);
    return 0;
}
