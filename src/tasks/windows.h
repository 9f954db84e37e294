/*
 * windows.h - texts of any length through a model that reads a bounded number of tokens: windows that overlap.
 *
 * One text of each passage (tasks.h) is cut into windows. The other tokens of the passage, those of the template and of
 * the question, are in each of them. Windows of all passages wait until there are enough of them, and run together.
 */
#ifndef INK_TASKS_WINDOWS_H
#define INK_TASKS_WINDOWS_H

#include <inkling/tasks.h>

#include "../models/networks.h"

/* The text is the tokens [first, first + count) of its passage. A window has `room` of them, and begins `step` of them
   behind the one before. */
typedef struct ink_window_cut {
    size_t first, count, room, step, n_windows;
} ink_window_cut;

/* The tokens [skipped, skipped + count) of the text, with those around it: tokens [first, first + count) of the window.
 */
typedef struct ink_window {
    size_t passage;
    ink_window_cut cut;
    size_t skipped, count;
    const ink_token *tokens; /* [n_tokens] */
    size_t n_tokens;
    float *logits; /* [n_tokens, n_labels] */
} ink_window;

static inline bool ink_window_is_last(const ink_window *w) { return w->skipped + w->count == w->cut.count; }

/* Receives each window with its logits, in order. */
typedef void (*ink_window_fn)(void *user, const ink_window *window);

typedef struct ink_windows {
    ink_context *ctx;
    const ink_model *model;
    const ink_passage *passages; /* [n_passages] */
    size_t n_passages;
    int text;          /* which text of a passage is cut: ink_place.text */
    const char *name;  /* of it, in messages */
    size_t max_tokens; /* of a window */
    size_t stride;     /* tasks.h */
    ink_window_fn take;
    void *user;

    size_t longest, most; /* tokens of the longest window, and windows of one passage at most */

    size_t capacity;     /* tokens of the windows that run together */
    ink_text *texts;     /* of the windows that wait, */
    ink_window *waiting; /* and where they are from */
    size_t n_windows, n_tokens;
    ink_token *tokens, *types; /* [capacity] */
    float *logits;             /* [capacity, n_labels] */
} ink_windows;

/* Checks all passages and finds `longest` and `most`. INK_ERROR_ARGUMENT, INK_ERROR_LIMIT. */
ink_result ink_windows_check(ink_windows *w);

/* Takes memory from the arena, whose owner sees a failure. */
void ink_windows_alloc(ink_windows *w, ink_arena *arena);

/* Runs all windows. INK_ERROR_NONFINITE: the passage that is named, and those behind it, were not taken as a whole. */
ink_result ink_windows_run(ink_windows *w);

#endif
