/*
 * test_plain.c - the plain loops of examples/pages/plain.c compute what the library does: layers with random weights,
 * and the bundled models from the first token to the logits.
 */
#define main plain_main
#include "../examples/pages/plain.c"
#undef main

#include <stdlib.h>

#include "programs.h"
#include "layers.h"
#include "whole.h"

#define CLOSE 1e-6

/* ---- layers ----------------------------------------------------------------------------------------------------- */

enum { IN = 20, SIZE = 37 };

static void dense_and_softmax(ink_context *ctx)
{
    float *w = test_random(SIZE * IN, 1, 0.3F), *b = test_random(SIZE, 2, 1), *x = test_random(IN, 3, 1);
    float expected[SIZE], y[SIZE];
    ink_dense *layer;
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, ink_dense_create(ctx, w, b, IN, SIZE, i == 0 ? INK_IDENTITY : INK_TANH, &layer));
        assert_ok(ctx, ink_dense_forward(ctx, layer, x, 1, expected));
        (i == 0 ? dense : tanh_layer)(w, b, x, IN, SIZE, y);
        test_assert_close(y, expected, SIZE, CLOSE, CLOSE, i == 0 ? "W x + b" : "tanh(W x + b)");
        ink_dense_free(layer);
    }
    assert_ok(ctx, ink_softmax(ctx, y, 1, SIZE, expected));
    softmax(y, SIZE, y);
    test_assert_close(y, expected, SIZE, CLOSE, CLOSE, "softmax");
    assert_ok(ctx, ink_activate(ctx, INK_GELU_TANH, x, IN, expected));
    for (int i = 0; i < IN; i++)
        x[i] = gelu(x[i]);
    test_assert_close(x, expected, IN, CLOSE, CLOSE, "GELU");
    free(w);
    free(b);
    free(x);
}

static void norm(ink_context *ctx)
{
    state_dict dict = {0};
    state_dict_vector(&dict, "weight", SIZE);
    state_dict_vector(&dict, "bias", SIZE);
    ink_weights *file = state_dict_open(ctx, &dict);
    float *weight = test_tensor(ctx, file, "weight", NULL), *bias = test_tensor(ctx, file, "bias", NULL);
    float *x = test_random(SIZE, 4, 2), y[SIZE], expected[SIZE];
    ink_norm *layer;
    assert_ok(ctx, ink_norm_load(ctx, file, "", INK_LAYER_NORM, 1e-5F, &layer));
    assert_ok(ctx, ink_norm_forward(ctx, layer, x, 1, expected));
    layer_norm(weight, bias, 1e-5F, x, SIZE, y);
    test_assert_close(y, expected, SIZE, CLOSE, CLOSE, "LayerNorm");
    ink_norm_free(layer);
    state_dict_free(&dict);
    free(weight);
    free(bias);
    free(x);
}

/* 50 steps of a cell from an arbitrary state. */
static void cell(ink_context *ctx, ink_cell kind, size_t gates, const char *what)
{
    state_dict dict = {0};
    state_dict_matrix(&dict, "weight_ih_l0", gates * SIZE, IN);
    state_dict_matrix(&dict, "weight_hh_l0", gates * SIZE, SIZE);
    state_dict_vector(&dict, "bias_ih_l0", gates * SIZE);
    state_dict_vector(&dict, "bias_hh_l0", gates * SIZE);
    ink_weights *file = state_dict_open(ctx, &dict);
    float *w = test_tensor(ctx, file, "weight_ih_l0", NULL), *u = test_tensor(ctx, file, "weight_hh_l0", NULL);
    float *b = test_tensor(ctx, file, "bias_ih_l0", NULL), *c = test_tensor(ctx, file, "bias_hh_l0", NULL);
    float *state = test_random(2 * SIZE, 5, 0.5F), y[SIZE], h[SIZE], m[SIZE];
    ink_recurrent *layer;
    memcpy(h, state, sizeof h);
    memcpy(m, state + SIZE, sizeof m);
    assert_ok(ctx, ink_recurrent_load(ctx, file, "", kind, &layer));
    for (uint64_t t = 0; t < 50; t++) {
        float *x = test_random(IN, 6 + t, 1);
        assert_ok(ctx, ink_recurrent_step(ctx, layer, x, state, y));
        if (kind == INK_LSTM)
            lstm_step(w, b, u, c, x, IN, SIZE, h, m);
        else
            (kind == INK_GRU ? gru_step : rnn_step)(w, b, u, c, x, IN, SIZE, h);
        test_assert_close(h, y, SIZE, CLOSE, CLOSE, what);
        memcpy(h, state, sizeof h); /* or small differences would grow from step to step */
        if (kind == INK_LSTM) {
            test_assert_close(m, state + SIZE, SIZE, CLOSE, CLOSE, "the memory");
            memcpy(m, state + SIZE, sizeof m);
        }
        free(x);
    }
    ink_recurrent_free(layer);
    state_dict_free(&dict);
    free(w);
    free(u);
    free(b);
    free(c);
    free(state);
}

