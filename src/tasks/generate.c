/*
 * generate.c - continuing texts (generate.h): the generator, the rules for the next token, greedy and by sampling.
 *
 * beam.c chooses tokens by beam search. The rules are transformers' logits processors in their order.
 */
#include <math.h>
#include <string.h>

#include "../text/chat_object.h"
#include "generator.h"

bool ink_model_generation(const ink_model *model, ink_generate_options *options)
{
    *options = model->generation != NULL ? *model->generation : (ink_generate_options){0};
    return model->advises_generation;
}

bool ink_model_task(const ink_model *model, const char *task, ink_generate_options *options, const char **prefix)
{
    size_t i = 0;
    while (i < model->n_tasks && strcmp(model->tasks[i].name, task) != 0)
        i++;
    bool found = i < model->n_tasks;
    ink_model_generation(model, options);
    if (found)
        *options = *model->tasks[i].generation;
    *prefix = found ? model->tasks[i].prefix : "";
    return found;
}

/* ---- creating --------------------------------------------------------------------------------------------------- */

#define MOST_LENGTH_PENALTY 16.0f
#define MOST_STATES ((size_t)1 << 24) /* to measure a generator takes a step for each */

static ink_result check_list(ink_context *ctx, const char *name, ink_token_list list, size_t vocab_size)
{
    for (size_t i = 0; i < list.n_tokens; i++)
        if (list.tokens == NULL || list.tokens[i] < 0 || (size_t)list.tokens[i] >= vocab_size)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "generator: token %zu of %s is %lld, expected 0 to %zu", i, name,
                            list.tokens != NULL ? (long long)list.tokens[i] : -1, vocab_size - 1);
    return INK_OK;
}

/* Checks options that have their defaults filled in. */
static ink_result check_generate_options(ink_context *ctx, const ink_model *model, const ink_generate_options *o)
{
    size_t vocab_size = model->info.vocab_size, context = model->info.context_length;
    const struct {
        const char *name;
        ink_token_list list;
    } lists[] = {{"stop_tokens", o->stop_tokens},
                 {"suppressed", o->suppressed},
                 {"begin_suppressed", o->begin_suppressed},
                 {"forced_bos", o->forced_bos},
                 {"forced_eos", o->forced_eos}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        INK_TRY(check_list(ctx, lists[i].name, lists[i].list, vocab_size));
    if ((o->n_banned > 0 && o->banned == NULL) || (o->n_stop_texts > 0 && o->stop_texts == NULL))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "generator: %s is NULL, and there is a number of them",
                        o->n_banned > 0 && o->banned == NULL ? "banned" : "stop_texts");
    for (size_t i = 0; i < o->n_banned; i++) {
        INK_TRY(check_list(ctx, "a banned sequence", o->banned[i], vocab_size));
        if (o->banned[i].n_tokens == 0)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "generator: banned sequence %zu is empty", i);
    }
    if (o->n_beams > 1 && o->sampler.temperature != 0)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED,
                        "generator: beams are searched, not sampled: with n_beams %zu the temperature must be 0",
                        o->n_beams);
    if (o->n_beams > 1 && o->n_stop_texts > 0)
        return ink_fail(ctx, INK_ERROR_UNSUPPORTED, "generator: a beam search has no stop texts");
    if (o->n_beams > 1 && o->n_beams > UINT32_MAX / vocab_size)
        return ink_fail(ctx, INK_ERROR_LIMIT, "generator: %zu beams over a vocabulary of %zu tokens", o->n_beams,
                        vocab_size);
    if (o->n_beams > 1 && o->n_results > o->n_beams)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "generator: %zu results of %zu beams", o->n_results, o->n_beams);
    if (o->n_beams == 1 && o->n_results > 1 && o->sampler.temperature == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "generator: %zu results need beams or a temperature: greedy gives one",
                        o->n_results);
    if (!(o->length_penalty >= -MOST_LENGTH_PENALTY && o->length_penalty <= MOST_LENGTH_PENALTY))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "generator: length_penalty must be from -16 to 16");
    if ((unsigned)o->early_stopping > INK_STOP_NEVER)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "generator: there is no early_stopping %d", (int)o->early_stopping);
    for (size_t i = 0; i < o->n_stop_texts; i++)
        if (o->tokenizer == NULL || o->stop_texts[i].size == 0)
            return ink_fail(ctx, INK_ERROR_ARGUMENT, "generator: stop text %zu %s", i,
                            o->tokenizer == NULL ? "needs the tokenizer" : "is empty");
    if (context != 0 && o->capacity > context)
        return ink_fail(ctx, INK_ERROR_LIMIT,
                        "a generator for %zu tokens: the context of this %s model is %zu tokens long", o->capacity,
                        model->info.kind, context);
    if (context == 0 && o->capacity == 0 && o->max_tokens == 0 && o->max_length == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "generator: a %s model has no context that could be full: max_tokens must not be 0",
                        model->info.kind);
    return INK_OK;
}

