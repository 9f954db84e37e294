/*
 * decode_steps.h - from tokens back to text.
 *
 * A decoder is a chain of steps over each token by itself, and what follows when tokens come together: bytes are made
 * characters, and the beginning of the text may lose some.
 */
#ifndef INK_TEXT_DECODE_STEPS_H
#define INK_TEXT_DECODE_STEPS_H

#include "../base/internal.h"
#include "short_text.h"

#define INK_DECODE_STEPS 24 /* longest chain; WordPiece's clean-up alone is eleven */

typedef struct ink_decode_step ink_decode_step;

/* Writes what becomes of a token [size] to `out`, which has room for as much as ink_decode_room() says, and returns
   its length; `first` for the first token of a text. */
typedef size_t (*ink_decode_fn)(const ink_decode_step *step, bool first, const char *token, size_t size, char *out);

struct ink_decode_step {
    ink_decode_fn apply;
    ink_short_text from, to; /* what is looked for, what comes in its place */
    size_t start, stop;      /* strip: how many at most, on either side */
};

typedef struct ink_decoder {
    ink_decode_step steps[INK_DECODE_STEPS];
    size_t n_steps;
    bool byte_level;    /* tokens are bytes in a row */
    bool byte_fallback; /* <0x00> to <0xFF> are bytes */
    bool fused;         /* `strip` says what the whole text loses at its beginning */
    ink_decode_step strip;
    size_t room; /* bytes that any token becomes, at most */
} ink_decoder;

/* Every `from` becomes `to`. */
size_t ink_decode_replace(const ink_decode_step *step, bool first, const char *token, size_t size, char *out);

/* Up to `start` characters `from` at the beginning go, and up to `stop` at the end. */
size_t ink_decode_strip(const ink_decode_step *step, bool first, const char *token, size_t size, char *out);

/* The first token loses every `from`. */
size_t ink_decode_drop(const ink_decode_step *step, bool first, const char *token, size_t size, char *out);

/* All tokens but the first lose a prefix `from` or, where there is none, gain a prefix `to`. */
size_t ink_decode_join(const ink_decode_step *step, bool first, const char *token, size_t size, char *out);

/* The most that a step makes of a token of `size` bytes; false if that is beyond all sizes. */
bool ink_decode_room(const ink_decode_step *step, size_t size, size_t *room);

#endif
