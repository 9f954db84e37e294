/*
 * source.c - a folder or memory as a source of files, and checked reads from any source.
 */
#include <string.h>

#include "internal.h"

#define PATH_SIZE 4096

/* ---- a folder ------------------------------------------------------------------------------------------------- */

static ink_result folder_open(void *user, const char *name, void **file, uint64_t *size)
{
    char path[PATH_SIZE];
    const char *folder = user != NULL ? user : "";
    size_t folder_length = strlen(folder), name_length = strlen(name), used = 0;
    if (folder_length > sizeof path || name_length > sizeof path || folder_length + 1 + name_length + 1 > sizeof path)
        return INK_ERROR_NOT_FOUND;
    if (folder_length > 0) {
        memcpy(path, folder, folder_length);
        path[folder_length] = '/';
        used = folder_length + 1;
    }
    memcpy(path + used, name, name_length + 1);
    return ink_platform_open(path, file, size);
}

static ink_result folder_read(void *user, void *file, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    (void)user;
    return ink_platform_read(file, offset, buffer, size, got);
}

static void folder_close(void *user, void *file)
{
    (void)user;
    ink_platform_close(file);
}

ink_source ink_source_folder(const char *path)
{
    bool named = path != NULL && path[0] != '\0';
    return (ink_source){.name = named ? path : NULL,
                        .user = (void *)(uintptr_t)path,
                        .open = folder_open,
                        .read = folder_read,
                        .close = folder_close};
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

static ink_result memory_open(void *user, const char *name, void **file, uint64_t *size)
{
    const ink_memory_files *all = user;
    for (size_t i = 0; i < all->n_files; i++) {
        if (strcmp(all->files[i].name, name) == 0) {
            *file = (void *)(uintptr_t)&all->files[i];
            *size = all->files[i].size;
            return INK_OK;
        }
    }
    return INK_ERROR_NOT_FOUND;
}

static ink_result memory_read(void *user, void *file, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    const ink_memory_file *memory = file;
    (void)user;
    *got = offset >= memory->size ? 0 : ink_size_min(size, memory->size - (size_t)offset);
    if (*got > 0)
        memcpy(buffer, (const unsigned char *)memory->data + offset, *got);
    return INK_OK;
}

static void memory_close(void *user, void *file) { (void)user, (void)file; }

ink_source ink_source_memory(const ink_memory_files *files)
{
    return (ink_source){
        .user = (void *)(uintptr_t)files, .open = memory_open, .read = memory_read, .close = memory_close};
}

/* ---- files of any source -------------------------------------------------------------------------------------- */

ink_result ink_file_open(ink_context *ctx, const ink_source *source, const char *name, ink_file *file)
{
    const char *folder = source->name != NULL ? source->name : "", *slash = source->name != NULL ? "/" : "";
    void *handle = NULL;
    uint64_t size = 0;
    if (source->open == NULL || source->read == NULL || source->close == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s%s%s: the source has no function to open, read or close files",
                        folder, slash, name);
    ink_result result = source->open(source->user, name, &handle, &size);
    if (result == INK_ERROR_NOT_FOUND)
        return ink_fail(ctx, result, "%s%s%s: no such file", folder, slash, name);
    if (result == INK_ERROR_UNSUPPORTED)
        return ink_fail(ctx, result, "%s%s%s: this build of the library cannot open files", folder, slash, name);
    if (result != INK_OK)
        return ink_fail(ctx, INK_ERROR_READ, "%s%s%s: cannot be read (not a regular file, or no permission)", folder,
                        slash, name);
    *file = (ink_file){.source = source, .handle = handle, .name = name, .size = size};
    return INK_OK;
}

ink_result ink_file_read(ink_context *ctx, const ink_file *file, uint64_t offset, void *buffer, size_t size)
{
    unsigned char *out = buffer;
    if (offset > file->size || size > file->size - offset)
        return ink_fail(ctx, INK_ERROR_CORRUPT, "%s: %zu bytes at offset %llu pass the end of the file at %llu",
                        file->name, size, (unsigned long long)offset, (unsigned long long)file->size);
    while (size > 0) {
        size_t got = 0;
        ink_result result = file->source->read(file->source->user, file->handle, offset, out, size, &got);
        if (result != INK_OK || got > size)
            return ink_fail(ctx, INK_ERROR_READ, "%s: reading %zu bytes at offset %llu failed", file->name, size,
                            (unsigned long long)offset);
        if (got == 0)
            return ink_fail(ctx, INK_ERROR_READ, "%s: the file ends at %llu, it had %llu bytes when it was opened",
                            file->name, (unsigned long long)offset, (unsigned long long)file->size);
        out += got;
        offset += got;
        size -= got;
    }
    return INK_OK;
}

void ink_file_close(ink_file *file)
{
    if (file->source != NULL)
        file->source->close(file->source->user, file->handle);
    file->source = NULL;
}

ink_result ink_file_read_all(ink_context *ctx, const ink_source *source, const char *name, ink_limit limit,
                             ink_arena *arena, const char **text, size_t *size)
{
    ink_file file = {0};
    char *bytes = NULL;
    INK_TRY(ink_file_open(ctx, source, name, &file));
    ink_result result = ink_limit_check(ctx, name, file.size, limit);
    if (result == INK_OK) {
        bytes = file.size < SIZE_MAX ? ink_arena_alloc(arena, (size_t)file.size + 1, 1) : NULL;
        if (bytes == NULL)
            result = ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s has %llu bytes", name,
                              (unsigned long long)file.size);
        else
            result = ink_file_read(ctx, &file, 0, bytes, (size_t)file.size);
    }
    ink_file_close(&file);
    if (result != INK_OK)
        return result;
    bytes[file.size] = '\0';
    *text = bytes;
    *size = (size_t)file.size;
    return INK_OK;
}