/* Allocates a generator and its arrays, and sets their addresses. */
static ink_generator *generator_layout(ink_arena *arena, const ink_generator *fields, ink_run_of_request *measured)
{
    const ink_generate_options *o = &fields->options;
    size_t n = o->n_requests, width = fields->width, n_beams = o->n_beams > 1 ? o->n_beams : 0, rows = SIZE_MAX;
    ink_generator *g = ink_arena_alloc(arena, 1, sizeof *g);
    ink_size_mul(n, width, &rows);
    ink_generator made = *fields;
    made.stops = ink_arena_alloc(arena, fields->n_stops, sizeof *made.stops);
    made.candidates = ink_arena_alloc(arena, fields->n_candidates, sizeof *made.candidates);
    made.heap = ink_arena_alloc(arena, fields->n_candidates, sizeof *made.heap);
    made.states = ink_arena_alloc(arena, fields->n_states, sizeof *made.states);
    made.items = ink_arena_alloc(arena, n, width * sizeof *made.items);
    made.logits = ink_alloc_rows(arena, rows, made.model->info.vocab_size);
    made.text = ink_arena_alloc(arena, 1, fields->text_room);
    made.runs = ink_arena_alloc(arena, n, sizeof *made.runs);
    for (size_t i = 0; i < n; i++) {
        ink_run_of_request *run = g != NULL ? &made.runs[i] : measured;
        *run = (ink_run_of_request){.index = i};
        run->results = ink_arena_alloc(arena, o->n_results, sizeof *run->results);
        run->branches = ink_arena_alloc(arena, width, sizeof *run->branches);
        run->spare = ink_arena_alloc(arena, n_beams, sizeof *run->spare);
        run->finished = ink_arena_alloc(arena, n_beams, sizeof *run->finished);
        run->more_finished = ink_arena_alloc(arena, n_beams, sizeof *run->finished);
        size_t n_rows = width + 2 * n_beams;
        for (size_t s = 0; s < n_rows; s++) {
            ink_token *tokens = ink_arena_alloc(arena, fields->most_new, sizeof *tokens);
            char *held = s < width ? ink_arena_alloc(arena, 1, fields->stop_room) : NULL;
            if (g == NULL)
                continue;
            if (s < width)
                run->branches[s] = (ink_branch){.tokens = tokens, .held = held};
            else if (s < width + n_beams)
                run->spare[s - width] = tokens;
            else
                run->finished[s - width - n_beams].tokens = tokens;
        }
    }
    if (g != NULL)
        *g = made;
    return g;
}

/* The list of stop tokens: those of the options or the model, and those of the chat. Only counts them while
   `stops` is NULL. */
static size_t list_stops(const ink_model *model, const ink_generate_options *o, ink_token *stops)
{
    const ink_chat *chat = o->chat;
    ink_token_list listed = o->stop_tokens;
    size_t n = 0;
    if (listed.tokens == NULL)
        listed = (ink_token_list){model->info.stop_tokens, model->info.n_stop_tokens};
    for (size_t i = 0; i < listed.n_tokens; i++, n++)
        if (stops != NULL)
            stops[n] = listed.tokens[i];
    for (size_t i = 0; chat != NULL && i < chat->n_ends; i++) {
        ink_token token = chat->ends[i];
        if (token < 0 || (size_t)token >= model->info.vocab_size)
            continue;
        if (stops != NULL)
            stops[n] = token;
        n++;
    }
    return n;
}

