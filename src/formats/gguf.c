/*
 * gguf.c - reads and checks what stands before the data of a GGUF file (gguf.h), and typed access to its values.
 *
 * The file does not say how long that is, so it is walked through twice. The first time only lengths and counts are
 * read, through a small window; then all of it is read into memory of exactly that size, and walked through again with
 * all checks. So a count from the file takes no memory until everything it counts has been seen. Keys and strings stay
 * where they are, and end with a NUL that overwrites a number which has been read.
 */
#include <math.h>
#include <string.h>

#include "gguf.h"
#include "safetensors.h"

#define HEAD_BYTES 24 /* magic, version and two counts */
#define MIN_KEY_BYTES (8 + 1 + 4 + 1)
#define MIN_TENSOR_BYTES (8 + 1 + 4 + 4 + 8)
#define MAX_KEY 65535
#define MAX_NAME 63
#define MAX_DIMS 4
#define DEFAULT_ALIGNMENT 32
#define MAX_ALIGNMENT ((uint64_t)1 << 20)

/* ---- the types of a file ---------------------------------------------------------------------------------------- */

static const char *const gguf_type_names[INK_GGUF_N_TYPES] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                              "bool", "string", "array", "u64", "i64", "f64"};

/* Bytes of a value; of a string, those of its length. */
static const uint8_t gguf_widths[INK_GGUF_N_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};

/* The types of tensors by their numbers; 0: see gguf_others. */
static const uint8_t gguf_tensor_types[] = {
    [0] = INK_F32,     [1] = INK_F16,     [2] = INK_Q4_0,   [3] = INK_Q4_1,  [6] = INK_Q5_0,  [7] = INK_Q5_1,
    [8] = INK_Q8_0,    [10] = INK_Q2_K,   [11] = INK_Q3_K,  [12] = INK_Q4_K, [13] = INK_Q5_K, [14] = INK_Q6_K,
    [20] = INK_IQ4_NL, [23] = INK_IQ4_XS, [24] = INK_I8,    [25] = INK_I16,  [26] = INK_I32,  [27] = INK_I64,
    [28] = INK_F64,    [30] = INK_BF16,   [39] = INK_MXFP4,
};

static const struct {
    uint8_t number;
    char name[12];
    char why; /* r: removed from the format; i: of intermediate results; otherwise it only does not run here */
} gguf_others[] = {
    {4, "Q4_2", 'r'},  {5, "Q4_3", 'r'},        {9, "Q8_1", 'i'},        {15, "Q8_K", 'i'},       {16, "IQ2_XXS", 0},
    {17, "IQ2_XS", 0}, {18, "IQ3_XXS", 0},      {19, "IQ1_S", 0},        {21, "IQ3_S", 0},        {22, "IQ2_S", 0},
    {29, "IQ1_M", 0},  {31, "Q4_0_4_4", 'r'},   {32, "Q4_0_4_8", 'r'},   {33, "Q4_0_8_8", 'r'},   {34, "TQ1_0", 0},
    {35, "TQ2_0", 0},  {36, "IQ4_NL_4_4", 'r'}, {37, "IQ4_NL_4_8", 'r'}, {38, "IQ4_NL_8_8", 'r'}, {40, "NVFP4", 0},
    {41, "Q1_0", 0},   {42, "Q2_0", 0},
};

/* ---- reading bytes ---------------------------------------------------------------------------------------------- */

typedef struct gguf_reader {
    ink_context *ctx;
    const ink_file *file;
    uint64_t at;           /* the next byte */
    unsigned char *header; /* [size] all before the data; NULL while it is measured */
    uint64_t size;
    uint64_t from; /* while it is measured: window [held] are the bytes of the file from here */
    size_t held;
    uint64_t entry;   /* the byte at which the key or tensor begins that is read, */
    const char *kind; /* which of the two it is, */
    const char *name; /* and [name_size] its name, NULL while nobody knows it */
    size_t name_size;
    uint64_t alignment, n_data; /* bytes of the data that the tensors so far fill, the padding included */
    unsigned char window[4096];
} gguf_reader;

