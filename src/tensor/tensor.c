/*
 * tensor.c - names and sizes of element types; shapes.
 */
#include <inkling/tensor.h>

#include "../base/bytes.h"

typedef struct type_info {
    const char *name;
    size_t bits;
} type_info;

/* By ink_type, with the names of the safetensors format. */
static const type_info types[INK_N_TYPES] = {
    [INK_TYPE_NONE] = {"none", 0},
    [INK_F32] = {"F32", 32},
    [INK_BF16] = {"BF16", 16},
    [INK_F16] = {"F16", 16},
    [INK_F64] = {"F64", 64},
    [INK_I8] = {"I8", 8},
    [INK_I16] = {"I16", 16},
    [INK_I32] = {"I32", 32},
    [INK_I64] = {"I64", 64},
    [INK_U8] = {"U8", 8},
    [INK_U16] = {"U16", 16},
    [INK_U32] = {"U32", 32},
    [INK_U64] = {"U64", 64},
    [INK_BOOL] = {"BOOL", 8},
    [INK_C64] = {"C64", 64},
    [INK_F8_E5M2] = {"F8_E5M2", 8},
    [INK_F8_E4M3] = {"F8_E4M3", 8},
    [INK_F8_E8M0] = {"F8_E8M0", 8},
    [INK_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8},
    [INK_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8},
    [INK_F6_E2M3] = {"F6_E2M3", 6},
    [INK_F6_E3M2] = {"F6_E3M2", 6},
    [INK_F4] = {"F4", 4},
};

static bool is_type(ink_type type) { return (unsigned)type < INK_N_TYPES; }

const char *ink_type_name(ink_type type) { return types[is_type(type) ? type : INK_TYPE_NONE].name; }

size_t ink_type_bits(ink_type type) { return types[is_type(type) ? type : INK_TYPE_NONE].bits; }

bool ink_type_is_float(ink_type type)
{
    return type == INK_F32 || type == INK_BF16 || type == INK_F16 || type == INK_F64;
}

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
