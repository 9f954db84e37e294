/*
 * number.h - numbers on a command line, read strictly: the whole string or nothing, and the same in every locale.
 */
#ifndef EXAMPLES_NUMBER_H
#define EXAMPLES_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* A whole number: digits only. False, and *value as it was, for anything else and beyond 2^64 - 1. */
bool number_whole(const char *text, uint64_t *value);

/* A decimal number: [sign] digits [. digits] [e [sign] digits], with digits on at least one side of the point, at most
   15 significant ones and a size between 1e-22 and 1e22, which is what makes the result exactly rounded. */
bool number_real(const char *text, double *value);

#endif
