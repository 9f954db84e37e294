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
 * The number of letters to change, insert or delete, and of neighbours to swap, to turn a into b [m] (Damerau 1964):
 *
 *     d(i, j) = min(d(i-1, j) + 1, d(i, j-1) + 1, d(i-1, j-1) + [a_i != b_j],
 *                   d(i-2, j-2) + 1 if a_i = b_(j-1) and a_(i-1) = b_j)
 */
static size_t edit_distance(const char *a, const char *b, size_t m)
{
    size_t d[MAX_NAME + 1][MAX_NAME + 1], n = strlen(a);
    n = n < MAX_NAME ? n : MAX_NAME;
    m = m < MAX_NAME ? m : MAX_NAME;
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            size_t best = i == 0 ? j : j == 0 ? i : d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (i > 0 && d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (j > 0 && d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

/* What other programs call an option, or an argument, of these. Where -n counts something else than tokens, its help
   does not have the word. */
static const struct {
    const char *words, *means, *in_help;
} meanings[] = {
    {" temperature temp heat ", "-t", ""},
    {" tokens max-tokens num-tokens n-tokens max-new-tokens max-length length steps n-predict num-predict predict ",
     "-n", "token"},
    {" count num number amount stories ", "-n", ""},
    {" count num number n best n-best top ", "--best", ""},
    {" count num number n amount story ", "--stories", ""},
    {" token tokens position pos word index ", "--at", ""},
    {" top-k topk k ", "-k", ""},
    {" top-p topp p nucleus ", "-p", ""},
    {" minp min-p ", "--min-p", ""},
    {" random-seed rng-seed random rng s ", "--seed", ""},
    {" repetition-penalty rep-penalty penalty ", "--repeat-penalty", ""},
    {" no-repeat-ngram-size no-repeat-ngram ngram ", "--no-repeat", ""},
    {" num-beams n-beams beam beam-size beam-width b ", "--beams", ""},
    {" min-tokens min-length min-new-tokens ", "--min", ""},
    {" stop-text stop-string stop-sequence stop-words until end ", "--stop", ""},
    {" quant quantize quantise quantization precision dtype bits ", "--type", ""},
    {" kv-cache kv kv-type cache-type ", "--cache", ""},
    {" thread n-threads num-threads jobs j cores cpus workers ", "--threads", ""},
    {" simd isa instructions backend ", "--kernel", ""},
    {" context-length context-size ctx ctx-size n-ctx c window ", "--context", "tokens"},
    {" text text-file file f passage document input i ", "--context", "text"},
    {" system-prompt sys instructions ", "--system", ""},
    {" chat-template jinja ", "--template", ""},
    {" thinking reasoning ", "--think", ""},
    {" source source-language source-lang src src-lang input-language ", "--from", ""},
    {" target target-language target-lang tgt tgt-lang output-language lang language ", "--to", ""},
    {" search question ", "--query", ""},
    {" tokenize token-ids output-ids ", "--ids", ""},
    {" input-ids ", "--ids-in", ""},
    {" picture pictures plot plots png image draw ", "--svg", ""},
    {" sections section chapter ", "--only", ""},
    {" model m path folder directory dir weights ", "--model", ""},
    {" model m path folder directory dir weights ", "FOLDER", ""},
    {" model m path folder directory dir file f ", "FILE_OR_FOLDER", ""},
    {" prompt p text input i ", "the prompt", ""},
    {" prompt text input i sentence ", "the text", ""},
    {" prompt text texts input i sentence ", "a text", ""},
    {" question q prompt query ", "a question", ""},
    {" text text-file file f input i ", "TEXT_FILE", ""},
    {" text text-file file f input i ", "a file", ""},
};

/* True if this program has the option or the argument that row i speaks of. */
static bool has_meaning(const cli *line, size_t i)
{
    const char *means = meanings[i].means;
    for (size_t k = 0; k < line->n_options; k++)
        if (strcmp(line->options[k].name, means) == 0 && strstr(line->options[k].help, meanings[i].in_help) != NULL)
            return true;
    for (size_t k = 0; k < CLI_MAX_ARGUMENTS; k++)
        if (line->names[k] != NULL && strcmp(line->names[k], means) == 0)
            return true;
    return line->from_stdin != NULL && strcmp(line->from_stdin, means) == 0;
}

/* Names what is nearest among the program's own options and what others call them. */
static bool unknown_option(const cli *line, const char *text)
{
    char letters[MAX_NAME + 1], meant[MAX_NAME + 8] = ""; /* without dashes and value; the name elsewhere */
    const char *nearest = "--help", *means = NULL;
    snprintf(letters, sizeof letters, "%.*s", (int)strcspn(text + strspn(text, "-"), "="), text + strspn(text, "-"));
    for (char *at = letters; *at != '\0'; at++)
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at == '_' ? '-' : *at;
    size_t least = edit_distance(letters, "help", 4);
    for (size_t i = 0; i < line->n_options; i++) {
        const char *name = line->options[i].name + strspn(line->options[i].name, "-");
        size_t distance = edit_distance(letters, name, strlen(name));
        if (distance < least) {
            least = distance;
            nearest = line->options[i].name;
        }
    }
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        const char *word = meanings[i].words + 1;
        for (size_t size; has_meaning(line, i) && *word != '\0'; word += size + 1) {
            size = strcspn(word, " ");
            size_t distance = edit_distance(letters, word, size);
            if (distance < least) {
                least = distance;
                means = meanings[i].means;
                snprintf(meant, sizeof meant, "'--%.*s'", (int)size, word);
            }
        }
    }
    if (least > 3 || (least > 0 && 2 * least >= strlen(letters))) /* not a slip of the keyboard */
        return console_complain("unknown option '%s'; --help shows all", text);
    if (means == NULL)
        return console_complain("unknown option '%s'; the nearest is '%s', and --help shows all", text, nearest);
    if (*means == '-')
        return console_complain("unknown option '%s'; here %s is '%s', and --help shows all", text,
                                least > 0 ? meant : "it", means);
    return console_complain("unknown option '%s'; here %s needs no option, and --help shows all", text, means);
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

/* A line of the help: "  -n COUNT              tokens to produce at most". */
static void print_entry(const char *name, const char *value, const char *help)
{
    enum { COLUMN = 24 };
    int used = printf("  %s%s%s", name, value != NULL ? " " : "", value != NULL ? value : "");
    printf(used < COLUMN ? "%*s" : "\n%*s", used < COLUMN ? COLUMN - used : COLUMN, "");
    console_wrap(help, COLUMN);
}

/* Paragraphs are wrapped, all but those that are indented. */
static void print_about(const char *about)
{
    char paragraph[2048];
    for (size_t size; *about != '\0'; about += size + strspn(about + size, "\n")) {
        const char *end = strstr(about, "\n\n");
        size = end != NULL ? (size_t)(end - about) : strlen(about);
        snprintf(paragraph, sizeof paragraph, "%.*s", (int)size, about);
        if (*about == ' ')
            puts(paragraph);
        else
            console_wrap(paragraph, 0);
        putchar('\n');
    }
}

static void print_help(const cli *line)
{
    char help[256];
    printf("usage: %s %s\n\n", line->name, line->usage);
    print_about(line->about);
    for (size_t i = 0; i < line->n_options; i++)
        print_entry(line->options[i].name, line->options[i].value, line->options[i].help);
    if (line->from_stdin != NULL) {
        snprintf(help, sizeof help, "in place of %s%s: %s stdin", line->from_stdin,
                 line->usual == NULL ? ", or without any" : "", line->by_line ? "each line of" : "all of");
        if (line->usual != NULL)
            snprintf(help + strlen(help), sizeof help - strlen(help), " (without any, or if it is empty: \"%s\")",
                     line->usual);
        print_entry("-", NULL, help);
    }
    if (line->n_most > 0)
        print_entry("--", NULL, "what follows are arguments, even if they begin with a dash");
    print_entry("--help", NULL, "this page");
    printf("\nfor example:\n%s", line->samples);
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
    if (line->from_stdin == NULL && line->text != 0)
        line->from_stdin = line->names[line->text];
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
    if (line->n_arguments < line->n_least && (line->text == 0 || line->n_arguments != line->text)) {
        console_complain("%s is missing (--help shows how %s is called)", line->names[line->n_arguments], line->name);
        return CLI_ERROR;
    }
    return CLI_RUN;
}

/* ---- stdin ------------------------------------------------------------------------------------------------------ */

static bool is_stdin(const char *argument) { return argument == NULL || strcmp(argument, "-") == 0; }

const char *cli_file_name(const char *argument) { return is_stdin(argument) ? "stdin" : argument; }

bool cli_complain_empty(const cli *line)
{
    return console_complain("%s is missing, and stdin is empty (--help shows how %s is called)",
                            line->names[1] != NULL ? line->names[1] : line->from_stdin, line->name);
}

char *cli_read_file(const cli *line, const char *argument, size_t *size)
{
    if (!is_stdin(argument))
        return text_read(argument, size);
    *size = 0;
    if (line->usual == NULL || argument != NULL) {
        console_ask(line->from_stdin, false);
        char *text = text_read(NULL, size);
        if (text == NULL || *size > 0)
            return text;
        free(text);
    }
    if (line->usual == NULL) {
        cli_complain_empty(line);
        return NULL;
    }
    char *text = console_memory(strlen(line->usual) + 1, 1);
    if (text != NULL)
        memcpy(text, line->usual, *size = strlen(line->usual));
    return text;
}

char *cli_read_stdin(const cli *line, const char *argument)
{
    size_t size;
    char *text = cli_read_file(line, argument, &size);
    if (text == NULL)
        return NULL;
    if (strlen(text) != size) {
        console_complain("stdin: byte %zu is zero, which no text has", strlen(text));
        free(text);
        return NULL;
    }
    if (size > 0 && text[size - 1] == '\n')
        text[size - 1] = '\0';
    return text;
}

bool cli_next_text(cli_text_list *list)
{
    for (;;) {
        const char *next = list->n_read + 1 < list->line->n_arguments ? list->line->all[list->n_read + 1] : NULL;
        list->asked = list->in_stdin && console_is_asked();
        list->listed = !list->in_stdin;
        if (list->in_stdin) {
            lines_outcome outcome = lines_next(&list->in);
            list->text = list->in.text;
            list->size = list->in.size;
            list->in_stdin = outcome == LINES_LINE;
            list->has_line = list->has_line || outcome == LINES_LINE;
            if (outcome == LINES_END && !list->has_line)
                cli_complain_empty(list->line);
            list->failed = outcome != LINES_LINE && (outcome != LINES_END || !list->has_line);
            if (list->in_stdin || list->failed)
                return list->in_stdin;
        } else if (next == NULL && list->n_read > 0) {
            return false;
        } else {
            list->n_read++;
            if (!is_stdin(next)) {
                list->text = next;
                list->size = strlen(next);
                return true;
            }
            list->in_stdin = true;
            list->in.stream = stdin;
            console_ask(list->line->from_stdin, true);
        }
    }
}

void cli_close_texts(cli_text_list *list) { lines_close(&list->in); }

/* ---- the frame -------------------------------------------------------------------------------------------------- */

int cli_main(cli *line, int argc, char **argv, bool (*run)(ink_context *ctx))
{
    cli_outcome outcome = cli_read(line, argc, argv);
    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    char *typed = NULL;
    bool done = true;
    if (line->text != 0 && is_stdin(line->arguments[line->text]))
        done = (line->arguments[line->text] = typed = cli_read_stdin(line, line->arguments[line->text])) != NULL;
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
