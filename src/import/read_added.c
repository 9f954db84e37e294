/*
 * read_added.c - "added_tokens": strings that are tokens wherever they stand in a text.
 */
#include "tokenizer_read.h"

/* What is looked for in a text: the content, or what the normalizer makes of it. */
typedef struct pattern {
    const char *content, *text;
    size_t content_size, size;
    ink_added_set set;
} pattern;

/* Makes a place for the token unless the model has it: then the model's id counts, as in the reference; and as there,
   what is decoded is the normalised content. */
static ink_result place(ink_tokenizer_reader *r, ink_json node, const pattern *p, ink_token *id)
{
    ink_vocab *vocab = &r->tokenizer->vocab;
    *id = ink_read_find(r, p->content, p->content_size);
    if (*id >= 0)
        return INK_OK;
    INK_TRY(ink_read_id(r, ink_json_member(&r->json, node, "id"), id));
    if (ink_vocab_has(vocab, *id))
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "another token has this id");
    ink_vocab_put(vocab, *id, p->text, p->size);
    vocab->tokens[*id].added = true;
    return INK_OK;
}

ink_result ink_read_normalized(ink_tokenizer_reader *r, ink_json added_token, const char **text, size_t *size)
{
    bool normalized;
    INK_TRY(ink_read_flag(r, added_token, "normalized", false, &normalized));
    if (!normalized)
        return INK_OK;
    ink_arena_mark mark = ink_arena_mark_here(&r->ctx->scratch);
    ink_result result = ink_normalize(r->ctx, &r->tokenizer->normalizer, *text, *size, text, size);
    char *copy = result == INK_OK ? ink_arena_alloc(r->arena, *size, 1) : NULL;
    if (copy != NULL)
        memcpy(copy, *text, *size);
    else if (result == INK_OK)
        result = ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->json.file);
    *text = copy;
    ink_arena_release(&r->ctx->scratch, mark);
    return result;
}

/* All flags are there in every file; a default would be a guess. */
static ink_result read_flag(ink_tokenizer_reader *r, ink_json node, const char *key, bool *flag)
{
    ink_json member;
    INK_TRY(ink_json_require(r->ctx, &r->json, node, key, &member));
    return ink_json_get_bool(r->ctx, &r->json, member, flag);
}

static ink_result read_token(ink_tokenizer_reader *r, ink_json node, pattern *p)
{
    ink_added_token token = {0};
    bool special = false, normalized = false;
    INK_TRY(ink_read_members(r, node, "id content single_word lstrip rstrip normalized special"));
    INK_TRY(ink_read_text(r, ink_json_member(&r->json, node, "content"), &p->content, &p->content_size));
    INK_TRY(read_flag(r, node, "special", &special));
    INK_TRY(read_flag(r, node, "normalized", &normalized));
    INK_TRY(read_flag(r, node, "lstrip", &token.left_strip));
    INK_TRY(read_flag(r, node, "rstrip", &token.right_strip));
    INK_TRY(read_flag(r, node, "single_word", &token.single_word));
    p->text = p->content;
    p->size = p->content_size;
    p->set = normalized ? INK_ADDED_NORMALIZED : INK_ADDED_RAW;
    INK_TRY(ink_read_normalized(r, node, &p->text, &p->size));
    if (ink_size_max(p->size, p->content_size) > INK_ADDED_LONGEST)
        return ink_fail(r->ctx, INK_ERROR_LIMIT, "%s: added token '%.*s' has %zu bytes; the limit is %zu", r->json.file,
                        (int)p->content_size, p->content, p->content_size, (size_t)INK_ADDED_LONGEST);
    if (p->size == 0)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "the normalizer leaves nothing of this token");
    INK_TRY(place(r, node, p, &token.id));
    if (special)
        r->tokenizer->vocab.tokens[token.id].special = true;
    r->tokenizer->added.tokens[r->tokenizer->added.n_tokens++] = token;
    return INK_OK;
}

/* Of two tokens that the normalizer makes equal the first is found, as in the reference. */
static ink_result put_patterns(ink_tokenizer_reader *r, const pattern *patterns)
{
    ink_added *added = &r->tokenizer->added;
    size_t bytes = 0;
    for (size_t i = 0; i < added->n_tokens; i++)
        bytes += patterns[i].content_size + patterns[i].size;
    INK_TRY(ink_trie_start(r->ctx, r->arena, bytes, &added->trie));
    for (size_t i = 0; i < added->n_tokens; i++) {
        const pattern *p = &patterns[i];
        if (!ink_trie_put(&added->trie, INK_ADDED_CONTENT, p->content, p->content_size, (uint32_t)i))
            return ink_fail(r->ctx, INK_ERROR_CORRUPT, "%s: added_tokens[%zu]: another added token has this content",
                            r->json.file, i);
        ink_trie_put(&added->trie, p->set, p->text, p->size, (uint32_t)i);
    }
    return INK_OK;
}

ink_result ink_read_added(ink_tokenizer_reader *r)
{
    ink_added *added = &r->tokenizer->added;
    size_t n = r->added_tokens != INK_JSON_NONE ? ink_read_node(r, r->added_tokens)->n_children : 0, i = 0;
    pattern *patterns = ink_arena_alloc(r->arena, n, sizeof *patterns);
    added->tokens = ink_arena_alloc(r->arena, n, sizeof *added->tokens);
    if (ink_arena_failed(r->arena))
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %zu added tokens", n);
    ink_json child = n > 0 ? ink_json_first(&r->json, r->added_tokens) : INK_JSON_NONE;
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(read_token(r, child, &patterns[i++]));
    return put_patterns(r, patterns);
}
