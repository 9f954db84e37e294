/*
 * weights.h - named tensors in a safetensors file, which is what a PyTorch state_dict becomes on disk, or in a GGUF
 * file, as llama.cpp and others read them.
 *
 *     ink_weights *file;
 *     if (ink_weights_open(ctx, "digits.safetensors", &file) != INK_OK) { ... }
 *     ink_mlp_load(ctx, file, "net", INK_RELU, INK_IDENTITY, &mlp);
 *     ink_weights_free(file);                        (the layer keeps its own packed copy)
 *
 * Opening reads and checks the whole header: syntax, names, types, shapes, offsets, the length of the file. Tensors are
 * read when asked for.
 *
 * A GGUF file looks the same: its shapes come in PyTorch's order, and its tensors may have quantised types (tensor.h).
 * The first bytes of a file tell which it is, or else the ending ".gguf" of its name.
 *
 * Two conventions of the software that writes safetensors change the names:
 *
 *   - Aliases. The format cannot store a tensor that several modules share, so safetensors.torch.save_model() stores it
 *     once and notes its other names in __metadata__: {"net.4.weight": "net.2.weight"}. (huggingface_hub notes them
 *     under "metadata" of the index where it writes shards.) Such a name is an entry of the table like any other, with
 *     alias_of set; so layers that share weights are all there. A note is an alias if its key is not the name of a
 *     tensor and its value is the name of a tensor, or of another alias. Any other note ({"format": "pt"}) stays a
 *     note, as does one whose chain of names leads nowhere or back to itself. INK_ERROR_CORRUPT if two files of one
 *     model note different tensors for one name. A note does not say whether the name meant a part or the transpose of
 *     the tensor; an alias is the whole.
 *   - Prefixes. If every name begins with the prefix of a wrapper, it is removed: "module." (nn.DataParallel,
 *     DistributedDataParallel), "_orig_mod." (torch.compile), "base_model.model." (PEFT), "_fsdp_wrapped_module.",
 *     "_checkpoint_wrapped_module.", up to eight of them one after the other. The counter "n_averaged" of an
 *     AveragedModel may stand beside them. Functions that take the name of a tensor or a module accept it with the
 *     prefix, too.
 */
#ifndef INKLING_WEIGHTS_H
#define INKLING_WEIGHTS_H

#include <inkling/source.h>
#include <inkling/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ink_weights ink_weights;

/* One tensor of the file. `name` is NUL-terminated UTF-8 and lives as long as the ink_weights. */
typedef struct ink_weight {
    const char *name;
    ink_type type;
    ink_shape shape;
    const char *file;     /* the name of the file it is in; lives as long as the ink_weights */
    uint64_t offset;      /* of its first byte in that file */
    uint64_t size;        /* bytes */
    const char *alias_of; /* NULL; of an alias: the name of the tensor whose bytes these are */
} ink_weight;

/* Opens and checks the file at `path`, or the file `name` of a source (the source is copied; its `user` must outlive
   the weights). INK_ERROR_NOT_FOUND, INK_ERROR_READ, INK_ERROR_CORRUPT (not safetensors, with a guess at what it
   is instead), INK_ERROR_UNSUPPORTED (an element type we do not know, a rank beyond INK_MAX_RANK), INK_ERROR_LIMIT (a
   header nested beyond reason, or larger than table_bytes), INK_ERROR_MEMORY. Stricter than the reference reader: an
   entry has no members but dtype, shape and data_offsets; no key is there twice; a tensor has a name; names and
   metadata contain no NUL; sizes are below 2^48, as the schema of the format says.

   GGUF: versions 2 and 3, little-endian. A file that is one of several ("x-00002-of-00003.gguf", split.count) opens all
   of them as one, whichever is named; INK_ERROR_MISMATCH if their names, split.no, split.count or split.tensors.count
   contradict each other. INK_ERROR_UNSUPPORTED for types that are not in tensor.h, by name, and for quantised tensors
   without general.quantization_version 2. Stricter than the reference reader: nothing follows the last tensor and its
   padding; an alignment is at most 1 MiB; keys and strings are UTF-8 without NUL; a bool is 0 or 1. */