ink_result ink_generator_create(ink_context *ctx, const ink_model *model, const ink_generate_options *options,
                                ink_generator **generator)
{
    INK_REQUIRE(ctx, generator);
    *generator = NULL;
    INK_REQUIRE(ctx, model, options);
    INK_TRY(ink_model_require_states(ctx, model));
    ink_generate_options o = *options;
    o.n_requests = ink_size_max(o.n_requests, 1);
    o.n_beams = ink_size_max(o.n_beams, 1);
    o.n_results = ink_size_max(o.n_results, 1);
    o.length_penalty = o.length_penalty == 0 ? 1 : o.length_penalty;
    INK_TRY(check_generate_options(ctx, model, &o));

    size_t vocab_size = model->info.vocab_size, n_states;
    if (o.capacity == 0 && model->info.context_length != 0)
        o.capacity = model->info.context_length;
    else if (o.capacity == 0 && model->network == INK_NETWORK_TRANSFORMER)
        o.capacity = o.max_tokens != 0 ? o.max_tokens : o.max_length;
    else if (o.capacity == 0)
        o.capacity = SIZE_MAX;
    ink_generator fields = {.model = model, .options = o, .most_new = o.capacity};
    fields.width = o.n_beams > 1 ? o.n_beams : o.n_results;
    if (o.max_tokens != 0)
        fields.most_new = ink_size_min(fields.most_new, o.max_tokens);
    else if (o.max_length != 0)
        fields.most_new = ink_size_min(fields.most_new, o.max_length);
    if (!ink_size_mul(o.n_requests, fields.width, &n_states) || n_states > MOST_STATES)
        return ink_fail(ctx, INK_ERROR_LIMIT, "generator: %zu requests of %zu results or beams", o.n_requests,
                        fields.width);
    fields.n_states = o.bring_states && fields.width == 1 ? 0 : n_states;
    fields.n_stops = list_stops(model, &o, NULL);
    if (o.n_beams > 1)
        fields.n_candidates = ink_size_min(ink_size_max(2, 1 + fields.n_stops), vocab_size) * o.n_beams;
    for (size_t i = 0; i < o.n_stop_texts; i++)
        fields.stop_room = ink_size_max(fields.stop_room, o.stop_texts[i].size);
    fields.text_room = fields.stop_room + ink_tokenizer_stream_capacity(o.tokenizer);

    ink_arena measure, arena;
    ink_run_of_request run;
    ink_arena_measure(&measure);
    generator_layout(&measure, &fields, &run);
    if (ink_arena_failed(&measure))
        return ink_fail(ctx, INK_ERROR_LIMIT, "the generator needs more memory than this machine can address");
    INK_TRY(ink_limit_check(ctx, "the generator", ink_object_size(&measure), INK_LIMIT(ctx, state_bytes)));
    INK_TRY(ink_object_new(ctx, "the generator", &measure, NULL, 0, &arena));
    ink_generator *g = generator_layout(&arena, &fields, &run);
    list_stops(model, &o, g->stops);
    if (g->n_states > 0)
        memset(g->states, 0, g->n_states * sizeof *g->states);
    ink_result result = ink_sampler_create(ctx, &o.sampler, vocab_size, &g->sampler);
    for (size_t i = 0; i < g->n_states && result == INK_OK; i++)
        result = ink_state_create_with(ctx, model, &(ink_state_options){.capacity = o.capacity, .cache = o.cache},
                                       &g->states[i]);
    size_t source = model->encoder_decoder.source_length, size;
    source = source != 0 ? source : o.source_capacity;
    if (result == INK_OK)
        result = ink_context_reserve(ctx, model, n_states, SIZE_MAX, ink_size_max(o.capacity, source));
    if (result == INK_OK && o.tokenizer != NULL) /* also takes the scratch memory for texts */
        result = ink_tokenizer_stream(ctx, o.tokenizer, &(ink_text_stream){0}, -1, g->text, g->text_room, &size);
    if (result != INK_OK) {
        ink_generator_free(g);
        return result;
    }
    *generator = g;
    return INK_OK;
}

void ink_generator_free(ink_generator *g)
{
    if (g == NULL)
        return;
    for (size_t i = 0; i < g->n_states; i++)
        ink_state_free(g->states[i]);
    ink_sampler_free(g->sampler);
    ink_object_free(g);
}

/* ---- the rules -------------------------------------------------------------------------------------------------- */

static void exclude(float *z, ink_token token) { z[token] = -INFINITY; }

static void exclude_list(float *z, const ink_token *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++)
        exclude(z, tokens[i]);
}

/* Only these are left, and equally likely. */
static void force_list(float *z, size_t vocab_size, ink_token_list list)
{
    for (size_t i = 0; i < vocab_size; i++)
        z[i] = -INFINITY;
    for (size_t i = 0; i < list.n_tokens; i++)
        z[list.tokens[i]] = 0;
}

