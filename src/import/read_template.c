/*
 * read_template.c - the components of "post_processor": the control tokens around a text or a pair.
 *
 *     "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
 *     "special_tokens": {"<s>": {"id": "<s>", "ids": [1]}}
 */
#include "tokenizer_read.h"

/* Walks the pieces of "single" and "pair"; counts them first, and writes them once there is room. */
typedef struct walk {
    ink_json special_tokens;
    ink_template_piece *pieces; /* NULL while counting */
    size_t n;
    size_t n_texts[2]; /* how often each text was there */
} walk;

static void put(walk *w, ink_token id, ink_token type)
{
    if (w->pieces != NULL)
        w->pieces[w->n] = (ink_template_piece){id, type};
    w->n++;
}

static ink_result refuse_second(ink_tokenizer_reader *r, ink_json node)
{
    return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, node, "a second template is not supported");
}

static ink_result keep(ink_tokenizer_reader *r, const ink_template_piece *pieces, size_t n_single, size_t n_pair)
{
    ink_template *template = &r->tokenizer->template;
    template->pieces = ink_arena_alloc(r->arena, n_single + n_pair, sizeof *pieces);
    if (template->pieces == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->json.file);
    memcpy(template->pieces, pieces, (n_single + n_pair) * sizeof *pieces);
    template->n[0] = n_single;
    template->n[1] = n_pair;
    return INK_OK;
}

ink_result ink_read_no_template(ink_tokenizer_reader *r)
{
    static const ink_template_piece texts[] = {{INK_TEMPLATE_A, 0}, {INK_TEMPLATE_A, 0}, {INK_TEMPLATE_B, 1}};
    return keep(r, texts, 1, 2);
}

/* ---- TemplateProcessing ----------------------------------------------------------------------------------------- */

static ink_result read_known_id(ink_tokenizer_reader *r, ink_json node, ink_token *id)
{
    INK_TRY(ink_read_id(r, node, id));
    if (!ink_vocab_has(&r->tokenizer->vocab, *id))
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "no token has this id");
    return INK_OK;
}

static ink_result add_special(ink_tokenizer_reader *r, walk *w, ink_json piece, ink_token type)
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
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child)) {
        ink_token id = 0;
        INK_TRY(read_known_id(r, child, &id));
        put(w, id, type);
    }
    return INK_OK;
}

static ink_result add_text(ink_tokenizer_reader *r, walk *w, ink_json piece, ink_token type)
{
    ink_json name;
    const char *text = NULL;
    size_t size = 0;
    INK_TRY(ink_json_require(r->ctx, &r->json, piece, "id", &name));
    INK_TRY(ink_read_text(r, name, &text, &size));
    if (size != 1 || (text[0] != 'A' && text[0] != 'B'))
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, name, "a text is called A or B");
    w->n_texts[text[0] - 'A']++;
    put(w, text[0] == 'A' ? INK_TEMPLATE_A : INK_TEMPLATE_B, type);
    return INK_OK;
}

static ink_result add_piece(ink_tokenizer_reader *r, walk *w, ink_json piece)
{
    INK_TRY(ink_json_expect(r->ctx, &r->json, piece, INK_JSON_OBJECT));
    ink_json special = ink_json_member(&r->json, piece, "SpecialToken");
    ink_json sequence = ink_json_member(&r->json, piece, "Sequence");
    ink_json inner = special != INK_JSON_NONE ? special : sequence;
    int64_t type = 0;
    if (ink_read_node(r, piece)->n_children != 1)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, piece, "expected one member");
    if (inner == INK_JSON_NONE)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, piece, "expected SpecialToken or Sequence");
    INK_TRY(ink_json_expect(r->ctx, &r->json, inner, INK_JSON_OBJECT));
    INK_TRY(ink_json_read_int(r->ctx, &r->json, inner, "type_id", 0, INT32_MAX - 1, &type));
    return inner == special ? add_special(r, w, inner, (ink_token)type) : add_text(r, w, inner, (ink_token)type);
}

