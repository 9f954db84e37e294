/*
 * process.h - runs one of the built programs as its user would, and keeps what it said.
 */
#ifndef INK_TESTS_PROCESS_H
#define INK_TESTS_PROCESS_H

#include <stddef.h>

typedef struct process {
    int code;  /* exit code; 128 + n if signal n ended it */
    char *out; /* stdout, with a NUL behind it */
    char *err; /* stderr, the same */
    size_t out_size, err_size;
} process;

/* Runs the program at arguments[0] (looked for in PATH if it has no slash) with the arguments up to a NULL, in the
   folder `folder` (NULL: this one), with `input` as its stdin (NULL: none). Fails the test if it cannot be started.
   Give back with process_free(). */
process process_run(const char *folder, const char *const *arguments, const char *input);

/* A terminal and its master end, both to be closed. Skips the test where there are no terminals (no /dev/pts). */
int process_terminal(int *master);

/* As process_run(), with a terminal as its stdout; newlines come as the program wrote them. */
process process_run_at_terminal(const char *const *arguments, const char *input);

/* The same with a terminal of so many columns; 0: it does not tell. */
process process_run_at_columns(const char *const *arguments, const char *input, unsigned short columns);
void process_free(process *p);

#endif
