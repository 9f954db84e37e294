/*
 * kernel_quantised.h - the product with quantised weights, over the primitives of a vec_*.h and a dot_*.h, and the
 * table of its functions, QUANTISED. It is part of the kernel body, and stands alone in the files for processors with
 * dot products of bytes.
 *
 *     y[r][c] = bias[c] + sum over chunks of sum over folds f of
 *                   (sum over t in f of xq[r][t] q[c][t]) (scale_x[r][f] scale_w[c][f])
 *                   + sum_x[r][f] minimum_w[c][f]                    of the types that have minima
 *
 * The inner sum is one of integers, so its order is free, and it is exact. A product of four columns of sixteen lanes
 * is one `isum_dot`, a single instruction where there are dot products of bytes. It starts from -zero sum(xq), because
 * the codes of W have no sign. With DOT_SIGNED, isum_dot takes codes with a sign, so codes of 8 bits become code - 128.
 *
 * The loops are those of kernel_product.h: row blocks, panels, chunks of INK_SUM_BLOCK columns, tiles of rows. For many
 * rows, the codes of a chunk are unpacked to bytes first, into a buffer that stays in the nearest cache. QUANTISED_FEW
 * rows at most, or one if codes have not 4 bits, which read every weight once, have codes unpacked on their way through
 * the registers; it is 0 where the code for it is not worth its size. Scales become floats for a whole chunk; those of
 * few rows and a block each, on their way. A tile has up to QUANTISED_ROWS rows and QUANTISED_PANELS panels.
 */

/* The top bits of 8-bit codes are flipped where isum_dot takes a sign. */
#ifdef DOT_SIGNED
#define FLIP 128
#else
#define FLIP 0
#define codes_flip(a, bits) (a)
#endif

/* isum_dot_small() takes codes of up to 7 bits. */
#ifdef DOT_SMALL
#define TABLES_ARE_LARGE true
#else
#define TABLES_ARE_LARGE false
#define isum_dot_small(a, w, x) isum_dot(a, dot_codes(w), x)
#endif

/* The loops over groups of columns take QUANTISED_STEPS groups at a time: 4, or 1 where the code for it is not worth
   its size. Then any number of bits is also unpacked by the same code. */
#if QUANTISED_STEPS > 1
#define UNROLL_GROUPS UNROLL
#else
#define UNROLL_GROUPS UNROLL_STEPS
#endif

#define QUANTISED_ROW_BLOCK 128

/* Where every weight is read once, what lies so many bytes further on is prefetched: the hardware's own prefetchers
   stop where a page of memory ends. */
#define READ_AHEAD 4096

#define PARTS (INK_PANEL / VEC_LANES)
#define MOST_SUMS (QUANTISED_ROWS * QUANTISED_PANELS)

/* The sixteen floats of a panel's lanes. */
typedef struct wide {
    vec v[PARTS];
} wide;

/* A chunk of one or more panels, and the rows it is multiplied with. */
typedef struct quantised_chunk {
    size_t blocks, fold;
    const uint8_t *codes[QUANTISED_PANELS];
    const float *scales[QUANTISED_PANELS]; /* [folds][16] */
    size_t minima;                         /* floats from them to the minima; 0: none */
    const uint8_t *halves;                 /* of one panel: scales and minima as F16, in place of those, */
    size_t halves_bytes;                   /* of a fold; 0: there are only those */
    size_t code_bytes;                     /* of a block */
    const uint8_t *table;                  /* of the format, with FLIP */
    uint8_t flip;                          /* FLIP, of 8-bit codes in memory */
    const uint8_t *x;                      /* the chunk's codes of the first row */
    const uint8_t *starts;    /* the chunk's starts; the scales are x_folds behind them, and the sums again */
    size_t x_stride, x_folds; /* bytes */
    const float *start;       /* the sums are added to it: the bias, zeros, or y after the chunks before */
    size_t start_stride;
    float *y;
    size_t y_stride;
    size_t lanes;        /* outputs from the first lane to the last of the matrix, or of the part to be written */
    const uint8_t *next; /* the weights of as many panels that are multiplied after these */
    size_t next_bytes, next_stride;
} quantised_chunk;

