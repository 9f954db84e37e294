/*
 * answer.c - answers to questions, from a text (tasks.h): what the question-answering pipeline of transformers 4.57
 * (pipelines/question_answering.py) makes of the logits of starts and ends.
 *
 * A passage is cut into windows. Windows of all questions wait until there are enough of them, and run together. Each
 * gives its best spans. When the last window of a passage has run, spans with the same words become one answer.
 */
#include <string.h>

#include "../text/unicode.h"
#include "windows.h"

/* The logit of a token that is in no answer. */
#define MASKED (-10000.0f)

/* Of a window: its tokens start .. stop; of a passage: the bytes [start, stop). */
typedef struct answer_span {
    double score;
    size_t start, stop;
} answer_span;

/* A call: its arguments and its scratch memory. */
typedef struct answering {
    ink_windows windows;
    ink_answer_options options; /* with defaults filled in */
    ink_answer *answers;
    size_t *n_answers;

    float *start, *end; /* [longest] of one window: logits, then probabilities */
    bool *allowed;      /* [longest] the token may be in an answer */
    size_t most_kept;   /* spans of a window */
    answer_span *kept;  /* [most_kept] */

    size_t most_spans, n_spans; /* of all windows of a passage, and "there is no answer" */
    answer_span *spans;         /* [most_spans] */
    uint64_t *keys;             /* [max(most_kept, most_spans)] */
    float null_score;
} answering;

/* ---- the spans of a window -------------------------------------------------------------------------------------- */

