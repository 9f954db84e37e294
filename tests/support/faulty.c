/*
 * faulty.c - a reader over memory that counts its calls and misbehaves where it is told to.
 */
#include "faulty.h"

#include <string.h>

static ink_result faulty_open(void *user, const char *name, void **file, uint64_t *size)
{
    faulty *reader = user;

    if (++reader->opens == reader->fail_open)
        return INK_ERROR_READ;
    for (size_t i = 0; i < reader->n_files; i++) {
        if (strcmp(reader->files[i].name, name) == 0) {
            /* The handle is only ever read through; the cast takes off a const that the interface has no place for. */
            memcpy(file, &(const void *){&reader->files[i]}, sizeof *file);
            *size = reader->claim_size != 0 ? reader->claim_size : reader->files[i].size;
            reader->open_files++;
            return INK_OK;
        }
    }
    return INK_ERROR_NOT_FOUND;
}

static ink_result faulty_read(void *user, void *handle, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    faulty *reader = user;
    const ink_memory_file *file = handle;
    size_t n = size;

    *got = 0;
    if (++reader->reads == reader->fail_read)
        return INK_ERROR_READ;
    if (reader->end_read != 0 && reader->reads >= reader->end_read)
        return INK_OK;
    if (reader->reads == reader->lie_read) {
        *got = size + 1;
        return INK_OK;
    }
    if (offset >= file->size)
        return INK_OK;
    if (n > file->size - (size_t)offset)
        n = file->size - (size_t)offset;
    if (reader->max_read != 0 && n > reader->max_read)
        n = reader->max_read;
    memcpy(buffer, (const char *)file->data + offset, n);
    *got = n;
    return INK_OK;
}

static void faulty_close(void *user, void *handle)
{
    faulty *reader = user;

    (void)handle;
    reader->open_files--;
}

void faulty_init(faulty *reader, const ink_memory_file *files, size_t n_files)
{
    memset(reader, 0, sizeof *reader);
    reader->files = files;
    reader->n_files = n_files;
    reader->source = (ink_source){.user = reader, .open = faulty_open, .read = faulty_read, .close = faulty_close};
}
