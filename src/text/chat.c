/*
 * chat.c - messages to ids.
 *
 * What a format writes and what people write is laid side by side in one run of text up to the next control token, and
 * a run is encoded as a whole, since words may reach across the border between the two. Control tokens are looked for
 * only in what the format writes.
 */
#include <string.h>

#include "chat.h"
#include "tokenizer.h"
#include "unicode.h"
#include "../base/bytes.h"

typedef struct writer {
    ink_context *ctx;
    const ink_chat *chat;
    char *run; /* NULL while only the bytes are counted */
    size_t n_run;
    bool resumed;   /* the conversation began in an earlier call */
    bool spoken;    /* a message has begun in this one */
    ink_token *ids; /* [capacity] */
    size_t n_ids, capacity;
} writer;

typedef struct text {
    const char *at;
    size_t size;
} text;

/* ---- runs and tokens -------------------------------------------------------------------------------------------- */

static void put_text(writer *w, const char *at, size_t size)
{
    if (w->run != NULL && size > 0)
        memcpy(w->run + w->n_run, at, size);
    w->n_run += size;
}

/* The promise that no text becomes a control token is kept here, whatever the vocabulary is like. */
static ink_result check_plain(const writer *w, const ink_token *ids, size_t n)
{
    const ink_tokenizer *tokenizer = w->chat->tokenizer;
    ink_token unknown = ink_tokenizer_control(tokenizer, INK_CONTROL_UNK); /* what stands for a character, harmlessly */
    for (size_t i = 0; i < n; i++)
        if (ids[i] != unknown && ink_tokenizer_is_special(tokenizer, ids[i])) {
            size_t size;
            const char *token = ink_tokenizer_token(tokenizer, ids[i], &size);
            return ink_fail(w->ctx, INK_ERROR_MISMATCH,
                            "a message holds the text '%.*s', which this tokenizer cannot tell from its control token",
                            (int)size, token);
        }
    return INK_OK;
}

/* Encodes the run. */
static ink_result end_run(writer *w)
{
    size_t n = 0, room = w->capacity - ink_size_min(w->n_ids, w->capacity);
    if (w->run == NULL || w->n_run == 0)
        return INK_OK;
    ink_token *ids = room > 0 ? w->ids + w->n_ids : NULL;
    unsigned flags = INK_ENCODE_PLAIN | (w->resumed || w->n_ids > 0 ? INK_ENCODE_CONTINUE : 0);
    ink_result result = ink_tokenizer_encode(w->ctx, w->chat->tokenizer, w->run, w->n_run, flags, ids, room, &n);
    if (result != INK_OK && result != INK_ERROR_LIMIT) /* that one is for whoever asked for so little room */
        return result;
    if (result == INK_OK)
        INK_TRY(check_plain(w, ids, n));
    w->n_ids += n;
    w->n_run = 0;
    return INK_OK;
}

static ink_result put_token(writer *w, ink_token id)
{
    INK_TRY(end_run(w));
    if (w->n_ids < w->capacity)
        w->ids[w->n_ids] = id;
    w->n_ids++;
    return INK_OK;
}

/* ---- what the format writes ------------------------------------------------------------------------------------- */

/* The first added token in a text, of either set. */
static bool next_added(const ink_added *added, const char *at, size_t size, ink_added_match *match)
{
    ink_added_match normalized = {0};
    bool raw = ink_added_next(added, INK_ADDED_RAW, at, size, match);
    if (!ink_added_next(added, INK_ADDED_NORMALIZED, at, size, &normalized))
        return raw;
    if (!raw || normalized.start < match->start)
        *match = normalized;
    return true;
}

static ink_result put_tokens(writer *w, const char *at, size_t size)
{
    ink_added_match match = {0};
    while (next_added(&w->chat->tokenizer->added, at, size, &match)) {
        put_text(w, at, match.start);
        INK_TRY(put_token(w, match.id));
        at += match.stop;
        size -= match.stop;
        match = (ink_added_match){0};
    }
    put_text(w, at, size);
    return INK_OK;
}

