/*
 * model.h - whole models behind one interface: open a folder, make a state, run tokens forward.
 *
 * A model is immutable and can be used by any number of threads at once, each through its own context. What changes
 * while a sequence runs (a window, a hidden state, a key/value cache) is a state: small, separate, copied, saved and
 * thrown away at will. An MLP, a GRU and a GPT are swapped by changing the folder.
 *
 * A folder holds config.json and model.safetensors, or shards and their index; `model_type` in config.json decides:
 *
 *   gpt2              Radford et al. 2019, as Hugging Face's GPT2LMHeadModel saves it
 *   llama, mistral,   Touvron et al. 2023 and what grew from it, as LlamaForCausalLM, MistralForCausalLM,
 *   qwen2, qwen3      Qwen2ForCausalLM and Qwen3ForCausalLM save it
 *   rnn, gru, lstm    h_t = cell(e(w_t), h_{t-1}), logits = lm_head h_t
 *   mlp               the embeddings of the last window_size tokens side by side, dense layers, logits = lm_head h
 *                     (Bengio et al. 2003); before the first token the window holds bos_token_id
 *   bert, distilbert, encoders: they see a text whole, need no state, and run by encoder.h instead of what is below
 *   roberta
 *
 * Settings and tensors of the two before these, the tensors being the state_dict of plain PyTorch modules:
 *
 *   rnn, gru, lstm    vocab_size V, embedding_size E, hidden_size H, num_layers, nonlinearity (rnn: "tanh" or "relu")
 *                     embedding.weight [V, E], rnn.weight_ih_l0 ... (nn.RNN, nn.GRU, nn.LSTM)
 *   mlp               vocab_size V, embedding_size E, window_size W, hidden_sizes [H1, ...], hidden_act, bos_token_id
 *                     embedding.weight [V, E], mlp.0.weight [H1, W E], mlp.2.weight [H2, H1] ... and their biases, the
 *                     activation after each
 *   both              tie_word_embeddings, bos_token_id, eos_token_id; lm_head.weight [V, H], or none if it is tied to
 *                     the embedding (H = E then); lm_head.bias [V] or none
 *
 * A stored lm_head.weight is used whatever the flag says; without one the head is tied, unless the flag is false (its
 * default for llama, mistral, qwen2 and qwen3).
 *
 * Under rope of type dynamic the angles of a sequence depend on the capacity of its state (rope.h): states for more
 * tokens than the model was trained on are copied and loaded only between equal capacities.
 *
 * The same bits: the result for a sequence does not change with the number of threads, with how its tokens are cut
 * into calls, with what else is in the list, with memory alignment, with the kernel or the compiler (context.h says
 * what is outside this promise).
 *
 * Looking inside (ink_context_trace): rows are the tokens of a pass, at most 128, of all sequences of a list in order.
 *
 *   gpt2, llama, ...  "embedding"; in block i "h.i.norm_1", "h.i.attn.qkv", under rope "h.i.attn.prepared" (the same
 *                     with queries and keys normalised and turned), "h.i.attn.scores" and "h.i.attn.weights"
 *                     (each [heads, rows, positions], one call for at most 32 rows of a sequence), "h.i.attn.heads",
 *                     "h.i.attn.out", "h.i.norm_2", "h.i.mlp.up" (gated: s(W_gate x) * W_up x, and behind it in each
 *                     row W_up x), "h.i.mlp.down", "h.i.out"
 *   rnn, gru, lstm    "embedding"; for layer i, step by step, "rnn.li.gates" (gru and lstm: blocks r, z, n and i, f, g,
 *                     o, after their functions), "rnn.li.h", and "rnn.li.c" for the lstm
 *   mlp               "embedding" (the windows); "mlp.layers.i.out"
 *   all               of the rows that are wanted, "norm_f" if there is a final norm, then "logits"
 */
#ifndef INKLING_MODEL_H
#define INKLING_MODEL_H

#include <inkling/types.h>
#include <inkling/sampler.h>
#include <inkling/source.h>
#include <inkling/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_model ink_model;
typedef struct ink_state ink_state;

/* How the rows of a text become one vector (sentence-transformers' names: cls, max, mean, mean_sqrt_len_tokens,
   weightedmean, lasttoken). */
typedef enum ink_pooling {
    INK_POOLING_NONE = 0,
    INK_POOLING_CLS,           /* the first row */
    INK_POOLING_MAX,           /* the largest of each column */
    INK_POOLING_MEAN,          /* sum / n */
    INK_POOLING_MEAN_SQRT,     /* sum / sqrt(n) */
    INK_POOLING_WEIGHTED_MEAN, /* sum of t h_t / sum of t, t = 1 .. n */
    INK_POOLING_LAST,          /* the last row */
    INK_N_POOLINGS
} ink_pooling;

/* {0}: weights as stored, no limit, the folder given. */
typedef struct ink_model_options {
    ink_type type;            /* of the packed weights: INK_F32, INK_BF16 or INK_F16, rounded as in matrix.h;
                                 INK_TYPE_NONE: as stored, F64 as F32 */
    uint64_t max_bytes;       /* refuse (INK_ERROR_LIMIT) a model that would hold more than this, before its memory is
                                 taken; 0: no limit. The header of the file, at most 100 MB, is read before that. */
    const ink_source *source; /* where the files are; NULL: the folder `folder` on disk */
    ink_pooling pooling;      /* of an encoder whose folder has no modules.json (encoder.h) */
    ink_progress_fn progress;
    void *progress_user;
} ink_model_options;

