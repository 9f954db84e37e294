/*
 * tokenizer.h - text to token ids and back, from the tokenizer files of a Hugging Face folder.
 *
 * A tokenizer is a row of small steps, each of which tokenizer.json names:
 *
 *     text -> added tokens cut out -> normalised -> split into words -> the model's ids of each word -> the template
 *     ids  -> tokens -> the decoder's text
 *
 * The steps that are run are listed in README.md; what a file asks for beyond them is refused by name, with its JSON
 * path. Only its `truncation` and `padding` are left aside, as transformers does, since how long a text may be is up
 * to the caller. No regular expression engine, no recursion; a text of n bytes costs O(n log n).
 *
 * A tokenizer is immutable and may be used through many contexts at once.
 */
#ifndef INKLING_TOKENIZER_H
#define INKLING_TOKENIZER_H

#include <inkling/types.h>
#include <inkling/source.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_tokenizer ink_tokenizer;

/* Opens the tokenizer of a folder, or of a source: tokenizer.json, or where there is none vocab.json with merges.txt
   (byte-level BPE as in GPT-2 and RoBERTa) or vocab.txt (BERT's WordPiece), for which tokenizer_config.json decides
   what the files leave open. INK_ERROR_NOT_FOUND, INK_ERROR_READ, INK_ERROR_CORRUPT (with byte offset or JSON path),
   INK_ERROR_UNSUPPORTED (a component that is not run, by name), INK_ERROR_LIMIT, INK_ERROR_MEMORY. */
ink_result ink_tokenizer_open(ink_context *ctx, const char *folder, ink_tokenizer **tokenizer);
ink_result ink_tokenizer_open_source(ink_context *ctx, const ink_source *source, ink_tokenizer **tokenizer);
void ink_tokenizer_free(ink_tokenizer *tokenizer);

/* One more than the largest id. */
size_t ink_tokenizer_vocab_size(const ink_tokenizer *tokenizer);

/* The id of the token whose bytes are exactly these (an added token's content counts), or -1. */
ink_token ink_tokenizer_find(const ink_tokenizer *tokenizer, const char *text, size_t size);

/* The bytes of a token, not NUL-terminated; NULL for an id that no token has. Lives as long as the tokenizer. Of an
   added token that is looked for in normalised text it is the normalised content, which is what decoding gives. */
const char *ink_tokenizer_token(const ink_tokenizer *tokenizer, ink_token id, size_t *size);

/* True for ids the file marks as special: they are control tokens, not text. */
bool ink_tokenizer_is_special(const ink_tokenizer *tokenizer, ink_token id);

/* Tokens with a part to play. */
typedef enum ink_control {
    INK_CONTROL_BOS,
    INK_CONTROL_EOS,
    INK_CONTROL_UNK,
    INK_CONTROL_SEP,
    INK_CONTROL_PAD,
    INK_CONTROL_CLS,
    INK_CONTROL_MASK
} ink_control;

/* The id of a control token, or -1 if the folder has none. tokenizer_config.json names them ("bos_token", ...), or
   special_tokens_map.json; where neither does, unk_token of the model, pad_id of the file's padding, for BOS and CLS
   the first token that the template puts before a text, for EOS and SEP the first that it puts after it, and for PAD
   and MASK a special token spelled as in BERT ("[MASK]") or RoBERTa ("<mask>"). */
ink_token ink_tokenizer_control(const ink_tokenizer *tokenizer, ink_control which);

/* Whether the template puts this control token around a single text: whether INK_ENCODE_TEMPLATE adds a BOS. */
bool ink_tokenizer_adds(const ink_tokenizer *tokenizer, ink_control which);

/* model_max_length of tokenizer_config.json: how many ids the model was made for, those of the template included.
   SIZE_MAX if the folder does not say. */
size_t ink_tokenizer_max_length(const ink_tokenizer *tokenizer);

