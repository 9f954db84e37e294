/*
 * chat.c - messages to ids: the template is run over the messages, and what it wrote is encoded as one text.
 *
 * Every byte that the template wrote has a mark that says whether it comes from the messages. The tokenizer looks for
 * added tokens in the text without such bytes.
 */
#include <string.h>

#include "chat_object.h"
#include "engine.h"

#define CHAT_STEPS 4000000u
#define CHAT_STEPS_FOR_BYTE 200u

/* ---- plain data ------------------------------------------------------------------------------------------------- */

/* A run over the messages, and memory for reading the JSON texts in them. */
typedef struct chat_run {
    ink_context *ctx;
    const ink_chat *chat;
    ink_arena *arena; /* growing */
    ink_jinja jinja;
    ink_float_mode host; /* templates count with floats, too */
} chat_run;

static ink_result chat_put(chat_run *r, ink_jinja_value dict, const char *key, ink_jinja_value value)
{
    ink_jinja_value name;
    INK_TRY(ink_jinja_new_text(&r->jinja, key, strlen(key), false, &name));
    return ink_jinja_put_pair(&r->jinja, dict.dict, name, value);
}

/* A role that is one word is the program's, not somebody's text. */
static bool chat_is_word(const char *role)
{
    for (; *role != '\0'; role++)
        if (!((*role >= '0' && *role <= '9') || ((*role | 0x20) >= 'a' && (*role | 0x20) <= 'z') || *role == '_' ||
              *role == '-' || *role == '.'))
            return false;
    return true;
}

/* A message as a dict: as transformers passes it to a template. */
static ink_result chat_message(chat_run *r, size_t i, const ink_message *message, ink_jinja_value *value)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    ink_jinja *run = &r->jinja;
    ink_jinja_value members, text, thoughts = {.kind = INK_JINJA_NONE};
    char where[40];
    if (message->role == NULL || (message->text == NULL && message->size > 0))
        return ink_fail(r->ctx, INK_ERROR_ARGUMENT, "ink_chat_encode: message %zu has no role or no text", i);
    INK_TRY(ink_jinja_new_dict(run, INK_JINJA_DICT, 4, value));
    INK_TRY(ink_jinja_new_text(run, message->role, strlen(message->role), !chat_is_word(message->role), &text));
    INK_TRY(chat_put(r, *value, "role", text));
    if (message->text != NULL) {
        INK_TRY(ink_jinja_new_text(run, message->text, message->size, true, &text));
        INK_TRY(chat_put(r, *value, "content", text));
    }
    if (message->members == NULL)
        return INK_OK;
    ink_format(where, sizeof where, "members of message %zu", i);
    const char *file = ink_arena_string(r->arena, where, strlen(where));
    if (file == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %s", where);
    INK_TRY(r->chat->read_json(run, r->arena, file, message->members, false, &members));
    for (size_t k = 0; k < members.dict->n; k++)
        if (members.dict->pairs[2 * k + 1].kind != INK_JINJA_NONE)
            INK_TRY(ink_jinja_put_pair(run, value->dict, members.dict->pairs[2 * k], members.dict->pairs[2 * k + 1]));
    for (size_t k = 0; k < 3 && thoughts.kind == INK_JINJA_NONE; k++) {
        const ink_jinja_string name = {.at = names[k], .size = (uint32_t)strlen(names[k])};
        const ink_jinja_value *found = ink_jinja_find(value->dict, &name);
        thoughts = found != NULL ? *found : thoughts;
    }
    if (thoughts.kind == INK_JINJA_NONE)
        return INK_OK;
    const ink_jinja_string thinking = {.at = "thinking", .size = 8};
    if (ink_jinja_find(value->dict, &thinking) == NULL)
        INK_TRY(chat_put(r, *value, "thinking", thoughts));
    return chat_put(r, *value, "reasoning_content", thoughts);
}

static ink_result chat_set(chat_run *r, const char *name, ink_jinja_value value)
{
    return ink_jinja_set(&r->jinja, name, strlen(name), value);
}

/* The bytes of an input, for the bound of steps; SIZE_MAX if they cannot be counted. */
static size_t chat_bytes(const ink_chat *chat, const ink_chat_input *input)
{
    const char *const texts[] = {input->tools, input->documents, input->arguments};
    size_t bytes = chat->template_size;
    bool fits = true;
    for (size_t i = 0; i < 3; i++)
        fits = fits && ink_size_add(bytes, texts[i] != NULL ? strlen(texts[i]) : 0, &bytes);
    for (size_t i = 0; i < input->n_messages; i++) {
        const char *members = input->messages[i].members;
        fits = fits && ink_size_add(bytes, input->messages[i].size + 16, &bytes) &&
               ink_size_add(bytes, members != NULL ? strlen(members) : 0, &bytes);
    }
    return fits && bytes <= SIZE_MAX / CHAT_STEPS_FOR_BYTE / 2 ? bytes : SIZE_MAX / CHAT_STEPS_FOR_BYTE / 2;
}

