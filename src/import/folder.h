/*
 * folder.h - a sentence about a model folder without the files that it should have.
 */
#ifndef INK_IMPORT_FOLDER_H
#define INK_IMPORT_FOLDER_H

#include "../base/internal.h"

/* The sentence about a folder without config.json or weights: what is there instead. Always fails:
   INK_ERROR_UNSUPPORTED or INK_ERROR_NOT_FOUND. */
ink_result ink_folder_explain(ink_context *ctx, const ink_source *source);

#endif
