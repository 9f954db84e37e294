/*
 * tokenizer_import.h - how tokenizer.json and the older files become calls of the engine's builder.
 *
 * A reader adds the steps to the draft of the builder, and lists tokens, merges and added tokens as its file spells
 * them. ink_import_tokens() makes the vocabulary and the model of these lists, with the added tokens of all files of
 * the folder. Then the reader adds the template.
 */
#ifndef INK_IMPORT_TOKENIZER_IMPORT_H
#define INK_IMPORT_TOKENIZER_IMPORT_H

#include "tokenizer_config.h"

#define INK_SPACE "\xE2\x96\x81" /* U+2581, SentencePiece's spelling of a space */

typedef struct ink_spelled_merge {
    const char *text[2]; /* the left and the right token */
    size_t size[2];
    size_t line; /* of merges.txt; 0: it is in tokenizer.json */
} ink_spelled_merge;

typedef struct ink_tokenizer_import {
    ink_context *ctx;
    ink_arena *arena; /* growing */
    const ink_source *source;
    bool target; /* the tokenizer of what an encoder-decoder writes */
    ink_tokenizer_config config;
    ink_tokenizer_builder b;

    bool byte_level;           /* tokens are spelled byte by byte (ink_import_find) */
    ink_spelled_token *tokens; /* [n_tokens] the vocabulary of the model */
    size_t n_tokens;
    double *scores;            /* [n_tokens] of Unigram, by id */
    ink_spelled_merge *merges; /* [n_merges] of BPE */
    size_t n_merges;
    ink_short_text prefix;     /* of WordPiece's tokens inside a word, */
    size_t longest_word;       /* and the characters of a word that it encodes */
    const char *unk;           /* the unknown token; NULL: there is none */
    ink_added_pattern *listed; /* [n_listed] added tokens of tokenizer.json: contents, flags and ids as in the file */
    size_t n_listed;
    ink_added_pattern *added; /* [n_added] of all files; [n_first] of them were added before the others */
    size_t n_added, n_first;
    ink_token pad; /* the padding token that tokenizer.json names; -1: none */

    size_t longest;         /* bytes of the longest spelling in the vocabulary */
    char *spelling, *bytes; /* [longest], room to look one up */
    size_t slot_capacity;   /* of the template */

    struct ink_sentencepiece *spm; /* the model that merges are made of; NULL: they are listed */
    ink_added_pattern *extra; /* [n_extra] tokens that the SentencePiece model or the class adds: content, special */
    size_t n_extra;
    bool added_raw; /* tokens of added_tokens_decoder are cut out of the raw text, whatever their flag says */

    /* Of GGUF: */
    bool *verbatim; /* [n_tokens] the token stands for itself, and no word of a text reaches it; NULL: none does */
    bool given_ids; /* `added` are there, with ids of tokens that `tokens` has, and no file adds any */
    bool by_score;  /* merges are the pairs of tokens that another one is made of, the highest score first */
    const struct ink_gguf_value *merges_value; /* for messages */
} ink_tokenizer_import;

/* Whether the folder has a file. */
bool ink_import_has(const ink_tokenizer_import *im, const char *name);

/* The regular expressions of splitters that run here. */
typedef enum ink_pattern_name {
    INK_PATTERN_GPT2,
    INK_PATTERN_LLAMA3,
    INK_PATTERN_QWEN2,
    INK_PATTERN_QWEN35,
    INK_PATTERN_TEKKEN,
    INK_PATTERN_GPT4O,
    INK_PATTERN_ANY_DIGITS,     /* Llama 3's with numbers of any length, */
    INK_PATTERN_NO_CONTRACTION, /* Qwen2's without contractions, */
    INK_PATTERN_NO_LINES,       /* and without line ends behind punctuation */
    INK_PATTERN_DIGIT,          /* \p{N} alone, */
    INK_PATTERN_3_DIGITS,       /* up to three of them, */
    INK_PATTERN_DIGITS,         /* all in a row */
    INK_N_PATTERNS
} ink_pattern_name;

typedef struct ink_pattern {
    const char *regex; /* as files write it */
    ink_match_fn match;
    unsigned options; /* INK_WORDS_..., */
    size_t most;      /* and digits in a word: `properties` and `start` of the step */
} ink_pattern;

extern const ink_pattern ink_patterns[INK_N_PATTERNS];

/* Makes a step match as a pattern says. */
void ink_import_pattern(ink_pattern_name name, ink_step *step);

/* What a name under the key "tokenizer.ggml.pre" stands for: a row of the table for GGUF files (tokenizer_gguf.c). The
   writer of such files takes the row that says what the tokenizer does, and writes its first name. */
