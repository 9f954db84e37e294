/*
 * packed.h - packed matrices inside the library: allocate, fill, view, read, multiply. Only src/tensor knows how panels
 * lie in memory.
 */
#ifndef INK_TENSOR_PACKED_H
#define INK_TENSOR_PACKED_H

#include <inkling/matrix.h>

#include "../base/internal.h"
#include "kernel.h"

/* ---- types ----------------------------------------------------------------------------------------------------- */

/* The type of a matrix whose elements are stored as `stored`: `asked`, or if that is INK_TYPE_NONE, `stored` where a
   matrix can have it, else INK_F32. */
ink_type ink_matrix_type(ink_type asked, ink_type stored);

/* Fails, and names the type, if no matrix of elements that are stored as `stored` has it, or if this build leaves it
   out. INK_TYPE_NONE: the elements may be stored in any way. */
ink_result ink_matrix_check_type(ink_context *ctx, ink_type type, ink_type stored);

/* Converts `count` elements of type F32, BF16, F16 or F64 (host byte order, any alignment), or whole blocks of a
   quantised type (blocks.h), to f32. */
void ink_widen(const ink_kernel *kernel, ink_type type, const void *data, size_t count, float *out);

/* ---- allocating and filling -------------------------------------------------------------------------------------- */

/* Bytes of the panels of an [n, k] matrix of a checked type, a multiple of INK_ALIGNMENT; SIZE_MAX if they cannot fit
   into memory. k_capacity >= k leaves room for k to grow, as that of a value cache does. */
size_t ink_matrix_bytes(size_t n, size_t k_capacity, ink_type type);

/* An [n, k] matrix over that many bytes at `memory`, a multiple of INK_ALIGNMENT; and one with memory from an arena.
   The panels are not initialised. ink_matrix_clear() sets the first n_rows rows and n_columns columns to zero, and the
   rows behind them in the same panel. */
ink_matrix ink_matrix_over(void *memory, size_t n, size_t k, size_t k_capacity, ink_type type);
void ink_matrix_alloc(ink_arena *arena, ink_matrix *matrix, size_t n, size_t k, ink_type type);
void ink_matrix_clear(ink_matrix *matrix, size_t n_rows, size_t n_columns);

/*
 * Filling converts `data`, elements of F32, BF16, F16 or F64 (host byte order, any alignment), to the matrix's type.
 * Rows may also be blocks of a quantised type.
 *   rows      data is [count, k], rows first .. first + count - 1 of W        (a PyTorch weight; a key of a head)
 *   columns   data is [count, n], columns first .. first + count - 1 of W     (a Conv1D weight; a value of a head)
 * Several threads may fill rows at once if each begins at a multiple of INK_FILL_ROWS. The call that fills the last row
 * sets the lanes behind it to zero.
 */
#define INK_FILL_ROWS 32
void ink_matrix_fill_rows(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                          const void *data);
void ink_matrix_fill_columns(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                             const void *data);

/* A row or a column of a matrix of type I8: its values [k] or [n] as 8-bit codes, values = scale codes. Returns the
   scale (to_i8() in kernel.h), which the matrix does not hold. */
float ink_matrix_quantise_row(const ink_kernel *kernel, ink_matrix *matrix, size_t row, const float *values);
float ink_matrix_quantise_column(const ink_kernel *kernel, ink_matrix *matrix, size_t column, const float *values);

/* ---- reading and writing elements -------------------------------------------------------------------------------- */

/* Columns first .. first + count - 1 of a row: read them as f32; replace them, in a matrix of type F32. A column is
   [n], and is read in far fewer lines of memory than a row. */
void ink_matrix_read_row(const ink_matrix *matrix, size_t row, size_t first, size_t count, float *out);
void ink_matrix_read_column(const ink_matrix *matrix, size_t column, float *out);
void ink_matrix_write_row(ink_matrix *matrix, size_t row, size_t first, size_t count, const float *values);

/* The first element of a row as it is stored; the others follow at distances of *stride bytes. */
void *ink_matrix_elements(const ink_matrix *matrix, size_t row, size_t *stride);

/* Copy rows or columns first .. end - 1 to a matrix of the same type and with rows, or columns, of the same length.
   Rows in the same panels come along. */
void ink_matrix_copy_rows(const ink_matrix *from, ink_matrix *to, size_t first, size_t end);
void ink_matrix_copy_columns(const ink_matrix *from, ink_matrix *to, size_t first, size_t end);

/* ---- views: rows first .. first + n - 1, or columns first .. first + k - 1, of a matrix ---- */

/* first is a multiple of INK_FILL_ROWS; of columns, of INK_SUM_BLOCK, so that the order of sums stays the same. */
ink_matrix ink_matrix_rows_view(const ink_matrix *matrix, size_t first, size_t n);
ink_matrix ink_matrix_columns_view(const ink_matrix *matrix, size_t first, size_t k);

/* ---- panels of quantised types (panels.c) ---- */

/* Columns of a row, from `column` on, which begins a block of the matrix's type: whole blocks as a file holds them, for
   several rows of one panel, whose blocks are `stride` bytes apart; or `count` floats, zeros being added to the last
   block. Rows row .. end - 1 of one panel become zeros. */
void ink_panels_pack(const ink_matrix *matrix, size_t row, size_t rows, size_t column, size_t n_blocks,
                     const void *blocks, size_t stride);
void ink_panels_quantise(const ink_matrix *matrix, size_t row, size_t column, size_t count, const float *values);
void ink_panels_clear_rows(const ink_matrix *matrix, size_t row, size_t end);

/* The values of columns first .. first + count - 1 of a row, to the bit those of ink_blocks_to_f32(). */
void ink_panels_read(const ink_matrix *matrix, size_t row, size_t first, size_t count, float *out);

/* ---- multiplying ------------------------------------------------------------------------------------------------- */

/* A whole product: ink_multiply() shares it with the workers of the context where that is faster, ink_multiply_here()
   stays on the calling thread. A product with a quantised matrix needs room for the rounded rows of x: the first
   function takes it from the scratch of the context. Where there is none, and in the second, a small buffer on the
   stack is used again and again: slower, with the same result. */
void ink_multiply(ink_context *ctx, const ink_product *product);
void ink_multiply_here(const ink_kernel *kernel, const ink_product *product);

/* The bytes of a rounded row for a product with w, 0 if it is not quantised; and the scratch that ink_multiply() takes
   for m rows of so many bytes each. */
size_t ink_product_row_bytes(const ink_matrix *w);
size_t ink_product_scratch(size_t row_bytes, size_t m);

#endif
