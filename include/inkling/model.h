/*
 * model.h - whole models behind one interface: open a folder, create a state, run tokens forward.
 *
 * A model is immutable. Any number of threads may use it at once, each through its own context. A state holds
 * everything that changes while a sequence runs: a window, a hidden state, or a key/value cache. It is separate from
 * the model and can be copied, saved and freed at any time. To replace an MLP by a GRU or a GPT, change the folder.
 *
 * A folder holds config.json and model.safetensors, or shards and their index. Wherever a function takes a folder, the
 * path of a GGUF file may stand ("x.gguf", or the first of its shards, "x-00001-of-00003.gguf"); so it may in the
 * options' source, where the file's name is the model's. A folder without config.json may hold model.gguf. The
 * architectures llama, qwen2, qwen3, smollm3, gemma3, gpt2 and bert of GGUF are read (src/import/README.md).
 *
 * `model_type` in config.json names the architecture:
 *
 *   gpt2              Radford et al. 2019, as saved by Hugging Face's GPT2LMHeadModel
 *   llama, mistral,   Touvron et al. 2023 and its successors, as saved by LlamaForCausalLM, MistralForCausalLM,
 *   qwen2, qwen3,     Qwen2ForCausalLM, Qwen3ForCausalLM, SmolLM3ForCausalLM and Gemma3ForCausalLM; a gemma3_text that
 *   smollm3,          is bidirectional (EmbeddingGemma) is an encoder
 *   gemma3_text
 *   rnn, gru, lstm    h_t = cell(e(w_t), h_{t-1}), logits = lm_head h_t
 *   mlp               the embeddings of the last window_size tokens side by side, dense layers, logits = lm_head h
 *                     (Bengio et al. 2003); before the first token the window holds bos_token_id
 *   seq2seq           a recurrent encoder-decoder with or without attention (Sutskever et al. 2014; Cho et al. 2014;
 *                     Bahdanau et al. 2014); it reads a source through encoder_decoder.h
 *   bert, distilbert, encoders: they read a whole text at once, need no state, and run through encoder.h instead of the
 *   roberta,          functions below; so do GPT-2 and the Llama family with the head of a classifier
 *   xlm-roberta,      (GPT2ForSequenceClassification, LlamaForTokenClassification, ...) or with modules.json
 *   camembert, mpnet,
 *   modernbert
 *   bart, marian,     encoder-decoders: they read a source and write another text (encoder_decoder.h), as saved by
 *   m2m_100, mbart,   BartForConditionalGeneration, MarianMTModel and so on. t5, mt5 and umt5 have no limit of length,
 *   pegasus,          so a capacity must be given for their states and sources. whisper is the decoder alone, over rows
 *   blenderbot, t5,   of an encoder that ran elsewhere
 *   mt5, umt5,
 *   whisper
 *   model2vec         an encoder without layers: a vector for each token, and their mean (encoder.h). A folder without
 *                     config.json whose modules.json begins with a StaticEmbedding is one, too; its kind is "static"
 *
 * The models rnn, gru, lstm and mlp have these settings and tensors; the tensors are the state_dict of PyTorch modules:
 *
 *   rnn, gru, lstm    vocab_size V, embedding_size E, hidden_size H, num_layers, nonlinearity (rnn: "tanh" or "relu"),
 *                     reset_after (gru: true, or false for the GRU that resets before the product, recurrent.h)
 *                     embedding.weight [V, E], rnn.weight_ih_l0 ... (nn.RNN, nn.GRU, nn.LSTM)
 *   mlp               vocab_size V, embedding_size E, window_size W, hidden_sizes [H1, ...], hidden_act, bos_token_id
 *                     negative_slope (hidden_act "leaky_relu": its slope below 0, or 0.01)
 *                     embedding.weight [V, E], mlp.0.weight [H1, W E], mlp.2.weight [H2, H1] ... and their biases, the
 *                     activation after each
 *   both              tie_word_embeddings, bos_token_id, eos_token_id; lm_head.weight [V, H], or none if it is tied to
 *                     the embedding (H = E then); lm_head.bias [V] or none
 *
 * The modules of these, and of seq2seq below, may have other names. `modules` in config.json gives them, {"rnn":
 * "encoder.lstm", "lm_head": "out"}, for the usual names embedding, rnn, mlp.0, mlp.2, ... and lm_head. A module under
 * neither name is found by the shape of its weight, if only one fits; layers of an mlp with the same shape are taken in
 * the order of the numbers in their names, and a layer that shares the tensor of the embedding is the output. Then the
 * model must use all tensors of the file. INK_ERROR_MISMATCH names the modules if several fit.
 *
 * seq2seq. The encoder reads the source w'_1 .. w'_S, the decoder begins with its last state:
 *
 *     k_s = encoder(e'(w'_s))                                               [h; h_reverse] if it is bidirectional
 *     h_0 = the last h of the encoder, or s(bridge it)                      s = bridge_act
 *     h_t = decoder([e(w_t); c_t], h_{t-1})                                 rnn_input
 *     c_t = sum over s of a_s k_s,   a = softmax over s of score tanh(query h_{t-1} + key k_s)
 *     logits = lm_head [h_t; c_t; e(w_t)]                                   lm_head_input
 *
 *   settings          cell ("rnn", "gru", "lstm", with nonlinearity and reset_after), vocab_size V, source_vocab_size
 *                     (else V), embedding_size E, hidden_size H, num_layers; encoder_embedding_size,
 *                     encoder_hidden_size K and encoder_num_layers (else those of the decoder); bidirectional (the
 *                     encoder), decoder_start_token_id, eos_token_id, tie_word_embeddings
 *   attention         "none" (there is no c_t), "final" (c_t is always the last h of the encoder's last layer),
 *                     "additive", with attention_size A (else H), for sources of at most max_source_length tokens
 *                     (else 1,024); the scores of Luong et al. 2015 are refused by name
 *   bridge_act        the names of hidden_act, such as "linear" for none; by default "tanh"
 *   decoder_embedding_act   an activation of e(w_t), "relu" in PyTorch's translation tutorial; by default none
 *   rnn_input         what the decoder sees, in the order of the columns of its weight: by default
 *                     ["embedding", "context"], ["context", "embedding"] in Dive into Deep Learning
 *   lm_head_input     what lm_head sees, of "hidden", "context" and "embedding"; by default the number of its columns
 *                     decides between h, [h; c] and [h; c; e]
 *   tensors           encoder.embedding.weight, encoder.rnn.weight_ih_l0 ..., decoder.embedding.weight [V, E],
 *                     decoder.rnn.weight_ih_l0 ..., lm_head.weight and .bias; attention.query.weight [A, H],
 *                     attention.key.weight [A, K or 2 K], attention.score.weight [1, A] with or without biases, or in
 *                     place of the first two attention.query_key.weight, for [h; k] side by side
 *   bridge            bridge.weight [H, K or 2 K], for each layer the same; with K columns after a bidirectional
 *                     encoder it sees h_reverse only. bridge_cell is that of c of an lstm; without it `bridge` is for
 *                     both. Without `bridge` the state goes over as it is, [h; h_reverse] side by side. The decoder
 *                     has as many layers as the encoder, or one, which continues from the last.
 *
 * Bridges and attention.query_key have their usual names or those in `modules`: they are not found by their shapes. A
 * seq2seq model must use all tensors of its file. info.hidden_size is that of the row that lm_head sees, and its hidden
 * vectors are these rows.
 *
 * A model that reads a source text and writes another (encoder_decoder.h) has states, too; they begin with a source.
 *
 * A stored lm_head.weight is always used, whatever tie_word_embeddings says. Without one the head is tied, unless that
 * setting is false (its default for llama, mistral, qwen2 and qwen3).
 *
 * Under rope of type dynamic the angles of a sequence depend on the capacity of its state (rope.h). So states for more
 * tokens than the model was trained on can be copied and loaded only between equal capacities.
 *
 * The same bits: the result of a sequence does not depend on the number of threads, on how its tokens are cut into
 * calls, on the other items of the list, on memory alignment, on the kernel or on the compiler (context.h lists the
 * exceptions).
 *
 * Traced values (ink_context_trace): the rows are the tokens of a pass, at most 128, of all items of a list in order.
 *
 *   gpt2, llama, ...  "embedding"; in block i "h.i.norm_1", "h.i.attn.qkv", under rope "h.i.attn.prepared" (the same
 *                     with queries and keys normalised and rotated), "h.i.attn.scores" and "h.i.attn.weights"
 *                     (each [heads, rows, positions], one call for at most 32 rows of a sequence), "h.i.attn.heads",
 *                     "h.i.attn.out", "h.i.norm_2", "h.i.mlp.up" (gated: each row is
 *                     s(W_gate x) * W_up x followed by W_up x), "h.i.mlp.down", "h.i.out"; where the outputs of
 *                     attention and MLP are normalised, "h.i.out_norm_1" and "h.i.out_norm_2"
 *   with a source     after "h.i.attn.out", "h.i.norm_cross", "h.i.cross.q", "h.i.cross.scores" and
 *                     "h.i.cross.weights" (each [heads, rows, positions of the source], one call for at most 32 rows of
 *                     neighbouring items of one source), "h.i.cross.heads", "h.i.cross.out"
 *   rnn, gru, lstm    "embedding"; for layer i, step by step, "rnn.li.gates" (gru: r, z, n; lstm: i, f, g, o; after
 *                     their activations), "rnn.li.h", and "rnn.li.c" for the lstm
 *   mlp               "embedding" (the windows); "mlp.layers.i.out"
 *   seq2seq           as rnn; before each step with additive attention "attn.weights" [1, 1, source] and "context" c_t,
 *                     for each sequence that still runs; with attention "final" "context" for all rows; those of the
 *                     encoder behind "encoder.", then for each source "first_state": h_0 of all layers, and c_0
 *   all               for the requested rows: "norm_f" if there is a final norm, then "logits"
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
    ink_type type;            /* of the packed weights: INK_F32, INK_BF16 or INK_F16, rounded as in matrix.h; INK_Q8_0
                                 or INK_Q4_0, quantised while they are read: products of at least 16 outputs and 32
                                 inputs (with Q4_0, embeddings of words, heads over words and recurrent weights become
                                 Q8_0), and the rest as stored. INK_TYPE_NONE: as stored. F64 becomes F32, and so do
                                 stored blocks of a matrix with fewer outputs, or whose rows are only looked up */
    uint64_t max_bytes;       /* a larger model is refused (INK_ERROR_LIMIT) before the memory for its weights is
                                 allocated; 0: no limit. The files of settings and the headers of weights are read
                                 before this check, within the ink_limits of the context. */
    const ink_source *source; /* where the files are; NULL: the folder `folder` on disk */
    ink_pooling pooling;      /* for an encoder without modules.json (encoder.h) */
    ink_progress_fn progress;
    void *progress_user;
} ink_model_options;

