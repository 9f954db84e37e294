/*
 * kind.h - what a kind of model is to the library: a page that names its settings and tensors (gpt2.c, ...), and the
 * network they are read into.
 *
 * The network says what a state holds and how rows of tokens become rows of hidden vectors; kinds that differ in names
 * alone share one. Everything else (options, limits, lists of sequences, logits, saving states) is the same for all
 * kinds and lives in model.c, head.c, forward.c and state.c.
 */
#ifndef INK_MODELS_KIND_H
#define INK_MODELS_KIND_H

#include <inkling/model.h>
#include <inkling/sampler.h>

#include "../layers/layers.h"
#include "../import/loader.h"
#include "../import/config.h"

/* A list of sequences is worked through in passes of at most this many rows (one row is one token). It bounds the
   scratch memory; it is also the row block of the kernel, so larger passes would gain nothing. */
#define INK_PASS_ROWS 128

/* How large the passes of a call can get. Scratch of a larger size must suffice for a smaller one. */
typedef struct ink_pass_size {
    size_t rows;     /* at most INK_PASS_ROWS */
    size_t n_items;  /* sequences in the list */
    size_t capacity; /* the largest of their states */
} ink_pass_size;

/* The next `count` tokens of one sequence: rows first .. first + count - 1 of the pass. */
typedef struct ink_part {
    ink_state *state;
    const ink_token *tokens; /* [count] */
    size_t first, count;
} ink_part;

/* `count` of the 32-bit words a state consists of: an array, or the first columns of a row of an F32 matrix. */
typedef struct ink_words {
    void *first;
    size_t count;
    ink_matrix *matrix; /* NULL: the array */
    size_t row;
} ink_words;

typedef struct ink_network {
    /* Takes what a state holds and returns it, NULL while measuring. */
    void *(*take_state)(ink_context *ctx, ink_arena *arena, const ink_model *model, size_t capacity);

    /* From now on the state's body holds `length` tokens: 0 empties it, less than it had forgets (if can_rewind), more
       is about to be written word by word. */
    void (*set_length)(ink_state *state, size_t length);

    /* The i-th piece of what the state holds at its length; false from the end on. The order and number of words
       depend on model and length alone, so that they can be saved, and copied between states of any capacity. */
    bool (*words)(const ink_state *state, size_t i, ink_words *words);

    /* Takes what passes of this size need beside x, and returns it. NULL while measuring. */
    void *(*alloc_scratch)(ink_arena *arena, const ink_model *model, const ink_pass_size *size);

    /* One pass: x [rows, hidden_size] from the tokens of the parts, whose states move on. Nothing can fail here. */
    void (*run)(ink_context *ctx, const ink_model *model, void *scratch, const ink_part *parts, size_t n_parts,
                size_t rows, float *x);

    bool can_rewind;   /* to any length */
    bool holds_tokens; /* the words of a state are token ids, not floats */
} ink_network;

typedef struct ink_model_kind {
    const char *name; /* model_type */

    /* Settings and tensors, in the two runs of loader.h: sets model->info, ->body and what else of the model it has.
       On the first run what comes from the arena is not there, and the model itself is a spare one. */
    ink_result (*read)(ink_loader *loader, ink_config *config, ink_model *model);

    /* How the names of tensors end that files of this kind may hold and no model needs; NULL ends the list, and NULL
       is none. */
    const char *const *ignored;

    const ink_network *network; /* NULL: an encoder, whose texts are run whole (encoder.c) */
} ink_model_kind;

extern const ink_model_kind ink_kind_gpt2;
extern const ink_model_kind ink_kind_llama;
extern const ink_model_kind ink_kind_mistral;
extern const ink_model_kind ink_kind_qwen2;
extern const ink_model_kind ink_kind_qwen3;
extern const ink_model_kind ink_kind_rnn;
extern const ink_model_kind ink_kind_gru;
extern const ink_model_kind ink_kind_lstm;
extern const ink_model_kind ink_kind_mlp;
extern const ink_model_kind ink_kind_bert;
extern const ink_model_kind ink_kind_distilbert;
extern const ink_model_kind ink_kind_roberta;

