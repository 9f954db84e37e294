/*
 * first_light.c - the five models in the box continue the same prompt, one after the other.
 *
 * All have about as many parameters and have read the same kind of stories with the same tokenizer; what differs is how
 * they remember. The prompt gives each of them something to remember: two names, the time of day, a pet, a hidden ball.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundled.h"
#include "cli.h"
#include "console.h"
#include "lm.h"

#define PROMPT                                                                                                         \
    "Anna and Tom were in the garden. It was night. They had a cat with them. Tom hid the ball behind the tree."

enum { N_TOKENS = 90, INDENT = 4, N_RUNS = 5, TEXT_ROOM = 8192 };

static const struct {
    const char *folder, *title;
} models[] = {
    {"mlp", "MLP, sees the last 16 tokens"}, {"rnn", "RNN, tanh"}, {"gru", "GRU"}, {"lstm", "LSTM"},
    {"gpt", "GPT, a Transformer"},
};

/* The text so far, with a NUL behind it. */
typedef struct page_of_text {
    char text[TEXT_ROOM];
    size_t size;
} page_of_text;

static bool collect(void *user, ink_token token, const char *text, size_t size)
{
    page_of_text *page = user;

    (void)token;
    if (size >= sizeof page->text - page->size)
        return false;
    memcpy(page->text + page->size, text, size);
    page->size += size;
    page->text[page->size] = '\0';
    return true;
}

static void print_text(const char *text)
{
    printf("%*s", INDENT, "");
    console_wrap(text, INDENT);
    putchar('\n');
}

/* The same seed gives the same text every time; the time it takes is milliseconds, so the best of a few runs counts. */
static bool show(const language_model *lm, const char *title)
{
    page_of_text page = {.size = 0};
    lm_request request = {
        .n_tokens = N_TOKENS,
        .sampler = {.temperature = 0.8F, .seed = 1},
        .sink = collect,
        .user = &page,
    };
    lm_report report;
    ink_token *prompt = NULL;
    double best = 0;
    char parameters[CONSOLE_ROOM], rate[CONSOLE_ROOM];
    bool done = lm_prompt(lm, PROMPT, &prompt, &request.n_prompt);

    request.prompt = prompt;
    for (int i = 0; done && i < N_RUNS; i++) {
        page.size = 0;
        done = collect(&page, -1, "...", 3) && lm_continue(lm, &request, &report);
        best = done && report.rate > best ? report.rate : best;
    }
    if (done) {
        if (report.end == LM_COUNT)
            collect(&page, -1, " ...", 4);
        printf("%-32s %10s parameters %15s tokens/s\n", title, console_parameters(parameters, lm->info->n_parameters),
               console_count(rate, (uint64_t)best));
        print_text(page.text);
    }
    free(prompt);
    return done;
}

static bool run(ink_context *ctx)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char folder[BUNDLED_ROOM];
        language_model lm = {0};
        bool done = bundled_folder(folder, models[i].folder) && lm_open(&lm, ctx, folder) && show(&lm, models[i].title);
        lm_close(&lm);
        if (!done)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    cli line = {
        .name = "first_light",
        .usage = "",
        .about = "The five models in the box, each continuing the same prompt.",
        .samples = "  first_light\n  INKLING_MODELS=examples/models first_light\n",
    };
    cli_outcome outcome = cli_read(&line, argc, argv);
    ink_context *ctx;
    bool done;

    if (outcome != CLI_RUN)
        return outcome == CLI_ERROR || !console_finish();
    ctx = console_context(1, NULL);
    if (ctx != NULL) {
        printf("One prompt, five models, one thread (%s):\n\n", ink_context_kernel(ctx));
        print_text(PROMPT);
    }
    done = ctx != NULL && run(ctx);
    ink_context_free(ctx);
    return !(console_finish() && done);
}
