/*
 * test_kernel.c - the product, in every variant this machine can run: against the promised order of sums, bit for bit,
 * at every edge size, and with nothing touched that is not its own.
 */
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "numbers.h"
#include "oracle_matmul.h"

#include "../src/base/platform.h"
#include "../src/tensor/packed.h"
#include "../src/tensor/vec_portable.h"

/* ---- the fused multiply-add that the portable variant makes itself ----------------------------------------------- */

/* Exponents at which a b and c meet, cancel, underflow or overflow; fractions with few and with all bits. */
static float hard_float(uint64_t *seed)
{
    static const uint32_t exponents[] = {0,   1,   2,   11,  12,  13,  63,  64,  103, 104, 115, 126,
                                         127, 128, 138, 139, 150, 151, 190, 191, 253, 254, 255};
    static const uint32_t fractions[] = {0, 1, 2, 3, 0x400000, 0x3fffff, 0x400001, 0x7ffffe, 0x7fffff};
    uint32_t r = random_bits(seed), fraction = random_bits(seed) & 0x7fffff;
    if ((r & 3) != 0)
        fraction = fractions[(r >> 2) % 9];
    return float_of_bits((r & 0x80000000) | exponents[(r >> 8) % 23] << 23 | fraction);
}

static void check_fma(const float *a, const float *b, const float *c)
{
    float r[16];
    reg_store(r, reg_fma(reg_load(a), reg_load(b), reg_load(c)));
    for (size_t i = 0; i < 16; i++)
        if (!same_float(r[i], fmaf(a[i], b[i], c[i])))
            fail_msg("fma(%a, %a, %a) = %a, expected %a", (double)a[i], (double)b[i], (double)c[i], (double)r[i],
                     (double)fmaf(a[i], b[i], c[i]));
}

static void fma_is_exact(void **unused)
{
    uint64_t seed = 1;
    float a[16], b[16], c[16];
    (void)unused;
    for (size_t n = 0; n < 400000; n++) {
        for (size_t i = 0; i < 16; i++) {
            a[i] = n % 2 != 0 ? hard_float(&seed) : float_of_bits(random_bits(&seed));
            b[i] = n % 2 != 0 ? hard_float(&seed) : float_of_bits(random_bits(&seed));
            /* Every other sum nearly cancels: c is close to -a b. */
            c[i] = n % 4 < 2 ? hard_float(&seed) : -a[i] * b[i] * (1 + (float)(random_bits(&seed) % 5) * 0x1p-23f);
        }
        check_fma(a, b, c);
    }
}

static void square_roots_are_exact(void **unused)
{
    uint64_t seed = 2;
    (void)unused;
    for (size_t n = 0; n < 1000000; n++) {
        float x = float_of_bits(random_bits(&seed) & 0x7fffffff);
        if (!same_float(float_sqrt(x), sqrtf(x)))
            fail_msg("sqrt(%a) = %a, expected %a", (double)x, (double)float_sqrt(x), (double)sqrtf(x));
    }
    assert_true(same_float(float_sqrt(-1.0f), NAN));
    assert_true(same_float(float_sqrt(0.0f), 0.0f));
    assert_true(same_float(float_sqrt(INFINITY), INFINITY));
}

/* The variants this machine can run, best first, then NULL. Found once: asking the processor is slow in a virtual
   machine. */
static const ink_kernel *variants[8];

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static void kernels_are_named(void **unused)
{
    size_t n = 0;
    (void)unused;
    for (; ink_kernel_name(n) != NULL; n++) {
        const ink_kernel *kernel = ink_kernel_find(ink_kernel_name(n));
        assert_non_null(kernel);
        assert_string_equal(kernel->name, ink_kernel_name(n));
    }
    assert_true(n >= 1);
    assert_null(ink_kernel_name(n));
    assert_null(ink_kernel_name(SIZE_MAX));
    assert_string_equal(ink_kernel_name(n - 1), "portable");
    assert_string_equal(ink_kernel_find(NULL)->name, ink_kernel_name(0));
    assert_null(ink_kernel_find("abacus"));
    assert_null(ink_kernel_find(""));
}

