/*
 * weights.c - open safetensors and GGUF files: their tensors in order and by name, and reading them.
 *
 * Weights in several files (shards) are one table too. One file is open at a time: the last one that was read. A name
 * that exists only in the notes of a file is an entry of the table like any other, with the place of its tensor.
 */
#include <string.h>

#include "../tensor/packed.h"
#include "gguf.h"
#include "safetensors.h"

#define MAX_WRAPPERS 8  /* around each other */
#define SHARD_ENDING 20 /* "-00001-of-00003.gguf" */

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
    size_t n_tensors;
    ink_names names;
    ink_safetensors_note *metadata; /* [n_metadata] */
    size_t n_metadata;
    ink_gguf *gguf;     /* of the first file, if it is GGUF; NULL */
    const char *prefix; /* that all names had in the files */
    ink_file *open;     /* the file that is open; its source and name are the weights' own copies */
};

/* ---- opening -------------------------------------------------------------------------------------------------- */

static ink_result weights_fail_memory(ink_context *ctx, const char *name)
{
    return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the table of tensors of %s", name);
}

/* Sorts the names that the tensors have now. */
static void sort_names(ink_weights *weights)
{
    weights->names.first = &weights->tensors->name;
    weights->names.stride = sizeof *weights->tensors;
    weights->names.n = weights->n_tensors;
    ink_names_sort(&weights->names);
}

/*
 * Finds the aliases. safetensors cannot store a tensor twice, so save_model() of its Python library stores a shared
 * tensor once and notes the other names in __metadata__: {"net.4.weight": "net.2.weight"}. A note is an alias if its
 * value is the name of a tensor, or of an alias, and its key is none of a tensor. All other notes are notes.
 * aliases [*n_aliases] gets INK_KEY(index of the tensor, index of the note), sorted.
 */
static ink_result find_aliases(ink_context *ctx, const ink_weights *weights, ink_arena *work, uint64_t **aliases,
                               size_t *n_aliases)
{
    size_t n = weights->n_metadata, *chain = ink_arena_alloc(work, n, sizeof *chain);
    const ink_weight **targets = ink_arena_alloc(work, n, sizeof *targets);
    bool *visited = ink_arena_alloc(work, n, sizeof *visited);
    const ink_safetensors_note *note = weights->metadata;
    const ink_names notes = {&note->key, sizeof *note, n, ink_arena_alloc(work, n, sizeof *notes.sorted)};
    const ink_safetensors_note *former = NULL;
    *aliases = ink_arena_alloc(work, n, sizeof **aliases);
    if (ink_arena_failed(work))
        return weights_fail_memory(ctx, weights->name);
    for (size_t i = 0; i < n; i++) {
        targets[i] = NULL;
        visited[i] = false;
    }
    ink_names_sort(&notes);

    /* Follows each chain once: to a tensor, to a note whose end is known, to nothing, or back into itself. */
    for (size_t i = 0; i < n; i++) {
        const ink_weight *target = NULL;
        size_t length = 0, at = i;
        while (at < n && target == NULL && !visited[at]) {
            const char *value = note[at].value;
            visited[at] = true;
            chain[length++] = at;
            target = ink_weights_find(weights, value);
            at = ink_names_find(&notes, value);
        }
        if (target == NULL && at < n)
            target = targets[at];
        while (length > 0)
            targets[chain[--length]] = target;
    }
    for (size_t i = 0; i < n; i++) {
        const ink_safetensors_note *next = &note[ink_key_index(notes.sorted[i])];
        const ink_weight *target = targets[next - note];
        if (target == NULL || ink_weights_find(weights, next->key) != NULL)
            continue;
        bool again = former != NULL && strcmp(former->key, next->key) == 0;
        if (again && targets[former - note] != target)
            return ink_fail(ctx, INK_ERROR_CORRUPT,
                            "%s: __metadata__ says that tensor '%s' is '%s', and that it is '%s'", weights->name,
                            next->key, targets[former - note]->name, target->name);
        if (!again)
            (*aliases)[(*n_aliases)++] = INK_KEY(target - weights->tensors, next - note);
        former = next;
    }
    ink_sort(*aliases, *n_aliases, NULL);
    return INK_OK;
}

