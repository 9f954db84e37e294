/*
 * safetensors.c - the checks that make a file believable, in the order in which they protect each other: lengths,
 * syntax, members, numbers, types, products, offsets.
 */
#include <string.h>

#include "json.h"
#include "safetensors.h"
#include "sniff.h"
#include "../base/bytes.h"

#define LENGTH_BYTES 8
#define MAX_HEADER_BYTES 100000000u

/* The schema of the format bounds sizes and offsets so; nothing that obeys it can overflow a sum of 64 bits. */
#define MAX_NUMBER (((int64_t)1 << 48) - 1)

/* What is known of a file while it is read. */
typedef struct reading {
    ink_context *ctx;
    const ink_file *file;
    ink_arena *arena;
    size_t header_size;
    ink_json_document document;
    ink_safetensors *table;
} reading;

static ink_result fail_memory(const reading *r)
{
    return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: the header of %s has %zu bytes", r->file->name,
                    r->header_size);
}

/* ---- the header as text --------------------------------------------------------------------------------------- */

/* The length of the header, checked against the file: subtracted, because 8 + n can wrap. */
static ink_result read_length(reading *r)
{
    const ink_file *file = r->file;
    unsigned char head[INK_SNIFF_BYTES] = {0};
    size_t n_head = file->size < sizeof head ? (size_t)file->size : sizeof head;

    INK_TRY(ink_file_read(r->ctx, file, 0, head, n_head));
    const char *other = ink_sniff(head, n_head);
    if (other != NULL)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: this is not a safetensors file but %.300s", file->name, other);
    if (file->size < LENGTH_BYTES)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: a safetensors file has at least 8 bytes, this one has %llu",
                        file->name, (unsigned long long)file->size);
    uint64_t length = ink_get_le(head, LENGTH_BYTES);
    if (length > MAX_HEADER_BYTES)
        return ink_fail(
            r->ctx, INK_ERROR_CORRUPT,
            "%s: not a safetensors file: the header length in its first 8 bytes is %llu, at most %llu is legal",
            file->name, (unsigned long long)length, (unsigned long long)(uint64_t)MAX_HEADER_BYTES);
    if (length > file->size - LENGTH_BYTES)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: the header should have %llu bytes, the file ends after %llu",
                        file->name, (unsigned long long)length, (unsigned long long)file->size - LENGTH_BYTES);
    r->header_size = (size_t)length;
    return INK_OK;
}

static ink_result read_header(reading *r)
{
    INK_TRY(read_length(r));
    char *text = ink_arena_alloc(r->arena, r->header_size, 1);
    if (text == NULL)
        return fail_memory(r);
    INK_TRY(ink_file_read(r->ctx, r->file, LENGTH_BYTES, text, r->header_size));
    return ink_json_parse(r->ctx, r->arena, r->file->name, text, r->header_size, LENGTH_BYTES, &r->document);
}

/* ---- the header as tensors ------------------------------------------------------------------------------------ */

/* A value of the wrong kind is a broken file here, not a contradiction between two good ones. */
static ink_result corrupt(ink_result result) { return result == INK_ERROR_MISMATCH ? INK_ERROR_CORRUPT : result; }

static const ink_json_node *node_at(const reading *r, ink_json i) { return &r->document.nodes[i]; }

static bool key_is(const ink_json_node *node, const char *key)
{
    return node->key_size == strlen(key) && memcmp(node->key, key, node->key_size) == 0;
}

static ink_result read_number(const reading *r, ink_json node, uint64_t *value)
{
    int64_t number;

    INK_TRY(corrupt(ink_json_get_int(r->ctx, &r->document, node, 0, MAX_NUMBER, &number)));
    *value = (uint64_t)number;
    return INK_OK;
}

static ink_result read_type(const reading *r, ink_json node, const char *tensor, ink_type *type)
{
    const char *name;

    INK_TRY(corrupt(ink_json_get_string(r->ctx, &r->document, node, &name, NULL)));
    for (int i = INK_TYPE_NONE + 1; i < INK_N_TYPES; i++) {
        if (strcmp(name, ink_type_name((ink_type)i)) == 0) {
            *type = (ink_type)i;
            return INK_OK;
        }
    }
    return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' has the unknown dtype '%s'", r->file->name, tensor,
                    name);
}

