/*
 * test_generation_cases.c - the tokens and scores of transformers' generate() under all its rules, greedy and with
 * beams, of decoders and encoder-decoders (fixtures/make_generation.py).
 *
 *     test_generation_cases FILE      compares the cases of another file, and prints what differs
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define MOST_TOKENS 2048
#define MOST_LISTS 64

typedef struct reference_case {
    char folder[64], settings[8192];
    ink_generate_options options;
    ink_token source[64], prompt[64];
    size_t n_source, n_prompt;
    ink_token results[16][256];
    size_t lengths[16], n_results;
    float scores[16];

    ink_token tokens[MOST_TOKENS]; /* all lists of the options point into this */
    size_t n_tokens;
    ink_token_list banned[MOST_LISTS];
} reference_case;

/* The tokens of "1,2,3" up to the end or a semicolon; *text is set behind them. */
static ink_token_list read_list(reference_case *c, const char **text)
{
    ink_token_list list = {.tokens = &c->tokens[c->n_tokens]};
    while (**text >= '0' && **text <= '9') {
        char *end;
        assert_true(c->n_tokens < MOST_TOKENS);
        c->tokens[c->n_tokens++] = (ink_token)strtol(*text, &end, 10);
        list.n_tokens++;
        *text = *end == ',' ? end + 1 : end;
    }
    return list;
}

static void read_setting(reference_case *c, const char *key, const char *value)
{
    ink_generate_options *o = &c->options;
    const struct {
        const char *key;
        size_t *number;
        ink_token_list *list;
    } known[] = {
        {"n_beams", &o->n_beams, NULL},
        {"n_results", &o->n_results, NULL},
        {"max_tokens", &o->max_tokens, NULL},
        {"max_length", &o->max_length, NULL},
        {"min_tokens", &o->min_tokens, NULL},
        {"min_length", &o->min_length, NULL},
        {"no_repeat_ngram_size", &o->no_repeat_ngram_size, NULL},
        {"encoder_no_repeat_ngram_size", &o->encoder_no_repeat_ngram_size, NULL},
        {"stop_tokens", NULL, &o->stop_tokens},
        {"suppressed", NULL, &o->suppressed},
        {"begin_suppressed", NULL, &o->begin_suppressed},
        {"forced_bos", NULL, &o->forced_bos},
        {"forced_eos", NULL, &o->forced_eos},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(key, known[i].key) == 0) {
            if (known[i].number != NULL)
                *known[i].number = (size_t)strtoul(value, NULL, 10);
            else
                *known[i].list = read_list(c, &value);
            return;
        }
    if (strcmp(key, "length_penalty") == 0) {
        o->length_penalty = strtof(value, NULL);
    } else if (strcmp(key, "early_stopping") == 0) {
        o->early_stopping = (ink_early_stopping)strtol(value, NULL, 10);
    } else if (strcmp(key, "renormalise") == 0) {
        o->renormalise = *value == '1';
    } else if (strcmp(key, "repeat_penalty") == 0) {
        o->sampler.repeat_penalty = strtof(value, NULL);
    } else if (strcmp(key, "banned") == 0) {
        o->banned = c->banned;
        for (; *value != '\0'; value += *value == ';') {
            assert_true(o->n_banned < MOST_LISTS);
            c->banned[o->n_banned++] = read_list(c, &value);
        }
    } else {
        fail_msg("an unknown setting: %s", key);
    }
}

/* The ids of a line; returns their number. */
static size_t read_ids(FILE *file, char *line, ink_token *ids)
{
    size_t n = 0;
    char *end;
    assert_non_null(fgets(line, 1 << 16, file));
    for (long id = strtol(line, &end, 10); end != line; id = strtol(line = end, &end, 10))
        ids[n++] = (ink_token)id;
    return n;
}

static bool read_case(FILE *file, reference_case *c)
{
    static const char decoders[] = "/gpt /gpt2 /llama /qwen3 /mistral"; /* the other models want a source */
    char *line = malloc(1 << 16), *end;
    assert_non_null(line);
    memset(c, 0, sizeof *c);
    if (fgets(line, 1 << 16, file) == NULL) {
        free(line);
        return false;
    }
    line[strcspn(line, "\n")] = '\0';
    snprintf(c->settings, sizeof c->settings, "%s", line);
    for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " ")) {
        char *equals = strchr(word, '=');
        if (equals == NULL) {
            snprintf(c->folder, sizeof c->folder, "%s/%s", strcmp(word, "gpt") == 0 ? MODELS : FIXTURES "/models",
                     word);
            continue;
        }
        *equals = '\0';
        read_setting(c, word, equals + 1);
    }
    if (strstr(decoders, strrchr(c->folder, '/')) == NULL)
        c->n_source = read_ids(file, line, c->source);
    c->n_prompt = read_ids(file, line, c->prompt);
    assert_non_null(fgets(line, 1 << 16, file));
    c->n_results = (size_t)strtoul(line, NULL, 10);
    for (size_t r = 0; r < c->n_results; r++) {
        assert_non_null(fgets(line, 1 << 16, file));
        char *at = line;
        c->scores[r] = strtof(at, &at);
        for (long token = strtol(at, &end, 10); end != at; token = strtol(at = end, &end, 10))
            c->results[r][c->lengths[r]++] = (ink_token)token;
    }
    free(line);
    return true;
}

