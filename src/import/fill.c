/*
 * fill.c - allocates the memory of a plan and reads its tensors into it, once, in the order of the file (plan.h).
 *
 * A matrix passes through two small buffers in scratch memory, a chunk of whole rows at a time. While one chunk is
 * packed and hashed, another thread, if there is one, reads the next. So opening a model needs little more memory than
 * its weights.
 */
#include <string.h>

#include "../base/bytes.h"
#include "../formats/safetensors.h"
#include "plan.h"

/* The size of each of the two buffers between file and matrix, or one row if a row is longer. */
#define CHUNK_BYTES ((size_t)256 * 1024)

/* The number of tasks that pack a chunk. */
#define N_PACK_TASKS ((size_t)4)

static ink_result fill_progress(ink_plan *plan, size_t bytes)
{
    plan->bytes_read += bytes;
    if (plan->progress != NULL && !plan->progress(plan->progress_user, plan->bytes_read, plan->bytes_total))
        return ink_fail(plan->ctx, INK_ERROR_CANCELLED, "%s: loading was cancelled after %llu of %llu bytes",
                        ink_weights_name(plan->files[0]), (unsigned long long)plan->bytes_read,
                        (unsigned long long)plan->bytes_total);
    return INK_OK;
}

/* ---- matrices and vectors --------------------------------------------------------------------------------------- */

/* The transfer of one tensor. Rows first .. first + count - 1 are packed from buffers[0], while the next rows are read
   into buffers[1]. */
typedef struct transfer {
    ink_plan *plan;
    ink_plan_row *row;
    size_t n_rows, row_bytes, element_size;
    ink_coded_room coded;
    size_t chunk_rows; /* of a whole chunk */
    unsigned char *buffers[2];
    unsigned char *room; /* for a row of a convolution, or the rows of a head */
    size_t first, count;
    ink_result result; /* of reading */
} transfer;

/* to[c][r] = from[r][c], of elements of `size` bytes. */
static void transpose(const void *from, size_t rows, size_t columns, size_t size, void *to)
{
    for (size_t i = 0; i < rows * columns; i++)
        memcpy((char *)to + (i % columns * rows + i / columns) * size, (const char *)from + i * size, size);
}

/* The rows of a head, from the order in which rope turns neighbours to that in which it turns both halves (plan.h). */
static void unpair(const ink_plan_row *row, unsigned char *rows, size_t size, unsigned char *room)
{
    memcpy(room, rows, row->pairs * size);
    for (size_t m = 0; m < row->pairs; m++)
        memcpy(rows + (m % 2 * row->pairs / 2 + m / 2) * size, room + m * size, size);
}

static void read_chunk(transfer *t, size_t first, unsigned char *buffer)
{
    size_t rows = first < t->n_rows ? ink_size_min(t->chunk_rows, t->n_rows - first) : 0, taps = t->row->taps;
    if (rows != 0 && t->row->coded != NULL)
        t->result =
            ink_coded_read(t->plan->ctx, t->row->file, t->row->coded, t->row->from + first, rows, &t->coded, buffer);
    else if (rows != 0)
        t->result =
            ink_weights_read_bytes(t->plan->ctx, t->row->file, t->row->source,
                                   (uint64_t)(t->row->from + first) * t->row_bytes, buffer, rows * t->row_bytes);
    for (size_t r = 0; taps > 1 && r < rows; r++, buffer += t->row_bytes) {
        memcpy(t->room, buffer, t->row_bytes);
        transpose(t->room, t->row->matrix->k / taps, taps, t->element_size, buffer);
    }
    for (size_t r = 0; t->row->pairs != 0 && r < rows && first + r < t->row->n_paired; r += t->row->pairs)
        unpair(t->row, buffer + r * t->row_bytes, t->row_bytes, t->room);
}

/* The first row of packing task `task`: a multiple of INK_FILL_ROWS, so that tasks can run at once (packed.h). */
static size_t task_row(const transfer *t, size_t task)
{
    size_t before = t->row->first + t->first, row = before + t->count * task / N_PACK_TASKS;
    row -= row % INK_FILL_ROWS;
    return task == N_PACK_TASKS ? t->count : row > before ? row - before : 0;
}

