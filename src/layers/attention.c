/*
 * attention.c - attention over a key/value cache: two products of the one kernel with a softmax in between
 * (Vaswani et al. 2017, section 3.2).
 *
 *     S = Q K^T               keys of a head: a packed matrix [positions, head_dim]; a token adds a row
 *     P = softmax(scale S)    over the positions that a row sees, zero elsewhere; or softmax(scale S + B) with a bias
 *                             for each head and distance
 *     Y = P V                 values of a head: a packed matrix [head_dim, positions]; a token adds a column
 *
 * A prompt runs in query blocks of up to QUERY_ROWS rows, or fewer if their scores would need more than MAX_SCORES
 * floats. All rows of a block are multiplied with all positions that one of its rows sees. A masked position
 * contributes an exact zero, and the sum is in the order of the positions. So the result does not depend on the query
 * blocks, nor on how the prompt was cut into calls.
 *
 * Keys and values may also be held as f16, or as 8-bit codes K' and V' with one scale for each position and head. A
 * scale is then a factor of a column of scores, so the products know nothing of it:
 *
 *     S = (Q K'^T) diag(a),  K = diag(a) K'        Y = (P diag(b)) V',  V = diag(b) V'
 */
#include <math.h> /* isnan */
#include <string.h>

#include "layers.h"

#define QUERY_ROWS ((size_t)32)
#define MAX_SCORES ((size_t)1 << 22)
#define F16_INFINITE 65520 /* this and more rounds to infinity */
#define F16_NAN 0x7e00

/* ---- the cache -------------------------------------------------------------------------------------------------- */

ink_result ink_attention_check(ink_context *ctx, const ink_attention *attention)
{
    size_t heads, width;
    if (attention->n_heads == 0 || attention->n_kv_heads == 0 || attention->head_dim == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "attention with n_heads %zu, n_kv_heads %zu, head_dim %zu: expected at least 1 of each",
                        attention->n_heads, attention->n_kv_heads, attention->head_dim);
    if (attention->n_heads % attention->n_kv_heads != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "attention: n_heads %zu is not a multiple of n_kv_heads %zu",
                        attention->n_heads, attention->n_kv_heads);
    if (!ink_size_mul(attention->n_kv_heads, 2, &heads) || !ink_size_add(heads, attention->n_heads, &heads) ||
        !ink_size_mul(heads, attention->head_dim, &width))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "attention: %zu heads of size %zu do not fit into memory",
                        attention->n_heads, attention->head_dim);
    if (!(attention->scale >= 0) || !ctx->kernel->all_finite(&attention->scale, 1))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "attention: the scale must be finite and not negative");
    return INK_OK;
}

ink_result ink_kv_cache_check_type(ink_context *ctx, ink_type type)
{
    if (type != INK_TYPE_NONE && type != INK_F32 && type != INK_F16 && type != INK_I8)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "keys and values cannot be held as %s, only as F32, F16 or I8",
                        ink_type_name(type));
    if ((type == INK_F16 && !INK_HAS_F16) || (type == INK_I8 && !INK_HAS_I8))
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "this library was built without %s caches: build it with %s in INKLING_TYPES (without "
                        "-DINK_NO_%s), or hold keys and values as F32",
                        ink_type_name(type), type == INK_F16 ? "f16" : "i8", ink_type_name(type));
    return INK_OK;
}

/* An empty cache whose pointers are distances from its beginning, and its size in *bytes, SIZE_MAX if that is too much.
 */
static ink_kv_cache cache_layout(const ink_attention *attention, size_t capacity, ink_type type, unsigned char *memory,
                                 size_t *bytes)
{
    ink_type held = type == INK_TYPE_NONE ? INK_F32 : type;
    size_t heads = attention->n_kv_heads, keys = ink_matrix_bytes(capacity, attention->head_dim, held);
    size_t values = ink_matrix_bytes(attention->head_dim, capacity, held), scales = 0;
    bool fits = ink_size_mul(keys, heads, &keys) && ink_size_mul(values, heads, &values);
    if (held == INK_I8)
        fits = fits && ink_size_mul(capacity, 2 * sizeof(float), &scales) && ink_size_mul(scales, heads, &scales) &&
               ink_size_add(scales, INK_ALIGNMENT - 1, &scales);
    scales -= scales % INK_ALIGNMENT;
    if (!fits || !ink_size_add(keys, values, bytes) || !ink_size_add(*bytes, scales, bytes))
        *bytes = SIZE_MAX;
    return (ink_kv_cache){.capacity = capacity,
                          .n_kv_heads = heads,
                          .head_dim = attention->head_dim,
                          .type = held,
                          .keys = memory,
                          .values = memory != NULL ? memory + keys : NULL,
                          .scales = memory != NULL && scales != 0 ? (void *)(memory + keys + values) : NULL};
}

