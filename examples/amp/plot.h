/*
 * plot.h - a picture of curves with many points, where chart.h has a few places.
 */
#ifndef EXAMPLES_PLOT_H
#define EXAMPLES_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "chart.h"

enum { PLOT_MAX_LINES = 4 };

typedef struct plot_line {
    const char *name;
    chart_style style;
    const double *x, *y; /* [n] */
    size_t n;
} plot_line;

/* Zero-initialise. All strings and points belong to the caller. */
typedef struct plot {
    const char *title, *x_label, *y_label;
    bool log_y; /* logarithmic; all y are above zero */
    plot_line lines[PLOT_MAX_LINES];
    size_t n_lines;
} plot;

/* Writes a self-contained picture of 720 x 400 points. */
void plot_write_svg(const plot *p, FILE *file);

#endif
