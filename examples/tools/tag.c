/*
 * tag.c - words of a text with their labels (names, places, parts of speech), from a token classifier (BERT,
 * DistilBERT, RoBERTa).
 *
 * Every token gets the likeliest label. Labels are usually written B-PER and I-PER: the beginning of a person's name,
 * and its middle. Neighbours are merged into one word as the aggregation "simple" of transformers does it:
 *
 *     a token continues the word before it if its label, without B- or I-, is the same, and it has no B-;
 *     the score of a word is the mean of the probabilities of its tokens
 *
 * Words labelled O, "outside", are not printed. A line for each of the others:
 *
 *     PER<TAB>0.9871<TAB>the word
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lm.h"

static bool ids_in, all;

static const cli_option options[] = {
    CLI_FLAG("--all", &all, "prints words labelled O too"),
    LM_IDS_IN(&ids_in),
    CLI_MACHINE,
};

static cli line = {
    .name = "tag",
    .usage = "FOLDER [text ...] [options]",
    .about = "Prints the words of each text that have a label: the label, its probability and the word. B- and I- are\n"
             "merged. The texts are arguments or the lines of stdin; an empty line stands between two of them. With\n"
             "--ids-in a text lists all of its ids, and the words are ids.",
    .samples = "  tag tests/fixtures/programs/tagger \"the cat is good. the dog is not\"\n"
               "  printf 'a good cat\\na bad dog\\n' | tag tests/fixtures/programs/tagger --all\n"
               "  tag tests/fixtures/programs/tagger --ids-in \"2 5 7 9 3\"\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, SIZE_MAX, "FOLDER"),
};

/* Bytes of the text. */
typedef struct place {
    const char *text;
    size_t size;
} place;

/* A text on its way through the model. */
typedef struct tagging {
    language_model lm;
    const ink_encoder_info *info;
    ink_token *controls; /* [n_controls] of the template, which have no labels */
    size_t n_controls;
    ink_token *tokens, *types; /* [n] of this text */
    size_t n, first, end;      /* the text's own are [first, end) */
    place *places;             /* [n] of unknown tokens; size 0: not known */
    float *rows;               /* [n, n_labels] probabilities */
    char *word;                /* [word_room] */
    size_t word_room;

    size_t n_texts, n_read, n_cut; /* totals: texts, their tokens, texts that were too long */
    double seconds;
} tagging;

static bool open_tagger(tagging *t, ink_context *ctx)
{
    if (!lm_open_encoder(&t->lm, ctx, line.arguments[0], INK_POOLING_NONE, ids_in ? LM_NO_TOKENIZER : LM_TOKENIZER))
        return false;
    t->info = ink_model_get_encoder(t->lm.model);
    if (t->info->task != INK_TASK_CLASSIFY_TOKENS)
        return console_complain("%s: this %s labels no tokens: it needs a head for token classification", t->lm.folder,
                                t->lm.info->kind);
    return ids_in || lm_encode(&t->lm, "", 0, INK_ENCODE_DEFAULT, &t->controls, &t->n_controls);
}

/* ---- unknown tokens ---------------------------------------------------------------------------------------------- */

/*
 * An unknown token has no text of its own: it stands for what was written. A text falls into pieces that are encoded
 * independently of one another, such as words and punctuation. So a cut at byte k is between two pieces if
 *
 *     ids(text[0, k)) followed by ids(text[k, end)) equals ids(text)
 *
 * White space first cuts the text into stretches, and only those that hold an unknown token are cut further.
 */
enum { LONGEST_STRETCH = 4096 }; /* bytes: in a longer one unknown tokens keep their name */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* True if text [size] is encoded as the first of the ids [n]; *used is their number. */
static bool begins_with(tagging *t, const char *text, size_t size, const ink_token *ids, size_t n, size_t *used)
{
    ink_token *own = NULL;
    bool same = lm_encode(&t->lm, text, size, INK_ENCODE_ADDED, &own, used) && *used <= n &&
                memcmp(own, ids, *used * sizeof *ids) == 0;
    free(own);
    return same;
}

