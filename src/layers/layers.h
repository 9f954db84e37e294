/*
 * layers.h - the layers, the inside: their structures, how a loader reads them, and how they run without checks.
 *
 * X_read takes parameters through a loader (two runs, see loader.h). X_run computes; arguments were checked at the
 * API's edge and scratch was taken before, so it cannot fail. X_scratch takes from an arena, measuring or real, what a
 * run needs.
 */
#ifndef INK_LAYERS_LAYERS_H
#define INK_LAYERS_LAYERS_H

#include <inkling/attention.h>
#include <inkling/dense.h>
#include <inkling/embedding.h>
#include <inkling/norm.h>
#include <inkling/recurrent.h>
#include <inkling/rope.h>
#include <inkling/transformer.h>

#include "../import/loader.h"

/* [rows, columns] floats from an arena; a size that overflows fails the arena. */
static inline float *ink_alloc_rows(ink_arena *arena, size_t rows, size_t columns)
{
    size_t count = SIZE_MAX;
    ink_size_mul(rows, columns, &count);
    return ink_arena_alloc(arena, count, sizeof(float));
}

/* Runs fn(job, 0 .. n_tasks - 1), on the workers of the context only where that gains: `work` counts operations on
   floats, and about 20 us of them pay for waking a worker. */
static inline void ink_parallel_for(ink_context *ctx, ink_task_fn fn, void *job, size_t n_tasks, size_t work)
{
    ink_workers_run(work < (size_t)1 << 20 ? NULL : ctx->workers, fn, job, n_tasks);
}

/* ---- dense.c, batch_norm.c, mlp.c ----------------------------------------------------------------------------- */

/* INK_ERROR_ARGUMENT, in the name of `function`, for a number that is no activation. */
ink_result ink_activation_check(ink_context *ctx, const char *function, ink_activation activation);

struct ink_dense {
    ink_matrix weight; /* [out, in] */
    float *bias;       /* [out] or NULL */
    ink_activation activation;
};

/* `out`, `in` 0: whatever the file has. */
ink_result ink_dense_read(ink_loader *loader, const char *name, size_t out, size_t in, bool transposed,
                          ink_activation activation, ink_dense *dense);
void ink_dense_run(ink_context *ctx, const ink_dense *dense, const float *x, size_t n, float *y);

/* nn.BatchNorm1d, in its scope: whether it is one; its scale and shift of `size` elements, in scratch memory, filled
   up with zeros to whole panels; and what becomes of the layer it stands behind, or in front of, which must be F32 and
   have a bias. */
typedef struct ink_batch_norm {
    float *scale, *shift;
} ink_batch_norm;
bool ink_batch_norm_is(const ink_loader *loader);
ink_result ink_batch_norm_read(ink_loader *loader, size_t size, ink_batch_norm *norm);
void ink_batch_norm_fold_behind(const ink_kernel *kernel, const ink_batch_norm *norm, ink_dense *dense);
void ink_batch_norm_fold_front(const ink_kernel *kernel, const ink_batch_norm *norm, ink_dense *dense);

/* Several Linear layers of one input as one: y holds their outputs one after the other (queries, keys, values). Where
   some have a bias and others do not, it is zero for those. */
typedef struct ink_dense_part {
    const char *name;
    size_t out;
} ink_dense_part;
ink_result ink_dense_read_parts(ink_loader *loader, const ink_dense_part *parts, size_t n_parts, size_t in,
                                ink_dense *dense);

/* Rows of x that lie x_stride floats apart. */
void ink_dense_run_strided(ink_context *ctx, const ink_dense *dense, const float *x, size_t x_stride, size_t n,
                           float *y);

struct ink_mlp {
    size_t n_layers;
    ink_dense *layers; /* [n_layers] */
    size_t widest;     /* the largest output of a layer but the last */
};

/* Every Linear of the nn.Sequential `name`; in 0: whatever the file has. */
ink_result ink_mlp_read(ink_loader *loader, const char *name, size_t in, ink_activation hidden, ink_activation output,
                        ink_mlp *mlp);

/* Two buffers of [rows, widest] for a run of up to `rows` rows. */
typedef struct ink_mlp_scratch {
    float *a, *b;
} ink_mlp_scratch;
void ink_mlp_alloc_scratch(ink_arena *arena, const ink_mlp *mlp, size_t rows, ink_mlp_scratch *scratch);
void ink_mlp_run(ink_context *ctx, const ink_mlp *mlp, const ink_mlp_scratch *scratch, const float *x, size_t n,
                 float *y);

/* ---- embedding.c ---------------------------------------------------------------------------------------------- */

struct ink_embedding {
    ink_matrix table; /* [vocab_size, size] */
};