static ink_result read_shape(const reading *r, ink_json node, const char *tensor, ink_shape *shape)
{
    const ink_json_document *document = &r->document;
    size_t rank = node_at(r, node)->n_children;

    INK_TRY(corrupt(ink_json_expect(r->ctx, document, node, INK_JSON_ARRAY)));
    if (rank > INK_MAX_RANK)
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' has %zu dimensions, at most %zu are supported",
                        r->file->name, tensor, rank, (size_t)INK_MAX_RANK);
    for (ink_json i = ink_json_first(document, node); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        uint64_t dim;
        INK_TRY(read_number(r, i, &dim));
        if (dim > SIZE_MAX)
            return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' is too large for this machine",
                            r->file->name, tensor);
        shape->dim[shape->rank++] = (size_t)dim;
    }
    return INK_OK;
}

/* data_offsets, relative to the end of the header; the tensor gets its place in the file. */
static ink_result read_offsets(const reading *r, ink_json node, const char *tensor, ink_weight *weight)
{
    uint64_t begin, end;

    INK_TRY(corrupt(ink_json_expect(r->ctx, &r->document, node, INK_JSON_ARRAY)));
    if (node_at(r, node)->n_children != 2)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': data_offsets has %zu numbers, expected 2",
                        r->file->name, tensor, (size_t)node_at(r, node)->n_children);
    ink_json first = ink_json_first(&r->document, node);
    INK_TRY(read_number(r, first, &begin));
    INK_TRY(read_number(r, ink_json_next(&r->document, first), &end));
    if (begin > end)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': data_offsets [%llu, %llu] run backwards",
                        r->file->name, tensor, (unsigned long long)begin, (unsigned long long)end);
    weight->offset = LENGTH_BYTES + r->header_size + begin;
    weight->size = end - begin;
    return INK_OK;
}

/* Type, shape and offsets must say the same size. Multiplied with checks, zero dimensions or not: 2^32 x 2^32 wraps to
   an innocent 0. */
static ink_result check_size(const reading *r, const ink_weight *weight)
{
    size_t count, bits;

    if (!ink_shape_count(&weight->shape, &count) || !ink_size_mul(count, ink_type_bits(weight->type), &bits))
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': the size of %s overflows", r->file->name,
                        weight->name, INK_SHAPE(&weight->shape));
    if (bits % 8 != 0)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': %s %s is not a whole number of bytes",
                        r->file->name, weight->name, ink_type_name(weight->type), INK_SHAPE(&weight->shape));
    if (bits / 8 != weight->size)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': %s %s needs %zu bytes, its data_offsets span %llu",
                        r->file->name, weight->name, ink_type_name(weight->type), INK_SHAPE(&weight->shape), bits / 8,
                        (unsigned long long)weight->size);
    return INK_OK;
}

/* A name with a NUL would be cut there, and could become the name of another tensor. */
static bool has_nul(const ink_json_node *node) { return memchr(node->key, '\0', node->key_size) != NULL; }

static ink_result check_name(const reading *r, const ink_json_node *node)
{
    if (node->key_size == 0)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: a tensor without a name", r->file->name,
                        (size_t)LENGTH_BYTES + node->offset);
    if (has_nul(node))
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: tensor '%.*s': the name contains a NUL character",
                        r->file->name, (int)((size_t)node->key_size), node->key);
    return INK_OK;
}

static ink_result read_tensor(const reading *r, ink_json entry, ink_weight *weight)
{
    const ink_json_document *document = &r->document;
    const char *name = node_at(r, entry)->key;
    ink_json type, shape, offsets;

    INK_TRY(check_name(r, node_at(r, entry)));
    INK_TRY(corrupt(ink_json_require(r->ctx, document, entry, "dtype", &type)));
    INK_TRY(corrupt(ink_json_require(r->ctx, document, entry, "shape", &shape)));
    INK_TRY(corrupt(ink_json_require(r->ctx, document, entry, "data_offsets", &offsets)));
    for (ink_json i = ink_json_first(document, entry); i != INK_JSON_NONE; i = ink_json_next(document, i))
        if (i != type && i != shape && i != offsets)
            return ink_fail(r->ctx, INK_ERROR_CORRUPT,
                            "%s: tensor '%s' has the member '%.*s', expected only dtype, shape and data_offsets",
                            r->file->name, name, (int)((size_t)node_at(r, i)->key_size), node_at(r, i)->key);
    *weight = (ink_weight){.name = name};
    INK_TRY(read_type(r, type, name, &weight->type));
    INK_TRY(read_shape(r, shape, name, &weight->shape));
    INK_TRY(read_offsets(r, offsets, name, weight));
    return check_size(r, weight);
}

