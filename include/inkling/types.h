/*
 * types.h - the small types that several modules share: a token, an activation, a cell, a norm, rope settings.
 */
#ifndef INKLING_TYPES_H
#define INKLING_TYPES_H

#include <inkling/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A token id. Every function refuses negative ids, and all but decoding refuse ids outside the vocabulary. */
typedef int32_t ink_token;

/* The place of a token in the text it was made of (tokenizer.h). start = stop for a token of nothing but spaces that
   are not part of a place. */
typedef struct ink_place {
    int text;       /* 0: the text, 1: the pair; -1: a token of the template, which has no place (start = stop = 0) */
    bool continues; /* it goes on with the word of the token before it */
    size_t start, stop; /* bytes [start, stop) of this text: whole characters */
    size_t word;        /* the number of its word in this text; SIZE_MAX: none, a token of the template */
} ink_place;

/* s(x), with its parameter: one of the numbers below, whose parameter is PyTorch's default, or a value of
   ink_activation_with(). Store and pass it as it is. */
typedef uint64_t ink_activation;
enum {
    INK_IDENTITY = 0,
    INK_RELU,       /* max(0, x) */
    INK_LEAKY_RELU, /* x for x > 0, else a x; a = 0.01 (negative_slope) */
    INK_ELU,        /* x for x > 0, else a (e^x - 1); a = 1 (alpha) */
    INK_TANH,
    INK_SIGMOID,      /* 1 / (1 + e^-x) */
    INK_SOFTPLUS,     /* log(1 + e^(a x)) / a; a = 1 (beta) */
    INK_GELU,         /* x / 2 (1 + erf(x / sqrt 2)) */
    INK_GELU_TANH,    /* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), Hugging Face's gelu_new */
    INK_QUICK_GELU,   /* x sigmoid(1.702 x) */
    INK_SILU,         /* x sigmoid(x) */
    INK_MISH,         /* x tanh(softplus(x)) */
    INK_HARD_SIGMOID, /* clip(a x + 1 / 2, 0, 1); a = 1 / 6, as in Keras 3; Keras 2 and ONNX: a = 0.2 */
    INK_HARD_SWISH,   /* x clip(x / 6 + 1 / 2, 0, 1) */
    INK_N_ACTIVATIONS
};

/* The activation with the parameter a: ink_activation_with(INK_LEAKY_RELU, 0.2f) is nn.LeakyReLU(0.2). Functions refuse
   the value with INK_ERROR_ARGUMENT if a is not finite, if the a of softplus or hard sigmoid is not above 0, or if the
   activation has no parameter. */
ink_activation ink_activation_with(ink_activation activation, float a);

/* "relu", "gelu_tanh", ..., without the parameter; "unknown" for other numbers. Static strings. */
const char *ink_activation_name(ink_activation activation);

/* LayerNorm or RMSNorm (norm.h). */
typedef enum ink_norm_kind { INK_LAYER_NORM = 0, INK_RMS_NORM, INK_N_NORMS } ink_norm_kind;

/* The cells of recurrent.h. Names of tensors do not tell INK_GRU and INK_GRU_RESET_BEFORE apart. */
typedef enum ink_cell {
    INK_RNN_TANH,
    INK_RNN_RELU,
    INK_GRU, /* the reset gate follows the recurrent product: PyTorch, cuDNN, Keras 3 */
    INK_LSTM,
    INK_GRU_RESET_BEFORE, /* the reset gate comes before the product: Cho et al. 2014, ONNX's default, Keras before 2.3
                           */
    INK_RNN_IDENTITY,     /* without a nonlinearity */
    INK_N_CELLS
} ink_cell;

/* "rnn_tanh", "rnn_relu", "gru", "lstm", "gru_reset_before", "rnn_identity"; "unknown" for other numbers. Static
   strings. */
const char *ink_cell_name(ink_cell cell);

/* The ways to stretch rotary positions; rope.h has the formulae. */
typedef enum ink_rope_type {
    INK_ROPE_PLAIN = 0,
    INK_ROPE_LINEAR,
    INK_ROPE_DYNAMIC,
    INK_ROPE_LLAMA3,
    INK_ROPE_YARN,
    INK_ROPE_N_TYPES
} ink_rope_type;

/* "plain", "linear", "dynamic", "llama3", "yarn"; "unknown" for other numbers. Static strings. */
const char *ink_rope_type_name(ink_rope_type type);

/* Positions are below this, because up to here sin and cos are exact to two units in the last place. */
#define INK_ROPE_MAX_LENGTH ((size_t)1 << 17)

/* {.head_dim = 64, .theta = 10000} is plain rope; the other members are read only for the types in their comments. */
typedef struct ink_rope {
    ink_rope_type type;
    size_t head_dim;        /* even; dynamic: more than 2 */
    double theta;           /* above 1, at most 1e30 */
    double factor;          /* all but plain; at least 1, at most 1e6 */
    size_t original_length; /* dynamic, llama3, yarn; from 1 to 2^24 */
    double low_freq_factor; /* llama3; 0 < low_freq_factor < high_freq_factor <= 1e6 */
    double high_freq_factor;
    double beta_fast; /* yarn; 0 < beta_slow <= beta_fast <= 1e6 */
    double beta_slow;
    double attention_factor; /* yarn; 0: 1 + log(factor) / 10; at most 1e6 */
    const float *factors;    /* [head_dim / 2], positive: each frequency is divided by its own; NULL: none */
} ink_rope;

#ifdef __cplusplus
}
#endif

#endif
