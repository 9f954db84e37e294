/*
 * test_generate.c - continuing texts: many requests at once, samples, states that go on, text, stop texts, sources,
 * mistakes. test_generation_cases.c has the rules that choose the tokens.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "fixture.h"
#include "layers.h"

#include "../src/tasks/generator.h"

/* ---- the bundled model ------------------------------------------------------------------------------------------ */

typedef struct bundled {
    ink_context *ctx;
    ink_model *model;
    ink_tokenizer *tokenizer;
    ink_token prompts[4][32];
    size_t lengths[4];
} bundled;

static void bundled_open(bundled *b, ink_context *ctx)
{
    static const char *const texts[4] = {"Anna and Tom were in the garden. Tom hid the ball", "Anna",
                                         "It was night. Mia", "The cat was in the kitchen. Ben opened the door."};
    *b = (bundled){.ctx = ctx};
    assert_ok(ctx, ink_model_open(ctx, MODELS "/gpt", NULL, &b->model));
    assert_ok(ctx, ink_tokenizer_open(ctx, MODELS "/gpt", &b->tokenizer));
    for (size_t i = 0; i < 4; i++)
        assert_ok(ctx, ink_tokenizer_encode(ctx, b->tokenizer, texts[i], strlen(texts[i]), INK_ENCODE_DEFAULT,
                                            b->prompts[i], 32, &b->lengths[i]));
}

static void bundled_close(bundled *b)
{
    ink_tokenizer_free(b->tokenizer);
    ink_model_free(b->model);
}

static ink_request request_of(const bundled *b, size_t i)
{
    return (ink_request){.tokens = b->prompts[i % 4], .n_tokens = b->lengths[i % 4], .seed = i / 4};
}

static ink_generator *generator_of(const bundled *b, const ink_generate_options *options)
{
    ink_generator *generator;
    assert_ok(b->ctx, ink_generator_create(b->ctx, b->model, options, &generator));
    return generator;
}

static void assert_same_results(const ink_request *a, const ink_request *b)
{
    assert_int_equal(a->n_results, b->n_results);
    for (size_t r = 0; r < a->n_results; r++) {
        const ink_generated *x = &a->results[r], *y = &b->results[r];
        assert_int_equal(x->n_tokens, y->n_tokens);
        assert_memory_equal(x->tokens, y->tokens, x->n_tokens * sizeof *x->tokens);
        assert_int_equal(x->stop_token, y->stop_token);
        assert_int_equal(x->end, y->end);
        assert_memory_equal(&x->score, &y->score, sizeof x->score);
    }
}

/* Ways to generate: greedy, one and three results by sampling, beams. */
static const ink_generate_options ways[] = {
    {.max_tokens = 40},
    {.max_tokens = 40, .sampler = {.temperature = 0.9f, .top_k = 30, .repeat_penalty = 1.1f, .seed = 3}},
    {.max_tokens = 30, .sampler = {.temperature = 1, .seed = 5}, .n_results = 3},
    {.max_tokens = 30, .n_beams = 4, .n_results = 2, .no_repeat_ngram_size = 3},
    {.max_length = 30, .n_beams = 3, .early_stopping = INK_STOP_EARLY, .length_penalty = 2},
};

#define N_WAYS (sizeof ways / sizeof *ways)

/* Requests of different lengths end at different times; each result is that of the request alone. */
static void a_list_gives_what_each_gives_alone(ink_context *ctx)
{
    bundled b;
    bundled_open(&b, ctx);
    for (size_t w = 0; w < N_WAYS; w++) {
        ink_generate_options together = ways[w];
        together.n_requests = 8;
        ink_generator *list = generator_of(&b, &together), *one = generator_of(&b, &ways[w]);
        ink_request requests[8];
        for (size_t i = 0; i < 8; i++)
            requests[i] = request_of(&b, i);
        assert_ok(ctx, ink_generate(ctx, list, requests, 8));
        for (size_t i = 0; i < 8; i++) {
            ink_request alone = request_of(&b, i);
            assert_ok(ctx, ink_generate(ctx, one, &alone, 1));
            assert_same_results(&alone, &requests[i]);
        }
        ink_generator_free(list);
        ink_generator_free(one);
    }
    bundled_close(&b);
}

/* Every kernel, with 1, 2 and 3 threads: the same tokens, and the same bits of the scores. */
static void results_are_the_same_everywhere(ink_context *ctx)
{
    bundled b, elsewhere;
    ink_context *other = NULL;
    bundled_open(&b, ctx);
    elsewhere = b;
    for (size_t i = 0; (other = elsewhere.ctx = test_variant(other, i)) != NULL; i++)
        for (size_t w = 0; w < N_WAYS; w++) {
            ink_generator *generator = generator_of(&b, &ways[w]), *same = generator_of(&elsewhere, &ways[w]);
            ink_request request = request_of(&b, i), again = request;
            assert_ok(ctx, ink_generate(ctx, generator, &request, 1));
            assert_ok(other, ink_generate(other, same, &again, 1));
            assert_same_results(&again, &request);
            ink_generator_free(generator);
            ink_generator_free(same);
        }
    bundled_close(&b);
}

