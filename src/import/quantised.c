/*
 * quantised.c - finds the weights of a folder that are stored as codes and scales, checks what belongs to each, and
 * decodes them (quantised.h). A scheme of config.json says which codes and scales there may be. Names and shapes of
 * tensors say which modules have them, so the lists of modules in config.json need not be read.
 */
#include <math.h> /* isfinite */
#include <string.h>

#include "../tensor/blocks.h"
#include "../tensor/packed.h"
#include "architectures.h"
#include "tokenizer_config.h"

#define F8_NAN 0x7f
#define BLOCK 32 /* elements of a block of Q8_0, Q5_0, Q4_0 */

/* ---- the schemes of config.json --------------------------------------------------------------------------------- */

/* A kind of weights: 8-bit floats or integers of some bits, and the rows and columns that share a scale (0: all). */
typedef struct scheme {
    bool is_float, has_zeros; /* a weight without its zero points is incomplete */
    size_t bits;              /* 0: the scheme has no weights */
    size_t rows, columns;
} scheme;

typedef struct schemes {
    ink_context *ctx;
    ink_json_document document;
    ink_notes *notes;
    const char *scale; /* the ending of the scales' names, behind "weight" */
    scheme *list;      /* [n] */
    size_t n;
} schemes;

/* INK_ERROR_UNSUPPORTED: "config.json: quantization_config.format is 'x', ...". */
static ink_result refuse_value(const schemes *s, ink_json node, const char *advice)
{
    char path[160];
    const ink_json_node *value = &s->document.nodes[node];
    ink_json_path(&s->document, node, path, sizeof path);
    if (value->string == NULL)
        return ink_fail(s->ctx, INK_ERROR_UNSUPPORTED, "%s: %s is not supported: %s", s->document.file, path, advice);
    return ink_fail(s->ctx, INK_ERROR_UNSUPPORTED, "%s: %s is '%s', %s", s->document.file, path, value->string, advice);
}

/* Refuses a string that is none of `names`, with blanks between them, if it is there. */
static ink_result check_name(const schemes *s, ink_json object, const char *key, const char *names, const char *advice)
{
    const char *value = NULL;
    INK_TRY(ink_json_read_string(s->ctx, &s->document, object, key, &value));
    return value == NULL || ink_is_listed(names, value, strlen(value))
               ? INK_OK
               : refuse_value(s, ink_json_member(&s->document, object, key), advice);
}

/* "128x128" or [128, 128]. */
static ink_result read_block(const schemes *s, ink_json node, scheme *out)
{
    const ink_json_document *document = &s->document;
    const ink_json_node *value = &document->nodes[node];
    size_t *sizes[2] = {&out->rows, &out->columns};
    if (value->kind == INK_JSON_STRING) {
        uint64_t numbers[2] = {0, 0};
        size_t digits = ink_digits(value->string, value->string_size, &numbers[0]), rest = digits + 1;
        if (digits != 0 && value->string[digits] == 'x' &&
            ink_digits(value->string + rest, value->string_size - rest, &numbers[1]) == value->string_size - rest &&
            numbers[0] - 1 < INK_MAX_WIDTH && numbers[1] - 1 < INK_MAX_WIDTH) {
            out->rows = (size_t)numbers[0];
            out->columns = (size_t)numbers[1];
            return INK_OK;
        }
    }
    INK_TRY(ink_json_expect(s->ctx, document, node, INK_JSON_ARRAY));
    if (value->n_children != 2)
        return refuse_value(s, node, "expected the rows and columns of a block");
    ink_json size = ink_json_first(document, node);
    for (size_t i = 0; i < 2; i++, size = ink_json_next(document, size))
        INK_TRY(ink_json_get_size(s->ctx, document, size, 1, INK_MAX_WIDTH, sizes[i]));
    return INK_OK;
}

