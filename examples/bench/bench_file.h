/*
 * bench_file.h - a model folder put together in memory, with small random numbers for weights: networks of any shape to
 * time, without files of that size in the tree.
 *
 *     bench_file_begin(&file, "{\"model_type\": ...}");
 *     bench_file_add(&file, "0.weight", 256, 784);
 *     bench_file_add(&file, "0.bias", 256, 0);
 *     if (bench_file_finish(&file))
 *         ... open model.safetensors, or the folder, from &file.source ...
 *     bench_file_free(&file);
 */
#ifndef EXAMPLES_BENCH_FILE_H
#define EXAMPLES_BENCH_FILE_H

#include <inkling.h>

#define BENCH_FILE_WEIGHTS "model.safetensors"
#define BENCH_FILE_HEADER ((size_t)32 << 10)

/* May not be moved once it is finished. */
typedef struct bench_file {
    char header[BENCH_FILE_HEADER];
    size_t header_length;
    size_t data_size;
    unsigned char *bytes; /* [size]: model.safetensors */
    size_t size;
    const char *config; /* config.json, or NULL */
    ink_memory_file entries[2];
    ink_memory_files files;
    ink_source source;
} bench_file;

void bench_file_begin(bench_file *file, const char *config);

/* An F32 tensor [rows, columns], or [rows] if columns is 0. */
void bench_file_add(bench_file *file, const char *name, size_t rows, size_t columns);

/* False if there is no memory, or the header is full; the sentence is said. */
bool bench_file_finish(bench_file *file);
void bench_file_free(bench_file *file);

/* Writes both files into the folder; false, and the sentence said, if that fails. */
bool bench_file_write(const bench_file *file, const char *folder);

#endif
