/*
 * beam.c - beam search (generate.h), step by step as transformers does it.
 *
 *     log p = rules(log softmax(logits))                    of each beam; its sum is that of its tokens
 *     candidates   the best max(2, 1 + stop tokens) * n_beams of all sum + log p; of equal ones the first beam and the
 *                  lowest token
 *     beams        the best n_beams candidates that do not end
 *     finished     a candidate among the first n_beams that ends; its score is sum / length^length_penalty; the best
 *                  n_beams of all steps are kept
 *
 * The sums are floats and are added in this order. What must not be chosen is 10^9 lower, as in the reference, so that
 * the same is left where there is little to choose from.
 *
 * Beams are states. A beam with one child gives it its state; further children get a copy in the states of beams that
 * have none. All beams begin alike, and the same tokens give the same bits, so a copy is of the positions behind the
 * beginning that the two have in common.
 */
#include <math.h>
#include <string.h>

#include "../base/bytes.h"
#include "../tensor/kernel.h"
#include "generator.h"

#define EXCLUDED (-1.0e9f)

void ink_beam_begin(ink_generator *g, ink_run_of_request *run)
{
    for (size_t b = 0; b < g->options.n_beams; b++) {
        run->branches[b].sum = b == 0 ? 0 : EXCLUDED; /* equal beams would choose equal tokens */
        run->finished[b] = (ink_hypothesis){.tokens = run->finished[b].tokens, .score = EXCLUDED};
    }
}

/* length^penalty. */
static float length_factor(const ink_kernel *kernel, size_t length, float penalty)
{
    float x = (float)length, y;
    if (penalty == 1)
        return x;
    kernel->log(&x, 1, &y);
    y *= penalty;
    kernel->exp(&y, 1, &x);
    return x;
}

enum { GROUP = 256, LANES = 32 };

/* The largest of n <= GROUP numbers, n >= 1. */
static float largest_of(const ink_kernel *kernel, const float *x, size_t n)
{
    float lanes[LANES];
    size_t width = ink_size_min(n, LANES);
    memcpy(lanes, x, width * sizeof *x);
    for (size_t i = width; i < n; i += LANES)
        kernel->keep_largest(x + i, ink_size_min(LANES, n - i), lanes);
    for (size_t i = 1; i < width; i++)
        lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
    return lanes[0];
}

/* The candidates of a step, the best first. A group of tokens is left out if the largest of them is no candidate. */
static void find_beam_candidates(const ink_kernel *kernel, ink_generator *g, const ink_run_of_request *run)
{
    size_t vocab_size = g->model->info.vocab_size, n = 0, most = g->n_candidates;
    float least = 0; /* the sum of the worst of `most` candidates */
    for (size_t b = 0; b < g->options.n_beams; b++) {
        const float *log_p = run->logits + (run->shared ? 0 : b) * vocab_size;
        float before = run->branches[b].sum;
        for (size_t first = 0; first < vocab_size; first += GROUP) {
            size_t end = ink_size_min(first + GROUP, vocab_size);
            if (n == most && !(largest_of(kernel, log_p + first, end - first) + before > least))
                continue;
            for (size_t token = first; token < end; token++) {
                float sum = log_p[token] + before;
                if (n == most && !(sum > least))
                    continue;
                /* A heap gives its smallest key, and the worst candidate has the largest. */
                uint64_t key = ~INK_KEY(ink_key_descending(sum), b * vocab_size + token);
                if (n < most) {
                    ink_heap_push(g->heap, n++, key, NULL);
                } else {
                    g->heap[0] = key;
                    ink_heap_sink(g->heap, n, 0, NULL);
                }
                if (n < most)
                    continue;
                size_t worst = ink_key_index(~g->heap[0]), beam = worst / vocab_size;
                least =
                    run->logits[(run->shared ? 0 : beam) * vocab_size + worst % vocab_size] + run->branches[beam].sum;
            }
        }
    }
    for (size_t left = n; left > 0; left--)
        ink_heap_pop(g->heap, left, NULL);
    for (size_t i = 0; i < n; i++) {
        size_t index = ink_key_index(~g->heap[i]), beam = index / vocab_size, token = index % vocab_size;
        float sum = run->logits[(run->shared ? 0 : beam) * vocab_size + token] + run->branches[beam].sum;
        g->candidates[i] = (ink_candidate){.beam = beam, .token = (ink_token)token, .sum = sum};
    }
}

