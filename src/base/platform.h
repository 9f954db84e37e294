/*
 * platform.h - the one place that knows the operating system: memory, files, threads; and the processor's float mode.
 *
 * Build with INK_NO_THREADS where there are no threads, with INK_NO_FILES where there are no files.
 */
#ifndef INK_BASE_PLATFORM_H
#define INK_BASE_PLATFORM_H

#include <inkling/context.h>

#if defined(__STDC_NO_ATOMICS__) && !defined(INK_NO_THREADS) /* MSVC without /experimental:c11atomics */
#define INK_NO_THREADS
#endif

/* malloc and free behind the allocator hook. */
void *ink_platform_resize(void *user, void *block, size_t old_size, size_t new_size);

/* Files. The result codes are those of ink_source; errno is as it was afterwards. */
ink_result ink_platform_open(const char *path, void **file, uint64_t *size);
ink_result ink_platform_read(void *file, uint64_t offset, void *buffer, size_t size, size_t *got);
void ink_platform_close(void *file);

#if !defined(INK_NO_THREADS)
/* Threads, for workers.c. A thread starts with all signals blocked, so that the host program's handlers run on the
   host's own threads; except those that a fault of the thread itself or a profiler raises. */
typedef struct ink_thread ink_thread;
typedef struct ink_sleep ink_sleep;
size_t ink_thread_bytes(void);
size_t ink_sleep_bytes(void);
bool ink_thread_start(ink_thread *thread, void (*run)(void *), void *argument);
void ink_thread_join(ink_thread *thread);
bool ink_sleep_init(ink_sleep *sleep);
void ink_sleep_destroy(ink_sleep *sleep);

/* Sleeps until ready(argument) is true. It is asked at the start and after each wake; a thread that makes it true must
   wake all sleepers afterwards. */
void ink_sleep_until(ink_sleep *sleep, bool (*ready)(void *), void *argument);
void ink_sleep_wake_all(ink_sleep *sleep);

/* The number of this process. A child of fork() has another one, and none of its parent's other threads. */
long ink_process_id(void);

/* A clock that only goes forward. */
uint64_t ink_platform_microseconds(void);

/* A hint to the processor that this is a spin loop. */
void ink_platform_pause(void);
#endif

/* True if the system says that an aarch64 processor has dot products of bytes (FEAT_DotProd). */
#if defined(__aarch64__)
bool ink_platform_has_dotprod(void);
#endif

/*
 * The float mode that all arithmetic of the library relies on: rounding to nearest, subnormal numbers kept, nothing
 * trapped. A thread of the host may have another one: audio programs flush subnormal numbers, and so does a program
 * linked with -ffast-math. So public functions that compute do this around it:
 *
 *     ink_float_mode host = ink_float_mode_enter();
 *     ...
 *     ink_float_mode_leave(host);
 *
 * and the host finds its mode, the flags included, as it was. It costs about a nanosecond if the host's mode is the
 * same, and some ten if it is another.
 */
#if defined(__SSE2__) || defined(_M_X64) || defined(__aarch64__)
typedef struct ink_float_mode {
    uint64_t control, status;
} ink_float_mode;
#else
#include <fenv.h>
typedef struct ink_float_mode {
    fenv_t environment;
} ink_float_mode;
#endif

ink_float_mode ink_float_mode_enter(void);
void ink_float_mode_leave(ink_float_mode host);

#endif
