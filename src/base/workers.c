/*
 * workers.c - handing the tasks of a job to waiting threads.
 *
 * A job is published by storing the number of its tasks in `remaining`. A thread takes a task by decrementing it, and
 * only then reads fn and job. Both stay as they are until the task is done, because the caller publishes nothing else
 * before `unfinished` is zero. So a thread that wakes late finds either nothing or a valid task.
 *
 * A child of fork() has none of the threads, and a lock that one of them held stays locked in it. So a child neither
 * wakes nor joins anybody: it runs all tasks itself.
 *
 * A thread waits by spinning for a bounded number of turns (a spinning worker answers in 0.1 us), and then sleeps
 * (20 us, but on a busy machine it holds no processor).
 *
 * Beside a busy process one of the threads loses its processor now and then in the middle of a task, for 4 ms and more,
 * and all others wait for it. After such a stall a worker rests: it sleeps and takes no task until the caller, some
 * time later, lets it try again. A rest is eight times as long as the stall, in case that was the only one, and four
 * times as long as the rest before, but at most 0.4 s, if the stall follows soon after it. So beside a process that
 * stays busy one job in some thousands waits, and not one in fifty. Whoever stalls while another rests joins that rest.
 */
#include <string.h>

#include "internal.h"

#if !defined(INK_NO_THREADS)
#include <stdatomic.h>

#define SPIN_TURNS 2000 /* a tenth of a millisecond where a pause is 140 cycles */
#define STALL_US ((size_t)500)
#define LONGEST_REST_US 400000
#define CALM_US 100000 /* without a stall: the next is not the work of the same process */

typedef struct worker {
    _Alignas(INK_ALIGNMENT) ink_workers *all;
    atomic_bool resting;
    atomic_size_t finished; /* its last task, in microseconds; may wrap around */
} worker;

struct ink_workers {
    _Alignas(INK_ALIGNMENT) atomic_size_t remaining;  /* tasks nobody has taken yet */
    _Alignas(INK_ALIGNMENT) atomic_size_t unfinished; /* tasks that are not done yet */
    _Alignas(INK_ALIGNMENT) atomic_uint sleeping;     /* threads in, or on their way to, ink_sleep_until */
    atomic_bool stopping;
    ink_task_fn fn;
    void *job;
    ink_sleep *sleep;
    unsigned n_threads; /* the caller's included */
    unsigned n_started;
    long process; /* the threads are in */
    worker *list; /* [n_threads - 1] */
    bool some_rest;
    uint64_t rest;          /* the last one, in microseconds */
    uint64_t rest_end;      /* when they may try again */
    unsigned char *threads; /* [n_threads - 1] of ink_thread_bytes() */
    ink_memory memory;      /* all of this */
    const ink_allocator *allocator;
};

static void workers_wake(ink_workers *w)
{
    if (atomic_load(&w->sleeping) > 0)
        ink_sleep_wake_all(w->sleep);
}

/* Takes a task of the present job, if there is one, and runs it. `me` is NULL on the caller's thread. */
static bool workers_run_one(ink_workers *w, worker *me)
{
    size_t left = atomic_load_explicit(&w->remaining, memory_order_relaxed);
    do {
        if (left == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&w->remaining, &left, left - 1, memory_order_acquire,
                                                    memory_order_relaxed));
    w->fn(w->job, left - 1);
    if (me != NULL)
        atomic_store_explicit(&me->finished, (size_t)ink_platform_microseconds(), memory_order_relaxed);
    if (atomic_fetch_sub(&w->unfinished, 1) == 1)
        workers_wake(w); /* the caller, if it fell asleep */
    return true;
}

static bool worker_is_needed(void *argument)
{
    worker *me = argument;
    return atomic_load(&me->all->remaining) > 0 || atomic_load(&me->resting) || atomic_load(&me->all->stopping);
}

static bool worker_has_rested(void *argument)
{
    worker *me = argument;
    return !atomic_load(&me->resting) || atomic_load(&me->all->stopping);
}

static bool workers_are_done(void *workers) { return atomic_load(&((ink_workers *)workers)->unfinished) == 0; }

/* Returns once ready(argument) is true. */
static void workers_wait(ink_workers *w, bool (*ready)(void *), void *argument)
{
    for (int turn = 0; turn < SPIN_TURNS; turn++) {
        if (ready(argument))
            return;
        ink_platform_pause();
    }
    /* Counted before the next look: a thread that makes it true looks at `sleeping` afterwards. */
    atomic_fetch_add(&w->sleeping, 1);
    ink_sleep_until(w->sleep, ready, argument);
    atomic_fetch_sub(&w->sleeping, 1);
}

static void worker_main(void *argument)
{
    worker *me = argument;
    ink_workers *w = me->all;
    (void)ink_float_mode_enter(); /* a thread starts with the mode of the thread that started it */
    while (!atomic_load(&w->stopping)) {
        if (atomic_load(&me->resting))
            ink_sleep_until(w->sleep, worker_has_rested, me); /* not counted: a job need not wake it */
        else if (!workers_run_one(w, me))
            workers_wait(w, worker_is_needed, me);
    }
}

/*
 * Waits for the tasks that the workers have taken. If tasks are alike and the caller ran some, a thread that is at work
 * when the tasks run out needs no longer than it has taken so far, or twice as long if its processor is half as fast.
 * If the last one comes half a millisecond after three times what the caller took, or the caller after three times what
 * the workers took, it has lost its processor: there are more threads than processors. Then a worker rests: the one
 * that was late, or any if it was the caller. Times are microseconds since `begin`.
 */
