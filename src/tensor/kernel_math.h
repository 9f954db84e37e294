/*
 * kernel_math.h - elementary functions of a vec. Part of the kernel body (kernel_body.h).
 *
 * Each function reduces its argument to a small interval and evaluates a polynomial there. The coefficients are
 * minimax, from Remez's algorithm for the function and error weight beside them, rounded to float. exp, log, tanh,
 * sigmoid and erf are within 2 units in the last place over all floats, sin and cos for |x| <= 2^17; tests/test_math.c
 * sweeps them. NaN gives NaN: max, min, less and select are arranged so that a NaN argument passes through.
 */

/* c[0] + c[1] x + ... + c[n - 1] x^(n - 1), by Horner's rule; n is a constant. */
INLINE vec polynomial(vec x, const float *c, size_t n)
{
    vec y = vec_splat(c[n - 1]);
    UNROLL
    for (size_t i = 1; i < n; i++)
        y = vec_fma(y, x, vec_splat(c[n - 1 - i]));
    return y;
}

FORMULA vec vec_abs(vec x) { return ivec_floats(ivec_and(vec_bits(x), ivec_splat(0x7fffffff))); }

/* |x| with the sign of s */
FORMULA vec vec_with_sign(vec x, vec s)
{
    return ivec_floats(
        ivec_or(ivec_and(vec_bits(x), ivec_splat(0x7fffffff)), ivec_and(vec_bits(s), ivec_splat(0x80000000))));
}

FORMULA vec vec_negative(vec x) { return ivec_floats(ivec_xor(vec_bits(x), ivec_splat(0x80000000))); }

/* Adding 1.5 2^23 rounds to an integer, and leaves it in the low bits. */
#define ROUNDER 12582912.0f
#define ROUNDER_BITS 0x4b400000u

#define TURNS 1.44269502f /* 1 / ln 2 */

/*
 * e^x = 2^n e^r,   n = round(x / ln 2),   r = x - n ln 2 in [-ln 2 / 2, ln 2 / 2]      (Cody, Waite 1980)
 * e^r = 1 + e1,    e1 = r + r^2 q(r)
 *
 * ln 2 in two floats; with fused multiply-adds r is right to a unit in its last place.
 */
typedef struct exponential {
    vec e1; /* e^r - 1 */
    vec n;
    ivec integer_n;
} exponential;

/* x = factor turns ln 2. A caller whose x is a multiple of the factor need not wait for it to begin. */
FORMULA exponential reduce_exp(vec x, vec factor, float turns)
{
    /* (e^r - 1 - r) / r^2, absolute error of e^r */
    static const float q[] = {0.5f, 0.166665182f, 0.0416662022f, 0.00836902484f, 0.00139507267f};
    exponential e;
    vec shifted = vec_fma(factor, vec_splat(turns), vec_splat(ROUNDER));
    e.integer_n = ivec_sub(vec_bits(shifted), ivec_splat(ROUNDER_BITS));
    e.n = vec_sub(shifted, vec_splat(ROUNDER));
    vec r = vec_fma(e.n, vec_splat(-0.693147182f), x);
    r = vec_fma(e.n, vec_splat(1.90465421e-9f), r);
    e.e1 = vec_fma(vec_mul(r, r), polynomial(r, q, 5), r);
    return e;
}

#ifndef VEC_SCALE
/* a 2^n for integral |n| < 160, rounded once: the first factor is exact because a is near 1. */
INLINE vec vec_scale(vec a, vec n, ivec integer_n)
{
    (void)n;
    ivec half = ivec_shift_signed(integer_n, 1), rest = ivec_sub(integer_n, half), bias = ivec_splat(127);
    vec first = ivec_floats(ivec_shift_left(ivec_add(half, bias), 23));
    vec second = ivec_floats(ivec_shift_left(ivec_add(rest, bias), 23));
    return vec_mul(vec_mul(a, first), second);
}
#endif

/* Below -104 the result is 0, above 89 infinite. */
FORMULA vec vec_exp(vec x)
{
    x = vec_min(vec_splat(89), vec_max(vec_splat(-104), x));
    exponential e = reduce_exp(x, x, TURNS);
    return vec_scale(vec_add(vec_splat(1), e.e1), e.n, e.integer_n);
}

