/*
 * chat.c - a conversation in the terminal with the instruct model in a folder.
 *
 * stdout gets what the model says, as it is produced; stderr gets everything else. Each line of stdin is something that
 * the user says, or a command that begins with a slash.
 *
 * The program keeps the messages, and the tokens that the model's state has read. Each turn the chat template writes
 * the whole conversation; the state goes back to where that differs from what it has read, which is mostly nowhere, and
 * only the rest runs.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lm.h"
#include "vocabulary.h"

enum { CHUNK = 128, USUAL_CONTEXT = 4096 };

static const char *system_text, *template, *arguments;
static uint64_t asked_context;
static bool think, commands;
static generating chosen = GENERATING_DEFAULTS;

static const cli_option options[] = {
    CLI_TEXT("--system", "TEXT", &system_text, "instructions to the model (default: those of its template)"),
    CLI_TEXT("--template", "NAME", &template,
             "another chat template: a file, or a standard one (chatml, llama-3, ...)"),
    CLI_TEXT("--arguments", "JSON", &arguments, "variables for the template, instead of those of --think"),
    CLI_COUNT("--context", "N", &asked_context, 1, 1e9,
              "tokens in a conversation (default: the model's context, at most 4096)"),
    CLI_FLAG("--think", &think, "lets a model that can (Qwen3) think before it answers"),
    CLI_FLAG("--commands", &commands, "obeys /save and /load even if stdin is no terminal"),
    SAMPLING_OPTIONS(&chosen),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "chat",
    .usage = "FOLDER [-] [options]",
    .about = "A conversation with the instruct model in a folder (config.json, model.safetensors, tokenizer.json,\n"
             "chat template), or in a .gguf file. By default tokens are chosen with the settings of\n"
             "generation_config.json.\n"
             "Every line is something you say, or one of\n\n"
             "  /reset       begins a new conversation\n"
             "  /save FILE   saves this one in a file\n"
             "  /load FILE   continues one from a file\n\n"
             "Ctrl-C stops the answer, Ctrl-D ends the program. With a pipe as stdin it answers line by line, and\n"
             "touches no files for what comes out of it: /save and /load need --commands then. What the model\n"
             "says cannot steer a terminal; a pipe or a file gets it as it is.",
    .samples = "  echo \"Where is the ball?\" | chat examples/models/assistant\n"
               "  printf 'Tom put the cup in a barn.\\nWhere?\\n' | chat examples/models/assistant\n"
               "  echo Hello. | chat examples/models/gpt --template zephyr --system Hm. -n 40\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, 2, "FOLDER"),
    .from_stdin = "a line",
    .by_line = true,
};

/* A conversation. */
typedef struct talk {
    language_model lm;
    ink_chat *chat;
    ink_state *state;
    size_t capacity; /* tokens of a conversation, 0: any number */
    ink_state_options wanted;
    ink_generator *generator;
    ink_message *messages; /* [n_messages] with texts of their own */
    size_t n_messages, message_room;
    ink_token *heard; /* [n_heard] the conversation as tokens; the state may lack the last one */
    size_t n_heard, heard_room;
    char *said; /* [n_said] the answer so far */
    size_t n_said, said_room;
    bool stopped, broken; /* during an answer: by Ctrl-C; writing to stdout failed */

    size_t n_read, n_written; /* tokens in all, and the seconds they took */
    double read_seconds, write_seconds;
} talk;

static const char *const roles[] = {"system", "user", "assistant"};

enum { SYSTEM, USER, ASSISTANT };

/* ---- open and close --------------------------------------------------------------------------------------------- */

/* Prints what the model says, until Ctrl-C or the end of the context. */
static bool say(void *user, const ink_generate_step *step)
{
    talk *t = user;
    char *said = console_grow(t->said, &t->said_room, t->n_said + step->size + 1, 1);
    t->broken = said == NULL || !console_say(step->text, step->size);
    if (said != NULL) {
        t->said = said;
        memcpy(said + t->n_said, step->text, step->size);
        t->n_said += step->size;
    }
    t->stopped = console_interrupted();
    return !t->broken && !t->stopped && (t->capacity == 0 || t->n_heard + step->n_tokens < t->capacity);
}

