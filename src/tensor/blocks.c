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
#include "vec_portable.h"

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

/* The codes of one block in the order of its elements. */
static void get_codes(ink_type type, const void *block, uint8_t *codes)
{
    const block_layout *layout = layout_of(type);
    memset(codes, layout->begin, ink_type_block(type).elements);
    for (const block_plane *p = layout->planes; p < layout->planes + 2; p++) {
        const uint8_t *from = (const uint8_t *)block + p->offset, bits = (uint8_t)((1u << p->bits) - 1);
        uint8_t *to = codes;
        for (size_t done = 0; done < p->bytes; done += p->run, from += p->run)
            for (unsigned low = 0; low < 8; low += p->bits, to += p->run)
                for (size_t i = 0; i < p->run; i++)
                    to[i] ^= (uint8_t)((from[i] >> low & bits) << p->shift);
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
            int low = block[96 + i % 8] >> i / 8 * 4 & 15, high = block[104 + i % 4] >> i / 4 * 2 & 3;
            scale[i] = d[0] * (float)((low | high << 4) - 32);
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
            int low = block[4 + i / 2] >> i % 2 * 4 & 15, high = block[2 + i / 4] >> i % 4 * 2 & 3;
            scale[i] = d[0] * (float)((low | high << 4) - 32);
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
        get_codes(type, block, codes);
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

/* ---- quantising ------------------------------------------------------------------------------------------------- */

/* A sum has 16 parts, which are added in a fixed order. n is a multiple of 16. */
typedef struct sum_parts {
    vec part[4];
} sum_parts;

static float sum_of(const sum_parts *sum)
{
    return vec_sum(vec_add(vec_add(sum->part[0], sum->part[2]), vec_add(sum->part[1], sum->part[3])));
}

static float dot(const float *a, const float *b, size_t n)
{
    sum_parts sum = {{vec_splat(0), vec_splat(0), vec_splat(0), vec_splat(0)}};
    for (size_t i = 0; i < n; i += 16) {
        UNROLL
        for (size_t j = 0; j < 4; j++)
            sum.part[j] = vec_add(sum.part[j], vec_mul(vec_load(a + i + 4 * j), vec_load(b + i + 4 * j)));
    }
    return sum_of(&sum);
}

/* The sum of (x - min - scale q)^2. */
static float squared_error(const float *x, const float *q, size_t n, float scale, float min)
{
    sum_parts sum = {{vec_splat(0), vec_splat(0), vec_splat(0), vec_splat(0)}};
    for (size_t i = 0; i < n; i += 16) {
        UNROLL
        for (size_t j = 0; j < 4; j++) {
            vec value = vec_mul(vec_splat(scale), vec_load(q + i + 4 * j));
            vec error = vec_sub(vec_sub(vec_load(x + i + 4 * j), vec_splat(min)), value);
            sum.part[j] = vec_add(sum.part[j], vec_mul(error, error));
        }
    }
    return sum_of(&sum);
}

/* q = (x - min) / scale, to nearest even, between lowest and highest. Adding 1.5 * 2^23 leaves no fraction. */
static void round_codes(const float *x, size_t n, float scale, float min, float lowest, float highest, float *q)
{
    const vec inverse = vec_splat(scale != 0 ? 1 / scale : 0), whole = vec_splat(12582912.0f);
    for (size_t i = 0; i < n; i += 4) {
        vec code = vec_mul(vec_sub(vec_load(x + i), vec_splat(min)), inverse);
        code = vec_min(vec_max(code, vec_splat(lowest)), vec_splat(highest));
        vec_store(q + i, vec_sub(vec_add(code, whole), whole));
    }
}

/* The lowest and the highest element of x [n], n a multiple of 4. */
static void range_of(const float *x, size_t n, float *lowest, float *highest)
{
    vec low = vec_load(x), high = low;
    for (size_t i = 4; i < n; i += 4) {
        low = vec_min(low, vec_load(x + i));
        high = vec_max(high, vec_load(x + i));
    }
    *highest = vec_largest(high);
    *lowest = -vec_largest(vec_sub(vec_splat(0), low));
}

/* The element of the largest magnitude. */
static float extreme_of(const float *x, size_t n)
{
    float lowest, highest;
    range_of(x, n, &lowest, &highest);
    return -lowest > highest ? lowest : highest;
}

#define NAN_HALF 0x7e00

static bool is_finite_half(uint16_t half) { return (half & 0x7fff) < 0x7c00; }

static float half_value(uint16_t half)
{
    float value;
    ink_kernel_portable.from_f16(&half, 1, &value);
    return value;
}

/* The bits of the F16 number nearest to `value`; NaN if it is infinite. */
static uint16_t nearest_half(float value)
{
    uint16_t half;
    ink_kernel_portable.to_f16(&value, 1, &half);
    return is_finite_half(half) ? half : NAN_HALF;
}

/* What a search tries: so many scales, that far apart; of Q8_0 so many neighbours in F16 on either side; so many turns
   between the scales of groups and that of a block. Twice as many take off half a percent of the error. */
#define PLACES 6
#define PLACE_STEP 0.3f
#define NEIGHBOURS 3
#define TURNS 2

/* The scale of x = scale q, q from -levels to levels - 1. Scales are tried that put the extreme element around the
   lowest or the highest code. For the codes that follow, the best scale is <x, q> / <q, q>; it takes <x, q>^2 / <q, q>
   off the squared error. */
static float fit_scale(const float *x, size_t n, float levels)
{
    const float extreme = extreme_of(x, n);
    float q[32], best = 0, scale = 0;
    for (int i = 0; i < 2 * PLACES; i++) {
        float place = (float)(i % PLACES - PLACES / 2) * PLACE_STEP + (i < PLACES ? -levels : levels - 1);
        round_codes(x, n, extreme / place, 0, -levels, levels - 1, q);
        float xq = dot(x, q, n), qq = dot(q, q, n), fit = xq / qq, merit = fit * xq;
        if (merit > best) {
            best = merit;
            scale = fit;
        }
    }
    return scale;
}

/* The scale, and *min <= 0, of x = scale q + min, q from 0 to 15: the same search, with a line through (q, x). */
static float fit_line(const float *x, size_t n, float *min)
{
    float lowest, highest, least = 0, scale = 0, y[32], q[32], ones[32];
    range_of(x, n, &lowest, &highest);
    lowest = lowest < 0 ? lowest : 0;
    *min = lowest;
    if (!(highest > lowest))
        return 0;
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i] - lowest;
        ones[i] = 1;
    }
    for (int i = 0; i < 2 * PLACES; i++) {
        float place = (float)(i - PLACES) * PLACE_STEP / 2 + 15;
        round_codes(y, n, (highest - lowest) / place, 0, 0, 15, q);
        float sq = dot(q, ones, n), sy = dot(y, ones, n), qq = dot(q, q, n), yq = dot(y, q, n), count = (float)n;
        float spread = count * qq - sq * sq, fit = (count * yq - sy * sq) / spread, offset = (sy - fit * sq) / count;
        if (spread == 0 || lowest + offset > 0) { /* no minimum above 0 */
            offset = -lowest;
            fit = dot(x, q, n) / qq;
        }
        float error = squared_error(y, q, n, fit, offset);
        if (i == 0 || error < least) {
            least = error;
            scale = fit;
            *min = lowest + offset;
        }
    }
    return scale;
}

