/*
 * folder.c - where the files of a model lie, and the weights of a Hugging Face folder: one file, or several files
 * (shards) that an index names:
 *
 *     {"metadata": {...}, "weight_map": {"model.embed_tokens.weight": "model-00001-of-00002.safetensors", ...}}
 *
 * Every shard is a complete safetensors file with its own header. The index only lists the files and must agree with
 * their headers. If a folder has no such weights, the message says what it has instead. A source can open a file by
 * name but cannot list its files, so the usual names of weights are tried.
 */
#include <string.h>

#include "../formats/json.h"
#include "../formats/safetensors.h"
#include "folder.h"

#define WEIGHTS_FILE "model.safetensors"
#define INDEX_FILE "model.safetensors.index.json"
#define MAX_PATH_BYTES 256 /* room for the path of a file in messages */

/* ---- places ----------------------------------------------------------------------------------------------------- */

static bool folder_has(const ink_source *source, const char *name)
{
    void *file = NULL;
    uint64_t size = 0;
    ink_result result = source->open(source->user, name, &file, &size);
    if (result == INK_OK)
        source->close(source->user, file);
    return result == INK_OK || result == INK_ERROR_READ; /* it is there, but may not be read */
}

ink_model_place ink_model_place_find(ink_context *ctx, const char *path, const ink_source *source)
{
    static const char ending[] = ".gguf", gguf[] = "model.gguf";
    const ink_source disk = ink_source_folder(NULL);
    const char *name = path != NULL || source == NULL ? path : source->name;
    /* A folder on disk that is asked for by its own path is the path alone. */
    bool on_disk = source == NULL;
    if (source != NULL && source->open == disk.open && source->user != NULL)
        on_disk = path == NULL || strcmp(path, source->user) == 0;
    if (on_disk && source != NULL)
        path = source->user;
    ink_model_place folder = {.source = source != NULL ? *source : ink_source_folder(path)};
    ink_model_place file = {.source = on_disk ? disk : *source, .gguf = on_disk ? path : name};
    size_t length = file.gguf != NULL ? strlen(file.gguf) : 0;
    folder.source.name = name;
    file.source.name = NULL; /* the path says it all */
    if (folder.source.open == NULL || folder.source.close == NULL || folder_has(&folder.source, "config.json"))
        return folder;
    if (length >= strlen(ending) && strcmp(file.gguf + length - strlen(ending), ending) == 0)
        return file;
    if (on_disk && length > 0) {
        char head[4] = "";
        ink_file opened = {0};
        if (ink_file_open(ctx, &file.source, file.gguf, &opened) == INK_OK && opened.size >= sizeof head)
            ink_file_read(ctx, &opened, 0, head, sizeof head);
        ink_file_close(&opened);
        ink_error_clear(ctx);
        if (memcmp(head, "GGUF", sizeof head) == 0)
            return file;
    }
    folder.gguf = folder_has(&folder.source, gguf) ? gguf : NULL;
    return folder;
}

/* ---- weights in other formats --------------------------------------------------------------------------------- */

/* Other files of weights; `what` is NULL for a state_dict of torch.save(). The content of a file decides first. */
static const struct {
    const char *name, *what;
} others[] = {
    {"pytorch_model.bin", NULL},
    {"pytorch_model.bin.index.json", "the weights are sharded pickles, which must be saved as safetensors, in Python "
                                     "with transformers: model.save_pretrained(folder)"},
    {"model.pt", NULL},
    {"model.pth", NULL},
    {"model.bin", NULL},
    {"pytorch_model.pt", NULL},
    {"consolidated.00.pth", NULL},
    {"adapter_model.safetensors", "it is an adapter of PEFT, which must be merged into its model before saving "
                                  "(merge_and_unload())"},
    {"adapter_model.bin", "it is an adapter of PEFT, which must be merged into its model before saving "
                          "(merge_and_unload())"},
    {"tf_model.h5", "it is a TensorFlow model, which must be saved as safetensors first"},
    {"flax_model.msgpack", "it is a Flax model, which must be saved as safetensors first"},
    {"model.onnx", "it is an ONNX model, which this library does not read"},
    {"onnx/model.onnx", "it is an ONNX model, which this library does not read"},
    {"model.gguf", "it is a GGUF model: open this file in place of the folder"},
    {"ggml-model.gguf", "it is a GGUF model: open this file in place of the folder"},
};

ink_result ink_folder_check_layout(ink_context *ctx, const ink_source *source)
{
    static const char *const configs[] = {"0_Transformer/config.json", "0_BERT/config.json", "0_RoBERTa/config.json",
                                          "0_DistilBERT/config.json"};
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++)
        if (folder_has(source, configs[i]))
            return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                            "%s is a folder of an old sentence-transformers: move what is in '%.*s' into the folder "
                            "itself, and make its path \"\" in modules.json",
                            source->name != NULL ? source->name : "the model",
                            (int)(strchr(configs[i], '/') - configs[i]), configs[i]);
    return INK_OK;
}

