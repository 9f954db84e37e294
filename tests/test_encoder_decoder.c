/*
 * test_encoder_decoder.c - sources and the states that continue from them: the same bits alone, in lists, in pieces,
 * shared and everywhere; rows of another encoder; exact sizes, copies, saved states; nothing allocated after a
 * reservation; and what is refused.
 *
 * The models are made on the spot, with random weights: post-norm with learned positions, pre-norm with position
 * biases, and one whose two halves and whose cross attention have sizes of their own. Numbers are those of test_block.c
 * and of the folders of genuine families.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/import/plan.h"
#include "../src/models/networks.h"
#include "counting.h"
#include "support/layers.h"

enum { VOCAB = 37, SOURCE_VOCAB = 41, HIDDEN = 24, INNER = 32, N_BLOCKS = 2, BUCKETS = 8 };
enum { LONGEST_SOURCE = 200, LONGEST = 60 };

typedef struct kind {
    const char *name;
    ink_norm_place place;
    ink_norm_kind norm;
    bool gated, shared; /* shared: source and target have one embedding */
    size_t n_buckets, n_positions;
    size_t source_size;
    ink_attention cross;
    float scale; /* of the head */
} kind;

static const kind kinds[] = {
    {"post", INK_NORM_AFTER, INK_LAYER_NORM, false, true, 0, 202, HIDDEN, {4, 4, 6, 0, 0, false}, 0},
    {"pre", INK_NORM_BEFORE, INK_RMS_NORM, true, true, BUCKETS, 0, HIDDEN, {4, 4, 6, 1, 0, false}, 0.3f},
    {"mixed", INK_NORM_BEFORE, INK_LAYER_NORM, false, false, 0, 202, 20, {6, 3, 7, 0, 0, false}, 0},
};
#define N_KINDS (sizeof kinds / sizeof kinds[0])

/* ---- models on the spot ------------------------------------------------------------------------------------------ */

/* The names and shapes of one half; `heads` are those of self attention. */
static void add_half(state_dict *dict, const kind *k, const char *half, size_t size, bool decoder)
{
    char name[64];
#define NAME(...) (snprintf(name, sizeof name, __VA_ARGS__), name)
    size_t q = k->cross.n_heads * k->cross.head_dim, kv = 2 * k->cross.n_kv_heads * k->cross.head_dim;
    state_dict_matrix(dict, NAME("%s.embedding.weight", half), decoder ? VOCAB : SOURCE_VOCAB, size);
    if (k->n_positions != 0)
        state_dict_matrix(dict, NAME("%s.positions.weight", half), k->n_positions, size);
    if (k->n_buckets != 0)
        state_dict_matrix(dict, NAME("%s.bias.weight", half), BUCKETS, 4);
    state_dict_vector(dict, NAME("%s.norm.weight", half), size);
    for (size_t i = 0; i < N_BLOCKS; i++) {
        state_dict_vector(dict, NAME("%s.%zu.norm_1.weight", half, i), size);
        state_dict_vector(dict, NAME("%s.%zu.norm_2.weight", half, i), size);
        state_dict_matrix(dict, NAME("%s.%zu.qkv.weight", half, i), 3 * size, size);
        state_dict_matrix(dict, NAME("%s.%zu.o.weight", half, i), size, size);
        state_dict_matrix(dict, NAME("%s.%zu.up.weight", half, i), k->gated ? 2 * INNER : INNER, size);
        state_dict_matrix(dict, NAME("%s.%zu.down.weight", half, i), size, INNER);
        if (!decoder)
            continue;
        state_dict_vector(dict, NAME("%s.%zu.norm_cross.weight", half, i), size);
        state_dict_matrix(dict, NAME("%s.%zu.cross_q.weight", half, i), q, size);
        state_dict_vector(dict, NAME("%s.%zu.cross_q.bias", half, i), q);
        state_dict_matrix(dict, NAME("%s.%zu.cross_kv.weight", half, i), kv, k->source_size);
        state_dict_vector(dict, NAME("%s.%zu.cross_kv.bias", half, i), kv);
        state_dict_matrix(dict, NAME("%s.%zu.cross_o.weight", half, i), size, q);
    }
#undef NAME
}

