/*
 * gguf_edit.c - reads and writes what stands before the data of a GGUF file, which must be a good one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_edit.h"
#include "numbers.h"

#define ALIGNMENT ((size_t)32)

static size_t put_text(unsigned char *at, const char *text, size_t length)
{
    size_t used = put_number(at, length, 8);
    memcpy(at + used, text, length);
    return used + length;
}

/* The types of values by their numbers in the file, and their width; a string has none, an array has elements. */
static const struct {
    const char *name;
    size_t width;
} types[] = {{"u8", 1},   {"i8", 1},  {"u16", 2},   {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
             {"bool", 1}, {"str", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8}};
enum { STRING = 8, ARRAY = 9, N_TYPES = sizeof types / sizeof *types };

/* The byte after a value that begins at `at`. */
static size_t after_value(const unsigned char *bytes, size_t at, size_t type)
{
    size_t count = 1;
    if (type == ARRAY) {
        type = (size_t)read_number(bytes + at, 4);
        count = (size_t)read_number(bytes + at + 4, 8);
        at += 12;
    }
    for (size_t i = 0; i < count; i++)
        at += type == STRING ? 8 + (size_t)read_number(bytes + at, 8) : types[type].width;
    return at;
}

static void find_entries(gguf_edit *file)
{
    const unsigned char *bytes = file->bytes;
    size_t at = 24;
    file->n_tensors = (size_t)read_number(bytes + 8, 8);
    file->n_keys = (size_t)read_number(bytes + 16, 8);
    file->keys = realloc(file->keys, (file->n_keys + 1) * sizeof *file->keys);
    file->tensors = realloc(file->tensors, (file->n_tensors + 1) * sizeof *file->tensors);
    assert_non_null(file->keys);
    assert_non_null(file->tensors);
    for (size_t i = 0; i < file->n_keys; i++) {
        file->keys[i] = at;
        at += 8 + (size_t)read_number(bytes + at, 8);
        at = after_value(bytes, at + 4, (size_t)read_number(bytes + at, 4));
    }
    file->keys[file->n_keys] = at;
    for (size_t i = 0; i < file->n_tensors; i++) {
        file->tensors[i] = at;
        at += 8 + (size_t)read_number(bytes + at, 8);
        at += 4 + 8 * (size_t)read_number(bytes + at, 4) + 4 + 8;
    }
    file->tensors[file->n_tensors] = at;
}

void gguf_edit_read(gguf_edit *file, const char *folder, const char *name)
{
    memset(file, 0, sizeof *file);
    file->bytes = (unsigned char *)test_read_file(folder, name, &file->memory.size);
    if (file->bytes == NULL)
        fail_msg("%s/%s: cannot be read", folder, name);
    file->memory.name = "m.gguf";
    file->memory.data = file->bytes;
    find_entries(file);
}

void gguf_edit_free(gguf_edit *file)
{
    free(file->bytes);
    free(file->keys);
    free(file->tensors);
}

static char *entry_name(const gguf_edit *file, size_t at, size_t *length)
{
    *length = (size_t)read_number(file->bytes + at, 8);
    return (char *)file->bytes + at + 8;
}

char *gguf_edit_key(const gguf_edit *file, size_t i, size_t *length) { return entry_name(file, file->keys[i], length); }

char *gguf_edit_tensor(const gguf_edit *file, size_t i, size_t *length)
{
    return entry_name(file, file->tensors[i], length);
}

/* One value of a type, from the words of a text, which it returns behind them. */
static const char *put_value(unsigned char *to, size_t *used, size_t type, const char *text, bool whole)
{
    char *end = NULL;
    if (type == STRING) {
        size_t length = whole ? strlen(text) : strcspn(text, " ");
        *used += put_text(to + *used, text, length);
        return text + length;
    }
    if (types[type].name[0] == 'f') {
        double number = strtod(text, &end);
        float narrow = (float)number;
        uint32_t half;
        uint64_t bits;
        memcpy(&half, &narrow, sizeof half);
        memcpy(&bits, &number, sizeof bits);
        *used += put_number(to + *used, types[type].width == 4 ? half : bits, types[type].width);
    } else {
        *used += put_number(to + *used, text[0] == '-' ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10),
                            types[type].width);
    }
    return end;
}

