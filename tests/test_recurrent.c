/*
 * test_recurrent.c - RNN, GRU and LSTM: PyTorch's numbers, the double-precision oracle, and the same bits whether a
 * sequence comes whole, in pieces, step by step or beside others.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "oracle_layers.h"
#include "support/layers.h"

#define ABSOLUTE 1e-5
#define RELATIVE 1.3e-6

static const struct {
    ink_cell cell;
    const char *name;
    size_t gates;
} cells[] = {{INK_RNN_TANH, "rnn_tanh", 1},
             {INK_RNN_RELU, "rnn_relu", 1},
             {INK_GRU, "gru", 3},
             {INK_LSTM, "lstm", 4},
             {INK_GRU_RESET_BEFORE, "gru_reset_before", 3},
             {INK_RNN_IDENTITY, "rnn_identity", 1}};
#define N_CELLS (sizeof cells / sizeof cells[0])

static float *zeros(size_t n)
{
    float *x = test_floats(n);
    memset(x, 0, n * sizeof *x);
    return x;
}

static float *copy(const float *x, size_t n)
{
    float *y = test_floats(n);
    memcpy(y, x, n * sizeof *x);
    return y;
}

/* ---- against PyTorch ------------------------------------------------------------------------------------------ */

static ink_weights *open_cell_fixture(ink_context *ctx, size_t i)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/layers/%s.safetensors", FIXTURES, cells[i].name);
    return test_fixture(ctx, path);
}

/* The state a case begins with: zeros if the fixture has none. */
static float *case_start(ink_context *ctx, const ink_weights *fixture, const char *module, size_t n_state)
{
    char name[128];
    snprintf(name, sizeof name, "case.%s.start", module);
    return ink_weights_find(fixture, name) != NULL ? test_tensor(ctx, fixture, name, NULL) : zeros(n_state);
}

/* A relu RNN and one without a nonlinearity grow with their inputs, so their tolerance is relative to the largest
 * number of the sequence. */
static double tolerance(size_t cell, const float *y, size_t n)
{
    double largest = 1;
    for (size_t i = 0; i < n; i++)
        largest = y[i] > largest ? y[i] : largest;
    bool grows = cells[cell].cell == INK_RNN_RELU || cells[cell].cell == INK_RNN_IDENTITY;
    return grows ? ABSOLUTE * largest : ABSOLUTE;
}

static void check_case(ink_context *ctx, const ink_weights *fixture, size_t cell, const char *module,
                       const ink_recurrent *recurrent)
{
    size_t n_x, n_y, n_state = ink_recurrent_state_size(recurrent), n_end;
    float *x = test_case_tensor(ctx, fixture, module, "x", &n_x);
    float *expected = test_case_tensor(ctx, fixture, module, "y", &n_y);
    float *end = test_case_tensor(ctx, fixture, module, "end", &n_end);
    float *state = case_start(ctx, fixture, module, n_state);
    assert_int_equal(n_end, n_state);
    size_t n_steps = n_x / ink_recurrent_in(recurrent);
    assert_int_equal(n_steps * ink_recurrent_out(recurrent), n_y);
    float *y = test_floats(n_y);
    const ink_sequence sequence = {.x = x, .y = y, .n_steps = n_steps, .state = state};
    assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, &sequence, 1));
    double allowed = tolerance(cell, expected, n_y);
    test_assert_close(y, expected, n_y, allowed, RELATIVE, module);
    test_assert_close(state, end, n_state, allowed, RELATIVE, module);
    free(x);
    free(expected);
    free(end);
    free(state);
    free(y);
}

static void recurrence_gives_the_numbers_of_pytorch(ink_context *ctx)
{
    static const struct {
        const char *module;
        size_t in, h, layers, directions;
        const char *cases[3];
    } modules[] = {{"stacked", 11, 20, 2, 1, {"stacked"}},
                   {"both", 5, 9, 3, 2, {"both.0", "both.1", "both.2"}},
                   {"no_bias", 6, 17, 1, 1, {"no_bias"}},
                   {"cell", 6, 18, 1, 1, {"cell"}}};
    for (size_t i = 0; i < N_CELLS; i++) {
        ink_weights *fixture = open_cell_fixture(ctx, i);
        for (size_t m = 0; m < sizeof modules / sizeof modules[0]; m++) {
            ink_recurrent *recurrent;
            assert_ok(ctx, ink_recurrent_load(ctx, fixture, modules[m].module, cells[i].cell, &recurrent));
            assert_int_equal(ink_recurrent_in(recurrent), modules[m].in);
            assert_int_equal(ink_recurrent_hidden_size(recurrent), modules[m].h);
            assert_int_equal(ink_recurrent_layers(recurrent), modules[m].layers);
            assert_int_equal(ink_recurrent_directions(recurrent), modules[m].directions);
            assert_int_equal(ink_recurrent_out(recurrent), modules[m].h * modules[m].directions);
            for (size_t c = 0; c < 3 && modules[m].cases[c] != NULL; c++)
                check_case(ctx, fixture, i, modules[m].cases[c], recurrent);
            ink_recurrent_free(recurrent);
        }
        ink_weights_free(fixture);
    }
}

/* ---- against the oracle --------------------------------------------------------------------------------------- */

/* A network with random weights. With `kept`, [layers * directions * 4], the weights stay readable there: w_ih, w_hh,
   b_ih, b_hh of each; free them one by one. */
typedef struct shape {
    size_t in, h, layers, directions;
} shape;

