/*
 * test_seq2seq.c - recurrent encoder-decoders: PyTorch's numbers for the models of common courses, the oracle, the same
 * bits however sources and sequences are listed and cut, states, beams, files that do not fit.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "fixture.h"
#include "layers.h"
#include "oracle_layers.h"
#include "settings.h"

static const char *const names[] = {"tutorial", "tutorial_attention", "sutskever", "cho",     "bahdanau",
                                    "d2l",      "d2l_attention",      "bridge",    "bridges", "joined",
                                    "cell"};
#define N_NAMES (sizeof names / sizeof names[0])

typedef struct pair {
    ink_context *ctx;
    ink_model *model;
    size_t vocab_size, source_size;
    size_t n_source, n_tokens;
    ink_token *source, *tokens; /* [n_source], [n_tokens] */
    float *rows;                /* [n_source, source_size] */
    float *logits;              /* [n_tokens, vocab_size] */
    float *weights;             /* [n_tokens, n_source] or NULL */
} pair;

static ink_token *read_ids(ink_context *ctx, const ink_weights *file, const char *name, size_t *n)
{
    float *values = test_tensor(ctx, file, name, n);
    ink_token *ids = calloc(*n, sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (ink_token)values[i];
    free(values);
    return ids;
}

static void pair_open(pair *p, const char *name)
{
    char path[FIXTURE_PATH];
    memset(p, 0, sizeof *p);
    p->ctx = test_context(1);
    snprintf(path, sizeof path, FIXTURES "/seq2seq/%s", name);
    assert_ok(p->ctx, ink_model_open(p->ctx, path, NULL, &p->model));
    snprintf(path, sizeof path, FIXTURES "/seq2seq/%s/reference.safetensors", name);
    ink_weights *file = test_fixture(p->ctx, path);
    p->vocab_size = ink_model_get_info(p->model)->vocab_size;
    p->source_size = ink_model_get_encoder_decoder(p->model)->source_size;
    p->source = read_ids(p->ctx, file, "source", &p->n_source);
    p->tokens = read_ids(p->ctx, file, "tokens", &p->n_tokens);
    p->rows = test_tensor(p->ctx, file, "rows", NULL);
    p->logits = test_tensor(p->ctx, file, "logits", NULL);
    if (ink_weights_find(file, "weights") != NULL)
        p->weights = test_tensor(p->ctx, file, "weights", NULL);
    ink_weights_free(file);
}

static void pair_close(pair *p)
{
    free(p->source);
    free(p->tokens);
    free(p->rows);
    free(p->logits);
    free(p->weights);
    ink_model_free(p->model);
    ink_context_free(p->ctx);
}

static ink_encoded *encode(ink_context *ctx, const ink_model *model, const ink_token *source, size_t n, float *rows)
{
    ink_encoded *encoded;
    assert_ok(ctx, ink_encoded_create(ctx, model, n, &encoded));
    const ink_source_item item = {.encoded = encoded, .tokens = source, .n_tokens = n, .hidden = rows};
    assert_ok(ctx, ink_model_encode_sources(ctx, model, &item, 1));
    assert_int_equal(ink_encoded_length(encoded), n);
    return encoded;
}

static ink_state *begin(ink_context *ctx, const ink_model *model, const ink_encoded *encoded)
{
    ink_state *state;
    assert_ok(ctx, ink_state_create(ctx, model, 0, &state));
    assert_ok(ctx, ink_state_begin(ctx, state, encoded));
    return state;
}

static float *run(ink_context *ctx, const pair *p, const ink_encoded *encoded)
{
    float *logits = test_floats(p->n_tokens * p->vocab_size);
    ink_state *state = begin(ctx, p->model, encoded);
    const ink_item item = test_item(state, p->tokens, p->n_tokens, logits, p->n_tokens);
    assert_ok(ctx, ink_model_forward_list(ctx, p->model, &item, 1));
    ink_state_free(state);
    return logits;
}

/* ---- numbers ---------------------------------------------------------------------------------------------------- */

typedef struct recorder {
    size_t n, width;
    float *rows; /* [n, width] */
} recorder;

/* What is traced of a decoder beside its cells. */
typedef struct records {
    recorder weights, contexts, first_states;
} records;

static void record(void *user, const char *name, const ink_tensor *value)
{
    records *all = user;
    recorder *r = strcmp(name, "attn.weights") == 0  ? &all->weights
                  : strcmp(name, "context") == 0     ? &all->contexts
                  : strcmp(name, "first_state") == 0 ? &all->first_states
                                                     : NULL;
    if (r == NULL)
        return;
    const size_t *dim = value->shape.dim, rank = value->shape.rank, n = dim[rank - 2];
    assert_int_equal(rank, r == &all->weights ? 3 : 2);
    r->width = dim[rank - 1];
    r->rows = realloc(r->rows, (r->n + n) * r->width * sizeof *r->rows);
    assert_non_null(r->rows);
    memcpy(r->rows + r->n * r->width, value->data, n * r->width * sizeof *r->rows);
    r->n += n;
}

/* c_t = sum over s of a_ts k_s */
static void contexts_are_sums(const pair *p, const records *all, const float *rows)
{
    assert_int_equal(all->contexts.n, p->n_tokens);
    assert_int_equal(all->contexts.width, p->source_size);
    for (size_t t = 0; t < p->n_tokens; t++)
        for (size_t i = 0; i < p->source_size; i++) {
            double sum = 0;
            for (size_t s = 0; s < p->n_source; s++)
                sum += (double)all->weights.rows[t * p->n_source + s] * (double)rows[s * p->source_size + i];
            assert_true(fabs(sum - (double)all->contexts.rows[t * p->source_size + i]) < 1e-5);
        }
}

static double largest_of(const float *x, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)x[i]));
    return largest;
}

