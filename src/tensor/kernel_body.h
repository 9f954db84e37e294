/*
 * kernel_body.h - the one body of all kernels, for whoever has defined the primitives of vec.h before:
 *
 *     kernel_product.h   the matrix product
 *     kernel_math.h      elementary functions and activations
 *     kernel_rows.h      functions over rows, recurrent cells, conversions
 *
 * and their table. The including file sets KERNEL (the table), KERNEL_NAME and KERNEL_SUPPORTED, and the tiles that its
 * registers hold.
 */
#include "kernel_product.h"
#include "kernel_math.h"
#include "kernel_rows.h"

const ink_kernel KERNEL = {
    .name = KERNEL_NAME,
    .supported = KERNEL_SUPPORTED,
    .multiply = multiply,
    .activate = activate,
    .exp = rows_exp,
    .log = rows_log,
    .erf = rows_erf,
    .sin = rows_sin,
    .cos = rows_cos,
    .add = add,
    .multiply_elements = multiply_elements,
    .inverse_sqrt = inverse_sqrt,
    .softmax = softmax,
    .layer_norm = layer_norm,
    .rnn_cell = rnn_cell,
    .gru_cell = gru_cell,
    .lstm_cell = lstm_cell,
    .from_bf16 = from_bf16,
    .from_f16 = from_f16,
    .from_f64 = from_f64,
    .to_bf16 = to_bf16,
    .all_finite = all_finite,
};
