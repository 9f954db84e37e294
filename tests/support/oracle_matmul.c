/* oracle_matmul.c - see oracle_matmul.h. */
#include "oracle_matmul.h"

#include <math.h>

#include <inkling.h>

void oracle_matmul(const oracle_product *p, double *y)
{
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = p->bias != NULL ? (double)p->bias[j] : 0;
            for (size_t t = 0; t < p->k; t++)
                sum += (double)p->x[i * p->k + t] * (double)p->w[j * p->k + t];
            y[i * p->n + j] = sum;
        }
}

static float block_sum(const float *x, const float *w, size_t n)
{
    float sum = 0;
    for (size_t t = 0; t < n; t++)
        sum = fmaf(x[t], w[t], sum);
    return sum;
}

void oracle_matmul_in_order(const oracle_product *p, float *y)
{
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            const float *x = p->x + i * p->k, *w = p->w + j * p->k;
            float sum = p->bias != NULL ? p->bias[j] : 0;
            for (size_t t = 0; t < p->k; t += INK_SUM_BLOCK)
                sum += block_sum(x + t, w + t, p->k - t < INK_SUM_BLOCK ? p->k - t : INK_SUM_BLOCK);
            y[i * p->n + j] = sum;
        }
}
