/*
 * arena.c - bump allocation in three modes: measuring, over one block, over a chain of blocks that grows.
 *
 * A growing arena keeps its blocks in the order they were first used. `current` is the one being taken from; the ones
 * after it are free and are used again before a new one is asked for.
 */
#include <string.h>

#include "internal.h"

struct ink_arena_block {
    struct ink_arena_block *next;
    ink_memory memory; /* this header and the bytes after it */
    size_t capacity;
};

#define HEADER_SIZE ((sizeof(struct ink_arena_block) + INK_ALIGNMENT - 1) / INK_ALIGNMENT * INK_ALIGNMENT)
#define SMALLEST_BLOCK ((size_t)64 * 1024)
#define LARGEST_STEP ((size_t)1024 * 1024) /* blocks beyond this are as large as what they are taken for */

/* What a take of zero bytes points to. */
static const _Alignas(INK_ALIGNMENT) unsigned char nothing[INK_ALIGNMENT];

static unsigned char *block_start(struct ink_arena_block *block) { return (unsigned char *)block + HEADER_SIZE; }

static void enter_block(ink_arena *arena, struct ink_arena_block *block, size_t used)
{
    arena->current = block;
    arena->base = block != NULL ? block_start(block) : NULL;
    arena->size = block != NULL ? block->capacity : 0;
    arena->used = used;
}

static struct ink_arena_block *new_block(const ink_allocator *allocator, size_t capacity)
{
    size_t size;
    ink_memory memory;
    if (!ink_size_add(capacity, HEADER_SIZE, &size) || !ink_memory_alloc(allocator, size, &memory))
        return NULL;
    struct ink_arena_block *block = memory.start;
    block->next = NULL;
    block->memory = memory;
    block->capacity = capacity;
    return block;
}

static void free_blocks(const ink_allocator *allocator, struct ink_arena_block *block)
{
    while (block != NULL) {
        struct ink_arena_block *next = block->next;
        ink_memory_free(allocator, block->memory);
        block = next;
    }
}

void ink_arena_measure(ink_arena *arena)
{
    memset(arena, 0, sizeof *arena);
    arena->size = SIZE_MAX - INK_ALIGNMENT;
    arena->measuring = true;
}

void ink_arena_over(ink_arena *arena, void *block, size_t size)
{
    memset(arena, 0, sizeof *arena);
    arena->base = block;
    arena->size = size;
    arena->failed = block == NULL || (uintptr_t)block % INK_ALIGNMENT != 0;
}

void ink_arena_grow(ink_arena *arena, const ink_allocator *allocator)
{
    memset(arena, 0, sizeof *arena);
    arena->allocator = allocator;
}

void ink_arena_free(ink_arena *arena)
{
    if (arena->allocator == NULL)
        return;
    free_blocks(arena->allocator, arena->first);
    ink_arena_grow(arena, arena->allocator);
}

/* Gives back the blocks nothing is taken from: those after the current one, or all if nothing is taken at all. */
static void free_unused_blocks(ink_arena *arena)
{
    struct ink_arena_block *unused;
    if (arena->current == arena->first && arena->used == 0) {
        unused = arena->first;
        arena->first = NULL;
        enter_block(arena, NULL, 0);
    } else {
        unused = arena->current->next;
        arena->current->next = NULL;
    }
    free_blocks(arena->allocator, unused);
}

/* Makes a block with room for `bytes` the current one: the next free one if it is large enough, else a new one in place
   of all free ones, so that an arena whose takes get larger and larger does not hold the sum of all it ever held.
   Blocks double up to a point, so that many small takes cost few blocks, and a small take after a large one costs a
   small block. */
static bool next_block(ink_arena *arena, size_t bytes)
{
    struct ink_arena_block *next = arena->current != NULL ? arena->current->next : arena->first;
    if (next == NULL || next->capacity < bytes) {
        free_unused_blocks(arena);
        size_t doubled = 2 * ink_size_min(arena->size, LARGEST_STEP / 2);
        size_t wanted = ink_size_max(bytes, ink_size_max(doubled, SMALLEST_BLOCK));
        struct ink_arena_block *block = new_block(arena->allocator, wanted);
        if (block == NULL && wanted > bytes)
            block = new_block(arena->allocator, bytes);
        if (block == NULL)
            return false;
        if (arena->current != NULL)
            arena->current->next = block;
        else
            arena->first = block;
        next = block;
    }
    enter_block(arena, next, 0);
    return true;
}

void *ink_arena_alloc(ink_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (arena->failed)
        return NULL;
    if (!ink_size_mul(count, size, &bytes) || bytes > SIZE_MAX - 2 * INK_ALIGNMENT) {
        arena->failed = true;
        return NULL;
    }
    if (bytes == 0)
        return arena->measuring ? NULL : (void *)(uintptr_t)nothing;
    bytes = (bytes + INK_ALIGNMENT - 1) / INK_ALIGNMENT * INK_ALIGNMENT;
    if (bytes > arena->size - arena->used && (arena->allocator == NULL || !next_block(arena, bytes))) {
        arena->failed = true;
        return NULL;
    }
    void *piece = arena->measuring ? NULL : arena->base + arena->used;
    arena->used += bytes;
    return piece;
}

bool ink_arena_reserve(ink_arena *arena, size_t size)
{
    if (arena->allocator == NULL || arena->used != 0 || arena->current != arena->first)
        return false;
    if (arena->first != NULL && arena->first->capacity >= size)
        return true;
    struct ink_arena_block *block = new_block(arena->allocator, ink_size_max(size, SMALLEST_BLOCK));
    if (block == NULL)
        return false;
    free_blocks(arena->allocator, arena->first);
    arena->first = block;
    enter_block(arena, block, 0);
    return true;
}

ink_arena_mark ink_arena_mark_here(const ink_arena *arena)
{
    /* The beginning is NULL whichever block is the first: it may be exchanged for a larger one. */
    bool at_start = arena->used == 0 && arena->current == arena->first;
    return (ink_arena_mark){.block = at_start ? NULL : arena->current, .used = arena->used};
}

void ink_arena_release(ink_arena *arena, ink_arena_mark mark)
{
    if (arena->allocator == NULL) {
        arena->used = mark.used;
        arena->failed = false;
        return;
    }
    enter_block(arena, mark.block != NULL ? mark.block : arena->first, mark.used);
    arena->failed = false;
}

bool ink_arena_failed(const ink_arena *arena) { return arena->failed; }
