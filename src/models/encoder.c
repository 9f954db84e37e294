/*
 * encoder.c - whole texts through an encoder (encoder.h): checks a list of texts and runs it.
 */
#include <string.h>

#include "run.h"

ink_run_item ink_run_item_of_text(const ink_run *r, const ink_text *text)
{
    static const size_t first_row = 0; /* stands for the text where the result is one vector */
    static const ink_token nothing = 0;
    const ink_head *head = &r->model->head;
    bool is_logits = r->encoding == INK_LOGITS || r->encoding == INK_PROBABILITIES;
    ink_run_item item = {.tokens = text->n_tokens != 0 ? text->tokens : &nothing,
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

ink_result ink_model_require_encoder(ink_context *ctx, const ink_model *model)
{
    if (!model->is_encoder)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "a %s model is not an encoder: use ink_model_forward() with a state", model->info.kind);
    return INK_OK;
}

ink_result ink_model_check_ids(ink_context *ctx, const char *item, size_t i, const char *what, const ink_token *ids,
                               size_t n, size_t end)
{
    for (size_t t = 0; t < n; t++)
        if (ids[t] < 0 || (size_t)ids[t] >= end)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s %zu: %s %zu is %d, expected 0 to %zu", item, i, what, t,
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
    INK_TRY(ink_model_check_ids(ctx, "text", i, "token", text->tokens, text->n_tokens, model->info.vocab_size));
    if (text->types != NULL)
        INK_TRY(ink_model_check_ids(ctx, "text", i, "type", text->types, text->n_tokens,
                                    ink_size_max(model->encoder.n_types, 1)));
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
        [INK_EMBEDDING] =
            "gives no embedding: its files do not say how (modules.json, or pooling_type of GGUF), and it "
            "was opened without a pooling",
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
    ink_run r = {
        .ctx = ctx, .model = model, .kind = INK_RUN_TEXTS, .texts = texts, .encoding = encoding, .n_items = n_texts};
    ink_pooling pooling = model->head.pooling;
    bool is_logits = encoding == INK_LOGITS || encoding == INK_PROBABILITIES;
    r.of_text = encoding == INK_POOLED || encoding == INK_EMBEDDING ||
                (is_logits && model->encoder.task == INK_TASK_CLASSIFY_TEXT);
    r.pools = r.of_text && encoding != INK_EMBEDDING && pooling != INK_POOLING_NONE && pooling != INK_POOLING_CLS &&
              pooling != INK_POOLING_LAST;
    size_t n_tokens = 0;
    for (size_t i = 0; i < n_texts; i++) {
        INK_TRY(check_text(ctx, model, encoding, &texts[i], i));
        if (!ink_size_add(n_tokens, texts[i].n_tokens, &n_tokens))
            n_tokens = SIZE_MAX;
        r.capacity = ink_size_max(r.capacity, texts[i].n_tokens);
    }
    r.cuts = model->transformer.stack.config.n_blocks == 0 && encoding == INK_EMBEDDING;
    r.max_rows = ink_run_rows(n_tokens, r.cuts ? 0 : r.capacity);
    return ink_run_list(&r, false);
}

ink_result ink_model_encode_reserve(ink_context *ctx, const ink_model *model, size_t n_texts, size_t n_tokens,
                                    size_t max_tokens)
{
    INK_REQUIRE(ctx, model);
    INK_TRY(ink_model_require_encoder(ctx, model));
    if (max_tokens == 0 || max_tokens > longest_text(model))
        max_tokens = longest_text(model);
    size_t longest = ink_size_min(max_tokens, n_tokens);
    ink_run r = {.ctx = ctx,
                 .model = model,
                 .kind = INK_RUN_TEXTS,
                 .n_items = n_texts,
                 .max_rows = ink_run_rows(n_tokens, longest),
                 .capacity = longest};
    return ink_run_list(&r, true);
}