/* Words of the format's own, with {bos} and {eos} in them. */
static ink_result put_format(writer *w, const char *words)
{
    for (const char *brace = strchr(words, '{'); brace != NULL; brace = strchr(words, '{')) {
        bool bos = strncmp(brace, "{bos}", 5) == 0;
        INK_TRY(put_tokens(w, words, (size_t)(brace - words)));
        INK_TRY(put_token(w, bos ? w->chat->bos : w->chat->eos));
        words = brace + 5;
    }
    return put_tokens(w, words, strlen(words));
}

/* ---- what people write ------------------------------------------------------------------------------------------ */

/* White space as Python's str.strip() and Jinja's trim know it. */
static bool is_space(uint32_t code)
{
    return ink_unicode_class_of(code) == INK_UNICODE_SPACE || (code >= 0x1C && code <= 0x1F);
}

static text trim_begin(text t)
{
    uint32_t code;
    for (size_t size; t.size > 0; t.at += size, t.size -= size) {
        size = ink_utf8_next(t.at, t.size, &code);
        if (!is_space(code))
            break;
    }
    return t;
}

static text trim_end(text t)
{
    uint32_t code;
    for (size_t size; t.size > 0; t.size -= size) {
        size = ink_utf8_last(t.at, t.size, &code);
        if (!is_space(code))
            break;
    }
    return t;
}

/* An answer without what was thought before it. */
static text after_thoughts(text t)
{
    static const char end[] = "</think>";
    const size_t size = sizeof end - 1;
    for (size_t i = t.size >= size ? t.size - size + 1 : 0; i-- > 0;) {
        if (memcmp(t.at + i, end, size) != 0)
            continue;
        t = (text){t.at + i + size, t.size - i - size};
        while (t.size > 0 && t.at[0] == '\n')
            t = (text){t.at + 1, t.size - 1};
        break;
    }
    return t;
}

/* ---- messages --------------------------------------------------------------------------------------------------- */

static void put_date(writer *w)
{
    static const char cut[] = "Cutting Knowledge Date: December 2023\nToday Date: ";
    put_text(w, cut, sizeof cut - 1);
    put_text(w, w->chat->date, strlen(w->chat->date));
    put_text(w, "\n\n", 2);
}

static ink_result put_message(writer *w, const ink_message *message, bool after_system)
{
    const ink_chat_format_row *format = w->chat->format;
    ink_role role = message->role;
    text t = {message->text, message->size};
    bool joined = format->joins && role == INK_ROLE_SYSTEM;
    if (role == INK_ROLE_ASSISTANT && w->chat->thinks)
        t = after_thoughts(t);
    if (format->trims && !joined)
        t = trim_end(after_system && format->joins ? t : trim_begin(t));
    if (joined)
        INK_TRY(put_format(w, format->before[INK_ROLE_USER]));
    if (!(format->joins && after_system))
        INK_TRY(put_format(w, format->before[role]));
    if (role == INK_ROLE_SYSTEM && w->chat->dated && !w->resumed && !w->spoken)
        put_date(w);
    w->spoken = true;
    put_text(w, t.at, t.size);
    return put_format(w, format->after[role]);
}

/* The system text of a conversation that has none of its own. */
static ink_result put_own_system(writer *w)
{
    const ink_message message = {INK_ROLE_SYSTEM, w->chat->system, w->chat->system_size};
    return message.size > 0 || w->chat->dated ? put_message(w, &message, false) : INK_OK;
}

/* Everything the call adds to the conversation. */
static ink_result put_turn(writer *w, const ink_conversation *at, const ink_message *messages, size_t n_messages,
                           bool answer)
{
    w->resumed = at->n_messages > 0;
    w->spoken = false;
    if (at->answering)
        INK_TRY(put_format(w, w->chat->format->end));
    if (!w->resumed && w->chat->begins)
        INK_TRY(put_format(w, "{bos}"));
    if (!w->resumed && messages[0].role != INK_ROLE_SYSTEM)
        INK_TRY(put_own_system(w));
    for (size_t i = 0; i < n_messages; i++)
        INK_TRY(put_message(w, &messages[i], i > 0 && messages[i - 1].role == INK_ROLE_SYSTEM));
    if (answer) {
        INK_TRY(put_format(w, w->chat->format->ask));
        INK_TRY(put_format(w, w->chat->ask_more));
    }
    return end_run(w);
}

/* ---- the call --------------------------------------------------------------------------------------------------- */

