/*
 * windows.c - texts in windows that overlap (windows.h), cut as the tokenizers library cuts a text with a stride.
 */
#include "windows.h"

#include <string.h>

/* So many windows, or so many tokens of windows, run together: enough to fill the passes of the engine. */
#define RUN_WINDOWS ((size_t)64)
#define RUN_TOKENS ((size_t)4096)

/* Checks passage i and finds its windows. */
static ink_result cut_passage(const ink_windows *w, size_t i, ink_window_cut *cut)
{
    ink_context *ctx = w->ctx;
    const ink_passage *p = &w->passages[i];
    size_t n = p->n_tokens, most = w->max_tokens, stride = w->stride;
    if (n == 0 || p->tokens == NULL || p->places == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: there are no tokens, or no places of tokens", i);
    if (p->text == NULL && p->size > 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: the bytes of the %s are NULL", i, w->name);
    if (p->size > UINT32_MAX)
        return ink_fail(ctx, INK_ERROR_LIMIT, "text %zu: the %s has %zu bytes, more than are supported", i, w->name,
                        p->size);
    INK_TRY(ink_model_check_ids(ctx, "text", i, "token", p->tokens, n, w->model->info.vocab_size));
    if (p->types != NULL)
        INK_TRY(ink_model_check_ids(ctx, "text", i, "type", p->types, n, ink_size_max(w->model->encoder.n_types, 1)));
    *cut = (ink_window_cut){.first = n, .n_windows = 1};
    for (size_t t = 0; t < n; t++) {
        const ink_place *place = &p->places[t];
        if (place->text != w->text)
            continue;
        if (place->start > place->stop || place->stop > p->size)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: token %zu is at %zu to %zu, but the %s has %zu bytes",
                            i, t, place->start, place->stop, w->name, p->size);
        cut->first = ink_size_min(cut->first, t);
        if (t != cut->first + cut->count)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: token %zu does not follow the other tokens of the %s",
                            i, t, w->name);
        cut->count++;
    }
    size_t others = n - cut->count;
    cut->room = cut->step = cut->count;
    if (n <= most)
        return INK_OK;
    if (others >= most)
        return ink_fail(ctx, INK_ERROR_LIMIT,
                        "text %zu: the template, and what else is beside the %s, has %zu tokens, which leaves no room "
                        "for the %s in a window of %zu",
                        i, w->name, others, w->name, most);
    cut->room = most - others;
    if (stride == 0) {
        stride = ink_size_min(128, most / 2);
        if (stride >= cut->room)
            stride = cut->room / 2;
    } else if (stride == INK_NO_STRIDE) {
        stride = 0;
    }
    if (stride >= cut->room)
        return ink_fail(ctx, INK_ERROR_LIMIT,
                        "text %zu: a window has room for %zu tokens of the %s, and cannot share %zu with the next", i,
                        cut->room, w->name, stride);
    cut->step = cut->room - stride;
    cut->n_windows = 1 + (cut->count - cut->room + cut->step - 1) / cut->step;
    return INK_OK;
}

ink_result ink_windows_check(ink_windows *w)
{
    if (w->max_tokens > w->model->info.context_length)
        return ink_fail(w->ctx, INK_ERROR_LIMIT, "a window of %zu tokens is too long: this model allows %zu",
                        w->max_tokens, w->model->info.context_length);
    for (size_t i = 0; i < w->n_passages; i++) {
        ink_window_cut cut = {0};
        INK_TRY(cut_passage(w, i, &cut));
        w->longest = ink_size_max(w->longest, w->passages[i].n_tokens - cut.count + cut.room);
        w->most = ink_size_max(w->most, cut.n_windows);
    }
    w->capacity = ink_size_max(w->longest, RUN_TOKENS);
    return INK_OK;
}

void ink_windows_alloc(ink_windows *w, ink_arena *arena)
{
    w->texts = ink_arena_alloc(arena, RUN_WINDOWS, sizeof *w->texts);
    w->waiting = ink_arena_alloc(arena, RUN_WINDOWS, sizeof *w->waiting);
    w->tokens = ink_arena_alloc(arena, w->capacity, sizeof *w->tokens);
    w->types = ink_arena_alloc(arena, w->capacity, sizeof *w->types);
    w->logits = ink_alloc_rows(arena, w->capacity, ink_model_encoding_size(w->model, INK_LOGITS));
}

/* Puts a window with those that wait. */
static void add_window(ink_windows *w, const ink_window *window)
{
    const ink_passage *p = &w->passages[window->passage];
    size_t first = window->cut.first, behind = ink_size_min(first + window->cut.count, p->n_tokens), n = w->n_tokens;
    const size_t parts[3][2] = {{0, first}, {first + window->skipped, window->count}, {behind, p->n_tokens - behind}};
    ink_window *own = &w->waiting[w->n_windows];
    for (size_t k = 0; k < 3; k++) {
        memcpy(w->tokens + n, p->tokens + parts[k][0], parts[k][1] * sizeof *w->tokens);
        if (p->types != NULL)
            memcpy(w->types + n, p->types + parts[k][0], parts[k][1] * sizeof *w->types);
        n += parts[k][1];
    }
    *own = *window;
    own->tokens = w->tokens + w->n_tokens;
    own->n_tokens = n - w->n_tokens;
    own->logits = w->logits + w->n_tokens * ink_model_encoding_size(w->model, INK_LOGITS);
    w->texts[w->n_windows++] = (ink_text){.tokens = own->tokens,
                                          .n_tokens = own->n_tokens,
                                          .types = p->types != NULL ? w->types + w->n_tokens : NULL,
                                          .output = own->logits};
    w->n_tokens = n;
}

/* Runs the windows that wait. */
static ink_result run_windows(ink_windows *w)
{
    size_t width = ink_model_encoding_size(w->model, INK_LOGITS);
    ink_result result = ink_model_encode(w->ctx, w->model, INK_LOGITS, w->texts, w->n_windows);
    if (result != INK_OK && result != INK_ERROR_NONFINITE)
        return result;
    for (size_t k = 0; k < w->n_windows; k++) {
        const ink_window *window = &w->waiting[k];
        if (result != INK_OK &&
            (k + 1 == w->n_windows || !w->ctx->kernel->all_finite(window->logits, width * window->n_tokens)))
            return ink_fail(w->ctx, result, "text %zu: the model computes a NaN or an infinity for it",
                            window->passage);
        w->take(w->user, window);
    }
    w->n_windows = w->n_tokens = 0;
    return INK_OK;
}

ink_result ink_windows_run(ink_windows *w)
{
    w->n_windows = w->n_tokens = 0;
    for (size_t i = 0; i < w->n_passages; i++) {
        ink_window window = {.passage = i};
        INK_TRY(cut_passage(w, i, &window.cut));
        for (size_t k = 0; k < window.cut.n_windows; k++) {
            window.skipped = k * window.cut.step;
            window.count = ink_size_min(window.cut.room, window.cut.count - window.skipped);
            size_t n = w->passages[i].n_tokens - window.cut.count + window.count;
            if (w->n_windows == RUN_WINDOWS || n > w->capacity - w->n_tokens)
                INK_TRY(run_windows(w));
            add_window(w, &window);
        }
    }
    return run_windows(w);
}
