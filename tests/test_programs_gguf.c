/*
 * test_programs_gguf.c - the programs open model.gguf where they open a folder, and say the same: the bundled models,
 * as the program quantise writes them with the weights they have.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"

#define TEXTS "Once upon a time there was a dog.\nThe cat is not bad at all!\n"

/* The bundled model `name` in a folder of its own, as model.gguf. */
static char *written(const char *name)
{
    char *folder = fresh_folder(), *out = join_path(folder, "model.gguf"), *from = join_path(MODELS, name);
    process p = run(PROGRAMS "/quantise", from, out, "--type", "bf16");
    assert_int_equal(p.code, 0);
    process_free(&p);
    free(out);
    free(from);
    return folder;
}

/* A program, the model it runs, the arguments behind it, and whether it reads texts from stdin. */
typedef struct command {
    const char *program, *model, *arguments[6];
    bool reads;
} command;

static char *said_by(const command *c, const char *path, const char *texts)
{
    const char *arguments[9] = {c->program, path};
    size_t n = 2;
    for (size_t i = 0; c->arguments[i] != NULL; i++)
        arguments[n++] = strcmp(c->arguments[i], "TEXTS") == 0 ? texts : c->arguments[i];
    return output_of(process_run(NULL, arguments, c->reads ? TEXTS : NULL));
}

static void a_file_says_what_its_folder_says(void **state)
{
    static const command commands[] = {
        {PROGRAMS "/generate", "gpt", {"Once upon", "-n", "30", "-t", "0"}, false},
        {PROGRAMS "/generate", "gpt", {"Once upon", "-n", "30", "--seed", "7"}, false},
        {PROGRAMS "/score", "gpt", {"TEXTS"}, false},
        {PROGRAMS "/lookinside", "gpt", {"Once upon a"}, false},
        {PROGRAMS "/generate", "assistant", {"Hello", "-n", "30", "-t", "0"}, false},
        {PROGRAMS "/chat", "assistant", {NULL}, true},
        {PROGRAMS "/summarise", "assistant", {"TEXTS"}, false},
        {PROGRAMS "/classify", "mood", {NULL}, true},
        {PROGRAMS "/embed", "mood", {"--pooling", "mean"}, true},
        {PROGRAMS "/embed", "bert", {"--pooling", "cls"}, true},
    };
    char *texts = fresh_folder(), *file = join_path(texts, "texts.txt");
    (void)state;
    write_file(texts, "texts.txt", TEXTS, strlen(TEXTS));
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const command *c = &commands[i];
        char *folder = join_path(MODELS, c->model), *one = written(c->model), *path = join_path(one, "model.gguf");
        char *expected = said_by(c, folder, file), *said = said_by(c, path, file), *inside = said_by(c, one, file);
        assert_true(strlen(expected) > 0);
        if (strcmp(said, expected) != 0 || strcmp(inside, expected) != 0)
            fail_msg("%s %s: as a folder '%s', as a file '%s'", c->program, c->model, expected, said);
        free(expected);
        free(said);
        free(inside);
        free(folder);
        free(path);
        forget(one);
    }
    free(file);
    forget(texts);
}

/* The same weights in the blocks of other types are other numbers, but a model. */
static void a_quantised_file_runs(void **state)
{
    static const char *const files[] = {"llama", "llama_k", "qwen2", "gemma3", "gpt2", "bert", "qwen3_rank"};
    (void)state;
    free(output_of(run(PROGRAMS "/generate", FIXTURES "/gguf_models/llama.gguf", "the and", "-n", "8", "-t", "0")));
    free(output_of(run(PROGRAMS "/lookinside", FIXTURES "/gguf_models/llama.gguf", "the and")));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        snprintf(path, sizeof path, FIXTURES "/gguf_models/%s.gguf", files[i]);
        char *said = output_of(run(PROGRAMS "/inspect", path));
        assert_non_null(strstr(said, "\nkind "));
        free(said);
    }
}

static void wrong_files_are_refused(void **state)
{
    static const mistake mistakes[] = {
        {{PROGRAMS "/generate", FIXTURES "/gguf_models/nothing.gguf", "a"}, "nothing.gguf: no such file"},
        {{PROGRAMS "/generate", FIXTURES "/gguf_models/bert.gguf", "a"}, "bert.gguf"},
        {{PROGRAMS "/generate", FIXTURES "/gguf/types.gguf", "a"}, "general.architecture 'none' is not supported"},
        {{PROGRAMS "/score", FIXTURES "/gguf_models/gpt2.gguf", MODELS "/gpt/config.json"}, "tokenizer"},
        {{PROGRAMS "/embed", FIXTURES "/gguf_models/llama.gguf", "a"}, "a llama is no encoder"},
    };
    (void)state;
    mistakes_refused(mistakes, sizeof mistakes / sizeof *mistakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_says_what_its_folder_says),
        cmocka_unit_test(a_quantised_file_runs),
        cmocka_unit_test(wrong_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
