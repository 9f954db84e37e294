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
 *     an encoder     layers 0, 1, ..., and a norm behind them if the file has one
 *
 * Sequences of any lengths lie side by side as rows of one array, without padding; each result is bit-identical to
 * running the sequence alone. PyTorch adds no positions here, and neither does this.
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

#include <inkling/dense.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a state_dict does not hold. {0} but n_heads and activation: PyTorch's defaults. */
typedef struct ink_transformer_options {
    size_t n_heads;            /* must divide the size */
    ink_activation activation; /* of the layers; PyTorch's default is INK_RELU, the other one INK_GELU */
    float eps;                 /* of the norms; 0: 1e-5 */
    bool norm_first;
    bool causal; /* every row sees the rows up to itself: the mask of nn.Transformer.generate_square_subsequent_mask */
} ink_transformer_options;

/*
 * Self-attention by nn.MultiheadAttention: `name`.in_proj_weight [3 size, size], or q_proj_weight, k_proj_weight and
 * v_proj_weight [size, size]; in_proj_bias [3 size] if it is there; out_proj.weight and, if it is there, its bias. Of
 * the options n_heads and causal count. INK_ERROR_ARGUMENT for n_heads that do not divide the size, INK_ERROR_MISMATCH
 * for keys or values of another size than the queries', INK_ERROR_UNSUPPORTED for bias_k and bias_v; else as
 * ink_dense_load().
 */
typedef struct ink_mha ink_mha;
ink_result ink_mha_load(ink_context *ctx, const ink_weights *weights, const char *name,
                        const ink_transformer_options *options, ink_mha **mha);
void ink_mha_free(ink_mha *mha);

size_t ink_mha_size(const ink_mha *mha);

/* y [rows, size] from x [rows, size]; rows is the sum of lengths [n_sequences], each at least 1 (INK_ERROR_ARGUMENT). y
   may not overlap x. Shows "attn.qkv", "attn.scores", "attn.weights", "attn.heads" and "attn.out" as model.h says. */
ink_result ink_mha_forward(ink_context *ctx, const ink_mha *mha, const float *x, const size_t *lengths,
                           size_t n_sequences, float *y);

/*
 * A stack of nn.TransformerEncoderLayer: `name`.layers.0.self_attn ... as above, linear1 and linear2, norm1 and norm2;
 * layers.1 and so on; `name`.norm if it is there. Or one such layer by itself: `name`.self_attn ... Decoder layers,
 * which also attend to a memory (multihead_attn), are INK_ERROR_UNSUPPORTED.
 */
typedef struct ink_transformer ink_transformer;
ink_result ink_transformer_load(ink_context *ctx, const ink_weights *weights, const char *name,
                                const ink_transformer_options *options, ink_transformer **transformer);
void ink_transformer_free(ink_transformer *transformer);

size_t ink_transformer_size(const ink_transformer *transformer);
size_t ink_transformer_layers(const ink_transformer *transformer);

/* As ink_mha_forward(), but y may be x. Shows the names of a block in model.h under "layers.0.", "layers.1.", ... and
   "norm". */
ink_result ink_transformer_forward(ink_context *ctx, const ink_transformer *transformer, const float *x,
                                   const size_t *lengths, size_t n_sequences, float *y);

/* Takes the scratch memory for calls with up to n_sequences sequences and n_rows rows in all, the longest sequence of
   `longest`, ahead of time; they allocate nothing then. */
ink_result ink_mha_reserve(ink_context *ctx, const ink_mha *mha, size_t n_sequences, size_t n_rows, size_t longest);
ink_result ink_transformer_reserve(ink_context *ctx, const ink_transformer *transformer, size_t n_sequences,
                                   size_t n_rows, size_t longest);

#ifdef __cplusplus
}
#endif

#endif