size_t ink_kv_cache_bytes(const ink_attention *attention, size_t capacity, ink_type type)
{
    size_t bytes;
    cache_layout(attention, capacity, type, NULL, &bytes);
    return bytes;
}

ink_kv_cache ink_kv_cache_over(const ink_attention *attention, size_t capacity, ink_type type, void *memory)
{
    size_t bytes;
    return cache_layout(attention, capacity, type, memory, &bytes);
}

ink_matrix ink_kv_cache_keys(const ink_kv_cache *cache, size_t j)
{
    size_t n = cache->capacity, k = cache->head_dim;
    return ink_matrix_over(cache->keys + j * ink_matrix_bytes(n, k, cache->type), n, k, k, cache->type);
}

ink_matrix ink_kv_cache_values(const ink_kv_cache *cache, size_t j)
{
    size_t n = cache->head_dim, k = cache->capacity;
    return ink_matrix_over(cache->values + j * ink_matrix_bytes(n, k, cache->type), n, k, k, cache->type);
}

float *ink_kv_cache_scales(const ink_kv_cache *cache, bool of_keys, size_t j)
{
    return cache->scales != NULL ? cache->scales + (j + (of_keys ? 0 : cache->n_kv_heads)) * cache->capacity : NULL;
}

void ink_kv_cache_begin_panels(const ink_kv_cache *cache, size_t from, size_t to)
{
    for (size_t j = 0; j < cache->n_kv_heads; j++) {
        ink_matrix keys = ink_kv_cache_keys(cache, j);
        size_t first = (from + INK_FILL_ROWS - 1) / INK_FILL_ROWS * INK_FILL_ROWS;
        for (; first < to; first += INK_FILL_ROWS) {
            ink_matrix panel = ink_matrix_rows_view(&keys, first, 1);
            ink_matrix_clear(&panel, ink_size_min(INK_FILL_ROWS, cache->capacity - first), cache->head_dim);
        }
    }
}

/* If the type cannot hold a key or a value, the key becomes NaN, and with it the results of all rows that see it. An
   infinite one could hide its position, or show in rows that do not see it. */
void ink_kv_cache_append(const ink_kernel *kernel, ink_kv_cache *cache, const float *keys, const float *values,
                         size_t stride, size_t n)
{
    ink_kv_cache_begin_panels(cache, cache->length, cache->length + n);
    for (size_t j = 0; j < cache->n_kv_heads; j++) {
        ink_matrix k = ink_kv_cache_keys(cache, j), v = ink_kv_cache_values(cache, j);
        size_t step;
        float *of_keys = ink_kv_cache_scales(cache, true, j), *of_values = ink_kv_cache_scales(cache, false, j);
        for (size_t i = 0; i < n; i++) {
            size_t position = cache->length + i, at = i * stride + j * cache->head_dim;
            if (cache->type == INK_I8) {
                float a = ink_matrix_quantise_row(kernel, &k, position, keys + at);
                float b = ink_matrix_quantise_column(kernel, &v, position, values + at);
                of_keys[position] = isnan(b) ? b : a;
                of_values[position] = isnan(b) ? 0 : b;
                continue;
            }
            ink_matrix_fill_rows(kernel, &k, position, 1, INK_F32, keys + at);
            ink_matrix_fill_columns(kernel, &v, position, 1, INK_F32, values + at);
            if (cache->type != INK_F16 || (kernel->largest(keys + at, cache->head_dim) < F16_INFINITE &&
                                           kernel->largest(values + at, cache->head_dim) < F16_INFINITE))
                continue;
            ink_matrix value = ink_matrix_columns_view(&v, position, 1);
            *(uint16_t *)ink_matrix_elements(&k, position, &step) = F16_NAN;
            ink_matrix_clear(&value, cache->head_dim, 1);
        }
    }
    cache->length += n;
}