/* ---- sixteen lanes ---------------------------------------------------------------------------------------------- */

INLINE wide wide_splat(float x)
{
    wide r;
    UNROLL
    for (size_t i = 0; i < PARTS; i++)
        r.v[i] = vec_splat(x);
    return r;
}

INLINE wide wide_load(const float *p)
{
    wide r;
    UNROLL
    for (size_t i = 0; i < PARTS; i++)
        r.v[i] = vec_load(p + i * VEC_LANES);
    return r;
}

INLINE void wide_store(float *p, wide a)
{
    UNROLL
    for (size_t i = 0; i < PARTS; i++)
        vec_store(p + i * VEC_LANES, a.v[i]);
}

INLINE wide wide_mul(wide a, wide b)
{
    UNROLL
    for (size_t i = 0; i < PARTS; i++)
        a.v[i] = vec_mul(a.v[i], b.v[i]);
    return a;
}

INLINE wide wide_add(wide a, wide b)
{
    UNROLL
    for (size_t i = 0; i < PARTS; i++)
        a.v[i] = vec_add(a.v[i], b.v[i]);
    return a;
}

INLINE wide wide_fma(wide a, wide b, wide c)
{
    UNROLL
    for (size_t i = 0; i < PARTS; i++)
        a.v[i] = vec_fma(a.v[i], b.v[i], c.v[i]);
    return a;
}

INLINE wide wide_isum(isum a)
{
#ifdef ISUM_VEC
    return (wide){{isum_vec(a)}};
#else
    float lanes[INK_PANEL];
    isum_floats(a, lanes);
    return wide_load(lanes);
#endif
}

/* ---- scales ------------------------------------------------------------------------------------------------------ */

FORMULA wide wide_f16(const uint8_t *p)
{
    wide r;
    uint16_t halves[INK_PANEL];
    memcpy(halves, p, sizeof halves);
    UNROLL
    for (size_t i = 0; i < PARTS; i++)
        r.v[i] = vec_load_f16(halves + i * VEC_LANES);
    return r;
}

/* Small integers: one number of each of the 16 lanes. */
INLINE wide wide_small(const int8_t *p)
{
    wide r;
    UNROLL
    for (size_t i = 0; i < PARTS; i++)
        r.v[i] = vec_load_i8(p + i * VEC_LANES);
    return r;
}

/* ---- codes ------------------------------------------------------------------------------------------------------- */

/* Groups g and g + 4 of a block, g < 4. */
INLINE void unpack_groups(const uint8_t *block, int g, int bits, const uint8_t *table, codes *low, codes *high)
{
    if (bits < 4) {
        *low = codes_shift(codes_load(block), -2 * g, 0x3);
        *high = codes_shift(codes_load(block + 64), -2 * g, 0x3);
    } else {
        const codes both = codes_load(block + 64 * (size_t)g);
        *low = codes_shift(both, 0, 0xf);
        *high = codes_shift(both, -4, 0xf);
    }
    if (bits == 3) {
        const codes third = codes_load(block + 128);
        *low = codes_or(*low, codes_shift(third, 2 - g, 0x4));
        *high = codes_or(*high, codes_shift(third, -2 - g, 0x4));
    } else if (bits == 4 && table != NULL) {
        *low = codes_look_up(table, *low);
        *high = codes_look_up(table, *high);
    } else if (bits == 5) {
        const codes fifth = codes_load(block + 256);
        *low = codes_or(*low, codes_shift(fifth, 4 - g, 0x10));
        *high = codes_or(*high, codes_shift(fifth, -g, 0x10));
    } else if (bits == 6) {
        *low = codes_or(*low, codes_shift(codes_load(block + 256), 4 - 2 * g, 0x30));
        *high = codes_or(*high, codes_shift(codes_load(block + 320), 4 - 2 * g, 0x30));
    }
}

