/*
 * kernel_rows.h - functions over rows of floats: element by element, softmax, layer norm, and the recurrent cells.
 * Part of the kernel body (kernel_body.h).
 *
 * A row is read in vecs from its first element on; zeros fill the last vec and are not stored. A sum has 16 lanes, and
 * one fixed tree adds these lanes (sum_lanes), so a result depends on nothing but the row.
 */

/* y[i] = f(x[i]); y may be x. f is a constant, so the call is inlined. Elements after the last whole vec are copied to
   a vec of their own, so one loop, with one copy of f, does them all. */
FORMULA void map(vec (*f)(vec), const float *x, size_t n, float *y)
{
    size_t rest = n % VEC_LANES, end = n - rest;
    float last[VEC_LANES], *to = y;
    for (;;) {
        for (size_t i = 0; i < end; i += VEC_LANES)
            vec_store(to + i, f(vec_load(x + i)));
        if (to == last)
            break;
        if (rest == 0)
            return;
        vec_store(last, vec_load_part(x + end, rest));
        y += end;
        x = to = last;
        end = VEC_LANES;
    }
    vec_store_part(y, rest, vec_load(last));
}

/* y[i] = f(x[i], a); y may be x. */
FORMULA void map_with(vec (*f)(vec, vec), float a, const float *x, size_t n, float *y)
{
    const vec parameter = vec_splat(a);
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        store_lanes(y + i, lanes, f(load_lanes(x + i, lanes), parameter));
    }
}

static void kernel_exp(const float *x, size_t n, float *y) { map(vec_exp, x, n, y); }

static void kernel_log(const float *x, size_t n, float *y) { map(vec_log, x, n, y); }

static void kernel_erf(const float *x, size_t n, float *y) { map(vec_erf, x, n, y); }

static void kernel_sin(const float *x, size_t n, float *y) { map(vec_sin, x, n, y); }

static void kernel_cos(const float *x, size_t n, float *y) { map(vec_cos, x, n, y); }

static void kernel_activate(ink_activation activation, const float *x, size_t n, float *y)
{
    float a = ink_activation_parameter(activation);
    switch (ink_activation_function(activation)) {
    case INK_RELU:
        map(vec_relu, x, n, y);
        break;
    case INK_LEAKY_RELU:
        map_with(vec_leaky_relu, a, x, n, y);
        break;
    case INK_ELU:
        map_with(vec_elu, a, x, n, y);
        break;
    case INK_TANH:
        map(vec_tanh, x, n, y);
        break;
    case INK_SIGMOID:
        map(vec_sigmoid, x, n, y);
        break;
    case INK_SOFTPLUS:
        map_with(vec_softplus, a, x, n, y);
        break;
    case INK_GELU:
        map(vec_gelu, x, n, y);
        break;
    case INK_GELU_TANH:
        map(vec_gelu_tanh, x, n, y);
        break;
    case INK_QUICK_GELU:
        map(vec_quick_gelu, x, n, y);
        break;
    case INK_SILU:
        map(vec_silu, x, n, y);
        break;
    case INK_MISH:
        map(vec_mish, x, n, y);
        break;
    case INK_HARD_SIGMOID:
        map_with(vec_hard_sigmoid, 1 / a, x, n, y);
        break;
    case INK_HARD_SWISH:
        map(vec_hard_swish, x, n, y);
        break;
    default:
        map(vec_identity, x, n, y);
        break;
    }
}

static void kernel_add(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        store_lanes(y + i, lanes, vec_add(load_lanes(y + i, lanes), load_lanes(x + i, lanes)));
    }
}

static void kernel_multiply_elements(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        store_lanes(y + i, lanes, vec_mul(load_lanes(y + i, lanes), load_lanes(x + i, lanes)));
    }
}

/* y += weight / total x */
static void kernel_add_share(const float *x, size_t n, float weight, float total, float *y)
{
    const vec share = vec_splat(weight / total);
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        store_lanes(y + i, lanes, vec_fma(share, load_lanes(x + i, lanes), load_lanes(y + i, lanes)));
    }
}

/* y = max(x, y) */
static void kernel_keep_largest(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        store_lanes(y + i, lanes, vec_max(load_lanes(x + i, lanes), load_lanes(y + i, lanes)));
    }
}

/* True if |x[i]| < infinity for all i; it is false for NaN. */
static bool kernel_all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        vec v = load_lanes(x + i, lanes_from(i, n));
        if (!mask_all(vec_less(vec_abs(v), ivec_floats(ivec_splat(0x7f800000)))))
            return false;
    }
    return true;
}

/* ---- sums over a row ------------------------------------------------------------------------------------------ */

/* a with `fill` in the lanes from `lanes` on. */
INLINE vec fill_lanes(vec a, size_t lanes, float fill)
{
    float v[VEC_LANES];
    vec_store(v, vec_splat(fill));
    vec_store_part(v, lanes, a);
    return vec_load(v);
}