/* e^x - 1 = 2^n e1 + (2^n - 1) for x <= 0, without the loss that e^x - 1 has near 0. */
FORMULA vec vec_expm1_negative(vec x)
{
    x = vec_max(vec_splat(-30), x);
    exponential e = reduce_exp(x, x, TURNS);
    vec power = ivec_floats(ivec_shift_left(ivec_add(e.integer_n, ivec_splat(127)), 23));
    return vec_fma(power, e.e1, vec_sub(power, vec_splat(1)));
}

/*
 * log x = e ln 2 + log(1 + f),   x = 2^e (1 + f),   sqrt(1/2) <= 1 + f < sqrt 2
 * log(1 + f) = f - f^2 / 2 + f^3 p(f)
 *
 * The exponent of x / sqrt(1/2) is read off its bits; a subnormal x is multiplied by 2^23 before.
 */
FORMULA vec vec_log(vec x)
{
    /* (log(1 + f) - f + f^2 / 2) / f^3, relative to log(1 + f) */
    static const float p[] = {0.333333135f,  -0.250000089f, 0.200021192f,  -0.166679963f, 0.142195523f,
                              -0.124055929f, 0.118881658f,  -0.116756327f, 0.0674660951f};
    const vec infinity = ivec_floats(ivec_splat(0x7f800000));
    mask subnormal = vec_less(x, vec_splat(0x1p-126f));
    ivec bits = vec_bits(vec_select(subnormal, vec_mul(x, vec_splat(0x1p23f)), x));
    ivec exponent = ivec_shift_signed(ivec_sub(bits, ivec_splat(0x3f3504f3)), 23);
    vec f = vec_sub(ivec_floats(ivec_sub(bits, ivec_shift_left(exponent, 23))), vec_splat(1));
    vec e = vec_sub(vec_from_ivec(exponent), vec_select(subnormal, vec_splat(23), vec_splat(0)));
    vec f2 = vec_mul(f, f);
    vec y = vec_mul(vec_mul(f2, f), polynomial(f, p, 9));
    y = vec_fma(e, vec_splat(-1.90465421e-9f), y);
    y = vec_fma(vec_splat(-0.5f), f2, y);
    y = vec_fma(e, vec_splat(0.693147182f), vec_add(f, y));
    vec outside = vec_select(vec_less(x, vec_splat(0)), ivec_floats(ivec_splat(0x7fc00000)), vec_negative(infinity));
    y = vec_select(vec_less(vec_splat(0), x), y, outside);
    return vec_select(vec_less(x, infinity), y, x);
}

/* log(1 + x) for x in [0, 1]: the logarithm of u = fl(1 + x), plus the rounding error of u divided by u. (Kahan) */
FORMULA vec vec_log1p_unit(vec x)
{
    vec u = vec_add(vec_splat(1), x);
    return vec_add(vec_log(u), vec_div(vec_sub(x, vec_sub(u, vec_splat(1))), u));
}

/*
 * tanh and sigmoid are what a recurrent step waits for, so they take the shortest way from x to the division and back:
 * 1 + e is one multiply-add of 1 + e1 = e 2^-n, whose result is that of the sum, and no limit stands in the way.
 */

/* tanh x = x + x^3 p(x^2) for |x| < 0.55;  1 - 2 / (e^(2 |x|) + 1) with the sign of x beyond, which is 1 from 9.02 on
 */
FORMULA vec vec_tanh(vec x)
{
    /* (tanh(x) / x - 1) / x^2 in x^2 */
    static const float p[] = {-0.333333164f, 0.133325741f, -0.0538507663f, 0.0210640877f, -0.00626190752f};
    const vec one = vec_splat(1);
    vec a = vec_abs(x), a2 = vec_mul(a, a);
    vec small = vec_fma(vec_mul(a, a2), polynomial(a2, p, 5), a);
    exponential e = reduce_exp(vec_add(a, a), a, 2 * TURNS);
    vec power = ivec_floats(ivec_shift_left(ivec_add(e.integer_n, ivec_splat(127)), 23));
    vec large = vec_sub(one, vec_div(vec_splat(2), vec_fma(vec_add(one, e.e1), power, one)));
    large = vec_select(vec_less(vec_splat(10), a), one, large);
    return vec_with_sign(vec_select(vec_less(a, vec_splat(0.55f)), small, large), x);
}