/* "m.gguf: key 'general.alignment' (byte 24): ..." */
static ink_result gguf_refuse(const gguf_reader *r, ink_result result, const char *format, ...) INK_PRINTF(3, 4);
static ink_result gguf_refuse(const gguf_reader *r, ink_result result, const char *format, ...)
{
    char reason[320];
    va_list list;
    va_start(list, format);
    ink_format_list(reason, sizeof reason, format, list);
    va_end(list);
    if (r->name == NULL)
        return ink_fail(r->ctx, result, "%s: byte %llu: %.300s", r->file->name, (unsigned long long)r->entry, reason);
    return ink_fail(r->ctx, result, "%s: %s '%.*s' (byte %llu): %.300s", r->file->name, r->kind, (int)r->name_size,
                    r->name, (unsigned long long)r->entry, reason);
}

/* Steps over the next `size` bytes, which are at *bytes unless the header is still measured. */
static ink_result gguf_skip(gguf_reader *r, uint64_t size, unsigned char **bytes)
{
    if (size > r->file->size - r->at)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "%llu bytes at %llu pass the end of the file at %llu",
                           (unsigned long long)size, (unsigned long long)r->at, (unsigned long long)r->file->size);
    *bytes = NULL;
    if (r->header == NULL)
        INK_TRY(ink_limit_check(r->ctx, r->file->name, r->at + size, INK_LIMIT(r->ctx, table_bytes)));
    else if (size > r->size - r->at)
        return ink_fail(r->ctx, INK_ERROR_READ, "%s: the file changed while it was read", r->file->name);
    else
        *bytes = r->header + r->at;
    r->at += size;
    return INK_OK;
}

static ink_result gguf_number(gguf_reader *r, size_t width, uint64_t *number)
{
    uint64_t at = r->at;
    unsigned char *bytes = NULL;
    INK_TRY(gguf_skip(r, width, &bytes));
    if (bytes == NULL && (at < r->from || r->at > r->from + r->held)) {
        uint64_t left = r->file->size - at;
        r->from = at;
        r->held = left < sizeof r->window ? (size_t)left : sizeof r->window;
        INK_TRY(ink_file_read(r->ctx, r->file, at, r->window, r->held));
    }
    *number = ink_get_le(bytes != NULL ? bytes : r->window + (at - r->from), width);
    return INK_OK;
}

/* Why a text from the file is refused; NULL if it is not. A NUL would end it early for whoever reads it as a string of
   C, and make it equal to another. */
static const char *gguf_text_fault(const unsigned char *text, size_t size)
{
    uint32_t code = 1;
    for (size_t i = 0; i < size && code != 0 && code < INK_UTF8_INVALID;)
        i += ink_utf8_next((const char *)text + i, size - i, &code);
    return code == 0 ? "contains a NUL character" : code < INK_UTF8_INVALID ? NULL : "is not valid UTF-8";
}

/* The key or the name with which an entry begins, at most `most` bytes. It gets its NUL when the number behind it has
   been read. */
static ink_result gguf_begin(gguf_reader *r, const char *kind, uint64_t most, unsigned char **name)
{
    uint64_t size;
    r->entry = r->at;
    r->kind = kind;
    r->name = NULL;
    INK_TRY(gguf_number(r, 8, &size));
    if (size == 0)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "a %s without a name", kind);
    if (size > most)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "a %s whose name has %llu bytes, at most %llu are legal", kind,
                           (unsigned long long)size, (unsigned long long)most);
    INK_TRY(gguf_skip(r, size, name));
    if (*name == NULL)
        return INK_OK;
    r->name = (const char *)*name;
    r->name_size = (size_t)size;
    const char *fault = gguf_text_fault(*name, r->name_size);
    return fault != NULL ? gguf_refuse(r, INK_ERROR_CORRUPT, "its name %s", fault) : INK_OK;
}

/* ---- keys and values -------------------------------------------------------------------------------------------- */