/* Runs the template: r->jinja.out is what it writes. */
static ink_result chat_run_template(chat_run *r, const ink_chat_input *input)
{
    static const char *const reserved[] = {"messages", "tools", "documents", "add_generation_prompt"};
    const ink_chat *chat = r->chat;
    ink_jinja *run = &r->jinja;
    ink_jinja_value value;
    for (size_t i = 0; i < chat->n_tokens; i++) {
        INK_TRY(ink_jinja_new_text(run, chat->tokens[i].text, chat->tokens[i].size, false, &value));
        INK_TRY(chat_set(r, chat->tokens[i].name, value));
    }
    if (input->arguments != NULL) {
        INK_TRY(chat->read_json(run, r->arena, "arguments of the chat template", input->arguments, false, &value));
        for (size_t i = 0; i < value.dict->n; i++) {
            const ink_jinja_string *name = value.dict->pairs[2 * i].text;
            for (size_t k = 0; k < 4; k++)
                if (ink_jinja_named(name, reserved[k]))
                    return ink_fail(r->ctx, INK_ERROR_ARGUMENT,
                                    "arguments of the chat template: '%s' has a place of its own", reserved[k]);
            INK_TRY(ink_jinja_set(run, name->at, name->size, value.dict->pairs[2 * i + 1]));
        }
    }
    value = ink_jinja_none();
    if (input->tools != NULL)
        INK_TRY(chat->read_json(run, r->arena, "tools of the chat", input->tools, true, &value));
    INK_TRY(chat_set(r, "tools", value));
    value = ink_jinja_none();
    if (input->documents != NULL)
        INK_TRY(chat->read_json(run, r->arena, "documents of the chat", input->documents, true, &value));
    INK_TRY(chat_set(r, "documents", value));
    INK_TRY(chat_set(r, "add_generation_prompt", ink_jinja_bool(input->answer)));
    for (size_t i = 0; i < input->n_messages; i++) {
        INK_TRY(chat_message(r, i, &input->messages[i], &value));
        INK_TRY(ink_jinja_push(run, value));
    }
    INK_TRY(ink_jinja_gather(run, INK_JINJA_LIST, 0, &value));
    INK_TRY(chat_set(r, "messages", value));
    return ink_jinja_render(run);
}

/* Begins a run; chat_end() has to follow, whatever the result. */
static ink_result chat_begin(chat_run *r, ink_context *ctx, const ink_chat *chat, const ink_chat_input *input,
                             ink_arena *arena)
{
    const ink_jinja_program *program =
        chat->has_with_tools && input->tools != NULL ? &chat->with_tools : &chat->program;
    const uint64_t limit = ctx->limits.template_bytes, steps = CHAT_STEPS_FOR_BYTE * (uint64_t)chat_bytes(chat, input);
    *r = (chat_run){.ctx = ctx, .chat = chat, .arena = arena, .host = ink_float_mode_enter()};
    ink_arena_grow(arena, &ctx->allocator);
    INK_TRY(ink_jinja_begin(&r->jinja, ctx, program, limit < SIZE_MAX ? (size_t)limit : SIZE_MAX, CHAT_STEPS + steps));
    r->jinja.now = chat->now;
    return chat_run_template(r, input);
}

static ink_result chat_end(chat_run *r, ink_result result)
{
    ink_float_mode_leave(r->host);
    ink_arena_free(r->arena);
    return ink_jinja_end(&r->jinja, result);
}

/* ---- ids -------------------------------------------------------------------------------------------------------- */

/* Makes sure that no text became a control token, even if the vocabulary would allow it. `ids` are those of
   ink_encode_marked(). The token for unknown words is one only if it is one of the chat's. */
static ink_result chat_check_plain(const chat_run *r, const ink_token *ids, size_t n)
{
    const ink_tokenizer *tokenizer = r->chat->tokenizer;
    const ink_token unknown = ink_tokenizer_control(tokenizer, INK_CONTROL_UNK),
                    bos = ink_tokenizer_control(tokenizer, INK_CONTROL_BOS),
                    eos = ink_tokenizer_control(tokenizer, INK_CONTROL_EOS);
    size_t vocab_size = ink_tokenizer_vocab_size(tokenizer), size;
    uint8_t *written = ink_arena_alloc(&r->ctx->scratch, vocab_size, 1); /* by the template, as an added token */
    if (written == NULL)
        return ink_fail(r->ctx, INK_ERROR_MEMORY, "out of memory: %zu ids", n);
    memset(written, 0, vocab_size);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0)
            written[~ids[i]] = 1;
    for (size_t i = 0; i < n; i++) {
        const ink_token id = ids[i];
        if (id < 0 || !(written[id] != 0 || id == bos || id == eos || ink_chat_ends(r->chat, id) ||
                        (id != unknown && ink_tokenizer_is_special(tokenizer, id))))
            continue;
        const char *token = ink_tokenizer_token(tokenizer, id, &size);
        if (id == unknown)
            return ink_fail(r->ctx, INK_ERROR_MISMATCH,
                            "a message holds text that this tokenizer does not know, and its token for that is the "
                            "control token '%.*s'",
                            (int)size, token);
        return ink_fail(r->ctx, INK_ERROR_MISMATCH,
                        "a message holds the text '%.*s', which this tokenizer cannot tell from its control token",
                        (int)size, token);
    }
    return INK_OK;
}

