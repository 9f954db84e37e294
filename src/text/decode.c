/*
 * decode.c - ids to text, whole and as a stream. The whole is a stream that is flushed at once.
 *
 * A decoder is a row of steps over each token by itself, and then a text is made of the bytes of all tokens in a row,
 * because a token can end in the middle of a character. Bytes that belong to no character become U+FFFD: in a
 * byte-level vocabulary one for each maximal subpart (utf8.h), as Rust's from_utf8_lossy does it for the reference;
 * with byte_fallback one for each byte of the run of byte tokens.
 */
#include "engine.h"
#include "unicode.h"

/* ---- steps over one token --------------------------------------------------------------------------------------- */

static size_t decode_copy(char *out, size_t n, const char *bytes, size_t size)
{
    memcpy(out + n, bytes, size);
    return n + size;
}

/* Every `from` becomes `to`. */
size_t ink_decode_replace(const ink_step *step, bool first, const char *token, size_t size, char *out)
{
    size_t n = 0;
    (void)first;
    for (size_t i = 0; i < size;) {
        bool found = ink_text_starts(&step->from, token + i, size - i);
        n = found ? decode_copy(out, n, step->to.bytes, step->to.size) : decode_copy(out, n, token + i, 1);
        i += found ? step->from.size : 1;
    }
    return n;
}

/* Removes up to `start` characters `from` at the beginning and up to `stop` at the end. */
size_t ink_decode_strip(const ink_step *step, bool first, const char *token, size_t size, char *out)
{
    size_t begin = 0, end = size, width = step->from.size;
    (void)first;
    for (size_t i = 0; i < step->start && ink_text_starts(&step->from, token + begin, size - begin); i++)
        begin += width;
    for (size_t i = 0; i < step->stop && end - begin >= width; i++) {
        if (!ink_text_starts(&step->from, token + end - width, width))
            break;
        end -= width;
    }
    return decode_copy(out, 0, token + begin, end - begin);
}

/* The first token loses every `from`. */
size_t ink_decode_drop(const ink_step *step, bool first, const char *token, size_t size, char *out)
{
    ink_step to_nothing = {.from = step->from};
    return first ? ink_decode_replace(&to_nothing, first, token, size, out) : decode_copy(out, 0, token, size);
}

/* All tokens but the first lose the prefix `from` or, where they do not have it, gain the prefix `to`. */
size_t ink_decode_join(const ink_step *step, bool first, const char *token, size_t size, char *out)
{
    if (first)
        return decode_copy(out, 0, token, size);
    if (step->from.size != 0 && ink_text_starts(&step->from, token, size))
        return decode_copy(out, 0, token + step->from.size, size - step->from.size);
    return decode_copy(out, decode_copy(out, 0, step->to.bytes, step->to.size), token, size);
}

uint32_t ink_spell_byte(unsigned char byte)
{
    if (byte < 0x21)
        return 0x100u + byte;
    if (byte >= 0x7F && byte <= 0xA0)
        return 0x121u + byte - 0x7F;
    return byte == 0xAD ? 0x143u : byte;
}

int ink_spelled_byte(uint32_t code)
{
    if ((code >= 0x21 && code <= 0x7E) || (code >= 0xA1 && code <= 0xFF && code != 0xAD))
        return (int)code;
    if (code >= 0x100 && code <= 0x120) /* 00-20 */
        return (int)(code - 0x100);
    if (code >= 0x121 && code <= 0x142) /* 7F-A0 */
        return (int)(code - 0x121 + 0x7F);
    return code == 0x143 ? 0xAD : -1;
}

bool ink_decode_room(const ink_steps *steps, size_t longest, size_t *room)
{
    *room = longest;
    for (size_t i = 0; i < steps->n; i++) {
        const ink_step *step = &steps->step[i];
        size_t size = *room, grown;
        if (step->decode == ink_decode_join && !ink_size_add(size, step->to.size, room))
            return false;
        if (step->decode == ink_decode_replace && step->to.size > step->from.size &&
            (!ink_size_mul(size / step->from.size, step->to.size, &grown) ||
             !ink_size_add(grown, size % step->from.size, room)))
            return false;
        if (*room > UINT32_MAX)
            return false;
    }
    return true;
}