static void cells_of_all_kinds(ink_context *ctx)
{
    cell(ctx, INK_RNN_TANH, 1, "RNN");
    cell(ctx, INK_GRU, 3, "GRU");
    cell(ctx, INK_LSTM, 4, "LSTM");
}

/* Three heads of five, over 200 words. */
static void heads(ink_context *ctx)
{
    enum { HEADS = 3, D = 5, ALL = HEADS * D, WORDS = 200 };
    const ink_attention settings = {.n_heads = HEADS, .n_kv_heads = HEADS, .head_dim = D};
    float *rows = test_random(WORDS * 3 * ALL, 7, 1), keys[WORDS * ALL], values[WORDS * ALL], weights[WORDS];
    float expected[ALL], y[ALL];
    ink_kv_cache *cache;
    assert_ok(ctx, ink_kv_cache_create(ctx, &settings, WORDS, &cache));
    for (int t = 0; t < WORDS; t++) {
        const float *qkv = rows + t * 3 * ALL;
        memcpy(keys + t * ALL, qkv + ALL, ALL * sizeof *keys);
        memcpy(values + t * ALL, qkv + 2 * ALL, ALL * sizeof *values);
        assert_ok(ctx, ink_attention_forward(ctx, &settings, cache, qkv, 1, expected));
        for (int head = 0; head < HEADS; head++)
            attention(qkv + head * D, keys + head * D, values + head * D, t + 1, ALL, D, weights, y + head * D);
        test_assert_close(y, expected, ALL, CLOSE, CLOSE, "attention");
    }
    ink_kv_cache_free(cache);
    free(rows);
}

/* ---- the bundled models ----------------------------------------------------------------------------------------- */

enum { N_TOKENS = 40, VOCAB = 852 };

static ink_weights *model_file(ink_context *ctx, const char *folder)
{
    char *path = join_path(folder, "model.safetensors");
    ink_weights *file;
    assert_ok(ctx, ink_weights_open(ctx, path, &file));
    free(path);
    return file;
}

/* logits = W h + b, which must be the model's behind this token; on the way there are up to 40 steps, or two blocks. */
static void logits_are_the_models(whole *w, int token, const float *weight, const float *bias, const float *h, int size)
{
    const ink_token next = (ink_token)token;
    float logits[VOCAB];
    assert_int_equal(w->vocab_size, VOCAB);
    dense(weight, bias, h, size, VOCAB, logits);
    assert_ok(w->ctx, ink_model_forward(w->ctx, w->model, w->state, &next, 1, w->logits));
    float largest = 0;
    for (int i = 0; i < VOCAB; i++)
        largest = fmaxf(largest, fabsf(w->logits[i]));
    test_assert_close(logits, w->logits, VOCAB, 3 * largest * CLOSE, 0, "logits");
}

static int token_at(int t) { return t * 7919 % VOCAB; }

static void the_mlp(void **state)
{
    enum { WINDOW = 16, D = 64, HIDDEN = 256 };
    whole w = whole_open(MODELS "/mlp");
    ink_weights *file = model_file(w.ctx, MODELS "/mlp");
    float *e = test_tensor(w.ctx, file, "embedding.weight", NULL),
          *h_w = test_tensor(w.ctx, file, "mlp.0.weight", NULL);
    float *h_b = test_tensor(w.ctx, file, "mlp.0.bias", NULL), *u = test_tensor(w.ctx, file, "lm_head.weight", NULL);
    float *b = test_tensor(w.ctx, file, "lm_head.bias", NULL), x[WINDOW * D], h[HIDDEN];
    (void)state;
    for (int i = 0; i < WINDOW; i++)
        memcpy(x + i * D, e, D * sizeof *x); /* in front of a text there are only tokens 0 */
    for (int t = 0; t < N_TOKENS; t++) {
        memmove(x, x + D, (WINDOW - 1) * D * sizeof *x);
        memcpy(x + (WINDOW - 1) * D, e + token_at(t) * D, D * sizeof *x);
        tanh_layer(h_w, h_b, x, WINDOW * D, HIDDEN, h);
        logits_are_the_models(&w, token_at(t), u, b, h, HIDDEN);
    }
    free(e);
    free(h_w);
    free(h_b);
    free(u);
    free(b);
    ink_weights_free(file);
    whole_close(&w);
}

