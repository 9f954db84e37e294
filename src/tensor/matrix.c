/*
 * matrix.c - packed matrices: filling panels from rows or columns of any floating-point type, and multiplying.
 *
 * Filling goes through a small buffer of f32: elements come in as they are stored, at any alignment, are widened or
 * rounded by the kernel, and scattered into the lanes of their panel.
 */
#include <string.h>

#include "packed.h"

#define CHUNK 64                   /* elements converted at once */
#define MOST_LANES (2 * INK_PANEL) /* of a panel of any type */

static size_t element_size(ink_type type) { return ink_type_bits(type) / 8; }

bool ink_matrix_holds(ink_type type) { return type == INK_F32 || type == INK_BF16 || type == INK_F16; }

ink_type ink_matrix_type(ink_type asked, ink_type stored)
{
    if (asked != INK_TYPE_NONE)
        return asked;
    return ink_matrix_holds(stored) ? stored : INK_F32;
}

/* ---- making and filling ---------------------------------------------------------------------------------------- */

size_t ink_matrix_bytes(size_t n, size_t k_capacity, ink_type type)
{
    size_t bytes;
    if (!ink_size_mul(k_capacity, ink_panel_lanes(type) * element_size(type), &bytes) ||
        !ink_size_mul(bytes, ink_panel_count(n, type), &bytes))
        return SIZE_MAX;
    return bytes;
}

ink_matrix ink_matrix_over(void *memory, size_t n, size_t k, size_t k_capacity, ink_type type)
{
    return (ink_matrix){
        .n = n, .k = k, .type = type, .panel_stride = k_capacity * ink_panel_lanes(type), .panels = memory};
}

/* A size that overflows fails the arena, which is asked for more than there can be. */
void ink_matrix_alloc(ink_arena *arena, ink_matrix *matrix, size_t n, size_t k, size_t k_capacity, ink_type type)
{
    void *panels = ink_arena_alloc(arena, ink_matrix_bytes(n, k_capacity, type), 1);
    *matrix = ink_matrix_over(panels, n, k, k_capacity, type);
}

ink_matrix ink_matrix_view_rows(const ink_matrix *matrix, size_t first, size_t n)
{
    ink_matrix view = *matrix;
    view.n = n;
    view.panels = (char *)matrix->panels +
                  first / ink_panel_lanes(matrix->type) * matrix->panel_stride * element_size(matrix->type);
    return view;
}

ink_matrix ink_matrix_view_columns(const ink_matrix *matrix, size_t first, size_t k)
{
    ink_matrix view = *matrix;
    view.k = k;
    view.panels = (char *)matrix->panels + first * ink_panel_lanes(matrix->type) * element_size(matrix->type);
    return view;
}

void ink_matrix_get(const ink_matrix *matrix, size_t row, size_t first, size_t count, float *out)
{
    const float *from = (const float *)matrix->panels + row / INK_PANEL * matrix->panel_stride + row % INK_PANEL;
    for (size_t t = 0; t < count; t++)
        out[t] = from[(first + t) * INK_PANEL];
}

void ink_matrix_set(ink_matrix *matrix, size_t row, size_t first, size_t count, const float *in)
{
    float *to = (float *)matrix->panels + row / INK_PANEL * matrix->panel_stride + row % INK_PANEL;
    for (size_t t = 0; t < count; t++)
        to[(first + t) * INK_PANEL] = in[t];
}

void ink_matrix_scale(ink_matrix *matrix, const float *row_scale, const float *column_scale)
{
    for (size_t row = 0; row < matrix->n; row++) {
        float *w = (float *)matrix->panels + row / INK_PANEL * matrix->panel_stride + row % INK_PANEL;
        for (size_t t = 0; t < matrix->k; t++) {
            if (column_scale != NULL)
                w[t * INK_PANEL] *= column_scale[t];
            if (row_scale != NULL)
                w[t * INK_PANEL] *= row_scale[row];
        }
    }
}

size_t ink_matrix_row_step(const ink_matrix *matrix) { return ink_panel_lanes(matrix->type); }

