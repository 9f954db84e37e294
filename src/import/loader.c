/*
 * loader.c - looks tensors up by name and shape, and reads them piece by piece into packed matrices.
 *
 * A tensor passes through two small buffers of scratch memory, a piece of whole rows at a time: while one piece is
 * packed, the next one is read, on another thread if there is one. Loading takes the memory of the weights and little
 * else.
 */
#include <string.h>

#include "../layers/layers.h"

/* Bytes of each of the two buffers between file and matrix; one row, where a row is longer. */
#define PIECE_BYTES ((size_t)256 * 1024)

/* A piece is packed in so many parts. */
#define N_PARTS ((size_t)4)

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

void ink_loader_leave(ink_loader *loader, size_t length) { set_scope_length(loader, length); }

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

const ink_weight *ink_loader_find(const ink_loader *loader, const char *name) { return find(loader, name, ""); }

bool ink_loader_has(const ink_loader *loader, const char *name) { return find(loader, name, "") != NULL; }

/* ---- checks --------------------------------------------------------------------------------------------------- */

/* A tensor that is not there. Weight and spectral normalisation store its factors in its place. */
static ink_result missing(const ink_loader *loader, const char *name)
{
    static const char *const factors[] = {"_g", "_v", "_orig"};
    const char *file = ink_weights_name(loader->weights);
    char full[INK_NAME_SIZE];
    if (!full_name(loader, name, "", full))
        return ink_fail(loader->ctx, INK_ERROR_NOT_FOUND, "%s: a tensor name of more than %zu bytes was asked for",
                        file, (size_t)INK_NAME_SIZE - 1);

    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++)
        if (find(loader, name, factors[i]) != NULL)
            return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: instead of tensor '%s' there is '%s%s': fold the normalisation of the weight into it "
                            "before saving (torch.nn.utils.remove_weight_norm, remove_spectral_norm)",
                            file, full, full, factors[i]);
    size_t former = loader->name_length;
    memcpy(full, loader->name, former);
    ink_format(full + former, sizeof full - former, "parametrizations.%s.original0", name);
    if (ink_weights_find(loader->weights, full) != NULL)
        return ink_fail(loader->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' is stored as a parametrization: fold it into the weight before saving "
                        "(torch.nn.utils.parametrize.remove_parametrizations)",
                        file, full);
    full_name(loader, name, "", full);
    return ink_fail(loader->ctx, INK_ERROR_NOT_FOUND, "%s: tensor '%s' is missing", file, full);
}

static ink_result wrong_shape(const ink_loader *loader, const ink_weight *weight, const ink_shape *shape)
{
    return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, %s%s %s", weight->file, weight->name,
                    INK_SHAPE(&weight->shape), loader->expected != NULL ? loader->expected : "expected",
                    loader->expected != NULL ? " asks for" : "", INK_SHAPE(shape));
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
                        "%s: tensor '%s' is of type %s, expected F32, BF16, F16 or F64", weight->file, weight->name,
                        ink_type_name(weight->type));
    if (!ink_shape_count(shape, &n_elements) || n_elements == 0)
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected at least one element",
                        weight->file, weight->name, INK_SHAPE(shape));
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
        return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected a %s", weight->file,
                        weight->name, INK_SHAPE(&weight->shape), kind);
    for (size_t i = 0; i < rank; i++)
        if (weight->shape.dim[i] == 0)
            return ink_fail(loader->ctx, INK_ERROR_MISMATCH, "%s: tensor '%s' is %s, expected at least one element",
                            weight->file, weight->name, INK_SHAPE(&weight->shape));
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

static inline uint64_t element_at(const unsigned char *elements, size_t i, size_t element_size)
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

/* As many elements as eight bytes hold, as one number: the same whatever the byte order of the machine. */
static inline uint64_t word_at(const unsigned char *elements, size_t i, size_t element_size)
{
    uint64_t word = 0;
    for (size_t j = 0; j < sizeof word / element_size; j++)
        word |= element_at(elements, i * (sizeof word / element_size) + j, element_size) << 8 * element_size * j;
    return word;
}