/* Within 2e-5 of the largest logit, and rows and weights within 2e-5 of 1. */
static void gives_the_numbers_of_pytorch(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_NAMES; i++) {
        pair p;
        records all = {0};
        const recorder *weights = &all.weights;
        pair_open(&p, names[i]);
        ink_context_trace(p.ctx, record, &all);
        float *rows = test_floats(p.n_source * p.source_size);
        ink_encoded *encoded = encode(p.ctx, p.model, p.source, p.n_source, rows);
        assert_int_equal(all.first_states.n, 1);
        float *logits = run(p.ctx, &p, encoded);
        size_t n = p.n_tokens * p.vocab_size;
        double largest = largest_of(p.logits, n);
        test_assert_close(rows, p.rows, p.n_source * p.source_size, 2e-5, 0, names[i]);
        test_assert_close(logits, p.logits, n, 2e-5 * largest, 0, names[i]);
        assert_int_equal(weights->n, p.weights != NULL ? p.n_tokens : 0);
        if (p.weights != NULL) {
            test_assert_close(weights->rows, p.weights, p.n_tokens * p.n_source, 2e-5, 0, names[i]);
            contexts_are_sums(&p, &all, rows);
        }
        for (size_t t = 0; p.weights == NULL && t < all.contexts.n; t++) /* of attention "final": always the same */
            assert_memory_equal(all.contexts.rows + t * all.contexts.width, all.contexts.rows,
                                all.contexts.width * sizeof *rows);
        float *difference = test_floats(n);
        for (size_t j = 0; j < n; j++)
            difference[j] = logits[j] - p.logits[j];
        printf("%-18s largest logit %8.4f, largest difference %.1e\n", names[i], largest, largest_of(difference, n));
        assert_int_equal(ink_model_get_encoder_decoder(p.model)->start_token, 0);
        assert_true(ink_model_stops_at(p.model, 1));
        free(difference);
        free(all.weights.rows);
        free(all.contexts.rows);
        free(all.first_states.rows);
        free(logits);
        free(rows);
        ink_encoded_free(encoded);
        pair_close(&p);
    }
}

/* ---- the oracle ---------------------------------------------------------------------------------------------------
 */

/* What a model is, for the oracle; biases are always there. */
typedef struct network {
    const char *fixture, *key, *value; /* a changed setting, or NULL */
    ink_cell cell;
    const char *encoder, *decoder; /* module names of the rnn */
    size_t n_layers, n_directions; /* layers of both halves */
    const char *bridge, *query, *key_layer, *both, *score, *output;
    bool reverse_only; /* the bridge sees only h_reverse */
    size_t n_parts;    /* of the output: h, c, e */
} network;

static double *doubles(size_t n)
{
    double *x = calloc(n, sizeof *x);
    assert_non_null(x);
    return x;
}

/* The parameter of a module, or NULL; kept until the end in `all`. */
typedef struct tensors {
    ink_context *ctx;
    ink_weights *file;
    float *all[64];
    size_t n;
} tensors;

static float *parameter(tensors *t, const char *module, const char *name)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", module, name);
    if (ink_weights_find(t->file, full) == NULL)
        return NULL;
    assert_true(t->n < 64);
    return t->all[t->n++] = test_tensor(t->ctx, t->file, full, NULL);
}

