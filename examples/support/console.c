/*
 * console.c - what the programs read and say.
 */
#include "console.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"

static const char *program_name = "example";
static bool echoed;          /* text on stderr still lacks its newline */
static int progress_length;  /* columns that console_progress() has filled */
static double progress_time; /* when it may draw again */
static int write_error;      /* errno of the first failed write to stdout */
static volatile sig_atomic_t interrupted;

enum { LONGEST_LINE = 100 }; /* of running text, in columns */

#define PATIENCE 0.5 /* seconds before the first progress is shown */
#define PAUSE 0.1    /* seconds between two drawings */

/* ---- characters that steer a terminal --------------------------------------------------------------------------- */

/* The next character of text [size] and its length; of bytes that are no UTF-8 one, as U+DC00 + its value. */
static size_t next_character(const char *text, size_t size, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000}; /* of that many bytes */
    const unsigned char *at = (const unsigned char *)text;
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf8 ? 4 : 0;
    bool valid = length > 0 && length <= size;
    *code = length > 1 ? at[0] & (0x7fu >> length) : at[0];
    for (size_t i = 1; valid && i < length; i++) {
        valid = (at[i] & 0xc0) == 0x80;
        *code = *code << 6 | (at[i] & 0x3fu);
    }
    if (valid && *code >= least[length] && *code < 0x110000 && (*code < 0xd800 || *code > 0xdfff))
        return length;
    *code = 0xdc00u + at[0];
    return 1;
}

typedef struct code_range {
    uint32_t first, last;
} code_range;

static bool is_in(const code_range *ranges, size_t n, uint32_t code)
{
    size_t i = 0;
    while (i < n && !(code >= ranges[i].first && code <= ranges[i].last))
        i++;
    return i < n;
}

/* A terminal obeys control characters, those of C1 (U+009B is ESC [) as well. The bidirectional ones and the separators
   of lines change the order in which text is shown. The last range are the bytes that are no UTF-8. */
static bool steers(uint32_t code)
{
    static const code_range ranges[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},  {0x200e, 0x200f},
                                        {0x2028, 0x202e}, {0x2066, 0x2069}, {0xd800, 0xdfff}};
    return is_in(ranges, sizeof ranges / sizeof *ranges, code);
}

/* Characters that nobody sees: Unicode's Default_Ignorable_Code_Point, and the marks of annotations. */
static bool hides(uint32_t code)
{
    static const code_range ranges[] = {{0xad, 0xad},       {0x34f, 0x34f},     {0x115f, 0x1160},  {0x17b4, 0x17b5},
                                        {0x180b, 0x180f},   {0x200b, 0x200d},   {0x2060, 0x206f},  {0x3164, 0x3164},
                                        {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},  {0xfff0, 0xfffb},
                                        {0xe0000, 0xe0fff}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}};
    return is_in(ranges, sizeof ranges / sizeof *ranges, code);
}

enum { SHOWN = 16 }; /* four bytes, each as \xNN */

/* Writes the next character of text [size] as a terminal may get it. Returns its length. A name loses all that does not
   show; running text keeps newlines, tabs, and what scripts and emoji join their characters with. */
static size_t show_character(const char *text, size_t size, bool is_name, char shown[SHOWN], size_t *n_shown)
{
    uint32_t code;
    size_t length = next_character(text, size, &code);
    bool escaped = is_name ? steers(code) || hides(code) : steers(code) && code != '\n' && code != '\t';
    *n_shown = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        const char escape[4] = {'\\', 'x', "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
        memcpy(shown + *n_shown, escaped ? escape : text + i, escaped ? sizeof escape : 1);
        *n_shown += escaped ? sizeof escape : 1;
    }
    return length;
}

const char *console_harmless(char *room, size_t size, const char *text)
{
    char shown[SHOWN];
    size_t used = 0, left = strlen(text), n_shown;
    for (size_t length; left > 0; text += length, left -= length) {
        length = show_character(text, left, true, shown, &n_shown);
        if (used + n_shown >= size)
            break;
        memcpy(room + used, shown, n_shown);
        used += n_shown;
    }
    room[used] = '\0';
    return room;
}

/* False if a write failed. */
static bool write_shown(FILE *to, const char *text, size_t size)
{
    char shown[SHOWN];
    size_t n_shown;
    bool done = true;
    for (size_t length; size > 0; text += length, size -= length) {
        length = show_character(text, size, false, shown, &n_shown);
        done = fwrite(shown, 1, n_shown, to) == n_shown && done;
    }
    return done;
}

