/* oracle_quantised.c - see oracle_quantised.h. */
#include "oracle_quantised.h"

#include <math.h>
#include <string.h>

#include "numbers.h"

static const int levels_of_iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int levels_of_mxfp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static float half_at(const uint8_t *p) { return (float)f16_value((uint16_t)(p[0] | p[1] << 8)); }

/* Element e of a block: value = scale q + minimum (llama.cpp, ggml-common.h and ggml-quants.c). */
typedef struct element {
    int q;
    float scale, minimum;
} element;

/* The 6-bit scale and minimum s of Q4_K and Q5_K. */
static void k_scale(const uint8_t *scales, size_t s, int *scale, int *minimum)
{
    if (s < 4) {
        *scale = scales[s] & 63;
        *minimum = scales[s + 4] & 63;
    } else {
        *scale = (scales[s + 4] & 15) | (scales[s - 4] >> 6) << 4;
        *minimum = (scales[s + 4] >> 4) | (scales[s] >> 6) << 4;
    }
}

static element element_of(ink_type type, const uint8_t *b, size_t e)
{
    const size_t low = e % 16, up = e / 16, half = e / 128, part = e % 128 / 32;
    int scale, minimum;
    switch (type) {
    case INK_Q8_0:
        return (element){(int8_t)b[2 + e], half_at(b), 0};
    case INK_Q4_0:
        return (element){(b[2 + low] >> 4 * up & 15) - 8, half_at(b), 0};
    case INK_Q4_1:
        return (element){b[4 + low] >> 4 * up & 15, half_at(b), half_at(b + 2)};
    case INK_Q5_0:
        return (element){((b[6 + low] >> 4 * up & 15) | (b[2 + e / 8] >> e % 8 & 1) << 4) - 16, half_at(b), 0};
    case INK_Q5_1:
        return (element){(b[8 + low] >> 4 * up & 15) | (b[4 + e / 8] >> e % 8 & 1) << 4, half_at(b), half_at(b + 2)};
    case INK_IQ4_NL:
        return (element){levels_of_iq4[b[2 + low] >> 4 * up & 15], half_at(b), 0};
    case INK_MXFP4:
        return (element){levels_of_mxfp4[b[1 + low] >> 4 * up & 15], ldexpf(1, b[0] - 128), 0};
    case INK_IQ4_XS:
        scale = (b[4 + e / 64] >> 4 * (e / 32 % 2) & 15) | ((b[2] | b[3] << 8) >> 2 * (e / 32) & 3) << 4;
        return (element){levels_of_iq4[b[8 + e / 32 * 16 + low] >> 4 * (up % 2) & 15], half_at(b) * (float)(scale - 32),
                         0};
    case INK_Q2_K:
        return (element){b[16 + 32 * half + e % 32] >> 2 * part & 3, half_at(b + 80) * (float)(b[up] & 15),
                         -(half_at(b + 82) * (float)(b[up] >> 4))};
    case INK_Q3_K:
        scale = (b[96 + up % 8] >> 4 * (up / 8) & 15) | (b[104 + up % 4] >> 2 * (up / 4) & 3) << 4;
        return (element){(b[32 + 32 * half + e % 32] >> 2 * part & 3) - ((b[e % 32] >> (e / 32) & 1) != 0 ? 0 : 4),
                         half_at(b + 108) * (float)(scale - 32), 0};
    case INK_Q4_K:
        k_scale(b + 4, e / 32, &scale, &minimum);
        return (element){b[16 + e / 64 * 32 + e % 32] >> 4 * (e / 32 % 2) & 15, half_at(b) * (float)scale,
                         -(half_at(b + 2) * (float)minimum)};
    case INK_Q5_K:
        k_scale(b + 4, e / 32, &scale, &minimum);
        return (element){(b[48 + e / 64 * 32 + e % 32] >> 4 * (e / 32 % 2) & 15) | (b[16 + e % 32] >> e / 32 & 1) << 4,
                         half_at(b) * (float)scale, -(half_at(b + 2) * (float)minimum)};
    default: /* Q6_K */
        return (element){
            ((b[64 * half + e % 64] >> 4 * (part / 2) & 15) | (b[128 + 32 * half + e % 32] >> 2 * part & 3) << 4) - 32,
            half_at(b + 208) * (float)(int8_t)b[192 + up], 0};
    }
}

