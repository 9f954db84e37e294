/*
 * kernel_wide.h - tiles of the product where there is no fused multiply-add (kernel_product.h has the loops around
 * them). A tile is one row by sixteen lanes, and its sums are doubles, two in a register:
 *
 *     p = x w          exact: 24 + 24 bits fit the 53 of a double
 *     s = p + sum      rounded to 53 bits
 *     sum = s          rounded to 24 bits: half of the last of them is added to the bits of s, the others are cut off
 *
 * Rounding twice is rounding once, unless s lies half way between two floats. Then those bits are 0 after half has been
 * added, which costs one comparison, and the slow way of float_fma.h gives the sum.
 *
 * x is multiplied by 2^-896. The least normal float, 2^-126, is then the least normal double, 2^-1022: doubles become
 * subnormal where floats do, and are rounded at the same bit there. They do not overflow where floats do. So the
 * exponents of x and w are looked at before: where a sum could reach 2^127, no bits are cut off, and every sum is taken
 * to lie half way.
 *
 * One case is left: a sum of nothing but negative terms below 2^-179 is +0, and -0 with a fused multiply-add. It shows
 * only if -0 is added to it.
 */

#define WIDE_ROWS 16  /* rows that use the same doubles of W, */
#define WIDE_STEPS 32 /* so many steps at a time: 4 KB */
#define WIDE_SCALE 0x1p-896
#define WIDE_HALF 0x10000000u
#define WIDE_KEEP 0xffffffffe0000000u
#define WIDE_SMALL (63 << 20) /* upper half of the bits of 2^-960 */

typedef struct wide_row {
    doubles sum[8];    /* times WIDE_SCALE */
    uint32_t exponent; /* the largest in x */
    uint64_t keep;     /* bits of a double */
    bool exact;
} wide_row;

INLINE vec load_weights(const char *w, ink_type type)
{
    if (type == INK_BF16)
        return vec_load_bf16((const uint16_t *)(const void *)w);
    if (type == INK_F16)
        return vec_load_f16((const uint16_t *)(const void *)w);
    if (type == INK_I8)
        return vec_load_i8((const int8_t *)(const void *)w);
    return vec_load((const float *)(const void *)w);
}

/* For the largest exponent of many floats it is enough to compare the upper halves of their bits, without the sign. */
INLINE shorts keep_largest(shorts largest, vec a) { return larger_shorts(largest, (shorts)((words)a.v & 0x7fffffff)); }
INLINE uint32_t largest_exponent(shorts largest)
{
    int a = largest[1] > largest[3] ? largest[1] : largest[3], b = largest[5] > largest[7] ? largest[5] : largest[7];
    return (uint32_t)(a > b ? a : b) >> 7;
}

/* The weights of some steps as doubles, zeros in the lanes from `lanes` on; returns their largest exponent. */
INLINE uint32_t widen(const char *w, size_t lanes, size_t steps, doubles *to, ink_type type)
{
    words exist[4] = {{0}};
    shorts largest = {0};
    for (size_t i = 0; i < 16; i++)
        exist[i / 4][i % 4] = i < lanes ? UINT32_MAX : 0;
    UNROLL_STEPS
    for (size_t t = 0; t < steps; t++, w += panel_row(type), to += 8) {
        UNROLL
        for (size_t i = 0; i < 4; i++) {
            const vec a = {(floats)((words)load_weights(w + 4 * i * bytes_of(type), type).v & exist[i])};
            largest = keep_largest(largest, a);
            to[2 * i] = widen_low(a.v);
            to[2 * i + 1] = widen_high(a.v);
        }
    }
    return largest_exponent(largest);
}

/* s = p + c where s may lie half way: e is the error of the addition (float_fma.h), and half of a last bit less one is
   added to s; or half, where e points away from 0, or is 0 and the last bit is 1. */
INLINE doubles round_half_way(doubles p, doubles c, doubles s)
{
    const doubles c_part = s - p, e = (p - (s - c_part)) + (c - c_part);
    const longs exact = (longs)(e == 0), last = (longs)s >> 29, away = ~((longs)e ^ (longs)s) >> 63;
    return (doubles)(((longs)s + (WIDE_HALF - 1) + (((last & exact) | (away & ~exact)) & 1)) & WIDE_KEEP);
}

/* Is one of four sums below 2^-64? Then its product may have lost bits, which that of floats has not. */
INLINE bool any_small(doubles a, doubles b)
{
    return any_word((words)((ints)(odd_words(a, b) & 0x7fffffff) < WIDE_SMALL));
}

/* Four sums in the slow way. */
static NOINLINE void fix_sums(doubles *sum, const doubles *w, double x)
{
    for (int i = 0; i < 4; i++) {
        const float c = (float)(sum[i / 2][i % 2] * (1 / WIDE_SCALE));
        sum[i / 2][i % 2] = (double)float_fma((float)(x * (1 / WIDE_SCALE)), (float)w[i / 2][i % 2], c) * WIDE_SCALE;
    }
}

/* Adds the terms of some steps to the sums of a row. With `exact`, no sum may be inexact as a double: then half way
   goes to the even float. */
