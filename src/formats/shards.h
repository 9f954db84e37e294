/*
 * shards.h - weights in several files, named by an index.
 */
#ifndef INK_FILES_SHARDS_H
#define INK_FILES_SHARDS_H

#include <inkling/weights.h>

#include "../base/internal.h"

#define INK_SHARDS_INDEX "model.safetensors.index.json"

/* Opens the files that the index of a source names. Errors: ink_weights_open_folder(). */
ink_result ink_shards_open(ink_context *ctx, const ink_source *source, ink_weights **weights);

#endif