ink_result ink_embedding_read(ink_loader *loader, const char *name, size_t vocab_size, size_t size,
                              ink_embedding *embedding);
void ink_embedding_run(const ink_embedding *embedding, const ink_token *tokens, size_t n, float *y);

/* ---- norm.c --------------------------------------------------------------------------------------------------- */

struct ink_norm {
    ink_norm_kind kind;
    size_t size;
    float eps;
    float *weight; /* [size] */
    float *bias;   /* [size] or NULL */
};

/* size 0: whatever the file has. */
ink_result ink_norm_read(ink_loader *loader, const char *name, ink_norm_kind kind, size_t size, float eps,
                         ink_norm *norm);

/* The same rows, on this thread. */
void ink_norm_rows(const ink_kernel *kernel, const ink_norm *norm, const float *x, size_t n, float *y);
void ink_norm_run(ink_context *ctx, const ink_norm *norm, const float *x, size_t n, float *y);

/* ---- recurrent_load.c, recurrent.c ---------------------------------------------------------------------------- */

/* Blocks of h rows in the matrices of a cell: 1, 3 or 4. */
size_t ink_cell_gates(ink_cell cell);

/* One direction of one layer. */
typedef struct ink_recurrent_layer {
    ink_matrix w_ih; /* [G h, in] */
    ink_matrix w_hh; /* [G h, h_size] */
    ink_matrix w_hr; /* [h_size, h], of a projected LSTM; n 0: none */
    float *b_ih;     /* [G h] or NULL */
    float *b_hh;     /* [G h] or NULL */
} ink_recurrent_layer;

struct ink_recurrent {
    ink_cell cell;
    size_t in, hidden_size;
    size_t h_size; /* of the h that a step hands on: hidden_size, or what it is projected to */
    size_t n_layers, n_directions;
    ink_recurrent_layer *layers; /* [n_layers * n_directions], layer-major */
};

/* Layers and directions are found from the names; in, hidden_size, n_layers 0: whatever the file has. */
ink_result ink_recurrent_read(ink_loader *loader, const char *name, ink_cell cell, size_t in, size_t hidden_size,
                              size_t n_layers, ink_recurrent *recurrent);

/* One sequence while a piece of it runs. */
typedef struct ink_track {
    const ink_sequence *sequence;
    size_t done;    /* steps before the piece */
    size_t n_steps; /* steps of the piece */
    size_t first;   /* row of its first step in `between` */
} ink_track;

typedef struct ink_recurrent_scratch {
    size_t max_rows;   /* input rows of one product */
    uint64_t *order;   /* [n_sequences], while they are sorted */
    ink_track *tracks; /* [n_sequences], longest first */
    float *x;          /* [max_rows, max(in, out)] input rows in the order of the steps */
    float *gi;         /* [max_rows, G h] input side */
    float *gh;         /* [n_sequences, G h] recurrent side of one step */
    float *h;          /* [n_sequences, h_size] states of the sequences, gathered */
    float *c;          /* [n_sequences, h] the same, of an LSTM */
    float *wide_h;     /* [n_sequences, h] h before its projection; without one it is h itself */
    float *between[2]; /* [rows of a piece, out] what one layer hands to the next */
} ink_recurrent_scratch;

/* For up to n_sequences sequences of n_steps steps in all. */
void ink_recurrent_alloc_scratch(ink_arena *arena, const ink_recurrent *recurrent, size_t n_sequences, size_t n_steps,
                                 ink_recurrent_scratch *scratch);

/* As ink_recurrent_forward(). */
void ink_recurrent_run(ink_context *ctx, const ink_recurrent *recurrent, const ink_recurrent_scratch *scratch,
                       const ink_sequence *sequences, size_t n_sequences);

/* ---- rope.c --------------------------------------------------------------------------------------------------- */

/* INK_ERROR_ARGUMENT with a sentence if a setting is out of range. */
ink_result ink_rope_check(ink_context *ctx, const ink_rope *rope);

/* The frequencies of one sequence. */
typedef struct ink_frequencies {
    size_t n;    /* head_dim / 2 */
    float *w;    /* [n] */
    float scale; /* of cos and sin */
} ink_frequencies;

void ink_frequencies_alloc(ink_arena *arena, const ink_rope *rope, ink_frequencies *frequencies);
void ink_frequencies_fill(const ink_kernel *kernel, const ink_rope *rope, size_t capacity,
                          ink_frequencies *frequencies);

/* The angles of the rows of a pass. */
typedef struct ink_angles {
    size_t n;       /* head_dim / 2 */
    float *cosines; /* [rows, n] */
    float *sines;   /* [rows, n] */
} ink_angles;

void ink_angles_alloc(ink_arena *arena, const ink_rope *rope, size_t rows, ink_angles *angles);

