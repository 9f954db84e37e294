/*
 * test_verdicts.c - what compare concludes: the same for any stories, and something else for models that have learned
 * nothing. Verdicts that depend on times are left out; those on what is counted, of "parallel" and "cost", depend on no
 * stories, and are in test_compare.c; so is "depth", which needs no models. With as many stories as a section needs for
 * that, twenty seeds of all sections would take ten minutes. So the gate asks for the three quick ones with twenty
 * seeds and for the others with two, and the suite for two sections with one. With INKLING_TEST_SEEDS set it is all of
 * them, with the 300 stories of the page.
 */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "compare.h"
#include "programs.h"

#define COMPARE PROGRAMS "/compare"

/* The value of the next member of this name after `at`, up to its closing quote. */
static char *value_of(const char *at, const char *name)
{
    const char *found = strstr(at, name);

    assert_non_null(found);
    found += strlen(name);
    return strndup(found, strcspn(found, "\""));
}

/* The verdict on a section, from what --json printed. */
static char *verdict_on(const char *json, const char *part)
{
    char name[64];

    snprintf(name, sizeof name, "\"name\": \"%s\", \"timed\"", part);
    const char *at = strstr(json, name);
    assert_non_null(at);
    return value_of(at, "\"verdict\": \"");
}

/* The checks of a section, one letter each: y or n. */
static char *checks_of(const char *json, const char *part)
{
    char name[64], *letters = calloc(1, 32), *to = letters;

    assert_non_null(letters);
    snprintf(name, sizeof name, "\"name\": \"%s\", \"timed\"", part);
    const char *at = strstr(json, name);
    assert_non_null(at);
    const char *end = strstr(at, "\"charts\"");
    while ((at = strstr(at, "\"holds\": ")) != NULL && at < end) {
        at += strlen("\"holds\": ");
        *to++ = *at == 't' ? 'y' : 'n';
    }
    return letters;
}

/* What compare concludes, check by check, with as few stories as that takes. Of the first two the suite asks. */
static const struct {
    const char *name, *checks, *stories;
    size_t step; /* every seed up to twenty, or every seventh: the page names seed 7 */
} sections[] = {
    {"translation", "yyyyyn", "300", 1}, {"memory", "yyyyynynyyyyyyyy", "150", 7},
    {"learned", "nyyyy", "40", 1},       {"contradiction", "yyy", "40", 1},
    {"position", "yyyyy", "150", 7},     {"influence", "yyyyyyyyyy", "150", 7},
    {"context", "yyyy", "150", 7},       {"switch", "yynny", "150", 7},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

static size_t sections_asked(void) { return test_stride(2) == 1 ? N_SECTIONS : 2; }

static const char *asked(void)
{
    static const char all[] = "translation,memory,learned,contradiction,position,influence,context,switch";
    return sections_asked() == N_SECTIONS ? all : "translation,memory";
}

/* Not only the verdicts: every single check. */
static void any_seed_gives_the_same_verdicts(void **state)
{
    const bool gate = test_stride(2) == 1, every = getenv("INKLING_TEST_SEEDS") != NULL;
    (void)state;
    for (size_t i = 0; i < (every ? N_SECTIONS : sections_asked()); i++) {
        const size_t step = every ? 1 : gate ? sections[i].step : 7;
        for (size_t seed = step; seed <= (every || gate ? 20 : 7); seed += step) {
            char text[16];
            snprintf(text, sizeof text, "%zu", seed);
            char *json = output_of(run(COMPARE, "--json", "--stories", every ? "300" : sections[i].stories, "--seed",
                                       text, "--only", sections[i].name));
            char *found = checks_of(json, sections[i].name);
            if (strcmp(found, sections[i].checks) != 0)
                fail_msg("%s: %s with seed %zu, not %s", sections[i].name, found, seed, sections[i].checks);
            free(found);
            free(json);
        }
    }
}

/* ---- models that have learned nothing --------------------------------------------------------------------------- */

/* Exchanges the elements of each tensor for one another, all of two bytes (bf16), at random. */
static void shuffle(char *file, const ink_weights *weights, uint64_t *random)
{
    for (size_t i = 0; i < ink_weights_count(weights); i++) {
        const ink_weight *w = ink_weights_at(weights, i);
        assert_int_equal(w->type, INK_BF16);
        char *at = file + w->offset, spare[2];
        for (uint64_t n = w->size / 2; n > 1; n--) {
            char *a = at + 2 * (n - 1), *b = at + 2 * random_below(random, n);
            memcpy(spare, a, 2);
            memcpy(a, b, 2);
            memcpy(b, spare, 2);
        }
    }
}

static void copy_shuffled(const char *from, const char *to, uint64_t *random)
{
    ink_context *ctx = test_context(1);
    ink_weights *weights;
    size_t size;
    char *bytes = read_file(from, "model.safetensors", &size), *path = join_path(from, "model.safetensors");

    assert_int_equal(mkdir(to, 0700), 0);
    copy_model(from, to);
    assert_ok(ctx, ink_weights_open(ctx, path, &weights));
    shuffle(bytes, weights, random);
    write_file(to, "model.safetensors", bytes, size);
    ink_weights_free(weights);
    ink_context_free(ctx);
    free(path);
    free(bytes);
}

static void shuffled_weights_turn_the_verdicts(void **state)
{
    char *folder = fresh_folder(), variable[128];
    uint64_t random = 1;

    (void)state;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        char *from = join_path(MODELS, families[i].folder), *to = join_path(folder, families[i].folder);
        copy_shuffled(from, to, &random);
        free(from);
        free(to);
    }
    static const char *const translators[] = {"translate_gru", "translate_attention", "translate_transformer"};
    for (size_t i = 0; i < 3; i++) {
        char *from = join_path(MODELS, translators[i]), *to = join_path(folder, translators[i]);
        copy_shuffled(from, to, &random);
        free(from);
        free(to);
    }
    snprintf(variable, sizeof variable, "INKLING_MODELS=%s", folder);
    char *json = output_of(run("env", variable, COMPARE, "--json", "--stories", "60", "--only", asked()));
    for (size_t i = 0; i < sections_asked(); i++) {
        char *found = verdict_on(json, sections[i].name);
        /* The gradient of an RNN vanishes with any weights as small as these; those of the gated cells then do, too. */
        bool turned = strcmp(sections[i].name, "influence") == 0 ? strcmp(found, "borne out") != 0
                                                                 : strcmp(found, "not borne out") == 0;
        if (!turned)
            fail_msg("%s is %s by models that know nothing", sections[i].name, found);
        free(found);
    }
    free(json);

    /* And with the weights as they are the same stories give other verdicts. */
    static const char *const learned[] = {"memory", "translation", "learned", "position"};
    const bool all = sections_asked() == N_SECTIONS;
    json = output_of(
        run(COMPARE, "--json", "--stories", "60", "--only", all ? "memory,translation,learned,position" : asked()));
    for (size_t i = 0; i < (all ? 4 : 2); i++) {
        char *found = verdict_on(json, learned[i]);
        assert_string_not_equal(found, "not borne out");
        free(found);
    }
    free(json);
    forget(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_seed_gives_the_same_verdicts),
        cmocka_unit_test(shuffled_weights_turn_the_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
