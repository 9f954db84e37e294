/*
 * console.h - what the example programs say, and to whom: text to stdout, everything else to stderr.
 */
#ifndef EXAMPLES_CONSOLE_H
#define EXAMPLES_CONSOLE_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define CONSOLE_FORMAT __attribute__((format(printf, 1, 2)))
#else
#define CONSOLE_FORMAT
#endif

/* Names the program for its messages. From here on a closed pipe is a failed write instead of the program's end. */
void console_start(const char *program);

/* "program: sentence", a line on stderr. */
void console_complain(const char *format, ...) CONSOLE_FORMAT;

/* A line on stderr as it is: news, not mistakes. */
void console_note(const char *format, ...) CONSOLE_FORMAT;

/* A text on stderr without a newline: the prompt, in front of what a program writes to stdout. */
void console_echo(const char *text);

/* What the program is doing now, on a line of stderr that the next one replaces; only for somebody who is looking: if
   stderr is no terminal, nothing is written. An empty text clears the line. */
void console_progress(const char *format, ...) CONSOLE_FORMAT;

/* Writes bytes to stdout at once. False if they did not get there: the reader has gone, the disk is full. */
bool console_write(const char *text, size_t size);

/* A text to stdout in lines of at most 78 columns, all but the first behind `indent` spaces; there the first begins. */
void console_wrap(const char *text, size_t indent);

/* True if --svg was not given, or names a folder that pictures can be written to, as far as the system tells; else says
   so. Asked before the work whose pictures they are. */
bool console_takes_pictures(const char *folder);

/* True if all that was written to stdout has arrived. Called before a program ends. Says what is wrong, unless it is
   only that nobody reads any more. */
bool console_finish(void);

/* True if whoever types into stdin sits at a terminal. */
bool console_is_asked(void);

/* From here on Ctrl-C does not end the program: it ends a read from stdin, and is remembered. The second says whether
   it was pressed, and forgets it. */
void console_catch_interrupts(void);
bool console_interrupted(void);

/* Seconds since some point in the past. */
double console_seconds(void);

/* How many processors there are to run threads on, as far as the system tells, at most INK_MAX_THREADS; 1 in a build
   without threads. */
unsigned console_processors(void);

/* A context with that many threads and that kernel (NULL: the best of this machine), or NULL with the sentence said. */
ink_context *console_context(uint64_t n_threads, const char *kernel);

/* Numbers as people read them, into the caller's room: "1.26 M", "4.5 KB", "12,345". Returns `room`. */
#define CONSOLE_ROOM 32
const char *console_parameters(char room[CONSOLE_ROOM], uint64_t n);
const char *console_bytes(char room[CONSOLE_ROOM], uint64_t n);
const char *console_count(char room[CONSOLE_ROOM], uint64_t n);

/* Text from a file made harmless for a terminal: control characters become '?'. Returns `room`, cut to `size`. */
const char *console_harmless(char *room, size_t size, const char *text);

#endif