/* Prints a sentence on stderr; names in it cannot steer a terminal. */
static void write_sentence(const char *format, va_list arguments)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, arguments);
    write_shown(stderr, text, strlen(text));
}

/* ---- saying ----------------------------------------------------------------------------------------------------- */

char **console_start(const char *program, int argc, char **argv)
{
    program_name = program;
    progress_time = console_seconds() + PATIENCE;
    return system_start(argc, argv);
}

bool console_complain(const char *format, ...)
{
    va_list arguments;
    fflush(stdout); /* earlier output comes first */
    fprintf(stderr, "%s%s: ", echoed ? "\n" : "", program_name);
    echoed = false;
    va_start(arguments, format);
    write_sentence(format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return false;
}

bool console_ok(const ink_context *ctx, ink_result result)
{
    return result == INK_OK || console_complain("%s", ink_context_error(ctx));
}

bool console_ok_list(const ink_context *ctx, ink_result result, const size_t *numbers)
{
    const char *error = result != INK_OK ? ink_context_error(ctx) : "";
    size_t i;
    int length = 0;
    if (sscanf(error, "text %zu:%n", &i, &length) == 1 && length > 0)
        return console_complain("text %zu:%s", numbers[i], error + length);
    return console_ok(ctx, result);
}

void *console_memory(size_t count, size_t size)
{
    void *block = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    if (block == NULL)
        console_complain("there is no memory for %zu x %zu bytes", count, size);
    return block;
}

void *console_grow(void *items, size_t *room, size_t n, size_t size)
{
    if (n <= *room && items != NULL)
        return items;
    n = n > 0 ? n : 1;
    void *grown = n <= SIZE_MAX / 2 / size ? realloc(items, 2 * n * size) : NULL;
    if (grown == NULL)
        console_complain("there is no memory for %zu x %zu bytes", n, size);
    else
        *room = 2 * n;
    return grown;
}

void console_note(const char *format, ...)
{
    va_list arguments;
    fflush(stdout); /* as in console_complain() */
    echoed = false;
    va_start(arguments, format);
    write_sentence(format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void console_echo(const char *text)
{
    if (system_is_terminal(2))
        write_shown(stderr, text, strlen(text));
    else
        fputs(text, stderr);
    echoed = true;
}

void console_progress(const char *format, ...)
{
    va_list arguments;
    char text[256];
    double now = console_seconds();
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!system_is_terminal(2) || (*text != '\0' ? now < progress_time : progress_length == 0))
        return;
    fprintf(stderr, "\r%*s\r", progress_length, ""); /* not every terminal has a command to clear a line */
    write_shown(stderr, text, strlen(text));
    progress_length = (int)strlen(text);
    progress_time = now + PAUSE;
    echoed = progress_length > 0;
    fflush(stderr);
}

size_t console_width(void)
{
    unsigned long columns = system_columns();
    const char *told = getenv("COLUMNS");
    if (!system_is_terminal(1))
        return CONSOLE_USUAL;
    if (columns == 0 && told != NULL)
        columns = strtoul(told, NULL, 10);
    if (columns == 0)
        return CONSOLE_USUAL;
    return columns < CONSOLE_NARROWEST ? CONSOLE_NARROWEST : columns > CONSOLE_WIDEST ? CONSOLE_WIDEST : columns;
}

void console_wrap(const char *text, size_t indent)
{
    const size_t width = console_width(), most = (width < LONGEST_LINE ? width : LONGEST_LINE) - 2;
    size_t column = indent;
    for (text += strspn(text, " \n"); *text != '\0'; text += strspn(text, " \n")) {
        size_t size = strcspn(text, " \n");
        if (text[size] == ' ' && text[size + 1] == '%') /* "12 %" stays together */
            size += 2 + strcspn(text + size + 2, " ");
        if (column > indent && column + 1 + size > most) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        }
        if (column > indent)
            column += (size_t)printf(" ");
        console_say(text, size);
        column += size;
        text += size;
    }
    putchar('\n');
}

bool console_write(const char *text, size_t size)
{
    bool done = fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0;
    if (!done && write_error == 0)
        write_error = errno;
    return done;
}

bool console_say(const char *text, size_t size)
{
    if (!system_is_terminal(1))
        return console_write(text, size);
    return write_shown(stdout, text, size) && console_write("", 0);
}

bool console_print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (vprintf(format, arguments) < 0 && write_error == 0)
        write_error = errno;
    va_end(arguments);
    return console_write("", 0) && write_error == 0;
}