/* ---- tokens that are bytes in a row ----------------------------------------------------------------------------- */

static void decode_put_unknown(ink_text_sink *out) { ink_text_put(out, "\xEF\xBF\xBD", 3); /* U+FFFD */ }

/* Writes the complete characters at the head of bytes [size]; returns the length, 0 to 3, of the incomplete one at its
   end. */
static size_t decode_characters(ink_text_sink *out, const char *bytes, size_t size)
{
    while (size > 0) {
        uint32_t code;
        size_t length = ink_utf8_next(bytes, size, &code);
        if (code == INK_UTF8_CUT)
            break;
        if (code == INK_UTF8_INVALID)
            decode_put_unknown(out);
        else
            ink_text_put(out, bytes, length);
        bytes += length;
        size -= length;
    }
    return size;
}

/* The next bytes of the text, after those that the stream holds back. */
static void decode_bytes(ink_text_stream *stream, const char *bytes, size_t size, ink_text_sink *out)
{
    /* Until the held character is complete, byte by byte; then the rest at once. */
    while (size > 0 && stream->n_held > 0) {
        char held[4];
        memcpy(held, stream->held, stream->n_held);
        held[stream->n_held] = *bytes++;
        size--;
        size_t n = stream->n_held + 1;
        stream->n_held = decode_characters(out, held, n);
        memcpy(stream->held, held + n - stream->n_held, stream->n_held);
    }
    if (stream->n_held > 0)
        return;
    stream->n_held = decode_characters(out, bytes, size);
    memcpy(stream->held, bytes + size - stream->n_held, stream->n_held);
}

/* ---- runs of byte tokens, <0x00> to <0xFF> ---------------------------------------------------------------------- */

