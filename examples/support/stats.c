/*
 * stats.c - random numbers, logarithms, means and shares.
 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t random_below(uint64_t *state, uint64_t n)
{
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n; /* above it some values would be too likely */
    uint64_t x;
    do
        x = random_next(state);
    while (x >= limit);
    return x % n;
}

/*
 * x = 2^e m with m in [sqrt(1/2), sqrt(2)). With s = (m - 1) / (m + 1), |s| < 0.172,
 *
 *     log2 m = 2 / ln 2 (s + s^3 / 3 + s^5 / 5 + ...)
 *
 * and the terms after s^25 / 25 add less than half a unit in the last place.
 */
double stats_log2(double x)
{
    const double two_over_ln2 = 2.885390081777926815;
    double s, square, sum = 0;
    int e;
    double m = frexp(x, &e); /* exact */
    if (m < 0.70710678118654752440) {
        m *= 2;
        e--;
    }
    s = (m - 1) / (m + 1);
    square = s * s;
    for (int i = 25; i >= 1; i -= 2)
        sum = sum * square + 1.0 / i;
    return e + two_over_ln2 * s * sum;
}

void stats_add(stats_mean *m, double value)
{
    m->sum += value;
    m->squares += value * value;
    m->n++;
}

double stats_mean_of(const stats_mean *m) { return m->n > 0 ? m->sum / (double)m->n : NAN; }

double stats_error_of(const stats_mean *m)
{
    double n = (double)m->n;
    double mean = stats_mean_of(m);
    if (m->n < 2)
        return NAN;
    return sqrt(fmax(m->squares / n - mean * mean, 0) / (n - 1));
}

bool stats_above(const stats_mean *m, double limit)
{
    return m->n >= 2 && stats_mean_of(m) - 2 * stats_error_of(m) > limit;
}

void stats_count(stats_share *s, bool right)
{
    s->right += right;
    s->n++;
}

double stats_share_of(const stats_share *s) { return s->n > 0 ? (double)s->right / (double)s->n : NAN; }

/*
 * With p the share found and z = 1.96:  (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
 */
stats_range stats_range_of(const stats_share *s)
{
    const double z = 1.96;
    double n = (double)s->n, p = stats_share_of(s);
    double middle, half;
    if (s->n == 0)
        return (stats_range){0, 1};
    middle = p + z * z / (2 * n);
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (stats_range){(middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)};
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *values, size_t n) { qsort(values, n, sizeof *values, compare_doubles); }

double stats_median(double *values, size_t n)
{
    if (n == 0)
        return NAN;
    stats_sort(values, n);
    return values[(n - 1) / 2];
}
