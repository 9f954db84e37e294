/*
 * plan.h - the list of all tensors of a model, with source and destination.
 *
 * An importer walks the weights of a network once and adds a row for each: the tensor with its name and expected shape,
 * and the matrix or vector it becomes. Adding a row finds and checks the tensor; from then on the matrix has its shape
 * and type. When all rows are added, the plan knows the exact size of the weights. ink_plan_finish() allocates their
 * memory and reads every tensor once, in the order of the file. Matrices and vectors with the same contents, because
 * their tensors are aliases of the same, share memory:
 *
 *     ink_plan plan;
 *     ink_dense *made;
 *     INK_TRY(ink_plan_begin(&plan, ctx, weights, "the dense layer", sizeof *made, (void **)&made));
 *     ink_result planned = ink_plan_dense(&plan, "net.0", 0, 0, INK_BIAS_IF_THERE, INK_RELU, made);
 *     return ink_plan_finish(&plan, planned, 0);
 */
#ifndef INK_IMPORT_PLAN_H
#define INK_IMPORT_PLAN_H

#include <inkling/weights.h>

#include "../layers/layers.h"
#include "quantised.h"

#define INK_NAME_SIZE 256

/* The most files of weights in a plan: the model's, and those of the modules of sentence-transformers. */
#define INK_PLAN_FILES 66

/* Computes a row of a matrix that no file holds: values [k]. There is room [k] for what comes in between. */
typedef void (*ink_plan_compute_fn)(const ink_kernel *kernel, const void *settings, size_t row, float *room,
                                    float *values);

typedef struct ink_plan_row {
    struct ink_plan_row *next, *same; /* same: a row with the same bytes for another object, which share their memory */
    const ink_weights *file;
    const ink_weight *source; /* NULL: zeros, or computed */
    const ink_coded *coded;   /* whose `weight` is the source: its rows are decoded; NULL: they are in the file */
    ink_plan_compute_fn compute;
    const void *settings; /* of compute; those of another matrix are others */
    ink_matrix *matrix;   /* the destination: rows of this matrix from `first` on, or all of it if transposed; or */
    float **vector;       /* n elements of this vector from `first` on */
    size_t first, n;
    size_t from, count; /* only rows (of a vector: elements) from .. from + count - 1 of the tensor; count 0: all */
    bool transposed;
    size_t pairs, n_paired; /* the first n_paired rows (elements) are heads of `pairs` rows, those that rope rotates
                               together side by side: row 2m of a head becomes row m, row 2m + 1 row m + pairs / 2 */
    size_t taps;  /* of a convolution: a row [in, taps], or a vector [out, taps], is transposed; 0: no convolution */
    bool begins;  /* the first row of its matrix, or of its vector, which has n_total elements */
    bool alone;   /* folding or the offset changes the values, so nothing shares them */
    float offset; /* added to the elements of a vector */
    size_t n_total;
    uint64_t hash; /* of the elements read and the type they are held as */
} ink_plan_row;

/* A change of a matrix once the weights are read: a BatchNorm1d is folded into the Linear layer before or after it, or
   a weight gets the norm that torch.nn.utils stores apart from it. */
typedef enum ink_plan_fold_kind {
    INK_FOLD_NORM_BEHIND, /* values: mean, variance, and weight and bias or NULL; each [size] */
    INK_FOLD_NORM_IN_FRONT,
    INK_FOLD_WEIGHT_NORM,  /* rows first .. first + n - 1; values: g [n] */
    INK_FOLD_SPECTRAL_NORM /* values: u [n], v [k] */
} ink_plan_fold_kind;

typedef struct ink_plan_fold {
    struct ink_plan_fold *next;
    ink_plan_fold_kind kind;
    ink_dense *dense; /* of a BatchNorm1d */
    size_t size;
    const ink_weight *source; /* of a weight */
    ink_matrix *matrix;
    size_t first, n;
    float *values[4]; /* in the plan's work arena */
} ink_plan_fold;

/* What a matrix is for, as far as its type depends on it. */
typedef enum ink_matrix_use {
    INK_USE_PRODUCT = 0,
    INK_USE_WORDS,     /* an embedding of words, or a head over words */
    INK_USE_RECURRENT, /* multiplied with what it made in the step before */
    INK_USE_LOOK_UP    /* its rows are only looked up */
} ink_matrix_use;

