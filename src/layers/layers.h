/*
 * layers.h - inside the layers: their weights as structs, and the functions that run them.
 *
 * An importer (src/import) fills the weights, which never change afterwards. ink_X_run() computes a layer and cannot
 * fail, because the public function has already checked the arguments and allocated the scratch memory.
 * ink_X_alloc_scratch() allocates that memory from an arena, or measures it if the arena is a measuring one.
 */
#ifndef INK_LAYERS_LAYERS_H
#define INK_LAYERS_LAYERS_H

#include <inkling/attention.h>
#include <inkling/conv.h>
#include <inkling/dense.h>
#include <inkling/embedding.h>
#include <inkling/norm.h>
#include <inkling/recurrent.h>
#include <inkling/rope.h>
#include <inkling/sequential.h>
#include <inkling/transformer.h>

#include "../base/internal.h"
#include "../tensor/packed.h"

/* The largest number of rows that run through a layer together. It bounds the scratch memory. It is also the row block
   of the kernel, so more rows would gain nothing. */
#define INK_PASS_ROWS ((size_t)128)

/* Runs fn(job, 0 .. n_tasks - 1). `work` is the number of float operations. Uses the workers of the context only if
   there is enough work, about 20 us, to pay for waking them. */
static inline void ink_parallel_for(ink_context *ctx, ink_task_fn fn, void *job, size_t n_tasks, size_t work)
{
    if (ctx->workers != NULL && work >= (size_t)1 << 20)
        ink_workers_run(ctx->workers, fn, job, n_tasks, false);
    else
        for (size_t task = 0; task < n_tasks; task++)
            fn(job, task);
}

/* ---- functions.c ------------------------------------------------------------------------------------------------ */

/* INK_ERROR_ARGUMENT if it is not an activation or its parameter is out of range; the message names `function`. */
ink_result ink_activation_check(ink_context *ctx, const char *function, ink_activation activation);

/* As ink_activate(), inside a call. */
void ink_activate_run(ink_context *ctx, ink_activation activation, const float *x, size_t n, float *y);

/* ---- dense.c: y = s(x W^T + b) --------------------------------------------------------------------------------- */

struct ink_dense {
    ink_matrix weight; /* [out, in] */
    float *bias;       /* [out] or NULL */
    ink_activation activation;
    const ink_matrix *parts; /* [n_parts]: the outputs one after the other, where their weights have several types;
                                `weight` is then only a shape */
    size_t n_parts;
};

/* y [n, out] from x [n, in], whose rows are x_stride floats apart. */
void ink_dense_run(ink_context *ctx, const ink_dense *dense, const float *x, size_t x_stride, size_t n, float *y);

struct ink_mlp {
    size_t n_layers;
    ink_dense *layers; /* [n_layers] */
};

/* The outputs of all layers but the last, alternating between two buffers. */
typedef struct ink_mlp_scratch {
    float *hidden[2]; /* [rows, widest hidden layer] */
} ink_mlp_scratch;

void ink_mlp_alloc_scratch(ink_arena *arena, const ink_mlp *mlp, size_t rows, ink_mlp_scratch *scratch);
void ink_mlp_run(ink_context *ctx, const ink_mlp *mlp, const ink_mlp_scratch *scratch, const float *x, size_t n,
                 float *y);

/* ---- conv.c ----------------------------------------------------------------------------------------------------- */

struct ink_conv1d {
    ink_dense dense; /* weight [out, kernel_size in], taps outside, channels inside; depthwise: only bias, activation */
    float *taps;     /* [kernel_size, out] of a depthwise convolution, or NULL */
    size_t in, out, kernel_size, stride, dilation, groups;
    size_t padding_left, padding_right;
};

/* Checks the settings and sets all members but the weights. */
ink_result ink_conv1d_describe(ink_context *ctx, size_t in, size_t out, size_t kernel_size,
                               const ink_conv1d_options *options, ink_conv1d *conv);

/* Whether the state is one of the convolution, and the rows of y for n rows of x; the most rows of y there can be; the
   floats of scratch. */
bool ink_conv1d_rows(const ink_conv1d *conv, const float *state, size_t n, bool last, size_t *length);
size_t ink_conv1d_most_rows(const ink_conv1d *conv, size_t n);
size_t ink_conv1d_scratch(const ink_conv1d *conv, size_t n);

/* As ink_conv1d_forward(), with a checked state. */
void ink_conv1d_run(ink_context *ctx, const ink_conv1d *conv, float *scratch, float *state, const float *x, size_t n,
                    bool last, float *y);

/* ---- embedding.c ------------------------------------------------------------------------------------------------ */

