/*
 * folder.h - where the files of a model lie: in a folder or in a GGUF file; folders that lack files.
 */
#ifndef INK_IMPORT_FOLDER_H
#define INK_IMPORT_FOLDER_H

#include "../base/internal.h"

/* Where the files of a model lie. */
typedef struct ink_model_place {
    ink_source source; /* of all files */
    const char *gguf; /* the name, in this source, of the GGUF file that holds all of the model; NULL: it is a folder */
} ink_model_place;

/*
 * Finds out what the path of a model is. All that open a model, its tokenizer or its chat template ask this function:
 *
 *     a folder with config.json                            a folder
 *     a path that ends in ".gguf", or a file on disk       the GGUF file, or the first of its shards
 *     that begins with "GGUF"
 *     a folder with model.gguf                             model.gguf in it
 *     anything else                                        a folder, which may lack files
 *
 * source NULL: `path` is one on disk, as is that of an ink_source_folder(). With another source, or another path than
 * that of the folder, `path` (NULL: source->name) is the name of the model, and if it ends in ".gguf", that of a file
 * in this source. The strings of path and source must outlive the place. It never fails, because what cannot be opened
 * fails later, by name.
 */
ink_model_place ink_model_place_find(ink_context *ctx, const char *path, const ink_source *source);

/* Fails with a message about a folder without config.json or weights that says what the folder has instead. `module` is
   the path of a folder in it that lacks weights ("2_Dense"), or "". Always returns INK_ERROR_UNSUPPORTED or
   INK_ERROR_NOT_FOUND. */
ink_result ink_folder_explain(ink_context *ctx, const ink_source *source, const char *module);

/* INK_ERROR_UNSUPPORTED if the model lies in a folder of this folder, as old versions of sentence-transformers saved it
   ("0_Transformer"). */
ink_result ink_folder_check_layout(ink_context *ctx, const ink_source *source);

/* Room for the path of a module, with its NUL. */
#define INK_MODULE_PATH 128

/* Refuses the path of a module in modules.json that is not the plain name of a folder. */
ink_result ink_folder_check_path(ink_context *ctx, const char *path);

/* ---- static_embedding.c ----------------------------------------------------------------------------------------- */

/* Where the files of a StaticEmbedding lie. */
typedef struct ink_static_folder {
    ink_source whole;
    ink_source tokenizer;       /* has tokenizer.json alone: the reference reads no other file for the tokenizer */
    char path[INK_MODULE_PATH]; /* of weights and tokenizer: "", or the name of a folder in the folder */
} ink_static_folder;

/* *found: modules.json begins with a StaticEmbedding of sentence-transformers, or there is none and config.json is that
   of model2vec. Other folders, broken ones too, are not found; INK_ERROR_MISMATCH for a path that leads elsewhere,
   INK_ERROR_MEMORY, INK_ERROR_READ. The folder may not move while its sources are used. */
ink_result ink_static_folder_open(ink_context *ctx, ink_arena *arena, const ink_source *source,
                                  ink_static_folder *folder, bool *found);

#endif