#define INK_PLAN_PARTS 4 /* the most tensors that become one matrix */

/* What a file calls a module. '#' stands for the number of a block. */
typedef struct ink_plan_name {
    const char *module, *stored;
} ink_plan_name;

typedef struct ink_plan {
    ink_context *ctx;
    const char *what; /* the object, in messages */
    void *object;
    ink_arena *own;             /* memory that lives as long as the object */
    ink_arena work;             /* memory that lives as long as the plan */
    const ink_weights *weights; /* the file in which names are looked up now */
    const ink_weights *files[INK_PLAN_FILES];
    size_t n_files;
    const ink_plan_name *names;         /* all modules of a file with names of its own, up to a NULL; or NULL */
    ink_weights *owned[INK_PLAN_FILES]; /* freed at the end */
    size_t n_owned;
    ink_coded_list coded; /* weights of the first file that are decoded */
    ink_type type;        /* of packed matrices, as a caller asks for it; INK_TYPE_NONE: as stored */
    bool quantises;       /* matrices may be quantised: the object's calls reserve scratch for their products */
    ink_matrix_use use;   /* of the matrices that are added now */
    size_t product_row;   /* bytes of a row of x for the widest quantised matrix; 0: none */
    const char *expected; /* the origin of the expected shapes, for messages: "config.json"; NULL: another tensor */
    bool *used;           /* [ink_weights_count]: the tensors of the first file that the plan uses, by whichever of
                             their names; or NULL */
    bool pointwise;       /* a convolution with kernel size 1, [n, k, 1], is a matrix [n, k] */
    bool folds_next;      /* set while rows are added whose values will be folded */
    float norm_offset;    /* added to the weights of norms */

    ink_plan_row *rows, **last_row;
    size_t n_rows;
    ink_plan_fold *folds, **last_fold;
    ink_plan_fold *waiting[INK_PLAN_PARTS]; /* for the row of their matrix */
    size_t n_waiting;
    uint64_t n_parameters; /* elements of all tensors; with `used`, those of a tensor with several names count once */
    uint64_t bytes_total;  /* to read */
    uint64_t bytes_read;
    uint64_t fingerprint; /* of all rows in the order of the plan; the same in either byte order */
    ink_progress_fn progress;
    void *progress_user;

    char name[INK_NAME_SIZE]; /* the scope, "transformer.h.3." */
    size_t name_length;       /* INK_NAME_SIZE: the scope is too long, and no tensor is found in it */
} ink_plan;

/* Creates an object of `size` zero bytes, and an empty plan for it that reads from `weights`. */
ink_result ink_plan_begin(ink_plan *plan, ink_context *ctx, const ink_weights *weights, const char *what, size_t size,
                          void **object);

/* Ends a plan. If `planned` is INK_OK, checks max_bytes (0: no limit), allocates the weights and reads them. Frees the
   object if `planned` or anything here is a failure, so the caller must not have passed it on yet. */
ink_result ink_plan_finish(ink_plan *plan, ink_result planned, uint64_t max_bytes);

/* Ends a plan that is not carried out, and frees the object. Returns `result`. */
ink_result ink_plan_drop(ink_plan *plan, ink_result result);

/* Looks names up in this file from now on. The plan owns the file, also after a failure. */
ink_result ink_plan_use(ink_plan *plan, ink_weights *weights);

/* Allocates n zeroed structs that live as long as the object. Each must need a tensor of its own. A file with fewer
   tensors gets one struct more than it has tensors, so a wrong n does not allocate much, and planning ends at a missing
   tensor before the last one. NULL if there is no memory. */
void *ink_plan_array(ink_plan *plan, size_t n, size_t size);

/* Allocates the n blocks of a stack in the same way, each with this attention; config.n_blocks may be less than n. */
ink_result ink_plan_stack(ink_plan *plan, size_t n, const ink_attention *attention, ink_stack *stack);

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* Append to the scope a list and a number ("h" and 3: "h.3."; "" and 3: "3."), or the name of a module and a dot
   (nothing for ""). Return the former length of the scope, for ink_plan_leave(). */
