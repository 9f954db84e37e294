/*
 * weights.c - safetensors: eight bytes of length, a JSON header, then the tensors back to back.
 *
 *     0        8            8 + n
 *     | n, LE  | header ... | data ...                                                           |
 *                            begin of "a" .. end of "a" = begin of "b" .. ... end of the last = end of the file
 *
 * The idea of the format is that everything can be checked before anything is believed: the tensors must cover the
 * data without a hole, an overlap or a rest, and each must be as long as its type and shape say. The checks come in
 * the order in which they protect each other: lengths, syntax, members, numbers, types, products, offsets.
 * Format: https://github.com/huggingface/safetensors (README, "Format").
 */
#include <string.h>

#include <inkling/weights.h>

#include "../tensor/kernel.h"
#include "json.h"
#include "sniff.h"
#include "sort.h"

#define LENGTH_BYTES 8
#define MAX_HEADER_BYTES 100000000u

/* The schema of the format bounds sizes and offsets so; nothing that obeys it can overflow a sum of 64 bits. */
#define MAX_NUMBER (((int64_t)1 << 48) - 1)

typedef struct metadata {
    const char *key, *value;
} metadata;

struct ink_weights {
    ink_source source;
    ink_file file;          /* open for reading; its source and name are this object's own copies */
    ink_weight *tensors;    /* [n_tensors], by offset */
    ink_sort_item *by_name; /* [n_tensors], by hash of the name, then by name */
    size_t n_tensors;
    metadata *metadata; /* [n_metadata] */
    size_t n_metadata;
};

/* What is known of a file while it is opened. */
typedef struct opening {
    ink_context *ctx;
    const ink_source *source;
    ink_file *file;
    ink_arena *arena; /* for the time of opening only */
    size_t header_size;
    ink_json_document document;
    ink_json metadata; /* INK_JSON_NONE: there is none */
    ink_weight *tensors;
    ink_sort_item *order; /* by offset */
    size_t n_tensors;
} opening;

/* ---- the header as text --------------------------------------------------------------------------------------- */

static uint64_t little_endian(const unsigned char *bytes, size_t width)
{
    uint64_t value = 0;

    for (size_t i = width; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* The length of the header, checked against the file: subtracted, because 8 + n can wrap. */
static ink_result read_length(opening *o)
{
    const ink_file *file = o->file;
    unsigned char head[INK_SNIFF_BYTES] = {0};
    size_t n_head = file->size < sizeof head ? (size_t)file->size : sizeof head;

    INK_TRY(ink_file_read(o->ctx, file, 0, head, n_head));
    const char *other = ink_sniff(head, n_head);
    if (other != NULL)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: this is not a safetensors file but %s", file->name, other);
    if (file->size < LENGTH_BYTES)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: a safetensors file has at least 8 bytes, this one has %u",
                        file->name, file->size);
    uint64_t length = little_endian(head, LENGTH_BYTES);
    if (length > MAX_HEADER_BYTES)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT,
                        "%q: not a safetensors file: the header length in its first 8 bytes is %u, at most %u is legal",
                        file->name, length, (uint64_t)MAX_HEADER_BYTES);
    if (length > file->size - LENGTH_BYTES)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: the header should have %u bytes, the file ends after %u",
                        file->name, length, file->size - LENGTH_BYTES);
    o->header_size = (size_t)length;
    return INK_OK;
}

static ink_result read_header(opening *o)
{
    INK_TRY(read_length(o));
    char *text = ink_arena_take(o->arena, o->header_size, 1);
    if (text == NULL)
        return ink_fail(o->ctx, INK_ERROR_MEMORY, "out of memory: the header of %q has %z bytes", o->file->name,
                        o->header_size);
    INK_TRY(ink_file_read(o->ctx, o->file, LENGTH_BYTES, text, o->header_size));
    return ink_json_parse(o->ctx, o->arena, o->file->name, text, o->header_size, LENGTH_BYTES, &o->document);
}

/* ---- the header as tensors ------------------------------------------------------------------------------------ */

