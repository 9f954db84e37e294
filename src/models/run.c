/*
 * run.c - the one engine: runs a list of sequences, of texts or of sources through a model.
 *
 * A call first checks all arguments, then allocates its scratch memory; after that nothing can fail. It runs in passes
 * of at most INK_PASS_ROWS rows; a row is a token. A pass has the next tokens of every unfinished sequence, in equal
 * shares, or as many whole texts as fit; a mean of static embeddings may begin in one pass and end in another. So
 * scratch memory does not grow with the prompt, products have many rows, and recurrent networks run many sequences per
 * step. The shares only affect speed, because the result of a sequence does not depend on how it is cut. Each pass is
 *
 *     network    tokens -> x [rows, hidden_size]
 *     head       the requested rows of x -> hidden vectors, logits, the vector of a text         (head.c)
 *     or keep    all rows of a source -> the keys and values of every block of the decoder       (encoder_decoder.c)
 */
#include <string.h>

#include "run.h"

/* Scratch for more items, rows and capacity also suffices for fewer. */
static void run_alloc_scratch(ink_run *r, ink_arena *arena)
{
    const ink_model *model = r->model;
    size_t hidden = r->hidden_size, rows = r->max_rows, parts = ink_size_min(r->n_items, rows);
    bool whole = r->kind != INK_RUN_SEQUENCES;
    r->items = ink_arena_alloc(arena, r->n_items, sizeof *r->items);
    r->parts = ink_arena_alloc(arena, parts, sizeof *r->parts);
    r->x = ink_alloc_rows(arena, rows, hidden);
    if (r->network == INK_NETWORK_TRANSFORMER || model->head.transform.weight.n != 0)
        r->more = ink_alloc_rows(arena, rows, hidden);
    switch (r->network) {
    case INK_NETWORK_TRANSFORMER: {
        const ink_stack_config *stack = &r->transformer->stack.config;
        r->ids = ink_arena_alloc(arena, rows, sizeof *r->ids);
        r->spans = ink_arena_alloc(arena, parts, sizeof *r->spans);
        if (whole)
            r->frequencies = ink_alloc_rows(arena, 1, ink_stack_frequencies(stack));
        if (stack->n_blocks == 0)
            break;
        if (whole)
            r->kv = ink_arena_alloc(arena, ink_kv_cache_bytes(&stack->attention[0], r->capacity, INK_F32), 1);
        ink_stack_alloc_scratch(arena, stack, r->capacity, rows, &r->stack);
        break;
    }
    case INK_NETWORK_RECURRENT:
        r->steps = ink_arena_alloc(arena, parts, sizeof *r->steps);
        r->embedded = ink_alloc_rows(arena, rows, r->embedding->table.k);
        ink_recurrent_alloc_scratch(arena, r->recurrent, parts, rows, &r->recurrent_scratch);
        if (whole)
            r->states = ink_alloc_rows(arena, parts, ink_recurrent_state_size(r->recurrent));
        if (r->decoder->context != INK_CONTEXT_NONE)
            r->contexts = ink_alloc_rows(arena, rows, model->encoder_decoder.source_size);
        if (r->decoder->input.n > 1 || r->decoder->input.parts[0] != INK_STEP_EMBEDDING)
            r->inputs = ink_alloc_rows(arena, rows, r->recurrent->in);
        if (r->decoder->output.n > 1 || r->decoder->output.parts[0] != INK_STEP_HIDDEN)
            r->outputs = ink_alloc_rows(arena, rows, r->recurrent->h_size);
        if (r->decoder->context == INK_CONTEXT_ADDITIVE) {
            r->attending = ink_arena_alloc(arena, parts, sizeof *r->attending);
            ink_additive_alloc_scratch(arena, &r->decoder->attention, parts, r->capacity, &r->additive);
        }
        break;
    case INK_NETWORK_WINDOW:
        r->line = ink_arena_alloc(arena, model->window.window_size - 1 + rows, sizeof *r->line);
        r->embedded = ink_alloc_rows(arena, rows, model->window.window_size * r->embedding->table.k);
        ink_mlp_alloc_scratch(arena, &model->window.mlp, rows, &r->mlp);
        break;
    }
    if (r->kind == INK_RUN_SOURCES)
        ink_encoded_alloc_scratch(r, arena);
    else
        ink_head_alloc_scratch(r, arena);
}

/* ---- networks: x [rows, hidden_size] from the tokens of the parts ----------------------------------------------- */

