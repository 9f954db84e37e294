/*
 * architectures.h - opening a model folder: what the importers of the architectures share.
 *
 * `model_type` in config.json names the architecture. Its importer
 *
 *     1. describes    settings -> the config fields of models/networks.h; every check on settings is here
 *     2. plans        a row for each tensor (plan.h); every check on names and shapes is here
 *
 * and open.c then fills the plan. The engine sees nothing of this.
 */
#ifndef INK_IMPORT_ARCHITECTURES_H
#define INK_IMPORT_ARCHITECTURES_H

#include "../models/networks.h"
#include "config.h"
#include "plan.h"

/* What an importer works on. */
typedef struct ink_import {
    ink_context *ctx;
    const ink_source *source; /* the folder */
    const void *variant;      /* of the architecture */
    ink_model_options options;
    ink_config config; /* config.json */
    ink_plan plan;     /* over the folder's weights */
    ink_model *model;  /* zeros, but info.bos_token and info.eos_token are -1 */
} ink_import;

typedef struct ink_architecture {
    const char *name; /* model_type */
    ink_result (*import)(ink_import *in);
    const void *variant;
    /* Ends of names of tensors that files may hold and no model needs; NULL ends the list, and NULL is none. */
    const char *const *ignored;
} ink_architecture;

/* The rows of each importer; a row without a name ends them. */
extern const ink_architecture ink_gpt2_architectures[];
extern const ink_architecture ink_llama_architectures[];   /* llama, mistral, qwen2, qwen3 */
extern const ink_architecture ink_encoder_architectures[]; /* bert, distilbert, roberta */
extern const ink_architecture ink_own_architectures[];     /* rnn, gru, lstm, mlp */

/* llama, mistral, qwen2, qwen3 */
extern const ink_architecture ink_architectures_encoder[3]; /* bert, distilbert, roberta */
extern const ink_architecture ink_architectures_own[4];     /* mlp, rnn, gru, lstm: the project's own */

/* Takes the n blocks (no more than the file has tensors, and one: stack.config.n_blocks) of the model's stack and their
 * attention, which starts as a copy of `attention`. */
ink_result ink_import_stack(ink_import *in, size_t n, const ink_attention *attention);

/* Plans the n blocks, each in the scope of `scope` ("h.%zu."). A file that has one more is refused: `probe` is a module
   with a weight that every block has, `key` the setting that says how many there are. */
typedef ink_result (*ink_plan_block_fn)(ink_import *in, const void *settings, size_t i, ink_block *block);
ink_result ink_import_blocks(ink_import *in, const char *scope, const char *probe, const char *key,
                             ink_plan_block_fn plan_block, const void *settings);

/* lm_head: a stored lm_head.weight is used, whatever the flag says, because frameworks leave it out when it is the
   embedding. Without it the flag decides, and an explicit "not tied" means that the file is not whole; `tied` is the
   flag's default. info and embedding are set. */
ink_result ink_import_lm_head(ink_import *in, bool tied);

/* The modules of modules.json (sentence-transformers), if the folder has one: *found. Sets model->sentence and the
   fields of model->encoder about texts. */
ink_result ink_import_sentence(ink_import *in, bool *found);

#endif