void ink_matrix_clear(ink_matrix *matrix)
{
    size_t size = element_size(matrix->type), lanes = ink_panel_lanes(matrix->type);
    for (size_t panel = 0; panel < ink_panel_count(matrix->n, matrix->type); panel++)
        memset((char *)matrix->panels + panel * matrix->panel_stride * size, 0, matrix->k * lanes * size);
}

/* `count` <= CHUNK elements of `type`, from byte address `data`, as f32. */
static void widen(const ink_kernel *kernel, ink_type type, const char *data, size_t count, float *out)
{
    union {
        uint16_t u16[CHUNK];
        double f64[CHUNK];
    } aligned;
    if (type == INK_F32) {
        if (count == INK_PANEL)
            memcpy(out, data, INK_PANEL * sizeof *out); /* a size that needs no call */
        else
            memcpy(out, data, count * sizeof *out);
        return;
    }
    memcpy(&aligned, data, count * element_size(type));
    if (type == INK_BF16)
        kernel->from_bf16(aligned.u16, count, out);
    else if (type == INK_F16)
        kernel->from_f16(aligned.u16, count, out);
    else
        kernel->from_f64(aligned.f64, count, out);
}

/* `count` floats as bf16 or f16. */
static void narrow(const ink_kernel *kernel, ink_type type, const float *values, size_t count, uint16_t *out)
{
    if (type == INK_BF16)
        kernel->to_bf16(values, count, out);
    else
        kernel->to_f16(values, count, out);
}

/* `count` <= CHUNK elements of each of n_rows rows of one panel, side by side: to[t][row] = values[row][t]. */
static inline void interleave_floats(float values[][CHUNK], size_t n_rows, size_t count, float *to)
{
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < n_rows; i++)
            to[t * INK_PANEL + i] = values[i][t];
}

static inline void interleave_halves(uint16_t values[][CHUNK], size_t n_rows, size_t count, uint16_t *to)
{
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < n_rows; i++)
            to[t * 2 * INK_PANEL + i] = values[i][t];
}

/* Columns from .. from + count - 1 of rows row .. row + n_rows - 1, which are of one panel; `rows` is where the first
   of them is stored. */
static void fill_chunk(const ink_kernel *kernel, const ink_matrix *matrix, size_t row, size_t n_rows, size_t from,
                       size_t count, ink_type type, const char *rows)
{
    float values[MOST_LANES][CHUNK];
    uint16_t halves[MOST_LANES][CHUNK];
    size_t size = element_size(type), lanes = ink_panel_lanes(matrix->type);
    size_t at = row / lanes * matrix->panel_stride + from * lanes + row % lanes;
    for (size_t i = 0; i < n_rows; i++)
        widen(kernel, type, rows + (i * matrix->k + from) * size, count, values[i]);
    if (matrix->type == INK_F32) {
        float *to = (float *)matrix->panels + at;
        if (n_rows == INK_PANEL)
            interleave_floats(values, INK_PANEL, count, to); /* a number that unrolls the loop */
        else
            interleave_floats(values, n_rows, count, to);
        return;
    }
    for (size_t i = 0; i < n_rows; i++)
        narrow(kernel, matrix->type, values[i], count, halves[i]);
    uint16_t *to = (uint16_t *)matrix->panels + at;
    if (n_rows == 2 * INK_PANEL)
        interleave_halves(halves, 2 * INK_PANEL, count, to);
    else
        interleave_halves(halves, n_rows, count, to);
}

/* The lanes behind row n - 1 in the last panel. */
static void clear_unused_lanes(ink_matrix *matrix)
{
    size_t size = element_size(matrix->type), lanes = ink_panel_lanes(matrix->type), used = matrix->n % lanes;
    char *row = (char *)matrix->panels + matrix->n / lanes * matrix->panel_stride * size;
    for (size_t t = 0; used != 0 && t < matrix->k; t++, row += lanes * size)
        memset(row + used * size, 0, (lanes - used) * size);
}

