/*
 * test_transformer.c - nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerDecoder, their layers, and an
 * nn.Transformer made of both: PyTorch's numbers for a batch of sequences, each alone, the same bits in every variant,
 * and what is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "support/layers.h"

#define SIZE ((size_t)24)

static const size_t lengths[] = {9, 1, 35, 3};
#define N_SEQUENCES (sizeof lengths / sizeof lengths[0])
#define N_ROWS ((size_t)48)

typedef struct stack {
    const char *name;
    bool is_mha;
    size_t n_layers;
    ink_transformer_options options;
} stack;

static const stack stacks[] = {
    {"mha", true, 0, {.n_heads = 3}},
    {"mha_no_bias", true, 0, {.n_heads = 3, .causal = true}},
    {"mha_split", true, 0, {.n_heads = 3}},
    {"layer", false, 1, {.n_heads = 3, .activation = INK_RELU}},
    {"layer_first", false, 1, {.n_heads = 3, .activation = INK_GELU, .norm_first = true}},
    {"layer_no_bias", false, 1, {.n_heads = 3, .activation = INK_RELU, .eps = 1e-3F}},
    {"stack", false, 2, {.n_heads = 3, .activation = INK_RELU}},
    {"stack_causal", false, 2, {.n_heads = 3, .activation = INK_GELU, .norm_first = true, .causal = true}},
};
#define N_STACKS (sizeof stacks / sizeof stacks[0])

/* One of the two, through one interface. */
typedef struct network {
    ink_mha *mha;
    ink_transformer *transformer;
} network;

static network load(ink_context *ctx, const ink_weights *file, const stack *s)
{
    network net = {0};
    if (s->is_mha)
        assert_ok(ctx, ink_mha_load(ctx, file, s->name, &s->options, &net.mha));
    else
        assert_ok(ctx, ink_transformer_load(ctx, file, s->name, &s->options, &net.transformer));
    return net;
}

static void unload(network net)
{
    ink_mha_free(net.mha);
    ink_transformer_free(net.transformer);
}

static void run(ink_context *ctx, network net, const float *x, const size_t *n, size_t n_sequences, float *y)
{
    if (net.mha != NULL)
        assert_ok(ctx, ink_mha_forward(ctx, net.mha, x, n, n_sequences, y));
    else
        assert_ok(ctx, ink_transformer_forward(ctx, net.transformer, x, n, n_sequences, y));
}

static float *input_of(ink_context *ctx, const ink_weights *file, const stack *s, const char *which)
{
    size_t n;
    float *x = test_case_tensor(ctx, file, s->name, which, &n);
    assert_int_equal(n, N_ROWS * SIZE);
    return x;
}

static void each_stack(void (*test)(ink_context *, const ink_weights *, const stack *, network, const float *))
{
    ink_context *ctx = test_context(1);
    ink_weights *file = test_fixture(ctx, FIXTURES "/layers/transformer.safetensors");
    for (size_t i = 0; i < N_STACKS; i++) {
        network net = load(ctx, file, &stacks[i]);
        float *x = input_of(ctx, file, &stacks[i], "x");
        test(ctx, file, &stacks[i], net, x);
        free(x);
        unload(net);
    }
    ink_weights_free(file);
    ink_context_free(ctx);
}

static void check_numbers(ink_context *ctx, const ink_weights *file, const stack *s, network net, const float *x)
{
    float *expected = input_of(ctx, file, s, "y"), *y = test_floats(N_ROWS * SIZE);
    run(ctx, net, x, lengths, N_SEQUENCES, y);
    test_assert_close(y, expected, N_ROWS * SIZE, 1e-5, 1e-5, s->name);
    assert_int_equal(s->is_mha ? ink_mha_size(net.mha) : ink_transformer_size(net.transformer), SIZE);
    if (!s->is_mha) {
        assert_int_equal(ink_transformer_layers(net.transformer), s->n_layers);
        memcpy(y, x, N_ROWS * SIZE * sizeof *y); /* in place */
        run(ctx, net, y, lengths, N_SEQUENCES, y);
        test_assert_close(y, expected, N_ROWS * SIZE, 1e-5, 1e-5, s->name);
    }
    free(expected);
    free(y);
}

