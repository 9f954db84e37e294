/*
 * reader.h - fresh stories as tokens, and what a model expects at each place of them.
 *
 * Everything that is measured about a model is asked in one way: here are some tokens, how likely did you find the last
 * few of them, each after those before it?
 *
 *     question q = {.tokens = tokens, .n = n, .n_asked = 1, .guesses = &guess};
 *     reader_ask(&r, &q, 1);                  guess.p: the probability of tokens[n - 1]; guess.top: nothing is likelier
 */
#ifndef EXAMPLES_READER_H
#define EXAMPLES_READER_H

#include <stdint.h>

#include "lm.h"
#include "world.h"

/* Tokens of the longest text that is read: the context of the models in the box. */
enum { READER_TOKENS = 256 };

/* A story in tokens. tokens[0] begins the text, tokens[n] ends it; 1 .. n are there to be predicted. */
typedef struct tale {
    story story;
    ink_token tokens[READER_TOKENS + 1];
    size_t at[READER_TOKENS + 1]; /* byte offset in the story's text where token i begins; at[0] is 0 */
    size_t n;
} tale;

/* Story `index` of `seed`, as tokens of this model. False, with the sentence said. */
bool tale_tell(tale *t, const language_model *lm, const story_settings *settings, uint64_t seed, uint64_t index);

/* The token that holds byte `at` of the story's text. */
size_t tale_token(const tale *t, size_t at);

/* Where the answer of a recall stands, in tokens, and how many tokens after the latest mention of the value. */
typedef struct tale_answer {
    size_t first, n;
    size_t distance; /* 1 would be the token before */
} tale_answer;

tale_answer tale_find(const tale *t, const story_recall *recall);

typedef struct guess {
    float p;  /* the probability of what came */
    bool top; /* no other token was likelier */
} guess;

typedef struct question {
    const ink_token *tokens;
    size_t n;       /* at least 2, and at most READER_TOKENS + 1 */
    size_t n_asked; /* the last so many of them, less than n */
    guess *guesses; /* [n_asked] */
} question;

/* A model ready to be asked. It reads several questions at a time, each in a state of its own. */
enum { READER_BATCH = 16 };

typedef struct reader {
    const language_model *lm;
    ink_sampler *softmax; /* temperature 1 and nothing else: the logits' probabilities */
    ink_state *states[READER_BATCH];
    float *logits; /* [READER_BATCH * READER_TOKENS, vocab_size] */
} reader;

/* reader_close() is due also after a failure. */
bool reader_open(reader *r, const language_model *lm);
void reader_close(reader *r);

/* Answers all questions. False, with the sentence said, if the model cannot. */
bool reader_ask(reader *r, const question *questions, size_t n);

/* Bits of surprise, -log2 p; at most 126, for what a float cannot tell from impossible. */
double guess_bits(float p);

#endif
