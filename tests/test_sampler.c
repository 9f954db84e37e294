/*
 * test_sampler.c - the sampler against transformers' logits processors (fixtures/make_sampler.py), ties and extreme
 * values, and the promises: greedy takes the first, the seed decides, nothing is allocated.
 */
#include "testing.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"

#define MAX_VOCAB 64
#define MAX_DRAWS 16
#define N_LINES 6

/* ---- against the reference -------------------------------------------------------------------------------------- */

typedef struct test_case {
    ink_sampler_options options;
    ink_token seen[MAX_VOCAB];
    size_t n_seen;
    float logits[MAX_VOCAB], probabilities[MAX_VOCAB];
    size_t vocab_size;
    double u[MAX_DRAWS];
    ink_token drawn[MAX_DRAWS];
    size_t n_draws;
} test_case;

static size_t parse_floats(const char *line, float *out)
{
    size_t n = 0;
    char *end;
    for (unsigned long bits = strtoul(line, &end, 16); end != line; bits = strtoul(line = end, &end, 16)) {
        uint32_t bits32 = (uint32_t)bits;
        memcpy(&out[n++], &bits32, sizeof bits32);
    }
    return n;
}

static size_t parse_tokens(const char *line, ink_token *out)
{
    size_t n = 0;
    char *end;
    for (long token = strtol(line, &end, 10); end != line; token = strtol(line = end, &end, 10))
        out[n++] = (ink_token)token;
    return n;
}

static size_t parse_doubles(const char *line, double *out)
{
    size_t n = 0;
    char *end;
    for (double x = strtod(line, &end); end != line; x = strtod(line = end, &end))
        out[n++] = x;
    return n;
}

/* False at the end of the file. */
static bool read_case(FILE *file, test_case *c)
{
    char line[N_LINES][2048];
    for (size_t i = 0; i < N_LINES; i++)
        if (fgets(line[i], sizeof line[i], file) == NULL)
            return false;
    double o[MAX_DRAWS];
    assert_int_equal(parse_doubles(line[0], o), 5);
    c->options = (ink_sampler_options){.temperature = (float)o[0],
                                       .top_k = (size_t)o[1],
                                       .top_p = (float)o[2],
                                       .min_p = (float)o[3],
                                       .repeat_penalty = (float)o[4]};
    c->n_seen = parse_tokens(line[1], c->seen);
    c->vocab_size = parse_floats(line[2], c->logits);
    assert_int_equal(parse_floats(line[3], c->probabilities), c->vocab_size);
    c->n_draws = parse_doubles(line[4], c->u);
    assert_int_equal(parse_tokens(line[5], c->drawn), c->n_draws);
    return true;
}

static ink_sampler *create(ink_context *ctx, const ink_sampler_options *options, size_t vocab_size)
{
    ink_sampler *sampler = NULL;
    assert_ok(ctx, ink_sampler_create(ctx, options, vocab_size, &sampler));
    return sampler;
}

static void check_case(ink_context *ctx, const test_case *c)
{
    float p[MAX_VOCAB];
    ink_sampler *sampler = create(ctx, &c->options, c->vocab_size);
    assert_ok(ctx, ink_sampler_accept(ctx, sampler, c->seen, c->n_seen));
    assert_ok(ctx, ink_sampler_probabilities(ctx, sampler, c->logits, p));
    for (size_t i = 0; i < c->vocab_size; i++) {
        assert_int_equal(p[i] != 0, c->probabilities[i] != 0);
        assert_true(fabsf(p[i] - c->probabilities[i]) <= 1e-6f);
    }
    ink_sampler_free(sampler);
    for (size_t i = 0; i < c->n_draws; i++) {
        ink_token token = -1;
        sampler = create(ctx, &c->options, c->vocab_size);
        assert_ok(ctx, ink_sampler_accept(ctx, sampler, c->seen, c->n_seen));
        assert_ok(ctx, ink_sampler_pick_with(ctx, sampler, c->logits, c->u[i], &token));
        assert_int_equal(token, c->drawn[i]);
        ink_sampler_free(sampler);
    }
}

static void probabilities_are_those_of_transformers(ink_context *ctx)
{
    FILE *file = fopen(FIXTURES "/sampler/cases.txt", "r");
    assert_non_null(file);
    size_t n = 0;
    for (test_case c; read_case(file, &c); n++)
        check_case(ctx, &c);
    assert_int_equal(n, 160);
    fclose(file);
}

/* ---- steps one at a time ---------------------------------------------------------------------------------------- */

