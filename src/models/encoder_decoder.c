/*
 * encoder_decoder.c - sources of an encoder-decoder (encoder_decoder.h): how a source text is encoded, and what is kept
 * of it. With transformers:
 *
 *     encoder    tokens of the source -> rows s [n, source_size], all of which see each other         (run.c)
 *     keep       K_i = W_k s,  V_i = W_v s  for each block i of the decoder, into a key/value cache   (here)
 *     decoder    each block attends to K_i and V_i, from as many states as there are                  (run.c)
 *
 * With recurrent networks:
 *
 *     encoder    tokens of the source -> rows s [n, source_size], and the last state                  (run.c)
 *     keep       h_0, the last state, perhaps across a bridge; U_a s and s for additive attention     (here)
 *     decoder    begins with h_0; in each step W_a h_{t-1} meets all U_a s                            (run.c)
 *
 * So the work for the source is done once, however many tokens and beams are written.
 */
#include <string.h>

#include "../base/bytes.h"
#include "run.h"

const ink_encoder_decoder_info *ink_model_get_encoder_decoder(const ink_model *model)
{
    return model != NULL && model->is_encoder_decoder ? &model->encoder_decoder : NULL;
}

size_t ink_step_row_size(const ink_model *model, const ink_step_row *row)
{
    const size_t sizes[] = {[INK_STEP_HIDDEN] = model->recurrent.h_size,
                            [INK_STEP_EMBEDDING] = model->embedding.table.k,
                            [INK_STEP_CONTEXT] = model->encoder_decoder.source_size};
    size_t size = 0;
    for (size_t i = 0; i < row->n; i++)
        size += sizes[row->parts[i]];
    return size;
}

ink_result ink_model_require_source(ink_context *ctx, const ink_model *model)
{
    if (!model->is_encoder_decoder)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "a %s model is not an encoder-decoder: it reads no source",
                        model->info.kind);
    return INK_OK;
}

/* ---- encoded sources -------------------------------------------------------------------------------------------- */

static ink_encoded *encoded_layout(ink_arena *arena, const ink_model *model, size_t capacity, ink_encoded *fields)
{
    ink_encoded *encoded = ink_arena_alloc(arena, 1, sizeof *encoded);
    const ink_stack_config *config = &model->transformer.stack.config;
    *fields = (ink_encoded){.model = model, .capacity = capacity};
    if (model->network == INK_NETWORK_RECURRENT) {
        fields->first_state = ink_alloc_rows(arena, 1, ink_recurrent_state_size(&model->recurrent));
        if (model->decoder.context == INK_CONTEXT_FINAL)
            fields->last = ink_alloc_rows(arena, 1, model->encoder_decoder.source_size);
        if (model->decoder.context == INK_CONTEXT_ADDITIVE)
            ink_additive_alloc_source(arena, &model->decoder.attention, capacity, &fields->rows);
        return encoded;
    }
    fields->kv_stride = ink_kv_cache_bytes(&config->cross, capacity, INK_F32);
    fields->kv = ink_arena_alloc(arena, config->n_blocks, fields->kv_stride);
    return encoded;
}

static ink_result encoded_prepare(ink_context *ctx, const ink_model *model, size_t *capacity, ink_arena *measure)
{
    size_t most = model->encoder_decoder.source_length;
    ink_encoded fields;
    INK_TRY(ink_model_require_source(ctx, model));
    if (most != 0 && *capacity > most)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a source of %zu tokens: this %s model reads at most %zu", *capacity,
                        model->info.kind, most);
    if (*capacity == 0)
        *capacity = most;
    if (model->network == INK_NETWORK_RECURRENT && model->decoder.context != INK_CONTEXT_ADDITIVE)
        *capacity = SIZE_MAX; /* of a source of any length the same is kept */
    if (*capacity == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "a source of this %s model may have any length: say how many tokens there is to be room for",
                        model->info.kind);
    ink_arena_measure(measure);
    encoded_layout(measure, model, *capacity, &fields);
    if (ink_arena_failed(measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "the source needs more memory than this machine can address");
    return INK_OK;
}