/* A value of the wrong kind is a broken file here, not a contradiction between two good ones. */
static ink_result corrupt(ink_result result)
{
    return result == INK_ERROR_MISMATCH ? INK_ERROR_CORRUPT : result;
}

static const ink_json_node *node_at(const opening *o, ink_json i)
{
    return &o->document.nodes[i];
}

static bool key_is(const ink_json_node *node, const char *key)
{
    return node->key_size == strlen(key) && memcmp(node->key, key, node->key_size) == 0;
}

static ink_result read_number(const opening *o, ink_json node, uint64_t *value)
{
    int64_t number;

    INK_TRY(corrupt(ink_json_get_int(o->ctx, &o->document, node, 0, MAX_NUMBER, &number)));
    *value = (uint64_t)number;
    return INK_OK;
}

static ink_result read_type(const opening *o, ink_json node, const char *tensor, ink_type *type)
{
    const char *name;

    INK_TRY(corrupt(ink_json_get_string(o->ctx, &o->document, node, &name, NULL)));
    for (int i = INK_TYPE_NONE + 1; i < INK_N_TYPES; i++) {
        if (strcmp(name, ink_type_name((ink_type)i)) == 0) {
            *type = (ink_type)i;
            return INK_OK;
        }
    }
    return ink_fail(o->ctx, INK_ERROR_UNSUPPORTED, "%q: tensor '%q' has the unknown dtype '%q'", o->file->name, tensor,
                    name);
}

static ink_result read_shape(const opening *o, ink_json node, const char *tensor, ink_shape *shape)
{
    const ink_json_document *document = &o->document;
    size_t rank = node_at(o, node)->n_children;

    INK_TRY(corrupt(ink_json_expect(o->ctx, document, node, INK_JSON_ARRAY)));
    if (rank > INK_MAX_RANK)
        return ink_fail(o->ctx, INK_ERROR_UNSUPPORTED, "%q: tensor '%q' has %z dimensions, at most %z are supported",
                        o->file->name, tensor, rank, (size_t)INK_MAX_RANK);
    for (ink_json i = ink_json_first(document, node); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        uint64_t dim;
        INK_TRY(read_number(o, i, &dim));
        if (dim > SIZE_MAX)
            return ink_fail(o->ctx, INK_ERROR_UNSUPPORTED, "%q: tensor '%q' is too large for this machine",
                            o->file->name, tensor);
        shape->dim[shape->rank++] = (size_t)dim;
    }
    return INK_OK;
}

/* data_offsets, relative to the end of the header; the tensor gets its place in the file. */
static ink_result read_offsets(const opening *o, ink_json node, const char *tensor, ink_weight *weight)
{
    uint64_t begin, end;

    INK_TRY(corrupt(ink_json_expect(o->ctx, &o->document, node, INK_JSON_ARRAY)));
    if (node_at(o, node)->n_children != 2)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: tensor '%q': data_offsets has %z numbers, expected 2",
                        o->file->name, tensor, (size_t)node_at(o, node)->n_children);
    ink_json first = ink_json_first(&o->document, node);
    INK_TRY(read_number(o, first, &begin));
    INK_TRY(read_number(o, ink_json_next(&o->document, first), &end));
    if (begin > end)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: tensor '%q': data_offsets [%u, %u] run backwards",
                        o->file->name, tensor, begin, end);
    weight->offset = LENGTH_BYTES + o->header_size + begin;
    weight->size = end - begin;
    return INK_OK;
}

/* Type, shape and offsets must say the same size. Multiplied with checks, zero dimensions or not: 2^32 x 2^32 wraps to
   an innocent 0. */
