/*
 * float_fma.h - the fused multiply-add of floats where the processor has none, exactly.
 */
#ifndef INK_TENSOR_FLOAT_FMA_H
#define INK_TENSOR_FLOAT_FMA_H

#include "vec.h"

/*
 * Without hardware for it (libm's fmaf is wrong on some platforms):
 *
 *     p = a b         exact: 24 + 24 bits fit the 53 of a double
 *     s = p + c, e    the sum and the error of its rounding: s + e = p + c exactly          (TwoSum, Knuth)
 *     s to odd        if e != 0 and the last bit of s is 0, the neighbour of s on e's side: rounding s to 24 bits
 *                     afterwards then gives what rounding p + c would have   (Boldo, Melquiond 2008, theorem 3)
 *
 * An infinite or NaN s makes e NaN, for which neither e > 0 nor e < 0 holds: s stays.
 */
INLINE float float_fma(float a, float b, float c)
{
    double p = (double)a * (double)b, wide_c = (double)c;
    double s = p + wide_c;
    double c_part = s - p;
    double e = (p - (s - c_part)) + (wide_c - c_part);
    uint64_t bits;
    memcpy(&bits, &s, sizeof bits);
    uint64_t inexact = (uint64_t)((e > 0) | (e < 0));
    uint64_t towards_zero = (uint64_t)((e > 0) != (s > 0));
    /* An even s moves by one: up in magnitude, or down, where its even last bit borrows. */
    bits += (inexact & ~bits & 1) * (1 - 2 * towards_zero);
    memcpy(&s, &bits, sizeof s);
    return (float)s;
}

#endif
