/*
 * forward.c - running lists of sequences.
 *
 * A call is checked whole, then takes its scratch memory, and from there on nothing can fail. Then it works in passes
 * of at most INK_PASS_ROWS rows: each pass takes the next tokens of every sequence that has some left, in equal shares,
 * so that scratch memory does not grow with the prompt, products have many rows, and recurrent networks step many
 * sequences at once. A sequence's result does not depend on how it is cut, so the shares are a matter of speed alone.
 */
#include <string.h>

#include "kind.h"

typedef struct pass_scratch {
    size_t *done;    /* [n_items]: tokens of each item that have been run */
    ink_part *parts; /* [rows] */
    float *x;        /* [rows, hidden_size] */
    ink_head_scratch head;
    void *network;
} pass_scratch;

static void alloc_scratch(ink_arena *arena, const ink_model *model, const ink_pass_size *size, pass_scratch *scratch)
{
    scratch->done = ink_arena_alloc(arena, size->n_items, sizeof *scratch->done);
    scratch->parts = ink_arena_alloc(arena, ink_size_min(size->rows, size->n_items), sizeof *scratch->parts);
    scratch->x = ink_arena_alloc(arena, size->rows * model->info.hidden_size, sizeof *scratch->x);
    ink_head_alloc_scratch(arena, model, size, &scratch->head);
    scratch->network = model->kind->network->alloc_scratch(arena, model, size);
}

/* ---- checks --------------------------------------------------------------------------------------------------- */

static ink_result check_item(ink_context *ctx, const ink_model *model, const ink_item *item, size_t i)
{
    const ink_state *state = item->state;
    if (state == NULL || state->model != model)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: its state is %s", i,
                        state == NULL ? "NULL" : "one of another model");
    if (item->n_tokens == 0 || item->tokens == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: there are no tokens to run", i);
    if (item->n_logits > item->n_tokens)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: the logits of %zu tokens are wanted, it has %zu", i,
                        item->n_logits, item->n_tokens);
    if (item->n_logits > 0 && item->logits == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: logits are wanted, but there is no place for them", i);
    if (item->n_hidden > item->n_tokens)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: the hidden vectors of %zu tokens are wanted, it has %zu", i,
                        item->n_hidden, item->n_tokens);
    if (item->n_hidden > 0 && item->hidden == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: hidden vectors are wanted, but there is no place for them",
                        i);
    if (item->n_tokens > state->capacity - state->length)
        return ink_fail(ctx, INK_ERROR_LIMIT,
                        "item %zu: %zu tokens after the %zu there are: the state has room for %zu", i, item->n_tokens,
                        state->length, state->capacity);
    for (size_t t = 0; t < item->n_tokens; t++)
        if (item->tokens[t] < 0 || (size_t)item->tokens[t] >= model->info.vocab_size)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: token %zu is %lld, the vocabulary has %zu", i, t,
                            (long long)item->tokens[t], model->info.vocab_size);
    return INK_OK;
}

/* No state may come up twice: each is marked as it is met, and all marks are taken off again. */
static ink_result check_distinct(ink_context *ctx, const ink_item *items, size_t n_items)
{
    size_t n = 0;
    for (; n < n_items && !items[n].state->listed; n++)
        items[n].state->listed = true;
    for (size_t i = 0; i < n; i++)
        items[i].state->listed = false;
    if (n < n_items)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "item %zu: its state is in the list twice", n);
    return INK_OK;
}

/* ---- passes --------------------------------------------------------------------------------------------------- */

/* The next pass: a part for each item with tokens left, up to INK_PASS_ROWS rows in all. Returns the rows. */
static size_t plan_pass(const ink_item *items, size_t n_items, const pass_scratch *scratch, size_t max_rows,
                        size_t *n_parts)
{
    size_t waiting = 0;
    size_t rows = 0;
    *n_parts = 0;
    for (size_t i = 0; i < n_items; i++)
        waiting += scratch->done[i] < items[i].n_tokens;
    for (size_t i = 0; i < n_items && rows < max_rows; i++) {
        size_t done = scratch->done[i];
        if (done == items[i].n_tokens)
            continue;
        size_t share = (max_rows - rows + waiting - 1) / waiting;
        size_t count = ink_size_min(share, items[i].n_tokens - done);
        scratch->parts[(*n_parts)++] = (ink_part){items[i].state, items[i].tokens + done, rows, count};
        rows += count;
        waiting--;
    }
    return rows;
}