static void numbers_are_those_of_pytorch(void **unused)
{
    (void)unused;
    each_stack(check_numbers);
}

/* Each sequence alone; and many of them, so that they take several passes. */
static void check_alone(ink_context *ctx, const ink_weights *file, const stack *s, network net, const float *x)
{
    enum { N = 40 };
    size_t many[N], n_rows = 0;
    (void)file;
    for (size_t i = 0; i < N; i++)
        n_rows += many[i] = 1 + i * 13 % N_ROWS;
    float *long_x = test_floats(n_rows * SIZE), *y = test_floats(n_rows * SIZE), *alone = test_floats(N_ROWS * SIZE);
    for (size_t i = 0, first = 0; i < N; first += many[i++] * SIZE)
        memcpy(long_x + first, x, many[i] * SIZE * sizeof *x);
    run(ctx, net, long_x, many, N, y);
    for (size_t i = 0, first = 0; i < N; first += many[i++] * SIZE) {
        run(ctx, net, x, &many[i], 1, alone);
        test_assert_same_bits(y + first, alone, many[i] * SIZE, s->name);
    }
    free(long_x);
    free(alone);
    free(y);
}

static void a_sequence_does_not_depend_on_the_others(void **unused)
{
    (void)unused;
    each_stack(check_alone);
}

static void check_variants(ink_context *ctx, const ink_weights *file, const stack *s, network net, const float *x)
{
    float *expected = test_floats(N_ROWS * SIZE), *y = test_floats(N_ROWS * SIZE);
    ink_context *other = NULL;
    (void)file;
    run(ctx, net, x, lengths, N_SEQUENCES, expected);
    for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
        run(other, net, x, lengths, N_SEQUENCES, y);
        test_assert_same_bits(y, expected, N_ROWS * SIZE, s->name);
    }
    free(expected);
    free(y);
}

static void every_variant_gives_the_same_bits(void **unused)
{
    (void)unused;
    each_stack(check_variants);
}

/* With a causal mask a row does not know what comes after it; without, it does. */
static void a_causal_mask_hides_what_follows(ink_context *ctx)
{
    ink_weights *file = test_fixture(ctx, FIXTURES "/layers/transformer.safetensors");
    for (size_t i = 0; i < 2; i++) {
        const size_t five = 5, nine = 9;
        network net = load(ctx, file, &stacks[i]);
        float *x = test_random(9 * SIZE, 3, 1), y[2][9 * SIZE];
        run(ctx, net, x, &five, 1, y[0]);
        run(ctx, net, x, &nine, 1, y[1]);
        assert_true((memcmp(y[0], y[1], 5 * SIZE * sizeof **y) == 0) == stacks[i].options.causal);
        free(x);
        unload(net);
    }
    ink_weights_free(file);
}

static void nothing_is_allocated_after_a_reservation(ink_context *ctx, counting *memory)
{
    ink_weights *file = test_fixture(ctx, FIXTURES "/layers/transformer.safetensors");
    network net = load(ctx, file, &stacks[6]), mha = load(ctx, file, &stacks[0]);
    float *x = test_random(300 * SIZE, 9, 1), *y = test_floats(300 * SIZE);
    const size_t many[] = {7, 90, 200, 3};
    assert_ok(ctx, ink_transformer_reserve(ctx, net.transformer, 4, 300, 200));
    assert_ok(ctx, ink_mha_reserve(ctx, mha.mha, 4, 300, 200));
    size_t takes = memory->takes;
    for (size_t n = 1; n <= 4; n++) {
        run(ctx, net, x, many, n, y);
        run(ctx, mha, x, many, n, y);
    }
    assert_int_equal(memory->takes, takes);
    free(x);
    free(y);
    unload(net);
    unload(mha);
    ink_weights_free(file);
}

