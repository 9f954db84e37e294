/*
 * packed.h - packed matrices, the inside: memory, filling, views, multiplying with strides. Only src/tensor knows how a
 * panel lies in memory.
 */
#ifndef INK_TENSOR_PACKED_H
#define INK_TENSOR_PACKED_H

#include <inkling/matrix.h>

#include "../base/internal.h"
#include "kernel.h"

/* True for the types of packed matrices: INK_F32, INK_BF16, INK_F16. */
bool ink_matrix_holds(ink_type type);

/* The type of a matrix whose elements are stored as `stored`: the one asked for; if that is INK_TYPE_NONE the stored
   one where a matrix holds it, else INK_F32. */
ink_type ink_matrix_type(ink_type asked, ink_type stored);

/* Bytes of the panels of an [n, k] matrix whose k may grow to k_capacity; SIZE_MAX if they cannot fit into memory. */
size_t ink_matrix_bytes(size_t n, size_t k_capacity, ink_type type);

/* An [n, k] matrix over that many bytes at `memory`, a multiple of INK_ALIGNMENT; and with memory from an arena. The
   panels are not initialised; ink_matrix_clear() makes them zero. */
ink_matrix ink_matrix_over(void *memory, size_t n, size_t k, size_t k_capacity, ink_type type);
void ink_matrix_alloc(ink_arena *arena, ink_matrix *matrix, size_t n, size_t k, size_t k_capacity, ink_type type);
void ink_matrix_clear(ink_matrix *matrix);

/* Views of the same memory: rows first .. first + n - 1, `first` being a multiple of ink_matrix_row_step(); or columns
   first .. first + k - 1, a multiple of INK_SUM_BLOCK, so that sums over a view have the blocks of sums over the whole.
 */
ink_matrix ink_matrix_view_rows(const ink_matrix *matrix, size_t first, size_t n);
ink_matrix ink_matrix_view_columns(const ink_matrix *matrix, size_t first, size_t k);

/* Elements [row][first .. first + count - 1] of an F32 matrix, out of it and into it. */
void ink_matrix_get(const ink_matrix *matrix, size_t row, size_t first, size_t count, float *out);
void ink_matrix_set(ink_matrix *matrix, size_t row, size_t first, size_t count, const float *in);

/* w[row][t] *= column_scale[t], then w[row][t] *= row_scale[row], of an F32 matrix; each scale may be NULL. */
void ink_matrix_scale(ink_matrix *matrix, const float *row_scale, const float *column_scale);

/*
 * Filling. `data` holds elements of `type` (F32, BF16, F16 or F64; host byte order, any alignment), converted to the
 * matrix's own type on the way.
 *   rows      data is [count, k], rows first .. first + count - 1 of W        (a PyTorch weight; a key of a head)
 *   columns   data is [count, n], columns first .. of W, one after the other  (a Conv1D weight; a value of a head)
 * The call of fill_rows that fills the last row sets the lanes behind it to zero.
 */
void ink_matrix_fill_rows(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                          const void *data);
void ink_matrix_fill_columns(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                             const void *data);

/* Threads may fill rows of one matrix side by side if their ranges begin at multiples of this. */
size_t ink_matrix_row_step(const ink_matrix *matrix);

/* Row `row`, widened, into out [k]. */
void ink_matrix_copy_row(const ink_matrix *matrix, size_t row, float *out);

/* A whole product, on the workers of the context where that gains; and on this thread. */
void ink_multiply(ink_context *ctx, const ink_product *product);
void ink_multiply_here(const ink_kernel *kernel, const ink_product *product);

#endif
