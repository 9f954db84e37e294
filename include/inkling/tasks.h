/*
 * tasks.h - what an encoder is used for: answers from a text, the best of many texts, the words of a text with labels.
 *
 * Each of these runs the model (encoder.h) over texts that the tokenizer has encoded, and turns its rows into a result.
 * Places in a text come from ink_tokenizer_encode_input(), so a result is a range of bytes of the text it was found in.
 *
 *     ink_encode_input input = {.text = question, .size = n, .pair = text, .pair_size = m,
 *                               .flags = INK_ENCODE_DEFAULT};
 *     ink_tokenizer_encode_input(ctx, tokenizer, &input, ids, types, places, capacity, &n_ids);
 *     ink_passage passage = {.tokens = ids, .types = types, .places = places, .n_tokens = n_ids,
 *                            .text = text, .size = m};
 *     ink_answer best;
 *     ink_model_answer(ctx, model, &passage, 1, NULL, &best, &n_answers);
 *     if (n_answers > 0)
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

/* A text encoded with the template and without max_length; or a question and the text that may have its answer, encoded
   as a pair. It may have any length: one that is too long for the model is cut into windows that overlap, and windows
   of all texts run together, with as little memory as a few of them need. */
typedef struct ink_passage {
    const ink_token *tokens; /* [n_tokens] */
    const ink_token *types;  /* [n_tokens]; NULL: all 0 */
    const ink_place *places; /* [n_tokens] */
    size_t n_tokens;
    const char *text; /* [size] bytes: the text; of a pair the second one */
    size_t size;
} ink_passage;

#define INK_NO_STRIDE SIZE_MAX

/* ---- answers ---------------------------------------------------------------------------------------------------- */

typedef struct ink_answer_options {
    size_t n_best;            /* the most answers to each question; 0: 1 */
    size_t max_tokens;        /* of a window, the question and the template included; 0: 384, or the model's max_tokens
                                 if that is less */
    size_t stride;            /* the tokens that two neighbouring windows share; 0: 128, or half of max_tokens if that
                                 is less; INK_NO_STRIDE: none */
    size_t max_answer_tokens; /* 0: 15 */
    bool may_be_impossible;   /* "there is no answer" competes with the answers; its place is 0 .. 0 */
} ink_answer_options;

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

/* ---- tags ------------------------------------------------------------------------------------------------------- */

/* What becomes a word, and whose label it gets. */
typedef enum ink_aggregation {
    INK_AGGREGATE_NONE,   /* each token, with its label as it is */
    INK_AGGREGATE_SIMPLE, /* neighbours whose labels differ only in B- and I-, up to the next B- */
    INK_AGGREGATE_FIRST, /* the same of whole words (ink_place.continues), which have the label of their first token, */
    INK_AGGREGATE_AVERAGE, /* or the likeliest label by the mean of their tokens' probabilities, */
    INK_AGGREGATE_MAX,     /* or the label of the token that is surest of its own */
    INK_N_AGGREGATIONS
} ink_aggregation;

typedef struct ink_tag_options {
    ink_aggregation aggregation;
    size_t max_tokens; /* of a window, the template included; 0: the model's max_tokens (encoder.h) */
    size_t stride;     /* the tokens that two neighbouring windows share; 0: 128, or half of max_tokens if that is less;
                          INK_NO_STRIDE: none */
    bool keep_outside; /* words labelled O, "outside", are tags, too */
} ink_tag_options;

typedef struct ink_tag {
    size_t label;     /* in ink_encoder_info.labels: that of the first token or word */
    const char *name; /* of it; of a group without "B-", "I-" or what else stands before the first "-". Lives as long as
                         the model */
    float score;      /* its probability; of a group the mean over its tokens, or words */
    size_t start, stop; /* bytes [start, stop) of the text */
} ink_tag;

/*
 * The words of texts that have a label: what the token-classification pipeline of transformers 5.24 finds, in the order
 * of the text. n_tags [n_texts]; tags [capacity]: those of text 0, then those of text 1, ... There are at most as many
 * as tokens. Probabilities are the softmax over the labels.
 *
 * Each window of a long text is tagged alone. Where windows overlap, of two tags that overlap the longer one stays, in
 * characters, and of equal ones the better one. (The pipeline gives a tag of white space alone, which has no place,
 * once for each window. Without aggregation it cuts a long text instead; here each token gets its best tag.)
 *
 * `options` may be NULL: no aggregation. Only the tokens of the first text of a pair have tags. INK_ERROR_UNSUPPORTED
 * if the model labels no tokens (...ForTokenClassification); INK_ERROR_ARGUMENT for ids out of range, and places that
 * are not in the text or in more than one stretch of tokens; INK_ERROR_LIMIT for windows and strides that are too
 * large, and if there are more tags than `capacity`: as many are written, and n_tags are right; INK_ERROR_MEMORY. After
 * INK_ERROR_NONFINITE the tags of the texts before the one that is named are written.
 */
ink_result ink_model_tag(ink_context *ctx, const ink_model *model, const ink_passage *texts, size_t n_texts,
                         const ink_tag_options *options, ink_tag *tags, size_t capacity, size_t *n_tags);

#ifdef __cplusplus
}
#endif

#endif
