/*
 * tokenizer.c - the tokenizer as one object, what it answers about itself, and encoding.
 */
#include "tokenizer.h"

#include <string.h>

/* ---- making one ------------------------------------------------------------------------------------------------- */

/* Takes room for a copy and, unless the arena only measures, makes it. */
static void *take_copy(ink_arena *arena, const void *items, size_t count, size_t size)
{
    void *copy = ink_arena_take(arena, count, size);
    if (copy != NULL && count != 0)
        memcpy(copy, items, count * size);
    return copy;
}

/* The draft was read into memory that grows; the tokenizer is a copy in one block of just its size. */
static ink_result build(void *args, ink_arena *arena, void **object)
{
    const ink_tokenizer *draft = args;
    ink_tokenizer copy = *draft;
    ink_tokenizer *tokenizer = ink_arena_take(arena, 1, sizeof *tokenizer);
    copy.vocab.pool = take_copy(arena, draft->vocab.pool, draft->vocab.pool_size, 1);
    copy.vocab.tokens = take_copy(arena, draft->vocab.tokens, draft->vocab.n_ids, sizeof *draft->vocab.tokens);
    copy.vocab.index.slots =
        take_copy(arena, draft->vocab.index.slots, draft->vocab.index.n_slots, sizeof *draft->vocab.index.slots);
    copy.bpe.merges = take_copy(arena, draft->bpe.merges, draft->bpe.n_merges, sizeof *draft->bpe.merges);
    copy.bpe.index.slots =
        take_copy(arena, draft->bpe.index.slots, draft->bpe.index.n_slots, sizeof *draft->bpe.index.slots);
    copy.added.tokens = take_copy(arena, draft->added.tokens, draft->added.n_tokens, sizeof *draft->added.tokens);
    copy.added.nodes = take_copy(arena, draft->added.nodes, draft->added.n_nodes, sizeof *draft->added.nodes);
    copy.template = take_copy(arena, draft->template, draft->n_before + draft->n_after, sizeof *draft->template);
    if (tokenizer == NULL || ink_arena_failed(arena))
        return INK_OK; /* measuring, or the caller sees that the arena failed */
    *tokenizer = copy;
    *object = tokenizer;
    return INK_OK;
}

ink_result ink_tokenizer_open_source(ink_context *ctx, const ink_source *source, ink_tokenizer **tokenizer)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, tokenizer);
    *tokenizer = NULL;
    INK_REQUIRE(ctx, source);
    ink_arena arena;
    ink_tokenizer draft = {0};
    void *object = NULL;
    ink_arena_grow(&arena, &ctx->allocator);
    ink_result result = ink_tokenizer_read(ctx, &arena, source, &draft);
    if (result == INK_OK)
        result = ink_object_create(ctx, "the tokenizer", build, &draft, 0, &object);
    ink_arena_free(&arena);
    *tokenizer = object;
    return result;
}

ink_result ink_tokenizer_open(ink_context *ctx, const char *folder, ink_tokenizer **tokenizer)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, tokenizer);
    *tokenizer = NULL;
    INK_REQUIRE(ctx, folder);
    ink_source source = ink_source_folder(folder);
    return ink_tokenizer_open_source(ctx, &source, tokenizer);
}

