/*
 * safetensors.h - the header of a safetensors file as a checked table of tensors.
 *
 *     0        8            8 + n
 *     | n, LE  | header ... | data ...                                                           |
 *                            begin of "a" .. end of "a" = begin of "b" .. ... end of the last = end of the file
 *
 * The idea of the format is that everything can be checked before anything is believed: the tensors must cover the
 * data without a hole, an overlap or a rest, and each must be as long as its type and shape say.
 * Format: https://github.com/huggingface/safetensors (README, "Format").
 */
#ifndef INK_FILES_SAFETENSORS_H
#define INK_FILES_SAFETENSORS_H

#include <inkling/weights.h>

#include "../base/internal.h"

typedef struct ink_safetensors_note {
    const char *key, *value; /* without NUL characters */
} ink_safetensors_note;

typedef struct ink_safetensors {
    ink_weight *tensors; /* [n_tensors], in the order of their bytes */
    size_t n_tensors;
    ink_safetensors_note *metadata; /* [n_metadata] */
    size_t n_metadata;
} ink_safetensors;

/* Reads and checks the header of an open file; the table lies in `arena` (growing). Errors: ink_weights_open(). */
ink_result ink_safetensors_read(ink_context *ctx, const ink_file *file, ink_arena *arena, ink_safetensors *table);

#endif