/* 1 / (1 + e^-x) with e = e^-|x|; for x < 0 it is e / (1 + e), so nothing overflows and small results keep their
   precision. One step of Newton's iteration corrects the roundings of 1 + e and of the quotient; without it the error
   is up to 2.2 units. */
FORMULA vec vec_sigmoid(vec x)
{
    const vec one = vec_splat(1);
    vec minus = vec_max(vec_splat(-104), ivec_floats(ivec_or(vec_bits(x), ivec_splat(0x80000000))));
    exponential reduced = reduce_exp(minus, minus, TURNS);
    vec scaled = vec_add(one, reduced.e1), power = vec_scale(one, reduced.n, reduced.integer_n);
    vec d = vec_fma(scaled, power, one), inverse = vec_div(one, d);
    vec e = vec_scale(scaled, reduced.n, reduced.integer_n), above = vec_select(vec_less(x, vec_splat(0)), e, one);
    vec minus_d = vec_negative(d), minus_lost = vec_sub(vec_sub(d, one), e); /* d - minus_lost = 1 + e exactly */
    vec y = vec_mul(above, inverse);
    vec rest = vec_fma(y, minus_lost, vec_fma(y, minus_d, above));
    return vec_fma(rest, inverse, y);
}

/* erf x = x + x p(x^2) for |x| < 0.92;  1 - e^-(t + t q(t)), t = min(|x|, 4), with the sign of x beyond */
FORMULA vec vec_erf(vec x)
{
    /* erf(x) / x - 1 in x^2 */
    static const float p[] = {0.128379166f,   -0.376126349f,    0.112836994f,   -0.026859561f,
                              0.00520135928f, -0.000814570347f, 8.38025517e-05f};
    /* -log(1 - erf(t)) / t - 1, absolute error of erf */
    static const float q[] = {0.12865217f,    0.635135889f,     0.106263168f,   -0.0237853695f,
                              0.00365377474f, -0.000325655361f, 1.15225557e-05f};
    vec a = vec_abs(x), x2 = vec_mul(x, x);
    vec small = vec_fma(x, polynomial(x2, p, 7), x);
    vec t = vec_min(vec_splat(4), a);
    vec e = vec_exp(vec_negative(vec_fma(t, polynomial(t, q, 7), t)));
    vec large = vec_with_sign(vec_sub(vec_splat(1), e), x);
    return vec_select(vec_less(a, vec_splat(0.92f)), small, large);
}

/*
 * sin and cos:   x = n pi / 2 + r,   n = round(x 2 / pi),   r in [-pi / 4, pi / 4]
 *
 *     n mod 4      0        1        2        3
 *     sin x      sin r    cos r   -sin r   -cos r            cos x = sin x with n + 1 for n
 *
 * pi / 2 in three floats. For |x| <= 2^17 the first product's difference from x is exact: a multiple of 2^-23 below 1.
 * Beyond that the result is NaN.
 */
FORMULA vec sine_of_quarter(vec x, uint32_t quarters)
{
    /* (sin r / r - 1) / r^2 and (cos r - 1 + r^2 / 2) / r^4, in r^2 */
    static const float s[] = {-0.166666672f, 0.00833332911f, -0.000198393274f, 2.71823728e-06f};
    static const float c[] = {0.0416666679f, -0.00138888834f, 2.47995122e-05f, -2.72095491e-07f};
    vec shifted = vec_fma(x, vec_splat(0.636619747f), vec_splat(ROUNDER));
    ivec n = ivec_add(vec_bits(shifted), ivec_splat(quarters));
    vec turns = vec_sub(shifted, vec_splat(ROUNDER));
    vec r = vec_fma(turns, vec_splat(-1.57079637f), x);
    r = vec_fma(turns, vec_splat(4.37113883e-08f), r);
    r = vec_fma(turns, vec_splat(1.71512451e-15f), r);
    vec r2 = vec_mul(r, r);
    vec sine = vec_fma(vec_mul(r, r2), polynomial(r2, s, 4), r);
    vec cosine = vec_fma(vec_splat(-0.5f), r2, vec_splat(1));
    cosine = vec_fma(vec_mul(r2, r2), polynomial(r2, c, 4), cosine);
    mask even = ivec_equal(ivec_and(n, ivec_splat(1)), ivec_splat(0));
    ivec sign = ivec_shift_left(ivec_and(n, ivec_splat(2)), 30);
    vec y = ivec_floats(ivec_xor(vec_bits(vec_select(even, sine, cosine)), sign));
    mask beyond = vec_less(vec_splat(131072), vec_abs(x));
    return vec_select(beyond, ivec_floats(ivec_splat(0x7fc00000)), y);
}

