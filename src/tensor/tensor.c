/*
 * tensor.c - names and sizes of element types; shapes.
 */
#include <inkling/tensor.h>

#include "../base/bytes.h"

typedef struct type_info {
    const char *name;
    size_t bits;
    ink_block_size block; /* of a quantised type */
} type_info;

/* By ink_type, with the names of safetensors and GGUF. */
static const type_info types[INK_N_TYPES] = {
    [INK_TYPE_NONE] = {"none", 0, {0, 0}},
    [INK_F32] = {"F32", 32, {0, 0}},
    [INK_BF16] = {"BF16", 16, {0, 0}},
    [INK_F16] = {"F16", 16, {0, 0}},
    [INK_F64] = {"F64", 64, {0, 0}},
    [INK_I8] = {"I8", 8, {0, 0}},
    [INK_I16] = {"I16", 16, {0, 0}},
    [INK_I32] = {"I32", 32, {0, 0}},
    [INK_I64] = {"I64", 64, {0, 0}},
    [INK_U8] = {"U8", 8, {0, 0}},
    [INK_U16] = {"U16", 16, {0, 0}},
    [INK_U32] = {"U32", 32, {0, 0}},
    [INK_U64] = {"U64", 64, {0, 0}},
    [INK_BOOL] = {"BOOL", 8, {0, 0}},
    [INK_C64] = {"C64", 64, {0, 0}},
    [INK_F8_E5M2] = {"F8_E5M2", 8, {0, 0}},
    [INK_F8_E4M3] = {"F8_E4M3", 8, {0, 0}},
    [INK_F8_E8M0] = {"F8_E8M0", 8, {0, 0}},
    [INK_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8, {0, 0}},
    [INK_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8, {0, 0}},
    [INK_F6_E2M3] = {"F6_E2M3", 6, {0, 0}},
    [INK_F6_E3M2] = {"F6_E3M2", 6, {0, 0}},
    [INK_F4] = {"F4", 4, {0, 0}},
    [INK_Q8_0] = {"Q8_0", 0, {32, 34}},
    [INK_Q4_0] = {"Q4_0", 0, {32, 18}},
    [INK_Q4_1] = {"Q4_1", 0, {32, 20}},
    [INK_Q5_0] = {"Q5_0", 0, {32, 22}},
    [INK_Q5_1] = {"Q5_1", 0, {32, 24}},
    [INK_Q2_K] = {"Q2_K", 0, {256, 84}},
    [INK_Q3_K] = {"Q3_K", 0, {256, 110}},
    [INK_Q4_K] = {"Q4_K", 0, {256, 144}},
    [INK_Q5_K] = {"Q5_K", 0, {256, 176}},
    [INK_Q6_K] = {"Q6_K", 0, {256, 210}},
    [INK_IQ4_NL] = {"IQ4_NL", 0, {32, 18}},
    [INK_IQ4_XS] = {"IQ4_XS", 0, {256, 136}},
    [INK_MXFP4] = {"MXFP4", 0, {32, 17}},
};

static const type_info *info_of(ink_type type) { return &types[(unsigned)type < INK_N_TYPES ? type : INK_TYPE_NONE]; }

const char *ink_type_name(ink_type type) { return info_of(type)->name; }

size_t ink_type_bits(ink_type type) { return info_of(type)->bits; }

ink_block_size ink_type_block(ink_type type)
{
    size_t bits = info_of(type)->bits;
    return bits == 0 || bits % 8 != 0 ? info_of(type)->block : (ink_block_size){1, bits / 8};
}

bool ink_type_is_float(ink_type type)
{
    return type == INK_F32 || type == INK_BF16 || type == INK_F16 || type == INK_F64;
}

bool ink_type_is_quantised(ink_type type) { return info_of(type)->block.bytes != 0; }

bool ink_shape_count(const ink_shape *shape, size_t *count)
{
    size_t product = 1;
    bool empty = false;
    if (shape->rank > INK_MAX_RANK)
        return false;
    /* A zero is left out of the product, so that it cannot hide an overflow of the others. */
    for (size_t i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == 0)
            empty = true;
        else if (!ink_size_mul(product, shape->dim[i], &product))
            return false;
    }
    *count = empty ? 0 : product;
    return true;
}

bool ink_shape_equal(const ink_shape *a, const ink_shape *b)
{
    if (a->rank != b->rank || a->rank > INK_MAX_RANK)
        return false;
    for (size_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

ink_tensor ink_tensor_1d(const float *data, size_t n)
{
    return (ink_tensor){.type = INK_F32, .shape = {.rank = 1, .dim = {n}}, .data = data};
}

ink_tensor ink_tensor_2d(const float *data, size_t rows, size_t columns)
{
    return (ink_tensor){.type = INK_F32, .shape = {.rank = 2, .dim = {rows, columns}}, .data = data};
}
