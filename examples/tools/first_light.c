/*
 * first_light.c - the five bundled language models continue the same prompt, one after the other.
 *
 * All have about the same number of parameters and learned from the same kind of stories with the same tokenizer. They
 * differ in how they remember. The prompt gives them something to remember: two names, the time of day, a pet, a ball.
 * Whoever forgets has to invent. The world that the stories come from can read them, too (world.h), and stops at the
 * first word that contradicts what was said before; here this word is in brackets.
 */
#include <stdlib.h>
#include <string.h>

#include "lm.h"
#include "world.h"

#define PROMPT                                                                                                         \
    "Anna and Tom were in the garden. It was night. They had a cat with them. Tom hid the ball behind the tree."

#define DOTS "..."
#define SPACE " \t\r\n\v\f"

enum { N_TOKENS = 90, INDENT = 4, N_RUNS = 5, TEXT_ROOM = 8192 };

static const cli_option options[] = {LM_TYPE};
static const char *prompt_text;

static cli line = {
    .name = "first_light",
    .usage = "[\"prompt\"] [options]",
    .about =
        "The five bundled language models continue the same prompt. The first word that contradicts what was said\n"
        "before is in [brackets]: the world that the models' stories come from reads the texts, and no story of\n"
        "this world could have the word there.",
    .samples = "  first_light\n"
               "  first_light \"Anna and Tom were in the garden. The door was open.\"\n"
               "  INKLING_MODELS=examples/models first_light --type q4\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(0, 1, "the prompt"),
    .from_stdin = "the prompt",
    .usual = PROMPT,
};

/* The text so far, with a zero byte behind it. */
typedef struct paragraph {
    char text[TEXT_ROOM];
    size_t size;
} paragraph;

static bool collect(void *user, const ink_generate_step *step)
{
    paragraph *out = user;
    if (step->size >= sizeof out->text - out->size)
        return false;
    memcpy(out->text + out->size, step->text, step->size);
    out->size += step->size;
    out->text[out->size] = '\0';
    return true;
}

/* Where the first word begins that no story could have there; strlen(text) if all of it fits. Words are read with one
   blank between them, whatever white space is there. A story may have more facts and objects here than those that the
   models learned from. */
static size_t first_misfit(const char *text)
{
    story_settings settings = story_settings_default();
    story read;
    char words[STORY_TEXT_SIZE + 1]; /* more than any story has */
    size_t n = 0, n_letters = 0, at = 0;
    settings.facts[0] = settings.states[0] = settings.objects[0] = settings.sentences[0] = 0;
    settings.facts[1] = 5;
    settings.states[1] = 3;
    settings.objects[1] = 6;
    settings.sentences[1] = STORY_SENTENCES;
    for (const char *from = text + strspn(text, SPACE); *from != '\0' && n < STORY_TEXT_SIZE;) {
        words[n++] = strchr(SPACE, *from) == NULL ? *from++ : ' ';
        if (words[n - 1] == ' ') {
            from += strspn(from, SPACE);
            n -= *from == '\0';
        }
    }
    words[n] = '\0';
    if (story_read(&settings, STORY_ENGLISH, words, &read) > 0 || read.length >= n)
        return strlen(text);
    for (size_t i = 0; i < read.length; i++)
        n_letters += words[i] != ' ';
    for (; n_letters > 0; at++)
        n_letters -= strchr(SPACE, text[at]) == NULL;
    at += strspn(text + at, SPACE);
    while (at > 0 && strchr(SPACE, text[at - 1]) == NULL)
        at--;
    return at;
}

