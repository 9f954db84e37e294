/*
 * additive.c - additive attention: how much each row of a source counts for the next step of a decoder (Bahdanau, Cho,
 * Bengio 2014, section 3.1 and appendix A.1.2).
 *
 *     e_s = v^T tanh(W_a h_{t-1} + U_a k_s)     k_s: row s of the source; U_a k_s is computed once for each source
 *     a   = softmax(e)
 *     c_t = sum over s of a_s k_s
 *
 * It is attention with one key and one value for all of h, whose score is a small network instead of a product. The
 * biases of W_a and U_a may be there, too. That of v moves all e_s alike and changes no result.
 */
#include <string.h>

#include "layers.h"

/* Rows of a source whose hidden layer is computed together. */
#define SOURCE_ROWS ((size_t)16)

/* The approximate number of float operations of a tanh. */
#define TANH_WORK ((size_t)32)

void ink_additive_alloc_source(ink_arena *arena, const ink_additive *additive, size_t capacity,
                               ink_additive_source *source)
{
    *source = (ink_additive_source){.capacity = capacity};
    source->keys = ink_alloc_rows(arena, capacity, additive->score.weight.k);
    ink_matrix_alloc(arena, &source->values, additive->row_size, capacity, INK_F32);
}

/* U_a k_s. In a matrix [W_a, U_a] for both, zeros stand in front of k_s: their products add nothing. */
void ink_additive_set_source(ink_context *ctx, const ink_additive *additive, float *padded, const float *rows, size_t n,
                             ink_additive_source *source)
{
    const ink_matrix *w = &additive->key.weight;
    size_t in = additive->row_size, before = w->k - in;
    for (size_t first = 0, count; first < n; first += count) {
        count = ink_size_min(n - first, INK_PASS_ROWS);
        for (size_t s = 0; before != 0 && s < count; s++) {
            memset(padded + s * w->k, 0, before * sizeof *padded);
            memcpy(padded + s * w->k + before, rows + (first + s) * in, in * sizeof *padded);
        }
        ink_multiply(ctx, &(ink_product){.x = before != 0 ? padded : rows + first * in,
                                         .x_stride = w->k,
                                         .m = count,
                                         .w = w,
                                         .bias = before != 0 ? NULL : additive->key.bias,
                                         .y = source->keys + first * w->n,
                                         .y_stride = w->n});
    }
    ink_matrix_fill_columns(ctx->kernel, &source->values, 0, n, INK_F32, rows);
    source->length = n;
}

/* W_a, or the columns of a matrix [W_a, U_a] that it has. */
static ink_matrix query_matrix(const ink_additive *additive)
{
    if (additive->query.weight.n != 0)
        return additive->query.weight;
    return ink_matrix_columns_view(&additive->key.weight, 0, additive->key.weight.k - additive->row_size);
}

void ink_additive_alloc_scratch(ink_arena *arena, const ink_additive *additive, size_t n_queries, size_t capacity,
                                ink_additive_scratch *scratch)
{
    size_t size = additive->score.weight.k;
    scratch->capacity = capacity;
    scratch->h = ink_alloc_rows(arena, n_queries, query_matrix(additive).k);
    scratch->queries = ink_alloc_rows(arena, n_queries, size);
    scratch->hidden = ink_alloc_rows(arena, n_queries, SOURCE_ROWS * size);
    scratch->weights = ink_alloc_rows(arena, n_queries, capacity);
}

typedef struct additive_job {
    const ink_kernel *kernel;
    const ink_additive *additive;
    const ink_additive_scratch *scratch;
    const ink_additive_item *items;
} additive_job;

/* One query, whose W_a h_{t-1} is computed already. */
static void additive_task(void *data, size_t i)
{
    const additive_job *job = data;
    const ink_kernel *kernel = job->kernel;
    const ink_additive_source *source = job->items[i].source;
    const ink_dense *score = &job->additive->score;
    size_t size = score->weight.k;
    const float *query = job->scratch->queries + i * size;
    float *hidden = job->scratch->hidden + i * SOURCE_ROWS * size;
    float *weights = job->scratch->weights + i * job->scratch->capacity;
    for (size_t first = 0, count; first < source->length; first += count) {
        count = ink_size_min(source->length - first, SOURCE_ROWS);
        memcpy(hidden, source->keys + first * size, count * size * sizeof *hidden);
        for (size_t s = 0; s < count; s++)
            kernel->add(query, size, hidden + s * size);
        kernel->activate(INK_TANH, hidden, count * size, hidden);
        ink_multiply_here(kernel, &(ink_product){.x = hidden,
                                                 .x_stride = size,
                                                 .m = count,
                                                 .w = &score->weight,
                                                 .bias = score->bias,
                                                 .y = weights + first,
                                                 .y_stride = 1});
    }
    kernel->softmax(weights, source->length, 1, false);
    const ink_matrix values = ink_matrix_columns_view(&source->values, 0, source->length);
    ink_multiply_here(kernel, &(ink_product){.x = weights,
                                             .x_stride = source->length,
                                             .m = 1,
                                             .w = &values,
                                             .y = job->items[i].context,
                                             .y_stride = values.n});
}

void ink_additive_run(ink_context *ctx, const ink_additive *additive, const ink_additive_scratch *scratch,
                      const ink_additive_item *items, size_t n)
{
    const ink_matrix w = query_matrix(additive);
    size_t work = 0;
    for (size_t i = 0; i < n; i++)
        memcpy(scratch->h + i * w.k, items[i].h, w.k * sizeof *scratch->h);
    ink_multiply(ctx, &(ink_product){.x = scratch->h,
                                     .x_stride = w.k,
                                     .m = n,
                                     .w = &w,
                                     .bias = additive->query.weight.n != 0 ? additive->query.bias : additive->key.bias,
                                     .y = scratch->queries,
                                     .y_stride = w.n});
    for (size_t i = 0; i < n; i++)
        work += items[i].source->length * (w.n * TANH_WORK + 2 * additive->row_size);
    ink_parallel_for(ctx, additive_task,
                     &(additive_job){.kernel = ctx->kernel, .additive = additive, .scratch = scratch, .items = items},
                     n, work);
    for (size_t i = 0; ctx->trace != NULL && i < n; i++) {
        const ink_tensor weights = {.type = INK_F32,
                                    .shape = {.rank = 3, .dim = {1, 1, items[i].source->length}},
                                    .data = scratch->weights + i * scratch->capacity};
        ink_trace_call(ctx, "attn.weights", &weights);
        INK_TRACE(ctx, "context", ink_tensor_2d(items[i].context, 1, additive->row_size));
    }
}
