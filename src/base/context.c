/*
 * context.c - making and freeing contexts, result names, scratch memory, tracing.
 */
#include <string.h>

#include "../tensor/kernel.h"
#include "internal.h"
#include "platform.h"

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *ink_version(void) { return VERSION_TEXT(INK_VERSION_MAJOR, INK_VERSION_MINOR, INK_VERSION_PATCH); }

const char *ink_result_name(ink_result result)
{
    switch (result) {
    case INK_OK:
        return "INK_OK";
    case INK_ERROR_ARGUMENT:
        return "INK_ERROR_ARGUMENT";
    case INK_ERROR_MEMORY:
        return "INK_ERROR_MEMORY";
    case INK_ERROR_LIMIT:
        return "INK_ERROR_LIMIT";
    case INK_ERROR_NOT_FOUND:
        return "INK_ERROR_NOT_FOUND";
    case INK_ERROR_READ:
        return "INK_ERROR_READ";
    case INK_ERROR_CORRUPT:
        return "INK_ERROR_CORRUPT";
    case INK_ERROR_MISMATCH:
        return "INK_ERROR_MISMATCH";
    case INK_ERROR_UNSUPPORTED:
        return "INK_ERROR_UNSUPPORTED";
    case INK_ERROR_NONFINITE:
        return "INK_ERROR_NONFINITE";
    case INK_ERROR_CANCELLED:
        return "INK_ERROR_CANCELLED";
    }
    return "unknown result";
}

ink_context *ink_context_create(const ink_context_options *options)
{
    ink_context_options chosen = {0};
    if (options != NULL)
        chosen = *options;
    if (chosen.allocator.resize == NULL)
        chosen.allocator.resize = ink_platform_resize;
    const ink_kernel *kernel = ink_kernel_find(chosen.kernel);
    if (kernel == NULL || chosen.n_threads > INK_MAX_THREADS)
        return NULL;

    ink_memory memory;
    if (!ink_memory_alloc(&chosen.allocator, sizeof(ink_context), &memory))
        return NULL;
    ink_context *ctx = memory.start;
    memset(ctx, 0, sizeof *ctx);
    ctx->memory = memory;
    ctx->allocator = chosen.allocator;
    ctx->kernel = kernel;
    ink_arena_grow(&ctx->scratch, &ctx->allocator);
    if (chosen.n_threads > 1) {
        ctx->workers = ink_workers_create(&ctx->allocator, chosen.n_threads);
        if (ctx->workers == NULL) {
            ink_context_free(ctx);
            return NULL;
        }
    }
    return ctx;
}

void ink_context_free(ink_context *ctx)
{
    if (ctx == NULL)
        return;
    ink_allocator allocator = ctx->allocator;
    ink_workers_free(ctx->workers);
    ink_arena_free(&ctx->scratch);
    ink_memory_free(&allocator, ctx->memory);
}

const char *ink_context_error(const ink_context *ctx) { return ctx != NULL ? ctx->error : "there is no context"; }

const char *ink_context_kernel(const ink_context *ctx) { return ctx->kernel->name; }

unsigned ink_context_threads(const ink_context *ctx) { return ink_workers_count(ctx->workers); }

/* ---- scratch -------------------------------------------------------------------------------------------------- */

ink_result ink_scratch_fail(ink_context *ctx, ink_arena_mark mark)
{
    ink_arena_release(&ctx->scratch, mark);
    return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory for scratch");
}

ink_result ink_scratch_reserve(ink_context *ctx, size_t bytes)
{
    if (ctx->scratch.used != 0 || ctx->scratch.current != ctx->scratch.first)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "scratch cannot be reserved from inside a call of this context");
    if (!ink_arena_reserve(&ctx->scratch, bytes))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the scratch of such calls needs %zu bytes", bytes);
    return INK_OK;
}

/* ---- tracing ------------------------------------------------------------------------------------------- */

void ink_context_trace(ink_context *ctx, ink_trace_fn trace, void *user)
{
    ctx->trace = trace;
    ctx->trace_user = user;
}

size_t ink_trace_enter(ink_context *ctx, const char *format, size_t i)
{
    size_t before = ctx->trace_scope_length;
    if (ctx->trace != NULL)
        ctx->trace_scope_length += ink_format(ctx->trace_scope + before, sizeof ctx->trace_scope - before, format, i);
    return before;
}

void ink_trace_leave(ink_context *ctx, size_t length)
{
    ctx->trace_scope_length = length;
    ctx->trace_scope[length] = '\0';
}

void ink_trace_call(ink_context *ctx, const char *name, ink_tensor value)
{
    char full[2 * INK_TRACE_SCOPE_SIZE];
    ink_format(full, sizeof full, "%s%s", ctx->trace_scope, name);
    ctx->trace(ctx->trace_user, full, &value);
}