INLINE void add_steps(wide_row *row, const float *x, const doubles *w, size_t steps, bool exact)
{
    const longs keep = {row->keep, row->keep}, half = {WIDE_HALF, WIDE_HALF};
    const bool strict = row->keep == UINT64_MAX;
    doubles sum[8];
    UNROLL
    for (size_t i = 0; i < 8; i++)
        sum[i] = row->sum[i];
    UNROLL_STEPS
    for (size_t t = 0; t < steps; t++, w += 8) {
        const double x_t = (double)x[t] * WIDE_SCALE;
        const doubles broadcast = {x_t, x_t};
        UNROLL
        for (size_t i = 0; i < 8; i += 2) {
            const doubles p0 = broadcast * w[i], p1 = broadcast * w[i + 1];
            const doubles s0 = p0 + sum[i], s1 = p1 + sum[i + 1];
            if (exact) {
                sum[i] = (doubles)(((longs)s0 + (half - 1) + ((longs)s0 >> 29 & 1)) & keep);
                sum[i + 1] = (doubles)(((longs)s1 + (half - 1) + ((longs)s1 >> 29 & 1)) & keep);
                continue;
            }
            const longs t0 = (longs)s0 + half, r0 = t0 & keep, t1 = (longs)s1 + half, r1 = t1 & keep;
            if (!UNLIKELY(low_halves_meet(t0, r0, t1, r1))) {
                sum[i] = (doubles)r0;
                sum[i + 1] = (doubles)r1;
            } else if (!strict && !any_small(s0, s1)) {
                sum[i] = round_half_way(p0, sum[i], s0);
                sum[i + 1] = round_half_way(p1, sum[i + 1], s1);
            } else {
                doubles pair[2] = {sum[i], sum[i + 1]};
                fix_sums(pair, w + i, x_t);
                sum[i] = pair[0];
                sum[i + 1] = pair[1];
            }
        }
    }
    UNROLL
    for (size_t i = 0; i < 8; i++)
        row->sum[i] = sum[i];
}

static NOINLINE void add_terms(wide_row *row, const float *x, const doubles *w, size_t steps)
{
    add_steps(row, x, w, steps, false);
}

#ifdef SEES_INEXACT
/* Weights of few bits often make sums that lie half way, and hardly any that is inexact as a double. The processor
   tells if one was; the sums are then taken back. Two functions, so that no addition moves out of the time between. */
static NOINLINE void add_exact_terms(wide_row *row, const float *x, const doubles *w, size_t steps)
{
    add_steps(row, x, w, steps, true);
}

INLINE bool added_exactly(wide_row *row, const float *x, const doubles *w, size_t steps)
{
    const wide_row before = *row;
    forget_inexact();
    add_exact_terms(row, x, w, steps);
    if (!was_inexact())
        return true;
    *row = before;
    return false;
}

/* Programs that play a processor, as valgrind does, may not tell. */
static NOINLINE bool sees_inexact(void)
{
    volatile double one = 1, sum;
    forget_inexact();
    sum = one + 0x1p-60;
    return was_inexact() && sum == 1;
}
#else
#define sees_inexact() false
#define added_exactly(row, x, w, steps) false
#endif

/* y = start + sum */
INLINE void store_row(const wide_row *row, const float *start, float *y, size_t lanes)
{
    for (size_t i = 0; i < 4 && 4 * i < lanes; i++) {
        const size_t n = lanes_from(4 * i, lanes);
        const vec sum = {narrow(row->sum[2 * i] * (1 / WIDE_SCALE), row->sum[2 * i + 1] * (1 / WIDE_SCALE))};
        store_lanes(y + 4 * i, n, vec_add(load_lanes(start + 4 * i, n), sum));
    }
}

/* All rows of a block by the sixteen lanes of register `first`. */
INLINE void tiles(const panel_block *b, size_t rows, size_t max_rows, size_t first, size_t width, size_t prefetch,
                  ink_type type)
{
    const size_t lane = first * 16, lanes = b->lanes < lane ? 0 : b->lanes - lane < 16 ? b->lanes - lane : 16;
    const bool short_weights = type != INK_F32 && sees_inexact();
    (void)max_rows, (void)width, (void)prefetch;
    for (size_t from = 0, count; lanes > 0 && from < rows; from += count) {
        wide_row row[WIDE_ROWS];
        doubles w[WIDE_STEPS * 8];
        count = rows - from < WIDE_ROWS ? rows - from : WIDE_ROWS;
        for (size_t r = 0; r < count; r++) {
            const float *x = b->x + (from + r) * b->x_stride;
            shorts largest = {0};
            for (size_t t = 0; t < b->k; t += 4)
                largest = keep_largest(largest, load_lanes(x + t, lanes_from(t, b->k)));
            row[r] = (wide_row){.exponent = largest_exponent(largest), .keep = WIDE_KEEP, .exact = short_weights};
        }
        for (size_t t = 0, steps; t < b->k; t += steps) {
            steps = b->k - t < WIDE_STEPS ? b->k - t : WIDE_STEPS;
            const uint32_t exponent = widen(b->w + panel_row(type) * t + lane * bytes_of(type), lanes, steps, w, type);
            for (size_t r = 0; r < count; r++) {
                /* |x| < 2^(e - 126) for an exponent e, and there are 2^8 terms at most. */
                if (row[r].exponent + exponent > 370)
                    row[r].keep = UINT64_MAX;
                const float *x = b->x + (from + r) * b->x_stride + t;
                if (row[r].exact && row[r].keep == WIDE_KEEP && added_exactly(&row[r], x, w, steps))
                    continue;
                row[r].exact = false;
                add_terms(&row[r], x, w, steps);
            }
        }
        for (size_t r = 0; r < count; r++) {
            const size_t at = from + r;
            store_row(&row[r], b->start + at * b->start_stride + lane, b->y + at * b->y_stride + lane, lanes);
        }
    }
}

/* A single row has the same tiles (ONE_PANELS is 1). */
#define one_row(p, row, panel, end) ((void)0)