static void what_does_not_fit_is_refused(ink_context *ctx)
{
    ink_weights *file = test_fixture(ctx, FIXTURES "/layers/transformer.safetensors");
    ink_mha *mha = (ink_mha *)(uintptr_t)1;
    ink_transformer *net = (ink_transformer *)(uintptr_t)1;
    ink_transformer_options options = {.n_heads = 5, .activation = INK_RELU};
    assert_fails(ctx, ink_mha_load(ctx, file, "mha", &options, &mha), INK_ERROR_ARGUMENT,
                 "attention 'mha.' has size 24, which is not a multiple of 5 heads (n_heads)");
    assert_null(mha);
    options.n_heads = 0;
    assert_fails(ctx, ink_transformer_load(ctx, file, "stack", &options, &net), INK_ERROR_ARGUMENT,
                 "not a multiple of 0 heads");
    assert_null(net);
    options.n_heads = 3;
    assert_fails(ctx, ink_mha_load(ctx, file, "mha_bias_kv", &options, &mha), INK_ERROR_UNSUPPORTED,
                 "'mha_bias_kv.bias_k': attention with add_bias_kv");
    assert_fails(ctx, ink_mha_load(ctx, file, "mha_kdim", &options, &mha), INK_ERROR_MISMATCH,
                 "tensor 'mha_kdim.k_proj_weight' is [6, 4], expected [6, 6]");
    assert_fails(ctx, ink_mha_load(ctx, file, "nowhere", &options, &mha), INK_ERROR_NOT_FOUND,
                 "tensor 'nowhere.out_proj.weight' is missing");
    options.activation = INK_N_ACTIVATIONS;
    assert_fails(ctx, ink_transformer_load(ctx, file, "stack", &options, &net), INK_ERROR_ARGUMENT, "no activation");
    options.activation = INK_RELU;
    options.eps = -1;
    assert_fails(ctx, ink_transformer_load(ctx, file, "stack", &options, &net), INK_ERROR_ARGUMENT, "eps must be");
    assert_fails(ctx, ink_transformer_load(ctx, file, "stack", NULL, &net), INK_ERROR_ARGUMENT, "'options'");

    network good = load(ctx, file, &stacks[6]);
    float x[2 * SIZE] = {0};
    const size_t bad[] = {1, 0}, huge[] = {1, SIZE_MAX};
    assert_fails(ctx, ink_transformer_forward(ctx, good.transformer, x, bad, 2, x), INK_ERROR_ARGUMENT,
                 "sequence 1 has 0 rows");
    assert_fails(ctx, ink_transformer_forward(ctx, good.transformer, x, huge, 2, x), INK_ERROR_ARGUMENT, "sequence 1");
    assert_fails(ctx, ink_transformer_forward(ctx, good.transformer, NULL, bad, 2, x), INK_ERROR_ARGUMENT, "'x'");
    assert_ok(ctx, ink_transformer_forward(ctx, good.transformer, NULL, NULL, 0, NULL));
    unload(good);
    ink_weights_free(file);
}

/* ---- decoders -----------------------------------------------------------------------------------------------------
 */

static const size_t memories[N_SEQUENCES] = {4, 21, 6, 1};
#define N_MEMORIES ((size_t)32)

static const stack decoders[] = {
    {"layer", false, 1, {.n_heads = 3, .activation = INK_RELU, .causal = true}},
    {"layer_first", false, 1, {.n_heads = 3, .activation = INK_GELU, .norm_first = true, .causal = true}},
    {"layer_no_bias", false, 1, {.n_heads = 3, .activation = INK_RELU, .eps = 1e-3F, .causal = true}},
    {"layer_split", false, 1, {.n_heads = 3, .activation = INK_RELU, .causal = true}},
    {"stack", false, 2, {.n_heads = 3, .activation = INK_RELU, .causal = true}},
    {"whole.decoder", false, 2, {.n_heads = 3, .activation = INK_GELU, .norm_first = true, .causal = true}},
};
#define N_DECODERS (sizeof decoders / sizeof decoders[0])

/* The memory of a case; that of "whole.decoder" is the output of "whole.encoder". */
static float *memory_of(ink_context *ctx, const ink_weights *file, const stack *s)
{
    bool whole = strcmp(s->name, "whole.decoder") == 0;
    float *memory = test_case_tensor(ctx, file, whole ? "whole" : s->name, "memory", NULL);
    if (whole) {
        ink_transformer_options options = s->options;
        ink_transformer *encoder;
        options.causal = false;
        assert_ok(ctx, ink_transformer_load(ctx, file, "whole.encoder", &options, &encoder));
        assert_int_equal(ink_transformer_memory_size(encoder), 0);
        assert_ok(ctx, ink_transformer_forward(ctx, encoder, memory, memories, N_SEQUENCES, memory));
        ink_transformer_free(encoder);
    }
    return memory;
}