/* __metadata__: strings by name, or null. */
static ink_result read_metadata(const reading *r, ink_json entry)
{
    const ink_json_document *document = &r->document;
    ink_safetensors *table = r->table;

    if (node_at(r, entry)->kind == INK_JSON_NULL)
        return INK_OK;
    INK_TRY(corrupt(ink_json_expect(r->ctx, document, entry, INK_JSON_OBJECT)));
    table->metadata = ink_arena_alloc(r->arena, node_at(r, entry)->n_children, sizeof *table->metadata);
    if (table->metadata == NULL)
        return fail_memory(r);
    for (ink_json i = ink_json_first(document, entry); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        ink_safetensors_note *note = &table->metadata[table->n_metadata++];
        note->key = node_at(r, i)->key;
        INK_TRY(corrupt(ink_json_get_string(r->ctx, document, i, &note->value, NULL)));
        if (has_nul(node_at(r, i)))
            return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: __metadata__: the key '%.*s' contains a NUL character",
                            r->file->name, (int)((size_t)node_at(r, i)->key_size), node_at(r, i)->key);
    }
    return INK_OK;
}

/* In the order in which the header lists them. */
static ink_result read_tensors(const reading *r)
{
    const ink_json_document *document = &r->document;
    ink_safetensors *table = r->table;

    INK_TRY(corrupt(ink_json_expect(r->ctx, document, 0, INK_JSON_OBJECT)));
    table->tensors = ink_arena_alloc(r->arena, node_at(r, 0)->n_children, sizeof *table->tensors);
    if (table->tensors == NULL)
        return fail_memory(r);
    for (ink_json i = ink_json_first(document, 0); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        if (key_is(node_at(r, i), "__metadata__"))
            INK_TRY(read_metadata(r, i));
        else
            INK_TRY(read_tensor(r, i, &table->tensors[table->n_tensors++]));
    }
    return INK_OK;
}

/* ---- the data ------------------------------------------------------------------------------------------------- */

/* By offset. An empty tensor sorts before the one that begins where it does. */
static int compare_places(const void *user, size_t a, size_t b)
{
    const ink_weight *one = (const ink_weight *)user + a, *other = (const ink_weight *)user + b;
    if (one->offset != other->offset)
        return one->offset < other->offset ? -1 : 1;
    return one->size < other->size ? -1 : one->size > other->size;
}

static ink_result sort_by_offset(const reading *r)
{
    size_t n = r->table->n_tensors;
    const ink_weight *listed = r->table->tensors;
    uint64_t *order = ink_arena_alloc(r->arena, n, sizeof *order);
    ink_weight *sorted = ink_arena_alloc(r->arena, n, sizeof *sorted);

    if (order == NULL || sorted == NULL)
        return fail_memory(r);
    for (size_t i = 0; i < n; i++)
        order[i] = INK_KEY(0, i);
    ink_sort(order, n, &(ink_ties){compare_places, listed});
    for (size_t i = 0; i < n; i++)
        sorted[i] = listed[ink_key_index(order[i])];
    r->table->tensors = sorted;
    return INK_OK;
}

/* The tensors in the order of their bytes must cover the data exactly: no hole, no overlap, no rest. */
static ink_result check_coverage(const reading *r)
{
    uint64_t at = LENGTH_BYTES + r->header_size;

    for (size_t i = 0; i < r->table->n_tensors; i++) {
        const ink_weight *weight = &r->table->tensors[i];
        if (weight->offset != at)
            return ink_fail(r->ctx, INK_ERROR_CORRUPT,
                            "%s: tensor '%s' begins at byte %llu of the file, expected %llu: %s", r->file->name,
                            weight->name, (unsigned long long)weight->offset, (unsigned long long)at,
                            weight->offset < at ? "it overlaps another" : "the bytes before it belong to no tensor");
        at += weight->size;
    }
    if (at > r->file->size)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: the tensors end at byte %llu, the file is cut off at %llu",
                        r->file->name, (unsigned long long)at, (unsigned long long)r->file->size);
    if (at < r->file->size)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: the tensors end at byte %llu, but the file has %llu bytes",
                        r->file->name, (unsigned long long)at, (unsigned long long)r->file->size);
    return INK_OK;
}

ink_result ink_safetensors_read(ink_context *ctx, const ink_file *file, ink_arena *arena, ink_safetensors *table)
{
    reading r = {.ctx = ctx, .file = file, .arena = arena, .table = table};

    *table = (ink_safetensors){0};
    INK_TRY(read_header(&r));
    INK_TRY(read_tensors(&r));
    INK_TRY(sort_by_offset(&r));
    return check_coverage(&r);
}
