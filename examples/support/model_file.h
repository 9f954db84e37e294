/*
 * model_file.h - a model in memory, with small random numbers for weights: networks of any shape without large files in
 * the tree.
 *
 *     model_file file = {.size = 0};
 *     model_file_add(&file, "embedding.weight", 852, 512);            and so on
 *     model_file_finish(&file, "{\"model_type\":\"rnn\", ...}");
 *     ink_model_open(ctx, "rnn", &(ink_model_options){.source = &file.source}, &model);
 *     free(file.bytes);
 */
#ifndef EXAMPLES_MODEL_FILE_H
#define EXAMPLES_MODEL_FILE_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>

#define MODEL_FILE_WEIGHTS "model.safetensors"

enum { MODEL_FILE_HEADER = 48 << 10 };

/* Zero-initialise. Must not be moved after model_file_finish(). */
typedef struct model_file {
    char header[MODEL_FILE_HEADER];
    size_t header_length;
    size_t data_size;
    unsigned char *bytes; /* [size]: model.safetensors, to be released with free() */
    size_t size;
    ink_memory_file entries[2];
    ink_memory_files files;
    ink_source source;
} model_file;

/* Adds an F32 tensor [rows, columns], or [rows] if columns is 0. */
void model_file_add(model_file *file, const char *name, size_t rows, size_t columns);

/* A module "encoder.layer.%zu.output.dense", with its number: ".weight" [rows, columns], or [rows] if columns is 0, and
   ".bias" [bias] unless that is 0. */
typedef struct module_shape {
    const char *name;
    size_t rows, columns, bias;
} module_shape;

void model_file_add_all(model_file *file, const module_shape *modules, size_t n, size_t number);

/* The modules of a GPT-2 of this width. */
void model_file_add_gpt2(model_file *file, size_t width, size_t n_blocks, size_t vocab_size, size_t n_positions);

/* Makes the bytes. False after an error message. `config` is config.json, which must live as long as the file, or
   NULL. */
bool model_file_finish(model_file *file, const char *config);

#endif
