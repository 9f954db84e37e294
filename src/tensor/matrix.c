/*
 * matrix.c - packed matrices: fills panels from rows or columns of any floating-point type or from blocks, and
 * multiplies.
 *
 * Filling goes through a small buffer of f32. The kernel converts elements, which are stored at any alignment, into the
 * buffer and from there to the matrix's type; then they are written to the lanes of their panel.
 */
#include <string.h>

#include "blocks.h"
#include "packed.h"

#define BUFFER 64                  /* elements converted at once */
#define MOST_LANES (2 * INK_PANEL) /* of a panel of any type */

static size_t element_size(ink_type type) { return ink_type_bits(type) / 8; }

/* True for the types whose panels are those of panels.c. */
static inline bool is_quantised(ink_type type) { return INK_HAS_QUANTISED && type >= INK_Q8_0; }

/* Bytes of so many columns of a panel; of a quantised one, whole chunks and perhaps a last, shorter one. */
static size_t columns_bytes(ink_type type, size_t columns)
{
    if (!is_quantised(type))
        return columns * ink_panel_lanes(type) * element_size(type);
    const ink_panel_format *format = ink_panel_format_of(type);
    size_t blocks = ink_row_blocks(columns), rest = blocks % INK_CHUNK_BLOCKS;
    return blocks / INK_CHUNK_BLOCKS * ink_chunk_bytes(format, INK_CHUNK_BLOCKS) +
           (rest != 0 ? ink_chunk_bytes(format, rest) : 0);
}

/* ---- types ----------------------------------------------------------------------------------------------------- */

ink_type ink_matrix_type(ink_type asked, ink_type stored)
{
    if (asked != INK_TYPE_NONE)
        return asked;
    return stored == INK_BF16 || stored == INK_F16 || is_quantised(stored) ? stored : INK_F32;
}

ink_result ink_matrix_check_type(ink_context *ctx, ink_type type, ink_type stored)
{
    /* Floats are rounded to the blocks of two types; those of the others are only read. */
    const bool in_blocks = type == INK_Q8_0 || type == INK_Q4_0 || (ink_type_is_quantised(type) && type == stored);
    if (type != INK_F32 && type != INK_BF16 && type != INK_F16 && !in_blocks)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "weights%s%s cannot be held as %s, only in their own blocks, or as F32, BF16, F16, Q8_0 or "
                        "Q4_0",
                        stored != INK_TYPE_NONE ? " of type " : "",
                        stored != INK_TYPE_NONE ? ink_type_name(stored) : "", ink_type_name(type));
    if (ink_type_is_quantised(type) && !INK_HAS_QUANTISED)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "this library was built without %s matrices: build it with quantised in INKLING_TYPES (without "
                        "-DINK_NO_QUANTISED); a model can be opened as F32 (ink_model_options.type)",
                        ink_type_name(type));
    if ((type == INK_BF16 && !INK_HAS_BF16) || (type == INK_F16 && !INK_HAS_F16))
        return ink_fail(
            ctx, INK_ERROR_UNSUPPORTED,
            "this library was built without %s matrices: build it with %s in INKLING_TYPES (without -DINK_NO_%s); a "
            "model can be opened as F32 (ink_model_options.type)",
            ink_type_name(type), type == INK_BF16 ? "bf16" : "f16", ink_type_name(type));
    return INK_OK;
}

/* ---- allocating and filling ------------------------------------------------------------------------------------ */

size_t ink_matrix_bytes(size_t n, size_t k_capacity, ink_type type)
{
    size_t bytes;
    if (k_capacity > SIZE_MAX / 256 ||
        !ink_size_mul(columns_bytes(type, k_capacity), ink_panel_count(n, type), &bytes) ||
        !ink_size_add(bytes, INK_ALIGNMENT - 1, &bytes))
        return SIZE_MAX;
    return bytes - bytes % INK_ALIGNMENT;
}

ink_matrix ink_matrix_over(void *memory, size_t n, size_t k, size_t k_capacity, ink_type type)
{
    size_t stride = is_quantised(type) ? columns_bytes(type, k_capacity) : k_capacity * ink_panel_lanes(type);
    return (ink_matrix){.n = n, .k = k, .type = type, .panel_stride = stride, .panels = memory};
}