ink_result ink_weights_open(ink_context *ctx, const char *path, ink_weights **weights);
ink_result ink_weights_open_source(ink_context *ctx, const ink_source *source, const char *name, ink_weights **weights);

/* Opens the weights of a model folder: model.safetensors, or else all files (shards) that model.safetensors.index.json
   names, as one. One of them at a time is open. The index is checked against its files: each name is a file of this
   folder, each tensor is in the file that the index says, and no tensor is in two files. The weights of a
   StaticEmbedding of sentence-transformers may lie in a folder of its own, which modules.json names. A folder without
   config.json may have model.gguf in place of all that. If there is none of these, the sentence says what is there
   instead and how to convert it. Errors as above, and INK_ERROR_MISMATCH for an index that contradicts its files. */
ink_result ink_weights_open_folder(ink_context *ctx, const ink_source *folder, ink_weights **weights);
void ink_weights_free(ink_weights *weights);

/* The tensors file by file, in the order of their bytes, each followed by its aliases; NULL from i =
   ink_weights_count() on. */
size_t ink_weights_count(const ink_weights *weights);
const ink_weight *ink_weights_at(const ink_weights *weights, size_t i);

/* The tensor or alias of that name, or NULL. */
const ink_weight *ink_weights_find(const ink_weights *weights, const char *name);

/* The prefix that was removed from all names ("_orig_mod."), or "". */
const char *ink_weights_prefix(const ink_weights *weights);

/* The name of the file for messages; and the string of a key of __metadata__ or of GGUF, or NULL. Of weights in several
   files, the strings under "metadata" of the index come first. Keys of GGUF whose values are no strings give NULL. */
const char *ink_weights_name(const ink_weights *weights);
const char *ink_weights_metadata(const ink_weights *weights, const char *key);

/* One key of the metadata. In safetensors all values are strings, GGUF has numbers and arrays, too. */
typedef struct ink_metadata {
    const char *key;  /* lives as long as the ink_weights */
    const char *type; /* of the value or each element: "string", "bool", "u8", "i8", ... "u64", "i64", "f32", "f64" */
    size_t count;     /* of elements; 1 if it is no array */
    bool is_array;
} ink_metadata;

/* The i-th key, in the order of the file (of several GGUF files, the first; of several safetensors files, those of
   all); false from i = ink_weights_metadata_count() on. */
size_t ink_weights_metadata_count(const ink_weights *weights);
bool ink_weights_metadata_at(const ink_weights *weights, size_t i, ink_metadata *entry);

/* Element e of the i-th value (0 if it is no array): a string [*size], which is not NUL-terminated in an array; or NULL
   and *number, rounded to a double if it is an integer beyond 2^53. A string of an array is searched for from the first
   on. NULL and 0 where there is no such element. */
const char *ink_weights_metadata_element(const ink_weights *weights, size_t i, size_t e, size_t *size, double *number);

/* Reads all elements of a tensor of this file as f32 into out [count of its shape], whatever its floating-point type:
   F32, BF16 and F16 exactly, F64 rounded, quantised types as scale times number (plus minimum), each operation rounded.
   INK_ERROR_UNSUPPORTED for other types, INK_ERROR_READ. One thread at a time per ink_weights. */
ink_result ink_weights_read(ink_context *ctx, const ink_weights *weights, const ink_weight *weight, float *out);

/* Reads `size` bytes, `offset` bytes into the tensor, as elements of its own type in the byte order of this machine (a
   file is little-endian); blocks of quantised types are read as they lie in the file. Both must be whole numbers of
   elements, or of blocks, and offset + size may not pass the end of the tensor (INK_ERROR_ARGUMENT); INK_ERROR_READ.
   One thread at a time per ink_weights. */
ink_result ink_weights_read_bytes(ink_context *ctx, const ink_weights *weights, const ink_weight *weight,
                                  uint64_t offset, void *out, size_t size);

#ifdef __cplusplus
}
#endif

#endif
