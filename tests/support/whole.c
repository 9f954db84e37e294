/* whole.c - see whole.h. */
#include "whole.h"

#include <stdlib.h>
#include <string.h>

whole whole_open(const char *folder)
{
    whole w = {.ctx = test_context(1)};

    assert_ok(w.ctx, ink_model_open(w.ctx, folder, NULL, &w.model));
    assert_ok(w.ctx, ink_state_create(w.ctx, w.model, 0, &w.state));
    w.vocab_size = ink_model_get_info(w.model)->vocab_size;
    w.logits = calloc(w.vocab_size, sizeof *w.logits);
    assert_non_null(w.logits);
    return w;
}

void whole_close(whole *w)
{
    free(w->logits);
    ink_state_free(w->state);
    ink_model_free(w->model);
    ink_context_free(w->ctx);
}

void whole_agrees(whole *w, ink_token token, const float *logits)
{
    size_t length = ink_state_length(w->state);

    assert_ok(w->ctx, ink_model_forward(w->ctx, w->model, w->state, &token, 1, w->logits));
    for (size_t i = 0; i < w->vocab_size; i++)
        if (memcmp(&logits[i], &w->logits[i], sizeof *logits) != 0)
            fail_msg("after %zu tokens, logit %zu is %.9g, the model's is %.9g", length + 1, i, (double)logits[i],
                     (double)w->logits[i]);
}