/* Token i of a branch: of the request, then the new ones. */
static ink_token token_of(const ink_run_of_request *run, const ink_branch *branch, size_t i)
{
    return i < run->n_tokens ? run->tokens[i] : branch->tokens[i - run->n_tokens];
}

/* Whether these n tokens are the last of a branch of `length`, n <= length. */
static bool ends_with(const ink_run_of_request *run, const ink_branch *branch, size_t length, const ink_token *tokens,
                      size_t n)
{
    size_t i = 0;
    while (i < n && tokens[i] == token_of(run, branch, length - n + i))
        i++;
    return i == n;
}

ink_result ink_generate_rules(ink_context *ctx, const ink_generator *g, const ink_run_of_request *run,
                              const ink_branch *branch, float *z)
{
    const ink_generate_options *o = &g->options;
    size_t vocab_size = g->model->info.vocab_size, n_new = branch->n, length = run->n_tokens + n_new;
    ink_token_list source = run->request->source;
    if (source.n_tokens == 0 && !g->model->is_encoder_decoder)
        source = (ink_token_list){run->tokens, run->n_tokens};

    ink_sampler_reset(g->sampler);
    INK_TRY(ink_sampler_accept(ctx, g->sampler, run->tokens, run->n_tokens));
    INK_TRY(ink_sampler_accept(ctx, g->sampler, branch->tokens, n_new));
    ink_sampler_penalise(g->sampler, z);

    size_t n = o->no_repeat_ngram_size;
    for (size_t at = 0; n > 0 && length >= n && at <= length - n; at++) {
        size_t i = 0;
        while (i + 1 < n && token_of(run, branch, at + i) == token_of(run, branch, length + 1 - n + i))
            i++;
        if (i + 1 == n)
            exclude(z, token_of(run, branch, at + i));
    }
    n = o->encoder_no_repeat_ngram_size;
    for (size_t at = 0; n > 0 && n - 1 <= length && source.n_tokens >= n && at <= source.n_tokens - n; at++)
        if ((size_t)source.tokens[at + n - 1] < vocab_size && /* the source may have other words */
            ends_with(run, branch, length, source.tokens + at, n - 1))
            exclude(z, source.tokens[at + n - 1]);
    for (size_t i = 0; i < o->n_banned; i++) {
        ink_token_list banned = o->banned[i];
        n = banned.n_tokens - 1;
        if (n <= length && ends_with(run, branch, length, banned.tokens, n) &&
            (n > 0 || !ink_generate_stops(g, banned.tokens[0])))
            exclude(z, banned.tokens[n]);
    }
    if (o->min_tokens != 0 ? n_new < o->min_tokens : length < o->min_length)
        exclude_list(z, g->stops, g->n_stops);
    if (length == 1 && o->forced_bos.n_tokens > 0)
        force_list(z, vocab_size, o->forced_bos);
    if (n_new + 1 == run->most && o->forced_eos.n_tokens > 0)
        force_list(z, vocab_size, o->forced_eos);
    exclude_list(z, o->suppressed.tokens, o->suppressed.n_tokens);
    if (n_new == (size_t)(run->n_tokens == 1 && o->forced_bos.n_tokens > 0))
        exclude_list(z, o->begin_suppressed.tokens, o->begin_suppressed.n_tokens);
    return INK_OK;
}

ink_result ink_generate_none_left(ink_context *ctx, const ink_generator *g, const ink_run_of_request *run, size_t n)
{
    return ink_fail(ctx, INK_ERROR_NONFINITE,
                    "request %zu: the rules of the generator exclude all %zu tokens behind %zu new ones", run->index,
                    g->model->info.vocab_size, n);
}