static ink_result plan_half(ink_plan *plan, const kind *k, const char *half, size_t size, bool decoder,
                            ink_transformer_net *net)
{
    const ink_bias_rule any = INK_BIAS_IF_THERE;
    const ink_attention a = {.n_heads = 4, .n_kv_heads = 4, .head_dim = size / 4, .bidirectional = !decoder};
    ink_stack *stack = &net->stack;
    net->padding = -1;
    net->max_positions = k->n_positions;
    net->first_position = 2;
    size_t scope = ink_plan_enter_module(plan, half);
    stack->config = (ink_stack_config){.hidden_size = size,
                                       .inner_size = INNER,
                                       .norm_place = k->place,
                                       .gate_activation = INK_GELU_TANH,
                                       .gated = k->gated,
                                       .n_buckets = k->n_buckets,
                                       .max_distance = 20,
                                       .source_size = k->source_size};
    if (decoder)
        stack->config.cross = k->cross;
    INK_TRY(ink_plan_stack(plan, N_BLOCKS, &a, stack));
    if (k->n_positions != 0)
        INK_TRY(ink_plan_embedding(plan, "positions", k->n_positions, size, &net->positions));
    if (k->n_buckets != 0)
        INK_TRY(ink_plan_embedding(plan, "bias", BUCKETS, 4, &stack->position_bias));
    INK_TRY(ink_plan_norm(plan, "norm", k->norm, size, 1e-5f, any, &stack->norm));
    for (size_t i = 0; i < N_BLOCKS; i++) {
        ink_block *b = &stack->blocks[i];
        size_t block = ink_plan_enter(plan, "", i);
        INK_TRY(ink_plan_norm(plan, "norm_1", k->norm, size, 1e-5f, any, &b->norm_1));
        INK_TRY(ink_plan_norm(plan, "norm_2", k->norm, size, 1e-5f, any, &b->norm_2));
        INK_TRY(ink_plan_dense(plan, "qkv", 3 * size, size, any, INK_IDENTITY, &b->qkv));
        INK_TRY(ink_plan_dense(plan, "o", size, size, any, INK_IDENTITY, &b->out));
        INK_TRY(ink_plan_dense(plan, "up", 0, size, any, k->gated ? INK_IDENTITY : INK_RELU, &b->up));
        INK_TRY(ink_plan_dense(plan, "down", size, INNER, any, INK_IDENTITY, &b->down));
        if (decoder) {
            INK_TRY(ink_plan_norm(plan, "norm_cross", k->norm, size, 1e-5f, any, &b->norm_cross));
            INK_TRY(ink_plan_dense(plan, "cross_q", 0, size, any, INK_IDENTITY, &b->cross_q));
            INK_TRY(ink_plan_dense(plan, "cross_kv", 0, k->source_size, any, INK_IDENTITY, &b->cross_kv));
            INK_TRY(ink_plan_dense(plan, "cross_o", size, 0, any, INK_IDENTITY, &b->cross_out));
        }
        ink_plan_leave(plan, block);
    }
    ink_plan_leave(plan, scope);
    return INK_OK;
}

static ink_result plan_model(ink_plan *plan, const kind *k, ink_model *model)
{
    model->info = (ink_model_info){.kind = k->name,
                                   .vocab_size = k->shared ? SOURCE_VOCAB : VOCAB,
                                   .context_length = LONGEST,
                                   .hidden_size = HIDDEN,
                                   .bos_token = -1,
                                   .eos_token = -1};
    model->is_encoder_decoder = true;
    model->encoder_decoder = (ink_encoder_decoder_info){.source_vocab_size = SOURCE_VOCAB,
                                                        .source_length = LONGEST_SOURCE,
                                                        .source_size = k->source_size,
                                                        .start_token = 1};
    model->network = model->source.network = INK_NETWORK_TRANSFORMER;
    model->source.embedding = k->shared ? &model->embedding : &model->source.own;
    if (!k->shared)
        INK_TRY(ink_plan_embedding(plan, "encoder.embedding", SOURCE_VOCAB, k->source_size, &model->source.own));
    INK_TRY(
        ink_plan_embedding(plan, k->shared ? "encoder.embedding" : "decoder.embedding", 0, HIDDEN, &model->embedding));
    INK_TRY(plan_half(plan, k, "encoder", k->source_size, false, &model->source.transformer));
    INK_TRY(plan_half(plan, k, "decoder", HIDDEN, true, &model->transformer));
    model->head.weight = &model->embedding.table;
    model->head.scale = k->scale;
    model->head.padding = -1;
    return INK_OK;
}

static ink_model *make_model(ink_context *ctx, const kind *k)
{
    ink_plan plan;
    void *object;
    state_dict dict = {0};
    add_half(&dict, k, "encoder", k->source_size, false);
    add_half(&dict, k, "decoder", HIDDEN, true);
    ink_weights *weights = state_dict_open(ctx, &dict);
    assert_ok(ctx, ink_plan_begin(&plan, ctx, weights, "the model", sizeof(ink_model), &object));
    ink_model *model = object;
    assert_ok(ctx, ink_plan_finish(&plan, plan_model(&plan, k, model), 0));
    model->fingerprint = plan.fingerprint;
    state_dict_free(&dict);
    return model;
}

static void each_kind(ink_context *ctx, void (*test)(ink_context *, const ink_model *))
{
    for (size_t i = 0; i < N_KINDS; i++) {
        ink_model *model = make_model(ctx, &kinds[i]);
        test(ctx, model);
        ink_model_free(model);
    }
}

/* ---- sources and what is written --------------------------------------------------------------------------------- */

#define N_SOURCES 5
static const size_t lengths[N_SOURCES] = {9, 1, 150, 33, 70};

/* Source `i`, and what is written for it: any ids. */
static const ink_token *source_of(size_t i)
{
    static ink_token tokens[N_SOURCES + 1][LONGEST_SOURCE];
    for (size_t t = 0; t < LONGEST_SOURCE; t++)
        tokens[i][t] = (ink_token)((t * t * 7 + t * 3 + i * 11 + 2) % VOCAB);
    return tokens[i];
}

static ink_encoded *encode(ink_context *ctx, const ink_model *model, size_t i)
{
    ink_encoded *encoded;
    assert_ok(ctx, ink_encoded_create(ctx, model, 0, &encoded));
    assert_int_equal(ink_encoded_length(encoded), 0);
    const ink_source_item item = {.encoded = encoded, .tokens = source_of(i), .n_tokens = lengths[i]};
    assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
    assert_int_equal(ink_encoded_length(encoded), lengths[i]);
    return encoded;
}

