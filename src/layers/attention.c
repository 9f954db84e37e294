/*
 * attention.c - attention and its key/value cache: two products of the one kernel with a softmax in between.
 *
 *     S = Q K^T        the keys of a head are a packed matrix W [positions, head_dim]; a new key is a new lane
 *     P = softmax(scale S) over the positions a row sees, zero beyond
 *     Y = P V          the values of a head are a packed matrix W [head_dim, positions]; a new value is a new row of
 *                      lanes, so that P V = P W^T
 *
 * A prompt is worked through in groups of up to GROUP_ROWS rows, fewer where the sequence is so long that their scores
 * would take more than SCORE_FLOATS. Within a group all rows are multiplied with the positions
 * that its last row sees; blocks of a sum that lie before the window of them all are left out. A position that is
 * masked for a row then counts as an exact zero in a sum whose order is that of the positions, so neither the group nor
 * the way the prompt was cut into calls shows in the result.
 */
#include <string.h>

#include "layers.h"

#define GROUP_ROWS ((size_t)32)
#define SCORE_FLOATS ((size_t)1 << 22)

/* ---- the cache ------------------------------------------------------------------------------------------------ */

ink_result ink_attention_check(ink_context *ctx, const ink_attention *attention)
{
    size_t heads, width;
    if (attention->n_heads == 0 || attention->n_kv_heads == 0 || attention->head_dim == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "attention with n_heads %zu, n_kv_heads %zu, head_dim %zu: expected at "
                        "least 1 of each",
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
    if (attention->bidirectional && attention->window != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "attention: a window of %zu in bidirectional attention",
                        attention->window);
    return INK_OK;
}

void ink_kv_cache_alloc(ink_arena *arena, const ink_attention *attention, size_t capacity, ink_kv_cache *cache)
{
    size_t n = attention->n_kv_heads;
    cache->capacity = capacity;
    cache->length = 0;
    cache->n_kv_heads = n;
    cache->head_dim = attention->head_dim;
    cache->keys = ink_arena_alloc(arena, n, sizeof *cache->keys);
    cache->values = ink_arena_alloc(arena, n, sizeof *cache->values);
    for (size_t j = 0; j < n && !ink_arena_failed(arena); j++) {
        ink_matrix measured;
        ink_matrix_alloc(arena, cache->keys != NULL ? &cache->keys[j] : &measured, capacity, cache->head_dim,
                         cache->head_dim, INK_F32);
        ink_matrix_alloc(arena, cache->values != NULL ? &cache->values[j] : &measured, cache->head_dim, capacity,
                         capacity, INK_F32);
    }
}

typedef struct build_args {
    const ink_attention *attention;
    size_t capacity;
} build_args;

static ink_result build(void *data, ink_arena *arena, void **object)
{
    const build_args *args = data;
    ink_kv_cache measured, *cache = *object = ink_arena_alloc(arena, 1, sizeof *cache);
    ink_kv_cache_alloc(arena, args->attention, args->capacity, cache != NULL ? cache : &measured);
    return INK_OK;
}

ink_result ink_kv_cache_create(ink_context *ctx, const ink_attention *attention, size_t capacity, ink_kv_cache **cache)
{
    void *object;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, cache);
    *cache = NULL;
    INK_REQUIRE(ctx, attention);
    INK_TRY(ink_attention_check(ctx, attention));
    if (capacity == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the capacity is 0, expected at least 1 position", __func__);
    build_args args = {.attention = attention, .capacity = capacity};
    INK_TRY(ink_object_create(ctx, "the key/value cache", build, &args, 0, &object));
    *cache = object;
    return INK_OK;
}

void ink_kv_cache_free(ink_kv_cache *cache) { ink_object_free(cache); }

size_t ink_kv_cache_length(const ink_kv_cache *cache) { return cache->length; }

/* What lies behind the length is overwritten before it is ever read, so forgetting is this one assignment. */
ink_result ink_kv_cache_rewind(ink_context *ctx, ink_kv_cache *cache, size_t length)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, cache);
    if (length > cache->length)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: back to %zu positions, but there are only %zu", __func__, length,
                        cache->length);
    cache->length = length;
    return INK_OK;
}

/* Adds n positions; their keys and values are rows of `stride` floats. */
static void append(const ink_kernel *kernel, ink_kv_cache *cache, const float *keys, const float *values, size_t stride,
                   size_t n)
{
    for (size_t j = 0; j < cache->n_kv_heads; j++)
        for (size_t i = 0; i < n; i++) {
            size_t position = cache->length + i;
            size_t offset = i * stride + j * cache->head_dim;
            ink_matrix_fill_rows(kernel, &cache->keys[j], position, 1, INK_F32, keys + offset, NULL);
            ink_matrix_fill_columns(kernel, &cache->values[j], position, 1, INK_F32, values + offset, NULL);
        }
    cache->length += n;
}

