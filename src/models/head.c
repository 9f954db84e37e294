/*
 * head.c - from the rows of a network to results: hidden vectors, logits, and the vectors of whole texts.
 *
 *     pick       copy the requested rows of x side by side, or the mean of the rows of a text
 *     head       hidden = norm(x);   logits = W (scale norm(s(W_t hidden + b_t))) + b;   or the pooled rows of a text
 */
#include <string.h>

#include "run.h"

/* If the destinations of logits do not lie side by side, this many rows are computed at a time and then copied. */
#define SCATTERED_ROWS ((size_t)16)

void ink_head_alloc_scratch(ink_run *r, ink_arena *arena)
{
    const ink_model *model = r->model;
    const ink_sentence *sentence = &model->sentence;
    size_t hidden = r->hidden_size, rows = r->max_rows, parts = ink_size_min(r->n_items, rows);
    r->picked = ink_alloc_rows(arena, rows, hidden);
    r->targets = ink_arena_alloc(arena, rows, sizeof *r->targets);
    if (model->head.scale != 0)
        r->scaled = ink_alloc_rows(arena, rows, hidden);
    if (r->n_items > 1 && model->head.weight != NULL)
        r->scattered = ink_alloc_rows(arena, ink_size_min(rows, SCATTERED_ROWS), model->head.weight->n);
    if (sentence->n_modes != 0) {
        size_t widest = sentence->n_modes * hidden;
        for (size_t i = 0; i < sentence->n_steps; i++)
            widest = ink_size_max(widest, sentence->steps[i].dense.weight.n);
        r->vectors[0] = ink_alloc_rows(arena, parts, widest);
        r->vectors[1] = ink_alloc_rows(arena, parts, widest);
        r->begun = ink_alloc_rows(arena, 1, sentence->n_modes * hidden);
    }
}

void ink_head_last_norm(ink_run *r, float *x, size_t n)
{
    const ink_norm *norm = &r->transformer->stack.norm;
    if (norm->size == 0)
        return;
    ink_norm_run(r->ctx, norm, x, n, x);
    INK_TRACE(r->ctx, "norm_f", ink_tensor_2d(x, n, norm->size));
}

/* Pools the n rows h_1 .. h_n of a text into one vector y [size] (Reimers, Gurevych 2019):
       cls h_1;  max;  mean sum h_t / n;  mean_sqrt_len_tokens sum h_t / sqrt(n);  weightedmean sum t h_t / sum t;
       lasttoken h_n
   For a mean of `total` rows, of which these are not the first, `begun` [size] is the sum so far, else NULL. A mean of
   no rows is 0. */
static void pool_rows(const ink_kernel *kernel, ink_pooling mode, const float *h, size_t n, size_t total,
                      const float *begun, size_t size, float *y)
{
    bool is_sum = mode == INK_POOLING_MEAN || mode == INK_POOLING_MEAN_SQRT || mode == INK_POOLING_WEIGHTED_MEAN;
    if (is_sum && begun == NULL)
        memset(y, 0, size * sizeof *y);
    else
        memcpy(y, begun != NULL ? begun : mode == INK_POOLING_LAST ? h + (n - 1) * size : h, size * sizeof *y);
    for (size_t t = 0; t < n; t++, h += size)
        if (mode == INK_POOLING_MAX)
            kernel->keep_largest(h, size, y);
        else if (mode == INK_POOLING_MEAN)
            kernel->add_share(h, size, 1, (float)total, y);
        else if (mode == INK_POOLING_MEAN_SQRT)
            kernel->add_share(h, size, kernel->inverse_sqrt((float)n), 1, y);
        else if (mode == INK_POOLING_WEIGHTED_MEAN)
            kernel->add_share(h, size, (float)(t + 1), (float)(n * (n + 1) / 2), y);
}

/* Appends row `row` of x to the picked rows. */
static void pick_row(ink_run *r, size_t row, ink_row_target target, size_t *n)
{
    size_t hidden = r->hidden_size;
    memcpy(r->picked + *n * hidden, r->x + row * hidden, hidden * sizeof *r->picked);
    r->targets[(*n)++] = target;
}