/* The set of tokens that are left of logits [n], as a bit mask. */
static unsigned long long survivors(ink_context *ctx, ink_sampler_options options, const float *logits, size_t n)
{
    float p[MAX_VOCAB];
    double sum = 0;
    unsigned long long set = 0;
    ink_sampler *sampler = create(ctx, &options, n);
    assert_ok(ctx, ink_sampler_probabilities(ctx, sampler, logits, p));
    for (size_t i = 0; i < n; i++) {
        sum += (double)p[i];
        set |= (unsigned long long)(p[i] > 0) << i;
    }
    assert_true(fabs(sum - 1) < 1e-6);
    ink_sampler_free(sampler);
    return set;
}

static void cuts_keep_the_right_tokens(ink_context *ctx)
{
    const float ties[] = {3, 2, 2, 1, 2, 0, 2}, flat[40] = {0};
    /* top-k: all ties with the k-th stay; k beyond the vocabulary is all */
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_k = 1}, ties, 7), 0x01);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_k = 2}, ties, 7), 0x57);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_k = 5}, ties, 7), 0x57);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_k = 6}, ties, 7), 0x5F);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_k = SIZE_MAX}, ties, 7), 0x7F);
    /* top-p: 13 of 40 equal ones have 12 / 40 < 0.31 above the last of them; the first 13 */
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_p = 0.31f}, flat, 40), 0x1FFF);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_p = 1e-30f}, flat, 40), 0x1);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_p = 1}, flat, 40), 0xFFFFFFFFFF);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_p = 0}, flat, 40), 0xFFFFFFFFFF);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .top_p = 0.5f}, flat, 4), 0x3);
    /* top-p is of what top-k left: of 5 with e : 1 : 1 : 1 : 1 the first has 0.40 */
    ink_sampler_options both = {.temperature = 1, .top_k = 2, .top_p = 0.39f};
    assert_int_equal(survivors(ctx, both, ties, 7), 0x01);
    both.top_p = 0.42f;
    assert_int_equal(survivors(ctx, both, ties, 7), 0x03);
    /* min-p: relative to the largest, e^-1 = 0.3679 */
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .min_p = 0.367f}, ties, 7), 0x57);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .min_p = 0.368f}, ties, 7), 0x01);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1, .min_p = 1}, flat, 40), 0xFFFFFFFFFF);
    /* all at once on one token */
    ink_sampler_options all = {.temperature = 0.5f, .top_k = 3, .top_p = 0.5f, .min_p = 0.5f, .repeat_penalty = 2};
    assert_int_equal(survivors(ctx, all, flat, 1), 0x1);
}

static void greedy_takes_the_first_of_the_likeliest(ink_context *ctx)
{
    const float logits[] = {-1, 4, 4, 3, 4}, zeros[] = {-0.0f, 0.0f, -0.0f};
    ink_token token;
    ink_sampler *sampler = create(ctx, &(ink_sampler_options){.top_k = 3, .top_p = 0.5f}, 5);
    assert_ok(ctx, ink_sampler_pick(ctx, sampler, logits, &token));
    assert_int_equal(token, 1);
    ink_sampler_free(sampler);
    sampler = create(ctx, &(ink_sampler_options){0}, 3);
    assert_ok(ctx, ink_sampler_pick(ctx, sampler, zeros, &token));
    assert_int_equal(token, 0);
    ink_sampler_free(sampler);
}

/* A token is penalised once however often it was seen, positive logits by division, negative ones by the product;
   what was picked counts as seen. */
static void repeated_tokens_are_penalised(ink_context *ctx)
{
    const float logits[] = {6, 4, 3.5f, -1, -2};
    const ink_token prompt[] = {0, 0, 0, 3};
    ink_token token;
    ink_sampler *sampler = create(ctx, &(ink_sampler_options){.repeat_penalty = 2}, 5);
    assert_ok(ctx, ink_sampler_accept(ctx, sampler, prompt, 4));
    assert_ok(ctx, ink_sampler_pick(ctx, sampler, logits, &token));
    assert_int_equal(token, 1);
    assert_ok(ctx, ink_sampler_pick(ctx, sampler, logits, &token));
    assert_int_equal(token, 2);
    assert_ok(ctx, ink_sampler_pick(ctx, sampler, logits, &token));
    assert_int_equal(token, 0);
    const float negative[] = {-9, -9, -9, -2, -3};
    assert_ok(ctx, ink_sampler_pick(ctx, sampler, negative, &token)); /* -2 became -4 */
    assert_int_equal(token, 4);
    ink_sampler_free(sampler);
}