/* The bytes of the character at the head. */
static size_t character(const char *text, size_t size)
{
    size_t n = 1;
    while (n < size && ((unsigned char)text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static void place_stretch(tagging *t, const char *text, size_t size, const ink_token *ids, size_t n, place *places)
{
    ink_token unknown = ink_tokenizer_control(t->lm.tokenizer, INK_CONTROL_UNK);
    for (size_t i = 0; size > 0 && i < n;) {
        size_t k = character(text, size), head, rest;
        if (begins_with(t, text, k, ids, 0, &head)) { /* white space, and marks that the normalizer drops */
            text += k;
            size -= k;
            continue;
        }
        while (!(begins_with(t, text, k, ids + i, n - i, &head) &&
                 begins_with(t, text + k, size - k, ids + i + head, n - i - head, &rest) && head + rest == n - i)) {
            if (k == size)
                return;
            k += character(text + k, size - k);
        }
        if (head == 1 && ids[i] == unknown)
            places[i] = (place){text, k};
        i += head;
        text += k;
        size -= k;
    }
}

/* `ids` [n] are those of the whole text, without the template. */
static bool find_unknown(tagging *t, const char *text, size_t size, const ink_token *ids, size_t n)
{
    ink_token unknown = ink_tokenizer_control(t->lm.tokenizer, INK_CONTROL_UNK);
    size_t n_unknown = 0, i = 0, n_own = t->end - t->first;
    for (size_t k = 0; k < n_own; k++)
        n_unknown += ids[k] == unknown;
    t->places = console_memory(n, sizeof *t->places);
    for (size_t begin = 0, end, used; t->places != NULL && n_unknown > 0 && begin < size && i < n_own; begin = end) {
        bool holds = false;
        end = begin;
        while (end < size && is_space(text[end]))
            end++;
        while (end < size && !is_space(text[end]))
            end++;
        if (!begins_with(t, text + begin, end - begin, ids + i, n - i, &used))
            break; /* this tokenizer has tokens across white space */
        for (size_t k = i; k < i + used; k++)
            holds = holds || ids[k] == unknown;
        if (holds && end - begin <= LONGEST_STRETCH)
            place_stretch(t, text + begin, end - begin, ids + i, used, t->places + i);
        i += used;
    }
    return t->places != NULL;
}

/* ---- one text ---------------------------------------------------------------------------------------------------- */

/* Finds which of the tokens are the text's own: between those that the template puts around every text. */
static bool find_own(tagging *t, const char *text, size_t size)
{
    ink_token *plain;
    size_t n_plain, n_own = t->n - t->n_controls;
    if (!lm_encode(&t->lm, text, size, INK_ENCODE_ADDED, &plain, &n_plain))
        return false;
    const ink_token *at = t->tokens, *controls = t->controls;
    bool found = false, done;
    for (size_t k = 0; !found && k <= t->n_controls && n_own <= n_plain; k++) {
        found = memcmp(at, controls, k * sizeof *at) == 0 && memcmp(at + k, plain, n_own * sizeof *at) == 0 &&
                memcmp(at + k + n_own, controls + k, (t->n_controls - k) * sizeof *at) == 0;
        t->first = k;
        t->end = k + n_own;
    }
    done = found ? find_unknown(t, text, size, plain, n_plain)
                 : console_complain("the tokens of the template cannot be told from those of the text");
    free(plain);
    return done;
}

/* The ids of a text, cut to the length the model was made for. */
static bool read_text(tagging *t, const char *text, size_t size)
{
    ink_encode_input input = {.text = text, .size = size, .flags = INK_ENCODE_DEFAULT};
    size_t most = t->info->max_tokens;
    t->first = 0;
    if (ids_in) {
        bool done = lm_read_ids(&t->lm, text, size, &t->tokens, &t->n);
        t->end = t->n;
        return done && (t->n > 0 || console_complain("--ids-in: a text lists no ids"));
    }
    if (!lm_encode_input(&t->lm, &input, &t->tokens, &t->types, NULL, &t->n))
        return false;
    if (t->n > most) {
        free(t->tokens);
        free(t->types);
        input.max_length = most;
        t->n_cut++;
        if (!lm_encode_input(&t->lm, &input, &t->tokens, &t->types, NULL, &t->n))
            return false;
    }
    return find_own(t, text, size);
}

static bool add_bytes(tagging *t, size_t *used, const char *bytes, size_t size)
{
    char *word = console_grow(t->word, &t->word_room, *used + size + 1, 1);
    if (word == NULL)
        return false;
    t->word = word;
    memcpy(word + *used, bytes, size);
    *used += size;
    word[*used] = '\0';
    return true;
}

/* BERT's decoder puts a space before every word, which is this token or begins with it, but for these. */
static bool add_space(tagging *t, size_t *used, const char *token, size_t size)
{
    return *used == 0 || (size == 1 && memchr(".?!,", token[0], 4) != NULL) || add_bytes(t, used, " ", 1);
}

/* A token that is spelled by itself: an id, what an unknown token stands for, or the name of a control token. */
static bool add_alone(tagging *t, size_t i, size_t *used)
{
    char id[16];
    size_t size = (size_t)snprintf(id, sizeof id, "%" PRId32, t->tokens[i]);
    const char *text = id;
    place written = t->places != NULL ? t->places[i - t->first] : (place){NULL, 0};
    if (t->lm.tokenizer != NULL)
        text = ink_tokenizer_token(t->lm.tokenizer, t->tokens[i], &size);
    if (written.size > 0) {
        text = written.text;
        size = written.size;
    }
    return add_space(t, used, text, size) && add_bytes(t, used, text, size);
}

/* The tokens [begin, end) as one text. */
static bool spell_word(tagging *t, size_t begin, size_t end)
{
    const language_model *lm = &t->lm;
    size_t used = 0, size;
    for (size_t i = begin, next; i < end; i = next) {
        next = i + 1;
        if (lm->tokenizer == NULL || ink_tokenizer_is_special(lm->tokenizer, t->tokens[i]) ||
            t->places[i - t->first].size > 0) {
            if (!add_alone(t, i, &used))
                return false;
            continue;
        }
        while (next < end && !ink_tokenizer_is_special(lm->tokenizer, t->tokens[next]))
            next++;
        const ink_token *tokens = t->tokens + i;
        ink_result result = ink_tokenizer_decode(lm->ctx, lm->tokenizer, tokens, next - i, NULL, 0, &size);
        char *text = result == INK_OK || result == INK_ERROR_LIMIT ? console_memory(size, 1) : NULL;
        bool done =
            text != NULL && (size == 0 || console_ok(lm->ctx, ink_tokenizer_decode(lm->ctx, lm->tokenizer, tokens,
                                                                                   next - i, text, size, &size)));
        size_t n_first;
        const char *first = ink_tokenizer_token(lm->tokenizer, tokens[0], &n_first);
        done = done && add_space(t, &used, first, n_first) && add_bytes(t, &used, text, size);
        free(text);
        if (!done)
            return false;
    }
    return true;
}

/* A label without its B- or I-. */
static const char *tag_of(const char *label)
{
    return strncmp(label, "B-", 2) == 0 || strncmp(label, "I-", 2) == 0 ? label + 2 : label;
}

static bool print_words(tagging *t)
{
    size_t n_labels = t->info->n_labels;
    for (size_t begin = t->first, end; begin < t->end; begin = end) {
        const float *row = t->rows + begin * n_labels;
        size_t best = ink_argmax(row, n_labels);
        const char *label = t->info->labels[best], *tag = tag_of(label);
        double score = (double)row[best];
        char shown[256];
        for (end = begin + 1; end < t->end; end++) {
            row = t->rows + end * n_labels;
            best = ink_argmax(row, n_labels);
            const char *next = t->info->labels[best];
            if (strncmp(next, "B-", 2) == 0 || strcmp(tag_of(next), tag) != 0)
                break;
            score += (double)row[best];
        }
        const char *dash = strchr(label, '-'), *group = dash != NULL ? dash + 1 : label;
        if (!all && strcmp(group, "O") == 0)
            continue;
        if (!spell_word(t, begin, end) ||
            !console_print("%s\t%.4f\t", console_harmless(shown, sizeof shown, group), score / (double)(end - begin)) ||
            !console_say(t->word, strlen(t->word)) || !console_write("\n", 1))
            return false;
    }
    return true;
}

static bool tag_text(tagging *t, const char *text, size_t size)
{
    const language_model *lm = &t->lm;
    double begin = console_seconds();
    bool done = (t->n_texts == 0 || console_write("\n", 1)) && read_text(t, text, size) &&
                (t->rows = console_memory(t->n, t->info->n_labels * sizeof *t->rows)) != NULL;
    ink_text one = {
        .tokens = t->tokens, .n_tokens = t->n, .types = lm_has_types(lm) ? t->types : NULL, .output = t->rows};
    done = done && (t->n == 0 || console_ok(lm->ctx, ink_model_encode(lm->ctx, lm->model, INK_PROBABILITIES, &one, 1)));
    t->seconds += console_seconds() - begin;
    done = done && print_words(t);
    t->n_texts++;
    t->n_read += t->n;
    free(t->tokens);
    free(t->types);
    free(t->places);
    free(t->rows);
    t->tokens = t->types = NULL;
    t->places = NULL;
    t->rows = NULL;
    return done;
}

static bool tag(ink_context *ctx)
{
    tagging t = {.n = 0};
    lines in = {.stream = stdin};
    lines_outcome outcome = LINES_END;
    bool done = open_tagger(&t, ctx);
    while (line.n_arguments == 1 && done && (outcome = lines_next(&in)) == LINES_LINE)
        done = tag_text(&t, in.text, in.size);
    for (size_t i = 1; done && i < line.n_arguments; i++)
        done = tag_text(&t, line.all[i], strlen(line.all[i]));
    done = done && outcome == LINES_END;
    char n[CONSOLE_ROOM], rate[CONSOLE_ROOM], bytes[CONSOLE_ROOM];
    if (done && t.n_cut > 0)
        console_note("(cut at %zu tokens, the length the model was made for: %zu of the texts)", t.info->max_tokens,
                     t.n_cut);
    if (done)
        console_note("%s: %zu texts, %s tokens, %s tokens/s; memory: %s of weights", t.lm.info->kind, t.n_texts,
                     console_count(n, t.n_read), console_rate(rate, t.n_read, t.seconds),
                     console_bytes(bytes, t.lm.info->n_bytes));
    lines_close(&in);
    free(t.controls);
    free(t.word);
    lm_close(&t.lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, tag); }