static ink_recurrent *make_network(ink_context *ctx, size_t cell, const shape *s, float **kept)
{
    state_dict dict = {0};
    ink_recurrent *recurrent;
    size_t rows = cells[cell].gates * s->h;
    for (size_t layer = 0; layer < s->layers; layer++)
        for (size_t direction = 0; direction < s->directions; direction++) {
            static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
            size_t in = layer == 0 ? s->in : s->directions * s->h;
            size_t columns[] = {in, s->h, 1, 1};
            for (size_t i = 0; i < 4; i++) {
                char name[64];
                size_t dims[] = {rows, columns[i]};
                float spread = i < 2 ? 1.2f / sqrtf((float)columns[i]) : 0.8f;
                float *w = test_random(rows * columns[i], 10 * layer + i + 1, spread);
                snprintf(name, sizeof name, "rnn.%s_l%zu%s", names[i], layer, direction == 0 ? "" : "_reverse");
                state_dict_add(&dict, name, INK_F32, i < 2 ? 2 : 1, dims, w);
                if (kept != NULL)
                    kept[(layer * s->directions + direction) * 4 + i] = w;
                else
                    free(w);
            }
        }
    ink_weights *weights = state_dict_open(ctx, &dict);
    assert_ok(ctx, ink_recurrent_load(ctx, weights, "rnn", cells[cell].cell, &recurrent));
    state_dict_free(&dict);
    return recurrent;
}

static void check_steps_against_oracle(ink_context *ctx, size_t cell, size_t in, size_t h)
{
    const shape s = {in, h, 1, 1};
    float *kept[4];
    ink_recurrent *recurrent = make_network(ctx, cell, &s, kept);
    const oracle_cell oracle = {cells[cell].cell, in, h, kept[0], kept[1], kept[2], kept[3]};
    float *x = test_random(3 * in, in, 1), *state = zeros(2 * h), *y = test_floats(h);
    double *wide = malloc(in * sizeof *wide), *state_wide = calloc(2 * h, sizeof *state_wide);
    for (size_t step = 0; step < 3; step++) {
        for (size_t i = 0; i < in; i++)
            wide[i] = x[step * in + i];
        assert_ok(ctx, ink_recurrent_step(ctx, recurrent, x + step * in, state, y));
        oracle_step(&oracle, wide, state_wide, state_wide + h);
        test_assert_close_to_double(y, state_wide, h, ABSOLUTE, RELATIVE, cells[cell].name);
        test_assert_close_to_double(state, state_wide, ink_recurrent_state_size(recurrent), ABSOLUTE, RELATIVE,
                                    cells[cell].name);
        test_assert_same_bits(y, state, h, "the output is the state");
    }
    for (size_t i = 0; i < 4; i++)
        free(kept[i]);
    free(x);
    free(state);
    free(y);
    free(wide);
    free(state_wide);
    ink_recurrent_free(recurrent);
}

static void steps_of_every_kind_of_size_are_right(ink_context *ctx)
{
    const size_t sizes[] = {1, 2, 15, 16, 17, 40};
    for (size_t cell = 0; cell < N_CELLS; cell++) {
        for (size_t i = 0; i < 6; i++)
            for (size_t j = 0; j < 6; j++)
                check_steps_against_oracle(ctx, cell, sizes[i], sizes[j]);
        check_steps_against_oracle(ctx, cell, 300, 270); /* sums of more than one block */
    }
}

/* ---- the same bits -------------------------------------------------------------------------------------------- */

/* A sequence alone, whole, from a given state (which is copied): y and the state afterwards. */
static void run_alone(ink_context *ctx, const ink_recurrent *recurrent, const float *x, size_t n_steps,
                      const float *start, float **y, float **end)
{
    *y = test_floats(n_steps * ink_recurrent_out(recurrent));
    *end = copy(start, ink_recurrent_state_size(recurrent));
    const ink_sequence sequence = {.x = x, .y = *y, .n_steps = n_steps, .state = *end};
    assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, &sequence, 1));
}

static void check_pieces(ink_context *ctx, const ink_recurrent *recurrent, const float *x, size_t n_steps,
                         const float *start, const float *y, const float *end, size_t piece)
{
    size_t in = ink_recurrent_in(recurrent), out = ink_recurrent_out(recurrent);
    float *state = copy(start, ink_recurrent_state_size(recurrent));
    for (size_t done = 0, i = 0; done < n_steps; i++) {
        void *x_block, *y_block;
        size_t count = piece < n_steps - done ? piece : n_steps - done;
        float *x_here = test_unaligned(x + done * in, count * in, i % 15 + 1, &x_block);
        float *y_here = test_unaligned(y + done * out, count * out, (i + 5) % 15 + 1, &y_block);
        memset(y_here, 0x7f, count * out * sizeof *y_here);
        const ink_sequence sequence = {.x = x_here, .y = y_here, .n_steps = count, .state = state};
        if (piece == 1 && ink_recurrent_in(recurrent) == out) { /* y is x */
            assert_ok(ctx, ink_recurrent_step(ctx, recurrent, x_here, state, x_here));
            memcpy(y_here, x_here, out * sizeof *y_here);
        } else if (piece == 1)
            assert_ok(ctx, ink_recurrent_step(ctx, recurrent, x_here, state, y_here));
        else
            assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, &sequence, 1));
        test_assert_same_bits(y_here, y + done * out, count * out, ink_context_kernel(ctx));
        done += count;
        free(x_block);
        free(y_block);
    }
    test_assert_same_bits(state, end, ink_recurrent_state_size(recurrent), "the state at the end");
    free(state);
}

/* Whole = pieces = steps, for every kernel and 1 to 3 threads. 300 steps are three products of the input side. */
static void sequence_and_steps_have_the_same_bits(void **unused)
{
    (void)unused;
    const shape s = {13, 37, 2, 1};
    const size_t n_steps = 300;
    for (size_t cell = 0; cell < N_CELLS; cell++) {
        ink_context *ctx = test_context(1), *other = NULL;
        ink_recurrent *recurrent = make_network(ctx, cell, &s, NULL);
        float *x = test_random(n_steps * s.in, 3, 1), *y, *end;
        float *start = test_random(ink_recurrent_state_size(recurrent), 4, 0.5f);
        run_alone(ctx, recurrent, x, n_steps, start, &y, &end);
        for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
            const size_t pieces[] = {n_steps, 1, 7, 128, 129};
            for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++)
                check_pieces(other, recurrent, x, n_steps, start, y, end, pieces[p]);
        }
        free(x);
        free(y);
        free(end);
        free(start);
        ink_recurrent_free(recurrent);
        ink_context_free(ctx);
    }
}