/* Opens a model; free it with ink_model_free(). options may be NULL. If options name a source, `folder` is only the
   name of the model in messages, or, if it ends in ".gguf", that of a file in the source. The names and shapes of all
   tensors are checked before their memory is allocated. Errors: INK_ERROR_NOT_FOUND, _READ, _CORRUPT, _MISMATCH
   (config.json against the tensors), _UNSUPPORTED (by name), _LIMIT, _MEMORY, _CANCELLED. */
ink_result ink_model_open(ink_context *ctx, const char *folder, const ink_model_options *options, ink_model **model);
void ink_model_free(ink_model *model);

typedef struct ink_model_info {
    const char *kind; /* model_type: "gpt2", "llama", "gru", ... */
    size_t vocab_size;
    size_t context_length; /* the most positions a state can hold: max_position_embeddings, or the length to which
                              dynamic and yarn stretch it; at most INK_ROPE_MAX_LENGTH under rope; 0: no limit
                              (recurrent, MLP, static and T5) */
    size_t window_size;    /* the number of tokens a result depends on; 0: all */
    size_t hidden_size;
    size_t n_layers;
    uint64_t n_parameters;        /* a tied output matrix counts once */
    uint64_t n_bytes;             /* memory the model holds */
    size_t n_unused;              /* tensors of the file that the model does not use */
    size_t n_notes;               /* things in the folder that were ignored because no result depends on them */
    ink_token bos_token;          /* -1: config.json names none that the vocabulary has */
    ink_token eos_token;          /* the first of the stop tokens; -1: none */
    const ink_token *stop_tokens; /* [n_stop_tokens]: each of them ends a text */
    size_t n_stop_tokens;
} ink_model_info;