/* The models of the cases stay open, because there are few and they are small. */
typedef struct open_models {
    char folders[32][64];
    ink_model *models[32];
    size_t n;
} open_models;

static ink_model *model_of(ink_context *ctx, open_models *all, const char *folder)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->folders[i], folder) == 0)
            return all->models[i];
    assert_true(all->n < 32);
    snprintf(all->folders[all->n], sizeof all->folders[0], "%s", folder);
    assert_ok(ctx, ink_model_open(ctx, folder, NULL, &all->models[all->n]));
    return all->models[all->n++];
}

/* True if a result is that of the reference, and its score within 1e-4, or 1e-6 of its size. */
static bool same_result(const reference_case *c, size_t r, const ink_generated *result)
{
    size_t n = result->n_tokens + (result->stop_token >= 0);
    if (n != c->lengths[r] || !(fabsf(result->score - c->scores[r]) <= 1e-4f + 1e-6f * fabsf(c->scores[r])))
        return false;
    for (size_t i = 0; i < n; i++)
        if (c->results[r][i] != (i < result->n_tokens ? result->tokens[i] : result->stop_token))
            return false;
    return true;
}

static void print_results(const reference_case *c, const ink_request *request)
{
    printf("%s\n  %zu results, expected %zu\n", c->settings, request->n_results, c->n_results);
    for (size_t r = 0; r < c->n_results || r < request->n_results; r++) {
        if (r < request->n_results && r < c->n_results && same_result(c, r, &request->results[r]))
            continue;
        if (r < request->n_results) {
            printf("  got      %.9g:", (double)request->results[r].score);
            for (size_t i = 0; i < request->results[r].n_tokens; i++)
                printf(" %d", (int)request->results[r].tokens[i]);
            printf(" stop %d\n", (int)request->results[r].stop_token);
        }
        if (r < c->n_results) {
            printf("  expected %.9g:", (double)c->scores[r]);
            for (size_t i = 0; i < c->lengths[r]; i++)
                printf(" %d", (int)c->results[r][i]);
            printf("\n");
        }
    }
}

/* Returns how many of the cases differ. */
static size_t compare_cases(ink_context *ctx, const char *path, size_t *n)
{
    FILE *file = fopen(path, "r");
    reference_case *c = malloc(sizeof *c);
    open_models all = {.n = 0};
    size_t n_wrong = 0;
    assert_non_null(file);
    assert_non_null(c);
    for (*n = 0; read_case(file, c); ++*n) {
        ink_model *model = model_of(ctx, &all, c->folder);
        ink_generator *generator;
        const ink_encoder_decoder_info *reads = ink_model_get_encoder_decoder(model);
        ink_encoded *encoded = NULL;
        if (reads != NULL) {
            assert_ok(ctx, ink_encoded_create(ctx, model, c->n_source, &encoded));
            const ink_source_item item = {.encoded = encoded, .tokens = c->source, .n_tokens = c->n_source};
            assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
            if (c->n_prompt > 0) {
                memmove(c->prompt + 1, c->prompt, c->n_prompt++ * sizeof *c->prompt);
                c->prompt[0] = reads->start_token;
            }
            c->options.capacity = c->options.max_tokens + c->options.max_length + 10;
            if (ink_model_get_info(model)->context_length != 0)
                c->options.capacity = 0;
        }
        ink_request request = {
            .tokens = c->prompt, .n_tokens = c->n_prompt, .encoded = encoded, .source = {c->source, c->n_source}};
        assert_ok(ctx, ink_generator_create(ctx, model, &c->options, &generator));
        assert_ok(ctx, ink_generate(ctx, generator, &request, 1));
        bool same = request.n_results == c->n_results;
        for (size_t r = 0; same && r < c->n_results; r++)
            same = same_result(c, r, &request.results[r]);
        if (!same)
            print_results(c, &request);
        n_wrong += !same;
        ink_generator_free(generator);
        ink_encoded_free(encoded);
    }
    for (size_t i = 0; i < all.n; i++)
        ink_model_free(all.models[i]);
    fclose(file);
    free(c);
    return n_wrong;
}

static void the_tokens_and_scores_are_transformers(ink_context *ctx)
{
    size_t n, n_wrong = compare_cases(ctx, FIXTURES "/generation/cases.txt", &n);
    assert_int_equal(n_wrong, 0);
    assert_true(n >= 150);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {context_test(the_tokens_and_scores_are_transformers)};
    if (argc == 2) {
        size_t n;
        ink_context *ctx = test_context(1);
        size_t n_wrong = compare_cases(ctx, argv[1], &n);
        printf("%zu of %zu cases differ\n", n_wrong, n);
        ink_context_free(ctx);
        return n_wrong != 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