struct ink_embedding {
    ink_matrix table; /* [vocab_size, size], or */
    bool columns;     /* [size, vocab_size]: if nothing is multiplied with it, its vectors are read in fewer lines */
};

/* y [n, size] from tokens [n]. */
void ink_embedding_run(const ink_embedding *embedding, const ink_token *tokens, size_t n, float *y);

/* ---- norm.c ----------------------------------------------------------------------------------------------------- */

struct ink_norm {
    ink_norm_kind kind;
    size_t size; /* 0: no norm */
    float eps;
    float *weight; /* [size] */
    float *bias;   /* [size] or NULL */
};

/* y [n, size] from x [n, size]; y may be x. _rows runs on this thread, _run on all threads. */
void ink_norm_rows(const ink_kernel *kernel, const ink_norm *norm, const float *x, size_t n, float *y);
void ink_norm_run(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y);

/* ---- sequential.c ----------------------------------------------------------------------------------------------- */

typedef struct ink_layer {
    ink_module_kind kind;
    size_t number; /* of its module */
    size_t out;
    ink_conv1d conv;  /* INK_MODULE_CONV1D; of INK_MODULE_LINEAR only its dense layer and `in` */
    ink_norm norm;    /* the norms; PReLU: weight [size] are the slopes; BatchNorm: scale and shift */
    float *affine[2]; /* BatchNorm: its weight and bias or NULL, which are a part of scale and shift */
    ink_activation activation;
} ink_layer;

struct ink_sequential {
    size_t in, n_layers;
    ink_layer *layers; /* [n_layers] */
};

/* ---- recurrent.c ------------------------------------------------------------------------------------------------ */

/* G, the number of gates: the matrices of a cell have G hidden_size rows. 1, 3 or 4. */
size_t ink_cell_gates(ink_cell cell);

/* One direction of one layer. */
typedef struct ink_recurrent_layer {
    ink_matrix w_ih; /* [G hidden_size, in] */
    ink_matrix w_hh; /* [G hidden_size, h_size] */
    ink_matrix w_hr; /* [h_size, hidden_size], of an LSTM with a projection; n 0: none */
    float *b_ih;     /* [G hidden_size] or NULL */
    float *b_hh;     /* [G hidden_size] or NULL */
} ink_recurrent_layer;

struct ink_recurrent {
    ink_cell cell;
    size_t in, hidden_size;
    size_t h_size; /* the size of h: hidden_size, or the size of its projection */
    size_t n_layers, n_directions;
    ink_recurrent_layer *layers; /* [n_layers * n_directions], layer-major */
};

/* The steps of a sequence that run now. */
typedef struct ink_chunk {
    const ink_sequence *sequence;
    size_t done;    /* steps of the sequence before the chunk */
    size_t n_steps; /* steps of the chunk */
    size_t first;   /* the row of its first step in `between` */
} ink_chunk;

typedef struct ink_recurrent_scratch {
    size_t max_rows;   /* of the inputs of one product */
    uint64_t *order;   /* [n_sequences] sort keys */
    ink_chunk *chunks; /* [n_sequences], longest first */
    float *x;          /* [max_rows, max(in, out)] input rows in the order of the steps; one sequence needs none */
    float *gi;         /* [max_rows, G hidden_size] input side, W_ih x + b_ih; and as many zeros as a panel has lanes */
    float *gh;         /* [n_sequences, G hidden_size] recurrent side of one step, W_hh h + b_hh; the same zeros */
    size_t row;        /* floats from one row of the following to the next: whole vecs */
    float *h;          /* [n_sequences, row] h of all sequences */
    float *c;          /* [n_sequences, row] c of all sequences; only for an LSTM */
    float *wide_h;     /* [n_sequences, row] h before its projection; without a projection the same as h */
    float *reset_h;    /* [n_sequences, row] r * h; only for INK_GRU_RESET_BEFORE */
    float *between[2]; /* [rows of all chunks, out] the output of one layer, the input of the next */
} ink_recurrent_scratch;

/* For up to n_sequences sequences with n_steps steps in all. */
void ink_recurrent_alloc_scratch(ink_arena *arena, const ink_recurrent *recurrent, size_t n_sequences, size_t n_steps,
                                 ink_recurrent_scratch *scratch);

/* As ink_recurrent_forward(). */
void ink_recurrent_run(ink_context *ctx, const ink_recurrent *recurrent, const ink_recurrent_scratch *scratch,
                       const ink_sequence *sequences, size_t n_sequences);

/* ---- rope.c ----------------------------------------------------------------------------------------------------- */

