/*
 * quantised.h - weights of Hugging Face folders that are stored as codes and scales (quantization_config of
 * config.json).
 *
 *     compressed-tensors    module.weight_packed, with module.weight_shape; or module.weight of type I8 or F8_E4M3
 *                           module.weight_scale, and perhaps module.weight_zero_point
 *     fp8                   module.weight of type F8_E4M3, module.weight_scale_inv (of AutoFP8: module.weight_scale)
 *
 *     w = (code - zero point) scale          a scale belongs to some rows and columns: all, one row, a group, a block
 *
 * To the rest of the importer such a weight is a tensor module.weight of another type: the one of GGUF's whose blocks
 * hold the same numbers (Q8_0, Q5_0, Q4_0), or F32 or BF16. A plan finds it by its name, and its rows are decoded while
 * they are read (fill.c).
 */
#ifndef INK_IMPORT_QUANTISED_H
#define INK_IMPORT_QUANTISED_H

#include <inkling/weights.h>

#include "../base/bytes.h"
#include "../base/internal.h"

typedef struct ink_coded {
    ink_weight weight; /* as the importer sees it; offset and size are those of the codes */
    const ink_weight *codes, *scales, *zeros, *shape; /* zeros, shape: NULL if there are none */
    size_t bits;                                      /* of a code that is packed into words; 0: each code is a byte */
    size_t group_rows, group_columns;                 /* elements that share a scale */
    size_t scale_columns;
} ink_coded;

/* The coded weights of a file. */
typedef struct ink_coded_list {
    ink_coded *list; /* [names.n] */
    ink_names names;
} ink_coded_list;

/* The weight of this name, or NULL; and the coded weight that `weight` is a part of, or NULL. */
const ink_weight *ink_coded_find(const ink_coded_list *coded, const char *name);
const ink_coded *ink_coded_of(const ink_coded_list *coded, const ink_weight *weight);

/* What reading up to `rows` rows needs besides their own bytes. */
typedef struct ink_coded_room {
    unsigned char *codes, *scales, *zeros; /* as they are stored */
    float *steps, *offsets;                /* scales and zero points */
    uint16_t *halves;                      /* scales as F16 */
    float *row;                            /* the elements of a row */
} ink_coded_room;
void ink_coded_alloc(ink_arena *arena, const ink_coded *coded, size_t rows, ink_coded_room *room);

/* Bytes of a decoded row. */
size_t ink_coded_row_bytes(const ink_coded *coded);

/* Reads rows first .. first + n - 1 as elements, or blocks, of the type of coded->weight. */
ink_result ink_coded_read(ink_context *ctx, const ink_weights *weights, const ink_coded *coded, size_t first, size_t n,
                          const ink_coded_room *room, unsigned char *out);

#endif