size_t ink_plan_enter(ink_plan *plan, const char *name, size_t i);
size_t ink_plan_enter_module(ink_plan *plan, const char *name);
void ink_plan_leave(ink_plan *plan, size_t length);

/*
 * Whether the file has scope + name; that tensor, or NULL; whether it has scope + module + "." + name.
 *
 * torch.nn.utils stores other tensors instead of a weight: weight_g and weight_v for weight_norm, weight_orig, weight_u
 * and weight_v for spectral_norm, and the newer forms of both under "parametrizations". The file then counts as having
 * the weight: the tensor is the one with its shape, and adding a row for a matrix plans the norm, too. Other forms
 * (pruning, LoRA, other parametrizations) count as there and are refused by name when a row is added.
 */
bool ink_plan_has(const ink_plan *plan, const char *name);
const ink_weight *ink_plan_find(const ink_plan *plan, const char *name);
bool ink_plan_has_in(ink_plan *plan, const char *module, const char *name);

/* Whether `name`, relative to a module, is this parameter of it, or one of the tensors that are stored instead. */
bool ink_plan_is_parameter(const char *name, const char *parameter);

/* The shape [n, k] of the matrix scope + name, which is stored as [k, n] if `transposed`. INK_ERROR_NOT_FOUND if it is
   missing, INK_ERROR_MISMATCH unless it has two dimensions of at least 1. */
ink_result ink_plan_matrix_shape(ink_plan *plan, const char *name, bool transposed, size_t *n, size_t *k);

/* scope + name as the file spells it, for messages, in `full` [INK_NAME_SIZE]. */
const char *ink_plan_full_name(const ink_plan *plan, const char *name, char *full);

/* ---- rows ------------------------------------------------------------------------------------------------------- */

/* A vector [n] as f32; one that may be missing (*out stays NULL); and one of zeros. */
ink_result ink_plan_vector(ink_plan *plan, const char *name, size_t n, float **out);
ink_result ink_plan_optional_vector(ink_plan *plan, const char *name, size_t n, float **out);
ink_result ink_plan_zeros(ink_plan *plan, size_t n, float **out);

/*
 * The one place that decides the type of a matrix [n, k] whose tensors are stored as `stored`. F32, BF16 and F16 are
 * whatever was asked for, or as stored. Quantised are, as asked for or as stored, the weights of products with at least
 * 16 outputs and 32 inputs; in detail:
 *
 *   Q4_0 is asked for    the embedding of words and a head over words become Q8_0: every token meets them, and rare
 *                        words have few bits to lose. Recurrent weights, too: they meet their own errors at every step
 *   not quantised        tables that are only looked up, weights that a fold changes, and everything that is loaded by
 *                        itself and not as a model. They are F32; or as stored, if that is BF16 or F16
 */
ink_result ink_plan_type(ink_plan *plan, ink_type stored, size_t n, size_t k, ink_type *type);

/* A packed matrix [n, k], which is stored as [n, k], or as [k, n] if `transposed`. */
ink_result ink_plan_matrix(ink_plan *plan, const char *name, size_t n, size_t k, bool transposed, ink_matrix *out);

/* A packed matrix [n, k] of F32 that is computed from settings, which must live as long as the plan. */
ink_result ink_plan_computed(ink_plan *plan, size_t n, size_t k, ink_plan_compute_fn compute, const void *settings,
                             ink_matrix *out);

/* Rows first .. first + n - 1 of a matrix that is stored as [total, k]; the same elements of a vector [total], which
   may be missing. */
ink_result ink_plan_matrix_rows(ink_plan *plan, const char *name, size_t total, size_t k, size_t first, size_t n,
                                ink_matrix *out);
ink_result ink_plan_optional_vector_part(ink_plan *plan, const char *name, size_t total, size_t first, size_t n,
                                         float **out);

/* The rows of a row's tensor, as long as those of its matrix, or its elements for a vector; not always the first
   dimension, since GGUF may leave it out if it is 1. */
size_t ink_plan_source_rows(const ink_plan_row *row);

/* The bytes of its file that a row reads. */
uint64_t ink_plan_row_bytes(const ink_plan_row *row);

