/*
 * platform.c - the memory, files and threads of the operating system: POSIX or Windows. Of Windows it needs kernel32.
 */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#endif
#if defined(__linux__)
#define _DEFAULT_SOURCE
#endif
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE
#endif

#include "platform.h"

#include <stdlib.h>
#if defined(_WIN32)
#if !defined(_WIN32_WINNT)
#define _WIN32_WINNT 0x0601 /* Windows 7 */
#endif
#include <windows.h>
#endif

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* Large blocks use pages of 2 MiB where the system has them. A processor remembers the addresses of a few thousand
   pages, and weights on small pages need more. Large pages make reading and filling weights 10 to 20 % faster. */
#define LARGE_PAGE ((size_t)2 << 20)
#define LARGE_BLOCK ((size_t)4 << 20)

#if defined(__linux__)
#include <errno.h>
#include <sys/mman.h>
#endif

void *ink_platform_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user, (void)old_size;
    if (new_size == 0) {
        free(block);
        return NULL;
    }
#if defined(MADV_HUGEPAGE)
    if (new_size >= LARGE_BLOCK) {
        int saved = errno;
        if (posix_memalign(&block, LARGE_PAGE, new_size) != 0)
            return NULL;
        madvise(block, new_size, MADV_HUGEPAGE); /* if the system refuses, the pages are small */
        errno = saved;
        return block;
    }
#endif
    return malloc(new_size);
}

/* ---- the processor -------------------------------------------------------------------------------------------- */

#if defined(__aarch64__)
#if defined(__linux__) || defined(__FreeBSD__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

bool ink_platform_has_dotprod(void)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return true; /* the whole program needs them */
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) & 1u << 20) != 0; /* HWCAP_ASIMDDP */
#elif defined(__FreeBSD__)
    unsigned long capabilities = 0;
    return elf_aux_info(AT_HWCAP, &capabilities, sizeof capabilities) == 0 && (capabilities & 1u << 20) != 0;
#elif defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, NULL, 0) == 0 && has != 0;
#elif defined(_WIN32)
    return IsProcessorFeaturePresent(43) != 0; /* PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE */
#else
    return false;
#endif
}
#endif

/* ---- files ---------------------------------------------------------------------------------------------------- */

#if defined(INK_NO_FILES)

ink_result ink_platform_open(const char *path, void **file, uint64_t *size)
{
    (void)path, (void)file, (void)size;
    return INK_ERROR_UNSUPPORTED;
}

ink_result ink_platform_read(void *file, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    (void)file, (void)offset, (void)buffer, (void)size, (void)got;
    return INK_ERROR_UNSUPPORTED;
}

void ink_platform_close(void *file) { (void)file; }

#elif !defined(_WIN32)

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A handle is the descriptor plus one, so that descriptor 0 is not NULL. */
static int descriptor_of(void *file) { return (int)((intptr_t)file - 1); }

ink_result ink_platform_open(const char *path, void **file, uint64_t *size)
{
    struct stat status;
    int fd, saved = errno;
    ink_result result = INK_OK;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block here */
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        result = errno == ENOENT || errno == ENOTDIR ? INK_ERROR_NOT_FOUND : INK_ERROR_READ;
    } else if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size < 0) {
        close(fd);
        result = INK_ERROR_READ;
    } else {
        *file = (void *)((intptr_t)fd + 1);
        *size = (uint64_t)status.st_size;
    }
    errno = saved;
    return result;
}

