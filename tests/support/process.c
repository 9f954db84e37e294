/* process.c - see process.h. */
#define _XOPEN_SOURCE 700

#include "process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "testing.h"

/* Output goes to files, so that nobody has to read while the program runs. */
static FILE *scratch(const char *content)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    if (content != NULL)
        assert_int_equal(fwrite(content, 1, strlen(content), file), strlen(content));
    rewind(file);
    return file;
}

static char *all_of(FILE *file, size_t *size)
{
    char *text;
    long end;

    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    end = ftell(file);
    assert_true(end >= 0);
    rewind(file);
    *size = (size_t)end;
    text = calloc(*size + 1, 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *size, file), *size);
    return text;
}

static void become(const char *folder, const char *const *arguments, const int files[3])
{
    char **copy = NULL;
    size_t n = 0;

    while (arguments[n] != NULL)
        n++;
    copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < n; i++)
        copy[i] = strdup(arguments[i]); /* exec wants them writable */
    for (int i = 0; i < 3; i++)
        if (dup2(files[i], i) < 0)
            _exit(126);
    if (copy == NULL || (folder != NULL && chdir(folder) != 0))
        _exit(126);
    execvp(copy[0], copy);
    _exit(127);
}

static void wait_for(pid_t child, const char *name, process *p)
{
    int status;

    assert_int_equal(waitpid(child, &status, 0), child);
    p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (p->code == 126 || p->code == 127)
        fail_msg("%s cannot be started", name);
}

process process_run(const char *folder, const char *const *arguments, const char *input)
{
    FILE *files[3] = {scratch(input), scratch(NULL), scratch(NULL)};
    process p = {0};
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        become(folder, arguments, (int[3]){fileno(files[0]), fileno(files[1]), fileno(files[2])});
    wait_for(child, arguments[0], &p);
    p.out = all_of(files[1], &p.out_size);
    p.err = all_of(files[2], &p.err_size);
    for (int i = 0; i < 3; i++)
        fclose(files[i]);
    return p;
}

int process_terminal(int *master)
{
    int terminal = -1;
    *master = posix_openpt(O_RDWR | O_NOCTTY);
    if (*master >= 0 && grantpt(*master) == 0 && unlockpt(*master) == 0)
        terminal = open(ptsname(*master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0) {
        print_message("no terminal: is /dev/pts there?\n");
        skip();
    }
    return terminal;
}

process process_run_at_terminal(const char *const *arguments, const char *input)
{
    return process_run_at_columns(arguments, input, 0);
}

process process_run_at_columns(const char *const *arguments, const char *input, unsigned short columns)
{
    const struct winsize size = {.ws_row = 24, .ws_col = columns};
    int master, terminal = process_terminal(&master);
    FILE *files[2] = {scratch(input), scratch(NULL)};
    process p = {.out = calloc(1, 1)};
    struct termios as_it_is;
    char bytes[4096];
    ssize_t got;

    assert_int_equal(tcgetattr(terminal, &as_it_is), 0);
    as_it_is.c_oflag &= ~(tcflag_t)OPOST;
    assert_int_equal(tcsetattr(terminal, TCSANOW, &as_it_is), 0);
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        become(NULL, arguments, (int[3]){fileno(files[0]), terminal, fileno(files[1])});
    close(terminal);
    while ((got = read(master, bytes, sizeof bytes)) > 0) { /* fails when nobody can write any more */
        p.out = realloc(p.out, p.out_size + (size_t)got + 1);
        assert_non_null(p.out);
        memcpy(p.out + p.out_size, bytes, (size_t)got);
        p.out[p.out_size += (size_t)got] = '\0';
    }
    close(master);
    wait_for(child, arguments[0], &p);
    p.err = all_of(files[1], &p.err_size);
    fclose(files[0]);
    fclose(files[1]);
    return p;
}

void process_free(process *p)
{
    free(p->out);
    free(p->err);
    *p = (process){0};
}
