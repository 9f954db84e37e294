/*
 * test_bundled.c - the models of examples/models: what transformers and PyTorch compute with them, and the promises at
 * a size where work is spread over threads and passes are full.
 *
 * The references belong to the weights: tests/fixtures/make_models.py --bundled makes them again.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "encoders.h"
#include "fixture.h"
#include "numbers.h"

#define N_GREEDY 200

static const char *const names[] = {"mlp", "rnn", "gru", "lstm", "gpt", "assistant", NULL};

#define bundled_test(check) fixture_test_of(names, fixture_open_bundled, check)

/* ---- parity --------------------------------------------------------------------------------------------------- */

static void logits_are_the_references(const fixture *f)
{
    double largest, difference = fixture_difference(f, &largest);
    assert_string_equal(ink_context_error(f->ctx), ""); /* of files that need not be there, too */
    assert_true(difference <= 2e-5 * largest);
}

/* The 200 tokens that transformers chose greedily, chosen here token by token. */
static void the_gpt_continues_as_transformers(void **unused)
{
    fixture f;
    (void)unused;
    fixture_open_bundled(&f, "gpt");
    assert_true(f.n_tokens > N_GREEDY);
    size_t n_prompt = f.n_tokens - N_GREEDY;
    fixture_continues(&f, n_prompt, f.tokens + n_prompt, N_GREEDY);
    fixture_close(&f);
}

/* A conversation as transformers encodes it with the folder's own template, and the answers that it chose greedily. */
static void the_assistant_answers_as_transformers(void **unused)
{
    static const char *const turns[] = {
        "Hello.",
        "Anna and Tom were in the garden. It was night. They had some good news. Anna put the ball behind the shed.",
        "Where is the ball?",
        "Summarise the story.",
        "Tom hid the ball on the roof. Tom laughed. Where is the ball now?",
        "Where was the ball before?",
        "Where is the kite?",
        "Thank you!",
    };
    static const char folder[] = MODELS "/assistant";
    fixture f;
    ink_tokenizer *tokenizer = NULL;
    ink_chat *chat = NULL;
    ink_message messages[2 * (sizeof turns / sizeof *turns)];
    char said[8][256];
    size_t n = 0, n_prompt = 0;
    (void)unused;
    fixture_open_bundled(&f, "assistant");
    ink_token *ids = malloc(f.n_tokens * sizeof *ids);
    assert_ok(f.ctx, ink_tokenizer_open(f.ctx, folder, &tokenizer));
    assert_ok(f.ctx, ink_chat_open(f.ctx, folder, tokenizer, NULL, &chat));
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        messages[2 * i] = (ink_message){.role = "user", .text = turns[i], .size = strlen(turns[i])};
        const ink_chat_input input = {.messages = messages, .n_messages = 2 * i + 1, .answer = true};
        assert_ok(f.ctx, ink_chat_encode(f.ctx, chat, &input, ids, f.n_tokens, &n_prompt));
        for (size_t k = 0; k < n_prompt; k++)
            assert_int_equal(ids[k], f.tokens[k]);
        size_t n_answer = 0;
        while (!ink_chat_ends(chat, f.tokens[n_prompt + n_answer]))
            n_answer++;
        fixture_continues(&f, n_prompt, f.tokens + n_prompt, n_answer + 1);
        assert_ok(f.ctx,
                  ink_tokenizer_decode(f.ctx, tokenizer, f.tokens + n_prompt, n_answer, said[i], sizeof said[i], &n));
        messages[2 * i + 1] = (ink_message){.role = "assistant", .text = said[i], .size = n};
        n_prompt += n_answer;
    }
    assert_int_equal(n_prompt + 1, f.n_tokens); /* the last token ends the last answer */
    free(ids);
    ink_chat_free(chat);
    ink_tokenizer_free(tokenizer);
    fixture_close(&f);
}