static void fill_task(void *data, size_t task)
{
    transfer *t = data;
    const ink_plan_row *row = t->row;
    if (task == N_PACK_TASKS + 1) {
        read_chunk(t, t->first + t->count, t->buffers[1]);
        return;
    }
    if (task == N_PACK_TASKS) {
        size_t width = ink_size_max(t->element_size, 1); /* blocks are bytes, in the same order on every machine */
        t->row->hash = ink_hash_numbers(t->row->hash, t->buffers[0], t->count * t->row_bytes / width, width);
        return;
    }
    const ink_kernel *kernel = t->plan->ctx->kernel;
    size_t begin = task_row(t, task), count = task_row(t, task + 1) - begin;
    const unsigned char *rows = t->buffers[0] + begin * t->row_bytes;
    if (row->transposed)
        ink_matrix_fill_columns(kernel, row->matrix, t->first + begin, count, row->source->type, rows);
    else
        ink_matrix_fill_rows(kernel, row->matrix, row->first + t->first + begin, count, row->source->type, rows);
}

static ink_result fill_matrix(ink_plan *plan, ink_plan_row *row)
{
    ink_arena *scratch = &plan->ctx->scratch;
    ink_arena_mark mark = ink_arena_mark_here(scratch);
    size_t source_rows = ink_plan_source_rows(row);
    size_t element_size = ink_type_bits(row->source->type) / 8; /* 0: blocks */
    transfer t = {.plan = plan,
                  .row = row,
                  .n_rows = row->count != 0 ? row->count : source_rows,
                  .row_bytes = (size_t)(row->source->size / source_rows),
                  .element_size = element_size};
    size_t stored_row_bytes = t.row_bytes;
    if (row->coded != NULL)
        t.row_bytes = ink_coded_row_bytes(row->coded);
    /* whole heads, and whole groups of rows; columns of a quantised matrix come 32 together */
    size_t step = row->pairs == 0 ? INK_FILL_ROWS : row->pairs * (row->pairs % INK_FILL_ROWS == 0 ? 1 : INK_FILL_ROWS);
    t.chunk_rows = ink_size_max(CHUNK_BYTES / t.row_bytes, row->pairs != 0 || row->transposed ? step : 1);
    if (t.chunk_rows > step)
        t.chunk_rows -= t.chunk_rows % step;
    t.chunk_rows = ink_size_min(t.chunk_rows, t.n_rows);
    t.buffers[0] = ink_arena_alloc(scratch, 2 * t.chunk_rows + ink_size_max(row->taps != 0, row->pairs), t.row_bytes);
    if (row->coded != NULL)
        ink_coded_alloc(scratch, row->coded, t.chunk_rows, &t.coded);
    if (ink_arena_failed(scratch))
        return ink_scratch_fail(plan->ctx, mark);
    t.buffers[1] = t.buffers[0] + t.chunk_rows * t.row_bytes;
    t.room = t.buffers[1] + t.chunk_rows * t.row_bytes;

    row->hash = (uint64_t)row->matrix->type; /* rounding changes the weights, so it changes the fingerprint */
    ink_result result = INK_OK;
    read_chunk(&t, 0, t.buffers[0]);
    for (; t.first < t.n_rows && result == INK_OK; t.first += t.count) {
        if ((result = t.result) != INK_OK)
            break;
        t.count = ink_size_min(t.chunk_rows, t.n_rows - t.first);
        ink_workers_run(plan->ctx->workers, fill_task, &t, N_PACK_TASKS + 2, false);
        unsigned char *packed = t.buffers[0];
        t.buffers[0] = t.buffers[1];
        t.buffers[1] = packed;
        result = fill_progress(plan, t.count * stored_row_bytes);
    }
    return ink_scratch_end(plan->ctx, mark, result);
}

/* A matrix that is computed row by row. The settings are a part of the fingerprint, so its rows need not be. */
static ink_result compute_matrix(ink_plan *plan, const ink_plan_row *row)
{
    const ink_kernel *kernel = plan->ctx->kernel;
    float *values = ink_alloc_rows(&plan->work, 2, row->matrix->k);
    if (values == NULL)
        return ink_plan_no_memory(plan);
    for (size_t i = 0; i < row->matrix->n; i++) {
        row->compute(kernel, row->settings, i, values + row->matrix->k, values);
        ink_matrix_fill_rows(kernel, row->matrix, i, 1, INK_F32, values);
    }
    return INK_OK;
}

