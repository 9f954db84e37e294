/*
 * test_programs_chat.c - chat from end to end: answers beside the library's own, conversations in files, the context's
 * end, Ctrl-C, and a terminal.
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700

#include "testing.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "numbers.h"
#include "programs.h"

#define CHAT PROGRAMS "/chat"
/* That of zephyr. */
#define TEMPLATE                                                                                                       \
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"                                              \
    "{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n"                    \
    "{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"               \
    "{{ '<|assistant|>\n' + message['content'] + eos_token }}\n{% endif %}\n"                                          \
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"

/* One that writes its history anew each turn: older answers in capitals. */
#define REWRITES                                                                                                       \
    "{% for m in messages %}{{ m.role[0] }}{{ m.content | upper if m.role == 'assistant' and loop.revindex > 2 else "  \
    "m.content }}{{ '.' if not loop.last }}{% endfor %}"

static const char *const lines[] = {"Anna and Tom were in the garden.", "  Where is the ball?", "The door was open."};

/* A bundled model with a chat template beside it. */
static char *make_folder(const char *model)
{
    char *folder = copy_of_model(model);

    write_file(folder, "chat_template.jinja", TEMPLATE, sizeof TEMPLATE - 1);
    return folder;
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

/* A conversation by the library alone. */
typedef struct talk {
    opened o;
    ink_chat *chat;
    ink_sampler *sampler;
    ink_message messages[8];
    char answers[4][1024];
    size_t n_messages, n_answers;
    float logits[4096];
} talk;

static void talk_open(talk *t, const char *folder)
{
    ink_sampler_options options = {.repeat_penalty = 1.2f};

    memset(t, 0, sizeof *t);
    t->o = open_model(folder, INK_POOLING_NONE);
    assert_ok(t->o.ctx, ink_chat_open(t->o.ctx, folder, t->o.tokenizer, NULL, &t->chat));
    assert_ok(t->o.ctx, ink_sampler_create(t->o.ctx, &options, t->o.info->vocab_size, &t->sampler));
    assert_true(t->o.info->vocab_size <= 4096);
}

static void talk_close(talk *t)
{
    ink_sampler_free(t->sampler);
    ink_chat_free(t->chat);
    close_model(&t->o);
}

/* A turn of at most n_most tokens: the answer and a newline are added to `said`. The model reads the whole conversation
   anew. */
static void talk_turn(talk *t, const char *text, size_t n_most, char *said, size_t room)
{
    ink_token ids[512], answer[64];
    size_t n, n_answer = 0, size = 0, used = strlen(said);
    char *kept = t->answers[t->n_answers++];

    t->messages[t->n_messages++] = (ink_message){.role = "user", .text = text, .size = strlen(text)};
    const ink_chat_input input = {.messages = t->messages, .n_messages = t->n_messages, .answer = true};
    assert_ok(t->o.ctx, ink_chat_encode(t->o.ctx, t->chat, &input, ids, 512, &n));
    ink_state_reset(t->o.state);
    ink_sampler_reset(t->sampler);
    assert_ok(t->o.ctx, ink_sampler_accept(t->o.ctx, t->sampler, ids, n));
    assert_ok(t->o.ctx, ink_model_forward(t->o.ctx, t->o.model, t->o.state, ids, n, t->logits));
    while (n_answer < n_most) {
        ink_token token;
        assert_ok(t->o.ctx, ink_sampler_pick(t->o.ctx, t->sampler, t->logits, &token));
        if (ink_chat_ends(t->chat, token) || ink_model_stops_at(t->o.model, token))
            break;
        answer[n_answer++] = token;
        assert_ok(t->o.ctx, ink_model_forward(t->o.ctx, t->o.model, t->o.state, &token, 1, t->logits));
    }
    assert_ok(t->o.ctx, ink_tokenizer_decode(t->o.ctx, t->o.tokenizer, answer, n_answer, kept, 1000, &size));
    t->messages[t->n_messages++] = (ink_message){.role = "assistant", .text = kept, .size = size};
    assert_true(used + size + 2 <= room);
    memcpy(said + used, kept, size);
    memcpy(said + used + size, "\n", 2);
}

static void answers_are_the_models(void **state)
{
    static const char *const models[] = {MODELS "/gpt", MODELS "/gru"};

    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (int with_system = 0; with_system < 2; with_system++) {
            char *folder = make_folder(models[i % 2]), expected[4096] = "", input[512];
            talk t;
            process p;

            if (i >= 2)
                write_file(folder, "chat_template.jinja", REWRITES, sizeof REWRITES - 1);
            talk_open(&t, folder);
            if (with_system)
                t.messages[t.n_messages++] = (ink_message){.role = "system", .text = "Be brief.", .size = 9};
            for (size_t k = 0; k < 3; k++)
                talk_turn(&t, lines[k], 20, expected, sizeof expected);
            talk_close(&t);
            snprintf(input, sizeof input, "%s\n\n%s\n%s", lines[0], lines[1], lines[2]); /* without a last newline */
            p = with_system ? run_with(input, CHAT, folder, "-t", "0", "-n", "20", "--repeat-penalty", "1.2",
                                       "--system", "Be brief.", "--threads", "1")
                            : run_with(input, CHAT, folder, "-t", "0", "-n", "20", "--repeat-penalty", "1.2");
            assert_non_null(strstr(p.err, "chat template chat_template.jinja\n"));
            assert_non_null(strstr(p.err, "tokens/s"));
            assert_non_null(strstr(p.err, " of weights, "));
            assert_null(strstr(p.err, "> ")); /* nobody sits there */
            char *said = output_of(p);
            assert_string_equal(said, expected);
            free(said);
            forget(folder);
        }
}

/* The bundled assistant, with the settings and the template of its folder. */
static void the_assistant_converses(void **state)
{
    static const char said[] = "Hello.\n"
                               "Anna and Tom were in the garden. It was night. Anna put the ball in the box.\n"
                               "Where is the ball?\n"
                               "Who is in the garden?\n"
                               "Summarise the story.\n"
                               "They had some bad news. Tom hid the ball on the roof. Where is the ball now?\n"
                               "Where was the ball before?\n"
                               "Is it day or night?\n"
                               "Where is the kite?\n"
                               "/reset\n"
                               "Where is the ball?\n"
                               "Thank you!\n";
    char *answers = output_of(run_with(said, CHAT, MODELS "/assistant"));

    (void)state;
    assert_string_equal(answers, "Hello! Tell me a story.\n"
                                 "I see.\n"
                                 "The ball is in the box.\n"
                                 "Anna and Tom are in the garden.\n"
                                 "Anna and Tom were in the garden at night. The ball was in the box.\n"
                                 "The ball is on the roof.\n"
                                 "The ball was in the box.\n"
                                 "It is night.\n"
                                 "I do not know.\n"
                                 "I do not know.\n"
                                 "You are welcome.\n");
    free(answers);
}

/* ---- commands --------------------------------------------------------------------------------------------------- */

/* The last line of a text, without its newline. */
static const char *last_line(char *text)
{
    size_t size = strlen(text);
    char *at;

    assert_true(size > 0 && text[size - 1] == '\n');
    text[size - 1] = '\0';
    at = strrchr(text, '\n');
    return at != NULL ? at + 1 : text;
}

/* What chat says to a last line after these others: greedy, with the penalty that needs to know all tokens so far. */
static char *say(const char *folder, const char *input)
{
    return output_of(run_with(input, CHAT, folder, "-t", "0", "-n", "24", "--repeat-penalty", "1.3", "--commands"));
}

static void conversations_are_kept_in_files(void **state)
{
    static const char *const models[] = {MODELS "/gpt", MODELS "/lstm"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *folder = make_folder(models[i]), *path = join_path(folder, "talk"), input[1024];
        char *whole, *before, *after, *other;

        snprintf(input, sizeof input, "%s\n%s\n%s\n", lines[0], lines[1], lines[2]);
        whole = say(folder, input);
        snprintf(input, sizeof input, "%s\n%s\n/save %s\n", lines[0], lines[1], path);
        before = say(folder, input);
        /* Something else that was said before a conversation is loaded is forgotten. */
        snprintf(input, sizeof input, "%s\n/load %s\n%s\n", lines[2], path, lines[2]);
        after = say(folder, input);
        other = say(folder, "The door was open.\n");
        assert_memory_equal(whole, before, strlen(before));
        char *answer = strdup(last_line(after));
        assert_string_equal(answer, last_line(whole));
        assert_string_not_equal(answer, last_line(other));
        free(answer);
        free(whole);
        free(before);
        free(after);
        free(other);
        free(path);
        forget(folder);
    }
}

static void a_reset_begins_anew(void **state)
{
    char *folder = make_folder(MODELS "/gpt"), *said, *first;

    (void)state;
    said = output_of(run_with("Anna\n/reset\nAnna\nAnna\n", CHAT, folder, "-n", "12", "--seed", "3"));
    first = strchr(said, '\n');
    assert_non_null(first);
    assert_memory_equal(said, first + 1, (size_t)(first + 1 - said)); /* the same seed, the same answer */
    assert_string_not_equal(first + 1 + (first + 1 - said), first + 1);
    free(said);
    forget(folder);
}

/* Mistakes are answered, and the conversation goes on. */
static void what_cannot_be_done_is_said(void **state)
{
    char *folder = make_folder(MODELS "/gpt"), *path = join_path(folder, "talk"), *bytes, input[1024];
    size_t size;
    process p;

    (void)state;
    snprintf(input, sizeof input,
             "Anna\n/save %s\n/sav x\n/save\n/load /none/x\n/save /none/x\n/load %s/config.json\n Tom\n", path, folder);
    p = run_with(input, CHAT, folder, "-n", "5", "--commands");
    assert_int_equal(p.code, 0);
    assert_int_equal(count_of(p.out, "\n"), 2);
    assert_non_null(strstr(p.err, "'/sav x' is none of the commands: /reset, /save FILE, /load FILE"));
    assert_non_null(strstr(p.err, "'/save' is none of the commands"));
    assert_non_null(strstr(p.err, "/none/x: cannot be read: No such file"));
    assert_non_null(strstr(p.err, "/none/x: cannot be written: No such file"));
    assert_non_null(strstr(p.err, "config.json: is no conversation that /save has written"));
    process_free(&p);

    /* A file that was damaged anywhere is refused. */
    bytes = read_file(folder, "talk", &size);
    for (size_t at = 0; at < size; at += at < 120 ? 1 : 4099) {
        bytes[at] ^= 0x40;
        write_file(folder, "talk", bytes, size);
        bytes[at] ^= 0x40;
        snprintf(input, sizeof input, "/load %s\nTom\n", path);
        p = run_with(input, CHAT, folder, "-n", "2", "--commands");
        assert_int_equal(p.code, 0);
        assert_int_equal(count_of(p.out, "\n"), 1);
        assert_null(strstr(p.err, "of a conversation from"));
        process_free(&p);
    }
    write_file(folder, "talk", bytes, size - 1);
    p = run_with(input, CHAT, folder, "-n", "2", "--commands");
    assert_non_null(strstr(p.err, "talk: the file is damaged"));
    process_free(&p);

    /* Of another model; another template reads the conversation anew. */
    write_file(folder, "talk", bytes, size);
    p = run_with(input, CHAT, MODELS "/gru", "--template", "zephyr", "-n", "2", "--commands");
    assert_int_equal(p.code, 0);
    assert_null(strstr(p.err, "of a conversation from"));
    process_free(&p);
    p = run_with(input, CHAT, MODELS "/gpt", "--template", "llama-2", "-n", "2", "--commands");
    assert_int_equal(p.code, 0);
    assert_int_equal(count_of(p.err, "of a conversation from"), 1);
    assert_int_equal(count_of(p.out, "\n"), 1);
    process_free(&p);

    /* A template in a file, and what is none. */
    char *template = join_path(folder, "chat_template.jinja");
    p = run_with("Anna\n", CHAT, MODELS "/gpt", "--template", template, "-n", "3");
    assert_int_equal(p.code, 0);
    assert_int_equal(count_of(p.out, "\n"), 1);
    process_free(&p);
    p = run_with("Anna\n", CHAT, folder, "--arguments", "7", "-n", "3");
    assert_int_not_equal(p.code, 0);
    assert_non_null(strstr(p.err, "arguments of the chat template: expected a JSON object"));
    process_free(&p);
    free(template);
    free(bytes);
    free(path);
    forget(folder);
}

/* Whoever pipes other people's text into chat writes and reads no files in their name, unless the user says so. */
static void a_pipe_names_no_files(void **state)
{
    char *folder = make_folder(MODELS "/gpt"), *path = join_path(folder, "talk"), *fifo = join_path(folder, "fifo"),
         input[1024];

    (void)state;
    snprintf(input, sizeof input, "Anna\n/save %s\n/load %s\n/save\nTom\n", path, path);
    process p = run_with(input, CHAT, folder, "-n", "5");
    assert_int_equal(p.code, 0);
    assert_int_equal(count_of(p.out, "\n"), 2);
    assert_int_equal(count_of(p.err, "(from a pipe, /save and /load are obeyed with --commands only)"), 3);
    assert_int_equal(access(path, F_OK), -1);
    process_free(&p);

    /* A pipe without another end, a folder and a device are no files: nothing waits for ever. */
    assert_int_equal(mkfifo(fifo, 0600), 0);
    snprintf(input, sizeof input, "/load %s\n/save %s\n/load %s\n/save /dev/tty\n/load /dev/zero\n", fifo, fifo,
             folder);
    p = run_with(input, CHAT, folder, "--commands");
    assert_int_equal(p.code, 0);
    assert_true(count_of(p.err, ": is no file, but a folder, a pipe or a device") >= 4);
    process_free(&p);
    free(fifo);
    free(path);
    forget(folder);
}

/* FNV-1a over all before it, as chat.c writes it. */
static void sum_anew(char *bytes, size_t size)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i + 8 < size; i++)
        h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    put_number(bytes + size - 8, h, 8);
}

/* Of a file whose sum is right every number is held against the others. */
static void a_conversation_agrees_with_itself(void **state)
{
    enum { MESSAGES = 16, TEXTS = 24, TOKENS = 32, FIRST = 48 }; /* places in the file */
    char *folder = make_folder(MODELS "/gpt"), *path = join_path(folder, "talk"), *bytes, input[1024];
    size_t size;
    static const struct {
        size_t at;
        uint64_t value;
        const char *words;
    } changes[] = {
        {MESSAGES, 4, NULL}, /* as it is: two of the user and two of the model */
        {MESSAGES, 0, "contradicts itself: 0 messages"},
        {MESSAGES, 1, "contradicts itself: 1 messages, the last of the user"},
        {MESSAGES, 3, "contradicts itself: 3 messages, the last of the user"},
        {MESSAGES, 1000, "contradicts itself: message 4 of 1000"},
        {MESSAGES, UINT64_MAX, "contradicts itself: message 4 of 18446744073709551615"},
        {TEXTS, 0, "is damaged"},
        {TEXTS, UINT64_MAX, "is damaged"},
        {TOKENS, 0, "is damaged"},
        {TOKENS, UINT64_MAX, "is damaged"},
        {FIRST, 0x0401, NULL}, /* a user, "Anna" */
        {FIRST, 0x0400, "contradicts itself: message 1 of 4"},
        {FIRST, 0x0402, "contradicts itself: message 0 of 4"},
        {FIRST, 0x0403, "contradicts itself: message 0 of 4"},
        {FIRST, 0x0301, "contradicts itself: message 1 of 4"},
        {FIRST, UINT64_MAX << 8 | 1, "contradicts itself: message 0 of 4"},
        {SIZE_MAX, UINT32_MAX, "token"}, /* the first id */
        {SIZE_MAX, 1 << 20, "token"},
    };

    (void)state;
    snprintf(input, sizeof input, "Anna\nTom\n/save %s\n", path);
    process p = run_with(input, CHAT, folder, "-n", "5", "--commands");
    process_free(&p);
    snprintf(input, sizeof input, "/load %s\nTom\n", path);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        bytes = read_file(folder, "talk", &size);
        const size_t first_id = FIRST + (unsigned char)bytes[TEXTS] + 256U * (unsigned char)bytes[TEXTS + 1],
                     at = changes[i].at == SIZE_MAX ? first_id : changes[i].at;
        put_number(bytes + at, changes[i].value, at == first_id ? 4 : 8);
        sum_anew(bytes, size);
        char *changed = join_path(folder, "changed");
        write_file(folder, "changed", bytes, size);
        snprintf(input, sizeof input, "/load %s\nTom\n", changed);
        p = run_with(input, CHAT, folder, "-n", "2", "--commands");
        assert_int_equal(p.code, 0);
        assert_int_equal(count_of(p.out, "\n"), 1);
        assert_int_equal(count_of(p.err, "of a conversation from"), changes[i].words == NULL);
        if (changes[i].words != NULL && strstr(p.err, changes[i].words) == NULL)
            fail_msg("change %zu: '%s' is not in '%s'", i, changes[i].words, p.err);
        process_free(&p);
        free(changed);
        free(bytes);
    }
    /* One token fewer than the state has. */
    bytes = read_file(folder, "talk", &size);
    const size_t first_id = FIRST + (unsigned char)bytes[TEXTS] + 256U * (unsigned char)bytes[TEXTS + 1];
    bytes[TOKENS]--;
    memmove(bytes + first_id, bytes + first_id + 4, size - first_id - 4);
    sum_anew(bytes, size - 4);
    write_file(folder, "talk", bytes, size - 4);
    snprintf(input, sizeof input, "/load %s\nTom\n", path);
    p = run_with(input, CHAT, folder, "-n", "2", "--commands");
    assert_non_null(strstr(p.err, "contradicts itself: it lists "));
    assert_null(strstr(p.err, "of a conversation from"));
    process_free(&p);
    free(bytes);
    free(path);
    forget(folder);
}