/* Lives as long as the model. */
const ink_model_info *ink_model_get_info(const ink_model *model);

/* The name of the i-th unused tensor, i < n_unused. */
const char *ink_model_unused(const ink_model *model, size_t i);

/* The i-th note, i < n_notes, a sentence in English: "config.json: bos_token_id is 50256, but the vocabulary has 65
   tokens: ignored". There are at most 32; with more, the last one says so. */
const char *ink_model_note(const ink_model *model, size_t i);

/* True for a stop token. The stop tokens are eos_token_id of generation_config.json, else of config.json, else the
   default of the architecture; of a GGUF file, its eos, eot and eom tokens and those that llama.cpp takes for an end.
   Ids that the vocabulary lacks are left out, with a note. */
bool ink_model_stops_at(const ink_model *model, ink_token token);

/*
 * States. `capacity` is the largest number of tokens of the sequence, which sets the size of the key/value caches; 0:
 * the context length of the model, or INK_ERROR_ARGUMENT if it has none. The state of a recurrent model or an MLP
 * ignores it: its size is fixed and its length unlimited. A state belongs to one model, which must outlive it, and is
 * used by one call at a time. INK_ERROR_LIMIT for a capacity beyond the context length, INK_ERROR_UNSUPPORTED for an
 * encoder, INK_ERROR_MEMORY. The context length is what a folder says, and a state for it can be larger than the
 * machine: ink_state_create() answers INK_ERROR_LIMIT for more than state_bytes of ink_limits (4 GB), a block of the
 * caller's has no such limit.
 */
