/*
 * transformer.h - PyTorch's own nn.MultiheadAttention, nn.TransformerEncoder and nn.TransformerDecoder, and their
 * layers, by the names of their state_dict (Vaswani et al. 2017). An nn.Transformer is its `encoder` and its `decoder`.
 *
 *     attention      y = W_o [softmax(Q K^T / sqrt(head_dim)) V of each head] + b_o      Q = W_q x + b_q; K, V so too
 *
 *     a layer        x = norm1(x + attention(x))                   norm_first:    x = x + attention(norm1(x))
 *                    x = norm2(x + ffn(x))                                        x = x + ffn(norm2(x))
 *                    ffn(x) = linear2(s(linear1(x)))
 *
 *     of a decoder   between the two, from x to the rows m of a memory, the output of an encoder:
 *                    x = norm2(x + attention(x, m))                norm_first:    x = x + attention(norm2(x), m)
 *                    and the norm of the ffn is norm3
 *
 *     a stack        layers 0, 1, ..., then a norm if the file has one
 *
 * Sequences of any lengths lie side by side as rows of one array, without padding; each result is bit-identical to
 * running the sequence alone. Like PyTorch's, these layers add no positions.
 *
 *     ink_transformer_options options = {.n_heads = 8, .activation = INK_RELU};
 *     ink_transformer_load(ctx, file, "encoder", &options, &encoder);
 *     size_t lengths[2] = {12, 30};
 *     ink_transformer_forward(ctx, encoder, x, lengths, 2, memory);             x and memory [42, size]
 *
 *     options.causal = true;
 *     ink_transformer_load(ctx, file, "decoder", &options, &decoder);
 *     ink_transformer_decode(ctx, decoder, target, target_lengths, memory, lengths, 2, y);
 *
 * A network is immutable once loaded and may be used through many contexts at once.
 */
#ifndef INKLING_TRANSFORMER_H
#define INKLING_TRANSFORMER_H

#include <inkling/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* nn.MultiheadAttention as self-attention; ink_mha_load() in pytorch.h makes one. */
typedef struct ink_mha ink_mha;
void ink_mha_free(ink_mha *mha);

size_t ink_mha_size(const ink_mha *mha);

/* y [rows, size] from x [rows, size]; rows is the sum of lengths [n_sequences], each at least 1 (INK_ERROR_ARGUMENT). y
   may not overlap x. Traces "attn.qkv", "attn.scores", "attn.weights", "attn.heads" and "attn.out" as in model.h. */
ink_result ink_mha_forward(ink_context *ctx, const ink_mha *mha, const float *x, const size_t *lengths,
                           size_t n_sequences, float *y);

/* nn.TransformerEncoder, nn.TransformerDecoder, or one of their layers; ink_transformer_load() in pytorch.h makes one.
 */
typedef struct ink_transformer ink_transformer;
void ink_transformer_free(ink_transformer *transformer);

size_t ink_transformer_size(const ink_transformer *transformer);
size_t ink_transformer_layers(const ink_transformer *transformer);

/* The size of a row of the memory that a decoder attends to; 0: an encoder. */
size_t ink_transformer_memory_size(const ink_transformer *transformer);

/* An encoder: as ink_mha_forward(), but y may be x. Traces the values of a block (model.h) under "layers.0.",
   "layers.1.", ..., and "norm". INK_ERROR_ARGUMENT for a decoder. */
ink_result ink_transformer_forward(ink_context *ctx, const ink_transformer *transformer, const float *x,
                                   const size_t *lengths, size_t n_sequences, float *y);

/* A decoder: sequence i attends to all of its memory, memory_lengths[i] rows, which lie side by side in memory [rows,
   memory_size]; every memory has at least one row (INK_ERROR_ARGUMENT). All else is as above. INK_ERROR_ARGUMENT for an
   encoder. */
ink_result ink_transformer_decode(ink_context *ctx, const ink_transformer *transformer, const float *x,
                                  const size_t *lengths, const float *memory, const size_t *memory_lengths,
                                  size_t n_sequences, float *y);

/* Allocates the scratch memory for calls with up to n_sequences sequences and n_rows rows in all, with at most
   `longest` in one sequence. Such calls then allocate nothing. */
ink_result ink_mha_reserve(ink_context *ctx, const ink_mha *mha, size_t n_sequences, size_t n_rows, size_t longest);
ink_result ink_transformer_reserve(ink_context *ctx, const ink_transformer *transformer, size_t n_sequences,
                                   size_t n_rows, size_t longest);
ink_result ink_transformer_decode_reserve(ink_context *ctx, const ink_transformer *transformer, size_t n_sequences,
                                          size_t n_rows, size_t longest, size_t n_memory_rows, size_t longest_memory);

#ifdef __cplusplus
}
#endif

#endif
