/*
 * run.c - the one engine: runs a list of sequences, or of whole texts, through a model.
 *
 * A call first checks all arguments, then allocates its scratch memory; after that nothing can fail. It runs in passes
 * of at most INK_PASS_ROWS rows; a row is a token. A pass has the next tokens of every unfinished sequence, in equal
 * shares, or as many whole texts as fit; a mean of static embeddings may begin in one pass and end in another. So
 * scratch memory does not grow with the prompt, products have many rows, and recurrent networks run many sequences per
 * step. The shares only affect speed, because the result of a sequence does not depend on how it is cut. Each pass is
 *
 *     network    tokens -> x [rows, hidden_size]
 *     pick       copy the requested rows of x side by side, or the mean of the rows of a text
 *     head       hidden = norm(x);   logits = W norm(s(W_t hidden + b_t)) + b;   or the pooled rows of a text
 */
#include <string.h>

#include "networks.h"

/* If the destinations of logits do not lie side by side, this many rows are computed at a time and then copied. */
#define SCATTERED_ROWS ((size_t)16)

/* A sequence or a text of the call, with the destinations of its results: rows of `hidden` for its last n_hidden tokens
   and of `logits` for its last n_logits tokens, or for the tokens at `positions`. */
typedef struct run_item {
    ink_state *state; /* NULL: a text of an encoder, which is not cut */
    const ink_token *tokens, *types;
    size_t n_tokens, done;
    float *hidden, *logits; /* NULL: not requested */
    size_t n_hidden, n_logits;
    const size_t *positions; /* NULL: the last tokens */
    size_t n_positions;
    bool empty; /* a text without tokens, which has not run yet */
} run_item;

/* The next `count` tokens of an item: rows first .. first + count - 1 of the pass. */
typedef struct run_part {
    size_t item;
    ink_state *state;
    const ink_token *tokens, *types;
    size_t first, count;
} run_part;

/* The destinations of the results of a picked row; NULL: not requested. */
typedef struct row_target {
    float *hidden; /* [hidden_size]; for INK_POOLED and INK_EMBEDDING the vector of the text */
    float *logits; /* [vocab_size or labels] */
    size_t item;
} row_target;

/* A call: its arguments and its scratch memory. */
typedef struct run {
    ink_context *ctx;
    const ink_model *model;
    const ink_item *sequences; /* [n_items], or */
    const ink_text *texts;     /* [n_items] */
    ink_encoding encoding;     /* of texts; sequences have INK_HIDDEN_STATES, and perhaps logits too */
    bool of_text;              /* the result of a text is one vector */
    bool pools;                /* which is computed from all of its rows, not from the first or the last */
    bool cuts;                 /* texts are cut, because no row sees another one and only their mean is wanted */
    size_t n_items;
    size_t nonfinite; /* the first text with a NaN or an infinity; SIZE_MAX: none */
    size_t max_rows;  /* of a pass */
    size_t capacity;  /* of the largest state, or the number of tokens of the longest text */

    run_item *items; /* [n_items] */
    run_part *parts; /* [min(n_items, max_rows)] of this pass */
    size_t n_parts, rows;
    float *x;            /* [max_rows, hidden_size] */
    float *more;         /* [max_rows, hidden_size]: position and type embeddings; the output of W_t */
    float *picked;       /* [max_rows, hidden_size]: the requested rows */
    row_target *targets; /* [max_rows] */
    float *scattered;    /* [SCATTERED_ROWS, n_outputs] */
    float *vectors[2];   /* [parts, widest]: pooled vectors, alternating */
    float *begun;        /* [n_modes, hidden_size]: the part of a mean that the next pass completes */

    ink_token *ids;     /* transformer: [max_rows] positions, then types */
    ink_span *spans;    /* [parts] */
    void *kv;           /* encoder: the cache for the keys and values of one text, used by all in turn */
    float *frequencies; /* encoder under rope: [ink_stack_frequencies()], those of one text */
    ink_stack_scratch stack;
    ink_sequence *steps; /* recurrent: [parts] */
    float *embedded;     /* [max_rows, embedding size], window: [max_rows, window_size * embedding size] */
    ink_recurrent_scratch recurrent;
    ink_token *line; /* window: [window_size - 1 + max_rows]: the window, then the tokens of a part */
    ink_mlp_scratch mlp;
} run;

