/*
 * weights.c - an open safetensors file: the table of its tensors, by order and by name, and the reading of them.
 */
#include <string.h>

#include <inkling/weights.h>

#include "../tensor/kernel.h"
#include "safetensors.h"
#include "../base/sort.h"

struct ink_weights {
    ink_source source;
    ink_file file;                  /* open for reading; its source and name are this object's own copies */
    ink_weight *tensors;            /* [n_tensors], by offset */
    ink_sort_item *by_name;         /* [n_tensors], by hash of the name, then by name */
    size_t n_tensors;
    ink_safetensors_note *metadata; /* [n_metadata] */
    size_t n_metadata;
};

/* ---- the object ----------------------------------------------------------------------------------------------- */

/* What it is built from. */
typedef struct opened {
    const ink_source *source;
    const ink_file *file;
    const ink_safetensors *table;
} opened;

/* A copy of a string at *pool, which moves on. */
static const char *copy_string(char **pool, const char *string)
{
    size_t size = strlen(string) + 1;
    char *copy = *pool;

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
static size_t string_bytes(const opened *o)
{
    size_t bytes = strlen(o->file->name) + 1;

    for (size_t i = 0; i < o->table->n_tensors; i++)
        bytes += strlen(o->table->tensors[i].name) + 1;
    for (size_t i = 0; i < o->table->n_metadata; i++)
        bytes += strlen(o->table->metadata[i].key) + 1 + strlen(o->table->metadata[i].value) + 1;
    return bytes;
}

static void fill(const opened *o, ink_weights *weights, char *pool)
{
    const ink_safetensors *table = o->table;

    weights->source = *o->source;
    weights->file = *o->file;
    weights->file.source = &weights->source;
    weights->file.name = copy_string(&pool, o->file->name);
    weights->n_tensors = table->n_tensors;
    for (size_t i = 0; i < table->n_tensors; i++) {
        weights->tensors[i] = table->tensors[i];
        weights->tensors[i].name = copy_string(&pool, table->tensors[i].name);
        weights->by_name[i].key = ink_hash(weights->tensors[i].name, strlen(weights->tensors[i].name));
        weights->by_name[i].index = i;
    }
    ink_sort(weights->by_name, table->n_tensors, compare_names, weights->tensors);
    weights->n_metadata = table->n_metadata;
    for (size_t i = 0; i < table->n_metadata; i++) {
        weights->metadata[i].key = copy_string(&pool, table->metadata[i].key);
        weights->metadata[i].value = copy_string(&pool, table->metadata[i].value);
    }
}

static ink_result build(void *args, ink_arena *arena, void **object)
{
    const opened *o = args;
    ink_weights *weights = ink_arena_take(arena, 1, sizeof *weights);
    ink_weight *tensors = ink_arena_take(arena, o->table->n_tensors, sizeof *tensors);
    ink_sort_item *by_name = ink_arena_take(arena, o->table->n_tensors, sizeof *by_name);
    ink_safetensors_note *metadata = ink_arena_take(arena, o->table->n_metadata, sizeof *metadata);
    char *pool = ink_arena_take(arena, string_bytes(o), 1);

    if (arena->measuring || ink_arena_failed(arena))
        return INK_OK;
    *weights = (ink_weights){.tensors = tensors, .by_name = by_name, .metadata = metadata};
    fill(o, weights, pool);
    *object = weights;
    return INK_OK;
}

ink_result ink_weights_open_source(ink_context *ctx, const ink_source *source, const char *name, ink_weights **weights)
{
    ink_file file;
    ink_arena arena; /* for the time of opening */
    ink_safetensors table;
    void *object = NULL;

    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, weights);
    *weights = NULL;
    INK_REQUIRE(ctx, source);
    INK_REQUIRE(ctx, name);
    INK_TRY(ink_file_open(ctx, source, name, &file));
    ink_arena_grow(&arena, &ctx->allocator);
    ink_result result = ink_safetensors_read(ctx, &file, &arena, &table);
    if (result == INK_OK) {
        opened o = {.source = source, .file = &file, .table = &table};
        result = ink_object_create(ctx, "the table of tensors", build, &o, 0, &object);
    }
    ink_arena_free(&arena);
    if (result != INK_OK)
        ink_file_close(&file);
    *weights = object;
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

#define CHUNK_BYTES 8192 /* what is converted at a time, on the stack */

static ink_result read_halves(ink_context *ctx, const ink_weights *weights, const ink_weight *weight, size_t count,
                              float *out)
{
    uint16_t halves[CHUNK_BYTES / sizeof(uint16_t)];
    const size_t chunk = sizeof halves / sizeof *halves;

    for (size_t i = 0; i < count; i += chunk) {
        size_t n = ink_size_min(count - i, chunk);
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
    double doubles[CHUNK_BYTES / sizeof(double)];
    const size_t chunk = sizeof doubles / sizeof *doubles;

    for (size_t i = 0; i < count; i += chunk) {
        size_t n = ink_size_min(count - i, chunk);
        INK_TRY(
            ink_weights_read_bytes(ctx, weights, weight, (uint64_t)i * sizeof *doubles, doubles, n * sizeof *doubles));
        ctx->kernel->from_f64(doubles, n, out + i);
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
