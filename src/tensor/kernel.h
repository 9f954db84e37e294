/*
 * kernel.h - the table of functions that do all float arithmetic of the library.
 *
 * kernel_portable.c, kernel_128.c, kernel_avx2.c, kernel_avx512.c and kernel_neon.c compile one body (kernel_body.h)
 * for one instruction set each, and export one constant table; or two, where some processors also have dot products of
 * bytes. A context chooses its table when it is created. All tables give the same bits; NaNs count as one value. The
 * functions are called in the float mode of ink_float_mode_enter() (platform.h).
 */
#ifndef INK_TENSOR_KERNEL_H
#define INK_TENSOR_KERNEL_H

#include <inkling/matrix.h>
#include <inkling/types.h>

#include <string.h>

#include "../base/internal.h" /* ink_kernel_find() */

/* A panel has 16 lanes of F32 or 32 of BF16 or F16, one line of the cache; or 16 lanes of 4 codes each of a quantised
   type; or 16 lanes of I8, which has no scale here: the codes of a key/value cache (attention.c). */
#define INK_PANEL 16

static inline size_t ink_panel_lanes(ink_type type)
{
    return type == INK_BF16 || type == INK_F16 ? 2 * INK_PANEL : INK_PANEL;
}

/* -DINK_NO_BF16, -DINK_NO_F16, -DINK_NO_I8 and -DINK_NO_QUANTISED leave out the products of these types. */
#ifdef INK_NO_BF16
#define INK_HAS_BF16 false
#else
#define INK_HAS_BF16 true
#endif
#ifdef INK_NO_F16
#define INK_HAS_F16 false
#else
#define INK_HAS_F16 true
#endif
#ifdef INK_NO_I8
#define INK_HAS_I8 false
#else
#define INK_HAS_I8 true
#endif

#ifdef INK_NO_QUANTISED
#define INK_HAS_QUANTISED false
#else
#define INK_HAS_QUANTISED true
#endif

/* Floats of a row of n that begins and ends with whole vecs, whatever the kernel. */
static inline size_t ink_whole_vecs(size_t n) { return (n + INK_PANEL - 1) / INK_PANEL * INK_PANEL; }

/* Panels of n outputs. */
static inline size_t ink_panel_count(size_t n, ink_type type)
{
    return ink_panel_lanes(type) == INK_PANEL ? n / INK_PANEL + (n % INK_PANEL != 0)
                                              : n / (2 * INK_PANEL) + (n % (2 * INK_PANEL) != 0);
}

/*
 * The panels of a quantised type. A panel is cut along k into chunks of INK_SUM_BLOCK columns; the last may be shorter,
 * but it is a whole number of blocks of 32. First in a chunk are its scales, filled up to a multiple of 64 bytes; then
 * come the codes of its blocks, as bytes without a sign:
 *
 *     scales   what a block of the file (ink_type_block()) holds beside its codes: first its F16 numbers, each 32 bytes
 *              for 16 lanes, then its bytes, each 16 bytes for 16 lanes; then the same of the next block
 *     codes    8 groups of 4 columns. Group g of 8-bit codes is a line of 64 bytes: byte 4 l + i is column 4 g + i of
 *              lane l. With 4 to 6 bits, line g of 4 holds group g in the low and group g + 4 in the high halves of its
 *              bytes. The fifth bits of all groups are one line more, bit g of byte 4 l + i that of group g. The fifth
 *              and sixth bits are two, the first with groups 0 to 3, bits 2 g and 2 g + 1. Codes of 2 or 3 bits have
 *              only those two, and one line of third bits
 */
#define INK_BLOCK 32       /* columns */
#define INK_CHUNK_BLOCKS 8 /* blocks in a chunk */
#define INK_MOST_FOLDS 16  /* scales of a lane in a chunk */

typedef struct ink_panel_format {
    uint8_t bits;               /* of a code: 8, 6, 5, 4, 3 or 2 */
    uint8_t zero;               /* q = code - zero */
    uint8_t fold;               /* columns that share a scale: 32 or 16 */
    bool minima;                /* a weight is scale q + minimum, not scale q */
    const uint8_t *table;       /* [16]: q = table[code] - zero; NULL: no table */
    uint16_t code_bytes;        /* of 32 columns of a panel */
    uint8_t halves_at, halves;  /* the F16 numbers of a block of the file: offset, and how many */
    uint8_t numbers_at, number; /* the same of its bytes */
    uint16_t elements;          /* of a block of the file */
} ink_panel_format;

