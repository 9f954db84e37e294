/*
 * plan.h - which tensor of a file goes where.
 *
 * An importer walks the weights of a network once and adds a row for each: the tensor by its name and expected shape,
 * and the matrix or vector it becomes. A row that is added was found and checked, and a matrix knows its shape and type
 * from then on. When all rows are there the plan knows the memory they take to the byte; ink_plan_finish() takes it,
 * hands it out, and reads every tensor once, in the order of the file:
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

#define INK_NAME_SIZE 256

/* Files of weights that one plan reads from, at most: the model's, and those of sentence-transformers' modules. */
#define INK_PLAN_FILES 66

typedef struct ink_plan_row {
    struct ink_plan_row *next;
    const ink_weights *file;
    const ink_weight *source; /* NULL: zeros */
    ink_matrix *matrix;       /* rows first .. of this matrix, or columns if the tensor is stored transposed; or */
    float **vector;           /* elements first .. of this vector */
    size_t first, n;
    bool transposed;
    bool begins; /* the first row of its matrix or vector, which has n_total elements */
    size_t n_total;
} ink_plan_row;

/* A BatchNorm1d that becomes part of the Linear layer behind it or in front of it, once the weights are there. */
typedef struct ink_plan_fold {
    struct ink_plan_fold *next;
    ink_dense *dense;
    bool behind; /* the norm stands behind the layer */
    float *scale, *shift;
} ink_plan_fold;

typedef struct ink_plan {
    ink_context *ctx;
    const char *what; /* the object, in messages */
    void *object;
    ink_arena *own;             /* of the object: what lives as long as it does */
    ink_arena work;             /* of the opening: rows, settings */
    const ink_weights *weights; /* where names are looked up now */
    const ink_weights *files[INK_PLAN_FILES];
    size_t n_files;
    ink_weights *owned[INK_PLAN_FILES]; /* freed at the end */
    size_t n_owned;
    ink_type type;        /* of packed matrices: INK_F32, INK_BF16, INK_F16; INK_TYPE_NONE: as stored */
    const char *expected; /* who says what shapes should be, for messages: "config.json"; NULL: another tensor */
    bool *used;           /* [ink_weights_count] of the first file: marked for each tensor of the plan; or NULL */

    ink_plan_row *rows, **last_row;
    size_t n_rows;
    ink_plan_fold *folds, **last_fold;
    ink_arena measure;     /* adds up the memory of matrices and vectors */
    uint64_t n_parameters; /* elements of all tensors */
    uint64_t bytes_total;  /* of the files that will be read */
    uint64_t bytes_read;
    uint64_t fingerprint; /* of all elements read, the same on machines of either byte order */
    ink_progress_fn progress;
    void *progress_user;

    char name[INK_NAME_SIZE]; /* the scope, "transformer.h.3." */
    size_t name_length;       /* INK_NAME_SIZE: the scope is too long, no tensor is found in it */
} ink_plan;

/* Begins an object of `size` bytes of zeros, and an empty plan for it over `weights`. */
ink_result ink_plan_begin(ink_plan *plan, ink_context *ctx, const ink_weights *weights, const char *what, size_t size,
                          void **object);

/* Ends a plan. If `planned` is INK_OK: checks max_bytes (0: no limit), takes the memory of the weights, reads them.
   If anything fails the object is freed; the caller has not handed it out yet. */
ink_result ink_plan_finish(ink_plan *plan, ink_result planned, uint64_t max_bytes);

/* From now on names are looked up in this file, which the plan owns from here on, also after a failure. */
ink_result ink_plan_use(ink_plan *plan, ink_weights *weights);

/* Zeroed structures [n] that live as long as the object, each of which needs a tensor of the file. There are no more of
   them than the file has tensors, and one: a walk that plans each of n ends at a missing tensor before that. NULL if
   there is no memory. */
