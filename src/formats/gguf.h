/*
 * gguf.h - a GGUF file as metadata by key and a checked table of tensors. It knows no model.
 *
 *     "GGUF" | version | n_tensors | n_keys | key, type, value ... | name, dims, type, offset ... | padding | data ...
 *
 * All numbers are little-endian; strings are a length of 8 bytes and UTF-8. The offsets count from the beginning of the
 * data. The data of a tensor begin at a multiple of the alignment (general.alignment, or 32), right behind those of the
 * tensor before it.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; versions 2 and 3, which look the same.
 *
 *     const ink_gguf *gguf = ink_weights_gguf(weights);
 *     const ink_gguf_value *value;
 *     int64_t n_layers = 0;
 *     double eps = 1e-5;
 *     INK_TRY(ink_gguf_require(ctx, gguf, "llama.block_count", &value));
 *     INK_TRY(ink_gguf_get_int(ctx, gguf, value, 1, INT32_MAX, &n_layers));
 *     value = ink_gguf_find(gguf, "llama.attention.layer_norm_rms_epsilon");
 *     if (value != NULL)
 *         INK_TRY(ink_gguf_get_float(ctx, gguf, value, &eps));
 *
 *     INK_TRY(ink_gguf_require(ctx, gguf, "tokenizer.ggml.tokens", &value));
 *     INK_TRY(ink_gguf_expect_array(ctx, gguf, value, INK_GGUF_STRING, INK_GGUF_ANY));
 *     const char *text;
 *     size_t at = 0, size;
 *     while (ink_gguf_next_string(value, &at, &text, &size))
 *         ...
 */
#ifndef INK_FORMATS_GGUF_H
#define INK_FORMATS_GGUF_H

#include <inkling/weights.h>

#include "../base/bytes.h"
#include "../base/internal.h"

/* The types of values, by their numbers in the file. */
typedef enum ink_gguf_type {
    INK_GGUF_U8,
    INK_GGUF_I8,
    INK_GGUF_U16,
    INK_GGUF_I16,
    INK_GGUF_U32,
    INK_GGUF_I32,
    INK_GGUF_F32,
    INK_GGUF_BOOL,
    INK_GGUF_STRING,
    INK_GGUF_ARRAY,
    INK_GGUF_U64,
    INK_GGUF_I64,
    INK_GGUF_F64,
    INK_GGUF_N_TYPES
} ink_gguf_type;

/* A key and its value, or its array of values. */
typedef struct ink_gguf_value {
    const char *key;           /* NUL-terminated UTF-8, not empty */
    const unsigned char *data; /* as in the file, at any alignment; a string that is no element ends with a NUL */
    uint64_t offset;           /* of the key in the file */
    size_t count;              /* of elements; 1 if it is no array */
    size_t size;               /* bytes of data; of a string without its NUL */
    uint8_t type;              /* ink_gguf_type of the value or of each element; never INK_GGUF_ARRAY */
    bool is_array;
} ink_gguf_value;

typedef struct ink_gguf {
    const char *file;       /* its name, for messages */
    ink_gguf_value *values; /* [n_values], in the order of the file */
    size_t n_values;
    ink_names keys;
    ink_weight *tensors; /* [n_tensors], in the order of their bytes, which is that of the file; shapes as in PyTorch */
    size_t n_tensors;
} ink_gguf;

/*
 * Reads and checks all that stands before the data of an open file, and that the data lie in the file. Keys and values
 * are kept in `arena`, the table of tensors in `work` (growing arenas). All of it together may take table_bytes of
 * ink_limits. Errors: ink_weights_open(), with the key or the tensor, and the byte in the file at which its entry
 * begins. Stricter than the reference (gguf.cpp of ggml), which stops at the end of the table:
 *
 *   - bytes behind the last tensor and its padding are refused; that padding may be missing, as it may there
 *   - an alignment has at most 1 MiB, a key at most 65,535 bytes (the specification says so), a tensor has a name
 *   - bools are 0 or 1; strings, those in arrays as well, are UTF-8 without NUL
 *
 * and just as strict where gguf-py is laxer: offsets are exactly the sum of the padded sizes before them, names have at
 * most 63 bytes, keys and names are there once, arrays hold no arrays.
 */
ink_result ink_gguf_read(ink_context *ctx, const ink_file *file, ink_arena *arena, ink_arena *work, ink_gguf *gguf);

/* The metadata of weights that come from GGUF; of several files (shards), those of the first, which has them all. NULL
   for other weights. Its `tensors` are NULL: ink_weights_at() has those of all files. */
const ink_gguf *ink_weights_gguf(const ink_weights *weights);

/* INK_ERROR_UNSUPPORTED if the file accompanies a model: an adapter, a projector of images, importances for quantising,
   layers that predict more tokens, or, without tensors, a vocabulary. It is told by general.type, general.architecture,
   and the beginning of its name. n_tensors: ink_weights_count(). */
ink_result ink_gguf_check_model(ink_context *ctx, const ink_gguf *gguf, size_t n_tensors);

/* The value of a key, or NULL; ink_gguf_require() fails: "m.gguf: key 'llama.block_count' is missing". */
const ink_gguf_value *ink_gguf_find(const ink_gguf *gguf, const char *key);
ink_result ink_gguf_require(ink_context *ctx, const ink_gguf *gguf, const char *key, const ink_gguf_value **value);

/*
 * The value as a number, a bool or a string. A value of another type or out of range is INK_ERROR_MISMATCH; the
 * sentence has the key, its byte, the expected value and the found one. The output is untouched then, and if value is
 * NULL, a key that is not there. Integers have any of the eight types, because writers differ. A float is F32 or F64,
 * and finite. A string lives as long as the weights; size may be NULL.
 */
ink_result ink_gguf_get_int(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, int64_t min,
                            int64_t max, int64_t *out);
ink_result ink_gguf_get_float(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, double *out);
ink_result ink_gguf_get_bool(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, bool *out);
ink_result ink_gguf_get_string(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, const char **text,
                               size_t *size);

/* Element i of an array; a value that is no array counts for every i, as numbers that may differ by layer do. Fails if
   the array is shorter, and as the above. */
ink_result ink_gguf_int_at(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, size_t i, int64_t min,
                           int64_t max, int64_t *out);
ink_result ink_gguf_float_at(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, size_t i,
                             double *out);

/* Checks that a value is an array of n (INK_GGUF_ANY: any number of) elements of a type. Those of an array of U8 or I8
   are its `data` [size]. */
#define INK_GGUF_ANY SIZE_MAX
ink_result ink_gguf_expect_array(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value,
                                 ink_gguf_type type, size_t n);

/* Fails with a sentence that begins with the key and its place: "m.gguf: key 'llama.block_count' (byte 24)". */
ink_result ink_gguf_refuse(ink_context *ctx, const ink_gguf *gguf, const ink_gguf_value *value, ink_result result,
                           const char *format, ...) INK_PRINTF(5, 6);

/* "u8", ... "f64"; and element i of numbers or bools, unchecked, an integer beyond 2^53 rounded. */
const char *ink_gguf_type_name(ink_gguf_type type);
double ink_gguf_number(const ink_gguf_value *value, size_t i);

/* The strings of an array of strings one after the other; *at begins as 0. False at the end, where *text and *size are
   left as they are. They are not NUL-terminated. */
bool ink_gguf_next_string(const ink_gguf_value *value, size_t *at, const char **text, size_t *size);

#endif
