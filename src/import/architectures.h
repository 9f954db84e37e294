/*
 * architectures.h - the importers of the architectures, and the functions they share.
 *
 * `model_type` in config.json names the architecture. Its importer
 *
 *     1. describes    turns settings into the config fields of models/networks.h; checks all settings
 *     2. plans        adds a row for each tensor (plan.h); checks all names and shapes
 *
 * Then open.c fills the plan. The engine knows nothing of settings and names.
 */
#ifndef INK_IMPORT_ARCHITECTURES_H
#define INK_IMPORT_ARCHITECTURES_H

#include "../models/networks.h"
#include "config.h"
#include "plan.h"

/* The input and the output of an importer. */
typedef struct ink_import ink_import;

/* Gets a model that is described and planned, in place of reading its weights. */
typedef ink_result (*ink_import_visit_fn)(ink_import *in, void *user);

struct ink_import {
    ink_context *ctx;
    const ink_source *source; /* the folder */
    const void *variant;      /* the architecture's own data */
    ink_model_options options;
    ink_notes notes;
    ink_config config;           /* config.json */
    ink_config generation;       /* generation_config.json; all settings are absent if there is no such file */
    ink_plan plan;               /* for the weights of the folder */
    ink_model *model;            /* zeroed, but info.bos_token and info.eos_token are -1 */
    const ink_token *forced_eos; /* the default of forced_eos_token_id; NULL: none */
    ink_import_visit_fn visit;   /* NULL: the weights are read */
    void *visit_user;

    /* Of a GGUF file: */
    const struct ink_gguf *gguf; /* its metadata; NULL: the model is a folder */
    ink_source nothing;          /* `source`: there are no other files */
    bool pools;                  /* it is for vectors of texts, also if it is a decoder; options.pooling says how */
};

typedef struct ink_architecture {
    const char *name; /* model_type */
    ink_result (*import)(ink_import *in);
    const void *variant;
    /* Ends of the names of tensors that files may hold but no model needs. Ends with NULL; may be NULL. */
    const char *const *ignored;
} ink_architecture;

/* The architectures of each importer. A row without a name ends the list. */
extern const ink_architecture ink_gpt2_architectures[];
extern const ink_architecture ink_llama_architectures[];           /* llama and its kin */
extern const ink_architecture ink_encoder_architectures[];         /* bert and its kin */
extern const ink_architecture ink_static_architectures[];          /* model2vec */
extern const ink_architecture ink_encoder_decoder_architectures[]; /* bart, t5 and their kin */
extern const ink_architecture ink_own_architectures[];             /* rnn, gru, lstm, mlp: the project's own */

/* That of a folder without config.json whose modules.json begins with a StaticEmbedding. */
extern const ink_architecture ink_static_embedding;

/* Makes in->config of the metadata of a GGUF file, and sets the last members of `in`; *model_type is that of the
   architecture. INK_ERROR_UNSUPPORTED for an architecture, and for a key that changes results and has no importer;
   INK_ERROR_MISMATCH for a key that is missing or wrong. */
ink_result ink_gguf_describe(ink_import *in, const struct ink_gguf *gguf, const char **model_type);

/* The factors of rope in the tensor `name` [n], which is read at once; they live as long as the model. */
ink_result ink_gguf_rope_factors(ink_import *in, const char *name, size_t n, const float **factors);

/* Plans all blocks of a stack, each in its own scope, `scope` ("h") and its number. Refuses a file with one more block;
   `probe` is a module with a weight that every block has, and `key` the setting for the number of blocks, for messages.
 */
typedef ink_result (*ink_plan_block_fn)(ink_import *in, const void *settings, size_t i, ink_block *block);
ink_result ink_import_blocks(ink_import *in, ink_stack *stack, const char *scope, const char *probe, const char *key,
                             ink_plan_block_fn plan_block, const void *settings);

/* Plans model->embedding from the module in the current scope. If it is missing and tie_word_embeddings, whose default
   is `tied`, is true, it is the tensor `output` of the file ("lm_head.weight"), the other name of the same. */
ink_result ink_import_embedding(ink_import *in, const char *module, const char *output, bool tied, size_t size);

/* sqrt(n), rounded once. */
float ink_import_root(const ink_kernel *kernel, size_t n);