/* Unpacking is the same with and without dot products of bytes, so one kernel has it for both. */
#ifndef CHUNKS_ARE_ELSEWHERE
#ifndef CHUNKS_ARE_SHARED
#define CHUNKS_ARE_SHARED static NOINLINE
#endif

/* The integers that multiply the scales of the K types, [folds][16], and those of the minima, from their packed bytes
   [n][16] (blocks.c has the layouts). A line of 64 bytes are four of them, of all lanes. */
static void chunk_integers(ink_type type, const uint8_t *from, const uint8_t *high, uint8_t *scales, uint8_t *minima)
{
    if (type == INK_Q4_K ||
        type == INK_Q5_K) { /* 6 bits: the low ones of folds 0 to 3, and, above, the top bits of 4 to 7 */
        const codes a = codes_load(from), b = codes_load(from + 64), both = codes_load(from + 128);
        codes_store(scales, codes_shift(a, 0, 63));
        codes_store(minima, codes_shift(b, 0, 63));
        codes_store(scales + 64, codes_or(codes_shift(both, 0, 15), codes_shift(a, -2, 48)));
        codes_store(minima + 64, codes_or(codes_shift(both, -4, 15), codes_shift(b, -2, 48)));
        return;
    }
    for (int i = 0; i < 4; i++, scales += 64, minima += 64) {
        if (type == INK_Q2_K) {
            codes_store(scales, codes_shift(codes_load(from + 64 * i), 0, 15));
            codes_store(minima, codes_shift(codes_load(from + 64 * i), -4, 15));
        } else if (type == INK_Q3_K) { /* 6 bits */
            const codes low = codes_load(from + i % 2 * 64), top = codes_load(from + 128);
            codes_store(scales, codes_or(codes_shift(low, i / 2 * -4, 15), codes_shift(top, 4 - 2 * i, 48)));
        } else if (type == INK_Q6_K) {
            codes_store(scales, codes_load(from + 64 * i));
        } else if (i == 0) {
            ink_chunk_integers_iq4_xs(from, high, scales);
        }
    }
}

/* The scales of a chunk, and the minima of its weights, as floats: [folds][16]. */
CHUNKS_ARE_SHARED void chunk_scales(ink_type type, const uint8_t *from, size_t blocks, float *scales, float *minima)
{
    const ink_panel_format *format = ink_panel_format_of(type);
    if (format->elements == INK_BLOCK && format->halves != 0) {
        for (size_t b = 0; b < blocks; b++) {
            wide_store(scales + b * INK_PANEL, wide_f16(from));
            if (format->minima)
                wide_store(minima + b * INK_PANEL, wide_f16(from + 32));
            from += 32 * format->halves;
        }
        return;
    }
    if (format->halves == 0) { /* MXFP4: 2^(e - 128), subnormal for e < 2; the levels are doubled */
        for (size_t i = 0; i < blocks * INK_PANEL; i++) {
            const uint32_t bits = from[i] < 2 ? 0x200000u << from[i] : (from[i] - 1u) << 23;
            memcpy(scales + i, &bits, sizeof bits);
        }
        return;
    }
    uint8_t integers[2][INK_MOST_FOLDS * INK_PANEL];
    const size_t folds = INK_SUM_BLOCK / format->fold;
    /* The 6 bits of Q3_K and IQ4_XS are a scale plus 32. */
    const wide offset = wide_splat(type == INK_Q3_K || type == INK_IQ4_XS ? -32 : 0);
    chunk_integers(type, from + 32 * format->halves, from + 32, integers[0], integers[1]);
    const wide d = wide_f16(from), below = wide_mul(wide_splat(-1), wide_f16(from + (format->minima ? 32 : 0)));
    for (size_t f = 0; f < folds; f++) {
        const wide scale = wide_add(wide_small((const int8_t *)integers[0] + f * INK_PANEL), offset);
        wide_store(scales + f * INK_PANEL, wide_mul(d, scale));
        if (format->minima)
            wide_store(minima + f * INK_PANEL,
                       wide_mul(below, wide_small((const int8_t *)integers[1] + f * INK_PANEL)));
    }
}

