/*
 * heat.h - heat maps: numbers between 0 and 1 as characters of a terminal or as the squares of an SVG picture.
 *
 * A map has panels of the same size (the heads of a layer, the gates of a cell) that stand side by side and share the
 * labels of their rows.
 */
#ifndef EXAMPLES_HEAT_H
#define EXAMPLES_HEAT_H

#include <stddef.h>
#include <stdio.h>

typedef struct heat {
    const char *title;
    size_t n_panels, n_rows, n_columns;
    const char *const *panels;  /* [n_panels] titles */
    const char *const *rows;    /* [n_rows] labels; harmless for a terminal */
    const char *const *columns; /* [n_columns] labels, which only the picture has room for; NULL: none */
    const float *values;        /* [n_panels, n_rows, n_columns] */
} heat;

/* To stdout, 80 columns: as many panels side by side as fit. From ' ', nothing, to '@', 1. */
void heat_print(const heat *h);

/* A self-contained picture: panels in rows of four, a scale, and its own background. */
void heat_write_svg(const heat *h, FILE *file);

#endif
