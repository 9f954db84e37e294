/*
 * batch.c - texts through an encoder, many at a time.
 *
 * Texts wait until there are BATCH_TEXTS of them or BATCH_TOKENS tokens. Then they run through the model side by side,
 * without padding: the matrices have many rows and no row is wasted.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

/* ---- open and close --------------------------------------------------------------------------------------------- */

bool batch_open(batch *b, ink_context *ctx, const char *folder, ink_pooling pooling, ink_encoding encoding,
                batch_sink sink, void *user)
{
    static const char *const gives[] = {"hidden states", "pooled vectors", "embeddings", "labels", "labels"};
    *b = (batch){.encoding = encoding, .sink = sink, .user = user, .strips = encoding == INK_EMBEDDING};
    if (!lm_open_encoder(&b->lm, ctx, folder, pooling))
        return false;
    b->info = ink_model_get_encoder(b->lm.model);
    b->width = ink_model_encoding_size(b->lm.model, encoding);
    if (encoding == INK_PROBABILITIES && b->info->task != INK_TASK_CLASSIFY_TEXT)
        return console_complain("%s: this %s does not label texts: it needs a head for sequence classification", folder,
                                b->lm.info->kind);
    if (b->width == 0)
        return console_complain("%s: this %s gives no %s: the folder does not say how (modules.json); use --pooling",
                                folder, b->lm.info->kind, gives[encoding]);
    b->rows = console_memory(BATCH_TEXTS * b->width, sizeof *b->rows);
    return b->rows != NULL;
}

void batch_close(batch *b)
{
    free(b->bytes);
    free(b->tokens);
    free(b->rows);
    lm_close(&b->lm);
}

/* ---- texts in --------------------------------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Stores the text as the folder wants it: behind its prompt, without white space around it. */
static bool store_bytes(batch *b, const char *text, size_t size)
{
    size_t prompt = b->strips ? strlen(b->info->prompt) : 0;
    char *bytes = console_grow(b->bytes, &b->bytes_room, b->n_bytes + prompt + size + 1, 1);
    if (bytes == NULL)
        return false;
    b->bytes = bytes;
    for (; b->strips && prompt == 0 && size > 0 && is_space(*text); size--)
        text++;
    while (b->strips && size > 0 && is_space(text[size - 1]))
        size--;
    memcpy(bytes + b->n_bytes, b->info->prompt, prompt);
    memcpy(bytes + b->n_bytes + prompt, text, size);
    b->waiting[b->n_waiting] = (batch_text){.text = b->n_bytes, .size = prompt + size, .tokens = b->n_tokens};
    b->n_bytes += prompt + size;
    return true;
}

static ink_result encode_text(batch *b, batch_text *t, size_t max_length, size_t capacity)
{
    unsigned flags = INK_ENCODE_DEFAULT | (b->info->lower_case ? INK_ENCODE_LOWER : 0);
    ink_encode_input input = {.text = b->bytes + t->text, .size = t->size, .flags = flags, .max_length = max_length};
    return ink_tokenizer_encode_input(b->lm.ctx, b->lm.tokenizer, &input, capacity > 0 ? b->tokens + t->tokens : NULL,
                                      NULL, capacity, &t->n_tokens);
}

/* Stores the ids, cut to the length the model was made for. */
static bool store_tokens(batch *b)
{
    batch_text *t = &b->waiting[b->n_waiting];
    size_t most = b->info->max_tokens;
    ink_result result = encode_text(b, t, 0, 0);
    if (result != INK_ERROR_LIMIT && !console_ok(b->lm.ctx, result)) /* without room the call reports the size */
        return false;
    size_t whole = t->n_tokens, n = b->n_tokens + (whole < most ? whole : most);
    ink_token *tokens = console_grow(b->tokens, &b->tokens_room, n, sizeof *tokens);
    if (tokens == NULL)
        return false;
    b->tokens = tokens;
    if (!console_ok(b->lm.ctx, encode_text(b, t, most, b->tokens_room - b->n_tokens)))
        return false;
    b->n_cut += t->n_tokens < whole;
    b->n_tokens += t->n_tokens;
    b->n_read += t->n_tokens;
    return true;
}

bool batch_add(batch *b, const char *text, size_t size)
{
    if (!store_bytes(b, text, size) || !store_tokens(b))
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
    if (b->n_waiting > 0 &&
        !console_ok(b->lm.ctx, ink_model_encode(b->lm.ctx, b->lm.model, b->encoding, texts, b->n_waiting)))
        return false;
    b->seconds += console_seconds() - begin;
    for (size_t i = 0; i < b->n_waiting; i++)
        if (!b->sink(b->user, b->bytes + b->waiting[i].text, b->waiting[i].size, b->rows + i * b->width))
            return false;
    b->n_waiting = b->n_bytes = b->n_tokens = 0;
    return true;
}

bool batch_run(batch *b, const cli *line)
{
    lines in = {.stream = stdin};
    lines_outcome outcome = LINES_END;
    bool asked = console_is_asked(), done = true;
    /* At a terminal nobody types the next line before this one is answered. */
    while (line->n_arguments == 1 && done && (outcome = lines_next(&in)) == LINES_LINE)
        done = batch_add(b, in.text, in.size) && (!asked || batch_flush(b));
    lines_close(&in);
    for (size_t i = 1; done && i < line->n_arguments; i++)
        done = batch_add(b, line->all[i], strlen(line->all[i]));
    return done && outcome == LINES_END && batch_flush(b);
}

void batch_summarise(const batch *b)
{
    char n[CONSOLE_ROOM], rate[CONSOLE_ROOM], bytes[CONSOLE_ROOM];
    if (b->n_cut > 0)
        console_note("(cut at %zu tokens, the length the model was made for: %zu of the texts)", b->info->max_tokens,
                     b->n_cut);
    console_note("%s: %zu texts, %s tokens, %s tokens/s; memory: %s of weights", b->lm.info->kind, b->n_texts,
                 console_count(n, b->n_read), console_rate(rate, b->n_read, b->seconds),
                 console_bytes(bytes, b->lm.info->n_bytes));
}