/* INK_ERROR_ARGUMENT if a setting is out of range. */
ink_result ink_rope_check(ink_context *ctx, const ink_rope *rope);

/* The angles of the rows of a pass. They are the same for every layer and head, so they are computed once. */
typedef struct ink_angles {
    size_t n;       /* head_dim / 2 */
    float *cosines; /* [rows, n] */
    float *sines;   /* [rows, n] */
} ink_angles;

void ink_angles_alloc(ink_arena *arena, const ink_rope *rope, size_t rows, ink_angles *angles);

/* Sets the angles of rows first .. first + count - 1, which are at the positions from `position` on. `frequencies` [n]
   and `scale` come from the kernel's rope_frequencies(). */
void ink_angles_fill(const ink_kernel *kernel, const float *frequencies, float scale, size_t position, size_t first,
                     size_t count, const ink_angles *angles);

/* Rotates x [n_heads, head_dim] by the angles of a row. */
void ink_angles_rotate(const ink_kernel *kernel, const ink_angles *angles, size_t row, size_t n_heads, float *x);

/* ---- attention.c ------------------------------------------------------------------------------------------------ */

/* The keys and values of one layer of one sequence, in memory that the cache does not own: n_kv_heads packed matrices
   [capacity, head_dim], then as many [head_dim, capacity]; of INK_I8 also their scales. */
struct ink_kv_cache {
    size_t capacity, length;
    size_t n_kv_heads, head_dim;
    ink_type type; /* INK_F32, INK_F16 or INK_I8 */
    unsigned char *keys, *values;
    float *scales; /* [2, n_kv_heads, capacity]: of keys, then of values */
};

/* INK_ERROR_ARGUMENT unless caches can be of this type, or INK_TYPE_NONE, which is INK_F32; INK_ERROR_UNSUPPORTED if
   this build leaves it out. */
ink_result ink_kv_cache_check_type(ink_context *ctx, ink_type type);

/* The bytes of keys and values, SIZE_MAX if they do not fit into memory; and an empty cache over that much memory. */
size_t ink_kv_cache_bytes(const ink_attention *attention, size_t capacity, ink_type type);
ink_kv_cache ink_kv_cache_over(const ink_attention *attention, size_t capacity, ink_type type, void *memory);

/* Views of the keys [capacity, head_dim] and the values [head_dim, capacity] of head j. */
ink_matrix ink_kv_cache_keys(const ink_kv_cache *cache, size_t j);
ink_matrix ink_kv_cache_values(const ink_kv_cache *cache, size_t j);

/* [capacity]: the scales of the keys or values of head j; NULL if the type has none. */
float *ink_kv_cache_scales(const ink_kv_cache *cache, bool of_keys, size_t j);

/* Clears the keys in groups of INK_FILL_ROWS positions: each group that begins at one of the positions from .. to - 1,
   whole. Called before keys are written there, because products also read rows of a panel that hold no key yet. */
void ink_kv_cache_begin_panels(const ink_kv_cache *cache, size_t from, size_t to);

/* Appends n positions, for which there is room; the rows of keys and of values, each [n_kv_heads head_dim], are
   `stride` floats apart. */
void ink_kv_cache_append(const ink_kernel *kernel, ink_kv_cache *cache, const float *keys, const float *values,
                         size_t stride, size_t n);

/* INK_ERROR_ARGUMENT if head counts, head_dim, scale and window do not make an attention (attention.h). */
ink_result ink_attention_check(ink_context *ctx, const ink_attention *attention);

typedef struct ink_attention_scratch {
    float *scores;     /* [n_heads, rows of a query block, positions] */
    size_t n_scores;   /* the most of them */
    float *bias;       /* [n_heads, 2 bias_reach]: in column bias_reach + s - t what is added to the scaled score of
                          query t and key s; set by the caller; NULL: none */
    size_t bias_reach; /* positions */
} ink_attention_scratch;

/* Without a bias. For calls with up to `rows` tokens over caches of up to `capacity` positions. */
void ink_attention_alloc_scratch(ink_arena *arena, const ink_attention *attention, size_t capacity, size_t rows,
                                 ink_attention_scratch *scratch);

/* y [n, n_heads head_dim] from n rows of queries, q_stride floats apart, over the filled positions of the cache. Row t
   is at position before + t; bidirectional attention without a window sees all positions from anywhere. Traces
   "`name`.scores" and "`name`.weights". */
void ink_attention_attend(ink_context *ctx, const ink_attention *attention, const ink_attention_scratch *scratch,
                          const ink_kv_cache *cache, size_t before, const char *name, const float *q, size_t q_stride,
                          size_t n, float *y);

