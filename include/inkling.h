/*
 * inkling.h - multi-layer perceptrons, recurrent networks and Transformers in C, on libc and libm alone.
 *
 * This is the only header of inkling that a program needs. An example that continues a text:
 *
 *     #include <inkling.h>
 *     #include <stdio.h>
 *
 *     static bool print(void *user, const ink_generate_step *step)
 *     {
 *         return fwrite(step->text, 1, step->size, user) == step->size;
 *     }
 *
 *     static int complain(const ink_context *ctx)
 *     {
 *         fprintf(stderr, "%s\n", ink_context_error(ctx));
 *         return 1;
 *     }
 *
 *     int main(void)
 *     {
 *         const char *folder = "examples/models/gpt", *prompt = "Anna and";
 *         ink_context *ctx = ink_context_create(NULL);
 *         ink_model *model = NULL;
 *         ink_tokenizer *tokenizer = NULL;
 *         ink_generator *generator = NULL;
 *         ink_token tokens[16];
 *         ink_request request = {.tokens = tokens};
 *
 *         if (ctx == NULL)
 *             return 1;
 *         if (ink_model_open(ctx, folder, NULL, &model) != INK_OK ||
 *             ink_tokenizer_open(ctx, folder, &tokenizer) != INK_OK ||
 *             ink_tokenizer_encode(ctx, tokenizer, prompt, 8, INK_ENCODE_DEFAULT, tokens, 16,
 *                                  &request.n_tokens) != INK_OK)
 *             return complain(ctx);
 *         ink_generate_options options = {.sampler = {.temperature = 0.8f, .seed = 1}, .max_tokens = 40,
 *                                         .tokenizer = tokenizer, .callback = print, .user = stdout};
 *         printf("%s", prompt);
 *         if (ink_generator_create(ctx, model, &options, &generator) != INK_OK ||
 *             ink_generate(ctx, generator, &request, 1) != INK_OK)
 *             return complain(ctx);
 *         printf("\n");
 *         ink_generator_free(generator);
 *         ink_tokenizer_free(tokenizer);
 *         ink_model_free(model);
 *         ink_context_free(ctx);
 *         return 0;
 *     }
 *
 * Reading order: context, types, arena, source (the base); tensor, matrix (the one product); functions, dense, conv,
 * embedding, norm, recurrent, rope, attention, transformer, sequential (layers); weights, pytorch (layers from files);
 * model, encoder, encoder_decoder (whole models); tokenizer, sampler, chat, generate (text); tasks (answers, ranks,
 * tags); gguf_write (a folder as a GGUF file).
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
#include <inkling/gguf_write.h>

#endif
