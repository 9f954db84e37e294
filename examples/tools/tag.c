/*
 * tag.c - words of a text with their labels (names, places, parts of speech) and where they are, from a token
 * classifier (BERT, RoBERTa, GPT-2 ...).
 *
 * Every token gets the likeliest label. Labels are usually written B-PER and I-PER: the beginning of a person's name,
 * and its middle. ink_model_tag() makes words of neighbours, as the pipeline of transformers does. A line for each:
 *
 *     PER<TAB>0.9871<TAB>8<TAB>12<TAB>the word
 *
 * The word is the bytes 8 to 12 of the text. Words labelled O, "outside", are not printed.
 */
#include <stdlib.h>
#include <string.h>

#include "lm.h"

static bool ids_in, all;
static const char *aggregation = "simple";
static uint64_t stride = UINT64_MAX;

static const cli_option options[] = {
    CLI_TEXT("--aggregation", "RULE", &aggregation,
             "none: each token; simple: neighbours with one label (default); first, average, max: whole words"),
    CLI_FLAG("--all", &all, "prints words labelled O too"),
    CLI_COUNT("--stride", "N", &stride, 0, 1e9, "tokens that windows of a long text share (default 128, at most half)"),
    LM_IDS_IN(&ids_in),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "tag",
    .usage = "FOLDER [text ...] [options]",
    .about = "Prints the words of each text that have a label: the label without B- or I-, its probability, the\n"
             "first byte of the word in the text, the byte behind it, and the word. An empty line stands between\n"
             "two texts. A text that is too long for the model runs in windows that overlap. With --ids-in a text\n"
             "lists all of its ids, and the words are ids.",
    .samples = "  tag examples/models/tag \"Anna hid the coin under the bench.\"\n"
               "  printf 'Tom yawned.\\nThe door was open.\\n' | tag examples/models/tag --all\n"
               "  tag tests/fixtures/programs/tagger \"the doggy is good-bad\" --aggregation first\n"
               "  tag tests/fixtures/programs/tagger --ids-in \"2 5 7 9 3\"\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, SIZE_MAX, "FOLDER"),
    .from_stdin = "a text",
    .by_line = true,
};

enum { WAITING = 64, WAITING_TOKENS = 8192 };

typedef struct tagging {
    language_model lm;
    ink_tag_options options;
    struct {
        char *text; /* [size] */
        size_t size;
        ink_token *tokens, *types;
        ink_place *places;
        size_t n;
    } waiting[WAITING];
    size_t n_waiting, n_tokens;

    size_t n_texts, n_read; /* totals: texts, their tokens */
    double seconds;
} tagging;

static bool open_tagger(tagging *t, ink_context *ctx)
{
    static const char *const names[] = {"none", "simple", "first", "average", "max"};
    size_t rule = 0;
    while (rule < INK_N_AGGREGATIONS && strcmp(aggregation, names[rule]) != 0)
        rule++;
    if (rule == INK_N_AGGREGATIONS)
        return console_complain("--aggregation expects none, simple, first, average or max, found '%s'", aggregation);
    t->options = (ink_tag_options){.aggregation = (ink_aggregation)rule,
                                   .stride = stride == UINT64_MAX ? 0
                                             : stride == 0        ? INK_NO_STRIDE
                                                                  : (size_t)stride,
                                   .keep_outside = all};
    if (!lm_open_encoder(&t->lm, ctx, line.arguments[0], INK_POOLING_NONE, ids_in ? LM_NO_TOKENIZER : LM_TOKENIZER))
        return false;
    return ink_model_get_encoder(t->lm.model)->task == INK_TASK_CLASSIFY_TOKENS ||
           console_complain("%s: this %s labels no tokens: it needs a head for token classification", t->lm.folder,
                            t->lm.info->kind);
}

/* The places of ids in the line that lists them. */
static ink_place *places_of_ids(const char *text, size_t n)
{
    ink_place *places = console_memory(n, sizeof *places);
    for (size_t i = 0, at = 0; places != NULL && i < n; i++) {
        at += strspn(text + at, " \t\r\n\v\f");
        places[i] = (ink_place){.start = at, .word = i};
        at += strcspn(text + at, " \t\r\n\v\f");
        places[i].stop = at;
    }
    return places;
}

