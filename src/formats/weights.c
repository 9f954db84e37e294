/*
 * weights.c - open safetensors files: their tensors in order and by name, and reading them.
 *
 * Weights in several files (shards) are one table too. One file is open at a time: the last one that was read.
 */
#include <string.h>

#include "../tensor/packed.h"
#include "safetensors.h"

/* One of the files; `size` is its size when its header was read. */
typedef struct weights_file {
    const char *name;
    uint64_t size;
} weights_file;

struct ink_weights {
    ink_arena arena; /* everything, this structure included */
    ink_source source;
    const char *name;    /* of the whole, for messages */
    weights_file *files; /* [n_files] */
    size_t n_files;
    ink_weight *tensors; /* [n_tensors], file by file, by offset */
    uint64_t *by_name;   /* [n_tensors] INK_KEY(hash of the name, index), sorted; equal hashes by name */
    size_t n_tensors;
    ink_safetensors_note *metadata; /* [n_metadata] */
    size_t n_metadata;
    ink_file *open; /* the file that is open; its source and name are the weights' own copies */
};

/* ---- opening -------------------------------------------------------------------------------------------------- */

static uint64_t weights_name_key(const char *name, size_t i) { return INK_KEY(ink_hash(0, name, strlen(name)), i); }

static int compare_names(const void *user, size_t a, size_t b)
{
    const ink_weight *tensors = user;
    return strcmp(tensors[a].name, tensors[b].name);
}

static ink_result weights_fail_memory(ink_context *ctx, const char *name)
{
    return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the table of tensors of %s", name);
}

/* Reads all headers, one file open at a time, the last of which stays open; then joins their tables. The tables are in
   `work`, what stays is in weights->arena. */
static ink_result weights_fill(ink_context *ctx, ink_weights *weights, const char *const *names, ink_arena *work)
{
    ink_arena *arena = &weights->arena;
    ink_safetensors *tables = ink_arena_alloc(work, weights->n_files, sizeof *tables);
    weights->files = ink_arena_alloc(arena, weights->n_files, sizeof *weights->files);
    if (tables == NULL || ink_arena_failed(arena))
        return weights_fail_memory(ctx, weights->name);
    size_t n_tensors = 0, n_metadata = 0;
    for (size_t f = 0; f < weights->n_files; f++) {
        const char *name = ink_arena_string(arena, names[f], strlen(names[f]));
        if (name == NULL)
            return weights_fail_memory(ctx, weights->name);
        ink_file_close(weights->open);
        INK_TRY(ink_file_open(ctx, &weights->source, name, weights->open));
        INK_TRY(ink_safetensors_read(ctx, weights->open, arena, work, &tables[f]));
        weights->files[f] = (weights_file){name, weights->open->size};
        n_tensors += tables[f].n_tensors;
        n_metadata += tables[f].n_metadata;
    }

    weights->tensors = ink_arena_alloc(arena, n_tensors, sizeof *weights->tensors);
    weights->by_name = ink_arena_alloc(arena, n_tensors, sizeof *weights->by_name);
    weights->metadata = ink_arena_alloc(arena, n_metadata, sizeof *weights->metadata);
    if (ink_arena_failed(arena))
        return weights_fail_memory(ctx, weights->name);
    for (size_t f = 0; f < weights->n_files; f++) {
        for (size_t i = 0; i < tables[f].n_tensors; i++) {
            size_t n = weights->n_tensors++;
            weights->tensors[n] = tables[f].tensors[i];
            weights->tensors[n].file = weights->files[f].name;
            weights->by_name[n] = weights_name_key(weights->tensors[n].name, n);
        }
        for (size_t i = 0; i < tables[f].n_metadata; i++)
            weights->metadata[weights->n_metadata++] = tables[f].metadata[i];
    }
    ink_sort(weights->by_name, n_tensors, &(ink_ties){compare_names, weights->tensors});

    /* A tensor that two files hold has no meaning, even if they agree. */
    for (size_t i = 1; i < n_tensors; i++) {
        const ink_weight *a = &weights->tensors[ink_key_index(weights->by_name[i - 1])];
        const ink_weight *b = &weights->tensors[ink_key_index(weights->by_name[i])];
        if (strcmp(a->name, b->name) == 0)
            return ink_fail(ctx, INK_ERROR_CORRUPT, "%s: tensor '%s' is in two of the files, '%s' and '%s'",
                            weights->name, a->name, a->file, b->file);
    }
    return INK_OK;
}

