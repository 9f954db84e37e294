/*
 * tokenizer.h - text to token ids and back, from a Hugging Face tokenizer.json.
 *
 * Runs byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) with GPT-2's splitting rules, added tokens, and
 * TemplateProcessing for BOS and EOS. What a tokenizer.json asks for beyond that is refused by name; only its
 * `truncation` and `padding` are left aside, as transformers does, since how long a text may be is up to the caller.
 * No regular expression engine, no recursion; a word of n bytes costs O(n log n).
 *
 * A tokenizer is immutable and may be used through many contexts at once.
 */
#ifndef INKLING_TOKENIZER_H
#define INKLING_TOKENIZER_H

#include <inkling/embedding.h>
#include <inkling/source.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_tokenizer ink_tokenizer;

/* Opens tokenizer.json of a folder, or of a source. INK_ERROR_NOT_FOUND, INK_ERROR_READ, INK_ERROR_CORRUPT (with byte
   offset or JSON path), INK_ERROR_UNSUPPORTED (a component that is not run, by name), INK_ERROR_MEMORY. */
ink_result ink_tokenizer_open(ink_context *ctx, const char *folder, ink_tokenizer **tokenizer);
ink_result ink_tokenizer_open_source(ink_context *ctx, const ink_source *source, ink_tokenizer **tokenizer);
void ink_tokenizer_free(ink_tokenizer *tokenizer);

/* One more than the largest id. */
size_t ink_tokenizer_vocab_size(const ink_tokenizer *tokenizer);

/* The id of the token whose bytes are exactly these (an added token's content counts), or -1. */
ink_token ink_tokenizer_find(const ink_tokenizer *tokenizer, const char *text, size_t size);

/* The bytes of a token, not NUL-terminated; NULL for an id that no token has. Lives as long as the tokenizer. */
const char *ink_tokenizer_token(const ink_tokenizer *tokenizer, ink_token id, size_t *size);

/* True for ids the file marks as special: they are control tokens, not text. */
bool ink_tokenizer_is_special(const ink_tokenizer *tokenizer, ink_token id);

enum {
    INK_ENCODE_PLAIN = 0,    /* the text and nothing else; added tokens in it are ordinary text */
    INK_ENCODE_ADDED = 1,    /* added tokens in the text are recognised */
    INK_ENCODE_TEMPLATE = 2, /* the tokens the template puts around a text (BOS, EOS) are added */
    INK_ENCODE_DEFAULT = INK_ENCODE_ADDED | INK_ENCODE_TEMPLATE /* what Hugging Face's encode() does,
                                                                   without truncation and padding */
};

/*
 * Encodes `size` bytes of UTF-8; NULs are text like any other. Bytes that are not UTF-8 are kept: each is encoded as
 * the byte it is, so that decoding gives the same bytes back. *n is always set to the number of ids. If that is more
 * than `capacity`, nothing is written and the result is INK_ERROR_LIMIT; `ids` may be NULL if capacity is 0. Text from
 * users who must not be able to write control tokens is encoded without INK_ENCODE_ADDED.
 */
ink_result ink_tokenizer_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size,
                                unsigned flags, ink_token *ids, size_t capacity, size_t *n);

/* The text of ids, special tokens left out. Byte sequences that are not UTF-8 become U+FFFD as in Hugging Face's
   decode(). *size is always set to the length in bytes (no NUL is written); INK_ERROR_LIMIT as above. */
ink_result ink_tokenizer_decode(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_token *ids, size_t n,
                                char *text, size_t capacity, size_t *size);

/*
 * Streaming: one id in, the text that is complete now out. A UTF-8 sequence that later ids may still complete is held
 * back (at most 3 bytes), so that nobody prints half a character. The concatenation of all pieces and the flush
 * equals ink_tokenizer_decode() of all ids. Zero-initialise a stream to start.
 */
typedef struct ink_text_stream {
    unsigned char held[4];
    size_t n_held;
} ink_text_stream;

/* `text` gets up to `capacity` bytes and *size their number; 3 * (bytes of the longest token + 3) always suffice:
   ink_tokenizer_stream_capacity(). id -1 flushes: what is still held comes out as U+FFFD. */
ink_result ink_tokenizer_stream(ink_context *ctx, const ink_tokenizer *tokenizer, ink_text_stream *stream, ink_token id,
                                char *text, size_t capacity, size_t *size);
size_t ink_tokenizer_stream_capacity(const ink_tokenizer *tokenizer);

#ifdef __cplusplus
}
#endif

#endif