/* A size that does not fit fails the arena, which is asked for more than there can be. */
void ink_matrix_alloc(ink_arena *arena, ink_matrix *matrix, size_t n, size_t k, ink_type type)
{
    void *panels = ink_arena_alloc(arena, ink_matrix_bytes(n, k, type), 1);
    *matrix = ink_matrix_over(panels, n, k, k, type);
}

/* The address of element [row, column]. The next column is the lanes of a panel further on. Of a quantised matrix, the
   address of a chunk, at whose begin [row, column] must be. */
static void *matrix_element(const ink_matrix *matrix, size_t row, size_t column)
{
    if (is_quantised(matrix->type))
        return (char *)matrix->panels + row / INK_PANEL * matrix->panel_stride + columns_bytes(matrix->type, column);
    size_t lanes = ink_panel_lanes(matrix->type);
    size_t element = row / lanes * matrix->panel_stride + column * lanes + row % lanes;
    return (char *)matrix->panels + element * element_size(matrix->type);
}

void ink_matrix_clear(ink_matrix *matrix, size_t n_rows, size_t n_columns)
{
    size_t lanes = ink_panel_lanes(matrix->type), size = columns_bytes(matrix->type, n_columns);
    for (size_t row = 0; row < n_rows; row += lanes)
        memset(matrix_element(matrix, row, 0), 0, size);
}

void ink_widen(const ink_kernel *kernel, ink_type type, const void *data, size_t count, float *out)
{
    union {
        uint16_t u16[BUFFER];
        double f64[BUFFER];
    } aligned;
    if (type == INK_F32) {
        if (count == INK_PANEL)
            memcpy(out, data, INK_PANEL * sizeof *out); /* a constant size needs no call */
        else
            memcpy(out, data, count * sizeof *out);
        return;
    }
    if (ink_type_is_quantised(type)) {
        ink_blocks_to_f32(type, data, count, out);
        return;
    }
    size_t width = element_size(type);
    for (size_t i = 0; i < count; i += BUFFER) {
        size_t n = ink_size_min(BUFFER, count - i);
        memcpy(&aligned, (const char *)data + i * width, n * width);
        if (type == INK_BF16)
            kernel->from_bf16(aligned.u16, n, out + i);
        else if (type == INK_F16)
            kernel->from_f16(aligned.u16, n, out + i);
        else
            kernel->from_f64(aligned.f64, n, out + i);
    }
}

static void matrix_narrow(const ink_kernel *kernel, ink_type type, const float *values, size_t count, uint16_t *out)
{
    if (type == INK_BF16)
        kernel->to_bf16(values, count, out);
    else
        kernel->to_f16(values, count, out);
}

/* Writes `count` <= BUFFER elements of each of n_rows rows of one panel: to[t][i] = values[i][t]. */
static inline void interleave_floats(float values[][BUFFER], size_t n_rows, size_t count, float *to)
{
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < n_rows; i++)
            to[t * INK_PANEL + i] = values[i][t];
}

static inline void interleave_halves(uint16_t values[][BUFFER], size_t n_rows, size_t count, uint16_t *to)
{
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < n_rows; i++)
            to[t * 2 * INK_PANEL + i] = values[i][t];
}

/* Columns from .. from + count - 1 of rows row .. row + n_rows - 1, all of one panel. `rows` is the address of the
   first element. */
