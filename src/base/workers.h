/*
 * workers.h - a few threads that wait for work: they spin for a bounded time, then sleep. One that loses its processor
 * to another process in the middle of a task is left alone for a while.
 */
#ifndef INK_BASE_WORKERS_H
#define INK_BASE_WORKERS_H

#include <inkling/context.h>

typedef struct ink_workers ink_workers;

/* One task of a job, counted from 0. Tasks run in any order, on any thread. */
typedef void (*ink_task_fn)(void *job, size_t task);

/* Starts n_threads - 1 workers (the caller is the last thread). NULL if there is no memory or a thread does not
   start. */
ink_workers *ink_workers_create(const ink_allocator *allocator, unsigned n_threads);
void ink_workers_free(ink_workers *workers);
unsigned ink_workers_count(const ink_workers *workers); /* threads, the caller's included; 1 for NULL */

/* Runs fn(job, 0) .. fn(job, n_tasks - 1), each once, and returns when all are done. If workers is NULL, or there is
   one task, the caller's thread runs them. `alike`: all tasks are as much work, so a thread that is late has lost its
   processor. */
void ink_workers_run(ink_workers *workers, ink_task_fn fn, void *job, size_t n_tasks, bool alike);

#endif