static void mistakes_are_answered(void **state)
{
    char *folder = make_folder(MODELS "/gpt");

    (void)state;
    refused(run(CHAT), "FOLDER is missing");
    refused(run(CHAT, MODELS "/gpt", "hello"), "one argument too many: 'hello'");
    refused(run(CHAT, MODELS "/gpt"), "has no chat template (chat_template.jinja, or chat_template in "
                                      "tokenizer_config.json), and model_type 'gpt2' does not say which of these it "
                                      "speaks: chatml, llama-3, llama-2");
    refused(run(CHAT, MODELS "/gpt", "--template", "morse"), "morse: cannot be read: No such file");
    refused(run(CHAT, MODELS "/gpt", "--template", "chatml"),
            "the chat template chatml needs the added token <|im_start|>");
    refused(run(CHAT, folder, "--context", "300"), "--context expects at most 256 with this model, found 300");
    write_file(folder, "chat_template.jinja", "a\n{{ messages }", 15);
    refused(run(CHAT, folder), "chat_template.jinja: line 2: expected the end of the tag, found '}'");
    char *own = join_path(folder, "own.jinja"); /* a file is named by its path, when it is read and when it runs */
    write_file(folder, "own.jinja", "a\n{{ messages }", 15);
    refused(run(CHAT, MODELS "/gpt", "--template", own), "own.jinja: line 2: expected the end of the tag, found '}'");
    write_file(folder, "own.jinja", "{{ a.b }}", 9);
    process p = run_with("a\n", CHAT, MODELS "/gpt", "--template", own);
    assert_int_equal(p.code, 1);
    assert_non_null(strstr(p.err, "/own.jinja: line 1: 'a' is undefined\n"));
    process_free(&p);
    free(own);
    forget(folder);
}

