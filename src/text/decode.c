/*
 * decode.c - ids to text, whole and as a stream.
 *
 * A byte-level token can end in the middle of a character. So text is not made of tokens but of their bytes in a row,
 * and bytes that belong to no character become U+FFFD: one for each maximal subpart (utf8.h), as Rust's
 * from_utf8_lossy does it for the reference.
 */
#include "tokenizer.h"
#include "utf8.h"

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

static void put_replacement(sink *out)
{
    put(out, "\xEF\xBF\xBD", 3); /* U+FFFD */
}

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

static void flush(ink_text_stream *stream, sink *out)
{
    if (stream->n_held > 0)
        put_replacement(out);
    stream->n_held = 0;
}

static ink_result check_id(ink_context *ctx, const ink_tokenizer *tokenizer, ink_token id)
{
    if (!ink_vocab_has(&tokenizer->vocab, id))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "id %d is no token; the vocabulary has ids from 0 to %z",
                        (long long)id, tokenizer->vocab.n_ids - 1);
    return INK_OK;
}

static void feed_id(const ink_tokenizer *tokenizer, ink_text_stream *stream, ink_token id, sink *out)
{
    const ink_vocab_token *token = &tokenizer->vocab.tokens[id];
    if (!token->special)
        feed(stream, ink_vocab_bytes(&tokenizer->vocab, id), token->size, out);
}

static size_t decode(const ink_tokenizer *tokenizer, const ink_token *ids, size_t n, char *text, size_t capacity)
{
    ink_text_stream stream = {.n_held = 0};
    sink out = {.text = text, .capacity = capacity};
    for (size_t i = 0; i < n; i++)
        feed_id(tokenizer, &stream, ids[i], &out);
    flush(&stream, &out);
    return out.size;
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
    *size = decode(tokenizer, ids, n, NULL, 0);
    if (*size > capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the text is %z bytes long, there is room for %z", *size, capacity);
    decode(tokenizer, ids, n, text, capacity);
    return INK_OK;
}

static size_t advance(const ink_tokenizer *tokenizer, ink_text_stream *stream, ink_token id, char *text,
                      size_t capacity)
{
    sink out = {.text = text, .capacity = capacity};
    if (id == -1)
        flush(stream, &out);
    else
        feed_id(tokenizer, stream, id, &out);
    return out.size;
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
    if (stream->n_held > 3)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: the stream was not zero-initialised", __func__);
    if (id != -1)
        INK_TRY(check_id(ctx, tokenizer, id));
    /* First only counted, on a copy: a stream whose text did not fit stays as it was. */
    ink_text_stream copy = *stream;
    *size = advance(tokenizer, &copy, id, NULL, 0);
    if (*size > capacity)
        return ink_fail(ctx, INK_ERROR_LIMIT, "the text is %z bytes long, there is room for %z", *size, capacity);
    advance(tokenizer, stream, id, text, capacity);
    return INK_OK;
}

size_t ink_tokenizer_stream_capacity(const ink_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : 3 * (tokenizer->vocab.longest + 3);
}
