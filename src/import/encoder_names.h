/*
 * encoder_names.h - how the families of encoders spell their settings, tensors and classes: the tables of
 * encoder_names.c, which encoders.c reads.
 */
#ifndef INK_IMPORT_ENCODER_NAMES_H
#define INK_IMPORT_ENCODER_NAMES_H

#include "architectures.h"

/* In the table of a head: the activation of the model, or its classifier_activation. */
#define INK_ACTIVATION_OF_MODEL INK_N_ACTIVATIONS
#define INK_ACTIVATION_OF_HEAD (INK_N_ACTIVATIONS + 1)

/* A head, and the classes (`architectures` in config.json) that have it: the ends of their names, behind that of the
   family. NULL: the head lacks this module. */
typedef struct ink_head_names {
    ink_task task;
    const char *classes[2];
    bool in_body;          /* the transform has the prefix of the body, and the bare model may lack it */
    bool may_lack;         /* the transform, whatever the task is */
    const char *transform; /* W_t */
    int activation;        /* s: an ink_activation, or one of the two above */
    const char *norm;
    const char *out;  /* W; in a masked LM tied to the word embedding unless it is stored */
    const char *bias; /* b, if it may also have this name */
} ink_head_names;

/* The keys of the settings, and the module names after the prefix. NULL: there is none. */
typedef struct ink_body_names {
    const char *hidden_size, *n_layers, *n_heads, *inner_size, *activation;
    const char *epsilon; /* NULL: no such setting; epsilon is 1e-12 */
    const char *word, *position, *norm;
    const char *type;
    const char *bias; /* of the scores of attention, for each bucket of distances */
    const char *block, *query, *key, *value, *out, *norm_1, *up, *down, *norm_2;
    const char *qkv; /* instead of the three */
    const char *last_norm;
} ink_body_names;

#define INK_N_HEADS 5
typedef struct ink_encoder_variant {
    const ink_body_names *names;
    const char *prefix; /* of the body, in files of models with a head */
    const char *class;  /* the beginning of the names of its classes */
    size_t default_layers, default_vocab_size;
    bool skips_padding;          /* the position of a token is pad_token_id + the number of tokens up to it that are not
                                    padding */
    ink_token padding;           /* which is this token whatever pad_token_id says; 0: it is pad_token_id */
    bool modern;                 /* ModernBERT */
    const ink_head_names *heads; /* [INK_N_HEADS]: the first is that of the bare model */
} ink_encoder_variant;

/* BERT and its kin in GGUF: without the transform of the bare model and the heads that fill or classify tokens. */
extern const ink_encoder_variant ink_gguf_bert;

/* The importer of all of them; in->variant is an ink_encoder_variant. */
ink_result ink_import_encoder(ink_import *in);

#endif
