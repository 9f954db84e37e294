/*
 * tokenizer.h - the tokenizer, the inside: what tokenizer.json becomes.
 *
 *     text -> added tokens cut out -> normalised -> split into words -> the model's ids of each word -> the template
 *
 * Each step has a header of its own: added.h, normalize.h, split.h, the models bpe.h and wordpiece.h, template.h; and
 * decode_steps.h for the way back.
 */
#ifndef INK_TEXT_TOKENIZER_H
#define INK_TEXT_TOKENIZER_H

#include <inkling/tokenizer.h>

#include "added.h"
#include "bpe.h"
#include "decode_steps.h"
#include "normalize.h"
#include "split.h"
#include "template.h"
#include "vocab.h"
#include "wordpiece.h"

#define INK_N_CONTROLS (INK_CONTROL_MASK + 1)

typedef enum ink_text_model { INK_MODEL_BPE, INK_MODEL_WORDPIECE, INK_MODEL_WORDLEVEL } ink_text_model;

struct ink_tokenizer {
    ink_vocab vocab;
    ink_added added;
    ink_normalizer normalizer;
    ink_pre_tokenizer pre_tokenizer;
    ink_text_model model;
    ink_bpe bpe;
    ink_wordpiece wordpiece;
    ink_token unk; /* of the model, -1 if it has none */
    ink_template template;
    ink_decoder decoder;
    ink_token controls[INK_N_CONTROLS];
    size_t max_length;
};

/* Reads the tokenizer of a source into `draft`, all checked, with memory from `arena` (growing). */
ink_result ink_tokenizer_read(ink_context *ctx, ink_arena *arena, const ink_source *source, ink_tokenizer *draft);

#endif
