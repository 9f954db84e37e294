/*
 * object.c - an object and all it owns in one block of memory, whose size is measured before it is taken.
 *
 * In front of every object lies a header that says where its block came from:
 *
 *     header | object, its parts ...
 */
#include <string.h>

#include "internal.h"

typedef struct header {
    ink_allocator allocator; /* resize == NULL: the block is the caller's */
    ink_memory memory;
    size_t bytes; /* header and object */
} header;

#define HEADER_SIZE ((sizeof(header) + INK_ALIGNMENT - 1) / INK_ALIGNMENT * INK_ALIGNMENT)

static header *header_of(const void *object) { return (header *)((uintptr_t)object - HEADER_SIZE); }

bool ink_memory_alloc(const ink_allocator *allocator, size_t size, ink_memory *memory)
{
    size_t raw_size;
    if (!ink_size_add(size, INK_ALIGNMENT - 1, &raw_size))
        return false;
    void *raw = allocator->resize(allocator->user, NULL, 0, raw_size);
    if (raw == NULL)
        return false;
    size_t misaligned = (uintptr_t)raw % INK_ALIGNMENT;
    *memory = (ink_memory){
        .start = (char *)raw + (misaligned != 0 ? INK_ALIGNMENT - misaligned : 0), .raw = raw, .raw_size = raw_size};
    return true;
}

void ink_memory_free(const ink_allocator *allocator, ink_memory memory)
{
    if (memory.raw != NULL)
        allocator->resize(allocator->user, memory.raw, memory.raw_size, 0);
}

static ink_result no_memory(ink_context *ctx, const char *what, size_t bytes)
{
    return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: %s needs %zu bytes", what, bytes);
}

ink_result ink_object_measure(ink_context *ctx, const char *what, ink_build_fn build, void *args, size_t *bytes)
{
    ink_arena arena;
    void *object = NULL;
    ink_arena_measure(&arena);
    ink_arena_alloc(&arena, 1, HEADER_SIZE);
    INK_TRY(build(args, &arena, &object));
    if (ink_arena_failed(&arena) || arena.used > SIZE_MAX - 2 * INK_ALIGNMENT)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s needs more memory than this machine can address", what);
    *bytes = arena.used;
    return INK_OK;
}

/* Second run, over memory of the size measured. */
static ink_result fill(ink_context *ctx, const char *what, ink_build_fn build, void *args, void *block, size_t bytes,
                       const header *origin, void **object)
{
    ink_arena arena;
    void *built = NULL;
    ink_arena_over(&arena, block, bytes);
    header *head = ink_arena_alloc(&arena, 1, HEADER_SIZE);
    if (head == NULL)
        return no_memory(ctx, what, bytes);
    *head = *origin;
    ink_float_mode host = ink_float_mode_enter(); /* weights are rounded, frequencies computed */
    ink_result result = build(args, &arena, &built);
    ink_float_mode_leave(host);
    if (result != INK_OK)
        return result;
    if (ink_arena_failed(&arena))
        return no_memory(ctx, what, bytes);
    *object = built;
    return INK_OK;
}

ink_result ink_object_create(ink_context *ctx, const char *what, ink_build_fn build, void *args, uint64_t max_bytes,
                             void **object)
{
    header origin = {.allocator = ctx->allocator};
    *object = NULL;
    INK_TRY(ink_object_measure(ctx, what, build, args, &origin.bytes));
    if (max_bytes != 0 && origin.bytes > max_bytes)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%s needs %zu bytes, the limit is %llu", what, origin.bytes,
                        (unsigned long long)max_bytes);

    if (!ink_memory_alloc(&ctx->allocator, origin.bytes, &origin.memory))
        return no_memory(ctx, what, origin.bytes);
    ink_result result = fill(ctx, what, build, args, origin.memory.start, origin.bytes, &origin, object);
    if (result != INK_OK)
        ink_memory_free(&origin.allocator, origin.memory);
    return result;
}

ink_result ink_object_create_in(ink_context *ctx, const char *what, ink_build_fn build, void *args, void *block,
                                size_t size, void **object)
{
    header origin = {0};
    *object = NULL;
    INK_TRY(ink_object_measure(ctx, what, build, args, &origin.bytes));
    if ((uintptr_t)block % INK_ALIGNMENT != 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "the block for %s must start at a multiple of %zu bytes", what,
                        (size_t)INK_ALIGNMENT);
    if (size < origin.bytes)
        return ink_fail(ctx, INK_ERROR_MEMORY, "the block for %s has %zu bytes, %zu are needed", what, size,
                        origin.bytes);
    return fill(ctx, what, build, args, block, origin.bytes, &origin, object);
}

void ink_object_free(void *object)
{
    if (object == NULL)
        return;
    header head = *header_of(object);
    if (head.allocator.resize != NULL)
        ink_memory_free(&head.allocator, head.memory);
}

size_t ink_object_bytes(const void *object) { return header_of(object)->bytes; }