static ink_result gguf_read_value(gguf_reader *r, ink_gguf_value *value)
{
    uint64_t type, count = 1, length = 0;
    unsigned char *key, *data, *text;
    INK_TRY(gguf_begin(r, "key", MAX_KEY, &key));
    INK_TRY(gguf_number(r, 4, &type));
    bool is_array = type == INK_GGUF_ARRAY;
    if (is_array) {
        INK_TRY(gguf_number(r, 4, &type));
        INK_TRY(gguf_number(r, 8, &count));
        if (type == INK_GGUF_ARRAY)
            return gguf_refuse(r, INK_ERROR_UNSUPPORTED, "an array of arrays is not supported");
    }
    if (type >= INK_GGUF_N_TYPES)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "its value has type %llu, expected 0 to 12", (unsigned long long)type);

    const uint64_t width = gguf_widths[type], left = r->file->size - r->at, first = r->at;
    if (count > left / width)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "%s%llu values of at least %llu bytes, but %llu bytes follow",
                           is_array ? "an array of " : "", (unsigned long long)count, (unsigned long long)width,
                           (unsigned long long)left);
    if (type != INK_GGUF_STRING)
        INK_TRY(gguf_skip(r, count * width, &data));
    for (uint64_t i = 0; i < count && type == INK_GGUF_STRING; i++) {
        INK_TRY(gguf_number(r, 8, &length));
        INK_TRY(gguf_skip(r, length, &text));
        const char *fault = text != NULL ? gguf_text_fault(text, (size_t)length) : NULL;
        if (fault != NULL && is_array)
            return gguf_refuse(r, INK_ERROR_CORRUPT, "element %llu %s", (unsigned long long)i, fault);
        if (fault != NULL)
            return gguf_refuse(r, INK_ERROR_CORRUPT, "its value %s", fault);
    }
    if (r->header == NULL)
        return INK_OK;

    data = r->header + first;
    key[r->name_size] = '\0';
    *value = (ink_gguf_value){.key = r->name,
                              .data = data,
                              .offset = r->entry,
                              .count = (size_t)count,
                              .size = (size_t)(r->at - first),
                              .type = (uint8_t)type,
                              .is_array = is_array};
    for (size_t i = 0; i < value->count && type == INK_GGUF_BOOL; i++)
        if (data[i] > 1)
            return gguf_refuse(r, INK_ERROR_CORRUPT, "a bool of %u, expected 0 or 1", data[i]);
    if (type == INK_GGUF_STRING && !is_array) { /* moved over its length, so that there is a byte for the NUL */
        value->size = (size_t)length;
        value->data = memmove(data + 7, data + 8, value->size);
        data[7 + value->size] = '\0';
    }
    return INK_OK;
}

/* Sorts the keys, finds one that is there twice, and reads the one key that concerns this reader. */
static ink_result gguf_read_keys(gguf_reader *r, ink_gguf *gguf)
{
    const ink_gguf_value *values = gguf->values;
    size_t other;
    ink_names_sort(&gguf->keys);
    const size_t twice = ink_names_find_twice(&gguf->keys, &other);
    if (twice < gguf->n_values)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: key '%s' is there twice, at bytes %llu and %llu", r->file->name,
                        values[twice].key, (unsigned long long)values[twice].offset,
                        (unsigned long long)values[other].offset);
    const ink_gguf_value *value = ink_gguf_find(gguf, "general.alignment");
    r->alignment = DEFAULT_ALIGNMENT;
    if (value == NULL)
        return INK_OK;
    if (value->type != INK_GGUF_U32 || value->is_array)
        return ink_gguf_refuse(r->ctx, gguf, value, INK_ERROR_CORRUPT, ": expected u32, found %s%s",
                               value->is_array ? "an array of " : "", gguf_type_names[value->type]);
    r->alignment = ink_get_le(value->data, 4);
    if (r->alignment == 0 || (r->alignment & (r->alignment - 1)) != 0 || r->alignment > MAX_ALIGNMENT)
        return ink_gguf_refuse(r->ctx, gguf, value, INK_ERROR_CORRUPT,
                               ": expected a power of two from 1 to %llu, found %llu",
                               (unsigned long long)MAX_ALIGNMENT, (unsigned long long)r->alignment);
    return INK_OK;
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

static uint64_t gguf_pad(const gguf_reader *r, uint64_t size)
{
    return (size + r->alignment - 1) & ~(r->alignment - 1);
}

