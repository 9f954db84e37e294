/*
 * networks.h - a model as structs: its network, its head, and the state of a sequence.
 *
 * An importer (src/import) fills these structs, and run.c reads nothing else. All models are built on one of three
 * networks, and an encoder-decoder on two: one reads the source, the other, which attends to it, writes.
 *
 *     transformer    GPT-2, Llama, BERT ...: a stack of blocks over embeddings and positions
 *     recurrent      RNN, GRU, LSTM: h_t = cell(e(w_t), h_{t-1})                            (Mikolov et al. 2010)
 *     window         h = MLP(e(w_{t-W+1}), ..., e(w_t))                                     (Bengio et al. 2003)
 *
 * A network computes a row of hidden_size floats for each token. A head computes logits, a pooled vector or an
 * embedding from these rows.
 */
#ifndef INK_MODELS_NETWORKS_H
#define INK_MODELS_NETWORKS_H

#include <inkling/encoder.h>
#include <inkling/encoder_decoder.h>
#include <inkling/model.h>

#include "../layers/layers.h"

/* ---- networks --------------------------------------------------------------------------------------------------- */

typedef enum ink_network { INK_NETWORK_TRANSFORMER, INK_NETWORK_RECURRENT, INK_NETWORK_WINDOW } ink_network;

/*
 *     x = scale token[w] (+ position[p]) (+ type[s]),  and norm(x) if there is an embedding norm;
 *         or of static embeddings, which have no blocks, weight[w] token[row[w]]
 *     x = the stack's blocks (x);  hidden = the stack's norm(x), if it has one
 */
typedef struct ink_transformer_net {
    size_t max_positions;        /* learned positions; 0: none */
    size_t first_position;       /* the position of the first token */
    ink_token padding;           /* a token with this id has this position and is not counted (RoBERTa); -1: none */
    size_t n_types;              /* token types; 0: none */
    float token_scale;           /* 0: 1 */
    const ink_token *token_rows; /* [vocab_size] rows of the embedding, which may have fewer; NULL: its own for each */
    float *token_weights;        /* [vocab_size] or NULL: all 1 */

    ink_embedding positions; /* [max_positions, hidden_size] */
    ink_embedding types;     /* [n_types, hidden_size] */
    ink_norm embedding_norm; /* [hidden_size]; size 0: none */
    ink_stack stack;
} ink_transformer_net;

/* Before the first token the window holds the BOS token. */
typedef struct ink_window_net {
    size_t window_size;
    ink_mlp mlp; /* from window_size * embedding size to hidden_size */
} ink_window_net;

/*
 * The half of an encoder-decoder that reads the source (Sutskever et al. 2014; Bahdanau et al. 2014; Vaswani et al.
 * 2017). Its rows, after the norm of the stack, are the output of the encoder; encoder_decoder.c keeps what the decoder
 * needs of them. The decoder is the network of the model; its blocks have cross attention.
 */
typedef struct ink_source_net {
    ink_network network;            /* which of the last two is used */
    const ink_embedding *embedding; /* of the source: the decoder's, or `own`; NULL: the model has no encoder, and the
                                       caller gives its rows */
    ink_embedding own;              /* [source_vocab_size, embedding size] */
    ink_transformer_net transformer;
    ink_recurrent recurrent; /* may be bidirectional */
    ink_dense bridge[2];     /* recurrent: from the last h, and from the last c, of a layer to the first ones of the
                                decoder; weight.n 0: h as it is; c has the bridge of h. It sees [h; h_reverse], or only
                                h_reverse if it has fewer columns. */
} ink_source_net;

/* The parts of a row of a recurrent decoder: h_t, e(w_t) and the context c_t. */
typedef enum ink_step_part { INK_STEP_HIDDEN, INK_STEP_EMBEDDING, INK_STEP_CONTEXT } ink_step_part;

typedef struct ink_step_row {
    size_t n;
    ink_step_part parts[3]; /* [n], side by side */
} ink_step_row;

/* Where c_t comes from: there is none; it is always the last h of the encoder; additive attention finds it. */
typedef enum ink_context_vector { INK_CONTEXT_NONE, INK_CONTEXT_FINAL, INK_CONTEXT_ADDITIVE } ink_context_vector;

/*
 * What the decoder of a recurrent encoder-decoder sees besides its state:
 *
 *     Sutskever et al. 2014    h_t = cell(e(w_t), h_{t-1})             logits = W h_t + b
 *     Cho et al. 2014          h_t = cell([e(w_t); c], h_{t-1})        logits = W [e(w_t); h_t; c] + b
 *     Bahdanau et al. 2014     h_t = cell([e(w_t); c_t], h_{t-1})      logits = W [h_t; c_t; e(w_t)] + b
 *
 * h_0 is the last state of the encoder, perhaps across a bridge. The cell is `recurrent` of the model, and the row
 * that W sees is the one of info.hidden_size floats.
 */
typedef struct ink_recurrent_decoder {
    ink_context_vector context;
    ink_step_row input, output;
    ink_activation embedding_activation; /* of e(w_t) */
    ink_additive attention;              /* of INK_CONTEXT_ADDITIVE */
} ink_recurrent_decoder;

/* ---- heads ------------------------------------------------------------------------------------------------------ */

/*
 * logits = W (scale norm(s(W_t hidden + b_t))) + b. Most language models have only W, some also b, and W is often the
 * table of the embedding (Press, Wolf 2017). The pooler of BERT is a head that ends after s.
 */
