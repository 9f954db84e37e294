/*
 * reader.h - stories as tokens, and what a model expects at each place in them.
 *
 * All measurements ask a model the same question: given some tokens, how likely is each of the last few of them after
 * those before it?
 *
 *     question q = {.tokens = tokens, .n = n, .n_asked = 1, .guesses = &guess};
 *     reader_ask(&r, &q, 1);                  guess.p: the probability of tokens[n - 1]; guess.top: nothing is likelier
 */
#ifndef EXAMPLES_READER_H
#define EXAMPLES_READER_H

#include <stdint.h>

#include "lm.h"
#include "world.h"

/* Tokens of the longest text: the context of the bundled GPT. */
enum { READER_TOKENS = 256 };

/* A story in tokens. tokens[0] begins the text, tokens[n] ends it; 1 .. n are to be predicted. */
typedef struct tale {
    story story;
    ink_token tokens[READER_TOKENS + 1];
    size_t at[READER_TOKENS + 1]; /* byte offset in the story's text where token i begins; at[0] is 0 */
    size_t n;
} tale;

/* Tells story `index` of `seed` in tokens of this model. False after an error message. */
bool tale_tell(tale *t, const language_model *lm, const story_settings *settings, uint64_t seed, uint64_t index);

/* The token that contains byte `at` of the story's text. */
size_t tale_token(const tale *t, size_t at);

/* The place of a recall's answer, in tokens, and its distance from the last mention of the value. */
typedef struct tale_answer {
    size_t first, n;
    size_t distance; /* 1: the token before */
} tale_answer;

tale_answer tale_find(const tale *t, const story_recall *recall);

typedef struct guess {
    float p;  /* the probability of the token that came */
    bool top; /* no other token was likelier */
} guess;

typedef struct question {
    const ink_token *tokens;
    size_t n;       /* at least 2, and at most READER_TOKENS + 1 */
    size_t n_asked; /* how many of the last ones are asked about, less than n */
    guess *guesses; /* [n_asked] */
} question;

/* A model that answers questions, several at a time, each in a state of its own. */
enum { READER_BATCH = 16 };

typedef struct reader {
    const language_model *lm;
    ink_sampler *softmax; /* with temperature 1 alone it turns logits into probabilities */
    ink_state *states[READER_BATCH];
    float *logits; /* [READER_BATCH * READER_TOKENS, vocab_size] */
} reader;

/* Call reader_close() even after a failure. */
bool reader_open(reader *r, const language_model *lm);
void reader_close(reader *r);

/* Answers all questions. False after an error message. */
bool reader_ask(reader *r, const question *questions, size_t n);

/* Bits of surprise, -log2 p; at most 126, because a float cannot tell smaller p from zero. */
double guess_bits(float p);

#endif
