/*
 * test_model.c - whole models: parity with PyTorch and transformers, the same bits however they are run, what they say
 * about themselves, and lists.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "numbers.h"

#include "../src/models/networks.h"

/* ---- parity --------------------------------------------------------------------------------------------------- */

/* Relative to the largest logit where there are blocks, and absolute for the other kinds. */
static void logits_are_the_references(const fixture *f)
{
    double largest, difference = fixture_difference(f, &largest);
    assert_true(difference <= (f->info->context_length != 0 ? 2e-5 * largest : 1e-5));
}

/* ---- the same bits -------------------------------------------------------------------------------------------- */

static void chunks_of_any_size_give_the_same_bits(const fixture *f)
{
    static const size_t sizes[] = {1, 2, 3, 7, 13, 16, 31};
    size_t vocab_size = f->info->vocab_size;
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    float *logits = malloc(f->n_tokens * vocab_size * sizeof *logits);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        ink_state *state = fixture_state(f->ctx, f->model);
        for (size_t done = 0, n; done < f->n_tokens; done += n) {
            n = sizes[s] < f->n_tokens - done ? sizes[s] : f->n_tokens - done;
            const ink_item item = test_item(state, f->tokens + done, n, logits + done * vocab_size, n);
            assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, &item, 1));
            assert_int_equal(ink_state_length(state), done + n);
        }
        assert_same_bits(f->name, "in chunks", logits, whole, f->n_tokens * vocab_size);
        ink_state_free(state);
    }
    free(logits);
    free(whole);
}

/* Sequences of many lengths side by side, which start at different places of the tokens; some want all logits, some a
   few, some none. Two rounds, so that the second starts from states of different lengths. */
#define N_LIST 9
static void a_list_gives_the_bits_of_each_sequence_alone(const fixture *f)
{
    size_t vocab_size = f->info->vocab_size;
    size_t n[2][N_LIST];
    ink_item items[N_LIST];
    float *logits[2][N_LIST];
    ink_state *states[N_LIST];
    for (size_t i = 0; i < N_LIST; i++)
        states[i] = fixture_state(f->ctx, f->model);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < N_LIST; i++) {
            n[round][i] = 1 + (i * 7 + round * 5) % (f->n_tokens / 2 - i);
            size_t n_logits = i % 3 == 0 ? n[round][i] : i % 3 == 1 ? 1 : 0;
            logits[round][i] = malloc((n_logits + 1) * vocab_size * sizeof(float));
            const ink_token *tokens = f->tokens + i + (round == 1 ? n[0][i] : 0);
            items[i] = test_item(states[i], tokens, n[round][i], n_logits > 0 ? logits[round][i] : NULL, n_logits);
        }
        assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, items, N_LIST));
        for (size_t i = 0; i < N_LIST; i++) {
            float *alone = fixture_run(f->ctx, f->model, f->tokens + i, n[0][i] + (round == 1 ? n[1][i] : 0));
            size_t first = (round == 1 ? n[0][i] : 0) + n[round][i] - items[i].n_logits;
            assert_same_bits(f->name, "in a list", logits[round][i], alone + first * vocab_size,
                             items[i].n_logits * vocab_size);
            free(alone);
        }
    }
    for (size_t i = 0; i < N_LIST; i++) {
        ink_state_free(states[i]);
        free(logits[0][i]);
        free(logits[1][i]);
    }
}

/* More sequences than a pass has rows, and more tokens than a pass has rows. */
static void more_sequences_than_a_pass_has_rows_give_the_same_bits(const fixture *f)
{
    enum { N = 150 };
    size_t vocab_size = f->info->vocab_size;
    static ink_item items[N];
    float *logits = malloc(N * vocab_size * sizeof *logits);
    for (size_t i = 0; i < N; i++)
        items[i] = test_item(fixture_state(f->ctx, f->model), f->tokens + i % 5, 1 + i % 11,
                             logits + (N - 1 - i) * vocab_size, 1);
    assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, items, N));
    for (size_t i = 0; i < N; i++) {
        float *alone = fixture_run(f->ctx, f->model, items[i].tokens, items[i].n_tokens);
        assert_same_bits(f->name, "one of 150", items[i].logits, alone + (items[i].n_tokens - 1) * vocab_size,
                         vocab_size);
        free(alone);
        ink_state_free(items[i].state);
    }
    free(logits);
}

