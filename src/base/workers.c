/*
 * workers.c - handing pieces of a job to waiting threads.
 *
 * A job is published by storing the number of its tasks in `remaining`. Whoever takes a task decrements it and only
 * then reads fn and job, which stay as they are until the task is done, because the caller waits for `unfinished` to
 * become zero before it publishes anything else. So a thread that wakes late finds either nothing or a valid task.
 *
 * Waiting is spinning for a bounded number of turns (a spinning worker answers in 0.1 us), then sleeping (20 us, but
 * no processor is held on a busy machine).
 */
#include "workers.h"

#include <string.h>

#include "internal.h"
#include "platform.h"

#if defined(__STDC_NO_ATOMICS__) && !defined(INK_NO_THREADS)
#define INK_NO_THREADS
#endif

#if defined(INK_NO_THREADS)

struct ink_workers {
    char unused;
};

ink_workers *ink_workers_create(const ink_allocator *allocator, unsigned n_threads)
{
    (void)allocator, (void)n_threads;
    return NULL;
}

void ink_workers_free(ink_workers *workers) { (void)workers; }

unsigned ink_workers_count(const ink_workers *workers)
{
    (void)workers;
    return 1;
}

void ink_workers_run(ink_workers *workers, ink_task_fn fn, void *job, size_t n_tasks)
{
    (void)workers;
    for (size_t task = 0; task < n_tasks; task++)
        fn(job, task);
}

#else

#include <stdatomic.h>

#define SPIN_TURNS 2000 /* about 50 us where a pause is 140 cycles */

struct ink_workers {
    _Alignas(INK_ALIGNMENT) atomic_size_t remaining;  /* tasks nobody has taken yet */
    _Alignas(INK_ALIGNMENT) atomic_size_t unfinished; /* tasks that are not done yet */
    _Alignas(INK_ALIGNMENT) atomic_uint sleeping;     /* threads in, or on their way to, ink_sleep_wait */
    atomic_bool stopping;
    ink_task_fn fn;
    void *job;
    ink_sleep *sleep;
    unsigned n_threads; /* the caller's included */
    unsigned n_started;
    const ink_allocator *allocator;
    ink_memory memory;
    unsigned char *threads; /* [n_threads - 1] of ink_thread_bytes() */
};

/* Takes a task of the present job, if there is one, and runs it. */
static bool run_one(ink_workers *w)
{
    size_t left = atomic_load_explicit(&w->remaining, memory_order_relaxed);
    do {
        if (left == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&w->remaining, &left, left - 1, memory_order_acquire,
                                                    memory_order_relaxed));
    w->fn(w->job, left - 1);
    /* The last one done wakes the caller, should it have gone to sleep. */
    if (atomic_fetch_sub(&w->unfinished, 1) == 1 && atomic_load(&w->sleeping) > 0) {
        ink_sleep_lock(w->sleep);
        ink_sleep_wake_all(w->sleep);
        ink_sleep_unlock(w->sleep);
    }
    return true;
}

static bool has_work(ink_workers *w) { return atomic_load(&w->remaining) > 0 || atomic_load(&w->stopping); }

static bool is_done(ink_workers *w) { return atomic_load(&w->unfinished) == 0; }

/* Returns once ready(w) is true: first spinning, then asleep. */
static void wait_until(ink_workers *w, bool (*ready)(ink_workers *))
{
    for (int turn = 0; turn < SPIN_TURNS; turn++) {
        if (ready(w))
            return;
        ink_platform_pause();
    }
    ink_sleep_lock(w->sleep);
    atomic_fetch_add(&w->sleeping, 1); /* before looking again: whoever changes it looks at `sleeping` afterwards */
    while (!ready(w))
        ink_sleep_wait(w->sleep);
    atomic_fetch_sub(&w->sleeping, 1);
    ink_sleep_unlock(w->sleep);
}

static void wake_sleepers(ink_workers *w)
{
    if (atomic_load(&w->sleeping) > 0) {
        ink_sleep_lock(w->sleep);
        ink_sleep_wake_all(w->sleep);
        ink_sleep_unlock(w->sleep);
    }
}

static void worker_main(void *argument)
{
    ink_workers *w = argument;
    (void)ink_float_mode_enter(); /* a thread begins with the mode of the one that started it */
    while (!atomic_load(&w->stopping)) {
        if (!run_one(w))
            wait_until(w, has_work);
    }
}

static ink_workers *take_pieces(ink_arena *arena, unsigned n_threads)
{
    ink_workers *w = ink_arena_alloc(arena, 1, sizeof *w);
    ink_sleep *sleep = ink_arena_alloc(arena, 1, ink_sleep_bytes());
    unsigned char *threads = ink_arena_alloc(arena, n_threads - 1, ink_thread_bytes());
    if (w == NULL)
        return NULL;
    memset(w, 0, sizeof *w);
    w->sleep = sleep;
    w->threads = threads;
    return w;
}

static ink_workers *allocate(const ink_allocator *allocator, unsigned n_threads)
{
    ink_arena arena;
    ink_memory memory;
    ink_arena_measure(&arena);
    take_pieces(&arena, n_threads);
    size_t size = arena.used;
    if (!ink_memory_alloc(allocator, size, &memory))
        return NULL;
    ink_arena_over(&arena, memory.start, size);
    ink_workers *w = take_pieces(&arena, n_threads);
    w->memory = memory;
    w->allocator = allocator;
    w->n_threads = n_threads;
    atomic_init(&w->remaining, 0);
    atomic_init(&w->unfinished, 0);
    atomic_init(&w->sleeping, 0);
    atomic_init(&w->stopping, false);
    return w;
}

static ink_thread *thread_at(ink_workers *w, unsigned i) { return (void *)(w->threads + i * ink_thread_bytes()); }

ink_workers *ink_workers_create(const ink_allocator *allocator, unsigned n_threads)
{
    ink_workers *w = allocate(allocator, n_threads);
    if (w == NULL)
        return NULL;
    if (!ink_sleep_init(w->sleep)) {
        ink_memory_free(allocator, w->memory);
        return NULL;
    }
    while (w->n_started < n_threads - 1) {
        if (!ink_thread_start(thread_at(w, w->n_started), worker_main, w)) {
            ink_workers_free(w);
            return NULL;
        }
        w->n_started++;
    }
    return w;
}

void ink_workers_free(ink_workers *workers)
{
    if (workers == NULL)
        return;
    atomic_store(&workers->stopping, true);
    wake_sleepers(workers);
    for (unsigned i = 0; i < workers->n_started; i++)
        ink_thread_join(thread_at(workers, i));
    ink_sleep_destroy(workers->sleep);
    ink_memory_free(workers->allocator, workers->memory);
}

unsigned ink_workers_count(const ink_workers *workers) { return workers != NULL ? workers->n_threads : 1; }

void ink_workers_run(ink_workers *workers, ink_task_fn fn, void *job, size_t n_tasks)
{
    if (workers == NULL || n_tasks <= 1) {
        for (size_t task = 0; task < n_tasks; task++)
            fn(job, task);
        return;
    }
    workers->fn = fn;
    workers->job = job;
    atomic_store(&workers->unfinished, n_tasks);
    atomic_store(&workers->remaining, n_tasks); /* from here on it can be taken */
    wake_sleepers(workers);
    while (run_one(workers)) {
    }
    wait_until(workers, is_done);
}

#endif