static ink_result fill_vector(ink_plan *plan, ink_plan_row *row)
{
    float *to = *row->vector + row->first, *stored = to;
    size_t n_stored = 0;
    ink_shape_count(&row->source->shape, &n_stored);
    if ((row->taps > 1 || n_stored != row->n) && (stored = ink_alloc_rows(&plan->work, 1, n_stored)) == NULL)
        return ink_plan_no_memory(plan);
    INK_TRY(ink_weights_read(plan->ctx, row->file, row->source, stored));
    if (row->taps > 1)
        transpose(stored, row->n / row->taps, row->taps, sizeof *to, to);
    else if (stored != to)
        memcpy(to, stored + row->from, row->n * sizeof *to);
    if (row->pairs != 0 && (stored = ink_alloc_rows(&plan->work, 1, row->pairs)) == NULL)
        return ink_plan_no_memory(plan);
    for (size_t i = 0; row->pairs != 0 && i < row->n_paired; i += row->pairs)
        unpair(row, (unsigned char *)(to + i), sizeof *to, (unsigned char *)stored);
    row->hash = ink_hash_numbers(0, to, row->n, sizeof *to);
    for (size_t i = 0; row->offset != 0 && i < row->n; i++)
        to[i] += row->offset;
    return fill_progress(plan, (size_t)ink_plan_row_bytes(row));
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

/*
 * Folds a BatchNorm1d, s x + t, into the layer next to it:
 *
 *     behind        s (W x + b) + t  =  (s W) x + (s b + t)           scales rows of W
 *     in front      W (s x + t) + b  =  (W s) x + (W t + b)           scales columns of W
 */
static ink_result fold_norm(ink_plan *plan, const ink_plan_fold *fold)
{
    ink_matrix *w = &fold->dense->weight;
    float *bias = fold->dense->bias;
    const ink_kernel *kernel = plan->ctx->kernel;
    const bool behind = fold->kind == INK_FOLD_NORM_BEHIND;
    const float eps = 1e-5f; /* PyTorch's default; files do not hold it */
    float *scale = ink_alloc_rows(&plan->work, 1, fold->size), *shift = ink_alloc_rows(&plan->work, 1, fold->size);
    float *sums = ink_alloc_rows(&plan->work, 1, w->n), *row = ink_alloc_rows(&plan->work, 1, w->k);
    if (ink_arena_failed(&plan->work))
        return ink_plan_no_memory(plan);
    kernel->batch_norm(fold->values[0], fold->values[1], fold->values[2], fold->values[3], fold->size, eps, scale,
                       shift);
    if (behind) {
        kernel->multiply_elements(scale, w->n, bias);
        kernel->add(shift, w->n, bias);
    } else {
        ink_multiply_here(kernel,
                          &(ink_product){.x = shift, .x_stride = w->k, .m = 1, .w = w, .y = sums, .y_stride = w->n});
        kernel->add(sums, w->n, bias);
    }
    for (size_t i = 0; i < w->n; i++) {
        ink_matrix_read_row(w, i, 0, w->k, row);
        for (size_t t = 0; t < w->k; t++)
            row[t] *= behind ? scale[i] : scale[t];
        ink_matrix_write_row(w, i, 0, w->k, row);
    }
    return INK_OK;
}

/*
 * Computes the weight that torch.nn.utils stores in parts, in evaluation mode:
 *
 *     weight_norm       w_i = g_i v_i / |v_i| for each row i              (Salimans, Kingma 2016)
 *     spectral_norm     W = V / sigma,  sigma = u^T V v                   (Miyato et al. 2018)
 */
static ink_result fold_weight(ink_plan *plan, const ink_plan_fold *fold)
{
    ink_matrix *w = fold->matrix, u;
    const ink_kernel *kernel = plan->ctx->kernel;
    float *row = ink_alloc_rows(&plan->work, 1, w->k), *sums = ink_alloc_rows(&plan->work, 1, w->n), sigma = 1;
    ink_matrix_alloc(&plan->work, &u, 1, fold->n, INK_F32);
    if (ink_arena_failed(&plan->work))
        return ink_plan_no_memory(plan);
    if (fold->kind == INK_FOLD_SPECTRAL_NORM) {
        ink_matrix_fill_rows(kernel, &u, 0, 1, INK_F32, fold->values[0]);
        ink_multiply_here(kernel, &(ink_product){.x = fold->values[1], .m = 1, .w = w, .y = sums});
        ink_multiply_here(kernel, &(ink_product){.x = sums + fold->first, .m = 1, .w = &u, .y = &sigma});
    }
    for (size_t i = 0; i < fold->n; i++) {
        ink_matrix_read_row(w, fold->first + i, 0, w->k, row);
        if (fold->kind == INK_FOLD_WEIGHT_NORM)
            kernel->unit_length(row, w->k);
        for (size_t t = 0; t < w->k; t++)
            row[t] = fold->kind == INK_FOLD_WEIGHT_NORM ? row[t] * fold->values[0][i] : row[t] / sigma;
        ink_matrix_write_row(w, fold->first + i, 0, w->k, row);
    }
    return INK_OK;
}

/* What a row of a plan puts where. kind: bits for a matrix, transposed; and the last of these rows. */
typedef struct row_facts {
    uint64_t place, file, scales, zeros, from, first, n, k, type, kind;
} row_facts;

/* The rows of two matrices or vectors, in the order of the plan, from a and from b on. */
static int compare_destinations(const void *user, size_t a, size_t b)
{
    const row_facts *facts = user;
    int order;
    do
        order = memcmp(&facts[a], &facts[b], sizeof *facts);
    while (order == 0 && (facts[a++].kind & 1) == (facts[b++].kind & 1) && (facts[a - 1].kind & 1) == 0);
    return order;
}

/* Finds matrices and vectors with the same contents: modules that share tensors share their packed form, too. Otherwise
   a small file with many names for its tensors would become a large model. */
static ink_result share_destinations(ink_plan *plan)
{
    size_t n = 0, i = 0, leader = 0;
    ink_plan_row **rows = ink_arena_alloc(&plan->work, plan->n_rows, sizeof *rows);
    uint64_t *order = ink_arena_alloc(&plan->work, plan->n_rows, sizeof *order);
    row_facts *facts = ink_arena_alloc(&plan->work, plan->n_rows, sizeof *facts);
    if (ink_arena_failed(&plan->work))
        return ink_plan_no_memory(plan);
    for (ink_plan_row *row = plan->rows; row != NULL; row = row->next, i++) {
        const ink_plan_row *next = row->next;
        const ink_matrix *m = row->matrix;
        bool last = next == NULL || next->begins || next->matrix != m || next->vector != row->vector;
        rows[i] = row;
        facts[i] = (row_facts){.from = row->from,
                               .first = row->first,
                               .n = m != NULL ? m->n : row->n,
                               .k = m != NULL ? m->k : row->n_total,
                               .type = m != NULL ? m->type : INK_TYPE_NONE,
                               .kind = (m != NULL) * 4U + row->transposed * 2U + last};
        facts[i].file = (uintptr_t)row->settings;
        if (row->source != NULL) {
            facts[i].place = row->source->offset;
            facts[i].file = (uintptr_t)row->source->file;
        }
        if (row->coded != NULL) {
            const ink_weight *zeros = row->coded->zeros;
            facts[i].scales = (uintptr_t)ink_weights_stored(row->file, row->coded->scales);
            facts[i].zeros = (uintptr_t)(zeros != NULL ? ink_weights_stored(row->file, zeros) : NULL);
        }
        if (row->begins && !row->alone)
            order[n++] = INK_KEY(facts[i].place, i);
    }
    ink_sort(order, n, &(ink_ties){compare_destinations, facts});
    for (i = 1; i < n; i++) {
        size_t a = ink_key_index(order[leader]), b = ink_key_index(order[i]);
        leader = compare_destinations(facts, a, b) == 0 ? leader : i;
        for (bool more = leader != i; more; more = (facts[b++].kind & 1) == 0) {
            rows[b]->same = rows[a++];
            plan->bytes_total -= rows[b]->source != NULL ? ink_plan_row_bytes(rows[b]) : 0;
        }
    }
    return INK_OK;
}

/* Allocates the matrices and vectors in the order of the plan, or only measures them. */
static void allocate_destinations(ink_plan *plan, ink_arena *block)
{
    for (ink_plan_row *row = plan->rows; row != NULL; row = row->next) {
        ink_matrix *matrix = row->matrix;
        if (row->begins && row->same == NULL && matrix != NULL) {
            ink_matrix_alloc(block, matrix, matrix->n, matrix->k, matrix->type);
            plan->product_row = ink_size_max(plan->product_row, ink_product_row_bytes(matrix));
        } else if (row->begins && row->same == NULL) {
            *row->vector = ink_alloc_rows(block, 1, row->n_total);
        }
    }
    for (ink_plan_row *row = plan->rows; row != NULL; row = row->next) {
        if (row->begins && row->same != NULL && row->matrix != NULL)
            *row->matrix = *row->same->matrix;
        else if (row->begins && row->same != NULL)
            *row->vector = *row->same->vector;
    }
}

static ink_result fill_rows(ink_plan *plan)
{
    size_t n = 0;
    ink_plan_row **rows = ink_arena_alloc(&plan->work, plan->n_rows, sizeof *rows);
    uint64_t *order = ink_arena_alloc(&plan->work, plan->n_rows, sizeof *order);
    if (rows == NULL || order == NULL)
        return ink_plan_no_memory(plan);
    for (ink_plan_row *row = plan->rows; row != NULL; row = row->next) {
        if (row->compute != NULL && row->same == NULL)
            INK_TRY(compute_matrix(plan, row));
        else if (row->source == NULL && row->same == NULL)
            memset(*row->vector + row->first, 0, row->n * sizeof(float));
        if (row->source == NULL || row->same != NULL)
            continue;
        size_t file = 0,
               place = (size_t)((row->coded != NULL ? row->coded->codes : row->source) - ink_weights_at(row->file, 0));
        while (plan->files[file] != row->file)
            file++;
        for (size_t i = 0; i < file; i++)
            place += ink_weights_count(plan->files[i]);
        order[n] = INK_KEY(place, n);
        rows[n++] = row;
    }
    ink_sort(order, n, NULL);
    for (size_t i = 0; i < n; i++) {
        ink_plan_row *row = rows[ink_key_index(order[i])];
        INK_TRY(row->matrix != NULL ? fill_matrix(plan, row) : fill_vector(plan, row));
    }
    for (ink_plan_row *row = plan->rows; row != NULL; row = row->next) {
        row->hash = row->same != NULL ? row->same->hash : row->hash;
        plan->fingerprint = ink_hash_numbers(plan->fingerprint, &row->hash, 1, sizeof row->hash);
    }
    for (const ink_plan_fold *fold = plan->folds; fold != NULL; fold = fold->next)
        INK_TRY(fold->dense != NULL ? fold_norm(plan, fold) : fold_weight(plan, fold));
    return INK_OK;
}

static ink_result fill_plan(ink_plan *plan, uint64_t max_bytes)
{
    ink_arena block, measure;
    INK_TRY(share_destinations(plan));
    ink_arena_measure(&measure);
    allocate_destinations(plan, &measure);
    if (ink_arena_failed(&measure))
        return ink_fail(plan->ctx, INK_ERROR_LIMIT, "%s needs more memory than this machine can address", plan->what);
    if (ink_arena_failed(plan->own))
        return ink_plan_no_memory(plan);
    INK_TRY(ink_object_add_block(plan->ctx, plan->what, plan->object, measure.used, max_bytes, &block));
    allocate_destinations(plan, &block);
    ink_float_mode host = ink_float_mode_enter(); /* weights are rounded */
    ink_result result = fill_rows(plan);
    ink_float_mode_leave(host);
    return result;
}

static ink_result end_plan(ink_plan *plan, ink_result result, bool keep)
{
    if (!keep)
        ink_object_free(plan->object);
    for (size_t i = 0; i < plan->n_owned; i++)
        ink_weights_free(plan->owned[i]);
    ink_arena_free(&plan->work);
    return result;
}

ink_result ink_plan_finish(ink_plan *plan, ink_result planned, uint64_t max_bytes)
{
    ink_result result = planned == INK_OK ? fill_plan(plan, max_bytes) : planned;
    return end_plan(plan, result, result == INK_OK);
}

ink_result ink_plan_drop(ink_plan *plan, ink_result result) { return end_plan(plan, result, false); }