/* Puts brackets around the first word of the continuation that no story could have there. */
static bool mark_contradiction(paragraph *out)
{
    const size_t n_prompt = strlen(prompt_text), n_dots = strlen(DOTS);
    char *text = console_memory(n_prompt + out->size + 1, 1);
    if (text == NULL)
        return false;
    strcpy(text, prompt_text);
    strcpy(text + n_prompt, out->text + n_dots);
    size_t begin = first_misfit(text);
    const bool contradicts = begin < strlen(text);
    free(text);
    begin = begin < n_prompt ? n_dots : begin - n_prompt + n_dots; /* the prompt may end within the word */
    size_t size = strcspn(out->text + begin, " .");
    size += size == 0;
    if (contradicts && out->size + 2 < sizeof out->text) {
        memmove(out->text + begin + size + 2, out->text + begin + size, out->size + 1 - begin - size);
        memmove(out->text + begin + 1, out->text + begin, size);
        out->text[begin] = '[';
        out->text[begin + size + 1] = ']';
        out->size += 2;
    }
    return true;
}

static void print_text(const char *text)
{
    printf("%*s", INDENT, "");
    console_wrap(text, INDENT);
    putchar('\n');
}

/* A run takes milliseconds, so the best of a few runs counts; the same seed gives the same text every time. */
static bool continue_prompt(const language_model *lm, const char *title, bool marks)
{
    paragraph out = {.size = 0};
    const ink_generate_step before = {.text = DOTS, .size = strlen(DOTS)}, behind = {.text = " ...", .size = 4};
    const ink_generate_options settings = {
        .max_tokens = N_TOKENS, .sampler = {.temperature = 0.8F, .seed = 1}, .callback = collect, .user = &out};
    lm_report report;
    ink_token *prompt = NULL;
    size_t n_prompt;
    double best = 0;
    char parameters[CONSOLE_ROOM], rate[CONSOLE_ROOM];
    bool done = lm_prompt(lm, prompt_text, false, &prompt, &n_prompt);
    for (int i = 0; done && i < N_RUNS; i++) {
        out.size = 0;
        done = collect(&out, &before) && lm_continue(lm, prompt, n_prompt, &settings, &report);
        if (done && report.seconds > 0 && (double)report.n_steps / report.seconds > best)
            best = (double)report.n_steps / report.seconds;
    }
    done = done && (!marks || mark_contradiction(&out));
    if (done) {
        if (report.end == INK_END_LENGTH)
            collect(&out, &behind);
        console_parameters(parameters, lm->info->n_parameters);
        console_count(rate, (uint64_t)best);
        printf(console_width() >= CONSOLE_USUAL ? "%-32s %10s parameters %15s tokens/s\n"
                                                : "%s\n%s parameters, %s tokens/s\n",
               title, parameters, rate);
        print_text(out.text);
    }
    free(prompt);
    return done;
}

static bool first_light(ink_context *ctx)
{
    static const char *const models[][2] = {{"mlp", "MLP, sees the last 16 tokens"},
                                            {"rnn", "RNN, tanh"},
                                            {"gru", "GRU"},
                                            {"lstm", "LSTM"},
                                            {"gpt", "GPT, a Transformer"}};
    char *typed = NULL, words[256];
    bool done = true;
    prompt_text = line.arguments[0];
    if (prompt_text == NULL || strcmp(prompt_text, "-") == 0)
        done = (prompt_text = typed = cli_read_stdin(&line, prompt_text)) != NULL;
    if (!done)
        return false;
    const char *misfit = prompt_text + first_misfit(prompt_text);
    const bool marks = *misfit == '\0';
    snprintf(words, sizeof words, "One prompt, five models, one thread (%s):", ink_context_kernel(ctx));
    console_wrap(words, 0);
    putchar('\n');
    if (*prompt_text != '\0')
        print_text(prompt_text);
    snprintf(words, sizeof words,
             "No story of the models' world begins like this (it stops at \"%.*s\"), so nothing is marked.",
             (int)strcspn(misfit, SPACE), misfit);
    console_wrap(marks ? "[word]: the first that contradicts what was said before" : words, 0);
    putchar('\n');
    for (size_t i = 0; done && i < sizeof models / sizeof *models; i++) {
        char folder[PATH_ROOM];
        language_model lm = {0};
        done = bundled_folder(folder, models[i][0]) && lm_open(&lm, ctx, folder, LM_TOKENIZER) &&
               continue_prompt(&lm, models[i][1], marks);
        lm_close(&lm);
    }
    free(typed);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, first_light); }
