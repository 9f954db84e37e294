/*
 * kernel_product.h - the product, y = x W^T + b over packed panels. Part of the kernel body (kernel_body.h).
 *
 * A tile is `rows` rows of x by `width` registers of outputs, one accumulator each. Step t loads the registers of W,
 * spreads one float of every row and does rows * width fused multiply-adds; a load of w serves all rows, a float of x
 * serves all registers. One output is one lane of one accumulator: nothing is ever summed across lanes.
 *
 * The loops around it:
 *
 *     row blocks of 128            the piece of y, and of x, that stays in the cache
 *       groups of panels           as many as a tile takes
 *         blocks of k, 256         block sums are added to y in order: the order of sums that matrix.h promises
 *           tiles of rows          the group's panels stay in the nearest caches
 *
 * A multiply-add takes some four cycles and two of them begin in every cycle, so eight sums must be in the making at
 * any time, and more to be safe. A tile holds as many as there are registers for. Of many rows it takes TILE_ROWS by
 * TILE_WIDTH registers of TILE_PANELS; for up to four, where more outputs make up for the missing rows, FEW_WIDTH of
 * FEW_PANELS; for a single row all of ONE_PANELS. The panels that are left at the end go one by one, in tiles of
 * LAST_WIDTH.
 *
 * The processor guesses what will be read next from what was read before; at the end of a strip it guesses wrong. So
 * the first tiles of a strip ask for the next one, line by line, while they multiply: by the time it begins, it is in
 * the second cache. A single row does not ask: it takes W in as fast as it comes, and asking costs more than it brings.
 */

#define ROW_BLOCK 128
#define MAX_TILE 24
#define MAX_PANELS 4

/* A product of one group of panels and one block of k; pointers are at the first of each. */
typedef struct strip {
    const float *x; /* at the block's first column */
    size_t x_stride;
    const void *w; /* at the block's first row of the first panel */
    size_t panel_stride;
    size_t k;           /* of this block */
    size_t next;        /* elements from w to that of the strip that follows */
    const float *start; /* what its sums are added to: the bias, zeros, or y as the blocks before left it */
    size_t start_stride;
    float *y;
    size_t y_stride;
    size_t lanes; /* outputs there are from the first panel's first lane on */
} strip;

static const float zeros[32 * MAX_PANELS] = {0};

INLINE size_t bytes_of(ink_type type) { return type == INK_F32 ? sizeof(float) : sizeof(uint16_t); }

/* Registers side by side in a panel. */
INLINE size_t panel_regs(ink_type type) { return ink_panel_lanes(type) / REG_LANES; }

INLINE reg load_weights(const void *w, size_t i, ink_type type)
{
    if (type == INK_BF16)
        return reg_load_bf16((const uint16_t *)w + i);
    if (type == INK_F16)
        return reg_load_f16((const uint16_t *)w + i);
    return reg_load((const float *)w + i);
}

/* y = start + sum for a tile; of its outputs the first `lanes` exist. */
INLINE void finish_tile(const reg *sum, size_t rows, size_t width, size_t lanes, const float *start,
                        size_t start_stride, float *y, size_t y_stride)
{
    if (lanes >= width * REG_LANES) {
        UNROLL
        for (size_t i = 0; i < rows * width; i++) {
            reg before = reg_load(start + i / width * start_stride + i % width * REG_LANES);
            reg_store(y + i / width * y_stride + i % width * REG_LANES, reg_add(before, sum[i]));
        }
        return;
    }
    STAY_HERE(lanes); /* or masks are made for every tile, also where they are not needed */
    UNROLL
    for (size_t i = 0; i < rows * width; i++) {
        size_t lane = i % width * REG_LANES, rest = lanes > lane ? lanes - lane : 0;
        size_t n = rest < REG_LANES ? rest : REG_LANES;
        reg before = reg_load_part(start + i / width * start_stride + lane, n);
        reg_store_part(y + i / width * y_stride + lane, n, reg_add(before, sum[i]));
    }
}

/* One tile: `width` registers of the strip from number `first` on. If it is of the strip's first row, it asks for
   `asks` panels of the next strip. rows, first, width, asks and type are constants where this is called, so the loops
   over them unroll. */
INLINE void tile(const strip *s, size_t row, size_t rows, size_t first, size_t width, size_t asks, ink_type type)
{
    const float *x = s->x + row * s->x_stride;
    size_t x_stride = s->x_stride, lane = first * REG_LANES, lanes = ink_panel_lanes(type), regs = panel_regs(type);
    size_t ahead = row == 0 ? s->next + first / width * asks * s->panel_stride : 0; /* 0: what it has itself */
    uintptr_t next = (uintptr_t)s->w + ahead * bytes_of(type);
    reg sum[MAX_TILE];
    UNROLL
    for (size_t i = 0; i < rows * width; i++)
        sum[i] = reg_splat(0);
    UNROLL_STEPS
    for (size_t t = 0; t < s->k; t++) {
        UNROLL
        for (size_t i = 0; i < asks; i++)
            PREFETCH(next + (i * s->panel_stride + lanes * t) * bytes_of(type));
        UNROLL
        for (size_t i = 0; i < rows * width; i++) {
            size_t r = first + i % width, at = r / regs * s->panel_stride + lanes * t;
            reg w = load_weights(s->w, at + r % regs * REG_LANES, type);
            sum[i] = reg_fma(reg_splat(x[i / width * x_stride + t]), w, sum[i]);
        }
    }
    const float *start = s->start + row * s->start_stride + lane;
    float *y = s->y + row * s->y_stride + lane;
    FORGET(start); /* or it keeps a pointer to every row of every tile at hand, which costs more than it saves */
    FORGET(y);
    finish_tile(sum, rows, width, s->lanes > lane ? s->lanes - lane : 0, start, s->start_stride, y, s->y_stride);
}

