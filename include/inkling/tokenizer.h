/*
 * tokenizer.h - text to token ids and back, from the tokenizer files of a Hugging Face folder or from a GGUF file.
 *
 * A tokenizer is a row of small steps. tokenizer.json names each of them:
 *
 *     text -> added tokens cut out -> normalised -> split into words -> the model's ids of each word -> the template
 *     ids  -> tokens -> the decoder's text
 *
 * src/import/README.md lists the steps that run here. A file that asks for any other is refused by name, with its JSON
 * path. Its `truncation` and `padding` are ignored, as in transformers, but for the side at which a text is cut,
 * because the caller decides how long a text may be. There is no regular expression engine and no recursion; a text of
 * n bytes costs O(n log n).
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

/* Opens the tokenizer of a folder, or of a source. It reads tokenizer.json; or, if there is none, vocab.json with
   merges.txt (byte-level BPE as in GPT-2, RoBERTa and Qwen2), vocab.txt (BERT's WordPiece) or a model file of
   SentencePiece (tokenizer.model, sentencepiece.bpe.model, spiece.model), and then tokenizer_config.json decides what
   these files leave open, and which of several counts. Tokens that tokenizer_config.json, special_tokens_map.json and
   added_tokens.json name are added, as transformers does it (src/import/README.md), so the vocabulary may be larger
   than the model's. Of static embeddings (encoder.h) tokenizer.json is all, which may lie in a folder of its own.
   `folder` may be the path of a GGUF file, too, or that of a folder with model.gguf and no config.json. Its metadata
   have the tokenizer: of the kind llama, gpt2, bert or t5, of gpt2 with a pattern that is known here. It gives the ids
   of the folder that the file was made of; src/import/README.md says where that is not what llama.cpp gives.
   INK_ERROR_NOT_FOUND, INK_ERROR_READ, INK_ERROR_CORRUPT (with byte offset or JSON path),
   INK_ERROR_MISMATCH (a member of the wrong kind, by name), INK_ERROR_UNSUPPORTED (a component that does not run here,
   by name), INK_ERROR_LIMIT, INK_ERROR_MEMORY. */
ink_result ink_tokenizer_open(ink_context *ctx, const char *folder, ink_tokenizer **tokenizer);
ink_result ink_tokenizer_open_source(ink_context *ctx, const ink_source *source, ink_tokenizer **tokenizer);
void ink_tokenizer_free(ink_tokenizer *tokenizer);

/* The tokenizer of the texts that an encoder-decoder writes. It differs from that of the sources where the folder has
   target_tokenizer.json, or is Marian's, which has target.spm and may have a vocabulary of its own (separate_vocabs,
   target_vocab.json). Otherwise it is the same, and is opened a second time. */
ink_result ink_tokenizer_open_target(ink_context *ctx, const char *folder, ink_tokenizer **tokenizer);
ink_result ink_tokenizer_open_target_source(ink_context *ctx, const ink_source *source, ink_tokenizer **tokenizer);

/* One more than the largest id. */
size_t ink_tokenizer_vocab_size(const ink_tokenizer *tokenizer);

/* The id of the token whose bytes are exactly these (an added token's content counts), or -1. */
ink_token ink_tokenizer_find(const ink_tokenizer *tokenizer, const char *text, size_t size);

/* The bytes of a token, not NUL-terminated; NULL for an id without a token. They live as long as the tokenizer. For an
   added token that is searched in normalised text they are the normalised content, as in decoding. */
const char *ink_tokenizer_token(const ink_tokenizer *tokenizer, ink_token id, size_t *size);

/* True for ids that the file marks as special. They are control tokens, not text. */
bool ink_tokenizer_is_special(const ink_tokenizer *tokenizer, ink_token id);

/* Control tokens by their role. */
typedef enum ink_control {
    INK_CONTROL_BOS,
    INK_CONTROL_EOS,
    INK_CONTROL_UNK,
    INK_CONTROL_SEP,
    INK_CONTROL_PAD,
    INK_CONTROL_CLS,
    INK_CONTROL_MASK
} ink_control;

/* Returns the id of a control token, or -1. Looked up in this order:
   1. special_tokens_map.json ("bos_token", ...), if tokenizer_config.json has no added_tokens_decoder, then
      tokenizer_config.json, then the tokenizer's class (the class of BERT has [CLS], [SEP], ...);
   2. the model's unk_token (UNK), padding.pad_id (PAD);
   3. the template: the first token before the text is BOS and CLS, the first after it EOS and SEP;
   4. PAD, MASK: a special token spelled [PAD], <pad>, [MASK] or <mask>. */
ink_token ink_tokenizer_control(const ink_tokenizer *tokenizer, ink_control which);

/* True if the template puts this control token around a single text, so that INK_ENCODE_TEMPLATE adds it. */
bool ink_tokenizer_adds(const ink_tokenizer *tokenizer, ink_control which);