/* The codes of a chunk as bytes, 512 for a block. */
CHUNKS_ARE_SHARED void chunk_codes(const ink_panel_format *format, const uint8_t *from, size_t blocks,
                                   const uint8_t *table, uint8_t *to)
{
    for (; blocks > 0; blocks--, from += format->code_bytes, to += 512)
        for (int g = 0; g < 4; g++) {
            codes low, high;
            unpack_groups(from, g, format->bits, table, &low, &high);
            codes_store(to + 64 * g, low);
            codes_store(to + 64 * g + 256, high);
        }
}

#endif

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

INLINE int32_t int_at(const uint8_t *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

INLINE float float_at(const uint8_t *p)
{
    float x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* sum + isum (scale_x scale_w) (+ sum_x minimum_w), of fold f of panel i and of the row whose starts are at x. `few` is
   a constant: false where c has no halves. */
INLINE wide fold_sum(const quantised_chunk *c, size_t i, size_t f, const uint8_t *x, isum integers, wide sum, bool few)
{
    const bool halves = few && c->halves_bytes != 0;
    const uint8_t *scale_x = x + 4 * f + c->x_folds, *half = c->halves + f * c->halves_bytes;
    const float *scale_w = c->scales[i] + f * INK_PANEL;
    const wide scale = halves ? wide_f16(half) : wide_load(scale_w);
    sum = wide_fma(wide_isum(integers), wide_mul(wide_splat(float_at(scale_x)), scale), sum);
    if (c->minima != 0) {
        const wide minimum = halves ? wide_f16(half + 32) : wide_load(scale_w + c->minima);
        sum = wide_fma(wide_splat(float_at(scale_x + c->x_folds)), minimum, sum);
    }
    return sum;
}

/* y = start + sum for a tile whose last lanes do not exist. */
static NOINLINE void store_partial_sums(const quantised_chunk *c, size_t row, size_t rows, size_t width,
                                        const float *sums)
{
    for (; rows > 0; rows--, row++, sums += width)
        for (size_t lane = 0; lane < c->lanes; lane += VEC_LANES) {
            const size_t n = lanes_from(lane, c->lanes);
            const vec before = load_lanes(c->start + row * c->start_stride + lane, n);
            store_lanes(c->y + row * c->y_stride + lane, n, vec_add(before, vec_load(sums + lane)));
        }
}

/* y = start + sum for the rows of a tile, of `panels` panels. */
INLINE void store_sums(const quantised_chunk *c, size_t row, size_t rows, size_t panels, const wide *sum)
{
    const float *start = c->start + row * c->start_stride;
    float *y = c->y + row * c->y_stride;
    if (c->lanes < panels * INK_PANEL) {
        float sums[MOST_SUMS * INK_PANEL];
        UNROLL
        for (size_t i = 0; i < rows * panels; i++)
            wide_store(sums + i * INK_PANEL, sum[i]);
        store_partial_sums(c, row, rows, panels * INK_PANEL, sums);
        return;
    }
    UNROLL
    for (size_t i = 0; i < rows * panels; i++) {
        const size_t r = i / panels, lane = i % panels * INK_PANEL;
        wide_store(y + r * c->y_stride + lane, wide_add(wide_load(start + r * c->start_stride + lane), sum[i]));
    }
}

/* One chunk of rows row .. row + rows - 1 and of `panels` panels of bytes. rows and panels are constants. */
INLINE void byte_tile(const quantised_chunk *c, size_t row, size_t rows, size_t panels)
{
    const uint8_t *x = c->x + row * c->x_stride, *starts = c->starts + row * c->x_stride;
    const size_t x_stride = c->x_stride, groups = c->fold / 4, folds = c->blocks * INK_BLOCK / c->fold;
    const bool single = rows == 1 && panels == 1; /* then it may be one of few rows */
    const uint8_t *w[QUANTISED_PANELS] = {NULL};
    wide sum[MOST_SUMS];
    UNROLL
    for (size_t i = 0; i < panels; i++)
        w[i] = c->codes[i];
    UNROLL
    for (size_t i = 0; i < rows * panels; i++)
        sum[i] = wide_splat(0);
    UNROLL_STEPS
    for (size_t f = 0; f < folds; f++) {
        isum integers[MOST_SUMS];
        UNROLL
        for (size_t i = 0; i < rows * panels; i++)
            integers[i] = isum_splat(int_at(starts + i / panels * x_stride + 4 * f));
        UNROLL_STEPS
        for (size_t g = 0; g < groups; g += QUANTISED_STEPS) {
            UNROLL
            for (size_t j = 0; j < QUANTISED_STEPS; j++) {
                dot_w weights[QUANTISED_PANELS];
                UNROLL
                for (size_t i = 0; i < panels; i++) {
                    if (single)
                        PREFETCH((uintptr_t)w[i] + 64 * j + READ_AHEAD);
                    weights[i] = dot_codes(codes_flip(codes_load(w[i] + 64 * j), c->flip));
                }
                UNROLL
                for (size_t r = 0; r < rows; r++) {
                    const dot_x four = dot_splat((const int8_t *)x + r * x_stride + 4 * j);
                    UNROLL
                    for (size_t i = 0; i < panels; i++)
                        integers[r * panels + i] = isum_dot(integers[r * panels + i], weights[i], four);
                }
            }
            UNROLL
            for (size_t i = 0; i < panels; i++)
                w[i] += 64 * QUANTISED_STEPS;
            x += 4 * QUANTISED_STEPS;
        }
        UNROLL
        for (size_t i = 0; i < rows * panels; i++)
            sum[i] = fold_sum(c, i % panels, f, starts + i / panels * x_stride, integers[i], sum[i], single);
    }
    store_sums(c, row, rows, panels, sum);
}

/* Many rows by bytes. While they multiply, the weights that come next are prefetched, a part with each tile. */
static NOINLINE void many_rows(const quantised_chunk *c, size_t rows)
{
    const size_t part = c->next_bytes / (rows / QUANTISED_ROWS + 1) + 64;
    size_t r = 0, line = 0;
    for (; rows - r >= QUANTISED_ROWS; r += QUANTISED_ROWS) {
        for (const size_t end = line + part < c->next_bytes ? line + part : c->next_bytes; line < end; line += 64)
            for (size_t i = 0; i < QUANTISED_PANELS; i++)
                PREFETCH((uintptr_t)c->next + i * c->next_stride + line);
        byte_tile(c, r, QUANTISED_ROWS, QUANTISED_PANELS);
    }
    for (; QUANTISED_STEPS > 1 && QUANTISED_ROWS > 2 && rows - r >= 2; r += 2)
        byte_tile(c, r, 2, QUANTISED_PANELS);
    for (; rows - r >= 1; r++)
        byte_tile(c, r, 1, QUANTISED_PANELS);
}

#if QUANTISED_FEW > 0
#define PACKED_ROWS (QUANTISED_FEW > 1 ? 2 : 1)

/* The same of one panel of packed codes. rows and bits are constants. */
INLINE void packed_tile(const quantised_chunk *c, size_t row, size_t rows, int bits)
{
    const uint8_t *x = c->x + row * c->x_stride, *starts = c->starts + row * c->x_stride, *w = c->codes[0];
    const size_t x_stride = c->x_stride;
    const bool halves = bits == 6; /* two folds in a block; other types that have them are unpacked first */
    wide sum[PACKED_ROWS];
    UNROLL
    for (size_t r = 0; r < rows; r++)
        sum[r] = wide_splat(0);
    UNROLL_STEPS
    for (size_t b = 0; b < c->blocks; b++, w += c->code_bytes, x += INK_BLOCK) {
        isum low[PACKED_ROWS], high[PACKED_ROWS];
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *start = starts + r * x_stride;
            low[r] = isum_splat(int_at(start + 4 * (halves ? 2 * b : b)));
            high[r] = isum_splat(halves ? int_at(start + 4 * (2 * b + 1)) : 0);
        }
        UNROLL_GROUPS
        for (int g = 0; g < 4; g++) {
            codes first, second;
            PREFETCH((uintptr_t)w + 64 * (size_t)g + READ_AHEAD);
            unpack_groups(w, g, bits, c->table, &first, &second);
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                const int8_t *codes_x = (const int8_t *)x + r * x_stride + 4 * g;
                low[r] = isum_dot_small(low[r], first, dot_splat(codes_x));
                high[r] = isum_dot_small(high[r], second, dot_splat(codes_x + 16));
            }
        }
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *start = starts + r * x_stride;
            if (halves) {
                sum[r] = fold_sum(c, 0, 2 * b, start, low[r], sum[r], true);
                sum[r] = fold_sum(c, 0, 2 * b + 1, start, high[r], sum[r], true);
            } else {
                sum[r] = fold_sum(c, 0, b, start, isum_add(low[r], high[r]), sum[r], true);
            }
        }
    }
    store_sums(c, row, rows, 1, sum);
}