/* Makes a new table, with the aliases of each tensor behind it. The names are to be sorted again. */
static ink_result add_aliases(ink_context *ctx, ink_weights *weights, ink_arena *work)
{
    ink_arena *arena = &weights->arena;
    uint64_t *aliases;
    size_t n_aliases = 0, n = 0;
    INK_TRY(find_aliases(ctx, weights, work, &aliases, &n_aliases));
    if (n_aliases == 0)
        return INK_OK;
    ink_weight *tensors = ink_arena_alloc(arena, weights->n_tensors + n_aliases, sizeof *tensors);
    weights->names.sorted = ink_arena_alloc(arena, weights->n_tensors + n_aliases, sizeof *weights->names.sorted);
    if (ink_arena_failed(arena))
        return weights_fail_memory(ctx, weights->name);
    for (size_t i = 0, a = 0; i < weights->n_tensors; i++) {
        tensors[n++] = weights->tensors[i];
        for (; a < n_aliases && aliases[a] >> 32 == i; a++, n++) {
            tensors[n] = weights->tensors[i];
            tensors[n].name = weights->metadata[ink_key_index(aliases[a])].key;
            tensors[n].alias_of = weights->tensors[i].name;
        }
    }
    weights->tensors = tensors;
    weights->n_tensors = n;
    return INK_OK;
}

/* The length of what a wrapper of modules puts in front of the names of its module, which tells the wrapper; 0 if
   `name` begins with no such. */
static size_t wrapper_length(const char *name)
{
    static const char *const wrappers[] = {
        "module.",                     /* nn.DataParallel, DistributedDataParallel */
        "_orig_mod.",                  /* torch.compile */
        "base_model.model.",           /* PEFT */
        "_fsdp_wrapped_module.",       /* FullyShardedDataParallel */
        "_checkpoint_wrapped_module.", /* activation checkpointing */
    };
    for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0]; i++)
        if (strncmp(name, wrappers[i], strlen(wrappers[i])) == 0)
            return strlen(wrappers[i]);
    return 0;
}

/* Removes the wrappers that every name begins with, but for the counter of a swa_utils.AveragedModel. */
static ink_result strip_wrappers(ink_context *ctx, ink_weights *weights)
{
    static const char counter[] = "n_averaged";
    size_t length = 0, more = weights->n_tensors > 0, last = 0;
    for (size_t depth = 0; depth < MAX_WRAPPERS && more > 0; depth++, length += more) {
        more = 0;
        for (size_t i = 0; i < weights->n_tensors; i++) {
            const char *name = weights->tensors[i].name;
            if (strcmp(name, counter) == 0)
                continue;
            size_t size = wrapper_length(name + length);
            if (size == 0 || name[length + size] == '\0' || (more != 0 && size != more)) {
                more = 0;
                break;
            }
            more = size;
            last = i;
        }
    }
    weights->prefix = ink_arena_string(&weights->arena, length > 0 ? weights->tensors[last].name : "", length);
    if (weights->prefix == NULL)
        return weights_fail_memory(ctx, weights->name);
    for (size_t i = 0; i < weights->n_tensors && length > 0; i++) {
        ink_weight *weight = &weights->tensors[i];
        weight->name += strcmp(weight->name, counter) != 0 ? length : 0;
        if (weight->alias_of != NULL && strcmp(weight->alias_of, counter) != 0)
            weight->alias_of += length;
    }
    return INK_OK;
}

/* Makes `name` the open file; the name of that is the weights' own copy. */
static ink_result weights_open_next(ink_context *ctx, ink_weights *weights, const char *name)
{
    const char *copy = ink_arena_string(&weights->arena, name, strlen(name));
    if (copy == NULL)
        return weights_fail_memory(ctx, weights->name);
    ink_file_close(weights->open);
    return ink_file_open(ctx, &weights->source, copy, weights->open);
}

static ink_result alloc_tables(ink_context *ctx, ink_weights *weights, size_t n, ink_arena *work,
                               ink_safetensors **tables)
{
    weights->n_files = n;
    *tables = ink_arena_alloc(work, n, sizeof **tables);
    weights->files = ink_arena_alloc(&weights->arena, n, sizeof *weights->files);
    return *tables == NULL || weights->files == NULL ? weights_fail_memory(ctx, weights->name) : INK_OK;
}

/* ---- shards of GGUF ------------------------------------------------------------------------------------------- */

