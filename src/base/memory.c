/*
 * memory.c - arenas; scratch memory, and the calls that use it; objects: of measured size in one block, or made part by
 * part.
 *
 * An arena measures, or hands out one block, or a chain of blocks that grows. A growing arena keeps its blocks in the
 * order in which they were first used. It allocates from the `current` one; those after it are free, and are used again
 * before a new one is asked for.
 */
#include <string.h>

#include "internal.h"

/* ---- the allocator hook --------------------------------------------------------------------------------------- */

bool ink_memory_alloc(const ink_allocator *allocator, size_t size, ink_memory *memory)
{
    size_t raw_size;
    if (!ink_size_add(size, INK_ALIGNMENT - 1, &raw_size))
        return false;
    char *raw = allocator->resize(allocator->user, NULL, 0, raw_size);
    if (raw == NULL)
        return false;
    size_t misaligned = (uintptr_t)raw % INK_ALIGNMENT;
    *memory = (ink_memory){
        .start = raw + (misaligned != 0 ? INK_ALIGNMENT - misaligned : 0), .raw = raw, .raw_size = raw_size};
    return true;
}

void ink_memory_free(const ink_allocator *allocator, ink_memory memory)
{
    if (memory.raw != NULL)
        allocator->resize(allocator->user, memory.raw, memory.raw_size, 0);
}

/* ---- arenas --------------------------------------------------------------------------------------------------- */

#define ROUND_UP(size) (((size) + INK_ALIGNMENT - 1) / INK_ALIGNMENT * INK_ALIGNMENT)

struct ink_arena_block {
    struct ink_arena_block *next;
    ink_memory memory; /* this header and the bytes after it */
    size_t capacity;
};

#define BLOCK_HEADER ROUND_UP(sizeof(struct ink_arena_block))
#define SMALLEST_BLOCK ((size_t)64 * 1024)
#define SMALLEST_OBJECT_BLOCK ((size_t)1024)
#define LARGEST_DOUBLED ((size_t)1024 * 1024) /* larger blocks are as large as the piece they are allocated for */

/* An allocation of zero bytes points here. */
static const _Alignas(INK_ALIGNMENT) unsigned char nothing[INK_ALIGNMENT];

void ink_arena_measure(ink_arena *arena) { *arena = (ink_arena){.size = SIZE_MAX - INK_ALIGNMENT, .measuring = true}; }

void ink_arena_over(ink_arena *arena, void *block, size_t size)
{
    *arena = (ink_arena){.base = block, .size = size, .failed = block == NULL || (uintptr_t)block % INK_ALIGNMENT != 0};
}

void ink_arena_grow(ink_arena *arena, const ink_allocator *allocator)
{
    *arena = (ink_arena){.allocator = *allocator, .smallest = SMALLEST_BLOCK};
}

static bool arena_grows(const ink_arena *arena) { return arena->allocator.resize != NULL; }

static bool arena_is_empty(const ink_arena *arena) { return arena->used == 0 && arena->current == arena->first; }

static void arena_enter_block(ink_arena *arena, struct ink_arena_block *block, size_t used)
{
    arena->current = block;
    arena->base = block != NULL ? (unsigned char *)block + BLOCK_HEADER : NULL;
    arena->size = block != NULL ? block->capacity : 0;
    arena->used = used;
}

static struct ink_arena_block *arena_new_block(ink_arena *arena, size_t capacity)
{
    size_t size;
    ink_memory memory;
    if (!ink_size_add(capacity, BLOCK_HEADER, &size) || !ink_memory_alloc(&arena->allocator, size, &memory))
        return NULL;
    struct ink_arena_block *block = memory.start;
    *block = (struct ink_arena_block){.memory = memory, .capacity = capacity};
    arena->held += capacity;
    return block;
}

static void arena_free_blocks(ink_arena *arena, struct ink_arena_block *block)
{
    while (block != NULL) {
        struct ink_arena_block *next = block->next;
        arena->held -= block->capacity;
        ink_memory_free(&arena->allocator, block->memory);
        block = next;
    }
}

void ink_arena_free(ink_arena *arena)
{
    if (!arena_grows(arena))
        return;
    arena_free_blocks(arena, arena->first);
    *arena = (ink_arena){.allocator = arena->allocator, .smallest = arena->smallest};
}

/* Makes a block with room for `bytes` the current one: the next free one, if it is large enough, else a new one. The
   new one replaces all free ones, so that an arena whose allocations get larger and larger does not keep the sum of all
   it ever held. Blocks double up to a limit, so that many small allocations need few blocks, and a small allocation
   after a large one needs a small block. */