/* The rows of one panel go together, chunk by chunk of k, so that a line of the panel is written while it is near. */
void ink_matrix_fill_rows(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                          const void *data)
{
    if (first + count == matrix->n)
        clear_unused_lanes(matrix);
    size_t k = matrix->k, row_size = k * element_size(type), lanes = ink_panel_lanes(matrix->type);
    const char *rows = data;
    for (size_t row = first, end = first + count; row < end;) {
        size_t in_panel = ink_size_min(lanes - row % lanes, end - row);
        for (size_t t = 0; t < k; t += CHUNK)
            fill_chunk(kernel, matrix, row, in_panel, t, ink_size_min(CHUNK, k - t), type, rows);
        row += in_panel;
        rows += in_panel * row_size;
    }
}

/* A column is one row of every panel; the last one is filled up with zeros. Panel by panel, so that what is written
   lies side by side. */
void ink_matrix_fill_columns(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                             const void *data)
{
    size_t column_size = matrix->n * element_size(type), lanes = ink_panel_lanes(matrix->type);
    for (size_t row = 0; row < matrix->n; row += lanes) {
        const char *column = (const char *)data + row * element_size(type);
        size_t there = ink_size_min(lanes, matrix->n - row);
        for (size_t t = first; t < first + count; t++, column += column_size) {
            float values[MOST_LANES];
            size_t at = row / lanes * matrix->panel_stride + t * lanes;
            float *to = matrix->type == INK_F32 ? (float *)matrix->panels + at : values;
            widen(kernel, type, column, there, to);
            if (there < lanes)
                memset(to + there, 0, (lanes - there) * sizeof *to);
            if (matrix->type != INK_F32)
                narrow(kernel, matrix->type, values, lanes, (uint16_t *)matrix->panels + at);
        }
    }
}

/* `count` <= CHUNK halves, a panel's width apart, as f32. Widening is exact: any kernel will do. */
static void gather_halves(ink_type type, const uint16_t *from, size_t count, float *out)
{
    uint16_t halves[CHUNK];
    for (size_t i = 0; i < count; i++)
        halves[i] = from[i * 2 * INK_PANEL];
    widen(&ink_kernel_portable, type, (const char *)halves, count, out);
}

void ink_matrix_copy_row(const ink_matrix *matrix, size_t row, float *out)
{
    size_t lanes = ink_panel_lanes(matrix->type), lane = row / lanes * matrix->panel_stride + row % lanes;
    if (matrix->type == INK_F32) {
        const float *from = (const float *)matrix->panels + lane;
        for (size_t t = 0; t < matrix->k; t++)
            out[t] = from[t * INK_PANEL];
    } else {
        const uint16_t *from = (const uint16_t *)matrix->panels + lane;
        for (size_t t = 0; t < matrix->k; t += CHUNK)
            gather_halves(matrix->type, from + t * lanes, ink_size_min(CHUNK, matrix->k - t), out + t);
    }
}

/* ---- multiplying ---------------------------------------------------------------------------------------------- */

/* Below this many multiply-adds, and this many bytes of weights, a product stays on the calling thread: some 20 us of
   arithmetic, or 40 us of reading. Where the workers sleep, waking them takes 4 us of the calling thread's time, and
   the product is over before they come. */
#define SMALL_PRODUCT ((size_t)1 << 20)
#define SMALL_WEIGHTS ((size_t)4 << 20)

/* Pieces per thread: several, so that a thread that is held up does not hold up the others. */
#define PIECES_PER_THREAD 4

/* Rows that a piece has at least: a multiple of every kernel's tiles. */
#define PIECE_ROWS ((size_t)24)

typedef struct job {
    const ink_kernel *kernel;
    const ink_product *product;
    size_t panels;
    size_t row_pieces, panel_pieces; /* piece i is number i % panel_pieces side by side, i / panel_pieces below */
} job;

/* Where part `number` of `parts` begins, which are as equal as they can be. */
static size_t part_begin(size_t n, size_t number, size_t parts)
{
    return n / parts * number + ink_size_min(number, n % parts);
}

static void multiply_piece(void *context, size_t piece)
{
    const job *j = context;
    size_t row = piece / j->panel_pieces, panel = piece % j->panel_pieces;
    j->kernel->multiply(
        j->product, part_begin(j->product->m, row, j->row_pieces), part_begin(j->product->m, row + 1, j->row_pieces),
        part_begin(j->panels, panel, j->panel_pieces), part_begin(j->panels, panel + 1, j->panel_pieces));
}

