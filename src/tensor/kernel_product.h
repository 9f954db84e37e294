/*
 * kernel_product.h - the matrix product over packed panels. Part of the kernel body (kernel_body.h).
 *
 *     y[r][c] = bias[c] + sum over t of x[r][t] W[c][t]
 *
 * A tile computes `rows` rows of x by `width` registers of outputs, with one accumulator for each pair. Step t loads
 * the registers of W, broadcasts one float of every row, and does rows * width fused multiply-adds. A load of W serves
 * all rows, and a float of x serves all registers. One output is one lane of one accumulator, so nothing is ever summed
 * across lanes.
 *
 * The loops around it:
 *
 *     row blocks of 128            these rows of x and y stay in the cache
 *       groups of panels           as many panels as a tile takes
 *         k blocks of 256          block sums are added to y in order: the order of sums that matrix.h promises
 *           tiles of registers
 *             tiles of rows        the group's panels stay in the nearest caches
 *
 * A fused multiply-add takes about four cycles, and a processor starts two in every cycle. Eight accumulators are
 * therefore the least that keeps it busy, and a tile takes as many as there are registers for: TILE_ROWS rows by
 * TILE_WIDTH registers of TILE_PANELS panels. With two to four rows, FEW_WIDTH registers of FEW_PANELS panels make up
 * for the missing rows (FEW_PANELS is 0 where the other tiles do as well). A single row takes all registers of
 * ONE_PANELS panels, or of f32 up to ONE_MOST panels (one_row). The panels that are left at the end go one by one, in
 * tiles of LAST_WIDTH registers.
 *
 * The hardware prefetcher follows the stream of W inside a k block, but it cannot predict the jump to the next one.
 * While the first rows compute, they therefore prefetch the next block, one cache line per panel and step. Single rows
 * do not: they are limited by bandwidth, and the extra requests cost more than they save.
 *
 * Where there is no fused multiply-add (WIDE_SUMS), kernel_wide.h has other tiles, and the loops around them are these.
 */

#define ROW_BLOCK 128
#define FEW_ROWS 4
#define MAX_TILE 24
#define MAX_WIDTH 8
#define MAX_START 192               /* outputs of a group */
#define NEAR_WEIGHTS ((size_t)1024) /* rows of panels: 64 KiB */

/* One k block of one group of panels. Pointers are at the first row, column and lane of the block. */
typedef struct panel_block {
    const float *x;
    size_t x_stride;
    const char *w;
    size_t panel_size;  /* bytes from one panel to the next */
    size_t k;           /* steps of this block */
    size_t next;        /* bytes from w to the block that follows */
    const float *start; /* the sums are added to it: the bias, zeros, or y after the blocks before */
    size_t start_stride;
    float *y;
    size_t y_stride;
    size_t lanes; /* outputs from the group's first lane to the last of the matrix */
} panel_block;

static const float zeros[MAX_START] = {0};

INLINE size_t bytes_of(ink_type type)
{
    return type == INK_F32 ? sizeof(float) : type == INK_I8 ? sizeof(int8_t) : sizeof(uint16_t);
}

/* Bytes of one step of k: 16 floats or 32 halves, one cache line; 16 codes, a quarter of one. */
INLINE size_t panel_row(ink_type type) { return ink_panel_lanes(type) * bytes_of(type); }

/* Registers side by side in a panel. */
INLINE size_t panel_regs(ink_type type) { return ink_panel_lanes(type) / REG_LANES; }

#ifdef WIDE_SUMS
#include "kernel_wide.h"
#else

INLINE reg load_weights(const char *w, ink_type type)
{
    if (type == INK_BF16)
        return reg_load_bf16((const uint16_t *)(const void *)w);
    if (type == INK_F16)
        return reg_load_f16((const uint16_t *)(const void *)w);
    if (type == INK_I8)
        return reg_load_i8((const int8_t *)(const void *)w);
    return reg_load((const float *)(const void *)w);
}

/* y = start + sum for a tile whose last lanes do not exist. Only the last panel of a matrix has such lanes. */
static NOINLINE void store_partial_tile(const float *sum, size_t rows, size_t width, size_t lanes, const float *start,
                                        size_t start_stride, float *y, size_t y_stride)
{
    for (size_t r = 0; r < rows; r++, start += start_stride, y += y_stride, sum += width * REG_LANES)
        for (size_t lane = 0; lane < lanes; lane += REG_LANES) {
            size_t n = lanes - lane < REG_LANES ? lanes - lane : REG_LANES;
            reg before = reg_load_part(start + lane, n);
            reg_store_part(y + lane, n, reg_add(before, reg_load(sum + lane)));
        }
}