static void run_transformer(ink_run *r)
{
    ink_context *ctx = r->ctx;
    const ink_transformer_net *net = r->transformer;
    size_t hidden = r->hidden_size, size = r->rows * hidden;

    /* x = scale token[w] (+ position[p]) (+ type[s]) */
    for (const ink_run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
        size_t before = part->state != NULL ? part->state->length : 0;
        ink_token next = (ink_token)(net->first_position + before), *ids = r->ids + part->first;
        for (size_t t = 0; net->token_rows != NULL && t < part->count; t++)
            ids[t] = net->token_rows[part->tokens[t]];
        ink_embedding_run(r->embedding, net->token_rows != NULL ? ids : part->tokens, part->count,
                          r->x + part->first * hidden);
        for (size_t t = 0; t < part->count; t++) {
            bool padding = net->padding >= 0 && part->tokens[t] == net->padding;
            r->ids[part->first + t] = padding ? net->padding : next;
            next += !padding || part->state != NULL; /* a state counts it, as it does when it comes alone */
        }
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
        for (const ink_run_part *part = r->parts; part < r->parts + r->n_parts; part++)
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
        for (const ink_run_part *part = r->parts; part < r->parts + r->n_parts; part++)
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
        const ink_run_part *part = &r->parts[i];
        r->spans[i] = (ink_span){.kv = r->kv, .capacity = r->capacity, .first = part->first, .count = part->count};
        if (part->state == NULL)
            continue;
        r->spans[i].kv = part->state->kv;
        r->spans[i].kv_stride = part->state->kv_stride;
        r->spans[i].capacity = part->state->capacity;
        r->spans[i].type = part->state->cache;
        r->spans[i].before = part->state->length;
        const ink_encoded *source = part->state->source;
        if (source == NULL)
            continue;
        r->spans[i].cross = source->kv;
        r->spans[i].cross_stride = source->kv_stride;
        r->spans[i].cross_capacity = source->capacity;
        r->spans[i].cross_length = source->length;
    }
    ink_stack_run(ctx, &net->stack, "h", &r->stack, r->spans, r->n_parts, r->x, r->rows);
}

/* Rows first .. first + count - 1 of y: the parts of a row side by side. */
static void join_parts(const ink_run *r, const ink_step_row *row, size_t first, size_t count, float *y)
{
    for (size_t t = first; t < first + count; t++)
        for (size_t i = 0; i < row->n; i++) {
            size_t size = ink_step_row_size(r->model, &(ink_step_row){.n = 1, .parts = {row->parts[i]}});
            const float *rows = row->parts[i] == INK_STEP_HIDDEN      ? r->outputs
                                : row->parts[i] == INK_STEP_EMBEDDING ? r->embedded
                                                                      : r->contexts;
            memcpy(y, rows + t * size, size * sizeof *y);
            y += size;
        }
}

/* h_t = cell(x_t, h_{t-1}), and the row is y_t. In a language model or an encoder x_t = e(w_t) and y_t = h_t. In a
   decoder x_t = [e(w_t); c_t] and y_t = [h_t; c_t; e(w_t)], or some of these parts. With attention c_t depends on
   h_{t-1}, so it runs step by step. */
static void run_recurrent(ink_run *r)
{
    ink_context *ctx = r->ctx;
    const ink_recurrent *net = r->recurrent;
    const ink_recurrent_decoder *decoder = r->decoder;
    size_t embedding = r->embedding->table.k, context = r->model->encoder_decoder.source_size;
    size_t state_size = ink_recurrent_state_size(net), out = net->h_size * net->n_directions, n_steps = 1;
    bool attends = decoder->context == INK_CONTEXT_ADDITIVE;
    float *x = r->inputs != NULL ? r->inputs : r->embedded, *y = r->outputs != NULL ? r->outputs : r->x;
    for (const ink_run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
        ink_embedding_run(r->embedding, part->tokens, part->count, r->embedded + part->first * embedding);
        for (size_t t = 0; decoder->context == INK_CONTEXT_FINAL && t < part->count; t++)
            memcpy(r->contexts + (part->first + t) * context, part->state->source->last, context * sizeof(float));
        if (attends)
            n_steps = ink_size_max(n_steps, part->count);
    }
    if (decoder->embedding_activation != INK_IDENTITY)
        ink_activate_run(ctx, decoder->embedding_activation, r->embedded, r->rows * embedding, r->embedded);
    if (r->states != NULL)
        memset(r->states, 0, r->n_parts * state_size * sizeof *r->states);
    INK_TRACE(ctx, "embedding", ink_tensor_2d(r->embedded, r->rows, embedding));
    if (decoder->context == INK_CONTEXT_FINAL)
        INK_TRACE(ctx, "context", ink_tensor_2d(r->contexts, r->rows, context));

    for (size_t t = 0; t < n_steps; t++) {
        size_t n = 0;
        for (size_t i = 0; i < r->n_parts; i++) {
            const ink_run_part *part = &r->parts[i];
            if (t >= part->count)
                continue;
            size_t row = part->first + t;
            float *state = part->state != NULL ? part->state->recurrent : r->states + i * state_size;
            r->steps[n] = (ink_sequence){
                .x = x + row * net->in, .y = y + row * out, .n_steps = attends ? 1 : part->count, .state = state};
            if (attends)
                r->attending[n] = (ink_additive_item){.source = &part->state->source->rows,
                                                      .h = state + (net->n_layers - 1) * net->h_size,
                                                      .context = r->contexts + row * context};
            n++;
        }
        if (attends)
            ink_additive_run(ctx, &decoder->attention, &r->additive, r->attending, n);
        for (size_t i = 0; i < n && r->inputs != NULL; i++) {
            size_t row = (size_t)(r->steps[i].x - x) / net->in;
            join_parts(r, &decoder->input, row, r->steps[i].n_steps, x + row * net->in);
        }
        size_t scope = ink_trace_enter(ctx, "rnn.");
        ink_recurrent_run(ctx, net, &r->recurrent_scratch, r->steps, n);
        ink_trace_leave(ctx, scope);
    }
    if (r->outputs != NULL)
        join_parts(r, &decoder->output, 0, r->rows, r->x);
}

