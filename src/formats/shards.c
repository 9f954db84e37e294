/*
 * shards.c - weights in several files, named by an index:
 *
 *     {"metadata": {...}, "weight_map": {"model.embed_tokens.weight": "model-00001-of-00002.safetensors", ...}}
 *
 * Each file is a whole safetensors file with a header of its own, so the index says nothing that its files do not say.
 * What it is good for is to name them; where it contradicts them, something is amiss with the folder.
 */
#include <string.h>

#include "../base/bytes.h"
#include "json.h"
#include "shards.h"
#include "weights.h"

#define MAX_INDEX_BYTES ((size_t)64 << 20)

typedef struct shard_index {
    ink_json_document document;
    ink_json map;
    size_t n;           /* entries of the map */
    ink_json *entries;  /* [n] */
    uint64_t *by_file;  /* [n], by hash of the file's name, then by the name */
    const char **names; /* [n_files], each once */
    size_t n_files;
} shard_index;

/* ---- the index ------------------------------------------------------------------------------------------------ */

/* A name that leaves the folder on any system is refused on all of them. */
static ink_result check_name(ink_context *ctx, const ink_json_node *entry)
{
    const char *name = entry->string;
    bool leaves = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strpbrk(name, "/\\:") != NULL;
    if (name[0] != '\0' && !leaves)
        return INK_OK;
    return ink_fail(ctx, INK_ERROR_CORRUPT,
                    INK_SHARDS_INDEX ": tensor '%s' is said to be in '%s', expected a file of the same folder",
                    entry->key, name);
}

static ink_result read_entries(ink_context *ctx, shard_index *index)
{
    const ink_json_document *document = &index->document;
    size_t i = 0;
    for (ink_json e = ink_json_first(document, index->map); e != INK_JSON_NONE; e = ink_json_next(document, e), i++) {
        const char *name;
        INK_TRY(ink_json_get_string(ctx, document, e, &name, NULL));
        INK_TRY(check_name(ctx, &document->nodes[e]));
        index->entries[i] = e;
        index->by_file[i] = INK_KEY(ink_hash(0, name, strlen(name)), i);
    }
    return INK_OK;
}

static const char *file_of(const shard_index *index, size_t entry)
{
    return index->document.nodes[index->entries[entry]].string;
}

/* By name, and the entries of one name in their order. */
static int compare_files(const void *user, size_t a, size_t b)
{
    int order = strcmp(file_of(user, a), file_of(user, b));
    return order != 0 ? order : a < b ? -1 : a > b;
}

/* Each file once, in the order in which the index first names them. */
static void list_files(shard_index *index)
{
    uint64_t *items = index->by_file;
    size_t n_first = 0, last = 0;
    ink_sort(items, index->n, &(ink_ties){compare_files, index});
    for (size_t i = 0; i < index->n; i++)
        if (i == 0 || strcmp(file_of(index, last), file_of(index, ink_key_index(items[i]))) != 0)
            items[n_first++] = last = ink_key_index(items[i]);
    ink_sort(items, n_first, NULL);
    for (size_t i = 0; i < n_first; i++)
        index->names[i] = file_of(index, ink_key_index(items[i]));
    index->n_files = n_first;
}

static ink_result read_index(ink_context *ctx, ink_arena *arena, const ink_source *source, shard_index *index)
{
    ink_json_document *document = &index->document;
    INK_TRY(ink_json_open(ctx, arena, source, INK_SHARDS_INDEX, MAX_INDEX_BYTES, document));
    INK_TRY(ink_json_require(ctx, document, 0, "weight_map", &index->map));
    INK_TRY(ink_json_expect(ctx, document, index->map, INK_JSON_OBJECT));
    index->n = document->nodes[index->map].n_children;
    if (index->n == 0)
        return ink_fail(ctx, INK_ERROR_MISMATCH, INK_SHARDS_INDEX ": weight_map names no tensor");
    index->entries = ink_arena_alloc(arena, index->n, sizeof *index->entries);
    index->by_file = ink_arena_alloc(arena, index->n, sizeof *index->by_file);
    index->names = ink_arena_alloc(arena, index->n, sizeof *index->names);
    if (ink_arena_failed(arena))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: " INK_SHARDS_INDEX " names %zu tensors", index->n);
    INK_TRY(read_entries(ctx, index));
    list_files(index);
    return INK_OK;
}

/* ---- against the files ---------------------------------------------------------------------------------------- */

static ink_result check_map(ink_context *ctx, const shard_index *index, const ink_weights *weights)
{
    for (size_t i = 0; i < index->n; i++) {
        const char *name = index->document.nodes[index->entries[i]].key;
        const ink_weight *weight = ink_weights_find(weights, name);
        if (weight == NULL)
            return ink_fail(ctx, INK_ERROR_MISMATCH,
                            INK_SHARDS_INDEX ": tensor '%s' is said to be in '%s', which does not have it", name,
                            file_of(index, i));
        if (strcmp(weight->file, file_of(index, i)) != 0)
            return ink_fail(ctx, INK_ERROR_MISMATCH,
                            INK_SHARDS_INDEX ": tensor '%s' is said to be in '%s', but it is in '%s'", name,
                            file_of(index, i), weight->file);
    }
    return INK_OK;
}

static ink_result open_shards(ink_context *ctx, ink_arena *arena, const ink_source *source, ink_weights **weights)
{
    shard_index index;
    INK_TRY(read_index(ctx, arena, source, &index));
    ink_result result = ink_weights_open_files(ctx, source, INK_SHARDS_INDEX, index.names, index.n_files, weights);
    if (result == INK_ERROR_NOT_FOUND)
        return ink_fail_in(ctx, result, INK_SHARDS_INDEX);
    INK_TRY(result);
    result = check_map(ctx, &index, *weights);
    if (result != INK_OK) {
        ink_weights_free(*weights);
        *weights = NULL;
    }
    return result;
}

ink_result ink_shards_open(ink_context *ctx, const ink_source *source, ink_weights **weights)
{
    ink_arena arena;
    ink_arena_grow(&arena, &ctx->allocator);
    ink_result result = open_shards(ctx, &arena, source, weights);
    ink_arena_free(&arena);
    return result;
}