/* The weights of a group of compressed-tensors. */
static ink_result read_scheme(const schemes *s, ink_json group, scheme *out)
{
    const ink_json_document *document = &s->document;
    const char *type = "int", *strategy = NULL;
    int64_t group_size = 0;
    size_t bits = 8;
    bool symmetric = true;
    *out = (scheme){0};
    INK_TRY(ink_json_expect(s->ctx, document, group, INK_JSON_OBJECT));
    INK_TRY(check_name(s, group, "format", "pack-quantized int-quantized float-quantized naive-quantized dense",
                       "expected 'pack-quantized', 'int-quantized', 'float-quantized' or 'naive-quantized'"));
    if (ink_json_member(document, group, "input_activations") != INK_JSON_NONE ||
        ink_json_member(document, group, "output_activations") != INK_JSON_NONE)
        ink_note(s->notes, "%s: quantization_config: activations are not quantised as it says, they stay f32",
                 document->file);
    ink_json weights = ink_json_member(document, group, "weights");
    if (weights == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(s->ctx, document, weights, INK_JSON_OBJECT));
    INK_TRY(check_name(s, weights, "type", "int float", "expected 'int' or 'float'"));
    INK_TRY(check_name(s, weights, "strategy", "tensor channel group block",
                       "expected 'tensor', 'channel', 'group' or 'block'"));
    INK_TRY(ink_json_read_string(s->ctx, document, weights, "type", &type));
    INK_TRY(ink_json_read_string(s->ctx, document, weights, "strategy", &strategy));
    out->is_float = strcmp(type, "float") == 0;
    INK_TRY(ink_json_read_size(s->ctx, document, weights, "num_bits", out->is_float ? 8 : 1, 8, &bits));
    INK_TRY(ink_json_read_int(s->ctx, document, weights, "group_size", -1, (int64_t)INK_MAX_WIDTH, &group_size));
    INK_TRY(ink_json_read_bool(s->ctx, document, weights, "symmetric", &symmetric));
    out->has_zeros = !symmetric;
    ink_json order = ink_json_member(document, weights, "actorder");
    if (order != INK_JSON_NONE && document->nodes[order].kind != INK_JSON_FALSE) {
        const char *name = document->nodes[order].string;
        if (name == NULL || (strcmp(name, "weight") != 0 && strcmp(name, "static") != 0))
            return refuse_value(s, order, "columns in another order than their groups are not supported");
    }
    out->bits = bits;
    if (strategy == NULL)
        strategy = group_size > 0 ? "group" : group_size < 0 ? "channel" : "tensor";
    out->rows = strcmp(strategy, "tensor") == 0 ? 0 : 1;
    if (strcmp(strategy, "group") == 0) {
        if (group_size <= 0)
            return refuse_value(s, weights, "a group needs a group_size of at least 1");
        out->columns = (size_t)group_size;
    }
    if (strcmp(strategy, "block") != 0)
        return INK_OK;
    ink_json block;
    INK_TRY(ink_json_require(s->ctx, document, weights, "block_structure", &block));
    return read_block(s, block, out);
}

/* Refuses a member that is an object with something in it, unless its own member `key` is `none` or empty. */
static ink_result check_unused(const schemes *s, ink_json object, const char *name, const char *key, const char *none,
                               const char *advice)
{
    const ink_json_document *document = &s->document;
    ink_json node = ink_json_member(document, object, name), member = ink_json_member(document, node, key);
    if (node == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(s->ctx, document, node, INK_JSON_OBJECT));
    if (document->nodes[node].n_children == 0)
        return INK_OK;
    const ink_json_node *value = &document->nodes[member != INK_JSON_NONE ? member : node];
    bool is_none = value->string != NULL && none != NULL && strcmp(value->string, none) == 0;
    return is_none || (value->kind == INK_JSON_OBJECT && value->n_children == 0) ? INK_OK
                                                                                 : refuse_value(s, node, advice);
}

static ink_result read_compressed_tensors(schemes *s, ink_arena *arena, ink_json object)
{
    const ink_json_document *document = &s->document;
    ink_json groups;
    s->scale = "_scale";
    INK_TRY(check_name(s, object, "format",
                       "pack-quantized int-quantized float-quantized naive-quantized mixed-precision dense",
                       "expected 'pack-quantized', 'int-quantized', 'float-quantized', 'naive-quantized' or "
                       "'mixed-precision'"));
    INK_TRY(check_name(s, object, "quantization_status", "compressed",
                       "expected 'compressed': other weights are rounded only when the model runs"));
    INK_TRY(
        check_unused(s, object, "sparsity_config", "format", "dense", "decompress the sparse weights before saving"));
    INK_TRY(check_unused(s, object, "transform_config", "config_groups", NULL,
                         "use the model before its weights were rotated"));
    if (ink_json_member(document, object, "kv_cache_scheme") != INK_JSON_NONE)
        ink_note(
            s->notes,
            "%s: quantization_config: keys and values are held as the state is created, not as kv_cache_scheme says",
            document->file);
    INK_TRY(ink_json_require(s->ctx, document, object, "config_groups", &groups));
    INK_TRY(ink_json_expect(s->ctx, document, groups, INK_JSON_OBJECT));
    s->list = ink_arena_alloc(arena, document->nodes[groups].n_children, sizeof *s->list);
    if (ink_arena_failed(arena))
        return ink_fail(s->ctx, INK_ERROR_MEMORY, "out of memory: %s", document->file);
    for (ink_json group = ink_json_first(document, groups); group != INK_JSON_NONE;
         group = ink_json_next(document, group)) {
        INK_TRY(read_scheme(s, group, &s->list[s->n]));
        s->n += s->list[s->n].bits != 0;
    }
    return INK_OK;
}