/* q + zero of all elements of a block into its planes, which are 0. */
static void put_codes(ink_type type, const float *q, uint8_t *block)
{
    const block_layout *layout = layout_of(type);
    for (const block_plane *p = layout->planes; p < layout->planes + 2; p++) {
        const unsigned bits = (1u << p->bits) - 1;
        const float *from = q;
        uint8_t *to = block + p->offset;
        for (size_t done = 0; done < p->bytes; done += p->run, to += p->run)
            for (unsigned low = 0; low < 8; low += p->bits, from += p->run)
                for (size_t i = 0; i < p->run; i++) {
                    unsigned code = (unsigned)((int)from[i] + layout->zero) ^ layout->begin;
                    to[i] |= (uint8_t)((code >> p->shift & bits) << low);
                }
    }
}

void ink_block_put(ink_type type, uint16_t scale, const float *q, void *block)
{
    memset(block, 0, ink_type_block(type).bytes);
    ink_put_le(block, 2, scale);
    put_codes(type, q, block);
}

/* Q8_0, Q5_0 and Q4_0: of the F16 scales around the best one in f32, that with the least squared error. */
static void quantise_simple(ink_type type, const float *x, uint8_t *block)
{
    const bool wide = type == INK_Q8_0;
    const float levels = type == INK_Q5_0 ? 16 : 8;
    const uint16_t half = nearest_half(wide ? extreme_of(x, 32) / 127 : fit_scale(x, 32, levels));
    const int radius = wide ? NEIGHBOURS : 1;
    uint16_t nearby[2 * NEIGHBOURS + 1], best = half;
    float values[2 * NEIGHBOURS + 1], least = -1, q[32], codes[32] = {0};
    for (int i = 0; i <= 2 * radius; i++)
        nearby[i] = (uint16_t)(half + i - radius);
    ink_kernel_portable.from_f16(nearby, (size_t)(2 * radius + 1), values);
    for (int i = 0; i <= 2 * radius && is_finite_half(half); i++) {
        if (!is_finite_half(nearby[i]) || (nearby[i] ^ half) >> 15 != 0)
            continue;
        round_codes(x, 32, values[i], 0, wide ? -127 : -levels, wide ? 127 : levels - 1, q);
        float error = squared_error(x, q, 32, values[i], 0);
        if (least < 0 || error < least) {
            least = error;
            best = nearby[i];
            memcpy(codes, q, sizeof q);
        }
    }
    ink_block_put(type, best, codes, block);
}