/* Sampling is a loop over ink_sampler_pick(). The second result, another seed and the same seed again. */
static void samples_are_those_of_the_sampler(ink_context *ctx)
{
    bundled b;
    bundled_open(&b, ctx);
    const ink_generate_options *o = &ways[1];
    ink_generate_options two = *o;
    two.n_results = 2;
    ink_generator *generator = generator_of(&b, &two);
    ink_request request = request_of(&b, 0), other = request;
    assert_ok(ctx, ink_generate(ctx, generator, &request, 1));
    ink_token first[2][40];
    size_t n[2];
    for (size_t r = 0; r < 2; r++)
        memcpy(first[r], request.results[r].tokens, (n[r] = request.results[r].n_tokens) * sizeof(ink_token));
    assert_true(n[0] != n[1] || memcmp(first[0], first[1], n[0] * sizeof(ink_token)) != 0);
    other.seed = 1;
    assert_ok(ctx, ink_generate(ctx, generator, &other, 1));
    assert_true(other.results[0].n_tokens != n[0] ||
                memcmp(other.results[0].tokens, first[0], n[0] * sizeof(ink_token)) != 0);
    assert_ok(ctx, ink_generate(ctx, generator, &request, 1));
    assert_memory_equal(request.results[1].tokens, first[1], n[1] * sizeof(ink_token));

    size_t vocab_size = ink_model_get_info(b.model)->vocab_size, n_next = request.n_tokens;
    float *logits = malloc(vocab_size * sizeof *logits);
    const ink_token *next = request.tokens;
    ink_token token;
    ink_state *state;
    ink_sampler *sampler;
    assert_ok(ctx, ink_state_create(ctx, b.model, 0, &state));
    assert_ok(ctx, ink_sampler_create(ctx, &o->sampler, vocab_size, &sampler));
    assert_ok(ctx, ink_sampler_accept(ctx, sampler, request.tokens, request.n_tokens));
    for (size_t i = 0; i < n[0]; i++, next = &token, n_next = 1) {
        assert_ok(ctx, ink_model_forward(ctx, b.model, state, next, n_next, logits));
        assert_ok(ctx, ink_sampler_pick(ctx, sampler, logits, &token));
        assert_int_equal(token, first[0][i]);
    }
    ink_sampler_free(sampler);
    ink_state_free(state);
    free(logits);
    ink_generator_free(generator);

    /* At a low temperature all results begin with the likeliest token: that of one is not penalised in the others. */
    two.n_results = 3;
    two.sampler = (ink_sampler_options){.temperature = 0.01f, .repeat_penalty = 9};
    generator = generator_of(&b, &two);
    assert_ok(ctx, ink_generate(ctx, generator, &request, 1));
    for (size_t r = 1; r < 3; r++)
        assert_int_equal(request.results[r].tokens[0], request.results[0].tokens[0]);
    ink_generator_free(generator);
    bundled_close(&b);
}

/* Twenty tokens and then twenty more in the same state are forty at once; the state has seen all but the last, or all
   where a stop token ended the text. Other tokens may stand between. */
static void a_state_goes_on(ink_context *ctx)
{
    bundled b;
    bundled_open(&b, ctx);
    ink_generate_options half = {.max_tokens = 20, .bring_states = true}, whole = {.max_tokens = 40};
    ink_generator *halves = generator_of(&b, &half), *wholes = generator_of(&b, &whole);
    ink_request all = request_of(&b, 0), part = all, turn;
    ink_token tokens[128];
    ink_state *state;
    assert_ok(ctx, ink_state_create(ctx, b.model, 100, &state));
    assert_fails(ctx, ink_generate(ctx, halves, &part, 1), INK_ERROR_ARGUMENT, "request 0: bring_states is set");
    part.state = state;
    memcpy(tokens, part.tokens, part.n_tokens * sizeof *tokens);
    part.tokens = tokens;
    assert_ok(ctx, ink_generate(ctx, wholes, &all, 1));
    for (size_t i = 0; i < 2; i++) {
        assert_ok(ctx, ink_generate(ctx, halves, &part, 1));
        assert_int_equal(part.results[0].n_tokens, 20);
        assert_int_equal(part.results[0].end, INK_END_LENGTH);
        memcpy(tokens + part.n_tokens, part.results[0].tokens, 20 * sizeof *tokens);
        part.n_tokens += 20;
        assert_int_equal(ink_state_length(state), part.n_tokens - 1);
    }
    assert_memory_equal(tokens + all.n_tokens, all.results[0].tokens, 40 * sizeof *tokens);
    ink_generator_free(halves);
    half.stop_tokens = (ink_token_list){&tokens[all.n_tokens + 9], 1};
    halves = generator_of(&b, &half);
    ink_state_reset(state);
    turn = (ink_request){.state = state, .tokens = tokens, .n_tokens = all.n_tokens};
    assert_ok(ctx, ink_generate(ctx, halves, &turn, 1));
    assert_int_equal(turn.results[0].end, INK_END_STOP_TOKEN);
    assert_int_equal(turn.results[0].stop_token, tokens[all.n_tokens + 9]);
    assert_int_equal(ink_state_length(state), all.n_tokens + turn.results[0].n_tokens);
    turn.n_tokens += turn.results[0].n_tokens;
    assert_fails(ctx, ink_generate(ctx, halves, &turn, 1), INK_ERROR_ARGUMENT, "request 0: there is nothing to run");
    ink_generator_free(halves);

    /* After beams the state has seen the tokens of the request. */
    ink_generate_options beams = ways[3];
    beams.bring_states = true;
    ink_generator *search = generator_of(&b, &beams), *fresh = generator_of(&b, &ways[3]);
    ink_request own = all;
    ink_state_reset(state);
    own.state = state;
    assert_ok(ctx, ink_generate(ctx, search, &own, 1));
    assert_int_equal(ink_state_length(state), own.n_tokens);
    assert_ok(ctx, ink_generate(ctx, fresh, &all, 1));
    assert_same_results(&own, &all);
    ink_generator_free(search);
    ink_generator_free(fresh);
    ink_generator_free(wholes);
    ink_state_free(state);
    bundled_close(&b);
}

