/*
 * matrix.h - the packed matrix and the one product of the library, y = x W^T + b.
 *
 * Every matrix product (dense layer, recurrent gate, attention score, attention sum) uses this layout and this kernel.
 * W [n, k] has a row for each output, as in PyTorch's nn.Linear, and is packed into panels. A panel holds k rows of 64
 * bytes, one cache line: 16 lanes of f32, or 32 of bf16 or f16. With 16 lanes, lane l of panel p is output 16 p + l:
 *
 *   W [n, k]                panel p:   t = 0    w[16p][0]  w[16p+1][0]  ...  w[16p+15][0]
 *                                      t = 1    w[16p][1]  w[16p+1][1]  ...  w[16p+15][1]
 *                                      ...
 *
 * The lanes past n in the last panel are zero. An output stays in one lane of one accumulator from the first term to
 * the last, so the order of additions does not depend on tile, thread or vector width.
 *
 * The order of a sum is part of the contract. k is cut into blocks of INK_SUM_BLOCK by absolute index; each block is
 * summed in order from zero with fused multiply-adds; the block sums are added in order to the bias (or to zero).
 *
 * A quantised matrix (INK_Q8_0 to INK_MXFP4) holds the codes and scales of its blocks (tensor.h) bit by bit, in as many
 * bytes as a file does. Products with it round x, too. A row of x is cut into blocks of 32; in a block
 *
 *     largest = max |x|,  scale = largest / 127,  xq = x (127 / largest), rounded to the nearest integer, half to even
 *
 * in f32, each operation rounded. A block whose largest is below 2^-120 is zeros. A block with a NaN or an infinity has
 * the scale NaN, so that every output of its row is NaN, never a quiet number. With q, scale_w and minimum_w from the
 * block of W (value = scale_w q + minimum_w; 16 columns share them in Q2_K, Q3_K and Q6_K, else 32), these columns add
 *
 *     sum = fma(sum of xq q, scale scale_w, sum)
 *     sum = fma(scale sum of xq, minimum_w, sum)        in Q4_1, Q5_1, Q2_K, Q4_K, Q5_K
 *
 * The sums of integers are exact. Blocks are added in order from zero up to INK_SUM_BLOCK columns, and these sums in
 * order to the bias, as above. So the results of a quantised matrix, too, have the same bits everywhere.
 */
#ifndef INKLING_MATRIX_H
#define INKLING_MATRIX_H

#include <inkling/arena.h>
#include <inkling/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INK_SUM_BLOCK 256

/* A packed matrix. The fields may be read; only the functions below may touch the panels. */
typedef struct ink_matrix {
    size_t n, k;         /* outputs, inputs: W is [n, k] */
    ink_type type;       /* INK_F32; INK_BF16 or INK_F16, widened exactly inside the kernel; or quantised */
    size_t panel_stride; /* from one panel to the next: elements, lanes * k, or more if k can grow; quantised: bytes */
    void *panels;        /* [ceil(n / lanes)][panel_stride], at a multiple of INK_ALIGNMENT */
} ink_matrix;

/*
 * Creates a packed copy of `w`, an F32, BF16, F16, F64 or quantised tensor [n, k], as `type`; INK_TYPE_NONE: as stored,
 * F64 as F32. n or k may be 0. Free it with ink_matrix_free().
 *
 *   INK_F32, INK_BF16, INK_F16   rounds to nearest even; in F16, magnitudes of 65,520 and more become infinite
 *   the type of a quantised w    its blocks as they are
 *   INK_Q8_0, INK_Q4_0           searches the scale of each 32 weights of a row for the least squared error; zeros fill
 *                                up the last 32. A block with a NaN, an infinity, or a weight for which the scale would
 *                                pass the 65,504 of F16 becomes NaN
 *
 * INK_ERROR_ARGUMENT, also for other types; INK_ERROR_UNSUPPORTED for other types of `w`, or a type that this build
 * leaves out; INK_ERROR_MISMATCH if k is no whole number of blocks of a quantised w; INK_ERROR_LIMIT; INK_ERROR_MEMORY.
 */
ink_result ink_matrix_create(ink_context *ctx, const ink_tensor *w, ink_type type, ink_matrix **matrix);
void ink_matrix_free(ink_matrix *matrix);

/* y [m, n] = x [m, k] W^T + bias. bias is [n] or NULL. Rows are contiguous, with any alignment. m may be 0. y may not
   overlap x. Uses the worker threads of the context if the product is large enough to gain from them. The first product
   of many rows with a quantised matrix allocates scratch memory for the rounded rows, which the context keeps; without
   memory it is slower, and the result is the same. */
ink_result ink_matrix_multiply(ink_context *ctx, const ink_matrix *w, const float *bias, const float *x, size_t m,
                               float *y);

/* Row `row` of W as f32 into out [k]: widened, or the values of its blocks. */
ink_result ink_matrix_row(ink_context *ctx, const ink_matrix *w, size_t row, float *out);

#ifdef __cplusplus
}
#endif

#endif
