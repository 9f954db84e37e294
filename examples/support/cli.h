/*
 * cli.h - the command line of a program: options anywhere, positional arguments, --help; and the frame of main().
 *
 *     static uint64_t n = 200;
 *     static const cli_option options[] = {
 *         CLI_COUNT("-n", "COUNT", &n, 0, 1000, "how many tokens (default 200)"),
 *         CLI_MACHINE,
 *     };
 *     static cli line = {.name = "generate", .usage = "FOLDER \"prompt\" [options]", CLI_OPTIONS(options), ...};
 *
 *     int main(int argc, char **argv) { return cli_main(&line, argc, argv, generate); }
 *
 * Every mistake is answered with one sentence on stderr: which option, what was expected, what was found.
 */
#ifndef EXAMPLES_CLI_H
#define EXAMPLES_CLI_H

#include <inkling.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console.h"

#define CLI_MAX_ARGUMENTS 4
#define CLI_MAX_TEXTS 16

typedef struct cli_option {
    const char *name;  /* "-n", "--stop" */
    const char *value; /* what the help calls its value; NULL for a flag */
    const char *help;

    /* One of the four is set; it tells the kind of the value and where it goes. Unchanged if the option is absent. */
    bool *flag;
    const char **text;
    uint64_t *count;
    double *real;
    double least, most;  /* bounds of a count or a real, both included; most 0: no upper bound */
    size_t *n_texts;     /* `text` is [CLI_MAX_TEXTS], and the option may be given so often; NULL: the last counts */
    const char *choices; /* of a text: the words it may be, with spaces between them; NULL: any */
} cli_option;

#define CLI_FLAG(option, to, about)                                                                                    \
    {                                                                                                                  \
        .name = (option), .flag = (to), .help = (about)                                                                \
    }
#define CLI_TEXTS(option, kind, to, n, about)                                                                          \
    {                                                                                                                  \
        .name = (option), .value = (kind), .text = (to), .n_texts = (n), .help = (about)                               \
    }
#define CLI_TEXT(option, kind, to, about)                                                                              \
    {                                                                                                                  \
        .name = (option), .value = (kind), .text = (to), .help = (about)                                               \
    }
#define CLI_CHOICE(option, kind, to, words, about)                                                                     \
    {                                                                                                                  \
        .name = (option), .value = (kind), .text = (to), .choices = (words), .help = (about)                           \
    }
#define CLI_COUNT(option, kind, to, from, up_to, about)                                                                \
    {                                                                                                                  \
        .name = (option), .value = (kind), .count = (to), .least = (from), .most = (up_to), .help = (about)            \
    }
#define CLI_REAL(option, kind, to, up_to, about)                                                                       \
    {                                                                                                                  \
        .name = (option), .value = (kind), .real = (to), .most = (up_to), .help = (about)                              \
    }

/* --threads and --kernel, for the context that cli_main() makes. */
#define CLI_MACHINE                                                                                                    \
    CLI_COUNT("--threads", "N", &cli_threads, 1, INK_MAX_THREADS,                                                      \
              "threads to use (default 1); the result does not depend on it"),                                         \
        CLI_TEXT("--kernel", "NAME", &cli_kernel,                                                                      \
                 "portable, sse2, avx2, avx512 ... (default: the best here); the result does not depend on it")

extern uint64_t cli_threads;
extern const char *cli_kernel;

typedef struct cli {
    const char *name;    /* of the program */
    const char *usage;   /* what follows the name in the usage line */
    const char *about;   /* a paragraph */
    const char *samples; /* invocations that work, one a line */
    const cli_option *options;
    size_t n_options;
    const char *names[CLI_MAX_ARGUMENTS]; /* of the positional arguments, for messages */
    size_t n_least, n_most;               /* how many there may be; SIZE_MAX: any number */

    /* Stdin is read for an argument "-", and if none is given. --help says so in the same words everywhere. An empty
       stdin gives nothing: the program then refuses. But a program with a usual text takes that, also if none is given:
       it shows something at once, whatever stdin is, and never waits for a pipe that nobody closes. */
    const char *from_stdin; /* what is read: "a text"; NULL: the argument `text`, or nothing */
    const char *usual;      /* NULL: there is none */
    bool by_line;           /* each line is one of them, for cli_next_text() */
    size_t text;            /* cli_main() reads this argument; 0: none */

    /* Set by cli_read(). */
    const char *arguments[CLI_MAX_ARGUMENTS]; /* the first positional arguments; NULL where there is none */
    char **all;                               /* [n_arguments] of them, in argv */
    size_t n_arguments;
} cli;

#define CLI_OPTIONS(list) .options = (list), .n_options = sizeof(list) / sizeof *(list)
#define CLI_ARGUMENTS(least, most, ...) .n_least = (least), .n_most = (most), .names = {__VA_ARGS__}

typedef enum cli_outcome {
    CLI_RUN,  /* go on */
    CLI_HELP, /* help was printed: exit code 0 */
    CLI_ERROR /* an error message was printed: exit code 1 */
} cli_outcome;

/* Reads the command line. An option's value follows it, or an equals sign ("--seed=7"); "--" ends the options; "-" is
   an argument like any other; of an option given twice the last counts, unless it is CLI_TEXTS. */
cli_outcome cli_read(cli *line, int argc, char **argv);

/* Reads the command line, makes a context, runs the program with it, and returns the exit code of main(). */
int cli_main(cli *line, int argc, char **argv, bool (*run)(ink_context *ctx));

/* The text of a file, or of stdin if the argument is NULL or "-", to be released with free(); NULL after an error
   message, which an empty stdin has, too, unless there is a usual text. cli_file_name() says which of the two it is. */
char *cli_read_file(const cli *line, const char *argument, size_t *size);
const char *cli_file_name(const char *argument);

/* The same with all of stdin as one text, without the end of its last line. */
char *cli_read_stdin(const cli *line, const char *argument);

/* Says that stdin is empty; returns false. */
bool cli_complain_empty(const cli *line);

/* The texts of a command line, one after the other: those behind the first argument, and in the place of "-", or if
   there are none, the lines of stdin. Start from {.line = &line}. False at the end, and after an error message, or
   after Ctrl-C, where `failed` is set. */
typedef struct cli_text_list {
    const cli *line;
    const char *text; /* [size] with a zero byte behind it; until the next call */
    size_t size;
    bool asked;  /* it was typed at a terminal, where nobody types the next line before this one is answered */
    bool listed; /* it is an argument */
    bool failed;

    size_t n_read;           /* arguments */
    bool in_stdin, has_line; /* stdin is read; it was not empty */
    lines in;
} cli_text_list;

bool cli_next_text(cli_text_list *list);
void cli_close_texts(cli_text_list *list);

/* Reads a whole number: digits only. False, and *value unchanged, for anything else and above 2^64 - 1. */
bool number_whole(const char *text, uint64_t *value);

/* Reads a decimal number: [sign] digits [. digits] [e [sign] digits], with digits on at least one side of the point, at
   most 15 of them significant, and zero or a size from 1e-22 to below 1e23. */
bool number_real(const char *text, double *value);

#endif