/* How a page reads its blocks (blocks.c): the scope of one, a module with a weight that every block has, the setting
   that says how many there are, and what fills one in, in its scope. */
typedef struct ink_blocks_page {
    const char *scope;  /* "h.%zu." */
    const char *module; /* "ln_1" */
    const char *key;    /* "n_layer" */
    ink_result (*read)(ink_loader *loader, void *settings, size_t i, ink_block *block);
    void *settings;
} ink_blocks_page;

/* Reads n blocks, one after the other; a file that has more is refused. NULL while measuring. */
ink_result ink_blocks_read(ink_loader *loader, const ink_blocks_page *page, size_t n, ink_block **blocks);

/* INK_ERROR_NOT_FOUND if module `name` should have a bias and has none, INK_ERROR_MISMATCH if it is the other way
   round: a bias that no setting asks for would be left out silently. */
ink_result ink_model_check_bias(ink_loader *loader, const char *name, bool wanted);

/* From hidden vectors to logits (head.c):   logits = norm(x) W^T + b */
typedef struct ink_head {
    const ink_norm *norm;     /* NULL: none */
    const ink_matrix *weight; /* [vocab_size or labels, hidden_size]: the embedding's if the two are tied, else `own`;
                                 NULL: an encoder without a head */
    const float *bias;        /* the same number, or NULL */
    ink_matrix own;
} ink_head;

struct ink_model {
    const ink_model_kind *kind;
    ink_model_info info;
    uint64_t fingerprint;    /* of all settings and weights; a saved state carries it */
    const char **unused;     /* [info.n_unused] */
    ink_embedding embedding; /* [vocab_size, embedding size] */
    ink_head head;
    size_t own_capacity_from; /* states for more tokens than this depend on their capacity (rope.h, dynamic); 0: none */
    bool advises_sampling;    /* the folder says how tokens should be chosen: */
    ink_sampler_options sampling;
    void *body; /* the network's own part */
};

struct ink_state {
    const ink_model *model;
    size_t capacity; /* tokens; SIZE_MAX: no limit */
    size_t length;
    bool listed; /* while a list is checked: it has come up */
    void *body;  /* the network's own part */
};

/* Reads lm_head.weight and, if it is there, lm_head.bias. Without the weight the head is tied to the embedding, unless
   config.json says otherwise; `tied` is what its silence means. model->embedding and model->info are set. */
ink_result ink_head_read(ink_loader *loader, ink_config *config, bool tied, ink_model *model);

/* Sets what generation.c reads: the stop tokens (info->eos_token is the usual one of this kind, for files that name
   none; info->vocab_size is set) and the sampling. */
ink_result ink_generation_read(ink_arena *arena, ink_config *config, ink_config *generation, ink_model *model);

/* Where passes put what comes of row i of x. */
typedef struct ink_head_target {
    float *hidden; /* [hidden_size], or NULL */
    float *logits; /* [vocab_size or labels], or NULL */
} ink_head_target;

typedef struct ink_head_scratch {
    float *x;                 /* [rows, hidden_size] */
    ink_head_target *targets; /* [rows] */
    float *block; /* [a few rows, vocab_size or labels]; NULL for a single sequence, whose logits lie side by side */
} ink_head_scratch;
void ink_head_alloc_scratch(ink_arena *arena, const ink_model *model, const ink_pass_size *size,
                            ink_head_scratch *scratch);
void ink_head_run(ink_context *ctx, const ink_model *model, const ink_head_scratch *scratch, size_t n);

/* INK_ERROR_UNSUPPORTED with a sentence for an encoder. */
ink_result ink_model_require_states(ink_context *ctx, const ink_model *model);

/* The network's set_length(), and the state's own. */
void ink_state_set_length(ink_state *state, size_t length);

#endif
