/* process.c - see process.h. */
#define _POSIX_C_SOURCE 200809L

#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
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

static void become(const char *folder, const char *const *arguments, FILE *const files[3])
{
    char **copy = NULL;
    size_t n = 0;

    while (arguments[n] != NULL)
        n++;
    copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < n; i++)
        copy[i] = strdup(arguments[i]); /* exec wants them writable */
    for (int i = 0; i < 3; i++)
        if (dup2(fileno(files[i]), i) < 0)
            _exit(126);
    if (copy == NULL || (folder != NULL && chdir(folder) != 0))
        _exit(126);
    execvp(copy[0], copy);
    _exit(127);
}

process process_run(const char *folder, const char *const *arguments, const char *input)
{
    FILE *files[3] = {scratch(input), scratch(NULL), scratch(NULL)};
    process p = {0};
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        become(folder, arguments, files);
    assert_int_equal(waitpid(child, &status, 0), child);
    p.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    p.out = all_of(files[1], &p.out_size);
    p.err = all_of(files[2], &p.err_size);
    for (int i = 0; i < 3; i++)
        fclose(files[i]);
    if (p.code == 126 || p.code == 127)
        fail_msg("%s cannot be started", arguments[0]);
    return p;
}

void process_free(process *p)
{
    free(p->out);
    free(p->err);
    *p = (process){0};
}
