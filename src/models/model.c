/*
 * model.c - accessors of a model: info, stop tokens, encodings. src/import/open.c opens a model, run.c runs
 * it.
 */
#include "networks.h"

void ink_model_free(ink_model *model) { ink_object_free(model); }

const ink_model_info *ink_model_get_info(const ink_model *model) { return model != NULL ? &model->info : NULL; }

const char *ink_model_unused(const ink_model *model, size_t i)
{
    return model != NULL && i < model->info.n_unused ? model->unused[i] : NULL;
}

const char *ink_model_note(const ink_model *model, size_t i)
{
    return model != NULL && i < model->info.n_notes ? model->notes[i] : NULL;
}

bool ink_model_stops_at(const ink_model *model, ink_token token)
{
    for (size_t i = 0; i < model->info.n_stop_tokens; i++)
        if (model->info.stop_tokens[i] == token)
            return true;
    return false;
}

const ink_encoder_info *ink_model_get_encoder(const ink_model *model)
{
    return model != NULL && model->is_encoder ? &model->encoder : NULL;
}

size_t ink_model_encoding_size(const ink_model *model, ink_encoding encoding)
{
    if (ink_model_get_encoder(model) == NULL)
        return 0;
    switch (encoding) {
    case INK_HIDDEN_STATES:
        return model->info.hidden_size;
    case INK_POOLED:
        return model->encoder.has_pooled ? model->info.hidden_size : 0;
    case INK_EMBEDDING:
        return model->encoder.embedding_size;
    case INK_LOGITS:
    case INK_PROBABILITIES: /* those of answers need pairs of rows (tasks.h) */
        if (encoding == INK_PROBABILITIES && model->encoder.task == INK_TASK_ANSWER)
            return 0;
        return model->head.weight != NULL ? model->head.weight->n : 0;
    case INK_N_ENCODINGS:
        break;
    }
    return 0;
}

ink_result ink_model_require_states(ink_context *ctx, const ink_model *model)
{
    if (model->is_encoder)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "a %s model is an encoder, which reads a whole text and has no state: use ink_model_encode()",
                        model->info.kind);
    return INK_OK;
}
