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

static const char *stop_text;
static bool ids, ids_in;
static sampling chosen = SAMPLING_DEFAULTS;

static const cli_option options[] = {
    CLI_TEXT("--stop", "TEXT", &stop_text, "end before this text"),
    CLI_FLAG("--ids", &ids, "print token ids instead of text"),
    LM_IDS_IN(&ids_in),
    SAMPLING_OPTIONS(&chosen),
    CLI_MACHINE,
};

static cli line = {
    .name = "generate",
    .usage = "FOLDER \"prompt\" [options]",
    .about = "Continues a prompt with the model in a folder (config.json, model.safetensors, tokenizer.json).\n"
             "The text goes to stdout as it is produced, everything else to stderr. By default it produces up\n"
             "to 200 tokens with the sampling settings of the folder's generation_config.json; without that\n"
             "file the temperature is 0.8. With --ids and --ids-in a folder needs no tokenizer. At a terminal,\n"
             "characters that would steer it are shown as \\xNN; a pipe or a file gets the text as it is.",
    .samples = "  generate examples/models/gpt \"Anna and Tom were in the garden.\"\n"
               "  generate examples/models/lstm \"Anna and Tom\" -n 50 -t 0.7 -p 0.95 --seed 7\n"
               "  generate examples/models/gpt --ids-in \"0 829 14 286\" --ids -n 20\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(2, 2, "FOLDER", "the prompt"),
};

/* ---- stopping at a phrase --------------------------------------------------------------------------------------- */

#define STOP_MAX 256

/*
 * Finds a phrase in text that arrives piece by piece (Knuth, Morris, Pratt 1977). Text that may be the start of the
 * phrase is held back. It equals the start of the phrase, so its length is all there is to keep.
 */
typedef struct stop_watch {
    const char *phrase; /* owned by the caller */
    size_t size;
    size_t held; /* bytes held back: the first `held` of the phrase */
    size_t
        back[STOP_MAX]; /* back[i]: length of the longest proper prefix of the phrase that ends its first i + 1 bytes */
} stop_watch;

/* Watches for `phrase`; "" and NULL mean none. False if it is longer than STOP_MAX bytes. */
static bool stop_start(stop_watch *stop, const char *phrase)
{
    size_t k = 0;
    if (phrase == NULL)
        phrase = "";
    *stop = (stop_watch){.phrase = phrase, .size = strlen(phrase)};
    if (stop->size > STOP_MAX)
        return false;
    for (size_t i = 1; i < stop->size; i++) {
        while (k > 0 && phrase[k] != phrase[i])
            k = stop->back[k - 1];
        k += phrase[k] == phrase[i];
        stop->back[i] = k;
    }
    return true;
}

/* Takes the next piece. out [size + STOP_MAX] gets the *n_out bytes that cannot belong to the phrase. True if the
   phrase is complete: the text ends before it. */
static bool stop_feed(stop_watch *stop, const char *piece, size_t size, char *out, size_t *n_out)
{
    *n_out = 0;
    for (size_t i = 0; i < size; i++) {
        while (stop->held > 0 && stop->phrase[stop->held] != piece[i]) {
            size_t keep = stop->back[stop->held - 1];
            memcpy(out + *n_out, stop->phrase, stop->held - keep);
            *n_out += stop->held - keep;
            stop->held = keep;
        }
        if (stop->size > 0 && stop->phrase[stop->held] == piece[i])
            stop->held++;
        else
            out[(*n_out)++] = piece[i];
        if (stop->size > 0 && stop->held == stop->size)
            return true;
    }
    return false;
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

/* Stands between the model and stdout. */
typedef struct printer {
    stop_watch stop;
    char *text; /* room for one piece and a stop text */
    size_t n_ids;
    bool broken; /* writing to stdout failed */
} printer;

/* Prints the text that cannot belong to the stop text; false when the text ends here. */
static bool printer_take(void *user, ink_token token, const char *piece, size_t size)
{
    printer *out = user;
    size_t n;
    bool stopped = stop_feed(&out->stop, piece, size, out->text, &n);
    if (!ids) {
        out->broken = !console_say(out->text, n);
        if (token < 0 && !stopped) /* the text is over, so the held text is no stop text */
            out->broken = out->broken || !console_say(out->stop.phrase, out->stop.held);
    } else if (token >= 0 && !stopped) {
        out->broken = !console_print("%s%" PRId32, out->n_ids++ > 0 ? " " : "", token);
    }
    return !stopped && !out->broken;
}

static bool generate_text(const language_model *lm, printer *out)
{
    const ink_model_info *info = lm->info;
    char a[CONSOLE_ROOM], b[CONSOLE_ROOM], c[CONSOLE_ROOM], d[CONSOLE_ROOM];
    lm_request request = {
        .n_tokens = chosen.n_tokens == SAMPLING_UNSET ? 200 : (size_t)chosen.n_tokens,
        .sampler = sampling_choose(&chosen, lm->model),
        .sink = printer_take,
        .user = out,
    };
    lm_report report;
    ink_token *prompt;
    if (!lm_prompt(lm, line.arguments[1], ids_in, &prompt, &request.n_prompt))
        return false;
    request.prompt = prompt;
    console_note("%s, %s parameters, context %s, kernel %s, threads %u", info->kind,
                 console_parameters(a, info->n_parameters),
                 info->context_length > 0 ? console_count(b, info->context_length) : "unlimited",
                 ink_context_kernel(lm->ctx), ink_context_threads(lm->ctx));
    if (!ids)
        console_echo(line.arguments[1]);
    bool done = lm_continue(lm, &request, &report);
    free(prompt);
    if (!done || out->broken || !console_write("\n", 1))
        return false;
    console_note("%s", ""); /* an empty line after the text, or after the prompt if the text went elsewhere */
    if (report.end == LM_CONTEXT)
        console_note("(the model's context of %zu tokens is full)", info->context_length);
    console_note("prompt: %zu tokens, %s tokens/s; generated: %zu tokens, %s tokens/s; memory: %s of weights, %s of "
                 "state",
                 request.n_prompt, console_rate(a, request.n_prompt, report.prompt_seconds), report.n_tokens,
                 console_rate(b, report.n_steps, report.seconds), console_bytes(c, info->n_bytes),
                 console_bytes(d, report.state_size));
    return true;
}

static bool generate(ink_context *ctx)
{
    language_model lm = {0};
    printer out = {0};
    bool done = stop_start(&out.stop, stop_text) || console_complain("--stop expects at most %d bytes", STOP_MAX);
    if (done && ids && ids_in && out.stop.size > 0)
        done = console_complain("--stop is a text, and with --ids and --ids-in there is none");
    lm_text text = ids && ids_in ? LM_NO_TOKENIZER : LM_TOKENIZER;
    done = done && lm_open(&lm, ctx, line.arguments[0], text);
    size_t room = done && text == LM_TOKENIZER ? ink_tokenizer_stream_capacity(lm.tokenizer) : 0;
    done = done && (out.text = console_memory(room + STOP_MAX, 1)) != NULL && generate_text(&lm, &out);
    free(out.text);
    lm_close(&lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, generate); }