static ink_result read_fp8(schemes *s, ink_arena *arena, const ink_config *config, ink_json object)
{
    static const char key[] = "weight_block_size";
    s->scale = "_scale_inv";
    s->list = ink_arena_alloc(arena, 1, sizeof *s->list);
    if (s->list == NULL)
        return ink_fail(s->ctx, INK_ERROR_MEMORY, "out of memory: %s", s->document.file);
    s->n = 1;
    s->list[0] = (scheme){.is_float = true, .bits = 8, .rows = 128, .columns = 128};
    INK_TRY(check_name(s, object, "fmt", "e4m3", "expected 'e4m3'"));
    INK_TRY(check_name(s, object, "scale_fmt", "float ue8m0", "expected 'float' or 'ue8m0'"));
    INK_TRY(check_name(s, object, "activation_scheme", "dynamic static", "expected 'dynamic' or 'static'"));
    ink_note(s->notes, "%s: quantization_config: activations are not quantised as it says, they stay f32",
             s->document.file);
    const ink_config inner = {.document = config->document, .object = object};
    ink_json block = ink_json_member(&s->document, object, key);
    if (block != INK_JSON_NONE)
        return read_block(s, block, &s->list[0]);
    if (ink_config_is_null(&inner, key))
        s->list[0] = (scheme){.is_float = true, .bits = 8};
    return INK_OK;
}

/* ---- the tensors of a weight ------------------------------------------------------------------------------------ */

static size_t groups_of(size_t n, size_t group) { return group == 0 ? 1 : n / group + (n % group != 0); }

static bool has_shape(const ink_weight *weight, size_t rows, size_t columns)
{
    const ink_shape *shape = &weight->shape;
    if (shape->rank == 2)
        return shape->dim[0] == rows && shape->dim[1] == columns;
    return shape->rank == 1 ? columns == 1 && shape->dim[0] == rows : shape->rank == 0 && rows == 1 && columns == 1;
}

/* Checks the tensors of a weight against a scheme and sets its groups and bits. The failure names the tensor that does
   not fit. */
static ink_result fit_scheme(const schemes *s, const scheme *want, ink_coded *coded)
{
    const ink_weight *codes = coded->codes, *scales = coded->scales, *zeros = coded->zeros;
    size_t out = coded->weight.shape.dim[0], in = coded->weight.shape.dim[1];
    size_t rows = groups_of(out, want->rows), columns = groups_of(in, want->columns), words = 0;
    bool packed = coded->shape != NULL;
    ink_size_mul(in, want->bits, &words);
    words = words / 32 + (words % 32 != 0);
    if (want->is_float != (codes->type == INK_F8_E4M3))
        return ink_fail(s->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is of type %s, %s asks for %s", codes->file,
                        codes->name, ink_type_name(codes->type), s->document.file,
                        want->is_float ? "F8_E4M3" : "integers");
    if (packed && codes->shape.dim[1] != words)
        return ink_fail(s->ctx, INK_ERROR_MISMATCH,
                        "%s: tensor '%s' is %s, expected [%zu, %zu] for %zu columns of %zu bits", codes->file,
                        codes->name, INK_SHAPE(&codes->shape), out, words, in, want->bits);
    if (!has_shape(scales, rows, columns))
        return ink_fail(s->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, %s asks for [%zu, %zu]", scales->file,
                        scales->name, INK_SHAPE(&scales->shape), s->document.file, rows, columns);
    coded->bits = packed ? want->bits : 0;
    coded->group_rows = want->rows != 0 ? ink_size_min(want->rows, out) : out;
    coded->group_columns = want->columns != 0 ? ink_size_min(want->columns, in) : in;
    coded->scale_columns = columns;
    if (zeros == NULL)
        return !want->has_zeros ? INK_OK
                                : ink_fail(s->ctx, INK_ERROR_NOT_FOUND,
                                           "%s: tensor '%s_zero_point' is missing beside '%s': %s says that its codes "
                                           "are not symmetric",
                                           codes->file, coded->weight.name, codes->name, s->document.file);
    words = rows * want->bits / 32 + (rows * want->bits % 32 != 0); /* rows < 2^48 */
    if (want->is_float || (zeros->type != INK_I8 && (zeros->type != INK_I32 || !packed)))
        return ink_fail(s->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is of type %s, expected %s", zeros->file,
                        zeros->name, ink_type_name(zeros->type),
                        want->is_float ? "none beside floats"
                        : packed       ? "I32 or I8"
                                       : "I8");
    if (zeros->type == INK_I32 ? !has_shape(zeros, words, columns) : !has_shape(zeros, rows, columns))
        return ink_fail(s->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected [%zu, %zu]", zeros->file,
                        zeros->name, INK_SHAPE(&zeros->shape), zeros->type == INK_I32 ? words : rows, columns);
    return INK_OK;
}

