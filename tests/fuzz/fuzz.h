/*
 * fuzz.h - what the fuzz targets share: a check that ends the program, an allocator that counts, and a folder of files
 * in one text.
 *
 * A folder is its files one after the other, with a byte FF between them: the name of the file, a newline, its bytes.
 * pack.sh writes a folder so. Of a safetensors file only the header is there, without its length; unpack_folder() adds
 * the length and as many bytes of small numbers as the header speaks of, so that a mutated header still has data.
 */
#ifndef INKLING_FUZZ_H
#define INKLING_FUZZ_H

#include <inkling.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void check(bool holds)
{
    if (!holds)
        abort();
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

typedef struct fuzz_memory {
    size_t live, peak;
} fuzz_memory;

static inline void *fuzz_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    fuzz_memory *memory = user;
    if (block != NULL) {
        check(new_size == 0);
        memory->live -= old_size;
        free(block);
        return NULL;
    }
    void *made = new_size <= (size_t)1 << 30 ? malloc(new_size) : NULL;
    memory->live += made != NULL ? new_size : 0;
    memory->peak = memory->live > memory->peak ? memory->live : memory->peak;
    return made;
}

static inline ink_context *fuzz_context(fuzz_memory *memory)
{
    const ink_context_options options = {.allocator = {fuzz_resize, memory}};
    *memory = (fuzz_memory){0};
    ink_context *ctx = ink_context_create(&options);
    check(ctx != NULL);
    return ctx;
}

/* ---- a folder --------------------------------------------------------------------------------------------------- */

#define FUZZ_FILES 24
#define FUZZ_DATA_BYTES ((size_t)1 << 20)

typedef struct fuzz_folder {
    ink_memory_file files[FUZZ_FILES];
    void *owned[2 * FUZZ_FILES];
    size_t n_files, n_owned;
    ink_memory_files list;
} fuzz_folder;

static inline void *fuzz_own(fuzz_folder *folder, size_t size)
{
    void *block = malloc(size + (size == 0));
    check(block != NULL);
    return folder->owned[folder->n_owned++] = block;
}

/* The largest number of a header, at most FUZZ_DATA_BYTES: the end of its data, if it is a good header. */
static inline size_t fuzz_data_size(const char *header, size_t size)
{
    size_t most = 0, number = 0;
    for (size_t i = 0; i < size; i++) {
        bool digit = header[i] >= '0' && header[i] <= '9';
        number = digit && number <= FUZZ_DATA_BYTES ? number * 10 + (size_t)(header[i] - '0') : digit ? number : 0;
        if (number <= FUZZ_DATA_BYTES && number > most && i + 1 < size && header[i + 1] == ']')
            most = number;
    }
    return most;
}

/* A safetensors file with this header. Its data are small numbers in each of F64, F32, F16 and BF16. */
static inline void fuzz_add_weights(fuzz_folder *folder, const char *name, const char *header, size_t size)
{
    static const uint16_t halves[] = {0x3c31, 0xbb17, 0x3a5d, 0x3b0b, 0xbc29, 0x3b77, 0xba43, 0xbb65, 0x3c07};
    size_t data_size = fuzz_data_size(header, size);
    char *bytes = fuzz_own(folder, 8 + size + data_size);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (char)((uint64_t)size >> 8 * i);
    memcpy(bytes + 8, header, size);
    for (size_t i = 0; i < data_size; i++)
        bytes[8 + size + i] = (char)(halves[i / 2 % 9] >> i % 2 * 8);
    folder->files[folder->n_files++] = (ink_memory_file){name, bytes, 8 + size + data_size};
}

/* The source of the folder in `data`; free it with free_folder(). */
static inline ink_source unpack_folder(fuzz_folder *folder, const uint8_t *data, size_t size)
{
    static const char weights[] = ".safetensors";
    const uint8_t *end = data + size;
    *folder = (fuzz_folder){0};
    while (data < end && folder->n_files < FUZZ_FILES) {
        const uint8_t *stop = memchr(data, 0xFF, (size_t)(end - data));
        stop = stop != NULL ? stop : end;
        const uint8_t *line = memchr(data, '\n', (size_t)(stop - data));
        line = line != NULL ? line : stop;
        size_t length = (size_t)(line - data), rest = stop > line ? (size_t)(stop - line) - 1 : 0;
        char *name = fuzz_own(folder, length + 1);
        memcpy(name, data, length);
        name[length] = '\0';
        size_t named = strlen(name);
        const char *bytes = (const char *)(stop > line ? line + 1 : stop);
        if (named >= sizeof weights && strcmp(name + named - (sizeof weights - 1), weights) == 0)
            fuzz_add_weights(folder, name, bytes, rest);
        else
            folder->files[folder->n_files++] = (ink_memory_file){name, bytes, rest};
        data = stop < end ? stop + 1 : end;
    }
    folder->list = (ink_memory_files){folder->files, folder->n_files};
    ink_source source = ink_source_memory(&folder->list);
    source.name = "folder";
    return source;
}

static inline void free_folder(fuzz_folder *folder)
{
    for (size_t i = 0; i < folder->n_owned; i++)
        free(folder->owned[i]);
}

#endif