/* Gates that end inside a panel, at its end and behind it: whole = pieces = steps, for every kernel. */
static void every_hidden_size_has_the_same_bits(void **unused)
{
    (void)unused;
    static const shape shapes[] = {{1, 1, 1, 1},  {1, 7, 2, 1},  {1, 8, 1, 1},  {3, 12, 1, 1}, {1, 15, 3, 1},
                                   {1, 16, 2, 1}, {2, 17, 1, 1}, {1, 33, 1, 1}, {1, 40, 2, 1}, {5, 49, 1, 1}};
    const size_t n_steps = 19;
    for (size_t cell = 0; cell < N_CELLS; cell++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            ink_context *ctx = test_context(1), *other = NULL;
            ink_recurrent *recurrent = make_network(ctx, cell, &shapes[s], NULL);
            size_t n_state = ink_recurrent_state_size(recurrent);
            float *x = test_random(n_steps * shapes[s].in, 3, 1), *start = test_random(n_state, 4, 0.5f), *y, *end;
            run_alone(ctx, recurrent, x, n_steps, start, &y, &end);
            for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
                float *state = copy(start, n_state);
                const ink_sequence quiet = {.x = x, .n_steps = n_steps, .state = state};
                check_pieces(other, recurrent, x, n_steps, start, y, end, n_steps);
                check_pieces(other, recurrent, x, n_steps, start, y, end, 1);
                check_pieces(other, recurrent, x, n_steps, start, y, end, 4);
                assert_ok(other, ink_recurrent_forward(other, recurrent, &quiet, 1));
                test_assert_same_bits(state, end, n_state, "without y");
                free(state);
            }
            free(x);
            free(y);
            free(end);
            free(start);
            ink_recurrent_free(recurrent);
            ink_context_free(ctx);
        }
}

/* A batch of sequences of all lengths, in one direction and both, deep and flat: each has the bits it has alone. Every
   third wants no y. */
static void check_batch(ink_context *ctx, const ink_recurrent *recurrent, const size_t *lengths, size_t n)
{
    size_t in = ink_recurrent_in(recurrent), out = ink_recurrent_out(recurrent);
    size_t n_state = ink_recurrent_state_size(recurrent);
    float *x[80], *y[80], *end[80], *y_alone[80], *end_alone[80];
    ink_sequence sequences[80];
    for (size_t i = 0; i < n; i++) {
        float *start = test_random(n_state, 50 + i, 0.5f);
        x[i] = test_random(lengths[i] * in, i, 1);
        run_alone(ctx, recurrent, x[i], lengths[i], start, &y_alone[i], &end_alone[i]);
        y[i] = test_floats(lengths[i] * out);
        end[i] = start;
        sequences[i] = (ink_sequence){.x = x[i], .y = i % 3 == 2 ? NULL : y[i], .n_steps = lengths[i], .state = end[i]};
    }
    assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, sequences, n));
    for (size_t i = 0; i < n; i++) {
        if (sequences[i].y != NULL)
            test_assert_same_bits(y[i], y_alone[i], lengths[i] * out, "beside others");
        test_assert_same_bits(end[i], end_alone[i], n_state, "the state beside others");
        free(x[i]);
        free(y[i]);
        free(end[i]);
        free(y_alone[i]);
        free(end_alone[i]);
    }
}

static void batches_have_the_same_bits_as_sequences_alone(void **unused)
{
    (void)unused;
    static const shape shapes[] = {{5, 19, 1, 1}, {5, 19, 3, 1}, {5, 19, 1, 2}, {5, 19, 3, 2}};
    const size_t lengths[] = {3, 40, 0, 1, 40, 17, 150, 2, 1, 0, 33, 149};
    size_t many[80];
    for (size_t i = 0; i < 80; i++)
        many[i] = i * 7 % 23;
    for (size_t cell = 0; cell < N_CELLS; cell++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            ink_context *ctx = test_context((unsigned)(i % 3 + 1));
            ink_recurrent *recurrent = make_network(ctx, cell, &shapes[i], NULL);
            check_batch(ctx, recurrent, lengths, sizeof lengths / sizeof lengths[0]);
            check_batch(ctx, recurrent, many, 80);
            ink_recurrent_free(recurrent);
            ink_context_free(ctx);
        }
}