FORMULA vec vec_sin(vec x) { return sine_of_quarter(x, 0); }

FORMULA vec vec_cos(vec x) { return sine_of_quarter(x, 1); }

/* ---- activations (definitions: types.h) ----------------------------------------------------------------------- */

FORMULA vec vec_identity(vec x) { return x; }

FORMULA vec vec_relu(vec x) { return vec_max(vec_splat(0), x); }

FORMULA vec vec_leaky_relu(vec x, vec slope) { return vec_select(vec_less(vec_splat(0), x), x, vec_mul(slope, x)); }

FORMULA vec vec_elu(vec x, vec alpha)
{
    vec below = vec_mul(alpha, vec_expm1_negative(vec_min(vec_splat(0), x)));
    return vec_select(vec_less(vec_splat(0), x), x, below);
}

/* log(1 + e^u) / beta,   log(1 + e^u) = max(u, 0) + log(1 + e^-|u|),   u = beta x */
FORMULA vec vec_softplus(vec x, vec beta)
{
    vec u = vec_mul(beta, x);
    return vec_div(vec_add(vec_max(vec_splat(0), u), vec_log1p_unit(vec_exp(vec_negative(vec_abs(u))))), beta);
}

/* max(x, most negative float), for functions that are 0 at -infinity but contain x times 0 */
FORMULA vec vec_above_infinity(vec x) { return vec_max(ivec_floats(ivec_splat(0xff7fffff)), x); }

FORMULA vec vec_gelu(vec x)
{
    vec half = vec_mul(vec_splat(0.5f), vec_above_infinity(x));
    return vec_fma(half, vec_erf(vec_mul(x, vec_splat(0.707106769f))), half);
}

/* x sigmoid(u) = max(x, 0) - |x| q,   q = sigmoid(-|u|) = e / (1 + e),   e = e^-|u|,   if u has the sign of x. A large
   result is x minus a small correction, rounded once. */
FORMULA vec times_sigmoid(vec x, vec u)
{
    vec e = vec_exp(vec_negative(vec_abs(u)));
    vec q = vec_div(e, vec_add(vec_splat(1), e));
    vec size = vec_min(ivec_floats(ivec_splat(0x7f7fffff)), vec_abs(x)); /* or infinity times 0 */
    return vec_fma(vec_negative(size), q, vec_max(vec_splat(0), x));
}

/* x / 2 (1 + tanh(u / 2)) = x sigmoid(u),   u = 2 sqrt(2 / pi) (x + 0.044715 x^3) */
FORMULA vec vec_gelu_tanh(vec x)
{
    vec slope = vec_fma(vec_mul(x, x), vec_splat(0.0713548163f), vec_splat(1.59576917f));
    return times_sigmoid(x, vec_mul(x, slope));
}

FORMULA vec vec_quick_gelu(vec x) { return times_sigmoid(x, vec_mul(vec_splat(1.702f), x)); }

FORMULA vec vec_silu(vec x) { return times_sigmoid(x, x); }

/* x tanh(log(1 + e)) = x (e^2 + 2 e) / (e^2 + 2 e + 2),   e = e^x; for x >= 20 it is x */
FORMULA vec vec_mish(vec x)
{
    vec e = vec_exp(vec_min(vec_splat(20), x));
    vec s = vec_fma(e, e, vec_add(e, e));
    return vec_mul(vec_above_infinity(x), vec_div(s, vec_add(s, vec_splat(2))));
}

/* It rises from 0 to 1 while x goes from -width / 2 to width / 2. */
FORMULA vec vec_hard_sigmoid(vec x, vec width)
{
    vec risen = vec_fma(vec_splat(0.5f), width, x);
    return vec_div(vec_min(width, vec_max(vec_splat(0), risen)), width);
}

FORMULA vec vec_hard_swish(vec x) { return vec_mul(vec_above_infinity(x), vec_hard_sigmoid(x, vec_splat(6))); }