static bool arena_next_block(ink_arena *arena, size_t bytes)
{
    struct ink_arena_block *next = arena->current != NULL ? arena->current->next : arena->first;
    if (next == NULL || next->capacity < bytes) {
        bool empty = arena_is_empty(arena);
        struct ink_arena_block **end = empty ? &arena->first : &arena->current->next;
        arena_free_blocks(arena, *end);
        *end = NULL;
        if (empty)
            arena_enter_block(arena, NULL, 0);
        size_t doubled = 2 * ink_size_min(arena->size, LARGEST_DOUBLED / 2);
        size_t wanted = ink_size_max(bytes, ink_size_max(doubled, arena->smallest));
        next = arena_new_block(arena, wanted);
        if (next == NULL && wanted > bytes)
            next = arena_new_block(arena, bytes);
        if (next == NULL)
            return false;
        *end = next;
    }
    arena_enter_block(arena, next, 0);
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
    bytes = ROUND_UP(bytes);
    if (bytes > arena->size - arena->used && !(arena_grows(arena) && arena_next_block(arena, bytes))) {
        arena->failed = true;
        return NULL;
    }
    void *memory = arena->measuring ? NULL : arena->base + arena->used;
    arena->used += bytes;
    return memory;
}

const char *ink_arena_string(ink_arena *arena, const char *text, size_t size)
{
    char *copy = ink_arena_alloc(arena, size + 1, 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

bool ink_arena_reserve(ink_arena *arena, size_t size)
{
    if (!arena_grows(arena) || !arena_is_empty(arena))
        return false;
    if (arena->first != NULL && arena->first->capacity >= size)
        return true;
    struct ink_arena_block *block = arena_new_block(arena, ink_size_max(size, arena->smallest));
    if (block == NULL)
        return false;
    arena_free_blocks(arena, arena->first);
    arena->first = block;
    arena_enter_block(arena, block, 0);
    return true;
}

ink_arena_mark ink_arena_mark_here(const ink_arena *arena)
{
    /* The beginning is NULL whichever block is the first: a larger one may replace it. */
    return (ink_arena_mark){
        .block = arena_is_empty(arena) ? NULL : arena->current, .used = arena->used, .held = arena->held};
}

void ink_arena_release(ink_arena *arena, ink_arena_mark mark)
{
    arena->failed = false;
    if (arena_grows(arena))
        arena_enter_block(arena, mark.block != NULL ? mark.block : arena->first, mark.used);
    else
        arena->used = mark.used;
}

bool ink_arena_failed(const ink_arena *arena) { return arena->failed; }

/* ---- scratch -------------------------------------------------------------------------------------------------- */

ink_result ink_scratch_end(ink_context *ctx, ink_arena_mark mark, ink_result result)
{
    ink_arena *scratch = &ctx->scratch;
    ink_arena_release(scratch, mark);
    if (result != INK_OK && scratch->held != mark.held && arena_is_empty(scratch)) {
        ink_arena_free(scratch);
        if (mark.held > 0)
            (void)ink_arena_reserve(scratch, mark.held);
    }
    return result;
}

ink_result ink_scratch_fail(ink_context *ctx, ink_arena_mark mark)
{
    return ink_scratch_end(ctx, mark, ink_fail(ctx, INK_ERROR_MEMORY, "out of memory for scratch"));
}

ink_result ink_scratch_reserve(ink_context *ctx, size_t bytes)
{
    if (!arena_is_empty(&ctx->scratch))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "scratch cannot be reserved from inside a call of this context");
    if (!ink_arena_reserve(&ctx->scratch, bytes))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the scratch of such calls needs %zu bytes", bytes);
    return INK_OK;
}

/* ---- calls ---------------------------------------------------------------------------------------------------- */

void ink_call_begin(ink_call *call, ink_context *ctx, bool reserve)
{
    call->ctx = ctx;
    call->arena = reserve ? &call->measure : &ctx->scratch;
    if (reserve)
        ink_arena_measure(&call->measure);
    call->mark = ink_arena_mark_here(&ctx->scratch);
}

bool ink_call_ready(ink_call *call)
{
    call->computes = !call->arena->measuring && !ink_arena_failed(call->arena);
    if (call->computes)
        call->host = ink_float_mode_enter();
    return call->computes;
}

ink_result ink_call_end(ink_call *call)
{
    ink_context *ctx = call->ctx;
    ink_arena *scratch = &ctx->scratch;
    if (call->computes) {
        ink_float_mode_leave(call->host);
        ink_arena_release(scratch, call->mark);
        return INK_OK;
    }
    if (!call->arena->measuring)
        return ink_scratch_fail(ctx, call->mark);
    if (ink_arena_failed(call->arena))
        return ink_fail(ctx, INK_ERROR_LIMIT, "the scratch of such calls is larger than memory can be");
    return ink_scratch_reserve(ctx, call->measure.used);
}

/* ---- objects -------------------------------------------------------------------------------------------------- */

/* The memory of an object whose parts are found out one by one. */
typedef struct object_parts {
    ink_arena arena;
    ink_memory block; /* the part of known size */
    size_t block_bytes;
} object_parts;

/* A header in front of every object says where its memory came from:

       | header | object, all its parts |                of measured size
       | object_parts | header | object |                part by part            */
typedef struct object_header {
    ink_allocator allocator; /* resize == NULL: the block is the caller's */
    ink_memory memory;
    size_t bytes;        /* of `memory` */
    object_parts *parts; /* NULL: of measured size */
} object_header;

#define OBJECT_HEADER ROUND_UP(sizeof(object_header))

static object_header *object_header_of(const void *object)
{
    return (object_header *)((uintptr_t)object - OBJECT_HEADER);
}

size_t ink_object_bytes(const void *object)
{
    const object_header *header = object_header_of(object);
    size_t bytes = header->bytes;
    if (header->parts == NULL)
        return bytes;
    bytes += header->parts->block_bytes;
    for (const struct ink_arena_block *block = header->parts->arena.first; block != NULL; block = block->next)
        bytes += BLOCK_HEADER + block->capacity;
    return bytes;
}

static ink_result object_no_memory(ink_context *ctx, const char *what, size_t bytes)
{
    return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s needs %zu bytes", what, bytes);
}

size_t ink_object_size(const ink_arena *measured) { return OBJECT_HEADER + measured->used; }

ink_result ink_object_new(ink_context *ctx, const char *what, const ink_arena *measured, void *block, size_t block_size,
                          ink_arena *arena)
{
    object_header header = {.bytes = ink_object_size(measured)};
    if (measured->failed || measured->used > SIZE_MAX - 4 * OBJECT_HEADER)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s needs more memory than this machine can address", what);
    if (block == NULL) {
        header.allocator = ctx->allocator;
        if (!ink_memory_alloc(&ctx->allocator, header.bytes, &header.memory))
            return object_no_memory(ctx, what, header.bytes);
        block = header.memory.start;
    } else {
        if ((uintptr_t)block % INK_ALIGNMENT != 0)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "the block for %s must start at a multiple of %zu bytes", what,
                            (size_t)INK_ALIGNMENT);
        if (block_size < header.bytes)
            return ink_fail(ctx, INK_ERROR_MEMORY, "the block for %s has %zu bytes, %zu are needed", what, block_size,
                            header.bytes);
    }
    ink_arena_over(arena, block, header.bytes);
    *(object_header *)ink_arena_alloc(arena, 1, OBJECT_HEADER) = header;
    return INK_OK;
}