static ink_result check_size(const opening *o, const ink_weight *weight)
{
    size_t count, bits;

    if (!ink_shape_count(&weight->shape, &count) || !ink_size_mul(count, ink_type_bits(weight->type), &bits))
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: tensor '%q': the size of %S overflows", o->file->name,
                        weight->name, &weight->shape);
    if (bits % 8 != 0)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: tensor '%q': %s %S is not a whole number of bytes",
                        o->file->name, weight->name, ink_type_name(weight->type), &weight->shape);
    if (bits / 8 != weight->size)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: tensor '%q': %s %S needs %z bytes, its data_offsets span %u",
                        o->file->name, weight->name, ink_type_name(weight->type), &weight->shape, bits / 8,
                        weight->size);
    return INK_OK;
}

/* A name with a NUL would be cut there, and could become the name of another tensor. */
static bool has_nul(const ink_json_node *node)
{
    return memchr(node->key, '\0', node->key_size) != NULL;
}

static ink_result check_name(const opening *o, const ink_json_node *node)
{
    if (node->key_size == 0)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: byte %z: a tensor without a name", o->file->name,
                        (size_t)LENGTH_BYTES + node->offset);
    if (has_nul(node))
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: tensor '%Q': the name contains a NUL character", o->file->name,
                        node->key, (size_t)node->key_size);
    return INK_OK;
}

static ink_result read_tensor(const opening *o, ink_json entry, ink_weight *weight)
{
    const ink_json_document *document = &o->document;
    const char *name = node_at(o, entry)->key;
    ink_json type, shape, offsets;

    INK_TRY(check_name(o, node_at(o, entry)));
    INK_TRY(corrupt(ink_json_require(o->ctx, document, entry, "dtype", &type)));
    INK_TRY(corrupt(ink_json_require(o->ctx, document, entry, "shape", &shape)));
    INK_TRY(corrupt(ink_json_require(o->ctx, document, entry, "data_offsets", &offsets)));
    for (ink_json i = ink_json_first(document, entry); i != INK_JSON_NONE; i = ink_json_next(document, i))
        if (i != type && i != shape && i != offsets)
            return ink_fail(o->ctx, INK_ERROR_CORRUPT,
                            "%q: tensor '%q' has the member '%Q', expected only dtype, shape and data_offsets",
                            o->file->name, name, node_at(o, i)->key, (size_t)node_at(o, i)->key_size);
    *weight = (ink_weight){.name = name};
    INK_TRY(read_type(o, type, name, &weight->type));
    INK_TRY(read_shape(o, shape, name, &weight->shape));
    INK_TRY(read_offsets(o, offsets, name, weight));
    return check_size(o, weight);
}

/* __metadata__: strings by name, or null. */
static ink_result check_metadata(const opening *o, ink_json entry)
{
    const ink_json_document *document = &o->document;
    const char *value;

    if (node_at(o, entry)->kind == INK_JSON_NULL)
        return INK_OK;
    INK_TRY(corrupt(ink_json_expect(o->ctx, document, entry, INK_JSON_OBJECT)));
    for (ink_json i = ink_json_first(document, entry); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        INK_TRY(corrupt(ink_json_get_string(o->ctx, document, i, &value, NULL)));
        if (has_nul(node_at(o, i)))
            return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: __metadata__: the key '%Q' contains a NUL character",
                            o->file->name, node_at(o, i)->key, (size_t)node_at(o, i)->key_size);
    }
    return INK_OK;
}

static ink_result read_tensors(opening *o)
{
    const ink_json_document *document = &o->document;
    size_t n_entries = node_at(o, 0)->n_children;

    INK_TRY(corrupt(ink_json_expect(o->ctx, document, 0, INK_JSON_OBJECT)));
    o->tensors = ink_arena_take(o->arena, n_entries, sizeof *o->tensors);
    o->order = ink_arena_take(o->arena, n_entries, sizeof *o->order);
    if (ink_arena_failed(o->arena))
        return ink_fail(o->ctx, INK_ERROR_MEMORY, "out of memory: %q has %z tensors", o->file->name, n_entries);
    for (ink_json i = ink_json_first(document, 0); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        if (key_is(node_at(o, i), "__metadata__")) {
            INK_TRY(check_metadata(o, i));
            o->metadata = i;
        } else {
            INK_TRY(read_tensor(o, i, &o->tensors[o->n_tensors]));
            o->n_tensors++;
        }
    }
    return INK_OK;
}

