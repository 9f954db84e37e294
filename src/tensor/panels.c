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

/* The codes of 32 columns to the lines of their block, which are 64 bytes apart; `to` is the place of a lane. */
static void pack_codes(unsigned bits, const uint8_t *codes, uint8_t *to)
{
    uint8_t line[16];
    if (bits == 8) {
        for (size_t g = 0; g < 8; g++)
            memcpy(to + 64 * g, codes + 4 * g, 4);
        return;
    }
    if (bits >= 4) {
        for (size_t i = 0; i < 16; i++)
            line[i] = (uint8_t)((codes[i] & 15) | (codes[i + 16] & 15) << 4);
        for (size_t g = 0; g < 4; g++)
            memcpy(to + 64 * g, line + 4 * g, 4);
        to += 256;
    }
    if (bits == 6 || bits < 4) { /* two bits, in two lines */
        unsigned low = bits == 6 ? 4 : 0;
        for (size_t i = 0; i < 4; i++) {
            const uint8_t *c = codes + i;
            to[i] = (uint8_t)((c[0] >> low & 3) | (c[4] >> low & 3) << 2 | (c[8] >> low & 3) << 4 |
                              (c[12] >> low & 3) << 6);
            to[64 + i] = (uint8_t)((c[16] >> low & 3) | (c[20] >> low & 3) << 2 | (c[24] >> low & 3) << 4 |
                                   (c[28] >> low & 3) << 6);
        }
        to += 128;
    }
    if (bits == 5 || bits == 3) { /* one bit, in one line */
        unsigned low = bits - 1;
        memset(line, 0, 4);
        for (size_t g = 0; g < 8; g++)
            for (size_t i = 0; i < 4; i++)
                line[i] = (uint8_t)(line[i] | (codes[4 * g + i] >> low & 1) << g);
        memcpy(to, line, 4);
    }
}

void ink_panels_pack(const ink_matrix *matrix, size_t row, size_t column, size_t n_blocks, const void *blocks)
{
    const ink_panel_format *format = ink_panel_format_of(matrix->type);
    const size_t bytes = ink_type_block(matrix->type).bytes, lane = row % INK_PANEL;
    const uint8_t *from = blocks;
    for (; n_blocks > 0; n_blocks--, from += bytes, column += format->elements) {
        uint8_t codes[INK_MOST_ELEMENTS];
        size_t in_chunk, number = column % INK_SUM_BLOCK / format->elements;
        uint8_t *chunk = chunk_at(matrix, row, column, &in_chunk);
        uint8_t *scales = chunk + number * (2u * format->halves + format->number) * INK_PANEL;
        for (size_t i = 0; i < format->halves; i++, scales += 2 * INK_PANEL) {
            const uint16_t half = (uint16_t)ink_get_le(from + format->halves_at + 2 * i, 2);
            memcpy(scales + 2 * lane, &half, sizeof half);
        }
        for (size_t i = 0; i < format->number; i++, scales += INK_PANEL)
            scales[lane] = from[format->numbers_at + i];
        chunk += ink_chunk_scale_bytes(format, in_chunk) + column % INK_SUM_BLOCK / INK_BLOCK * format->code_bytes;
        ink_block_codes(matrix->type, from, codes);
        for (size_t i = 0; i < format->elements; i += INK_BLOCK, chunk += format->code_bytes)
            pack_codes(format->bits, codes + i, chunk + 4 * lane);
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

/* The code of column t of a block, t < 32; `at` is the place of the lane. */
static unsigned unpack_code(unsigned bits, const uint8_t *at, size_t t)
{
    unsigned g = (unsigned)t / 4, code = 0;
    at += t % 4;
    if (bits == 8)
        return at[64 * g];
    if (bits >= 4) {
        code = at[64 * (g % 4)] >> g / 4 * 4 & 15u;
        at += 256;
    }
    if (bits == 6 || bits < 4)
        code |= (at[64 * (g / 4)] >> g % 4 * 2 & 3u) << (bits == 6 ? 4 : 0);
    if (bits < 4)
        at += 128;
    if (bits == 5 || bits == 3)
        code |= (at[0] >> g & 1u) << (bits - 1);
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