/* Scales and zero points are read twice: here, so that a wrong one is found before there is memory for weights, and
   because the type of the weight depends on them; and again with each chunk of rows. */
#define AT_ONCE ((size_t)256)

/* `count` scales to f32. A scale of type E8M0 is 2^(byte - 127). */
static void scales_to_floats(const ink_kernel *kernel, ink_type type, const unsigned char *bytes, size_t count,
                             float *out)
{
    if (type != INK_F8_E8M0 && type != INK_U8) {
        ink_widen(kernel, type, bytes, count, out);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bytes[i] == 255 ? 0x7fc00000 : bytes[i] == 0 ? 0x400000 : (uint32_t)bytes[i] << 23;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

/* *in_f16: F16 holds all scales exactly. *powers: all are powers of two between 2^-100 and 2^100. */
static ink_result check_scales(ink_context *ctx, const ink_weights *weights, const ink_weight *scales, bool *in_f16,
                               bool *powers)
{
    size_t size = ink_type_bits(scales->type) / 8, count = (size_t)scales->size / size;
    double raw[AT_ONCE];
    float values[AT_ONCE], back[AT_ONCE];
    uint16_t halves[AT_ONCE];
    *in_f16 = *powers = true;
    for (size_t i = 0; i < count; i += AT_ONCE) {
        size_t n = ink_size_min(AT_ONCE, count - i);
        INK_TRY(ink_weights_read_bytes(ctx, weights, scales, i * size, raw, n * size));
        scales_to_floats(ctx->kernel, scales->type, (unsigned char *)raw, n, values);
        ctx->kernel->to_f16(values, n, halves);
        ctx->kernel->from_f16(halves, n, back);
        for (size_t j = 0; j < n; j++) {
            uint32_t bits;
            memcpy(&bits, &values[j], sizeof bits);
            if (!isfinite(values[j]))
                return ink_fail(ctx, INK_ERROR_CORRUPT, "%s: tensor '%s': scale %zu is not finite", scales->file,
                                scales->name, i + j);
            *in_f16 = *in_f16 && back[j] == values[j];
            *powers = *powers && (bits & 0x7fffff) == 0 && bits >> 23 > 27 && bits >> 23 < 227;
        }
    }
    return INK_OK;
}

/* Zero points that are bytes: each is a code. */
static ink_result check_zeros(ink_context *ctx, const ink_weights *weights, const ink_weight *zeros, size_t bits)
{
    int8_t values[AT_ONCE];
    int least = -(1 << (bits - 1)), most = -least - 1;
    for (size_t i = 0; i < zeros->size; i += AT_ONCE) {
        size_t n = ink_size_min(AT_ONCE, (size_t)zeros->size - i);
        INK_TRY(ink_weights_read_bytes(ctx, weights, zeros, i, values, n));
        for (size_t j = 0; j < n; j++)
            if (values[j] < least || values[j] > most)
                return ink_fail(ctx, INK_ERROR_MISMATCH,
                                "%s: tensor '%s': zero point %zu is %d, expected %d to %d for %zu bits", zeros->file,
                                zeros->name, i + j, values[j], least, most, bits);
    }
    return INK_OK;
}

/*
 * The type that holds a weight exactly. Blocks do if the scale of 32 neighbours is one number of F16, and the
 * differences code - zero point have few bits:
 *
 *     b bits without zero points   -2^(b-1) .. 2^(b-1) - 1       Q4_0 up to 4 bits, Q5_0 with 5, Q8_0 up to 8
 *     with zero points             -(2^b - 1) .. 2^b - 1         Q4_0 up to 3 bits, Q5_0 with 4, Q8_0 up to 7
 */
static ink_type exact_type(const ink_coded *coded, bool in_f16, bool powers)
{
    if (coded->codes->type == INK_F8_E4M3)
        return powers ? INK_BF16 : INK_F32;
    size_t bits = (coded->bits != 0 ? coded->bits : 8) + (coded->zeros != NULL), in = coded->weight.shape.dim[1];
    if (!in_f16 || bits > 8 || in % BLOCK != 0 || (coded->group_columns != in && coded->group_columns % BLOCK != 0))
        return INK_F32;
    return bits <= 4 ? INK_Q4_0 : bits == 5 ? INK_Q5_0 : INK_Q8_0;
}

/* The tensor `module` + end, or NULL. module_size: with the dot behind it. */
static const ink_weight *find_part(const ink_weights *weights, const char *module, size_t module_size, const char *end)
{
    char name[INK_NAME_SIZE];
    if (module_size + strlen(end) >= INK_NAME_SIZE)
        return NULL;
    memcpy(name, module, module_size);
    memcpy(name + module_size, end, strlen(end) + 1);
    return ink_weights_find(weights, name);
}

/* Reads the shape of packed codes. */
static ink_result read_shape(ink_context *ctx, const ink_weights *weights, const ink_weight *shape,
                             const ink_weight *codes, size_t *in)
{
    union {
        int64_t i64[2];
        int32_t i32[2];
    } stored;
    if ((shape->type != INK_I64 && shape->type != INK_I32) || !has_shape(shape, 2, 1) || shape->shape.rank != 1)
        return ink_fail(ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s of type %s, expected [2] of type I64",
                        shape->file, shape->name, INK_SHAPE(&shape->shape), ink_type_name(shape->type));
    INK_TRY(ink_weights_read_bytes(ctx, weights, shape, 0, &stored, (size_t)shape->size));
    int64_t rows = shape->type == INK_I64 ? stored.i64[0] : stored.i32[0];
    int64_t columns = shape->type == INK_I64 ? stored.i64[1] : stored.i32[1];
    if (rows < 1 || (uint64_t)rows != codes->shape.dim[0] || columns < 1 || columns > (int64_t)INK_MAX_WIDTH)
        return ink_fail(ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' holds [%lld, %lld], but '%s' is %s", shape->file,
                        shape->name, (long long)rows, (long long)columns, codes->name, INK_SHAPE(&codes->shape));
    *in = (size_t)columns;
    return INK_OK;
}

static ink_result find_scheme(const schemes *s, ink_coded *coded)
{
    ink_coded found = *coded;
    size_t fitting = 0;
    ink_result result = ink_fail(s->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s': %s has no group of quantised weights",
                                 coded->codes->file, coded->codes->name, s->document.file);
    for (size_t i = 0; i < s->n; i++) {
        ink_coded one = *coded;
        ink_result fits = fit_scheme(s, &s->list[i], &one);
        result = fitting == 0 ? fits : result; /* the sentence of the last failure counts if none fits */
        if (fits != INK_OK)
            continue;
        if (fitting != 0 && one.bits != found.bits)
            return ink_fail(s->ctx, INK_ERROR_MISMATCH,
                            "%s: tensor '%s' may have %zu or %zu bits: two groups of %s fit", coded->codes->file,
                            coded->codes->name, found.bits, one.bits, s->document.file);
        if (fitting++ != 0 && (one.group_rows != found.group_rows || one.group_columns != found.group_columns))
            return ink_fail(s->ctx, INK_ERROR_MISMATCH,
                            "%s: tensor '%s' may have a scale for each [%zu, %zu] or for each [%zu, %zu]: two groups "
                            "of %s fit",
                            coded->codes->file, coded->codes->name, found.group_rows, found.group_columns,
                            one.group_rows, one.group_columns, s->document.file);
        found = one;
    }
    if (fitting == 0)
        return result;
    ink_error_clear(s->ctx);
    *coded = found;
    return INK_OK;
}

/* Completes the weight whose codes are given. `name` [name_size] is the beginning of their name up to "weight". */
static ink_result complete(const schemes *s, const ink_weights *weights, ink_arena *arena, size_t name_size,
                           ink_coded *coded)
{
    const ink_weight *codes = coded->codes;
    ink_context *ctx = s->ctx;
    size_t module = name_size - strlen("weight"), in = 0;
    char scale[32];
    bool packed = codes->name[name_size] != '\0', in_f16, powers;
    ink_format(scale, sizeof scale, "weight%s", s->scale);
    if (codes->type != (packed ? INK_I32 : INK_I8) && (packed || codes->type != INK_F8_E4M3))
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' is of type %s, expected %s", codes->file,
                        codes->name, ink_type_name(codes->type), packed ? "I32" : "I8 or F8_E4M3");
    if (codes->shape.rank != 2 || codes->size == 0)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "%s: tensor '%s' is %s, expected a matrix of codes", codes->file,
                        codes->name, INK_SHAPE(&codes->shape));
    coded->scales = find_part(weights, codes->name, module, scale);
    coded->zeros = find_part(weights, codes->name, module, "weight_zero_point");
    const ink_weight *scales = coded->scales, *order = find_part(weights, codes->name, module, "weight_g_idx");
    if (scales == NULL)
        return ink_fail(ctx, INK_ERROR_NOT_FOUND, "%s: tensor '%.*s%s' is missing beside '%s'", codes->file,
                        (int)module, codes->name, scale, codes->name);
    if (order != NULL)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%s': columns in another order than their groups are not supported", order->file,
                        order->name);
    if (!ink_type_is_float(scales->type) && scales->type != INK_F8_E8M0 && scales->type != INK_U8)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' is of type %s, expected F32, BF16, F16, F8_E8M0 or U8", scales->file,
                        scales->name, ink_type_name(scales->type));
    coded->weight = (ink_weight){.type = INK_F32, .file = codes->file, .offset = codes->offset, .size = codes->size};
    coded->weight.shape = codes->shape;
    coded->weight.name = ink_arena_string(arena, codes->name, name_size);
    if (coded->weight.name == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s", codes->file);
    if (packed) {
        coded->shape = find_part(weights, codes->name, module, "weight_shape");
        if (coded->shape == NULL)
            return ink_fail(ctx, INK_ERROR_NOT_FOUND, "%s: tensor '%.*sweight_shape' is missing beside '%s'",
                            codes->file, (int)module, codes->name, codes->name);
        INK_TRY(read_shape(ctx, weights, coded->shape, codes, &in));
        coded->weight.shape.dim[1] = in;
    }
    INK_TRY(find_scheme(s, coded));
    if (coded->zeros != NULL && coded->zeros->type == INK_I8)
        INK_TRY(check_zeros(ctx, weights, coded->zeros, coded->bits != 0 ? coded->bits : 8));
    INK_TRY(check_scales(ctx, weights, scales, &in_f16, &powers));
    coded->weight.type = exact_type(coded, in_f16, powers);
    return INK_OK;
}