/* PyTorch's numbers for a batch; then many sequences, which take several passes, and each of them alone; then every
   variant. */
static void decoders_give_the_numbers_of_pytorch(ink_context *ctx)
{
    enum { N = 60 };
    ink_weights *file = test_fixture(ctx, FIXTURES "/layers/transformer_decoder.safetensors");
    for (size_t i = 0; i < N_DECODERS; i++) {
        const stack *s = &decoders[i];
        const char *name = i == N_DECODERS - 1 ? "whole" : s->name;
        float *x = test_case_tensor(ctx, file, name, "x", NULL),
              *expected = test_case_tensor(ctx, file, name, "y", NULL);
        float *memory = memory_of(ctx, file, s), *y = test_floats(N_ROWS * SIZE);
        ink_transformer *net;
        ink_context *other = NULL;
        assert_ok(ctx, ink_transformer_load(ctx, file, s->name, &s->options, &net));
        assert_int_equal(ink_transformer_layers(net), s->n_layers);
        assert_int_equal(ink_transformer_memory_size(net), SIZE);
        assert_ok(ctx, ink_transformer_decode(ctx, net, x, lengths, memory, memories, N_SEQUENCES, y));
        test_assert_close(y, expected, N_ROWS * SIZE, 1e-5, 1e-5, s->name);
        memcpy(expected, y, N_ROWS * SIZE * sizeof *y);
        for (size_t v = 0; (other = test_variant(other, v)) != NULL; v++) {
            memcpy(y, x, N_ROWS * SIZE * sizeof *y); /* in place */
            assert_ok(other, ink_transformer_decode(other, net, y, lengths, memory, memories, N_SEQUENCES, y));
            test_assert_same_bits(y, expected, N_ROWS * SIZE, s->name);
        }

        size_t many[N], theirs[N], n_rows = 0, n_memories = 0;
        for (size_t j = 0; j < N; j++) {
            n_rows += many[j] = 1 + j * 13 % N_ROWS;
            n_memories += theirs[j] = 1 + j * j % N_MEMORIES;
        }
        float *long_x = test_random(n_rows * SIZE, 1, 1), *long_memory = test_random(n_memories * SIZE, 2, 1);
        float *long_y = test_floats(n_rows * SIZE), *alone = test_floats(N_ROWS * SIZE);
        assert_ok(ctx, ink_transformer_decode(ctx, net, long_x, many, long_memory, theirs, N, long_y));
        for (size_t j = 0, at = 0, from = 0; j < N; at += many[j] * SIZE, from += theirs[j++] * SIZE) {
            assert_ok(
                ctx, ink_transformer_decode(ctx, net, long_x + at, &many[j], long_memory + from, &theirs[j], 1, alone));
            test_assert_same_bits(long_y + at, alone, many[j] * SIZE, s->name);
        }
        float *const all[] = {x, expected, memory, y, long_x, long_memory, long_y, alone};
        for (size_t j = 0; j < sizeof all / sizeof all[0]; j++)
            free(all[j]);
        ink_transformer_free(net);
    }
    ink_weights_free(file);
}

static void a_decoder_allocates_nothing_after_a_reservation(ink_context *ctx, counting *memory)
{
    static const size_t many[] = {7, 90, 200, 3}, theirs[] = {150, 2, 30, 80};
    ink_weights *file = test_fixture(ctx, FIXTURES "/layers/transformer_decoder.safetensors");
    ink_transformer *net;
    float *x = test_random(300 * SIZE, 9, 1), *y = test_floats(300 * SIZE), *m = test_random(262 * SIZE, 8, 1);
    assert_ok(ctx, ink_transformer_load(ctx, file, "stack", &decoders[4].options, &net));
    assert_ok(ctx, ink_transformer_decode_reserve(ctx, net, 4, 300, 200, 262, 150));
    size_t takes = memory->takes;
    for (size_t n = 1; n <= 4; n++)
        assert_ok(ctx, ink_transformer_decode(ctx, net, x, many, m, theirs, n, y));
    assert_int_equal(memory->takes, takes);
    free(x);
    free(y);
    free(m);
    ink_transformer_free(net);
    ink_weights_free(file);
}