/* Rows first .. first + count - 1 are the positions from `position` on. */
void ink_angles_fill(const ink_kernel *kernel, const ink_frequencies *frequencies, size_t position, size_t first,
                     size_t count, const ink_angles *angles);

/* Turns n_heads heads, one after the other at x, by the angles of a row. */
void ink_angles_rotate(const ink_kernel *kernel, const ink_angles *angles, size_t row, size_t n_heads, float *x);

/* ---- attention.c ---------------------------------------------------------------------------------------------- */

/* Keys and values of one layer of one sequence; head j of the keys is [positions, head_dim], of the values
   [head_dim, positions], both packed with room for `capacity` positions. */
struct ink_kv_cache {
    size_t capacity, length;
    size_t n_kv_heads, head_dim;
    ink_matrix *keys;   /* [n_kv_heads] */
    ink_matrix *values; /* [n_kv_heads] */
};

/* Takes the cache's memory from an arena, and makes it empty if the arena is real. */
void ink_kv_cache_alloc(ink_arena *arena, const ink_attention *attention, size_t capacity, ink_kv_cache *cache);

typedef struct ink_attention_scratch {
    float *scores; /* [n_heads, rows of a group, positions], at most n_scores */
    size_t n_scores;
} ink_attention_scratch;

/* INK_ERROR_ARGUMENT with a sentence if the head counts, the size or the scale are impossible. */
ink_result ink_attention_check(ink_context *ctx, const ink_attention *attention);

/* For calls with up to `rows` tokens of caches with up to `capacity` positions. */
void ink_attention_alloc_scratch(ink_arena *arena, const ink_attention *attention, size_t capacity, size_t rows,
                                 ink_attention_scratch *scratch);

/* Appends and attends, as ink_attention_forward(); the cache has room. */
void ink_attention_run(ink_context *ctx, const ink_attention *attention, const ink_attention_scratch *scratch,
                       ink_kv_cache *cache, const float *qkv, size_t n, float *y);

/* ---- block.c -------------------------------------------------------------------------------------------------- */

/* A Transformer block; the formulae are in block.c. {0} and what is read into it: a block with the norms in front. */
typedef struct ink_block {
    bool post_norm; /* norms behind the sums */
    ink_norm norm_1;
    ink_dense qkv;   /* [(n_heads + 2 n_kv_heads) head_dim, hidden] */
    ink_norm q_norm; /* of each head [head_dim]; size 0: none */
    ink_norm k_norm;
    ink_attention attention;
    ink_dense out; /* [hidden, n_heads head_dim] */
    ink_norm norm_2;
    ink_dense up; /* [intermediate, hidden], with the activation; gated: [2 intermediate, hidden], W_gate over
                     W_up, without one */
    bool gated;
    ink_activation gate; /* of W_gate x */
    ink_dense down;      /* [hidden, intermediate] */
} ink_block;

/* Rows first .. first + count - 1 of x are the next tokens of the sequence with this cache; or a whole sequence, as
   they must be where attention is bidirectional. The cache is then only room to work in, which all may share. */
typedef struct ink_span {
    ink_kv_cache *cache;
    size_t first, count;
} ink_span;

/* Spans for whole sequences, one after the other: the first of lengths [n], as many as max_rows rows hold. Returns how
   many that are, and their rows. */
size_t ink_spans_fill(const size_t *lengths, size_t n, size_t max_rows, ink_kv_cache *cache, ink_span *spans,
                      size_t *rows);

typedef struct ink_block_scratch {
    float *normed;            /* [rows, hidden] */
    float *qkv;               /* [rows, (n_heads + 2 n_kv_heads) head_dim] */
    float *attended;          /* [rows, n_heads head_dim] */
    float *inner;             /* [rows, intermediate] */
    const ink_angles *angles; /* of the rows, set by the caller before a run; NULL: nothing is turned */
    bool whole;               /* set by the caller: spans are whole sequences; else false */
    ink_attention_scratch attention;
} ink_block_scratch;
void ink_block_alloc_scratch(ink_arena *arena, const ink_block *block, size_t capacity, size_t rows,
                             ink_block_scratch *scratch);

/* y [rows, hidden] = W_o attention(W_qkv x), of a block that need have nothing else. */
void ink_block_attend(ink_context *ctx, const ink_block *block, const ink_block_scratch *scratch, const ink_span *spans,
                      size_t n_spans, const float *x, size_t rows, float *y);

/* x [rows, hidden] in place; the spans cover all rows. */
void ink_block_run(ink_context *ctx, const ink_block *block, const ink_block_scratch *scratch, const ink_span *spans,
                   size_t n_spans, float *x, size_t rows);

#endif
