/*
 * arena.h - the one allocator of the library: allocate part by part, release to a mark or all at once.
 *
 * An arena is in one of three modes, and the code that allocates from it need not know which:
 *
 *   measuring   without memory: allocations return NULL and only add up, which gives the exact size of a layout
 *   fixed       over one block, of the caller or of exactly the measured size
 *   growing     over blocks from an allocator hook, allocated as needed and kept until the arena is freed
 *
 * One function allocates all parts of an object. Over a measuring arena it gives the size of the object, to the byte;
 * over a fixed arena it gives the object. Every part starts at a multiple of INK_ALIGNMENT and occupies a multiple of
 * it.
 *
 * Failure is sticky: after an allocation that does not fit, or whose size overflows, every allocation returns NULL and
 * ink_arena_failed() is true. So a builder checks once, at its end. One thread at a time uses an arena.
 */
#ifndef INKLING_ARENA_H
#define INKLING_ARENA_H

#include <inkling/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INK_ALIGNMENT 64

/* Programs may read the fields, but not change them. */
typedef struct ink_arena {
    unsigned char *base;           /* the current block; NULL while measuring */
    size_t size;                   /* bytes in it */
    size_t used;                   /* bytes of it that are allocated; while measuring, the sum so far */
    ink_allocator allocator;       /* growing: where blocks come from; resize is NULL for the others */
    size_t smallest;               /* growing: bytes of a block, at least */
    size_t held;                   /* growing: bytes of all its blocks */
    struct ink_arena_block *first; /* growing: its blocks, in the order they are used */
    struct ink_arena_block *current;
    bool measuring;
    bool failed;
} ink_arena;

typedef struct ink_arena_mark {
    struct ink_arena_block *block;
    size_t used;
    size_t held; /* when the mark was made */
} ink_arena_mark;

/* A measuring arena. Nothing to free. */
void ink_arena_measure(ink_arena *arena);

/* An arena over the caller's block, which must start at a multiple of INK_ALIGNMENT (else the arena starts out as
   failed). Nothing to free. */
void ink_arena_over(ink_arena *arena, void *block, size_t size);

/* A growing arena over `allocator`, which is copied. Free with ink_arena_free(). Allocates nothing yet. */
void ink_arena_grow(ink_arena *arena, const ink_allocator *allocator);

/* Frees all blocks of a growing arena; does nothing to the others. */
void ink_arena_free(ink_arena *arena);

/* `count` items of `size` bytes, uninitialised, at a multiple of INK_ALIGNMENT. NULL while measuring and after a
   failure; zero bytes give a pointer that must not be read. */
void *ink_arena_alloc(ink_arena *arena, size_t count, size_t size);

/* Makes sure that `size` bytes can be allocated without a call of the hook (growing arenas only, and only while nothing
   is allocated). False if there is no memory; the arena is then as it was. */
bool ink_arena_reserve(ink_arena *arena, size_t size);

/* Releases everything allocated after the mark. A growing arena keeps its blocks for the next allocations. */
ink_arena_mark ink_arena_mark_here(const ink_arena *arena);
void ink_arena_release(ink_arena *arena, ink_arena_mark mark);

bool ink_arena_failed(const ink_arena *arena);

#ifdef __cplusplus
}
#endif

#endif
