/*
 * oracle_quantised.h - the product with quantised weights as matrix.h promises it, with plain loops over the blocks of
 * a file, one number after the other.
 */
#ifndef INK_TESTS_ORACLE_QUANTISED_H
#define INK_TESTS_ORACLE_QUANTISED_H

#include <inkling.h>

/* Row-major x [m, k], blocks of w [n, k] of a quantised type, bias [n] or NULL. */
typedef struct oracle_quantised {
    ink_type type;
    size_t m, n, k;
    const float *x;
    const uint8_t *w;
    const float *bias;
} oracle_quantised;

/* y [m, n], to the bit. */
void oracle_quantised_product(const oracle_quantised *p, float *y);

/* Random blocks: any codes, scales and minima of ordinary size. */
void random_blocks(uint64_t *seed, ink_type type, size_t n_blocks, uint8_t *blocks);

#endif