static ink_state *begin(ink_context *ctx, const ink_model *model, const ink_encoded *encoded)
{
    ink_state *state;
    assert_ok(ctx, ink_state_create(ctx, model, 0, &state));
    assert_ok(ctx, ink_state_begin(ctx, state, encoded));
    return state;
}

#define N_WRITTEN ((size_t)50)

/* Logits of N_WRITTEN tokens after source i [N_WRITTEN, vocab_size], alone and one token at a time. */
static float *write_alone(ink_context *ctx, const ink_model *model, size_t i)
{
    size_t vocab = ink_model_get_info(model)->vocab_size;
    float *logits = test_floats(N_WRITTEN * vocab);
    ink_encoded *encoded = encode(ctx, model, i);
    ink_state *state = begin(ctx, model, encoded);
    for (size_t t = 0; t < N_WRITTEN; t++)
        assert_ok(ctx, ink_model_forward(ctx, model, state, source_of(N_SOURCES) + t, 1, logits + t * vocab));
    ink_state_free(state);
    ink_encoded_free(encoded);
    return logits;
}

/* Goes on with tokens from .. to - 1 and compares the logits of all of them. */
static void go_on(ink_context *ctx, const ink_model *model, ink_state *state, size_t from, size_t to,
                  const float *expected, const char *what)
{
    size_t vocab = ink_model_get_info(model)->vocab_size;
    float *logits = test_floats(N_WRITTEN * vocab);
    const ink_item item = {.state = state,
                           .tokens = source_of(N_SOURCES) + from,
                           .n_tokens = to - from,
                           .logits = logits,
                           .n_logits = to - from};
    assert_ok(ctx, ink_model_forward_list(ctx, model, &item, 1));
    assert_int_equal(ink_state_length(state), to);
    test_assert_same_bits(logits, expected + from * vocab, (to - from) * vocab, what);
    free(logits);
}

/* ---- the same bits ----------------------------------------------------------------------------------------------- */

/* Sources alone and in a list, in this order and backwards: the same rows of the encoder, and the same logits. */
static void check_sources(ink_context *ctx, const ink_model *model)
{
    size_t size = ink_model_get_encoder_decoder(model)->source_size;
    float *alone[N_SOURCES], *listed[N_SOURCES], *logits[N_SOURCES];
    ink_encoded *encoded[N_SOURCES];
    ink_source_item items[N_SOURCES];
    for (size_t i = 0; i < N_SOURCES; i++) {
        alone[i] = test_floats(lengths[i] * size);
        listed[i] = test_floats(lengths[i] * size);
        logits[i] = write_alone(ctx, model, i);
        encoded[i] = encode(ctx, model, i);
        const ink_source_item item = {
            .encoded = encoded[i], .tokens = source_of(i), .n_tokens = lengths[i], .hidden = alone[i]};
        assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
    }
    for (size_t order = 0; order < 2; order++) {
        for (size_t i = 0; i < N_SOURCES; i++) {
            items[order == 0 ? i : N_SOURCES - 1 - i] = (ink_source_item){
                .encoded = encoded[i], .tokens = source_of(i), .n_tokens = lengths[i], .hidden = listed[i]};
            memset(listed[i], 0xff, lengths[i] * size * sizeof(float));
        }
        assert_ok(ctx, ink_model_encode_sources(ctx, model, items, N_SOURCES));
        for (size_t i = 0; i < N_SOURCES; i++) {
            ink_state *state = begin(ctx, model, encoded[i]);
            test_assert_same_bits(listed[i], alone[i], lengths[i] * size, "hidden");
            go_on(ctx, model, state, 0, N_WRITTEN, logits[i], "a source from a list");
            ink_state_free(state);
        }
    }
    for (size_t i = 0; i < N_SOURCES; i++) {
        free(alone[i]);
        free(listed[i]);
        free(logits[i]);
        ink_encoded_free(encoded[i]);
    }
}

static void a_source_does_not_depend_on_the_list(ink_context *ctx) { each_kind(ctx, check_sources); }

/* Ten states, two or three to a source, in any order, each at another place and with another number of tokens: the
   logits of each as if it were alone, with every kernel and any number of threads. */
static void check_lists(ink_context *ctx, const ink_model *model)
{
    enum { N = 10 };
    static const size_t orders[3][N] = {
        {0, 0, 1, 1, 2, 2, 2, 3, 4, 4}, {4, 1, 4, 2, 0, 3, 2, 1, 2, 0}, {2, 2, 2, 2, 2, 2, 2, 2, 2, 2}};
    size_t vocab = ink_model_get_info(model)->vocab_size;
    float *alone[N_SOURCES], *logits[N];
    ink_context *other = NULL;
    for (size_t i = 0; i < N_SOURCES; i++)
        alone[i] = write_alone(ctx, model, i);
    for (size_t i = 0; i < N; i++)
        logits[i] = test_floats(N_WRITTEN * vocab);
    for (size_t v = 0; (other = test_variant(other, v)) != NULL; v++)
        for (size_t order = 0; order < 3; order++) {
            ink_encoded *encoded[N_SOURCES];
            ink_state *states[N];
            for (size_t i = 0; i < N_SOURCES; i++)
                encoded[i] = encode(other, model, i);
            for (size_t i = 0; i < N; i++)
                states[i] = begin(other, model, encoded[orders[order][i]]);
            for (size_t step = 0; step < 4; step++) {
                ink_item items[N];
                for (size_t i = 0; i < N; i++) {
                    size_t done = ink_state_length(states[i]), n = step < 2 ? 1 : 1 + (i * 7 + step) % 12;
                    items[i] = (ink_item){.state = states[i],
                                          .tokens = source_of(N_SOURCES) + done,
                                          .n_tokens = n,
                                          .logits = logits[i] + done * vocab,
                                          .n_logits = n};
                }
                assert_ok(other, ink_model_forward_list(other, model, items, N));
            }
            for (size_t i = 0; i < N; i++) {
                test_assert_same_bits(logits[i], alone[orders[order][i]], ink_state_length(states[i]) * vocab,
                                      model->info.kind);
                ink_state_free(states[i]);
            }
            for (size_t i = 0; i < N_SOURCES; i++)
                ink_encoded_free(encoded[i]);
        }
    for (size_t i = 0; i < N_SOURCES; i++)
        free(alone[i]);
    for (size_t i = 0; i < N; i++)
        free(logits[i]);
}

