/*
 * lm.c - a model with its tokenizer, and the loop that continues a text.
 */
#include "lm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening ---------------------------------------------------------------------------------------------------- */

#ifndef EXAMPLES_MODELS
#define EXAMPLES_MODELS "examples/models"
#endif

bool bundled_folder(char room[PATH_ROOM], const char *model)
{
    const char *models = getenv("INKLING_MODELS");
    return path_join(room, models != NULL && *models != '\0' ? models : EXAMPLES_MODELS, model);
}

#define PATIENCE 0.5 /* seconds before the bar appears */
#define PAUSE 0.1    /* seconds between two drawings */

enum { BAR = 40 };

typedef struct bar {
    double next; /* time of the next drawing */
    bool drawn;
} bar;

/* "[##########                              ]  25 % of 1.26 GB" */
static bool bar_draw(void *user, uint64_t done, uint64_t total)
{
    bar *b = user;
    char marks[BAR + 1], bytes[CONSOLE_ROOM];
    double share = total > 0 ? (double)done / (double)total : 1, now = console_seconds();
    if (now < b->next)
        return true;
    for (int i = 0; i < BAR; i++)
        marks[i] = i < share * BAR ? '#' : ' ';
    marks[BAR] = '\0';
    console_progress("[%s] %3.0f %% of %s", marks, 100 * share, console_bytes(bytes, total));
    b->next = now + PAUSE;
    b->drawn = true;
    return true;
}

ink_result lm_load(ink_context *ctx, const char *folder, ink_pooling pooling, ink_model **model)
{
    bar b = {.next = console_seconds() + PATIENCE};
    ink_model_options options = {.pooling = pooling, .progress = bar_draw, .progress_user = &b};
    ink_result result = ink_model_open(ctx, folder, &options, model);
    if (b.drawn)
        console_progress("%s", "");
    return result;
}

static bool open_folder(language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling, lm_text text)
{
    *lm = (language_model){.ctx = ctx, .folder = folder};
    if (!console_ok(ctx, lm_load(ctx, folder, pooling, &lm->model)) ||
        (text == LM_TOKENIZER && !console_ok(ctx, ink_tokenizer_open(ctx, folder, &lm->tokenizer))))
        return false;
    lm->info = ink_model_get_info(lm->model);
    return true;
}

bool lm_open_any(language_model *lm, ink_context *ctx, const char *folder)
{
    return open_folder(lm, ctx, folder, INK_POOLING_NONE, LM_TOKENIZER);
}

bool lm_open(language_model *lm, ink_context *ctx, const char *folder, lm_text text)
{
    if (!open_folder(lm, ctx, folder, INK_POOLING_NONE, text))
        return false;
    return ink_model_get_encoder(lm->model) == NULL ||
           console_complain("%s: a %s is an encoder and continues no texts; use embed, classify, answer, tag or fill",
                            folder, lm->info->kind);
}

bool lm_open_encoder(language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling, lm_text text)
{
    if (!open_folder(lm, ctx, folder, pooling, text))
        return false;
    return ink_model_get_encoder(lm->model) != NULL ||
           console_complain("%s: a %s is no encoder; generate continues texts with it", folder, lm->info->kind);
}

