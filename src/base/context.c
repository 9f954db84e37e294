/*
 * context.c - making and freeing contexts, names of results, and looking inside.
 */
#include <string.h>

#include "internal.h"

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *ink_version(void) { return VERSION_TEXT(INK_VERSION_MAJOR, INK_VERSION_MINOR, INK_VERSION_PATCH); }

const char *ink_result_name(ink_result result)
{
    static const char *const names[] = {
        [INK_OK] = "INK_OK",
        [INK_ERROR_ARGUMENT] = "INK_ERROR_ARGUMENT",
        [INK_ERROR_MEMORY] = "INK_ERROR_MEMORY",
        [INK_ERROR_LIMIT] = "INK_ERROR_LIMIT",
        [INK_ERROR_NOT_FOUND] = "INK_ERROR_NOT_FOUND",
        [INK_ERROR_READ] = "INK_ERROR_READ",
        [INK_ERROR_CORRUPT] = "INK_ERROR_CORRUPT",
        [INK_ERROR_MISMATCH] = "INK_ERROR_MISMATCH",
        [INK_ERROR_UNSUPPORTED] = "INK_ERROR_UNSUPPORTED",
        [INK_ERROR_NONFINITE] = "INK_ERROR_NONFINITE",
        [INK_ERROR_CANCELLED] = "INK_ERROR_CANCELLED",
    };
    return (size_t)result < sizeof names / sizeof names[0] ? names[result] : "unknown result";
}

static void set_default(uint64_t *limit, uint64_t usual)
{
    if (*limit == 0)
        *limit = usual;
}

ink_context *ink_context_create(const ink_context_options *options)
{
    ink_context_options chosen = {0};
    if (options != NULL)
        chosen = *options;
    if (chosen.allocator.resize == NULL)
        chosen.allocator.resize = ink_platform_resize;
    set_default(&chosen.limits.settings_bytes, (uint64_t)32 << 20);
    set_default(&chosen.limits.table_bytes, (uint64_t)256 << 20);
    set_default(&chosen.limits.state_bytes, (uint64_t)4 << 30);
    set_default(&chosen.limits.text_growth, 8);
    set_default(&chosen.limits.token_bytes, (uint64_t)64 << 10);
    set_default(&chosen.limits.template_bytes, (uint64_t)64 << 20);
    char *error = chosen.error;
    size_t error_size = error != NULL ? chosen.error_size : 0;
    ink_format(error, error_size, "%s", "");
    const struct ink_kernel *kernel = ink_kernel_find(chosen.kernel);
    if (kernel == NULL) {
        ink_format(error, error_size, "kernel '%s' is unknown, or not supported by this build or machine",
                   chosen.kernel);
        return NULL;
    }
    if (chosen.n_threads > INK_MAX_THREADS) {
        ink_format(error, error_size, "n_threads is %u, expected at most %d", chosen.n_threads, INK_MAX_THREADS);
        return NULL;
    }

    ink_memory memory;
    if (!ink_memory_alloc(&chosen.allocator, sizeof(ink_context), &memory)) {
        ink_format(error, error_size, "out of memory: a context has %zu bytes", sizeof(ink_context));
        return NULL;
    }
    ink_context *ctx = memory.start;
    *ctx = (ink_context){.memory = memory, .allocator = chosen.allocator, .limits = chosen.limits, .kernel = kernel};
    ink_arena_grow(&ctx->scratch, &ctx->allocator);
    ink_arena_grow(&ctx->gathered, &ctx->allocator);
    if (chosen.n_threads > 1) {
        ctx->workers = ink_workers_create(&ctx->allocator, chosen.n_threads);
        if (ctx->workers == NULL) {
            ink_format(error, error_size,
                       "%u threads cannot be started: there is no memory, the system refuses, or this "
                       "library was built without threads",
                       chosen.n_threads);
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
    ink_arena_free(&ctx->gathered);
    ink_memory_free(&allocator, ctx->memory);
}

const char *ink_context_error(const ink_context *ctx) { return ctx != NULL ? ctx->error : "there is no context"; }

unsigned ink_context_threads(const ink_context *ctx) { return ink_workers_count(ctx->workers); }

const ink_limits *ink_context_limits(const ink_context *ctx) { return &ctx->limits; }

/* ---- tracing ------------------------------------------------------------------------------------------- */

void ink_context_trace(ink_context *ctx, ink_trace_fn trace, void *user)
{
    ctx->trace = trace;
    ctx->trace_user = user;
}

void ink_trace_leave(ink_context *ctx, size_t length)
{
    ctx->trace_scope_length = length;
    ctx->trace_scope[length] = '\0';
}

void ink_trace_call(ink_context *ctx, const char *name, const struct ink_tensor *value)
{
    char full[2 * INK_TRACE_SCOPE_SIZE];
    ink_format(full, sizeof full, "%s%s", ctx->trace_scope, name);
    ctx->trace(ctx->trace_user, full, value);
}
