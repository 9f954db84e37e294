/*
 * test_programs_score.c - score from end to end, beside bits that are worked out anew for every token.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs.h"

/* The mean bits of the tokens after the first, each predicted from what it may see in windows of `context`: worked out
   anew for every token, with the windows as score.c says. */
static double reference_bits(const char *folder, const char *text, size_t context, size_t *n)
{
    opened o = open_model(folder, INK_POOLING_NONE);
    ink_token tokens[512] = {0};
    size_t begin = 0, end = context, vocab_size = o.info->vocab_size;
    double total = 0;
    float *logits = calloc(vocab_size, sizeof *logits);

    assert_non_null(logits);
    assert_ok(o.ctx,
              ink_tokenizer_encode(o.ctx, o.tokenizer, text, strlen(text), INK_ENCODE_ADDED, tokens + 1, 511, n));
    for (size_t t = 1; t <= *n; t++) {
        double sum = 0;
        if (t > end) {
            end += context - context / 2;
            begin += context - context / 2;
        }
        ink_state_reset(o.state);
        assert_ok(o.ctx, ink_model_forward(o.ctx, o.model, o.state, tokens + begin, t - begin, logits));
        for (size_t j = 0; j < vocab_size; j++)
            sum += exp((double)logits[j] - (double)logits[tokens[t]]);
        total += log2(sum);
    }
    free(logits);
    close_model(&o);
    return total / (double)*n;
}

static void scores(void **state)
{
    static const char text[] = "Anna and Tom were in the garden. It was night and they saw the moon. The door was "
                               "open. Anna closed the door. Tom ran up the hill. In the end they went home.";
    static const struct {
        const char *folder, *context;
        size_t n;
    } cases[] = {
        {MODELS "/gpt", "256", 256}, {MODELS "/gpt", "16", 16},      {MODELS "/gpt", "7", 7},
        {MODELS "/gpt", "1", 1},     {MODELS "/lstm", "1000", 1000}, {MODELS "/mlp", "1000", 1000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const arguments[] = {PROGRAMS "/score", cases[i].folder, "-", "--context", cases[i].context, NULL};
        size_t n;
        double bits = reference_bits(cases[i].folder, text, cases[i].n, &n);
        char *said = output_of(process_run(NULL, arguments, text));

        assert_true(number_after(said, "tokens scored") == (double)n);
        assert_true(fabs(number_after(said, "bits per token") - bits) <= 0.0001);
        assert_true(fabs(number_after(said, "bits per byte") - bits * (double)n / (sizeof text - 1)) <= 0.0001);
        free(said);
    }
}

static void scores_paragraphs(void **state)
{
    static const char text[] = "Anna and Tom were in the garden. It was night.\n\n\nBen and Lily were in the park.\n";
    char first[64] = {0};
    size_t n_first, n_second;
    double bits, second;
    char *said;

    (void)state;
    memcpy(first, text, strcspn(text, "\n"));
    bits = reference_bits(MODELS "/gpt", first, 256, &n_first);
    second = reference_bits(MODELS "/gpt", "Ben and Lily were in the park.", 256, &n_second);
    bits = (bits * (double)n_first + second * (double)n_second) / (double)(n_first + n_second);
    said = output_of(
        process_run(NULL, (const char *const[]){PROGRAMS "/score", "--paragraphs", MODELS "/gpt", "-", NULL}, text));
    assert_true(number_after(said, "tokens scored") == (double)(n_first + n_second));
    assert_true(number_after(said, "bytes") == (double)(sizeof text - 1 - 4)); /* without the newlines */
    assert_true(fabs(number_after(said, "bits per token") - bits) <= 0.0001);
    free(said);
}

/* Keys and values in less memory cost next to nothing here; another name is a mistake. */
static void scores_with_every_cache(void **state)
{
    static const char text[] = "Anna and Tom were in the garden. It was night and they saw the moon.";
    static const char *const names[] = {"f32", "f16", "q8"};
    size_t n;
    double bits = reference_bits(MODELS "/gpt", text, 256, &n);
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *said = output_of(process_run(
            NULL, (const char *const[]){PROGRAMS "/score", "--cache", names[i], MODELS "/gpt", "-", NULL}, text));
        assert_true(fabs(number_after(said, "bits per token") - bits) <= (i == 2 ? 0.003 : 0.0002));
        free(said);
    }
    refused(run_with(text, PROGRAMS "/score", "--cache", "q4", MODELS "/gpt", "-"),
            "--cache expects f32, f16 or q8, found 'q4'");
}

static int set_up(void **state)
{
    (void)state;
    return find_programs(PROGRAMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores),
        cmocka_unit_test(scores_paragraphs),
        cmocka_unit_test(scores_with_every_cache),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
