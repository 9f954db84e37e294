/*
 * answer.c - answers to questions from a text, with a model that was trained for it (BertForQuestionAnswering and its
 * kin).
 *
 * The model does not write an answer, it points to one: for each token it says how likely the answer starts there and
 * how likely it ends there. A long text is read in windows that overlap (tasks.h). A line for each answer, best first:
 *
 *     0.9871<TAB>120<TAB>126<TAB>the answer
 *
 * The two numbers are the bytes of the text where it starts and stops. An empty line stands between two questions.
 */
#include <stdlib.h>
#include <string.h>

#include "lm.h"

enum { TOGETHER = 64 }; /* questions that run together */

static const char *context_file;
static uint64_t n_best = 1, stride = UINT64_MAX, max_answer, window;
static bool impossible;

static const cli_option options[] = {
    CLI_TEXT("--context", "FILE", &context_file, "the text that has the answers; - is stdin"),
    CLI_COUNT("--best", "COUNT", &n_best, 1, 1e6, "answers to print for a question (default 1)"),
    CLI_FLAG("--impossible", &impossible, "lets \"there is no answer\" compete: an empty one at 0 to 0"),
    CLI_COUNT("--max-answer", "TOKENS", &max_answer, 1, 1e6, "the longest answer (default 15)"),
    CLI_COUNT("--window", "TOKENS", &window, 1, 1e6,
              "a window, with the question (default 384, or the most the model reads)"),
    CLI_COUNT("--stride", "TOKENS", &stride, 0, 1e6,
              "what two windows share (default 128, or half a window if that is less)"),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "answer",
    .usage = "FOLDER --context FILE [question ...] [options]",
    .about =
        "Prints the answers to questions that a model finds in a text, best first: the score, the bytes where the\n"
        "answer starts and stops, and the answer. An empty line stands between two questions. The score is the\n"
        "probability of the answer; if the same answer is found more than once, the sum.",
    .samples = "  stories -n 1 | answer examples/models/answer --context - \"Where is the kite?\"\n"
               "  stories -n 1 | answer examples/models/answer --context - \"Who sang?\" --best 3\n"
               "  stories -n 1 | answer examples/models/answer --context - Who? --impossible\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, SIZE_MAX, "FOLDER"),
    .from_stdin = "a question",
    .by_line = true,
};

/* Questions to one text, on their way through the model. */
typedef struct asking {
    language_model lm;
    char *text; /* [size] */
    size_t size;
    ink_passage passages[TOGETHER];
    ink_token *tokens[TOGETHER], *types[TOGETHER];
    ink_place *places[TOGETHER];
    size_t n;            /* questions that wait */
    ink_answer *answers; /* [TOGETHER, n_best] */

    size_t n_asked, n_read; /* totals: questions, tokens */
    double seconds;
} asking;

static bool open_all(asking *a, ink_context *ctx)
{
    bool from_stdin = context_file != NULL && strcmp(context_file, "-") == 0;
    if (context_file == NULL)
        return console_complain("--context is missing: the file with the text that has the answers");
    bool asks = line.n_arguments > 1;
    for (size_t i = 1; i < line.n_arguments; i++)
        asks = asks && strcmp(line.all[i], "-") != 0;
    if (from_stdin && !asks)
        return console_complain("the question is missing: stdin is the text");
    if (!lm_open_encoder(&a->lm, ctx, line.arguments[0], INK_POOLING_NONE, LM_TOKENIZER))
        return false;
    if (ink_model_get_encoder(a->lm.model)->task != INK_TASK_ANSWER)
        return console_complain("%s: this %s answers no questions: it needs a head for question answering",
                                a->lm.folder, a->lm.info->kind);
    if (from_stdin)
        console_ask("the text", false);
    a->text = file_read(from_stdin ? NULL : context_file, &a->size); /* as it is: the places count its bytes */
    if (from_stdin && a->text != NULL && a->size == 0)
        return console_complain("the text is missing, and stdin is empty");
    a->answers = a->text != NULL ? console_memory(TOGETHER * (size_t)n_best, sizeof *a->answers) : NULL;
    return a->answers != NULL;
}

