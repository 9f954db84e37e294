/*
 * split.h - pre-tokenisation: where a text is cut into words before the model sees it.
 *
 * A splitter says where it matches, and what its matches do: be words, separate words, or stick to a neighbour. A
 * pre-tokenizer is a chain of splitters, each of which cuts up the words of the one before it.
 *
 * Tokenizers write the long rules as regular expressions. The published ones are few, so each is a function here; a
 * pattern that is not among them is refused when the tokenizer is opened.
 */
#ifndef INK_TEXT_SPLIT_H
#define INK_TEXT_SPLIT_H

#include "../base/internal.h"
#include "short_text.h"

#define INK_SPLITTERS 8 /* longest chain */

/* What becomes of the matches; all that lies between two of them is a word. */
typedef enum ink_split_behavior {
    INK_SPLIT_ISOLATED,             /* each is a word */
    INK_SPLIT_REMOVED,              /* they go */
    INK_SPLIT_CONTIGUOUS,           /* neighbours are one word together */
    INK_SPLIT_MERGED_WITH_PREVIOUS, /* each goes with the word before it */
    INK_SPLIT_MERGED_WITH_NEXT      /* each goes with the word after it */
} ink_split_behavior;

/* Before it is split, a text may be given a first character. */
typedef enum ink_prefix_scheme {
    INK_PREFIX_NEVER,
    INK_PREFIX_FIRST, /* where it is the beginning of the whole text; for the first splitter of a chain only */
    INK_PREFIX_ALWAYS
} ink_prefix_scheme;

typedef struct ink_splitter ink_splitter;

/* The length in bytes of the match at the head of text [size], size >= 1, or 0. Looks at nothing before the text. */
typedef size_t (*ink_match_fn)(const ink_splitter *splitter, const char *text, size_t size);

struct ink_splitter {
    ink_match_fn match;
    ink_split_behavior behavior;
    bool invert;           /* what matches and what lies between change places */
    unsigned properties;   /* ink_match_property: of the code points that match */
    ink_short_text string; /* ink_match_string: what matches */
    ink_short_text space;  /* stands in the place of each U+0020; empty: nothing does */
    ink_short_text prefix; /* put before a text that does not start with it */
    ink_prefix_scheme scheme;
};

/* rules.c: the patterns. Every text is a row of their matches.
   GPT-2 (Radford et al. 2019):  's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t ink_match_gpt2(const ink_splitter *splitter, const char *text, size_t size);

/* Llama 3:  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|
             \s+(?!\S)|\s+
   Qwen2 has \p{N} in place of \p{N}{1,3}. */
size_t ink_match_llama3(const ink_splitter *splitter, const char *text, size_t size);
size_t ink_match_qwen2(const ink_splitter *splitter, const char *text, size_t size);

/* \w+|[^\w\s]+ */
size_t ink_match_word_or_not(const ink_splitter *splitter, const char *text, size_t size);

size_t ink_match_space(const ink_splitter *splitter, const char *text, size_t size); /* one of White_Space */
size_t ink_match_property(const ink_splitter *splitter, const char *text, size_t size);
size_t ink_match_string(const ink_splitter *splitter, const char *text, size_t size);
size_t ink_match_nothing(const ink_splitter *splitter, const char *text, size_t size); /* the text is one word */

/* The rule that a pattern stands for, or NULL. */
ink_match_fn ink_match_pattern(const char *pattern);

typedef struct ink_pre_tokenizer {
    ink_splitter splitters[INK_SPLITTERS];
    size_t n_splitters;
} ink_pre_tokenizer;

/* What words are given to, one after the other. */
typedef ink_result (*ink_word_fn)(void *user, const char *word, size_t size);

/* Cuts text [size] into words; `at_start` says that it is the beginning of the whole text. Takes scratch memory that
   the caller releases. */
ink_result ink_pre_tokenize(ink_context *ctx, const ink_pre_tokenizer *pre_tokenizer, const char *text, size_t size,
                            bool at_start, ink_word_fn use, void *user);

#endif
