/*
 * safetensors.c - the checks that make a file believable, in the order in which they protect each other: lengths,
 * syntax, members, numbers, types, products, offsets.
 */
#include <string.h>

#include "json.h"
#include "safetensors.h"

#define LENGTH_BYTES 8
#define MAX_HEADER_BYTES 100000000u

/* The schema of the format bounds sizes and offsets so; nothing that obeys it can overflow a sum of 64 bits. */
#define MAX_NUMBER (((int64_t)1 << 48) - 1)

/* A header while it is read. */
typedef struct st_header {
    ink_context *ctx;
    const ink_file *file;
    ink_arena *strings, *work;
    size_t size;
    ink_json_document document;
    ink_safetensors *table;
} st_header;

/* A value of the wrong kind is a broken file here, not a contradiction between two good ones. */
static ink_result st_corrupt(ink_result result) { return result == INK_ERROR_MISMATCH ? INK_ERROR_CORRUPT : result; }

static ink_result st_fail_memory(const st_header *h)
{
    return ink_fail(h->ctx, INK_ERROR_MEMORY, "out of memory: the header of %s has %zu bytes", h->file->name, h->size);
}

/* ---- the header as text --------------------------------------------------------------------------------------- */

typedef struct other_kind {
    const char *magic;
    size_t size;
    const char *what;
    bool is_torch;
} other_kind;

/* The first bytes of the files that people have instead of a safetensors file, and what to do about them. */
static const other_kind other_kinds[] = {
    {"PK\003\004", 4, "a zip archive, as torch.save writes it", true},
    {"\200\002\212\n", 4, "a Python pickle, as torch.save wrote it at first", true},
    {"GGUF", 4, "a GGUF file, which is opened by its own path", false},
    {"tjgg", 4, "a GGML file, which this library does not read", false},
    {"lmgg", 4, "a GGML file, which this library does not read", false},
    {"\037\213\010", 3, "compressed by gzip; decompress it first", false},
    {"\375"
     "7zXZ",
     5, "compressed by xz; decompress it first", false},
    {"(\265/\375", 4, "compressed by zstd; decompress it first", false},
    {"BZh", 3, "compressed by bzip2; decompress it first", false},
    {"version https://git-lfs", 23, "a git-lfs pointer: the file itself was not downloaded (git lfs pull)", false},
    {"\211HDF", 4, "an HDF5 file, as Keras writes it, which this library does not read", false},
    {"\223NUMPY", 6, "a NumPy array, which this library does not read", false},
    {"<!", 2, "an HTML page, perhaps the error message of a download", false},
    {"<h", 2, "an HTML page, perhaps the error message of a download", false},
    {"<H", 2, "an HTML page, perhaps the error message of a download", false},
    {"<?xml", 5, "an XML page, perhaps the error message of a download", false},
    {"{\"", 2, "a JSON text", false},
    {"{\n", 2, "a JSON text", false},
    {"{ ", 2, "a JSON text", false},
};

/* A safetensors file begins with the length of its header, at most 100,000,000, so bytes 4 to 7 are zero, and the
   header begins with '{' or a space. Some of the beginnings above can be such a length; then the header decides. */
const char *ink_other_kind(const unsigned char *bytes, size_t size, bool *is_torch)
{
    static const char pickle[] = "a Python pickle; load it in Python and save its tensors as safetensors";
    *is_torch = false;
    if (size > LENGTH_BYTES && memcmp(bytes + 4, "\0\0\0", 4) == 0 && memchr("{ \t\r\n", bytes[8], 5) != NULL)
        return NULL;
    for (size_t i = 0; i < sizeof other_kinds / sizeof other_kinds[0]; i++) {
        const other_kind *kind = &other_kinds[i];
        if (size < kind->size || memcmp(bytes, kind->magic, kind->size) != 0)
            continue;
        *is_torch = kind->is_torch;
        return kind->what;
    }
    if (size < 8)
        return NULL;
    /* Pickles of protocol 2 to 5; a dict or an OrderedDict of protocol 0 or 1. */
    if ((bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5) || memcmp(bytes, "(dp", 3) == 0 ||
        memcmp(bytes, "}q", 3) == 0 || memcmp(bytes, "ccollect", 8) == 0 || memcmp(bytes, "ccopy_re", 8) == 0)
        return pickle;
    if (memcmp(bytes + 4, "TFL3", 4) == 0)
        return "a TensorFlow Lite model, which this library does not read";
    if (memcmp(bytes + 1, "\246params", 7) == 0)
        return "a Flax model, which this library does not read";
    /* ONNX is a ModelProto of protobuf: field 1, ir_version, is a small number; then comes the name of its producer
       (2), or a later field. */
    if (bytes[0] == 0x08 && bytes[1] >= 1 && bytes[1] <= 32 &&
        ((bytes[2] == 0x12 && (bytes[3] == 0 || bytes[4] >= ' ')) || bytes[2] == 0x3a || bytes[2] == 0x42))
        return "an ONNX model, which this library does not read";
    return NULL;
}