/* One tile of `width` registers, from number `first` of the group on. A tile of the first row prefetches
   `prefetch_panels` panels of the next block. All but b, row and first are constants, so the loops over them unroll. */
INLINE void tile(const panel_block *b, size_t row, size_t rows, size_t first, size_t width, size_t prefetch_panels,
                 ink_type type)
{
    const size_t regs = panel_regs(type), reg_size = REG_LANES * bytes_of(type);
    /* Are the registers at the same distances from the first one in every tile of the group? Else each has an address.
     */
    const bool uniform = width % regs == 0 || regs % width == 0;
    const float *x = b->x + row * b->x_stride;
    const size_t x_stride = b->x_stride, panel_size = b->panel_size;
    const char *w = b->w + first / regs * b->panel_size + first % regs * reg_size, *each[MAX_WIDTH];
    UNROLL
    for (size_t i = 0; i < width; i++)
        each[i] = b->w + (first + i) / regs * b->panel_size + (first + i) % regs * reg_size;
    const uintptr_t next = (uintptr_t)b->w + (row == 0 ? b->next + first / width * prefetch_panels * b->panel_size : 0);
    reg sum[MAX_TILE];
    UNROLL
    for (size_t i = 0; i < rows * width; i++)
        sum[i] = reg_splat(0);
    UNROLL_STEPS
    for (size_t t = 0; t < b->k; t++) {
        UNROLL
        for (size_t i = 0; i < prefetch_panels; i++)
            PREFETCH(next + i * panel_size + panel_row(type) * t);
        if (rows == 1 && ONE_LOADS_FIRST(type)) {
            const reg broadcast = reg_splat(x[t]);
            reg weights[MAX_WIDTH];
            UNROLL
            for (size_t i = 0; i < width; i++)
                weights[i] = load_weights(w + i / regs * panel_size + i % regs * reg_size + panel_row(type) * t, type);
            UNROLL
            for (size_t i = 0; i < width; i++)
                sum[i] = reg_fma(broadcast, weights[i], sum[i]);
            continue;
        }
        UNROLL
        for (size_t i = 0; i < rows * width; i++) {
            const char *at =
                uniform ? w + i % width / regs * panel_size + i % width % regs * reg_size : each[i % width];
            sum[i] =
                reg_fma(reg_splat(x[i / width * x_stride + t]), load_weights(at + panel_row(type) * t, type), sum[i]);
        }
    }
    size_t lane = first * REG_LANES, lanes = b->lanes > lane ? b->lanes - lane : 0;
    const float *start = b->start + row * b->start_stride + lane;
    float *y = b->y + row * b->y_stride + lane;
    FORGET(start); /* or compilers keep a pointer to every row of every tile, which costs more than it saves */
    FORGET(y);
    if (lanes < width * REG_LANES && width <= LAST_WIDTH(type)) {
        STAY_HERE(lanes); /* or compilers make masks for every tile, although few need them */
        UNROLL
        for (size_t i = 0; i < rows * width; i++) {
            size_t at = i % width * REG_LANES, rest = lanes > at ? lanes - at : 0;
            size_t n = rest < REG_LANES ? rest : REG_LANES;
            reg before = reg_load_part(start + i / width * b->start_stride + at, n);
            reg_store_part(y + i / width * b->y_stride + at, n, reg_add(before, sum[i]));
        }
        return;
    }
    if (lanes < width * REG_LANES) {
        float sums[MAX_TILE * REG_LANES];
        UNROLL
        for (size_t i = 0; i < rows * width; i++)
            reg_store(sums + i * REG_LANES, sum[i]);
        store_partial_tile(sums, rows, width, lanes, start, b->start_stride, y, b->y_stride);
        return;
    }
    UNROLL
    for (size_t i = 0; i < rows * width; i++) {
        reg before = reg_load(start + i / width * b->start_stride + i % width * REG_LANES);
        reg_store(y + i / width * b->y_stride + i % width * REG_LANES, reg_add(before, sum[i]));
    }
}