static void matrix_fill_block(const ink_kernel *kernel, const ink_matrix *matrix, size_t row, size_t n_rows,
                              size_t from, size_t count, ink_type type, const char *rows)
{
    union {
        float floats[INK_PANEL][BUFFER];
        uint16_t halves[2 * INK_PANEL][BUFFER];
    } values;
    void *to = matrix_element(matrix, row, from);
    bool wide = matrix->type == INK_F32;
    for (size_t i = 0; i < n_rows; i++) {
        float widened[BUFFER];
        ink_widen(kernel, type, rows + i * matrix->k * element_size(type), count, wide ? values.floats[i] : widened);
        if (!wide)
            matrix_narrow(kernel, matrix->type, widened, count, values.halves[i]);
    }
    /* A constant number of rows unrolls the loop. */
    if (wide && n_rows == INK_PANEL)
        interleave_floats(values.floats, INK_PANEL, count, to);
    else if (wide)
        interleave_floats(values.floats, n_rows, count, to);
    else if (n_rows == 2 * INK_PANEL)
        interleave_halves(values.halves, 2 * INK_PANEL, count, to);
    else
        interleave_halves(values.halves, n_rows, count, to);
}

/* The lanes behind the last row, in its panel. */
static void clear_missing_lanes(const ink_matrix *matrix)
{
    size_t lanes = ink_panel_lanes(matrix->type), missing = lanes - 1 - (matrix->n - 1) % lanes;
    if (is_quantised(matrix->type)) {
        ink_panels_clear_rows(matrix, matrix->n, matrix->n + missing);
        return;
    }
    for (size_t t = 0; missing != 0 && t < matrix->k; t++)
        memset(matrix_element(matrix, matrix->n, t), 0, missing * element_size(matrix->type));
}

/* Up to INK_SUM_BLOCK columns of rows in one panel, from blocks or to blocks. Blocks of the matrix's own type are
   packed as they are. */
static void fill_chunk(const ink_kernel *kernel, const ink_matrix *matrix, size_t row, size_t n_rows, size_t from,
                       size_t count, ink_type type, const char *data, size_t row_bytes)
{
    if (type == matrix->type) {
        ink_panels_pack(matrix, row, n_rows, from, count / ink_type_block(type).elements, data, row_bytes);
        return;
    }
    for (size_t end = row + n_rows; row < end; row++, data += row_bytes) {
        float values[INK_SUM_BLOCK];
        ink_widen(kernel, type, data, count, values);
        if (is_quantised(matrix->type))
            ink_panels_quantise(matrix, row, from, count, values);
        for (size_t t = 0; t < count && !is_quantised(matrix->type); t += BUFFER)
            matrix_fill_block(kernel, matrix, row, 1, from + t, ink_size_min(BUFFER, count - t), INK_F32,
                              (const char *)(values + t));
    }
}

/* Columns of floats: 32 of them are the blocks of a panel's rows. */
static void fill_quantised_columns(const ink_kernel *kernel, const ink_matrix *matrix, size_t first, size_t count,
                                   ink_type type, const char *columns)
{
    const size_t width = element_size(type), column_bytes = matrix->n * width;
    for (size_t row = 0; row < matrix->n; row += INK_PANEL) {
        const size_t there = ink_size_min(INK_PANEL, matrix->n - row);
        for (size_t t = 0; t < count; t += INK_BLOCK) {
            const size_t n = ink_size_min(INK_BLOCK, count - t);
            float values[INK_PANEL], rows[INK_PANEL][INK_BLOCK];
            for (size_t i = 0; i < n; i++) {
                ink_widen(kernel, type, columns + (t + i) * column_bytes + row * width, there, values);
                for (size_t lane = 0; lane < there; lane++)
                    rows[lane][i] = values[lane];
            }
            for (size_t lane = 0; lane < there; lane++)
                ink_panels_quantise(matrix, row + lane, first + t, n, rows[lane]);
        }
    }
    if (first + count == matrix->k)
        clear_missing_lanes(matrix);
}

/* All rows of a panel are filled together, some columns at a time, so its lines stay in the cache. */
void ink_matrix_fill_rows(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                          const void *data)
{
    const ink_block_size block = ink_type_block(type);
    const size_t k = matrix->k, row_bytes = k / block.elements * block.bytes, lanes = ink_panel_lanes(matrix->type);
    const bool blocks = is_quantised(matrix->type) || ink_type_is_quantised(type);
    const size_t columns = blocks ? INK_SUM_BLOCK : BUFFER;
    const char *rows = data;
    if (first + count == matrix->n)
        clear_missing_lanes(matrix);
    for (size_t row = first, end = first + count, in_panel; row < end; row += in_panel, rows += in_panel * row_bytes) {
        in_panel = ink_size_min(lanes - row % lanes, end - row);
        for (size_t t = 0; t < k; t += columns) {
            const char *from = rows + t / block.elements * block.bytes;
            const size_t n = ink_size_min(columns, k - t);
            if (blocks)
                fill_chunk(kernel, matrix, row, in_panel, t, n, type, from, row_bytes);
            else
                matrix_fill_block(kernel, matrix, row, in_panel, t, n, type, from);
        }
    }
}