/* ---- the product ------------------------------------------------------------------------------------------------- */

/* How the operands lie in memory. Everything between is NaN, which must be neither used nor overwritten. */
typedef struct placing {
    size_t x_pad, y_pad;              /* between rows */
    size_t x_shift, y_shift, b_shift; /* floats from an aligned address */
    size_t k_extra;                   /* room of the matrix beyond k */
    bool with_bias;
    ink_type type;
    const struct family *family; /* what numbers x and w are; NULL: as they come */
} placing;

typedef struct operands {
    float *x, *w, *bias, *exact; /* packed, as the oracle takes them */
    float *x_block, *y_block, *bias_block;
    ink_arena arena;
    ink_matrix matrix;
} operands;

static void *take(size_t count)
{
    float *p = malloc((count + 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < count; i++)
        p[i] = NAN;
    return p;
}

/* The weights of the test are multiples of 1/128, so that bf16 and f16 hold them, and for I8 whole numbers. */
static void make_weights(uint64_t *seed, ink_type type, size_t count, float *w)
{
    for (size_t i = 0; i < count; i++)
        w[i] = (float)((int32_t)(random_bits(seed) % 255) - 127) / (type == INK_I8 ? 1 : 128);
}

/* Numbers with which a fused multiply-add is hard: exponents from the least to the largest of both sides, and bits
   after the first one. */
typedef struct family {
    int x_least, x_most, w_least, w_most;
    int x_bits, w_bits;
    bool cancels; /* every other term takes back most of the one before */
} family;

static const family families[] = {
    {-2, 2, -2, 2, 23, 7, false},         /* sums half way between two floats, exact ones */
    {-2, 2, -2, 2, 23, 2, true},          /* and behind what cancelled */
    {-30, 0, -30, 0, 23, 7, true},        /* and inexact ones */
    {0, 0, 0, 24, 3, 3, true},            /* integers, and what is left of them */
    {-76, -66, -76, -66, 23, 23, false},  /* sums that are subnormal, or cross 2^-126 or 2^-149 */
    {-76, -66, -76, -66, 4, 4, false},    /* and half way between these */
    {-149, -100, -40, 20, 23, 7, false},  /* subnormal numbers */
    {-30, 30, -149, -110, 23, 23, false}, /* and on the other side */
    {-149, 10, -149, 10, 12, 7, true},
    {58, 63, 58, 63, 23, 23, true}, /* sums that become infinite, or nearly, and come back */
    {60, 64, 60, 63, 3, 3, true},
    {100, 127, 10, 26, 23, 7, true},
    {-149, 127, -149, 127, 23, 23, false},
    {-24, 0, 0, 0, 0, 0, false},       /* half way, but for bits that a double loses */
    {-76, -74, -76, -74, 0, 0, false}, /* the same between subnormal numbers */
    {126, 128, -5, 1, 23, 7, false},   /* infinite or NaN */
    {126, 128, -60, -20, 23, 7, false},
    {-5, 1, 126, 128, 23, 7, false},
};
#define N_FAMILIES (sizeof families / sizeof *families)

static float number_of(uint64_t *seed, int least, int most, int bits)
{
    const int exponent = least + (int)(random_bits(seed) % (uint32_t)(most - least + 1));
    if (bits == 0) {
        const float part = 1 / (float)(1u << (15 + random_bits(seed) % 2));
        const float near = random_bits(seed) % 2 != 0 ? 1 + part : 1 - part;
        return ldexpf(random_bits(seed) % 2 != 0 ? near : -near, exponent);
    }
    const uint32_t r = random_bits(seed), fraction = random_bits(seed) & 0x7fffff & ~(0x7fffffu >> bits);
    const uint32_t size =
        exponent < -126 ? (0x800000 | fraction) >> (-126 - exponent) : (uint32_t)(exponent + 127) << 23 | fraction;
    return r % 16 == 0 ? 0 : float_of_bits((r & 0x80000000) | size);
}

/* Terms 2 i and 2 i + 1 of a sum have the same weight if they cancel. */
static void make_hard(uint64_t *seed, const family *f, size_t m, size_t n, size_t k, operands *o)
{
    for (size_t i = 0; i < m * k; i++) {
        o->x[i] = number_of(seed, f->x_least, f->x_most, f->x_bits);
        if (f->cancels && i % k % 2 == 1 && random_bits(seed) % 4 != 0)
            o->x[i] = -o->x[i - 1] * (1 + (float)(random_bits(seed) % 3) * 0x1p-23f);
    }
    for (size_t i = 0; i < n * k; i++)
        o->w[i] = f->cancels && i % k % 2 == 1 ? o->w[i - 1] : number_of(seed, f->w_least, f->w_most, f->w_bits);
}

static void make_matrix(operands *o, const placing *p, size_t n, size_t k)
{
    static const ink_allocator allocator = {ink_platform_resize, NULL};
    ink_arena_grow(&o->arena, &allocator);
    size_t k_capacity = k + p->k_extra;
    void *panels_memory = ink_arena_alloc(&o->arena, ink_matrix_bytes(n, k_capacity, p->type), 1);
    o->matrix = ink_matrix_over(panels_memory, n, k, k_capacity, p->type);
    assert_false(ink_arena_failed(&o->arena));
    /* Lanes past n and rows past k are left as NaN. */
    size_t lanes = ink_panel_lanes(p->type), panels = ink_panel_count(n, p->type), size = ink_type_bits(p->type) / 8;
    memset(o->matrix.panels, 0xff, panels * o->matrix.panel_stride * size);
    for (size_t j = 0; j < n; j++)
        for (size_t t = 0; t < k; t++) {
            size_t at = j / lanes * o->matrix.panel_stride + t * lanes + j % lanes;
            if (p->type == INK_BF16)
                ((uint16_t *)o->matrix.panels)[at] = bf16_of(o->w[j * k + t]);
            else if (p->type == INK_F16)
                ((uint16_t *)o->matrix.panels)[at] = f16_of(o->w[j * k + t]);
            else if (p->type == INK_I8)
                ((int8_t *)o->matrix.panels)[at] = (int8_t)o->w[j * k + t];
            else
                ((float *)o->matrix.panels)[at] = o->w[j * k + t];
        }
}

static operands make_operands(const placing *p, size_t m, size_t n, size_t k)
{
    uint64_t seed = 17 + m + 1000 * n + 1000000 * k;
    operands o = {.x = take(m * k), .w = take(n * k), .bias = take(n), .exact = take(m * n)};
    random_floats(&seed, m * k, o.x);
    make_weights(&seed, p->type, n * k, o.w);
    random_floats(&seed, n, o.bias);
    if (p->family != NULL)
        make_hard(&seed, p->family, m, n, k, &o);
    for (size_t i = 0; p->type == INK_BF16 && i < n * k; i++)
        o.w[i] = float_of_bits(bits_of_float(o.w[i]) & 0xffff0000); /* small ones have fewer bits */
    oracle_product product = {m, n, k, o.x, o.w, p->with_bias ? o.bias : NULL};
    oracle_matmul_in_order(&product, o.exact);

    o.x_block = take(m * (k + p->x_pad) + 16);
    o.y_block = take(m * (n + p->y_pad) + 64);
    o.bias_block = take(n + 16);
    for (size_t i = 0; i < m; i++)
        memcpy(o.x_block + p->x_shift + i * (k + p->x_pad), o.x + i * k, k * sizeof *o.x);
    memcpy(o.bias_block + p->b_shift, o.bias, n * sizeof *o.bias);
    make_matrix(&o, p, n, k);
    return o;
}

static void free_operands(operands *o)
{
    free(o->x), free(o->w), free(o->bias), free(o->exact);
    free(o->x_block), free(o->y_block), free(o->bias_block);
    ink_arena_free(&o->arena);
}

/* All of y is right to the bit, and all around it is as it was. */
static void check_result(const ink_kernel *kernel, const operands *o, const placing *p, size_t m, size_t n, size_t k)
{
    size_t stride = n + p->y_pad, size = m * stride + 64;
    for (size_t at = 0; at < size; at++) {
        bool inside = at >= p->y_shift && stride != 0;
        size_t i = inside ? (at - p->y_shift) / stride : m, j = inside ? (at - p->y_shift) % stride : 0;
        float expected = i < m && j < n ? o->exact[i * n + j] : NAN;
        if (!same_float(o->y_block[at], expected))
            fail_msg("%s, m %zu n %zu k %zu, %s: y[%zu][%zu] is %a, expected %a", kernel->name, m, n, k,
                     ink_type_name(p->type), i, j, (double)o->y_block[at], (double)expected);
    }
}

static void check_product(const placing *p, size_t m, size_t n, size_t k)
{
    operands o = make_operands(p, m, n, k);
    for (size_t v = 0; variants[v] != NULL; v++) {
        const ink_product product = {.x = o.x_block + p->x_shift,
                                     .x_stride = k + p->x_pad,
                                     .m = m,
                                     .w = &o.matrix,
                                     .bias = p->with_bias ? o.bias_block + p->b_shift : NULL,
                                     .y = o.y_block + p->y_shift,
                                     .y_stride = n + p->y_pad};
        for (size_t at = 0; at < m * (n + p->y_pad) + 64; at++)
            o.y_block[at] = NAN;
        variants[v]->multiply[p->type](&product, 0, m, 0, ink_panel_count(n, p->type));
        check_result(variants[v], &o, p, m, n, k);
    }
    free_operands(&o);
}

static const ink_type panel_types[] = {INK_F32, INK_BF16, INK_F16, INK_I8};
#define N_PANEL_TYPES (sizeof panel_types / sizeof *panel_types)

/* The placing of the i-th product: a different one every time. */
static placing placing_of(size_t i)
{
    return (placing){.x_pad = i % 3,
                     .y_pad = i / 3 % 4 * 5,
                     .x_shift = i % 16,
                     .y_shift = i * 7 % 16,
                     .b_shift = i * 3 % 16,
                     .k_extra = i % 5 == 0 ? 3 : 0,
                     .with_bias = i % 2 == 0,
                     .type = panel_types[i / 2 % N_PANEL_TYPES]};
}

static void small_products_of_every_size(void **unused)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 33};
    const size_t n_sizes = sizeof sizes / sizeof *sizes;
    (void)unused;
    for (size_t i = 0; i < n_sizes * n_sizes * n_sizes; i++) {
        placing p = placing_of(i);
        check_product(&p, sizes[i % n_sizes], sizes[i / n_sizes % n_sizes], sizes[i / n_sizes / n_sizes]);
    }
}

