/*
 * chat.c - messages to ids.
 *
 * Texts of the format and texts of people are laid side by side in one run of text up to the next control token. A run
 * is encoded as a whole, because a token may reach across the border between the two. Control tokens are looked for
 * only in the texts of the format.
 */
#include <string.h>

#include "chat_format.h"
#include "engine.h"
#include "unicode.h"

typedef struct chat_writer {
    ink_context *ctx;
    const ink_chat *chat;
    ink_text_sink run; /* without room while only the bytes are counted */
    bool resumed;      /* the conversation began in an earlier call */
    bool spoken;       /* a message has begun in this one */
    ink_token *ids;    /* [capacity] */
    size_t n_ids, capacity;
} chat_writer;

typedef struct chat_text {
    const char *at;
    size_t size;
} chat_text;

/* ---- runs and tokens -------------------------------------------------------------------------------------------- */

/* Makes sure that no message becomes a control token, even if the vocabulary would allow it: none of the format and no
   BOS or EOS, whatever its flags are, and no other special token but the one for unknown words. */
static ink_result chat_check_plain(const chat_writer *w, const ink_token *ids, size_t n)
{
    const ink_chat *chat = w->chat;
    const ink_token own[] = {chat->bos, chat->eos, chat->stop, chat->marks[0], chat->marks[1], chat->marks[2]};
    ink_token unknown = ink_tokenizer_control(chat->tokenizer, INK_CONTROL_UNK);
    for (size_t i = 0; i < n; i++) {
        bool control = ids[i] != unknown && ink_tokenizer_is_special(chat->tokenizer, ids[i]);
        for (size_t k = 0; k < sizeof own / sizeof own[0]; k++)
            control = control || ids[i] == own[k];
        if (!control)
            continue;
        size_t size;
        const char *token = ink_tokenizer_token(chat->tokenizer, ids[i], &size);
        if (ids[i] == unknown)
            return ink_fail(w->ctx, INK_ERROR_MISMATCH,
                            "a message holds text that this tokenizer does not know, and its token for that is the "
                            "control token '%.*s'",
                            (int)size, token);
        return ink_fail(w->ctx, INK_ERROR_MISMATCH,
                        "a message holds the text '%.*s', which this tokenizer cannot tell from its control token",
                        (int)size, token);
    }
    return INK_OK;
}

/* Encodes the run. */
static ink_result chat_end_run(chat_writer *w)
{
    size_t n = 0, room = w->capacity - ink_size_min(w->n_ids, w->capacity);
    if (w->run.text == NULL || w->run.size == 0)
        return INK_OK;
    ink_token *ids = room > 0 ? w->ids + w->n_ids : NULL;
    unsigned flags = INK_ENCODE_PLAIN | (w->resumed || w->n_ids > 0 ? INK_ENCODE_CONTINUE : 0);
    ink_result result =
        ink_tokenizer_encode(w->ctx, w->chat->tokenizer, w->run.text, w->run.size, flags, ids, room, &n);
    if (result != INK_OK && result != INK_ERROR_LIMIT) /* ink_chat_encode() itself reports too little room */
        return result;
    if (result == INK_OK)
        INK_TRY(chat_check_plain(w, ids, n));
    w->n_ids += n;
    w->run.size = 0;
    return INK_OK;
}

static ink_result chat_put_token(chat_writer *w, ink_token id)
{
    INK_TRY(chat_end_run(w));
    if (w->n_ids < w->capacity)
        w->ids[w->n_ids] = id;
    w->n_ids++;
    return INK_OK;
}

/* ---- texts of the format ---------------------------------------------------------------------------------------- */

/* The first added token in a text, of either set; match->id is -1 if there is none. */
static ink_result chat_next_added(ink_context *ctx, const ink_added *added, const char *at, size_t size,
                                  ink_added_walk *match)
{
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_result result = INK_OK;
    match->id = -1;
    for (int set = INK_ADDED_RAW; set <= INK_ADDED_NORMALIZED && result == INK_OK; set++) {
        ink_added_walk walk;
        result = ink_added_start(ctx, added, (ink_added_set)set, at, size, &walk);
        if (result == INK_OK && ink_added_next(&walk) && (match->id < 0 || walk.start < match->start))
            *match = walk;
    }
    return ink_scratch_end(ctx, mark, result);
}

