/* programs.c - see programs.h. */
#define _POSIX_C_SOURCE 200809L

#include "programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "testing.h"

int find_programs(const char *folder)
{
    const char *path = getenv("PATH");
    char *more = path != NULL ? malloc(strlen(path) + strlen(folder) + 2) : NULL;

    if (more == NULL)
        return -1;
    sprintf(more, "%s:%s", folder, path);
    if (setenv("PATH", more, 1) != 0 || unsetenv("INKLING_MODELS") != 0)
        return -1;
    free(more);
    return 0;
}

size_t count_of(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

char *output_of(process p)
{
    char *out = p.out;

    if (p.code != 0)
        fail_msg("exit code %d: %s", p.code, p.err);
    p.out = NULL;
    process_free(&p);
    return out;
}

void refused(process p, const char *words)
{
    const char *said = p.err;
    while (strncmp(said, "note: ", 6) == 0)
        said += strcspn(said, "\n") + 1;
    if (p.code != 1 || p.out_size != 0 || count_of(said, "\n") != 1 || strstr(said, words) == NULL)
        fail_msg("expected exit code 1 and one sentence with '%s', found code %d, '%s' and '%s'", words, p.code, p.out,
                 p.err);
    process_free(&p);
}

void mistakes_refused(const mistake *mistakes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        refused(process_run(NULL, mistakes[i].arguments, NULL), mistakes[i].words);
}

void fits_80_columns(const char *text)
{
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1)
        if (end - text > 80 || (end > text && end[-1] == ' '))
            fail_msg("a line of %d columns: %.*s", (int)(end - text), (int)(end - text), text);
}

double number_after(const char *text, const char *words)
{
    const char *at = strstr(text, words);

    assert_non_null(at);
    return strtod(at + strlen(words), NULL);
}

char *fresh_folder(void)
{
    char *path = strdup("/tmp/inkling-test-XXXXXX");

    assert_non_null(path);
    assert_non_null(mkdtemp(path));
    return path;
}

char *copy_of_model(const char *model)
{
    char *folder = fresh_folder();

    copy_model(model, folder);
    return folder;
}

void forget(char *folder)
{
    free(output_of(run("rm", "-r", folder)));
    free(folder);
}

char *join_path(const char *folder, const char *name)
{
    char *path = malloc(strlen(folder) + strlen(name) + 2);

    assert_non_null(path);
    sprintf(path, "%s/%s", folder, name);
    return path;
}

char *read_file(const char *folder, const char *name, size_t *size)
{
    char *bytes = test_read_file(folder, name, size);

    assert_non_null(bytes);
    return bytes;
}

void write_file(const char *folder, const char *name, const char *bytes, size_t size)
{
    char *path = join_path(folder, name);
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    free(path);
}

void copy_file(const char *from, const char *to, const char *name)
{
    size_t size;
    char *bytes = read_file(from, name, &size);

    write_file(to, name, bytes, size);
    free(bytes);
}

void copy_model(const char *from, const char *to)
{
    static const char *const names[] = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = join_path(from, names[i]);
        struct stat status;
        if (stat(path, &status) == 0)
            copy_file(from, to, names[i]);
        free(path);
    }
}

char *broken_bert(void)
{
    char *folder = fresh_folder(), *bert = join_path(folder, "bert"), *gpt = join_path(folder, "gpt");
    size_t size;

    assert_int_equal(mkdir(bert, 0700) | mkdir(gpt, 0700), 0);
    copy_model(MODELS "/bert", bert);
    copy_model(MODELS "/gpt", gpt);
    char *weights = read_file(bert, "model.safetensors", &size), *q = weights, *v = weights;
    while ((q = memchr(q, 'q', (size_t)(weights + 8000 - q))) != NULL && memcmp(q, "query.weight", 12) != 0)
        q++;
    while ((v = memchr(v, 'v', (size_t)(weights + 8000 - v))) != NULL && memcmp(v, "value.weight", 12) != 0)
        v++;
    assert_true(q != NULL && v != NULL);
    memcpy(q, "value", 5); /* of the same shape */
    memcpy(v, "query", 5);
    write_file(bert, "model.safetensors", weights, size);
    free(weights);
    free(gpt);
    free(bert);
    return folder;
}

opened open_model(const char *folder, ink_pooling pooling)
{
    const ink_model_options options = {.pooling = pooling};
    opened o = {.ctx = test_context(1)};

    assert_ok(o.ctx, ink_model_open(o.ctx, folder, &options, &o.model));
    assert_ok(o.ctx, ink_tokenizer_open(o.ctx, folder, &o.tokenizer));
    o.info = ink_model_get_info(o.model);
    if (ink_model_get_encoder(o.model) == NULL)
        assert_ok(o.ctx, ink_state_create(o.ctx, o.model, 0, &o.state));
    return o;
}

void close_model(opened *o)
{
    ink_state_free(o->state);
    ink_tokenizer_free(o->tokenizer);
    ink_model_free(o->model);
    ink_context_free(o->ctx);
}