const ink_panel_format *ink_panel_format_of(ink_type type); /* of a quantised type */

/* Bytes of the scales of a chunk with so many blocks of 32, and of the whole chunk: multiples of 64. A chunk of a type
   with longer blocks is one of them. */
static inline size_t ink_chunk_scale_bytes(const ink_panel_format *format, size_t blocks)
{
    size_t each = (2u * format->halves + format->number) * INK_PANEL;
    return (each * (format->elements == INK_BLOCK ? blocks : 1) + 63) / 64 * 64;
}

static inline size_t ink_chunk_bytes(const ink_panel_format *format, size_t blocks)
{
    return ink_chunk_scale_bytes(format, blocks) + blocks * format->code_bytes;
}

/* The integers of the scales of IQ4_XS plus 32, [8][16], from their four low bits [4][16], two in a byte, and from the
   16 high bits of each lane. */
void ink_chunk_integers_iq4_xs(const uint8_t *low, const uint8_t *high, uint8_t *integers);

/*
 * A quantised row of x, the left side of a quantised product (matrix.h says how it is rounded): the codes of k columns,
 * zeros up to a whole block, and for every `fold` columns
 *
 *     start    -zero times the sum of the codes: what a sum of products with codes of W begins with
 *     scale
 *     sum      scale times the sum of the codes, for minima
 */
static inline size_t ink_row_blocks(size_t k) { return k / INK_BLOCK + (k % INK_BLOCK != 0); }

static inline size_t ink_row_bytes(const ink_panel_format *format, size_t k)
{
    return (ink_row_blocks(k) * (INK_BLOCK + INK_BLOCK / format->fold * 12u) + 63) / 64 * 64;
}

/* The lower half of an ink_activation is the number of its function. If it has a parameter of its own,
   INK_OWN_PARAMETER is set in that half, and the bits of the parameter are the upper half. */
#define INK_OWN_PARAMETER ((uint32_t)1 << 31)

static inline uint32_t ink_activation_function(ink_activation activation)
{
    return (uint32_t)activation & ~INK_OWN_PARAMETER;
}

/* The parameter, or the default of the function; 0: the function has none. */
static inline float ink_activation_parameter(ink_activation activation)
{
    static const float defaults[INK_N_ACTIVATIONS] = {
        [INK_LEAKY_RELU] = 0.01f, [INK_ELU] = 1, [INK_SOFTPLUS] = 1, [INK_HARD_SIGMOID] = 1.0f / 6};
    uint32_t bits = (uint32_t)(activation >> 32);
    float parameter = defaults[ink_activation_function(activation)];
    if ((activation & INK_OWN_PARAMETER) != 0)
        memcpy(&parameter, &bits, sizeof parameter);
    return parameter;
}

/* y[r][c] = sum over t of x[r][t] w[c][t] + bias[c], r < m, c < w->n; in the order of sums of matrix.h. Strides are in
   elements. y must not overlap x or w. */
typedef struct ink_product {
    const float *x;
    size_t x_stride;
    size_t m;
    const ink_matrix *w;
    const float *bias; /* [w->n] or NULL */
    float *y;
    size_t y_stride;
    const uint8_t *rows; /* quantised w: the quantised rows of x [m][ink_row_bytes()], instead of x */
    bool backwards;      /* m is 1, or it has no effect: the panels may be taken from the last one on */
    bool whole;          /* m is 1, and y has room for whole panels: anything may be written behind the last output */
} ink_product;

typedef void ink_multiply_fn(const ink_product *product, size_t row, size_t row_end, size_t panel, size_t panel_end);

/* The functions for quantised matrices, which differ between processors whose floats are alike: some have dot products
   of bytes. */
typedef struct ink_quantised_kernel {
    /* Quantises row x [k] for a product with matrices of that format. */
    void (*quantise_row)(const ink_panel_format *format, const float *x, size_t k, uint8_t *row);
    ink_multiply_fn *multiply;

    /* The scales of a chunk, and the minima if the type has them, as floats: [folds][16]. */
    void (*scales)(ink_type type, const uint8_t *chunk, size_t blocks, float *scales, float *minima);
} ink_quantised_kernel;