bool console_finish(void)
{
    bool done = console_write("", 0) && !ferror(stdout);
#ifdef EPIPE
    if (write_error == EPIPE)
        return false;
#endif
    if (!done)
        console_complain("stdout cannot be written: %s",
                         write_error != 0 ? strerror(write_error) : "an earlier write failed");
    return done;
}

bool console_is_asked(void) { return system_is_terminal(0); }

void console_ask(const char *what, bool by_line)
{
    if (console_is_asked())
        console_note("(type %s%s; %s at the beginning of a line ends)", what, by_line ? ", one a line" : "",
                     SYSTEM_END_KEY);
}

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void console_catch_interrupts(void) { system_catch_interrupts(interrupt); }

bool console_interrupted(void)
{
    bool was = interrupted != 0;
    interrupted = 0;
    return was;
}

double console_seconds(void) { return system_seconds(); }

unsigned console_processors(void)
{
#if defined(INK_NO_THREADS)
    long n = 1;
#else
    long n = system_processors();
#endif
    return n < 1 ? 1 : n > INK_MAX_THREADS ? INK_MAX_THREADS : (unsigned)n;
}

static bool kernel_is_known(const char *kernel)
{
    for (size_t i = 0; ink_kernel_name(i) != NULL; i++)
        if (strcmp(kernel, ink_kernel_name(i)) == 0)
            return true;
    return false;
}

ink_context *console_context(uint64_t n_threads, const char *kernel)
{
    char why[256];
    ink_context_options options = {
        .n_threads = (unsigned)n_threads, .kernel = kernel, .error = why, .error_size = sizeof why};
    ink_context *ctx;
    char names[128] = "";
    if (kernel != NULL && !kernel_is_known(kernel)) {
        for (size_t i = 0; ink_kernel_name(i) != NULL; i++) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", ink_kernel_name(i));
        }
        console_complain("--kernel expects one that this machine can run (%s), found '%s'", names, kernel);
        return NULL;
    }
    ctx = ink_context_create(&options);
    if (ctx == NULL)
        console_complain("%s", why);
    return ctx;
}

/* n in the largest of the units that is below it, with three digits. */
static const char *scaled(char room[CONSOLE_ROOM], uint64_t n, double unit, const char *const names[5])
{
    double value = (double)n;
    size_t i = 0;
    while (value >= unit && i < 4) {
        value /= unit;
        i++;
    }
    snprintf(room, CONSOLE_ROOM, "%.*f %s", i == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2, value, names[i]);
    return room;
}

const char *console_parameters(char room[CONSOLE_ROOM], uint64_t n)
{
    static const char *const names[5] = {"", "K", "M", "G", "T"};
    return scaled(room, n, 1000, names);
}

const char *console_bytes(char room[CONSOLE_ROOM], uint64_t n)
{
    static const char *const names[5] = {"bytes", "KB", "MB", "GB", "TB"};
    return scaled(room, n, 1000, names);
}

const char *console_count(char room[CONSOLE_ROOM], uint64_t n)
{
    char digits[CONSOLE_ROOM];
    size_t size = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), used = 0;
    for (size_t i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            room[used++] = ',';
        room[used++] = digits[i];
    }
    room[used] = '\0';
    return room;
}

