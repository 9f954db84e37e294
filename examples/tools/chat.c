/*
 * chat.c - a conversation in the terminal with the instruct model in a folder.
 *
 * stdout gets what the model says, as it is produced; stderr gets everything else. Each line of stdin is something that
 * the user says, or a command that begins with a slash.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "console.h"
#include "lines.h"
#include "lm.h"
#include "sampling.h"
#include "talk.h"

typedef struct settings {
    const char *folder, *format, *system;
    uint64_t context;
    bool think;
    sampling sampling;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    cli_option options[4 + SAMPLING_N_OPTIONS] = {
        {.name = "--system",
         .value = "TEXT",
         .text = &s->system,
         .help = "what the model is told before the conversation (default: what its template says)"},
        {.name = "--template",
         .value = "NAME",
         .text = &s->format,
         .help = "the chat format, for folders that do not say which"},
        {.name = "--context",
         .value = "N",
         .count = &s->context,
         .least = 1,
         .most = 1e9,
         .help = "tokens a conversation may have (default: what the model can, at most 4096)"},
        {.name = "--think", .flag = &s->think, .help = "lets a model that can (Qwen3) think before it answers"},
    };
    cli line = {
        .name = "chat",
        .usage = "FOLDER [options]",
        .about = "A conversation with the instruct model in a folder (config.json, model.safetensors, tokenizer.json,\n"
                 "chat template). Tokens are chosen as generation_config.json says, unless an option says otherwise.\n"
                 "Every line is something you say, or one of\n\n"
                 "  /reset       begins a new conversation\n"
                 "  /save FILE   keeps this one in a file\n"
                 "  /load FILE   goes on with one from a file\n\n"
                 "Ctrl-C stops the answer, Ctrl-D ends the program. With a pipe as stdin it answers line by line.",
        .samples = "  echo \"Where is the ball?\" | chat examples/models/gpt --template zephyr -n 40\n"
                   "  echo \"Who is in the garden?\" | chat examples/models/gpt --template zephyr --system Hm. -t 0\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .names = {"FOLDER"},
        .n_least = 1,
        .n_most = 1,
    };
    sampling_options(&s->sampling, options + 4);
    cli_outcome outcome = cli_read(&line, argc, argv);

    s->folder = line.arguments[0];
    return outcome;
}

/* If the line is this command, what follows it; else NULL. */
static const char *argument_of(const char *line, const char *command)
{
    size_t size = strlen(command);

    if (strncmp(line, command, size) != 0 || (line[size] != ' ' && line[size] != '\0'))
        return NULL;
    return line + size + strspn(line + size, " ");
}

static bool obey(talk *t, const char *line)
{
    const char *save = argument_of(line, "/save"), *load = argument_of(line, "/load");
    char shown[64];

    if (argument_of(line, "/reset") != NULL)
        return talk_reset(t);
    if (save != NULL && *save != '\0')
        talk_save(t, save);
    else if (load != NULL && *load != '\0')
        talk_load(t, load);
    else
        console_note("'%s' is none of the commands: /reset, /save FILE, /load FILE. A space in front makes it a text.",
                     console_harmless(shown, sizeof shown, line));
    return true;
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
            if (in->text[0] == '/' ? !obey(t, in->text) : in->size > 0 && !talk_say(t, in->text, in->size))
                return false;
        }
    }
}

static void greet(const settings *s, const talk *t, bool asked)
{
    const ink_model_info *info = t->lm->info;
    char parameters[CONSOLE_ROOM], context[CONSOLE_ROOM];

    console_note("%s, %s parameters, context %s, chat template %s (%s)", info->kind,
                 console_parameters(parameters, info->n_parameters),
                 t->capacity > 0 ? console_count(context, t->capacity) : "unlimited", ink_chat_format(t->chat),
                 s->format != NULL ? "as you say" : "as the folder says");
    if (asked)
        console_note("/reset begins anew, /save FILE and /load FILE keep a conversation, Ctrl-C stops an answer, "
                     "Ctrl-D ends.");
}

static void summarise(const talk *t)
{
    char read[CONSOLE_ROOM], written[CONSOLE_ROOM], model[CONSOLE_ROOM], state[CONSOLE_ROOM];
    size_t state_size = 0;

    if (t->n_read == 0 || t->read_seconds <= 0)
        return;
    ink_state_size(t->lm->ctx, t->lm->model, t->capacity, &state_size);
    console_note("read: %zu tokens, %s tokens/s; written: %zu tokens, %s tokens/s; memory: %s of weights, %s of state",
                 t->n_read, console_count(read, (uint64_t)((double)t->n_read / t->read_seconds)), t->n_written,
                 t->n_written > 0 ? console_count(written, (uint64_t)((double)t->n_written / t->write_seconds)) : "-",
                 console_bytes(model, t->lm->info->n_bytes), console_bytes(state, state_size));
}

static bool run(const settings *s, language_model *lm)
{
    talk_options options = {
        .format = s->format,
        .system = s->system,
        .think = s->think,
        .context = (size_t)s->context,
        .n_tokens = s->sampling.n_tokens == SAMPLING_UNSET ? SIZE_MAX : (size_t)s->sampling.n_tokens,
    };
    bool asked = console_is_asked(), done;
    lines in = {.stream = stdin};
    talk t;

    options.sampler = sampling_choose(&s->sampling, lm->model);
    done = talk_open(&t, lm, &options);
    if (done) {
        greet(s, &t, asked);
        console_catch_interrupts();
        done = converse(&t, &in, asked);
        summarise(&t);
    }
    lines_close(&in);
    talk_close(&t);
    return done;
}

int main(int argc, char **argv)
{
    settings s = {.sampling = SAMPLING_DEFAULTS};
    cli_outcome outcome = read_settings(&s, argc, argv);
    language_model lm = {0};
    ink_context *ctx;
    bool done = false;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ctx = console_context(s.sampling.n_threads, s.sampling.kernel);
    if (ctx != NULL)
        done = lm_open(&lm, ctx, s.folder) && run(&s, &lm);
    lm_close(&lm);
    ink_context_free(ctx);
    return !(console_finish() && done);
}