/* A sum of 16 lanes, whatever a vec has: element i of a row is added to lane i % 16. */
typedef struct sum16 {
    vec v[16 / VEC_LANES];
} sum16;

INLINE sum16 sum_zero(void)
{
    sum16 sum;
    for (size_t i = 0; i < 16 / VEC_LANES; i++)
        sum.v[i] = vec_splat(0);
    return sum;
}

/* The vec of the sum that elements i .. i + VEC_LANES - 1 go to. */
INLINE vec *sum_at(sum16 *sum, size_t i) { return &sum->v[i / VEC_LANES % (16 / VEC_LANES)]; }

/* By one fixed tree: lanes 8 apart, 4 apart, 2 apart, 1 apart. */
INLINE float sum_lanes(sum16 sum)
{
    for (size_t apart = 16 / VEC_LANES / 2; apart > 0; apart /= 2)
        for (size_t i = 0; i < apart; i++)
            sum.v[i] = vec_add(sum.v[i], sum.v[i + apart]);
    return vec_sum(sum.v[0]);
}

/* softmax(s)_i = e^d_i / sum_j e^d_j,   log softmax(s)_i = d_i - log sum_j e^d_j,   d = s - max s,   s = scale x. The
   logarithm costs the loops no branch. */
static void kernel_softmax(float *x, size_t n, float scale, bool logarithm)
{
    const vec factor = vec_splat(scale);
    const mask keeps_d = vec_less(vec_splat(0), vec_splat(logarithm ? 1 : 0));
    vec largest = ivec_floats(ivec_splat(0xff800000));
    sum16 sum = sum_zero();
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        vec s = vec_mul(factor, load_lanes(x + i, lanes));
        store_lanes(x + i, lanes, s);
        largest = vec_max(largest, lanes == VEC_LANES ? s : fill_lanes(s, lanes, x[i]));
    }
    const vec top = vec_splat(vec_largest(largest));
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        vec d = vec_sub(load_lanes(x + i, lanes), top), e = vec_exp(d);
        store_lanes(x + i, lanes, vec_select(keeps_d, d, e));
        vec *s = sum_at(&sum, i);
        *s = vec_add(*s, lanes == VEC_LANES ? e : fill_lanes(e, lanes, 0));
    }
    float total = sum_lanes(sum);
    if (logarithm)
        kernel_log(&total, 1, &total);
    const vec share = vec_splat(logarithm ? 1 : 1 / total), shift = vec_splat(logarithm ? -total : -0.0f);
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        store_lanes(x + i, lanes, vec_fma(load_lanes(x + i, lanes), share, shift));
    }
}

/* The mean of (x - shift)^power for power 1 and 2. */
INLINE float mean_of_powers(const float *x, size_t n, float shift, int power)
{
    const vec from = vec_splat(shift);
    sum16 sum = sum_zero();
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        vec *s = sum_at(&sum, i), d = vec_sub(load_lanes(x + i, lanes), from);
        if (lanes < VEC_LANES)
            d = fill_lanes(d, lanes, 0);
        *s = power == 1 ? vec_add(*s, d) : vec_fma(d, d, *s);
    }
    return sum_lanes(sum) / (float)n;
}

/* x / max(|x|, 1e-12) */
static void kernel_unit_length(float *x, size_t n)
{
    sum16 sum = sum_zero();
    for (size_t i = 0; i < n; i += VEC_LANES) {
        vec v = load_lanes(x + i, lanes_from(i, n)), *s = sum_at(&sum, i);
        *s = vec_fma(v, v, *s);
    }
    float length = float_sqrt(sum_lanes(sum));
    const vec scale = vec_splat(1 / (length > 1e-12f ? length : 1e-12f));
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        store_lanes(x + i, lanes, vec_mul(load_lanes(x + i, lanes), scale));
    }
}

static float kernel_inverse_sqrt(float x) { return 1 / float_sqrt(x); }

/* scale = weight / sqrt(variance + eps), shift = bias - scale mean */
static void kernel_batch_norm(const float *mean, const float *variance, const float *weight, const float *bias,
                              size_t n, float eps, float *scale, float *shift)
{
    for (size_t i = 0; i < n; i++) {
        scale[i] = kernel_inverse_sqrt(variance[i] + eps) * (weight != NULL ? weight[i] : 1);
        float moved = scale[i] * mean[i]; /* assigned, because some compilers keep a product in double */
        shift[i] = (bias != NULL ? bias[i] : 0) - moved;
    }
}

