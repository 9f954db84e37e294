/*
 * lm.c - a language model with its tokenizer, and the loop that continues a text.
 */
#include "lm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "load.h"

/* Says what the library says. */
static bool ok(const language_model *lm, ink_result result)
{
    if (result != INK_OK)
        console_complain("%s", ink_context_error(lm->ctx));
    return result == INK_OK;
}

static void *room(size_t count, size_t size)
{
    void *block = calloc(count > 0 ? count : 1, size);

    if (block == NULL)
        console_complain("there is no memory for %zu x %zu bytes", count, size);
    return block;
}

static double rate(size_t n, double seconds) { return seconds > 0 ? (double)n / seconds : 0; }

static bool open_folder(language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling)
{
    *lm = (language_model){.ctx = ctx, .folder = folder};
    if (!ok(lm, load_model(ctx, folder, pooling, &lm->model)) ||
        !ok(lm, ink_tokenizer_open(ctx, folder, &lm->tokenizer)))
        return false;
    lm->info = ink_model_get_info(lm->model);
    return true;
}

bool lm_open_any(language_model *lm, ink_context *ctx, const char *folder)
{
    return open_folder(lm, ctx, folder, INK_POOLING_NONE);
}

bool lm_open(language_model *lm, ink_context *ctx, const char *folder)
{
    if (!open_folder(lm, ctx, folder, INK_POOLING_NONE))
        return false;
    if (ink_model_get_encoder(lm->model) == NULL)
        return true;
    console_complain("%s: a %s is an encoder and continues no texts; embed, classify and fill are for it", folder,
                     lm->info->kind);
    return false;
}

bool lm_open_encoder(language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling)
{
    if (!open_folder(lm, ctx, folder, pooling))
        return false;
    if (ink_model_get_encoder(lm->model) != NULL)
        return true;
    console_complain("%s: a %s is no encoder; generate continues texts with it", folder, lm->info->kind);
    return false;
}

void lm_close(language_model *lm)
{
    ink_tokenizer_free(lm->tokenizer);
    ink_model_free(lm->model);
    *lm = (language_model){0};
}

/* Folders are about with a tokenizer that has more tokens than its model has rows; most texts have none of them. */
static bool has_rows(const language_model *lm, const ink_token *tokens, size_t n)
{
    size_t i = 0, n_rows = lm->info->vocab_size;

    while (i < n && (size_t)tokens[i] < n_rows)
        i++;
    if (i == n)
        return true;
    console_complain("%s: the tokenizer makes token %" PRId32 " of this text, the model has rows for 0 to %zu",
                     lm->folder, tokens[i], n_rows - 1);
    return false;
}

bool lm_encode(const language_model *lm, const char *text, size_t size, unsigned flags, ink_token **tokens, size_t *n)
{
    ink_result result = ink_tokenizer_encode(lm->ctx, lm->tokenizer, text, size, flags, NULL, 0, n);

    *tokens = NULL;
    if (result != INK_ERROR_LIMIT && !ok(lm, result)) /* the limit of a first call without room is no mistake */
        return false;
    *tokens = room(*n, sizeof **tokens);
    if (*tokens != NULL && ok(lm, ink_tokenizer_encode(lm->ctx, lm->tokenizer, text, size, flags, *tokens, *n, n)) &&
        has_rows(lm, *tokens, *n))
        return true;
    free(*tokens);
    *tokens = NULL;
    return false;
}

bool lm_prompt(const language_model *lm, const char *text, ink_token **tokens, size_t *n)
{
    size_t context = lm->info->context_length;

    if (!lm_encode(lm, text, strlen(text), INK_ENCODE_DEFAULT, tokens, n))
        return false;
    if (*n == 0 && lm->info->bos_token >= 0) {
        (*tokens)[0] = lm->info->bos_token; /* lm_encode() always leaves room for one */
        *n = 1;
    }
    if (*n > 0 && (context == 0 || *n <= context))
        return true;
    if (*n == 0)
        console_complain("the prompt is empty, and this model has no token that begins a text");
    else
        console_complain("the prompt has %zu tokens, and the context of this model holds %zu", *n, context);
    free(*tokens);
    *tokens = NULL;
    return false;
}

/* What one continuation needs; all of it is taken before the first token. */
typedef struct lm_run {
    ink_state *state;
    size_t state_size;
    ink_sampler *sampler;
    ink_text_stream stream;
    float *logits; /* [vocab_size] */
    char *text;    /* [text_capacity] */
    size_t text_capacity;
} lm_run;

static bool start(const language_model *lm, const lm_request *request, lm_run *run)
{
    size_t context = lm->info->context_length;
    size_t capacity = request->n_prompt + request->n_tokens;

    if (context > 0 && capacity > context)
        capacity = context;
    run->text_capacity = ink_tokenizer_stream_capacity(lm->tokenizer);
    run->text = room(run->text_capacity, 1);
    run->logits = room(lm->info->vocab_size, sizeof *run->logits);
    return run->text != NULL && run->logits != NULL &&
           ok(lm, ink_state_size(lm->ctx, lm->model, capacity, &run->state_size)) &&
           ok(lm, ink_state_create(lm->ctx, lm->model, capacity, &run->state)) &&
           ok(lm, ink_context_reserve(lm->ctx, lm->model, 1, request->n_prompt, capacity)) &&
           ok(lm, ink_sampler_create(lm->ctx, &request->sampler, lm->info->vocab_size, &run->sampler)) &&
           ok(lm, ink_sampler_accept(lm->ctx, run->sampler, request->prompt, request->n_prompt));
}

static void finish(lm_run *run)
{
    ink_sampler_free(run->sampler);
    ink_state_free(run->state);
    free(run->logits);
    free(run->text);
}

bool lm_spell(const language_model *lm, ink_text_stream *stream, ink_token token, char *text, size_t capacity,
              size_t *size)
{
    size_t bytes;

    *size = 0;
    if (token >= 0 && ink_tokenizer_token(lm->tokenizer, token, &bytes) == NULL)
        return true;
    return ok(lm, ink_tokenizer_stream(lm->ctx, lm->tokenizer, stream, token, text, capacity, size));
}

/* What follows is spelled as the middle of a text, with the space before its first word; the prompt's own text is not
   for the sink. */
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

/* The loop. The logits of the prompt's last token are there. */
static bool produce(const language_model *lm, const lm_request *request, lm_run *run, lm_report *report)
{
    size_t context = lm->info->context_length;
    double begin = console_seconds();
    size_t n_steps = 0;
    bool go_on = true;

    for (report->end = LM_COUNT; report->n_tokens < request->n_tokens;) {
        ink_token token;
        if (!ok(lm, ink_sampler_pick(lm->ctx, run->sampler, run->logits, &token)))
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
        if (!ok(lm, ink_model_forward(lm->ctx, lm->model, run->state, &token, 1, run->logits)))
            return false;
        n_steps++;
    }
    report->rate = rate(n_steps, console_seconds() - begin);
    return report->end == LM_SINK || deliver(lm, request, run, -1, &go_on);
}

bool lm_continue(const language_model *lm, const lm_request *request, lm_report *report)
{
    lm_run run = {0};
    bool done = start(lm, request, &run) && spell_prompt(lm, request, &run);

    *report = (lm_report){.state_size = run.state_size};
    if (done) {
        double begin = console_seconds();
        done = ok(lm, ink_model_forward(lm->ctx, lm->model, run.state, request->prompt, request->n_prompt, run.logits));
        report->prompt_rate = rate(request->n_prompt, console_seconds() - begin);
    }
    done = done && produce(lm, request, &run, report);
    finish(&run);
    return done;
}