/* The place of token t among the last n_wanted of n, rows of `width` floats; NULL if it is not among them. */
static float *place_of(float *rows, size_t width, size_t t, size_t n, size_t n_wanted)
{
    return t >= n - n_wanted ? rows + (t - (n - n_wanted)) * width : NULL;
}

/* Copies the rows of an item's part of which something is wanted to the head's rows from `picked` on, and says where
   that goes. Returns how many rows there are then. */
static size_t pick_rows(const ink_model *model, const ink_item *item, size_t done, const ink_part *part,
                        const pass_scratch *scratch, size_t picked)
{
    size_t hidden_size = model->info.hidden_size;
    size_t n = item->n_tokens;
    for (size_t i = 0; i < part->count; i++) {
        const ink_head_target target = {
            .hidden = place_of(item->hidden, hidden_size, done + i, n, item->n_hidden),
            .logits = place_of(item->logits, model->info.vocab_size, done + i, n, item->n_logits)};
        if (target.hidden == NULL && target.logits == NULL)
            continue;
        memcpy(scratch->head.x + picked * hidden_size, scratch->x + (part->first + i) * hidden_size,
               hidden_size * sizeof(float));
        scratch->head.targets[picked++] = target;
    }
    return picked;
}

static void run_pass(ink_context *ctx, const ink_model *model, const ink_item *items, const pass_scratch *scratch,
                     size_t n_parts, size_t rows)
{
    size_t picked = 0;
    model->kind->network->run(ctx, model, scratch->network, scratch->parts, n_parts, rows, scratch->x);
    for (size_t p = 0, i = 0; p < n_parts; p++, i++) {
        const ink_part *part = &scratch->parts[p];
        while (items[i].state != part->state)
            i++;
        picked = pick_rows(model, &items[i], scratch->done[i], part, scratch, picked);
        scratch->done[i] += part->count;
        part->state->length += part->count;
    }
    ink_head_run(ctx, model, &scratch->head, picked);
}

/* ---- the calls ------------------------------------------------------------------------------------------------ */

ink_result ink_model_forward_list(ink_context *ctx, const ink_model *model, const ink_item *items, size_t n_items)
{
    ink_pass_size size = {.n_items = n_items};
    pass_scratch scratch;
    size_t n_parts, rows;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, model);
    if (n_items == 0)
        return INK_OK;
    INK_TRY(ink_model_require_states(ctx, model));
    INK_REQUIRE(ctx, items);
    for (size_t i = 0; i < n_items; i++) {
        INK_TRY(check_item(ctx, model, &items[i], i));
        size.rows += ink_size_min(items[i].n_tokens, INK_PASS_ROWS - size.rows);
        size.capacity = ink_size_max(size.capacity, items[i].state->capacity);
    }
    INK_TRY(check_distinct(ctx, items, n_items));

    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    alloc_scratch(&ctx->scratch, model, &size, &scratch);
    if (ink_arena_failed(&ctx->scratch))
        return ink_scratch_fail(ctx, mark);
    memset(scratch.done, 0, n_items * sizeof *scratch.done);
    ink_float_mode host = ink_float_mode_enter();
    while ((rows = plan_pass(items, n_items, &scratch, size.rows, &n_parts)) > 0)
        run_pass(ctx, model, items, &scratch, n_parts, rows);
    ink_float_mode_leave(host);
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
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
    ink_arena measure;
    pass_scratch scratch;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, model);
    INK_TRY(ink_model_require_states(ctx, model));
    size_t most = model->info.context_length;
    if (most != 0 && (capacity == 0 || capacity > most))
        capacity = most;
    const ink_pass_size size = {ink_size_min(n_tokens, INK_PASS_ROWS), n_items, capacity};
    ink_arena_measure(&measure);
    alloc_scratch(&measure, model, &size, &scratch);
    if (ink_arena_failed(&measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "the scratch of lists of %zu items is larger than memory can be",
                        n_items);
    return ink_scratch_reserve(ctx, measure.used);
}