/* ---- the data ------------------------------------------------------------------------------------------------- */

/* An empty tensor sorts before the one that begins where it does. */
static int compare_ends(const void *user, size_t a, size_t b)
{
    const ink_weight *tensors = user;
    return tensors[a].size < tensors[b].size ? -1 : tensors[a].size > tensors[b].size;
}

/* The tensors in the order of their bytes must cover the data exactly: no hole, no overlap, no rest. */
static ink_result check_coverage(opening *o)
{
    uint64_t at = LENGTH_BYTES + o->header_size;

    for (size_t i = 0; i < o->n_tensors; i++)
        o->order[i] = (ink_sort_item){.key = o->tensors[i].offset, .index = i};
    ink_sort(o->order, o->n_tensors, compare_ends, o->tensors);
    for (size_t i = 0; i < o->n_tensors; i++) {
        const ink_weight *weight = &o->tensors[o->order[i].index];
        if (weight->offset != at)
            return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: tensor '%q' begins at byte %u of the file, expected %u: %s",
                            o->file->name, weight->name, weight->offset, at,
                            weight->offset < at ? "it overlaps another" : "the bytes before it belong to no tensor");
        at += weight->size;
    }
    if (at > o->file->size)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: the tensors end at byte %u, the file is cut off at %u",
                        o->file->name, at, o->file->size);
    if (at < o->file->size)
        return ink_fail(o->ctx, INK_ERROR_CORRUPT, "%q: the tensors end at byte %u, but the file has %u bytes",
                        o->file->name, at, o->file->size);
    return INK_OK;
}

/* ---- the object ----------------------------------------------------------------------------------------------- */

/* A copy of a string in the arena; NULL while measuring. */
static const char *take_string(ink_arena *arena, char **pool, const char *string)
{
    size_t size = strlen(string) + 1;
    char *copy = *pool;

    if (arena->measuring)
        return NULL;
    memcpy(copy, string, size);
    *pool += size;
    return copy;
}

static int compare_names(const void *user, size_t a, size_t b)
{
    const ink_weight *tensors = user;
    return strcmp(tensors[a].name, tensors[b].name);
}

/* Bytes of all the strings the object keeps. They are parts of a header of at most 100,000,000 bytes. */
static size_t string_bytes(const opening *o)
{
    const ink_json_document *document = &o->document;
    size_t bytes = strlen(o->file->name) + 1;

    for (size_t i = 0; i < o->n_tensors; i++)
        bytes += strlen(o->tensors[i].name) + 1;
    for (ink_json i = ink_json_first(document, o->metadata); i != INK_JSON_NONE; i = ink_json_next(document, i))
        bytes += strlen(node_at(o, i)->key) + 1 + node_at(o, i)->string_size + 1;
    return bytes;
}

static void fill_weights(const opening *o, ink_arena *arena, ink_weights *weights, char *pool)
{
    const ink_json_document *document = &o->document;

    weights->source = *o->source;
    weights->file = *o->file;
    weights->file.source = &weights->source;
    weights->file.name = take_string(arena, &pool, o->file->name);
    weights->n_tensors = o->n_tensors;
    for (size_t i = 0; i < o->n_tensors; i++) {
        weights->tensors[i] = o->tensors[o->order[i].index];
        weights->tensors[i].name = take_string(arena, &pool, weights->tensors[i].name);
        weights->by_name[i].key = ink_hash(weights->tensors[i].name, strlen(weights->tensors[i].name));
        weights->by_name[i].index = i;
    }
    ink_sort(weights->by_name, o->n_tensors, compare_names, weights->tensors);
    for (ink_json i = ink_json_first(document, o->metadata); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        metadata *entry = &weights->metadata[weights->n_metadata++];
        entry->key = take_string(arena, &pool, node_at(o, i)->key);
        entry->value = take_string(arena, &pool, node_at(o, i)->string);
    }
}