/* What a shard says about itself and the others; a file that is no shard says that it is the only one. */
typedef struct gguf_split {
    int64_t no, count, n_tensors;
} gguf_split;

static ink_result read_split(ink_context *ctx, const ink_gguf *gguf, gguf_split *split)
{
    const ink_gguf_value *no, *n_tensors;
    *split = (gguf_split){.count = 1, .n_tensors = (int64_t)gguf->n_tensors};
    INK_TRY(ink_gguf_get_int(ctx, gguf, ink_gguf_find(gguf, "split.count"), 0, UINT16_MAX, &split->count));
    split->count += split->count == 0;
    if (split->count == 1)
        return INK_OK;
    INK_TRY(ink_gguf_require(ctx, gguf, "split.no", &no));
    INK_TRY(ink_gguf_require(ctx, gguf, "split.tensors.count", &n_tensors));
    INK_TRY(ink_gguf_get_int(ctx, gguf, no, 0, split->count - 1, &split->no));
    return ink_gguf_get_int(ctx, gguf, n_tensors, 0, INT32_MAX, &split->n_tensors);
}

/* Writes the ending of the name of shard i, from 0. */
static void write_shard_ending(char *end, int64_t i, int64_t count)
{
    memcpy(end, "-00000-of-00000.gguf", SHARD_ENDING + 1);
    i++;
    for (int digit = 4; digit >= 0; digit--, i /= 10, count /= 10) {
        end[1 + digit] = (char)('0' + i % 10);
        end[10 + digit] = (char)('0' + count % 10);
    }
}

/* Reads the open GGUF file and, if it is one of several, all of them: their names follow from its own. Whichever is
   named, they come in their order, and the first has the metadata. */
static ink_result read_gguf(ink_context *ctx, ink_weights *weights, ink_arena *work, ink_safetensors **tables)
{
    ink_arena *arena = &weights->arena;
    const char *named = weights->open->name;
    ink_gguf gguf;
    gguf_split all, split;
    INK_TRY(ink_gguf_read(ctx, weights->open, arena, work, &gguf));
    INK_TRY(read_split(ctx, &gguf, &all));
    size_t length = strlen(named), before = length - ink_size_min(length, SHARD_ENDING), n_tensors = 0;
    char *name = ink_arena_alloc(work, before + SHARD_ENDING + 1, 1);
    weights->gguf = ink_arena_alloc(arena, 1, sizeof *weights->gguf);
    if (name == NULL || weights->gguf == NULL)
        return weights_fail_memory(ctx, named);
    memcpy(name, named, before);
    write_shard_ending(name + before, all.no, all.count);
    if (all.count > 1 && strcmp(name, named) != 0)
        return ink_fail(ctx, INK_ERROR_MISMATCH,
                        "%s: split.no is %lld and split.count %lld, so its name should end in '%s'", named,
                        (long long)all.no, (long long)all.count, name + before);
    /* Before a count from the file takes memory, there are so many files. */
    for (int64_t i = 0; i < all.count && all.count > 1; i++) {
        ink_file shard = {0};
        write_shard_ending(name + before, i, all.count);
        INK_TRY(ink_file_open(ctx, &weights->source, name, &shard));
        ink_file_close(&shard);
    }
    INK_TRY(alloc_tables(ctx, weights, (size_t)all.count, work, tables));
    const weights_file first = {named, weights->open->size};
    for (int64_t i = 0; i < all.count; i++) {
        ink_gguf next = gguf;
        weights->files[i] = first;
        if (i != all.no) {
            write_shard_ending(name + before, i, all.count);
            INK_TRY(weights_open_next(ctx, weights, name));
            INK_TRY(ink_gguf_read(ctx, weights->open, arena, work, &next));
            INK_TRY(read_split(ctx, &next, &split));
            if (split.no != i || split.count != all.count || split.n_tensors != all.n_tensors)
                return ink_fail(ctx, INK_ERROR_MISMATCH,
                                "%s: split.no, split.count and split.tensors.count are %lld, %lld and %lld, expected "
                                "%lld, %lld and %lld as '%s' says",
                                weights->open->name, (long long)split.no, (long long)split.count,
                                (long long)split.n_tensors, (long long)i, (long long)all.count,
                                (long long)all.n_tensors, named);
            weights->files[i] = (weights_file){weights->open->name, weights->open->size};
        }
        (*tables)[i] = (ink_safetensors){.tensors = next.tensors, .n_tensors = next.n_tensors};
        n_tensors += next.n_tensors;
        next.tensors = NULL;
        if (i == 0)
            *weights->gguf = next;
    }
    if (n_tensors != (uint64_t)all.n_tensors)
        return ink_fail(ctx, INK_ERROR_MISMATCH, "%s: split.tensors.count is %lld, but the %lld files have %zu tensors",
                        named, (long long)all.n_tensors, (long long)all.count, n_tensors);
    return INK_OK;
}

