/*
 * loader.h - from named tensors to packed layers, in two runs over the same code.
 *
 * A layer is read by one function that asks the loader for its parameters by name and shape. On the first run the
 * loader's arena is measuring: every tensor is looked up and checked, sizes are added up, nothing is read. On the
 * second run the arena is the object's own memory and the tensors are read straight into their packed places. So
 * everything is validated before any memory is taken, and the size reported is the size used.
 *
 *     static ink_result read_head(ink_loader *loader, head *h)
 *     {
 *         INK_TRY(ink_dense_read(loader, "pooler.dense", shape, INK_TANH, &h->pooler));
 *         return ink_norm_read(loader, "norm", size, eps, &h->norm);
 *     }
 *
 * On the first run structures in arrays that come from the arena do not exist yet; read them into a spare one.
 */
#ifndef INK_LAYERS_LOADER_H
#define INK_LAYERS_LOADER_H

#include <inkling/source.h>
#include <inkling/weights.h>

#include "../base/internal.h"
#include "../tensor/packed.h"

#define INK_NAME_SIZE 256

/* Tensors that are packed into one matrix, at most. */
#define INK_MAX_PARTS 4

typedef struct ink_loader {
    ink_context *ctx;
    const ink_weights *weights;
    ink_arena *arena;
    ink_type type;         /* of packed matrices: INK_F32, INK_BF16, INK_F16, INK_TYPE_NONE as stored */
    const char *expected;  /* who says what shapes should be, for messages: "config.json"; NULL: another tensor */
    bool *used;            /* [ink_weights_count]: marked for each tensor that was asked for; or NULL */
    uint64_t n_parameters; /* elements asked for so far */
    uint64_t fingerprint;  /* second run: of all elements read so far, the same on machines of either byte order */
    uint64_t bytes_read;   /* so far; on the first run: bytes that will be read (progress_total of the second) */
    ink_progress_fn progress;
    void *progress_user;
    uint64_t progress_total;
    char name[INK_NAME_SIZE]; /* the scope, "transformer.h.3." */
    size_t name_length;
} ink_loader;

/* A loader over `weights` that takes memory from `arena`, outside of any scope; all options as stored, none set. */
void ink_loader_begin(ink_loader *loader, ink_context *ctx, const ink_weights *weights, ink_arena *arena);

/* Appends to the scope and returns its former length, to be handed to ink_loader_leave(). Format as ink_format with one
   size_t ("h.%zu."); a module is a name as it stands, and a dot ("" is the file itself). A scope that gets too long for
   INK_NAME_SIZE is allowed; no tensor is found in it. */
size_t ink_loader_enter(ink_loader *loader, const char *format, size_t i);
size_t ink_loader_enter_module(ink_loader *loader, const char *name);
void ink_loader_leave(ink_loader *loader, size_t length);

/* True if the file has scope + name. */
bool ink_loader_has(const ink_loader *loader, const char *name);

/* The tensor scope + name, or NULL. Does not mark it as used. */
const ink_weight *ink_loader_find(const ink_loader *loader, const char *name);

/* The shape of the matrix scope + name as [n, k], whichever way it is stored: INK_ERROR_NOT_FOUND without it,
   INK_ERROR_MISMATCH if it has not two dimensions of at least 1. */
ink_result ink_loader_matrix_shape(ink_loader *loader, const char *name, bool transposed, size_t *n, size_t *k);

/* The same for a vector [n]. */
ink_result ink_loader_vector_size(ink_loader *loader, const char *name, size_t *n);

/* A vector [n] as f32. _optional: *out = NULL if the file does not have it. */
ink_result ink_loader_vector(ink_loader *loader, const char *name, size_t n, float **out);
ink_result ink_loader_optional_vector(ink_loader *loader, const char *name, size_t n, float **out);

/* A matrix [n, k], packed; stored as [n, k], or as [k, n] if `transposed`. */
ink_result ink_loader_matrix(ink_loader *loader, const char *name, size_t n, size_t k, bool transposed,
                             ink_matrix *out);

/* Tensors stacked by rows into one matrix, or one vector: scope + module + "." + tensor, of n rows. At most
   INK_MAX_PARTS. _optional: a part that the file does not have is zero; *out = NULL if it has none of them. */
typedef struct ink_loader_part {
    const char *module, *tensor;
    size_t n;
} ink_loader_part;
ink_result ink_loader_matrix_parts(ink_loader *loader, const ink_loader_part *parts, size_t n_parts, size_t k,
                                   ink_matrix *out);
ink_result ink_loader_optional_vector_parts(ink_loader *loader, const ink_loader_part *parts, size_t n_parts,
                                            float **out);

#endif