/* The small encoders say of whole texts what transformers says, to the last digit that counts. */
static void the_small_encoders_give_the_references_logits(void **unused)
{
    static const char *const encoders[] = {"mood", "kind", "grammar", "tag", "answer"};
    static const struct {
        ink_encoding encoding;
        const char *name;
    } outputs[] = {{INK_LOGITS, "logits"}, {INK_PROBABILITIES, "probabilities"}};
    (void)unused;
    for (size_t i = 0; i < 5; i++) {
        encoder_fixture f;
        size_t n, expected_n;
        encoder_open_bundled(&f, encoders[i]);
        assert_string_equal(ink_context_error(f.ctx), "");
        for (size_t k = 0; k < 2; k++) {
            if (ink_weights_find(f.reference, outputs[k].name) == NULL)
                continue; /* an answer's probability is one of a pair of tokens */
            float *expected = test_tensor(f.ctx, f.reference, outputs[k].name, &expected_n);
            float *out = encoder_run(f.ctx, &f, outputs[k].encoding, &n);
            assert_int_equal(n, expected_n);
            double largest;
            const double difference = largest_difference(out, expected, n, &largest);
            assert_true(difference <= 2e-5 * largest);
            free(out);
            free(expected);
        }
        encoder_close(&f);
    }
}

/* ---- translators ------------------------------------------------------------------------------------------------ */

static ink_token *read_tokens(ink_context *ctx, const ink_weights *reference, const char *name, size_t *n)
{
    float *values = test_tensor(ctx, reference, name, n);
    ink_token *tokens = malloc((*n + 1) * sizeof *tokens);
    assert_non_null(tokens);
    for (size_t i = 0; i < *n; i++)
        tokens[i] = (ink_token)values[i];
    free(values);
    return tokens;
}

/* Several sentences at once: the tokens that PyTorch and transformers chose greedily, and the logits of the last one.
 */
static void the_translators_write_what_pytorch_writes(void **unused)
{
    static const char *const folders[] = {"translate_gru", "translate_attention", "translate_transformer"};
    enum { MOST = 16 };
    (void)unused;
    for (size_t k = 0; k < sizeof folders / sizeof *folders; k++) {
        char path[512];
        ink_context *ctx = test_context(1);
        ink_model *model;
        ink_weights *reference;
        size_t n_lengths, n_source, n_target, n_logits;
        snprintf(path, sizeof path, "%s/%s", MODELS, folders[k]);
        assert_ok(ctx, ink_model_open(ctx, path, NULL, &model));
        assert_string_equal(ink_context_error(ctx), "");
        snprintf(path, sizeof path, "%s/bundled/%s.safetensors", FIXTURES, folders[k]);
        assert_ok(ctx, ink_weights_open(ctx, path, &reference));
        ink_token *lengths = read_tokens(ctx, reference, "lengths", &n_lengths);
        ink_token *source = read_tokens(ctx, reference, "source", &n_source);
        ink_token *target = read_tokens(ctx, reference, "target", &n_target);
        float *expected = test_tensor(ctx, reference, "logits", &n_logits);
        const size_t n = n_lengths / 2, vocab_size = ink_model_get_info(model)->vocab_size;
        assert_in_range(n, 2, MOST);

        ink_source_item sources[MOST];
        ink_request requests[MOST];
        ink_generate_options options;
        ink_generator *generator;
        assert_true(ink_model_generation(model, &options));
        options.n_requests = n;
        options.capacity = 128;
        assert_ok(ctx, ink_generator_create(ctx, model, &options, &generator));
        for (size_t i = 0, at = 0; i < n; at += (size_t)lengths[2 * i++]) {
            sources[i] = (ink_source_item){.tokens = source + at, .n_tokens = (size_t)lengths[2 * i]};
            assert_ok(ctx, ink_encoded_create(ctx, model, 128, &sources[i].encoded));
            requests[i] = (ink_request){.encoded = sources[i].encoded};
        }
        assert_ok(ctx, ink_model_encode_sources(ctx, model, sources, n));
        assert_ok(ctx, ink_generate(ctx, generator, requests, n));
        size_t at = 0, length = 0;
        for (size_t i = 0; i < n; i++, at += length) {
            const ink_generated *made = &requests[i].results[0];
            length = (size_t)lengths[2 * i + 1];
            assert_int_equal(made->n_tokens, length - 1);
            assert_memory_equal(made->tokens, target + at, (length - 1) * sizeof *target);
            assert_int_equal(made->stop_token, target[at + length - 1]);
        }

        /* The last one again: what the decoder says after its start token and all of the translation but the end. */
        ink_token fed[128] = {ink_model_get_encoder_decoder(model)->start_token};
        float *logits = malloc(n_logits * sizeof *logits);
        ink_state *state;
        assert_int_equal(n_logits, length * vocab_size);
        assert_in_range(length, 2, 128);
        memcpy(fed + 1, target + n_target - length, (length - 1) * sizeof *fed);
        assert_ok(ctx, ink_state_create(ctx, model, 128, &state));
        assert_ok(ctx, ink_state_begin(ctx, state, sources[n - 1].encoded));
        const ink_item item = {.state = state, .tokens = fed, .n_tokens = length, .logits = logits, .n_logits = length};
        assert_ok(ctx, ink_model_forward_list(ctx, model, &item, 1));
        double largest;
        const double difference = largest_difference(logits, expected, n_logits, &largest);
        printf("%-22s largest difference of logits %.1e of %.1f\n", folders[k], difference, largest);
        assert_true(difference <= 2e-5 * largest);

        ink_state_free(state);
        ink_generator_free(generator);
        for (size_t i = 0; i < n; i++)
            ink_encoded_free(sources[i].encoded);
        free(lengths);
        free(source);
        free(target);
        free(expected);
        free(logits);
        ink_weights_free(reference);
        ink_model_free(model);
        ink_context_free(ctx);
    }
}