bool ink_generate_stops(const ink_generator *g, ink_token token)
{
    for (size_t i = 0; i < g->n_stops; i++)
        if (g->stops[i] == token)
            return true;
    return false;
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

size_t ink_generate_cut(const ink_generate_options *o, const char *text, size_t size, size_t old, size_t *n_held,
                        bool *found)
{
    size_t longest = 0, most = 0;
    for (size_t end = old + 1; end <= size; end++) {
        for (size_t i = 0; i < o->n_stop_texts; i++) {
            const ink_stop_text *stop = &o->stop_texts[i];
            if (stop->size <= end && memcmp(text + end - stop->size, stop->text, stop->size) == 0)
                longest = ink_size_max(longest, stop->size);
        }
        if (longest > 0) {
            *found = true;
            *n_held = 0;
            return end - longest;
        }
    }
    for (size_t i = 0; i < o->n_stop_texts; i++)
        for (size_t n = ink_size_min(o->stop_texts[i].size - 1, size); n > most; n--)
            if (memcmp(text + size - n, o->stop_texts[i].text, n) == 0)
                most = n;
    *n_held = most;
    return size - most;
}

/* Hands over a token, or -1 at the end of a result, with its text. *end stays LENGTH, or becomes what ends the result
   here. */
static ink_result deliver_token(ink_context *ctx, ink_generator *g, ink_run_of_request *run, size_t result,
                                ink_token token, ink_generate_end *end)
{
    const ink_generate_options *o = &g->options;
    ink_branch *s = &run->branches[result];
    ink_generate_step step = {
        .request = run->index, .result = result, .n_tokens = s->n, .token = token, .is_last = token < 0};
    if (o->tokenizer != NULL && (o->callback != NULL || o->n_stop_texts > 0)) {
        size_t old = s->n_held, size;
        bool found = false;
        memcpy(g->text, s->held, old);
        INK_TRY(ink_tokenizer_stream(ctx, o->tokenizer, &s->stream, token, g->text + old, g->text_room - old, &size));
        step.text = g->text;
        step.size = ink_generate_cut(o, g->text, old + size, old, &s->n_held, &found);
        memcpy(s->held, g->text + step.size, s->n_held);
        if (found) {
            *end = INK_END_STOP_TEXT;
            step.is_last = true;
        } else if (token < 0) {
            step.size += s->n_held;
        }
    } else {
        step.text = "";
    }
    if (o->callback != NULL && !o->callback(o->user, &step) && !step.is_last)
        *end = INK_END_CALLBACK;
    return INK_OK;
}

/* ---- greedy and by sampling ------------------------------------------------------------------------------------- */

static void finish_result(ink_run_of_request *run, size_t r, ink_generate_end end, ink_token stop_token)
{
    ink_branch *s = &run->branches[r];
    run->results[r] = (ink_generated){.tokens = s->tokens, .n_tokens = s->n, .stop_token = stop_token, .end = end};
    s->lives = false;
}

static ink_result fail_in_request(ink_context *ctx, ink_result result, size_t i)
{
    char where[48];
    ink_format(where, sizeof where, "request %zu", i);
    return ink_fail_in(ctx, result, where);
}

/* Draws the next token of each result that lives. */
static ink_result sample_step(ink_context *ctx, ink_generator *g, ink_run_of_request *run)
{
    size_t vocab_size = g->model->info.vocab_size, row = 0;
    run->lives = false;
    for (size_t r = 0; r < g->width; r++) {
        ink_branch *s = &run->branches[r];
        float *z = run->logits + row * vocab_size;
        ink_token token;
        if (!s->lives)
            continue;
        row += !run->shared;
        if (!run->shared || r == 0)
            INK_TRY(ink_generate_rules(ctx, g, run, s, z));
        double u = ink_random(&s->random);
        ink_sampler_reset(g->sampler); /* the rules have penalised what the text has */
        ink_result result = ink_sampler_pick_with(ctx, g->sampler, z, u, &token);
        if (result != INK_OK && z[ink_argmax(z, vocab_size)] == -INFINITY)
            return ink_generate_none_left(ctx, g, run, s->n);
        if (result != INK_OK)
            return fail_in_request(ctx, result, run->index);
        ink_generate_end end = INK_END_LENGTH;
        bool stops = ink_generate_stops(g, token);
        if (!stops) {
            s->tokens[s->n++] = token;
            INK_TRY(deliver_token(ctx, g, run, r, token, &end));
        }
        if (!stops && end == INK_END_LENGTH && s->n < run->most) {
            run->lives = true;
            continue;
        }
        if (stops)
            end = INK_END_STOP_TOKEN;
        finish_result(run, r, end, stops ? token : -1);
        if (end == INK_END_LENGTH || stops)
            INK_TRY(deliver_token(ctx, g, run, r, -1, &run->results[r].end));
    }
    for (size_t r = 0; run->shared && r < g->width; r++)
        if (run->branches[r].lives && run->branches[r].state != run->root)
            INK_TRY(ink_state_copy(ctx, run->root, run->branches[r].state));
    run->shared = false;
    return INK_OK;
}

/* ---- the loop --------------------------------------------------------------------------------------------------- */

/* Checks a request, and notes its tokens. */
static ink_result check_request(ink_context *ctx, ink_generator *g, const ink_request *request, size_t i)
{
    const ink_generate_options *o = &g->options;
    const ink_model *model = g->model;
    const ink_state *state = request->state;
    ink_run_of_request *run = &g->runs[i];
    size_t seen = ink_state_length(state),
           room = state != NULL ? ink_size_min(state->capacity, o->capacity) : o->capacity;
    run->tokens = request->tokens;
    run->n_tokens = request->n_tokens;
    if (run->n_tokens == 0 && model->is_encoder_decoder && model->encoder_decoder.start_token >= 0) {
        run->tokens = &model->encoder_decoder.start_token;
        run->n_tokens = 1;
    }
    if (run->tokens == NULL || run->n_tokens == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "request %zu: there are no tokens to continue", i);
    if (state == NULL && g->n_states == 0)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "request %zu: bring_states is set, but it brings none", i);
    if (state != NULL && state->model != model)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "request %zu: its state is one of another model", i);
    if (state != NULL && state->capacity > o->capacity && state->capacity != SIZE_MAX)
        return ink_fail(ctx, INK_ERROR_LIMIT, "request %zu: its state is for %zu tokens, the generator for %zu", i,
                        state->capacity, o->capacity);
    if (state == NULL && model->is_encoder_decoder && request->encoded == NULL)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "request %zu: a %s model continues from a source, but encoded is NULL",
                        i, model->info.kind);
    if (request->encoded != NULL && (state != NULL || !model->is_encoder_decoder))
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "request %zu: it has a source, but %s", i,
                        state != NULL ? "also a state, which begins with its own" : "the model wants none");
    if (o->encoder_no_repeat_ngram_size > 0 && request->source.tokens == NULL &&
        (model->is_encoder_decoder || request->source.n_tokens > 0))
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "request %zu: encoder_no_repeat_ngram_size needs the tokens of its source", i);
    if (seen >= run->n_tokens)
        return ink_fail(ctx, INK_ERROR_ARGUMENT,
                        "request %zu: there is nothing to run: it has %zu tokens, and its state has seen %zu", i,
                        run->n_tokens, seen);
    if (state != NULL && g->width > 1) { /* the branches get copies of it: they must be able to hold one */
        ink_result result = ink_state_copy_from(ctx, state, g->states[i * g->width], seen);
        if (result != INK_OK)
            return fail_in_request(ctx, result, i);
    }
    if (run->n_tokens > room)
        return ink_fail(ctx, INK_ERROR_LIMIT, "request %zu: its %zu tokens do not fit: there is room for %zu", i,
                        run->n_tokens, room);
    if (o->max_tokens == 0 && o->max_length != 0 && run->n_tokens >= o->max_length)
        return ink_fail(ctx, INK_ERROR_ARGUMENT, "request %zu: it has %zu tokens, and max_length is %zu", i,
                        run->n_tokens, o->max_length);
    return ink_model_check_ids(ctx, "request", i, "token", run->tokens, run->n_tokens, model->info.vocab_size);
}

