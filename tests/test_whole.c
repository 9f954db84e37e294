/*
 * test_whole.c - the library as its host sees it: the five bundled models from memory and from a folder, and what a
 * library must leave alone in the process it is a guest of.
 */
#include "testing.h"

#include <dirent.h>
#include <errno.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(INK_NO_FILES)
static const bool reads_files = false;
#else
static const bool reads_files = true;
#endif

static const char *const bundled[] = {"mlp", "rnn", "gru", "lstm", "gpt"};
#define N_BUNDLED (sizeof bundled / sizeof *bundled)

/* ---- a model folder in memory --------------------------------------------------------------------------------- */

#define N_FILES 3
static const char *const file_names[N_FILES] = {"config.json", "model.safetensors", "tokenizer.json"};

typedef struct folder_in_memory {
    unsigned char *blocks[N_FILES];
    ink_memory_file files[N_FILES];
    ink_memory_files list;
    ink_source source;
} folder_in_memory;

/* The file's bytes, at an odd address: nothing may lean on the alignment of what it reads. */
static unsigned char *read_file(const char *kind, const char *name, size_t *size)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/%s", MODELS, kind);
    char *bytes = test_read_file(folder, name, size);
    if (bytes == NULL)
        fail_msg("%s/%s: cannot be opened", folder, name);
    unsigned char *block = malloc(*size + 1);
    assert_non_null(block);
    memcpy(block + 1, bytes, *size);
    free(bytes);
    return block;
}

static void take_folder(folder_in_memory *folder, const char *kind)
{
    for (size_t i = 0; i < N_FILES; i++) {
        folder->files[i].name = file_names[i];
        folder->blocks[i] = read_file(kind, file_names[i], &folder->files[i].size);
        folder->files[i].data = folder->blocks[i] + 1;
    }
    folder->list = (ink_memory_files){folder->files, N_FILES};
    folder->source = ink_source_memory(&folder->list);
}

static void drop_folder(folder_in_memory *folder)
{
    for (size_t i = 0; i < N_FILES; i++)
        free(folder->blocks[i]);
}

/* ---- a story through a model ---------------------------------------------------------------------------------- */

#define N_STEPS 24

/* Encodes a prompt, continues it greedily, and leaves the ids and the last logits; returns the size of the logits. */
static size_t tell(ink_context *ctx, const ink_model *model, const ink_tokenizer *tokenizer, ink_token *ids,
                   float **logits)
{
    static const char prompt[] = "Anna and Tom were in the";
    size_t vocab_size = ink_model_get_info(model)->vocab_size;
    ink_sampler_options greedy = {0};
    ink_sampler *sampler;
    ink_state *state;
    ink_token tokens[64];
    size_t n;

    *logits = malloc(vocab_size * sizeof **logits);
    assert_ok(ctx, ink_state_create(ctx, model, 0, &state));
    assert_ok(ctx, ink_sampler_create(ctx, &greedy, vocab_size, &sampler));
    assert_ok(ctx, ink_tokenizer_encode(ctx, tokenizer, prompt, strlen(prompt), INK_ENCODE_DEFAULT, tokens, 64, &n));
    for (size_t i = 0; i < N_STEPS; i++) {
        assert_ok(ctx, ink_model_forward(ctx, model, state, tokens, n, *logits));
        assert_ok(ctx, ink_sampler_pick(ctx, sampler, *logits, &ids[i]));
        tokens[0] = ids[i];
        n = 1;
    }
    ink_sampler_free(sampler);
    ink_state_free(state);
    return vocab_size;
}

/* From `source`, or from the folder itself for NULL. */
static size_t open_and_tell(ink_context *ctx, const char *kind, const ink_source *source, ink_token *ids,
                            float **logits)
{
    char path[512];
    ink_model_options options = {.source = source};
    ink_model *model;
    ink_tokenizer *tokenizer;

    snprintf(path, sizeof path, "%s/%s", MODELS, kind);
    assert_ok(ctx, ink_model_open(ctx, path, &options, &model));
    if (source != NULL)
        assert_ok(ctx, ink_tokenizer_open_source(ctx, source, &tokenizer));
    else
        assert_ok(ctx, ink_tokenizer_open(ctx, path, &tokenizer));
    size_t vocab_size = tell(ctx, model, tokenizer, ids, logits);
    ink_tokenizer_free(tokenizer);
    ink_model_free(model);
    return vocab_size;
}

/* ---- tests ---------------------------------------------------------------------------------------------------- */

