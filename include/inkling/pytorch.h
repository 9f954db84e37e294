/*
 * pytorch.h - PyTorch's modules from their state_dict, saved as safetensors.
 *
 *     ink_weights *file;
 *     ink_mlp *mlp;
 *     ink_weights_open(ctx, "digits.safetensors", &file);
 *     ink_mlp_load(ctx, file, "net", INK_RELU, INK_IDENTITY, &mlp);      (net.0.weight [256, 784], net.2.weight ...)
 *     ink_weights_free(file);                                            (the layer keeps its own packed copy)
 *
 * `name` is the path of the module in the state_dict ("net.0"); its parameters are `name`.weight and so on. "" is the
 * root of the file. The names and shapes of all tensors are checked before their memory is allocated. The packed
 * weights stay F32, BF16 or F16 as they are stored; F64 becomes F32, and so do the quantised types of a GGUF file.
 *
 * A matrix under torch.nn.utils.weight_norm or spectral_norm (both also in torch.nn.utils.parametrizations) is computed
 * from its parts, as in evaluation mode, and becomes F32; the norm must be along the first dimension, which is the
 * default. Pruned weights, other parametrizations and layers with a LoRA adapter are INK_ERROR_UNSUPPORTED, with a
 * sentence that says how to merge them before saving.
 *
 * Errors of all functions: INK_ERROR_NOT_FOUND for a missing parameter (if no module has the name, the sentence says
 * which modules there are), INK_ERROR_MISMATCH for shapes that do not fit
 * together, INK_ERROR_UNSUPPORTED for integer types and for the cases named below, INK_ERROR_READ, INK_ERROR_MEMORY,
 * INK_ERROR_LIMIT. A layer is immutable once loaded and may be used through many contexts at once. The caller frees it
 * (ink_dense_free() and so on).
 */
#ifndef INKLING_PYTORCH_H
#define INKLING_PYTORCH_H

#include <inkling/conv.h>
#include <inkling/dense.h>
#include <inkling/embedding.h>
#include <inkling/norm.h>
#include <inkling/recurrent.h>
#include <inkling/sequential.h>
#include <inkling/transformer.h>
#include <inkling/weights.h>

#ifdef __cplusplus
extern "C" {
#endif

/* nn.Linear: `name`.weight [out, in], and `name`.bias [out] if the file has it; or a convolution of kernel size 1 and
   one group, [out, in, 1], which is a dense layer of each row. The _transposed form is Hugging Face's
   Conv1D (GPT-2), whose weight is [in, out]. */
ink_result ink_dense_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_activation activation,
                          ink_dense **dense);
ink_result ink_dense_load_transposed(ink_context *ctx, const ink_weights *weights, const char *name,
                                     ink_activation activation, ink_dense **dense);

/*
 * The Linear layers of an nn.Sequential: `name`.0, `name`.2, ... in the order of their numbers. Activations and dropout
 * leave gaps in the numbers, of any width. The activation `hidden` follows every layer but the last, `output` the last;
 * ink_activation_with(INK_LEAKY_RELU, 0.2f) is nn.LeakyReLU(0.2). All layers may also be convolutions of kernel size 1.
 * An nn.BatchNorm1d (with eps 1e-5) directly after or before a Linear layer is folded into it; the weights of that
 * layer become F32. INK_ERROR_UNSUPPORTED for any other BatchNorm1d, because an activation may lie in between, and for
 * other modules with parameters: their tensors do not tell what they are, so ink_sequential_load() has a list of them.
 * INK_ERROR_NOT_FOUND if there is no layer.
 */
ink_result ink_mlp_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_activation hidden,
                        ink_activation output, ink_mlp **mlp);

/*
 * An nn.Sequential whose modules the caller lists (sequential.h): all n_modules of them, module i being `name`.i, those
 * without tensors too. INK_ERROR_UNSUPPORTED if a tensor belongs to no module of the list, and for nn.Linear, LayerNorm
 * and RMSNorm beside an nn.Conv1d: PyTorch then applies them along time. INK_ERROR_ARGUMENT for a kind, an activation
 * or an eps that is out of range, and if no module tells how many channels there are.
 */
ink_result ink_sequential_load(ink_context *ctx, const ink_weights *weights, const char *name,
                               const ink_module *modules, size_t n_modules, ink_sequential **net);

/*
 * nn.Conv1d: `name`.weight [out, in / groups, kernel_size] and, if the file has it, `name`.bias [out]. The file does
 * not hold stride, padding, dilation and groups, so the caller gives them; NULL: PyTorch's defaults. The padding is of
 * zeros: for another padding_mode, pad x and give none. The weights of a depthwise convolution become F32.
 * INK_ERROR_UNSUPPORTED for groups other than 1 and one for each channel. nn.ConvTranspose1d, whose tensors have the
 * same names, is another network and is not supported.
 */