static void workers_finish(ink_workers *w, uint64_t begin, bool alike)
{
    const size_t mine = (size_t)(ink_platform_microseconds() - begin);
    workers_wait(w, workers_are_done, w);
    const size_t all = (size_t)(ink_platform_microseconds() - begin);
    if (!alike || all <= STALL_US)
        return;
    worker *late = NULL, *spare = NULL;
    size_t last = 0; /* of the workers */
    for (unsigned i = 0; i < w->n_started; i++) {
        worker *one = &w->list[i];
        size_t finished = atomic_load_explicit(&one->finished, memory_order_relaxed) - (size_t)begin;
        if (finished <= all && finished > last) { /* or it ran no task of this job */
            last = finished;
            if (finished > 3 * mine + STALL_US)
                late = one;
        }
        if (!atomic_load(&one->resting))
            spare = one;
    }
    if (late == NULL && last > 0 && mine > 3 * last + STALL_US)
        late = spare;
    if (late == NULL)
        return;
    atomic_store(&late->resting, true);
    if (!w->some_rest) {
        w->rest = begin > w->rest_end + CALM_US ? 8 * (all - ink_size_min(mine, last)) : 4 * w->rest;
        w->rest = w->rest < LONGEST_REST_US ? w->rest : LONGEST_REST_US;
        w->rest_end = begin + all + w->rest;
    }
    w->some_rest = true;
}

static void workers_end_rest(ink_workers *w)
{
    for (unsigned i = 0; i < w->n_started; i++)
        atomic_store(&w->list[i].resting, false);
    w->some_rest = false;
    ink_sleep_wake_all(w->sleep);
}

static ink_thread *workers_thread(ink_workers *w, unsigned i) { return (void *)(w->threads + i * ink_thread_bytes()); }

static size_t workers_align(size_t size) { return (size + INK_ALIGNMENT - 1) / INK_ALIGNMENT * INK_ALIGNMENT; }

ink_workers *ink_workers_create(const ink_allocator *allocator, unsigned n_threads)
{
    /* One block: this structure, whose size is a multiple of INK_ALIGNMENT; the workers; their threads; the sleep. */
    size_t n = n_threads - 1, list_size = workers_align(n * sizeof(worker));
    size_t threads_size = workers_align(n * ink_thread_bytes());
    ink_memory memory;
    if (!ink_memory_alloc(allocator, sizeof(ink_workers) + list_size + threads_size + ink_sleep_bytes(), &memory))
        return NULL;
    ink_workers *w = memory.start;
    memset(w, 0, sizeof *w);
    w->list = (void *)((unsigned char *)memory.start + sizeof *w);
    w->threads = (unsigned char *)w->list + list_size;
    w->sleep = (void *)(w->threads + threads_size);
    w->n_threads = n_threads;
    w->process = ink_process_id();
    w->memory = memory;
    w->allocator = allocator;
    atomic_init(&w->remaining, 0);
    atomic_init(&w->unfinished, 0);
    atomic_init(&w->sleeping, 0);
    atomic_init(&w->stopping, false);
    if (!ink_sleep_init(w->sleep)) {
        ink_memory_free(allocator, memory);
        return NULL;
    }
    for (; w->n_started < n_threads - 1; w->n_started++) {
        worker *one = &w->list[w->n_started];
        one->all = w;
        atomic_init(&one->resting, false);
        atomic_init(&one->finished, 0);
        if (!ink_thread_start(workers_thread(w, w->n_started), worker_main, one)) {
            ink_workers_free(w);
            return NULL;
        }
    }
    return w;
}

void ink_workers_free(ink_workers *workers)
{
    if (workers == NULL)
        return;
    if (workers->process == ink_process_id()) {
        atomic_store(&workers->stopping, true);
        ink_sleep_wake_all(workers->sleep);
        for (unsigned i = 0; i < workers->n_started; i++)
            ink_thread_join(workers_thread(workers, i));
        ink_sleep_destroy(workers->sleep);
    }
    ink_memory_free(workers->allocator, workers->memory);
}

unsigned ink_workers_count(const ink_workers *workers) { return workers != NULL ? workers->n_threads : 1; }

#else

ink_workers *ink_workers_create(const ink_allocator *allocator, unsigned n_threads)
{
    (void)allocator, (void)n_threads;
    return NULL;
}

void ink_workers_free(ink_workers *workers) { (void)workers; }

unsigned ink_workers_count(const ink_workers *workers) { return (void)workers, 1; }

#endif

void ink_workers_run(ink_workers *workers, ink_task_fn fn, void *job, size_t n_tasks, bool alike)
{
#if !defined(INK_NO_THREADS)
    if (workers != NULL && n_tasks > 1 && workers->process == ink_process_id()) {
        uint64_t begin = ink_platform_microseconds();
        if (workers->some_rest && begin >= workers->rest_end)
            workers_end_rest(workers);
        workers->fn = fn;
        workers->job = job;
        atomic_store(&workers->unfinished, n_tasks);
        atomic_store(&workers->remaining, n_tasks); /* from here on a worker can take it */
        workers_wake(workers);
        size_t mine = 0;
        while (workers_run_one(workers, NULL))
            mine++;
        workers_finish(workers, begin, alike && mine > 0);
        return;
    }
#endif
    (void)workers, (void)alike;
    for (size_t task = 0; task < n_tasks; task++)
        fn(job, task);
}