ink_result ink_encoded_size(ink_context *ctx, const ink_model *model, size_t capacity, size_t *bytes)
{
    ink_arena measure;
    INK_REQUIRE(ctx, bytes);
    *bytes = 0;
    INK_REQUIRE(ctx, model);
    INK_TRY(encoded_prepare(ctx, model, &capacity, &measure));
    *bytes = ink_object_size(&measure);
    return INK_OK;
}

/* Creates it in the caller's block, or in new memory if `block` is NULL. */
static ink_result encoded_make(ink_context *ctx, const ink_model *model, size_t capacity, void *block, size_t size,
                               ink_encoded **encoded)
{
    ink_arena measure, arena;
    ink_encoded fields;
    INK_TRY(encoded_prepare(ctx, model, &capacity, &measure));
    if (block == NULL)
        INK_TRY(ink_limit_check(ctx, "the source", ink_object_size(&measure), INK_LIMIT(ctx, state_bytes)));
    INK_TRY(ink_object_new(ctx, "the source", &measure, block, size, &arena));
    *encoded = encoded_layout(&arena, model, capacity, &fields);
    **encoded = fields;
    return INK_OK;
}

ink_result ink_encoded_create(ink_context *ctx, const ink_model *model, size_t capacity, ink_encoded **encoded)
{
    INK_REQUIRE(ctx, encoded);
    *encoded = NULL;
    INK_REQUIRE(ctx, model);
    return encoded_make(ctx, model, capacity, NULL, 0, encoded);
}

ink_result ink_encoded_create_in(ink_context *ctx, const ink_model *model, size_t capacity, void *block, size_t size,
                                 ink_encoded **encoded)
{
    INK_REQUIRE(ctx, encoded);
    *encoded = NULL;
    INK_REQUIRE(ctx, model, block);
    return encoded_make(ctx, model, capacity, block, size, encoded);
}

void ink_encoded_free(ink_encoded *encoded) { ink_object_free(encoded); }
size_t ink_encoded_length(const ink_encoded *encoded) { return encoded != NULL ? encoded->length : 0; }

/* ---- keeping what the decoder needs ----------------------------------------------------------------------------- */

void ink_encoded_alloc_scratch(ink_run *r, ink_arena *arena)
{
    const ink_attention *cross = &r->model->transformer.stack.config.cross;
    size_t width = 2 * cross->n_kv_heads * cross->head_dim, rows = r->max_rows;
    if (r->model->network == INK_NETWORK_RECURRENT) {
        width = r->model->decoder.attention.key.weight.k;
        rows = ink_size_min(rows, INK_PASS_ROWS);
    }
    r->projected = ink_alloc_rows(arena, rows, width);
}

/* The first h of each layer of the decoder from the last h of the same layer of the encoder, or of its last layer if
   the decoder has only one; the same with c. */
static void cross_bridge(ink_run *r, const float *last, float *first)
{
    const ink_recurrent *encoder = &r->model->source.recurrent, *decoder = &r->model->recurrent;
    size_t width = encoder->n_directions * encoder->h_size, skip = encoder->n_layers - decoder->n_layers;
    for (size_t i = 0; i < (decoder->cell == INK_LSTM ? 2u : 1u); i++) {
        const ink_dense *bridge = &r->model->source.bridge[r->model->source.bridge[i].weight.n != 0 ? i : 0];
        for (size_t layer = 0; layer < decoder->n_layers; layer++, first += decoder->h_size) {
            const float *h = last + (i * encoder->n_layers + skip + layer) * width;
            if (bridge->weight.n == 0)
                memcpy(first, h, width * sizeof *first);
            else
                ink_dense_run(r->ctx, bridge, h + width - bridge->weight.k, width, 1, first);
        }
    }
}

