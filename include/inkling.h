/*
 * inkling.h - multi-layer perceptrons, recurrent networks and Transformers in C, on libc and libm alone.
 *
 * This is the one header a program includes. A program that continues a text:
 *
 *     #include <inkling.h>
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         ink_context *ctx = ink_context_create(NULL);
 *         ink_model *model = NULL;
 *         ink_state *state = NULL;
 *         ink_tokenizer *tokenizer = NULL;
 *         ink_token tokens[64];
 *         static float logits[1024];
 *         size_t n;
 *
 *         if (ctx == NULL)
 *             return 1;
 *         if (ink_model_open(ctx, "examples/models/gpt", NULL, &model) != INK_OK ||
 *             ink_tokenizer_open(ctx, "examples/models/gpt", &tokenizer) != INK_OK ||
 *             ink_state_create(ctx, model, 0, &state) != INK_OK ||
 *             ink_tokenizer_encode(ctx, tokenizer, "Anna and", 8, INK_ENCODE_DEFAULT, tokens, 64, &n) != INK_OK ||
 *             ink_model_forward(ctx, model, state, tokens, n, logits) != INK_OK)
 *             fprintf(stderr, "%s\n", ink_context_error(ctx));
 *         ...
 *     }
 *
 * Reading order: context, arena, source (the ground); tensor, matrix (the one product); weights (files); dense,
 * embedding, norm, recurrent, attention (layers); model (layers wired up); tokenizer, sampler (text).
 */
#ifndef INKLING_H
#define INKLING_H

#include <inkling/context.h>
#include <inkling/arena.h>
#include <inkling/source.h>
#include <inkling/tensor.h>
#include <inkling/matrix.h>
#include <inkling/weights.h>
#include <inkling/dense.h>
#include <inkling/embedding.h>
#include <inkling/norm.h>
#include <inkling/recurrent.h>
#include <inkling/attention.h>
#include <inkling/model.h>
#include <inkling/tokenizer.h>
#include <inkling/sampler.h>

#endif
