/*
 * system.h - what the programs need of the operating system: POSIX or Windows. Texts and paths are UTF-8 on both.
 */
#ifndef EXAMPLES_SYSTEM_H
#define EXAMPLES_SYSTEM_H

#include <stdbool.h>
#include <stdio.h>

/* Prepares the standard streams, which then hold UTF-8 and lines that end with "\n". From here on writing to a closed
   pipe fails instead of ending the program. Returns the arguments of main() in UTF-8. */
char **system_start(int argc, char **argv);

bool system_is_terminal(int descriptor);

/* What ends a text that is typed. */
#if defined(_WIN32)
#define SYSTEM_END_KEY "Ctrl-Z and Enter"
#else
#define SYSTEM_END_KEY "Ctrl-D"
#endif

/* The columns of the terminal that stdout is; 0 if it is none, or does not tell. */
unsigned system_columns(void);

/* The next byte of a stream; what is typed into a terminal, too. EOF at the end, or if ferror(stream);
   SYSTEM_INTERRUPTED if Ctrl-C ended the read. */
#define SYSTEM_INTERRUPTED (EOF - 1)
int system_next_byte(FILE *stream);

/* Calls the handler on Ctrl-C, which then does not end the program. */
void system_catch_interrupts(void (*handler)(int number));

/* fopen(), remove(), and rename(), which replaces a file that is there. False with errno set if it fails. */
FILE *system_open(const char *path, const char *mode);
void system_remove(const char *path);
bool system_rename(const char *from, const char *path);

typedef enum system_kind { SYSTEM_NOTHING, SYSTEM_FILE, SYSTEM_FOLDER, SYSTEM_OTHER } system_kind;

system_kind system_kind_of(const char *path); /* SYSTEM_OTHER: a pipe or a device */
bool system_may_write(const char *path);

/* Seconds since some point in the past. */
double system_seconds(void);

/* The processors that are there; 1 if the system does not tell. */
long system_processors(void);

#endif