/* Tags the texts that wait and prints their words. */
static bool flush(tagging *t)
{
    const language_model *lm = &t->lm;
    ink_passage texts[WAITING] = {{0}};
    size_t n_tags[WAITING], numbers[WAITING], n_texts = 0;
    double begin = console_seconds();
    ink_tag *tags = console_memory(t->n_tokens, sizeof *tags), *tag = tags;
    bool done = tags != NULL;
    for (size_t i = 0; i < t->n_waiting; i++)
        if (t->waiting[i].n > 0) { /* a text without tokens has no words */
            numbers[n_texts] = t->n_texts + i + 1;
            texts[n_texts++] = (ink_passage){.tokens = t->waiting[i].tokens,
                                             .types = lm_has_types(lm) ? t->waiting[i].types : NULL,
                                             .places = t->waiting[i].places,
                                             .n_tokens = t->waiting[i].n,
                                             .text = t->waiting[i].text,
                                             .size = t->waiting[i].size};
        }
    done = done &&
           console_ok_list(lm->ctx,
                           ink_model_tag(lm->ctx, lm->model, texts, n_texts, &t->options, tags, t->n_tokens, n_tags),
                           numbers);
    t->seconds += console_seconds() - begin;
    for (size_t i = 0, k = 0; i < t->n_waiting; i++) {
        done = done && (t->n_texts == 0 || console_write("\n", 1));
        for (size_t n = done && t->waiting[i].n > 0 ? n_tags[k++] : 0; n > 0 && done; n--, tag++) {
            char name[256];
            done = console_print("%s\t%.4f\t%zu\t%zu\t", console_harmless(name, sizeof name, tag->name),
                                 (double)tag->score, tag->start, tag->stop) &&
                   console_say(t->waiting[i].text + tag->start, tag->stop - tag->start) && console_write("\n", 1);
        }
        t->n_texts++;
        free(t->waiting[i].text);
        free(t->waiting[i].tokens);
        free(t->waiting[i].types);
        free(t->waiting[i].places);
    }
    free(tags);
    t->n_read += t->n_tokens;
    t->n_waiting = t->n_tokens = 0;
    return done;
}

static bool add_text(tagging *t, const char *text, size_t size)
{
    const unsigned lower = ink_model_get_encoder(t->lm.model)->lower_case ? INK_ENCODE_LOWER : 0;
    size_t i = t->n_waiting++, *n = &t->waiting[i].n;
    t->waiting[i].size = size;
    t->waiting[i].tokens = t->waiting[i].types = NULL;
    t->waiting[i].places = NULL;
    char *own = t->waiting[i].text = console_memory(size + 1, 1);
    bool done = own != NULL;
    *n = 0;
    if (done && size > 0)
        memcpy(own, text, size);
    ink_encode_input input = {.text = own, .size = size, .flags = INK_ENCODE_DEFAULT | lower};
    if (ids_in)
        done = done && lm_read_ids(&t->lm, own, size, &t->waiting[i].tokens, n) &&
               (*n > 0 || console_complain("--ids-in: a text lists no ids")) &&
               (t->waiting[i].places = places_of_ids(own, *n)) != NULL;
    else
        done = done &&
               lm_encode_input(&t->lm, &input, &t->waiting[i].tokens, &t->waiting[i].types, &t->waiting[i].places, n);
    t->n_tokens += *n;
    return done && ((t->n_waiting < WAITING && t->n_tokens < WAITING_TOKENS) || flush(t));
}

static bool tag(ink_context *ctx)
{
    static tagging t;
    cli_text_list list = {.line = &line};
    bool done = open_tagger(&t, ctx);
    while (done && cli_next_text(&list))
        done = add_text(&t, list.text, list.size) && (!list.asked || flush(&t));
    done = done && !list.failed && flush(&t);
    char n[CONSOLE_ROOM], rate[CONSOLE_ROOM], bytes[CONSOLE_ROOM];
    if (done)
        console_note("%s: %zu texts, %s tokens, %s tokens/s; memory: %s of weights", t.lm.info->kind, t.n_texts,
                     console_count(n, t.n_read), console_rate(rate, t.n_read, t.seconds),
                     console_bytes(bytes, t.lm.info->n_bytes));
    for (size_t i = 0; i < t.n_waiting; i++) {
        free(t.waiting[i].text);
        free(t.waiting[i].tokens);
        free(t.waiting[i].types);
        free(t.waiting[i].places);
    }
    cli_close_texts(&list);
    lm_close(&t.lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, tag); }
