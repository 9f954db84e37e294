/*
 * generate.c - continues a prompt with the model in a folder.
 *
 * stdout gets the text (or the token ids) that the model adds, as it is produced. stderr gets everything else: a line
 * about the model, the prompt in front of the text, the speed, error messages.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm.h"

static const char *stop_texts[CLI_MAX_TEXTS];
static size_t n_stop_texts;
static bool ids, ids_in;
static generating chosen = GENERATING_DEFAULTS;

static const cli_option options[] = {
    CLI_TEXTS("--stop", "TEXT", stop_texts, &n_stop_texts, "end before this text; may be given several times"),
    CLI_FLAG("--ids", &ids, "print token ids instead of text"),
    LM_IDS_IN(&ids_in),
    SAMPLING_OPTIONS(&chosen),
    BEAM_OPTIONS(&chosen),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "generate",
    .usage = "FOLDER [\"prompt\"] [options]",
    .about = "Continues a prompt with the model in a folder (config.json, model.safetensors, tokenizer.json).\n"
             "The text goes to stdout as it is produced, everything else to stderr. By default it produces up\n"
             "to 200 tokens with the settings of the folder's generation_config.json; if that file says nothing\n"
             "the temperature is 0.8. Beams print their text when it is found. With --ids and --ids-in a folder\n"
             "needs no tokenizer. At a terminal, characters that would steer it are shown as \\xNN; a pipe or a\n"
             "file gets the text as it is. FOLDER may be a .gguf file.",
    .samples = "  generate examples/models/gpt \"Anna and Tom were in the garden.\"\n"
               "  generate examples/models/lstm \"Anna and Tom\" -n 50 -t 0.7 -p 0.95 --seed 7\n"
               "  generate examples/models/gpt \"Anna and Tom\" --beams 4 --no-repeat 3 -n 40\n"
               "  generate examples/models/gpt --ids-in \"0 829 14 286\" --ids -n 20\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(2, 2, "FOLDER", "the prompt"),
    .text = 1,
};

/* Stands between the model and stdout. */
typedef struct printer {
    const char *prompt; /* to be shown in front of the text when a search has found it; NULL: it is there already */
    size_t n_ids;
    bool broken; /* writing to stdout failed */
} printer;

static bool print_step(void *user, const ink_generate_step *step)
{
    printer *out = user;
    if (step->searches) {
        console_progress("%zu tokens", step->n_tokens);
        return true;
    }
    console_progress("%s", "");
    if (out->prompt != NULL)
        console_echo(out->prompt);
    out->prompt = NULL;
    if (!ids)
        out->broken = !console_say(step->text, step->size);
    else if (step->token >= 0 && !step->is_last)
        out->broken = !console_print("%s%" PRId32, out->n_ids++ > 0 ? " " : "", step->token);
    return !out->broken;
}

static bool generate_text(const language_model *lm)
{
    const ink_model_info *info = lm->info;
    char a[CONSOLE_ROOM], b[CONSOLE_ROOM], c[CONSOLE_ROOM], d[CONSOLE_ROOM];
    printer out = {0};
    ink_stop_text stops[CLI_MAX_TEXTS];
    ink_generate_options o;
    lm_report report;
    ink_token *prompt;
    size_t n_prompt;
    if (!generating_choose(&chosen, lm->model, &o))
        return false;
    o.max_tokens = chosen.n_tokens == GENERATING_UNSET ? 200 : (size_t)chosen.n_tokens;
    o.callback = print_step;
    o.user = &out;
    o.stop_texts = stops;
    for (size_t i = 0; i < n_stop_texts; i++)
        if (*stop_texts[i] != '\0')
            stops[o.n_stop_texts++] = (ink_stop_text){stop_texts[i], strlen(stop_texts[i])};
    if (o.n_stop_texts > 0 && o.n_beams > 1)
        return console_complain("--stop does not work with beams; --beams 1 turns them off");
    if (ids && ids_in && o.n_stop_texts > 0)
        return console_complain("--stop is a text, and with --ids and --ids-in there is none");
    if (!lm_prompt(lm, line.arguments[1], ids_in, &prompt, &n_prompt))
        return false;
    const size_t seen = info->window_size > 0 ? info->window_size : info->context_length;
    console_note("%s, %s parameters, %s %s, kernel %s, threads %u", info->kind,
                 console_parameters(a, info->n_parameters), info->window_size > 0 ? "window" : "context",
                 seen > 0 ? console_count(b, seen) : "unlimited", ink_context_kernel(lm->ctx),
                 ink_context_threads(lm->ctx));
    if (!ids && o.n_beams > 1 && o.max_tokens > 0)
        out.prompt = line.arguments[1];
    else if (!ids)
        console_echo(line.arguments[1]);
    bool done = lm_continue(lm, prompt, n_prompt, &o, &report);
    free(prompt);
    if (!done || out.broken || !console_write("\n", 1))
        return false;
    console_note("%s", ""); /* an empty line after the text, or after the prompt if the text went elsewhere */
    if (report.end == INK_END_STOP_TOKEN && report.n_tokens == 0)
        console_note("(the model ended the text at once)");
    if (report.is_full)
        console_note("(the model's context of %zu tokens is full)", info->context_length);
    console_note("prompt: %zu tokens, %s tokens/s; generated: %zu tokens, %s tokens/s; memory: %s of weights, %s of "
                 "state",
                 n_prompt, console_rate(a, n_prompt, report.prompt_seconds), report.n_tokens,
                 console_rate(b, report.n_steps, report.seconds), console_bytes(c, info->n_bytes),
                 console_bytes(d, report.state_size));
    return true;
}

static bool generate(ink_context *ctx)
{
    language_model lm = {0};
    bool done =
        lm_open(&lm, ctx, line.arguments[0], ids && ids_in ? LM_NO_TOKENIZER : LM_TOKENIZER) && generate_text(&lm);
    lm_close(&lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, generate); }
