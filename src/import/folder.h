/*
 * folder.h - the message for a model folder that lacks its files.
 */
#ifndef INK_IMPORT_FOLDER_H
#define INK_IMPORT_FOLDER_H

#include "../base/internal.h"

/* Fails with a message about a folder without config.json or weights that says what the folder has instead. `module` is
   the path of a folder in it that lacks weights ("2_Dense"), or "". Always returns INK_ERROR_UNSUPPORTED or
   INK_ERROR_NOT_FOUND. */
ink_result ink_folder_explain(ink_context *ctx, const ink_source *source, const char *module);

/* INK_ERROR_UNSUPPORTED if the model lies in a folder of this folder, as old versions of sentence-transformers saved it
   ("0_Transformer"). */
ink_result ink_folder_check_layout(ink_context *ctx, const ink_source *source);

#endif
