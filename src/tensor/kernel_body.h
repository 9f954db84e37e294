/*
 * kernel_body.h - the body of every kernel, and the table of its functions:
 *
 *     kernel_product.h   the matrix product
 *     kernel_math.h      elementary functions and activations
 *     kernel_rows.h      functions over rows, recurrent cells, conversions
 *     kernel_rope.h      rotary positions
 *
 * Each kernel_*.c defines the primitives of vec.h for its instruction set, sets KERNEL (the name of the table),
 * KERNEL_NAME, KERNEL_SUPPORTED and the shapes of its tiles, and then includes this file. Functions for quantised
 * matrices have a table of their own, named QUANTISED, and need the primitives of a dot_*.h; or KERNEL_QUANTISED is
 * that of another kernel. With DOT_KERNEL there is a second table, for processors that also have dot products of bytes:
 * the same functions, but for the quantised ones, which are DOT_QUANTISED.
 */

#include "kernel_lanes.h"
#include "kernel_product.h"
#include "kernel_math.h"
#include "kernel_rows.h"
#include "kernel_rope.h"

#ifdef INK_NO_QUANTISED
#define KERNEL_QUANTISED NULL
#elif defined(QUANTISED)
#include "kernel_quantised.h"
#define KERNEL_QUANTISED &QUANTISED
#endif

#define KERNEL_FUNCTIONS                                                                                               \
    .multiply =                                                                                                        \
        {[INK_F32] = multiply_f32, [INK_BF16] = multiply_bf16, [INK_F16] = multiply_f16, [INK_I8] = multiply_i8},      \
    .activate = kernel_activate, .exp = kernel_exp, .log = kernel_log, .erf = kernel_erf, .sin = kernel_sin,           \
    .cos = kernel_cos, .add = kernel_add, .multiply_elements = kernel_multiply_elements,                               \
    .add_share = kernel_add_share, .keep_largest = kernel_keep_largest, .unit_length = kernel_unit_length,             \
    .batch_norm = kernel_batch_norm, .inverse_sqrt = kernel_inverse_sqrt, .softmax = kernel_softmax,                   \
    .layer_norm = kernel_layer_norm, .rms_norm = kernel_rms_norm, .rope_frequencies = kernel_rope_frequencies,         \
    .rope_angles = kernel_rope_angles, .rope_rotate = kernel_rope_rotate, .rnn_cell = kernel_rnn_cell,                 \
    .gru_cell = kernel_gru_cell, .lstm_cell = kernel_lstm_cell, .from_bf16 = kernel_from_bf16,                         \
    .from_f16 = kernel_from_f16, .from_f64 = kernel_from_f64, .to_bf16 = kernel_to_bf16, .to_f16 = kernel_to_f16,      \
    .to_i8 = kernel_to_i8, .largest = kernel_largest, .all_finite = kernel_all_finite

const ink_kernel KERNEL = {
    .name = KERNEL_NAME, .supported = KERNEL_SUPPORTED, .quantised = KERNEL_QUANTISED, KERNEL_FUNCTIONS};

#if defined(DOT_KERNEL) && !defined(INK_NO_QUANTISED)
const ink_kernel DOT_KERNEL = {
    .name = DOT_NAME, .supported = DOT_SUPPORTED, .quantised = &DOT_QUANTISED, KERNEL_FUNCTIONS};
#endif
