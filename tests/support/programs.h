/*
 * programs.h - what the tests of the example programs share: running them, what they said, and folders for their files.
 */
#ifndef INK_TESTS_PROGRAMS_H
#define INK_TESTS_PROGRAMS_H

#include <stddef.h>

#include "process.h"

/* run("x", "y") runs the program x with the argument y. */
#define run(...) process_run(NULL, (const char *const[]){__VA_ARGS__, NULL}, NULL)

/* The same with `input` as its stdin. */
#define run_with(input, ...) process_run(NULL, (const char *const[]){__VA_ARGS__, NULL}, input)

/* Puts the folder of the programs into PATH, for the invocations that helps show. 0, as cmocka's set-up wants it. */
int find_programs(const char *folder);

/* The text of a successful run, to be freed. */
char *output_of(process p);

/* The program refused: exit code 1, nothing on stdout, one sentence with these words on stderr. */
void refused(process p, const char *words);

/* How often a text holds another, and the number that stands behind some words. */
size_t count_of(const char *text, const char *what);
double number_after(const char *text, const char *words);

/* A folder for this test's files; removed with everything in it by forget(). */
char *fresh_folder(void);
void forget(char *folder);

/* "folder/name", to be freed; whole files, the bytes with a NUL behind them. */
char *join_path(const char *folder, const char *name);
char *read_file(const char *folder, const char *name, size_t *size);
void write_file(const char *folder, const char *name, const char *bytes, size_t size);
void copy_file(const char *from, const char *to, const char *name);

#endif
