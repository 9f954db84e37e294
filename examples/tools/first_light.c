/*
 * first_light.c - the five bundled language models continue the same prompt, one after the other.
 *
 * All have about the same number of parameters and learned from the same kind of stories with the same tokenizer. They
 * differ in how they remember. The prompt gives them something to remember: two names, the time of day, a pet, a ball.
 */
#include <stdlib.h>
#include <string.h>

#include "lm.h"

#define PROMPT                                                                                                         \
    "Anna and Tom were in the garden. It was night. They had a cat with them. Tom hid the ball behind the tree."

enum { N_TOKENS = 90, INDENT = 4, N_RUNS = 5, TEXT_ROOM = 8192 };

static const cli_option options[] = {LM_TYPE};

static cli line = {
    .name = "first_light",
    .usage = "[options]",
    .about = "The five bundled language models continue the same prompt.",
    .samples = "  first_light\n  INKLING_MODELS=examples/models first_light --type q4\n",
    CLI_OPTIONS(options),
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

static void print_text(const char *text)
{
    printf("%*s", INDENT, "");
    console_wrap(text, INDENT);
    putchar('\n');
}

/* A run takes milliseconds, so the best of a few runs counts; the same seed gives the same text every time. */
static bool continue_prompt(const language_model *lm, const char *title)
{
    paragraph out = {.size = 0};
    const ink_generate_step before = {.text = "...", .size = 3}, behind = {.text = " ...", .size = 4};
    const ink_generate_options settings = {
        .max_tokens = N_TOKENS, .sampler = {.temperature = 0.8F, .seed = 1}, .callback = collect, .user = &out};
    lm_report report;
    ink_token *prompt = NULL;
    size_t n_prompt;
    double best = 0;
    char parameters[CONSOLE_ROOM], rate[CONSOLE_ROOM];
    bool done = lm_prompt(lm, PROMPT, false, &prompt, &n_prompt);
    for (int i = 0; done && i < N_RUNS; i++) {
        out.size = 0;
        done = collect(&out, &before) && lm_continue(lm, prompt, n_prompt, &settings, &report);
        if (done && report.seconds > 0 && (double)report.n_steps / report.seconds > best)
            best = (double)report.n_steps / report.seconds;
    }
    if (done) {
        if (report.end == INK_END_LENGTH)
            collect(&out, &behind);
        printf("%-32s %10s parameters %15s tokens/s\n", title, console_parameters(parameters, lm->info->n_parameters),
               console_count(rate, (uint64_t)best));
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
    bool done = true;
    printf("One prompt, five models, one thread (%s):\n\n", ink_context_kernel(ctx));
    print_text(PROMPT);
    for (size_t i = 0; done && i < sizeof models / sizeof *models; i++) {
        char folder[PATH_ROOM];
        language_model lm = {0};
        done = bundled_folder(folder, models[i][0]) && lm_open(&lm, ctx, folder, LM_TOKENIZER) &&
               continue_prompt(&lm, models[i][1]);
        lm_close(&lm);
    }
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, first_light); }
