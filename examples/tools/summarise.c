/*
 * summarise.c - summaries of texts, by the model in a folder.
 *
 * Models of two kinds can. An encoder-decoder (BART, T5, Pegasus) reads a text as its source and writes the summary.
 * A model with a chat template gets a message with an instruction and the text, and answers with the summary. Either
 * way a text that is too long for the model is cut at its end, and stderr says so.
 */
#include <stdlib.h>
#include <string.h>

#include "lm.h"
#include "vocabulary.h"

enum { USUAL_TOKENS = 200 };

static const char *instruction;
static generating chosen = GENERATING_DEFAULTS;

static const cli_option options[] = {
    CLI_TEXT("--instruction", "TEXT", &instruction,
             "stands in front of the text (default: what the folder says; in a chat \"Summarise: \")"),
    SAMPLING_OPTIONS(&chosen),
    BEAM_OPTIONS(&chosen),
    LM_TYPE,
    CLI_MACHINE,
};

static cli line = {
    .name = "summarise",
    .usage = "FOLDER [FILE ...] [options]",
    .about = "Summarises texts, one a file. The model is an encoder-decoder that learned to (BART, T5,\n"
             "Pegasus), or one with a chat template, which is asked to. The summary goes to stdout, everything\n"
             "else to stderr. What is not set here is as generation_config.json says. A text that is too long for\n"
             "the model is cut at its end. Ctrl-C ends a summary with what there is of it. FOLDER\n"
             "may be a .gguf file.",
    .samples = "  stories -n 1 --seed 3 | summarise examples/models/assistant\n"
               "  summarise tests/fixtures/summaries/bart README.md --beams 4 -n 12\n",
    CLI_OPTIONS(options),
    CLI_ARGUMENTS(1, SIZE_MAX, "FOLDER"),
    .from_stdin = "a file",
};

/* What the summaries of all texts share. */
typedef struct summariser {
    language_model lm;
    ink_tokenizer *target;                  /* of the summaries */
    const ink_encoder_decoder_info *source; /* NULL: the model gets messages of a chat */
    ink_chat *chat;
    ink_generate_options options;
    bool stopped; /* by Ctrl-C */
    bool broken;  /* writing to stdout failed */
} summariser;

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

/* The ids of a source: the text with the instruction before it, without its end if the model cannot read all of it. */
static bool encode_source(const summariser *s, const char *name, const char *text, size_t size, ink_token **tokens,
                          size_t *n)
{
    ink_encode_input input = {.text = text, .size = size, .flags = INK_ENCODE_TEMPLATE};
    size_t most = ink_tokenizer_max_length(s->lm.tokenizer);
    if (s->source->source_length > 0 && s->source->source_length < most)
        most = s->source->source_length;
    if (!lm_encode_input(&s->lm, &input, tokens, NULL, NULL, n) || *n <= most)
        return *tokens != NULL;
    console_note("(%s: the text has %zu tokens, and the model reads the first %zu)", name, *n, most);
    free(*tokens);
    input.max_length = most;
    return lm_encode_input(&s->lm, &input, tokens, NULL, NULL, n);
}

/* The ids of a conversation in which the user says this, and of the marks that ask for the answer. */
static bool encode_message(const summariser *s, const char *text, size_t size, ink_token **tokens, size_t *n)
{
    const ink_message message = {.role = "user", .text = text, .size = size};
    const ink_chat_input input = {
        .messages = &message, .n_messages = 1, .answer = true, .arguments = "{\"enable_thinking\": false}"};
    ink_result result = ink_chat_encode(s->lm.ctx, s->chat, &input, NULL, 0, n);
    if (result != INK_ERROR_LIMIT || *n == 0) /* without room the call reports the size */
        return console_ok(s->lm.ctx, result) && console_complain("the chat template writes nothing");
    *tokens = console_memory(*n, sizeof **tokens);
    return *tokens != NULL && console_ok(s->lm.ctx, ink_chat_encode(s->lm.ctx, s->chat, &input, *tokens, *n, n));
}

