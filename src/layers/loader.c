/*
 * loader.c - looks tensors up by name and shape, and reads them piece by piece into packed matrices.
 *
 * A tensor passes through one small buffer of scratch memory, a piece of whole rows at a time, so that loading takes
 * the memory of the weights and little else.
 */
#include <string.h>

#include "layers.h"

/* Bytes of the buffer between file and matrix; one row, where a row is longer. */
#define PIECE_BYTES ((size_t)64 * 1024)

void ink_loader_begin(ink_loader *loader, ink_context *ctx, const ink_weights *weights, ink_arena *arena)
{
    memset(loader, 0, sizeof *loader);
    loader->ctx = ctx;
    loader->weights = weights;
    loader->arena = arena;
    loader->type = INK_TYPE_NONE;
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

/* name_length is INK_NAME_SIZE while the scope is too long. */
static size_t set_scope_length(ink_loader *loader, size_t length)
{
    size_t former = loader->name_length;
    loader->name_length = length;
    if (length < INK_NAME_SIZE)
        loader->name[length] = '\0';
    return former;
}

size_t ink_loader_enter(ink_loader *loader, const char *format, size_t i)
{
    size_t former = loader->name_length;
    if (former == INK_NAME_SIZE)
        return former;
    size_t room = INK_NAME_SIZE - former;
    size_t length = ink_format(loader->name + former, room, format, i);
    bool perhaps_cut = length + 1 == room;
    return set_scope_length(loader, perhaps_cut ? INK_NAME_SIZE : former + length);
}

size_t ink_loader_enter_module(ink_loader *loader, const char *name)
{
    size_t former = loader->name_length;
    size_t length = strlen(name);
    if (length == 0 || former == INK_NAME_SIZE)
        return former;
    if (length + 1 >= INK_NAME_SIZE - former)
        return set_scope_length(loader, INK_NAME_SIZE);
    memcpy(loader->name + former, name, length);
    loader->name[former + length] = '.';
    return set_scope_length(loader, former + length + 1);
}

void ink_loader_leave(ink_loader *loader, size_t length)
{
    set_scope_length(loader, length);
}

/* scope + name + suffix into full [INK_NAME_SIZE]; false if it does not fit. */
static bool full_name(const ink_loader *loader, const char *name, const char *suffix, char *full)
{
    const char *const parts[] = {name, suffix};
    size_t used = loader->name_length;
    if (used == INK_NAME_SIZE)
        return false;
    memcpy(full, loader->name, used);
    for (size_t i = 0; i < 2; i++) {
        size_t length = strlen(parts[i]);
        if (length >= INK_NAME_SIZE - used)
            return false;
        memcpy(full + used, parts[i], length);
        used += length;
    }
    full[used] = '\0';
    return true;
}

static const ink_weight *find(const ink_loader *loader, const char *name, const char *suffix)
{
    char full[INK_NAME_SIZE];
    return full_name(loader, name, suffix, full) ? ink_weights_find(loader->weights, full) : NULL;
}

const ink_weight *ink_loader_find(const ink_loader *loader, const char *name)
{
    return find(loader, name, "");
}

bool ink_loader_has(const ink_loader *loader, const char *name)
{
    return find(loader, name, "") != NULL;
}

/* ---- checks --------------------------------------------------------------------------------------------------- */

/* A tensor that is not there. Weight and spectral normalisation store its factors in its place. */
static ink_result missing(const ink_loader *loader, const char *name)
{
    static const char *const factors[] = {"_g", "_v", "_orig"};
    const char *file = ink_weights_name(loader->weights);
    char full[INK_NAME_SIZE];
    if (!full_name(loader, name, "", full))
        return ink_fail(loader->ctx, INK_ERROR_NOT_FOUND, "%q: a tensor name of more than %z bytes was asked for", file,
                        (size_t)INK_NAME_SIZE - 1);

    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++)
        if (find(loader, name, factors[i]) != NULL)
            return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                            "%q: instead of tensor '%q' there is '%q%s': fold the normalisation of the weight into it "
                            "before saving (torch.nn.utils.remove_weight_norm, remove_spectral_norm)",
                            file, full, full, factors[i]);
    size_t former = loader->name_length;
    memcpy(full, loader->name, former);
    ink_format(full + former, sizeof full - former, "parametrizations.%s.original0", name);
    if (ink_weights_find(loader->weights, full) != NULL)
        return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                        "%q: tensor '%q' is stored as a parametrization: fold it into the weight before saving "
                        "(torch.nn.utils.parametrize.remove_parametrizations)",
                        file, full);
    full_name(loader, name, "", full);
    return ink_fail(loader->ctx, INK_ERROR_NOT_FOUND, "%q: tensor '%q' is missing", file, full);
}

