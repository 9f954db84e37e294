/*
 * world_grammar.h: what world.c (the grammar, telling) and world_read.c (reading) share.
 */
#ifndef EXAMPLES_SUPPORT_WORLD_GRAMMAR_H
#define EXAMPLES_SUPPORT_WORLD_GRAMMAR_H

#include "world.h"

/* Where decisions come from. `pick` returns the index of one of `n` alternatives, never one of weight zero; `accept`
 * (NULL: everything is welcome) sees the text after each word and may say that this is not the way. */
typedef struct story_source {
    unsigned (*pick)(void *user, const unsigned *weights, unsigned n);
    int (*accept)(void *user, const char *text, size_t length);
    void *user;
} story_source;

/* Walks once through the grammar, to the end of a story or until `accept` says no; fills `out` with what was said. */
void story_narrate(const story_settings *settings, const story_source *source, story *out);

/* Whether the settings can make a story. */
int story_sensible(const story_settings *settings);

#endif
