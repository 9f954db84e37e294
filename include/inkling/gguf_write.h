/*
 * gguf_write.h - a model folder as one GGUF file, which llama.cpp and its kin open.
 *
 *     static bool append(void *user, const void *bytes, size_t size)
 *     {
 *         return fwrite(bytes, 1, size, user) == size;
 *     }
 *
 *     FILE *file = fopen("gpt-q8_0.gguf", "wb");
 *     ink_gguf_options options = {.type = INK_Q8_0};
 *     if (ink_gguf_write(ctx, "examples/models/gpt", &options, append, file) != INK_OK) { ... }
 *
 * The file has the settings, the tokenizer, the chat templates and all weights, under the names that llama.cpp's
 * converter gives them:
 *
 *     model_type                           architecture
 *     gpt2                                 gpt2
 *     llama, mistral                       llama       queries and keys with their rows in GGUF's order
 *     qwen2                                qwen2
 *     qwen3                                qwen3
 *     smollm3                              smollm3
 *     gemma3_text                          gemma3      weights of norms with 1 added
 *     bert, distilbert, roberta            bert        rows and embeddings of texts, scores of a classifier of texts
 *
 * llama.cpp has no architecture for the others (rnn, gru, lstm, mlp, encoder-decoders, ...). These are refused by name,
 * and so is a setting that it would ignore and that changes results (windows of Qwen2, another activation, a tokenizer
 * that it lacks). A note says where it differs without harm, or what a file leaves out (the head that fills masks).
 *
 * Quantised types. Weights that the folder has as codes and scales (quantization_config) are written as the numbers
 * they mean, so F32 holds them exactly. Matrices are quantised, biases and norms stay F32, and so do positions and
 * token types, as in llama-quantize. Each block gets the scale with the smallest squared error; which weights matter
 * more than others is not modelled (llama.cpp has importance matrices for that). The matrix of the logits, which is
 * often the embedding, is Q6_K where the others have 4 or 5 bits. A row that is no whole number of blocks has a type
 * that fits: Q5_0 instead of Q4_K, and Q8_0 instead of Q6_K, which have blocks of 256; F16 where not even 32 divide the
 * row. A note says which.
 *
 * The same folder and options give the same bytes on every machine and with every kernel.
 */
#ifndef INKLING_GGUF_WRITE_H
#define INKLING_GGUF_WRITE_H

#include <inkling/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_gguf_options {
    ink_type type;            /* of the matrices: INK_F32, _F16, _BF16, _Q8_0, _Q6_K, _Q5_0, _Q4_K, _Q4_0 */
    const ink_source *source; /* where the folder's files are; NULL: the folder on disk */
    const char *name;         /* general.name; NULL: the last part of the folder's path */
    ink_pooling pooling;      /* of an encoder without modules.json (encoder.h): NONE, CLS, MEAN or LAST */
    void (*note)(void *user, const char *sentence); /* gets the notes, before the first byte; NULL: nobody does */
    ink_progress_fn progress;                       /* in bytes of the file */
    void *user;                                     /* of note and progress */
} ink_gguf_options;

/* Appends `size` bytes to the file; false: it failed. */
typedef bool (*ink_write_fn)(void *user, const void *bytes, size_t size);

/*
 * Writes the folder as a GGUF file, from its first byte to its last, through `write`. Settings, names, shapes and types
 * are all checked before the first byte; after a later failure the caller throws away what was written. Needs memory
 * for the tokenizer, the names of the tensors, and at most one tensor.
 *
 * Errors: those of ink_model_open() and ink_tokenizer_open(); INK_ERROR_ARGUMENT for another type;
 * INK_ERROR_UNSUPPORTED for what llama.cpp does not have, by name; INK_ERROR_NONFINITE for a weight that is not finite,
 * or too large for F16; INK_ERROR_CANCELLED if `write` or `progress` answered false.
 */
ink_result ink_gguf_write(ink_context *ctx, const char *folder, const ink_gguf_options *options, ink_write_fn write,
                          void *write_user);

#ifdef __cplusplus
}
#endif

#endif
