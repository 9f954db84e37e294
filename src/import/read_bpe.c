/*
 * read_bpe.c - the model of type BPE: merges, and the few options that change ids.
 */
#include <string.h>

#include "tokenizer_read.h"

/* Both halves of a merge, as the file spells them. */
typedef struct pair {
    const char *text[2];
    size_t size[2];
} pair;

static ink_token find_joined(ink_tokenizer_reader *r, const pair *p)
{
    if (p->size[0] > r->longest || p->size[1] > r->longest - p->size[0])
        return -1;
    memcpy(r->spelling, p->text[0], p->size[0]);
    memcpy(r->spelling + p->size[0], p->text[1], p->size[1]);
    return ink_read_find(r, r->spelling, p->size[0] + p->size[1]);
}

/* Merges are written "left right" in older files, ["left", "right"] in newer ones. */
static ink_result read_pair(ink_tokenizer_reader *r, ink_json node, pair *p)
{
    const ink_json_node *entry = ink_read_node(r, node);
    if (entry->kind == INK_JSON_STRING) {
        const char *space = memchr(entry->string, ' ', entry->string_size);
        if (space == NULL)
            return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "expected two tokens with a space between them");
        p->text[0] = entry->string;
        p->size[0] = (size_t)(space - entry->string);
        p->text[1] = space + 1;
        p->size[1] = entry->string_size - p->size[0] - 1;
        if (memchr(p->text[1], ' ', p->size[1]) != NULL)
            return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "expected two tokens, there are two spaces");
        return INK_OK;
    }
    INK_TRY(ink_json_expect(r->ctx, &r->json, node, INK_JSON_ARRAY));
    if (entry->n_children != 2)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "expected an array of two strings");
    ink_json left = ink_json_first(&r->json, node);
    INK_TRY(ink_read_text(r, left, &p->text[0], &p->size[0]));
    return ink_read_text(r, ink_json_next(&r->json, left), &p->text[1], &p->size[1]);
}

static ink_result read_merge(ink_tokenizer_reader *r, ink_json node, ink_bpe_merge *merge)
{
    pair p = {{NULL, NULL}, {0, 0}};
    INK_TRY(read_pair(r, node, &p));
    merge->left = ink_read_find(r, p.text[0], p.size[0]);
    merge->right = ink_read_find(r, p.text[1], p.size[1]);
    if (merge->left < 0)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "the left token is not in the vocabulary");
    if (merge->right < 0)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "the right token is not in the vocabulary");
    merge->merged = find_joined(r, &p);
    if (merge->merged < 0)
        return ink_read_refuse(r, INK_ERROR_CORRUPT, node, "the merged token is not in the vocabulary");
    return INK_OK;
}

static ink_result read_merges(ink_tokenizer_reader *r, ink_json model)
{
    ink_bpe *bpe = &r->tokenizer->bpe;
    ink_json merges;
    INK_TRY(ink_json_require(r->ctx, &r->json, model, "merges", &merges));
    INK_TRY(ink_json_expect(r->ctx, &r->json, merges, INK_JSON_ARRAY));
    bpe->merges = ink_arena_alloc(r->arena, ink_read_node(r, merges)->n_children, sizeof *bpe->merges);
    if (bpe->merges == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", r->json.file);
    ink_json child = ink_json_first(&r->json, merges);
    for (; child != INK_JSON_NONE; child = ink_json_next(&r->json, child))
        INK_TRY(read_merge(r, child, &bpe->merges[bpe->n_merges++]));
    return ink_bpe_index(r->ctx, r->arena, r->json.file, bpe);
}

/* With all 256 there is no text that cannot be encoded, and unk_token, fuse_unk and byte_fallback never apply. */
static ink_result read_bytes(ink_tokenizer_reader *r)
{
    ink_bpe *bpe = &r->tokenizer->bpe;
    for (size_t i = 0; i < 256; i++) {
        char byte = (char)i;
        bpe->byte_id[i] = ink_vocab_find(&r->tokenizer->vocab, &byte, 1, false);
        if (bpe->byte_id[i] < 0)
            return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                            "%s: model.vocab: no token for the byte %zu; a byte-level vocabulary must have all 256",
                            r->json.file, i);
    }
    return INK_OK;
}

/* <0x00> to <0xFF>, as far as they are there; a file that names a byte otherwise names none. */
static void read_fallback(ink_tokenizer_reader *r)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < 256; i++) {
        const char name[6] = {'<', '0', 'x', digits[i / 16], digits[i % 16], '>'};
        r->tokenizer->bpe.byte_id[i] = ink_vocab_find(&r->tokenizer->vocab, name, sizeof name, false);
    }
}

/* Marks at the seams of words belong to other kinds of BPE. */
static ink_result refuse_marks(ink_tokenizer_reader *r, ink_json model)
{
    static const char *const marks[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++) {
        ink_json mark = ink_json_member(&r->json, model, marks[i]);
        if (mark == INK_JSON_NONE)
            continue;
        INK_TRY(ink_json_expect(r->ctx, &r->json, mark, INK_JSON_STRING));
        if (ink_read_node(r, mark)->string_size != 0)
            return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, mark, "is not supported by this BPE");
    }
    return INK_OK;
}

/* Merges that are left out by chance, as in training (Provilkov et al. 2020): ids would be others each time. */
static ink_result refuse_dropout(ink_tokenizer_reader *r, ink_json model)
{
    double dropout = 0;
    INK_TRY(ink_json_read_float(r->ctx, &r->json, model, "dropout", &dropout));
    if (dropout != 0)
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, ink_json_member(&r->json, model, "dropout"),
                               "only 0 is supported");
    return INK_OK;
}

ink_result ink_read_bpe(ink_tokenizer_reader *r, ink_json model)
{
    ink_bpe *bpe = &r->tokenizer->bpe;
    r->tokenizer->model = INK_MODEL_BPE;
    bpe->byte_level = r->tokenizer->vocab.byte_level;
    bpe->unk = -1;
    INK_TRY(ink_read_flag(r, model, "ignore_merges", false, &bpe->ignore_merges));
    INK_TRY(ink_read_flag(r, model, "byte_fallback", false, &bpe->byte_fallback));
    INK_TRY(ink_read_flag(r, model, "fuse_unk", false, &bpe->fuse_unk));
    INK_TRY(refuse_marks(r, model));
    INK_TRY(refuse_dropout(r, model));
    INK_TRY(ink_read_vocab(r, model));
    if (bpe->byte_level) {
        INK_TRY(read_bytes(r));
    } else {
        read_fallback(r);
        INK_TRY(ink_read_unk(r, model, NULL, &bpe->unk));
    }
    r->tokenizer->unk = bpe->unk;
    return read_merges(r, model);
}