/* A state that was saved when half of the prompt had run goes on in another, by sampling and with beams. */
static void a_loaded_state_goes_on(ink_context *ctx)
{
    bundled b;
    ink_state *from, *to;
    size_t size;
    unsigned char *bytes = malloc(1 << 20);
    bundled_open(&b, ctx);
    assert_non_null(bytes);
    assert_ok(ctx, ink_state_create(ctx, b.model, 40, &from));
    assert_ok(ctx, ink_state_create(ctx, b.model, 100, &to));
    assert_ok(ctx, ink_model_forward(ctx, b.model, from, b.prompts[0], b.lengths[0] / 2, NULL));
    assert_ok(ctx, ink_state_save(ctx, from, bytes, 1 << 20, &size));
    for (size_t w = 0; w < N_WAYS; w++) {
        ink_generator *generator = generator_of(&b, &ways[w]), *other = generator_of(&b, &ways[w]);
        ink_request whole = request_of(&b, 0), loaded = whole;
        assert_ok(ctx, ink_state_load(ctx, to, bytes, size));
        loaded.state = to;
        assert_ok(ctx, ink_generate(ctx, generator, &loaded, 1));
        assert_ok(ctx, ink_generate(ctx, other, &whole, 1));
        assert_same_results(&loaded, &whole);
        ink_generator_free(generator);
        ink_generator_free(other);
    }
    ink_state_free(from);
    ink_state_free(to);
    free(bytes);
    bundled_close(&b);
}

/* A full state ends a text: the last token needs no room. */
static void a_full_state_ends_a_text(ink_context *ctx)
{
    bundled b;
    bundled_open(&b, ctx);
    ink_generate_options options = {.capacity = 24, .n_results = 2, .sampler = {.temperature = 1}};
    for (size_t n_beams = 1; n_beams <= 3; n_beams += 2) {
        options.n_beams = n_beams;
        options.sampler.temperature = n_beams == 1;
        options.stop_tokens = (ink_token_list){b.prompts[0], 0};
        ink_generator *generator = generator_of(&b, &options);
        ink_request request = request_of(&b, 2);
        assert_ok(ctx, ink_generate(ctx, generator, &request, 1));
        for (size_t r = 0; r < 2; r++) {
            assert_int_equal(request.results[r].n_tokens, 24 - request.n_tokens + 1);
            assert_int_equal(request.results[r].end, INK_END_LENGTH);
        }
        ink_generator_free(generator);
    }
    bundled_close(&b);
}

/* ---- text ------------------------------------------------------------------------------------------------------- */

typedef struct listener {
    char text[4][2048];
    size_t size[4], n_tokens[4], n_last[4], n_searches;
    size_t end_at; /* returns false for this request from the third token on; SIZE_MAX: never */
    size_t n_after;
} listener;

static bool listen(void *user, const ink_generate_step *step)
{
    listener *l = user;
    if (step->searches) {
        l->n_searches++;
        return l->end_at != step->request || l->n_searches < 10;
    }
    size_t i = step->request + step->result;
    memcpy(l->text[i] + l->size[i], step->text, step->size);
    l->size[i] += step->size;
    l->n_last[i] += step->is_last;
    if (step->token >= 0)
        assert_int_equal(step->n_tokens, ++l->n_tokens[i]);
    if (l->end_at != step->request)
        return true;
    l->n_after += l->n_tokens[i] > 3;
    return l->n_tokens[i] < 3;
}

/* The text of all of the new tokens, as the tokenizer decodes them behind the prompt. */
static size_t text_behind(const bundled *b, const ink_request *request, const ink_generated *result, char *text)
{
    ink_token all[128];
    size_t n = request->n_tokens, before, size;
    memcpy(all, request->tokens, n * sizeof *all);
    memcpy(all + n, result->tokens, result->n_tokens * sizeof *all);
    assert_ok(b->ctx, ink_tokenizer_decode(b->ctx, b->tokenizer, all, n, text, 2048, &before));
    assert_ok(b->ctx, ink_tokenizer_decode(b->ctx, b->tokenizer, all, n + result->n_tokens, text, 2048, &size));
    memmove(text, text + before, size - before);
    return size - before;
}

static void the_callback_gets_the_text(ink_context *ctx)
{
    bundled b;
    char text[2048];
    bundled_open(&b, ctx);
    for (size_t w = 0; w < N_WAYS; w++) {
        listener l = {.end_at = SIZE_MAX};
        ink_generate_options o = ways[w];
        o.tokenizer = b.tokenizer;
        o.callback = listen;
        o.user = &l;
        ink_generator *generator = generator_of(&b, &o);
        ink_request request = request_of(&b, 0);
        assert_ok(ctx, ink_generate(ctx, generator, &request, 1));
        for (size_t r = 0; r < request.n_results; r++) {
            assert_int_equal(l.size[r], text_behind(&b, &request, &request.results[r], text));
            assert_memory_equal(l.text[r], text, l.size[r]);
            assert_int_equal(l.n_tokens[r], request.results[r].n_tokens);
            assert_int_equal(l.n_last[r], 1);
        }
        assert_true((l.n_searches > 0) == (o.n_beams > 1));
        ink_generator_free(generator);
    }
    bundled_close(&b);
}