/* All rows of a block by `width` registers, from number `first` on, in tiles of at most max_rows rows. */
INLINE void tiles(const panel_block *b, size_t rows, size_t max_rows, size_t first, size_t width, size_t prefetch,
                  ink_type type)
{
    size_t r = 0;
    for (; rows - r >= max_rows; r += max_rows)
        tile(b, r, max_rows, first, width, prefetch, type);
    if (max_rows > 4 && rows - r >= 4) {
        tile(b, r, 4, first, width, prefetch, type);
        r += 4;
    }
    if (max_rows > 3 && rows - r == 3)
        tile(b, r, 3, first, width, prefetch, type);
    if (max_rows > 2 && rows - r == 2)
        tile(b, r, 2, first, width, prefetch, type);
    if (max_rows > 1 && rows - r == 1)
        tile(b, r, 1, first, width, prefetch, type);
}

/* The outputs of `width` panels for a single row of x and weights of f32; width is a constant. */
INLINE void one_tile(const ink_product *p, size_t row, size_t panel, size_t width)
{
    const size_t k = p->w->k, stride = p->w->panel_stride, regs = panel_regs(INK_F32), last = (width - 1) * regs;
    const size_t lanes = p->w->n - INK_PANEL * (panel + width - 1); /* outputs from the last panel on */
    const float *x = p->x + row * p->x_stride, *w = (const float *)p->w->panels + panel * stride;
    const float *start = p->bias != NULL ? p->bias + INK_PANEL * panel : zeros;
    float *y = p->y + row * p->y_stride + INK_PANEL * panel;
    size_t t = 0;
    do {
        const size_t end = k - t < INK_SUM_BLOCK ? k : t + INK_SUM_BLOCK;
        reg sum[MAX_TILE];
        UNROLL
        for (size_t i = 0; i < width * regs; i++)
            sum[i] = reg_splat(0);
        UNROLL_STEPS
        for (; t < end; t++) {
            const reg broadcast = reg_splat(x[t]);
            const float *step = w + INK_PANEL * t;
            UNROLL
            for (size_t i = 0; i < width * regs; i++)
                sum[i] = reg_fma(broadcast, reg_load(step + i / regs * stride + i % regs * REG_LANES), sum[i]);
        }
        UNROLL
        for (size_t i = 0; i < last; i++)
            reg_store(y + i * REG_LANES, reg_add(reg_load(start + i * REG_LANES), sum[i]));
        UNROLL
        for (size_t i = last; i < last + regs; i++) {
            size_t at = i * REG_LANES, rest = lanes > at - last * REG_LANES ? lanes - (at - last * REG_LANES) : 0;
            if (rest >= REG_LANES)
                reg_store(y + at, reg_add(reg_load(start + at), sum[i]));
            else if (p->whole)
                reg_store(y + at, reg_add(reg_load_part(start + at, rest), sum[i]));
            else
                reg_store_part(y + at, rest, reg_add(reg_load_part(start + at, rest), sum[i]));
        }
        start = y;
    } while (t < k);
}

/* A single row has one accumulator for each register of outputs, so panels run side by side. Weights that come from far
   go ONE_PANELS at a time, each a stream of its own. Weights that stay in the nearest cache go up to ONE_MOST at a
   time: there the multiply-adds of a few panels would wait for one another. So that no small rest does either, what is
   left for the last two groups is halved. */
static NOINLINE void one_row(const ink_product *p, size_t row, size_t panel, size_t end)
{
    const bool near = (end - panel) * p->w->k <= NEAR_WEIGHTS;
    const size_t most = near ? ONE_MOST : ONE_PANELS(INK_F32);
    _Static_assert(ONE_MOST <= 12, "every width has a tile below");
    for (size_t width; panel < end; end -= p->backwards ? width : 0, panel += p->backwards ? 0 : width) {
        const size_t left = end - panel, half = (left + 1) / 2;
        width = left <= most ? left : half <= most ? half : most;
        const size_t first = p->backwards ? end - width : panel;
        switch (width) {
#define CASE(n)                                                                                                        \
    case n:                                                                                                            \
        if (n <= ONE_MOST)                                                                                             \
            one_tile(p, row, first, n <= ONE_MOST ? n : 1);                                                            \
        break
            CASE(1);
            CASE(2);
            CASE(3);
            CASE(4);
            CASE(5);
            CASE(6);
            CASE(7);
            CASE(8);
            CASE(9);
            CASE(10);
            CASE(11);
            CASE(12);
#undef CASE
        }
    }
}

#endif

/* Groups of `panels` panels for one row block, as many as there are; returns the panel after them. Tiles have at most
   max_rows rows by `width` registers. max_rows, panels, width and type are constants. */
