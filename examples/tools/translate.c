/*
 * translate.c - texts from one language into another, with an encoder-decoder.
 *
 * Such a model has learned from pairs of sentences, so a text is cut into sentences, and their translations are put
 * together again with the white space that stood between them. Many sentences run side by side.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lm.h"

static const char *from, *to;
static bool ids, ids_in, whole, scores, languages;
static generating chosen = GENERATING_DEFAULTS;

static const cli_option options[] = {
    CLI_TEXT("--from", "LANGUAGE", &from, "the language of the text: en, eng, en_XX, eng_Latn"),
    CLI_TEXT("--to", "LANGUAGE", &to, "the language of the translation"),
    CLI_FLAG("--languages", &languages, "print the languages of the model, a line for each, and nothing else"),
    CLI_FLAG("--whole", &whole, "do not cut a text into sentences"),
    CLI_FLAG("--scores", &scores, "a line for each sentence: the score of its beam, a tab, the translation"),
    CLI_FLAG("--ids", &ids, "a line for each sentence, with token ids instead of text"),
    LM_IDS_IN(&ids_in),
    BEAM_OPTIONS(&chosen),
    SAMPLING_OPTIONS(&chosen),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "translate",
    .usage = "FOLDER [text ...] [options]",
    .about = "Translates texts with the encoder-decoder in a folder: Marian (opus-mt), M2M100, NLLB, mBART, T5, and\n"
             "those in the box. A model of several languages needs --to, and --from unless the folder says it. By\n"
             "default it chooses tokens as the folder's generation_config.json says. A sentence ends with . ! ? or\n"
             "\xE2\x80\xA6 before white space, or with \xE3\x80\x82 \xEF\xBC\x81 \xEF\xBC\x9F; white space and empty "
             "lines stay. A sentence that is longer\n"
             "than the model can read is cut, with a note. With --ids-in a text lists all ids of a source.",
    .samples = "  translate examples/models/translate_transformer \"Anna was in the garden.\"\n"
               "  echo \"It was night.\" | translate examples/models/translate_gru --beams 4\n"
               "  translate tests/fixtures/programs/translate_m2m100 --from en --to fr < LICENSE\n"
               "  translate tests/fixtures/programs/translate_t5 --ids-in \"5 9 20 1\" --ids -n 10\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, SIZE_MAX, "FOLDER"),
    .from_stdin = "a text",
    .by_line = true,
};

/* ---- sentences -------------------------------------------------------------------------------------------------- */

