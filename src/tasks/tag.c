/*
 * tag.c - the words of a text that have a label (tasks.h): what the token-classification pipeline of transformers 5.24
 * (pipelines/token_classification.py) makes of the logits of tokens.
 *
 * Tokens, or words of several tokens, get a label and a score. Neighbours with one label become a group. The groups of
 * all windows of a text are merged where the windows overlap.
 */
#include <string.h>

#include "windows.h"

/* A token, a word or a group. */
typedef struct tag_found {
    size_t label, token; /* of the first word; its first token */
    float score;
    size_t start, stop;
} tag_found;

typedef struct tagging {
    ink_windows windows;
    ink_tag_options options;
    tag_found *found; /* [most_found] of the windows of a text so far */
    uint64_t *keys;   /* [most_found] */
    size_t n_found;
    ink_tag *tags; /* [capacity] */
    size_t capacity, n_written;
    size_t *n_tags;
} tagging;

/* A label without its B- or I-. */
static const char *tag_of(const char *label, bool *begins)
{
    *begins = strncmp(label, "B-", 2) == 0;
    return *begins || strncmp(label, "I-", 2) == 0 ? label + 2 : label;
}

/* The name of a group is what follows the first "-" of its label. */
static const char *tag_name(const tagging *t, size_t label)
{
    const char *name = t->windows.model->encoder.labels[label];
    const char *dash = t->options.aggregation != INK_AGGREGATE_NONE ? strchr(name, '-') : NULL;
    return dash != NULL ? dash + 1 : name;
}

static void add_found(tagging *t, const tag_found *found)
{
    if (t->options.keep_outside || strcmp(tag_name(t, found->label), "O") != 0)
        t->found[t->n_found++] = *found;
}

/* The label and the score of a word, from the probabilities of its tokens [n, n_labels], which may be changed. */
static void score_word(const tagging *t, float *rows, size_t n, tag_found *word)
{
    const size_t n_labels = t->windows.model->encoder.n_labels;
    float *row = rows;
    for (size_t i = 1; i < n; i++) {
        float *other = rows + i * n_labels;
        if (t->options.aggregation == INK_AGGREGATE_MAX &&
            other[ink_argmax(other, n_labels)] > row[ink_argmax(row, n_labels)])
            row = other;
        for (size_t k = 0; k < n_labels && t->options.aggregation == INK_AGGREGATE_AVERAGE; k++)
            row[k] += other[k];
    }
    word->label = ink_argmax(row, n_labels);
    word->score = row[word->label] / (t->options.aggregation == INK_AGGREGATE_AVERAGE ? (float)n : 1.0f);
}

/* Adds the tokens, or the groups, of a window to those of its text. */
static void tag_window(tagging *t, const ink_window *w)
{
    const size_t n_labels = t->windows.model->encoder.n_labels;
    const char *const *labels = t->windows.model->encoder.labels;
    const ink_place *places = t->windows.passages[w->passage].places + w->cut.first + w->skipped;
    const bool words = t->options.aggregation > INK_AGGREGATE_SIMPLE;
    float *rows = w->logits + w->cut.first * n_labels;
    tag_found group = {.score = 0};
    size_t n_group = 0, last = 0; /* words of the group, and the label of the last of them */
    for (size_t i = 0; i < w->count; i++)
        t->windows.ctx->kernel->softmax(rows + i * n_labels, n_labels, 1, false);
    for (size_t i = 0, next; i < w->count; i = next) {
        for (next = i + 1; next < w->count && words && places[next].continues;)
            next++;
        tag_found word = {.token = w->skipped + i, .start = places[i].start, .stop = places[next - 1].stop};
        score_word(t, rows + i * n_labels, next - i, &word);
        bool begins, began;
        bool joins = n_group > 0 && strcmp(tag_of(labels[word.label], &begins), tag_of(labels[last], &began)) == 0 &&
                     !begins && t->options.aggregation != INK_AGGREGATE_NONE;
        if (!joins && n_group > 0) {
            group.score /= (float)n_group;
            add_found(t, &group);
        }
        if (joins) {
            group.score += word.score;
            group.stop = word.stop;
        } else {
            group = word;
        }
        n_group = joins ? n_group + 1 : 1;
        last = word.label;
    }
    if (n_group > 0) {
        group.score /= (float)n_group;
        add_found(t, &group);
    }
}

static size_t tag_characters(const char *text, size_t size)
{
    size_t n = 0;
    uint32_t code;
    for (size_t i = 0; i < size; n++)
        i += ink_utf8_next(text + i, size - i, &code);
    return n;
}

/* Of groups that overlap, the longer one stays, in characters; of equal ones that with the better score. The order is
 * that of the text. */
