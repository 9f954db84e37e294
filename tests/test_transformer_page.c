/*
 * test_transformer_page.c - the GPT that examples/pages/transformer.c wires by hand is the bundled model, bit for bit.
 */
#define main page_main
#include "../examples/pages/transformer.c"
#undef main

#include "whole.h"

static char *arguments[] = {"transformer",
                            "Anna and Tom were in the garden. It was night. Anna looked around and sang."};

static void logits_are_the_models(void **state)
{
    static const char *const models[] = {"gpt", NULL};
    page p;
    network net = {0};
    whole w = whole_open(MODELS "/gpt");

    (void)state;
    assert_int_equal(page_open(&p, "transformer", "", models, 2, arguments), PAGE_READY);
    assert_true(load(&p, &net));
    for (size_t i = 0; i < p.n_prompt; i++) {
        assert_true(forward(&p, &net, p.prompt[i]));
        whole_agrees(&w, p.prompt[i], net.logits);
    }
    unload(&net);
    assert_int_equal(page_close(&p, PAGE_READY), 0);
    whole_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_the_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
