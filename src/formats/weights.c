/*
 * weights.c - open safetensors files: the table of their tensors, by order and by name, and the reading of them.
 *
 * Weights in several files (shards) are one table too. One file is open at a time: the last that was read from.
 */
#include <string.h>

#include "../base/bytes.h"
#include "../tensor/kernel.h"
#include "safetensors.h"
#include "weights.h"

/* One of the files; `size` is what it was when its header was read. */
typedef struct listed_file {
    const char *name;
    uint64_t size;
} listed_file;

struct ink_weights {
    ink_source source;
    const char *name;   /* what the whole is called in messages */
    listed_file *files; /* [n_files] */
    size_t n_files;
    ink_file *open;      /* the one that is; its source and name are the weights' own copies */
    ink_weight *tensors; /* [n_tensors], file by file, by offset */
    uint64_t *by_name;   /* [n_tensors] INK_KEY(hash of the name, index), then by name */
    size_t n_tensors;
    ink_safetensors_note *metadata; /* [n_metadata] */
    size_t n_metadata;
};

/* ---- the object ----------------------------------------------------------------------------------------------- */

/* What it is built from. */
typedef struct opened {
    const ink_source *source;
    const char *name;
    const char *const *names; /* [n_files] */
    size_t n_files;
    uint64_t *sizes;         /* [n_files] */
    ink_safetensors *tables; /* [n_files] */
    ink_file *last;          /* still open */
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

/* Entries and bytes of strings of all files. Strings are parts of headers of at most 100,000,000 bytes. */
typedef struct totals {
    size_t tensors, notes, bytes;
} totals;

static totals count(const opened *o)
{
    totals n = {.bytes = strlen(o->name) + 1};

    for (size_t f = 0; f < o->n_files; f++) {
        const ink_safetensors *table = &o->tables[f];
        n.tensors += table->n_tensors;
        n.notes += table->n_metadata;
        n.bytes += strlen(o->names[f]) + 1;
        for (size_t i = 0; i < table->n_tensors; i++)
            n.bytes += strlen(table->tensors[i].name) + 1;
        for (size_t i = 0; i < table->n_metadata; i++)
            n.bytes += strlen(table->metadata[i].key) + 1 + strlen(table->metadata[i].value) + 1;
    }
    return n;
}

/* Adds file f and what it holds. */
static void add_file(const opened *o, size_t f, ink_weights *weights, char **pool)
{
    const ink_safetensors *table = &o->tables[f];
    const char *name = copy_string(pool, o->names[f]);

    weights->files[f] = (listed_file){name, o->sizes[f]};
    for (size_t i = 0; i < table->n_tensors; i++) {
        size_t n = weights->n_tensors++;
        ink_weight *weight = &weights->tensors[n];
        *weight = table->tensors[i];
        weight->name = copy_string(pool, table->tensors[i].name);
        weight->file = name;
        weights->by_name[n] = INK_KEY(ink_hash(0, weight->name, strlen(weight->name)), n);
    }
    for (size_t i = 0; i < table->n_metadata; i++) {
        ink_safetensors_note *note = &weights->metadata[weights->n_metadata++];
        note->key = copy_string(pool, table->metadata[i].key);
        note->value = copy_string(pool, table->metadata[i].value);
    }
}

static void fill(const opened *o, ink_weights *weights, char *pool)
{
    weights->source = *o->source;
    weights->name = copy_string(&pool, o->name);
    weights->n_files = o->n_files;
    for (size_t f = 0; f < o->n_files; f++)
        add_file(o, f, weights, &pool);
    ink_sort(weights->by_name, weights->n_tensors, &(ink_ties){compare_names, weights->tensors});
    *weights->open = *o->last;
    weights->open->source = &weights->source;
    weights->open->name = weights->files[o->n_files - 1].name;
}

static ink_result build(void *args, ink_arena *arena, void **object)
{
    const opened *o = args;
    totals n = count(o);
    ink_weights *weights = ink_arena_alloc(arena, 1, sizeof *weights);
    ink_weights made = {.files = ink_arena_alloc(arena, o->n_files, sizeof *made.files),
                        .open = ink_arena_alloc(arena, 1, sizeof *made.open),
                        .tensors = ink_arena_alloc(arena, n.tensors, sizeof *made.tensors),
                        .by_name = ink_arena_alloc(arena, n.tensors, sizeof *made.by_name),
                        .metadata = ink_arena_alloc(arena, n.notes, sizeof *made.metadata)};
    char *pool = ink_arena_alloc(arena, n.bytes, 1);

    if (arena->measuring || ink_arena_failed(arena))
        return INK_OK;
    *weights = made;
    fill(o, weights, pool);
    *object = weights;
    return INK_OK;
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

/* Reads the headers, one file open at a time; the last stays open. */
static ink_result read_headers(ink_context *ctx, ink_arena *arena, opened *o)
{
    for (size_t f = 0; f < o->n_files; f++) {
        ink_file_close(o->last);
        INK_TRY(ink_file_open(ctx, o->source, o->names[f], o->last));
        o->sizes[f] = o->last->size;
        INK_TRY(ink_safetensors_read(ctx, o->last, arena, &o->tables[f]));
    }
    return INK_OK;
}

/* A tensor that two files hold has no meaning, even if they agree. */
static ink_result refuse_twice(ink_context *ctx, const ink_weights *weights)
{
    for (size_t i = 1; i < weights->n_tensors; i++) {
        const ink_weight *a = &weights->tensors[ink_key_index(weights->by_name[i - 1])];
        const ink_weight *b = &weights->tensors[ink_key_index(weights->by_name[i])];
        if (strcmp(a->name, b->name) == 0)
            return ink_fail(ctx, INK_ERROR_CORRUPT, "%s: tensor '%s' is in two of the files, '%s' and '%s'",
                            weights->name, a->name, a->file, b->file);
    }
    return INK_OK;
}

static ink_result open_files(ink_context *ctx, ink_arena *arena, opened *o, void **object)
{
    o->sizes = ink_arena_alloc(arena, o->n_files, sizeof *o->sizes);
    o->tables = ink_arena_alloc(arena, o->n_files, sizeof *o->tables);
    if (o->sizes == NULL || o->tables == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s names %zu files", o->name, o->n_files);
    INK_TRY(read_headers(ctx, arena, o));
    INK_TRY(ink_object_create(ctx, "the table of tensors", build, o, 0, object));
    ink_result result = refuse_twice(ctx, *object);
    if (result != INK_OK) {
        ink_object_free(*object);
        *object = NULL;
    }
    return result;
}

ink_result ink_weights_open_files(ink_context *ctx, const ink_source *source, const char *name,
                                  const char *const *names, size_t n_files, ink_weights **weights)
{
    ink_file last = {0};
    opened o = {.source = source, .name = name, .names = names, .n_files = n_files, .last = &last};
    ink_arena arena; /* for the time of opening */
    void *object = NULL;

    ink_arena_grow(&arena, &ctx->allocator);
    ink_result result = open_files(ctx, &arena, &o, &object);
    ink_arena_free(&arena);
    if (result != INK_OK)
        ink_file_close(&last);
    *weights = object;
    return result;
}

ink_result ink_weights_open_source(ink_context *ctx, const ink_source *source, const char *name, ink_weights **weights)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, weights);
    *weights = NULL;
    INK_REQUIRE(ctx, source);
    INK_REQUIRE(ctx, name);
    return ink_weights_open_files(ctx, source, name, &name, 1, weights);
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
    ink_file_close(weights->open);
    ink_object_free(weights);
}

/* ---- questions ------------------------------------------------------------------------------------------------ */

size_t ink_weights_count(const ink_weights *weights) { return weights != NULL ? weights->n_tensors : 0; }

const ink_weight *ink_weights_at(const ink_weights *weights, size_t i)
{
    return i < ink_weights_count(weights) ? &weights->tensors[i] : NULL;
}

const ink_weight *ink_weights_find(const ink_weights *weights, const char *name)
{
    size_t low = 0, high = name != NULL ? ink_weights_count(weights) : 0;
    uint64_t hash = name != NULL ? ink_hash(0, name, strlen(name)) : 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t key = weights->by_name[middle];
        const ink_weight *weight = &weights->tensors[ink_key_index(key)];
        int order = key >> 32 != (uint32_t)hash ? (key >> 32 < (uint32_t)hash ? -1 : 1) : strcmp(weight->name, name);
        if (order == 0)
            return weight;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *ink_weights_name(const ink_weights *weights) { return weights != NULL ? weights->name : ""; }

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

/* From the byte order of the file to that of the machine. */
static void to_host_order(unsigned char *bytes, size_t size, size_t width)
{
    if (ink_is_little_endian())
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

/* Makes the file of that name, one of the list's own strings, the open one. */
static ink_result turn_to(ink_context *ctx, const ink_weights *weights, const char *name)
{
    const listed_file *wanted = weights->files;
    ink_file *open = weights->open;

    if (open->name == name && open->source != NULL)
        return INK_OK;
    while (wanted->name != name)
        wanted++;
    ink_file_close(open);
    INK_TRY(ink_file_open(ctx, &weights->source, name, open));
    if (open->size == wanted->size)
        return INK_OK;
    ink_fail(ctx, INK_ERROR_READ, "%s: the file has %llu bytes, it had %llu when its header was read", name,
             (unsigned long long)open->size, (unsigned long long)wanted->size);
    ink_file_close(open);
    return INK_ERROR_READ;
}

ink_result ink_weights_read_bytes(ink_context *ctx, const ink_weights *weights, const ink_weight *weight,
                                  uint64_t offset, void *out, size_t size)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, weights);
    INK_REQUIRE(ctx, weight);
    INK_REQUIRE(ctx, out);
    if (!belongs(weights, weight))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the tensor is not one of '%s'", __func__, weights->name);
    if (offset > weight->size || size > weight->size - offset)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu bytes at %llu of tensor '%s', which has %llu", __func__, size,
                        (unsigned long long)offset, weight->name, (unsigned long long)weight->size);
    size_t width = number_width(weight->type);
    if (offset % width != 0 || size % width != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu bytes at %llu of tensor '%s' are not whole %s numbers",
                        __func__, size, (unsigned long long)offset, weight->name, ink_type_name(weight->type));
    INK_TRY(turn_to(ctx, weights, weight->file));
    INK_TRY(ink_file_read(ctx, weights->open, weight->offset + offset, out, size));
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
        ink_float_mode host = ink_float_mode_enter();
        ctx->kernel->from_f64(doubles, n, out + i);
        ink_float_mode_leave(host);
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
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the tensor is not one of '%s'", __func__, weights->name);
    switch (weight->type) {
    case INK_F32:
        return ink_weights_read_bytes(ctx, weights, weight, 0, out, (size_t)weight->size);
    case INK_BF16:
    case INK_F16:
        return read_halves(ctx, weights, weight, count, out);
    case INK_F64:
        return read_doubles(ctx, weights, weight, count, out);
    default:
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' is %s; only F32, BF16, F16 and F64 can be read",
                        weight->file, weight->name, ink_type_name(weight->type));
    }
}
