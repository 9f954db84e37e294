/*
 * encoder.h - what the encoders share: one network, of which each architecture is a page of names.
 *
 *     x = norm(word[token] + position[p] + type[s])
 *     for each block:   x = norm_1(x + W_o attention(W_qkv x))        every row sees all rows of its text
 *                       x = norm_2(x + W_down s(W_up x))
 *     head:             y = W norm(s(W_t x + b_t)) + b                of the first row, or of each
 *
 * A page (bert.c, distilbert.c, roberta.c) says what settings and tensors are called. encoder_read.c reads them,
 * encoder_head.c the head and its labels, sentence_read.c the modules of sentence-transformers. encoder.c and
 * sentence.c run it all.
 */
#ifndef INK_MODELS_ENCODER_H
#define INK_MODELS_ENCODER_H

#include <inkling/encoder.h>

#include "kind.h"

/* ---- a page --------------------------------------------------------------------------------------------------- */

/* Where a page leaves the activation to the model's own setting. */
#define INK_ACTIVATION_OF_MODEL INK_N_ACTIVATIONS

/* A head, and the classes (`architectures` in config.json) that have it. NULL: there is no such part. */
typedef struct ink_head_names {
    const char *architectures[2];
    ink_task task;
    bool in_body;              /* the transform stands in the body, behind its prefix, and the bare model may lack it */
    const char *transform;     /* W_t */
    ink_activation activation; /* behind it */
    const char *norm;
    const char *out;  /* W; of masked LMs tied to the word embedding unless it is stored */
    const char *bias; /* b, where it has a name of its own */
} ink_head_names;

/* Settings by their keys, and modules, of a network below its prefix. */
typedef struct ink_body_names {
    const char *hidden_size, *n_layers, *n_heads, *inner_size, *activation;
    const char *epsilon; /* NULL: there is no such setting, it is 1e-12 */
    const char *word, *position, *norm;
    const char *type;  /* NULL: there are no token types */
    const char *block; /* "encoder.layer.%zu." */
    const char *query, *key, *value, *out, *norm_1, *up, *down, *norm_2;
} ink_body_names;

extern const ink_body_names ink_bert_names;

typedef struct ink_encoder_page {
    const ink_body_names *names;
    const char *prefix; /* of the body, in files of models with a head */
    size_t default_layers, default_vocab_size;
    bool skips_padding;          /* the position of a token is pad_token_id + the tokens up to it that are no padding */
    const ink_head_names *heads; /* [n_heads]; the first is the bare model */
    size_t n_heads;
} ink_encoder_page;

/* ---- an encoder ----------------------------------------------------------------------------------------------- */

/* A module behind the pooling: a dense layer, or division by the length of the vector. */
typedef struct ink_sentence_step {
    bool normalise;
    ink_dense dense;
} ink_sentence_step;

/* Rows of a text to one vector: n_modes pooled vectors side by side, then the steps. */
typedef struct ink_sentence {
    size_t n_modes; /* 0: the model gives no embeddings */
    ink_pooling modes[INK_N_POOLINGS];
    size_t n_steps;
    ink_sentence_step *steps; /* [n_steps] */
    size_t widest;            /* of the vectors on the way */
} ink_sentence;

typedef struct ink_encoder {
    ink_encoder_info info;
    ink_embedding positions; /* [position table, hidden] */
    ink_embedding types;     /* [info.n_types, hidden], or nothing */
    bool skips_padding;
    ink_token padding;
    size_t first_position; /* of a text's first token */
    ink_norm norm;         /* of the embeddings */
    size_t n_blocks;
    ink_block *blocks; /* [n_blocks] */
    bool has_transform;
    ink_dense transform; /* W_t [hidden, hidden]; the rest of the head is model->head */
    ink_norm head_norm;
    ink_sentence sentence;
} ink_encoder;

/* The kind's `read` and `ignored` for a page. */
ink_result ink_encoder_read(ink_loader *loader, ink_config *config, const ink_encoder_page *page, ink_model *model);
extern const char *const ink_encoder_ignored[];

/* A linear layer, or a norm, of which files always have the bias: one without it is not whole. */
ink_result ink_encoder_read_linear(ink_loader *loader, const char *name, size_t out, size_t in,
                                   ink_activation activation, ink_dense *dense);
ink_result ink_encoder_read_norm(ink_loader *loader, const char *name, size_t size, float epsilon, ink_norm *norm);

/* The head of the class that config.json names, or of the bare model if only that is asked for. `prefix` is what
   stands before the body's names in this file, "" for nothing; `activation` and `epsilon` are the model's. */
typedef struct ink_head_settings {
    const ink_encoder_page *page;
    const char *prefix;
    ink_activation activation;
    float epsilon;
    bool bare;
} ink_head_settings;
ink_result ink_encoder_read_head(ink_loader *loader, ink_config *config, const ink_head_settings *settings,
                                 ink_model *model, ink_encoder *encoder);

/* The modules of modules.json, if the folder has one: *found. Sets sentence and what encoder->info says of it. */
ink_result ink_sentence_read(ink_loader *loader, ink_config *config, const ink_model_info *info, ink_encoder *encoder,
                             bool *found);

/* Vectors on the way, a row for each text of a pass. */
typedef struct ink_sentence_scratch {
    float *a, *b; /* [texts, widest] */
} ink_sentence_scratch;
void ink_sentence_alloc_scratch(ink_arena *arena, const ink_sentence *sentence, size_t n_texts,
                                ink_sentence_scratch *scratch);

/* The embeddings of the texts whose rows of x [rows, hidden] the spans are: returns [n_spans, embedding_size]. */
const float *ink_sentence_run(ink_context *ctx, const ink_sentence *sentence, const ink_sentence_scratch *scratch,
                              const ink_span *spans, size_t n_spans, const float *x, size_t hidden_size);

#endif
