/*
 * read_added.c - "added_tokens": strings that are tokens wherever they stand in a text.
 */
#include "tokenizer_read.h"

/* Makes a place for the token unless the model has it: then the model's id counts, as in the reference. */
static ink_result place(ink_tokenizer_reader *r, ink_json node, const char *content, size_t size, ink_token *id)
{
    ink_vocab *vocab = &r->tokenizer->vocab;
    *id = ink_read_find(r, content, size);
    if (*id >= 0)
        return INK_OK;
    INK_TRY(ink_read_id(r, ink_json_member(&r->json, node, "id"), id));
    if (ink_vocab_has(vocab, *id))
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "another token has this id");
    ink_vocab_put(vocab, *id, content, size);
    vocab->tokens[*id].added = true;
    return INK_OK;
}

/* All flags are there in every file; a default would be a guess. */
static ink_result read_flag(ink_tokenizer_reader *r, ink_json node, const char *key, bool *flag)
{
    ink_json member;
    INK_TRY(ink_json_require(r->ctx, &r->json, node, key, &member));
    return ink_json_get_bool(r->ctx, &r->json, member, flag);
}

static ink_result read_token(ink_tokenizer_reader *r, ink_json node)
{
    ink_added_token token = {0};
    bool special = false, normalized = false;
    const char *content = NULL;
    size_t size = 0;
    INK_TRY(ink_read_text(r, ink_json_member(&r->json, node, "content"), &content, &size));
    INK_TRY(read_flag(r, node, "special", &special));
    INK_TRY(read_flag(r, node, "normalized", &normalized));
    INK_TRY(read_flag(r, node, "lstrip", &token.left_strip));
    INK_TRY(read_flag(r, node, "rstrip", &token.right_strip));
    INK_TRY(read_flag(r, node, "single_word", &token.single_word));
    if (size > INK_ADDED_LONGEST)
        return ink_fail(r->ctx, INK_ERROR_LIMIT, "%s: added token '%Q' has %z bytes; the limit is %z",
                        INK_TOKENIZER_FILE, content, size, size, (size_t)INK_ADDED_LONGEST);
    INK_TRY(place(r, node, content, size, &token.id));
    if (special)
        r->tokenizer->vocab.tokens[token.id].special = true;
    if (!ink_added_put(&r->tokenizer->added, normalized ? INK_ADDED_NORMALIZED : INK_ADDED_RAW, content, size, token))
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "another added token has this content");
    return INK_OK;
}

ink_result ink_read_added(ink_tokenizer_reader *r)
{
    ink_json child;
    size_t n = 0, bytes = 0;
    if (r->added_tokens == INK_JSON_NONE)
        return ink_added_start(r->ctx, r->arena, 0, 0, &r->tokenizer->added);
    child = ink_json_first(&r->json, r->added_tokens);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child)) {
        bytes += ink_read_node(r, ink_json_member(&r->json, child, "content"))->string_size;
        n++;
    }
    INK_TRY(ink_added_start(r->ctx, r->arena, n, bytes, &r->tokenizer->added));
    child = ink_json_first(&r->json, r->added_tokens);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(read_token(r, child));
    return INK_OK;
}
