/*
 * safetensors.h - the header of a safetensors file as a checked table of tensors; weights in one or several such files.
 *
 *     0        8            8 + n
 *     | n, LE  | header ... | data ...                                                           |
 *                            begin of "a" .. end of "a" = begin of "b" .. ... end of the last = end of the file
 *
 * The idea of the format is that a reader can check everything before it believes anything: the tensors must cover the
 * data without a hole, an overlap or a rest, and each must be as long as its type and shape say.
 * Format: https://github.com/huggingface/safetensors (README, "Format").
 */
#ifndef INK_FORMATS_SAFETENSORS_H
#define INK_FORMATS_SAFETENSORS_H

#include <inkling/weights.h>

#include "../base/internal.h"

typedef struct ink_safetensors_note {
    const char *key, *value; /* without NUL characters */
} ink_safetensors_note;

typedef struct ink_safetensors {
    ink_weight *tensors; /* [n_tensors], in the order of their bytes */
    size_t n_tensors;
    ink_safetensors_note *metadata; /* [n_metadata] */
    size_t n_metadata;
} ink_safetensors;

/* What the first bytes of a file say it is if not safetensors: "a zip archive, ..."; NULL if it may be safetensors
   or nobody knows. *is_torch: torch.load() reads it. INK_HEAD_BYTES are enough. */
#define INK_HEAD_BYTES 64
const char *ink_other_kind(const unsigned char *bytes, size_t size, bool *is_torch);

/* The arguments for the file of INK_CONVERT. */
#define INK_CONVERT_OPEN(name) "open(", (name), ", 'rb')"
#define INK_CONVERT_PATH(name) "", (name), ""

/* A line of Python that converts a state_dict, for messages. Tensors that share memory become one tensor and notes, as
   those of save_model(). The arguments: INK_CONVERT_PATH, or INK_CONVERT_OPEN because torch.load() takes a path that
   ends in
   ".safetensors" for such a file; the new file and its ending. */
#define INK_CONVERT                                                                                                    \
    "convert it in Python: import torch, safetensors.torch as s; d = torch.load(%s'%s'%s, weights_only=True, "         \
    "map_location='cpu'); n = {}; a = {k: n.setdefault((v.data_ptr(), v.shape, v.stride()), k) for k, v in "           \
    "d.items()}; s.save_file({k: d[k].clone().contiguous() for k in n.values()}, '%s%s', {**{k: o for k, o in "        \
    "a.items() if k != o}, 'format': 'pt'})"

/* Reads and checks the header of an open file. The strings lie in `strings`, the table in `work` (growing arenas).
   Errors: ink_weights_open(). */
ink_result ink_safetensors_read(ink_context *ctx, const ink_file *file, ink_arena *strings, ink_arena *work,
                                ink_safetensors *table);

/* Opens the n >= 1 files `names` of a source as one; messages call the whole `name`. The tensors come in the order of
   the files. `notes` are metadata from elsewhere (an index). Source, names and notes are copied. INK_ERROR_CORRUPT for
   a tensor that is in two of the files, and the errors of ink_weights_open_source(). */
ink_result ink_weights_open_files(ink_context *ctx, const ink_source *source, const char *name,
                                  const char *const *names, size_t n, const ink_safetensors_note *notes, size_t n_notes,
                                  ink_weights **weights);

/* The scope "net." of a module for `scope` "_orig_mod.net.", if all names of the file lost that prefix and it is not
   the name of a module, too; or else `scope`. */
const char *ink_weights_module(const ink_weights *weights, const char *scope);

/* The tensor that an alias stands for; any other tensor itself. */
const ink_weight *ink_weights_stored(const ink_weights *weights, const ink_weight *weight);

#endif