/* Whether a message of this role may come after the others. `next` is the role after it. */
static bool may_come(const ink_chat_format_row *format, const ink_conversation *at, const ink_message *message,
                     bool user_next)
{
    bool anything = at->n_messages > 0;
    if (!format->joins)
        return true;
    if (message->role == INK_ROLE_SYSTEM)
        return !anything && user_next;
    return message->role == INK_ROLE_USER ? !anything || at->last != INK_ROLE_USER
                                          : anything && at->last == INK_ROLE_USER;
}

/* Checks the messages, and says where the conversation stands after them. */
static ink_result follow(ink_context *ctx, const ink_chat *chat, ink_conversation *at, const ink_message *messages,
                         size_t n_messages, bool answer)
{
    static const char *const names[] = {"system", "user", "assistant"};
    for (size_t i = 0; i < n_messages; i++) {
        const ink_message *message = &messages[i];
        if ((unsigned)message->role > INK_ROLE_ASSISTANT || (message->text == NULL && message->size > 0))
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_chat_encode: message %zu has no role or no text", i);
        bool user_next = i + 1 < n_messages && messages[i + 1].role == INK_ROLE_USER;
        if (!may_come(chat->format, at, message, user_next))
            return ink_fail(ctx, INK_ERROR_ARGUMENT,
                            "chat format %s has no place for a message of the %s here: a system text comes before the "
                            "user's first message, then user and assistant take turns",
                            chat->format->name, names[message->role]);
        at->last = message->role;
        at->n_messages++;
    }
    if (answer && chat->format->joins && at->last != INK_ROLE_USER)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "chat format %s has an answer only after a message of the user",
                        chat->format->name);
    at->answering = answer;
    if (answer) {
        at->last = INK_ROLE_ASSISTANT;
        at->n_messages++;
    }
    return INK_OK;
}

/* The bytes are counted first: no run is longer than all of them, and there are at most two ids for each. */
static ink_result encode(writer *w, const ink_conversation *at, const ink_message *messages, size_t n_messages,
                         bool answer, size_t capacity)
{
    size_t bytes, bound;
    INK_TRY(put_turn(w, at, messages, n_messages, answer));
    bytes = w->n_run;
    if (!ink_size_mul(bytes + w->n_ids, 2, &bound))
        return ink_fail(w->ctx, INK_ERROR_LIMIT, "ink_chat_encode: %zu bytes of messages are too many", bytes);
    w->n_run = w->n_ids = 0;
    w->capacity = ink_size_min(capacity, bound);
    w->ids = ink_arena_alloc(&w->ctx->scratch, w->capacity, sizeof *w->ids);
    w->run = ink_arena_alloc(&w->ctx->scratch, bytes + 1, 1);
    if (w->ids == NULL || w->run == NULL)
        return ink_fail(w->ctx, INK_ERROR_MEMORY, "out of memory: %zu bytes of messages", bytes);
    return put_turn(w, at, messages, n_messages, answer);
}

ink_result ink_chat_encode(ink_context *ctx, const ink_chat *chat, ink_conversation *at, const ink_message *messages,
                           size_t n_messages, bool answer, ink_token *ids, size_t capacity, size_t *n)
{
    INK_REQUIRE_CONTEXT(ctx);
    INK_REQUIRE(ctx, n);
    *n = 0;
    INK_REQUIRE(ctx, chat);
    INK_REQUIRE(ctx, at);
    INK_REQUIRE(ctx, messages);
    if (capacity > 0)
        INK_REQUIRE(ctx, ids);
    if (n_messages == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_chat_encode: there is no message");
    ink_conversation after = *at;
    INK_TRY(follow(ctx, chat, &after, messages, n_messages, answer));

    writer w = {.ctx = ctx, .chat = chat};
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_result result = encode(&w, at, messages, n_messages, answer, capacity);
    if (result == INK_OK)
        *n = w.n_ids;
    if (result == INK_OK && *n > capacity)
        result =
            ink_fail(ctx, INK_ERROR_LIMIT, "the messages are %zu tokens long, there is room for %zu", *n, capacity);
    if (result == INK_OK) {
        memcpy(ids, w.ids, *n * sizeof *ids);
        *at = after;
    }
    ink_arena_release(&ctx->scratch, mark);
    return result;
}