static ink_result gguf_read_type(const gguf_reader *r, uint64_t number, ink_type *type)
{
    *type = number < sizeof gguf_tensor_types ? (ink_type)gguf_tensor_types[number] : INK_TYPE_NONE;
    if (*type != INK_TYPE_NONE)
        return INK_OK;
    for (size_t i = 0; i < sizeof gguf_others / sizeof gguf_others[0]; i++)
        if (gguf_others[i].number == number)
            return gguf_refuse(r, INK_ERROR_UNSUPPORTED, "its type %llu (%s) is not supported%s",
                               (unsigned long long)number, gguf_others[i].name,
                               gguf_others[i].why == 'r'   ? ": it was removed from GGUF"
                               : gguf_others[i].why == 'i' ? ": it is one of intermediate results, not of files"
                                                           : "");
    if ((number >= 97 && number <= 158) || (number >= 200 && number < 400))
        return gguf_refuse(r, INK_ERROR_UNSUPPORTED, "its type %llu is not supported: it is one of ik_llama.cpp",
                           (unsigned long long)number);
    return gguf_refuse(r, INK_ERROR_UNSUPPORTED, "its type %llu is unknown", (unsigned long long)number);
}

/* The size of a tensor follows from type and shape; its place, from the tensors before it. Until the table is complete,
   weight->offset is the byte of the entry. */
static ink_result gguf_read_tensor(gguf_reader *r, ink_weight *weight)
{
    unsigned char *name, *rest;
    uint64_t n_dims;
    INK_TRY(gguf_begin(r, "tensor", MAX_NAME, &name));
    INK_TRY(gguf_number(r, 4, &n_dims));
    if (n_dims > MAX_DIMS)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "it has %llu dimensions, at most %u are legal",
                           (unsigned long long)n_dims, MAX_DIMS);
    INK_TRY(gguf_skip(r, n_dims * 8 + 4 + 8, &rest));
    if (rest == NULL)
        return INK_OK;
    name[r->name_size] = '\0';
    *weight = (ink_weight){.name = r->name, .offset = r->entry, .shape.rank = (size_t)n_dims};
    for (size_t i = 0; i < n_dims; i++, rest += 8) {
        const uint64_t dim = ink_get_le(rest, 8);
        if (dim > INT64_MAX || dim > SIZE_MAX)
            return gguf_refuse(r, INK_ERROR_CORRUPT, "dimension %zu is %llu, which is too large", i,
                               (unsigned long long)dim);
        weight->shape.dim[n_dims - 1 - i] = (size_t)dim; /* GGUF has the fastest first */
    }
    const uint64_t offset = ink_get_le(rest + 4, 8);
    INK_TRY(gguf_read_type(r, ink_get_le(rest, 4), &weight->type));

    const ink_block_size block = ink_type_block(weight->type);
    const size_t row = n_dims > 0 ? weight->shape.dim[n_dims - 1] : 1;
    size_t count, size;
    if (row % block.elements != 0)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "a row of %zu elements is no whole number of %s blocks of %zu", row,
                           ink_type_name(weight->type), block.elements);
    if (!ink_shape_count(&weight->shape, &count) || !ink_size_mul(count / block.elements, block.bytes, &size))
        return gguf_refuse(r, INK_ERROR_CORRUPT, "the size of %s overflows", INK_SHAPE(&weight->shape));
    if (offset != r->n_data)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "its data begin %llu bytes behind the table, expected %llu",
                           (unsigned long long)offset, (unsigned long long)r->n_data);
    if (r->n_data > r->file->size || size > r->file->size - r->n_data)
        return gguf_refuse(r, INK_ERROR_CORRUPT,
                           "%s %s needs %zu bytes from byte %llu of the data on, but the whole file has %llu",
                           ink_type_name(weight->type), INK_SHAPE(&weight->shape), size, (unsigned long long)r->n_data,
                           (unsigned long long)r->file->size);
    weight->size = size;
    r->n_data = gguf_pad(r, r->n_data + size);
    return INK_OK;
}