/* Keeps the best n_beams of the finished texts and of the candidates that end. A beam has n tokens without them. */
static void keep_finished(const ink_kernel *kernel, ink_generator *g, ink_run_of_request *run, size_t n)
{
    const ink_generate_options *o = &g->options;
    float factor = length_factor(kernel, n + 1, o->length_penalty);
    for (size_t i = 0; i < g->n_candidates; i++) {
        ink_candidate *c = &g->candidates[i];
        c->finishes = c->ends && i < o->n_beams;
        c->score = c->sum / factor + (c->finishes ? 0 : EXCLUDED);
    }
    ink_hypothesis *kept = run->more_finished;
    for (size_t i = 0; i < o->n_beams; i++) {
        ink_hypothesis *old = NULL;
        ink_candidate *added = NULL;
        for (size_t b = 0; b < o->n_beams; b++)
            if (run->finished[b].tokens != NULL && (old == NULL || run->finished[b].score > old->score))
                old = &run->finished[b];
        for (size_t k = 0; k < g->n_candidates; k++)
            if (!g->candidates[k].kept && (added == NULL || g->candidates[k].score > added->score))
                added = &g->candidates[k];
        if (old != NULL && (added == NULL || !(added->score > old->score))) {
            kept[i] = *old;
            old->tokens = NULL;
            continue;
        }
        added->kept = true;
        kept[i] = (ink_hypothesis){.n = n + 1, .score = added->score, .is_finished = added->finishes, .last = added};
    }
    /* The room of those that are not kept goes to the new ones. */
    for (size_t i = 0, b = 0; i < o->n_beams; i++) {
        if (kept[i].tokens != NULL)
            continue;
        while (run->finished[b].tokens == NULL)
            b++;
        kept[i].tokens = run->finished[b++].tokens;
        memcpy(kept[i].tokens, run->branches[kept[i].last->beam].tokens, n * sizeof(ink_token));
        kept[i].tokens[n] = kept[i].last->token;
    }
    run->more_finished = run->finished;
    run->finished = kept;
}

/* Whether the search goes on, with the best beams' sum and n tokens. */
static bool goes_on(const ink_kernel *kernel, const ink_generator *g, const ink_run_of_request *run, float sum,
                    size_t n)
{
    const ink_generate_options *o = &g->options;
    bool all_end = true, all_finished = true, improves = false;
    float worst = run->finished[o->n_beams - 1].score; /* they are sorted */
    float length = length_factor(kernel, o->early_stopping == INK_STOP_NEVER && o->length_penalty > 0 ? run->most : n,
                                 o->length_penalty);
    for (size_t b = 0; b < o->n_beams; b++) {
        all_finished = all_finished && run->finished[b].is_finished;
        improves = improves || sum / length > (run->finished[b].is_finished ? worst : EXCLUDED);
    }
    for (size_t i = 0; i < g->n_candidates; i++)
        all_end = all_end && g->candidates[i].ends;
    return improves && !all_end && !(all_finished && o->early_stopping == INK_STOP_EARLY);
}