static bool accept_all(void *user, const ink_generate_step *step)
{
    (void)user;
    (void)step;
    return true;
}

/* A stop text may begin and end in the middle of a token; of several the first to be complete counts, and of those the
   longest. What might have become one is given out when it has not. */
static void stop_texts_end_a_text(ink_context *ctx)
{
    static const ink_stop_text lists[][2] = {
        {{"all", 3}, {"", 0}},     /* in " ball" or " wall" */
        {{"e ", 2}, {"the", 3}},   /* over two tokens */
        {{"the b", 5}, {"he", 2}}, /* the second is complete first */
        {{"e", 1}, {"he", 2}},     /* complete at once: the longer one */
        {{"e\x01", 2}, {"~", 1}},  /* held back and never complete */
    };
    bundled b;
    char text[2048];
    bundled_open(&b, ctx);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (size_t w = 0; w < 2; w++) {
            listener l = {.end_at = SIZE_MAX};
            ink_generate_options plain = ways[w], o = plain;
            o.tokenizer = b.tokenizer;
            o.callback = listen;
            o.user = &l;
            o.stop_texts = lists[i];
            o.n_stop_texts = lists[i][1].size > 0 ? 2 : 1;
            ink_generator *with = generator_of(&b, &o), *without = generator_of(&b, &plain);
            ink_request request = request_of(&b, 3), whole = request;
            assert_ok(ctx, ink_generate(ctx, with, &request, 1));
            assert_ok(ctx, ink_generate(ctx, without, &whole, 1));
            size_t size = text_behind(&b, &whole, &whole.results[0], text), end = size;
            for (size_t at = 1; at <= size && end == size; at++)
                for (size_t k = 0; k < o.n_stop_texts; k++) {
                    const ink_stop_text *stop = &lists[i][k];
                    if (stop->size <= at && memcmp(text + at - stop->size, stop->text, stop->size) == 0 &&
                        at - stop->size < end)
                        end = at - stop->size;
                }
            assert_int_equal(l.size[0], end);
            assert_memory_equal(l.text[0], text, end);
            assert_int_equal(l.n_last[0], 1);
            assert_int_equal(request.results[0].end, end < size ? INK_END_STOP_TEXT : whole.results[0].end);
            ink_generator_free(with);
            ink_generator_free(without);
        }
    bundled_close(&b);
}

static void write_ab(char *text, unsigned bits, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        text[i] = (bits >> i & 1) != 0 ? 'a' : 'b';
    text[length] = '\0';
}

/* Where strstr() says that the text ends: before the phrase that is complete first, of two the longer. */
static size_t end_of(const char *text, const char phrases[2][8])
{
    size_t size = strlen(text), end = size, complete = SIZE_MAX;
    for (size_t i = 0; i < 2; i++) {
        const char *at = phrases[i][0] != '\0' ? strstr(text, phrases[i]) : NULL;
        size_t start = at != NULL ? (size_t)(at - text) : size, stop = start + strlen(phrases[i]);
        if (at != NULL && (stop < complete || (stop == complete && start < end))) {
            complete = stop;
            end = start;
        }
    }
    return end;
}

/* Every phrase of up to 6 letters a, b, alone and beside another, in every text of 11, which comes in pieces. */
static void texts_are_cut_before_the_phrase(ink_context *ctx)
{
    (void)ctx;
    for (unsigned length = 1; length <= 6; length++)
        for (unsigned letters = 0; letters < 1U << length; letters++)
            for (unsigned bits = 0; bits < 1U << 11; bits++) {
                char text[16], phrases[2][8] = {""}, buffer[16], out[16];
                size_t n_out = 0, n_held = 0;
                bool found = false;
                write_ab(text, bits, 11);
                write_ab(phrases[0], letters, length);
                write_ab(phrases[1], bits * 7 + letters, bits % 5);
                const ink_stop_text stops[2] = {{phrases[0], length}, {phrases[1], bits % 5}};
                const ink_generate_options o = {.stop_texts = stops, .n_stop_texts = bits % 5 > 0 ? 2 : 1};
                for (size_t at = 0, step = 1 + bits % 3; at < 11 && !found; at += step) {
                    size_t size = at + step < 11 ? step : 11 - at, old = n_held;
                    memcpy(buffer + old, text + at, size);
                    size_t given = ink_generate_cut(&o, buffer, old + size, old, &n_held, &found);
                    memcpy(out + n_out, buffer, given);
                    n_out += given;
                    memmove(buffer, buffer + given, n_held);
                }
                if (!found) {
                    memcpy(out + n_out, buffer, n_held);
                    n_out += n_held;
                }
                size_t end = end_of(text, (const char(*)[8])phrases);
                if (n_out != end || found != (end < 11) || memcmp(out, text, end) != 0)
                    fail_msg("'%s' and '%s' in '%s' left '%.*s'", phrases[0], phrases[1], text, (int)n_out, out);
            }
}

