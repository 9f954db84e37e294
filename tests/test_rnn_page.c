/*
 * test_rnn_page.c - the RNN, GRU and LSTM that examples/pages/rnn.c wires by hand are the bundled models, bit for bit.
 */
#define main page_main
#include "../examples/pages/rnn.c"
#undef main

#include "whole.h"

static char *arguments[] = {"rnn", "Anna and Tom were in the garden. It was night. Anna looked around and sang."};

static void agree(const char *name, ink_cell cell, const char *folder)
{
    const char *const models[] = {name, NULL};
    page p;
    network net = {0};
    whole w = whole_open(folder);

    assert_int_equal(page_open(&p, "rnn", "", models, 2, arguments), PAGE_READY);
    assert_true(load(&p, cell, &net));
    for (size_t i = 0; i < p.n_prompt; i++) {
        assert_true(forward(&p, &net, p.prompt[i]));
        whole_agrees(&w, p.prompt[i], net.logits);
    }
    unload(&net);
    assert_int_equal(page_close(&p, PAGE_READY), 0);
    whole_close(&w);
}

static void logits_are_the_models(void **state)
{
    (void)state;
    agree("rnn", INK_RNN_TANH, MODELS "/rnn");
    agree("gru", INK_GRU, MODELS "/gru");
    agree("lstm", INK_LSTM, MODELS "/lstm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_the_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