/* True if a model is to get the token types of ink_tokenizer_encode_input(): tokenizer_config.json lists token_type_ids
   in "model_input_names", or without that its "tokenizer_class" is one of BERT's. Also true if it says neither; then
   the model decides, and only BERT takes them. Otherwise all tokens are of type 0, as in transformers. */
bool ink_tokenizer_gives_types(const ink_tokenizer *tokenizer);

/* model_max_length of tokenizer_config.json: how many ids the model was made for, the template's ids included. SIZE_MAX
   if the folder does not say. */
size_t ink_tokenizer_max_length(const ink_tokenizer *tokenizer);

enum {
    INK_ENCODE_PLAIN = 0,    /* the text and nothing else; added tokens in it are ordinary text */
    INK_ENCODE_ADDED = 1,    /* recognises added tokens in the text */
    INK_ENCODE_TEMPLATE = 2, /* adds the tokens that the template puts around a text (BOS, EOS) */
    INK_ENCODE_CONTINUE = 4, /* the text continues another one, so it does not get the space that only the beginning of
                                a whole text gets (Metaspace with prepend_scheme "first") */
    INK_ENCODE_LOWER = 8,    /* makes the text lower case, right after raw added tokens are cut out: do_lower_case of
                                sentence encoders (encoder.h) */
    INK_ENCODE_DEFAULT = INK_ENCODE_ADDED | INK_ENCODE_TEMPLATE /* as Hugging Face's encode() without truncation and
                                                                   padding */
};

/*
 * Encodes `size` bytes of UTF-8; NULs are text like any other. If the model has tokens for bytes (byte-level BPE,
 * byte_fallback), a byte that is not UTF-8 is encoded as this byte. Otherwise each sequence that one U+FFFD would
 * replace is one unknown character. What the vocabulary does not know becomes the unknown token of the model, or
 * nothing if the model has none; INK_ERROR_MISMATCH if it names one that is not in its vocabulary. *n is always set to
 * the number of ids. If that is more than `capacity`, nothing is written and the result is INK_ERROR_LIMIT; `ids` may
 * be NULL if capacity is 0. Encode text from users without INK_ENCODE_ADDED, or they can write control tokens.
 * ink_tokenizer_encode_input() also tells where in the text each token is.
 */
ink_result ink_tokenizer_encode(ink_context *ctx, const ink_tokenizer *tokenizer, const char *text, size_t size,
                                unsigned flags, ink_token *ids, size_t capacity, size_t *n);

/*
 * Languages. A model that translates between many languages has a token for each, and every family puts it elsewhere:
 *
 *     M2M100    __en__ SOURCE </s>                             the translation begins with __fr__
 *     NLLB      eng_Latn SOURCE </s>                           fra_Latn (legacy_behaviour: SOURCE </s> eng_Latn)
 *     mBART     SOURCE </s> en_XX    (mBART-50: in front)      fr_XX
 *     Marian    >>fra<< SOURCE </s>                            nothing
 *     T5        translate English to French: SOURCE </s>       nothing
 *
 * A direction is what two languages mean for one tokenizer. The caller encodes the sources with it and lets the model
 * begin with its first token:
 *
 *     ink_direction direction;
 *     ink_tokenizer_direction(ctx, tokenizer, "en", "fr", &direction);
 *     ink_encode_input input = {.text = text, .size = size, .flags = INK_ENCODE_DEFAULT, .direction = &direction};
 *     ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, NULL, NULL, capacity, &n);
 *     if (direction.first >= 0)
 *         options.forced_bos = (ink_token_list){&direction.first, 1};
 */
typedef struct ink_direction {
    ink_token from;     /* takes the place of the language in the template; -1: the folder's language stays */
    ink_token to;       /* comes before everything; -1: nothing does */
    ink_token first;    /* the first token of a translation; -1: as the model decides */
    const char *prefix; /* [prefix_size] comes before the text of a source; it lives as long as the tokenizer */
    size_t prefix_size;
    const char *task; /* of ink_model_task(), which has the settings for these languages; NULL: there are none */
} ink_direction;

/* Fills *direction. A name is what a user types: "fr", "fr_XX", "fra_Latn", "__fr__", ">>fra<<", in any case, with the
   two or the three letters of ISO 639 for some 150 languages. If a language has several tokens, the one with exactly
   this name counts, or else the first (zh: zho_Hans). NULL stands for the language that the folder names (src_lang,
   tgt_lang), or for none. A folder without tokens of languages translates the pairs that it names: source_lang and
   target_lang of tokenizer_config.json, "translation_en_to_de" in task_specific_params of config.json.
   INK_ERROR_ARGUMENT: the model does not know the language or the pair; the sentence lists some that it knows. */