void ink_tokenizer_free(ink_tokenizer *tokenizer)
{
    ink_object_free(tokenizer);
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

size_t ink_tokenizer_vocab_size(const ink_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : tokenizer->vocab.n_ids;
}

ink_token ink_tokenizer_find(const ink_tokenizer *tokenizer, const char *text, size_t size)
{
    if (tokenizer == NULL || text == NULL || size == 0)
        return -1;
    ink_token id = ink_added_find(&tokenizer->added, text, size);
    return id >= 0 ? id : ink_vocab_find(&tokenizer->vocab, text, size, false);
}

const char *ink_tokenizer_token(const ink_tokenizer *tokenizer, ink_token id, size_t *size)
{
    bool known = tokenizer != NULL && ink_vocab_has(&tokenizer->vocab, id);
    if (size != NULL)
        *size = known ? tokenizer->vocab.tokens[id].size : 0;
    return known ? ink_vocab_bytes(&tokenizer->vocab, id) : NULL;
}

bool ink_tokenizer_is_special(const ink_tokenizer *tokenizer, ink_token id)
{
    return tokenizer != NULL && ink_vocab_has(&tokenizer->vocab, id) && tokenizer->vocab.tokens[id].special;
}

/* ---- encoding --------------------------------------------------------------------------------------------------- */

typedef struct encoder {
    ink_context *ctx;
    const ink_tokenizer *tokenizer;
    ink_ids out;
} encoder;

typedef ink_result (*stage_fn)(encoder *e, const char *text, size_t size);

static ink_result encode_words(encoder *e, const char *text, size_t size)
{
    const ink_tokenizer *t = e->tokenizer;
    while (size > 0) {
        size_t length = t->split(text, size);
        INK_TRY(ink_bpe_encode(e->ctx, &t->bpe, &t->vocab, text, length, &e->out));
        text += length;
        size -= length;
    }
    return INK_OK;
}

/* A piece of text without added tokens. */
static ink_result encode_piece(encoder *e, const char *text, size_t size)
{
    if (!e->tokenizer->add_prefix_space || text[0] == ' ')
        return encode_words(e, text, size);
    ink_arena_mark mark = ink_arena_mark_here(&e->ctx->scratch);
    char *prefixed = ink_arena_take(&e->ctx->scratch, size + 1, 1);
    if (prefixed == NULL)
        return ink_scratch_fail(e->ctx, mark);
    prefixed[0] = ' ';
    memcpy(prefixed + 1, text, size);
    ink_result result = encode_words(e, prefixed, size + 1);
    ink_arena_release(&e->ctx->scratch, mark);
    return result;
}

/* Cuts the added tokens of a set out of the text; what lies between them goes on to the next stage. */
static ink_result cut(encoder *e, ink_added_set set, const char *text, size_t size, stage_fn next)
{
    ink_added_match match = {0};
    size_t done = 0;
    while (ink_added_next(&e->tokenizer->added, set, text, size, &match)) {
        if (done < match.start)
            INK_TRY(next(e, text + done, match.start - done));
        ink_ids_add(&e->out, match.id);
        done = match.stop;
    }
    return done < size ? next(e, text + done, size - done) : INK_OK;
}

static ink_result cut_normalized(encoder *e, const char *text, size_t size)
{
    return cut(e, INK_ADDED_NORMALIZED, text, size, encode_piece);
}

static ink_result cut_raw(encoder *e, const char *text, size_t size)
{
    return cut(e, INK_ADDED_RAW, text, size, cut_normalized);
}

static ink_result encode(encoder *e, const char *text, size_t size, unsigned flags)
{
    const ink_tokenizer *t = e->tokenizer;
    bool around = (flags & INK_ENCODE_TEMPLATE) != 0;
    for (size_t i = 0; around && i < t->n_before; i++)
        ink_ids_add(&e->out, t->template[i]);
    if (size > 0)
        INK_TRY((flags & INK_ENCODE_ADDED) != 0 ? cut_raw(e, text, size) : encode_piece(e, text, size));
    for (size_t i = 0; around && i < t->n_after; i++)
        ink_ids_add(&e->out, t->template[t->n_before + i]);
    return INK_OK;
}

ink_result ink_tokenizer_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size,
                                unsigned flags, ink_token *ids, size_t capacity, size_t *n)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, n);
    *n = 0;
    INK_REQUIRE(ctx, tokenizer);
    if (size > 0)
        INK_REQUIRE(ctx, text);
    if (capacity > 0)
        INK_REQUIRE(ctx, ids);
    if ((flags & ~(unsigned)INK_ENCODE_DEFAULT) != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: unknown flags %z", __func__, (size_t)flags);

    /* Ids are collected aside, because nothing may be written if they turn out to be too many. There is at most one
       per byte of text and of prefixed spaces. */
    size_t bound;
    if (!ink_size_mul(size, 2, &bound) || !ink_size_add(bound, tokenizer->n_before + tokenizer->n_after, &bound))
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s: a text of %z bytes is too long", __func__, size);
    encoder e = {.ctx = ctx, .tokenizer = tokenizer, .out.capacity = ink_size_min(capacity, bound)};
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    e.out.ids = ink_arena_take(&ctx->scratch, e.out.capacity, sizeof *ids);
    if (e.out.ids == NULL)
        return ink_scratch_fail(ctx, mark);
    ink_result result = encode(&e, text, size, flags);
    if (result == INK_OK)
        *n = e.out.n;
    if (result == INK_OK && *n > capacity)
        result = ink_fail(ctx, INK_ERROR_LIMIT, "the text is %z tokens long, there is room for %z", *n, capacity);
    if (result == INK_OK && *n > 0)
        memcpy(ids, e.out.ids, *n * sizeof *ids);
    ink_arena_release(&ctx->scratch, mark);
    return result;
}