ink_result ink_state_size(ink_context *ctx, const ink_model *model, size_t capacity, size_t *bytes);
ink_result ink_state_create(ink_context *ctx, const ink_model *model, size_t capacity, ink_state **state);

/* The same in a block that the caller owns: at a multiple of INK_ALIGNMENT, with at least ink_state_size() bytes; bytes
   past that size are not touched. ink_state_free() does not free the block. */
ink_result ink_state_create_in(ink_context *ctx, const ink_model *model, size_t capacity, void *block, size_t size,
                               ink_state **state);

/*
 * How to make a state: {0} is what ink_state_create() makes for a capacity of 0. Smaller keys and values save memory,
 * and time in long contexts, where each token reads them all:
 *
 *     INK_F32   4 bytes a number; INK_TYPE_NONE is the same
 *     INK_F16   2 bytes, rounded to nearest even
 *     INK_I8    1 byte, and 4 for the scale of a key or value of a head: scale = the largest |x| / 127 in it, and
 *               code = x / scale, rounded to nearest even
 *
 * Over 4,096 tokens of English, SmolLM2-135M takes 4.6822 bits per token with f32, 4.6823 with f16 and 4.6848 with I8
 * (score --cache); its state for 2,000 tokens takes 92, 46 and 24 MB. The bundled GPT takes 1.1227 bits with each.
 *
 * A key is rounded once, when its token runs, and only with its own head; so everything promised of the bits of a
 * sequence holds for each type. Queries, scores and sums stay f32. A number that the type cannot hold (65,520 or more
 * in F16) makes the results of all rows that see it NaN. The keys and values of a source (encoder_decoder.h) stay f32.
 * States without a cache ignore the type. Copying and loading need two states of the same type (INK_ERROR_MISMATCH).
 */
