/*
 * faulty.h - files in memory behind a reader that misbehaves on request: short reads, failing reads, lies.
 *
 *     faulty files;
 *     faulty_init(&files, (ink_memory_file[]){{"model.safetensors", bytes, n_bytes}}, 1);
 *     files.max_read = 1;                                   (one byte at a time)
 *     ink_weights_open_source(ctx, &files.source, "model.safetensors", &weights);
 *     ...
 *     assert_int_equal(files.open_files, 0);
 */
#ifndef INK_TESTS_FAULTY_H
#define INK_TESTS_FAULTY_H

#include <inkling/source.h>

typedef struct faulty {
    ink_source source;            /* hand this to the library; it points to this structure */
    const ink_memory_file *files; /* the caller's */
    size_t n_files;
    size_t open_files;   /* opened and not closed yet */
    size_t opens, reads; /* calls so far */
    size_t max_read;     /* bytes a read gives at most; 0: all that was asked for */
    size_t fail_open;    /* the open with this number (from 1) fails; 0: none */
    size_t fail_read;    /* the read with this number (from 1) fails; 0: none */
    size_t end_read;     /* from the read with this number on the files are at their end: they shrank; 0: never */
    size_t lie_read;     /* the read with this number claims more bytes than were asked for; 0: none */
    uint64_t claim_size; /* what open says the size is; 0: the truth */
} faulty;

/* `files` is kept, not copied. All faults are off. */
void faulty_init(faulty *reader, const ink_memory_file *files, size_t n_files);

#endif