/* Logits may lie at any address a float may. */
static void logits_may_lie_at_any_address(const fixture *f)
{
    size_t count = f->n_tokens * f->info->vocab_size;
    float *expected = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    float *room = malloc((count + 17) * sizeof *room);
    for (size_t shift = 1; shift <= 16; shift += 5) {
        ink_state *state = fixture_state(f->ctx, f->model);
        room[shift + count] = 12345.0F;
        const ink_item item = test_item(state, f->tokens, f->n_tokens, room + shift, f->n_tokens);
        assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, &item, 1));
        assert_same_bits(f->name, "unaligned", room + shift, expected, count);
        assert_true(room[shift + count] == 12345.0F);
        ink_state_free(state);
    }
    free(room);
    free(expected);
}

/* ---- what a model says ---------------------------------------------------------------------------------------- */

static void a_model_says_what_it_is(void **unused)
{
    fixture f;
    (void)unused;
    fixture_open(&f, "gpt2");
    assert_string_equal(f.info->kind, "gpt2");
    assert_int_equal(f.info->vocab_size, 53);
    assert_int_equal(f.info->context_length, 48);
    assert_int_equal(f.info->window_size, 0);
    assert_int_equal(f.info->hidden_size, 24);
    assert_int_equal(f.info->n_layers, 2);
    /* two norms, c_attn, c_proj, c_fc, c_proj; wte, wpe, the blocks, ln_f */
    size_t block = 4 * 24 + (24 * 72 + 72) + (24 * 24 + 24) + (24 * 96 + 96) + (96 * 24 + 24);
    assert_int_equal(f.info->n_parameters, 53 * 24 + 48 * 24 + 2 * block + 2 * 24);
    assert_true(f.info->n_bytes > 4 * f.info->n_parameters);
    assert_true(f.info->n_bytes < 6 * f.info->n_parameters);
    assert_int_equal(f.info->n_unused, 0);
    assert_null(ink_model_unused(f.model, 0));
    assert_int_equal(f.info->bos_token, 0);
    fixture_close(&f);

    fixture_open(&f, "gpt2_bf16");
    assert_int_equal(f.info->n_unused, 1); /* the causal masks of old files are not worth a word */
    assert_string_equal(ink_model_unused(f.model, 0), "score.weight");
    assert_null(ink_model_unused(f.model, 1));
    fixture_close(&f);

    fixture_open(&f, "mlp");
    assert_int_equal(f.info->window_size, 5);
    assert_int_equal(f.info->context_length, 0);
    assert_int_equal(f.info->hidden_size, 27);
    assert_int_equal(f.info->n_layers, 2);
    assert_int_equal(f.info->bos_token, 3);
    fixture_close(&f);
    assert_null(ink_model_get_info(NULL));
    ink_model_free(NULL);
}

/* Weights held as they are stored, in halves, take about half the memory; the same values as F32 give the same bits. */
static void check_halves(const char *name, ink_type type)
{
    const ink_type types[] = {INK_F32, type};
    ink_model *models[2];
    float *logits[2];
    char folder[256];
    fixture f;
    fixture_open(&f, name);
    snprintf(folder, sizeof folder, FIXTURES "/models/%s", name);
    for (size_t i = 0; i < 2; i++) {
        const ink_model_options options = {.type = types[i]};
        assert_ok(f.ctx, ink_model_open(f.ctx, folder, &options, &models[i]));
        logits[i] = fixture_run(f.ctx, models[i], f.tokens, f.n_tokens);
    }
    assert_same_bits(name, "halves against F32", logits[1], logits[0], f.n_tokens * f.info->vocab_size);
    uint64_t wide = ink_model_get_info(models[0])->n_bytes, narrow = ink_model_get_info(models[1])->n_bytes;
    assert_true(narrow < wide * 2 / 3);
    assert_true(narrow == f.info->n_bytes);
    for (size_t i = 0; i < 2; i++) {
        free(logits[i]);
        ink_model_free(models[i]);
    }
    fixture_close(&f);
}

static void weights_may_be_held_in_halves(ink_context *ctx)
{
    const ink_model_options f64 = {.type = INK_F64};
    ink_model *model;
    check_halves("gpt2_bf16", INK_BF16);
    check_halves("gru_f16", INK_F16);
    assert_fails(ctx, ink_model_open(ctx, FIXTURES "/models/gpt2", &f64, &model), INK_ERROR_ARGUMENT,
                 "cannot be held as F64, only in their own blocks, or as F32, BF16, F16, Q8_0 or Q4_0");
    assert_null(model);
}

