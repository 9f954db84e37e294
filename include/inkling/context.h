/*
 * context.h - result codes, the allocator hook, and the context every call goes through.
 *
 * One thread at a time uses a context. It holds the allocator, the worker threads, the chosen kernel, the scratch
 * memory and the last error. Models and layers are immutable once made, and any number of contexts may use them at
 * once. The library has no writable globals.
 *
 * Functions that return an ink_result answer NULL for an argument they need with INK_ERROR_ARGUMENT. Functions that
 * only say something about an object (a size, a name) want a valid object. Every _free takes NULL. Built at -O2 or
 * above, a call needs at most 16 KB of stack.
 *
 * The same bits. The result for a sequence is the same to the last bit
 *
 *   - for any number of threads, for any cut of its tokens into calls, alone or beside others in a list, at any
 *     alignment of the arrays;
 *   - with every kernel, built by gcc or clang at any level of optimisation;
 *   - on every processor that computes as IEEE 754 says: x86-64, aarch64, riscv64, s390x, of either byte order;
 *   - in any float mode of the calling thread. A function that computes sets rounding to nearest, keeps subnormal
 *     numbers and traps nothing, and puts back what it found, flags included; callbacks (progress, readers, the trace)
 *     run in the library's mode. So a host may flush subnormal numbers, or be built with -ffast-math; the library
 *     itself cannot, and says so.
 *
 * Outside this promise: sequences with NaN or infinity among their activations (NaNs compare as one class: their bits
 * differ between processors); weights held as another element type, which are other weights; the sign of zeros with the
 * kernels for SSE2 and WebAssembly; i386 with x87 arithmetic and armv7, whose results are only close; a RoPE of type
 * dynamic, which depends on the capacity of the state by definition (rope.h); times.
 */
#ifndef INKLING_CONTEXT_H
#define INKLING_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library; CMake reads it from here. Before 1.0 a new minor version may change the interface, so
   programs are compiled anew with it; a new patch version changes neither the interface nor the size of a structure. */
#define INK_VERSION_MAJOR 0
#define INK_VERSION_MINOR 6
#define INK_VERSION_PATCH 0

/* "0.2.0". The string is static. */
const char *ink_version(void);

/* Every function that can fail returns one of these. After anything but INK_OK, ink_context_error() says what failed,
   where, what was expected and what was found. The objects of the call are then as they were, output handles are NULL,
   and the context holds no more scratch memory than before. */
typedef enum ink_result {
    INK_OK = 0,
    INK_ERROR_ARGUMENT,    /* the caller passed something that the contract excludes: NULL, an unknown token id */
    INK_ERROR_MEMORY,      /* the allocator returned NULL, or the caller's block is too small */
    INK_ERROR_LIMIT,       /* the call would exceed a limit of the caller or of the object: bytes, context window */
    INK_ERROR_NOT_FOUND,   /* a file or a tensor is missing */
    INK_ERROR_READ,        /* the file or the caller's reader failed */
    INK_ERROR_CORRUPT,     /* a file breaks its own format */
    INK_ERROR_MISMATCH,    /* two things that are each well-formed contradict each other: shape against config */
    INK_ERROR_UNSUPPORTED, /* well-formed, but of a kind that this library does not run */
    INK_ERROR_NONFINITE,   /* NaN or infinity where a finite number is needed */
    INK_ERROR_CANCELLED    /* the caller's progress callback asked to stop */
} ink_result;

/* "INK_ERROR_CORRUPT" and so on; "unknown result" for any other number. Static strings. */
const char *ink_result_name(ink_result result);

/*
 * The allocator hook, in the manner of Lua: one function allocates, resizes and frees memory.
 *
 *   block NULL                allocate new_size bytes
 *   new_size 0                free block (old_size bytes); the result is ignored
 *   otherwise                 never asked for: the library does not resize in place
 *
 * Returns NULL when there is no memory. Any alignment will do. The library calls the hook only when it makes or frees
 * objects and when scratch grows. The hook must be thread-safe only if several threads make or free objects at once.
 */
typedef struct ink_allocator {
    void *(*resize)(void *user, void *block, size_t old_size, size_t new_size);
    void *user;
} ink_allocator;

