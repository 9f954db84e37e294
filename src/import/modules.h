/*
 * modules.h - the modules that a file of PyTorch's tensors seems to hold, for messages.
 */
#ifndef INK_IMPORT_MODULES_H
#define INK_IMPORT_MODULES_H

#include <inkling/weights.h>

#include "../base/internal.h"

/* The functions of pytorch.h that load a module. */
typedef enum ink_loader {
    INK_LOAD_DENSE,
    INK_LOAD_MLP,
    INK_LOAD_SEQUENTIAL,
    INK_LOAD_CONV1D,
    INK_LOAD_EMBEDDING,
    INK_LOAD_NORM,
    INK_LOAD_RECURRENT,
    INK_LOAD_MHA,
    INK_LOAD_TRANSFORMER,
    INK_N_LOADERS
} ink_loader;

/* Adds to the sentence of an INK_ERROR_NOT_FOUND, after module `name` was not found, which modules of the file this
   loader could load, or else which other modules there are. Returns INK_ERROR_NOT_FOUND. */
ink_result ink_modules_explain(ink_context *ctx, const ink_weights *weights, ink_loader loader, const char *name);

#endif
