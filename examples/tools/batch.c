/*
 * batch.c - texts through an encoder, many at a time.
 *
 * Texts wait until there are BATCH_TEXTS of them or BATCH_TOKENS tokens. Then they run through the model side by side,
 * without padding: the matrices have many rows and no row is wasted.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "vocabulary.h"

/* ---- open and close --------------------------------------------------------------------------------------------- */

bool batch_open(batch *b, ink_context *ctx, const char *folder, batch_form form, ink_pooling pooling,
                ink_encoding encoding, batch_sink sink, void *user)
{
    static const char *const gives[] = {"hidden states", "pooled vectors", "embeddings", "labels", "labels"};
    *b = (batch){.encoding = encoding, .form = form, .sink = sink, .user = user};
    if (!lm_open_encoder(&b->lm, ctx, folder, pooling, form.as_ids ? LM_NO_TOKENIZER : LM_TOKENIZER))
        return false;
    b->info = ink_model_get_encoder(b->lm.model);
    b->width = ink_model_encoding_size(b->lm.model, encoding);
    if (encoding == INK_PROBABILITIES && b->info->task != INK_TASK_CLASSIFY_TEXT)
        return console_complain("%s: this %s does not label texts: it needs a head for sequence classification", folder,
                                b->lm.info->kind);
    if (b->width == 0)
        return console_complain("%s: this %s gives no %s: neither modules.json nor the pooling_type of a "
                                "GGUF file says how; use --pooling",
                                folder, b->lm.info->kind, gives[encoding]);
    b->rows = console_memory(BATCH_TEXTS * b->width, sizeof *b->rows);
    return b->rows != NULL;
}

void batch_close(batch *b)
{
    free(b->bytes);
    free(b->tokens);
    free(b->types);
    free(b->rows);
    lm_close(&b->lm);
}

/* ---- texts in --------------------------------------------------------------------------------------------------- */

/* Stores the text behind the folder's prompt. Like sentence-transformers it takes no white space away. */
static bool store_bytes(batch *b, const batch_input *in)
{
    const char *prompt = b->encoding == INK_EMBEDDING && !b->form.as_ids ? b->info->prompt : "";
    batch_text t = {b->n_bytes, strlen(prompt), in->size, in->pair_size, in->pair != NULL, b->n_tokens, 0};
    size_t size = t.prompt + t.size + t.pair_size;
    char *bytes = console_grow(b->bytes, &b->bytes_room, b->n_bytes + size + 1, 1);
    if (bytes == NULL)
        return false;
    b->bytes = bytes;
    memcpy(bytes + t.text, prompt, t.prompt);
    memcpy(bytes + t.text + t.prompt, in->text, in->size);
    if (t.is_pair)
        memcpy(bytes + t.text + t.prompt + in->size, in->pair, in->pair_size);
    b->waiting[b->n_waiting] = t;
    b->n_bytes += size;
    return true;
}

/* Makes room for n more ids. */
static bool reserve_tokens(batch *b, size_t n)
{
    ink_token *tokens = console_grow(b->tokens, &b->tokens_room, b->n_tokens + n, sizeof *tokens);
    b->tokens = tokens != NULL ? tokens : b->tokens;
    ink_token *types = tokens != NULL ? console_grow(b->types, &b->types_room, b->n_tokens + n, sizeof *types) : NULL;
    b->types = types != NULL ? types : b->types;
    return types != NULL;
}

static ink_result encode_text(batch *b, batch_text *t, size_t max_length, size_t capacity)
{
    const char *text = b->bytes + t->text;
    ink_encode_input input = {.text = text,
                              .size = t->prompt + t->size,
                              .pair = t->is_pair ? text + t->prompt + t->size : NULL,
                              .pair_size = t->pair_size,
                              .flags = INK_ENCODE_ADDED | (b->info->lower_case ? INK_ENCODE_LOWER : 0) |
                                       (b->info->without_template ? 0 : INK_ENCODE_TEMPLATE),
                              .max_length = max_length};
    return ink_tokenizer_encode_input(b->lm.ctx, b->lm.tokenizer, &input, capacity > 0 ? b->tokens + t->tokens : NULL,
                                      capacity > 0 ? b->types + t->tokens : NULL, NULL, capacity, &t->n_tokens);
}