/* ---- attending -------------------------------------------------------------------------------------------------- */

/* One query block. A task computes m rows of scores over one key/value head: all rows of the block for one query head.
   If the block is a single row, a task computes all query heads of a key/value head instead, so that grouped heads read
   the cache once. */
typedef struct attention_job {
    const ink_kernel *kernel;
    const ink_attention *attention;
    const ink_kv_cache *cache;
    float scale;
    const float *q;    /* the queries of the first row */
    float *scores;     /* [n_heads, n_rows, n_positions] */
    const float *bias; /* [n_heads, 2 bias_reach] or NULL, as in ink_attention_scratch */
    size_t bias_reach;
    float *y; /* the result of the first row */
    size_t q_stride, y_stride;
    size_t n_rows;
    size_t skip;        /* no row of the block sees an earlier position; a multiple of INK_SUM_BLOCK */
    size_t n_positions; /* from `skip` to the last position that a row sees */
    size_t own;         /* the position of the first row, from `skip` on; each row is one further */
    size_t after;       /* positions after its own that a row sees, if there are so many */
    size_t heads_per_task;
} attention_job;

/* Multiplies each column of a task's scores by the scale of its key or value, if they have scales. */
static void scale_positions(const attention_job *job, size_t task, bool of_keys)
{
    const ink_attention *a = job->attention;
    size_t head = task * job->heads_per_task, n = job->n_positions, m = job->n_rows * job->heads_per_task;
    const float *scales = ink_kv_cache_scales(job->cache, of_keys, head / (a->n_heads / a->n_kv_heads));
    for (size_t i = 0; i < m && scales != NULL; i++)
        job->kernel->multiply_elements(scales + job->skip, n, job->scores + (task * m + i) * n);
}

/* S = Q K^T */
static void attention_scores(void *data, size_t task)
{
    const attention_job *job = data;
    const ink_attention *a = job->attention;
    size_t head = task * job->heads_per_task;
    ink_matrix all = ink_kv_cache_keys(job->cache, head / (a->n_heads / a->n_kv_heads));
    ink_matrix keys = ink_matrix_rows_view(&all, job->skip, job->n_positions);
    ink_multiply_here(job->kernel, &(ink_product){.x = job->q + head * a->head_dim,
                                                  .x_stride = job->n_rows == 1 ? a->head_dim : job->q_stride,
                                                  .m = job->n_rows * job->heads_per_task,
                                                  .w = &keys,
                                                  .y = job->scores + head * job->n_rows * job->n_positions,
                                                  .y_stride = job->n_positions});
    scale_positions(job, task, true);
}

/* P = softmax(scale S + B) = softmax(scale (S + B / scale)) over the positions that each row sees, zero elsewhere. */
static void attention_weights(void *data, size_t task)
{
    const attention_job *job = data;
    size_t n = job->n_positions, window = job->attention->window, m = job->n_rows * job->heads_per_task;
    float *row = job->scores + task * m * n;
    for (size_t i = 0; i < m; i++, row += n) {
        size_t own = job->own + i % job->n_rows, head = task * job->heads_per_task + i / job->n_rows;
        size_t begin = window != 0 && own >= window ? own - window + 1 : 0;
        size_t end = ink_size_min(own + job->after + 1, n);
        memset(row, 0, begin * sizeof *row);
        if (job->bias != NULL) {
            const float *same = job->bias + (2 * head + 1) * job->bias_reach; /* of the row's own position */
            job->kernel->add_share(same - (own - begin), end - begin, 1, job->scale, row + begin);
        }
        job->kernel->softmax(row + begin, end - begin, job->scale, false);
        memset(row + end, 0, (n - end) * sizeof *row);
    }
}

/* Y = P V */
static void attention_sums(void *data, size_t task)
{
    const attention_job *job = data;
    const ink_attention *a = job->attention;
    size_t head = task * job->heads_per_task;
    ink_matrix all = ink_kv_cache_values(job->cache, head / (a->n_heads / a->n_kv_heads));
    ink_matrix values = ink_matrix_columns_view(&all, job->skip, job->n_positions);
    scale_positions(job, task, false);
    ink_multiply_here(job->kernel, &(ink_product){.x = job->scores + head * job->n_rows * job->n_positions,
                                                  .x_stride = job->n_positions,
                                                  .m = job->n_rows * job->heads_per_task,
                                                  .w = &values,
                                                  .y = job->y + head * a->head_dim,
                                                  .y_stride = job->n_rows == 1 ? a->head_dim : job->y_stride});
}

