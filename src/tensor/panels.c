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

#include "../base/bytes.h"
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

/* Four bytes side by side. Shifts of all four are masked, so the order of bytes in a word does not matter. */
static uint32_t word_at(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static void put_word(uint8_t *p, uint32_t word) { memcpy(p, &word, sizeof word); }

/* Nibbles of 32 bytes: those of byte i belong to column i and, the high ones, to a column of another block. */
static void pack_nibbles(const uint8_t *from, bool high, uint8_t *to)
{
    for (size_t g = 0; g < 4; g++) {
        const uint32_t first = word_at(from + 4 * g), second = word_at(from + 16 + 4 * g);
        put_word(to + 64 * g, high ? (first >> 4 & 0x0f0f0f0f) | (second & 0xf0f0f0f0)
                                   : (first & 0x0f0f0f0f) | (second & 0x0f0f0f0f) << 4);
    }
}

/* Two bits of each of 32 bytes, from bit `low` on. */
static void pack_pairs(const uint8_t *from, size_t low, uint8_t *to)
{
    for (size_t half = 0; half < 2; half++, from += 16) {
        uint32_t line = 0;
        for (size_t g = 0; g < 4; g++)
            line |= (word_at(from + 4 * g) >> low & 0x03030303) << 2 * g;
        put_word(to + 64 * half, line);
    }
}

/* One bit of each of 32 bytes. */
static void pack_bits(const uint8_t *from, size_t bit, uint8_t *to)
{
    uint32_t line = 0;
    for (size_t g = 0; g < 8; g++)
        line |= (word_at(from + 4 * g) >> bit & 0x01010101) << g;
    put_word(to, line);
}

/* The codes of 32 columns, block b of the chunk, from a block of the file to the lines of their block, which are 64
   bytes apart; `to` is the place of the lane. blocks.c says where a file has which bits. */
static void pack_codes(ink_type type, const uint8_t *from, size_t b, uint8_t *to)
{
    const size_t half = b / 4, quarter = b % 4;
    switch (type) {
    case INK_Q8_0:
        for (size_t g = 0; g < 8; g++)
            put_word(to + 64 * g, word_at(from + 2 + 4 * g) ^ 0x80808080);
        return;
    case INK_Q4_K:
        pack_nibbles(from + 16 + b / 2 * 32, b % 2 != 0, to);
        return;
    case INK_Q5_K:
        pack_nibbles(from + 48 + b / 2 * 32, b % 2 != 0, to);
        pack_bits(from + 16, b, to + 256);
        return;
    case INK_Q6_K:
        pack_nibbles(from + 64 * half + b % 2 * 32, quarter >= 2, to);
        pack_pairs(from + 128 + 32 * half, 2 * quarter, to + 256);
        return;
    case INK_Q2_K:
        pack_pairs(from + 16 + 32 * half, 2 * quarter, to);
        return;
    case INK_Q3_K:
        pack_pairs(from + 32 + 32 * half, 2 * quarter, to);
        pack_bits(from, b, to + 128);
        return;
    default: { /* nibbles of 16 bytes: columns i and i + 16, as in the panel */
        const uint8_t *nibbles = from + ink_type_block(type).bytes - 16;
        if (type == INK_IQ4_XS)
            nibbles = from + 8 + 16 * b;
        for (size_t g = 0; g < 4; g++)
            put_word(to + 64 * g, word_at(nibbles + 4 * g));
        if (type == INK_Q5_0 || type == INK_Q5_1) { /* 32 bits side by side: bit 4 g + i to bit g of byte i */
            const uint32_t fifth = (uint32_t)ink_get_le(nibbles - 4, 4);
            uint32_t line = 0;
            for (size_t g = 0; g < 8; g++)
                line |= ((fifth >> 4 * g & 15) * 0x00204081 & 0x01010101) << g;
            for (size_t i = 0; i < 4; i++)
                to[256 + i] = (uint8_t)(line >> 8 * i);
        }
    }
    }
}

void ink_panels_pack(const ink_matrix *matrix, size_t row, size_t column, size_t n_blocks, const void *blocks)
{
    const ink_panel_format *format = ink_panel_format_of(matrix->type);
    const size_t bytes = ink_type_block(matrix->type).bytes, lane = row % INK_PANEL;
    const size_t numbers_size = (2u * format->halves + format->number) * INK_PANEL;
    const uint8_t *from = blocks;
    while (n_blocks > 0) {
        size_t in_chunk, number = column % INK_SUM_BLOCK / format->elements;
        uint8_t *chunk = chunk_at(matrix, row, column, &in_chunk), *scales = chunk + number * numbers_size;
        uint8_t *to = chunk + ink_chunk_scale_bytes(format, in_chunk) + 4 * lane;
        size_t b = column % INK_SUM_BLOCK / INK_BLOCK;
        const size_t there = ink_size_min(n_blocks, INK_SUM_BLOCK / format->elements - number);
        n_blocks -= there;
        column += there * format->elements;
        for (const uint8_t *end = from + there * bytes; from < end; from += bytes) {
            for (size_t i = 0; i < format->halves; i++, scales += 2 * INK_PANEL) {
                const uint16_t half = (uint16_t)ink_get_le(from + format->halves_at + 2 * i, 2);
                memcpy(scales + 2 * lane, &half, sizeof half);
            }
            for (size_t i = 0; i < format->number; i++, scales += INK_PANEL)
                scales[lane] = from[format->numbers_at + i];
            for (size_t i = 0; i < format->elements; i += INK_BLOCK, b++)
                pack_codes(matrix->type, from, b, to + b * format->code_bytes);
        }
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
        ink_panels_pack(matrix, row, column + t, blocks, bytes);
    }
}

void ink_panels_clear_rows(const ink_matrix *matrix, size_t row, size_t end)
{
    static const uint8_t zeros[INK_MOST_ELEMENTS / 32 * 34] = {0};
    const size_t elements = ink_type_block(matrix->type).elements, columns = ink_row_blocks(matrix->k) * INK_BLOCK;
    for (; row < end; row++)
        for (size_t t = 0; t < columns; t += INK_MOST_ELEMENTS)
            ink_panels_pack(matrix, row, t, ink_size_min(columns - t, INK_MOST_ELEMENTS) / elements, zeros);
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