static ink_result wrong_shape(const ink_loader *loader, const ink_weight *weight, const ink_shape *shape)
{
    return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%q: tensor '%q' is %S, %s%s %S",
                    weight->file, weight->name, &weight->shape,
                    loader->expected != NULL ? loader->expected : "expected",
                    loader->expected != NULL ? " asks for" : "", shape);
}

static bool is_readable(ink_type type)
{
    return type == INK_F32 || type == INK_BF16 || type == INK_F16 || type == INK_F64;
}

/* The tensor, if it is there, has this shape, and is of a type that can be read; counts it. */
static ink_result look_up(ink_loader *loader, const char *name, const ink_shape *shape, const ink_weight **out)
{
    const ink_weight *weight = ink_loader_find(loader, name);
    size_t n_elements;
    if (weight == NULL)
        return missing(loader, name);
    if (!ink_shape_equal(&weight->shape, shape))
        return wrong_shape(loader, weight, shape);
    if (!is_readable(weight->type))
        return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                        "%q: tensor '%q' is of type %s, expected F32, BF16, F16 or F64",
                        weight->file, weight->name, ink_type_name(weight->type));
    if (!ink_shape_count(shape, &n_elements) || n_elements == 0)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%q: tensor '%q' is %S, expected at least one element",
                        weight->file, weight->name, shape);
    if (loader->used != NULL)
        loader->used[weight - ink_weights_at(loader->weights, 0)] = true;
    loader->n_parameters += n_elements;
    *out = weight;
    return INK_OK;
}

/* The tensor, if it is there and of this rank, without a dimension of size 0. */
static ink_result look_up_rank(ink_loader *loader, const char *name, size_t rank, const char *kind,
                               const ink_weight **out)
{
    const ink_weight *weight = ink_loader_find(loader, name);
    if (weight == NULL)
        return missing(loader, name);
    if (weight->shape.rank != rank)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%q: tensor '%q' is %S, expected a %s",
                        weight->file, weight->name, &weight->shape, kind);
    for (size_t i = 0; i < rank; i++)
        if (weight->shape.dim[i] == 0)
            return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%q: tensor '%q' is %S, expected at least one element",
                            weight->file, weight->name, &weight->shape);
    *out = weight;
    return INK_OK;
}

ink_result ink_loader_matrix_shape(ink_loader *loader, const char *name, bool transposed, size_t *n, size_t *k)
{
    const ink_weight *weight = NULL;
    INK_TRY(look_up_rank(loader, name, 2, "matrix", &weight));
    *n = weight->shape.dim[transposed ? 1 : 0];
    *k = weight->shape.dim[transposed ? 0 : 1];
    return INK_OK;
}

ink_result ink_loader_vector_size(ink_loader *loader, const char *name, size_t *n)
{
    const ink_weight *weight = NULL;
    INK_TRY(look_up_rank(loader, name, 1, "vector", &weight));
    *n = weight->shape.dim[0];
    return INK_OK;
}

/* ---- fingerprint ---------------------------------------------------------------------------------------------- */

static uint64_t element_at(const unsigned char *elements, size_t i, size_t element_size)
{
    uint16_t half;
    uint32_t word;
    uint64_t wide;
    switch (element_size) {
    case sizeof half:
        memcpy(&half, elements + 2 * i, sizeof half);
        return half;
    case sizeof word:
        memcpy(&word, elements + 4 * i, sizeof word);
        return word;
    default:
        memcpy(&wide, elements + 8 * i, sizeof wide);
        return wide;
    }
}

