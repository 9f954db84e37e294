/*
 * folder.h - the message for a model folder that lacks its files.
 */
#ifndef INK_IMPORT_FOLDER_H
#define INK_IMPORT_FOLDER_H

#include "../base/internal.h"

/* Fails with a message about a folder without config.json or weights that says what the folder has instead. Always
   returns INK_ERROR_UNSUPPORTED or INK_ERROR_NOT_FOUND. */
ink_result ink_folder_explain(ink_context *ctx, const ink_source *source);

#endif