void lm_close(language_model *lm)
{
    ink_tokenizer_free(lm->tokenizer);
    ink_model_free(lm->model);
    *lm = (language_model){0};
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

/* In some folders the tokenizer has more tokens than the model has rows. Most texts contain none of these tokens. */
static bool has_rows(const language_model *lm, const ink_token *tokens, size_t n)
{
    size_t i = 0, n_rows = lm->info->vocab_size;
    while (i < n && (size_t)tokens[i] < n_rows)
        i++;
    return i == n || console_complain("%s: this text contains token %" PRId32 ", but the model has rows for 0 to %zu",
                                      lm->folder, tokens[i], n_rows - 1);
}

bool lm_encode_input(const language_model *lm, const ink_encode_input *input, ink_token **tokens, ink_token **types,
                     ink_place **places, size_t *n)
{
    ink_result result = ink_tokenizer_encode_input(lm->ctx, lm->tokenizer, input, NULL, NULL, NULL, 0, n);
    bool full = result == INK_ERROR_LIMIT; /* without room the call reports the size */
    ink_token *own_types = NULL;
    ink_place *own_places = NULL;
    *tokens = NULL;
    bool done = (full || console_ok(lm->ctx, result)) && (*tokens = console_memory(*n, sizeof **tokens)) != NULL &&
                (types == NULL || (own_types = console_memory(*n, sizeof *own_types)) != NULL) &&
                (places == NULL || (own_places = console_memory(*n, sizeof *own_places)) != NULL) &&
                console_ok(lm->ctx, ink_tokenizer_encode_input(lm->ctx, lm->tokenizer, input, *tokens, own_types,
                                                               own_places, *n, n)) &&
                has_rows(lm, *tokens, *n);
    if (!done) {
        free(*tokens);
        free(own_types);
        free(own_places);
        *tokens = own_types = NULL;
        own_places = NULL;
    }
    if (types != NULL)
        *types = own_types;
    if (places != NULL)
        *places = own_places;
    return done;
}

bool lm_encode(const language_model *lm, const char *text, size_t size, unsigned flags, ink_token **tokens, size_t *n)
{
    const ink_encode_input input = {.text = text, .size = size, .flags = flags};
    return lm_encode_input(lm, &input, tokens, NULL, NULL, n);
}

bool lm_read_ids(const language_model *lm, const char *text, size_t size, ink_token **tokens, size_t *n)
{
    static const char space[] = " \t\r\n\v\f";
    char word[16];
    uint64_t id;
    *n = 0;
    *tokens = console_memory(size / 2 + 1, sizeof **tokens); /* an id takes two characters, but for the last */
    for (size_t i = 0; *tokens != NULL && i < size;) {
        size_t length = 0;
        if (memchr(space, text[i], sizeof space - 1) != NULL) {
            i++;
            continue;
        }
        while (i + length < size && memchr(space, text[i + length], sizeof space - 1) == NULL)
            length++;
        snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), text + i);
        if (length >= sizeof word || !number_whole(word, &id) || id > INT32_MAX) {
            console_complain("--ids-in expects whole numbers with spaces between them, found '%s'", word);
            free(*tokens);
            *tokens = NULL;
        } else {
            (*tokens)[(*n)++] = (ink_token)id;
        }
        i += length;
    }
    if (*tokens != NULL && has_rows(lm, *tokens, *n))
        return true;
    free(*tokens);
    *tokens = NULL;
    return false;
}

/* RoBERTa has one row of types, and its tokenizers give none. */
bool lm_has_types(const language_model *lm)
{
    const ink_encoder_info *encoder = ink_model_get_encoder(lm->model);
    return encoder != NULL &&
           (encoder->n_types > 1 || (encoder->n_types == 1 && strcmp(lm->info->kind, "bert") == 0)) &&
           (lm->tokenizer == NULL || ink_tokenizer_gives_types(lm->tokenizer));
}

bool lm_prompt(const language_model *lm, const char *text, bool as_ids, ink_token **tokens, size_t *n)
{
    size_t context = lm->info->context_length;
    if (!(as_ids ? lm_read_ids(lm, text, strlen(text), tokens, n)
                 : lm_encode(lm, text, strlen(text), INK_ENCODE_DEFAULT, tokens, n)))
        return false;
    if (*n == 0 && !as_ids && lm->info->bos_token >= 0) {
        (*tokens)[0] = lm->info->bos_token; /* lm_encode() leaves room for one */
        *n = 1;
    }
    if (*n > 0 && (context == 0 || *n <= context))
        return true;
    if (*n == 0 && as_ids)
        console_complain("the prompt lists no ids");
    else if (*n == 0)
        console_complain("the prompt is empty, and this model has no token that begins a text");
    else
        console_complain("the prompt has %zu tokens, and the context of this model holds %zu", *n, context);
    free(*tokens);
    *tokens = NULL;
    return false;
}

bool lm_spell(const language_model *lm, ink_text_stream *stream, ink_token token, char *text, size_t capacity,
              size_t *size)
{
    size_t bytes;
    *size = 0;
    if (lm->tokenizer == NULL || (token >= 0 && ink_tokenizer_token(lm->tokenizer, token, &bytes) == NULL))
        return true;
    return console_ok(lm->ctx, ink_tokenizer_stream(lm->ctx, lm->tokenizer, stream, token, text, capacity, size));
}

/* ---- continuing ------------------------------------------------------------------------------------------------- */

ink_sampler_options sampling_choose(const sampling *s, const ink_model *model)
{
    ink_sampler_options chosen;
    if (!ink_model_sampling(model, &chosen))
        chosen.temperature = 0.8f;
    if (s->temperature >= 0)
        chosen.temperature = (float)s->temperature;
    if (s->top_k != SAMPLING_UNSET)
        chosen.top_k = (size_t)s->top_k;
    if (s->top_p >= 0)
        chosen.top_p = (float)s->top_p;
    if (s->min_p >= 0)
        chosen.min_p = (float)s->min_p;
    if (s->repeat_penalty >= 0)
        chosen.repeat_penalty = (float)s->repeat_penalty;
    chosen.seed = s->seed;
    return chosen;
}