ink_result ink_platform_read(void *file, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    int saved = errno;
    size_t most = (size_t)1 << 30; /* systems refuse or cut reads of 2 GiB and more */
    ssize_t n;
    do {
        n = pread(descriptor_of(file), buffer, size < most ? size : most, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    errno = saved;
    *got = n > 0 ? (size_t)n : 0;
    return n < 0 ? INK_ERROR_READ : INK_OK;
}

void ink_platform_close(void *file)
{
    int saved = errno;
    close(descriptor_of(file));
    errno = saved;
}

#else

/* UTF-16 units of a path, its zero included: enough for the 4096 bytes of UTF-8 that source.c has room for. Windows
   refuses paths of MAX_PATH units, 260, unless a program and its system have agreed on long ones. */
#define PATH_UNITS 4096

ink_result ink_platform_open(const char *path, void **file, uint64_t *size)
{
    WCHAR wide[PATH_UNITS];
    LARGE_INTEGER length;
    HANDLE handle = INVALID_HANDLE_VALUE;
    DWORD saved = GetLastError();
    ink_result result = INK_OK;
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, PATH_UNITS) > 0)
        handle = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                             OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (handle == INVALID_HANDLE_VALUE) {
        DWORD why = GetLastError();
        bool absent = why == ERROR_FILE_NOT_FOUND || why == ERROR_PATH_NOT_FOUND || why == ERROR_INVALID_NAME;
        result = absent || why == ERROR_NO_UNICODE_TRANSLATION ? INK_ERROR_NOT_FOUND : INK_ERROR_READ;
    } else if (GetFileType(handle) != FILE_TYPE_DISK || !GetFileSizeEx(handle, &length)) { /* a pipe, NUL, a disk */
        CloseHandle(handle);
        result = INK_ERROR_READ;
    } else {
        *file = handle;
        *size = (uint64_t)length.QuadPart;
    }
    SetLastError(saved);
    return result;
}

ink_result ink_platform_read(void *file, uint64_t offset, void *buffer, size_t size, size_t *got)
{
    DWORD saved = GetLastError(), most = 1u << 30, n = 0;
    OVERLAPPED at = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
    bool done = ReadFile(file, buffer, size < most ? (DWORD)size : most, &n, &at) || GetLastError() == ERROR_HANDLE_EOF;
    SetLastError(saved);
    *got = done ? n : 0;
    return done ? INK_OK : INK_ERROR_READ;
}

void ink_platform_close(void *file)
{
    DWORD saved = GetLastError();
    CloseHandle(file);
    SetLastError(saved);
}

#endif

/* ---- float mode ----------------------------------------------------------------------------------------------- */

#if defined(__SSE2__) || defined(_M_X64)

#include <xmmintrin.h>

ink_float_mode ink_float_mode_enter(void)
{
    const unsigned flags = 0x3f, mode = 0x1f80; /* all exceptions masked; every other bit is zero */
    ink_float_mode host = {.control = _mm_getcsr()};
    if ((host.control & ~(uint64_t)flags) != mode) /* a new mode waits for all arithmetic before it */
        _mm_setcsr(mode);
    return host;
}

/* Most hosts have raised the flags of arithmetic before; reading the register is quicker than writing it. */
void ink_float_mode_leave(ink_float_mode host)
{
    if (_mm_getcsr() != (unsigned)host.control)
        _mm_setcsr((unsigned)host.control);
}

#elif defined(__aarch64__)

ink_float_mode ink_float_mode_enter(void)
{
    ink_float_mode host;
    __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(host.control), "=r"(host.status) : : "memory");
    if (host.control != 0)
        __asm__ volatile("msr fpcr, xzr" : : : "memory");
    return host;
}

void ink_float_mode_leave(ink_float_mode host)
{
    if (host.control != 0)
        __asm__ volatile("msr fpcr, %0" : : "r"(host.control) : "memory");
    __asm__ volatile("msr fpsr, %0" : : "r"(host.status) : "memory");
}

#else

ink_float_mode ink_float_mode_enter(void)
{
    ink_float_mode host;
    (void)fegetenv(&host.environment);
    (void)fesetenv(FE_DFL_ENV);
    return host;
}

void ink_float_mode_leave(ink_float_mode host) { (void)fesetenv(&host.environment); }

#endif

/* ---- threads -------------------------------------------------------------------------------------------------- */

#if !defined(INK_NO_THREADS) && !defined(_WIN32)

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* Before version 2.34 glibc had its threads in a library of their own, which a plain compiler line does not link. The
   functions that only this library has are weak there: without it they are NULL, the program links, and no thread
   starts. INK_WEAK_THREADS does the same elsewhere. */
#if defined(__GLIBC__)
#if !__GLIBC_PREREQ(2, 34)
#define INK_WEAK_THREADS
#endif
#endif
#if defined(INK_WEAK_THREADS)
#pragma weak pthread_create
#pragma weak pthread_join
#pragma weak pthread_sigmask
static bool there_are_threads(void) { return pthread_create != NULL && pthread_sigmask != NULL; }
#else
static bool there_are_threads(void) { return true; }
#endif

struct ink_thread {
    pthread_t id;
    void (*run)(void *);
    void *argument;
};