/* Stores the ids and their types, cut to the length the model was made for. */
static bool encode_tokens(batch *b, batch_text *t)
{
    size_t most = b->info->max_tokens;
    ink_result result = encode_text(b, t, 0, 0);
    if (result != INK_ERROR_LIMIT && !console_ok(b->lm.ctx, result)) /* without room the call reports the size */
        return false;
    size_t whole = t->n_tokens;
    if (!reserve_tokens(b, whole < most ? whole : most) ||
        !console_ok(b->lm.ctx, encode_text(b, t, most, whole < most ? whole : most)))
        return false;
    const char *text = b->bytes + t->text + t->prompt;
    vocabulary_note(b->lm.ctx, b->lm.tokenizer, b->lm.folder, text, t->size + t->pair_size,
                    INK_ENCODE_ADDED | (b->info->lower_case ? INK_ENCODE_LOWER : 0));
    b->n_cut += t->n_tokens < whole;
    return true;
}

/* Stores the ids that the texts list. */
static bool read_tokens(batch *b, const batch_input *in, batch_text *t)
{
    bool done = true;
    for (int second = 0; done && second <= t->is_pair; second++) {
        ink_token *ids;
        size_t n;
        done = lm_read_ids(&b->lm, second ? in->pair : in->text, second ? in->pair_size : in->size, &ids, &n) &&
               reserve_tokens(b, t->n_tokens + n);
        for (size_t i = 0; done && i < n; i++, t->n_tokens++) {
            b->tokens[t->tokens + t->n_tokens] = ids[i];
            b->types[t->tokens + t->n_tokens] = second;
        }
        free(ids);
    }
    return done && (t->n_tokens > 0 || console_complain("--ids-in: a text lists no ids"));
}

bool batch_add(batch *b, const batch_input *in)
{
    batch_text *t = &b->waiting[b->n_waiting];
    if (!store_bytes(b, in) || !(b->form.as_ids ? read_tokens(b, in, t) : encode_tokens(b, t)))
        return false;
    b->n_tokens += t->n_tokens;
    b->n_read += t->n_tokens;
    b->n_waiting++;
    b->n_texts++;
    return (b->n_waiting < BATCH_TEXTS && b->n_tokens < BATCH_TOKENS) || batch_flush(b);
}

/* ---- rows out --------------------------------------------------------------------------------------------------- */

bool batch_flush(batch *b)
{
    ink_text texts[BATCH_TEXTS];
    size_t numbers[BATCH_TEXTS];
    double begin = console_seconds();
    bool has_types = lm_has_types(&b->lm);
    for (size_t i = 0; i < b->n_waiting; i++) {
        numbers[i] = b->n_texts - b->n_waiting + i + 1;
        texts[i] = (ink_text){.tokens = b->tokens + b->waiting[i].tokens,
                              .n_tokens = b->waiting[i].n_tokens,
                              .types = has_types ? b->types + b->waiting[i].tokens : NULL,
                              .output = b->rows + i * b->width};
    }
    if (b->n_waiting > 0 &&
        !console_ok_list(b->lm.ctx, ink_model_encode(b->lm.ctx, b->lm.model, b->encoding, texts, b->n_waiting),
                         numbers))
        return false;
    b->seconds += console_seconds() - begin;
    for (size_t i = 0; i < b->n_waiting; i++) {
        const batch_text *t = &b->waiting[i];
        const char *text = b->bytes + t->text + t->prompt;
        batch_input in = {text, t->size, t->is_pair ? text + t->size : NULL, t->pair_size};
        if (!b->sink(b->user, &in, b->rows + i * b->width))
            return false;
    }
    b->n_waiting = b->n_bytes = b->n_tokens = 0;
    return true;
}

/* Adds a line or an argument: one text, or two with a tab between them. */
static bool add_line(batch *b, const char *line, size_t size)
{
    const char *tab = b->form.pairs ? memchr(line, '\t', size) : NULL;
    if (!b->form.pairs)
        return batch_add(b, &(batch_input){line, size, NULL, 0});
    size_t first = tab != NULL ? (size_t)(tab - line) : 0, second = size - first - 1;
    if (tab == NULL || memchr(tab + 1, '\t', second) != NULL)
        return console_complain("--pair expects two texts with one tab between them, found %s",
                                tab == NULL ? "no tab in a line" : "more than one tab");
    return batch_add(b, &(batch_input){line, first, tab + 1, second});
}

bool batch_run(batch *b, const cli *line)
{
    cli_text_list list = {.line = line};
    bool done = true;
    while (done && cli_next_text(&list)) {
        const char *text = list.text;
        const size_t size = list.size;
        if (!b->form.pairs || !list.listed || strchr(text, '\t') != NULL)
            done = add_line(b, text, size);
        else if (cli_next_text(&list) && list.listed)
            done = batch_add(b, &(batch_input){text, size, list.text, list.size});
        else
            done = console_complain("--pair expects the second text behind '%s', or a tab in it", text);
        done = done && (!list.asked || batch_flush(b));
    }
    cli_close_texts(&list);
    return done && !list.failed && batch_flush(b);
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