/* Picks the requested rows of the pass; returns their number. */
static size_t pick_rows(ink_run *r)
{
    const ink_model *model = r->model;
    size_t hidden = r->hidden_size, width = model->head.weight != NULL ? model->head.weight->n : 0, n = 0;
    if (r->pools)
        ink_head_last_norm(r, r->x, r->rows);
    for (const ink_run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
        const ink_run_item *item = &r->items[part->item];
        if (item->positions != NULL) {
            for (size_t p = 0; p < item->n_positions; p++)
                pick_row(r, part->first + item->positions[p],
                         (ink_row_target){.hidden = item->hidden != NULL ? item->hidden + p * hidden : NULL,
                                          .logits = item->logits != NULL ? item->logits + p * width : NULL,
                                          .item = part->item},
                         &n);
            if (r->pools)
                pool_rows(r->ctx->kernel, model->head.pooling, r->x + part->first * hidden, part->count, part->count,
                          NULL, hidden, r->picked + (n - 1) * hidden);
            continue;
        }
        for (size_t i = 0; i < part->count; i++) {
            size_t left = item->n_tokens - (item->done + i); /* this token and all after it */
            ink_row_target target = {.item = part->item};
            if (left <= item->n_hidden)
                target.hidden = item->hidden + (item->n_hidden - left) * hidden;
            if (left <= item->n_logits)
                target.logits = item->logits + (item->n_logits - left) * width;
            if (target.hidden != NULL || target.logits != NULL)
                pick_row(r, part->first + i, target, &n);
        }
    }
    return n;
}

/* Copies the first `width` columns of rows that are `stride` floats apart. */
static void put_hidden(const ink_run *r, const float *rows, size_t n, size_t stride, size_t width)
{
    for (size_t i = 0; i < n; i++)
        if (r->targets[i].hidden != NULL)
            memcpy(r->targets[i].hidden, rows + i * stride, width * sizeof *rows);
}

/* logits = x W^T + b */
static void output_product(ink_run *r, const float *x, size_t n, float *logits)
{
    const ink_head *head = &r->model->head;
    size_t width = head->weight->n;
    ink_multiply(r->ctx, &(ink_product){.x = x,
                                        .x_stride = head->weight->k,
                                        .m = n,
                                        .w = head->weight,
                                        .bias = head->bias,
                                        .y = logits,
                                        .y_stride = width});
    INK_TRACE(r->ctx, "logits", ink_tensor_2d(logits, n, width));
}

/* Computes the requested logits of the picked rows, without a copy if enough destinations lie side by side. */
static void run_output(ink_run *r, const float *x, size_t n)
{
    const ink_row_target *targets = r->targets;
    size_t hidden = r->hidden_size, width = r->model->head.weight->n;
    for (size_t row = 0, count; row < n; row += count) {
        size_t wanted = 0, together = 1;
        while (row + wanted < n && targets[row + wanted].logits != NULL)
            wanted++;
        while (together < wanted && targets[row + together].logits == targets[row + together - 1].logits + width)
            together++;
        count = ink_size_min(wanted, SCATTERED_ROWS);
        if (wanted == 0) {
            count = 1;
        } else if (together >= count || r->scattered == NULL) {
            count = together;
            output_product(r, x + row * hidden, count, targets[row].logits);
        } else {
            output_product(r, x + row * hidden, count, r->scattered);
            for (size_t i = 0; i < count; i++)
                memcpy(targets[row + i].logits, r->scattered + i * width, width * sizeof(float));
        }
    }
}

/* hidden = norm(x);   logits = W (scale norm(s(W_t hidden + b_t))) + b;   probabilities = softmax(logits) or
 * sigma(logits) */
