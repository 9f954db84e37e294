/*
 * tasks.h - what an encoder is used for: answers from a text, the best of many texts.
 *
 * Each of these runs the model (encoder.h) over texts that the tokenizer has encoded, and turns its rows into a result.
 * Places in a text come from ink_tokenizer_encode_input(), so a result is a range of bytes of the text it was found in.
 *
 *     ink_encode_input input = {.text = question, .size = n, .pair = text, .pair_size = m, .flags =
 * INK_ENCODE_DEFAULT}; ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, types, places, capacity, &n_ids);
 *     ink_passage passage = {.tokens = ids, .types = types, .places = places, .n_tokens = n_ids, .text = text, .size =
 * m}; ink_answer best; ink_model_answer(ctx, model, &passage, 1, NULL, &best, &n_answers); if (n_answers > 0)
 *         printf("%.*s\n", (int)(best.stop - best.start), text + best.start);
 *
 * Memory is the context's scratch: a second call with texts of the same size allocates nothing.
 */
#ifndef INKLING_TASKS_H
#define INKLING_TASKS_H

#include <inkling/encoder.h>
#include <inkling/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- answers ---------------------------------------------------------------------------------------------------- */

/* A question and the text that may have its answer, encoded as a pair, with the template and without max_length. */
typedef struct ink_passage {
    const ink_token *tokens; /* [n_tokens] */
    const ink_token *types;  /* [n_tokens]; NULL: all 0 */
    const ink_place *places; /* [n_tokens] */
    size_t n_tokens;
    const char *text; /* [size] bytes: the second text of the pair */
    size_t size;
} ink_passage;

typedef struct ink_answer_options {
    size_t n_best;            /* the most answers to each question; 0: 1 */
    size_t max_tokens;        /* of a window, the question and the template included; 0: 384, or the model's max_tokens
                                 if that is less */
    size_t stride;            /* the tokens that two neighbouring windows share; 0: 128, or half of max_tokens if that
                                 is less; INK_NO_STRIDE: none */
    size_t max_answer_tokens; /* 0: 15 */
    bool may_be_impossible;   /* "there is no answer" competes with the answers; its place is 0 .. 0 */
} ink_answer_options;

#define INK_NO_STRIDE SIZE_MAX

typedef struct ink_answer {
    float score;
    size_t start, stop; /* bytes [start, stop) of the passage: whole words */
} ink_answer;

/*
 * The answers to n_passages questions, best first, as the question-answering pipeline of transformers 4.57 finds them;
 * n_answers [n_passages], answers [n_passages, n_best]. A passage that is too long for one window is cut into several
 * that overlap, each with the whole question. In a window
 *
 *     p(s, e) = softmax(start logits)[s] softmax(end logits)[e],     s <= e < s + max_answer_tokens
 *
 * where all tokens but those of the passage and the first one, [CLS], have logits of -10000 before the softmax. The
 * best 2 n_best + 10 spans of each window become words of the passage: from the beginning of the word of s to the end
 * of the word of e, as far as they are in the window. The same words in upper or lower case, found again in this
 * window, in another one or elsewhere in the passage, are one answer: at the place found first, with the sum of all p
 * as its score, which may exceed 1. Spans with p = 0 are no answers, so there may be fewer than n_best, or none. The
 * score of "there is no answer" is the smallest p([CLS], [CLS]) of all windows. If the default stride leaves no room
 * for other tokens in a window, because the question is long, half of that room is shared.
 *
 * Windows of all questions run together, and with as little memory as a few of them need. Everything is checked before
 * anything is written: INK_ERROR_UNSUPPORTED if the model does not answer questions (...ForQuestionAnswering);
 * INK_ERROR_ARGUMENT for ids out of range, and places that are not in the passage or in more than one stretch of
 * tokens; INK_ERROR_LIMIT if a question leaves no room for the passage, or a stride or a window is too large;
 * INK_ERROR_MEMORY. After INK_ERROR_NONFINITE the answers to the questions before the one that is named are written.
 */
ink_result ink_model_answer(ink_context *ctx, const ink_model *model, const ink_passage *passages, size_t n_passages,
                            const ink_answer_options *options, ink_answer *answers, size_t *n_answers);

/* ---- ranking ---------------------------------------------------------------------------------------------------- */

/*
 * The scores of texts, and their order, best first: a reranker (CrossEncoder.rank() of sentence-transformers). The
 * model is a classifier of texts with one label; each text is a query and a document encoded as a pair:
 *
 *     ink_encode_input pair = {.text = query, .size = n, .pair = document, .pair_size = m,
 *                              .flags = INK_ENCODE_DEFAULT, .max_length = encoder->max_tokens};
 *
 * scores [n_texts]: of text i, after the activation of the model (ink_problem). order [n_texts]: the numbers of the
 * texts; those with equal scores keep their order. The outputs of the texts are not used. INK_ERROR_UNSUPPORTED if the
 * model does not have such a head, and the errors of ink_model_encode(); after INK_ERROR_NONFINITE the scores are
 * written and the order is not.
 */
ink_result ink_model_rank(ink_context *ctx, const ink_model *model, const ink_text *texts, size_t n_texts,
                          size_t *order, float *scores);

#ifdef __cplusplus
}
#endif

#endif