/* The ends of the interval, and a token of probability 0 that u = 0 must not draw. */
static void draws_at_the_ends_of_the_interval_are_possible_tokens(ink_context *ctx)
{
    const float logits[] = {-INFINITY, 0, -INFINITY, 0, -INFINITY};
    ink_token token;
    ink_sampler *sampler = create(ctx, &(ink_sampler_options){.temperature = 1}, 5);
    assert_ok(ctx, ink_sampler_pick_with(ctx, sampler, logits, 0.0, &token));
    assert_int_equal(token, 1);
    assert_ok(ctx, ink_sampler_pick_with(ctx, sampler, logits, 0.5, &token));
    assert_int_equal(token, 3);
    assert_ok(ctx, ink_sampler_pick_with(ctx, sampler, logits, 1.0 - DBL_EPSILON / 2, &token));
    assert_int_equal(token, 3);
    assert_fails(ctx, ink_sampler_pick_with(ctx, sampler, logits, 1.0, &token), INK_ERROR_ARGUMENT, "[0, 1)");
    assert_fails(ctx, ink_sampler_pick_with(ctx, sampler, logits, -0.1, &token), INK_ERROR_ARGUMENT, "u must");
    assert_fails(ctx, ink_sampler_pick_with(ctx, sampler, logits, NAN, &token), INK_ERROR_ARGUMENT, "u must");
    assert_int_equal(token, -1);
    ink_sampler_free(sampler);
}

/* ---- extremes --------------------------------------------------------------------------------------------------- */

static void options_are_checked(ink_context *ctx)
{
    static const struct {
        ink_sampler_options options;
        const char *words;
    } bad[] = {
        {{.temperature = -1}, "temperature"},
        {{.temperature = NAN}, "temperature"},
        {{.temperature = INFINITY}, "temperature"},
        {{.temperature = 1e-39f}, "temperature"},
        {{.top_p = -0.1f}, "top_p"},
        {{.top_p = 1.001f}, "top_p"},
        {{.top_p = NAN}, "top_p"},
        {{.min_p = -0.1f}, "min_p"},
        {{.min_p = 1.001f}, "min_p"},
        {{.min_p = NAN}, "min_p"},
        {{.repeat_penalty = -1}, "repeat_penalty"},
        {{.repeat_penalty = NAN}, "repeat_penalty"},
        {{.repeat_penalty = INFINITY}, "repeat_penalty"},
    };
    ink_sampler *sampler = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_fails(ctx, ink_sampler_create(ctx, &bad[i].options, 5, &sampler), INK_ERROR_ARGUMENT, bad[i].words);
        assert_null(sampler);
    }
    const ink_sampler_options good = {0};
    assert_fails(ctx, ink_sampler_create(ctx, &good, 0, &sampler), INK_ERROR_ARGUMENT, "vocabulary");
    assert_fails(ctx, ink_sampler_create(ctx, &good, SIZE_MAX, &sampler), INK_ERROR_ARGUMENT, "vocabulary");
    assert_fails(ctx, ink_sampler_create(ctx, NULL, 5, &sampler), INK_ERROR_ARGUMENT, "options");
    assert_fails(ctx, ink_sampler_create(ctx, &good, 5, NULL), INK_ERROR_ARGUMENT, "sampler");
}

/* From nearly greedy to nearly uniform, over the whole range of floats. */
static void extreme_values_give_probabilities(ink_context *ctx)
{
    const float spread[] = {-FLT_MAX, FLT_MAX, 0, FLT_MIN / 4, -0.0f}, close[] = {1, 1.5f, 2, 1.75f, -1};
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1}, spread, 5), 0x02);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = FLT_MAX}, close, 5), 0x1F);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1e-30f}, close, 5), 0x04);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = FLT_MIN, .top_k = 4, .top_p = 0.9f}, close, 5),
                     0x04);
    assert_int_equal(survivors(ctx, (ink_sampler_options){.temperature = 1e-30f}, spread, 5), 0x02);
}