/* Appends n tokens and attends, as ink_attention_forward(). The cache has room for them. */
void ink_attention_run(ink_context *ctx, const ink_attention *attention, const ink_attention_scratch *scratch,
                       ink_kv_cache *cache, const float *qkv, size_t n, float *y);

/* ---- additive.c ------------------------------------------------------------------------------------------------- */

typedef struct ink_additive {
    size_t row_size; /* of the rows of a source */
    ink_dense query; /* W_a [size, query size] */
    ink_dense key;   /* U_a [size, row_size]; or [W_a, U_a] side by side, and `query` is empty (weight.n 0) */
    ink_dense score; /* v [1, size] */
} ink_additive;

/* The rows of a source, in memory that the caller owns. */
typedef struct ink_additive_source {
    size_t capacity, length;
    float *keys;       /* [capacity, size]: U_a k_s */
    ink_matrix values; /* [row_size, capacity]: row s of the source is column s */
} ink_additive_source;

/* A query h [query size] to a source, and the place of its context vector [row_size]. */
typedef struct ink_additive_item {
    const ink_additive_source *source;
    const float *h;
    float *context;
} ink_additive_item;

typedef struct ink_additive_scratch {
    size_t capacity; /* of the sources */
    float *h;        /* [n_queries, query size] */
    float *queries;  /* [n_queries, size]: W_a h */
    float *hidden;   /* [n_queries, rows of a source at a time, size] */
    float *weights;  /* [n_queries, capacity] */
} ink_additive_scratch;

/* Allocates an empty source; sets its n <= capacity rows [n, row_size]. padded [min(n, INK_PASS_ROWS), query size +
   row_size] is scratch; NULL if W_a and U_a are apart. */
void ink_additive_alloc_source(ink_arena *arena, const ink_additive *additive, size_t capacity,
                               ink_additive_source *source);
void ink_additive_set_source(ink_context *ctx, const ink_additive *additive, float *padded, const float *rows, size_t n,
                             ink_additive_source *source);

/* For up to n_queries queries to sources of up to `capacity` rows. */
void ink_additive_alloc_scratch(ink_arena *arena, const ink_additive *additive, size_t n_queries, size_t capacity,
                                ink_additive_scratch *scratch);

/* The context vectors of n queries. Traces "attn.weights" [1, 1, length] for each of them. */
void ink_additive_run(ink_context *ctx, const ink_additive *additive, const ink_additive_scratch *scratch,
                      const ink_additive_item *items, size_t n);

/* ---- transformer.c ---------------------------------------------------------------------------------------------- */

/* The place of the norms of a block: before attention and feed-forward network, or after the residual sums. */
typedef enum ink_norm_place { INK_NORM_BEFORE, INK_NORM_AFTER } ink_norm_place;

/* The most ropes in a stack: for blocks that see far, and for those with a window. */
#define INK_STACK_ROPES 2

typedef struct ink_stack_config {
    size_t n_blocks;
    size_t hidden_size, inner_size;
    ink_attention *attention; /* [n_blocks]; head counts and head_dim are the same in all */
    ink_norm_place norm_place;
    ink_activation gate_activation;  /* of a gated feed-forward network; that of others is a part of block->up */
    bool gated;                      /* W_down (s(W_gate x) * W_up x) */
    ink_rope ropes[INK_STACK_ROPES]; /* of queries and keys; head_dim 0: no rope */
    size_t n_buckets;                /* of the position bias; 0: no position bias; at least 4, at most 256 */
    size_t max_distance;             /* from here on all positions share a bucket; above n_buckets / 2 */
    ink_attention cross;             /* of all blocks, to every row of a source; n_heads 0: none */
    size_t source_size;              /* of the rows of a source */
} ink_stack_config;

/* Every norm may be absent: size 0. */
typedef struct ink_block {
    size_t rope;             /* the one of config.ropes that it uses */
    ink_norm norm_1;         /* [hidden_size] */
    ink_dense qkv;           /* [(n_heads + 2 n_kv_heads) head_dim, hidden_size] */
    ink_norm q_norm, k_norm; /* of each head, [head_dim]; size 0: none */
    ink_dense out;           /* [hidden_size, n_heads head_dim] */
    ink_norm out_norm_1;     /* [hidden_size]: of the output of attention, before it is added */
    ink_norm norm_cross;     /* [hidden_size]; this and the next three: only with cross attention */
    ink_dense cross_q;       /* [n_heads head_dim, hidden_size] */
    ink_dense cross_kv;      /* [2 n_kv_heads head_dim, source_size], of the rows of the source: keys over values */
    ink_dense cross_out;     /* [hidden_size, n_heads head_dim] */
    ink_norm norm_2;         /* [hidden_size] */
    ink_dense up;            /* [inner_size, hidden_size]; gated: [2 inner_size, hidden_size], W_gate over W_up */
    ink_dense down;          /* [hidden_size, inner_size] */
    ink_norm out_norm_2;     /* [hidden_size]: of the output of the feed-forward network */
    ink_embedding own_bias;  /* [n_buckets, n_heads]: a position bias of this block alone; table.n 0: none */
} ink_block;