static void run_head(ink_run *r, size_t n)
{
    ink_context *ctx = r->ctx;
    const ink_model *model = r->model;
    const ink_head *head = &model->head;
    size_t hidden = r->hidden_size;
    float *x = r->picked;
    if (n == 0)
        return;
    if (!r->pools)
        ink_head_last_norm(r, x, n);
    bool wants_logits = false, pooled = r->encoding == INK_POOLED;
    for (size_t i = 0; i < n; i++)
        wants_logits |= r->targets[i].logits != NULL;
    if (!pooled)
        put_hidden(r, x, n, hidden, hidden);
    if (!pooled && !wants_logits)
        return;
    if (head->transform.weight.n != 0) {
        ink_dense_run(ctx, &head->transform, x, hidden, n, r->more);
        x = r->more;
        INK_TRACE(ctx, "head.transform", ink_tensor_2d(x, n, hidden));
    }
    if (pooled) {
        put_hidden(r, x, n, hidden, hidden);
        return;
    }
    if (head->norm.size != 0) {
        ink_norm_run(ctx, &head->norm, x, n, x);
        INK_TRACE(ctx, "norm_f", ink_tensor_2d(x, n, hidden));
    }
    if (head->scale != 0) {
        memset(r->scaled, 0, n * hidden * sizeof *r->scaled);
        ctx->kernel->add_share(x, n * hidden, head->scale, 1, r->scaled);
        x = r->scaled;
    }
    run_output(r, x, n);
    for (size_t i = 0; r->encoding == INK_PROBABILITIES && i < n; i++) {
        float *row = r->targets[i].logits;
        ink_run_note_nonfinite(r, r->targets[i].item, row, head->weight->n);
        if (model->encoder.problem == INK_SINGLE_LABEL)
            ctx->kernel->softmax(row, head->weight->n, 1, false);
        else if (model->encoder.problem == INK_MULTI_LABEL)
            ctx->kernel->activate(INK_SIGMOID, row, head->weight->n, row);
    }
}

/* Computes the embeddings of the texts of the pass: pooled vectors of all modes side by side, then s(W v + b) or
   v / max(|v|, 1e-12) for each step. The first embedding_size columns are the result. */
static void run_sentence(ink_run *r)
{
    const ink_sentence *sentence = &r->model->sentence;
    size_t hidden = r->hidden_size, width = sentence->n_modes * hidden;
    float *y = r->vectors[0], *next = r->vectors[1];
    ink_head_last_norm(r, r->x, r->rows);
    for (size_t i = 0; i < r->n_parts; i++) {
        const ink_run_part *part = &r->parts[i];
        const ink_run_item *item = &r->items[part->item];
        const float *begun = item->done != 0 ? r->begun : NULL;
        for (size_t mode = 0; mode < sentence->n_modes; mode++)
            pool_rows(r->ctx->kernel, sentence->modes[mode], r->x + part->first * hidden, part->count, item->n_tokens,
                      begun, hidden, y + i * width + mode * hidden);
        if (item->done + part->count < item->n_tokens)
            memcpy(r->begun, y + i * width, width * sizeof *y);
    }
    INK_TRACE(r->ctx, "pooled", ink_tensor_2d(y, r->n_parts, width));

    for (size_t s = 0; s < sentence->n_steps; s++) {
        const ink_sentence_step *step = &sentence->steps[s];
        for (size_t i = 0; step->normalise && i < r->n_parts; i++)
            r->ctx->kernel->unit_length(y + i * width, width);
        if (step->normalise)
            continue;
        ink_dense_run(r->ctx, &step->dense, y, width, r->n_parts, next);
        float *done = next;
        next = y;
        y = done;
        width = step->dense.weight.n;
    }
    put_hidden(r, y, r->n_parts, width, r->model->encoder.embedding_size);
}

void ink_head_run(ink_run *r)
{
    size_t hidden = r->hidden_size, picked;
    /* A NaN is looked for in the rows, in logits and in the results, because a tanh, a sigmoid or a maximum behind them
       may hide it. */
    for (size_t i = 0; i < r->n_parts && r->kind == INK_RUN_TEXTS; i++)
        ink_run_note_nonfinite(r, r->parts[i].item, r->x + r->parts[i].first * hidden, r->parts[i].count * hidden);
    picked = pick_rows(r);
    if (r->encoding == INK_EMBEDDING)
        run_sentence(r);
    else
        run_head(r, picked);
}
