/*
 * run.h - a call of the engine: its arguments, its scratch memory and its passes. run.c runs the passes. What becomes
 * of the rows of a pass is in head.c (logits, hidden vectors, the vectors of texts) and in encoder_decoder.c (the rows
 * of sources).
 */
#ifndef INK_MODELS_RUN_H
#define INK_MODELS_RUN_H

#include "networks.h"

/* What a call runs. Texts and sources are read whole, so a pass never cuts them, and they have no state. */
typedef enum ink_run_kind {
    INK_RUN_SEQUENCES, /* with states: ink_model_forward_list() */
    INK_RUN_TEXTS,     /* of an encoder: ink_model_encode() */
    INK_RUN_SOURCES    /* of an encoder-decoder: ink_model_encode_sources() */
} ink_run_kind;

/* A sequence, text or source of the call, with the destinations of its results: rows of `hidden` for its last n_hidden
   tokens and of `logits` for its last n_logits tokens, or for the tokens at `positions`. */
typedef struct ink_run_item {
    ink_state *state; /* NULL: a text or a source */
    const ink_token *tokens, *types;
    size_t n_tokens, done;
    float *hidden, *logits; /* NULL: not requested */
    size_t n_hidden, n_logits;
    const size_t *positions; /* NULL: the last tokens */
    size_t n_positions;
    bool empty; /* a text without tokens, which has not run yet */
} ink_run_item;

/* The next `count` tokens of an item: rows first .. first + count - 1 of the pass. */
typedef struct ink_run_part {
    size_t item;
    ink_state *state;
    const ink_token *tokens, *types;
    size_t first, count;
} ink_run_part;

/* The destinations of the results of a picked row; NULL: not requested. */
typedef struct ink_row_target {
    float *hidden; /* [hidden_size]; for INK_POOLED and INK_EMBEDDING the vector of the text */
    float *logits; /* [vocab_size or labels] */
    size_t item;
} ink_row_target;

/* A call: its arguments and its scratch memory. */
typedef struct ink_run {
    ink_context *ctx;
    const ink_model *model;
    ink_run_kind kind;
    const ink_item *sequences;      /* [n_items], or */
    const ink_text *texts;          /* [n_items], or */
    const ink_source_item *sources; /* [n_items] */
    ink_encoding encoding;          /* of texts; sequences have INK_HIDDEN_STATES, and perhaps logits too */
    bool of_text;                   /* the result of a text is one vector */
    bool pools;                     /* which is computed from all of its rows, not from the first or the last */
    bool cuts;                      /* texts are cut, because no row sees another one and only their mean is wanted */
    size_t n_items;
    size_t nonfinite; /* the first text or source with a NaN or an infinity; SIZE_MAX: none */
    size_t max_rows;  /* of a pass */
    size_t capacity;  /* of the largest state or source, or the number of tokens of the longest text */

    /* The network that runs: that of the model, or the half of an encoder-decoder that reads sources. */
    ink_network network;
    const ink_embedding *embedding;
    const ink_transformer_net *transformer;
    const ink_recurrent *recurrent;
    size_t hidden_size; /* of a row of x */

    ink_run_item *items; /* [n_items] */
    ink_run_part *parts; /* [min(n_items, max_rows)] of this pass */
    size_t n_parts, rows;
    float *x;    /* [max_rows, hidden_size] */
    float *more; /* [max_rows, hidden_size]: position and type embeddings; the output of W_t */

    ink_token *ids;     /* transformer: [max_rows] positions, then types */
    ink_span *spans;    /* [parts] */
    void *kv;           /* texts, sources: the cache for the keys and values of one, used by all in turn */
    float *frequencies; /* texts, sources under rope: [ink_stack_frequencies()], those of one */
    ink_stack_scratch stack;
    ink_sequence *steps; /* recurrent: [parts] */
    float *embedded;     /* [max_rows, embedding size], window: [max_rows, window_size * embedding size] */
    const ink_recurrent_decoder *decoder; /* recurrent: what a row sees */
    float *inputs, *outputs, *contexts;   /* recurrent: [max_rows, size of x_t, of h, of c_t]; NULL if x_t is e(w_t), if
                                             the output sees only h, if there is no c_t */
    float *states;                        /* sources: [parts, ink_recurrent_state_size()] */
    ink_additive_item *attending;         /* additive attention: [parts] */
    ink_additive_scratch additive;
    ink_recurrent_scratch recurrent_scratch;
    ink_token *line; /* window: [window_size - 1 + max_rows]: the window, then the tokens of a part */
    ink_mlp_scratch mlp;

    /* head.c */
    float *picked;           /* [max_rows, hidden_size]: the requested rows */
    ink_row_target *targets; /* [max_rows] */
    float *scaled;           /* [max_rows, hidden_size], if the head scales */
    float *scattered;        /* [SCATTERED_ROWS, n_outputs] */
    float *vectors[2];       /* [parts, widest]: pooled vectors, alternating */
    float *begun;            /* [n_modes, hidden_size]: the part of a mean that the next pass completes */

    /* encoder_decoder.c */
    float *projected; /* [max_rows, 2 n_kv_heads head_dim]: keys and values of one block; or rows of a source behind
                         zeros, for ink_additive_set_source() */
} ink_run;

/* Runs the checked list of r, or only allocates the scratch memory for such lists. */
ink_result ink_run_list(ink_run *r, bool reserve);

/* Of texts and sources in a list: the most rows of a pass for n_tokens tokens in all, `longest` in one. */
size_t ink_run_rows(size_t n_tokens, size_t longest);

/* Remembers the first text or source with a value that is not finite. */
void ink_run_note_nonfinite(ink_run *r, size_t item, const float *x, size_t n);

/* ---- head.c ----------------------------------------------------------------------------------------------------- */

void ink_head_alloc_scratch(ink_run *r, ink_arena *arena);

/* The norm behind the last block, if the network has one. */
void ink_head_last_norm(ink_run *r, float *x, size_t n);

/* The requested results of the rows of a pass. */
void ink_head_run(ink_run *r);

/* ---- encoder.c -------------------------------------------------------------------------------------------------- */

ink_run_item ink_run_item_of_text(const ink_run *r, const ink_text *text);

/* ---- encoder_decoder.c ------------------------------------------------------------------------------------------ */

ink_run_item ink_run_item_of_source(const ink_run *r, const ink_source_item *source);
void ink_encoded_alloc_scratch(ink_run *r, ink_arena *arena);

/* Keeps what the decoder needs of the sources of a pass; and of the rows that the caller gave. */
void ink_encoded_keep(ink_run *r);
void ink_encoded_keep_given(ink_run *r);

#endif
