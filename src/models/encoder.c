/*
 * encoder.c - running lists of texts through an encoder (encoder.h).
 *
 * A call is checked whole, then takes its scratch memory, and from there on nothing can fail. A text is seen by all its
 * rows at once and cannot be cut, so it works in passes of whole texts: as many as fit into INK_PASS_ROWS rows, or into
 * as many as the longest text has. Dense layers and norms then run over all rows of a pass, attention text by text in
 * one cache that is room to work in; rows are never padded.
 */
#include <string.h>

#include "encoder.h"

typedef struct encode_size {
    size_t n_texts; /* of the list */
    size_t rows;    /* of a pass, at most */
    size_t longest; /* rows of a text, at most */
} encode_size;

typedef struct encode_scratch {
    size_t *lengths; /* [n_texts]: tokens of the texts of the list */
    ink_span *spans; /* the rows of each text of the pass */
    ink_token *ids;  /* [rows]: positions, then types */
    float *x;        /* [rows, hidden] */
    float *more;     /* [rows, hidden]: what is added to x; the rows behind W_t */
    ink_kv_cache cache;
    ink_block_scratch block;
    ink_head_scratch head; /* the rows that are wanted, and where what is made of them goes */
    ink_sentence_scratch sentence;
} encode_scratch;

/* Scratch of a larger size suffices for a smaller one. */
static void alloc_scratch(ink_arena *arena, const ink_model *model, const encode_size *size, encode_scratch *scratch)
{
    const ink_encoder *encoder = model->body;
    size_t hidden = model->info.hidden_size;
    const ink_pass_size head_size = {.rows = size->rows, .n_items = size->n_texts};
    size_t n_spans = ink_size_min(size->n_texts, size->rows);
    scratch->lengths = ink_arena_alloc(arena, size->n_texts, sizeof *scratch->lengths);
    scratch->spans = ink_arena_alloc(arena, n_spans, sizeof *scratch->spans);
    scratch->ids = ink_arena_alloc(arena, size->rows, sizeof *scratch->ids);
    scratch->x = ink_alloc_rows(arena, size->rows, hidden);
    scratch->more = ink_alloc_rows(arena, size->rows, hidden);
    ink_kv_cache_alloc(arena, &encoder->blocks[0].attention, size->longest, &scratch->cache);
    ink_block_alloc_scratch(arena, &encoder->blocks[0], size->longest, size->rows, &scratch->block);
    scratch->block.whole = true;
    ink_head_alloc_scratch(arena, model, &head_size, &scratch->head);
    ink_sentence_alloc_scratch(arena, &encoder->sentence, n_spans, &scratch->sentence);
}

static encode_size size_of(size_t n_texts, size_t n_tokens, size_t longest)
{
    size_t rows = ink_size_min(n_tokens, ink_size_max(longest, INK_PASS_ROWS));
    return (encode_size){.n_texts = n_texts, .rows = rows, .longest = longest};
}

/* ---- checks --------------------------------------------------------------------------------------------------- */

static ink_result require_encoder(ink_context *ctx, const ink_model *model)
{
    if (ink_model_get_encoder(model) == NULL)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "a %s model is no encoder: ink_model_forward() runs it, with a state", model->kind->name);
    return INK_OK;
}

static ink_result check_encoding(ink_context *ctx, const ink_model *model, ink_encoding encoding)
{
    static const char *const missing[INK_N_ENCODINGS] = {
        [INK_POOLED] = "has no pooler",
        [INK_EMBEDDING] = "gives no embedding: its folder has no modules.json, and no pooling was asked for when it "
                          "was opened",
        [INK_LOGITS] = "has no head to give logits",
        [INK_PROBABILITIES] = "has no head to give probabilities",
    };
    if ((unsigned)encoding >= INK_N_ENCODINGS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_model_encode: there is no encoding %lld", (long long)encoding);
    if (ink_model_encoding_size(model, encoding) == 0)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "this %s model %s", model->kind->name, missing[encoding]);
    return INK_OK;
}

static ink_result check_ids(ink_context *ctx, size_t i, const char *what, const ink_token *ids, size_t n, size_t end)
{
    for (size_t t = 0; t < n; t++)
        if (ids[t] < 0 || (size_t)ids[t] >= end)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: %s %zu is %lld, expected 0 to %zu", i, what, t,
                            (long long)ids[t], end - 1);
    return INK_OK;
}

static ink_result check_text(ink_context *ctx, const ink_model *model, const ink_text *text, size_t i)
{
    const ink_encoder *encoder = model->body;
    if (text->n_tokens == 0 || text->tokens == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: there are no tokens to encode", i);
    if (text->n_tokens > model->info.context_length)
        return ink_fail(ctx, INK_ERROR_LIMIT, "text %zu: it has %zu tokens, this model takes %zu", i, text->n_tokens,
                        model->info.context_length);
    if (text->output == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: there is no place for its output", i);
    INK_TRY(check_ids(ctx, i, "token", text->tokens, text->n_tokens, model->info.vocab_size));
    if (text->types != NULL)
        INK_TRY(check_ids(ctx, i, "type", text->types, text->n_tokens, ink_size_max(encoder->info.n_types, 1)));
    if (text->positions == NULL)
        return INK_OK;
    if (text->n_positions > text->n_tokens)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: %zu positions are wanted, it has %zu tokens", i,
                        text->n_positions, text->n_tokens);
    for (size_t p = 0; p < text->n_positions; p++)
        if (text->positions[p] >= text->n_tokens)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: position %zu is wanted, it has %zu tokens", i,
                            text->positions[p], text->n_tokens);
    return INK_OK;
}