/* Reads the length of the header, checks it against the file (by subtraction, because 8 + n can wrap), and parses. */
static ink_result st_read_header(st_header *h)
{
    const ink_file *file = h->file;
    unsigned char head[INK_HEAD_BYTES] = {0};
    size_t n_head = file->size < sizeof head ? (size_t)file->size : sizeof head;
    INK_TRY(ink_file_read(h->ctx, file, 0, head, n_head));
    bool is_torch;
    const char *other = ink_other_kind(head, n_head, &is_torch), *ending = ".safetensors";
    if (is_torch) {
        size_t n = strlen(file->name), e = strlen(ending);
        if (n >= e && strcmp(file->name + n - e, ending) == 0)
            return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: this is not a safetensors file but %s; " INK_CONVERT,
                            file->name, other, INK_CONVERT_OPEN(file->name), file->name, "");
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: this is not a safetensors file but %s; " INK_CONVERT,
                        file->name, other, INK_CONVERT_PATH(file->name), file->name, ending);
    }
    if (other != NULL)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: this is not a safetensors file but %.300s", file->name, other);
    if (file->size < LENGTH_BYTES)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: a safetensors file has at least 8 bytes, this one has %llu",
                        file->name, (unsigned long long)file->size);
    uint64_t length = ink_get_le(head, LENGTH_BYTES);
    if (length > MAX_HEADER_BYTES)
        return ink_fail(
            h->ctx, INK_ERROR_CORRUPT,
            "%s: not a safetensors file: the header length in its first 8 bytes is %llu, at most %u is legal",
            file->name, (unsigned long long)length, MAX_HEADER_BYTES);
    if (length > file->size - LENGTH_BYTES)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: the header should have %llu bytes, the file ends after %llu",
                        file->name, (unsigned long long)length, (unsigned long long)file->size - LENGTH_BYTES);
    h->size = (size_t)length;

    const ink_limit limit = INK_LIMIT(h->ctx, table_bytes);
    INK_TRY(ink_limit_check(h->ctx, file->name, h->size, limit));
    char *text = ink_arena_alloc(h->work, h->size, 1);
    if (text == NULL)
        return st_fail_memory(h);
    INK_TRY(ink_file_read(h->ctx, file, LENGTH_BYTES, text, h->size));
    INK_TRY(ink_json_parse(h->ctx, h->strings, file->name, text, h->size, LENGTH_BYTES, limit, &h->document));
    return st_corrupt(ink_json_expect(h->ctx, &h->document, 0, INK_JSON_OBJECT));
}

/* ---- the header as tensors ------------------------------------------------------------------------------------ */

static ink_result st_read_number(const st_header *h, ink_json node, uint64_t *value)
{
    int64_t number;
    INK_TRY(st_corrupt(ink_json_get_int(h->ctx, &h->document, node, 0, MAX_NUMBER, &number)));
    *value = (uint64_t)number;
    return INK_OK;
}

static ink_result st_read_type(const st_header *h, ink_json node, ink_weight *weight)
{
    const char *name;
    INK_TRY(st_corrupt(ink_json_get_string(h->ctx, &h->document, node, &name, NULL)));
    for (int i = INK_TYPE_NONE + 1; i < INK_N_TYPES; i++) {
        /* The types without bits are those of GGUF. */
        if (ink_type_bits((ink_type)i) != 0 && strcmp(name, ink_type_name((ink_type)i)) == 0) {
            weight->type = (ink_type)i;
            return INK_OK;
        }
    }
    return ink_fail(h->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' has the unknown dtype '%s'", h->file->name,
                    weight->name, name);
}