static void states_of_many_sources_run_together(ink_context *ctx) { each_kind(ctx, check_lists); }

static void check_pieces(ink_context *ctx, const ink_model *model)
{
    static const size_t pieces[] = {1, 7, 32, 33, N_WRITTEN};
    for (size_t i = 0; i < N_SOURCES; i++) {
        float *alone = write_alone(ctx, model, i);
        ink_encoded *encoded = encode(ctx, model, i);
        ink_state *state = begin(ctx, model, encoded);
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            ink_state_reset(state); /* it keeps the source */
            for (size_t done = 0, count; done < N_WRITTEN; done += count) {
                count = pieces[p] < N_WRITTEN - done ? pieces[p] : N_WRITTEN - done;
                go_on(ctx, model, state, done, done + count, alone, "in pieces");
            }
        }
        ink_state_free(state);
        ink_encoded_free(encoded);
        free(alone);
    }
}

static void what_is_written_may_be_cut_anywhere(ink_context *ctx) { each_kind(ctx, check_pieces); }

/* ---- the output of another encoder ------------------------------------------------------------------------------- */

/* The encoder's own output given as rows is the same source. Cross attention knows no positions, so rows in another
   order give nearly the same logits; other rows do not. */
static void check_rows(ink_context *ctx, const ink_model *model)
{
    size_t size = ink_model_get_encoder_decoder(model)->source_size, vocab = ink_model_get_info(model)->vocab_size;
    for (size_t i = 0; i < N_SOURCES; i++) {
        size_t n = lengths[i];
        float *rows = test_floats(n * size), *copy = test_floats(n * size), *backwards = test_floats(n * size);
        float *alone = write_alone(ctx, model, i), *logits = test_floats(vocab);
        ink_encoded *encoded = encode(ctx, model, i), *own = encode(ctx, model, 0);
        ink_source_item items[2] = {{.encoded = encoded, .tokens = source_of(i), .n_tokens = n, .hidden = rows},
                                    {.encoded = own, .tokens = source_of(3), .n_tokens = lengths[3]}};
        assert_ok(ctx, ink_model_encode_sources(ctx, model, items, 1));
        items[0].tokens = NULL;
        items[0].rows = rows;
        items[0].hidden = copy;
        assert_ok(ctx, ink_model_encode_sources(ctx, model, items, 2)); /* beside a source of tokens */
        assert_int_equal(ink_encoded_length(encoded), n);
        test_assert_same_bits(copy, rows, n * size, "hidden of given rows");
        ink_state *state = begin(ctx, model, encoded);
        go_on(ctx, model, state, 0, N_WRITTEN, alone, "given rows");

        for (size_t t = 0; t < n; t++)
            memcpy(backwards + t * size, rows + (n - 1 - t) * size, size * sizeof *rows);
        items[0].rows = backwards;
        assert_ok(ctx, ink_model_encode_sources(ctx, model, items, 1));
        assert_ok(ctx, ink_state_begin(ctx, state, encoded));
        assert_ok(ctx, ink_model_forward(ctx, model, state, source_of(N_SOURCES), 1, logits));
        test_assert_close(logits, alone, vocab, 1e-4, 1e-4, "rows in another order");
        float *other = write_alone(ctx, model, i == 0);
        assert_true(memcmp(other, alone, vocab * sizeof *other) != 0);
        free(other);
        ink_state_free(state);
        ink_encoded_free(encoded);
        ink_encoded_free(own);
        free(rows);
        free(copy);
        free(backwards);
        free(alone);
        free(logits);
    }
}

static void rows_may_come_from_elsewhere(ink_context *ctx) { each_kind(ctx, check_rows); }

/* ---- states ------------------------------------------------------------------------------------------------------ */