/* The codes of a K type, and the integers that multiply d and dmin; minima from 0 on. */
typedef struct k_range {
    float lowest, highest, lowest_scale, highest_scale, highest_min;
} k_range;

/* Of the integer scales, and minima, next to those in *sc and *mn, the ones with which a group has the least squared
   error. Returns it; q [n] becomes the codes. */
static float fit_integers(const float *x, size_t n, float d, float dmin, const k_range *r, float *sc, float *mn,
                          float *q)
{
    const float near_sc = *sc, near_mn = *mn;
    float least = -1;
    for (float a = near_sc - 1; a <= near_sc + 1; a++)
        for (float b = near_mn - 1; b <= near_mn + 1; b++) {
            if (a < r->lowest_scale || a > r->highest_scale || b < 0 || b > r->highest_min)
                continue;
            float scale = d * a, min = -(dmin * b), tried[32];
            round_codes(x, n, scale, min, r->lowest, r->highest, tried);
            float error = squared_error(x, tried, n, scale, min);
            if (least < 0 || error < least) {
                least = error;
                *sc = a;
                *mn = b;
                memcpy(q, tried, n * sizeof *q);
            }
        }
    return least;
}

/*
 * Q4_K and Q6_K: an element is d sc q - dmin mn, with integers sc and mn of its group. First each group has the scale
 * and the minimum that are best for it. Then, in turns, the integers are chosen for d and dmin, and d and dmin for the
 * integers and codes, as the least squares of x = d (sc q) - dmin mn.
 */