/* Gives the tensors their places, and checks that they end where the file does. */
static ink_result gguf_place_tensors(gguf_reader *r, ink_gguf *gguf)
{
    uint64_t at = gguf_pad(r, r->size), end = r->size;
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        ink_weight *weight = &gguf->tensors[i];
        if (at > r->file->size || weight->size > r->file->size - at)
            return ink_fail(r->ctx, INK_ERROR_CORRUPT,
                            "%s: tensor '%s' (byte %llu): its %llu bytes from byte %llu on pass the end of the file at "
                            "%llu",
                            r->file->name, weight->name, (unsigned long long)weight->offset,
                            (unsigned long long)weight->size, (unsigned long long)at,
                            (unsigned long long)r->file->size);
        weight->offset = at;
        end = at + weight->size;
        at = gguf_pad(r, end);
    }
    if (r->file->size > gguf_pad(r, end))
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: the tensors end at byte %llu, but the file has %llu bytes",
                        r->file->name, (unsigned long long)end, (unsigned long long)r->file->size);
    return INK_OK;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

/* The rest of the file must have room for as many keys and tensors as the head counts. */
static ink_result gguf_read_head(gguf_reader *r, uint64_t *n_keys, uint64_t *n_tensors)
{
    unsigned char head[INK_HEAD_BYTES];
    const size_t n_head = r->file->size < sizeof head ? (size_t)r->file->size : sizeof head;
    uint64_t version;
    bool is_torch;
    INK_TRY(ink_file_read(r->ctx, r->file, 0, head, n_head));
    const char *other = ink_other_kind(head, n_head, &is_torch);
    if (n_head < 4 || memcmp(head, "GGUF", 4) != 0)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: this is not a GGUF file%s%.300s", r->file->name,
                        other != NULL ? " but " : ": it does not begin with \"GGUF\"", other != NULL ? other : "");
    if (r->file->size < HEAD_BYTES)
        return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: a GGUF file has at least %u bytes, this one has %zu",
                        r->file->name, HEAD_BYTES, n_head);
    uint64_t left = r->file->size - HEAD_BYTES;
    r->at = r->entry = 4;
    INK_TRY(gguf_number(r, 4, &version));
    if (version != 0 && (version & 0xffff) == 0)
        return gguf_refuse(r, INK_ERROR_UNSUPPORTED,
                           "this is a big-endian GGUF file; only little-endian ones are "
                           "supported");
    if (version == 1)
        return gguf_refuse(r, INK_ERROR_UNSUPPORTED,
                           "this is version 1 of GGUF, expected 2 or 3; convert the model "
                           "again");
    if (version < 2 || version > 3)
        return gguf_refuse(r, version == 0 ? INK_ERROR_CORRUPT : INK_ERROR_UNSUPPORTED,
                           "this is version %llu of GGUF, expected 2 or 3", (unsigned long long)version);
    r->entry = 8;
    INK_TRY(gguf_number(r, 8, n_tensors));
    INK_TRY(gguf_number(r, 8, n_keys));
    if (*n_tensors > left / MIN_TENSOR_BYTES || *n_tensors > UINT32_MAX)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "%llu tensors need at least %u bytes each, but %llu bytes follow",
                           (unsigned long long)*n_tensors, MIN_TENSOR_BYTES, (unsigned long long)left);
    r->entry = 16;
    left -= *n_tensors * MIN_TENSOR_BYTES;
    if (*n_keys > left / MIN_KEY_BYTES || *n_keys > UINT32_MAX)
        return gguf_refuse(r, INK_ERROR_CORRUPT, "%llu keys need at least %u bytes each, but there is room for %llu",
                           (unsigned long long)*n_keys, MIN_KEY_BYTES, (unsigned long long)left / MIN_KEY_BYTES);
    return INK_OK;
}

/* Walks through all keys and tensors. The first walk counts them and ends at the first mistake; the second has room for
   as many as the first saw, and names the mistake. */
