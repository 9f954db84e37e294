/*
 * heat.h - heat maps: a table of numbers as characters of a terminal, and as squares of an SVG picture.
 *
 * A map has panels of one size (the heads of a layer, the gates of a cell) side by side. They share the labels of their
 * rows and columns.
 */
#ifndef EXAMPLES_HEAT_H
#define EXAMPLES_HEAT_H

#include <stddef.h>
#include <stdio.h>

typedef struct heat {
    const char *title;
    size_t n_panels, n_rows, n_columns;
    const char *const *panels;  /* [n_panels] titles */
    const char *const *rows;    /* [n_rows] labels, safe for a terminal */
    const char *const *columns; /* [n_columns] the same */
    const float *values;        /* [n_panels, n_rows, n_columns] */
    size_t n_unsigned;          /* so many panels hold numbers from 0 to 1; those after them, from -1 to 1 */
} heat;

/* Prints to stdout, with a legend: as many panels side by side as fit into the width, and the columns of a panel in
   several parts if they do not. The words of the columns stand upright. */
void heat_print(const heat *h);

/* Writes a self-contained picture: panels in rows of four, a scale, and its own background. */
void heat_write_svg(const heat *h, FILE *file);

#endif
