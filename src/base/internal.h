/*
 * internal.h - what all files of the library share: the context, errors, objects, scratch memory, tracing, files.
 */
#ifndef INK_BASE_INTERNAL_H
#define INK_BASE_INTERNAL_H

#include <stdarg.h>

#include <inkling/arena.h>
#include <inkling/context.h>
#include <inkling/source.h>

#include "bytes.h"
#include "platform.h"
#include "workers.h"

/* A context chooses the table of functions for all arithmetic (tensor/kernel.h). Base stands below tensor, so it knows
   the table only by name; tensor implements this: the kernel of that name, or the best one for NULL; NULL if there is
   none of that name or this machine does not support it. */
struct ink_kernel;
const struct ink_kernel *ink_kernel_find(const char *name);

/* Memory straight from an allocator hook, whose addresses may have any alignment: `start` is the first multiple of
   INK_ALIGNMENT in it. Contexts, objects and growing arenas lie in it; everything else comes from an arena. */
typedef struct ink_memory {
    void *start;
    void *raw; /* the hook's own pointer, to raw_size bytes */
    size_t raw_size;
} ink_memory;

bool ink_memory_alloc(const ink_allocator *allocator, size_t size, ink_memory *memory);
void ink_memory_free(const ink_allocator *allocator, ink_memory memory);

#define INK_ERROR_SIZE 768
#define INK_TRACE_SCOPE_SIZE 128

struct ink_context {
    ink_allocator allocator;
    ink_memory memory; /* of this structure */
    ink_limits limits; /* with defaults filled in */
    const struct ink_kernel *kernel;
    ink_workers *workers; /* NULL: everything runs on the calling thread */
    ink_arena scratch;    /* growing; a function that allocates from it releases to its own mark */
    ink_arena gathered;   /* the same for what a call gathers while its scratch comes and goes */
    size_t turn;          /* counts the calls that read the same weights again and again (recurrent.c) */
    ink_trace_fn trace;
    void *trace_user;
    char trace_scope[INK_TRACE_SCOPE_SIZE]; /* "h.2." while block 2 runs */
    size_t trace_scope_length;
    char error[INK_ERROR_SIZE];
};

/* ---- errors --------------------------------------------------------------------------------------------------- */

/* The compiler checks the arguments of a format against its letters. For Windows, gcc's "printf" lacks %zu. */
#if defined(__GNUC__) && !defined(__clang__)
#define INK_PRINTF(at, first) __attribute__((__format__(__gnu_printf__, at, first)))
#elif defined(__GNUC__)
#define INK_PRINTF(at, first) __attribute__((__format__(__printf__, at, first)))
#else
#define INK_PRINTF(at, first)
#endif

/*
 * ink_fail() writes the sentence into the context and returns `result`, so that a check reads
 *
 *     if (n_heads == 0)
 *         return ink_fail(ctx, INK_ERROR_MISMATCH, "%s: n_head is 0, expected at least 1", file);
 *
 * The formats are a few of printf's (printf itself reads the locale):
 *
 *   %s          a string, at most 160 bytes of it; %.300s: at most 300
 *   %.*s        int n, const char *: n bytes, NULs included
 *   %zu %u %llu size_t, unsigned, unsigned long long
 *   %d %lld     int, long long
 *   %%          itself
 *
 * Characters that could steer a terminal are escaped in every string, so text from files needs no care. A shape is a
 * string: "%s", INK_SHAPE(&shape) gives [768, 3072].
 */
ink_result ink_fail(ink_context *ctx, ink_result result, const char *format, ...) INK_PRINTF(3, 4);

/* A member of ink_limits: INK_LIMIT(ctx, settings_bytes). */
typedef struct ink_limit {
    const char *name;
    uint64_t most;
} ink_limit;
#define INK_LIMIT(ctx, member) ((ink_limit){#member, (ctx)->limits.member})

