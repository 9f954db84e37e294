/*
 * read_config.c - what tokenizer_config.json and special_tokens_map.json say beside tokenizer.json: which tokens play
 * which part, and how long a text the model was made for. Neither file has to be there.
 */
#include <string.h>

#include "tokenizer_read.h"

static ink_result open_if_there(ink_tokenizer_reader *r, const char *name, ink_json_document *document)
{
    ink_result result = ink_json_open(r->ctx, r->arena, r->source, name, INK_TOKENIZER_MAX_BYTES, document);
    if (ink_is_missing(r->ctx, result))
        return INK_OK;
    return result != INK_OK ? result : ink_json_expect(r->ctx, document, 0, INK_JSON_OBJECT);
}

ink_result ink_read_config_open(ink_tokenizer_reader *r)
{
    INK_TRY(open_if_there(r, "tokenizer_config.json", &r->config));
    return open_if_there(r, "special_tokens_map.json", &r->map);
}

const char *const ink_control_keys[INK_N_CONTROLS] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                      "pad_token", "cls_token", "mask_token"};

ink_result ink_read_control(ink_tokenizer_reader *r, size_t which, const ink_json_document **document, ink_json *node)
{
    const ink_json_document *const places[] = {&r->config, &r->map};
    *node = INK_JSON_NONE;
    for (size_t i = 0; i < 2 && *node == INK_JSON_NONE; i++) {
        *document = places[i];
        if (places[i]->n_nodes != 0)
            *node = ink_json_member(places[i], 0, ink_control_keys[which]);
    }
    if (*node == INK_JSON_NONE || (*document)->nodes[*node].kind == INK_JSON_STRING)
        return INK_OK;
    INK_TRY(ink_json_expect(r->ctx, *document, *node, INK_JSON_OBJECT));
    return ink_json_require(r->ctx, *document, *node, "content", node);
}

/* ---- what the tokenizer takes from them ------------------------------------------------------------------------- */

static ink_result read_named(ink_tokenizer_reader *r)
{
    for (size_t i = 0; i < INK_N_CONTROLS; i++) {
        const ink_json_document *document = NULL;
        const char *text = NULL;
        ink_json node;
        size_t size = 0;
        r->tokenizer->controls[i] = -1;
        INK_TRY(ink_read_control(r, i, &document, &node));
        if (node == INK_JSON_NONE)
            continue;
        INK_TRY(ink_json_get_string(r->ctx, document, node, &text, &size));
        r->tokenizer->controls[i] = ink_tokenizer_find(r->tokenizer, text, size);
    }
    return INK_OK;
}

static void set_if_none(ink_tokenizer *t, ink_control which, ink_token id)
{
    if (t->controls[which] < 0)
        t->controls[which] = id;
}

/* bert-base-uncased and roberta-base, as they are published, name theirs nowhere: their classes know these. */
static void take_usual(ink_tokenizer *t, ink_control which, const char *spelling)
{
    ink_token id = ink_tokenizer_find(t, spelling, strlen(spelling));
    if (id >= 0 && ink_tokenizer_is_special(t, id))
        set_if_none(t, which, id);
}

/* Where no file names them. */
static ink_result read_implied(ink_tokenizer_reader *r)
{
    ink_tokenizer *t = r->tokenizer;
    ink_json padding = ink_json_member(&r->json, 0, "padding");
    int64_t pad = -1;
    size_t n, text = 0;
    const ink_template_piece *pieces = ink_template_of(&t->template, false, &n);
    while (pieces[text].id >= 0)
        text++;
    if (text > 0) {
        set_if_none(t, INK_CONTROL_BOS, pieces[0].id);
        set_if_none(t, INK_CONTROL_CLS, pieces[0].id);
    }
    if (text + 1 < n) {
        set_if_none(t, INK_CONTROL_EOS, pieces[text + 1].id);
        set_if_none(t, INK_CONTROL_SEP, pieces[text + 1].id);
    }
    set_if_none(t, INK_CONTROL_UNK, t->unk);
    if (padding != INK_JSON_NONE)
        INK_TRY(ink_json_read_int(r->ctx, &r->json, padding, "pad_id", 0, INT32_MAX, &pad));
    if (ink_vocab_has(&t->vocab, (ink_token)pad))
        set_if_none(t, INK_CONTROL_PAD, (ink_token)pad);
    take_usual(t, INK_CONTROL_PAD, "[PAD]");
    take_usual(t, INK_CONTROL_PAD, "<pad>");
    take_usual(t, INK_CONTROL_MASK, "[MASK]");
    take_usual(t, INK_CONTROL_MASK, "<mask>");
    return INK_OK;
}

ink_result ink_read_config(ink_tokenizer_reader *r)
{
    double length = -1.0; /* transformers writes 1e30 for no limit */
    INK_TRY(read_named(r));
    INK_TRY(read_implied(r));
    if (r->config.n_nodes != 0)
        INK_TRY(ink_json_read_float(r->ctx, &r->config, 0, "model_max_length", &length));
    r->tokenizer->max_length = length >= 0.0 && length < 9007199254740992.0 ? (size_t)length : SIZE_MAX;
    return INK_OK;
}