/* All rows of a strip of `panels` panels, in tiles of at most max_rows by `width`: one or more tiles side by side, each
   of which asks for its share of the next strip. */
INLINE void strip_tiles(const strip *s, size_t rows, size_t max_rows, size_t panels, size_t width, ink_type type)
{
    size_t regs = panels * panel_regs(type), columns = regs / width;
    size_t asks = max_rows > 1 ? (panels + columns - 1) / columns : 0;
    UNROLL
    for (size_t first = 0; first < regs; first += width) {
        size_t row = 0;
        for (; rows - row >= max_rows; row += max_rows)
            tile(s, row, max_rows, first, width, asks, type);
        if (max_rows > 4 && rows - row >= 4) {
            tile(s, row, 4, first, width, asks, type);
            row += 4;
        }
        if (max_rows > 3 && rows - row == 3)
            tile(s, row, 3, first, width, asks, type);
        if (max_rows > 2 && rows - row == 2)
            tile(s, row, 2, first, width, asks, type);
        if (max_rows > 1 && rows - row == 1)
            tile(s, row, 1, first, width, asks, type);
    }
}

/* All blocks of k of one group of panels, for one block of rows. max_rows, panels, width and type are constants. */
INLINE void group(const ink_product *p, size_t row, size_t rows, size_t panel, size_t max_rows, size_t panels,
                  size_t width, ink_type type)
{
    size_t k = p->w->k, lanes = ink_panel_lanes(type);
    const char *w = (const char *)p->w->panels + panel * p->w->panel_stride * bytes_of(type);
    strip s = {.x_stride = p->x_stride, .panel_stride = p->w->panel_stride, .y_stride = p->y_stride};
    s.start = p->bias != NULL ? p->bias + lanes * panel : zeros;
    s.y = p->y + row * p->y_stride + lanes * panel;
    s.lanes = p->w->n - lanes * panel;
    size_t t = 0;
    do {
        s.x = p->x + row * p->x_stride + t;
        s.w = w + lanes * t * bytes_of(type);
        s.k = k - t < INK_SUM_BLOCK ? k - t : INK_SUM_BLOCK;
        s.next = t + s.k < k ? lanes * s.k : panels * s.panel_stride - lanes * t;
        strip_tiles(&s, rows, max_rows, panels, width, type);
        s.start = s.y;
        s.start_stride = s.y_stride;
        t += s.k;
    } while (t < k);
}

/* As many groups as fit; the panel after them. */
INLINE size_t groups(const ink_product *p, size_t row, size_t rows, size_t panel, size_t end, size_t max_rows,
                     size_t panels, size_t width, ink_type type)
{
    for (; end - panel >= panels; panel += panels)
        group(p, row, rows, panel, max_rows, panels, width, type);
    return panel;
}

/* All panels, for one block of rows. Two groups of two panels are better than one of three and one of one, which has
   too few sums to keep the multipliers busy. */
INLINE void row_block(const ink_product *p, size_t row, size_t rows, size_t panel, size_t end, ink_type type)
{
    size_t regs = panel_regs(type);
    if (rows == 1) {
        panel = groups(p, row, rows, panel, end, 1, ONE_PANELS(type), ONE_PANELS(type) * regs, type);
        groups(p, row, rows, panel, end, 1, 1, regs, type);
    } else if (rows <= 4) {
        panel = groups(p, row, rows, panel, end, 4, FEW_PANELS(type), FEW_WIDTH, type);
        groups(p, row, rows, panel, end, 4, 1, LAST_WIDTH(type), type);
    } else {
        size_t most = TILE_PANELS(type), pairs = most > 2 && (end - panel) % most == 1 && end - panel > 1 ? 4 : 0;
        panel = groups(p, row, rows, panel, end - pairs, TILE_ROWS(type), TILE_PANELS(type), TILE_WIDTH(type), type);
        if (most > 2)
            panel = groups(p, row, rows, panel, end, TILE_ROWS(type), 2, 2 * LAST_WIDTH(type), type);
        groups(p, row, rows, panel, end, TILE_ROWS(type), 1, LAST_WIDTH(type), type);
    }
}

INLINE void row_blocks(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t end, ink_type type)
{
    for (; row < row_end; row += ROW_BLOCK)
        row_block(p, row, row_end - row < ROW_BLOCK ? row_end - row : ROW_BLOCK, panel, end, type);
}

static void multiply_f32(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    row_blocks(p, row, row_end, panel, panel_end, INK_F32);
}

static void multiply_bf16(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    row_blocks(p, row, row_end, panel, panel_end, INK_BF16);
}

static void multiply_f16(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    row_blocks(p, row, row_end, panel, panel_end, INK_F16);
}

static void multiply(const ink_product *p, size_t row, size_t row_end, size_t panel, size_t panel_end)
{
    if (p->w->type == INK_BF16)
        multiply_bf16(p, row, row_end, panel, panel_end);
    else if (p->w->type == INK_F16)
        multiply_f16(p, row, row_end, panel, panel_end);
    else
        multiply_f32(p, row, row_end, panel, panel_end);
}