static size_t put_key(unsigned char *to, const char *key, const char *value)
{
    size_t used = put_text(to, key, strlen(key)), type = 0, count = 0;
    bool list = value[0] == '[';
    size_t length = strcspn(value + list, " ]");
    while (strncmp(value + list, types[type].name, length) != 0 || types[type].name[length] != '\0')
        if (++type == N_TYPES)
            fail_msg("'%s' is no value", value);
    value += list + length + list;
    if (!list) {
        used += put_number(to + used, type, 4);
        put_value(to, &used, type, value + 1, true);
        return used;
    }
    used += put_number(to + used, ARRAY, 4);
    used += put_number(to + used, type, 4);
    size_t at = used;
    used += 8;
    for (; *value == ' '; count++)
        value = put_value(to, &used, type, value + 1, false);
    put_number(to + at, count, 8);
    return used;
}

/* Puts the data behind the table in bytes [used], which has room for them, and keeps it as the file. */
static void put_data(gguf_edit *file, unsigned char *bytes, size_t used)
{
    size_t data = (file->tensors[file->n_tensors] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    used = (used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (data < file->memory.size) {
        memcpy(bytes + used, file->bytes + data, file->memory.size - data);
        used += file->memory.size - data;
    }
    free(file->bytes);
    file->bytes = bytes;
    file->memory.data = bytes;
    file->memory.size = used;
    find_entries(file);
}

void gguf_edit_set(gguf_edit *file, const char *key, const char *value)
{
    size_t used = 24, n_keys = 0, end = file->tensors[file->n_tensors];
    unsigned char *bytes =
        calloc(1, file->memory.size + 2 * ALIGNMENT + strlen(key) + 16 * (value != NULL ? strlen(value) : 0) + 64);
    assert_non_null(bytes);
    memcpy(bytes, file->bytes, used);
    for (size_t i = 0; i < file->n_keys; i++) {
        size_t length, size = file->keys[i + 1] - file->keys[i];
        const char *name = gguf_edit_key(file, i, &length);
        if (length == strlen(key) && memcmp(name, key, length) == 0)
            continue;
        memcpy(bytes + used, file->bytes + file->keys[i], size);
        used += size;
        n_keys++;
    }
    if (value != NULL) {
        used += put_key(bytes + used, key, value);
        n_keys++;
    }
    put_number(bytes + 16, n_keys, 8);
    memcpy(bytes + used, file->bytes + file->tensors[0], end - file->tensors[0]);
    used += end - file->tensors[0];
    put_data(file, bytes, used);
}

void gguf_edit_dims(gguf_edit *file, size_t fewest)
{
    size_t used = file->tensors[0];
    unsigned char *bytes = calloc(1, file->memory.size + 2 * ALIGNMENT + 24 * file->n_tensors);
    assert_non_null(bytes);
    memcpy(bytes, file->bytes, used);
    for (size_t i = 0; i < file->n_tensors; i++) {
        size_t length, n_dims, kept;
        const char *name = gguf_edit_tensor(file, i, &length);
        const unsigned char *dims = (const unsigned char *)name + length + 4;
        kept = n_dims = (size_t)read_number(dims - 4, 4);
        while (kept > fewest && read_number(dims + 8 * kept - 8, 8) == 1)
            kept--;
        used += put_text(bytes + used, name, length);
        used += put_number(bytes + used, kept > fewest ? kept : fewest, 4);
        for (size_t d = 0; d < kept || d < fewest; d++)
            used += put_number(bytes + used, d < kept ? read_number(dims + 8 * d, 8) : 1, 8);
        memcpy(bytes + used, dims + 8 * n_dims, 12);
        used += 12;
    }
    put_data(file, bytes, used);
}
