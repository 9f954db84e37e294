/* fuzz_weights.c - any bytes as a safetensors file: opened or refused; every tensor of an opened file can be read.
   Bytes that begin as GGUF are those of fuzz_gguf. */
#include <stdlib.h>
#include <string.h>

#include <inkling.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* The tensors cover the file to its end, and each has the bytes its type and shape need. */
static void check_tensors(ink_context *ctx, const ink_weights *weights, size_t size)
{
    uint64_t end = 0;
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *weight = ink_weights_at(weights, i);
        size_t count;
        check(ink_weights_find(weights, weight->name) == weight);
        check(ink_shape_count(&weight->shape, &count) && count * ink_type_bits(weight->type) == weight->size * 8);
        check(i == 0 || weight->offset == end);
        end = weight->offset + weight->size;
        check(end <= size);
        float *values = malloc(count * sizeof *values + 1);
        bool is_float = weight->type >= INK_F32 && weight->type <= INK_F64;
        check((ink_weights_read(ctx, weights, weight, values) == INK_OK) == is_float);
        free(values);
    }
    check(end == 0 || end == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0)
        return 0;
    ink_context *ctx = ink_context_create(NULL);
    ink_memory_file file = {.name = "fuzz", .data = data, .size = size};
    ink_source source = ink_source_memory(&(ink_memory_files){.files = &file, .n_files = 1});
    ink_weights *weights;
    if (ink_weights_open_source(ctx, &source, "fuzz", &weights) == INK_OK)
        check_tensors(ctx, weights, size);
    else
        check(weights == NULL && ink_context_error(ctx)[0] != '\0');
    ink_weights_free(weights);
    ink_context_free(ctx);
    return 0;
}
