/*
 * step_lines.h - the lines of a value: its formula with its shape, its first numbers, and where to read on. No line is
 * wider than the terminal, but for a single word.
 */
#ifndef EXAMPLES_STEP_LINES_H
#define EXAMPLES_STEP_LINES_H

#include <stdio.h>

#include "console.h"

enum { NAME = 48, FORMULA = 120 }; /* room for a name or a shape, and for a formula or a heading */

void step_heading(const char *format, ...) CONSOLE_FORMAT(1, 2);

/* The formula, and at the right its shape, in a line of its own if there is no room. */
void step_formula(const char *formula, const char *shape);

/* Places, as many in a line as fit; there are spaces between them. */
void step_places(const char *places);

/* Prints a piece of a line that begins with six blanks, `column` characters so far; in the next one if it is full.
   Returns the characters so far. */
size_t step_piece(const char *piece, size_t column);

/* All lines of x [n]. A shape of "" is n; places of "" are none: it is from before the step. */
void step_row(const char *formula, const char *shape, const float *x, size_t n, const char *places);

#endif