static oracle_cell cell_of(tensors *t, const network *net, const char *module, size_t layer, bool reverse, size_t in,
                           size_t h)
{
    char name[4][48];
    static const char *const kinds[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    for (size_t i = 0; i < 4; i++)
        snprintf(name[i], sizeof name[i], "%s_l%zu%s", kinds[i], layer, reverse ? "_reverse" : "");
    return (oracle_cell){.cell = net->cell,
                         .in = in,
                         .h = h,
                         .w_ih = parameter(t, module, name[0]),
                         .w_hh = parameter(t, module, name[1]),
                         .b_ih = parameter(t, module, name[2]),
                         .b_hh = parameter(t, module, name[3])};
}

/* Runs everything in double precision: logits [n_tokens, vocab_size]. */
static double *oracle(tensors *t, const network *net, const pair *p, const ink_token *source, size_t n)
{
    size_t shape[4];
    ink_weights *file = t->file;
    char name[128];
    const char *of[] = {"encoder.embedding", "decoder.embedding"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s.weight", of[i]);
        shape[i] = ink_weights_find(file, name)->shape.dim[1];
    }
    snprintf(name, sizeof name, "%s.weight_hh_l0", net->decoder);
    size_t h = ink_weights_find(file, name)->shape.dim[1], c = p->source_size, he = c / net->n_directions;
    size_t e = shape[1], in = shape[0], out = net->n_directions * he;
    const float *table = parameter(t, of[0], "weight");

    /* the encoder: all layers and directions; `last` is the last h of each */
    double *x = doubles(n * (in > out ? in : out)), *y = doubles(n * out), *last = doubles(net->n_layers * out);
    for (size_t s = 0; s < n; s++)
        for (size_t i = 0; i < in; i++)
            x[s * in + i] = (double)table[(size_t)source[s] * in + i];
    for (size_t layer = 0; layer < net->n_layers; layer++) {
        for (size_t d = 0; d < net->n_directions; d++) {
            oracle_cell cell = cell_of(t, net, net->encoder, layer, d == 1, in, he);
            double *state = last + layer * out + d * he;
            for (size_t i = 0; i < n; i++) {
                size_t s = d == 0 ? i : n - 1 - i;
                oracle_step(&cell, x + s * in, state, NULL);
                memcpy(y + s * out + d * he, state, he * sizeof *y);
            }
        }
        memcpy(x, y, n * out * sizeof *x);
        in = out;
    }

    /* the bridge */
    double *state = doubles(net->n_layers * h), *weights = doubles(n);
    for (size_t layer = 0; layer < net->n_layers; layer++)
        if (net->bridge != NULL)
            oracle_dense(parameter(t, net->bridge, "weight"), parameter(t, net->bridge, "bias"),
                         net->reverse_only ? he : out, h, INK_TANH, last + layer * out + (net->reverse_only ? he : 0),
                         1, state + layer * h);
        else
            memcpy(state + layer * h, last + layer * out, h * sizeof *state);

    /* attention; one matrix for both is cut in two */
    snprintf(name, sizeof name, "%s.weight", net->score);
    oracle_additive additive = {.size = ink_weights_find(file, name)->shape.dim[1], .in = h, .row_size = c};
    additive.v = parameter(t, net->score, "weight");
    float *w_a = test_floats(additive.size * h), *u_a = test_floats(additive.size * c);
    if (net->both != NULL) {
        const float *both = parameter(t, net->both, "weight");
        for (size_t i = 0; i < additive.size; i++) {
            memcpy(w_a + i * h, both + i * (h + c), h * sizeof *w_a);
            memcpy(u_a + i * c, both + i * (h + c) + h, c * sizeof *u_a);
        }
        additive.w_a = w_a;
        additive.u_a = u_a;
        additive.b_a = parameter(t, net->both, "bias");
    } else {
        additive.w_a = parameter(t, net->query, "weight");
        additive.b_a = parameter(t, net->query, "bias");
        additive.u_a = parameter(t, net->key_layer, "weight");
        additive.b_u = parameter(t, net->key_layer, "bias");
    }

    /* the decoder */
    oracle_cell cells[2];
    for (size_t layer = 0; layer < net->n_layers; layer++)
        cells[layer] = cell_of(t, net, net->decoder, layer, false, layer == 0 ? e + c : h, h);
    const float *targets = parameter(t, of[1], "weight"), *w = parameter(t, net->output, "weight");
    const float *b = parameter(t, net->output, "bias");
    double *logits = doubles(p->n_tokens * p->vocab_size), *step = doubles(e + c), *row = doubles(h + c + e);
    for (size_t i = 0; i < p->n_tokens; i++) {
        for (size_t j = 0; j < e; j++)
            step[j] = (double)targets[(size_t)p->tokens[i] * e + j];
        oracle_attend_additively(&additive, state + (net->n_layers - 1) * h, y, n, weights, step + e);
        for (size_t layer = 0; layer < net->n_layers; layer++)
            oracle_step(&cells[layer], layer == 0 ? step : state + (layer - 1) * h, state + layer * h, NULL);
        memcpy(row, state + (net->n_layers - 1) * h, h * sizeof *row);
        memcpy(row + h, step + e, c * sizeof *row);
        memcpy(row + h + c, step, e * sizeof *row);
        oracle_dense(w, b, h + (net->n_parts > 1 ? c : 0) + (net->n_parts > 2 ? e : 0), p->vocab_size, INK_IDENTITY,
                     row, 1, logits + i * p->vocab_size);
    }
    free(x);
    free(y);
    free(last);
    free(state);
    free(weights);
    free(w_a);
    free(u_a);
    free(step);
    free(row);
    return logits;
}

/* Sources longer than a sum block and than the rows that run together, and cells that nn.GRU and nn.RNN have no name
   for. */
static void agrees_with_the_oracle(void **unused)
{
    static const network networks[] = {
        {"bahdanau", NULL, NULL, INK_GRU, "encoder.rnn", "decoder.rnn", 1, 2, "encoder.fc", NULL, NULL,
         "decoder.attention.attn", "decoder.attention.v", "decoder.fc_out", .n_parts = 3},
        {"bahdanau", "reset_after", "false", INK_GRU_RESET_BEFORE, "encoder.rnn", "decoder.rnn", 1, 2, "encoder.fc",
         NULL, NULL, "decoder.attention.attn", "decoder.attention.v", "decoder.fc_out", .n_parts = 3},
        {"bridge", NULL, NULL, INK_RNN_TANH, "encoder.rnn", "decoder.rnn", 2, 2, "bridge", "attention.query",
         "attention.key", NULL, "attention.score", "lm_head", .reverse_only = true, .n_parts = 2},
        {"bridge", "nonlinearity", "\"relu\"", INK_RNN_RELU, "encoder.rnn", "decoder.rnn", 2, 2, "bridge",
         "attention.query", "attention.key", NULL, "attention.score", "lm_head", .reverse_only = true, .n_parts = 2},
        {"tutorial_attention", NULL, NULL, INK_GRU, "encoder.gru", "decoder.gru", 1, 1, NULL, "decoder.attention.Wa",
         "decoder.attention.Ua", NULL, "decoder.attention.Va", "decoder.out", .n_parts = 1},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        const network *net = &networks[i];
        pair p;
        pair_open(&p, net->fixture);
        const setting changed = {.fixture = net->fixture, .key = net->key, .value = net->value};
        ink_model *model;
        assert_ok(p.ctx, setting_open(p.ctx, &changed, &model));
        ink_model_free(p.model);
        p.model = model;
        size_t n = net->cell == INK_RNN_RELU ? 20 : 301; /* a relu has no bounds */
        ink_token *source = calloc(n, sizeof *source);
        assert_non_null(source);
        for (size_t s = 0; s < n; s++)
            source[s] = (ink_token)(s * s % 19);
        char path[FIXTURE_PATH];
        snprintf(path, sizeof path, FIXTURES "/seq2seq/%s/model.safetensors", net->fixture);
        tensors t = {.ctx = p.ctx, .file = test_fixture(p.ctx, path)};
        double *expected = oracle(&t, net, &p, source, n), largest = 0;
        ink_encoded *encoded = encode(p.ctx, p.model, source, n, NULL);
        float *logits = run(p.ctx, &p, encoded);
        for (size_t j = 0; j < p.n_tokens * p.vocab_size; j++)
            largest = fmax(largest, fabs(expected[j]));
        test_assert_close_to_double(logits, expected, p.n_tokens * p.vocab_size, 5e-6 * largest, 0, net->fixture);
        for (size_t j = 0; j < t.n; j++)
            free(t.all[j]);
        ink_weights_free(t.file);
        free(expected);
        free(logits);
        free(source);
        ink_encoded_free(encoded);
        pair_close(&p);
    }
}

/* The modules of one state_dict, loaded and wired by hand as PyTorch's tutorial does it: the bits of the model. */
static void modules_wired_by_hand_give_the_bits_of_the_model(void **unused)
{
    pair p;
    ink_embedding *tables[2];
    ink_recurrent *encoder, *decoder;
    ink_dense *out;
    (void)unused;
    pair_open(&p, "tutorial");
    ink_weights *file = test_fixture(p.ctx, FIXTURES "/seq2seq/tutorial/model.safetensors");
    assert_ok(p.ctx, ink_embedding_load(p.ctx, file, "encoder.embedding", &tables[0]));
    assert_ok(p.ctx, ink_embedding_load(p.ctx, file, "decoder.embedding", &tables[1]));
    assert_ok(p.ctx, ink_recurrent_load(p.ctx, file, "encoder.gru", INK_GRU, &encoder));
    assert_ok(p.ctx, ink_recurrent_load(p.ctx, file, "decoder.gru", INK_GRU, &decoder));
    assert_ok(p.ctx, ink_dense_load(p.ctx, file, "decoder.out", INK_IDENTITY, &out));
    size_t h = ink_recurrent_hidden_size(encoder);
    float *rows = test_floats(p.n_source * h), *expected_rows = test_floats(p.n_source * h);
    float *x = test_floats(p.n_source * h), *y = test_floats(h), *logits = test_floats(p.vocab_size);
    float *state = calloc(h, sizeof *state); /* the decoder continues with that of the encoder */
    assert_non_null(state);
    ink_encoded *encoded = encode(p.ctx, p.model, p.source, p.n_source, expected_rows);
    float *expected = run(p.ctx, &p, encoded);

    assert_ok(p.ctx, ink_embedding_forward(p.ctx, tables[0], p.source, p.n_source, x));
    const ink_sequence source = {.x = x, .y = rows, .n_steps = p.n_source, .state = state};
    assert_ok(p.ctx, ink_recurrent_forward(p.ctx, encoder, &source, 1));
    assert_same_bits("tutorial", "rows", rows, expected_rows, p.n_source * h);
    for (size_t t = 0; t < p.n_tokens; t++) {
        assert_ok(p.ctx, ink_embedding_forward(p.ctx, tables[1], &p.tokens[t], 1, x));
        assert_ok(p.ctx, ink_activate(p.ctx, INK_RELU, x, h, x));
        assert_ok(p.ctx, ink_recurrent_step(p.ctx, decoder, x, state, y));
        assert_ok(p.ctx, ink_dense_forward(p.ctx, out, y, 1, logits));
        assert_same_bits("tutorial", "logits", logits, expected + t * p.vocab_size, p.vocab_size);
    }
    ink_embedding_free(tables[0]);
    ink_embedding_free(tables[1]);
    ink_recurrent_free(encoder);
    ink_recurrent_free(decoder);
    ink_dense_free(out);
    ink_weights_free(file);
    ink_encoded_free(encoded);
    free(rows);
    free(expected_rows);
    free(x);
    free(y);
    free(logits);
    free(state);
    free(expected);
    pair_close(&p);
}

/* A decoder that sees nothing but the context, and an output that does, do not know the tokens. */
static void sees_only_what_the_settings_name(ink_context *ctx)
{
    static const char *const settings[][2] = {{"rnn_input", "tutorial"}, {"lm_head_input", "d2l"}};
    for (size_t i = 0; i < 2; i++) {
        fixture_files files;
        ink_model *model;
        ink_token tokens[2][3] = {{1, 2, 3}, {4, 5, 6}};
        float *logits[2] = {test_floats(3 * 23), test_floats(3 * 23)};
        fixture_files_read(&files, settings[i][1]);
        fixture_files_set(&files, "attention", "\"final\"");
        fixture_files_set(&files, settings[i][0], "[\"context\"]");
        assert_ok(ctx, fixture_open_files(ctx, settings[i][1], &files.list, &model));
        ink_encoded *encoded = encode(ctx, model, tokens[0], 3, NULL);
        for (size_t j = 0; j < 2; j++) {
            ink_state *state = begin(ctx, model, encoded);
            const ink_item item = test_item(state, tokens[j], 3, logits[j], 3);
            assert_ok(ctx, ink_model_forward_list(ctx, model, &item, 1));
            ink_state_free(state);
        }
        assert_same_bits(settings[i][1], "only the context", logits[0], logits[1], 3 * 23);
        assert_true((memcmp(logits[0], logits[0] + 23, 23 * sizeof(float)) == 0) == (i == 1)); /* h still moves on */
        free(logits[0]);
        free(logits[1]);
        ink_encoded_free(encoded);
        ink_model_free(model);
        fixture_files_free(&files);
    }
}

/* ---- the same bits ------------------------------------------------------------------------------------------------
 */

static void the_bits_do_not_depend_on_cuts_kernels_and_threads(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_NAMES; i++) {
        pair p;
        pair_open(&p, names[i]);
        ink_encoded *encoded = encode(p.ctx, p.model, p.source, p.n_source, NULL);
        float *whole = run(p.ctx, &p, encoded), *logits = test_floats(p.vocab_size);
        for (size_t piece = 1; piece <= 5; piece += 2) {
            ink_state *state = begin(p.ctx, p.model, encoded);
            for (size_t first = 0, end; first < p.n_tokens; first = end) {
                end = first + piece < p.n_tokens ? first + piece : p.n_tokens;
                assert_ok(p.ctx, ink_model_forward(p.ctx, p.model, state, p.tokens + first, end - first, logits));
                assert_same_bits(names[i], "in pieces", logits, whole + (end - 1) * p.vocab_size, p.vocab_size);
            }
            ink_state_free(state);
        }
        ink_context *other = NULL;
        for (size_t v = 0; (other = test_variant(other, v)) != NULL; v++) {
            ink_encoded *again = encode(other, p.model, p.source, p.n_source, NULL);
            float *same = run(other, &p, again);
            assert_same_bits(names[i], ink_context_kernel(other), same, whole, p.n_tokens * p.vocab_size);
            free(same);
            ink_encoded_free(again);
        }
        free(whole);
        free(logits);
        ink_encoded_free(encoded);
        pair_close(&p);
    }
}

