/*
 * matrix.h - packed matrices, the inside: taking them from an arena, filling them, multiplying with strides.
 */
#ifndef INK_TENSOR_MATRIX_H
#define INK_TENSOR_MATRIX_H

#include <inkling/matrix.h>

#include "../base/internal.h"
#include "kernel.h"

/* True for the types of packed matrices: INK_F32, INK_BF16, INK_F16. */
bool ink_matrix_holds(ink_type type);

/* The type of a matrix whose elements are stored as `stored`: the one asked for; if that is INK_TYPE_NONE the stored
   one where a matrix holds it, else INK_F32. */
ink_type ink_matrix_type(ink_type asked, ink_type stored);

/* Sets the fields of an [n, k] matrix and takes its panels from the arena (of a type that ink_matrix_holds).
   k_capacity >= k leaves room for k to grow (a value cache); n can grow within the last panel and, where the arena's
   piece was made for it, by panels. The panels are not initialised; ink_matrix_clear() makes them zero. */
void ink_matrix_alloc(ink_arena *arena, ink_matrix *matrix, size_t n, size_t k, size_t k_capacity, ink_type type);
void ink_matrix_clear(ink_matrix *matrix);

/*
 * Filling. `data` holds elements of `type` (F32, BF16, F16 or F64; host byte order, any alignment), converted to the
 * matrix's own type on the way.
 *   rows      data is [count, k], rows first .. first + count - 1 of W        (a PyTorch weight; a key of a head)
 *   columns   data is [count, n], columns first .. of W, one after the other  (a Conv1D weight; a value of a head)
 * Lanes past n in a last panel that is touched by the first row of it are zeroed by fill_rows.
 */
void ink_matrix_fill_rows(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                          const void *data);
void ink_matrix_fill_columns(const ink_kernel *kernel, ink_matrix *matrix, size_t first, size_t count, ink_type type,
                             const void *data);

/* Row `row`, widened, into out [k]. */
void ink_matrix_copy_row(const ink_matrix *matrix, size_t row, float *out);

/* A whole product, on the workers of the context where that gains. */
void ink_multiply(ink_context *ctx, const ink_product *product);

#endif
