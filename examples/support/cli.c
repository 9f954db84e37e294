/*
 * cli.c - the command line of a program.
 */
#include "cli.h"

#include <stdio.h>
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

/* The option named by `text` up to an equals sign; *value is the rest, or NULL. */
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
    return console_complain("unknown option '%s'; the nearest is '%s', and --help shows all", text, nearest);
}

static bool within(const cli_option *option, double value)
{
    return value >= option->least && (option->most == 0 || value <= option->most);
}

static bool bad_number(const cli_option *option, const char *found)
{
    const char *kind = option->count != NULL ? "a whole number" : "a number";
    if (option->most == 0)
        return console_complain("%s expects %s of at least %g, found '%s'", option->name, kind, option->least, found);
    return console_complain("%s expects %s from %g to %.15g, found '%s'", option->name, kind, option->least,
                            option->most, found);
}

/* Stores the value. */
static bool set_option(const cli_option *option, const char *value)
{
    uint64_t count;
    double real;
    if (option->text != NULL) {
        *option->text = value;
    } else if (option->count != NULL) {
        if (!number_whole(value, &count) || !within(option, (double)count))
            return bad_number(option, value);
        *option->count = count;
    } else {
        if (!number_real(value, &real) || !within(option, real))
            return bad_number(option, value);
        *option->real = real;
    }
    return true;
}

/* Reads the option at argv[*i] and its value, if it takes one; *i ends on the last word used. */
static bool read_option(const cli *line, int argc, char **argv, int *i)
{
    const char *value;
    const cli_option *option = find_option(line, argv[*i], &value);
    if (option == NULL)
        return unknown_option(line, argv[*i]);
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

int cli_main(cli *line, int argc, char **argv, bool (*run)(ink_context *ctx))
{
    cli_outcome outcome = cli_read(line, argc, argv);
    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ink_context *ctx = console_context(cli_threads, cli_kernel);
    bool done = ctx != NULL && run(ctx);
    ink_context_free(ctx);
    return !(console_finish() && done);
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

#define MAX_DIGITS 15 /* 10^15 < 2^53 */
#define MAX_POWER 22  /* 10^22 is the last exact power of ten in a double */

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

/*
 * A decimal number m * 10^e with an integer m < 2^53 and |e| <= 22 needs one correctly rounded operation on two exact
 * doubles (Clinger 1990). Longer numbers are refused.
 */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The digits on both sides of the point, as an integer and the power of ten it is to be multiplied by. */
static const char *read_digits(const char *at, uint64_t *digits, int *power)
{
    bool any = false, after_point = false;
    int n = 0;
    for (*digits = 0, *power = 0;; at++) {
        if (*at == '.' && !after_point) {
            after_point = true;
            continue;
        }
        if (!is_digit(*at))
            return any ? at : NULL;
        any = true;
        *digits = 10 * *digits + (uint64_t)(*at - '0');
        n += *digits != 0; /* leading zeros do not count */
        *power -= after_point;
        if (n > MAX_DIGITS || *power < -MAX_POWER)
            return NULL;
    }
}

/* What follows the e. */
static const char *read_exponent(const char *at, int *power)
{
    bool negative = *at == '-';
    int exponent = 0;
    at += *at == '-' || *at == '+';
    if (!is_digit(*at))
        return NULL;
    for (; is_digit(*at); at++) {
        exponent = 10 * exponent + (*at - '0');
        if (exponent > 2 * MAX_POWER)
            return NULL;
    }
    *power += negative ? -exponent : exponent;
    return at;
}

bool number_real(const char *text, double *value)
{
    bool negative = *text == '-';
    const char *at = text + (*text == '-' || *text == '+');
    uint64_t digits;
    int power;
    double scale = 1;
    at = read_digits(at, &digits, &power);
    if (at != NULL && (*at == 'e' || *at == 'E'))
        at = read_exponent(at + 1, &power);
    if (at == NULL || *at != '\0' || power < -MAX_POWER || power > MAX_POWER)
        return false;
    for (int i = 0; i < (power < 0 ? -power : power); i++)
        scale *= 10; /* exact */
    *value = power < 0 ? (double)digits / scale : (double)digits * scale;
    if (negative)
        *value = -*value;
    return true;
}