/* A column is one line of every panel. Missing lanes are set to zero. One panel after the other, so that the lines
   written lie side by side. */
void ink_matrix_fill_columns(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                             const void *data)
{
    size_t column_size = matrix->n * element_size(type), lanes = ink_panel_lanes(matrix->type);
    if (is_quantised(matrix->type)) {
        fill_quantised_columns(kernel, matrix, first, count, type, data);
        return;
    }
    for (size_t row = 0; row < matrix->n; row += lanes) {
        const char *column = (const char *)data + row * element_size(type);
        size_t there = ink_size_min(lanes, matrix->n - row);
        for (size_t t = first; t < first + count; t++, column += column_size) {
            float values[MOST_LANES];
            float *to = matrix->type == INK_F32 ? matrix_element(matrix, row, t) : values;
            ink_widen(kernel, type, column, there, to);
            if (there < lanes)
                memset(to + there, 0, (lanes - there) * sizeof *to);
            if (matrix->type != INK_F32)
                matrix_narrow(kernel, matrix->type, values, lanes, matrix_element(matrix, row, t));
        }
    }
}

/* ---- 8-bit codes ------------------------------------------------------------------------------------------------- */

float ink_matrix_quantise_row(const ink_kernel *kernel, ink_matrix *matrix, size_t row, const float *values)
{
    float largest = kernel->largest(values, matrix->k), scale = 0;
    int8_t codes[BUFFER], *to = matrix_element(matrix, row, 0);
    for (size_t t = 0; t < matrix->k; t += BUFFER) {
        size_t n = ink_size_min(BUFFER, matrix->k - t);
        scale = kernel->to_i8(values + t, n, largest, codes);
        for (size_t i = 0; i < n; i++)
            to[(t + i) * INK_PANEL] = codes[i];
    }
    return scale;
}

float ink_matrix_quantise_column(const ink_kernel *kernel, ink_matrix *matrix, size_t column, const float *values)
{
    float largest = kernel->largest(values, matrix->n), scale = 0;
    for (size_t row = 0; row < matrix->n; row += INK_PANEL) {
        int8_t *to = matrix_element(matrix, row, column);
        size_t n = ink_size_min(INK_PANEL, matrix->n - row);
        scale = kernel->to_i8(values + row, n, largest, to);
        memset(to + n, 0, INK_PANEL - n);
    }
    return scale;
}

/* ---- elements and views ---------------------------------------------------------------------------------------- */

/* Widening is exact, so any kernel will do. */
void ink_matrix_read_row(const ink_matrix *matrix, size_t row, size_t first, size_t count, float *out)
{
    if (is_quantised(matrix->type)) {
        ink_panels_read(matrix, row, first, count, out);
        return;
    }
    const void *from = matrix_element(matrix, row, first);
    if (matrix->type == INK_F32) {
        for (size_t t = 0; t < count; t++)
            out[t] = ((const float *)from)[t * INK_PANEL];
        return;
    }
    for (size_t t = 0; t < count; t += BUFFER) {
        uint16_t halves[BUFFER];
        size_t n = ink_size_min(BUFFER, count - t);
        for (size_t i = 0; i < n; i++)
            halves[i] = ((const uint16_t *)from)[(t + i) * 2 * INK_PANEL];
        ink_widen(&ink_kernel_portable, matrix->type, halves, n, out + t);
    }
}