typedef struct ink_state_options {
    size_t capacity;   /* tokens, as above */
    ink_type cache;    /* of keys and values */
    void *block;       /* [block_size] the caller's memory, as for ink_state_create_in(); NULL: of the context */
    size_t block_size; /* at least ink_state_size_with() bytes */
} ink_state_options;

/* `options` may be NULL. INK_ERROR_ARGUMENT for another type of cache, INK_ERROR_UNSUPPORTED for one that this build
   leaves out; else as above. */
ink_result ink_state_size_with(ink_context *ctx, const ink_model *model, const ink_state_options *options,
                               size_t *bytes);
ink_result ink_state_create_with(ink_context *ctx, const ink_model *model, const ink_state_options *options,
                                 ink_state **state);
void ink_state_free(ink_state *state);

/* The number of tokens the state has seen. */
size_t ink_state_length(const ink_state *state);

/* Back to the beginning of a sequence; a state that began with a source keeps it. */
void ink_state_reset(ink_state *state);

/* Forgets all but the first `length` tokens. A recurrent state or a window can only go back to 0 tokens
   (INK_ERROR_UNSUPPORTED: keep a copy instead). INK_ERROR_ARGUMENT if the state has seen fewer. */
ink_result ink_state_rewind(ink_context *ctx, ink_state *state, size_t length);

/* Prepares a state for another sequence that begins as the one it has seen: a conversation whose template wrote its
   history anew. `seen` [ink_state_length(state)] are the tokens that the state has seen. It forgets what is behind the
   longest common beginning with tokens [n], n >= 1, or everything if it cannot go back there. *n_kept is its length
   then: tokens from there on are to be run, the last one always. */
ink_result ink_state_follow(ink_context *ctx, ink_state *state, const ink_token *seen, const ink_token *tokens,
                            size_t n, size_t *n_kept);

/* Copies the sequence of `from` into `to`. Both must be of the same model and hold keys and values as the same type
   (INK_ERROR_MISMATCH); INK_ERROR_LIMIT if `to` is too small. */
ink_result ink_state_copy(ink_context *ctx, const ink_state *from, ink_state *to);

/* Serializes a state. Any machine can load the bytes with the same model and the same version of the library. *size is
   always set; INK_ERROR_LIMIT, and nothing written, if `capacity` is smaller. Loading checks everything; if it fails,
   the state is unchanged. */
ink_result ink_state_save(ink_context *ctx, const ink_state *state, void *bytes, size_t capacity, size_t *size);
ink_result ink_state_load(ink_context *ctx, ink_state *state, const void *bytes, size_t size);

/* One sequence of a list: the next `n_tokens` tokens for a state. The logits of the last `n_logits` of them go to
   `logits` [n_logits, vocab_size]; 0 <= n_logits <= n_tokens, and logits may be NULL if it is 0. The hidden vectors of
   the last `n_hidden` tokens, after the final norm if there is one, go to `hidden` [n_hidden, hidden_size] by the same
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

/* Runs many sequences together. Every item has its own state; each result is bit-identical to running the item alone.
   Everything is checked before anything is written: INK_ERROR_ARGUMENT for an id outside the vocabulary or an item
   without tokens, INK_ERROR_LIMIT for a state without room, INK_ERROR_MEMORY. */
ink_result ink_model_forward_list(ink_context *ctx, const ink_model *model, const ink_item *items, size_t n_items);

/* Runs one sequence, a prompt or a single token: logits [vocab_size] of the last token, or NULL. */
ink_result ink_model_forward(ink_context *ctx, const ink_model *model, ink_state *state, const ink_token *tokens,
                             size_t n_tokens, float *logits);

/* Allocates the scratch memory for lists of up to n_items items and n_tokens tokens in all, with states of up to
   `capacity` tokens. Such calls then allocate nothing, not even the first one. */
ink_result ink_context_reserve(ink_context *ctx, const ink_model *model, size_t n_items, size_t n_tokens,
                               size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