static ink_result build(void *args, ink_arena *arena, void **object)
{
    const opening *o = args;
    size_t n_metadata = o->metadata != INK_JSON_NONE ? node_at(o, o->metadata)->n_children : 0;
    ink_weights *weights = ink_arena_take(arena, 1, sizeof *weights);
    ink_weight *tensors = ink_arena_take(arena, o->n_tensors, sizeof *tensors);
    ink_sort_item *by_name = ink_arena_take(arena, o->n_tensors, sizeof *by_name);
    metadata *entries = ink_arena_take(arena, n_metadata, sizeof *entries);
    char *pool = ink_arena_take(arena, string_bytes(o), 1);

    if (arena->measuring || ink_arena_failed(arena))
        return INK_OK;
    *weights = (ink_weights){.tensors = tensors, .by_name = by_name, .metadata = entries};
    fill_weights(o, arena, weights, pool);
    *object = weights;
    return INK_OK;
}

static ink_result open_file(opening *o, ink_weights **weights)
{
    void *object = NULL;

    INK_TRY(read_header(o));
    INK_TRY(read_tensors(o));
    INK_TRY(check_coverage(o));
    INK_TRY(ink_object_create(o->ctx, "the table of tensors", build, o, 0, &object));
    *weights = object;
    return INK_OK;
}

ink_result ink_weights_open_source(ink_context *ctx, const ink_source *source, const char *name, ink_weights **weights)
{
    ink_file file;
    ink_arena arena;

    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, weights);
    *weights = NULL;
    INK_REQUIRE(ctx, source);
    INK_REQUIRE(ctx, name);
    INK_TRY(ink_file_open(ctx, source, name, &file));
    ink_arena_grow(&arena, &ctx->allocator);
    opening o = {.ctx = ctx, .source = source, .file = &file, .arena = &arena, .metadata = INK_JSON_NONE};
    ink_result result = open_file(&o, weights);
    ink_arena_free(&arena);
    if (result != INK_OK)
        ink_file_close(&file);
    return result;
}

ink_result ink_weights_open(ink_context *ctx, const char *path, ink_weights **weights)
{
    ink_source here = ink_source_folder(NULL);

    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, weights);
    *weights = NULL;
    INK_REQUIRE(ctx, path);
    return ink_weights_open_source(ctx, &here, path, weights);
}

void ink_weights_free(ink_weights *weights)
{
    if (weights == NULL)
        return;
    ink_file_close(&weights->file);
    ink_object_free(weights);
}

/* ---- questions ------------------------------------------------------------------------------------------------ */

size_t ink_weights_count(const ink_weights *weights)
{
    return weights != NULL ? weights->n_tensors : 0;
}

const ink_weight *ink_weights_at(const ink_weights *weights, size_t i)
{
    return i < ink_weights_count(weights) ? &weights->tensors[i] : NULL;
}