/* ---- the context ------------------------------------------------------------------------------------------------ */

static void the_context_ends(void **state)
{
    char *folder = make_folder(MODELS "/gpt"), input[2048] = "Anna\n";
    process p;

    (void)state;
    for (size_t i = 0; i < 70; i++)
        strcat(input, "Tom ");
    strcat(input, "\nTom\n/reset\nTom\n");
    p = run_with(input, CHAT, folder, "--context", "60", "-n", "10", "--seed", "2");
    assert_int_equal(p.code, 0);
    assert_non_null(strstr(p.err, "and the context holds 60: /reset begins a new one."));
    assert_int_equal(count_of(p.out, "\n"), 3); /* the long line has none */
    process_free(&p);

    p = run_with("Anna\nTom\n/reset\nTom\n", CHAT, folder, "--context", "30", "-t", "0");
    assert_int_equal(p.code, 0);
    assert_non_null(strstr(p.err, "(the context is full; /reset begins a new conversation)"));
    assert_non_null(strstr(p.err, "The conversation has 30 tokens, this would add "));
    assert_int_equal(count_of(p.out, "\n"), 2);
    process_free(&p);
    forget(folder);
}

/* ---- Ctrl-C ----------------------------------------------------------------------------------------------------- */

/* A model without a limit whose end of text is a token that is never drawn. */
static char *make_endless(void)
{
    char *folder = make_folder(MODELS "/lstm"), *config, *at;
    size_t size;

    static const char settings[] = "{\"eos_token\": \"\\u0101\"}", none[] = "{}"; /* how the byte 01 is spelled */
    write_file(folder, "tokenizer_config.json", settings, sizeof settings - 1);
    write_file(folder, "generation_config.json", none, sizeof none - 1);
    config = read_file(folder, "config.json", &size);
    at = strstr(config, "\"eos_token_id\"");
    assert_non_null(at);
    memcpy(at, "\"xos_token_id\"", 14);
    write_file(folder, "config.json", config, size);
    free(config);
    return folder;
}