/* Any folder is quantised while it opens: products of at least 16 outputs and 32 inputs, as Q4_0 but for the words,
   which are Q8_0. What is only looked up stays float, and the logits stay close. Other types are refused. Of the tiny
   Llamas `pieces` has such products only, and in `llama` with its hidden size of 24 those from the 40 inner values are
   the only ones. */
static void weights_may_be_quantised(ink_context *ctx)
{
    static const char *const folders[] = {MODELS "/mlp",           MODELS "/rnn", MODELS "/gru",
                                          MODELS "/lstm",          MODELS "/gpt", FIXTURES "/quantise/pieces",
                                          FIXTURES "/models/llama"};
    static const ink_type types[] = {INK_TYPE_NONE, INK_Q8_0, INK_Q4_0};
    enum { N = 20 };
    ink_model *model;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        ink_model_info first = {0}, before = {0};
        float *stored = NULL;
        for (size_t t = 0; t < 3; t++) {
            const ink_model_options options = {.type = types[t]};
            ink_token tokens[N];
            assert_ok(ctx, ink_model_open(ctx, folders[i], &options, &model));
            const ink_model_info info = *ink_model_get_info(model);
            for (size_t k = 0; k < N; k++)
                tokens[k] = (ink_token)(7 * k % info.vocab_size);
            float *logits = fixture_run(ctx, model, tokens, N);
            if (t == 0) {
                first = info;
                stored = logits;
            } else {
                double largest;
                const double worst = largest_difference(logits, stored, N * info.vocab_size, &largest);
                print_message("%-6s %s: %4.1f %% of the bytes, largest difference %.2f %% of the largest logit\n",
                              strrchr(folders[i], '/') + 1, ink_type_name(types[t]),
                              100 * (double)info.n_bytes / (double)first.n_bytes, 100 * worst / largest);
                assert_true(worst > 0 && worst <= (t == 1 ? 0.06 : 0.3) * largest);
                assert_true(info.n_bytes < before.n_bytes);
                assert_int_equal(info.n_parameters, first.n_parameters);
                free(logits);
            }
            before = info;
            const ink_block *block = model->transformer.stack.blocks;
            const bool pieces = strstr(folders[i], "pieces") != NULL, llama = strstr(folders[i], "llama") != NULL;
            if (t > 0 && strcmp(info.kind, "gpt2") == 0) {
                assert_int_equal(model->embedding.table.type, INK_Q8_0);
                assert_int_equal(model->transformer.positions.table.type, INK_BF16);
                assert_int_equal(block->qkv.weight.type, types[t]);
            }
            if (t > 0 && (pieces || llama)) {
                assert_int_equal(model->embedding.table.type, pieces ? INK_Q8_0 : INK_F32);
                assert_int_equal(model->head.own.type, pieces ? INK_Q8_0 : INK_F32);
                assert_int_equal(block->qkv.weight.type, pieces ? types[t] : INK_F32);
                assert_int_equal(block->up.weight.type, pieces ? types[t] : INK_F32);
                assert_int_equal(block->down.weight.type, types[t]);
            }
            ink_model_free(model);
        }
        free(stored);
    }
    const ink_model_options q4_k = {.type = INK_Q4_K};
    assert_fails(ctx, ink_model_open(ctx, FIXTURES "/models/gpt2", &q4_k, &model), INK_ERROR_ARGUMENT,
                 "cannot be held as Q4_K, only in their own blocks, or as F32, BF16, F16, Q8_0 or Q4_0");
}

/* ---- looking inside ------------------------------------------------------------------------------------------- */

/* Calls by name, and whether "logits" was the caller's own array. */
typedef struct sight {
    const char *const *names; /* NULL ends the list */
    size_t calls[16];
    size_t others;
    const float *logits;
    bool same_logits;
} sight;

static void look(void *user, const char *name, const ink_tensor *value)
{
    sight *seen = user;
    size_t i = 0;
    while (seen->names[i] != NULL && strcmp(seen->names[i], name) != 0)
        i++;
    seen->others += seen->names[i] == NULL;
    seen->calls[i]++;
    seen->same_logits |= strcmp(name, "logits") == 0 && value->data == seen->logits;
}