static void attention_task(void *data, size_t task)
{
    attention_scores(data, task);
    attention_weights(data, task);
    attention_sums(data, task);
}

void ink_attention_alloc_scratch(ink_arena *arena, const ink_attention *attention, size_t capacity, size_t rows,
                                 ink_attention_scratch *scratch)
{
    size_t one_row = SIZE_MAX, all_rows = SIZE_MAX;
    ink_size_mul(attention->n_heads, capacity, &one_row);
    ink_size_mul(one_row, ink_size_min(rows, QUERY_ROWS), &all_rows);
    scratch->n_scores = ink_size_min(all_rows, ink_size_max(one_row, MAX_SCORES));
    scratch->scores = ink_arena_alloc(arena, scratch->n_scores, sizeof *scratch->scores);
    scratch->bias = NULL;
}

void ink_attention_attend(ink_context *ctx, const ink_attention *attention, const ink_attention_scratch *scratch,
                          const ink_kv_cache *cache, size_t before, const char *name, const float *q, size_t q_stride,
                          size_t n, float *y)
{
    size_t width = attention->n_heads * attention->head_dim, window = attention->window;
    attention_job job = {.kernel = ctx->kernel,
                         .attention = attention,
                         .cache = cache,
                         .scale = attention->scale,
                         .scores = scratch->scores,
                         .bias = scratch->bias,
                         .bias_reach = scratch->bias_reach,
                         .q_stride = q_stride,
                         .y_stride = width};
    if (job.scale == 0)
        job.scale = ctx->kernel->inverse_sqrt((float)attention->head_dim);
    if (attention->bidirectional)
        job.after = window != 0 ? ink_size_min(window - 1, cache->length) : cache->length;

    for (size_t first = 0; first < n; first += job.n_rows) {
        /* Skips whole sum blocks before the window of the first row: they are zero for this row and all later ones. */
        size_t own = before + first, unseen = window != 0 && own >= window ? own - window + 1 : 0;
        job.skip = unseen - unseen % INK_SUM_BLOCK;
        job.own = own - job.skip;

        size_t room = scratch->n_scores / attention->n_heads, positions = cache->length - job.skip;
        job.n_rows = ink_size_min(QUERY_ROWS, n - first);
        while (job.n_rows > 1 && ink_size_min(job.own + job.n_rows + job.after, positions) > room / job.n_rows)
            job.n_rows--;
        job.n_positions = ink_size_min(job.own + job.n_rows + job.after, positions);
        job.heads_per_task = job.n_rows == 1 ? attention->n_heads / attention->n_kv_heads : 1;
        job.q = q + first * q_stride;
        job.y = y + first * width;

        size_t n_tasks = attention->n_heads / job.heads_per_task;
        size_t work = 4 * attention->n_heads * job.n_rows * job.n_positions * attention->head_dim;
        if (ctx->trace == NULL) {
            ink_parallel_for(ctx, attention_task, &job, n_tasks, work);
            continue;
        }
        const ink_tensor scores = {.type = INK_F32,
                                   .shape = {.rank = 3, .dim = {attention->n_heads, job.n_rows, job.n_positions}},
                                   .data = job.scores};
        size_t scope = ink_trace_enter(ctx, "%s.", name);
        ink_parallel_for(ctx, attention_scores, &job, n_tasks, work);
        ink_trace_call(ctx, "scores", &scores);
        ink_parallel_for(ctx, attention_weights, &job, n_tasks, work);
        ink_trace_call(ctx, "weights", &scores);
        ink_parallel_for(ctx, attention_sums, &job, n_tasks, work);
        ink_trace_leave(ctx, scope);
    }
}