typedef struct ink_pre {
    const char *names; /* with blanks between them; NULL ends the table */
    ink_pattern_name pattern;
    size_t digits;    /* first of all, numbers are cut into so many digits at most; 0: they are not */
    bool nfc;         /* texts are brought into NFC, which llama.cpp leaves out */
    bool whole_words; /* a word that is a token is never split, whatever its merges are (ignore_merges) */
    bool bos, sep;    /* add_bos_token and add_sep_token of files without these keys */
} ink_pre;

extern const ink_pre ink_pres[];

struct ink_gguf;

/* The readers. */
ink_result ink_import_tokenizer_gguf(ink_tokenizer_import *im, const struct ink_gguf *gguf);
ink_result ink_import_tokenizer_json(ink_tokenizer_import *im, const ink_json_document *json);
ink_result ink_import_tokenizer_legacy(ink_tokenizer_import *im);

/* The reader of a SentencePiece model, and the merges of its pieces, if that is what they are made of. */
ink_result ink_import_spm(ink_tokenizer_import *im, const char *file);
ink_result ink_import_spm_merges(ink_tokenizer_import *im);

/* The steps of a Unigram of words: texts are split at white space if `splits`, the spaces are U+2581, and with `prefix`
   one goes in front of a text. */
void ink_import_word_pieces(ink_tokenizer_import *im, bool splits, bool prefix);

/* Marian's and M2M100's: SentencePiece with a vocab.json (tokenizer_languages.c). */
ink_result ink_import_pieces(ink_tokenizer_import *im);

/* The tokens of languages that a class has, in the order of their ids; 0 for most classes. */
ink_result ink_import_class_languages(ink_tokenizer_import *im, const char ***names, size_t *n);

/* The language of a source as the class has it; NULL for classes without one. */
const char *ink_import_source_language(const ink_tokenizer_import *im);

/* The languages of the tokenizer, and the template of a class that puts one around a text; the vocabulary and the
   controls are there. */
ink_result ink_import_languages(ink_tokenizer_import *im);

/* The id of a control token that the template needs; the other files have added it if the vocabulary lacks it. */
ink_result ink_import_template_id(ink_tokenizer_import *im, ink_control which, ink_token *id);

/* BOS A EOS, and for a pair BOS A EOS BOS B EOS, where BOS and EOS are there if the settings want them. */
ink_result ink_import_bos_eos(ink_tokenizer_import *im);

/* Lists the members of an object, {"the": 5, ...}, as the tokens of the vocabulary. */
ink_result ink_import_list_tokens(ink_tokenizer_import *im, const ink_json_document *json, ink_json object);

/* Lists a merge that is written as "left right" in that line of merges.txt, or 0. INK_ERROR_CORRUPT. */
ink_result ink_import_list_merge(ink_tokenizer_import *im, size_t line, const char *text, size_t size);

/* Collects the added tokens of the folder (tokenizer_added.c); their ids are still open. */
ink_result ink_import_added(ink_tokenizer_import *im);

/* Makes vocabulary, model and added tokens of the lists and the other files; the steps are there. */
ink_result ink_import_tokens(ink_tokenizer_import *im);

/* The token of the vocabulary with that spelling, or -1; after ink_import_tokens(). */
ink_token ink_import_find(ink_tokenizer_import *im, const char *spelling, size_t size);

/* Appends a slot to the template; first all slots for a single text, then all for a pair. */
ink_result ink_import_slot(ink_tokenizer_import *im, bool pair, ink_token id, ink_token type);

/* The templates of BERT, [CLS] A [SEP] B [SEP], and RoBERTa, <s> A </s></s> B </s>, which has one token type. */
ink_result ink_import_bert_template(ink_tokenizer_import *im, ink_token cls, ink_token sep, bool roberta);

/* The tokenizer that the class of BERT makes of the listed tokens and of tokenizer_config.json. */
ink_result ink_import_bert(ink_tokenizer_import *im);

/* The template of RoBERTa's class, with the tokens that the files name. */
ink_result ink_import_roberta_template(ink_tokenizer_import *im);

/* BERT's rows of steps; false if a row has no room for them. */
bool ink_import_bert_normalizer(ink_tokenizer_import *im, bool clean_text, bool chinese, bool strip_accents,
                                bool lowercase);
bool ink_import_bert_splitter(ink_tokenizer_import *im);
bool ink_import_wordpiece_decoder(ink_tokenizer_import *im, const ink_short_text *prefix, bool cleanup);

#endif