/* One side large: more rows than a row block, panels enough for every grouping, k around the blocks of the sum. */
static void products_with_a_large_side(void **unused)
{
    static const size_t large[] = {47,  48,  49,  63,  64,  65,  79,  80,  81,  112, 127,
                                   128, 129, 133, 255, 256, 257, 258, 511, 512, 513, 770};
    static const size_t small[][2] = {{1, 1}, {1, 33}, {2, 17}, {3, 64}, {7, 50}, {13, 17}};
    size_t number = 0;
    (void)unused;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        for (size_t j = 0; j < sizeof small / sizeof *small; j++)
            for (size_t type = 0; type < N_PANEL_TYPES; type++) {
                size_t a = small[j][0], b = small[j][1];
                placing p = placing_of(number++);
                p.type = panel_types[type];
                check_product(&p, large[i], a, b);
                check_product(&p, a, large[i], b);
                check_product(&p, a, b, large[i]);
                check_product(&p, b, a, large[i]);
            }
}

/* A single row takes its panels in groups of all widths, near weights in other ones than far weights. */
static void single_rows_of_every_number_of_panels(void **unused)
{
    static const size_t inputs[] = {1, 8, 33, 257};
    (void)unused;
    for (size_t panels = 1; panels <= 30; panels++)
        for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
            placing p = placing_of(panels + i);
            p.type = INK_F32;
            check_product(&p, 1, 16 * panels, inputs[i]);
            check_product(&p, 1, 16 * panels - 1 - panels % 15, inputs[i]);
        }
}

