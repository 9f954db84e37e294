/*
 * load.h - opens a model, and shows how far that has come to somebody who has to wait for it.
 */
#ifndef EXAMPLES_LOAD_H
#define EXAMPLES_LOAD_H

#include <inkling.h>

/* ink_model_open() with a bar on stderr, if that is a terminal and loading takes longer than half a second. */
ink_result load_model(ink_context *ctx, const char *folder, ink_pooling pooling, ink_model **model);

#endif
