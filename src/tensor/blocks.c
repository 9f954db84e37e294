/*
 * blocks.c - blocks of quantised weights to floats, and floats to blocks (blocks.h).
 *
 * The layouts of GGUF are one idea with many numbers: the bits of the codes are cut into planes, and a byte of a plane
 * holds bits of 8 / bits elements that lie `run` apart. A table has these numbers, and one loop puts any code together.
 */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

#include "blocks.h"

#include "../base/bytes.h"
#include "kernel.h"

/* Byte i of a run of `run` bytes holds bits of the elements i, run + i, 2 run + i, ...; the lowest bits are those of
   element i. They become bits `shift` and up of the codes. The next run holds the elements that follow. */
typedef struct block_plane {
    uint8_t offset, bytes; /* of the block */
    uint8_t run, bits, shift;
} block_plane;

typedef struct block_layout {
    block_plane planes[2];
    uint8_t group;        /* elements of a scale */
    uint8_t begin;        /* what codes are before their bits are put in, by exclusive or */
    uint8_t zero;         /* q = code - zero */
    const int8_t *levels; /* or q = levels[code] */
} block_layout;

static const int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t mxfp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}; /* doubled E2M1 */

/* From INK_Q8_0 on. */
static const block_layout layouts[] = {
    [INK_Q8_0 - INK_Q8_0] = {{{2, 32, 32, 8, 0}, {0, 0, 1, 1, 0}}, 32, 128, 128, NULL},
    [INK_Q4_0 - INK_Q8_0] = {{{2, 16, 16, 4, 0}, {0, 0, 1, 1, 0}}, 32, 0, 8, NULL},
    [INK_Q4_1 - INK_Q8_0] = {{{4, 16, 16, 4, 0}, {0, 0, 1, 1, 0}}, 32, 0, 0, NULL},
    [INK_Q5_0 - INK_Q8_0] = {{{6, 16, 16, 4, 0}, {2, 4, 1, 1, 4}}, 32, 0, 16, NULL},
    [INK_Q5_1 - INK_Q8_0] = {{{8, 16, 16, 4, 0}, {4, 4, 1, 1, 4}}, 32, 0, 0, NULL},
    [INK_Q2_K - INK_Q8_0] = {{{16, 64, 32, 2, 0}, {0, 0, 1, 1, 0}}, 16, 0, 0, NULL},
    [INK_Q3_K - INK_Q8_0] = {{{32, 64, 32, 2, 0}, {0, 32, 32, 1, 2}}, 16, 0, 4, NULL},
    [INK_Q4_K - INK_Q8_0] = {{{16, 128, 32, 4, 0}, {0, 0, 1, 1, 0}}, 32, 0, 0, NULL},
    [INK_Q5_K - INK_Q8_0] = {{{48, 128, 32, 4, 0}, {16, 32, 32, 1, 4}}, 32, 0, 0, NULL},
    [INK_Q6_K - INK_Q8_0] = {{{0, 128, 64, 4, 0}, {128, 64, 32, 2, 4}}, 16, 0, 32, NULL},
    [INK_IQ4_NL - INK_Q8_0] = {{{2, 16, 16, 4, 0}, {0, 0, 1, 1, 0}}, 32, 0, 0, iq4_levels},
    [INK_IQ4_XS - INK_Q8_0] = {{{8, 128, 16, 4, 0}, {0, 0, 1, 1, 0}}, 32, 0, 0, iq4_levels},
    [INK_MXFP4 - INK_Q8_0] = {{{1, 16, 16, 4, 0}, {0, 0, 1, 1, 0}}, 32, 0, 0, mxfp4_levels},
};

static const block_layout *layout_of(ink_type type) { return &layouts[type - INK_Q8_0]; }

unsigned ink_block_zero(ink_type type) { return layout_of(type)->zero; }

const int8_t *ink_block_levels(ink_type type) { return layout_of(type)->levels; }

void ink_block_codes(ink_type type, const void *block, uint8_t *codes)
{
    const block_layout *layout = layout_of(type);
    memset(codes, layout->begin, ink_type_block(type).elements);
    for (const block_plane *p = layout->planes; p < layout->planes + 2; p++) {
        const uint8_t *from = (const uint8_t *)block + p->offset, mask = (uint8_t)((1u << p->bits) - 1);
        uint8_t *to = codes;
        for (size_t done = 0; done < p->bytes; done += p->run, from += p->run)
            for (unsigned low = 0; low < 8; low += p->bits, to += p->run)
                for (size_t i = 0; i < p->run; i++)
                    to[i] ^= (uint8_t)((from[i] >> low & mask) << p->shift);
    }
}

