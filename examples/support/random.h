/*
 * random.h - random numbers that are the same on every machine.
 */
#ifndef EXAMPLES_RANDOM_H
#define EXAMPLES_RANDOM_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). Any start value is a seed. */
uint64_t random_next(uint64_t *state);

/* One of 0 .. n - 1, all equally likely; n is at least 1. */
uint64_t random_below(uint64_t *state, uint64_t n);

#endif