static ink_result gguf_walk(gguf_reader *r, ink_gguf *gguf, uint64_t n_keys, uint64_t n_tensors)
{
    const size_t seen = gguf->n_values, seen_tensors = gguf->n_tensors;
    const bool counts = r->header == NULL;
    gguf->n_values = gguf->n_tensors = 0;
    r->at = HEAD_BYTES;
    for (uint64_t i = 0; i < n_keys && (counts || i < seen); i++) {
        gguf->n_values++;
        INK_TRY(gguf_read_value(r, counts ? NULL : &gguf->values[i]));
    }
    if (!counts && gguf->n_values == n_keys)
        INK_TRY(gguf_read_keys(r, gguf));
    for (uint64_t i = 0; i < n_tensors && (counts || i < seen_tensors); i++) {
        gguf->n_tensors++;
        INK_TRY(gguf_read_tensor(r, counts ? NULL : &gguf->tensors[i]));
    }
    if (!counts && (gguf->n_values < n_keys || gguf->n_tensors < n_tensors || r->at != r->size))
        return ink_fail(r->ctx, INK_ERROR_READ, "%s: the file changed while it was read", r->file->name);
    return INK_OK;
}

ink_result ink_gguf_read(ink_context *ctx, const ink_file *file, ink_arena *arena, ink_arena *work, ink_gguf *gguf)
{
    gguf_reader r = {.ctx = ctx, .file = file, .kind = "key"};
    uint64_t n_keys, n_tensors;
    *gguf = (ink_gguf){.file = file->name};
    INK_TRY(gguf_read_head(&r, &n_keys, &n_tensors));
    ink_result counted = gguf_walk(&r, gguf, n_keys, n_tensors);
    if (counted != INK_OK && counted != INK_ERROR_CORRUPT && counted != INK_ERROR_UNSUPPORTED)
        return counted;
    r.size = r.at; /* all of it, or up to the mistake that the second walk names */

    /* A tensor is twice in memory, here and in the table of all files, and once in the order of names. */
    const size_t each_key = sizeof *gguf->values + sizeof(uint64_t);
    const size_t each_tensor = 2 * sizeof *gguf->tensors + sizeof(uint64_t);
    const uint64_t needed = r.size + (uint64_t)gguf->n_values * each_key + (uint64_t)gguf->n_tensors * each_tensor;
    INK_TRY(ink_limit_check(ctx, file->name, needed, INK_LIMIT(ctx, table_bytes)));
    unsigned char *header = r.size <= SIZE_MAX ? ink_arena_alloc(arena, (size_t)r.size, 1) : NULL;
    gguf->values = ink_arena_alloc(arena, gguf->n_values, sizeof *gguf->values);
    uint64_t *sorted = ink_arena_alloc(arena, gguf->n_values, sizeof *sorted);
    gguf->tensors = ink_arena_alloc(work, gguf->n_tensors, sizeof *gguf->tensors);
    if (header == NULL || ink_arena_failed(arena) || ink_arena_failed(work))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the keys and tensors of %s need %llu bytes", file->name,
                        (unsigned long long)needed);
    gguf->keys = (ink_names){&gguf->values->key, sizeof *gguf->values, gguf->n_values, sorted};
    r.header = header;
    INK_TRY(ink_file_read(ctx, file, 0, header, (size_t)r.size));
    INK_TRY(gguf_walk(&r, gguf, n_keys, n_tensors));
    return gguf_place_tensors(&r, gguf);
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

const ink_gguf_value *ink_gguf_find(const ink_gguf *gguf, const char *key)
{
    const size_t i = ink_names_find(&gguf->keys, key);
    return i < gguf->keys.n ? &gguf->values[i] : NULL;
}

ink_result ink_gguf_require(ink_context *ctx, const ink_gguf *gguf, const char *key, const ink_gguf_value **value)
{
    const ink_gguf_value *found = ink_gguf_find(gguf, key);
    if (found == NULL)
        return ink_fail(ctx, INK_ERROR_MISMATCH, "%s: key '%s' is missing", gguf->file, key);
    *value = found;
    return INK_OK;
}

static bool gguf_is_int(unsigned type) { return type <= INK_GGUF_I32 || type == INK_GGUF_U64 || type == INK_GGUF_I64; }

static bool gguf_is_float(unsigned type) { return type == INK_GGUF_F32 || type == INK_GGUF_F64; }

static bool gguf_is_signed(unsigned type)
{
    return type == INK_GGUF_I8 || type == INK_GGUF_I16 || type == INK_GGUF_I32 || type == INK_GGUF_I64;
}