/* F16 numbers that lie in a file one after the other. */
static void get_halves(const uint8_t *from, size_t n, float *out)
{
    uint16_t halves[2];
    for (size_t i = 0; i < n; i++)
        halves[i] = (uint16_t)ink_get_le(from + 2 * i, 2);
    ink_kernel_portable.from_f16(halves, n, out);
}

/* Scale and minimum number i < 8 of the 12 bytes of Q4_K and Q5_K: six bits each. The first four are the low bits of
   bytes 0 to 3 and 4 to 7. The others have four bits in bytes 8 to 11 and their two highest above the first four. */
static unsigned k_scale(const uint8_t *packed, size_t i)
{
    return i < 4 ? packed[i] & 63u : (packed[i + 4] & 15u) | (packed[i - 4] & 0xc0u) >> 2;
}

static unsigned k_min(const uint8_t *packed, size_t i)
{
    return i < 4 ? packed[i + 4] & 63u : packed[i + 4] >> 4u | (packed[i] & 0xc0u) >> 2;
}

/* The scales of the groups of a block, and the minima; false: the type has none. A minimum that is subtracted is
   negative here. */
static bool block_scales(ink_type type, const uint8_t *block, float *scale, float *min)
{
    float d[2];
    switch (type) {
    case INK_Q4_1:
    case INK_Q5_1:
        get_halves(block, 1, scale);
        get_halves(block + 2, 1, min);
        return true;
    case INK_Q2_K:
        get_halves(block + 80, 2, d);
        for (size_t i = 0; i < 16; i++) {
            scale[i] = d[0] * (float)(block[i] & 15);
            min[i] = -(d[1] * (float)(block[i] >> 4));
        }
        return true;
    case INK_Q4_K:
    case INK_Q5_K:
        get_halves(block, 2, d);
        for (size_t i = 0; i < 8; i++) {
            scale[i] = d[0] * (float)k_scale(block + 4, i);
            min[i] = -(d[1] * (float)k_min(block + 4, i));
        }
        return true;
    case INK_Q3_K: /* four low bits in bytes 96 to 103, two high bits in bytes 104 to 107 */
        get_halves(block + 108, 1, d);
        for (size_t i = 0; i < 16; i++) {
            unsigned low = block[96 + i % 8] >> i / 8 * 4 & 15u, high = block[104 + i % 4] >> i / 4 * 2 & 3u;
            scale[i] = d[0] * (float)((int)(low | high << 4) - 32);
        }
        return false;
    case INK_Q6_K:
        get_halves(block + 208, 1, d);
        for (size_t i = 0; i < 16; i++)
            scale[i] = d[0] * (float)(int8_t)block[192 + i];
        return false;
    case INK_IQ4_XS: /* two high bits of each scale in bytes 2 and 3, four low bits in bytes 4 to 7 */
        get_halves(block, 1, d);
        for (size_t i = 0; i < 8; i++) {
            unsigned low = block[4 + i / 2] >> i % 2 * 4 & 15u, high = block[2 + i / 4] >> i % 4 * 2 & 3u;
            scale[i] = d[0] * (float)((int)(low | high << 4) - 32);
        }
        return false;
    case INK_MXFP4: { /* 2^(e - 128), subnormal for e = 0 and 1 */
        uint32_t e = block[0], bits = e < 2 ? (uint32_t)0x200000 << e : (e - 1) << 23;
        memcpy(scale, &bits, sizeof bits);
        return false;
    }
    default: /* Q8_0, Q4_0, Q5_0, IQ4_NL */
        get_halves(block, 1, scale);
        return false;
    }
}

/* One rounding for the product and one for the sum. A type without minima must not add 0, which would lose the sign of
   a zero. */
void ink_blocks_to_f32(ink_type type, const void *blocks, size_t count, float *out)
{
    const block_layout *layout = layout_of(type);
    const ink_block_size size = ink_type_block(type);
    const uint8_t *block = blocks;
    const size_t group = layout->group;
    for (size_t at = 0; at < count; at += size.elements, block += size.bytes) {
        uint8_t codes[INK_MOST_ELEMENTS];
        float scales[16], mins[16];
        ink_block_codes(type, block, codes);
        const bool has_mins = block_scales(type, block, scales, mins);
        for (size_t i = 0; i < size.elements; i += group, out += group) {
            const float scale = scales[i / group];
            for (size_t j = 0; j < group; j++) {
                unsigned code = codes[i + j];
                out[j] = scale * (float)(layout->levels != NULL ? layout->levels[code] : (int)code - layout->zero);
            }
            for (size_t j = 0; has_mins && j < group; j++)
                out[j] += mins[i / group];
        }
    }
}
