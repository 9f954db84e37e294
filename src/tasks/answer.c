/*
 * answer.c - answers to questions, from a text (tasks.h): what the question-answering pipeline of transformers 4.57
 * (pipelines/question_answering.py) makes of the logits of starts and ends.
 *
 * A passage is cut into windows. Windows of all questions wait until there are enough of them, and run together. Each
 * gives its best spans. When the last window of a passage has run, spans with the same words become one answer.
 */
#include <string.h>

#include <inkling/tasks.h>

#include "../models/networks.h"
#include "../text/unicode.h"

/* So many windows, or so many tokens of windows, run together: enough to fill the passes of the engine. */
#define RUN_WINDOWS ((size_t)64)
#define RUN_TOKENS ((size_t)4096)

/* The logit of a token that is in no answer. */
#define MASKED (-10000.0f)

/* The passage is the tokens [first, first + count) of its text. A window has `room` of them, and begins `step` of them
   behind the one before. */
typedef struct passage_cut {
    size_t first, count, room, step, n_windows;
} passage_cut;

/* The tokens [skipped, skipped + count) of a passage, with those around the passage. */
typedef struct answer_window {
    size_t passage;
    passage_cut cut;
    size_t skipped, count;
} answer_window;

/* Of a window: its tokens start .. stop; of a passage: the bytes [start, stop). */
typedef struct answer_span {
    double score;
    size_t start, stop;
} answer_span;

/* A call: its arguments and its scratch memory. */
typedef struct answering {
    ink_context *ctx;
    const ink_model *model;
    const ink_passage *passages;
    ink_answer_options options; /* with defaults filled in */
    ink_answer *answers;
    size_t *n_answers;

    size_t capacity;        /* tokens of the windows that run together */
    ink_text *texts;        /* [RUN_WINDOWS] that wait, and */
    answer_window *windows; /* where they are from */
    size_t n_windows, n_tokens;
    ink_token *tokens, *types; /* [capacity] */
    float *logits;             /* [capacity, 2] */

    size_t longest;     /* tokens of a window */
    float *start, *end; /* [longest] of one window: logits, then probabilities */
    bool *allowed;      /* [longest] the token may be in an answer */
    size_t most_kept;   /* spans of a window */
    answer_span *kept;  /* [most_kept] */

    size_t most_spans, n_spans; /* of all windows of a passage, and "there is no answer" */
    answer_span *spans;         /* [most_spans] */
    uint64_t *keys;             /* [max(most_kept, most_spans)] */
    float null_score;
} answering;

/* ---- windows ---------------------------------------------------------------------------------------------------- */