static size_t length_before(const char *name, const char *end)
{
    size_t size = strlen(name), n = strlen(end);
    return size >= n && strcmp(name + size - n, end) == 0 ? size - n : 0;
}

/* Finds all coded weights of the file. */
static ink_result find_coded(const schemes *s, ink_plan *plan)
{
    const ink_weights *weights = plan->weights;
    size_t n = 0, widened = 0, other;
    ink_coded *list = ink_arena_alloc(&plan->work, ink_weights_count(weights), sizeof *list);
    uint64_t *sorted = ink_arena_alloc(&plan->work, ink_weights_count(weights), sizeof *sorted);
    if (list == NULL || sorted == NULL)
        return ink_plan_no_memory(plan);
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *weight = ink_weights_at(weights, i);
        size_t packed = length_before(weight->name, "_packed"), plain = length_before(weight->name, "weight");
        size_t size = packed != 0 ? packed : plain != 0 ? plain + strlen("weight") : 0;
        bool is_module = size > strlen("weight") && strncmp(weight->name + size - 7, ".weight", 7) == 0;
        if (!is_module)
            continue;
        if (packed == 0 && ink_type_is_float(weight->type)) {
            const ink_weight *scale = find_part(weights, weight->name, size, s->scale);
            if (scale != NULL)
                return ink_fail(s->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is of type %s beside '%s', expected codes",
                                weight->file, weight->name, ink_type_name(weight->type), scale->name);
            continue;
        }
        list[n] = (ink_coded){.codes = weight};
        INK_TRY(complete(s, weights, &plan->work, size, &list[n]));
        widened += !ink_type_is_quantised(list[n++].weight.type);
    }
    plan->coded = (ink_coded_list){list, {&list->weight.name, sizeof *list, n, sorted}};
    ink_names_sort(&plan->coded.names);
    const size_t twice = ink_names_find_twice(&plan->coded.names, &other);
    if (twice < n)
        return ink_fail(s->ctx, INK_ERROR_MISMATCH, "%s: there are both '%s' and '%s', expected one of them",
                        list[twice].codes->file, list[twice].codes->name, list[other].codes->name);
    if (widened != 0)
        ink_note(s->notes,
                 "%s: quantization_config: %zu of %zu quantised weights take more memory than their file: no block of "
                 "codes holds them exactly, so they are floats (a type of weights in the options makes them smaller)",
                 s->document.file, widened, n);
    return INK_OK;
}

