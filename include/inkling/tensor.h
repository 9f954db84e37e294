/*
 * tensor.h - element types, shapes, and views of memory that somebody else owns.
 */
#ifndef INKLING_TENSOR_H
#define INKLING_TENSOR_H

#include <inkling/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The element types of safetensors, and from INK_Q8_0 on the quantised types of GGUF. Activations are always f32. F64
   weights are rounded to f32 when they are read. Integers, complex numbers, F8, F6 and F4 can be listed and described.

   Quantised weights come in blocks: 32 or 256 neighbours of one row share a scale (and a minimum), and each has a few
   bits of its own. A row of such a tensor is a whole number of blocks. */
typedef enum ink_type {
    INK_TYPE_NONE = 0, /* "as stored", where an option asks for a type */
    INK_F32,
    INK_BF16,
    INK_F16,
    INK_F64,
    INK_I8,
    INK_I16,
    INK_I32,
    INK_I64,
    INK_U8,
    INK_U16,
    INK_U32,
    INK_U64,
    INK_BOOL,
    INK_C64,
    INK_F8_E5M2,
    INK_F8_E4M3,
    INK_F8_E8M0,
    INK_F8_E4M3FNUZ,
    INK_F8_E5M2FNUZ,
    INK_F6_E2M3,
    INK_F6_E3M2,
    INK_F4,
    INK_Q8_0,
    INK_Q4_0,
    INK_Q4_1,
    INK_Q5_0,
    INK_Q5_1,
    INK_Q2_K,
    INK_Q3_K,
    INK_Q4_K,
    INK_Q5_K,
    INK_Q6_K,
    INK_IQ4_NL,
    INK_IQ4_XS,
    INK_MXFP4,
    INK_N_TYPES
} ink_type;

/* "F32", "BF16", ... as safetensors spells them, "Q4_K", ... as GGUF does; "none" for any other number. Static
   strings. */
const char *ink_type_name(ink_type type);

/* Bits of one element; 0 for quantised types, whose elements have no bits of their own, and for any other number. */
size_t ink_type_bits(ink_type type);

/* The smallest piece of a tensor that can be read alone: `elements` in `bytes`. {1, 4} for F32, {32, 34} for Q8_0;
   {0, 0} for any other number, and for F6 and F4, whose elements share bytes. n elements are n / elements * bytes. */
typedef struct ink_block_size {
    size_t elements, bytes;
} ink_block_size;

ink_block_size ink_type_block(ink_type type);

/* True for F32, BF16, F16, F64; true for INK_Q8_0 and the types behind it. */
bool ink_type_is_float(ink_type type);
bool ink_type_is_quantised(ink_type type);

#define INK_MAX_RANK 8

/* dim[0] is the slowest, dim[rank - 1] the fastest (row-major, as PyTorch). Rank 0 is one element. */
typedef struct ink_shape {
    size_t rank;
    size_t dim[INK_MAX_RANK];
} ink_shape;

/* Number of elements in *count; false if it does not fit size_t, also where a zero dimension hides an overflow. With a
   rank above INK_MAX_RANK it is no shape: it has no count and equals no other. */
bool ink_shape_count(const ink_shape *shape, size_t *count);
bool ink_shape_equal(const ink_shape *a, const ink_shape *b);

/* A view: type, shape and a pointer to packed row-major elements, owned by somebody else. */
typedef struct ink_tensor {
    ink_type type;
    ink_shape shape;
    const void *data;
} ink_tensor;

/* Views of row-major f32 arrays: [n], and [rows, columns]. */
ink_tensor ink_tensor_1d(const float *data, size_t n);
ink_tensor ink_tensor_2d(const float *data, size_t rows, size_t columns);

#ifdef __cplusplus
}
#endif

#endif