static void quantise_k(ink_type type, const float *x, uint8_t *block)
{
    const bool has_mins = type == INK_Q4_K;
    const k_range range = has_mins ? (k_range){0, 15, 0, 63, 63} : (k_range){-32, 31, -128, 127, 0};
    const size_t group = layout_of(type)->group, n = INK_MOST_ELEMENTS / group;
    float scales[16] = {0}, mins[16] = {0}, sc[16] = {0}, mn[16] = {0}, q[INK_MOST_ELEMENTS] = {0}, least = -1;
    float best_sc[16] = {0}, best_mn[16] = {0}, best_q[INK_MOST_ELEMENTS] = {0};
    for (size_t g = 0; g < n; g++)
        scales[g] = has_mins ? fit_line(x + g * group, group, &mins[g]) : fit_scale(x + g * group, group, 32);
    uint16_t d = nearest_half(extreme_of(scales, n) / (has_mins ? 63 : -128));
    uint16_t dmin = nearest_half(extreme_of(mins, n) / -63), best_d = d, best_dmin = dmin;
    for (int turn = 0; turn < TURNS && is_finite_half(d) && is_finite_half(dmin); turn++) {
        const float d_value = half_value(d), dmin_value = half_value(dmin);
        float error = 0, a[INK_MOST_ELEMENTS], b[INK_MOST_ELEMENTS];
        round_codes(scales, 16, d_value, 0, range.lowest_scale, range.highest_scale, sc);
        round_codes(mins, 16, -dmin_value, 0, 0, range.highest_min, mn);
        for (size_t g = 0; g < n; g++) {
            error += fit_integers(x + g * group, group, d_value, dmin_value, &range, &sc[g], &mn[g], q + g * group);
            for (size_t i = g * group; i < (g + 1) * group; i++) {
                a[i] = sc[g] * q[i];
                b[i] = -mn[g];
            }
        }
        if (least < 0 || error < least) {
            least = error;
            best_d = d;
            best_dmin = dmin;
            memcpy(best_sc, sc, sizeof sc);
            memcpy(best_mn, mn, sizeof mn);
            memcpy(best_q, q, sizeof q);
        }
        float aa = dot(a, a, INK_MOST_ELEMENTS), ab = dot(a, b, INK_MOST_ELEMENTS), bb = dot(b, b, INK_MOST_ELEMENTS);
        float ax = dot(a, x, INK_MOST_ELEMENTS), bx = dot(b, x, INK_MOST_ELEMENTS), spread = aa * bb - ab * ab;
        if (spread > 0) {
            d = nearest_half((ax * bb - bx * ab) / spread);
            dmin = nearest_half((aa * bx - ab * ax) / spread);
        } else if (aa > 0)
            d = nearest_half(ax / aa);
    }
    put_codes(type, best_q, block);
    if (type == INK_Q6_K) {
        for (size_t g = 0; g < n; g++)
            block[192 + g] = (uint8_t)(int8_t)best_sc[g];
        ink_put_le(block + 208, 2, best_d);
        return;
    }
    ink_put_le(block, 2, best_d);
    ink_put_le(block + 2, 2, best_dmin);
    for (size_t g = 0; g < 4; g++) {
        unsigned s = (unsigned)best_sc[g + 4], m = (unsigned)best_mn[g + 4];
        block[4 + g] = (uint8_t)((unsigned)best_sc[g] | (s & 0x30) << 2);
        block[8 + g] = (uint8_t)((unsigned)best_mn[g] | (m & 0x30) << 2);
        block[12 + g] = (uint8_t)((s & 15) | (m & 15) << 4);
    }
}

void ink_blocks_from_f32(ink_type type, const float *x, size_t count, void *blocks)
{
    const ink_block_size size = ink_type_block(type);
    const bool simple = type == INK_Q8_0 || type == INK_Q5_0 || type == INK_Q4_0;
    const float levels = type == INK_Q8_0   ? 127
                         : type == INK_Q5_0 ? 16
                         : type == INK_Q4_0 ? 8
                         : type == INK_Q4_K ? 15 * 63
                                            : 32 * 128;
    uint8_t *block = blocks;
    for (size_t i = 0; i < count; i += size.elements, block += size.bytes) {
        float lowest, highest, most = 65504 * levels;
        range_of(x + i, size.elements, &lowest, &highest);
        memset(block, 0, size.bytes);
        if (lowest < -most || highest > most || !ink_kernel_portable.all_finite(x + i, size.elements))
            ink_put_le(block + (type == INK_Q6_K ? 208 : 0), 2, NAN_HALF);
        else if (simple)
            quantise_simple(type, x + i, block);
        else
            quantise_k(type, x + i, block);
    }
}
