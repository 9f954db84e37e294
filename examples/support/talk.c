/*
 * talk.c - a conversation with an instruct model.
 *
 * The state always ends where the last answer does, whether the model, the user or the context ended it; the chat's
 * ink_conversation remembers that it is still to be closed, which the next turn begins with.
 */
#include "talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "console.h"

enum { CHUNK = 128, USUAL_CONTEXT = 4096 };

static bool ok(const talk *t, ink_result result)
{
    if (result != INK_OK)
        console_complain("%s", ink_context_error(t->lm->ctx));
    return result == INK_OK;
}

static void *room(size_t count, size_t size)
{
    void *block = calloc(count > 0 ? count : 1, size);

    if (block == NULL)
        console_complain("there is no memory for %zu x %zu bytes", count, size);
    return block;
}

/* "05 Nov 2026", for templates that tell the model what day it is. */
static void write_today(char today[16])
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    const struct tm *day = localtime(&now);

    today[0] = '\0';
    if (day != NULL)
        snprintf(today, 16, "%02d %s %04d", day->tm_mday % 100, months[day->tm_mon % 12],
                 (day->tm_year + 1900) % 10000);
}

/* ---- open and close --------------------------------------------------------------------------------------------- */

static bool new_sampler(const talk *t, const ink_token *heard, size_t n_heard, ink_sampler **sampler)
{
    if (ok(t, ink_sampler_create(t->lm->ctx, &t->options->sampler, t->lm->info->vocab_size, sampler)) &&
        ok(t, ink_sampler_accept(t->lm->ctx, *sampler, heard, n_heard)))
        return true;
    ink_sampler_free(*sampler);
    *sampler = NULL;
    return false;
}

bool talk_open(talk *t, language_model *lm, const talk_options *options)
{
    char today[16];
    size_t context = lm->info->context_length, wanted = options->context > 0 ? options->context : USUAL_CONTEXT;
    ink_chat_options chat = {.format = options->format, .think = options->think, .date = today};

    write_today(today);
    *t = (talk){.lm = lm, .options = options};
    if (options->context > 0 && context > 0 && options->context > context) {
        console_complain("--context expects at most %zu with this model, found %zu", context, options->context);
        return false;
    }
    t->capacity = context == 0 ? options->context : wanted < context ? wanted : context;
    t->text_room = ink_tokenizer_stream_capacity(lm->tokenizer);
    t->text = room(t->text_room, 1);
    t->logits = room(lm->info->vocab_size, sizeof *t->logits);
    return t->text != NULL && t->logits != NULL &&
           ok(t, ink_chat_open(lm->ctx, lm->folder, lm->tokenizer, &chat, &t->chat)) &&
           ok(t, ink_state_create(lm->ctx, lm->model, t->capacity, &t->state)) &&
           ok(t, ink_context_reserve(lm->ctx, lm->model, 1, CHUNK, t->capacity)) &&
           new_sampler(t, NULL, 0, &t->sampler);
}

void talk_close(talk *t)
{
    ink_sampler_free(t->sampler);
    ink_state_free(t->state);
    ink_chat_free(t->chat);
    free(t->heard);
    free(t->logits);
    free(t->text);
    *t = (talk){0};
}