/* Element i of integers or bools; a number beyond int64_t counts as the largest. */
static int64_t gguf_int(const ink_gguf_value *value, size_t i)
{
    const size_t width = gguf_widths[value->type];
    uint64_t bits = ink_get_le(value->data + i * width, width);
    if (gguf_is_signed(value->type) && width < 8 && bits >> (8 * width - 1) != 0)
        bits |= UINT64_MAX << 8 * width;
    if (!gguf_is_signed(value->type) && bits > INT64_MAX)
        bits = INT64_MAX;
    int64_t number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static double gguf_float(const ink_gguf_value *value, size_t i)
{
    const size_t width = gguf_widths[value->type];
    const uint64_t bits = ink_get_le(value->data + i * width, width);
    const uint32_t half = (uint32_t)bits;
    float single;
    double number;
    memcpy(&single, &half, sizeof single);
    memcpy(&number, &bits, sizeof number);
    return width == 4 ? (double)single : number;
}

const char *ink_gguf_type_name(ink_gguf_type type) { return gguf_type_names[type]; }

double ink_gguf_number(const ink_gguf_value *value, size_t i)
{
    if (gguf_is_float(value->type))
        return gguf_float(value, i);
    return value->type == INK_GGUF_U64 ? (double)ink_get_le(value->data + 8 * i, 8) : (double)gguf_int(value, i);
}

ink_result ink_gguf_refuse(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, ink_result result,
                           const char *format, ...)
{
    char reason[400];
    va_list list;
    va_start(list, format);
    ink_format_list(reason, sizeof reason, format, list);
    va_end(list);
    return ink_fail(ctx, result, "%s: key '%s' (byte %llu)%s", gguf->file, value->key,
                    (unsigned long long)value->offset, reason);
}

/* "...: element 3: expected an integer from 1 to 5, found 7". i INK_GGUF_ANY: it is about the whole value. */
static ink_result gguf_expected(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, size_t i,
                                const char *expected)
{
    char found[200], element[40] = "";
    const char *type = gguf_type_names[value->type];
    const size_t at = value->is_array ? i : 0;
    if (value->is_array && i < value->count)
        ink_format(element, sizeof element, "element %zu: ", i);
    if (value->is_array && i >= value->count)
        ink_format(found, sizeof found, "an array of %zu of type %s", value->count, type);
    else if (gguf_is_int(value->type))
        ink_format(found, sizeof found, "%lld", (long long)gguf_int(value, at));
    else if (value->type == INK_GGUF_STRING && !value->is_array)
        ink_format(found, sizeof found, "\"%s\"", (const char *)value->data);
    else
        ink_format(found, sizeof found, "%s%s", type,
                   gguf_is_float(value->type) && !isfinite(gguf_float(value, at)) ? " that is not finite" : "");
    return ink_gguf_refuse(ctx, gguf, value, INK_ERROR_MISMATCH, ": %sexpected %s, found %.200s", element, expected,
                           found);
}

ink_result ink_gguf_int_at(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, size_t i, int64_t min,
                           int64_t max, int64_t *out)
{
    const bool there = !value->is_array || i < value->count, is_int = there && gguf_is_int(value->type);
    const int64_t number = is_int ? gguf_int(value, value->is_array ? i : 0) : 0;
    char expected[80];
    if (is_int && number >= min && number <= max) {
        *out = number;
        return INK_OK;
    }
    ink_format(expected, sizeof expected, "an integer from %lld to %lld", (long long)min, (long long)max);
    if (!there)
        ink_format(expected, sizeof expected, "at least %zu integers", i + 1);
    return gguf_expected(ctx, gguf, value, i, expected);
}

ink_result ink_gguf_float_at(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, size_t i, double *out)
{
    const bool there = !value->is_array || i < value->count;
    const double number = there && gguf_is_float(value->type) ? gguf_float(value, value->is_array ? i : 0) : NAN;
    char expected[80] = "a finite f32 or f64";
    if (isfinite(number)) {
        *out = number;
        return INK_OK;
    }
    if (!there)
        ink_format(expected, sizeof expected, "at least %zu floats", i + 1);
    return gguf_expected(ctx, gguf, value, i, expected);
}

ink_result ink_gguf_get_int(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, int64_t min,
                            int64_t max, int64_t *out)
{
    if (value == NULL)
        return INK_OK;
    return value->is_array ? gguf_expected(ctx, gguf, value, INK_GGUF_ANY, "an integer")
                           : ink_gguf_int_at(ctx, gguf, value, 0, min, max, out);
}

ink_result ink_gguf_get_float(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, double *out)
{
    if (value == NULL)
        return INK_OK;
    return value->is_array ? gguf_expected(ctx, gguf, value, INK_GGUF_ANY, "a finite f32 or f64")
                           : ink_gguf_float_at(ctx, gguf, value, 0, out);
}

ink_result ink_gguf_get_bool(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, bool *out)
{
    if (value != NULL && (value->is_array || value->type != INK_GGUF_BOOL))
        return gguf_expected(ctx, gguf, value, INK_GGUF_ANY, "a bool");
    if (value != NULL)
        *out = value->data[0] != 0;
    return INK_OK;
}

ink_result ink_gguf_get_string(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, const char **text,
                               size_t *size)
{
    if (value != NULL && (value->is_array || value->type != INK_GGUF_STRING))
        return gguf_expected(ctx, gguf, value, INK_GGUF_ANY, "a string");
    if (value != NULL)
        *text = (const char *)value->data;
    if (value != NULL && size != NULL)
        *size = value->size;
    return INK_OK;
}

ink_result ink_gguf_expect_array(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value,
                                 ink_gguf_type type, size_t n)
{
    char count[40] = "", expected[80];
    if (value->is_array && value->type == (unsigned)type && (n == INK_GGUF_ANY || value->count == n))
        return INK_OK;
    if (n != INK_GGUF_ANY)
        ink_format(count, sizeof count, " of %zu", n);
    ink_format(expected, sizeof expected, "an array%s of type %s", count, gguf_type_names[type]);
    return gguf_expected(ctx, gguf, value, INK_GGUF_ANY, expected);
}

bool ink_gguf_next_string(const ink_gguf_value *value, size_t *at, const char **text, size_t *size)
{
    if (*at >= value->size)
        return false;
    *size = (size_t)ink_get_le(value->data + *at, 8);
    *text = (const char *)value->data + *at + 8;
    *at += 8 + *size;
    return true;
}

/* ---- files that are no models ----------------------------------------------------------------------------------- */

ink_result ink_gguf_check_model(ink_context *ctx, const ink_gguf *gguf, size_t n_tensors)
{
    /* What a key says, or how the name of the file begins. */
    static const struct {
        const char *key, *value, *what;
    } sidecars[] = {
        {"general.type", "adapter", "an adapter (LoRA), which must be merged into its model"},
        {"general.type", "imatrix", "a file of importances, with which weights are quantised"},
        {"general.type", "mmproj", "a projector of images or sounds, without its language model"},
        {"general.architecture", "clip", "a projector of images or sounds, without its language model"},
        {"general.architecture", "controlvector", "a control vector, without its model"},
        {NULL, "mmproj-", "a projector of images or sounds, without its language model"},
        {NULL, "mtp-", "only the layers that predict more tokens, without their model"},
    };
    const char *name = gguf->file, *text = NULL;
    for (const char *p = gguf->file; *p != '\0'; p++)
        if (*p == '/' || *p == '\\')
            name = p + 1;
    INK_TRY(ink_gguf_get_string(ctx, gguf, ink_gguf_find(gguf, "general.type"), &text, NULL));
    for (size_t i = 0; i < sizeof sidecars / sizeof sidecars[0]; i++) {
        const char *key = sidecars[i].key, *value = sidecars[i].value;
        const ink_gguf_value *found = key != NULL ? ink_gguf_find(gguf, key) : NULL;
        bool is = key == NULL ? strncmp(name, value, strlen(value)) == 0
                              : found != NULL && found->type == INK_GGUF_STRING && !found->is_array &&
                                    strcmp((const char *)found->data, value) == 0;
        if (is)
            return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s: this is no model but %s", gguf->file, sidecars[i].what);
    }
    if (text != NULL && strcmp(text, "model") != 0)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s: this is no model: general.type is '%s'", gguf->file, text);
    if (n_tensors == 0)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s: this is no model but a vocabulary without tensors",
                        gguf->file);
    return INK_OK;
}
