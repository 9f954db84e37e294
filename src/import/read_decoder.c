/*
 * read_decoder.c - the components of "decoder".
 *
 * Steps over single tokens come first; then ByteFallback or Fuse bring tokens together, after which only the beginning
 * of the text can still change (Strip).
 */
#include "tokenizer_read.h"

static ink_result refuse(ink_tokenizer_reader *r, ink_json node, const char *reason)
{
    return ink_read_refuse(r, INK_ERROR_UNSUPPORTED, node, reason);
}

static ink_result add(ink_tokenizer_reader *r, ink_json node, const ink_decode_step *step)
{
    ink_decoder *decoder = &r->tokenizer->decoder;
    if (decoder->byte_level || decoder->byte_fallback || decoder->fused)
        return refuse(r, node, "this is not supported after ByteLevel, ByteFallback or Fuse");
    if (decoder->n_steps == INK_DECODE_STEPS)
        return ink_read_refuse(r, INK_ERROR_LIMIT, node, "more steps than the 24 that are supported");
    decoder->steps[decoder->n_steps++] = *step;
    return INK_OK;
}

static ink_result add_replace(ink_tokenizer_reader *r, ink_json node, const char *from, const char *to)
{
    ink_decode_step step = {.apply = ink_decode_replace, .from.size = strlen(from), .to.size = strlen(to)};
    memcpy(step.from.bytes, from, step.from.size);
    memcpy(step.to.bytes, to, step.to.size);
    return add(r, node, &step);
}

static ink_result read_byte_level(ink_tokenizer_reader *r, ink_json node)
{
    ink_decoder *decoder = &r->tokenizer->decoder;
    if (decoder->n_steps > 0 || decoder->byte_level || decoder->byte_fallback || decoder->fused)
        return refuse(r, node, "ByteLevel is supported as the only step");
    decoder->byte_level = true;
    return INK_OK;
}

static ink_result read_byte_fallback(ink_tokenizer_reader *r, ink_json node)
{
    ink_decoder *decoder = &r->tokenizer->decoder;
    if (decoder->byte_level || decoder->byte_fallback || decoder->fused)
        return refuse(r, node, "this is not supported after ByteLevel, ByteFallback or Fuse");
    decoder->byte_fallback = true;
    return INK_OK;
}

static ink_result read_fuse(ink_tokenizer_reader *r, ink_json node)
{
    (void)node;
    r->tokenizer->decoder.fused = true;
    return INK_OK;
}

static ink_result read_replace(ink_tokenizer_reader *r, ink_json node)
{
    ink_decode_step step = {.apply = ink_decode_replace};
    const char *regex;
    INK_TRY(ink_read_pattern(r, node, &step.from, &regex));
    if (regex != NULL)
        return refuse(r, ink_json_member(&r->json, node, "pattern"),
                      "a regular expression is not supported here; a String is");
    INK_TRY(ink_read_short(r, node, "content", &step.to));
    return add(r, node, &step);
}

static ink_result read_strip(ink_tokenizer_reader *r, ink_json node)
{
    ink_decoder *decoder = &r->tokenizer->decoder;
    ink_decode_step step = {.apply = ink_decode_strip};
    INK_TRY(ink_read_character(r, node, "content", &step.from));
    INK_TRY(ink_json_read_size(r->ctx, &r->json, node, "start", 0, INT32_MAX, &step.start));
    INK_TRY(ink_json_read_size(r->ctx, &r->json, node, "stop", 0, INT32_MAX, &step.stop));
    if (!decoder->fused || decoder->byte_level)
        return add(r, node, &step);
    if (step.stop > 0)
        return refuse(r, node, "nothing can be stripped at the end of a text that comes piece by piece");
    if (decoder->strip.from.size > 0)
        return refuse(r, node, "a second Strip after Fuse is not supported");
    decoder->strip = step;
    return INK_OK;
}

static ink_result read_metaspace(ink_tokenizer_reader *r, ink_json node)
{
    ink_decode_step first = {.apply = ink_decode_drop}, others = {.apply = ink_decode_replace, .to = {" ", 1}};
    const char *scheme = "always";
    bool add_prefix_space;
    INK_TRY(ink_read_character(r, node, "replacement", &first.from));
    INK_TRY(ink_read_flag(r, node, "add_prefix_space", true, &add_prefix_space));
    INK_TRY(ink_json_read_string(r->ctx, &r->json, node, "prepend_scheme", &scheme));
    others.from = first.from;
    if (add_prefix_space && strcmp(scheme, "never") != 0)
        INK_TRY(add(r, node, &first));
    return add(r, node, &others);
}

/* The clean-up of transformers: spaces that English does not write. */
static ink_result add_cleanup(ink_tokenizer_reader *r, ink_json node)
{
    static const char *const pairs[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                           {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                           {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        INK_TRY(add_replace(r, node, pairs[i][0], pairs[i][1]));
    return INK_OK;
}

static ink_result read_wordpiece(ink_tokenizer_reader *r, ink_json node)
{
    ink_decode_step step = {.apply = ink_decode_join, .from = {"##", 2}, .to = {" ", 1}};
    bool cleanup;
    if (ink_json_member(&r->json, node, "prefix") != INK_JSON_NONE)
        INK_TRY(ink_read_short(r, node, "prefix", &step.from));
    if (step.from.size == 0)
        step.to.size = 0; /* every token begins with nothing, so none gains a space */
    INK_TRY(ink_read_flag(r, node, "cleanup", true, &cleanup));
    INK_TRY(add(r, node, &step));
    return cleanup ? add_cleanup(r, node) : INK_OK;
}

ink_result ink_read_decoder_end(ink_tokenizer_reader *r, ink_json node)
{
    ink_decoder *decoder = &r->tokenizer->decoder;
    ink_decode_step spaces = {.apply = ink_decode_join, .to = {" ", 1}};
    if (decoder->byte_level != r->tokenizer->vocab.byte_level)
        return ink_fail(r->ctx, INK_ERROR_UNSUPPORTED,
                        "%s: decoder: ByteLevel is supported with the pre-tokenizer ByteLevel, and only with it",
                        r->json.file);
    if (node == INK_JSON_NONE)
        INK_TRY(add(r, 0, &spaces));
    decoder->room = r->tokenizer->vocab.longest;
    for (size_t i = 0; i < decoder->n_steps; i++)
        if (!ink_decode_room(&decoder->steps[i], decoder->room, &decoder->room) || decoder->room > UINT32_MAX)
            return ink_read_refuse(r, INK_ERROR_LIMIT, node, "it makes tokens too long");
    return INK_OK;
}

const ink_component ink_decoder_components[] = {
    {"ByteFallback", "type", read_byte_fallback},
    {"ByteLevel", "type add_prefix_space trim_offsets use_regex", read_byte_level},
    {"Fuse", "type", read_fuse},
    {"Metaspace", "type replacement add_prefix_space prepend_scheme split str_rep", read_metaspace},
    {"Replace", "type pattern content", read_replace},
    {"Strip", "type content start stop", read_strip},
    {"WordPiece", "type prefix cleanup", read_wordpiece},
    {NULL, NULL, NULL}};
