/*
 * lm.c - a model with its tokenizer, and a text that is continued and measured.
 */
#include "lm.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vocabulary.h"

/* ---- opening ---------------------------------------------------------------------------------------------------- */

#ifndef EXAMPLES_MODELS
#define EXAMPLES_MODELS "examples/models"
#endif

bool bundled_folder(char room[PATH_ROOM], const char *model)
{
    const char *models = getenv("INKLING_MODELS");
    return path_join(room, models != NULL && *models != '\0' ? models : EXAMPLES_MODELS, model);
}

enum { BAR = 40 };

/* "[##########                              ]  25 % of 1.26 GB" */
bool lm_progress(void *user, uint64_t done, uint64_t total)
{
    char marks[BAR + 1], bytes[CONSOLE_ROOM];
    double share = total > 0 ? (double)done / (double)total : 1;
    (void)user;
    for (int i = 0; i < BAR; i++)
        marks[i] = i < share * BAR ? '#' : ' ';
    marks[BAR] = '\0';
    console_progress("[%s] %3.0f %% of %s", marks, 100 * share, console_bytes(bytes, total));
    return true;
}

const char *lm_type;

ink_result lm_load(ink_context *ctx, const char *folder, ink_pooling pooling, ink_model **model)
{
    static const struct {
        const char *name;
        ink_type type;
    } types[] = {{"f32", INK_F32}, {"bf16", INK_BF16}, {"f16", INK_F16}, {"q8", INK_Q8_0}, {"q4", INK_Q4_0}};
    ink_model_options options = {.pooling = pooling, .progress = lm_progress};
    for (size_t i = 0; lm_type != NULL && i < sizeof types / sizeof *types; i++)
        if (strcmp(lm_type, types[i].name) == 0)
            options.type = types[i].type;
    ink_result result = ink_model_open(ctx, folder, &options, model);
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
    if (ink_model_get_encoder_decoder(lm->model) != NULL)
        return console_complain("%s: a %s reads one text and writes another; use translate or summarise", folder,
                                lm->info->kind);
    return ink_model_get_encoder(lm->model) == NULL ||
           console_complain("%s: a %s is an encoder and continues no texts; use embed, classify, answer, tag or fill",
                            folder, lm->info->kind);
}

bool lm_open_reader(language_model *lm, ink_context *ctx, const char *folder, lm_text text)
{
    if (!open_folder(lm, ctx, folder, INK_POOLING_NONE, text))
        return false;
    if (ink_model_get_encoder_decoder(lm->model) != NULL)
        return true;
    return console_complain("%s: a %s does not read one text to write another; %s", folder, lm->info->kind,
                            ink_model_get_encoder(lm->model) != NULL ? "use embed, classify, answer, tag or fill"
                                                                     : "generate continues texts with it");
}

