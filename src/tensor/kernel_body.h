/*
 * kernel_body.h - the body of every kernel, and the table of its functions:
 *
 *     kernel_product.h   the matrix product
 *     kernel_math.h      elementary functions and activations
 *     kernel_rows.h      functions over rows, recurrent cells, conversions
 *     kernel_rope.h      rotary positions
 *
 * Each kernel_*.c defines the primitives of vec.h for its instruction set, sets KERNEL (the name of the table),
 * KERNEL_NAME, KERNEL_SUPPORTED and the shapes of its tiles, and then includes this file.
 */

/* The elements of a row of n that the vec from element i on holds. */
INLINE size_t lanes_from(size_t i, size_t n) { return n - i < VEC_LANES ? n - i : VEC_LANES; }

INLINE vec load_lanes(const float *p, size_t lanes)
{
    return lanes == VEC_LANES ? vec_load(p) : vec_load_part(p, lanes);
}

INLINE void store_lanes(float *p, size_t lanes, vec a)
{
    if (lanes == VEC_LANES)
        vec_store(p, a);
    else
        vec_store_part(p, lanes, a);
}

#include "kernel_product.h"
#include "kernel_math.h"
#include "kernel_rows.h"
#include "kernel_rope.h"

const ink_kernel KERNEL = {
    .name = KERNEL_NAME,
    .supported = KERNEL_SUPPORTED,
    .multiply =
        {[INK_F32] = multiply_f32, [INK_BF16] = multiply_bf16, [INK_F16] = multiply_f16, [INK_I8] = multiply_i8},
    .activate = kernel_activate,
    .exp = kernel_exp,
    .log = kernel_log,
    .erf = kernel_erf,
    .sin = kernel_sin,
    .cos = kernel_cos,
    .add = kernel_add,
    .multiply_elements = kernel_multiply_elements,
    .add_share = kernel_add_share,
    .keep_largest = kernel_keep_largest,
    .unit_length = kernel_unit_length,
    .batch_norm = kernel_batch_norm,
    .inverse_sqrt = kernel_inverse_sqrt,
    .softmax = kernel_softmax,
    .layer_norm = kernel_layer_norm,
    .rms_norm = kernel_rms_norm,
    .rope_frequencies = kernel_rope_frequencies,
    .rope_angles = kernel_rope_angles,
    .rope_rotate = kernel_rope_rotate,
    .rnn_cell = kernel_rnn_cell,
    .gru_cell = kernel_gru_cell,
    .lstm_cell = kernel_lstm_cell,
    .from_bf16 = kernel_from_bf16,
    .from_f16 = kernel_from_f16,
    .from_f64 = kernel_from_f64,
    .to_bf16 = kernel_to_bf16,
    .to_f16 = kernel_to_f16,
    .to_i8 = kernel_to_i8,
    .largest = kernel_largest,
    .all_finite = kernel_all_finite,
};