/* A single row may take its panels from the last one on, and write the last one whole: the same outputs, and nothing
   behind the last panel. */
static void single_rows_backwards_and_whole(void **unused)
{
    (void)unused;
    for (size_t n = 1; n <= 16 * 14; n += 5) {
        placing p = {.type = INK_F32, .with_bias = n % 2 == 0};
        operands o = make_operands(&p, 1, n, 33);
        const size_t whole = ink_whole_vecs(n);
        for (size_t v = 0; variants[v] != NULL; v++) {
            ink_product product = {.x = o.x_block, .x_stride = 33, .m = 1, .w = &o.matrix, .y_stride = n};
            float y[2][16 * 15];
            product.bias = p.with_bias ? o.bias_block : NULL;
            for (size_t i = 0; i < 2; i++) {
                for (size_t at = 0; at < 16 * 15; at++)
                    y[i][at] = 77;
                product.y = y[i];
                product.backwards = product.whole = i == 1;
                variants[v]->multiply[INK_F32](&product, 0, 1, 0, ink_panel_count(n, INK_F32));
            }
            assert_memory_equal(y[0], y[1], n * sizeof **y);
            for (size_t at = whole; at < 16 * 15; at++)
                assert_true(y[1][at] == 77);
        }
        free_operands(&o);
    }
}