enum {
    INK_ENCODE_PLAIN = 0,    /* the text and nothing else; added tokens in it are ordinary text */
    INK_ENCODE_ADDED = 1,    /* added tokens in the text are recognised */
    INK_ENCODE_TEMPLATE = 2, /* the tokens the template puts around a text (BOS, EOS) are added */
    INK_ENCODE_CONTINUE = 4, /* the text goes on behind another: it gets no space that only the beginning of a whole
                                text gets (Metaspace with prepend_scheme "first") */
    INK_ENCODE_LOWER = 8,    /* the text is put in lower case before anything else but raw added tokens is done with it:
                                do_lower_case of sentence encoders (encoder.h) */
    INK_ENCODE_DEFAULT = INK_ENCODE_ADDED | INK_ENCODE_TEMPLATE /* what Hugging Face's encode() does,
                                                                   without truncation and padding */
};

/*
 * Encodes `size` bytes of UTF-8; NULs are text like any other. Bytes that are not UTF-8 are kept where the model has
 * tokens for bytes (byte-level BPE, byte_fallback): each is encoded as the byte it is. Elsewhere what one U+FFFD would
 * replace is one unknown character. *n is always set to the number of ids. If that is more than `capacity`, nothing is
 * written and the result is INK_ERROR_LIMIT; `ids` may be NULL if capacity is 0. Text from users who must not be able
 * to write control tokens is encoded without INK_ENCODE_ADDED.
 */
ink_result ink_tokenizer_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size,
                                unsigned flags, ink_token *ids, size_t capacity, size_t *n);

/* A text, or a pair of texts (a question and a passage), and how many ids it may become. */
typedef struct ink_encode_input {
    const char *text; /* [size] bytes */
    size_t size;
    const char *pair; /* [pair_size] bytes of the second text; NULL: there is none */
    size_t pair_size;
    unsigned flags;    /* INK_ENCODE_... */
    size_t max_length; /* at most so many ids, those of the template included; 0: as many as there are */
} ink_encode_input;

/*
 * The general case of ink_tokenizer_encode(), and all else as there. A text that is too long for max_length loses ids
 * at its end, of a pair the longer text first ("longest_first"), and the template stays whole; INK_ERROR_LIMIT if not
 * even the template has room. `types` [capacity], or NULL, gets the row of the token-type embedding for each id, which
 * tells the two texts of a pair apart: 0 and 1 for BERT.
 *
 *     ink_encode_input input = {.text = question, .size = strlen(question), .pair = passage,
 *                               .pair_size = strlen(passage), .flags = INK_ENCODE_DEFAULT, .max_length = 512};
 *     ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, types, 512, &n);
 */
ink_result ink_tokenizer_encode_input(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_encode_input *input,
                                      ink_token *ids, ink_token *types, size_t capacity, size_t *n);

/* The text of ids, special tokens left out. Byte sequences that are not UTF-8 become U+FFFD as in Hugging Face's
   decode(). *size is always set to the length in bytes (no NUL is written); INK_ERROR_LIMIT as above. */
ink_result ink_tokenizer_decode(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_token *ids, size_t n,
                                char *text, size_t capacity, size_t *size);

/*
 * Streaming: one id in, the text that is complete now out. A UTF-8 sequence that later ids may still complete is held
 * back, so that nobody prints half a character; of a run of byte_fallback tokens all of it, since one wrong byte makes
 * replacement characters of the whole run, but never more than INK_STREAM_HELD bytes: what does not fit comes out as
 * it stands. The concatenation of all pieces and the flush equals ink_tokenizer_decode() of all ids. Zero-initialise a
 * stream to start.
 */
#define INK_STREAM_HELD 64

typedef struct ink_text_stream {
    unsigned char held[INK_STREAM_HELD];
    size_t n_held;
    size_t stripped; /* characters taken away from the beginning of the text */
    bool started;    /* the first token that is text has been */
    bool broken;     /* the run of bytes that is going on is not UTF-8 */
} ink_text_stream;

/* `text` gets up to `capacity` bytes and *size their number; ink_tokenizer_stream_capacity() always suffices.
   id -1 flushes: what is still held comes out, as U+FFFD where it is no text. */
ink_result ink_tokenizer_stream(ink_context *ctx, const ink_tokenizer *tokenizer, ink_text_stream *stream, ink_token id,
                                char *text, size_t capacity, size_t *size);
size_t ink_tokenizer_stream_capacity(const ink_tokenizer *tokenizer);

#ifdef __cplusplus
}
#endif

#endif
