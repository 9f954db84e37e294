/*
 * arena.h - the one allocator of the library: take memory piece by piece, release it to a mark or all at once.
 *
 * An arena is in one of three modes, and the code that takes memory from it does not care which:
 *
 *   measuring   no memory behind it: takes return NULL and only add up; gives the exact size of what is to come
 *   fixed       over one block, the caller's or one of exactly the measured size
 *   growing     over blocks from an allocator hook, taken as needed and kept until the arena is freed
 *
 * Whoever builds an object writes one function that takes its pieces from an arena. Run over a measuring arena it
 * is the object's size to the byte; run again over a fixed one it is the object. Every piece starts at a multiple of
 * INK_ALIGNMENT and takes a multiple of it.
 *
 * Failure is sticky: after a take that did not fit, or whose size overflowed, every take returns NULL and
 * ink_arena_failed() is true, so a builder checks once at its end. An arena is used by one thread at a time.
 */
#ifndef INKLING_ARENA_H
#define INKLING_ARENA_H

#include <inkling/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INK_ALIGNMENT 64

/* Reading the fields is fine, changing them is not. */
typedef struct ink_arena {
    unsigned char *base;           /* the current block; NULL while measuring */
    size_t size;                   /* bytes in it */
    size_t used;                   /* bytes of it that are taken; while measuring, the sum so far */
    ink_allocator allocator;       /* growing: where blocks come from; resize is NULL for the others */
    size_t smallest;               /* growing: bytes of a block, at least */
    struct ink_arena_block *first; /* growing: its blocks, in the order they are used */
    struct ink_arena_block *current;
    bool measuring;
    bool failed;
} ink_arena;

typedef struct ink_arena_mark {
    struct ink_arena_block *block;
    size_t used;
} ink_arena_mark;

/* A measuring arena. Nothing to free. */
void ink_arena_measure(ink_arena *arena);

/* An arena over the caller's block, which must start at a multiple of INK_ALIGNMENT (else the arena starts out as
   failed). Nothing to free. */
void ink_arena_over(ink_arena *arena, void *block, size_t size);

/* A growing arena over `allocator`, which must outlive it. Free with ink_arena_free(). Takes no memory yet. */
void ink_arena_grow(ink_arena *arena, const ink_allocator *allocator);

/* Gives back all blocks of a growing arena; harmless for the others. */
void ink_arena_free(ink_arena *arena);

/* `count` items of `size` bytes, uninitialised, at a multiple of INK_ALIGNMENT. NULL while measuring and after a
   failure; zero bytes give a pointer that must not be read. */
void *ink_arena_alloc(ink_arena *arena, size_t count, size_t size);

/* Makes sure that takes of `size` bytes in all will succeed without a call of the hook (growing arenas only, and
   only while nothing is taken). False if there is no memory; the arena is as before then. */
bool ink_arena_reserve(ink_arena *arena, size_t size);

/* Everything taken after the mark is released. Blocks of a growing arena are kept for the next takes. */
ink_arena_mark ink_arena_mark_here(const ink_arena *arena);
void ink_arena_release(ink_arena *arena, ink_arena_mark mark);

bool ink_arena_failed(const ink_arena *arena);

#ifdef __cplusplus
}
#endif

#endif