/* Panels of BF16 are wider, so the rows of the candidate begin elsewhere in them: the same weights, the same bits. */
static void stored_types_have_the_bits_of_their_numbers(ink_context *ctx)
{
    const size_t in = 7, n_steps = 9;
    for (size_t cell = 0; cell < N_CELLS; cell++)
        for (size_t h = 1; h < 80; h += 13) {
            ink_recurrent *networks[2];
            float *x = test_random(n_steps * in, 3, 1), *y[2], *end[2], *start = zeros(2 * h);
            for (size_t narrow = 0; narrow < 2; narrow++) {
                static const char *const names[] = {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"};
                state_dict dict = {0};
                for (size_t i = 0; i < 4; i++) {
                    const size_t dims[] = {cells[cell].gates * h, i == 0 ? in : i == 1 ? h : 1};
                    float *wide = test_random(dims[0] * dims[1], i + 1, 0.5f);
                    uint16_t *halves = malloc(dims[0] * dims[1] * sizeof *halves);
                    assert_non_null(halves);
                    for (size_t e = 0; e < dims[0] * dims[1]; e++) {
                        uint32_t bits;
                        memcpy(&bits, &wide[e], 4);
                        bits &= 0xffff0000;
                        halves[e] = (uint16_t)(bits >> 16);
                        memcpy(&wide[e], &bits, 4);
                    }
                    const void *data = narrow ? (const void *)halves : wide;
                    state_dict_add(&dict, names[i], narrow ? INK_BF16 : INK_F32, i < 2 ? 2 : 1, dims, data);
                    free(wide);
                    free(halves);
                }
                ink_weights *weights = state_dict_open(ctx, &dict);
                assert_ok(ctx, ink_recurrent_load(ctx, weights, "", cells[cell].cell, &networks[narrow]));
                run_alone(ctx, networks[narrow], x, n_steps, start, &y[narrow], &end[narrow]);
                ink_recurrent_free(networks[narrow]);
                state_dict_free(&dict);
            }
            test_assert_same_bits(y[1], y[0], n_steps * h, cells[cell].name);
            for (size_t i = 0; i < 2; i++) {
                free(y[i]);
                free(end[i]);
            }
            free(x);
            free(start);
        }
}

/* A projected LSTM hands on less than it keeps. Numbers, and bits: whole = pieces = steps, alone = beside others. */
static void projected_lstms_are_right(ink_context *ctx)
{
    const size_t n_steps = 300, lengths[] = {3, 40, 0, 1, 150};
    ink_context *other = NULL;
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/lstm_projected.safetensors");
    ink_recurrent *stacked, *both;
    assert_ok(ctx, ink_recurrent_load(ctx, fixture, "stacked", INK_LSTM, &stacked));
    assert_ok(ctx, ink_recurrent_load(ctx, fixture, "both", INK_LSTM, &both));
    assert_int_equal(ink_recurrent_hidden_size(stacked), 20);
    assert_int_equal(ink_recurrent_out(stacked), 7);
    assert_int_equal(ink_recurrent_state_size(stacked), 2 * (7 + 20));
    assert_int_equal(ink_recurrent_out(both), 2 * 4);
    check_case(ctx, fixture, 3, "stacked", stacked);
    check_case(ctx, fixture, 3, "both", both);

    float *x = test_random(n_steps * 11, 3, 1), *start = test_random(ink_recurrent_state_size(stacked), 4, 0.5f);
    float *y, *end;
    run_alone(ctx, stacked, x, n_steps, start, &y, &end);
    for (size_t i = 0; (other = test_variant(other, i)) != NULL; i++) {
        check_pieces(other, stacked, x, n_steps, start, y, end, 1);
        check_pieces(other, stacked, x, n_steps, start, y, end, 129);
        check_batch(other, stacked, lengths, 5);
        check_batch(other, both, lengths, 5);
    }
    free(x);
    free(start);
    free(y);
    free(end);
    ink_recurrent_free(stacked);
    ink_recurrent_free(both);
    ink_weights_free(fixture);
}

/* More sequences than input rows of one product: wide enough that their cells are spread over the workers, or so many
   that the rows of one product are, in parts that end with a single row. */
static void wide_batches_have_the_same_bits(void **unused)
{
    enum { MOST = 516 };
    static const struct {
        size_t cell, n;
        shape s;
        unsigned n_threads;
    } batches[] = {{2, 150, {3, 130, 1, 1}, 3}, {3, MOST, {110, 5, 1, 1}, 2}};
    (void)unused;
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        const shape s = batches[b].s;
        const size_t n = batches[b].n;
        ink_context *ctx = test_context(batches[b].n_threads);
        ink_recurrent *recurrent = make_network(ctx, batches[b].cell, &s, NULL);
        const size_t state = ink_recurrent_state_size(recurrent);
        float *x = test_random(n * 2 * s.in, 1, 1), *y = test_floats(n * 2 * s.h), *states = zeros(n * state);
        static ink_sequence sequences[MOST];
        for (size_t i = 0; i < n; i++)
            sequences[i] =
                (ink_sequence){.x = x + i * 2 * s.in, .y = y + i * 2 * s.h, .n_steps = 2, .state = states + i * state};
        assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, sequences, n));
        for (size_t i = 0; i < n; i++) {
            float *start = zeros(state), *alone, *end;
            run_alone(ctx, recurrent, x + i * 2 * s.in, 2, start, &alone, &end);
            test_assert_same_bits(y + i * 2 * s.h, alone, 2 * s.h, "in a wide batch");
            free(start);
            free(alone);
            free(end);
        }
        free(x);
        free(y);
        free(states);
        ink_recurrent_free(recurrent);
        ink_context_free(ctx);
    }
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

static void check_reserve(const ink_recurrent *recurrent, size_t n, size_t n_steps)
{
    counting memory;
    ink_context *ctx = counting_begin(&memory, 1);
    size_t n_state = ink_recurrent_state_size(recurrent);
    float *x = test_random(n * n_steps * ink_recurrent_in(recurrent), 1, 1);
    float *y = test_floats(n * n_steps * ink_recurrent_out(recurrent)), *states = zeros(n * n_state);
    ink_sequence *sequences = malloc(n * sizeof *sequences);
    for (size_t i = 0; i < n; i++)
        sequences[i] = (ink_sequence){.x = x + i * n_steps * ink_recurrent_in(recurrent),
                                      .y = y + i * n_steps * ink_recurrent_out(recurrent),
                                      .n_steps = n_steps - i,
                                      .state = states + i * n_state};
    assert_ok(ctx, ink_recurrent_reserve(ctx, recurrent, n, n * n_steps));
    size_t takes = memory.takes;
    assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, sequences, n));
    assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, sequences, 1));
    if (ink_recurrent_directions(recurrent) == 1)
        assert_ok(ctx, ink_recurrent_step(ctx, recurrent, x, states, y));
    assert_int_equal(memory.takes, takes);
    counting_end(&memory, ctx);

    /* Without memory: a sentence, and no state has changed. */
    ctx = counting_begin(&memory, 1);
    memset(states, 0, n * n_state * sizeof *states);
    assert_true(runs_out_of_memory(ctx, &memory, 1, ink_recurrent_forward(ctx, recurrent, sequences, n), NULL));
    if (ink_recurrent_directions(recurrent) == 1)
        assert_true(runs_out_of_memory(ctx, &memory, 1, ink_recurrent_step(ctx, recurrent, x, states, y), NULL));
    for (size_t i = 0; i < n * n_state; i++)
        assert_true(states[i] == 0);
    counting_end(&memory, ctx);
    free(x);
    free(y);
    free(states);
    free(sequences);
}