static void nonfinite_logits_are_refused(ink_context *ctx)
{
    const float nan_at_2[] = {1, 2, NAN, 3}, infinite_at_3[] = {1, 2, 3, INFINITY};
    const float nothing[] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY}, one[] = {-INFINITY, -INFINITY, -5, -INFINITY};
    for (int greedy = 0; greedy < 2; greedy++) {
        ink_token token = 7;
        ink_sampler_options options = {.temperature = greedy ? 0.0f : 1.0f, .top_k = 2, .top_p = 0.5f};
        ink_sampler *sampler = create(ctx, &options, 4);
        assert_fails(ctx, ink_sampler_pick(ctx, sampler, nan_at_2, &token), INK_ERROR_NONFINITE, "token 2 is NaN");
        assert_int_equal(token, -1);
        assert_fails(ctx, ink_sampler_pick(ctx, sampler, infinite_at_3, &token), INK_ERROR_NONFINITE,
                     "token 3 is +infinity");
        assert_fails(ctx, ink_sampler_pick(ctx, sampler, nothing, &token), INK_ERROR_NONFINITE, "-infinity");
        assert_ok(ctx, ink_sampler_pick(ctx, sampler, one, &token));
        assert_int_equal(token, 2);
        ink_sampler_free(sampler);
    }
    /* a penalty that makes an infinity */
    const float large[] = {1e30f, 1};
    const ink_token seen = 0;
    ink_token token;
    ink_sampler *sampler = create(ctx, &(ink_sampler_options){.repeat_penalty = 1e-20f}, 2);
    assert_ok(ctx, ink_sampler_accept(ctx, sampler, &seen, 1));
    assert_fails(ctx, ink_sampler_pick(ctx, sampler, large, &token), INK_ERROR_NONFINITE, "token 0 is +inf");
    ink_sampler_free(sampler);
}

static void missing_arguments_are_refused_by_name(ink_context *ctx)
{
    const float logits[] = {1, 2, 3};
    float p[3];
    ink_token token, good_then_bad[] = {0, 3};
    ink_sampler *sampler = create(ctx, &(ink_sampler_options){.repeat_penalty = 100}, 3);
    const ink_result wrong = INK_ERROR_ARGUMENT;
    assert_fails(ctx, ink_sampler_pick(ctx, NULL, logits, &token), wrong, "sampler");
    assert_fails(ctx, ink_sampler_pick(ctx, sampler, NULL, &token), wrong, "logits");
    assert_fails(ctx, ink_sampler_pick(ctx, sampler, logits, NULL), wrong, "token");
    assert_fails(ctx, ink_sampler_probabilities(ctx, sampler, NULL, p), wrong, "logits");
    assert_fails(ctx, ink_sampler_probabilities(ctx, NULL, logits, p), wrong, "sampler");
    assert_fails(ctx, ink_sampler_probabilities(ctx, sampler, logits, NULL), wrong, "probabilities");
    assert_fails(ctx, ink_sampler_accept(ctx, NULL, &token, 1), wrong, "sampler");
    assert_fails(ctx, ink_sampler_accept(ctx, sampler, NULL, 1), wrong, "tokens");
    assert_ok(ctx, ink_sampler_accept(ctx, sampler, NULL, 0));
    assert_int_equal(ink_sampler_pick(NULL, sampler, logits, &token), wrong);
    good_then_bad[0] = 2;
    assert_fails(ctx, ink_sampler_accept(ctx, sampler, good_then_bad, 2), wrong, "tokens[1] is 3");
    good_then_bad[1] = -1;
    assert_fails(ctx, ink_sampler_accept(ctx, sampler, good_then_bad, 2), wrong, "tokens[1] is -1");
    assert_ok(ctx, ink_sampler_pick(ctx, sampler, logits, &token)); /* 2 was not noted */
    assert_int_equal(token, 2);
    ink_sampler_free(sampler);
    ink_sampler_free(NULL);
}

/* ---- promises --------------------------------------------------------------------------------------------------- */

/* The tokens a seed gives are part of the contract: these must never change, on any machine. */
static void the_seed_decides(ink_context *ctx)
{
    static const ink_token expected[] = {45, 20, 3, 48, 6, 17, 10, 39, 12, 47, 20, 39};
    float logits[50];
    ink_token first[200], token;
    size_t n_same = 0;
    for (size_t i = 0; i < 50; i++)
        logits[i] = (float)(i % 7) * 0.25f;
    for (uint64_t seed = 0; seed < 2; seed++) {
        ink_sampler_options options = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .seed = seed};
        for (int again = 0; again < 2; again++) {
            ink_sampler *sampler = create(ctx, &options, 50);
            for (size_t i = 0; i < 200; i++) {
                assert_ok(ctx, ink_sampler_pick(ctx, sampler, logits, &token));
                if (seed == 0 && again == 0)
                    first[i] = token;
                else if (seed == 0)
                    assert_int_equal(token, first[i]);
                else
                    n_same += token == first[i];
            }
            ink_sampler_free(sampler);
        }
    }
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(first[i], expected[i]);
    assert_in_range(n_same, 0, 60); /* of 400: another seed gives other tokens */
}

