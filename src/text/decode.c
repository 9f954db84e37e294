/*
 * decode.c - ids to text, whole and as a stream; the whole is a stream of which nobody saw the pieces.
 *
 * A token can end in the middle of a character. So text is not made of tokens but of their bytes in a row, and bytes
 * that belong to no character become U+FFFD: of a byte-level vocabulary one for each maximal subpart (utf8.h), as
 * Rust's from_utf8_lossy does it for the reference; of byte_fallback one for each byte of the run of byte tokens.
 */
#include "tokenizer.h"
#include "../base/bytes.h"

#include <string.h>

/* Where text goes: counts all bytes, writes as many as there is room for. */
typedef struct sink {
    char *text; /* [capacity] */
    size_t capacity, size;
} sink;

static void put(sink *out, const char *bytes, size_t size)
{
    if (out->size < out->capacity)
        memcpy(out->text + out->size, bytes, ink_size_min(size, out->capacity - out->size));
    out->size += size;
}

static void put_replacement(sink *out) { put(out, "\xEF\xBF\xBD", 3); /* U+FFFD */ }

/* Puts out all that is decided of bytes [size] and returns how many bytes, at most 3, are not. */
static size_t settle(sink *out, const char *bytes, size_t size)
{
    while (size > 0) {
        uint32_t code;
        size_t length = ink_utf8_next(bytes, size, &code);
        if (code == INK_UTF8_CUT)
            break;
        if (code == INK_UTF8_INVALID)
            put_replacement(out);
        else
            put(out, bytes, length);
        bytes += length;
        size -= length;
    }
    return size;
}

/* The next bytes of the text, after those that the stream holds back. */
static void feed(ink_text_stream *stream, const char *bytes, size_t size, sink *out)
{
    /* Until what is held is decided, byte by byte; then the rest at once. */
    while (size > 0 && stream->n_held > 0) {
        char held[4];
        memcpy(held, stream->held, stream->n_held);
        held[stream->n_held] = *bytes++;
        size--;
        size_t n = stream->n_held + 1;
        stream->n_held = settle(out, held, n);
        memcpy(stream->held, held + n - stream->n_held, stream->n_held);
    }
    if (stream->n_held > 0)
        return;
    stream->n_held = settle(out, bytes, size);
    memcpy(stream->held, bytes + size - stream->n_held, stream->n_held);
}

/* ---- runs of byte tokens ---------------------------------------------------------------------------------------- */

