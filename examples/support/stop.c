/*
 * stop.c - finding a phrase in a stream (Knuth, Morris, Pratt 1977).
 *
 * What is held back is always a beginning of the phrase itself, so it needs no buffer: its length is enough.
 */
#include "stop.h"

#include <string.h>

bool stop_start(stop_watch *stop, const char *phrase)
{
    size_t k = 0;

    if (phrase == NULL)
        phrase = "";
    *stop = (stop_watch){.phrase = phrase, .size = strlen(phrase)};
    if (stop->size > STOP_MAX)
        return false;
    for (size_t i = 1; i < stop->size; i++) {
        while (k > 0 && phrase[k] != phrase[i])
            k = stop->back[k - 1];
        k += phrase[k] == phrase[i];
        stop->back[i] = k;
    }
    return true;
}

bool stop_feed(stop_watch *stop, const char *piece, size_t size, char *out, size_t *n_out)
{
    *n_out = 0;
    for (size_t i = 0; i < size; i++) {
        while (stop->held > 0 && stop->phrase[stop->held] != piece[i]) {
            size_t keep = stop->back[stop->held - 1];
            memcpy(out + *n_out, stop->phrase, stop->held - keep);
            *n_out += stop->held - keep;
            stop->held = keep;
        }
        if (stop->size > 0 && stop->phrase[stop->held] == piece[i])
            stop->held++;
        else
            out[(*n_out)++] = piece[i];
        if (stop->size > 0 && stop->held == stop->size)
            return true;
    }
    return false;
}
