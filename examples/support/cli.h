/*
 * cli.h - the command line of an example program: options anywhere, positional arguments, --help.
 *
 *     cli_option options[] = {
 *         {.name = "-n", .value = "COUNT", .count = &n, .most = 1000, .help = "how many tokens (default 200)"},
 *     };
 *     cli line = {.usage = "generate FOLDER \"prompt\" [options]", .options = options, .n_options = 1, ...};
 *
 *     switch (cli_read(&line, argc, argv)) { ... }
 *
 * Every mistake is answered with one sentence on stderr: which option, what was expected, what was found.
 */
#ifndef EXAMPLES_CLI_H
#define EXAMPLES_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_MAX_ARGUMENTS 4

typedef struct cli_option {
    const char *name;  /* "-n", "--stop" */
    const char *value; /* what the help calls its value; NULL for a flag */
    const char *help;

    /* One of the four is set: what kind of value it is and where it goes. Left alone if the option is not given. */
    bool *flag;
    const char **text;
    uint64_t *count;
    double *real;
    double least, most; /* of a count or a real, both allowed; most 0: no bound */
} cli_option;

typedef struct cli {
    const char *name;    /* of the program */
    const char *usage;   /* what follows the name in the usage line */
    const char *about;   /* a paragraph */
    const char *samples; /* invocations that work, one a line */
    const cli_option *options;
    size_t n_options;
    const char *names[CLI_MAX_ARGUMENTS]; /* of the positional arguments, for messages */
    size_t n_least, n_most;               /* how many of them there may be; SIZE_MAX: any number */

    /* Filled in by cli_read(). */
    const char *arguments[CLI_MAX_ARGUMENTS]; /* the first of them; NULL where there is none */
    char **all;                               /* [n_arguments] of them, in argv */
    size_t n_arguments;
} cli;

typedef enum cli_outcome {
    CLI_RUN,  /* all is well */
    CLI_HELP, /* help was asked for and printed: exit 0 */
    CLI_ERROR /* the sentence is on stderr: exit 1 */
} cli_outcome;

/* Reads the command line. An option's value follows it, or an equals sign ("--seed=7"); "--" ends the options; "-" is
   an argument like any other; of an option given twice the last counts. */
cli_outcome cli_read(cli *line, int argc, char **argv);

#endif