/* Frequencies of many draws: every token within five standard deviations of what its probability says. */
static void frequencies_follow_the_probabilities(ink_context *ctx)
{
    enum { N = 20000 };
    const float logits[] = {0, 1, -1, 2, 0.5f, -3};
    float p[6];
    size_t count[6] = {0};
    ink_token token;
    ink_sampler *sampler = create(ctx, &(ink_sampler_options){.temperature = 1, .seed = 42}, 6);
    assert_ok(ctx, ink_sampler_probabilities(ctx, sampler, logits, p));
    for (size_t i = 0; i < N; i++) {
        assert_ok(ctx, ink_sampler_pick(ctx, sampler, logits, &token));
        count[token]++;
    }
    for (size_t i = 0; i < 6; i++) {
        double expected = N * (double)p[i];
        assert_true(fabs((double)count[i] - expected) < 5 * sqrt(expected));
    }
    ink_sampler_free(sampler);
}

/* A pick that failed has not used up a random number. */
static void a_failed_pick_changes_nothing(ink_context *ctx)
{
    const float flat[64] = {0}, bad[64] = {NAN};
    ink_sampler_options options = {.temperature = 1, .seed = 9};
    ink_sampler *a = create(ctx, &options, 64), *b = create(ctx, &options, 64);
    for (size_t i = 0; i < 50; i++) {
        ink_token from_a, from_b;
        assert_fails(ctx, ink_sampler_pick(ctx, b, bad, &from_b), INK_ERROR_NONFINITE, "token 0");
        assert_ok(ctx, ink_sampler_pick(ctx, a, flat, &from_a));
        assert_ok(ctx, ink_sampler_pick(ctx, b, flat, &from_b));
        assert_int_equal(from_a, from_b);
    }
    ink_sampler_free(a);
    ink_sampler_free(b);
}

static void logits_are_left_alone(ink_context *ctx)
{
    const float logits[] = {1, 2, 3, 4};
    float given[4];
    ink_token token;
    ink_sampler_options options = {.temperature = 2, .top_k = 2, .top_p = 0.9f, .min_p = 0.1f, .repeat_penalty = 3};
    ink_sampler *sampler = create(ctx, &options, 4);
    for (int i = 0; i < 5; i++) {
        memcpy(given, logits, sizeof given);
        assert_ok(ctx, ink_sampler_pick(ctx, sampler, given, &token));
        assert_memory_equal(given, logits, sizeof given);
    }
    ink_sampler_free(sampler);
}

static void a_pick_allocates_nothing(ink_context *ctx, counting *memory)
{
    static float logits[5000], p[5000];
    ink_token token;
    for (size_t i = 0; i < 5000; i++)
        logits[i] = (float)(i * 7919 % 5000) * 1e-3f;
    ink_sampler_options all = {.temperature = 0.9f, .top_k = 300, .top_p = 0.9f, .min_p = 0.01f, .repeat_penalty = 2};
    ink_sampler *sampler = create(ctx, &all, 5000);
    size_t takes = memory->takes;
    for (int i = 0; i < 20; i++)
        assert_ok(ctx, ink_sampler_pick(ctx, sampler, logits, &token));
    assert_ok(ctx, ink_sampler_probabilities(ctx, sampler, logits, p));
    assert_int_equal(memory->takes, takes);
    ink_sampler_free(sampler);
    counting_fail_at(memory, 1);
    assert_fails(ctx, ink_sampler_create(ctx, &all, 5000, &sampler), INK_ERROR_MEMORY, "sampler");
    assert_null(sampler);
    counting_failed(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(probabilities_are_those_of_transformers),
        context_test(cuts_keep_the_right_tokens),
        context_test(greedy_takes_the_first_of_the_likeliest),
        context_test(repeated_tokens_are_penalised),
        context_test(draws_at_the_ends_of_the_interval_are_possible_tokens),
        context_test(options_are_checked),
        context_test(extreme_values_give_probabilities),
        context_test(nonfinite_logits_are_refused),
        context_test(missing_arguments_are_refused_by_name),
        context_test(the_seed_decides),
        context_test(frequencies_follow_the_probabilities),
        context_test(a_failed_pick_changes_nothing),
        context_test(logits_are_left_alone),
        counted_test(a_pick_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