/* Sixteen states look at a source of 301 tokens: enough work for threads to share. */
static void threads_share_the_attention(void **unused)
{
    enum { STATES = 16, LONG = 301 };
    pair p;
    ink_token source[LONG];
    ink_context *other = NULL;
    float *first = NULL;
    (void)unused;
    pair_open(&p, "bahdanau");
    size_t width = STATES * p.vocab_size;
    for (size_t s = 0; s < LONG; s++)
        source[s] = (ink_token)(s * s % 19);
    for (size_t v = 0; (other = test_variant(other, v)) != NULL; v++) {
        ink_encoded *encoded = encode(other, p.model, source, LONG, NULL);
        ink_item items[STATES];
        float *logits = test_floats(width);
        for (size_t j = 0; j < STATES; j++)
            items[j] = test_item(begin(other, p.model, encoded), p.tokens, 1 + j % 3, logits + j * p.vocab_size, 1);
        assert_ok(other, ink_model_forward_list(other, p.model, items, STATES));
        for (size_t j = 0; j < STATES; j++)
            ink_state_free(items[j].state);
        if (first != NULL)
            assert_same_bits("bahdanau", ink_context_kernel(other), logits, first, width);
        if (first == NULL)
            first = logits;
        else
            free(logits);
        ink_encoded_free(encoded);
    }
    free(first);
    pair_close(&p);
}