/* A text whose added tokens are recognised. */
static ink_result chat_put_tokens(chat_writer *w, const char *at, size_t size)
{
    ink_added_walk match;
    for (;; at += match.stop, size -= match.stop) {
        INK_TRY(chat_next_added(w->ctx, &w->chat->tokenizer->added, at, size, &match));
        ink_text_put(&w->run, at, match.id >= 0 ? match.start : size);
        if (match.id < 0)
            return INK_OK;
        INK_TRY(chat_put_token(w, match.id));
    }
}

/* A text of the format, with {bos} and {eos} in it. */
static ink_result chat_put_format(chat_writer *w, const char *words)
{
    for (const char *brace = strchr(words, '{'); brace != NULL; brace = strchr(words, '{')) {
        bool bos = strncmp(brace, "{bos}", 5) == 0;
        INK_TRY(chat_put_tokens(w, words, (size_t)(brace - words)));
        INK_TRY(chat_put_token(w, bos ? w->chat->bos : w->chat->eos));
        words = brace + 5;
    }
    return chat_put_tokens(w, words, strlen(words));
}

/* ---- texts of people -------------------------------------------------------------------------------------------- */

/* White space as Python's str.strip() and Jinja's trim know it. */
static bool chat_is_space(uint32_t code)
{
    return ink_unicode_class_of(code) == INK_UNICODE_SPACE || (code >= 0x1C && code <= 0x1F);
}

static chat_text chat_trim(chat_text t, bool at_start, bool at_end)
{
    uint32_t code;
    for (size_t size; at_start && t.size > 0; t.at += size, t.size -= size) {
        size = ink_utf8_next(t.at, t.size, &code);
        if (!chat_is_space(code))
            break;
    }
    for (size_t size; at_end && t.size > 0; t.size -= size) {
        size = ink_utf8_last(t.at, t.size, &code);
        if (!chat_is_space(code))
            break;
    }
    return t;
}

/* An answer without the thoughts before it. */
static chat_text chat_after_thoughts(chat_text t)
{
    static const char end[] = "</think>";
    const size_t size = sizeof end - 1;
    for (size_t i = t.size >= size ? t.size - size + 1 : 0; i-- > 0;) {
        if (memcmp(t.at + i, end, size) != 0)
            continue;
        t = (chat_text){t.at + i + size, t.size - i - size};
        while (t.size > 0 && t.at[0] == '\n')
            t = (chat_text){t.at + 1, t.size - 1};
        break;
    }
    return t;
}

/* ---- messages --------------------------------------------------------------------------------------------------- */

static ink_result chat_put_message(chat_writer *w, const ink_message *message, bool after_system)
{
    const ink_chat_format_row *format = w->chat->format;
    ink_role role = message->role;
    chat_text t = {message->text, message->size};
    bool joined = format->joins && role == INK_ROLE_SYSTEM;
    if (role == INK_ROLE_ASSISTANT && w->chat->thinks)
        t = chat_after_thoughts(t);
    if (format->trims && !joined)
        t = chat_trim(t, !(after_system && format->joins) || format->trims_joined, true);
    if (joined)
        INK_TRY(chat_put_format(w, format->before[INK_ROLE_USER]));
    if (!(format->joins && after_system))
        INK_TRY(chat_put_format(w, format->before[role]));
    if (role == INK_ROLE_SYSTEM && w->chat->dated && !w->resumed && !w->spoken) {
        static const char cut[] = "Cutting Knowledge Date: December 2023\nToday Date: ";
        ink_text_put(&w->run, cut, sizeof cut - 1);
        ink_text_put(&w->run, w->chat->date, strlen(w->chat->date));
        ink_text_put(&w->run, "\n\n", 2);
    }
    w->spoken = true;
    ink_text_put(&w->run, t.at, t.size);
    return chat_put_format(w, format->after[role]);
}

