/*
 * read_template.c - the post-processor TemplateProcessing: the control tokens around a text, such as BOS and EOS.
 *
 *     "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]
 *     "special_tokens": {"<s>": {"id": "<s>", "ids": [1]}}
 */
#include "tokenizer_read.h"

/* Walks the pieces of "single"; counts ids before and after the text, and writes them once there is room. */
typedef struct walk {
    ink_json special_tokens;
    size_t count[2];     /* of ids before the text, after it */
    size_t n_texts;      /* pieces that stand for the text */
    ink_token *template; /* NULL while counting */
} walk;

static ink_result add_id(ink_tokenizer_reader *r, walk *w, ink_json node)
{
    ink_token id = 0;
    INK_TRY(ink_read_id(r, node, &id));
    if (!ink_vocab_has(&r->tokenizer->vocab, id))
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "no token has this id");
    if (w->template != NULL)
        w->template[w->count[0] + w->count[1]] = id;
    w->count[w->n_texts]++;
    return INK_OK;
}

static ink_result add_special(ink_tokenizer_reader *r, walk *w, ink_json piece)
{
    ink_json name, token, ids;
    const char *key = NULL;
    size_t size = 0;
    INK_TRY(ink_json_require(r->ctx, &r->json, piece, "id", &name));
    INK_TRY(ink_read_text(r, name, &key, &size));
    INK_TRY(ink_json_require(r->ctx, &r->json, w->special_tokens, key, &token));
    INK_TRY(ink_json_expect(r->ctx, &r->json, token, INK_JSON_OBJECT));
    INK_TRY(ink_json_require(r->ctx, &r->json, token, "ids", &ids));
    INK_TRY(ink_json_expect(r->ctx, &r->json, ids, INK_JSON_ARRAY));
    ink_json child = ink_json_first(&r->json, ids);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(add_id(r, w, child));
    return INK_OK;
}

static ink_result add_text(ink_tokenizer_reader *r, walk *w, ink_json piece)
{
    ink_json name;
    const char *text = NULL;
    size_t size = 0;
    INK_TRY(ink_json_require(r->ctx, &r->json, piece, "id", &name));
    INK_TRY(ink_read_text(r, name, &text, &size));
    if (size != 1 || text[0] != 'A')
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, name, "the template of a single text has no other than A");
    if (w->n_texts > 0)
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, piece, "the text is in the template twice");
    w->n_texts++;
    return INK_OK;
}

static ink_result add_piece(ink_tokenizer_reader *r, walk *w, ink_json piece)
{
    INK_TRY(ink_json_expect(r->ctx, &r->json, piece, INK_JSON_OBJECT));
    ink_json special = ink_json_member(&r->json, piece, "SpecialToken");
    ink_json sequence = ink_json_member(&r->json, piece, "Sequence");
    if (ink_read_node(r, piece)->n_children != 1)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, piece, "expected one member");
    if (special != INK_JSON_NONE) {
        INK_TRY(ink_json_expect(r->ctx, &r->json, special, INK_JSON_OBJECT));
        return add_special(r, w, special);
    }
    if (sequence == INK_JSON_NONE)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, piece, "expected SpecialToken or Sequence");
    INK_TRY(ink_json_expect(r->ctx, &r->json, sequence, INK_JSON_OBJECT));
    return add_text(r, w, sequence);
}

static ink_result add_pieces(ink_tokenizer_reader *r, walk *w, ink_json single)
{
    ink_json child = ink_json_first(&r->json, single);
    w->count[0] = w->count[1] = w->n_texts = 0;
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(add_piece(r, w, child));
    if (w->n_texts != 1)
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, single, "the text is not in the template");
    return INK_OK;
}

ink_result ink_read_template(ink_tokenizer_reader *r, ink_json processor)
{
    ink_tokenizer *t = r->tokenizer;
    walk w = {0};
    ink_json single;
    INK_TRY(ink_json_require(r->ctx, &r->json, processor, "single", &single));
    INK_TRY(ink_json_expect(r->ctx, &r->json, single, INK_JSON_ARRAY));
    INK_TRY(ink_json_require(r->ctx, &r->json, processor, "special_tokens", &w.special_tokens));
    INK_TRY(ink_json_expect(r->ctx, &r->json, w.special_tokens, INK_JSON_OBJECT));
    INK_TRY(add_pieces(r, &w, single));
    w.template = ink_arena_take(r->arena, w.count[0] + w.count[1], sizeof *w.template);
    if (w.template == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", INK_TOKENIZER_FILE);
    INK_TRY(add_pieces(r, &w, single));
    t->template = w.template;
    t->n_before = w.count[0];
    t->n_after = w.count[1];
    return INK_OK;
}