/* Five sources of other lengths in one list, and nine states of them, of other lengths, in one list. */
#define N_SOURCES 5
#define N_STATES 9

static void the_bits_do_not_depend_on_lists(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_NAMES; i++) {
        pair p;
        pair_open(&p, names[i]);
        ink_encoded *encoded[N_SOURCES];
        ink_source_item sources[N_SOURCES];
        ink_item items[N_STATES];
        float *alone[N_STATES], *rows = test_floats(p.n_source * p.source_size);
        for (size_t s = 0; s < N_SOURCES; s++) {
            size_t n = 1 + s * (p.n_source - 1) / (N_SOURCES - 1);
            assert_ok(p.ctx, ink_encoded_create(p.ctx, p.model, n + 3, &encoded[s]));
            sources[s] = (ink_source_item){.encoded = encoded[s], .tokens = p.source + (p.n_source - n), .n_tokens = n};
        }
        sources[N_SOURCES - 1].hidden = rows;
        for (size_t j = 0; j < N_STATES; j++) {
            const ink_source_item *s = &sources[j % N_SOURCES];
            size_t n = 1 + j * (p.n_tokens - 1) / (N_STATES - 1);
            ink_encoded *one = encode(p.ctx, p.model, s->tokens, s->n_tokens, NULL);
            ink_state *state = begin(p.ctx, p.model, one);
            alone[j] = test_floats(n * p.vocab_size);
            const ink_item item = test_item(state, p.tokens, n, alone[j], n);
            assert_ok(p.ctx, ink_model_forward_list(p.ctx, p.model, &item, 1));
            ink_state_free(state);
            ink_encoded_free(one);
        }
        assert_ok(p.ctx, ink_model_encode_sources(p.ctx, p.model, sources, N_SOURCES));
        test_assert_close(rows, p.rows, p.n_source * p.source_size, 2e-5, 0, names[i]);
        for (size_t j = 0; j < N_STATES; j++) {
            size_t n = 1 + j * (p.n_tokens - 1) / (N_STATES - 1);
            items[j] =
                test_item(begin(p.ctx, p.model, encoded[j % N_SOURCES]), p.tokens, n, test_floats(n * p.vocab_size), n);
        }
        assert_ok(p.ctx, ink_model_forward_list(p.ctx, p.model, items, N_STATES));
        for (size_t j = 0; j < N_STATES; j++) {
            assert_same_bits(names[i], "in a list", items[j].logits, alone[j], items[j].n_tokens * p.vocab_size);
            free(items[j].logits);
            ink_state_free(items[j].state);
            free(alone[j]);
        }
        for (size_t s = 0; s < N_SOURCES; s++)
            ink_encoded_free(encoded[s]);
        free(rows);
        pair_close(&p);
    }
}

/* ---- states --------------------------------------------------------------------------------------------------- */

