/*
 * matrix.h - the packed matrix and the one product of the library, y = x W^T + b.
 *
 * Every matrix product (dense layer, recurrent gate, attention score, attention sum) is this layout and this kernel.
 * W [n, k] is stored by outputs, as PyTorch's nn.Linear has it, and packed into panels. A panel holds k rows of 64
 * bytes, a line of the cache: 16 lanes of f32, or 32 of bf16 or f16. With 16, lane l of panel p is output 16 p + l:
 *
 *   W [n, k]                panel p:   t = 0    w[16p][0]  w[16p+1][0]  ...  w[16p+15][0]
 *                                      t = 1    w[16p][1]  w[16p+1][1]  ...  w[16p+15][1]
 *                                      ...
 *
 * The lanes past n in the last panel are zero. One output is one lane of one accumulator from beginning to end, so no
 * sum ever crosses lanes, and the order of additions does not depend on tile, thread or vector width.
 *
 * Order of the sum, part of the contract: k is cut into blocks of INK_SUM_BLOCK by absolute index; each block is
 * summed in order from zero with fused multiply-adds; the block sums are added in order to the bias (or to zero).
 */
#ifndef INKLING_MATRIX_H
#define INKLING_MATRIX_H

#include <inkling/arena.h>
#include <inkling/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INK_SUM_BLOCK 256

/* A packed matrix. The fields may be read; the panels belong to the functions below. */
typedef struct ink_matrix {
    size_t n, k;         /* outputs, inputs: W is [n, k] */
    ink_type type;       /* INK_F32; INK_BF16 or INK_F16, widened exactly inside the kernel */
    size_t panel_stride; /* elements from one panel to the next: its lanes * k, or more where k can grow */
    void *panels;        /* [ceil(n / lanes)][panel_stride], at a multiple of INK_ALIGNMENT */
} ink_matrix;

/* Makes a packed copy of `w`, an F32, BF16, F16 or F64 tensor of rank 2 [n, k], as `type` (INK_F32, INK_BF16,
   INK_F16; INK_TYPE_NONE: as stored, F64 as F32). Rounding is to nearest even; as F16, what is 65,520 or more becomes
   infinite. n or k may be 0. Free with ink_matrix_free(). */
ink_result ink_matrix_create(ink_context *ctx, const ink_tensor *w, ink_type type, ink_matrix **matrix);
void ink_matrix_free(ink_matrix *matrix);

/* y [m, n] = x [m, k] W^T + bias. bias is [n] or NULL. Rows are contiguous; any alignment; m may be 0. y may not
   overlap x. Uses the worker threads of the context when the product is large enough to gain. */
ink_result ink_matrix_multiply(ink_context *ctx, const ink_matrix *w, const float *bias, const float *x, size_t m,
                               float *y);

/* Row `row` of W, widened to f32, into out [k]. */
ink_result ink_matrix_row(ink_context *ctx, const ink_matrix *w, size_t row, float *out);

#ifdef __cplusplus
}
#endif

#endif