typedef struct ink_head {
    ink_dense transform;      /* W_t [hidden_size, hidden_size], b_t and s; weight.n 0: none */
    ink_norm norm;            /* size 0: none */
    const ink_matrix *weight; /* W [n_outputs, hidden_size]: the embedding's table or `own`; NULL: no logits */
    float *bias;              /* b [n_outputs] or NULL */
    float scale;              /* 0: 1 */
    ink_matrix own;
    ink_pooling pooling; /* for results of whole texts, what becomes `hidden`; NONE: the first row; LAST: the row of the
                            last token whose id is not `padding` */
    ink_token padding;   /* -1: none */
} ink_head;

/* A step after the pooling: a dense layer, or division by the length of the vector. */
typedef struct ink_sentence_step {
    bool normalise;
    ink_dense dense;
} ink_sentence_step;

/* The rows of a text to one vector: n_modes pooled vectors side by side, then the steps (sentence-transformers). */
typedef struct ink_sentence {
    size_t n_modes; /* 0: the model computes no embeddings */
    ink_pooling modes[INK_N_POOLINGS];
    size_t n_steps;
    ink_sentence_step *steps; /* [n_steps] */
} ink_sentence;

/* ---- models and states ------------------------------------------------------------------------------------------ */

/* What a folder says of one of several tasks of its model. */
typedef struct ink_task_settings {
    const char *name, *prefix; /* "summarization"; goes in front of a source */
    const struct ink_generate_options *generation;
} ink_task_settings;

struct ink_model {
    ink_model_info info;
    bool is_encoder;          /* reads whole texts, has no states (encoder.h); it may be a decoder with a classifier */
    ink_encoder_info encoder; /* only if is_encoder */
    bool is_encoder_decoder;  /* its states continue from a source (encoder_decoder.h) */
    ink_encoder_decoder_info encoder_decoder;
    ink_source_net source;
    ink_embedding embedding; /* [vocab_size, embedding size] */
    ink_network network;     /* which of the next three is used */
    ink_transformer_net transformer;
    ink_recurrent recurrent;
    ink_recurrent_decoder decoder; /* if the network is recurrent and continues from a source */
    ink_window_net window;
    ink_head head;
    ink_sentence sentence;

    const char **unused;      /* [info.n_unused]: names of tensors that the model does not use */
    const char **notes;       /* [info.n_notes]: sentences about what was ignored in the folder */
    size_t product_row;       /* bytes of a rounded row of x for the widest quantised matrix; 0: none */
    uint64_t fingerprint;     /* of all settings and weights; a serialized state carries it */
    size_t own_capacity_from; /* the content of a state for more tokens than this depends on its capacity (rope of type
                                 dynamic); 0: never */
    bool advises_generation;  /* the folder says how to choose tokens */
    const struct ink_generate_options *generation; /* what it says (generate.h); NULL for encoders */
    const ink_task_settings *tasks;                /* [n_tasks] */
    size_t n_tasks;
};

/* What is kept of a source. It belongs to the decoder: `network` below is the model's. */
struct ink_encoded {
    const ink_model *model;
    size_t capacity; /* rows */
    size_t length;   /* rows of the source; 0: nothing is encoded */
    bool listed;     /* already met while a list is checked */
    uint64_t hash;   /* of the tokens of the source, or of the rows that the caller gave */

    void *kv; /* transformer: the keys and values of cross attention of all blocks, kv_stride bytes apart */
    size_t kv_stride;
    float *first_state;       /* recurrent: [ink_recurrent_state_size], in which a state begins */
    float *last;              /* INK_CONTEXT_FINAL: [source_size], the last h of the encoder */
    ink_additive_source rows; /* INK_CONTEXT_ADDITIVE */
};

struct ink_state {
    const ink_model *model;
    size_t capacity; /* tokens; SIZE_MAX: no limit */
    size_t length;   /* tokens seen */
    ink_type cache;  /* of keys and values: INK_F32, INK_F16 or INK_I8 */
    bool listed;     /* already met while a list is checked */

    const ink_encoded *source; /* of an encoder-decoder; NULL: none yet */
    uint64_t source_hash;      /* of the source when the state began */

    void *kv; /* transformer: the caches of all blocks (ink_kv_cache_over), kv_stride bytes apart */
    size_t kv_stride;
    float *frequencies; /* [ink_stack_frequencies()], under rope */
    float rope_scales[INK_STACK_ROPES];
    float *recurrent;  /* [ink_recurrent_state_size] */
    ink_token *window; /* [window_size - 1]: the last tokens, oldest first */
};

/* Copies `from` into `to`, as ink_state_copy(), but the positions before `first` are already the same in both. */
ink_result ink_state_copy_from(ink_context *ctx, const ink_state *from, ink_state *to, size_t first);

/* The floats of a row of a recurrent decoder. */
size_t ink_step_row_size(const ink_model *model, const ink_step_row *row);

/* INK_ERROR_UNSUPPORTED if the model is an encoder; if it is none; if it is no encoder-decoder. */
ink_result ink_model_require_states(ink_context *ctx, const ink_model *model);
ink_result ink_model_require_encoder(ink_context *ctx, const ink_model *model);
ink_result ink_model_require_source(ink_context *ctx, const ink_model *model);

/* INK_ERROR_ARGUMENT if one of the n ids of item i ("text"), its tokens or types (`what`), is not below `end`. */
ink_result ink_model_check_ids(ink_context *ctx, const char *item, size_t i, const char *what, const ink_token *ids,
                               size_t n, size_t end);

/* The repetition penalty on logits [vocab_size] in place, for the tokens that the sampler has noted. */
void ink_sampler_penalise(const ink_sampler *sampler, float *logits);

#endif