/* Copies of all of a state, and of what differs from a state that has the beginning already. */
static void check_copies(ink_context *ctx, const ink_model *model)
{
    static const size_t firsts[] = {0, 1, 15, 16, 17, 31, 32, 33, 40};
    float *alone = write_alone(ctx, model, 2);
    ink_encoded *encoded = encode(ctx, model, 2), *second = encode(ctx, model, 3);
    ink_state *from = begin(ctx, model, encoded), *to = begin(ctx, model, second), *small;
    assert_ok(ctx, ink_state_create(ctx, model, 43, &small));
    go_on(ctx, model, from, 0, 40, alone, "the original");
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        ink_state *const copies[] = {to, small};
        for (size_t c = 0; c < 2; c++) {
            ink_state *copy = copies[c];
            const ink_token others[4] = {5, 9, 8, 7};
            assert_ok(ctx, ink_state_begin(ctx, copy, second)); /* another source, which the copy forgets */
            assert_ok(ctx, ink_model_forward(ctx, model, copy, others, 4, NULL));
            assert_ok(ctx, ink_state_copy(ctx, from, copy));
            go_on(ctx, model, copy, 40, 43, alone, "a copy");
            /* The two part at position firsts[i], and then `copy` becomes like `from` again. */
            assert_ok(ctx, ink_state_rewind(ctx, copy, firsts[i]));
            for (size_t t = firsts[i]; t < 42; t++)
                assert_ok(ctx, ink_model_forward(ctx, model, copy, others + t % 4, 1, NULL));
            assert_ok(ctx, ink_state_copy_from(ctx, from, copy, firsts[i]));
            assert_int_equal(ink_state_length(copy), 40);
            go_on(ctx, model, copy, 40, 43, alone, "a copy from where they differ");
        }
    }
    go_on(ctx, model, from, 40, N_WRITTEN, alone, "the original after the copies");
    ink_state_free(from);
    ink_state_free(to);
    ink_state_free(small);
    ink_encoded_free(encoded);
    ink_encoded_free(second);
    free(alone);
}

static void a_copy_knows_its_source(ink_context *ctx) { each_kind(ctx, check_copies); }

static void check_saved(ink_context *ctx, const ink_model *model)
{
    float *alone = write_alone(ctx, model, 3);
    ink_encoded *encoded = encode(ctx, model, 3), *again = encode(ctx, model, 3), *second = encode(ctx, model, 4);
    ink_state *from = begin(ctx, model, encoded), *to = begin(ctx, model, again), *without;
    size_t size;
    go_on(ctx, model, from, 0, 20, alone, "before it is saved");
    assert_fails(ctx, ink_state_save(ctx, from, NULL, 0, &size), INK_ERROR_LIMIT, "needs");
    unsigned char *bytes = malloc(size);
    assert_ok(ctx, ink_state_save(ctx, from, bytes, size, &size));
    assert_ok(ctx, ink_state_load(ctx, to, bytes, size)); /* the same source, encoded elsewhere */
    go_on(ctx, model, to, 20, 30, alone, "loaded");
    assert_ok(ctx, ink_state_begin(ctx, to, second));
    assert_fails(ctx, ink_state_load(ctx, to, bytes, size), INK_ERROR_MISMATCH, "began with another source");
    assert_int_equal(ink_state_length(to), 0);
    assert_ok(ctx, ink_state_create(ctx, model, 0, &without));
    assert_fails(ctx, ink_state_load(ctx, without, bytes, size), INK_ERROR_MISMATCH, "began with another source");
    ink_state_free(from);
    ink_state_free(to);
    ink_state_free(without);
    ink_encoded_free(encoded);
    ink_encoded_free(again);
    ink_encoded_free(second);
    free(bytes);
    free(alone);
}

static void a_saved_state_fits_its_source(ink_context *ctx) { each_kind(ctx, check_saved); }

static void check_rewinding(ink_context *ctx, const ink_model *model)
{
    float *alone = write_alone(ctx, model, 0);
    ink_encoded *encoded = encode(ctx, model, 0);
    ink_state *state = begin(ctx, model, encoded);
    go_on(ctx, model, state, 0, 40, alone, "before");
    for (size_t length = 40; length > 0; length -= 8) {
        assert_ok(ctx, ink_state_rewind(ctx, state, length));
        go_on(ctx, model, state, length, length + 3, alone, "after going back");
    }
    assert_ok(ctx, ink_state_begin(ctx, state, encoded)); /* from the beginning */
    assert_int_equal(ink_state_length(state), 0);
    go_on(ctx, model, state, 0, 40, alone, "again");
    ink_state_free(state);
    ink_encoded_free(encoded);
    free(alone);
}

static void a_state_goes_back_and_keeps_its_source(ink_context *ctx) { each_kind(ctx, check_rewinding); }

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* The size reported is the size taken, from the hook and from a block of the caller's. */
static void check_sizes(ink_context *ctx, const ink_model *model)
{
    counting memory;
    ink_context *counted = counting_begin(&memory, 1);
    ink_encoded *encoded;
    size_t size, all, before = memory.live_bytes;
    (void)ctx;
    assert_ok(counted, ink_encoded_size(counted, model, 33, &size));
    assert_ok(counted, ink_encoded_size(counted, model, 0, &all));
    assert_true(all > size && size % INK_ALIGNMENT == 0);
    assert_int_equal(memory.live_bytes, before);
    assert_ok(counted, ink_encoded_create(counted, model, 33, &encoded));
    assert_true(memory.live_bytes - before >= size && memory.live_bytes - before < size + INK_ALIGNMENT);
    ink_encoded_free(encoded);
    assert_int_equal(memory.live_bytes, before);
    counting_fail_at(&memory, 1);
    assert_fails(counted, ink_encoded_create(counted, model, 33, &encoded), INK_ERROR_MEMORY, "the source");
    assert_true(counting_failed(&memory));
    assert_null(encoded);

    float *alone = write_alone(counted, model, 3);
    unsigned char *block = test_aligned(size + INK_ALIGNMENT);
    assert_ok(counted, ink_encoded_create_in(counted, model, 33, block, size, &encoded));
    const ink_source_item item = {.encoded = encoded, .tokens = source_of(3), .n_tokens = 33};
    assert_ok(counted, ink_model_encode_sources(counted, model, &item, 1));
    for (size_t i = size; i < size + INK_ALIGNMENT; i++)
        assert_int_equal(block[i], 0xff);
    ink_state *state = begin(counted, model, encoded);
    go_on(counted, model, state, 0, N_WRITTEN, alone, "in a block of the caller's");
    ink_state_free(state);
    ink_encoded_free(encoded);
    assert_fails(counted, ink_encoded_create_in(counted, model, 33, block, size - 1, &encoded), INK_ERROR_MEMORY,
                 "are needed");
    assert_fails(counted, ink_encoded_create_in(counted, model, 33, block + 4, size, &encoded), INK_ERROR_ARGUMENT,
                 "multiple of 64");
    test_aligned_free(block);
    free(alone);
    counting_end(&memory, counted);
}