/* The value of a hexadecimal digit, or -1. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that a token <0xHH> stands for, or -1. */
static int byte_of(const char *token, size_t size)
{
    if (size != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>')
        return -1;
    int high = digit(token[3]), low = digit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* How many of the held bytes are whole characters; false if some can be part of none, whatever follows. */
static bool check_run(const ink_text_stream *stream, size_t *whole)
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

/* One more byte. A run is held back as long as it is text so far; one that is not comes out at once. */
static void feed_byte(ink_text_stream *stream, int byte, sink *out)
{
    size_t whole;
    if (stream->n_held == INK_STREAM_HELD) {
        check_run(stream, &whole);
        put(out, (const char *)stream->held, whole);
        stream->n_held -= whole;
        memmove(stream->held, stream->held + whole, stream->n_held);
    }
    stream->held[stream->n_held++] = (unsigned char)byte;
    if (!stream->broken && check_run(stream, &whole))
        return;
    for (; stream->n_held > 0; stream->n_held--)
        put_replacement(out);
    stream->broken = true;
}

/* The run is over. */
static void end_run(ink_text_stream *stream, sink *out)
{
    size_t whole;
    check_run(stream, &whole);
    if (whole == stream->n_held)
        put(out, (const char *)stream->held, whole);
    for (size_t i = 0; whole < stream->n_held && i < stream->n_held; i++)
        put_replacement(out);
    stream->n_held = 0;
    stream->broken = false;
}

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

typedef struct decoding {
    const ink_tokenizer *tokenizer;
    ink_text_stream *stream;
    char *room[2]; /* [decoder.room] each, for the steps */
    sink out;
} decoding;

/* The beginning of the text may lose some characters. */
static void put_text(decoding *d, const char *text, size_t size)
{
    const ink_decode_step *strip = &d->tokenizer->decoder.strip;
    ink_text_stream *stream = d->stream;
    while (stream->stripped < strip->start && size > 0) {
        if (!ink_text_starts(&strip->from, text, size)) {
            stream->stripped = strip->start;
            break;
        }
        stream->stripped++;
        text += strip->from.size;
        size -= strip->from.size;
    }
    put(&d->out, text, size);
}

static void end_bytes(decoding *d)
{
    char text[3 * INK_STREAM_HELD];
    sink run = {.text = text, .capacity = sizeof text};
    end_run(d->stream, &run);
    put_text(d, text, run.size);
}

static void feed_token(decoding *d, const char *token, size_t size)
{
    const ink_decoder *decoder = &d->tokenizer->decoder;
    for (size_t i = 0; i < decoder->n_steps; i++) {
        char *room = d->room[i % 2];
        size = decoder->steps[i].apply(&decoder->steps[i], !d->stream->started, token, size, room);
        token = room;
    }
    d->stream->started = true;
    int byte = decoder->byte_fallback ? byte_of(token, size) : -1;
    if (byte < 0) {
        end_bytes(d);
        put_text(d, token, size);
        return;
    }
    char text[3 * INK_STREAM_HELD];
    sink run = {.text = text, .capacity = sizeof text};
    feed_byte(d->stream, byte, &run);
    put_text(d, text, run.size);
}

static void feed_id(decoding *d, ink_token id)
{
    const ink_vocab *vocab = &d->tokenizer->vocab;
    const ink_vocab_token *token = &vocab->tokens[id];
    if (token->special)
        return;
    if (d->tokenizer->decoder.byte_level)
        feed(d->stream, ink_vocab_bytes(vocab, id), token->size, &d->out);
    else
        feed_token(d, ink_vocab_bytes(vocab, id), token->size);
}

static void flush(decoding *d)
{
    if (!d->tokenizer->decoder.byte_level) {
        end_bytes(d);
    } else if (d->stream->n_held > 0) {
        put_replacement(&d->out);
        d->stream->n_held = 0;
    }
}

static ink_result check_id(ink_context *ctx, const ink_tokenizer *tokenizer, ink_token id)
{
    if (!ink_vocab_has(&tokenizer->vocab, id))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "id %lld is no token; the vocabulary has ids from 0 to %zu",
                        (long long)id, tokenizer->vocab.n_ids - 1);
    return INK_OK;
}

static ink_result take_room(ink_context *ctx, decoding *d)
{
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    for (int i = 0; i < 2; i++)
        d->room[i] = ink_arena_alloc(&ctx->scratch, d->tokenizer->decoder.room, 1);
    return ink_arena_failed(&ctx->scratch) ? ink_scratch_fail(ctx, mark) : INK_OK;
}

static size_t decode(decoding *d, const ink_token *ids, size_t n, char *text, size_t capacity)
{
    ink_text_stream stream = {.n_held = 0};
    d->stream = &stream;
    d->out = (sink){.text = text, .capacity = capacity};
    for (size_t i = 0; i < n; i++)
        feed_id(d, ids[i]);
    flush(d);
    return d->out.size;
}

ink_result ink_tokenizer_decode(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_token *ids, size_t n,
                                char *text, size_t capacity, size_t *size)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, size);
    *size = 0;
    INK_REQUIRE(ctx, tokenizer);
    if (n > 0)
        INK_REQUIRE(ctx, ids);
    if (capacity > 0)
        INK_REQUIRE(ctx, text);
    for (size_t i = 0; i < n; i++)
        INK_TRY(check_id(ctx, tokenizer, ids[i]));
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    decoding d = {.tokenizer = tokenizer};
    INK_TRY(take_room(ctx, &d));
    *size = decode(&d, ids, n, NULL, 0);
    if (*size <= capacity)
        decode(&d, ids, n, text, capacity);
    ink_arena_release(&ctx->scratch, mark);
    if (*size > capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the text is %zu bytes long, there is room for %zu", *size, capacity);
    return INK_OK;
}

static size_t advance(decoding *d, ink_text_stream *stream, ink_token id, char *text, size_t capacity)
{
    d->stream = stream;
    d->out = (sink){.text = text, .capacity = capacity};
    if (id == -1)
        flush(d);
    else
        feed_id(d, id);
    return d->out.size;
}

ink_result ink_tokenizer_stream(ink_context *ctx, const ink_tokenizer *tokenizer, ink_text_stream *stream, ink_token id,
                                char *text, size_t capacity, size_t *size)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, size);
    *size = 0;
    INK_REQUIRE(ctx, tokenizer);
    INK_REQUIRE(ctx, stream);
    if (capacity > 0)
        INK_REQUIRE(ctx, text);
    if (stream->n_held > (tokenizer->decoder.byte_level ? 3 : INK_STREAM_HELD))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the stream was not zero-initialised", __func__);
    if (id != -1)
        INK_TRY(check_id(ctx, tokenizer, id));
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    decoding d = {.tokenizer = tokenizer};
    INK_TRY(take_room(ctx, &d));
    /* First only counted, on a copy: a stream whose text did not fit stays as it was. */
    ink_text_stream copy = *stream;
    *size = advance(&d, &copy, id, NULL, 0);
    if (*size <= capacity)
        advance(&d, stream, id, text, capacity);
    ink_arena_release(&ctx->scratch, mark);
    if (*size > capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the text is %zu bytes long, there is room for %zu", *size, capacity);
    return INK_OK;
}

size_t ink_tokenizer_stream_capacity(const ink_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : 3 * (tokenizer->decoder.room + INK_STREAM_HELD);
}