ink_result ink_folder_check_path(ink_context *ctx, const char *path)
{
    if (path[0] != '\0' && path[0] != '.' && strlen(path) < INK_MODULE_PATH && strpbrk(path, "/\\:") == NULL)
        return INK_OK;
    return ink_fail(ctx, INK_ERROR_MISMATCH,
                    "\"modules.json\": path '%s' is not the plain name of a folder in the model's folder", path);
}

ink_result ink_folder_explain(ink_context *ctx, const ink_source *source, const char *module)
{
    const char *folder = source->name != NULL ? source->name : "the model";
    char name[MAX_PATH_BYTES], weights[MAX_PATH_BYTES];
    const char *slash = module[0] != '\0' ? "/" : "";
    ink_format(weights, sizeof weights, "%s%s" WEIGHTS_FILE, module, slash);
    if (module[0] == '\0')
        INK_TRY(ink_folder_check_layout(ctx, source));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        unsigned char head[INK_HEAD_BYTES];
        ink_file file;
        bool is_torch = false;
        const char *kind = NULL;
        ink_format(name, sizeof name, "%s%s%s", module, slash, others[i].name);
        if (ink_file_open(ctx, source, name, &file) != INK_OK)
            continue;
        size_t size = file.size < sizeof head ? (size_t)file.size : sizeof head;
        if (ink_file_read(ctx, &file, 0, head, size) == INK_OK)
            kind = ink_other_kind(head, size, &is_torch);
        ink_file_close(&file);
        if (others[i].what == NULL && (is_torch || kind == NULL))
            return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s has no %s but %s: " INK_CONVERT, folder, weights, name,
                            INK_CONVERT_PATH(name), weights, "");
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s has no %s but %s: %s%.300s", folder, weights, name,
                        others[i].what == NULL ? "it is " : "", others[i].what == NULL ? kind : others[i].what);
    }
    bool config = module[0] != '\0' || folder_has(source, "config.json");
    if (!config && !folder_has(source, WEIGHTS_FILE) && !folder_has(source, INDEX_FILE))
        return ink_fail(ctx, INK_ERROR_NOT_FOUND,
                        "%s: expected the folder of a model or the path of a GGUF file, but neither " WEIGHTS_FILE
                        " nor config.json can be opened there",
                        folder);
    return ink_fail(ctx, INK_ERROR_NOT_FOUND, "%s has no %s", folder, config ? weights : "config.json");
}

/* ---- shards --------------------------------------------------------------------------------------------------- */

/* An entry of the index: a tensor and the file that should hold it. */
typedef struct shard_entry {
    const char *tensor, *file;
} shard_entry;

/* Sorts by file, and the entries of one file by their order in the index. */
static int compare_shards(const void *user, size_t a, size_t b)
{
    const shard_entry *entries = user;
    int order = strcmp(entries[a].file, entries[b].file);
    return order != 0 ? order : a < b ? -1 : a > b;
}