/* The suite is run once per kernel, so the kernel must be the one that the run is about. */
static void the_kernel_is_the_one_asked_for(ink_context *ctx)
{
    const char *asked = getenv("INKLING_TEST_KERNEL");

    if (asked == NULL || asked[0] == '\0')
        asked = ink_kernel_name(0);
    assert_string_equal(ink_context_kernel(ctx), asked);
}

/* A build without files refuses a folder with a sentence; the same bytes from memory are the same model to the bit. */
static void memory_and_folder_are_the_same_model(void **unused)
{
    (void)unused;
    ink_context *ctx = test_context(2);

    for (size_t i = 0; i < N_BUNDLED; i++) {
        folder_in_memory folder;
        ink_token ids[N_STEPS], folder_ids[N_STEPS];
        float *logits, *folder_logits;

        take_folder(&folder, bundled[i]);
        size_t vocab_size = open_and_tell(ctx, bundled[i], &folder.source, ids, &logits);
        drop_folder(&folder); /* a model reads only while it is opened */
        if (reads_files) {
            open_and_tell(ctx, bundled[i], NULL, folder_ids, &folder_logits);
            assert_memory_equal(ids, folder_ids, sizeof ids);
            assert_memory_equal(logits, folder_logits, vocab_size * sizeof *logits);
            free(folder_logits);
        } else {
            ink_model *model = (ink_model *)&folder;
            assert_fails(ctx, ink_model_open(ctx, MODELS "/gpt", NULL, &model), INK_ERROR_UNSUPPORTED, "file");
            assert_null(model);
        }
        free(logits);
    }
    ink_context_free(ctx);
}

static size_t count_open_files(void)
{
    size_t n = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

/* A call that succeeds and calls that fail in several ways. */
static void be_a_guest(void)
{
    ink_context *ctx = test_context(2);
    folder_in_memory folder;
    ink_token ids[N_STEPS];
    float *logits;
    ink_model *model;
    ink_weights *weights;

    take_folder(&folder, "gpt");
    errno = EDOM;
    open_and_tell(ctx, "gpt", &folder.source, ids, &logits);
    assert_int_not_equal(ink_model_open(ctx, "/no/such/folder", NULL, &model), INK_OK);
    assert_int_not_equal(ink_weights_open(ctx, MODELS "/gpt/config.json", &weights), INK_OK);
    assert_int_not_equal(ink_weights_open(ctx, MODELS, &weights), INK_OK);
    assert_int_equal(errno, EDOM);
    free(logits);
    drop_folder(&folder);
    ink_context_free(ctx);
}

/* While this test runs, the two streams go to a file; the teardown gives them back also when an assertion fails. */
static FILE *caught;
static int streams[2];

static int catch_streams(void **unused)
{
    (void)unused;
    caught = tmpfile();
    if (caught == NULL)
        return -1;
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        streams[i] = dup(i + 1);
        dup2(fileno(caught), i + 1);
    }
    return 0;
}

static int give_streams_back(void **unused)
{
    (void)unused;
    fesetround(FE_TONEAREST);
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(streams[i], i + 1);
        close(streams[i]);
    }
    fclose(caught);
    return 0;
}

/* errno, the locale, the rounding mode, denormal numbers, the signal mask, open files, and what is printed. */
static void the_host_finds_everything_as_it_was(void **unused)
{
    (void)unused;
    sigset_t before, after;
    size_t open_files = count_open_files();
    volatile float tiny = 1e-38f;

    /* One that writes a half as 0,5, where there is one: numbers in files are read all the same. */
    const char *tried = setlocale(LC_ALL, "de_DE.UTF-8");
    char locale[256];
    snprintf(locale, sizeof locale, "%s", setlocale(LC_ALL, NULL));
    assert_true(tried == NULL || localeconv()->decimal_point[0] == ',');
    sigprocmask(SIG_SETMASK, NULL, &before);
    fesetround(FE_UPWARD);
    be_a_guest();
    assert_int_equal(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    assert_string_equal(setlocale(LC_ALL, NULL), locale);
    setlocale(LC_ALL, "C");
    sigprocmask(SIG_SETMASK, NULL, &after);
    fflush(NULL);
    assert_int_equal(lseek(fileno(caught), 0, SEEK_END), 0);
    assert_true(tiny * 1e-5f > 0);
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        assert_int_equal(sigismember(&before, signal), sigismember(&after, signal));
    assert_int_equal(count_open_files(), open_files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(the_kernel_is_the_one_asked_for),
        cmocka_unit_test(memory_and_folder_are_the_same_model),
        cmocka_unit_test_setup_teardown(the_host_finds_everything_as_it_was, catch_streams, give_streams_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