/* FNV-1a over words of eight bytes, in four lanes side by side. element_size is a constant. */
static inline uint64_t mix_elements(uint64_t hash, const void *elements, size_t n, size_t element_size)
{
    const uint64_t prime = UINT64_C(0x100000001b3);
    size_t per_word = sizeof(uint64_t) / element_size, words = n / per_word, i = 0;
    uint64_t a = hash, b = 1, c = 2, d = 3;
    for (; words - i >= 4; i += 4) {
        a = (a ^ word_at(elements, i, element_size)) * prime;
        b = (b ^ word_at(elements, i + 1, element_size)) * prime;
        c = (c ^ word_at(elements, i + 2, element_size)) * prime;
        d = (d ^ word_at(elements, i + 3, element_size)) * prime;
    }
    for (i *= per_word; i < n; i++)
        a = (a ^ element_at(elements, i, element_size)) * prime;
    return (((((a ^ b) * prime) ^ c) * prime) ^ d) * prime;
}

static void mix(ink_loader *loader, const void *elements, size_t n, size_t element_size)
{
    uint64_t *hash = &loader->fingerprint;
    switch (element_size) {
    case sizeof(uint16_t):
        *hash = mix_elements(*hash, elements, n, sizeof(uint16_t));
        break;
    case sizeof(uint32_t):
        *hash = mix_elements(*hash, elements, n, sizeof(uint32_t));
        break;
    default:
        *hash = mix_elements(*hash, elements, n, sizeof(uint64_t));
        break;
    }
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static ink_result progress(ink_loader *loader, size_t bytes)
{
    loader->bytes_read += bytes;
    if (loader->progress == NULL || loader->arena->measuring)
        return INK_OK;
    if (!loader->progress(loader->progress_user, loader->bytes_read, loader->progress_total))
        return ink_fail(loader->ctx, INK_ERROR_CANCELLED, "%s: loading was cancelled after %llu of %llu bytes",
                        ink_weights_name(loader->weights), (unsigned long long)loader->bytes_read,
                        (unsigned long long)loader->progress_total);
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
    *out = ink_arena_alloc(loader->arena, n, sizeof(float));
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
    ink_matrix_alloc(loader->arena, out, n, k, k, type);
}

/* Where a tensor goes in a matrix: its rows are rows from `first` on, or, if it is stored transposed, columns. */
typedef struct place {
    ink_matrix *matrix;
    size_t first;
    bool transposed;
} place;

/* A tensor on its way: rows first .. first + count - 1 are in buffers[0] and go where they belong, while those after
   them are read into buffers[1]. */
typedef struct transfer {
    ink_loader *loader;
    const ink_weight *weight;
    const place *to;
    size_t n_rows, row_bytes, element_size;
    size_t piece_rows; /* of a whole piece */
    unsigned char *buffers[2];
    size_t first, count;
    ink_result result; /* of reading */
} transfer;

static size_t rows_at(const transfer *t, size_t first) { return ink_size_min(t->piece_rows, t->n_rows - first); }

static void read_piece(transfer *t, size_t first, unsigned char *buffer)
{
    if (first < t->n_rows)
        t->result = ink_weights_read_bytes(t->loader->ctx, t->loader->weights, t->weight,
                                           (uint64_t)first * t->row_bytes, buffer, rows_at(t, first) * t->row_bytes);
}

/* The first row of part `part` of the piece, at a multiple of INK_FILL_ROWS in the matrix. */
static size_t part_row(const transfer *t, size_t part)
{
    size_t before = t->to->first + t->first;
    size_t row = before + t->count * part / N_PARTS;
    row -= row % INK_FILL_ROWS;
    return part == N_PARTS ? t->count : row > before ? row - before : 0;
}

static void pack_part(const transfer *t, size_t part)
{
    const ink_kernel *kernel = t->loader->ctx->kernel;
    size_t row = part_row(t, part), count = part_row(t, part + 1) - row;
    const unsigned char *rows = t->buffers[0] + row * t->row_bytes;
    if (t->to->transposed)
        ink_matrix_fill_columns(kernel, t->to->matrix, t->first + row, count, t->weight->type, rows, NULL);
    else
        ink_matrix_fill_rows(kernel, t->to->matrix, t->to->first + t->first + row, count, t->weight->type, rows, NULL);
}

/* The tasks of a piece: its parts, its fingerprint, and reading the next one. */
static void run_task(void *data, size_t task)
{
    transfer *t = data;
    if (task < N_PARTS)
        pack_part(t, task);
    else if (task == N_PARTS)
        mix(t->loader, t->buffers[0], t->count * t->row_bytes / t->element_size, t->element_size);
    else
        read_piece(t, t->first + t->count, t->buffers[1]);
}

static ink_result run_transfer(transfer *t)
{
    read_piece(t, 0, t->buffers[0]);
    for (t->first = 0; t->first < t->n_rows; t->first += t->count) {
        INK_TRY(t->result);
        t->count = rows_at(t, t->first);
        ink_workers_run(t->loader->ctx->workers, run_task, t, N_PARTS + 2);
        unsigned char *packed = t->buffers[0];
        t->buffers[0] = t->buffers[1];
        t->buffers[1] = packed;
        INK_TRY(progress(t->loader, t->count * t->row_bytes));
    }
    return INK_OK;
}

static ink_result read_matrix(ink_loader *loader, const ink_weight *weight, const place *to)
{
    size_t element_size = ink_type_bits(weight->type) / 8;
    transfer t = {.loader = loader,
                  .weight = weight,
                  .to = to,
                  .n_rows = weight->shape.dim[0],
                  .row_bytes = weight->shape.dim[1] * element_size,
                  .element_size = element_size};
    t.piece_rows = ink_size_max(PIECE_BYTES / t.row_bytes, 1);
    if (t.piece_rows > INK_FILL_ROWS)
        t.piece_rows -= t.piece_rows % INK_FILL_ROWS;
    t.piece_rows = ink_size_min(t.piece_rows, t.n_rows);

    ink_arena *scratch = &loader->ctx->scratch;
    ink_arena_mark mark = ink_arena_mark_here(scratch);
    t.buffers[0] = ink_arena_alloc(scratch, 2 * t.piece_rows, t.row_bytes);
    if (ink_arena_failed(scratch))
        return ink_scratch_fail(loader->ctx, mark);
    t.buffers[1] = t.buffers[0] + t.piece_rows * t.row_bytes;
    const uint32_t held_as = to->matrix->type; /* rounded weights are other weights */
    mix(loader, &held_as, 1, sizeof held_as);
    ink_result result = run_transfer(&t);
    ink_arena_release(scratch, mark);
    return result;
}

ink_result ink_loader_matrix(ink_loader *loader, const char *name, size_t n, size_t k, bool transposed, ink_matrix *out)
{
    const ink_weight *weight = NULL;
    const ink_shape shape = {.rank = 2, .dim = {transposed ? k : n, transposed ? n : k}};
    const place to = {.matrix = out, .transposed = transposed};
    INK_TRY(look_up(loader, name, &shape, &weight));
    const ink_type type = ink_matrix_type(loader->type, weight->type);
    INK_TRY(ink_matrix_check_type(loader->ctx, type));
    take_matrix(loader, n, k, type, out);
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
    const ink_type type = ink_matrix_type(loader->type, stored);
    INK_TRY(ink_matrix_check_type(loader->ctx, type));
    take_matrix(loader, n, k, type, out);
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
    float *vector = *out = ink_arena_alloc(loader->arena, n, sizeof *vector);
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