/* Opens a model; options may be NULL; `folder` names the model in messages when a source is given. All tensors the
   model needs are checked by name and shape before memory for them is taken. Errors: INK_ERROR_NOT_FOUND,
   _READ, _CORRUPT, _MISMATCH (config.json against the tensors), _UNSUPPORTED (by name), _LIMIT, _MEMORY, _CANCELLED. */
ink_result ink_model_open(ink_context *ctx, const char *folder, const ink_model_options *options, ink_model **model);
void ink_model_free(ink_model *model);

typedef struct ink_model_info {
    const char *kind; /* model_type: "gpt2", "llama", "gru", ... */
    size_t vocab_size;
    size_t context_length; /* positions a state can hold at most: max_position_embeddings, what dynamic and yarn
                              stretch it to, and under rope no more than INK_ROPE_MAX_LENGTH; 0: no limit
                              (recurrent, and MLP) */
    size_t window_size;    /* how many tokens back a result can depend on; 0: all */
    size_t hidden_size;
    size_t n_layers;
    uint64_t n_parameters;        /* each stored once; a tied output matrix counts once */
    uint64_t n_bytes;             /* memory the model holds */
    size_t n_unused;              /* tensors in the file that the model has no use for */
    ink_token bos_token;          /* -1: config.json names none */
    ink_token eos_token;          /* the first of the stop tokens; -1: there is none */
    const ink_token *stop_tokens; /* [n_stop_tokens]: each of them ends a text */
    size_t n_stop_tokens;
} ink_model_info;

/* Lives as long as the model. */
const ink_model_info *ink_model_get_info(const ink_model *model);

/* The name of the i-th unused tensor, i < n_unused. */
const char *ink_model_unused(const ink_model *model, size_t i);

/* True for one of the stop tokens: eos_token_id of generation_config.json, or else of config.json, or else what this
   kind of model has by default. */
bool ink_model_stops_at(const ink_model *model, ink_token token);

/* How the makers of the model would have its tokens chosen: do_sample, temperature, top_k, top_p, min_p and
   repetition_penalty of generation_config.json, or else of config.json, with Hugging Face's defaults for what is left
   out; seed 0. False, with *options greedy, if neither file has do_sample or repetition_penalty. */
bool ink_model_sampling(const ink_model *model, ink_sampler_options *options);

/*
 * States. `capacity` is how many tokens the sequence may get: the size of the key/value caches. 0 asks for the
 * context length of the model. A recurrent model's or an MLP's state has the same size for any capacity, and no limit.
 */
ink_result ink_state_size(ink_context *ctx, const ink_model *model, size_t capacity, size_t *bytes);
ink_result ink_state_create(ink_context *ctx, const ink_model *model, size_t capacity, ink_state **state);

/* The same in a block of the caller's: at a multiple of INK_ALIGNMENT, at least ink_state_size() bytes, not a byte of
   which past that size is touched. The block is the caller's again after ink_state_free(), which takes nothing back. */
ink_result ink_state_create_in(ink_context *ctx, const ink_model *model, size_t capacity, void *block, size_t size,
                               ink_state **state);
void ink_state_free(ink_state *state);

/* Tokens the state has seen. */
size_t ink_state_length(const ink_state *state);

/* Back to the beginning of a sequence. */
void ink_state_reset(ink_state *state);

/* Forgets all but the first `length` tokens. A key/value cache can; a recurrent state or a window cannot, unless
   length is 0 or the present one (INK_ERROR_UNSUPPORTED: keep a copy instead). */
ink_result ink_state_rewind(ink_context *ctx, ink_state *state, size_t length);

/* Makes `to` continue where `from` is. Both of the same model; INK_ERROR_LIMIT if `to` is too small. */
ink_result ink_state_copy(ink_context *ctx, const ink_state *from, ink_state *to);

/* Saves what the state holds as bytes that any machine can load with the same model: *size is always set;
   INK_ERROR_LIMIT and nothing written if `capacity` is less. Loading checks everything; a state that is refused its
   bytes is as it was. */
ink_result ink_state_save(ink_context *ctx, const ink_state *state, void *bytes, size_t capacity, size_t *size);
ink_result ink_state_load(ink_context *ctx, ink_state *state, const void *bytes, size_t size);

/* One sequence of a list: `n_tokens` tokens that follow those the state has seen. The logits of the last `n_logits` of
   them go to `logits` [n_logits, vocab_size]; 0 <= n_logits <= n_tokens, and logits may be NULL if it is 0. The vectors
   that logits are made of, after the final norm if there is one, go to `hidden` [n_hidden, hidden_size] by the same
   rules. */
typedef struct ink_item {
    ink_state *state;
    const ink_token *tokens;
    size_t n_tokens;
    float *logits;
    size_t n_logits;
    float *hidden;
    size_t n_hidden;
} ink_item;

/* Runs many sequences in one pass. Every item has its own state; each result is bit-identical to running the item
   alone. Everything is checked before anything is written: an id outside the vocabulary or a zero-token item is
   INK_ERROR_ARGUMENT, a state without room INK_ERROR_LIMIT. */
ink_result ink_model_forward_list(ink_context *ctx, const ink_model *model, const ink_item *items, size_t n_items);

/* One sequence, a prompt or one token: logits [vocab_size] of the last token, or NULL. */
ink_result ink_model_forward(ink_context *ctx, const ink_model *model, ink_state *state, const ink_token *tokens,
                             size_t n_tokens, float *logits);

/* Takes the scratch memory for lists of up to n_items items and n_tokens tokens in all, with states of up to
   `capacity`, ahead of time: such calls allocate nothing then, not even the first time. */
ink_result ink_context_reserve(ink_context *ctx, const ink_model *model, size_t n_items, size_t n_tokens,
                               size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