/* Every name of the header, as often as it says, and no other. */
static void check_look(const char *fixture_name, const char *const *names, const size_t *calls)
{
    fixture f;
    float logits[53];
    sight seen = {.names = names, .logits = logits};
    fixture_open(&f, fixture_name);
    ink_state *state = fixture_state(f.ctx, f.model);
    ink_context_trace(f.ctx, look, &seen);
    assert_ok(f.ctx, ink_model_forward(f.ctx, f.model, state, f.tokens, 7, logits));
    for (size_t i = 0; names[i] != NULL; i++)
        if (seen.calls[i] != calls[i])
            fail_msg("%s: '%s' was shown %zu times, expected %zu", fixture_name, names[i], seen.calls[i], calls[i]);
    assert_int_equal(seen.others, 0);
    assert_true(seen.same_logits);
    ink_context_trace(f.ctx, NULL, NULL);
    seen.same_logits = false;
    assert_ok(f.ctx, ink_model_forward(f.ctx, f.model, state, f.tokens, 7, logits));
    assert_false(seen.same_logits);
    ink_state_free(state);
    fixture_close(&f);
}

static void every_value_inside_is_shown_by_name(void **unused)
{
    static const char *const lstm[] = {"embedding", "rnn.l0.gates", "rnn.l0.h", "rnn.l0.c", "rnn.l1.gates",
                                       "rnn.l1.h",  "rnn.l1.c",     "logits",   NULL};
    static const char *const mlp[] = {"embedding", "mlp.layers.0.out", "mlp.layers.1.out", "logits", NULL};
    (void)unused;
    check_look("lstm", lstm, (const size_t[]){1, 7, 7, 7, 7, 7, 7, 1});
    check_look("mlp", mlp, (const size_t[]){1, 1, 1, 1});
}

/* The residual stream adds up: x after a block is x before it, and what attention and MLP contributed. */
typedef struct stream {
    float x[7 * 24], attention[7 * 24], mlp[7 * 24];
    size_t n_blocks, n_scores;
} stream;

static void look_at_stream(void *user, const char *name, const ink_tensor *value)
{
    stream *s = user;
    const char *part = strncmp(name, "h.", 2) == 0 ? name + 4 : name;
    if (strcmp(part, "embedding") == 0)
        memcpy(s->x, value->data, sizeof s->x);
    else if (strcmp(part, "attn.out") == 0)
        memcpy(s->attention, value->data, sizeof s->attention);
    else if (strcmp(part, "mlp.down") == 0)
        memcpy(s->mlp, value->data, sizeof s->mlp);
    else if (strcmp(part, "attn.weights") == 0)
        s->n_scores += value->shape.dim[0] == 3 && value->shape.dim[1] == 7 && value->shape.dim[2] == 7;
    else if (strcmp(part, "out") == 0) {
        const float *out = value->data;
        assert_int_equal(name[2], '0' + (int)s->n_blocks);
        for (size_t i = 0; i < 7 * 24; i++)
            assert_true(fabs((double)s->x[i] + (double)s->attention[i] + (double)s->mlp[i] - (double)out[i]) < 1e-4);
        memcpy(s->x, out, sizeof s->x);
        s->n_blocks++;
    }
}

static void the_residual_stream_adds_up(const fixture *f)
{
    static stream s;
    ink_state *state = fixture_state(f->ctx, f->model);
    ink_context_trace(f->ctx, look_at_stream, &s);
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, 7, NULL));
    assert_int_equal(s.n_blocks, 2);
    assert_int_equal(s.n_scores, 2);
    ink_state_free(state);
}

/* ---- misuse --------------------------------------------------------------------------------------------------- */

/* A list whose second item is refused: neither state has moved, and no logits were written. */
static void refuse_item(const fixture *f, ink_item item, ink_result result, const char *words)
{
    ink_state *good = fixture_state(f->ctx, f->model);
    size_t length = ink_state_length(item.state);
    const ink_item items[] = {test_item(good, f->tokens, 3, NULL, 0), item};
    assert_fails(f->ctx, ink_model_forward_list(f->ctx, f->model, items, 2), result, words);
    assert_int_equal(ink_state_length(good), 0);
    assert_int_equal(ink_state_length(item.state), length);
    for (size_t i = 0; item.logits != NULL && i < f->info->vocab_size; i++)
        assert_true(item.logits[i] == 0);
    ink_state_free(good);
}