static void recurrence_allocates_nothing_after_reserve(void **unused)
{
    (void)unused;
    static const shape shapes[] = {{5, 100, 3, 1}, {5, 100, 3, 2}};
    for (size_t cell = 0; cell < N_CELLS; cell++)
        for (size_t i = 0; i < 2; i++) {
            ink_context *ctx = test_context(1);
            ink_recurrent *recurrent = make_network(ctx, cell, &shapes[i], NULL);
            ink_context_free(ctx);
            check_reserve(recurrent, 1, 30);
            check_reserve(recurrent, 9, 60);
            ink_recurrent_free(recurrent);
        }
}

/* ---- files that do not fit ------------------------------------------------------------------------------------ */

typedef struct entry {
    const char *name;
    size_t rank;
    size_t shape[2];
} entry;

static void networks_that_do_not_fit_are_refused(ink_context *ctx)
{
    static const struct {
        ink_cell cell;
        entry entries[9];
        ink_result result;
        const char *words;
    } cases[] = {
        {INK_LSTM,
         {{"weight_ih_l0", 2, {12, 5}}, {"weight_hh_l0", 2, {12, 4}}},
         INK_ERROR_MISMATCH,
         "'rnn.weight_hh_l0' is [12, 4]; for lstm"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {11, 5}}, {"weight_hh_l0", 2, {12, 4}}},
         INK_ERROR_MISMATCH,
         "'rnn.weight_ih_l0' is [11, 5], expected [12, 5]"},
        {INK_GRU, {{"weight_ih_l0", 2, {12, 5}}}, INK_ERROR_NOT_FOUND, "'rnn.weight_hh_l0' is missing"},
        {INK_GRU, {{"weight_hh_l0", 2, {12, 4}}}, INK_ERROR_NOT_FOUND, "'rnn.weight_ih_l0' is missing"},
        {INK_GRU, {{"other", 2, {12, 4}}}, INK_ERROR_NOT_FOUND, "'rnn' has no tensor weight_ih_l0"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}}, {"weight_hh_l0", 2, {12, 4}}, {"bias_ih_l0", 1, {12}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.bias_hh_l0' is missing"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}}, {"weight_hh_l0", 2, {12, 4}}, {"bias_hh_l0", 1, {12}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.bias_ih_l0' is missing"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}}, {"weight_hh_l0", 2, {12, 4}}, {"bias_ih_l0", 1, {12}}, {"bias_hh_l0", 1, {9}}},
         INK_ERROR_MISMATCH,
         "'rnn.bias_hh_l0' is [9], expected [12]"},
        /* A layer in between is missing: not a network of one layer. */
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}},
          {"weight_hh_l0", 2, {12, 4}},
          {"weight_ih_l2", 2, {12, 4}},
          {"weight_hh_l2", 2, {12, 4}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.weight_ih_l1' is missing"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}},
          {"weight_hh_l0", 2, {12, 4}},
          {"weight_ih_l1", 2, {12, 5}},
          {"weight_hh_l1", 2, {12, 4}}},
         INK_ERROR_MISMATCH,
         "'rnn.weight_ih_l1' is [12, 5], the layer before it asks for [12, 4]"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}}, {"weight_hh_l0", 2, {12, 4}}, {"weight_hh_l0_reverse", 2, {12, 4}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.weight_ih_l0_reverse' is missing"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}},
          {"weight_hh_l0", 2, {12, 4}},
          {"weight_ih_l0_reverse", 2, {12, 6}},
          {"weight_hh_l0_reverse", 2, {12, 4}}},
         INK_ERROR_MISMATCH,
         "'rnn.weight_ih_l0_reverse' is [12, 6], expected [12, 5]"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}}, {"weight_hh_l0_g", 2, {12, 1}}},
         INK_ERROR_UNSUPPORTED,
         "remove_weight_norm"},
        /* Biases in one layer and direction and not in another. */
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}},
          {"weight_hh_l0", 2, {12, 4}},
          {"bias_ih_l0", 1, {12}},
          {"bias_hh_l0", 1, {12}},
          {"weight_ih_l0_reverse", 2, {12, 5}},
          {"weight_hh_l0_reverse", 2, {12, 4}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.bias_ih_l0_reverse' is missing"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}},
          {"weight_hh_l0", 2, {12, 4}},
          {"weight_ih_l0_reverse", 2, {12, 5}},
          {"weight_hh_l0_reverse", 2, {12, 4}},
          {"bias_ih_l0_reverse", 1, {12}},
          {"bias_hh_l0_reverse", 1, {12}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.bias_ih_l0' is missing"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}},
          {"weight_hh_l0", 2, {12, 4}},
          {"bias_ih_l0", 1, {12}},
          {"bias_hh_l0", 1, {12}},
          {"weight_ih_l0_reverse", 2, {12, 5}},
          {"weight_hh_l0_reverse", 2, {12, 4}},
          {"bias_ih_l0_reverse", 1, {12}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.bias_hh_l0_reverse' is missing"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}},
          {"weight_hh_l0", 2, {12, 4}},
          {"bias_ih_l0", 1, {12}},
          {"bias_hh_l0", 1, {12}},
          {"weight_ih_l1", 2, {12, 4}},
          {"weight_hh_l1", 2, {12, 4}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.bias_ih_l1' is missing"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}},
          {"weight_hh_l0", 2, {12, 4}},
          {"weight_ih_l1", 2, {12, 4}},
          {"weight_hh_l1", 2, {12, 4}},
          {"bias_ih_l1", 1, {12}},
          {"bias_hh_l1", 1, {12}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.bias_ih_l0' is missing"},
        {INK_GRU,
         {{"weight_ih", 2, {12, 5}}, {"weight_hh", 2, {12, 4}}, {"bias_ih", 1, {12}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.bias_hh' is missing"},
        /* A projection in one layer only. */
        {INK_LSTM,
         {{"weight_ih_l0", 2, {16, 5}},
          {"weight_hh_l0", 2, {16, 2}},
          {"weight_hr_l0", 2, {2, 4}},
          {"weight_ih_l1", 2, {16, 2}},
          {"weight_hh_l1", 2, {16, 2}}},
         INK_ERROR_NOT_FOUND,
         "'rnn.weight_hr_l1' is missing"},
        /* Tensors of other cells: peepholes, norms, a projection of Paddle, factors and copies of a weight. */
        {INK_LSTM,
         {{"weight_ih_l0", 2, {16, 5}}, {"weight_hh_l0", 2, {16, 4}}, {"weight_ci", 1, {4}}},
         INK_ERROR_UNSUPPORTED,
         "tensor 'rnn.weight_ci' is no parameter of an nn.RNN, nn.GRU or nn.LSTM"},
        {INK_LSTM,
         {{"weight_ih_l0", 2, {16, 5}}, {"weight_hh_l0", 2, {16, 4}}, {"norm.weight", 1, {4}}},
         INK_ERROR_UNSUPPORTED,
         "'rnn.norm.weight' is no parameter"},
        {INK_LSTM,
         {{"weight_ih_l0", 2, {16, 5}}, {"weight_hh_l0", 2, {16, 4}}, {"weight_ho_l0", 2, {4, 2}}},
         INK_ERROR_UNSUPPORTED,
         "'rnn.weight_ho_l0' is no parameter"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}}, {"weight_hh_l0", 2, {12, 4}}, {"weight_hh_l0_raw", 2, {12, 4}}},
         INK_ERROR_UNSUPPORTED,
         "'rnn.weight_hh_l0_raw' is no parameter"},
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}}, {"weight_hh_l0", 2, {12, 4}}, {"weight_hh_l0_g", 2, {12, 1}}},
         INK_ERROR_UNSUPPORTED,
         "there are both 'rnn.weight_hh_l0' and 'rnn.weight_hh_l0_g'"},
        /* A cell beside layers. */
        {INK_GRU,
         {{"weight_ih_l0", 2, {12, 5}}, {"weight_hh_l0", 2, {12, 4}}, {"weight_ih", 2, {12, 5}}},
         INK_ERROR_UNSUPPORTED,
         "'rnn.weight_ih' is no parameter"},
        {INK_GRU, {{"weight_ih_l999999999", 2, {12, 5}}}, INK_ERROR_NOT_FOUND, "missing"},
        {INK_GRU, {{"weight_ih_l0", 1, {12}}, {"weight_hh_l0", 2, {12, 4}}}, INK_ERROR_MISMATCH, "expected a matrix"},
        {INK_GRU, {{"weight_ih_l0", 2, {0, 5}}, {"weight_hh_l0", 2, {0, 0}}}, INK_ERROR_MISMATCH, "at least one"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        state_dict dict = {0};
        ink_recurrent *recurrent = (ink_recurrent *)&dict;
        for (size_t e = 0; e < 9 && cases[i].entries[e].name != NULL; e++) {
            char name[64];
            snprintf(name, sizeof name, "rnn.%s", cases[i].entries[e].name);
            state_dict_add(&dict, name, INK_F32, cases[i].entries[e].rank, cases[i].entries[e].shape, NULL);
        }
        ink_weights *weights = state_dict_open(ctx, &dict);
        assert_fails(ctx, ink_recurrent_load(ctx, weights, "rnn", cases[i].cell, &recurrent), cases[i].result,
                     cases[i].words);
        assert_null(recurrent);
        state_dict_free(&dict);
    }
    ink_weights *fixture = test_fixture(ctx, FIXTURES "/layers/lstm_projected.safetensors");
    ink_recurrent *recurrent;
    assert_fails(ctx, ink_recurrent_load(ctx, fixture, "stacked", INK_GRU, &recurrent), INK_ERROR_UNSUPPORTED,
                 "tensor 'stacked.weight_hr_l0': a projection in a gru is not supported");
    ink_weights_free(fixture);
}