static void a_decoder_wants_a_memory(ink_context *ctx)
{
    const ink_transformer_options options = {.n_heads = 3, .activation = INK_RELU};
    ink_weights *file = test_fixture(ctx, FIXTURES "/layers/transformer_decoder.safetensors");
    ink_transformer *decoder, *encoder;
    float x[SIZE] = {0};
    const size_t one = 1, none = 0;
    assert_ok(ctx, ink_transformer_load(ctx, file, "stack", &options, &decoder));
    assert_ok(ctx, ink_transformer_load(ctx, file, "whole.encoder", &options, &encoder));
    assert_fails(ctx, ink_transformer_forward(ctx, decoder, x, &one, 1, x), INK_ERROR_ARGUMENT,
                 "a decoder attends to a memory: use ink_transformer_decode()");
    assert_fails(ctx, ink_transformer_decode(ctx, encoder, x, &one, x, &one, 1, x), INK_ERROR_ARGUMENT,
                 "an encoder attends to no memory");
    assert_fails(ctx, ink_transformer_decode_reserve(ctx, encoder, 1, 1, 1, 1, 1), INK_ERROR_ARGUMENT, "no memory");
    assert_fails(ctx, ink_transformer_decode(ctx, decoder, x, &one, x, &none, 1, x), INK_ERROR_ARGUMENT,
                 "memory 0 has 0 rows");
    assert_fails(ctx, ink_transformer_decode(ctx, decoder, x, &none, x, &one, 1, x), INK_ERROR_ARGUMENT,
                 "sequence 0 has 0 rows");
    assert_fails(ctx, ink_transformer_decode(ctx, decoder, x, &one, NULL, &one, 1, x), INK_ERROR_ARGUMENT, "'memory'");
    assert_ok(ctx, ink_transformer_decode(ctx, decoder, NULL, NULL, NULL, NULL, 0, NULL));
    ink_transformer_free(decoder);
    ink_transformer_free(encoder);
    ink_weights_free(file);
}

/* ---- layers of one stack ------------------------------------------------------------------------------------------
 */

/* Adds net.layers.`number` of width 8 to a file. */
static void add_layer(state_dict *dict, size_t number, size_t inner)
{
    static const char *const matrices[] = {"self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight",
                                           "linear2.weight"};
    const size_t shapes[4][2] = {{24, 8}, {8, 8}, {inner, 8}, {8, inner}};
    char name[64];
    for (size_t m = 0; m < 4; m++) {
        snprintf(name, sizeof name, "net.layers.%zu.%s", number, matrices[m]);
        state_dict_matrix(dict, name, shapes[m][0], shapes[m][1]);
    }
    for (int norm = 1; norm <= 2; norm++) {
        snprintf(name, sizeof name, "net.layers.%zu.norm%d.weight", number, norm);
        state_dict_vector(dict, name, 8);
    }
}

/* Layers of one stack share their scratch memory, so they must be of one size; none may be missing, and none may have
   its weights twice. */