/* The callback ends one request of three; the others are as without it. A search that is ended gives what it has. */
static void a_callback_ends_a_request(ink_context *ctx)
{
    bundled b;
    bundled_open(&b, ctx);
    listener l = {.end_at = 1};
    ink_generate_options o = ways[1];
    o.n_requests = 3;
    ink_generator *quiet = generator_of(&b, &o);
    o.callback = listen;
    o.user = &l;
    ink_generator *generator = generator_of(&b, &o);
    ink_request requests[3], expected[3];
    for (size_t i = 0; i < 3; i++)
        requests[i] = expected[i] = request_of(&b, i);
    assert_ok(ctx, ink_generate(ctx, generator, requests, 3));
    assert_ok(ctx, ink_generate(ctx, quiet, expected, 3));
    assert_same_results(&requests[0], &expected[0]);
    assert_same_results(&requests[2], &expected[2]);
    assert_int_equal(requests[1].results[0].n_tokens, 3);
    assert_int_equal(requests[1].results[0].end, INK_END_CALLBACK);
    assert_int_equal(l.n_after, 0);
    ink_generator_free(quiet);
    ink_generator_free(generator);

    o = ways[3];
    o.callback = listen;
    o.user = &l;
    l = (listener){.end_at = 0};
    generator = generator_of(&b, &o);
    assert_ok(ctx, ink_generate(ctx, generator, requests, 1));
    assert_int_equal(l.n_searches, 10);
    assert_int_equal(requests[0].n_results, 2);
    for (size_t r = 0; r < 2; r++) {
        const ink_generated *result = &requests[0].results[r];
        assert_true(result->n_tokens <= 10 && result->n_tokens > 0);
        assert_int_equal(result->end, result->stop_token >= 0 ? INK_END_STOP_TOKEN : INK_END_CALLBACK);
    }
    ink_generator_free(generator);
    bundled_close(&b);
}

/* ---- sources ---------------------------------------------------------------------------------------------------- */

#define N_SOURCES 5

/* Sources of different lengths, encoded; the models are tiny. */
static void encode_some(ink_context *ctx, const ink_model *model, ink_encoded *encoded[N_SOURCES])
{
    static ink_token tokens[N_SOURCES][12];
    ink_source_item items[N_SOURCES];
    size_t n = ink_model_get_encoder_decoder(model)->source_vocab_size - 3;
    for (size_t i = 0; i < N_SOURCES; i++) {
        for (size_t t = 0; t < 12; t++)
            tokens[i][t] = (ink_token)(3 + (i * 31 + t * 7) % n);
        assert_ok(ctx, ink_encoded_create(ctx, model, 12, &encoded[i]));
        items[i] = (ink_source_item){.encoded = encoded[i], .tokens = tokens[i], .n_tokens = 4 + 2 * i};
    }
    assert_ok(ctx, ink_model_encode_sources(ctx, model, items, N_SOURCES));
}

/* Translations of a list are those of each alone, and nothing is allocated for them; a state that has begun with the
   source gives the same. */
static void sources_are_read_side_by_side(ink_context *ctx, counting *memory)
{
    static const char *const names[] = {"models/marian",     "models/bart",      "models/t5",      "models/m2m_100",
                                        "seq2seq/sutskever", "seq2seq/bahdanau", "seq2seq/bridges"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t w = 0; w < N_WAYS; w++) {
            char folder[256];
            ink_model *model;
            ink_encoded *encoded[N_SOURCES];
            ink_generator *list, *one;
            ink_request requests[N_SOURCES], alone;
            ink_generate_options o = ways[w];
            snprintf(folder, sizeof folder, FIXTURES "/%s", names[n]);
            assert_ok(ctx, ink_model_open(ctx, folder, NULL, &model));
            encode_some(ctx, model, encoded);
            assert_ok(ctx, ink_generator_create(ctx, model, &o, &one));
            o.n_requests = N_SOURCES;
            assert_ok(ctx, ink_generator_create(ctx, model, &o, &list));
            for (size_t i = 0; i < N_SOURCES; i++)
                requests[i] = (ink_request){.encoded = encoded[i]};
            size_t takes = memory->takes;
            assert_ok(ctx, ink_generate(ctx, list, requests, N_SOURCES));
            assert_int_equal(memory->takes, takes);
            for (size_t i = 0; i < N_SOURCES; i++) {
                alone = (ink_request){.encoded = encoded[i]};
                assert_ok(ctx, ink_generate(ctx, one, &alone, 1));
                assert_same_results(&alone, &requests[i]);
            }
            ink_state *state;
            assert_ok(ctx, ink_state_create(ctx, model, 30, &state));
            assert_ok(ctx, ink_state_begin(ctx, state, encoded[1]));
            alone = (ink_request){.state = state};
            assert_ok(ctx, ink_generate(ctx, one, &alone, 1));
            if (alone.results[0].n_tokens < 30 && requests[1].results[0].n_tokens < 30)
                assert_same_results(&alone, &requests[1]);
            ink_state_free(state);
            ink_generator_free(list);
            ink_generator_free(one);
            for (size_t i = 0; i < N_SOURCES; i++)
                ink_encoded_free(encoded[i]);
            ink_model_free(model);
        }
}