void *ink_plan_array(ink_plan *plan, size_t n, size_t size);

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* Appends to the scope and returns its former length, for ink_plan_leave(): a format with one size_t ("h.%zu."), or a
   module's name and a dot ("" is the file itself). */
size_t ink_plan_enter(ink_plan *plan, const char *format, size_t i);
size_t ink_plan_enter_module(ink_plan *plan, const char *name);
void ink_plan_leave(ink_plan *plan, size_t length);

/* Whether the file has scope + name; and that tensor, or NULL. */
bool ink_plan_has(const ink_plan *plan, const char *name);
const ink_weight *ink_plan_find(const ink_plan *plan, const char *name);
bool ink_plan_has_in(ink_plan *plan, const char *module, const char *name);

/* The shape of the matrix scope + name as [n, k], whichever way it is stored: INK_ERROR_NOT_FOUND without it,
   INK_ERROR_MISMATCH if it has not two dimensions of at least 1. */
ink_result ink_plan_matrix_shape(ink_plan *plan, const char *name, bool transposed, size_t *n, size_t *k);

/* ---- rows ------------------------------------------------------------------------------------------------------- */

/* A vector [n] as f32; and one that need not be there (*out stays NULL). */
ink_result ink_plan_vector(ink_plan *plan, const char *name, size_t n, float **out);
ink_result ink_plan_optional_vector(ink_plan *plan, const char *name, size_t n, float **out);
ink_result ink_plan_zeros(ink_plan *plan, size_t n, float **out);

/* A matrix [n, k], packed; stored as [n, k], or as [k, n] if `transposed`. */
ink_result ink_plan_matrix(ink_plan *plan, const char *name, size_t n, size_t k, bool transposed, ink_matrix *out);

/* What a module's bias must be. */
typedef enum ink_bias_rule {
    INK_BIAS_IF_THERE,
    INK_BIAS_REQUIRED, /* a file without it is not whole */
    INK_BIAS_REFUSED   /* no setting asks for it: it would be left out silently */
} ink_bias_rule;
ink_result ink_plan_check_bias(ink_plan *plan, const char *module, ink_bias_rule rule);

/* Layers, by the name of their module; out, in, vocab_size, size 0: whatever the file has. */
ink_result ink_plan_dense(ink_plan *plan, const char *module, size_t out, size_t in, ink_bias_rule bias,
                          ink_activation activation, ink_dense *dense);
ink_result ink_plan_dense_transposed(ink_plan *plan, const char *module, size_t out, size_t in, ink_bias_rule bias,
                                     ink_activation activation, ink_dense *dense);
ink_result ink_plan_embedding(ink_plan *plan, const char *module, size_t vocab_size, size_t size,
                              ink_embedding *embedding);
ink_result ink_plan_norm(ink_plan *plan, const char *module, ink_norm_kind kind, size_t size, float eps,
                         ink_bias_rule bias, ink_norm *norm);

/* Several Linear layers of one input as one, their outputs one after the other (queries, keys, values). They may have
   biases or none; the missing ones are zero. At most four. */
typedef struct ink_plan_part {
    const char *module;
    size_t out;
    const char *weight; /* a tensor without a bias of its own (nn.MultiheadAttention); NULL: weight, and perhaps bias */
} ink_plan_part;
ink_result ink_plan_dense_parts(ink_plan *plan, const ink_plan_part *parts, size_t n_parts, size_t in,
                                ink_dense *dense);

/* nn.BatchNorm1d of `size` elements, the one of the scope, folded into a dense layer beside it: F32, with a bias. */
ink_result ink_plan_batch_norm(ink_plan *plan, size_t size, bool behind, ink_dense *dense);

/* The recurrent layers and directions of a module; in, hidden_size, n_layers 0: whatever the file has. */
ink_result ink_plan_recurrent(ink_plan *plan, const char *module, ink_cell cell, size_t in, size_t hidden_size,
                              size_t n_layers, ink_recurrent *recurrent);

#endif
