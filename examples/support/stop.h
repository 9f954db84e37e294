/*
 * stop.h - watches a text that arrives piece by piece for a phrase, and holds back what may be its beginning.
 */
#ifndef EXAMPLES_STOP_H
#define EXAMPLES_STOP_H

#include <stdbool.h>
#include <stddef.h>

#define STOP_MAX 256

typedef struct stop_watch {
    const char *phrase; /* the caller's */
    size_t size;
    size_t held;           /* bytes of the text that are held back: the first `held` of the phrase */
    size_t back[STOP_MAX]; /* back[i]: the longest proper prefix of the phrase that its first i + 1 bytes end with */
} stop_watch;

/* Watches for `phrase`; "" and NULL for none. False if it is longer than STOP_MAX bytes. */
bool stop_start(stop_watch *stop, const char *phrase);

/* Takes the next piece. *out [size + STOP_MAX] gets the *n_out bytes that cannot belong to the phrase any more. True if
   the phrase is complete now: the text ends before it. */
bool stop_feed(stop_watch *stop, const char *piece, size_t size, char *out, size_t *n_out);

#endif