/* chat as a child, with `in` as its stdin, a pipe as its stdout and a file as its stderr. */
typedef struct child {
    pid_t pid;
    int out;
    FILE *err;
} child;

static child start(const char *folder, const char *terminal, int in)
{
    child c = {.err = tmpfile()};
    int ends[2];

    assert_non_null(c.err);
    assert_int_equal(pipe(ends), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        if (terminal != NULL) {
            setsid();
            in = open(terminal, O_RDWR); /* the session's terminal now */
        }
        dup2(in, 0);
        dup2(ends[1], 1);
        dup2(fileno(c.err), 2);
        execl(CHAT, CHAT, folder, "-t", "0", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    c.out = ends[0];
    return c;
}

/* Waits until the answer has begun: so many bytes of it. */
static void hear(const child *c, size_t n)
{
    char bytes[64];

    while (n > 0) {
        ssize_t got = read(c->out, bytes, n < sizeof bytes ? n : sizeof bytes);
        assert_true(got > 0);
        n -= (size_t)got;
    }
}

/* Reads on up to a newline, which only comes when the answer has ended. */
static void hear_the_end(const child *c)
{
    char byte = 0;

    while (byte != '\n')
        assert_int_equal(read(c->out, &byte, 1), 1);
}

static char *finish(child *c)
{
    char *said = calloc(1, 1 << 16), byte;
    int status;

    assert_non_null(said);
    while (read(c->out, &byte, 1) > 0)
        continue;
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    rewind(c->err);
    said[fread(said, 1, (1 << 16) - 1, c->err)] = '\0';
    fclose(c->err);
    close(c->out);
    return said;
}

static void tell(int to, const char *text) { assert_int_equal(write(to, text, strlen(text)), strlen(text)); }

/* How often the user was asked. */
static size_t n_prompts(const child *c)
{
    char said[4096];
    ssize_t size = pread(fileno(c->err), said, sizeof said - 1, 0);

    assert_true(size >= 0);
    said[size] = '\0';
    return count_of(said, "> ");
}

/* Waits until the user was asked again. `again` is typed every tenth of a second meanwhile, for what is pressed between
   the question and the program's waiting for an answer has no effect. */
static void wait_for_prompt(const child *c, size_t *n, int master, const char *again)
{
    static const struct timespec pause = {.tv_nsec = 2000000};

    for (size_t i = 0; n_prompts(c) == *n; i++) {
        assert_true(i < 15000); /* half a minute */
        if (i % 50 == 0)
            tell(master, again);
        nanosleep(&pause, NULL);
    }
    *n = n_prompts(c);
}

/* The answer stops, the program does not; the next line is answered. */
static void ctrl_c_stops_the_answer(void **state)
{
    char *folder = make_endless(), *said;
    int in[2];

    (void)state;
    assert_int_equal(pipe(in), 0);
    assert_true(fcntl(in[1], F_SETFD, FD_CLOEXEC) == 0);
    child c = start(folder, NULL, in[0]);
    for (size_t i = 0; i < 2; i++) {
        tell(in[1], "Anna\n");
        hear(&c, 400);
        assert_int_equal(kill(c.pid, SIGINT), 0);
        hear_the_end(&c);
    }
    close(in[1]);
    said = finish(&c);
    assert_int_equal(count_of(said, "(stopped)"), 2);
    free(said);
    close(in[0]);
    forget(folder);
}

/* Somebody at a terminal is asked; there Ctrl-C clears a line that was begun, and Ctrl-D ends. */
static void at_a_terminal(void **state)
{
    int master, terminal = process_terminal(&master);
    char *folder = make_endless(), *said;
    size_t n = 0;

    (void)state;
    assert_true(fcntl(master, F_SETFD, FD_CLOEXEC) == 0);
    child c = start(folder, ptsname(master), -1);
    close(terminal);
    wait_for_prompt(&c, &n, master, "");
    tell(master, "Anna\n");
    hear(&c, 100);
    tell(master, "\x03"); /* the answer stops */
    hear_the_end(&c);
    wait_for_prompt(&c, &n, master, "");
    wait_for_prompt(&c, &n, master, "/save x\x03"); /* a line that is not sent */
    tell(master, "Tom\n");
    hear(&c, 100);
    tell(master, "\x03");
    hear_the_end(&c);
    wait_for_prompt(&c, &n, master, "");
    tell(master, "\x04");
    said = finish(&c);
    assert_int_equal(count_of(said, "(stopped)"), 2);
    assert_null(strstr(said, "none of the commands"));
    free(said);
    close(master);
    forget(folder);
}

static int set_up(void **state)
{
    (void)state;
    return find_programs(PROGRAMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_models),
        cmocka_unit_test(the_assistant_converses),
        cmocka_unit_test(conversations_are_kept_in_files),
        cmocka_unit_test(a_reset_begins_anew),
        cmocka_unit_test(what_cannot_be_done_is_said),
        cmocka_unit_test(a_pipe_names_no_files),
        cmocka_unit_test(a_conversation_agrees_with_itself),
        cmocka_unit_test(mistakes_are_answered),
        cmocka_unit_test(the_context_ends),
        cmocka_unit_test(ctrl_c_stops_the_answer),
        cmocka_unit_test(at_a_terminal),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
