/*
 * cli.c - the command line of a program.
 */
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

#define MAX_NAME 31 /* bytes of an unknown option that are compared with the known ones */

uint64_t cli_threads = 1;
const char *cli_kernel;

/* ---- options ---------------------------------------------------------------------------------------------------- */

/*
 * The number of letters to change, insert or delete to turn a into b (Levenshtein 1966):
 *
 *     d(i, j) = min(d(i-1, j) + 1, d(i, j-1) + 1, d(i-1, j-1) + [a_i != b_j])
 *
 * row[j] is d(i, j); `diagonal` is d(i-1, j-1).
 */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[MAX_NAME + 1], n = strlen(a), m = strlen(b);
    n = n < MAX_NAME ? n : MAX_NAME;
    m = m < MAX_NAME ? m : MAX_NAME;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[m];
}

static bool unknown_option(const cli *line, const char *text)
{
    const char *nearest = "--help";
    size_t least = edit_distance(text, nearest);
    for (size_t i = 0; i < line->n_options; i++) {
        size_t distance = edit_distance(text, line->options[i].name);
        if (distance < least) {
            least = distance;
            nearest = line->options[i].name;
        }
    }
    if (least > 3) /* not a slip of the keyboard */
        return console_complain("unknown option '%s'; --help shows all", text);
    return console_complain("unknown option '%s'; the nearest is '%s', and --help shows all", text, nearest);
}

/* Stores the value. */
static bool set_option(const cli_option *option, const char *value)
{
    uint64_t count = 0;
    double real = 0;
    if (option->n_texts != NULL && *option->n_texts == CLI_MAX_TEXTS)
        return console_complain("%s may be given %d times", option->name, CLI_MAX_TEXTS);
    if (option->choices != NULL) {
        const char *at = option->choices;
        size_t length = strlen(value);
        while (*at != '\0' && !(strncmp(at, value, length) == 0 && strchr(" ", at[length]) != NULL && length > 0))
            at += strcspn(at, " ") + (at[strcspn(at, " ")] == ' ');
        if (*at == '\0')
            return console_complain("%s expects one of: %s; found '%s'", option->name, option->choices, value);
    }
    if (option->text != NULL) {
        option->text[option->n_texts != NULL ? (*option->n_texts)++ : 0] = value;
        return true;
    }
    bool whole = option->count != NULL, done = whole ? number_whole(value, &count) : number_real(value, &real);
    const char *kind = whole ? "a whole number" : "a number";
    double number = whole ? (double)count : real;
    if (!done || number < option->least || (option->most != 0 && number > option->most))
        return option->most == 0 ? console_complain("%s expects %s of at least %g, found '%s'", option->name, kind,
                                                    option->least, value)
                                 : console_complain("%s expects %s from %g to %.15g, found '%s'", option->name, kind,
                                                    option->least, option->most, value);
    if (whole)
        *option->count = count;
    else
        *option->real = real;
    return true;
}

/* Reads the option at argv[*i] and its value, if it takes one; *i ends on the last word used. */
static bool read_option(const cli *line, int argc, char **argv, int *i)
{
    size_t size = strcspn(argv[*i], "="), k = 0;
    const char *value = argv[*i][size] == '=' ? argv[*i] + size + 1 : NULL;
    while (k < line->n_options &&
           !(strlen(line->options[k].name) == size && memcmp(line->options[k].name, argv[*i], size) == 0))
        k++;
    if (k == line->n_options)
        return unknown_option(line, argv[*i]);
    const cli_option *option = &line->options[k];
    if (option->flag != NULL) {
        if (value != NULL)
            return console_complain("%s takes no value, found '%s'", option->name, value);
        *option->flag = true;
        return true;
    }
    if (value == NULL && *i + 1 < argc)
        value = argv[++*i];
    if (value == NULL)
        return console_complain("%s needs a value: %s, %s", option->name, option->value, option->help);
    return set_option(option, value);
}

static void print_help(const cli *line)
{
    printf("usage: %s %s\n\n%s\n\n", line->name, line->usage, line->about);
    for (size_t i = 0; i < line->n_options; i++) {
        const cli_option *option = &line->options[i];
        int used = printf("  %s%s%s", option->name, option->value != NULL ? " " : "",
                          option->value != NULL ? option->value : "");
        printf("%*s%s\n", used < 24 ? 24 - used : 1, "", option->help);
    }
    if (line->n_most > 0)
        printf("  %-22s%s\n", "--", "what follows are arguments, even if they begin with a dash");
    printf("  %-22s%s\n\nfor example:\n%s", "--help", "this page", line->samples);
}

static bool add_argument(cli *line, char *text)
{
    if (line->n_arguments == line->n_most)
        return console_complain("one argument too many: '%s' (--help shows how %s is called)", text, line->name);
    if (line->n_arguments < CLI_MAX_ARGUMENTS)
        line->arguments[line->n_arguments] = text;
    line->all[line->n_arguments++] = text; /* overwrites only what has been read */
    return true;
}

cli_outcome cli_read(cli *line, int argc, char **argv)
{
    bool options_ended = false;
    argv = console_start(line->name, argc, argv);
    line->all = argv + 1;
    for (int i = 1; i < argc; i++) {
        bool is_option = !options_ended && argv[i][0] == '-' && argv[i][1] != '\0';
        if (is_option && strcmp(argv[i], "--") == 0) {
            options_ended = true;
        } else if (is_option && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            print_help(line);
            return CLI_HELP;
        } else if (!(is_option ? read_option(line, argc, argv, &i) : add_argument(line, argv[i]))) {
            return CLI_ERROR;
        }
    }
    if (line->n_arguments < line->n_least) {
        console_complain("%s is missing (--help shows how %s is called)", line->names[line->n_arguments], line->name);
        return CLI_ERROR;
    }
    return CLI_RUN;
}

int cli_main(cli *line, int argc, char **argv, bool (*run)(ink_context *ctx))
{
    cli_outcome outcome = cli_read(line, argc, argv);
    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    char *typed = NULL;
    bool done = true;
    if (line->text != 0 && line->arguments[line->text] != NULL && strcmp(line->arguments[line->text], "-") == 0)
        done = (line->arguments[line->text] = typed = text_typed()) != NULL;
    ink_context *ctx = done ? console_context(cli_threads, cli_kernel) : NULL;
    done = ctx != NULL && run(ctx);
    ink_context_free(ctx);
    free(typed);
    return !(console_finish() && done);
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

bool number_whole(const char *text, uint64_t *value)
{
    uint64_t sum = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        uint64_t digit = (uint64_t)(unsigned char)*text - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = 10 * sum + digit;
    }
    *value = sum;
    return true;
}

/* strtod() reads more than the numbers of cli.h, so the rest is refused here. The programs never set a locale. */
bool number_real(const char *text, double *value)
{
    char *end;
    double number = strtod(text, &end);
    size_t digits = 0;
    for (const char *at = text; *at != '\0' && *at != 'e' && *at != 'E'; at++)
        digits += *at >= '0' && *at <= '9' && (digits > 0 || *at > '0'); /* leading zeros do not count */
    if (end == text || *end != '\0' || text[strspn(text, "0123456789+-.eE")] != '\0' || digits > 15 ||
        (number != 0 && !(fabs(number) >= 1e-22 && fabs(number) < 1e23)))
        return false;
    *value = number;
    return true;
}