/* The same, with whole words of the text as far as there is room for them; of its first word with a part. */
static bool encode_words(const summariser *s, const char *name, const char *text, size_t size, size_t room,
                         ink_token **tokens, size_t *n)
{
    const ink_encode_input input = {.text = text, .size = size, .flags = INK_ENCODE_PLAIN};
    ink_place *places = NULL;
    ink_token *words = NULL;
    size_t n_words, kept;
    if (!encode_message(s, text, size, tokens, n) || *n <= room)
        return *tokens != NULL;
    bool done = lm_encode_input(&s->lm, &input, &words, NULL, &places, &n_words);
    for (kept = n_words; done && *n > room;) {
        const size_t over = *n - room;
        kept = over < kept ? kept - over : 0;
        const size_t cut = kept;
        while (kept > 0 && places[kept].continues)
            kept--;
        if (kept == 0 || places[kept - 1].stop <= strlen(instruction)) /* the text begins with a word that long */
            kept = cut;
        if (kept == 0 || places[kept - 1].stop <= strlen(instruction)) {
            done = console_complain("the context of this model has no room for a text and its summary");
            break;
        }
        free(*tokens);
        *tokens = NULL;
        done = encode_message(s, text, places[kept - 1].stop, tokens, n);
    }
    if (done)
        console_note("(%s: the text has %zu tokens, and the model reads the first %zu)", name, n_words, kept);
    free(words);
    free(places);
    return done;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Prints the summary as far as it is certain, and tells of a search how far it is. */
static bool summary_step(void *user, const ink_generate_step *step)
{
    summariser *s = user;
    if (step->searches) {
        console_progress("%zu tokens", step->n_tokens);
    } else {
        console_progress("%s", "");
        s->broken = s->broken || !console_say(step->text, step->size);
    }
    bool stops = console_interrupted();
    s->stopped = s->stopped || stops;
    return !stops && !s->broken;
}

/* Generates from the tokens: a conversation, or a source that is encoded first. */
static bool write_summary(summariser *s, const ink_token *tokens, size_t n)
{
    ink_context *ctx = s->lm.ctx;
    const ink_model *model = s->lm.model;
    const size_t context = s->lm.info->context_length;
    ink_generator *generator = NULL;
    ink_encoded *encoded = NULL;
    ink_request request = {.tokens = tokens, .n_tokens = n};
    bool done = true;
    size_t most = s->options.max_tokens > 0 ? s->options.max_tokens : s->options.max_length;
    s->options.capacity = most + (s->source != NULL ? 1 : n);
    if (context > 0 && s->options.capacity > context)
        s->options.capacity = context;
    console_progress("reading %zu tokens", n);
    if (s->source != NULL) {
        done = console_ok(ctx, ink_encoded_create(ctx, model, n, &encoded));
        const ink_source_item item = {.encoded = encoded, .tokens = tokens, .n_tokens = n};
        done = done && console_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
        request = (ink_request){.encoded = encoded, .source = {tokens, n}};
    }
    done = done && console_ok(ctx, ink_generator_create(ctx, model, &s->options, &generator)) &&
           console_ok(ctx, ink_generate(ctx, generator, &request, 1)) && !s->broken && console_write("\n", 1);
    console_progress("%s", "");
    if (done && !s->stopped && request.results[0].end == INK_END_LENGTH)
        console_note("(cut off here: %s)", chosen.n_tokens != GENERATING_UNSET ? "-n" : "its length is limited");
    ink_generator_free(generator);
    ink_encoded_free(encoded);
    return done;
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static bool summarise_text(summariser *s, const char *name, const char *text, size_t size)
{
    const size_t context = s->lm.info->context_length, head = strlen(instruction);
    size_t most = s->options.max_tokens > 0 ? s->options.max_tokens : s->options.max_length, n = 0;
    ink_token *tokens = NULL;
    while (size > 0 && memchr(" \t\r\n", text[size - 1], 4) != NULL)
        size--;
    while (size > 0 && memchr(" \t\r\n", *text, 4) != NULL)
        text++, size--;
    if (size == 0)
        return console_complain("%s: there is no text to summarise", name);
    vocabulary_note(s->lm.ctx, s->lm.tokenizer, s->lm.folder, text, size, INK_ENCODE_PLAIN);
    char *asked = console_memory(head + size, 1);
    if (asked == NULL)
        return false;
    memcpy(asked, instruction, head);
    memcpy(asked + head, text, size);
    size_t room = context == 0 ? SIZE_MAX : context > most ? context - most : 0;
    bool done = s->source != NULL ? encode_source(s, name, asked, head + size, &tokens, &n)
                                  : encode_words(s, name, asked, head + size, room, &tokens, &n);
    free(asked);
    done = done && write_summary(s, tokens, n);
    free(tokens);
    return done;
}

static bool summariser_open(summariser *s, ink_context *ctx)
{
    language_model *lm = &s->lm;
    if (chosen.n_tokens == 0)
        return console_complain("-n expects at least 1 token, a summary has some");
    if (!lm_open_any(lm, ctx, line.arguments[0]))
        return false;
    s->source = ink_model_get_encoder_decoder(lm->model);
    if (ink_model_get_encoder(lm->model) != NULL)
        return console_complain("%s: a %s is an encoder and writes no texts", lm->folder, lm->info->kind);
    if (s->source != NULL && s->source->source_vocab_size == 0)
        return console_complain("%s: a %s does not read texts", lm->folder, lm->info->kind);
    if (s->source == NULL && !console_ok(ctx, ink_chat_open(ctx, lm->folder, lm->tokenizer, NULL, &s->chat)))
        return false;
    if (!console_ok(ctx, ink_tokenizer_open_target(ctx, lm->folder, &s->target)))
        return false;
    if (instruction == NULL) {
        ink_model_task(lm->model, "summarization", &s->options, &instruction);
        instruction = s->source != NULL ? instruction : "Summarise: ";
    }
    chosen.task = "summarization";
    if (!generating_choose(&chosen, lm->model, &s->options))
        return false;
    s->options.chat = s->chat;
    s->options.tokenizer = s->target;
    s->options.callback = summary_step;
    s->options.user = s;
    if (s->options.max_tokens == 0 && s->options.max_length == 0)
        s->options.max_tokens = USUAL_TOKENS;
    return true;
}

static bool summarise(ink_context *ctx)
{
    summariser s = {.stopped = false};
    bool done = summariser_open(&s, ctx);
    for (size_t i = 1; done && !s.stopped && (i < line.n_arguments || i == 1); i++) {
        const char *argument = i < line.n_arguments ? line.all[i] : NULL, *name = cli_file_name(argument);
        size_t size;
        char *text = cli_read_file(&line, argument, &size);
        console_catch_interrupts(); /* while a text is typed, Ctrl-C ends the program */
        done = text != NULL && (line.n_arguments < 3 || console_print("%s==> %s <==\n", i > 1 ? "\n" : "", name)) &&
               summarise_text(&s, name, text, size);
        free(text);
    }
    ink_chat_free(s.chat);
    ink_tokenizer_free(s.target);
    lm_close(&s.lm);
    return done;
}

int main(int argc, char **argv) { return cli_main(&line, argc, argv, summarise); }
