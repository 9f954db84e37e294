/*
 * guitar.h - an electric guitar that plays by itself, so that an amplifier has something to amplify.
 */
#ifndef EXAMPLES_GUITAR_H
#define EXAMPLES_GUITAR_H

#include <stddef.h>
#include <stdint.h>

#define GUITAR_RATE 48000 /* samples a second */

/* Writes n samples of the song `seed` to x [n]; its loudest notes reach 0.5 to 0.9. The same seed gives the same song;
   a longer one begins like a shorter one. */
void guitar_play(float *x, size_t n, uint64_t seed);

#endif