/* A source of a model without a longest source may be longer than all that is written: the generator is told. */
static void long_sources_are_read_without_allocating(ink_context *ctx, counting *memory)
{
    static ink_token tokens[400];
    const ink_generate_options o = {.n_requests = 32, .n_beams = 4, .max_tokens = 5, .source_capacity = 400};
    ink_model *model;
    ink_encoded *encoded;
    ink_generator *generator;
    ink_request requests[32];
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/models/t5", NULL, &model));
    assert_ok(ctx, ink_encoded_create(ctx, model, 400, &encoded));
    assert_ok(ctx, ink_generator_create(ctx, model, &o, &generator));
    for (size_t i = 0; i < 32; i++)
        requests[i] = (ink_request){.encoded = encoded};
    const ink_source_item item = {.encoded = encoded, .tokens = tokens, .n_tokens = 400};
    ink_context *other = test_context(1); /* encoding takes scratch memory, too */
    assert_ok(other, ink_model_encode_sources(other, model, &item, 1));
    size_t takes = memory->takes;
    assert_ok(ctx, ink_generate(ctx, generator, requests, 32));
    assert_int_equal(memory->takes, takes);
    ink_context_free(other);
    ink_generator_free(generator);
    ink_encoded_free(encoded);
    ink_model_free(model);
}

static void wrong_sources_are_named(ink_context *ctx)
{
    static const ink_token token = 5, foreign[3] = {0, 99, 5};
    ink_generate_options options = {.max_tokens = 8, .encoder_no_repeat_ngram_size = 2};
    ink_model *model, *decoder;
    ink_encoded *encoded[N_SOURCES];
    ink_generator *generator;
    ink_state *state;
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/models/t5", NULL, &model));
    encode_some(ctx, model, encoded);
    assert_ok(ctx, ink_state_create(ctx, model, 8, &state));
    ink_request request = {0};
    assert_ok(ctx, ink_generator_create(ctx, model, &options, &generator));
    assert_fails(ctx, ink_generate(ctx, generator, &request, 1), INK_ERROR_ARGUMENT,
                 "request 0: a t5 model continues from a source, but encoded is NULL");
    request.encoded = encoded[0];
    assert_fails(ctx, ink_generate(ctx, generator, &request, 1), INK_ERROR_ARGUMENT,
                 "encoder_no_repeat_ngram_size needs the tokens of its source");
    ink_encoded *empty;
    assert_ok(ctx, ink_encoded_create(ctx, model, 3, &empty));
    request.encoded = empty;
    request.source = (ink_token_list){&token, 1};
    assert_fails(ctx, ink_generate(ctx, generator, &request, 1), INK_ERROR_ARGUMENT,
                 "request 0: ink_state_begin: no source is encoded here");
    ink_encoded_free(empty);
    request.encoded = encoded[0];
    request.source = (ink_token_list){NULL, 1};
    assert_fails(ctx, ink_generate(ctx, generator, &request, 1), INK_ERROR_ARGUMENT, "needs the tokens of its source");
    request.source = (ink_token_list){foreign, 3}; /* ids that only the source has */
    assert_ok(ctx, ink_generate(ctx, generator, &request, 1));
    request.state = state;
    assert_fails(ctx, ink_generate(ctx, generator, &request, 1), INK_ERROR_ARGUMENT, "also a state");
    request.encoded = NULL;
    assert_fails(ctx, ink_generate(ctx, generator, &request, 1), INK_ERROR_ARGUMENT, "source");
    ink_generator_free(generator);
    options.max_tokens = 0; /* its positions have no limit */
    assert_fails(ctx, ink_generator_create(ctx, model, &options, &generator), INK_ERROR_ARGUMENT,
                 "max_tokens must not be 0");
    options.max_tokens = 8;
    assert_ok(ctx, ink_model_open(ctx, MODELS "/gpt", NULL, &decoder));
    assert_ok(ctx, ink_generator_create(ctx, decoder, &options, &generator));
    request = (ink_request){.tokens = &token, .n_tokens = 1, .encoded = encoded[0]};
    assert_fails(ctx, ink_generate(ctx, generator, &request, 1), INK_ERROR_ARGUMENT, "the model wants none");
    ink_generator_free(generator);
    ink_model_free(decoder);
    ink_state_free(state);
    for (size_t i = 0; i < N_SOURCES; i++)
        ink_encoded_free(encoded[i]);
    ink_model_free(model);
}