/* Scratch for more items, rows and capacity also suffices for fewer. */
static void run_alloc_scratch(run *r, ink_arena *arena)
{
    const ink_model *model = r->model;
    size_t hidden = model->info.hidden_size, rows = r->max_rows, parts = ink_size_min(r->n_items, rows);
    r->items = ink_arena_alloc(arena, r->n_items, sizeof *r->items);
    r->parts = ink_arena_alloc(arena, parts, sizeof *r->parts);
    r->x = ink_alloc_rows(arena, rows, hidden);
    r->picked = ink_alloc_rows(arena, rows, hidden);
    if (model->network == INK_NETWORK_TRANSFORMER || model->head.transform.weight.n != 0)
        r->more = ink_alloc_rows(arena, rows, hidden);
    r->targets = ink_arena_alloc(arena, rows, sizeof *r->targets);
    if (r->n_items > 1 && model->head.weight != NULL)
        r->scattered = ink_alloc_rows(arena, ink_size_min(rows, SCATTERED_ROWS), model->head.weight->n);
    if (model->sentence.n_modes != 0) {
        size_t widest = model->sentence.n_modes * hidden;
        for (size_t i = 0; i < model->sentence.n_steps; i++)
            widest = ink_size_max(widest, model->sentence.steps[i].dense.weight.n);
        r->vectors[0] = ink_alloc_rows(arena, parts, widest);
        r->vectors[1] = ink_alloc_rows(arena, parts, widest);
        r->begun = ink_alloc_rows(arena, 1, model->sentence.n_modes * hidden);
    }
    switch (model->network) {
    case INK_NETWORK_TRANSFORMER: {
        const ink_transformer_net *net = &model->transformer;
        r->ids = ink_arena_alloc(arena, rows, sizeof *r->ids);
        r->spans = ink_arena_alloc(arena, parts, sizeof *r->spans);
        if (model->is_encoder)
            r->frequencies = ink_alloc_rows(arena, 1, ink_stack_frequencies(&net->stack.config));
        if (net->stack.config.n_blocks == 0)
            break;
        if (model->is_encoder)
            r->kv = ink_arena_alloc(arena, ink_kv_cache_bytes(&net->stack.config.attention[0], r->capacity), 1);
        ink_stack_alloc_scratch(arena, &net->stack.config, r->capacity, rows, &r->stack);
        break;
    }
    case INK_NETWORK_RECURRENT:
        r->steps = ink_arena_alloc(arena, parts, sizeof *r->steps);
        r->embedded = ink_alloc_rows(arena, rows, model->embedding.table.k);
        ink_recurrent_alloc_scratch(arena, &model->recurrent, parts, rows, &r->recurrent);
        break;
    case INK_NETWORK_WINDOW:
        r->line = ink_arena_alloc(arena, model->window.window_size - 1 + rows, sizeof *r->line);
        r->embedded = ink_alloc_rows(arena, rows, model->window.window_size * model->embedding.table.k);
        ink_mlp_alloc_scratch(arena, &model->window.mlp, rows, &r->mlp);
        break;
    }
}

/* ---- networks: x [rows, hidden_size] from the tokens of the parts ----------------------------------------------- */