/* Sets up the branches of a request. */
static ink_result begin_request(ink_context *ctx, ink_generator *g, ink_run_of_request *run, ink_request *request)
{
    const ink_generate_options *o = &g->options;
    ink_state **own = g->n_states > 0 ? &g->states[run->index * g->width] : NULL;
    bool goes_on = o->tokenizer != NULL && o->chat == NULL && (o->callback != NULL || o->n_stop_texts > 0);
    size_t size;
    run->request = request;
    request->results = run->results;
    request->n_results = o->n_beams > 1 ? 0 : o->n_results;
    for (size_t i = 0; i < o->n_results; i++)
        run->results[i] = (ink_generated){.stop_token = -1};
    run->lives = run->shared = true;
    run->stream = (ink_text_stream){0};
    /* The new text is spelled as the middle of a text, with the space before its first word. */
    for (size_t i = 0; goes_on && i < run->n_tokens; i++)
        INK_TRY(ink_tokenizer_stream(ctx, o->tokenizer, &run->stream, run->tokens[i], g->text, g->text_room, &size));
    if (goes_on)
        INK_TRY(ink_tokenizer_stream(ctx, o->tokenizer, &run->stream, -1, g->text, g->text_room, &size));
    for (size_t i = 0; i < g->width; i++) {
        ink_branch *s = &run->branches[i];
        *s = (ink_branch){.tokens = s->tokens, .held = s->held, .lives = true, .stream = run->stream};
        s->random = o->sampler.seed + request->seed + i * 0xD1B54A32D192ED03u;
        s->state = own != NULL ? own[i] : request->state;
    }
    run->root = request->state != NULL ? request->state : own[0];
    ink_result result = INK_OK;
    if (request->encoded != NULL)
        result = ink_state_begin(ctx, run->root, request->encoded);
    else if (request->state == NULL)
        ink_state_reset(run->root);
    if (result != INK_OK)
        return fail_in_request(ctx, result, run->index);
    if (g->width == 1)
        run->branches[0].state = run->root;

    size_t room = ink_size_min(run->root->capacity, o->capacity);
    run->most = g->most_new;
    if (o->max_tokens == 0 && o->max_length != 0)
        run->most = ink_size_min(run->most, o->max_length - run->n_tokens);
    if (room != SIZE_MAX)
        run->most = ink_size_min(run->most, room - run->n_tokens + 1);
    if (o->n_beams > 1)
        ink_beam_begin(g, run);
    return INK_OK;
}

