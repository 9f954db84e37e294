/*
 * stats.h - what the measuring programs compute with: logarithms, means, shares, and how sure one may be of them.
 *
 * All of it is additions, multiplications, divisions and square roots of doubles in a fixed order. IEEE arithmetic
 * rounds each of these in one way, so the same inputs give the same figures on every machine; what a C library answers
 * for log() is not so certain in its last bit.
 */
#ifndef EXAMPLES_STATS_H
#define EXAMPLES_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* The binary logarithm of a positive, finite x, within two units in the last place; exact for powers of two. */
double stats_log2(double x);

/* A mean in the making. Zero-initialise. */
typedef struct stats_mean {
    double sum, squares;
    size_t n;
} stats_mean;

void stats_add(stats_mean *m, double value);
double stats_mean_of(const stats_mean *m);  /* NaN of nothing */
double stats_error_of(const stats_mean *m); /* the standard error of the mean; NaN of less than two */

/* True if the mean is above `limit` by more than chance explains: by two standard errors. */
bool stats_above(const stats_mean *m, double limit);

/* How often something was right. Zero-initialise. */
typedef struct stats_share {
    size_t right, n;
} stats_share;

void stats_count(stats_share *s, bool right);
double stats_share_of(const stats_share *s); /* NaN of nothing */

/* The 95 % confidence interval of the true rate (Wilson 1927); 0 to 1 of nothing. */
typedef struct stats_range {
    double low, high;
} stats_range;

stats_range stats_range_of(const stats_share *s);

/* The middle one of n values, which are sorted; the lower one of two; NaN of nothing. */
double stats_median(double *values, size_t n);

#endif