static void run_transformer(run *r)
{
    ink_context *ctx = r->ctx;
    const ink_transformer_net *net = &r->model->transformer;
    size_t hidden = r->model->info.hidden_size, size = r->rows * hidden;

    /* x = scale token[w] (+ position[p]) (+ type[s]) */
    for (const run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
        size_t before = part->state != NULL ? part->state->length : 0;
        ink_token next = (ink_token)(net->first_position + before), *ids = r->ids + part->first;
        for (size_t t = 0; net->token_rows != NULL && t < part->count; t++)
            ids[t] = net->token_rows[part->tokens[t]];
        ink_embedding_run(&r->model->embedding, net->token_rows != NULL ? ids : part->tokens, part->count,
                          r->x + part->first * hidden);
        for (size_t t = 0; t < part->count; t++)
            r->ids[part->first + t] = net->padding >= 0 && part->tokens[t] == net->padding ? net->padding : next++;
        const ink_stack_config *stack = &net->stack.config;
        float scales[INK_STACK_ROPES];
        const float *frequencies = r->frequencies, *with = scales;
        if (part->state == NULL) {
            ink_stack_fill_frequencies(ctx->kernel, stack, part->count, r->frequencies, scales);
        } else {
            frequencies = part->state->frequencies;
            with = part->state->rope_scales;
        }
        ink_stack_fill_angles(ctx->kernel, stack, frequencies, with, before, part->first, part->count, &r->stack);
    }
    if (net->token_scale != 0 || net->token_weights != NULL) {
        memcpy(r->more, r->x, size * sizeof *r->x);
        memset(r->x, 0, size * sizeof *r->x);
        for (const run_part *part = r->parts; part < r->parts + r->n_parts; part++)
            for (size_t t = 0, row = part->first * hidden; t < part->count; t++, row += hidden) {
                float scale = net->token_weights != NULL ? net->token_weights[part->tokens[t]] : net->token_scale;
                ctx->kernel->add_share(r->more + row, hidden, scale, 1, r->x + row);
            }
    }
    if (net->max_positions != 0) {
        ink_embedding_run(&net->positions, r->ids, r->rows, r->more);
        ctx->kernel->add(r->more, size, r->x);
    }
    if (net->n_types != 0) {
        memset(r->ids, 0, r->rows * sizeof *r->ids);
        for (const run_part *part = r->parts; part < r->parts + r->n_parts; part++)
            if (part->types != NULL)
                memcpy(r->ids + part->first, part->types, part->count * sizeof *r->ids);
        ink_embedding_run(&net->types, r->ids, r->rows, r->more);
        ctx->kernel->add(r->more, size, r->x);
    }
    if (net->embedding_norm.size != 0)
        ink_norm_run(ctx, &net->embedding_norm, r->x, r->rows, r->x);
    INK_TRACE(ctx, "embedding", ink_tensor_2d(r->x, r->rows, hidden));

    /* x = the stack of blocks (x), over the caches of the states; texts use one cache in turn. */
    for (size_t i = 0; i < r->n_parts; i++) {
        const run_part *part = &r->parts[i];
        r->spans[i] = (ink_span){.kv = r->kv, .capacity = r->capacity, .first = part->first, .count = part->count};
        if (part->state != NULL)
            r->spans[i] = (ink_span){.kv = part->state->kv,
                                     .kv_stride = part->state->kv_stride,
                                     .capacity = part->state->capacity,
                                     .before = part->state->length,
                                     .first = part->first,
                                     .count = part->count};
    }
    ink_stack_run(ctx, &net->stack, "h", &r->stack, r->spans, r->n_parts, r->x, r->rows);
}

/* h_t = cell(e(w_t), h_{t-1}) */
static void run_recurrent(run *r)
{
    ink_context *ctx = r->ctx;
    size_t width = r->model->embedding.table.k;
    for (size_t i = 0; i < r->n_parts; i++) {
        const run_part *part = &r->parts[i];
        float *embedded = r->embedded + part->first * width;
        ink_embedding_run(&r->model->embedding, part->tokens, part->count, embedded);
        r->steps[i] = (ink_sequence){.x = embedded,
                                     .y = r->x + part->first * r->model->info.hidden_size,
                                     .n_steps = part->count,
                                     .state = part->state->recurrent};
    }
    INK_TRACE(ctx, "embedding", ink_tensor_2d(r->embedded, r->rows, width));
    size_t scope = ink_trace_enter(ctx, "rnn.");
    ink_recurrent_run(ctx, &r->model->recurrent, &r->recurrent, r->steps, r->n_parts);
    ink_trace_leave(ctx, scope);
}