static ink_result st_read_shape(const st_header *h, ink_json node, ink_weight *weight)
{
    INK_TRY(st_corrupt(ink_json_expect(h->ctx, &h->document, node, INK_JSON_ARRAY)));
    size_t rank = h->document.nodes[node].n_children;
    if (rank > INK_MAX_RANK)
        return ink_fail(h->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' has %zu dimensions, at most %zu are supported",
                        h->file->name, weight->name, rank, (size_t)INK_MAX_RANK);
    for (ink_json i = ink_json_first(&h->document, node); i != INK_JSON_NONE; i = ink_json_next(&h->document, i)) {
        uint64_t dim;
        INK_TRY(st_read_number(h, i, &dim));
        if (dim > SIZE_MAX)
            return ink_fail(h->ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' is too large for this machine",
                            h->file->name, weight->name);
        weight->shape.dim[weight->shape.rank++] = (size_t)dim;
    }
    return INK_OK;
}

/* data_offsets, relative to the end of the header; the tensor gets its place in the file. */
static ink_result st_read_offsets(const st_header *h, ink_json node, ink_weight *weight)
{
    uint64_t begin, end;
    INK_TRY(st_corrupt(ink_json_expect(h->ctx, &h->document, node, INK_JSON_ARRAY)));
    if (h->document.nodes[node].n_children != 2)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': data_offsets has %zu numbers, expected 2",
                        h->file->name, weight->name, (size_t)h->document.nodes[node].n_children);
    ink_json first = ink_json_first(&h->document, node);
    INK_TRY(st_read_number(h, first, &begin));
    INK_TRY(st_read_number(h, ink_json_next(&h->document, first), &end));
    if (begin > end)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': data_offsets [%llu, %llu] run backwards",
                        h->file->name, weight->name, (unsigned long long)begin, (unsigned long long)end);
    weight->offset = LENGTH_BYTES + h->size + begin;
    weight->size = end - begin;
    return INK_OK;
}

/* Type, shape and offsets must say the same size. Multiplied with checks, zero dimensions or not: 2^32 x 2^32 wraps to
   an innocent 0. */
static ink_result st_check_size(const st_header *h, const ink_weight *weight)
{
    const char *type = ink_type_name(weight->type);
    size_t count, bits;
    if (!ink_shape_count(&weight->shape, &count) || !ink_size_mul(count, ink_type_bits(weight->type), &bits))
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': the size of %s overflows", h->file->name,
                        weight->name, INK_SHAPE(&weight->shape));
    if (bits % 8 != 0)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': %s %s is not a whole number of bytes",
                        h->file->name, weight->name, type, INK_SHAPE(&weight->shape));
    if (bits / 8 != weight->size)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': %s %s needs %zu bytes, its data_offsets span %llu",
                        h->file->name, weight->name, type, INK_SHAPE(&weight->shape), bits / 8,
                        (unsigned long long)weight->size);
    return INK_OK;
}

/* A name with a NUL would be cut there, and could become the name of another tensor. */
static bool key_has_nul(const ink_json_node *node) { return memchr(node->key, '\0', node->key_size) != NULL; }

static ink_result st_read_tensor(const st_header *h, ink_json entry, ink_weight *weight)
{
    const ink_json_document *document = &h->document;
    const ink_json_node *node = &document->nodes[entry];
    ink_json type, shape, offsets;
    *weight = (ink_weight){.name = node->key};
    if (node->key_size == 0)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: byte %zu: a tensor without a name", h->file->name,
                        (size_t)LENGTH_BYTES + node->offset);
    if (key_has_nul(node))
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: tensor '%.*s': the name contains a NUL character",
                        h->file->name, (int)node->key_size, node->key);
    INK_TRY(st_corrupt(ink_json_require(h->ctx, document, entry, "dtype", &type)));
    INK_TRY(st_corrupt(ink_json_require(h->ctx, document, entry, "shape", &shape)));
    INK_TRY(st_corrupt(ink_json_require(h->ctx, document, entry, "data_offsets", &offsets)));
    for (ink_json i = ink_json_first(document, entry); i != INK_JSON_NONE; i = ink_json_next(document, i))
        if (i != type && i != shape && i != offsets)
            return ink_fail(h->ctx, INK_ERROR_CORRUPT,
                            "%s: tensor '%s' has the member '%.*s', expected only dtype, shape and data_offsets",
                            h->file->name, weight->name, (int)document->nodes[i].key_size, document->nodes[i].key);
    INK_TRY(st_read_type(h, type, weight));
    INK_TRY(st_read_shape(h, shape, weight));
    INK_TRY(st_read_offsets(h, offsets, weight));
    return st_check_size(h, weight);
}

