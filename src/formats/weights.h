/*
 * weights.h - opening weights that lie in several files.
 */
#ifndef INK_FILES_WEIGHTS_H
#define INK_FILES_WEIGHTS_H

#include <inkling/weights.h>

#include "../base/internal.h"

/* Opens the n >= 1 files `names` of a source as one; `name` is what messages call it. The tensors come in the order of
   the files. Copied: source and names. INK_ERROR_CORRUPT for a tensor that is in two of the files, and the errors of
   ink_weights_open_source(). */
ink_result ink_weights_open_files(ink_context *ctx, const ink_source *source, const char *name,
                                  const char *const *names, size_t n, ink_weights **weights);

#endif