static void every_alignment(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 16; i++)
        for (size_t j = 0; j < 16; j++) {
            placing p = {.x_shift = i, .y_shift = j, .b_shift = (i + j) % 16, .with_bias = true, .type = INK_F32};
            check_product(&p, 9, 37, 19);
        }
}

/* The fused multiply-adds of all kernels: a few terms, where each is seen, and many, where each is in the next. */
static void hard_numbers(void **unused)
{
    static const size_t terms[] = {2, 3, 31, 66, 300};
    (void)unused;
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (size_t j = 0; j < sizeof terms / sizeof *terms; j++)
            for (size_t m = 19; m < 23; m++) {
                const placing p = {.type = families[i].w_bits <= 7 && m % 2 == 0 ? INK_BF16 : INK_F32,
                                   .family = &families[i]};
                check_product(&p, families[i].x_bits == 0 && j == 0 ? 50 * m : m, 37, terms[j]);
            }
}

/* A term of 2^-24 (1 - 2^-29) or 2^-24 (1 + 2^-30) behind a sum near 1 is about half of its last bit. As a double the
   sum is exactly half way, whichever side it is on. */
static void bits_that_a_double_loses(void **unused)
{
    static const float pairs[][2] = {{2304167 * 0x1p-46f, 233 * 0x1p-7f}, {16519105 * 0x1p-54f, 65}};
    (void)unused;
    for (size_t i = 0; i < 64; i++) {
        const bool first = i % 2 == 0;
        const placing p = {.type = panel_types[i / 2 % N_PANEL_TYPES]};
        if (first && p.type == INK_I8)
            continue;
        operands o = make_operands(&p, 1, 16, 2);
        o.x_block[0] = 1 + (float)(i / 8 % 4) * 0x1p-23f;
        o.x_block[1] = i / 32 == 0 ? pairs[!first][0] : -pairs[!first][0];
        for (size_t j = 0; j < 16; j++) {
            o.w[2 * j] = 1;
            o.w[2 * j + 1] = pairs[!first][1];
            o.exact[j] = fmaf(o.x_block[1], o.w[1], o.x_block[0]);
        }
        ink_arena_free(&o.arena);
        make_matrix(&o, &p, 16, 2);
        for (size_t v = 0; variants[v] != NULL; v++) {
            const ink_product product = {
                .x = o.x_block, .x_stride = 2, .m = 1, .w = &o.matrix, .y = o.y_block, .y_stride = 16};
            for (size_t at = 0; at < 16 + 64; at++)
                o.y_block[at] = NAN;
            variants[v]->multiply[p.type](&product, 0, 1, 0, 1);
            check_result(variants[v], &o, &p, 1, 16, 2);
        }
        free_operands(&o);
    }
}

