/*
 * reader.c - fresh stories as tokens, and what a model expects at each place of them.
 */
#include "reader.h"

#include <float.h>
#include <stdlib.h>

#include "console.h"
#include "stats.h"

/* ---- stories --------------------------------------------------------------------------------------------------- */

bool tale_tell(tale *t, const language_model *lm, const story_settings *settings, uint64_t seed, uint64_t index)
{
    size_t n, size, at = 0;

    if (!story_tell(settings, seed, index, &t->story)) {
        console_complain("no story can be told with these settings");
        return false;
    }
    if (ink_tokenizer_encode(lm->ctx, lm->tokenizer, t->story.text, t->story.length, INK_ENCODE_PLAIN, t->tokens + 1,
                             READER_TOKENS - 1, &n) != INK_OK) {
        console_complain("a story of %u words is longer than %d tokens: %s", t->story.tokens, READER_TOKENS - 1,
                         ink_context_error(lm->ctx));
        return false;
    }
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

static bool ok(const reader *r, ink_result result)
{
    if (result != INK_OK)
        console_complain("%s", ink_context_error(r->lm->ctx));
    return result == INK_OK;
}

bool reader_open(reader *r, const language_model *lm)
{
    const ink_sampler_options plain = {.temperature = 1};

    *r = (reader){.lm = lm};
    if (!ok(r, ink_sampler_create(lm->ctx, &plain, lm->info->vocab_size, &r->softmax)))
        return false;
    for (size_t i = 0; i < READER_BATCH; i++)
        if (!ok(r, ink_state_create(lm->ctx, lm->model, READER_TOKENS, &r->states[i])))
            return false;
    r->logits = malloc(READER_BATCH * READER_TOKENS * lm->info->vocab_size * sizeof *r->logits);
    if (r->logits == NULL)
        console_complain("there is no memory for the logits of %d tokens", READER_BATCH * READER_TOKENS);
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

static guess guess_of(const float *logits, size_t n, ink_token token)
{
    guess g = {.p = logits[token], .top = true};

    for (size_t i = 0; i < n; i++)
        if (logits[i] > g.p)
            g.top = false;
    return g;
}

/* The guesses of one question from the logits of its last rows. */
static bool judge(reader *r, const question *q, float *logits)
{
    size_t vocab_size = r->lm->info->vocab_size;

    for (size_t i = 0; i < q->n_asked; i++, logits += vocab_size) {
        if (!ok(r, ink_sampler_probabilities(r->lm->ctx, r->softmax, logits, logits)))
            return false;
        q->guesses[i] = guess_of(logits, vocab_size, q->tokens[q->n - q->n_asked + i]);
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
    if (!ok(r, ink_model_forward_list(r->lm->ctx, r->lm->model, items, n)))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!judge(r, &questions[i], items[i].logits))
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
