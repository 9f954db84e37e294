/*
 * console.h - what the programs read, and what they say to whom: text goes to stdout, everything else to stderr.
 *
 * A function that returns bool answers whether to go on; if not, it has already printed why.
 */
#ifndef EXAMPLES_CONSOLE_H
#define EXAMPLES_CONSOLE_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__MINGW32__)
#define CONSOLE_FORMAT(text, first) __attribute__((format(__MINGW_PRINTF_FORMAT, text, first)))
#elif defined(__GNUC__)
#define CONSOLE_FORMAT(text, first) __attribute__((format(printf, text, first)))
#else
#define CONSOLE_FORMAT(text, first)
#endif

/* Names the program for its messages, prepares its streams, and returns the arguments of main() in UTF-8. */
char **console_start(const char *program, int argc, char **argv);

/* Prints "program: sentence" as a line on stderr; returns false. */
bool console_complain(const char *format, ...) CONSOLE_FORMAT(1, 2);

/* True if a call of the library succeeded; otherwise prints the context's error. */
bool console_ok(const ink_context *ctx, ink_result result);

/* The same for a call with a list of texts, whose error begins with "text 6: ". The library counts from 0 in each list;
   the printed sentence has the number that the text has for the user: numbers[6]. */
bool console_ok_list(const ink_context *ctx, ink_result result, const size_t *numbers);

/* Zeroed memory for count items, to be released with free(); NULL after an error message. */
void *console_memory(size_t count, size_t size);

/* `items` or a larger block, with room for n items in any case. NULL after an error message; `items` is still valid. */
void *console_grow(void *items, size_t *room, size_t n, size_t size);

/* Prints a line on stderr: news, not a mistake. */
void console_note(const char *format, ...) CONSOLE_FORMAT(1, 2);

/* Prints text on stderr without a newline: the prompt, which the program's own text on stdout continues. */
void console_echo(const char *text);

/* Shows the current step on a line of stderr that a later call replaces; "" clears it. Prints nothing if stderr is not
   a terminal, nor in the first half second, nor more than ten times a second. */
void console_progress(const char *format, ...) CONSOLE_FORMAT(1, 2);

/* Writes to stdout at once. False without a message if the output did not arrive: console_finish() reports it. */
bool console_write(const char *text, size_t size);
bool console_print(const char *format, ...) CONSOLE_FORMAT(1, 2);

/* The same for text of others: what a model says, or lines of stdin. If stdout is a terminal, bytes that would steer it
   become \xNN, all but newlines and tabs. A pipe or a file gets the text as it is. */
bool console_say(const char *text, size_t size);

/* How many columns everything that is drawn or wrapped has: those of the terminal if stdout is one (or, if it does not
   tell, the environment variable COLUMNS), within these bounds; otherwise 80. Wider are only rows of tables and of
   charts, where the numbers need the room, and what somebody may want to copy: commands, paths, names of tensors. */
enum { CONSOLE_NARROWEST = 40, CONSOLE_USUAL = 80, CONSOLE_WIDEST = 160 };
size_t console_width(void);

/* Prints text to stdout in lines two columns shorter than console_width(), and no longer than people like to read. The
   cursor stands at column `indent`; later lines start there. */
void console_wrap(const char *text, size_t indent);

/* True if everything written to stdout has arrived; called before a program ends. Silent if the reader closed a pipe.
 */
bool console_finish(void);

/* True if stdin is a terminal. Before it is read, console_ask() says there, on stderr, what to type ("the prompt"), one
   a line or not, and how to end it. */
bool console_is_asked(void);
void console_ask(const char *what, bool by_line);

/* From here on Ctrl-C does not end the program. It ends a read from stdin, and console_interrupted() reports it once.
 */
void console_catch_interrupts(void);
bool console_interrupted(void);

/* Seconds since some point in the past. */
double console_seconds(void);

/* The number of processors as far as the system tells, at most INK_MAX_THREADS; 1 in a build without threads. */
unsigned console_processors(void);

/* A context with this many threads and this kernel (NULL: the best one here); NULL after an error message. */
ink_context *console_context(uint64_t n_threads, const char *kernel);

/* Numbers for people, written into `room`: "1.26 M", "4.5 KB", "12,345". A rate is n / seconds, or "-". */
#define CONSOLE_ROOM 32
const char *console_parameters(char room[CONSOLE_ROOM], uint64_t n);
const char *console_bytes(char room[CONSOLE_ROOM], uint64_t n);
const char *console_count(char room[CONSOLE_ROOM], uint64_t n);
const char *console_rate(char room[CONSOLE_ROOM], size_t n, double seconds);

/* A name from a file (a label, a tensor, a token) as it may be shown anywhere: bytes of control characters, of those
   that change the order of text, and of those that nobody sees become \xNN. Returns `room`, cut to `size`. */
const char *console_harmless(char *room, size_t size, const char *text);

/* ---- files ------------------------------------------------------------------------------------------------------ */

#define PATH_ROOM 1024

/* Writes "folder/file" into `room`. */
bool path_join(char room[PATH_ROOM], const char *folder, const char *file);

/* A whole file (NULL: stdin) with a zero byte behind it, to be released with free(); NULL after an error message. In a
   text each "\r\n" becomes "\n", as in lines_next(). */
char *file_read(const char *path, size_t *size);
char *text_read(const char *path, size_t *size);

/* False, with a message, if something is there that is no plain file: opening a pipe may wait for ever. */
bool file_is_plain(const char *path);

/* Opens a file for writing, NULL after an error message; writes; closes it: false, with a message, if a write failed.
   file_write() is console_write() if the file is stdout. */
FILE *file_create(const char *path);
bool file_write(FILE *file, const char *path, const void *bytes, size_t size);
bool file_close(FILE *file, const char *path);

/* A file that is written whole or not at all. It grows under a name beside `path`, which is written to `beside`, and
   gets its own in file_end() if it is complete; a file that has it is replaced. Otherwise nothing is left of it. "-" is
   stdout. NULL and false come after an error message; file_end() with `complete` false is false without one. */
FILE *file_begin(const char *path, char beside[PATH_ROOM]);
bool file_end(FILE *file, const char *path, const char *beside, bool complete);

/* True if `folder` is NULL or a folder that pictures can be written to, as far as the system tells. */
bool console_takes_pictures(const char *folder);

/* A stream read line by line, whatever the lines hold. Zero-initialise all but the stream. */
typedef struct lines {
    FILE *stream;
    char *text; /* [size] the last line without its end, "\n" or "\r\n", with a zero byte behind it */
    size_t size, room;
} lines;

typedef enum lines_outcome {
    LINES_LINE,
    LINES_END,
    LINES_INTERRUPTED, /* Ctrl-C; the unfinished line is lost */
    LINES_ERROR        /* after an error message */
} lines_outcome;

/* Reads the next line; the last one needs no newline. */
lines_outcome lines_next(lines *in);
void lines_close(lines *in);

#endif
