/*
 * panels.c - the panels of quantised matrices: their formats, and blocks of a file into them and out again.
 *
 * kernel.h describes a panel. A block of the file is unpacked to codes, one byte each, and the codes of 32 columns go
 * to the lines of their lane. Codes and scales keep their bits, so a matrix holds what the file does, in as many bytes.
 */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#include <string.h>

#include "blocks.h"
#include "packed.h"

/* ---- formats ----------------------------------------------------------------------------------------------------- */

/* The levels of blocks.h plus zero. */
static const uint8_t iq4_table[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
static const uint8_t mxfp4_table[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

static const ink_panel_format formats[] = {
    [INK_Q8_0 - INK_Q8_0] = {8, 128, 32, false, NULL, 512, 0, 1, 0, 0, 32},
    [INK_Q4_0 - INK_Q8_0] = {4, 8, 32, false, NULL, 256, 0, 1, 0, 0, 32},
    [INK_Q4_1 - INK_Q8_0] = {4, 0, 32, true, NULL, 256, 0, 2, 0, 0, 32},
    [INK_Q5_0 - INK_Q8_0] = {5, 16, 32, false, NULL, 320, 0, 1, 0, 0, 32},
    [INK_Q5_1 - INK_Q8_0] = {5, 0, 32, true, NULL, 320, 0, 2, 0, 0, 32},
    [INK_Q2_K - INK_Q8_0] = {2, 0, 16, true, NULL, 128, 80, 2, 0, 16, 256},
    [INK_Q3_K - INK_Q8_0] = {3, 4, 16, false, NULL, 192, 108, 1, 96, 12, 256},
    [INK_Q4_K - INK_Q8_0] = {4, 0, 32, true, NULL, 256, 0, 2, 4, 12, 256},
    [INK_Q5_K - INK_Q8_0] = {5, 0, 32, true, NULL, 320, 0, 2, 4, 12, 256},
    [INK_Q6_K - INK_Q8_0] = {6, 32, 16, false, NULL, 384, 208, 1, 192, 16, 256},
    [INK_IQ4_NL - INK_Q8_0] = {4, 128, 32, false, iq4_table, 256, 0, 1, 0, 0, 32},
    [INK_IQ4_XS - INK_Q8_0] = {4, 128, 32, false, iq4_table, 256, 0, 2, 4, 4, 256},
    [INK_MXFP4 - INK_Q8_0] = {4, 12, 32, false, mxfp4_table, 256, 0, 0, 0, 1, 32},
};

const ink_panel_format *ink_panel_format_of(ink_type type) { return &formats[type - INK_Q8_0]; }

/* The chunk of an element, and the number of blocks of 32 in it. */
static uint8_t *chunk_at(const ink_matrix *matrix, size_t row, size_t column, size_t *blocks)
{
    const ink_panel_format *format = ink_panel_format_of(matrix->type);
    size_t before = column / INK_SUM_BLOCK;
    *blocks = ink_size_min(ink_row_blocks(matrix->k) - before * INK_CHUNK_BLOCKS, INK_CHUNK_BLOCKS);
    return (uint8_t *)matrix->panels + row / INK_PANEL * matrix->panel_stride +
           before * ink_chunk_bytes(format, INK_CHUNK_BLOCKS);
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/*
 * What follows packs the codes of a block of a file, of so many rows of a panel. Their blocks are `stride` bytes apart
 * in the file. In the panel the lines of 32 columns are 64 bytes apart, `to` is the place of the first row in the first
 * line, and the next 32 columns follow `next` bytes behind.
 *
 * Several bytes are worked on side by side. Shifts are masked to what stays within a byte, so the order of the bytes in
 * a number does not matter.
 */
#define EACH_BYTE(bits) ((uint64_t)(bits)*0x0101010101010101)

/* In the order of the file. */
static uint32_t two_at(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }

static uint64_t eight_at(const uint8_t *p)
{
    uint64_t eight;
    memcpy(&eight, p, sizeof eight);
    return eight;
}

/* Two groups of four columns, to two lines. */
static void put_groups(uint8_t *to, uint64_t eight)
{
    memcpy(to, &eight, 4);
    memcpy(to + 64, (const uint8_t *)&eight + 4, 4);
}

/* 32 bytes; or 16 with the nibbles of columns i and i + 16 in one byte, as in the panel. */
static void pack_bytes(const uint8_t *from, size_t stride, size_t rows, size_t bytes, uint8_t flip, uint8_t *to)
{
    for (; rows > 0; rows--, from += stride, to += 4)
        for (size_t i = 0; i < bytes; i += 8)
            put_groups(to + 16 * i, eight_at(from + i) ^ EACH_BYTE(flip));
}

/* 32 bytes whose low nibbles are 32 columns, and whose high nibbles are 32 more. */
static void pack_nibbles(const uint8_t *from, size_t stride, size_t rows, uint8_t *to, size_t next)
{
    const uint64_t low = EACH_BYTE(0x0f);
    for (; rows > 0; rows--, from += stride, to += 4)
        for (size_t i = 0; i < 16; i += 8) {
            const uint64_t a = eight_at(from + i), b = eight_at(from + 16 + i);
            put_groups(to + 16 * i, (a & low) | (b & low) << 4);
            put_groups(to + 16 * i + next, (a >> 4 & low) | (b & ~low));
        }
}

/* Exchanges bits of *a, `shift` above those of `mask`, with the bits of *b in `mask`. */
static void exchange(uint32_t *a, uint32_t *b, int shift, uint32_t mask)
{
    const uint32_t t = (*a >> shift ^ *b) & mask;
    *b ^= t;
    *a ^= t << shift;
}

/* 32 bytes with two bits of four times 32 columns each: 4 x 4 pairs of bits are transposed in every byte. */
static void pack_pairs(const uint8_t *from, size_t stride, size_t rows, uint8_t *to, size_t next)
{
    for (; rows > 0; rows--, from += stride, to += 4)
        for (size_t half = 0; half < 2; half++) {
            uint32_t w[4];
            memcpy(w, from + 16 * half, sizeof w);
            for (size_t i = 0; i < 2; i++)
                exchange(&w[i], &w[i + 2], 4, 0x0f0f0f0f);
            for (size_t i = 0; i < 4; i += 2)
                exchange(&w[i], &w[i + 1], 2, 0x33333333);
            for (size_t i = 0; i < 4; i++)
                memcpy(to + 64 * half + next * i, &w[i], 4);
        }
}

/* 32 bytes with a bit of eight times 32 columns each: 8 x 8 bits are transposed in every byte. */
static void pack_bits(const uint8_t *from, size_t stride, size_t rows, uint8_t *to, size_t next)
{
    for (; rows > 0; rows--, from += stride, to += 4) {
        uint32_t w[8];
        memcpy(w, from, sizeof w);
        for (size_t i = 0; i < 4; i++)
            exchange(&w[i], &w[i + 4], 4, 0x0f0f0f0f);
        for (size_t i = 0; i < 4; i++)
            exchange(&w[i / 2 * 4 + i % 2], &w[i / 2 * 4 + i % 2 + 2], 2, 0x33333333);
        for (size_t i = 0; i < 8; i += 2)
            exchange(&w[i], &w[i + 1], 1, 0x55555555);
        for (size_t i = 0; i < 8; i++)
            memcpy(to + next * i, &w[i], 4);
    }
}

/* Bit 4 g + i becomes bit 8 i + g: the bits of its number, g2 g1 g0 i1 i0, are exchanged two by two. */
static uint32_t spread_bits(uint32_t w)
{
    uint32_t t = (w >> 14 ^ w) & 0x0000cccc; /* g2 with i1 */
    w ^= t ^ t << 14;
    t = (w >> 7 ^ w) & 0x00aa00aa; /* g1 with i0 */
    w ^= t ^ t << 7;
    t = (w >> 2 ^ w) & 0x0c0c0c0c; /* now i1 i0 g0 g2 g1 */
    w ^= t ^ t << 2;
    t = (w >> 1 ^ w) & 0x22222222;
    return w ^ t ^ t << 1;
}

/* A bit of each of 32 columns, for Q5_0 and Q5_1. */
static void pack_fifths(const uint8_t *from, size_t stride, size_t rows, uint8_t *to)
{
    uint32_t w[INK_PANEL] = {0};
    for (size_t l = 0; l < rows; l++)
        w[l] = two_at(from + l * stride) | two_at(from + l * stride + 2) << 16;
    for (size_t l = 0; l < INK_PANEL; l++) /* a constant number of rows, so that several are worked on at once */
        w[l] = spread_bits(w[l]);
    for (size_t l = 0; l < rows; l++, to += 4) {
        to[0] = (uint8_t)w[l];
        to[1] = (uint8_t)(w[l] >> 8);
        to[2] = (uint8_t)(w[l] >> 16);
        to[3] = (uint8_t)(w[l] >> 24);
    }
}

/* blocks.c says where a block of the file has which bits. */
static void pack_codes(ink_type type, const uint8_t *from, size_t stride, size_t rows, uint8_t *to, size_t next)
{
    const size_t nibbles = ink_type_block(type).bytes - 16;
    switch (type) {
    case INK_Q8_0:
        pack_bytes(from + 2, stride, rows, 32, 0x80, to);
        return;
    case INK_Q4_K:
    case INK_Q5_K:
        for (size_t i = 0; i < 4; i++)
            pack_nibbles(from + (type == INK_Q4_K ? 16 : 48) + 32 * i, stride, rows, to + 2 * i * next, next);
        if (type == INK_Q5_K)
            pack_bits(from + 16, stride, rows, to + 256, next);
        return;
    case INK_Q6_K:
        for (size_t i = 0; i < 4; i++)
            pack_nibbles(from + 32 * i, stride, rows, to + (i / 2 * 4 + i % 2) * next, 2 * next);
        for (size_t i = 0; i < 2; i++)
            pack_pairs(from + 128 + 32 * i, stride, rows, to + 4 * i * next + 256, next);
        return;
    case INK_Q2_K:
    case INK_Q3_K:
        for (size_t i = 0; i < 2; i++)
            pack_pairs(from + (type == INK_Q2_K ? 16 : 32) + 32 * i, stride, rows, to + 4 * i * next, next);
        if (type == INK_Q3_K)
            pack_bits(from, stride, rows, to + 128, next);
        return;
    case INK_IQ4_XS:
        for (size_t i = 0; i < 8; i++)
            pack_bytes(from + 8 + 16 * i, stride, rows, 16, 0, to + i * next);
        return;
    default:
        pack_bytes(from + nibbles, stride, rows, 16, 0, to);
        if (type == INK_Q5_0 || type == INK_Q5_1)
            pack_fifths(from + nibbles - 4, stride, rows, to + 256);
    }
}

/* Block after block, and all rows of each, so that every line of the panel is written once. */
void ink_panels_pack(const ink_matrix *matrix, size_t row, size_t rows, size_t column, size_t n_blocks,
                     const void *blocks, size_t stride)
{
    const ink_panel_format *format = ink_panel_format_of(matrix->type);
    const size_t lane = row % INK_PANEL, bytes = ink_type_block(matrix->type).bytes;
    const size_t scales_size = (2u * format->halves + format->number) * INK_PANEL;
    const uint8_t *from = blocks;
    for (; n_blocks > 0; n_blocks--, from += bytes, column += format->elements) {
        size_t in_chunk, t = column % INK_SUM_BLOCK;
        uint8_t *chunk = chunk_at(matrix, row, column, &in_chunk), *scales = chunk + t / format->elements * scales_size;
        uint8_t *codes = chunk + ink_chunk_scale_bytes(format, in_chunk) + 4 * lane;
        for (size_t i = 0; i < format->halves; i++, scales += 2 * INK_PANEL)
            for (size_t l = 0; l < rows; l++) {
                const uint16_t half = (uint16_t)two_at(from + l * stride + format->halves_at + 2 * i);
                memcpy(scales + 2 * (lane + l), &half, sizeof half);
            }
        for (size_t i = 0; i < format->number; i++, scales += INK_PANEL)
            for (size_t l = 0; l < rows; l++)
                scales[lane + l] = from[l * stride + format->numbers_at + i];
        pack_codes(matrix->type, from, stride, rows, codes + t / INK_BLOCK * format->code_bytes, format->code_bytes);
    }
}

void ink_panels_quantise(const ink_matrix *matrix, size_t row, size_t column, size_t count, const float *values)
{
    const ink_block_size block = ink_type_block(matrix->type);
    float whole[INK_MOST_ELEMENTS];
    uint8_t bytes[INK_MOST_ELEMENTS / 32 * 34]; /* the longest: Q8_0 */
    for (size_t t = 0; t < count; t += INK_MOST_ELEMENTS) {
        size_t n = ink_size_min(count - t, INK_MOST_ELEMENTS), blocks = (n + block.elements - 1) / block.elements;
        memset(whole, 0, sizeof whole);
        memcpy(whole, values + t, n * sizeof *values);
        ink_blocks_from_f32(matrix->type, whole, blocks * block.elements, bytes);
        ink_panels_pack(matrix, row, 1, column + t, blocks, bytes, 0);
    }
}

void ink_panels_clear_rows(const ink_matrix *matrix, size_t row, size_t end)
{
    static const uint8_t zeros[INK_MOST_ELEMENTS / 32 * 34] = {0};
    const size_t elements = ink_type_block(matrix->type).elements, columns = ink_row_blocks(matrix->k) * INK_BLOCK;
    for (size_t t = 0; t < columns; t += INK_MOST_ELEMENTS)
        ink_panels_pack(matrix, row, end - row, t, ink_size_min(columns - t, INK_MOST_ELEMENTS) / elements, zeros, 0);
}

/* ---- unpacking --------------------------------------------------------------------------------------------------- */

void ink_chunk_integers_iq4_xs(const uint8_t *low, const uint8_t *high, uint8_t *integers)
{
    for (size_t f = 0; f < INK_CHUNK_BLOCKS; f++)
        for (size_t l = 0; l < INK_PANEL; l++) {
            uint16_t top;
            memcpy(&top, high + 2 * l, sizeof top);
            *integers++ = (uint8_t)((low[f / 2 * INK_PANEL + l] >> f % 2 * 4 & 15) | (top >> 2 * f & 3) << 4);
        }
}

/* The code of column t of a block, t < 32; `at` is the place of the lane. */
static unsigned unpack_code(unsigned bits, const uint8_t *at, size_t t)
{
    unsigned g = (unsigned)t / 4, code = 0;
    at += t % 4;
    if (bits == 8)
        return at[64 * g];
    if (bits >= 4) {
        code = (unsigned)at[64 * (g % 4)] >> g / 4 * 4 & 15;
        at += 256;
    }
    if (bits == 6 || bits < 4)
        code |= ((unsigned)at[64 * (g / 4)] >> g % 4 * 2 & 3) << (bits == 6 ? 4 : 0);
    if (bits < 4)
        at += 128;
    if (bits == 5 || bits == 3)
        code |= ((unsigned)at[0] >> g & 1) << (bits - 1);
    return code;
}

/* The same operations in the same order as ink_blocks_to_f32(), so the same bits. */
void ink_panels_read(const ink_matrix *matrix, size_t row, size_t first, size_t count, float *out)
{
    const ink_panel_format *format = ink_panel_format_of(matrix->type);
    float scales[INK_MOST_FOLDS * INK_PANEL], minima[INK_MOST_FOLDS * INK_PANEL];
    const size_t lane = row % INK_PANEL;
    for (size_t end = first + count; first < end;) {
        size_t blocks, t = first % INK_SUM_BLOCK, n = ink_size_min(INK_SUM_BLOCK - t, end - first);
        const uint8_t *chunk = chunk_at(matrix, row, first, &blocks);
        const uint8_t *codes = chunk + ink_chunk_scale_bytes(format, blocks) + 4 * lane;
        ink_kernel_portable.quantised->scales(matrix->type, chunk, blocks, scales, minima);
        first += n;
        for (; n > 0; n--, t++) {
            unsigned code = unpack_code(format->bits, codes + t / INK_BLOCK * format->code_bytes, t % INK_BLOCK);
            int q = (int)(format->table != NULL ? format->table[code] : code) - format->zero;
            size_t fold = t / format->fold * INK_PANEL + lane;
            float value = scales[fold] * (float)q;
            *out++ = format->minima ? value + minima[fold] : value;
        }
    }
}