/* Other modules may follow a network that is the root of its file; its own tensors have no dot. */
static void networks_at_the_root_of_a_file_are_found(ink_context *ctx)
{
    for (size_t bad = 0; bad < 2; bad++) {
        state_dict dict = {0};
        ink_recurrent *recurrent;
        state_dict_matrix(&dict, "weight_ih_l0", 12, 5);
        state_dict_matrix(&dict, "weight_hh_l0", 12, 4);
        state_dict_matrix(&dict, "fc.weight", 3, 4);
        if (bad)
            state_dict_vector(&dict, "h0", 4);
        ink_weights *weights = state_dict_open(ctx, &dict);
        if (bad)
            assert_fails(ctx, ink_recurrent_load(ctx, weights, "", INK_GRU, &recurrent), INK_ERROR_UNSUPPORTED, "'h0'");
        else
            assert_ok(ctx, ink_recurrent_load(ctx, weights, "", INK_GRU, &recurrent));
        ink_recurrent_free(recurrent);
        state_dict_free(&dict);
    }
}

/* ---- misuse --------------------------------------------------------------------------------------------------- */

static void impossible_calls_are_refused(ink_context *ctx)
{
    const shape one = {2, 3, 1, 1}, both = {2, 3, 2, 2};
    ink_weights *fixture = open_cell_fixture(ctx, 2);
    ink_recurrent *recurrent = make_network(ctx, 2, &one, NULL), *two = make_network(ctx, 2, &both, NULL), *none;
    float x[4] = {1, 2, 3, 4}, y[12] = {0}, state[6] = {0};
    const ink_sequence good = {x, y, 2, state}, no_x = {NULL, y, 2, state}, no_state = {x, y, 2, NULL};
    const ink_sequence empty = {NULL, NULL, 0, NULL}, endless = {x, y, SIZE_MAX, state};
    const ink_sequence list[] = {good, no_x}, list_2[] = {empty, no_state}, too_long[] = {good, endless};
    assert_int_equal(ink_recurrent_load(NULL, fixture, "cell", INK_GRU, &none), INK_ERROR_ARGUMENT);
    assert_fails(ctx, ink_recurrent_load(ctx, NULL, "cell", INK_GRU, &none), INK_ERROR_ARGUMENT, "'weights'");
    assert_fails(ctx, ink_recurrent_load(ctx, fixture, NULL, INK_GRU, &none), INK_ERROR_ARGUMENT, "'name'");
    assert_fails(ctx, ink_recurrent_load(ctx, fixture, "cell", INK_GRU, NULL), INK_ERROR_ARGUMENT, "'recurrent'");
    assert_fails(ctx, ink_recurrent_load(ctx, fixture, "cell", INK_N_CELLS, &none), INK_ERROR_ARGUMENT, "cell 6");
    assert_fails(ctx, ink_recurrent_forward(ctx, NULL, &good, 1), INK_ERROR_ARGUMENT, "'recurrent'");
    assert_fails(ctx, ink_recurrent_forward(ctx, recurrent, NULL, 1), INK_ERROR_ARGUMENT, "'sequences'");
    assert_fails(ctx, ink_recurrent_forward(ctx, recurrent, list, 2), INK_ERROR_ARGUMENT, "sequences[1].x");
    assert_fails(ctx, ink_recurrent_forward(ctx, recurrent, list_2, 2), INK_ERROR_ARGUMENT, "sequences[1].state");
    assert_fails(ctx, ink_recurrent_forward(ctx, recurrent, too_long, 2), INK_ERROR_ARGUMENT, "steps");
    assert_fails(ctx, ink_recurrent_step(ctx, NULL, x, state, y), INK_ERROR_ARGUMENT, "'recurrent'");
    assert_fails(ctx, ink_recurrent_step(ctx, recurrent, NULL, state, y), INK_ERROR_ARGUMENT, "'x'");
    assert_fails(ctx, ink_recurrent_step(ctx, recurrent, x, NULL, y), INK_ERROR_ARGUMENT, "'state'");
    assert_fails(ctx, ink_recurrent_step(ctx, recurrent, x, state, NULL), INK_ERROR_ARGUMENT, "'y'");
    assert_fails(ctx, ink_recurrent_step(ctx, two, x, state, y), INK_ERROR_ARGUMENT, "bidirectional");
    assert_fails(ctx, ink_recurrent_reserve(ctx, NULL, 1, 1), INK_ERROR_ARGUMENT, "'recurrent'");
    assert_fails(ctx, ink_recurrent_reserve(ctx, two, 1, SIZE_MAX), INK_ERROR_LIMIT, NULL);
    for (size_t i = 0; i < 6; i++)
        assert_true(state[i] == 0 && y[i] == 0);
    assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, NULL, 0));
    assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, &empty, 1));
    assert_ok(ctx, ink_recurrent_reserve(ctx, recurrent, 0, 0));
    assert_string_equal(ink_cell_name(INK_N_CELLS), "unknown");
    for (size_t i = 0; i < N_CELLS; i++)
        assert_string_equal(ink_cell_name(cells[i].cell), cells[i].name);
    ink_recurrent_free(recurrent);
    ink_recurrent_free(two);
    ink_recurrent_free(NULL);
    ink_weights_free(fixture);
}

