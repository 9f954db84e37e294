/*
 * kernel_rope.h - rotary positions (rope.h): frequencies, angles, rotation. Part of the kernel body (kernel_body.h).
 *
 * Frequencies are powers of theta. An angle is a frequency times a position of up to 2^17, so a frequency should be
 * the very float that the model was trained with, which takes more than float arithmetic. Powers are computed in
 * double, by additions, multiplications and divisions alone, which give the same bits everywhere. Angles are float
 * products, and cos and sin float functions, as in the code that trained the models.
 */

/* x87 registers hold eleven bits more than a double, which a volatile one does not. Elsewhere it is none, because clang
   14 reads one of two from the place of the other for WebAssembly. */
#if FLT_EVAL_METHOD == 0
#define STORED_DOUBLE double
#else
#define STORED_DOUBLE volatile double
#endif

/* The nearest whole number, for |x| < 2^51. */
INLINE double double_round(double x)
{
    STORED_DOUBLE shifted = x + 0x1.8p52;
    return shifted - 0x1.8p52;
}

INLINE double double_floor(double x)
{
    double nearest = double_round(x);
    return nearest > x ? nearest - 1 : nearest;
}

INLINE double double_ceil(double x) { return -double_floor(-x); }

/* e^x = 2^n e^r,  n = round(x / ln 2),  for |x| < 700. e^r by its Taylor series; after 14 terms the rest is below
 * 2^-56. */
static double double_exp(double x)
{
    double n = double_round(x * 0x1.71547652b82fep0);
    double r = x - n * 0x1.62e42feep-1 - n * 0x1.a39ef35793c76p-33;
    double sum = 1;
    for (int i = 14; i > 0; i--)
        sum = 1 + sum * r / i;
    uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

/* log x: one step of Halley's rule for e^y = x triples the digits of the float logarithm y. */
static double double_log(double x)
{
    float narrow[VEC_LANES];
    vec_store(narrow, vec_log(vec_splat((float)x)));
    double y = (double)narrow[0];
    double e = double_exp(y);
    return y + 2 * (x - e) / (x + e);
}

/* YaRN: the index of the frequency that turns `turns` times over the original length. */
INLINE double yarn_index(const ink_rope *rope, double turns)
{
    double length = (double)rope->original_length;
    return (double)rope->head_dim * double_log(length / (2 * 3.14159265358979323846 * turns)) /
           (2 * double_log(rope->theta));
}

/* Frequency number m, w, scaled as the type of the rope says. */
static double scaled_frequency(const ink_rope *rope, size_t m, double w, double low, double high)
{
    double kept, turns;
    switch (rope->type) {
    case INK_ROPE_LINEAR:
        return w / rope->factor;
    case INK_ROPE_LLAMA3: /* kept: 1 where the original length holds high_freq_factor turns, 0 below low_freq_factor */
        turns = (double)rope->original_length * w / (2 * 3.14159265358979323846);
        kept = (turns - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
        break;
    case INK_ROPE_YARN:
        kept = 1 - ((double)m - low) / (high - low);
        break;
    case INK_ROPE_PLAIN:
    case INK_ROPE_DYNAMIC:
    case INK_ROPE_N_TYPES:
    default:
        return w;
    }
    kept = kept < 0 ? 0 : kept > 1 ? 1 : kept;
    return (1 - kept) * (w / rope->factor) + kept * w;
}

/* w_m = 1 / theta^(2m / head_dim), scaled. Returns the factor of cos and sin.

   Exponent, power and reciprocal are rounded to float, because the code that trained the models rounds them. A
   frequency that is off by one unit in the last place turns the token at position 2,000 by 1e-4. */
static float kernel_rope_frequencies(const ink_rope *rope, size_t capacity, float *frequencies)
{
    double dim = (double)rope->head_dim;
    double log_theta = double_log(rope->theta);
    double low = 0, high = 1, scale = 1;
    if (rope->type == INK_ROPE_DYNAMIC && capacity > rope->original_length) {
        double longer = (double)capacity / (double)rope->original_length;
        log_theta += dim / (dim - 2) * double_log(rope->factor * longer - (rope->factor - 1));
    }
    if (rope->type == INK_ROPE_YARN) {
        low = double_floor(yarn_index(rope, rope->beta_fast));
        high = double_ceil(yarn_index(rope, rope->beta_slow));
        low = low < 0 ? 0 : low;
        high = high > dim - 1 ? dim - 1 : high;
        high = high == low ? low + 0.001 : high;
        scale = rope->attention_factor > 0 ? rope->attention_factor : 0.1 * double_log(rope->factor) + 1;
    }
    for (size_t m = 0; m < rope->head_dim / 2; m++) {
        float exponent = (float)(2 * (double)m / dim);
        float power = (float)double_exp((double)exponent * log_theta);
        float w = 1 / power;
        frequencies[m] = (float)scaled_frequency(rope, m, (double)w, low, high);
        if (rope->factors != NULL)
            frequencies[m] /= rope->factors[m];
    }
    return (float)scale;
}

/* cos(position w_m) and sin(position w_m), each times scale, for m < n. */
static void kernel_rope_angles(const float *frequencies, size_t n, size_t position, float scale, float *cosines,
                               float *sines)
{
    const vec at = vec_splat((float)position), factor = vec_splat(scale);
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        vec angle = vec_mul(at, load_lanes(frequencies + i, lanes));
        store_lanes(cosines + i, lanes, vec_mul(factor, vec_cos(angle)));
        store_lanes(sines + i, lanes, vec_mul(factor, vec_sin(angle)));
    }
}

/* Rotates the n pairs (x[m], x[n + m]) of one head by their angles. */
static void kernel_rope_rotate(float *x, size_t n, const float *cosines, const float *sines)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        vec a = load_lanes(x + i, lanes), b = load_lanes(x + n + i, lanes);
        vec c = load_lanes(cosines + i, lanes), s = load_lanes(sines + i, lanes);
        store_lanes(x + i, lanes, vec_fma(a, c, vec_negative(vec_mul(b, s))));
        store_lanes(x + n + i, lanes, vec_fma(b, c, vec_mul(a, s)));
    }
}
