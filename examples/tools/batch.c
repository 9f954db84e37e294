/*
 * batch.c - texts through an encoder, many at a time.
 *
 * Texts wait until there are BATCH_TEXTS of them or BATCH_TOKENS tokens. They go through the model side by side,
 * without padding, so that the matrices have many rows and none of them in vain.
 */
#include "batch.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "lines.h"

static bool ok(const batch *b, ink_result result)
{
    if (result != INK_OK)
        console_complain("%s", ink_context_error(b->lm->ctx));
    return result == INK_OK;
}

/* ---- open and close --------------------------------------------------------------------------------------------- */

static bool check(const batch *b, const char *folder)
{
    static const char *const gives[] = {"hidden states", "pooled vectors", "embeddings", "labels", "labels"};

    if (b->encoding == INK_PROBABILITIES && b->info->task != INK_TASK_CLASSIFY_TEXT)
        console_complain("%s: this %s does not label texts: it needs a head for sequence classification", folder,
                         b->lm->info->kind);
    else if (b->width == 0)
        console_complain("%s: this %s gives no %s: the folder does not say how (modules.json); --pooling does", folder,
                         b->lm->info->kind, gives[b->encoding]);
    else
        return true;
    return false;
}

bool batch_open(batch *b, language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling,
                ink_encoding encoding, batch_sink sink, void *user)
{
    *b = (batch){.lm = lm, .encoding = encoding, .sink = sink, .user = user, .strips = encoding == INK_EMBEDDING};
    if (!lm_open_encoder(lm, ctx, folder, pooling))
        return false;
    b->info = ink_model_get_encoder(lm->model);
    b->width = ink_model_encoding_size(lm->model, encoding);
    if (!check(b, folder))
        return false;
    b->rows = calloc(BATCH_TEXTS * b->width, sizeof *b->rows);
    if (b->rows == NULL)
        console_complain("there is no memory for %d rows of %zu numbers", BATCH_TEXTS, b->width);
    return b->rows != NULL;
}

void batch_close(batch *b)
{
    free(b->bytes);
    free(b->tokens);
    free(b->rows);
    *b = (batch){0};
}

/* ---- texts in --------------------------------------------------------------------------------------------------- */

