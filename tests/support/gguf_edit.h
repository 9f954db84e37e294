/*
 * gguf_edit.h - a GGUF file in memory whose keys and tensors a test changes.
 *
 *     gguf_edit file;
 *     gguf_edit_read(&file, FIXTURES "/gguf_models", "llama.gguf");
 *     gguf_edit_set(&file, "llama.block_count", "u32 3");
 *     ink_memory_files files = {&file.memory, 1};                     (its name is "m.gguf")
 *     gguf_edit_free(&file);
 */
#ifndef INK_TESTS_GGUF_EDIT_H
#define INK_TESTS_GGUF_EDIT_H

#include "testing.h"

typedef struct gguf_edit {
    ink_memory_file memory;
    unsigned char *bytes; /* those of memory */
    size_t n_keys, n_tensors;
    size_t *keys;    /* [n_keys + 1]: where each begins, and where the last ends */
    size_t *tensors; /* [n_tensors + 1] */
} gguf_edit;

void gguf_edit_read(gguf_edit *file, const char *folder, const char *name);
void gguf_edit_free(gguf_edit *file);

/* The text of key i, or of the name of tensor i: not NUL-terminated; *length. */
char *gguf_edit_key(const gguf_edit *file, size_t i, size_t *length);
char *gguf_edit_tensor(const gguf_edit *file, size_t i, size_t *length);

/* Adds a key, in place of one of this name if there is one; value NULL takes it away. Values: "u32 5", "i32 -1",
   "u64 5", "f32 0.5", "f64 0.5", "bool 1", "str some text", and arrays of some of them, "[u32] 1 2 3", "[bool] 1 0",
   "[str] yes no". */
void gguf_edit_set(gguf_edit *file, const char *key, const char *value);

/* Leaves out the last dimensions of every tensor that are 1 (fewest: 1), as ggml does, or adds such up to four (fewest:
   4); in PyTorch's order they are the first. */
void gguf_edit_dims(gguf_edit *file, size_t fewest);

#endif
