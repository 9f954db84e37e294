/*
 * pooling.c - the formula of the vector of a text: each that inkling knows is tried.
 */
#include "pooling.h"

#include <math.h>
#include <stdbool.h>

static bool is_close(double a, double b) { return fabs(a - b) <= 1e-4 * (1 + fabs(b)); }

const char *pooling_formula(const float *x, size_t n, size_t size, const float *v)
{
    static const char *const formulas[] = {"v = (x_1 + x_2 + ... + x_n) / n, n: the words",
                                           "v = x_1, the row of the first word",
                                           "v = x_n, the row of the last word",
                                           "v = the largest of x_1, x_2, ..., x_n, number by number",
                                           "v = (x_1 + x_2 + ... + x_n) / sqrt(n), n: the words",
                                           "v = (1 x_1 + 2 x_2 + ... + n x_n) / (1 + 2 + ... + n)"};
    enum { N = sizeof formulas / sizeof *formulas };
    bool fits[N] = {true, true, true, true, true, true};
    for (size_t i = 0; i < size; i++) {
        double sum = 0, weighted = 0, largest = (double)x[i];
        for (size_t t = 0; t < n; t++) {
            const double number = (double)x[t * size + i];
            sum += number;
            weighted += (double)(t + 1) * number;
            largest = fmax(largest, number);
        }
        const double made[N] = {sum / (double)n, (double)x[i],          (double)x[(n - 1) * size + i],
                                largest,         sum / sqrt((double)n), weighted / (double)(n * (n + 1) / 2)};
        for (size_t k = 0; k < N; k++)
            fits[k] = fits[k] && is_close(made[k], (double)v[i]);
    }
    for (size_t k = 0; k < N; k++)
        if (fits[k])
            return formulas[k];
    return "v, made of the rows x_1, x_2, ..., x_n of all words";
}

const char *vector_formula(const float *v, size_t size, const float *y, size_t width)
{
    double squares = 0, unit = 0;
    bool same = width <= size, scaled = same;
    for (size_t i = 0; i < size; i++)
        squares += (double)v[i] * (double)v[i];
    for (size_t i = 0; i < width; i++) {
        unit += (double)y[i] * (double)y[i];
        same = same && is_close((double)y[i], (double)v[i]);
        scaled = scaled && is_close((double)y[i], (double)v[i] / sqrt(squares));
    }
    return same                ? "y = v, the vector of the text"
           : scaled            ? "y = v / |v|, the vector of the text"
           : is_close(unit, 1) ? "y = s(W v + b) in each dense layer, then y = y / |y|"
                               : "y = s(W v + b) in each dense layer: the vector of the text";
}