/* h = MLP(e(w_{t-W+1}), ..., e(w_t)). Token i of a part sees line[i] .. line[i + W - 1]. The last W - 1 tokens of the
   line become the window of the next part. */
static void run_window(ink_run *r)
{
    ink_context *ctx = r->ctx;
    size_t window = r->model->window.window_size, past = (window - 1) * sizeof(ink_token);
    size_t width = window * r->embedding->table.k;
    for (const ink_run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
        memcpy(r->line, part->state->window, past);
        memcpy(r->line + window - 1, part->tokens, part->count * sizeof *r->line);
        for (size_t i = 0; i < part->count; i++)
            ink_embedding_run(r->embedding, r->line + i, window, r->embedded + (part->first + i) * width);
        memcpy(part->state->window, r->line + part->count, past);
    }
    INK_TRACE(ctx, "embedding", ink_tensor_2d(r->embedded, r->rows, width));
    size_t scope = ink_trace_enter(ctx, "mlp.");
    ink_mlp_run(ctx, &r->model->window.mlp, &r->mlp, r->embedded, r->rows, r->x);
    ink_trace_leave(ctx, scope);
}

/* ---- passes ----------------------------------------------------------------------------------------------------- */

/* Plans the next pass: a part of every item with tokens left, in equal shares; or as many texts as fit, whole or, if
   they may be cut, one after the other. Returns false if nothing is left. */