/* y += weight x, which is fused, for numbers of every kind. */
static void hard_numbers_alone(void **unused)
{
    uint64_t seed = 3;
    float x[64], y[64], sum[64];
    (void)unused;
    for (size_t n = 0; n < 20000; n++) {
        const float weight = hard_float(&seed);
        for (size_t i = 0; i < 64; i++) {
            x[i] = hard_float(&seed);
            y[i] = n % 2 == 0 ? hard_float(&seed) : -weight * x[i] * (1 + (float)(random_bits(&seed) % 3) * 0x1p-23f);
        }
        for (size_t v = 0; variants[v] != NULL; v++) {
            memcpy(sum, y, sizeof sum);
            variants[v]->add_share(x, 64, weight, 1, sum);
            for (size_t i = 0; i < 64; i++)
                if (!same_float(sum[i], fmaf(weight, x[i], y[i])))
                    fail_msg("%s: fma(%a, %a, %a) = %a, expected %a", variants[v]->name, (double)weight, (double)x[i],
                             (double)y[i], (double)sum[i], (double)fmaf(weight, x[i], y[i]));
        }
    }
}

static void check_parts(ink_type type)
{
    const placing p = {.with_bias = true, .type = type};
    const size_t m = 150, n = 150, k = 300, panels = ink_panel_count(n, type);
    operands o = make_operands(&p, m, n, k);
    for (size_t v = 0; variants[v] != NULL; v++) {
        const ink_product product = {
            .x = o.x_block, .x_stride = k, .m = m, .w = &o.matrix, .bias = o.bias_block, .y = o.y_block, .y_stride = n};
        for (size_t part = 1; part < 10; part += 4) {
            for (size_t at = 0; at < m * n + 64; at++)
                o.y_block[at] = NAN;
            for (size_t row = 0; row < m; row += 11 * part)
                for (size_t panel = 0; panel < panels; panel += part)
                    variants[v]->multiply[p.type](&product, row, row + 11 * part < m ? row + 11 * part : m, panel,
                                                  panel + part < panels ? panel + part : panels);
            check_result(variants[v], &o, &p, m, n, k);
        }
    }
    free_operands(&o);
}

/* A product that is done in parts, rows and panels, is the whole product. */
static void parts_make_the_whole(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_PANEL_TYPES; i++)
        check_parts(panel_types[i]);
}

/* x, bias and y end where a page begins that nobody may touch. */
static void nothing_beyond_the_end(void **unused)
{
    static const size_t sizes[][3] = {{1, 1, 1}, {1, 19, 5}, {3, 15, 7}, {8, 33, 16}, {17, 63, 257}, {6, 95, 33}};
    (void)unused;
    for (size_t i = 0; i < 18; i++) {
        const placing p = {.with_bias = true, .type = i < 6 ? INK_F32 : i < 12 ? INK_BF16 : INK_I8};
        size_t m = sizes[i % 6][0], n = sizes[i % 6][1], k = sizes[i % 6][2];
        operands o = make_operands(&p, m, n, k);
        float *x = guarded_block(m * k * 4), *y = guarded_block(m * n * 4), *bias = guarded_block(n * 4);
        memcpy(x, o.x, m * k * 4);
        memcpy(bias, o.bias, n * 4);
        for (size_t v = 0; variants[v] != NULL; v++) {
            const ink_product product = {
                .x = x, .x_stride = k, .m = m, .w = &o.matrix, .bias = bias, .y = y, .y_stride = n};
            variants[v]->multiply[p.type](&product, 0, m, 0, ink_panel_count(n, p.type));
            assert_memory_equal(y, o.exact, m * n * 4);
        }
        guarded_free(x, m * k * 4);
        guarded_free(y, m * n * 4);
        guarded_free(bias, n * 4);
        free_operands(&o);
    }
}