struct ink_sleep {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

static void *thread_main(void *argument)
{
    ink_thread *thread = argument;
    thread->run(thread->argument);
    return NULL;
}

bool ink_thread_start(ink_thread *thread, void (*run)(void *), void *argument)
{
    /* Faults of the thread itself and the profiler's clock: blocked, they would never reach the host's handlers. */
    static const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF};
    sigset_t all, before;
    thread->run = run;
    thread->argument = argument;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        sigdelset(&all, kept[i]);
    if (!there_are_threads() || pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return false;
    bool started = pthread_create(&thread->id, NULL, thread_main, thread) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void ink_thread_join(ink_thread *thread) { pthread_join(thread->id, NULL); }

bool ink_sleep_init(ink_sleep *sleep)
{
    if (pthread_mutex_init(&sleep->mutex, NULL) != 0)
        return false;
    if (pthread_cond_init(&sleep->condition, NULL) == 0)
        return true;
    pthread_mutex_destroy(&sleep->mutex);
    return false;
}

void ink_sleep_destroy(ink_sleep *sleep)
{
    pthread_cond_destroy(&sleep->condition);
    pthread_mutex_destroy(&sleep->mutex);
}

void ink_sleep_until(ink_sleep *sleep, bool (*ready)(void *), void *argument)
{
    pthread_mutex_lock(&sleep->mutex);
    while (!ready(argument))
        pthread_cond_wait(&sleep->condition, &sleep->mutex);
    pthread_mutex_unlock(&sleep->mutex);
}

void ink_sleep_wake_all(ink_sleep *sleep)
{
    pthread_mutex_lock(&sleep->mutex);
    pthread_cond_broadcast(&sleep->condition);
    pthread_mutex_unlock(&sleep->mutex);
}

long ink_process_id(void) { return (long)getpid(); }

uint64_t ink_platform_microseconds(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void ink_platform_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#elif !defined(INK_NO_THREADS)

struct ink_thread {
    HANDLE handle;
    void (*run)(void *);
    void *argument;
};

struct ink_sleep {
    SRWLOCK lock;
    CONDITION_VARIABLE condition;
};

/* Threads of the C library would be _beginthreadex()'s, but a worker calls nothing there that has state. */
static DWORD WINAPI thread_main(void *argument)
{
    ink_thread *thread = argument;
    thread->run(thread->argument);
    return 0;
}

bool ink_thread_start(ink_thread *thread, void (*run)(void *), void *argument)
{
    thread->run = run;
    thread->argument = argument;
    thread->handle = CreateThread(NULL, 0, thread_main, thread, 0, NULL);
    return thread->handle != NULL;
}

void ink_thread_join(ink_thread *thread)
{
    WaitForSingleObject(thread->handle, INFINITE);
    CloseHandle(thread->handle);
}

bool ink_sleep_init(ink_sleep *sleep)
{
    InitializeSRWLock(&sleep->lock);
    InitializeConditionVariable(&sleep->condition);
    return true;
}

void ink_sleep_destroy(ink_sleep *sleep) { (void)sleep; } /* neither holds anything of the system's */

void ink_sleep_until(ink_sleep *sleep, bool (*ready)(void *), void *argument)
{
    AcquireSRWLockExclusive(&sleep->lock);
    while (!ready(argument))
        SleepConditionVariableSRW(&sleep->condition, &sleep->lock, INFINITE, 0);
    ReleaseSRWLockExclusive(&sleep->lock);
}

void ink_sleep_wake_all(ink_sleep *sleep)
{
    AcquireSRWLockExclusive(&sleep->lock);
    WakeAllConditionVariable(&sleep->condition);
    ReleaseSRWLockExclusive(&sleep->lock);
}

long ink_process_id(void) { return (long)GetCurrentProcessId(); }

uint64_t ink_platform_microseconds(void)
{
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    uint64_t ticks = (uint64_t)now.QuadPart, second = (uint64_t)per_second.QuadPart;
    return ticks / second * 1000000 + ticks % second * 1000000 / second;
}

void ink_platform_pause(void) { YieldProcessor(); }

#endif

#if !defined(INK_NO_THREADS)

size_t ink_thread_bytes(void) { return sizeof(ink_thread); }

size_t ink_sleep_bytes(void) { return sizeof(ink_sleep); }

#endif