/* Blocks are those of version 2 of quantising; before it, they had another order. */
static ink_result check_quantisation(ink_context *ctx, const ink_weights *weights)
{
    static const char key[] = "general.quantization_version";
    const ink_gguf_value *value = ink_gguf_find(weights->gguf, key);
    size_t i = 0;
    int64_t version;
    while (i < weights->n_tensors && !ink_type_is_quantised(weights->tensors[i].type))
        i++;
    if (i == weights->n_tensors)
        return INK_OK;
    if (value == NULL)
        return ink_fail(ctx, INK_ERROR_CORRUPT, "%s: key '%s' is missing, but tensor '%s' is quantised (%s)",
                        weights->gguf->file, key, weights->tensors[i].name, ink_type_name(weights->tensors[i].type));
    INK_TRY(ink_gguf_get_int(ctx, weights->gguf, value, 0, INT64_MAX, &version));
    if (version != 2)
        return ink_gguf_refuse(ctx, weights->gguf, value, INK_ERROR_UNSUPPORTED, ": expected 2, found %lld%s",
                               (long long)version, version < 2 ? ": its blocks have an older order" : "");
    return INK_OK;
}

/* ---- all files ------------------------------------------------------------------------------------------------ */

/* Reads all headers, one file open at a time, the last of which stays open; then joins their tables. The tables are in
   `work`, what stays is in weights->arena. */
static ink_result weights_fill(ink_context *ctx, ink_weights *weights, const char *const *names,
                               const ink_safetensors_note *notes, size_t n_notes, ink_arena *work)
{
    static const char ending[] = ".gguf";
    ink_arena *arena = &weights->arena;
    ink_safetensors *tables = NULL;
    bool is_gguf = false;
    if (weights->n_files == 1) {
        size_t length = strlen(names[0]);
        char magic[4] = "";
        INK_TRY(weights_open_next(ctx, weights, names[0]));
        if (weights->open->size >= sizeof magic)
            INK_TRY(ink_file_read(ctx, weights->open, 0, magic, sizeof magic));
        is_gguf = memcmp(magic, "GGUF", sizeof magic) == 0 ||
                  (length >= strlen(ending) && strcmp(names[0] + length - strlen(ending), ending) == 0);
    }
    if (is_gguf)
        INK_TRY(read_gguf(ctx, weights, work, &tables));
    else
        INK_TRY(alloc_tables(ctx, weights, weights->n_files, work, &tables));
    for (size_t f = 0; f < weights->n_files && !is_gguf; f++) {
        if (weights->n_files > 1)
            INK_TRY(weights_open_next(ctx, weights, names[f]));
        INK_TRY(ink_safetensors_read(ctx, weights->open, arena, work, &tables[f]));
        weights->files[f] = (weights_file){weights->open->name, weights->open->size};
    }
    size_t n_tensors = 0, n_metadata = n_notes;
    for (size_t f = 0; f < weights->n_files; f++) {
        n_tensors += tables[f].n_tensors;
        n_metadata += tables[f].n_metadata;
    }

    weights->tensors = ink_arena_alloc(arena, n_tensors, sizeof *weights->tensors);
    weights->names.sorted = ink_arena_alloc(arena, n_tensors, sizeof *weights->names.sorted);
    weights->metadata = ink_arena_alloc(arena, n_metadata, sizeof *weights->metadata);
    for (size_t i = 0; i < n_notes && !ink_arena_failed(arena); i++)
        weights->metadata[weights->n_metadata++] =
            (ink_safetensors_note){ink_arena_string(arena, notes[i].key, strlen(notes[i].key)),
                                   ink_arena_string(arena, notes[i].value, strlen(notes[i].value))};
    if (ink_arena_failed(arena))
        return weights_fail_memory(ctx, weights->name);
    for (size_t f = 0; f < weights->n_files; f++) {
        for (size_t i = 0; i < tables[f].n_tensors; i++) {
            weights->tensors[weights->n_tensors] = tables[f].tensors[i];
            weights->tensors[weights->n_tensors++].file = weights->files[f].name;
        }
        for (size_t i = 0; i < tables[f].n_metadata; i++)
            weights->metadata[weights->n_metadata++] = tables[f].metadata[i];
    }
    sort_names(weights);

    /* A tensor that two files hold has no meaning, even if they agree. */
    size_t other;
    const size_t twice = ink_names_find_twice(&weights->names, &other);
    if (twice < n_tensors) {
        const ink_weight *a = &weights->tensors[twice], *b = &weights->tensors[other];
        if (a->file == b->file)
            return ink_fail(ctx, INK_ERROR_CORRUPT, "%s: tensor '%s' is there twice, with data at bytes %llu and %llu",
                            a->file, a->name, (unsigned long long)a->offset, (unsigned long long)b->offset);
        return ink_fail(ctx, INK_ERROR_CORRUPT, "%s: tensor '%s' is in two of the files, '%s' and '%s'", weights->name,
                        a->name, a->file, b->file);
    }
    if (is_gguf)
        INK_TRY(check_quantisation(ctx, weights));

    INK_TRY(add_aliases(ctx, weights, work));
    INK_TRY(strip_wrappers(ctx, weights));
    if (weights->n_tensors > n_tensors || weights->prefix[0] != '\0')
        sort_names(weights);
    return INK_OK;
}

