/*
 * tokenizer.c - the tokenizer as one object, and what it answers about itself.
 */
#include "tokenizer.h"

#include <string.h>

/* ---- making one ------------------------------------------------------------------------------------------------- */

/* Takes room for a copy and, unless the arena only measures, makes it. */
static void *take_copy(ink_arena *arena, const void *items, size_t count, size_t size)
{
    void *copy = ink_arena_alloc(arena, count, size);
    if (copy != NULL && count != 0)
        memcpy(copy, items, count * size);
    return copy;
}

static void take_index(ink_arena *arena, ink_index *index)
{
    index->slots = take_copy(arena, index->slots, index->n_slots, sizeof *index->slots);
}

static void take_trie(ink_arena *arena, ink_trie *trie)
{
    trie->nodes = take_copy(arena, trie->nodes, trie->n_nodes, sizeof *trie->nodes);
}

/* The draft was read into memory that grows; the tokenizer is a copy in one block of just its size. */
static ink_result build(void *args, ink_arena *arena, void **object)
{
    const ink_tokenizer *draft = args;
    ink_tokenizer copy = *draft;
    ink_tokenizer *tokenizer = ink_arena_alloc(arena, 1, sizeof *tokenizer);
    copy.vocab.pool = take_copy(arena, draft->vocab.pool, draft->vocab.pool_size, 1);
    copy.vocab.tokens = take_copy(arena, draft->vocab.tokens, draft->vocab.n_ids, sizeof *draft->vocab.tokens);
    take_index(arena, &copy.vocab.index);
    copy.bpe.merges = take_copy(arena, draft->bpe.merges, draft->bpe.n_merges, sizeof *draft->bpe.merges);
    take_index(arena, &copy.bpe.index);
    copy.added.tokens = take_copy(arena, draft->added.tokens, draft->added.n_tokens, sizeof *draft->added.tokens);
    take_trie(arena, &copy.added.trie);
    take_trie(arena, &copy.wordpiece.trie);
    copy.template.pieces = take_copy(arena, draft->template.pieces, draft->template.n[0] + draft->template.n[1],
                                     sizeof *draft->template.pieces);
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

void ink_tokenizer_free(ink_tokenizer *tokenizer) { ink_object_free(tokenizer); }

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

ink_token ink_tokenizer_control(const ink_tokenizer *tokenizer, ink_control which)
{
    return tokenizer != NULL && (size_t)which < INK_N_CONTROLS ? tokenizer->controls[which] : -1;
}

bool ink_tokenizer_adds(const ink_tokenizer *tokenizer, ink_control which)
{
    ink_token id = ink_tokenizer_control(tokenizer, which);
    if (id < 0)
        return false;
    size_t n;
    const ink_template_piece *pieces = ink_template_of(&tokenizer->template, false, &n);
    for (size_t i = 0; i < n; i++)
        if (pieces[i].id == id)
            return true;
    return false;
}

size_t ink_tokenizer_max_length(const ink_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : tokenizer->max_length;
}
