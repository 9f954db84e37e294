/*
 * read_vocab.c - "vocab" of a model: an object of token -> id.
 */
#include "../text/byte_level.h"
#include "tokenizer_read.h"

/* What the tokens of the file need: ids up to the largest, and bytes. */
typedef struct extent {
    size_t n_tokens, n_ids, bytes;
} extent;

static ink_result extend(ink_tokenizer_reader *r, ink_json id_node, size_t bytes, extent *e)
{
    ink_token id = 0;
    INK_TRY(ink_read_id(r, id_node, &id));
    e->n_ids = ink_size_max(e->n_ids, (size_t)id + 1);
    e->n_tokens++;
    e->bytes += bytes; /* no more than the file has */
    return INK_OK;
}

static ink_result extend_by_added(ink_tokenizer_reader *r, ink_json added_token, extent *e)
{
    ink_json id, content;
    const char *text = NULL;
    size_t size = 0;
    INK_TRY(ink_json_expect(r->ctx, &r->json, added_token, INK_JSON_OBJECT));
    INK_TRY(ink_json_require(r->ctx, &r->json, added_token, "id", &id));
    INK_TRY(ink_json_require(r->ctx, &r->json, added_token, "content", &content));
    INK_TRY(ink_read_text(r, content, &text, &size));
    INK_TRY(ink_read_normalized(r, added_token, &text, &size));
    return extend(r, id, size, e);
}

static ink_result measure(ink_tokenizer_reader *r, ink_json vocab, extent *e)
{
    ink_json child = ink_json_first(&r->json, vocab);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child)) {
        size_t size = ink_read_node(r, child)->key_size;
        INK_TRY(extend(r, child, size, e));
        r->longest = ink_size_max(r->longest, size);
    }
    if (r->added_tokens != INK_JSON_NONE)
        child = ink_json_first(&r->json, r->added_tokens);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(extend_by_added(r, child, e));
    /* Ids are places in an array, so a small file may not name a huge one. Published files have small gaps. */
    if (e->n_ids > 8 * e->n_tokens + 65536)
        return ink_fail(r->ctx, INK_ERROR_LIMIT, "%s: the largest id, %zu, is far beyond the number of tokens, %zu",
                        r->json.file, e->n_ids - 1, e->n_tokens);
    return INK_OK;
}

static ink_result read_token(ink_tokenizer_reader *r, ink_json node)
{
    ink_vocab *vocab = &r->tokenizer->vocab;
    const ink_json_node *entry = ink_read_node(r, node);
    ink_token id = 0;
    INK_TRY(ink_read_id(r, node, &id));
    if (entry->key_size == 0)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "a token of no bytes");
    if (ink_vocab_has(vocab, id))
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "another token has this id");
    ink_vocab_put(vocab, id, entry->key, entry->key_size);
    return INK_OK;
}

ink_result ink_read_vocab(ink_tokenizer_reader *r, ink_json model)
{
    extent e = {0};
    ink_json vocab;
    INK_TRY(ink_json_require(r->ctx, &r->json, model, "vocab", &vocab));
    INK_TRY(ink_json_expect(r->ctx, &r->json, vocab, INK_JSON_OBJECT));
    INK_TRY(measure(r, vocab, &e));
    r->spelling = ink_arena_alloc(r->arena, r->longest, 1);
    r->bytes = ink_arena_alloc(r->arena, r->longest, 1);
    INK_TRY(ink_vocab_start(r->ctx, r->arena, e.n_ids, e.bytes, &r->tokenizer->vocab));
    ink_json child = ink_json_first(&r->json, vocab);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(read_token(r, child));
    return ink_vocab_index(r->ctx, r->arena, r->json.file, &r->tokenizer->vocab);
}

ink_token ink_read_find(ink_tokenizer_reader *r, const char *spelling, size_t size)
{
    bool verbatim = false;
    if (size > r->longest)
        return -1;
    if (!r->tokenizer->vocab.byte_level)
        return ink_vocab_find(&r->tokenizer->vocab, spelling, size, false);
    size_t n = ink_byte_level_read(spelling, size, r->bytes, &verbatim);
    return ink_vocab_find(&r->tokenizer->vocab, r->bytes, n, verbatim);
}