void ink_matrix_read_column(const ink_matrix *matrix, size_t column, float *out)
{
    size_t lanes = ink_panel_lanes(matrix->type);
    for (size_t row = 0; is_quantised(matrix->type) && row < matrix->n; row++)
        ink_panels_read(matrix, row, column, 1, out + row);
    for (size_t row = 0; !is_quantised(matrix->type) && row < matrix->n; row += lanes)
        ink_widen(&ink_kernel_portable, matrix->type, matrix_element(matrix, row, column),
                  ink_size_min(lanes, matrix->n - row), out + row);
}

void ink_matrix_write_row(ink_matrix *matrix, size_t row, size_t first, size_t count, const float *values)
{
    float *to = matrix_element(matrix, row, first);
    for (size_t t = 0; t < count; t++)
        to[t * INK_PANEL] = values[t];
}

void *ink_matrix_elements(const ink_matrix *matrix, size_t row, size_t *stride)
{
    *stride = ink_panel_lanes(matrix->type) * element_size(matrix->type);
    return matrix_element(matrix, row, 0);
}

void ink_matrix_copy_rows(const ink_matrix *from, ink_matrix *to, size_t first, size_t end)
{
    size_t lanes = ink_panel_lanes(from->type), size = columns_bytes(from->type, from->k);
    for (size_t row = first - first % lanes; row < end; row += lanes)
        memcpy(matrix_element(to, row, 0), matrix_element(from, row, 0), size);
}

void ink_matrix_copy_columns(const ink_matrix *from, ink_matrix *to, size_t first, size_t end)
{
    size_t lanes = ink_panel_lanes(from->type), size = columns_bytes(from->type, end - first);
    for (size_t row = 0; row < from->n; row += lanes)
        memcpy(matrix_element(to, row, first), matrix_element(from, row, first), size);
}

ink_matrix ink_matrix_rows_view(const ink_matrix *matrix, size_t first, size_t n)
{
    ink_matrix view = *matrix;
    view.n = n;
    view.panels = matrix_element(matrix, first, 0);
    return view;
}

ink_matrix ink_matrix_columns_view(const ink_matrix *matrix, size_t first, size_t k)
{
    ink_matrix view = *matrix;
    view.k = k;
    view.panels = matrix_element(matrix, 0, first);
    return view;
}

/* ---- multiplying ---------------------------------------------------------------------------------------------- */

/* A product with fewer multiply-adds and fewer bytes of weights stays on the calling thread: it takes about 20 us of
   arithmetic, or 40 us of reading. Waking workers that sleep takes 4 us, and the product is over before they come. */
#define SMALL_PRODUCT ((size_t)1 << 20)
#define SMALL_WEIGHTS ((size_t)4 << 20)

/* Several tasks per thread, so that one thread that is held up does not hold up the others. */
#define TASKS_PER_THREAD 4

/* The least rows of a task: a multiple of every kernel's tiles. */
#define TASK_ROWS ((size_t)24)

/* The product in row_parts x panel_parts tasks. */
typedef struct multiply_job {
    const ink_kernel *kernel;
    const ink_product *product;
    size_t panels;
    size_t row_parts, panel_parts;
} multiply_job;

/* Where part `number` of `parts` nearly equal ones begins. */
static size_t part_begin(size_t n, size_t number, size_t parts)
{
    return n / parts * number + ink_size_min(number, n % parts);
}

static ink_multiply_fn *multiply_function(const ink_kernel *kernel, ink_type type)
{
    return is_quantised(type) ? kernel->quantised->multiply : kernel->multiply[type];
}

static void multiply_task(void *context, size_t task)
{
    const multiply_job *j = context;
    size_t row = task / j->panel_parts, panel = task % j->panel_parts;
    multiply_function(j->kernel, j->product->w->type)(
        j->product, part_begin(j->product->m, row, j->row_parts), part_begin(j->product->m, row + 1, j->row_parts),
        part_begin(j->panels, panel, j->panel_parts), part_begin(j->panels, panel + 1, j->panel_parts));
}

