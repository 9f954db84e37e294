/*
 * oracle_matmul.h - the product y = x W^T + b twice more, with plain loops: as mathematics, and as the order of sums
 * that matrix.h promises.
 */
#ifndef INK_TESTS_ORACLE_MATMUL_H
#define INK_TESTS_ORACLE_MATMUL_H

#include <stddef.h>

/* Row-major x [m, k], w [n, k], y [m, n]; bias [n] or NULL. */
typedef struct oracle_product {
    size_t m, n, k;
    const float *x, *w, *bias;
} oracle_product;

/* In double precision. */
void oracle_matmul(const oracle_product *p, double *y);

/* In float, block by block, with one fused multiply-add after the other: the library's results have these bits. */
void oracle_matmul_in_order(const oracle_product *p, float *y);

#endif
