/*
 * generate.c - continues a prompt with the model in a folder.
 *
 * stdout gets the text (or the token ids) that the model adds, as it is produced; stderr gets everything else: what
 * the model is, the prompt in front of the text, how fast it went, what went wrong.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "console.h"
#include "lm.h"
#include "sampling.h"
#include "stop.h"

typedef struct settings {
    const char *folder, *prompt, *stop;
    bool ids;
    sampling sampling;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    cli_option options[2 + SAMPLING_N_OPTIONS] = {
        {.name = "--stop", .value = "TEXT", .text = &s->stop, .help = "end before this text"},
        {.name = "--ids", .flag = &s->ids, .help = "print token ids instead of text"},
    };
    cli line = {
        .name = "generate",
        .usage = "FOLDER \"prompt\" [options]",
        .about = "Continues a prompt with the model in a folder (config.json, model.safetensors, tokenizer.json).\n"
                 "The text goes to stdout as it is produced, everything else to stderr. Unless an option says\n"
                 "otherwise it is 200 tokens, chosen as the folder's generation_config.json says, or else at\n"
                 "temperature 0.8 among all.",
        .samples = "  generate examples/models/gpt \"Anna and Tom were in the garden.\"\n"
                   "  generate examples/models/lstm \"Anna and Tom\" -n 50 -t 0.7 -p 0.95 --seed 7\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .names = {"FOLDER", "the prompt"},
        .n_least = 2,
        .n_most = 2,
    };
    sampling_options(&s->sampling, options + 2);
    cli_outcome outcome = cli_read(&line, argc, argv);

    s->folder = line.arguments[0];
    s->prompt = line.arguments[1];
    return outcome;
}

/* Between the model and stdout: holds back what may become the stop text. */
typedef struct printer {
    stop_watch stop;
    char *text; /* as long as one piece and a stop text */
    bool ids;
    size_t n_ids;
    bool broken; /* nobody reads stdout any more */
} printer;

/* Prints what is certain not to belong to the stop text; false when the text has come to its end. */
static bool print(void *user, ink_token token, const char *piece, size_t size)
{
    printer *out = user;
    size_t n;
    char id[16];
    bool stopped = stop_feed(&out->stop, piece, size, out->text, &n);

    if (!out->ids) {
        out->broken = !console_write(out->text, n);
        if (token < 0 && !stopped) /* the text is over: what was held back was no stop text */
            out->broken = out->broken || !console_write(out->stop.phrase, out->stop.held);
    } else if (token >= 0 && !stopped) {
        n = (size_t)snprintf(id, sizeof id, "%s%" PRId32, out->n_ids++ > 0 ? " " : "", token);
        out->broken = !console_write(id, n);
    }
    return !stopped && !out->broken;
}

/* "gpt2, 0.5 M parameters, ..." */
static void describe(const language_model *lm)
{
    const ink_model_info *info = lm->info;
    char parameters[CONSOLE_ROOM], context[CONSOLE_ROOM];

    console_note("%s, %s parameters, context %s, kernel %s, threads %u", info->kind,
                 console_parameters(parameters, info->n_parameters),
                 info->context_length > 0 ? console_count(context, info->context_length) : "unlimited",
                 ink_context_kernel(lm->ctx), ink_context_threads(lm->ctx));
}

static void summarise(const lm_request *request, const lm_report *report, const language_model *lm)
{
    char prompt_rate[CONSOLE_ROOM], rate[CONSOLE_ROOM], model[CONSOLE_ROOM], state[CONSOLE_ROOM];

    console_note("%s", ""); /* apart from the text, and from the prompt if the text went elsewhere */
    if (report->end == LM_CONTEXT)
        console_note("(the model's context of %zu tokens is full)", lm->info->context_length);
    console_note("prompt: %zu tokens, %s tokens/s; generated: %zu tokens, %s tokens/s; memory: %s of weights, %s of "
                 "state",
                 request->n_prompt, console_count(prompt_rate, (uint64_t)report->prompt_rate), report->n_tokens,
                 report->rate > 0 ? console_count(rate, (uint64_t)report->rate) : "-",
                 console_bytes(model, lm->info->n_bytes), console_bytes(state, report->state_size));
}

static bool generate(const settings *s, const language_model *lm, printer *out)
{
    lm_request request = {
        .n_tokens = s->sampling.n_tokens == SAMPLING_UNSET ? 200 : (size_t)s->sampling.n_tokens,
        .sampler = sampling_choose(&s->sampling, lm->model),
        .sink = print,
        .user = out,
    };
    lm_report report;
    ink_token *prompt;
    bool done;

    if (!lm_prompt(lm, s->prompt, &prompt, &request.n_prompt))
        return false;
    request.prompt = prompt;
    describe(lm);
    if (!s->ids)
        console_echo(s->prompt);
    done = lm_continue(lm, &request, &report);
    done = done && !out->broken && console_write("\n", 1);
    if (done)
        summarise(&request, &report, lm);
    free(prompt);
    return done;
}

static bool run(const settings *s, ink_context *ctx, language_model *lm, printer *out)
{
    if (!stop_start(&out->stop, s->stop)) {
        console_complain("--stop expects at most %d bytes", STOP_MAX);
        return false;
    }
    if (!lm_open(lm, ctx, s->folder))
        return false;
    out->text = malloc(ink_tokenizer_stream_capacity(lm->tokenizer) + STOP_MAX);
    if (out->text == NULL) {
        console_complain("there is no memory for a piece of text");
        return false;
    }
    return generate(s, lm, out);
}

int main(int argc, char **argv)
{
    settings s = {.sampling = SAMPLING_DEFAULTS};
    cli_outcome outcome = read_settings(&s, argc, argv);
    language_model lm = {0};
    printer out = {.ids = s.ids};
    ink_context *ctx;
    bool done = false;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ctx = console_context(s.sampling.n_threads, s.sampling.kernel);
    if (ctx != NULL)
        done = run(&s, ctx, &lm, &out);
    free(out.text);
    lm_close(&lm);
    ink_context_free(ctx);
    return !(console_finish() && done);
}