const char *console_rate(char room[CONSOLE_ROOM], size_t n, double seconds)
{
    return n > 0 && seconds > 0 ? console_count(room, (uint64_t)((double)n / seconds)) : "-";
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

bool path_join(char room[PATH_ROOM], const char *folder, const char *file)
{
    int size = snprintf(room, PATH_ROOM, "%s/%s", folder, file);
    return (size >= 0 && size < PATH_ROOM) ||
           console_complain("the path '%.60s...' is longer than %d bytes", folder, PATH_ROOM - 1);
}

char *file_read(const char *path, size_t *size)
{
    FILE *stream = path == NULL ? stdin : system_open(path, "rb");
    size_t room = 0;
    char *bytes = NULL, *grown;
    *size = 0;
    do {
        grown = stream != NULL ? console_grow(bytes, &room, *size + (1 << 16), 1) : NULL;
        bytes = grown != NULL ? grown : bytes;
        if (grown != NULL)
            *size += fread(bytes + *size, 1, room - 1 - *size, stream);
    } while (grown != NULL && *size == room - 1);
    if (stream == NULL || ferror(stream)) {
        console_complain("%s: cannot be read: %s", path == NULL ? "stdin" : path, strerror(errno));
        grown = NULL;
    }
    if (stream != NULL && path != NULL)
        fclose(stream);
    if (grown == NULL)
        free(bytes);
    else
        bytes[*size] = '\0';
    return grown;
}

char *text_read(const char *path, size_t *size)
{
    char *text = file_read(path, size);
    size_t n = 0;
    for (size_t i = 0; text != NULL && i < *size; i++)
        if (text[i] != '\r' || text[i + 1] != '\n')
            text[n++] = text[i];
    if (text != NULL)
        text[ *size = n] = '\0';
    return text;
}

bool file_is_plain(const char *path)
{
    system_kind kind = system_kind_of(path);
    return kind == SYSTEM_FILE || kind == SYSTEM_NOTHING ||
           console_complain("%s: is no file, but a folder, a pipe or a device", path);
}

FILE *file_create(const char *path)
{
    FILE *file = system_open(path, "wb");
    if (file == NULL)
        console_complain("%s: cannot be written: %s", path, strerror(errno));
    return file;
}

bool file_write(FILE *file, const char *path, const void *bytes, size_t size)
{
    if (file == stdout)
        return console_write(bytes, size);
    errno = 0;
    return fwrite(bytes, 1, size, file) == size || console_complain("%s: cannot be written: %s", path, strerror(errno));
}

bool file_close(FILE *file, const char *path)
{
    bool failed = ferror(file) != 0;
    return (fclose(file) == 0 && !failed) || console_complain("%s: cannot be written: %s", path, strerror(errno));
}

FILE *file_begin(const char *path, char beside[PATH_ROOM])
{
    int size = snprintf(beside, PATH_ROOM, "%s.part", path);
    if (strcmp(path, "-") == 0)
        return stdout;
    if (size < 0 || size >= PATH_ROOM) {
        console_complain("the path '%.60s...' is longer than %d bytes", path, PATH_ROOM - (int)sizeof ".part");
        return NULL;
    }
    return file_is_plain(path) ? file_create(beside) : NULL;
}

bool file_end(FILE *file, const char *path, const char *beside, bool complete)
{
    if (file == stdout)
        return complete;
    if (complete)
        complete = file_close(file, path);
    else
        fclose(file);
    if (complete && !system_rename(beside, path))
        complete = console_complain("%s: cannot be written: %s", path, strerror(errno));
    if (!complete)
        system_remove(beside);
    return complete;
}

bool console_takes_pictures(const char *folder)
{
    return folder == NULL || (system_kind_of(folder) == SYSTEM_FOLDER && system_may_write(folder)) ||
           console_complain("--svg expects a folder that is there and can be written to, found '%s'", folder);
}

/* The stream gave c, which is no byte. */
static lines_outcome lines_finish(lines *in, int c)
{
    if (c == EOF && !ferror(in->stream))
        return in->size > 0 ? LINES_LINE : LINES_END;
    clearerr(in->stream);
    if (c == SYSTEM_INTERRUPTED) {
        console_interrupted(); /* this reports it */
        return LINES_INTERRUPTED;
    }
    console_complain("the next line cannot be read");
    return LINES_ERROR;
}

lines_outcome lines_next(lines *in)
{
    for (in->size = 0;;) {
        char *text = console_grow(in->text, &in->room, in->size + 2, 1);
        if (text == NULL)
            return LINES_ERROR;
        in->text = text;
        int c = system_next_byte(in->stream);
        if (c >= 0 && c != '\n')
            in->text[in->size++] = (char)c;
        in->text[in->size] = '\0';
        if (c < 0)
            return lines_finish(in, c);
        if (c == '\n') {
            if (in->size > 0 && in->text[in->size - 1] == '\r')
                in->text[--in->size] = '\0';
            return LINES_LINE;
        }
    }
}

void lines_close(lines *in)
{
    free(in->text);
    *in = (lines){.stream = in->stream};
}
