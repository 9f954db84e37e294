/*
 * page.c - the surroundings of the three hand-wired models.
 */
#include "page.h"

#include <stdlib.h>
#include <string.h>

#include "lm.h"
#include "vocabulary.h"

#define END "<|endoftext|>"

static const char *model_folder, *prompt_text;
static char *typed; /* the prompt, if it comes from stdin */
static uint64_t n_tokens = 200, seed = 1;
static double temperature = 0.8;

static const cli_option options[] = {
    CLI_COUNT("-n", "COUNT", &n_tokens, 0, 1e6, "tokens to produce (default 200)"),
    CLI_REAL("-t", "T", &temperature, 100, "temperature (default 0.8); 0: greedy"),
    CLI_COUNT("--seed", "S", &seed, 0, 0, "of the random choices (default 1)"),
    CLI_TEXT("--model", "FOLDER", &model_folder, "weights and tokenizer (default: the bundled ones)"),
};

/* Reads the arguments: the name of a model if there are several, and the prompt. */
static cli_outcome read_arguments(const cli *line, const char *const *models, size_t *model)
{
    size_t n = 0;
    *model = 0;
    for (size_t i = 0; models[1] != NULL && n == 0 && models[i] != NULL; i++)
        if (line->n_arguments > 0 && strcmp(line->arguments[0], models[i]) == 0) {
            *model = i;
            n = 1;
        }
    bool done = models[1] == NULL || n > 0 || line->n_arguments != 2 ||
                console_complain("before the prompt a name of a model is expected, found '%s' (--help lists them)",
                                 line->arguments[0]);
    done = done && (line->n_arguments <= n + 1 ||
                    console_complain("one argument too many: '%s' (--help shows how %s is called)",
                                     line->arguments[n + 1], line->name));
    if (line->n_arguments > n)
        prompt_text = line->arguments[n];
    if (done && (prompt_text == NULL || strcmp(prompt_text, "-") == 0))
        done = (prompt_text = typed = cli_read_stdin(line, prompt_text)) != NULL;
    return done ? CLI_RUN : CLI_ERROR;
}

static bool open_files(page *p, const char *folder)
{
    ink_sampler_options sampler = {.temperature = (float)temperature, .seed = seed};
    char path[PATH_ROOM];
    if (!path_join(path, folder, "model.safetensors") || ink_weights_open(p->ctx, path, &p->weights) != INK_OK ||
        ink_tokenizer_open(p->ctx, folder, &p->tokenizer) != INK_OK ||
        ink_sampler_create(p->ctx, &sampler, ink_tokenizer_vocab_size(p->tokenizer), &p->sampler) != INK_OK)
        return false;
    p->end = ink_tokenizer_find(p->tokenizer, END, sizeof END - 1);
    p->text = malloc(ink_tokenizer_stream_capacity(p->tokenizer));
    size_t size = strlen(prompt_text),
           capacity = size + 8; /* a token is at least one byte, and a template adds a few */
    p->prompt = calloc(capacity, sizeof *p->prompt);
    if (p->text == NULL || p->prompt == NULL ||
        ink_tokenizer_encode(p->ctx, p->tokenizer, prompt_text, size, INK_ENCODE_DEFAULT, p->prompt, capacity,
                             &p->n_prompt) != INK_OK)
        return false;
    if (p->n_prompt == 0) /* an empty prompt becomes the token that begins a text */
        p->prompt[p->n_prompt++] = p->end;
    return true;
}

page_outcome page_open(page *p, const char *name, const char *usage, const char *const *models, int argc, char **argv)
{
    char about[128], samples[512];
    cli line = {
        .name = name,
        .usage = usage,
        .about = about,
        .samples = samples,
        .from_stdin = "the prompt",
        .usual = "Anna and Tom",
        CLI_OPTIONS(options),
        .n_most = 3,
    };
    char bundled[PATH_ROOM];
    const bool several = models[1] != NULL;
    snprintf(about, sizeof about, "Continues a prompt with the bundled model, wired by hand from the layers%s%s.",
             several ? "; without a name it is the " : "", several ? models[0] : "");
    snprintf(samples, sizeof samples,
             "  %s\n  %s%s%s -n 100 \"Anna and Tom were in the garden.\"\n"
             "  echo \"It was night.\" | %s -t 0 -n 50 -\n",
             name, name, several ? " " : "", several ? models[1] : "", name);
    *p = (page){.model = 0};
    cli_outcome outcome = cli_read(&line, argc, argv);
    if (outcome == CLI_RUN)
        outcome = read_arguments(&line, models, &p->model);
    if (outcome != CLI_RUN)
        return outcome == CLI_HELP ? PAGE_HELP : PAGE_ERROR;
    p->n_tokens = (size_t)n_tokens;
    if (model_folder == NULL && !bundled_folder(bundled, models[p->model]))
        return PAGE_ERROR;
    p->ctx = console_context(1, NULL);
    if (p->ctx == NULL || !open_files(p, model_folder != NULL ? model_folder : bundled))
        return PAGE_ERROR;
    if (several)
        console_note("%s, from %s", models[p->model], model_folder != NULL ? model_folder : bundled);
    vocabulary_note(p->ctx, p->tokenizer, model_folder != NULL ? model_folder : bundled, prompt_text,
                    strlen(prompt_text), INK_ENCODE_DEFAULT);
    p->unsaid = prompt_text;
    return PAGE_READY;
}

float *page_floats(page *p, size_t n)
{
    float *floats = p->n_floats < PAGE_MAX_FLOATS ? calloc(n > 0 ? n : 1, sizeof *floats) : NULL;
    if (floats == NULL)
        p->no_memory = true;
    else
        p->floats[p->n_floats++] = floats;
    return floats;
}

bool page_expect(page *p, bool fits)
{
    if (p->no_memory)
        console_complain("there is no memory for the numbers of this page");
    else if (!fits)
        console_complain("the tensors of %s do not have the shapes this page is written for",
                         ink_weights_name(p->weights));
    return fits && !p->no_memory;
}

bool page_prompt_fits(page *p, size_t context_length)
{
    if (p->n_prompt > context_length)
        console_complain("the prompt has %zu tokens, and the context of this model holds %zu", p->n_prompt,
                         context_length);
    return p->n_prompt <= context_length;
}

bool page_print(page *p, ink_token token)
{
    size_t size;
    if (p->unsaid != NULL)
        console_echo(p->unsaid);
    p->unsaid = NULL;
    return ink_tokenizer_stream(p->ctx, p->tokenizer, &p->stream, token, p->text,
                                ink_tokenizer_stream_capacity(p->tokenizer), &size) == INK_OK &&
           console_say(p->text, size);
}

int page_close(page *p, page_outcome outcome)
{
    const bool said_nothing = outcome == PAGE_READY && p->unsaid != NULL && p->n_tokens > 0;
    if (outcome == PAGE_READY && !(page_print(p, -1) && console_write("\n", 1)))
        outcome = PAGE_ERROR;
    if (said_nothing)
        console_note("(the model ended the text at once)");
    if (outcome == PAGE_ERROR && p->ctx != NULL && *ink_context_error(p->ctx) != '\0')
        console_complain("%s", ink_context_error(p->ctx));
    for (size_t i = 0; i < p->n_floats; i++)
        free(p->floats[i]);
    free(p->text);
    free(p->prompt);
    free(typed);
    typed = NULL;
    ink_sampler_free(p->sampler);
    ink_tokenizer_free(p->tokenizer);
    ink_weights_free(p->weights);
    ink_context_free(p->ctx);
    return !console_finish() || outcome == PAGE_ERROR;
}