/* Few rows by one panel. bits is a constant. */
INLINE void packed_rows(const quantised_chunk *c, size_t rows, int bits)
{
    size_t r = 0;
    for (; bits == 4 && PACKED_ROWS > 1 && rows - r >= PACKED_ROWS; r += PACKED_ROWS)
        packed_tile(c, r, PACKED_ROWS, bits);
    if (rows - r > 0)
        packed_tile(c, r, 1, bits);
}

#if QUANTISED_STEPS == 1
static NOINLINE void packed_rows_of(const quantised_chunk *c, size_t rows, int bits) { packed_rows(c, rows, bits); }
#define packed_rows_4(c, rows) packed_rows_of(c, rows, 4)
#define packed_rows_5(c, rows) packed_rows_of(c, rows, 5)
#define packed_rows_6(c, rows) packed_rows_of(c, rows, 6)
#else
static NOINLINE void packed_rows_4(const quantised_chunk *c, size_t rows) { packed_rows(c, rows, 4); }
static NOINLINE void packed_rows_5(const quantised_chunk *c, size_t rows) { packed_rows(c, rows, 5); }
static NOINLINE void packed_rows_6(const quantised_chunk *c, size_t rows) { packed_rows(c, rows, 6); }
#endif

#if QUANTISED_PANELS > 1
static NOINLINE void rows_of_bytes(const quantised_chunk *c, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        byte_tile(c, r, 1, 1);
}
#else
#define rows_of_bytes many_rows
#endif
#endif