static bool product_is_small(const ink_product *p)
{
    size_t weights, work;
    if (!ink_size_mul(p->w->n, p->w->k, &weights) || !ink_size_mul(weights, p->m, &work))
        return false;
    return work < SMALL_PRODUCT && ink_matrix_bytes(p->w->n, p->w->k, p->w->type) < SMALL_WEIGHTS;
}

static void multiply_parts(ink_context *ctx, const ink_product *product)
{
    size_t panels = ink_panel_count(product->w->n, product->w->type), m = product->m;
    if (ctx->workers == NULL || product_is_small(product)) {
        multiply_function(ctx->kernel, product->w->type)(product, 0, m, 0, panels);
        return;
    }
    /* Panels are divided first: each thread then reads its own weights once. Rows are divided too if there are fewer
       panels than tasks. */
    size_t tasks = ink_workers_count(ctx->workers) * TASKS_PER_THREAD;
    multiply_job j = {.kernel = ctx->kernel, .product = product, .panels = panels};
    j.panel_parts = ink_size_min(tasks, panels);
    j.row_parts = ink_size_max(ink_size_min(tasks / j.panel_parts, m / TASK_ROWS), 1);
    ink_workers_run(ctx->workers, multiply_task, &j, j.row_parts * j.panel_parts, true);
}

/* ---- multiplying with quantised matrices ---- */

/* Bytes of quantised rows on the stack. */
#define STACK_ROWS ((size_t)1536)

/* The columns of a row that is too long for them: a multiple of INK_SUM_BLOCK. */
#define STACK_COLUMNS ((size_t)768)

/* Rows of x that one task quantises. */
#define QUANTISE_ROWS ((size_t)16)

typedef struct quantise_job {
    const ink_kernel *kernel;
    const ink_product *product;
    uint8_t *rows;
} quantise_job;

static void quantise_rows_task(void *context, size_t task)
{
    const quantise_job *j = context;
    const ink_product *p = j->product;
    const ink_panel_format *format = ink_panel_format_of(p->w->type);
    size_t row_bytes = ink_row_bytes(format, p->w->k);
    for (size_t r = task * QUANTISE_ROWS; r < ink_size_min((task + 1) * QUANTISE_ROWS, p->m); r++)
        j->kernel->quantised->quantise_row(format, p->x + r * p->x_stride, p->w->k, j->rows + r * row_bytes);
}

/* As many rows at a time as fit on the stack; of a longer row, as many columns, whose sums are added to y in order. */
static void multiply_on_stack(const ink_kernel *kernel, const ink_product *product)
{
    _Alignas(INK_ALIGNMENT) uint8_t rows[STACK_ROWS];
    const ink_matrix *w = product->w;
    const size_t row_bytes = ink_row_bytes(ink_panel_format_of(w->type), w->k);
    const size_t count = ink_size_max(STACK_ROWS / ink_size_max(row_bytes, 1), 1);
    const size_t columns = row_bytes <= STACK_ROWS ? ink_size_max(w->k, 1) : STACK_COLUMNS;
    for (size_t row = 0; row < product->m; row += count)
        for (size_t t = 0; t == 0 || t < w->k; t += columns) {
            const ink_matrix view = ink_matrix_columns_view(w, t, ink_size_min(columns, w->k - t));
            ink_product part = *product;
            part.m = ink_size_min(count, product->m - row);
            part.x += row * part.x_stride + t;
            part.y += row * part.y_stride;
            part.w = &view;
            part.rows = rows;
            part.bias = t == 0 ? part.bias : part.y;
            for (size_t task = 0; task * QUANTISE_ROWS < part.m; task++)
                quantise_rows_task(&(quantise_job){kernel, &part, rows}, task);
            kernel->quantised->multiply(&part, 0, part.m, 0, ink_panel_count(view.n, view.type));
        }
}

size_t ink_product_row_bytes(const ink_matrix *w)
{
    return is_quantised(w->type) ? ink_row_bytes(ink_panel_format_of(w->type), w->k) : 0;
}

size_t ink_product_scratch(size_t row_bytes, size_t m)
{
    size_t bytes;
    if (!ink_size_mul(m, row_bytes, &bytes))
        return SIZE_MAX;
    return bytes <= STACK_ROWS ? 0 : bytes;
}