/* The strings under "metadata" of the index: huggingface_hub notes aliases there, as save_model() does in a file. */
static ink_result read_index_notes(ink_context *ctx, ink_arena *arena, const ink_json_document *document,
                                   ink_safetensors_note **notes, size_t *n)
{
    ink_json metadata = ink_json_member(document, 0, "metadata");
    bool there = metadata != INK_JSON_NONE && document->nodes[metadata].kind == INK_JSON_OBJECT;
    *n = 0;
    *notes = ink_arena_alloc(arena, there ? document->nodes[metadata].n_children : 0, sizeof **notes);
    if (*notes == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the metadata of " INDEX_FILE);
    for (ink_json e = there ? ink_json_first(document, metadata) : INK_JSON_NONE; e != INK_JSON_NONE;
         e = ink_json_next(document, e)) {
        const ink_json_node *node = &document->nodes[e];
        bool plain = strlen(node->key) == node->key_size;
        if (plain && node->kind == INK_JSON_STRING && strlen(node->string) == node->string_size)
            (*notes)[(*n)++] = (ink_safetensors_note){node->key, node->string};
    }
    return INK_OK;
}

/* Reads the index into entries [*n], and its metadata into notes [*n_notes]. */
static ink_result read_index(ink_context *ctx, ink_arena *arena, const ink_source *source, shard_entry **entries,
                             size_t *n, ink_safetensors_note **notes, size_t *n_notes)
{
    ink_json_document document;
    ink_json map;
    INK_TRY(ink_json_open(ctx, arena, source, INDEX_FILE, INK_LIMIT(ctx, table_bytes), &document));
    INK_TRY(ink_json_require(ctx, &document, 0, "weight_map", &map));
    INK_TRY(ink_json_expect(ctx, &document, map, INK_JSON_OBJECT));
    INK_TRY(read_index_notes(ctx, arena, &document, notes, n_notes));
    *n = 0;
    *entries = ink_arena_alloc(arena, document.nodes[map].n_children, sizeof **entries);
    if (*entries == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: " INDEX_FILE " names %zu tensors",
                        (size_t)document.nodes[map].n_children);
    for (ink_json e = ink_json_first(&document, map); e != INK_JSON_NONE; e = ink_json_next(&document, e)) {
        shard_entry *entry = &(*entries)[(*n)++];
        entry->tensor = document.nodes[e].key;
        INK_TRY(ink_json_get_string(ctx, &document, e, &entry->file, NULL));
        /* Refuses, on every system, a name that would leave the folder on any of them. */
        bool leaves =
            strcmp(entry->file, ".") == 0 || strcmp(entry->file, "..") == 0 || strpbrk(entry->file, "/\\:") != NULL;
        if (entry->file[0] == '\0' || leaves)
            return ink_fail(ctx, INK_ERROR_CORRUPT,
                            INDEX_FILE ": tensor '%s' should be in '%s', expected a file of the same folder",
                            entry->tensor, entry->file);
    }
    return *n > 0 ? INK_OK : ink_fail(ctx, INK_ERROR_MISMATCH, INDEX_FILE ": weight_map names no tensor");
}

static ink_result check_index(ink_context *ctx, const shard_entry *entries, size_t n, const ink_weights *weights)
{
    for (size_t i = 0; i < n; i++) {
        const ink_weight *weight = ink_weights_find(weights, entries[i].tensor);
        if (weight == NULL)
            return ink_fail(ctx, INK_ERROR_MISMATCH,
                            INDEX_FILE ": tensor '%s' should be in '%s', which does not have it", entries[i].tensor,
                            entries[i].file);
        if (strcmp(weight->file, entries[i].file) != 0)
            return ink_fail(ctx, INK_ERROR_MISMATCH, INDEX_FILE ": tensor '%s' should be in '%s', but it is in '%s'",
                            entries[i].tensor, entries[i].file, weight->file);
    }
    return INK_OK;
}

static ink_result open_shards(ink_context *ctx, ink_arena *arena, const ink_source *source, ink_weights **weights)
{
    shard_entry *entries;
    ink_safetensors_note *notes;
    size_t n, n_notes, n_files = 0;
    INK_TRY(read_index(ctx, arena, source, &entries, &n, &notes, &n_notes));
    uint64_t *order = ink_arena_alloc(arena, n, sizeof *order);
    const char **files = ink_arena_alloc(arena, n, sizeof *files);
    if (ink_arena_failed(arena))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: " INDEX_FILE " names %zu tensors", n);

    /* Lists each file once, in the order of the index. */
    for (size_t i = 0; i < n; i++)
        order[i] = INK_KEY(ink_hash(0, entries[i].file, strlen(entries[i].file)), i);
    ink_sort(order, n, &(ink_ties){compare_shards, entries});
    for (size_t i = 0; i < n; i++) {
        size_t entry = ink_key_index(order[i]);
        if (n_files == 0 || strcmp(entries[order[n_files - 1]].file, entries[entry].file) != 0)
            order[n_files++] = entry;
    }
    ink_sort(order, n_files, NULL);
    for (size_t i = 0; i < n_files; i++)
        files[i] = entries[order[i]].file;

    ink_result result = ink_weights_open_files(ctx, source, INDEX_FILE, files, n_files, notes, n_notes, weights);
    if (result == INK_ERROR_NOT_FOUND)
        return ink_fail_in(ctx, result, INDEX_FILE);
    INK_TRY(result);
    result = check_index(ctx, entries, n, *weights);
    if (result != INK_OK) {
        ink_weights_free(*weights);
        *weights = NULL;
    }
    return result;
}

ink_result ink_weights_open_folder(ink_context *ctx, const ink_source *folder, ink_weights **weights)
{
    INK_REQUIRE(ctx, weights);
    *weights = NULL;
    INK_REQUIRE(ctx, folder);
    ink_result result = ink_weights_open_source(ctx, folder, WEIGHTS_FILE, weights);
    if (!ink_is_missing(ctx, result))
        return result;
    const ink_model_place place = ink_model_place_find(ctx, NULL, folder);
    if (place.gguf != NULL)
        return ink_weights_open_source(ctx, &place.source, place.gguf, weights);
    ink_arena arena;
    ink_static_folder embedding;
    bool is_static = false;
    ink_arena_grow(&arena, &ctx->allocator);
    if (folder_has(folder, INDEX_FILE)) {
        result = open_shards(ctx, &arena, folder, weights);
    } else {
        char name[sizeof embedding.path + sizeof WEIGHTS_FILE];
        result = ink_static_folder_open(ctx, &arena, folder, &embedding, &is_static);
        bool inside = result == INK_OK && is_static && embedding.path[0] != '\0';
        ink_format(name, sizeof name, "%s/" WEIGHTS_FILE, embedding.path);
        if (inside)
            result = ink_weights_open_source(ctx, folder, name, weights);
        if (result == INK_OK ? !inside : ink_is_missing(ctx, result))
            result = ink_folder_explain(ctx, folder, embedding.path);
    }
    ink_arena_free(&arena);
    return result;
}
