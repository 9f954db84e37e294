/*
 * inkling.h - multi-layer perceptrons, recurrent networks and Transformers in C, on libc and libm alone.
 *
 * This is the only header of inkling that a program needs. An example that continues a text:
 *
 *     #include <inkling.h>
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *
 *     int main(void)
 *     {
 *         const char *folder = "examples/models/gpt", *prompt = "Anna and";
 *         ink_context *ctx = ink_context_create(NULL);
 *         ink_model *model = NULL;
 *         ink_state *state = NULL;
 *         ink_tokenizer *tokenizer = NULL;
 *         ink_sampler *sampler = NULL;
 *         ink_sampler_options options = {.temperature = 0.8f, .seed = 1};
 *         ink_token tokens[16];
 *         size_t n, size;
 *
 *         if (ctx == NULL)
 *             return 1;
 *         if (ink_model_open(ctx, folder, NULL, &model) != INK_OK ||
 *             ink_state_create(ctx, model, 0, &state) != INK_OK ||
 *             ink_tokenizer_open(ctx, folder, &tokenizer) != INK_OK ||
 *             ink_sampler_create(ctx, &options, ink_model_get_info(model)->vocab_size, &sampler) != INK_OK ||
 *             ink_tokenizer_encode(ctx, tokenizer, prompt, 8, INK_ENCODE_DEFAULT, tokens, 16, &n) != INK_OK) {
 *             fprintf(stderr, "%s\n", ink_context_error(ctx));
 *             return 1;
 *         }
 *         float *logits = malloc(ink_model_get_info(model)->vocab_size * sizeof *logits);
 *         printf("%s", prompt);
 *         for (int i = 0; i < 40; i++) {
 *             if (ink_model_forward(ctx, model, state, tokens, n, logits) != INK_OK ||
 *                 ink_sampler_pick(ctx, sampler, logits, &tokens[0]) != INK_OK)
 *                 break;
 *             const char *text = ink_tokenizer_token(tokenizer, tokens[0], &size);
 *             fwrite(text, 1, size, stdout);
 *             n = 1;
 *         }
 *         printf("\n");
 *         free(logits);
 *         ink_sampler_free(sampler);
 *         ink_tokenizer_free(tokenizer);
 *         ink_state_free(state);
 *         ink_model_free(model);
 *         ink_context_free(ctx);
 *         return 0;
 *     }
 *
 * Reading order: context, types, arena, source (the base); tensor, matrix (the one product); functions, dense, conv,
 * embedding, norm, recurrent, rope, attention, transformer, sequential (layers); weights, pytorch (layers from files);
 * model, encoder, encoder_decoder (whole models); tokenizer, sampler, chat, generate (text); tasks (answers, ranks,
 * tags).
 */
#ifndef INKLING_H
#define INKLING_H

#include <inkling/context.h>
#include <inkling/types.h>
#include <inkling/arena.h>
#include <inkling/source.h>
#include <inkling/tensor.h>
#include <inkling/matrix.h>
#include <inkling/functions.h>
#include <inkling/dense.h>
#include <inkling/conv.h>
#include <inkling/embedding.h>
#include <inkling/norm.h>
#include <inkling/recurrent.h>
#include <inkling/rope.h>
#include <inkling/attention.h>
#include <inkling/transformer.h>
#include <inkling/sequential.h>
#include <inkling/weights.h>
#include <inkling/pytorch.h>
#include <inkling/model.h>
#include <inkling/encoder.h>
#include <inkling/encoder_decoder.h>
#include <inkling/tokenizer.h>
#include <inkling/sampler.h>
#include <inkling/chat.h>
#include <inkling/generate.h>
#include <inkling/tasks.h>

#endif