/* ---- a pass --------------------------------------------------------------------------------------------------- */

/* Position ids of a text: 0, 1, 2, ...; or counted on from the id of the padding, which itself does not count. */
static void fill_positions(const ink_encoder *encoder, const ink_text *text, ink_token *ids)
{
    ink_token next = (ink_token)encoder->first_position;
    for (size_t t = 0; t < text->n_tokens; t++)
        ids[t] = encoder->skips_padding && text->tokens[t] == encoder->padding ? encoder->padding : next++;
}

/* x = norm(word[token] + position[p] + type[s]) */
static void embed(ink_context *ctx, const ink_model *model, const encode_scratch *scratch, const ink_text *texts,
                  size_t n_texts, size_t rows)
{
    const ink_encoder *encoder = model->body;
    const ink_span *spans = scratch->spans;
    size_t hidden = model->info.hidden_size;
    for (size_t i = 0; i < n_texts; i++) {
        ink_embedding_run(&model->embedding, texts[i].tokens, texts[i].n_tokens, scratch->x + spans[i].first * hidden);
        fill_positions(encoder, &texts[i], scratch->ids + spans[i].first);
    }
    ink_embedding_run(&encoder->positions, scratch->ids, rows, scratch->more);
    ctx->kernel->add(scratch->more, rows * hidden, scratch->x);
    memset(scratch->ids, 0, rows * sizeof *scratch->ids);
    for (size_t i = 0; i < n_texts; i++)
        if (texts[i].types != NULL)
            memcpy(scratch->ids + spans[i].first, texts[i].types, texts[i].n_tokens * sizeof *scratch->ids);
    if (encoder->info.n_types != 0) {
        ink_embedding_run(&encoder->types, scratch->ids, rows, scratch->more);
        ctx->kernel->add(scratch->more, rows * hidden, scratch->x);
    }
    ink_norm_run(ctx, &encoder->norm, scratch->x, rows, scratch->x);
    INK_TRACE(ctx, "embedding", ink_tensor_2d(scratch->x, rows, hidden));
}

static void run_blocks(ink_context *ctx, const ink_encoder *encoder, const encode_scratch *scratch, size_t n_texts,
                       size_t rows)
{
    for (size_t i = 0; i < encoder->n_blocks; i++) {
        size_t scope = ink_trace_enter(ctx, "h.%zu.", i);
        ink_block_run(ctx, &encoder->blocks[i], &scratch->block, scratch->spans, n_texts, scratch->x, rows);
        ink_trace_leave(ctx, scope);
    }
}

/* ---- what is made of the rows --------------------------------------------------------------------------------- */

/* The rows that are wanted, side by side, and where what becomes of them goes: the first of each text, or those at
   its positions. Returns how many. */
static size_t pick_rows(const ink_model *model, const encode_scratch *scratch, const ink_text *texts, size_t n_texts,
                        bool per_text, size_t width)
{
    size_t hidden = model->info.hidden_size, picked = 0;
    for (size_t i = 0; i < n_texts; i++) {
        const ink_text *text = &texts[i];
        size_t count = per_text ? 1 : text->positions != NULL ? text->n_positions : text->n_tokens;
        for (size_t p = 0; p < count; p++, picked++) {
            size_t row = scratch->spans[i].first + (per_text || text->positions == NULL ? p : text->positions[p]);
            memcpy(scratch->head.x + picked * hidden, scratch->x + row * hidden, hidden * sizeof(float));
            scratch->head.targets[picked] = (ink_head_target){.logits = text->output + p * width};
        }
    }
    return picked;
}

static void put_rows(const float *rows, size_t n, size_t width, const ink_head_target *targets)
{
    for (size_t i = 0; i < n; i++)
        memcpy(targets[i].logits, rows + i * width, width * sizeof *rows);
}