static void a_refused_item_changes_nothing(const fixture *f)
{
    fixture other;
    float logits[53] = {0};
    const ink_token beyond[] = {1, 2, 53}, negative[] = {1, -1, 2}, huge[] = {INT32_MAX}, least[] = {INT32_MIN};
    fixture_open(&other, "gru");
    ink_state *state = fixture_state(f->ctx, f->model), *foreign = fixture_state(f->ctx, other.model);
    refuse_item(f, test_item(NULL, f->tokens, 1, logits, 1), INK_ERROR_ARGUMENT, "item 1: its state is NULL");
    refuse_item(f, test_item(foreign, f->tokens, 1, logits, 1), INK_ERROR_ARGUMENT, "another model");
    refuse_item(f, test_item(state, NULL, 1, logits, 1), INK_ERROR_ARGUMENT, "no tokens");
    refuse_item(f, test_item(state, f->tokens, 0, logits, 0), INK_ERROR_ARGUMENT, "no tokens");
    refuse_item(f, test_item(state, f->tokens, 1, logits, 2), INK_ERROR_ARGUMENT, "logits of 2 tokens");
    refuse_item(f, test_item(state, f->tokens, 1, NULL, 1), INK_ERROR_ARGUMENT, "no place");
    refuse_item(f, test_item(state, beyond, 3, logits, 1), INK_ERROR_ARGUMENT, "token 2 is 53, but the vocabulary");
    refuse_item(f, test_item(state, negative, 3, logits, 1), INK_ERROR_ARGUMENT, "token 1 is -1");
    refuse_item(f, test_item(state, huge, 1, logits, 1), INK_ERROR_ARGUMENT, "2147483647");
    refuse_item(f, test_item(state, least, 1, logits, 1), INK_ERROR_ARGUMENT, "-2147483648");
    refuse_item(f, test_item(state, f->tokens, SIZE_MAX, logits, 1), INK_ERROR_LIMIT, "room for 48");

    const ink_item twice[] = {test_item(state, f->tokens, 1, NULL, 0), test_item(state, f->tokens, 1, NULL, 0)};
    assert_fails(f->ctx, ink_model_forward_list(f->ctx, f->model, twice, 2), INK_ERROR_ARGUMENT, "in the list twice");
    assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, twice, 1));
    assert_ok(f->ctx, ink_model_forward_list(f->ctx, f->model, NULL, 0));
    assert_fails(f->ctx, ink_model_forward_list(f->ctx, f->model, NULL, 1), INK_ERROR_ARGUMENT, "items");
    assert_fails(f->ctx, ink_model_forward_list(f->ctx, NULL, twice, 1), INK_ERROR_ARGUMENT, "model");
    assert_fails(f->ctx, ink_model_forward(f->ctx, f->model, NULL, f->tokens, 1, logits), INK_ERROR_ARGUMENT, "state");
    assert_fails(f->ctx, ink_context_reserve(f->ctx, NULL, 1, 1, 1), INK_ERROR_ARGUMENT, "model");
    assert_int_equal(ink_model_forward_list(NULL, f->model, twice, 1), INK_ERROR_ARGUMENT);
    ink_state_free(state);
    ink_state_free(foreign);
    fixture_close(&other);
}

/* Past the context window nothing is written, and what fits still runs. */
static void past_the_context_window_nothing_is_written(const fixture *f)
{
    size_t vocab_size = f->info->vocab_size;
    float *whole = fixture_run(f->ctx, f->model, f->tokens, f->n_tokens);
    float *logits = calloc(vocab_size, sizeof *logits);
    ink_state *state = fixture_state(f->ctx, f->model);
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, f->n_tokens - 1, NULL));
    assert_fails(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, 2, logits), INK_ERROR_LIMIT,
                 "2 tokens after 47 do not fit");
    for (size_t i = 0; i < vocab_size; i++)
        assert_true(logits[i] == 0);
    assert_ok(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens + f->n_tokens - 1, 1, logits));
    assert_same_bits("gpt2", "after a refusal", logits, whole + (f->n_tokens - 1) * vocab_size, vocab_size);
    assert_fails(f->ctx, ink_model_forward(f->ctx, f->model, state, f->tokens, 1, logits), INK_ERROR_LIMIT, "48");
    ink_state_free(state);
    free(logits);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(logits_are_the_references),
        fixture_test_of(fixture_variants, fixture_open, logits_are_the_references),
        fixture_test(chunks_of_any_size_give_the_same_bits),
        fixture_test(a_list_gives_the_bits_of_each_sequence_alone),
        fixture_test(more_sequences_than_a_pass_has_rows_give_the_same_bits),
        fixture_test(fixture_same_bits_everywhere),
        fixture_test(logits_may_lie_at_any_address),
        cmocka_unit_test(a_model_says_what_it_is),
        context_test(weights_may_be_held_in_halves),
        context_test(weights_may_be_quantised),
        cmocka_unit_test(every_value_inside_is_shown_by_name),
        fixture_test_on("gpt2", the_residual_stream_adds_up),
        fixture_test_on("gpt2", a_refused_item_changes_nothing),
        fixture_test_on("gpt2", past_the_context_window_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