/* ---- the product ------------------------------------------------------------------------------------------------- */

static void multiply_rows(const quantised_chunk *c, size_t rows, bool few, int bits)
{
#if QUANTISED_FEW > 0
    if (few && bits == 8)
        rows_of_bytes(c, rows);
    else if (few && bits == 4)
        packed_rows_4(c, rows);
    else if (few && bits == 5)
        packed_rows_5(c, rows);
    else if (few)
        packed_rows_6(c, rows);
#else
    (void)bits;
#endif
    if (!few)
        many_rows(c, rows);
}

static void multiply_quantised(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    static const float no_bias[QUANTISED_PANELS * INK_PANEL] = {0};
    const ink_panel_format *format = ink_panel_format_of(p->w->type);
    const size_t k = p->w->k, blocks = ink_row_blocks(k), row_bytes = ink_row_bytes(format, k);
    _Alignas(64) uint8_t bytes[QUANTISED_PANELS][INK_CHUNK_BLOCKS * 512];
    /* up to INK_MOST_FOLDS scales and minima a panel, or twice as many of one that runs alone */
    enum { EACH = INK_MOST_FOLDS * INK_PANEL };
    _Alignas(64) float scales[(QUANTISED_PANELS > 1 ? QUANTISED_PANELS : 2) * EACH];
    quantised_chunk c = {
        .fold = format->fold, .x_stride = row_bytes, .code_bytes = format->code_bytes, .table = format->table};
    uint8_t table[16];
    for (size_t i = 0; FLIP != 0 && c.table != NULL && i < 16; i++)
        table[i] = format->table[i] ^ FLIP;
    if (FLIP != 0 && c.table != NULL)
        c.table = table;
    c.flip = format->bits == 8 ? FLIP : 0;
    c.x_folds = blocks * (INK_BLOCK / c.fold) * 4;
    const size_t folds = INK_SUM_BLOCK / c.fold, numbers = format->minima ? 2 * folds : folds;
    c.minima = format->minima ? folds * INK_PANEL : 0;
    c.y_stride = p->y_stride;
    c.next_stride = p->w->panel_stride;
    for (; row < row_end; row += QUANTISED_ROW_BLOCK) {
        const size_t rows = row_end - row < QUANTISED_ROW_BLOCK ? row_end - row : QUANTISED_ROW_BLOCK;
        const size_t most_few = format->bits == 8   ? QUANTISED_FEW_BYTES
                                : format->bits == 4 ? QUANTISED_FEW
                                                    : QUANTISED_FEW > 0;
        const bool few = rows <= most_few;
        c.halves_bytes = few && format->elements == INK_BLOCK ? 32u * format->halves : 0;
        const bool unpacked = !few || format->bits < 4 || (TABLES_ARE_LARGE && c.table != NULL);
        for (size_t first = panel, count; first < panel_end; first += count) {
            count = few || panel_end - first < QUANTISED_PANELS || numbers > INK_MOST_FOLDS ? 1 : QUANTISED_PANELS;
            const uint8_t *first_w = (const uint8_t *)p->w->panels + first * p->w->panel_stride, *w = first_w;
            c.start = p->bias != NULL ? p->bias + first * INK_PANEL : no_bias;
            c.start_stride = 0;
            c.y = p->y + row * p->y_stride + first * INK_PANEL;
            c.lanes = p->w->n - first * INK_PANEL;
            if (count == 1 && c.lanes > INK_PANEL)
                c.lanes = INK_PANEL;
            size_t b = 0;
            do {
                c.blocks = blocks - b < INK_CHUNK_BLOCKS ? blocks - b : INK_CHUNK_BLOCKS;
                c.x = p->rows + row * row_bytes + b * INK_BLOCK;
                c.starts = p->rows + row * row_bytes + blocks * INK_BLOCK + b * (INK_BLOCK / c.fold) * 4;
                const size_t scale_bytes = ink_chunk_scale_bytes(format, c.blocks);
                const size_t chunk_bytes = scale_bytes + c.blocks * format->code_bytes;
                c.next = b + c.blocks < blocks ? w + chunk_bytes : first_w + count * p->w->panel_stride;
                c.next_bytes = chunk_bytes;
                for (size_t i = 0; i < count; i++) {
                    const uint8_t *chunk = w + i * p->w->panel_stride;
                    float *own = scales + i * EACH;
                    c.scales[i] = own;
                    c.halves = chunk;
                    for (size_t line = 0; few && line < scale_bytes; line += 64)
                        PREFETCH((uintptr_t)chunk + line + READ_AHEAD);
                    if (c.halves_bytes == 0)
                        chunk_scales(p->w->type, chunk, c.blocks, own, own + folds * INK_PANEL);
                    c.codes[i] = chunk + scale_bytes;
                    if (unpacked && format->bits < 8) {
                        chunk_codes(format, c.codes[i], c.blocks, c.table, bytes[i]);
                        c.codes[i] = bytes[i];
                    }
                }
                for (size_t i = count; i < QUANTISED_PANELS; i++) { /* multiplied as well, and not stored */
                    c.codes[i] = c.codes[0];
                    c.scales[i] = c.scales[0];
                }
                multiply_rows(&c, rows, few, unpacked ? 8 : format->bits);
                w += chunk_bytes;
                c.start = c.y;
                c.start_stride = c.y_stride;
                b += c.blocks;
            } while (b < blocks);
        }
    }
}

