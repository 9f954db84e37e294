/*
 * normalize.h - normalisation: what is done to a piece of text before it is split.
 *
 * A normalizer is a chain of steps over code points; what files call BertNormalizer is five of them.
 */
#ifndef INK_TEXT_NORMALIZE_H
#define INK_TEXT_NORMALIZE_H

#include <string.h>

#include "../base/internal.h"

#define INK_NORMAL_STEPS 16     /* longest chain */
#define INK_NORMAL_STRING 16    /* code points of a pattern or of what is put in */
#define INK_CODE_BYTE 0x110000u /* + b: the byte b, which belongs to no code point */

/* Code points in scratch memory. */
typedef struct ink_codes {
    uint32_t *at; /* [n] */
    size_t n;
} ink_codes;

typedef struct ink_normal_string {
    uint32_t at[INK_NORMAL_STRING];
    size_t n;
} ink_normal_string;

typedef struct ink_normal_step ink_normal_step;

/* Changes the codes in place, or puts others from the context's scratch memory in their place. */
typedef ink_result (*ink_normal_fn)(ink_context *ctx, const ink_normal_step *step, ink_codes *codes);

struct ink_normal_step {
    ink_normal_fn apply;
    unsigned properties;        /* drop: which code points go */
    bool left, right;           /* strip: on which side */
    ink_normal_string from, to; /* replace; prepend: to */
};

typedef struct ink_normalizer {
    ink_normal_step steps[INK_NORMAL_STEPS];
    size_t n_steps;
} ink_normalizer;

/* Normalises text [size], with scratch memory that the caller releases. Without steps *out is the text. */
ink_result ink_normalize(ink_context *ctx, const ink_normalizer *normalizer, const char *text, size_t size,
                         const char **out, size_t *out_size);

/* The steps. */
ink_result ink_normal_drop(ink_context *ctx, const ink_normal_step *step, ink_codes *codes);  /* by properties */
ink_result ink_normal_space(ink_context *ctx, const ink_normal_step *step, ink_codes *codes); /* white space: U+0020 */
ink_result ink_normal_chinese(ink_context *ctx, const ink_normal_step *step, ink_codes *codes); /* spaces around them */
ink_result ink_normal_lowercase(ink_context *ctx, const ink_normal_step *step, ink_codes *codes);
ink_result ink_normal_strip(ink_context *ctx, const ink_normal_step *step, ink_codes *codes);   /* white space */
ink_result ink_normal_prepend(ink_context *ctx, const ink_normal_step *step, ink_codes *codes); /* not to nothing */
ink_result ink_normal_replace(ink_context *ctx, const ink_normal_step *step, ink_codes *codes);

/* normal_form.c: Unicode 16, section 3.11. */
ink_result ink_normal_nfd(ink_context *ctx, const ink_normal_step *step, ink_codes *codes);
ink_result ink_normal_nfc(ink_context *ctx, const ink_normal_step *step, ink_codes *codes);

/* Room for n codes in scratch memory. */
ink_result ink_codes_take(ink_context *ctx, size_t n, ink_codes *codes);

#endif
