/*
 * split.h - pre-tokenisation: where a text is cut into words before the model sees it.
 *
 * Tokenizers write these rules as regular expressions. The published ones are few, so each is a function here that
 * cuts off the first word; a pattern that is not among them is refused when the tokenizer is opened.
 */
#ifndef INK_TEXT_SPLIT_H
#define INK_TEXT_SPLIT_H

#include <stddef.h>

/* The length in bytes of the first word of text [size], size >= 1; at least 1. Looks at nothing before the text. */
typedef size_t (*ink_split_fn)(const char *text, size_t size);

/* GPT-2 (Radford et al. 2019):  's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t ink_split_gpt2(const char *text, size_t size);

/* No rule: the whole text is one word. */
size_t ink_split_none(const char *text, size_t size);

#endif