/* The bundled RNN has two layers, the others one. */
static void a_recurrent_network(const char *folder, ink_cell kind)
{
    enum { LAYERS = 2 };
    static const char *const names[] = {"rnn.weight_ih_l%d", "rnn.bias_ih_l%d", "rnn.weight_hh_l%d", "rnn.bias_hh_l%d"};
    whole w = whole_open(folder);
    ink_weights *file = model_file(w.ctx, folder);
    size_t n;
    float *e = test_tensor(w.ctx, file, "embedding.weight", &n), *b = test_tensor(w.ctx, file, "lm_head.bias", NULL);
    float *part[LAYERS][4] = {{NULL}}, h[LAYERS][MOST] = {{0}}, m[MOST] = {0};
    const int size = (int)(n / VOCAB), layers = kind == INK_RNN_TANH ? 2 : 1;
    for (int layer = 0; layer < layers; layer++)
        for (int i = 0; i < 4; i++) {
            char name[32];
            snprintf(name, sizeof name, names[i], layer);
            part[layer][i] = test_tensor(w.ctx, file, name, NULL);
        }
    for (int t = 0; t < N_TOKENS; t++) {
        const float *x = e + token_at(t) * size;
        for (int layer = 0; layer < layers; layer++, x = h[layer - 1]) {
            float *const *p = part[layer];
            if (kind == INK_LSTM)
                lstm_step(p[0], p[1], p[2], p[3], x, size, size, h[layer], m);
            else
                (kind == INK_GRU ? gru_step : rnn_step)(p[0], p[1], p[2], p[3], x, size, size, h[layer]);
        }
        logits_are_the_models(&w, token_at(t), e, b, x, size);
    }
    for (int layer = 0; layer < layers; layer++)
        for (int i = 0; i < 4; i++)
            free(part[layer][i]);
    free(e);
    free(b);
    ink_weights_free(file);
    whole_close(&w);
}

static void the_recurrent_networks(void **state)
{
    (void)state;
    a_recurrent_network(MODELS "/rnn", INK_RNN_TANH);
    a_recurrent_network(MODELS "/gru", INK_GRU);
    a_recurrent_network(MODELS "/lstm", INK_LSTM);
}

enum { WIDTH = 128, PARTS = 12, BLOCKS = 2 };

/* A tensor of block i. GPT-2 keeps its matrices as [in, out]. */
static float *block_tensor(ink_context *ctx, const ink_weights *file, int i, const char *name)
{
    char full[64];
    size_t n;
    snprintf(full, sizeof full, "transformer.h.%d.%s", i, name);
    float *read = test_tensor(ctx, file, full, &n), *turned = test_floats(n);
    const ink_weight *weight = ink_weights_find(file, full);
    const size_t in = weight->shape.rank == 2 ? weight->shape.dim[0] : 1, out = n / in;
    for (size_t j = 0; j < n; j++)
        turned[j % out * in + j / out] = read[j];
    free(read);
    return turned;
}

static void the_gpt(void **state)
{
    static const char *const names[PARTS] = {
        "ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight", "attn.c_proj.bias",
        "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight",    "mlp.c_fc.bias",    "mlp.c_proj.weight",  "mlp.c_proj.bias"};
    static float keys[BLOCKS][N_TOKENS * WIDTH], values[BLOCKS][N_TOKENS * WIDTH];
    whole w = whole_open(MODELS "/gpt");
    ink_weights *file = model_file(w.ctx, MODELS "/gpt");
    float *e = test_tensor(w.ctx, file, "transformer.wte.weight", NULL);
    float *p = test_tensor(w.ctx, file, "transformer.wpe.weight", NULL);
    float *last = test_tensor(w.ctx, file, "transformer.ln_f.weight", NULL);
    float *last_b = test_tensor(w.ctx, file, "transformer.ln_f.bias", NULL);
    float *t_[BLOCKS][PARTS], x[WIDTH], y[WIDTH];
    (void)state;
    for (int i = 0; i < BLOCKS; i++)
        for (int j = 0; j < PARTS; j++)
            t_[i][j] = block_tensor(w.ctx, file, i, names[j]);
    for (int t = 0; t < N_TOKENS; t++) {
        for (int i = 0; i < WIDTH; i++)
            x[i] = e[token_at(t) * WIDTH + i] + p[t * WIDTH + i];
        for (int i = 0; i < BLOCKS; i++) {
            float *const *b = t_[i];
            block_step(&(block){b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11]}, WIDTH, 4, t,
                       keys[i], values[i], x);
        }
        layer_norm(last, last_b, 1e-5F, x, WIDTH, y);
        logits_are_the_models(&w, token_at(t), e, NULL, y, WIDTH);
    }
    for (int i = 0; i < BLOCKS; i++)
        for (int j = 0; j < PARTS; j++)
            free(t_[i][j]);
    free(e);
    free(p);
    free(last);
    free(last_b);
    ink_weights_free(file);
    whole_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(dense_and_softmax),  context_test(norm),
        context_test(cells_of_all_kinds), context_test(heads),
        cmocka_unit_test(the_mlp),        cmocka_unit_test(the_recurrent_networks),
        cmocka_unit_test(the_gpt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