/* Keeps the recurrent sources of a pass. */
static void keep_recurrent(ink_run *r)
{
    const ink_recurrent *encoder = r->recurrent;
    size_t size = ink_recurrent_state_size(encoder), width = r->hidden_size;
    for (size_t i = 0; i < r->n_parts; i++) {
        const ink_run_part *part = &r->parts[i];
        ink_encoded *encoded = r->sources[part->item].encoded;
        const float *last = r->states + i * size;
        cross_bridge(r, last, encoded->first_state);
        INK_TRACE(r->ctx, "first_state",
                  ink_tensor_2d(encoded->first_state, 1, ink_recurrent_state_size(&r->model->recurrent)));
        if (encoded->last != NULL)
            memcpy(encoded->last, last + (encoder->n_layers - 1) * width, width * sizeof *last);
        if (r->model->decoder.context == INK_CONTEXT_ADDITIVE)
            ink_additive_set_source(r->ctx, &r->model->decoder.attention, r->projected, r->x + part->first * width,
                                    part->count, &encoded->rows);
        encoded->length = part->count;
    }
}

/* Appends the rows of some sources, side by side in s [n, source_size]; `parts` says whose they are. */
static void append_rows(ink_run *r, const float *s, size_t n, const ink_run_part *parts, size_t n_parts)
{
    for (size_t i = 0; i < n_parts; i++) {
        const ink_encoded *encoded = r->sources[parts[i].item].encoded;
        r->spans[i] = (ink_span){.first = parts[i].first,
                                 .count = parts[i].count,
                                 .cross = encoded->kv,
                                 .cross_stride = encoded->kv_stride,
                                 .cross_capacity = encoded->capacity,
                                 .cross_length = encoded->length};
    }
    ink_stack_append_sources(r->ctx, &r->model->transformer.stack, "h", r->projected, r->spans, n_parts, s, n);
    for (size_t i = 0; i < n_parts; i++)
        r->sources[parts[i].item].encoded->length += parts[i].count;
}

ink_run_item ink_run_item_of_source(const ink_run *r, const ink_source_item *source)
{
    source->encoded->length = 0;
    source->encoded->hash = source->rows != NULL
                                ? ink_hash_numbers(1, source->rows, source->n_tokens * r->hidden_size, sizeof(float))
                                : ink_hash_numbers(0, source->tokens, source->n_tokens, sizeof(ink_token));
    if (source->rows != NULL)
        return (ink_run_item){0}; /* it takes no part in a pass */
    return (ink_run_item){.tokens = source->tokens, .n_tokens = source->n_tokens};
}

void ink_encoded_keep(ink_run *r)
{
    size_t size = r->hidden_size;
    for (const ink_run_part *part = r->parts; part < r->parts + r->n_parts; part++) {
        const float *rows = r->x + part->first * size;
        ink_run_note_nonfinite(r, part->item, rows, part->count * size);
        if (r->sources[part->item].hidden != NULL)
            memcpy(r->sources[part->item].hidden, rows, part->count * size * sizeof *rows);
    }
    if (r->network == INK_NETWORK_RECURRENT)
        keep_recurrent(r);
    else
        append_rows(r, r->x, r->rows, r->parts, r->n_parts);
}