/* ---- rows of x --------------------------------------------------------------------------------------------------- */

#ifndef DOT_ROUNDS
/* The largest size of 32 columns; NaN if one is a NaN or an infinity, for which x - x is not 0. */
INLINE float round_largest(const vec *x)
{
    vec most = vec_splat(0), strange = most;
    for (size_t i = 0; i < INK_BLOCK / VEC_LANES; i++) {
        most = vec_max(vec_max(x[i], vec_sub(vec_splat(0), x[i])), most);
        strange = vec_add(strange, vec_sub(x[i], x[i]));
    }
    return vec_largest(most) + vec_sum(strange);
}

/* x inverse as integers, and the sums of the first and the last 16. Adding 1.5 2^23 to a float rounds it to an integer,
   which is then its low bits. With inverse 0, x may be NaN. */
INLINE void round_codes(const vec *x, float inverse, uint8_t *to, int32_t *sums)
{
    const vec round = vec_splat(12582912.0f);
    sums[0] = sums[1] = 0;
    for (size_t i = 0; i < INK_BLOCK / VEC_LANES; i++) {
        int32_t integers[VEC_LANES];
        const ivec q = ivec_sub(vec_bits(vec_add(vec_mul(x[i], vec_splat(inverse)), round)), vec_bits(round));
        memcpy(integers, &q, sizeof integers);
        for (size_t j = 0; j < VEC_LANES; j++) {
            const int32_t code = inverse != 0 ? integers[j] : 0;
            to[i * VEC_LANES + j] = (uint8_t)code;
            sums[(i * VEC_LANES + j) / 16] += code;
        }
    }
}
#endif

