/*
 * gguf_out.h - the bytes of a GGUF file on their way out, and what the two files that write one share.
 *
 * A file is described twice by the same lines: once they only count bytes and keys, and refuse what cannot be written;
 * then they write. So nothing is written unless all of it can be.
 */
#ifndef INK_IMPORT_GGUF_OUT_H
#define INK_IMPORT_GGUF_OUT_H

#include <inkling/gguf_write.h>
#include <inkling/tokenizer.h>

#include "../formats/gguf.h"
#include "architectures.h"

typedef struct ink_gguf_out {
    ink_context *ctx;
    const char *architecture;
    const ink_gguf_options *options;
    ink_write_fn write;
    void *write_user;
    bool counts;  /* bytes and keys are counted, not written */
    bool stopped; /* `write` or `progress` answered false */
    uint64_t n_keys, size, total;
    unsigned char *buffer; /* [INK_GGUF_BUFFER] */
    size_t n_buffered;
} ink_gguf_out;

#define INK_GGUF_BUFFER ((size_t)64 * 1024)

/* Bytes; a number of n bytes, lowest byte first; a string with its length in front. */
void ink_gguf_put(ink_gguf_out *out, const void *bytes, size_t size);
void ink_gguf_put_number(ink_gguf_out *out, size_t n, uint64_t number);
void ink_gguf_put_string(ink_gguf_out *out, const char *text, size_t size);

/* A key with its value; "." in front of a key stands for the architecture. Of an array the `count` elements follow. */
void ink_gguf_u32(ink_gguf_out *out, const char *key, uint64_t value);
void ink_gguf_f32(ink_gguf_out *out, const char *key, double value);
void ink_gguf_bool(ink_gguf_out *out, const char *key, bool value);
void ink_gguf_text(ink_gguf_out *out, const char *key, const char *text, size_t size);
void ink_gguf_array(ink_gguf_out *out, const char *key, ink_gguf_type type, size_t count);

/* Hands a note to the caller, once. */
void ink_gguf_note(ink_gguf_out *out, const char *format, ...) INK_PRINTF(2, 3);

/* gguf_write_tokenizer.c. The keys of the tokenizer, which is NULL if the folder has none, and of the chat template. */
ink_result ink_gguf_tokenizer(ink_gguf_out *out, ink_import *in, const ink_tokenizer *tokenizer);

#endif