/* A vector of ids from 0 to end - 1 (I64 or I32), which is read at once and lives as long as the object. Without such a
   tensor *ids and *n stay. */
ink_result ink_plan_ids(ink_plan *plan, const char *name, size_t end, const ink_token **ids, size_t *n);

/* ---- layers (plan_layers.c) ------------------------------------------------------------------------------------- */

/* Whether a module has a bias. */
typedef enum ink_bias_rule {
    INK_BIAS_IF_THERE,
    INK_BIAS_REQUIRED, /* a file without it is incomplete */
    INK_BIAS_REFUSED   /* the settings say there is none, so it would be ignored silently */
} ink_bias_rule;
ink_result ink_plan_check_bias(ink_plan *plan, const char *module, ink_bias_rule rule);

/* Layers by the name of their module. out, in, vocab_size, size 0: as in the file. */
ink_result ink_plan_dense(ink_plan *plan, const char *module, size_t out, size_t in, ink_bias_rule bias,
                          ink_activation activation, ink_dense *dense);
ink_result ink_plan_dense_transposed(ink_plan *plan, const char *module, size_t out, size_t in, ink_bias_rule bias,
                                     ink_activation activation, ink_dense *dense);
ink_result ink_plan_embedding(ink_plan *plan, const char *module, size_t vocab_size, size_t size,
                              ink_embedding *embedding);
ink_result ink_plan_table(ink_plan *plan, const char *module, size_t n, size_t size,
                          ink_embedding *table); /* of positions, types, ... */
ink_result ink_plan_norm(ink_plan *plan, const char *module, ink_norm_kind kind, size_t size, float eps,
                         ink_bias_rule bias, ink_norm *norm);

/* nn.Conv1d: weight [out, in / groups, kernel_size]. in 0: as in the file. `options` may be NULL. */
ink_result ink_plan_conv1d(ink_plan *plan, const char *module, size_t in, const ink_conv1d_options *options,
                           ink_conv1d *conv);

/* Up to four Linear layers with the same input as one layer, their outputs one after the other (queries, keys, values).
   If only some have a bias, the others get zeros. */
typedef struct ink_plan_part {
    const char *module;
    size_t out;
    const char *weight; /* the name of a weight without bias (nn.MultiheadAttention); NULL: weight, and perhaps bias */
    size_t pairs, n_paired; /* as in ink_plan_row */
} ink_plan_part;
ink_result ink_plan_dense_parts(ink_plan *plan, const ink_plan_part *parts, size_t n_parts, size_t in,
                                ink_dense *dense);

/* Folds the nn.BatchNorm1d of the scope, with `size` elements, into a dense layer next to it, which must be F32 and
   have a bias. */
ink_result ink_plan_batch_norm(ink_plan *plan, size_t size, bool behind, ink_dense *dense);

/* The recurrent layers and directions of a module. in, hidden_size, n_layers 0: as in the file. */
ink_result ink_plan_recurrent(ink_plan *plan, const char *module, ink_cell cell, size_t in, size_t hidden_size,
                              size_t n_layers, ink_recurrent *recurrent);

/* ---- what both files of the plan share -------------------------------------------------------------------------- */

#define INK_PLAN_PARAMETRIZATIONS "parametrizations."

/* Finds the tensor scope + name, checks its shape and type, and counts it as used. If it is stored in another form,
   plans the fold, which waits for the row of its matrix. */
ink_result ink_plan_look_up(ink_plan *plan, const char *name, const ink_shape *shape, const ink_weight **out);

/* Adds a row, or a fold; and a row for value i [n] of a fold. */
ink_result ink_plan_add_row(ink_plan *plan, ink_plan_row row);
ink_result ink_plan_add_fold(ink_plan *plan, ink_plan_fold fold, ink_plan_fold **added);
ink_result ink_plan_add_fold_row(ink_plan *plan, ink_plan_fold *fold, size_t i, const ink_weight *weight, size_t n,
                                 size_t taps);

/* The errors for a tensor that is not there, and for memory that ends. */
ink_result ink_plan_fail_missing(const ink_plan *plan, const char *name);
ink_result ink_plan_no_memory(ink_plan *plan);

#endif