/* Positive numbers as bits in the same order. */
static uint32_t score_bits(double score)
{
    float x = (float)score;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Of equal scores the later span is the first to go. */
static int compare_kept(const void *user, size_t a, size_t b)
{
    const answer_span *x = (const answer_span *)user + a, *y = (const answer_span *)user + b;
    if (x->start != y->start)
        return x->start > y->start ? -1 : 1;
    return x->stop > y->stop ? -1 : x->stop < y->stop;
}

/* Finds the best spans of a window, best first in the keys; returns their number. */
static size_t find_spans(answering *a, size_t n)
{
    const ink_ties ties = {compare_kept, a->kept};
    size_t n_kept = 0;
    for (size_t s = 0; s < n; s++)
        for (size_t e = s; e < n && e - s < a->options.max_answer_tokens; e++) {
            float score = a->start[s] * a->end[e];
            size_t slot = n_kept;
            if (!(score > 0) || (n_kept == a->most_kept && score_bits((double)score) <= a->keys[0] >> 32))
                continue;
            if (n_kept == a->most_kept)
                slot = ink_key_index(ink_heap_pop(a->keys, n_kept--, &ties));
            a->kept[slot] = (answer_span){(double)score, s, e};
            ink_heap_push(a->keys, n_kept++, INK_KEY(score_bits((double)score), slot), &ties);
        }
    for (size_t k = n_kept; k > 0; k--)
        (void)ink_heap_pop(a->keys, k, &ties);
    return n_kept;
}

/* The place of token t of a window. */
static const ink_place *place_of(const ink_passage *p, const ink_window *w, size_t t)
{
    size_t first = w->cut.first;
    return &p->places[t < first ? t : t < first + w->count ? t + w->skipped : t + w->cut.count - w->count];
}

/* The bytes of a word of the passage, as far as it is in the window; false if it is not. */
static bool find_word(const ink_passage *p, const ink_window *w, size_t word, size_t *start, size_t *stop)
{
    bool found = false;
    for (size_t t = w->cut.first; t < w->cut.first + w->count && word != SIZE_MAX; t++) {
        const ink_place *place = place_of(p, w, t);
        if (place->word != word)
            continue;
        *start = found ? *start : place->start;
        *stop = place->stop;
        found = true;
    }
    return found;
}

/* Adds the best spans of a window, as bytes, to those of its passage. */
static void score_window(answering *a, const ink_window *w)
{
    const ink_passage *p = &a->windows.passages[w->passage];
    const ink_kernel *kernel = a->windows.ctx->kernel;
    size_t n = w->n_tokens, first = w->cut.first;
    for (size_t t = 0; t < n; t++) { /* the passage and [CLS], wherever it is written */
        a->allowed[t] = (t >= first && t < first + w->count) || (p->places[0].text < 0 && w->tokens[t] == w->tokens[0]);
        a->start[t] = a->allowed[t] ? w->logits[2 * t] : MASKED;
        a->end[t] = a->allowed[t] ? w->logits[2 * t + 1] : MASKED;
    }
    kernel->softmax(a->start, n, 1, false);
    kernel->softmax(a->end, n, 1, false);
    float null_score = a->start[0] * a->end[0];
    a->null_score = null_score < a->null_score ? null_score : a->null_score;
    a->start[0] = a->end[0] = 0;

    size_t n_kept = find_spans(a, n);
    for (size_t k = 0; k < n_kept; k++) {
        const answer_span *kept = &a->kept[ink_key_index(a->keys[k])];
        const ink_place *from = place_of(p, w, kept->start), *to = place_of(p, w, kept->stop);
        answer_span *span = &a->spans[a->n_spans];
        size_t inner;
        if (!a->allowed[kept->start] || !a->allowed[kept->stop])
            continue;
        *span = (answer_span){kept->score, 0, 0};
        if (!find_word(p, w, from->word, &span->start, &inner) || !find_word(p, w, to->word, &inner, &span->stop)) {
            span->start = ink_size_min(from->start, p->size); /* no word: the bytes of the tokens */
            span->stop = ink_size_min(to->stop, p->size);
        }
        span->stop = ink_size_max(span->start, span->stop);
        a->n_spans++;
    }
}

/* ---- the answers of a passage ----------------------------------------------------------------------------------- */

/* The next code point in lower case; the two small sigmas are one, and bytes that are not UTF-8 stay apart. */
static uint32_t next_lower(const char *text, size_t *at, size_t stop)
{
    uint32_t code;
    size_t length = ink_utf8_next(text + *at, stop - *at, &code);
    if (code >= INK_UTF8_INVALID) {
        length = 1;
        code = INK_UTF8_INVALID + (unsigned char)text[*at];
    }
    *at += length;
    code = code == 0x130 ? code : ink_unicode_lower(code); /* U+0130 becomes two code points, which no other does */
    return code == 0x3c2 ? 0x3c3 : code;
}

typedef struct passage_spans {
    const char *text;
    const answer_span *spans;
} passage_spans;

static int compare_words(const void *user, size_t a, size_t b)
{
    const passage_spans *p = user;
    size_t i = p->spans[a].start, i_end = p->spans[a].stop, j = p->spans[b].start, j_end = p->spans[b].stop;
    while (i < i_end && j < j_end) {
        uint32_t x = next_lower(p->text, &i, i_end), y = next_lower(p->text, &j, j_end);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return (i < i_end) - (j < j_end);
}

static int compare_words_then_order(const void *user, size_t a, size_t b)
{
    int order = compare_words(user, a, b);
    return order != 0 ? order : a < b ? -1 : a > b;
}

static int compare_scores(const void *user, size_t a, size_t b)
{
    const passage_spans *p = user;
    if (p->spans[a].score != p->spans[b].score)
        return p->spans[a].score > p->spans[b].score ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* Spans with the same words become one answer; writes the best answers to question i. */
static void write_answers(answering *a, size_t i)
{
    const passage_spans p = {a->windows.passages[i].text, a->spans};
    const ink_ties by_words = {compare_words_then_order, &p}, by_score = {compare_scores, &p};
    size_t n = 0;
    for (size_t k = 0; k < a->n_spans; k++) {
        uint64_t hash = 0;
        for (size_t at = a->spans[k].start; at < a->spans[k].stop;)
            hash = ink_hash_mix(hash + next_lower(p.text, &at, a->spans[k].stop));
        a->keys[k] = INK_KEY((uint32_t)hash, k);
    }
    ink_sort(a->keys, a->n_spans, &by_words);
    for (size_t k = 0, next; k < a->n_spans; k = next) {
        size_t first = ink_key_index(a->keys[k]);
        for (next = k + 1; next < a->n_spans; next++) {
            size_t other = ink_key_index(a->keys[next]);
            if (compare_words(&p, first, other) != 0)
                break;
            a->spans[first].score += a->spans[other].score;
        }
        a->keys[n++] = INK_KEY(~score_bits(a->spans[first].score), first);
    }
    if (a->options.may_be_impossible) {
        a->spans[a->n_spans] = (answer_span){(double)a->null_score, 0, 0};
        a->keys[n++] = INK_KEY(~score_bits((double)a->null_score), a->n_spans);
    }
    ink_sort(a->keys, n, &by_score);
    n = a->n_answers[i] = ink_size_min(n, a->options.n_best);
    for (size_t k = 0; k < n; k++) {
        const answer_span *span = &a->spans[ink_key_index(a->keys[k])];
        a->answers[i * a->options.n_best + k] = (ink_answer){(float)span->score, span->start, span->stop};
    }
    a->n_spans = 0;
    a->null_score = 1e6f;
}

/* ---- the call --------------------------------------------------------------------------------------------------- */

static void take_answers(void *user, const ink_window *w)
{
    answering *a = user;
    score_window(a, w);
    if (ink_window_is_last(w))
        write_answers(a, w->passage);
}

ink_result ink_model_answer(ink_context *ctx, const ink_model *model, const ink_passage *passages, size_t n_passages,
                            const ink_answer_options *options, ink_answer *answers, size_t *n_answers)
{
    INK_REQUIRE(ctx, model);
    INK_TRY(ink_model_require_encoder(ctx, model));
    if (model->encoder.task != INK_TASK_ANSWER)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "this %s model answers no questions: it needs a head for question answering", model->info.kind);
    if (n_passages == 0)
        return INK_OK;
    INK_REQUIRE(ctx, passages, answers, n_answers);
    answering a = {.answers = answers, .n_answers = n_answers, .null_score = 1e6f};
    ink_answer_options *o = &a.options;
    if (options != NULL)
        *o = *options;
    o->n_best = ink_size_max(o->n_best, 1);
    o->max_answer_tokens = o->max_answer_tokens != 0 ? o->max_answer_tokens : 15;
    o->max_tokens = o->max_tokens != 0 ? o->max_tokens : ink_size_min(384, model->encoder.max_tokens);
    a.windows = (ink_windows){.ctx = ctx,
                              .model = model,
                              .passages = passages,
                              .n_passages = n_passages,
                              .text = 1,
                              .name = "passage",
                              .max_tokens = o->max_tokens,
                              .stride = o->stride,
                              .take = take_answers,
                              .user = &a};
    INK_TRY(ink_windows_check(&a.windows));
    const size_t longest = a.windows.longest, most_windows = a.windows.most;
    a.most_kept = SIZE_MAX;
    if (ink_size_mul(longest, ink_size_min(longest, o->max_answer_tokens), &a.most_kept) && o->n_best < a.most_kept / 2)
        a.most_kept = ink_size_min(a.most_kept, 2 * o->n_best + 10);
    if (a.most_kept >= UINT32_MAX / most_windows)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%zu spans in each of %zu windows are more than can be ranked",
                        a.most_kept, most_windows);
    a.most_spans = most_windows * a.most_kept + 1;

    ink_call call;
    ink_result result = INK_OK;
    ink_call_begin(&call, ctx, false);
    ink_windows_alloc(&a.windows, call.arena);
    a.start = ink_alloc_rows(call.arena, longest, 1);
    a.end = ink_alloc_rows(call.arena, longest, 1);
    a.allowed = ink_arena_alloc(call.arena, longest, sizeof *a.allowed);
    a.kept = ink_arena_alloc(call.arena, a.most_kept, sizeof *a.kept);
    a.spans = ink_arena_alloc(call.arena, a.most_spans, sizeof *a.spans);
    a.keys = ink_arena_alloc(call.arena, a.most_spans, sizeof *a.keys);
    if (ink_call_ready(&call))
        result = ink_windows_run(&a.windows);
    INK_TRY(ink_call_end(&call));
    return result == INK_ERROR_MEMORY ? ink_scratch_end(ctx, call.mark, result) : result;
}
