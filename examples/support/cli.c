/*
 * cli.c - the command line of an example program.
 */
#include "cli.h"

#include <stdio.h>
#include <string.h>

#include "console.h"
#include "number.h"

#define MAX_NAME 31 /* bytes of an unknown option that are compared with the known ones */

/*
 * How many letters have to be changed, inserted or deleted to make b of a (Levenshtein 1966):
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

/* The option that `text` names up to an equals sign; *value is what follows it, or NULL. */
static const cli_option *find_option(const cli *line, const char *text, const char **value)
{
    size_t size = strcspn(text, "=");

    *value = text[size] == '=' ? text + size + 1 : NULL;
    for (size_t i = 0; i < line->n_options; i++) {
        const cli_option *option = &line->options[i];
        if (strlen(option->name) == size && memcmp(option->name, text, size) == 0)
            return option;
    }
    return NULL;
}

static void unknown_option(const cli *line, const char *text)
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
    console_complain("unknown option '%s'; the nearest is '%s', and --help shows all", text, nearest);
}

static bool within(const cli_option *option, double value)
{
    return value >= option->least && (option->most == 0 || value <= option->most);
}

static void bad_number(const cli_option *option, const char *found)
{
    const char *kind = option->count != NULL ? "a whole number" : "a number";

    if (option->most == 0)
        console_complain("%s expects %s of at least %g, found '%s'", option->name, kind, option->least, found);
    else
        console_complain("%s expects %s from %g to %.15g, found '%s'", option->name, kind, option->least, option->most,
                         found);
}

/* Puts the value where the option wants it. */
static bool set_option(const cli_option *option, const char *value)
{
    uint64_t count;
    double real;

    if (option->text != NULL) {
        *option->text = value;
    } else if (option->count != NULL) {
        if (!number_whole(value, &count) || !within(option, (double)count)) {
            bad_number(option, value);
            return false;
        }
        *option->count = count;
    } else {
        if (!number_real(value, &real) || !within(option, real)) {
            bad_number(option, value);
            return false;
        }
        *option->real = real;
    }
    return true;
}

/* The option at argv[*i], and its value if it takes one; *i stays on the last word used. */
static bool read_option(const cli *line, int argc, char **argv, int *i)
{
    const char *value;
    const cli_option *option = find_option(line, argv[*i], &value);

    if (option == NULL) {
        unknown_option(line, argv[*i]);
        return false;
    }
    if (option->flag != NULL) {
        if (value != NULL) {
            console_complain("%s takes no value, found '%s'", option->name, value);
            return false;
        }
        *option->flag = true;
        return true;
    }
    if (value == NULL && *i + 1 < argc)
        value = argv[++*i];
    if (value == NULL) {
        console_complain("%s needs a value: %s, %s", option->name, option->value, option->help);
        return false;
    }
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
        printf("  %-22s%s\n", "--", "what follows is no option, though it begins with a dash");
    printf("  %-22s%s\n\nfor example:\n%s", "--help", "this page", line->samples);
}

static bool add_argument(cli *line, char *text)
{
    if (line->n_arguments == line->n_most) {
        console_complain("one argument too many: '%s' (--help shows how %s is called)", text, line->name);
        return false;
    }
    if (line->n_arguments < CLI_MAX_ARGUMENTS)
        line->arguments[line->n_arguments] = text;
    line->all[line->n_arguments++] = text; /* no later than it was read from there */
    return true;
}

cli_outcome cli_read(cli *line, int argc, char **argv)
{
    bool options_ended = false;

    console_start(line->name);
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