INLINE size_t groups(const ink_product *p, size_t row, size_t rows, size_t panel, size_t panel_end, size_t max_rows,
                     size_t panels, size_t width, ink_type type)
{
    const size_t k = p->w->k, lanes = ink_panel_lanes(type), regs = panels * panel_regs(type), columns = regs / width;
    const size_t prefetch = max_rows > 1 ? (panels + columns - 1) / columns : 0;
    panel_block b = {.x_stride = p->x_stride, .y_stride = p->y_stride};
    b.panel_size = p->w->panel_stride * bytes_of(type);
    for (; panel_end - panel >= panels; panel += panels) {
        const char *w = (const char *)p->w->panels + panel * b.panel_size;
        b.start = p->bias != NULL ? p->bias + lanes * panel : zeros;
        b.start_stride = 0;
        b.y = p->y + row * p->y_stride + lanes * panel;
        b.lanes = p->w->n - lanes * panel;
        size_t t = 0;
        do {
            b.x = p->x + row * p->x_stride + t;
            b.w = w + panel_row(type) * t;
            b.k = k - t < INK_SUM_BLOCK ? k - t : INK_SUM_BLOCK;
            b.next = t + b.k < k ? panel_row(type) * b.k : panels * b.panel_size - panel_row(type) * t;
            for (size_t first = 0; first < regs; first += width)
                tiles(&b, rows, max_rows, first, width, prefetch, type);
            b.start = b.y;
            b.start_stride = b.y_stride;
            t += b.k;
        } while (t < k);
    }
    return panel;
}

/* Two groups of two panels are better than one of three and one of one, which has too few accumulators. */
INLINE void row_blocks(const ink_product *p, size_t row, size_t row_end, size_t first_panel, size_t end, ink_type type)
{
    const size_t most = TILE_PANELS(type), one = ONE_PANELS(type), regs = panel_regs(type);
    for (; row < row_end; row += ROW_BLOCK) {
        size_t rows = row_end - row < ROW_BLOCK ? row_end - row : ROW_BLOCK, panel = first_panel;
        if (type == INK_I8) { /* of attention alone, which has up to 32 rows: few tiles, to save code */
            if (I8_PANELS > 1)
                panel = groups(p, row, rows, panel, end, I8_ROWS, I8_PANELS, I8_PANELS * regs, type);
            groups(p, row, rows, panel, end, I8_ROWS, 1, regs, type);
            continue;
        }
        if (rows == 1 && one > 1 && type == INK_F32) {
            one_row(p, row, panel, end);
            continue;
        }
        if (rows == 1 && one > 1) {
            panel = groups(p, row, rows, panel, end, 1, one, one * regs, type);
            groups(p, row, rows, panel, end, 1, 1, regs, type);
            continue;
        }
        if (FEW_PANELS(type) > 0 && rows <= FEW_ROWS) {
            panel = groups(p, row, rows, panel, end, FEW_ROWS, FEW_PANELS(type), FEW_WIDTH, type);
        } else if (most > 1) {
            size_t pairs = most > 2 && (end - panel) % most == 1 && end - panel > 1 ? 4 : 0;
            panel = groups(p, row, rows, panel, end - pairs, TILE_ROWS(type), most, TILE_WIDTH(type), type);
            if (most > 2)
                panel = groups(p, row, rows, panel, end, TILE_ROWS(type), 2, 2 * LAST_WIDTH(type), type);
        }
        groups(p, row, rows, panel, end, TILE_ROWS(type), 1, LAST_WIDTH(type), type);
    }
}

/* A function of its own: what it sets up for its tiles takes longer than many a single row. */
static NOINLINE void rows_of_f32(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    row_blocks(p, row, row_end, panel, panel_end, INK_F32);
}

static void multiply_f32(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    if (ONE_PANELS(INK_F32) > 1 && row_end - row == 1)
        one_row(p, row, panel, panel_end);
    else
        rows_of_f32(p, row, row_end, panel, panel_end);
}

/* LOADS_STAY_FIRST: or gcc moves the loads of a single row back between its multiplications, which is 5 % slower. */
#if defined(LOADS_STAY_FIRST) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("no-schedule-insns2")
#endif

static void multiply_bf16(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    if (INK_HAS_BF16)
        row_blocks(p, row, row_end, panel, panel_end, INK_BF16);
}

static void multiply_f16(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    if (INK_HAS_F16)
        row_blocks(p, row, row_end, panel, panel_end, INK_F16);
}

static void multiply_i8(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    if (INK_HAS_I8)
        row_blocks(p, row, row_end, panel, panel_end, INK_I8);
}

#if defined(LOADS_STAY_FIRST) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