bool talk_reset(talk *t)
{
    ink_sampler *sampler = NULL;

    if (!new_sampler(t, NULL, 0, &sampler))
        return false;
    ink_sampler_free(t->sampler);
    t->sampler = sampler;
    ink_state_reset(t->state);
    t->at = (ink_conversation){0};
    t->n_heard = 0;
    return true;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* Notes tokens that are part of the conversation now. */
static bool hear(talk *t, const ink_token *tokens, size_t n)
{
    if (t->n_heard + n > t->heard_room) {
        size_t more = 2 * (t->n_heard + n);
        ink_token *heard = realloc(t->heard, more * sizeof *heard);
        if (heard == NULL) {
            console_complain("there is no memory for %zu tokens", more);
            return false;
        }
        t->heard = heard;
        t->heard_room = more;
    }
    memcpy(t->heard + t->n_heard, tokens, n * sizeof *tokens);
    t->n_heard += n;
    return true;
}

/* The ids of a turn, to be freed; `after` is where the conversation stands then. */
static bool encode_turn(const talk *t, const char *text, size_t size, ink_conversation *after, ink_token **ids,
                        size_t *n)
{
    const char *system = t->options->system;
    ink_message messages[2] = {{INK_ROLE_SYSTEM, system, system != NULL ? strlen(system) : 0},
                               {INK_ROLE_USER, text, size}};
    bool first = t->at.n_messages == 0 && system != NULL;
    const ink_message *from = first ? messages : messages + 1;
    size_t n_messages = first ? 2 : 1;
    ink_context *ctx = t->lm->ctx;

    *after = t->at;
    *ids = NULL;
    ink_result result = ink_chat_encode(ctx, t->chat, after, from, n_messages, true, NULL, 0, n);
    if (result != INK_ERROR_LIMIT && !ok(t, result)) /* the limit of a first call without room is no mistake */
        return false;
    *ids = room(*n, sizeof **ids);
    if (*ids != NULL && ok(t, ink_chat_encode(ctx, t->chat, after, from, n_messages, true, *ids, *n, n)))
        return true;
    free(*ids);
    *ids = NULL;
    return false;
}

/* Runs the turn through the model. Ctrl-C takes it back; where the state cannot go back, there is no answer instead. */
static bool read_turn(talk *t, const ink_token *ids, size_t n, bool *taken, bool *stopped)
{
    size_t before = ink_state_length(t->state);
    double begin = console_seconds();

    *taken = true;
    *stopped = false;
    for (size_t i = 0; i < n; i += CHUNK) {
        size_t size = n - i < CHUNK ? n - i : CHUNK;
        if (!ok(t, ink_model_forward(t->lm->ctx, t->lm->model, t->state, ids + i, size, t->logits)))
            return false;
        *stopped = console_interrupted() || *stopped;
        if (*stopped && ink_state_rewind(t->lm->ctx, t->state, before) == INK_OK) {
            *taken = false;
            console_note("(stopped; what you said is taken back)");
            return true;
        }
    }
    t->n_read += n;
    t->read_seconds += console_seconds() - begin;
    return hear(t, ids, n) && ok(t, ink_sampler_accept(t->lm->ctx, t->sampler, ids, n));
}

/* ---- answering -------------------------------------------------------------------------------------------------- */

static bool print(talk *t, ink_text_stream *stream, ink_token token)
{
    size_t size;

    return lm_spell(t->lm, stream, token, t->text, t->text_room, &size) && console_write(t->text, size);
}

static bool is_full(const talk *t) { return t->capacity > 0 && ink_state_length(t->state) == t->capacity; }

/* Pick, print, run forward. The state takes in every token that was printed. */
static bool answer(talk *t, bool stopped)
{
    ink_text_stream stream = {0};
    double begin = console_seconds();
    const char *why = NULL;

    for (size_t i = 0; why == NULL; i++) {
        ink_token token;
        if (console_interrupted() || stopped) {
            why = "(stopped)";
            break;
        }
        if (i == t->options->n_tokens || is_full(t)) {
            why = is_full(t) ? "(the context is full; /reset begins a new conversation)" : "(cut off here: -n)";
            break;
        }
        if (!ok(t, ink_sampler_pick(t->lm->ctx, t->sampler, t->logits, &token)))
            return false;
        if (ink_chat_ends(t->chat, token) || ink_model_stops_at(t->lm->model, token))
            break;
        if (!print(t, &stream, token) || !hear(t, &token, 1) ||
            !ok(t, ink_model_forward(t->lm->ctx, t->lm->model, t->state, &token, 1, t->logits)))
            return false;
        t->n_written++;
    }
    t->write_seconds += console_seconds() - begin;
    if (!print(t, &stream, -1) || !console_write("\n", 1))
        return false;
    if (why != NULL)
        console_note("%s", why);
    return true;
}

bool talk_say(talk *t, const char *text, size_t size)
{
    ink_conversation after;
    ink_token *ids;
    size_t n;
    bool taken = false, stopped = false, done;

    console_interrupted(); /* what was pressed before does not count */
    if (!encode_turn(t, text, size, &after, &ids, &n))
        return false;
    if (t->capacity > 0 && n > t->capacity - ink_state_length(t->state)) {
        console_note("The conversation has %zu tokens, this would add %zu, and the context holds %zu: /reset begins a "
                     "new one.",
                     ink_state_length(t->state), n, t->capacity);
        free(ids);
        return true;
    }
    done = read_turn(t, ids, n, &taken, &stopped);
    free(ids);
    if (!done || !taken)
        return done;
    t->at = after;
    return answer(t, stopped);
}