/* __metadata__: strings by name, or null. */
static ink_result st_read_metadata(const st_header *h, ink_json entry)
{
    const ink_json_document *document = &h->document;
    ink_safetensors *table = h->table;
    if (document->nodes[entry].kind == INK_JSON_NULL)
        return INK_OK;
    INK_TRY(st_corrupt(ink_json_expect(h->ctx, document, entry, INK_JSON_OBJECT)));
    table->metadata = ink_arena_alloc(h->work, document->nodes[entry].n_children, sizeof *table->metadata);
    if (table->metadata == NULL)
        return st_fail_memory(h);
    for (ink_json i = ink_json_first(document, entry); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        const ink_json_node *node = &document->nodes[i];
        ink_safetensors_note *note = &table->metadata[table->n_metadata++];
        note->key = node->key;
        INK_TRY(st_corrupt(ink_json_get_string(h->ctx, document, i, &note->value, NULL)));
        if (key_has_nul(node))
            return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: __metadata__: the key '%.*s' contains a NUL character",
                            h->file->name, (int)node->key_size, node->key);
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

/* The tensors in the order of their bytes must cover the data exactly: no hole, no overlap, no rest. */
static ink_result st_check_coverage(const st_header *h)
{
    uint64_t at = LENGTH_BYTES + h->size;
    for (size_t i = 0; i < h->table->n_tensors; i++) {
        const ink_weight *weight = &h->table->tensors[i];
        if (weight->offset != at)
            return ink_fail(h->ctx, INK_ERROR_CORRUPT,
                            "%s: tensor '%s' begins at byte %llu of the file, expected %llu: %s", h->file->name,
                            weight->name, (unsigned long long)weight->offset, (unsigned long long)at,
                            weight->offset < at ? "it overlaps another" : "the bytes before it belong to no tensor");
        at += weight->size;
    }
    if (at > h->file->size)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: the tensors end at byte %llu, the file is cut off at %llu",
                        h->file->name, (unsigned long long)at, (unsigned long long)h->file->size);
    if (at < h->file->size)
        return ink_fail(h->ctx, INK_ERROR_CORRUPT, "%s: the tensors end at byte %llu, but the file has %llu bytes",
                        h->file->name, (unsigned long long)at, (unsigned long long)h->file->size);
    return INK_OK;
}

ink_result ink_safetensors_read(ink_context *ctx, const ink_file *file, ink_arena *strings, ink_arena *work,
                                ink_safetensors *table)
{
    st_header h = {.ctx = ctx, .file = file, .strings = strings, .work = work, .table = table};
    *table = (ink_safetensors){0};
    INK_TRY(st_read_header(&h));

    const ink_json_document *document = &h.document;
    size_t n = document->nodes[0].n_children;
    ink_weight *listed = ink_arena_alloc(work, n, sizeof *listed);
    uint64_t *order = ink_arena_alloc(work, n, sizeof *order);
    table->tensors = ink_arena_alloc(work, n, sizeof *table->tensors);
    if (ink_arena_failed(work))
        return st_fail_memory(&h);
    for (ink_json i = ink_json_first(document, 0); i != INK_JSON_NONE; i = ink_json_next(document, i)) {
        const ink_json_node *node = &document->nodes[i];
        if (node->key_size == strlen("__metadata__") && memcmp(node->key, "__metadata__", node->key_size) == 0)
            INK_TRY(st_read_metadata(&h, i));
        else
            INK_TRY(st_read_tensor(&h, i, &listed[table->n_tensors++]));
    }

    for (size_t i = 0; i < table->n_tensors; i++)
        order[i] = INK_KEY(0, i);
    ink_sort(order, table->n_tensors, &(ink_ties){compare_places, listed});
    for (size_t i = 0; i < table->n_tensors; i++)
        table->tensors[i] = listed[ink_key_index(order[i])];
    return st_check_coverage(&h);
}
