/*
 * blocks.h - quantised weights as GGUF stores them: blocks of 32 or 256 neighbours of a row (ggml-common.h of
 * llama.cpp). An element of a block is
 *
 *     value = scale q           Q8_0, Q4_0, Q5_0, Q3_K, Q6_K; IQ4_NL, IQ4_XS, MXFP4, where q is a level of a table
 *     value = scale q + min     Q4_1, Q5_1, Q2_K, Q4_K, Q5_K
 *
 * with q a small integer of its own. The scale and the minimum belong to 16 or 32 elements. The K types and IQ4_XS have
 * one F16 scale for 256 elements (and one F16 factor of minima), and small integers that multiply it. Bytes are those
 * of the file, at any alignment, and mean the same on machines of either byte order.
 *
 * A scale that is NaN makes the values of its block NaN. One that is infinite makes them infinite, or NaN where q or
 * the integer is 0. Subnormal scales are scales like any other. MXFP4's largest exponent, 255, is 2^127 times a level,
 * as in ggml, although the standard calls it NaN.
 *
 *     float row[256];
 *     ink_blocks_to_f32(INK_Q4_K, bytes, 256, row);                  144 bytes
 *
 * The functions are called in the float mode of ink_float_mode_enter(), and any number of threads may call them.
 */
#ifndef INK_TENSOR_BLOCKS_H
#define INK_TENSOR_BLOCKS_H

#include <inkling/tensor.h>

#include <stdint.h>

/* The most elements of a block. */
#define INK_MOST_ELEMENTS 256

/* `count` elements, a whole number of blocks of a quantised type. The values are those of gguf-py's quants.py to the
   bit; NaNs count as one value. */
void ink_blocks_to_f32(ink_type type, const void *blocks, size_t count, float *out);

/* A block of Q8_0, Q5_0 or Q4_0 with an F16 scale, given by its bits, and the small integers q [32]. */
void ink_block_put(ink_type type, uint16_t scale, const float *q, void *block);

/*
 * Quantises `count` floats, a whole number of blocks, to Q8_0, Q5_0, Q4_0, Q4_K or Q6_K. Scales (and minima) are
 * searched for the least sum of squared errors: every weight counts the same. (llama.cpp can weigh them by the values
 * they meet, its importance matrix; that is not modelled here.) The bytes are the same on every machine that rounds to
 * f32.
 *
 * A block with NaN or infinity in it, or with a scale that is too large for F16, becomes NaN as a whole. F16 scales are
 * multiples of 6e-8. So blocks of values below about 1e-4 lose precision in the K types, and values below 3e-8 become
 * 0.
 */
void ink_blocks_from_f32(ink_type type, const float *x, size_t count, void *blocks);

#endif