bool lm_open_encoder(language_model *lm, ink_context *ctx, const char *folder, ink_pooling pooling, lm_text text)
{
    if (!open_folder(lm, ctx, folder, pooling, text))
        return false;
    return ink_model_get_encoder(lm->model) != NULL ||
           console_complain("%s: a %s is no encoder; %s", folder, lm->info->kind,
                            ink_model_get_encoder_decoder(lm->model) != NULL
                                ? "translate or summarise write texts with it"
                                : "generate continues texts with it");
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
    const ink_encoder_decoder_info *reader = ink_model_get_encoder_decoder(lm->model);
    size_t i = 0, n_rows = reader != NULL ? reader->source_vocab_size : lm->info->vocab_size;
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
    if (done)
        vocabulary_note(lm->ctx, lm->tokenizer, lm->folder, input->text, input->size, input->flags);
    if (done && input->pair != NULL)
        vocabulary_note(lm->ctx, lm->tokenizer, lm->folder, input->pair, input->pair_size, input->flags);
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

/* ---- continuing ------------------------------------------------------------------------------------------------- */

bool lm_cache_type(const char *name, ink_type *type)
{
    static const struct {
        const char *name;
        ink_type type;
    } types[] = {{"f32", INK_F32}, {"f16", INK_F16}, {"q8", INK_I8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (name == NULL || strcmp(name, types[i].name) == 0) {
            *type = types[i].type;
            return true;
        }
    return console_complain("--cache expects f32, f16 or q8, found '%s'", name);
}

bool generating_choose(const generating *g, const ink_model *model, ink_generate_options *options)
{
    ink_generate_options o;
    const char *prefix;
    if (g->n_beams != GENERATING_UNSET && g->n_beams > 1 && g->temperature > 0)
        return console_complain("--beams searches for the likeliest text, and -t above 0 draws one: give one of them");
    if (g->min_tokens != GENERATING_UNSET && g->n_tokens < g->min_tokens) /* GENERATING_UNSET is above all */
        return console_complain("--min expects at most the %llu tokens of -n, found %llu",
                                (unsigned long long)g->n_tokens, (unsigned long long)g->min_tokens);
    bool reads = ink_model_get_encoder_decoder(model) != NULL;
    bool advised = ink_model_generation(model, &o);
    if (g->task != NULL)
        advised = ink_model_task(model, g->task, &o, &prefix) || advised;
    if (!advised && !reads)
        o.sampler.temperature = 0.8f;
    o.n_results = 1;
    if (g->temperature >= 0)
        o.sampler.temperature = (float)g->temperature;
    if (g->n_beams != GENERATING_UNSET)
        o.n_beams = (size_t)g->n_beams;
    if (o.n_beams > 1 && g->temperature <= 0)
        o.sampler.temperature = 0;
    else if (o.sampler.temperature != 0 && g->n_beams == GENERATING_UNSET)
        o.n_beams = 1;
    if (g->top_k != GENERATING_UNSET)
        o.sampler.top_k = (size_t)g->top_k;
    if (g->top_p >= 0)
        o.sampler.top_p = (float)g->top_p;
    if (g->min_p >= 0)
        o.sampler.min_p = (float)g->min_p;
    if (g->repeat_penalty >= 0)
        o.sampler.repeat_penalty = (float)g->repeat_penalty;
    o.sampler.seed = g->seed;
    if (!lm_cache_type(g->cache, &o.cache))
        return false;
    if (g->length_penalty >= 0)
        o.length_penalty = g->length_penalty > 0 ? (float)g->length_penalty : FLT_MIN;
    if (g->min_tokens != GENERATING_UNSET)
        o.min_tokens = (size_t)g->min_tokens;
    if (g->no_repeat != GENERATING_UNSET)
        o.no_repeat_ngram_size = (size_t)g->no_repeat;
    if (g->n_tokens != GENERATING_UNSET)
        o.max_tokens = (size_t)g->n_tokens;
    if (o.sampler.temperature == 0 && (g->top_k != GENERATING_UNSET || g->top_p >= 0 || g->min_p >= 0))
        console_note("(-k, -p and --min-p have no effect at temperature 0)");
    if (o.n_beams < 2 && g->length_penalty >= 0)
        console_note("(--length-penalty has no effect without --beams)");
    *options = o;
    return true;
}

/* Stands between the generator and the caller's callback: notes when the first call comes. */
typedef struct stopwatch {
    const ink_generate_options *options;
    size_t n_searches;
    double first;
} stopwatch;

static bool stopwatch_step(void *user, const ink_generate_step *step)
{
    stopwatch *w = user;
    if (w->first == 0)
        w->first = console_seconds();
    w->n_searches += step->searches;
    return w->options->callback == NULL || w->options->callback(w->options->user, step);
}

bool lm_continue(const language_model *lm, const ink_token *prompt, size_t n_prompt,
                 const ink_generate_options *options, lm_report *report)
{
    ink_generate_options o = *options;
    stopwatch watch = {.options = options};
    ink_generator *generator = NULL;
    ink_request request = {.tokens = prompt, .n_tokens = n_prompt};
    size_t context = lm->info->context_length, n_states = o.n_beams > 1 ? o.n_beams : 1;
    o.capacity = n_prompt + o.max_tokens;
    if (context > 0 && o.capacity > context)
        o.capacity = context;
    o.tokenizer = lm->tokenizer;
    o.callback = stopwatch_step;
    o.user = &watch;
    *report = (lm_report){.end = INK_END_LENGTH};
    const ink_state_options with = {.capacity = o.capacity, .cache = o.cache};
    if (!console_ok(lm->ctx, ink_state_size_with(lm->ctx, lm->model, &with, &report->state_size)))
        return false;
    report->state_size *= n_states;
    if (o.max_tokens == 0)
        return true;
    bool done = console_ok(lm->ctx, ink_generator_create(lm->ctx, lm->model, &o, &generator));
    double begin = console_seconds();
    done = done && console_ok(lm->ctx, ink_generate(lm->ctx, generator, &request, 1));
    if (done && request.n_results > 0) {
        const ink_generated *result = &request.results[0];
        report->end = result->end;
        report->n_tokens = result->n_tokens;
        report->is_full = result->end == INK_END_LENGTH && result->n_tokens < o.max_tokens;
        report->n_steps = watch.n_searches > 0 ? watch.n_searches - 1 : result->n_tokens - (result->stop_token < 0);
        report->prompt_seconds = watch.first - begin;
        report->seconds = console_seconds() - watch.first;
    }
    ink_generator_free(generator);
    return done;
}