/* Without generation_config.json the class decides what ends a text that is too long. */
static void classes_have_settings_of_their_own(ink_context *ctx)
{
    static const struct {
        const char *name;
        ink_token forced_eos;
    } cases[] = {{"bart", 2},       {"marian", 0}, {"mbart", 2},   {"pegasus", 1},
                 {"blenderbot", 2}, {"t5", -1},    {"m2m_100", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_files files;
        ink_model *model;
        ink_generate_options o;
        fixture_files_read(&files, cases[i].name);
        fixture_files_set(&files, "forced_eos_token_id", NULL);
        ink_memory_files list = files.list;
        list.n_files--; /* the last is generation_config.json */
        assert_ok(ctx, fixture_open_files(ctx, cases[i].name, &list, &model));
        ink_model_generation(model, &o);
        assert_int_equal(o.forced_eos.n_tokens, cases[i].forced_eos >= 0);
        if (cases[i].forced_eos >= 0)
            assert_int_equal(o.forced_eos.tokens[0], cases[i].forced_eos);
        ink_model_free(model);
        fixture_files_free(&files);
    }
}

/* ---- mistakes --------------------------------------------------------------------------------------------------- */

static void wrong_options_are_named(ink_context *ctx)
{
    static const ink_token_list empty[1] = {{NULL, 0}};
    static const ink_token wrong[1] = {852};
    static const ink_stop_text stop[1] = {{"a", 1}};
    const struct {
        ink_generate_options options;
        ink_result result;
        const char *words;
    } cases[] = {
        {{.n_results = 2}, INK_ERROR_ARGUMENT, "2 results need beams or a temperature"},
        {{.n_beams = 2, .n_results = 3}, INK_ERROR_ARGUMENT, "3 results of 2 beams"},
        {{.n_beams = 2, .sampler = {.temperature = 1}}, INK_ERROR_UNSUPPORTED, "beams are searched, not sampled"},
        {{.sampler = {.temperature = -1}}, INK_ERROR_ARGUMENT, "temperature"},
        {{.length_penalty = 17}, INK_ERROR_ARGUMENT, "length_penalty"},
        {{.length_penalty = NAN}, INK_ERROR_ARGUMENT, "length_penalty"},
        {{.early_stopping = (ink_early_stopping)7}, INK_ERROR_ARGUMENT, "no early_stopping 7"},
        {{.capacity = 257}, INK_ERROR_LIMIT, "257 tokens: the context of this gpt2 model is 256"},
        {{.banned = empty, .n_banned = 1}, INK_ERROR_ARGUMENT, "banned sequence 0 is empty"},
        {{.n_banned = 1}, INK_ERROR_ARGUMENT, "banned is NULL"},
        {{.n_stop_texts = 1}, INK_ERROR_ARGUMENT, "stop_texts is NULL"},
        {{.n_requests = SIZE_MAX / 2}, INK_ERROR_LIMIT, "requests"},
        {{.suppressed = {wrong, 1}}, INK_ERROR_ARGUMENT, "token 0 of suppressed is 852, expected 0 to 851"},
        {{.forced_bos = {NULL, 1}}, INK_ERROR_ARGUMENT, "token 0 of forced_bos"},
        {{.stop_texts = stop, .n_stop_texts = 1}, INK_ERROR_ARGUMENT, "stop text 0 needs the tokenizer"},
        {{.stop_texts = stop, .n_stop_texts = 1, .n_beams = 2}, INK_ERROR_UNSUPPORTED, "no stop texts"},
        {{.n_requests = SIZE_MAX, .n_beams = 2}, INK_ERROR_LIMIT, "requests"},
    };
    bundled b;
    ink_generator *generator;
    ink_model *other;
    bundled_open(&b, ctx);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_fails(ctx, ink_generator_create(ctx, b.model, &cases[i].options, &generator), cases[i].result,
                     cases[i].words);
        assert_null(generator);
    }
    const ink_generate_options none = {0};
    assert_ok(ctx, ink_model_open(ctx, MODELS "/gru", NULL, &other));
    assert_fails(ctx, ink_generator_create(ctx, other, &none, &generator), INK_ERROR_ARGUMENT,
                 "max_tokens must not be 0");
    ink_model_free(other);
    assert_ok(ctx, ink_model_open(ctx, MODELS "/bert", NULL, &other));
    assert_fails(ctx, ink_generator_create(ctx, other, &none, &generator), INK_ERROR_UNSUPPORTED, "encoder");
    ink_model_free(other);
    assert_fails(ctx, ink_generator_create(ctx, NULL, &none, &generator), INK_ERROR_ARGUMENT, "model");
    ink_generator_free(NULL);
    bundled_close(&b);
}

static void wrong_requests_are_named(ink_context *ctx)
{
    static const ink_token wrong[2] = {1, 852};
    ink_generate_options options = {.capacity = 30, .max_length = 20};
    bundled b;
    ink_model *other;
    ink_state *of_other, *large;
    bundled_open(&b, ctx);
    assert_ok(ctx, ink_model_open(ctx, MODELS "/gru", NULL, &other));
    assert_ok(ctx, ink_state_create(ctx, other, 0, &of_other));
    assert_ok(ctx, ink_state_create(ctx, b.model, 31, &large));
    const struct {
        ink_request request;
        ink_result result;
        const char *words;
    } cases[] = {
        {{.tokens = wrong}, INK_ERROR_ARGUMENT, "request 1: there are no tokens"},
        {{.n_tokens = 1}, INK_ERROR_ARGUMENT, "request 1: there are no tokens"},
        {{.tokens = wrong, .n_tokens = 2}, INK_ERROR_ARGUMENT, "request 1: token 1 is 852"},
        {{.tokens = wrong, .n_tokens = 1, .state = of_other}, INK_ERROR_ARGUMENT, "another model"},
        {{.tokens = wrong, .n_tokens = 1, .state = large}, INK_ERROR_LIMIT, "its state is for 31 tokens"},
        {{.tokens = b.prompts[0], .n_tokens = 31}, INK_ERROR_LIMIT, "31 tokens do not fit: there is room for 30"},
        {{.tokens = b.prompts[0], .n_tokens = 20}, INK_ERROR_ARGUMENT, "20 tokens, and max_length is 20"},
    };
    options.n_requests = 2;
    ink_generator *generator = generator_of(&b, &options);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ink_request requests[2] = {request_of(&b, 1), cases[i].request};
        assert_fails(ctx, ink_generate(ctx, generator, requests, 2), cases[i].result, cases[i].words);
    }
    assert_fails(ctx, ink_generate(ctx, generator, NULL, 1), INK_ERROR_ARGUMENT, "requests");
    assert_fails(ctx, ink_generate(ctx, NULL, NULL, 1), INK_ERROR_ARGUMENT, "'generator'");
    ink_request requests[3] = {{0}};
    assert_fails(ctx, ink_generate(ctx, generator, requests, 3), INK_ERROR_LIMIT, "3 requests: the generator was made");
    assert_ok(ctx, ink_generate(ctx, generator, NULL, 0));
    ink_generator_free(generator);
    ink_state_free(of_other);
    ink_state_free(large);
    ink_model_free(other);
    bundled_close(&b);
}

