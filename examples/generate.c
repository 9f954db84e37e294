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
#include "stop.h"

typedef struct settings {
    const char *folder, *prompt, *stop, *kernel;
    uint64_t n_tokens, top_k, seed, n_threads;
    double temperature, top_p, min_p, repeat_penalty;
    bool ids;
} settings;

static cli_outcome read_settings(settings *s, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "-n", .value = "COUNT", .count = &s->n_tokens, .most = 1e9,
         .help = "tokens to produce at most (default 200)"},
        {.name = "-t", .value = "TEMPERATURE", .real = &s->temperature, .most = 100,
         .help = "flattens (above 1) or sharpens the choice (default 0.8); 0: greedy"},
        {.name = "-k", .value = "TOP_K", .count = &s->top_k, .most = 1e9,
         .help = "choose among the k likeliest tokens; 0: all (default)"},
        {.name = "-p", .value = "TOP_P", .real = &s->top_p, .most = 1,
         .help = "choose among the likeliest that make up probability p; 0 and 1: all (default)"},
        {.name = "--min-p", .value = "P", .real = &s->min_p, .most = 1,
         .help = "drop tokens less likely than p times the likeliest; 0: none (default)"},
        {.name = "--repeat-penalty", .value = "R", .real = &s->repeat_penalty, .most = 100,
         .help = "push down tokens already seen; 0 and 1: not at all (default)"},
        {.name = "--stop", .value = "TEXT", .text = &s->stop,
         .help = "end before this text"},
        {.name = "--seed", .value = "S", .count = &s->seed,
         .help = "the same seed gives the same text, on every machine (default 1)"},
        {.name = "--threads", .value = "N", .count = &s->n_threads, .least = 1, .most = INK_MAX_THREADS,
         .help = "threads to use (default 1); the text does not depend on it"},
        {.name = "--kernel", .value = "NAME", .text = &s->kernel,
         .help = "portable, avx2, avx512 (default: the best here); the text does not depend on it"},
        {.name = "--ids", .flag = &s->ids,
         .help = "print token ids instead of text"},
    };
    cli line = {
        .name = "generate",
        .usage = "FOLDER \"prompt\" [options]",
        .about = "Continues a prompt with the model in a folder (config.json, model.safetensors, tokenizer.json).\n"
                 "The text goes to stdout as it is produced, everything else to stderr.",
        .samples = "  generate examples/models/gpt \"Anna and Tom were in the garden.\"\n"
                   "  generate examples/models/lstm \"Anna and Tom\" -n 50 -t 0.7 -p 0.95 --seed 7\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .names = {"FOLDER", "the prompt"},
        .n_least = 2,
        .n_most = 2,
    };
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
    char parameters[CONSOLE_ROOM], bytes[CONSOLE_ROOM], context[CONSOLE_ROOM];

    console_note("%s, %s parameters, %s, context %s, kernel %s, threads %u", info->kind,
                 console_parameters(parameters, info->n_parameters), console_bytes(bytes, info->n_bytes),
                 info->context_length > 0 ? console_count(context, info->context_length) : "unlimited",
                 ink_context_kernel(lm->ctx), ink_context_threads(lm->ctx));
}

static void summarise(const lm_request *request, const lm_report *report, const language_model *lm)
{
    char prompt_rate[CONSOLE_ROOM], rate[CONSOLE_ROOM];

    console_note("%s", ""); /* apart from the text, and from the prompt if the text went elsewhere */
    if (report->end == LM_CONTEXT)
        console_note("(the model's context of %zu tokens is full)", lm->info->context_length);
    console_note("prompt: %zu tokens, %s tokens/s; generated: %zu tokens, %s tokens/s", request->n_prompt,
                 console_count(prompt_rate, (uint64_t)report->prompt_rate), report->n_tokens,
                 report->rate > 0 ? console_count(rate, (uint64_t)report->rate) : "-");
}

static bool generate(const settings *s, const language_model *lm, printer *out)
{
    lm_request request = {
        .n_tokens = (size_t)s->n_tokens,
        .sampler = {.temperature = (float)s->temperature, .top_k = (size_t)s->top_k, .top_p = (float)s->top_p,
                    .min_p = (float)s->min_p, .repeat_penalty = (float)s->repeat_penalty, .seed = s->seed},
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
    settings s = {.n_tokens = 200, .seed = 1, .n_threads = 1, .temperature = 0.8, .top_p = 1, .repeat_penalty = 1};
    cli_outcome outcome = read_settings(&s, argc, argv);
    language_model lm = {0};
    printer out = {.ids = s.ids};
    ink_context *ctx;
    bool done = false;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ctx = console_context(s.n_threads, s.kernel);
    if (ctx != NULL)
        done = run(&s, ctx, &lm, &out);
    free(out.text);
    lm_close(&lm);
    ink_context_free(ctx);
    return !(done && console_finish());
}
