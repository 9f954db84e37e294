/*
 * programs.h - what the tests of the example programs share: running them, what they said, and folders for their files.
 */
#ifndef INK_TESTS_PROGRAMS_H
#define INK_TESTS_PROGRAMS_H

#include <inkling.h>

#include <stddef.h>

#include "process.h"

/* run("x", "y") runs the program x with the argument y. */
#define run(...) process_run(NULL, (const char *const[]){__VA_ARGS__, NULL}, NULL)

/* The same with `input` as its stdin. */
#define run_with(input, ...) process_run(NULL, (const char *const[]){__VA_ARGS__, NULL}, input)

/* The same with a terminal as its stdout. */
#define run_at_terminal(input, ...) process_run_at_terminal((const char *const[]){__VA_ARGS__, NULL}, input)

/* Puts the folder of the programs into PATH, for the invocations that helps show. 0, as cmocka's set-up wants it. */
int find_programs(const char *folder);

/* The text of a successful run, to be freed. */
char *output_of(process p);

/* The program refused: exit code 1, nothing on stdout, one sentence with these words on stderr, behind notes about
   words that its vocabulary lacks. */
void refused(process p, const char *words);

/* Command lines, and the words that refuse each of them. */
typedef struct mistake {
    const char *arguments[8]; /* the program first, NULL behind the last */
    const char *words;
} mistake;

void mistakes_refused(const mistake *mistakes, size_t n);

/* No line of a text is longer than 80 columns. */
void fits_80_columns(const char *text);

/* How often a text holds another, and the number that stands behind some words. */
size_t count_of(const char *text, const char *what);
double number_after(const char *text, const char *words);

/* A folder for this test's files; removed with everything in it by forget(). The second one holds copies of a model's
   files: its weights, settings and tokenizer, as far as they are there. */
char *fresh_folder(void);
char *copy_of_model(const char *model);
void forget(char *folder);

/* "folder/name", to be freed; whole files, the bytes with a NUL behind them. */
char *join_path(const char *folder, const char *name);
char *read_file(const char *folder, const char *name, size_t *size);
void write_file(const char *folder, const char *name, const char *bytes, size_t size);
void copy_file(const char *from, const char *to, const char *name);
void copy_model(const char *from, const char *to);

/* A fresh folder with the bundled models "gpt" and "bert", in which the query and the value weights of a block of the
   BERT are exchanged, for INKLING_MODELS. */
char *broken_bert(void);

/* The files of a model as the library opens them, for comparison. */
typedef struct opened {
    ink_context *ctx;
    ink_model *model;
    ink_tokenizer *tokenizer;
    const ink_model_info *info;
    ink_state *state; /* of any length; NULL for an encoder */
} opened;

opened open_model(const char *folder, ink_pooling pooling);
void close_model(opened *o);

#endif
