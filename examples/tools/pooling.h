/*
 * pooling.h - how the rows of a text became its vector, told from the numbers. A folder names its modes of pooling in
 * many ways, and a GGUF file in others; the numbers tell which one ran.
 */
#ifndef EXAMPLES_POOLING_H
#define EXAMPLES_POOLING_H

#include <stddef.h>

/* The formula that makes v [size] of the rows x [n, size] that leave the network. Of a text of one word it is the first
   of several. */
const char *pooling_formula(const float *x, size_t n, size_t size, const float *v);

/* The formula of what became of the pooled vector v [size]: the vector y [width] of the text. */
const char *vector_formula(const float *v, size_t size, const float *y, size_t width);

#endif
