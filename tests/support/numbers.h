/*
 * numbers.h - numbers for tests: seeded random ones, hard ones, and how far two are apart.
 */
#ifndef INK_TESTS_NUMBERS_H
#define INK_TESTS_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* xorshift64* (Marsaglia; Vigna 2016). Seed with anything but 0. */
uint32_t random_bits(uint64_t *seed);

/* Uniform in [-1, 1), n of them. */
void random_floats(uint64_t *seed, size_t n, float *x);

float float_of_bits(uint32_t bits);
uint32_t bits_of_float(float x);

/* The same bits, all NaNs being one. */
bool same_float(float a, float b);

/* The definitions of the stored types: what an f16 means, and the bf16 and f16 nearest to x, the even one of two. */
double f16_value(uint16_t h);
uint16_t bf16_of(float x);
uint16_t f16_of(float x);

/* A number in `width` bytes of a file, the lowest first. put_number() returns the width. */
uint64_t read_number(const void *at, size_t width);
size_t put_number(void *at, uint64_t number, size_t width);

/* |x - exact| in units of the last place of a float as large as `exact`. 0 if both are the same infinity. */
double ulps_between(float x, double exact);

/* The largest |found - expected| of n, NaN if one of them is; the largest |expected| in *largest, unless it is NULL. */
double largest_difference(const float *found, const float *expected, size_t n, double *largest);

/* `size` bytes, filled with 0xff, whose end lies against a page that must not be touched. Free with guarded_free(). */
void *guarded_block(size_t size);
void guarded_free(void *block, size_t size);

#endif
