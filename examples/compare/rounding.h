/*
 * rounding.h - what quantisation does: to a row of a matrix, and to the bits per token of a model.
 */
#ifndef EXAMPLES_ROUNDING_H
#define EXAMPLES_ROUNDING_H

#include "lm.h"

/* A type of matrices by the name that the command line gives it; the most bits first. */
typedef struct rounding_type {
    const char *name;
    ink_type type;
} rounding_type;

enum { N_ROUNDING_TYPES = 8 };
extern const rounding_type rounding_types[N_ROUNDING_TYPES];

/* Prints the first weights of a row of the model's first down projection, and what each type makes of them. False after
   an error message, as the next two. */
bool rounding_show_row(ink_context *ctx, const char *folder, size_t row);

/* Prints a table of the types: the size of the file, and the bits per token of unseen stories. */
bool rounding_show_types(ink_context *ctx, const char *folder);

/* Prints a table of the bundled language models, held in memory as f32, q8 and q4. */
bool rounding_show_models(ink_context *ctx);

#endif