/* INK_ERROR_LIMIT, with a sentence, if `needed` is beyond the limit: "config.json: this needs 40000000 bytes, ..." */
ink_result ink_limit_check(ink_context *ctx, const char *what, uint64_t needed, ink_limit limit);

/* Writes `where` and ": " in front of the sentence of a failure, and returns `result`. */
ink_result ink_fail_in(ink_context *ctx, ink_result result, const char *where);

/* Removes the sentence of a failure that does not make the whole call fail: a call that succeeds leaves none. */
static inline void ink_error_clear(ink_context *ctx) { ctx->error[0] = '\0'; }

/* True if `result` says that a file is missing, for files that need not be there. Removes the sentence about it. */
bool ink_is_missing(ink_context *ctx, ink_result result);

/* The same formats into a buffer, always NUL-terminated, cut at its end. Returns the length written. */
size_t ink_format(char *buffer, size_t size, const char *format, ...) INK_PRINTF(3, 4);
size_t ink_format_list(char *buffer, size_t size, const char *format, va_list list) INK_PRINTF(3, 0);

#define INK_SHAPE_TEXT ((size_t)192) /* bytes of the longest shape as text */
#define INK_SHAPE(shape)                                                                                               \
    ink_shape_text((char[INK_SHAPE_TEXT]){0}, (shape)->rank, (shape)->dim, sizeof(shape)->dim / sizeof(size_t))
const char *ink_shape_text(char *buffer, size_t rank, const size_t *dims, size_t max_rank);

/* Returns the failure of a call to the caller. */
#define INK_TRY(call)                                                                                                  \
    do {                                                                                                               \
        ink_result ink_try_result = (call);                                                                            \
        if (ink_try_result != INK_OK)                                                                                  \
            return ink_try_result;                                                                                     \
    } while (0)

/* The index of the first NULL, or n. Inline, because every public call comes here. */
static inline size_t ink_first_null(const void *const *pointers, size_t n)
{
    size_t i = 0;
    while (i < n && pointers[i] != NULL)
        i++;
    return i;
}

/* Public entry points start with this: the context, and the pointers they need. The sentence names the one that is
   NULL; without a context there is nowhere to write it. It removes the sentence of the call before, so a call that
   succeeds leaves none. */