/* The folders of AutoFP8 have quant_method fp8, too, but one scale for the whole of a weight, under an older name, and
   no setting that says so. */
static void find_older_scales(schemes *s, const ink_weights *weights)
{
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *weight = ink_weights_at(weights, i);
        if (weight->type == INK_F8_E4M3 && find_part(weights, weight->name, strlen(weight->name), "_scale") != NULL) {
            s->scale = "_scale";
            s->list[0] = (scheme){.is_float = true, .bits = 8};
            return;
        }
    }
}

ink_result ink_quantised_plan(const ink_config *config, ink_plan *plan)
{
    schemes s = {.ctx = config->ctx, .document = config->document, .notes = config->notes};
    ink_json object = ink_config_member(config, "quantization_config"), method;
    const char *name = NULL;
    if (object == INK_JSON_NONE)
        return INK_OK;
    INK_TRY(ink_json_expect(s.ctx, &s.document, object, INK_JSON_OBJECT));
    INK_TRY(ink_json_require(s.ctx, &s.document, object, "quant_method", &method));
    INK_TRY(ink_json_get_string(s.ctx, &s.document, method, &name, NULL));
    if (strcmp(name, "compressed-tensors") == 0) {
        INK_TRY(read_compressed_tensors(&s, &plan->work, object));
    } else if (strcmp(name, "fp8") == 0) {
        INK_TRY(read_fp8(&s, &plan->work, config, object));
        find_older_scales(&s, plan->weights);
    } else {
        return refuse_value(&s, method,
                            "only 'compressed-tensors' and 'fp8' are supported: use the model before quantisation, or "
                            "a GGUF file of it");
    }
    return find_coded(&s, plan);
}