ink_result ink_weights_open_files(ink_context *ctx, const ink_source *source, const char *name,
                                  const char *const *names, size_t n, const ink_safetensors_note *notes, size_t n_notes,
                                  ink_weights **weights)
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
    *opened =
        (ink_weights){.arena = arena, .source = *source, .name = name_copy, .prefix = "", .n_files = n, .open = open};
    ink_arena_grow(&work, &ctx->allocator);
    ink_result result = weights_fill(ctx, opened, names, notes, n_notes, &work);
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
    return ink_weights_open_files(ctx, source, name, &name, 1, NULL, 0, weights);
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

/* What is left of a name after as much of the prefix as it begins with, from some wrapper on: "module.net" after
   "_orig_mod.module.", and after "module.". NULL if it begins with none of it. */
static const char *after_prefix(const ink_weights *weights, const char *name)
{
    for (const char *p = weights->prefix; *p != '\0'; p += wrapper_length(p)) {
        size_t length = strlen(p);
        if (strncmp(name, p, length) == 0)
            return name + length;
    }
    return NULL;
}

const ink_weight *ink_weights_find(const ink_weights *weights, const char *name)
{
    if (weights == NULL || name == NULL)
        return NULL;
    for (const char *inner = after_prefix(weights, name); name != NULL; name = inner, inner = NULL) {
        const size_t i = ink_names_find(&weights->names, name);
        if (i < weights->names.n)
            return &weights->tensors[i];
    }
    return NULL;
}

const char *ink_weights_module(const ink_weights *weights, const char *scope)
{
    const char *inner = after_prefix(weights, scope);
    for (size_t i = 0; i < weights->n_tensors && inner != NULL; i++)
        if (strncmp(weights->tensors[i].name, scope, strlen(scope)) == 0)
            return scope;
    return inner != NULL ? inner : scope;
}

const char *ink_weights_prefix(const ink_weights *weights) { return weights != NULL ? weights->prefix : ""; }

const ink_weight *ink_weights_stored(const ink_weights *weights, const ink_weight *weight)
{
    return weight->alias_of != NULL ? ink_weights_find(weights, weight->alias_of) : weight;
}

const char *ink_weights_name(const ink_weights *weights) { return weights != NULL ? weights->name : ""; }

const ink_gguf *ink_weights_gguf(const ink_weights *weights) { return weights->gguf; }