/* The length of the first of these marks that text [size] begins with, or 0. */
static size_t starts_with(const char *text, size_t size, const char *const marks[])
{
    for (size_t i = 0; marks[i] != NULL; i++)
        if (strlen(marks[i]) <= size && memcmp(text, marks[i], strlen(marks[i])) == 0)
            return strlen(marks[i]);
    return 0;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Words that a point does not end a sentence behind: a single letter, or one of the list. */
static bool is_abbreviation(const char *text, size_t size)
{
    static const char words[] = " Mr Mrs Ms Dr Prof St Jr Sr vs etc No Nr Mme Mlle bzw ca usw resp Fig Vol approx ";
    size_t begin = size;
    char word[16];
    while (begin > 0 && !is_space(text[begin - 1]) && text[begin - 1] != '.' && text[begin - 1] != '(')
        begin--;
    if (size - begin == 1)
        return (unsigned char)text[begin] < 0x80 && text[begin] > '9'; /* J. S. Bach */
    if (size - begin == 0 || size - begin > 12)
        return false;
    snprintf(word, sizeof word, " %.*s ", (int)(size - begin), text + begin);
    return strstr(words, word) != NULL;
}

/* The length of the sentence that text [size] begins with; the text does not begin with white space. */
static size_t sentence_length(const char *text, size_t size)
{
    static const char *const ends[] = {".", "!", "?", "\xE2\x80\xA6", NULL};
    static const char *const wide_ends[] = {"\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F", NULL};
    static const char *const closing[] = {
        "\"", "'", ")", "]", "\xE2\x80\x9D", "\xE2\x80\x99", "\xC2\xBB", "\xE3\x80\x8D", "\xE3\x80\x8F", NULL};
    for (size_t i = 0; i < size; i++) {
        const size_t wide = starts_with(text + i, size - i, wide_ends);
        size_t end = i + (wide > 0 ? wide : starts_with(text + i, size - i, ends)), more;
        if (end == i)
            continue;
        while ((more = starts_with(text + end, size - end, wide > 0 ? wide_ends : ends)) > 0 ||
               (more = starts_with(text + end, size - end, closing)) > 0)
            end += more;
        if (wide > 0 || end == size || (is_space(text[end]) && !(text[i] == '.' && is_abbreviation(text, i))))
            return end;
        i = end - 1;
    }
    return size;
}

/* ---- what waits ------------------------------------------------------------------------------------------------- */

enum { ROWS = 32 }; /* sequences that run side by side; a sentence has one for each of its beams */

/* A sentence, or none, and the white space behind it. */
typedef struct unit {
    size_t tokens, n_tokens; /* of the source; 0: there is no sentence */
    size_t space, n_space;   /* in `spaces` */
    bool ends_line;
} unit;

typedef struct translator {
    language_model lm; /* with the tokenizer of the sources */
    const ink_encoder_decoder_info *info;
    ink_tokenizer *target;
    ink_direction direction;
    ink_generate_options options;
    ink_generator *generator;
    size_t n_lists;        /* sentences that run together */
    ink_encoded **encoded; /* [n_lists] */
    size_t *capacity;      /* [n_lists] of them, in tokens */
    ink_source_item *sources;
    ink_request *requests;

    unit *units; /* [n_units] */
    size_t n_units, units_room, n_sentences;
    ink_token *tokens; /* [n_tokens] of the sentences that wait */
    size_t n_tokens, tokens_room;
    char *spaces; /* [n_spaces] */
    size_t n_spaces, spaces_room;
    char *text; /* room for a translation */
    size_t text_room;

    size_t n_lines, n_done, n_read, n_written; /* totals */
    double seconds;
    bool interrupted;
} translator;

/* One call for each step: is the user still there? */
static bool step(void *user, const ink_generate_step *at)
{
    translator *t = user;
    t->interrupted = t->interrupted || console_interrupted();
    if (at->searches || at->request == 0)
        console_progress("sentences %zu to %zu: token %zu", t->n_done + 1, t->n_done + t->n_sentences, at->n_tokens);
    return !t->interrupted;
}

static bool start(translator *t, ink_context *ctx)
{
    if (!lm_open_reader(&t->lm, ctx, line.arguments[0], ids_in ? LM_NO_TOKENIZER : LM_TOKENIZER))
        return false;
    t->info = ink_model_get_encoder_decoder(t->lm.model);
    t->direction = (ink_direction){.from = -1, .to = -1, .first = -1};
    if (t->info->source_vocab_size == 0)
        return console_complain("%s: this %s reads no text", t->lm.folder, t->lm.info->kind);
    if (ids_in && from != NULL)
        return console_complain("--from is in the ids of --ids-in already");
    if (!ids && !console_ok(ctx, ink_tokenizer_open_target(ctx, t->lm.folder, &t->target)))
        return false;
    /* With ids the tokenizer is only asked for the language. */
    if (t->lm.tokenizer == NULL && to != NULL &&
        !console_ok(ctx, ink_tokenizer_open(ctx, t->lm.folder, &t->lm.tokenizer)))
        return false;
    if (t->lm.tokenizer != NULL &&
        !console_ok(ctx, ink_tokenizer_direction(ctx, t->lm.tokenizer, from, to, &t->direction)))
        return false;
    chosen.task = t->direction.task;
    if (ids_in && to != NULL && t->direction.first < 0 && t->direction.task == NULL)
        console_note("(--to has no effect: this model reads the language in the source, so it is in the ids)");
    if (chosen.n_tokens == 0)
        return console_complain("-n expects at least 1 token, a translation has some");
    if (!generating_choose(&chosen, t->lm.model, &t->options))
        return false;
    if (t->options.max_tokens == 0 && t->options.max_length == 0)
        t->options.max_tokens = 256;
    if (scores && t->options.n_beams < 2)
        return console_complain("--scores are those of beams: it needs --beams 2 or more");
    if (!ids_in && to == NULL && ink_tokenizer_language(t->lm.tokenizer, 0) >= 0 && t->direction.first < 0 &&
        t->direction.to < 0 && t->options.forced_bos.n_tokens == 0)
        console_note("(the model knows several languages; --to says into which one it translates)");
    const size_t beams = t->options.n_beams > 1 ? t->options.n_beams : 1, context = t->lm.info->context_length;
    t->n_lists = beams < ROWS ? ROWS / beams : 1;
    t->options.n_requests = t->n_lists;
    t->options.callback = step;
    t->options.user = t;
    if (t->direction.first >= 0)
        t->options.forced_bos = (ink_token_list){&t->direction.first, 1};
    t->options.capacity = t->options.max_tokens > 0 ? t->options.max_tokens + 1 : t->options.max_length;
    if (context > 0 && t->options.capacity > context)
        t->options.capacity = context;
    t->encoded = console_memory(t->n_lists, sizeof *t->encoded);
    t->capacity = console_memory(t->n_lists, sizeof *t->capacity);
    t->sources = console_memory(t->n_lists, sizeof *t->sources);
    t->requests = console_memory(t->n_lists, sizeof *t->requests);
    return t->encoded != NULL && t->capacity != NULL && t->sources != NULL && t->requests != NULL &&
           console_ok(ctx, ink_generator_create(ctx, t->lm.model, &t->options, &t->generator));
}

static void finish(translator *t)
{
    ink_generator_free(t->generator);
    for (size_t i = 0; t->encoded != NULL && i < t->n_lists; i++)
        ink_encoded_free(t->encoded[i]);
    free(t->encoded);
    free(t->capacity);
    free(t->sources);
    free(t->requests);
    free(t->units);
    free(t->tokens);
    free(t->spaces);
    free(t->text);
    ink_tokenizer_free(t->target);
    lm_close(&t->lm);
}

/* ---- out -------------------------------------------------------------------------------------------------------- */

/* The text of a result without the language it begins with. */
static bool print_text(translator *t, const ink_generated *result)
{
    const size_t skipped = result->n_tokens > 0 && result->tokens[0] == t->direction.first ? 1 : 0;
    const ink_token *tokens = result->tokens + skipped;
    size_t size;
    ink_result done =
        ink_tokenizer_decode(t->lm.ctx, t->target, tokens, result->n_tokens - skipped, t->text, t->text_room, &size);
    if (done == INK_ERROR_LIMIT) {
        char *text = console_grow(t->text, &t->text_room, size, 1);
        if (text == NULL)
            return false;
        t->text = text;
        done = ink_tokenizer_decode(t->lm.ctx, t->target, tokens, result->n_tokens - skipped, t->text, t->text_room,
                                    &size);
    }
    return console_ok(t->lm.ctx, done) && (size == 0 || console_say(t->text, size));
}

static bool print_unit(translator *t, const unit *u, const ink_generated *result)
{
    const bool by_sentence = ids || scores;
    if (result != NULL && scores && !console_print("%.4f\t", (double)result->score))
        return false;
    for (size_t i = 0; result != NULL && ids && i < result->n_tokens; i++)
        if (!console_print("%s%" PRId32, i > 0 ? " " : "", result->tokens[i]))
            return false;
    if (result != NULL && !ids && !print_text(t, result))
        return false;
    if (by_sentence)
        return result == NULL || console_write("\n", 1);
    return console_say(t->spaces + u->space, u->n_space) && (!u->ends_line || console_write("\n", 1));
}

/* Translates what waits, and prints it. */
static bool flush(translator *t)
{
    ink_context *ctx = t->lm.ctx;
    size_t n = 0;
    double begin = console_seconds();
    for (size_t i = 0; i < t->n_units; i++) {
        const unit *u = &t->units[i];
        if (u->n_tokens == 0)
            continue;
        if (u->n_tokens > t->capacity[n]) {
            ink_encoded_free(t->encoded[n]);
            t->encoded[n] = NULL;
            t->capacity[n] = 0;
            size_t capacity = 2 * u->n_tokens;
            if (t->info->source_length > 0 && capacity > t->info->source_length)
                capacity = t->info->source_length;
            if (!console_ok(ctx, ink_encoded_create(ctx, t->lm.model, capacity, &t->encoded[n])))
                return false;
            t->capacity[n] = capacity;
        }
        const ink_token *tokens = t->tokens + u->tokens;
        t->sources[n] = (ink_source_item){.encoded = t->encoded[n], .tokens = tokens, .n_tokens = u->n_tokens};
        t->requests[n] =
            (ink_request){.encoded = t->encoded[n], .source = {tokens, u->n_tokens}, .seed = t->n_done + n};
        n++;
    }
    bool done = n == 0 || (console_ok(ctx, ink_model_encode_sources(ctx, t->lm.model, t->sources, n)) &&
                           console_ok(ctx, ink_generate(ctx, t->generator, t->requests, n)));
    console_progress("%s", "");
    t->seconds += console_seconds() - begin;
    if (t->interrupted)
        console_note("(interrupted after %zu sentences)", t->n_done);
    done = done && !t->interrupted;
    for (size_t i = 0, k = 0; done && i < t->n_units; i++) {
        const ink_generated *result = t->units[i].n_tokens > 0 ? &t->requests[k++].results[0] : NULL;
        t->n_written += result != NULL ? result->n_tokens : 0;
        if (result != NULL && result->end == INK_END_LENGTH)
            console_note("(sentence %zu: the translation is cut off after %zu tokens)", t->n_done + k,
                         result->n_tokens);
        done = print_unit(t, &t->units[i], result);
    }
    t->n_done += n;
    t->n_units = t->n_sentences = t->n_tokens = t->n_spaces = 0;
    return done;
}

/* ---- in --------------------------------------------------------------------------------------------------------- */

/* Adds a sentence [n] of tokens, or none, with the white space behind it. */
static bool add(translator *t, const ink_token *tokens, size_t n, const char *space, size_t n_space, bool ends_line)
{
    unit *units = console_grow(t->units, &t->units_room, t->n_units + 1, sizeof *units);
    t->units = units != NULL ? units : t->units;
    ink_token *all = units != NULL ? console_grow(t->tokens, &t->tokens_room, t->n_tokens + n, sizeof *all) : NULL;
    t->tokens = all != NULL ? all : t->tokens;
    char *spaces = all != NULL ? console_grow(t->spaces, &t->spaces_room, t->n_spaces + n_space + 1, 1) : NULL;
    t->spaces = spaces != NULL ? spaces : t->spaces;
    if (spaces == NULL)
        return false;
    units[t->n_units++] = (unit){t->n_tokens, n, t->n_spaces, n_space, ends_line};
    if (n > 0)
        memcpy(all + t->n_tokens, tokens, n * sizeof *tokens);
    if (n_space > 0)
        memcpy(spaces + t->n_spaces, space, n_space);
    t->n_tokens += n;
    t->n_spaces += n_space;
    t->n_sentences += n > 0;
    t->n_read += n;
    return t->n_sentences < t->n_lists || flush(t);
}

/* Adds one sentence [size] of the line. */
static bool add_sentence(translator *t, const char *text, size_t size, const char *space, size_t n_space,
                         bool ends_line)
{
    ink_encode_input input = {.text = text, .size = size, .flags = INK_ENCODE_DEFAULT, .direction = &t->direction};
    ink_token *tokens;
    size_t n, most = t->info->source_length;
    if (!lm_encode_input(&t->lm, &input, &tokens, NULL, NULL, &n))
        return false;
    if (most > 0 && n > most) {
        console_note("(line %zu: a sentence of %zu tokens is cut to %zu, the most that the model reads)", t->n_lines, n,
                     most);
        free(tokens);
        input.max_length = most;
        if (!lm_encode_input(&t->lm, &input, &tokens, NULL, NULL, &n))
            return false;
    }
    bool done = add(t, tokens, n, space, n_space, ends_line);
    free(tokens);
    return done;
}

static bool add_ids(translator *t, const char *text, size_t size)
{
    ink_token *tokens;
    size_t n, most = t->info->source_length;
    if (!lm_read_ids(&t->lm, text, size, &tokens, &n))
        return false;
    bool done = n > 0 || console_complain("--ids-in: text %zu lists no ids", t->n_lines);
    if (done && most > 0 && n > most)
        done = console_complain("--ids-in: text %zu has %zu ids, and the model reads %zu at most", t->n_lines, n, most);
    done = done && add(t, tokens, n, "", 0, true);
    free(tokens);
    return done;
}

/* Adds a line of stdin, or an argument. */
static bool add_line(translator *t, const char *text, size_t size)
{
    size_t at = 0, end;
    t->n_lines++;
    if (ids_in)
        return add_ids(t, text, size);
    while (at < size && is_space(text[at]))
        at++;
    if (at == size)
        return add(t, NULL, 0, text, size, true);
    if (at > 0 && !add(t, NULL, 0, text, at, false))
        return false;
    for (; at < size; at = end) {
        const size_t length = whole ? size - at : sentence_length(text + at, size - at);
        size_t stop = at + length; /* without white space at the end of the line */
        while (stop > at && is_space(text[stop - 1]))
            stop--;
        for (end = at + length; end < size && is_space(text[end]);)
            end++;
        const bool joined = stop == end && end < size; /* no space behind a wide mark; other scripts need one */
        if (!add_sentence(t, text + at, stop - at, joined ? " " : text + stop, joined ? 1 : end - stop, end == size))
            return false;
    }
    return true;
}

static bool list_languages(ink_context *ctx)
{
    ink_tokenizer *tokenizer = NULL;
    bool done = console_ok(ctx, ink_tokenizer_open(ctx, line.arguments[0], &tokenizer));
    if (done && ink_tokenizer_language(tokenizer, 0) < 0)
        done = console_complain("%s: the tokenizer has no tokens of languages", line.arguments[0]);
    for (size_t i = 0, size; done && ink_tokenizer_language(tokenizer, i) >= 0; i++) {
        const char *token = ink_tokenizer_token(tokenizer, ink_tokenizer_language(tokenizer, i), &size);
        done = console_say(token, size) && console_write("\n", 1);
    }
    ink_tokenizer_free(tokenizer);
    return done;
}

static bool translate(ink_context *ctx)
{
    if (languages)
        return list_languages(ctx);
    translator t = {.n_lists = 0};
    cli_text_list list = {.line = &line};
    char read[CONSOLE_ROOM], written[CONSOLE_ROOM], rate[CONSOLE_ROOM], bytes[CONSOLE_ROOM];
    bool done = start(&t, ctx);
    console_catch_interrupts();
    while (done && cli_next_text(&list))
        done = add_line(&t, list.text, list.size) && (!list.asked || flush(&t));
    cli_close_texts(&list);
    done = done && !list.failed && flush(&t);
    if (done)
        console_note("%s: %zu sentences, %s tokens read, %s written, %s tokens/s; memory: %s of weights",
                     t.lm.info->kind, t.n_done, console_count(read, t.n_read), console_count(written, t.n_written),
                     console_rate(rate, t.n_read + t.n_written, t.seconds), console_bytes(bytes, t.lm.info->n_bytes));
    finish(&t);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, translate); }