/*
 * Limits on what other people's files and texts may cost. A member that is 0 has its default. A call that would go
 * beyond a limit answers INK_ERROR_LIMIT before it takes the memory, and the sentence names the member. The memory of a
 * model's weights has a limit of its own: max_bytes in ink_model_options.
 */
typedef struct ink_limits {
    uint64_t settings_bytes; /* memory for reading one file of settings: config.json and the files beside it,
                                tokenizer_config.json, a chat template. A file takes twice its size and 56 bytes for
                                each value in it. Default 32 MB */
    uint64_t table_bytes;    /* the same for one long table: tokenizer.json, vocab.json, vocab.txt, merges.txt, a model
                                file of SentencePiece, the index of shards, the header of a safetensors or GGUF file.
                                Default 256 MB */
    uint64_t state_bytes;    /* of a state that ink_state_create() makes, of an encoded source that
                                ink_encoded_create() makes, and of a generator without its states. Default 4 GB */
    uint64_t text_growth;    /* a normalizer may make so many characters of each byte of a text, and 1024 more.
                                Default 8 */
    uint64_t token_bytes;    /* of text that a decoder may make of one token. Default 64 KB */
    uint64_t template_bytes; /* memory that running a chat template may take. Default 64 MB */
} ink_limits;

/* Zero-initialise and set what differs: {0} means malloc, no worker threads, the best kernel of this machine. */
typedef struct ink_context_options {
    ink_allocator allocator; /* resize == NULL: malloc and free */
    unsigned n_threads;      /* threads a call may use, the caller's own included; 0 and 1: no worker threads; at most
                                INK_MAX_THREADS */
    const char *kernel; /* "portable", "sse2", "avx2", "avx512", "neon", "simd128" (WebAssembly); with dot products of
                           bytes, which make quantised weights faster, "avx2_vnni", "avx512_vnni", "neon_dotprod";
                           NULL: the best here */
    ink_limits limits;
    char *error; /* [error_size], or NULL: where ink_context_create() writes why it failed, as one sentence; "" if it
                    did not. There is no context yet to ask. */
    size_t error_size;
} ink_context_options;

#define INK_MAX_THREADS 64

typedef struct ink_context ink_context;

/* Makes a context; options may be NULL. Returns NULL if there is no memory, a thread does not start, n_threads is
   beyond INK_MAX_THREADS, or the named kernel is unknown or not supported here; options->error says which. Free with
   ink_context_free().

       char why[256];
       ink_context *ctx = ink_context_create(&(ink_context_options){.n_threads = 4, .error = why, .error_size = 256});
 */
ink_context *ink_context_create(const ink_context_options *options);

/* A child of fork() has the contexts and objects of its parent that were in no call at that moment. It may use and free
   them, as far as its C library lets it take memory. The worker threads stay behind: there its calls run on the calling
   thread, with the same bits. Files that objects hold open (ink_weights) are read at offsets of their own, so parent
   and child do not disturb each other. */

/* Stops the worker threads and frees all memory of the context. Objects made through it live on. NULL is fine. */
void ink_context_free(ink_context *ctx);

/* Why the last call with this context failed, as one sentence without a newline; "" if it succeeded. Calls that return
   no ink_result leave it as it is. Valid until the next call with this context. */
const char *ink_context_error(const ink_context *ctx);

/* The kernel this context uses ("avx512"), and the number of threads a call may use (at least 1). */
const char *ink_context_kernel(const ink_context *ctx);
unsigned ink_context_threads(const ink_context *ctx);

/* The limits of this context, with their defaults filled in. */
const ink_limits *ink_context_limits(const ink_context *ctx);

/* The name of the i-th kernel that this machine can run, best first; NULL after the last. For tests and timings. */
const char *ink_kernel_name(size_t i);

/*
 * Looking inside: every forward pass through this context calls `trace` with each intermediate value and its name
 * ("h.2.attn.scores", "rnn.l0.gates"). `value` is a row-major f32 view that is valid only during the call. The calls
 * come on the calling thread, in the order of the computation. NULL switches tracing off, and then it costs nothing.
 * The callback must not call into the library with the same context.
 */
struct ink_tensor;
typedef void (*ink_trace_fn)(void *user, const char *name, const struct ink_tensor *value);
void ink_context_trace(ink_context *ctx, ink_trace_fn trace, void *user);

#ifdef __cplusplus
}
#endif

#endif
