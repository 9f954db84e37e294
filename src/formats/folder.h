/*
 * folder.h - a sentence about a model folder whose files are not what they should be.
 */
#ifndef INK_FILES_FOLDER_H
#define INK_FILES_FOLDER_H

#include "../base/internal.h"

/* The sentence for a folder of which config.json or model.safetensors is missing: what is there instead. Always fails:
   INK_ERROR_UNSUPPORTED or INK_ERROR_NOT_FOUND. */
ink_result ink_folder_explain(ink_context *ctx, const ink_source *source);

#endif