/* The chat template: the folder's, or what --template says. */
static bool open_template(talk *t)
{
    char now[32] = ""; /* "2026-11-05T18:30:00", for templates that tell the model the date */
    time_t seconds = time(NULL);
    const struct tm *day = localtime(&seconds);
    const language_model *lm = &t->lm;
    ink_chat_options chat = {.date = now};
    char *file = NULL;
    if (day == NULL || strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%S", day) == 0)
        chat.date = NULL;
    for (size_t i = 0; template != NULL && ink_chat_standard(i) != NULL; i++)
        if (strcmp(template, ink_chat_standard(i)) == 0)
            chat.standard = template;
    if (template != NULL && chat.standard == NULL) {
        file = file_read(template, &chat.template_size);
        if (file == NULL)
            return false;
        chat.template_text = file;
        chat.template_name = template;
    }
    bool done = console_ok(lm->ctx, ink_chat_open(lm->ctx, lm->folder, lm->tokenizer, &chat, &t->chat));
    free(file);
    return done;
}

/* Call talk_close() even after a failure. */
static bool talk_open(talk *t)
{
    language_model *lm = &t->lm;
    size_t context = lm->info->context_length, wanted = asked_context > 0 ? (size_t)asked_context : USUAL_CONTEXT;
    ink_generate_options o;
    if (!generating_choose(&chosen, lm->model, &o))
        return false;
    if (asked_context > 0 && context > 0 && wanted > context)
        return console_complain("--context expects at most %zu with this model, found %zu", context, wanted);
    t->capacity = context == 0 ? (size_t)asked_context : wanted < context ? wanted : context;
    if (chosen.n_tokens == GENERATING_UNSET || chosen.n_tokens == 0)
        o.max_tokens = t->capacity > 0 ? t->capacity : USUAL_CONTEXT;
    o.n_beams = 1;
    o.capacity = t->capacity;
    o.bring_states = true;
    o.tokenizer = lm->tokenizer;
    o.callback = say;
    o.user = t;
    if (!open_template(t))
        return false;
    o.chat = t->chat;
    t->wanted = (ink_state_options){.capacity = t->capacity, .cache = o.cache};
    return console_ok(lm->ctx, ink_state_create_with(lm->ctx, lm->model, &t->wanted, &t->state)) &&
           console_ok(lm->ctx, ink_generator_create(lm->ctx, lm->model, &o, &t->generator));
}

/* Forgets the messages from number n on. */
static void drop_messages(talk *t, size_t n)
{
    while (t->n_messages > n)
        free((char *)t->messages[--t->n_messages].text);
}

static void talk_close(talk *t)
{
    drop_messages(t, 0);
    ink_generator_free(t->generator);
    ink_state_free(t->state);
    ink_chat_free(t->chat);
    free(t->messages);
    free(t->heard);
    free(t->said);
    lm_close(&t->lm);
}

/* Forgets the conversation. */
static void talk_reset(talk *t)
{
    ink_state_reset(t->state);
    drop_messages(t, 0);
    t->n_heard = 0;
}

static bool add_message(talk *t, int role, const char *text, size_t size)
{
    ink_message *messages = console_grow(t->messages, &t->message_room, t->n_messages + 1, sizeof *messages);
    char *copy = messages != NULL ? console_memory(size + 1, 1) : NULL;
    t->messages = messages != NULL ? messages : t->messages;
    if (copy == NULL)
        return false;
    memcpy(copy, text, size);
    messages[t->n_messages++] = (ink_message){.role = roles[role], .text = copy, .size = size};
    return true;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* Remembers tokens that are part of the conversation now. */
static bool hear(talk *t, const ink_token *tokens, size_t n)
{
    ink_token *heard = console_grow(t->heard, &t->heard_room, t->n_heard + n, sizeof *heard);
    if (heard == NULL)
        return false;
    t->heard = heard;
    memcpy(heard + t->n_heard, tokens, n * sizeof *tokens);
    t->n_heard += n;
    return true;
}

/* The ids of the whole conversation, to be released with free(). */
static bool encode_talk(const talk *t, ink_token **ids, size_t *n)
{
    const char *usual =
        think ? "{\"enable_thinking\": true, \"thinking\": true}" : "{\"enable_thinking\": false, \"thinking\": false}";
    const ink_chat_input input = {.messages = t->messages,
                                  .n_messages = t->n_messages,
                                  .answer = true,
                                  .arguments = arguments != NULL ? arguments : usual};
    ink_context *ctx = t->lm.ctx;
    *ids = NULL;
    ink_result result = ink_chat_encode(ctx, t->chat, &input, NULL, 0, n);
    if (result != INK_ERROR_LIMIT || *n == 0) /* without room the call reports the size */
        return console_ok(ctx, result) && console_complain("the chat template writes nothing");
    *ids = console_memory(*n, sizeof **ids);
    if (*ids != NULL && console_ok(ctx, ink_chat_encode(ctx, t->chat, &input, *ids, *n, n)))
        return true;
    free(*ids);
    *ids = NULL;
    return false;
}

/* Runs the conversation through the model, but for its last token. Ctrl-C takes the turn back, or skips the answer if
   the state cannot be rewound. */
static bool read_turn(talk *t, const ink_token *ids, size_t n, bool *taken)
{
    double begin = console_seconds();
    size_t kept;
    if (!console_ok(t->lm.ctx, ink_state_follow(t->lm.ctx, t->state, t->heard, ids, n, &kept)))
        return false;
    t->n_heard = kept;
    if (!hear(t, ids + kept, n - kept))
        return false;
    *taken = true;
    t->stopped = false;
    for (size_t at = kept; at + 1 < n;) {
        size_t left = n - 1 - at, size = left < CHUNK ? left : CHUNK;
        if (!console_ok(t->lm.ctx, ink_model_forward(t->lm.ctx, t->lm.model, t->state, t->heard + at, size, NULL)))
            return false;
        at += size;
        t->stopped = console_interrupted() || t->stopped;
        if (t->stopped && ink_state_rewind(t->lm.ctx, t->state, kept) == INK_OK) {
            *taken = false;
            t->n_heard = kept;
            console_note("(stopped; your turn is taken back)");
            return true;
        }
    }
    t->n_read += n - kept;
    t->read_seconds += console_seconds() - begin;
    return true;
}

/* ---- answering -------------------------------------------------------------------------------------------------- */

static bool answer(talk *t)
{
    const char *why = t->stopped ? "(stopped)" : chosen.n_tokens == 0 ? "(cut off here: -n)" : NULL;
    double begin = console_seconds();
    t->n_said = 0;
    if (why == NULL) {
        ink_request request = {
            .state = t->state, .tokens = t->heard, .n_tokens = t->n_heard, .seed = (t->n_messages + 1) / 2};
        if (!console_ok(t->lm.ctx, ink_generate(t->lm.ctx, t->generator, &request, 1)))
            return false;
        const ink_generated *result = &request.results[0];
        if (t->broken || !hear(t, result->tokens, result->n_tokens))
            return false;
        t->n_written += result->n_tokens;
        if (t->stopped)
            why = "(stopped)";
        else if (result->end == INK_END_CALLBACK || t->n_heard == t->capacity)
            why = "(the context is full; /reset begins a new conversation)";
        else if (result->end == INK_END_LENGTH)
            why = "(cut off here: -n)";
    }
    t->write_seconds += console_seconds() - begin;
    if (why == NULL && t->n_said == 0)
        why = "(the model ended its answer at once)";
    if (!add_message(t, ASSISTANT, t->n_said > 0 ? t->said : "", t->n_said) || !console_write("\n", 1))
        return false;
    if (why != NULL)
        console_note("%s", why);
    return true;
}

/* A turn: takes the text of the user and prints the answer of the model. Ctrl-C ends the answer. If the context has no
   room for the turn, it says so and the conversation stays unchanged. */
static bool talk_say(talk *t, const char *text, size_t size)
{
    ink_token *ids;
    size_t n, n_before = t->n_messages;
    bool taken = false, done;
    console_interrupted(); /* forget an earlier Ctrl-C */
    if (n_before == 0 && system_text != NULL && !add_message(t, SYSTEM, system_text, strlen(system_text)))
        return false;
    if (!add_message(t, USER, text, size) || !encode_talk(t, &ids, &n))
        return false;
    vocabulary_note(t->lm.ctx, t->lm.tokenizer, t->lm.folder, text, size, INK_ENCODE_PLAIN);
    if (t->capacity > 0 && n > t->capacity) {
        console_note("The conversation has %zu tokens, this would add %zu, and the context holds %zu: /reset begins a "
                     "new one.",
                     t->n_heard, n - t->n_heard, t->capacity);
        free(ids);
        drop_messages(t, n_before);
        return true;
    }
    done = read_turn(t, ids, n, &taken);
    free(ids);
    if (!done)
        return false;
    if (!taken) {
        drop_messages(t, n_before);
        return true;
    }
    return answer(t);
}

/* ---- a conversation in a file ----------------------------------------------------------------------------------- */

/*
 *     "inkling talk 2\n\0"   16 bytes
 *     4 numbers              8 bytes each, little-endian: messages, bytes of all messages, tokens, bytes of the state
 *     messages               each: the role (0 system, 1 user, 2 assistant), the size of its text in 8 bytes, the text
 *     tokens                 4 bytes each, little-endian
 *     state                  what ink_state_save() writes
 *     sum                    8 bytes, little-endian: FNV-1a of everything before it
 */
static const char magic[16] = "inkling talk 2\n";

enum { HEAD = 16, N_NUMBERS = 4, SUM = 8, FIXED = HEAD + 8 * N_NUMBERS, MESSAGE = 9 };

static void put_bytes(unsigned char *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get_bytes(const unsigned char *from, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;)
        value = value << 8 | from[i];
    return value;
}

/* FNV-1a (Fowler, Noll, Vo): h = (h ^ byte) p for each byte, p = 2^40 + 2^8 + 0xb3. */
static uint64_t sum_of(const unsigned char *bytes, size_t size)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

/* The bytes of the file, to be released with free(). */
static unsigned char *write_bytes(const talk *t, size_t *size)
{
    ink_context *ctx = t->lm.ctx;
    size_t state_size = 0, seen = ink_state_length(t->state), texts = 0;
    if (seen < t->n_heard &&
        !console_ok(ctx, ink_model_forward(ctx, t->lm.model, t->state, t->heard + seen, t->n_heard - seen, NULL)))
        return NULL;
    ink_state_save(ctx, t->state, NULL, 0, &state_size); /* reports the size */
    for (size_t i = 0; i < t->n_messages; i++)
        texts += MESSAGE + t->messages[i].size;
    const uint64_t numbers[N_NUMBERS] = {t->n_messages, texts, t->n_heard, state_size};
    *size = FIXED + texts + 4 * t->n_heard + state_size + SUM;
    unsigned char *bytes = console_memory(*size, 1), *at = bytes;
    if (bytes == NULL)
        return NULL;
    memcpy(at, magic, HEAD);
    at += HEAD;
    for (size_t i = 0; i < N_NUMBERS; i++, at += 8)
        put_bytes(at, numbers[i], 8);
    for (size_t i = 0; i < t->n_messages; i++) {
        const ink_message *message = &t->messages[i];
        int role = 0;
        while (message->role != roles[role])
            role++;
        *at = (unsigned char)role;
        put_bytes(at + 1, message->size, 8);
        memcpy(at + MESSAGE, message->text, message->size);
        at += MESSAGE + message->size;
    }
    for (size_t i = 0; i < t->n_heard; i++, at += 4)
        put_bytes(at, (uint64_t)t->heard[i], 4);
    if (!console_ok(ctx, ink_state_save(ctx, t->state, at, state_size, &state_size))) {
        free(bytes);
        return NULL;
    }
    put_bytes(at + state_size, sum_of(bytes, *size - SUM), SUM);
    return bytes;
}

/* Saves the conversation. */
static void talk_save(const talk *t, const char *path)
{
    size_t size;
    unsigned char *bytes = write_bytes(t, &size);
    FILE *file = bytes != NULL && file_is_plain(path) ? file_create(path) : NULL;
    char room[CONSOLE_ROOM];
    if (file != NULL) {
        fwrite(bytes, 1, size, file);
        if (file_close(file, path))
            console_note("(%zu tokens, %s, are in %s)", ink_state_length(t->state), console_bytes(room, size), path);
    }
    free(bytes);
}

/* True if talk_save() can have written these bytes: the sizes in it add up to the whole. */
static bool check_bytes(const char *path, const unsigned char *bytes, size_t size, uint64_t numbers[N_NUMBERS])
{
    if (size < FIXED + SUM || memcmp(bytes, magic, HEAD) != 0)
        return console_complain("%s: is no conversation that /save has written", path);
    for (size_t i = 0; i < N_NUMBERS; i++)
        numbers[i] = get_bytes(bytes + HEAD + 8 * i, 8);
    uint64_t sum = sum_of(bytes, size - SUM), left = size - FIXED - SUM;
    if (sum != get_bytes(bytes + size - SUM, SUM) || numbers[1] > left || numbers[2] > (left - numbers[1]) / 4 ||
        numbers[3] != left - numbers[1] - 4 * numbers[2])
        return console_complain("%s: the file is damaged", path);
    return true;
}

/* The messages of a file, added to those of `to`. A conversation is saved before its first turn or behind an answer:
   after a system text, user and assistant take turns. */
static bool read_messages(talk *to, const char *path, const unsigned char *at, const uint64_t numbers[N_NUMBERS])
{
    const unsigned char *stop = at + numbers[1];
    int last = ASSISTANT;
    for (uint64_t i = 0; i < numbers[0]; i++) {
        uint64_t left = (uint64_t)(stop - at), size = left >= MESSAGE ? get_bytes(at + 1, 8) : 0;
        int role = left >= MESSAGE ? at[0] : -1, before = i == 0 || last == SYSTEM ? ASSISTANT : last;
        bool fits = role == SYSTEM ? i == 0 : role == (before == USER ? ASSISTANT : USER);
        if (left < MESSAGE || size > left - MESSAGE || !fits)
            return console_complain("%s: the file contradicts itself: message %llu of %llu", path,
                                    (unsigned long long)i, (unsigned long long)numbers[0]);
        if (!add_message(to, role, (const char *)at + MESSAGE, (size_t)size))
            return false;
        last = role;
        at += MESSAGE + size;
    }
    return (at == stop && last == ASSISTANT) ||
           console_complain("%s: the file contradicts itself: %llu messages, the last of the %s", path,
                            (unsigned long long)numbers[0], roles[last]);
}

/* Nothing is taken over before all of it is checked. */
static bool restore(talk *t, const char *path, const unsigned char *bytes, const uint64_t numbers[N_NUMBERS])
{
    ink_context *ctx = t->lm.ctx;
    size_t n = (size_t)numbers[2], vocab_size = t->lm.info->vocab_size, known = 0;
    const unsigned char *ids = bytes + FIXED + numbers[1];
    ink_state *state = NULL;
    talk read = {.n_messages = 0};
    ink_token *tokens = console_memory(n, sizeof *tokens);
    for (size_t i = 0; tokens != NULL && i < n; i++)
        tokens[i] = (ink_token)(int32_t)get_bytes(ids + 4 * i, 4);
    while (tokens != NULL && known < n && tokens[known] >= 0 && (size_t)tokens[known] < vocab_size)
        known++;
    bool done = tokens != NULL && read_messages(&read, path, bytes + FIXED, numbers) &&
                (known == n ||
                 console_complain("%s: the file contradicts itself: token %zu of %zu is unknown", path, known, n)) &&
                console_ok(ctx, ink_state_create_with(ctx, t->lm.model, &t->wanted, &state)) &&
                console_ok(ctx, ink_state_load(ctx, state, ids + 4 * n, (size_t)numbers[3])) &&
                (ink_state_length(state) == n ||
                 console_complain("%s: the file contradicts itself: it lists %zu tokens, and its state holds %zu", path,
                                  n, ink_state_length(state)));
    if (!done) {
        drop_messages(&read, 0);
        free(read.messages);
        ink_state_free(state);
        free(tokens);
        return false;
    }
    drop_messages(t, 0);
    free(t->messages);
    ink_state_free(t->state);
    free(t->heard);
    t->messages = read.messages;
    t->n_messages = read.n_messages;
    t->message_room = read.message_room;
    t->state = state;
    t->heard = tokens;
    t->n_heard = t->heard_room = n;
    return true;
}

/* Continues a conversation that was saved with the same model; after a failure the present one stays unchanged. */
static void talk_load(talk *t, const char *path)
{
    size_t size = 0;
    uint64_t numbers[N_NUMBERS] = {0};
    char *file = file_is_plain(path) ? file_read(path, &size) : NULL;
    const unsigned char *bytes = (const unsigned char *)file;
    if (bytes != NULL && check_bytes(path, bytes, size, numbers) && restore(t, path, bytes, numbers))
        console_note("(%zu tokens of a conversation from %s)", ink_state_length(t->state), path);
    free(file);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

/* The argument of this command in a line; NULL if the line is another command. */
static const char *argument_of(const char *text, const char *command)
{
    size_t size = strlen(command);
    if (strncmp(text, command, size) != 0 || (text[size] != ' ' && text[size] != '\0'))
        return NULL;
    return text + size + strspn(text + size, " ");
}

/* A pipe may carry the words of strangers, and they shall not name files of the user. */
static void obey(talk *t, const char *command, bool may_touch_files)
{
    const char *save = argument_of(command, "/save"), *load = argument_of(command, "/load");
    char shown[64];
    if (argument_of(command, "/reset") != NULL) {
        talk_reset(t);
        return;
    }
    if ((save != NULL || load != NULL) && !may_touch_files)
        console_note("(from a pipe, /save and /load are obeyed with --commands only)");
    else if (save != NULL && *save != '\0')
        talk_save(t, save);
    else if (load != NULL && *load != '\0')
        talk_load(t, load);
    else
        console_note("'%s' is none of the commands: /reset, /save FILE, /load FILE. A space in front makes it text.",
                     console_harmless(shown, sizeof shown, command));
}

static bool converse(talk *t, lines *in, bool asked)
{
    for (bool empty = true;; empty = false) {
        if (asked)
            console_echo("> ");
        switch (lines_next(in)) {
        case LINES_END:
            return asked || !empty || cli_complain_empty(&line);
        case LINES_ERROR:
            return false;
        case LINES_INTERRUPTED:
            console_note("%s", "");
            if (!asked)
                return true;
            continue;
        case LINES_LINE:
            if (in->text[0] == '/')
                obey(t, in->text, asked || commands);
            else if (in->size > 0 && !talk_say(t, in->text, in->size))
                return false;
        }
    }
}

static bool chat(ink_context *ctx)
{
    talk t = {.n_read = 0};
    lines in = {.stream = stdin};
    if (line.arguments[1] != NULL && strcmp(line.arguments[1], "-") != 0)
        return console_complain("one argument too many: '%s'; what you say is read from stdin, line by line",
                                line.arguments[1]);
    bool asked = console_is_asked(), done = lm_open(&t.lm, ctx, line.arguments[0], LM_TOKENIZER) && talk_open(&t);
    if (done) {
        const ink_model_info *info = t.lm.info;
        char parameters[CONSOLE_ROOM], context[CONSOLE_ROOM];
        console_note("%s, %s parameters, context %s, chat template %s", info->kind,
                     console_parameters(parameters, info->n_parameters),
                     t.capacity > 0 ? console_count(context, t.capacity) : "unlimited", ink_chat_name(t.chat));
        if (asked)
            console_note(
                "/reset begins a new conversation, /save FILE and /load FILE keep one, Ctrl-C stops an answer, "
                "Ctrl-D ends.");
        console_catch_interrupts();
        done = converse(&t, &in, asked);
        char read[CONSOLE_ROOM], written[CONSOLE_ROOM], model[CONSOLE_ROOM], state[CONSOLE_ROOM];
        size_t state_size = 0;
        if (t.n_read > 0)
            ink_state_size_with(t.lm.ctx, t.lm.model, &t.wanted, &state_size);
        if (t.n_read > 0)
            console_note(
                "read: %zu tokens, %s tokens/s; written: %zu tokens, %s tokens/s; memory: %s of weights, %s of state",
                t.n_read, console_rate(read, t.n_read, t.read_seconds), t.n_written,
                console_rate(written, t.n_written, t.write_seconds), console_bytes(model, t.lm.info->n_bytes),
                console_bytes(state, state_size));
    }
    lines_close(&in);
    talk_close(&t);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, chat); }