const char *ink_weights_metadata(const ink_weights *weights, const char *key)
{
    size_t n = weights != NULL && key != NULL ? weights->n_metadata : 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(weights->metadata[i].key, key) == 0)
            return weights->metadata[i].value;
    if (weights == NULL || key == NULL || weights->gguf == NULL)
        return NULL;
    const ink_gguf_value *value = ink_gguf_find(weights->gguf, key);
    return value != NULL && value->type == INK_GGUF_STRING && !value->is_array ? (const char *)value->data : NULL;
}

size_t ink_weights_metadata_count(const ink_weights *weights)
{
    return weights == NULL ? 0 : weights->gguf != NULL ? weights->gguf->n_values : weights->n_metadata;
}

bool ink_weights_metadata_at(const ink_weights *weights, size_t i, ink_metadata *entry)
{
    if (i >= ink_weights_metadata_count(weights))
        return false;
    if (weights->gguf == NULL) {
        *entry = (ink_metadata){.key = weights->metadata[i].key, .type = "string", .count = 1};
        return true;
    }
    const ink_gguf_value *value = &weights->gguf->values[i];
    *entry = (ink_metadata){.key = value->key,
                            .type = ink_gguf_type_name((ink_gguf_type)value->type),
                            .count = value->count,
                            .is_array = value->is_array};
    return true;
}

const char *ink_weights_metadata_element(const ink_weights *weights, size_t i, size_t e, size_t *size, double *number)
{
    ink_metadata entry;
    const char *text = NULL;
    *size = 0;
    *number = 0;
    if (!ink_weights_metadata_at(weights, i, &entry) || e >= entry.count)
        return NULL;
    if (weights->gguf != NULL && weights->gguf->values[i].type != INK_GGUF_STRING) {
        *number = ink_gguf_number(&weights->gguf->values[i], e);
        return NULL;
    }
    for (size_t k = 0, at = 0; entry.is_array && k <= e; k++)
        ink_gguf_next_string(&weights->gguf->values[i], &at, &text, size);
    if (text == NULL) {
        text = weights->gguf != NULL ? (const char *)weights->gguf->values[i].data : weights->metadata[i].value;
        *size = strlen(text);
    }
    return text;
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
    /* Bytes of the numbers an element is made of, which a big-endian machine must reverse. Blocks stay as they are. */
    bool blocks = ink_type_is_quantised(weight->type);
    size_t bits = weight->type == INK_C64 ? 32 : ink_type_bits(weight->type), width = bits > 8 ? bits / 8 : 1;
    size_t whole = blocks ? ink_type_block(weight->type).bytes : width;
    if (offset % whole != 0 || size % whole != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: %zu bytes at %llu of tensor '%s' are not whole %s %s", __func__,
                        size, (unsigned long long)offset, weight->name, ink_type_name(weight->type),
                        blocks ? "blocks" : "numbers");
    INK_TRY(weights_switch_to(ctx, weights, weight->file));
    INK_TRY(ink_file_read(ctx, weights->open, weight->offset + offset, out, size));
    to_host_order(out, size, width);
    return INK_OK;
}

ink_result ink_weights_read(ink_context *ctx, const ink_weights *weights, const ink_weight *weight, float *out)
{
    unsigned char chunk[4096]; /* what is converted at a time */
    size_t count;
    INK_REQUIRE(ctx, weights, weight, out);
    if (!weights_own(weights, weight) || !ink_shape_count(&weight->shape, &count))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the tensor is not one of '%s'", __func__, weights->name);
    if (!ink_type_is_float(weight->type) && !ink_type_is_quantised(weight->type))
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' is %s; only F32, BF16, F16, F64 and the quantised types of GGUF can be read",
                        weight->file, weight->name, ink_type_name(weight->type));
    if (weight->type == INK_F32)
        return ink_weights_read_bytes(ctx, weights, weight, 0, out, (size_t)weight->size);

    ink_block_size block = ink_type_block(weight->type);
    size_t most = sizeof chunk / block.bytes * block.elements;
    for (size_t i = 0; i < count; i += most) {
        size_t n = ink_size_min(count - i, most);
        INK_TRY(ink_weights_read_bytes(ctx, weights, weight, (uint64_t)i / block.elements * block.bytes, chunk,
                                       n / block.elements * block.bytes));
        ink_float_mode host = ink_float_mode_enter();
        ink_widen(ctx->kernel, weight->type, chunk, n, out + i);
        ink_float_mode_leave(host);
    }
    return INK_OK;
}
