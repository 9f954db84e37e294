/*
 * sentencepiece.h - model files of SentencePiece: spiece.model, sentencepiece.bpe.model, tokenizer.model.
 *
 * A file is one message of protocol buffers, ModelProto: pieces, and two messages of settings. Known fields with
 * another wire type, lengths past the end, numbers of more than 64 bits and pieces that are not UTF-8 are refused with
 * the byte where they are; unknown fields are skipped. Of a setting that is there twice the last counts.
 */
#ifndef INK_FORMATS_SENTENCEPIECE_H
#define INK_FORMATS_SENTENCEPIECE_H

#include "../base/internal.h"

typedef struct ink_bytes_field {
    const char *at; /* [size], in the file */
    size_t size;
} ink_bytes_field;

typedef enum ink_sp_type {
    INK_SP_NORMAL = 1,
    INK_SP_UNKNOWN,
    INK_SP_CONTROL,
    INK_SP_USER_DEFINED,
    INK_SP_UNUSED,
    INK_SP_BYTE
} ink_sp_type;

typedef struct ink_sp_piece {
    ink_bytes_field text; /* UTF-8 */
    float score;          /* finite */
    int32_t type;         /* an ink_sp_type */
} ink_sp_piece;

typedef enum ink_sp_model { INK_SP_UNIGRAM = 1, INK_SP_BPE, INK_SP_WORD, INK_SP_CHAR } ink_sp_model;

typedef struct ink_sentencepiece {
    const char *file;     /* for messages */
    ink_sp_piece *pieces; /* [n_pieces], at least 1 */
    size_t n_pieces;
    int32_t model; /* an ink_sp_model */
    int32_t unk_id, bos_id, eos_id;
    ink_bytes_field unk_piece, bos_piece, eos_piece;
    ink_bytes_field charsmap;                                               /* the rules of normalisation, or nothing */
    int32_t whitespace_as_suffix, byte_fallback;                            /* 0: no */
    int32_t add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces; /* 0: no */
} ink_sentencepiece;

/* Reads a file of a source; text and pieces are in `arena` (growing). `name` is kept. INK_ERROR_CORRUPT with the byte
   offset; INK_ERROR_NOT_FOUND, INK_ERROR_READ, INK_ERROR_LIMIT, INK_ERROR_MEMORY. */
ink_result ink_sentencepiece_open(ink_context *ctx, ink_arena *arena, const ink_source *source, const char *name,
                                  ink_limit limit, ink_sentencepiece *model);

#endif
