/*
 * stats.h - the arithmetic of the measuring programs: random numbers, logarithms, means, shares and their confidence.
 *
 * Everything is built from additions, multiplications, divisions and square roots of doubles in a fixed order. IEEE
 * arithmetic rounds each of them in one way, so the same inputs give the same figures on every machine. The log() of a
 * C library may differ in its last bit.
 */
#ifndef EXAMPLES_STATS_H
#define EXAMPLES_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). Any start value is a seed. */
uint64_t random_next(uint64_t *state);

/* One of 0 .. n - 1, all equally likely; n is at least 1. */
uint64_t random_below(uint64_t *state, uint64_t n);

/* The binary logarithm of a positive, finite x, within two units in the last place; exact for powers of two. */
double stats_log2(double x);

/* A mean of the values added so far. Zero-initialise. */
typedef struct stats_mean {
    double sum, squares;
    size_t n;
} stats_mean;

void stats_add(stats_mean *m, double value);
double stats_mean_of(const stats_mean *m);  /* NaN without values */
double stats_error_of(const stats_mean *m); /* the standard error of the mean; NaN for fewer than two values */

/* True if the mean is more than two standard errors above `limit`. */
bool stats_above(const stats_mean *m, double limit);

/* The share of right answers. Zero-initialise. */
typedef struct stats_share {
    size_t right, n;
} stats_share;

void stats_count(stats_share *s, bool right);
double stats_share_of(const stats_share *s); /* NaN without values */

/* The 95 % confidence interval of the true share (Wilson 1927); 0 to 1 without answers. */
typedef struct stats_range {
    double low, high;
} stats_range;

stats_range stats_range_of(const stats_share *s);

/* Sorts n values, the lowest first. */
void stats_sort(double *values, size_t n);

/* Sorts n values and returns the middle one, or the lower of the two in the middle; NaN without values. */
double stats_median(double *values, size_t n);

#endif