/* Checks passage i and finds its windows. */
static ink_result cut_passage(const answering *a, size_t i, passage_cut *cut)
{
    ink_context *ctx = a->ctx;
    const ink_passage *p = &a->passages[i];
    size_t n = p->n_tokens, most = a->options.max_tokens, stride = a->options.stride;
    if (n == 0 || p->tokens == NULL || p->places == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: there are no tokens, or no places of tokens", i);
    if (p->text == NULL && p->size > 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "text %zu: the bytes of the passage are NULL", i);
    INK_TRY(ink_model_check_ids(ctx, i, "token", p->tokens, n, a->model->info.vocab_size));
    if (p->types != NULL)
        INK_TRY(ink_model_check_ids(ctx, i, "type", p->types, n, ink_size_max(a->model->encoder.n_types, 1)));
    *cut = (passage_cut){.first = n, .n_windows = 1};
    for (size_t t = 0; t < n; t++) {
        const ink_place *place = &p->places[t];
        if (place->text != 1)
            continue;
        if (place->start > place->stop || place->stop > p->size)
            return ink_fail(ctx, INK_ERROR_ARGUMENT,
                            "text %zu: token %zu is at %zu to %zu, but the passage has %zu bytes", i, t, place->start,
                            place->stop, p->size);
        cut->first = ink_size_min(cut->first, t);
        if (t != cut->first + cut->count)
            return ink_fail(ctx, INK_ERROR_ARGUMENT,
                            "text %zu: token %zu does not follow the other tokens of the passage", i, t);
        cut->count++;
    }
    size_t others = n - cut->count;
    cut->room = cut->step = cut->count;
    if (n <= most)
        return INK_OK;
    if (others >= most)
        return ink_fail(ctx, INK_ERROR_LIMIT,
                        "text %zu: the question and the template have %zu tokens, which leaves no room for the passage "
                        "in a window of %zu",
                        i, others, most);
    cut->room = most - others;
    if (stride == 0) {
        stride = ink_size_min(128, most / 2);
        if (stride >= cut->room)
            stride = cut->room / 2;
    } else if (stride == INK_NO_STRIDE) {
        stride = 0;
    }
    if (stride >= cut->room)
        return ink_fail(ctx, INK_ERROR_LIMIT,
                        "text %zu: a window has room for %zu tokens of the passage, and cannot share %zu with the next",
                        i, cut->room, stride);
    cut->step = cut->room - stride;
    cut->n_windows = 1 + (cut->count - cut->room + cut->step - 1) / cut->step;
    return INK_OK;
}

/* Puts a window with those that wait. */
static void add_window(answering *a, const answer_window *w)
{
    const ink_passage *p = &a->passages[w->passage];
    size_t first = w->cut.first, behind = first + w->cut.count, n = a->n_tokens;
    const size_t parts[3][2] = {
        {0, first}, {first + w->skipped, w->count}, {ink_size_min(behind, p->n_tokens), p->n_tokens - behind}};
    for (size_t k = 0; k < 3; k++) {
        memcpy(a->tokens + n, p->tokens + parts[k][0], parts[k][1] * sizeof *a->tokens);
        if (p->types != NULL)
            memcpy(a->types + n, p->types + parts[k][0], parts[k][1] * sizeof *a->types);
        n += parts[k][1];
    }
    a->texts[a->n_windows] = (ink_text){.tokens = a->tokens + a->n_tokens,
                                        .n_tokens = n - a->n_tokens,
                                        .types = p->types != NULL ? a->types + a->n_tokens : NULL,
                                        .output = a->logits + 2 * a->n_tokens};
    a->windows[a->n_windows++] = *w;
    a->n_tokens = n;
}

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
static const ink_place *place_of(const ink_passage *p, const answer_window *w, size_t t)
{
    size_t first = w->cut.first;
    return &p->places[t < first ? t : t < first + w->count ? t + w->skipped : t + w->cut.count - w->count];
}

/* The bytes of a word of the passage, as far as it is in the window; false if it is not. */
static bool find_word(const ink_passage *p, const answer_window *w, size_t word, size_t *start, size_t *stop)
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
static void score_window(answering *a, const ink_text *text, const answer_window *w)
{
    const ink_passage *p = &a->passages[w->passage];
    size_t n = text->n_tokens, first = w->cut.first;
    for (size_t t = 0; t < n; t++) {
        a->allowed[t] =
            (t >= first && t < first + w->count) || (p->places[0].text < 0 && text->tokens[t] == text->tokens[0]);
        a->start[t] = a->allowed[t] ? text->output[2 * t] : MASKED;
        a->end[t] = a->allowed[t] ? text->output[2 * t + 1] : MASKED;
    }
    a->ctx->kernel->softmax(a->start, n, 1, false);
    a->ctx->kernel->softmax(a->end, n, 1, false);
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
    const passage_spans p = {a->passages[i].text, a->spans};
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

/* Runs the windows that wait, and ends the passages that end with one of them. */
static ink_result run_windows(answering *a)
{
    ink_result result = ink_model_encode(a->ctx, a->model, INK_LOGITS, a->texts, a->n_windows);
    if (result != INK_OK && result != INK_ERROR_NONFINITE)
        return result;
    for (size_t k = 0; k < a->n_windows; k++) {
        const answer_window *w = &a->windows[k];
        if (result != INK_OK &&
            (k + 1 == a->n_windows || !a->ctx->kernel->all_finite(a->texts[k].output, 2 * a->texts[k].n_tokens)))
            return ink_fail(a->ctx, result, "text %zu: the model computes a NaN or an infinity for it", w->passage);
        score_window(a, &a->texts[k], w);
        if (w->skipped + w->count == w->cut.count)
            write_answers(a, w->passage);
    }
    a->n_windows = a->n_tokens = 0;
    return INK_OK;
}

static ink_result run_passages(answering *a, size_t n_passages)
{
    a->null_score = 1e6f;
    for (size_t i = 0; i < n_passages; i++) {
        answer_window w = {.passage = i};
        INK_TRY(cut_passage(a, i, &w.cut));
        for (size_t k = 0; k < w.cut.n_windows; k++) {
            w.skipped = k * w.cut.step;
            w.count = ink_size_min(w.cut.room, w.cut.count - w.skipped);
            size_t n = a->passages[i].n_tokens - w.cut.count + w.count;
            if (a->n_windows == RUN_WINDOWS || n > a->capacity - a->n_tokens)
                INK_TRY(run_windows(a));
            add_window(a, &w);
        }
    }
    return run_windows(a);
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
    answering a = {.ctx = ctx, .model = model, .passages = passages, .answers = answers, .n_answers = n_answers};
    ink_answer_options *o = &a.options;
    if (options != NULL)
        *o = *options;
    o->n_best = ink_size_max(o->n_best, 1);
    o->max_answer_tokens = o->max_answer_tokens != 0 ? o->max_answer_tokens : 15;
    o->max_tokens = o->max_tokens != 0 ? o->max_tokens : ink_size_min(384, model->encoder.max_tokens);
    if (o->max_tokens > model->info.context_length)
        return ink_fail(ctx, INK_ERROR_LIMIT, "a window of %zu tokens is too long: this model allows %zu",
                        o->max_tokens, model->info.context_length);

    size_t most_windows = 1;
    for (size_t i = 0; i < n_passages; i++) {
        passage_cut cut;
        INK_TRY(cut_passage(&a, i, &cut));
        a.longest = ink_size_max(a.longest, passages[i].n_tokens - cut.count + cut.room);
        most_windows = ink_size_max(most_windows, cut.n_windows);
    }
    a.capacity = ink_size_max(a.longest, RUN_TOKENS);
    a.most_kept = SIZE_MAX;
    if (ink_size_mul(a.longest, ink_size_min(a.longest, o->max_answer_tokens), &a.most_kept) &&
        o->n_best < a.most_kept / 2)
        a.most_kept = ink_size_min(a.most_kept, 2 * o->n_best + 10);
    if (a.most_kept >= UINT32_MAX / most_windows)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%zu spans in each of %zu windows are more than can be ranked",
                        a.most_kept, most_windows);
    a.most_spans = most_windows * a.most_kept + 1;

    ink_call call;
    ink_result result = INK_OK;
    ink_call_begin(&call, ctx, false);
    a.texts = ink_arena_alloc(call.arena, RUN_WINDOWS, sizeof *a.texts);
    a.windows = ink_arena_alloc(call.arena, RUN_WINDOWS, sizeof *a.windows);
    a.tokens = ink_arena_alloc(call.arena, a.capacity, sizeof *a.tokens);
    a.types = ink_arena_alloc(call.arena, a.capacity, sizeof *a.types);
    a.logits = ink_alloc_rows(call.arena, a.capacity, 2);
    a.start = ink_alloc_rows(call.arena, a.longest, 1);
    a.end = ink_alloc_rows(call.arena, a.longest, 1);
    a.allowed = ink_arena_alloc(call.arena, a.longest, sizeof *a.allowed);
    a.kept = ink_arena_alloc(call.arena, a.most_kept, sizeof *a.kept);
    a.spans = ink_arena_alloc(call.arena, a.most_spans, sizeof *a.spans);
    a.keys = ink_arena_alloc(call.arena, a.most_spans, sizeof *a.keys);
    if (ink_call_ready(&call))
        result = run_passages(&a, n_passages);
    INK_TRY(ink_call_end(&call));
    return result == INK_ERROR_MEMORY ? ink_scratch_end(ctx, call.mark, result) : result;
}