void ink_encoded_keep_given(ink_run *r)
{
    size_t size = r->hidden_size;
    for (size_t i = 0; i < r->n_items; i++) {
        const ink_source_item *source = &r->sources[i];
        ink_run_part part = {.item = i};
        for (size_t done = 0; source->rows != NULL && done < source->n_tokens; done += part.count) {
            part.count = ink_size_min(source->n_tokens - done, r->max_rows);
            append_rows(r, source->rows + done * size, part.count, &part, 1);
        }
        if (source->rows != NULL && source->hidden != NULL)
            memmove(source->hidden, source->rows, source->n_tokens * size * sizeof *source->rows);
    }
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

static ink_result check_source(ink_context *ctx, const ink_model *model, const ink_source_item *source, size_t i)
{
    const ink_encoder_decoder_info *info = &model->encoder_decoder;
    const ink_encoded *encoded = source->encoded;
    if (encoded == NULL || encoded->model != model)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "source %zu: its ink_encoded is %s", i,
                        encoded == NULL ? "NULL" : "one of another model");
    if (source->n_tokens == 0 || (source->tokens == NULL && source->rows == NULL))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "source %zu: there are no tokens to encode", i);
    if (source->tokens != NULL && source->rows != NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "source %zu: it has both tokens and rows", i);
    if (info->source_length != 0 && source->n_tokens > info->source_length)
        return ink_fail(ctx, INK_ERROR_LIMIT, "source %zu: it has %zu tokens, but this model reads at most %zu", i,
                        source->n_tokens, info->source_length);
    if (source->n_tokens > encoded->capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "source %zu: it has %zu tokens, but its ink_encoded has room for %zu", i,
                        source->n_tokens, encoded->capacity);
    if (source->rows != NULL && model->network == INK_NETWORK_RECURRENT)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "source %zu: it has rows, but the decoder of this %s model also begins with the last state of "
                        "its encoder, so it takes tokens",
                        i, model->info.kind);
    if (source->rows == NULL && model->source.embedding == NULL)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "source %zu: this %s model has no encoder of its own, so it takes rows instead of tokens", i,
                        model->info.kind);
    if (source->rows == NULL)
        return ink_model_check_ids(ctx, "source", i, "token", source->tokens, source->n_tokens,
                                   info->source_vocab_size);
    if (!ctx->kernel->all_finite(source->rows, source->n_tokens * info->source_size))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "source %zu: its rows have a NaN or an infinity", i);
    return INK_OK;
}

ink_result ink_model_encode_sources(ink_context *ctx, const ink_model *model, const ink_source_item *sources,
                                    size_t n_sources)
{
    INK_REQUIRE(ctx, model);
    if (n_sources == 0)
        return INK_OK;
    INK_TRY(ink_model_require_source(ctx, model));
    INK_REQUIRE(ctx, sources);
    ink_run r = {.ctx = ctx, .model = model, .kind = INK_RUN_SOURCES, .sources = sources, .n_items = n_sources};
    size_t n_tokens = 0, n = 0;
    for (size_t i = 0; i < n_sources; i++) {
        INK_TRY(check_source(ctx, model, &sources[i], i));
        if (!ink_size_add(n_tokens, sources[i].n_tokens, &n_tokens))
            n_tokens = SIZE_MAX;
        if (sources[i].rows == NULL)
            r.capacity = ink_size_max(r.capacity, sources[i].n_tokens);
    }
    for (; n < n_sources && !sources[n].encoded->listed; n++)
        sources[n].encoded->listed = true;
    for (size_t i = 0; i < n; i++)
        sources[i].encoded->listed = false;
    if (n < n_sources)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "source %zu: its ink_encoded is in the list twice", n);
    r.max_rows = ink_run_rows(n_tokens, r.capacity);
    ink_result result = ink_run_list(&r, false);
    for (size_t i = 0; i < n_sources && result == INK_ERROR_NONFINITE; i++)
        sources[i].encoded->length = 0;
    return result;
}

ink_result ink_model_encode_sources_reserve(ink_context *ctx, const ink_model *model, size_t n_sources, size_t n_tokens,
                                            size_t max_tokens)
{
    INK_REQUIRE(ctx, model);
    INK_TRY(ink_model_require_source(ctx, model));
    size_t most = model->encoder_decoder.source_length;
    if (most != 0 && (max_tokens == 0 || max_tokens > most))
        max_tokens = most;
    size_t longest = max_tokens != 0 ? ink_size_min(max_tokens, n_tokens) : n_tokens;
    ink_run r = {.ctx = ctx,
                 .model = model,
                 .kind = INK_RUN_SOURCES,
                 .n_items = n_sources,
                 .max_rows = ink_run_rows(n_tokens, longest),
                 .capacity = longest};
    return ink_run_list(&r, true);
}