static void sizes_are_exact(ink_context *ctx) { each_kind(ctx, check_sizes); }

static void check_reserved(ink_context *ctx, const ink_model *model)
{
    (void)ctx;
    for (unsigned n_threads = 1; n_threads <= 2; n_threads++) {
        counting memory;
        ink_context *counted = counting_begin(&memory, n_threads);
        size_t vocab = ink_model_get_info(model)->vocab_size;
        float *logits = test_floats(8 * vocab), *rows = test_random((size_t)LONGEST_SOURCE * HIDDEN, 1, 1);
        ink_encoded *encoded[3];
        ink_state *states[8];
        for (size_t i = 0; i < 3; i++)
            assert_ok(counted, ink_encoded_create(counted, model, 0, &encoded[i]));
        for (size_t i = 0; i < 8; i++)
            assert_ok(counted, ink_state_create(counted, model, 0, &states[i]));
        assert_ok(counted, ink_model_encode_sources_reserve(counted, model, 3, 300, 0));
        assert_ok(counted, ink_context_reserve(counted, model, 8, 40, LONGEST_SOURCE));
        size_t takes = memory.takes;
        ink_source_item sources[3] = {{.encoded = encoded[0], .tokens = source_of(0), .n_tokens = 200},
                                      {.encoded = encoded[1], .tokens = source_of(1), .n_tokens = 30},
                                      {.encoded = encoded[2], .rows = rows, .n_tokens = 70}};
        for (size_t n = 3; n > 0; n--)
            assert_ok(counted, ink_model_encode_sources(counted, model, sources, n));
        for (size_t n = 1; n <= 8; n++) {
            ink_item items[8];
            for (size_t i = 0; i < n; i++) {
                assert_ok(counted, ink_state_begin(counted, states[i], encoded[i % 3]));
                items[i] = (ink_item){.state = states[i],
                                      .tokens = source_of(N_SOURCES),
                                      .n_tokens = 40 / n,
                                      .logits = logits + (7 - i) * vocab,
                                      .n_logits = 1};
            }
            assert_ok(counted, ink_model_forward_list(counted, model, items, n));
        }
        assert_ok(counted, ink_state_copy(counted, states[0], states[1]));
        assert_int_equal(memory.takes, takes);
        free(logits);
        free(rows);
        for (size_t i = 0; i < 3; i++)
            ink_encoded_free(encoded[i]);
        for (size_t i = 0; i < 8; i++)
            ink_state_free(states[i]);
        counting_end(&memory, counted);
    }
}

static void nothing_is_allocated_after_a_reservation(ink_context *ctx) { each_kind(ctx, check_reserved); }

/* Each request for memory fails in turn; then the list is encoded as if nothing had happened. */
static void check_failing_memory(ink_context *ctx, const ink_model *model)
{
    counting memory;
    float *alone = write_alone(ctx, model, 3);
    bool failed = true;
    for (size_t k = 1; failed; k++) {
        ink_context *counted = counting_begin(&memory, 1);
        ink_encoded *encoded;
        assert_ok(counted, ink_encoded_create(counted, model, 0, &encoded));
        const ink_source_item item = {.encoded = encoded, .tokens = source_of(3), .n_tokens = lengths[3]};
        failed = runs_out_of_memory(counted, &memory, k, ink_model_encode_sources(counted, model, &item, 1), NULL);
        if (failed)
            assert_int_equal(ink_encoded_length(encoded), 0);
        assert_ok(counted, ink_model_encode_sources(counted, model, &item, 1));
        ink_state *state = begin(counted, model, encoded);
        go_on(counted, model, state, 0, 5, alone, "after memory ran out");
        ink_state_free(state);
        ink_encoded_free(encoded);
        counting_end(&memory, counted);
    }
    free(alone);
}

static void a_source_survives_failing_memory(ink_context *ctx) { each_kind(ctx, check_failing_memory); }

/* ---- what is seen and what is refused ---------------------------------------------------------------------------- */

typedef struct seen {
    size_t weights, norms, encoder, kv;
} seen;

static void look(void *user, const char *name, const ink_tensor *value)
{
    seen *s = user;
    const float *x = value->data;
    if (strncmp(name, "encoder.", 8) == 0)
        s->encoder++;
    if (strcmp(name, "h.1.cross.kv") == 0)
        s->kv++;
    if (strcmp(name, "h.1.norm_cross") == 0)
        s->norms++;
    if (strcmp(name, "h.1.cross.weights") != 0)
        return;
    size_t n = value->shape.dim[2];
    assert_int_equal(value->shape.dim[1], 6); /* the rows of both states, which have one source */
    assert_int_equal(n, lengths[3]);
    for (size_t row = 0; row < value->shape.dim[0] * value->shape.dim[1]; row++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += x[row * n + i];
        assert_true(sum > 1 - 1e-5 && sum < 1 + 1e-5);
    }
    s->weights++;
}