/* 32 elements of x: x = scale xq. */
static float quantise_x(const float *x, size_t n, int *xq)
{
    float largest = 0;
    bool strange = false;
    for (size_t t = 0; t < n; t++) {
        largest = fmaxf(largest, fabsf(x[t]));
        strange |= !isfinite(x[t]);
    }
    memset(xq, 0, 32 * sizeof *xq);
    if (strange || largest < 0x1p-120f)
        return strange ? NAN : 0;
    const float inverse = 127 / largest;
    for (size_t t = 0; t < n; t++) {
        const float scaled = x[t] * inverse;
        xq[t] = (int)rintf(scaled);
    }
    return largest / 127;
}

void oracle_quantised_product(const oracle_quantised *p, float *y)
{
    const ink_block_size block = ink_type_block(p->type);
    const size_t row_bytes = (p->k + block.elements - 1) / block.elements * block.bytes;
    const bool halves = p->type == INK_Q6_K || p->type == INK_Q2_K || p->type == INK_Q3_K;
    const size_t fold = halves ? 16 : 32;
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            float total = p->bias != NULL ? p->bias[j] : 0, sum = 0;
            for (size_t t = 0; t < p->k; t += 32) {
                int xq[32];
                const float scale = quantise_x(p->x + i * p->k + t, p->k - t < 32 ? p->k - t : 32, xq);
                for (size_t f = 0; f < 32; f += fold) {
                    const uint8_t *w = p->w + j * row_bytes + t / block.elements * block.bytes;
                    int product = 0, of_x = 0;
                    element weight = {0, 0, 0};
                    for (size_t e = f; e < f + fold; e++) {
                        weight = element_of(p->type, w, t % block.elements + e);
                        product += xq[e] * weight.q;
                        of_x += xq[e];
                    }
                    const float both = scale * weight.scale, x_sum = scale * (float)of_x;
                    sum = fmaf((float)product, both, sum);
                    if (p->type == INK_Q4_1 || p->type == INK_Q5_1 || p->type == INK_Q2_K || p->type == INK_Q4_K ||
                        p->type == INK_Q5_K)
                        sum = fmaf(x_sum, weight.minimum, sum);
                }
                if (t % INK_SUM_BLOCK == INK_SUM_BLOCK - 32 || t + 32 >= p->k) {
                    total += sum;
                    sum = 0;
                }
            }
            y[i * p->n + j] = total;
        }
}

void random_blocks(uint64_t *seed, ink_type type, size_t n_blocks, uint8_t *blocks)
{
    const size_t bytes = ink_type_block(type).bytes;
    const bool last = type == INK_Q6_K || type == INK_Q3_K, middle = type == INK_Q2_K;
    const size_t halves = type == INK_Q4_1 || type == INK_Q5_1 || type == INK_Q4_K || type == INK_Q5_K || middle ? 2
                          : type == INK_MXFP4                                                                    ? 0
                                                                                                                 : 1;
    for (size_t b = 0; b < n_blocks; b++, blocks += bytes) {
        for (size_t i = 0; i < bytes; i++)
            blocks[i] = (uint8_t)random_bits(seed);
        uint8_t *at = blocks + (last ? bytes - 2 : middle ? 80 : 0);
        for (size_t i = 0; i < halves; i++) {
            float scale;
            random_floats(seed, 1, &scale);
            const uint16_t half = f16_of(scale / 64);
            at[2 * i] = (uint8_t)half;
            at[2 * i + 1] = (uint8_t)(half >> 8);
        }
        if (type == INK_MXFP4)
            blocks[0] = (uint8_t)(random_bits(seed) % 5 == 0 ? random_bits(seed) % 3 : 120 + random_bits(seed) % 8);
    }
}
