/*
 * programs.h - testing the example programs from end to end: running them, and folders of files for them to read.
 *
 * Whatever goes wrong here fails the test. What is returned is freed with free().
 */
#ifndef INK_TESTS_PROGRAMS_H
#define INK_TESTS_PROGRAMS_H

#include "process.h"

/* run("x", "y") runs the program x with the argument y. */
#define run(...) process_run(NULL, (const char *const[]){__VA_ARGS__, NULL}, NULL)

/* The text of a successful run. */
char *output_of(process p);

/* The program refused: exit code 1, nothing on stdout, one sentence with these words on stderr. */
void refused(process p, const char *words);

/* How often `what` is in the text; the number that follows the first of these words. */
size_t count(const char *text, const char *what);
double number_after(const char *text, const char *words);

/* A folder for a test's files; removed with everything in it by forget(). */
char *fresh_folder(void);
void forget(char *folder);

char *join(const char *folder, const char *name);
char *read_file(const char *folder, const char *name, size_t *size); /* a NUL follows */
void write_file(const char *folder, const char *name, const char *bytes, size_t size);
void copy_file(const char *from, const char *to, const char *name);

#endif
