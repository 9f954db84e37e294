/*
 * chat.c - a conversation in the terminal with the instruct model in a folder.
 *
 * stdout gets what the model says, as it is produced; stderr gets everything else. Each line of stdin is something that
 * the user says, or a command that begins with a slash.
 *
 * The model's state keeps the conversation, so each turn only costs its new tokens. The conversation always ends where
 * the last answer does, whether the model, the user or the context ended it. The chat's ink_conversation remembers that
 * the answer still has to be closed, and the next turn begins with that.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lm.h"

enum { CHUNK = 128, USUAL_CONTEXT = 4096 };

static const char *system_text, *format;
static uint64_t asked_context;
static bool think, commands;
static generating chosen = GENERATING_DEFAULTS;

static const cli_option options[] = {
    CLI_TEXT("--system", "TEXT", &system_text, "instructions to the model (default: those of its template)"),
    CLI_TEXT("--template", "NAME", &format, "the chat format, for folders that do not say which"),
    CLI_COUNT("--context", "N", &asked_context, 1, 1e9,
              "tokens in a conversation (default: the model's context, at most 4096)"),
    CLI_FLAG("--think", &think, "lets a model that can (Qwen3) think before it answers"),
    CLI_FLAG("--commands", &commands, "obeys /save and /load even if stdin is no terminal"),
    SAMPLING_OPTIONS(&chosen),
    CLI_MACHINE,
};

static cli line = {
    .name = "chat",
    .usage = "FOLDER [options]",
    .about = "A conversation with the instruct model in a folder (config.json, model.safetensors, tokenizer.json,\n"
             "chat template). By default tokens are chosen with the settings of generation_config.json.\n"
             "Every line is something you say, or one of\n\n"
             "  /reset       begins a new conversation\n"
             "  /save FILE   saves this one in a file\n"
             "  /load FILE   continues one from a file\n\n"
             "Ctrl-C stops the answer, Ctrl-D ends the program. With a pipe as stdin it answers line by line, and\n"
             "touches no files for what comes out of it: /save and /load need --commands then. What the model\n"
             "says cannot steer a terminal; a pipe or a file gets it as it is.",
    .samples = "  echo \"Anna put the ball in the box. Where is the ball?\" | chat examples/models/assistant\n"
               "  printf 'Hello.\\nMia and Max were in the park.\\nWhere is Max?\\n' | chat examples/models/assistant\n"
               "  echo \"Who is in the garden?\" | chat examples/models/gpt --template zephyr --system Hm. -n 40\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, 1, "FOLDER"),
};

/* A conversation. */
typedef struct talk {
    language_model lm;
    ink_chat *chat;
    ink_state *state;
    size_t capacity; /* tokens of a conversation, 0: any number */
    ink_state_options wanted;
    ink_generator *generator;
    ink_conversation at;
    ink_token *heard; /* [n_heard] the conversation; the state may lack the last one */
    size_t n_heard, heard_room;
    bool stopped, broken; /* during an answer: by Ctrl-C; writing to stdout failed */

    size_t n_read, n_written; /* tokens in all, and the seconds they took */
    double read_seconds, write_seconds;
} talk;

/* ---- open and close --------------------------------------------------------------------------------------------- */

/* Prints what the model says, until Ctrl-C or the end of the context. */
static bool say(void *user, const ink_generate_step *step)
{
    talk *t = user;
    t->broken = !console_say(step->text, step->size);
    t->stopped = console_interrupted();
    return !t->broken && !t->stopped && (t->capacity == 0 || t->n_heard + step->n_tokens < t->capacity);
}