static void check_trace(ink_context *ctx, const ink_model *model)
{
    seen s = {0};
    ink_encoded *encoded;
    assert_ok(ctx, ink_encoded_create(ctx, model, 0, &encoded));
    const ink_source_item item = {.encoded = encoded, .tokens = source_of(3), .n_tokens = lengths[3]};
    ink_context_trace(ctx, look, &s);
    assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
    assert_true(s.encoder > 10 && s.kv == 1);
    size_t encoder = s.encoder;
    ink_state *states[] = {begin(ctx, model, encoded), begin(ctx, model, encoded)};
    const ink_item items[] = {{.state = states[0], .tokens = source_of(0), .n_tokens = 2},
                              {.state = states[1], .tokens = source_of(0), .n_tokens = 4}};
    assert_ok(ctx, ink_model_forward_list(ctx, model, items, 2));
    assert_true(s.weights == 1 && s.norms == 1 && s.encoder == encoder);
    ink_context_trace(ctx, NULL, NULL);
    ink_state_free(states[0]);
    ink_state_free(states[1]);
    ink_encoded_free(encoded);
}

static void the_alignment_can_be_traced(ink_context *ctx) { each_kind(ctx, check_trace); }

static void bad_input_is_refused(ink_context *ctx)
{
    ink_model *model = make_model(ctx, &kinds[0]), *other = make_model(ctx, &kinds[1]), *decoder;
    ink_encoded *encoded, *small, *foreign = encode(ctx, other, 0), *none = (ink_encoded *)(uintptr_t)1;
    ink_state *state, *gpt;
    size_t size;
    float rows[2 * HIDDEN] = {0}, logits[SOURCE_VOCAB];
    const ink_token one = 1, outside[] = {3, SOURCE_VOCAB}, below[] = {-1};
    assert_ok(ctx, ink_model_open(ctx, FIXTURES "/models/gpt2", NULL, &decoder));
    assert_ok(ctx, ink_state_create(ctx, decoder, 0, &gpt));
    assert_ok(ctx, ink_encoded_create(ctx, model, 0, &encoded));
    assert_ok(ctx, ink_encoded_create(ctx, model, 4, &small));
    assert_ok(ctx, ink_state_create(ctx, model, 0, &state));

    const struct {
        ink_source_item item;
        ink_result result;
        const char *words;
    } cases[] = {
        {{NULL, &one, 1, NULL, NULL}, INK_ERROR_ARGUMENT, "source 1: its ink_encoded is NULL"},
        {{foreign, &one, 1, NULL, NULL}, INK_ERROR_ARGUMENT, "source 1: its ink_encoded is one of another model"},
        {{small, &one, 0, NULL, NULL}, INK_ERROR_ARGUMENT, "source 1: there are no tokens to encode"},
        {{small, NULL, 1, NULL, NULL}, INK_ERROR_ARGUMENT, "source 1: there are no tokens to encode"},
        {{small, &one, 1, rows, NULL}, INK_ERROR_ARGUMENT, "source 1: it has both tokens and rows"},
        {{small, source_of(0), 201, NULL, NULL},
         INK_ERROR_LIMIT,
         "source 1: it has 201 tokens, but this model reads at most 200"},
        {{small, source_of(0), 5, NULL, NULL},
         INK_ERROR_LIMIT,
         "source 1: it has 5 tokens, but its ink_encoded has room for 4"},
        {{small, outside, 2, NULL, NULL}, INK_ERROR_ARGUMENT, "source 1: token 1 is 41, expected 0 to 40"},
        {{small, below, 1, NULL, NULL}, INK_ERROR_ARGUMENT, "source 1: token 0 is -1, expected 0 to 40"},
        {{encoded, &one, 1, NULL, NULL}, INK_ERROR_ARGUMENT, "source 1: its ink_encoded is in the list twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const ink_source_item list[] = {{.encoded = encoded, .tokens = &one, .n_tokens = 1}, cases[i].item};
        assert_fails(ctx, ink_model_encode_sources(ctx, model, list, 2), cases[i].result, cases[i].words);
        assert_int_equal(ink_encoded_length(encoded), 0); /* not even the first one is encoded */
    }
    ink_source_item item = {.encoded = encoded, .rows = rows, .n_tokens = 2};
    rows[30] = 1e38f * 1e38f;
    assert_fails(ctx, ink_model_encode_sources(ctx, model, &item, 1), INK_ERROR_ARGUMENT,
                 "source 0: its rows have a NaN or an infinity");
    rows[30] = 0;
    assert_ok(ctx, ink_model_encode_sources(ctx, model, NULL, 0));
    assert_fails(ctx, ink_model_encode_sources(ctx, model, NULL, 1), INK_ERROR_ARGUMENT, "'sources'");
    assert_fails(ctx, ink_model_encode_sources(ctx, NULL, &item, 1), INK_ERROR_ARGUMENT, "'model'");
    assert_fails(ctx, ink_model_encode_sources(ctx, decoder, &item, 1), INK_ERROR_UNSUPPORTED,
                 "a gpt2 model is not an encoder-decoder: it reads no source");
    assert_fails(ctx, ink_model_encode_sources_reserve(ctx, decoder, 1, 1, 0), INK_ERROR_UNSUPPORTED, "no source");
    assert_fails(ctx, ink_encoded_create(ctx, decoder, 0, &none), INK_ERROR_UNSUPPORTED, "no source");
    assert_null(none);
    assert_fails(ctx, ink_encoded_size(ctx, model, 201, &size), INK_ERROR_LIMIT, "this post model reads at most 200");
    assert_int_equal(size, 0);
    assert_fails(ctx, ink_encoded_create(ctx, model, SIZE_MAX, &none), INK_ERROR_LIMIT, "at most 200");
    assert_fails(ctx, ink_encoded_create(ctx, model, 1, NULL), INK_ERROR_ARGUMENT, "'encoded'");
    assert_null(ink_model_get_encoder_decoder(decoder));
    assert_null(ink_model_get_encoder_decoder(NULL));
    assert_int_equal(ink_encoded_length(NULL), 0);
    ink_encoded_free(NULL);

    assert_fails(ctx, ink_model_forward(ctx, model, state, &one, 1, logits), INK_ERROR_ARGUMENT,
                 "item 0: its state has no source: call ink_state_begin()");
    assert_fails(ctx, ink_state_begin(ctx, state, encoded), INK_ERROR_ARGUMENT, "no source is encoded here");
    assert_fails(ctx, ink_state_begin(ctx, state, foreign), INK_ERROR_ARGUMENT, "are of different models");
    assert_fails(ctx, ink_state_begin(ctx, state, NULL), INK_ERROR_ARGUMENT, "'encoded'");
    assert_fails(ctx, ink_state_begin(ctx, NULL, encoded), INK_ERROR_ARGUMENT, "'state'");
    assert_fails(ctx, ink_state_begin(ctx, gpt, foreign), INK_ERROR_UNSUPPORTED, "a gpt2 model is not");
    assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
    assert_ok(ctx, ink_state_begin(ctx, state, encoded));
    assert_ok(ctx, ink_model_forward(ctx, model, state, &one, 1, logits));
    rows[0] = 1;
    assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
    assert_fails(ctx, ink_model_forward(ctx, model, state, &one, 1, logits), INK_ERROR_ARGUMENT,
                 "item 0: another source was encoded where its state began");

    /* A model without an encoder of its own; one without a longest source, and one without a longest text. */
    model->source.embedding = NULL;
    item.rows = NULL;
    item.tokens = &one;
    assert_fails(ctx, ink_model_encode_sources(ctx, model, &item, 1), INK_ERROR_UNSUPPORTED,
                 "source 0: this post model has no encoder of its own");
    item.rows = rows;
    item.tokens = NULL;
    assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
    other->encoder_decoder.source_length = 0;
    other->info.context_length = 0;
    assert_fails(ctx, ink_encoded_create(ctx, other, 0, &none), INK_ERROR_ARGUMENT, "may have any length");
    assert_fails(ctx, ink_state_size(ctx, other, 0, &size), INK_ERROR_ARGUMENT, "may have any length");
    assert_fails(ctx, ink_context_reserve(ctx, other, 1, 1, 0), INK_ERROR_ARGUMENT, "name a capacity");
    assert_ok(ctx, ink_state_size(ctx, other, 1000, &size));
    assert_ok(ctx, ink_context_reserve(ctx, other, 1, 1, 1000));
    assert_fails(ctx, ink_encoded_size(ctx, other, SIZE_MAX / 2, &size), INK_ERROR_LIMIT, "address");
    ink_state_free(state);
    ink_state_free(gpt);
    ink_encoded_free(encoded);
    ink_encoded_free(small);
    ink_encoded_free(foreign);
    ink_model_free(model);
    ink_model_free(other);
    ink_model_free(decoder);
}

/* Weights that are too large: the source is named, and none of the list is encoded. */
static void what_is_not_finite_is_noticed(ink_context *ctx)
{
    ink_model *model = make_model(ctx, &kinds[0]);
    ink_encoded *encoded[] = {encode(ctx, model, 0), encode(ctx, model, 1)};
    const ink_token good[] = {1, 2}, bad[] = {3, 40};
    const float large[HIDDEN] = {3e38f, -3e38f, 3e38f, 3e38f};
    const ink_source_item items[] = {{.encoded = encoded[0], .tokens = good, .n_tokens = 2},
                                     {.encoded = encoded[1], .tokens = bad, .n_tokens = 2}};
    ink_matrix_write_row(&model->embedding.table, 40, 0, HIDDEN, large);
    assert_fails(ctx, ink_model_encode_sources(ctx, model, items, 2), INK_ERROR_NONFINITE,
                 "source 1: the model computes a NaN or an infinity");
    assert_int_equal(ink_encoded_length(encoded[0]) + ink_encoded_length(encoded[1]), 0);
    assert_ok(ctx, ink_model_encode_sources(ctx, model, items, 1));
    ink_encoded_free(encoded[0]);
    ink_encoded_free(encoded[1]);
    ink_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(a_source_does_not_depend_on_the_list),
        context_test(states_of_many_sources_run_together),
        context_test(what_is_written_may_be_cut_anywhere),
        context_test(rows_may_come_from_elsewhere),
        context_test(a_copy_knows_its_source),
        context_test(a_saved_state_fits_its_source),
        context_test(a_state_goes_back_and_keeps_its_source),
        context_test(sizes_are_exact),
        context_test(nothing_is_allocated_after_a_reservation),
        context_test(a_source_survives_failing_memory),
        context_test(the_alignment_can_be_traced),
        context_test(bad_input_is_refused),
        context_test(what_is_not_finite_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