/* y = (x - mean) / sqrt(var + eps) * weight + bias,   var = mean of (x - mean)^2, from a second pass for precision */
static void kernel_layer_norm(const float *x, size_t n, const float *weight, const float *bias, float eps, float *y)
{
    float mean = mean_of_powers(x, n, 0, 1);
    float variance = mean_of_powers(x, n, mean, 2);
    const vec shift = vec_splat(mean), scale = vec_splat(kernel_inverse_sqrt(variance + eps));
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        vec normed = vec_mul(vec_sub(load_lanes(x + i, lanes), shift), scale);
        vec b = bias != NULL ? load_lanes(bias + i, lanes) : vec_splat(0);
        store_lanes(y + i, lanes, vec_fma(normed, load_lanes(weight + i, lanes), b));
    }
}

/* y = x / sqrt(mean of x^2 + eps) * weight */
static void kernel_rms_norm(const float *x, size_t n, const float *weight, float eps, float *y)
{
    const vec scale = vec_splat(kernel_inverse_sqrt(mean_of_powers(x, n, 0, 2) + eps));
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t lanes = lanes_from(i, n);
        vec normed = vec_mul(load_lanes(x + i, lanes), scale);
        store_lanes(y + i, lanes, vec_mul(normed, load_lanes(weight + i, lanes)));
    }
}

/* ---- cells: one step, after the products gi = W_ih x + b_ih, gh = W_hh h + b_hh (formulae: recurrent.h) ---------- */

/* gi + gh of gate number `gate`. Behind the last lane of a gate are those of the next. */
INLINE vec gate_sum(const float *gi, const float *gh, size_t gate, size_t h_size, size_t i)
{
    return vec_add(vec_load(gi + gate * h_size + i), vec_load(gh + gate * h_size + i));
}

/* h' = s(gi + gh) */
static void kernel_rnn_cell(const float *gi, const float *gh, size_t h_size, bool relu, float *h)
{
    for (size_t i = 0; i < h_size; i += VEC_LANES) {
        vec sum = gate_sum(gi, gh, 0, h_size, i);
        vec_store(h + i, relu ? vec_relu(sum) : vec_tanh(sum));
    }
}

/* r = sigma(gi_r + gh_r), z = sigma(gi_z + gh_z), n = tanh(gi_n + r gh_n), h' = (1 - z) n + z h */
static void kernel_gru_cell(const float *gi, const float *gh, size_t h_size, float *h, float *gates)
{
    for (size_t i = 0; i < h_size; i += VEC_LANES) {
        vec r = vec_sigmoid(gate_sum(gi, gh, 0, h_size, i));
        vec n = vec_tanh(vec_fma(r, vec_load(gh + 2 * h_size + i), vec_load(gi + 2 * h_size + i)));
        vec z = vec_sigmoid(gate_sum(gi, gh, 1, h_size, i));
        vec kept = vec_mul(z, vec_load(h + i));
        vec_store(h + i, vec_fma(vec_sub(vec_splat(1), z), n, kept));
        if (gates != NULL) {
            size_t lanes = lanes_from(i, h_size);
            store_lanes(gates + i, lanes, r);
            store_lanes(gates + h_size + i, lanes, z);
            store_lanes(gates + 2 * h_size + i, lanes, n);
        }
    }
}

/* i, f, o = sigma(gi + gh), g = tanh(gi_g + gh_g), c' = f c + i g, h' = o tanh(c') */
static void kernel_lstm_cell(const float *gi, const float *gh, size_t h_size, float *h, float *c, float *gates)
{
    for (size_t at = 0; at < h_size; at += VEC_LANES) {
        vec i = vec_sigmoid(gate_sum(gi, gh, 0, h_size, at));
        vec f = vec_sigmoid(gate_sum(gi, gh, 1, h_size, at));
        vec g = vec_tanh(gate_sum(gi, gh, 2, h_size, at));
        vec next = vec_fma(f, vec_load(c + at), vec_mul(i, g)), shown = vec_tanh(next);
        vec o = vec_sigmoid(gate_sum(gi, gh, 3, h_size, at));
        vec_store(c + at, next);
        vec_store(h + at, vec_mul(o, shown));
        if (gates != NULL) {
            size_t lanes = lanes_from(at, h_size);
            store_lanes(gates + at, lanes, i);
            store_lanes(gates + h_size + at, lanes, f);
            store_lanes(gates + 2 * h_size + at, lanes, g);
            store_lanes(gates + 3 * h_size + at, lanes, o);
        }
    }
}

/* ---- stored types --------------------------------------------------------------------------------------------- */

static void kernel_from_bf16(const uint16_t *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        uint16_t part[VEC_LANES] = {0};
        size_t lanes = lanes_from(i, n);
        memcpy(part, x + i, lanes * sizeof *x);
        store_lanes(y + i, lanes, vec_load_bf16(part));
    }
}

