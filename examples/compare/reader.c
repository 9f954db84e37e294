/*
 * reader.c - stories as tokens, and what a model expects at each place in them.
 */
#include "reader.h"

#include <float.h>
#include <stdlib.h>

#include "stats.h"

/* ---- stories --------------------------------------------------------------------------------------------------- */

bool tale_tell(tale *t, const language_model *lm, const story_settings *settings, uint64_t seed, uint64_t index)
{
    size_t n, size, at = 0;
    if (!story_tell(settings, seed, index, &t->story))
        return console_complain("no story can be told with these settings");
    if (ink_tokenizer_encode(lm->ctx, lm->tokenizer, t->story.text, t->story.length, INK_ENCODE_PLAIN, t->tokens + 1,
                             READER_TOKENS - 1, &n) != INK_OK)
        return console_complain("a story of %u words is longer than %d tokens: %s", t->story.tokens, READER_TOKENS - 1,
                                ink_context_error(lm->ctx));
    t->tokens[0] = lm->info->bos_token;
    t->at[0] = 0;
    for (size_t i = 1; i <= n; i++, at += size) {
        t->at[i] = at;
        ink_tokenizer_token(lm->tokenizer, t->tokens[i], &size);
    }
    t->n = n + 1;
    t->tokens[t->n] = lm->info->eos_token;
    t->at[t->n] = t->story.length;
    return true;
}

size_t tale_token(const tale *t, size_t at)
{
    size_t i = 1;
    while (i < t->n && t->at[i + 1] <= at)
        i++;
    return i;
}

tale_answer tale_find(const tale *t, const story_recall *recall)
{
    size_t first = tale_token(t, recall->at);
    size_t last = tale_token(t, recall->at + recall->length - 1);
    return (tale_answer){first, last - first + 1, first - tale_token(t, recall->said)};
}

/* ---- questions ------------------------------------------------------------------------------------------------- */

bool reader_open(reader *r, const language_model *lm)
{
    const ink_sampler_options plain = {.temperature = 1};
    *r = (reader){.lm = lm};
    if (!console_ok(lm->ctx, ink_sampler_create(lm->ctx, &plain, lm->info->vocab_size, &r->softmax)))
        return false;
    for (size_t i = 0; i < READER_BATCH; i++)
        if (!console_ok(lm->ctx, ink_state_create(lm->ctx, lm->model, READER_TOKENS, &r->states[i])))
            return false;
    r->logits = console_memory(READER_BATCH * READER_TOKENS, lm->info->vocab_size * sizeof *r->logits);
    return r->logits != NULL;
}

void reader_close(reader *r)
{
    ink_sampler_free(r->softmax);
    for (size_t i = 0; i < READER_BATCH; i++)
        ink_state_free(r->states[i]);
    free(r->logits);
    *r = (reader){0};
}

/* Finds the guesses of one question from the logits of its last rows, which become probabilities. */
static bool find_guesses(reader *r, const question *q, float *logits)
{
    size_t vocab_size = r->lm->info->vocab_size;
    for (size_t i = 0; i < q->n_asked; i++, logits += vocab_size) {
        if (!console_ok(r->lm->ctx, ink_sampler_probabilities(r->lm->ctx, r->softmax, logits, logits)))
            return false;
        float p = logits[q->tokens[q->n - q->n_asked + i]];
        q->guesses[i] = (guess){p, p >= logits[lm_likeliest(logits, vocab_size)]};
    }
    return true;
}

static bool ask_batch(reader *r, const question *questions, size_t n)
{
    ink_item items[READER_BATCH];
    float *logits = r->logits;
    for (size_t i = 0; i < n; i++) {
        const question *q = &questions[i];
        ink_state_reset(r->states[i]);
        items[i] = (ink_item){
            .state = r->states[i], .tokens = q->tokens, .n_tokens = q->n - 1, .logits = logits, .n_logits = q->n_asked};
        logits += q->n_asked * r->lm->info->vocab_size;
    }
    if (!console_ok(r->lm->ctx, ink_model_forward_list(r->lm->ctx, r->lm->model, items, n)))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!find_guesses(r, &questions[i], items[i].logits))
            return false;
    return true;
}

bool reader_ask(reader *r, const question *questions, size_t n)
{
    for (size_t i = 0; i < n; i += READER_BATCH)
        if (!ask_batch(r, questions + i, n - i < READER_BATCH ? n - i : READER_BATCH))
            return false;
    return true;
}

double guess_bits(float p) { return -stats_log2((double)(p > FLT_MIN ? p : FLT_MIN)); }