/* The callback gets the results of a beam search as if they had been sampled. */
static ink_result deliver_results(ink_context *ctx, ink_generator *g, ink_run_of_request *run)
{
    ink_request *request = run->request;
    for (size_t r = 0; r < request->n_results && g->options.callback != NULL; r++) {
        ink_generated *result = &run->results[r];
        ink_generate_end end = INK_END_LENGTH;
        run->branches[r].stream = run->stream;
        for (size_t i = 0; i < result->n_tokens && end == INK_END_LENGTH; i++) {
            run->branches[r].n = i + 1;
            INK_TRY(deliver_token(ctx, g, run, r, result->tokens[i], &end));
        }
        if (end == INK_END_LENGTH)
            INK_TRY(deliver_token(ctx, g, run, r, -1, &end));
    }
    return INK_OK;
}

ink_result ink_generate(ink_context *ctx, ink_generator *generator, ink_request *requests, size_t n_requests)
{
    ink_generator *g = generator;
    INK_REQUIRE(ctx, generator);
    if (n_requests == 0)
        return INK_OK;
    INK_REQUIRE(ctx, requests);
    if (n_requests > g->options.n_requests)
        return ink_fail(ctx, INK_ERROR_LIMIT, "%zu requests: the generator was made for %zu", n_requests,
                        g->options.n_requests);
    for (size_t i = 0; i < n_requests; i++)
        INK_TRY(check_request(ctx, g, &requests[i], i));

    size_t vocab_size = g->model->info.vocab_size, n_items = n_requests;
    for (size_t i = 0; i < n_requests; i++) {
        ink_run_of_request *run = &g->runs[i];
        INK_TRY(begin_request(ctx, g, run, &requests[i]));
        size_t seen = ink_state_length(run->root);
        run->logits = g->logits + i * vocab_size;
        g->items[i] = (ink_item){.state = run->root,
                                 .tokens = run->tokens + seen,
                                 .n_tokens = run->n_tokens - seen,
                                 .logits = run->logits,
                                 .n_logits = 1};
    }
    while (n_items > 0) {
        INK_TRY(ink_model_forward_list(ctx, g->model, g->items, n_items));
        n_items = 0;
        for (size_t i = 0; i < n_requests; i++) {
            ink_run_of_request *run = &g->runs[i];
            if (!run->lives)
                continue;
            INK_TRY(g->options.n_beams > 1 ? ink_beam_step(ctx, g, run) : sample_step(ctx, g, run));
            if (!run->lives && g->options.n_beams > 1)
                INK_TRY(deliver_results(ctx, g, run));
            run->logits = g->logits + n_items * vocab_size;
            for (size_t b = 0; run->lives && b < g->width; b++) {
                ink_branch *s = &run->branches[b];
                if (!s->lives)
                    continue;
                g->items[n_items] = (ink_item){.state = s->state,
                                               .tokens = &s->tokens[s->n - 1],
                                               .n_tokens = 1,
                                               .logits = g->logits + n_items * vocab_size,
                                               .n_logits = 1};
                n_items++;
            }
        }
    }
    return INK_OK;
}