/* Codes of any rows, beside a division and a rounding in double precision; what has no scale. */
static void codes_are_the_nearest(void **unused)
{
    uint64_t seed = 5;
    (void)unused;
    for (size_t round = 0; round < 2000; round++) {
        float x[70], largest = 0;
        size_t n = 1 + round % 70;
        random_floats(&seed, n, x);
        for (size_t i = 0; i < n; i++) {
            x[i] = ldexpf(x[i], (int)(round % 250) - 125);
            largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
        }
        for (size_t v = 0; variants[v] != NULL; v++) {
            int8_t y[71];
            y[n] = 77;
            assert_true(variants[v]->largest(x, n) == largest);
            float scale = variants[v]->to_i8(x, n, largest, y), expected = largest / 127;
            assert_int_equal(y[n], 77);
            assert_true(scale == (expected < 0x1p-126f ? 0 : expected));
            for (size_t i = 0; i < n; i++)
                assert_int_equal(y[i], scale == 0 ? 0 : (int)nearbyint((double)(x[i] / scale)));
        }
    }
    for (size_t v = 0; variants[v] != NULL; v++) {
        const float ties[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, -126.5f, -127};
        const int8_t even[] = {127, 0, 2, 2, 0, -2, -2, -126, -127};
        float wrong[2] = {1, INFINITY}, tiny[2] = {0x1p-149f, 0};
        int8_t y[9];
        assert_true(variants[v]->to_i8(ties, 9, 127, y) == 1);
        assert_memory_equal(y, even, 9);
        assert_true(isnan(variants[v]->largest(wrong, 2)));
        wrong[1] = NAN;
        assert_true(isnan(variants[v]->largest(wrong, 2)));
        assert_true(isnan(variants[v]->to_i8(wrong, 2, NAN, y)));
        assert_int_equal(y[0], 0);
        assert_true(variants[v]->to_i8(tiny, 2, 0x1p-149f, y) == 0);
        assert_true(variants[v]->largest(tiny, 0) == 0);
        assert_int_equal(y[0], 0);
    }
}

/* Rounding errors stay those of sums in blocks: the worst of many long sums against double precision. */
static void long_sums_are_accurate(ink_context *ctx)
{
    const size_t n = 64, k = 4096;
    float *w = take(n * k), *x = take(k), *y = take(n);
    double *exact = malloc(n * sizeof *exact);
    uint64_t seed = 5;
    random_floats(&seed, n * k, w);
    for (size_t t = 0; t < k; t++)
        x[t] = 1.0f / 4096;
    const oracle_product product = {1, n, k, x, w, NULL};
    oracle_matmul(&product, exact);
    const ink_tensor tensor = ink_tensor_2d(w, n, k);
    ink_matrix *matrix;
    assert_ok(ctx, ink_matrix_create(ctx, &tensor, INK_F32, &matrix));
    assert_ok(ctx, ink_matrix_multiply(ctx, matrix, NULL, x, 1, y));
    for (size_t j = 0; j < n; j++)
        assert_true(fabs((double)y[j] - exact[j]) <= 3e-8);
    ink_matrix_free(matrix);
    free(w), free(x), free(y), free(exact);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fma_is_exact),
        cmocka_unit_test(square_roots_are_exact),
        cmocka_unit_test(kernels_are_named),
        cmocka_unit_test(small_products_of_every_size),
        cmocka_unit_test(products_with_a_large_side),
        cmocka_unit_test(single_rows_of_every_number_of_panels),
        cmocka_unit_test(single_rows_backwards_and_whole),
        cmocka_unit_test(every_alignment),
        cmocka_unit_test(hard_numbers),
        cmocka_unit_test(bits_that_a_double_loses),
        cmocka_unit_test(hard_numbers_alone),
        cmocka_unit_test(parts_make_the_whole),
        cmocka_unit_test(nothing_beyond_the_end),
        cmocka_unit_test(codes_are_the_nearest),
        context_test(long_sums_are_accurate),
    };
    for (size_t i = 0; i < 7 && ink_kernel_name(i) != NULL; i++)
        variants[i] = ink_kernel_find(ink_kernel_name(i));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