/* ---- looking inside ------------------------------------------------------------------------------------------- */

typedef struct cell_view {
    const ink_context *ctx;
    char names[600];
    float gates[4 * 5], h[5], c[5]; /* of the last step */
} cell_view;

static void keep(void *user, const char *name, const ink_tensor *value)
{
    cell_view *view = user;
    size_t length = strlen(view->names), n = value->shape.dim[1];
    snprintf(view->names + length, sizeof view->names - length, "%s[%zu,%zu] ", name, value->shape.dim[0], n);
    if (strcmp(name, "l0.gates") == 0)
        memcpy(view->gates, value->data, n * sizeof(float));
    else if (strcmp(name, "l0.h") == 0)
        memcpy(view->h, value->data, n * sizeof(float));
    else if (strcmp(name, "l0.c") == 0)
        memcpy(view->c, value->data, n * sizeof(float));
}

/* The gates that are shown are the ones that made the state: c' = f c + i g, h' = o tanh(c'); h' = (1 - z) n + z h. */
static void cells_show_their_gates(void **unused)
{
    (void)unused;
    const shape s = {2, 5, 1, 1};
    for (size_t cell = 2; cell < 5; cell++) {
        bool gru = cells[cell].cell != INK_LSTM;
        ink_context *ctx = test_context(1);
        ink_recurrent *recurrent = make_network(ctx, cell, &s, NULL);
        cell_view view = {.ctx = ctx};
        float x[2] = {0.5f, -1}, y[5], state[10], hidden[5];
        double expected_h[5], expected_c[5];
        for (size_t i = 0; i < 10; i++)
            state[i] = 0.1f * (float)i - 0.4f;
        for (size_t i = 0; i < 5; i++) {
            expected_h[i] = state[i];
            expected_c[i] = state[5 + i];
        }
        ink_context_trace(ctx, keep, &view);
        assert_ok(ctx, ink_recurrent_step(ctx, recurrent, x, state, y));
        ink_context_trace(ctx, NULL, NULL);
        assert_string_equal(view.names, gru ? "l0.gates[1,15] l0.h[1,5] " : "l0.gates[1,20] l0.h[1,5] l0.c[1,5] ");
        for (size_t i = 0; i < 5; i++) {
            const float *g = view.gates + i;
            if (gru) {
                expected_h[i] = (1 - (double)g[5]) * g[10] + (double)g[5] * expected_h[i];
            } else {
                expected_c[i] = (double)g[5] * expected_c[i] + (double)g[0] * g[10];
                expected_h[i] = g[15] * oracle_activation(INK_TANH, expected_c[i]);
            }
        }
        memcpy(hidden, state, sizeof hidden);
        test_assert_close_to_double(hidden, expected_h, 5, 1e-6, 0, "h from its gates");
        test_assert_same_bits(view.h, state, 5, "the h that is shown");
        if (!gru) {
            test_assert_close_to_double(state + 5, expected_c, 5, 1e-6, 0, "c from its gates");
            test_assert_same_bits(view.c, state + 5, 5, "the c that is shown");
        }
        ink_recurrent_free(recurrent);
        ink_context_free(ctx);
    }
}

