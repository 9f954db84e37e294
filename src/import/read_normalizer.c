/*
 * read_normalizer.c - the components of "normalizer".
 */
#include "tokenizer_read.h"
#include "../text/unicode.h"
#include "../base/bytes.h"

static ink_result add(ink_tokenizer_reader *r, ink_json node, const ink_normal_step *step)
{
    ink_normalizer *normalizer = &r->tokenizer->normalizer;
    if (normalizer->n_steps == INK_NORMAL_STEPS)
        return ink_read_refuse(r, INK_ERROR_LIMIT, node, "more steps than the 16 that are supported");
    normalizer->steps[normalizer->n_steps++] = *step;
    return INK_OK;
}

static ink_result add_if(ink_tokenizer_reader *r, ink_json node, bool wanted, ink_normal_fn apply, unsigned properties)
{
    ink_normal_step step = {.apply = apply, .properties = properties};
    return wanted ? add(r, node, &step) : INK_OK;
}

/* A short string as code points; there are no more of them than bytes. */
static ink_result read_codes(ink_tokenizer_reader *r, ink_json node, const ink_short_text *text,
                             ink_normal_string *codes)
{
    codes->n = 0;
    for (size_t i = 0; i < text->size;) {
        if (codes->n == INK_NORMAL_STRING)
            return ink_read_refuse(r, INK_ERROR_LIMIT, node, "a string of more than the 16 characters supported");
        i += ink_utf8_next(text->bytes + i, text->size - i, &codes->at[codes->n++]);
    }
    return INK_OK;
}

static ink_result read_nfc(ink_tokenizer_reader *r, ink_json node) { return add_if(r, node, true, ink_normal_nfc, 0); }

static ink_result read_nfd(ink_tokenizer_reader *r, ink_json node) { return add_if(r, node, true, ink_normal_nfd, 0); }

static ink_result read_lowercase(ink_tokenizer_reader *r, ink_json node)
{
    return add_if(r, node, true, ink_normal_lowercase, 0);
}

static ink_result read_strip_accents(ink_tokenizer_reader *r, ink_json node)
{
    return add_if(r, node, true, ink_normal_drop, INK_UNICODE_MARK);
}

static ink_result read_strip(ink_tokenizer_reader *r, ink_json node)
{
    ink_normal_step step = {.apply = ink_normal_strip};
    INK_TRY(ink_read_flag(r, node, "strip_left", true, &step.left));
    INK_TRY(ink_read_flag(r, node, "strip_right", true, &step.right));
    return add(r, node, &step);
}

static ink_result read_prepend(ink_tokenizer_reader *r, ink_json node)
{
    ink_normal_step step = {.apply = ink_normal_prepend};
    ink_short_text text;
    INK_TRY(ink_read_short(r, node, "prepend", &text));
    INK_TRY(read_codes(r, node, &text, &step.to));
    return add(r, node, &step);
}

static ink_result read_replace(ink_tokenizer_reader *r, ink_json node)
{
    ink_normal_step step = {.apply = ink_normal_replace};
    ink_short_text pattern, content;
    const char *regex;
    INK_TRY(ink_read_pattern(r, node, &pattern, &regex));
    if (regex != NULL)
        return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, ink_json_member(&r->json, node, "pattern"),
                               "a regular expression is not supported here; a String is");
    INK_TRY(ink_read_short(r, node, "content", &content));
    INK_TRY(read_codes(r, node, &pattern, &step.from));
    INK_TRY(read_codes(r, node, &content, &step.to));
    return add(r, node, &step);
}

/* Devlin et al. 2019, as BERT's own code does it. Accents go where letters become small unless the file says. */
static ink_result read_bert(ink_tokenizer_reader *r, ink_json node)
{
    bool clean_text, chinese, lowercase, strip_accents;
    INK_TRY(ink_read_flag(r, node, "clean_text", true, &clean_text));
    INK_TRY(ink_read_flag(r, node, "handle_chinese_chars", true, &chinese));
    INK_TRY(ink_read_flag(r, node, "lowercase", true, &lowercase));
    INK_TRY(ink_read_flag(r, node, "strip_accents", lowercase, &strip_accents));
    INK_TRY(add_if(r, node, clean_text, ink_normal_drop, INK_UNICODE_CONTROL));
    INK_TRY(add_if(r, node, clean_text, ink_normal_space, 0));
    INK_TRY(add_if(r, node, chinese, ink_normal_chinese, 0));
    INK_TRY(add_if(r, node, strip_accents, ink_normal_nfd, 0));
    INK_TRY(add_if(r, node, strip_accents, ink_normal_drop, INK_UNICODE_ACCENT));
    return add_if(r, node, lowercase, ink_normal_lowercase, 0);
}

const ink_component ink_normalizer_components[] = {
    {"BertNormalizer", "type clean_text handle_chinese_chars strip_accents lowercase", read_bert},
    {"Lowercase", "type", read_lowercase},
    {"NFC", "type", read_nfc},
    {"NFD", "type", read_nfd},
    {"Prepend", "type prepend", read_prepend},
    {"Replace", "type pattern content", read_replace},
    {"Strip", "type strip_left strip_right", read_strip},
    {"StripAccents", "type", read_strip_accents},
    {NULL, NULL, NULL}};