/* h = MLP(e(w_{t-W+1}), ..., e(w_t)). Token i of a part sees line[i] .. line[i + W - 1]. The last W - 1 tokens of the
   line become the window of the next part. */
static void run_window(run *r)
{
    ink_context *ctx = r->ctx;
    size_t window = r->model->window.window_size, past = (window - 1) * sizeof(ink_token);
    size_t width = window * r->model->embedding.table.k;
    for (const run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
        memcpy(r->line, part->state->window, past);
        memcpy(r->line + window - 1, part->tokens, part->count * sizeof *r->line);
        for (size_t i = 0; i < part->count; i++)
            ink_embedding_run(&r->model->embedding, r->line + i, window, r->embedded + (part->first + i) * width);
        memcpy(part->state->window, r->line + part->count, past);
    }
    INK_TRACE(ctx, "embedding", ink_tensor_2d(r->embedded, r->rows, width));
    size_t scope = ink_trace_enter(ctx, "mlp.");
    ink_mlp_run(ctx, &r->model->window.mlp, &r->mlp, r->embedded, r->rows, r->x);
    ink_trace_leave(ctx, scope);
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

/* The norm behind the last block, if the network has one. */
static void run_last_norm(run *r, float *x, size_t n)
{
    const ink_norm *norm = &r->model->transformer.stack.norm;
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
static void pick_row(run *r, size_t row, row_target target, size_t *n)
{
    size_t hidden = r->model->info.hidden_size;
    memcpy(r->picked + *n * hidden, r->x + row * hidden, hidden * sizeof *r->picked);
    r->targets[(*n)++] = target;
}

/* Picks the requested rows of the pass; returns their number. */
static size_t pick_rows(run *r)
{
    const ink_model *model = r->model;
    size_t hidden = model->info.hidden_size, width = model->head.weight != NULL ? model->head.weight->n : 0, n = 0;
    if (r->pools)
        run_last_norm(r, r->x, r->rows);
    for (const run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
        const run_item *item = &r->items[part->item];
        if (item->positions != NULL) {
            for (size_t p = 0; p < item->n_positions; p++)
                pick_row(r, part->first + item->positions[p],
                         (row_target){.hidden = item->hidden != NULL ? item->hidden + p * hidden : NULL,
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
            row_target target = {.item = part->item};
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
static void put_hidden(const run *r, const float *rows, size_t n, size_t stride, size_t width)
{
    for (size_t i = 0; i < n; i++)
        if (r->targets[i].hidden != NULL)
            memcpy(r->targets[i].hidden, rows + i * stride, width * sizeof *rows);
}

/* logits = x W^T + b */
static void output_product(run *r, const float *x, size_t n, float *logits)
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
static void run_output(run *r, const float *x, size_t n)
{
    const row_target *targets = r->targets;
    size_t hidden = r->model->info.hidden_size, width = r->model->head.weight->n;
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

/* Remembers the first text with a value that is not finite. It is looked for in the rows, in logits and in the results,
   because a tanh, a sigmoid or a maximum behind them may hide it. */
static void note_nonfinite(run *r, size_t item, const float *x, size_t n)
{
    if (!r->ctx->kernel->all_finite(x, n))
        r->nonfinite = ink_size_min(r->nonfinite, item);
}

/* hidden = norm(x);   logits = W norm(s(W_t hidden + b_t)) + b;   probabilities = softmax(logits) or sigma(logits) */
static void run_head(run *r, size_t n)
{
    ink_context *ctx = r->ctx;
    const ink_model *model = r->model;
    const ink_head *head = &model->head;
    size_t hidden = model->info.hidden_size;
    float *x = r->picked;
    if (n == 0)
        return;
    if (!r->pools)
        run_last_norm(r, x, n);
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
    run_output(r, x, n);
    for (size_t i = 0; r->encoding == INK_PROBABILITIES && i < n; i++) {
        float *row = r->targets[i].logits;
        note_nonfinite(r, r->targets[i].item, row, head->weight->n);
        if (model->encoder.problem == INK_SINGLE_LABEL)
            ctx->kernel->softmax(row, head->weight->n, 1, false);
        else if (model->encoder.problem == INK_MULTI_LABEL)
            ctx->kernel->activate(INK_SIGMOID, row, head->weight->n, row);
    }
}

/* Computes the embeddings of the texts of the pass: pooled vectors of all modes side by side, then s(W v + b) or
   v / max(|v|, 1e-12) for each step. The first embedding_size columns are the result. */
static void run_sentence(run *r)
{
    const ink_sentence *sentence = &r->model->sentence;
    size_t hidden = r->model->info.hidden_size, width = sentence->n_modes * hidden;
    float *y = r->vectors[0], *next = r->vectors[1];
    run_last_norm(r, r->x, r->rows);
    for (size_t i = 0; i < r->n_parts; i++) {
        const run_part *part = &r->parts[i];
        const run_item *item = &r->items[part->item];
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

/* ---- items ------------------------------------------------------------------------------------------------------ */

static run_item item_of_sequence(const ink_item *item)
{
    return (run_item){.state = item->state,
                      .tokens = item->tokens,
                      .n_tokens = item->n_tokens,
                      .hidden = item->n_hidden > 0 ? item->hidden : NULL,
                      .n_hidden = item->n_hidden,
                      .logits = item->n_logits > 0 ? item->logits : NULL,
                      .n_logits = item->n_logits};
}

static run_item item_of_text(const run *r, const ink_text *text)
{
    static const size_t first_row = 0; /* stands for the text where the result is one vector */
    static const ink_token nothing = 0;
    const ink_head *head = &r->model->head;
    bool is_logits = r->encoding == INK_LOGITS || r->encoding == INK_PROBABILITIES;
    run_item item = {.tokens = text->n_tokens != 0 ? text->tokens : &nothing,
                     .types = text->types,
                     .n_tokens = text->n_tokens,
                     .hidden = is_logits ? NULL : text->output,
                     .n_hidden = is_logits ? 0 : text->n_tokens,
                     .logits = is_logits ? text->output : NULL,
                     .n_logits = is_logits ? text->n_tokens : 0,
                     .positions = text->positions,
                     .n_positions = text->n_positions,
                     .empty = text->n_tokens == 0};
    if (r->of_text && head->pooling == INK_POOLING_LAST) { /* padding is no part of the text, so it is not run */
        while (item.n_tokens > 1 && text->tokens[item.n_tokens - 1] == head->padding)
            item.n_tokens--;
        item.n_logits = 1;
        item.positions = NULL;
    } else if (r->of_text) {
        item.positions = &first_row;
        item.n_positions = 1;
    }
    return item;
}

/* ---- passes ----------------------------------------------------------------------------------------------------- */

/* Plans the next pass: a part of every item with tokens left, in equal shares; or as many texts as fit, whole or, if
   they may be cut, one after the other. Returns false if nothing is left. */
static bool plan_pass(run *r)
{
    size_t waiting = 0;
    r->n_parts = r->rows = 0;
    for (size_t i = 0; i < r->n_items; i++)
        waiting += r->items[i].done < r->items[i].n_tokens;
    size_t most = ink_size_min(r->n_items, r->max_rows);
    for (size_t i = 0; i < r->n_items && r->rows < r->max_rows && r->n_parts < most; i++) {
        const run_item *item = &r->items[i];
        size_t left = item->n_tokens - item->done, room = r->max_rows - r->rows;
        if (left == 0 && !item->empty)
            continue;
        bool is_text = item->state == NULL;
        if (is_text && left > room && !r->cuts)
            break;
        size_t count = ink_size_min(is_text ? room : (room + waiting - 1) / waiting, left);
        r->parts[r->n_parts++] = (run_part){.item = i,
                                            .state = item->state,
                                            .tokens = item->tokens + item->done,
                                            .types = item->types,
                                            .first = r->rows,
                                            .count = count};
        r->rows += count;
        waiting--;
    }
    return r->n_parts > 0;
}

/* Runs the checked list of r, or only allocates the scratch memory for such lists. */
static ink_result run_list(run *r, bool reserve)
{
    ink_call call;
    size_t hidden = r->model->info.hidden_size;
    ink_call_begin(&call, r->ctx, reserve);
    run_alloc_scratch(r, call.arena);
    if (!ink_call_ready(&call))
        return ink_call_end(&call);

    ink_pooling pooling = r->model->head.pooling;
    bool is_logits = r->encoding == INK_LOGITS || r->encoding == INK_PROBABILITIES;
    r->of_text = r->encoding == INK_POOLED || r->encoding == INK_EMBEDDING ||
                 (is_logits && r->model->encoder.task == INK_TASK_CLASSIFY_TEXT);
    r->pools = r->of_text && r->encoding != INK_EMBEDDING && pooling != INK_POOLING_NONE &&
               pooling != INK_POOLING_CLS && pooling != INK_POOLING_LAST;
    r->nonfinite = SIZE_MAX;
    for (size_t i = 0; i < r->n_items; i++)
        r->items[i] = r->texts != NULL ? item_of_text(r, &r->texts[i]) : item_of_sequence(&r->sequences[i]);
    while (plan_pass(r)) {
        if (r->model->network == INK_NETWORK_TRANSFORMER)
            run_transformer(r);
        else if (r->model->network == INK_NETWORK_RECURRENT)
            run_recurrent(r);
        else
            run_window(r);
        for (size_t i = 0; i < r->n_parts && r->texts != NULL; i++)
            note_nonfinite(r, r->parts[i].item, r->x + r->parts[i].first * hidden, r->parts[i].count * hidden);

        size_t picked = pick_rows(r);
        if (r->encoding == INK_EMBEDDING)
            run_sentence(r);
        else
            run_head(r, picked);
        for (const run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
            r->items[part->item].done += part->count;
            r->items[part->item].empty = false;
            if (part->state != NULL)
                part->state->length += part->count;
        }
    }
    for (size_t i = 0; i < r->n_items && r->texts != NULL; i++) {
        const run_item *item = &r->items[i];
        size_t rows = item->positions != NULL ? item->n_positions : item->n_hidden + item->n_logits;
        note_nonfinite(r, i, r->texts[i].output, rows * ink_model_encoding_size(r->model, r->encoding));
    }
    INK_TRY(ink_call_end(&call));
    if (r->nonfinite != SIZE_MAX)
        return ink_fail(r->ctx, INK_ERROR_NONFINITE, "text %zu: the model computes a NaN or an infinity for it",
                        r->nonfinite);
    return INK_OK;
}

/* ---- sequences with states -------------------------------------------------------------------------------------- */

static ink_result check_item(ink_context *ctx, const ink_model *model, const ink_item *item, size_t i)
{
    const ink_state *state = item->state;
    if (state == NULL || state->model != model)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: its state is %s", i,
                        state == NULL ? "NULL" : "one of another model");
    if (item->n_tokens == 0 || item->tokens == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: there are no tokens to run", i);
    if (item->n_logits > item->n_tokens)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: the logits of %zu tokens are requested, but it has %zu", i,
                        item->n_logits, item->n_tokens);
    if (item->n_logits > 0 && item->logits == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: logits are requested, but there is no place for them", i);
    if (item->n_hidden > item->n_tokens)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "item %zu: the hidden vectors of %zu tokens are requested, but it has %zu", i, item->n_hidden,
                        item->n_tokens);
    if (item->n_hidden > 0 && item->hidden == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "item %zu: hidden vectors are requested, but there is no place for them", i);
    if (item->n_tokens > state->capacity - state->length)
        return ink_fail(ctx, INK_ERROR_LIMIT, "item %zu: %zu tokens after %zu do not fit: the state has room for %zu",
                        i, item->n_tokens, state->length, state->capacity);
    for (size_t t = 0; t < item->n_tokens; t++)
        if (item->tokens[t] < 0 || (size_t)item->tokens[t] >= model->info.vocab_size)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: token %zu is %d, but the vocabulary has %zu tokens", i,
                            t, (int)item->tokens[t], model->info.vocab_size);
    return INK_OK;
}

ink_result ink_model_forward_list(ink_context *ctx, const ink_model *model, const ink_item *items, size_t n_items)
{
    INK_REQUIRE(ctx, model);
    if (n_items == 0)
        return INK_OK;
    INK_TRY(ink_model_require_states(ctx, model));
    INK_REQUIRE(ctx, items);
    run r = {.ctx = ctx, .model = model, .sequences = items, .encoding = INK_HIDDEN_STATES, .n_items = n_items};
    for (size_t i = 0; i < n_items; i++) {
        INK_TRY(check_item(ctx, model, &items[i], i));
        r.max_rows += ink_size_min(items[i].n_tokens, INK_PASS_ROWS - r.max_rows);
        r.capacity = ink_size_max(r.capacity, items[i].state->capacity);
    }
    /* Finds a state that is in the list twice: marks each state, then removes all marks. */
    size_t n = 0;
    for (; n < n_items && !items[n].state->listed; n++)
        items[n].state->listed = true;
    for (size_t i = 0; i < n; i++)
        items[i].state->listed = false;
    if (n < n_items)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: its state is in the list twice", n);
    return run_list(&r, false);
}

ink_result ink_model_forward(ink_context *ctx, const ink_model *model, ink_state *state, const ink_token *tokens,
                             size_t n_tokens, float *logits)
{
    const ink_item item = {.state = state,
                           .tokens = tokens,
                           .n_tokens = n_tokens,
                           .logits = logits,
                           .n_logits = logits != NULL && n_tokens > 0};
    return ink_model_forward_list(ctx, model, &item, 1);
}

ink_result ink_context_reserve(ink_context *ctx, const ink_model *model, size_t n_items, size_t n_tokens,
                               size_t capacity)
{
    INK_REQUIRE(ctx, model);
    INK_TRY(ink_model_require_states(ctx, model));
    size_t most = model->info.context_length;
    if (most != 0 && (capacity == 0 || capacity > most))
        capacity = most;
    run r = {.ctx = ctx,
             .model = model,
             .n_items = n_items,
             .max_rows = ink_size_min(n_tokens, INK_PASS_ROWS),
             .capacity = capacity};
    return run_list(&r, true);
}

/* ---- texts of encoders ------------------------------------------------------------------------------------------ */

ink_result ink_model_require_encoder(ink_context *ctx, const ink_model *model)
{
    if (!model->is_encoder)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "a %s model is not an encoder: use ink_model_forward() with a state", model->info.kind);
    return INK_OK;
}

ink_result ink_model_check_ids(ink_context *ctx, size_t i, const char *what, const ink_token *ids, size_t n, size_t end)
{
    for (size_t t = 0; t < n; t++)
        if (ids[t] < 0 || (size_t)ids[t] >= end)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: %s %zu is %d, expected 0 to %zu", i, what, t,
                            (int)ids[t], end - 1);
    return INK_OK;
}

static size_t longest_text(const ink_model *model)
{
    return model->info.context_length != 0 ? model->info.context_length : SIZE_MAX;
}

static ink_result check_text(ink_context *ctx, const ink_model *model, ink_encoding encoding, const ink_text *text,
                             size_t i)
{
    bool may_be_empty = model->transformer.stack.config.n_blocks == 0 && encoding == INK_EMBEDDING;
    if (text->n_tokens == 0 ? !may_be_empty : text->tokens == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: there are no tokens to encode", i);
    if (text->n_tokens > longest_text(model))
        return ink_fail(ctx, INK_ERROR_LIMIT, "text %zu: it has %zu tokens, but this model allows %zu", i,
                        text->n_tokens, model->info.context_length);
    if (text->output == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: there is no place for its output", i);
    INK_TRY(ink_model_check_ids(ctx, i, "token", text->tokens, text->n_tokens, model->info.vocab_size));
    if (text->types != NULL)
        INK_TRY(
            ink_model_check_ids(ctx, i, "type", text->types, text->n_tokens, ink_size_max(model->encoder.n_types, 1)));
    if (text->positions == NULL)
        return INK_OK;
    if (text->n_positions > text->n_tokens)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: %zu positions are requested, but it has %zu tokens", i,
                        text->n_positions, text->n_tokens);
    for (size_t p = 0; p < text->n_positions; p++)
        if (text->positions[p] >= text->n_tokens)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: position %zu is requested, but it has %zu tokens", i,
                            text->positions[p], text->n_tokens);
    return INK_OK;
}

ink_result ink_model_encode(ink_context *ctx, const ink_model *model, ink_encoding encoding, const ink_text *texts,
                            size_t n_texts)
{
    static const char *const missing[INK_N_ENCODINGS] = {
        [INK_POOLED] = "has no pooler",
        [INK_EMBEDDING] = "gives no embedding: its folder has no modules.json, and it was opened without a pooling",
        [INK_LOGITS] = "has no head for logits",
        [INK_PROBABILITIES] = "has no head for probabilities",
    };
    INK_REQUIRE(ctx, model);
    INK_TRY(ink_model_require_encoder(ctx, model));
    if ((unsigned)encoding >= INK_N_ENCODINGS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_model_encode: there is no encoding %d", (int)encoding);
    if (ink_model_encoding_size(model, encoding) == 0)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "this %s model %s", model->info.kind,
                        model->encoder.task == INK_TASK_ANSWER && encoding == INK_PROBABILITIES
                            ? "gives logits for the start and the end of an answer, whose probability is that of both"
                            : missing[encoding]);
    if (n_texts == 0)
        return INK_OK;
    INK_REQUIRE(ctx, texts);
    run r = {.ctx = ctx, .model = model, .texts = texts, .encoding = encoding, .n_items = n_texts};
    size_t n_tokens = 0;
    for (size_t i = 0; i < n_texts; i++) {
        INK_TRY(check_text(ctx, model, encoding, &texts[i], i));
        if (!ink_size_add(n_tokens, texts[i].n_tokens, &n_tokens))
            n_tokens = SIZE_MAX;
        r.capacity = ink_size_max(r.capacity, texts[i].n_tokens);
    }
    r.cuts = model->transformer.stack.config.n_blocks == 0 && encoding == INK_EMBEDDING;
    r.max_rows = ink_size_min(ink_size_max(n_tokens, 1), ink_size_max(r.cuts ? 0 : r.capacity, INK_PASS_ROWS));
    return run_list(&r, false);
}

ink_result ink_model_encode_reserve(ink_context *ctx, const ink_model *model, size_t n_texts, size_t n_tokens,
                                    size_t max_tokens)
{
    INK_REQUIRE(ctx, model);
    INK_TRY(ink_model_require_encoder(ctx, model));
    if (max_tokens == 0 || max_tokens > longest_text(model))
        max_tokens = longest_text(model);
    size_t longest = ink_size_min(max_tokens, n_tokens);
    run r = {.ctx = ctx,
             .model = model,
             .n_items = n_texts,
             .max_rows = ink_size_min(ink_size_max(n_tokens, 1), ink_size_max(longest, INK_PASS_ROWS)),
             .capacity = longest};
    return run_list(&r, true);
}