#define INK_REQUIRE(ctx, ...)                                                                                          \
    do {                                                                                                               \
        const void *const ink_pointers[] = {(ctx), __VA_ARGS__};                                                       \
        size_t ink_null = ink_first_null(ink_pointers, sizeof ink_pointers / sizeof *ink_pointers);                    \
        if (ink_null < sizeof ink_pointers / sizeof *ink_pointers)                                                     \
            return ink_fail_null((ctx), __func__, #__VA_ARGS__, ink_null);                                             \
        ink_error_clear(ctx);                                                                                          \
    } while (0)

/* INK_ERROR_ARGUMENT: the i-th of `names` ("x, y"), from 1, is NULL; 0 is the context. */
ink_result ink_fail_null(ink_context *ctx, const char *function, const char *names, size_t i);

/* ---- objects and scratch -------------------------------------------------------------------------------------- */

/* Frees an object and all memory it holds. NULL, and an object in a caller's block, need nothing. */
void ink_object_free(void *object);

/* Bytes of memory an object holds. */
size_t ink_object_bytes(const void *object);

/* A NUL-terminated copy of text [size] in an arena; NULL if there is no memory. */
const char *ink_arena_string(ink_arena *arena, const char *text, size_t size);

/*
 * An object whose layout is known: the caller adds up in a measuring arena what it allocates, the structure first, gets
 * an arena over exactly that much memory, and allocates the same again. `what` names the object in messages ("the
 * state"). With `block` the memory is the caller's, of block_size bytes; ink_object_size() says how many are needed.
 */
size_t ink_object_size(const ink_arena *measured);
ink_result ink_object_new(ink_context *ctx, const char *what, const ink_arena *measured, void *block, size_t block_size,
                          ink_arena *arena);

/*
 * An object whose parts are found one by one, because they come from a file: `size` bytes of zeros, and an arena of its
 * own. One more block of exactly known size may follow, if the object then holds at most max_bytes (0: no limit).
 */
ink_result ink_object_begin(ink_context *ctx, const char *what, size_t size, void **object, ink_arena **arena);
ink_result ink_object_add_block(ink_context *ctx, const char *what, void *object, size_t size, uint64_t max_bytes,
                                ink_arena *block);

/*
 * Calls. A function that computes takes scratch memory, computes in the library's float mode, and gives the memory
 * back. Its reserve function runs the same lines up to ink_call_ready(), over a measuring arena:
 *
 *     ink_call call;
 *     ink_call_begin(&call, ctx, reserve);
 *     float *x = ink_alloc_rows(call.arena, rows, width);
 *     if (ink_call_ready(&call))
 *         ... compute ...
 *     return ink_call_end(&call);
 */
typedef struct ink_call {
    ink_context *ctx;
    ink_arena *arena; /* allocate scratch here; may point to `measure`, so an ink_call is not copied */
    ink_arena measure;
    ink_arena_mark mark;
    ink_float_mode host;
    bool computes;
} ink_call;

void ink_call_begin(ink_call *call, ink_context *ctx, bool reserve);
bool ink_call_ready(ink_call *call);
ink_result ink_call_end(ink_call *call);

/* Releases scratch to `mark` and returns the result. After a failure the context also gives back what it grew since the
   mark: it holds as much as before, in one block. */
ink_result ink_scratch_end(ink_context *ctx, ink_arena_mark mark, ink_result result);

/* The same after an allocation that failed: INK_ERROR_MEMORY. */
ink_result ink_scratch_fail(ink_context *ctx, ink_arena_mark mark);

/* Makes sure that there are `bytes` of scratch (the sum of a measuring arena); the reserve functions call it. */
ink_result ink_scratch_reserve(ink_context *ctx, size_t bytes);

/* [rows, columns] floats from an arena; a size that overflows fails the arena. */
static inline float *ink_alloc_rows(ink_arena *arena, size_t rows, size_t columns)
{
    size_t count = SIZE_MAX;
    ink_size_mul(rows, columns, &count);
    return ink_arena_alloc(arena, count, sizeof(float));
}

/* ---- tracing --------------------------------------------------------------------------------------------------- */

/* Calls the callback, if one is set, with scope + name. `value` is an ink_tensor. */
void ink_trace_call(ink_context *ctx, const char *name, const struct ink_tensor *value);
#define INK_TRACE(ctx, name, value)                                                                                    \
    do {                                                                                                               \
        if ((ctx)->trace != NULL) {                                                                                    \
            const ink_tensor ink_traced = (value);                                                                     \
            ink_trace_call((ctx), (name), &ink_traced);                                                                \
        }                                                                                                              \
    } while (0)

/* Appends to the scope and returns its former length, for ink_trace_leave(). ink_format's formats. */
size_t ink_trace_enter(ink_context *ctx, const char *format, ...) INK_PRINTF(2, 3);
void ink_trace_leave(ink_context *ctx, size_t length);

/* ---- files ---------------------------------------------------------------------------------------------------- */

/* An open file of a source, and its size. A read is whole, or an error. `name` is kept for messages. */
typedef struct ink_file {
    const ink_source *source;
    void *handle;
    const char *name;
    uint64_t size;
} ink_file;

ink_result ink_file_open(ink_context *ctx, const ink_source *source, const char *name, ink_file *file);
ink_result ink_file_read(ink_context *ctx, const ink_file *file, uint64_t offset, void *buffer, size_t size);
void ink_file_close(ink_file *file);

/* Reads a whole file, of a size within the limit, into memory from `arena`. */
ink_result ink_file_read_all(ink_context *ctx, const ink_source *source, const char *name, ink_limit limit,
                             ink_arena *arena, const char **text, size_t *size);

#endif