/* Sinusoids (Vaswani et al. 2017, section 3.5): a table of positions that no file holds. The sines of a row stand
   before the cosines. The more positions, the more memory a small file takes, so there are at most 16,384. */
#define INK_MAX_SINUSOIDS ((size_t)16384)
typedef struct ink_sinusoids {
    size_t size;        /* of a row */
    bool tensor2tensor; /* frequencies and angles are those of tensor2tensor and fairseq, which M2M100 uses */
    size_t padding;     /* then this row is 0 */
    size_t n;           /* set by ink_sinusoids_begin(), as the next */
    double *w;          /* [n] */
} ink_sinusoids;

/* Computes w. Called when the size is known to be that of a tensor of the file. */
ink_result ink_sinusoids_begin(ink_plan *plan, ink_sinusoids *sinusoids);

/* Row `row` of the table: an ink_plan_compute_fn, whose settings are ink_sinusoids. */
void ink_sinusoids_row(const ink_kernel *kernel, const void *settings, size_t row, float *room, float *values);

/* The names of the settings of a rope. */
typedef struct ink_rope_names {
    const char *layers; /* the object in rope_parameters where windowed blocks have another: "full_attention"; NULL: it
                           is rope_parameters itself */
    const char *theta;  /* the key of theta outside of rope_parameters */
    double default_theta;
    bool scaled; /* rope_scaling is for this rope */
} ink_rope_names;

/* Reads n ropes, for heads of size head_dim, into stack.config.ropes. info.context_length must be set; the type of the
   first rope may stretch it. */
ink_result ink_import_ropes(ink_import *in, const ink_rope_names *names, size_t n, size_t head_dim);

/* If the setting layer_types is there, gives the blocks that slide this window, and the others none. must_agree:
   refuses a block whose window, set before, would change. */
ink_result ink_import_layer_types(ink_config *config, size_t n_layers, size_t window, bool must_agree,
                                  ink_stack_config *stack);

/* The first class under `architectures`; "" if there is none. */
ink_result ink_import_class(ink_import *in, const char **class);

/* Finds the weights that quantization_config makes tensors of codes and scales, and gives them to the plan. */
ink_result ink_quantised_plan(const ink_config *config, ink_plan *plan);

/* The task of a decoder's class: INK_TASK_NONE for a language model, for the bare model and without a class.
   INK_ERROR_UNSUPPORTED for a class with another head. */
ink_result ink_import_decoder_task(ink_import *in, ink_task *task);

/* Plans the output, a module such as "lm_head". A stored weight is always used, because frameworks leave it out if it
   is the embedding. Without one the setting tie_word_embeddings, whose default is `tied`, must be true, or the file is
   incomplete. info and embedding must be set. */
ink_result ink_import_lm_head(ink_import *in, const char *module, bool tied);

/* Makes a model that reads whole texts. The tokenizer's settings give the length at which to cut them; info must be
   set. */
ink_result ink_import_texts(ink_import *in);

/* Plans a classifier: a module with a row for each label, the labels, and how logits become probabilities. For
   INK_TASK_ANSWER the module has two rows and no labels. */
ink_result ink_import_classifier(ink_import *in, const char *module, ink_task task, bool has_bias);

/* Plans the head of a decoder for the task of its class. For INK_TASK_NONE it is lm_head, or the modules of
   sentence-transformers. For the others it is a classifier, the module `module`, whose last token has seen the whole
   text. On entry model->head.padding is the default of pad_token_id. */
ink_result ink_import_decoder_head(ink_import *in, ink_task task, bool tied, const char *module, bool has_bias);

/* Reads the stop tokens and the settings for generating. info->eos_token is the default of the architecture before. */
ink_result ink_import_generation(ink_import *in);

/* As ink_model_open(), but calls `visit` when everything is described and planned, and reads no weights. What `visit`
   sees is gone when it returns. */
ink_result ink_import_visit(ink_context *ctx, const char *folder, const ink_model_options *options,
                            ink_import_visit_fn visit, void *user);

/* Imports modules.json (sentence-transformers) if the folder has one: *found. Sets model->sentence and the fields of
   model->encoder about texts. Without it, an encoder has the pooling of the caller's options. */
ink_result ink_import_sentence(ink_import *in, bool *found);

/* For a classifier of texts: if the folder is a CrossEncoder of sentence-transformers, its activation_fn makes the
   probabilities. */
ink_result ink_import_cross_encoder(ink_import *in);

#endif