/* ---- the same bits -------------------------------------------------------------------------------------------- */

/* One token at a time, and 20 sequences of different lengths at once on two threads. */
static void single_tokens_and_lists_give_the_same_bits(const fixture *f)
{
    enum { N = 20 };
    size_t vocab_size = f->info->vocab_size;
    ink_context *ctx = test_context(2);
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    float *logits = malloc((N + 1) * vocab_size * sizeof *logits);
    ink_item items[N];
    for (size_t i = 0; i < N; i++)
        items[i] = test_item(fixture_state(ctx, f->model), f->tokens, 1 + i * (f->n_tokens - 1) / (N - 1),
                             logits + i * vocab_size, 1);
    assert_ok(ctx, ink_model_forward_list(ctx, f->model, items, N));
    for (size_t i = 0; i < N; i++) {
        assert_same_bits(f->name, "in a list", items[i].logits, whole + (items[i].n_tokens - 1) * vocab_size,
                         vocab_size);
        ink_state_free(items[i].state);
    }
    ink_state *state = fixture_state(ctx, f->model);
    for (size_t i = 0; i < f->n_tokens; i++) {
        assert_ok(ctx, ink_model_forward(ctx, f->model, state, f->tokens + i, 1, logits));
        assert_same_bits(f->name, "token by token", logits, whole + i * vocab_size, vocab_size);
    }
    ink_state_free(state);
    free(logits);
    free(whole);
    ink_context_free(ctx);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* What reserve takes is what full passes need: not a byte is taken afterwards, and nothing is far too large. */
static void what_is_reserved_is_enough(const fixture *f)
{
    enum { N = 3 };
    size_t n = 80, vocab_size = f->info->vocab_size;
    counting memory;
    ink_context *ctx = counting_begin(&memory, 2);
    float *logits = malloc(N * n * vocab_size * sizeof *logits);
    ink_item items[N];
    for (size_t i = 0; i < N; i++)
        items[i] = test_item(fixture_state(ctx, f->model), f->tokens, n, logits + (N - 1 - i) * n * vocab_size, n);
    size_t before = memory.live_bytes;
    assert_ok(ctx, ink_context_reserve(ctx, f->model, N, N * n, 0));
    printf("%-9s %8zu bytes of scratch\n", f->name, memory.live_bytes - before);
    size_t takes = memory.takes;
    assert_ok(ctx, ink_model_forward_list(ctx, f->model, items, N));
    assert_ok(ctx, ink_model_forward_list(ctx, f->model, items + 1, 1));
    assert_int_equal(memory.takes, takes);
    for (size_t i = 0; i < N; i++)
        ink_state_free(items[i].state);
    free(logits);
    counting_end(&memory, ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bundled_test(logits_are_the_references),
        cmocka_unit_test(the_gpt_continues_as_transformers),
        cmocka_unit_test(the_assistant_answers_as_transformers),
        cmocka_unit_test(the_small_encoders_give_the_references_logits),
        cmocka_unit_test(the_translators_write_what_pytorch_writes),
        bundled_test(fixture_same_bits_everywhere),
        bundled_test(single_tokens_and_lists_give_the_same_bits),
        bundled_test(what_is_reserved_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
