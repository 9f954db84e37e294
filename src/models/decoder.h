/*
 * decoder.h - the one network under all causal Transformers: gpt2, llama, mistral, qwen2, qwen3.
 *
 * They are the same sum of blocks, and differ in how a block is filled (block.c), in where positions come from, and in
 * the names of tensors and settings. A page (gpt2.c, llama.c) reads all that into an ink_decoder; the rest is here.
 */
#ifndef INK_MODELS_DECODER_H
#define INK_MODELS_DECODER_H

#include "kind.h"

typedef struct ink_decoder {
    ink_embedding positions; /* [context_length, hidden_size], learned; no table: none */
    ink_rope rope;           /* head_dim 0: none */
    size_t n_blocks;
    ink_block *blocks;       /* [n_blocks], all of the same sizes */
    ink_norm norm;           /* behind the last block */
} ink_decoder;

/* Takes the model's body and ties the head to its norm. While measuring there is none: returns the spare one. */
ink_decoder *ink_decoder_take(ink_arena *arena, ink_model *model, ink_decoder *spare);

/* How a page reads its blocks: the scope of one, a tensor that every block has, the setting that says how many there
   are, and what fills one in, in its scope. */
typedef struct ink_decoder_blocks {
    const char *scope;  /* "h.%z." */
    const char *tensor; /* "ln_1.weight" */
    const char *key;    /* "n_layer" */
    ink_result (*read)(ink_loader *loader, void *settings, size_t i, ink_block *block);
    void *settings;
} ink_decoder_blocks;

/* INK_ERROR_NOT_FOUND if module `name` should have a bias and has none, INK_ERROR_MISMATCH if it is the other way
   round: a bias that no setting asks for would be left out silently. */
ink_result ink_decoder_check_bias(ink_loader *loader, const char *name, bool wanted);

/* Reads n blocks, one after the other; a file that has more is refused. */
ink_result ink_decoder_read_blocks(ink_loader *loader, const ink_decoder_blocks *page, size_t n, ink_decoder *decoder);

extern const ink_network ink_decoder_network;

#endif