/* Makes room for `more` items of `size` bytes behind the first n. */
static void *room_for(void *items, size_t n, size_t more, size_t size, size_t *room)
{
    size_t wanted = 2 * (n + more);

    if (n + more <= *room)
        return items;
    void *grown = n + more <= SIZE_MAX / 2 / size ? realloc(items, wanted * size) : NULL;
    if (grown == NULL)
        console_complain("there is no memory for %zu x %zu bytes", wanted, size);
    else
        *room = wanted;
    return grown;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The text as the folder wants it: with its prompt, without white space around it. */
static bool take_bytes(batch *b, const char *text, size_t size)
{
    size_t prompt = b->strips ? strlen(b->info->prompt) : 0;
    char *bytes = room_for(b->bytes, b->n_bytes, prompt + size + 1, 1, &b->bytes_room);

    if (bytes == NULL)
        return false;
    b->bytes = bytes;
    for (; b->strips && prompt == 0 && size > 0 && is_space(*text); size--)
        text++;
    while (b->strips && size > 0 && is_space(text[size - 1]))
        size--;
    char *at = bytes + b->n_bytes;
    memcpy(at, b->info->prompt, prompt);
    memcpy(at + prompt, text, size);
    b->waiting[b->n_waiting] = (batch_text){.text = b->n_bytes, .size = prompt + size, .tokens = b->n_tokens};
    b->n_bytes += prompt + size;
    return true;
}

static bool encode(batch *b, batch_text *t, size_t max_length, size_t capacity, ink_result *result)
{
    unsigned flags = INK_ENCODE_DEFAULT | (b->info->lower_case ? INK_ENCODE_LOWER : 0);
    ink_encode_input input = {.text = b->bytes + t->text, .size = t->size, .flags = flags, .max_length = max_length};

    *result = ink_tokenizer_encode_input(b->lm->ctx, b->lm->tokenizer, &input,
                                         capacity > 0 ? b->tokens + t->tokens : NULL, NULL, capacity, &t->n_tokens);
    return *result == INK_OK;
}

/* The ids, cut to the length the model was made for. */
static bool take_tokens(batch *b)
{
    batch_text *t = &b->waiting[b->n_waiting];
    size_t whole, most = b->info->max_tokens;
    ink_result result;

    if (!encode(b, t, 0, 0, &result) && result != INK_ERROR_LIMIT) /* the limit is: how many are there? */
        return ok(b, result);
    whole = t->n_tokens;
    ink_token *tokens = room_for(b->tokens, b->n_tokens, whole < most ? whole : most, sizeof *tokens, &b->tokens_room);
    if (tokens == NULL)
        return false;
    b->tokens = tokens;
    if (!encode(b, t, most, b->tokens_room - b->n_tokens, &result))
        return ok(b, result);
    b->n_cut += t->n_tokens < whole;
    b->n_tokens += t->n_tokens;
    b->n_read += t->n_tokens;
    return true;
}

bool batch_add(batch *b, const char *text, size_t size)
{
    if (!take_bytes(b, text, size) || !take_tokens(b))
        return false;
    b->n_waiting++;
    b->n_texts++;
    return (b->n_waiting < BATCH_TEXTS && b->n_tokens < BATCH_TOKENS) || batch_flush(b);
}

/* ---- rows out --------------------------------------------------------------------------------------------------- */

bool batch_flush(batch *b)
{
    ink_text texts[BATCH_TEXTS];
    double begin = console_seconds();

    for (size_t i = 0; i < b->n_waiting; i++)
        texts[i] = (ink_text){.tokens = b->tokens + b->waiting[i].tokens,
                              .n_tokens = b->waiting[i].n_tokens,
                              .output = b->rows + i * b->width};
    if (b->n_waiting > 0 && !ok(b, ink_model_encode(b->lm->ctx, b->lm->model, b->encoding, texts, b->n_waiting)))
        return false;
    b->seconds += console_seconds() - begin;
    for (size_t i = 0; i < b->n_waiting; i++)
        if (!b->sink(b->user, b->bytes + b->waiting[i].text, b->waiting[i].size, b->rows + i * b->width))
            return false;
    b->n_waiting = b->n_bytes = b->n_tokens = 0;
    return true;
}

/* Nobody types the next line before the answer to this one. */
static bool run_lines(batch *b)
{
    lines in = {.stream = stdin};
    lines_outcome outcome;
    bool asked = console_is_asked(), done = true;

    while (done && (outcome = lines_next(&in)) == LINES_LINE)
        done = batch_add(b, in.text, in.size) && (!asked || batch_flush(b));
    lines_close(&in);
    return done && outcome == LINES_END;
}

bool batch_run(batch *b, size_t n, char *const *texts)
{
    if (n == 0 && !run_lines(b))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!batch_add(b, texts[i], strlen(texts[i])))
            return false;
    return batch_flush(b);
}

void batch_summarise(const batch *b)
{
    char n[CONSOLE_ROOM], rate[CONSOLE_ROOM], bytes[CONSOLE_ROOM];

    if (b->n_cut > 0)
        console_note("(cut at %zu tokens, for which the model was made: %zu of the texts)", b->info->max_tokens,
                     b->n_cut);
    console_note("%s: %zu texts, %s tokens, %s tokens/s; memory: %s of weights", b->lm->info->kind, b->n_texts,
                 console_count(n, b->n_read),
                 b->seconds > 0 ? console_count(rate, (uint64_t)((double)b->n_read / b->seconds)) : "-",
                 console_bytes(bytes, b->lm->info->n_bytes));
}