ink_result ink_weights_open_files(ink_context *ctx, const ink_source *source, const char *name,
                                  const char *const *names, size_t n, ink_weights **weights)
{
    ink_arena arena, work;
    *weights = NULL;
    ink_arena_grow(&arena, &ctx->allocator);
    ink_weights *opened = ink_arena_alloc(&arena, 1, sizeof *opened);
    ink_file *open = ink_arena_alloc(&arena, 1, sizeof *open);
    const char *name_copy = ink_arena_string(&arena, name, strlen(name));
    if (ink_arena_failed(&arena)) {
        ink_arena_free(&arena);
        return weights_fail_memory(ctx, name);
    }
    *open = (ink_file){0};
    *opened = (ink_weights){.arena = arena, .source = *source, .name = name_copy, .n_files = n, .open = open};
    ink_arena_grow(&work, &ctx->allocator);
    ink_result result = weights_fill(ctx, opened, names, &work);
    ink_arena_free(&work);
    if (result == INK_OK)
        *weights = opened;
    else
        ink_weights_free(opened);
    return result;
}

ink_result ink_weights_open_source(ink_context *ctx, const ink_source *source, const char *name, ink_weights **weights)
{
    INK_REQUIRE(ctx, weights);
    *weights = NULL;
    INK_REQUIRE(ctx, source, name);
    return ink_weights_open_files(ctx, source, name, &name, 1, weights);
}

ink_result ink_weights_open(ink_context *ctx, const char *path, ink_weights **weights)
{
    const ink_source here = ink_source_folder(NULL);
    INK_REQUIRE(ctx, weights);
    *weights = NULL;
    INK_REQUIRE(ctx, path);
    return ink_weights_open_source(ctx, &here, path, weights);
}

void ink_weights_free(ink_weights *weights)
{
    if (weights == NULL)
        return;
    ink_arena arena = weights->arena;
    ink_file_close(weights->open);
    ink_arena_free(&arena);
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
    uint64_t hash = name != NULL ? weights_name_key(name, 0) >> 32 : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t key = weights->by_name[middle];
        const ink_weight *weight = &weights->tensors[ink_key_index(key)];
        int order = key >> 32 != hash ? (key >> 32 < hash ? -1 : 1) : strcmp(weight->name, name);
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

static bool weights_own(const ink_weights *weights, const ink_weight *weight)
{
    uintptr_t first = (uintptr_t)weights->tensors, at = (uintptr_t)weight;
    return at >= first && (at - first) / sizeof *weight < weights->n_tensors && (at - first) % sizeof *weight == 0;
}

/* Makes the file of that name, a string of the weights' own, the open one. */
static ink_result weights_switch_to(ink_context *ctx, const ink_weights *weights, const char *name)
{
    const weights_file *wanted = weights->files;
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
    INK_REQUIRE(ctx, weights, weight, out);
    if (!weights_own(weights, weight))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the tensor is not one of '%s'", __func__, weights->name);
    if (offset > weight->size || size > weight->size - offset)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu bytes at %llu of tensor '%s', which has %llu", __func__, size,
                        (unsigned long long)offset, weight->name, (unsigned long long)weight->size);
    /* Bytes of the numbers an element is made of, which a big-endian machine must reverse. */
    size_t bits = weight->type == INK_C64 ? 32 : ink_type_bits(weight->type), width = bits > 8 ? bits / 8 : 1;
    if (offset % width != 0 || size % width != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu bytes at %llu of tensor '%s' are not whole %s numbers",
                        __func__, size, (unsigned long long)offset, weight->name, ink_type_name(weight->type));
    INK_TRY(weights_switch_to(ctx, weights, weight->file));
    INK_TRY(ink_file_read(ctx, weights->open, weight->offset + offset, out, size));
    to_host_order(out, size, width);
    return INK_OK;
}

ink_result ink_weights_read(ink_context *ctx, const ink_weights *weights, const ink_weight *weight, float *out)
{
    unsigned char chunk[8192]; /* what is converted at a time */
    size_t count;
    INK_REQUIRE(ctx, weights, weight, out);
    if (!weights_own(weights, weight) || !ink_shape_count(&weight->shape, &count))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the tensor is not one of '%s'", __func__, weights->name);
    if (!ink_type_is_float(weight->type))
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' is %s; only F32, BF16, F16 and F64 can be read",
                        weight->file, weight->name, ink_type_name(weight->type));
    if (weight->type == INK_F32)
        return ink_weights_read_bytes(ctx, weights, weight, 0, out, (size_t)weight->size);

    size_t width = ink_type_bits(weight->type) / 8, most = sizeof chunk / width;
    for (size_t i = 0; i < count; i += most) {
        size_t n = ink_size_min(count - i, most);
        INK_TRY(ink_weights_read_bytes(ctx, weights, weight, (uint64_t)i * width, chunk, n * width));
        ink_float_mode host = ink_float_mode_enter();
        ink_widen(ctx->kernel, weight->type, chunk, n, out + i);
        ink_float_mode_leave(host);
    }
    return INK_OK;
}