typedef struct ink_stack {
    ink_stack_config config;
    ink_block *blocks;           /* [n_blocks] */
    ink_embedding position_bias; /* [n_buckets or more, n_heads], of all blocks; table.n 0: none */
    ink_norm norm;               /* after the last block; size 0: none */
} ink_stack;

/* Rows first .. first + count - 1 of a pass: the next tokens of a sequence, or a whole sequence. */
typedef struct ink_span {
    void *kv;         /* the cache of block 0 (ink_kv_cache_over) */
    size_t kv_stride; /* bytes from the cache of one block to the next; 0: all blocks share one */
    size_t capacity;  /* of each cache, in positions */
    ink_type type;    /* of each cache; INK_TYPE_NONE: INK_F32 */
    size_t before;    /* positions that are filled */
    size_t first, count;

    void *cross; /* the source's keys and values, INK_F32, which are only read: the cache of block 0, and so on as above
                  */
    size_t cross_stride, cross_capacity, cross_length;
} ink_span;

typedef struct ink_stack_scratch {
    float *normed;                      /* [rows, hidden_size] */
    float *qkv;                         /* [rows, (n_heads + 2 n_kv_heads) head_dim], or the queries to the source */
    float *attended;                    /* [rows, n_heads head_dim] */
    float *inner;                       /* [rows, inner_size]; gated: [rows, 2 inner_size] */
    ink_angles angles[INK_STACK_ROPES]; /* of the rows, set by ink_stack_fill_angles(); unused without rope */
    float *biases;                      /* [n_heads]: a row of the position bias */
    ink_attention_scratch attention;
} ink_stack_scratch;

/* For passes of up to `rows` rows and caches, also those of sources, of up to `capacity` positions. */
void ink_stack_alloc_scratch(ink_arena *arena, const ink_stack_config *config, size_t capacity, size_t rows,
                             ink_stack_scratch *scratch);

/* The number of frequencies of all ropes of a stack. Sets them, and the scale of each rope, for sequences of at most
   `capacity` positions. */
size_t ink_stack_frequencies(const ink_stack_config *config);
void ink_stack_fill_frequencies(const ink_kernel *kernel, const ink_stack_config *config, size_t capacity,
                                float *frequencies, float scales[INK_STACK_ROPES]);

/* Sets the angles of rows first .. first + count - 1, which are at the positions from `position` on. */
void ink_stack_fill_angles(const ink_kernel *kernel, const ink_stack_config *config, const float *frequencies,
                           const float scales[INK_STACK_ROPES], size_t position, size_t first, size_t count,
                           const ink_stack_scratch *scratch);

/* y [rows, hidden_size] = W_o attention(W_qkv x) of block i. The spans cover all rows. y may be x, which is read first
   and whole. */
void ink_block_attend(ink_context *ctx, const ink_stack *stack, size_t i, const ink_stack_scratch *scratch,
                      const ink_span *spans, size_t n_spans, const float *x, size_t rows, float *y);

/* Runs x [rows, hidden_size] through all blocks, in place. Traces values under `name`.0., `name`.1., ... Neighbouring
   spans of one source are multiplied with its keys and values together. */
void ink_stack_run(ink_context *ctx, const ink_stack *stack, const char *name, const ink_stack_scratch *scratch,
                   const ink_span *spans, size_t n_spans, float *x, size_t rows);

/* Appends rows of sources to their keys and values for all blocks: rows first .. first + count - 1 of s [rows,
   source_size] to those of each span (`cross` and the fields behind it). Traces "cross.kv" under `name`.0., ...
   projected [rows, 2 n_kv_heads head_dim] is scratch. */
void ink_stack_append_sources(ink_context *ctx, const ink_stack *stack, const char *name, float *projected,
                              const ink_span *spans, size_t n_spans, const float *s, size_t rows);

/* PyTorch's modules: the attention of block 0 alone, and a whole encoder or decoder. */
struct ink_mha {
    ink_stack stack;
};

struct ink_transformer {
    ink_stack stack;
};

#endif