static void a_state_is_copied_saved_and_reset(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_NAMES; i++) {
        pair p;
        pair_open(&p, names[i]);
        ink_encoded *encoded = encode(p.ctx, p.model, p.source, p.n_source, NULL);
        ink_encoded *shorter = encode(p.ctx, p.model, p.source, p.n_source - 1, NULL);
        float *whole = run(p.ctx, &p, encoded), *logits = test_floats(p.vocab_size);
        const float *last = whole + (p.n_tokens - 1) * p.vocab_size;
        size_t half = p.n_tokens / 2, size;
        unsigned char bytes[4096];
        ink_state *state = begin(p.ctx, p.model, encoded), *copy, *loaded = begin(p.ctx, p.model, encoded);
        assert_ok(p.ctx, ink_state_create(p.ctx, p.model, 0, &copy));
        assert_fails(p.ctx, ink_model_forward(p.ctx, p.model, copy, p.tokens, 1, logits), INK_ERROR_ARGUMENT,
                     "no source");
        assert_ok(p.ctx, ink_model_forward(p.ctx, p.model, state, p.tokens, half, NULL));
        assert_ok(p.ctx, ink_state_copy(p.ctx, state, copy));
        assert_ok(p.ctx, ink_state_save(p.ctx, state, bytes, sizeof bytes, &size));
        assert_ok(p.ctx, ink_state_load(p.ctx, loaded, bytes, size));
        ink_state *of_copy[] = {state, copy, loaded};
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(ink_state_length(of_copy[j]), half);
            assert_ok(p.ctx, ink_model_forward(p.ctx, p.model, of_copy[j], p.tokens + half, p.n_tokens - half, logits));
            assert_same_bits(names[i], "continued", logits, last, p.vocab_size);
        }
        assert_fails(p.ctx, ink_state_rewind(p.ctx, state, 1), INK_ERROR_UNSUPPORTED, "copy it before");
        ink_state_reset(state);
        assert_ok(p.ctx, ink_state_rewind(p.ctx, copy, 0));
        for (size_t j = 0; j < 2; j++) {
            assert_ok(p.ctx, ink_model_forward(p.ctx, p.model, of_copy[j], p.tokens, p.n_tokens, logits));
            assert_same_bits(names[i], "again", logits, last, p.vocab_size);
        }
        assert_ok(p.ctx, ink_state_begin(p.ctx, loaded, shorter));
        assert_fails(p.ctx, ink_state_load(p.ctx, loaded, bytes, size), INK_ERROR_MISMATCH, "another source");
        for (size_t j = 0; j < 3; j++)
            ink_state_free(of_copy[j]);
        ink_encoded_free(encoded);
        ink_encoded_free(shorter);
        free(whole);
        free(logits);
        pair_close(&p);
    }
}

static void what_is_kept_is_as_large_as_reported(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_NAMES; i++) {
        pair p;
        size_t sizes[2];
        ink_encoded *encoded;
        pair_open(&p, names[i]);
        float rows[64] = {0};
        for (size_t j = 0; j < 2; j++)
            assert_ok(p.ctx, ink_encoded_size(p.ctx, p.model, 20 + 80 * j, &sizes[j]));
        assert_true((sizes[1] > sizes[0]) == (p.weights != NULL)); /* without attention a source of any length fits */
        unsigned char *block = test_aligned(sizes[0] + 64);
        assert_ok(p.ctx, ink_encoded_create_in(p.ctx, p.model, 20, block, sizes[0], &encoded));
        const ink_source_item item = {.encoded = encoded, .tokens = p.source, .n_tokens = p.n_source};
        const ink_source_item given = {.encoded = encoded, .rows = rows, .n_tokens = 1};
        assert_ok(p.ctx, ink_model_encode_sources(p.ctx, p.model, &item, 1));
        float *logits = run(p.ctx, &p, encoded);
        test_assert_close(logits, p.logits, p.n_tokens * p.vocab_size, 1e-4, 0, names[i]);
        for (size_t j = 0; j < 64; j++)
            assert_int_equal(block[sizes[0] + j], 0xff);
        assert_fails(p.ctx, ink_model_encode_sources(p.ctx, p.model, &given, 1), INK_ERROR_UNSUPPORTED, "takes tokens");
        ink_encoded_free(encoded);
        assert_ok(p.ctx, ink_encoded_create(p.ctx, p.model, 0, &encoded)); /* for all that the model reads */
        ink_encoded_free(encoded);
        size_t longest = ink_model_get_encoder_decoder(p.model)->source_length;
        assert_int_equal(longest, p.weights != NULL ? 1024 : 0);
        if (longest != 0)
            assert_fails(p.ctx, ink_encoded_create(p.ctx, p.model, 1025, &encoded), INK_ERROR_LIMIT, "at most 1024");
        test_aligned_free(block);
        free(logits);
        pair_close(&p);
    }
}

/* After the two calls that reserve, sources and sequences take no memory, not even the first time; and each request for
   memory that fails leaves everything as it was. */
static void takes_no_memory_after_reserve(ink_context *ctx, counting *memory)
{
    for (size_t i = 0; i < N_NAMES; i++) {
        pair p;
        char path[FIXTURE_PATH];
        ink_model *model = NULL;
        pair_open(&p, names[i]);
        snprintf(path, sizeof path, FIXTURES "/seq2seq/%s", names[i]);
        for (size_t k = 1; runs_out_of_memory(ctx, memory, k, ink_model_open(ctx, path, NULL, &model), NULL); k++)
            assert_null(model);
        ink_encoded *encoded[2] = {NULL, NULL};
        ink_state *states[2];
        ink_source_item sources[2];
        ink_item items[2];
        for (size_t j = 0; j < 2; j++) {
            for (size_t k = 1;
                 runs_out_of_memory(ctx, memory, k, ink_encoded_create(ctx, model, 16, &encoded[j]), NULL); k++)
                assert_null(encoded[j]);
            assert_ok(ctx, ink_state_create(ctx, model, 0, &states[j]));
            sources[j] = (ink_source_item){.encoded = encoded[j], .tokens = p.source, .n_tokens = p.n_source - 2 * j};
            items[j] = test_item(states[j], p.tokens, p.n_tokens - 2 * j, test_floats(p.vocab_size), 1);
        }
        assert_ok(ctx, ink_model_encode_sources_reserve(ctx, model, 2, 2 * p.n_source, p.n_source));
        assert_ok(ctx, ink_context_reserve(ctx, model, 2, 2 * p.n_tokens, 16));
        size_t takes = memory->takes;
        assert_ok(ctx, ink_model_encode_sources(ctx, model, sources, 2));
        for (size_t j = 0; j < 2; j++)
            assert_ok(ctx, ink_state_begin(ctx, states[j], encoded[j]));
        assert_ok(ctx, ink_model_forward_list(ctx, model, items, 2));
        assert_int_equal(memory->takes, takes);
        for (size_t j = 0; j < 2; j++) {
            free(items[j].logits);
            ink_state_free(states[j]);
            ink_encoded_free(encoded[j]);
        }
        ink_model_free(model);
        pair_close(&p);
    }
}