ink_result ink_object_begin(ink_context *ctx, const char *what, size_t size, void **object, ink_arena **arena)
{
    ink_memory memory;
    size_t before = ROUND_UP(sizeof(object_parts)), bytes = before + OBJECT_HEADER + size;
    *object = NULL;
    if (!ink_memory_alloc(&ctx->allocator, bytes, &memory))
        return object_no_memory(ctx, what, bytes);
    object_parts *parts = memset(memory.start, 0, bytes);
    ink_arena_grow(&parts->arena, &ctx->allocator);
    parts->arena.smallest = SMALLEST_OBJECT_BLOCK;
    *arena = &parts->arena;
    *object = (char *)memory.start + before + OBJECT_HEADER;
    *object_header_of(*object) =
        (object_header){.allocator = ctx->allocator, .memory = memory, .bytes = bytes, .parts = parts};
    return INK_OK;
}

ink_result ink_object_add_block(ink_context *ctx, const char *what, void *object, size_t size, uint64_t max_bytes,
                                ink_arena *block)
{
    object_header *header = object_header_of(object);
    size_t bytes;
    if (!ink_size_add(ink_object_bytes(object), size, &bytes) || bytes > SIZE_MAX - 2 * INK_ALIGNMENT)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s needs more memory than this machine can address", what);
    if (max_bytes != 0 && bytes > max_bytes)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s needs %zu bytes, the limit is %llu", what, bytes,
                        (unsigned long long)max_bytes);
    if (!ink_memory_alloc(&ctx->allocator, size, &header->parts->block))
        return object_no_memory(ctx, what, bytes);
    header->parts->block_bytes = size;
    ink_arena_over(block, header->parts->block.start, size);
    return INK_OK;
}

void ink_object_free(void *object)
{
    if (object == NULL)
        return;
    object_header header = *object_header_of(object);
    if (header.allocator.resize == NULL)
        return;
    if (header.parts != NULL) {
        ink_arena_free(&header.parts->arena);
        ink_memory_free(&header.allocator, header.parts->block);
    }
    ink_memory_free(&header.allocator, header.memory);
}
