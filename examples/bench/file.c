/* bench_file.c - see bench_file.h. */
#include "bench_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

enum { LENGTH_BYTES = 8, PATH_ROOM = 512 };

void bench_file_begin(bench_file *file, const char *config)
{
    memset(file, 0, sizeof *file);
    file->config = config;
}

/* What does not fit any more is counted all the same, and found at the end. */
static void append(bench_file *file, const char *text, size_t length)
{
    if (file->header_length + length <= BENCH_FILE_HEADER)
        memcpy(file->header + file->header_length, text, length);
    file->header_length += length;
}

void bench_file_add(bench_file *file, const char *name, size_t rows, size_t columns)
{
    char entry[256], shape[64];
    size_t begin = file->data_size, end = begin + rows * (columns != 0 ? columns : 1) * sizeof(float);
    snprintf(shape, sizeof shape, columns != 0 ? "%zu,%zu" : "%zu", rows, columns);
    int length = snprintf(entry, sizeof entry, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                          file->header_length == 0 ? "{" : ",", name, shape, begin, end);
    append(file, entry, (size_t)length);
    file->data_size = end;
}

/* Uniform in +- 0.05: no product of them comes near the numbers that processors are slow with. */
static void fill(unsigned char *data, size_t size)
{
    uint32_t random = 1;
    for (size_t i = 0; i < size; i += sizeof(float)) {
        random = random * 1664525 + 1013904223;
        float value = ((float)(random >> 8) * 0x1p-24f - 0.5f) / 10;
        memcpy(data + i, &value, sizeof value);
    }
}

bool bench_file_finish(bench_file *file)
{
    append(file, "}", 1);
    file->size = LENGTH_BYTES + file->header_length + file->data_size;
    file->bytes = file->header_length <= BENCH_FILE_HEADER ? malloc(file->size) : NULL;
    if (file->bytes == NULL) {
        console_complain("out of memory");
        return false;
    }
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        file->bytes[i] = (unsigned char)((uint64_t)file->header_length >> 8 * i);
    memcpy(file->bytes + LENGTH_BYTES, file->header, file->header_length);
    fill(file->bytes + LENGTH_BYTES + file->header_length, file->data_size);

    file->entries[0] = (ink_memory_file){.name = BENCH_FILE_WEIGHTS, .data = file->bytes, .size = file->size};
    if (file->config != NULL)
        file->entries[1] = (ink_memory_file){.name = "config.json", .data = file->config, .size = strlen(file->config)};
    file->files = (ink_memory_files){.files = file->entries, .n_files = file->config != NULL ? 2 : 1};
    file->source = ink_source_memory(&file->files);
    return true;
}

void bench_file_free(bench_file *file)
{
    free(file->bytes);
    file->bytes = NULL;
}

static bool write_entry(const ink_memory_file *entry, const char *folder)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", folder, entry->name);
    FILE *stream = fopen(path, "wb");
    bool fine = stream != NULL && fwrite(entry->data, 1, entry->size, stream) == entry->size;
    if (stream != NULL)
        fine = fclose(stream) == 0 && fine;
    if (!fine)
        console_complain("%s: cannot be written", path);
    return fine;
}

bool bench_file_write(const bench_file *file, const char *folder)
{
    for (size_t i = 0; i < file->files.n_files; i++)
        if (!write_entry(&file->entries[i], folder))
            return false;
    return true;
}