/* ---- generating ---------------------------------------------------------------------------------------------------
 */

/* log p of a token after these logits. */
static double log_probability(const float *logits, size_t n, ink_token token)
{
    double sum = 0;
    for (size_t v = 0; v < n; v++)
        sum += exp((double)logits[v] - (double)logits[token]);
    return -log(sum);
}

/* Greedy takes the likeliest token after each step. Each result of a beam search has the score that its tokens have
   when a state of its own runs them, so no beam ever had the state of another. */
static void generates_by_beams(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < N_NAMES; i++) {
        pair p;
        pair_open(&p, names[i]);
        ink_encoded *encoded = encode(p.ctx, p.model, p.source, p.n_source, NULL);
        float *logits = test_floats(p.vocab_size);
        for (size_t n_beams = 1; n_beams <= 4; n_beams += 3) {
            const ink_generate_options options = {
                .n_beams = n_beams, .n_results = n_beams, .max_tokens = 20, .length_penalty = 0.6f};
            ink_generator *generator;
            ink_request request = {.encoded = encoded};
            assert_ok(p.ctx, ink_generator_create(p.ctx, p.model, &options, &generator));
            assert_ok(p.ctx, ink_generate(p.ctx, generator, &request, 1));
            assert_int_equal(request.n_results, n_beams);
            for (size_t j = 0; j < n_beams; j++) {
                const ink_generated *g = &request.results[j];
                ink_state *state = begin(p.ctx, p.model, encoded);
                ink_token token = 0;
                size_t n = g->n_tokens + (g->stop_token >= 0);
                double score = 0;
                for (size_t t = 0; t < n; t++) {
                    assert_ok(p.ctx, ink_model_forward(p.ctx, p.model, state, &token, 1, logits));
                    token = t < g->n_tokens ? g->tokens[t] : g->stop_token;
                    score += log_probability(logits, p.vocab_size, token);
                    for (size_t v = 0; n_beams == 1 && v < p.vocab_size; v++)
                        assert_true(logits[v] <= logits[token]);
                }
                score /= pow((double)n, 0.6);
                if (n_beams > 1 && fabs((double)g->score - score) > 1e-4)
                    fail_msg("%s: result %zu has the score %g, expected %g", names[i], j, (double)g->score, score);
                assert_true(j == 0 || g->score <= request.results[j - 1].score);
                ink_state_free(state);
            }
            ink_generator_free(generator);
        }
        free(logits);
        ink_encoded_free(encoded);
        pair_close(&p);
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void settings_that_do_not_fit_are_refused(void **unused)
{
    static const setting wrong[] = {
        {"bridge", "cell", NULL, INK_ERROR_UNSUPPORTED, "cell: expected 'rnn', 'gru' or 'lstm', found ''"},
        {"bridge", "cell", "\"qrnn\"", INK_ERROR_UNSUPPORTED, "found 'qrnn'"},
        {"bridge", "cell", "\"gru\"", INK_ERROR_MISMATCH, "weight_ih_l0' is [9, 12]"},
        {"bridge", "nonlinearity", "\"sine\"", INK_ERROR_UNSUPPORTED, "nonlinearity: expected 'tanh' or 'relu'"},
        {"bridge", "attention", "\"dot\"", INK_ERROR_UNSUPPORTED, "attention: expected 'none', 'final' or 'additive'"},
        {"bridge", "attention", "\"general\"", INK_ERROR_UNSUPPORTED, "found 'general'"},
        {"bridge", "attention", "\"concat\"", INK_ERROR_UNSUPPORTED, "found 'concat'"},
        {"bridge", "attention", "\"none\"", INK_ERROR_MISMATCH, "decoder.rnn.weight_ih_l0"},
        {"bridge", "attention", "\"final\"", INK_ERROR_UNSUPPORTED, "'attention."},
        {"bridge", "attention", "3", INK_ERROR_MISMATCH, "attention: expected a string"},
        {"cho", "attention", "\"additive\"", INK_ERROR_NOT_FOUND, "attention."},
        {"bridge", "attention_size", "21", INK_ERROR_MISMATCH, "attention.query.weight"},
        {"bridge", "attention_size", ENORMOUS, INK_ERROR_MISMATCH, "attention_size"},
        {"bridge", "max_source_length", "0", INK_ERROR_MISMATCH, "max_source_length"},
        {"bridge", "vocab_size", "24", INK_ERROR_MISMATCH, "decoder.embedding.weight"},
        {"bridge", "vocab_size", NULL, INK_ERROR_MISMATCH, "'vocab_size' is missing"},
        {"bridge", "source_vocab_size", NULL, INK_ERROR_MISMATCH, "encoder.embedding.weight"},
        {"bridge", "hidden_size", "16", INK_ERROR_MISMATCH, "[17, 35]"},
        {"bridge", "hidden_size", ENORMOUS, INK_ERROR_MISMATCH, "hidden_size"},
        {"bridge", "encoder_hidden_size", NULL, INK_ERROR_MISMATCH, "encoder.rnn.weight_ih_l0"},
        {"bridge", "encoder_embedding_size", NULL, INK_ERROR_MISMATCH, "encoder.embedding.weight"},
        {"bridge", "num_layers", "1", INK_ERROR_MISMATCH, "'encoder.rnn' has 2 layers"},
        {"bridge", "encoder_num_layers", "3", INK_ERROR_MISMATCH, "'encoder.rnn' has 2 layers"},
        {"bridge", "bidirectional", NULL, INK_ERROR_MISMATCH, "2 directions"},
        {"sutskever", "bidirectional", "true", INK_ERROR_MISMATCH, "1 directions"},
        {"bridge", "bridge_act", "\"sine\"", INK_ERROR_UNSUPPORTED, "bridge_act"},
        {"tutorial", "decoder_embedding_act", "\"sine\"", INK_ERROR_UNSUPPORTED, "decoder_embedding_act"},
        {"bridge", "rnn_input", "[\"embedding\"]", INK_ERROR_MISMATCH, "decoder.rnn.weight_ih_l0"},
        {"bridge", "rnn_input", "[\"hidden\"]", INK_ERROR_UNSUPPORTED, "expected 'embedding' or 'context'"},
        {"bridge", "rnn_input", "[]", INK_ERROR_MISMATCH, "rnn_input"},
        {"bridge", "lm_head_input", "[\"hidden\"]", INK_ERROR_MISMATCH, "lm_head.weight"},
        {"bridge", "lm_head_input", "[\"hidden\", \"hidden\", \"hidden\", \"hidden\"]", INK_ERROR_MISMATCH,
         "at most 3"},
        {"sutskever", "lm_head_input", "[\"hidden\", \"context\"]", INK_ERROR_UNSUPPORTED, "'hidden' or 'embedding'"},
        {"bahdanau", "modules", NULL, INK_ERROR_MISMATCH, "bridge"},
        {"bahdanau", "modules", "{\"bridge\": \"encoder.fc\"}", INK_ERROR_NOT_FOUND, "attention."},
        {"bahdanau", "modules", "{\"attention.query_key\": \"decoder.attention.attn\"}", INK_ERROR_MISMATCH, "bridge"},
        {"bahdanau", "modules", "{\"bridges\": \"encoder.fc\"}", INK_ERROR_MISMATCH, "no module 'bridges'"},
        {"tutorial_attention", "modules", NULL, INK_ERROR_MISMATCH,
         "which module is 'attention.query': 'decoder.attention.Ua', 'decoder.attention.Wa'"},
        {"tutorial", "modules", "{\"bridge\": \"decoder.nothing\"}", INK_ERROR_NOT_FOUND, "decoder.nothing.weight"},
        {"tutorial", "tie_word_embeddings", "3", INK_ERROR_MISMATCH, "tie_word_embeddings"},
    };
    (void)unused;
    settings_are_refused(wrong, sizeof wrong / sizeof wrong[0]);
}

/* A tensor that is missing, or one too many: its name in the header is changed. */
static void weights_that_do_not_fit_are_refused(ink_context *ctx, counting *memory)
{
    static const struct {
        const char *fixture, *tensor;
        ink_result result;
        const char *words;
    } renamed[] = {
        {"bridge", "encoder.embedding.weight", INK_ERROR_NOT_FOUND, "encoder.embedding.weight"},
        {"bridge", "decoder.rnn.weight_hh_l1", INK_ERROR_UNSUPPORTED, "decoder.rnn.wexght_hh_l1"},
        {"bridge", "encoder.rnn.bias_ih_l0_reverse", INK_ERROR_UNSUPPORTED, "encoder.rnn.bixs_ih_l0_reverse"},
        {"bridge", "bridge.weight", INK_ERROR_MISMATCH, "which module is 'bridge'"},
        {"bridge", "bridge.bias", INK_ERROR_UNSUPPORTED, "bridge.bixs"},
        {"bridge", "attention.query.weight", INK_ERROR_NOT_FOUND, "attention.query.weight"},
        {"bridge", "attention.score.weight", INK_ERROR_NOT_FOUND, "attention.score.weight"},
        {"bridges", "bridge_cell.weight", INK_ERROR_UNSUPPORTED, "bridge_cell"},
        {"sutskever", "decoder.fc_out.bias", INK_ERROR_UNSUPPORTED, "decoder.fc_out.bixs"},
    };
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++) {
        fixture_files files;
        fixture_files_read(&files, renamed[i].fixture);
        char *name = fixture_files_tensor(&files, "model.safetensors", renamed[i].tensor);
        char *last = strrchr(renamed[i].tensor, '.');
        name[1 + (last - renamed[i].tensor) + 3] = 'x'; /* weight becomes wexght, bias bixs */
        refuse_folder(ctx, memory, renamed[i].tensor, &files.list, renamed[i].result, renamed[i].words);
        fixture_files_free(&files);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_numbers_of_pytorch),
        cmocka_unit_test(agrees_with_the_oracle),
        cmocka_unit_test(modules_wired_by_hand_give_the_bits_of_the_model),
        context_test(sees_only_what_the_settings_name),
        cmocka_unit_test(the_bits_do_not_depend_on_cuts_kernels_and_threads),
        cmocka_unit_test(threads_share_the_attention),
        cmocka_unit_test(the_bits_do_not_depend_on_lists),
        cmocka_unit_test(a_state_is_copied_saved_and_reset),
        cmocka_unit_test(what_is_kept_is_as_large_as_reported),
        counted_test(takes_no_memory_after_reserve),
        cmocka_unit_test(generates_by_beams),
        cmocka_unit_test(settings_that_do_not_fit_are_refused),
        counted_test(weights_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
