/*
 * source.h - where bytes come from: a folder, memory, or the caller's own reader.
 *
 * The library loads everything through a source: a set of named files that can be read at any offset. It reads files
 * and never maps them, because a file that shrinks while it is mapped kills the program.
 */
#ifndef INKLING_SOURCE_H
#define INKLING_SOURCE_H

#include <inkling/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Fill in the three functions to supply files of your own (an archive, flash memory, a network cache).
 *
 *   open    finds `name`, sets *file to a handle of yours and *size to its length in bytes.
 *           INK_ERROR_NOT_FOUND if there is none, INK_ERROR_READ if it cannot be read.
 *   read    reads up to `size` bytes at `offset` into `buffer` and sets *got. It may read fewer, and is then called
 *           again; 0 means the end. INK_ERROR_READ on failure; the library treats *got > size as a failure too.
 *   close   closes the handle; called once for each successful open.
 *
 * One thread at a time uses a source; with worker threads, not always the same one. `user` and everything it points to
 * must stay valid while an object opened through the source may still read: a model reads only while it is opened,
 * ink_weights until it is freed.
 */
typedef struct ink_source {
    const char *name; /* its name in messages ("models/gpt2"); NULL: file names stand alone */
    void *user;
    ink_result (*open)(void *user, const char *name, void **file, uint64_t *size);
    ink_result (*read)(void *user, void *file, uint64_t offset, void *buffer, size_t size, size_t *got);
    void (*close)(void *user, void *file);
} ink_source;

/* The files of a folder; NULL or "": names are paths as they are. On Windows paths are UTF-8. Only regular files are
   opened. Symbolic links are followed, also out of the folder, because the caches of Hugging Face are made of them: a
   program that opens folders of strangers looks for links itself. A name in a file that would leave the folder is
   refused. `path` is kept, not copied. In a build without files (INK_NO_FILES) every open answers
   INK_ERROR_UNSUPPORTED. */
ink_source ink_source_folder(const char *path);

/* Files in memory. `files` and everything it points to are kept, not copied. */
typedef struct ink_memory_file {
    const char *name;
    const void *data;
    size_t size;
} ink_memory_file;

typedef struct ink_memory_files {
    const ink_memory_file *files;
    size_t n_files;
} ink_memory_files;

ink_source ink_source_memory(const ink_memory_files *files);

/* Called now and then while something large is loaded; return false to stop (INK_ERROR_CANCELLED). */
typedef bool (*ink_progress_fn)(void *user, uint64_t bytes_done, uint64_t bytes_total);

#ifdef __cplusplus
}
#endif

#endif