static bool print_answer(const asking *a, const ink_answer *answer)
{
    size_t size = answer->stop - answer->start;
    char *shown = console_memory(size, 1);
    for (size_t i = 0; shown != NULL && i < size; i++) { /* an answer is one line */
        char c = a->text[answer->start + i];
        shown[i] = c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
    }
    bool done = shown != NULL &&
                console_print("%.4f\t%zu\t%zu\t", (double)answer->score, answer->start, answer->stop) &&
                console_say(shown, size) && console_write("\n", 1);
    free(shown);
    return done;
}

/* Asks the questions that wait. */
static bool ask(asking *a)
{
    const ink_answer_options wanted = {.n_best = (size_t)n_best,
                                       .max_tokens = (size_t)window,
                                       .stride = stride == 0            ? INK_NO_STRIDE
                                                 : stride == UINT64_MAX ? 0
                                                                        : (size_t)stride,
                                       .max_answer_tokens = (size_t)max_answer,
                                       .may_be_impossible = impossible};
    size_t n_answers[TOGETHER], numbers[TOGETHER];
    double begin = console_seconds();
    for (size_t i = 0; i < a->n; i++)
        numbers[i] = a->n_asked + i + 1;
    bool done = console_ok_list(
        a->lm.ctx, ink_model_answer(a->lm.ctx, a->lm.model, a->passages, a->n, &wanted, a->answers, n_answers),
        numbers);
    a->seconds += console_seconds() - begin;
    for (size_t i = 0; i < a->n; i++) {
        done = done && (a->n_asked == 0 || console_write("\n", 1));
        for (size_t k = 0; done && k < n_answers[i]; k++)
            done = print_answer(a, &a->answers[i * (size_t)n_best + k]);
        a->n_asked++;
        free(a->tokens[i]);
        free(a->types[i]);
        free(a->places[i]);
    }
    a->n = 0;
    return done;
}

/* Adds a question to those that wait. */
static bool add_question(asking *a, const char *question, size_t size)
{
    const ink_encode_input input = {
        .text = question, .size = size, .pair = a->text, .pair_size = a->size, .flags = INK_ENCODE_DEFAULT};
    size_t i = a->n, n, first = 0;
    if (size == 0)
        return console_complain("question %zu is empty", a->n_asked + i + 1);
    if (!lm_encode_input(&a->lm, &input, &a->tokens[i], &a->types[i], &a->places[i], &n))
        return false;
    a->passages[i] = (ink_passage){.tokens = a->tokens[i],
                                   .types = lm_has_types(&a->lm) ? a->types[i] : NULL,
                                   .places = a->places[i],
                                   .n_tokens = n,
                                   .text = a->text,
                                   .size = a->size};
    a->n++;
    a->n_read += n;
    while (first < n && a->places[i][first].text != 1)
        first++;
    if (first == n)
        return console_complain("%s: there is nothing to read in it", context_file);
    return a->n < TOGETHER || ask(a);
}

static bool answer(ink_context *ctx)
{
    asking a = {.n = 0};
    cli_text_list list = {.line = &line};
    bool done = open_all(&a, ctx);
    while (done && cli_next_text(&list))
        done = add_question(&a, list.text, list.size) && (!list.asked || ask(&a));
    done = done && !list.failed && (a.n == 0 || ask(&a));
    char n[CONSOLE_ROOM], rate[CONSOLE_ROOM], bytes[CONSOLE_ROOM];
    if (done)
        console_note("%s: %zu questions, %s tokens, %s tokens/s; memory: %s of weights", a.lm.info->kind, a.n_asked,
                     console_count(n, a.n_read), console_rate(rate, a.n_read, a.seconds),
                     console_bytes(bytes, a.lm.info->n_bytes));
    for (size_t i = 0; i < a.n; i++) {
        free(a.tokens[i]);
        free(a.types[i]);
        free(a.places[i]);
    }
    cli_close_texts(&list);
    free(a.answers);
    free(a.text);
    lm_close(&a.lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, answer); }