static void layers_that_do_not_fit_each_other_are_refused(ink_context *ctx)
{
    const ink_transformer_options options = {.n_heads = 2, .activation = INK_RELU};
    ink_transformer *net;
    state_dict other = {0}, both = {0};
    add_layer(&other, 0, 6);
    add_layer(&other, 1, 7);
    ink_weights *file = state_dict_open(ctx, &other);
    assert_fails(ctx, ink_transformer_load(ctx, file, "net", &options, &net), INK_ERROR_MISMATCH,
                 "tensor 'net.layers.1.linear1.weight' is [7, 8], the layer before it asks for [6, 8]");
    state_dict_free(&other);

    for (size_t first = 0; first < 2; first++) { /* layer 1 is missing, then layer 0 */
        state_dict gap = {0};
        char words[64];
        add_layer(&gap, first, 6);
        add_layer(&gap, 2, 6);
        snprintf(words, sizeof words, "'net.layers.%zu.self_attn.out_proj.weight' is missing", 1 - first);
        file = state_dict_open(ctx, &gap);
        assert_fails(ctx, ink_transformer_load(ctx, file, "net", &options, &net), INK_ERROR_MISMATCH, words);
        state_dict_free(&gap);
    }

    add_layer(&both, 0, 6);
    state_dict_matrix(&both, "net.layers.0.self_attn.k_proj_weight", 8, 8);
    file = state_dict_open(ctx, &both);
    assert_fails(ctx, ink_transformer_load(ctx, file, "net", &options, &net), INK_ERROR_MISMATCH,
                 "both 'net.layers.0.self_attn.in_proj_weight' and 'net.layers.0.self_attn.k_proj_weight'");
    state_dict_free(&both);

    for (size_t decoder = 0; decoder < 2; decoder++) { /* only one of two layers attends to a memory */
        state_dict mixed = {0};
        char name[64], words[96];
        add_layer(&mixed, 0, 6);
        add_layer(&mixed, 1, 6);
        snprintf(name, sizeof name, "net.layers.%zu.multihead_attn.in_proj_weight", decoder);
        state_dict_matrix(&mixed, name, 24, 8);
        snprintf(name, sizeof name, "net.layers.%zu.multihead_attn.out_proj.weight", decoder);
        state_dict_matrix(&mixed, name, 8, 8);
        snprintf(name, sizeof name, "net.layers.%zu.norm3.weight", decoder);
        state_dict_vector(&mixed, name, 8);
        snprintf(words, sizeof words, "layer 'net.layers.1.' %s",
                 decoder == 1 ? "attends to a memory, the layer before it to none"
                              : "attends to no memory, the layer before it to one");
        file = state_dict_open(ctx, &mixed);
        assert_fails(ctx, ink_transformer_load(ctx, file, "net", &options, &net), INK_ERROR_MISMATCH, words);
        state_dict_free(&mixed);
    }

    /* A memory of another size, in projections that are stored apart; and a part of a normalised weight. */
    state_dict wide = {0}, normalised = {0};
    static const char *const parts[] = {"q", "k", "v"};
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "net.layers.0.multihead_attn.%s_proj_weight", parts[i]);
        state_dict_matrix(&wide, name, 8, i == 0 ? 8 : 5);
    }
    state_dict_matrix(&normalised, "net.layers.0.multihead_attn.parametrizations.in_proj_weight.original0", 24, 1);
    state_dict_matrix(&normalised, "net.layers.0.multihead_attn.parametrizations.in_proj_weight.original1", 24, 8);
    state_dict *const dicts[] = {&wide, &normalised};
    for (size_t i = 0; i < 2; i++) {
        add_layer(dicts[i], 0, 6);
        state_dict_matrix(dicts[i], "net.layers.0.multihead_attn.out_proj.weight", 8, 8);
        state_dict_vector(dicts[i], "net.layers.0.norm3.weight", 8);
    }
    file = state_dict_open(ctx, &wide);
    float x[8] = {1}, memory[10] = {2}, y[8];
    const size_t one = 1, two = 2;
    assert_ok(ctx, ink_transformer_load(ctx, file, "net", &options, &net));
    assert_int_equal(ink_transformer_memory_size(net), 5);
    assert_ok(ctx, ink_transformer_decode(ctx, net, x, &one, memory, &two, 1, y));
    ink_transformer_free(net);
    state_dict_free(&wide);
    file = state_dict_open(ctx, &normalised);
    assert_fails(ctx, ink_transformer_load(ctx, file, "net", &options, &net), INK_ERROR_UNSUPPORTED,
                 "supported only for matrices [out, in] that are used whole");
    state_dict_free(&normalised);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_pytorch),
        cmocka_unit_test(a_sequence_does_not_depend_on_the_others),
        cmocka_unit_test(every_variant_gives_the_same_bits),
        context_test(a_causal_mask_hides_what_follows),
        counted_test(nothing_is_allocated_after_a_reservation),
        context_test(what_does_not_fit_is_refused),
        context_test(decoders_give_the_numbers_of_pytorch),
        counted_test(a_decoder_allocates_nothing_after_a_reservation),
        context_test(a_decoder_wants_a_memory),
        context_test(layers_that_do_not_fit_each_other_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