static void multiply_rounded_rows(ink_context *ctx, const ink_product *product)
{
    _Alignas(INK_ALIGNMENT) uint8_t stack[STACK_ROWS];
    const size_t bytes = ink_product_scratch(ink_product_row_bytes(product->w), product->m);
    const size_t tasks = (product->m + QUANTISE_ROWS - 1) / QUANTISE_ROWS;
    const ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_product quantised = *product;
    quantise_job job = {ctx->kernel, product, bytes == 0 ? stack : ink_arena_alloc(&ctx->scratch, bytes, 1)};
    quantised.rows = job.rows;
    if (job.rows != NULL) {
        for (size_t task = 0; bytes == 0 && task < tasks; task++)
            quantise_rows_task(&job, task);
        if (bytes != 0)
            ink_workers_run(ctx->workers, quantise_rows_task, &job, tasks, true);
        multiply_parts(ctx, &quantised);
    } else {
        multiply_on_stack(ctx->kernel, product);
    }
    ink_arena_release(&ctx->scratch, mark);
}

void ink_multiply(ink_context *ctx, const ink_product *product)
{
    if (product->m == 0 || product->w->n == 0)
        return;
    if (is_quantised(product->w->type))
        multiply_rounded_rows(ctx, product);
    else
        multiply_parts(ctx, product);
}

void ink_multiply_here(const ink_kernel *kernel, const ink_product *product)
{
    if (is_quantised(product->w->type))
        multiply_on_stack(kernel, product);
    else
        kernel->multiply[product->w->type](product, 0, product->m, 0, ink_panel_count(product->w->n, product->w->type));
}

/* ---- the public face ------------------------------------------------------------------------------------------- */

ink_result ink_matrix_create(ink_context *ctx, const ink_tensor *w, ink_type type, ink_matrix **matrix)
{
    ink_arena measure, arena;
    ink_matrix shape;
    INK_REQUIRE(ctx, matrix);
    *matrix = NULL;
    INK_REQUIRE(ctx, w);
    if (w->shape.rank != 2)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "a matrix has two dimensions, not %s", INK_SHAPE(&w->shape));
    if (!ink_type_is_float(w->type) && !ink_type_is_quantised(w->type))
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "a matrix of type %s, expected F32, BF16, F16, F64 or a quantised type",
                        ink_type_name(w->type));
    type = ink_matrix_type(type, w->type);
    INK_TRY(ink_matrix_check_type(ctx, type, w->type));
    size_t n = w->shape.dim[0], k = w->shape.dim[1];
    if (k % ink_type_block(w->type).elements != 0)
        return ink_fail(ctx, INK_ERROR_MISMATCH, "a matrix of type %s with rows of %zu, expected a multiple of %zu",
                        ink_type_name(w->type), k, ink_type_block(w->type).elements);
    if (n != 0 && k != 0)
        INK_REQUIRE(ctx, w->data);
    ink_arena_measure(&measure);
    ink_arena_alloc(&measure, 1, sizeof shape);
    ink_matrix_alloc(&measure, &shape, n, k, type);
    INK_TRY(ink_object_new(ctx, "the matrix", &measure, NULL, 0, &arena));
    *matrix = ink_arena_alloc(&arena, 1, sizeof shape);
    ink_matrix_alloc(&arena, *matrix, n, k, type);
    ink_float_mode host = ink_float_mode_enter(); /* weights are rounded */
    ink_matrix_fill_rows(ctx->kernel, *matrix, 0, n, w->type, w->data);
    ink_float_mode_leave(host);
    return INK_OK;
}

void ink_matrix_free(ink_matrix *matrix) { ink_object_free(matrix); }

ink_result ink_matrix_multiply(ink_context *ctx, const ink_matrix *w, const float *bias, const float *x, size_t m,
                               float *y)
{
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
    INK_REQUIRE(ctx, w, out);
    if (row >= w->n)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "row %zu of a matrix with %zu rows", row, w->n);
    ink_matrix_read_row(w, row, 0, w->k, out);
    return INK_OK;
}