/* ---- finding and reading ---------------------------------------------------------------------------------------- */

const ink_weight *ink_coded_find(const ink_coded_list *coded, const char *name)
{
    const size_t i = ink_names_find(&coded->names, name);
    return i < coded->names.n ? &coded->list[i].weight : NULL;
}

const ink_coded *ink_coded_of(const ink_coded_list *coded, const ink_weight *weight)
{
    uintptr_t at = (uintptr_t)weight, first = (uintptr_t)coded->list;
    return coded->list != NULL && at >= first && at < (uintptr_t)(coded->list + coded->names.n)
               ? &coded->list[(at - first) / sizeof *coded->list]
               : NULL;
}

/* The most rows of scales that `rows` rows need. */
static size_t rows_of_scales(const ink_coded *coded, size_t rows) { return rows / coded->group_rows + 2; }

void ink_coded_alloc(ink_arena *arena, const ink_coded *coded, size_t rows, ink_coded_room *room)
{
    size_t n = rows_of_scales(coded, rows), size = ink_type_bits(coded->scales->type) / 8,
           columns = coded->scale_columns;
    size_t count = SIZE_MAX;
    ink_size_mul(n, columns, &count);
    *room = (ink_coded_room){0};
    room->codes = ink_arena_alloc(arena, rows, (size_t)(coded->codes->size / coded->codes->shape.dim[0]));
    room->scales = ink_arena_alloc(arena, count, size);
    room->steps = ink_arena_alloc(arena, count, sizeof *room->steps);
    room->halves = ink_arena_alloc(arena, count, sizeof *room->halves);
    room->row = ink_arena_alloc(arena, coded->weight.shape.dim[1], sizeof *room->row);
    if (coded->zeros == NULL)
        return;
    room->zeros = ink_arena_alloc(arena, count, sizeof(uint32_t));
    room->offsets = ink_arena_alloc(arena, count, sizeof *room->offsets);
}

/* The code of `bits` bits that begins with bit `at` of a list of words, which are `stride` words apart. */
static int code_at(const uint32_t *words, size_t stride, size_t bits, size_t at)
{
    size_t shift = at % 32;
    uint32_t code = words[at / 32 * stride] >> shift;
    if (shift + bits > 32)
        code |= words[(at / 32 + 1) * stride] << (32 - shift);
    return (int)(code & ((1U << bits) - 1)) - (1 << (bits - 1));
}