static bool plan_pass(ink_run *r)
{
    size_t waiting = 0;
    r->n_parts = r->rows = 0;
    for (size_t i = 0; i < r->n_items; i++)
        waiting += r->items[i].done < r->items[i].n_tokens;
    size_t most = ink_size_min(r->n_items, r->max_rows);
    for (size_t i = 0; i < r->n_items && r->rows < r->max_rows && r->n_parts < most; i++) {
        const ink_run_item *item = &r->items[i];
        size_t left = item->n_tokens - item->done, room = r->max_rows - r->rows;
        if (left == 0 && !item->empty)
            continue;
        bool is_text = item->state == NULL;
        if (is_text && left > room && !r->cuts)
            break;
        size_t count = ink_size_min(is_text ? room : (room + waiting - 1) / waiting, left);
        r->parts[r->n_parts++] = (ink_run_part){.item = i,
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

static ink_run_item item_of_sequence(const ink_item *item)
{
    return (ink_run_item){.state = item->state,
                          .tokens = item->tokens,
                          .n_tokens = item->n_tokens,
                          .hidden = item->n_hidden > 0 ? item->hidden : NULL,
                          .n_hidden = item->n_hidden,
                          .logits = item->n_logits > 0 ? item->logits : NULL,
                          .n_logits = item->n_logits};
}

size_t ink_run_rows(size_t n_tokens, size_t longest)
{
    return ink_size_min(ink_size_max(n_tokens, 1), ink_size_max(longest, INK_PASS_ROWS));
}

void ink_run_note_nonfinite(ink_run *r, size_t item, const float *x, size_t n)
{
    if (!r->ctx->kernel->all_finite(x, n))
        r->nonfinite = ink_size_min(r->nonfinite, item);
}

ink_result ink_run_list(ink_run *r, bool reserve)
{
    static const ink_recurrent_decoder alone = {.input = {.n = 1, .parts = {INK_STEP_EMBEDDING}},
                                                .output = {.n = 1, .parts = {INK_STEP_HIDDEN}}};
    const ink_model *model = r->model;
    const ink_source_net *source = &model->source;
    bool reads = r->kind == INK_RUN_SOURCES;
    r->network = reads ? source->network : model->network;
    r->embedding = reads ? source->embedding : &model->embedding;
    r->transformer = reads ? &source->transformer : &model->transformer;
    r->recurrent = reads ? &source->recurrent : &model->recurrent;
    r->decoder = reads || !model->is_encoder_decoder ? &alone : &model->decoder;
    r->hidden_size = reads ? model->encoder_decoder.source_size : model->info.hidden_size;

    ink_call call;
    ink_call_begin(&call, r->ctx, reserve);
    run_alloc_scratch(r, call.arena);
    if (reserve) /* a product takes it where the scratch of the call ends */
        ink_arena_alloc(call.arena, ink_product_scratch(model->product_row, r->max_rows), 1);
    if (!ink_call_ready(&call))
        return ink_call_end(&call);

    r->nonfinite = SIZE_MAX;
    for (size_t i = 0; i < r->n_items; i++)
        r->items[i] = r->kind == INK_RUN_SEQUENCES ? item_of_sequence(&r->sequences[i])
                      : r->kind == INK_RUN_TEXTS   ? ink_run_item_of_text(r, &r->texts[i])
                                                   : ink_run_item_of_source(r, &r->sources[i]);
    while (plan_pass(r)) {
        size_t scope = ink_trace_enter(r->ctx, "%s", reads ? "encoder." : "");
        if (r->network == INK_NETWORK_TRANSFORMER)
            run_transformer(r);
        else if (r->network == INK_NETWORK_RECURRENT)
            run_recurrent(r);
        else
            run_window(r);
        if (reads)
            ink_head_last_norm(r, r->x, r->rows);
        ink_trace_leave(r->ctx, scope);
        if (reads)
            ink_encoded_keep(r);
        else
            ink_head_run(r);
        for (const ink_run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
            r->items[part->item].done += part->count;
            r->items[part->item].empty = false;
            if (part->state != NULL)
                part->state->length += part->count;
        }
    }
    if (reads)
        ink_encoded_keep_given(r);
    for (size_t i = 0; i < r->n_items && r->kind == INK_RUN_TEXTS; i++) {
        const ink_run_item *item = &r->items[i];
        size_t rows = item->positions != NULL ? item->n_positions : item->n_hidden + item->n_logits;
        ink_run_note_nonfinite(r, i, r->texts[i].output, rows * ink_model_encoding_size(model, r->encoding));
    }
    INK_TRY(ink_call_end(&call));
    if (r->nonfinite != SIZE_MAX)
        return ink_fail(r->ctx, INK_ERROR_NONFINITE, "%s %zu: the model computes a NaN or an infinity for it",
                        reads ? "source" : "text", r->nonfinite);
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
    if (model->is_encoder_decoder && state->source == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: its state has no source: call ink_state_begin()", i);
    if (model->is_encoder_decoder && (state->source->length == 0 || state->source->hash != state->source_hash))
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "item %zu: another source was encoded where its state began: call ink_state_begin()", i);
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
    ink_run r = {.ctx = ctx, .model = model, .sequences = items, .encoding = INK_HIDDEN_STATES, .n_items = n_items};
    for (size_t i = 0; i < n_items; i++) {
        INK_TRY(check_item(ctx, model, &items[i], i));
        r.max_rows += ink_size_min(items[i].n_tokens, INK_PASS_ROWS - r.max_rows);
        if (model->network == INK_NETWORK_TRANSFORMER) /* other states may be unlimited */
            r.capacity = ink_size_max(r.capacity, items[i].state->capacity);
        if (items[i].state->source != NULL)
            r.capacity = ink_size_max(r.capacity, items[i].state->source->capacity);
    }
    /* Finds a state that is in the list twice: marks each state, then removes all marks. */
    size_t n = 0;
    for (; n < n_items && !items[n].state->listed; n++)
        items[n].state->listed = true;
    for (size_t i = 0; i < n; i++)
        items[i].state->listed = false;
    if (n < n_items)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: its state is in the list twice", n);
    return ink_run_list(&r, false);
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
    size_t most = model->info.context_length, source = model->encoder_decoder.source_length;
    if (model->network != INK_NETWORK_TRANSFORMER) /* its states have no caches */
        most = source;
    else if (model->is_encoder_decoder) /* a source may be longer than any state */
        most = most == 0 || source == 0 ? 0 : ink_size_max(most, source);
    if (most != 0 && (capacity == 0 || capacity > most))
        capacity = most;
    if (capacity == 0 && model->network == INK_NETWORK_TRANSFORMER)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: this %s model has no longest text: name a capacity", __func__,
                        model->info.kind);
    ink_run r = {.ctx = ctx,
                 .model = model,
                 .n_items = n_items,
                 .max_rows = ink_size_min(n_tokens, INK_PASS_ROWS),
                 .capacity = capacity};
    return ink_run_list(&r, true);
}