/* Everything the call adds to the conversation. */
static ink_result chat_put_turn(chat_writer *w, const ink_conversation *at, const ink_message *messages,
                                size_t n_messages, bool answer)
{
    const ink_message own_system = {INK_ROLE_SYSTEM, w->chat->system, w->chat->system_size};
    w->resumed = at->n_messages > 0;
    w->spoken = false;
    if (at->answering)
        INK_TRY(chat_put_format(w, w->chat->format->end));
    if (!w->resumed && w->chat->begins)
        INK_TRY(chat_put_format(w, "{bos}"));
    if (!w->resumed && messages[0].role != INK_ROLE_SYSTEM && (own_system.size > 0 || w->chat->dated))
        INK_TRY(chat_put_message(w, &own_system, false));
    for (size_t i = 0; i < n_messages; i++)
        INK_TRY(chat_put_message(w, &messages[i], i > 0 && messages[i - 1].role == INK_ROLE_SYSTEM));
    if (answer) {
        INK_TRY(chat_put_format(w, w->chat->format->ask));
        INK_TRY(chat_put_format(w, w->chat->ask_more));
    }
    return chat_end_run(w);
}

/* ---- the call --------------------------------------------------------------------------------------------------- */

/* Checks the messages and moves *at behind them. A format that joins takes a system text only before the first message
   of the user, then user and assistant in turn. */
