/*
 * folder.h - the weights of a model folder, or a sentence about what is there instead.
 */
#ifndef INK_FILES_FOLDER_H
#define INK_FILES_FOLDER_H

#include <inkling/weights.h>

#include "../base/internal.h"

/* Opens model.safetensors of a source. If it is missing, the sentence says what the folder holds instead: the formats
   that have to be converted (and how), shards, or nothing. INK_ERROR_NOT_FOUND, INK_ERROR_UNSUPPORTED for what is
   there but not read, and the errors of ink_weights_open_source(). */
ink_result ink_folder_open_weights(ink_context *ctx, const ink_source *source, ink_weights **weights);

/* The sentence for a folder of which config.json or model.safetensors is missing: what is there instead. Always fails:
   INK_ERROR_UNSUPPORTED or INK_ERROR_NOT_FOUND. */
ink_result ink_folder_explain(ink_context *ctx, const ink_source *source);

#endif