/* FNV-1a over whole elements, in four lanes that a processor works on side by side. */
static void mix(ink_loader *loader, const void *elements, size_t n, size_t element_size)
{
    const uint64_t prime = UINT64_C(0x100000001b3);
    uint64_t lanes[4] = {loader->fingerprint, 1, 2, 3};
    for (size_t i = 0; i < n; i++)
        lanes[i % 4] = (lanes[i % 4] ^ element_at(elements, i, element_size)) * prime;
    for (size_t lane = 1; lane < 4; lane++)
        lanes[0] = (lanes[0] ^ lanes[lane]) * prime;
    loader->fingerprint = lanes[0];
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static ink_result progress(ink_loader *loader, size_t bytes)
{
    loader->bytes_read += bytes;
    if (loader->progress == NULL || loader->arena->measuring)
        return INK_OK;
    if (!loader->progress(loader->progress_user, loader->bytes_read, loader->progress_total))
        return ink_fail(loader->ctx, INK_ERROR_CANCELLED, "%q: loading was cancelled after %u of %u bytes",
                        ink_weights_name(loader->weights), loader->bytes_read, loader->progress_total);
    return INK_OK;
}

/* After taking memory: true if there is something to be read into it. */
static bool must_read(ink_loader *loader, const ink_weight *weight)
{
    if (loader->arena->measuring)
        loader->bytes_read += weight->size;
    return !loader->arena->measuring && !ink_arena_failed(loader->arena);
}

static ink_result read_vector(ink_loader *loader, const ink_weight *weight, size_t n, float *out)
{
    INK_TRY(ink_weights_read(loader->ctx, loader->weights, weight, out));
    mix(loader, out, n, sizeof(float));
    return progress(loader, (size_t)weight->size);
}

ink_result ink_loader_vector(ink_loader *loader, const char *name, size_t n, float **out)
{
    const ink_weight *weight = NULL;
    const ink_shape shape = {.rank = 1, .dim = {n}};
    INK_TRY(look_up(loader, name, &shape, &weight));
    *out = ink_arena_take(loader->arena, n, sizeof(float));
    return must_read(loader, weight) ? read_vector(loader, weight, n, *out) : INK_OK;
}

ink_result ink_loader_optional_vector(ink_loader *loader, const char *name, size_t n, float **out)
{
    *out = NULL;
    return ink_loader_has(loader, name) ? ink_loader_vector(loader, name, n, out) : INK_OK;
}

/* Takes a matrix; on the first run too it says what it will be, since the next layer may ask. */
static void take_matrix(ink_loader *loader, size_t n, size_t k, ink_type type, ink_matrix *out)
{
    *out = (ink_matrix){.n = n, .k = k, .type = type};
    ink_matrix_take(loader->arena, out, n, k, k, type);
}

/* Where a tensor goes in a matrix: its rows are rows from `first` on, or, if it is stored transposed, columns. */
typedef struct place {
    ink_matrix *matrix;
    size_t first;
    bool transposed;
} place;

static ink_result read_pieces(ink_loader *loader, const ink_weight *weight, unsigned char *piece, size_t piece_rows,
                              const place *to)
{
    const ink_kernel *kernel = loader->ctx->kernel;
    size_t n_rows = weight->shape.dim[0];
    size_t element_size = ink_type_bits(weight->type) / 8;
    size_t row_bytes = weight->shape.dim[1] * element_size;
    for (size_t first = 0; first < n_rows; first += piece_rows) {
        size_t count = ink_size_min(piece_rows, n_rows - first);
        INK_TRY(ink_weights_read_bytes(loader->ctx, loader->weights, weight, (uint64_t)first * row_bytes, piece,
                                       count * row_bytes));
        mix(loader, piece, count * weight->shape.dim[1], element_size);
        if (to->transposed)
            ink_matrix_fill_columns(kernel, to->matrix, first, count, weight->type, piece);
        else
            ink_matrix_fill_rows(kernel, to->matrix, to->first + first, count, weight->type, piece);
        INK_TRY(progress(loader, count * row_bytes));
    }
    return INK_OK;
}

static ink_result read_matrix(ink_loader *loader, const ink_weight *weight, const place *to)
{
    size_t n_rows = weight->shape.dim[0];
    size_t row_bytes = weight->shape.dim[1] * (ink_type_bits(weight->type) / 8);
    size_t piece_rows = ink_size_max(PIECE_BYTES / row_bytes, 1);
    if (piece_rows > INK_PANEL) /* whole panels */
        piece_rows -= piece_rows % INK_PANEL;
    piece_rows = ink_size_min(piece_rows, n_rows);

    ink_arena *scratch = &loader->ctx->scratch;
    ink_arena_mark mark = ink_arena_mark_here(scratch);
    unsigned char *piece = ink_arena_take(scratch, piece_rows, row_bytes);
    if (piece == NULL)
        return ink_scratch_fail(loader->ctx, mark);
    const uint32_t held_as = to->matrix->type; /* rounded weights are other weights */
    mix(loader, &held_as, 1, sizeof held_as);
    ink_result result = read_pieces(loader, weight, piece, piece_rows, to);
    ink_arena_release(scratch, mark);
    return result;
}

ink_result ink_loader_matrix(ink_loader *loader, const char *name, size_t n, size_t k, bool transposed,
                             ink_matrix *out)
{
    const ink_weight *weight = NULL;
    const ink_shape shape = {.rank = 2, .dim = {transposed ? k : n, transposed ? n : k}};
    const place to = {.matrix = out, .transposed = transposed};
    INK_TRY(look_up(loader, name, &shape, &weight));
    take_matrix(loader, n, k, ink_matrix_type(loader->type, weight->type), out);
    return must_read(loader, weight) ? read_matrix(loader, weight, &to) : INK_OK;
}

/* ---- stacked tensors ------------------------------------------------------------------------------------------ */

static ink_result look_up_part(ink_loader *loader, const ink_loader_part *part, const ink_shape *shape,
                               const ink_weight **weight)
{
    size_t scope = ink_loader_enter_module(loader, part->module);
    INK_TRY(look_up(loader, part->tensor, shape, weight));
    ink_loader_leave(loader, scope);
    return INK_OK;
}

static bool has_part(ink_loader *loader, const ink_loader_part *part)
{
    size_t scope = ink_loader_enter_module(loader, part->module);
    bool there = ink_loader_has(loader, part->tensor);
    ink_loader_leave(loader, scope);
    return there;
}

/* Held as stored if all parts are stored alike. */
ink_result ink_loader_matrix_parts(ink_loader *loader, const ink_loader_part *parts, size_t n_parts, size_t k,
                                   ink_matrix *out)
{
    const ink_weight *weights[INK_MAX_PARTS];
    ink_type stored = INK_TYPE_NONE;
    size_t n = 0;
    for (size_t i = 0; i < n_parts; i++) {
        const ink_shape shape = {.rank = 2, .dim = {parts[i].n, k}};
        INK_TRY(look_up_part(loader, &parts[i], &shape, &weights[i]));
        stored = i == 0 || stored == weights[i]->type ? weights[i]->type : INK_F32;
        n += parts[i].n;
    }
    take_matrix(loader, n, k, ink_matrix_type(loader->type, stored), out);
    place to = {.matrix = out};
    for (size_t i = 0; i < n_parts; i++) {
        if (must_read(loader, weights[i]))
            INK_TRY(read_matrix(loader, weights[i], &to));
        to.first += parts[i].n;
    }
    return INK_OK;
}

ink_result ink_loader_optional_vector_parts(ink_loader *loader, const ink_loader_part *parts, size_t n_parts,
                                            float **out)
{
    size_t n = 0, n_there = 0;
    *out = NULL;
    for (size_t i = 0; i < n_parts; i++) {
        n += parts[i].n;
        n_there += has_part(loader, &parts[i]);
    }
    if (n_there == 0)
        return INK_OK;
    float *vector = *out = ink_arena_take(loader->arena, n, sizeof *vector);
    for (size_t i = 0, first = 0; i < n_parts; first += parts[i++].n) {
        const ink_weight *weight = NULL;
        const ink_shape shape = {.rank = 1, .dim = {parts[i].n}};
        if (has_part(loader, &parts[i]))
            INK_TRY(look_up_part(loader, &parts[i], &shape, &weight));
        if (weight != NULL && must_read(loader, weight))
            INK_TRY(read_vector(loader, weight, parts[i].n, vector + first));
        else if (vector != NULL)
            memset(vector + first, 0, parts[i].n * sizeof *vector);
    }
    return INK_OK;
}