/* Makes the first n_beams candidates the beams. */
static ink_result place_beams(ink_context *ctx, ink_generator *g, ink_run_of_request *run, size_t n)
{
    size_t n_beams = g->options.n_beams;
    for (size_t i = 0; i < n_beams; i++) { /* `lives`: the state has no child yet */
        ink_candidate *c = &g->candidates[i];
        ink_branch *parent = &run->branches[run->shared ? 0 : c->beam];
        memcpy(run->spare[i], parent->tokens, n * sizeof(ink_token));
        run->spare[i][n] = c->token;
        c->state = NULL;
        if (!parent->lives || (run->shared && parent->state != run->root))
            continue;
        c->state = parent->state;
        parent->lives = false;
    }
    for (size_t i = 0, b = 0; i < n_beams; i++) {
        ink_candidate *c = &g->candidates[i];
        if (c->state != NULL)
            continue;
        while (!run->branches[b].lives)
            b++;
        const ink_branch *parent = &run->branches[run->shared ? 0 : c->beam], *child = &run->branches[b++];
        size_t same = 0;
        while (same < n && parent->tokens[same] == child->tokens[same])
            same++;
        c->state = child->state;
        INK_TRY(ink_state_copy_from(ctx, run->shared ? run->root : parent->state, c->state,
                                    run->shared ? 0 : run->n_tokens + same));
    }
    for (size_t i = 0; i < n_beams; i++) {
        ink_branch *s = &run->branches[i];
        ink_token *before = s->tokens;
        s->tokens = run->spare[i];
        run->spare[i] = before;
        s->state = g->candidates[i].state;
        s->sum = g->candidates[i].sum;
        s->n = n + 1;
        s->lives = true;
    }
    run->shared = false;
    return INK_OK;
}

ink_result ink_beam_step(ink_context *ctx, ink_generator *g, ink_run_of_request *run)
{
    const ink_generate_options *o = &g->options;
    size_t vocab_size = g->model->info.vocab_size, n = run->branches[0].n, n_rows = run->shared ? 1 : o->n_beams;
    ink_generate_step step = {.request = run->index, .n_tokens = n, .token = -1, .text = "", .searches = true};
    bool full = n + 1 >= run->most, ended = !full && o->callback != NULL && !o->callback(o->user, &step);

    INK_TRY(ink_log_softmax(ctx, run->logits, n_rows, vocab_size, run->logits));
    for (size_t b = 0; b < n_rows; b++) {
        float *log_p = run->logits + b * vocab_size;
        if (log_p[0] != log_p[0])
            return ink_fail(ctx, INK_ERROR_NONFINITE, "request %zu: beam %zu: the logits contain NaN or +infinity",
                            run->index, b);
        INK_TRY(ink_generate_rules(ctx, g, run, &run->branches[b], log_p));
        if (o->renormalise)
            INK_TRY(ink_log_softmax(ctx, log_p, 1, vocab_size, log_p));
        for (size_t i = 0; log_p[0] != log_p[0] && i < vocab_size; i++) /* NaN: there was nothing left to normalise */
            log_p[vocab_size - 1 - i] = -INFINITY;
    }

    ink_float_mode host = ink_float_mode_enter();
    find_beam_candidates(ctx->kernel, g, run);
    for (size_t i = 0; i < g->n_candidates; i++)
        g->candidates[i].ends = full || ended || ink_generate_stops(g, g->candidates[i].token);
    bool none = g->candidates[0].sum == -INFINITY;
    keep_finished(ctx->kernel, g, run, n);
    /* Sorts them by what their sums become. Equal ones keep their order. */
    for (size_t i = 0; i < g->n_candidates; i++) {
        ink_candidate c = g->candidates[i];
        size_t at = i;
        c.sum += c.ends ? EXCLUDED : 0;
        for (; at > 0 && c.sum > g->candidates[at - 1].sum; at--)
            g->candidates[at] = g->candidates[at - 1];
        g->candidates[at] = c;
    }
    run->lives = goes_on(ctx->kernel, g, run, g->candidates[0].sum, n + 1);
    ink_float_mode_leave(host);
    if (none)
        return ink_generate_none_left(ctx, g, run, n);
    if (run->lives)
        return place_beams(ctx, g, run, n);

    ink_request *request = run->request;
    for (size_t i = 0; i < o->n_results; i++) {
        const ink_hypothesis *h = &run->finished[i];
        if (!h->is_finished)
            continue;
        ink_token stop = ink_generate_stops(g, h->tokens[h->n - 1]) ? h->tokens[h->n - 1] : -1;
        run->results[request->n_results++] = (ink_generated){.tokens = h->tokens,
                                                             .n_tokens = h->n - (stop >= 0),
                                                             .stop_token = stop,
                                                             .end = stop >= 0 ? INK_END_STOP_TOKEN
                                                                    : ended   ? INK_END_CALLBACK
                                                                              : INK_END_LENGTH,
                                                             .score = h->score};
    }
    return INK_OK;
}
