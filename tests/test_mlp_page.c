/*
 * test_mlp_page.c - the MLP that examples/pages/mlp.c wires by hand is the bundled model, bit for bit.
 */
#define main page_main
#include "../examples/pages/mlp.c"
#undef main

#include "whole.h"

static char *arguments[] = {"mlp", "Anna and Tom were in the garden. It was night. Anna looked around and sang."};

static void logits_are_the_models(void **state)
{
    static const char *const models[] = {"mlp", NULL};
    page p;
    network net = {0};
    whole w = whole_open(MODELS "/mlp");

    (void)state;
    assert_int_equal(page_open(&p, "mlp", "", models, 2, arguments), PAGE_READY);
    assert_true(load(&p, &net));
    assert_true(p.n_prompt > 17); /* the window has moved on */
    for (size_t i = 0; i < p.n_prompt; i++) {
        see(&net, p.prompt[i]);
        assert_true(forward(&p, &net));
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