static void kernel_from_f16(const uint16_t *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        uint16_t part[VEC_LANES] = {0};
        size_t lanes = lanes_from(i, n);
        memcpy(part, x + i, lanes * sizeof *x);
        store_lanes(y + i, lanes, vec_load_f16(part));
    }
}

static void kernel_from_f64(const double *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        double part[VEC_LANES] = {0};
        size_t lanes = lanes_from(i, n);
        memcpy(part, x + i, lanes * sizeof *x);
        store_lanes(y + i, lanes, vec_load_f64(part));
    }
}

/* To nearest even: adding 0x7fff, plus 1 if the last bit that stays is set, carries exactly where rounding goes up. A
   NaN keeps its upper half and is made quiet, so it cannot become infinity. */
static void kernel_to_bf16(const float *x, size_t n, uint16_t *y)
{
    const vec infinity = ivec_floats(ivec_splat(0x7f800000));
    for (size_t i = 0; i < n; i += VEC_LANES) {
        uint16_t part[VEC_LANES];
        size_t lanes = lanes_from(i, n);
        vec v = load_lanes(x + i, lanes);
        ivec bits = vec_bits(v), upper = ivec_shift_right(bits, 16);
        ivec up = ivec_add(ivec_and(upper, ivec_splat(1)), ivec_splat(0x7fff));
        vec rounded = ivec_floats(ivec_shift_right(ivec_add(bits, up), 16));
        vec quiet = ivec_floats(ivec_or(upper, ivec_splat(0x40)));
        mask is_infinite = ivec_equal(ivec_and(bits, ivec_splat(0x7fffffff)), vec_bits(infinity));
        vec special = vec_select(is_infinite, ivec_floats(upper), quiet);
        ivec_store_low(part, vec_bits(vec_select(vec_less(vec_abs(v), infinity), rounded, special)));
        memcpy(y + i, part, lanes * sizeof *y);
    }
}

/*
 * To nearest even. From 2^-14 on it works as above with 13 bits to lose, and the exponent's bias becomes 15 instead of
 * 127. Smaller numbers are subnormal in f16, multiples of 2^-24. That is the unit in the last place of 1/2, so adding
 * 1/2 rounds to it, and the sum's bits less those of 1/2 are the result. 65,520 and more round to 65,536: infinity.
 */
static void kernel_to_f16(const float *x, size_t n, uint16_t *y)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        uint16_t part[VEC_LANES];
        size_t lanes = lanes_from(i, n);
        vec v = load_lanes(x + i, lanes), a = vec_min(vec_splat(65536), vec_abs(v)); /* NaN stays */
        ivec bits = vec_bits(a), odd = ivec_and(ivec_shift_right(bits, 13), ivec_splat(1));
        ivec rounded = ivec_shift_right(ivec_add(bits, ivec_add(odd, ivec_splat(0xfff))), 13);
        vec normal = ivec_floats(ivec_sub(rounded, ivec_splat(112 << 10)));
        vec subnormal = ivec_floats(ivec_sub(vec_bits(vec_add(a, vec_splat(0.5f))), vec_bits(vec_splat(0.5f))));
        vec magnitude = vec_select(vec_less(a, vec_splat(0x1p-14f)), subnormal, normal);
        magnitude = vec_select(vec_less(a, vec_splat(65537)), magnitude, ivec_floats(ivec_splat(0x7e00)));
        ivec sign = ivec_and(ivec_shift_right(vec_bits(v), 16), ivec_splat(0x8000));
        ivec_store_low(part, ivec_or(vec_bits(magnitude), sign));
        memcpy(y + i, part, lanes * sizeof *y);
    }
}

/* ---- 8-bit codes of one scale ----------------------------------------------------------------------------------- */

static float kernel_largest(const float *x, size_t n)
{
    vec largest = vec_splat(0);
    for (size_t i = 0; i < n; i += VEC_LANES)
        largest = vec_max(largest, vec_abs(load_lanes(x + i, lanes_from(i, n))));
    return kernel_all_finite(x, n) ? vec_largest(largest) : NAN;
}

/* Adding 3 * 2^22 rounds to an integer, to nearest even, whose last byte is that of the sum's bits. */
static float kernel_to_i8(const float *x, size_t n, float largest, int8_t *y)
{
    float scale = largest / 127;
    if (!(scale >= 0x1p-126f)) {
        memset(y, 0, n);
        return scale < 1 ? 0 : scale;
    }
    for (size_t i = 0; i < n; i += VEC_LANES) {
        uint16_t part[VEC_LANES];
        size_t lanes = lanes_from(i, n);
        vec q = vec_div(load_lanes(x + i, lanes), vec_splat(scale));
        ivec_store_low(part, vec_bits(vec_add(q, vec_splat(0x1.8p23f))));
        for (size_t lane = 0; lane < lanes; lane++)
            y[i + lane] = (int8_t)(uint8_t)part[lane];
    }
    return scale;
}
