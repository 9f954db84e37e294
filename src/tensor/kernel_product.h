/*
 * kernel_product.h - the product, y = x W^T + b over packed panels. Part of the kernel body (kernel_body.h).
 *
 * A tile is `rows` rows of x by `panels` panels, one accumulator vec each. Step t loads a vec of every panel, spreads
 * one float of every row and does rows * panels fused multiply-adds; a load of w serves all rows, a float of x serves
 * all panels. One output is one lane of one accumulator: nothing is ever summed across lanes.
 *
 * The loops around it:
 *
 *     row blocks of 128            the piece of y, and of x, that stays in the cache
 *       groups of panels           as many as a tile takes
 *         blocks of k, 256         block sums are added to y in order: the order of sums that matrix.h promises
 *           tiles of rows          the group's panels stay in the first-level cache
 *
 * The variant says how many rows and panels its registers hold: TILE_ROWS x TILE_PANELS; and for up to FEW_ROWS rows,
 * where more panels make up for the missing rows, FEW_ROWS x FEW_PANELS.
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
    const float *start; /* what its sums are added to: the bias, zeros, or y as the blocks before left it */
    size_t start_stride;
    float *y;
    size_t y_stride;
    size_t lanes; /* outputs there are from the first panel's first lane on */
} strip;

static const float zeros[16 * MAX_PANELS] = {0};

INLINE vec load_weights(const void *w, size_t i, ink_type type)
{
    if (type == INK_BF16)
        return vec_load_bf16((const uint16_t *)w + i);
    if (type == INK_F16)
        return vec_load_f16((const uint16_t *)w + i);
    return vec_load((const float *)w + i);
}

/* One tile. rows, panels and type are constants where this is called, so the loops over them unroll. */
INLINE void tile(const strip *s, size_t row, size_t rows, size_t panels, ink_type type)
{
    const float *x = s->x + row * s->x_stride, *start = s->start + row * s->start_stride;
    float *y = s->y + row * s->y_stride;
    size_t x_stride = s->x_stride, start_stride = s->start_stride, y_stride = s->y_stride;
    vec sum[MAX_TILE];
    UNROLL
    for (size_t i = 0; i < rows * panels; i++)
        sum[i] = vec_splat(0);
    UNROLL_STEPS
    for (size_t t = 0; t < s->k; t++) {
        UNROLL
        for (size_t i = 0; i < rows * panels; i++)
            sum[i] = vec_fma(vec_splat(x[i / panels * x_stride + t]),
                             load_weights(s->w, i % panels * s->panel_stride + 16 * t, type), sum[i]);
    }
    if (s->lanes >= 16 * panels) {
        UNROLL
        for (size_t i = 0; i < rows * panels; i++) {
            vec before = vec_load(start + i / panels * start_stride + 16 * (i % panels));
            vec_store(y + i / panels * y_stride + 16 * (i % panels), vec_add(before, sum[i]));
        }
        return;
    }
    /* The last panel is not full. */
    UNROLL
    for (size_t i = 0; i < rows * panels; i++) {
        size_t lane = 16 * (i % panels), lanes = s->lanes - lane < 16 ? s->lanes - lane : 16;
        vec before = load_lanes(start + i / panels * start_stride + lane, lanes);
        store_lanes(y + i / panels * y_stride + lane, lanes, vec_add(before, sum[i]));
    }
}

/* All rows of a strip, in the largest tiles that fit. */
INLINE void strip_rows(const strip *s, size_t rows, size_t max_rows, size_t panels, ink_type type)
{
    size_t row = 0;
    for (; rows - row >= max_rows; row += max_rows)
        tile(s, row, max_rows, panels, type);
    if (max_rows > 4 && rows - row >= 4) {
        tile(s, row, 4, panels, type);
        row += 4;
    }
    if (max_rows > 2 && rows - row >= 2) {
        tile(s, row, 2, panels, type);
        row += 2;
    }
    if (max_rows > 1 && rows - row >= 1)
        tile(s, row, 1, panels, type);
}

/* All blocks of k of one group of panels, for one block of rows. max_rows, panels and type are constants. */
INLINE void group(const ink_product *p, size_t row, size_t rows, size_t panel, size_t max_rows, size_t panels,
                  ink_type type)
{
    size_t k = p->w->k, element = type == INK_F32 ? sizeof(float) : sizeof(uint16_t);
    const char *w = (const char *)p->w->panels + panel * p->w->panel_stride * element;
    strip s = {.x_stride = p->x_stride, .panel_stride = p->w->panel_stride, .y_stride = p->y_stride};
    s.start = p->bias != NULL ? p->bias + 16 * panel : zeros;
    s.y = p->y + row * p->y_stride + 16 * panel;
    s.lanes = p->w->n - 16 * panel;
    size_t t = 0;
    do {
        s.x = p->x + row * p->x_stride + t;
        s.w = w + 16 * t * element;
        s.k = k - t < INK_SUM_BLOCK ? k - t : INK_SUM_BLOCK;
        strip_rows(&s, rows, max_rows, panels, type);
        s.start = s.y;
        s.start_stride = s.y_stride;
        t += s.k;
    } while (t < k);
}

/* All groups, for one block of rows. The last four panels are two groups of two where a tile takes three: tiles of
   one panel have too few accumulators to keep the multipliers busy. */
INLINE void row_block(const ink_product *p, size_t row, size_t rows, size_t panel, size_t end, ink_type type)
{
    if (rows <= FEW_ROWS) {
        for (; end - panel >= FEW_PANELS; panel += FEW_PANELS)
            group(p, row, rows, panel, FEW_ROWS, FEW_PANELS, type);
        for (; panel < end; panel++)
            group(p, row, rows, panel, FEW_ROWS, 1, type);
        return;
    }
    for (; end - panel >= TILE_PANELS && end - panel != 4; panel += TILE_PANELS)
        group(p, row, rows, panel, TILE_ROWS, TILE_PANELS, type);
    for (; TILE_PANELS > 2 && end - panel >= 2; panel += 2)
        group(p, row, rows, panel, TILE_ROWS, 2, type);
    for (; panel < end; panel++)
        group(p, row, rows, panel, TILE_ROWS, 1, type);
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
