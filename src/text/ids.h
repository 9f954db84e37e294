/*
 * ids.h - where the ids of a text are collected: counts them all, keeps as many as are wanted.
 *
 * They grow in scratch memory, which is given back last first. So room is made before a word is encoded, and encoding
 * a word only fills it.
 */
#ifndef INK_TEXT_IDS_H
#define INK_TEXT_IDS_H

#include <string.h>

#include <inkling/types.h>

#include "../base/internal.h"

typedef struct ink_ids {
    ink_token *ids; /* [capacity] */
    size_t capacity;
    size_t wanted; /* ids beyond it are only counted */
    size_t n;      /* how many there are */
} ink_ids;

static inline void ink_ids_add(ink_ids *out, ink_token id)
{
    if (out->n < out->capacity)
        out->ids[out->n] = id;
    out->n++;
}

/* Makes room for `more` ids. Doubles, so that the copies cost no more than the ids. */
static inline ink_result ink_ids_reserve(ink_context *ctx, ink_ids *out, size_t more)
{
    size_t needed, doubled = out->wanted;
    if (!ink_size_add(out->n, more, &needed))
        needed = out->wanted;
    needed = ink_size_min(needed, out->wanted);
    if (needed <= out->capacity)
        return INK_OK;
    if (ink_size_mul(ink_size_max(needed, 256), 2, &doubled))
        doubled = ink_size_min(doubled, out->wanted);
    ink_token *ids = ink_arena_alloc(&ctx->scratch, doubled, sizeof *ids);
    if (ids == NULL)
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: room for %zu ids", doubled);
    if (out->n > 0)
        memcpy(ids, out->ids, ink_size_min(out->n, out->capacity) * sizeof *ids);
    out->ids = ids;
    out->capacity = doubled;
    return INK_OK;
}

#endif