/* The pieces of "single", which must hold A, or of "pair", which must hold A and B, each once. */
static ink_result add_pieces(ink_tokenizer_reader *r, walk *w, ink_json processor, bool pair)
{
    ink_json pieces;
    INK_TRY(ink_json_require(r->ctx, &r->json, processor, pair ? "pair" : "single", &pieces));
    INK_TRY(ink_json_expect(r->ctx, &r->json, pieces, INK_JSON_ARRAY));
    w->n_texts[0] = w->n_texts[1] = 0;
    ink_json child = ink_json_first(&r->json, pieces);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(add_piece(r, w, child));
    if (w->n_texts[0] != 1 || w->n_texts[1] != (pair ? 1 : 0))
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, pieces,
                               pair ? "expected each of the texts A and B once" : "expected the text A once");
    return INK_OK;
}

static ink_result read_template(ink_tokenizer_reader *r, ink_json processor)
{
    ink_template *template = &r->tokenizer->template;
    walk w = {.n = 0};
    if (template->pieces != NULL)
        return refuse_second(r, processor);
    INK_TRY(ink_json_require(r->ctx, &r->json, processor, "special_tokens", &w.special_tokens));
    INK_TRY(ink_json_expect(r->ctx, &r->json, w.special_tokens, INK_JSON_OBJECT));
    INK_TRY(add_pieces(r, &w, processor, false));
    template->n[0] = w.n;
    INK_TRY(add_pieces(r, &w, processor, true));
    template->n[1] = w.n - template->n[0];
    w.pieces = ink_arena_alloc(r->arena, w.n, sizeof *w.pieces);
    if (w.pieces == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->json.file);
    w.n = 0;
    INK_TRY(add_pieces(r, &w, processor, false));
    INK_TRY(add_pieces(r, &w, processor, true));
    template->pieces = w.pieces;
    return INK_OK;
}

/* ---- BertProcessing, RobertaProcessing -------------------------------------------------------------------------- */

/* A member ["[SEP]", 102]. */
static ink_result read_token(ink_tokenizer_reader *r, ink_json processor, const char *key, ink_token *id)
{
    ink_json pair;
    INK_TRY(ink_json_require(r->ctx, &r->json, processor, key, &pair));
    INK_TRY(ink_json_expect(r->ctx, &r->json, pair, INK_JSON_ARRAY));
    if (ink_read_node(r, pair)->n_children != 2)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, pair, "expected a token and its id");
    return read_known_id(r, ink_json_next(&r->json, ink_json_first(&r->json, pair)), id);
}

static ink_result read_bert(ink_tokenizer_reader *r, ink_json processor)
{
    ink_token cls, sep;
    if (r->tokenizer->template.pieces != NULL)
        return refuse_second(r, processor);
    INK_TRY(read_token(r, processor, "cls", &cls));
    INK_TRY(read_token(r, processor, "sep", &sep));
    const ink_template_piece pieces[] = {{cls, 0}, {INK_TEMPLATE_A, 0}, {sep, 0}, {cls, 0}, {INK_TEMPLATE_A, 0},
                                         {sep, 0}, {INK_TEMPLATE_B, 1}, {sep, 1}};
    return keep(r, pieces, 3, 5);
}

/* RoBERTa has one token type. */
static ink_result read_roberta(ink_tokenizer_reader *r, ink_json processor)
{
    ink_token cls, sep;
    if (r->tokenizer->template.pieces != NULL)
        return refuse_second(r, processor);
    INK_TRY(read_token(r, processor, "cls", &cls));
    INK_TRY(read_token(r, processor, "sep", &sep));
    const ink_template_piece pieces[] = {{cls, 0}, {INK_TEMPLATE_A, 0}, {sep, 0},
                                         {cls, 0}, {INK_TEMPLATE_A, 0}, {sep, 0},
                                         {sep, 0}, {INK_TEMPLATE_B, 0}, {sep, 0}};
    return keep(r, pieces, 3, 6);
}

const ink_component ink_post_processor_components[] = {
    {"BertProcessing", "type sep cls", read_bert},
    {"ByteLevel", "type add_prefix_space trim_offsets use_regex", ink_read_nothing},
    {"RobertaProcessing", "type sep cls trim_offsets add_prefix_space", read_roberta},
    {"TemplateProcessing", "type single pair special_tokens", read_template},
    {NULL, NULL, NULL}};