/* y = W norm(s(W_t x + b_t)) + b, of the picked rows, and its softmax or sigmoid. */
static void run_head(ink_context *ctx, const ink_model *model, const encode_scratch *scratch, ink_encoding encoding,
                     size_t n)
{
    const ink_encoder *encoder = model->body;
    ink_head_scratch head = scratch->head;
    size_t hidden = model->info.hidden_size;
    if (encoder->has_transform && n > 0) {
        ink_dense_run(ctx, &encoder->transform, head.x, n, scratch->more);
        head.x = scratch->more;
        INK_TRACE(ctx, "head.transform", ink_tensor_2d(head.x, n, hidden));
    }
    if (encoding == INK_HIDDEN_STATES)
        put_rows(scratch->head.x, n, hidden, head.targets);
    else if (encoding == INK_POOLED)
        put_rows(head.x, n, hidden, head.targets);
    else
        ink_head_run(ctx, model, &head, n);

    size_t width = ink_model_encoding_size(model, encoding);
    for (size_t i = 0; encoding == INK_PROBABILITIES && i < n; i++)
        if (encoder->info.problem == INK_SINGLE_LABEL)
            ctx->kernel->softmax(head.targets[i].logits, width, 1);
        else if (encoder->info.problem == INK_MULTI_LABEL)
            ctx->kernel->activate(INK_SIGMOID, head.targets[i].logits, width, head.targets[i].logits);
}

static void run_pass(ink_context *ctx, const ink_model *model, const encode_scratch *scratch, ink_encoding encoding,
                     const ink_text *texts, size_t n_texts, size_t rows)
{
    const ink_encoder *encoder = model->body;
    size_t width = ink_model_encoding_size(model, encoding);
    embed(ctx, model, scratch, texts, n_texts, rows);
    run_blocks(ctx, encoder, scratch, n_texts, rows);
    bool of_text = encoding == INK_POOLED || encoding == INK_EMBEDDING ||
                   (encoding != INK_HIDDEN_STATES && encoder->info.task == INK_TASK_CLASSIFY_TEXT);
    size_t picked = pick_rows(model, scratch, texts, n_texts, of_text, width);
    if (encoding == INK_EMBEDDING)
        put_rows(ink_sentence_run(ctx, &encoder->sentence, &scratch->sentence, scratch->spans, n_texts, scratch->x,
                                  model->info.hidden_size),
                 picked, width, scratch->head.targets);
    else
        run_head(ctx, model, scratch, encoding, picked);
}

/* ---- the calls ------------------------------------------------------------------------------------------------ */

const ink_encoder_info *ink_model_get_encoder(const ink_model *model)
{
    return model != NULL && model->kind->network == NULL ? &((const ink_encoder *)model->body)->info : NULL;
}

size_t ink_model_encoding_size(const ink_model *model, ink_encoding encoding)
{
    const ink_encoder_info *info = ink_model_get_encoder(model);
    if (info == NULL)
        return 0;
    switch (encoding) {
    case INK_HIDDEN_STATES:
        return model->info.hidden_size;
    case INK_POOLED:
        return info->has_pooled ? model->info.hidden_size : 0;
    case INK_EMBEDDING:
        return info->embedding_size;
    case INK_LOGITS:
    case INK_PROBABILITIES:
        return model->head.weight != NULL ? model->head.weight->n : 0;
    case INK_N_ENCODINGS:
        break;
    }
    return 0;
}

ink_result ink_model_encode(ink_context *ctx, const ink_model *model, ink_encoding encoding, const ink_text *texts,
                            size_t n_texts)
{
    encode_scratch scratch;
    size_t n_tokens = 0, longest = 0;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, model);
    INK_TRY(require_encoder(ctx, model));
    INK_TRY(check_encoding(ctx, model, encoding));
    if (n_texts == 0)
        return INK_OK;
    INK_REQUIRE(ctx, texts);
    for (size_t i = 0; i < n_texts; i++) {
        INK_TRY(check_text(ctx, model, &texts[i], i));
        n_tokens += texts[i].n_tokens;
        longest = ink_size_max(longest, texts[i].n_tokens);
    }

    const encode_size size = size_of(n_texts, n_tokens, longest);
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    alloc_scratch(&ctx->scratch, model, &size, &scratch);
    if (ink_arena_failed(&ctx->scratch))
        return ink_scratch_fail(ctx, mark);
    for (size_t i = 0; i < n_texts; i++)
        scratch.lengths[i] = texts[i].n_tokens;
    ink_float_mode host = ink_float_mode_enter();
    for (size_t first = 0, n, rows; first < n_texts; first += n) {
        n = ink_spans_fill(scratch.lengths + first, n_texts - first, size.rows, &scratch.cache, scratch.spans, &rows);
        run_pass(ctx, model, &scratch, encoding, texts + first, n, rows);
    }
    ink_float_mode_leave(host);
    ink_arena_release(&ctx->scratch, mark);
    return INK_OK;
}

ink_result ink_model_encode_reserve(ink_context *ctx, const ink_model *model, size_t n_texts, size_t n_tokens,
                                    size_t max_tokens)
{
    ink_arena measure;
    encode_scratch scratch;
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, model);
    INK_TRY(require_encoder(ctx, model));
    if (max_tokens == 0 || max_tokens > model->info.context_length)
        max_tokens = model->info.context_length;
    const encode_size size = size_of(n_texts, n_tokens, ink_size_min(max_tokens, n_tokens));
    ink_arena_measure(&measure);
    alloc_scratch(&measure, model, &size, &scratch);
    if (ink_arena_failed(&measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "the scratch of lists of %zu texts is larger than memory can be",
                        n_texts);
    return ink_scratch_reserve(ctx, measure.used);
}