typedef struct ink_kernel {
    const char *name;
    bool (*supported)(void); /* by this machine and its operating system */

    /* By the type of w: the part of a product with rows [row, row_end) and panels [panel, panel_end). */
    ink_multiply_fn *multiply[INK_I8 + 1];
    const ink_quantised_kernel *quantised; /* NULL: this build leaves them out */

    /* y[i] = f(x[i]); y may be x. exp, log, erf, tanh and sigmoid are within 2 units in the last place everywhere,
       sin and cos for |x| <= 2^17, beyond which they are NaN; gelu, gelu_tanh and silu within 1e-7 max(1, |x|), the
       other activations within 1e-6 of the result's size or of 1e-6, whichever is larger. NaN gives NaN. */
    void (*activate)(ink_activation activation, const float *x, size_t n, float *y);
    void (*exp)(const float *x, size_t n, float *y);
    void (*log)(const float *x, size_t n, float *y);
    void (*erf)(const float *x, size_t n, float *y);
    void (*sin)(const float *x, size_t n, float *y);
    void (*cos)(const float *x, size_t n, float *y);

    /* y[i] += x[i]; y[i] *= x[i]. */
    void (*add)(const float *x, size_t n, float *y);
    void (*multiply_elements)(const float *x, size_t n, float *y);

    /* y[i] += weight / total x[i], fused; y[i] = max(x[i], y[i]); x = x / max(|x|, 1e-12). */
    void (*add_share)(const float *x, size_t n, float weight, float total, float *y);
    void (*keep_largest)(const float *x, size_t n, float *y);
    void (*unit_length)(float *x, size_t n);

    /* nn.BatchNorm1d computes scale x + shift; weight and bias may be NULL. */
    void (*batch_norm)(const float *mean, const float *variance, const float *weight, const float *bias, size_t n,
                       float eps, float *scale, float *shift);

    /* 1 / sqrt(x), both steps rounded. */
    float (*inverse_sqrt)(float x);

    /* x = softmax(scale * x), or its logarithm, in place, over n >= 1 elements. */
    void (*softmax)(float *x, size_t n, float scale, bool logarithm);

    /* One row; weight [n], bias [n] or NULL; y may be x. */
    void (*layer_norm)(const float *x, size_t n, const float *weight, const float *bias, float eps, float *y);

    /* One row; y may be x. */
    void (*rms_norm)(const float *x, size_t n, const float *weight, float eps, float *y);

    /* Rotary positions. Frequencies w [head_dim / 2] of a checked rope, for a sequence of at most `capacity` positions;
       returns the factor of cos and sin. cos and sin of the angles position * w_m for m < n, times scale, with
       position <= INK_ROPE_MAX_LENGTH. Rotates the pairs (m, n + m) of one head x [2n] by their angles. */
    float (*rope_frequencies)(const ink_rope *rope, size_t capacity, float *frequencies);
    void (*rope_angles)(const float *frequencies, size_t n, size_t position, float scale, float *cosines, float *sines);
    void (*rope_rotate)(float *x, size_t n, const float *cosines, const float *sines);

    /* One step of one sequence, after the products gi = W_ih x + b_ih and gh = W_hh h + b_hh, each [gates * h_size].
       h (and c) are replaced, up to the end of the last whole vec: a step that reads what a part of a vec was written
       to waits for it. gi and gh can be read INK_PANEL floats beyond their ends. The values of the gates go to
       gates [gates * h_size] for a trace, if it is not NULL; it may be gi. Formulae: recurrent.h. */
    void (*rnn_cell)(const float *gi, const float *gh, size_t h_size, bool relu, float *h);
    void (*gru_cell)(const float *gi, const float *gh, size_t h_size, float *h, float *gates);
    void (*lstm_cell)(const float *gi, const float *gh, size_t h_size, float *h, float *c, float *gates);

    /* Conversions between stored types and f32; bf16 and f16 are the bits of a uint16_t. */
    void (*from_bf16)(const uint16_t *x, size_t n, float *y);
    void (*from_f16)(const uint16_t *x, size_t n, float *y);
    void (*from_f64)(const double *x, size_t n, float *y);  /* to nearest even */
    void (*to_bf16)(const float *x, size_t n, uint16_t *y); /* to nearest even; NaN stays NaN */
    void (*to_f16)(const float *x, size_t n, uint16_t *y);  /* the same; 65,520 and more become infinite */

    /* y[i] = x[i] / scale, to nearest even, and returns the scale, largest / 127: no code is beyond 127. A scale below
       2^-126 becomes 0, and so do the codes; if `largest` is NaN the scale is, too. */
    float (*to_i8)(const float *x, size_t n, float largest, int8_t *y);

    /* The largest |x[i]|, NaN if one is not finite; true if every x[i] is finite. */
    float (*largest)(const float *x, size_t n);
    bool (*all_finite)(const float *x, size_t n);
} ink_kernel;