/* Rules that leave no token: transformers would choose token 0. */
static void rules_that_leave_nothing_are_a_mistake(ink_context *ctx)
{
    ink_token all[852];
    bundled b;
    bundled_open(&b, ctx);
    for (size_t i = 0; i < 852; i++)
        all[i] = (ink_token)i;
    for (size_t w = 0; w < N_WAYS; w++) {
        ink_generate_options o = ways[w];
        o.suppressed = (ink_token_list){all, 852};
        o.renormalise = true;
        ink_generator *generator = generator_of(&b, &o);
        ink_request request = request_of(&b, 0);
        assert_fails(ctx, ink_generate(ctx, generator, &request, 1), INK_ERROR_NONFINITE,
                     "request 0: the rules of the generator exclude all 852 tokens behind 0 new ones");
        ink_generator_free(generator);
    }
    bundled_close(&b);
}

static void nan_is_named(ink_context *ctx)
{
    fixture_files files;
    ink_model *model;
    fixture_files_read(&files, "gpt2");
    memset(files.weights + files.weights_size - 64 * sizeof(float), 0xff, 64 * sizeof(float));
    assert_ok(ctx, fixture_open_files(ctx, "gpt2", &files.list, &model));
    for (size_t w = 0; w < N_WAYS; w++) {
        static const ink_token token = 1;
        ink_generator *generator;
        ink_generate_options o = ways[w];
        o.max_tokens = o.max_length = 10;
        ink_request request = {.tokens = &token, .n_tokens = 1};
        assert_ok(ctx, ink_generator_create(ctx, model, &o, &generator));
        assert_fails(ctx, ink_generate(ctx, generator, &request, 1), INK_ERROR_NONFINITE, "request 0: ");
        ink_generator_free(generator);
    }
    ink_model_free(model);
    fixture_files_free(&files);
}

static void failing_memory_leaves_nothing(ink_context *ctx, counting *memory)
{
    bundled b;
    ink_generator *generator = NULL;
    ink_model *reader;
    bundled_open(&b, ctx);
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/models/marian", NULL, &reader));
    for (size_t w = 0; w < N_WAYS; w++)
        for (size_t i = 0; i < 2; i++) {
            for (size_t k = 1; runs_out_of_memory(
                     ctx, memory, k, ink_generator_create(ctx, i == 0 ? b.model : reader, &ways[w], &generator),
                     "out of memory");
                 k++)
                assert_null(generator);
            ink_generator_free(generator);
        }
    ink_model_free(reader);
    bundled_close(&b);
}

/* The text of a long token needs more scratch memory than a step of this small model. */
static void a_long_token_is_spelled_without_allocating(ink_context *ctx, counting *memory)
{
    static const char head[] = "{\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"a\", \"vocab\": {\"a\": 0, \"";
    static const char tail[] = "\": 1}}}";
    enum { LONG = 50000 };
    char *text = malloc(LONG + sizeof head + sizeof tail);
    assert_non_null(text);
    int size = sprintf(text, "%s%0*d%s", head, LONG, 0, tail);
    const ink_memory_file file = {"tokenizer.json", text, (size_t)size};
    const ink_source source = ink_source_memory(&(ink_memory_files){&file, 1});
    ink_generate_options o = {.max_tokens = 9, .callback = accept_all};
    ink_model *model;
    ink_tokenizer *tokenizer;
    ink_generator *generator;
    static const ink_token token = 1;
    ink_context *other = test_context(1); /* opening takes scratch memory, too */
    assert_ok(other, ink_model_open(other, FIXTURES "/models/mlp", NULL, &model));
    assert_ok(other, ink_tokenizer_open_source(other, &source, &tokenizer));
    o.tokenizer = tokenizer;
    assert_ok(ctx, ink_generator_create(ctx, model, &o, &generator));
    size_t takes = memory->takes;
    ink_request request = {.tokens = &token, .n_tokens = 1};
    assert_ok(ctx, ink_generate(ctx, generator, &request, 1));
    assert_int_equal(memory->takes, takes);
    ink_generator_free(generator);
    ink_tokenizer_free(tokenizer);
    ink_model_free(model);
    ink_context_free(other);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(a_list_gives_what_each_gives_alone),
        context_test(results_are_the_same_everywhere),
        context_test(samples_are_those_of_the_sampler),
        context_test(a_state_goes_on),
        context_test(a_loaded_state_goes_on),
        context_test(a_full_state_ends_a_text),
        context_test(the_callback_gets_the_text),
        context_test(stop_texts_end_a_text),
        context_test(texts_are_cut_before_the_phrase),
        context_test(a_callback_ends_a_request),
        counted_test(sources_are_read_side_by_side),
        counted_test(long_sources_are_read_without_allocating),
        context_test(wrong_sources_are_named),
        context_test(classes_have_settings_of_their_own),
        context_test(wrong_options_are_named),
        context_test(wrong_requests_are_named),
        context_test(rules_that_leave_nothing_are_a_mistake),
        context_test(nan_is_named),
        counted_test(failing_memory_leaves_nothing),
        counted_test(a_long_token_is_spelled_without_allocating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
