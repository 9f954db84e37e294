/* testing.c - see testing.h. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ink_context_options test_options(unsigned n_threads)
{
    ink_context_options options = {0};

#if defined(INK_NO_THREADS)
    n_threads = 1;
#endif
    options.n_threads = n_threads;
    options.kernel = getenv("INKLING_TEST_KERNEL");
    if (options.kernel != NULL && options.kernel[0] == '\0')
        options.kernel = NULL;
    return options;
}

size_t test_stride(size_t n) { return getenv("INKLING_TEST_ALL") != NULL ? 1 : n; }

ink_context *test_context(unsigned n_threads)
{
    ink_context_options options = test_options(n_threads);
    ink_context *ctx = ink_context_create(&options);

    if (ctx == NULL)
        fail_msg("no context with %u threads and kernel %s", n_threads,
                 options.kernel != NULL ? options.kernel : "(best)");
    return ctx;
}

void context_test_run(void **state)
{
    const context_check *test = *state;
    ink_context *ctx = test_context(1);
    test->check(ctx);
    ink_context_free(ctx);
}

ink_item test_item(ink_state *state, const ink_token *tokens, size_t n_tokens, float *logits, size_t n_logits)
{
    return (ink_item){.state = state, .tokens = tokens, .n_tokens = n_tokens, .logits = logits, .n_logits = n_logits};
}

char *test_read_file(const char *folder, const char *name, size_t *size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return NULL;
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    *size = (size_t)ftell(in);
    rewind(in);
    char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, in), *size);
    bytes[*size] = '\0';
    fclose(in);
    return bytes;
}

void test_assert_ok(const ink_context *ctx, ink_result result, const char *call, const char *file, int line)
{
    if (result == INK_OK && ink_context_error(ctx)[0] == '\0')
        return;
    print_error("%s\n    %s: \"%s\"\n", call, ink_result_name(result), ink_context_error(ctx));
    _fail(file, line);
}

void test_assert_fails(const ink_context *ctx, ink_result result, ink_result expected, const char *words,
                       const char *call, const char *file, int line)
{
    const char *sentence = ink_context_error(ctx);

    if (result == expected && sentence[0] != '\0')
        if (words == NULL || strstr(sentence, words) != NULL)
            return;
    print_error("%s\n    expected %s with \"%s\"\n    found    %s with \"%s\"\n", call, ink_result_name(expected),
                words != NULL ? words : "", ink_result_name(result), sentence);
    _fail(file, line);
}
