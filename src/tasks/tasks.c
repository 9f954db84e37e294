/*
 * tasks.c - what an encoder is used for (tasks.h): the best of many texts.
 */
#include <inkling/tasks.h>

#include "../models/networks.h"

/* ---- ranking ---------------------------------------------------------------------------------------------------- */

ink_result ink_model_rank(ink_context *ctx, const ink_model *model, const ink_text *texts, size_t n_texts,
                          size_t *order, float *scores)
{
    INK_REQUIRE(ctx, model);
    INK_TRY(ink_model_require_encoder(ctx, model));
    if (model->encoder.task != INK_TASK_CLASSIFY_TEXT || model->encoder.n_labels != 1)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "this %s model ranks no texts: it needs a head for sequence classification with one label",
                        model->info.kind);
    if (n_texts == 0)
        return INK_OK;
    if (n_texts > UINT32_MAX)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%zu texts are more than can be ranked: %zu", n_texts,
                        (size_t)UINT32_MAX);
    INK_REQUIRE(ctx, texts, order, scores);

    ink_call call;
    ink_result result = INK_OK;
    ink_call_begin(&call, ctx, false);
    ink_text *own = ink_arena_alloc(call.arena, n_texts, sizeof *own);
    uint64_t *keys = ink_arena_alloc(call.arena, n_texts, sizeof *keys);
    if (ink_call_ready(&call)) {
        for (size_t i = 0; i < n_texts; i++) {
            own[i] = texts[i];
            own[i].positions = NULL;
            own[i].output = &scores[i];
        }
        result = ink_model_encode(ctx, model, INK_PROBABILITIES, own, n_texts);
        for (size_t i = 0; i < n_texts && result == INK_OK; i++)
            keys[i] = INK_KEY(ink_key_descending(scores[i]), i);
        if (result == INK_OK)
            ink_sort(keys, n_texts, NULL);
        for (size_t i = 0; i < n_texts && result == INK_OK; i++)
            order[i] = ink_key_index(keys[i]);
    }
    INK_TRY(ink_call_end(&call));
    return result == INK_ERROR_MEMORY ? ink_scratch_end(ctx, call.mark, result) : result;
}