/* A float of type F8_E4M3: 1 sign, 4 exponent (bias 7), 3 fraction; no infinities. */
static float f8_to_float(unsigned byte)
{
    uint32_t exponent = byte >> 3 & 15, bits = (byte & 0x80) << 24 | (exponent + 120) << 23 | (byte & 7) << 20;
    float value;
    if ((byte & 0x7f) == F8_NAN)
        bits = 0x7fc00000;
    memcpy(&value, &bits, sizeof value);
    if (exponent == 0)
        value = (float)(byte & 7) * (byte & 0x80 ? -0x1p-9f : 0x1p-9f);
    return value;
}

/* Reads the scales, and zero points, of rows first .. first + n - 1; returns the first row of scales in *begin. */
static ink_result read_scales(ink_context *ctx, const ink_weights *weights, const ink_coded *coded, size_t first,
                              size_t n, const ink_coded_room *room, size_t *begin)
{
    const ink_weight *scales = coded->scales, *zeros = coded->zeros;
    size_t size = ink_type_bits(scales->type) / 8, columns = coded->scale_columns;
    size_t from = *begin = first / coded->group_rows, rows = (first + n - 1) / coded->group_rows - from + 1;
    INK_TRY(ink_weights_read_bytes(ctx, weights, scales, (uint64_t)from * columns * size, room->scales,
                                   rows * columns * size));
    scales_to_floats(ctx->kernel, scales->type, room->scales, rows * columns, room->steps);
    ctx->kernel->to_f16(room->steps, rows * columns, room->halves);
    if (zeros == NULL)
        return INK_OK;
    if (zeros->type == INK_I8) {
        INK_TRY(ink_weights_read_bytes(ctx, weights, zeros, (uint64_t)from * columns, room->zeros, rows * columns));
        for (size_t i = 0; i < rows * columns; i++)
            room->offsets[i] = ((const int8_t *)room->zeros)[i];
        return INK_OK;
    }
    size_t word = from * coded->bits / 32, end = ((from + rows) * coded->bits + 31) / 32;
    INK_TRY(ink_weights_read_bytes(ctx, weights, zeros, (uint64_t)word * columns * sizeof(uint32_t), room->zeros,
                                   (end - word) * columns * sizeof(uint32_t)));
    const uint32_t *words = (const void *)room->zeros;
    for (size_t i = 0; i < rows * columns; i++)
        room->offsets[i] =
            (float)code_at(words + i % columns, columns, coded->bits, (from + i / columns) * coded->bits - word * 32);
    return INK_OK;
}

size_t ink_coded_row_bytes(const ink_coded *coded)
{
    const ink_block_size block = ink_type_block(coded->weight.type);
    return coded->weight.shape.dim[1] / block.elements * block.bytes;
}

ink_result ink_coded_read(ink_context *ctx, const ink_weights *weights, const ink_coded *coded, size_t first, size_t n,
                          const ink_coded_room *room, unsigned char *out)
{
    const ink_weight *codes = coded->codes;
    ink_type type = coded->weight.type;
    size_t in = coded->weight.shape.dim[1], row_bytes = (size_t)(codes->size / codes->shape.dim[0]), begin;
    INK_TRY(ink_weights_read_bytes(ctx, weights, codes, (uint64_t)first * row_bytes, room->codes, n * row_bytes));
    INK_TRY(read_scales(ctx, weights, coded, first, n, room, &begin));
    for (size_t r = 0; r < n; r++) {
        const unsigned char *row = room->codes + r * row_bytes;
        size_t scale = ((first + r) / coded->group_rows - begin) * coded->scale_columns;
        for (size_t t = 0, end; t < in; t = end, scale++) {
            float step = ink_type_is_quantised(type) ? 1 : room->steps[scale];
            float zero = room->offsets != NULL ? room->offsets[scale] : 0;
            end = ink_size_min(t + coded->group_columns, in);
            for (size_t i = t; i < end && codes->type == INK_F8_E4M3; i++)
                room->row[i] = f8_to_float(row[i]) * step;
            for (size_t i = t; i < end && codes->type == INK_I8; i++)
                room->row[i] = ((float)((const int8_t *)row)[i] - zero) * step;
            for (size_t i = t; i < end && codes->type == INK_I32; i++)
                room->row[i] = ((float)code_at((const void *)row, 1, coded->bits, i * coded->bits) - zero) * step;
            for (size_t i = t; i < end && ink_type_is_quantised(type); i += BLOCK)
                ink_block_put(type, room->halves[scale], room->row + i, out + i / BLOCK * ink_type_block(type).bytes);
        }
        if (type == INK_F32)
            memcpy(out, room->row, in * sizeof(float));
        else if (type == INK_BF16)
            ctx->kernel->to_bf16(room->row, in, (void *)out);
        out += ink_coded_row_bytes(coded);
    }
    return INK_OK;
}
