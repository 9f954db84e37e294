/*
 * transformer.h - PyTorch's own nn.MultiheadAttention, nn.TransformerEncoderLayer and nn.TransformerEncoder, by the
 * names of their state_dict (Vaswani et al. 2017).
 *
 *     attention      y = W_o [softmax(Q K^T / sqrt(head_dim)) V of each head] + b_o      Q = W_q x + b_q; K, V so too
 *
 *     a layer        x = norm1(x + attention(x))                   norm_first:    x = x + attention(norm1(x))
 *                    x = norm2(x + ffn(x))                                        x = x + ffn(norm2(x))
 *                    ffn(x) = linear2(s(linear1(x)))
 *
 *     an encoder     layers 0, 1, ..., then a norm if the file has one
 *
 * Sequences of any lengths lie side by side as rows of one array, without padding; each result is bit-identical to
 * running the sequence alone. Like PyTorch's, these layers add no positions.
 *
 *     ink_transformer_options options = {.n_heads = 8, .activation = INK_RELU};
 *     ink_transformer_load(ctx, file, "encoder", &options, &encoder);
 *     size_t lengths[2] = {12, 30};
 *     ink_transformer_forward(ctx, encoder, x, lengths, 2, y);                  x and y [42, size]
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

/* nn.TransformerEncoder, or one of its layers; ink_transformer_load() in pytorch.h makes one. */
typedef struct ink_transformer ink_transformer;
void ink_transformer_free(ink_transformer *transformer);

size_t ink_transformer_size(const ink_transformer *transformer);
size_t ink_transformer_layers(const ink_transformer *transformer);

/* As ink_mha_forward(), but y may be x. Traces the values of a block (model.h) under "layers.0.", "layers.1.", ..., and
   "norm". */
ink_result ink_transformer_forward(ink_context *ctx, const ink_transformer *transformer, const float *x,
                                   const size_t *lengths, size_t n_sequences, float *y);

/* Allocates the scratch memory for calls with up to n_sequences sequences and n_rows rows in all, with at most
   `longest` in one sequence. Such calls then allocate nothing. */
ink_result ink_mha_reserve(ink_context *ctx, const ink_mha *mha, size_t n_sequences, size_t n_rows, size_t longest);
ink_result ink_transformer_reserve(ink_context *ctx, const ink_transformer *transformer, size_t n_sequences,
                                   size_t n_rows, size_t longest);

#ifdef __cplusplus
}
#endif

#endif