static bool is_small(const ink_product *p)
{
    size_t weights, work;
    if (!ink_size_mul(p->w->n, p->w->k, &weights) || !ink_size_mul(weights, p->m, &work))
        return false;
    return work < SMALL_PRODUCT && weights * element_size(p->w->type) < SMALL_WEIGHTS;
}

void ink_multiply_here(const ink_kernel *kernel, const ink_product *product)
{
    kernel->multiply(product, 0, product->m, 0, ink_panel_count(product->w->n, product->w->type));
}

void ink_multiply(ink_context *ctx, const ink_product *product)
{
    size_t panels = ink_panel_count(product->w->n, product->w->type), m = product->m;
    size_t threads = ink_workers_count(ctx->workers);
    if (m == 0 || panels == 0)
        return;
    if (threads <= 1 || is_small(product)) {
        ctx->kernel->multiply(product, 0, m, 0, panels);
        return;
    }
    /* Panels first: a thread then reads its own part of the weights once. Rows where the panels do not go round. */
    size_t pieces = threads * PIECES_PER_THREAD;
    job j = {.kernel = ctx->kernel, .product = product, .panels = panels};
    j.panel_pieces = ink_size_min(pieces, panels);
    j.row_pieces = ink_size_max(ink_size_min(pieces / j.panel_pieces, m / PIECE_ROWS), 1);
    ink_workers_run(ctx->workers, multiply_piece, &j, j.row_pieces * j.panel_pieces);
}

/* ---- the public face ------------------------------------------------------------------------------------------- */

typedef struct create_args {
    ink_context *ctx;
    const ink_tensor *w;
    ink_type type;
} create_args;

static ink_result build(void *context, ink_arena *arena, void **object)
{
    const create_args *args = context;
    ink_matrix local, *matrix = ink_arena_alloc(arena, 1, sizeof *matrix);
    size_t n = args->w->shape.dim[0], k = args->w->shape.dim[1];
    ink_matrix_alloc(arena, matrix != NULL ? matrix : &local, n, k, k, args->type);
    if (!arena->measuring && !ink_arena_failed(arena))
        ink_matrix_fill_rows(args->ctx->kernel, matrix, 0, n, args->w->type, args->w->data);
    *object = matrix;
    return INK_OK;
}

ink_result ink_matrix_create(ink_context *ctx, const ink_tensor *w, ink_type type, ink_matrix **matrix)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, matrix);
    *matrix = NULL;
    INK_REQUIRE(ctx, w);
    if (w->shape.rank != 2)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "a matrix has two dimensions, not %s", INK_SHAPE(&w->shape));
    if (!ink_type_is_float(w->type))
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "a matrix of type %s, expected F32, BF16, F16 or F64",
                        ink_type_name(w->type));
    type = ink_matrix_type(type, w->type);
    if (!ink_matrix_holds(type))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "a packed matrix is F32, BF16 or F16, not %s", ink_type_name(type));
    if (w->shape.dim[0] != 0 && w->shape.dim[1] != 0)
        INK_REQUIRE(ctx, w->data);
    create_args args = {ctx, w, type};
    return ink_object_create(ctx, "the matrix", build, &args, 0, (void **)matrix);
}

void ink_matrix_free(ink_matrix *matrix) { ink_object_free(matrix); }

ink_result ink_matrix_multiply(ink_context *ctx, const ink_matrix *w, const float *bias, const float *x, size_t m,
                               float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, w);
    if (m == 0 || w->n == 0)
        return INK_OK;
    if (w->k != 0)
        INK_REQUIRE(ctx, x);
    INK_REQUIRE(ctx, y);
    ink_product product = {.x = x, .x_stride = w->k, .m = m, .w = w, .bias = bias, .y = y, .y_stride = w->n};
    ink_float_mode host = ink_float_mode_enter();
    ink_multiply(ctx, &product);
    ink_float_mode_leave(host);
    return INK_OK;
}

ink_result ink_matrix_row(ink_context *ctx, const ink_matrix *w, size_t row, float *out)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, w);
    INK_REQUIRE(ctx, out);
    if (row >= w->n)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "row %zu of a matrix with %zu rows", row, w->n);
    ink_matrix_copy_row(w, row, out);
    return INK_OK;
}
