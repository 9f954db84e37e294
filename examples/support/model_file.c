/*
 * model_file.c - a model in memory: the header of its safetensors file, and random weights behind it.
 */
#include "model_file.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "console.h"

/* Text that does not fit is still counted; model_file_finish() reports it. */
static void header_append(model_file *file, const char *text, size_t length)
{
    if (file->header_length + length <= MODEL_FILE_HEADER)
        memcpy(file->header + file->header_length, text, length);
    file->header_length += length;
}

void model_file_add(model_file *file, const char *name, size_t rows, size_t columns)
{
    char entry[256], shape[64];
    size_t begin = file->data_size, end = begin + rows * (columns != 0 ? columns : 1) * sizeof(float);
    snprintf(shape, sizeof shape, columns != 0 ? "%zu,%zu" : "%zu", rows, columns);
    int length = snprintf(entry, sizeof entry, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                          file->header_length == 0 ? "{" : ",", name, shape, begin, end);
    header_append(file, entry, (size_t)length);
    file->data_size = end;
}

void model_file_add_all(model_file *file, const module_shape *modules, size_t n, size_t number)
{
    char module[80], name[96];
    for (size_t i = 0; i < n; i++) {
        snprintf(module, sizeof module, modules[i].name, number);
        snprintf(name, sizeof name, "%s.weight", module);
        model_file_add(file, name, modules[i].rows, modules[i].columns);
        snprintf(name, sizeof name, "%s.bias", module);
        if (modules[i].bias != 0)
            model_file_add(file, name, modules[i].bias, 0);
    }
}

void model_file_add_gpt2(model_file *file, size_t width, size_t n_blocks, size_t vocab_size, size_t n_positions)
{
    const module_shape ends[] = {
        {"wte", vocab_size, width, 0}, {"wpe", n_positions, width, 0}, {"ln_f", width, 0, width}};
    const module_shape block[] = {{"h.%zu.ln_1", width, 0, width},
                                  {"h.%zu.attn.c_attn", width, 3 * width, 3 * width},
                                  {"h.%zu.attn.c_proj", width, width, width},
                                  {"h.%zu.ln_2", width, 0, width},
                                  {"h.%zu.mlp.c_fc", width, 4 * width, 4 * width},
                                  {"h.%zu.mlp.c_proj", 4 * width, width, width}};
    model_file_add_all(file, ends, 2, 0);
    for (size_t i = 0; i < n_blocks; i++)
        model_file_add_all(file, block, sizeof block / sizeof *block, i);
    model_file_add_all(file, ends + 2, 1, 0);
}

bool model_file_finish(model_file *file, const char *config)
{
    enum { LENGTH_BYTES = 8 };
    header_append(file, "}", 1);
    file->size = LENGTH_BYTES + file->header_length + file->data_size;
    if (file->header_length > MODEL_FILE_HEADER)
        return console_complain("there is no room for a header of %zu bytes", file->header_length);
    file->bytes = console_memory(file->size, 1);
    if (file->bytes == NULL)
        return false;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        file->bytes[i] = (unsigned char)((uint64_t)file->header_length >> 8 * i);
    unsigned char *data = file->bytes + LENGTH_BYTES + file->header_length;
    memcpy(file->bytes + LENGTH_BYTES, file->header, file->header_length);
    /* Uniform in +- 0.05: the products stay far from subnormal numbers, which are slow on some processors. */
    uint32_t random = 1;
    for (size_t i = 0; i < file->data_size; i += sizeof(float)) {
        random = random * 1664525 + 1013904223;
        float value = ((float)(random >> 8) * 0x1p-24f - 0.5f) / 10;
        memcpy(data + i, &value, sizeof value);
    }
    file->entries[0] = (ink_memory_file){.name = MODEL_FILE_WEIGHTS, .data = file->bytes, .size = file->size};
    if (config != NULL)
        file->entries[1] = (ink_memory_file){.name = "config.json", .data = config, .size = strlen(config)};
    file->files = (ink_memory_files){.files = file->entries, .n_files = config != NULL ? 2 : 1};
    file->source = ink_source_memory(&file->files);
    return true;
}