/*
 * A block of 32 columns of x:
 *
 *     largest = max |x|,   scale = largest / 127,   xq = x (127 / largest), rounded to the nearest, half to even
 *
 * A block whose largest is below 2^-120, for which 127 / largest could be infinite, counts as zeros. A block with a NaN
 * or an infinity has scale NaN.
 */
static void quantise_row(const ink_panel_format *format, const float *x, size_t k, uint8_t *row)
{
    const size_t blocks = ink_row_blocks(k), folds_in_block = INK_BLOCK / format->fold;
    const int32_t offset = format->bits == 8 || format->table != NULL ? FLIP : 0; /* code + offset is without a sign */
    uint8_t *starts = row + blocks * INK_BLOCK;
    const size_t x_folds = blocks * folds_in_block * 4;
    for (size_t b = 0; b < blocks; b++, x += INK_BLOCK, row += INK_BLOCK) {
        const size_t n = k - b * INK_BLOCK < INK_BLOCK ? k - b * INK_BLOCK : INK_BLOCK;
        vec values[INK_BLOCK / VEC_LANES];
        int32_t sums[2];
        UNROLL
        for (size_t i = 0; i < INK_BLOCK / VEC_LANES; i++) {
            const size_t at = i * VEC_LANES;
            values[i] = at < n ? load_lanes(x + at, lanes_from(at, n)) : vec_splat(0);
        }
        const float largest = round_largest(values);
        const bool counts = largest >= 0x1p-120f;
        const float scale = counts ? largest / 127 : largest * 0, inverse = counts ? 127 / largest : 0;
        round_codes(values, inverse, row, sums);
        if (folds_in_block == 1)
            sums[0] += sums[1];
        for (size_t f = 0; f < folds_in_block; f++) {
            const int32_t start = (offset - format->zero) * sums[f];
            const float sum = scale * (float)sums[f];
            uint8_t *to = starts + 4 * (b * folds_in_block + f);
            memcpy(to, &start, 4);
            memcpy(to + x_folds, &scale, 4);
            memcpy(to + 2 * x_folds, &sum, 4);
        }
    }
}

const ink_quantised_kernel QUANTISED = {
    .quantise_row = quantise_row, .multiply = multiply_quantised, .scales = chunk_scales};
