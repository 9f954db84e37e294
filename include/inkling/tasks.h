/*
 * tasks.h - what an encoder is used for: the best of many texts.
 *
 * Each of these runs the model (encoder.h) over texts that the tokenizer has encoded, and turns its rows into a result.
 * Memory is the context's scratch: a second call with texts of the same size allocates nothing.
 */
#ifndef INKLING_TASKS_H
#define INKLING_TASKS_H

#include <inkling/encoder.h>

#ifdef __cplusplus
extern "C" {
#endif

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