const ink_weight *ink_weights_find(const ink_weights *weights, const char *name)
{
    size_t low = 0, high = name != NULL ? ink_weights_count(weights) : 0;
    uint64_t hash = name != NULL ? ink_hash(name, strlen(name)) : 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const ink_sort_item *item = &weights->by_name[middle];
        const ink_weight *weight = &weights->tensors[item->index];
        int order = item->key != hash ? (item->key < hash ? -1 : 1) : strcmp(weight->name, name);
        if (order == 0)
            return weight;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *ink_weights_name(const ink_weights *weights)
{
    return weights != NULL ? weights->file.name : "";
}

const char *ink_weights_metadata(const ink_weights *weights, const char *key)
{
    size_t n = weights != NULL && key != NULL ? weights->n_metadata : 0;

    for (size_t i = 0; i < n; i++)
        if (strcmp(weights->metadata[i].key, key) == 0)
            return weights->metadata[i].value;
    return NULL;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

/* Bytes of the numbers an element is made of: what a big-endian machine has to turn round. */
static size_t number_width(ink_type type)
{
    size_t bits = ink_type_bits(type);

    if (type == INK_C64)
        return 4;
    return bits > 8 ? bits / 8 : 1;
}

static bool is_little_endian(void)
{
    uint16_t one = 1;
    unsigned char first;

    memcpy(&first, &one, 1);
    return first == 1;
}

/* From the byte order of the file to that of the machine. */
static void to_host_order(unsigned char *bytes, size_t size, size_t width)
{
    if (is_little_endian())
        return;
    for (size_t i = 0; i + width <= size; i += width) {
        for (size_t a = i, b = i + width - 1; a < b; a++, b--) {
            unsigned char byte = bytes[a];
            bytes[a] = bytes[b];
            bytes[b] = byte;
        }
    }
}

static bool belongs(const ink_weights *weights, const ink_weight *weight)
{
    uintptr_t first = (uintptr_t)weights->tensors, at = (uintptr_t)weight;

    return at >= first && (at - first) / sizeof *weight < weights->n_tensors && (at - first) % sizeof *weight == 0;
}

ink_result ink_weights_read_bytes(ink_context *ctx, const ink_weights *weights, const ink_weight *weight,
                                  uint64_t offset, void *out, size_t size)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, weight);
    INK_REQUIRE(ctx, out);
    if (!belongs(weights, weight))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the tensor is not one of '%q'", __func__, weights->file.name);
    if (offset > weight->size || size > weight->size - offset)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %z bytes at %u of tensor '%q', which has %u", __func__, size,
                        offset, weight->name, weight->size);
    size_t width = number_width(weight->type);
    if (offset % width != 0 || size % width != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %z bytes at %u of tensor '%q' are not whole %s numbers", __func__,
                        size, offset, weight->name, ink_type_name(weight->type));
    INK_TRY(ink_file_read(ctx, &weights->file, weight->offset + offset, out, size));
    to_host_order(out, size, width);
    return INK_OK;
}

#define CHUNK 1024 /* elements that are converted at a time, on the stack */

static ink_result read_halves(ink_context *ctx, const ink_weights *weights, const ink_weight *weight, size_t count,
                              float *out)
{
    uint16_t halves[CHUNK];

    for (size_t i = 0; i < count; i += CHUNK) {
        size_t n = ink_size_min(count - i, CHUNK);
        INK_TRY(ink_weights_read_bytes(ctx, weights, weight, (uint64_t)i * sizeof *halves, halves, n * sizeof *halves));
        if (weight->type == INK_BF16)
            ctx->kernel->from_bf16(halves, n, out + i);
        else
            ctx->kernel->from_f16(halves, n, out + i);
    }
    return INK_OK;
}

static ink_result read_doubles(ink_context *ctx, const ink_weights *weights, const ink_weight *weight, size_t count,
                               float *out)
{
    double doubles[CHUNK];

    for (size_t i = 0; i < count; i += CHUNK) {
        size_t n = ink_size_min(count - i, CHUNK);
        INK_TRY(
            ink_weights_read_bytes(ctx, weights, weight, (uint64_t)i * sizeof *doubles, doubles, n * sizeof *doubles));
        for (size_t j = 0; j < n; j++)
            out[i + j] = (float)doubles[j];
    }
    return INK_OK;
}

ink_result ink_weights_read(ink_context *ctx, const ink_weights *weights, const ink_weight *weight, float *out)
{
    size_t count;

    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, weight);
    INK_REQUIRE(ctx, out);
    if (!belongs(weights, weight) || !ink_shape_count(&weight->shape, &count))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the tensor is not one of '%q'", __func__, weights->file.name);
    switch (weight->type) {
    case INK_F32:
        return ink_weights_read_bytes(ctx, weights, weight, 0, out, (size_t)weight->size);
    case INK_BF16:
    case INK_F16:
        return read_halves(ctx, weights, weight, count, out);
    case INK_F64:
        return read_doubles(ctx, weights, weight, count, out);
    default:
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%q: tensor '%q' is %s; only F32, BF16, F16 and F64 can be read",
                        weights->file.name, weight->name, ink_type_name(weight->type));
    }
}