/* ---- attending ------------------------------------------------------------------------------------------------ */

/*
 * One group of rows. A task is a bundle of m score rows over one key/value head: the rows of the group for one query
 * head; or, for a single row, all query heads of the key/value head, so that grouped heads read the cache once.
 */
typedef struct group_job {
    const ink_kernel *kernel;
    const ink_kv_cache *cache;
    const float *queries; /* first row of the group */
    float *scores;        /* [n_heads, n_rows, n_positions] */
    float *y;             /* first row of the group */
    size_t query_stride, y_stride;
    size_t skip;                /* positions before this one no row of the group sees; a multiple of INK_SUM_BLOCK */
    size_t n_rows, n_positions; /* positions from `skip` to the last that a row sees */
    size_t seen;                /* of these, what the first row sees; each row after it sees one more */
    bool all;                   /* every row sees them all */
    size_t window;              /* 0: none */
    size_t heads_per_task, heads_per_kv;
    size_t head_dim;
    float scale;
} group_job;

/* S = Q K^T */
static void score(void *data, size_t task)
{
    const group_job *job = data;
    size_t head = task * job->heads_per_task;
    const ink_matrix *all_keys = &job->cache->keys[head / job->heads_per_kv];
    const ink_matrix keys = ink_matrix_rows_view(all_keys, job->skip, job->n_positions);
    const ink_product product = {.x = job->queries + head * job->head_dim,
                                 .x_stride = job->n_rows == 1 ? job->head_dim : job->query_stride,
                                 .m = job->n_rows * job->heads_per_task,
                                 .w = &keys,
                                 .y = job->scores + head * job->n_rows * job->n_positions,
                                 .y_stride = job->n_positions};
    ink_multiply_here(job->kernel, &product);
}

/* P = softmax(scale S) over what each row sees, zero elsewhere. */
static void normalise(void *data, size_t task)
{
    const group_job *job = data;
    size_t m = job->n_rows * job->heads_per_task;
    float *row = job->scores + task * m * job->n_positions;
    for (size_t i = 0; i < m; i++, row += job->n_positions) {
        size_t begin = 0, end = job->all ? job->n_positions : job->seen + i % job->n_rows;
        if (job->window != 0 && end > job->window)
            begin = end - job->window;
        memset(row, 0, begin * sizeof *row);
        job->kernel->softmax(row + begin, end - begin, job->scale);
        memset(row + end, 0, (job->n_positions - end) * sizeof *row);
    }
}

/* Y = P V */
static void sum(void *data, size_t task)
{
    const group_job *job = data;
    size_t head = task * job->heads_per_task;
    const ink_matrix *all_values = &job->cache->values[head / job->heads_per_kv];
    const ink_matrix values = ink_matrix_columns_view(all_values, job->skip, job->n_positions);
    const ink_product product = {.x = job->scores + head * job->n_rows * job->n_positions,
                                 .x_stride = job->n_positions,
                                 .m = job->n_rows * job->heads_per_task,
                                 .w = &values,
                                 .y = job->y + head * job->head_dim,
                                 .y_stride = job->n_rows == 1 ? job->head_dim : job->y_stride};
    ink_multiply_here(job->kernel, &product);
}

static void attend(void *data, size_t task)
{
    score(data, task);
    normalise(data, task);
    sum(data, task);
}

static void run_group(ink_context *ctx, group_job *job, size_t n_heads)
{
    size_t n_tasks = n_heads / job->heads_per_task;
    size_t work = 4 * n_heads * job->n_rows * job->n_positions * job->head_dim;
    if (ctx->trace == NULL) {
        ink_parallel_for(ctx, attend, job, n_tasks, work);
        return;
    }
    const ink_tensor scores = {
        .type = INK_F32, .shape = {.rank = 3, .dim = {n_heads, job->n_rows, job->n_positions}}, .data = job->scores};
    ink_parallel_for(ctx, score, job, n_tasks, work);
    ink_trace_call(ctx, "attn.scores", scores);
    ink_parallel_for(ctx, normalise, job, n_tasks, work);
    ink_trace_call(ctx, "attn.weights", scores);
    ink_parallel_for(ctx, sum, job, n_tasks, work);
}

