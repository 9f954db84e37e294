/*
 * vocabulary.h - words that a model cannot have learned, because its vocabulary lacks them.
 *
 * A tokenizer turns every text into tokens, and says nothing where it has to make do: an unknown word becomes [UNK], or
 * nothing, or the letters it is spelled with. The model then reads something that it never saw in training, and its
 * answer is worth little. Whoever typed the word should know.
 */
#ifndef EXAMPLES_VOCABULARY_H
#define EXAMPLES_VOCABULARY_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>

/* Names, in a note on stderr, words of the text that the vocabulary lacks, and what the tokenizer makes of them:
 *
 *     note: "elephant" is not in the vocabulary of examples/models/gpt, which reads it in 7 pieces
 *     note: "안녕" is not in the vocabulary of examples/models/mood, which reads it as [UNK]
 *
 * A program names a word once, and is silent after some notes. `flags` are those of encoding; added tokens are words
 * that every vocabulary has. A mistake of the tokenizer is left to whoever encodes the text. */
void vocabulary_note(ink_context *ctx, const ink_tokenizer *tokenizer, const char *folder, const char *text,
                     size_t size, unsigned flags);

#endif
