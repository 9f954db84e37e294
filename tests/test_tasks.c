/*
 * test_tasks.c - what encoders are used for: texts ranked by a cross-encoder.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "encoders.h"
#include "fixture.h"

/* ---- ranking ---------------------------------------------------------------------------------------------------- */

enum { N_RANKED = 9 };

/* The texts of a fixture, some of them twice. */
static size_t ranked_texts(const encoder_fixture *f, ink_text texts[N_RANKED])
{
    for (size_t i = 0; i < N_RANKED; i++)
        texts[i] = f->texts[i * 2 % f->n_texts];
    return N_RANKED;
}

/* Scores are those of the reference; the order is by score, and equal scores keep theirs. */
static void ranks_by_score(void **unused)
{
    static const char *const names[] = {"bert_score", "cross_score", "qwen3_text"};
    (void)unused;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        encoder_fixture f;
        ink_text texts[N_RANKED];
        size_t order[N_RANKED], n_equal = 0;
        float scores[N_RANKED];
        encoder_open(&f, names[k], INK_POOLING_NONE);
        size_t n = ranked_texts(&f, texts);
        float *expected = test_tensor(f.ctx, f.reference, "probabilities", NULL);
        assert_ok(f.ctx, ink_model_rank(f.ctx, f.model, texts, n, order, scores));
        for (size_t i = 0; i < n; i++)
            assert_true(fabsf(scores[i] - expected[i * 2 % f.n_texts]) <= 1e-5f);
        for (size_t i = 1; i < n; i++) {
            assert_true(scores[order[i - 1]] >= scores[order[i]]);
            if (scores[order[i - 1]] == scores[order[i]]) {
                assert_true(order[i - 1] < order[i]);
                n_equal++;
            }
        }
        assert_true(n_equal >= 4);
        assert_ok(f.ctx, ink_model_rank(f.ctx, f.model, NULL, 0, NULL, NULL));
        free(expected);
        encoder_close(&f);
    }
}

static void refuses_to_rank(void **unused)
{
    encoder_fixture f;
    ink_model *model = NULL;
    size_t order[2];
    float scores[2];
    (void)unused;
    encoder_open(&f, "bert_text", INK_POOLING_NONE);
    assert_fails(f.ctx, ink_model_rank(f.ctx, f.model, f.texts, 2, order, scores), INK_ERROR_UNSUPPORTED,
                 "ranks no texts: it needs a head for sequence classification with one label");
    assert_ok(f.ctx, ink_model_open(f.ctx, MODELS "/gpt", NULL, &model));
    assert_fails(f.ctx, ink_model_rank(f.ctx, model, f.texts, 2, order, scores), INK_ERROR_UNSUPPORTED,
                 "a gpt2 model is not an encoder");
    ink_model_free(model);
    encoder_close(&f);

    encoder_open(&f, "bert_score", INK_POOLING_NONE);
    ink_token wrong[] = {2, 66};
    ink_text texts[] = {f.texts[0], {.tokens = wrong, .n_tokens = 2}};
    assert_fails(f.ctx, ink_model_rank(f.ctx, f.model, texts, 2, order, scores), INK_ERROR_ARGUMENT,
                 "text 1: token 1 is 66, expected 0 to 65");
    assert_fails(f.ctx, ink_model_rank(f.ctx, f.model, texts, 2, NULL, scores), INK_ERROR_ARGUMENT,
                 "argument 'order' is NULL");
    encoder_close(&f);
}

/* Every request for memory may fail, and a second call makes none. */
static void ranks_with_little_memory(ink_context *ctx, counting *memory)
{
    encoder_fixture f;
    ink_model *model = NULL;
    ink_text texts[N_RANKED];
    size_t order[N_RANKED];
    float scores[N_RANKED];
    encoder_open(&f, "bert_score", INK_POOLING_NONE);
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/encoders/bert_score", NULL, &model));
    size_t n = ranked_texts(&f, texts), k = 1;
    while (runs_out_of_memory(ctx, memory, k, ink_model_rank(ctx, model, texts, n, order, scores), "out of memory"))
        k++;
    assert_true(k > 1);
    size_t takes = memory->takes;
    assert_ok(ctx, ink_model_rank(ctx, model, texts, n, order, scores));
    assert_int_equal(memory->takes, takes);
    ink_model_free(model);
    encoder_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_by_score),
        cmocka_unit_test(refuses_to_rank),
        counted_test(ranks_with_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