void ink_attention_alloc_scratch(ink_arena *arena, const ink_attention *attention, size_t capacity, size_t rows,
                                 ink_attention_scratch *scratch)
{
    size_t one_row = SIZE_MAX, all_rows = SIZE_MAX;
    ink_size_mul(attention->n_heads, capacity, &one_row);
    ink_size_mul(one_row, ink_size_min(rows, GROUP_ROWS), &all_rows);
    scratch->n_scores = ink_size_min(all_rows, ink_size_max(one_row, SCORE_FLOATS));
    scratch->scores = ink_arena_alloc(arena, scratch->n_scores, sizeof *scratch->scores);
}

/* How many of the next `left` rows make a group: the first sees `seen` positions or, where all see all, `n`. */
static size_t group_rows(const ink_attention *attention, const ink_attention_scratch *scratch, size_t left, size_t seen,
                         size_t n)
{
    size_t room = scratch->n_scores / attention->n_heads;
    size_t n_rows = ink_size_min(GROUP_ROWS, left);
    while (n_rows > 1 && (attention->bidirectional ? n : seen + n_rows - 1) > room / n_rows)
        n_rows--;
    return n_rows;
}

/* Blocks of a sum that lie before the window of a row that sees up to `end`: they are zero for it and all after it. */
static size_t skipped(const ink_attention *attention, size_t end)
{
    size_t before = attention->window != 0 && end > attention->window ? end - attention->window : 0;
    return before - before % INK_SUM_BLOCK;
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
    append(ctx->kernel, cache, qkv + q_width, qkv + q_width + kv_width, width, n);

    for (size_t first = 0, n_rows; first < n; first += n_rows) {
        size_t skip = skipped(attention, before + first + 1), seen = before + first + 1 - skip;
        n_rows = group_rows(attention, scratch, n - first, seen, n);
        size_t heads_per_kv = attention->n_heads / attention->n_kv_heads;
        group_job job = {.kernel = ctx->kernel,
                         .cache = cache,
                         .queries = qkv + first * width,
                         .scores = scratch->scores,
                         .y = y + first * q_width,
                         .query_stride = width,
                         .y_stride = q_width,
                         .n_rows = n_rows,
                         .skip = skip,
                         .seen = seen,
                         .window = attention->window,
                         .all = attention->bidirectional,
                         .heads_per_task = n_rows == 1 ? heads_per_kv : 1,
                         .heads_per_kv = heads_per_kv,
                         .head_dim = attention->head_dim,
                         .scale = attention->scale};
        job.n_positions = attention->bidirectional ? n : seen + n_rows - 1;
        if (job.scale == 0)
            job.scale = ctx->kernel->inverse_sqrt((float)attention->head_dim);
        run_group(ctx, &job, attention->n_heads);
    }
}

/* ---- the public edge ------------------------------------------------------------------------------------------ */

ink_result ink_attention_forward(ink_context *ctx, const ink_attention *attention, ink_kv_cache *cache,
                                 const float *qkv, size_t n, float *y)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, attention);
    INK_REQUIRE(ctx, cache);
    INK_TRY(ink_attention_check(ctx, attention));
    if (attention->n_kv_heads != cache->n_kv_heads || attention->head_dim != cache->head_dim)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "%s: the cache was made for %zu heads of size %zu, not for %zu of size %zu", __func__,
                        cache->n_kv_heads, cache->head_dim, attention->n_kv_heads, attention->head_dim);
    if (n == 0)
        return INK_OK;
    INK_REQUIRE(ctx, qkv);
    INK_REQUIRE(ctx, y);
    size_t room = cache->capacity - (attention->bidirectional ? 0 : cache->length);
    if (n > room)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: %zu tokens after %zu do not fit a cache of %zu positions", __func__,
                        n, cache->length, cache->capacity);

    ink_attention_scratch scratch;
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_attention_alloc_scratch(&ctx->scratch, attention, cache->capacity, n, &scratch);
    if (ink_arena_failed(&ctx->scratch))
        return ink_scratch_fail(ctx, mark);
    ink_float_mode host = ink_float_mode_enter();
    ink_attention_run(ctx, attention, &scratch, cache, qkv, n, y);
    ink_float_mode_leave(host);
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}

ink_result ink_attention_reserve(ink_context *ctx, const ink_attention *attention, size_t capacity, size_t n)
{
    ink_arena measure;
    ink_attention_scratch scratch;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, attention);
    INK_TRY(ink_attention_check(ctx, attention));
    ink_arena_measure(&measure);
    ink_attention_alloc_scratch(&measure, attention, capacity, n, &scratch);
    if (ink_arena_failed(&measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: more memory than this machine can address", __func__);
    return ink_scratch_reserve(ctx, measure.used);
}
