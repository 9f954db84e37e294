/*
 * step.h - one token on its way through a network: every intermediate value in the order of the computation, with its
 * formula, its shape, its first numbers, and its place in the code. The numbers are those that the library computes.
 */
#ifndef EXAMPLES_STEP_H
#define EXAMPLES_STEP_H

#include "lm.h"

/* What the model reads. Of an encoder-decoder, `tokens` [n + 1] are what its decoder reads, the start token and the
   answer, and what it writes at last. */
typedef struct step_text {
    const ink_token *tokens, *types; /* [n]; types of encoders, or NULL */
    size_t n;
    ink_encoded *encoded;    /* for the source of an encoder-decoder; NULL: there is none */
    const ink_token *source; /* [n_source] */
    size_t n_source;
    const ink_tokenizer *target; /* of the answer; NULL: the model's own */
} step_text;

/* The token as a word for a terminal, without the space that it may begin with; its id if there is no tokenizer. */
enum { STEP_WORD = 32 };
const char *step_word(const ink_tokenizer *tokenizer, ink_token token, char room[STEP_WORD]);

/* The token that is worth a look if nobody chose one, counted from 0: the last; of an encoder the first gap, or the row
   that its head reads; of an encoder-decoder the step that writes the first word. */
size_t step_usual(const language_model *lm, const step_text *text);

/* Prints the way of token `at`, and what it leads to: the next words, the labels, or the vector of the text. Of the
   layers only number `layer`, counted from 1; 0: all. */
bool step_show(const language_model *lm, const step_text *text, size_t at, size_t layer);

#endif