/* All that one continuation needs, allocated before the first token. */
typedef struct lm_run {
    ink_state *state;
    size_t state_size;
    ink_sampler *sampler;
    ink_text_stream stream;
    float *logits; /* [vocab_size] */
    char *text;    /* [text_capacity] */
    size_t text_capacity;
} lm_run;

static bool lm_run_start(const language_model *lm, const lm_request *request, lm_run *run)
{
    size_t context = lm->info->context_length;
    size_t capacity = request->n_prompt + request->n_tokens;
    if (context > 0 && capacity > context)
        capacity = context;
    run->text_capacity = lm->tokenizer != NULL ? ink_tokenizer_stream_capacity(lm->tokenizer) : 0;
    run->text = console_memory(run->text_capacity, 1);
    run->logits = console_memory(lm->info->vocab_size, sizeof *run->logits);
    return run->text != NULL && run->logits != NULL &&
           console_ok(lm->ctx, ink_state_size(lm->ctx, lm->model, capacity, &run->state_size)) &&
           console_ok(lm->ctx, ink_state_create(lm->ctx, lm->model, capacity, &run->state)) &&
           console_ok(lm->ctx, ink_context_reserve(lm->ctx, lm->model, 1, request->n_prompt, capacity)) &&
           console_ok(lm->ctx, ink_sampler_create(lm->ctx, &request->sampler, lm->info->vocab_size, &run->sampler)) &&
           console_ok(lm->ctx, ink_sampler_accept(lm->ctx, run->sampler, request->prompt, request->n_prompt));
}

static void lm_run_finish(lm_run *run)
{
    ink_sampler_free(run->sampler);
    ink_state_free(run->state);
    free(run->logits);
    free(run->text);
}

/* Feeds the prompt to the stream without showing its text to the sink. The new text is then spelled as the middle of a
   text, with the space before its first word. */
static bool spell_prompt(const language_model *lm, const lm_request *request, lm_run *run)
{
    size_t size;
    for (size_t i = 0; i < request->n_prompt; i++)
        if (!lm_spell(lm, &run->stream, request->prompt[i], run->text, run->text_capacity, &size))
            return false;
    return lm_spell(lm, &run->stream, -1, run->text, run->text_capacity, &size);
}

/* Hands a token and its text over. */
static bool deliver(const language_model *lm, const lm_request *request, lm_run *run, ink_token token, bool *go_on)
{
    size_t size;
    if (!lm_spell(lm, &run->stream, token, run->text, run->text_capacity, &size))
        return false;
    *go_on = request->sink(request->user, token, run->text, size);
    return true;
}

/* The loop. It starts from the logits of the prompt's last token. */
static bool produce(const language_model *lm, const lm_request *request, lm_run *run, lm_report *report)
{
    size_t context = lm->info->context_length;
    double begin = console_seconds();
    bool go_on = true;
    for (report->end = LM_COUNT; report->n_tokens < request->n_tokens;) {
        ink_token token;
        if (!console_ok(lm->ctx, ink_sampler_pick(lm->ctx, run->sampler, run->logits, &token)))
            return false;
        if (ink_model_stops_at(lm->model, token)) {
            report->end = LM_EOS;
            break;
        }
        if (!deliver(lm, request, run, token, &go_on))
            return false;
        if (!go_on) {
            report->end = LM_SINK;
            break;
        }
        if (++report->n_tokens == request->n_tokens)
            break;
        if (context > 0 && ink_state_length(run->state) == context) {
            report->end = LM_CONTEXT;
            break;
        }
        if (!console_ok(lm->ctx, ink_model_forward(lm->ctx, lm->model, run->state, &token, 1, run->logits)))
            return false;
        report->n_steps++;
    }
    report->seconds = console_seconds() - begin;
    return report->end == LM_SINK || deliver(lm, request, run, -1, &go_on);
}

bool lm_continue(const language_model *lm, const lm_request *request, lm_report *report)
{
    lm_run run = {0};
    bool done = lm_run_start(lm, request, &run) && spell_prompt(lm, request, &run);
    *report = (lm_report){.state_size = run.state_size};
    if (done) {
        double begin = console_seconds();
        done = console_ok(
            lm->ctx, ink_model_forward(lm->ctx, lm->model, run.state, request->prompt, request->n_prompt, run.logits));
        report->prompt_seconds = console_seconds() - begin;
    }
    done = done && produce(lm, request, &run, report);
    lm_run_finish(&run);
    return done;
}