static void merge_windows(tagging *t, const char *text)
{
    const bool tokens = t->options.aggregation == INK_AGGREGATE_NONE;
    size_t n = 0;
    for (size_t i = 0; i < t->n_found; i++)
        t->keys[i] = INK_KEY((uint32_t)(tokens ? t->found[i].token : t->found[i].start), i);
    ink_sort(t->keys, t->n_found, NULL);
    for (size_t i = 0; i < t->n_found; i++) {
        const tag_found *found = &t->found[ink_key_index(t->keys[i])];
        const tag_found *before = n > 0 ? &t->found[ink_key_index(t->keys[n - 1])] : NULL;
        bool overlaps = before != NULL && (tokens ? found->token == before->token
                                                  : found->start < before->stop ||
                                                        (found->start == before->start && found->stop == before->stop));
        size_t length = 0, length_before = 0;
        if (overlaps) {
            length = tag_characters(text + found->start, found->stop - found->start);
            length_before = tag_characters(text + before->start, before->stop - before->start);
        }
        if (!overlaps)
            t->keys[n++] = t->keys[i];
        else if (length > length_before || (length == length_before && found->score > before->score))
            t->keys[n - 1] = t->keys[i];
    }
    t->n_found = n;
}

static void take_window(void *user, const ink_window *w)
{
    tagging *t = user;
    tag_window(t, w);
    if (!ink_window_is_last(w))
        return;
    for (size_t i = 0; i < t->n_found; i++)
        t->keys[i] = INK_KEY(0, i);
    if (w->cut.n_windows > 1)
        merge_windows(t, t->windows.passages[w->passage].text);
    for (size_t i = 0; i < t->n_found; i++, t->n_written++) {
        const tag_found *found = &t->found[ink_key_index(t->keys[i])];
        if (t->n_written < t->capacity)
            t->tags[t->n_written] =
                (ink_tag){found->label, tag_name(t, found->label), found->score, found->start, found->stop};
    }
    t->n_tags[w->passage] = t->n_found;
    t->n_found = 0;
}

ink_result ink_model_tag(ink_context *ctx, const ink_model *model, const ink_passage *texts, size_t n_texts,
                         const ink_tag_options *options, ink_tag *tags, size_t capacity, size_t *n_tags)
{
    INK_REQUIRE(ctx, model);
    INK_TRY(ink_model_require_encoder(ctx, model));
    if (model->encoder.task != INK_TASK_CLASSIFY_TOKENS)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "this %s model labels no tokens: it needs a head for token classification", model->info.kind);
    if (n_texts == 0)
        return INK_OK;
    INK_REQUIRE(ctx, texts, n_tags);
    if (capacity > 0)
        INK_REQUIRE(ctx, tags);
    tagging t = {.tags = tags, .capacity = capacity, .n_tags = n_tags};
    if (options != NULL)
        t.options = *options;
    if ((unsigned)t.options.aggregation >= INK_N_AGGREGATIONS)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "%s: there is no aggregation %d", __func__,
                        (int)t.options.aggregation);
    t.windows =
        (ink_windows){.ctx = ctx,
                      .model = model,
                      .passages = texts,
                      .n_passages = n_texts,
                      .name = "text",
                      .max_tokens = t.options.max_tokens != 0 ? t.options.max_tokens : model->encoder.max_tokens,
                      .stride = t.options.stride,
                      .take = take_window,
                      .user = &t};
    INK_TRY(ink_windows_check(&t.windows));
    size_t most_found;
    if (!ink_size_mul(t.windows.longest, t.windows.most, &most_found) || most_found > UINT32_MAX)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%zu windows of %zu tokens are more than are supported", t.windows.most,
                        t.windows.longest);
    for (size_t i = 0; i < n_texts; i++)
        n_tags[i] = 0;

    ink_call call;
    ink_result result = INK_OK;
    ink_call_begin(&call, ctx, false);
    ink_windows_alloc(&t.windows, call.arena);
    t.found = ink_arena_alloc(call.arena, most_found, sizeof *t.found);
    t.keys = ink_arena_alloc(call.arena, most_found, sizeof *t.keys);
    if (ink_call_ready(&call)) {
        result = ink_windows_run(&t.windows);
        if (result == INK_OK && t.n_written > capacity)
            result =
                ink_fail(ctx, INK_ERROR_LIMIT, "the texts have %zu tags, there is room for %zu", t.n_written, capacity);
    }
    INK_TRY(ink_call_end(&call));
    return result == INK_ERROR_MEMORY ? ink_scratch_end(ctx, call.mark, result) : result;
}