ink_result ink_tokenizer_direction(ink_context *ctx, const ink_tokenizer *tokenizer, const char *from, const char *to,
                                   ink_direction *direction);

/* The tokens of all languages, in the order of their ids: the i-th, or -1. ink_tokenizer_token() spells it. */
ink_token ink_tokenizer_language(const ink_tokenizer *tokenizer, size_t i);

/* A text, or a pair of texts (a question and a passage), and the most ids it may become. */
typedef struct ink_encode_input {
    const char *text; /* [size] bytes */
    size_t size;
    const char *pair; /* [pair_size] bytes of the second text; NULL: there is none */
    size_t pair_size;
    unsigned flags;                 /* INK_ENCODE_... */
    size_t max_length;              /* at most so many ids, the template's ids included; 0: no limit */
    const ink_direction *direction; /* the text is a source to be translated; it needs INK_ENCODE_TEMPLATE. NULL: not */
} ink_encode_input;

/*
 * The general case of ink_tokenizer_encode(). A text that is too long for max_length loses ids at its end, or, if
 * the folder says so (truncation_side), at its beginning; of a pair the longer text is cut first ("longest_first"). The
 * template stays whole; INK_ERROR_LIMIT if it has no room. `types` [capacity], or NULL, gets for each id the row of the
 * token-type embedding, which tells the two texts of a pair apart: 0 and 1 for BERT.
 *
 * `places` [capacity], or NULL, gets for each id its place in the text (types.h): what encode() of Hugging Face's
 * tokenizers gives as offsets and word_ids, in bytes instead of characters. A place is that of the characters a token
 * was made of, however they were normalised; several tokens may share a character, and all of them have its place. A
 * byte that is not UTF-8 is a character here. An added token has the white space it includes. A space that a token
 * begins or ends with is in its place, unless the post-processor says trim_offsets (RoBERTa). `continues` follows the
 * token classification pipeline of transformers: a model with a prefix for the rest of a word (WordPiece's ##) spells
 * such a token longer than the text; with other models no space stands before the token or at its beginning. The
 * unknown token never continues if tokenizer_config.json, special_tokens_map.json or the class names it. Places cost
 * about 100 bytes of scratch memory for each byte of text; without them nothing is computed for them.
 *
 *     ink_encode_input input = {.text = question, .size = strlen(question), .pair = passage,
 *                               .pair_size = strlen(passage), .flags = INK_ENCODE_DEFAULT, .max_length = 512};
 *     ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, types, places, 512, &n);
 *     printf("%.*s\n", (int)(places[7].stop - places[7].start), passage + places[7].start);
 */
ink_result ink_tokenizer_encode_input(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_encode_input *input,
                                      ink_token *ids, ink_token *types, ink_place *places, size_t capacity, size_t *n);

/* The text of ids without special tokens. An id without a token gives nothing, as in Hugging Face's decode(): models
   often have more ids than their tokenizer. A negative id is INK_ERROR_ARGUMENT. Bytes that are not UTF-8 become U+FFFD
   as there. *size is always set to the length in bytes (no NUL is written); INK_ERROR_LIMIT as above. */
ink_result ink_tokenizer_decode(ink_context *ctx, const ink_tokenizer *tokenizer, const ink_token *ids, size_t n,
                                char *text, size_t capacity, size_t *size);

/*
 * Streaming: one id in, the text that is complete now out. A UTF-8 sequence that later ids may complete is held back,
 * so a program never prints half a character. A run of byte_fallback tokens is held back as a whole, because one wrong
 * byte turns the whole run into replacement characters; but never more than INK_STREAM_HELD bytes: when they are full,
 * the complete characters come out. White space is held back as well, up to as many bytes, where the reference takes it
 * off the end of the whole text (Marian, M2M100). The texts of all calls and of the flush together equal
 * ink_tokenizer_decode() of all ids. Zero-initialise a stream to start.
 */
#define INK_STREAM_HELD 64

typedef struct ink_text_stream {
    unsigned char held[INK_STREAM_HELD], spaces[INK_STREAM_HELD];
    size_t n_held, n_spaces;
    size_t stripped; /* characters removed from the beginning of the text */
    bool started;    /* the text has begun */
    bool broken;     /* the current run of byte tokens is not UTF-8 */
} ink_text_stream;

/* `text` gets up to `capacity` bytes and *size their number; ink_tokenizer_stream_capacity() always suffices. An id
   without a token gives nothing. id -1 flushes: the held bytes come out, as U+FFFD if they are not UTF-8. Other
   negative ids are INK_ERROR_ARGUMENT. */
ink_result ink_tokenizer_stream(ink_context *ctx, const ink_tokenizer *tokenizer, ink_text_stream *stream, ink_token id,
                                char *text, size_t capacity, size_t *size);
size_t ink_tokenizer_stream_capacity(const ink_tokenizer *tokenizer);

#ifdef __cplusplus
}
#endif

#endif