ink_result ink_conv1d_load(ink_context *ctx, const ink_weights *weights, const char *name,
                           const ink_conv1d_options *options, ink_conv1d **conv);

/* nn.Embedding: `name`.weight [vocab_size, size]. */
ink_result ink_embedding_load(ink_context *ctx, const ink_weights *weights, const char *name,
                              ink_embedding **embedding);

/* nn.LayerNorm: `name`.weight [size] and, if the file has it, `name`.bias [size]; or nn.RMSNorm: `name`.weight. Files
   converted from TensorFlow call them gamma and beta. Files do not hold eps: the caller gives it, finite and >= 0. */
ink_result ink_norm_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_norm_kind kind, float eps,
                         ink_norm **norm);

/*
 * nn.RNN, nn.GRU, nn.LSTM: `name`.weight_ih_l0 [G h, in], weight_hh_l0 [G h, h], bias_ih_l0, bias_hh_l0 [G h] (in all
 * layers and directions or in none), weight_hr_l0 [proj, h] of an LSTM with proj_size, whose weight_hh_l0 is [G h,
 * proj]; _l1 ..., and the same with the suffix _reverse. Or one nn.RNNCell, GRUCell, LSTMCell without a layer suffix.
 * Gate blocks are stacked r, z, n and i, f, g, o. The names tell the numbers of layers and directions. The file does
 * not say which nonlinearity an nn.RNN has, nor which GRU it holds (recurrent.h), so the caller does.
 * INK_ERROR_UNSUPPORTED for a projection in a network other than an LSTM, and for any other tensor under `name`, such
 * as a peephole.
 */
ink_result ink_recurrent_load(ink_context *ctx, const ink_weights *weights, const char *name, ink_cell cell,
                              ink_recurrent **recurrent);

/* The settings of Transformer layers that a state_dict does not hold. Apart from n_heads and activation, 0 is PyTorch's
   default. */
typedef struct ink_transformer_options {
    size_t n_heads;            /* must divide the size */
    ink_activation activation; /* of the layers; PyTorch's default is INK_RELU, the other one INK_GELU */
    float eps;                 /* of the norms; 0: 1e-5 */
    bool norm_first;
    bool causal; /* every row sees the rows up to itself: the mask of nn.Transformer.generate_square_subsequent_mask */
} ink_transformer_options;

/*
 * nn.MultiheadAttention: `name`.in_proj_weight [3 size, size], or q_proj_weight, k_proj_weight and v_proj_weight [size,
 * size]; in_proj_bias [3 size] if the file has it; out_proj.weight and, if the file has it, out_proj.bias. Only the
 * options n_heads and causal are used. INK_ERROR_ARGUMENT if n_heads does not divide the size, INK_ERROR_MISMATCH if
 * keys or values have another size than the queries, INK_ERROR_UNSUPPORTED for bias_k and bias_v.
 */
ink_result ink_mha_load(ink_context *ctx, const ink_weights *weights, const char *name,
                        const ink_transformer_options *options, ink_mha **mha);

/*
 * A stack of nn.TransformerEncoderLayer: `name`.layers.0.self_attn ... as above, linear1 and linear2, norm1 and norm2;
 * layers.1 and so on; `name`.norm if the file has it. Or of nn.TransformerDecoderLayer, which also have multihead_attn,
 * with a memory of any size if its projections are stored apart, and norm3. Or a single layer: `name`.self_attn ...
 */
ink_result ink_transformer_load(ink_context *ctx, const ink_weights *weights, const char *name,
                                const ink_transformer_options *options, ink_transformer **transformer);

/*
 * What a file seems to hold: writes the C call that loads the next module, and its class as a comment, into call
 * [size], NUL-terminated and cut at its end, or "" and returns false when there is no further one. *at is 0 at first.
 *
 *     char call[256];
 *     for (size_t at = 0; ink_weights_suggest(file, &at, call, sizeof call);)
 *         puts(call);                                 (ink_recurrent_load(ctx, file, "rnn", INK_GRU, &net); ...)
 *
 * It is a guess from names and shapes. What a file does not hold stands in the call as PyTorch's default or as a
 * variable to fill in: activations, eps, the heads of attention (`options`), the modules of an nn.Sequential with other
 * layers than Linear (`modules`). A module inside another that has a loader is not named.
 */
bool ink_weights_suggest(const ink_weights *weights, size_t *at, char *call, size_t size);

#ifdef __cplusplus
}
#endif

#endif