/* Call talk_close() even after a failure. */
static bool talk_open(talk *t)
{
    char today[16] = ""; /* "05 Nov 2026", for templates that tell the model the date */
    time_t now = time(NULL);
    const struct tm *day = localtime(&now);
    language_model *lm = &t->lm;
    size_t context = lm->info->context_length, wanted = asked_context > 0 ? (size_t)asked_context : USUAL_CONTEXT;
    ink_chat_options chat = {.format = format, .think = think, .date = today};
    ink_generate_options o;
    if (day != NULL)
        strftime(today, sizeof today, "%d %b %Y", day);
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
    if (!console_ok(lm->ctx, ink_chat_open(lm->ctx, lm->folder, lm->tokenizer, &chat, &t->chat)))
        return false;
    o.chat = t->chat;
    t->wanted = (ink_state_options){.capacity = t->capacity, .cache = o.cache};
    return console_ok(lm->ctx, ink_state_create_with(lm->ctx, lm->model, &t->wanted, &t->state)) &&
           console_ok(lm->ctx, ink_generator_create(lm->ctx, lm->model, &o, &t->generator));
}

static void talk_close(talk *t)
{
    ink_generator_free(t->generator);
    ink_state_free(t->state);
    ink_chat_free(t->chat);
    free(t->heard);
    lm_close(&t->lm);
}

