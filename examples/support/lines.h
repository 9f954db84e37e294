/*
 * lines.h - a stream read line by line, however long a line is and whatever bytes are in it.
 */
#ifndef EXAMPLES_LINES_H
#define EXAMPLES_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Zero-initialise, but for the stream. */
typedef struct lines {
    FILE *stream;
    char *text; /* [size] the last line, without its newline, with a NUL behind it */
    size_t size, room;
} lines;

typedef enum lines_outcome {
    LINES_LINE,
    LINES_END,
    LINES_INTERRUPTED, /* Ctrl-C; what was typed of the line is gone */
    LINES_ERROR        /* said on stderr */
} lines_outcome;

/* Reads the next line. A last line without a newline is one, too. */
lines_outcome lines_next(lines *in);
void lines_close(lines *in);

#endif