/* *ids are in gathered memory. */
static ink_result chat_ids(chat_run *r, ink_token **ids, size_t *n)
{
    const ink_jinja *run = &r->jinja;
    INK_TRY(ink_encode_marked(r->ctx, r->chat->tokenizer, run->out, run->n_out, run->out_data, ids, n));
    INK_TRY(chat_check_plain(r, *ids, *n));
    for (size_t i = 0; i < *n; i++)
        (*ids)[i] = (*ids)[i] < 0 ? ~(*ids)[i] : (*ids)[i];
    return INK_OK;
}

static ink_result chat_check_input(ink_context *ctx, const ink_chat_input *input)
{
    const ink_message *messages = input->messages;
    if (input->n_messages == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_chat_encode: there is no message");
    if (messages == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "ink_chat_encode: messages is NULL");
    return INK_OK;
}

ink_result ink_chat_encode(ink_context *ctx, const ink_chat *chat, const ink_chat_input *input, ink_token *ids,
                           size_t capacity, size_t *n)
{
    INK_REQUIRE(ctx, n);
    *n = 0;
    INK_REQUIRE(ctx, chat, input);
    if (capacity > 0)
        INK_REQUIRE(ctx, ids);
    INK_TRY(chat_check_input(ctx, input));
    chat_run r;
    ink_arena arena;
    ink_token *found = NULL;
    size_t n_found = 0;
    ink_arena_mark mark = ink_arena_mark_here(&ctx->gathered);
    ink_result result = chat_begin(&r, ctx, chat, input, &arena);
    if (result == INK_OK)
        result = chat_ids(&r, &found, &n_found);
    *n = result == INK_OK ? n_found : 0;
    if (result == INK_OK && n_found > capacity)
        result = ink_fail(ctx, INK_ERROR_LIMIT, "the messages are %zu tokens long, there is room for %zu", n_found,
                          capacity);
    if (result == INK_OK && n_found > 0)
        memcpy(ids, found, n_found * sizeof *ids);
    ink_arena_release(&ctx->gathered, mark);
    if (result != INK_OK)
        ink_arena_free(&ctx->gathered);
    return chat_end(&r, result);
}

ink_result ink_chat_render(ink_context *ctx, const ink_chat *chat, const ink_chat_input *input, char *text,
                           size_t capacity, size_t *size)
{
    INK_REQUIRE(ctx, size);
    *size = 0;
    INK_REQUIRE(ctx, chat, input);
    if (capacity > 0)
        INK_REQUIRE(ctx, text);
    INK_TRY(chat_check_input(ctx, input));
    chat_run r;
    ink_arena arena;
    ink_result result = chat_begin(&r, ctx, chat, input, &arena);
    *size = result == INK_OK ? r.jinja.n_out : 0;
    if (result == INK_OK && *size > capacity)
        result =
            ink_fail(ctx, INK_ERROR_LIMIT, "the messages are %zu bytes long, there is room for %zu", *size, capacity);
    if (result == INK_OK && *size > 0)
        memcpy(text, r.jinja.out, *size);
    return chat_end(&r, result);
}

/* ---- the object ------------------------------------------------------------------------------------------------- */

/* The first added token in a text, of either set; match->id is -1 if there is none. */
static ink_result chat_next_added(ink_context *ctx, const ink_added *added, const char *at, size_t size,
                                  ink_added_walk *match)
{
    match->id = -1;
    for (int set = INK_ADDED_RAW; set <= INK_ADDED_NORMALIZED; set++) {
        ink_added_walk walk;
        INK_TRY(ink_added_start(ctx, added, (ink_added_set)set, at, size, &walk));
        if (ink_added_next(&walk) && (match->id < 0 || walk.start < match->start))
            *match = walk;
    }
    return INK_OK;
}

/* How an answer ends: the added token that the template writes behind that of a short conversation, with nothing but
   white space between. A template that does not take this conversation says nothing about it. */
static ink_result chat_find_end(ink_context *ctx, ink_chat *chat)
{
    static const ink_message messages[] = {{"user", "0", 1, NULL}, {"assistant", "1", 1, NULL}};
    const ink_chat_input input = {.messages = messages, .n_messages = 2};
    chat_run r;
    ink_arena arena;
    ink_added_walk match = {.id = -1};
    ink_result result = chat_begin(&r, ctx, chat, &input, &arena);
    if (result != INK_OK && result != INK_ERROR_MEMORY) {
        chat_end(&r, result);
        ink_error_clear(ctx);
        return INK_OK;
    }
    size_t at = result == INK_OK ? r.jinja.n_out : 0;
    while (at > 0 && r.jinja.out_data[at - 1] == 0)
        at--;
    if (at > 0 && r.jinja.out[at - 1] == '1') {
        const char *behind = r.jinja.out + at;
        result = chat_next_added(ctx, &chat->tokenizer->added, behind, r.jinja.n_out - at, &match);
        bool ends = result == INK_OK && match.id >= 0;
        for (size_t i = 0; ends && i < match.start; i++)
            ends = ink_jinja_is_space((unsigned char)behind[i]);
        if (ends && !ink_chat_ends(chat, match.id))
            chat->ends[chat->n_ends++] = match.id;
    }
    return chat_end(&r, result);
}

/* Reads "2026-11-05" or "2026-11-05T18:30:00". */
static bool chat_time(const char *date, ink_jinja_time *now)
{
    static const char between[] = "--T::";
    static const int least[] = {1, 1, 1, 0, 0, 0}, most[] = {9999, 12, 31, 23, 59, 60};
    int fields[6] = {0};
    size_t i = 0;
    for (; i < 6; i++) {
        uint64_t value;
        size_t n = ink_digits(date, strlen(date), &value);
        if (n != (i == 0 ? 4 : 2) || value < (uint64_t)least[i] || value > (uint64_t)most[i])
            return false;
        fields[i] = (int)value;
        date += n;
        if (*date == '\0' && (i == 2 || i == 5))
            break;
        if (i == 5 || (*date != between[i] && !(i == 2 && *date == ' ')))
            return false;
        date++;
    }
    *now = (ink_jinja_time){fields[0], fields[1], fields[2], fields[3], fields[4], fields[5]};
    return true;
}

static ink_result chat_fill(ink_context *ctx, const ink_chat_draft *draft, ink_arena *arena, ink_chat *chat)
{
    chat->tokenizer = draft->tokenizer;
    chat->read_json = draft->read_json;
    chat->name = ink_arena_string(arena, draft->name, strlen(draft->name));
    chat->template_size = ink_size_max(draft->size, draft->with_tools_size);
    chat->n_tokens = draft->n_tokens;
    if (!chat_time(draft->date != NULL ? draft->date : "2024-07-26", &chat->now))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "the date '%s' is none like 2026-11-05 or 2026-11-05T18:30:00",
                        draft->date);
    for (size_t i = 0; i < draft->n_tokens; i++) {
        chat->tokens[i] = draft->tokens[i];
        chat->tokens[i].text = ink_arena_string(arena, draft->tokens[i].text, draft->tokens[i].size);
    }
    if (ink_arena_failed(arena))
        return ink_fail(ctx, INK_ERROR_MEMORY, "out of memory: the chat template");
    INK_TRY(ink_jinja_parse(ctx, arena, chat->name, draft->text, draft->size, &chat->program));
    chat->has_with_tools = draft->with_tools != NULL;
    if (chat->has_with_tools)
        INK_TRY(ink_jinja_parse(ctx, arena, chat->name, draft->with_tools, draft->with_tools_size, &chat->with_tools));
    if (draft->eos >= 0)
        chat->ends[chat->n_ends++] = draft->eos;
    return chat_find_end(ctx, chat);
}

ink_result ink_chat_create(ink_context *ctx, const ink_chat_draft *draft, ink_chat **chat)
{
    void *object;
    ink_arena *arena;
    INK_TRY(ink_object_begin(ctx, "the chat template", sizeof **chat, &object, &arena));
    ink_float_mode host = ink_float_mode_enter(); /* numbers of the template are read */
    ink_result result = chat_fill(ctx, draft, arena, object);
    ink_float_mode_leave(host);
    if (result == INK_OK)
        *chat = object;
    else
        ink_object_free(object);
    return result;
}

void ink_chat_free(ink_chat *chat) { ink_object_free(chat); }

const char *ink_chat_name(const ink_chat *chat) { return chat != NULL ? chat->name : NULL; }

bool ink_chat_ends(const ink_chat *chat, ink_token id)
{
    for (size_t i = 0; i < chat->n_ends; i++)
        if (chat->ends[i] == id)
            return true;
    return false;
}
