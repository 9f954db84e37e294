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
    ink_block *blocks; /* [n_blocks], all of the same sizes */
    ink_norm norm;     /* behind the last block */
} ink_decoder;

/* Takes the model's body and ties the head to its norm. While measuring there is none: returns the spare one. */
ink_decoder *ink_decoder_take(ink_arena *arena, ink_model *model, ink_decoder *spare);

extern const ink_network ink_decoder_network;

#endif