void ink_attention_run(ink_context *ctx, const ink_attention *attention, const ink_attention_scratch *scratch,
                       ink_kv_cache *cache, const float *qkv, size_t n, float *y)
{
    size_t q_width = attention->n_heads * attention->head_dim;
    size_t kv_width = attention->n_kv_heads * attention->head_dim;
    size_t width = q_width + 2 * kv_width;
    if (attention->bidirectional)
        cache->length = 0;
    size_t before = cache->length;
    ink_kv_cache_append(ctx->kernel, cache, qkv + q_width, qkv + q_width + kv_width, width, n);
    ink_attention_attend(ctx, attention, scratch, cache, before, "attn", qkv, width, n, y);
}

/* ---- public functions ------------------------------------------------------------------------------------------- */

ink_result ink_kv_cache_create(ink_context *ctx, const ink_attention *attention, size_t capacity, ink_kv_cache **cache)
{
    return ink_kv_cache_create_as(ctx, attention, capacity, INK_F32, cache);
}

ink_result ink_kv_cache_create_as(ink_context *ctx, const ink_attention *attention, size_t capacity, ink_type type,
                                  ink_kv_cache **cache)
{
    ink_arena measure, arena;
    INK_REQUIRE(ctx, cache);
    *cache = NULL;
    INK_REQUIRE(ctx, attention);
    INK_TRY(ink_attention_check(ctx, attention));
    if (capacity == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the capacity is 0, expected at least 1 position", __func__);
    INK_TRY(ink_kv_cache_check_type(ctx, type));
    size_t bytes = ink_kv_cache_bytes(attention, capacity, type);
    ink_arena_measure(&measure);
    ink_arena_alloc(&measure, 1, sizeof **cache);
    ink_arena_alloc(&measure, bytes, 1);
    INK_TRY(ink_object_new(ctx, "the key/value cache", &measure, NULL, 0, &arena));
    *cache = ink_arena_alloc(&arena, 1, sizeof **cache);
    **cache = ink_kv_cache_over(attention, capacity, type, ink_arena_alloc(&arena, bytes, 1));
    return INK_OK;
}

void ink_kv_cache_free(ink_kv_cache *cache) { ink_object_free(cache); }
size_t ink_kv_cache_length(const ink_kv_cache *cache) { return cache->length; }

/* Keys and values past the length are overwritten before they are read, so setting the length forgets them. */
ink_result ink_kv_cache_rewind(ink_context *ctx, ink_kv_cache *cache, size_t length)
{
    INK_REQUIRE(ctx, cache);
    if (length > cache->length)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: cannot go back to %zu positions, there are only %zu", __func__,
                        length, cache->length);
    cache->length = length;
    return INK_OK;
}

static ink_result attention_call(ink_context *ctx, const ink_attention *attention, size_t capacity, ink_kv_cache *cache,
                                 const float *qkv, size_t n, float *y, bool reserve)
{
    ink_attention_scratch scratch;
    ink_call call;
    ink_call_begin(&call, ctx, reserve);
    ink_attention_alloc_scratch(call.arena, attention, capacity, n, &scratch);
    if (ink_call_ready(&call))
        ink_attention_run(ctx, attention, &scratch, cache, qkv, n, y);
    return ink_call_end(&call);
}

ink_result ink_attention_forward(ink_context *ctx, const ink_attention *attention, ink_kv_cache *cache,
                                 const float *qkv, size_t n, float *y)
{
    INK_REQUIRE(ctx, attention, cache);
    INK_TRY(ink_attention_check(ctx, attention));
    if (attention->n_kv_heads != cache->n_kv_heads || attention->head_dim != cache->head_dim)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "%s: the cache was created for %zu heads of size %zu, not for %zu of size %zu", __func__,
                        cache->n_kv_heads, cache->head_dim, attention->n_kv_heads, attention->head_dim);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, qkv, y);
    if (n > cache->capacity - (attention->bidirectional ? 0 : cache->length))
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: %zu tokens after %zu do not fit a cache of %zu positions", __func__,
                        n, cache->length, cache->capacity);
    return attention_call(ctx, attention, cache->capacity, cache, qkv, n, y, false);
}

ink_result ink_attention_reserve(ink_context *ctx, const ink_attention *attention, size_t capacity, size_t n)
{
    INK_REQUIRE(ctx, attention);
    INK_TRY(ink_attention_check(ctx, attention));
    return attention_call(ctx, attention, capacity, NULL, NULL, n, NULL, true);
}
