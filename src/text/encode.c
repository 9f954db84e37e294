/*
 * encode.c - text to ids: the steps in their order.
 */
#include "tokenizer.h"

#include <string.h>

typedef struct encoder {
    ink_context *ctx;
    const ink_tokenizer *tokenizer;
    unsigned flags;
    ink_ids out;
} encoder;

/* A piece of text between added tokens; `at_start`: it is the beginning of the whole text. */
typedef ink_result (*piece_fn)(encoder *e, const char *text, size_t size, bool at_start);

static ink_result encode_word(void *user, const char *word, size_t size)
{
    encoder *e = user;
    const ink_tokenizer *t = e->tokenizer;
    INK_TRY(ink_ids_reserve(e->ctx, &e->out, size)); /* no model makes more ids than there are bytes */
    switch (t->model) {
    case INK_MODEL_BPE:
        return ink_bpe_encode(e->ctx, &t->bpe, &t->vocab, word, size, &e->out);
    case INK_MODEL_WORDPIECE:
        ink_wordpiece_encode(&t->wordpiece, word, size, &e->out);
        return INK_OK;
    default: { /* INK_MODEL_WORDLEVEL */
        ink_token id = ink_vocab_find(&t->vocab, word, size, false);
        ink_ids_add(&e->out, id >= 0 ? id : t->unk);
        return INK_OK;
    }
    }
}

static ink_result encode_normalized(encoder *e, const char *text, size_t size, bool at_start)
{
    return ink_pre_tokenize(e->ctx, &e->tokenizer->pre_tokenizer, text, size, at_start, encode_word, e);
}

/* Cuts the added tokens of a set out of the text; what lies between them goes on to the next step. */
static ink_result cut(encoder *e, ink_added_set set, const char *text, size_t size, bool at_start, piece_fn next)
{
    ink_added_match match = {0};
    size_t done = 0;
    while (ink_added_next(&e->tokenizer->added, set, text, size, &match)) {
        if (done < match.start)
            INK_TRY(next(e, text + done, match.start - done, at_start && done == 0));
        INK_TRY(ink_ids_reserve(e->ctx, &e->out, 1));
        ink_ids_add(&e->out, match.id);
        done = match.stop;
    }
    return done < size ? next(e, text + done, size - done, at_start && done == 0) : INK_OK;
}

static ink_result normalize(encoder *e, const char **text, size_t *size)
{
    static const ink_normalizer lowercase = {.steps = {{.apply = ink_normal_lowercase}}, .n_steps = 1};
    if ((e->flags & INK_ENCODE_LOWER) != 0)
        INK_TRY(ink_normalize(e->ctx, &lowercase, *text, *size, text, size));
    return ink_normalize(e->ctx, &e->tokenizer->normalizer, *text, *size, text, size);
}

static ink_result encode_plain(encoder *e, const char *text, size_t size, bool at_start)
{
    INK_TRY(normalize(e, &text, &size));
    return encode_normalized(e, text, size, at_start);
}

static ink_result encode_with_added(encoder *e, const char *text, size_t size, bool at_start)
{
    INK_TRY(normalize(e, &text, &size));
    return cut(e, INK_ADDED_NORMALIZED, text, size, at_start, encode_normalized);
}

/* The ids of one text, in scratch memory. At most `wanted` of them are kept. */
static ink_result encode_text(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size,
                              unsigned flags, size_t wanted, ink_ids *out)
{
    encoder e = {.ctx = ctx, .tokenizer = tokenizer, .flags = flags, .out.wanted = wanted};
    bool at_start = (flags & INK_ENCODE_CONTINUE) == 0;
    if (size > 0)
        INK_TRY((flags & INK_ENCODE_ADDED) != 0 ? cut(&e, INK_ADDED_RAW, text, size, at_start, encode_with_added)
                                                : encode_plain(&e, text, size, at_start));
    *out = e.out;
    return INK_OK;
}

/* ---- a text or a pair ------------------------------------------------------------------------------------------- */

/* What becomes of the input: the ids of its texts, of which length[i] are used. */
typedef struct encoding {
    ink_ids texts[2];
    size_t length[2];
    size_t n; /* with the control tokens */
} encoding;

static ink_result encode(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_encode_input *input,
                         size_t capacity, encoding *e)
{
    size_t extra = 0, wanted = capacity;
    if ((input->flags & INK_ENCODE_TEMPLATE) != 0)
        extra = ink_template_extra(&tokenizer->template, input->pair != NULL);
    if (input->max_length != 0) {
        if (input->max_length < extra)
            return ink_fail(ctx, INK_ERROR_LIMIT, "max_length is %zu, the template alone has %zu tokens",
                            input->max_length, extra);
        wanted = ink_size_min(wanted, input->max_length);
    }
    INK_TRY(encode_text(ctx, tokenizer, input->text, input->size, input->flags, wanted, &e->texts[0]));
    if (input->pair != NULL)
        INK_TRY(encode_text(ctx, tokenizer, input->pair, input->pair_size, input->flags, wanted, &e->texts[1]));
    for (int i = 0; i < 2; i++)
        e->length[i] = e->texts[i].n;
    if (input->max_length != 0)
        ink_template_truncate(e->length, input->max_length - extra);
    if (!ink_size_add(e->length[0], e->length[1], &e->n) || !ink_size_add(e->n, extra, &e->n))
        return ink_fail(ctx, INK_ERROR_LIMIT, "the texts have more ids than can be counted");
    return INK_OK;
}

ink_result ink_tokenizer_encode_input(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_encode_input *input,
                                      ink_token *ids, ink_token *types, size_t capacity, size_t *n)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, n);
    *n = 0;
    INK_REQUIRE(ctx, tokenizer);
    INK_REQUIRE(ctx, input);
    const char *text = input->text, *pair = input->pair;
    if (input->size > 0)
        INK_REQUIRE(ctx, text);
    if (input->pair_size > 0)
        INK_REQUIRE(ctx, pair);
    if (capacity > 0)
        INK_REQUIRE(ctx, ids);
    if ((input->flags & ~(unsigned)(INK_ENCODE_DEFAULT | INK_ENCODE_CONTINUE | INK_ENCODE_LOWER)) != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: unknown flags %zu", __func__, (size_t)input->flags);
    encoding e = {.n = 0};
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_result result = encode(ctx, tokenizer, input, capacity, &e);
    if (result == INK_OK)
        *n = e.n;
    if (result == INK_OK && *n > capacity)
        result = ink_fail(ctx, INK_ERROR_LIMIT, "the text is %zu tokens long, there is room for %zu", *n, capacity);
    const ink_token *texts[2] = {e.texts[0].ids, e.texts[1].ids};
    if (result == INK_OK && *n > 0)
        ink_template_write(&tokenizer->template, input->pair != NULL, (input->flags & INK_ENCODE_TEMPLATE) != 0, texts,
                           e.length, ids, types);
    ink_arena_release(&ctx->scratch, mark);
    return result;
}

ink_result ink_tokenizer_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size,
                                unsigned flags, ink_token *ids, size_t capacity, size_t *n)
{
    ink_encode_input input = {.text = text, .size = size, .flags = flags};
    return ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, capacity, n);
}