/* The byte that a token <0xHH> stands for, or -1. */
static int decode_byte_token(const char *token, size_t size)
{
    int value = 0;
    if (size != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>')
        return -1;
    for (int i = 3; i < 5; i++) {
        char lower = (char)(token[i] | 0x20);
        if (token[i] >= '0' && token[i] <= '9')
            value = 16 * value + (token[i] - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = 16 * value + (lower - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* How many of the held bytes are whole characters; false if a byte after them can be part of none, whatever follows. */
static bool run_is_text(const ink_text_stream *stream, size_t *whole)
{
    const char *held = (const char *)stream->held;
    size_t length;
    uint32_t code;
    for (*whole = 0; *whole < stream->n_held; *whole += length) {
        length = ink_utf8_next(held + *whole, stream->n_held - *whole, &code);
        if (code == INK_UTF8_CUT)
            return true;
        if (code == INK_UTF8_INVALID)
            return false;
    }
    return true;
}

/* One more byte. A run that is text so far is held back; one that is not comes out at once. */
static void run_add(ink_text_stream *stream, int byte, ink_text_sink *out)
{
    size_t whole;
    if (stream->n_held == INK_STREAM_HELD) {
        run_is_text(stream, &whole);
        ink_text_put(out, (const char *)stream->held, whole);
        stream->n_held -= whole;
        memmove(stream->held, stream->held + whole, stream->n_held);
    }
    stream->held[stream->n_held++] = (unsigned char)byte;
    if (!stream->broken && run_is_text(stream, &whole))
        return;
    for (; stream->n_held > 0; stream->n_held--)
        decode_put_unknown(out);
    stream->broken = true;
}

/* The run is over. */
static void run_end(ink_text_stream *stream, ink_text_sink *out)
{
    size_t whole;
    run_is_text(stream, &whole);
    if (whole == stream->n_held)
        ink_text_put(out, (const char *)stream->held, whole);
    for (size_t i = 0; whole < stream->n_held && i < stream->n_held; i++)
        decode_put_unknown(out);
    stream->n_held = 0;
    stream->broken = false;
}

/* ---- one id after the other ------------------------------------------------------------------------------------- */

typedef struct decoding {
    const ink_decoder *decoder;
    ink_text_stream *stream;
    char *room[2]; /* [decoder->room] each, for the steps */
    ink_text_sink out;
} decoding;

/* White space is held back until something follows it. */
static void decode_trimmed(decoding *d, const char *text, size_t size)
{
    ink_text_stream *s = d->stream;
    for (size_t i = 0, length; i < size; i += length) {
        uint32_t code;
        length = ink_utf8_next(text + i, size - i, &code);
        const bool white = ink_unicode_class_of(code) == INK_UNICODE_SPACE || (code >= 0x1C && code <= 0x1F);
        if (white && s->stripped == 0)
            continue;
        if (!white || s->n_spaces + length > INK_STREAM_HELD) {
            ink_text_put(&d->out, (const char *)s->spaces, s->n_spaces);
            s->n_spaces = 0;
        }
        if (white)
            memcpy(s->spaces + s->n_spaces, text + i, length);
        else
            ink_text_put(&d->out, text + i, length);
        s->n_spaces += white ? length : 0;
        s->stripped = 1;
    }
}

/* The beginning of the text may lose some characters. */
static void decode_put(decoding *d, const char *text, size_t size)
{
    if (d->decoder->trims) {
        decode_trimmed(d, text, size);
        return;
    }
    const ink_short_text *strip = &d->decoder->strip;
    size_t *stripped = &d->stream->stripped;
    while (*stripped < d->decoder->strip_most && size > 0) {
        if (!ink_text_starts(strip, text, size)) {
            *stripped = d->decoder->strip_most;
            break;
        }
        ++*stripped;
        text += strip->size;
        size -= strip->size;
    }
    ink_text_put(&d->out, text, size);
}

/* SentencePiece's own decoder: the characters of the run, and U+FFFD for each byte that is part of none. */
static void run_own(ink_text_stream *stream, int byte, ink_text_sink *out)
{
    if (byte >= 0)
        stream->held[stream->n_held++] = (unsigned char)byte;
    while (stream->n_held > 0) {
        uint32_t code;
        size_t length = ink_utf8_next((const char *)stream->held, stream->n_held, &code);
        if (code == INK_UTF8_CUT && byte >= 0)
            break;
        if (code < INK_UTF8_INVALID)
            ink_text_put(out, (const char *)stream->held, length);
        else
            decode_put_unknown(out);
        length = code < INK_UTF8_INVALID ? length : 1;
        stream->n_held -= length;
        memmove(stream->held, stream->held + length, stream->n_held);
    }
}

/* Ends the run of byte tokens, or adds a byte to it if `byte` >= 0. */
static void decode_run(decoding *d, int byte)
{
    char text[3 * INK_STREAM_HELD];
    ink_text_sink run = {.text = text, .capacity = sizeof text};
    if (d->decoder->trims)
        run_own(d->stream, byte, &run);
    else if (byte < 0)
        run_end(d->stream, &run);
    else
        run_add(d->stream, byte, &run);
    decode_put(d, text, run.size);
}

static void decode_token(decoding *d, const char *token, size_t size, bool verbatim)
{
    const ink_steps *steps = &d->decoder->steps;
    if (d->decoder->byte_level) {
        decode_bytes(d->stream, token, size, &d->out);
        return;
    }
    if (d->decoder->spells_bytes && !verbatim) {
        size_t n = 0;
        for (size_t i = 0; i < size; i++)
            n += ink_utf8_put(d->room[1] + n, ink_spell_byte((unsigned char)token[i]));
        token = d->room[1];
        size = n;
    }
    for (size_t i = 0; i < steps->n && (!verbatim || d->decoder->spells_bytes); i++) {
        char *room = d->room[i % 2];
        size = steps->step[i].decode(&steps->step[i], !d->stream->started, token, size, room);
        token = room;
    }
    d->stream->started = true;
    int byte = d->decoder->byte_fallback ? decode_byte_token(token, size) : -1;
    decode_run(d, byte);
    if (byte < 0)
        decode_put(d, token, size);
}

/* Decodes the ids and, if `flush`, what the stream holds back; counts all bytes and writes up to `capacity`. */
static size_t decode_ids(decoding *d, ink_text_stream *stream, const ink_tokenizer *t, const ink_token *ids, size_t n,
                         bool flush, char *text, size_t capacity)
{
    d->stream = stream;
    d->out = (ink_text_sink){.text = text, .capacity = capacity};
    for (size_t i = 0; i < n; i++) {
        const ink_vocab_token *token = ink_vocab_has(&t->vocab, ids[i]) ? &t->vocab.tokens[ids[i]] : NULL;
        if (token != NULL && !token->special)
            decode_token(d, t->vocab.pool + token->offset, token->size, token->verbatim);
    }
    if (flush && !t->decoder.byte_level)
        decode_run(d, -1);
    if (flush && stream->n_held > 0) {
        decode_put_unknown(&d->out);
        stream->n_held = 0;
    }
    if (flush)
        stream->n_spaces = 0;
    return d->out.size;
}

/* Decodes twice: first only to count, on a copy of the stream, so that a stream whose text did not fit stays as it was.
 */
static ink_result decode(ink_context *ctx, const ink_tokenizer *t, ink_text_stream *stream, const ink_token *ids,
                         size_t n, bool flush, char *text, size_t capacity, size_t *size)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "id %lld is no token; ids begin at 0", (long long)ids[i]);
    decoding d = {.decoder = &t->decoder};
    ink_text_stream copy = *stream;
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    for (int i = 0; i < 2; i++)
        d.room[i] = ink_arena_alloc(&ctx->scratch, t->decoder.room, 1);
    if (ink_arena_failed(&ctx->scratch))
        return ink_scratch_fail(ctx, mark);
    *size = decode_ids(&d, &copy, t, ids, n, flush, NULL, 0);
    if (*size <= capacity)
        decode_ids(&d, stream, t, ids, n, flush, text, capacity);
    ink_result result = INK_OK;
    if (*size > capacity)
        result = ink_fail(ctx, INK_ERROR_LIMIT, "the text is %zu bytes long, there is room for %zu", *size, capacity);
    return ink_scratch_end(ctx, mark, result);
}

ink_result ink_tokenizer_decode(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_token *ids, size_t n,
                                char *text, size_t capacity, size_t *size)
{
    INK_REQUIRE(ctx, size);
    *size = 0;
    INK_REQUIRE(ctx, tokenizer);
    if (n > 0)
        INK_REQUIRE(ctx, ids);
    if (capacity > 0)
        INK_REQUIRE(ctx, text);
    ink_text_stream stream = {.n_held = 0};
    return decode(ctx, tokenizer, &stream, ids, n, true, text, capacity, size);
}

ink_result ink_tokenizer_stream(ink_context *ctx, const ink_tokenizer *tokenizer, ink_text_stream *stream, ink_token id,
                                char *text, size_t capacity, size_t *size)
{
    INK_REQUIRE(ctx, size);
    *size = 0;
    INK_REQUIRE(ctx, tokenizer, stream);
    if (capacity > 0)
        INK_REQUIRE(ctx, text);
    if (stream->n_held > (tokenizer->decoder.byte_level ? 3 : INK_STREAM_HELD) || stream->n_spaces > INK_STREAM_HELD)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the stream was not zero-initialised", __func__);
    return decode(ctx, tokenizer, stream, &id, id != -1 ? 1 : 0, id == -1, text, capacity, size);
}

size_t ink_tokenizer_stream_capacity(const ink_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : 3 * (tokenizer->decoder.room + INK_STREAM_HELD) + INK_STREAM_HELD;
}