/* Forgets the conversation. */
static void talk_reset(talk *t)
{
    ink_state_reset(t->state);
    t->at = (ink_conversation){0};
    t->n_heard = 0;
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

/* The ids of a turn, to be released with free(); `after` becomes the state of the conversation behind it. */
static bool encode_turn(const talk *t, const char *text, size_t size, ink_conversation *after, ink_token **ids,
                        size_t *n)
{
    bool first = t->at.n_messages == 0 && system_text != NULL;
    const ink_message messages[2] = {{INK_ROLE_SYSTEM, system_text, first ? strlen(system_text) : 0},
                                     {INK_ROLE_USER, text, size}};
    const ink_message *from = first ? messages : messages + 1;
    size_t n_messages = first ? 2 : 1;
    ink_context *ctx = t->lm.ctx;
    *after = t->at;
    *ids = NULL;
    ink_result result = ink_chat_encode(ctx, t->chat, after, from, n_messages, true, NULL, 0, n);
    if (result != INK_ERROR_LIMIT && !console_ok(ctx, result)) /* without room the call reports the size */
        return false;
    *ids = console_memory(*n, sizeof **ids);
    if (*ids != NULL && console_ok(ctx, ink_chat_encode(ctx, t->chat, after, from, n_messages, true, *ids, *n, n)))
        return true;
    free(*ids);
    *ids = NULL;
    return false;
}

/* Runs the turn through the model, but for its last token. Ctrl-C takes it back, or skips the answer if the state
   cannot be rewound. */
static bool read_turn(talk *t, const ink_token *ids, size_t n, bool *taken)
{
    size_t before = ink_state_length(t->state), n_before = t->n_heard;
    double begin = console_seconds();
    if (!hear(t, ids, n))
        return false;
    *taken = true;
    t->stopped = false;
    for (size_t at = before; at + 1 < t->n_heard;) {
        size_t left = t->n_heard - 1 - at, size = left < CHUNK ? left : CHUNK;
        if (!console_ok(t->lm.ctx, ink_model_forward(t->lm.ctx, t->lm.model, t->state, t->heard + at, size, NULL)))
            return false;
        at += size;
        t->stopped = console_interrupted() || t->stopped;
        if (t->stopped && ink_state_rewind(t->lm.ctx, t->state, before) == INK_OK) {
            *taken = false;
            t->n_heard = n_before;
            console_note("(stopped; your turn is taken back)");
            return true;
        }
    }
    t->n_read += n;
    t->read_seconds += console_seconds() - begin;
    return true;
}

/* ---- answering -------------------------------------------------------------------------------------------------- */

static bool answer(talk *t)
{
    const char *why = t->stopped ? "(stopped)" : chosen.n_tokens == 0 ? "(cut off here: -n)" : NULL;
    double begin = console_seconds();
    if (why == NULL) {
        ink_request request = {
            .state = t->state, .tokens = t->heard, .n_tokens = t->n_heard, .seed = t->at.n_messages / 2};
        if (!console_ok(t->lm.ctx, ink_generate(t->lm.ctx, t->generator, &request, 1)))
            return false;
        const ink_generated *said = &request.results[0];
        if (t->broken || !hear(t, said->tokens, said->n_tokens))
            return false;
        t->n_written += said->n_tokens;
        if (t->stopped)
            why = "(stopped)";
        else if (said->end == INK_END_CALLBACK || t->n_heard == t->capacity)
            why = "(the context is full; /reset begins a new conversation)";
        else if (said->end == INK_END_LENGTH)
            why = "(cut off here: -n)";
    }
    t->write_seconds += console_seconds() - begin;
    if (!console_write("\n", 1))
        return false;
    if (why != NULL)
        console_note("%s", why);
    return true;
}

/* A turn: takes the text of the user and prints the answer of the model. Ctrl-C ends the answer. If the context has no
   room for the turn, it says so and the conversation stays unchanged. */
static bool talk_say(talk *t, const char *text, size_t size)
{
    ink_conversation after;
    ink_token *ids;
    size_t n;
    bool taken = false, done;
    console_interrupted(); /* forget an earlier Ctrl-C */
    if (!encode_turn(t, text, size, &after, &ids, &n))
        return false;
    if (t->capacity > 0 && n > t->capacity - t->n_heard) {
        console_note("The conversation has %zu tokens, this would add %zu, and the context holds %zu: /reset begins a "
                     "new one.",
                     t->n_heard, n, t->capacity);
        free(ids);
        return true;
    }
    done = read_turn(t, ids, n, &taken);
    free(ids);
    if (!done || !taken)
        return done;
    t->at = after;
    return answer(t);
}

/* ---- a conversation in a file ----------------------------------------------------------------------------------- */

/*
 *     "inkling talk 1\n\0"   16 bytes
 *     format                 16 bytes, the name of the chat format, filled up with zeros
 *     5 numbers              8 bytes each, little-endian: messages, who spoke last, whether the last answer still has
 *                            to be closed, tokens, bytes of the state
 *     tokens                 4 bytes each, little-endian
 *     state                  what ink_state_save() writes
 *     sum                    8 bytes, little-endian: FNV-1a of everything before it
 */
static const char magic[16] = "inkling talk 1\n";

enum { HEAD = 16, N_NUMBERS = 5, SUM = 8, FIXED = 2 * HEAD + 8 * N_NUMBERS };

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
    size_t state_size = 0, seen = ink_state_length(t->state);
    if (seen < t->n_heard &&
        !console_ok(ctx, ink_model_forward(ctx, t->lm.model, t->state, t->heard + seen, t->n_heard - seen, NULL)))
        return NULL;
    ink_state_save(ctx, t->state, NULL, 0, &state_size); /* reports the size */
    const uint64_t numbers[N_NUMBERS] = {t->at.n_messages, t->at.last, t->at.answering, t->n_heard, state_size};
    *size = FIXED + 4 * t->n_heard + state_size + SUM;
    unsigned char *bytes = console_memory(*size, 1), *at = bytes;
    if (bytes == NULL)
        return NULL;
    memcpy(at, magic, HEAD);
    memcpy(at + HEAD, ink_chat_format(t->chat), strlen(ink_chat_format(t->chat)));
    at += 2 * HEAD;
    for (size_t i = 0; i < N_NUMBERS; i++, at += 8)
        put_bytes(at, numbers[i], 8);
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

/* True if talk_save() can have written these bytes, for this chat format. A conversation is saved before its first turn
   or behind an answer: every turn has a message of the user and one of the model, and at least one token. */
static bool check_bytes(const talk *t, const char *path, const unsigned char *bytes, size_t size,
                        uint64_t numbers[N_NUMBERS])
{
    char name[HEAD + 1] = {0}, shown[HEAD + 1];
    if (size < FIXED + SUM || memcmp(bytes, magic, HEAD) != 0)
        return console_complain("%s: is no conversation that /save has written", path);
    memcpy(name, bytes + HEAD, HEAD);
    if (strcmp(name, ink_chat_format(t->chat)) != 0)
        return console_complain("%s: the conversation is in the chat format %s, this one in %s", path,
                                console_harmless(shown, sizeof shown, name), ink_chat_format(t->chat));
    for (size_t i = 0; i < N_NUMBERS; i++)
        numbers[i] = get_bytes(bytes + 2 * HEAD + 8 * i, 8);
    uint64_t sum = sum_of(bytes, size - SUM);
    size -= FIXED + SUM;
    if (sum != get_bytes(bytes + FIXED + size, SUM) || numbers[3] > size / 4 || numbers[4] != size - 4 * numbers[3])
        return console_complain("%s: the file is damaged", path);
    bool begun = numbers[0] > 1 && numbers[0] / 2 <= numbers[3] && numbers[1] == INK_ROLE_ASSISTANT && numbers[2] == 1;
    bool empty = numbers[0] == 0 && numbers[1] == 0 && numbers[2] == 0 && numbers[3] == 0;
    return begun || empty ||
           console_complain("%s: the file contradicts itself: %llu messages of %llu tokens, the last from speaker %llu",
                            path, (unsigned long long)numbers[0], (unsigned long long)numbers[3],
                            (unsigned long long)numbers[1]);
}

/* Nothing is taken over before all of it is checked. */
static bool restore(talk *t, const char *path, const unsigned char *bytes, const uint64_t numbers[N_NUMBERS])
{
    ink_context *ctx = t->lm.ctx;
    size_t n = (size_t)numbers[3], state_size = (size_t)numbers[4], vocab_size = t->lm.info->vocab_size, known = 0;
    ink_state *state = NULL;
    ink_token *tokens = console_memory(n, sizeof *tokens);
    for (size_t i = 0; tokens != NULL && i < n; i++)
        tokens[i] = (ink_token)(int32_t)get_bytes(bytes + FIXED + 4 * i, 4);
    while (tokens != NULL && known < n && tokens[known] >= 0 && (size_t)tokens[known] < vocab_size)
        known++;
    bool done = tokens != NULL &&
                (known == n ||
                 console_complain("%s: the file contradicts itself: token %zu of %zu is unknown", path, known, n)) &&
                console_ok(ctx, ink_state_create_with(ctx, t->lm.model, &t->wanted, &state)) &&
                console_ok(ctx, ink_state_load(ctx, state, bytes + FIXED + 4 * n, state_size)) &&
                (ink_state_length(state) == n ||
                 console_complain("%s: the file contradicts itself: it lists %zu tokens, and its state holds %zu", path,
                                  n, ink_state_length(state)));
    if (!done) {
        ink_state_free(state);
        free(tokens);
        return false;
    }
    ink_state_free(t->state);
    free(t->heard);
    t->state = state;
    t->heard = tokens;
    t->n_heard = t->heard_room = n;
    t->at = (ink_conversation){(size_t)numbers[0], (ink_role)numbers[1], numbers[2] != 0};
    return true;
}

/* Continues a conversation that was saved with the same model; after a failure the present one stays unchanged. */
static void talk_load(talk *t, const char *path)
{
    size_t size = 0;
    uint64_t numbers[N_NUMBERS] = {0};
    char *file = file_is_plain(path) ? file_read(path, &size) : NULL;
    const unsigned char *bytes = (const unsigned char *)file;
    if (bytes != NULL && check_bytes(t, path, bytes, size, numbers) && restore(t, path, bytes, numbers))
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
    for (;;) {
        if (asked)
            console_echo("> ");
        switch (lines_next(in)) {
        case LINES_END:
            return true;
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
    bool asked = console_is_asked(), done = lm_open(&t.lm, ctx, line.arguments[0], LM_TOKENIZER) && talk_open(&t);
    if (done) {
        const ink_model_info *info = t.lm.info;
        char parameters[CONSOLE_ROOM], context[CONSOLE_ROOM];
        console_note("%s, %s parameters, context %s, chat template %s (%s)", info->kind,
                     console_parameters(parameters, info->n_parameters),
                     t.capacity > 0 ? console_count(context, t.capacity) : "unlimited", ink_chat_format(t.chat),
                     format != NULL ? "as you say" : "as the folder says");
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