static ink_result chat_follow(ink_context *ctx, const ink_chat *chat, ink_conversation *at, const ink_message *messages,
                              size_t n_messages, bool answer)
{
    static const char *const names[] = {"system", "user", "assistant"};
    for (size_t i = 0; i < n_messages; i++) {
        const ink_message *message = &messages[i];
        if ((unsigned)message->role > INK_ROLE_ASSISTANT || (message->text == NULL && message->size > 0))
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_chat_encode: message %zu has no role or no text", i);
        bool user_next = i + 1 < n_messages && messages[i + 1].role == INK_ROLE_USER, begins = at->n_messages == 0;
        bool fits = message->role == INK_ROLE_SYSTEM ? begins && user_next
                    : message->role == INK_ROLE_USER ? begins || at->last != INK_ROLE_USER
                                                     : !begins && at->last == INK_ROLE_USER;
        if (chat->format->before[message->role] == NULL)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "chat format %s has no place for a message of the %s",
                            chat->format->name, names[message->role]);
        if (chat->format->joins && !fits)
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

/* Runs twice: first the bytes are counted. No run is longer than all of them, and each makes at most two ids. */
static ink_result chat_encode(chat_writer *w, const ink_conversation *at, const ink_message *messages,
                              size_t n_messages, bool answer, size_t capacity)
{
    size_t bytes, bound;
    INK_TRY(chat_put_turn(w, at, messages, n_messages, answer));
    bytes = w->run.size;
    if (!ink_size_mul(bytes + w->n_ids, 2, &bound))
        return ink_fail(w->ctx, INK_ERROR_LIMIT, "ink_chat_encode: %zu bytes of messages are too many", bytes);
    w->n_ids = 0;
    w->capacity = ink_size_min(capacity, bound);
    w->ids = ink_arena_alloc(&w->ctx->scratch, w->capacity, sizeof *w->ids);
    w->run = (ink_text_sink){ink_arena_alloc(&w->ctx->scratch, bytes + 1, 1), bytes, 0};
    if (w->ids == NULL || w->run.text == NULL)
        return ink_fail(w->ctx, INK_ERROR_MEMORY, "out of memory: %zu bytes of messages", bytes);
    return chat_put_turn(w, at, messages, n_messages, answer);
}

ink_result ink_chat_encode(ink_context *ctx, const ink_chat *chat, ink_conversation *at, const ink_message *messages,
                           size_t n_messages, bool answer, ink_token *ids, size_t capacity, size_t *n)
{
    INK_REQUIRE(ctx, n);
    *n = 0;
    INK_REQUIRE(ctx, chat, at, messages);
    if (capacity > 0)
        INK_REQUIRE(ctx, ids);
    if (n_messages == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_chat_encode: there is no message");
    ink_conversation after = *at;
    INK_TRY(chat_follow(ctx, chat, &after, messages, n_messages, answer));

    chat_writer w = {.ctx = ctx, .chat = chat};
    ink_arena_mark mark = ink_arena_mark_here(&ctx->scratch);
    ink_result result = chat_encode(&w, at, messages, n_messages, answer, capacity);
    if (result == INK_OK)
        *n = w.n_ids;
    if (result == INK_OK && *n > capacity)
        result =
            ink_fail(ctx, INK_ERROR_LIMIT, "the messages are %zu tokens long, there is room for %zu", *n, capacity);
    if (result == INK_OK) {
        memcpy(ids, w.ids, *n * sizeof *ids);
        *at = after;
    }
    return ink_scratch_end(ctx, mark, result);
}

/* ---- the object ------------------------------------------------------------------------------------------------- */

static ink_chat *chat_layout(ink_arena *arena, const ink_chat *draft)
{
    size_t date_size = strlen(draft->date) + 1;
    ink_chat *chat = ink_arena_alloc(arena, 1, sizeof *chat);
    char *date = ink_arena_alloc(arena, date_size, 1);
    char *system = ink_arena_alloc(arena, draft->system_size, 1);
    if (chat == NULL)
        return NULL; /* measuring */
    *chat = *draft;
    chat->date = memcpy(date, draft->date, date_size);
    chat->system = draft->system_size > 0 ? memcpy(system, draft->system, draft->system_size) : NULL;
    return chat;
}

static ink_result chat_lacks(ink_context *ctx, const ink_chat *chat, const char *token)
{
    return ink_fail(ctx, INK_ERROR_MISMATCH, "chat format %s needs the token %s, and the tokenizer has none",
                    chat->format->name, token);
}

ink_result ink_chat_create(ink_context *ctx, const ink_chat *draft, ink_chat **chat)
{
    ink_chat copy = *draft;
    const ink_chat_format_row *format = copy.format;
    bool needs_bos = copy.begins || strstr(format->before[INK_ROLE_USER], "{bos}") != NULL;
    bool ends_with_eos = strncmp(format->end, "{eos}", 5) == 0;
    copy.bos = ink_tokenizer_control(copy.tokenizer, INK_CONTROL_BOS);
    copy.stop = copy.eos = ink_tokenizer_control(copy.tokenizer, INK_CONTROL_EOS);
    copy.marks[0] = copy.marks[1] = copy.marks[2] = -1;
    for (size_t i = 0; i < 3 && format->tokens[i] != NULL; i++) {
        const char *token = format->tokens[i];
        const size_t size = strlen(token);
        ink_added_walk match;
        if (ink_tokenizer_find(copy.tokenizer, token, size) < 0)
            return chat_lacks(ctx, &copy, token);
        INK_TRY(chat_next_added(ctx, &copy.tokenizer->added, token, size, &match));
        if (match.id < 0 || match.start != 0 || match.stop != size)
            return ink_fail(ctx, INK_ERROR_MISMATCH,
                            "chat format %s needs the added token %s, and in this tokenizer it is an ordinary one",
                            format->name, token);
        copy.marks[i] = match.id;
        if (!ends_with_eos && strncmp(format->end, token, size) == 0)
            copy.stop = match.id;
    }
    if (needs_bos && (copy.bos < 0 || copy.no_bos))
        return chat_lacks(ctx, &copy, "BOS");
    if (ends_with_eos && (copy.eos < 0 || copy.no_eos))
        return chat_lacks(ctx, &copy, "EOS");
    ink_added_walk token;
    INK_TRY(chat_next_added(ctx, &copy.tokenizer->added, copy.system, copy.system_size, &token));
    if (token.id >= 0)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "the chat template has the added token '%.*s' in its system text, which is not supported",
                        (int)(token.stop - token.start), copy.system + token.start);
    ink_arena measured, arena;
    ink_arena_measure(&measured);
    chat_layout(&measured, &copy);
    INK_TRY(ink_object_new(ctx, "the chat template", &measured, NULL, 0, &arena));
    *chat = chat_layout(&arena, &copy);
    return INK_OK;
}

void ink_chat_free(ink_chat *chat) { ink_object_free(chat); }

const char *ink_chat_format(const ink_chat *chat) { return chat != NULL ? chat->format->name : NULL; }

bool ink_chat_ends(const ink_chat *chat, ink_token id) { return id >= 0 && (id == chat->stop || id == chat->eos); }