/* What is shown of a batch: gates, h and c of the sequences that run, longest first, each in a row. */
typedef struct batch_view {
    float last[3][3 * 4 * 16]; /* of the last step */
} batch_view;

static void keep_batch(void *user, const char *name, const ink_tensor *value)
{
    static const char *const names[] = {"l0.gates", "l0.h", "l0.c"};
    batch_view *view = user;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0)
            memcpy(view->last[i], value->data, value->shape.dim[0] * value->shape.dim[1] * sizeof(float));
}

/* Step by step the last step shows what it did in the sequence. */
static void check_shown_steps(ink_context *ctx, const ink_recurrent *recurrent, const ink_sequence *sequence,
                              const batch_view *whole)
{
    batch_view *view = calloc(1, sizeof *view);
    float *state = zeros(ink_recurrent_state_size(recurrent)), *y = test_floats(ink_recurrent_out(recurrent));
    assert_non_null(view);
    ink_context_trace(ctx, keep_batch, view);
    for (size_t i = 0; i < sequence->n_steps; i++)
        assert_ok(ctx, ink_recurrent_step(ctx, recurrent, sequence->x + i * ink_recurrent_in(recurrent), state, y));
    test_assert_same_bits(view->last[0], whole->last[0], sizeof *view / sizeof(float), "what steps show");
    free(view);
    free(state);
    free(y);
}

static void batches_show_what_sequences_alone_show(void **unused)
{
    (void)unused;
    enum { STEPS = 3, BATCH = 3 };
    for (size_t cell = 2; cell < 5; cell++)
        for (unsigned threads = 1; threads <= 4; threads++) {
            const shape s = {2, threads % 2 != 0 ? 5 : 16, 1, 1};
            ink_context *ctx = test_context(threads);
            ink_recurrent *recurrent = make_network(ctx, cell, &s, NULL);
            float *x = test_random(BATCH * STEPS * s.in, 3, 1), *states = zeros(BATCH * 2 * s.h);
            float *y = test_floats(BATCH * STEPS * s.h);
            batch_view *alone = calloc(BATCH, sizeof *alone), *together = calloc(1, sizeof *together);
            ink_sequence sequences[BATCH];
            assert_non_null(alone);
            assert_non_null(together);
            for (size_t i = 0; i < BATCH; i++) {
                sequences[i] = (ink_sequence){x + i * STEPS * s.in, y + i * STEPS * s.h, STEPS, states + i * 2 * s.h};
                ink_context_trace(ctx, keep_batch, &alone[i]);
                assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, &sequences[i], 1));
                check_shown_steps(ctx, recurrent, &sequences[i], &alone[i]);
            }
            memset(states, 0, BATCH * 2 * s.h * sizeof *states);
            ink_context_trace(ctx, keep_batch, together);
            assert_ok(ctx, ink_recurrent_forward(ctx, recurrent, sequences, BATCH));
            for (size_t i = 0; i < BATCH; i++)
                for (size_t value = 0; value < (cells[cell].cell == INK_LSTM ? 3 : 2); value++) {
                    size_t n = value == 0 ? cells[cell].gates * s.h : s.h;
                    test_assert_same_bits(together->last[value] + i * n, alone[i].last[value], n, cells[cell].name);
                }
            free(x);
            free(y);
            free(states);
            free(alone);
            free(together);
            ink_recurrent_free(recurrent);
            ink_context_free(ctx);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        context_test(recurrence_gives_the_numbers_of_pytorch),
        context_test(steps_of_every_kind_of_size_are_right),
        cmocka_unit_test(sequence_and_steps_have_the_same_bits),
        cmocka_unit_test(every_hidden_size_has_the_same_bits),
        context_test(projected_lstms_are_right),
        context_test(stored_types_have_the_bits_of_their_numbers),
        cmocka_unit_test(batches_have_the_same_bits_as_sequences_alone),
        cmocka_unit_test(wide_batches_have_the_same_bits),
        cmocka_unit_test(recurrence_allocates_nothing_after_reserve),
        context_test(networks_that_do_not_fit_are_refused),
        context_test(networks_at_the_root_of_a_file_are_found),
        context_test(impossible_calls_are_refused),
        cmocka_unit_test(cells_show_their_gates),
        cmocka_unit_test(batches_show_what_sequences_alone_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
