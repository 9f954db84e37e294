/*
 * page.c - the surroundings of the three hand-wired models.
 */
#include "page.h"

#include <stdlib.h>
#include <string.h>

#include "bundled.h"
#include "cli.h"
#include "console.h"

#define END "<|endoftext|>"
#define PROMPT "Anna and Tom"

/* The options every page takes; the defaults are those of generate. */
typedef struct settings {
    const char *folder;
    uint64_t n_tokens, seed;
    double temperature;
    const char *prompt;
} settings;

/* The arguments: the name of a model if there are several, and the prompt. */
static cli_outcome read_arguments(settings *s, const cli *line, const char *const *models, size_t *model)
{
    size_t n = 0;

    *model = 0;
    for (size_t i = 0; models[1] != NULL && n == 0 && models[i] != NULL; i++)
        if (line->n_arguments > 0 && strcmp(line->arguments[0], models[i]) == 0) {
            *model = i;
            n = 1;
        }
    if (models[1] != NULL && n == 0 && line->n_arguments == 2) {
        console_complain("before the prompt a name of a model is expected, found '%s' (--help shows which there are)",
                         line->arguments[0]);
        return CLI_ERROR;
    }
    if (line->n_arguments > n + 1) {
        console_complain("one argument too many: '%s' (--help shows how %s is called)", line->arguments[n + 1],
                         line->name);
        return CLI_ERROR;
    }
    s->prompt = line->n_arguments > n ? line->arguments[n] : PROMPT;
    return CLI_RUN;
}

static cli_outcome read_settings(settings *s, const char *name, const char *usage, const char *const *models,
                                 size_t *model, int argc, char **argv)
{
    const cli_option options[] = {
        {.name = "-n", .value = "COUNT", .count = &s->n_tokens, .most = 1e6, .help = "tokens to produce (default 200)"},
        {.name = "-t",
         .value = "T",
         .real = &s->temperature,
         .most = 100,
         .help = "temperature (default 0.8); 0: greedy"},
        {.name = "--seed", .value = "S", .count = &s->seed, .help = "of the random choices (default 1)"},
        {.name = "--model", .value = "FOLDER", .text = &s->folder, .help = "weights and tokenizer (default: bundled)"},
    };
    cli line = {
        .name = name,
        .usage = usage,
        .about = "Continues a prompt with the bundled model, wired by hand from the layers.",
        .samples = "  mlp\n  rnn -n 100 lstm \"Anna and Tom were in the garden.\"\n"
                   "  transformer -t 0 -n 50 \"Anna and Tom\"\n",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .n_most = 3,
    };
    cli_outcome outcome = cli_read(&line, argc, argv);

    return outcome != CLI_RUN ? outcome : read_arguments(s, &line, models, model);
}

/* The prompt's ids; an empty prompt is the beginning of a text. */
static bool encode(page *p, const char *prompt)
{
    size_t capacity = strlen(prompt) + 8; /* a token is at least one byte, and a template adds one or two */

    p->prompt = calloc(capacity, sizeof *p->prompt);
    if (p->prompt == NULL || ink_tokenizer_encode(p->ctx, p->tokenizer, prompt, strlen(prompt), INK_ENCODE_DEFAULT,
                                                  p->prompt, capacity, &p->n_prompt) != INK_OK)
        return false;
    if (p->n_prompt == 0)
        p->prompt[p->n_prompt++] = p->end;
    return true;
}

static bool open_files(page *p, const settings *s, const char *folder)
{
    ink_sampler_options sampler = {.temperature = (float)s->temperature, .seed = s->seed};
    char path[BUNDLED_ROOM];

    if (!bundled_join(path, folder, "model.safetensors") || ink_weights_open(p->ctx, path, &p->weights) != INK_OK ||
        ink_tokenizer_open(p->ctx, folder, &p->tokenizer) != INK_OK ||
        ink_sampler_create(p->ctx, &sampler, ink_tokenizer_vocab_size(p->tokenizer), &p->sampler) != INK_OK)
        return false;
    p->end = ink_tokenizer_find(p->tokenizer, END, sizeof END - 1);
    p->text = malloc(ink_tokenizer_stream_capacity(p->tokenizer));
    return p->text != NULL && encode(p, s->prompt);
}

page_outcome page_open(page *p, const char *name, const char *usage, const char *const *models, int argc, char **argv)
{
    settings s = {.n_tokens = 200, .seed = 1, .temperature = 0.8};
    size_t model = 0;
    cli_outcome outcome = read_settings(&s, name, usage, models, &model, argc, argv);
    char bundled[BUNDLED_ROOM];

    *p = (page){.model = model, .n_tokens = (size_t)s.n_tokens};
    if (outcome != CLI_RUN)
        return outcome == CLI_HELP ? PAGE_HELP : PAGE_ERROR;
    if (s.folder == NULL && !bundled_folder(bundled, models[model]))
        return PAGE_ERROR;
    p->ctx = console_context(1, NULL);
    if (p->ctx == NULL || !open_files(p, &s, s.folder != NULL ? s.folder : bundled))
        return PAGE_ERROR;
    p->unsaid = s.prompt;
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
        console_complain("there is no memory for the page's numbers");
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
           console_write(p->text, size);
}

int page_close(page *p, page_outcome outcome)
{
    if (outcome == PAGE_READY && !(page_print(p, -1) && console_write("\n", 1)))
        outcome = PAGE_ERROR;
    if (outcome == PAGE_ERROR && p->ctx != NULL && *ink_context_error(p->ctx) != '\0')
        console_complain("%s", ink_context_error(p->ctx));
    for (size_t i = 0; i < p->n_floats; i++)
        free(p->floats[i]);
    free(p->text);
    free(p->prompt);
    ink_sampler_free(p->sampler);
    ink_tokenizer_free(p->tokenizer);
    ink_weights_free(p->weights);
    ink_context_free(p->ctx);
    return !console_finish() || outcome == PAGE_ERROR;
}