/* The variants of this build; -DINK_NO_SSE2, -DINK_NO_AVX2, ... leave one out. gcc for Windows aligns the stack to 16
   bytes, and yet spills wider vectors with moves that fault there (Debian's does not). INK_UNALIGNED_MOVES says that
   the assembler makes them moves that do not: it is called with -muse-unaligned-vector-move (binutils 2.38). */
#if (defined(__x86_64__) || defined(_M_X64)) &&                                                                        \
    (!defined(_WIN32) || !defined(__GNUC__) || defined(__clang__) || defined(INK_UNALIGNED_MOVES))
#ifndef INK_NO_AVX2
#define INK_KERNEL_AVX2
#endif
#ifndef INK_NO_AVX512
#define INK_KERNEL_AVX512
#endif
#endif

/* NEON needs little-endian vectors, where lane 0 is the first in memory. */
#if defined(__AARCH64EL__) && defined(__ARM_NEON) && !defined(INK_NO_NEON)
#define INK_KERNEL_NEON
#endif

/* In the vectors of gcc and clang: SSE2, which every x86-64 processor has, and those of WebAssembly (-msimd128). */
#if defined(__x86_64__) && defined(__SSE2__) && defined(__GNUC__) && !defined(INK_NO_SSE2)
#define INK_KERNEL_SSE2
#endif
#if defined(__wasm_simd128__) && !defined(INK_NO_SIMD128)
#define INK_KERNEL_SIMD128
#endif

/* Compilers that know the dot products of bytes beside AVX2. */
#if defined(INK_KERNEL_AVX2) && !defined(INK_NO_QUANTISED) &&                                                          \
    (defined(_MSC_VER) || (defined(__clang__) ? __clang_major__ >= 14 : defined(__GNUC__) && __GNUC__ >= 11))
#define INK_KERNEL_AVX2_VNNI
#endif

extern const ink_kernel ink_kernel_portable;
extern const ink_kernel ink_kernel_sse2;
extern const ink_kernel ink_kernel_simd128;
extern const ink_kernel ink_kernel_avx2;
extern const ink_kernel ink_kernel_avx2_vnni;
extern const ink_kernel ink_kernel_avx512;
extern const ink_kernel ink_kernel_avx512_vnni;
extern const ink_kernel ink_kernel_neon;
extern const ink_kernel ink_kernel_neon_dotprod;

/* Dot products of bytes are further instructions, so they have files of their own (kernel_avx2_vnni.c). */
#define CHUNK_FUNCTIONS(name)                                                                                          \
    void ink_chunk_scales_##name(ink_type type, const uint8_t *from, size_t blocks, float *scales, float *minima);     \
    void ink_chunk_codes_##name(const ink_panel_format *format, const uint8_t *from, size_t blocks,                    \
                                const uint8_t *table, uint8_t *to)
CHUNK_FUNCTIONS(avx2); /* what a kernel with dot products of bytes shares with the one without them */
CHUNK_FUNCTIONS(neon);
extern const ink_quantised_kernel ink_quantised_portable;
extern const ink_quantised_kernel ink_quantised_avx2;
extern const ink_quantised_kernel ink_quantised_avx2_vnni;
extern const ink_quantised_kernel ink_quantised_avx512_vnni;
extern const ink_quantised_kernel ink_quantised_neon;
extern const ink_quantised_kernel ink_quantised_neon_dotprod;

#endif
